//! What the live tests share: connections to the real server, and the check that a
//! connection is in step.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test binary compiles this module and uses a part of it"
)]

pub mod database;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use kornak::config::IntoConfig;
use kornak::{Config, Connection};

use crate::support::address::{Address, Target};
use crate::support::deadline::{GENEROUS, blocking, within};
use crate::support::raw::{RawClient, unique};
use crate::support::server;

/// A connection to the server of the tests.
pub async fn connect() -> Connection {
    connect_as(|config| config).await
}

/// Makes the temporary table `t`, of numbers and names.
pub async fn table(connection: &mut Connection) {
    connection
        .batch_execute("create temp table t (id int4 primary key, name text)")
        .await
        .unwrap();
}

/// How many rows the table `t` has.
pub async fn count(connection: &mut Connection) -> i64 {
    let sql = "select count(*) from t";
    connection.fetch_one(sql, ()).await.unwrap()
}

/// A connection to the server of the tests that has [`small_buffers`], over TCP, where both count.
pub async fn connect_small() -> Connection {
    open(small_buffers(config(&server::tcp_target()))).await
}

/// As little room for what is on its way as tests of bulk verbs have on their side: whatever
/// could block does.
pub fn small_buffers(config: Config) -> Config {
    config
        .send_buffer_size(SMALL_BUFFER)
        .receive_buffer_size(SMALL_BUFFER)
}

/// What a proxy between has in its sockets, too.
pub const SMALL_BUFFER: u32 = 8 * 1024;

/// A connection to the server of the tests, configured further by `change`.
pub async fn connect_as(change: impl FnOnce(Config) -> Config) -> Connection {
    open(change(config(&server::target()))).await
}

/// A connection that reaches the server of the tests over `address`, a proxy's for example.
pub async fn connect_over(address: &Address, change: impl FnOnce(Config) -> Config) -> Connection {
    let mut target = server::target();
    target.address = address.clone();
    open(change(config(&target))).await
}

/// How the driver is told to reach `target`.
pub fn config(target: &Target) -> Config {
    let config = Config::new()
        .user(&target.user)
        .dbname(&target.database)
        .application_name("kornak-tests");
    let config = match &target.password {
        Some(password) => config.password(password),
        None => config,
    };
    match &target.address {
        Address::Tcp(address) => config.hostaddr(address.ip()).port(address.port()),
        Address::Unix { directory, port } => config
            .host(directory.to_str().expect("a directory in UTF-8"))
            .port(*port),
    }
}

/// Connects as `config` says.
pub async fn open(config: impl IntoConfig) -> Connection {
    let connected = within(GENEROUS, "connecting", Connection::connect(config)).await;
    connected.unwrap_or_else(|error| panic!("connecting: {error}"))
}

/// Whether the connection is in step: a value that nobody else knows comes back, nothing
/// else does, and no transaction is open, as the server sees it from outside.
#[track_caller]
pub fn check_token(connection: &mut Connection) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        for _ in 0..2 {
            let token = unique();
            let sent = token.as_str();
            let asked = connection.fetch_all::<String>("select $1::text", (sent,));
            match within(GENEROUS, "the token", asked).await {
                Ok(got) => assert_eq!(got, [token], "{place}: the wrong answer"),
                Err(error) => panic!("{place}: no answer to the token: {error}"),
            }
        }
        let process = connection.process_id();
        let states = blocking(move || observe_states(process)).await;
        assert_eq!(states, ["idle"], "{place}: a transaction is open");
    }
}

/// The state of the session that this process serves, asked by one session for all tests of
/// a binary.
fn observe_states(process: i32) -> Vec<String> {
    static OBSERVER: Mutex<Option<RawClient>> = Mutex::new(None);
    let mut observer = OBSERVER.lock().unwrap_or_else(PoisonError::into_inner);
    let sql = format!("select state from pg_stat_activity where pid = {process}");
    observer
        .get_or_insert_with(RawClient::of_tests)
        .column(&sql)
}

/// Whether the connection is in step, or closed.
#[track_caller]
pub fn check_token_or_closed(connection: &mut Connection) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let token = unique();
        let sent = token.as_str();
        let asked = connection.fetch_all::<String>("select $1::text", (sent,));
        match within(GENEROUS, "the token", asked).await {
            Ok(got) => assert_eq!(got, [token], "{place}: the wrong answer"),
            Err(error) => assert!(error.is_closed(), "{place}: open, but no answer: {error}"),
        }
    }
}

/// Polls a future once; nobody is woken.
pub fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls a future whenever it is woken, at most so many times, and drops it.
pub async fn poll_at_most(polls: i32, future: impl Future) {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        let polled = future.as_mut().poll(cx);
        if left == 0 {
            Poll::Ready(())
        } else {
            polled.map(|_| ())
        }
    })
    .await;
}

/// Waits until a condition in SQL is true on the server of the tests.
///
/// # Panics
///
/// If it isn't so within [`GENEROUS`].
pub async fn until_server(condition: impl Into<String>) {
    let condition = condition.into();
    blocking(move || RawClient::of_tests().wait_for(&condition)).await;
}

/// Waits until the server runs `pg_sleep` in the session that this process serves.
pub async fn until_asleep(process: i32) {
    until_server(asleep(process)).await;
}

/// The condition that the server runs `pg_sleep` in the session that this process serves.
pub fn asleep(process: i32) -> String {
    format!(
        "exists (select from pg_stat_activity \
         where pid = {process} and state = 'active' and wait_event = 'PgSleep')"
    )
}

/// Waits until the session that this process served is gone.
pub async fn until_gone(process: i32) {
    until_server(format!(
        "not exists (select from pg_stat_activity where pid = {process})"
    ))
    .await;
}

/// Asks again and again until `is_so`, for what nothing tells of, as the numbers of a pool. What
/// it asks must not touch the connection under test. Whatever else is due runs in between: the
/// tasks of the test, and the server, which may have to share the processor with it.
///
/// # Panics
///
/// If it isn't so within [`GENEROUS`].
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !is_so().await {
            // Else the server would have half of the processor, and this, which has nothing to do,
            // the other half.
            std::thread::yield_now();
            tokio::task::yield_now().await;
        }
    };
    within(GENEROUS, what, asking).await;
}
