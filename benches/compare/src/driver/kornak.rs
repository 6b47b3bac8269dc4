//! Kornak.

use kornak::{Connection, Params, Pool, RowRef, TimestampTz, one};

use super::{Driver, Place, PoolDriver, Target};
use crate::Result;
use crate::work::{self, Event, Seen, Wide, World};

/// A connection of Kornak.
pub struct Kornak {
    connection: Connection,
    /// Of W11: it keeps what SCRAM derives, and no connection for a second use.
    /// Of W13: it keeps one.
    pool: Option<Pool>,
}

impl Driver for Kornak {
    const NAME: &'static str = "kornak";

    async fn connect(target: &Target) -> Result<Self> {
        let connection = Connection::connect(url(target).as_str()).await?;
        Ok(Self {
            connection,
            pool: None,
        })
    }

    async fn close(self) -> Result<()> {
        self.connection.close().await;
        Ok(())
    }

    async fn connect_and_ask(&mut self, target: &Target) -> Result<i32> {
        if self.pool.is_none() {
            let pool = Pool::builder().max_size(1).max_uses(Some(1));
            self.pool = Some(pool.build(url(target).as_str())?);
        }
        let pool = self.pool.as_ref().ok_or("no pool")?;
        Ok(pool.fetch_one(work::SELECT_ONE, ()).await?)
    }

    async fn checkout(&mut self, target: &Target) -> Result<()> {
        if self.pool.is_none() {
            self.pool = Some(Pool::connect(url(target).as_str()).await?);
        }
        let pool = self.pool.as_ref().ok_or("no pool")?;
        drop(pool.acquire().await?);
        Ok(())
    }

    async fn select_one(&mut self) -> Result<i32> {
        Ok(self.connection.fetch_one(work::SELECT_ONE, ()).await?)
    }

    async fn lookup(&mut self, id: i32) -> Result<World> {
        Ok(self.connection.fetch_one(work::LOOKUP, (id,)).await?)
    }

    async fn wide(&mut self) -> Result<Vec<Wide>> {
        Ok(self.connection.fetch_all(work::WIDE, ()).await?)
    }

    async fn integers(&mut self) -> Result<Vec<i32>> {
        Ok(self.connection.fetch_all(work::INTEGERS, ()).await?)
    }

    async fn blobs_borrowed(&mut self) -> Result<u64> {
        let mut seen = 0;
        let visit = |row: RowRef<'_>| {
            let blob: &[u8] = row.read()?;
            seen += blob.len() as u64 + u64::from(blob[0]);
            Ok::<_, kornak::Error>(())
        };
        self.connection.for_each(work::BLOBS_SQL, (), visit).await?;
        Ok(seen)
    }

    async fn blobs_owned(&mut self) -> Result<Vec<Vec<u8>>> {
        Ok(self.connection.fetch_all(work::BLOBS_SQL, ()).await?)
    }

    async fn arrays(&mut self) -> Result<Vec<Vec<i32>>> {
        Ok(self.connection.fetch_all(work::ARRAYS_SQL, ()).await?)
    }

    async fn pipeline_each(&mut self, ids: &[i32]) -> Result<i64> {
        let lookups: Vec<_> = ids.iter().map(|&id| lookup(id)).collect();
        let mut sum = 0;
        for world in self.connection.pipeline_each(lookups).await? {
            sum += i64::from(world?.random_number);
        }
        Ok(sum)
    }

    async fn pipeline_one(&mut self, ids: &[i32]) -> Result<i64> {
        let lookups: Vec<_> = ids.iter().map(|&id| lookup(id)).collect();
        let worlds = self.connection.pipeline(lookups).await?;
        let numbers = worlds.iter().map(|world| i64::from(world.random_number));
        Ok(numbers.sum())
    }

    async fn far(&mut self, ids: &[i32]) -> Result<i64> {
        self.pipeline_one(ids).await
    }

    async fn inserts(&mut self, rows: &[(i64, String, f64)]) -> Result<u64> {
        let items = rows
            .iter()
            .map(|(id, name, value)| (*id, name.as_str(), *value));
        Ok(self.connection.execute_many(work::INSERT, items).await?)
    }

    async fn copy_in(&mut self, events: &[Event]) -> Result<u64> {
        let items = events.iter().map(|event| {
            let moment = TimestampTz::from_microseconds(event.moment_us);
            (event.id, event.name.as_str(), moment)
        });
        let columns = ["id", "name", "moment"];
        let mut copy = self
            .connection
            .copy_in_rows(("kornak_bench", "event_sink"), &columns)
            .await?;
        copy.send_all(items).await?;
        Ok(copy.finish().await?)
    }

    async fn copy_out(&mut self) -> Result<Seen> {
        let mut seen = Seen::default();
        let mut rows = self
            .connection
            .copy_out_rows::<(i32, String, TimestampTz)>(work::EVENTS)
            .await?;
        while let Some((id, name, moment)) = rows.next().await? {
            seen.event(id, &name, moment.microseconds());
        }
        Ok(seen)
    }

    async fn visit(&mut self, rows: i64) -> Result<Seen> {
        let mut seen = Seen::default();
        let visit = |row: RowRef<'_>| {
            let (id, name, value): (i64, &str, f64) = row.read()?;
            seen.row(id, name, value);
            Ok::<_, kornak::Error>(())
        };
        self.connection
            .for_each(work::STREAM, (rows,), visit)
            .await?;
        Ok(seen)
    }

    async fn stream(&mut self, rows: i64) -> Result<Seen> {
        let mut seen = Seen::default();
        let mut stream = self
            .connection
            .fetch::<(i64, String, f64)>(work::STREAM, (rows,))
            .await?;
        while let Some((id, name, value)) = stream.next().await? {
            seen.row(id, &name, value);
        }
        Ok(seen)
    }
}

fn url(target: &Target) -> String {
    match &target.place {
        Place::Tls(_, root) => format!(
            "{}&sslrootcert={}",
            target
                .url()
                .replace("sslmode=require", "sslmode=verify-full"),
            root.display()
        ),
        Place::Socket(_) | Place::Tcp(_) => target.url(),
    }
}

/// A lookup of a pipeline.
fn lookup(id: i32) -> kornak::connection::pipeline::One<'static, World, impl Params> {
    one(work::LOOKUP, (id,))
}

/// The pool of Kornak, as it is by default.
#[derive(Clone)]
pub struct KornakPool {
    pool: Pool,
}

impl PoolDriver for KornakPool {
    const NAME: &'static str = "kornak";

    async fn open(target: &Target, size: usize) -> Result<Self> {
        let pool = Pool::builder()
            .max_size(size)
            .connect(url(target).as_str())
            .await?;
        Ok(Self { pool })
    }

    async fn lookup(&self, id: i32) -> Result<World> {
        Ok(self.pool.fetch_one(work::LOOKUP, (id,)).await?)
    }
}

/// The pool of Kornak, whose connections several tasks may use at once.
#[derive(Clone)]
pub struct KornakQueued {
    pool: Pool,
}

impl PoolDriver for KornakQueued {
    const NAME: &'static str = "kornak-queued";

    async fn open(target: &Target, size: usize) -> Result<Self> {
        let pool = Pool::builder()
            .max_size(size)
            .queue_statements(64)
            .connect(url(target).as_str())
            .await?;
        Ok(Self { pool })
    }

    async fn lookup(&self, id: i32) -> Result<World> {
        Ok(self.pool.fetch_one(work::LOOKUP, (id,)).await?)
    }
}
