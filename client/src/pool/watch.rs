//! [`Watch`]: what a pool shows of itself to whoever watches the application, under the names
//! of OpenTelemetry's conventions. Without the features `tracing` and `metrics` it does nothing.

use std::time::Duration;

#[cfg(feature = "tracing")]
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
#[cfg(feature = "tracing")]
use tracing::{Instrument, field::Empty};

use tokio::time::Instant;

use super::slots::Counts;
use crate::connection::Connection;
#[cfg(feature = "tracing")]
use crate::connection::observe::Place;
#[cfg(any(feature = "tracing", feature = "metrics"))]
use crate::error::Result;

pub(super) struct Watch {
    #[cfg(any(feature = "tracing", feature = "metrics"))]
    name: std::sync::Arc<str>,
    /// Who has which connection.
    #[cfg(feature = "tracing")]
    holders: Mutex<Vec<Holder>>,
}

#[cfg(feature = "tracing")]
struct Holder {
    connection: u64,
    since: Instant,
    place: Arc<Place>,
}

#[cfg_attr(
    not(any(feature = "tracing", feature = "metrics")),
    expect(
        clippy::unused_self,
        unused_variables,
        reason = "nobody watches without the features"
    )
)]
impl Watch {
    pub(super) fn new(name: &str) -> Self {
        #[cfg(feature = "metrics")]
        describe();
        Self {
            #[cfg(any(feature = "tracing", feature = "metrics"))]
            name: name.into(),
            #[cfg(feature = "tracing")]
            holders: Mutex::default(),
        }
    }

    /// Waits for a connection.
    #[cfg(not(any(feature = "tracing", feature = "metrics")))]
    #[inline]
    pub(super) fn waiting<W>(&self, waiting: W) -> W {
        waiting
    }

    /// Waits for a connection, in a span of its own.
    #[cfg(any(feature = "tracing", feature = "metrics"))]
    pub(super) async fn waiting<T>(&self, waiting: impl Future<Output = Result<T>>) -> Result<T> {
        #[cfg(feature = "metrics")]
        let begun = Instant::now();
        #[cfg(feature = "tracing")]
        let span = tracing::info_span!(
            target: "kornak::pool",
            "acquire",
            db.system.name = "postgresql",
            db.client.connection.pool.name = &*self.name,
            otel.status_code = Empty,
            error.type = Empty,
        );
        #[cfg(feature = "tracing")]
        let waiting = waiting.instrument(span.clone());
        let result = waiting.await;
        #[cfg(feature = "tracing")]
        if let Err(error) = &result {
            span.record("error.type", tracing::field::debug(error.kind()));
            span.record("otel.status_code", "ERROR");
        }
        #[cfg(feature = "metrics")]
        if result.is_ok() {
            self.waited(begun.elapsed());
        }
        result
    }

    /// Somebody has got a connection after so long.
    #[inline]
    pub(super) fn waited(&self, time: Duration) {
        #[cfg(feature = "metrics")]
        metrics::histogram!("db.client.connection.wait_time", self.labels())
            .record(time.as_secs_f64());
        #[cfg(not(feature = "metrics"))]
        let _ = time;
    }

    /// A connection was made in so long.
    pub(super) fn created(&self, time: Duration) {
        #[cfg(feature = "metrics")]
        metrics::histogram!("db.client.connection.create_time", self.labels())
            .record(time.as_secs_f64());
        #[cfg(not(feature = "metrics"))]
        let _ = time;
    }

    /// A connection is lent.
    #[inline]
    pub(super) fn lent(&self, connection: &Connection, now: Instant) {
        #[cfg(feature = "tracing")]
        self.holders().push(Holder {
            connection: connection.id(),
            since: now,
            place: Arc::clone(&connection.place),
        });
        #[cfg(not(feature = "tracing"))]
        let _ = (connection, now);
    }

    /// A connection has come back, which was lent `since`.
    #[inline]
    pub(super) fn returned(&self, connection: u64, since: Instant, now: Instant) {
        #[cfg(feature = "tracing")]
        self.holders()
            .retain(|holder| holder.connection != connection);
        #[cfg(feature = "metrics")]
        metrics::histogram!("db.client.connection.use_time", self.labels())
            .record(now.saturating_duration_since(since).as_secs_f64());
        let _ = (connection, since, now);
    }

    /// Somebody has waited in vain.
    pub(super) fn timed_out(&self) {
        #[cfg(feature = "metrics")]
        metrics::counter!("db.client.connection.timeouts", self.labels()).increment(1);
    }

    /// The numbers have changed.
    #[inline]
    pub(super) fn count(&self, counts: impl FnOnce() -> Counts) {
        #[cfg(feature = "metrics")]
        #[expect(clippy::cast_precision_loss, reason = "no pool has 2⁵² places")]
        {
            let counts = counts();
            let of_state = |state: &'static str| {
                let mut labels = self.labels();
                labels.push(metrics::Label::from_static_parts(
                    "db.client.connection.state",
                    state,
                ));
                metrics::gauge!("db.client.connection.count", labels)
            };
            let used = counts.open - counts.idle - counts.connecting;
            of_state("idle").set(counts.idle as f64);
            of_state("used").set(used as f64);
            metrics::gauge!("db.client.connection.max", self.labels()).set(counts.max as f64);
            metrics::gauge!("db.client.connection.pending_requests", self.labels())
                .set(counts.waiting as f64);
        }
        #[cfg(not(feature = "metrics"))]
        let _ = counts;
    }

    /// Who has had a connection for the longest: for how long, and what it does or did last, where
    /// spans tell.
    pub(super) fn longest_holder(&self) -> Option<(Duration, Option<Box<str>>)> {
        #[cfg(feature = "tracing")]
        {
            let holders = self.holders();
            let longest = holders.iter().min_by_key(|holder| holder.since)?;
            Some((longest.since.elapsed(), longest.place.activity()))
        }
        #[cfg(not(feature = "tracing"))]
        None
    }

    #[cfg(feature = "tracing")]
    fn holders(&self) -> MutexGuard<'_, Vec<Holder>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(feature = "metrics")]
    fn labels(&self) -> Vec<metrics::Label> {
        let name = metrics::SharedString::from_shared(std::sync::Arc::clone(&self.name));
        vec![metrics::Label::new("db.client.connection.pool.name", name)]
    }
}

/// Tells the recorder what is measured, and in which units.
#[cfg(feature = "metrics")]
fn describe() {
    use metrics::Unit::{Count, Seconds};
    metrics::describe_histogram!(
        "db.client.operation.duration",
        Seconds,
        "How long operations took."
    );
    metrics::describe_histogram!(
        "db.client.response.returned_rows",
        Count,
        "How many rows queries returned."
    );
    metrics::describe_gauge!(
        "db.client.connection.count",
        Count,
        "How many connections are idle and used."
    );
    metrics::describe_gauge!(
        "db.client.connection.max",
        Count,
        "How many connections may be open."
    );
    metrics::describe_gauge!(
        "db.client.connection.pending_requests",
        Count,
        "How many wait for a connection."
    );
    metrics::describe_counter!(
        "db.client.connection.timeouts",
        Count,
        "How many have waited in vain."
    );
    metrics::describe_histogram!(
        "db.client.connection.create_time",
        Seconds,
        "How long it took to make connections."
    );
    metrics::describe_histogram!(
        "db.client.connection.wait_time",
        Seconds,
        "How long it took to get connections."
    );
    metrics::describe_histogram!(
        "db.client.connection.use_time",
        Seconds,
        "How long connections were lent."
    );
}
