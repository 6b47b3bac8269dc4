//! A pool of connections: safe to return anything to.
//!
//! A connection comes back to the pool in whatever state its borrower left it: with a query
//! running, a transaction open, settings changed. The pool reads, cancels, rolls back and
//! resets before the next borrower sees it, and closes what can't be brought to rest.

mod bulk;
mod connecting;
mod credential;
mod guard;
mod hub;
mod lanes;
mod options;
mod query;
mod retry;
mod shared;
mod slots;
mod turns;
mod watch;

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use self::credential::Credential;
pub use self::guard::PoolConnection;
pub use self::hub::{DEFAULT_CAPACITY, Subscription};
pub use self::options::{
    DEFAULT_ACQUIRE_TIMEOUT, DEFAULT_CONNECT_TIMEOUT, DEFAULT_FIRST_CONNECT_PAUSE,
    DEFAULT_IDLE_TIMEOUT, DEFAULT_LONGEST_CONNECT_PAUSE, DEFAULT_MAX_LIFETIME, DEFAULT_MAX_SIZE,
    DEFAULT_PING_AFTER, PoolBuilder, Reset,
};
pub use self::query::PoolQuery;
pub use self::retry::PoolAttempts;

use self::connecting::unless;
use self::shared::Shared;
use self::turns::Turns;
use crate::config::IntoConfig;
use crate::connection::{Connection, UsesTls};
use crate::error::{Error, Result};

/// Connections that are shared. A clone is another handle of the same pool.
///
/// A connection is not lent again once its server has refused to write, which it is asked about
/// in the background (the borrower may have asked to read only), or has reported a role that fits
/// `target_session_attrs` less than when it was connected to
/// ([`Config::target_session_attrs`](crate::config::Config::target_session_attrs)): after a
/// failover. A server tells of it with the answer to the next statement, from PostgreSQL 14 on.
///
/// Waiters are served in their order. When the last handle is dropped the pool is closed;
/// connections that are lent then are closed when they come back. The pool is closed, too, when
/// the runtime ends on which it was built.
///
/// # Example
///
/// ```no_run
/// # async fn example() -> kornak::Result<()> {
/// let pool = kornak::Pool::connect("postgres://localhost/app").await?;
///
/// // The verbs work on the pool itself …
/// let count: i64 = pool.fetch_one("select count(*) from users", ()).await?;
///
/// // … and on a connection of it, for several statements in a row.
/// let mut connection = pool.acquire().await?;
/// let mut transaction = connection.begin().await?;
/// transaction.execute("delete from users where id = $1", (7,)).await?;
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
    /// Dropped with the last handle.
    _owner: Arc<Owner>,
}

/// The numbers of a pool at one moment.
#[derive(Debug)]
#[non_exhaustive]
pub struct PoolStatus {
    /// How many connections may be open.
    pub max_size: usize,
    /// How many are open or being opened.
    pub size: usize,
    /// How many lie idle.
    pub idle: usize,
    /// How many are lent, or being brought to rest after they were.
    pub busy: usize,
    /// How many are being opened.
    pub connecting: usize,
    /// How many wait for one.
    pub waiting: usize,
    /// Why the last attempt to connect failed, if it did.
    pub last_connect_error: Option<Error>,
    /// Whether the pool is closed.
    pub is_closed: bool,
}

/// Closes the pool when its last handle is gone.
struct Owner(Arc<Shared>);

/// The task that looks after the idle connections now and then, where that is wanted. Dropped
/// because its runtime has ended, it closes the pool: nobody hears of the connections any more.
struct Keeper(Arc<Shared>);

impl Pool {
    /// A pool with default options, and its first connection.
    ///
    /// # Errors
    ///
    /// If the configuration is wrong, or no connection can be made.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the pool.
    pub async fn connect<T>(config: impl IntoConfig) -> Result<Self>
    where
        Connection: UsesTls<T>,
    {
        Self::builder().connect(config).await
    }

    /// A pool with options.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn example() -> kornak::Result<()> {
    /// let pool = kornak::Pool::builder()
    ///     .max_size(20)
    ///     .acquire_timeout(Duration::from_secs(5))
    ///     .query_timeout(Duration::from_secs(30))
    ///     .max_uses(10_000)
    ///     .max_lifetime(None)
    ///     .connect("postgres://localhost/app")
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> PoolBuilder {
        PoolBuilder::new()
    }

    /// Lends a connection, which comes back when the guard is dropped.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PoolTimeout`](crate::error::ErrorKind::PoolTimeout) when none becomes free in
    /// time: the message says how many are busy and connecting, and why the last connect
    /// failed. [`ErrorKind::PoolClosed`](crate::error::ErrorKind::PoolClosed). The server's refusal,
    /// where trying again can't help.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: its turn goes to the next in line.
    pub async fn acquire(&self) -> Result<PoolConnection> {
        self.acquire_before(None).await
    }

    /// As [`acquire`](Self::acquire), within `limit` too.
    async fn acquire_before(&self, limit: Option<Instant>) -> Result<PoolConnection> {
        let now = Instant::now();
        let timeout = self.shared.options.acquire_timeout;
        let deadline = timeout.and_then(|timeout| now.checked_add(timeout));
        let deadline = match (deadline, limit) {
            (Some(deadline), Some(limit)) => Some(deadline.min(limit)),
            (deadline, limit) => deadline.or(limit),
        };
        Ok(PoolConnection::new(
            self.shared.acquire(now, deadline).await?,
        ))
    }

    /// Opens connections until there are so many, as far as the pool may, and waits until they
    /// are open: before the first requests come, for example.
    ///
    /// # Errors
    ///
    /// Why one could not be opened; [`ErrorKind::PoolTimeout`](crate::error::ErrorKind::PoolTimeout) if
    /// they aren't open within the acquire timeout.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: what is being opened goes on.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> kornak::Result<()> {
    /// let pool = kornak::Pool::builder().max_size(20).build("postgres://localhost/app")?;
    /// pool.warm_up(5).await?;
    /// assert!(pool.status().size >= 5);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn warm_up(&self, connections: usize) -> Result<()> {
        self.shared.warm_up(connections).await
    }

    /// The numbers of the pool now.
    pub fn status(&self) -> PoolStatus {
        let counts = self.shared.counts();
        PoolStatus {
            max_size: counts.max,
            size: counts.open,
            idle: counts.idle,
            busy: counts.open - counts.idle - counts.connecting,
            connecting: counts.connecting,
            waiting: counts.waiting,
            last_connect_error: self.shared.last_error(),
            is_closed: self.shared.is_closed(),
        }
    }

    /// Changes how many connections may be open; at least 1. Those that are too many are
    /// closed, the lent ones when they come back.
    pub fn resize(&self, max_size: usize) {
        self.shared.resize(max_size.max(1));
    }

    /// Closes every connection that is open now, the lent ones when they come back: after a
    /// failover, or when a password has changed.
    pub fn expire_all(&self) {
        self.shared.expire_all();
    }

    /// Closes the pool: nobody gets a connection any more. Waits for the lent ones to come
    /// back, for `grace` at most.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: the pool is closed all the same.
    pub async fn close(&self, grace: Duration) {
        let deadline = Instant::now().checked_add(grace);
        let goodbyes = self.shared.close();
        let closing = async {
            for connection in goodbyes {
                connection.close().await;
            }
            self.shared.emptied().await;
        };
        match deadline {
            Some(deadline) => drop(tokio::time::timeout_at(deadline, closing).await),
            None => closing.await,
        }
    }

    /// Whether the pool is closed.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    fn new(shared: Arc<Shared>) -> Self {
        shared.start_warm_up(shared.options.min_size);
        shared.spawn(Keeper(Arc::clone(&shared)).run());
        Self {
            _owner: Arc::new(Owner(Arc::clone(&shared))),
            shared,
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        drop(self.0.close());
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl Keeper {
    /// Ends when the pool is closed.
    async fn run(self) {
        let shared = &self.0;
        let maintaining = async {
            let Some(pause) = shared.options.maintenance_pause() else {
                return pending().await;
            };
            loop {
                tokio::time::sleep(pause).await;
                shared.maintain();
            }
        };
        unless(maintaining, shared.until_closed()).await;
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.0.close());
    }
}
