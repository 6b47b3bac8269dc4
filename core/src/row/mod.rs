//! Rows: visited in place ([`RowRef`]), owned ([`Row`]), or read into the caller's own types
//! ([`FromRow`]).

mod column;
mod column_type;
mod cursor;
mod fields;
mod from_columns;
mod from_row;
#[doc(hidden)]
pub mod internals;
mod owned;
mod plan;
mod scalar;

pub use self::column::{Column, ColumnIndex, Columns};
pub use self::column_type::ColumnType;
pub use self::cursor::{RowCursor, RowRef};
pub use self::fields::Fields;
pub use self::fields::ReadFields;
pub use self::from_columns::{FromColumns, begin_row, finish_row, plan_row, read_row};
pub use self::from_row::{FromRow, Scalar};
pub use self::owned::Row;
pub use self::plan::{Plan, PlanBuilder};
pub use self::plan::{Plans, Reading, VisitPlans};
