//! What the warm path allocates: nothing, but for what the caller gets.
//!
//! This binary has one test: what another thread allocates counts.

mod live;
mod support;

use std::alloc::System;
use std::hint::black_box;
use std::time::Duration;

use kornak::{Connection, FromRow};
use live::{connect, connect_as};
use support::allocations::{INSTRUMENTED_SYSTEM, StatsAlloc, counted, counted_async};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Its fields are the columns in their order.
#[derive(Debug, FromRow, PartialEq)]
struct World {
    id: i32,
    random_number: i64,
}

/// Its fields come in another order, and not all columns are read.
#[derive(Debug, FromRow, PartialEq)]
struct Turned {
    random_number: i64,
    id: i32,
}

const WORLD: &str =
    "select id, id * 3::int8 as random_number, 7::int2 as more from generate_series(1, $1) id";

/// Counts what `work` allocates when all that it needs once is there.
async fn allocations<T>(
    connection: &mut Connection,
    work: impl AsyncFn(&mut Connection) -> T,
) -> usize {
    for _ in 0..3 {
        black_box(work(connection).await);
    }
    let (result, allocations) = counted_async(work(connection)).await;
    drop(black_box(result));
    allocations.count
}

async fn check(connection: &mut Connection) {
    let one = allocations(connection, async |connection| {
        connection
            .fetch_one::<i32>("select $1 + 1", (41,))
            .await
            .unwrap()
    });
    assert_eq!(one.await, 0, "fetch_one of a scalar");
    let pair = allocations(connection, async |connection| {
        let sql = "select $1 + 1, $2 || '!'";
        // The string itself is the caller's.
        connection
            .fetch_one::<(i32, String)>(sql, (41, "hello"))
            .await
            .unwrap()
    });
    assert_eq!(pair.await, 1, "fetch_one of a number and a string");
    let optional = allocations(connection, async |connection| {
        let sql = "select $1 where false";
        connection.fetch_optional::<i32>(sql, (41,)).await.unwrap()
    });
    assert_eq!(optional.await, 0, "fetch_optional");
    let executed = allocations(connection, async |connection| {
        connection.execute("select $1", (41,)).await.unwrap()
    });
    assert_eq!(executed.await, 0, "execute");
    let visited = allocations(connection, async |connection| {
        let mut sum = 0;
        let sql = "select i, 'text ' || i from generate_series(1, $1) i";
        let read = connection.for_each(sql, (1_000,), |row| {
            let (i, text): (i32, &str) = row.read()?;
            sum += i64::from(i) + text.len() as i64;
            Ok(())
        });
        read.await.unwrap();
        sum
    });
    assert_eq!(visited.await, 0, "for_each");

    for rows in [1, 10, 1_000] {
        // So often does a vector grow that is filled one by one.
        let (_, vector) = counted(|| {
            let mut vector = Vec::new();
            for i in 0..rows {
                vector.push(black_box((i, i64::from(i))));
            }
            vector
        });
        let tuples = allocations(connection, async |connection| {
            let sql = "select id, random_number from (select id, id * 3::int8 as random_number from generate_series(1, $1) id) t";
            connection
                .fetch_all::<(i32, i64)>(sql, (rows,))
                .await
                .unwrap()
        });
        assert_eq!(tuples.await, vector.count, "fetch_all of {rows} tuples");
        let structs = allocations(connection, async |connection| {
            let worlds: Vec<World> = connection.fetch_all(WORLD, (rows,)).await.unwrap();
            assert_eq!(worlds.len() as i32, rows);
            worlds
        });
        assert_eq!(structs.await, vector.count, "fetch_all of {rows} structs");
        let turned = allocations(connection, async |connection| {
            let worlds: Vec<Turned> = connection.fetch_all(WORLD, (rows,)).await.unwrap();
            assert_eq!(
                worlds[0],
                Turned {
                    random_number: 3,
                    id: 1
                }
            );
            worlds
        });
        assert_eq!(
            turned.await,
            vector.count,
            "fetch_all of {rows} structs in another order"
        );
    }
}

#[test]
fn the_warm_path_allocates_nothing_of_its_own() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        check(&mut connect().await).await;
        // The deadline's timer is one allocation for the whole life of a connection.
        let timed = |config: kornak::Config| config.query_timeout(Duration::from_secs(3600));
        check(&mut connect_as(timed).await).await;
        let mut connection = connect().await;
        let mut transaction = connection.begin().await.unwrap();
        check(&mut transaction).await;
        transaction.commit().await.unwrap();
    });
}
