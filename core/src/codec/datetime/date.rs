//! [`Date`].

use std::fmt;
use std::str::FromStr;

use super::calendar;
use super::parse::{ParseDateTimeError, Parser};

/// A `date`: a day of the proleptic Gregorian calendar, or infinitely early or late.
///
/// The server's dates go from 4714-11-24 BC to 5874897-12-31. It refuses others, of which
/// this type has room for some.
///
/// # Example
///
/// ```
/// use kornak::Date;
///
/// let date: Date = "0044-03-15 BC".parse()?;
/// assert_eq!(date.year_month_day(), Some((-43, 3, 15)));
/// assert_eq!(Date::new(2000, 3, 1).unwrap().days(), 60);
/// assert!(date < Date::INFINITY);
/// # Ok::<(), kornak::codec::ParseDateTimeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i32);

impl Date {
    /// Later than all other dates.
    pub const INFINITY: Self = Self(i32::MAX);
    /// Earlier than all other dates.
    pub const NEG_INFINITY: Self = Self(i32::MIN);
    /// The server's earliest date, 4714-11-24 BC.
    pub const MIN: Self = Self(-2_451_545);
    /// The server's latest date, 5874897-12-31.
    pub const MAX: Self = Self(2_145_031_948);

    /// The date, unless there is none such or it is out of the server's range. The year
    /// before year 1 is 0, which the server calls 1 BC.
    #[inline]
    pub fn new(year: i32, month: u8, day: u8) -> Option<Self> {
        Self::in_range(calendar::to_days(year.into(), month, day)?)
    }

    /// The date that many days after 2000-01-01; the extremes are the infinities.
    #[inline]
    pub const fn from_days(days: i32) -> Self {
        Self(days)
    }

    /// The days since 2000-01-01; the extremes are the infinities.
    #[inline]
    pub const fn days(self) -> i32 {
        self.0
    }

    /// Whether it is a day at all.
    #[inline]
    pub const fn is_finite(self) -> bool {
        self.0 != i32::MAX && self.0 != i32::MIN
    }

    /// Year (0 is 1 BC), month from 1, and day from 1; `None` for the infinities.
    #[inline]
    pub fn year_month_day(self) -> Option<(i32, u8, u8)> {
        if !self.is_finite() {
            return None;
        }
        let (year, month, day) = calendar::from_days(self.0.into());
        Some((i32::try_from(year).ok()?, month, day))
    }

    #[inline]
    pub(super) fn in_range(days: i64) -> Option<Self> {
        let date = Self(i32::try_from(days).ok()?);
        (Self::MIN..=Self::MAX).contains(&date).then_some(date)
    }
}

/// As the server prints it with `DateStyle` ISO.
impl fmt::Display for Date {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::INFINITY => f.write_str("infinity"),
            Self::NEG_INFINITY => f.write_str("-infinity"),
            Self(days) => {
                let is_bc = calendar::write_date(f, days.into())?;
                f.write_str(if is_bc { " BC" } else { "" })
            }
        }
    }
}

impl fmt::Debug for Date {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Date({self})")
    }
}

/// Reads what `Display` prints.
impl FromStr for Date {
    type Err = ParseDateTimeError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, ParseDateTimeError> {
        match text {
            "infinity" => return Ok(Self::INFINITY),
            "-infinity" => return Ok(Self::NEG_INFINITY),
            _ => {}
        }
        let mut parser = Parser::new(text);
        let date = parser.date()?;
        Self::in_range(parser.finish_date(date)?).ok_or(ParseDateTimeError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r57_extreme_dates_are_printed_and_read() {
        for (date, text) in [
            (Date::INFINITY, "infinity"),
            (Date::NEG_INFINITY, "-infinity"),
            (Date::MIN, "4714-11-24 BC"),
            (Date::MAX, "5874897-12-31"),
            (Date::from_days(0), "2000-01-01"),
            (Date::from_days(-1), "1999-12-31"),
            (Date::new(0, 2, 29).unwrap(), "0001-02-29 BC"),
            (Date::new(1, 1, 1).unwrap(), "0001-01-01"),
            (Date::new(9999, 12, 31).unwrap(), "9999-12-31"),
            (Date::new(10000, 1, 1).unwrap(), "10000-01-01"),
        ] {
            assert_eq!(date.to_string(), text);
            assert_eq!(text.parse(), Ok(date), "{text}");
        }
        // Beyond the server's range, but not beyond the bytes.
        assert_eq!(Date::from_days(i32::MAX - 1).to_string(), "5881610-07-10");
        assert_eq!(
            Date::from_days(i32::MIN + 1).to_string(),
            "5877612-06-23 BC"
        );
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "today",
            "2024-1-01",
            "2024-01-1",
            "24-01-01",
            "2024-13-01",
            "2024-02-30",
            "2024-00-01",
            "0000-01-01",
            "2024-01-01BC",
            "2024-01-01 AD",
            "-2024-01-01",
            "2024-01-01 ",
            "4714-11-23 BC",
            "5874898-01-01",
            "99999999-01-01",
            "Infinity",
            "２024-01-01",
        ] {
            assert_eq!(text.parse::<Date>(), Err(ParseDateTimeError), "{text}");
        }
        assert_eq!(Date::new(5_874_898, 1, 1), None);
        assert_eq!(Date::new(-4713, 11, 23), None);
        assert_eq!(Date::new(i32::MAX, 1, 1), None);
        assert_eq!(Date::new(2023, 2, 29), None);
    }
}
