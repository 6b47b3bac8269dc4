//! Subscriptions: one connection of a pool listens for many.

mod live;
mod pool_support;
mod support;

use std::time::Duration;

use kornak::pool::Subscription;
use kornak::{ErrorKind, ListenEvent, Pool};
use live::{SMALL_BUFFER, check_token, connect_small as connect, until_server};
use pool_support::Tested;
use support::deadline::{GENEROUS, within};
use support::proxy::{Listen, Proxy};
use support::raw::{RawClient, unique};
use support::server;

/// A pool of so many, over TCP, where its small buffers count both ways.
fn small_pool(size: usize) -> Tested {
    Tested::over(&server::tcp_target().address, size, |builder| builder)
}

async fn event(subscription: &mut Subscription) -> ListenEvent {
    within(GENEROUS, "an event", subscription.next())
        .await
        .unwrap()
}

async fn payload(subscription: &mut Subscription) -> String {
    match event(subscription).await {
        ListenEvent::Notification(notification) => notification.payload,
        other => panic!("{other:?} instead of a notification"),
    }
}

async fn subscribe(pool: &Pool, channels: &[&str]) -> Subscription {
    within(GENEROUS, "subscribing", pool.subscribe(channels))
        .await
        .unwrap()
}

#[tokio::test]
async fn r61_many_subscribers_share_one_connection() {
    let tested = small_pool(3);
    let (pool, mut sender) = (&tested.pool, connect().await);
    let (a, b) = (unique(), format!("B \"{}\"", unique()));
    let mut both = subscribe(pool, &[&a, &b]).await;
    let mut only_a: Vec<Subscription> = Vec::new();
    for _ in 0..20 {
        only_a.push(subscribe(pool, &[&a]).await);
    }
    let mut only_b = subscribe(pool, &[&b]).await;
    assert_eq!(both.channels().count(), 2);
    sender.notify(&a, "one").await.unwrap();
    sender.notify(&b, "two").await.unwrap();
    assert_eq!(payload(&mut both).await, "one");
    assert_eq!(payload(&mut both).await, "two");
    assert_eq!(payload(&mut only_b).await, "two");
    for subscription in &mut only_a {
        assert_eq!(payload(subscription).await, "one");
    }
    let mut observer = RawClient::of_tests();
    let sessions = format!(
        "select count(*) from pg_stat_activity where application_name = '{}' and query like 'listen%'",
        tested.application
    );
    assert_eq!(observer.value(&sessions), "1");
    // The pool's own connections are all free.
    assert_eq!(pool.status().busy, 0);

    // Those who stay hear on while others leave and come.
    drop((both, only_a));
    let mut again = subscribe(pool, &[&a]).await;
    sender.notify(&a, "three").await.unwrap();
    sender.notify(&b, "four").await.unwrap();
    assert_eq!(payload(&mut again).await, "three");
    assert_eq!(payload(&mut only_b).await, "four");
    // Behind the last one the connection is closed, and opened for the next.
    drop((again, only_b));
    until_server(format!("({sessions}) = 0")).await;
    let mut next = subscribe(pool, &[&a]).await;
    sender.notify(&a, "five").await.unwrap();
    assert_eq!(payload(&mut next).await, "five");
    check_token(&mut sender).await;
}

#[tokio::test]
async fn r61_a_queue_that_is_full_tells_how_many_are_missing() {
    let tested = small_pool(1);
    let (pool, channel) = (&tested.pool, unique());
    let mut slow = subscribe(pool, &[&channel]).await;
    let mut quick = subscribe(pool, &[&channel]).await;
    slow.set_capacity(10);
    let mut sender = connect().await;
    let sql = "select pg_notify($1, i::text) from generate_series(1, 100000) i";
    let sending = tokio::spawn(async move {
        sender.execute(sql, (channel.as_str(),)).await.unwrap();
        channel
    });
    let mut heard = 0;
    while heard < 100_000 {
        match event(&mut quick).await {
            ListenEvent::Notification(notification) => {
                heard += 1;
                assert_eq!(notification.payload, heard.to_string());
            }
            ListenEvent::Overflow { missed } => heard += missed,
            other => panic!("{other:?}"),
        }
    }
    let channel = sending.await.unwrap();
    // Nobody reads here, and nothing more is kept.
    assert_eq!(slow.waiting(), 11);
    for expected in 1..=10 {
        assert_eq!(payload(&mut slow).await, expected.to_string());
    }
    assert_eq!(
        event(&mut slow).await,
        ListenEvent::Overflow { missed: 99_990 }
    );
    let mut sender = connect().await;
    sender.notify(&channel, "after").await.unwrap();
    assert_eq!(payload(&mut slow).await, "after");
    check_token(&mut sender).await;
}

#[tokio::test]
async fn r61_a_reconnect_shows_as_a_gap_to_each_subscriber() {
    let tested = small_pool(1);
    let (pool, channel) = (&tested.pool, unique());
    let mut first = subscribe(pool, &[&channel]).await;
    let mut second = subscribe(pool, &[&channel]).await;
    let (mut observer, mut sender) = (RawClient::of_tests(), connect().await);
    for _ in 0..2 {
        let process = observer.value(&format!(
            "select pid from pg_stat_activity where application_name = '{}' and query like 'listen%'",
            tested.application
        ));
        observer.terminate(process.parse().unwrap());
        for subscription in [&mut first, &mut second] {
            assert_eq!(event(subscription).await, ListenEvent::Gap);
        }
        sender.notify(&channel, "after").await.unwrap();
        for subscription in [&mut first, &mut second] {
            assert_eq!(payload(subscription).await, "after");
        }
    }
    check_token(&mut sender).await;
}

#[tokio::test]
async fn what_can_not_be_subscribed_to_is_refused_and_the_end_of_the_pool_told() {
    let tested = small_pool(1);
    let pool = &tested.pool;
    for channels in [&[][..], &[""], &["a\0b"], &["fine", &"x".repeat(64)]] {
        let error = pool.subscribe(channels).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{channels:?}");
    }
    let channel = unique();
    let mut subscription = subscribe(pool, &[&channel]).await;
    tested.pool.close(Duration::from_secs(5)).await;
    let error = within(GENEROUS, "the end", subscription.next()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::PoolClosed);
    let error = pool.subscribe([&channel]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PoolClosed);

    // The last handle goes while somebody still listens.
    let tested = small_pool(1);
    let mut subscription = subscribe(&tested.pool, &[&channel]).await;
    drop(tested);
    let error = within(GENEROUS, "the end", subscription.next()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::PoolClosed);
}

#[tokio::test]
async fn subscribing_waits_for_a_server_that_is_away_and_no_longer_than_acquiring() {
    let proxy = Proxy::with_buffers(
        Listen::Tcp,
        server::tcp_target().address,
        Some(SMALL_BUFFER),
    );
    proxy.refuse_next(2);
    let tested = Tested::over(proxy.address(), 1, |builder| builder);
    let channel = unique();
    let mut subscription = subscribe(&tested.pool, &[&channel]).await;
    let mut sender = connect().await;
    sender.notify(&channel, "heard").await.unwrap();
    assert_eq!(payload(&mut subscription).await, "heard");

    proxy.refuse_next(1_000);
    let impatient = Tested::over(proxy.address(), 1, |builder| {
        builder.acquire_timeout(Some(Duration::from_millis(50)))
    });
    let subscribing = impatient.pool.subscribe([&channel]);
    let error = within(GENEROUS, "the timeout", subscribing).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::PoolTimeout);
    check_token(&mut sender).await;
}
