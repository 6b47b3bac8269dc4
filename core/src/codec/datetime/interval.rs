//! [`Interval`].

use std::fmt;
use std::str::FromStr;

use super::calendar;
use super::parse::ParseDateTimeError;

/// An `interval`: months, days and microseconds, which count separately because months and
/// days differ in length; or infinitely long, which servers before PostgreSQL 17 don't have.
///
/// # Example
///
/// ```
/// use kornak::Interval;
///
/// let interval = Interval::new(14, -3, 4_000_000);
/// assert_eq!(interval.to_string(), "1 year 2 mons -3 days +00:00:04");
/// assert_eq!("1 year 2 mons -3 days +00:00:04".parse(), Ok(interval));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Interval {
    months: i32,
    days: i32,
    microseconds: i64,
}

const MICROSECONDS_PER_HOUR: i64 = 3_600_000_000;

impl Interval {
    /// Longer than all others.
    pub const INFINITY: Self = Self::new(i32::MAX, i32::MAX, i64::MAX);
    /// The negative of [`INFINITY`](Self::INFINITY).
    pub const NEG_INFINITY: Self = Self::new(i32::MIN, i32::MIN, i64::MIN);

    /// An interval of so many months, days and microseconds, each of any sign.
    #[inline]
    pub const fn new(months: i32, days: i32, microseconds: i64) -> Self {
        Self {
            months,
            days,
            microseconds,
        }
    }

    /// The months.
    #[inline]
    pub const fn months(self) -> i32 {
        self.months
    }

    /// The days, without those in the months.
    #[inline]
    pub const fn days(self) -> i32 {
        self.days
    }

    /// The microseconds, without those in the months and days.
    #[inline]
    pub const fn microseconds(self) -> i64 {
        self.microseconds
    }

    /// Whether it is not infinite.
    #[inline]
    pub fn is_finite(self) -> bool {
        self != Self::INFINITY && self != Self::NEG_INFINITY
    }
}

/// As the server prints it with `IntervalStyle` postgres (`EncodeInterval` in `datetime.c`).
impl fmt::Display for Interval {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::INFINITY => return f.write_str("infinity"),
            Self::NEG_INFINITY => return f.write_str("-infinity"),
            _ => {}
        }
        let mut is_first = true;
        let mut was_negative = false;
        for (count, unit) in [
            (self.months / 12, "year"),
            (self.months % 12, "mon"),
            (self.days, "day"),
        ] {
            if count == 0 {
                continue;
            }
            let space = if is_first { "" } else { " " };
            // A sign that changes back is shown.
            let sign = if was_negative && count > 0 { "+" } else { "" };
            let plural = if count == 1 { "" } else { "s" };
            write!(f, "{space}{sign}{count} {unit}{plural}")?;
            is_first = false;
            was_negative = count < 0;
        }
        if !is_first && self.microseconds == 0 {
            return Ok(());
        }
        let space = if is_first { "" } else { " " };
        let sign = match self.microseconds {
            ..0 => "-",
            _ if was_negative => "+",
            _ => "",
        };
        let time = self.microseconds.unsigned_abs();
        let hours = time / MICROSECONDS_PER_HOUR.unsigned_abs();
        let rest = time % MICROSECONDS_PER_HOUR.unsigned_abs();
        let (minutes, seconds) = (rest / 60_000_000, rest / 1_000_000 % 60);
        write!(f, "{space}{sign}{hours:02}:{minutes:02}:{seconds:02}")?;
        calendar::write_fraction(f, (rest % 1_000_000) as i64)
    }
}

impl fmt::Debug for Interval {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Interval({self})")
    }
}

/// Reads what `Display` prints: a time with its sign, and whole numbers of years, months,
/// weeks and days, each at most once in any order.
impl FromStr for Interval {
    type Err = ParseDateTimeError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, ParseDateTimeError> {
        match text {
            "infinity" => return Ok(Self::INFINITY),
            "-infinity" => return Ok(Self::NEG_INFINITY),
            _ => {}
        }
        parse(text).ok_or(ParseDateTimeError)
    }
}

#[inline]
fn parse(text: &str) -> Option<Interval> {
    let mut words = text.split(' ');
    let (mut months, mut days): (i64, i64) = (0, 0);
    let mut microseconds = None;
    let mut seen = [false; 4];
    while let Some(word) = words.next() {
        if word.contains(':') {
            if microseconds.replace(parse_time(word)?).is_some() {
                return None;
            }
            continue;
        }
        let count: i64 = word.parse::<i32>().ok()?.into();
        let index = match words.next()? {
            "year" | "years" => {
                months += count * 12;
                0
            }
            "mon" | "mons" | "month" | "months" => {
                months += count;
                1
            }
            "week" | "weeks" => {
                days += count * 7;
                2
            }
            "day" | "days" => {
                days += count;
                3
            }
            _ => return None,
        };
        if std::mem::replace(&mut seen[index], true) {
            return None;
        }
    }
    Some(Interval::new(
        i32::try_from(months).ok()?,
        i32::try_from(days).ok()?,
        microseconds.unwrap_or(0),
    ))
}

/// A sign, hours of any number of digits, minutes, and maybe seconds.
#[inline]
fn parse_time(text: &str) -> Option<i64> {
    let (is_negative, magnitude) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let mut parts = magnitude.split(':');
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let hours = parts.next().filter(|hours| digits(hours))?;
    let minutes = parts
        .next()
        .filter(|text| text.len() == 2 && digits(text))?;
    let (seconds, fraction) = match parts.next() {
        None => ("00", ""),
        Some(text) => match text.split_once('.') {
            None => (text, ""),
            Some((_, "")) => return None,
            Some(parts) => parts,
        },
    };
    if parts.next().is_some()
        || seconds.len() != 2
        || !digits(seconds)
        || fraction.len() > 6
        || !digits(fraction)
    {
        return None;
    }
    let minutes: i128 = minutes.parse().ok().filter(|minutes| *minutes < 60)?;
    let seconds: i128 = seconds.parse().ok().filter(|seconds| *seconds < 60)?;
    let fraction: i128 = format!("{fraction:0<6}").parse().ok()?;
    let hours = i128::from(hours.parse::<u64>().ok()?);
    let total = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + fraction;
    i64::try_from(if is_negative { -total } else { total }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::check;
    use crate::types::Type;

    #[test]
    fn r57_intervals_have_the_servers_bytes_and_text() {
        for &((months, days, microseconds), text, hex) in INTERVALS {
            let interval = Interval::new(months, days, microseconds);
            assert_eq!(interval.to_string(), text);
            assert_eq!(text.parse(), Ok(interval), "{text}");
            check(&Type::INTERVAL, interval, hex);
        }
        assert!(!Interval::INFINITY.is_finite() && Interval::default().is_finite());
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "1",
            "1 day 2 days",
            "day",
            "1 fortnight",
            "1.5 days",
            "01:02:03 04:05:06",
            "1:2:3",
            "01:60:00",
            "01:00:60",
            "01:00:00.",
            "01:00:00.1234567",
            ":00:00",
            "a:00:00",
            "01:00:00:00",
            "178956971 years",
            "--01:00:00",
            "2562047788016:00:00",
            "1  day",
        ] {
            assert_eq!(text.parse::<Interval>(), Err(ParseDateTimeError), "{text}");
        }
        assert_eq!(
            "1 week 04:05".parse(),
            Ok(Interval::new(0, 7, 14_700_000_000))
        );
    }

    const INTERVALS: &[((i32, i32, i64), &str, &str)] = &[
        ((0, 0, 0), "00:00:00", "00000000000000000000000000000000"),
        (
            (14, 3, 14706789000),
            "1 year 2 mons 3 days 04:05:06.789",
            "000000036c97ca88000000030000000e",
        ),
        (
            (-14, 3, -14706000000),
            "-1 years -2 mons +3 days -04:05:06",
            "fffffffc93743f8000000003fffffff2",
        ),
        (
            (1, -1, 0),
            "1 mon -1 days",
            "0000000000000000ffffffff00000001",
        ),
        (
            (-1, 1, 0),
            "-1 mons +1 day",
            "000000000000000000000001ffffffff",
        ),
        (
            (0, -1, 7380000000),
            "-1 days +02:03:00",
            "00000001b7e1dd00ffffffff00000000",
        ),
        (
            (0, 0, 360000000000),
            "100:00:00",
            "00000053d1ac10000000000000000000",
        ),
        (
            (0, 0, -1),
            "-00:00:00.000001",
            "ffffffffffffffff0000000000000000",
        ),
        (
            (2147483647, 2147483647, 9223372036854775806),
            "178956970 years 7 mons 2147483647 days 2562047788:00:54.775806",
            "7ffffffffffffffe7fffffff7fffffff",
        ),
        (
            (-2147483648, -2147483648, -9223372036854775807),
            "-178956970 years -8 mons -2147483648 days -2562047788:00:54.775807",
            "80000000000000018000000080000000",
        ),
        (
            (2147483647, 2147483647, 9223372036854775807),
            "infinity",
            "7fffffffffffffff7fffffff7fffffff",
        ),
        (
            (-2147483648, -2147483648, -9223372036854775808),
            "-infinity",
            "80000000000000008000000080000000",
        ),
        ((0, 1, 0), "1 day", "00000000000000000000000100000000"),
    ];
}
