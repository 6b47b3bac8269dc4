//! The date and time types of `chrono`, version 0.4.
//!
//! They go through the driver's own types, so that the limits are checked in one place:
//! infinities, 24:00:00 and leap seconds have no counterpart on the other side.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Utc};

use crate::codec::datetime::out_of_reach;
use crate::codec::{
    Date, Decode, Encode, IsNull, ParamWriter, RawValue, Time, Timestamp, TimestampTz,
};
use crate::codec::{out_of_range, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Type, oid};

/// The day 2000-01-01 in chrono's count from year 1.
const DAYS_TO_2000: i32 = 730_120;

/// The microseconds from 1970-01-01 to 2000-01-01.
const MICROSECONDS_TO_2000: i64 = 946_684_800_000_000;

macro_rules! codec {
    ($(#[$doc:meta])* $foreign:ty, $own:ident, $oid:ident, $to:expr, $from:expr) => {
        $(#[$doc])*
        impl Encode for $foreign {
            fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
                if ty.oid() != oid::$oid {
                    return Err(wrong_encode_type::<Self>(ty));
                }
                let to: fn(&Self) -> Option<$own> = $to;
                match to(self) {
                    Some(own) => own.encode(ty, out),
                    None => Err(out_of_range::<Self>(ty, self)),
                }
            }
        }

        $(#[$doc])*
        impl<'r> Decode<'r> for $foreign {
            fn accepts(ty: &Type) -> bool {
                ty.oid() == oid::$oid
            }

            fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
                let own = $own::decode(value)?;
                let from: fn($own) -> Option<Self> = $from;
                from(own).ok_or_else(|| out_of_reach::<Self>(value.ty(), own))
            }
        }
    };
}

codec!(
    /// `date`.
    NaiveDate, Date, DATE, to_date, from_date
);
codec!(
    /// `time`. What is finer than a microsecond is cut off.
    NaiveTime, Time, TIME, to_time, from_time
);
codec!(
    /// `timestamp`. What is finer than a microsecond is cut off, towards the past.
    NaiveDateTime, Timestamp, TIMESTAMP, to_timestamp, from_timestamp
);
codec!(
    /// `timestamptz`. What is finer than a microsecond is cut off, towards the past.
    DateTime<Utc>, TimestampTz, TIMESTAMPTZ, to_moment, from_moment
);
codec!(
    /// `timestamptz`; read with the offset 0, because the server keeps none.
    DateTime<FixedOffset>, TimestampTz, TIMESTAMPTZ,
    |this| to_moment(&this.to_utc()),
    |moment| from_moment(moment).map(|utc| utc.fixed_offset())
);

fn to_date(date: &NaiveDate) -> Option<Date> {
    let date_after_epoch = chrono::Datelike::num_days_from_ce(date).checked_sub(DAYS_TO_2000)?;
    let date = Date::from_days(date_after_epoch);
    (Date::MIN..=Date::MAX).contains(&date).then_some(date)
}

fn from_date(date: Date) -> Option<NaiveDate> {
    if !date.is_finite() {
        return None;
    }
    NaiveDate::from_num_days_from_ce_opt(date.days().checked_add(DAYS_TO_2000)?)
}

/// `None` for a leap second, which the server can't represent.
fn to_time(time: &NaiveTime) -> Option<Time> {
    let microsecond = i64::from(time.nanosecond() / 1000);
    if microsecond > 999_999 {
        return None;
    }
    Time::from_microseconds(i64::from(time.num_seconds_from_midnight()) * 1_000_000 + microsecond)
}

/// `None` for 24:00:00, which chrono can't represent.
fn from_time(time: Time) -> Option<NaiveTime> {
    let (hour, minute, second, microsecond) = time.parts();
    NaiveTime::from_hms_micro_opt(hour.into(), minute.into(), second.into(), microsecond)
}

fn to_timestamp(timestamp: &NaiveDateTime) -> Option<Timestamp> {
    Timestamp::new(to_date(&timestamp.date())?, to_time(&timestamp.time())?)
}

fn from_timestamp(timestamp: Timestamp) -> Option<NaiveDateTime> {
    Some(from_date(timestamp.date()?)?.and_time(from_time(timestamp.time()?)?))
}

fn to_moment(moment: &DateTime<Utc>) -> Option<TimestampTz> {
    let timestamp = to_timestamp(&moment.naive_utc())?;
    Some(TimestampTz::from_microseconds(timestamp.microseconds()))
}

fn from_moment(moment: TimestampTz) -> Option<DateTime<Utc>> {
    if !moment.is_finite() {
        return None;
    }
    DateTime::from_timestamp_micros(moment.microseconds().checked_add(MICROSECONDS_TO_2000)?)
}
