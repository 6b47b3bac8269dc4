//! Bulk work, connects, and what the driver itself asks the server, in spans and measurements.

use kornak::{Connection, Listener};
use xtask::server::Role;

use super::{A_SHORT_WHILE, check_shown};
use crate::live::config;
use crate::pool_support::watching::{Meter, Recorder, Said};
use crate::pool_support::{self, Tested};
use crate::support::address::SilentPort;
use crate::support::raw::{RawClient, unique};
use crate::support::server;

#[tokio::test]
async fn bulk_work_is_shown_and_measured() {
    let (recorder, _guard) = Recorder::install();
    let meter = Meter::default();
    let _meter = metrics::set_default_local_recorder(&meter);
    let table = format!("kornak_{}", unique().replace('-', "_"));
    let mut raw = RawClient::of_tests();
    raw.execute(&format!("create table {table} (a int)"));
    let tested = Tested::of(1, |builder| builder);
    let pool = &tested.pool;

    let insert = format!("insert into {table} values ($1)");
    let items = [(1,), (2,), (3,)];
    pool.execute_many(&insert, items).await.unwrap();
    let returning = format!("{insert} returning a");
    let rows: Vec<i32> = pool.fetch_many(&returning, [(4,), (5,)]).await.unwrap();
    assert_eq!(rows, [4, 5]);
    let streaming = format!("{insert} returning a + 1");
    let mut rows = pool
        .stream_many::<i32, _>(&streaming, [(6,), (7,)])
        .await
        .unwrap();
    while rows.next().await.unwrap().is_some() {}
    drop(rows);
    // One is no batch.
    let single = format!("{insert} returning 2, a");
    pool.execute_many(&single, [(8,)]).await.unwrap();

    let copy_text = format!("copy {table} from stdin");
    let mut copy = pool.copy_in(&copy_text).await.unwrap();
    copy.send(b"9\n").await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 1);
    let mut copy = pool.copy_in_rows(table.as_str(), &["a"]).await.unwrap();
    copy.send((10,)).await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 1);
    let copy_rows = format!("copy \"{table}\" (\"a\") from stdin (format binary)");
    let out_text = format!("copy {table} to stdout");
    let mut copy = pool.copy_out(&out_text).await.unwrap();
    while copy.next().await.unwrap().is_some() {}
    drop(copy);
    let query = format!("select a from {table} order by a");
    let mut rows = pool.copy_out_rows::<i32>(&query).await.unwrap();
    while rows.next().await.unwrap().is_some() {}
    drop(rows);
    let out_rows = format!("copy ({query}\n) to stdout (format binary)");
    raw.execute(&format!("drop table {table}"));

    check_shown(
        &recorder,
        &meter,
        &[
            ("BATCH INSERT", &insert, "", "3"),
            ("BATCH INSERT", &returning, "", "2"),
            (
                "BATCH INSERT",
                &format!("{insert} returning a + ?"),
                "",
                "2",
            ),
            ("BATCH INSERT", &format!("{insert} returning ?, a"), "", ""),
            ("COPY", &copy_text, "", ""),
            ("COPY", &copy_rows, "", ""),
            ("COPY", &out_text, "10", ""),
            ("COPY", &out_rows, "10", ""),
        ],
    );
}

#[tokio::test]
async fn what_is_no_statement_of_the_callers_is_shown_and_measured() {
    let (recorder, _guard) = Recorder::install();
    let meter = Meter::default();
    let _meter = metrics::set_default_local_recorder(&meter);
    let tested = Tested::of(1, |builder| builder);
    let mut connection = tested.acquire().await;

    let series = "select generate_series($1::int, $2::int)";
    let mut transaction = connection.begin().await.unwrap();
    let mut portal = transaction.portal::<i32>(series, (1, 5)).await.unwrap();
    assert_eq!(portal.fetch_rest(&mut transaction).await.unwrap().len(), 5);
    // There is nothing to be asked for any more.
    assert!(portal.fetch(&mut transaction, 9).await.unwrap().is_empty());
    portal.close(&mut transaction).await.unwrap();
    let mut inner = transaction.begin().await.unwrap();
    inner.execute("select", ()).await.unwrap();
    inner.commit().await.unwrap();
    let mut inner = transaction.begin().await.unwrap();
    inner.execute("select", ()).await.unwrap();
    inner.rollback().await.unwrap();
    transaction.rollback().await.unwrap();
    let lock = connection.advisory_lock(i64::from(std::process::id()));
    lock.lock().await.unwrap().release().await.unwrap();
    connection.describe(series).await.unwrap();
    drop(connection);
    let channel = unique();
    drop(tested.pool.subscribe([channel.as_str()]).await.unwrap());
    let listening = unique();
    let target = server::target();
    let mut listener = Listener::connect(config(&target)).await.unwrap();
    listener.listen(&listening).await.unwrap();
    listener.unlisten(&listening).await.unwrap();

    check_shown(
        &recorder,
        &meter,
        &[
            ("DECLARE", series, "", ""),
            ("FETCH", series, "5", ""),
            ("CLOSE", series, "", ""),
            ("RELEASE", "release savepoint", "", ""),
            ("ROLLBACK", "rollback to savepoint", "", ""),
            ("ROLLBACK", "rollback", "", ""),
            ("SELECT", "select pg_catalog.pg_advisory_lock($1)", "1", ""),
            (
                "SELECT",
                "select pg_catalog.pg_advisory_unlock($1)",
                "1",
                "",
            ),
            ("DESCRIBE", series, "", ""),
            ("LISTEN", &format!("listen \"{channel}\""), "", ""),
            ("LISTEN", &format!("listen \"{listening}\""), "", ""),
            ("UNLISTEN", &format!("unlisten \"{listening}\""), "", ""),
        ],
    );
    // Those of the pool, of its subscribers, and of the listener.
    let heard = recorder.heard();
    let connects: Vec<_> = heard
        .spans
        .iter()
        .filter(|span| span.name == "connect")
        .collect();
    assert_eq!(connects.len(), 3);
    for span in connects {
        assert_eq!(span.field("otel.kind"), "client");
        assert_eq!(span.field("db.system.name"), "postgresql");
        assert_eq!(span.field("db.namespace"), target.database);
        assert_eq!(span.field("server.address"), target.address.host());
        assert_eq!(span.field("error.type"), "");
        assert!(span.is_closed());
    }
}

#[tokio::test]
async fn bulk_work_and_connects_that_fail_say_so() {
    let (recorder, _guard) = Recorder::install();
    let tested = Tested::of(1, |builder| builder);
    let mut connection = tested.acquire().await;
    let check = |text: &str, operation: &str, error: &str, is_of_server: bool| {
        let spans = recorder.queries(text);
        let is_meant = |span: &&Said| span.field("db.operation.name") == operation;
        let span = spans.iter().find(is_meant);
        let span = span.unwrap_or_else(|| panic!("{operation} {text}: {spans:?}"));
        assert_eq!(span.field("error.type"), error, "{span:?}");
        let code = if is_of_server { error } else { "" };
        assert_eq!(span.field("db.response.status_code"), code, "{span:?}");
        assert_eq!(span.field("otel.status_code"), "ERROR", "{span:?}");
        assert!(span.is_closed(), "{span:?}");
    };
    connection
        .execute("create temp table t (a int unique)", ())
        .await
        .unwrap();
    let insert = "insert into t values ($1)";
    let twice = connection.execute_many(insert, [(1,), (1,)]).await;
    twice.unwrap_err();
    check(insert, "BATCH INSERT", "23505", true);
    let insert = "insert into t values ($1) returning a";
    let mut rows = connection
        .stream_many::<i32, _>(insert, [(1,), (1,)])
        .await
        .unwrap();
    while let Ok(Some(_)) = rows.next().await {}
    drop(rows);
    check(insert, "BATCH INSERT", "23505", true);

    let sql = "copy t from stdin";
    let mut copy = connection.copy_in(sql).await.unwrap();
    copy.send(b"x\n").await.unwrap();
    copy.finish().await.unwrap_err();
    check(sql, "COPY", "22P02", true);
    let sql = "copy t (a) from stdin";
    drop(connection.copy_in(sql).await.unwrap());
    check(sql, "COPY", "cancelled", false);
    // What is given up on purpose is what the server calls it, however it is told.
    let sql = "copy t (a ) from stdin";
    let mut copy = connection.copy_in(sql).await.unwrap();
    copy.send(b"1\n").await.unwrap();
    copy.abort("enough").await.unwrap();
    check(sql, "COPY", "57014", true);
    let sql = "copy nowhere from stdin";
    connection.copy_in(sql).await.unwrap_err();
    check(sql, "COPY", "42P01", true);
    let missing = connection.copy_in_rows("nowhere", &["a"]).await;
    missing.unwrap_err();
    let sql = "copy nowhere to stdout";
    connection.copy_out(sql).await.unwrap_err();
    check(sql, "COPY", "42P01", true);
    let query = "select a / 0 from generate_series(1, 2) a";
    let mut rows = connection.copy_out_rows::<i32>(query).await.unwrap();
    rows.next().await.unwrap_err();
    drop(rows);
    let sql = "copy (select a / ? from generate_series(?, ?) a\n) to stdout (format binary)";
    check(sql, "COPY", "22012", true);
    let mut transaction = connection.begin().await.unwrap();
    let mut portal = transaction.portal::<i32>(query, ()).await.unwrap();
    portal.fetch(&mut transaction, 1).await.unwrap_err();
    let sql = "select a / ? from generate_series(?, ?) a";
    check(sql, "FETCH", "22012", true);
    drop(transaction);
    drop(connection);

    let connects = |recorder: &Recorder| {
        let heard = recorder.heard();
        let spans = heard.spans.iter().filter(|span| span.name == "connect");
        spans.cloned().collect::<Vec<_>>()
    };
    let before = connects(&recorder).len();
    let target = server::role_target(Role::Scram);
    let refused = Connection::connect(config(&target).password("wrong")).await;
    refused.unwrap_err();
    let silent = SilentPort::new().await.unwrap();
    let timed_out =
        pool_support::config_over(&silent.address(), "silent").connect_timeout(A_SHORT_WHILE);
    Connection::connect(timed_out).await.unwrap_err();
    let spans = connects(&recorder);
    let [refused, timed_out] = &spans[before..] else {
        panic!("{spans:?}");
    };
    assert_eq!(refused.field("error.type"), "28P01");
    assert_eq!(refused.field("db.response.status_code"), "28P01");
    assert_eq!(timed_out.field("error.type"), "Timeout");
    assert_eq!(timed_out.field("db.response.status_code"), "");
    assert_eq!(
        timed_out.field("server.port"),
        silent.address().port().to_string()
    );
}
