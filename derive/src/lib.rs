//! Derive macros of the [kornak](https://docs.rs/kornak) PostgreSQL driver, which exports
//! them beside the traits that they implement.
//!
//! All are directed by `#[kornak(…)]`. What a macro has no use for is left to the others, so
//! that one struct can derive several.
//!
//! | on a struct or enum | |
//! | --- | --- |
//! | `rename_all = "camelCase"` | how the names of its fields are written: `lowercase`, `UPPERCASE`, `PascalCase`, `camelCase`, `snake_case`, `SCREAMING_SNAKE_CASE`, `kebab-case`, `SCREAMING-KEBAB-CASE` |
//! | `crate = path` | where `kornak` is found, if not at `::kornak` |
//!
//! | on a field | |
//! | --- | --- |
//! | `rename = "name"` | the column's name, if it isn't the field's |
//! | `default`, `default = path` | where the column is missing, the field is `Default::default()`, or what the function at `path` returns |
//! | `skip` | the field has no column: it is `Default::default()`, or with `default = path` what that function returns |
//! | `flatten` | the field is a struct, whose fields are read from columns of the same row |
//! | `prefix = "name_"` | beside `flatten`: what stands in front of the names of those columns |

mod attributes;
mod from_row;
mod generics;
mod names;
mod params;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Reads rows into a struct.
///
/// A struct with named fields is read by the names of the columns, in whatever order they
/// come; columns that it has no field for are passed over. A tuple struct is read by
/// position and takes all columns. Which column goes where is worked out, and the types are
/// checked, once for each statement and struct; then the values go from the read buffer
/// straight into the fields.
///
/// A missing column, a column of another type, two columns of the name that a field asks
/// for, and a NULL for a field that is not an `Option`, are errors that name the column.
///
/// # Example
///
/// ```
/// use kornak::FromRow;
///
/// #[derive(Debug, PartialEq, FromRow)]
/// #[kornak(rename_all = "camelCase")]
/// struct Elephant {
///     id: i32,
///     birth_year: Option<i32>,
///     #[kornak(rename = "called")]
///     name: String,
///     #[kornak(default)]
///     weight_kg: Option<f64>,
///     #[kornak(skip)]
///     fed: bool,
/// }
///
/// #[derive(Debug, PartialEq, FromRow)]
/// struct Pair(i32, String);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kornak::Result<()> {
/// # let url = xtask::server::Server::for_tests().url();
/// let mut connection = kornak::Connection::connect(&url).await?;
///
/// let elephant: Elephant = connection
///     .fetch_one(r#"select 'Rani' as called, 7 as id, 1992 as "birthYear", 'grey' as colour"#, ())
///     .await?;
/// assert_eq!(
///     elephant,
///     Elephant {
///         id: 7,
///         birth_year: Some(1992),
///         name: "Rani".into(),
///         weight_kg: None,
///         fed: false,
///     }
/// );
///
/// let pair: Pair = connection.fetch_one("select 7, 'Rani'", ()).await?;
/// assert_eq!(pair, Pair(7, "Rani".into()));
/// # Ok(())
/// # }
/// ```
///
/// # Borrowed fields
///
/// A struct may borrow from the row: `&str`, `&[u8]`, or `Cow<str>`. It can be read where
/// rows are visited in place; the verbs that return rows need a struct that owns its values.
///
/// ```
/// use kornak::FromRow;
///
/// #[derive(FromRow)]
/// struct Line<'a> {
///     number: i32,
///     text: &'a str,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kornak::Result<()> {
/// # let url = xtask::server::Server::for_tests().url();
/// # let mut connection = kornak::Connection::connect(&url).await?;
/// let mut longest = 0;
/// connection
///     .for_each(
///         "select n as number, repeat('x', n) as text from generate_series(1, 100) n",
///         (),
///         |row| {
///             let line: Line = row.read()?;
///             longest = longest.max(line.text.len());
///             kornak::Result::Ok(())
///         },
///     )
///     .await?;
/// assert_eq!(longest, 100);
/// # Ok(())
/// # }
/// ```
///
/// # Structs in structs
///
/// A field marked `flatten` is a struct with named fields that derives `FromRow` itself; its
/// fields are read from columns of the same row. As an `Option` it is `None` where all its
/// columns are NULL, as they are on the side of an outer join that has no row.
///
/// Type parameters get the bounds that the fields need.
///
/// ```
/// use kornak::FromRow;
///
/// #[derive(Debug, PartialEq, FromRow)]
/// struct Keeper {
///     id: i32,
///     name: String,
/// }
///
/// #[derive(Debug, PartialEq, FromRow)]
/// struct Kept<T> {
///     #[kornak(flatten)]
///     animal: T,
///     #[kornak(flatten, prefix = "keeper_")]
///     keeper: Option<Keeper>,
/// }
///
/// #[derive(Debug, PartialEq, FromRow)]
/// struct Elephant {
///     name: String,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kornak::Result<()> {
/// # let url = xtask::server::Server::for_tests().url();
/// # let mut connection = kornak::Connection::connect(&url).await?;
/// let sql = "select e.name, k.id as keeper_id, k.name as keeper_name
///     from (values ('Rani', 1), ('Moti', 2)) e(name, keeper)
///     left join (values (1, 'Asha')) k(id, name) on k.id = e.keeper
///     order by e.name desc";
/// let kept: Vec<Kept<Elephant>> = connection.fetch_all(sql, ()).await?;
/// assert_eq!(kept[0].keeper, Some(Keeper { id: 1, name: "Asha".into() }));
/// assert_eq!(kept[1].animal.name, "Moti");
/// assert_eq!(kept[1].keeper, None);
/// # Ok(())
/// # }
/// ```
#[proc_macro_derive(FromRow, attributes(kornak))]
pub fn derive_from_row(input: TokenStream) -> TokenStream {
    expand(parse_macro_input!(input), from_row::derive)
}

/// Makes a struct the parameters of a statement: its fields in their order, `$1` the first.
///
/// They are sent as the tuple of the fields would be, and as fast. A field marked `skip` is
/// no parameter, one marked `flatten` is a struct that derives `Params` and whose fields
/// stand in its place.
///
/// # Example
///
/// ```
/// use kornak::{FromRow, Params};
///
/// #[derive(Debug, PartialEq, FromRow, Params)]
/// struct Elephant {
///     id: i32,
///     name: String,
///     #[kornak(rename = "birth_year")]
///     year: Option<i32>,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kornak::Result<()> {
/// # let url = xtask::server::Server::for_tests().url();
/// # let mut connection = kornak::Connection::connect(&url).await?;
/// connection.execute_script("create temp table elephant (id int, name text, birth_year int)").await?;
/// let rani = Elephant { id: 7, name: "Rani".into(), year: None };
/// let sql = "insert into elephant (id, name, birth_year) values ($1, $2, $3)";
/// connection.execute(sql, &rani).await?;
/// let read: Elephant = connection.fetch_one("select * from elephant", ()).await?;
/// assert_eq!(read, rani);
/// # Ok(())
/// # }
/// ```
#[proc_macro_derive(Params, attributes(kornak))]
pub fn derive_params(input: TokenStream) -> TokenStream {
    expand(parse_macro_input!(input), params::derive)
}

fn expand(
    input: DeriveInput,
    derive: fn(&DeriveInput) -> syn::Result<proc_macro2::TokenStream>,
) -> TokenStream {
    derive(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
