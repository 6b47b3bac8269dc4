//! Typed rows: whole in what is sent, and each as its column wants it.

use std::panic::AssertUnwindSafe;
use std::task::Poll;

use kornak::codec::{DeclaredType, IsNull, ParamWriter};
use kornak::error::EncodeError;
use kornak::{Encode, ErrorKind, FromRow, Params, SqlState, Type};

use super::{count, table};
use crate::live::{check_token, connect_small as connect};

#[derive(Params)]
struct NewUser<'a> {
    id: i32,
    name: Option<&'a str>,
}

#[derive(Debug, PartialEq, FromRow)]
struct User {
    id: i32,
    name: Option<String>,
}

#[tokio::test]
async fn typed_rows_go_in_and_come_out() {
    let mut connection = connect().await;
    table(&mut connection).await;
    let mut copy = connection.copy_in_rows("t", &["id", "name"]).await.unwrap();
    copy.send((0, "tuple")).await.unwrap();
    copy.send(NewUser { id: 1, name: None }).await.unwrap();
    copy.send((2_i64, String::from("another type")))
        .await
        .unwrap();
    let sent = copy
        .send_all((3..20_000).map(|i| (i, format!("n{i}"))))
        .await
        .unwrap();
    assert_eq!((sent, copy.rows()), (19_997, 20_000));
    assert!(copy.bytes() > 20_000 * 10);
    assert_eq!(copy.finish().await.unwrap(), 20_000);
    let query = "select id, name from t order by id -- the last words";
    let mut rows = connection.copy_out_rows::<User>(query).await.unwrap();
    let mut got = Vec::new();
    while let Some(user) = rows.next().await.unwrap() {
        got.push(user);
    }
    assert_eq!(rows.rows(), 20_000);
    assert!(rows.bytes() > 20_000 * 10);
    assert!(rows.next().await.unwrap().is_none());
    assert_eq!(got[0].name.as_deref(), Some("tuple"));
    assert_eq!(got[1], User { id: 1, name: None });
    assert_eq!(got[2].name.as_deref(), Some("another type"));
    for (index, user) in (0..).zip(&got).skip(3) {
        assert_eq!(
            (user.id, user.name.as_deref()),
            (index, Some(&*format!("n{index}")))
        );
    }
    check_token(&mut connection).await;
}

#[tokio::test]
async fn a_row_that_does_not_fit_is_refused_and_the_others_stay() {
    let mut connection = connect().await;
    connection
        .batch_execute("create temp table t (id int4, code uuid, doc jsonb); create temp table a (acl aclitem)")
        .await
        .unwrap();
    let error = connection.copy_in_rows("a", &["acl"]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let error = connection
        .copy_in_rows("t", &["nothing"])
        .await
        .unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::UNDEFINED_COLUMN));
    let mut copy = connection.copy_in_rows("t", &["id"]).await.unwrap();
    copy.send((1,)).await.unwrap();
    assert_eq!(
        copy.send((i64::MAX,)).await.unwrap_err().kind(),
        ErrorKind::Encode
    );
    assert_eq!(
        copy.send(("2",)).await.unwrap_err().kind(),
        ErrorKind::Encode
    );
    assert_eq!(
        copy.send((true,)).await.unwrap_err().kind(),
        ErrorKind::Encode
    );
    assert_eq!(
        copy.send((1, 2)).await.unwrap_err().kind(),
        ErrorKind::Usage
    );
    copy.send((3,)).await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 2);
    for column in ["code", "doc"] {
        // A string would be sent in its text form, which isn't theirs in binary.
        let mut copy = connection.copy_in_rows("t", &[column]).await.unwrap();
        let text = "6f1a4c9e-0d0a-4b0e-8f5f-0123456789ab";
        assert_eq!(
            copy.send((text,)).await.unwrap_err().kind(),
            ErrorKind::Encode
        );
        drop(copy);
    }
    check_token(&mut connection).await;
}

#[tokio::test]
async fn typed_rows_go_in_by_a_statement() {
    let mut connection = connect().await;
    table(&mut connection).await;
    let sql = "copy t (name, id) from stdin (format binary)";
    let types = [Type::TEXT, Type::INT4];
    let mut copy = connection.copy_in_typed(sql, &types).await.unwrap();
    copy.send_all((0..10_000).map(|i| ("x", i))).await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 10_000);
    assert_eq!(count(&mut connection).await, 10_000);
    for (sql, types) in [
        ("copy t from stdin", &types[..]),
        (sql, &types[..1]),
        ("copy t to stdout (format binary)", &types),
        ("insert into t values (1, 'x')", &types),
    ] {
        let error = connection.copy_in_typed(sql, types).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{sql}");
    }
    check_token(&mut connection).await;
}

/// A text that is written, can't be, or panics when half of it is.
#[derive(Clone, Copy)]
enum Half {
    Fine,
    Refused,
    Panics,
}

impl Encode for Half {
    const DECLARED: DeclaredType = DeclaredType::Text;

    fn encode(&self, _: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        out.put_slice(b"half");
        match self {
            Self::Fine => Ok(IsNull::No),
            Self::Refused => Err(EncodeError::new("it has no other half")),
            Self::Panics => panic!("on purpose"),
        }
    }
}

/// Rows are whole in what is sent, and counted, whatever comes of the one behind them.
#[tokio::test]
async fn r9_r13_the_rows_before_one_that_fails_or_panics_stay_whole() {
    let mut connection = connect().await;
    table(&mut connection).await;
    for last in [Half::Refused, Half::Panics] {
        for before in [0, 1, 100, 5_000] {
            let mut copy = connection.copy_in_rows("t", &["id", "name"]).await.unwrap();
            let rows = (0..=before).map(|i| (i, if i == before { last } else { Half::Fine }));
            let mut sending = Box::pin(copy.send_all(rows));
            let outcome = std::future::poll_fn(|cx| {
                let polled = AssertUnwindSafe(|| sending.as_mut().poll(cx));
                match std::panic::catch_unwind(polled) {
                    Ok(polled) => polled.map(|sent| sent.map_err(|error| error.kind())),
                    Err(_) => Poll::Ready(Ok(u64::MAX)),
                }
            });
            let expected = match last {
                Half::Panics => Ok(u64::MAX),
                _ => Err(ErrorKind::Encode),
            };
            assert_eq!(outcome.await, expected);
            drop(sending);
            assert_eq!(copy.rows(), before as u64);
            // The header, and the rows: a count, a length, four bytes, a length, four bytes.
            assert_eq!(copy.bytes(), 19 + 18 * before as u64);
            copy.send((before, "another")).await.unwrap();
            assert_eq!(copy.rows(), before as u64 + 1);
            assert_eq!(copy.finish().await.unwrap(), before as u64 + 1);
            let sums: (i64, i64) = connection
                .fetch_one("select sum(id), sum(length(name)) from t", ())
                .await
                .unwrap();
            let before = i64::from(before);
            assert_eq!(sums, (before * (before + 1) / 2, 4 * before + 7));
            connection.execute("delete from t", ()).await.unwrap();
            check_token(&mut connection).await;
        }
    }
}
