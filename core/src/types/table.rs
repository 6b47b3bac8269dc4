//! The macro that turns the generated list of built-in types into constants and look-ups.

/// Takes the lines of `builtin.rs` and makes the OIDs, the constants of [`Type`](super::Type),
/// and the look-ups by OID.
macro_rules! builtin_types {
    ($($constant:ident, $oid:literal, $name:literal, $array:literal, $send:literal, $receive:literal, $kind:ident $($inner:ident)?;)*) => {
        use super::{Kind, Repr, Type, TypeInfo};

        /// The OIDs of the built-in types.
        pub mod oid {
            $(#[doc = concat!("The type `", $name, "`.")] pub const $constant: u32 = $oid;)*
        }

        mod info {
            use super::{Kind, Repr, Type, TypeInfo};

            $(pub(super) static $constant: TypeInfo = TypeInfo::builtin(
                $oid,
                $name,
                $array,
                super::super::table::kind!($kind $($inner)?),
                $send,
                $receive,
            );)*
        }

        impl Type {
            $(#[doc = concat!("The type `", $name, "`.")] pub const $constant: Type = Type(Repr::Builtin(&info::$constant));)*

            /// The built-in type with this OID.
            pub fn from_oid(oid: u32) -> Option<Type> {
                match oid {
                    $($oid => Some(Type::$constant),)*
                    _ => None,
                }
            }

            /// All built-in types, ordered by OID.
            pub const BUILTIN: &'static [Type] = &[$(Type::$constant),*];
        }

        /// The OID of the built-in array type over the built-in type `oid`.
        pub(crate) const fn array_oid(oid: u32) -> Option<u32> {
            match oid {
                $($oid => if $array == 0 { None } else { Some($array) },)*
                _ => None,
            }
        }
    };
}

/// The [`Kind`](super::Kind) of one line; expands where `info` is built.
macro_rules! kind {
    (simple) => {
        Kind::Simple
    };
    (pseudo) => {
        Kind::Pseudo
    };
    (array $inner:ident) => {
        Kind::Array(Type(Repr::Builtin(&$inner)))
    };
    (range $inner:ident) => {
        Kind::Range(Type(Repr::Builtin(&$inner)))
    };
    (multirange $inner:ident) => {
        Kind::Multirange(Type(Repr::Builtin(&$inner)))
    };
}

pub(super) use {builtin_types, kind};
