//! `uuid::Uuid`, version 1 of the crate.

use uuid::Uuid;

use crate::codec::array;
use crate::codec::fixed::encode_fixed;
use crate::codec::{ArrayElements, Decode, RawValue};
use crate::error::DecodeError;
use crate::types::{Type, oid};

encode_fixed!(Uuid, UUID, Oid, bytes);

#[inline]
fn bytes(value: &Uuid) -> [u8; 16] {
    *value.as_bytes()
}

impl<'r> Decode<'r> for Uuid {
    const USUAL_LENGTH: Option<usize> = Some(16);

    #[inline]
    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::UUID
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        Ok(Self::from_bytes(value.fixed::<Self, 16>()?))
    }

    #[inline]
    fn decode_elements(elements: &mut ArrayElements<'r, '_>) -> Result<Vec<Self>, DecodeError> {
        array::decode_fixed(elements, Self::from_bytes)
    }
}
