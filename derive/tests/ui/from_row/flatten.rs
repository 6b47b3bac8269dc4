//! What can be flattened.

use kornak::FromRow;

struct NotARow {
    x: i32,
}

#[derive(FromRow)]
struct Pair(i32, i32);

#[derive(FromRow)]
struct World {
    #[kornak(flatten)]
    a: NotARow,
    #[kornak(flatten)]
    b: Pair,
    #[kornak(flatten)]
    c: i32,
}

fn main() {}
