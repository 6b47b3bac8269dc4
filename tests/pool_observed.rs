//! What is shown to whoever watches the application: spans, events and measurements under
//! OpenTelemetry's names, and nothing secret.

#![cfg(all(feature = "tracing", feature = "metrics"))]

mod live;
mod pool_support;
mod support;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kornak::{ErrorKind, Pool, SqlState, all, one};
use live::{config, poll_once};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata,
    SharedString, Unit,
};
use pool_support::Tested;
use support::deadline::{GENEROUS, within};
use support::raw::unique;
use support::server;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use xtask::server::Role;

/// What a span or an event said.
#[derive(Clone, Debug, Default)]
struct Said {
    target: String,
    name: String,
    fields: BTreeMap<String, String>,
    level: Option<Level>,
    is_closed: bool,
}

/// Keeps all spans and events.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    spans: Vec<Said>,
    events: Vec<Said>,
}

impl Recorder {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The spans of operations whose text is `text`.
    fn queries(&self, text: &str) -> Vec<Said> {
        let heard = self.heard();
        let is_meant = |span: &&Said| span.field("db.query.text") == text;
        heard.spans.iter().filter(is_meant).cloned().collect()
    }

    /// Everything that was said, for a search.
    fn everything(&self) -> String {
        let heard = self.heard();
        let mut text = String::new();
        for said in heard.spans.iter().chain(&heard.events) {
            writeln!(text, "{said:?}").unwrap();
        }
        text
    }
}

impl Said {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields
            .insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields
            .insert(field.name().to_owned(), value.to_owned());
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("kornak")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let metadata = attributes.metadata();
        let mut said = Said {
            target: metadata.target().to_owned(),
            name: metadata.name().to_owned(),
            level: Some(*metadata.level()),
            ..Said::default()
        };
        attributes.record(&mut said);
        let mut heard = self.heard();
        heard.spans.push(said);
        Id::from_u64(heard.spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let index = span.into_u64() as usize - 1;
        values.record(&mut self.heard().spans[index]);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut said = Said {
            target: event.metadata().target().to_owned(),
            level: Some(*event.metadata().level()),
            ..Said::default()
        };
        event.record(&mut said);
        self.heard().events.push(said);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}

    fn try_close(&self, span: Id) -> bool {
        let index = span.into_u64() as usize - 1;
        self.heard().spans[index].is_closed = true;
        true
    }
}

/// Keeps all measurements, by name and labels.
#[derive(Clone, Default)]
struct Meter(Arc<Mutex<BTreeMap<String, Vec<f64>>>>);

struct Instrument(String, Meter);

impl Meter {
    fn key(&self, key: &Key) -> Arc<Instrument> {
        let mut name = key.name().to_owned();
        for label in key.labels() {
            write!(name, " {}={}", label.key(), label.value()).unwrap();
        }
        Arc::new(Instrument(name, self.clone()))
    }

    fn note(&self, name: &str, value: f64) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.entry(name.to_owned()).or_default().push(value);
    }

    /// The values of all instruments with this name and labels like these.
    fn values(&self, name: &str, labels: &[&str]) -> Vec<f64> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_meant = |key: &str| {
            let mut words = key.split(' ');
            words.next() == Some(name) && labels.iter().all(|label| key.contains(label))
        };
        let meant = noted.iter().filter(|(key, _)| is_meant(key));
        meant.flat_map(|(_, values)| values.clone()).collect()
    }

    fn everything(&self) -> String {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{noted:?}")
    }
}

impl CounterFn for Instrument {
    fn increment(&self, value: u64) {
        self.1.note(&self.0, value as f64);
    }

    fn absolute(&self, value: u64) {
        self.1.note(&self.0, value as f64);
    }
}

impl GaugeFn for Instrument {
    fn increment(&self, value: f64) {
        self.1.note(&self.0, value);
    }

    fn decrement(&self, value: f64) {
        self.1.note(&self.0, -value);
    }

    fn set(&self, value: f64) {
        self.1.note(&self.0, value);
    }
}

impl HistogramFn for Instrument {
    fn record(&self, value: f64) {
        self.1.note(&self.0, value);
    }
}

impl metrics::Recorder for Meter {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.key(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.key(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.key(key))
    }
}

const A_SHORT_WHILE: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_query_is_a_span_with_the_names_of_opentelemetry() {
    let recorder = Recorder::default();
    let _guard = tracing::subscriber::set_default(recorder.clone());
    let tested = Tested::of(1, |builder| builder);
    let sql = "select a, 'x' from generate_series($1::int, 3) a";
    let shown = "select a, ? from generate_series($1::int, ?) a";
    let expected = [
        ("otel.kind", "client"),
        ("otel.name", "SELECT"),
        ("db.system.name", "postgresql"),
        ("db.operation.name", "SELECT"),
        ("db.response.returned_rows", "3"),
        ("db.response.status_code", ""),
        ("error.type", ""),
    ];
    let mut connection = tested.acquire().await;
    let rows: Vec<(i32, String)> = connection.fetch_all(sql, (1,)).await.unwrap();
    assert_eq!(rows.len(), 3);
    let mut stream = connection.fetch::<(i32, String)>(sql, (1,)).await.unwrap();
    while stream.next().await.unwrap().is_some() {}
    drop(stream);
    drop(connection);
    tested.pool.for_each(sql, (1,), |_| ()).await.unwrap();
    let spans = recorder.queries(shown);
    assert_eq!(spans.len(), 3);
    for span in spans {
        for (name, value) in expected {
            assert_eq!(span.field(name), value, "{name}: {span:?}");
        }
        assert_eq!(span.target, "kornak");
        assert_eq!(span.field("db.namespace"), server::target().database);
        assert!(!span.field("server.address").is_empty());
        assert!(span.is_closed);
    }
    // Of what a command has changed nothing is said to be returned.
    tested
        .pool
        .execute("create temp table t as select generate_series(1, 3)", ())
        .await
        .unwrap();
    let span = &recorder.queries("create temp table t as select generate_series(?, ?)")[0];
    assert_eq!(span.field("db.response.returned_rows"), "");
    assert_eq!(span.field("db.operation.name"), "CREATE");

    let mut connection = tested.acquire().await;
    let both = (one::<i32>("select 10", ()), all::<i32>("select 20", ()));
    connection.pipeline(both).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    transaction
        .batch_execute("select 1; select 2")
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    let heard = recorder.heard();
    for operation in ["PIPELINE", "COMMIT"] {
        let is_meant = |span: &Said| span.field("otel.name") == operation;
        assert!(heard.spans.iter().any(is_meant), "{operation}");
    }
}

#[tokio::test]
async fn what_fails_or_is_dropped_says_so_in_its_span_and_its_duration() {
    let recorder = Recorder::default();
    let _guard = tracing::subscriber::set_default(recorder.clone());
    let meter = Meter::default();
    let _meter = metrics::set_default_local_recorder(&meter);
    let tested = Tested::of(1, |builder| builder);
    let mut connection = tested.acquire().await;
    connection.execute("select 1 / 0", ()).await.unwrap_err();
    let span = &recorder.queries("select ? / ?")[0];
    assert_eq!(span.field("db.response.status_code"), "22012");
    assert_eq!(span.field("error.type"), "22012");
    assert_eq!(span.field("otel.status_code"), "ERROR");

    let sleep = connection
        .query("select pg_sleep(600)")
        .timeout(A_SHORT_WHILE);
    sleep.execute().await.unwrap_err();
    let span = &recorder.queries("select pg_sleep(?)")[0];
    assert_eq!(span.field("error.type"), "Timeout");
    assert_eq!(span.field("db.response.status_code"), "");

    let mut dropped = Box::pin(connection.execute("select pg_sleep(600), 1", ()));
    assert!(poll_once(&mut dropped).is_pending());
    drop(dropped);
    let span = &recorder.queries("select pg_sleep(?), ?")[0];
    assert_eq!(span.field("error.type"), "cancelled");

    let mut rows = connection
        .fetch::<i32>("select generate_series(1, 1000) + 1", ())
        .await
        .unwrap();
    rows.next().await.unwrap();
    drop(rows);
    let span = &recorder.queries("select generate_series(?, ?) + ?")[0];
    assert_eq!(span.field("error.type"), "cancelled");

    let duration = "db.client.operation.duration";
    for (error, count) in [("22012", 1), ("Timeout", 1), ("cancelled", 2)] {
        let label = format!("error.type={error}");
        let values = meter.values(duration, &[&label, "db.operation.name=SELECT"]);
        assert_eq!(values.len(), count, "{error}");
    }
}

#[tokio::test]
async fn s31_nothing_secret_is_shown_to_whoever_watches() {
    let recorder = Recorder::default();
    let _guard = tracing::subscriber::set_default(recorder.clone());
    let meter = Meter::default();
    let _meter = metrics::set_default_local_recorder(&meter);
    let secret = format!("sesame{}", unique().replace('-', ""));
    let table = format!("kornak_{}", unique().replace('-', "_"));
    let tested = Tested::of(1, |builder| builder);
    let pool = &tested.pool;
    let mut connection = tested.acquire().await;
    let text = secret.as_str();
    connection
        .execute(&format!("create temp table {table} (a text unique)"), ())
        .await
        .unwrap();
    // Bound, in a literal, in a script, in the DETAIL of an error, and as a wrong value.
    let insert = format!("insert into {table} values ($1)");
    connection.execute(&insert, (text,)).await.unwrap();
    let error = connection.execute(&insert, (text,)).await.unwrap_err();
    assert!(format!("{error:#}").contains(text), "it is in the DETAIL");
    let _: String = connection
        .fetch_one(&format!("select '{secret}' /* {secret} */"), ())
        .await
        .unwrap();
    connection
        .execute(&format!("select '{secret}'::int"), ())
        .await
        .unwrap_err();
    connection
        .execute("select $1::text::int", (text,))
        .await
        .unwrap_err();
    connection
        .batch_execute(&format!("set kornak.secret = E'{secret}'; select 1"))
        .await
        .unwrap();
    let mut rows = connection
        .fetch::<String>("select $1::text", (text,))
        .await
        .unwrap();
    assert_eq!(rows.next().await.unwrap().as_deref(), Some(text));
    drop(rows);
    drop(connection);
    let listing = (one::<String>("select $1::text || 'x'", (text,)),);
    pool.pipeline(listing).await.unwrap();

    // The password, right and wrong, of the configuration and of a provider.
    let target = server::role_target(Role::Scram);
    let password = target.password.clone().expect("a password");
    let right = Pool::builder().build(config(&target)).unwrap();
    right.execute("select 1", ()).await.unwrap();
    let wrong = secret.clone();
    let refused = Pool::builder()
        .credential_provider(move || {
            let wrong = wrong.clone();
            async move { Ok(wrong.into()) }
        })
        .build(config(&target))
        .unwrap();
    let error = refused.execute("select 1", ()).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::INVALID_PASSWORD));

    let shown = recorder.everything() + &meter.everything();
    assert!(shown.contains("23505"), "the error itself is shown");
    assert!(!shown.contains(&secret), "{shown}");
    assert!(!shown.contains(&password), "{shown}");
}

#[tokio::test]
async fn notices_are_events() {
    let recorder = Recorder::default();
    let _guard = tracing::subscriber::set_default(recorder.clone());
    let tested = Tested::of(1, |builder| builder);
    let mut connection = tested.acquire().await;
    let heard = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&heard);
    connection.on_notice(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let raise = "do $$ begin raise warning using message = 'careful', detail = 'hidden', \
                 errcode = '01234'; raise notice 'look'; end $$";
    connection.execute(raise, ()).await.unwrap();
    assert_eq!(
        heard.load(Ordering::Relaxed),
        2,
        "the callback has them, too"
    );
    let heard = recorder.heard();
    let events: Vec<_> = heard
        .events
        .iter()
        .filter(|event| event.target == "kornak::notice")
        .map(|event| {
            let code = event.field("db.response.status_code");
            (event.level, event.field("message"), code)
        })
        .collect();
    assert_eq!(
        events,
        [
            (Some(Level::WARN), "careful", "01234"),
            (Some(Level::INFO), "look", "00000"),
        ]
    );
}

#[tokio::test]
async fn a_timeout_names_what_the_longest_holder_does() {
    let recorder = Recorder::default();
    let _guard = tracing::subscriber::set_default(recorder.clone());
    let tested = Tested::of(2, |builder| {
        builder
            .name("orders")
            .acquire_timeout(Some(A_SHORT_WHILE * 4))
    });
    let mut first = tested.acquire().await;
    let mut second = tested.acquire().await;
    second.execute("select 2", ()).await.unwrap();
    first
        .execute("select 'secret' from generate_series(1, 1)", ())
        .await
        .unwrap();
    let error = tested.pool.acquire().await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PoolTimeout);
    let message = error.to_string();
    assert!(
        message.contains("2 of 2 are busy, the longest for"),
        "{message}"
    );
    assert!(
        message.contains("with \"select ? from generate_series(?, ?)\""),
        "{message}"
    );
    {
        let heard = recorder.heard();
        let waits: Vec<_> = heard
            .spans
            .iter()
            .filter(|span| span.target == "kornak::pool" && span.name == "acquire")
            .collect();
        let last = waits.last().expect("a wait");
        assert_eq!(last.field("db.client.connection.pool.name"), "orders");
        assert_eq!(last.field("error.type"), "PoolTimeout");
    }
    // Who has given it back holds nothing.
    drop(first);
    let held = tested.acquire().await;
    let message = tested
        .pool
        .acquire()
        .await
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(message.contains("with \"select ?\""), "{message}");
    drop((held, second));
}

#[tokio::test]
async fn a_pool_is_measured_by_the_names_of_opentelemetry() {
    let meter = Meter::default();
    let _meter = metrics::set_default_local_recorder(&meter);
    let tested = Tested::of(1, |builder| {
        builder
            .name("orders")
            .acquire_timeout(Some(A_SHORT_WHILE * 10))
    });
    let pool = ["db.client.connection.pool.name=orders"];
    tested.pool.execute("select 1", ()).await.unwrap();
    let held = tested.acquire().await;
    let last = |name: &str, label: &str| {
        let values = meter.values(name, &[pool[0], label]);
        values.last().copied()
    };
    assert_eq!(last("db.client.connection.count", "state=used"), Some(1.0));
    assert_eq!(last("db.client.connection.count", "state=idle"), Some(0.0));
    assert_eq!(last("db.client.connection.max", ""), Some(1.0));
    let mut waiting = Box::pin(tested.pool.acquire());
    assert!(poll_once(&mut waiting).is_pending());
    assert_eq!(last("db.client.connection.pending_requests", ""), Some(1.0));
    let error = within(GENEROUS, "the timeout", waiting).await;
    assert!(error.is_err());
    assert_eq!(last("db.client.connection.pending_requests", ""), Some(0.0));
    assert_eq!(last("db.client.connection.timeouts", ""), Some(1.0));
    drop(held);
    assert_eq!(last("db.client.connection.count", "state=idle"), Some(1.0));
    let count = |name: &str| meter.values(name, &pool).len();
    assert_eq!(count("db.client.connection.create_time"), 1);
    assert_eq!(count("db.client.connection.wait_time"), 2);
    assert_eq!(count("db.client.connection.use_time"), 2);
    let durations = meter.values(
        "db.client.operation.duration",
        &["db.operation.name=SELECT", "db.system.name=postgresql"],
    );
    assert_eq!(durations.len(), 1);
    let rows = meter.values("db.client.response.returned_rows", &[]);
    assert_eq!(rows, [1.0]);
}

#[tokio::test]
async fn nobody_is_told_anything_who_does_not_watch() {
    struct Deaf;
    impl Subscriber for Deaf {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            false
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            panic!("a span that is disabled is not made")
        }
        fn record(&self, _: &Id, _: &Record<'_>) {
            panic!("nor recorded")
        }
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &Event<'_>) {
            panic!("nor an event")
        }
        fn enter(&self, _: &Id) {
            panic!("nor entered")
        }
        fn exit(&self, _: &Id) {}
    }
    let _guard = tracing::subscriber::set_default(Deaf);
    let tested = Tested::of(1, |builder| builder);
    tested.pool.execute("select 1", ()).await.unwrap();
    let raise = "do $$ begin raise notice 'look'; end $$";
    tested.pool.execute(raise, ()).await.unwrap();
    // Nobody is told what the longest holder does, either.
    let tested = Tested::of(1, |builder| {
        builder.acquire_timeout(Some(A_SHORT_WHILE * 4))
    });
    let mut held = tested.acquire().await;
    held.execute("select 1", ()).await.unwrap();
    let message = tested
        .pool
        .acquire()
        .await
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(!message.contains("the longest"), "{message}");
}
