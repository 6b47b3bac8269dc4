//! [`Json`] and `serde_json::Value`, version 1 of the crate.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::codec::json::{begin_json, is_json};
use crate::codec::text::text_bytes;
use crate::codec::{Decode, Encode, IsNull, ParamWriter, RawValue, rust_name};
use crate::error::{DecodeError, EncodeError};
use crate::types::Type;

/// A `json` or `jsonb` value that serde writes and reads.
///
/// It goes straight between the value and the connection's buffers. `T` can borrow strings
/// without escapes where the row is visited in place.
///
/// Numbers are what serde_json makes of them: one that no `i64`, `u64` or `f64` holds exactly is
/// rounded in a `Value`, unless the program turns on that crate's feature
/// `arbitrary_precision`. [`RawJson`](crate::codec::RawJson) keeps the text.
///
/// # Example
///
/// ```
/// use kornak::Json;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Tags<'a> { #[serde(borrow)] tags: Vec<&'a str> }
///
/// let parameter = Json(Tags { tags: vec!["a", "b"] });
/// assert_eq!(parameter.0.tags.len(), 2);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Json<T>(pub T);

impl<T: Serialize> Encode for Json<T> {
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        begin_json::<Self>(ty, out)?;
        match serde_json::to_writer(out, &self.0) {
            Ok(()) => Ok(IsNull::No),
            Err(error) => Err(EncodeError::new(format!("it can't be serialized: {error}"))
                .with_types(ty, rust_name::<Self>())),
        }
    }
}

impl<'r, T: Deserialize<'r>> Decode<'r> for Json<T> {
    fn accepts(ty: &Type) -> bool {
        is_json(ty)
    }

    fn accepts_text(ty: &Type) -> bool {
        is_json(ty)
    }

    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        match serde_json::from_slice(text_bytes::<Self>(value)?) {
            Ok(inner) => Ok(Self(inner)),
            Err(error) => Err(value.error::<Self>(format!("it can't be deserialized: {error}"))),
        }
    }
}

impl Encode for Value {
    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        Json(self).encode(ty, out)
    }
}

impl<'r> Decode<'r> for Value {
    #[inline]
    fn accepts(ty: &Type) -> bool {
        is_json(ty)
    }

    #[inline]
    fn accepts_text(ty: &Type) -> bool {
        is_json(ty)
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        Json::decode(value).map(|Json(inner)| inner)
    }
}
