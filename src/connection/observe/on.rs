//! What an operation shows of itself: a span of `tracing`, and measurements by `metrics`, under
//! the names of OpenTelemetry's conventions for database clients. Nothing of it can be secret:
//! no values, no literals of the SQL, no messages of the server.

#[cfg(feature = "metrics")]
use std::sync::Arc;
use std::sync::Mutex;

#[cfg(feature = "tracing")]
use tracing::{Instrument, Span, field::Empty};

use super::text;
use crate::config::{Endpoint, ResolvedConfig};
use crate::connection::Connection;
use crate::error::{Error, Result};

/// Which server and database a connection is to.
#[derive(Debug, Default)]
pub(crate) struct Place {
    address: std::sync::Arc<str>,
    port: Option<u16>,
    namespace: std::sync::Arc<str>,
    /// What is done on the connection now, or was last.
    #[cfg(feature = "tracing")]
    activity: Mutex<Option<Box<str>>>,
    /// One for each operation that has succeeded on the connection.
    #[cfg(feature = "metrics")]
    meters: Mutex<Vec<Meter>>,
}

/// What is measured of the operations of one name that succeed. It is kept, because to name it
/// anew for each operation would allocate.
#[cfg(feature = "metrics")]
#[derive(Debug)]
struct Meter {
    operation: Option<&'static str>,
    duration: metrics::Histogram,
    rows: metrics::Histogram,
}

/// An operation under way. One that is dropped before it has ended was cancelled.
#[derive(Debug)]
pub(crate) struct Observation {
    operation: Option<&'static str>,
    #[cfg(feature = "tracing")]
    span: Span,
    #[cfg(feature = "metrics")]
    begun: tokio::time::Instant,
    #[cfg(feature = "metrics")]
    place: Arc<Place>,
    has_ended: bool,
}

impl Place {
    pub(crate) fn new(host: &Endpoint, config: &ResolvedConfig) -> Self {
        Self {
            address: host.host().to_string().into(),
            port: (!host.is_unix()).then(|| host.port()),
            namespace: config.dbname().into(),
            #[cfg(feature = "tracing")]
            activity: Mutex::default(),
            #[cfg(feature = "metrics")]
            meters: Mutex::default(),
        }
    }

    /// A name for what the connection does, in a few words.
    #[cfg(feature = "tracing")]
    pub(crate) fn activity(&self) -> Option<Box<str>> {
        lock(&self.activity).clone()
    }

    #[cfg(feature = "tracing")]
    fn set_activity(&self, sql: &str) {
        let text = text::sanitized(sql);
        let end = text.char_indices().nth(MAX_ACTIVITY);
        let text = end.map_or(&*text, |(end, _)| &text[..end]);
        *lock(&self.activity) = Some(text.trim().into());
    }
}

/// Nothing panics under these locks but for a lack of memory.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(feature = "metrics")]
const DURATION: &str = "db.client.operation.duration";

#[cfg(feature = "metrics")]
const RETURNED_ROWS: &str = "db.client.response.returned_rows";

/// How much of a statement names it, in characters.
#[cfg(feature = "tracing")]
const MAX_ACTIVITY: usize = 80;

impl Observation {
    /// A statement of the caller's begins.
    #[inline]
    pub(crate) fn start(connection: &Connection, sql: &str) -> Self {
        Self::start_as(connection, text::operation(sql), sql)
    }

    /// Something begins that isn't one statement.
    #[inline]
    pub(crate) fn start_as(
        connection: &Connection,
        operation: Option<&'static str>,
        sql: &str,
    ) -> Self {
        let place = &connection.place;
        #[cfg(feature = "tracing")]
        let span = {
            let span = tracing::info_span!(
                target: "kornak",
                "query",
                otel.kind = "client",
                otel.name = operation.unwrap_or("query"),
                otel.status_code = Empty,
                db.system.name = "postgresql",
                db.namespace = &*place.namespace,
                db.operation.name = operation,
                db.query.text = &*text::sanitized(sql),
                server.address = &*place.address,
                server.port = place.port,
                db.response.status_code = Empty,
                db.response.returned_rows = Empty,
                error.type = Empty,
            );
            if !span.is_disabled() {
                place.set_activity(sql);
            }
            span
        };
        #[cfg(not(feature = "tracing"))]
        let _ = sql;
        Self {
            operation,
            #[cfg(feature = "tracing")]
            span,
            #[cfg(feature = "metrics")]
            begun: tokio::time::Instant::now(),
            #[cfg(feature = "metrics")]
            place: Arc::clone(place),
            has_ended: false,
        }
    }

    /// Runs the operation within its span. `rows` says how many rows came of it.
    pub(crate) async fn watch<T, E>(
        mut self,
        operation: impl Future<Output = Result<T, E>>,
        rows: impl Fn(&T) -> Option<u64>,
        error: impl Fn(&E) -> &Error,
    ) -> Result<T, E> {
        #[cfg(feature = "tracing")]
        let operation = operation.instrument(self.span.clone());
        let result = operation.await;
        match &result {
            Ok(value) => self.end(Ok(rows(value))),
            Err(cause) => self.end(Err(error(cause))),
        }
        result
    }

    /// The operation has ended, with so many rows or with an error.
    pub(crate) fn end(&mut self, result: Result<Option<u64>, &Error>) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        match result {
            Ok(rows) => {
                // The tag of any other command counts what it has changed.
                let returns = matches!(self.operation, Some("SELECT" | "TABLE" | "VALUES"));
                self.note_success(rows.filter(|_| returns));
            }
            Err(error) => {
                let state = error.sqlstate();
                let kind;
                let name = match &state {
                    Some(state) => state.code(),
                    None => {
                        kind = format!("{:?}", error.kind());
                        &kind
                    }
                };
                self.note_failure(name, state.is_some());
            }
        }
    }

    fn note_success(&self, rows: Option<u64>) {
        #[cfg(feature = "tracing")]
        if let Some(rows) = rows {
            self.span.record("db.response.returned_rows", rows);
        }
        #[cfg(feature = "metrics")]
        {
            let mut meters = lock(&self.place.meters);
            let known = meters
                .iter()
                .position(|meter| meter.operation == self.operation);
            let place = known.unwrap_or_else(|| {
                meters.push(Meter {
                    operation: self.operation,
                    duration: metrics::histogram!(DURATION, self.labels(None)),
                    rows: metrics::histogram!(RETURNED_ROWS, self.labels(None)),
                });
                meters.len() - 1
            });
            let meter = &meters[place];
            meter.duration.record(self.begun.elapsed().as_secs_f64());
            if let Some(rows) = rows {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "a histogram has coarser buckets"
                )]
                meter.rows.record(rows as f64);
            }
        }
    }

    fn note_error(&self, name: &str, is_of_server: bool) {
        #[cfg(feature = "tracing")]
        {
            if is_of_server {
                self.span.record("db.response.status_code", name);
            }
            self.span.record("error.type", name);
            self.span.record("otel.status_code", "ERROR");
        }
        #[cfg(not(feature = "tracing"))]
        let _ = (name, is_of_server);
    }

    fn note_failure(&self, name: &str, is_of_server: bool) {
        self.note_error(name, is_of_server);
        #[cfg(feature = "metrics")]
        metrics::histogram!(DURATION, self.labels(Some(name)))
            .record(self.begun.elapsed().as_secs_f64());
    }

    #[cfg(feature = "metrics")]
    fn labels(&self, error: Option<&str>) -> Vec<metrics::Label> {
        let shared = |text: &Arc<str>| metrics::SharedString::from_shared(Arc::clone(text));
        let mut labels = vec![
            metrics::Label::from_static_parts("db.system.name", "postgresql"),
            metrics::Label::new("db.namespace", shared(&self.place.namespace)),
            metrics::Label::new("server.address", shared(&self.place.address)),
        ];
        if let Some(port) = self.place.port {
            labels.push(metrics::Label::new("server.port", port.to_string()));
        }
        if let Some(operation) = self.operation {
            labels.push(metrics::Label::from_static_parts(
                "db.operation.name",
                operation,
            ));
        }
        if let Some(error) = error {
            labels.push(metrics::Label::new("error.type", error.to_owned()));
        }
        labels
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        if !self.has_ended {
            self.note_failure("cancelled", false);
        }
    }
}

/// Shows a notice of the server: its severity, SQLSTATE and message, as
/// [`Connection::on_notice`] has them.
#[cfg(feature = "tracing")]
pub(crate) fn notice(notice: &crate::error::ServerError) {
    use crate::error::Severity;
    let state = notice.sqlstate();
    let code = state.code();
    let message = notice.message();
    match notice.severity() {
        Severity::Warning => tracing::event!(
            target: "kornak::notice",
            tracing::Level::WARN,
            { db.response.status_code = code },
            "{message}"
        ),
        Severity::Debug | Severity::Log => tracing::event!(
            target: "kornak::notice",
            tracing::Level::DEBUG,
            { db.response.status_code = code },
            "{message}"
        ),
        _ => tracing::event!(
            target: "kornak::notice",
            tracing::Level::INFO,
            { db.response.status_code = code },
            "{message}"
        ),
    }
}
