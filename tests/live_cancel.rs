//! Futures dropped at every poll, against a real server: whatever was under way, the
//! connection is in step afterwards.

mod live;
mod support;

use std::future::Future;

use kornak::{Connection, Row};
use live::{check_token, connect, connect_over, poll_once, until_asleep};
use support::drops::{Case, DropAtEachPoll};
use support::proxy::{Link, Listen, Pace, Proxy, Way};
use support::raw::{RawClient, unique};
use support::server;

/// A connection, over a proxy where bytes are to arrive one at a time.
struct Session {
    connection: Connection,
    link: Option<Link>,
}

impl Session {
    async fn direct() -> Self {
        Self {
            connection: connect().await,
            link: None,
        }
    }

    /// Each byte from the server comes in a read of its own.
    async fn byte_by_byte(proxy: &Proxy) -> Self {
        let connection = connect_over(proxy.address(), |config| config).await;
        let link = proxy.links().pop().expect("the connection's own");
        let drip = Pace {
            write_size: Some(1),
            ..Pace::default()
        };
        link.set_pace(Way::ToClient, drip);
        Self {
            connection,
            link: Some(link),
        }
    }

    async fn check(&mut self) {
        if let Some(link) = &self.link {
            link.set_pace(Way::ToClient, Pace::default());
        }
        check_token(&mut self.connection).await;
    }
}

fn proxy() -> Proxy {
    Proxy::start(Listen::Unix, server::target().address)
}

/// Drops what `operate` does at each of its polls, in every way that the harness knows.
async fn drop_everywhere(what: &str, operate: impl AsyncFn(&mut Connection)) {
    let operate = async |session: &mut Session| operate(&mut session.connection).await;
    let check = async |mut session: Session, _: Case| session.check().await;
    let direct = DropAtEachPoll::new(what).at_least(1).spurious_polls(1);
    direct.run(Session::direct, operate, check).await;
    let woken = DropAtEachPoll::new(what).at_least(1).once_woken();
    woken.run(Session::direct, operate, check).await;
    let bytes = DropAtEachPoll::new(what).at_least(3);
    let proxy = proxy();
    let make = async || Session::byte_by_byte(&proxy).await;
    bytes.run(make, operate, check).await;
}

#[tokio::test]
async fn r1_begin_dropped_at_each_poll_leaves_no_transaction() {
    drop_everywhere("begin and a statement", async |connection| {
        let mut transaction = connection.begin().await.unwrap();
        let one: i32 = transaction.fetch_one("select 1", ()).await.unwrap();
        assert_eq!(one, 1);
    })
    .await;
}

#[tokio::test]
async fn r1_begin_after_a_dropped_statement_leaves_no_transaction() {
    drop_everywhere("begin after a dropped statement", async |connection| {
        let mut asking = Box::pin(connection.fetch_all::<i32>("select generate_series(1, 20)", ()));
        let _ = poll_once(&mut asking);
        drop(asking);
        let mut transaction = connection
            .transaction()
            .read_only(true)
            .begin()
            .await
            .unwrap();
        transaction.execute("select 1", ()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn r1_savepoints_dropped_at_each_poll_leave_no_transaction() {
    drop_everywhere("nested transactions", async |connection| {
        let mut outer = connection.begin().await.unwrap();
        let mut inner = outer.begin().await.unwrap();
        inner.execute("select 1", ()).await.unwrap();
        let mut innermost = inner.begin().await.unwrap();
        innermost.execute("select 2", ()).await.unwrap();
        drop(innermost);
        inner.commit().await.unwrap();
        outer.execute("select 3", ()).await.unwrap();
        outer.rollback().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn r1_commit_dropped_at_each_poll_keeps_all_or_nothing() {
    RawClient::of_tests()
        .execute("drop table if exists r1_commit; create table r1_commit (token text)");
    let check = async |mut session: Session, case: Case| {
        session.check().await;
        let mut observer = RawClient::of_tests();
        let rows: usize = observer
            .value("select count(*) from r1_commit")
            .parse()
            .unwrap();
        assert!(rows == 0 || rows == 2, "{rows} of two rows are there");
        if let Case::Completed(_) = case {
            assert_eq!(rows, 2, "it was committed");
        }
        observer.execute("truncate r1_commit");
    };
    let operate = async |session: &mut Session| {
        let token = unique();
        let mut transaction = session.connection.begin().await.unwrap();
        let sql = "insert into r1_commit values ($1)";
        transaction.execute(sql, (token.as_str(),)).await.unwrap();
        transaction.execute(sql, (token.as_str(),)).await.unwrap();
        transaction.commit().await.unwrap();
    };
    let drops = DropAtEachPoll::new("a transaction of two inserts");
    drops.run(Session::direct, operate, check).await;
    let proxy = proxy();
    let make = async || Session::byte_by_byte(&proxy).await;
    drops.run(make, operate, check).await;
    RawClient::of_tests().execute("drop table r1_commit");
}

const ROWS: &str = "select i, 'row ' || i from generate_series(1, 30) i where i <> $1";

#[tokio::test]
async fn r3_a_query_dropped_at_each_poll_leaves_the_connection_in_step() {
    drop_everywhere("fetch_all, cold and warm", async |connection| {
        for _ in 0..2 {
            let rows: Vec<(i32, String)> = connection.fetch_all(ROWS, (7,)).await.unwrap();
            assert_eq!(rows.len(), 29);
        }
    })
    .await;
}

#[tokio::test]
async fn r3_the_other_verbs_dropped_at_each_poll_leave_the_connection_in_step() {
    drop_everywhere("each verb", async |connection| {
        let _: i32 = connection.fetch_one("select 1", ()).await.unwrap();
        let none = connection
            .fetch_optional::<i32>("select 1 where false", ())
            .await
            .unwrap();
        assert_eq!(none, None);
        connection
            .execute("set application_name to 'r3'", ())
            .await
            .unwrap();
        connection
            .batch_execute("select 1; select 2")
            .await
            .unwrap();
        let seen = connection.for_each("select 1", (), |_| ()).await.unwrap();
        assert_eq!(seen, 1);
        connection.describe("select $1::int4").await.unwrap();
        connection
            .fetch_one::<Row>("select 1 / $1", (0,))
            .await
            .unwrap_err();
    })
    .await;
}

#[tokio::test]
async fn r3_a_query_with_types_to_look_up_dropped_at_each_poll_leaves_the_connection_in_step() {
    RawClient::of_tests()
        .execute("drop type if exists r3_mood; create type r3_mood as enum ('glum', 'gay')");
    drop_everywhere("a query with types to look up", async |connection| {
        let row: Row = connection
            .fetch_one("select 'gay'::r3_mood", ())
            .await
            .unwrap();
        assert_eq!(row.columns()[0].ty().name(), "r3_mood");
        let row: Row = connection
            .fetch_one("select array['glum'::r3_mood]", ())
            .await
            .unwrap();
        assert_eq!(row.len(), 1);
    })
    .await;
    RawClient::of_tests().execute("drop type r3_mood");
}

#[tokio::test]
async fn r3_a_stream_dropped_after_each_row_leaves_the_connection_in_step() {
    let mut connection = connect().await;
    for rows in (0..100).chain([1_000, 9_999, 10_000]) {
        let sql = "select i, repeat('x', 50) from generate_series(1, 10000) i";
        let mut stream = connection.fetch::<(i32, String)>(sql, ()).await.unwrap();
        for i in 1..=rows {
            assert_eq!(stream.next().await.unwrap().unwrap().0, i);
        }
        drop(stream);
        let answer: i32 = connection
            .fetch_one("select $1 + 1", (rows,))
            .await
            .unwrap();
        assert_eq!(answer, rows + 1);
    }
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r3_queries_that_lose_a_select_leave_the_connection_in_step() {
    let mut connection = connect().await;
    let mut lost = 0;
    for i in 0..300_i32 {
        // From nothing at all to more turns of the runtime than the query takes.
        let patience = async {
            for _ in 0..i % 30 * 20 {
                tokio::task::yield_now().await;
            }
        };
        let asked = connection.fetch_all::<(i32, String)>(ROWS, (i,));
        tokio::select! {
            biased;
            () = patience => lost += 1,
            rows = asked => {
                let expected = if (1..=30).contains(&i) { 29 } else { 30 };
                assert_eq!(rows.unwrap().len(), expected);
            }
        }
    }
    assert!(lost > 0, "no query lost");
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r3_a_long_query_that_is_dropped_is_cancelled_by_the_next_one() {
    let mut connection = connect().await;
    for sql in ["select pg_sleep(3600)", "select pg_sleep(3600), $1::date"] {
        let process = connection.process_id();
        let day = kornak::Date::new(2024, 2, 29).unwrap();
        if sql.contains("$1") {
            let mut asking = Box::pin(connection.execute(sql, (day,)));
            until_it_runs(process, &mut asking).await;
        } else {
            let mut asking = Box::pin(connection.execute(sql, ()));
            until_it_runs(process, &mut asking).await;
        }
        check_token(&mut connection).await;
        assert_eq!(connection.process_id(), process, "it is the same session");
    }
}

/// Polls `asking` until the server runs it.
async fn until_it_runs<F: Future + Unpin>(process: i32, asking: &mut F) {
    tokio::select! {
        _ = asking => panic!("it has no end"),
        () = until_asleep(process) => {}
    }
}

#[tokio::test]
async fn r8_a_dropped_transaction_is_rolled_back_without_any_further_use() {
    // This thread alone could drive the connection, and it doesn't.
    for over_proxy in [false, true] {
        let (mut connection, proxy) = if over_proxy {
            let proxy = Proxy::start(Listen::Tcp, server::target().address);
            (
                connect_over(proxy.address(), |config| config).await,
                Some(proxy),
            )
        } else {
            (connect().await, None)
        };
        let mut observer = RawClient::of_tests();
        let sql = format!(
            "select state from pg_stat_activity where pid = {}",
            connection.process_id()
        );
        for nested in [false, true] {
            let mut transaction = connection.begin().await.unwrap();
            transaction.execute("select 1", ()).await.unwrap();
            if nested {
                let mut inner = transaction.begin().await.unwrap();
                inner.execute("select 2", ()).await.unwrap();
                inner.commit().await.unwrap();
            }
            assert_eq!(observer.value(&sql), "idle in transaction");
            drop(transaction);
            observer.wait_for(&format!("({sql}) = 'idle'"));
            check_token(&mut connection).await;
        }
        // A transaction that failed, too.
        let mut transaction = connection.begin().await.unwrap();
        transaction
            .execute("select 1 / $1", (0,))
            .await
            .unwrap_err();
        assert_eq!(observer.value(&sql), "idle in transaction (aborted)");
        drop(transaction);
        observer.wait_for(&format!("({sql}) = 'idle'"));
        check_token(&mut connection).await;
        drop(proxy);
    }
}
