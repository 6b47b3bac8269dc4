//! Links that stall, backends that die, deadlines that pass.

mod live;
mod support;

use std::time::Duration;

use kornak::{Connection, Error, ErrorKind, Row, SqlState};
use live::{
    asleep, check_token, config, connect, connect_over, eventually, open, poll_once, until_gone,
};
use support::address::Target;
use support::deadline::{GENEROUS, blocking, within};
use support::proxy::{Listen, Proxy, Way};
use support::raw::RawClient;
use support::server;
use xtask::server::{Server, StopMode};

/// More than all the buffers of the sockets on the way hold.
const LARGE: usize = 16 << 20;

#[tokio::test]
async fn r4_a_frame_that_is_half_written_is_completed_by_the_next_operation() {
    let mut observer = RawClient::of_tests();
    observer.execute("drop table if exists r4; create table r4 (length int4)");
    let proxy = Proxy::with_buffers(Listen::Tcp, server::tcp_target().address, Some(4096));
    let sql = "insert into r4 select length($1) returning length";
    for warm in [false, true] {
        for in_transaction in [false, true] {
            let mut connection = connect_over(proxy.address(), |config| config).await;
            let link = proxy.links().pop().unwrap();
            if warm {
                connection.execute(sql, (vec![0_u8; 3],)).await.unwrap();
                observer.execute("truncate r4");
            }
            if in_transaction {
                connection.execute("begin", ()).await.unwrap();
            }
            let before = link.bytes(Way::ToServer);
            link.stall(Way::ToServer);
            let mut asking = Box::pin(connection.execute(sql, (vec![7_u8; LARGE],)));
            // The sockets take what they can, and it isn't all.
            for _ in 0..3 {
                assert!(poll_once(&mut asking).is_pending());
                tokio::task::yield_now().await;
            }
            link.resume();
            // Something has left: the frame can't be taken back.
            link.passed(Way::ToServer, before + 1).await;
            drop(asking);
            if in_transaction {
                connection
                    .execute("commit", ())
                    .await
                    .map(drop)
                    .or_else(is_typed)
                    .unwrap();
                connection.execute("rollback", ()).await.unwrap();
            }
            check_token(&mut connection).await;
            let lengths = observer.column("select length from r4");
            // The statement ran as a whole, or was cancelled as a whole.
            assert!(
                lengths.is_empty() || lengths == [LARGE.to_string()],
                "{lengths:?}"
            );
            observer.execute("truncate r4");
        }
    }
    observer.execute("drop table r4");
}

/// The server's refusal, of a transaction that was cancelled, is fine.
fn is_typed(error: Error) -> Result<(), Error> {
    match error.kind() {
        ErrorKind::Server | ErrorKind::RolledBack => Ok(()),
        _ => Err(error),
    }
}

#[tokio::test]
async fn r4_a_connection_that_is_dropped_in_the_middle_of_a_frame_is_closed() {
    let proxy = Proxy::with_buffers(Listen::Tcp, server::tcp_target().address, Some(4096));
    let mut connection = connect_over(proxy.address(), |config| config).await;
    let link = proxy.links().pop().unwrap();
    let process = connection.process_id();
    let mut asking = Box::pin(connection.execute("select $1::bytea", (vec![7_u8; LARGE],)));
    assert!(poll_once(&mut asking).is_pending());
    drop(asking);
    drop(connection);
    link.closed().await;
    until_gone(process).await;
}

#[tokio::test]
async fn r4_a_stalled_link_ends_by_the_deadline_and_works_again_later() {
    let proxy = Proxy::with_buffers(Listen::Tcp, server::tcp_target().address, Some(4096));
    let mut connection = connect_over(proxy.address(), |config| config).await;
    let link = proxy.links().pop().unwrap();
    let value = vec![7_u8; LARGE];
    link.stall(Way::ToServer);
    for _ in 0..2 {
        let asked = connection.query("select length($1)").bind((&value,));
        let asked = asked.timeout(Duration::from_millis(50)).fetch_one::<i32>();
        let error = within(GENEROUS, "the timeout", asked).await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
        assert!(!connection.is_closed());
    }
    link.resume();
    check_token(&mut connection).await;
}

/// Rows that come at first, and then wait for a long time.
const SLOW: &str = "select i, repeat('x', 100), case when i = 5000 then pg_sleep(3600)::text end
                    from generate_series(1, 10000) i";

/// Each verb that gives rows; how many came, and the error.
async fn read_slowly(verb: &str, connection: &mut Connection) -> (usize, kornak::Result<()>) {
    let mut count = 0;
    let result = match verb {
        "execute" => connection.execute(SLOW, ()).await.map(drop),
        "fetch_all" => connection.fetch_all::<Row>(SLOW, ()).await.map(drop),
        "fetch_one" => connection.fetch_one::<Row>(SLOW, ()).await.map(drop),
        "for_each" => connection
            .for_each(SLOW, (), |_| count += 1)
            .await
            .map(drop),
        "batch_execute" => connection.batch_execute(SLOW).await,
        "fetch" => match connection.fetch::<Row>(SLOW, ()).await {
            Err(error) => Err(error),
            Ok(mut rows) => loop {
                match rows.next().await {
                    Ok(Some(_)) => count += 1,
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            },
        },
        other => panic!("{other}"),
    };
    (count, result)
}

const VERBS: [&str; 6] = [
    "execute",
    "fetch_all",
    "fetch_one",
    "for_each",
    "batch_execute",
    "fetch",
];

/// Waits until the session sleeps in its statement.
async fn until_it_sleeps(target: &Target, process: i32) -> RawClient {
    let target = target.clone();
    blocking(move || {
        let mut observer = RawClient::connect(&target).unwrap();
        observer.wait_for(&asleep(process));
        observer
    })
    .await
}

#[tokio::test]
async fn r31_a_backend_that_is_ended_within_the_rows_is_an_error_from_every_verb() {
    for verb in VERBS {
        for warm in [false, true] {
            let mut connection = connect().await;
            if warm {
                // Cancelled from outside: the statement is prepared now.
                let token = connection.cancel_token();
                let process = connection.process_id();
                let cancel = async {
                    until_it_sleeps(&server::target(), process).await;
                    token.cancel().await.unwrap();
                };
                let ((_, result), ()) = tokio::join!(read_slowly(verb, &mut connection), cancel);
                assert_eq!(
                    result.unwrap_err().sqlstate(),
                    Some(SqlState::QUERY_CANCELED)
                );
                check_token(&mut connection).await;
            }
            let process = connection.process_id();
            let end = async {
                let mut observer = until_it_sleeps(&server::target(), process).await;
                blocking(move || observer.terminate(process)).await;
            };
            let read = within(GENEROUS, verb, read_slowly(verb, &mut connection));
            let ((count, result), ()) = tokio::join!(read, end);
            let error = result.unwrap_err();
            assert_eq!(
                error.sqlstate(),
                Some(SqlState::ADMIN_SHUTDOWN),
                "{verb}: {error}"
            );
            assert!(error.is_closed() && connection.is_closed(), "{verb}");
            assert!(count < 10_000, "{verb}");
            let error = connection.execute("select 1", ()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        }
    }
}

#[tokio::test]
async fn r31_a_backend_that_is_ended_before_and_after_the_rows_is_an_error() {
    // Before the first row.
    let mut connection = connect().await;
    let process = connection.process_id();
    let end = async {
        let mut observer = until_it_sleeps(&server::target(), process).await;
        blocking(move || observer.terminate(process)).await;
    };
    let (result, ()) = tokio::join!(
        connection.fetch_all::<Row>("select pg_sleep(3600)", ()),
        end
    );
    let error = result.unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::ADMIN_SHUTDOWN), "{error}");
    // After all of them, before the end: the rows are read, and the statement is not over.
    let mut connection = connect().await;
    let process = connection.process_id();
    let mut transaction = connection.begin().await.unwrap();
    transaction
        .batch_execute("create temp table r31 (n int4) on commit drop")
        .await
        .unwrap();
    transaction
        .batch_execute(
            "create function pg_temp.r31() returns trigger language plpgsql as
                 $$ begin perform pg_sleep(3600); return null; end $$;
             create constraint trigger r31 after insert on r31 deferrable initially deferred
                 for each row execute function pg_temp.r31()",
        )
        .await
        .unwrap();
    let rows: Vec<i32> = transaction
        .fetch_all(
            "insert into r31 select generate_series(1, 10) returning n",
            (),
        )
        .await
        .unwrap();
    assert_eq!(rows.len(), 10);
    let end = async {
        let mut observer = until_it_sleeps(&server::target(), process).await;
        blocking(move || observer.terminate(process)).await;
    };
    let (result, ()) = tokio::join!(transaction.commit(), end);
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CommitOutcomeUnknown, "{error}");
    assert!(connection.is_closed());
}

#[tokio::test]
async fn r34_a_session_that_is_ended_while_it_is_idle_says_why() {
    for tcp in [false, true] {
        let target = if tcp {
            server::tcp_target()
        } else {
            server::target()
        };
        let mut connection = open(config(&target)).await;
        check_token(&mut connection).await;
        let process = connection.process_id();
        blocking(move || RawClient::of_tests().terminate(process)).await;
        let asked = connection.fetch_one::<i32>("select 1", ());
        let error = within(GENEROUS, "the error", asked).await.unwrap_err();
        assert_eq!(error.sqlstate(), Some(SqlState::ADMIN_SHUTDOWN), "{error}");
        assert!(error.is_closed() && connection.is_closed());
        let error = connection.begin().await.map(drop).unwrap_err();
        assert_eq!(error.sqlstate(), Some(SqlState::ADMIN_SHUTDOWN), "{error}");
    }
}

#[tokio::test]
async fn r34_a_session_that_times_out_in_a_transaction_says_why() {
    let mut connection = connect().await;
    let process = connection.process_id();
    let mut transaction = connection.begin().await.unwrap();
    transaction
        .execute(
            "set local idle_in_transaction_session_timeout to '10ms'",
            (),
        )
        .await
        .unwrap();
    until_gone(process).await;
    let error = transaction.commit().await.unwrap_err();
    // Whether COMMIT was read the server doesn't say; it was not, but that is not known here.
    let cause = std::error::Error::source(&error)
        .map(ToString::to_string)
        .unwrap_or_default();
    assert!(
        error.to_string().contains("25P03") || cause.contains("25P03"),
        "{error}: {cause}"
    );
    let error = connection.execute("select 1", ()).await.unwrap_err();
    assert_eq!(
        error.sqlstate(),
        Some(SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT),
        "{error}"
    );
}

#[tokio::test]
async fn r31_a_server_that_is_killed_or_stopped_at_once_is_an_error() {
    let private = blocking(|| Server::private("live-r31", &[])).await.unwrap();
    let target = Target::from_url(&private.url());
    let mut private = Some(private);
    for how in ["kill one", "stop", "kill all"] {
        let mut connections = Vec::new();
        for _ in VERBS {
            connections.push(open(config(&target)).await);
        }
        let mut idle = open(config(&target)).await;
        let processes: Vec<i32> = connections.iter().map(Connection::process_id).collect();
        let mut reads = tokio::task::JoinSet::new();
        for (verb, mut connection) in VERBS.into_iter().zip(connections) {
            reads.spawn(async move {
                let (count, result) = read_slowly(verb, &mut connection).await;
                (verb, count, result, connection)
            });
        }
        for process in &processes {
            until_it_sleeps(&target, *process).await;
        }
        let mut server = private.take().unwrap();
        let first = u32::try_from(processes[0]).unwrap();
        let stopped = blocking(move || {
            match how {
                // The postmaster ends all other sessions then, and starts anew.
                "kill one" => server.signal(first, "KILL").unwrap(),
                "stop" => server.stop(StopMode::Immediate).unwrap(),
                _ => server.kill().unwrap(),
            }
            server
        });
        let mut stopped = stopped.await;
        while let Some(ended) = within(GENEROUS, how, reads.join_next()).await {
            let (verb, count, result, connection) = ended.unwrap();
            let error = result.unwrap_err();
            assert!(error.is_closed(), "{how}: {verb}: {error}");
            assert!(connection.is_closed());
            assert!(count < 10_000, "{how}: {verb}");
        }
        let asked = within(GENEROUS, how, idle.fetch_one::<i32>("select 1", ()));
        let error = asked.await.unwrap_err();
        assert!(error.is_closed(), "{how}: {error}");
        if how != "kill one" {
            stopped = blocking(move || {
                stopped.start_again().unwrap();
                stopped
            })
            .await;
        }
        eventually("the server to be back", async || {
            Connection::connect(config(&target)).await.is_ok()
        })
        .await;
        private = Some(stopped);
    }
}

#[tokio::test]
async fn a_timeout_fires_and_the_query_is_cancelled() {
    let mut connection = connect().await;
    let process = connection.process_id();
    let short = Duration::from_millis(20);
    let sleep = "select pg_sleep(3600)";
    for _ in 0..3 {
        let asked = connection.query(sleep).timeout(short).fetch_one::<Row>();
        let error = within(GENEROUS, "the timeout", asked).await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
        assert_eq!(error.outcome(), kornak::error::Outcome::Unknown);
        // It still runs, until the connection is used again.
        check_token(&mut connection).await;
        assert_eq!(connection.process_id(), process);
    }
    // By the default of the connection, and each verb.
    connection.set_default_timeout(Some(short));
    for verb in VERBS {
        let (_, result) = within(GENEROUS, verb, read_slowly(verb, &mut connection)).await;
        let error = result.unwrap_err();
        assert!(error.is_timeout(), "{verb}: {error}");
        connection.set_default_timeout(None);
        check_token(&mut connection).await;
        connection.set_default_timeout(Some(short));
    }
    // What is quick enough is not disturbed, neither by its own limit nor by the one before.
    let long = GENEROUS * 100;
    for _ in 0..10 {
        let answer = connection
            .query("select 1")
            .timeout(long)
            .fetch_one::<i32>()
            .await;
        assert_eq!(answer.unwrap(), 1);
    }
    let sql = "select pg_sleep(0.1)";
    connection.query(sql).timeout(long).execute().await.unwrap();
    // A deadline in the past ends what has to wait.
    let past = tokio::time::Instant::now();
    let error = connection
        .query(sleep)
        .deadline(past)
        .execute()
        .await
        .unwrap_err();
    assert!(error.is_timeout(), "{error}");
    connection.set_default_timeout(None);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn a_timeout_within_a_transaction_fails_the_transaction() {
    let mut connection = connect().await;
    let mut transaction = connection.begin().await.unwrap();
    transaction
        .execute("create temp table timed (n int4)", ())
        .await
        .unwrap();
    let asked = transaction
        .query("select pg_sleep(3600)")
        .timeout(Duration::from_millis(20));
    let error = asked.execute().await.unwrap_err();
    assert!(error.is_timeout());
    // The statement was cancelled, and with it the transaction.
    let error = transaction.execute("select 1", ()).await.unwrap_err();
    assert_eq!(
        error.sqlstate(),
        Some(SqlState::IN_FAILED_SQL_TRANSACTION),
        "{error}"
    );
    let error = transaction.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RolledBack, "{error}");
    check_token(&mut connection).await;
    // A savepoint around it keeps the rest.
    let mut transaction = connection.begin().await.unwrap();
    transaction
        .execute("create temp table timed (n int4)", ())
        .await
        .unwrap();
    let mut nested = transaction.begin().await.unwrap();
    let asked = nested
        .query("select pg_sleep(3600)")
        .timeout(Duration::from_millis(20));
    assert!(asked.execute().await.unwrap_err().is_timeout());
    drop(nested);
    transaction
        .execute("insert into timed values (1)", ())
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(
        connection
            .fetch_one::<i32>("select n from timed", ())
            .await
            .unwrap(),
        1
    );
    check_token(&mut connection).await;
}
