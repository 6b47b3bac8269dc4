//! What a default needs.

use kornak::FromRow;

struct NoDefault;

fn text() -> String {
    String::new()
}

fn of_one(_: i32) -> i32 {
    1
}

#[derive(FromRow)]
struct World {
    #[kornak(skip)]
    a: NoDefault,
    #[kornak(default = text)]
    b: i32,
    #[kornak(default = missing)]
    c: i32,
    #[kornak(default = of_one)]
    d: i32,
    #[kornak(default)]
    e: kornak::Date,
}

fn main() {}
