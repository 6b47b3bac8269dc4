//! sqlx, with its own cache of statements. Its COPY takes and gives bytes, in whatever format
//! the caller makes of them.

use futures_util::TryStreamExt;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow, PgSslMode};
use sqlx::{Connection, FromRow, Row};

use super::{Driver, Place, PoolDriver, Target, copy_text};
use crate::Result;
use crate::work::{self, Event, Seen, Wide, World};

/// A connection of sqlx.
pub struct Sqlx {
    connection: PgConnection,
}

impl Driver for Sqlx {
    const NAME: &'static str = "sqlx";

    async fn connect(target: &Target) -> Result<Self> {
        let connection = PgConnection::connect_with(&options(target)).await?;
        Ok(Self { connection })
    }

    async fn close(self) -> Result<()> {
        Ok(self.connection.close().await?)
    }

    async fn select_one(&mut self) -> Result<i32> {
        let query = sqlx::query_scalar(work::SELECT_ONE);
        Ok(query.fetch_one(&mut self.connection).await?)
    }

    async fn lookup(&mut self, id: i32) -> Result<World> {
        let query = sqlx::query_as(work::LOOKUP).bind(id);
        Ok(query.fetch_one(&mut self.connection).await?)
    }

    async fn wide(&mut self) -> Result<Vec<Wide>> {
        let query = sqlx::query_as(work::WIDE);
        Ok(query.fetch_all(&mut self.connection).await?)
    }

    async fn integers(&mut self) -> Result<Vec<i32>> {
        let query = sqlx::query_scalar(work::INTEGERS);
        Ok(query.fetch_all(&mut self.connection).await?)
    }

    async fn blobs_borrowed(&mut self) -> Result<u64> {
        let mut rows = sqlx::query(work::BLOBS_SQL).fetch(&mut self.connection);
        let mut seen = 0;
        while let Some(row) = rows.try_next().await? {
            let blob: &[u8] = row.try_get(0)?;
            seen += blob.len() as u64 + u64::from(blob[0]);
        }
        Ok(seen)
    }

    async fn blobs_owned(&mut self) -> Result<Vec<Vec<u8>>> {
        let query = sqlx::query_scalar(work::BLOBS_SQL);
        Ok(query.fetch_all(&mut self.connection).await?)
    }

    async fn arrays(&mut self) -> Result<Vec<Vec<i32>>> {
        let query = sqlx::query_scalar(work::ARRAYS_SQL);
        Ok(query.fetch_all(&mut self.connection).await?)
    }

    async fn inserts(&mut self, rows: &[(i64, String, f64)]) -> Result<u64> {
        let mut transaction = self.connection.begin().await?;
        let mut done = 0;
        for (id, name, value) in rows {
            let query = sqlx::query(work::INSERT).bind(id).bind(name).bind(value);
            done += query.execute(&mut *transaction).await?.rows_affected();
        }
        transaction.commit().await?;
        Ok(done)
    }

    async fn copy_in(&mut self, events: &[Event]) -> Result<u64> {
        let mut copy = self.connection.copy_in_raw(copy_text::COPY_IN).await?;
        let mut lines = String::with_capacity(2 * copy_text::CHUNK);
        for event in events {
            copy_text::write_line(event, &mut lines)?;
            if lines.len() >= copy_text::CHUNK {
                copy.send(lines.as_bytes()).await?;
                lines.clear();
            }
        }
        copy.send(lines.as_bytes()).await?;
        Ok(copy.finish().await?)
    }

    async fn copy_out(&mut self) -> Result<Seen> {
        let mut copy = self.connection.copy_out_raw(copy_text::COPY_OUT).await?;
        let (mut seen, mut pending) = (Seen::default(), Vec::new());
        while let Some(bytes) = copy.try_next().await? {
            copy_text::read_lines(&mut pending, &bytes, &mut seen)?;
        }
        Ok(seen)
    }

    async fn visit(&mut self, rows: i64) -> Result<Seen> {
        let mut rows = sqlx::query(work::STREAM)
            .bind(rows)
            .fetch(&mut self.connection);
        let mut seen = Seen::default();
        while let Some(row) = rows.try_next().await? {
            seen.row(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        }
        Ok(seen)
    }

    async fn stream(&mut self, rows: i64) -> Result<Seen> {
        let mut rows = sqlx::query_as::<_, (i64, String, f64)>(work::STREAM)
            .bind(rows)
            .fetch(&mut self.connection);
        let mut seen = Seen::default();
        while let Some((id, name, value)) = rows.try_next().await? {
            seen.row(id, &name, value);
        }
        Ok(seen)
    }
}

impl FromRow<'_, PgRow> for World {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            random_number: row.try_get("random_number")?,
        })
    }
}

impl FromRow<'_, PgRow> for Wide {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            typname: row.try_get("typname")?,
            typnamespace: row.try_get::<Oid, _>("typnamespace")?.0,
            typowner: row.try_get::<Oid, _>("typowner")?.0,
            typlen: row.try_get("typlen")?,
            typbyval: row.try_get("typbyval")?,
            typcategory: row.try_get("typcategory")?,
            typispreferred: row.try_get("typispreferred")?,
            typisdefined: row.try_get("typisdefined")?,
            typdelim: row.try_get("typdelim")?,
            typrelid: row.try_get::<Oid, _>("typrelid")?.0,
            typelem: row.try_get::<Oid, _>("typelem")?.0,
            typarray: row.try_get::<Oid, _>("typarray")?.0,
        })
    }
}

/// Its URLs have no place for the folder of a socket beside a port.
fn options(target: &Target) -> PgConnectOptions {
    let options = PgConnectOptions::new_without_pgpass()
        .port(target.port)
        .username(&target.user)
        .password(&target.password)
        .database(&target.database)
        .ssl_mode(PgSslMode::Disable);
    match &target.place {
        Place::Socket(folder) => options.socket(folder),
        Place::Tcp(host) => options.host(host),
        Place::Tls(host, root) => options
            .host(host)
            .ssl_mode(PgSslMode::VerifyFull)
            .ssl_root_cert(root),
    }
}

/// The pool of sqlx, as it is by default.
#[derive(Clone)]
pub struct SqlxPool {
    pool: PgPool,
}

impl PoolDriver for SqlxPool {
    const NAME: &'static str = "sqlx";

    async fn open(target: &Target, size: usize) -> Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(size as u32)
            .connect_with(options(target))
            .await?;
        Ok(Self { pool })
    }

    async fn lookup(&self, id: i32) -> Result<World> {
        Ok(sqlx::query_as(work::LOOKUP)
            .bind(id)
            .fetch_one(&self.pool)
            .await?)
    }
}
