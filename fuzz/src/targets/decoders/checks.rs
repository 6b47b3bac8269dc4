//! What must hold of a value that was decoded.

use std::fmt::{self, Debug, Display, Write as _};
use std::str::FromStr;

use kornak::codec::{
    self, Cid, Decode, Encode, Hstore, Int2Vector, Lsn, Multirange, OidVector, Range, Snapshot,
    Tid, Xid, decode_value, encode_value,
};
use kornak::internals::buffer::WriteBuffer;
use kornak::types::Format;
use kornak::{Date, Time, Timestamp, TimestampTz, Type};

use super::Decoder;

/// A Rust type that owns its value.
pub(super) const fn owned<T>() -> Decoder
where
    T: for<'r> Decode<'r> + Encode + Debug,
{
    Decoder {
        accepts: codec::accepts::<T>,
        check: |bytes, ty, format| checked::<T>(bytes, ty, format).is_some(),
    }
}

/// A Rust type that can be shown, whatever its values are.
pub(super) const fn displayed<T>() -> Decoder
where
    T: for<'r> Decode<'r> + Encode + Debug + Display,
{
    Decoder {
        accepts: codec::accepts::<T>,
        check: |bytes, ty, format| {
            let value = checked::<T>(bytes, ty, format);
            let shown = value.map(|value| value.to_string());
            shown.is_some()
        },
    }
}

/// A Rust type that can be shown and parsed.
pub(super) const fn shown<T>() -> Decoder
where
    T: for<'r> Decode<'r> + Encode + Debug + Display + FromStr + PartialEq + Ranged,
{
    Decoder {
        accepts: codec::accepts::<T>,
        check: |bytes, ty, format| {
            // What was read from bytes and what is read from a text.
            let values = [
                checked::<T>(bytes, ty, format),
                std::str::from_utf8(bytes)
                    .ok()
                    .and_then(|text| text.parse().ok()),
            ];
            for value in values.iter().flatten() {
                // A value that the server can't have need not be one that can be parsed.
                if value.is_in_range() {
                    let parsed = value.to_string().parse().ok();
                    assert_eq!(parsed.as_ref(), Some(value), "shown as {value}");
                }
            }
            values[0].is_some()
        },
    }
}

/// A row of an array, whose elements may be NULL: without one it must be the same as where
/// they may not.
pub(super) const fn elements<T>() -> Decoder
where
    T: for<'r> Decode<'r> + Encode + Debug,
{
    Decoder {
        accepts: codec::accepts::<Vec<T>>,
        check: |bytes, ty, format| {
            let plain = checked::<Vec<T>>(bytes, ty, format);
            let nullable = checked::<Vec<Option<T>>>(bytes, ty, format);
            match (&plain, &nullable) {
                (Some(plain), Some(nullable)) => {
                    assert_eq!(plain.len(), nullable.len());
                    assert_eq!(encoded(plain, ty), encoded(nullable, ty));
                }
                (None, Some(nullable)) => assert!(nullable.iter().any(Option::is_none)),
                (Some(plain), None) => panic!("{plain:?} can't be nullable"),
                (None, None) => {}
            }
            nullable.is_some()
        },
    }
}

/// The value, written and read again.
fn checked<T>(bytes: &[u8], ty: &Type, format: Format) -> Option<T>
where
    T: for<'r> Decode<'r> + Encode + Debug,
{
    let value: T = match decode_value(Some(bytes), ty, format) {
        Ok(value) => value,
        Err(error) => {
            show(&error);
            return None;
        }
    };
    show(&value);
    // A text with NUL can't be written.
    if let Some(first) = encoded(&value, ty) {
        let again: T = decode_value(Some(&first), ty, Format::Binary).expect("what was written");
        let second = encoded(&again, ty);
        assert_eq!(Some(first), second, "{value:?} became {again:?}");
    }
    Some(value)
}

/// The value's binary form, unless it can't be written.
fn encoded<T: Encode>(value: &T, ty: &Type) -> Option<Vec<u8>> {
    let mut out = WriteBuffer::default();
    encode_value(value, ty, Format::Binary, &mut out).ok()?;
    let (length, value) = out.pending().split_first_chunk::<4>()?;
    assert_eq!(u32::from_be_bytes(*length) as usize, value.len());
    Some(value.to_vec())
}

/// Formatting must not panic either.
pub(super) fn show(value: &dyn Debug) {
    struct Nowhere;

    impl fmt::Write for Nowhere {
        fn write_str(&mut self, _: &str) -> fmt::Result {
            Ok(())
        }
    }

    write!(Nowhere, "{value:?}").expect("a place that takes everything");
}

/// Values of which the server can't have all.
pub(super) trait Ranged {
    fn is_in_range(&self) -> bool {
        true
    }
}

impl Ranged for kornak::Uuid {}
impl Ranged for Time {}
impl Ranged for Lsn {}
impl Ranged for Tid {}
impl Ranged for Snapshot {}
impl Ranged for Xid {}
impl Ranged for Cid {}
impl Ranged for Int2Vector {}
impl Ranged for OidVector {}
impl Ranged for Hstore {}
impl<T> Ranged for Range<T> {}
impl<T> Ranged for Multirange<T> {}

macro_rules! ranged {
    ($($ty:ident)*) => {
        $(
            impl Ranged for $ty {
                fn is_in_range(&self) -> bool {
                    !self.is_finite() || (Self::MIN..=Self::MAX).contains(self)
                }
            }
        )*
    };
}

ranged! { Date Timestamp TimestampTz }
