//! What a value of PostgreSQL can't be.

use kornak::{Decode, Encode};

#[derive(Encode)]
union Bits {
    a: i32,
}

#[derive(Decode)]
enum WithData {
    None,
    One(i32),
    Two { x: i32 },
}

#[derive(Encode)]
enum Never {}

#[derive(Decode)]
struct Unit;

#[derive(Decode)]
struct Empty {}

#[derive(Encode)]
struct Newtype(i32);

#[derive(Decode)]
struct Positional(i32, i32);

fn main() {}
