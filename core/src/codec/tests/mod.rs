//! What all codecs have in common, and the instruments of their own tests.

mod everyday;
mod registry;
mod totality;

use std::fmt::Debug;

use super::{Decode, Encode, IsNull, ParamWriter, accepts, decode_value, encode_value};
use crate::buffer::WriteBuffer;
use crate::error::{DecodeError, EncodeError};
use crate::types::{Format, Type};

/// Whether `value` is written as the bytes that the server writes, and read from them.
#[track_caller]
pub(super) fn check<T>(ty: &Type, value: T, hex: &str)
where
    T: Encode + for<'r> Decode<'r> + PartialEq + Debug,
{
    assert_eq!(
        to_hex(&encoded(&value, ty).unwrap()),
        hex,
        "{value:?} as {ty}"
    );
    reads(ty, hex, value);
}

/// Whether the bytes that the server writes are read as `value`.
#[track_caller]
pub(super) fn reads<T>(ty: &Type, hex: &str, value: T)
where
    T: for<'r> Decode<'r> + PartialEq + Debug,
{
    let decoded: T = decoded(&from_hex(hex), ty).unwrap();
    assert_eq!(decoded, value, "{hex} as {ty}");
}

/// Whether `value` is written as `hex`, which it need not be read from.
#[track_caller]
pub(super) fn writes<T: Encode + Debug + ?Sized>(ty: &Type, value: &T, hex: &str) {
    assert_eq!(
        to_hex(&encoded(value, ty).unwrap()),
        hex,
        "{value:?} as {ty}"
    );
}

/// Whether writing `value` fails with an error that says `message`.
#[track_caller]
pub(super) fn refuses_to_write<T: Encode + Debug + ?Sized>(ty: &Type, value: &T, message: &str) {
    let error = encoded(value, ty)
        .expect_err("must not be written")
        .to_string();
    assert!(error.contains(message), "{value:?} as {ty}: {error}");
}

/// Whether reading `hex` into a `T` fails with an error that says `message`.
#[track_caller]
pub(super) fn refuses_to_read<T>(ty: &Type, hex: &str, message: &str)
where
    T: for<'r> Decode<'r> + Debug,
{
    let error = decoded::<T>(&from_hex(hex), ty).expect_err("must not be read");
    assert!(
        error.to_string().contains(message),
        "{hex} as {ty}: {error}"
    );
}

/// The value's binary form, without its length.
pub(super) fn encoded<T: Encode + ?Sized>(value: &T, ty: &Type) -> Result<Vec<u8>, EncodeError> {
    let mut out = WriteBuffer::default();
    encode_value(value, ty, Format::Binary, &mut out)?;
    let (length, bytes) = out.pending().split_first_chunk::<4>().expect("a length");
    let length = i32::from_be_bytes(*length);
    assert_eq!(
        i32::try_from(bytes.len()),
        Ok(length),
        "NULL, or a wrong length"
    );
    // What was written above had to make its room; here there is enough.
    let mut plain = WriteBuffer::with_capacity(2 * bytes.len() + 4096);
    let writer = &mut ParamWriter::new(&mut plain, Format::Binary);
    assert_eq!(value.encode(ty.base(), writer)?, IsNull::No);
    assert_eq!(plain.pending(), bytes, "a value has one binary form");
    Ok(bytes.to_vec())
}

/// The binary form read into a `T`.
#[track_caller]
pub(super) fn decoded<'r, T: Decode<'r>>(bytes: &'r [u8], ty: &Type) -> Result<T, DecodeError> {
    assert!(accepts::<T>(ty, Format::Binary), "{ty} must be accepted");
    decode_value(Some(bytes), ty.base(), Format::Binary)
}

pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn from_hex(hex: &str) -> Vec<u8> {
    assert_eq!(hex.len() % 2, 0, "half a byte: {hex}");
    let digits = |start| u8::from_str_radix(&hex[start..start + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(digits).collect()
}
