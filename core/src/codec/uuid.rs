//! `uuid`: sixteen bytes (`uuid_send` in `uuid.c`).

use std::fmt;
use std::str::FromStr;

use super::array;
use super::fixed::encode_fixed;
use super::{ArrayElements, Decode, RawValue};
use crate::error::DecodeError;
use crate::types::{Type, oid};

/// A `uuid`, as its sixteen bytes.
///
/// With the feature `with-uuid-1` the type of the crate `uuid` works as well, and has what
/// this one lacks: versions and generators.
///
/// # Example
///
/// ```
/// use kornak::Uuid;
///
/// let id: Uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11".parse()?;
/// assert_eq!(id.0[0], 0xa0);
/// assert_eq!(id.to_string(), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
/// # Ok::<(), kornak::codec::ParseUuidError>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

/// A text is not a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseUuidError;

/// Takes what the server takes: 32 hexadecimal digits, with a hyphen allowed after each
/// four of them, in braces or not.
impl FromStr for Uuid {
    type Err = ParseUuidError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, ParseUuidError> {
        let digits = match text.strip_prefix('{') {
            Some(rest) => rest.strip_suffix('}').ok_or(ParseUuidError)?,
            None => text,
        };
        let mut bytes = [0; 16];
        let mut rest = digits.as_bytes();
        for (index, byte) in bytes.iter_mut().enumerate() {
            if index > 0 && index % 2 == 0 {
                rest = rest.strip_prefix(b"-").unwrap_or(rest);
            }
            let [high, low, ..] = *rest else {
                return Err(ParseUuidError);
            };
            *byte = hex_digit(high)? << 4 | hex_digit(low)?;
            rest = &rest[2..];
        }
        if rest.is_empty() {
            Ok(Self(bytes))
        } else {
            Err(ParseUuidError)
        }
    }
}

#[inline]
fn hex_digit(character: u8) -> Result<u8, ParseUuidError> {
    char::from(character)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
        .ok_or(ParseUuidError)
}

impl fmt::Display for Uuid {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uuid({self})")
    }
}

impl fmt::Display for ParseUuidError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a UUID has 32 hexadecimal digits, with hyphens between groups of four")
    }
}

impl std::error::Error for ParseUuidError {}

encode_fixed!(Uuid, UUID, Oid, Uuid::bytes);

impl Uuid {
    #[inline]
    fn bytes(&self) -> [u8; 16] {
        self.0
    }
}

impl<'r> Decode<'r> for Uuid {
    const USUAL_LENGTH: Option<usize> = Some(16);

    #[inline]
    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::UUID
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        Ok(Self(value.fixed::<Self, 16>()?))
    }

    #[inline]
    fn decode_elements(elements: &mut ArrayElements<'r, '_>) -> Result<Vec<Self>, DecodeError> {
        array::decode_fixed(elements, Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_as_the_server_reads_it() {
        let wanted = Uuid([
            0xa0, 0xee, 0xbc, 0x99, 0x9c, 0x0b, 0x4e, 0xf8, 0xbb, 0x6d, 0x6b, 0xb9, 0xbd, 0x38,
            0x0a, 0x11,
        ]);
        for text in [
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
            "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
        ] {
            assert_eq!(text.parse(), Ok(wanted), "{text}");
        }
        for text in [
            "",
            "{}",
            "{a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11}",
            "a0eebc999c0b4ef8bb6d6bb9bd380a1",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11-",
            "a0eebc999c0b4ef8bb6d6bb9bd380a1144",
            "a-0eebc999c0b4ef8bb6d6bb9bd380a11",
            "g0eebc999c0b4ef8bb6d6bb9bd380a11",
            "+0eebc999c0b4ef8bb6d6bb9bd380a11",
        ] {
            assert_eq!(text.parse::<Uuid>(), Err(ParseUuidError), "{text}");
        }
    }
}
