//! [`RowRef`] and [`RowCursor`]: a row where it lies in the read buffer.

use std::fmt;

use super::column::{Column, ColumnIndex, Columns};
use super::from_row::FromRow;
use super::owned::Row;
use super::plan::VisitPlans;
use crate::codec::{Decode, RawValue};
use crate::error::{DecodeError, Error, Result};
use crate::protocol::RowBytes;
use crate::types::{Format, Kind, Type};

/// A row that is visited in place. Values that borrow (`&str`, `&[u8]`) point into the read
/// buffer and live as long as the visit.
#[derive(Clone, Copy)]
pub struct RowRef<'r> {
    columns: &'r Columns,
    bytes: RowBytes<'r>,
    /// The values behind the count of columns.
    values: &'r [u8],
    /// Where the plans of borrowed types are kept during a visit.
    plans: Option<&'r VisitPlans>,
}

/// Reads the values of a row one after the other.
#[derive(Clone, Debug)]
pub struct RowCursor<'r> {
    columns: std::slice::Iter<'r, Column>,
    rest: &'r [u8],
}

impl<'r> RowRef<'r> {
    /// # Errors
    ///
    /// If the row hasn't as many columns as were described.
    #[inline(always)]
    pub(crate) fn new(columns: &'r Columns, bytes: RowBytes<'r>) -> Result<Self> {
        match bytes.body() {
            [high, low, values @ ..]
                if usize::from(u16::from_be_bytes([*high, *low])) == columns.len() =>
            {
                Ok(Self {
                    columns,
                    bytes,
                    values,
                    plans: None,
                })
            }
            _ => Err(wrong_count(columns, bytes.body())),
        }
    }

    /// The same row, for a visit of many.
    #[inline]
    pub(crate) fn with_plans(mut self, plans: &'r VisitPlans) -> Self {
        self.plans = Some(plans);
        self
    }

    /// The columns of the result.
    pub fn columns(&self) -> &'r Columns {
        self.columns
    }

    /// How many columns the row has.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether the row has no columns.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Reads one column, by its position (from 0) or name. Earlier columns are passed over
    /// each time: to read most of them, derive [`FromRow`] or use [`cursor`](Self::cursor).
    ///
    /// # Errors
    ///
    /// If there is no such column, or its value can't be read into `T`.
    pub fn get<T: Decode<'r>>(&self, index: impl ColumnIndex) -> Result<T> {
        let Some(position) = index.position(self.columns) else {
            return Err(no_such_column(&index, self.columns));
        };
        let mut cursor = self.cursor();
        for _ in 0..position {
            cursor.skip()?;
        }
        cursor.read_checked()
    }

    /// The bytes of one column as the server sent them, or `None` for NULL.
    ///
    /// # Errors
    ///
    /// If there is no such column.
    pub fn raw(&self, index: impl ColumnIndex) -> Result<Option<&'r [u8]>> {
        let Some(position) = index.position(self.columns) else {
            return Err(no_such_column(&index, self.columns));
        };
        let mut cursor = self.cursor();
        for _ in 0..position {
            cursor.skip()?;
        }
        Ok(cursor.take()?.1)
    }

    /// Reads the values in their order.
    #[inline(always)]
    pub fn cursor(&self) -> RowCursor<'r> {
        RowCursor {
            columns: self.columns.iter(),
            rest: self.values,
        }
    }

    /// Reads the whole row into `T`, which may borrow from it.
    ///
    /// # Errors
    ///
    /// If a column is missing, has another type, or its value can't be read.
    #[inline]
    pub fn read<T: FromRow<'r>>(&self) -> Result<T> {
        if let Some(plans) = self.plans {
            return plans.read(self);
        }
        T::from_row(*self, &T::plan(self.columns)?)
    }

    /// The row in memory of its own.
    ///
    /// # Errors
    ///
    /// If its bytes are malformed.
    pub fn to_row(&self) -> Result<Row> {
        Row::new(self.columns.clone(), self.bytes)
    }
}

impl<'r> RowCursor<'r> {
    /// Reads the next value, whose type has been checked by a plan.
    ///
    /// # Errors
    ///
    /// If the value can't be read into `T`, or the row is malformed.
    #[inline(always)]
    pub(crate) fn read<T: Decode<'r>>(&mut self) -> Result<T> {
        let (column, bytes) = self.take()?;
        decode(column, bytes)
    }

    /// Reads the next value after checking its type.
    ///
    /// # Errors
    ///
    /// If there is no further column, its type isn't one that `T` reads, or its value can't
    /// be read.
    pub fn read_checked<T: Decode<'r>>(&mut self) -> Result<T> {
        if let Some(column) = self.columns.as_slice().first() {
            check_type::<T>(column)?;
        }
        self.read()
    }

    /// Passes over the next value.
    ///
    /// # Errors
    ///
    /// If there is none, or the row is malformed.
    #[inline]
    pub fn skip(&mut self) -> Result<()> {
        self.take().map(|_| ())
    }

    /// How many values are left.
    pub fn remaining(&self) -> usize {
        self.columns.len()
    }

    /// The next column and its bytes, `None` for NULL.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> Result<(&'r Column, Option<&'r [u8]>)> {
        let Some(column) = self.columns.next() else {
            return Err(no_more_columns());
        };
        let Some((length, rest)) = self.rest.split_first_chunk::<4>() else {
            return Err(malformed(column, "its length is missing"));
        };
        let length = u32::from_be_bytes(*length);
        // One comparison for all there is to doubt: no row is as long as NULL's length, or as a
        // negative one, without its sign.
        if let Some((value, rest)) = rest.split_at_checked(length as usize) {
            self.rest = rest;
            return Ok((column, Some(value)));
        }
        if length == NULL {
            self.rest = rest;
            return Ok((column, None));
        }
        Err(without_value(column, length))
    }

    /// This cursor, taken to the column `position`, whose length lies at `place` behind it.
    #[inline]
    pub(super) fn at(&self, position: usize, place: u32) -> Self {
        Self {
            columns: self.columns.as_slice()[position..].iter(),
            rest: &self.rest[place as usize..],
        }
    }

    /// How many bytes `later`, a cursor over the same row, has passed since this one.
    #[inline]
    pub(super) fn distance(&self, later: &Self) -> u32 {
        // A body is shorter than the protocol's limit of 2³¹ bytes.
        (self.rest.len() - later.rest.len()) as u32
    }

    /// Passes over what is left and checks that the row ends where its columns end.
    ///
    /// # Errors
    ///
    /// If it doesn't.
    #[inline(always)]
    pub(crate) fn finish(mut self) -> Result<()> {
        while !self.columns.as_slice().is_empty() {
            self.skip()?;
        }
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(trailing_bytes())
        }
    }
}

impl fmt::Debug for RowRef<'_> {
    /// Shows the names and types of the columns. Values are the application's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowRef")
            .field("columns", self.columns)
            .finish_non_exhaustive()
    }
}

/// The length of NULL, −1.
const NULL: u32 = u32::MAX;

/// Whether `T` reads the type and format of `column`.
///
/// # Errors
///
/// If it doesn't.
pub(crate) fn check_type<'r, T: Decode<'r>>(column: &Column) -> Result<()> {
    let ty = column.ty.base();
    match column.format {
        Format::Binary => T::check_type(ty),
        Format::Text if T::accepts_text(ty) => Ok(()),
        Format::Text => Err(text_only(ty)),
    }
    .map_err(|error| locate::<T>(error, column))
}

#[inline(always)]
pub(crate) fn decode<'r, T: Decode<'r>>(column: &Column, bytes: Option<&'r [u8]>) -> Result<T> {
    let value = match bytes {
        Some(bytes) => T::decode(RawValue::new(bytes, &column.ty, column.format)),
        None => T::decode_null(&column.ty),
    };
    value.map_err(|error| locate::<T>(error, column))
}

#[cold]
fn locate<T>(error: DecodeError, column: &Column) -> Error {
    error
        .with_types(column.ty.name(), crate::codec::rust_name::<T>())
        .at(format_args!("column \"{}\"", column.name.escape_debug()))
        .into()
}

#[cold]
fn text_only(ty: &Type) -> DecodeError {
    let hint = match ty.kind() {
        Kind::Array(_) => "read it into a Vec of Strings",
        _ => "read it into a String",
    };
    DecodeError::new("the type has no binary form on the server").with_hint(hint)
}

#[cold]
pub(super) fn no_such_column(index: &dyn fmt::Display, columns: &[Column]) -> Error {
    let names: Vec<_> = columns
        .iter()
        .take(16)
        .map(|c| format!("\"{}\"", c.name.escape_debug()))
        .collect();
    let more = if columns.len() > names.len() {
        ", …"
    } else {
        ""
    };
    DecodeError::new(format!(
        "there is no column {index}; the result has {}{more}",
        names.join(", ")
    ))
    .into()
}

#[cold]
fn wrong_count(columns: &[Column], body: &[u8]) -> Error {
    match body {
        [high, low, ..] => Error::protocol(format!(
            "DataRow has {} columns where {} were described",
            u16::from_be_bytes([*high, *low]),
            columns.len()
        )),
        _ => Error::protocol("DataRow has no count of columns"),
    }
}

#[cold]
fn malformed(column: &Column, why: &str) -> Error {
    Error::protocol(format!(
        "DataRow: column \"{}\": {why}",
        column.name.escape_debug()
    ))
}

#[cold]
fn without_value(column: &Column, length: u32) -> Error {
    match i32::try_from(length) {
        Ok(_) => malformed(column, "it is longer than the row"),
        Err(_) => malformed(column, "its length is negative"),
    }
}

#[cold]
fn trailing_bytes() -> Error {
    Error::protocol("DataRow has bytes behind its last column")
}

#[cold]
fn no_more_columns() -> Error {
    DecodeError::new("the row has no further column").into()
}
