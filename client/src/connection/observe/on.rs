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

/// From where an operation is watched that has no connection to itself.
#[derive(Debug)]
pub(crate) struct Vantage(std::sync::Arc<Place>);

impl Vantage {
    pub(crate) fn of(connection: &Connection) -> Self {
        Self(std::sync::Arc::clone(&connection.place))
    }
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

    /// A statement of the caller's begins, on a connection that others use, too.
    #[inline]
    pub(crate) fn start_from(vantage: &Vantage, sql: &str) -> Self {
        Self::start_at(&vantage.0, text::operation(sql), sql)
    }

    /// A statement of the caller's begins, which is run for many items.
    pub(crate) fn start_batch(connection: &Connection, sql: &str) -> Self {
        Self::start_as(connection, Some(text::batch(sql)), sql)
    }

    /// Something begins that isn't one statement.
    #[inline]
    pub(crate) fn start_as(
        connection: &Connection,
        operation: Option<&'static str>,
        sql: &str,
    ) -> Self {
        Self::start_at(&connection.place, operation, sql)
    }

    fn start_at(place: &std::sync::Arc<Place>, operation: Option<&'static str>, sql: &str) -> Self {
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
                db.operation.batch.size = Empty,
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
        let result = self.within(operation).await;
        match &result {
            Ok(value) => self.end(Ok(rows(value))),
            Err(cause) => self.end(Err(error(cause))),
        }
        result
    }

    /// A part of the operation, in its span.
    pub(crate) fn within<F: Future>(&self, part: F) -> impl Future<Output = F::Output> + use<F> {
        #[cfg(feature = "tracing")]
        let part = part.instrument(self.span.clone());
        part
    }

    /// Runs the beginning of an operation within its span. What has begun keeps the observation.
    pub(crate) async fn open<T, E>(
        mut self,
        opening: impl Future<Output = Result<T, E>>,
        keep: impl FnOnce(&mut T, Self),
        error: impl FnOnce(&E) -> &Error,
    ) -> Result<T, E> {
        let mut result = self.within(opening).await;
        match &mut result {
            Ok(begun) => keep(begun, self),
            Err(cause) => self.end(Err(error(cause))),
        }
        result
    }

    /// How many items it was for. A batch of one is none.
    pub(crate) fn note_batch(&mut self, items: u64) {
        #[cfg(feature = "tracing")]
        if items > 1 {
            self.span.record("db.operation.batch.size", items);
        }
        #[cfg(not(feature = "tracing"))]
        let _ = items;
    }

    /// The operation has ended, with so many rows or with an error.
    pub(crate) fn end(&mut self, result: Result<Option<u64>, &Error>) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        match result {
            Ok(rows) => {
                // The tag of any other command counts what it has changed.
                let returns = matches!(
                    self.operation,
                    Some("COPY" | "FETCH" | "SELECT" | "TABLE" | "VALUES")
                );
                self.note_success(rows.filter(|_| returns));
            }
            Err(error) => {
                self.note_failure(&error_type(error), error.sqlstate().is_some());
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

/// Connects within a span of its own: to which server is known when there is only one, or when
/// it has been found.
#[cfg(feature = "tracing")]
pub(crate) async fn connecting(
    config: &ResolvedConfig,
    connecting: impl Future<Output = Result<Connection>>,
) -> Result<Connection> {
    let span = tracing::info_span!(
        target: "kornak",
        "connect",
        otel.kind = "client",
        otel.name = "connect",
        otel.status_code = Empty,
        db.system.name = "postgresql",
        db.namespace = config.dbname(),
        server.address = Empty,
        server.port = Empty,
        db.response.status_code = Empty,
        error.type = Empty,
    );
    let note_place = |place: &Place| {
        span.record("server.address", &*place.address);
        span.record("server.port", place.port);
    };
    if let [host] = config.hosts() {
        note_place(&Place::new(host, config));
    }
    let result = connecting.instrument(span.clone()).await;
    match &result {
        Ok(connection) => note_place(&connection.place),
        Err(error) => {
            if let Some(state) = error.sqlstate() {
                span.record("db.response.status_code", state.code());
            }
            span.record("error.type", error_type(error));
            span.record("otel.status_code", "ERROR");
        }
    }
    result
}

/// The SQLSTATE of an error, or its kind.
fn error_type(error: &Error) -> String {
    match error.sqlstate() {
        Some(state) => state.code().to_owned(),
        None => format!("{:?}", error.kind()),
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
