//! What one connection of a pool learns, the others know: statements, and types.

#![cfg(feature = "derive")]

mod live;
mod pool_support;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kornak::{
    Connection, Date, Decode, Encode, ErrorKind, FromRow, Numeric, Params, RawJson, Row, SqlState,
};
use live::check_token;
use pool_support::Tested;
use pool_support::sharing::{COLD, Mood, Shared, check_learnt};

/// The only column of the only row: a composite, which is no row of its own.
async fn value<T: for<'r> Decode<'r>>(
    connection: &mut Connection,
    sql: &str,
    params: impl Params,
) -> kornak::Result<T> {
    Ok(connection.fetch_one::<(T,)>(sql, params).await?.0)
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Pair {
    a: i32,
    b: String,
}

const TYPES: &str = "create type mood as enum ('glum', 'gay'); \
                     create type pair as (a int, b text); \
                     create domain count as int8; \
                     create table t (id int, n numeric, d date, m mood, p pair, ms mood[])";

#[tokio::test]
async fn a_fresh_connection_runs_a_known_statement_in_one_round_trip() {
    let shared = Shared::new(TYPES);
    let sql = "select $1::numeric, $2::date, $3::mood, $4::pair, $5::text, $6::int4, $3 = any($7)";
    let pair = Pair {
        a: 1,
        b: "one".into(),
    };
    let values = (
        "1.50".parse::<Numeric>().unwrap(),
        Date::new(2024, 2, 29).unwrap(),
        Mood::Gay,
        pair.clone(),
        "text",
        7,
        vec![Mood::Gay],
    );
    let mut all = Vec::new();
    for number in 0..3 {
        let (mut connection, link) = shared.fresh().await;
        let sent = link.sent_from_now();
        let row: (Numeric, Date, Mood, Pair, String, i32, bool) =
            connection.fetch_one(sql, values.clone()).await.unwrap();
        assert_eq!(row.2, Mood::Gay);
        assert_eq!((&row.3, row.5, row.6), (&pair, 7, true));
        check_learnt(number, &sent, &COLD);
        // It is prepared then, as any other.
        let sent = link.sent_from_now();
        let _: Row = connection.fetch_one(sql, values.clone()).await.unwrap();
        assert_eq!(sent.flights(), [["Bind", "Execute", "Sync"]]);
        check_token(&mut connection).await;
        all.push(connection);
    }
}

#[tokio::test]
async fn a_fresh_connection_streams_a_known_statement_in_one_round_trip() {
    let shared = Shared::new(TYPES);
    let sql = "select a, $1::mood from generate_series(1, 1000) a where a <> $2::numeric";
    let mut all = Vec::new();
    for number in 0..3 {
        let (mut connection, link) = shared.fresh().await;
        let sent = link.sent_from_now();
        let params = (Mood::Gay, Numeric::from(1));
        let mut rows = connection.fetch::<(i32, Mood)>(sql, params).await.unwrap();
        for expected in 2..=1000 {
            assert_eq!(rows.next().await.unwrap(), Some((expected, Mood::Gay)));
        }
        assert_eq!(rows.next().await.unwrap(), None);
        drop(rows);
        check_learnt(number, &sent, &COLD);
        check_token(&mut connection).await;
        all.push(connection);
    }
}

#[tokio::test]
async fn what_a_transaction_learns_is_shared_when_it_is_committed() {
    let shared = Shared::new(TYPES);
    let sql = "select count(*) from t where m = $1 and n = $2";
    let values = || (Mood::Gay, Numeric::from(7));
    let (mut first, _) = shared.fresh().await;
    let (mut second, link) = shared.fresh().await;
    let mut transaction = first.begin().await.unwrap();
    let _: i64 = transaction.fetch_one(sql, values()).await.unwrap();
    let sent = link.sent_from_now();
    let mut other = second.begin().await.unwrap();
    let _: i64 = other.fetch_one(sql, values()).await.unwrap();
    assert_eq!(sent.flights().len(), 3, "it is not committed yet");
    other.rollback().await.unwrap();
    transaction.commit().await.unwrap();
    let (mut third, link) = shared.fresh().await;
    let sent = link.sent_from_now();
    let mut transaction = third.begin().await.unwrap();
    let _: i64 = transaction.fetch_one(sql, values()).await.unwrap();
    let begin = ["Parse", "Bind", "Execute"];
    assert_eq!(sent.flights(), [[&begin[..], &COLD[..]].concat()]);
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn the_pool_outlives_its_connections_and_so_does_what_it_knows_of_built_in_types() {
    let shared = Shared::new("");
    let sql = "select $1::date";
    let day = Date::new(2024, 2, 29).unwrap();
    let _: Date = shared.tested.pool.fetch_one(sql, (day,)).await.unwrap();
    shared.tested.pool.expire_all();
    shared.tested.at_rest().await;
    assert_eq!(shared.tested.pool.status().size, 0);
    let (mut connection, link) = shared.fresh().await;
    let sent = link.sent_from_now();
    let same: Date = connection.fetch_one(sql, (day,)).await.unwrap();
    assert_eq!(same, day);
    assert_eq!(sent.flights(), [COLD]);
}

/// What is read of a row of any columns.
fn shown(row: &Row) -> Vec<String> {
    let columns = row.columns().iter().enumerate();
    columns
        .map(|(index, column)| {
            let bytes = row.raw(index).unwrap().unwrap();
            format!("{} {bytes:?}", column.ty())
        })
        .collect()
}

/// A pool of which every second session sees another schema.
fn two_paths(one: &str, other: &str) -> (Shared, Tested) {
    let mut shared = Shared::new(one);
    let second = format!("{}_other", shared.schema);
    shared.alter(&format!(
        "create schema {second}; set search_path = {second}; {other}"
    ));
    let count = Arc::new(AtomicU64::new(0));
    let paths = [shared.schema.clone(), second];
    let tested = Tested::over(shared.proxy.address(), 4, |builder| {
        builder.after_connect(move |connection| {
            let number = count.fetch_add(1, Ordering::Relaxed) as usize;
            let path = format!("set search_path = {}", paths[number % 2]);
            Box::pin(async move { Ok(connection.batch_execute(&path).await?) })
        })
    });
    (shared, tested)
}

/// What the session of this number sees; they are opened one after the other. To ask it would
/// count as having changed it.
fn path_of(shared: &Shared, number: usize) -> String {
    let suffix = if number % 2 == 0 { "" } else { "_other" };
    format!("{}{suffix}", shared.schema)
}

fn drop_other(shared: &mut Shared) {
    let sql = format!("drop schema {}_other cascade", shared.schema);
    shared.alter(&sql);
}

#[tokio::test]
async fn r42_a_description_of_another_search_path_never_decodes_wrongly() {
    // The same text, and other types: of the parameter, of the result, of both.
    let mood = "create type mood as enum ('glum', 'gay')";
    let cases = [
        // The value goes as a parameter of the other type.
        (
            "create table t (x numeric, y int4); insert into t values (7, 1)",
            "create table t (x numeric, y float4); insert into t values (7, 1)",
        ),
        (
            "create table t (x numeric, y int4); insert into t values (7, 1)",
            "create table t (x int8, y text); insert into t values (7, 'one')",
        ),
        // A type without a binary form, and one of its own.
        (
            "create table t (x numeric, y int4); insert into t values (7, 1)",
            "create table t (x numeric, y aclitem); \
             insert into t values (7, 'postgres=r/postgres')",
        ),
        (
            "create table t (x numeric, y int4); insert into t values (7, 1)",
            &*format!(
                "{mood}; create table t (x numeric, y mood); insert into t values (7, 'gay')"
            ),
        ),
        // Other columns.
        (
            "create table t (x numeric, y int4); insert into t values (7, 1)",
            "create table t (x numeric, z date, y int4); \
             insert into t values (7, '2024-02-29', 2)",
        ),
    ];
    for (one, other) in cases {
        for swapped in [false, true] {
            let (first, second) = if swapped { (other, one) } else { (one, other) };
            let (mut shared, tested) = two_paths(first, second);
            let sql = "select * from t where x = $1";
            let mut all = Vec::new();
            for number in 0..4 {
                let mut connection = tested.acquire().await;
                let mut lone = live::connect().await;
                let path = path_of(&shared, number);
                lone.batch_execute(&format!("set search_path = {path}"))
                    .await
                    .unwrap();
                // Text fits each type.
                let expected = lone.fetch_all::<Row>(sql, ("7",)).await.unwrap();
                let expected: Vec<_> = expected.iter().map(shown).collect();
                let value = || (Numeric::from(7),);
                let read = connection.fetch_all::<Row>(sql, value()).await;
                let streamed = async {
                    let other = "select * from t where $1 = x";
                    let mut rows = connection.fetch::<Row>(other, value()).await?;
                    let mut all = Vec::new();
                    while let Some(row) = rows.next().await? {
                        all.push(row);
                    }
                    Ok(all)
                };
                for found in [read, streamed.await] {
                    let what = format!("{first} / {second}, connection {number}");
                    match found {
                        Ok(found) => {
                            let found: Vec<_> = found.iter().map(shown).collect();
                            assert_eq!(found, expected, "{what}");
                        }
                        Err(found) => {
                            assert_eq!(found.kind(), ErrorKind::Encode, "{what}: {found}");
                            assert!(what.contains("int8"), "{what}: {found}");
                        }
                    }
                }
                check_token(&mut connection).await;
                all.push(connection);
            }
            drop(all);
            drop_other(&mut shared);
        }
    }
}

#[tokio::test]
async fn r46_types_of_the_same_name_in_two_schemas() {
    let mood = "create type mood as enum ('glum', 'gay'); create table t (m mood); \
                insert into t values ('gay')";
    let (mut shared, tested) = two_paths(mood, mood);
    let sql = "select m from t where m = $1";
    let mut all = Vec::new();
    for number in 0..4 {
        let mut connection = tested.acquire().await;
        let path = path_of(&shared, number);
        let row: Row = connection.fetch_one(sql, (Mood::Gay,)).await.unwrap();
        for column in row.columns().iter() {
            assert_eq!(column.ty().to_string(), format!("{path}.mood"));
        }
        assert_eq!(row.get::<Mood>(0).unwrap(), Mood::Gay);
        all.push(connection);
    }
    // In a transaction, the one that was learnt elsewhere may be refused, and fails it; the
    // next attempt has the right one.
    let sql = "select count(*) from t where m = $1 or m = $1";
    let mut refused = 0;
    for connection in &mut all {
        for attempt in 0.. {
            let mut transaction = connection.begin().await.unwrap();
            match transaction.fetch_one::<i64>(sql, (Mood::Gay,)).await {
                Ok(count) => {
                    assert_eq!(count, 1);
                    transaction.commit().await.unwrap();
                    break;
                }
                Err(error) => {
                    assert_eq!(
                        error.sqlstate(),
                        Some(SqlState::UNDEFINED_FUNCTION),
                        "{error}"
                    );
                    assert_eq!(attempt, 0);
                    refused += 1;
                }
            }
        }
        check_token(connection).await;
    }
    assert!(refused > 0);
    drop(all);
    drop_other(&mut shared);
}

#[tokio::test]
async fn r41_a_description_of_before_an_alteration_never_decodes_wrongly() {
    let mut shared = Shared::new(TYPES);
    let insert = "insert into t (id, n, m) values ($1, $2, $3) returning *";
    let select = "select n, m, ms from t where n = $1";
    let mut all = Vec::new();
    let alterations = [
        "",
        "alter table t alter n type text",
        "alter table t drop column ms; alter table t add column ms date",
        "alter table t drop column m; drop type mood cascade; \
         create type mood as enum ('gay', 'glum'); alter table t add column m mood",
    ];
    for alteration in alterations {
        if !alteration.is_empty() {
            shared.alter(alteration);
        }
        let (mut connection, _) = shared.fresh().await;
        let mut lone = live::connect().await;
        lone.batch_execute(&format!("set search_path = {}", shared.schema))
            .await
            .unwrap();
        let row: Row = connection
            .fetch_one(insert, (1, "7", Mood::Gay))
            .await
            .unwrap();
        assert_eq!(row.get::<Mood>("m").unwrap(), Mood::Gay, "{alteration}");
        let rows: Vec<Row> = connection.fetch_all(select, ("7",)).await.unwrap();
        let expected: Vec<Row> = lone.fetch_all(select, ("7",)).await.unwrap();
        assert!(!rows.is_empty());
        let shape = |row: &Row| {
            let types = row.columns().iter().map(|column| column.ty().to_string());
            types.collect::<Vec<_>>()
        };
        assert_eq!(shape(&rows[0]), shape(&expected[0]), "{alteration}");
        check_token(&mut connection).await;
        all.push(connection);
    }
}

#[tokio::test]
async fn r46_labels_fields_and_domains_are_renewed_in_the_whole_pool() {
    #[derive(Debug, PartialEq, Encode, Decode)]
    #[kornak(name = "pair")]
    struct Triple {
        a: i32,
        b: String,
        c: Option<Date>,
    }
    // By a connection of the pool, alone and in a transaction, and by somebody else.
    for by in ["alone", "transaction", "elsewhere"] {
        let mut shared = Shared::new(TYPES);
        let (mut first, _) = shared.fresh().await;
        let (mut second, _) = shared.fresh().await;
        let (mut third, _) = shared.fresh().await;
        let pair = || Pair {
            a: 1,
            b: "one".into(),
        };
        let (labels, pairs) = ("select $1::mood", "select $1::pair");
        for connection in [&mut first, &mut second, &mut third] {
            let mood: Mood = connection.fetch_one(labels, (Mood::Gay,)).await.unwrap();
            assert_eq!(mood, Mood::Gay);
            let same: Pair = value(connection, pairs, (pair(),)).await.unwrap();
            assert_eq!(same, pair());
        }
        let alterations = [
            "alter type mood add value 'elated'",
            "alter type pair add attribute c date",
        ];
        match by {
            "alone" => {
                for sql in alterations {
                    first.execute(sql, ()).await.unwrap();
                }
            }
            "transaction" => {
                let mut transaction = first.begin().await.unwrap();
                for sql in alterations {
                    transaction.execute(sql, ()).await.unwrap();
                }
                // It sees them already.
                let triple: Triple = value(&mut transaction, "select (1, 'one', null)::pair", ())
                    .await
                    .unwrap();
                assert_eq!(triple.c, None);
                // Nobody else does.
                let same: Pair = value(&mut second, "select (1, 'one')::pair", ())
                    .await
                    .unwrap();
                assert_eq!(same, pair());
                transaction.commit().await.unwrap();
            }
            _ => alterations.iter().for_each(|sql| shared.alter(sql)),
        }
        for (number, connection) in [&mut first, &mut second, &mut third]
            .into_iter()
            .enumerate()
        {
            let what = format!("{by}, connection {number}");
            let mood: Mood = connection.fetch_one(labels, (Mood::Elated,)).await.unwrap();
            assert_eq!(mood, Mood::Elated);
            let ty = connection.fetch_one::<Row>(labels, ("gay",)).await.unwrap();
            if by != "elsewhere" {
                let kind = format!("{:?}", ty.columns()[0].ty().kind());
                assert!(kind.contains("elated"), "{what}: {kind}");
            }
            let triple = || Triple {
                a: 1,
                b: "one".into(),
                c: Some(Date::new(2024, 2, 29).unwrap()),
            };
            // Nothing tells the driver what somebody else has altered, before a value doesn't
            // fit; what can't be sent is looked up anew.
            let same: Triple = value(connection, pairs, (triple(),))
                .await
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(same, triple());
            check_token(connection).await;
        }
        // What is read tells it, too: after an error, the next one is right.
        shared.alter("alter type pair drop attribute c");
        let mut errors = 0;
        for connection in [&mut first, &mut second, &mut third] {
            let sql = "select (1, 'one')::pair";
            for attempt in 0.. {
                match value::<Pair>(connection, sql, ()).await {
                    Ok(read) => {
                        assert_eq!(read, pair());
                        break;
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
                        assert_eq!(attempt, 0, "{error}");
                        errors += 1;
                    }
                }
            }
            check_token(connection).await;
        }
        assert!(errors <= 3);
    }
}

#[derive(Debug, PartialEq, Decode)]
#[kornak(name = "point2")]
struct Point {
    x: i32,
    y: i32,
}

#[derive(Debug, PartialEq, FromRow)]
struct Place {
    p: Point,
}

#[tokio::test]
async fn r46_fields_that_swap_their_names_are_read_by_the_new_ones() {
    let setup = "create type point2 as (x int, y int); create table t (p point2); \
                 insert into t values ((1, 2))";
    let shared = Shared::new(setup);
    let (mut first, _) = shared.fresh().await;
    let (mut second, _) = shared.fresh().await;
    let sql = "select p from t";
    for connection in [&mut first, &mut second] {
        let place: Place = connection.fetch_one(sql, ()).await.unwrap();
        assert_eq!(place.p, Point { x: 1, y: 2 });
    }
    // The values are, byte for byte, what they were.
    first
        .batch_execute(
            "alter type point2 rename attribute x to z; \
             alter type point2 rename attribute y to x; \
             alter type point2 rename attribute z to y",
        )
        .await
        .unwrap();
    for connection in [&mut first, &mut second] {
        let place: Place = connection.fetch_one(sql, ()).await.unwrap();
        assert_eq!(place.p, Point { x: 2, y: 1 });
        check_token(connection).await;
    }
}

#[tokio::test]
async fn r46_types_and_extensions_that_are_dropped_and_made_again() {
    let mut shared = Shared::new(TYPES);
    let setup = format!(
        "create extension if not exists citext schema {}",
        shared.schema
    );
    // Another test of another run may have made it elsewhere.
    shared.alter("drop extension if exists citext cascade");
    shared.alter(&setup);
    let (mut first, _) = shared.fresh().await;
    let (mut second, _) = shared.fresh().await;
    let run = async |connection: &mut Connection| {
        let mood: Mood = connection
            .fetch_one("select $1::mood", (Mood::Gay,))
            .await?;
        let pair: Pair = value(connection, "select (1, 'one')::pair", ()).await?;
        let counts: Vec<i64> = connection.fetch_one("select array[7::count]", ()).await?;
        let text: String = connection.fetch_one("select 'Text'::citext", ()).await?;
        assert_eq!(
            (mood, pair.a, counts, &*text),
            (Mood::Gay, 1, vec![7], "Text")
        );
        Ok::<(), kornak::Error>(())
    };
    for round in 0..3 {
        for connection in [&mut first, &mut second] {
            // A statement that the server can't bind any more is an error once at most; it is
            // prepared anew.
            let mut errors = 0;
            while let Err(error) = run(connection).await {
                assert!(round > 0, "{error}");
                errors += 1;
                assert!(errors <= 1, "{error}");
            }
            check_token(connection).await;
        }
        shared.alter(
            "drop type mood, pair, count cascade; drop extension citext cascade; \
             create domain count as int8; create type pair as (a int, b text); \
             create type mood as enum ('gay', 'glum')",
        );
        shared.alter(&setup);
    }
    shared.alter("drop extension citext cascade");
}

#[tokio::test]
async fn r46_a_type_whose_creation_is_rolled_back() {
    let shared = Shared::new("");
    let (mut first, _) = shared.fresh().await;
    let (mut second, _) = shared.fresh().await;
    for labels in ["'glum', 'gay'", "'gay', 'glum', 'elated'"] {
        let mut transaction = first.begin().await.unwrap();
        let create = format!("create type mood as enum ({labels})");
        transaction.execute(&create, ()).await.unwrap();
        let mood: Mood = transaction
            .fetch_one("select $1::mood", (Mood::Gay,))
            .await
            .unwrap();
        assert_eq!(mood, Mood::Gay);
        transaction.rollback().await.unwrap();
        for connection in [&mut first, &mut second] {
            let error = connection
                .fetch_one::<Mood>("select $1::mood", (Mood::Gay,))
                .await
                .unwrap_err();
            assert_eq!(
                error.sqlstate(),
                Some(SqlState::UNDEFINED_OBJECT),
                "{error}"
            );
        }
    }
    // An alteration that is rolled back, and one whose savepoint is.
    first
        .execute("create type pair as (a int, b text)", ())
        .await
        .unwrap();
    let sql = "select p from (values ((1, 'one')::pair)) v(p)";
    let mut transaction = first.begin().await.unwrap();
    let mut savepoint = transaction.begin().await.unwrap();
    savepoint
        .execute("alter type pair rename attribute b to c", ())
        .await
        .unwrap();
    assert!(value::<Pair>(&mut savepoint, sql, ()).await.is_err());
    savepoint.rollback().await.unwrap();
    let pair: Pair = value(&mut transaction, sql, ()).await.unwrap();
    assert_eq!(pair.b, "one");
    transaction
        .execute("alter type pair rename attribute b to c", ())
        .await
        .unwrap();
    assert!(value::<Pair>(&mut transaction, sql, ()).await.is_err());
    transaction.rollback().await.unwrap();
    for connection in [&mut first, &mut second] {
        let pair: Pair = value(connection, sql, ()).await.unwrap();
        assert_eq!(pair.b, "one");
        check_token(connection).await;
    }
}

/// What others alter and nothing tells of: the type that a parameter is cast to.
#[tokio::test]
async fn a_statement_is_described_anew_after_so_many_connections() {
    let mut shared = Shared::new("create table j (a json)");
    let sql = format!(
        "insert into {}.j values ($1) returning pg_typeof($1)::text",
        shared.schema
    );
    // Each connection is lent once.
    let tested = Tested::of(1, |builder| builder.max_uses(Some(1)));
    let taken_for = async || -> String {
        let json = (RawJson("{}"),);
        tested.pool.fetch_one(&sql, json).await.unwrap()
    };
    assert_eq!(taken_for().await, "json");
    shared.alter("alter table j alter a type jsonb");
    let mut uses = 0;
    while taken_for().await == "json" {
        uses += 1;
        assert!(uses <= 256, "it is used for ever");
    }
    assert!(uses > 100, "it is described anew all the time");
}
