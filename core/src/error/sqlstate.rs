//! The codes of the server's errors.

use std::fmt;
use std::str::FromStr;

use super::{Error, Result};

/// A five-character SQLSTATE code (manual, appendix "PostgreSQL Error Codes").
///
/// Every condition of PostgreSQL 15 and 18 has a constant of its name. Where the SQL
/// standard uses one name in several classes, the one among the data exceptions (class 22)
/// keeps it and the others begin with their class: [`Self::NULL_VALUE_NOT_ALLOWED`] is
/// 22004, [`Self::EXTERNAL_ROUTINE_INVOCATION_EXCEPTION_NULL_VALUE_NOT_ALLOWED`] is 39004.
///
/// # Example
///
/// ```
/// use kornak::error::SqlState;
///
/// let code: SqlState = "23505".parse()?;
/// assert_eq!(code, SqlState::UNIQUE_VIOLATION);
/// assert_eq!(code.name(), Some("unique_violation"));
/// assert_eq!(code.class(), "23");
/// # Ok::<(), kornak::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SqlState([u8; 5]);

impl SqlState {
    /// The code that `bytes` spell: five digits or upper-case letters of ASCII, and nothing
    /// else.
    ///
    /// # Example
    ///
    /// ```
    /// use kornak::error::SqlState;
    ///
    /// assert_eq!(SqlState::from_bytes(b"40P01"), Some(SqlState::DEADLOCK_DETECTED));
    /// assert_eq!(SqlState::from_bytes(b"40p01"), None);
    /// ```
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let code: [u8; 5] = bytes.try_into().ok()?;
        code.iter()
            .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
            .then_some(Self(code))
    }

    /// The five characters.
    ///
    /// # Example
    ///
    /// ```
    /// assert_eq!(kornak::error::SqlState::SERIALIZATION_FAILURE.code(), "40001");
    /// ```
    pub fn code(&self) -> &str {
        // Every way to make one checks that it is ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The first two characters, which tell the class of the condition: `08` connection
    /// exceptions, `23` integrity constraint violations, `40` transaction rollbacks …
    ///
    /// # Example
    ///
    /// ```
    /// assert_eq!(kornak::error::SqlState::NOT_NULL_VIOLATION.class(), "23");
    /// ```
    pub fn class(&self) -> &str {
        self.code().get(..2).unwrap_or_default()
    }

    /// PostgreSQL's name of the condition, which PL/pgSQL knows too; none for a code that
    /// it does not define, as an extension or a function may raise.
    ///
    /// # Example
    ///
    /// ```
    /// use kornak::error::SqlState;
    ///
    /// assert_eq!(SqlState::UNDEFINED_TABLE.name(), Some("undefined_table"));
    /// assert_eq!(SqlState::from_bytes(b"ZZ999").and_then(|code| code.name()), None);
    /// ```
    pub fn name(&self) -> Option<&'static str> {
        let index = Self::CONDITIONS
            .binary_search_by_key(self, |(code, _)| *code)
            .ok()?;
        Some(Self::CONDITIONS[index].1)
    }
}

impl Default for SqlState {
    fn default() -> Self {
        Self::SUCCESSFUL_COMPLETION
    }
}

impl FromStr for SqlState {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::from_bytes(text.as_bytes()).ok_or_else(|| {
            Error::usage(format!(
                "{text:?} is no SQLSTATE: five digits or upper-case letters"
            ))
        })
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "SqlState({self} {name})"),
            None => write!(f, "SqlState({self})"),
        }
    }
}

/// Makes the constants, and the table for [`SqlState::name`], which is in order of the
/// codes.
macro_rules! conditions {
    ($($constant:ident, $code:literal, $name:literal, $class:literal;)*) => {
        impl super::SqlState {
            $(
                #[doc = concat!("`", $code, "`, `", $name, "` (", $class, ").")]
                pub const $constant: Self = Self::literal($code);
            )*

            pub(in crate::error) const CONDITIONS: &[(Self, &'static str)] = &[$((Self::$constant, $name),)*];
        }
    };
}
pub(super) use conditions;

impl SqlState {
    /// A code of the generated table.
    pub(super) const fn literal(code: &str) -> Self {
        match code.as_bytes() {
            [a, b, c, d, e] => Self([*a, *b, *c, *d, *e]),
            _ => panic!("a SQLSTATE has five characters"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_in_order_and_found_by_code() {
        assert!(SqlState::CONDITIONS.is_sorted_by(|a, b| a.0 < b.0));
        for (code, name) in SqlState::CONDITIONS {
            assert_eq!(code.name(), Some(*name));
            assert_eq!(code.code().parse::<SqlState>().unwrap(), *code);
        }
    }

    #[test]
    fn only_digits_and_capitals_are_codes() {
        for text in ["", "2350", "235055", "2350a", "2350é", "23 05", "23\0\0\0"] {
            assert_eq!(SqlState::from_bytes(text.as_bytes()), None, "{text:?}");
            assert!(text.parse::<SqlState>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_code_shows_itself_and_its_name() {
        let code = SqlState::UNDEFINED_TABLE;
        assert_eq!(format!("{code}|{code:>7}"), "42P01|  42P01");
        assert_eq!(format!("{code:?}"), "SqlState(42P01 undefined_table)");
        let other = SqlState::from_bytes(b"ZZ999").unwrap();
        assert_eq!(format!("{other:?}"), "SqlState(ZZ999)");
    }
}
