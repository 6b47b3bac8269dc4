//! Rows out of nothing, for tests and benchmarks without a server.

use super::column::{Column, Columns};
use super::cursor::RowRef;
use crate::error::Result;
use crate::protocol::RowBytes;
use crate::types::Type;

/// The columns of a result, by name and type.
pub fn columns(columns: &[(&str, Type)]) -> Columns {
    let column = |(name, ty): &(&str, Type)| Column::new(name, ty.clone(), 0, 0, 0, -1);
    Columns::new(columns.iter().map(column).collect())
}

/// The row whose DataRow message has this body.
///
/// # Errors
///
/// If it hasn't as many values as there are columns.
pub fn row<'r>(columns: &'r Columns, body: &'r [u8]) -> Result<RowRef<'r>> {
    RowRef::new(columns, RowBytes::borrowed(body))
}
