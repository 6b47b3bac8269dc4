//! The codes of the server's errors.

use std::fmt;

/// A five-character SQLSTATE code (manual, appendix "PostgreSQL Error Codes").
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState([u8; 5]);

impl SqlState {
    /// x
    pub const UNDEFINED_FUNCTION: Self = Self(*b"42883");
    /// x
    pub const INVALID_SQL_STATEMENT_NAME: Self = Self(*b"26000");
    /// x
    pub const FEATURE_NOT_SUPPORTED: Self = Self(*b"0A000");
    /// x
    pub const IN_FAILED_SQL_TRANSACTION: Self = Self(*b"25P02");
    /// x
    pub const CANNOT_CONNECT_NOW: Self = Self(*b"57P03");
    /// x
    pub const TOO_MANY_CONNECTIONS: Self = Self(*b"53300");
    /// x
    pub const ADMIN_SHUTDOWN: Self = Self(*b"57P01");
    /// x
    pub const INVALID_AUTHORIZATION_SPECIFICATION: Self = Self(*b"28000");

    /// 00000
    pub const SUCCESSFUL_COMPLETION: Self = Self(*b"00000");
    /// 40001
    pub const SERIALIZATION_FAILURE: Self = Self(*b"40001");
    /// 40P01
    pub const DEADLOCK_DETECTED: Self = Self(*b"40P01");
    /// XX000
    pub const INTERNAL_ERROR: Self = Self(*b"XX000");

    /// The code that the server sent, if it is one: five digits or upper-case letters.
    pub(crate) fn from_bytes(code: &[u8]) -> Option<Self> {
        let code: [u8; 5] = code.try_into().ok()?;
        code.iter()
            .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
            .then_some(Self(code))
    }
}

impl Default for SqlState {
    fn default() -> Self {
        Self::SUCCESSFUL_COMPLETION
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).unwrap_or("?????"))
    }
}
impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqlState({self})")
    }
}
