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

fn owned<T: for<'r> FromRow<'r>>() {}

async fn example(connection: &mut kornak::Connection) {
    let _: Vec<Borrowed<'_>> = connection.fetch_all("select name from t", ()).await.unwrap();
}

fn main() {
    owned::<Borrowed<'_>>();
}
