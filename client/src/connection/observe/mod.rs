//! What an operation shows of itself to whoever watches the application: with the feature
//! `tracing` a span, with `metrics` measurements, and with neither nothing, at no cost.

#[cfg(not(any(feature = "tracing", feature = "metrics")))]
mod off;
#[cfg(any(feature = "tracing", feature = "metrics"))]
mod on;
#[cfg(any(feature = "tracing", feature = "metrics"))]
#[cfg_attr(
    not(feature = "tracing"),
    allow(dead_code, reason = "measurements don't hold texts")
)]
mod text;

#[cfg(not(any(feature = "tracing", feature = "metrics")))]
pub(crate) use self::off::{Observation, Vantage};
#[cfg(any(feature = "tracing", feature = "metrics"))]
pub(crate) use self::on::{Observation, Place, Vantage};
#[cfg(feature = "tracing")]
pub(crate) use self::on::{connecting, notice};

use super::Connection;
use super::sinks::Collector;
use super::timer::Limit;
use crate::error::Result;
use crate::params::Params;

/// What is run that isn't one statement of the caller's.
pub(crate) const PIPELINE: &str = "PIPELINE";

/// Connects, and nobody watches.
#[cfg(not(feature = "tracing"))]
pub(crate) fn connecting<F>(_: &crate::config::ResolvedConfig, connecting: F) -> F {
    connecting
}

impl Connection {
    /// [`run`](Connection::run), watched.
    #[inline]
    pub(super) fn run_watched<'a, P: Params, C: Collector>(
        &'a mut self,
        sql: &'a str,
        params: &'a P,
        collector: &'a mut C,
        limit: Limit,
    ) -> impl Future<Output = Result<u64>> + 'a {
        let observation = Observation::start(self, sql);
        observation.watch(
            self.run(sql, params, collector, limit),
            |rows| Some(*rows),
            |error| error,
        )
    }
}
