//! Attributes that are not written as they should be.

use kornak::FromRow;

#[derive(FromRow)]
struct World {
    #[kornak]
    a: i32,
    #[kornak(rename)]
    b: i32,
    #[kornak(rename = b)]
    c: i32,
    #[kornak(rename = "")]
    d: i32,
    #[kornak(skip = true)]
    e: i32,
    #[kornak(default = 1)]
    f: i32,
    #[kornak(rename = "x", rename = "y")]
    g: i32,
    #[kornak(default)]
    #[kornak(default)]
    h: i32,
}

fn main() {}
