//! Transactions and savepoints against a real server.

mod live;
mod support;

use kornak::error::Outcome;
use kornak::{Connection, Error, ErrorKind, Row, SqlState, TransactionStatus};
use live::{check_token, connect, poll_at_most, poll_once};

#[tokio::test]
async fn a_transaction_that_is_over_can_not_be_committed() {
    let mut connection = connect().await;
    connection.on_notice(|notice| panic!("nothing to warn of: {notice}"));
    for ending in ["rollback", "commit"] {
        let mut transaction = connection.begin().await.unwrap();
        transaction.execute("select 1", ()).await.unwrap();
        transaction.execute(ending, ()).await.unwrap();
        // The server itself only warns that there is no transaction.
        let error = transaction.commit().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
        check_token(&mut connection).await;
        let mut transaction = connection.begin().await.unwrap();
        transaction.execute("select 1", ()).await.unwrap();
        let mut nested = transaction.begin().await.unwrap();
        nested.execute(ending, ()).await.unwrap();
        let error = nested.commit().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
        let error = transaction.commit().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
        check_token(&mut connection).await;
        let mut transaction = connection.begin().await.unwrap();
        transaction.execute("select 1", ()).await.unwrap();
        transaction.execute(ending, ()).await.unwrap();
        drop(transaction);
        check_token(&mut connection).await;
    }
}

#[tokio::test]
async fn r63_committing_a_failed_transaction_is_an_error() {
    let mut connection = connect().await;
    connection
        .batch_execute("create temp table r63 (n int4)")
        .await
        .unwrap();
    let mut transaction = connection.begin().await.unwrap();
    transaction
        .execute("insert into r63 values (1)", ())
        .await
        .unwrap();
    let error = transaction
        .execute("select 1 / $1", (0,))
        .await
        .unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::DIVISION_BY_ZERO));
    assert_eq!(transaction.transaction_status(), TransactionStatus::Failed);
    let error = transaction.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RolledBack, "{error}");
    check_token(&mut connection).await;
    let count: i64 = connection
        .fetch_one("select count(*) from r63", ())
        .await
        .unwrap();
    assert_eq!(count, 0);

    // By hand, too: the server says ROLLBACK, which is not what was asked for.
    for commit in [
        "commit",
        "-- all is well\nCOMMIT AND CHAIN",
        "end",
        "prepare transaction 'r63'",
    ] {
        connection.execute("begin", ()).await.unwrap();
        connection.execute("select 1 / $1", (0,)).await.unwrap_err();
        let error = connection.execute(commit, ()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RolledBack, "{error}");
        assert_eq!(error.outcome(), Outcome::RolledBack);
        connection.execute("rollback", ()).await.unwrap();
        check_token(&mut connection).await;
    }

    // A failed savepoint is undone, and what is around it goes on.
    let mut transaction = connection.begin().await.unwrap();
    transaction
        .execute("insert into r63 values (2)", ())
        .await
        .unwrap();
    let mut nested = transaction.begin().await.unwrap();
    nested
        .execute("insert into r63 values (3)", ())
        .await
        .unwrap();
    nested.execute("select 1 / $1", (0,)).await.unwrap_err();
    let error = nested.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RolledBack, "{error}");
    transaction.commit().await.unwrap();
    let left: Vec<i32> = connection.fetch_all("select n from r63", ()).await.unwrap();
    assert_eq!(left, [2]);
    check_token(&mut connection).await;
}

#[test]
fn r63_savepoints_nest_a_thousand_deep() {
    // A guard borrows the one around it, so that each level is a future within a future.
    let thread = std::thread::Builder::new().stack_size(512 * 1024 * 1024);
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let nested = thread.spawn(move || runtime().block_on(nest_a_thousand_deep()));
    nested.unwrap().join().unwrap();
}

async fn nest_a_thousand_deep() {
    const DEPTH: i32 = 1_000;
    let mut connection = connect().await;
    connection
        .batch_execute("create temp table r63 (n int4)")
        .await
        .unwrap();
    // Sent one by one, or all of them together with the statement within.
    for is_sent_at_each_level in [true, false] {
        for (commits, expected) in [(true, DEPTH), (false, 0)] {
            connection.batch_execute("truncate r63").await.unwrap();
            let mut outer = connection.begin().await.unwrap();
            nest(&mut outer, 0, DEPTH, is_sent_at_each_level, commits).await;
            outer.commit().await.unwrap();
            let count: i64 = connection
                .fetch_one("select count(*) from r63", ())
                .await
                .unwrap();
            let expected = match (is_sent_at_each_level, commits) {
                (false, true) => 1,
                _ => expected,
            };
            assert_eq!(count, i64::from(expected));
            check_token(&mut connection).await;
        }
    }
}

/// Inserts a row at each level, or in the innermost alone; each level commits or drops.
async fn nest(connection: &mut Connection, level: i32, depth: i32, inserts: bool, commits: bool) {
    let mut nested = connection.begin().await.unwrap();
    if inserts || level + 1 == depth {
        nested
            .execute("insert into r63 values ($1)", (level,))
            .await
            .unwrap();
    }
    if level + 1 < depth {
        Box::pin(nest(&mut nested, level + 1, depth, inserts, commits)).await;
    }
    if commits {
        nested.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_recovery_that_is_dropped_undoes_a_savepoint_once() {
    let mut connection = connect().await;
    connection
        .batch_execute("create temp table undo (n int4)")
        .await
        .unwrap();
    // Each time the recovery gets one poll further.
    for polls in 0..20 {
        let mut transaction = connection.begin().await.unwrap();
        transaction
            .execute("insert into undo values ($1)", (polls,))
            .await
            .unwrap();
        let mut nested = transaction.begin().await.unwrap();
        let mut asking = Box::pin(nested.execute("insert into undo values (-1)", ()));
        // The answer is owed when the guard is dropped.
        assert!(poll_once(&mut asking).is_pending());
        drop(asking);
        drop(nested);
        poll_at_most(polls, transaction.execute("select 1", ())).await;
        transaction
            .execute("insert into undo values ($1)", (100 + polls,))
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        check_token(&mut connection).await;
        let left: Vec<i32> = connection
            .fetch_all("delete from undo returning n", ())
            .await
            .unwrap();
        assert_eq!(left, [polls, 100 + polls]);
    }
}

/// The rows of `sql` by each verb, or its error.
async fn by_each_verb(
    connection: &mut Connection,
    sql: &str,
    check: impl AsyncFn(&mut Connection, &str, Option<Error>),
) {
    for warm in [false, true] {
        let verb = |name: &str| format!("{name}, warm: {warm}");
        let result = connection.execute(sql, ()).await;
        check(connection, &verb("execute"), result.err()).await;
        let result = connection.fetch_one::<Row>(sql, ()).await;
        check(connection, &verb("fetch_one"), result.err()).await;
        let result = connection.fetch_optional::<Row>(sql, ()).await;
        check(connection, &verb("fetch_optional"), result.err()).await;
        let result = connection.fetch_all::<Row>(sql, ()).await;
        check(connection, &verb("fetch_all"), result.err()).await;
        let result = connection.for_each(sql, (), |_| ()).await;
        check(connection, &verb("for_each"), result.err()).await;
        let result = read_stream(connection, sql).await;
        check(connection, &verb("fetch"), result.err()).await;
        let result = connection.query(sql).execute().await;
        check(connection, &verb("query"), result.err()).await;
        let result = connection.batch_execute(sql).await;
        check(connection, &verb("batch_execute"), result.err()).await;
    }
}

async fn read_stream(connection: &mut Connection, sql: &str) -> kornak::Result<()> {
    let mut rows = connection.fetch::<Row>(sql, ()).await?;
    while rows.next().await?.is_some() {}
    Ok(())
}

#[tokio::test]
async fn r14_a_constraint_that_fails_at_the_end_surfaces_from_every_verb() {
    let mut connection = connect().await;
    connection
        .batch_execute(
            "create temp table whole (id int4 primary key);
             create temp table part (whole int4 references whole deferrable initially deferred)",
        )
        .await
        .unwrap();
    let sql = "insert into part values (1) returning whole";
    // After CommandComplete, when Sync ends the implicit transaction.
    by_each_verb(&mut connection, sql, async |connection, verb, error| {
        let Some(error) = error else {
            panic!("{verb}: the row was not inserted")
        };
        assert_eq!(
            error.sqlstate(),
            Some(SqlState::FOREIGN_KEY_VIOLATION),
            "{verb}: {error}"
        );
        assert_eq!(error.outcome(), Outcome::RolledBack, "{verb}");
        check_token(connection).await;
    })
    .await;
    // At COMMIT.
    let mut transaction = connection.begin().await.unwrap();
    transaction.execute(sql, ()).await.unwrap();
    let error = transaction.commit().await.unwrap_err();
    assert_eq!(
        error.sqlstate(),
        Some(SqlState::FOREIGN_KEY_VIOLATION),
        "{error}"
    );
    assert_eq!(error.outcome(), Outcome::RolledBack);
    check_token(&mut connection).await;
    let mut transaction = connection.begin().await.unwrap();
    transaction.execute(sql, ()).await.unwrap();
    let error = transaction.execute("commit", ()).await.unwrap_err();
    assert_eq!(
        error.sqlstate(),
        Some(SqlState::FOREIGN_KEY_VIOLATION),
        "{error}"
    );
    drop(transaction);
    check_token(&mut connection).await;
    // At SET CONSTRAINTS, and at the RELEASE of nothing.
    let mut transaction = connection.begin().await.unwrap();
    transaction.execute(sql, ()).await.unwrap();
    let error = transaction
        .execute("set constraints all immediate", ())
        .await
        .unwrap_err();
    assert_eq!(
        error.sqlstate(),
        Some(SqlState::FOREIGN_KEY_VIOLATION),
        "{error}"
    );
    let error = transaction.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RolledBack);
    let count: i64 = connection
        .fetch_one("select count(*) from part", ())
        .await
        .unwrap();
    assert_eq!(count, 0);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r15_an_error_after_rows_leaves_the_next_statement_its_own() {
    let mut connection = live::connect_small().await;
    let sql = "select 1000 / (5000 - i) from generate_series(1, 6000) i";
    by_each_verb(&mut connection, sql, async |connection, verb, error| {
        let Some(error) = error else {
            panic!("{verb}: no error")
        };
        assert_eq!(
            error.sqlstate(),
            Some(SqlState::DIVISION_BY_ZERO),
            "{verb}: {error}"
        );
        let rows: Vec<i32> = connection
            .fetch_all("select i from generate_series(1, 100) i", ())
            .await
            .unwrap();
        assert!(rows.into_iter().eq(1..=100), "{verb}");
    })
    .await;
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r1_a_savepoint_whose_commit_is_dropped_leaves_what_is_around_it() {
    let mut connection = connect().await;
    connection
        .batch_execute("create temp table r1 (n int4)")
        .await
        .unwrap();
    for ends_by_rollback in [false, true] {
        let mut kept = 0;
        for polls in 1..10 {
            let mut outer = connection.begin().await.unwrap();
            outer
                .execute("insert into r1 values (1)", ())
                .await
                .unwrap();
            let mut inner = outer.begin().await.unwrap();
            inner
                .execute("insert into r1 values (2)", ())
                .await
                .unwrap();
            let ending = async move {
                if ends_by_rollback {
                    inner.rollback().await
                } else {
                    inner.commit().await
                }
            };
            poll_at_most(polls, ending).await;
            outer
                .execute("insert into r1 values (3)", ())
                .await
                .unwrap();
            outer.commit().await.unwrap();
            let rows: Vec<i32> = connection
                .fetch_all("delete from r1 returning n", ())
                .await
                .unwrap();
            match rows.as_slice() {
                [1, 2, 3] => kept += 1,
                [1, 3] => {}
                rows => panic!("{rows:?}"),
            }
            check_token(&mut connection).await;
        }
        // Once it is sent, it is done.
        assert_eq!(kept, if ends_by_rollback { 0 } else { 9 });
    }
}
