//! What the derive macros' code for enums calls, and the names of custom types
//! (`enum_send` and `enum_recv` in `enum.c`: the label as text).

use super::text::TextForm;
use super::{IsNull, ParamWriter, RawValue, rust_name};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Kind, Type};

/// The PostgreSQL type that a Rust type stands for. Its OID differs from database to
/// database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub struct TypeName {
    /// Any schema, if there is none.
    schema: Option<&'static str>,
    name: &'static str,
}

/// How much of a label that isn't known is shown, in characters. The server's own have at
/// most 63 bytes.
const MAX_SHOWN: usize = 64;

impl TypeName {
    /// The type of this name in any schema or a given one.
    pub const fn new(schema: Option<&'static str>, name: &'static str) -> Self {
        Self { schema, name }
    }

    /// Whether `ty` has this name.
    pub(super) fn is(self, ty: &Type) -> bool {
        ty.name() == self.name && self.schema.is_none_or(|schema| ty.schema() == schema)
    }

    /// What a Rust type called `rust` stands for, as advice.
    #[cold]
    pub(super) fn advice(self, rust: &str) -> String {
        format!("{rust} stands for {self}; `#[kornak(name = \"…\")]` names another type")
    }
}

impl std::fmt::Display for TypeName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(schema) = self.schema {
            write!(f, "{schema}.")?;
        }
        f.write_str(self.name)
    }
}

/// Whether `ty` is what a Rust enum of this name is written to and read from: an enum, or a
/// string where it stands for one.
///
/// # Errors
///
/// If it isn't.
#[doc(hidden)]
pub fn check_enum<T>(name: TypeName, ty: &Type) -> Result<(), DecodeError> {
    if is_enum(name, ty) {
        Ok(())
    } else {
        Err(wrong_decode::<T>(name, ty))
    }
}

/// Writes a label.
///
/// # Errors
///
/// If `ty` is another type. Whether it has the label is left to the server: one that was
/// added to the type meanwhile is not known here.
#[inline]
#[doc(hidden)]
pub fn encode_label<T>(
    name: TypeName,
    label: &'static str,
    ty: &Type,
    out: &mut ParamWriter<'_>,
) -> Result<IsNull, EncodeError> {
    if !is_enum(name, ty) {
        return Err(wrong_encode::<T>(name, ty));
    }
    out.put_slice(label.as_bytes());
    Ok(IsNull::No)
}

/// The label in `value` is none of those that `T` has.
#[cold]
#[doc(hidden)]
pub fn unknown_label<T>(value: RawValue<'_, '_>, known: &[&str]) -> DecodeError {
    let label: String = String::from_utf8_lossy(value.bytes())
        .chars()
        .take(MAX_SHOWN)
        .collect();
    let rust = rust_name::<T>();
    value.error::<T>(format!(
        "{rust} has no variant for the label {label:?}, only for \"{}\"",
        known.join("\", \"")
    ))
}

#[cold]
pub(super) fn wrong_encode<T>(name: TypeName, ty: &Type) -> EncodeError {
    let rust = rust_name::<T>();
    EncodeError::new("the types don't match")
        .with_hint(name.advice(&rust))
        .with_types(ty, rust)
}

#[cold]
pub(super) fn wrong_decode<T>(name: TypeName, ty: &Type) -> DecodeError {
    let rust = rust_name::<T>();
    DecodeError::new("the types don't match")
        .with_hint(name.advice(&rust))
        .with_types(ty, rust)
}

#[inline]
fn is_enum(name: TypeName, ty: &Type) -> bool {
    name.is(ty) && (matches!(ty.kind(), Kind::Enum(_)) || TextForm::of(ty) == TextForm::Plain)
}
