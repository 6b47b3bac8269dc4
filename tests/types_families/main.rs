//! The families of built-in types and of widespread extensions, both ways between Rust and
//! a real server: values that the server makes of texts are read, shown as the server shows
//! them, and sent back the same, bit for bit, by the judgement of the type's send function.

#[path = "../live/mod.rs"]
mod live;
#[path = "../support/mod.rs"]
mod support;

mod extensions;
mod floats;
mod generated;
mod generated_parts;
mod pgvector;
mod ranges;
mod scalars;
mod shapes;
mod system;
mod text_search;

use std::fmt::{Debug, Display};
use std::str::FromStr;

use kornak::codec::{Decode, Encode};
use kornak::row::Scalar;
use kornak::{Connection, quote_literal};

/// Checks values of `ty`, given as the server reads them.
async fn check_family<T>(connection: &mut Connection, ty: &str, texts: &[&str])
where
    T: Encode + for<'r> Decode<'r> + Scalar + Debug + Display,
{
    for text in texts {
        let literal = format!("{}::{ty}", quote_literal(text).unwrap());
        let case = format!("{ty} '{text:.80}'");
        // `format` shows by the type's output function; a cast to text may do otherwise.
        let (value, shown): (T, String) = connection
            .fetch_one(&format!("select {literal}, format('%s', {literal})"), ())
            .await
            .unwrap_or_else(|error| panic!("{case}: {error:#}"));
        assert_eq!(value.to_string(), shown, "{case} as it is shown");
        // An array is sent by the send function of its elements.
        let sql = format!("select array_send(array[$1::{ty}]) = array_send(array[{literal}])");
        let is_same: bool = connection
            .fetch_one(&sql, (&value,))
            .await
            .unwrap_or_else(|error| panic!("{case}: {error:#}"));
        assert!(is_same, "{case} as it is written: {value:?}");
        check_elements(connection, ty, &literal, value).await;
    }
}

/// Checks a value as an element of an array, beside a NULL.
async fn check_elements<T>(connection: &mut Connection, ty: &str, literal: &str, value: T)
where
    T: Encode + for<'r> Decode<'r> + Scalar + Debug + Display,
{
    let array = format!("array[null, {literal}]::{ty}[]");
    let values: Vec<Option<T>> = connection
        .fetch_one(&format!("select {array}"), ())
        .await
        .unwrap_or_else(|error| panic!("{array}: {error:#}"));
    let shown: Vec<_> = values
        .iter()
        .map(|value| value.as_ref().map(ToString::to_string))
        .collect();
    assert_eq!(shown, [None, Some(value.to_string())], "{array}");
    let sql = format!("select array_send($1::{ty}[]) = array_send({array})");
    let is_same: bool = connection
        .fetch_one(&sql, ([None, Some(value)],))
        .await
        .unwrap_or_else(|error| panic!("{array}: {error:#}"));
    assert!(is_same, "{array} as it is written");
}

/// Checks texts that are made up of `parts`: what is read here is what the server reads, and what
/// is refused here the server refuses.
async fn check_texts<T>(connection: &mut Connection, ty: &str, parts: &[&str])
where
    T: FromStr + Display,
{
    // A type may take a text for a value that its neighbours don't.
    let sql = "create or replace function pg_temp.shown(input text, ty text) returns text language plpgsql as $$
        declare
            output text;
        begin
            execute format('select format(''%%s'', %L::%s)', input, ty) into output;
            return output;
        exception when others then
            return null;
        end $$";
    connection.batch_execute(sql).await.unwrap();
    let mut state = 0x7465_7874_u64;
    let mut below = move |end: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % end
    };
    let texts: Vec<String> = (0..4_000)
        .map(|_| (0..below(8)).map(|_| parts[below(parts.len())]).collect())
        .collect();
    let sql = "select pg_temp.shown(input, $2) from unnest($1::text[]) with ordinality \
        as made(input, place) order by place";
    let there: Vec<Option<String>> = connection.fetch_all(sql, (&texts, ty)).await.unwrap();
    for (text, there) in texts.iter().zip(&there) {
        let here = text.parse::<T>().ok().map(|value| value.to_string());
        assert_eq!(here, *there, "{ty} {text:?}");
    }
    let read = there.iter().flatten().count();
    assert!(read > 100 && read < 3_900, "{ty}: {read} texts were values");
}

/// Whether the server refuses to receive a value, which the driver has written as it is, and the
/// connection stays in step.
async fn check_refused<T: Encode + Debug>(connection: &mut Connection, ty: &str, value: T) {
    check_not_received(connection, ty, value).await;
    live::check_token(connection).await;
}

/// Whether the server refuses to receive a value, which the driver has written as it is. The
/// server may be another than that of the tests.
async fn check_not_received<T: Encode + Debug>(connection: &mut Connection, ty: &str, value: T) {
    let sql = format!("select $1::{ty}::text");
    let error = connection
        .fetch_one::<String>(&sql, (&value,))
        .await
        .expect_err("the server must refuse it");
    assert!(error.as_server().is_some(), "{value:?}: {error:#}");
}
