//! What bounds a pool: bytes that nobody asked for, links that lead nowhere, and ever new
//! statements.

mod live;
mod pool_support;
mod support;

use std::time::Duration;

use kornak::config::{DEFAULT_STATEMENT_CACHE_CAPACITY, Environment};
use kornak::{Config, ErrorKind, Pool, one};
use live::eventually;
use pool_support::{Tested, acquire, at_rest};
use support::deadline::{GENEROUS, within};
use support::proxy::{Listen, Proxy};
use support::scripted::{self, ScriptedServer};
use support::server;
use tokio::sync::mpsc;

const A_SHORT_WHILE: Duration = Duration::from_millis(50);

/// A server whose first session says `stray` when it is told to, and whose others are quiet.
fn with_stray(stray: &'static [u8]) -> (Pool, mpsc::Sender<()>, mpsc::Receiver<()>) {
    let (order, mut ordered) = mpsc::channel::<()>(1);
    let (tell, told) = mpsc::channel::<()>(1);
    let server = ScriptedServer::start(scripted::Listen::Unix, async move |acceptor| {
        let mut first = acceptor.accept().await?;
        first.set_key_data(1, &[0; 4]);
        first.startup_trust().await?;
        ordered.recv().await;
        first.send_bytes(stray).await?;
        let _ = tell.send(()).await;
        let mut second = acceptor.accept().await?;
        second.set_key_data(2, &[0; 4]);
        second.startup_trust().await?;
        second.receive_or_end().await?;
        Ok(())
    });
    let config: Config = server.url().parse().unwrap();
    let pool = Pool::builder()
        .max_size(1)
        .build(config.environment(Environment::empty()))
        .unwrap();
    // It ends with the test's runtime.
    tokio::spawn(async move {
        let mut server = server;
        server.finish().await;
    });
    (pool, order, told)
}

#[tokio::test]
async fn r18_a_byte_that_nobody_asked_for_costs_the_connection() {
    // The beginning of a message, a whole one out of turn, an error, and what is no message.
    let strays: [&[u8]; 4] = [
        b"N",
        b"Z\x00\x00\x00\x05I",
        b"E\x00\x00\x00\x1cSFATAL\0VFATAL\0C57P01\0Mx\0\0",
        b"\x00\xff",
    ];
    for stray in strays {
        for while_lent in [false, true] {
            let (pool, order, mut told) = with_stray(stray);
            let held = acquire(&pool).await;
            assert_eq!(held.process_id(), 1);
            let held = if while_lent {
                Some(held)
            } else {
                drop(held);
                None
            };
            order.send(()).await.unwrap();
            within(GENEROUS, "the stray bytes", told.recv()).await;
            // They are there. That tokio knows of it takes a look at its events, which it has
            // before it resumes a task that yields.
            tokio::task::yield_now().await;
            // On its return or when it is next handed out, at the latest.
            drop(held);
            let next = acquire(&pool).await;
            assert_eq!(next.process_id(), 2, "{stray:?} {while_lent}");
            let status = pool.status();
            assert_eq!((status.size, status.busy), (1, 1), "{status:?}");
        }
    }
}

#[tokio::test]
async fn r32_a_link_that_leads_nowhere_holds_nobody_up() {
    // Within a query: its timeout, and the place is free again when the rest was given up.
    let proxy = Proxy::start(Listen::Unix, server::target().address);
    let tested = Tested::over(proxy.address(), 1, |builder| builder);
    tested.pool.execute("select 1", ()).await.unwrap();
    proxy.session(0).await.black_hole();
    let query = tested.pool.query("select 2").timeout(A_SHORT_WHILE);
    let error = within(GENEROUS, "the query", query.execute()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Timeout);
    tested.check_token().await;

    // While it is idle: the next borrower's deadline, or the ping where one is due.
    let proxy = Proxy::start(Listen::Unix, server::target().address);
    let tested = Tested::over(proxy.address(), 1, |builder| {
        builder.ping_after(Some(Duration::ZERO))
    });
    tested.pool.execute("select 1", ()).await.unwrap();
    proxy.session(0).await.black_hole();
    let query = tested.pool.query("select 2").timeout(A_SHORT_WHILE);
    let error = within(GENEROUS, "the ping", query.execute()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::PoolTimeout);
    tested.check_token().await;

    // When a transaction on it is dropped.
    let proxy = Proxy::start(Listen::Unix, server::target().address);
    let tested = Tested::over(proxy.address(), 1, |builder| builder);
    let mut connection = tested.acquire().await;
    let mut transaction = connection.begin().await.unwrap();
    transaction.execute("select 1", ()).await.unwrap();
    proxy.session(0).await.black_hole();
    drop(transaction);
    drop(connection);
    within(GENEROUS, "giving it up", at_rest(&tested.pool)).await;
    // The server knows nothing of it: the other session is still there.
    let next = within(
        GENEROUS,
        "the next",
        tested.pool.fetch_one::<i32>("select 2", ()),
    )
    .await;
    assert_eq!(next.unwrap(), 2);

    // When the pool is closed, idle or lent.
    for is_lent in [false, true] {
        let proxy = Proxy::start(Listen::Unix, server::target().address);
        let tested = Tested::over(proxy.address(), 1, |builder| builder);
        let held = tested.acquire().await;
        proxy.session(0).await.black_hole();
        let held = is_lent.then_some(held);
        within(GENEROUS, "the close", tested.pool.close(A_SHORT_WHILE)).await;
        drop(held);
        eventually("no connection", async || tested.pool.status().size == 0).await;
    }
}

#[tokio::test]
async fn r30_a_hundred_thousand_texts_stay_within_the_caps() {
    const TEXTS: usize = 100_000;
    const AT_ONCE: usize = 100;
    let tested = Tested::of(1, |builder| builder);
    let mut connection = tested.acquire().await;
    let prepared = "select count(*) from pg_prepared_statements";
    for batch in 0..TEXTS / AT_ONCE {
        let texts: Vec<String> = (0..AT_ONCE)
            .map(|index| format!("select {}", batch * AT_ONCE + index))
            .collect();
        let statements: Vec<_> = texts.iter().map(|sql| one::<i32>(sql, ())).collect();
        let values = connection.pipeline(statements).await.unwrap();
        assert_eq!(values.len(), AT_ONCE);
        assert_eq!(values[AT_ONCE - 1] as usize, (batch + 1) * AT_ONCE - 1);
        let cached = connection.cached_statements();
        assert!(cached <= DEFAULT_STATEMENT_CACHE_CAPACITY, "{cached}");
        if batch % 50 == 0 {
            let held: i64 = connection.fetch_one(prepared, ()).await.unwrap();
            assert!(
                held as usize <= DEFAULT_STATEMENT_CACHE_CAPACITY + AT_ONCE,
                "{held} statements on the server"
            );
        }
    }
    // Long ones are capped in bytes before they are in number.
    for number in 0..200 {
        let sql = format!("select {number} as \"{}\" /*{}*/", "a", "x".repeat(50_000));
        let value: i32 = connection.fetch_one(&sql, ()).await.unwrap();
        assert_eq!(value, number);
    }
    let cached = connection.cached_statements();
    assert!(cached * 50_000 <= 5 * 1024 * 1024, "{cached} long texts");
    let held: i64 = connection.fetch_one(prepared, ()).await.unwrap();
    assert!(held as usize <= DEFAULT_STATEMENT_CACHE_CAPACITY, "{held}");
    let kept = connection.buffered_bytes();
    assert!(kept <= 128 * 1024, "{kept} bytes of buffers");
    drop(connection);
    tested.check_token().await;
}
