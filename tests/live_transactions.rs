//! Transactions and savepoints against a real server.

mod live;
mod support;

use kornak::{Connection, ErrorKind, SqlState, TransactionStatus};
use live::{check_token, connect, poll_once};

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
        .execute_script("create temp table r63 (n int4)")
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
        .execute_script("create temp table r63 (n int4)")
        .await
        .unwrap();
    // Sent one by one, or all of them together with the statement within.
    for is_sent_at_each_level in [true, false] {
        for (commits, expected) in [(true, DEPTH), (false, 0)] {
            connection.execute_script("truncate r63").await.unwrap();
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
        .execute_script("create temp table undo (n int4)")
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
        {
            let mut asking = Box::pin(transaction.execute("select 1", ()));
            for _ in 0..polls {
                if poll_once(&mut asking).is_ready() {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
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
