//! What a program is told of a value that has no place in a type: which parameter or column it
//! was, both types, and what would do.

#![cfg(feature = "derive")]

mod live;
mod support;

use kornak::codec::Value;
use kornak::{Connection, Date, Decode, Encode, FromRow, Params};
use live::{check_token, connect};

#[derive(Clone, Copy, Debug, Encode, Decode)]
#[kornak(name = "told.mood", rename_all = "lowercase")]
enum Mood {
    Glum,
    Gay,
}

/// A newtype over what is read in another way.
#[derive(Debug, Encode, Decode)]
#[kornak(transparent)]
struct Birthday(Date);

#[derive(Debug, Encode, Decode)]
#[kornak(transparent)]
struct Tags(Vec<String>);

#[derive(Debug, Decode)]
#[kornak(name = "told.visit")]
struct Visit {
    #[expect(dead_code, reason = "it can't be read")]
    moods: Vec<Mood>,
}

const TYPES: &str = "create schema told;
    create type told.mood as enum ('glum', 'gay', 'elated');
    create type told.visit as (moods told.mood[])";

/// Fails with this text, the statement's line in it aside.
async fn check<T>(connection: &mut Connection, sql: &str, params: impl Params, expected: &str)
where
    T: for<'r> FromRow<'r> + std::fmt::Debug,
{
    let mut savepoint = connection.begin().await.unwrap();
    let error = savepoint.fetch_one::<T>(sql, params).await.unwrap_err();
    savepoint.rollback().await.unwrap();
    let text = error.to_string();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("LINE 1: "))
        .collect();
    assert_eq!(lines.join("\n"), expected, "{sql}");
}

#[tokio::test]
async fn what_can_not_be_read_is_told_with_its_column_both_types_and_what_would_do() {
    let mut session = connect().await;
    let mut transaction = session.begin().await.unwrap();
    transaction.batch_execute(TYPES).await.unwrap();
    let connection = &mut *transaction;
    check::<i32>(
        connection,
        "select date '2024-02-29' as day",
        (),
        "column \"day\": can't read PostgreSQL date into a Rust i32: the types don't match\n\
         HINT: the Rust type for date is kornak::Date",
    )
    .await;
    check::<(i32, String)>(
        connection,
        "select 1 as a, 2 as b",
        (),
        "column \"b\": can't read PostgreSQL int4 into a Rust String: the types don't match\n\
         HINT: the Rust type for int4 is i32",
    )
    .await;
    check::<i32>(
        connection,
        "select null::int4 as n",
        (),
        "column \"n\": can't read PostgreSQL int4 into a Rust i32: the value is NULL\n\
         HINT: read it into an Option",
    )
    .await;
    check::<Vec<i32>>(
        connection,
        "select array[1, null] as ns",
        (),
        "column \"ns\", element 1: can't read PostgreSQL int4 into a Rust i32: the value is NULL\n\
         HINT: read the array into a Vec of Options",
    )
    .await;
    check::<Vec<String>>(
        connection,
        "select array[1] as ns",
        (),
        "column \"ns\": can't read PostgreSQL int4[] into a Rust Vec<String>: the types don't match\n\
         HINT: the Rust type for int4[] is Vec<i32>",
    )
    .await;
    check::<Birthday>(
        connection,
        "select now() as at",
        (),
        "column \"at\": can't read PostgreSQL timestamptz into a Rust Birthday: the types don't match\n\
         HINT: the Rust type for timestamptz is kornak::TimestampTz or std::time::SystemTime",
    )
    .await;
    check::<Tags>(
        connection,
        "select array['a', null] as tags",
        (),
        "column \"tags\", element 1: can't read PostgreSQL text into a Rust String: the value is NULL\n\
         HINT: read the array into a Vec of Options",
    )
    .await;
    check::<Mood>(
        connection,
        "select 'gay'::text as m",
        (),
        "column \"m\": can't read PostgreSQL text into a Rust Mood: the types don't match\n\
         HINT: Mood stands for told.mood; `#[kornak(name = \"…\")]` names another type",
    )
    .await;
    check::<Mood>(
        connection,
        "select 'elated'::told.mood as m",
        (),
        "column \"m\": can't read PostgreSQL told.mood into a Rust Mood: \
         Mood has no variant for the label \"elated\", only for \"glum\", \"gay\"",
    )
    .await;
    check::<(Visit,)>(
        connection,
        "select row(null)::told.visit as v",
        (),
        "column \"v\", field \"moods\": \
         can't read PostgreSQL told.mood[] into a Rust Vec<Mood>: the value is NULL\n\
         HINT: read it into an Option",
    )
    .await;
    check::<(i32,)>(
        connection,
        "select 1, 2",
        (),
        "the result has 2 columns, but 1 is read by position\n\
         HINT: name just the columns that you read in the query, or derive FromRow to read by name",
    )
    .await;
    transaction.rollback().await.unwrap();
    check_token(&mut session).await;
}

#[tokio::test]
async fn what_can_not_be_written_is_told_with_its_parameter_both_types_and_what_would_do() {
    let mut session = connect().await;
    let mut transaction = session.begin().await.unwrap();
    transaction.batch_execute(TYPES).await.unwrap();
    let connection = &mut *transaction;
    let day = Date::new(2024, 2, 29).unwrap();
    check::<bool>(
        connection,
        "select $1::timestamptz = now()",
        (day,),
        "parameter $1: can't write a Rust Date as PostgreSQL timestamptz: the types don't match\n\
         HINT: the Rust type for timestamptz is kornak::TimestampTz or std::time::SystemTime",
    )
    .await;
    check::<bool>(
        connection,
        "select $1 = 1 and $2::timestamptz = now()",
        (1, Birthday(day)),
        "parameter $2: can't write a Rust Birthday as PostgreSQL timestamptz: the types don't match\n\
         HINT: the Rust type for timestamptz is kornak::TimestampTz or std::time::SystemTime",
    )
    .await;
    check::<bool>(
        connection,
        "select 1 = any($1)",
        (vec!["a"],),
        "parameter $1, element 0: can't write a Rust str as PostgreSQL int4: the types don't match\n\
         HINT: the Rust type for int4 is i32",
    )
    .await;
    check::<bool>(
        connection,
        "select $1::int2 = 1",
        vec![Value::Int4(70_000)],
        "parameter $1: can't write a Rust i32 as PostgreSQL int2: 70000 is out of range",
    )
    .await;
    check::<bool>(
        connection,
        "select $1::told.mood = 'gay'",
        (day,),
        "parameter $1: can't write a Rust Date as PostgreSQL told.mood: the types don't match\n\
         HINT: the Rust type for told.mood is String, \
         or an enum that derives kornak::Encode and kornak::Decode",
    )
    .await;
    // What the server reads is told by the server, and which parameter it was by both.
    check::<bool>(
        connection,
        "select $1 = 1 and $2::int4 = 1",
        (1, "x"),
        "parameter $2: ERROR 22P02: invalid input syntax for type integer: \"x\"",
    )
    .await;
    check::<bool>(
        connection,
        "select $1::told.mood = 'gay'",
        ("furious",),
        "parameter $1: ERROR 22P02: invalid input value for enum told.mood: \"furious\"",
    )
    .await;
    check::<bool>(
        connection,
        "select $1 is null",
        ("x",),
        "ERROR 42P18: could not determine data type of parameter $1\n\
         NOTE: say its type in the statement, as in $1::text",
    )
    .await;
    transaction.rollback().await.unwrap();
    check_token(&mut session).await;
}
