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
    #[doc(hidden)]
    pub fn new(columns: &'r Columns, bytes: RowBytes<'r>) -> Result<Self> {
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
    #[doc(hidden)]
    pub fn with_plans(mut self, plans: &'r VisitPlans) -> Self {
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

    /// Reads the first `count` columns in their order; the others are for
    /// [`finish_before`](RowCursor::finish_before).
    ///
    /// Where the compiler knows `count` it doesn't ask at each column whether there is one.
    ///
    /// # Errors
    ///
    /// If there are fewer columns.
    #[inline(always)]
    pub(super) fn cursor_over(&self, count: usize) -> Result<(RowCursor<'r>, &'r [Column])> {
        let Some((columns, others)) = self.columns.split_at_checked(count) else {
            return Err(no_more_columns());
        };
        let cursor = RowCursor {
            columns: columns.iter(),
            rest: self.values,
        };
        Ok((cursor, others))
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
        let Some(column) = self.columns.next() else {
            return Err(no_more_columns());
        };
        if let Some(length) = T::USUAL_LENGTH {
            // Length and value are there, and the length is the usual one: that is all to ask.
            if let Some((usual, rest)) = self.rest.split_at_checked(length.saturating_add(4)) {
                let (head, value) = usual.split_at(4);
                if head == (length as u32).to_be_bytes() {
                    self.rest = rest;
                    return decode(column, Some(value));
                }
            }
            let (value, rest) = read_unusual(column, self.rest)?;
            self.rest = rest;
            return value;
        }
        let (bytes, rest) = split_value(column, self.rest)?;
        self.rest = rest;
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
        let (bytes, rest) = split_value(column, self.rest)?;
        self.rest = rest;
        Ok((column, bytes))
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

    /// Passes over the columns behind those of this cursor, which have been read.
    ///
    /// # Errors
    ///
    /// If the row doesn't end where its columns end.
    #[inline(always)]
    pub(super) fn finish_before(mut self, others: &'r [Column]) -> Result<()> {
        self.columns = others.iter();
        self.finish()
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

/// The first value of `values`, `None` for NULL, and those behind it.
#[inline(always)]
fn split_value<'r>(column: &Column, values: &'r [u8]) -> Result<(Option<&'r [u8]>, &'r [u8])> {
    let Some((length, rest)) = values.split_first_chunk::<4>() else {
        return Err(malformed(column, "its length is missing"));
    };
    let length = u32::from_be_bytes(*length);
    // One comparison for all there is to doubt: no row is as long as NULL's length, or as a
    // negative one, without its sign.
    if let Some((value, rest)) = rest.split_at_checked(length as usize) {
        return Ok((Some(value), rest));
    }
    if length == NULL {
        return Ok((None, rest));
    }
    Err(without_value(column, length))
}

/// Reads a value that hasn't the length that most have: a NULL, or an `int4` as an `i64`.
///
/// A cursor that was lent for this would have to lie in memory for the usual values too.
#[inline(never)]
fn read_unusual<'r, T: Decode<'r>>(
    column: &Column,
    values: &'r [u8],
) -> Result<(Result<T>, &'r [u8])> {
    let (bytes, rest) = split_value(column, values)?;
    Ok((decode(column, bytes), rest))
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

#[cfg(test)]
mod tests {
    use super::super::internals::{columns, row};
    use super::*;
    use crate::codec::Time;

    /// A text whose length is said to be `USUAL`, which it needn't be.
    #[derive(Debug, PartialEq)]
    struct Said<const USUAL: usize>(String);

    impl<'r, const USUAL: usize> Decode<'r> for Said<USUAL> {
        const USUAL_LENGTH: Option<usize> = Some(USUAL);

        fn accepts(ty: &Type) -> bool {
            String::accepts(ty)
        }

        fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
            String::decode(value).map(Self)
        }
    }

    /// A row of these values, `None` for NULL.
    fn body(values: &[Option<&[u8]>]) -> Vec<u8> {
        let mut body = (values.len() as u16).to_be_bytes().to_vec();
        for value in values {
            let length = value.map_or(NULL, |value| value.len() as u32);
            body.extend(length.to_be_bytes());
            body.extend(value.unwrap_or_default());
        }
        body
    }

    #[test]
    fn values_of_every_length_are_read() {
        let types = [Type::INT2, Type::INT4, Type::INT8, Type::INT4, Type::BOOL];
        let columns = columns(&types.map(|ty| ("a", ty)));
        let body = body(&[
            Some(&[0xff, 0xfe]),
            Some(&[0, 0, 0, 3]),
            Some(&[0, 0, 0, 0, 0, 0, 0, 4]),
            None,
            Some(&[1]),
        ]);
        let row = row(&columns, &body).unwrap();
        let values: (i64, i64, i64, Option<i32>, bool) = row.read().unwrap();
        assert_eq!(values, (-2, 3, 4, None, true));
        let null = row.read::<(i64, i64, i64, i32, bool)>().unwrap_err();
        assert!(null.to_string().contains("NULL"), "{null}");
    }

    #[test]
    fn a_row_is_refused_wherever_it_is_cut() {
        let columns = columns(&[("a", Type::INT4), ("b", Type::BOOL), ("c", Type::INT8)]);
        let whole = body(&[Some(&[0, 0, 0, 1]), Some(&[0]), Some(&[9; 8])]);
        let read = |body: &[u8]| row(&columns, body)?.read::<(i32, bool, i64)>();
        assert_eq!(read(&whole).unwrap(), (1, false, 0x0909_0909_0909_0909));
        for end in 2..whole.len() {
            let error = read(&whole[..end]).unwrap_err().to_string();
            let column = match end {
                ..10 => "\"a\"",
                10..15 => "\"b\"",
                _ => "\"c\"",
            };
            assert!(error.contains(column), "{end}: {error}");
        }
        let longer = [&whole[..], b"\0"].concat();
        assert!(read(&longer).unwrap_err().to_string().contains("behind"));
    }

    #[test]
    fn a_value_that_cant_be_read_doesnt_move_the_next() {
        let columns = columns(&[
            ("a", Type::TIME),
            ("b", Type::INT8),
            ("c", Type::INT4),
            ("d", Type::INT4),
        ]);
        let day_and_more = 86_400_000_001_i64.to_be_bytes();
        let body = body(&[
            Some(&day_and_more),
            Some(&[0; 3]),
            None,
            Some(&[0, 0, 0, 7]),
        ]);
        let mut cursor = row(&columns, &body).unwrap().cursor();
        assert!(cursor.read_checked::<Time>().is_err());
        assert!(cursor.read_checked::<i64>().is_err());
        assert!(cursor.read_checked::<i32>().is_err());
        assert_eq!(cursor.read_checked::<i32>().unwrap(), 7);
        assert!(cursor.read_checked::<i32>().is_err());
    }

    #[test]
    fn a_usual_length_that_isnt_so_changes_nothing() {
        let columns = columns(&[("a", Type::TEXT), ("b", Type::TEXT), ("c", Type::INT4)]);
        for text in ["", "abc", "abcd"] {
            let body = body(&[Some(text.as_bytes()), None, Some(&[0, 0, 0, 7])]);
            let row = row(&columns, &body).unwrap();
            check::<0>(&row, text);
            check::<3>(&row, text);
            check::<{ usize::MAX }>(&row, text);
        }
    }

    #[track_caller]
    fn check<const USUAL: usize>(row: &RowRef<'_>, text: &str) {
        let values: (Said<USUAL>, Option<Said<USUAL>>, i32) = row.read().unwrap();
        assert_eq!(values, (Said(text.to_owned()), None, 7));
    }

    #[test]
    fn fewer_columns_than_are_read_are_an_error() {
        let columns = columns(&[("a", Type::INT4)]);
        let body = body(&[Some(&[0, 0, 0, 1])]);
        let row = row(&columns, &body).unwrap();
        let plan = super::super::plan::Plan::in_order();
        assert!(<(i32, i32)>::from_row(row, &plan).is_err());
        assert_eq!(<(i32,)>::from_row(row, &plan).unwrap(), (1,));
    }
}
