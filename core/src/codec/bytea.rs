//! `bytea`: the bytes as they are (`byteasend` in `varlena.c`).

use std::borrow::Cow;

use super::{DeclaredType, Decode, Encode, IsNull, ParamWriter, RawValue};
use super::{ValueWriter, Written, check, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Type, oid};

impl Encode for [u8] {
    const DECLARED: DeclaredType = DeclaredType::Oid(oid::BYTEA);

    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if ty.oid() != oid::BYTEA {
            return Err(wrong_encode_type::<Self>(ty));
        }
        out.put_slice(self);
        Ok(IsNull::No)
    }

    #[inline]
    fn encode_with_length(&self, ty: &Type, out: ValueWriter<'_>) -> Result<Written, EncodeError> {
        if ty.oid() != oid::BYTEA {
            return out.measured(self, ty);
        }
        out.bytes(self)
    }
}

impl Encode for Vec<u8> {
    const DECLARED: DeclaredType = DeclaredType::Oid(oid::BYTEA);

    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        self.as_slice().encode(ty, out)
    }

    #[inline]
    fn encode_with_length(&self, ty: &Type, out: ValueWriter<'_>) -> Result<Written, EncodeError> {
        self.as_slice().encode_with_length(ty, out)
    }
}

impl<const N: usize> Encode for [u8; N] {
    const DECLARED: DeclaredType = DeclaredType::Oid(oid::BYTEA);

    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        self.as_slice().encode(ty, out)
    }

    #[inline]
    fn encode_with_length(&self, ty: &Type, out: ValueWriter<'_>) -> Result<Written, EncodeError> {
        self.as_slice().encode_with_length(ty, out)
    }
}

impl<'r> Decode<'r> for &'r [u8] {
    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::BYTEA
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        Ok(value.bytes())
    }
}

/// A `bytea` of exactly `N` bytes.
impl<'r, const N: usize> Decode<'r> for [u8; N] {
    const USUAL_LENGTH: Option<usize> = Some(N);

    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::BYTEA
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        value.fixed::<Self, N>()
    }
}

/// A `bytea` of exactly `N` bytes, where it lies.
impl<'r, const N: usize> Decode<'r> for &'r [u8; N] {
    const USUAL_LENGTH: Option<usize> = Some(N);

    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::BYTEA
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let bytes = value.bytes();
        bytes
            .try_into()
            .map_err(|_| check::wrong_length::<Self>(value.ty(), N, bytes.len()))
    }
}

macro_rules! decode_copied {
    ($($owned:ty)*) => {
        $(
            impl<'r> Decode<'r> for $owned {
                fn accepts(ty: &Type) -> bool {
                    ty.oid() == oid::BYTEA
                }

                #[inline]
                fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
                    Ok(value.bytes().into())
                }
            }
        )*
    };
}

decode_copied! { Vec<u8> Box<[u8]> Cow<'r, [u8]> }
