//! Rows: visited in place ([`RowRef`]), owned ([`Row`]), or read into the caller's own types
//! ([`FromRow`]).

mod column;
mod cursor;
mod from_row;
mod owned;
mod plan;
mod scalar;

pub use self::column::{Column, ColumnIndex, Columns};
pub use self::cursor::{RowCursor, RowRef};
pub use self::from_row::{FromRow, Scalar};
pub use self::owned::Row;
pub(crate) use self::plan::Plans;
pub use self::plan::{Fields, Plan, PlanBuilder};
