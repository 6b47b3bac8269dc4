//! tokio-postgres, with each statement prepared once and kept by the caller.

use std::pin::pin;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use futures_util::{StreamExt, TryStreamExt, future};
use tokio::task::JoinHandle;
use tokio_postgres::binary_copy::{BinaryCopyInWriter, BinaryCopyOutStream};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls, Row, Statement};

#[cfg(feature = "tls")]
use super::Place;
use super::{Driver, PoolDriver, Target};
use crate::Result;
use crate::work::{self, Event, Seen, Wide, World};

/// A connection of tokio-postgres, whose other half is a task.
pub struct TokioPostgres {
    client: Client,
    one: Statement,
    lookup: Statement,
    wide: Statement,
    integers: Statement,
    blobs: Statement,
    arrays: Statement,
    stream: Statement,
    insert: Statement,
    task: JoinHandle<Result<(), tokio_postgres::Error>>,
    /// Of W13.
    pool: Option<Deadpool>,
}

impl Driver for TokioPostgres {
    const NAME: &'static str = "tokio-postgres";

    async fn connect(target: &Target) -> Result<Self> {
        let (client, task) = open(target).await?;
        Ok(Self {
            one: client.prepare(work::SELECT_ONE).await?,
            lookup: client.prepare(work::LOOKUP).await?,
            wide: client.prepare(work::WIDE).await?,
            integers: client.prepare(work::INTEGERS).await?,
            blobs: client.prepare(work::BLOBS_SQL).await?,
            arrays: client.prepare(work::ARRAYS_SQL).await?,
            stream: client.prepare(work::STREAM).await?,
            insert: client.prepare(work::INSERT).await?,
            client,
            task,
            pool: None,
        })
    }

    async fn close(self) -> Result<()> {
        let Self { client, task, .. } = self;
        drop(client);
        Ok(task.await??)
    }

    async fn checkout(&mut self, target: &Target) -> Result<()> {
        let pool = match &mut self.pool {
            Some(pool) => pool,
            none => none.insert(Deadpool::open(target, 1).await?),
        };
        drop(pool.pool.get().await?);
        Ok(())
    }

    async fn connect_and_ask(&mut self, target: &Target) -> Result<i32> {
        let (client, task) = open(target).await?;
        let one = client.query_one(work::SELECT_ONE, &[]).await?.try_get(0)?;
        drop(client);
        task.await??;
        Ok(one)
    }

    async fn select_one(&mut self) -> Result<i32> {
        Ok(self.client.query_one(&self.one, &[]).await?.try_get(0)?)
    }

    async fn lookup(&mut self, id: i32) -> Result<World> {
        lookup(&self.client, &self.lookup, id).await
    }

    async fn wide(&mut self) -> Result<Vec<Wide>> {
        let rows = self.client.query_raw(&self.wide, NONE).await?;
        rows.map(|row| wide(&row?)).try_collect().await
    }

    async fn integers(&mut self) -> Result<Vec<i32>> {
        let rows = self.client.query_raw(&self.integers, NONE).await?;
        Ok(rows
            .map(|row| row?.try_get::<_, i32>(0))
            .try_collect()
            .await?)
    }

    async fn blobs_borrowed(&mut self) -> Result<u64> {
        let mut rows = pin!(self.client.query_raw(&self.blobs, NONE).await?);
        let mut seen = 0;
        while let Some(row) = rows.try_next().await? {
            let blob: &[u8] = row.try_get(0)?;
            seen += blob.len() as u64 + u64::from(blob[0]);
        }
        Ok(seen)
    }

    async fn blobs_owned(&mut self) -> Result<Vec<Vec<u8>>> {
        let rows = self.client.query_raw(&self.blobs, NONE).await?;
        Ok(rows
            .map(|row| row?.try_get::<_, Vec<u8>>(0))
            .try_collect()
            .await?)
    }

    async fn arrays(&mut self) -> Result<Vec<Vec<i32>>> {
        let rows = self.client.query_raw(&self.arrays, NONE).await?;
        Ok(rows
            .map(|row| row?.try_get::<_, Vec<i32>>(0))
            .try_collect()
            .await?)
    }

    async fn pipeline_each(&mut self, ids: &[i32]) -> Result<i64> {
        let lookups = ids.iter().map(|&id| lookup(&self.client, &self.lookup, id));
        let worlds = future::try_join_all(lookups).await?;
        Ok(worlds
            .iter()
            .map(|world| i64::from(world.random_number))
            .sum())
    }

    async fn far(&mut self, ids: &[i32]) -> Result<i64> {
        self.pipeline_each(ids).await
    }

    async fn inserts(&mut self, rows: &[(i64, String, f64)]) -> Result<u64> {
        let transaction = self.client.transaction().await?;
        let insert = &self.insert;
        let inserts = rows.iter().map(|(id, name, value)| {
            let transaction = &transaction;
            async move {
                let parameters: [&(dyn ToSql + Sync); 3] = [id, name, value];
                transaction.execute(insert, &parameters).await
            }
        });
        let done = future::try_join_all(inserts).await?;
        transaction.commit().await?;
        Ok(done.iter().sum())
    }

    async fn copy_in(&mut self, events: &[Event]) -> Result<u64> {
        let sink = self.client.copy_in::<_, Bytes>(work::COPY_IN).await?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &EVENT_TYPES));
        for event in events {
            let moment = time_of(event.moment_us);
            writer
                .as_mut()
                .write(&[&event.id, &event.name, &moment])
                .await?;
        }
        Ok(writer.finish().await?)
    }

    async fn copy_out(&mut self) -> Result<Seen> {
        let stream = self.client.copy_out(work::COPY_OUT).await?;
        let mut rows = pin!(BinaryCopyOutStream::new(stream, &EVENT_TYPES));
        let mut seen = Seen::default();
        while let Some(row) = rows.try_next().await? {
            let name: String = row.try_get(1)?;
            seen.event(row.try_get(0)?, &name, moment_of(row.try_get(2)?));
        }
        Ok(seen)
    }

    async fn visit(&mut self, rows: i64) -> Result<Seen> {
        let mut rows = pin!(self.client.query_raw(&self.stream, [rows]).await?);
        let mut seen = Seen::default();
        while let Some(row) = rows.try_next().await? {
            seen.row(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        }
        Ok(seen)
    }

    async fn stream(&mut self, rows: i64) -> Result<Seen> {
        let mut rows = pin!(self.client.query_raw(&self.stream, [rows]).await?);
        let mut seen = Seen::default();
        while let Some(row) = rows.try_next().await? {
            let name: String = row.try_get(1)?;
            seen.row(row.try_get(0)?, &name, row.try_get(2)?);
        }
        Ok(seen)
    }
}

async fn open(target: &Target) -> Result<(Client, JoinHandle<Result<(), tokio_postgres::Error>>)> {
    let url = target.url();
    match &target.place {
        #[cfg(feature = "tls")]
        Place::Tls(_, root) => {
            let tls = tls(root)?;
            let (client, connection) = tokio_postgres::connect(&url, tls).await?;
            Ok((client, tokio::spawn(connection)))
        }
        _ => {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
            Ok((client, tokio::spawn(connection)))
        }
    }
}

#[cfg(feature = "tls")]
fn tls(root: &std::path::Path) -> Result<tokio_postgres_rustls::MakeRustlsConnect> {
    let config = (*crate::tls::client(root)?).clone();
    Ok(tokio_postgres_rustls::MakeRustlsConnect::new(config))
}

/// The columns of W9.
const EVENT_TYPES: [Type; 3] = [Type::INT4, Type::TEXT, Type::TIMESTAMPTZ];

/// A `timestamptz` as `postgres-types` has it without its features.
pub(super) fn time_of(moment_us: i64) -> SystemTime {
    let since = Duration::from_micros((moment_us + work::EPOCH_US).unsigned_abs());
    SystemTime::UNIX_EPOCH + since
}

/// What [`time_of`] is made of.
pub(super) fn moment_of(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as i64) - work::EPOCH_US
}

/// No parameters, as `query_raw` wants them.
const NONE: [i32; 0] = [];

async fn lookup(client: &Client, statement: &Statement, id: i32) -> Result<World> {
    let row = client.query_one(statement, &[&id]).await?;
    Ok(World {
        id: row.try_get(0)?,
        random_number: row.try_get(1)?,
    })
}

fn wide(row: &Row) -> Result<Wide> {
    Ok(Wide {
        typname: row.try_get(0)?,
        typnamespace: row.try_get(1)?,
        typowner: row.try_get(2)?,
        typlen: row.try_get(3)?,
        typbyval: row.try_get(4)?,
        typcategory: row.try_get(5)?,
        typispreferred: row.try_get(6)?,
        typisdefined: row.try_get(7)?,
        typdelim: row.try_get(8)?,
        typrelid: row.try_get(9)?,
        typelem: row.try_get(10)?,
        typarray: row.try_get(11)?,
    })
}

/// deadpool with its own cache of statements, connections returned unchecked as its
/// documentation says is fastest.
#[derive(Clone)]
pub struct Deadpool {
    pool: Pool,
}

impl PoolDriver for Deadpool {
    const NAME: &'static str = "tokio-postgres";

    async fn open(target: &Target, size: usize) -> Result<Self> {
        let config = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let postgres = target.url().parse()?;
        let manager = match &target.place {
            #[cfg(feature = "tls")]
            Place::Tls(_, root) => Manager::from_config(postgres, tls(root)?, config),
            _ => Manager::from_config(postgres, NoTls, config),
        };
        let pool = Pool::builder(manager).max_size(size).build()?;
        Ok(Self { pool })
    }

    async fn lookup(&self, id: i32) -> Result<World> {
        let client = self.pool.get().await?;
        let statement = client.prepare_cached(work::LOOKUP).await?;
        lookup(&client, &statement, id).await
    }
}
