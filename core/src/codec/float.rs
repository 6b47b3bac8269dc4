//! `float4` and `float8`: IEEE 754 in network order (`float8send` in `float.c`).

use std::fmt::{self, Display as _};

use super::fixed::write_fixed;
use super::float_text::FloatText;
use super::{ArrayElements, DeclaredType, Decode, Encode, IsNull, ParamWriter, RawValue};
use super::{ValueWriter, Written, array, check, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Format, Type, oid};

impl Encode for f32 {
    const DECLARED: DeclaredType = DeclaredType::Oid(oid::FLOAT4);

    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        match ty.oid() {
            oid::FLOAT4 => out.put_f32(*self),
            oid::FLOAT8 => out.put_f64(f64::from(*self)),
            _ => return Err(wrong_encode_type::<Self>(ty)),
        }
        Ok(IsNull::No)
    }

    #[inline]
    fn fmt_as_server(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        FloatText(*self).fmt(f)
    }

    #[inline]
    fn encode_with_length(&self, ty: &Type, out: ValueWriter<'_>) -> Result<Written, EncodeError> {
        if ty.oid() != oid::FLOAT4 {
            return out.measured(self, ty);
        }
        out.fixed(self.to_be_bytes())
    }

    #[inline]
    fn encode_short(&self, ty: &Type, format: Format, room: &mut [u8]) -> Option<usize> {
        if ty.oid() != oid::FLOAT4 {
            return None;
        }
        write_fixed(self.to_be_bytes(), format, room)
    }
}

impl<'r> Decode<'r> for f32 {
    const USUAL_LENGTH: Option<usize> = Some(4);

    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::FLOAT4
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        Ok(f32::from_be_bytes(value.fixed::<Self, 4>()?))
    }

    #[inline]
    fn decode_elements(elements: &mut ArrayElements<'r, '_>) -> Result<Vec<Self>, DecodeError> {
        array::decode_fixed(elements, f32::from_be_bytes)
    }
}

/// Written as `float8` alone: a `float4` would drop digits.
impl Encode for f64 {
    const DECLARED: DeclaredType = DeclaredType::Oid(oid::FLOAT8);

    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if ty.oid() != oid::FLOAT8 {
            return Err(wrong_encode_type::<Self>(ty));
        }
        out.put_f64(*self);
        Ok(IsNull::No)
    }

    #[inline]
    fn fmt_as_server(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        FloatText(*self).fmt(f)
    }

    #[inline]
    fn encode_with_length(&self, ty: &Type, out: ValueWriter<'_>) -> Result<Written, EncodeError> {
        if ty.oid() != oid::FLOAT8 {
            return out.measured(self, ty);
        }
        out.fixed(self.to_be_bytes())
    }

    #[inline]
    fn encode_short(&self, ty: &Type, format: Format, room: &mut [u8]) -> Option<usize> {
        if ty.oid() != oid::FLOAT8 {
            return None;
        }
        write_fixed(self.to_be_bytes(), format, room)
    }
}

/// Reads `float8` and `float4`, of which every value is an `f64` too.
impl<'r> Decode<'r> for f64 {
    const USUAL_LENGTH: Option<usize> = Some(8);

    fn accepts(ty: &Type) -> bool {
        matches!(ty.oid(), oid::FLOAT8 | oid::FLOAT4)
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        match *value.bytes() {
            [a, b, c, d, e, f, g, h] => Ok(f64::from_be_bytes([a, b, c, d, e, f, g, h])),
            [a, b, c, d] => Ok(f64::from(f32::from_be_bytes([a, b, c, d]))),
            ref other => Err(check::wrong_length::<Self>(value.ty(), 8, other.len())),
        }
    }

    #[inline]
    fn decode_elements(elements: &mut ArrayElements<'r, '_>) -> Result<Vec<Self>, DecodeError> {
        array::decode_fixed(elements, f64::from_be_bytes)
    }
}
