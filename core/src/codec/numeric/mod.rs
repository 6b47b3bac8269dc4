//! `numeric`: decimal digits in groups of four (`numeric_send` in `numeric.c`).

mod convert;
mod parse;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use super::{Decode, Encode, IsNull, ParamWriter, RawValue, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Type, oid};

pub use self::parse::ParseNumericError;

/// A `numeric`: a decimal number of up to 131,072 digits before the point and 16,383 behind
/// it, not a number, or infinite.
///
/// The scale, which is how many digits are shown behind the point, is kept: 1.50 stays
/// 1.50. Comparisons look at the value alone, and count as the server does: `NaN` equals
/// itself and is above all others.
///
/// There is no arithmetic. Convert to a type that has it, of a decimal crate or a number.
///
/// # Example
///
/// ```
/// use kornak::Numeric;
///
/// let price: Numeric = "19.90".parse()?;
/// assert_eq!(price.to_string(), "19.90");
/// assert_eq!(price.scale(), 2);
/// assert_eq!(price, "19.9".parse()?);
/// assert!(price < Numeric::from(20) && price < Numeric::INFINITY);
/// assert_eq!(i64::try_from(&Numeric::from(20)), Ok(20));
/// # Ok::<(), kornak::codec::ParseNumericError>(())
/// ```
#[derive(Clone)]
pub struct Numeric {
    class: Class,
    /// The power of 10,000 of the first group.
    weight: i16,
    scale: u16,
    /// Groups of four digits. Invariant: the first and the last are not 0, so that 0 has
    /// none; no group but the last lies behind the scale, and that one ends at it.
    groups: Vec<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Positive,
    Negative,
    NaN,
    Infinity,
    NegInfinity,
}

const BASE: u16 = 10_000;
const DIGITS_PER_GROUP: usize = 4;

/// The most digits behind the point, `NUMERIC_DSCALE_MAX`.
const MAX_SCALE: u16 = 0x3fff;

/// What the server puts in place of an infinity's scale. It doesn't read it.
const INFINITE_SCALE: u16 = 0x20;

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xc000;
const INFINITY: u16 = 0xd000;
const NEG_INFINITY: u16 = 0xf000;

impl Numeric {
    /// Zero, without digits behind the point.
    pub const ZERO: Self = Self::special(Class::Positive);
    /// Not a number. Equal to itself, and above all others.
    pub const NAN: Self = Self::special(Class::NaN);
    /// Above all numbers.
    pub const INFINITY: Self = Self::special(Class::Infinity);
    /// Below all numbers.
    pub const NEG_INFINITY: Self = Self::special(Class::NegInfinity);

    #[inline]
    const fn special(class: Class) -> Self {
        Self {
            class,
            weight: 0,
            scale: 0,
            groups: Vec::new(),
        }
    }

    /// Whether it is a number, and not infinite.
    #[inline]
    pub fn is_finite(&self) -> bool {
        matches!(self.class, Class::Positive | Class::Negative)
    }

    /// Whether it is not a number.
    #[inline]
    pub fn is_nan(&self) -> bool {
        self.class == Class::NaN
    }

    /// Whether it is below zero.
    #[inline]
    pub fn is_negative(&self) -> bool {
        matches!(self.class, Class::Negative | Class::NegInfinity)
    }

    /// How many digits are shown behind the point.
    #[inline]
    pub fn scale(&self) -> u16 {
        self.scale
    }

    /// Brings groups into the form of the invariant; groups behind the scale are cut off.
    #[inline]
    fn normalized(class: Class, weight: i32, scale: u16, mut groups: Vec<u16>) -> Option<Self> {
        // How many groups reach down to the scale.
        let kept = weight + 1 + i32::from(scale.div_ceil(4));
        groups.truncate(usize::try_from(kept).unwrap_or(0));
        if usize::try_from(kept) == Ok(groups.len()) {
            let unit = match scale % 4 {
                0 => 1,
                digits => 10_u16.pow(4 - u32::from(digits)),
            };
            if let Some(last) = groups.last_mut() {
                *last -= *last % unit;
            }
        }
        while groups.last() == Some(&0) {
            groups.pop();
        }
        let leading = groups.iter().take_while(|&&group| group == 0).count();
        groups.drain(..leading);
        let (class, weight) = match groups.is_empty() {
            true => (Class::Positive, 0),
            false => (class, weight - i32::try_from(leading).ok()?),
        };
        Some(Self {
            class,
            weight: i16::try_from(weight).ok()?,
            scale,
            groups,
        })
    }

    /// The group whose digits stand for that power of 10,000.
    #[inline]
    fn group(&self, power: i32) -> u16 {
        usize::try_from(i32::from(self.weight) - power)
            .ok()
            .and_then(|index| self.groups.get(index))
            .copied()
            .unwrap_or(0)
    }

    /// Compares the absolute values of two finite numbers.
    #[inline]
    fn compare_magnitude(&self, other: &Self) -> Ordering {
        match (self.groups.is_empty(), other.groups.is_empty()) {
            (false, false) => {}
            (a, b) => return b.cmp(&a),
        }
        self.weight
            .cmp(&other.weight)
            .then_with(|| self.groups.cmp(&other.groups))
    }
}

impl Class {
    #[inline]
    fn rank(self) -> u8 {
        match self {
            Self::NegInfinity => 0,
            Self::Negative => 1,
            Self::Positive => 2,
            Self::Infinity => 3,
            Self::NaN => 4,
        }
    }
}

impl Ord for Numeric {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.class, other.class) {
            (Class::Positive, Class::Positive) => self.compare_magnitude(other),
            (Class::Negative, Class::Negative) => other.compare_magnitude(self),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }
}

impl PartialOrd for Numeric {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Numeric {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Numeric {}

impl Hash for Numeric {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.class.rank(), self.weight, &self.groups).hash(state);
    }
}

impl Default for Numeric {
    #[inline]
    fn default() -> Self {
        Self::ZERO
    }
}

/// As the server prints it.
impl fmt::Display for Numeric {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.class {
            Class::NaN => return f.write_str("NaN"),
            Class::Infinity => return f.write_str("Infinity"),
            Class::NegInfinity => return f.write_str("-Infinity"),
            Class::Negative => f.write_str("-")?,
            Class::Positive => {}
        }
        let weight = i32::from(self.weight).max(0);
        write!(f, "{}", self.group(weight))?;
        for power in (0..weight).rev() {
            write!(f, "{:04}", self.group(power))?;
        }
        let mut left = usize::from(self.scale);
        if left > 0 {
            f.write_str(".")?;
        }
        let mut power = -1;
        while left > 0 {
            let shown = left.min(DIGITS_PER_GROUP);
            let digits = self.group(power) / 10_u16.pow((DIGITS_PER_GROUP - shown) as u32);
            write!(f, "{digits:0shown$}")?;
            left -= shown;
            power -= 1;
        }
        Ok(())
    }
}

impl fmt::Debug for Numeric {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Numeric({self})")
    }
}

impl Encode for Numeric {
    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if ty.oid() != oid::NUMERIC {
            return Err(wrong_encode_type::<Self>(ty));
        }
        // At most 32,768 + 4,096 groups, by the limits of weight and scale.
        out.put_u16(self.groups.len() as u16);
        out.put_i16(self.weight);
        out.put_u16(match self.class {
            Class::Positive => POSITIVE,
            Class::Negative => NEGATIVE,
            Class::NaN => NAN,
            Class::Infinity => INFINITY,
            Class::NegInfinity => NEG_INFINITY,
        });
        out.put_u16(match self.class {
            Class::Infinity | Class::NegInfinity => INFINITE_SCALE,
            _ => self.scale,
        });
        for &group in &self.groups {
            out.put_u16(group);
        }
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r> for Numeric {
    #[inline]
    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::NUMERIC
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let mut reader = value.reader();
        let count = reader.u16()?;
        let weight = reader.i16()?;
        let class = match reader.u16()? {
            POSITIVE => Class::Positive,
            NEGATIVE => Class::Negative,
            NAN => return Ok(Self::NAN),
            INFINITY => return Ok(Self::INFINITY),
            NEG_INFINITY => return Ok(Self::NEG_INFINITY),
            _ => return Err(value.error::<Self>("its sign is unknown")),
        };
        let scale = reader.u16()?;
        if scale > MAX_SCALE {
            return Err(value.error::<Self>("its scale is out of range"));
        }
        let groups = reader.bytes(usize::from(count) * 2)?;
        reader.finish()?;
        let groups: Vec<u16> = groups
            .chunks_exact(2)
            .map(|group| u16::from_be_bytes([group[0], group[1]]))
            .collect();
        if groups.iter().any(|&group| group >= BASE) {
            return Err(value.error::<Self>("one of its groups has more than four digits"));
        }
        Self::normalized(class, weight.into(), scale, groups)
            .ok_or_else(|| value.error::<Self>("it has too many digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::{check, decoded, encoded, from_hex, reads, refuses_to_read};

    #[test]
    fn r58_numbers_keep_their_scale() {
        for (text, hex) in NUMBERS {
            let number: Numeric = text.parse().unwrap();
            assert_eq!(number.to_string(), *text);
            check(&Type::NUMERIC, number, hex);
            let read: Numeric = decoded(&from_hex(hex), &Type::NUMERIC).unwrap();
            assert_eq!(read.to_string(), *text);
        }
    }

    #[test]
    fn r58_the_whole_range() {
        let largest = format!("{}.{}", "9".repeat(131_072), "9".repeat(16_383));
        let smallest = format!("-0.{}1", "0".repeat(16_382));
        let round = format!("1{}", "0".repeat(131_071));
        for text in [largest, smallest, round] {
            let number: Numeric = text.parse().unwrap();
            assert_eq!(number.to_string(), text);
            let bytes = encoded(&number, &Type::NUMERIC).unwrap();
            let read: Numeric = decoded(&bytes, &Type::NUMERIC).unwrap();
            assert_eq!(read.to_string(), text);
        }
        for text in [
            format!("1{}", "0".repeat(131_072)),
            format!("0.{}1", "0".repeat(16_383)),
            "1e131072".to_owned(),
            "1e-16384".to_owned(),
            "1e999999999999999999".to_owned(),
            "1e-999999999999999999".to_owned(),
        ] {
            assert!(text.parse::<Numeric>().is_err(), "{text:.40}");
        }
    }

    #[test]
    fn the_order_is_the_servers() {
        let sorted = [
            "-Infinity",
            "-10000",
            "-9999.5",
            "-1",
            "-0.0001",
            "0",
            "0.00009",
            "0.0001",
            "1",
            "1.0001",
            "9999",
            "10000",
            "12345678",
            "1e100",
            "Infinity",
            "NaN",
        ];
        let sorted = sorted.map(|text| text.parse::<Numeric>().unwrap());
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(a.cmp(b), i.cmp(&j), "{a} and {b}");
            }
        }
        let equal = ["0", "0.00", "-0.0"].map(|text| text.parse::<Numeric>().unwrap());
        assert!(equal[0] == equal[1] && equal[1] == equal[2]);
    }

    #[test]
    fn s25_numbers_that_lie() {
        refuses_to_read::<Numeric>(&Type::NUMERIC, "00020000000000000001", "ends early");
        refuses_to_read::<Numeric>(&Type::NUMERIC, "000100000000000000010001", "2 bytes follow");
        refuses_to_read::<Numeric>(&Type::NUMERIC, "ffff0000000000000001", "ends early");
        refuses_to_read::<Numeric>(&Type::NUMERIC, "00010000000000002710", "four digits");
        refuses_to_read::<Numeric>(&Type::NUMERIC, "00010000000040000001", "scale");
        refuses_to_read::<Numeric>(&Type::NUMERIC, "00010000800000000001", "sign");
        // The server's own form has no zeros at the ends and nothing behind the scale.
        let plain = |text: &str| text.parse::<Numeric>().unwrap();
        reads(&Type::NUMERIC, "0003000100000000000000050000", plain("5"));
        reads(&Type::NUMERIC, "0002000000000002000104d3", plain("1.12"));
        reads(&Type::NUMERIC, "0001ffff000000000001", plain("0"));
        reads(&Type::NUMERIC, "0001ffff400000000001", plain("0"));
    }

    const NUMBERS: &[(&str, &str)] = &[
        ("0", "0000000000000000"),
        ("0.00", "0000000000000002"),
        ("1", "00010000000000000001"),
        ("-1", "00010000400000000001"),
        ("9999", "0001000000000000270f"),
        ("10000", "00010001000000000001"),
        ("0.0001", "0001ffff000000040001"),
        ("0.00001", "0001fffe0000000503e8"),
        ("1.50", "000200000000000200011388"),
        ("-12345.6789", "0003000140000004000109291a85"),
        ("120000", "0001000100000000000c"),
        ("100000000000000000000", "00010005000000000001"),
        (
            "100000000.000000001",
            "00060002000000090001000000000000000003e8",
        ),
        (
            "12345678901234567890.123456789",
            "000800040000000904d2162e23340d801ed204d2162e2328",
        ),
        ("NaN", "00000000c0000000"),
        ("Infinity", "00000000d0000020"),
        ("-Infinity", "00000000f0000020"),
        ("99.99", "0002000000000002006326ac"),
        ("0.1", "0001ffff0000000103e8"),
        ("1000000.1", "00030001000000010064000003e8"),
    ];
}
