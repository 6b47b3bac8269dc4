//! What a pool knows of types, and how it forgets them.

mod live;
mod pool_support;
mod support;

use kornak::Connection;
use kornak::codec::{Record, Value};
use live::check_token;
use pool_support::Tested;
use support::raw::{RawClient, unique};

/// The attribute `x` of the one value in the table, by the name that it is known under.
async fn x(connection: &mut Connection, table: &str) -> i32 {
    let sql = format!("select place from {table}");
    match connection.fetch_one(&sql, ()).await.unwrap() {
        Value::Record(record) => match Record::get(&record, "x") {
            Some(Value::Int4(x)) => *x,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn r46_a_swap_of_names_elsewhere_shows_when_types_are_forgotten() {
    let tested = Tested::of(2, |builder| builder);
    let schema = format!("types_{}", unique()).replace('-', "_");
    let table = format!("{schema}.t");
    let rename = |from, to| format!("alter type {schema}.point2 rename attribute {from} to {to};");
    let swap = [rename("x", "z"), rename("y", "x"), rename("z", "y")].concat();
    let mut elsewhere = RawClient::of_tests();
    let setup = format!(
        "create schema {schema}; create type {schema}.point2 as (x int, y int); \
         create table {table} (place {schema}.point2); insert into {table} values ((1, 2))"
    );
    elsewhere.query(&setup).unwrap();
    let mut first = tested.acquire().await;
    let mut second = tested.acquire().await;
    for wanted in [1, 2] {
        assert_eq!(x(&mut first, &table).await, wanted);
        assert_eq!(x(&mut second, &table).await, wanted);
        // The values are, byte for byte, what they were; both connections hear of it.
        elsewhere.query(&swap).unwrap();
        first.forget_types();
    }
    // In a transaction that has altered types itself, they are its own.
    let begin = format!("begin; {}", rename("x", "z"));
    first.batch_execute(&begin).await.unwrap();
    first.forget_types();
    first.batch_execute(&rename("z", "x")).await.unwrap();
    assert_eq!(x(&mut first, &table).await, 1);
    first.batch_execute("commit").await.unwrap();
    for connection in [&mut first, &mut second] {
        assert_eq!(x(connection, &table).await, 1);
        check_token(connection).await;
    }
    drop((first, second));
    elsewhere
        .query(&format!("drop schema {schema} cascade"))
        .unwrap();
}
