//! Conversions between `numeric` and the numbers of Rust.

use super::{BASE, Class, MAX_SCALE, Numeric, ParseNumericError};

/// How many groups of four digits 128 bits can have, and one for the digits left over.
const GROUPS_OF_128_BITS: usize = 11;

impl Numeric {
    /// The nearest `f64`; infinite where it is too large.
    #[inline]
    pub fn to_f64(&self) -> f64 {
        match self.class {
            Class::NaN => f64::NAN,
            Class::Infinity => f64::INFINITY,
            Class::NegInfinity => f64::NEG_INFINITY,
            // Only the standard library's parser rounds correctly.
            Class::Positive | Class::Negative => self.to_string().parse().unwrap_or(f64::NAN),
        }
    }

    /// The digits in groups of four, each at most 9999, the first of them counted by
    /// [`weight`](Self::weight). There are no zeros at either end, and none for 0, `NaN` and
    /// the infinities.
    ///
    /// # Example
    ///
    /// ```
    /// use kornak::Numeric;
    ///
    /// let number: Numeric = "12345.678".parse()?;
    /// assert_eq!(number.groups(), [1, 2345, 6780]);
    /// assert_eq!((number.weight(), number.scale()), (1, 3));
    /// assert_eq!(Numeric::from_groups(false, 1, 3, vec![1, 2345, 6780])?, number);
    /// # Ok::<(), kornak::codec::ParseNumericError>(())
    /// ```
    #[inline]
    pub fn groups(&self) -> &[u16] {
        &self.groups
    }

    /// The power of 10,000 that the first group counts.
    #[inline]
    pub fn weight(&self) -> i16 {
        self.weight
    }

    /// The number of these groups, the first of which counts the power `weight` of 10,000;
    /// digits behind `scale` are cut off.
    ///
    /// # Errors
    ///
    /// If `scale` is over 16,383, or a group over 9999.
    #[inline]
    pub fn from_groups(
        is_negative: bool,
        weight: i16,
        scale: u16,
        groups: Vec<u16>,
    ) -> Result<Self, ParseNumericError> {
        if scale > MAX_SCALE || groups.iter().any(|&group| group >= BASE) {
            return Err(ParseNumericError);
        }
        let class = match is_negative {
            true => Class::Negative,
            false => Class::Positive,
        };
        Self::normalized(class, weight.into(), scale, groups).ok_or(ParseNumericError)
    }

    /// The number `coefficient` × 10^−`scale`, with that scale.
    ///
    /// # Errors
    ///
    /// If `scale` is over 16,383.
    #[inline]
    pub fn from_parts(
        is_negative: bool,
        mut coefficient: u128,
        scale: u32,
    ) -> Result<Self, ParseNumericError> {
        let scale = u16::try_from(scale).map_err(|_| ParseNumericError)?;
        if scale > MAX_SCALE {
            return Err(ParseNumericError);
        }
        let mut groups = Vec::with_capacity(GROUPS_OF_128_BITS);
        // The last group has as many digits as the scale leaves over.
        let odd = u32::from(scale) % 4;
        if odd > 0 {
            let last = (coefficient % 10_u128.pow(odd)) as u16;
            groups.push(last * 10_u16.pow(4 - odd));
            coefficient /= 10_u128.pow(odd);
        }
        Ok(Self::with_groups(is_negative, coefficient, scale, groups))
    }

    #[inline]
    fn whole(is_negative: bool, magnitude: u128) -> Self {
        let groups = Vec::with_capacity(GROUPS_OF_128_BITS);
        Self::with_groups(is_negative, magnitude, 0, groups)
    }

    /// Puts the digits of `coefficient` in front of `groups`, which are in reverse order.
    #[inline]
    fn with_groups(
        is_negative: bool,
        mut coefficient: u128,
        scale: u16,
        mut groups: Vec<u16>,
    ) -> Self {
        while coefficient > 0 {
            groups.push((coefficient % u128::from(BASE)) as u16);
            coefficient /= u128::from(BASE);
        }
        groups.reverse();
        let class = if is_negative {
            Class::Negative
        } else {
            Class::Positive
        };
        // Some ten groups and a checked scale are far within the range of weights.
        let behind = i32::from(scale.div_ceil(4));
        let weight = groups.len() as i32 - behind - 1;
        Self::normalized(class, weight, scale, groups).unwrap_or_default()
    }

    /// Whether it is negative, its coefficient and its scale, as [`from_parts`](Self::from_parts)
    /// takes them; `None` if it isn't finite or the coefficient needs more than 128 bits.
    #[inline]
    pub fn to_parts(&self) -> Option<(bool, u128, u32)> {
        if !self.is_finite() {
            return None;
        }
        let scale = u32::from(self.scale);
        let mut coefficient: u128 = 0;
        if !self.groups.is_empty() {
            for power in (0..=i32::from(self.weight)).rev() {
                coefficient = push(coefficient, self.group(power), 4)?;
            }
            let (whole, odd) = (scale / 4, scale % 4);
            for power in 1..=whole as i32 {
                coefficient = push(coefficient, self.group(-power), 4)?;
            }
            if odd > 0 {
                let group = self.group(-(whole as i32) - 1) / 10_u16.pow(4 - odd);
                coefficient = push(coefficient, group, odd)?;
            }
        }
        Some((self.is_negative(), coefficient, scale))
    }

    /// The sign and the value of a whole number.
    #[inline]
    fn to_whole(&self) -> Option<(bool, u128)> {
        if !self.is_finite() {
            return None;
        }
        let mut value: u128 = 0;
        for (index, &group) in self.groups.iter().enumerate() {
            // A group behind the point is not 0, or it would not be there at the end.
            if i32::try_from(index).ok()? > i32::from(self.weight) {
                return None;
            }
            value = push(value, group, 4)?;
        }
        let missing = i32::from(self.weight) + 1 - i32::try_from(self.groups.len()).ok()?;
        if !self.groups.is_empty() {
            for _ in 0..missing {
                value = push(value, 0, 4)?;
            }
        }
        Some((self.is_negative(), value))
    }
}

/// `number` with `digits` more digits, which are those of `group`.
#[inline]
fn push(number: u128, group: u16, digits: u32) -> Option<u128> {
    number
        .checked_mul(10_u128.pow(digits))?
        .checked_add(group.into())
}

macro_rules! from_integer {
    ($($integer:ident)*) => {
        $(
            impl From<$integer> for Numeric {
                #[inline]
                fn from(number: $integer) -> Self {
                    #[allow(unused_comparisons, reason = "half of the integers have a sign")]
                    let is_negative = number < 0;
                    let magnitude = match u128::try_from(number) {
                        Ok(magnitude) => magnitude,
                        Err(_) => (number as i128).unsigned_abs(),
                    };
                    Self::whole(is_negative, magnitude)
                }
            }

            impl TryFrom<&Numeric> for $integer {
                type Error = ParseNumericError;

                /// # Errors
                ///
                /// Unless it is a whole number in range.
                #[inline]
                fn try_from(number: &Numeric) -> Result<Self, ParseNumericError> {
                    let (is_negative, value) = number.to_whole().ok_or(ParseNumericError)?;
                    let value = if is_negative {
                        0_i128.checked_sub_unsigned(value).and_then(|value| value.try_into().ok())
                    } else {
                        value.try_into().ok()
                    };
                    value.ok_or(ParseNumericError)
                }
            }
        )*
    };
}

from_integer! { i8 u8 i16 u16 i32 u32 i64 u64 i128 u128 }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r57_integers_are_exact_or_refused() {
        for number in [
            0,
            1,
            -1,
            9999,
            10_000,
            -10_001,
            i64::MAX,
            i64::MIN,
            120_000_000,
        ] {
            let numeric = Numeric::from(number);
            assert_eq!(numeric.to_string(), number.to_string());
            assert_eq!(i64::try_from(&numeric), Ok(number));
        }
        assert_eq!(Numeric::from(i128::MIN).to_string(), i128::MIN.to_string());
        assert_eq!(i128::try_from(&Numeric::from(i128::MIN)), Ok(i128::MIN));
        assert_eq!(u128::try_from(&Numeric::from(u128::MAX)), Ok(u128::MAX));
        assert_eq!(Numeric::from(-128_i8).to_string(), "-128");
        assert_eq!(i8::try_from(&Numeric::from(-128)), Ok(-128));
        for (text, fits) in [
            ("1.00", true),
            ("1.01", false),
            ("0.00", true),
            ("128", false),
            ("-129", false),
            ("1e100", false),
            ("NaN", false),
            ("Infinity", false),
        ] {
            let numeric: Numeric = text.parse().unwrap();
            assert_eq!(i8::try_from(&numeric).is_ok(), fits, "{text}");
        }
        assert!(u8::try_from(&Numeric::from(-1)).is_err());
    }

    #[test]
    fn parts_are_exact() {
        for (text, parts) in [
            ("0", Some((false, 0, 0))),
            ("0.000", Some((false, 0, 3))),
            ("1.50", Some((false, 150, 2))),
            ("-12345.6789", Some((true, 123_456_789, 4))),
            ("0.00012345", Some((false, 12_345, 8))),
            ("120000.5", Some((false, 1_200_005, 1))),
            (
                "340282366920938463463374607431768211455",
                Some((false, u128::MAX, 0)),
            ),
            ("340282366920938463463374607431768211456", None),
            ("NaN", None),
        ] {
            let numeric: Numeric = text.parse().unwrap();
            assert_eq!(numeric.to_parts(), parts, "{text}");
            if let Some((is_negative, coefficient, scale)) = parts {
                let again = Numeric::from_parts(is_negative, coefficient, scale).unwrap();
                assert_eq!(again.to_string(), text);
            }
        }
    }

    #[test]
    fn floats_are_nearest() {
        for (text, float) in [
            ("0.1", 0.1),
            ("1e400", f64::INFINITY),
            ("-1e-400", -0.0),
            ("123456789.123456789", 123_456_789.123_456_79),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(text.parse::<Numeric>().unwrap().to_f64(), float, "{text}");
        }
        assert!(Numeric::NAN.to_f64().is_nan());
    }
}
