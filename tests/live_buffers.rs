//! Messages of all sizes through buffers that grow, shrink and are used again.

mod live;
mod support;

use kornak::{Connection, Row};
use live::{check_token, connect, connect_over};
use support::proxy::{Listen, Pace, Proxy, Way};
use support::server;

/// Sizes around those of the buffers: 4 KiB, 16 KiB, 64 KiB, and far beyond.
const SIZES: &[i32] = &[
    0, 1, 100, 4_000, 4_080, 4_096, 4_200, 1, 16_000, 16_370, 16_384, 16_400, 2, 65_000, 65_530,
    65_536, 66_000, 3, 131_072, 1_000_000, 4, 5, 3_000_000, 6, 70_000, 7, 10_000_000, 8,
];

/// Each row has its number, so many bytes, and a sum to check them by.
const SQL: &str = "select n::int4, repeat(chr(97 + n::int4 % 26), size), md5(repeat(chr(97 + n::int4 % 26), size))
                   from unnest($1::int4[]) with ordinality as sizes(size, n)";

/// The text of row `n`, counted from 1.
fn text(n: i32, size: i32) -> String {
    let letter = char::from(b'a' + u8::try_from(n % 26).unwrap());
    letter.to_string().repeat(usize::try_from(size).unwrap())
}

fn check_row(n: i32, (number, got, _): &(i32, String, String)) {
    let size = SIZES[usize::try_from(n - 1).unwrap()];
    assert_eq!(*number, n);
    assert!(*got == text(n, size), "row {n}, of {size} bytes");
}

async fn read_in_every_way(connection: &mut Connection) {
    let all: Vec<(i32, String, String)> = connection.fetch_all(SQL, (SIZES,)).await.unwrap();
    assert_eq!(all.len(), SIZES.len());
    (1..).zip(&all).for_each(|(n, row)| check_row(n, row));
    let mut n = 0;
    let visited = connection.for_each(SQL, (SIZES,), |row| {
        n += 1;
        let (number, got, _): (i32, &str, &str) = row.read()?;
        check_row(n, &(number, got.to_owned(), String::new()));
        Ok(())
    });
    assert_eq!(visited.await.unwrap(), SIZES.len() as u64);
    let mut rows = connection
        .fetch::<(i32, String, String)>(SQL, (SIZES,))
        .await
        .unwrap();
    let mut n = 0;
    while let Some(row) = rows.next().await.unwrap() {
        n += 1;
        check_row(n, &row);
    }
    assert_eq!(n as usize, SIZES.len());
    // In the other direction, too.
    for (n, size) in (1..).zip(SIZES) {
        let sent = text(n, *size);
        let back: (i32, String) = connection
            .fetch_one("select length($1), md5($1)", (sent.as_str(),))
            .await
            .unwrap();
        let same: bool = connection
            .fetch_one("select md5($1) = $2", (sent, back.1))
            .await
            .unwrap();
        assert!(same && back.0 == *size);
    }
}

#[tokio::test]
async fn r20_no_byte_is_lost_between_messages_of_all_sizes() {
    let mut connection = connect().await;
    for _ in 0..2 {
        read_in_every_way(&mut connection).await;
        check_token(&mut connection).await;
    }
    // In pieces of odd sizes, so that messages end and begin anywhere in a read.
    let proxy = Proxy::start(Listen::Unix, server::target().address);
    for size in [997, 4_099, 16_385, 70_001] {
        let mut connection = connect_over(proxy.address(), |config| config).await;
        let link = proxy.links().pop().unwrap();
        let pace = Pace {
            write_size: Some(size),
            ..Pace::default()
        };
        link.set_pace(Way::ToClient, pace);
        let all: Vec<(i32, String, String)> = connection.fetch_all(SQL, (SIZES,)).await.unwrap();
        (1..).zip(&all).for_each(|(n, row)| check_row(n, row));
        check_token(&mut connection).await;
    }
}

#[tokio::test]
async fn r20_large_buffers_are_given_back() {
    let mut connection = connect().await;
    const KEPT: usize = 64 * 1024;
    const SMALL: usize = 32 * 1024;
    for _ in 0..2 {
        let large: String = connection
            .fetch_one("select repeat('x', 50000000)", ())
            .await
            .unwrap();
        let length: i32 = connection
            .fetch_one("select length($1)", (large,))
            .await
            .unwrap();
        assert_eq!(length, 50_000_000);
        let idle = connection.buffered_bytes();
        assert!(idle <= KEPT, "{idle} bytes are kept");
        // What was not read to its end is given back by the next operation.
        let sql = "select repeat('x', 5000000) from generate_series(1, 3)";
        let mut rows = connection.fetch::<String>(sql, ()).await.unwrap();
        assert_eq!(rows.next().await.unwrap().unwrap().len(), 5_000_000);
        drop(rows);
        check_token(&mut connection).await;
        let idle = connection.buffered_bytes();
        assert!(idle <= KEPT, "{idle} bytes are kept");
        // A buffer that served a large row is kept for more of them, until an operation needs
        // little of it.
        let sql = "select repeat('x', 40000)";
        let row: String = connection.fetch_one(sql, ()).await.unwrap();
        assert_eq!(row.len(), 40_000);
        let busy = connection.buffered_bytes();
        assert!(busy > SMALL, "{busy} bytes are held after a large row");
        check_token(&mut connection).await;
        let idle = connection.buffered_bytes();
        assert!(idle <= SMALL, "{idle} bytes are kept by small operations");
    }
}

#[tokio::test]
async fn r21_what_was_read_stays_when_the_buffers_are_used_again() {
    let mut connection = connect().await;
    let mut kept: Vec<Row> = Vec::new();
    for round in 0..5 {
        let rows: Vec<Row> = connection.fetch_all(SQL, (SIZES,)).await.unwrap();
        kept.extend(rows);
        let single: Row = connection.fetch_one(SQL, ([4_096_i32],)).await.unwrap();
        assert_eq!(single.get::<&str>(1).unwrap(), text(1, 4_096));
        let mut stream = connection.fetch::<Row>(SQL, (SIZES,)).await.unwrap();
        while let Some(row) = stream.next().await.unwrap() {
            kept.push(row);
        }
        // Other bytes go through the same buffers.
        for _ in 0..20 {
            connection
                .execute("select repeat('#', 40000) from generate_series(1, 10)", ())
                .await
                .unwrap();
        }
        assert_eq!(kept.len(), SIZES.len() * 2 * (round + 1));
    }
    for (index, row) in kept.iter().enumerate() {
        let n = i32::try_from(index % SIZES.len()).unwrap() + 1;
        let size = SIZES[index % SIZES.len()];
        assert_eq!(row.get::<i32>("n").unwrap(), n);
        assert!(
            row.get::<&str>(1).unwrap() == text(n, size),
            "row {n}, of {size} bytes"
        );
    }
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r21_a_cached_statement_follows_its_result_formats() {
    let mut connection = connect().await;
    connection
        .batch_execute(
            "create temp table r21 (a aclitem, b int4);
             insert into r21 values (makeaclitem(10, 10, 'SELECT', false), 7)",
        )
        .await
        .unwrap();
    let sql = "select a, b, a from r21";
    // An aclitem has no binary form and comes as text, beside others in binary.
    for _ in 0..3 {
        let row: Row = connection.fetch_one(sql, ()).await.unwrap();
        assert!(
            row.raw(0)
                .unwrap()
                .unwrap()
                .windows(3)
                .any(|part| part == b"=r/")
        );
        assert_eq!(row.raw(0).unwrap(), row.raw(2).unwrap());
        assert_eq!(row.get::<i32>(1).unwrap(), 7);
    }
    // The same in a transaction, in which nothing may fail.
    let mut transaction = connection.begin().await.unwrap();
    for sql in [
        sql,
        "select b, a from r21",
        "select array[a] from r21",
        "select relacl from pg_class where relacl is not null limit 1",
    ] {
        let rows: Vec<Row> = transaction.fetch_all(sql, ()).await.unwrap();
        assert_eq!(rows.len(), 1, "{sql}");
    }
    transaction.commit().await.unwrap();
    for (change, expected) in [
        ("alter table r21 alter column a type int8 using 8", "8 7 8"),
        (
            "alter table r21 alter column a type text using 'x'",
            "x 7 x",
        ),
        (
            "alter table r21 alter column a type aclitem using makeaclitem(10, 10, 'SELECT', false)",
            "=r/",
        ),
        ("alter table r21 alter column a type int4 using 9", "9 7 9"),
    ] {
        connection.execute(change, ()).await.unwrap();
        for _ in 0..2 {
            let row: Row = connection.fetch_one(sql, ()).await.unwrap();
            let a = match row.columns()[0].ty().name() {
                "int4" => row.get::<i32>(0).unwrap().to_string(),
                "int8" => row.get::<i64>(0).unwrap().to_string(),
                "text" => row.get::<String>(0).unwrap(),
                _ => String::from_utf8(row.raw(0).unwrap().unwrap().to_vec()).unwrap(),
            };
            if expected == "=r/" {
                assert!(a.contains(expected), "{change}: {a}");
            } else {
                assert_eq!(
                    format!("{a} {} {a}", row.get::<i32>(1).unwrap()),
                    expected,
                    "{change}"
                );
            }
        }
    }
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r48_statements_without_rows_columns_or_text() {
    let mut connection = live::connect_small().await;
    for _ in 0..2 {
        // No text at all.
        for empty in ["", ";", "-- nothing", "/* nothing */", "   "] {
            assert_eq!(connection.execute(empty, ()).await.unwrap(), 0);
            assert!(
                connection
                    .fetch_all::<Row>(empty, ())
                    .await
                    .unwrap()
                    .is_empty()
            );
            assert!(
                connection
                    .fetch_optional::<Row>(empty, ())
                    .await
                    .unwrap()
                    .is_none()
            );
            assert_eq!(connection.for_each(empty, (), |_| ()).await.unwrap(), 0);
            connection.batch_execute(empty).await.unwrap();
            let mut rows = connection.fetch::<Row>(empty, ()).await.unwrap();
            assert!(rows.next().await.unwrap().is_none());
            assert!(
                connection
                    .describe(empty)
                    .await
                    .unwrap()
                    .columns()
                    .is_empty()
            );
        }
        // No columns, but rows.
        let rows: Vec<Row> = connection
            .fetch_all("select from generate_series(1, 3)", ())
            .await
            .unwrap();
        assert_eq!(rows.len(), 3);
        assert!(rows.iter().all(Row::is_empty));
        assert_eq!(
            connection
                .execute("select from generate_series(1, 3)", ())
                .await
                .unwrap(),
            3
        );
        // No rows, but columns.
        let none = connection
            .fetch_all::<(i32, String)>("select 1, 'x' where false", ())
            .await;
        assert!(none.unwrap().is_empty());
        // Neither.
        let none = connection
            .fetch_all::<Row>("set datestyle to iso", ())
            .await
            .unwrap();
        assert!(none.is_empty());
        check_token(&mut connection).await;
    }
}

#[tokio::test]
async fn r48_a_cursor_is_gone_after_an_error() {
    let mut connection = live::connect_small().await;
    let mut transaction = connection.begin().await.unwrap();
    transaction
        .execute("declare c cursor for select generate_series(1, 10)", ())
        .await
        .unwrap();
    let rows: Vec<i32> = transaction.fetch_all("fetch 3 from c", ()).await.unwrap();
    assert_eq!(rows, [1, 2, 3]);
    let mut nested = transaction.begin().await.unwrap();
    let rows: Vec<i32> = nested.fetch_all("fetch 3 from c", ()).await.unwrap();
    assert_eq!(rows, [4, 5, 6]);
    nested.execute("select 1 / $1", (0,)).await.unwrap_err();
    drop(nested);
    // The savepoint's end has not moved it back (manual, "ROLLBACK TO SAVEPOINT").
    let rows: Vec<i32> = transaction.fetch_all("fetch 3 from c", ()).await.unwrap();
    assert_eq!(rows, [7, 8, 9]);
    transaction
        .execute("select 1 / $1", (0,))
        .await
        .unwrap_err();
    drop(transaction);
    let error = connection
        .fetch_all::<i32>("fetch 3 from c", ())
        .await
        .unwrap_err();
    assert_eq!(
        error.sqlstate(),
        Some(kornak::SqlState::INVALID_CURSOR_NAME),
        "{error}"
    );
    check_token(&mut connection).await;
}
