//! [`FromRow`]: what a row can be read into.

use super::column::Columns;
use super::cursor::RowRef;
use super::plan::{Plan, PlanBuilder};
use crate::codec::Decode;
use crate::error::Result;

/// A type that a row can be read into: a struct that derives it, a tuple by position, or a
/// scalar for results of one column.
///
/// The verbs that return rows need `T: for<'r> FromRow<'r>`, a type that owns its values;
/// structs that borrow are read where rows are visited in place
/// ([`RowRef::read`], `Connection::for_each`).
#[diagnostic::on_unimplemented(
    message = "a row can't be read into `{Self}`",
    label = "not a row",
    note = "derive `kornak::FromRow` for a struct; read scalars as their Rust type and several columns as a tuple",
    note = "a struct that borrows (`&str`, `&[u8]`) can only be read in `for_each`, where the row is visited in place"
)]
pub trait FromRow<'r>: Sized {
    /// Whether large rows are worth keeping in the memory in which they arrived.
    #[doc(hidden)]
    const SHARES_ROWS: bool = false;

    /// Works out, once for a statement, which column each field is read from, and checks
    /// the types.
    ///
    /// # Errors
    ///
    /// If a column is missing or has another type.
    fn plan(columns: &Columns) -> Result<Plan>;

    /// Reads a row.
    ///
    /// # Errors
    ///
    /// If a value can't be read.
    fn from_row(row: RowRef<'r>, plan: &Plan) -> Result<Self>;
}

/// A [`Decode`] type that also stands for a whole row of one column, so that
/// `fetch_one::<i64>("select count(*) …")` reads well.
///
/// Implemented for the scalars of this crate; the derive macro implements it for enums and
/// newtypes. Implement it for a type with a codec of your own: it is only a mark.
#[diagnostic::on_unimplemented(
    message = "a row can't be read into `{Self}`",
    label = "not a row",
    note = "derive `kornak::FromRow` for a struct; read scalars as their Rust type and several columns as a tuple"
)]
pub trait Scalar {}

#[diagnostic::do_not_recommend]
impl<'r, T: Decode<'r> + Scalar> FromRow<'r> for T {
    fn plan(columns: &Columns) -> Result<Plan> {
        let mut plan = PlanBuilder::new(columns);
        plan.positional::<T>()?;
        plan.finish_positional()
    }

    #[inline(always)]
    fn from_row(row: RowRef<'r>, _: &Plan) -> Result<Self> {
        let (mut cursor, others) = row.cursor_over(1)?;
        let value = cursor.read()?;
        cursor.finish_before(others)?;
        Ok(value)
    }
}

macro_rules! tuples {
    ($($(#[$doc:meta])* ($($name:ident)+))*) => {$(
        $(#[$doc])*
        impl<'r, $($name: Decode<'r>),+> FromRow<'r> for ($($name,)+) {
            fn plan(columns: &Columns) -> Result<Plan> {
                let mut plan = PlanBuilder::new(columns);
                $(plan.positional::<$name>()?;)+
                plan.finish_positional()
            }

            #[inline(always)]
            fn from_row(row: RowRef<'r>, _: &Plan) -> Result<Self> {
                const COUNT: usize = [$(stringify!($name)),+].len();
                let (mut cursor, others) = row.cursor_over(COUNT)?;
                let values = ($(cursor.read::<$name>()?,)+);
                cursor.finish_before(others)?;
                Ok(values)
            }
        }
    )*};
}

tuples! {
    (A)
    (A B)
    (A B C)
    (A B C D)
    (A B C D E)
    (A B C D E F)
    (A B C D E F G)
    (A B C D E F G H)
    (A B C D E F G H I)
    (A B C D E F G H I J)
    (A B C D E F G H I J K)
    (A B C D E F G H I J K L)
    (A B C D E F G H I J K L M)
    (A B C D E F G H I J K L M N)
    (A B C D E F G H I J K L M N O)
    (A B C D E F G H I J K L M N O P)
}
