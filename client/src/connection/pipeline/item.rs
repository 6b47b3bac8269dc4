//! The statements of a pipeline: [`one`], [`optional`], [`all`], [`exec`].

use std::marker::PhantomData;
use std::sync::Arc;

use crate::connection::cold::Learning;
use crate::connection::sinks::{self, Collector, Ignore, Reply, server_error};
use crate::error::{Error, Outcome, Result};
use crate::params::Params;
use crate::row::FromRow;
use crate::statement::Prepared;

/// A statement of a pipeline, made by [`one`], [`optional`], [`all`] or [`exec`].
///
/// The trait is sealed.
pub trait Item: sealed::Item {}

impl<I: sealed::Item> Item for I {}

/// A statement that returns exactly one row, made by [`one`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a statement of a pipeline runs when the pipeline does"]
pub struct One<'q, T, P> {
    sql: &'q str,
    params: P,
    row: PhantomData<fn() -> T>,
}

/// A statement that returns one row or none, made by [`optional`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a statement of a pipeline runs when the pipeline does"]
pub struct Optional<'q, T, P> {
    sql: &'q str,
    params: P,
    row: PhantomData<fn() -> T>,
}

/// A statement all of whose rows are kept, made by [`all`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a statement of a pipeline runs when the pipeline does"]
pub struct All<'q, T, P> {
    sql: &'q str,
    params: P,
    row: PhantomData<fn() -> T>,
}

/// A statement whose rows are counted, made by [`exec`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a statement of a pipeline runs when the pipeline does"]
pub struct Exec<'q, P> {
    sql: &'q str,
    params: P,
}

/// A query that returns exactly one row, as
/// [`fetch_one`](super::super::Connection::fetch_one), for a pipeline.
pub fn one<T: for<'r> FromRow<'r>>(sql: &str, params: impl Params) -> One<'_, T, impl Params> {
    One {
        sql,
        params,
        row: PhantomData,
    }
}

/// A query that returns one row or none, as
/// [`fetch_optional`](super::super::Connection::fetch_optional), for a pipeline.
pub fn optional<T: for<'r> FromRow<'r>>(
    sql: &str,
    params: impl Params,
) -> Optional<'_, T, impl Params> {
    Optional {
        sql,
        params,
        row: PhantomData,
    }
}

/// A query all of whose rows are kept, as [`fetch_all`](super::super::Connection::fetch_all), for a
/// pipeline.
pub fn all<T: for<'r> FromRow<'r>>(sql: &str, params: impl Params) -> All<'_, T, impl Params> {
    All {
        sql,
        params,
        row: PhantomData,
    }
}

/// A statement whose affected rows are counted, as [`execute`](super::super::Connection::execute),
/// for a pipeline.
pub fn exec(sql: &str, params: impl Params) -> Exec<'_, impl Params> {
    Exec { sql, params }
}

/// What is known of one statement while its pipeline runs.
pub struct Slot<C> {
    pub(super) collector: C,
    pub(super) state: State,
}

#[derive(Default)]
pub struct State {
    pub(super) prepared: Option<Arc<Prepared>>,
    /// Some where the statement is described in the flight that runs it.
    pub(super) learning: Option<Box<Learning>>,
    pub(super) reply: Reply,
}

impl<C: Collector> Slot<C> {
    pub(super) fn new<I: Item<Collector = C>>(item: &I) -> Self {
        Self {
            collector: item.collector(),
            state: State::default(),
        }
    }

    /// What became of the statement.
    #[inline]
    pub(super) fn finish<I: Item<Collector = C>>(&mut self, item: &I) -> Result<I::Output> {
        let reply = &mut self.state.reply;
        if reply.error.is_some() || reply.failure.is_some() {
            return Err(reply.take_error().with_sql(item.sql()));
        }
        item.finish(&mut self.collector, reply.rows)
            .map_err(|error| completed(error).with_sql(item.sql()))
    }
}

impl Reply {
    /// The server's error, or else this side's own.
    #[cold]
    fn take_error(&mut self) -> Error {
        match (self.error.take(), self.failure.take()) {
            (Some(error), _) => server_error(*error),
            (None, Some(failure)) => completed(failure),
            (None, None) => Error::usage("the statement has not failed"),
        }
    }
}

/// The failure of this side at a statement that the server has completed; one that was never
/// sent says so already.
#[cold]
fn completed(error: Error) -> Error {
    match error.outcome() {
        Outcome::Unknown => error.with_outcome(Outcome::Completed),
        _ => error,
    }
}

impl<T: for<'r> FromRow<'r>, P: Params> sealed::Item for One<'_, T, P> {
    type Collector = sinks::One<T>;
    type Output = T;

    fn sql(&self) -> &str {
        self.sql
    }

    fn params(&self) -> impl Params {
        &self.params
    }

    fn any_params(&self) -> &dyn Params {
        &self.params
    }

    fn collector(&self) -> Self::Collector {
        sinks::One::new()
    }

    fn finish(&self, collector: &mut Self::Collector, _: u64) -> Result<T> {
        collector.take_one()
    }
}

impl<T: for<'r> FromRow<'r>, P: Params> sealed::Item for Optional<'_, T, P> {
    type Collector = sinks::One<T>;
    type Output = Option<T>;

    fn sql(&self) -> &str {
        self.sql
    }

    fn params(&self) -> impl Params {
        &self.params
    }

    fn any_params(&self) -> &dyn Params {
        &self.params
    }

    fn collector(&self) -> Self::Collector {
        sinks::One::new()
    }

    fn finish(&self, collector: &mut Self::Collector, _: u64) -> Result<Option<T>> {
        collector.take_optional()
    }
}

impl<T: for<'r> FromRow<'r>, P: Params> sealed::Item for All<'_, T, P> {
    type Collector = sinks::All<T>;
    type Output = Vec<T>;

    fn sql(&self) -> &str {
        self.sql
    }

    fn params(&self) -> impl Params {
        &self.params
    }

    fn any_params(&self) -> &dyn Params {
        &self.params
    }

    fn collector(&self) -> Self::Collector {
        sinks::All::new()
    }

    fn finish(&self, collector: &mut Self::Collector, _: u64) -> Result<Vec<T>> {
        Ok(std::mem::take(&mut collector.rows))
    }
}

impl<P: Params> sealed::Item for Exec<'_, P> {
    type Collector = Ignore;
    type Output = u64;

    fn sql(&self) -> &str {
        self.sql
    }

    fn params(&self) -> impl Params {
        &self.params
    }

    fn any_params(&self) -> &dyn Params {
        &self.params
    }

    fn collector(&self) -> Ignore {
        Ignore
    }

    fn finish(&self, _: &mut Ignore, rows: u64) -> Result<u64> {
        Ok(rows)
    }
}

pub(super) mod sealed {
    use crate::connection::sinks::Collector;
    use crate::error::Result;
    use crate::params::Params;

    #[expect(unnameable_types, reason = "that is what seals the trait")]
    pub trait Item {
        type Collector: Collector;
        type Output;

        fn sql(&self) -> &str;
        fn params(&self) -> impl Params;
        /// The same without their type.
        fn any_params(&self) -> &dyn Params;
        fn collector(&self) -> Self::Collector;
        /// The result of a statement that the server has completed.
        fn finish(&self, collector: &mut Self::Collector, rows: u64) -> Result<Self::Output>;
    }
}
