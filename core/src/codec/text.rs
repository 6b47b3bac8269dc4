//! `text`, `varchar`, `bpchar`, `name`, `unknown`, `xml`, `citext`, enums and all else
//! whose binary form is its text (`textsend` in `varlena.c`).
//!
//! `jsonb`, `jsonpath`, `ltree`, `lquery` and `ltxtquery` have a version byte, 1, in front
//! of their text (`jsonb_send` in `jsonb.c`, `ltree_send` in `ltree_io.c`).

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use super::{DeclaredType, Decode, Encode, IsNull, ParamWriter, RawValue};
use super::{SHORT, ValueWriter, Written, rust_name, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Extension, Format, Kind, Type, oid};

/// The one version of the binary forms that have a version byte.
pub(super) const VERSION: u8 = 1;

/// How a type's binary form relates to its text form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TextForm {
    /// They are the same.
    Plain,
    /// The text follows a version byte.
    Versioned,
    /// They differ, or the type is no text at all.
    Other,
}

impl TextForm {
    #[inline]
    pub(super) fn of(ty: &Type) -> Self {
        match ty.oid() {
            oid::TEXT
            | oid::VARCHAR
            | oid::BPCHAR
            | oid::NAME
            | oid::UNKNOWN
            | oid::CSTRING
            | oid::JSON
            | oid::XML
            | oid::REFCURSOR
            | oid::PG_NODE_TREE => Self::Plain,
            oid::JSONB | oid::JSONPATH => Self::Versioned,
            _ => Self::of_custom(ty),
        }
    }

    /// Whether it is [`Versioned`](Self::Versioned), which is all that values need to know of a
    /// type that was accepted.
    #[inline]
    fn is_versioned(ty: &Type) -> bool {
        // What most texts are is asked for first.
        ty.oid() != oid::TEXT
            && (matches!(ty.oid(), oid::JSONB | oid::JSONPATH)
                || matches!(
                    ty.extension(),
                    Extension::Ltree | Extension::Lquery | Extension::Ltxtquery
                ))
    }

    fn of_custom(ty: &Type) -> Self {
        match ty.extension() {
            Extension::Citext => Self::Plain,
            Extension::Ltree | Extension::Lquery | Extension::Ltxtquery => Self::Versioned,
            _ if matches!(ty.kind(), Kind::Enum(_)) => Self::Plain,
            _ => Self::Other,
        }
    }
}

/// Whether the binary form of `ty`, which is no domain, is its text.
#[doc(hidden)]
pub fn is_text_in_binary(ty: &Type) -> bool {
    TextForm::of(ty) == TextForm::Plain
}

/// Sent in text form, so that the server infers the type: a string can be a `uuid`, an
/// `inet`, a label of an enum. Inside of another value it can be only what is text there.
impl Encode for str {
    const DECLARED: DeclaredType = DeclaredType::Text;

    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if out.format() == Format::Binary {
            match TextForm::of(ty) {
                TextForm::Plain => {}
                TextForm::Versioned => out.put_u8(VERSION),
                TextForm::Other => return Err(wrong_encode_type::<Self>(ty)),
            }
        }
        if has_nul(self.as_bytes()) {
            return Err(contains_nul::<Self>(ty));
        }
        out.put_slice(self.as_bytes());
        Ok(IsNull::No)
    }

    #[inline]
    fn encode_with_length(&self, ty: &Type, out: ValueWriter<'_>) -> Result<Written, EncodeError> {
        let is_text = out.format() == Format::Text || ty.oid() == oid::TEXT;
        if !is_text || has_nul(self.as_bytes()) {
            return out.measured(self, ty);
        }
        out.bytes(self.as_bytes())
    }

    #[inline]
    fn encode_short(&self, ty: &Type, format: Format, room: &mut [u8]) -> Option<usize> {
        let is_text = format == Format::Text || ty.oid() == oid::TEXT;
        let written = write_short(self.as_bytes(), room.first_chunk_mut()?);
        written.filter(|_| is_text)
    }
}

impl Encode for String {
    const DECLARED: DeclaredType = DeclaredType::Text;

    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        self.as_str().encode(ty, out)
    }

    #[inline]
    fn encode_with_length(&self, ty: &Type, out: ValueWriter<'_>) -> Result<Written, EncodeError> {
        self.as_str().encode_with_length(ty, out)
    }

    #[inline]
    fn encode_short(&self, ty: &Type, format: Format, room: &mut [u8]) -> Option<usize> {
        self.as_str().encode_short(ty, format, room)
    }
}

/// A string of one character.
impl Encode for char {
    const DECLARED: DeclaredType = DeclaredType::Text;

    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        self.encode_utf8(&mut [0; 4]).encode(ty, out)
    }

    #[inline]
    fn encode_with_length(&self, ty: &Type, out: ValueWriter<'_>) -> Result<Written, EncodeError> {
        self.encode_utf8(&mut [0; 4]).encode_with_length(ty, out)
    }
}

impl<'r> Decode<'r> for &'r str {
    fn accepts(ty: &Type) -> bool {
        TextForm::of(ty) != TextForm::Other
    }

    /// The text form of any type is a string.
    fn accepts_text(_ty: &Type) -> bool {
        true
    }

    // A call would take a third of what the whole takes.
    #[inline(always)]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        utf8::<Self>(text_bytes::<Self>(value)?, value)
    }
}

macro_rules! decode_copied {
    ($($owned:ty)*) => {
        $(
            impl<'r> Decode<'r> for $owned {
                fn accepts(ty: &Type) -> bool {
                    <&str>::accepts(ty)
                }

                fn accepts_text(ty: &Type) -> bool {
                    <&str>::accepts_text(ty)
                }

                #[inline]
                fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
                    Ok(utf8::<Self>(text_bytes::<Self>(value)?, value)?.into())
                }

                fn decode_text(text: String, _: &Type) -> Result<Self, DecodeError> {
                    Ok(text.into())
                }
            }
        )*
    };
}

decode_copied! { String Box<str> Arc<str> Rc<str> Cow<'r, str> }

/// A string of exactly one character.
impl<'r> Decode<'r> for char {
    fn accepts(ty: &Type) -> bool {
        <&str>::accepts(ty)
    }

    fn accepts_text(ty: &Type) -> bool {
        <&str>::accepts_text(ty)
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let text = utf8::<Self>(text_bytes::<Self>(value)?, value)?;
        one_character(text).ok_or_else(|| value.error::<Self>(NOT_ONE))
    }

    fn decode_text(text: String, ty: &Type) -> Result<Self, DecodeError> {
        one_character(&text)
            .ok_or_else(|| DecodeError::new(NOT_ONE).with_types(ty, rust_name::<Self>()))
    }
}

const NOT_ONE: &str = "it does not have exactly one character";

fn one_character(text: &str) -> Option<char> {
    let mut characters = text.chars();
    let first = characters.next()?;
    characters.next().is_none().then_some(first)
}

/// The bytes of the text in `value`, without the version byte where its type has one.
#[inline]
pub(super) fn text_bytes<'r, T>(value: RawValue<'r, '_>) -> Result<&'r [u8], DecodeError> {
    if value.format() == Format::Text || !TextForm::is_versioned(value.ty()) {
        return Ok(value.bytes());
    }
    match value.bytes().split_first() {
        Some((&VERSION, text)) => Ok(text),
        _ => Err(wrong_version::<T>(value.ty())),
    }
}

/// Takes the type alone, so that a value need not lie in memory for an error that never comes.
#[cold]
fn wrong_version<T>(ty: &Type) -> DecodeError {
    DecodeError::new("its version byte is not 1").with_types(ty, rust_name::<T>())
}

/// The bytes as a string.
///
/// Most strings are ASCII, which takes a tenth of the instructions to test for that
/// validating UTF-8 takes. The standard library can't yet make a `&str` of the outcome
/// without `unsafe` or a second look; the crate `ascii` does that.
#[inline]
pub(super) fn utf8<'r, T>(
    bytes: &'r [u8],
    value: RawValue<'_, '_>,
) -> Result<&'r str, DecodeError> {
    if let Ok(text) = ascii::AsciiStr::from_ascii(bytes) {
        return Ok(text.as_str());
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => Err(not_utf8::<T>(value.ty(), error)),
    }
}

/// Whether there is a NUL. The standard library looks for it byte by byte in short strings,
/// which most are.
#[inline]
pub(super) fn has_nul(bytes: &[u8]) -> bool {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        // Either may overlap what lies between.
        let zeros = zero_bytes(*first) | zero_bytes(*last);
        return zeros != 0 || bytes.len() > 16 && has_nul_between(bytes);
    }
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(&[a, b, c, d]), Some(&[e, f, g, h])) => zero_bytes([a, b, c, d, e, f, g, h]) != 0,
        _ => bytes.contains(&0),
    }
}

/// Writes a text of 4 to 16 bytes behind its length, and returns how many bytes that took;
/// `None` for others, and if there is a NUL in it. It takes fewer instructions than to call
/// what copies bytes of any number.
#[inline]
fn write_short(bytes: &[u8], room: &mut [u8; SHORT]) -> Option<usize> {
    let count = bytes.len();
    if count > 16 || has_nul(bytes) {
        return None;
    }
    let (length, text) = room.split_first_chunk_mut()?;
    *length = (count as i32).to_be_bytes();
    // Either word may overlap the other.
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        *text.first_chunk_mut()? = *first;
        *text.get_mut(count - 8..)?.first_chunk_mut()? = *last;
    } else {
        let (first, last) = (bytes.first_chunk::<4>()?, bytes.last_chunk::<4>()?);
        *text.first_chunk_mut()? = *first;
        *text.get_mut(count - 4..)?.first_chunk_mut()? = *last;
    }
    Some(4 + count)
}

/// Whether there is a NUL in all but the last word.
fn has_nul_between(bytes: &[u8]) -> bool {
    if bytes.len() > MANY_WORDS {
        return bytes.contains(&0);
    }
    let words = bytes.chunks_exact(8).flat_map(<[u8]>::first_chunk);
    words.fold(0, |zeros, word| zeros | zero_bytes(*word)) != 0
}

/// From this many bytes on the standard library is as quick.
const MANY_WORDS: usize = 64;

/// Not 0 if one of the bytes is 0: only from a 0 does the subtraction of 1 borrow where the
/// highest bit was not set.
#[inline]
fn zero_bytes(word: [u8; 8]) -> u64 {
    let word = u64::from_ne_bytes(word);
    word.wrapping_sub(u64::from_ne_bytes([0x01; 8])) & !word & u64::from_ne_bytes([0x80; 8])
}

/// The server's strings can't have NUL in them.
#[cold]
pub(super) fn contains_nul<T: ?Sized>(ty: &Type) -> EncodeError {
    EncodeError::new("the string has a NUL character in it, which PostgreSQL can't store")
        .with_types(ty, rust_name::<T>())
        .with_hint("use bytea for bytes of any value")
}

#[cold]
fn not_utf8<T>(ty: &Type, error: std::str::Utf8Error) -> DecodeError {
    DecodeError::new(format!("it is not UTF-8: {error}"))
        .with_types(ty, rust_name::<T>())
        .with_hint("client_encoding must be UTF8, and the database's encoding not SQL_ASCII")
}

#[cfg(test)]
mod tests {
    use super::has_nul;

    #[test]
    fn a_nul_is_found_wherever_it_lies() {
        for length in 0..=200 {
            for other in [1, 0x7f, 0x80, 0x81, 0xff] {
                let mut bytes = vec![other; length];
                assert!(!has_nul(&bytes), "{length} of {other}");
                for place in 0..length {
                    bytes[place] = 0;
                    assert!(has_nul(&bytes), "{place} of {length} of {other}");
                    bytes[place] = other;
                }
            }
        }
    }
}
