//! Behind PgBouncer, in session and in transaction mode.
//!
//! It is a package of its own (`pgbouncer`). Where it is missing these tests install it if they
//! may, and fail otherwise: they never pass without it. `KORNAK_PGBOUNCER` names the program of
//! another version.

use bouncer::PgBouncer;
use kornak::config::Config;
use kornak::connection::pipeline::{exec, one};
use kornak::{Connection, ErrorKind, Pool, SqlState};
use support::address::Address;
use support::deadline::{GENEROUS, within};
use support::proxy::{Listen, Proxy};
use support::raw::{RawClient, unique};
use support::server::role_target;
use xtask::server::Role;

mod bouncer;
mod named;
#[path = "../support/mod.rs"]
mod support;

async fn connect(config: Config) -> Connection {
    within(GENEROUS, "connecting", Connection::connect(config))
        .await
        .expect("it is let in")
}

fn admin() -> RawClient {
    RawClient::connect(&role_target(Role::Kornak)).expect("the superuser")
}

#[tokio::test]
async fn r45_session_mode_has_everything() {
    let bouncer = PgBouncer::start("session");
    let mut connection = connect(bouncer.config()).await;
    for number in 0..3 {
        let sql = "select $1::int4 + 1";
        let answer: i32 = connection
            .fetch_one(sql, (number,))
            .await
            .expect("it answers");
        assert_eq!(answer, number + 1);
    }
    assert_eq!(connection.cached_statements(), 1);
    let (notified, mut notifications) = tokio::sync::mpsc::channel(8);
    connection.on_notification(move |notification| {
        // Nobody may listen any more at the end of the test.
        let _ = notified.try_send(notification.payload);
    });
    let channel = unique();
    let listen = format!("listen \"{channel}\"");
    connection
        .execute(&listen, ())
        .await
        .expect("a session can listen");
    let notify = format!("notify \"{channel}\", 'hello'");
    connection.execute(&notify, ()).await.expect("it notifies");
    connection
        .execute("select 1", ())
        .await
        .expect("it answers");
    assert_eq!(notifications.recv().await.as_deref(), Some("hello"));

    let mut transaction = connection.begin().await.expect("it begins");
    transaction
        .execute("create temp table t (a int)", ())
        .await
        .expect("a table");
    transaction.rollback().await.expect("it rolls back");

    let token = connection.cancel_token();
    let cancelled = tokio::select! {
        result = connection.execute("select pg_sleep(600)", ()) => result,
        () = async {
            loop {
                token.cancel().await.expect("it is sent");
                tokio::task::yield_now().await;
            }
        } => unreachable!("it has no end"),
    };
    let error = cancelled.expect_err("it is cancelled");
    assert_eq!(error.sqlstate(), Some(SqlState::QUERY_CANCELED));
}

/// More clients than servers, each statement on whichever server is free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r45_transaction_mode_gives_each_client_its_own_answers() {
    let bouncer = PgBouncer::start("transaction");
    let mut tasks = Vec::new();
    for task in 0..8_i32 {
        let config = bouncer.pooled();
        tasks.push(tokio::spawn(async move {
            let mut connection = connect(config).await;
            for number in 0..40_i32 {
                // Few texts, many values; and all texts have different columns.
                let columns = vec!["$1::int4 + $2::int4"; 1 + (number % 3) as usize].join(" + ");
                let sql = format!("select {columns}, $3::text");
                let text = format!("{task}.{number}");
                let (sum, echo): (i32, String) = connection
                    .fetch_one(&sql, (task, number, &*text))
                    .await
                    .expect("it answers");
                assert_eq!(sum, (task + number) * (1 + number % 3));
                assert_eq!(echo, text);
            }
            assert_eq!(connection.cached_statements(), 3);
        }));
    }
    for task in tasks {
        within(GENEROUS, "the queries", task)
            .await
            .expect("no panic");
    }
    // Nothing stays on the servers.
    let mut connection = connect(bouncer.pooled()).await;
    let sql = "select count(*) from pg_prepared_statements where name <> ''";
    assert_eq!(
        connection
            .fetch_one::<i64>(sql, ())
            .await
            .expect("it answers"),
        0
    );
}

#[tokio::test]
async fn r45_transaction_mode_takes_one_round_trip() {
    let bouncer = PgBouncer::start("transaction");
    let upstream = Address::Tcp(([127, 0, 0, 1], bouncer.port()).into());
    let proxy = Proxy::recording(Listen::Tcp, upstream);
    let mut connection = connect(bouncer.pooled().port(proxy.address().port())).await;
    let link = proxy.session(0).await;
    let flights = || {
        let transcript = link.transcript();
        (
            transcript.matches("F Sync").count(),
            transcript.matches("F Parse \"\"").count(),
            transcript.matches("F Parse").count(),
        )
    };
    let (before, ..) = flights();
    assert_eq!(before, 0, "nothing is asked behind the application's back");
    for number in 1..=5_i64 {
        let sql = "select $1::int8, 'x'::text";
        let row: (i64, String) = connection.fetch_one(sql, (number,)).await.expect("a row");
        assert_eq!(row, (number, "x".to_owned()));
        let count = number as usize;
        assert_eq!(flights(), (count, count, count), "cold and warm alike");
    }
    // A transaction's BEGIN goes with its first statement.
    let mut transaction = connection.begin().await.expect("it begins");
    let one: i32 = transaction.fetch_one("select 1", ()).await.expect("a row");
    assert_eq!(one, 1);
    transaction.commit().await.expect("it commits");
    assert!(!link.transcript().contains("F Close"));
}

#[tokio::test]
async fn r45_transaction_mode_has_the_verbs() {
    let bouncer = PgBouncer::start("transaction");
    let mut connection = connect(bouncer.pooled()).await;
    let (table, mood) = (unique(), unique());
    let script = format!(
        "create type \"{mood}\" as enum ('calm', 'wild'); \
         create table \"{table}\" (id int primary key, mood \"{mood}\", price numeric)"
    );
    connection.batch_execute(&script).await.expect("a script");

    let insert = format!("insert into \"{table}\" values ($1, $2, $3::text::numeric)");
    let done = connection
        .execute(&insert, (1, "calm", "1.50"))
        .await
        .expect("a row");
    assert_eq!(done, 1);
    let many: Vec<_> = (2..50).map(|id| (id, "wild", "7")).collect();
    assert_eq!(
        connection.execute_many(&insert, many).await.expect("rows"),
        48
    );

    // Types that have to be looked up, cold and warm.
    let select = format!("select mood::text, mood, price::text from \"{table}\" where id = $1");
    for id in [1, 2, 1] {
        let row = connection
            .fetch_one::<kornak::Row>(&select, (id,))
            .await
            .expect("a row");
        let text: String = row.get(0).expect("text");
        assert_eq!(text, if id == 1 { "calm" } else { "wild" });
        assert_eq!(row.get::<String>(1).expect("a label"), text);
    }

    let sum = format!("select count(*) from \"{table}\"");
    let (count, done) = connection
        .pipeline((one::<i64>(&sum, ()), exec(&insert, (50, "calm", "0"))))
        .await
        .expect("a pipeline");
    assert_eq!((count, done), (49, 1));
    let (count, failed) = connection
        .pipeline_each((one::<i64>(&sum, ()), exec(&insert, (50, "calm", "0"))))
        .await
        .expect("a pipeline");
    assert_eq!(count.expect("a row"), 50);
    assert_eq!(
        failed.expect_err("twice").sqlstate(),
        Some(SqlState::UNIQUE_VIOLATION)
    );

    let ids = format!("select id from \"{table}\" order by id");
    let mut rows = connection.fetch::<i32>(&ids, ()).await.expect("a stream");
    let mut seen = Vec::new();
    while let Some(id) = rows.next().await.expect("a row") {
        seen.push(id);
    }
    assert_eq!(seen, (1..=50).collect::<Vec<_>>());

    // A stream that is dropped, and a transaction that is: the next statement is in step.
    let mut rows = connection
        .fetch::<i64>("select generate_series(1, 1000000)", ())
        .await
        .expect("it");
    rows.next().await.expect("a row");
    drop(rows);
    let mut transaction = connection.begin().await.expect("it begins");
    transaction
        .execute(&insert, (51, "calm", "0"))
        .await
        .expect("a row");
    drop(transaction);
    assert_eq!(
        connection.fetch_one::<i64>(&sum, ()).await.expect("a row"),
        50
    );

    let mut transaction = connection.begin().await.expect("it begins");
    transaction
        .execute("set local statement_timeout = 1000", ())
        .await
        .expect("it is local");
    {
        let mut savepoint = transaction.begin().await.expect("a savepoint");
        savepoint
            .execute(&insert, (1, "calm", "0"))
            .await
            .expect_err("there is one");
        savepoint.rollback().await.expect("it rolls back");
    }
    transaction
        .execute(&insert, (52, "calm", "0"))
        .await
        .expect("a row");
    transaction.commit().await.expect("it commits");
    assert_eq!(
        connection.fetch_one::<i64>(&sum, ()).await.expect("a row"),
        51
    );
    admin().execute(&format!("drop table \"{table}\"; drop type \"{mood}\""));
}

#[tokio::test]
async fn r45_transaction_mode_refuses_what_needs_a_session() {
    let bouncer = PgBouncer::start("transaction");
    let mut connection = connect(bouncer.pooled()).await;
    for sql in [
        "listen x",
        "unlisten *",
        "set search_path = x",
        "reset all",
        "discard all",
    ] {
        for _ in 0..2 {
            let error = connection.execute(sql, ()).await.expect_err(sql);
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{sql}: {error}");
        }
        let error = connection.batch_execute(sql).await.expect_err(sql);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{sql}: {error}");
        let error = connection
            .pipeline((exec("select 1", ()), exec(sql, ())))
            .await
            .expect_err(sql);
        assert_eq!(
            error.error().kind(),
            ErrorKind::Unsupported,
            "{sql}: {error}"
        );
    }
    let one: i32 = connection
        .fetch_one("select 1", ())
        .await
        .expect("it is in step");
    assert_eq!(one, 1);
}

/// A result that changes between two executions is never read as what it was.
#[tokio::test]
async fn r45_transaction_mode_notices_a_changed_result() {
    let bouncer = PgBouncer::start("transaction");
    let mut connection = connect(bouncer.pooled()).await;
    let table = unique();
    let mut admin = admin();
    admin.execute(&format!(
        "create table \"{table}\" (a int4); insert into \"{table}\" values (7)"
    ));
    let select = format!("select * from \"{table}\"");
    assert_eq!(
        connection
            .fetch_one::<i32>(&select, ())
            .await
            .expect("a row"),
        7
    );
    admin.execute(&format!("alter table \"{table}\" alter a type int8"));
    let error = connection
        .fetch_one::<i32>(&select, ())
        .await
        .expect_err("it has changed");
    assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
    assert_eq!(
        connection
            .fetch_one::<i64>(&select, ())
            .await
            .expect("a row"),
        7
    );
    admin.execute(&format!("alter table \"{table}\" add b text default 'new'"));
    let mut rows = connection
        .fetch::<i64>(&select, ())
        .await
        .expect("a stream");
    rows.next().await.expect_err("it has changed");
    drop(rows);
    let row: (i64, String) = connection.fetch_one(&select, ()).await.expect("a row");
    assert_eq!(row, (7, "new".to_owned()));
    admin.execute(&format!("drop table \"{table}\""));
}

/// The driver's own pool before PgBouncer's resets nothing, and hands out what is in step.
#[tokio::test]
async fn r45_a_pool_before_it_resets_nothing() {
    let bouncer = PgBouncer::start("transaction");
    let upstream = Address::Tcp(([127, 0, 0, 1], bouncer.port()).into());
    let proxy = Proxy::recording(Listen::Tcp, upstream);
    let pool = Pool::builder()
        .max_size(1)
        .connect(bouncer.pooled().port(proxy.address().port()))
        .await
        .expect("a pool");
    for number in 0..3_i32 {
        // Not plain: elsewhere it would cost a reset.
        let sql = "select set_config('kornak.number', $1::text, true), $1::text";
        let text = number.to_string();
        let row: (String, String) = pool.fetch_one(sql, (&*text,)).await.expect("a row");
        assert_eq!(row.1, text);
    }
    let transcript = proxy.session(0).await.transcript();
    assert!(!transcript.contains("unlisten") && !transcript.contains("discard"));
    assert_eq!(transcript.matches("F Sync").count(), 3, "{transcript}");
}
