//! What one connection of a pool has learnt, the verbs for heavy work use on another.

#![cfg(feature = "derive")]

#[path = "../live/mod.rs"]
mod live;
mod pipeline;
#[path = "../pool_support/mod.rs"]
mod pool_support;
#[path = "../support/mod.rs"]
mod support;

use kornak::{ErrorKind, Numeric, PoolConnection, SqlState, Type};
use live::{check_token, connect_as};
use pool_support::sharing::{Mood, Shared, check_learnt};

const TABLE: &str = "create type mood as enum ('glum', 'gay'); \
                     create table t (id int4, n numeric, m mood, note text)";

const INSERT: &str = "insert into t values ($1, $2, $3, $4) returning id, m";

fn items(count: i32) -> impl Iterator<Item = (i32, Numeric, Mood, String)> + Clone + Send {
    (0..count).map(|id| (id, Numeric::from(id), Mood::Gay, format!("note {id}")))
}

async fn count(connection: &mut PoolConnection) -> i64 {
    let sql = "select count(*) from t";
    connection.fetch_one(sql, ()).await.unwrap()
}

const COLUMNS: [&str; 4] = ["id", "n", "m", "note"];

async fn copy(
    connection: &mut PoolConnection,
    items: impl Iterator<Item = (i32, Numeric, Mood, String)> + Send,
) -> kornak::Result<u64> {
    let mut copy = connection.copy_in_rows("t", &COLUMNS).await?;
    copy.send_all(items).await?;
    copy.finish().await
}

#[tokio::test]
async fn a_fresh_connection_runs_known_items_in_one_round_trip() {
    let shared = Shared::new(TABLE);
    let mut all = Vec::new();
    for number in 0..3 {
        let (mut connection, link) = shared.fresh().await;
        let sent = link.sent_from_now();
        let done = connection.execute_many(INSERT, items(10)).await.unwrap();
        assert_eq!(done, 10);
        let sent = sent.flights();
        if number == 0 {
            // Prepared, types looked up, executed.
            assert_eq!(sent.len(), 3, "{sent:?}");
        } else {
            assert_eq!(sent.len(), 1, "{sent:?}");
            let begun = [
                "Parse", "Bind", "Execute", "Parse", "Describe", "Bind", "Execute",
            ];
            assert_eq!(sent[0][..7], begun);
            assert_eq!(sent[0].last().unwrap(), "Sync");
        }
        // It is prepared then, as any other.
        let sent = link.sent_from_now();
        connection.execute_many(INSERT, items(1)).await.unwrap();
        let sent = sent.flights();
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert_eq!(sent[0].iter().filter(|name| *name == "Describe").count(), 0);
        check_token(&mut connection).await;
        all.push(connection);
    }
}

#[tokio::test]
async fn known_items_return_rows_and_may_be_many() {
    let shared = Shared::new(TABLE);
    let mut all = Vec::new();
    for _ in 0..3 {
        let (mut connection, link) = shared.fresh().await;
        let sent = link.sent_from_now();
        let ids: Vec<(i32, Mood)> = connection.fetch_many(INSERT, items(20)).await.unwrap();
        let expected: Vec<_> = (0..20).map(|id| (id, Mood::Gay)).collect();
        assert_eq!(ids, expected);
        assert_eq!(sent.flights().len(), if all.is_empty() { 3 } else { 1 });
        all.push(connection);
    }
    for count in [1, 32, 33, 1_000, 20_000] {
        let (mut connection, _) = shared.fresh().await;
        let mut rows = connection
            .stream_many::<(i32, Mood), _>(INSERT, items(count))
            .await
            .unwrap();
        for id in 0..count {
            assert_eq!(rows.next().await.unwrap(), Some((id, Mood::Gay)));
        }
        assert_eq!(rows.next().await.unwrap(), None);
        drop(rows);
        check_token(&mut connection).await;
        all.push(connection);
    }
}

#[tokio::test]
async fn a_fresh_connection_opens_a_known_portal_with_its_transaction() {
    let shared = Shared::new(TABLE);
    let sql = "select a, $1::mood from generate_series(1, 10) a where a <> $2::numeric";
    let mut all = Vec::new();
    for number in 0..3 {
        let (mut connection, link) = shared.fresh().await;
        let sent = link.sent_from_now();
        let mut transaction = connection.begin().await.unwrap();
        let params = (Mood::Gay, Numeric::from(1));
        let mut portal = transaction
            .portal::<(i32, Mood)>(sql, params.clone())
            .await
            .unwrap();
        let opened = [
            "Parse", "Bind", "Execute", "Parse", "Describe", "Bind", "Sync",
        ];
        check_learnt(number, &sent, &opened);
        assert_eq!(portal.columns()[1].name(), "mood");
        let rows = portal.fetch(&mut transaction, 4).await.unwrap();
        assert_eq!(rows, [2, 3, 4, 5].map(|a| (a, Mood::Gay)));
        let rows = portal.fetch_rest(&mut transaction).await.unwrap();
        assert_eq!(rows, [6, 7, 8, 9, 10].map(|a| (a, Mood::Gay)));
        let sent = link.sent_from_now();
        let _ = transaction
            .portal::<(i32, Mood)>(sql, params)
            .await
            .unwrap();
        assert_eq!(sent.flights(), [["Bind", "Sync"]]);
        transaction.commit().await.unwrap();
        check_token(&mut connection).await;
        all.push(connection);
    }
}

#[tokio::test]
async fn a_copy_of_known_columns_begins_in_one_round_trip() {
    let shared = Shared::new(TABLE);
    let mut all = Vec::new();
    for number in 0..3 {
        let (mut connection, link) = shared.fresh().await;
        for again in [false, true] {
            let sent = link.sent_from_now();
            assert_eq!(copy(&mut connection, items(10)).await.unwrap(), 10);
            let sent = sent.flights();
            let begun = &sent[..sent.len() - 1];
            match (number, again) {
                (0, false) => assert_eq!(begun.len(), 3, "{sent:?}"),
                (_, false) => assert_eq!(
                    begun,
                    [["Parse", "Describe", "Parse", "Bind", "Execute", "Flush"]]
                ),
                (_, true) => {
                    assert_eq!(begun, [["Describe", "Parse", "Bind", "Execute", "Flush"]])
                }
            }
        }
        check_token(&mut connection).await;
        all.push(connection);
    }
    assert_eq!(count(&mut all[0]).await, 60);
}

/// What befalls a table between its description and its next use, by another session.
const ALTERATIONS: [&str; 6] = [
    "alter table t alter n type float8",
    "alter table t alter m type text using m::text",
    "alter table t alter note type varchar(100)",
    // The server no longer knows the type's OID: it refuses to parse what declares it.
    "alter table t alter m type text; drop type mood; \
     create type mood as enum ('glum', 'gay', 'elated'); \
     alter table t alter m type mood using m::mood",
    "drop table t; create table t (m mood, note text, n numeric, id int4)",
    "alter table t rename to old; \
     create table t (id int8, n numeric, m mood, note text, more int4 default 7)",
];

#[tokio::test]
async fn r41_items_go_in_though_the_table_was_altered() {
    for alteration in ALTERATIONS {
        for is_fresh in [true, false] {
            let mut shared = Shared::new(TABLE);
            let sql = "insert into t (id, n, m, note) values ($1, $2, $3, $4)";
            let mut first = shared.tested.acquire().await;
            first.execute_many(sql, items(3)).await.unwrap();
            shared.alter(alteration);
            let before = count(&mut first).await;
            let mut connection = first;
            let other;
            if is_fresh {
                let _held = connection;
                (other, _) = shared.fresh().await;
                connection = other;
            }
            let done = connection.execute_many(sql, items(2_000)).await;
            match done {
                Ok(done) => assert_eq!(done, 2_000, "{alteration}"),
                // A statement of this connection's own that is out of date is an error once.
                Err(error) => {
                    assert!(!is_fresh, "{alteration}: {error}");
                    assert_eq!(error.index(), Some(0), "{alteration}: {error}");
                    assert_eq!(count(&mut connection).await, before, "{alteration}");
                    let done = connection.execute_many(sql, items(2_000)).await;
                    assert_eq!(done.unwrap(), 2_000, "{alteration}");
                }
            }
            assert_eq!(count(&mut connection).await, before + 2_000, "{alteration}");
            check_token(&mut connection).await;
        }
    }
}

#[tokio::test]
async fn r41_rows_go_in_as_the_columns_are_now() {
    for alteration in ALTERATIONS {
        for is_fresh in [true, false] {
            for in_transaction in [false, true] {
                let mut shared = Shared::new(TABLE);
                let mut connection = shared.tested.acquire().await;
                copy(&mut connection, items(3)).await.unwrap();
                shared.alter(alteration);
                let held;
                if is_fresh {
                    held = Some(connection);
                    (connection, _) = shared.fresh().await;
                } else {
                    held = None;
                }
                let before = count(&mut connection).await;
                let case = format!("{alteration}, fresh {is_fresh}, in {in_transaction}");
                if in_transaction {
                    connection.batch_execute("begin").await.unwrap();
                }
                let begun = connection.copy_in_rows("t", &["id", "note"]).await;
                drop(begun);
                if in_transaction {
                    connection.batch_execute("rollback").await.unwrap();
                    connection.batch_execute("begin").await.unwrap();
                }
                let mut begun = connection.copy_in_rows("t", &COLUMNS).await;
                if let (Err(error), true) = (&begun, in_transaction) {
                    // In a transaction it can't be tried again; the next finds it described.
                    assert!(!is_fresh, "{case}: {error}");
                    assert_eq!(error.sqlstate(), Some(SqlState::FEATURE_NOT_SUPPORTED));
                    drop(begun);
                    connection.batch_execute("rollback; begin").await.unwrap();
                    begun = connection.copy_in_rows("t", &COLUMNS).await;
                }
                let mut begun = begun.unwrap_or_else(|error| panic!("{case}: {error}"));
                let types = begun.types().to_vec();
                let n = types[1] == Type::FLOAT8;
                let m = types[2] == Type::TEXT;
                let id = types[0] == Type::INT8;
                for number in 0..10 {
                    let sent = match (n, m, id) {
                        (true, ..) => begun.send((number, 1.5, Mood::Gay, "note")).await,
                        (_, true, _) => begun.send((number, Numeric::from(1), "gay", "note")).await,
                        (.., true) => {
                            let row = (i64::from(number), Numeric::from(1), Mood::Gay, "note");
                            begun.send(row).await
                        }
                        _ => {
                            begun
                                .send((number, Numeric::from(1), Mood::Gay, "note"))
                                .await
                        }
                    };
                    sent.unwrap_or_else(|error| panic!("{case}: {error}"));
                }
                assert_eq!(begun.finish().await.unwrap(), 10, "{case}");
                if in_transaction {
                    connection.batch_execute("commit").await.unwrap();
                }
                assert_eq!(count(&mut connection).await, before + 10, "{case}");
                check_token(&mut connection).await;
                drop(held);
            }
        }
    }
}

#[tokio::test]
async fn r41_a_copy_in_a_transaction_that_altered_the_table_itself() {
    let shared = Shared::new(TABLE);
    let mut connection = shared.tested.acquire().await;
    for (number, column) in (0..).zip(["numeric", "float8"]) {
        let mut transaction = connection.begin().await.unwrap();
        if number > 0 {
            let alter = format!("alter table t alter n type {column}");
            transaction.execute(&alter, ()).await.unwrap();
        }
        // No type of its own is among them, whose epoch would end with the alteration.
        let mut copy = transaction.copy_in_rows("t", &["id", "n"]).await.unwrap();
        assert_eq!(copy.types()[1].name(), column);
        match number {
            0 => copy.send((number, Numeric::from(7))).await.unwrap(),
            _ => copy.send((number, 1.5)).await.unwrap(),
        }
        assert_eq!(copy.finish().await.unwrap(), 1);
        transaction.commit().await.unwrap();
    }
    let sum: f64 = connection
        .fetch_one("select n from t where id = 1", ())
        .await
        .unwrap();
    assert_eq!(sum, 1.5);
}

#[tokio::test]
async fn r41_a_known_portal_over_a_table_that_was_altered() {
    for alteration in ALTERATIONS {
        let mut shared = Shared::new(TABLE);
        let sql = "select id, n, m from t where n >= $1 order by id";
        let (mut first, _) = shared.fresh().await;
        copy(&mut first, items(3)).await.unwrap();
        let mut transaction = first.begin().await.unwrap();
        let zero = || (Numeric::from(0),);
        let mut portal = transaction
            .portal::<(i64, kornak::Value, kornak::Value)>(sql, zero())
            .await
            .unwrap();
        let rows = portal.fetch_rest(&mut transaction).await.unwrap();
        assert_eq!(rows.len(), 3);
        transaction.commit().await.unwrap();
        shared.alter(alteration);
        let rows_now = count(&mut first).await;
        let (mut second, _) = shared.fresh().await;
        let mut transaction = second.begin().await.unwrap();
        let opened = transaction
            .portal::<(i64, kornak::Value, kornak::Value)>(sql, zero())
            .await;
        let mut portal = opened.unwrap_or_else(|error| panic!("{alteration}: {error}"));
        let rows = portal.fetch_rest(&mut transaction).await.unwrap();
        assert_eq!(rows.len() as i64, rows_now, "{alteration}");
        transaction.commit().await.unwrap();
        check_token(&mut second).await;
    }
}

#[tokio::test]
async fn items_whose_statement_is_not_kept_go_in_too() {
    let mut connection = connect_as(|config| config.statement_cache_capacity(0)).await;
    connection
        .batch_execute("create temp table t (id int4)")
        .await
        .unwrap();
    let many = connection.execute_many("insert into t values ($1)", (0..10).map(|id| (id,)));
    assert_eq!(many.await.unwrap(), 10);
    let wrong = connection
        .execute_many("insert into t values ($1)", [("no number",)])
        .await
        .unwrap_err();
    assert_eq!(wrong.index(), Some(0));
    assert_ne!(wrong.error().kind(), ErrorKind::Usage);
}
