//! What large results take of this side's memory: a few buffers, however they are read.

mod live;
mod support;

use kornak::{Connection, Row};
use live::{
    SMALL_BUFFER, check_token, connect_over, connect_small as connect, small_buffers, until_server,
};
use support::deadline::{GENEROUS, within};
use support::memory::{forget_peak, peak_resident, resident};
use support::proxy::{Listen, Proxy};
use support::server;

/// A gigabyte of rows of a kilobyte each.
const GIGABYTE: &str = "select i, repeat('x', 1000) as text from generate_series(1, 1000000) i";

/// The server holds the rest back: it waits until somebody reads.
async fn server_waits(process: i32) {
    let sql = format!("select wait_event from pg_stat_activity where pid = {process}");
    until_server(format!("({sql}) = 'ClientWrite'")).await;
}

/// No more than so many bytes above what was resident before.
#[track_caller]
fn check_flat(before: usize, allowed: usize) {
    let above = peak_resident().saturating_sub(before);
    assert!(above <= allowed, "{above} bytes more than before");
}

const MEBIBYTE: usize = 1024 * 1024;

/// The reader takes a row only when the server has come to a stop: as slow as can be.
#[tokio::test]
async fn r27_a_slow_reader_of_a_gigabyte_holds_a_few_buffers_and_the_server_waits() {
    let mut connection = connect().await;
    let process = connection.process_id();
    check_token(&mut connection).await;
    let before = resident();
    forget_peak();
    for verb in 0..4 {
        match verb {
            0 => {
                let mut rows = connection
                    .fetch::<(i32, String)>(GIGABYTE, ())
                    .await
                    .unwrap();
                for expected in 1..=200 {
                    server_waits(process).await;
                    assert_eq!(rows.next().await.unwrap().unwrap().0, expected);
                }
            }
            1 => {
                let sql = format!("copy ({GIGABYTE}) to stdout");
                let mut copy = connection.copy_out(&sql).await.unwrap();
                for _ in 0..20 {
                    server_waits(process).await;
                    assert!(copy.next().await.unwrap().unwrap().len() <= 256 * 1024);
                }
            }
            2 => {
                let mut rows = connection
                    .copy_out_rows::<(i32, String)>(GIGABYTE)
                    .await
                    .unwrap();
                for expected in 1..=200 {
                    if expected > 1 {
                        server_waits(process).await;
                    }
                    assert_eq!(rows.next().await.unwrap().unwrap().0, expected);
                }
            }
            _ => {
                let mut transaction = connection.begin().await.unwrap();
                let opened = transaction.portal::<(i32, String)>(GIGABYTE, ()).await;
                let mut portal = opened.unwrap();
                for first in [1, 101, 201] {
                    let rows = portal.fetch(&mut transaction, 100).await.unwrap();
                    assert_eq!((rows.len(), rows[0].0), (100, first));
                }
                transaction.rollback().await.unwrap();
            }
        }
        let checked = check_token(&mut connection);
        within(GENEROUS, "the rest to be cut short", checked).await;
    }
    check_flat(before, 8 * MEBIBYTE);
}

/// And so does one who reads all of it.
#[tokio::test]
async fn r27_a_whole_gigabyte_passes_through_a_few_buffers() {
    let mut connection = connect().await;
    check_token(&mut connection).await;
    let before = resident();
    forget_peak();
    let mut rows = connection
        .fetch::<(i32, Vec<u8>)>(
            "select i, convert_to(repeat('x', 10000), 'UTF8') from generate_series(1, 100000) i",
            (),
        )
        .await
        .unwrap();
    let (mut count, mut bytes) = (0, 0);
    while let Some((number, value)) = rows.next().await.unwrap() {
        count += 1;
        assert_eq!(number, count);
        bytes += value.len();
    }
    assert_eq!((count, bytes), (100_000, 1_000_000_000));
    check_flat(before, 8 * MEBIBYTE);
    assert!(connection.buffered_bytes() <= 1024 * 1024);
    check_token(&mut connection).await;
}

const HALF_A_GIGABYTE: usize = 500_000_000;

/// How much an idle connection may keep.
const KEPT: usize = 64 * 1024;

#[tokio::test]
async fn r28_a_huge_row_and_a_huge_parameter_leave_small_buffers() {
    // Over TCP half a gigabyte would wait for a delayed acknowledgement every 8 KiB.
    let upstream = server::target().address;
    let proxy = Proxy::with_buffers(Listen::Unix, upstream, Some(SMALL_BUFFER));
    let mut connection = connect_over(proxy.address(), small_buffers).await;
    let length = i32::try_from(HALF_A_GIGABYTE).unwrap();
    let mut seen = 0;
    let visited = connection.for_each("select repeat('x', $1)", (length,), |row| {
        let text: &str = row.get(0)?;
        seen = text.len();
        Ok::<_, kornak::Error>(())
    });
    assert_eq!(visited.await.unwrap(), 1);
    assert_eq!(seen, HALF_A_GIGABYTE);
    check_kept(&mut connection).await;
    // Kept by the caller, the row is the caller's, and not the connection's.
    let row: Row = connection
        .fetch_one("select repeat('x', $1)", (length / 10,))
        .await
        .unwrap();
    check_kept(&mut connection).await;
    assert_eq!(row.get::<&str>(0).unwrap().len(), HALF_A_GIGABYTE / 10);
    drop(row);

    let value = vec![0_u8; HALF_A_GIGABYTE];
    let got: i32 = connection
        .fetch_one("select length($1::bytea)", (value.as_slice(),))
        .await
        .unwrap();
    assert_eq!(got, length);
    check_kept(&mut connection).await;
    let part = &value[..HALF_A_GIGABYTE / 10];
    let done = connection.execute_many("select length($1::bytea)", [(part,), (part,)]);
    assert_eq!(done.await.unwrap(), 2);
    check_kept(&mut connection).await;
    let sql = "create temp table t (value bytea)";
    connection.batch_execute(sql).await.unwrap();
    let mut copy = connection.copy_in_rows("t", &["value"]).await.unwrap();
    copy.send((part,)).await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 1);
    check_kept(&mut connection).await;
    let mut rows = connection
        .copy_out_rows::<Vec<u8>>("select value from t")
        .await
        .unwrap();
    assert_eq!(rows.next().await.unwrap().unwrap().len(), part.len());
    assert!(rows.next().await.unwrap().is_none());
    check_kept(&mut connection).await;
}

#[track_caller]
fn check_kept(connection: &mut Connection) -> impl Future<Output = ()> {
    let kept = connection.buffered_bytes();
    assert!(kept <= KEPT, "{kept} bytes are kept");
    check_token(connection)
}

/// What is kept of each row takes its own memory, and not that of the row or the buffer.
#[tokio::test]
async fn r29_a_value_kept_of_each_of_a_million_rows_pins_no_buffer() {
    let mut connection = connect().await;
    // Small rows, and rows that are lifted out of the read buffer instead of being copied.
    for (rows, filler) in [(1_000_000_usize, 500), (20_000, 10_000)] {
        let sql = "select convert_to(lpad(i::text, 8, '0'), 'UTF8'), repeat('x', $2) \
                   from generate_series(1, $1) i";
        let params = (i32::try_from(rows).unwrap(), filler);
        let before = resident();
        forget_peak();
        let mut kept: Vec<Vec<u8>> = Vec::with_capacity(rows);
        let mut stream = connection.fetch::<Row>(sql, params).await.unwrap();
        while let Some(row) = stream.next().await.unwrap() {
            kept.push(row.get(0).unwrap());
        }
        assert_eq!(kept.len(), rows);
        assert_eq!(kept[rows - 1], format!("{rows:08}").into_bytes());
        // A Vec, and what the allocator makes of 8 bytes.
        check_flat(before, rows * (24 + 32) + 16 * MEBIBYTE);
        drop(kept);
    }
    check_token(&mut connection).await;
}
