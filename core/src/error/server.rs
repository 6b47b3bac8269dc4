//! What the server said in an ErrorResponse or NoticeResponse
//! (manual, "Error and Notice Message Fields").

use std::fmt;

use super::SqlState;

/// An ErrorResponse or NoticeResponse of the server, owned.
///
/// Text that isn't UTF-8 (a server may report errors before the client encoding is
/// settled) is kept with replacement characters.
#[derive(Clone, Default)]
pub struct ServerError {
    pub(crate) severity: Severity,
    pub(crate) sqlstate: SqlState,
    pub(crate) message: Box<str>,
    pub(crate) detail: Option<Box<str>>,
    pub(crate) hint: Option<Box<str>>,
    pub(crate) position: Option<u32>,
    pub(crate) internal_position: Option<u32>,
    pub(crate) internal_query: Option<Box<str>>,
    pub(crate) context: Option<Box<str>>,
    pub(crate) schema: Option<Box<str>>,
    pub(crate) table: Option<Box<str>>,
    pub(crate) column: Option<Box<str>>,
    pub(crate) data_type: Option<Box<str>>,
    pub(crate) constraint: Option<Box<str>>,
    pub(crate) file: Option<Box<str>>,
    pub(crate) line: Option<u32>,
    pub(crate) routine: Option<Box<str>>,
}

/// The severity of a [`ServerError`], from its field `V`, which is never localized.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// The statement failed.
    #[default]
    Error,
    /// The session ends.
    Fatal,
    /// The whole server restarts.
    Panic,
    /// A warning.
    Warning,
    /// A notice.
    Notice,
    /// A message for debugging.
    Debug,
    /// An informational message.
    Info,
    /// A message of the server's log.
    Log,
}

macro_rules! text_fields {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        pub fn $name(&self) -> Option<&str> {
            self.$name.as_deref()
        }
    )*};
}

impl ServerError {
    /// What the server would say, where it need not be asked.
    #[doc(hidden)]
    pub fn new(sqlstate: SqlState, message: impl Into<Box<str>>) -> Self {
        Self {
            sqlstate,
            message: message.into(),
            ..Self::default()
        }
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// The five-character code.
    pub fn sqlstate(&self) -> SqlState {
        self.sqlstate
    }

    /// The primary message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where in the statement, in characters, counted from 1.
    pub fn position(&self) -> Option<u32> {
        self.position
    }

    /// Where in [`internal_query`](Self::internal_query), in characters, counted from 1.
    pub fn internal_position(&self) -> Option<u32> {
        self.internal_position
    }

    /// The line of the server's source that reported it.
    pub fn line(&self) -> Option<u32> {
        self.line
    }

    text_fields! {
        /// More about the problem. May contain the application's data.
        detail,
        /// What to do about it.
        hint,
        /// The internally generated command that failed, of a function for example.
        internal_query,
        /// The call stack of functions (the field `W`). May contain the application's data.
        context,
        /// The schema of the object.
        schema,
        /// The table.
        table,
        /// The column.
        column,
        /// The data type.
        data_type,
        /// The constraint.
        constraint,
        /// The file of the server's source that reported it.
        file,
        /// The routine of the server's source that reported it.
        routine,
    }

    /// The number of the parameter that the server could not read: where it was at when it
    /// failed, as `bind_param_error_callback` in the server's `postgres.c` says in English. What
    /// may follow is the parameter's value.
    pub(super) fn parameter(&self) -> Option<u16> {
        let line = self.context()?.lines().next_back()?;
        let (portal, rest) = line.split_once("parameter $")?;
        if !portal.starts_with("unnamed portal ") && !portal.starts_with("portal \"") {
            return None;
        }
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        rest[..end].parse().ok()
    }

    /// The fields that may carry the application's data.
    pub(super) fn write_private(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (label, text) in [
            ("DETAIL", self.detail()),
            ("QUERY", self.internal_query()),
            ("CONTEXT", self.context()),
        ] {
            if let Some(text) = text {
                write!(f, "\n{label}: {text}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Panic => "PANIC",
            Self::Warning => "WARNING",
            Self::Notice => "NOTICE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Log => "LOG",
        })
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.severity, self.sqlstate, self.message)
    }
}

impl fmt::Debug for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerError")
            .field("severity", &self.severity)
            .field("sqlstate", &self.sqlstate)
            .field("message", &self.message)
            .field("hint", &self.hint)
            .field("position", &self.position)
            .field("table", &self.table)
            .field("column", &self.column)
            .field("constraint", &self.constraint)
            .field("routine", &self.routine)
            .finish_non_exhaustive()
    }
}

/// How much of one line of SQL an error shows, in characters.
const EXCERPT_WIDTH: usize = 100;

/// Writes the line of `sql` that holds the character at `position` (from 1) with a caret
/// under it; without a position, the first line.
pub(super) fn write_excerpt(
    f: &mut fmt::Formatter<'_>,
    sql: &str,
    position: Option<u32>,
) -> fmt::Result {
    let at = position.and_then(|p| usize::try_from(p).ok()?.checked_sub(1));
    let mut line_start = 0;
    let mut line_number = 1;
    for (index, c) in sql.chars().enumerate() {
        if at.is_none_or(|at| index >= at) {
            break;
        }
        if c == '\n' {
            line_start = index + 1;
            line_number += 1;
        }
    }
    let column = at.map_or(0, |at| at - line_start.min(at));
    // A long line is shown around the caret.
    let skip = if column >= EXCERPT_WIDTH {
        column - EXCERPT_WIDTH / 2
    } else {
        0
    };
    let line = || {
        sql.chars()
            .skip(line_start)
            .take_while(|&c| c != '\n' && c != '\r')
    };
    let shown = || line().skip(skip).take(EXCERPT_WIDTH);
    let label = format!("LINE {line_number}: ");
    let (head, tail) = (
        if skip > 0 { "…" } else { "" },
        if line().nth(skip + EXCERPT_WIDTH).is_some() {
            "…"
        } else {
            ""
        },
    );
    write!(f, "\n{label}{head}")?;
    for c in shown() {
        // A control character would break the line up or reach the terminal.
        write!(f, "{}", if c.is_control() { ' ' } else { c })?;
    }
    f.write_str(tail)?;
    if at.is_some() {
        let indent = label.len() + head.chars().count() + column - skip;
        write!(f, "\n{:indent$}^", "")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_known_by_its_number_and_nothing_else_of_it_is_shown() {
        for (context, expected) in [
            ("unnamed portal parameter $1", Some(1)),
            ("unnamed portal parameter $12 = 'secret $3'", Some(12)),
            (
                "JSON data, line 1: {\nunnamed portal parameter $2 = '{'",
                Some(2),
            ),
            ("portal \"p\" parameter $65535", Some(65_535)),
            ("portal \"p\" parameter $65536", None),
            ("unnamed portal parameter $x", None),
            ("SQL function \"f\" parameter $1", None),
            ("unnamed portal with 2 parameters", None),
            ("", None),
        ] {
            let error = ServerError {
                context: Some(context.into()),
                ..ServerError::default()
            };
            assert_eq!(error.parameter(), expected, "{context}");
        }
        assert_eq!(ServerError::default().parameter(), None);
    }
}
