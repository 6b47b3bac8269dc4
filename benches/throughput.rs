//! Throughput against a live server, over whatever `xtask::server` finds: a single lookup, many
//! at once in a pipeline, rows into structs, and inserts by `execute_many`.

use std::fmt::Display;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kornak::{Connection, one};
use tokio::runtime::Runtime;
use xtask::server::Server;

/// The rows that are read and written at a time.
const ROWS: i32 = 1_000;

/// The lookups of a pipeline.
const PIPELINED: i32 = 100;

const LOOKUP: &str = "select $1::int4 + 1";
const ROWS_SQL: &str = "select n, n::int8, 'name ' || n from generate_series(1, $1::int4) n";

fn live(criterion: &mut Criterion) {
    let server = Server::for_tests();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut connection = runtime
        .block_on(Connection::connect(server.url().as_str()))
        .expect("a connection");
    let mut group = criterion.benchmark_group("live");

    group.throughput(Throughput::Elements(1));
    group.bench_function("a lookup", |bencher| {
        bencher.iter(|| {
            let found: i32 = wait(&runtime, connection.fetch_one(LOOKUP, (41,)));
            black_box(found)
        });
    });

    group.throughput(Throughput::Elements(PIPELINED as u64));
    group.bench_function("100 lookups in a pipeline", |bencher| {
        bencher.iter(|| {
            let lookups: Vec<_> = (0..PIPELINED).map(|n| one::<i32>(LOOKUP, (n,))).collect();
            wait(&runtime, async {
                let found = connection.pipeline(lookups).await?;
                assert_eq!(found.len(), PIPELINED as usize);
                Ok::<_, kornak::PipelineError>(found)
            })
        });
    });

    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("1,000 rows of three columns", |bencher| {
        bencher.iter(|| {
            let rows: Vec<(i32, i64, String)> =
                wait(&runtime, connection.fetch_all(ROWS_SQL, (ROWS,)));
            assert_eq!(rows.len(), ROWS as usize);
            rows
        });
    });

    let table = "create temporary table sink (id int4, name text)";
    wait(&runtime, connection.batch_execute(table));
    group.bench_function("1,000 inserts by execute_many", |bencher| {
        bencher.iter(|| {
            let items = (0..ROWS).map(|id| (id, "a name"));
            let sql = "insert into sink values ($1, $2)";
            let done = wait(&runtime, connection.execute_many(sql, items));
            assert_eq!(done, ROWS as u64);
        });
        wait(&runtime, connection.batch_execute("truncate sink"));
    });
    group.finish();
    runtime.block_on(connection.close());
}

fn wait<T, E: Display>(runtime: &Runtime, future: impl Future<Output = Result<T, E>>) -> T {
    match runtime.block_on(future) {
        Ok(value) => value,
        Err(error) => panic!("{error:#}"),
    }
}

criterion_group!(benches, live);
criterion_main!(benches);
