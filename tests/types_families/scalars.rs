//! Numbers, dates, times, bits and addresses.

use kornak::codec::{BitString, Cidr, Inet, MacAddr, MacAddr8, Money, Numeric};
use kornak::{Date, Interval, Time, TimeTz, Timestamp, TimestampTz};

use super::check_family;
use super::live::connect;

#[tokio::test]
async fn r58_numbers_of_all_sizes_are_exact() {
    let mut connection = connect().await;
    let connection = &mut connection;
    let largest = format!("{}.{}", "9".repeat(131_072), "9".repeat(16_383));
    let smallest = format!("-0.{}1", "0".repeat(16_382));
    let zero = format!("0.{}", "0".repeat(16_383));
    let round = format!("1{}", "0".repeat(131_071));
    check_family::<Numeric>(
        connection,
        "numeric",
        &[
            "0",
            "0.00",
            "-0.0",
            "1",
            "-1",
            "9999",
            "10000",
            "1.50",
            "0.0001",
            "0.00001",
            "-12345.6789",
            "1e20",
            "1e-20",
            "12345678901234567890.123456789",
            "NaN",
            "Infinity",
            "-Infinity",
            &largest,
            &smallest,
            &zero,
            &round,
        ],
    )
    .await;
    // The text is read here as it is there, and the server keeps the scale.
    for text in [
        &*largest, &*smallest, &*zero, &*round, "1.50", "-7e3", "Infinity",
    ] {
        let number: Numeric = text.parse().unwrap();
        let (is_same, shown): (bool, String) = connection
            .fetch_one(
                "select numeric_send($1) = numeric_send($2::text::numeric), $1::text",
                (&number, text),
            )
            .await
            .unwrap();
        assert!(is_same, "{text:.40}");
        assert_eq!(shown, number.to_string());
    }
}

#[tokio::test]
async fn r57_intervals_are_exact() {
    let mut connection = connect().await;
    let connection = &mut connection;
    check_family::<Interval>(
        connection,
        "interval",
        &[
            "0",
            "1 year 2 mons 3 days 04:05:06.789",
            "-1 year -2 mons +3 days -04:05:06.7",
            "1 mon -1 day",
            "-00:00:00.000001",
            "1 day -00:00:01",
            "178000000 years",
            "-178000000 years 11 mons",
            "2147483646 mons 2147483647 days",
            "-2147483648 days",
            "2562047788:00:54.775807",
            "-2562047788:00:54.775807",
            "100:00:00",
        ],
    )
    .await;
    let infinite = connection
        .fetch_one::<(Interval, Interval)>("select 'infinity'::interval, '-infinity'::interval", ())
        .await;
    match infinite {
        Ok(infinite) => {
            assert_eq!(infinite, (Interval::INFINITY, Interval::NEG_INFINITY));
            let texts = ["infinity", "-infinity"];
            check_family::<Interval>(connection, "interval", &texts).await;
        }
        // PostgreSQL 17 was the first to have them.
        Err(error) => {
            assert!(error.as_server().is_some(), "{error}");
            let version: i32 = connection
                .fetch_one("select current_setting('server_version_num')::int", ())
                .await
                .unwrap();
            assert!(version < 170_000, "{version}");
        }
    }
}

#[tokio::test]
async fn r57_dates_times_and_amounts_are_exact() {
    let mut connection = connect().await;
    let connection = &mut connection;
    connection
        .batch_execute("set datestyle to iso; set timezone to 'UTC'; set lc_monetary to 'C'")
        .await
        .unwrap();
    check_family::<Date>(
        connection,
        "date",
        &[
            "4714-11-24 BC",
            "0001-02-29 BC",
            "2024-02-29",
            "5874897-12-31",
            "infinity",
            "-infinity",
        ],
    )
    .await;
    check_family::<Time>(
        connection,
        "time",
        &["00:00", "24:00:00", "23:59:59.999999"],
    )
    .await;
    check_family::<TimeTz>(
        connection,
        "timetz",
        &[
            "00:00:00+15:59:59",
            "24:00:00-15:59:59",
            "12:34:56.789+05:30",
            "23:59:59.999999-00:00:01",
            "12:00:00+00",
        ],
    )
    .await;
    check_family::<Timestamp>(
        connection,
        "timestamp",
        &[
            "4714-11-24 00:00:00 BC",
            "294276-12-31 23:59:59.999999",
            "infinity",
            "-infinity",
        ],
    )
    .await;
    check_family::<TimestampTz>(
        connection,
        "timestamptz",
        &[
            "4714-11-24 00:00:00+00 BC",
            "294276-12-31 23:59:59.999999+00",
            "-infinity",
        ],
    )
    .await;
    check_family::<Money>(
        connection,
        "money",
        &[
            "0",
            "1",
            "-1234.56",
            "92233720368547758.07",
            "-92233720368547758.08",
        ],
    )
    .await;
}

#[tokio::test]
async fn strings_of_bits_are_exact() {
    let mut connection = connect().await;
    let connection = &mut connection;
    let many = "10".repeat(5_000);
    let texts = ["", "0", "1", "10110111", "101101110", &many];
    check_family::<BitString>(connection, "varbit", &texts).await;
    check_family::<BitString>(connection, "bit(9)", &["101101110", "000000000"]).await;
}

#[tokio::test]
async fn addresses_are_exact() {
    let mut connection = connect().await;
    let connection = &mut connection;
    check_family::<Inet>(
        connection,
        "inet",
        &[
            "0.0.0.0",
            "255.255.255.255",
            "192.168.0.1/24",
            "10.1.2.3/0",
            "::",
            "::1",
            "2001:db8::8:800:200c:417a/64",
            "::ffff:1.2.3.4",
            "::1.2.3.4",
            "1:2:3:4:5:6:7:8/127",
            "1:0:0:2:0:0:0:3",
            "fe80::/10",
        ],
    )
    .await;
    check_family::<Cidr>(
        connection,
        "cidr",
        &[
            "0.0.0.0/0",
            "192.168.0.0/16",
            "10.1.2.3/32",
            "::/0",
            "2001:db8::/32",
            "::1/128",
        ],
    )
    .await;
    check_family::<MacAddr>(
        connection,
        "macaddr",
        &[
            "00:00:00:00:00:00",
            "ff:ff:ff:ff:ff:ff",
            "08:00:2b:01:02:03",
        ],
    )
    .await;
    check_family::<MacAddr8>(
        connection,
        "macaddr8",
        &["00:00:00:00:00:00:00:00", "08:00:2b:ff:fe:01:02:03"],
    )
    .await;
}
