//! How a pool makes its connections: refusals that stay and those that pass, credentials,
//! hooks, and the deadlines around all of them.

mod live;
mod pool_support;
mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kornak::pool::Credential;
use kornak::{ErrorKind, Pool, PoolConnection, SqlState};
use live::{config, eventually, poll_once};
use pool_support::{Tested, at_rest, config_over};
use support::address::{SilentPort, Target};
use support::deadline::{GENEROUS, within};
use support::proxy::{Listen, Proxy};
use support::raw::{RawClient, unique};
use support::server;
use xtask::server::{Role, Server};

const A_SHORT_WHILE: Duration = Duration::from_millis(50);

/// Lets so many wait at a pool, and returns what each was told.
async fn all_wait(pool: &Pool, count: usize) -> Vec<kornak::Result<PoolConnection>> {
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.acquire().await })
        })
        .collect();
    let mut told = Vec::new();
    for task in tasks {
        told.push(within(GENEROUS, "an answer", task).await.unwrap());
    }
    told
}

#[tokio::test]
async fn r39_a_refusal_that_stays_is_told_to_all_who_wait_at_once() {
    let proxy = Proxy::start(Listen::Unix, server::target().address);
    let nowhere = config_over(proxy.address(), "nobody").dbname(format!("kornak-{}", unique()));
    let pool = Pool::builder()
        .max_size(2)
        .acquire_timeout(None)
        // Whoever was told one after the other would wait this long.
        .connect_backoff(GENEROUS * 10, GENEROUS * 10)
        .build(nowhere)
        .unwrap();
    for told in all_wait(&pool, 50).await {
        let error = told.map(drop).unwrap_err();
        let state = error.sqlstate().expect("the server's error");
        assert_eq!(state.code(), "3D000", "{error}");
    }
    let accepted = proxy.connections().accepted;
    assert!(accepted <= 2, "{accepted} connects");
    at_rest(&pool).await;
    assert_eq!(pool.status().size, 0);

    let scram = server::role_target(Role::Scram);
    let pool = Pool::builder()
        .acquire_timeout(None)
        .build(config(&scram).password("wrong"))
        .unwrap();
    for told in all_wait(&pool, 20).await {
        let error = told.map(drop).unwrap_err();
        assert_eq!(error.sqlstate(), Some(SqlState::INVALID_PASSWORD));
    }
}

#[tokio::test]
async fn r39_a_server_without_room_is_waited_for_and_named_when_it_takes_too_long() {
    let database = format!("kornak_{}", unique().replace('-', "_"));
    let admin = Server::cluster_for_tests();
    let mut raw = RawClient::connect(&Target::from_url(&admin.url())).unwrap();
    raw.execute(&format!("create database {database} connection limit 0"));
    let role = config(&server::role_target(Role::Scram)).dbname(&database);
    let build = |timeout: Duration| {
        let builder = Pool::builder().acquire_timeout(Some(timeout));
        let builder = builder.connect_backoff(Duration::from_millis(5), A_SHORT_WHILE);
        builder.build(role.clone()).unwrap()
    };
    let error = build(A_SHORT_WHILE * 10)
        .acquire()
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PoolTimeout);
    assert!(error.to_string().contains("53300"), "{error}");

    let pool = build(GENEROUS);
    let mut waiting = Box::pin(pool.acquire());
    assert!(poll_once(&mut waiting).is_pending());
    eventually("a refusal", async || {
        let last = pool.status().last_connect_error;
        last.is_some_and(|error| error.sqlstate() == Some(SqlState::TOO_MANY_CONNECTIONS))
    })
    .await;
    raw.execute(&format!("alter database {database} connection limit -1"));
    drop(within(GENEROUS, "a place", waiting).await.unwrap());
    pool.close(GENEROUS).await;
    raw.execute(&format!("drop database {database} with (force)"));
}

#[tokio::test]
async fn r35_a_server_that_is_gone_is_tried_by_one_at_a_time() {
    let proxy = Proxy::start(Listen::Tcp, server::target().address);
    proxy.refuse_all();
    let tested = Tested::over(proxy.address(), 20, |builder| {
        builder.connect_backoff(Duration::from_millis(5), Duration::from_millis(10))
    });
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let pool = tested.pool.clone();
            tokio::spawn(async move { pool.fetch_one::<i32>("select 1", ()).await })
        })
        .collect();
    eventually("one at a time", async || {
        let status = tested.pool.status();
        status.waiting == 50 && status.connecting == 1 && status.last_connect_error.is_some()
    })
    .await;
    proxy.accept_again();
    for task in waiting {
        let one = within(GENEROUS, "an answer", task).await.unwrap();
        assert_eq!(one.unwrap(), 1);
    }
    assert!(proxy.connections().accepted <= 20);
}

#[tokio::test]
async fn r52_whose_connection_is_unfit_keeps_their_place_in_the_line() {
    let tested = Tested::of(1, |builder| builder);
    let held = tested.acquire().await;
    let process = held.process_id();
    let (order, mut served) = tokio::sync::mpsc::channel(3);
    let mut tasks = Vec::new();
    for number in 0..3 {
        let (pool, order) = (tested.pool.clone(), order.clone());
        tasks.push(tokio::spawn(async move {
            let connection = pool.acquire().await.unwrap();
            order.send(number).await.unwrap();
            assert_ne!(connection.process_id(), process);
        }));
        let waiting = number + 1;
        eventually("in line", async || tested.pool.status().waiting == waiting).await;
    }
    // The first in line gets a connection that turns out to be dead.
    tested.observer().await.terminate(process).await;
    drop(held);
    for number in 0..3 {
        let next = within(GENEROUS, "a turn", served.recv()).await;
        assert_eq!(next, Some(number));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// A pool on a role with a password, whose provider counts how often it is asked.
fn with_provider(
    credential: impl Fn(u64) -> Credential + Send + Sync + 'static,
) -> (Pool, Arc<AtomicU64>) {
    let asked = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&asked);
    let target = server::role_target(Role::Scram);
    let pool = Pool::builder()
        .max_uses(Some(1))
        .credential_provider(move || {
            let credential = credential(counted.fetch_add(1, Ordering::Relaxed));
            async move { Ok(credential) }
        })
        .build(config(&target).user("nobody").password("wrong"))
        .unwrap();
    (pool, asked)
}

#[tokio::test]
async fn a_credential_is_used_until_it_expires() {
    let target = server::role_target(Role::Scram);
    let wrong = config(&target).password("wrong");
    let pool = Pool::builder().build(wrong).unwrap();
    let error = pool.acquire().await.map(drop).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("that of the pool's configuration"),
        "{error}"
    );

    let password = target.password.clone().expect("a password");
    let good = move |lifetime| {
        Credential::new(&*password)
            .user(&target.user)
            .expires_in(lifetime)
    };
    let of_hours = good.clone();
    let (pool, asked) = with_provider(move |_| of_hours(Duration::from_secs(3600)));
    for _ in 0..3 {
        pool.execute("select 1", ()).await.unwrap();
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    // Those that connect at the same time ask once.
    for told in all_wait(&pool, 5).await {
        drop(told.unwrap());
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);

    let of_no_time = good.clone();
    let (pool, asked) = with_provider(move |_| of_no_time(Duration::ZERO));
    for _ in 0..3 {
        pool.execute("select 1", ()).await.unwrap();
    }
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_credential_that_is_refused_before_its_time_is_asked_for_anew() {
    let own = Server::private("credential", &[]).unwrap();
    let role = Target::from_url(&own.role_url_socket(Role::Scram));
    let password = Arc::new(Mutex::new(role.password.clone().expect("a password")));
    let asked = Arc::new(AtomicU64::new(0));
    let (counted, current) = (Arc::clone(&asked), Arc::clone(&password));
    let pool = Pool::builder()
        .max_uses(Some(1))
        .acquire_timeout(Some(GENEROUS))
        .credential_provider(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let credential = Credential::new(&*current.lock().unwrap().clone());
            async { Ok(credential.expires_in(Duration::from_secs(3600))) }
        })
        .build(config(&role).password("never used"))
        .unwrap();
    pool.execute("select 1", ()).await.unwrap();
    pool.execute("select 1", ()).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 1);

    *password.lock().unwrap() = "rotated".to_owned();
    let mut raw = RawClient::connect(&Target::from_url(&own.url())).unwrap();
    raw.execute(&format!("alter role {} password 'rotated'", role.user));
    pool.execute("select 1", ()).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 2);

    // One that is refused though it was just given is refused for good, and not kept.
    *password.lock().unwrap() = "outdated".to_owned();
    raw.execute(&format!("alter role {} password 'again'", role.user));
    let error = pool.execute("select 1", ()).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::INVALID_PASSWORD));
    assert!(error.to_string().contains("has just been asked"), "{error}");
    *password.lock().unwrap() = "again".to_owned();
    pool.execute("select 1", ()).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 4);
    pool.close(GENEROUS).await;
}

#[tokio::test]
async fn a_provider_that_fails_is_asked_again_and_named_when_it_takes_too_long() {
    let asked = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&asked);
    let pool = Pool::builder()
        .acquire_timeout(Some(A_SHORT_WHILE * 10))
        .connect_backoff(Duration::from_millis(1), Duration::from_millis(2))
        .credential_provider(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            async { Err("the vault is sealed".into()) }
        })
        .build(config(&server::target()))
        .unwrap();
    let error = pool.acquire().await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PoolTimeout);
    let message = error.to_string();
    assert!(message.contains("the vault is sealed"), "{message}");
    assert!(asked.load(Ordering::Relaxed) > 1);
}

#[tokio::test]
async fn a_provider_or_hook_that_hangs_gives_its_place_up_and_says_so() {
    let hang = || Box::pin(std::future::pending());
    let builder = || {
        Pool::builder()
            .max_size(1)
            .connect_timeout(Some(A_SHORT_WHILE))
            .acquire_timeout(Some(A_SHORT_WHILE * 10))
    };
    let provider = builder().credential_provider(std::future::pending);
    let hook = builder().after_connect(move |_| hang());
    let silent = SilentPort::new().await.unwrap();
    let cases = [
        (
            provider,
            config(&server::target()),
            "the credential provider",
        ),
        (hook, config(&server::target()), "after_connect"),
        (
            builder(),
            config_over(&silent.address(), "nobody"),
            "connecting",
        ),
    ];
    for (builder, config, what) in cases {
        let pool = builder.build(config).unwrap();
        let acquired = within(GENEROUS, what, pool.acquire()).await;
        let error = acquired.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PoolTimeout, "{error}");
        assert!(error.to_string().contains(what), "{error}");
        // Nothing hangs on when nobody waits any more.
        at_rest(&pool).await;
        assert_eq!(pool.status().size, 0);
    }
}

#[tokio::test]
async fn r12_a_hook_that_hangs_leaves_no_backend_when_the_pool_is_closed() {
    let tested = Tested::of(2, |builder| {
        builder
            .connect_timeout(None)
            .after_connect(|_| Box::pin(std::future::pending()))
    });
    let mut observer = tested.observer().await;
    let mut waiting = Box::pin(tested.pool.acquire());
    assert!(poll_once(&mut waiting).is_pending());
    observer
        .until(GENEROUS, "a backend", |found| found.len() == 1)
        .await;
    within(GENEROUS, "the close", tested.pool.close(GENEROUS)).await;
    observer.until_at_most(0, GENEROUS).await;
    drop(waiting);
}

#[tokio::test]
async fn r12_a_connect_cut_short_by_the_end_of_the_pool_leaves_no_backend() {
    // The handle is dropped at each step of a connect in turn.
    for steps in 0..12 {
        let tested = Tested::of(1, |builder| builder);
        let mut observer = tested.observer().await;
        let mut waiting = Box::pin(tested.pool.acquire());
        let _ = poll_once(&mut waiting);
        for _ in 0..steps {
            tokio::task::yield_now().await;
        }
        drop(waiting);
        drop(tested);
        observer.until_at_most(0, GENEROUS).await;
    }
}

#[tokio::test]
async fn a_hook_before_acquiring_that_hangs_or_refuses_ends_with_the_borrowers_deadline() {
    let tested = Tested::of(1, |builder| {
        builder
            .acquire_timeout(Some(A_SHORT_WHILE))
            .before_acquire(|_| Box::pin(std::future::pending()))
    });
    let error = within(GENEROUS, "the hook", tested.pool.acquire())
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PoolTimeout);
    assert!(
        error
            .to_string()
            .contains("before_acquire did not end within")
            || error.to_string().contains("1 connecting"),
        "{error}"
    );
    at_rest(&tested.pool).await;

    let proxy = Proxy::start(Listen::Unix, server::target().address);
    let tested = Tested::over(proxy.address(), 1, |builder| {
        builder
            .acquire_timeout(Some(A_SHORT_WHILE * 10))
            .before_acquire(|_| Box::pin(async { Err("it is Monday".into()) }))
    });
    let error = within(GENEROUS, "the hook", tested.pool.acquire())
        .await
        .map(drop)
        .unwrap_err();
    assert!(error.to_string().contains("it is Monday"), "{error}");
    let accepted = proxy.connections().accepted;
    assert!(accepted < 20, "{accepted} connects: no pause between them");
}

#[tokio::test]
async fn what_a_hook_does_before_acquiring_is_the_borrowers_and_reset_behind_them() {
    let tested = Tested::of(1, |builder| {
        builder.before_acquire(|connection| {
            Box::pin(async move {
                let left: String = connection
                    .fetch_one("select current_setting('work_mem')", ())
                    .await?;
                connection
                    .execute("set application_name = 'kornak-hook'", ())
                    .await?;
                Ok(left != "1234kB")
            })
        })
    });
    let name = "select current_setting('application_name')";
    for _ in 0..3 {
        let mut connection = tested.acquire().await;
        let found: String = connection.fetch_one(name, ()).await.unwrap();
        assert_eq!(found, "kornak-hook");
        connection
            .execute("set work_mem = '1234kB'", ())
            .await
            .unwrap();
    }
    assert_eq!(tested.pool.status().size, 1);
}

#[tokio::test]
async fn the_error_of_a_hook_after_connecting_is_told_at_once() {
    let tested = Tested::of(1, |builder| {
        builder
            .acquire_timeout(None)
            .after_connect(|_| Box::pin(async { Err("the schema is of yesterday".into()) }))
    });
    for told in all_wait(&tested.pool, 5).await {
        let error = told.map(drop).unwrap_err();
        assert!(error.to_string().contains("of yesterday"), "{error}");
    }
    let tested = Tested::of(1, |builder| {
        builder.acquire_timeout(None).after_connect(|connection| {
            Box::pin(async move {
                connection.execute("select 1 from nowhere", ()).await?;
                Ok(())
            })
        })
    });
    let acquired = within(GENEROUS, "the hook", tested.pool.acquire()).await;
    let error = acquired.map(drop).unwrap_err();
    assert_eq!(
        error.sqlstate().map(|state| state.code().to_owned()),
        Some("42P01".into())
    );
    assert!(error.to_string().contains("after_connect"), "{error}");
}

#[tokio::test]
async fn a_pool_is_warmed_up_to_as_many_as_it_may() {
    let tested = Tested::of(3, |builder| builder);
    assert_eq!(tested.pool.status().size, 0, "built lazily");
    within(GENEROUS, "warming up", tested.pool.warm_up(2))
        .await
        .unwrap();
    assert_eq!(tested.pool.status().idle, 2);
    within(GENEROUS, "warming up", tested.pool.warm_up(9))
        .await
        .unwrap();
    assert_eq!(tested.pool.status().idle, 3);

    let proxy = Proxy::start(Listen::Tcp, server::target().address);
    proxy.refuse_all();
    let tested = Tested::over(proxy.address(), 3, |builder| builder);
    for _ in 0..2 {
        let warmed = within(GENEROUS, "warming up", tested.pool.warm_up(3)).await;
        assert_eq!(warmed.unwrap_err().kind(), ErrorKind::Io);
    }
    proxy.accept_again();
    within(GENEROUS, "warming up", tested.pool.warm_up(3))
        .await
        .unwrap();
    assert_eq!(tested.pool.status().idle, 3);
}

#[tokio::test]
async fn one_deadline_covers_the_wait_the_connect_and_the_query() {
    // No place: the wait.
    let tested = Tested::of(1, |builder| builder);
    let held = tested.acquire().await;
    let query = tested.pool.query("select 1").timeout(A_SHORT_WHILE);
    let error = within(GENEROUS, "the wait", query.fetch_one::<i32>())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PoolTimeout);
    drop(held);

    // A place, and no server: the connect.
    let silent = SilentPort::new().await.unwrap();
    let pool = Pool::builder()
        .build(config_over(&silent.address(), "pool-silent"))
        .unwrap();
    let query = pool.query("select 1").timeout(A_SHORT_WHILE);
    let error = within(GENEROUS, "the connect", query.execute())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PoolTimeout);

    // A connection, and a query without end: the query, and its rows.
    let sql = "select pg_sleep(600)::text";
    let query = || tested.pool.query(sql).timeout(A_SHORT_WHILE);
    let error = within(GENEROUS, "the query", query().fetch_all::<String>()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Timeout);
    tested.at_rest().await;
    let deadline = tokio::time::Instant::now() + A_SHORT_WHILE;
    let query = tested.pool.query(sql).deadline(deadline);
    let error = within(GENEROUS, "the query", query.fetch_optional::<String>()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Timeout);
    tested.at_rest().await;
    let sql = "select a from generate_series(1, $1::int) a, pg_sleep(a)";
    let query = tested.pool.query(sql).bind((600,)).timeout(A_SHORT_WHILE);
    let error = within(GENEROUS, "the rows", query.for_each(|_| ())).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Timeout);
    tested.check_token().await;

    // The pool's default, for its own verbs and for what is lent.
    let tested = Tested::of(1, |builder| builder.query_timeout(Some(A_SHORT_WHILE)));
    tested.pool.warm_up(1).await.unwrap();
    let sql = "select pg_sleep(600)::text";
    let asked = within(GENEROUS, "the default", tested.pool.execute(sql, ())).await;
    assert_eq!(asked.unwrap_err().kind(), ErrorKind::Timeout);
    let mut connection = tested.acquire().await;
    let asked = within(GENEROUS, "the default", connection.execute(sql, ())).await;
    assert_eq!(asked.unwrap_err().kind(), ErrorKind::Timeout);
    let waited = within(GENEROUS, "the default", tested.pool.execute("select 1", ())).await;
    assert_eq!(waited.unwrap_err().kind(), ErrorKind::PoolTimeout);
}

#[tokio::test]
async fn one_deadline_covers_all_exchanges_of_a_query() {
    // A parameter that is to be described first makes two round trips; each of them would
    // fit into the time on its own, if it began anew.
    let proxy = Proxy::start(Listen::Unix, server::target().address);
    let tested = Tested::over(proxy.address(), 1, |builder| builder);
    drop(tested.acquire().await);
    let link = proxy.session(0).await;
    link.black_hole();
    let number: kornak::Numeric = "1.5".parse().unwrap();
    let query = tested
        .pool
        .query("select $1::numeric")
        .bind((number,))
        .timeout(A_SHORT_WHILE);
    let error = within(GENEROUS, "the query", query.fetch_one::<kornak::Numeric>())
        .await
        .unwrap_err();
    assert!(error.is_timeout(), "{error}");
    link.resume();
    tested.check_token().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pools_attempts_end_serialization_failures_and_deadlocks() {
    let table = format!("kornak_{}", unique().replace('-', "_"));
    let mut raw = RawClient::of_tests();
    raw.execute(&format!("create table {table} (id int, a int)"));
    raw.execute(&format!("insert into {table} values (1, 0), (2, 0)"));
    let tested = Tested::of(4, |builder| builder);

    // Serialization: read and write, all at once, in tasks that move between threads.
    let tries = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    let all_have_read = Arc::new(tokio::sync::Barrier::new(4));
    for _ in 0..4 {
        let (pool, table, tries) = (tested.pool.clone(), table.clone(), Arc::clone(&tries));
        let all_have_read = Arc::clone(&all_have_read);
        tasks.spawn(async move {
            let policy = kornak::RetryPolicy::default().max_attempts(50);
            let mut attempts = pool.retry(policy);
            let mut is_first = true;
            while let Some(mut attempt) = attempts.next().await? {
                tries.fetch_add(1, Ordering::Relaxed);
                let result =
                    add_one(&mut attempt, &table, is_first.then_some(&*all_have_read)).await;
                is_first = false;
                attempt.finish(result).await?;
            }
            Ok::<(), kornak::Error>(())
        });
    }
    while let Some(task) = within(GENEROUS, "an attempt", tasks.join_next()).await {
        task.unwrap().unwrap();
    }
    let tries = tries.load(Ordering::Relaxed);
    assert!(tries > 4, "{tries}: nothing was tried again");
    assert_eq!(
        raw.value(&format!("select a from {table} where id = 1")),
        "4"
    );

    // Deadlock: two that lock in opposite order.
    let tries = Arc::new(AtomicU64::new(0));
    let both_hold = Arc::new(tokio::sync::Barrier::new(2));
    let mut tasks = tokio::task::JoinSet::new();
    for order in [[1, 2], [2, 1]] {
        let (pool, tries) = (tested.pool.clone(), Arc::clone(&tries));
        let both_hold = Arc::clone(&both_hold);
        let update = format!("update {table} set a = a + 1 where id = $1");
        tasks.spawn(async move {
            let mut attempts = pool.retry(kornak::RetryPolicy::default());
            let mut is_first = true;
            while let Some(mut attempt) = attempts.next().await? {
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
                attempt.finish(result).await?;
            }
            Ok::<(), kornak::Error>(())
        });
    }
    while let Some(task) = within(GENEROUS, "an attempt", tasks.join_next()).await {
        task.unwrap().unwrap();
    }
    // It may come before the other has gone on, and lock against it once more.
    let tries = tries.load(Ordering::Relaxed);
    assert!(tries > 2, "{tries}: one of the two is tried again");
    let sums = raw.column(&format!("select a from {table} order by id"));
    raw.execute(&format!("drop table {table}"));
    assert_eq!(sums, ["6", "2"]);
    at_rest(&tested.pool).await;
}

/// Reads, waits until all others have read, and writes.
async fn add_one(
    connection: &mut kornak::Connection,
    table: &str,
    all_have_read: Option<&tokio::sync::Barrier>,
) -> kornak::Result<u64> {
    connection
        .execute("set transaction isolation level serializable", ())
        .await?;
    let read = format!("select a from {table} where id = 1");
    let seen: i32 = connection.fetch_one(&read, ()).await?;
    if let Some(all_have_read) = all_have_read {
        all_have_read.wait().await;
    }
    let write = format!("update {table} set a = $1 where id = 1");
    connection.execute(&write, (seen + 1,)).await
}

#[tokio::test]
async fn a_pools_attempts_end_with_their_policy_and_with_other_errors() {
    let tested = Tested::of(1, |builder| builder);
    let fail = "do $$ begin raise exception using errcode = '40001'; end $$";
    let policy = kornak::RetryPolicy::default()
        .max_attempts(3)
        .first_pause(Duration::from_millis(1));
    let mut attempts = tested.pool.retry(policy);
    let mut tries = 0;
    let error = loop {
        let mut attempt = match attempts.next().await {
            Ok(attempt) => attempt.expect("none succeeds"),
            Err(error) => break error,
        };
        tries += 1;
        let result = attempt.execute(fail, ()).await;
        assert_eq!(attempt.finish(result).await.unwrap(), None);
    };
    assert_eq!(tries, 3);
    assert_eq!(error.sqlstate(), Some(SqlState::SERIALIZATION_FAILURE));
    assert!(attempts.next().await.unwrap().is_none());

    // The connection is lent to others while an attempt waits for its turn.
    let mut attempts = tested.pool.retry(
        policy
            .first_pause(Duration::from_secs(3600))
            .budget(Duration::MAX),
    );
    let mut attempt = attempts.next().await.unwrap().expect("the first");
    let result = attempt.execute(fail, ()).await;
    assert_eq!(attempt.finish(result).await.unwrap(), None);
    let mut next = Box::pin(attempts.next());
    assert!(poll_once(&mut next).is_pending());
    tested.check_token().await;
    drop(next);

    let mut attempts = tested.pool.retry(policy);
    let mut attempt = attempts.next().await.unwrap().expect("the first");
    let result = attempt.execute("select 1 / 0", ()).await;
    let error = attempt.finish(result).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::DIVISION_BY_ZERO));
    assert!(attempts.next().await.unwrap().is_none());
    drop(attempts);
    tested.check_token().await;
}
