//! The date and time types of `chrono`, version 0.4.
//!
//! Infinities, 24:00:00 and leap seconds have no counterpart on the other side, nor have the
//! months and days of an `interval` in a duration.

use chrono::{
    DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike, Utc,
};

use super::through::{NoCounterpart, exact_microseconds, through};
use crate::codec::{Date, Interval, Time, Timestamp, TimestampTz};

/// The day 2000-01-01 in chrono's count from year 1.
const DAYS_TO_2000: i32 = 730_120;

/// The microseconds from 1970-01-01 to 2000-01-01.
const MICROSECONDS_TO_2000: i64 = 946_684_800_000_000;

through!(
    /// `date`.
    NaiveDate, Date, [DATE], to_date, from_date
);
through!(
    /// `time`. What is finer than a microsecond is cut off.
    NaiveTime, Time, [TIME], to_time, from_time
);
through!(
    /// `timestamp`. What is finer than a microsecond is cut off, towards the past.
    NaiveDateTime, Timestamp, [TIMESTAMP], to_timestamp, from_timestamp
);
through!(
    /// `timestamptz`. What is finer than a microsecond is cut off, towards the past.
    DateTime<Utc>, TimestampTz, [TIMESTAMPTZ], to_moment, from_moment
);
through!(
    /// `timestamptz`; read with the offset 0, because the server keeps none.
    DateTime<FixedOffset>, TimestampTz, [TIMESTAMPTZ],
    |this| to_moment(&this.to_utc()),
    |moment| from_moment(moment).map(|utc| utc.fixed_offset())
);
through!(
    /// An `interval` without months and days, which have no fixed length. What is finer than
    /// a microsecond is cut off, towards zero.
    TimeDelta, Interval, [INTERVAL], to_interval, from_interval
);

#[inline]
fn to_date(date: &NaiveDate) -> Result<Date, NoCounterpart> {
    date.num_days_from_ce()
        .checked_sub(DAYS_TO_2000)
        .map(Date::from_days)
        .filter(|date| (Date::MIN..=Date::MAX).contains(date))
        .ok_or_else(|| NoCounterpart::outside(date, Date::MIN, Date::MAX))
}

#[inline]
fn from_date(date: Date) -> Result<NaiveDate, NoCounterpart> {
    Some(date)
        .filter(|date| date.is_finite())
        .and_then(|date| date.days().checked_add(DAYS_TO_2000))
        .and_then(NaiveDate::from_num_days_from_ce_opt)
        .ok_or_else(|| NoCounterpart::outside(date, NaiveDate::MIN, NaiveDate::MAX))
}

#[inline]
fn to_time(time: &NaiveTime) -> Result<Time, NoCounterpart> {
    // Chrono counts the nanoseconds of a leap second on from those of the second before.
    if time.nanosecond() > 999_999_999 {
        return Err(NoCounterpart::new(format!(
            "{time} is a leap second, which PostgreSQL doesn't have"
        )));
    }
    let microseconds = i64::from(time.num_seconds_from_midnight()) * 1_000_000
        + i64::from(time.nanosecond() / 1000);
    Time::from_microseconds(microseconds)
        .ok_or_else(|| NoCounterpart::outside(time, Time::MIN, Time::MAX))
}

#[inline]
fn from_time(time: Time) -> Result<NaiveTime, NoCounterpart> {
    let (hour, minute, second, microsecond) = time.parts();
    NaiveTime::from_hms_micro_opt(hour.into(), minute.into(), second.into(), microsecond)
        .ok_or_else(|| NoCounterpart::outside(time, NaiveTime::MIN, "23:59:59.999999"))
}

#[inline]
fn to_timestamp(timestamp: &NaiveDateTime) -> Result<Timestamp, NoCounterpart> {
    Timestamp::new(to_date(&timestamp.date())?, to_time(&timestamp.time())?)
        .ok_or_else(|| NoCounterpart::outside(timestamp, Timestamp::MIN, Timestamp::MAX))
}

#[inline]
fn from_timestamp(timestamp: Timestamp) -> Result<NaiveDateTime, NoCounterpart> {
    let outside = || NoCounterpart::outside(timestamp, NaiveDateTime::MIN, NaiveDateTime::MAX);
    let date = timestamp.date().ok_or_else(outside)?;
    let time = timestamp.time().ok_or_else(outside)?;
    let date = from_date(date).map_err(|_| outside())?;
    Ok(date.and_time(from_time(time)?))
}

#[inline]
fn to_moment(moment: &DateTime<Utc>) -> Result<TimestampTz, NoCounterpart> {
    let timestamp = to_timestamp(&moment.naive_utc())?;
    Ok(TimestampTz::from_microseconds(timestamp.microseconds()))
}

#[inline]
fn from_moment(moment: TimestampTz) -> Result<DateTime<Utc>, NoCounterpart> {
    Some(moment)
        .filter(|moment| moment.is_finite())
        .and_then(|moment| moment.microseconds().checked_add(MICROSECONDS_TO_2000))
        .and_then(DateTime::from_timestamp_micros)
        .ok_or_else(|| {
            NoCounterpart::outside(moment, DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC)
        })
}

#[inline]
fn to_interval(delta: &TimeDelta) -> Result<Interval, NoCounterpart> {
    match delta.num_microseconds() {
        Some(microseconds) => Ok(Interval::new(0, 0, microseconds)),
        None => Err(NoCounterpart::new(format!(
            "{delta} has more microseconds than 64 bits hold"
        ))),
    }
}

#[inline]
fn from_interval(interval: Interval) -> Result<TimeDelta, NoCounterpart> {
    exact_microseconds(interval).map(TimeDelta::microseconds)
}
