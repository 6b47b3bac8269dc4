//! `#[derive(FromRow)]` over rows that no server sent.

#![cfg(feature = "derive")]

use std::borrow::Cow;
use std::fmt::Debug;
use std::marker::PhantomData;

use kornak::internals::row::{columns, row};
use kornak::{FromRow, Result, Type};

/// A column: its name, type and value.
type Column<'a> = (&'a str, Type, Option<Vec<u8>>);

fn int(name: &str, value: i32) -> Column<'_> {
    (name, Type::INT4, Some(value.to_be_bytes().to_vec()))
}

fn text<'a>(name: &'a str, value: &str) -> Column<'a> {
    (name, Type::TEXT, Some(value.as_bytes().to_vec()))
}

fn null(name: &str, ty: Type) -> Column<'_> {
    (name, ty, None)
}

/// The body of a DataRow message.
fn body(row: &[Column<'_>]) -> Vec<u8> {
    let mut body = (row.len() as u16).to_be_bytes().to_vec();
    for (_, _, value) in row {
        match value {
            Some(value) => {
                body.extend((value.len() as i32).to_be_bytes());
                body.extend(value);
            }
            None => body.extend((-1_i32).to_be_bytes()),
        }
    }
    body
}

/// Reads a row into `T` and gives that to `then`.
fn read_with<T: for<'r> FromRow<'r>>(values: &[Column<'_>]) -> Result<T> {
    read_bytes(values, &body(values))
}

fn read_bytes<T: for<'r> FromRow<'r>>(values: &[Column<'_>], body: &[u8]) -> Result<T> {
    let described: Vec<_> = values.iter().map(|(n, ty, _)| (*n, ty.clone())).collect();
    let columns = columns(&described);
    row(&columns, body)?.read()
}

#[track_caller]
fn check<T: for<'r> FromRow<'r> + Debug + PartialEq>(values: &[Column<'_>], expected: T) {
    assert_eq!(read_with::<T>(values).unwrap(), expected);
}

#[track_caller]
fn check_error<T: for<'r> FromRow<'r> + Debug>(values: &[Column<'_>], expected: &str) {
    let error = read_with::<T>(values).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[derive(Debug, Default, PartialEq, FromRow)]
struct World {
    id: i32,
    random_number: i64,
}

fn world(id: i32, random_number: i64) -> World {
    World { id, random_number }
}

#[test]
fn columns_are_found_by_name_in_any_order() {
    check(&[int("id", 1), int("random_number", 2)], world(1, 2));
    check(&[int("random_number", 2), int("id", 1)], world(1, 2));
    let surrounded = [
        text("a", "before"),
        int("random_number", 2),
        null("b", Type::JSONB),
        int("id", 1),
        text("c", "behind"),
    ];
    check(&surrounded, world(1, 2));
    check(
        &[int("id", 1), int("random_number", 2), text("c", "behind")],
        world(1, 2),
    );
}

#[test]
fn a_wide_row_is_read_in_any_order() {
    macro_rules! wide {
        ($($field:ident)*) => {
            #[derive(Debug, PartialEq, FromRow)]
            struct Wide { $($field: i32),* }
            const NAMES: &[&str] = &[$(stringify!($field)),*];
            impl Wide {
                fn values(&self) -> Vec<i32> {
                    vec![$(self.$field),*]
                }
            }
        };
    }
    wide! {
        a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 b0 b1 b2 b3 b4 b5 b6 b7 b8 b9
        c0 c1 c2 c3 c4 c5 c6 c7 c8 c9 d0 d1 d2 d3 d4 d5 d6 d7 d8 d9
    }
    let count = NAMES.len();
    // Each step is prime to the number of columns, so that it visits all of them.
    for step in [1, 3, 7, 11, 39] {
        for gap in [0, 1] {
            let mut row = Vec::new();
            for place in 0..count {
                let field = place * step % count;
                row.push(int(NAMES[field], field as i32));
                if gap == 1 {
                    row.push(text("gap", "between"));
                }
            }
            let read: Wide = read_with(&row).unwrap();
            let expected: Vec<i32> = (0..count as i32).collect();
            assert_eq!(read.values(), expected, "step {step}, gap {gap}");
        }
    }
}

#[test]
fn what_does_not_fit_is_told_with_its_column() {
    check_error::<World>(&[int("id", 1)], "no column \"random_number\"");
    check_error::<World>(
        &[int("id", 1), text("random_number", "2")],
        "column \"random_number\": can't read PostgreSQL text into a Rust i64",
    );
    check_error::<World>(
        &[int("id", 1), null("random_number", Type::INT8)],
        "column \"random_number\"",
    );
    check_error::<World>(
        &[int("id", 1), int("random_number", 2), int("id", 3)],
        "several columns are named \"id\"",
    );
    check_error::<World>(
        &[int("\n", 1)],
        "there is no column \"id\"; the result has \"\\n\"",
    );
}

#[test]
fn a_malformed_row_is_noticed_whatever_its_order() {
    check_malformed(
        &[int("id", 1), int("random_number", 2), text("c", "x")],
        world(1, 2),
    );
    check_malformed(
        &[text("c", "x"), int("random_number", 2), int("id", 1)],
        world(1, 2),
    );
    check_malformed(
        &[int("id", 1), text("c", "x"), int("random_number", 2)],
        world(1, 2),
    );
    check_malformed(
        &[int("id", 1), text("c", "x")],
        Pair(1, 0, Some("x".into())),
    );
}

/// Checks that the row is refused wherever it is cut off, and with more behind it.
#[track_caller]
fn check_malformed<T>(values: &[Column<'_>], expected: T)
where
    T: for<'r> FromRow<'r> + Debug + PartialEq,
{
    let whole = body(values);
    assert_eq!(read_bytes::<T>(values, &whole).unwrap(), expected);
    for length in 0..whole.len() {
        assert!(read_bytes::<T>(values, &whole[..length]).is_err());
    }
    let longer = [&whole[..], &[0]].concat();
    assert!(read_bytes::<T>(values, &longer).is_err());
}

#[derive(Debug, PartialEq, FromRow)]
#[kornak(rename_all = "camelCase")]
struct Renamed {
    user_id: i32,
    #[kornak(rename = "E-Mail")]
    email: String,
    r#type: i32,
}

#[test]
fn names_can_be_changed() {
    check(
        &[int("userId", 1), text("E-Mail", "a@b"), int("type", 2)],
        Renamed {
            user_id: 1,
            email: "a@b".into(),
            r#type: 2,
        },
    );
    check_error::<Renamed>(&[int("user_id", 1)], "no column \"userId\"");
}

fn seven() -> i32 {
    7
}

#[derive(Debug, PartialEq, FromRow)]
struct Defaults {
    #[kornak(default = seven)]
    a: i32,
    #[kornak(default)]
    b: Option<String>,
    #[kornak(skip)]
    c: Vec<u8>,
    #[kornak(skip, default = "seven")]
    d: i32,
    e: i32,
}

#[test]
fn columns_may_be_missing_where_a_default_is_given() {
    let defaults = |a, b: Option<&str>, e| Defaults {
        a,
        b: b.map(str::to_owned),
        c: Vec::new(),
        d: 7,
        e,
    };
    check(&[int("e", 1)], defaults(7, None, 1));
    check(&[int("e", 1), int("a", 2)], defaults(2, None, 1));
    check(
        &[int("a", 2), text("b", "x"), int("e", 1)],
        defaults(2, Some("x"), 1),
    );
    check(&[int("e", 1), text("b", "x")], defaults(7, Some("x"), 1));
    // A skipped field is not read even where there is such a column.
    check(
        &[int("e", 1), text("c", "x"), text("d", "x")],
        defaults(7, None, 1),
    );
    check_error::<Defaults>(&[text("a", "x"), int("e", 1)], "column \"a\"");
    check_error::<Defaults>(&[null("a", Type::INT4), int("e", 1)], "column \"a\"");
    check_error::<Defaults>(&[int("a", 1)], "no column \"e\"");
}

#[derive(Debug, PartialEq, FromRow)]
struct Pair(i32, #[kornak(skip)] u8, Option<String>);

#[derive(Debug, PartialEq, FromRow)]
struct One(i32);

#[test]
fn tuple_structs_are_read_by_position() {
    check(&[int("x", 1), text("x", "y")], Pair(1, 0, Some("y".into())));
    check(&[int("x", 1), null("x", Type::TEXT)], Pair(1, 0, None));
    check(&[int("?column?", 1)], One(1));
    check_error::<Pair>(&[int("x", 1)], "the result has 1 column, but 2 are read");
    check_error::<One>(
        &[int("x", 1), int("y", 1)],
        "the result has 2 columns, but 1 is read",
    );
    check_error::<One>(&[text("x", "1")], "column \"x\"");
}

#[derive(Debug, PartialEq, FromRow)]
struct Borrowed<'a> {
    name: &'a str,
    bytes: &'a [u8],
    note: Option<&'a str>,
    copied: Cow<'a, str>,
}

#[derive(Debug, PartialEq, FromRow)]
struct BorrowedTwice<'a, 'b: 'a, T>(&'a str, T, &'b str);

#[test]
fn fields_may_borrow_from_the_row() {
    let values = [
        text("name", "Rani"),
        ("bytes", Type::BYTEA, Some(vec![1, 2])),
        null("note", Type::TEXT),
        text("copied", "c"),
    ];
    let described: Vec<_> = values.iter().map(|(n, ty, _)| (*n, ty.clone())).collect();
    let columns = columns(&described);
    let body = body(&values);
    let read: Borrowed<'_> = row(&columns, &body).unwrap().read().unwrap();
    assert_eq!(
        read,
        Borrowed {
            name: "Rani",
            bytes: &[1, 2],
            note: None,
            copied: "c".into(),
        }
    );
    // The strings lie in the row itself.
    assert!(body.as_ptr_range().contains(&read.name.as_ptr()));
    assert!(body.as_ptr_range().contains(&read.bytes.as_ptr()));
}

#[test]
fn several_lifetimes_are_that_of_the_row() {
    let values = [text("a", "x"), int("b", 1), text("c", "z")];
    let described: Vec<_> = values.iter().map(|(n, ty, _)| (*n, ty.clone())).collect();
    let columns = columns(&described);
    let body = body(&values);
    let read: BorrowedTwice<'_, '_, i32> = row(&columns, &body).unwrap().read().unwrap();
    assert_eq!(read, BorrowedTwice("x", 1, "z"));
}

#[derive(Debug, PartialEq, FromRow)]
struct Generic<T, U: Debug = (), const N: usize = 0>
where
    T: Debug,
{
    value: T,
    all: Vec<T>,
    #[kornak(default)]
    other: Option<T>,
    #[kornak(skip)]
    marker: PhantomData<U>,
    #[kornak(skip, default = no_bytes)]
    bytes: [u8; N],
}

fn no_bytes<const N: usize>() -> [u8; N] {
    [9; N]
}

/// Not `Default`, not `Decode`.
#[derive(Debug, PartialEq)]
struct Unreadable;

#[test]
fn type_parameters_get_the_bounds_that_their_fields_need() {
    let array = [
        1_i32.to_be_bytes(),
        0_i32.to_be_bytes(),
        23_i32.to_be_bytes(),
        1_i32.to_be_bytes(),
        1_i32.to_be_bytes(),
        4_i32.to_be_bytes(),
        5_i32.to_be_bytes(),
    ];
    check(
        &[
            int("value", 1),
            ("all", Type::INT4_ARRAY, Some(array.concat())),
        ],
        Generic::<i32, Unreadable, 3> {
            value: 1,
            all: vec![5],
            other: None,
            marker: PhantomData,
            bytes: [9; 3],
        },
    );
}

#[derive(Debug, PartialEq, FromRow)]
struct Address {
    street: String,
    #[kornak(default)]
    country: Option<String>,
}

#[derive(Debug, PartialEq, FromRow)]
struct Person<A> {
    id: i32,
    #[kornak(flatten)]
    address: A,
    name: String,
    #[kornak(flatten, prefix = "work_")]
    work: Option<Address>,
}

#[test]
fn structs_can_be_flattened_into_a_row() {
    let address = |street: &str, country: Option<&str>| Address {
        street: street.into(),
        country: country.map(str::to_owned),
    };
    let person = |work| Person {
        id: 1,
        address: address("A", None),
        name: "Rani".into(),
        work,
    };
    check(
        &[
            int("id", 1),
            text("street", "A"),
            text("name", "Rani"),
            text("work_street", "B"),
            text("work_country", "IN"),
        ],
        person(Some(address("B", Some("IN")))),
    );
    check(
        &[
            null("work_country", Type::TEXT),
            text("street", "A"),
            null("country", Type::TEXT),
            null("work_street", Type::TEXT),
            text("name", "Rani"),
            int("id", 1),
        ],
        person(None),
    );
    check(
        &[
            text("name", "Rani"),
            int("id", 1),
            text("work_street", "B"),
            text("street", "A"),
        ],
        person(Some(address("B", None))),
    );
    check_error::<Person<Address>>(
        &[
            text("name", "Rani"),
            int("id", 1),
            null("work_street", Type::TEXT),
            text("work_country", "IN"),
            text("street", "A"),
        ],
        "column \"work_street\"",
    );
    check_error::<Person<Address>>(
        &[int("id", 1), text("street", "A"), text("name", "Rani")],
        "no column \"work_street\"",
    );
}

#[derive(Debug, PartialEq, FromRow)]
struct Team {
    #[kornak(flatten, prefix = "lead_")]
    lead: Person<Address>,
    #[kornak(flatten)]
    world: World,
}

#[test]
fn prefixes_add_up() {
    let row = [
        int("lead_id", 1),
        text("lead_street", "A"),
        text("lead_country", "IN"),
        text("lead_name", "Rani"),
        null("lead_work_street", Type::TEXT),
        null("lead_work_country", Type::TEXT),
        int("id", 2),
        int("random_number", 3),
    ];
    let team: Team = read_with(&row).unwrap();
    assert_eq!(team.lead.address.country.as_deref(), Some("IN"));
    assert_eq!(team.lead.work, None);
    assert_eq!(team.world, world(2, 3));
}

/// The names that generated code must not be confused by.
#[allow(
    dead_code,
    non_camel_case_types,
    non_upper_case_globals,
    unreachable_pub
)]
mod shadowed {
    use ::kornak as driver;

    pub struct Result;
    pub struct Option;
    pub struct Ok;
    pub struct Default;
    pub struct String;
    pub trait FromRow {}
    pub trait Decode {}
    pub mod core {}
    pub mod std {}
    pub mod kornak {}
    pub const fields: u8 = 0;
    pub const plan: u8 = 0;
    pub const row: u8 = 0;
    pub const id: u8 = 0;

    #[derive(driver::FromRow)]
    #[kornak(crate = driver)]
    pub struct Hygienic {
        pub id: i32,
        #[kornak(default)]
        pub plan: i32,
        #[kornak(skip)]
        pub fields: i32,
    }

    #[derive(driver::FromRow)]
    #[kornak(crate = "driver")]
    pub struct Quoted(pub i32);

    #[derive(driver::FromRow)]
    #[kornak(crate = super::renamed::kornak)]
    pub struct Reexported {
        #[kornak(flatten)]
        pub hygienic: Hygienic,
    }
}

mod renamed {
    pub(super) use ::kornak;
}

#[test]
fn generated_code_is_hygienic() {
    let read: shadowed::Reexported = read_with(&[int("id", 1)]).unwrap();
    assert_eq!(read.hygienic.id, 1);
    assert_eq!(read.hygienic.plan, 0);
    assert_eq!(read_with::<shadowed::Quoted>(&[int("id", 1)]).unwrap().0, 1);
}
