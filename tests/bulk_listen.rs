//! LISTEN and NOTIFY against a real server.

mod live;
mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kornak::{ErrorKind, ListenEvent, Listener};
use live::{SMALL_BUFFER, check_token, config, connect_small as connect, small_buffers};
use support::address::Address;
use support::deadline::{GENEROUS, blocking, within};
use support::proxy::{Fault, Listen, Proxy, Way};
use support::raw::{RawClient, unique};
use support::server;

async fn listener() -> Listener {
    listener_over(&server::tcp_target().address).await
}

async fn listener_over(address: &Address) -> Listener {
    let config = small_buffers(config(&server::tcp_target().at(address)));
    let connecting = Listener::connect(config);
    within(GENEROUS, "connecting", connecting).await.unwrap()
}

/// With as little room on its side as the listener has on its own.
fn proxy() -> Proxy {
    let upstream = server::tcp_target().address;
    Proxy::with_buffers(Listen::Tcp, upstream, Some(SMALL_BUFFER))
}

async fn event(listener: &mut Listener) -> ListenEvent {
    within(GENEROUS, "an event", listener.next()).await.unwrap()
}

async fn payload(listener: &mut Listener) -> String {
    match event(listener).await {
        ListenEvent::Notification(notification) => notification.payload,
        other => panic!("{other:?} instead of a notification"),
    }
}

#[tokio::test]
async fn r61_channels_come_and_go_while_it_runs() {
    let (mut listener, mut sender) = (listener().await, connect().await);
    let channels = [unique(), format!("A \"b\" {}", unique()), unique()];
    for channel in &channels {
        listener.listen(channel).await.unwrap();
    }
    assert_eq!(listener.channels().count(), 3);
    for channel in &channels {
        sender.notify(channel, "first").await.unwrap();
        match event(&mut listener).await {
            ListenEvent::Notification(notification) => {
                assert_eq!(notification.channel, *channel);
                assert_eq!(notification.payload, "first");
                assert_eq!(notification.process_id, sender.process_id());
            }
            other => panic!("{other:?}"),
        }
    }
    listener.unlisten(&channels[0]).await.unwrap();
    sender.notify(&channels[0], "unheard").await.unwrap();
    sender.notify(&channels[1], "heard").await.unwrap();
    assert_eq!(payload(&mut listener).await, "heard");
    for name in ["", "a\0b"] {
        let error = listener.listen(name).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
    // A transaction's notifications come with its commit, and not with its rollback.
    let mut transaction = sender.begin().await.unwrap();
    transaction.notify(&channels[1], "lost").await.unwrap();
    transaction.rollback().await.unwrap();
    let mut transaction = sender.begin().await.unwrap();
    transaction.notify(&channels[1], "kept").await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(payload(&mut listener).await, "kept");
    let long = "x".repeat(8_000);
    sender.notify(&channels[1], &long).await.unwrap_err();
    check_token(&mut sender).await;
}

#[tokio::test]
async fn r61_a_burst_is_heard_in_order_and_nothing_is_lost_to_dropped_waits() {
    let (mut listener, mut sender) = (listener().await, connect().await);
    let channel = unique();
    listener.listen(&channel).await.unwrap();
    // Before anyone waits.
    let sql = "select pg_notify($1, i::text) from generate_series(1, 100000) i";
    sender.execute(sql, (&channel,)).await.unwrap();
    for expected in 1..=100_000 {
        if expected % 1_000 == 0 {
            // A wait that is dropped after its first poll, unless an event was there.
            let polled = tokio::select! {
                biased;
                event = listener.next() => Some(event.unwrap()),
                () = async {} => None,
            };
            if let Some(ListenEvent::Notification(notification)) = polled {
                assert_eq!(notification.payload, expected.to_string());
                continue;
            }
        }
        assert_eq!(payload(&mut listener).await, expected.to_string());
    }
    check_token(&mut sender).await;
}

#[tokio::test]
async fn r61_a_reconnect_shows_as_a_gap() {
    let (mut listener, mut sender) = (listener().await, connect().await);
    let channel = unique();
    listener.listen(&channel).await.unwrap();
    for round in 0..3 {
        let before = format!("before {round}");
        sender.notify(&channel, &before).await.unwrap();
        assert_eq!(payload(&mut listener).await, before);
        let mut observer = RawClient::of_tests();
        let process = observer.value(&format!(
            "select pid from pg_stat_activity where query = 'listen \"{channel}\"'"
        ));
        observer.terminate(process.parse().unwrap());
        assert_eq!(event(&mut listener).await, ListenEvent::Gap);
        let after = format!("after {round}");
        sender.notify(&channel, &after).await.unwrap();
        assert_eq!(payload(&mut listener).await, after);
    }
}

#[tokio::test]
async fn r61_a_silent_connection_is_looked_after() {
    let proxy = proxy();
    let mut listener = listener_over(proxy.address()).await;
    let channel = unique();
    listener.listen(&channel).await.unwrap();
    listener.set_patience(Duration::from_millis(20));
    let link = proxy.session(0).await;
    // While it lives, it is asked again and again, and stays.
    let asked = async {
        tokio::select! {
            _ = link.passed(Way::ToServer, link.bytes(Way::ToServer) + 50) => {}
            event = listener.next() => panic!("{event:?}"),
        }
    };
    within(GENEROUS, "the questions", asked).await;
    assert_eq!(proxy.links().len(), 1);
    link.arm(Way::ToServer, 0, Fault::BlackHole);
    assert_eq!(event(&mut listener).await, ListenEvent::Gap);
    let mut sender = connect().await;
    sender.notify(&channel, "again").await.unwrap();
    assert_eq!(payload(&mut listener).await, "again");
}

#[tokio::test]
async fn r61_a_server_that_is_away_is_waited_for() {
    let proxy = proxy();
    let mut listener = listener_over(proxy.address()).await;
    let channel = unique();
    listener.listen(&channel).await.unwrap();
    proxy.refuse_next(3);
    proxy.session(0).await.reset();
    assert_eq!(event(&mut listener).await, ListenEvent::Gap);
    assert_eq!(proxy.connections().refused, 3);
    // A channel that is added while the connection is broken is heard afterwards.
    proxy.session(1).await.reset();
    let other = unique();
    listener.listen(&other).await.unwrap();
    assert_eq!(event(&mut listener).await, ListenEvent::Gap);
    let mut sender = connect().await;
    sender.notify(&other, "heard").await.unwrap();
    assert_eq!(payload(&mut listener).await, "heard");
}

/// Notifications come to any connection that listens, with whatever it does next.
#[tokio::test]
async fn r61_an_ordinary_connection_calls_back_for_what_came_before_within_and_between() {
    let (mut connection, mut sender) = (connect().await, connect().await);
    let channel = unique();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let callback = Arc::clone(&heard);
    connection.on_notification(move |notification| {
        callback.lock().unwrap().push(notification.payload);
    });
    let listen = format!("listen \"{channel}\"");
    connection.batch_execute(&listen).await.unwrap();
    let process = connection.process_id();

    // While a query runs.
    let mut observer = RawClient::of_tests();
    let asking = tokio::spawn(async move {
        connection
            .execute("select pg_sleep(0.3)", ())
            .await
            .unwrap();
        connection
    });
    blocking(move || observer.wait_for(&live::asleep(process))).await;
    sender.notify(&channel, "within").await.unwrap();
    let mut connection = within(GENEROUS, "the query", asking).await.unwrap();
    check_token(&mut connection).await;
    assert_eq!(*heard.lock().unwrap(), ["within"]);

    // In a transaction they wait for its end.
    let mut transaction = connection.begin().await.unwrap();
    transaction.execute("select 1", ()).await.unwrap();
    sender.notify(&channel, "later").await.unwrap();
    let values: Vec<i32> = transaction
        .fetch_all("select i from generate_series(1, 1000) i", ())
        .await
        .unwrap();
    assert_eq!(values.len(), 1_000);
    transaction.commit().await.unwrap();
    check_token(&mut connection).await;
    assert_eq!(*heard.lock().unwrap(), ["within", "later"]);

    // A burst between two queries, before anybody polls; its own among them.
    let sql = "select pg_notify($1, i::text) from generate_series(1, 100000) i";
    sender.execute(sql, (&channel,)).await.unwrap();
    connection.notify(&channel, "own").await.unwrap();
    let all_heard = async {
        while heard.lock().unwrap().len() < 100_003 {
            check_token(&mut connection).await;
        }
    };
    within(GENEROUS, "the burst", all_heard).await;
    let expected: Vec<String> = ["within".to_owned(), "later".to_owned()]
        .into_iter()
        .chain((1..=100_000).map(|i| i.to_string()))
        .chain(["own".to_owned()])
        .collect();
    assert!(*heard.lock().unwrap() == expected);
    assert!(connection.buffered_bytes() <= 64 * 1024);
}
