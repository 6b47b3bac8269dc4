//! Attributes that are wrong, or in the wrong place.

use kornak::{Decode, Encode};

#[derive(Encode)]
#[kornak(names = "mood")]
enum Mood {
    #[kornak(label = "happy")]
    Happy,
    #[kornak(skip)]
    Sad,
}

#[derive(Decode)]
#[kornak(name = "a.b.c")]
struct Three {
    a: i32,
}

#[derive(Decode)]
#[kornak(name = "a.")]
struct NoName {
    a: i32,
}

#[derive(Decode)]
#[kornak(name = "\"a.b")]
struct NoEnd {
    a: i32,
}

#[derive(Decode)]
#[kornak(name = "")]
struct Empty {
    a: i32,
}

fn main() {}
