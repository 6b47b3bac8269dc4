//! Dates, times and intervals.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use jiff::civil;
use jiff::{SignedDuration, Span, ToSpan};
use kornak::Connection;
use time::{Duration, OffsetDateTime, PrimitiveDateTime, UtcDateTime, UtcOffset};

use crate::live::connect;
use crate::{On, check, on, refuses_to_read, refuses_to_write};

const DATE: On<'_> = on("date", "date_send");
const TIME: On<'_> = on("time", "time_send");
const TIMESTAMP: On<'_> = on("timestamp", "timestamp_send");
const TIMESTAMPTZ: On<'_> = on("timestamptz", "timestamptz_send");
const INTERVAL: On<'_> = on("interval", "interval_send");

/// Days that every crate has: year, month and day.
const DAYS: [(&str, [i16; 3]); 8] = [
    ("2000-01-01", [2000, 1, 1]),
    ("1999-12-31", [1999, 12, 31]),
    ("2024-02-29", [2024, 2, 29]),
    ("0001-01-01", [1, 1, 1]),
    ("0001-12-31 BC", [0, 12, 31]),
    ("0045-03-15 BC", [-44, 3, 15]),
    ("4714-11-24 BC", [-4713, 11, 24]),
    ("9999-12-31", [9999, 12, 31]),
];

/// Times that every crate has: hour, minute, second and microsecond.
const TIMES: [(&str, [u32; 4]); 4] = [
    ("00:00:00", [0, 0, 0, 0]),
    ("12:34:56.7", [12, 34, 56, 700_000]),
    ("00:00:00.000001", [0, 0, 0, 1]),
    ("23:59:59.999999", [23, 59, 59, 999_999]),
];

/// Moments of some of those days at some of those times, in UTC.
fn moments() -> Vec<(String, [i16; 3], [u32; 4])> {
    let mut moments = Vec::new();
    for (day, date) in DAYS {
        for (text, time) in TIMES {
            let (day, era) = match day.strip_suffix(" BC") {
                Some(day) => (day, " BC"),
                None => (day, ""),
            };
            moments.push((format!("{day} {text}{era}"), date, time));
        }
    }
    moments
}

/// Lends the texts.
fn lent<T: Clone>(cases: &[(String, T)]) -> Vec<(&str, T)> {
    cases
        .iter()
        .map(|(text, value)| (text.as_str(), value.clone()))
        .collect()
}

async fn utc() -> Connection {
    let mut connection = connect().await;
    connection
        .batch_execute("set timezone to 'UTC'; set datestyle to iso")
        .await
        .unwrap();
    connection
}

#[tokio::test]
async fn r57_chrono_is_exact_or_refused() {
    let mut db = utc().await;
    let day = |[year, month, day]: [i16; 3]| {
        let small = |part: i16| u32::try_from(part).unwrap();
        NaiveDate::from_ymd_opt(year.into(), small(month), small(day)).unwrap()
    };
    let time = |[hour, minute, second, microsecond]: [u32; 4]| {
        NaiveTime::from_hms_micro_opt(hour, minute, second, microsecond).unwrap()
    };
    check(&mut db, DATE, &DAYS.map(|(text, date)| (text, day(date)))).await;
    let last = NaiveDate::from_ymd_opt(262_142, 12, 31).unwrap();
    check(&mut db, DATE, &[("262142-12-31", last)]).await;
    check(
        &mut db,
        TIME,
        &TIMES.map(|(text, parts)| (text, time(parts))),
    )
    .await;
    let naive: Vec<(String, NaiveDateTime)> = moments()
        .into_iter()
        .map(|(text, date, parts)| (text, day(date).and_time(time(parts))))
        .collect();
    check(&mut db, TIMESTAMP, &lent(&naive)).await;
    let utc: Vec<(String, DateTime<Utc>)> = naive
        .iter()
        .map(|(text, naive)| (text.clone(), naive.and_utc()))
        .collect();
    check(&mut db, TIMESTAMPTZ, &lent(&utc)).await;
    let fixed: Vec<(String, DateTime<FixedOffset>)> = utc
        .iter()
        .map(|(text, utc)| (text.clone(), utc.fixed_offset()))
        .collect();
    check(&mut db, TIMESTAMPTZ, &lent(&fixed)).await;
    // The offset moves the moment, and is not kept.
    let text = "2024-02-29T12:00:00+05:30";
    let moment = DateTime::parse_from_rfc3339(text).unwrap();
    let read: DateTime<FixedOffset> = db
        .fetch_one("select $1::timestamptz", (moment,))
        .await
        .unwrap();
    assert_eq!(read, moment);
    assert_eq!(read.to_string(), "2024-02-29 06:30:00 +00:00");

    refuses_to_read::<NaiveDate>(
        &mut db,
        "date",
        &[
            (
                "infinity",
                "infinity is out of the range from -262143-01-01 to",
            ),
            ("-infinity", "HINT: kornak's own Date holds every value"),
            ("262143-01-01", "to +262142-12-31"),
            ("5874897-12-31", "5874897-12-31 is out of the range"),
        ],
    )
    .await;
    let end_of_day = [(
        "24:00:00",
        "24:00:00 is out of the range from 00:00:00 to 23:59:59.999999",
    )];
    refuses_to_read::<NaiveTime>(&mut db, "time", &end_of_day).await;
    let late = [
        ("infinity", "infinity is out of the range"),
        ("-infinity", "-infinity is out of the range"),
        (
            "294276-12-31 23:59:59.999999",
            "294276-12-31 23:59:59.999999 is out of the range",
        ),
    ];
    refuses_to_read::<NaiveDateTime>(&mut db, "timestamp", &late).await;
    let late = [
        ("infinity", "infinity is out of the range"),
        ("-infinity", "to +262142-12-31"),
        (
            "294276-12-31 23:59:59.999999",
            "294276-12-31 23:59:59.999999+00 is out of the range",
        ),
    ];
    refuses_to_read::<DateTime<Utc>>(&mut db, "timestamptz", &late).await;
    refuses_to_read::<DateTime<FixedOffset>>(&mut db, "timestamptz", &late).await;

    let early = NaiveDate::from_ymd_opt(-4713, 11, 23).unwrap();
    let range = "is out of the range from 4714-11-24 BC to 5874897-12-31";
    refuses_to_write(&mut db, "date", &[(early, range), (NaiveDate::MIN, range)]).await;
    let midnight = NaiveTime::MIN;
    refuses_to_write(&mut db, "timestamp", &[(early.and_time(midnight), range)]).await;
    refuses_to_write(&mut db, "timestamptz", &[(DateTime::<Utc>::MIN_UTC, range)]).await;
    let leap = NaiveTime::from_hms_milli_opt(23, 59, 59, 1_500).unwrap();
    refuses_to_write(&mut db, "time", &[(leap, "is a leap second")]).await;
    refuses_to_write(
        &mut db,
        "timestamp",
        &[(day([2016, 12, 31]).and_time(leap), "a leap second")],
    )
    .await;
    // Of a moment that is finer than a microsecond the past one is written.
    let fine = DateTime::from_timestamp(-1, 999_999_999).unwrap();
    let written: String = db
        .fetch_one("select $1::timestamptz::text", (fine,))
        .await
        .unwrap();
    assert_eq!(written, "1969-12-31 23:59:59.999999+00");
}

#[tokio::test]
async fn r57_time_is_exact_or_refused() {
    let mut db = utc().await;
    let small = |part: u32| u8::try_from(part).unwrap();
    let day = |[year, month, day]: [i16; 3]| {
        let month = u8::try_from(month).unwrap().try_into().unwrap();
        time::Date::from_calendar_date(year.into(), month, day.try_into().unwrap()).unwrap()
    };
    let clock = |[hour, minute, second, microsecond]: [u32; 4]| {
        time::Time::from_hms_micro(small(hour), small(minute), small(second), microsecond).unwrap()
    };
    check(&mut db, DATE, &DAYS.map(|(text, date)| (text, day(date)))).await;
    check(
        &mut db,
        TIME,
        &TIMES.map(|(text, parts)| (text, clock(parts))),
    )
    .await;
    let naive: Vec<(String, PrimitiveDateTime)> = moments()
        .into_iter()
        .map(|(text, date, parts)| (text, PrimitiveDateTime::new(day(date), clock(parts))))
        .collect();
    check(&mut db, TIMESTAMP, &lent(&naive)).await;
    let moments: Vec<(String, OffsetDateTime)> = naive
        .iter()
        .map(|(text, naive)| (text.clone(), naive.assume_utc()))
        .collect();
    check(&mut db, TIMESTAMPTZ, &lent(&moments)).await;
    let utc: Vec<(String, UtcDateTime)> = moments
        .iter()
        .map(|(text, moment)| (text.clone(), moment.to_utc()))
        .collect();
    check(&mut db, TIMESTAMPTZ, &lent(&utc)).await;
    let offset = UtcOffset::from_hms(-25, -30, -1).unwrap();
    let moment = day([2024, 2, 29]).midnight().assume_offset(offset);
    let read: OffsetDateTime = db
        .fetch_one("select $1::timestamptz", (moment,))
        .await
        .unwrap();
    assert_eq!(read, moment);
    assert_eq!(read.offset(), UtcOffset::UTC);

    refuses_to_read::<time::Date>(
        &mut db,
        "date",
        &[
            (
                "infinity",
                "infinity is out of the range from -9999-01-01 to 9999-12-31",
            ),
            ("-infinity", "-infinity is out of the range"),
            ("10000-01-01", "HINT: kornak's own Date holds every value"),
            ("5874897-12-31", "5874897-12-31 is out of the range"),
        ],
    )
    .await;
    let end_of_day = [(
        "24:00:00",
        "24:00:00 is out of the range from 00:00:00 to 23:59:59.999999",
    )];
    refuses_to_read::<time::Time>(&mut db, "time", &end_of_day).await;
    let late = [
        ("infinity", "infinity is out of the range"),
        ("-infinity", "-infinity is out of the range"),
        ("10000-01-01 00:00:00", "10000-01-01 00:00:00"),
        (
            "294276-12-31 23:59:59.999999",
            "294276-12-31 23:59:59.999999",
        ),
    ];
    refuses_to_read::<PrimitiveDateTime>(&mut db, "timestamp", &late).await;
    refuses_to_read::<OffsetDateTime>(&mut db, "timestamptz", &late).await;
    refuses_to_read::<UtcDateTime>(&mut db, "timestamptz", &late).await;

    let early = day([-4713, 11, 23]);
    let range = "is out of the range from 4714-11-24";
    refuses_to_write(&mut db, "date", &[(early, range), (time::Date::MIN, range)]).await;
    refuses_to_write(&mut db, "timestamp", &[(early.midnight(), range)]).await;
    refuses_to_write(
        &mut db,
        "timestamptz",
        &[(early.midnight().assume_utc(), range)],
    )
    .await;
    refuses_to_write(&mut db, "timestamptz", &[(UtcDateTime::MIN, range)]).await;
    let fine = OffsetDateTime::from_unix_timestamp_nanos(-1).unwrap();
    let written: String = db
        .fetch_one("select $1::timestamptz::text", (fine,))
        .await
        .unwrap();
    assert_eq!(written, "1969-12-31 23:59:59.999999+00");
}

#[tokio::test]
async fn r57_jiff_is_exact_or_refused() {
    let mut db = utc().await;
    let small = |part: i16| i8::try_from(part).unwrap();
    let day = |[year, month, day]: [i16; 3]| civil::date(year, small(month), small(day));
    let clock = |[hour, minute, second, microsecond]: [u32; 4]| {
        let small = |part: u32| i8::try_from(part).unwrap();
        let nanosecond = i32::try_from(microsecond * 1000).unwrap();
        civil::time(small(hour), small(minute), small(second), nanosecond)
    };
    check(&mut db, DATE, &DAYS.map(|(text, date)| (text, day(date)))).await;
    check(
        &mut db,
        TIME,
        &TIMES.map(|(text, parts)| (text, clock(parts))),
    )
    .await;
    let naive: Vec<(String, civil::DateTime)> = moments()
        .into_iter()
        .map(|(text, date, parts)| (text, day(date).to_datetime(clock(parts))))
        .collect();
    check(&mut db, TIMESTAMP, &lent(&naive)).await;
    let utc: Vec<(String, jiff::Timestamp)> = naive
        .iter()
        // The last days of jiff's calendar are a matter of zones.
        .filter(|(_, naive)| naive.year() < 9999)
        .map(|(text, naive)| {
            let zone = jiff::tz::TimeZone::UTC;
            (text.clone(), naive.to_zoned(zone).unwrap().timestamp())
        })
        .collect();
    check(&mut db, TIMESTAMPTZ, &lent(&utc)).await;
    let last = jiff::Timestamp::from_nanosecond(jiff::Timestamp::MAX.as_nanosecond() / 1000 * 1000)
        .unwrap();
    let text = last.to_string();
    check(&mut db, TIMESTAMPTZ, &[(&text, last)]).await;

    refuses_to_read::<civil::Date>(
        &mut db,
        "date",
        &[
            (
                "infinity",
                "infinity is out of the range from -009999-01-01 to 9999-12-31",
            ),
            ("-infinity", "-infinity is out of the range"),
            ("10000-01-01", "HINT: kornak's own Date holds every value"),
            ("5874897-12-31", "5874897-12-31 is out of the range"),
        ],
    )
    .await;
    let end_of_day = [(
        "24:00:00",
        "24:00:00 is out of the range from 00:00:00 to 23:59:59.999999",
    )];
    refuses_to_read::<civil::Time>(&mut db, "time", &end_of_day).await;
    let late = [
        ("infinity", "infinity is out of the range"),
        ("-infinity", "-infinity is out of the range"),
        ("10000-01-01 00:00:00", "10000-01-01 00:00:00"),
        (
            "294276-12-31 23:59:59.999999",
            "294276-12-31 23:59:59.999999",
        ),
    ];
    refuses_to_read::<civil::DateTime>(&mut db, "timestamp", &late).await;
    refuses_to_read::<jiff::Timestamp>(&mut db, "timestamptz", &late).await;

    let early = day([-4713, 11, 23]);
    let range = "is out of the range from 4714-11-24";
    refuses_to_write(
        &mut db,
        "date",
        &[(early, range), (civil::Date::MIN, range)],
    )
    .await;
    refuses_to_write(&mut db, "timestamp", &[(civil::DateTime::MIN, range)]).await;
    refuses_to_write(&mut db, "timestamptz", &[(jiff::Timestamp::MIN, range)]).await;
    let fine = jiff::Timestamp::from_nanosecond(-1).unwrap();
    let written: String = db
        .fetch_one("select $1::timestamptz::text", (fine,))
        .await
        .unwrap();
    assert_eq!(written, "1969-12-31 23:59:59.999999+00");
}

/// The years, months and days that no duration has.
const NOT_JUST_A_LENGTH: [(&str, &str); 4] = [
    ("1 day", "the interval 1 day is not just a length of time"),
    ("1 month", "months and days differ"),
    (
        "1 year -1 day 01:00",
        "HINT: kornak's own Interval holds every value",
    ),
    ("-1 day +24:00", "is not just a length"),
];

#[tokio::test]
async fn r57_durations_are_intervals_without_days() {
    let mut db = utc().await;
    let cases = [
        ("00:00:00", 0),
        ("00:00:00.000001", 1),
        ("-00:00:00.000001", -1),
        ("100000:00:00", 360_000_000_000_000),
        ("-2562047788:00:54.775807", -i64::MAX),
        ("2562047788:00:54.775807", i64::MAX),
    ];
    check(
        &mut db,
        INTERVAL,
        &cases.map(|(text, us)| (text, TimeDelta::microseconds(us))),
    )
    .await;
    check(
        &mut db,
        INTERVAL,
        &cases.map(|(text, us)| (text, Duration::microseconds(us))),
    )
    .await;
    check(
        &mut db,
        INTERVAL,
        &cases.map(|(text, us)| (text, SignedDuration::from_micros(us))),
    )
    .await;
    refuses_to_read::<TimeDelta>(&mut db, "interval", &NOT_JUST_A_LENGTH).await;
    refuses_to_read::<Duration>(&mut db, "interval", &NOT_JUST_A_LENGTH).await;
    refuses_to_read::<SignedDuration>(&mut db, "interval", &NOT_JUST_A_LENGTH).await;
    let limit = "more microseconds than 64 bits hold";
    refuses_to_write(
        &mut db,
        "interval",
        &[(TimeDelta::MAX, limit), (TimeDelta::MIN, limit)],
    )
    .await;
    refuses_to_write(
        &mut db,
        "interval",
        &[(Duration::MAX, limit), (Duration::MIN, limit)],
    )
    .await;
    let (most, least) = (SignedDuration::MAX, SignedDuration::MIN);
    refuses_to_write(&mut db, "interval", &[(most, limit), (least, limit)]).await;
    // What is finer than a microsecond is cut off.
    let (a, b, c): (String, String, String) = db
        .fetch_one(
            "select $1::interval::text, $2::interval::text, $3::interval::text",
            (
                TimeDelta::nanoseconds(-1_999),
                Duration::nanoseconds(-1_999),
                SignedDuration::from_nanos(-1_999),
            ),
        )
        .await
        .unwrap();
    assert_eq!([a, b, c], ["-00:00:00.000001"; 3]);
}

#[tokio::test]
async fn r57_spans_are_intervals_of_one_sign() {
    let mut db = utc().await;
    for (text, span) in [
        ("0", Span::new()),
        ("1 mon", 1.month()),
        (
            "14 mons 3 days 00:00:04.000005",
            14.months().days(3).microseconds(4_000_005),
        ),
        (
            "-14 mons -3 days -00:00:04.000005",
            -14.months().days(3).microseconds(4_000_005),
        ),
        ("239976 mons 7304484 days", 239_976.months().days(7_304_484)),
        (
            "175307616:00:00",
            631_107_417_600_000_000_i64.microseconds(),
        ),
    ] {
        let sql = format!(
            "select '{text}'::interval, interval_send($1::interval) = interval_send('{text}'::interval)"
        );
        let (read, is_same): (Span, bool) = db
            .fetch_one(&sql, (span,))
            .await
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(read.fieldwise(), span.fieldwise(), "{text}");
        assert!(is_same, "{text}");
    }
    // Units that an interval lacks are put into those that it has.
    let span = 1
        .year()
        .months(2)
        .weeks(3)
        .days(4)
        .hours(5)
        .minutes(6)
        .seconds(7)
        .milliseconds(8);
    let text: String = db
        .fetch_one(
            "select $1::interval::text",
            (span.microseconds(9).nanoseconds(10),),
        )
        .await
        .unwrap();
    assert_eq!(text, "1 year 2 mons 25 days 05:06:07.008009");
    let text: String = db
        .fetch_one("select $1::interval::text", (-span,))
        .await
        .unwrap();
    assert_eq!(text, "-1 years -2 mons -25 days -05:06:07.008");
    refuses_to_read::<Span>(
        &mut db,
        "interval",
        &[
            (
                "1 day -00:00:01",
                "has parts of both signs, a jiff::Span has one sign",
            ),
            (
                "-1 month 1 day",
                "HINT: kornak's own Interval holds every value",
            ),
            ("239977 months", "is longer than a jiff::Span"),
            ("7304485 days", "19,998 years"),
            ("2147483647 days", "is longer than a jiff::Span"),
            ("-2562047788:00:54.775807", "is longer than a jiff::Span"),
        ],
    )
    .await;
}
