//! What the server says of the columns of a result.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::types::{Format, Kind, Type};

/// One column of a result (manual, "Message Formats", RowDescription).
#[derive(Clone, Debug)]
pub struct Column {
    pub(crate) name: Box<str>,
    pub(crate) ty: Type,
    pub(crate) format: Format,
    pub(crate) table_oid: u32,
    pub(crate) column_id: i16,
    pub(crate) type_size: i16,
    pub(crate) type_modifier: i32,
}

/// The columns of a result, shared by all its rows.
#[derive(Clone, Default)]
pub struct Columns(Arc<[Column]>);

/// What names a column: its position, from 0, or its name.
///
/// Names are compared as they are; where two columns have the same name, the first counts.
/// The trait is sealed.
pub trait ColumnIndex: sealed::Sealed + fmt::Display {
    #[doc(hidden)]
    fn position(&self, columns: &[Column]) -> Option<usize>;
}

impl Column {
    /// A column of this type, in binary where the type has such a form.
    #[doc(hidden)]
    pub fn new(
        name: &str,
        ty: Type,
        table_oid: u32,
        column_id: i16,
        type_size: i16,
        type_modifier: i32,
    ) -> Self {
        let format = if ty.has_binary_output() {
            Format::Binary
        } else {
            Format::Text
        };
        Self {
            name: name.into(),
            ty,
            format,
            table_oid,
            column_id,
            type_size,
            type_modifier,
        }
    }

    /// The name. What isn't UTF-8 in it is replaced.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type. A domain's column has the type beneath the domain.
    pub fn ty(&self) -> &Type {
        &self.ty
    }

    /// How the values are encoded: binary, but for types without a binary form.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The table that the column is taken from, by its OID, if it is a plain column.
    pub fn table_oid(&self) -> Option<u32> {
        (self.table_oid != 0).then_some(self.table_oid)
    }

    /// The number of the column in that table (`pg_attribute.attnum`).
    pub fn column_id(&self) -> Option<i16> {
        (self.column_id != 0).then_some(self.column_id)
    }

    /// The type's size in bytes (`pg_type.typlen`); negative where it varies.
    pub fn type_size(&self) -> i16 {
        self.type_size
    }

    /// The type modifier (`pg_attribute.atttypmod`), −1 where there is none.
    pub fn type_modifier(&self) -> i32 {
        self.type_modifier
    }
}

impl Columns {
    #[doc(hidden)]
    pub fn new(columns: Vec<Column>) -> Self {
        Self(columns.into())
    }

    /// The same columns as they come from a server that was asked for binary alone: a type with
    /// parts comes so even where a part's type has no binary form, if none of these parts has a
    /// value. A type without parts can only be NULL then, which is the same in both forms.
    #[doc(hidden)]
    pub fn asked_in_binary(&self) -> Self {
        if self.iter().all(|column| column.format == Format::Binary) {
            return self.clone();
        }
        let binary = |column: &Column| Column {
            format: match column.ty.base().kind() {
                Kind::Simple | Kind::Pseudo => column.format,
                _ => Format::Binary,
            },
            ..column.clone()
        };
        Self(self.0.iter().map(binary).collect())
    }

    /// Whether both are the columns of one and the same description.
    #[doc(hidden)]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The same columns with the types that `ty` gives for their OIDs.
    #[doc(hidden)]
    pub fn with_types(&self, ty: impl Fn(u32) -> Type) -> Self {
        let retype = |c: &Column| {
            Column::new(
                &c.name,
                ty(c.ty.oid()),
                c.table_oid,
                c.column_id,
                c.type_size,
                c.type_modifier,
            )
        };
        Self(self.0.iter().map(retype).collect())
    }
}

impl Deref for Columns {
    type Target = [Column];

    #[inline]
    fn deref(&self) -> &[Column] {
        &self.0
    }
}

impl fmt::Debug for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl ColumnIndex for usize {
    fn position(&self, columns: &[Column]) -> Option<usize> {
        (*self < columns.len()).then_some(*self)
    }
}

impl ColumnIndex for &str {
    fn position(&self, columns: &[Column]) -> Option<usize> {
        columns.iter().position(|column| &*column.name == *self)
    }
}

mod sealed {
    #[expect(unnameable_types, reason = "that is what seals the trait")]
    pub trait Sealed {}
    impl Sealed for usize {}
    impl Sealed for &str {}
}
