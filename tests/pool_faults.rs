//! Backends killed, frozen and restarted under a pool that is used meanwhile.

mod live;
mod pool_support;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kornak::{ErrorKind, Pool, RetryPolicy, SqlState};
use live::{config, poll_once};
use pool_support::{Tested, at_rest};
use support::address::Target;
use support::deadline::{GENEROUS, blocking, within};
use support::proxy::{Fault, Listen, Proxy, Way};
use support::raw::{RawClient, unique};
use support::server;
use tokio::sync::watch;
use xtask::server::{Server, StopMode};

#[tokio::test]
async fn r31_a_backend_killed_in_a_query_is_an_error_and_is_replaced() {
    let tested = Tested::of(1, |builder| builder);
    let mut observer = tested.observer().await;
    for rows_first in [false, true] {
        let mut connection = tested.acquire().await;
        let process = connection.process_id();
        let error = if rows_first {
            let sql = "select repeat('x', 1000) from generate_series(1, 10000) a, generate_series(1, 10000) b";
            let mut rows = connection.fetch::<String>(sql, ()).await.unwrap();
            assert!(rows.next().await.unwrap().is_some());
            // The server is held up by the rows that nobody reads: reading goes on beside.
            let reading = async {
                loop {
                    match rows.next().await {
                        Ok(Some(_)) => {}
                        Ok(None) => panic!("the rows came to an end"),
                        Err(error) => break error,
                    }
                }
            };
            let (error, ()) = tokio::join!(reading, observer.terminate(process));
            error
        } else {
            let sleeping = connection.execute("select pg_sleep(600)", ());
            let (slept, ()) = tokio::join!(sleeping, observer.terminate(process));
            slept.unwrap_err()
        };
        // A server that is held up within a row says nothing more (`ProcessClientWriteInterrupt`
        // in its postgres.c).
        let sqlstate = error.sqlstate();
        assert!(
            sqlstate == Some(SqlState::ADMIN_SHUTDOWN) || rows_first && sqlstate.is_none(),
            "{error:#}"
        );
        drop(connection);
        let next: i32 = tested
            .pool
            .fetch_one("select pg_backend_pid()", ())
            .await
            .unwrap();
        assert_ne!(next, process);
        tested.check_token().await;
    }
}

/// A cluster that a test may stop and freeze, and a pool on it.
struct Own {
    server: xtask::server::Private,
    pool: Pool,
}

impl Own {
    fn with(name: &str, size: usize) -> Self {
        let server = Server::private(name, &[]).unwrap();
        let pool = Pool::builder()
            .max_size(size)
            .acquire_timeout(Some(GENEROUS))
            .build(config(&Target::from_url(&server.url())))
            .unwrap();
        Self { server, pool }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r33_a_frozen_backend_is_replaced_and_the_others_serve() {
    let own = Own::with("frozen", 2);
    let mut frozen = pool_support::acquire(&own.pool).await;
    let process = frozen.process_id();
    own.server.signal(process.cast_unsigned(), "STOP").unwrap();
    let mut asked = Box::pin(frozen.execute("select 1", ()));
    assert!(poll_once(&mut asked).is_pending());
    drop(asked);
    drop(frozen);
    // The other place serves at once, and this one again when it has been given up.
    let other: i32 = own
        .pool
        .fetch_one("select pg_backend_pid()", ())
        .await
        .unwrap();
    assert_ne!(other, process);
    let held = pool_support::acquire(&own.pool).await;
    let second = pool_support::acquire(&own.pool).await;
    assert_ne!(second.process_id(), process);
    assert_eq!(own.pool.status().size, 2);
    drop((held, second));
    own.server.signal(process.cast_unsigned(), "CONT").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r35_a_restart_under_load_costs_each_connection_one_error_at_most() {
    const SIZE: u64 = 8;
    let mut own = Own::with("restart", SIZE as usize);
    let (errors, answers) = (Arc::new(AtomicU64::new(0)), watch::Sender::new(0_u64));
    let is_over = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let pool = own.pool.clone();
            let (errors, answers) = (Arc::clone(&errors), answers.clone());
            let is_over = Arc::clone(&is_over);
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    let token = unique();
                    match pool
                        .fetch_one::<String>("select $1::text", (token.as_str(),))
                        .await
                    {
                        Ok(answer) => {
                            assert_eq!(answer, token);
                            answers.send_modify(|answers| *answers += 1);
                        }
                        Err(error) => {
                            assert!(error.is_closed() || error.sqlstate().is_some(), "{error:#}");
                            errors.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            })
        })
        .collect();
    for restart in 1..=2 {
        a_hundred_more(&answers).await;
        let mode = [StopMode::Fast, StopMode::Immediate][restart - 1];
        own = blocking(move || {
            own.server.restart(mode).unwrap();
            own
        })
        .await;
        a_hundred_more(&answers).await;
        let errors = errors.load(Ordering::Relaxed);
        assert!(
            errors <= SIZE * restart as u64,
            "{errors} errors after {restart} restarts"
        );
    }
    is_over.store(true, Ordering::Relaxed);
    for task in tasks {
        within(GENEROUS, "a task", task).await.unwrap();
    }
    at_rest(&own.pool).await;
    assert!(own.pool.status().size <= SIZE as usize);
}

/// Waits for a hundred more than there are.
async fn a_hundred_more(answers: &watch::Sender<u64>) {
    let before = *answers.borrow();
    let mut counted = answers.subscribe();
    let more = counted.wait_for(|answers| *answers > before + 100);
    within(GENEROUS, "answers", more).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retrying_ends_a_serialization_failure() {
    let table = format!("kornak_{}", unique().replace('-', "_"));
    let mut raw = RawClient::of_tests();
    raw.execute(&format!("create table {table} (a int)"));
    raw.execute(&format!("insert into {table} values (0)"));
    let tested = Tested::of(2, |builder| builder);
    let (mut connection, mut other) = (tested.acquire().await, tested.acquire().await);
    let update = format!("update {table} set a = a + 1");
    let set = "set transaction isolation level repeatable read";
    let read = format!("select a from {table}");
    let mut tries = 0;
    let mut attempts = connection.retry(kornak::RetryPolicy::default());
    let mut end = None;
    while let Some(mut attempt) = attempts.next().await.unwrap() {
        tries += 1;
        let result = async {
            attempt.execute(set, ()).await?;
            let seen: i32 = attempt.fetch_one(&read, ()).await?;
            if tries <= 2 {
                other.execute(&update, ()).await?;
            }
            attempt.execute(&update, ()).await?;
            Ok(seen)
        }
        .await;
        end = attempt.finish(result).await.unwrap();
    }
    assert_eq!((tries, end), (3, Some(2)));
    let mut attempts = other.retry(kornak::RetryPolicy::default().max_attempts(2));
    let mut tries = 0;
    let error = loop {
        let mut attempt = match attempts.next().await {
            Ok(attempt) => attempt.expect("none succeeds"),
            Err(error) => break error,
        };
        tries += 1;
        let result: kornak::Result<()> = async {
            attempt.execute(set, ()).await?;
            let _: i32 = attempt.fetch_one(&read, ()).await?;
            connection.execute(&update, ()).await?;
            attempt.execute(&update, ()).await.map(drop)
        }
        .await;
        assert_eq!(attempt.finish(result).await.unwrap(), None);
    };
    assert_eq!(
        (tries, error.sqlstate()),
        (2, Some(SqlState::SERIALIZATION_FAILURE))
    );
    assert_eq!(raw.value(&read), "5");
    raw.execute(&format!("drop table {table}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retrying_ends_a_deadlock() {
    let table = format!("kornak_{}", unique().replace('-', "_"));
    let mut raw = RawClient::of_tests();
    raw.execute(&format!("create table {table} (id int, a int)"));
    raw.execute(&format!("insert into {table} values (1, 0), (2, 0)"));
    let tested = Tested::of(2, |builder| builder);
    let both_hold = Arc::new(tokio::sync::Barrier::new(2));
    let tries = Arc::new(AtomicU64::new(0));
    let tasks = [[1, 2], [2, 1]].map(|order| {
        let (pool, update) = (
            tested.pool.clone(),
            format!("update {table} set a = a + 1 where id = $1"),
        );
        let (both_hold, tries) = (Arc::clone(&both_hold), Arc::clone(&tries));
        tokio::spawn(async move {
            let mut connection = pool.acquire().await.unwrap();
            let mut attempts = connection.retry(kornak::RetryPolicy::default());
            let mut is_first = true;
            while let Some(mut attempt) = attempts.next().await.unwrap() {
                tries.fetch_add(1, Ordering::Relaxed);
                let result = async {
                    attempt
                        .execute("set local deadlock_timeout = '10ms'", ())
                        .await?;
                    attempt.execute(&update, (order[0],)).await?;
                    if std::mem::take(&mut is_first) {
                        both_hold.wait().await;
                    }
                    attempt.execute(&update, (order[1],)).await
                }
                .await;
                attempt.finish(result).await.unwrap();
            }
        })
    });
    for task in tasks {
        within(GENEROUS, "the deadlock", task).await.unwrap();
    }
    assert_eq!(
        tries.load(Ordering::Relaxed),
        3,
        "one of the two is tried again"
    );
    assert_eq!(raw.column(&format!("select a from {table}")), ["2", "2"]);
    raw.execute(&format!("drop table {table}"));
}

#[tokio::test]
async fn r33_an_idle_connection_that_does_not_answer_the_ping_is_replaced() {
    let proxy = Proxy::start(Listen::Unix, server::target().address);
    let tested = Tested::over(proxy.address(), 1, |builder| {
        builder.ping_after(Some(Duration::ZERO))
    });
    let process = tested.acquire().await.process_id();
    proxy.session(0).await.black_hole();
    let next = tested.acquire().await;
    assert_ne!(next.process_id(), process);
}

/// Nobody can tell what became of a COMMIT whose answer is lost, and nobody sends it again.
#[tokio::test]
async fn r2_a_link_cut_at_each_byte_of_commit_and_its_reply_leaves_the_outcome_unknown() {
    let table = format!("kornak_{}", unique().replace('-', "_"));
    let mut raw = RawClient::of_tests();
    raw.execute(&format!("create table {table} (a int)"));
    let insert = format!("insert into {table} values ($1)");
    for way in [Way::ToServer, Way::ToClient] {
        let proxy = Proxy::start(Listen::Unix, server::target().address);
        let tested = Tested::over(proxy.address(), 1, |builder| builder);
        let mut offset = 0;
        // Until the link is cut behind the last byte.
        loop {
            let mut attempts = tested.pool.retry(RetryPolicy::default());
            let mut attempt = attempts.next().await.unwrap().expect("the first");
            attempt.execute(&insert, (offset,)).await.unwrap();
            let link = proxy.session(offset as usize).await;
            link.arm(way, offset as u64, Fault::Cut);
            let ended = within(GENEROUS, "the commit", attempt.finish(Ok(()))).await;
            if ended.is_ok() {
                break;
            }
            let error = ended.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::CommitOutcomeUnknown, "{error}");
            assert!(attempts.next().await.unwrap().is_none(), "{way:?} {offset}");
            offset += 1;
        }
        assert!(offset > 20, "{way:?}: {offset} bytes are too few");
        let mut observer = tested.observer().await;
        tested.pool.close(GENEROUS).await;
        observer.until_at_most(0, GENEROUS).await;
        let first = match way {
            // The server commits with the last byte of Execute; the five of Sync follow it.
            Way::ToServer => offset - 1 - 5,
            // Cut before its first byte, the link doesn't take the COMMIT either.
            Way::ToClient => 1,
        };
        let written = raw.column(&format!("select a from {table} order by a"));
        let expected: Vec<String> = (first..=offset).map(|a| a.to_string()).collect();
        assert_eq!(written, expected, "{way:?}: once or never");
        raw.execute(&format!("truncate {table}"));
    }
    raw.execute(&format!("drop table {table}"));
}
