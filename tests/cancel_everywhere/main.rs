//! Every public async function, dropped at every poll that it makes, on connections of every
//! kind of past: the next borrower gets exactly the own answers, and no transaction is open.
//!
//! A function without a row in [`rows`] fails the first test.

#[path = "../live/mod.rs"]
mod live;
#[path = "../pool_support/mod.rs"]
mod pool_support;
mod rows;
mod source;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;

use kornak::{Connection, PoolConnection, one};
use live::poll_once;
use pool_support::{Probe, Tested, at_rest};
use rows::{Contexts, Operation, Place, Row, rows};
use support::deadline::{GENEROUS, within};
use support::drops::DropAtEachPoll;
use support::raw::RawClient;
use support::server;
use support::token::TokenCheck;

/// What is under way on a connection when the function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Context {
    /// Nothing.
    Plain,
    /// A transaction.
    Transaction,
    /// The answers to a pipeline that was dropped.
    Pipelined,
    /// A COPY that was dropped amid its data.
    Copy,
    /// The rows of a stream that was dropped after the first.
    Stream,
}

#[test]
fn every_public_async_function_has_a_row() {
    let known: BTreeSet<&str> = rows()
        .iter()
        .flat_map(|row| row.functions.iter().copied())
        .collect();
    let found = source::async_functions(&["connection", "pool"]);
    assert!(found.len() > 50, "{found:?}");
    let missing: Vec<&String> = found
        .iter()
        .filter(|name| !known.contains(name.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "tests/cancel_everywhere/rows.rs has no row for {missing:?}"
    );
    let gone: Vec<&&str> = known
        .iter()
        .filter(|name| !found.iter().any(|found| found == **name))
        .collect();
    assert!(gone.is_empty(), "there is no {gone:?} any more");
}

#[tokio::test]
async fn r3_dropped_at_each_poll_on_an_idle_connection() {
    everywhere(Context::Plain).await;
}

#[tokio::test]
async fn r1_r3_dropped_at_each_poll_in_a_transaction() {
    everywhere(Context::Transaction).await;
}

#[tokio::test]
async fn r3_r15_dropped_at_each_poll_behind_a_dropped_pipeline() {
    everywhere(Context::Pipelined).await;
}

#[tokio::test]
async fn r3_r9_dropped_at_each_poll_behind_a_dropped_copy() {
    everywhere(Context::Copy).await;
}

#[tokio::test]
async fn r3_r7_dropped_at_each_poll_behind_a_dropped_stream() {
    everywhere(Context::Stream).await;
}

/// Drops each function at each of its polls, in this context.
async fn everywhere(context: Context) {
    let place = Place {
        tested: Tested::of(1, |builder| builder),
        table: format!("kornak_cancelled_{context:?}_{}", std::process::id()).to_lowercase(),
        lock: (i64::from(std::process::id()) << 8) + context as i64,
    };
    let create = format!("create table {} (id int8, name text)", place.table);
    let drop_table = format!("drop table if exists {}", place.table);
    RawClient::of_tests().execute(&format!("{drop_table}; {create}"));
    let check = TokenCheck::new(&server::target(), place.tested.scope()).await;
    let check = tokio::sync::Mutex::new(check);
    let mut polls = 0;
    for row in rows() {
        if context == Context::Plain || row.contexts == Contexts::All {
            polls += drop_at_each_poll(&place, &check, &row, context).await;
        }
    }
    println!("{context:?}: dropped at {polls} polls");
    assert!(polls > 100);
    place.tested.pool.close(GENEROUS).await;
    RawClient::of_tests().execute(&drop_table);
}

async fn drop_at_each_poll(
    place: &Place,
    check: &tokio::sync::Mutex<TokenCheck>,
    row: &Row,
    context: Context,
) -> usize {
    let pool = &place.tested.pool;
    let what = format!("{} ({context:?})", row.functions.join(", "));
    let make = async || {
        let mut connection = place.tested.acquire().await;
        prepare(&mut connection, context, place).await;
        // The verbs of the pool borrow it themselves, in whatever state it comes back.
        matches!(row.operation, Operation::OnConnection(_)).then_some(connection)
    };
    let operate = async |connection: &mut Option<PoolConnection>| match row.operation {
        Operation::OnConnection(operation) => {
            let connection = connection.as_mut().expect("it was borrowed");
            operation(connection, place).await;
        }
        Operation::OnPool(operation) => operation(place).await,
    };
    let look = async |connection: Option<PoolConnection>, _| {
        drop(connection);
        check.lock().await.check(&Probe(pool)).await;
        within(GENEROUS, "coming to rest", at_rest(pool)).await;
        assert!(pool.status().size <= 1, "{:?}", pool.status());
    };
    let pending = DropAtEachPoll::new(&what)
        .at_least(row.least)
        .spurious_polls(1);
    let mut polls = pending.run(&make, &operate, &look).await;
    if context == Context::Plain {
        let woken = DropAtEachPoll::new(&what).at_least(row.least).once_woken();
        polls += woken.run(&make, &operate, &look).await;
    }
    polls
}

/// Brings a connection into the context.
async fn prepare(connection: &mut Connection, context: Context, place: &Place) {
    match context {
        Context::Plain => {}
        Context::Transaction => {
            connection.execute("begin", ()).await.unwrap();
            connection.execute("select 1", ()).await.unwrap();
        }
        Context::Pipelined => {
            let sql = "select repeat('x', 1000) from generate_series(1, 100) where $1 = 1";
            let statement = || one::<Option<String>>(sql, (0,));
            // It is prepared, so that the first poll sends it.
            let prepared: Vec<String> = connection.fetch_all(sql, (0,)).await.unwrap();
            assert!(prepared.is_empty());
            let mut asked = Box::pin(connection.pipeline_each((statement(), statement())));
            assert!(poll_once(&mut asked).is_pending());
        }
        Context::Copy => {
            let sql = format!("copy {} from stdin", place.table);
            let mut copy = connection.copy_in(&sql).await.unwrap();
            copy.send(b"1\tone\n2\ttw").await.unwrap();
        }
        Context::Stream => {
            let sql = "select repeat('x', 1000) from generate_series(1, 300)";
            let mut rows = connection.fetch::<String>(sql, ()).await.unwrap();
            assert!(rows.next().await.unwrap().is_some());
        }
    }
}
