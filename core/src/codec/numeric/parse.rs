//! Reads a `numeric` from text.

use std::fmt;
use std::str::FromStr;

use super::{Class, DIGITS_PER_GROUP, MAX_SCALE, Numeric};

/// A text is not a number, or one out of the range of `numeric`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseNumericError;

impl fmt::Display for ParseNumericError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is not a decimal number, or out of the range of numeric")
    }
}

impl std::error::Error for ParseNumericError {}

/// Takes what the server takes, but for spaces, underscores and other bases than ten.
impl FromStr for Numeric {
    type Err = ParseNumericError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, ParseNumericError> {
        let (class, magnitude) = match text.as_bytes() {
            [b'-', ..] => (Class::Negative, &text[1..]),
            [b'+', ..] => (Class::Positive, &text[1..]),
            _ => (Class::Positive, text),
        };
        if magnitude.eq_ignore_ascii_case("infinity") || magnitude.eq_ignore_ascii_case("inf") {
            return Ok(match class {
                Class::Negative => Self::NEG_INFINITY,
                _ => Self::INFINITY,
            });
        }
        if text.eq_ignore_ascii_case("nan") {
            return Ok(Self::NAN);
        }
        let (mantissa, exponent) = match magnitude.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, self::exponent(exponent)?),
            None => (magnitude, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_decimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !is_decimal(whole) || !is_decimal(fraction) {
            return Err(ParseNumericError);
        }
        from_digits(class, whole.as_bytes(), fraction.as_bytes(), exponent).ok_or(ParseNumericError)
    }
}

/// An exponent, as far as one can matter.
#[inline]
fn exponent(text: &str) -> Result<i64, ParseNumericError> {
    const BOUND: i64 = i32::MAX as i64 / 2;
    let exponent: i64 = text.parse().map_err(|_| ParseNumericError)?;
    if (-BOUND..=BOUND).contains(&exponent) {
        Ok(exponent)
    } else {
        Err(ParseNumericError)
    }
}

#[inline]
fn from_digits(class: Class, whole: &[u8], fraction: &[u8], exponent: i64) -> Option<Numeric> {
    let scale = i64::try_from(fraction.len()).ok()? - exponent;
    let scale = u16::try_from(scale.max(0))
        .ok()
        .filter(|&scale| scale <= MAX_SCALE)?;
    let digits = || whole.iter().chain(fraction).map(|digit| digit - b'0');
    let leading = digits().take_while(|&digit| digit == 0).count();
    // How many digits stand before the point, without leading zeros.
    let before = i64::try_from(whole.len()).ok()? + exponent - i64::try_from(leading).ok()?;
    let count = whole.len() + fraction.len() - leading;
    if count == 0 {
        return Numeric::normalized(class, 0, scale, Vec::new());
    }
    let width = DIGITS_PER_GROUP as i64;
    let weight = before.div_euclid(width) + i64::from(before.rem_euclid(width) > 0) - 1;
    let weight = i32::try_from(weight).ok()?;
    // How many zeros complete the first group.
    let padding = usize::try_from((i64::from(weight) + 1) * width - before).ok()?;
    let mut groups = Vec::with_capacity((padding + count).div_ceil(DIGITS_PER_GROUP));
    let mut group = 0;
    for (index, digit) in digits().skip(leading).enumerate() {
        group = group * 10 + u16::from(digit);
        if (padding + index) % DIGITS_PER_GROUP == DIGITS_PER_GROUP - 1 {
            groups.push(group);
            group = 0;
        }
    }
    match (padding + count) % DIGITS_PER_GROUP {
        0 => {}
        used => groups.push(group * 10_u16.pow((DIGITS_PER_GROUP - used) as u32)),
    }
    Numeric::normalized(class, weight, scale, groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_the_server_reads_them() {
        for (text, shown) in [
            ("1", "1"),
            ("+1", "1"),
            ("-1", "-1"),
            ("007", "7"),
            (".5", "0.5"),
            ("5.", "5"),
            ("-0", "0"),
            ("-0.00", "0.00"),
            ("1e3", "1000"),
            ("1E+3", "1000"),
            ("1.5e1", "15"),
            ("1.50e1", "15.0"),
            ("1e-3", "0.001"),
            ("12345.6789e-4", "1.23456789"),
            ("0e10", "0"),
            ("0e-3", "0.000"),
            ("nan", "NaN"),
            ("inf", "Infinity"),
            ("-INFINITY", "-Infinity"),
        ] {
            assert_eq!(
                text.parse::<Numeric>().unwrap().to_string(),
                shown,
                "{text}"
            );
        }
        for text in [
            "", ".", "-", "+-1", "--1", "1.2.3", "1e", "e1", "1e1.5", "1 ", " 1", "0x1", "1_0",
            "-nan", "+nan", "infinit", "１",
        ] {
            assert_eq!(text.parse::<Numeric>(), Err(ParseNumericError), "{text}");
        }
    }
}
