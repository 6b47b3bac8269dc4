//! `counting`: what is measured with an allocator that counts.
//!
//! - `counting run <driver> <workload> <times> <rows of W10> <folder> <port>` prints how often
//!   a run of the workload allocates, and how many bytes.
//! - `counting memory <folder> <port>` prints what a connection of Kornak holds, in bytes: when
//!   it has just connected; when it is idle again after large results; and each cached
//!   statement, its text aside.

use std::alloc::System;

use compare::Result;
use compare::client::{Client, Moment, replay_target};
use compare::driver::Target;
use compare::work;
use kornak::Connection;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How many statements are cached: fewer than a connection keeps by default.
const STATEMENTS: usize = 50;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((command, rest)) if command == "run" => count(Client::from_arguments(rest)?),
        Some((command, [folder, port])) if command == "memory" => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(memory(&replay_target(folder, port)?))
        }
        _ => Err("counting run|memory …".into()),
    }
}

fn count(client: Client) -> Result<()> {
    let times = client.times;
    let mut region = Region::new(ALLOCATOR);
    client.run(|moment| match moment {
        Moment::Warm => region.reset(),
        Moment::Done => {
            let change = region.change();
            let calls = change.allocations + change.reallocations;
            println!(
                "{} {}",
                calls as f64 / times as f64,
                change.bytes_allocated as f64 / times as f64,
            );
        }
    })
}

async fn memory(target: &Target) -> Result<()> {
    // What the process itself keeps after its first connection is no connection's.
    Connection::connect(target.url().as_str())
        .await?
        .close()
        .await;
    let sqls: Vec<String> = (0..STATEMENTS)
        .map(|index| format!("{} /* {index} */", work::LOOKUP))
        .collect();
    let url = target.url();

    let empty = held();
    let mut connection = Connection::connect(url.as_str()).await?;
    let connected = held() - empty;

    let first = held();
    for sql in &sqls {
        connection.fetch_one::<(i32, i32)>(sql, (1,)).await?;
    }
    if connection.cached_statements() != STATEMENTS {
        return Err("not all statements are cached".into());
    }
    let texts: usize = sqls.iter().map(String::len).sum();
    let statement = (held() - first - texts as f64) / STATEMENTS as f64;

    // The operation after a large result gives the buffers back.
    let before = held();
    for _ in 0..3 {
        connection.fetch_all::<Vec<u8>>(work::BLOBS_SQL, ()).await?;
    }
    connection.fetch_one::<(i32, i32)>(&sqls[0], (1,)).await?;
    let idle = connected + held() - before;
    println!("{connected} {idle} {statement}");
    Ok(())
}

/// The bytes that are allocated now.
fn held() -> f64 {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as f64 - stats.bytes_deallocated as f64
}
