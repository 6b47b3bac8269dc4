//! A field whose type can't be read is told at the field.

use std::collections::BTreeMap;

use kornak::FromRow;

#[derive(FromRow)]
struct World {
    id: i32,
    map: BTreeMap<String, String>,
}

#[derive(FromRow)]
struct Pair(i32, Option<BTreeMap<i32, i32>>);

fn main() {}
