//! A struct that doesn't derive `FromRow` is told to.

use kornak::FromRow;

struct World {
    id: i32,
}

fn owned<T: for<'r> FromRow<'r>>() {}

fn main() {
    owned::<World>();
}
