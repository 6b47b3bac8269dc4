//! [`PoolBuilder`] and what it sets.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::Pool;
use super::credential::Credential;
use super::shared::Shared;
use crate::config::IntoConfig;
use crate::connection::{Connection, Connector, UsesTls};
use crate::error::{Error, ErrorKind, Result};

/// How many connections a pool opens at most, by default.
pub const DEFAULT_MAX_SIZE: usize = 10;

/// How long [`Pool::acquire`] waits by default.
pub const DEFAULT_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long making a connection takes at most, by default.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// The pause after the first failure to connect, by default; it doubles with each.
pub const DEFAULT_FIRST_CONNECT_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause between two attempts to connect, by default.
pub const DEFAULT_LONGEST_CONNECT_PAUSE: Duration = Duration::from_secs(1);

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
///
/// What the borrower prepared by SQL (PREPARE) is deallocated if the word was in the text of a
/// statement; with it goes what the driver had prepared on the connection, which is prepared
/// again when it is next used. What a function prepares out of sight stays.
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
    /// What the pool is called by whoever watches.
    pub(super) name: String,
    pub(super) max_size: usize,
    pub(super) min_size: usize,
    pub(super) acquire_timeout: Option<Duration>,
    pub(super) query_timeout: Option<Duration>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) max_lifetime: Option<Duration>,
    pub(super) max_uses: Option<u64>,
    pub(super) ping_after: Option<Duration>,
    pub(super) reset: Reset,
    /// How many statements of several tasks may stand on one connection.
    pub(super) queued_statements: Option<usize>,
    pub(super) connect_timeout: Option<Duration>,
    /// The first pause and the longest one.
    pub(super) connect_backoff: (Duration, Duration),
    pub(super) after_connect: Option<Hook<ConnectHook>>,
    pub(super) before_acquire: Option<Hook<CheckHook>>,
    pub(super) after_release: Option<Hook<CheckHook>>,
    pub(super) provider: Option<Hook<ProviderHook>>,
}

pub(super) type BoxError = Box<dyn StdError + Send + Sync>;
type ConnectHook = dyn for<'c> Fn(&'c mut Connection) -> HookFuture<'c, ()> + Send + Sync;
type CheckHook = dyn for<'c> Fn(&'c mut Connection) -> HookFuture<'c, bool> + Send + Sync;
pub(super) type ProviderHook = dyn Fn() -> HookFuture<'static, Credential> + Send + Sync;
type HookFuture<'c, T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send + 'c>>;

/// A closure of the application's.
pub(super) struct Hook<F: ?Sized>(pub(super) Arc<F>);

impl PoolBuilder {
    pub(super) fn new() -> Self {
        Self {
            options: Options {
                name: String::new(),
                max_size: DEFAULT_MAX_SIZE,
                min_size: 0,
                acquire_timeout: Some(DEFAULT_ACQUIRE_TIMEOUT),
                query_timeout: None,
                idle_timeout: Some(DEFAULT_IDLE_TIMEOUT),
                max_lifetime: Some(DEFAULT_MAX_LIFETIME),
                max_uses: None,
                ping_after: Some(DEFAULT_PING_AFTER),
                reset: Reset::Smart,
                queued_statements: None,
                connect_timeout: Some(DEFAULT_CONNECT_TIMEOUT),
                connect_backoff: (DEFAULT_FIRST_CONNECT_PAUSE, DEFAULT_LONGEST_CONNECT_PAUSE),
                after_connect: None,
                before_acquire: None,
                after_release: None,
                provider: None,
            },
        }
    }

    /// What the pool is called in traces and metrics (OpenTelemetry's
    /// `db.client.connection.pool.name`): its first host, port and database by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.options.name = name.into();
        self
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
    pub fn acquire_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.acquire_timeout = timeout.into();
        self
    }

    /// How long an operation may take where it has no timeout of its own; for the pool's own
    /// verbs, the wait for a connection included. What the configuration says, by default.
    pub fn query_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.query_timeout = timeout.into();
        self
    }

    /// How long making a connection may take, from the
    /// [`credential_provider`](Self::credential_provider) to the end of
    /// [`after_connect`](Self::after_connect); `None` is without end. Whoever waits doesn't wait
    /// longer than their own deadline for it. [`DEFAULT_CONNECT_TIMEOUT`] by default.
    pub fn connect_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.connect_timeout = timeout.into();
        self
    }

    /// The pause after a failure to connect, and the longest there may be: it doubles with each
    /// failure in a row, and is up to half longer or shorter, at random. While connects fail,
    /// the pool tries one at a time. [`DEFAULT_FIRST_CONNECT_PAUSE`] and
    /// [`DEFAULT_LONGEST_CONNECT_PAUSE`] by default.
    pub fn connect_backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.options.connect_backoff = (first, longest.max(first));
        self
    }

    /// How long a connection lies idle before it is closed, if there are more than
    /// [`min_size`](Self::min_size); `None` is never. [`DEFAULT_IDLE_TIMEOUT`] by default.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.idle_timeout = timeout.into();
        self
    }

    /// How long a connection lives, a tenth more or less at random, so that they don't all
    /// end together; `None` is without end. [`DEFAULT_MAX_LIFETIME`] by default.
    pub fn max_lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.options.max_lifetime = lifetime.into();
        self
    }

    /// How often a connection is lent before it is closed. Without limit by default.
    pub fn max_uses(mut self, uses: impl Into<Option<u64>>) -> Self {
        self.options.max_uses = uses.into();
        self
    }

    /// How long a connection lies idle before it is asked whether it lives when it is next
    /// handed out, which costs a round trip. A connection that the server has closed is
    /// noticed without asking. `None` never asks. [`DEFAULT_PING_AFTER`] by default.
    pub fn ping_after(mut self, idle: impl Into<Option<Duration>>) -> Self {
        self.options.ping_after = idle.into();
        self
    }

    /// What is undone between two borrowers of a connection. [`Reset::Smart`] by default.
    pub fn reset(mut self, reset: Reset) -> Self {
        self.options.reset = reset;
        self
    }

    /// How many statements of different tasks may stand on one connection, one behind the other,
    /// while all connections are in use: each is sent without waiting for the answers to those
    /// before it. `None`, the default, has each statement wait for a connection of its own; so
    /// has 0 or 1. Some 16 to 64 are worth trying where many tasks send short queries.
    ///
    /// It is for the verbs [`fetch_one`](Pool::fetch_one),
    /// [`fetch_optional`](Pool::fetch_optional), [`fetch_all`](Pool::fetch_all) and
    /// [`execute`](Pool::execute) of the pool, called on its runtime, and for statements that
    /// [leave nothing behind](Reset::Smart) in the session, which the connection has prepared
    /// already, with values of built-in types only. All others have a connection for
    /// themselves, as [`Pool::acquire`] gives it, for which those that are shared make way in
    /// turn; and so has every statement while a connection lies idle, and with [`Reset::Always`].
    /// Each is a transaction of its own: what befalls one doesn't touch the others.
    ///
    /// What it costs:
    ///
    /// - A slow statement delays those that stand behind it, which a statement that waits for a
    ///   lock does for as long. A task that holds a lock in a transaction and meanwhile awaits
    ///   one of these verbs may so wait for itself, unknown to the server's deadlock check: give
    ///   it a [timeout](Self::query_timeout), or use the transaction for it.
    /// - A statement that is given up, by its deadline or because its future was dropped, is not
    ///   cancelled while somebody waits behind it, but runs to its end.
    /// - Rows are kept as they came until the statement is over, and read then: a large result
    ///   takes its memory twice for a moment. It is a slow statement, too.
    /// - All who have a statement on a connection learn of its loss.
    /// - Such a connection is lent to all of them at once: `before_acquire` and `after_release`
    ///   see it before the first and after the last.
    ///
    /// # Example
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> kornak::Result<()> {
    /// # let url = xtask::server::Server::for_tests().url();
    /// let pool = kornak::Pool::builder()
    ///     .max_size(2)
    ///     .queue_statements(32)
    ///     .connect(&url)
    ///     .await?;
    /// let tasks: Vec<_> = (0..100)
    ///     .map(|number: i32| {
    ///         let pool = pool.clone();
    ///         tokio::spawn(async move { pool.fetch_one("select $1 * 2", (number,)).await })
    ///     })
    ///     .collect();
    /// for (number, task) in (0..).zip(tasks) {
    ///     let doubled: i32 = task.await.expect("it doesn't panic")?;
    ///     assert_eq!(doubled, number * 2);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn queue_statements(mut self, per_connection: impl Into<Option<usize>>) -> Self {
        self.options.queued_statements = per_connection.into();
        self
    }

    /// Runs on each new connection before it is lent, to set up its session. What it sets
    /// with SET is undone by a reset: settings for all borrowers belong into the
    /// configuration ([`Config::setting`](crate::config::Config::setting)).
    ///
    /// Its errors are told to whoever waits. The driver's own are judged as those of
    /// connecting: what may pass is tried again; any other error is told at once. It must end
    /// within the [`connect_timeout`](Self::connect_timeout).
    ///
    /// # Example
    ///
    /// ```
    /// let builder = kornak::Pool::builder()
    ///     .after_connect(|connection| Box::pin(async move {
    ///         let schema: i32 = connection.fetch_one("select max(version) from schema", ()).await?;
    ///         if schema < 7 {
    ///             return Err("the database is to be migrated first".into());
    ///         }
    ///         Ok(())
    ///     }));
    /// ```
    pub fn after_connect<F>(mut self, hook: F) -> Self
    where
        F: for<'c> Fn(
                &'c mut Connection,
            ) -> Pin<
                Box<dyn Future<Output = Result<(), Box<dyn StdError + Send + Sync>>> + Send + 'c>,
            > + Send
            + Sync
            + 'static,
    {
        self.options.after_connect = Some(Hook(Arc::new(hook)));
        self
    }

    /// Looks at each connection before it is lent, and may run statements on it, which find the
    /// session reset and are part of what the borrower does. One for which it returns `false` or
    /// an error is closed, and another one takes its place. It must end before the borrower's
    /// deadline.
    ///
    /// # Example
    ///
    /// ```
    /// let builder = kornak::Pool::builder()
    ///     .before_acquire(|connection| Box::pin(async move {
    ///         connection.execute("set application_name = 'lent'", ()).await?;
    ///         Ok(true)
    ///     }));
    /// ```
    pub fn before_acquire<F>(mut self, hook: F) -> Self
    where
        F: for<'c> Fn(
                &'c mut Connection,
            ) -> Pin<
                Box<dyn Future<Output = Result<bool, Box<dyn StdError + Send + Sync>>> + Send + 'c>,
            > + Send
            + Sync
            + 'static,
    {
        self.options.before_acquire = Some(Hook(Arc::new(hook)));
        self
    }

    /// Looks at each connection that has come back and is at rest, in a task of the pool. One
    /// for which it returns `false` or an error is closed, and so is one for which it doesn't
    /// end within 15 seconds.
    ///
    /// # Example
    ///
    /// ```
    /// let builder = kornak::Pool::builder()
    ///     .after_release(|connection| Box::pin(async move {
    ///         Ok(connection.buffered_bytes() < 1024 * 1024)
    ///     }));
    /// ```
    pub fn after_release<F>(mut self, hook: F) -> Self
    where
        F: for<'c> Fn(
                &'c mut Connection,
            ) -> Pin<
                Box<dyn Future<Output = Result<bool, Box<dyn StdError + Send + Sync>>> + Send + 'c>,
            > + Send
            + Sync
            + 'static,
    {
        self.options.after_release = Some(Hook(Arc::new(hook)));
        self
    }

    /// Asks `provider` for the password of new connections, and for their user if it wants,
    /// instead of taking those of the configuration: for passwords that rotate, and tokens that
    /// expire. A [`Credential`] that says when it expires is used until then, and one that
    /// doesn't for one connection. One that the server refuses before its time is asked for
    /// anew at once.
    ///
    /// An error of the provider is told to whoever waits when their time is over; meanwhile it
    /// is asked again. It must end within the [`connect_timeout`](Self::connect_timeout).
    ///
    /// # Example
    ///
    /// ```
    /// # async fn fresh_token() -> Result<String, std::io::Error> { Ok(String::new()) }
    /// use std::time::Duration;
    /// use kornak::pool::Credential;
    ///
    /// let builder = kornak::Pool::builder().credential_provider(|| async {
    ///     Ok(Credential::new(fresh_token().await?).expires_in(Duration::from_secs(900)))
    /// });
    /// ```
    pub fn credential_provider<F, Fut>(mut self, provider: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Credential, Box<dyn StdError + Send + Sync>>> + Send + 'static,
    {
        self.options.provider = Some(Hook(Arc::new(move || Box::pin(provider()))));
        self
    }

    /// Makes the pool without connecting; [`min_size`](Self::min_size) connections are opened
    /// in the background.
    ///
    /// # Errors
    ///
    /// If the configuration is wrong, or there is no tokio runtime here.
    pub fn build<T>(mut self, config: impl IntoConfig) -> Result<Pool>
    where
        Connection: UsesTls<T>,
    {
        let config = config.into_config()?;
        // What can be seen to be wrong now is not left to the first borrower.
        let resolved = config.resolve()?;
        self.options.query_timeout = self.options.query_timeout.or(resolved.query_timeout());
        if let (true, Some(host)) = (self.options.name.is_empty(), resolved.hosts().first()) {
            self.options.name = format!("{host}/{}", resolved.dbname());
        }
        let runtime = Handle::try_current().map_err(|error| {
            Error::new(ErrorKind::Usage, "a pool needs a tokio runtime").with_source(error)
        })?;
        let connector = Connector::new(&config, Connection::provider());
        Ok(Pool::new(Shared::new(connector, self.options, runtime)))
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
    pub async fn connect<T>(self, config: impl IntoConfig) -> Result<Pool>
    where
        Connection: UsesTls<T>,
    {
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
