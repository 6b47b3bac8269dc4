//! What can't be parameters.

use std::collections::BTreeMap;

use kornak::Params;

#[derive(Params)]
enum Mood {
    Happy,
}

#[derive(Params)]
struct World {
    id: i32,
    map: BTreeMap<String, i32>,
    #[kornak(flatten)]
    pair: (i32, i32),
    #[kornak(skipp)]
    last: i32,
}

#[derive(Params)]
struct Undecided {
    id: i32,
    map: Option<BTreeMap<String, i32>>,
    #[kornak(flatten)]
    pair: (i32, i32),
}

fn main() {}
