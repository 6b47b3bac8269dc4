//! The binary forms.

use std::ops::{self, Bound, RangeBounds};

use super::{Multirange, Range};
use crate::codec::{Decode, Encode, IsNull, ParamWriter, RawValue, Reader};
use crate::codec::{rust_name, wrong_decode_type, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Format, Kind, Type};

const EMPTY: u8 = 0x01;
const LOWER_INCLUSIVE: u8 = 0x02;
const UPPER_INCLUSIVE: u8 = 0x04;
const LOWER_INFINITE: u8 = 0x08;
const UPPER_INFINITE: u8 = 0x10;

/// The flags that the server sends; it has more for its indexes.
const ALL_FLAGS: u8 = 0x1f;

/// How errors name the bounds.
const LOWER: &str = "lower bound";
const UPPER: &str = "upper bound";

/// The fewest bytes that a range of a multirange takes: its length and its flags.
const SMALLEST_RANGE: usize = 5;

/// Writes a range between two bounds as a `ty`, for the Rust type `R`.
fn encode_between<R, T: Encode>(
    lower: Bound<&T>,
    upper: Bound<&T>,
    ty: &Type,
    out: &mut ParamWriter<'_>,
) -> Result<IsNull, EncodeError> {
    let Kind::Range(subtype) = ty.kind() else {
        return Err(wrong_encode_type::<R>(ty));
    };
    let lower_flag = match lower {
        Bound::Included(_) => LOWER_INCLUSIVE,
        Bound::Excluded(_) => 0,
        Bound::Unbounded => LOWER_INFINITE,
    };
    let upper_flag = match upper {
        Bound::Included(_) => UPPER_INCLUSIVE,
        Bound::Excluded(_) => 0,
        Bound::Unbounded => UPPER_INFINITE,
    };
    out.put_u8(lower_flag | upper_flag);
    for (bound, which) in [(lower, LOWER), (upper, UPPER)] {
        let (Bound::Included(value) | Bound::Excluded(value)) = bound else {
            continue;
        };
        let length = out.begin_part();
        let is_null = value
            .encode(subtype.base(), out)
            .map_err(|error| error.at(which))?;
        match is_null {
            IsNull::No => out.end_part(length)?,
            IsNull::Yes => return Err(null_bound::<R>(ty)),
        }
    }
    Ok(IsNull::No)
}

impl<T: Encode> Encode for Range<T> {
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        match self {
            Self::Between(lower, upper) => {
                encode_between::<Self, T>(lower.as_ref(), upper.as_ref(), ty, out)
            }
            Self::Empty if matches!(ty.kind(), Kind::Range(_)) => {
                out.put_u8(EMPTY);
                Ok(IsNull::No)
            }
            Self::Empty => Err(wrong_encode_type::<Self>(ty)),
        }
    }
}

macro_rules! encode_std_range {
    ($($range:ident)*) => {
        $(
            impl<T: Encode> Encode for ops::$range<T> {
                fn encode(
                    &self,
                    ty: &Type,
                    out: &mut ParamWriter<'_>,
                ) -> Result<IsNull, EncodeError> {
                    encode_between::<Self, T>(self.start_bound(), self.end_bound(), ty, out)
                }
            }
        )*
    };
}

encode_std_range! { Range RangeInclusive RangeFrom RangeTo RangeToInclusive }

impl<'r, T: Decode<'r>> Decode<'r> for Range<T> {
    fn accepts(ty: &Type) -> bool {
        match ty.kind() {
            Kind::Range(subtype) => T::accepts(subtype.base()),
            _ => false,
        }
    }

    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let Kind::Range(subtype) = value.ty().kind() else {
            return Err(wrong_decode_type::<Self>(value.ty()));
        };
        let subtype = subtype.base();
        let mut reader = value.reader();
        let flags = reader.u8()?;
        if flags & !ALL_FLAGS != 0 {
            return Err(value.error::<Self>("it has unknown flags"));
        }
        let this = if flags & EMPTY != 0 {
            Self::Empty
        } else {
            let is = |flag| flags & flag != 0;
            let lower = match is(LOWER_INFINITE) {
                true => Bound::Unbounded,
                false => read_bound(&mut reader, value, subtype, is(LOWER_INCLUSIVE), LOWER)?,
            };
            let upper = match is(UPPER_INFINITE) {
                true => Bound::Unbounded,
                false => read_bound(&mut reader, value, subtype, is(UPPER_INCLUSIVE), UPPER)?,
            };
            Self::Between(lower, upper)
        };
        reader.finish()?;
        Ok(this)
    }
}

fn read_bound<'r, T: Decode<'r>>(
    reader: &mut Reader<'r>,
    value: RawValue<'r, '_>,
    subtype: &Type,
    is_inclusive: bool,
    which: &str,
) -> Result<Bound<T>, DecodeError> {
    let Some(bytes) = reader.value()? else {
        return Err(value.error::<Range<T>>("one of its bounds is NULL"));
    };
    let bound = T::decode(RawValue::new(bytes, subtype, Format::Binary))
        .map_err(|error| error.at(which))?;
    Ok(if is_inclusive {
        Bound::Included(bound)
    } else {
        Bound::Excluded(bound)
    })
}

impl<T: Encode> Encode for Multirange<T> {
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        let Kind::Multirange(range) = ty.kind() else {
            return Err(wrong_encode_type::<Self>(ty));
        };
        out.put_count::<Self>(self.0.len(), ty)?;
        for value in &self.0 {
            out.value(range, value)?;
        }
        Ok(IsNull::No)
    }
}

impl<'r, T: Decode<'r>> Decode<'r> for Multirange<T> {
    fn accepts(ty: &Type) -> bool {
        match ty.kind() {
            Kind::Multirange(range) => Range::<T>::accepts(range),
            _ => false,
        }
    }

    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let Kind::Multirange(range) = value.ty().kind() else {
            return Err(wrong_decode_type::<Self>(value.ty()));
        };
        let mut reader = value.reader();
        let count = reader.count(SMALLEST_RANGE)?;
        let mut ranges = Vec::new();
        for index in 0..count {
            reader.make_room(&mut ranges, count - index);
            let Some(bytes) = reader.value()? else {
                return Err(value.error::<Self>("one of its ranges is NULL"));
            };
            let decoded = Range::decode(RawValue::new(bytes, range, Format::Binary));
            ranges.push(decoded.map_err(|error| error.at(format_args!("range {index}")))?);
        }
        reader.finish()?;
        Ok(Self(ranges))
    }
}

#[cold]
fn null_bound<R>(ty: &Type) -> EncodeError {
    EncodeError::new("a bound can't be NULL")
        .with_types(ty, rust_name::<R>())
        .with_hint("Bound::Unbounded is a range without an end")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Date;
    use crate::codec::tests::{check, refuses_to_read, refuses_to_write, writes};

    #[test]
    fn ranges_have_the_servers_bytes_and_text() {
        use Bound::{Excluded, Included, Unbounded};
        for (range, text, hex) in [
            (Range::Empty, "empty", "01"),
            (
                Range::from(1..10),
                "[1,10)",
                "020000000400000001000000040000000a",
            ),
            (Range::from(1..), "[1,)", "120000000400000001"),
            (Range::from(..10), "(,10)", "08000000040000000a"),
            (Range::from(..), "(,)", "18"),
            (
                Range::from(1..=10),
                "[1,10]",
                "060000000400000001000000040000000a",
            ),
            (Range::from(..=10), "(,10]", "0c000000040000000a"),
            (
                Range::Between(Excluded(1), Included(2)),
                "(1,2]",
                "0400000004000000010000000400000002",
            ),
            (
                Range::Between(Excluded(1), Unbounded),
                "(1,)",
                "100000000400000001",
            ),
        ] {
            assert_eq!(range.to_string(), text);
            check(&Type::INT4RANGE, range, hex);
        }
        writes(
            &Type::INT4RANGE,
            &(1..10),
            "020000000400000001000000040000000a",
        );
        writes(
            &Type::INT4RANGE,
            &(1..=10),
            "060000000400000001000000040000000a",
        );
        let day = |day| Date::new(2024, 1, day).unwrap();
        check(&Type::DATERANGE, Range::from(day(1)..day(31)), DATES);
        let set = Multirange(vec![Range::from(1_i64..3), Range::from(7..)]);
        assert_eq!(set.to_string(), "{[1,3),[7,)}");
        check(&Type::INT8MULTIRANGE, set, MULTIRANGE);
        check(&Type::INT4MULTIRANGE, Multirange::<i32>(vec![]), "00000000");
        check(&Type::INT4RANGE_ARRAY, vec![Range::from(1..)], ARRAY);
    }

    #[test]
    fn bounds_are_quoted_as_the_server_quotes_them() {
        for (bound, text) in [
            ("plain", "[plain,)"),
            ("", "[\"\",)"),
            ("a b", "[\"a b\",)"),
            ("a,b", "[\"a,b\",)"),
            ("(", "[\"(\",)"),
            ("a\"b", "[\"a\"\"b\",)"),
            ("a\\b", "[\"a\\\\b\",)"),
        ] {
            assert_eq!(Range::from(bound..).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        refuses_to_write(&Type::INT4, &Range::from(1..2), "the types don't match");
        refuses_to_write(
            &Type::INT8RANGE,
            &Range::from("a".."b"),
            "the types don't match",
        );
        refuses_to_write(
            &Type::INT4RANGE,
            &Range::from(None::<i32>..Some(1)),
            "can't be NULL",
        );
        refuses_to_write(
            &Type::INT4MULTIRANGE,
            &Range::from(1..2),
            "the types don't match",
        );
        assert!(!Range::<i32>::accepts(&Type::INT8RANGE));
        assert!(!Range::<i32>::accepts(&Type::INT4MULTIRANGE));
        assert!(!Multirange::<i32>::accepts(&Type::INT4RANGE));
    }

    #[test]
    fn s25_ranges_that_lie() {
        for (hex, message) in [
            ("", "ends early"),
            ("20", "unknown flags"),
            ("0100", "1 bytes follow"),
            ("02", "ends early"),
            ("020000000400000001", "ends early"),
            ("12ffffffff", "NULL"),
            ("12000000050000000100", "lower bound"),
            ("127fffffff00000001", "ends early"),
            ("1800", "1 bytes follow"),
        ] {
            refuses_to_read::<Range<i32>>(&Type::INT4RANGE, hex, message);
        }
        for (hex, message) in [
            ("000000020000000101", "parts"),
            ("7fffffff0000000101", "parts"),
            ("00000001ffffffff00", "NULL"),
            ("000000010000000101ff", "1 bytes follow"),
            ("000000010000000118", ""),
        ] {
            if message.is_empty() {
                check(
                    &Type::INT4MULTIRANGE,
                    Multirange::<i32>(vec![Range::from(..)]),
                    hex,
                );
            } else {
                refuses_to_read::<Multirange<i32>>(&Type::INT4MULTIRANGE, hex, message);
            }
        }
    }

    const DATES: &str = "02000000040000223e000000040000225c";
    const MULTIRANGE: &str = "0000000200000019020000000800000000000000010000000800000000000000030000000d12000000080000000000000007";
    const ARRAY: &str = "000000010000000000000f40000000010000000100000009120000000400000001";
}
