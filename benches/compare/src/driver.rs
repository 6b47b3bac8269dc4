//! The trait by which every driver does the workloads, and one file per driver.

#[cfg(feature = "asyncpg")]
pub mod asyncpg;
#[cfg(any(feature = "sqlx", feature = "xitca"))]
pub mod copy_text;
#[cfg(feature = "diesel-async")]
pub mod diesel;
pub mod external;
pub mod kornak;
#[cfg(feature = "libpq")]
pub mod libpq;
pub mod raw;
pub mod raw_decode;
#[cfg(feature = "sqlx")]
pub mod sqlx;
pub mod tokio_postgres;
#[cfg(feature = "wtx")]
pub mod wtx;
#[cfg(feature = "xitca")]
pub mod xitca;

use std::fmt;
use std::future::Future;
use std::path::PathBuf;

use crate::Result;
use crate::work::{Event, Seen, Wide, World};

/// Where the server is, and as whom to log in.
#[derive(Clone, Debug)]
pub struct Target {
    /// How the server is reached.
    pub place: Place,
    /// The port, which is part of the name of a Unix socket too.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The password, where the server asks for one.
    pub password: String,
    /// The database.
    pub database: String,
}

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The folder of a Unix socket.
    Socket(PathBuf),
    /// A host, without TLS.
    Tcp(String),
    /// A host, with TLS, verified by the certificate in this file.
    Tls(String, PathBuf),
}

impl Target {
    /// The target of a URL with one host.
    ///
    /// # Errors
    ///
    /// If it is malformed or has no host.
    pub fn parse(url: &str) -> Result<Self> {
        let config: ::tokio_postgres::Config = url.parse()?;
        let place = match config.get_hosts().first() {
            Some(::tokio_postgres::config::Host::Unix(folder)) => Place::Socket(folder.clone()),
            Some(::tokio_postgres::config::Host::Tcp(host)) => Place::Tcp(host.clone()),
            None => return Err("the URL has no host".into()),
        };
        let user = config.get_user().unwrap_or("postgres");
        Ok(Self {
            place,
            port: config.get_ports().first().copied().unwrap_or(5432),
            user: user.to_owned(),
            password: String::from_utf8_lossy(config.get_password().unwrap_or_default())
                .into_owned(),
            database: config.get_dbname().unwrap_or(user).to_owned(),
        })
    }

    /// The target of a URL whose TLS is verified by the certificate in this file.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), or if the URL is one of a Unix socket.
    pub fn parse_tls(url: &str, root: Option<&str>) -> Result<Self> {
        let mut target = Self::parse(url)?;
        if let Some(root) = root {
            target.place = match target.place {
                Place::Tcp(host) | Place::Tls(host, _) => Place::Tls(host, root.into()),
                Place::Socket(_) => return Err("a Unix socket has no TLS".into()),
            };
        }
        Ok(target)
    }

    /// The URL that all drivers understand, who to trust aside.
    pub fn url(&self) -> String {
        let Self {
            port,
            user,
            password,
            database,
            ..
        } = self;
        match &self.place {
            Place::Socket(folder) => format!(
                "postgres://{user}:{password}@/{database}?host={}&port={port}&sslmode=disable",
                folder.display()
            ),
            Place::Tcp(host) => {
                format!("postgres://{user}:{password}@{host}:{port}/{database}?sslmode=disable")
            }
            Place::Tls(host, _) => {
                format!("postgres://{user}:{password}@{host}:{port}/{database}?sslmode=require")
            }
        }
    }
}

/// A driver's API has no such thing.
#[derive(Debug)]
pub struct Unsupported;

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the driver can't do this")
    }
}

impl std::error::Error for Unsupported {}

/// Whether an error says that the driver has no such thing.
pub fn is_unsupported(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<Unsupported>()
}

/// One connection of a driver, used as its documentation advises: statements are prepared or
/// cached, rows are read into Rust's types.
///
/// The drivers `raw` and `raw-decode` are the limit: they send precomputed bytes. `raw` only
/// frames the replies, so that what it returns holds no rows.
pub trait Driver: Sized + Send {
    /// The driver's name.
    const NAME: &'static str;

    /// Whether rows are read at all.
    const DECODES: bool = true;

    /// Whether it can be told to trust a certificate of one's own.
    const TLS: bool = true;

    /// Connects.
    fn connect(target: &Target) -> impl Future<Output = Result<Self>> + Send;

    /// Says goodbye.
    fn close(self) -> impl Future<Output = Result<()>> + Send;

    /// W13: borrows a connection of a pool, which keeps it idle meanwhile, and gives it back.
    fn checkout(&mut self, target: &Target) -> impl Future<Output = Result<()>> + Send {
        let _ = target;
        async { Err(Unsupported.into()) }
    }

    /// W11: connects, asks W1 and says goodbye. A driver whose `connect` prepares the other
    /// workloads' statements leaves that out here.
    fn connect_and_ask(&mut self, target: &Target) -> impl Future<Output = Result<i32>> + Send {
        async {
            let mut driver = Self::connect(target).await?;
            let one = driver.select_one().await?;
            driver.close().await?;
            Ok(one)
        }
    }

    /// W1.
    fn select_one(&mut self) -> impl Future<Output = Result<i32>> + Send;

    /// W2.
    fn lookup(&mut self, id: i32) -> impl Future<Output = Result<World>> + Send;

    /// W3.
    fn wide(&mut self) -> impl Future<Output = Result<Vec<Wide>>> + Send;

    /// W4.
    fn integers(&mut self) -> impl Future<Output = Result<Vec<i32>>> + Send;

    /// W5: the sum of the lengths and first bytes.
    fn blobs_borrowed(&mut self) -> impl Future<Output = Result<u64>> + Send {
        async { Err(Unsupported.into()) }
    }

    /// W5.
    fn blobs_owned(&mut self) -> impl Future<Output = Result<Vec<Vec<u8>>>> + Send {
        async { Err(Unsupported.into()) }
    }

    /// W6.
    fn arrays(&mut self) -> impl Future<Output = Result<Vec<Vec<i32>>>> + Send;

    /// W7, a Sync each: the sum of the values.
    fn pipeline_each(&mut self, ids: &[i32]) -> impl Future<Output = Result<i64>> + Send {
        let _ = ids;
        async { Err(Unsupported.into()) }
    }

    /// W7, under one Sync: the sum of the values.
    fn pipeline_one(&mut self, ids: &[i32]) -> impl Future<Output = Result<i64>> + Send {
        let _ = ids;
        async { Err(Unsupported.into()) }
    }

    /// W12, in the way that takes the fewest round trips: the sum of the values.
    fn far(&mut self, ids: &[i32]) -> impl Future<Output = Result<i64>> + Send {
        async move {
            let mut sum = 0;
            for &id in ids {
                sum += i64::from(self.lookup(id).await?.random_number);
            }
            Ok(sum)
        }
    }

    /// W8: returns how many rows were inserted.
    fn inserts(&mut self, rows: &[(i64, String, f64)]) -> impl Future<Output = Result<u64>> + Send {
        let _ = rows;
        async { Err(Unsupported.into()) }
    }

    /// W9: returns how many rows were copied.
    fn copy_in(&mut self, events: &[Event]) -> impl Future<Output = Result<u64>> + Send {
        let _ = events;
        async { Err(Unsupported.into()) }
    }

    /// W9: each row as owned values.
    fn copy_out(&mut self) -> impl Future<Output = Result<Seen>> + Send {
        async { Err(Unsupported.into()) }
    }

    /// W10, in the leanest way that the API has.
    fn visit(&mut self, rows: i64) -> impl Future<Output = Result<Seen>> + Send {
        self.stream(rows)
    }

    /// W10, as a stream of owned rows.
    fn stream(&mut self, rows: i64) -> impl Future<Output = Result<Seen>> + Send;
}

/// A pool of a driver's connections, as its documentation advises.
pub trait PoolDriver: Clone + Send + Sync + 'static {
    /// The driver's name.
    const NAME: &'static str;

    /// Whether it can be told to trust a certificate of one's own.
    const TLS: bool = true;

    /// A pool of so many connections.
    fn open(target: &Target, size: usize) -> impl Future<Output = Result<Self>> + Send;

    /// W2, on a connection of the pool.
    fn lookup(&self, id: i32) -> impl Future<Output = Result<World>> + Send;
}
