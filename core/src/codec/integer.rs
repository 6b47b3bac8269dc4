//! `int2`, `int4`, `int8`, `oid` and its kin, and `"char"`: integers in network order
//! (`int4send` in `int.c`, `oidsend` in `oid.c`, `charsend` in `char.c`).
//!
//! A Rust integer is written as whichever integer type the server wants, if its value fits,
//! and reads the types whose every value fits.

use super::fixed::encode_fixed;
use super::fixed::write_fixed;
use super::{ArrayElements, DeclaredType, Decode, Encode, IsNull, ParamWriter, RawValue};
use super::{ValueWriter, Written, array, check, out_of_range, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Format, Type, oid};

/// Whether the type is an unsigned 32-bit number: `oid`, `xid`, `cid`, or a name that the
/// server keeps as the OID of an object.
pub(super) fn is_oid_like(ty: &Type) -> bool {
    matches!(
        ty.oid(),
        oid::OID
            | oid::XID
            | oid::CID
            | oid::REGPROC
            | oid::REGPROCEDURE
            | oid::REGOPER
            | oid::REGOPERATOR
            | oid::REGCLASS
            | oid::REGTYPE
            | oid::REGCONFIG
            | oid::REGDICTIONARY
            | oid::REGNAMESPACE
            | oid::REGROLE
            | oid::REGCOLLATION
    )
}

macro_rules! encode_integer {
    ($integer:ident, $declared:ident) => {
        impl Encode for $integer {
            const DECLARED: DeclaredType = DeclaredType::Oid(oid::$declared);

            #[inline]
            fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
                let fits = match ty.oid() {
                    oid::INT4 => i32::try_from(*self).map(|value| out.put_i32(value)).is_ok(),
                    oid::INT8 => i64::try_from(*self).map(|value| out.put_i64(value)).is_ok(),
                    oid::INT2 => i16::try_from(*self).map(|value| out.put_i16(value)).is_ok(),
                    _ if is_oid_like(ty) => {
                        u32::try_from(*self).map(|value| out.put_u32(value)).is_ok()
                    }
                    _ => return Err(wrong_encode_type::<Self>(ty)),
                };
                if fits {
                    Ok(IsNull::No)
                } else {
                    Err(out_of_range::<Self>(ty, *self))
                }
            }

            #[inline]
            fn encode_with_length(
                &self,
                ty: &Type,
                out: ValueWriter<'_>,
            ) -> Result<Written, EncodeError> {
                if ty.oid() != oid::$declared {
                    return out.measured(self, ty);
                }
                out.fixed(self.to_be_bytes())
            }

            #[inline]
            fn encode_short(&self, ty: &Type, format: Format, room: &mut [u8]) -> Option<usize> {
                if ty.oid() != oid::$declared {
                    return None;
                }
                write_fixed(self.to_be_bytes(), format, room)
            }
        }
    };
}

encode_integer!(i16, INT2);
encode_integer!(i32, INT4);
encode_integer!(i64, INT8);
encode_integer!(u32, OID);

impl<'r> Decode<'r> for i16 {
    const USUAL_LENGTH: Option<usize> = Some(2);

    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::INT2
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        Ok(i16::from_be_bytes(value.fixed::<Self, 2>()?))
    }

    #[inline]
    fn decode_elements(elements: &mut ArrayElements<'r, '_>) -> Result<Vec<Self>, DecodeError> {
        array::decode_fixed(elements, i16::from_be_bytes)
    }
}

impl<'r> Decode<'r> for i32 {
    const USUAL_LENGTH: Option<usize> = Some(4);

    fn accepts(ty: &Type) -> bool {
        matches!(ty.oid(), oid::INT4 | oid::INT2)
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        match *value.bytes() {
            [a, b, c, d] => Ok(i32::from_be_bytes([a, b, c, d])),
            [a, b] => Ok(i32::from(i16::from_be_bytes([a, b]))),
            ref other => Err(check::wrong_length::<Self>(value.ty(), 4, other.len())),
        }
    }

    #[inline]
    fn decode_elements(elements: &mut ArrayElements<'r, '_>) -> Result<Vec<Self>, DecodeError> {
        array::decode_fixed(elements, i32::from_be_bytes)
    }
}

impl<'r> Decode<'r> for i64 {
    const USUAL_LENGTH: Option<usize> = Some(8);

    fn accepts(ty: &Type) -> bool {
        matches!(ty.oid(), oid::INT8 | oid::INT4 | oid::INT2)
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        match *value.bytes() {
            [a, b, c, d, e, f, g, h] => Ok(i64::from_be_bytes([a, b, c, d, e, f, g, h])),
            [a, b, c, d] => Ok(i64::from(i32::from_be_bytes([a, b, c, d]))),
            [a, b] => Ok(i64::from(i16::from_be_bytes([a, b]))),
            ref other => Err(check::wrong_length::<Self>(value.ty(), 8, other.len())),
        }
    }

    #[inline]
    fn decode_elements(elements: &mut ArrayElements<'r, '_>) -> Result<Vec<Self>, DecodeError> {
        array::decode_fixed(elements, i64::from_be_bytes)
    }
}

/// Reads `oid`, `xid`, `cid` and the `reg…` types.
impl<'r> Decode<'r> for u32 {
    const USUAL_LENGTH: Option<usize> = Some(4);

    fn accepts(ty: &Type) -> bool {
        is_oid_like(ty)
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        Ok(u32::from_be_bytes(value.fixed::<Self, 4>()?))
    }

    #[inline]
    fn decode_elements(elements: &mut ArrayElements<'r, '_>) -> Result<Vec<Self>, DecodeError> {
        array::decode_fixed(elements, u32::from_be_bytes)
    }
}

encode_fixed!(
    /// `"char"`, the one-byte type of the system catalogue.
    i8, CHAR, Oid, bytes,
);

#[inline]
fn bytes(value: &i8) -> [u8; 1] {
    value.to_be_bytes()
}

/// `"char"`, the one-byte type of the system catalogue.
impl<'r> Decode<'r> for i8 {
    const USUAL_LENGTH: Option<usize> = Some(1);

    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::CHAR
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        Ok(i8::from_be_bytes(value.fixed::<Self, 1>()?))
    }

    #[inline]
    fn decode_elements(elements: &mut ArrayElements<'r, '_>) -> Result<Vec<Self>, DecodeError> {
        array::decode_fixed(elements, i8::from_be_bytes)
    }
}
