//! [`TimeTz`].

use std::fmt;
use std::str::FromStr;

use super::Time;
use super::parse::{ParseDateTimeError, Parser};

/// A `timetz`: a time of day with an offset from UTC.
///
/// Two values are equal when both time and offset are, as for the server; 12:00+00 and
/// 13:00+01 are different values of the same moment.
///
/// # Example
///
/// ```
/// use kornak::{Time, TimeTz};
///
/// let time: TimeTz = "12:34:56-05:30".parse()?;
/// assert_eq!(time.time(), Time::new(12, 34, 56, 0).unwrap());
/// assert_eq!(time.offset_seconds(), -(5 * 3600 + 30 * 60));
/// # Ok::<(), kornak::codec::ParseDateTimeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeTz {
    time: Time,
    /// East of Greenwich.
    offset_seconds: i32,
}

/// Offsets are smaller than this, `TZDISP_LIMIT` in `timestamp.h`.
const OFFSET_LIMIT: i32 = 16 * 3600;

impl TimeTz {
    /// A time at an offset of so many seconds east of Greenwich, which must be less than 16
    /// hours in either direction.
    #[inline]
    pub const fn new(time: Time, offset_seconds: i32) -> Option<Self> {
        if offset_seconds > -OFFSET_LIMIT && offset_seconds < OFFSET_LIMIT {
            Some(Self {
                time,
                offset_seconds,
            })
        } else {
            None
        }
    }

    /// The time of day.
    #[inline]
    pub const fn time(self) -> Time {
        self.time
    }

    /// The offset from UTC in seconds, positive east of Greenwich.
    #[inline]
    pub const fn offset_seconds(self) -> i32 {
        self.offset_seconds
    }
}

/// As the server prints it.
impl fmt::Display for TimeTz {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.offset_seconds < 0 { '-' } else { '+' };
        let offset = self.offset_seconds.unsigned_abs();
        let (hours, minutes, seconds) = (offset / 3600, offset / 60 % 60, offset % 60);
        write!(f, "{}{sign}{hours:02}", self.time)?;
        if minutes > 0 || seconds > 0 {
            write!(f, ":{minutes:02}")?;
        }
        if seconds > 0 {
            write!(f, ":{seconds:02}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for TimeTz {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimeTz({self})")
    }
}

/// Reads what `Display` prints, and `Z` for an offset of 0; the seconds may be missing.
impl FromStr for TimeTz {
    type Err = ParseDateTimeError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, ParseDateTimeError> {
        let mut parser = Parser::new(text);
        let time = parser.time()?;
        let offset = parser.offset()?;
        parser.finish()?;
        Time::from_microseconds(time)
            .and_then(|time| Self::new(time, i32::try_from(offset).ok()?))
            .ok_or(ParseDateTimeError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::{check, refuses_to_read};
    use crate::types::Type;

    #[test]
    fn r57_times_with_offsets_have_the_servers_bytes_and_text() {
        for (text, hex) in [
            ("00:00:00+00", "000000000000000000000000"),
            ("24:00:00+15:59:59", "000000141dd76000ffff1f01"),
            ("23:59:59.999999-15:59:59", "000000141dd75fff0000e0ff"),
            ("12:34:56+05:30", "0000000a8bda1c00ffffb2a8"),
            ("01:02:03.5-08", "00000000ddf019e000007080"),
        ] {
            let time: TimeTz = text.parse().unwrap();
            assert_eq!(time.to_string(), text);
            check(&Type::TIMETZ, time, hex);
        }
        for text in [
            "12:00",
            "12:00+16",
            "12:00+15:60",
            "12:00 +01",
            "24:00:01+00",
        ] {
            assert!(text.parse::<TimeTz>().is_err(), "{text}");
        }
        let noon = "0000000a0eebb000";
        for offset in ["7fffffff", "80000000", "0000e100", "ffff1f00"] {
            refuses_to_read::<TimeTz>(&Type::TIMETZ, &format!("{noon}{offset}"), "offset");
        }
        refuses_to_read::<TimeTz>(&Type::TIMETZ, "ffffffffffffffff00000000", "24:00:00");
        refuses_to_read::<TimeTz>(&Type::TIMETZ, noon, "8 bytes instead of 12");
    }
}
