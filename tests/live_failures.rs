//! What is left when a server goes away, a link is slow, or a statement is an odd one:
//! against real servers.

mod live;
mod support;

use std::collections::HashMap;
use std::path::Path;
use std::task::Poll;

use kornak::{Connection, ErrorKind, Row, SqlState, TransactionStatus};
use live::{
    asleep, check_token, check_token_or_closed, config, connect, connect_over, open, poll_once,
    until_asleep,
};
use support::deadline::{GENEROUS, blocking, within};
use support::proxy::{Listen, Pace, Proxy, Way};
use support::raw::{RawClient, waiting_for};
use support::scripted::{self, ScriptedServer};
use support::server;

/// No value ever becomes a part of a statement's text, and the text reaches the server as it
/// was written.
#[tokio::test]
async fn s3_values_stay_out_of_statements_and_statements_stay_as_they_are() {
    let mut connection = connect().await;
    connection
        .batch_execute("create temp table precious (a text)")
        .await
        .unwrap();
    for value in [
        "'; drop table precious; --",
        "$1",
        "\\'; drop table precious",
        "${a}",
        ":a",
        "?",
        "%s",
        "E'\\x27'",
    ] {
        connection
            .execute("insert into precious values ($1)", (value,))
            .await
            .unwrap();
        let found: String = connection
            .fetch_one("select a from precious where a = $1 limit 1", (value,))
            .await
            .unwrap();
        assert_eq!(found, value);
    }
    let odd = "select '?', ':name', '$1', $$ $1 %s {} $$, \"a\" from precious -- $2 ?\n where a = $1 and 1 <> 2";
    connection.fetch_all::<Row>(odd, ("x",)).await.unwrap();
    let kept: Vec<String> = connection
        .fetch_all("select statement from pg_prepared_statements", ())
        .await
        .unwrap();
    assert!(kept.iter().any(|statement| statement == odd), "{kept:?}");
}

/// The driver's own statements are constants, but for names that it makes up itself.
#[test]
fn s3_no_code_builds_a_statement_of_a_value() {
    let keywords = [
        "select ",
        "insert ",
        "update ",
        "delete ",
        "begin",
        "set ",
        "listen ",
        "copy ",
        "savepoint ",
    ];
    // Names that the driver makes up, and identifiers that it quotes.
    let allowed = [
        "savepoint {name}",
        "rollback to savepoint {name}",
        "release savepoint {name}",
        "select {columns} from {table} limit 0",
        "copy {table} ({columns}) from stdin (format binary)",
        // The query is the caller's own text.
        r"copy ({query}\n) to stdout (format binary)",
    ];
    let mut checked = 0;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["src", "core/src"].map(|folder| rust_files(&root.join(folder)));
    for path in folders.into_iter().flatten() {
        let source = std::fs::read_to_string(&path).expect("a readable file");
        let code = source
            .split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap_or_default();
        for format in code.split("format!(").skip(1) {
            let Some(text) = format
                .trim_start()
                .strip_prefix('"')
                .and_then(|rest| rest.split('"').next())
            else {
                continue;
            };
            checked += 1;
            let is_statement = keywords
                .iter()
                .any(|keyword| text.to_ascii_lowercase().starts_with(keyword));
            let is_quoted =
                text.contains("quote_identifier") || format.contains("quote_identifier");
            assert!(
                !is_statement || !text.contains('{') || allowed.contains(&text) || is_quoted,
                "{}: {text}",
                path.display()
            );
        }
    }
    assert!(checked > 100, "{checked}");
}

/// The link takes a few bytes at a time: a statement that is dropped while it is half written
/// is completed before anything else, or the connection is closed.
#[tokio::test]
async fn r4_a_statement_dropped_while_half_written_is_completed_first() {
    let proxy = Proxy::with_buffers(Listen::Tcp, server::tcp_target().address, Some(8 * 1024));
    let mut target = server::tcp_target();
    target.address = proxy.address().clone();
    let mut connection = open(config(&target)).await;
    let link = proxy.session(0).await;
    let large = vec![b'x'; 4 << 20];
    let mut completed = 0;
    for round in 0..8 {
        link.stall(Way::ToServer);
        {
            let mut half =
                Box::pin(connection.fetch_one::<i32>("select length($1::bytea)", (&large,)));
            // The sockets' buffers take a part of it, the rest stays with the driver.
            for _ in 0..=round {
                assert!(matches!(poll_once(&mut half), Poll::Pending));
                tokio::task::yield_now().await;
            }
        }
        link.resume();
        check_token_or_closed(&mut connection).await;
        if connection.is_closed() {
            connection = open(config(&target)).await;
        } else {
            completed += 1;
        }
    }
    assert!(
        completed > 0,
        "no half-written statement was ever completed"
    );
    check_token(&mut connection).await;
}

/// What was read stays what it is when the buffer that it came in is used for other rows.
#[tokio::test]
async fn r21_values_that_are_kept_do_not_change_when_the_buffer_is_used_again() {
    let mut connection = connect().await;
    let sql = "select i, repeat(chr(65 + i % 26), 10 + i * 400) from generate_series(0, 40) i";
    let kept: Vec<Row> = connection.fetch_all(sql, ()).await.unwrap();
    for round in 0..20 {
        let other: Vec<(i32, String)> = connection
            .fetch_all(
                "select i, repeat('z', 20000) from generate_series(0, $1) i",
                (round,),
            )
            .await
            .unwrap();
        assert!(
            other
                .iter()
                .all(|(_, text)| text.bytes().all(|byte| byte == b'z'))
        );
    }
    for (index, row) in kept.iter().enumerate() {
        let text: &str = row.get(1).unwrap();
        assert_eq!(row.get::<i32>(0).unwrap(), i32::try_from(index).unwrap());
        assert_eq!(text.len(), 10 + index * 400);
        assert!(
            text.bytes()
                .all(|byte| usize::from(byte) == 65 + index % 26)
        );
    }
}

/// A cached statement whose column changes between a type without a binary form and one with
/// it is read in the right format.
#[tokio::test]
async fn r21_changed_result_formats_of_a_cached_statement() {
    let mut connection = connect().await;
    connection
        .batch_execute(
            "create temp table t (a aclitem); insert into t values ('postgres=r/postgres')",
        )
        .await
        .unwrap();
    for _ in 0..2 {
        let text: String = connection.fetch_one("select a from t", ()).await.unwrap();
        assert_eq!(text, "postgres=r/postgres");
    }
    connection
        .batch_execute("alter table t alter column a type int4 using 7")
        .await
        .unwrap();
    for _ in 0..2 {
        let number: i32 = connection.fetch_one("select a from t", ()).await.unwrap();
        assert_eq!(number, 7);
    }
    connection
        .batch_execute("alter table t alter column a type aclitem using 'postgres=w/postgres'")
        .await
        .unwrap();
    for _ in 0..2 {
        let text: String = connection.fetch_one("select a from t", ()).await.unwrap();
        assert_eq!(text, "postgres=w/postgres");
    }
    check_token(&mut connection).await;
}

/// A BEGIN that the server refuses: the error says so, the statement behind it did not run,
/// and the connection goes on outside of any transaction.
#[tokio::test]
async fn r23_a_queued_begin_that_fails_owns_the_error() {
    let mut server = ScriptedServer::start(scripted::Listen::Tcp, async |acceptor| {
        let mut session = acceptor.accept().await?;
        session.startup_trust().await?;
        session
            .expect(
                "Parse \"\" \"begin\" []\n\
                 Bind \"\" \"\" [] [] []\n\
                 Execute \"\" 0\n\
                 Parse $name \"insert into t values (1)\" []\n\
                 Describe S $name\n\
                 Sync",
            )
            .await?;
        session
            .say(
                "ErrorResponse S=ERROR V=ERROR C=57P04 M=\"no transactions today\"\n\
                 ReadyForQuery I",
            )
            .await?;
        // A rollback is not needed, and none is sent.
        session.expect_query("select 1").await?;
        session
            .say("CommandComplete \"SELECT 1\"\nReadyForQuery I")
            .await?;
        session.hold().await?;
        Ok(())
    });
    let mut connection = open(server.url().as_str()).await;
    let mut transaction = connection.begin().await.unwrap();
    let error = transaction
        .execute("insert into t values (1)", ())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the transaction could not be begun"),
        "{error}"
    );
    assert_eq!(error.outcome(), kornak::error::Outcome::NotRun);
    drop(transaction);
    assert_eq!(connection.transaction_status(), TransactionStatus::Idle);
    connection.batch_execute("select 1").await.unwrap();
    drop(connection);
    server.finish().await;
}

/// The backend is killed before, within and after the rows: an error, never a short result.
#[tokio::test]
async fn r31_a_killed_backend_is_an_error_and_never_a_short_result() {
    // Before: the statement finds the connection dead, or dies with it.
    let mut connection = connect().await;
    kill(&connection).await;
    let error = connection
        .fetch_all::<i32>("select 1", ())
        .await
        .unwrap_err();
    assert!(error.is_closed(), "{error}");
    assert!(
        connection
            .fetch_all::<i32>("select 1", ())
            .await
            .unwrap_err()
            .is_closed()
    );

    // Within: after some of the rows.
    let mut connection = connect().await;
    let process = connection.process_id();
    let mut rows = connection
        .fetch::<(i32, String)>(
            "select i, repeat('x', 1000) from generate_series(1, 10000000) i",
            (),
        )
        .await
        .unwrap();
    for expected in 1..=100 {
        assert_eq!(rows.next().await.unwrap().map(|(i, _)| i), Some(expected));
    }
    kill_process(process).await;
    let ended = within(GENEROUS, "the end of the stream", async {
        loop {
            match rows.next().await {
                Ok(Some(_)) => {}
                other => break other.map(|_| ()),
            }
        }
    });
    let error = ended
        .await
        .expect_err("a killed stream must not end as if it were whole");
    assert!(error.is_closed(), "{error}");
    drop(rows);
    assert!(connection.is_closed());

    // Within a statement that returns all at once.
    let mut connection = connect().await;
    let process = connection.process_id();
    let killer = async {
        until_asleep(process).await;
        kill_process(process).await;
    };
    let query =
        connection.fetch_all::<i32>("select 1 from generate_series(1, 3), pg_sleep(600)", ());
    let (result, ()) = tokio::join!(query, killer);
    let error = result.unwrap_err();
    assert!(error.is_closed(), "{error}");

    // After: the next statement learns of it.
    let mut connection = connect().await;
    assert_eq!(
        connection.fetch_one::<i32>("select 1", ()).await.unwrap(),
        1
    );
    kill(&connection).await;
    assert!(
        connection
            .fetch_one::<i32>("select 1", ())
            .await
            .unwrap_err()
            .is_closed()
    );
}

/// A server that is stopped at once, in the middle of everything.
#[tokio::test]
async fn r31_a_server_that_stops_at_once_is_an_error_for_everybody() {
    let private = blocking(|| xtask::server::Server::private("stops", &[]).unwrap()).await;
    let url = private.url();
    let mut idle = open(url.as_str()).await;
    let mut busy = open(url.as_str()).await;
    let process = busy.process_id();
    let mut transaction = busy.begin().await.unwrap();
    transaction
        .execute("create table t (a int)", ())
        .await
        .unwrap();
    let waits = async {
        transaction
            .execute("select pg_sleep(600)", ())
            .await
            .unwrap_err()
    };
    let stops = async {
        let mut observer = open(url.as_str()).await;
        observer
            .batch_execute(&waiting_for(&asleep(process)))
            .await
            .unwrap();
        blocking(move || {
            let mut private = private;
            private.stop(xtask::server::StopMode::Immediate).unwrap();
            private
        })
        .await
    };
    let (error, private) = within(GENEROUS, "the stop", async { tokio::join!(waits, stops) }).await;
    assert!(error.is_closed(), "{error}");
    let commit = transaction.commit().await.unwrap_err();
    assert!(commit.is_closed(), "nothing of it was ever sent: {commit}");
    assert!(
        idle.fetch_one::<i32>("select 1", ())
            .await
            .unwrap_err()
            .is_closed()
    );
    drop(private);
}

/// The reason that the server gives for ending an idle session is kept.
#[tokio::test]
async fn r34_the_reason_of_a_fatal_error_while_idle_is_kept() {
    let mut connection = connect().await;
    kill(&connection).await;
    // The reason has arrived before the end of the stream.
    let error = connection
        .fetch_one::<i32>("select 1", ())
        .await
        .unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::ADMIN_SHUTDOWN), "{error}");
    assert!(error.is_closed());
    for _ in 0..2 {
        let later = connection.execute("select 1", ()).await.unwrap_err();
        assert_eq!(later.kind(), ErrorKind::Closed);
        assert_eq!(later.sqlstate(), Some(SqlState::ADMIN_SHUTDOWN), "{later}");
    }
}

/// Statements without text, without columns and without rows, and a cursor after an error.
#[tokio::test]
async fn r48_empty_queries_rows_without_columns_and_cursors() {
    let mut connection = live::connect_small().await;
    for empty in ["", ";", "-- nothing", "/* nothing */"] {
        assert_eq!(connection.execute(empty, ()).await.unwrap(), 0, "{empty:?}");
        assert!(
            connection
                .fetch_all::<Row>(empty, ())
                .await
                .unwrap()
                .is_empty(),
            "{empty:?}"
        );
        assert_eq!(
            connection
                .fetch_one::<i32>(empty, ())
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::Decode
        );
        connection.batch_execute(empty).await.unwrap();
    }
    let bare: Vec<Row> = connection
        .fetch_all("select from generate_series(1, 3)", ())
        .await
        .unwrap();
    assert_eq!((bare.len(), bare[0].len()), (3, 0));
    check_token(&mut connection).await;

    let mut transaction = connection.begin().await.unwrap();
    transaction
        .execute("declare c cursor for select generate_series(1, 10)", ())
        .await
        .unwrap();
    assert_eq!(
        transaction
            .fetch_all::<i32>("fetch 4 from c", ())
            .await
            .unwrap(),
        [1, 2, 3, 4]
    );
    {
        let mut inner = transaction.begin().await.unwrap();
        inner.execute("select 1 / 0", ()).await.unwrap_err();
    }
    assert_eq!(
        transaction
            .fetch_all::<i32>("fetch 4 from c", ())
            .await
            .unwrap(),
        [5, 6, 7, 8]
    );
    transaction.execute("select 1 / 0", ()).await.unwrap_err();
    let after = transaction
        .fetch_all::<i32>("fetch 4 from c", ())
        .await
        .unwrap_err();
    assert_eq!(after.sqlstate(), Some(SqlState::IN_FAILED_SQL_TRANSACTION));
    transaction.rollback().await.unwrap();
    let gone = connection
        .fetch_all::<i32>("fetch 4 from c", ())
        .await
        .unwrap_err();
    assert_eq!(gone.sqlstate(), Some(SqlState::INVALID_CURSOR_NAME));
    check_token(&mut connection).await;
}

/// A stream reads through the proxy at its own pace and loses nothing.
#[tokio::test]
async fn r20_rows_of_all_sizes_in_pieces_of_a_few_bytes_lose_nothing() {
    let proxy = Proxy::start(Listen::Tcp, server::tcp_target().address);
    let mut connection = connect_over(proxy.address(), |config| {
        let target = server::tcp_target();
        let config = config.user(&target.user);
        match &target.password {
            Some(password) => config.password(password),
            None => config,
        }
    })
    .await;
    let link = proxy.session(0).await;
    link.set_pace(
        Way::ToClient,
        Pace {
            write_size: Some(1021),
            ..Pace::default()
        },
    );
    let sizes = [0_i32, 1, 1000, 16_379, 16_384, 65_536, 200_000, 3, 5000];
    let mut seen = HashMap::new();
    connection
        .for_each(
            "select s, repeat('é', s) from unnest($1::int4[]) s",
            (&sizes[..],),
            |row| {
                let (size, text): (i32, &str) = row.read()?;
                seen.insert(size, text.chars().filter(|c| *c == 'é').count());
                Ok::<_, kornak::Error>(())
            },
        )
        .await
        .unwrap();
    for size in sizes {
        assert_eq!(seen.get(&size), Some(&usize::try_from(size).unwrap()));
    }
    check_token(&mut connection).await;
}

async fn kill(connection: &Connection) {
    kill_process(connection.process_id()).await;
}

/// Ends a backend and waits until it is gone.
async fn kill_process(process: i32) {
    blocking(move || RawClient::of_tests().terminate(process)).await;
}

fn rust_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
