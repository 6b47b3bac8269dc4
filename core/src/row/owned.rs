//! [`Row`]: a row in memory of its own.

use std::fmt;

use bytes::Bytes;

use super::column::{ColumnIndex, Columns};
use super::cursor::{RowCursor, RowRef};
use super::from_row::FromRow;
use super::plan::Plan;
use crate::codec::Decode;
use crate::error::Result;
use crate::protocol::RowBytes;

/// A row that owns its bytes, read dynamically: by name or position, each value checked.
///
/// A row below 4 KiB is copied into one allocation; a larger one shares the memory that it
/// arrived in, so that a row kept for long can keep its neighbours' memory alive: copy the
/// values out of rows that you keep.
#[derive(Clone)]
pub struct Row {
    columns: Columns,
    body: Bytes,
}

impl Row {
    pub(crate) fn new(columns: Columns, bytes: RowBytes<'_>) -> Result<Self> {
        // A row that is kept is checked as a whole now; later reads can't find it malformed.
        RowRef::new(&columns, bytes)?.cursor().finish()?;
        Ok(Self {
            body: bytes.to_bytes(),
            columns,
        })
    }

    /// The columns of the result.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// How many columns the row has.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether the row has no columns.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Reads one column, by its position (from 0) or name.
    ///
    /// # Errors
    ///
    /// If there is no such column, or its value can't be read into `T`.
    pub fn get<'r, T: Decode<'r>>(&'r self, index: impl ColumnIndex) -> Result<T> {
        self.as_row_ref()?.get(index)
    }

    /// The bytes of one column as the server sent them, or `None` for NULL.
    ///
    /// # Errors
    ///
    /// If there is no such column.
    pub fn raw(&self, index: impl ColumnIndex) -> Result<Option<&[u8]>> {
        self.as_row_ref()?.raw(index)
    }

    /// The bytes of one column as the server sent them, or `None` for NULL, without a copy:
    /// they share the row's memory and keep it alive. For a `bytea` they are its value.
    ///
    /// # Errors
    ///
    /// If there is no such column.
    ///
    /// # Example
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> kornak::Result<()> {
    /// # let url = xtask::server::Server::for_tests().url();
    /// # let mut connection = kornak::Connection::connect(&url).await?;
    /// let row: kornak::Row = connection
    ///     .fetch_one("select decode(repeat('ab', 100000), 'hex') as image", ())
    ///     .await?;
    /// let image: Option<bytes::Bytes> = row.bytes("image")?;
    /// drop(row);
    /// assert_eq!(image.unwrap(), vec![0xab; 100_000]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn bytes(&self, index: impl ColumnIndex) -> Result<Option<Bytes>> {
        let value = self.raw(index)?;
        Ok(value.map(|value| self.body.slice_ref(value)))
    }

    /// Reads the values in their order.
    ///
    /// # Errors
    ///
    /// None in practice: the row was checked when it was made.
    pub fn cursor(&self) -> Result<RowCursor<'_>> {
        Ok(self.as_row_ref()?.cursor())
    }

    /// Reads the whole row into `T`.
    ///
    /// # Errors
    ///
    /// If a column is missing, has another type, or its value can't be read.
    pub fn read<'r, T: FromRow<'r>>(&'r self) -> Result<T> {
        self.as_row_ref()?.read()
    }

    fn as_row_ref(&self) -> Result<RowRef<'_>> {
        RowRef::new(&self.columns, RowBytes::shared(&self.body))
    }
}

impl<'r> FromRow<'r> for Row {
    const SHARES_ROWS: bool = true;

    fn plan(_: &Columns) -> Result<Plan> {
        Ok(Plan::in_order())
    }

    fn from_row(row: RowRef<'r>, _: &Plan) -> Result<Self> {
        row.to_row()
    }
}

impl fmt::Debug for Row {
    /// Shows the names and types of the columns. Values are the application's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}
