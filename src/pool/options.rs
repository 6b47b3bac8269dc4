//! [`PoolBuilder`] and what it sets.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::Pool;
use super::shared::Shared;
use crate::config::{IntoConfig, Secret};
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};

/// How many connections a pool opens at most, by default.
pub const DEFAULT_MAX_SIZE: usize = 10;

/// How long [`Pool::acquire`] waits by default.
pub const DEFAULT_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection lies idle before it is closed, by default.
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// How long a connection lives, by default; a tenth more or less, at random.
pub const DEFAULT_MAX_LIFETIME: Duration = Duration::from_secs(30 * 60);

/// How long a connection lies idle before it is asked whether it lives when it is next
/// handed out, by default.
pub const DEFAULT_PING_AFTER: Duration = Duration::from_secs(60);

/// How often idle connections are looked after at the least.
const MAINTENANCE_PAUSE: Duration = Duration::from_secs(5);

/// What is done between two borrowers of a connection, so that the second can't tell it from
/// a new one: settings, role, temporary tables, advisory locks, cursors and LISTEN are undone.
///
/// It costs no round trip: it goes with the next borrower's first statement. An open
/// transaction is always rolled back, whatever the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reset {
    /// When a statement since the last reset may have left something behind. It is judged by
    /// its text: plain queries and changes of data that call only well-known built-in
    /// functions don't. What views, triggers, column defaults, operators, or functions of the
    /// application that overload a built-in name do, can't be seen.
    #[default]
    Smart,
    /// Each time.
    Always,
    /// Never.
    Never,
}

/// Makes a [`Pool`].
///
/// # Example
///
/// ```no_run
/// # async fn example() -> kornak::Result<()> {
/// use std::time::Duration;
///
/// let pool = kornak::Pool::builder()
///     .max_size(20)
///     .acquire_timeout(Some(Duration::from_secs(3)))
///     .connect("postgres://localhost/app")
///     .await?;
/// let now: kornak::TimestampTz = pool.fetch_one("select now()", ()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing happens until the pool is built"]
pub struct PoolBuilder {
    options: Options,
}

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) max_size: usize,
    pub(super) min_size: usize,
    pub(super) acquire_timeout: Option<Duration>,
    pub(super) query_timeout: Option<Duration>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) max_lifetime: Option<Duration>,
    pub(super) max_uses: Option<u64>,
    pub(super) ping_after: Option<Duration>,
    pub(super) reset: Reset,
    pub(super) after_connect: Option<Hook<ConnectHook>>,
    pub(super) before_acquire: Option<Hook<CheckHook>>,
    pub(super) after_release: Option<Hook<CheckHook>>,
    pub(super) password: Option<Hook<PasswordHook>>,
}

type ConnectHook = dyn for<'c> Fn(&'c mut Connection) -> HookFuture<'c, ()> + Send + Sync;
type CheckHook = dyn Fn(&Connection) -> bool + Send + Sync;
type PasswordHook = dyn Fn() -> HookFuture<'static, Secret> + Send + Sync;
type HookFuture<'c, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'c>>;

/// A closure of the application's.
pub(super) struct Hook<F: ?Sized>(pub(super) Arc<F>);

impl PoolBuilder {
    pub(super) fn new() -> Self {
        Self {
            options: Options {
                max_size: DEFAULT_MAX_SIZE,
                min_size: 0,
                acquire_timeout: Some(DEFAULT_ACQUIRE_TIMEOUT),
                query_timeout: None,
                idle_timeout: Some(DEFAULT_IDLE_TIMEOUT),
                max_lifetime: Some(DEFAULT_MAX_LIFETIME),
                max_uses: None,
                ping_after: Some(DEFAULT_PING_AFTER),
                reset: Reset::Smart,
                after_connect: None,
                before_acquire: None,
                after_release: None,
                password: None,
            },
        }
    }

    /// How many connections are open at most; at least 1. [`DEFAULT_MAX_SIZE`] by default.
    pub fn max_size(mut self, connections: usize) -> Self {
        self.options.max_size = connections.max(1);
        self
    }

    /// How many connections are kept open, idle or not. None by default.
    pub fn min_size(mut self, connections: usize) -> Self {
        self.options.min_size = connections;
        self
    }

    /// How long [`Pool::acquire`] waits; `None` is without end. [`DEFAULT_ACQUIRE_TIMEOUT`]
    /// by default.
    pub fn acquire_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.options.acquire_timeout = timeout;
        self
    }

    /// How long an operation on a connection of the pool may take where it has no timeout of
    /// its own. What the configuration says, by default.
    pub fn query_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.options.query_timeout = timeout;
        self
    }

    /// How long a connection lies idle before it is closed, if there are more than
    /// [`min_size`](Self::min_size). [`DEFAULT_IDLE_TIMEOUT`] by default.
    pub fn idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.options.idle_timeout = timeout;
        self
    }

    /// How long a connection lives, a tenth more or less at random, so that they don't all
    /// end together. [`DEFAULT_MAX_LIFETIME`] by default.
    pub fn max_lifetime(mut self, lifetime: Option<Duration>) -> Self {
        self.options.max_lifetime = lifetime;
        self
    }

    /// How often a connection is lent before it is closed. Without limit by default.
    pub fn max_uses(mut self, uses: Option<u64>) -> Self {
        self.options.max_uses = uses;
        self
    }

    /// How long a connection lies idle before it is asked whether it lives when it is next
    /// handed out, which costs a round trip. A connection that the server has closed is
    /// noticed without asking. [`DEFAULT_PING_AFTER`] by default.
    pub fn ping_after(mut self, idle: Option<Duration>) -> Self {
        self.options.ping_after = idle;
        self
    }

    /// What is undone between two borrowers of a connection. [`Reset::Smart`] by default.
    pub fn reset(mut self, reset: Reset) -> Self {
        self.options.reset = reset;
        self
    }

    /// Runs on each new connection before it is lent, to set up its session. What it sets
    /// with SET is undone by a reset: settings for all borrowers belong into the
    /// configuration ([`Config::setting`](crate::Config::setting)).
    ///
    /// # Example
    ///
    /// ```
    /// let builder = kornak::Pool::builder()
    ///     .after_connect(|connection| Box::pin(async move {
    ///         connection.execute("select 1", ()).await?;
    ///         Ok(())
    ///     }));
    /// ```
    pub fn after_connect<F>(mut self, hook: F) -> Self
    where
        F: for<'c> Fn(&'c mut Connection) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'c>>
            + Send
            + Sync
            + 'static,
    {
        self.options.after_connect = Some(Hook(Arc::new(hook)));
        self
    }

    /// Looks at each connection before it is lent; one for which it returns `false` is closed.
    pub fn before_acquire(
        mut self,
        hook: impl Fn(&Connection) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.options.before_acquire = Some(Hook(Arc::new(hook)));
        self
    }

    /// Looks at each connection that has come back; one for which it returns `false` is
    /// closed.
    pub fn after_release(
        mut self,
        hook: impl Fn(&Connection) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.options.after_release = Some(Hook(Arc::new(hook)));
        self
    }

    /// Asks `provider` for the password of each new connection, instead of taking the one of
    /// the configuration: for passwords that rotate, and tokens that expire.
    ///
    /// # Example
    ///
    /// ```
    /// # async fn fresh_token() -> kornak::Result<String> { Ok(String::new()) }
    /// let builder = kornak::Pool::builder().password_provider(|| async {
    ///     Ok(fresh_token().await?.into())
    /// });
    /// ```
    pub fn password_provider<F, Fut>(mut self, provider: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Secret>> + Send + 'static,
    {
        self.options.password = Some(Hook(Arc::new(move || Box::pin(provider()))));
        self
    }

    /// Makes the pool without connecting; [`min_size`](Self::min_size) connections are opened
    /// in the background.
    ///
    /// # Errors
    ///
    /// If the configuration is wrong, or there is no tokio runtime here.
    pub fn build(self, config: impl IntoConfig) -> Result<Pool> {
        let config = config.into_config()?;
        // What can be seen to be wrong now is not left to the first borrower.
        config.resolve()?;
        let runtime = Handle::try_current().map_err(|error| {
            Error::new(ErrorKind::Usage, "a pool needs a tokio runtime").with_source(error)
        })?;
        Ok(Pool::new(Shared::new(config, self.options, runtime)))
    }

    /// Makes the pool and its first connection, so that a wrong configuration is noticed now.
    ///
    /// # Errors
    ///
    /// If the configuration is wrong, or no connection can be made.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the pool.
    pub async fn connect(self, config: impl IntoConfig) -> Result<Pool> {
        let pool = self.build(config)?;
        drop(pool.acquire().await?);
        Ok(pool)
    }
}

impl Options {
    /// How often the idle connections are looked after, if they need it.
    pub(super) fn maintenance_pause(&self) -> Option<Duration> {
        let shortest = self.idle_timeout.into_iter().chain(self.max_lifetime).min();
        let is_needed = shortest.is_some() || self.min_size > 0;
        let pause = shortest.map_or(MAINTENANCE_PAUSE, |shortest| {
            (shortest / 4).min(MAINTENANCE_PAUSE)
        });
        is_needed.then(|| pause.max(Duration::from_millis(10)))
    }
}

impl Reset {
    /// Has the connection reset before its next statement, where the policy wants it.
    pub(super) fn prepare(self, connection: &mut Connection) {
        let is_wanted = match self {
            Self::Smart => connection.is_dirty(),
            Self::Always => true,
            Self::Never => false,
        };
        if is_wanted {
            connection.reset_before_next();
        }
    }
}

impl<F: ?Sized> Clone for Hook<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F: ?Sized> fmt::Debug for Hook<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a closure")
    }
}
