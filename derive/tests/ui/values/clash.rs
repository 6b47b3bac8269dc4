//! A transparent type is a row already.

use kornak::{Decode, FromRow};

#[derive(Decode, FromRow)]
#[kornak(transparent)]
struct Id(i64);

#[derive(Decode, FromRow)]
enum Mood {
    Happy,
}

fn main() {}
