//! Heavy work over links that are far away, and over links that die.

mod live;
mod pool_support;
mod support;

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use kornak::config::Environment;
use kornak::{Config, Connection, ErrorKind, SqlState, exec, one};
use live::{check_token, connect_over, small_buffers};
use pool_support::Tested;
use support::deadline::{GENEROUS, within};
use support::proxy::{Fault, Listen, Pace, Proxy, Way};
use support::scripted::{Listen as ScriptedListen, ScriptError, ScriptedServer, Session};
use support::server;

#[tokio::test]
async fn twenty_lookups_far_away_take_one_round_trip_in_a_pipeline_and_twenty_without() {
    let proxy = Proxy::recording(Listen::Tcp, server::tcp_target().address);
    let mut connection = connect_over(proxy.address(), small_buffers).await;
    let link = proxy.session(0).await;
    let lookup = "select $1 * 2";
    connection.fetch_one::<i32>(lookup, (1,)).await.unwrap();
    let delay = Pace {
        delay: Duration::from_micros(2_500),
        ..Pace::default()
    };
    link.set_pace(Way::ToServer, delay);
    link.set_pace(Way::ToClient, delay);
    let sent = link.sent_from_now();
    for i in 0..20 {
        let doubled: i32 = connection.fetch_one(lookup, (i,)).await.unwrap();
        assert_eq!(doubled, i * 2);
    }
    assert_eq!(sent.flights().len(), 20);
    let expected: Vec<i32> = (0..20).map(|i| i * 2).collect();
    let sent = link.sent_from_now();
    let items: Vec<_> = (0..20).map(|i| one::<i32>(lookup, (i,))).collect();
    assert_eq!(connection.pipeline(&items).await.unwrap(), expected);
    assert_eq!(sent.flights().len(), 1);
    let each = connection.pipeline_each(&items).await.unwrap();
    let each: Vec<i32> = each.into_iter().map(Result::unwrap).collect();
    assert_eq!(each, expected);
    assert_eq!(sent.flights().len(), 2);
    let many: Vec<i32> = connection
        .fetch_many(lookup, (0..20).map(|i| (i,)))
        .await
        .unwrap();
    assert_eq!(many, expected);
    assert_eq!(sent.flights().len(), 3);
    check_token(&mut connection).await;
}

/// Says two FATAL errors, one behind the other, and goes away.
async fn die_twice(session: &mut Session) -> Result<(), ScriptError> {
    let first = r#"ErrorResponse S="FATAL" V="FATAL" C="57P01" M="terminating connection""#;
    let second = r#"ErrorResponse S="FATAL" V="FATAL" C="08P01" M="and once more""#;
    session.say(&format!("{first}\n{second}")).await?;
    session.close().await
}

async fn connect(server: &ScriptedServer) -> Connection {
    let config: Config = server.url().parse().unwrap();
    let config = small_buffers(config.environment(Environment::empty()));
    let connected = within(GENEROUS, "connecting", Connection::connect(config)).await;
    connected.unwrap()
}

/// The answer to a statement that is prepared.
const PREPARED: &str = "ParseComplete\nParameterDescription [25]\nNoData\nReadyForQuery I";

async fn flight(session: &mut Session) -> Result<(), ScriptError> {
    while session.receive().await?.name() != "Sync" {}
    Ok(())
}

/// The server dies twice in the middle of a pipeline of which the client still has most to
/// send: whoever waits is told once, with the first reason, and nobody spins.
#[tokio::test]
async fn r26_two_fatal_errors_amid_a_pipeline_fail_it_once() {
    for each in [false, true] {
        let mut server = ScriptedServer::start(ScriptedListen::Tcp, async move |acceptor| {
            let mut session = acceptor.accept().await?;
            session.startup_trust().await?;
            flight(&mut session).await?;
            session.say(PREPARED).await?;
            // The first of the statements is begun to be read, and the rest never.
            session.receive().await?;
            session
                .say("BindComplete\nCommandComplete \"INSERT 0 1\"")
                .await?;
            die_twice(&mut session).await
        });
        let mut connection = connect(&server).await;
        let text = "x".repeat(200_000);
        let items: Vec<_> = (0..64)
            .map(|_| exec("insert into t values ($1)", (text.as_str(),)))
            .collect();
        let mut polls = 0;
        let error = {
            let mut running = Box::pin(async {
                if each {
                    connection.pipeline_each(&items).await.unwrap_err()
                } else {
                    connection.pipeline(&items).await.unwrap_err().into_error()
                }
            });
            let counted = poll_fn(|cx| {
                polls += 1;
                running.as_mut().poll(cx)
            });
            within(GENEROUS, "the error", counted).await
        };
        assert!(error.is_closed(), "{error}");
        assert_eq!(error.sqlstate(), Some(SqlState::ADMIN_SHUTDOWN), "{error}");
        assert!(polls < 1_000, "{polls} polls");
        // It is told once as the end of the connection, and then as its state.
        for _ in 0..2 {
            let error = connection
                .fetch_one::<i32>("select 1", ())
                .await
                .unwrap_err();
            assert!(error.is_closed(), "{error}");
            assert_eq!(error.outcome(), kornak::error::Outcome::NotRun);
        }
        drop(connection);
        server.finish().await;
    }
}

/// The link dies while both sides have more to send than the sockets hold.
#[tokio::test]
async fn r26_a_link_that_dies_while_both_read_and_write_ends_each_verb_once() {
    let proxy = Proxy::with_buffers(Listen::Tcp, server::tcp_target().address, Some(8 * 1024));
    let text = "x".repeat(100_000);
    let echo = "select $1::text";
    for fault in [Fault::Reset, Fault::Cut] {
        for verb in 0..5 {
            let mut connection = connect_over(proxy.address(), small_buffers).await;
            let script = "create temp table t (value text)";
            connection.batch_execute(script).await.unwrap();
            connection
                .fetch_one::<String>(echo, ("warm",))
                .await
                .unwrap();
            let link = proxy.session(proxy.links().len() - 1).await;
            let offset = if verb < 4 { 300_000 } else { 1_000_000 };
            let way = if verb < 4 {
                Way::ToClient
            } else {
                Way::ToServer
            };
            link.arm(way, offset, fault);
            let mut polls = 0;
            let ended = {
                let mut running = Box::pin(async {
                    let items: Vec<_> = (0..64)
                        .map(|_| one::<String>(echo, (text.as_str(),)))
                        .collect();
                    let params = (0..64).map(|_| (text.as_str(),));
                    match verb {
                        0 => connection
                            .pipeline(&items)
                            .await
                            .map(drop)
                            .map_err(kornak::Error::from),
                        1 => connection.pipeline_each(&items).await.map(drop),
                        2 => {
                            let echoed = connection.fetch_many::<String, _>(echo, params);
                            echoed.await.map(drop).map_err(kornak::Error::from)
                        }
                        3 => {
                            let mut rows =
                                connection.stream_many::<String, _>(echo, params).await?;
                            while rows.next().await?.is_some() {}
                            Ok(())
                        }
                        _ => {
                            let mut copy = connection.copy_in_rows("t", &["value"]).await?;
                            copy.send_all(params).await?;
                            copy.finish().await.map(drop)
                        }
                    }
                });
                let counted = poll_fn(|cx| {
                    polls += 1;
                    let polled = running.as_mut().poll(cx);
                    if polls > 100_000 {
                        return Poll::Ready(Ok(()));
                    }
                    polled
                });
                within(GENEROUS, "the end", counted).await
            };
            let error = ended.unwrap_err();
            // Where the sockets have taken all items, the COMMIT behind them is on its way too.
            let is_unknown = error.kind() == ErrorKind::CommitOutcomeUnknown;
            let is_told = error.is_closed() || is_unknown && matches!(verb, 2 | 3);
            assert!(is_told, "{verb}: {error}");
            let again = connection
                .fetch_one::<i32>("select 1", ())
                .await
                .unwrap_err();
            assert!(again.is_closed(), "{verb}: {again}");
        }
    }
}

/// Each task whose connection dies is told once, and the pool goes on.
#[tokio::test]
async fn r26_each_waiter_of_a_pool_is_told_once_when_its_link_dies() {
    let proxy = Proxy::with_buffers(Listen::Tcp, server::tcp_target().address, Some(8 * 1024));
    let tested = Tested::over(proxy.address(), 4, |builder| builder);
    let echo = "select $1::text";
    for round in 0..3 {
        let mut tasks = Vec::new();
        for _ in 0..16 {
            let pool = tested.pool.clone();
            tasks.push(tokio::spawn(async move {
                let text = "x".repeat(50_000);
                let items = [(); 8].map(|()| one::<String>(echo, (text.as_str(),)));
                pool.pipeline_each(items).await.map(drop)
            }));
        }
        proxy.until_open(|open| open >= 4).await;
        for link in proxy.links() {
            if link.is_open() {
                link.arm(Way::ToClient, 10_000, Fault::Reset);
            }
        }
        let mut failed = 0;
        for task in tasks {
            let ended = within(GENEROUS, "the task", task).await.unwrap();
            failed += usize::from(ended.is_err());
        }
        assert!(
            (1..=8).contains(&failed),
            "round {round}: {failed} of 16 failed"
        );
        tested.check_token().await;
    }
}
