//! Answers that come out of order.

use kornak::{Connection, ErrorKind};

use super::{COLD, WARM, answer, connect, flight, serve};
use crate::support::deadline::{GENEROUS, within};

/// What may not come in the place of [`WARM`].
fn wrong_answers() -> Vec<Vec<&'static str>> {
    let mut wrong = Vec::new();
    // Each message missing, but for the rows, of which there may be any number.
    for missing in [0, 2] {
        let mut lines = WARM.to_vec();
        lines.remove(missing);
        wrong.push(lines);
    }
    // Each message too early.
    for (from, to) in [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)] {
        let mut lines = WARM.to_vec();
        let early = lines.remove(from);
        lines.insert(to, early);
        // A command may complete without rows, which may not follow then.
        wrong.push(lines);
    }
    // Each one twice, again but for the row.
    for twice in [0, 2, 3] {
        let mut lines = WARM.to_vec();
        lines.insert(twice, WARM[twice]);
        wrong.push(lines);
    }
    // What belongs to another stage, or to no stage, in each place.
    let strays = [
        "ParseComplete",
        "CloseComplete",
        "NoData",
        "ParameterDescription []",
        r#"RowDescription [("a" 0 0 int4 4 -1 0)]"#,
        "CopyDone",
        "CopyData x00",
        "AuthenticationOk",
        "BackendKeyData 1 x00000000",
        "message v x0000000000000000",
        "message W x000000",
        "message z x",
    ];
    for stray in strays {
        let stray = if stray.contains('?') {
            r#"framed 3 4 x"#
        } else {
            stray
        };
        for place in 0..=WARM.len() {
            let mut lines = WARM.to_vec();
            lines.insert(place, stray);
            wrong.push(lines);
        }
    }
    // The rest of a suspended or empty statement.
    for end in ["PortalSuspended", "EmptyQueryResponse"] {
        let mut lines = WARM.to_vec();
        lines.insert(2, end);
        wrong.push(lines);
    }
    wrong
}

/// The verbs that run a statement.
#[derive(Clone, Copy, Debug)]
enum Verb {
    Execute,
    One,
    All,
    ForEach,
    Stream,
}

impl Verb {
    async fn run(self, connection: &mut Connection) -> kornak::Result<()> {
        let sql = "select 1";
        match self {
            Self::Execute => connection.execute(sql, ()).await.map(drop),
            Self::One => connection.fetch_one::<i32>(sql, ()).await.map(drop),
            Self::All => connection.fetch_all::<i32>(sql, ()).await.map(drop),
            Self::ForEach => connection.for_each(sql, (), |_| ()).await.map(drop),
            Self::Stream => {
                let mut rows = connection.fetch::<i32>(sql, ()).await?;
                while rows.next().await?.is_some() {}
                Ok(())
            }
        }
    }
}

#[tokio::test]
async fn r17_an_answer_that_is_not_in_order_breaks_the_connection() {
    for verb in [
        Verb::Execute,
        Verb::One,
        Verb::All,
        Verb::ForEach,
        Verb::Stream,
    ] {
        for wrong in wrong_answers() {
            let reply = wrong.join("\n");
            let case = format!("{verb:?}:\n{reply}");
            let mut server = serve(async move |mut session| {
                answer(&mut session, COLD).await?;
                flight(&mut session).await?;
                session.say(&reply).await?;
                // What comes after the end may be seen only when the next one asks.
                match session.receive_or_end().await? {
                    Some(_) => session.hold().await.map(drop),
                    None => Ok(()),
                }
            });
            let mut connection = connect(&server).await;
            connection.fetch_one::<i32>("select 1", ()).await.unwrap();
            let mut result = within(GENEROUS, &case, verb.run(&mut connection)).await;
            if result.is_ok() {
                let is_behind_the_end = wrong.len() > WARM.len() && wrong[..WARM.len()] == *WARM;
                assert!(is_behind_the_end, "it went well: {case}");
                // It may be known already, or only be read now.
                result = within(GENEROUS, &case, verb.run(&mut connection)).await;
                let kind = result.as_ref().unwrap_err().kind();
                assert!(
                    matches!(kind, ErrorKind::Closed | ErrorKind::Protocol),
                    "{case}"
                );
            } else if let Err(error) = &result {
                assert_eq!(error.kind(), ErrorKind::Protocol, "{error}: {case}");
            }
            let error = result.unwrap_err();
            assert!(error.is_closed() && connection.is_closed(), "{case}");
            let error = connection
                .fetch_one::<i32>("select 1", ())
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Closed, "{error}: {case}");
            drop(connection);
            server.finish().await;
        }
    }
}

#[tokio::test]
async fn r17_a_script_or_a_commit_that_is_answered_out_of_order_is_no_success() {
    let wrong = [
        // COMMIT by the extended protocol.
        (true, "ParseComplete\nBindComplete\nReadyForQuery I"),
        (
            true,
            "ParseComplete\nCommandComplete \"COMMIT\"\nReadyForQuery I",
        ),
        (true, "CommandComplete \"COMMIT\"\nReadyForQuery I"),
        (true, "ReadyForQuery I"),
        (
            true,
            "ParseComplete\nBindComplete\nEmptyQueryResponse\nCommandComplete \"COMMIT\"\nReadyForQuery I",
        ),
        // A script.
        (false, "ReadyForQuery I"),
        (
            false,
            "RowDescription [(\"a\" 0 0 int4 4 -1 0)]\nReadyForQuery I",
        ),
        (
            false,
            "DataRow [\"1\"]\nCommandComplete \"SELECT 1\"\nReadyForQuery I",
        ),
        (
            false,
            "BindComplete\nCommandComplete \"SELECT 1\"\nReadyForQuery I",
        ),
        (false, "CommandComplete \"BEGIN\"\nNoData\nReadyForQuery I"),
    ];
    for (is_commit, reply) in wrong {
        let mut server = serve(async move |mut session| {
            if is_commit {
                let begin = "ParseComplete\nBindComplete\nCommandComplete \"BEGIN\"\n";
                flight(&mut session).await?;
                session
                    .say(&format!(
                        "{begin}ParseComplete\nParameterDescription []\nNoData\nReadyForQuery T"
                    ))
                    .await?;
                answer(
                    &mut session,
                    "BindComplete\nCommandComplete \"SET\"\nReadyForQuery T",
                )
                .await?;
            }
            answer(&mut session, reply).await?;
            session.hold().await.map(drop)
        });
        let mut connection = connect(&server).await;
        let error = if is_commit {
            let mut transaction = connection.begin().await.unwrap();
            transaction.execute("set x to y", ()).await.unwrap();
            let error = transaction.commit().await.unwrap_err();
            assert_eq!(
                error.kind(),
                ErrorKind::CommitOutcomeUnknown,
                "{error}: {reply}"
            );
            connection.execute("select 1", ()).await.unwrap_err()
        } else {
            let error = connection
                .batch_execute("begin; select 1")
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "{error}: {reply}");
            error
        };
        assert!(
            error.is_closed() && connection.is_closed(),
            "{error}: {reply}"
        );
        drop(connection);
        server.finish().await;
    }
}
