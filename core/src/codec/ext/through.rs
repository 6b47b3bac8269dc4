//! Codecs that convert to and from one of the driver's own types.
#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "each feature for a crate uses its part of it"
)]

use std::fmt::Display;

use crate::codec::{Interval, rust_name};
use crate::error::{DecodeError, EncodeError};
use crate::types::Type;

/// Why a value of one type has no counterpart in another, as a clause: `infinity is …`.
pub(super) struct NoCounterpart(String);

impl NoCounterpart {
    #[cold]
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }

    /// The value lies beyond the first or the last that there is.
    #[cold]
    pub(super) fn outside(value: impl Display, first: impl Display, last: impl Display) -> Self {
        Self(format!(
            "{value} is out of the range from {first} to {last}"
        ))
    }

    /// For a value of the server's that `T` can't hold; `Own` can.
    #[cold]
    pub(super) fn while_reading<T, Own>(self, ty: &Type) -> DecodeError {
        let hint = format!("kornak's own {} holds every value", rust_name::<Own>());
        DecodeError::new(self.0)
            .with_types(ty, rust_name::<T>())
            .with_hint(hint)
    }

    /// For a value of `T` that the server's type can't hold.
    #[cold]
    pub(super) fn while_writing<T>(self, ty: &Type) -> EncodeError {
        EncodeError::new(self.0).with_types(ty, rust_name::<T>())
    }
}

/// `through!(Foreign, Own, [OIDs that it is written as], to own, from own)`: `Encode` and
/// `Decode` of a foreign type, which is read from what `Own` is read from.
///
/// The conversions are `fn(&Foreign) -> Result<Own, NoCounterpart>` and
/// `fn(Own) -> Result<Foreign, NoCounterpart>`.
macro_rules! through {
    (
        $(#[$doc:meta])*
        $foreign:ty, $own:ident, [$($oid:ident),+], $to:expr, $from:expr $(,)?
    ) => {
        $(#[$doc])*
        impl $crate::codec::Encode for $foreign {
            #[inline]
            fn encode(
                &self,
                ty: &$crate::types::Type,
                out: &mut $crate::codec::ParamWriter<'_>,
            ) -> Result<$crate::codec::IsNull, $crate::error::EncodeError> {
                if !matches!(ty.oid(), $($crate::types::oid::$oid)|+) {
                    return Err($crate::codec::wrong_encode_type::<Self>(ty));
                }
                let to: fn(&Self) -> Result<$own, NoCounterpart> = $to;
                match to(self) {
                    Ok(own) => own
                        .encode(ty, out)
                        .map_err(|error| error.with_rust_type($crate::codec::rust_name::<Self>())),
                    Err(why) => Err(why.while_writing::<Self>(ty)),
                }
            }

            #[inline]
            fn encode_with_length(
                &self,
                ty: &$crate::types::Type,
                out: $crate::codec::ValueWriter<'_>,
            ) -> Result<$crate::codec::Written, $crate::error::EncodeError> {
                let to: fn(&Self) -> Result<$own, NoCounterpart> = $to;
                match to(self) {
                    Ok(own) if matches!(ty.oid(), $($crate::types::oid::$oid)|+) => own
                        .encode_with_length(ty, out)
                        .map_err(|error| error.with_rust_type($crate::codec::rust_name::<Self>())),
                    _ => out.measured(self, ty),
                }
            }
        }

        $(#[$doc])*
        impl<'r> $crate::codec::Decode<'r> for $foreign {
            const USUAL_LENGTH: Option<usize> = <$own as $crate::codec::Decode<'r>>::USUAL_LENGTH;

            #[inline]
            fn accepts(ty: &$crate::types::Type) -> bool {
                $own::accepts(ty)
            }

            #[inline]
            fn decode(
                value: $crate::codec::RawValue<'r, '_>,
            ) -> Result<Self, $crate::error::DecodeError> {
                let own = $own::decode(value)
                    .map_err(|error| error.with_rust_type($crate::codec::rust_name::<Self>()))?;
                let from: fn($own) -> Result<Self, NoCounterpart> = $from;
                match from(own) {
                    Ok(foreign) => Ok(foreign),
                    Err(why) => Err(why.while_reading::<Self, $own>(value.ty())),
                }
            }
        }
    };
}

pub(super) use through;

/// The length of an interval that has one.
#[inline]
pub(super) fn exact_microseconds(interval: Interval) -> Result<i64, NoCounterpart> {
    if interval.months() == 0 && interval.days() == 0 {
        return Ok(interval.microseconds());
    }
    Err(NoCounterpart::new(format!(
        "the interval {interval} is not just a length of time: months and days differ in theirs"
    )))
}
