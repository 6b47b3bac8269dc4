//! `bit` and `varbit`: how many bits, and the bits in bytes (`varbit_send` in `varbit.c`).

use std::fmt;
use std::str::FromStr;

use super::{Decode, Encode, IsNull, ParamWriter, RawValue, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Type, oid};

/// A `bit` or `varbit`: a string of bits.
///
/// # Example
///
/// ```
/// use kornak::codec::BitString;
///
/// let bits: BitString = "10110".parse()?;
/// assert_eq!(bits.len(), 5);
/// assert_eq!(bits.as_bytes(), [0b1011_0000]);
/// assert_eq!(bits.iter().filter(|bit| *bit).count(), 3);
/// # Ok::<(), kornak::codec::ParseBitStringError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct BitString {
    /// The most significant bit of each byte first. Invariant: just as many bytes as it
    /// takes, and the bits of the last byte behind the end are 0.
    bytes: Vec<u8>,
    length: usize,
}

/// A text has other characters than 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseBitStringError;

impl BitString {
    /// The first `length` bits of `bytes`, the most significant bit of each byte first;
    /// zeros where there are fewer.
    #[inline]
    pub fn from_bytes(mut bytes: Vec<u8>, length: usize) -> Self {
        bytes.resize(length.div_ceil(8), 0);
        if let (Some(last), used @ 1..) = (bytes.last_mut(), length % 8) {
            *last &= 0xff << (8 - used);
        }
        Self { bytes, length }
    }

    /// How many bits there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The bits in bytes, the most significant one first; what is left over is 0.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bit at `index`, counted from the left.
    #[inline]
    pub fn get(&self, index: usize) -> Option<bool> {
        (index < self.length).then(|| self.bytes[index / 8] & (0x80 >> (index % 8)) != 0)
    }

    /// The bits from the left.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = bool> + '_ {
        (0..self.length).map(|index| self.bytes[index / 8] & (0x80 >> (index % 8)) != 0)
    }
}

impl FromIterator<bool> for BitString {
    fn from_iter<I: IntoIterator<Item = bool>>(bits: I) -> Self {
        let mut this = Self::default();
        for bit in bits {
            if this.length % 8 == 0 {
                this.bytes.push(0);
            }
            if let Some(last) = this.bytes.last_mut() {
                *last |= u8::from(bit) << (7 - this.length % 8);
            }
            this.length += 1;
        }
        this
    }
}

/// As the server prints it.
impl fmt::Display for BitString {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for bit in self.iter() {
            f.write_str(if bit { "1" } else { "0" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for BitString {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BitString({self})")
    }
}

/// Reads what `Display` prints.
impl FromStr for BitString {
    type Err = ParseBitStringError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, ParseBitStringError> {
        let bit = |character| match character {
            '0' => Ok(false),
            '1' => Ok(true),
            _ => Err(ParseBitStringError),
        };
        text.chars().map(bit).collect()
    }
}

impl fmt::Display for ParseBitStringError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string of bits has the characters 0 and 1 alone")
    }
}

impl std::error::Error for ParseBitStringError {}

#[inline]
pub(super) fn is_bits(ty: &Type) -> bool {
    matches!(ty.oid(), oid::BIT | oid::VARBIT)
}

/// Writes how many bits follow, for the Rust type `T`.
pub(super) fn begin_bits<T>(
    length: usize,
    ty: &Type,
    out: &mut ParamWriter<'_>,
) -> Result<(), EncodeError> {
    if !is_bits(ty) {
        return Err(wrong_encode_type::<T>(ty));
    }
    match i32::try_from(length) {
        Ok(length) => out.put_i32(length),
        Err(_) => {
            return Err(super::out_of_range::<T>(
                ty,
                format_args!("a length of {length}"),
            ));
        }
    }
    Ok(())
}

/// Reads how many bits there are, and the bytes that have them.
pub(super) fn read_bits<'r, T>(value: RawValue<'r, '_>) -> Result<(&'r [u8], usize), DecodeError> {
    let mut reader = value.reader();
    let length = usize::try_from(reader.i32()?)
        .map_err(|_| value.error::<T>("its number of bits is negative"))?;
    let bytes = reader.bytes(length.div_ceil(8))?;
    reader.finish()?;
    Ok((bytes, length))
}

impl Encode for BitString {
    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        begin_bits::<Self>(self.length, ty, out)?;
        out.put_slice(&self.bytes);
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r> for BitString {
    #[inline]
    fn accepts(ty: &Type) -> bool {
        is_bits(ty)
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let (bytes, length) = read_bits::<Self>(value)?;
        Ok(Self::from_bytes(bytes.to_vec(), length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::{check, reads, refuses_to_read};

    #[test]
    fn strings_of_bits_have_the_servers_bytes_and_text() {
        for (text, hex) in [
            ("", "00000000"),
            ("1", "0000000180"),
            ("0", "0000000100"),
            ("10110", "00000005b0"),
            ("11111111", "00000008ff"),
            ("111111110", "00000009ff00"),
            (
                "0101010101010101010101010101010101010101",
                "000000285555555555",
            ),
        ] {
            let bits: BitString = text.parse().unwrap();
            assert_eq!(bits.to_string(), text);
            assert_eq!(bits.len(), text.len());
            assert_eq!(bits.get(text.len()), None);
            check(&Type::VARBIT, bits.clone(), hex);
            check(&Type::BIT, bits, hex);
        }
        assert!("012".parse::<BitString>().is_err());
        assert_eq!(
            BitString::from_bytes(vec![0xff; 3], 9).as_bytes(),
            [0xff, 0x80]
        );
        assert_eq!(BitString::from_bytes(vec![], 9).as_bytes(), [0, 0]);
    }

    #[test]
    fn s25_strings_of_bits_that_lie() {
        refuses_to_read::<BitString>(&Type::VARBIT, "00000009ff", "ends early");
        refuses_to_read::<BitString>(&Type::VARBIT, "00000008ffff", "1 bytes follow");
        refuses_to_read::<BitString>(&Type::VARBIT, "ffffffffff", "negative");
        refuses_to_read::<BitString>(&Type::VARBIT, "7fffffff", "ends early");
        reads::<BitString>(&Type::VARBIT, "00000001ff", "1".parse().unwrap());
    }
}
