//! `xid`, `cid`, `int2vector` and `oidvector`: what the columns of the catalogue have, and
//! what the server converts no other type to (`xid.c`, `int.c`, `oid.c`).

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use super::fixed::encode_fixed;
use super::{ArrayElements, DeclaredType, Decode, Encode, IsNull, ParamWriter, RawValue};
use super::{array, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Type, oid};

/// An `xid`: the number of a transaction, which begins again after 4 billion; `xid8` and
/// [`Snapshot`](super::Snapshot) have those that don't.
///
/// A `u32` reads the type too, but is an `oid` as a parameter, which the server doesn't take
/// for an `xid`.
///
/// # Example
///
/// ```
/// use kornak::codec::Xid;
///
/// assert_eq!("731".parse(), Ok(Xid(731)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Xid(pub u32);

/// A `cid`: the number of a command within its transaction.
///
/// A `u32` reads the type too, but is an `oid` as a parameter, which the server doesn't take
/// for a `cid`.
///
/// # Example
///
/// ```
/// use kornak::codec::Cid;
///
/// assert_eq!(Cid(2).to_string(), "2");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cid(pub u32);

/// An `int2vector`: small numbers, of columns for example.
///
/// A `Vec<i16>` reads the type too, but is an `int2[]` as a parameter, which the server
/// doesn't take for an `int2vector`. Empty ones the server sends, but doesn't receive.
///
/// # Example
///
/// ```
/// use kornak::codec::Int2Vector;
///
/// assert_eq!(Int2Vector(vec![1, 2, -3]).to_string(), "1 2 -3");
/// assert_eq!("1 2 -3".parse(), Ok(Int2Vector(vec![1, 2, -3])));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Int2Vector(pub Vec<i16>);

/// An `oidvector`: OIDs, of a function's parameter types for example.
///
/// A `Vec<u32>` reads the type too, but is an `oid[]` as a parameter, which the server
/// doesn't take for an `oidvector`. Empty ones the server sends, but doesn't receive.
///
/// # Example
///
/// ```
/// use kornak::codec::OidVector;
///
/// assert_eq!(OidVector(vec![23, 25]).to_string(), "23 25");
/// assert_eq!("23 25".parse(), Ok(OidVector(vec![23, 25])));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OidVector(pub Vec<u32>);

/// A number with a type of its own.
macro_rules! number {
    ($name:ident, $oid:ident) => {
        impl fmt::Display for $name {
            #[inline]
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;

            #[inline]
            fn from_str(text: &str) -> Result<Self, ParseIntError> {
                text.parse().map(Self)
            }
        }

        encode_fixed!($name, $oid, Oid, $name::bytes);

        impl $name {
            #[inline]
            fn bytes(&self) -> [u8; 4] {
                self.0.to_be_bytes()
            }
        }

        impl<'r> Decode<'r> for $name {
            const USUAL_LENGTH: Option<usize> = Some(4);

            #[inline]
            fn accepts(ty: &Type) -> bool {
                ty.oid() == oid::$oid
            }

            #[inline]
            fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
                Ok(Self(u32::from_be_bytes(value.fixed::<Self, 4>()?)))
            }

            #[inline]
            fn decode_elements(
                elements: &mut ArrayElements<'r, '_>,
            ) -> Result<Vec<Self>, DecodeError> {
                array::decode_fixed(elements, |bytes| Self(u32::from_be_bytes(bytes)))
            }
        }
    };
}

/// Numbers with spaces between them in their text; in binary an array of them.
macro_rules! vector {
    ($name:ident, $oid:ident, $number:ty) => {
        impl fmt::Display for $name {
            #[inline]
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for (index, number) in self.0.iter().enumerate() {
                    let separator = if index == 0 { "" } else { " " };
                    write!(f, "{separator}{number}")?;
                }
                Ok(())
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;

            #[inline]
            fn from_str(text: &str) -> Result<Self, ParseIntError> {
                let numbers = text.split_ascii_whitespace();
                numbers.map(str::parse).collect::<Result<_, _>>().map(Self)
            }
        }

        impl Encode for $name {
            const DECLARED: DeclaredType = DeclaredType::Oid(oid::$oid);

            #[inline]
            fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
                if ty.oid() != oid::$oid {
                    return Err(wrong_encode_type::<Self>(ty));
                }
                self.0.encode(ty, out)
            }
        }

        impl<'r> Decode<'r> for $name {
            #[inline]
            fn accepts(ty: &Type) -> bool {
                ty.oid() == oid::$oid
            }

            #[inline]
            fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
                Vec::<$number>::decode(value).map(Self)
            }
        }
    };
}

number!(Xid, XID);
number!(Cid, CID);
vector!(Int2Vector, INT2VECTOR, i16);
vector!(OidVector, OIDVECTOR, u32);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::{check, refuses_to_read, refuses_to_write};

    #[test]
    fn columns_of_the_catalogue_have_the_servers_bytes_and_text() {
        check(&Type::XID, Xid(u32::MAX), "ffffffff");
        check(&Type::CID, Cid(7), "00000007");
        let array = "00000001000000000000001c00000001000000010000000400000003";
        check(&Type::XID_ARRAY, vec![Xid(3)], array);
        let numbers = "0000000100000000000000150000000200000000000000020001000000020002";
        check(&Type::INT2VECTOR, Int2Vector(vec![1, 2]), numbers);
        let none = "00000001000000000000001a0000000000000000";
        check(&Type::OIDVECTOR, OidVector::default(), none);
        assert_eq!(OidVector(vec![u32::MAX, 0]).to_string(), "4294967295 0");
        assert_eq!(" 1  2 ".parse(), Ok(Int2Vector(vec![1, 2])));
        assert_eq!("".parse(), Ok(OidVector::default()));
        assert!("1,2".parse::<Int2Vector>().is_err());
        assert!("32768".parse::<Int2Vector>().is_err());
        assert!("-1".parse::<Xid>().is_err());
        refuses_to_write(&Type::OID, &Xid(1), "the Rust type for oid is u32");
        refuses_to_write(&Type::INT2_ARRAY, &Int2Vector(vec![1]), "Vec<i16>");
        let nested = "00000002000000000000001500000001000000000000000100000000000000020001";
        refuses_to_read::<Int2Vector>(&Type::INT2VECTOR, nested, "2 dimensions");
    }
}
