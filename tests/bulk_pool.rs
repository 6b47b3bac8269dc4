//! The verbs for heavy work on the pool itself.

mod live;
mod pool_support;
mod support;

use kornak::connection::pipeline::Statements;
use kornak::{Pool, SqlState, all, exec, from_stream, one};
use pool_support::Tested;
use support::deadline::{GENEROUS, within};
use support::raw::{RawClient, unique};
use support::server;

/// A table that all sessions see.
struct Table(String);

impl Table {
    fn new() -> Self {
        let name = unique();
        RawClient::of_tests().execute(&format!("create table \"{name}\" (id int4, name text)"));
        Self(name)
    }

    async fn count(&self, pool: &Pool) -> i64 {
        let sql = format!("select count(*) from \"{}\"", self.0);
        pool.fetch_one(&sql, ()).await.unwrap()
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        RawClient::of_tests().execute(&format!("drop table \"{}\"", self.0));
    }
}

#[tokio::test]
async fn each_bulk_verb_works_on_the_pool_and_gives_its_connection_back() {
    let tested = Tested::of(1, |builder| builder);
    let (pool, table) = (&tested.pool, Table::new());
    let name = table.0.as_str();
    let insert = format!("insert into \"{name}\" values ($1, $2)");
    let returning = format!("{insert} returning id");
    let select = format!("select id, name from \"{name}\" order by id");

    let done = pool.execute_many(&insert, (0..1_000).map(|i| (i, "a")));
    assert_eq!(done.await.unwrap(), 1_000);
    let ids: Vec<i32> = pool
        .fetch_many(&returning, from_stream(Given::new(1_000..1_100)))
        .await
        .unwrap();
    assert_eq!(ids, (1_000..1_100).collect::<Vec<_>>());
    let items = (1_100..2_000).map(|i| (i, "b"));
    let mut ids = pool.stream_many::<i32, _>(&returning, items).await.unwrap();
    for expected in 1_100..2_000 {
        assert_eq!(ids.next().await.unwrap(), Some(expected));
    }
    assert_eq!(ids.next().await.unwrap(), None);
    drop(ids);
    let mut copy = pool.copy_in_rows(name, &["id", "name"]).await.unwrap();
    copy.send_all((2_000..3_000).map(|i| (i, "c")))
        .await
        .unwrap();
    assert_eq!(copy.finish().await.unwrap(), 1_000);
    let sql = format!("copy \"{name}\" from stdin");
    let mut copy = pool.copy_in(&sql).await.unwrap();
    copy.send(b"3000\td\n").await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 1);
    assert_eq!(table.count(pool).await, 3_001);

    let mut copy = pool
        .copy_out(&format!("copy \"{name}\" to stdout"))
        .await
        .unwrap();
    let mut lines = Vec::new();
    copy.write_to(&mut lines).await.unwrap();
    assert_eq!(lines.split(|byte| *byte == b'\n').count(), 3_002);
    drop(copy);
    let mut rows = pool.copy_out_rows::<(i32, String)>(&select).await.unwrap();
    for expected in 0..=3_000 {
        assert_eq!(rows.next().await.unwrap().unwrap().0, expected);
    }
    assert!(rows.next().await.unwrap().is_none());
    drop(rows);
    let mut rows = pool.fetch::<(i32, String)>(&select, ()).await.unwrap();
    assert_eq!(rows.next().await.unwrap(), Some((0, "a".into())));
    drop(rows);

    let (n, ids) = pool
        .pipeline((one::<i64>("select 7::int8", ()), all::<i32>("select 8", ())))
        .await
        .unwrap();
    assert_eq!((n, ids), (7, vec![8]));
    let (fine, broken) = pool
        .pipeline_each((one::<i64>("select 7::int8", ()), exec("select 1 / 0", ())))
        .await
        .unwrap();
    assert_eq!(fine.unwrap(), 7);
    assert_eq!(
        broken.unwrap_err().sqlstate(),
        Some(SqlState::DIVISION_BY_ZERO)
    );
    let mut statements = Statements::new();
    let seven = statements.add(one::<i64>("select 7::int8", ()));
    let mut results = pool.pipeline(statements).await.unwrap();
    assert_eq!(results.take(seven).unwrap(), 7);
    tested.check_token().await;
}

#[tokio::test]
async fn r9_what_is_dropped_halfway_on_the_pool_leaves_nothing() {
    let tested = Tested::over(&server::tcp_target().address, 1, |builder| builder);
    let (pool, table) = (&tested.pool, Table::new());
    let name = table.0.as_str();
    let insert = format!("insert into \"{name}\" values ($1, $2) returning id");
    let copy_in = format!("copy \"{name}\" from stdin");
    let endless = "select generate_series(1, 1000000000)";
    for _ in 0..2 {
        let mut copy = pool.copy_in(&copy_in).await.unwrap();
        copy.send(b"1\tone\n").await.unwrap();
        drop(copy);
        assert_eq!(table.count(pool).await, 0);
        let mut copy = pool.copy_in_rows(name, &["id", "name"]).await.unwrap();
        copy.send((1, "one")).await.unwrap();
        drop(copy);
        assert_eq!(table.count(pool).await, 0);
        // More than any socket holds: the COMMIT is never on its way.
        let items = (0..100_000_000).map(|i| (i, "name"));
        let mut rows = pool.stream_many::<i32, _>(&insert, items).await.unwrap();
        assert_eq!(rows.next().await.unwrap(), Some(0));
        drop(rows);
        assert_eq!(table.count(pool).await, 0);
        let mut rows = pool.fetch::<i32>(endless, ()).await.unwrap();
        assert_eq!(rows.next().await.unwrap(), Some(1));
        drop(rows);
        let mut rows = pool.copy_out_rows::<i32>(endless).await.unwrap();
        assert_eq!(rows.next().await.unwrap(), Some(1));
        drop(rows);
        tested.check_token().await;
    }
}

/// What the last borrower left is gone before the first statement of each verb, and a reset
/// that fails sends the work to another connection.
#[tokio::test]
async fn r50_the_bulk_verbs_find_a_session_that_is_reset() {
    let tested = Tested::of(1, |builder| builder);
    let (pool, table) = (&tested.pool, Table::new());
    let name = table.0.as_str();
    let default: String = pool
        .fetch_one("select current_setting('work_mem')", ())
        .await
        .unwrap();
    let insert = format!("insert into \"{name}\" select $1, current_setting('work_mem')");
    let ask = "select 1, current_setting('work_mem')";
    for verb in 0..7 {
        pool.execute("set work_mem = '1234kB'", ()).await.unwrap();
        let found: String = match verb {
            0 => {
                pool.pipeline((one::<(i32, String)>(ask, ()),))
                    .await
                    .unwrap()
                    .0
                    .1
            }
            1 => {
                let (result,) = pool
                    .pipeline_each((one::<(i32, String)>(ask, ()),))
                    .await
                    .unwrap();
                result.unwrap().1
            }
            2 => {
                pool.execute_many(&insert, [(1,)]).await.unwrap();
                let sql = format!("select name from \"{name}\"");
                pool.fetch_one(&sql, ()).await.unwrap()
            }
            3 => {
                let sql = "select current_setting('work_mem') where $1";
                pool.fetch_many::<String, _>(sql, [(true,)])
                    .await
                    .unwrap()
                    .remove(0)
            }
            4 => {
                let mut rows = pool.fetch::<(i32, String)>(ask, ()).await.unwrap();
                rows.next().await.unwrap().unwrap().1
            }
            5 => {
                let mut rows = pool.copy_out_rows::<(i32, String)>(ask).await.unwrap();
                rows.next().await.unwrap().unwrap().1
            }
            _ => {
                let mut out = Vec::new();
                let mut copy = pool
                    .copy_out(&format!("copy ({ask}) to stdout"))
                    .await
                    .unwrap();
                copy.write_to(&mut out).await.unwrap();
                let line = String::from_utf8(out).unwrap();
                line.trim_end().split_once('\t').unwrap().1.to_owned()
            }
        };
        assert_eq!(found, default, "verb {verb}");
    }
    tested.check_token().await;
}

#[tokio::test]
async fn r50_a_reset_that_fails_sends_bulk_work_to_another_connection() {
    let table = Table::new();
    let insert = format!("insert into \"{}\" values ($1, $2)", table.0);
    for verb in 0..3 {
        let tested = Tested::of(1, |builder| builder);
        let mut connection = tested.acquire().await;
        let process = connection.process_id();
        connection
            .execute("create temp table kornak_held (a int)", ())
            .await
            .unwrap();
        let held: String = connection
            .fetch_one("select n.nspname || '.kornak_held' from pg_class c join pg_namespace n on n.oid = relnamespace where c.oid = 'kornak_held'::regclass", ())
            .await
            .unwrap();
        drop(connection);
        tested.at_rest().await;
        // The temporary table can't be dropped while somebody else holds a lock on it.
        let mut holder = RawClient::of_tests();
        holder.execute("begin");
        holder.execute(&format!("lock table {held} in access share mode"));
        let (pool, insert) = (tested.pool.clone(), insert.clone());
        let name = table.0.clone();
        let working = tokio::spawn(async move {
            match verb {
                0 => pool
                    .execute_many(&insert, (0..10).map(|i| (i, "x")))
                    .await
                    .unwrap(),
                1 => {
                    let items = (0..10).map(|i| exec(&insert, (i, "x")));
                    let counts = pool.pipeline(items.collect::<Vec<_>>()).await.unwrap();
                    counts.iter().sum()
                }
                _ => {
                    let mut copy = pool
                        .copy_in(&format!("copy \"{name}\" from stdin"))
                        .await
                        .unwrap();
                    for _ in 0..10 {
                        copy.send(b"1\tx\n").await.unwrap();
                    }
                    copy.finish().await.unwrap()
                }
            }
        });
        let mut observer = tested.observer().await;
        let waits = format!(
            "select 1 from pg_stat_activity where pid = {process} and wait_event_type = 'Lock'"
        );
        while observer.query(&waits).await.is_empty() {
            assert!(!working.is_finished(), "the reset waits for the lock");
        }
        observer
            .query(&format!("select pg_cancel_backend({process})"))
            .await;
        let rows = within(GENEROUS, "the other connection", working).await;
        assert_eq!(rows.unwrap(), 10);
        holder.execute("rollback");
        assert_eq!(table.count(&tested.pool).await, 10 * (i64::from(verb) + 1));
    }
}

#[tokio::test]
async fn its_futures_go_to_other_threads() {
    let pool = Tested::of(2, |builder| builder).pool;
    let working = tokio::spawn(async move {
        let words = [String::from("a"), String::from("bc")];
        let items = words.iter().map(|word| (word.as_str(),));
        let lengths: Vec<i32> = pool.fetch_many("select length($1)", items).await?;
        let items = words.iter().map(|word| (word.as_str(),));
        let done = pool.execute_many("select length($1)", items).await?;
        let mut rows = pool.fetch::<i32>("select 1", ()).await?;
        while rows.next().await?.is_some() {}
        Ok::<_, kornak::Error>((lengths, done))
    });
    assert_eq!(working.await.unwrap().unwrap(), (vec![1, 2], 2));
}

/// A stream of items that keeps its reader waiting before each of them.
struct Given {
    rest: std::ops::Range<i32>,
    has_waited: bool,
}

impl Given {
    fn new(rest: std::ops::Range<i32>) -> Self {
        Self {
            rest,
            has_waited: false,
        }
    }
}

impl futures_core::Stream for Given {
    type Item = (i32, String);

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        if !std::mem::replace(&mut self.has_waited, true) {
            cx.waker().wake_by_ref();
            return std::task::Poll::Pending;
        }
        self.has_waited = false;
        let item = self.rest.next().map(|i| (i, format!("item {i}")));
        std::task::Poll::Ready(item)
    }
}
