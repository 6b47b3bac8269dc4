//! [`DataRow`]: the values of one row.

use crate::error::{Error, Result};
use crate::wire::reader::{Reader, ends_early, invalid, left_over};

/// One row. `parse` reads only the count; the values are checked while they are walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataRow<'a> {
    /// How many values there should be. Nothing is known of them yet.
    pub columns: u16,
    /// The values, each behind its length: four bytes, −1 for NULL.
    pub values: &'a [u8],
}

impl<'a> DataRow<'a> {
    /// Reads the count.
    ///
    /// # Errors
    ///
    /// A body of less than two bytes.
    #[inline]
    pub fn parse(body: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(body);
        let columns = reader
            .u16()
            .ok_or_else(|| ends_early(MESSAGE, "the number of columns"))?;
        Ok(Self {
            columns,
            values: reader.rest(),
        })
    }

    /// The values, from left to right.
    #[inline]
    pub fn iter(&self) -> Values<'a> {
        Values {
            read: 0,
            columns: self.columns,
            failed: false,
            reader: Reader::new(self.values),
        }
    }
}

impl<'a> IntoIterator for DataRow<'a> {
    type Item = Result<Option<&'a [u8]>>;
    type IntoIter = Values<'a>;

    #[inline]
    fn into_iter(self) -> Values<'a> {
        self.iter()
    }
}

/// The values of a [`DataRow`], NULL as `None`.
///
/// As many as the row counts, and an error in the place of the first that isn't whole; bytes
/// left over behind the last value are one more item, an error. After an error there are
/// none.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    read: u16,
    columns: u16,
    /// Whether an error has been returned.
    failed: bool,
    reader: Reader<'a>,
}

impl Values<'_> {
    /// Every value must have been read, and nothing may be left over. For readers that stop
    /// when they have what they want; the iterator's own end needs no such check.
    ///
    /// # Errors
    ///
    /// Values that are still to be read, or bytes left over.
    #[inline]
    pub fn finish(self) -> Result<()> {
        if self.read == self.columns && !self.failed && self.reader.rest().is_empty() {
            Ok(())
        } else {
            Err(self.unfinished())
        }
    }

    #[cold]
    fn unfinished(&self) -> Error {
        if self.failed {
            Error::protocol(format!("{MESSAGE}: a column is broken"))
        } else if self.read < self.columns {
            let (columns, read) = (self.columns, self.read);
            Error::protocol(format!(
                "{MESSAGE}: there are {columns} columns, {read} were expected"
            ))
        } else {
            left_over(MESSAGE, self.reader.rest().len())
        }
    }

    /// The error of the value after those that are read.
    #[cold]
    fn broken(&mut self, length: Option<i32>) -> Error {
        let column = self.read + 1;
        self.read = self.columns;
        self.failed = true;
        match length {
            Some(length) => invalid(
                MESSAGE,
                format_args!("the length of column {column}"),
                length,
            ),
            None => ends_early(MESSAGE, format_args!("column {column}")),
        }
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Result<Option<&'a [u8]>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.read == self.columns {
            if self.failed || self.reader.rest().is_empty() {
                return None;
            }
            let error = self.unfinished();
            self.failed = true;
            return Some(Err(error));
        }
        let Some(length) = self.reader.i32() else {
            return Some(Err(self.broken(None)));
        };
        let value = match usize::try_from(length) {
            Ok(length) => match self.reader.take(length) {
                Some(value) => Some(value),
                None => return Some(Err(self.broken(None))),
            },
            Err(_) if length == NULL => None,
            Err(_) => return Some(Err(self.broken(Some(length)))),
        };
        self.read += 1;
        Some(Ok(value))
    }
}

/// The length of a NULL.
const NULL: i32 = -1;

const MESSAGE: &str = "DataRow";
