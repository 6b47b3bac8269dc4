//! [`Time`].

use std::fmt;
use std::str::FromStr;

use super::calendar;
use super::parse::{ParseDateTimeError, Parser};

/// A `time`: a time of day without a zone, from 00:00:00 to 24:00:00 inclusive.
///
/// # Example
///
/// ```
/// use kornak::Time;
///
/// let time: Time = "04:05:06.789".parse()?;
/// assert_eq!(time, Time::new(4, 5, 6, 789_000).unwrap());
/// assert_eq!(Time::MAX.to_string(), "24:00:00");
/// # Ok::<(), kornak::codec::ParseDateTimeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// Midnight at the start of the day.
    pub const MIN: Self = Self(0);
    /// Midnight at the end of the day, 24:00:00.
    pub const MAX: Self = Self(86_400_000_000);

    /// The time, unless there is none such.
    #[inline]
    pub fn new(hour: u8, minute: u8, second: u8, microsecond: u32) -> Option<Self> {
        if minute > 59 || second > 59 || microsecond > 999_999 {
            return None;
        }
        let minutes = i64::from(hour) * 60 + i64::from(minute);
        let seconds = minutes * 60 + i64::from(second);
        Self::from_microseconds(seconds * 1_000_000 + i64::from(microsecond))
    }

    /// The time that many microseconds after midnight, up to 24:00:00.
    #[inline]
    pub const fn from_microseconds(microseconds: i64) -> Option<Self> {
        if microseconds >= 0 && microseconds <= Self::MAX.0 {
            Some(Self(microseconds))
        } else {
            None
        }
    }

    /// The microseconds since midnight.
    #[inline]
    pub const fn microseconds(self) -> i64 {
        self.0
    }

    /// Hour, minute, second and microsecond.
    #[inline]
    pub const fn parts(self) -> (u8, u8, u8, u32) {
        let seconds = self.0 / 1_000_000;
        (
            (seconds / 3600) as u8,
            (seconds / 60 % 60) as u8,
            (seconds % 60) as u8,
            (self.0 % 1_000_000) as u32,
        )
    }
}

/// As the server prints it.
impl fmt::Display for Time {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        calendar::write_time(f, self.0)
    }
}

impl fmt::Debug for Time {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Time({self})")
    }
}

/// Reads what `Display` prints; the seconds may be missing.
impl FromStr for Time {
    type Err = ParseDateTimeError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, ParseDateTimeError> {
        let mut parser = Parser::new(text);
        let time = parser.time()?;
        parser.finish()?;
        Ok(Self(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r57_times_are_printed_and_read_up_to_the_end_of_the_day() {
        for (time, text) in [
            (Time::MIN, "00:00:00"),
            (Time::MAX, "24:00:00"),
            (Time::new(23, 59, 59, 999_999).unwrap(), "23:59:59.999999"),
            (Time::new(1, 2, 3, 40).unwrap(), "01:02:03.00004"),
            (Time::new(1, 2, 3, 500_000).unwrap(), "01:02:03.5"),
        ] {
            assert_eq!(time.to_string(), text);
            assert_eq!(text.parse(), Ok(time), "{text}");
            let (hour, minute, second, microsecond) = time.parts();
            assert_eq!(Time::new(hour, minute, second, microsecond), Some(time));
        }
        assert_eq!("04:05".parse(), Ok(Time::new(4, 5, 0, 0).unwrap()));
        for text in [
            "",
            "4:05",
            "04:5",
            "24:00:01",
            "24:01",
            "25:00",
            "04:60",
            "04:05:60",
            "04:05:06.",
            "04:05:06.1234567",
            "04:05:06 ",
            "-04:05:06",
        ] {
            assert_eq!(text.parse::<Time>(), Err(ParseDateTimeError), "{text}");
        }
        assert_eq!(Time::from_microseconds(-1), None);
        assert_eq!(Time::from_microseconds(86_400_000_001), None);
        assert_eq!(Time::new(24, 0, 0, 1), None);
        assert_eq!(Time::new(255, 59, 59, 999_999), None);
        assert_eq!(Time::new(0, 0, 0, 1_000_000), None);
    }
}
