//! What is shown to whoever watches the application: spans, events and measurements under
//! OpenTelemetry's names, and nothing secret.

#![cfg(all(feature = "tracing", feature = "metrics"))]

mod bulk;
#[path = "../live/mod.rs"]
mod live;
#[path = "../pool_support/mod.rs"]
mod pool_support;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kornak::{ErrorKind, Pool, SqlState, all, one};
use live::{config, poll_once};
use pool_support::Tested;
use pool_support::watching::{Meter, Recorder, Said};
use support::deadline::{GENEROUS, within};
use support::raw::unique;
use support::server;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use xtask::server::Role;

const A_SHORT_WHILE: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_query_is_a_span_with_the_names_of_opentelemetry() {
    let (recorder, _guard) = Recorder::install();
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
        assert!(span.is_closed());
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
    let three = [(); 3].map(|()| one::<i32>("select 10", ()));
    connection.pipeline_each(three).await.unwrap();
    let single = (one::<i32>("select 10", ()),);
    connection.pipeline(single).await.unwrap();
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
    let sizes = heard.spans.iter().filter_map(|span| {
        let is_meant = span.field("otel.name") == "PIPELINE";
        is_meant.then(|| span.field("db.operation.batch.size").to_owned())
    });
    // One is no batch.
    assert_eq!(sizes.collect::<Vec<_>>(), ["2", "3", ""]);
}

/// What is expected of a span: its operation, its text, its rows and the size of its batch.
type Shown<'t> = (&'t str, &'t str, &'t str, &'t str);

/// That there is exactly one such span, and that its operation was measured.
fn check_shown(recorder: &Recorder, meter: &Meter, expected: &[Shown<'_>]) {
    for &(operation, text, rows, batch) in expected {
        let spans = recorder.queries(text);
        let spans: Vec<_> = spans
            .iter()
            .filter(|span| span.field("db.operation.name") == operation)
            .collect();
        let [span] = spans[..] else {
            panic!("{operation} {text}: {spans:?}");
        };
        for (name, value) in [
            ("otel.name", operation),
            ("otel.kind", "client"),
            ("otel.status_code", ""),
            ("db.system.name", "postgresql"),
            ("db.namespace", &server::target().database),
            ("db.response.returned_rows", rows),
            ("db.operation.batch.size", batch),
            ("error.type", ""),
        ] {
            assert_eq!(span.field(name), value, "{name}: {span:?}");
        }
        assert!(!span.field("server.address").is_empty());
        assert!(span.is_closed(), "{span:?}");
        let label = format!("db.operation.name={operation}");
        let durations = meter.values("db.client.operation.duration", &[&label]);
        assert!(!durations.is_empty(), "{operation}");
    }
}

#[tokio::test]
async fn statements_that_share_a_connection_are_shown_and_measured_one_by_one() {
    let (recorder, _guard) = Recorder::install();
    let meter = Meter::default();
    let _meter = metrics::set_default_local_recorder(&meter);
    let tested = Tested::of(1, |builder| builder.queue_statements(8));
    let sql = "select g / $1::int4 from generate_series(0, $2::int4) g";
    let warm: Vec<i32> = tested.pool.fetch_all(sql, (1, 0)).await.unwrap();
    assert_eq!(warm, [0]);
    let held = tested.acquire().await;
    let tasks: Vec<_> = (0..6)
        .map(|task| {
            let pool = tested.pool.clone();
            tokio::spawn(async move { pool.fetch_all::<i32>(sql, (task, 2)).await })
        })
        .collect();
    live::eventually("all waiting", async || tested.pool.status().waiting == 6).await;
    drop(held);
    for (task, joined) in (0..).zip(tasks) {
        let rows = within(GENEROUS, "a task", joined).await.unwrap();
        match rows {
            Ok(rows) => assert_eq!(rows, [0, 1, 2].map(|row| row / task)),
            Err(error) => assert_eq!(
                (task, error.sqlstate()),
                (0, Some(SqlState::DIVISION_BY_ZERO))
            ),
        }
    }
    let spans = recorder.queries("select g / $1::int4 from generate_series(?, $2::int4) g");
    assert_eq!(spans.len(), 7);
    let count = |name: &str, value: &str| {
        let meant = spans.iter().filter(|span| span.field(name) == value);
        meant.count()
    };
    assert_eq!(count("db.operation.name", "SELECT"), 7);
    assert_eq!(count("db.response.returned_rows", "3"), 5);
    assert_eq!(count("db.response.status_code", "22012"), 1);
    assert!(spans.iter().all(Said::is_closed), "{spans:?}");
    let label = "db.operation.name=SELECT";
    let durations = meter.values("db.client.operation.duration", &[label]);
    assert_eq!(durations.len(), 7);
    tested.at_rest().await;
}

#[tokio::test]
async fn what_fails_or_is_dropped_says_so_in_its_span_and_its_duration() {
    let (recorder, _guard) = Recorder::install();
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
    let (recorder, _guard) = Recorder::install();
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
    let mut connection = tested.acquire().await;
    connection
        .execute("create temp table hidden (a text)", ())
        .await
        .unwrap();
    let items = [(text,), (text,)];
    connection
        .execute_many("insert into hidden values ($1)", items)
        .await
        .unwrap();
    let mut copy = connection.copy_in("copy hidden from stdin").await.unwrap();
    copy.send(format!("{secret}\n").as_bytes()).await.unwrap();
    copy.finish().await.unwrap();
    let mut copy = connection.copy_in_rows("hidden", &["a"]).await.unwrap();
    copy.send((text,)).await.unwrap();
    copy.finish().await.unwrap();
    let wrong = format!("copy hidden from stdin (format csv, delimiter '{secret}')");
    connection.copy_in(&wrong).await.unwrap_err();
    let query = format!("select a from hidden where a <> '{secret} '");
    let mut rows = connection.copy_out_rows::<String>(&query).await.unwrap();
    assert_eq!(rows.next().await.unwrap().as_deref(), Some(text));
    drop(rows);
    let mut transaction = connection.begin().await.unwrap();
    let mut portal = transaction
        .portal::<String>("select $1::text", (text,))
        .await
        .unwrap();
    portal.fetch(&mut transaction, 1).await.unwrap();
    transaction.rollback().await.unwrap();
    connection.notify("hidden", text).await.unwrap();
    drop(connection);

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
    let (recorder, _guard) = Recorder::install();
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

/// What the pool says to who waited for a connection in vain.
async fn refusal(pool: &Pool) -> String {
    pool.acquire().await.map(drop).unwrap_err().to_string()
}

#[tokio::test]
async fn a_timeout_names_what_the_longest_holder_does() {
    let (recorder, _guard) = Recorder::install();
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
    let message = refusal(&tested.pool).await;
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
    // Nobody is told what the longest holder does, either; only for how long.
    let tested = Tested::of(1, |builder| {
        builder.acquire_timeout(Some(A_SHORT_WHILE * 4))
    });
    let mut held = tested.acquire().await;
    held.execute("select 1", ()).await.unwrap();
    let message = refusal(&tested.pool).await;
    assert!(message.contains("the longest for"), "{message}");
    assert!(!message.contains("select"), "{message}");
}
