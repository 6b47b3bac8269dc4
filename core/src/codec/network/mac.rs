//! [`MacAddr`] and [`MacAddr8`]: the bytes as they are (`macaddr_send` in `mac.c`).

use std::fmt;
use std::str::FromStr;

use super::ParseNetworkError;
use crate::codec::array;
use crate::codec::fixed::encode_fixed;
use crate::codec::{ArrayElements, Decode, RawValue};
use crate::error::DecodeError;
use crate::types::{Type, oid};

/// A `macaddr`: a hardware address of six bytes, EUI-48.
///
/// # Example
///
/// ```
/// use kornak::codec::MacAddr;
///
/// let address: MacAddr = "08-00-2b-01-02-03".parse()?;
/// assert_eq!(address.to_string(), "08:00:2b:01:02:03");
/// # Ok::<(), kornak::codec::ParseNetworkError>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

/// A `macaddr8`: a hardware address of eight bytes, EUI-64.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr8(pub [u8; 8]);

/// Reads hexadecimal digits in pairs, with the same separator (`:`, `-` or `.`) between
/// groups of equally many pairs, or none.
fn parse<const N: usize>(text: &str) -> Result<[u8; N], ParseNetworkError> {
    let separator = text
        .chars()
        .find(|character| !character.is_ascii_hexdigit());
    let groups: Vec<&str> = match separator {
        Some(separator @ (':' | '-' | '.')) => text.split(separator).collect(),
        Some(_) => return Err(ParseNetworkError),
        None => vec![text],
    };
    let width = groups.first().map_or(0, |group| group.len());
    if width % 2 != 0 || width * groups.len() != 2 * N {
        return Err(ParseNetworkError);
    }
    let mut bytes = [0; N];
    let mut places = bytes.iter_mut();
    for group in groups {
        if group.len() != width || !group.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ParseNetworkError);
        }
        for (start, place) in (0..width).step_by(2).zip(&mut places) {
            let pair = &group[start..start + 2];
            *place = u8::from_str_radix(pair, 16).map_err(|_| ParseNetworkError)?;
        }
    }
    Ok(bytes)
}

macro_rules! hardware_address {
    ($name:ident, $oid:ident, $size:literal) => {
        impl FromStr for $name {
            type Err = ParseNetworkError;

            #[inline]
            fn from_str(text: &str) -> Result<Self, ParseNetworkError> {
                parse(text).map(Self)
            }
        }

        /// As the server prints it.
        impl fmt::Display for $name {
            #[inline]
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for (index, byte) in self.0.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ":" };
                    write!(f, "{separator}{byte:02x}")?;
                }
                Ok(())
            }
        }

        impl fmt::Debug for $name {
            #[inline]
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        encode_fixed!($name, $oid, Described, $name::bytes);

        impl $name {
            #[inline]
            fn bytes(&self) -> [u8; $size] {
                self.0
            }
        }

        impl<'r> Decode<'r> for $name {
            const USUAL_LENGTH: Option<usize> = Some($size);

            #[inline]
            fn accepts(ty: &Type) -> bool {
                ty.oid() == oid::$oid
            }

            #[inline]
            fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
                Ok(Self(value.fixed::<Self, $size>()?))
            }

            #[inline]
            fn decode_elements(
                elements: &mut ArrayElements<'r, '_>,
            ) -> Result<Vec<Self>, DecodeError> {
                array::decode_fixed(elements, Self)
            }
        }
    };
}

hardware_address!(MacAddr, MACADDR, 6);
hardware_address!(MacAddr8, MACADDR8, 8);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::{check, refuses_to_read};

    #[test]
    fn addresses_have_the_servers_bytes_and_text() {
        let short = MacAddr([8, 0, 0x2b, 1, 2, 3]);
        let long = MacAddr8([8, 0, 0x2b, 0xff, 0xfe, 1, 2, 3]);
        check(&Type::MACADDR, short, "08002b010203");
        check(&Type::MACADDR8, long, "08002bfffe010203");
        assert_eq!(long.to_string(), "08:00:2b:ff:fe:01:02:03");
        for text in [
            "08:00:2b:01:02:03",
            "08-00-2B-01-02-03",
            "08002b:010203",
            "08002b-010203",
            "0800.2b01.0203",
            "0800-2b01-0203",
            "08002b010203",
        ] {
            assert_eq!(text.parse(), Ok(short), "{text}");
            assert!(text.parse::<MacAddr8>().is_err());
        }
        for text in [
            "",
            ":",
            "08:00:2b:01:02",
            "08:00:2b:01:02:0",
            "08:00:2b:01:02:03:",
            "8:0:2b:1:2:3",
            "08:00-2b:01:02:03",
            "08 00 2b 01 02 03",
            "08:00:2b:01:02:0g",
            "0800:2b:01:02:03",
            "08:00:2b:01:02:é",
        ] {
            assert_eq!(text.parse::<MacAddr>(), Err(ParseNetworkError), "{text}");
        }
        refuses_to_read::<MacAddr>(&Type::MACADDR, "08002b0102", "5 bytes instead of 6");
    }
}
