//! The date and time types of `jiff`, version 0.2.
//!
//! Infinities, 24:00:00 and years outside of −9999 to 9999 have no counterpart there. There
//! is no codec for `Zoned`: the server keeps no time zone with a `timestamptz`, so that one
//! would come back as another value.

use jiff::civil::{self, DateTime};
use jiff::{SignedDuration, Span, Timestamp as Moment};

use super::through::{NoCounterpart, exact_microseconds, through};
use crate::codec::{Date, Interval, Time, Timestamp, TimestampTz};

/// The microseconds from 1970-01-01 to 2000-01-01.
const MICROSECONDS_TO_2000: i128 = 946_684_800_000_000;

through!(
    /// `date`.
    jiff::civil::Date, Date, [DATE], |date| to_date(*date), from_date
);
through!(
    /// `time`. What is finer than a microsecond is cut off.
    jiff::civil::Time, Time, [TIME], |time| to_time(*time), from_time
);
through!(
    /// `timestamp`. What is finer than a microsecond is cut off, towards the past.
    jiff::civil::DateTime, Timestamp, [TIMESTAMP], to_timestamp, from_timestamp
);
through!(
    /// `timestamptz`. What is finer than a microsecond is cut off, towards the past.
    jiff::Timestamp, TimestampTz, [TIMESTAMPTZ], to_moment, from_moment
);
through!(
    /// An `interval`: years and months become its months, weeks and days its days, all that
    /// is smaller its microseconds; what is finer than that is cut off, towards zero. It is
    /// read as months, days and microseconds, which must have one sign in a `Span`.
    jiff::Span, Interval, [INTERVAL], span_to_interval, span_from_interval
);
through!(
    /// An `interval` without months and days, which have no fixed length. What is finer than
    /// a microsecond is cut off, towards zero.
    jiff::SignedDuration, Interval, [INTERVAL], duration_to_interval,
    |interval| exact_microseconds(interval).map(SignedDuration::from_micros)
);

#[inline]
fn to_date(date: civil::Date) -> Result<Date, NoCounterpart> {
    Date::new(
        date.year().into(),
        date.month().unsigned_abs(),
        date.day().unsigned_abs(),
    )
    .ok_or_else(|| NoCounterpart::outside(date, Date::MIN, Date::MAX))
}

#[inline]
fn from_date(date: Date) -> Result<civil::Date, NoCounterpart> {
    date.year_month_day()
        .and_then(|(year, month, day)| {
            let year = i16::try_from(year).ok()?;
            // Months and days are small numbers.
            civil::Date::new(year, month as i8, day as i8).ok()
        })
        .ok_or_else(|| NoCounterpart::outside(date, civil::Date::MIN, civil::Date::MAX))
}

#[inline]
fn to_time(time: civil::Time) -> Result<Time, NoCounterpart> {
    Time::new(
        time.hour().unsigned_abs(),
        time.minute().unsigned_abs(),
        time.second().unsigned_abs(),
        time.subsec_nanosecond().unsigned_abs() / 1000,
    )
    .ok_or_else(|| NoCounterpart::outside(time, Time::MIN, Time::MAX))
}

#[inline]
fn from_time(time: Time) -> Result<civil::Time, NoCounterpart> {
    let (hour, minute, second, microsecond) = time.parts();
    // Hours, minutes, seconds and their billionth parts are small numbers.
    let nanosecond = (microsecond * 1000) as i32;
    civil::Time::new(hour as i8, minute as i8, second as i8, nanosecond)
        .map_err(|_| NoCounterpart::outside(time, civil::Time::MIN, civil::Time::MAX))
}

#[inline]
fn to_timestamp(timestamp: &DateTime) -> Result<Timestamp, NoCounterpart> {
    Timestamp::new(to_date(timestamp.date())?, to_time(timestamp.time())?)
        .ok_or_else(|| NoCounterpart::outside(timestamp, Timestamp::MIN, Timestamp::MAX))
}

#[inline]
fn from_timestamp(timestamp: Timestamp) -> Result<DateTime, NoCounterpart> {
    let outside = || NoCounterpart::outside(timestamp, DateTime::MIN, DateTime::MAX);
    let date = timestamp.date().ok_or_else(outside)?;
    let time = timestamp.time().ok_or_else(outside)?;
    let date = from_date(date).map_err(|_| outside())?;
    Ok(date.to_datetime(from_time(time)?))
}

#[inline]
fn to_moment(moment: &Moment) -> Result<TimestampTz, NoCounterpart> {
    let microseconds = moment.as_nanosecond().div_euclid(1000) - MICROSECONDS_TO_2000;
    i64::try_from(microseconds)
        .ok()
        .map(TimestampTz::from_microseconds)
        .filter(|moment| (TimestampTz::MIN..=TimestampTz::MAX).contains(moment))
        .ok_or_else(|| NoCounterpart::outside(moment, TimestampTz::MIN, TimestampTz::MAX))
}

#[inline]
fn from_moment(moment: TimestampTz) -> Result<Moment, NoCounterpart> {
    // Not from microseconds: those of the last second there is are refused.
    let nanoseconds = (i128::from(moment.microseconds()) + MICROSECONDS_TO_2000) * 1000;
    Some(nanoseconds)
        .filter(|_| moment.is_finite())
        .and_then(|nanoseconds| Moment::from_nanosecond(nanoseconds).ok())
        .ok_or_else(|| NoCounterpart::outside(moment, Moment::MIN, Moment::MAX))
}

/// A span's units are limited, so that none of these sums can overflow.
#[inline]
fn span_to_interval(span: &Span) -> Result<Interval, NoCounterpart> {
    let months = i32::from(span.get_years()) * 12 + span.get_months();
    let days = span.get_weeks() * 7 + span.get_days();
    let seconds = i128::from(span.get_hours()) * 3600
        + i128::from(span.get_minutes()) * 60
        + i128::from(span.get_seconds());
    let microseconds = seconds * 1_000_000
        + i128::from(span.get_milliseconds()) * 1000
        + i128::from(span.get_microseconds())
        + i128::from(span.get_nanoseconds()) / 1000;
    match i64::try_from(microseconds) {
        Ok(microseconds) => Ok(Interval::new(months, days, microseconds)),
        Err(_) => Err(too_long(span)),
    }
}

#[inline]
fn span_from_interval(interval: Interval) -> Result<Span, NoCounterpart> {
    let signs = [
        i64::from(interval.months()).signum(),
        i64::from(interval.days()).signum(),
        interval.microseconds().signum(),
    ];
    if signs.contains(&1) && signs.contains(&-1) {
        return Err(NoCounterpart::new(format!(
            "the interval {interval} has parts of both signs, a jiff::Span has one sign"
        )));
    }
    Span::new()
        .try_months(interval.months())
        .and_then(|span| span.try_days(interval.days()))
        .and_then(|span| span.try_microseconds(interval.microseconds()))
        .map_err(|_| {
            NoCounterpart::new(format!(
                "the interval {interval} is longer than a jiff::Span, whose units span at most \
                 19,998 years each"
            ))
        })
}

#[inline]
fn duration_to_interval(duration: &SignedDuration) -> Result<Interval, NoCounterpart> {
    match i64::try_from(duration.as_micros()) {
        Ok(microseconds) => Ok(Interval::new(0, 0, microseconds)),
        Err(_) => Err(too_long(duration)),
    }
}

#[inline]
fn too_long(value: &dyn std::fmt::Debug) -> NoCounterpart {
    NoCounterpart::new(format!("{value:?} has more microseconds than 64 bits hold"))
}
