//! Ranges and multiranges: those that every server has, and those that a database adds.

use std::ops::Bound;

use kornak::codec::{Multirange, Range};
use kornak::{Date, ErrorKind, Numeric, Timestamp, TimestampTz};

use super::live::{check_token, connect};
use super::{check_family, check_refused};

#[tokio::test]
async fn ranges_of_numbers_are_exact() {
    let mut connection = connect().await;
    let connection = &mut connection;
    check_family::<Range<i32>>(
        connection,
        "int4range",
        &[
            "empty",
            "[1,10)",
            "(1,10]",
            "[5,5]",
            "[5,5)",
            "(,)",
            "[,5]",
            "(-5,)",
            "[-2147483648,2147483647)",
        ],
    )
    .await;
    check_family::<Range<i64>>(
        connection,
        "int8range",
        &[
            "empty",
            "[-9223372036854775808,9223372036854775807)",
            "[7,)",
        ],
    )
    .await;
    let long = format!("[-1e131071,0.{}1]", "0".repeat(16_382));
    check_family::<Range<Numeric>>(
        connection,
        "numrange",
        &[
            "empty",
            "[1.50,2.500)",
            "(1.5,1.5000001]",
            "(,0]",
            "[-Infinity,Infinity]",
            "[NaN,NaN]",
            &long,
        ],
    )
    .await;
    check_family::<Multirange<i32>>(
        connection,
        "int4multirange",
        &[
            "{}",
            "{[1,3),[7,)}",
            "{empty,[3,5],[1,3]}",
            "{(,)}",
            "{(,-1),(0,0],[5,6]}",
        ],
    )
    .await;
    check_family::<Multirange<i64>>(connection, "int8multirange", &["{}", "{[1,3),[7,9)}"]).await;
    check_family::<Multirange<Numeric>>(
        connection,
        "nummultirange",
        &["{}", "{(1.50,2.5],[3.00,3.0]}", "{(,1),(1,)}"],
    )
    .await;
    let backwards = Range::Between(Bound::Included(2), Bound::Excluded(1));
    check_refused(connection, "int4range", backwards).await;
    check_refused(connection, "int4multirange", Multirange(vec![backwards])).await;
}

#[tokio::test]
async fn r57_ranges_of_dates_and_times_are_exact() {
    let mut connection = connect().await;
    let connection = &mut connection;
    connection
        .batch_execute("set datestyle to iso; set timezone to 'UTC'")
        .await
        .unwrap();
    check_family::<Range<Date>>(
        connection,
        "daterange",
        &[
            "empty",
            "[2024-02-29,2024-03-01]",
            "[\"4714-11-24 BC\",5874897-12-31)",
            "[-infinity,infinity)",
            "(-infinity,infinity]",
            "(,2000-01-01)",
        ],
    )
    .await;
    check_family::<Range<Timestamp>>(
        connection,
        "tsrange",
        &[
            "empty",
            "[4714-11-24 00:00:00 BC,294276-12-31 23:59:59.999999]",
            "(2024-02-29 12:00:00.5,infinity]",
        ],
    )
    .await;
    check_family::<Range<TimestampTz>>(
        connection,
        "tstzrange",
        &[
            "empty",
            "[2000-01-01 00:00:00+15:59:59,2000-01-02 00:00:00-15:59:59)",
            "[-infinity,)",
        ],
    )
    .await;
    check_family::<Multirange<Date>>(
        connection,
        "datemultirange",
        &["{}", "{[2024-01-01,2024-01-31],[2024-03-01,infinity)}"],
    )
    .await;
    check_family::<Multirange<Timestamp>>(
        connection,
        "tsmultirange",
        &["{[2024-01-01 00:00,2024-01-31 24:00],(2024-03-01 01:02:03.000004,)}"],
    )
    .await;
    check_family::<Multirange<TimestampTz>>(
        connection,
        "tstzmultirange",
        &["{[2024-01-01 00:00+00,2024-01-31 24:00+00],(2024-03-01 01:02:03.000004-08,)}"],
    )
    .await;
}

#[tokio::test]
async fn ranges_of_a_databases_own_are_found_by_themselves() {
    let mut connection = connect().await;
    let mut transaction = connection.begin().await.unwrap();
    transaction
        .batch_execute(
            "create schema families;
             create domain families.word as text collate \"C\" check (value <> 'forbidden');
             create type families.words as range (subtype = families.word);
             create type families.floats as range (
                 subtype = float8, multirange_type_name = families.sets);
             create type families.pair as (a int, b text);
             create type families.pairs as range (subtype = families.pair);
             create domain families.some_words as families.words check (not isempty(value));",
        )
        .await
        .unwrap();
    check_family::<Range<String>>(
        &mut transaction,
        "families.words",
        &[
            "empty",
            "[plain,with space]",
            "[\"\",\"\\\"\\\\\"]",
            "[\"(\",\"[,]\")",
            "(\" \",na\u{ef}ve]",
            "(,)",
        ],
    )
    .await;
    let ranges = ["empty", "[1.5,1e100)", "(-Infinity,Infinity)", "[0.1,)"];
    for text in ranges {
        let sql = format!("select '{text}'::families.floats, '{{{text}}}'::families.sets");
        let (range, set): (Range<f64>, Multirange<f64>) =
            transaction.fetch_one(&sql, ()).await.unwrap();
        let sql = format!(
            "select range_send($1::families.floats) = range_send('{text}'::families.floats) \
             and multirange_send($2::families.sets) = multirange_send('{{{text}}}'::families.sets)"
        );
        let is_same: bool = transaction.fetch_one(&sql, (range, &set)).await.unwrap();
        assert!(is_same, "{text}");
    }
    // A domain over a range, and an array of that.
    let sql = "select '[a,b]'::families.some_words, array['[a,b]'::families.some_words]";
    let wanted = Range::from("a".to_owned()..="b".to_owned());
    let (one, many): (Range<String>, Vec<Range<String>>) =
        transaction.fetch_one(sql, ()).await.unwrap();
    assert_eq!((&one, &many), (&wanted, &vec![wanted.clone()]));
    let is_same: bool = transaction
        .fetch_one(
            "select $1::families.some_words = '[a,b]' and $2::families.some_words[] = '{\"[a,b]\"}'",
            (one, many),
        )
        .await
        .unwrap();
    assert!(is_same);
    transaction.rollback().await.unwrap();
    check_token(&mut connection).await;
}

#[tokio::test]
async fn the_ranges_of_the_standard_library_are_parameters() {
    let mut connection = connect().await;
    let shown: (String, String, String, String, String) = connection
        .fetch_one(
            "select $1::int4range::text, $2::int4range::text, $3::int4range::text, \
             $4::int4range::text, $5::int4range::text",
            (1..10, 1..=10, 1.., ..10, ..=10),
        )
        .await
        .unwrap();
    let shown = [&shown.0, &shown.1, &shown.2, &shown.3, &shown.4];
    assert_eq!(shown, ["[1,10)", "[1,11)", "[1,)", "(,10)", "(,11)"]);
    let all = Range::from(..);
    let others = vec![
        Range::Between(Bound::Excluded(1_i64), Bound::Included(3)),
        all,
        Range::Empty,
    ];
    let shown: String = connection
        .fetch_one("select $1::int8range[]::text", (&others,))
        .await
        .unwrap();
    assert_eq!(shown, "{\"[2,4)\",\"(,)\",empty}");
}

#[tokio::test]
async fn a_range_over_another_type_is_a_typed_error() {
    let mut connection = connect().await;
    let error = connection
        .fetch_one::<Range<i32>>("select '[1,2)'::int8range as span", ())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    let text = error.to_string();
    for part in [
        "span",
        "int8range",
        "Range<i32>",
        "kornak::codec::Range<i64>",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let error = connection
        .fetch_one::<bool>("select $1::numrange @> 1.5", (1..2,))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encode);
    let text = error.to_string();
    for part in ["$1", "lower bound", "numeric", "i32", "kornak::Numeric"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let error = connection
        .fetch_one::<Multirange<i32>>("select '{}'::datemultirange", ())
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("kornak::codec::Multirange<kornak::Date>"),
        "{text}"
    );
    check_token(&mut connection).await;
}
