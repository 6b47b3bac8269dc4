//! `uuid::Uuid`, version 1 of the crate.

use uuid::Uuid;

use crate::codec::{ArrayElements, DeclaredType, Decode, Encode, IsNull, ParamWriter, RawValue};
use crate::codec::{array, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Type, oid};

impl Encode for Uuid {
    const DECLARED: DeclaredType = DeclaredType::Oid(oid::UUID);

    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if ty.oid() != oid::UUID {
            return Err(wrong_encode_type::<Self>(ty));
        }
        out.put_slice(self.as_bytes());
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r> for Uuid {
    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::UUID
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        Ok(Self::from_bytes(value.fixed::<Self, 16>()?))
    }

    fn decode_elements(elements: &mut ArrayElements<'r, '_>) -> Result<Vec<Self>, DecodeError> {
        array::decode_fixed(elements, Self::from_bytes)
    }
}
