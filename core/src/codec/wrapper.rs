//! `Option` for NULL, and the pointers that stand for what they point to.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use super::{
    ArrayElements, ArrayWriter, DeclaredType, Decode, Encode, IsNull, ParamWriter, RawValue,
    ValueWriter, Written,
};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Format, Type};

/// `None` is NULL.
impl<T: Encode> Encode for Option<T> {
    const DECLARED: DeclaredType = T::DECLARED;

    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        match self {
            Some(value) => value.encode(ty, out),
            None => Ok(IsNull::Yes),
        }
    }

    #[inline]
    fn encode_with_length(&self, ty: &Type, out: ValueWriter<'_>) -> Result<Written, EncodeError> {
        match self {
            Some(value) => value.encode_with_length(ty, out),
            None => out.null(),
        }
    }

    #[inline]
    fn encode_short(&self, ty: &Type, format: Format, room: &mut [u8]) -> Option<usize> {
        match self {
            Some(value) => value.encode_short(ty, format, room),
            None => {
                *room.first_chunk_mut()? = (-1_i32).to_be_bytes();
                Some(4)
            }
        }
    }
}

/// NULL is `None`.
impl<'r, T: Decode<'r>> Decode<'r> for Option<T> {
    const USUAL_LENGTH: Option<usize> = T::USUAL_LENGTH;

    fn accepts(ty: &Type) -> bool {
        T::accepts(ty)
    }

    fn check_type(ty: &Type) -> Result<(), DecodeError> {
        T::check_type(ty)
    }

    fn accepts_text(ty: &Type) -> bool {
        T::accepts_text(ty)
    }

    fn decode_text(text: String, ty: &Type) -> Result<Self, DecodeError> {
        T::decode_text(text, ty).map(Some)
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        T::decode(value).map(Some)
    }

    #[inline]
    fn decode_null(_ty: &Type) -> Result<Self, DecodeError> {
        Ok(None)
    }
}

macro_rules! encode_pointer {
    ([$($bounds:tt)*] $pointer:ty) => {
            impl<$($bounds)*> Encode for $pointer {
                const DECLARED: DeclaredType = T::DECLARED;
                const DIMENSIONS: usize = T::DIMENSIONS;

                #[inline]
                fn encode(
                    &self,
                    ty: &Type,
                    out: &mut ParamWriter<'_>,
                ) -> Result<IsNull, EncodeError> {
                    (**self).encode(ty, out)
                }

                #[inline]
                fn encode_with_length(&self, ty: &Type, out: ValueWriter<'_>) -> Result<Written, EncodeError> {
                    (**self).encode_with_length(ty, out)
                }

                #[inline]
                fn encode_short(
                    &self,
                    ty: &Type,
                    format: Format,
                    room: &mut [u8],
                ) -> Option<usize> {
                    (**self).encode_short(ty, format, room)
                }

                #[inline]
                fn encode_element(
                    &self,
                    array: &mut ArrayWriter<'_, '_, '_>,
                ) -> Result<(), EncodeError> {
                    (**self).encode_element(array)
                }
            }
    };
}

encode_pointer! { [T: Encode + ?Sized] &T }
encode_pointer! { [T: Encode + ?Sized] Box<T> }
encode_pointer! { [T: Encode + ?Sized] Rc<T> }
encode_pointer! { [T: Encode + ?Sized] Arc<T> }
encode_pointer! { [T: Encode + ToOwned + ?Sized] Cow<'_, T> }

impl<'r, T: Decode<'r>> Decode<'r> for Box<T> {
    const USUAL_LENGTH: Option<usize> = T::USUAL_LENGTH;
    const DIMENSIONS: usize = T::DIMENSIONS;

    fn accepts(ty: &Type) -> bool {
        T::accepts(ty)
    }

    fn check_type(ty: &Type) -> Result<(), DecodeError> {
        T::check_type(ty)
    }

    fn accepts_text(ty: &Type) -> bool {
        T::accepts_text(ty)
    }

    fn accepts_text_element(ty: &Type) -> bool {
        T::accepts_text_element(ty)
    }

    fn decode_text(text: String, ty: &Type) -> Result<Self, DecodeError> {
        T::decode_text(text, ty).map(Self::new)
    }

    fn accepts_element(ty: &Type) -> bool {
        T::accepts_element(ty)
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        T::decode(value).map(Self::new)
    }

    fn decode_null(ty: &Type) -> Result<Self, DecodeError> {
        T::decode_null(ty).map(Self::new)
    }

    fn decode_elements(elements: &mut ArrayElements<'r, '_>) -> Result<Vec<Self>, DecodeError> {
        Ok(T::decode_elements(elements)?
            .into_iter()
            .map(Self::new)
            .collect())
    }
}
