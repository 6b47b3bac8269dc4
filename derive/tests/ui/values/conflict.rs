//! Attributes that exclude each other, and names that are given twice.

use kornak::{Decode, Encode};

#[derive(Encode)]
enum Labels {
    Happy,
    #[kornak(rename = "Happy")]
    Glad,
}

#[derive(Decode)]
struct Fields {
    a: i32,
    #[kornak(rename = "a")]
    b: i32,
    #[kornak(skip, rename = "c")]
    c: i32,
    #[kornak(flatten)]
    d: (),
}

#[derive(Encode)]
#[kornak(transparent)]
enum Enum {
    A,
}

#[derive(Decode)]
#[kornak(transparent, name = "zip")]
struct Zip(#[kornak(rename = "x")] i32);

#[derive(Encode)]
#[kornak(transparent)]
struct Two(i32, i32);

#[derive(Encode)]
#[kornak(transparent)]
struct Nothing(#[kornak(skip)] i32);

fn main() {}
