//! `bool`: one byte, 0 or 1 (`boolsend` in `bool.c`).

use super::{ArrayElements, DeclaredType, Decode, Encode, IsNull, ParamWriter, RawValue};
use super::{FixedValue, array, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Type, oid};

impl Encode for bool {
    const DECLARED: DeclaredType = DeclaredType::Oid(oid::BOOL);

    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if ty.oid() != oid::BOOL {
            return Err(wrong_encode_type::<Self>(ty));
        }
        out.put_u8(u8::from(*self));
        Ok(IsNull::No)
    }

    #[inline]
    fn encode_fixed(&self, ty: &Type) -> Option<FixedValue> {
        (ty.oid() == oid::BOOL).then(|| FixedValue::new([u8::from(*self)]))
    }
}

impl<'r> Decode<'r> for bool {
    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::BOOL
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        // The server's own receive function takes any byte but 0 as true.
        Ok(value.fixed::<Self, 1>()?[0] != 0)
    }

    fn decode_elements(elements: &mut ArrayElements<'r, '_>) -> Result<Vec<Self>, DecodeError> {
        array::decode_fixed(elements, |bytes: [u8; 1]| bytes[0] != 0)
    }
}
