//! The date and time types of `time`, version 0.3.
//!
//! Infinities and 24:00:00 have no counterpart on the other side, nor have the months and
//! days of an `interval` in a duration. The years go from −9999 to 9999, or to 999,999 either
//! way where a program turns on the crate's feature `large-dates`.

use time::{Duration, OffsetDateTime, PrimitiveDateTime, UtcDateTime};

use super::through::{NoCounterpart, exact_microseconds, through};
use crate::codec::{Date, Interval, Time, Timestamp, TimestampTz};

/// The Julian day of 2000-01-01.
const JULIAN_DAY_OF_2000: i32 = 2_451_545;

/// The microseconds from 1970-01-01 to 2000-01-01.
const MICROSECONDS_TO_2000: i128 = 946_684_800_000_000;

through!(
    /// `date`.
    time::Date, Date, [DATE], to_date, from_date
);
through!(
    /// `time`. What is finer than a microsecond is cut off.
    time::Time, Time, [TIME], to_time, from_time
);
through!(
    /// `timestamp`. What is finer than a microsecond is cut off, towards the past.
    PrimitiveDateTime, Timestamp, [TIMESTAMP], to_timestamp, from_timestamp
);
through!(
    /// `timestamptz`. What is finer than a microsecond is cut off, towards the past.
    UtcDateTime, TimestampTz, [TIMESTAMPTZ],
    |this| to_moment(this.unix_timestamp_nanos(), this),
    from_moment
);
through!(
    /// `timestamptz`; read with the offset 0, because the server keeps none. What is finer
    /// than a microsecond is cut off, towards the past.
    OffsetDateTime, TimestampTz, [TIMESTAMPTZ],
    |this| to_moment(this.unix_timestamp_nanos(), this),
    |moment| from_moment(moment).map(OffsetDateTime::from)
);
through!(
    /// An `interval` without months and days, which have no fixed length. What is finer than
    /// a microsecond is cut off, towards zero.
    Duration, Interval, [INTERVAL], to_interval, from_interval
);

#[inline]
fn to_date(date: &time::Date) -> Result<Date, NoCounterpart> {
    let days = date.to_julian_day() - JULIAN_DAY_OF_2000;
    Some(Date::from_days(days))
        .filter(|date| (Date::MIN..=Date::MAX).contains(date))
        .ok_or_else(|| NoCounterpart::outside(date, Date::MIN, Date::MAX))
}

#[inline]
fn from_date(date: Date) -> Result<time::Date, NoCounterpart> {
    Some(date)
        .filter(|date| date.is_finite())
        .and_then(|date| date.days().checked_add(JULIAN_DAY_OF_2000))
        .and_then(|day| time::Date::from_julian_day(day).ok())
        .ok_or_else(|| NoCounterpart::outside(date, time::Date::MIN, time::Date::MAX))
}

#[inline]
fn to_time(time: &time::Time) -> Result<Time, NoCounterpart> {
    let (hour, minute, second, microsecond) = time.as_hms_micro();
    Time::new(hour, minute, second, microsecond)
        .ok_or_else(|| NoCounterpart::outside(time, Time::MIN, Time::MAX))
}

#[inline]
fn from_time(time: Time) -> Result<time::Time, NoCounterpart> {
    let (hour, minute, second, microsecond) = time.parts();
    time::Time::from_hms_micro(hour, minute, second, microsecond)
        .map_err(|_| NoCounterpart::outside(time, "00:00:00", "23:59:59.999999"))
}

#[inline]
fn to_timestamp(timestamp: &PrimitiveDateTime) -> Result<Timestamp, NoCounterpart> {
    Timestamp::new(to_date(&timestamp.date())?, to_time(&timestamp.time())?)
        .ok_or_else(|| NoCounterpart::outside(timestamp, Timestamp::MIN, Timestamp::MAX))
}

#[inline]
fn from_timestamp(timestamp: Timestamp) -> Result<PrimitiveDateTime, NoCounterpart> {
    let outside =
        || NoCounterpart::outside(timestamp, PrimitiveDateTime::MIN, PrimitiveDateTime::MAX);
    let date = timestamp.date().ok_or_else(outside)?;
    let time = timestamp.time().ok_or_else(outside)?;
    let date = from_date(date).map_err(|_| outside())?;
    Ok(PrimitiveDateTime::new(date, from_time(time)?))
}

/// The moment that many nanoseconds after 1970, which is shown as `this`.
fn to_moment(
    nanoseconds: i128,
    this: &impl std::fmt::Display,
) -> Result<TimestampTz, NoCounterpart> {
    let microseconds = nanoseconds.div_euclid(1000) - MICROSECONDS_TO_2000;
    i64::try_from(microseconds)
        .ok()
        .map(TimestampTz::from_microseconds)
        .filter(|moment| (TimestampTz::MIN..=TimestampTz::MAX).contains(moment))
        .ok_or_else(|| NoCounterpart::outside(this, TimestampTz::MIN, TimestampTz::MAX))
}

#[inline]
fn from_moment(moment: TimestampTz) -> Result<UtcDateTime, NoCounterpart> {
    let nanoseconds = (i128::from(moment.microseconds()) + MICROSECONDS_TO_2000) * 1000;
    Some(nanoseconds)
        .filter(|_| moment.is_finite())
        .and_then(|nanoseconds| UtcDateTime::from_unix_timestamp_nanos(nanoseconds).ok())
        .ok_or_else(|| NoCounterpart::outside(moment, UtcDateTime::MIN, UtcDateTime::MAX))
}

#[inline]
fn to_interval(duration: &Duration) -> Result<Interval, NoCounterpart> {
    match i64::try_from(duration.whole_microseconds()) {
        Ok(microseconds) => Ok(Interval::new(0, 0, microseconds)),
        Err(_) => Err(NoCounterpart::new(format!(
            "{duration} has more microseconds than 64 bits hold"
        ))),
    }
}

#[inline]
fn from_interval(interval: Interval) -> Result<Duration, NoCounterpart> {
    exact_microseconds(interval).map(Duration::microseconds)
}
