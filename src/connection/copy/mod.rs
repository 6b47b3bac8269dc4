//! COPY: raw bytes and typed rows, in and out, with back-pressure.
//!
//! Source: manual, "COPY", "COPY Operations" of "Message Flow"; the server's
//! `commands/copy.c`, `copyfromparse.c`, `copyto.c`.

mod binary;
mod input;
mod output;
mod rows_in;
mod rows_out;
mod statement;

pub use self::input::CopyIn;
pub use self::output::CopyOut;
pub use self::rows_in::CopyInRows;
pub use self::rows_out::CopyOutRows;
pub use self::statement::CopyTable;

use crate::error::{Error, Result};
use crate::statement::{is_copy, quote_identifier};

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
    /// The name as SQL.
    fn to_sql(self) -> Result<String> {
        let table = quote_identifier(self.table)?;
        Ok(match self.schema {
            Some(schema) => format!("{}.{table}", quote_identifier(schema)?),
            None => table,
        })
    }
}

/// The names of columns as SQL.
fn column_list(columns: &[&str]) -> Result<String> {
    if columns.is_empty() {
        return Err(Error::usage("COPY of no columns"));
    }
    let quoted: Vec<String> = columns
        .iter()
        .map(|column| quote_identifier(column))
        .collect::<Result<_>>()?;
    Ok(quoted.join(", "))
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
