//! Whatever is dropped while a connection is borrowed: its place is kept, and the next
//! borrower gets exactly the own answers.

mod live;
mod pool_support;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kornak::Pool;
use kornak::pool::Reset;
use live::poll_once;
use pool_support::{Tested, at_rest};
use support::deadline::{GENEROUS, within};
use support::drops::DropAtEachPoll;
use support::proxy::{CancelPolicy, Listen, Pace, Proxy, Way};
use support::server;

/// Drops what `operate` does with a pool of one at each of its polls.
async fn drop_everywhere(what: &str, tested: &Tested, operate: impl AsyncFn(&Pool)) {
    let make = async || ();
    let operate = async |(): &mut ()| operate(&tested.pool).await;
    let check = async |(), _| {
        tested.check_token().await;
        tested.at_rest().await;
        let status = tested.pool.status();
        assert!(status.size <= 1, "{status:?}");
    };
    let plain = DropAtEachPoll::new(what).at_least(1).spurious_polls(1);
    plain.run(make, operate, check).await;
    let woken = DropAtEachPoll::new(what).at_least(1).once_woken();
    woken.run(make, operate, check).await;
}

/// As [`drop_everywhere`], and once more with each byte in a read of its own.
async fn drop_at_each_byte(what: &str, operate: impl AsyncFn(&Pool)) {
    for reset in [Reset::Smart, Reset::Always] {
        let tested = Tested::of(1, |builder| builder.reset(reset));
        drop_everywhere(what, &tested, &operate).await;
    }
    let proxy = Proxy::start(Listen::Unix, server::target().address);
    let drip = Pace {
        write_size: Some(1),
        ..Pace::default()
    };
    let tested = Tested::over(proxy.address(), 1, |builder| builder);
    tested.pool.execute("select 1", ()).await.unwrap();
    let pace = |pace| {
        let sessions = proxy.links().into_iter().filter(|link| link.is_session());
        sessions.for_each(|link| link.set_pace(Way::ToClient, pace));
    };
    let make = async || pace(drip);
    let operate = async |(): &mut ()| operate(&tested.pool).await;
    let check = async |(), _| {
        pace(Pace::default());
        tested.check_token().await;
        tested.at_rest().await;
    };
    // On a busy machine the pieces may arrive together: each wait counts for three.
    let pieces = DropAtEachPoll::new(what).spurious_polls(2);
    pieces.run(make, operate, check).await;
}

#[tokio::test]
async fn r1_begin_dropped_at_each_poll_leaves_the_pool_no_transaction() {
    drop_at_each_byte("begin on a pool of one", async |pool| {
        let mut connection = pool.acquire().await.unwrap();
        let mut transaction = connection.begin().await.unwrap();
        let one: i32 = transaction.fetch_one("select 1", ()).await.unwrap();
        assert_eq!(one, 1);
        transaction.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn r3_a_query_dropped_at_each_poll_leaves_the_pool_in_step() {
    drop_at_each_byte("a query on a pool of one", async |pool| {
        let numbers: Vec<i32> = pool
            .fetch_all("select generate_series(1, $1::int)", (3,))
            .await
            .unwrap();
        assert_eq!(numbers, [1, 2, 3]);
    })
    .await;
}

#[tokio::test]
async fn r3_queries_that_lose_a_race_leave_the_pool_in_step() {
    let tested = Tested::of(1, |builder| builder);
    for polls in 0..20 {
        let pool = tested.pool.clone();
        let mut left = polls;
        let mut slow = Box::pin(async move {
            let mut connection = pool.acquire().await?;
            let mut rows = connection
                .fetch::<i32>("select generate_series(1, 1000)", ())
                .await?;
            while rows.next().await?.is_some() {}
            connection.execute("select pg_sleep(600)", ()).await
        });
        tokio::select! {
            biased;
            done = &mut slow => panic!("it sleeps: {done:?}"),
            () = std::future::poll_fn(|cx| {
                left -= 1;
                cx.waker().wake_by_ref();
                if left < 0 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            }) => {}
        }
        drop(slow);
        tested.check_token().await;
    }
}

#[tokio::test]
async fn r11_acquiring_dropped_at_each_poll_keeps_the_place() {
    let tested = Tested::of(1, |builder| {
        builder
            .reset(Reset::Always)
            .ping_after(Some(Duration::ZERO))
            .after_connect(|connection| {
                Box::pin(async move {
                    connection.execute("select 1", ()).await?;
                    Ok(())
                })
            })
            .before_acquire(|connection| {
                Box::pin(async move { Ok(connection.execute("select 2", ()).await? == 1) })
            })
            .after_release(|connection| {
                Box::pin(async move { Ok(connection.execute("select 3", ()).await? == 1) })
            })
    });
    drop_everywhere("acquiring with a health check", &tested, async |pool| {
        drop(pool.acquire().await.unwrap());
    })
    .await;

    // Each connection is worn out at once: connecting is part of each acquire.
    let tested = Tested::of(1, |builder| builder.max_uses(Some(1)));
    drop_everywhere("acquiring with a connect", &tested, async |pool| {
        drop(pool.acquire().await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn r11_a_turn_that_is_dropped_goes_to_the_next() {
    let tested = Tested::of(1, |builder| builder);
    let held = tested.acquire().await;
    let mut waiting: Vec<_> = (0..5).map(|_| Box::pin(tested.pool.acquire())).collect();
    for acquiring in &mut waiting {
        assert!(poll_once(acquiring).is_pending());
    }
    assert_eq!(tested.pool.status().waiting, 5);
    // The first is granted the connection and never asks for it.
    drop(held);
    let rest = waiting.split_off(1);
    drop(waiting);
    for acquiring in rest {
        let acquired = within(GENEROUS, "the next turn", acquiring).await;
        drop(acquired.unwrap());
    }
    tested.at_rest().await;
    assert_eq!(tested.pool.status().size, 1);
}

#[tokio::test]
async fn r11_hooks_that_refuse_or_panic_keep_the_place() {
    let acquired = Arc::new(AtomicU64::new(0));
    let released = Arc::new(AtomicU64::new(0));
    let (of_acquire, of_release) = (Arc::clone(&acquired), Arc::clone(&released));
    let tested = Tested::of(1, |builder| {
        builder
            .before_acquire(move |_| {
                let number = of_acquire.fetch_add(1, Ordering::Relaxed);
                Box::pin(async move { Ok(number % 3 != 1) })
            })
            .after_release(move |_| {
                let number = of_release.fetch_add(1, Ordering::Relaxed);
                Box::pin(async move {
                    match number % 4 {
                        0 => Ok(true),
                        1 => Ok(false),
                        2 => Err("a hook that fails".into()),
                        _ => panic!("a hook that panics"),
                    }
                })
            })
    });
    for _ in 0..9 {
        drop(tested.acquire().await);
        tested.at_rest().await;
    }
    assert!(acquired.load(Ordering::Relaxed) > 9, "some were refused");
    assert_eq!(released.load(Ordering::Relaxed), 9);
}

#[tokio::test]
async fn r11_a_hook_that_panics_on_connecting_fails_whoever_waits_and_not_the_pool() {
    let connects = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&connects);
    let tested = Tested::of(2, |builder| {
        builder.after_connect(move |_| {
            let number = counted.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                assert!(number > 0, "a hook that panics");
                Ok(())
            })
        })
    });
    let failed = within(GENEROUS, "the first", tested.pool.acquire()).await;
    let error = failed.map(drop).unwrap_err();
    assert_ne!(error.kind(), kornak::ErrorKind::PoolClosed, "{error:#}");
    assert!(!tested.pool.is_closed());
    tested.check_token().await;
    at_rest(&tested.pool).await;
}

#[tokio::test]
async fn r7_a_huge_stream_dropped_after_a_row_is_cut_short() {
    let proxy = Proxy::start(Listen::Unix, server::target().address);
    let tested = Tested::over(proxy.address(), 1, |builder| builder);
    let mut connection = tested.acquire().await;
    let process = connection.process_id();
    // 100 GB, if it came to its end.
    let sql =
        "select repeat('x', 1000) from generate_series(1, 10000) a, generate_series(1, 10000) b";
    let mut rows = connection.fetch::<String>(sql, ()).await.unwrap();
    assert_eq!(rows.next().await.unwrap().unwrap().len(), 1000);
    drop(rows);
    drop(connection);
    tested.check_token().await;
    let next = tested.acquire().await;
    assert_eq!(next.process_id(), process, "it was cancelled, not closed");
    assert_eq!(proxy.connections().cancels, 1);
    let bytes = proxy.bytes(Way::ToClient);
    assert!(bytes < 2_000_000_000, "{bytes} bytes were read to the end");
}

#[tokio::test]
async fn r5_a_late_cancel_never_hits_the_next_query() {
    let mut cases = Vec::new();
    for delay_ms in [0, 5, 20, 50, 100, 200] {
        for sleep in ["0.03", "0.1", "600"] {
            cases.push(tokio::spawn(late_cancel(delay_ms, sleep)));
        }
    }
    let mut cancels = 0;
    for case in cases {
        cancels += case.await.unwrap();
    }
    assert!(cancels >= 6, "{cancels} were cancelled");
}

/// Drops a query that sleeps, of which the cancel comes late, and lets the next ones sleep.
/// Returns how often it was cancelled.
async fn late_cancel(delay_ms: u64, sleep: &str) -> u64 {
    let proxy = Proxy::start(Listen::Unix, server::target().address);
    proxy.plan(|plan| plan.cancel = CancelPolicy::Delay(Duration::from_millis(delay_ms)));
    let tested = Tested::over(proxy.address(), 1, |builder| builder);
    let mut connection = tested.acquire().await;
    let sql = format!("select pg_sleep({sleep})");
    let mut sleeping = Box::pin(connection.execute(&sql, ()));
    assert!(poll_once(&mut sleeping).is_pending());
    drop(sleeping);
    drop(connection);
    // A cancel that is still on its way would hit one of these.
    for _ in 0..3 {
        let slept = tested.pool.execute("select pg_sleep(0.1)", ());
        let slept = within(GENEROUS, "the next query", slept).await;
        assert_eq!(slept.unwrap(), 1, "{delay_ms} ms late, after {sleep} s");
    }
    proxy.connections().cancels
}

#[tokio::test]
async fn r6_a_cancel_that_fails_ends_within_its_budget() {
    let policies = [
        CancelPolicy::BlackHole,
        CancelPolicy::Reset,
        CancelPolicy::Close,
    ];
    let mut cases = Vec::new();
    for policy in policies {
        cases.push(tokio::spawn(async move {
            let proxy = Proxy::start(Listen::Unix, server::target().address);
            proxy.plan(|plan| plan.cancel = policy);
            let tested = Tested::over(proxy.address(), 1, |builder| builder);
            let mut connection = tested.acquire().await;
            let process = connection.process_id();
            let mut sleeping = Box::pin(connection.execute("select pg_sleep(600)", ()));
            assert!(poll_once(&mut sleeping).is_pending());
            drop(sleeping);
            drop(connection);
            let (next, one): (i32, i32) = within(
                GENEROUS,
                "the next borrower",
                tested.pool.fetch_one("select pg_backend_pid(), 1", ()),
            )
            .await
            .unwrap_or_else(|error| panic!("{policy:?}: {error:#}"));
            assert_eq!(one, 1);
            assert_ne!(next, process, "{policy:?}: it can't have been cancelled");
            let mut observer = tested.observer().await;
            observer
                .query(&format!("select pg_terminate_backend({process})"))
                .await;
        }));
    }
    for case in cases {
        case.await.unwrap();
    }
}

#[tokio::test]
async fn r6_a_cancel_that_is_refused_ends_within_its_budget() {
    let proxy = Proxy::start(Listen::Tcp, server::target().address);
    let tested = Tested::over(proxy.address(), 1, |builder| builder);
    let mut connection = tested.acquire().await;
    let process = connection.process_id();
    let mut sleeping = Box::pin(connection.execute("select pg_sleep(600)", ()));
    assert!(poll_once(&mut sleeping).is_pending());
    proxy.refuse_all();
    drop(sleeping);
    drop(connection);
    at_rest(&tested.pool).await;
    assert_eq!(tested.pool.status().size, 0);
    proxy.accept_again();
    let next: i32 = tested
        .pool
        .fetch_one("select pg_backend_pid()", ())
        .await
        .unwrap();
    assert_ne!(next, process);
    let mut observer = tested.observer().await;
    observer
        .query(&format!("select pg_terminate_backend({process})"))
        .await;
}
