//! Derive macros of the [kornak](https://docs.rs/kornak) PostgreSQL driver, which exports
//! them beside the traits that they implement.
//!
//! All are directed by `#[kornak(…)]`. What a macro has no use for is left to the others, so
//! that one struct can derive several.
//!
//! | on a struct or enum | |
//! | --- | --- |
//! | `rename_all = "camelCase"` | how the names of its fields or labels are written: `lowercase`, `UPPERCASE`, `PascalCase`, `camelCase`, `snake_case`, `SCREAMING_SNAKE_CASE`, `kebab-case`, `SCREAMING-KEBAB-CASE` |
//! | `name = "name"`, `name = "schema.name"` | the PostgreSQL type of an enum or a composite type; as the catalogue has it, so that capital letters count |
//! | `transparent` | the struct is read and written like its one field |
//! | `crate = path` | where `kornak` is found, if not at `::kornak` |
//!
//! | on a field | |
//! | --- | --- |
//! | `rename = "name"` | the name of the column, or of the field of a composite type, if it isn't the field's |
//! | `default`, `default = path` | where that is missing, the field is `Default::default()`, or what the function at `path` returns |
//! | `skip` | the field is neither read nor written: it becomes `Default::default()`, or with `default = path` what that function returns |
//! | `flatten` | the field is a struct, whose fields are read from columns of the same row, or are parameters in its place |
//! | `prefix = "name_"` | beside `flatten`: what stands in front of the names of those columns |
//!
//! | on a variant | |
//! | --- | --- |
//! | `rename = "label"` | the label, if it isn't the variant's name |

mod attributes;
mod decode;
mod encode;
mod from_row;
mod generics;
mod names;
mod params;
mod value;

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

/// Writes an enum, a composite type or a newtype as a parameter.
///
/// What is written is what [`Decode`](macro@Decode) reads; a type that derives both goes both
/// ways.
///
/// - An **enum** is written as the label of its variant. The server checks it: a label that
///   was added to the type meanwhile needs no new connection.
/// - A **struct with named fields** is written as a composite type. Its fields are known by
///   their names; their order is the server's. Each field of the composite type needs one in
///   the struct, and the other way round, `skip` aside.
/// - A struct of one field marked **`transparent`** is written like that field. So one can
///   give a Rust type to a domain, or several to one PostgreSQL type.
///
/// Arrays of them, domains over them, and one within another need nothing more.
///
/// The type of such a parameter is asked of the server when the statement is prepared, and
/// what it is made of is looked up once for each connection: the first use of a statement
/// takes a round trip more, the first use of a type another.
///
/// # Example
///
/// ```
/// use kornak::Encode;
///
/// #[derive(Encode)]
/// #[kornak(rename_all = "lowercase")]
/// enum Mood {
///     Calm,
///     Hungry,
/// }
///
/// #[derive(Encode)]
/// struct Report {
///     weight_kg: f64,
///     moods: Vec<Mood>,
///     remark: Option<String>,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kornak::Result<()> {
/// # let url = xtask::server::Server::for_tests().url();
/// # let mut connection = kornak::Connection::connect(&url).await?;
/// connection
///     .batch_execute(
///         "create type pg_temp.mood as enum ('calm', 'hungry');
///          create type pg_temp.report as (weight_kg float8, remark text, moods pg_temp.mood[]);
///          create temp table visit (day date, report report)",
///     )
///     .await?;
/// let report = Report { weight_kg: 3105.5, moods: vec![Mood::Calm, Mood::Hungry], remark: None };
/// connection.execute("insert into visit values ('2024-05-01', $1)", (&report,)).await?;
/// let hungry: i64 = connection
///     .fetch_one("select count(*) from visit where $1 = any ((report).moods)", (Mood::Hungry,))
///     .await?;
/// assert_eq!(hungry, 1);
/// # Ok(())
/// # }
/// ```
#[proc_macro_derive(Encode, attributes(kornak))]
pub fn derive_encode(input: TokenStream) -> TokenStream {
    expand(parse_macro_input!(input), encode::derive)
}

/// Reads an enum, a composite type or a newtype from a column.
///
/// - An **enum** is read from its label: the variant's name, unless `rename` or `rename_all`
///   say otherwise. A label that has no variant is an error that names it.
/// - A **struct with named fields** is read from a composite type, by the names of its fields,
///   in whatever order they come; fields that the struct lacks are passed over. The row type
///   of a table is a composite type too.
/// - A struct of one field marked **`transparent`** is read like that field.
///
/// An enum or a struct goes by the name of its PostgreSQL type: its own name in `snake_case`,
/// or what `name` says, in whatever schema, or in the one that `name` says. An enum may also
/// stand for strings of a built-in type: `name = "text"`.
///
/// The types of the columns are checked once for each statement. What doesn't fit is told by
/// the field that it lies in, however deep.
///
/// Enums and transparent types can also be fetched alone, as a row of one column. A struct
/// that is read from a composite type can't; fetch a tuple, `(Report,)`. It can derive
/// [`FromRow`](macro@FromRow) beside this, and then it is also a row of its fields.
///
/// # Example
///
/// ```
/// use kornak::{Decode, Encode, FromRow};
///
/// #[derive(Debug, PartialEq, Encode, Decode)]
/// #[kornak(name = "zoo.mood", rename_all = "kebab-case")]
/// enum Mood {
///     Calm,
///     VeryHungry,
/// }
///
/// #[derive(Debug, PartialEq, Decode)]
/// #[kornak(transparent)]
/// struct Kilograms(f64);
///
/// #[derive(Debug, PartialEq, Decode)]
/// struct Report<'a> {
///     remark: Option<&'a str>,
///     #[kornak(rename = "weight_kg")]
///     weight: Kilograms,
///     moods: Vec<Mood>,
/// }
///
/// #[derive(Debug, PartialEq, FromRow)]
/// struct Visit<'a> {
///     day: kornak::Date,
///     reports: Vec<Report<'a>>,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kornak::Result<()> {
/// # let url = xtask::server::Server::for_tests().url();
/// # let mut connection = kornak::Connection::connect(&url).await?;
/// # let mut connection = connection.begin().await?;
/// # connection.batch_execute("create schema zoo; set search_path = zoo").await?;
/// connection
///     .batch_execute(
///         "create type zoo.mood as enum ('calm', 'very-hungry');
///          create domain zoo.kilograms as float8 check (value > 0);
///          create type zoo.report as (weight_kg zoo.kilograms, remark text, moods zoo.mood[])",
///     )
///     .await?;
///
/// let mood: Mood = connection.fetch_one("select 'very-hungry'::zoo.mood", ()).await?;
/// assert_eq!(mood, Mood::VeryHungry);
///
/// let mut visits = 0;
/// let sql = "select date '2024-05-01' as day,
///     array[row(3105.5, 'limps', array[$1::zoo.mood]), row(2990, null, '{}')]::zoo.report[] as reports";
/// connection
///     .for_each(sql, (Mood::Calm,), |row| {
///         let visit: Visit = row.read()?;
///         let expected = Report {
///             remark: Some("limps"),
///             weight: Kilograms(3105.5),
///             moods: vec![Mood::Calm],
///         };
///         assert_eq!(visit.reports[0], expected);
///         assert_eq!(visit.reports[1].moods, []);
///         visits += 1;
///         kornak::Result::Ok(())
///     })
///     .await?;
/// assert_eq!(visits, 1);
/// # Ok(())
/// # }
/// ```
#[proc_macro_derive(Decode, attributes(kornak))]
pub fn derive_decode(input: TokenStream) -> TokenStream {
    expand(parse_macro_input!(input), decode::derive)
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
/// connection.batch_execute("create temp table elephant (id int, name text, birth_year int)").await?;
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
