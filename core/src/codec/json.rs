//! `json` and `jsonb` as text that is not looked into.

use super::text::{TextForm, contains_nul, text_bytes, utf8};
use super::{Decode, Encode, IsNull, ParamWriter, RawValue, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Format, Type, oid};

/// The text of a `json` or `jsonb` value: `RawJson<&str>` where the row is visited in
/// place, `RawJson<String>` otherwise.
///
/// A string parameter can be JSON too, but then the server must find out from the context;
/// this type takes part in overloads of `json` and `jsonb` alone.
///
/// The driver doesn't look into the text. The server checks it.
///
/// # Example
///
/// ```
/// use kornak::RawJson;
///
/// let json = RawJson(r#"{"a": 1}"#);
/// assert!(json.0.starts_with('{'));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RawJson<S = String>(pub S);

pub(super) fn is_json(ty: &Type) -> bool {
    matches!(ty.oid(), oid::JSON | oid::JSONB)
}

/// Writes what comes in front of the text of a JSON value of type `ty`.
#[inline]
pub(super) fn begin_json<T: ?Sized>(
    ty: &Type,
    out: &mut ParamWriter<'_>,
) -> Result<(), EncodeError> {
    if !is_json(ty) {
        return Err(wrong_encode_type::<T>(ty));
    }
    if out.format() == Format::Binary && TextForm::of(ty) == TextForm::Versioned {
        out.put_u8(super::text::VERSION);
    }
    Ok(())
}

impl<S: AsRef<str>> Encode for RawJson<S> {
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        let text = self.0.as_ref().as_bytes();
        begin_json::<Self>(ty, out)?;
        if text.contains(&0) {
            return Err(contains_nul::<Self>(ty));
        }
        out.put_slice(text);
        Ok(IsNull::No)
    }
}

impl<'r, S: From<&'r str>> Decode<'r> for RawJson<S> {
    fn accepts(ty: &Type) -> bool {
        is_json(ty)
    }

    fn accepts_text(ty: &Type) -> bool {
        is_json(ty)
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let text = utf8::<Self>(text_bytes::<Self>(value)?, value)?;
        Ok(Self(text.into()))
    }
}
