//! Who gets a connection and when, how many there are, and how a pool ends.

mod live;
mod pool_support;
mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use kornak::{ErrorKind, Pool};
use live::{eventually, poll_once};
use pool_support::{Tested, config_over};
use support::address::{Address, SilentPort};
use support::deadline::{GENEROUS, within};
use support::proxy::{Listen, Proxy};
use support::raw::unique;
use support::server;

const A_SHORT_WHILE: Duration = Duration::from_millis(50);

#[tokio::test]
async fn r52_ten_thousand_waiters_are_served_in_their_order() {
    let tested = Tested::of(1, |builder| builder.acquire_timeout(None));
    let held = tested.acquire().await;
    let process = held.process_id();
    let served = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for number in 0..10_000 {
        let (pool, served) = (tested.pool.clone(), Arc::clone(&served));
        // Tasks of this runtime begin in the order in which they are spawned.
        tasks.push(tokio::spawn(async move {
            let connection = pool.acquire().await.unwrap();
            served.lock().unwrap().push(number);
            assert_eq!(connection.process_id(), process);
        }));
    }
    eventually("all waiting", async || {
        tested.pool.status().waiting == 10_000
    })
    .await;
    drop(held);
    for task in tasks {
        within(GENEROUS, "a turn", task).await.unwrap();
    }
    let served = served.lock().unwrap();
    assert!(served.is_sorted(), "out of their order");
    assert_eq!(served.len(), 10_000);
    let status = tested.pool.status();
    assert_eq!(
        (status.size, status.idle, status.waiting),
        (1, 1, 0),
        "{status:?}"
    );
}

#[tokio::test]
async fn r52_a_storm_of_timeouts_changes_nothing() {
    let proxy = Proxy::start(Listen::Unix, server::target().address);
    let tested = Tested::over(proxy.address(), 2, |builder| {
        builder.acquire_timeout(Some(A_SHORT_WHILE))
    });
    // To connect may take longer than they wait.
    let warm = within(GENEROUS, "both connections", async {
        while tested.pool.warm_up(2).await.is_err() {}
    });
    warm.await;
    let held = [tested.acquire().await, tested.acquire().await];
    let mut tasks = Vec::new();
    for _ in 0..10_000 {
        let pool = tested.pool.clone();
        tasks.push(tokio::spawn(async move {
            pool.acquire().await.map(drop).unwrap_err().kind()
        }));
    }
    for task in tasks {
        let kind = within(GENEROUS, "a timeout", task).await.unwrap();
        assert_eq!(kind, ErrorKind::PoolTimeout);
    }
    let status = tested.pool.status();
    assert_eq!((status.busy, status.waiting), (2, 0), "{status:?}");
    drop(held);
    tested.check_token().await;
    assert_eq!(
        proxy.connections().accepted,
        2,
        "no further connection was made"
    );
}

#[tokio::test]
async fn a_timeout_says_what_the_pool_was_doing() {
    let tested = Tested::of(1, |builder| builder.acquire_timeout(Some(A_SHORT_WHILE)));
    let held = tested.acquire().await;
    let mut other = Box::pin(tested.pool.acquire());
    assert!(poll_once(&mut other).is_pending());
    let error = tested.pool.acquire().await.map(drop).unwrap_err();
    let message = error.to_string();
    assert_eq!(error.kind(), ErrorKind::PoolTimeout);
    assert!(error.is_timeout());
    for part in [
        "no connection became free within",
        "1 of 1 are busy",
        "0 connecting",
        "1 others wait",
        "all connections are lent",
    ] {
        assert!(message.contains(part), "{message}");
    }
    drop((other, held));

    let proxy = Proxy::start(Listen::Tcp, server::target().address);
    proxy.refuse_all();
    let tested = Tested::over(proxy.address(), 3, |builder| {
        builder.acquire_timeout(Some(A_SHORT_WHILE * 10))
    });
    let error = tested.pool.acquire().await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PoolTimeout);
    assert!(error.to_string().contains("1 connecting"), "{error}");
    assert!(error.to_string().contains("could be made"), "{error}");
    let source = std::error::Error::source(&error).expect("why the connect failed");
    assert!(source.to_string().contains("refused"), "{source}");
    assert!(tested.pool.status().last_connect_error.is_some());
    // Those who come later have what they want as soon as the server is there.
    proxy.accept_again();
    let tested = Tested::over(proxy.address(), 3, |builder| builder);
    proxy.refuse_all();
    let mut waiting = Box::pin(tested.pool.acquire());
    assert!(poll_once(&mut waiting).is_pending());
    eventually("a refusal", async || {
        tested.pool.status().last_connect_error.is_some()
    })
    .await;
    proxy.accept_again();
    drop(
        within(GENEROUS, "the server is back", waiting)
            .await
            .unwrap(),
    );
    assert!(tested.pool.status().last_connect_error.is_none());
}

#[tokio::test]
async fn a_refusal_that_stays_is_told_at_once() {
    let target = server::target();
    let config = live::config(&target).dbname(format!("kornak-{}", unique()));
    let pool = Pool::builder().build(config).unwrap();
    let error = within(GENEROUS, "the refusal", pool.acquire())
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(
        error
            .sqlstate()
            .map(|state| state.code().to_owned())
            .as_deref(),
        Some("3D000")
    );
}

#[tokio::test]
async fn r54_closing_waits_for_the_lent_ones_and_ends_all_others() {
    let tested = Tested::of(2, |builder| builder);
    let mut observer = tested.observer().await;
    let mut busy = tested.acquire().await;
    let dead = tested.acquire().await;
    observer.terminate(dead.process_id()).await;
    let mut waiting = Box::pin(tested.pool.acquire());
    assert!(poll_once(&mut waiting).is_pending());
    let mut closing = Box::pin(tested.pool.close(GENEROUS));
    assert!(poll_once(&mut closing).is_pending());
    let error = within(GENEROUS, "the waiter", waiting)
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PoolClosed);
    let error = tested.pool.acquire().await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PoolClosed);
    // What is lent works on.
    let one: i32 = busy.fetch_one("select 1", ()).await.unwrap();
    assert_eq!(one, 1);
    assert!(poll_once(&mut closing).is_pending());
    drop(dead);
    assert!(poll_once(&mut closing).is_pending());
    let mut asked = Box::pin(busy.execute("select pg_sleep(600)", ()));
    assert!(poll_once(&mut asked).is_pending());
    drop(asked);
    drop(busy);
    within(GENEROUS, "the close", closing).await;
    assert_eq!(tested.pool.status().size, 0);
    observer.until_at_most(0, GENEROUS).await;
}

#[tokio::test]
async fn r54_closing_gives_up_after_its_grace() {
    let tested = Tested::of(1, |builder| builder);
    let held = tested.acquire().await;
    within(GENEROUS, "the close", tested.pool.close(A_SHORT_WHILE)).await;
    assert!(tested.pool.is_closed());
    assert_eq!(tested.pool.status().busy, 1);
    drop(held);
    assert_eq!(tested.pool.status().size, 0);
    tested.observer().await.until_at_most(0, GENEROUS).await;
}

#[tokio::test]
async fn r54_closing_does_not_wait_for_a_connect() {
    let silent = SilentPort::new().await.unwrap();
    let config = config_over(&silent.address(), "pool-silent").connect_timeout(GENEROUS * 10);
    let pool = Pool::builder().build(config).unwrap();
    let mut waiting = Box::pin(pool.acquire());
    assert!(poll_once(&mut waiting).is_pending());
    eventually("the connect", async || pool.status().connecting == 1).await;
    within(GENEROUS, "the close", pool.close(GENEROUS * 10)).await;
    assert_eq!(pool.status().size, 0);
    assert_eq!(
        waiting.await.map(drop).unwrap_err().kind(),
        ErrorKind::PoolClosed
    );
}

#[tokio::test]
async fn r54_the_last_handle_closes_the_pool() {
    let tested = Tested::of(3, |builder| builder.min_size(2));
    let mut observer = tested.observer().await;
    let mut held = tested.acquire().await;
    let clone = tested.pool.clone();
    drop(clone);
    assert!(!tested.pool.is_closed());
    drop(tested);
    let one: i32 = held.fetch_one("select 1", ()).await.unwrap();
    assert_eq!(one, 1);
    drop(held);
    observer.until_at_most(0, GENEROUS).await;
}

#[test]
fn r54_a_pool_that_outlives_its_runtime_is_closed() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    };
    let timeout = Some(GENEROUS);
    for (has_idle, timeout) in [(false, timeout), (true, timeout), (true, None)] {
        let of_pool = runtime();
        let tested = of_pool.block_on(async {
            let tested = Tested::of(1, |builder| builder.acquire_timeout(timeout));
            if has_idle {
                drop(tested.acquire().await);
            }
            tested
        });
        drop(of_pool);
        runtime().block_on(async {
            let acquired = within(GENEROUS, "the answer", tested.pool.acquire()).await;
            assert_eq!(
                acquired.map(drop).unwrap_err().kind(),
                ErrorKind::PoolClosed
            );
            within(GENEROUS, "the close", tested.pool.close(GENEROUS)).await;
        });
    }
}

#[test]
fn r54_the_handle_of_an_ended_runtime_lends_no_connection_of_it() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    for is_looked_after in [false, true] {
        let of_pool = runtime();
        let (tested, mut observer) = of_pool.block_on(async {
            let tested = Tested::of(1, |builder| match is_looked_after {
                true => builder,
                false => builder
                    .acquire_timeout(None)
                    .idle_timeout(None)
                    .max_lifetime(None),
            });
            let observer = tested.observer().await;
            // By then nothing is left that the runtime has heard of and that was not read.
            tested.check_token().await;
            let status = tested.pool.status();
            assert_eq!((status.idle, status.size), (1, 1), "{status:?}");
            (tested, observer)
        });
        let ended = of_pool.handle().clone();
        drop(of_pool);
        let answer = || match poll_once(&mut Box::pin(tested.pool.acquire())) {
            Poll::Ready(acquired) => acquired.map(drop).unwrap_err().kind(),
            Poll::Pending => panic!("there is an answer at once"),
        };
        {
            let _entered = ended.enter();
            assert_eq!(answer(), ErrorKind::PoolClosed);
        }
        // By an executor that has no clock either.
        assert_eq!(answer(), ErrorKind::PoolClosed);
        runtime().block_on(async {
            {
                let _entered = ended.enter();
                assert_eq!(answer(), ErrorKind::PoolClosed);
            }
            // What lay idle is closed, although the pool is still there.
            observer.until_at_most(0, GENEROUS).await;
        });
        assert!(tested.pool.is_closed());
    }
}

#[tokio::test]
async fn resizing_opens_and_closes() {
    let tested = Tested::of(1, |builder| builder);
    let mut observer = tested.observer().await;
    let first = tested.acquire().await;
    let mut waiting = Box::pin(tested.pool.acquire());
    assert!(poll_once(&mut waiting).is_pending());
    tested.pool.resize(3);
    let second = within(GENEROUS, "a second", waiting).await.unwrap();
    let third = tested.acquire().await;
    tested.pool.resize(1);
    drop((second, third));
    let status = tested.pool.status();
    assert_eq!((status.size, status.max_size), (1, 1), "{status:?}");
    observer.until_at_most(1, GENEROUS).await;
    drop(first);
    tested.check_token().await;
    // Nobody can do without any.
    tested.pool.resize(0);
    assert_eq!(tested.pool.status().max_size, 1);
    tested.check_token().await;
}

#[tokio::test]
async fn what_is_expired_is_never_lent_again() {
    let tested = Tested::of(2, |builder| builder);
    let (lent, idle) = (tested.acquire().await, tested.acquire().await);
    let old = [lent.process_id(), idle.process_id()];
    drop(idle);
    tested.pool.expire_all();
    drop(lent);
    let held = [tested.acquire().await, tested.acquire().await];
    for connection in &held {
        assert!(!old.contains(&connection.process_id()));
    }
    tested.observer().await.until_at_most(2, GENEROUS).await;
}

#[tokio::test]
async fn idle_and_old_connections_are_closed_and_the_least_number_is_kept() {
    let tested = Tested::of(4, |builder| {
        builder.min_size(1).idle_timeout(Some(A_SHORT_WHILE))
    });
    let mut observer = tested.observer().await;
    let held: Vec<_> = [(); 4]
        .into_iter()
        .map(|()| tested.pool.acquire())
        .collect();
    let mut connections = Vec::new();
    for acquiring in held {
        connections.push(acquiring.await.unwrap());
    }
    drop(connections);
    observer.until_at_most(1, GENEROUS).await;
    assert_eq!(tested.pool.status().size, 1);

    let tested = Tested::of(1, |builder| {
        builder.max_lifetime(Some(A_SHORT_WHILE)).min_size(1)
    });
    let first: i32 = tested
        .pool
        .fetch_one("select pg_backend_pid()", ())
        .await
        .unwrap();
    eventually("a new connection", async || {
        let now: i32 = tested
            .pool
            .fetch_one("select pg_backend_pid()", ())
            .await
            .unwrap();
        now != first
    })
    .await;

    let tested = Tested::of(3, |builder| builder.min_size(2));
    eventually("two connections", async || tested.pool.status().idle == 2).await;
}

#[tokio::test]
async fn a_connection_is_lent_as_often_as_it_may() {
    let tested = Tested::of(1, |builder| builder.max_uses(Some(3)));
    let mut processes = Vec::new();
    for _ in 0..9 {
        processes.push(tested.acquire().await.process_id());
    }
    let mut distinct = processes.clone();
    distinct.dedup();
    assert_eq!(distinct.len(), 3, "{processes:?}");
}

#[tokio::test]
async fn a_credential_without_an_end_is_asked_for_at_each_connect() {
    let target = server::role_target(xtask::server::Role::Scram);
    let password = target.password.clone().expect("a password");
    let asked = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&asked);
    let config = live::config(&target).password("wrong");
    let pool = Pool::builder()
        .max_size(1)
        .max_uses(Some(1))
        .credential_provider(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let password = password.clone();
            async move { Ok(password.into()) }
        })
        .build(config)
        .unwrap();
    for _ in 0..3 {
        let one: i32 = within(GENEROUS, "a query", pool.fetch_one("select 1", ()))
            .await
            .unwrap();
        assert_eq!(one, 1);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[test]
fn a_pool_needs_a_runtime() {
    // The pool is built where there is no runtime: an error, and no panic.
    let address = Address::Unix {
        directory: "/nowhere".into(),
        port: 1,
    };
    let error = Pool::builder()
        .build(config_over(&address, "nobody"))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
}

#[tokio::test]
async fn r52_each_who_waits_has_a_deadline_of_their_own() {
    let tested = Tested::of(1, |builder| builder);
    let held = tested.acquire().await;
    // The clock goes from one deadline to the next while all wait.
    tokio::time::pause();
    // Neither those who come first nor those who come last are the first to go.
    let ended = Arc::new(Mutex::new(Vec::new()));
    let tasks: Vec<_> = [4, 2, 1, 3]
        .map(|times| {
            let (pool, ended) = (tested.pool.clone(), Arc::clone(&ended));
            tokio::spawn(async move {
                let query = pool.query("select 1").timeout(A_SHORT_WHILE * times);
                let error = query.fetch_one::<i32>().await.unwrap_err();
                ended.lock().unwrap().push((times, error.kind()));
            })
        })
        .into();
    for task in tasks {
        within(GENEROUS, "a timeout", task).await.unwrap();
    }
    let kind = ErrorKind::PoolTimeout;
    let in_order = [(1, kind), (2, kind), (3, kind), (4, kind)];
    assert_eq!(*ended.lock().unwrap(), in_order);
    // Who waits after that is told, too, and who is served is not.
    let error = tested.pool.query("select 1").timeout(A_SHORT_WHILE);
    let error = within(GENEROUS, "a timeout", error.fetch_one::<i32>()).await;
    assert_eq!(error.unwrap_err().kind(), kind);
    tokio::time::resume();
    let mut waiting = Box::pin(tested.pool.acquire());
    assert!(poll_once(&mut waiting).is_pending());
    drop(held);
    drop(within(GENEROUS, "a connection", waiting).await.unwrap());
    assert_eq!(tested.pool.status().waiting, 0);
}

#[test]
fn r52_whoever_waits_on_another_runtime_is_told_while_the_pools_stands_still() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let (of_pool, other) = (runtime(), runtime());
    let (tested, held) = of_pool.block_on(async {
        let tested = Tested::of(1, |builder| builder.acquire_timeout(Some(A_SHORT_WHILE)));
        let held = tested.acquire().await;
        (tested, held)
    });
    // It waits on the pool's runtime first, and goes on where that isn't run.
    let mut moved = Box::pin(tested.pool.acquire());
    of_pool.block_on(async { assert!(poll_once(&mut moved).is_pending()) });
    other.block_on(async {
        for waiting in [moved, Box::pin(tested.pool.acquire())] {
            let error = within(GENEROUS, "a timeout", waiting).await.map(drop);
            assert_eq!(error.unwrap_err().kind(), ErrorKind::PoolTimeout);
        }
    });
    of_pool.block_on(async {
        drop(held);
        drop(tested.acquire().await);
    });
}
