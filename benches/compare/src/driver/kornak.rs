//! Kornak.

use kornak::{Connection, RowRef};

use super::{Driver, Target};
use crate::Result;
use crate::work::{self, Seen, Wide, World};

/// A connection of Kornak.
pub struct Kornak {
    connection: Connection,
}

impl Driver for Kornak {
    const NAME: &'static str = "kornak";

    async fn connect(target: &Target) -> Result<Self> {
        let connection = Connection::connect(target.url().as_str()).await?;
        Ok(Self { connection })
    }

    async fn close(self) -> Result<()> {
        self.connection.close().await;
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
