//! `bool`: one byte, 0 or 1 (`boolsend` in `bool.c`).

use super::array;
use super::fixed::encode_fixed;
use super::{ArrayElements, Decode, RawValue};
use crate::error::DecodeError;
use crate::types::{Type, oid};

encode_fixed!(bool, BOOL, Oid, bytes);

#[inline]
fn bytes(value: &bool) -> [u8; 1] {
    [u8::from(*value)]
}

impl<'r> Decode<'r> for bool {
    const USUAL_LENGTH: Option<usize> = Some(1);

    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::BOOL
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        // The server's own receive function takes any byte but 0 as true.
        Ok(value.fixed::<Self, 1>()?[0] != 0)
    }

    #[inline]
    fn decode_elements(elements: &mut ArrayElements<'r, '_>) -> Result<Vec<Self>, DecodeError> {
        array::decode_fixed(elements, |bytes: [u8; 1]| bytes[0] != 0)
    }
}
