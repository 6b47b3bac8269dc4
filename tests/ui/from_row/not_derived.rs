//! A struct that doesn't derive `FromRow` is told to.

struct World {
    id: i32,
}

async fn example(connection: &mut kornak::Connection) {
    let _: World = connection.fetch_one("select id from world", ()).await.unwrap();
}

fn main() {}
