//! No column is read twice.

use kornak::FromRow;

#[derive(FromRow)]
struct World {
    id: i32,
    #[kornak(rename = "id")]
    other: i64,
}

#[derive(FromRow)]
#[kornak(rename_all = "lowercase")]
struct Cases {
    user_id: i32,
    userid: i32,
    #[kornak(skip)]
    useri_d: i32,
}

fn main() {}
