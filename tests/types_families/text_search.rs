//! Documents and queries of the full text search.

use kornak::codec::{Lexeme, LexemePosition, LexemeWeight, TsQuery, TsVector};

use super::live::{self, connect};
use super::{check_family, check_refused, check_texts};

#[tokio::test]
async fn documents_are_exact() {
    let mut connection = connect().await;
    let connection = &mut connection;
    let many: String = (1..=300)
        .map(|index| format!("'w{index:03}':{index} "))
        .collect();
    let longest = format!("'{}':16383", "é".repeat(1023));
    check_family::<TsVector>(
        connection,
        "tsvector",
        &[
            "",
            "a",
            "'a':1A,2B,3C,4 'b'",
            "fat:2,4 cat:3A rat:5B",
            "'it''s' 'back\\\\slash' ' ' 'na\u{ef}ve':16383",
            "a:20000",
            &many,
            &longest,
        ],
    )
    .await;
    // The server sorts what it gets, and keeps one of each.
    let position = |index| LexemePosition {
        index,
        weight: LexemeWeight::A,
    };
    let first = [position(1)];
    let lexeme = |text| Lexeme {
        text,
        positions: &first,
    };
    let unsorted = TsVector::from_iter([lexeme("b"), lexeme("a")]);
    let shown: String = connection
        .fetch_one("select $1::tsvector::text", (&unsorted,))
        .await
        .unwrap();
    assert_eq!(shown, "'a':1A 'b':1A");
    let long = "a".repeat(2048);
    let long = TsVector::from_iter([Lexeme {
        text: &long,
        positions: &first,
    }]);
    check_refused(connection, "tsvector", long).await;
    let misordered = TsVector::from_iter([Lexeme {
        text: "a",
        positions: &[position(7), position(1)],
    }]);
    check_refused(connection, "tsvector", misordered).await;
}

#[tokio::test]
async fn queries_are_exact() {
    let mut connection = connect().await;
    let connection = &mut connection;
    let deep = format!("{}a{}", "!(".repeat(500), ")".repeat(500));
    let nested = format!("{}a{}", "(b & (!c <-> ".repeat(100), "))".repeat(100));
    check_family::<TsQuery>(
        connection,
        "tsquery",
        &[
            "a",
            "'it''s' & 'back\\\\slash'",
            "a:*AB & !b | c <-> d",
            "(a | b) & c",
            "a <2> (b <-> c)",
            "a <2> b <-> c",
            "a <16384> b",
            "a <0> b",
            "!(a & b)",
            "!(a <-> b) <-> !c",
            "a <-> (b | c)",
            "(a & b) <-> (c & d)",
            "!!a",
            "a:ABCD | b:D | c:*",
            "a & (b & (c & d))",
            "((a | b) | c) | d",
            &deep,
            &nested,
        ],
    )
    .await;
    // What is put together here means the same there.
    let query = TsQuery::lexeme("fat") & (TsQuery::prefix("ra") | !TsQuery::lexeme("cat"));
    let (shown, matches): (String, bool) = connection
        .fetch_one(
            "select $1::tsquery::text, 'fat:1 rat:2 cat:3'::tsvector @@ $1",
            (&query,),
        )
        .await
        .unwrap();
    assert_eq!(shown, query.to_string());
    assert!(matches);
    check_refused(connection, "tsquery", TsQuery::lexeme("a".repeat(2048))).await;
    // The server sends an empty query, and receives it from 15.20 and its contemporaries on.
    let empty: TsQuery = connection
        .fetch_one("select ''::tsquery", ())
        .await
        .unwrap();
    assert_eq!(empty, TsQuery::default());
    let sent = connection.fetch_one::<String>("select $1::tsquery::text", (&empty,));
    match sent.await {
        Ok(shown) => assert_eq!(shown, ""),
        Err(error) => assert!(error.as_server().is_some(), "{error:#}"),
    }
    live::check_token(connection).await;
}

/// What words are made of, in documents and queries.
const PARTS: [&str; 30] = [
    "a", "b", "\u{e9}", "'", "''", "\\", " ", ":", ",", "1", "0", "16383", "99999", "A", "*", "d",
    "(", ")", "!", "&", "|", "<", "-", ">", " <-> ", " <7> ", " & ", " | ", "'x'", ":1,2B",
];

#[tokio::test]
async fn texts_are_read_as_the_server_reads_them() {
    let mut connection = connect().await;
    let connection = &mut connection;
    check_texts::<TsVector>(connection, "tsvector", &PARTS).await;
    check_texts::<TsQuery>(connection, "tsquery", &PARTS).await;
}
