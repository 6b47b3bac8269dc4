//! [`CopyTable`]: a COPY statement with its names and options quoted.

use super::{TableName, push_columns};
use crate::error::Result;
use crate::statement::quote_literal;

/// A COPY of a table, written as a statement for [`copy_in`](super::super::Connection::copy_in) and
/// [`copy_out`](super::super::Connection::copy_out): whatever names and options contain, they are
/// quoted.
///
/// # Example
///
/// ```
/// # fn main() -> kornak::Result<()> {
/// use kornak::connection::CopyTable;
///
/// let users = CopyTable::new("users").columns(&["id", "name"]).csv().header(true).null("-");
/// assert_eq!(
///     users.to_stdout()?,
///     r#"copy "users" ("id", "name") to stdout (format csv, header true, null '-')"#
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it becomes a statement by `from_stdin` or `to_stdout`"]
pub struct CopyTable<'n> {
    table: TableName<'n>,
    columns: Vec<&'n str>,
    /// Names that are keywords, and values.
    options: Vec<(&'static str, Value<'n>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value<'n> {
    Keyword(&'static str),
    Text(&'n str),
    Character(char),
}

impl<'n> CopyTable<'n> {
    /// All columns of a table, in the text format unless told otherwise.
    pub fn new(table: impl Into<TableName<'n>>) -> Self {
        Self {
            table: table.into(),
            columns: Vec::new(),
            options: Vec::new(),
        }
    }

    /// Only these columns, in this order.
    pub fn columns(mut self, columns: &[&'n str]) -> Self {
        self.columns = columns.to_vec();
        self
    }

    /// Comma-separated values.
    pub fn csv(self) -> Self {
        self.with("format", Value::Keyword("csv"))
    }

    /// The binary format (manual, "COPY", "Binary Format").
    pub fn binary(self) -> Self {
        self.with("format", Value::Keyword("binary"))
    }

    /// What separates the columns.
    pub fn delimiter(self, delimiter: char) -> Self {
        self.with("delimiter", Value::Character(delimiter))
    }

    /// What stands for NULL.
    pub fn null(self, null: &'n str) -> Self {
        self.with("null", Value::Text(null))
    }

    /// Whether the first line has the names of the columns.
    pub fn header(self, header: bool) -> Self {
        self.with(
            "header",
            Value::Keyword(if header { "true" } else { "false" }),
        )
    }

    /// What values are quoted with, in comma-separated values.
    pub fn quote(self, quote: char) -> Self {
        self.with("quote", Value::Character(quote))
    }

    /// What stands before a quote within a quoted value.
    pub fn escape(self, escape: char) -> Self {
        self.with("escape", Value::Character(escape))
    }

    /// The encoding of the data, without which it is UTF-8.
    pub fn encoding(self, encoding: &'n str) -> Self {
        self.with("encoding", Value::Text(encoding))
    }

    /// The statement that takes data in.
    ///
    /// # Errors
    ///
    /// If a name is empty, or a name or an option contains NUL.
    pub fn from_stdin(&self) -> Result<String> {
        self.to_sql(" from stdin")
    }

    /// The statement that gives data out.
    ///
    /// # Errors
    ///
    /// As [`from_stdin`](Self::from_stdin).
    pub fn to_stdout(&self) -> Result<String> {
        self.to_sql(" to stdout")
    }

    /// The last word on an option is what counts.
    fn with(mut self, name: &'static str, value: Value<'n>) -> Self {
        self.options.retain(|(known, _)| *known != name);
        self.options.push((name, value));
        self
    }

    fn to_sql(&self, direction: &str) -> Result<String> {
        let mut sql = String::from("copy ");
        self.table.push_to(&mut sql)?;
        if !self.columns.is_empty() {
            sql += " (";
            push_columns(&mut sql, &self.columns)?;
            sql += ")";
        }
        sql += direction;
        for (index, (name, value)) in self.options.iter().enumerate() {
            sql += if index == 0 { " (" } else { ", " };
            sql += name;
            sql += " ";
            match value {
                Value::Keyword(keyword) => sql += keyword,
                Value::Text(text) => sql += &quote_literal(text)?,
                Value::Character(character) => {
                    sql += &quote_literal(character.encode_utf8(&mut [0; 4]))?;
                }
            }
        }
        if !self.options.is_empty() {
            sql += ")";
        }
        Ok(sql)
    }
}
