//! Types of other crates, both ways between Rust and a real server: every value at the edges
//! bit for bit, or an error that names the limit.

#[path = "../live/mod.rs"]
mod live;
#[path = "../support/mod.rs"]
mod support;

#[cfg(all(
    feature = "with-chrono-0_4",
    feature = "with-time-0_3",
    feature = "with-jiff-0_2"
))]
mod dates;
#[cfg(all(
    feature = "with-ipnet-2",
    feature = "with-ipnetwork-0_21",
    feature = "with-cidr-0_3",
    feature = "with-mac_address-1"
))]
mod networks;
#[cfg(all(feature = "with-rust_decimal-1", feature = "with-bigdecimal-0_4"))]
mod numbers;
#[cfg(feature = "with-geo-types-0_7")]
mod shapes;
#[cfg(all(
    feature = "with-smol_str-0_3",
    feature = "with-compact_str-0_10",
    feature = "with-bit-vec-0_10",
    feature = "with-uuid-1",
    feature = "with-serde_json-1"
))]
mod strings;

use std::fmt::Debug;

use kornak::codec::{Decode, Encode};
use kornak::row::Scalar;
use kornak::{Connection, ErrorKind};

/// A PostgreSQL type and its send function, whose bytes are compared on the server.
#[derive(Clone, Copy)]
struct On<'a> {
    ty: &'a str,
    send: &'a str,
}

const fn on<'a>(ty: &'a str, send: &'a str) -> On<'a> {
    On { ty, send }
}

/// The server's value for each text and the Rust value are each other, whichever way it goes.
async fn check<T>(connection: &mut Connection, on: On<'_>, cases: &[(&str, T)])
where
    T: Encode + for<'r> Decode<'r> + Scalar + Clone + Debug + PartialEq,
{
    let On { ty, send } = on;
    for (text, value) in cases {
        let case = format!("{ty} '{text}'");
        let read: T = connection
            .fetch_one(&format!("select '{text}'::{ty}"), ())
            .await
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(read, *value, "{case} as it is read");
        let sql = format!("select {send}($1::{ty}) = {send}('{text}'::{ty}), ($1::{ty})::text");
        let (is_same, written): (bool, String) = connection
            .fetch_one(&sql, (value.clone(),))
            .await
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(is_same, "{case} is written as {written}");
        // What was read is written bit for bit, too.
        let (is_same, written): (bool, String) = connection.fetch_one(&sql, (read,)).await.unwrap();
        assert!(is_same, "{case} becomes {written}");
        // In an array, with a NULL.
        let sql = format!(
            "select array[null, $1]::{ty}[], array_send($2::{ty}[]) = array_send(array['{text}', null]::{ty}[])"
        );
        let both = vec![Some(value.clone()), None];
        let (read, is_same): (Vec<Option<T>>, bool) = connection
            .fetch_one(&sql, (value.clone(), both))
            .await
            .unwrap_or_else(|error| panic!("{case} in an array: {error}"));
        assert_eq!(read, [None, Some(value.clone())], "{case} in an array");
        assert!(is_same, "{case} in an array");
    }
}

/// The server has these values, and `T` has not; each error says the part that stands
/// beside it, and names both types.
async fn refuses_to_read<T>(connection: &mut Connection, ty: &str, cases: &[(&str, &str)])
where
    T: for<'r> Decode<'r> + Scalar + Debug,
{
    for (text, message) in cases {
        let result: kornak::Result<T> = connection
            .fetch_one(&format!("select '{text}'::{ty} as v"), ())
            .await;
        let error = result.expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
        let said = error.to_string();
        let rust = kornak::codec::rust_name::<T>();
        let start = format!("column \"v\": can't read PostgreSQL {ty} into a Rust {rust}: ");
        assert!(said.starts_with(&start), "{said}");
        assert!(said.contains(message), "{ty} '{text}': {said}");
    }
    // The connection is in step, and a value that fits is read.
    live::check_token(connection).await;
}

/// `T` has these values, and the server has not.
async fn refuses_to_write<T>(connection: &mut Connection, ty: &str, cases: &[(T, &str)])
where
    T: Encode + Clone + Debug,
{
    for (value, message) in cases {
        let error = connection
            .execute(&format!("select $1::{ty}"), (value.clone(),))
            .await
            .expect_err(message);
        assert_eq!(error.kind(), ErrorKind::Encode, "{error}");
        let said = error.to_string();
        let rust = kornak::codec::rust_name::<T>();
        let start = format!("parameter $1: can't write a Rust {rust} as PostgreSQL {ty}: ");
        assert!(said.starts_with(&start), "{said}");
        assert!(said.contains(message), "{value:?}: {said}");
    }
    live::check_token(connection).await;
}
