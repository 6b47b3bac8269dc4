//! Nobody watches: nothing is done, and nothing is kept.

use crate::connection::Connection;
use crate::error::{Error, Result};

/// An operation that nobody watches.
#[derive(Debug)]
pub(crate) struct Observation;

impl Observation {
    #[inline(always)]
    pub(crate) fn start(_: &Connection, _: &str) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn start_as(_: &Connection, _: Option<&'static str>, _: &str) -> Self {
        Self
    }

    /// The operation itself.
    #[inline(always)]
    pub(crate) fn watch<T, E, F: Future<Output = Result<T, E>>>(
        self,
        operation: F,
        _: impl Fn(&T) -> Option<u64>,
        _: impl Fn(&E) -> &Error,
    ) -> F {
        operation
    }

    #[inline(always)]
    pub(crate) fn end(&mut self, _: Result<Option<u64>, &Error>) {}
}
