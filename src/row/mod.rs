//! Rows: visited in place ([`RowRef`]), owned ([`Row`]), or read into the caller's own types
//! ([`FromRow`]).

mod column;
mod column_type;
mod cursor;
mod from_columns;
mod from_row;
pub(crate) mod internals;
mod owned;
mod plan;
mod scalar;

pub use self::column::{Column, ColumnIndex, Columns};
#[doc(hidden)]
pub use self::column_type::ColumnType;
pub use self::cursor::{RowCursor, RowRef};
#[doc(hidden)]
pub use self::from_columns::{FromColumns, plan_row, read_row};
pub use self::from_row::{FromRow, Scalar};
pub use self::owned::Row;
pub(crate) use self::plan::Plans;
pub use self::plan::{Fields, Plan, PlanBuilder};
