//! How the date and time types are written and read.

use std::time::SystemTime;

use super::{Date, Interval, Time, TimeTz, Timestamp, TimestampTz};
use crate::codec::fixed::encode_fixed;
use crate::codec::{ArrayElements, Decode, Encode, IsNull, ParamWriter, RawValue};
use crate::codec::{ValueWriter, Written, array, out_of_range, rust_name, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Type, oid};

/// The codec of a type whose every bit pattern is a value.
macro_rules! fixed_codec {
    ($name:ident, $oid:ident, $integer:ident, $put:ident, $to:ident, $from:path) => {
        encode_fixed!($name, $oid, Described, $name::bytes);

        impl $name {
            #[inline]
            fn bytes(&self) -> [u8; size_of::<$integer>()] {
                self.$to().to_be_bytes()
            }
        }

        impl<'r> Decode<'r> for $name {
            const USUAL_LENGTH: Option<usize> = Some(size_of::<$integer>());

            fn accepts(ty: &Type) -> bool {
                ty.oid() == oid::$oid
            }

            #[inline]
            fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
                Ok($from($integer::from_be_bytes(
                    value.fixed::<Self, { size_of::<$integer>() }>()?,
                )))
            }

            #[inline]
            fn decode_elements(
                elements: &mut ArrayElements<'r, '_>,
            ) -> Result<Vec<Self>, DecodeError> {
                array::decode_fixed(elements, |bytes| $from($integer::from_be_bytes(bytes)))
            }
        }
    };
}

fixed_codec!(Date, DATE, i32, put_i32, days, Self::from_days);
fixed_codec!(
    Timestamp,
    TIMESTAMP,
    i64,
    put_i64,
    microseconds,
    Self::from_microseconds
);
fixed_codec!(
    TimestampTz,
    TIMESTAMPTZ,
    i64,
    put_i64,
    microseconds,
    Self::from_microseconds
);

encode_fixed!(Time, TIME, Described, Time::bytes);

impl Time {
    #[inline]
    fn bytes(&self) -> [u8; 8] {
        self.microseconds().to_be_bytes()
    }
}

impl<'r> Decode<'r> for Time {
    const USUAL_LENGTH: Option<usize> = Some(8);

    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::TIME
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let microseconds = i64::from_be_bytes(value.fixed::<Self, 8>()?);
        match Self::from_microseconds(microseconds) {
            Some(time) => Ok(time),
            None => Err(value.error::<Self>("it is not between 00:00:00 and 24:00:00")),
        }
    }
}

encode_fixed!(TimeTz, TIMETZ, Described, TimeTz::bytes);

impl TimeTz {
    #[inline]
    fn bytes(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.time().microseconds().to_be_bytes());
        // The server counts west of Greenwich.
        bytes[8..].copy_from_slice(&(-self.offset_seconds()).to_be_bytes());
        bytes
    }
}

impl<'r> Decode<'r> for TimeTz {
    const USUAL_LENGTH: Option<usize> = Some(12);

    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::TIMETZ
    }

    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let bytes = value.fixed::<Self, 12>()?;
        let mut time = [0; 8];
        let mut offset = [0; 4];
        time.copy_from_slice(&bytes[..8]);
        offset.copy_from_slice(&bytes[8..]);
        let Some(time) = Time::from_microseconds(i64::from_be_bytes(time)) else {
            return Err(value.error::<Self>("it is not between 00:00:00 and 24:00:00"));
        };
        i32::from_be_bytes(offset)
            .checked_neg()
            .and_then(|offset| Self::new(time, offset))
            .ok_or_else(|| value.error::<Self>("its offset is not within 16 hours"))
    }
}

encode_fixed!(Interval, INTERVAL, Described, Interval::bytes);

impl Interval {
    #[inline]
    fn bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.microseconds().to_be_bytes());
        bytes[8..12].copy_from_slice(&self.days().to_be_bytes());
        bytes[12..].copy_from_slice(&self.months().to_be_bytes());
        bytes
    }
}

impl<'r> Decode<'r> for Interval {
    const USUAL_LENGTH: Option<usize> = Some(16);

    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::INTERVAL
    }

    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let bytes = value.fixed::<Self, 16>()?;
        let number = u128::from_be_bytes(bytes);
        Ok(Self::new(
            number as i32,
            (number >> 32) as i32,
            (number >> 64) as i64,
        ))
    }
}

/// A finite `timestamptz`. What is finer than a microsecond is cut off, towards the past.
impl Encode for SystemTime {
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        match TimestampTz::try_from(*self) {
            Ok(moment) => moment
                .encode(ty, out)
                .map_err(|_| wrong_encode_type::<Self>(ty)),
            Err(_) => Err(out_of_range::<Self>(ty, "the time")),
        }
    }

    #[inline]
    fn encode_with_length(&self, ty: &Type, out: ValueWriter<'_>) -> Result<Written, EncodeError> {
        match TimestampTz::try_from(*self) {
            Ok(moment) if ty.oid() == oid::TIMESTAMPTZ => moment.encode_with_length(ty, out),
            _ => out.measured(self, ty),
        }
    }
}

/// A finite `timestamptz`.
impl<'r> Decode<'r> for SystemTime {
    const USUAL_LENGTH: Option<usize> = TimestampTz::USUAL_LENGTH;

    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::TIMESTAMPTZ
    }

    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let moment = TimestampTz::decode(value)?;
        Self::try_from(moment).map_err(|_| out_of_reach::<Self>(value.ty(), moment))
    }
}

/// The server's value has no place in the Rust type.
#[cold]
fn out_of_reach<T>(ty: &Type, value: impl std::fmt::Display) -> DecodeError {
    DecodeError::new(format!("{value} is out of the range of the Rust type"))
        .with_types(ty, rust_name::<T>())
        .with_hint("kornak's own type for it represents every value")
}
