//! Fields that can't be written or read are told where they are.

use std::collections::BTreeMap;

use kornak::{Decode, Encode};

struct Other;

#[derive(Encode)]
struct Written {
    a: i32,
    b: Vec<BTreeMap<i32, i32>>,
    #[kornak(skip)]
    c: Other,
}

#[derive(Decode)]
struct Read {
    a: i32,
    b: Vec<Other>,
    #[kornak(skip)]
    c: Other,
    #[kornak(default)]
    d: kornak::Date,
}

#[derive(Decode)]
struct Borrowed {
    a: Option<&'static str>,
}

#[derive(Decode)]
#[kornak(transparent)]
struct BorrowedToo(&'static [u8]);

fn main() {}
