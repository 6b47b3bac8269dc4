//! wtx's client of PostgreSQL, with its own cache of statements and its own pool. It has no COPY,
//! no transactions but by statements, and batches of four statements at most.

use tokio::net::{TcpStream, UnixStream};
use wtx::collection::Vector;
use wtx::database::client::postgres::{Config, ExecutorBuffer, PostgresExecutor, PostgresRecord};
use wtx::database::{Executor, Record, Records};
use wtx::misc::UriRef;
use wtx::pool::{ResourceManager, SimplePool};
use wtx::rng::{ChaCha20, CryptoSeedableRng};
use wtx::stream::{StreamReader, StreamWriter};

use super::{Driver, Place, PoolDriver, Target};
use crate::Result;
use crate::work::{self, Seen, Wide, World};

/// A connection of wtx.
pub struct Wtx {
    executor: Session,
}

type Session = PostgresExecutor<wtx::Error, ExecutorBuffer, Socket>;

/// Either of the streams that wtx knows.
pub enum Socket {
    /// A Unix socket.
    Unix(UnixStream),
    /// A TCP connection.
    Tcp(TcpStream),
}

impl Driver for Wtx {
    const NAME: &'static str = "wtx";
    // Its TLS is set up by code of one's own around tokio-rustls, as that of raw.
    const TLS: bool = false;

    async fn connect(target: &Target) -> Result<Self> {
        let executor = open(target).await?;
        Ok(Self { executor })
    }

    async fn close(self) -> Result<()> {
        Ok(())
    }

    async fn select_one(&mut self) -> Result<i32> {
        let row = self.executor.execute_stmt_single(work::SELECT_ONE, ());
        Ok(row.await?.decode(0)?)
    }

    async fn lookup(&mut self, id: i32) -> Result<World> {
        lookup(&mut self.executor, id).await
    }

    async fn wide(&mut self) -> Result<Vec<Wide>> {
        let mut all = Vec::new();
        self.rows(work::WIDE, |row| {
            all.push(Wide {
                typname: row.decode(0)?,
                typnamespace: row.decode(1)?,
                typowner: row.decode(2)?,
                typlen: row.decode(3)?,
                typbyval: row.decode(4)?,
                typcategory: row.decode(5)?,
                typispreferred: row.decode(6)?,
                typisdefined: row.decode(7)?,
                typdelim: row.decode(8)?,
                typrelid: row.decode(9)?,
                typelem: row.decode(10)?,
                typarray: row.decode(11)?,
            });
            Ok(())
        })
        .await?;
        Ok(all)
    }

    async fn integers(&mut self) -> Result<Vec<i32>> {
        let mut all = Vec::new();
        self.rows(work::INTEGERS, |row| {
            all.push(row.decode(0)?);
            Ok(())
        })
        .await?;
        Ok(all)
    }

    async fn blobs_borrowed(&mut self) -> Result<u64> {
        let mut seen = 0;
        self.rows(work::BLOBS_SQL, |row| {
            let blob: &[u8] = row.decode(0)?;
            seen += blob.len() as u64 + u64::from(blob[0]);
            Ok(())
        })
        .await?;
        Ok(seen)
    }

    async fn blobs_owned(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut all = Vec::new();
        self.rows(work::BLOBS_SQL, |row| {
            all.push(row.decode::<_, &[u8]>(0)?.to_vec());
            Ok(())
        })
        .await?;
        Ok(all)
    }

    async fn arrays(&mut self) -> Result<Vec<Vec<i32>>> {
        let mut all = Vec::new();
        self.rows(work::ARRAYS_SQL, |row| {
            all.push(row.decode(0)?);
            Ok(())
        })
        .await?;
        Ok(all)
    }

    async fn pipeline_one(&mut self, ids: &[i32]) -> Result<i64> {
        let mut sum = 0;
        for four in ids.chunks(BATCH) {
            let mut batch = self.executor.batch();
            for id in four {
                batch.stmt(work::LOOKUP, (*id,))?;
            }
            let add = |row: PostgresRecord<'_, wtx::Error>| {
                sum += i64::from(row.decode::<_, i32>(1)?);
                Ok(())
            };
            // The results are kept for the caller, too; without that it would show no row.
            let mut kept = Vector::new();
            batch.flush(&mut kept, add).await?;
        }
        Ok(sum)
    }

    async fn far(&mut self, ids: &[i32]) -> Result<i64> {
        self.pipeline_one(ids).await
    }

    async fn inserts(&mut self, rows: &[(i64, String, f64)]) -> Result<u64> {
        self.executor.execute_ignored("begin").await?;
        for four in rows.chunks(BATCH) {
            let mut batch = self.executor.batch();
            for (id, name, value) in four {
                batch.stmt(work::INSERT, (*id, name.as_str(), *value))?;
            }
            batch.flush(&mut (), |_| Ok(())).await?;
        }
        self.executor.execute_ignored("commit").await?;
        // It doesn't tell how many rows a statement has inserted.
        Ok(rows.len() as u64)
    }

    async fn visit(&mut self, rows: i64) -> Result<Seen> {
        let mut seen = Seen::default();
        let visit = |row: PostgresRecord<'_, wtx::Error>| {
            seen.row(row.decode(0)?, row.decode(1)?, row.decode(2)?);
            Ok(())
        };
        let sql = work::STREAM;
        self.executor.execute_stmt_many(sql, (rows,), visit).await?;
        Ok(seen)
    }

    async fn stream(&mut self, rows: i64) -> Result<Seen> {
        let mut seen = Seen::default();
        let visit = |row: PostgresRecord<'_, wtx::Error>| {
            let name: String = row.decode(1)?;
            seen.row(row.decode(0)?, &name, row.decode(2)?);
            Ok(())
        };
        let sql = work::STREAM;
        self.executor.execute_stmt_many(sql, (rows,), visit).await?;
        Ok(seen)
    }
}

/// How many statements a batch takes.
const BATCH: usize = 4;

impl Wtx {
    /// Shows each row of a statement without parameters.
    async fn rows(
        &mut self,
        sql: &str,
        each: impl FnMut(PostgresRecord<'_, wtx::Error>) -> wtx::Result<()> + Send,
    ) -> Result<()> {
        let rows = self.executor.execute_stmt_many(sql, (), each).await?;
        std::hint::black_box(rows.len());
        Ok(())
    }
}

async fn lookup(executor: &mut Session, id: i32) -> Result<World> {
    let row = executor.execute_stmt_single(work::LOOKUP, (id,)).await?;
    Ok(World {
        id: row.decode(0)?,
        random_number: row.decode(1)?,
    })
}

async fn open(target: &Target) -> Result<Session> {
    let socket = match &target.place {
        Place::Socket(folder) => {
            let path = folder.join(format!(".s.PGSQL.{}", target.port));
            Socket::Unix(UnixStream::connect(path).await?)
        }
        Place::Tcp(host) => {
            let stream = TcpStream::connect((host.as_str(), target.port)).await?;
            stream.set_nodelay(true)?;
            Socket::Tcp(stream)
        }
        Place::Tls(..) => return Err("TLS isn't measured".into()),
    };
    let Target {
        user,
        password,
        database,
        ..
    } = target;
    let url = format!("postgres://{user}:{password}@host:1/{database}");
    let uri = UriRef::new(&url);
    let config = Config::from_uri(&uri)?;
    let mut rng = ChaCha20::from_getrandom()?;
    let buffer = ExecutorBuffer::new(usize::MAX, &mut rng);
    Ok(PostgresExecutor::connect(&config, buffer, &mut rng, socket).await?)
}

impl StreamReader for Socket {
    async fn read(&mut self, bytes: &mut [u8]) -> wtx::Result<usize> {
        match self {
            Self::Unix(stream) => StreamReader::read(stream, bytes).await,
            Self::Tcp(stream) => StreamReader::read(stream, bytes).await,
        }
    }
}

impl StreamWriter for Socket {
    async fn write_all(&mut self, bytes: &[u8]) -> wtx::Result<()> {
        match self {
            Self::Unix(stream) => StreamWriter::write_all(stream, bytes).await,
            Self::Tcp(stream) => StreamWriter::write_all(stream, bytes).await,
        }
    }

    async fn write_all_vectored(&mut self, bytes: &[&[u8]]) -> wtx::Result<()> {
        match self {
            Self::Unix(stream) => StreamWriter::write_all_vectored(stream, bytes).await,
            Self::Tcp(stream) => StreamWriter::write_all_vectored(stream, bytes).await,
        }
    }
}

/// Its own pool, whose own manager knows TCP alone.
#[derive(Clone)]
pub struct WtxPool {
    pool: SimplePool<Manager>,
}

/// Makes the pool's connections.
pub struct Manager {
    target: Target,
}

impl ResourceManager for Manager {
    type CreateAux = ();
    type Error = wtx::Error;
    type RecycleAux = ();
    type Resource = Session;

    async fn create(&self, (): &()) -> wtx::Result<Session> {
        let made = open(&self.target).await;
        made.map_err(|error| wtx::Error::from(std::io::Error::other(error)))
    }

    fn is_invalid(&self, session: &Session) -> bool {
        session.connection_state().is_closed()
    }

    async fn recycle(&self, (): &(), session: &mut Session) -> wtx::Result<()> {
        *session = self.create(&()).await?;
        Ok(())
    }
}

impl PoolDriver for WtxPool {
    const NAME: &'static str = "wtx";
    const TLS: bool = false;

    async fn open(target: &Target, size: usize) -> Result<Self> {
        let target = target.clone();
        let pool = SimplePool::new(size, Manager { target });
        pool.init_all(&(), &()).await?;
        Ok(Self { pool })
    }

    async fn lookup(&self, id: i32) -> Result<World> {
        let mut session = self.pool.get_with_unit().await?;
        lookup(&mut session, id).await
    }
}
