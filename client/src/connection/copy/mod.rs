//! COPY: raw bytes and typed rows, in and out, with back-pressure.
//!
//! Source: manual, "COPY", "COPY Operations" of "Message Flow"; the server's
//! `commands/copy.c`, `copyfromparse.c`, `copyto.c`.

mod binary;
mod input;
mod opening;
mod output;
mod rows_in;
mod rows_out;
mod statement;

pub use self::input::CopyIn;
pub(super) use self::opening::RowsIn;
pub use self::output::CopyOut;
pub use self::rows_in::CopyInRows;
pub use self::rows_out::CopyOutRows;
pub use self::statement::CopyTable;

use crate::error::{Error, Result};
use crate::statement::{is_copy, push_identifier};

/// The name of a table: `"users"`, or `("app", "users")` with its schema.
///
/// Names are quoted: they are taken as they are, case and all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TableName<'n> {
    schema: Option<&'n str>,
    table: &'n str,
}

impl<'n> From<&'n str> for TableName<'n> {
    fn from(table: &'n str) -> Self {
        Self {
            schema: None,
            table,
        }
    }
}

impl<'n> From<(&'n str, &'n str)> for TableName<'n> {
    fn from((schema, table): (&'n str, &'n str)) -> Self {
        Self {
            schema: Some(schema),
            table,
        }
    }
}

impl TableName<'_> {
    /// Appends the name to `sql`.
    fn push_to(self, sql: &mut String) -> Result<()> {
        if let Some(schema) = self.schema {
            push_identifier(sql, schema)?;
            sql.push('.');
        }
        push_identifier(sql, self.table)
    }
}

/// Appends the names of columns to `sql`.
fn push_columns(sql: &mut String, columns: &[&str]) -> Result<()> {
    if columns.is_empty() {
        return Err(Error::usage("COPY of no columns"));
    }
    for (index, column) in columns.iter().enumerate() {
        if index > 0 {
            sql.push_str(", ");
        }
        push_identifier(sql, column)?;
    }
    Ok(())
}

/// Refuses what isn't a COPY before it is sent, because the server would run it.
fn check_is_copy(sql: &str) -> Result<()> {
    if is_copy(sql) {
        Ok(())
    } else {
        Err(Error::usage("the statement is not a COPY").with_sql(sql))
    }
}

/// What is said where the server did something else than was asked for.
#[cold]
fn wrong_direction(wanted: &str) -> Error {
    Error::usage(format!("the statement is not a {wanted}"))
}
