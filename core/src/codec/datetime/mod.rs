//! `date`, `time`, `timetz`, `timestamp`, `timestamptz` and `interval`, in types that represent everything the
//! server can (`date.c` and `timestamp.c`).
//!
//! On the wire they are counts from 2000-01-01: days, or microseconds. The extremes of the
//! integers are the infinities.

mod calendar;
mod codec;
mod date;
mod interval;
mod parse;
mod time;
mod time_tz;
mod timestamp;

pub use self::date::Date;
pub use self::interval::Interval;
pub use self::parse::ParseDateTimeError;
pub use self::time::Time;
pub use self::time_tz::TimeTz;
pub use self::timestamp::{Timestamp, TimestampTz};
