//! Prepared statements against a real server: what is cached, what is closed, and what
//! becomes of a statement when the schema changes under it.

mod live;
mod support;

use kornak::{Connection, Date, ErrorKind, Numeric, Params, PipelineError, Row, SqlState};
use live::{check_token, connect, connect_as, poll_once};
use support::raw::RawClient;

#[tokio::test]
async fn a_statement_with_an_unknown_type_is_kept_when_its_type_is_looked_up() {
    let mut connection = connect().await;
    connection
        .batch_execute("create type pg_temp.mood as enum ('glum', 'gay')")
        .await
        .unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let sql = "select 'gay'::pg_temp.mood";
    for _ in 0..2 {
        let row = transaction.fetch_one::<kornak::Row>(sql, ()).await.unwrap();
        assert_eq!(row.raw(0).unwrap(), Some(&b"gay"[..]));
    }
    transaction.commit().await.unwrap();
    check_token(&mut connection).await;
}

#[tokio::test]
async fn the_look_up_of_a_type_leaves_the_unnamed_statement_alone() {
    let mut connection = connect_as(|config| config.statement_cache_capacity(0)).await;
    connection
        .batch_execute("create type pg_temp.mood as enum ('glum', 'gay')")
        .await
        .unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let sql = "select 'gay'::pg_temp.mood";
    let row = transaction.fetch_one::<kornak::Row>(sql, ()).await.unwrap();
    assert_eq!(row.raw(0).unwrap(), Some(&b"gay"[..]));
    transaction.commit().await.unwrap();
    check_token(&mut connection).await;
}

/// How many statements this session has prepared, the question itself among them.
const COUNT_PREPARED: &str = "select count(*) from pg_prepared_statements";

#[tokio::test]
async fn r43_the_server_never_holds_more_statements_than_the_cap() {
    for cap in [1, 2, 7] {
        let mut connection = connect_as(|config| config.statement_cache_capacity(cap)).await;
        for i in 0..40 {
            // Declared parameters go cold in one round trip, described ones in two.
            let sql = format!("select {i} + $1");
            assert_eq!(
                connection.fetch_one::<i32>(&sql, (1,)).await.unwrap(),
                i + 1
            );
            let sql = format!("select $1 - {i}::numeric");
            let cold = connection.describe(&sql).await;
            assert_eq!(cold.unwrap().columns().len(), 1);
            let held = connection
                .fetch_one::<i64>(COUNT_PREPARED, ())
                .await
                .unwrap();
            assert!(held <= cap as i64, "{held} statements with a cap of {cap}");
            assert!(connection.cached_statements() <= cap);
        }
    }
}

#[tokio::test]
async fn r43_dropped_futures_leave_no_statement_behind() {
    let mut connection = connect_as(|config| config.statement_cache_capacity(4)).await;
    for i in 0..50 {
        let sql = format!("select {i} + $1");
        let mut asking = Box::pin(connection.fetch_one::<i32>(&sql, (1,)));
        assert!(poll_once(&mut asking).is_pending());
        drop(asking);
        let held = connection
            .fetch_one::<i64>(COUNT_PREPARED, ())
            .await
            .unwrap();
        assert!(held <= 4, "{held} statements");
    }
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r43_without_a_cache_nothing_stays_prepared() {
    let mut connection = connect_as(|config| config.statement_cache_capacity(0)).await;
    for i in 0..10 {
        let sql = format!("select {i} + $1");
        for _ in 0..2 {
            assert_eq!(
                connection.fetch_one::<i32>(&sql, (1,)).await.unwrap(),
                i + 1
            );
        }
        // Described parameters: two round trips.
        let sql = "select $1::date";
        let day = Date::new(2024, 2, 29).unwrap();
        assert_eq!(
            connection.fetch_one::<Date>(sql, (day,)).await.unwrap(),
            day
        );
        let mut rows = connection
            .fetch::<i32>("select generate_series(1, $1)", (100,))
            .await
            .unwrap();
        let mut count = 0;
        while rows.next().await.unwrap().is_some() {
            count += 1;
        }
        assert_eq!(count, 100);
        let held = connection
            .fetch_one::<i64>(
                "select count(*) from pg_prepared_statements where name <> ''",
                (),
            )
            .await
            .unwrap();
        assert_eq!(held, 0);
        assert_eq!(connection.cached_statements(), 0);
    }
}

#[tokio::test]
async fn r30_r43_ten_thousand_texts_stay_within_the_cap() {
    let mut connection = connect_as(|config| config.statement_cache_capacity(16)).await;
    for i in 0..10_000 {
        let sql = format!("select {i}");
        assert_eq!(connection.fetch_one::<i32>(&sql, ()).await.unwrap(), i);
        if i % 500 == 0 {
            let held = connection
                .fetch_one::<i64>(COUNT_PREPARED, ())
                .await
                .unwrap();
            assert!(held <= 16, "{held} statements");
        }
        assert!(connection.cached_statements() <= 16);
    }
    check_token(&mut connection).await;
}

/// What takes a prepared statement away, or changes what it returns. `%t` is the table.
const CHANGES: &[(&str, By)] = &[
    ("alter table %t alter column a type text", By::Both),
    ("alter table %t add column c int8 default 7", By::Both),
    (
        "drop table %t; create table %t (b text, a text); insert into %t values ('two', '1')",
        By::Both,
    ),
    (
        "alter table %t drop column a; alter table %t add column a text default '1'",
        By::Both,
    ),
    (
        "alter table %t rename column a to z; alter table %t add column a text default '1'",
        By::Both,
    ),
    ("discard all", By::ThisSession),
    ("deallocate all", By::ThisSession),
    ("discard plans", By::ThisSession),
];

#[derive(Clone, Copy, PartialEq)]
enum By {
    ThisSession,
    Both,
}

/// Each way to read the rows of a statement.
#[derive(Clone, Copy, Debug)]
enum Verb {
    One,
    Optional,
    All,
    ForEach,
    Stream,
    Execute,
}

const VERBS: [Verb; 6] = [
    Verb::One,
    Verb::Optional,
    Verb::All,
    Verb::ForEach,
    Verb::Stream,
    Verb::Execute,
];

impl Verb {
    /// The rows as name and text of each column; `execute` has none.
    async fn run(self, connection: &mut Connection, sql: &str) -> kornak::Result<Vec<String>> {
        let rows = match self {
            Self::One => vec![connection.fetch_one::<Row>(sql, ()).await?],
            Self::Optional => connection
                .fetch_optional::<Row>(sql, ())
                .await?
                .into_iter()
                .collect(),
            Self::All => connection.fetch_all::<Row>(sql, ()).await?,
            Self::ForEach => {
                let mut rows = Vec::new();
                connection
                    .for_each(sql, (), |row| row.to_row().map(|row| rows.push(row)))
                    .await?;
                rows
            }
            Self::Stream => {
                let mut stream = connection.fetch::<Row>(sql, ()).await?;
                let mut rows = Vec::new();
                while let Some(row) = stream.next().await? {
                    rows.push(row);
                }
                rows
            }
            Self::Execute => {
                assert_eq!(connection.execute(sql, ()).await?, 1);
                Vec::new()
            }
        };
        Ok(rows.iter().map(shown).collect())
    }
}

/// A row by the types that the driver says its columns have.
fn shown(row: &Row) -> String {
    let columns = row.columns().iter().enumerate().map(|(index, column)| {
        let value = match column.ty().name() {
            "int4" => row.get::<i32>(index).unwrap().to_string(),
            "int8" => row.get::<i64>(index).unwrap().to_string(),
            "text" => row.get::<String>(index).unwrap(),
            other => panic!("a column of type {other}"),
        };
        format!("{}={value}", column.name())
    });
    columns.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn r41_a_statement_is_prepared_again_when_the_schema_changes() {
    for (index, (change, by)) in CHANGES.iter().enumerate() {
        for verb in VERBS {
            for other in [false, true] {
                if other && *by == By::ThisSession {
                    continue;
                }
                let table = format!("r41_{index}_{verb:?}_{other}").to_lowercase();
                let change = change.replace("%t", &table);
                let case = format!("{change} by another session: {other}; {verb:?}");
                let mut connection = connect().await;
                let mut observer = RawClient::of_tests();
                observer.execute(&format!(
                    "drop table if exists {table}; create table {table} (a int4, b text);
                     insert into {table} values (1, 'two')"
                ));
                let sql = format!("select * from {table}");
                for _ in 0..2 {
                    verb.run(&mut connection, &sql).await.unwrap();
                }
                if other {
                    observer.execute(&change);
                } else {
                    connection.batch_execute(&change).await.unwrap();
                }
                let mut fresh = connect().await;
                let expected = verb.run(&mut fresh, &sql).await.unwrap();
                for _ in 0..2 {
                    match verb.run(&mut connection, &sql).await {
                        Ok(rows) => assert_eq!(rows, expected, "{case}"),
                        Err(error) => panic!("{case}: {error}"),
                    }
                }
                check_token(&mut connection).await;
                observer.execute(&format!("drop table {table}"));
            }
        }
    }
}

#[tokio::test]
async fn r41_within_a_transaction_it_is_an_error_and_the_next_one_works() {
    for (index, (change, _)) in CHANGES.iter().enumerate() {
        // Nothing but DDL can be run within a transaction.
        if change.starts_with("discard") {
            continue;
        }
        for verb in VERBS {
            let table = format!("r41_in_{index}_{verb:?}").to_lowercase();
            let change = change.replace("%t", &table);
            let case = format!("{change}; {verb:?}");
            let mut connection = connect().await;
            let mut observer = RawClient::of_tests();
            observer.execute(&format!(
                "drop table if exists {table}; create table {table} (a int4, b text);
                 insert into {table} values (1, 'two')"
            ));
            let sql = format!("select * from {table}");
            verb.run(&mut connection, &sql).await.unwrap();
            let mut transaction = connection.begin().await.unwrap();
            transaction.batch_execute(&change).await.unwrap();
            let error = verb.run(&mut transaction, &sql).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Server, "{case}: {error}");
            let state = error.sqlstate().unwrap();
            assert!(
                [
                    SqlState::INVALID_SQL_STATEMENT_NAME,
                    SqlState::FEATURE_NOT_SUPPORTED
                ]
                .contains(&state),
                "{case}: {error}"
            );
            let error = transaction.commit().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::RolledBack, "{case}");
            verb.run(&mut connection, &sql).await.unwrap();
            // Committed, it is another matter.
            let mut transaction = connection.begin().await.unwrap();
            transaction.batch_execute(&change).await.unwrap();
            transaction.commit().await.unwrap();
            verb.run(&mut connection, &sql).await.unwrap();
            check_token(&mut connection).await;
            observer.execute(&format!("drop table {table}"));
        }
    }
}

#[tokio::test]
async fn r41_an_inferred_parameter_follows_its_column() {
    let mut connection = connect().await;
    connection
        .batch_execute("create temp table r41 (key uuid, n int4); insert into r41 values (gen_random_uuid(), 1)")
        .await
        .unwrap();
    // Text goes as what the server infers: a uuid at first.
    let sql = "select n from r41 where key = $1";
    let key: String = connection
        .fetch_one("select key::text from r41", ())
        .await
        .unwrap();
    for _ in 0..2 {
        assert_eq!(
            connection
                .fetch_one::<i32>(sql, (key.as_str(),))
                .await
                .unwrap(),
            1
        );
    }
    connection
        .batch_execute("alter table r41 alter column key type text")
        .await
        .unwrap();
    // It is refused once: this error says nothing that would make it safe to run it again.
    let error = connection
        .fetch_one::<i32>(sql, (key.as_str(),))
        .await
        .unwrap_err();
    assert_eq!(
        error.sqlstate(),
        Some(SqlState::UNDEFINED_FUNCTION),
        "{error}"
    );
    for _ in 0..2 {
        assert_eq!(
            connection
                .fetch_one::<i32>(sql, (key.as_str(),))
                .await
                .unwrap(),
            1
        );
    }
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r41_a_value_that_no_longer_fits_has_the_statement_described_anew() {
    let mut connection = connect().await;
    let sql = "insert into misfit values ($1) returning 1";
    for verb in ["execute", "fetch", "portal", "many"] {
        for in_transaction in [false, true] {
            connection
                .batch_execute("create temp table misfit (x numeric)")
                .await
                .unwrap();
            if in_transaction || verb == "portal" {
                connection.batch_execute("begin").await.unwrap();
            }
            let number = Numeric::from(7);
            insert(&mut connection, verb, sql, (number.clone(),))
                .await
                .unwrap();
            connection
                .batch_execute("drop table misfit; create temp table misfit (x date)")
                .await
                .unwrap();
            let day = Date::new(2024, 2, 29).unwrap();
            insert(&mut connection, verb, sql, (day,)).await.unwrap();
            // What doesn't fit the table as it is now is an error, of this side and known
            // before anything was sent.
            let error = insert(&mut connection, verb, sql, (number,))
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Encode, "{verb}: {error}");
            let found: Vec<Date> = connection
                .fetch_all("select x from misfit", ())
                .await
                .unwrap();
            assert_eq!(found, [day], "{verb}, {in_transaction}");
            if in_transaction || verb == "portal" {
                connection.batch_execute("commit").await.unwrap();
            }
            connection.batch_execute("drop table misfit").await.unwrap();
            check_token(&mut connection).await;
        }
    }
}

async fn insert(
    connection: &mut Connection,
    verb: &str,
    sql: &str,
    params: impl Params + Clone + Send + Sync,
) -> kornak::Result<()> {
    match verb {
        "execute" => drop(connection.execute(sql, params).await?),
        "fetch" => {
            let mut rows = connection.fetch::<i32>(sql, params).await?;
            while rows.next().await?.is_some() {}
        }
        "portal" => {
            let mut portal = connection.portal::<i32>(sql, params).await?;
            portal.fetch_rest(connection).await?;
        }
        _ => {
            let many = connection.execute_many(sql, [params]).await;
            many.map_err(PipelineError::into_error)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn r42_another_search_path_or_role_means_another_table() {
    let mut connection = connect().await;
    connection
        .batch_execute(
            "drop schema if exists r42_one cascade; drop schema if exists r42_two cascade;
             drop schema if exists r42_three cascade; drop role if exists r42_two;
             create schema r42_one; create schema r42_two; create schema r42_three;
             create table r42_one.t (a int4, b text);   insert into r42_one.t values (1, 'one');
             create table r42_two.t (b text, a int8);   insert into r42_two.t values ('two', 2);
             create table r42_three.t (a int4, b text); insert into r42_three.t values (3, 'three');
             create role r42_two; grant usage on schema r42_one, r42_two to r42_two;
             grant select on r42_one.t, r42_two.t to r42_two",
        )
        .await
        .unwrap();
    let moves = [
        ("set search_path to r42_one", "a=1 b=one"),
        ("set search_path to r42_two", "b=two a=2"),
        ("set search_path to r42_three", "a=3 b=three"),
        ("set search_path to r42_one", "a=1 b=one"),
        // The same, by the role's own schema.
        ("set search_path to \"$user\", r42_one", "a=1 b=one"),
        ("set role r42_two", "b=two a=2"),
        ("reset role", "a=1 b=one"),
        ("set session authorization r42_two", "b=two a=2"),
        ("reset session authorization", "a=1 b=one"),
    ];
    for verb in VERBS {
        for (change, expected) in moves {
            connection.execute(change, ()).await.unwrap();
            for _ in 0..2 {
                let rows = verb.run(&mut connection, "select * from t").await;
                let rows = rows.unwrap_or_else(|error| panic!("{verb:?}: {change}: {error}"));
                let is_right = matches!(verb, Verb::Execute) || rows == [expected];
                assert!(is_right, "{verb:?}: {change}: {rows:?}");
            }
        }
    }
    // Within a transaction what can't be prepared anew is an error, never another row.
    for verb in VERBS {
        let mut transaction = connection.begin().await.unwrap();
        for (schema, expected) in [("r42_three", Some("a=3 b=three")), ("r42_two", None)] {
            transaction
                .execute(&format!("set local search_path to {schema}"), ())
                .await
                .unwrap();
            match (
                verb.run(&mut transaction, "select * from t").await,
                expected,
            ) {
                (Ok(rows), Some(expected)) => {
                    assert!(
                        matches!(verb, Verb::Execute) || rows == [expected],
                        "{rows:?}"
                    );
                }
                (Err(error), None) => {
                    assert_eq!(
                        error.sqlstate(),
                        Some(SqlState::FEATURE_NOT_SUPPORTED),
                        "{error}"
                    );
                }
                (result, _) => panic!("{verb:?}: {schema}: {result:?}"),
            }
        }
        drop(transaction);
        assert_eq!(
            Verb::All
                .run(&mut connection, "select * from t")
                .await
                .unwrap(),
            ["a=1 b=one"]
        );
    }
    // A text parameter is what each table's column is.
    let sql = "select b from t where a = $1";
    for (schema, key, expected) in [
        ("r42_one", "1", "one"),
        ("r42_two", "2", "two"),
        ("r42_three", "3", "three"),
    ] {
        connection
            .execute(&format!("set search_path to {schema}"), ())
            .await
            .unwrap();
        let found: String = connection.fetch_one(sql, (key,)).await.unwrap();
        assert_eq!(found, expected);
    }
    check_token(&mut connection).await;
    connection
        .batch_execute(
            "drop schema r42_one cascade; drop schema r42_two cascade; drop schema r42_three cascade;
             drop role r42_two",
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn r44_what_leaves_the_cache_in_a_failed_transaction_is_closed() {
    let mut connection = connect_as(|config| config.statement_cache_capacity(3)).await;
    for i in 0..3 {
        connection
            .execute(&format!("select {i}"), ())
            .await
            .unwrap();
    }
    let mut transaction = connection.begin().await.unwrap();
    // The first of them leaves for a statement that fails, and with it the transaction.
    let error = transaction
        .execute("select 1 / $1", (0,))
        .await
        .unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::DIVISION_BY_ZERO));
    // Refused here, without a word to the server.
    let error = transaction.execute("select 4", ()).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::IN_FAILED_SQL_TRANSACTION));
    // A statement that ends it is prepared, for which another one leaves.
    transaction.execute("rollback", ()).await.unwrap();
    drop(transaction);
    let held: Vec<String> = connection
        .fetch_all(
            "select statement from pg_prepared_statements order by prepare_time",
            (),
        )
        .await
        .unwrap();
    assert_eq!(held.len(), 3, "{held:?}");
    assert_eq!(
        held[1..],
        [
            "rollback",
            "select statement from pg_prepared_statements order by prepare_time"
        ]
    );
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r44_eviction_while_a_stream_is_open_loses_no_row() {
    let mut connection = connect_as(|config| config.statement_cache_capacity(1)).await;
    let sql = "select i, repeat('x', 1000) from generate_series(1, 20000) i";
    for _ in 0..2 {
        let mut rows = connection.fetch::<(i32, String)>(sql, ()).await.unwrap();
        for expected in 1..=20_000 {
            let (i, text) = rows.next().await.unwrap().unwrap();
            assert_eq!((i, text.len()), (expected, 1000));
        }
        assert!(rows.next().await.unwrap().is_none());
        connection.execute("select 1", ()).await.unwrap();
    }
    let held = connection
        .fetch_one::<i64>(COUNT_PREPARED, ())
        .await
        .unwrap();
    assert_eq!(held, 1);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r47_descriptions_of_more_than_thirty_kilobytes() {
    let mut connection = connect().await;
    let name = |i: usize| format!("c{i:0>60}");
    let columns = (0..1_600)
        .map(|i| format!("{i} as {}", name(i)))
        .collect::<Vec<_>>();
    let sql = format!("select {}", columns.join(", "));
    assert!(sql.len() > 64 * 1024, "not kept");
    for _ in 0..2 {
        let row: Row = connection.fetch_one(&sql, ()).await.unwrap();
        assert_eq!(row.len(), 1_600);
        for i in 0..1_600 {
            assert_eq!(row.columns()[i].name(), name(i));
            assert_eq!(row.get::<i32>(i).unwrap(), i as i32);
        }
    }
    // A description of 60 kB of a statement that is kept.
    let sql = "select * from r47";
    let columns = (0..700)
        .map(|i| format!("{} int default {i}", name(i)))
        .collect::<Vec<_>>();
    connection
        .batch_execute(&format!(
            "create temp table r47 ({}); insert into r47 default values",
            columns.join(", ")
        ))
        .await
        .unwrap();
    for _ in 0..2 {
        let row: Row = connection.fetch_one(sql, ()).await.unwrap();
        assert_eq!(row.get::<i32>(name(699).as_str()).unwrap(), 699);
    }
    check_token(&mut connection).await;
}
