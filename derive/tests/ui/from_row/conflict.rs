//! Attributes that exclude each other.

use kornak::FromRow;

#[derive(FromRow)]
struct Inner {
    x: i32,
}

#[derive(FromRow)]
struct World {
    #[kornak(skip, rename = "x")]
    a: i32,
    #[kornak(skip, default)]
    b: i32,
    #[kornak(skip, flatten)]
    c: Inner,
    #[kornak(flatten, rename = "x")]
    d: Inner,
    #[kornak(flatten, default)]
    e: Inner,
    #[kornak(prefix = "x_")]
    f: i32,
}

#[derive(FromRow)]
#[kornak(transparent)]
struct Newtype(i32);

#[derive(FromRow)]
#[kornak(rename_all = "camelCase")]
struct Pair(#[kornak(rename = "x")] i32, #[kornak(default)] i32, #[kornak(flatten)] Inner);

fn main() {}
