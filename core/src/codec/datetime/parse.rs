//! Reads dates and times as the server prints them with `DateStyle` ISO.

use std::fmt;

use super::calendar;

/// A text is not a date or time, or one out of PostgreSQL's range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseDateTimeError;

impl fmt::Display for ParseDateTimeError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is not a date or time in ISO form, or out of PostgreSQL's range")
    }
}

impl std::error::Error for ParseDateTimeError {}

/// A cursor over the text.
pub(super) struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    #[inline]
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// Takes `token` away if it comes next.
    #[inline]
    pub(super) fn takes(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    #[inline]
    fn expect(&mut self, token: &str) -> Result<(), ParseDateTimeError> {
        if self.takes(token) {
            Ok(())
        } else {
            Err(ParseDateTimeError)
        }
    }

    /// All digits that come next, of which there must be at least `fewest` and at most `most`.
    #[inline]
    fn number(&mut self, fewest: usize, most: usize) -> Result<i64, ParseDateTimeError> {
        let count = self.digits();
        if count < fewest || count > most {
            return Err(ParseDateTimeError);
        }
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        digits.parse().map_err(|_| ParseDateTimeError)
    }

    #[inline]
    fn digits(&self) -> usize {
        let is_digit = |byte: &u8| byte.is_ascii_digit();
        self.rest.bytes().take_while(is_digit).count()
    }

    /// A number of two digits below `limit`.
    #[inline]
    fn two_digits(&mut self, limit: i64) -> Result<i64, ParseDateTimeError> {
        let number = self.number(2, 2)?;
        if number < limit {
            Ok(number)
        } else {
            Err(ParseDateTimeError)
        }
    }

    /// A year, not 0, a month and a day, without the era.
    #[inline]
    pub(super) fn date(&mut self) -> Result<(i64, u8, u8), ParseDateTimeError> {
        let year = self.number(4, 7)?;
        self.expect("-")?;
        let month = self.two_digits(13)? as u8;
        self.expect("-")?;
        let day = self.two_digits(32)? as u8;
        if year == 0 {
            return Err(ParseDateTimeError);
        }
        Ok((year, month, day))
    }

    /// Microseconds after midnight, up to 24:00:00.
    #[inline]
    pub(super) fn time(&mut self) -> Result<i64, ParseDateTimeError> {
        let hour = self.two_digits(25)?;
        self.expect(":")?;
        let minute = self.two_digits(60)?;
        let second = if self.takes(":") {
            self.two_digits(60)?
        } else {
            0
        };
        let microsecond = self.fraction()?;
        let total = ((hour * 60 + minute) * 60 + second) * 1_000_000 + microsecond;
        if total <= 24 * 3600 * 1_000_000 {
            Ok(total)
        } else {
            Err(ParseDateTimeError)
        }
    }

    /// Microseconds, of a point and up to six digits.
    #[inline]
    fn fraction(&mut self) -> Result<i64, ParseDateTimeError> {
        if !self.takes(".") {
            return Ok(0);
        }
        let width = self.digits() as u32;
        let digits = self.number(1, 6)?;
        Ok(digits * 10_i64.pow(6 - width))
    }

    /// Seconds east of Greenwich: `Z`, or a sign and hours, minutes, seconds.
    #[inline]
    pub(super) fn offset(&mut self) -> Result<i64, ParseDateTimeError> {
        if self.takes("Z") {
            return Ok(0);
        }
        let sign = if self.takes("+") {
            1
        } else {
            self.expect("-")?;
            -1
        };
        let mut seconds = self.two_digits(16)? * 3600;
        if self.takes(":") {
            seconds += self.two_digits(60)? * 60;
            if self.takes(":") {
                seconds += self.two_digits(60)?;
            }
        }
        Ok(sign * seconds)
    }

    /// The era, the end of the text, and with them the day that `date` is.
    #[inline]
    pub(super) fn finish_date(
        &mut self,
        (year, month, day): (i64, u8, u8),
    ) -> Result<i64, ParseDateTimeError> {
        let year = if self.takes(" BC") { 1 - year } else { year };
        self.finish()?;
        calendar::to_days(year, month, day).ok_or(ParseDateTimeError)
    }

    #[inline]
    pub(super) fn finish(&self) -> Result<(), ParseDateTimeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(ParseDateTimeError)
        }
    }
}
