//! What becomes of a connection whose cancel request gets nowhere.

use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use kornak::Connection;
use kornak::config::{Config, Environment};
use support::deadline::{GENEROUS, within};
use support::proxy::{CancelPolicy, Listen, Plan, Proxy};
use support::server::tcp_target;

mod support;

async fn connect(proxy: &Proxy, connect_timeout: Duration) -> Connection {
    let target = tcp_target();
    let config = Config::new()
        .host(proxy.address().host())
        .port(proxy.address().port())
        .user(&*target.user)
        .password(target.password.unwrap_or_default())
        .dbname(&*target.database)
        .connect_timeout(connect_timeout)
        .environment(Environment::empty());
    within(GENEROUS, "connecting", Connection::connect(config))
        .await
        .expect("it is let in")
}

/// The request may still arrive, and hit whatever runs then: a connection is not used again
/// before its end is known.
#[tokio::test]
async fn r6_a_cancel_that_comes_to_no_end_is_not_taken_for_one_that_did() {
    let proxy = Proxy::start(Listen::Tcp, tcp_target().address);
    let mut connection = connect(&proxy, Duration::from_secs(2)).await;
    proxy.set_plan(Plan {
        cancel: CancelPolicy::BlackHole,
        ..Plan::default()
    });
    // It ends by itself while the request is under way.
    let mut sleeping = Box::pin(connection.execute("select pg_sleep(0.5)", ()));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut sleeping).poll(&mut cx).is_pending());
    drop(sleeping);
    for _ in 0..2 {
        let next = connection.fetch_one::<i32>("select 1", ());
        let error = within(GENEROUS, "the next operation", next).await;
        let error = error.expect_err("the cancel is still under way");
        assert!(error.is_closed(), "{error}");
        assert!(connection.is_closed());
    }
}

/// The user's own request is bounded by `connect_timeout`, and says nothing of the connection.
#[tokio::test]
async fn r6_a_cancel_of_the_user_s_that_comes_to_no_end_is_a_timeout() {
    let proxy = Proxy::start(Listen::Tcp, tcp_target().address);
    let mut connection = connect(&proxy, Duration::from_secs(2)).await;
    proxy.set_plan(Plan {
        cancel: CancelPolicy::BlackHole,
        ..Plan::default()
    });
    let token = connection.cancel_token();
    let error = within(GENEROUS, "the cancel", token.cancel()).await;
    let error = error.expect_err("nobody answers");
    assert!(error.is_timeout(), "{error}");
    let one: i32 = connection.fetch_one("select 1", ()).await.expect("a row");
    assert_eq!(one, 1);
}
