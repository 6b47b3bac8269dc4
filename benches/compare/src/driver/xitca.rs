//! xitca-postgres, with each statement prepared once. Its TLS trusts the public authorities
//! alone. It has no writer of binary COPY.

use std::future::IntoFuture;
use std::sync::Arc;

use tokio::task::JoinHandle;
use xitca_postgres::config::SslMode;
use xitca_postgres::iter::AsyncLendingIterator;
use xitca_postgres::pool::Pool;
use xitca_postgres::row::Row;
use xitca_postgres::types::{ToSql, Type};
use xitca_postgres::{Client, Config, Execute, Postgres, Statement};

use super::{Driver, Place, PoolDriver, Target};
use crate::Result;
use crate::work::{self, Seen, Wide, World};

/// A client of xitca-postgres, whose other half is a task.
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
    task: JoinHandle<()>,
}

impl Driver for Xitca {
    const NAME: &'static str = "xitca-postgres";
    const TLS: bool = false;

    async fn connect(target: &Target) -> Result<Self> {
        let (client, task) = open(target).await?;
        Ok(Self {
            one: prepare(&client, work::SELECT_ONE, &[]).await?,
            lookup: prepare(&client, work::LOOKUP, &[Type::INT4]).await?,
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
        Ok(task.await?)
    }

    async fn connect_and_ask(&mut self, target: &Target) -> Result<i32> {
        let (client, task) = open(target).await?;
        let query = Statement::named(work::SELECT_ONE, &[]).bind_none();
        let one = {
            let mut rows = query.query(&client).await?;
            rows.try_next().await?.ok_or("no row")?.try_get(0)?
        };
        drop(client);
        task.await?;
        Ok(one)
    }

    async fn select_one(&mut self) -> Result<i32> {
        let mut rows = self.one.query(&self.client).await?;
        Ok(rows.try_next().await?.ok_or("no row")?.try_get(0)?)
    }

    async fn lookup(&mut self, id: i32) -> Result<World> {
        let mut rows = self.lookup.bind([id]).query(&self.client).await?;
        world(&rows.try_next().await?.ok_or("no row")?)
    }

    async fn wide(&mut self) -> Result<Vec<Wide>> {
        let mut rows = self.wide.query(&self.client).await?;
        let mut wides = Vec::new();
        while let Some(row) = rows.try_next().await? {
            wides.push(wide(&row)?);
        }
        Ok(wides)
    }

    async fn integers(&mut self) -> Result<Vec<i32>> {
        let mut rows = self.integers.query(&self.client).await?;
        let mut integers = Vec::new();
        while let Some(row) = rows.try_next().await? {
            integers.push(row.try_get(0)?);
        }
        Ok(integers)
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
        let mut blobs = Vec::new();
        while let Some(row) = rows.try_next().await? {
            blobs.push(row.try_get(0)?);
        }
        Ok(blobs)
    }

    async fn arrays(&mut self) -> Result<Vec<Vec<i32>>> {
        let mut rows = self.arrays.query(&self.client).await?;
        let mut arrays = Vec::new();
        while let Some(row) = rows.try_next().await? {
            arrays.push(row.try_get(0)?);
        }
        Ok(arrays)
    }

    async fn pipeline_each(&mut self, ids: &[i32]) -> Result<i64> {
        // A query is sent when it is made, not when its rows are awaited.
        let mut replies = Vec::with_capacity(ids.len());
        for &id in ids {
            replies.push(self.lookup.bind([id]).query(&self.client).await?);
        }
        let mut sum = 0;
        for mut rows in replies {
            let row = rows.try_next().await?.ok_or("no row")?;
            sum += i64::from(world(&row)?.random_number);
        }
        Ok(sum)
    }

    async fn far(&mut self, ids: &[i32]) -> Result<i64> {
        self.pipeline_each(ids).await
    }

    async fn inserts(&mut self, rows: &[(i64, String, f64)]) -> Result<u64> {
        let transaction = self.client.transaction().await?;
        let mut replies = Vec::with_capacity(rows.len());
        for (id, name, value) in rows {
            let values: [&(dyn ToSql + Sync); 3] = [id, name, value];
            // It is sent here, too.
            replies.push(self.insert.bind_dyn(&values).execute(&transaction));
        }
        let mut done = 0;
        for reply in replies {
            done += reply.await?;
        }
        transaction.commit().await?;
        Ok(done)
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

    async fn visit(&mut self, rows: i64) -> Result<Seen> {
        let mut rows = self.stream.bind([rows]).query(&self.client).await?;
        let mut seen = Seen::default();
        while let Some(row) = rows.try_next().await? {
            seen.row(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        }
        Ok(seen)
    }
}

async fn open(target: &Target) -> Result<(Client, JoinHandle<()>)> {
    let (client, driver) = Postgres::new(config(target)).connect().await?;
    let task = tokio::spawn(async move {
        // An error shows at the client, too.
        let _ = driver.into_future().await;
    });
    Ok((client, task))
}

/// Its URLs have no place for a Unix socket, which it wants the file of.
fn config(target: &Target) -> Config {
    let mut config = Config::new();
    config
        .user(&target.user)
        .password(&target.password)
        .dbname(&target.database)
        .port(target.port)
        .ssl_mode(SslMode::Disable);
    match &target.place {
        Place::Socket(folder) => config.host_path(folder.join(format!(".s.PGSQL.{}", target.port))),
        Place::Tcp(host) | Place::Tls(host, _) => config.host(host),
    };
    config
}

async fn prepare(client: &Client, sql: &str, types: &[Type]) -> Result<Statement> {
    Ok(Statement::named(sql, types).execute(client).await?.leak())
}

fn world(row: &Row<'_>) -> Result<World> {
    Ok(World {
        id: row.try_get(0)?,
        random_number: row.try_get(1)?,
    })
}

fn wide(row: &Row<'_>) -> Result<Wide> {
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

/// The pool of xitca-postgres, which keeps statements.
#[derive(Clone)]
pub struct XitcaPool {
    pool: Arc<Pool>,
}

impl PoolDriver for XitcaPool {
    const NAME: &'static str = "xitca-postgres";
    const TLS: bool = false;

    async fn open(target: &Target, size: usize) -> Result<Self> {
        let pool = Pool::builder(config(target)).capacity(size).build()?;
        Ok(Self {
            pool: Arc::new(pool),
        })
    }

    async fn lookup(&self, id: i32) -> Result<World> {
        let mut connection = self.pool.get().await?;
        let statement = Statement::named(work::LOOKUP, &[Type::INT4])
            .execute(&mut connection)
            .await?;
        let mut rows = statement.bind([id]).query(&connection).await?;
        world(&rows.try_next().await?.ok_or("no row")?)
    }
}
