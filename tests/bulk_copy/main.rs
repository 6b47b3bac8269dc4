//! COPY against a real server: raw bytes and typed rows, in and out.

#[path = "../live/mod.rs"]
mod live;
mod rows;
mod statement;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use kornak::error::Outcome;
use kornak::{ErrorKind, SqlState, TransactionStatus};
use live::{check_token, connect_over, connect_small as connect, count, small_buffers, table};
use support::deadline::{GENEROUS, within};
use support::drops::{Case, DropAtEachPoll};
use support::proxy::{Fault, Listen, Proxy, Way};
use support::raw::RawClient;
use support::server;

const COPY_IN: &str = "copy t from stdin";
const COPY_OUT: &str = "copy t to stdout";

fn lines(range: std::ops::Range<i32>) -> String {
    range.map(|i| format!("{i}\tname {i}\n")).collect()
}

#[tokio::test]
async fn raw_bytes_go_in_and_come_out() {
    let mut connection = connect().await;
    table(&mut connection).await;
    let data = lines(0..50_000);
    let mut copy = connection.copy_in(COPY_IN).await.unwrap();
    for piece in data.as_bytes().chunks(777) {
        copy.send(piece).await.unwrap();
    }
    assert_eq!(copy.bytes(), data.len() as u64);
    assert_eq!(copy.finish().await.unwrap(), 50_000);
    let mut copy = connection.copy_out(COPY_OUT).await.unwrap();
    let mut got = Vec::new();
    while let Some(chunk) = copy.next().await.unwrap() {
        got.extend_from_slice(&chunk);
    }
    assert_eq!(
        (copy.bytes(), copy.rows()),
        (data.len() as u64, Some(50_000))
    );
    assert!(copy.next().await.unwrap().is_none());
    assert!(got == data.as_bytes());
    check_token(&mut connection).await;
}

#[tokio::test]
async fn readers_and_writers_are_copied_from_and_to() {
    let mut connection = connect().await;
    table(&mut connection).await;
    let data = lines(0..50_000);
    let mut copy = connection.copy_in(COPY_IN).await.unwrap();
    let sent = copy.send_from(&mut data.as_bytes()).await.unwrap();
    assert_eq!(sent, data.len() as u64);
    copy.flush().await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 50_000);
    let mut copy = connection.copy_out(COPY_OUT).await.unwrap();
    let mut got = Vec::new();
    let count = copy.write_to(&mut got).await.unwrap();
    assert_eq!(count, data.len() as u64);
    assert!(got == data.as_bytes());
    let mut copy = connection.copy_out(COPY_OUT).await.unwrap();
    let mut got = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut copy, &mut got)
        .await
        .unwrap();
    assert!(got == data);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r9_a_copy_that_is_dropped_or_aborted_leaves_nothing() {
    let mut connection = connect().await;
    table(&mut connection).await;
    let data = lines(0..30_000);
    for taken in [0, 10, data.len()] {
        let mut copy = connection.copy_in(COPY_IN).await.unwrap();
        copy.send(&data.as_bytes()[..taken]).await.unwrap();
        drop(copy);
        assert_eq!(count(&mut connection).await, 0);
        let mut copy = connection.copy_in(COPY_IN).await.unwrap();
        copy.send(&data.as_bytes()[..taken]).await.unwrap();
        copy.abort("the source is broken").await.unwrap();
        assert_eq!(count(&mut connection).await, 0);
        let mut copy = connection.copy_in_rows("t", &["id", "name"]).await.unwrap();
        copy.send_all((0..taken).map(|i| (i as i32, "x")))
            .await
            .unwrap();
        drop(copy);
        assert_eq!(count(&mut connection).await, 0);
        let copy = connection.copy_in(COPY_IN).await.unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "that nothing undoes it is the point"
        )]
        std::mem::forget(copy);
        assert_eq!(count(&mut connection).await, 0);
    }
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r9_an_error_of_the_data_comes_at_the_latest_with_the_end() {
    let mut connection = connect().await;
    table(&mut connection).await;
    // Known at the end, and known while there is more to send.
    for more in [0, 30_000] {
        let mut copy = connection.copy_in(COPY_IN).await.unwrap();
        let data = format!("1\tone\nnot a number\tx\n{}", lines(2..more + 2));
        let mut result = Ok(());
        for piece in data.as_bytes().chunks(10_000) {
            result = copy.send(piece).await;
            if result.is_err() {
                break;
            }
        }
        let error = match result {
            Ok(()) => copy.finish().await.unwrap_err(),
            Err(error) => {
                let after = copy.send(b"9\tnine\n").await.unwrap_err();
                assert_eq!(after.kind(), ErrorKind::Usage);
                drop(copy);
                error
            }
        };
        assert_eq!(
            error.sqlstate(),
            Some(SqlState::INVALID_TEXT_REPRESENTATION)
        );
        assert_eq!(error.outcome(), Outcome::RolledBack);
        assert_eq!(count(&mut connection).await, 0);
    }
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r9_a_panic_amid_a_copy_aborts_it() {
    let mut connection = connect().await;
    table(&mut connection).await;
    let shared = std::sync::Arc::new(tokio::sync::Mutex::new(connection));
    let lent = std::sync::Arc::clone(&shared);
    let copying = tokio::spawn(async move {
        let mut connection = lent.lock().await;
        let mut copy = connection.copy_in(COPY_IN).await.unwrap();
        copy.send(b"1\tone\n").await.unwrap();
        panic!("a panic that is meant to be");
    });
    let joined: Result<(), _> = copying.await;
    assert!(joined.unwrap_err().is_panic());
    let mut connection = std::sync::Arc::into_inner(shared).unwrap().into_inner();
    assert_eq!(count(&mut connection).await, 0);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r9_the_wrong_call_is_told_so() {
    let mut connection = connect().await;
    table(&mut connection).await;
    for sql in [
        "insert into t values (1, 'x')",
        "select 1",
        "",
        "select 1; copy t from stdin",
    ] {
        assert_eq!(
            connection.copy_in(sql).await.unwrap_err().kind(),
            ErrorKind::Usage
        );
        assert_eq!(
            connection.copy_out(sql).await.unwrap_err().kind(),
            ErrorKind::Usage
        );
    }
    assert_eq!(count(&mut connection).await, 0);
    let error = connection.copy_in(COPY_OUT).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    let endless = "copy (select generate_series(1, 1000000000)) to stdout";
    let error = within(GENEROUS, "the refusal", connection.copy_in(endless)).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Usage);
    let error = connection.copy_out(COPY_IN).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    connection.execute(COPY_IN, ()).await.unwrap_err();
    connection.execute(COPY_OUT, ()).await.unwrap();
    connection.batch_execute(COPY_IN).await.unwrap_err();
    connection.batch_execute(COPY_OUT).await.unwrap();
    connection
        .pipeline((kornak::exec("select 1", ()), kornak::exec(COPY_OUT, ())))
        .await
        .unwrap();
    assert_eq!(count(&mut connection).await, 0);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r9_a_copy_out_that_is_dropped_or_fails_leaves_the_connection_usable() {
    let mut connection = connect().await;
    let endless = "select generate_series(1, 1000000000), 'text'";
    let sql = format!("copy ({endless}) to stdout");
    let failing = "select 100 / (50 - i) from generate_series(1, 60) i";
    for chunks in [0, 1, 3] {
        let mut copy = connection.copy_out(&sql).await.unwrap();
        for _ in 0..chunks {
            copy.next().await.unwrap().unwrap();
        }
        drop(copy);
        check_token(&mut connection).await;
        let mut rows = connection
            .copy_out_rows::<(i32, String)>(endless)
            .await
            .unwrap();
        for expected in 1..=chunks * 100 {
            assert_eq!(rows.next().await.unwrap().unwrap().0, expected);
        }
        drop(rows);
        check_token(&mut connection).await;
    }
    let mut copy = connection
        .copy_out(&format!("copy ({failing}) to stdout"))
        .await
        .unwrap();
    let mut error = None;
    while error.is_none() {
        error = copy.next().await.err();
    }
    assert_eq!(error.unwrap().sqlstate(), Some(SqlState::DIVISION_BY_ZERO));
    assert!(copy.next().await.unwrap().is_none());
    let mut rows = connection.copy_out_rows::<i32>(failing).await.unwrap();
    for _ in 1..50 {
        rows.next().await.unwrap().unwrap();
    }
    let error = rows.next().await.unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::DIVISION_BY_ZERO));
    let nulls = "select nullif(i, 500) from generate_series(1, 1000) i";
    let mut rows = connection.copy_out_rows::<i32>(nulls).await.unwrap();
    for _ in 1..500 {
        rows.next().await.unwrap().unwrap();
    }
    assert_eq!(rows.next().await.unwrap_err().kind(), ErrorKind::Decode);
    assert!(rows.next().await.unwrap().is_none());
    connection
        .copy_out_rows::<i32>("select 'x'")
        .await
        .unwrap_err();
    check_token(&mut connection).await;
}

#[tokio::test]
async fn s34_rows_after_a_copy_that_failed_at_its_start_are_never_sent() {
    let mut connection = connect().await;
    table(&mut connection).await;
    let error = connection
        .copy_in("copy nowhere from stdin")
        .await
        .unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::UNDEFINED_TABLE));
    connection
        .copy_in("copy t from stdin (nonsense)")
        .await
        .unwrap_err();
    connection
        .copy_in_rows("nowhere", &["id"])
        .await
        .unwrap_err();
    check_token(&mut connection).await;

    // Data that reads as messages of the protocol, behind a COPY that fails midway.
    let script = b"Q\0\0\0\x1edelete from pg_temp.precious\0X\0\0\0\x04";
    connection
        .batch_execute("create temp table precious as select 1 as id")
        .await
        .unwrap();
    let mut copy = connection.copy_in(COPY_IN).await.unwrap();
    copy.send(b"not a number\tx\n").await.unwrap();
    copy.flush().await.unwrap();
    for _ in 0..10_000 {
        if copy.send(script).await.is_err() {
            break;
        }
    }
    drop(copy);
    let kept: i64 = connection
        .fetch_one("select count(*) from precious", ())
        .await
        .unwrap();
    assert_eq!(kept, 1);
    let mut transaction = connection.begin().await.unwrap();
    transaction
        .copy_in("copy nowhere from stdin")
        .await
        .unwrap_err();
    assert_eq!(transaction.transaction_status(), TransactionStatus::Failed);
    transaction.rollback().await.unwrap();
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r9_dropped_at_any_poll_nothing_or_everything_stays() {
    let table = format!("\"{}\"", support::raw::unique());
    RawClient::of_tests().execute(&format!("create table {table} (id int4, name text)"));
    let data = lines(0..20_000);
    let (sql, name) = (format!("copy {table} from stdin"), table.trim_matches('"'));
    for typed in [false, true] {
        DropAtEachPoll::new("COPY in")
            .spurious_polls(2)
            .run(
                async || connect().await,
                async |connection| {
                    if typed {
                        let mut copy = connection
                            .copy_in_rows(name, &["id", "name"])
                            .await
                            .unwrap();
                        let rows = (0..20_000).map(|i| (i, "a name"));
                        copy.send_all(rows).await.unwrap();
                        copy.finish().await.unwrap();
                    } else {
                        let mut copy = connection.copy_in(&sql).await.unwrap();
                        copy.send(data.as_bytes()).await.unwrap();
                        copy.finish().await.unwrap();
                    }
                },
                async |mut connection, case| {
                    check_token(&mut connection).await;
                    let rows: i64 = connection
                        .fetch_one(&format!("select count(*) from {table}"), ())
                        .await
                        .unwrap();
                    match case {
                        Case::Completed(_) => assert_eq!(rows, 20_000),
                        Case::DroppedAfter(_) => assert!(rows == 0 || rows == 20_000, "{rows}"),
                    }
                    let emptied = connection.execute(&format!("truncate {table}"), ()).await;
                    emptied.unwrap();
                },
            )
            .await;
    }
    RawClient::of_tests().execute(&format!("drop table {table}"));
}

#[tokio::test]
async fn r9_a_copy_out_dropped_at_any_poll_leaves_the_connection_in_step() {
    for typed in [false, true] {
        DropAtEachPoll::new("COPY out")
            .spurious_polls(2)
            .run(
                async || connect().await,
                async |connection| {
                    let query = "select i from generate_series(1, 50000) i";
                    if typed {
                        let mut rows = connection.copy_out_rows::<i32>(query).await.unwrap();
                        while rows.next().await.unwrap().is_some() {}
                    } else {
                        let sql = format!("copy ({query}) to stdout");
                        let mut copy = connection.copy_out(&sql).await.unwrap();
                        while copy.next().await.unwrap().is_some() {}
                    }
                },
                async |mut connection, _| check_token(&mut connection).await,
            )
            .await;
    }
}

#[tokio::test]
async fn r10_a_stalled_peer_ends_it_by_the_deadline() {
    let proxy = Proxy::with_buffers(Listen::Tcp, server::tcp_target().address, Some(8 * 1024));
    for (index, fault) in [Fault::Stall, Fault::BlackHole].into_iter().enumerate() {
        let mut connection = connect_over(proxy.address(), small_buffers).await;
        table(&mut connection).await;
        connection.set_default_timeout(Some(Duration::from_secs(2)));
        let link = proxy.session(index).await;
        link.arm(Way::ToServer, 300_000, fault);
        let data = lines(0..2_000_000);
        let mut copy = connection.copy_in(COPY_IN).await.unwrap();
        let sending = async {
            for piece in data.as_bytes().chunks(10_000) {
                copy.send(piece).await?;
            }
            Ok(())
        };
        let error: kornak::Error = within(GENEROUS, "the deadline", sending).await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
        drop(copy);
        link.resume();
    }
    let mut connection = connect_over(proxy.address(), small_buffers).await;
    connection.set_default_timeout(Some(Duration::from_secs(2)));
    let link = proxy.session(proxy.links().len() - 1).await;
    link.arm(Way::ToClient, 300_000, Fault::Stall);
    let endless = "copy (select generate_series(1, 1000000000)) to stdout";
    let mut copy = connection.copy_out(endless).await.unwrap();
    let reading = async {
        while copy.next().await?.is_some() {}
        Ok(())
    };
    let error: kornak::Error = within(GENEROUS, "the deadline", reading).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
}

#[tokio::test]
async fn r24_copies_larger_than_all_buffers_come_through() {
    let proxy = Proxy::with_buffers(Listen::Tcp, server::tcp_target().address, Some(8 * 1024));
    let mut connection = connect_over(proxy.address(), small_buffers).await;
    table(&mut connection).await;
    // Each row has the server say something while it takes the data.
    connection
        .batch_execute(
            "create function pg_temp.tell() returns trigger language plpgsql as
             $$ begin raise notice 'row % of %', new.id, repeat('x', 1000); return new; end $$;
             create trigger tell before insert on t for each row execute function pg_temp.tell()",
        )
        .await
        .unwrap();
    let copying = async {
        let mut copy = connection.copy_in_rows("t", &["id", "name"]).await?;
        let text = "x".repeat(1_000);
        copy.send_all((0..5_000).map(|i| (i, text.as_str())))
            .await?;
        copy.finish().await
    };
    let rows = within(GENEROUS, "the COPY in", copying).await.unwrap();
    assert_eq!(rows, 5_000);
    let mut copy = connection.copy_out(COPY_OUT).await.unwrap();
    let mut got = Vec::new();
    within(GENEROUS, "the COPY out", copy.write_to(&mut got))
        .await
        .unwrap();
    assert_eq!(got.split(|byte| *byte == b'\n').count(), 5_001);
    assert!(connection.buffered_bytes() < 1024 * 1024);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn what_is_written_goes_in_and_a_refusal_is_told_at_the_end() {
    use tokio::io::AsyncWriteExt;

    let mut connection = connect().await;
    table(&mut connection).await;
    let data = lines(0..50_000);
    let mut copy = connection.copy_in(COPY_IN).await.unwrap();
    let copied = tokio::io::copy(&mut data.as_bytes(), &mut copy).await;
    assert_eq!(copied.unwrap(), data.len() as u64);
    copy.shutdown().await.unwrap();
    assert_eq!(copy.bytes(), data.len() as u64);
    assert_eq!(copy.finish().await.unwrap(), 50_000);
    assert_eq!(count(&mut connection).await, 50_000);

    let mut copy = connection.copy_in(COPY_IN).await.unwrap();
    copy.write_all(b"not a number\tx\n").await.unwrap();
    let refused = async {
        loop {
            let mut polled = copy.write(data.as_bytes()).await;
            if polled.is_ok() {
                polled = AsyncWriteExt::flush(&mut copy).await.map(|()| 0);
            }
            if polled.is_err() {
                return;
            }
        }
    };
    within(GENEROUS, "the refusal", refused).await;
    copy.write_all(b"1\tx\n").await.unwrap_err();
    let error = copy.finish().await.unwrap_err();
    assert_eq!(
        error.sqlstate(),
        Some(SqlState::INVALID_TEXT_REPRESENTATION)
    );
    assert_eq!(count(&mut connection).await, 50_000);
    check_token(&mut connection).await;
}

/// The application's own code in the middle of a COPY: its rows, its readers and writers.
#[tokio::test]
async fn r9_a_source_that_fails_or_panics_and_a_sink_that_fails_leave_the_connection_usable() {
    struct Failing(usize);
    impl tokio::io::AsyncRead for Failing {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            out: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            if self.0 == 0 {
                return std::task::Poll::Ready(Err(std::io::Error::other("it is broken")));
            }
            self.0 -= 1;
            out.put_slice(b"1\tx\n");
            std::task::Poll::Ready(Ok(()))
        }
    }
    impl tokio::io::AsyncWrite for Failing {
        fn poll_write(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            data: &[u8],
        ) -> std::task::Poll<std::io::Result<usize>> {
            if self.0 == 0 {
                return std::task::Poll::Ready(Err(std::io::Error::other("it is full")));
            }
            self.0 -= 1;
            std::task::Poll::Ready(Ok(data.len().min(10)))
        }

        fn poll_flush(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn poll_shutdown(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }
    }

    let mut connection = connect().await;
    connection
        .batch_execute("create temp table t (id int4, name text)")
        .await
        .unwrap();
    for pieces in [0, 1, 1_000] {
        let mut copy = connection.copy_in(COPY_IN).await.unwrap();
        let error = copy.send_from(&mut Failing(pieces)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
        drop(copy);
        assert_eq!(count(&mut connection).await, 0);
        let endless = "copy (select generate_series(1, 1000000000)) to stdout";
        let mut copy = connection.copy_out(endless).await.unwrap();
        let error = copy.write_to(&mut Failing(pieces)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
        check_token(&mut connection).await;
    }
    for panics_at in [0, 1, 20_000] {
        let shared = std::sync::Arc::new(tokio::sync::Mutex::new(connection));
        let lent = std::sync::Arc::clone(&shared);
        let copying = tokio::spawn(async move {
            let mut connection = lent.lock().await;
            let mut copy = connection.copy_in_rows("t", &["id", "name"]).await.unwrap();
            let rows = (0..).map(|i| {
                assert!(i < panics_at, "a panic that is meant to be");
                (i, "a name")
            });
            copy.send_all(rows).await.unwrap();
        });
        assert!(copying.await.unwrap_err().is_panic());
        connection = std::sync::Arc::into_inner(shared).unwrap().into_inner();
        assert_eq!(count(&mut connection).await, 0);
        check_token(&mut connection).await;
    }
}
