//! Nobody watches: nothing is done, and nothing is kept.

use crate::connection::Connection;
use crate::error::{Error, Result};

/// An operation that nobody watches.
#[derive(Debug)]
pub(crate) struct Observation;

/// From where nobody watches.
#[derive(Debug)]
pub(crate) struct Vantage;

impl Vantage {
    #[inline(always)]
    pub(crate) fn of(_: &Connection) -> Self {
        Self
    }
}

impl Observation {
    #[inline(always)]
    pub(crate) fn start_from(_: &Vantage, _: &str) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn start(_: &Connection, _: &str) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn start_as(_: &Connection, _: Option<&'static str>, _: &str) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn start_batch(_: &Connection, _: &str) -> Self {
        Self
    }

    /// The part itself.
    #[inline(always)]
    pub(crate) fn within<F>(&self, part: F) -> F {
        part
    }

    /// The beginning itself.
    #[inline(always)]
    pub(crate) fn open<T, E, F: Future<Output = Result<T, E>>>(
        self,
        opening: F,
        _: impl FnOnce(&mut T, Self),
        _: impl FnOnce(&E) -> &Error,
    ) -> F {
        opening
    }

    #[inline(always)]
    pub(crate) fn note_batch(&mut self, _: u64) {}

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
