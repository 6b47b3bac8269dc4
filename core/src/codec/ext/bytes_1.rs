//! `bytes::Bytes`, version 1 of the crate, which the driver itself is built on.

use bytes::Bytes;

use crate::codec::{
    DeclaredType, Decode, Encode, IsNull, ParamWriter, RawValue, ValueWriter, Written,
};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Type, oid};

impl Encode for Bytes {
    const DECLARED: DeclaredType = DeclaredType::Oid(oid::BYTEA);

    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        (**self).encode(ty, out)
    }

    #[inline]
    fn encode_with_length(&self, ty: &Type, out: ValueWriter<'_>) -> Result<Written, EncodeError> {
        (**self).encode_with_length(ty, out)
    }
}

/// A `bytea`, copied. [`Row::bytes`](crate::row::Row::bytes) shares the memory of the row instead.
impl<'r> Decode<'r> for Bytes {
    #[inline]
    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::BYTEA
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        Ok(Self::copy_from_slice(value.bytes()))
    }
}
