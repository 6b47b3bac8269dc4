//! R59: text that isn't UTF-8, wherever it may come from.

mod live;
mod support;

use std::sync::{Arc, Mutex};

use kornak::{Connection, ErrorKind, Row, SqlState};
use live::database::Database;
use live::{check_token, connect};

/// Bytes in no encoding at all.
const ASCII: &str = "encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'";

#[tokio::test]
async fn r59_a_database_without_an_encoding_is_read_as_far_as_it_is_utf8() {
    let database = Database::create(ASCII);
    let mut connection = database.connect().await;
    let notices = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&notices);
    connection.on_notice(move |notice| seen.lock().unwrap().push(notice.message().to_owned()));
    connection
        .batch_execute(
            "do $$ begin
                execute format('create table %I (%I int4)', 't' || chr(255), 'c' || chr(254));
                execute format('insert into %I values (7)', 't' || chr(255));
                execute format('create view v as select * from %I', 't' || chr(255));
                execute format('create type mood as enum (''glum'', %L)', 'g' || chr(253) || 'y');
             end $$",
        )
        .await
        .unwrap();
    // The server itself checks what it sends, and has an error for what isn't UTF-8.
    let wrong = [
        "select chr(255)",
        "select 'a' || chr(195)",
        "select * from v",
        "select i, chr(i) from generate_series(120, 130) i",
        "select e::text from unnest(enum_range(null::mood)) e where e <> 'glum'",
        "do $$ begin raise notice 'nota %', chr(252); end $$",
    ];
    for _ in 0..2 {
        for sql in wrong {
            let error = connection.fetch_all::<Row>(sql, ()).await.unwrap_err();
            let state = error.sqlstate();
            assert_eq!(
                state,
                Some(SqlState::CHARACTER_NOT_IN_REPERTOIRE),
                "{sql}: {error}"
            );
            let error = connection.batch_execute(sql).await.unwrap_err();
            let state = error.sqlstate();
            assert_eq!(
                state,
                Some(SqlState::CHARACTER_NOT_IN_REPERTOIRE),
                "{sql}: {error}"
            );
        }
        // An error that can't be told is another error.
        let sql = "do $$ begin raise exception 'bad %', chr(255); end $$";
        let error = connection.execute(sql, ()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Server, "{error}");
        let text: String = connection
            .fetch_one("select $1 || 'ä'", ("ö",))
            .await
            .unwrap();
        assert_eq!(text, "öä");
        check_in_step(&mut connection).await;
    }
    assert!(notices.lock().unwrap().is_empty());
}

/// As the token check, which looks for the session in another database.
async fn check_in_step(connection: &mut Connection) {
    let token = support::raw::unique();
    let back: String = connection
        .fetch_one("select $1", (token.as_str(),))
        .await
        .unwrap();
    assert_eq!(back, token);
}

#[tokio::test]
async fn r59_another_client_encoding_closes_the_connection() {
    let changes = [
        "set client_encoding to 'LATIN1'",
        "set names 'SQL_ASCII'",
        "select set_config('client_encoding', 'WIN1252', false)",
        "do $$ begin perform set_config('client_encoding', 'LATIN9', false); end $$",
    ];
    for change in changes {
        let mut connection = connect().await;
        let error = connection.execute(change, ()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed, "{change}: {error}");
        assert!(error.is_closed());
        assert!(error.to_string().contains("client_encoding"), "{error}");
        assert!(connection.is_closed());
        let error = connection
            .fetch_one::<i32>("select 1", ())
            .await
            .unwrap_err();
        assert!(error.is_closed(), "{error}");
        let mut connection = connect().await;
        let error = connection.batch_execute(change).await.unwrap_err();
        assert!(error.is_closed(), "{change}: {error}");
    }
    // No text is read that was written in the other encoding.
    let mut connection = connect().await;
    let both = "set client_encoding to 'LATIN1'; select 'Ã¤'";
    assert!(
        connection
            .batch_execute(both)
            .await
            .unwrap_err()
            .is_closed()
    );
    let mut connection = connect().await;
    let error = connection
        .fetch_all::<String>(
            "select set_config('client_encoding', 'LATIN1', false) union all select 'Ã¤'",
            (),
        )
        .await
        .unwrap_err();
    assert!(error.is_closed(), "{error}");
    // What is UTF-8 by another name, or is undone in time, does no harm.
    let mut connection = connect().await;
    for fine in [
        "set client_encoding to 'unicode'",
        "set client_encoding to 'utf-8'",
        "reset client_encoding",
        "do $$ begin perform set_config('client_encoding', 'LATIN1', false);
                     perform set_config('client_encoding', 'UTF8', false); end $$",
    ] {
        connection.execute(fine, ()).await.unwrap();
        let text: String = connection
            .fetch_one("select $1 || 'ä'", ("ö",))
            .await
            .unwrap();
        assert_eq!(text, "öä");
    }
    check_token(&mut connection).await;
}
