//! [`PipelineError`]: what went wrong, and with which of many statements.

use std::fmt;

use crate::error::Error;

/// The first failure among several statements or items, and where it was.
///
/// It turns into an [`Error`] by `?`.
#[derive(Debug)]
pub struct PipelineError {
    index: Option<u64>,
    error: Error,
}

impl PipelineError {
    pub(super) fn new(index: Option<u32>, error: Error) -> Self {
        Self::at(index.map(u64::from), error)
    }

    pub(in crate::connection) fn at(index: Option<u64>, error: Error) -> Self {
        Self { index, error }
    }

    /// Names the statement, where the failure is one of an item.
    pub(in crate::connection) fn with_sql(self, sql: &str) -> Self {
        match self.index {
            Some(_) => Self {
                error: self.error.with_sql(sql),
                ..self
            },
            None => self,
        }
    }

    /// The statement's place in the pipeline, or the item's among those given, counted from
    /// 0; `None` for what befell all of them: a COMMIT that failed, a lost connection, the
    /// deadline.
    pub fn index(&self) -> Option<u64> {
        self.index
    }

    /// What went wrong.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// What went wrong, without the place.
    pub fn into_error(self) -> Error {
        self.error
    }
}

/// The failure of the statement at an index.
#[cold]
pub(super) fn at((index, error): (u32, Error)) -> PipelineError {
    PipelineError::new(Some(index), error)
}

impl From<Error> for PipelineError {
    fn from(error: Error) -> Self {
        Self { index: None, error }
    }
}

impl From<PipelineError> for Error {
    fn from(error: PipelineError) -> Self {
        error.error
    }
}

impl fmt::Display for PipelineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(index) = self.index {
            write!(f, "at index {index}: ")?;
        }
        fmt::Display::fmt(&self.error, f)
    }
}

impl std::error::Error for PipelineError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}
