//! What borrows from a row can't outlive it.

use kornak::FromRow;

#[derive(FromRow)]
struct Forever {
    name: &'static str,
    note: Option<std::borrow::Cow<'static, str>>,
}

#[derive(FromRow)]
struct Borrowed<'a> {
    name: &'a str,
}

/// What the verbs that return rows ask for.
fn owned<T: for<'r> FromRow<'r>>() {}

fn main() {
    owned::<Borrowed<'_>>();
}
