//! A struct without fields reads nothing.

use kornak::FromRow;

#[derive(FromRow)]
struct Unit;

#[derive(FromRow)]
struct Empty {}

#[derive(FromRow)]
struct NoTuple();

fn main() {}
