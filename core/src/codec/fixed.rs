//! [`encode_fixed`]: writing the types all of whose values have the same number of bytes.

use crate::types::Format;

/// `Encode` of a type for one PostgreSQL type: its name, the OID's, what is declared, and the
/// function that gives a value's bytes, at most 32.
macro_rules! encode_fixed {
    ($(#[$doc:meta])* $name:ty, $oid:ident, $declared:ident, $bytes:path $(,)?) => {
        $(#[$doc])*
        impl $crate::codec::Encode for $name {
            const DECLARED: $crate::codec::DeclaredType =
                $crate::codec::fixed::encode_fixed!(@declared $declared $oid);

            #[inline]
            fn encode(
                &self,
                ty: &$crate::types::Type,
                out: &mut $crate::codec::ParamWriter<'_>,
            ) -> Result<$crate::codec::IsNull, $crate::error::EncodeError> {
                if ty.oid() != $crate::types::oid::$oid {
                    return Err($crate::codec::wrong_encode_type::<Self>(ty));
                }
                out.put_slice(&$bytes(self));
                Ok($crate::codec::IsNull::No)
            }

            #[inline]
            fn encode_with_length(
                &self,
                ty: &$crate::types::Type,
                out: $crate::codec::ValueWriter<'_>,
            ) -> Result<$crate::codec::Written, $crate::error::EncodeError> {
                if ty.oid() != $crate::types::oid::$oid {
                    return out.measured(self, ty);
                }
                out.fixed($bytes(self))
            }

            #[inline]
            fn encode_short(
                &self,
                ty: &$crate::types::Type,
                format: $crate::types::Format,
                room: &mut [u8],
            ) -> Option<usize> {
                if ty.oid() != $crate::types::oid::$oid {
                    return None;
                }
                $crate::codec::fixed::write_fixed($bytes(self), format, room)
            }
        }
    };
    (@declared Oid $oid:ident) => {
        $crate::codec::DeclaredType::Oid($crate::types::oid::$oid)
    };
    (@declared Described $oid:ident) => {
        $crate::codec::DeclaredType::Described
    };
}

pub(super) use encode_fixed;

/// How many bytes a short value takes at most, with its length.
pub(crate) const SHORT: usize = 4 + 16;

/// Writes the bytes of a binary value behind their length, for
/// [`Encode::encode_short`](super::Encode::encode_short).
#[inline]
pub(super) fn write_fixed<const N: usize>(
    value: [u8; N],
    format: Format,
    room: &mut [u8],
) -> Option<usize> {
    if format != Format::Binary {
        return None;
    }
    let (length, room) = room.split_first_chunk_mut()?;
    *room.first_chunk_mut()? = value;
    *length = (N as i32).to_be_bytes();
    Some(4 + N)
}
