//! Portals against a real server: cursors with a fetch size.

mod live;
mod support;

use kornak::{ErrorKind, Row, SqlState};
use live::{check_token, config, connect_small as connect, open, small_buffers};
use support::drops::DropAtEachPoll;
use support::server;

const NUMBERS: &str = "select i from generate_series(1, $1::int4) i";

#[tokio::test]
async fn r48_rows_come_as_many_as_are_asked_for() {
    for capacity in [0, 1, 100] {
        let mut connection =
            open(small_buffers(config(&server::tcp_target())).statement_cache_capacity(capacity))
                .await;
        let mut transaction = connection.begin().await.unwrap();
        for (rows, size, fetches) in [(0, 1, 1), (1, 1, 2), (9, 10, 1), (10, 10, 2), (25, 10, 3)] {
            let mut portal = transaction.portal::<i32>(NUMBERS, (rows,)).await.unwrap();
            let (mut got, mut count) = (Vec::new(), 0);
            while !portal.is_over() {
                let some = portal.fetch(&mut transaction, size).await.unwrap();
                assert!(some.len() <= size as usize);
                got.extend(some);
                count += 1;
                // Another statement between two fetches.
                let one: i32 = transaction.fetch_one("select 1", ()).await.unwrap();
                assert_eq!(one, 1);
            }
            assert_eq!(got, (1..=rows).collect::<Vec<_>>());
            assert_eq!(count, fetches);
            assert!(portal.fetch(&mut transaction, 1).await.unwrap().is_empty());
            portal.close(&mut transaction).await.unwrap();
        }
        let mut portal = transaction
            .portal::<i32>(NUMBERS, (100_000,))
            .await
            .unwrap();
        let mut beside = transaction.portal::<i32>(NUMBERS, (3,)).await.unwrap();
        assert_eq!(portal.fetch(&mut transaction, 2).await.unwrap(), [1, 2]);
        assert_eq!(beside.fetch(&mut transaction, 2).await.unwrap(), [1, 2]);
        assert_eq!(
            portal.fetch_rest(&mut transaction).await.unwrap().len(),
            99_998
        );
        assert_eq!(beside.fetch_rest(&mut transaction).await.unwrap(), [3]);
        for wrong in [0, 1 << 31] {
            let mut portal = transaction.portal::<i32>(NUMBERS, (1,)).await.unwrap();
            let error = portal.fetch(&mut transaction, wrong).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
        }
        transaction.commit().await.unwrap();
        check_token(&mut connection).await;
    }
}

#[tokio::test]
async fn r48_no_columns_an_empty_query_and_one_without_rows() {
    let mut connection = connect().await;
    connection
        .batch_execute("create temp table t (id int4)")
        .await
        .unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let sql = "select from generate_series(1, 5)";
    let mut portal = transaction.portal::<Row>(sql, ()).await.unwrap();
    assert!(portal.columns().is_empty());
    assert_eq!(portal.fetch(&mut transaction, 3).await.unwrap().len(), 3);
    assert_eq!(portal.fetch(&mut transaction, 3).await.unwrap().len(), 2);
    assert!(portal.is_over());
    for sql in ["", "-- nothing", "insert into t values (1)"] {
        let mut portal = transaction.portal::<Row>(sql, ()).await.unwrap();
        assert!(portal.fetch(&mut transaction, 3).await.unwrap().is_empty());
        assert!(portal.is_over());
    }
    let rows: i64 = transaction
        .fetch_one("select count(*) from t", ())
        .await
        .unwrap();
    assert_eq!(rows, 1);
    transaction.commit().await.unwrap();
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r48_a_cursor_after_an_error_and_after_its_transaction() {
    let mut connection = connect().await;
    let outside = connection.portal::<i32>(NUMBERS, (3,)).await;
    assert_eq!(outside.unwrap_err().kind(), ErrorKind::Usage);
    let mut transaction = connection.begin().await.unwrap();
    let mut portal = transaction.portal::<i32>(NUMBERS, (3,)).await.unwrap();
    assert_eq!(portal.fetch(&mut transaction, 1).await.unwrap(), [1]);
    let mut savepoint = transaction.begin().await.unwrap();
    savepoint.execute("select 1 / 0", ()).await.unwrap_err();
    let error = portal.fetch(&mut savepoint, 1).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::IN_FAILED_SQL_TRANSACTION));
    savepoint.rollback().await.unwrap();
    assert_eq!(portal.fetch(&mut transaction, 1).await.unwrap(), [2]);
    let failing = "select 10 / (3 - i) from generate_series(1, 5) i";
    let mut broken = transaction.portal::<i32>(failing, ()).await.unwrap();
    assert_eq!(broken.fetch(&mut transaction, 2).await.unwrap(), [5, 10]);
    let error = broken.fetch(&mut transaction, 2).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::DIVISION_BY_ZERO));
    assert_eq!(error.sql(), Some(failing));
    transaction.rollback().await.unwrap();
    let error = portal.fetch(&mut connection, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    let mut transaction = connection.begin().await.unwrap();
    transaction.execute("select 1", ()).await.unwrap();
    let error = portal.fetch(&mut transaction, 1).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::INVALID_CURSOR_NAME));
    transaction.rollback().await.unwrap();
    let mut other = connect().await;
    let mut transaction = other.begin().await.unwrap();
    let error = portal.fetch(&mut transaction, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    portal.close(&mut connection).await.unwrap();
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r48_dropped_at_any_poll_the_connection_is_in_step() {
    DropAtEachPoll::new("a portal")
        .spurious_polls(2)
        .run(
            async || connect().await,
            async |connection| {
                let mut transaction = connection.begin().await.unwrap();
                let mut portal = transaction.portal::<i32>(NUMBERS, (30,)).await.unwrap();
                for expected in [10, 10, 10, 0] {
                    let rows = portal.fetch(&mut transaction, 10).await.unwrap();
                    assert_eq!(rows.len(), expected);
                }
                portal.close(&mut transaction).await.unwrap();
                transaction.commit().await.unwrap();
            },
            async |mut connection, _| check_token(&mut connection).await,
        )
        .await;
}
