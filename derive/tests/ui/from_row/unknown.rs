//! Unknown attributes suggest the one that was meant, all at once.

use kornak::FromRow;

#[derive(FromRow)]
#[kornak(rename_al = "camelCase")]
struct World {
    #[kornak(renam = "x")]
    id: i32,
    #[kornak(column = "y")]
    random: i32,
    #[kornak(rename_all = "snake_case")]
    other: i32,
    #[kornak(transparent)]
    another: i32,
}

#[derive(FromRow)]
#[kornak(rename_all = "camelcase")]
struct Cases {
    a: i32,
}

#[derive(FromRow)]
#[kornak(rename_all = "sPoNgE")]
struct Sponge {
    a: i32,
}

#[derive(FromRow)]
#[kornak(rename = "worlds")]
struct Table {
    a: i32,
}

fn main() {}
