//! The shape of parameters and rows.

use crate::error::Result;
use crate::wire::reader::{Reader, ends_early, invalid};

/// The types of a statement's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterDescription<'a> {
    oids: &'a [u8],
}

impl<'a> ParameterDescription<'a> {
    /// Reads the body.
    ///
    /// # Errors
    ///
    /// A body that ends early or goes on.
    pub fn parse(body: &'a [u8]) -> Result<Self> {
        const MESSAGE: &str = "ParameterDescription";
        let mut reader = Reader::new(body);
        let count = reader
            .u16()
            .ok_or_else(|| ends_early(MESSAGE, "the number of parameters"))?;
        let oids = reader
            .take(usize::from(count) * 4)
            .ok_or_else(|| ends_early(MESSAGE, "the list of types"))?;
        reader.finish(MESSAGE)?;
        Ok(Self { oids })
    }

    /// How many parameters there are.
    pub fn len(&self) -> usize {
        self.oids.len() / 4
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.oids.is_empty()
    }

    /// The OID of each parameter's type.
    pub fn oids(&self) -> impl ExactSizeIterator<Item = u32> + use<'a> {
        self.oids
            .chunks_exact(4)
            .map(|oid| u32::from_be_bytes([oid[0], oid[1], oid[2], oid[3]]))
    }
}

/// The columns of the rows that follow, or that a statement would return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowDescription<'a> {
    count: u16,
    /// `count` whole fields and nothing else.
    fields: &'a [u8],
}

impl<'a> RowDescription<'a> {
    /// Reads the body.
    ///
    /// # Errors
    ///
    /// A body that ends early or goes on, or a format other than 0 and 1.
    pub fn parse(body: &'a [u8]) -> Result<Self> {
        const MESSAGE: &str = "RowDescription";
        let mut reader = Reader::new(body);
        let count = reader
            .u16()
            .ok_or_else(|| ends_early(MESSAGE, "the number of fields"))?;
        let fields = reader.rest();
        for index in 1..=count {
            let field = FieldDescription::read(&mut reader)
                .ok_or_else(|| ends_early(MESSAGE, format_args!("field {index}")))?;
            if !matches!(field.format, 0 | 1) {
                return Err(invalid(
                    MESSAGE,
                    format_args!("the format of field {index}"),
                    field.format,
                ));
            }
        }
        reader.finish(MESSAGE)?;
        Ok(Self { count, fields })
    }

    /// How many columns there are.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there are none, as in `select from t`.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The columns, from left to right.
    pub fn fields(&self) -> FieldDescriptions<'a> {
        FieldDescriptions {
            left: self.count,
            reader: Reader::new(self.fields),
        }
    }
}

/// One column of a [`RowDescription`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldDescription<'a> {
    /// The name, in the client's encoding; any bytes but NUL, and not always unique.
    pub name: &'a [u8],
    /// The table, if the column is one of a table, else 0.
    pub table_oid: u32,
    /// The number of the column in that table, else 0.
    pub column_id: i16,
    /// The type.
    pub type_oid: u32,
    /// The size of the type in bytes; negative for types of variable width.
    pub type_size: i16,
    /// What the type makes of it, as in `varchar(10)`; −1 for most.
    pub type_modifier: i32,
    /// 0 is text, 1 is binary; 0 where the format is not known yet.
    pub format: i16,
}

impl<'a> FieldDescription<'a> {
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        Some(Self {
            name: reader.string()?,
            table_oid: reader.u32()?,
            column_id: reader.i16()?,
            type_oid: reader.u32()?,
            type_size: reader.i16()?,
            type_modifier: reader.i32()?,
            format: reader.i16()?,
        })
    }
}

/// The columns of a [`RowDescription`], from left to right.
#[derive(Clone, Debug)]
pub struct FieldDescriptions<'a> {
    left: u16,
    reader: Reader<'a>,
}

impl<'a> Iterator for FieldDescriptions<'a> {
    type Item = FieldDescription<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // `RowDescription::parse` has read as many fields as it counts.
        FieldDescription::read(&mut self.reader)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left), Some(usize::from(self.left)))
    }
}

impl ExactSizeIterator for FieldDescriptions<'_> {}
