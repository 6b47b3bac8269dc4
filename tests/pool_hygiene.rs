//! Whatever a borrower leaves behind, the next one finds a connection like a new one.

mod live;
mod pool_support;
mod support;

use std::sync::{Arc, Mutex};

use kornak::pool::Reset;
use kornak::{Connection, PoolConnection, TransactionStatus};
use live::{eventually, poll_once};
use pool_support::Tested;
use support::deadline::{GENEROUS, within};
use support::proxy::{Listen, Proxy, Way};
use support::raw::{RawClient, unique};
use support::server;

const BOTH: [Reset; 2] = [Reset::Smart, Reset::Always];

/// What a borrower does, and how it is seen whether it is still there.
const LEFT_BEHIND: &[(&[&str], &str)] = &[
    (
        &["set work_mem = '1234kB'"],
        "select current_setting('work_mem')",
    ),
    (
        &["select set_config('work_mem', '1234kB', false)"],
        "select current_setting('work_mem')",
    ),
    (
        &["select set_config('kornak.left', 'behind', false)"],
        "select coalesce(current_setting('kornak.left', true), '')",
    ),
    (
        &["set search_path = pg_temp"],
        "select current_setting('search_path')",
    ),
    (
        &["select 1, pg_catalog . set_config('search_path', 'pg_temp', false)"],
        "select current_setting('search_path')",
    ),
    (&["set role pg_monitor"], "select current_user::text"),
    (
        &["prepare kornak_left as select 1"],
        "select count(*)::text from pg_prepared_statements where from_sql",
    ),
    (
        &["do $$ begin execute 'PREPARE kornak_left AS select 1'; end $$"],
        "select count(*)::text from pg_prepared_statements where from_sql",
    ),
    (
        &["set session authorization pg_monitor"],
        "select session_user::text",
    ),
    (
        &["create temp table kornak_left (a int)"],
        "select count(*)::text from pg_class \
         where relname = 'kornak_left' and pg_table_is_visible(oid)",
    ),
    (
        &["select 1 as a into temp kornak_left"],
        "select count(*)::text from pg_class \
         where relname = 'kornak_left' and pg_table_is_visible(oid)",
    ),
    (
        &["select 1 insert into temp kornak_left"],
        "select count(*)::text from pg_class \
         where relname = 'kornak_left' and pg_table_is_visible(oid)",
    ),
    (
        &["select pg_advisory_lock_shared(70050)"],
        "select count(*)::text from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
    ),
    (
        &[
            "begin",
            "select pg_try_advisory_lock_shared(70051)",
            "commit",
        ],
        "select count(*)::text from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
    ),
    (
        &["listen kornak_left"],
        "select coalesce(string_agg(c, ','), '') from pg_listening_channels() c",
    ),
    (
        &["declare kornak_left cursor with hold for select 1"],
        "select count(*)::text from pg_cursors where name = 'kornak_left'",
    ),
    (
        &[
            "create temp sequence kornak_left",
            "select nextval('kornak_left')",
        ],
        "select lastval()::text",
    ),
    (
        &["set default_transaction_read_only = on"],
        "select current_setting('transaction_read_only')",
    ),
];

async fn look(connection: &mut Connection, sql: &str) -> String {
    match connection.fetch_one::<String>(sql, ()).await {
        Ok(text) => text,
        Err(error) => format!("{:?}", error.sqlstate().expect("an answer of the server")),
    }
}

#[tokio::test]
async fn r50_the_next_borrower_sees_nothing_of_the_last() {
    for reset in BOTH {
        let tested = Tested::of(1, |builder| builder.reset(reset));
        let process = tested.acquire().await.process_id();
        for (acts, sql) in LEFT_BEHIND {
            let fresh = look(&mut *tested.acquire().await, sql).await;
            // Nothing else of this borrower's calls for a reset.
            let mut connection = tested.acquire().await;
            for act in *acts {
                connection.execute(act, ()).await.unwrap();
            }
            drop(connection);
            let mut next = tested.acquire().await;
            assert_eq!(look(&mut next, sql).await, fresh, "{reset:?} {acts:?}");
            assert_eq!(next.process_id(), process, "{acts:?}: another connection");
        }
    }
}

#[tokio::test]
async fn without_a_reset_the_next_borrower_sees_all_of_the_last() {
    for (acts, sql) in LEFT_BEHIND {
        let tested = Tested::of(1, |builder| builder.reset(Reset::Never));
        let fresh = look(&mut *tested.acquire().await, sql).await;
        let mut connection = tested.acquire().await;
        for act in *acts {
            connection.execute(act, ()).await.unwrap();
        }
        drop(connection);
        let left = look(&mut *tested.acquire().await, sql).await;
        assert_ne!(left, fresh, "{acts:?} leaves nothing behind");
    }
}

#[tokio::test]
async fn r50_the_reset_goes_before_whatever_the_next_borrower_does_first() {
    async fn dirty(tested: &Tested) -> PoolConnection {
        let mut connection = tested.acquire().await;
        connection
            .execute("set work_mem = '1234kB'", ())
            .await
            .unwrap();
        drop(connection);
        tested.acquire().await
    }
    const LOOK: &str = "select current_setting('work_mem')";
    let tested = Tested::of(1, |builder| builder);
    let fresh = look(&mut *tested.acquire().await, LOOK).await;

    let mut connection = dirty(&tested).await;
    let mut transaction = connection.begin().await.unwrap();
    assert_eq!(look(&mut transaction, LOOK).await, fresh);
    transaction.commit().await.unwrap();
    drop(connection);

    let mut connection = dirty(&tested).await;
    let mut rows = connection.fetch::<String>(LOOK, ()).await.unwrap();
    assert_eq!(rows.next().await.unwrap().as_deref(), Some(&*fresh));
    drop(rows);
    drop(connection);

    let mut connection = dirty(&tested).await;
    let one = kornak::one::<String>(LOOK, ());
    let (found,) = connection.pipeline((one,)).await.unwrap();
    assert_eq!(found, fresh);
    drop(connection);

    let mut connection = dirty(&tested).await;
    let one = kornak::one::<String>(LOOK, ());
    let (found,) = connection.pipeline_each((one,)).await.unwrap();
    assert_eq!(found.unwrap(), fresh);
    drop(connection);

    // Two borrowers that do nothing in between change nothing about it.
    drop(dirty(&tested).await);
    drop(tested.acquire().await);
    assert_eq!(look(&mut *tested.acquire().await, LOOK).await, fresh);
}

#[tokio::test]
async fn r50_the_reset_costs_no_round_trip() {
    for reset in BOTH {
        let proxy = Proxy::recording(Listen::Unix, server::target().address);
        let tested = Tested::over(proxy.address(), 1, |builder| builder.reset(reset));
        let syncs = |link: &support::proxy::Link| link.transcript().matches("F Sync").count();
        let dirty = "select set_config('work_mem', $1, false)";
        for _ in 0..2 {
            let _: String = tested.pool.fetch_one(dirty, ("1234kB",)).await.unwrap();
        }
        let link = proxy.session(0).await;
        let before = syncs(&link);
        for _ in 0..10 {
            let _: String = tested.pool.fetch_one(dirty, ("1234kB",)).await.unwrap();
        }
        assert_eq!(syncs(&link) - before, 10, "{reset:?}: one unit a query");
        let resets = link.transcript().matches("discard temp").count();
        assert!(resets >= 11, "{reset:?}: {resets} resets");
    }
}

#[tokio::test]
async fn r50_plain_statements_cost_no_reset() {
    let proxy = Proxy::recording(Listen::Unix, server::target().address);
    let tested = Tested::over(proxy.address(), 1, |builder| builder);
    for _ in 0..3 {
        let _: i32 = tested.pool.fetch_one("select 1 + $1", (1,)).await.unwrap();
    }
    let transcript = proxy.session(0).await.transcript();
    assert_eq!(transcript.matches("discard temp").count(), 0);
}

#[tokio::test]
async fn r50_a_reset_whose_end_nobody_saw_does_not_commit_for_the_borrower() {
    let table = format!("kornak_{}", unique().replace('-', "_"));
    let mut raw = RawClient::of_tests();
    raw.execute(&format!("create table {table} (a int)"));
    let insert = format!("insert into {table} values ($1)");
    let tested = Tested::of(1, |builder| builder.reset(Reset::Always));
    tested.pool.execute("select 1", ()).await.unwrap();

    let mut connection = tested.acquire().await;
    let mut transaction = connection.begin().await.unwrap();
    // It reaches the server with the reset and BEGIN before it, and nobody awaits it.
    let mut first = Box::pin(transaction.execute(&insert, (1,)));
    assert!(poll_once(&mut first).is_pending());
    drop(first);
    transaction.execute(&insert, (2,)).await.unwrap();
    assert_eq!(
        transaction.transaction_status(),
        TransactionStatus::InTransaction
    );
    transaction.rollback().await.unwrap();
    drop(connection);

    let count = raw.value(&format!("select count(*) from {table}"));
    raw.execute(&format!("drop table {table}"));
    assert_eq!(count, "0", "what was rolled back is there");
}

/// How many times the borrower's own settings survive is not for a second reset to decide.
#[tokio::test]
async fn r50_a_borrower_keeps_what_it_sets_in_a_transaction_behind_an_unseen_reset() {
    let tested = Tested::of(1, |builder| builder.reset(Reset::Always));
    tested.pool.execute("select 1", ()).await.unwrap();
    let mut connection = tested.acquire().await;
    let mut transaction = connection.begin().await.unwrap();
    let mut first = Box::pin(transaction.execute("select 1", ()));
    assert!(poll_once(&mut first).is_pending());
    drop(first);
    let mut savepoint = transaction.begin().await.unwrap();
    savepoint.execute("select 1 / 0", ()).await.unwrap_err();
    savepoint.rollback().await.unwrap();
    transaction
        .execute("set work_mem = '1234kB'", ())
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    let found = look(&mut connection, "select current_setting('work_mem')").await;
    assert_eq!(found, "1234kB");
    drop(connection);
    let found = look(
        &mut *tested.acquire().await,
        "select current_setting('work_mem')",
    )
    .await;
    assert_ne!(found, "1234kB");
}

#[tokio::test]
async fn r50_a_reset_that_fails_sends_the_statement_to_another_connection_once() {
    let tested = Tested::of(1, |builder| builder);
    let mut connection = tested.acquire().await;
    let process = connection.process_id();
    connection
        .execute("create temp table kornak_held (a int)", ())
        .await
        .unwrap();
    let table: String = connection
        .fetch_one("select n.nspname || '.kornak_held' from pg_class c join pg_namespace n on n.oid = relnamespace where c.oid = 'kornak_held'::regclass", ())
        .await
        .unwrap();
    drop(connection);
    tested.at_rest().await;
    // The temporary table can't be dropped while somebody else holds a lock on it.
    let mut holder = RawClient::of_tests();
    holder.execute("begin");
    holder.execute(&format!("lock table {table} in access share mode"));
    let pool = tested.pool.clone();
    let asked = tokio::spawn(async move {
        pool.fetch_one::<(i32, i32)>("select pg_backend_pid(), $1::int", (42,))
            .await
    });
    let mut observer = tested.observer().await;
    let waits = format!(
        "select 1 from pg_stat_activity where pid = {process} and wait_event_type = 'Lock'"
    );
    while observer.query(&waits).await.is_empty() {
        assert!(!asked.is_finished(), "the reset waits for the lock");
    }
    observer
        .query(&format!("select pg_cancel_backend({process})"))
        .await;
    let (other, answer) = within(GENEROUS, "the other connection", asked)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer, 42);
    assert_ne!(
        other, process,
        "the statement runs where the reset went well"
    );
    holder.execute("rollback");
}

#[tokio::test]
async fn r50_settings_for_transactions_do_not_hold_the_reset_up() {
    let table = format!("kornak_{}", unique().replace('-', "_"));
    let mut raw = RawClient::of_tests();
    raw.execute(&format!("create table {table} (a int)"));
    let tested = Tested::of(1, |builder| builder);
    let mut connection = tested.acquire().await;
    for sql in [
        "set default_transaction_isolation = serializable",
        "set default_transaction_read_only = on",
        "set default_transaction_deferrable = on",
    ] {
        connection.execute(sql, ()).await.unwrap();
    }
    drop(connection);
    // A transaction that is deferrable waits until this one is over.
    let mut writer = RawClient::of_tests();
    writer.execute("begin isolation level serializable");
    writer.execute(&format!("insert into {table} values (1)"));
    let mut next = tested.acquire().await;
    let asked = next.fetch_one::<i32>("select 1", ());
    assert_eq!(within(GENEROUS, "the reset", asked).await.unwrap(), 1);
    writer.execute("rollback");
    raw.execute(&format!("drop table {table}"));
}

#[expect(
    clippy::disallowed_methods,
    reason = "a guard that is forgotten leaves its transaction to the pool"
)]
#[tokio::test]
async fn r49_what_is_returned_within_a_transaction_is_rolled_back() {
    let table = format!("kornak_{}", unique().replace('-', "_"));
    let mut raw = RawClient::of_tests();
    raw.execute(&format!("create table {table} (a int)"));
    let insert = format!("insert into {table} values (1)");
    for reset in [Reset::Smart, Reset::Always, Reset::Never] {
        let tested = Tested::of(1, |builder| builder.reset(reset));
        let process = tested.acquire().await.process_id();
        for fails in [false, true] {
            for by_hand in [false, true] {
                let mut connection = tested.acquire().await;
                if by_hand {
                    connection.execute("begin", ()).await.unwrap();
                } else {
                    std::mem::forget(connection.begin().await.unwrap());
                }
                connection.execute(&insert, ()).await.unwrap();
                if fails {
                    connection.execute("select 1 / 0", ()).await.unwrap_err();
                }
                assert_ne!(connection.transaction_status(), TransactionStatus::Idle);
                drop(connection);
                let next = tested.acquire().await;
                assert_eq!(next.transaction_status(), TransactionStatus::Idle);
                assert_eq!(next.process_id(), process);
                drop(next);
                tested.check_token().await;
            }
        }
        // A BEGIN that was never sent goes to nobody.
        let mut connection = tested.acquire().await;
        std::mem::forget(connection.begin().await.unwrap());
        drop(connection);
        tested
            .pool
            .execute(&format!("insert into {table} values (2)"), ())
            .await
            .unwrap();
        tested.check_token().await;
    }
    let kept = raw.column(&format!("select distinct a from {table}"));
    raw.execute(&format!("drop table {table}"));
    assert_eq!(kept, ["2"]);
}

#[tokio::test]
async fn r49_a_prepared_transaction_stays_prepared_and_holds_nobody() {
    let name = unique();
    let tested = Tested::of(1, |builder| builder);
    let mut connection = tested.acquire().await;
    let mut transaction = connection.begin().await.unwrap();
    transaction
        .execute("select txid_current()", ())
        .await
        .unwrap();
    transaction
        .execute(&format!("prepare transaction '{name}'"), ())
        .await
        .unwrap();
    drop(transaction);
    drop(connection);
    tested.check_token().await;
    let mut raw = RawClient::of_tests();
    let found = raw.value(&format!(
        "select count(*) from pg_prepared_xacts where gid = '{name}'"
    ));
    raw.execute(&format!("rollback prepared '{name}'"));
    assert_eq!(found, "1");
}

#[tokio::test]
async fn r34_a_connection_that_was_ended_while_idle_is_not_handed_out() {
    let tested = Tested::of(2, |builder| builder);
    let (first, second) = (tested.acquire().await, tested.acquire().await);
    let ended = [first.process_id(), second.process_id()];
    drop((first, second));
    let mut observer = tested.observer().await;
    for process in ended {
        observer.terminate(process).await;
    }
    for _ in 0..4 {
        let mut connection = tested.acquire().await;
        assert!(
            !ended.contains(&connection.process_id()),
            "a dead connection"
        );
        let one: i32 = connection.fetch_one("select 1", ()).await.unwrap();
        assert_eq!(one, 1);
    }
}

#[tokio::test]
async fn r34_a_borrower_is_told_why_its_idle_connection_was_ended() {
    let tested = Tested::of(1, |builder| builder);
    let mut connection = tested.acquire().await;
    tested
        .observer()
        .await
        .terminate(connection.process_id())
        .await;
    let error = connection
        .fetch_one::<i32>("select 1", ())
        .await
        .unwrap_err();
    assert_eq!(
        error.sqlstate(),
        Some(kornak::SqlState::ADMIN_SHUTDOWN),
        "{error:#}"
    );
    drop(connection);
    tested.check_token().await;
}

#[tokio::test]
async fn r8_a_transaction_that_is_dropped_is_rolled_back_while_its_connection_is_kept() {
    let tested = Tested::of(1, |builder| builder);
    let mut connection = tested.acquire().await;
    let mut transaction = connection.begin().await.unwrap();
    transaction
        .execute("select txid_current()", ())
        .await
        .unwrap();
    drop(transaction);
    // Nobody polls the connection from here on.
    let process = connection.process_id();
    RawClient::of_tests().wait_for(&format!(
        "exists (select from pg_stat_activity where pid = {process} and xact_start is null)"
    ));
    drop(connection);
}

#[tokio::test]
async fn r50_what_the_driver_prepared_goes_and_comes_again_where_a_borrower_prepared_too() {
    let tested = Tested::of(1, |builder| builder);
    let mut connection = tested.acquire().await;
    let process = connection.process_id();
    let one: i32 = connection.fetch_one("select 1", ()).await.unwrap();
    assert_eq!(one, 1);
    connection
        .batch_execute("select 2; prepare kornak_left as select 3")
        .await
        .unwrap();
    drop(connection);
    // Within a transaction a statement that the server doesn't know would be an error.
    for _ in 0..2 {
        let mut connection = tested.acquire().await;
        let mut transaction = connection.begin().await.unwrap();
        let one: i32 = transaction.fetch_one("select 1", ()).await.unwrap();
        assert_eq!(one, 1);
        let left = "select count(*) from pg_prepared_statements where from_sql";
        let left: i64 = transaction.fetch_one(left, ()).await.unwrap();
        assert_eq!(left, 0);
        transaction.commit().await.unwrap();
        // What nobody has prepared by SQL stays prepared.
        let cached = connection.cached_statements();
        drop(connection);
        let mut connection = tested.acquire().await;
        assert_eq!(connection.cached_statements(), cached);
        connection.execute("select 1", ()).await.unwrap();
        assert_eq!(connection.process_id(), process);
    }
    // One who prepares as the first thing behind a reset is reset, too.
    for _ in 0..3 {
        let prepare = "prepare kornak_left as select 4";
        tested.pool.execute(prepare, ()).await.unwrap();
    }
}

#[tokio::test]
async fn r50_notifications_of_the_last_borrower_reach_nobody() {
    let channel = format!("kornak_{}", unique().replace('-', "_"));
    let proxy = Proxy::start(Listen::Unix, server::target().address);
    let tested = Tested::over(proxy.address(), 1, |builder| builder);
    let mut last = tested.acquire().await;
    let listen = format!("listen {channel}");
    last.execute(&listen, ()).await.unwrap();
    drop(last);
    let mut raw = RawClient::of_tests();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let mut next = tested.acquire().await;
    let ears = Arc::clone(&heard);
    next.on_notification(move |notification| {
        ears.lock().unwrap().push(notification.payload);
    });
    // It arrives before the reset is sent, and is read with its answer.
    let link = proxy.session(0).await;
    let before = link.bytes(Way::ToClient);
    raw.execute(&format!("notify {channel}, 'for the last'"));
    link.passed(Way::ToClient, before + 1).await;
    next.execute("select 1", ()).await.unwrap();
    assert_eq!(*heard.lock().unwrap(), [""; 0]);
    // The own ones arrive, of the same channel, too.
    next.execute(&listen, ()).await.unwrap();
    raw.execute(&format!("notify {channel}, 'for the next'"));
    eventually("the own notification", async || {
        next.execute("select 1", ()).await.unwrap();
        *heard.lock().unwrap() == ["for the next"]
    })
    .await;
}
