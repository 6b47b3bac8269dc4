//! [`encode_fixed`]: writing the types all of whose values have the same number of bytes.

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
