//! The driver against servers that say what no real one would, or not when a test needs it.

#[path = "../live/mod.rs"]
mod live;
mod order;
#[path = "../support/mod.rs"]
mod support;

use std::sync::{Arc, Mutex};

use kornak::config::Environment;
use kornak::error::Outcome;
use kornak::{Config, Connection, ErrorKind, Row, SqlState, TransactionStatus};
use support::deadline::{GENEROUS, within};
use support::dialogue::{Message, backend};
use support::scripted::{Listen, ScriptError, ScriptedServer, Session};

/// A connection to a server that has a script, and to nothing else.
async fn connect(server: &ScriptedServer) -> Connection {
    let config: Config = server.url().parse().unwrap();
    let config = config.environment(Environment::empty());
    let connected = within(GENEROUS, "connecting", Connection::connect(config)).await;
    connected.unwrap()
}

/// A server that starts up one session and then does as `script` says.
fn serve<S>(script: S) -> ScriptedServer
where
    S: AsyncFnOnce(Session) -> Result<(), ScriptError> + Send + 'static,
{
    ScriptedServer::start(Listen::Unix, async move |acceptor| {
        let mut session = acceptor.accept().await?;
        session.startup_trust().await?;
        script(session).await
    })
}

/// Receives the messages of one flight.
async fn flight(session: &mut Session) -> Result<Vec<Message>, ScriptError> {
    let mut flight = Vec::new();
    loop {
        let message = session.receive().await?;
        let ends = matches!(message.name(), "Sync" | "Query");
        flight.push(message);
        if ends {
            return Ok(flight);
        }
    }
}

fn names(flight: &[Message]) -> Vec<&str> {
    flight.iter().map(Message::name).collect()
}

/// Receives a flight and answers it.
async fn answer(session: &mut Session, reply: &str) -> Result<(), ScriptError> {
    flight(session).await?;
    session.say(reply).await
}

/// The right answer to a cold `select 1`.
const COLD: &str = r#"ParseComplete
    ParameterDescription []
    RowDescription [("a" 0 0 int4 4 -1 0)]
    BindComplete
    DataRow [x00000001]
    CommandComplete "SELECT 1"
    ReadyForQuery I"#;

/// The right answer when it is warm.
const WARM: &[&str] = &[
    "BindComplete",
    "DataRow [x00000001]",
    r#"CommandComplete "SELECT 1""#,
    "ReadyForQuery I",
];

#[tokio::test]
async fn r22_asynchronous_messages_may_come_between_any_two() {
    const BETWEEN: &str = r#"NoticeResponse S="NOTICE" V="NOTICE" C="00000" M="by the way"
        ParameterStatus "application_name" "r22"
        NotificationResponse 7 "channel" "payload""#;
    fn sprinkled(reply: &str) -> (String, usize) {
        let lines: Vec<&str> = reply.trim().lines().collect();
        let text: String = lines
            .iter()
            .map(|line| format!("{BETWEEN}\n{line}\n"))
            .collect();
        (text, lines.len())
    }
    const PREPARE: &str = r#"ParseComplete
        ParameterDescription [date]
        RowDescription [("a" 0 0 int4 4 -1 0)]
        ReadyForQuery I"#;
    const SCRIPT: &str = r#"CommandComplete "BEGIN"
        RowDescription [("a" 0 0 int4 4 -1 0)]
        DataRow ["1"]
        CommandComplete "SELECT 1"
        EmptyQueryResponse
        ReadyForQuery I"#;
    const COPY: &str = r#"CopyOutResponse 0 [0]
        CopyData "1\n"
        CopyDone
        CommandComplete "COPY 1"
        ReadyForQuery I"#;
    let warm = WARM.join("\n");
    let failed =
        "ErrorResponse S=\"ERROR\" V=\"ERROR\" C=\"22012\" M=\"division by zero\"\nReadyForQuery I";
    let replies = [COLD, &warm, &warm, PREPARE, &warm, SCRIPT, failed, COPY];
    let (replies, counts): (Vec<String>, Vec<usize>) = replies.map(sprinkled).into_iter().unzip();
    let mut server = serve(async move |mut session| {
        for reply in replies {
            answer(&mut session, &reply).await?;
        }
        session.expect_end().await
    });
    let mut connection = connect(&server).await;
    let notices = Arc::new(Mutex::new(0));
    let notifications = Arc::new(Mutex::new(Vec::new()));
    let (count, seen) = (Arc::clone(&notices), Arc::clone(&notifications));
    connection.on_notice(move |notice| {
        assert_eq!(notice.message(), "by the way");
        *count.lock().unwrap() += 1;
    });
    connection.on_notification(move |notification| seen.lock().unwrap().push(notification));
    let sql = "select 1";
    for _ in 0..2 {
        assert_eq!(connection.fetch_all::<i32>(sql, ()).await.unwrap(), [1]);
    }
    let mut rows = connection.fetch::<i32>(sql, ()).await.unwrap();
    assert_eq!(rows.next().await.unwrap(), Some(1));
    assert_eq!(rows.next().await.unwrap(), None);
    drop(rows);
    let day = kornak::Date::from_days(0);
    assert_eq!(
        connection
            .fetch_one::<i32>("select $1 - date '2000-01-01'", (day,))
            .await
            .unwrap(),
        1
    );
    connection
        .batch_execute("begin; select 1; ;")
        .await
        .unwrap();
    let error = connection.batch_execute("select 1 / 0").await.unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::DIVISION_BY_ZERO));
    connection.batch_execute("copy t to stdout").await.unwrap();
    let count: usize = counts.iter().sum();
    assert_eq!(*notices.lock().unwrap(), count);
    assert_eq!(notifications.lock().unwrap().len(), count);
    assert_eq!(notifications.lock().unwrap()[0].payload, "payload");
    assert_eq!(connection.parameter("application_name"), Some("r22"));
    drop(connection);
    server.finish().await;
}

#[tokio::test]
async fn r22_asynchronous_messages_may_come_during_startup() {
    let mut server = ScriptedServer::start(Listen::Unix, async |acceptor| {
        let mut session = acceptor.accept().await?;
        session.startup().await?;
        let notice = r#"NoticeResponse S="WARNING" V="WARNING" C="01000" M="careful""#;
        let lines = [
            notice,
            "AuthenticationOk",
            notice,
            r#"ParameterStatus "TimeZone" "UTC""#,
            notice,
            "BackendKeyData 9 x01020304",
            notice,
            "ReadyForQuery I",
        ];
        session.say(&lines.join("\n")).await?;
        session.expect_end().await
    });
    let connection = connect(&server).await;
    assert_eq!(connection.parameter("TimeZone"), Some("UTC"));
    assert_eq!(connection.process_id(), 9);
    drop(connection);
    server.finish().await;
}

#[tokio::test]
async fn r23_a_begin_that_fails_is_its_own_error_and_skips_the_statement() {
    const REFUSED: &str = r#"ParseComplete
        ErrorResponse S="ERROR" V="ERROR" C="25006" M="cannot set transaction read-write mode during recovery"
        ReadyForQuery I"#;
    for way in ["commit", "rollback", "drop", "again", "script"] {
        let mut server = serve(async move |mut session| {
            let sent = flight(&mut session).await?;
            let begin = ["Parse", "Bind", "Execute"];
            assert_eq!(names(&sent)[..3], begin, "{way}");
            assert_eq!(sent[0].text(1), "begin read write");
            session.say(REFUSED).await?;
            if way == "again" {
                // Nothing of a transaction is left: this one stands alone.
                let sent = flight(&mut session).await?;
                assert_eq!(
                    names(&sent),
                    ["Parse", "Describe", "Bind", "Execute", "Sync"]
                );
                session.say(COLD).await?;
            }
            let sent = flight(&mut session).await?;
            assert_eq!(names(&sent)[0], "Parse");
            assert_eq!(
                sent[0].text(1),
                "select 1",
                "{way}: nothing is sent to undo it"
            );
            session.say(COLD).await?;
            session.expect_end().await
        });
        let mut connection = connect(&server).await;
        let mut transaction = connection
            .transaction()
            .read_only(false)
            .begin()
            .await
            .unwrap();
        let error = match way {
            "script" => transaction
                .batch_execute("insert into t values (1)")
                .await
                .unwrap_err(),
            _ => transaction
                .execute("insert into t values (1)", ())
                .await
                .unwrap_err(),
        };
        assert_eq!(
            error.sqlstate(),
            Some(SqlState::READ_ONLY_SQL_TRANSACTION),
            "{error}"
        );
        assert_eq!(error.outcome(), Outcome::NotRun, "{error}");
        assert!(!error.is_closed());
        assert_eq!(transaction.transaction_status(), TransactionStatus::Idle);
        match way {
            "commit" => {
                let error = transaction.commit().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
            }
            "rollback" => transaction.rollback().await.unwrap(),
            "again" => {
                assert_eq!(
                    transaction
                        .fetch_one::<i32>("select 2 - 1", ())
                        .await
                        .unwrap(),
                    1
                );
                drop(transaction);
            }
            _ => drop(transaction),
        }
        assert_eq!(
            connection.fetch_one::<i32>("select 1", ()).await.unwrap(),
            1
        );
        drop(connection);
        server.finish().await;
    }
}

#[tokio::test]
async fn r34_a_fatal_error_while_idle_keeps_its_sqlstate() {
    for (is_read_first, ends) in [(false, false), (false, true), (true, true)] {
        let mut server = serve(async move |mut session| {
            answer(&mut session, COLD).await?;
            session
                .send(&backend::fatal("57P01", "terminating connection"))
                .await?;
            if ends {
                session.close().await?;
            }
            session.hold().await.map(drop)
        });
        let mut connection = connect(&server).await;
        connection.fetch_one::<i32>("select 1", ()).await.unwrap();
        let error = if is_read_first {
            // It may be seen by what sends nothing, too, once it has come.
            within(GENEROUS, "the error", async {
                loop {
                    match connection.batch_execute("").await {
                        Err(error) => break error,
                        Ok(()) => tokio::task::yield_now().await,
                    }
                }
            })
            .await
        } else {
            connection
                .fetch_one::<i32>("select 1", ())
                .await
                .unwrap_err()
        };
        assert_eq!(error.sqlstate(), Some(SqlState::ADMIN_SHUTDOWN), "{error}");
        assert!(error.is_closed() && connection.is_closed());
        // Whoever comes later is told too.
        for _ in 0..2 {
            let error = connection
                .fetch_one::<i32>("select 1", ())
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Closed);
            assert_eq!(error.sqlstate(), Some(SqlState::ADMIN_SHUTDOWN), "{error}");
            assert_eq!(error.outcome(), Outcome::NotRun);
        }
        drop(connection);
        server.finish().await;
    }
}

#[tokio::test]
async fn r41_a_statement_that_stays_unknown_is_prepared_again_only_once() {
    const UNKNOWN: &str = r#"ErrorResponse S="ERROR" V="ERROR" C="26000" M="prepared statement does not exist"
        ReadyForQuery I"#;
    const UNKNOWN_COLD: &str = r#"ParseComplete
        ParameterDescription []
        RowDescription [("a" 0 0 int4 4 -1 0)]
        ErrorResponse S="ERROR" V="ERROR" C="26000" M="prepared statement does not exist"
        ReadyForQuery I"#;
    let mut server = serve(async |mut session| {
        answer(&mut session, COLD).await?;
        answer(&mut session, UNKNOWN).await?;
        let sent = flight(&mut session).await?;
        // The name that it had is closed, in case it is there after all.
        assert_eq!(
            names(&sent),
            ["Close", "Parse", "Describe", "Bind", "Execute", "Sync"]
        );
        session
            .say(&format!("CloseComplete\n{UNKNOWN_COLD}"))
            .await?;
        let sent = flight(&mut session).await?;
        assert_eq!(
            names(&sent),
            ["Close", "Parse", "Describe", "Bind", "Execute", "Sync"]
        );
        session.say(&format!("CloseComplete\n{COLD}")).await?;
        session.expect_end().await
    });
    let mut connection = connect(&server).await;
    connection.fetch_one::<i32>("select 1", ()).await.unwrap();
    let error = connection
        .fetch_one::<i32>("select 1", ())
        .await
        .unwrap_err();
    assert_eq!(
        error.sqlstate(),
        Some(SqlState::INVALID_SQL_STATEMENT_NAME),
        "{error}"
    );
    assert!(!error.is_closed());
    assert_eq!(
        connection.fetch_one::<i32>("select 1", ()).await.unwrap(),
        1
    );
    drop(connection);
    server.finish().await;
}

#[tokio::test]
async fn r47_oids_above_the_signed_range_are_looked_up() {
    const FIRST: &str = r#"ParseComplete
        ParameterDescription [4294967295]
        RowDescription [("a" 4000000000 1 3000000000 4 -1 0)]
        ReadyForQuery I"#;
    // An enum, and a domain over text: the OIDs in binary, then schema, name and class.
    const TYPES: &str = r#"ParseComplete
        BindComplete
        DataRow [""]
        CommandComplete "SELECT 1"
        CloseComplete
        ParseComplete
        ParameterDescription [1028]
        RowDescription [("" 0 0 oid 4 -1 0)]
        BindComplete
        DataRow [xb2d05e00, "app", "mood", "e", x01, x01, x00000000, x"00000001 00000000 00000019 00000002 00000001 00000004 676c756d 00000003 676179", x000000000000000000000019, x00000000000000000000001a, ","]
        DataRow [xffffffff, "app", "name", "d", x01, x01, x00000019, x000000000000000000000019, x000000000000000000000019, x00000000000000000000001a, ","]
        CommandComplete "SELECT 2"
        CloseComplete
        ReadyForQuery I"#;
    const LAST: &str = r#"BindComplete
        DataRow ["gay"]
        CommandComplete "SELECT 1"
        ReadyForQuery I"#;
    let mut server = serve(async |mut session| {
        answer(&mut session, FIRST).await?;
        let sent = flight(&mut session).await?;
        // The two OIDs are asked for, as an array of oid.
        let bind = sent
            .iter()
            .rfind(|message| message.name() == "Bind")
            .unwrap();
        let bytes = bind.to_bytes();
        for oid in [3_000_000_000_u32, u32::MAX] {
            let oid = oid.to_be_bytes();
            assert!(bytes.windows(4).any(|window| window == oid), "{bind}");
        }
        session.say(TYPES).await?;
        answer(&mut session, LAST).await?;
        session.expect_end().await
    });
    let mut connection = connect(&server).await;
    let row: Row = connection
        .fetch_one("select $1", (Named("x"),))
        .await
        .unwrap();
    let column = &row.columns()[0];
    assert_eq!(column.ty().oid(), 3_000_000_000);
    assert_eq!(column.ty().to_string(), "app.mood");
    assert_eq!(column.table_oid(), Some(4_000_000_000));
    assert_eq!(row.get::<String>(0).unwrap(), "gay");
    drop(connection);
    server.finish().await;
}

/// A text whose parameter's type the server is asked for.
struct Named(&'static str);

impl kornak::Encode for Named {
    fn encode(
        &self,
        ty: &kornak::Type,
        out: &mut kornak::codec::ParamWriter<'_>,
    ) -> Result<kornak::codec::IsNull, kornak::error::EncodeError> {
        assert_eq!(*ty, kornak::Type::TEXT, "domains are looked through");
        out.put_slice(self.0.as_bytes());
        Ok(kornak::codec::IsNull::No)
    }
}

#[tokio::test]
async fn r59_text_that_is_not_utf8_is_shown_replaced_or_refused() {
    const ROWS: &str = r#"ParseComplete
        ParameterDescription []
        RowDescription [("a\xff" 0 0 text -1 -1 0)]
        BindComplete
        DataRow ["fine"]
        DataRow ["not \xc3 fine"]
        DataRow ["fine"]
        CommandComplete "SELECT 3"
        ReadyForQuery I"#;
    const FAILED: &str = r#"NoticeResponse S="NOTICE" V="NOTICE" C="00000" M="nota \xfc"
        ParameterStatus "x\xff" "y\xfe"
        NotificationResponse 7 "c\xff" "p\xfe"
        ErrorResponse S="FEHLER\xff" V="ERROR" C="P0001" M="bad \xff" D="detail \xfe" H="hint \xfd" c="column \xfc"
        ReadyForQuery I"#;
    let mut server = serve(async |mut session| {
        answer(&mut session, ROWS).await?;
        answer(&mut session, FAILED).await?;
        answer(&mut session, COLD).await?;
        session.expect_end().await
    });
    let mut connection = connect(&server).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let (notices, notifications) = (Arc::clone(&told), Arc::clone(&told));
    connection.on_notice(move |notice| notices.lock().unwrap().push(notice.message().to_owned()));
    connection.on_notification(move |notification| {
        notifications
            .lock()
            .unwrap()
            .push(notification.channel + &notification.payload);
    });
    let error = connection
        .fetch_all::<String>("select a", ())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
    assert!(error.to_string().contains("a\u{fffd}"), "{error}");
    let error = connection.execute("select b", ()).await.unwrap_err();
    let server_error = error.as_server().unwrap();
    assert_eq!(server_error.message(), "bad \u{fffd}");
    assert_eq!(server_error.detail(), Some("detail \u{fffd}"));
    assert_eq!(server_error.hint(), Some("hint \u{fffd}"));
    assert_eq!(server_error.column(), Some("column \u{fffd}"));
    assert_eq!(
        *told.lock().unwrap(),
        ["nota \u{fffd}", "c\u{fffd}p\u{fffd}"]
    );
    assert_eq!(connection.parameter("x\u{fffd}"), Some("y\u{fffd}"));
    assert_eq!(
        connection.fetch_one::<i32>("select 1", ()).await.unwrap(),
        1
    );
    drop(connection);
    server.finish().await;
}

#[tokio::test]
async fn r34_an_answer_stands_though_a_fatal_error_follows_at_once() {
    let fatal = r#"ErrorResponse S="FATAL" V="FATAL" C="57P01" M="terminating connection""#;
    let mut server = serve(async move |mut session| {
        let begun = "ParseComplete\nBindComplete\nCommandComplete \"BEGIN\"\nParseComplete\nParameterDescription []\nNoData\nReadyForQuery T";
        answer(&mut session, begun).await?;
        answer(
            &mut session,
            "BindComplete\nCommandComplete \"INSERT 0 1\"\nReadyForQuery T",
        )
        .await?;
        let committed = "ParseComplete\nBindComplete\nCommandComplete \"COMMIT\"\nReadyForQuery I";
        answer(&mut session, &format!("{committed}\n{fatal}")).await?;
        session.hold().await.map(drop)
    });
    let mut connection = connect(&server).await;
    let mut transaction = connection.begin().await.unwrap();
    transaction
        .execute("insert into t values (1)", ())
        .await
        .unwrap();
    // It was committed, whatever became of the connection then.
    transaction.commit().await.unwrap();
    let error = connection
        .fetch_one::<i32>("select 1", ())
        .await
        .unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::ADMIN_SHUTDOWN), "{error}");
    drop(connection);
    server.finish().await;
}
