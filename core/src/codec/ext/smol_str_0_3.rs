//! `smol_str::SmolStr`, version 0.3 of the crate.

use smol_str::SmolStr;

use crate::codec::text::{text_bytes, utf8};
use crate::codec::{
    DeclaredType, Decode, Encode, IsNull, ParamWriter, RawValue, ValueWriter, Written, rust_name,
};
use crate::error::{DecodeError, EncodeError};
use crate::types::Type;

/// Written as `&str` is.
impl Encode for SmolStr {
    const DECLARED: DeclaredType = DeclaredType::Text;

    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        self.as_str()
            .encode(ty, out)
            .map_err(|error| error.with_rust_type(rust_name::<Self>()))
    }

    #[inline]
    fn encode_with_length(&self, ty: &Type, out: ValueWriter<'_>) -> Result<Written, EncodeError> {
        self.as_str()
            .encode_with_length(ty, out)
            .map_err(|error| error.with_rust_type(rust_name::<Self>()))
    }
}

/// Read from whatever `&str` is read from; a short string takes no allocation.
impl<'r> Decode<'r> for SmolStr {
    #[inline]
    fn accepts(ty: &Type) -> bool {
        <&str>::accepts(ty)
    }

    #[inline]
    fn accepts_text(ty: &Type) -> bool {
        <&str>::accepts_text(ty)
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        Ok(Self::new(utf8::<Self>(text_bytes::<Self>(value)?, value)?))
    }

    #[inline]
    fn decode_text(text: String, _: &Type) -> Result<Self, DecodeError> {
        Ok(Self::from(text))
    }
}
