//! One deadline for each verb of the pool, from the wait for a connection to the last byte, and
//! one for each hook.

mod live;
mod pool_support;
mod support;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use kornak::error::Outcome;
use kornak::{ErrorKind, Pool, exec, from_stream, one};
use live::{config, poll_once};
use pool_support::{Tested, config_over};
use support::address::SilentPort;
use support::deadline::{GENEROUS, within};
use support::proxy::{Listen, Proxy};
use support::raw::{RawClient, unique};
use support::server;
use tokio::sync::Notify;
use xtask::server::Role;

/// By the clock of the tests, which stands still but for what they add to it.
const LIMIT: Duration = Duration::from_secs(60);

/// More than half of it.
const MOST: Duration = Duration::from_secs(40);

const A_SHORT_WHILE: Duration = Duration::from_millis(50);

/// How a verb has failed, if it has.
type Ending<'p> = Pin<Box<dyn Future<Output = Option<ErrorKind>> + 'p>>;

/// Each verb of the pool that has no builder, and the streams up to their first rows.
fn verbs(pool: &Pool) -> Vec<(&'static str, Ending<'_>)> {
    macro_rules! ending {
        ($work:expr) => {
            Box::pin(async move {
                let result: Result<_, kornak::Error> = async { Ok($work) }.await;
                result.err().map(|error| error.kind())
            })
        };
    }
    let items = || [(1_i64,), (2,)];
    vec![
        (
            "fetch_one",
            ending!(pool.fetch_one::<i32>("select 1", ()).await?),
        ),
        (
            "fetch_optional",
            ending!(pool.fetch_optional::<i32>("select 1", ()).await?),
        ),
        (
            "fetch_all",
            ending!(pool.fetch_all::<i32>("select 1", ()).await?),
        ),
        (
            "for_each",
            ending!(pool.for_each("select 1", (), |_| ()).await?),
        ),
        ("execute", ending!(pool.execute("select 1", ()).await?)),
        (
            "batch_execute",
            ending!(pool.batch_execute("select 1; select 2").await?),
        ),
        (
            "fetch",
            ending!(pool.fetch::<i32>("select 1", ()).await?.next().await?),
        ),
        (
            "pipeline",
            ending!(pool.pipeline((one::<i32>("select 1", ()),)).await?),
        ),
        (
            "pipeline_each",
            ending!(pool.pipeline_each((exec("select 1", ()),)).await?.0?),
        ),
        (
            "execute_many",
            ending!(pool.execute_many("select $1::int8", items()).await?),
        ),
        (
            "fetch_many",
            ending!(
                pool.fetch_many::<i64, _>("select $1::int8", items())
                    .await?
            ),
        ),
        (
            "stream_many",
            ending!({
                let rows = pool.stream_many::<i64, _>("select $1::int8", items());
                rows.await?.next().await?
            }),
        ),
        (
            "copy_in",
            ending!(pool.copy_in("copy pg_class from stdin").await?),
        ),
        (
            "copy_in_rows",
            ending!(pool.copy_in_rows("pg_class", &["relname"]).await?),
        ),
        (
            "copy_out",
            ending!(
                pool.copy_out("copy (select 1) to stdout")
                    .await?
                    .next()
                    .await?
            ),
        ),
        (
            "copy_out_rows",
            ending!(pool.copy_out_rows::<i32>("select 1").await?.next().await?),
        ),
    ]
}

/// What comes of the future at the time that the clock shows, if anything does.
async fn now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    for _ in 0..16 {
        if let Poll::Ready(output) = poll_once(future) {
            return Some(output);
        }
        // The runtime looks at its timers.
        tokio::task::yield_now().await;
    }
    None
}

#[tokio::test]
async fn one_deadline_covers_the_wait_and_the_work_of_each_verb() {
    let count = verbs(&Tested::of(1, |builder| builder).pool).len();
    for number in 0..count {
        let proxy = Proxy::start(Listen::Unix, server::target().address);
        let tested = Tested::over(proxy.address(), 1, |builder| {
            builder.query_timeout(Some(LIMIT)).acquire_timeout(None)
        });
        let held = tested.acquire().await;
        let link = proxy.session(0).await;
        let (name, mut verb) = verbs(&tested.pool).swap_remove(number);
        tokio::time::pause();
        assert_eq!(now(&mut verb).await, None, "{name} waits");
        tokio::time::advance(MOST).await;
        assert_eq!(now(&mut verb).await, None, "{name} still waits");
        link.black_hole();
        drop(held);
        assert_eq!(now(&mut verb).await, None, "{name} works");
        assert_eq!(tested.pool.status().waiting, 0, "{name} has a connection");
        // More than the limit since the call, and less since the wait.
        tokio::time::advance(MOST).await;
        let failed = now(&mut verb).await;
        assert_eq!(failed, Some(Some(ErrorKind::Timeout)), "{name}");
        drop(verb);
        tokio::time::resume();
        link.resume();
        tested.check_token().await;
    }
}

#[tokio::test]
async fn the_deadline_of_each_verb_covers_the_connect() {
    let silent = SilentPort::new().await.unwrap();
    let pool = Pool::builder()
        .query_timeout(Some(A_SHORT_WHILE))
        .acquire_timeout(None)
        .connect_timeout(None)
        .build(config_over(&silent.address(), "pool-silent"))
        .unwrap();
    for (name, verb) in verbs(&pool) {
        let failed = within(GENEROUS, name, verb).await;
        assert_eq!(failed, Some(ErrorKind::PoolTimeout), "{name}");
    }
}

#[tokio::test]
async fn r39_each_verb_asks_once_for_a_connection_that_is_refused_for_good() {
    let target = server::role_target(Role::Scram);
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let pool = Pool::builder()
        .credential_provider(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            async { Ok("wrong".into()) }
        })
        .build(config(&target))
        .unwrap();
    for (number, (name, verb)) in (1..).zip(verbs(&pool)) {
        let failed = within(GENEROUS, name, verb).await;
        assert_eq!(failed, Some(ErrorKind::Server), "{name}");
        assert_eq!(asked.load(Ordering::Relaxed), number, "{name}");
    }
}

/// Items that never come.
struct Never;

impl futures_core::Stream for Never {
    type Item = (i64,);

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<(i64,)>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn the_deadline_of_a_verb_covers_the_wait_for_its_first_item() {
    let tested = Tested::of(1, |builder| builder.query_timeout(Some(LIMIT)));
    let sql = "select $1::int8";
    let pool = &tested.pool;
    let never = || from_stream(Never);
    let verbs: [Ending<'_>; 3] = [
        Box::pin(async {
            let done = pool.execute_many(sql, never()).await;
            done.err().map(|error| error.error().kind())
        }),
        Box::pin(async {
            let rows = pool.fetch_many::<i64, _>(sql, never()).await;
            rows.err().map(|error| error.error().kind())
        }),
        Box::pin(async {
            let rows = pool.stream_many::<i64, _>(sql, never()).await;
            rows.err().map(|error| error.error().kind())
        }),
    ];
    for mut verb in verbs {
        drop(tested.acquire().await);
        tested.at_rest().await;
        tokio::time::pause();
        assert_eq!(now(&mut verb).await, None, "it waits");
        assert_eq!(pool.status().busy, 1);
        tokio::time::advance(MOST).await;
        assert_eq!(now(&mut verb).await, None, "it still waits");
        tokio::time::advance(MOST).await;
        assert_eq!(now(&mut verb).await, Some(Some(ErrorKind::Timeout)));
        drop(verb);
        tokio::time::resume();
        tested.at_rest().await;
    }
    // A connection's own timeout counts from the wait, and what is left of it holds for the rest.
    let mut connection = tested.acquire().await;
    connection.set_default_timeout(Some(LIMIT));
    let mut waiting = Box::pin(connection.execute_many(sql, never()));
    tokio::time::pause();
    assert!(now(&mut waiting).await.is_none());
    tokio::time::advance(LIMIT * 2).await;
    let failed = now(&mut waiting).await.expect("it is over");
    let error = failed.expect_err("nothing came");
    assert_eq!(error.error().kind(), ErrorKind::Timeout);
    assert_eq!(error.error().outcome(), Outcome::NotRun);
    tokio::time::resume();
    drop(waiting);
    drop(connection);
    tested.check_token().await;
}

#[tokio::test]
async fn each_call_of_a_copy_on_the_pool_has_the_time_of_its_own() {
    let table = format!("kornak_{}", unique().replace('-', "_"));
    let mut raw = RawClient::of_tests();
    raw.execute(&format!("create table {table} (a int)"));
    let tested = Tested::of(1, |builder| builder.query_timeout(Some(LIMIT)));
    let later = async || {
        tokio::time::pause();
        tokio::time::advance(LIMIT * 2).await;
        tokio::time::resume();
    };

    let sql = format!("copy {table} from stdin");
    let mut copy = tested.pool.copy_in(&sql).await.unwrap();
    later().await;
    copy.send(b"1\n").await.unwrap();
    copy.flush().await.unwrap();
    later().await;
    assert_eq!(copy.finish().await.unwrap(), 1);

    let copy = tested.pool.copy_in_rows(table.as_str(), &["a"]).await;
    let mut copy = copy.unwrap();
    later().await;
    copy.send((2,)).await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 1);

    // That of a stream is one for all of it.
    let query = format!("select a from {table}, generate_series(1, 500000)");
    let mut rows = tested.pool.fetch::<i32>(&query, ()).await.unwrap();
    rows.next().await.unwrap();
    later().await;
    let mut reading = Box::pin(async {
        loop {
            match rows.next().await {
                Ok(Some(_)) => {}
                result => return result,
            }
        }
    });
    let read = within(GENEROUS, "the rest of the rows", &mut reading).await;
    assert_eq!(read.unwrap_err().kind(), ErrorKind::Timeout);
    drop(reading);
    drop(rows);
    tested.at_rest().await;
    raw.execute(&format!("drop table {table}"));
}

/// The hooks before a connection is lent are in `pool_connecting.rs`.
#[tokio::test]
async fn a_hook_after_releasing_that_hangs_costs_its_connection_and_nothing_else() {
    let hangs = Arc::new(AtomicBool::new(true));
    let has_begun = Arc::new(Notify::new());
    let (still_hangs, begun) = (Arc::clone(&hangs), Arc::clone(&has_begun));
    let tested = Tested::of(1, |builder| {
        builder.after_release(move |_| {
            begun.notify_one();
            let hangs = still_hangs.load(Ordering::Relaxed);
            Box::pin(async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                Ok(true)
            })
        })
    });
    let held = tested.acquire().await;
    let process = held.process_id();
    drop(held);
    within(GENEROUS, "the hook", has_begun.notified()).await;
    hangs.store(false, Ordering::Relaxed);
    let mut waiting = Box::pin(tested.pool.acquire());
    assert!(now(&mut waiting).await.is_none());
    tokio::time::pause();
    // What its documentation says.
    tokio::time::advance(Duration::from_secs(15)).await;
    tokio::time::resume();
    let next = within(GENEROUS, "the next in line", waiting).await.unwrap();
    assert_ne!(next.process_id(), process);
    drop(next);
    tested.check_token().await;
    let mut observer = tested.observer().await;
    // Of the one that hung nothing is left.
    observer.until_at_most(1, GENEROUS).await;
}
