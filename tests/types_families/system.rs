//! The types of the system itself, and those whose values are texts.

use kornak::codec::{Cid, Int2Vector, Lsn, OidVector, Snapshot, Tid, Xid};
use kornak::{ErrorKind, SqlState};

use super::live::{check_token, connect};
use super::{check_family, check_refused};

#[tokio::test]
async fn r57_places_and_transactions_are_exact() {
    let mut connection = connect().await;
    let connection = &mut connection;
    check_family::<Lsn>(
        connection,
        "pg_lsn",
        &["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"],
    )
    .await;
    check_family::<Tid>(connection, "tid", &["(0,0)", "(4294967295,65535)", "(7,1)"]).await;
    check_family::<Xid>(connection, "xid", &["0", "3", "4294967295"]).await;
    check_family::<Cid>(connection, "cid", &["0", "4294967295"]).await;
    check_family::<u32>(connection, "oid", &["0", "4294967295"]).await;
    check_family::<u64>(connection, "xid8", &["0", "3", "18446744073709551615"]).await;
    let snapshots = [
        "1:1:",
        "10:20:10,14,15",
        "12345678901:12345678910:12345678905",
        "1:9223372036854775807:2",
    ];
    check_family::<Snapshot>(connection, "pg_snapshot", &snapshots).await;
    check_family::<Snapshot>(connection, "txid_snapshot", &snapshots).await;
    let backwards = Snapshot {
        xmin: 2,
        xmax: 1,
        in_progress: vec![],
    };
    check_refused(connection, "pg_snapshot", backwards).await;
}

/// The names that are shown for them are the catalogue's; on the wire they are numbers.
#[tokio::test]
async fn names_of_objects_are_their_oids() {
    let mut connection = connect().await;
    for (ty, name) in [
        ("regclass", "pg_type"),
        ("regtype", "int4[]"),
        ("regproc", "array_send"),
        ("regprocedure", "lower(text)"),
        ("regoper", "||/"),
        ("regoperator", "+(integer,integer)"),
        ("regconfig", "simple"),
        ("regdictionary", "simple"),
        ("regnamespace", "pg_catalog"),
        ("regrole", "-"),
        ("regcollation", "\"C\""),
    ] {
        let literal = format!("'{name}'::{ty}");
        let (oid, wanted, many): (u32, u32, Vec<u32>) = connection
            .fetch_one(
                &format!("select {literal}, {literal}::oid, array[{literal}]"),
                (),
            )
            .await
            .unwrap();
        assert_eq!((oid, &many), (wanted, &vec![wanted]), "{literal}");
        let sql = format!(
            "select array_send(array[$1::{ty}]) = array_send(array[{literal}]), \
             $2::{ty}[] = array[{literal}]"
        );
        let is_same: (bool, bool) = connection.fetch_one(&sql, (oid, many)).await.unwrap();
        assert_eq!(is_same, (true, true), "{literal}");
        // A string is the name.
        let sql = format!("select $1::{ty} = {literal}");
        let is_same: bool = connection.fetch_one(&sql, (name,)).await.unwrap();
        assert!(is_same, "{literal}");
    }
    check_token(&mut connection).await;
}

#[tokio::test]
async fn vectors_of_the_catalogue_are_exact() {
    let mut connection = connect().await;
    let connection = &mut connection;
    check_family::<Int2Vector>(connection, "int2vector", &["1", "1 -2 32767"]).await;
    check_family::<OidVector>(connection, "oidvector", &["0", "23 25 4294967295"]).await;
    // The server sends empty ones, but its own receive functions refuse them.
    let empty: (Int2Vector, OidVector) = connection
        .fetch_one("select ''::int2vector, ''::oidvector", ())
        .await
        .unwrap();
    assert_eq!(empty, Default::default());
    check_refused(connection, "int2vector", empty.0).await;
    check_refused(connection, "oidvector", empty.1).await;
    let parameters: Vec<Vec<u32>> = connection
        .fetch_all("select proargtypes from pg_proc order by oid limit 100", ())
        .await
        .unwrap();
    assert_eq!(parameters.len(), 100);
    check_token(connection).await;
}

#[tokio::test]
async fn texts_with_a_syntax_of_their_own_are_exact() {
    let mut connection = connect().await;
    let connection = &mut connection;
    check_family::<String>(
        connection,
        "jsonpath",
        &[
            "$",
            "lax $.\"a\"[*]?(@.b > 1 && exists (@.c))",
            "strict $.**{2 to last}.size()",
        ],
    )
    .await;
    check_family::<String>(
        connection,
        "json",
        &["{\"a\" : [1, 2.50,null]}", "\"\u{1f418}\""],
    )
    .await;
    check_family::<String>(connection, "refcursor", &["", "a cursor"]).await;
    check_family::<String>(connection, "bpchar(5)", &["abc", ""]).await;
    check_family::<String>(connection, "name", &["abc", ""]).await;
    let xml = connection
        .fetch_one::<bool>("select '<a/>'::xml is document", ())
        .await;
    match xml {
        Ok(_) => {
            let texts = [
                "<a b=\"c\">na\u{ef}ve &amp; \u{1f418}</a>",
                "text only",
                "",
                "<?xml version=\"1.0\" standalone=\"yes\"?><a/>",
                "<?xml version=\"1.1\"?><a/>",
            ];
            check_family::<String>(connection, "xml", &texts).await;
        }
        // A server may be built without it.
        Err(error) => assert_eq!(error.sqlstate(), Some(SqlState::FEATURE_NOT_SUPPORTED)),
    }
}

#[tokio::test]
async fn nothing_is_a_value_too() {
    let mut connection = connect().await;
    let ((),) = connection
        .fetch_one("select pg_notify('kornak_families', '')", ())
        .await
        .unwrap();
    let error = connection
        .fetch_one::<i32>("select pg_notify('kornak_families', '') as told", ())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    let text = error.to_string();
    assert!(
        text.contains("told") && text.contains("void is ()"),
        "{text}"
    );
    let nothing: bool = connection
        .fetch_one("select void_send($1) = '\\x'", ((),))
        .await
        .unwrap();
    assert!(nothing);
    check_token(&mut connection).await;
}
