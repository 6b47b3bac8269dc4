//! `money`: a whole number of the currency's smallest unit (`cash_send` in `cash.c`).

use std::fmt;

use super::array;
use super::fixed::encode_fixed;
use super::{ArrayElements, Decode, RawValue};
use crate::error::DecodeError;
use crate::types::{Type, oid};

/// A `money`: a count of the currency's smallest unit.
///
/// Which currency, and how many such units make one whole, is set by `lc_monetary` on the
/// server alone. The text here is what the server prints with `lc_monetary` C.
///
/// # Example
///
/// ```
/// use kornak::codec::Money;
///
/// assert_eq!(Money(-123_456).to_string(), "-$1,234.56");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(pub i64);

impl fmt::Display for Money {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let units = self.0.unsigned_abs();
        let whole = (units / 100).to_string();
        write!(f, "{sign}$")?;
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index) % 3 == 0 {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        write!(f, ".{:02}", units % 100)
    }
}

encode_fixed!(Money, MONEY, Described, Money::bytes);

impl Money {
    #[inline]
    fn bytes(&self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl<'r> Decode<'r> for Money {
    const USUAL_LENGTH: Option<usize> = Some(8);

    #[inline]
    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::MONEY
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        Ok(Self(i64::from_be_bytes(value.fixed::<Self, 8>()?)))
    }

    #[inline]
    fn decode_elements(elements: &mut ArrayElements<'r, '_>) -> Result<Vec<Self>, DecodeError> {
        array::decode_fixed(elements, |bytes| Self(i64::from_be_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::check;

    #[test]
    fn r57_amounts_have_the_servers_bytes_and_text() {
        for (units, text, hex) in [
            (0, "$0.00", "0000000000000000"),
            (100, "$1.00", "0000000000000064"),
            (-123456, "-$1,234.56", "fffffffffffe1dc0"),
            (
                9223372036854775807,
                "$92,233,720,368,547,758.07",
                "7fffffffffffffff",
            ),
            (
                -9223372036854775808,
                "-$92,233,720,368,547,758.08",
                "8000000000000000",
            ),
        ] {
            check(&Type::MONEY, Money(units), hex);
            assert_eq!(Money(units).to_string(), text);
        }
    }
}
