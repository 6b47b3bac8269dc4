//! Prepared statements against a real server: what is cached, what is closed, and what
//! becomes of a statement when the schema changes under it.

mod live;
mod support;

use live::{check_token, connect, connect_as};

#[tokio::test]
async fn a_statement_with_an_unknown_type_is_kept_when_its_type_is_looked_up() {
    let mut connection = connect().await;
    connection
        .execute_script("create type pg_temp.mood as enum ('glum', 'gay')")
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
        .execute_script("create type pg_temp.mood as enum ('glum', 'gay')")
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
            assert_eq!(connection.fetch_one::<i32>(&sql, (1,)).await.unwrap(), i + 1);
            let sql = format!("select $1 - {i}::numeric");
            let cold = connection.describe(&sql).await;
            assert_eq!(cold.unwrap().columns().len(), 1);
            let held = connection.fetch_one::<i64>(COUNT_PREPARED, ()).await.unwrap();
            assert!(held <= cap as i64, "{held} statements with a cap of {cap}");
            assert!(connection.cached_statements() <= cap);
        }
    }
}
