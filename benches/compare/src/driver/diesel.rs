//! diesel-async, with queries in diesel's language, as its documentation shows them. It has no
//! COPY.

use diesel::prelude::*;
use diesel::sql_types::Integer;
use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use futures_util::{TryStreamExt, future};

use super::{Driver, PoolDriver, Target};
use crate::Result;
use crate::work::{Seen, Wide, World};

mod schema {
    diesel::table! {
        kornak_bench.world (id) { id -> Integer, random_number -> Integer, }
    }
    diesel::table! {
        kornak_bench.types (typarray) {
            typname -> Text, typnamespace -> Oid, typowner -> Oid, typlen -> SmallInt,
            typbyval -> Bool, typcategory -> CChar, typispreferred -> Bool,
            typisdefined -> Bool, typdelim -> CChar, typrelid -> Oid, typelem -> Oid,
            typarray -> Oid,
        }
    }
    diesel::table! {
        kornak_bench.integers (n) { n -> Integer, }
    }
    diesel::table! {
        kornak_bench.blobs (body) { body -> Binary, }
    }
    diesel::table! {
        kornak_bench.arrays (id) { id -> Integer, body -> Array<Integer>, }
    }
    diesel::table! {
        kornak_bench.stream (id) { id -> BigInt, name -> Text, value -> Double, }
    }
    diesel::table! {
        kornak_bench.sink (id) { id -> BigInt, name -> Text, value -> Double, }
    }
}

use self::schema::{arrays, blobs, integers, sink, stream, types};

/// A connection of diesel-async.
pub struct Diesel {
    connection: AsyncPgConnection,
}

impl Driver for Diesel {
    const NAME: &'static str = "diesel-async";
    // Its TLS is set up by code of one's own around tokio-postgres, which is measured by itself.
    const TLS: bool = false;

    async fn connect(target: &Target) -> Result<Self> {
        let connection = AsyncPgConnection::establish(&target.url()).await?;
        Ok(Self { connection })
    }

    async fn close(self) -> Result<()> {
        Ok(())
    }

    async fn select_one(&mut self) -> Result<i32> {
        let query = diesel::select(1.into_sql::<Integer>());
        Ok(query.get_result(&mut self.connection).await?)
    }

    async fn lookup(&mut self, id: i32) -> Result<World> {
        lookup(&mut self.connection, id).await
    }

    async fn wide(&mut self) -> Result<Vec<Wide>> {
        let rows = types::table.load_stream(&mut self.connection).await?;
        Ok(rows.map_ok(wide).try_collect().await?)
    }

    async fn integers(&mut self) -> Result<Vec<i32>> {
        let query = integers::table.select(integers::n).order(integers::n);
        Ok(query.load(&mut self.connection).await?)
    }

    async fn blobs_owned(&mut self) -> Result<Vec<Vec<u8>>> {
        Ok(blobs::table
            .select(blobs::body)
            .load(&mut self.connection)
            .await?)
    }

    async fn arrays(&mut self) -> Result<Vec<Vec<i32>>> {
        let query = arrays::table.select(arrays::body).order(arrays::id);
        Ok(query.load(&mut self.connection).await?)
    }

    async fn pipeline_each(&mut self, ids: &[i32]) -> Result<i64> {
        let connection = &self.connection;
        let lookups = ids.iter().map(|&id| async move {
            let mut shared = connection;
            lookup(&mut shared, id).await
        });
        let worlds = future::try_join_all(lookups).await?;
        let numbers = worlds.iter().map(|world| i64::from(world.random_number));
        Ok(numbers.sum())
    }

    async fn far(&mut self, ids: &[i32]) -> Result<i64> {
        self.pipeline_each(ids).await
    }

    async fn inserts(&mut self, rows: &[(i64, String, f64)]) -> Result<u64> {
        let values: Vec<_> = rows
            .iter()
            .map(|(id, name, value)| (sink::id.eq(id), sink::name.eq(name), sink::value.eq(value)))
            .collect();
        let insert = diesel::insert_into(sink::table).values(&values);
        Ok(insert.execute(&mut self.connection).await? as u64)
    }

    async fn stream(&mut self, rows: i64) -> Result<Seen> {
        let query = stream::table.filter(stream::id.le(rows));
        let mut rows = query
            .load_stream::<(i64, String, f64)>(&mut self.connection)
            .await?;
        let mut seen = Seen::default();
        while let Some((id, name, value)) = rows.try_next().await? {
            seen.row(id, &name, value);
        }
        Ok(seen)
    }
}

async fn lookup<C>(connection: &mut C, id: i32) -> Result<World>
where
    C: diesel_async::AsyncConnectionCore<Backend = diesel::pg::Pg> + Send,
{
    let query = schema::world::table.find(id);
    let (id, random_number) = query.get_result(connection).await?;
    Ok(World { id, random_number })
}

/// A row of W3 as diesel reads it.
#[derive(Queryable)]
struct Columns {
    typname: String,
    typnamespace: u32,
    typowner: u32,
    typlen: i16,
    typbyval: bool,
    typcategory: u8,
    typispreferred: bool,
    typisdefined: bool,
    typdelim: u8,
    typrelid: u32,
    typelem: u32,
    typarray: u32,
}

fn wide(row: Columns) -> Wide {
    Wide {
        typname: row.typname,
        typnamespace: row.typnamespace,
        typowner: row.typowner,
        typlen: row.typlen,
        typbyval: row.typbyval,
        typcategory: row.typcategory as i8,
        typispreferred: row.typispreferred,
        typisdefined: row.typisdefined,
        typdelim: row.typdelim as i8,
        typrelid: row.typrelid,
        typelem: row.typelem,
        typarray: row.typarray,
    }
}

/// deadpool, as diesel-async brings it.
#[derive(Clone)]
pub struct DieselPool {
    pool: Pool<AsyncPgConnection>,
}

impl PoolDriver for DieselPool {
    const NAME: &'static str = "diesel-async";
    const TLS: bool = false;

    async fn open(target: &Target, size: usize) -> Result<Self> {
        let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(target.url());
        let pool = Pool::builder(manager).max_size(size).build()?;
        Ok(Self { pool })
    }

    async fn lookup(&self, id: i32) -> Result<World> {
        let mut connection = self.pool.get().await?;
        lookup(&mut *connection, id).await
    }
}
