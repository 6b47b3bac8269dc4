//! [`FromColumns`]: what some columns of a row can be read into.

use super::column::{Column, Columns};
use super::cursor::{RowCursor, RowRef};
use super::fields::{ReadFields, Route};
use super::plan::{Plan, PlanBuilder};
use crate::error::Result;

/// A struct that is read from columns by their names, be they a whole row or a part of it.
///
/// Implemented by `#[derive(FromRow)]` for structs with named fields; `flatten` needs it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be flattened into a row",
    label = "not read from columns by name",
    note = "`flatten` takes structs with named fields that derive `kornak::FromRow`, and `Option`s of them"
)]
#[doc(hidden)]
pub trait FromColumns<'r>: Sized {
    /// How many fields are read from columns.
    const COUNT: usize;

    /// Adds the fields to a plan, in the order in which they are read.
    ///
    /// # Errors
    ///
    /// If a column is missing or has another type.
    fn plan_columns(plan: &mut PlanBuilder<'_>) -> Result<()>;

    /// Reads the fields.
    ///
    /// # Errors
    ///
    /// If a value can't be read.
    fn read_columns(fields: &mut impl ReadFields<'r>) -> Result<Self>;
}

/// `None` where all columns are NULL: the side of an outer join that has no row.
impl<'r, T: FromColumns<'r>> FromColumns<'r> for Option<T> {
    const COUNT: usize = T::COUNT;

    fn plan_columns(plan: &mut PlanBuilder<'_>) -> Result<()> {
        T::plan_columns(plan)
    }

    #[inline]
    fn read_columns(fields: &mut impl ReadFields<'r>) -> Result<Self> {
        if fields.skip_nulls(T::COUNT)? {
            Ok(None)
        } else {
            T::read_columns(fields).map(Some)
        }
    }
}

/// The plan of a row that is read into `T` by name.
///
/// # Errors
///
/// Those of [`FromColumns::plan_columns`].
#[doc(hidden)]
pub fn plan_row<'r, T: FromColumns<'r>>(columns: &Columns) -> Result<Plan> {
    let mut plan = PlanBuilder::new(columns);
    T::plan_columns(&mut plan)?;
    Ok(plan.finish())
}

/// Reads a whole row by the plan of [`plan_row`].
///
/// # Errors
///
/// Those of [`FromColumns::read_columns`], and a row that doesn't end where its columns end.
#[inline]
#[doc(hidden)]
pub fn read_row<'r, T: FromColumns<'r>>(row: RowRef<'r>, plan: &Plan) -> Result<T> {
    match plan.sources() {
        None => {
            let (mut cursor, others) = row.cursor_over(T::COUNT)?;
            let value = T::read_columns(&mut cursor)?;
            cursor.finish_before(others)?;
            Ok(value)
        }
        Some(sources) => read_routed(sources, row.cursor()),
    }
}

#[inline(never)]
fn read_routed<'r, T: FromColumns<'r>>(sources: &[u16], cursor: RowCursor<'r>) -> Result<T> {
    T::read_columns(&mut Route::new(sources, cursor)?)
}

/// A cursor over the first `count` columns of a row, and the columns behind them.
///
/// # Errors
///
/// If there are fewer.
#[inline(always)]
#[doc(hidden)]
pub fn begin_row<'r>(row: RowRef<'r>, count: usize) -> Result<(RowCursor<'r>, &'r [Column])> {
    row.cursor_over(count)
}

/// Ends what [`begin_row`] began, when its columns have been read.
///
/// # Errors
///
/// If the row doesn't end where its columns end.
#[inline(always)]
#[doc(hidden)]
pub fn finish_row<'r>(cursor: RowCursor<'r>, others: &'r [Column]) -> Result<()> {
    cursor.finish_before(others)
}
