//! Values at the edges, both ways between Rust and a real server.

mod live;
mod support;

use std::fmt::{Debug, Display};
use std::str::FromStr;

use kornak::codec::{Decode, Encode};
use kornak::row::Scalar;
use kornak::{Connection, Date, ErrorKind, Row, SqlState, Time, Timestamp, TimestampTz};
use live::{check_token, connect};

/// The server's text for a value and the value are each other, whichever way it goes.
async fn check_both_ways<T>(connection: &mut Connection, ty: &str, cases: &[(&str, T)])
where
    T: Encode + for<'r> Decode<'r> + Scalar + Clone + Debug + PartialEq,
{
    for (text, value) in cases {
        let case = format!("{ty} '{text}'");
        let read: T = connection
            .fetch_one(&format!("select '{text}'::{ty}"), ())
            .await
            .unwrap();
        assert_eq!(read, *value, "{case} as it is read");
        let sql = format!(
            "select ($1::{ty})::text, $1::{ty}, $1::{ty} is not distinct from '{text}'::{ty}"
        );
        let (written, back, is_same): (String, T, bool) =
            connection.fetch_one(&sql, (value.clone(),)).await.unwrap();
        assert_eq!(written, *text, "{case} as it is written");
        assert_eq!(back, *value, "{case} there and back");
        assert!(is_same, "{case} is what was written");
        // In an array, among a NULL and another.
        let sql = format!(
            "select array[null, $1, '{text}']::{ty}[], $2::{ty}[] = array['{text}', $1]::{ty}[]"
        );
        let both = vec![value.clone(), value.clone()];
        let (read, is_same): (Vec<Option<T>>, bool) = connection
            .fetch_one(&sql, (value.clone(), both))
            .await
            .unwrap();
        assert_eq!(
            read,
            [None, Some(value.clone()), Some(value.clone())],
            "{case} in an array"
        );
        assert!(is_same, "{case} in an array");
    }
}

/// As [`check_both_ways`], the value being what the text is parsed as.
async fn check_parsed<T>(connection: &mut Connection, ty: &str, texts: &[&str])
where
    T: Encode + for<'r> Decode<'r> + Scalar + Clone + Debug + PartialEq + FromStr + Display,
    T::Err: Debug,
{
    for text in texts {
        let value: T = text.parse().unwrap();
        assert_eq!(value.to_string(), *text);
        check_both_ways(connection, ty, &[(text, value)]).await;
    }
}

#[tokio::test]
async fn r57_dates_and_times_are_exact() {
    let mut connection = connect().await;
    connection
        .execute("set datestyle to iso", ())
        .await
        .unwrap();
    connection
        .execute("set timezone to 'UTC'", ())
        .await
        .unwrap();
    check_parsed::<Date>(
        &mut connection,
        "date",
        &[
            "2000-01-01",
            "1999-12-31",
            "0001-01-01",
            "0001-12-31 BC",
            "0001-02-29 BC",
            "4714-11-24 BC",
            "5874897-12-31",
            "infinity",
            "-infinity",
            "1582-10-15",
            "1900-02-28",
            "2024-02-29",
        ],
    )
    .await;
    check_parsed::<Time>(
        &mut connection,
        "time",
        &[
            "00:00:00",
            "24:00:00",
            "23:59:59.999999",
            "00:00:00.000001",
            "12:34:56.7",
        ],
    )
    .await;
    check_parsed::<Timestamp>(
        &mut connection,
        "timestamp",
        &[
            "2000-01-01 00:00:00",
            "1999-12-31 23:59:59.999999",
            "0001-01-01 00:00:00",
            "0044-03-15 12:00:00 BC",
            "4714-11-24 00:00:00 BC",
            "294276-12-31 23:59:59.999999",
            "infinity",
            "-infinity",
        ],
    )
    .await;
    check_parsed::<TimestampTz>(
        &mut connection,
        "timestamptz",
        &[
            "2000-01-01 00:00:00+00",
            "1999-12-31 23:59:59.999999+00",
            "0044-03-15 12:00:00+00 BC",
            "4714-11-24 00:00:00+00 BC",
            "294276-12-31 23:59:59.999999+00",
            "infinity",
            "-infinity",
        ],
    )
    .await;
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r57_zones_move_a_moment_to_the_second() {
    let mut connection = connect().await;
    for (text, utc) in [
        ("2000-01-01 00:00:00+15:59:59", "1999-12-31 08:00:01+00"),
        ("2000-01-01 00:00:00-15:59:59", "2000-01-01 15:59:59+00"),
        (
            "4714-11-24 15:59:59+15:59:59 BC",
            "4714-11-24 00:00:00+00 BC",
        ),
        (
            "294276-12-31 08:00:00.999999-15:59:59",
            "294276-12-31 23:59:59.999999+00",
        ),
    ] {
        let moment: TimestampTz = connection
            .fetch_one(&format!("select '{text}'::timestamptz"), ())
            .await
            .unwrap();
        assert_eq!(moment.to_string(), utc);
        // The session's own zone, however odd, is none of a binary value's business.
        for zone in ["UTC", "Europe/Amsterdam", "<far>-15:59", "<far>+15:59"] {
            connection
                .execute(&format!("set timezone to '{zone}'"), ())
                .await
                .unwrap();
            let same: (bool, TimestampTz) = connection
                .fetch_one(&format!("select $1 = '{text}'::timestamptz, $1"), (moment,))
                .await
                .unwrap();
            assert_eq!(same, (true, moment), "{text} in {zone}");
        }
    }
}

#[tokio::test]
async fn r57_what_the_server_has_no_place_for_is_a_typed_error() {
    let mut connection = connect().await;
    for days in [
        Date::MIN.days() - 1,
        Date::MAX.days() + 1,
        i32::MIN + 1,
        i32::MAX - 1,
    ] {
        let error = connection
            .fetch_one::<Date>("select $1::date", (Date::from_days(days),))
            .await
            .unwrap_err();
        assert_eq!(
            error.sqlstate(),
            Some(SqlState::DATETIME_FIELD_OVERFLOW),
            "{error}"
        );
    }
    for microseconds in [
        Timestamp::MIN.microseconds() - 1,
        Timestamp::MAX.microseconds() + 1,
        i64::MIN + 1,
        i64::MAX - 1,
    ] {
        let error = connection
            .fetch_one::<Timestamp>(
                "select $1::timestamp",
                (Timestamp::from_microseconds(microseconds),),
            )
            .await
            .unwrap_err();
        assert_eq!(
            error.sqlstate(),
            Some(SqlState::DATETIME_FIELD_OVERFLOW),
            "{error}"
        );
        let error = connection
            .fetch_one::<TimestampTz>(
                "select $1::timestamptz",
                (TimestampTz::from_microseconds(microseconds),),
            )
            .await
            .unwrap_err();
        assert_eq!(
            error.sqlstate(),
            Some(SqlState::DATETIME_FIELD_OVERFLOW),
            "{error}"
        );
    }
    // Rust's own clock has no infinity.
    let error = connection
        .fetch_one::<std::time::SystemTime>("select 'infinity'::timestamptz", ())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r57_numbers_at_their_edges_are_exact() {
    let mut connection = connect().await;
    let texts = |values: &[i64]| values.iter().map(ToString::to_string).collect::<Vec<_>>();
    let int8 = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX];
    for (text, value) in texts(&int8).iter().zip(int8) {
        check_both_ways(&mut connection, "int8", &[(text, value)]).await;
    }
    let int4 = [i32::MIN, -1, 0, i32::MAX];
    for (text, value) in texts(&int4.map(i64::from)).iter().zip(int4) {
        check_both_ways(&mut connection, "int4", &[(text, value)]).await;
    }
    let int2 = [i16::MIN, -1, 0, i16::MAX];
    for (text, value) in texts(&int2.map(i64::from)).iter().zip(int2) {
        check_both_ways(&mut connection, "int2", &[(text, value)]).await;
    }
    check_both_ways(
        &mut connection,
        "float8",
        &[
            ("Infinity", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("0", 0.0),
            ("1.7976931348623157e+308", f64::MAX),
            ("2.2250738585072014e-308", f64::MIN_POSITIVE),
            ("5e-324", 5e-324),
        ],
    )
    .await;
    check_both_ways(
        &mut connection,
        "float4",
        &[
            ("Infinity", f32::INFINITY),
            ("-Infinity", f32::NEG_INFINITY),
            ("3.4028235e+38", f32::MAX),
            ("1e-45", 1e-45),
        ],
    )
    .await;
    let (text, zero, nan): (String, f64, f64) = connection
        .fetch_one(
            "select ($1::float8)::text, '-0'::float8, 'NaN'::float8",
            (-0.0_f64,),
        )
        .await
        .unwrap();
    assert_eq!(
        (text.as_str(), zero.to_bits(), nan.is_nan()),
        ("-0", (-0.0_f64).to_bits(), true)
    );
    let is_nan: bool = connection
        .fetch_one(
            "select $1::float8 = 'NaN' and $2::float4 = 'NaN'",
            (f64::NAN, f32::NAN),
        )
        .await
        .unwrap();
    assert!(is_nan);
    // A number that doesn't fit is never clamped.
    let error = connection
        .fetch_one::<i32>("select 1::int8 << 40", ())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
    let error = connection
        .fetch_one::<i16>("select $1::int2", (i32::MAX,))
        .await
        .unwrap_err();
    assert_eq!(
        error.sqlstate(),
        Some(SqlState::NUMERIC_VALUE_OUT_OF_RANGE),
        "{error}"
    );
    check_token(&mut connection).await;
}

#[tokio::test]
async fn s2_sixty_five_thousand_parameters_go_there_and_back() {
    let mut connection = connect().await;
    for count in [0, 1, 32_767, 32_768, 65_535] {
        let values: Vec<i32> = (0..count).map(|i| i * 31 - 7).collect();
        // As so many rows: a row has at most 1,664 columns.
        let places = (1..=count)
            .map(|n| format!("${n}"))
            .collect::<Vec<_>>()
            .join(",");
        let sql = format!("select unnest(array[{places}]::int4[])");
        for _ in 0..2 {
            let back: Vec<i32> = connection.fetch_all(&sql, values.as_slice()).await.unwrap();
            assert!(back == values, "{count} parameters");
        }
    }
    let values = vec![1; 65_536];
    let places = (1..=65_536)
        .map(|n| format!("${n}"))
        .collect::<Vec<_>>()
        .join(",");
    let sql = format!("select cardinality(array[{places}]::int4[])");
    let error = connection
        .fetch_one::<i32>(&sql, &values)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error:.200}");
    assert_eq!(error.outcome(), kornak::error::Outcome::NotRun);
    check_token(&mut connection).await;
    let error = connection
        .fetch::<i32>(&sql, &values)
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn s7_a_nul_in_any_string_is_refused_and_nothing_is_sent() {
    let mut connection = connect().await;
    let bad = "select 'a\0b'";
    let day = Date::from_days(0);
    macro_rules! refused {
        ($asked:expr, $kind:ident) => {
            let error = $asked.await.map(drop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::$kind, "{error}");
            assert_eq!(error.outcome(), kornak::error::Outcome::NotRun, "{error}");
        };
    }
    for _ in 0..2 {
        refused!(connection.execute(bad, ()), Usage);
        refused!(connection.execute(bad, (day,)), Usage);
        refused!(connection.fetch_all::<Row>(bad, ()), Usage);
        refused!(connection.fetch::<Row>(bad, ()), Usage);
        refused!(connection.batch_execute(bad), Usage);
        refused!(connection.describe(bad), Usage);
        // A string among parameters: text, in an array, beside one that is described.
        refused!(connection.execute("select $1", ("a\0b",)), Encode);
        refused!(
            connection.execute("select $1::text[]", (vec!["a", "b\0"],)),
            Encode
        );
        refused!(
            connection.execute("select $1, $2::date", ("\0", day)),
            Encode
        );
        check_token(&mut connection).await;
    }
    let mut transaction = connection.begin().await.unwrap();
    transaction.execute("select 1", ()).await.unwrap();
    refused!(transaction.execute(bad, ()), Usage);
    refused!(transaction.execute("select $1", ("\0",)), Encode);
    // Nothing of it has reached the transaction.
    transaction.execute("select 2", ()).await.unwrap();
    transaction.commit().await.unwrap();
    // A NUL among bytes is a byte.
    let bytes: Vec<u8> = connection
        .fetch_one("select $1::bytea", (vec![0_u8, 1, 0],))
        .await
        .unwrap();
    assert_eq!(bytes, [0, 1, 0]);
    check_token(&mut connection).await;
}
