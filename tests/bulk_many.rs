//! `execute_many` and `fetch_many` against a real server.

mod live;
mod support;

use kornak::codec::{DeclaredType, IsNull, ParamWriter};
use kornak::error::{EncodeError, Outcome};
use kornak::{Encode, ErrorKind, SqlState, TransactionStatus, Type, from_stream};
use live::{check_token, connect_over, connect_small as connect, count, small_buffers, table};
use support::deadline::{GENEROUS, within};
use support::drops::{Case, DropAtEachPoll};
use support::proxy::{Fault, Listen, Proxy, Way};
use support::raw::RawClient;
use support::server;

const INSERT: &str = "insert into t values ($1, $2)";

#[tokio::test]
async fn all_items_are_one_transaction() {
    let mut connection = connect().await;
    table(&mut connection).await;
    for n in [0, 1, 2, 10_000] {
        let items = (0..n).map(|i| (i, "name"));
        let rows = connection.execute_many(INSERT, items).await.unwrap();
        assert_eq!(rows, u64::try_from(n).unwrap());
        assert_eq!(count(&mut connection).await, i64::from(n));
        let transactions: Vec<String> = connection
            .fetch_all("select distinct xmin::text from t", ())
            .await
            .unwrap();
        assert_eq!(transactions.len(), usize::from(n > 0));
        connection.execute("delete from t", ()).await.unwrap();
    }
    check_token(&mut connection).await;
}

#[tokio::test]
async fn returned_rows_come_in_the_order_of_the_items() {
    let mut connection = connect().await;
    table(&mut connection).await;
    let ids: Vec<(i32, String)> = connection
        .fetch_many(
            "insert into t values ($1, $2) returning id, name",
            (0..5_000).rev().map(|i| (i, format!("n{i}"))),
        )
        .await
        .unwrap();
    let expected: Vec<_> = (0..5_000).rev().map(|i| (i, format!("n{i}"))).collect();
    assert_eq!(ids, expected);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn the_server_s_error_names_the_item_and_nothing_stays() {
    let mut connection = connect().await;
    table(&mut connection).await;
    for failing in [0_i32, 1, 4_321, 19_999] {
        let items = (0..20_000).map(|i| (i, if i == failing { None } else { Some("x") }));
        let error = connection
            .execute_many(
                "insert into t select $1, 1 / length($2) || 'x' where $2 is not null or 1 / ($1 - $1) > 0",
                items,
            )
            .await
            .unwrap_err();
        assert_eq!(
            error.index(),
            Some(failing.unsigned_abs().into()),
            "{error}"
        );
        assert_eq!(error.error().sqlstate(), Some(SqlState::DIVISION_BY_ZERO));
        assert_eq!(error.error().outcome(), Outcome::RolledBack);
        assert_eq!(connection.transaction_status(), TransactionStatus::Idle);
        assert_eq!(count(&mut connection).await, 0);
    }
    check_token(&mut connection).await;
}

#[tokio::test]
async fn an_item_that_can_not_be_written_is_named_and_nothing_stays() {
    let mut connection = connect().await;
    table(&mut connection).await;
    for failing in [0_i32, 1, 4_321, 19_999] {
        let items = (0..20_000).map(|i| (i, if i == failing { "\0" } else { "x" }));
        let error = connection.execute_many(INSERT, items).await.unwrap_err();
        assert_eq!(
            error.index(),
            Some(failing.unsigned_abs().into()),
            "{error}"
        );
        assert_eq!(error.error().kind(), ErrorKind::Encode);
        assert_eq!(connection.transaction_status(), TransactionStatus::Idle);
        assert_eq!(count(&mut connection).await, 0);
    }
    // The server's error of an earlier item is the first, though it is heard of later.
    let items = [(1, "x"), (1, "x"), (2, "\0")];
    let error = connection.execute_many(INSERT, items).await.unwrap_err();
    assert_eq!(error.index(), Some(1));
    assert_eq!(error.error().sqlstate(), Some(SqlState::UNIQUE_VIOLATION));
    assert_eq!(count(&mut connection).await, 0);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn a_failure_at_commit_or_of_a_row_is_of_no_item() {
    let mut connection = connect().await;
    connection
        .batch_execute("create temp table t (id int4 unique deferrable initially deferred)")
        .await
        .unwrap();
    let sql = "insert into t values ($1) returning id";
    let error = connection
        .execute_many(sql, [(1,), (1,)])
        .await
        .unwrap_err();
    assert_eq!(error.index(), None);
    assert_eq!(error.error().sqlstate(), Some(SqlState::UNIQUE_VIOLATION));
    assert_eq!(count(&mut connection).await, 0);
    let error = connection
        .fetch_many::<i32, _>(
            "insert into t values ($1) returning nullif(id, 2)",
            [(1,), (2,), (3,)],
        )
        .await
        .unwrap_err();
    assert_eq!(error.error().kind(), ErrorKind::Decode);
    assert_eq!(error.error().outcome(), Outcome::Completed);
    assert_eq!(count(&mut connection).await, 3);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn in_a_transaction_it_is_a_part_of_it() {
    let mut connection = connect().await;
    table(&mut connection).await;
    let mut transaction = connection.begin().await.unwrap();
    let items = (0..3_000).map(|i| (i, "x"));
    transaction
        .execute_many(INSERT, items.clone())
        .await
        .unwrap();
    assert_eq!(count(&mut transaction).await, 3_000);
    let mut inner = transaction.begin().await.unwrap();
    let error = inner.execute_many(INSERT, [(5_000, "x"), (7, "x")]).await;
    assert_eq!(error.unwrap_err().index(), Some(1));
    drop(inner);
    let error = transaction
        .execute_many(INSERT, [(5_000, "x"), (5_001, "\0")])
        .await;
    assert_eq!(error.unwrap_err().index(), Some(1));
    assert_eq!(count(&mut transaction).await, 3_001);
    transaction.rollback().await.unwrap();
    assert_eq!(count(&mut connection).await, 0);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn items_of_other_types_are_refused() {
    let mut connection = connect().await;
    table(&mut connection).await;
    let (one, name, two): (i32, &str, i64) = (1, "x", 2);
    let first: &[&(dyn kornak::codec::DynEncode + Sync)] = &[&one, &name];
    let second: &[&(dyn kornak::codec::DynEncode + Sync)] = &[&two, &name];
    let error = connection
        .execute_many(INSERT, [first, second])
        .await
        .unwrap_err();
    assert_eq!(error.index(), Some(1));
    assert_eq!(error.error().kind(), ErrorKind::Usage);
    assert_eq!(count(&mut connection).await, 0);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r24_more_than_all_buffers_hold_both_ways_comes_through() {
    let proxy = Proxy::with_buffers(Listen::Tcp, server::tcp_target().address, Some(8 * 1024));
    let mut connection = connect_over(proxy.address(), small_buffers).await;
    let text = "x".repeat(30_000);
    let items = (0..300).map(|i| (i, text.as_str()));
    let echoed = connection.fetch_many::<(i32, String), _>("select $1, $2::text", items);
    let echoed = within(GENEROUS, "the items", echoed).await.unwrap();
    assert_eq!(echoed.len(), 300);
    for (index, (number, echo)) in (0..).zip(&echoed) {
        assert!(*number == index && *echo == text);
    }
    check_token(&mut connection).await;
}

#[tokio::test]
async fn memory_stays_flat() {
    let mut connection = connect().await;
    let text = "x".repeat(10_000);
    let items = (0..5_000).map(|_| (text.as_str(),));
    let done = connection.execute_many("select length($1)", items).await;
    assert_eq!(done.unwrap(), 5_000);
    assert!(
        connection.buffered_bytes() < 1024 * 1024,
        "50 MB of items left {} bytes of buffers",
        connection.buffered_bytes()
    );
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r24_dropped_at_any_poll_nothing_or_everything_stays() {
    let table = format!("\"{}\"", support::raw::unique());
    RawClient::of_tests().execute(&format!("create table {table} (id int4, name text)"));
    let insert = format!("insert into {table} values ($1, $2)");
    let text = "x".repeat(5_000);
    DropAtEachPoll::new("execute_many")
        .spurious_polls(2)
        .run(
            async || connect().await,
            async |connection| {
                let items = (0..200).map(|i| (i, text.as_str()));
                connection.execute_many(&insert, items).await.unwrap();
            },
            async |mut connection, case| {
                check_token(&mut connection).await;
                assert_eq!(connection.transaction_status(), TransactionStatus::Idle);
                let rows: i64 = connection
                    .fetch_one(&format!("select count(*) from {table}"), ())
                    .await
                    .unwrap();
                match case {
                    Case::Completed(_) => assert_eq!(rows, 200),
                    Case::DroppedAfter(_) => assert!(rows == 0 || rows == 200, "{rows}: {case:?}"),
                }
                let emptied = connection
                    .execute(&format!("delete from {table}"), ())
                    .await;
                emptied.unwrap();
            },
        )
        .await;
    RawClient::of_tests().execute(&format!("drop table {table}"));
}

#[tokio::test]
async fn r24_a_panic_of_the_iterator_rolls_back() {
    let mut connection = connect().await;
    table(&mut connection).await;
    let text = "x".repeat(5_000);
    let task = tokio::spawn(async move {
        let connection = std::sync::Arc::new(tokio::sync::Mutex::new(connection));
        let kept = std::sync::Arc::clone(&connection);
        let inserting = tokio::spawn(async move {
            let items = (0..200).map(|i| {
                assert!(i < 150, "a panic that is meant to be");
                (i, text.clone())
            });
            kept.lock().await.execute_many(INSERT, items).await
        });
        assert!(inserting.await.unwrap_err().is_panic());
        std::sync::Arc::into_inner(connection).unwrap().into_inner()
    });
    let mut connection = task.await.unwrap();
    assert_eq!(count(&mut connection).await, 0);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn a_link_lost_before_the_commit_rolls_back_and_after_it_is_unknown() {
    let proxy = Proxy::start(Listen::Tcp, server::tcp_target().address);
    let mut connection = connect_over(proxy.address(), small_buffers).await;
    table(&mut connection).await;
    count(&mut connection).await;
    let link = proxy.session(0).await;
    link.arm(Way::ToServer, 1_000_000, Fault::Reset);
    let text = "x".repeat(5_000);
    let items = (0..2_000).map(|i| (i, text.as_str()));
    let error = connection.execute_many(INSERT, items).await.unwrap_err();
    assert!(error.error().is_closed(), "{error}");
    assert_eq!(error.error().outcome(), Outcome::RolledBack);

    let mut connection = connect_over(proxy.address(), small_buffers).await;
    table(&mut connection).await;
    connection.execute_many(INSERT, [(-1, "x")]).await.unwrap();
    let link = proxy.session(1).await;
    link.arm(Way::ToClient, 0, Fault::Reset);
    let error = connection
        .execute_many(INSERT, [(1, "x")])
        .await
        .unwrap_err();
    assert_eq!(error.error().kind(), ErrorKind::CommitOutcomeUnknown);
}

#[tokio::test]
async fn its_futures_go_to_other_threads() {
    let mut connection = connect().await;
    table(&mut connection).await;
    let inserting = tokio::spawn(async move {
        let names = [String::from("a"), String::from("b")];
        let items = (0..).zip(&names).map(|(i, name)| (i, name.as_str()));
        connection.execute_many(INSERT, items).await
    });
    assert_eq!(inserting.await.unwrap().unwrap(), 2);
}

#[tokio::test]
async fn items_of_a_stream_are_taken_as_they_come() {
    let mut connection = connect().await;
    table(&mut connection).await;
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let sending = tokio::spawn(async move {
        for i in 0..3_000 {
            sender.send((i, format!("n{i}"))).await.unwrap();
        }
    });
    let done = connection.execute_many(INSERT, from_stream(Received(receiver)));
    assert_eq!(done.await.unwrap(), 3_000);
    sending.await.unwrap();
    assert_eq!(count(&mut connection).await, 3_000);
    let (_, receiver) = tokio::sync::mpsc::channel::<(i32, String)>(1);
    let none = connection.execute_many(INSERT, from_stream(Received(receiver)));
    assert_eq!(none.await.unwrap(), 0);
    check_token(&mut connection).await;
}

/// Each item is answered before the next one is there: nothing is held back, here or there.
#[tokio::test]
async fn rows_come_while_the_source_of_the_items_pauses() {
    let mut connection = connect().await;
    table(&mut connection).await;
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    sender.send((0, "x")).await.unwrap();
    let sql = "insert into t values ($1, $2) returning id";
    let items = from_stream(Received(receiver));
    let mut ids = connection.stream_many::<i32, _>(sql, items).await.unwrap();
    for i in 0..50 {
        let id = within(GENEROUS, "the row", ids.next()).await.unwrap();
        assert_eq!(id, Some(i));
        assert_eq!(ids.rows_affected(), None);
        sender.send((i + 1, "x")).await.unwrap();
    }
    // An error is heard of though no further item comes.
    assert_eq!(ids.next().await.unwrap(), Some(50));
    sender.send((7, "x")).await.unwrap();
    let error = within(GENEROUS, "the error", ids.next()).await.unwrap_err();
    assert_eq!(error.index(), Some(51));
    assert_eq!(error.error().sqlstate(), Some(SqlState::UNIQUE_VIOLATION));
    assert!(ids.next().await.unwrap().is_none());
    drop(ids);
    assert_eq!(connection.transaction_status(), TransactionStatus::Idle);
    assert_eq!(count(&mut connection).await, 0);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn rows_stream_back_in_the_order_of_the_items() {
    let mut connection = connect().await;
    table(&mut connection).await;
    let sql = "insert into t values ($1, $2) returning id, name";
    let items = (0..20_000).map(|i| (i, "a name"));
    let mut rows = connection
        .stream_many::<(i32, String), _>(sql, items)
        .await
        .unwrap();
    for expected in 0..20_000 {
        assert_eq!(rows.next().await.unwrap().unwrap().0, expected);
    }
    assert!(rows.next().await.unwrap().is_none());
    assert_eq!(rows.rows_affected(), Some(20_000));
    drop(rows);
    assert_eq!(count(&mut connection).await, 20_000);
    let none = connection.stream_many::<i32, _>("select $1", Vec::<(i32,)>::new());
    let mut none = none.await.unwrap();
    assert!(none.next().await.unwrap().is_none());
    assert_eq!(none.rows_affected(), Some(0));
    drop(none);
    // A row that can't be read is told behind those before it; the server has done all.
    let items = [(1,), (2,), (3,)];
    let mut rows = connection
        .stream_many::<i32, _>("select nullif($1, 2)", items)
        .await
        .unwrap();
    assert_eq!(rows.next().await.unwrap(), Some(1));
    let error = rows.next().await.unwrap_err();
    assert_eq!(error.index(), Some(1));
    assert_eq!(error.error().kind(), ErrorKind::Decode);
    assert_eq!(error.error().outcome(), Outcome::Completed);
    drop(rows);
    check_token(&mut connection).await;
}

/// The connection isn't used again: what was begun is undone all the same.
#[tokio::test]
async fn r8_what_is_dropped_is_rolled_back_without_any_further_use() {
    let name = support::raw::unique();
    RawClient::of_tests().execute(&format!("create table \"{name}\" (id int4)"));
    let mut connection = connect().await;
    let process = connection.process_id();
    let state = format!(
        "select state || ' ' || (backend_xid is null) from pg_stat_activity where pid = {process}"
    );
    let sql = format!("insert into \"{name}\" values ($1) returning id");
    let mut observer = RawClient::of_tests();
    // A stream that pauses, one that is read in part, and a future that is dropped.
    for case in 0..3 {
        let (sender, receiver) = tokio::sync::mpsc::channel(10);
        for i in 0..10 {
            sender.send((i,)).await.unwrap();
        }
        let items = from_stream(Received(receiver));
        if case < 2 {
            let mut ids = connection.stream_many::<i32, _>(&sql, items).await.unwrap();
            for i in 0..if case == 0 { 10 } else { 1 } {
                let id = within(GENEROUS, "the row", ids.next()).await;
                assert_eq!(id.unwrap(), Some(i));
            }
            assert_eq!(observer.value(&state), "active false");
        } else {
            tokio::select! {
                ended = connection.execute_many(&sql, items) => panic!("{ended:?}"),
                () = live::until_server(format!("({state}) = 'active false'")) => {}
            }
        }
        // Nobody polls the connection.
        observer.wait_for(&format!("({state}) = 'idle true'"));
    }
    check_token(&mut connection).await;
    observer.execute(&format!("drop table \"{name}\""));
}

/// What a channel brings.
struct Received<T>(tokio::sync::mpsc::Receiver<T>);

impl<T> futures_core::Stream for Received<T> {
    type Item = T;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<T>> {
        self.0.poll_recv(cx)
    }
}

/// A codec may ask for room ahead while a part of what goes before is on its way.
#[tokio::test]
async fn room_asked_for_by_a_codec_moves_nothing() {
    struct Large(Vec<u8>);
    impl Encode for Large {
        const DECLARED: DeclaredType = <&[u8]>::DECLARED;

        fn encode(&self, _: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
            out.reserve(self.0.len() * 20);
            out.put_slice(&self.0);
            Ok(IsNull::No)
        }
    }

    let mut connection = connect().await;
    connection
        .batch_execute("create temp table large (id int4, body bytea)")
        .await
        .unwrap();
    let items = (0..2_000_i32).map(|i| (i, Large(vec![i as u8; 10_000 + i as usize])));
    let sql = "insert into large values ($1, $2)";
    let rows = within(GENEROUS, "inserting", connection.execute_many(sql, items)).await;
    assert_eq!(rows.unwrap(), 2_000);
    let wrong: i64 = connection
        .fetch_one(
            "select count(*) from large where length(body) <> 10000 + id
             or get_byte(body, 0) <> id % 256 or get_byte(body, 9999 + id) <> id % 256",
            (),
        )
        .await
        .unwrap();
    assert_eq!(wrong, 0);
    check_token(&mut connection).await;
}
