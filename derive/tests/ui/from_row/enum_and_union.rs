//! Rows are read into structs.

use kornak::FromRow;

#[derive(FromRow)]
enum Mood {
    Happy,
}

#[derive(FromRow)]
union Bits {
    a: i32,
    b: f32,
}

fn main() {}
