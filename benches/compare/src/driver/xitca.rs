//! xitca-postgres, with each statement prepared once and kept by the caller, and with its own
//! pool, which keeps them itself.

use std::future::IntoFuture;
use std::sync::Arc;

use tokio::task::JoinHandle;
use xitca_postgres::iter::AsyncLendingIterator;
use xitca_postgres::pool::Pool;
use xitca_postgres::types::{ToSql, Type};
use xitca_postgres::{Client, Config, Error, Execute, Postgres, Statement};

use super::{Driver, Place, PoolDriver, Target, copy_text};
use crate::Result;
use crate::work::{self, Event, Seen, Wide, World};

/// A connection of xitca-postgres, whose other half is a task.
pub struct Xitca {
    client: Client,
    one: Statement,
    lookup: Statement,
    wide: Statement,
    integers: Statement,
    blobs: Statement,
    arrays: Statement,
    stream: Statement,
    insert: Statement,
    task: JoinHandle<Result<(), Error>>,
}

impl Driver for Xitca {
    const NAME: &'static str = "xitca-postgres";
    // It trusts the authorities of the web and no others.
    const TLS: bool = false;

    async fn connect(target: &Target) -> Result<Self> {
        let (client, task) = open(target).await?;
        Ok(Self {
            one: prepare(&client, work::SELECT_ONE, &[]).await?,
            lookup: prepare(&client, work::LOOKUP, &LOOKUP_TYPES).await?,
            wide: prepare(&client, work::WIDE, &[]).await?,
            integers: prepare(&client, work::INTEGERS, &[]).await?,
            blobs: prepare(&client, work::BLOBS_SQL, &[]).await?,
            arrays: prepare(&client, work::ARRAYS_SQL, &[]).await?,
            stream: prepare(&client, work::STREAM, &[Type::INT8]).await?,
            insert: prepare(
                &client,
                work::INSERT,
                &[Type::INT8, Type::TEXT, Type::FLOAT8],
            )
            .await?,
            client,
            task,
        })
    }

    async fn close(self) -> Result<()> {
        let Self { client, task, .. } = self;
        drop(client);
        Ok(task.await??)
    }

    async fn connect_and_ask(&mut self, target: &Target) -> Result<i32> {
        let (client, task) = open(target).await?;
        // A query that is not prepared beforehand, which takes one round trip.
        let query = Statement::named(work::SELECT_ONE, &[]).bind_none();
        let mut rows = query.query(&client).await?;
        let one = rows.try_next().await?.ok_or("no row")?.try_get(0)?;
        drop(rows);
        drop(client);
        task.await??;
        Ok(one)
    }

    async fn select_one(&mut self) -> Result<i32> {
        let mut rows = self.one.query(&self.client).await?;
        let row = rows.try_next().await?.ok_or("no row")?;
        Ok(row.try_get(0)?)
    }

    async fn lookup(&mut self, id: i32) -> Result<World> {
        let mut rows = self.lookup.bind([id]).query(&self.client).await?;
        let row = rows.try_next().await?.ok_or("no row")?;
        Ok(World {
            id: row.try_get(0)?,
            random_number: row.try_get(1)?,
        })
    }

    async fn wide(&mut self) -> Result<Vec<Wide>> {
        let mut rows = self.wide.query(&self.client).await?;
        let mut all = Vec::new();
        while let Some(row) = rows.try_next().await? {
            all.push(Wide {
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
            });
        }
        Ok(all)
    }

    async fn integers(&mut self) -> Result<Vec<i32>> {
        let mut rows = self.integers.query(&self.client).await?;
        let mut all = Vec::new();
        while let Some(row) = rows.try_next().await? {
            all.push(row.try_get(0)?);
        }
        Ok(all)
    }

    async fn blobs_borrowed(&mut self) -> Result<u64> {
        let mut rows = self.blobs.query(&self.client).await?;
        let mut seen = 0;
        while let Some(row) = rows.try_next().await? {
            let blob: &[u8] = row.try_get(0)?;
            seen += blob.len() as u64 + u64::from(blob[0]);
        }
        Ok(seen)
    }

    async fn blobs_owned(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut rows = self.blobs.query(&self.client).await?;
        let mut all = Vec::new();
        while let Some(row) = rows.try_next().await? {
            all.push(row.try_get(0)?);
        }
        Ok(all)
    }

    async fn arrays(&mut self) -> Result<Vec<Vec<i32>>> {
        let mut rows = self.arrays.query(&self.client).await?;
        let mut all = Vec::new();
        while let Some(row) = rows.try_next().await? {
            all.push(row.try_get(0)?);
        }
        Ok(all)
    }

    async fn pipeline_each(&mut self, ids: &[i32]) -> Result<i64> {
        // A query is sent when it is made, not when it is waited for.
        let mut lookups = Vec::with_capacity(ids.len());
        for id in ids {
            lookups.push(self.lookup.bind([*id]).query(&self.client).await?);
        }
        let mut sum = 0;
        for mut rows in lookups {
            let row = rows.try_next().await?.ok_or("no row")?;
            sum += i64::from(row.try_get::<i32>(1)?);
        }
        Ok(sum)
    }

    async fn far(&mut self, ids: &[i32]) -> Result<i64> {
        self.pipeline_each(ids).await
    }

    async fn inserts(&mut self, rows: &[(i64, String, f64)]) -> Result<u64> {
        let transaction = self.client.transaction().await?;
        let mut inserts = Vec::with_capacity(rows.len());
        for (id, name, value) in rows {
            let parameters: [&(dyn ToSql + Sync); 3] = [id, name, value];
            inserts.push(self.insert.bind_dyn(&parameters).execute(&transaction));
        }
        let mut done = 0;
        for insert in inserts {
            done += insert.await?;
        }
        transaction.commit().await?;
        Ok(done)
    }

    async fn copy_in(&mut self, events: &[Event]) -> Result<u64> {
        let statement = prepare(&self.client, copy_text::COPY_IN, &[]).await?;
        let mut copy = self.client.copy_in(&statement).await?;
        let mut lines = String::with_capacity(2 * copy_text::CHUNK);
        for event in events {
            copy_text::write_line(event, &mut lines)?;
            if lines.len() >= copy_text::CHUNK {
                copy.copy(lines.as_bytes())?;
                lines.clear();
                // It never waits for the server: without this it would send nothing meanwhile.
                tokio::task::yield_now().await;
            }
        }
        copy.copy(lines.as_bytes())?;
        let done = copy.finish().await?;
        drop(statement.into_guarded(&self.client));
        Ok(done)
    }

    async fn copy_out(&mut self) -> Result<Seen> {
        let statement = prepare(&self.client, copy_text::COPY_OUT, &[]).await?;
        let mut copy = self.client.copy_out(&statement).await?;
        let (mut seen, mut pending) = (Seen::default(), Vec::new());
        while let Some(bytes) = copy.try_next().await? {
            copy_text::read_lines(&mut pending, &bytes, &mut seen)?;
        }
        drop(statement.into_guarded(&self.client));
        Ok(seen)
    }

    async fn visit(&mut self, rows: i64) -> Result<Seen> {
        let mut rows = self.stream.bind([rows]).query(&self.client).await?;
        let mut seen = Seen::default();
        while let Some(row) = rows.try_next().await? {
            seen.row(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        }
        Ok(seen)
    }

    async fn stream(&mut self, rows: i64) -> Result<Seen> {
        let mut rows = self.stream.bind([rows]).query(&self.client).await?;
        let mut seen = Seen::default();
        while let Some(row) = rows.try_next().await? {
            let name: String = row.try_get(1)?;
            seen.row(row.try_get(0)?, &name, row.try_get(2)?);
        }
        Ok(seen)
    }
}

/// What W2 asks with.
const LOOKUP_TYPES: [Type; 1] = [Type::INT4];

async fn open(target: &Target) -> Result<(Client, JoinHandle<Result<(), Error>>)> {
    let (client, driver) = Postgres::new(config(target)?).connect().await?;
    Ok((client, tokio::spawn(driver.into_future())))
}

/// Its path of a Unix socket is the whole file's.
fn config(target: &Target) -> Result<Config> {
    let mut config = Config::new();
    config
        .user(&target.user)
        .password(&target.password)
        .dbname(&target.database)
        .port(target.port);
    match &target.place {
        Place::Socket(folder) => {
            config.host_path(folder.join(format!(".s.PGSQL.{}", target.port)));
        }
        Place::Tcp(host) => {
            config.host(host);
        }
        Place::Tls(..) => return Err("TLS isn't measured".into()),
    }
    Ok(config)
}

async fn prepare(client: &Client, sql: &str, types: &[Type]) -> Result<Statement> {
    let statement = Statement::named(sql, types).execute(client).await?;
    Ok(statement.leak())
}

/// Its own pool, with its own cache of statements.
#[derive(Clone)]
pub struct XitcaPool {
    pool: Arc<Pool>,
}

impl PoolDriver for XitcaPool {
    const NAME: &'static str = "xitca-postgres";
    const TLS: bool = false;

    async fn open(target: &Target, size: usize) -> Result<Self> {
        let pool = Pool::builder(config(target)?).capacity(size).build()?;
        Ok(Self {
            pool: Arc::new(pool),
        })
    }

    async fn lookup(&self, id: i32) -> Result<World> {
        let query = Statement::named(work::LOOKUP, &LOOKUP_TYPES).bind([id]);
        let mut rows = query.query(&*self.pool).await?;
        let row = rows.try_next().await?.ok_or("no row")?;
        Ok(World {
            id: row.try_get(0)?,
            random_number: row.try_get(1)?,
        })
    }
}
