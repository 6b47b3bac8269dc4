//! [`Record`] and [`Opaque`]: what a [`Value`] keeps the type of.

use std::sync::Arc;

use super::Value;
use crate::types::{Format, Type};

/// A value of a composite type, or an anonymous record, with the names and types of its
/// fields.
///
/// Fields of an anonymous record have no names. It can be read, but the server takes none as
/// a parameter; where it wants a composite type, any `Record` with as many fields will do.
///
/// # Example
///
/// ```
/// use kornak::codec::{Record, RecordField, Value};
/// use kornak::types::Type;
///
/// let record = Record::new(vec![
///     RecordField::new(Type::INT4, Value::from(7)).named("id"),
///     RecordField::new(Type::TEXT, Value::from("a, b")).named("name"),
/// ]);
/// assert_eq!(record.get("id"), Some(&Value::Int4(7)));
/// assert_eq!(record.to_string(), r#"(7,"a, b")"#);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    fields: Vec<RecordField>,
}

/// One field of a [`Record`].
#[derive(Clone, Debug, PartialEq)]
pub struct RecordField {
    name: Option<Arc<str>>,
    ty: Type,
    value: Value,
}

/// A value whose parts the driver doesn't know, as the server sent it: of a type that only an
/// extension's authors know, or in text because the server has no other form of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Opaque {
    ty: Type,
    format: Format,
    bytes: Box<[u8]>,
}

impl Record {
    /// A record of these fields.
    #[inline]
    pub fn new(fields: Vec<RecordField>) -> Self {
        Self { fields }
    }

    /// The fields, in their order.
    #[inline]
    pub fn fields(&self) -> &[RecordField] {
        &self.fields
    }

    /// The fields, in their order.
    #[inline]
    pub fn into_fields(self) -> Vec<RecordField> {
        self.fields
    }

    /// The value of the first field of this name.
    #[inline]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let mut fields = self.fields.iter();
        let field = fields.find(|field| field.name() == Some(name));
        field.map(RecordField::value)
    }
}

impl RecordField {
    /// A field without a name.
    #[inline]
    pub fn new(ty: Type, value: Value) -> Self {
        Self {
            name: None,
            ty,
            value,
        }
    }

    /// The same field with a name.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The name, which fields of anonymous records don't have.
    #[inline]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The type.
    #[inline]
    pub fn ty(&self) -> &Type {
        &self.ty
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The value.
    #[inline]
    pub fn into_value(self) -> Value {
        self.value
    }
}

impl Opaque {
    /// A value of type `ty` in the form that its own functions read.
    pub fn new(ty: Type, format: Format, bytes: impl Into<Box<[u8]>>) -> Self {
        Self {
            ty,
            format,
            bytes: bytes.into(),
        }
    }

    /// The type.
    #[inline]
    pub fn ty(&self) -> &Type {
        &self.ty
    }

    /// The form of the bytes.
    #[inline]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The bytes, as the server sent them.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The text, if it came as text.
    #[inline]
    pub fn as_text(&self) -> Option<&str> {
        match self.format {
            Format::Text => std::str::from_utf8(&self.bytes).ok(),
            Format::Binary => None,
        }
    }
}
