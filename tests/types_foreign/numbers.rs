//! Decimal numbers.

use bigdecimal::BigDecimal;
use kornak::Connection;
use rust_decimal::Decimal;

use crate::live::connect;
use crate::{check, on, refuses_to_read, refuses_to_write};

const NUMERIC: crate::On<'_> = on("numeric", "numeric_send");

#[tokio::test]
async fn r58_decimals_keep_value_and_scale() {
    let mut connection = connect().await;
    let cases = [
        "0",
        "0.00",
        "1",
        "-1",
        "1.50",
        "-12345.6789",
        "10000",
        "0.0001",
        "120000.5",
        "0.0000000000000000000000000001",
        "0.0000000000000000000000000000",
        "79228162514264337593543950335",
        "-79228162514264337593543950335",
        "7.9228162514264337593543950335",
        "-0.0000000000000000000000000001",
    ]
    .map(|text| (text, text.parse::<Decimal>().unwrap()));
    check(&mut connection, NUMERIC, &cases).await;
    for (text, decimal) in &cases {
        let read: Decimal = one(&mut connection, text).await;
        assert_eq!(read.scale(), decimal.scale(), "{text}");
        assert_eq!(read.to_string(), *text);
    }
    refuses_to_read::<Decimal>(
        &mut connection,
        "numeric",
        &[
            ("NaN", "NaN is no rust_decimal::Decimal"),
            ("Infinity", "Infinity is no rust_decimal::Decimal"),
            ("-Infinity", "-Infinity is no rust_decimal::Decimal"),
            (
                "79228162514264337593543950336",
                "at most 79228162514264337593543950335 without it",
            ),
            (
                "-7922816251426433759354395033.60",
                "at most 28 digits behind the point",
            ),
            (
                "0.00000000000000000000000000000",
                "at most 28 digits behind the point",
            ),
            (
                "340282366920938463463374607431768211456",
                "340282366920938463463374607431768211456 is no rust_decimal",
            ),
            ("1e131071", "the number is no rust_decimal::Decimal"),
            ("-Infinity", "kornak's own Numeric holds every value"),
        ],
    )
    .await;
}

#[tokio::test]
async fn r58_big_decimals_hold_every_finite_number() {
    let mut connection = connect().await;
    let nines = format!("{}.{}", "9".repeat(131_072), "9".repeat(16_383));
    let round = format!("1{}", "0".repeat(131_071));
    let tiny = format!("-0.{}1", "0".repeat(16_382));
    let zeros = format!("0.{}", "0".repeat(16_383));
    let mut texts = vec![
        "0",
        "0.00",
        "1",
        "-1",
        "1.50",
        "-12345.6789",
        "10000",
        "100000000",
        "0.0001",
        "0.00010",
        "120000.5",
        "0.00001234",
        "99999999.99999999",
        "1000.0",
        "10.00",
        "100.000",
        "0.1",
        "0.12",
        "0.123",
        "0.12345",
        &nines,
        &round,
        &tiny,
        &zeros,
    ];
    // Each place of the point within a group, and each number of groups.
    let digits = "12345678901234567890";
    let pointed: Vec<String> = (0..digits.len())
        .map(|place| {
            let whole = if place == 0 { "0" } else { &digits[..place] };
            format!("{whole}.{}", &digits[place..])
        })
        .collect();
    texts.extend(pointed.iter().map(String::as_str));
    let cases: Vec<(&str, BigDecimal)> = texts
        .iter()
        .map(|text| (*text, text.parse().unwrap()))
        .collect();
    check(&mut connection, NUMERIC, &cases).await;
    for (text, number) in &cases {
        let read: BigDecimal = one(&mut connection, text).await;
        assert_eq!(
            read.as_bigint_and_scale(),
            number.as_bigint_and_scale(),
            "{text:.40}"
        );
    }
    // The server has no negative scales; the value is the same.
    for (digits, scale, text) in [
        (15, -1, "150"),
        (15, -2, "1500"),
        (15, -3, "15000"),
        (15, -4, "150000"),
        (-7, -9, "-7000000000"),
        (0, -20_000, "0"),
        (0, i64::MIN, "0"),
    ] {
        let number = BigDecimal::new(digits.into(), scale);
        let written: String = connection
            .fetch_one("select $1::numeric::text", (number,))
            .await
            .unwrap();
        assert_eq!(written, text);
    }
    refuses_to_read::<BigDecimal>(
        &mut connection,
        "numeric",
        &[
            ("NaN", "NaN is no bigdecimal::BigDecimal"),
            ("Infinity", "always a finite number"),
            ("-Infinity", "kornak's own Numeric"),
        ],
    )
    .await;
    let number = |digits: i32, scale| BigDecimal::new(digits.into(), scale);
    refuses_to_write(
        &mut connection,
        "numeric",
        &[
            (number(1, 16_384), "16,383 behind"),
            (number(0, 16_384), "16,383 behind"),
            (number(1, -131_072), "131,072 digits before"),
            (number(10, -131_071), "131,072 digits before"),
            (number(1, i64::MAX), "131,072 digits before"),
            (number(1, i64::MIN), "131,072 digits before"),
        ],
    )
    .await;
}

/// Decimals of all shapes go there and back, and their text is the server's.
#[tokio::test]
async fn r58_decimals_of_all_shapes_go_both_ways() {
    let mut connection = connect().await;
    let mut state = 58_u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state >> 33
    };
    let decimals: Vec<Decimal> = (0..500)
        .map(|_| {
            let coefficient = i128::from(random()) << (random() % 60) >> (random() % 40);
            let signed = if random() % 2 == 0 {
                coefficient
            } else {
                -coefficient
            };
            Decimal::from_i128_with_scale(signed, (random() % 29) as u32)
        })
        .collect();
    let big: Vec<BigDecimal> = decimals
        .iter()
        .map(|decimal| BigDecimal::new(decimal.mantissa().into(), decimal.scale().into()))
        .collect();
    let texts: Vec<String> = decimals.iter().map(ToString::to_string).collect();
    let sql = "select $1::numeric[]::text[], array_send($1::numeric[]) = array_send($2::numeric[]), \
        $1::numeric[], $2::numeric[]";
    let (written, is_same, read, read_big): (Vec<String>, bool, Vec<Decimal>, Vec<BigDecimal>) =
        connection.fetch_one(sql, (&decimals, &big)).await.unwrap();
    let zeros = |text: &str| {
        text.strip_prefix("-0")
            .filter(|rest| !rest.contains(|c| c > '0'))
            .is_some()
    };
    for (written, text) in written.iter().zip(&texts) {
        // The server's zero has no sign.
        let text = if zeros(text) { &text[1..] } else { text };
        assert_eq!(written, text);
    }
    assert!(is_same);
    assert_eq!(read, decimals);
    assert_eq!(read_big, big);
}

async fn one<T>(connection: &mut Connection, text: &str) -> T
where
    T: for<'r> kornak::FromRow<'r>,
{
    let sql = format!("select '{text}'::numeric");
    connection.fetch_one(&sql, ()).await.unwrap()
}
