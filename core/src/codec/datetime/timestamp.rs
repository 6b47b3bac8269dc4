//! [`Timestamp`] and [`TimestampTz`].

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use super::calendar;
use super::parse::{ParseDateTimeError, Parser};
use super::{Date, Time};

const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// From the epoch of `SystemTime` to 2000-01-01.
const UNIX_TO_2000: Duration = Duration::from_secs(946_684_800);

/// A `timestamp`: a date and a time of day without a zone, or infinitely early or late.
///
/// The server's timestamps go from 4714-11-24 BC to 294276-12-31 23:59:59.999999. It
/// refuses others, of which this type has room for some.
///
/// # Example
///
/// ```
/// use kornak::{Date, Time, Timestamp};
///
/// let timestamp: Timestamp = "2024-02-29 12:34:56.5".parse()?;
/// assert_eq!(timestamp.date(), Date::new(2024, 2, 29));
/// assert_eq!(timestamp.time(), Time::new(12, 34, 56, 500_000));
/// # Ok::<(), kornak::codec::ParseDateTimeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A `timestamptz`: a point in time, or infinitely early or late.
///
/// The server keeps no zone with it; what is shown here is UTC. The range is that of
/// [`Timestamp`]. `std::time::SystemTime` can be used for the finite ones too.
///
/// # Example
///
/// ```
/// use kornak::TimestampTz;
/// use std::time::SystemTime;
///
/// let moment: TimestampTz = "2024-02-29 12:34:56+02".parse()?;
/// assert_eq!(moment.to_string(), "2024-02-29 10:34:56+00");
/// assert!(SystemTime::try_from(moment).unwrap() > SystemTime::UNIX_EPOCH);
/// # Ok::<(), kornak::codec::ParseDateTimeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimestampTz(i64);

macro_rules! timestamp {
    ($name:ident, $zone:literal, $in_zone:literal) => {
        impl $name {
            /// Later than all others.
            pub const INFINITY: Self = Self(i64::MAX);
            /// Earlier than all others.
            pub const NEG_INFINITY: Self = Self(i64::MIN);
            /// The server's earliest, 4714-11-24 00:00:00 BC.
            pub const MIN: Self = Self(-211_813_488_000_000_000);
            /// The server's latest, 294276-12-31 23:59:59.999999.
            pub const MAX: Self = Self(9_223_371_331_199_999_999);

            #[doc = concat!("That time of that day", $in_zone, "; 24:00:00 is the next midnight. `None` if the date")]
            /// is infinite or the result out of the server's range.
            #[inline]
            pub fn new(date: Date, time: Time) -> Option<Self> {
                if !date.is_finite() {
                    return None;
                }
                Self::in_range(
                    i64::from(date.days())
                        .checked_mul(MICROSECONDS_PER_DAY)?
                        .checked_add(time.microseconds())?,
                )
            }

            #[doc = concat!("That many microseconds after midnight of 2000-01-01", $in_zone, "; the extremes are the")]
            /// infinities.
            #[inline]
            pub const fn from_microseconds(microseconds: i64) -> Self {
                Self(microseconds)
            }

            #[doc = concat!("The microseconds since midnight of 2000-01-01", $in_zone, "; the extremes are the")]
            /// infinities.
            #[inline]
            pub const fn microseconds(self) -> i64 {
                self.0
            }

            /// Whether it is a point in time at all.
            #[inline]
            pub const fn is_finite(self) -> bool {
                self.0 != i64::MAX && self.0 != i64::MIN
            }

            #[doc = concat!("The date", $in_zone, "; `None` for the infinities.")]
            #[inline]
            pub fn date(self) -> Option<Date> {
                if !self.is_finite() {
                    return None;
                }
                let days = self.0.div_euclid(MICROSECONDS_PER_DAY);
                i32::try_from(days).ok().map(Date::from_days)
            }

            #[doc = concat!("The time of day", $in_zone, "; `None` for the infinities.")]
            #[inline]
            pub fn time(self) -> Option<Time> {
                if !self.is_finite() {
                    return None;
                }
                Time::from_microseconds(self.0.rem_euclid(MICROSECONDS_PER_DAY))
            }

            #[inline]
            fn in_range(microseconds: i64) -> Option<Self> {
                let this = Self(microseconds);
                (Self::MIN..=Self::MAX).contains(&this).then_some(this)
            }
        }

        #[doc = concat!("As the server prints it with `DateStyle` ISO", $in_zone, ".")]
        impl fmt::Display for $name {
            #[inline]
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    Self::INFINITY => f.write_str("infinity"),
                    Self::NEG_INFINITY => f.write_str("-infinity"),
                    Self(microseconds) => {
                        let days = microseconds.div_euclid(MICROSECONDS_PER_DAY);
                        let is_bc = calendar::write_date(f, days)?;
                        f.write_str(" ")?;
                        calendar::write_time(f, microseconds.rem_euclid(MICROSECONDS_PER_DAY))?;
                        f.write_str($zone)?;
                        f.write_str(if is_bc { " BC" } else { "" })
                    }
                }
            }
        }

        impl fmt::Debug for $name {
            #[inline]
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

timestamp!(Timestamp, "", "");
timestamp!(TimestampTz, "+00", " in UTC");

/// Reads what `Display` prints; a `T` may stand for the space, and the seconds be missing.
impl FromStr for Timestamp {
    type Err = ParseDateTimeError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, ParseDateTimeError> {
        parse(text, |_| Ok(0)).map(Self)
    }
}

/// Reads what `Display` prints, with any offset or `Z`; a `T` may stand for the space, and
/// the seconds be missing.
impl FromStr for TimestampTz {
    type Err = ParseDateTimeError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, ParseDateTimeError> {
        parse(text, |parser| parser.offset()).map(Self)
    }
}

#[inline]
fn parse(
    text: &str,
    offset: fn(&mut Parser<'_>) -> Result<i64, ParseDateTimeError>,
) -> Result<i64, ParseDateTimeError> {
    match text {
        "infinity" => return Ok(i64::MAX),
        "-infinity" => return Ok(i64::MIN),
        _ => {}
    }
    let mut parser = Parser::new(text);
    let date = parser.date()?;
    if !parser.takes(" ") && !parser.takes("T") {
        return Err(ParseDateTimeError);
    }
    let time = parser.time()?;
    let offset = offset(&mut parser)?;
    let days = parser.finish_date(date)?;
    days.checked_mul(MICROSECONDS_PER_DAY)
        .and_then(|microseconds| microseconds.checked_add(time - offset * 1_000_000))
        .and_then(Timestamp::in_range)
        .map(Timestamp::microseconds)
        .ok_or(ParseDateTimeError)
}

/// What is finer than a microsecond is cut off, towards the past.
impl TryFrom<SystemTime> for TimestampTz {
    type Error = ParseDateTimeError;

    /// # Errors
    ///
    /// If it is out of the server's range.
    #[inline]
    fn try_from(time: SystemTime) -> Result<Self, ParseDateTimeError> {
        let epoch = SystemTime::UNIX_EPOCH + UNIX_TO_2000;
        let microseconds = match time.duration_since(epoch) {
            Ok(after) => i64::try_from(after.as_micros()).ok(),
            Err(before) => i64::try_from(before.duration().as_nanos().div_ceil(1000))
                .ok()
                .and_then(i64::checked_neg),
        };
        microseconds
            .and_then(Self::in_range)
            .ok_or(ParseDateTimeError)
    }
}

impl TryFrom<TimestampTz> for SystemTime {
    type Error = ParseDateTimeError;

    /// # Errors
    ///
    /// If it is infinite, or out of the range of `SystemTime`.
    #[inline]
    fn try_from(moment: TimestampTz) -> Result<Self, ParseDateTimeError> {
        if !moment.is_finite() {
            return Err(ParseDateTimeError);
        }
        let epoch = SystemTime::UNIX_EPOCH + UNIX_TO_2000;
        let distance = Duration::from_micros(moment.0.unsigned_abs());
        let time = if moment.0 < 0 {
            epoch.checked_sub(distance)
        } else {
            epoch.checked_add(distance)
        };
        time.ok_or(ParseDateTimeError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r57_extreme_timestamps_are_printed_and_read() {
        for (timestamp, text) in [
            (Timestamp::INFINITY, "infinity"),
            (Timestamp::NEG_INFINITY, "-infinity"),
            (Timestamp::MIN, "4714-11-24 00:00:00 BC"),
            (Timestamp::MAX, "294276-12-31 23:59:59.999999"),
            (Timestamp(0), "2000-01-01 00:00:00"),
            (Timestamp(-1), "1999-12-31 23:59:59.999999"),
            (Timestamp(1_500_000), "2000-01-01 00:00:01.5"),
        ] {
            assert_eq!(timestamp.to_string(), text);
            assert_eq!(text.parse(), Ok(timestamp), "{text}");
            if timestamp.is_finite() {
                let (date, time) = (timestamp.date().unwrap(), timestamp.time().unwrap());
                assert_eq!(Timestamp::new(date, time), Some(timestamp));
            } else {
                assert_eq!(timestamp.date(), None);
                assert_eq!(timestamp.time(), None);
            }
        }
        // All bytes that can come have a text.
        assert_eq!(
            Timestamp(i64::MAX - 1).to_string(),
            "294277-01-09 04:00:54.775806"
        );
        assert_eq!(
            Timestamp(i64::MIN + 1).to_string(),
            "290279-12-22 19:59:05.224193 BC"
        );
        assert_eq!(Timestamp::new(Date::INFINITY, Time::MIN), None);
        assert_eq!(Timestamp::new(Date::MAX, Time::MAX), None);
    }

    #[test]
    fn r57_offsets_are_taken_into_account() {
        for (text, utc) in [
            ("2024-02-29 12:34:56+00", "2024-02-29 12:34:56+00"),
            ("2024-02-29T12:34:56Z", "2024-02-29 12:34:56+00"),
            ("2024-02-29 12:34:56+02", "2024-02-29 10:34:56+00"),
            ("2024-02-29 12:34:56-05:30", "2024-02-29 18:04:56+00"),
            ("2024-02-29 23:00:00-15:59:59", "2024-03-01 14:59:59+00"),
            ("2024-02-29 01:00:00+15:59:59", "2024-02-28 09:00:01+00"),
            ("2024-02-29 24:00+00", "2024-03-01 00:00:00+00"),
            ("0044-03-15 12:00:00+01 BC", "0044-03-15 11:00:00+00 BC"),
            ("infinity", "infinity"),
        ] {
            let moment: TimestampTz = text.parse().unwrap();
            assert_eq!(moment.to_string(), utc, "{text}");
        }
        for text in [
            "2024-02-29 12:34:56",
            "2024-02-29 12:34:56 +00",
            "2024-02-29 12:34:56+0",
            "2024-02-29 12:34:56+16",
            "2024-02-29 12:34:56+00 BC ",
            "2024-02-29_12:34:56+00",
            "4714-11-24 00:00:00+01 BC",
            "294276-12-31 23:59:59-01",
        ] {
            assert!(text.parse::<TimestampTz>().is_err(), "{text}");
        }
        assert!("2024-02-29 12:34:56+00".parse::<Timestamp>().is_err());
    }

    #[test]
    fn r57_system_times_are_exact_or_refused() {
        let epoch = SystemTime::UNIX_EPOCH;
        for (time, microseconds) in [
            (epoch, -946_684_800_000_000),
            (epoch + UNIX_TO_2000, 0),
            (epoch + UNIX_TO_2000 + Duration::from_nanos(1_999), 1),
            (epoch + UNIX_TO_2000 - Duration::from_nanos(1), -1),
            (epoch + UNIX_TO_2000 - Duration::from_nanos(1_001), -2),
        ] {
            assert_eq!(TimestampTz::try_from(time), Ok(TimestampTz(microseconds)));
        }
        for moment in [
            TimestampTz::MIN,
            TimestampTz(-1),
            TimestampTz(0),
            TimestampTz::MAX,
        ] {
            let time = SystemTime::try_from(moment).unwrap();
            assert_eq!(TimestampTz::try_from(time), Ok(moment));
        }
        assert!(SystemTime::try_from(TimestampTz::INFINITY).is_err());
        assert!(SystemTime::try_from(TimestampTz::NEG_INFINITY).is_err());
        let too_late = SystemTime::try_from(TimestampTz::MAX).unwrap() + Duration::from_secs(1);
        assert!(TimestampTz::try_from(too_late).is_err());
    }
}
