//! One connection, and everything that a user does on it.

mod advice;
mod advisory;
mod ahead;
mod cancel;
mod catalog;
mod cold;
mod connect;
mod copy;
mod endpoint;
mod execute;
mod held;
mod hosts;
mod hygiene;
mod lend;
mod link;
mod listen;
mod login;
pub(crate) mod many;
pub(crate) mod observe;
pub mod pipeline;
mod portal;
pub(crate) mod queued;
mod recover;
mod resolver;
mod retry;
mod roles;
mod session;
mod sharing;
mod sinks;
mod stream;
mod timer;
mod tls;
mod tls_options;
mod transaction;
mod verbs;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use self::advisory::{AdvisoryLock, AdvisoryLockRequest, LockKey};
pub use self::cancel::CancelToken;
pub use self::copy::{CopyIn, CopyInRows, CopyOut, CopyOutRows, CopyTable, TableName};
pub(crate) use self::listen::{Dial, check_channel};
pub use self::listen::{ListenEvent, Listener};
pub use self::many::{FromStream, Items, ManyRows, from_stream};
pub use self::portal::Portal;
pub(crate) use self::retry::Course;
pub use self::retry::{Attempt, Attempts, RetryPolicy};
pub use self::session::Notification;
pub use self::stream::RowStream;
pub use self::tls::UsesTls;
pub use self::transaction::{IsolationLevel, Transaction, TransactionBuilder};
pub use self::verbs::{Query, Visited};
pub use crate::wire::TransactionStatus;

use self::advisory::Advisory;
use self::cancel::Cancelling;
use self::catalog::Catalog;
pub(crate) use self::connect::{Connector, is_final};
use self::copy::RowsIn;
pub(crate) use self::held::Held;
use self::hygiene::Hygiene;
use self::link::Link;
use self::recover::UndoOutcome;
use self::roles::Chosen;
use self::session::Session;
use self::sharing::Unshared;
pub(crate) use self::timer::Limit;
use crate::buffer::ReadBuffer;
use crate::config::{IntoConfig, Pooler, ResolvedConfig};
use crate::error::Result;
use crate::protocol::Core;
use crate::statement::StatementCache;
use crate::transport::Stream;

/// A connection to a PostgreSQL server.
///
/// Every operation takes `&mut self`, so that "another operation is in progress" is an error
/// of the borrow checker. Any future may be dropped at any await: what it left behind is
/// brought to an end by the next operation, which cancels a query that still runs.
///
/// # Example
///
/// ```no_run
/// # async fn example() -> kornak::Result<()> {
/// let mut connection = kornak::Connection::connect("postgres://localhost/app").await?;
/// let answer: i32 = connection.fetch_one("select 6 * $1", (7,)).await?;
/// assert_eq!(answer, 42);
/// connection.close().await;
/// # Ok(())
/// # }
/// ```
pub struct Connection {
    pub(crate) link: Box<Link>,
    pub(crate) statements: Box<StatementCache>,
    catalog: Catalog,
    /// Where it leads, for whoever watches.
    #[cfg(any(feature = "tracing", feature = "metrics"))]
    pub(crate) place: Arc<observe::Place>,
    /// Descriptions learnt in a transaction, for the others when it is committed.
    unshared: Vec<Unshared>,
    /// Tells connections apart, for guards: safe code can swap two of them.
    id: u64,
    /// What goes before the next statement, in one unit with it: a BEGIN, savepoints.
    queued: Vec<Cow<'static, str>>,
    /// Counts how often the queue was sent, so that a guard knows whether its own is in it.
    queue_generation: u64,
    /// What dropped guards could not undo at once.
    undo: Vec<Cow<'static, str>>,
    /// Some while the answers to what undoes them are owed.
    undoing: Option<UndoOutcome>,
    /// The rest of an operation that was dropped may be long: it is worth a cancel.
    interrupted: bool,
    cancelling: Option<Cancelling>,
    hygiene: Hygiene,
    advisory: Advisory,
    rows_in: RowsIn,
    /// A pooler stands before the server, which lends one for a transaction at a time.
    is_pooled: bool,
    /// The server has turned out to be one that the caller has no use for.
    is_unfit: bool,
    /// The server has refused to write (25006), and was not asked yet whether it refuses all.
    has_refused_to_write: bool,
    /// As what it was chosen.
    chosen: Chosen,
    cancel_token: CancelToken,
    names: Names,
    default_limit: Limit,
    /// The default timeout of the configuration.
    configured_timeout: Option<Duration>,
}

/// The names that a connection gives: none is used twice.
#[derive(Debug)]
struct Names {
    /// Another one for each connection, so that behind a pooler no name is met twice.
    random: u32,
    next: u64,
}

impl Connection {
    /// Connects to a server, as a connection string says, a URI
    /// (`postgres://user@host:5432/database?option=value`) or keywords and values
    /// (`host=… dbname=…`) as libpq takes them, or as a [`Config`](crate::config::Config) says.
    ///
    /// # Errors
    ///
    /// If the string is wrong, no server can be reached in time, or the server refuses.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the socket.
    pub async fn connect<T>(config: impl IntoConfig) -> Result<Self>
    where
        Self: UsesTls<T>,
    {
        let connector = Connector::new(&config.into_config()?, Self::provider());
        connector.connect(None).await
    }

    /// The transaction status that the server reported last.
    pub fn transaction_status(&self) -> TransactionStatus {
        self.link.core.transaction_status()
    }

    /// Whether the connection is closed. Never true by a guess: an open connection may turn
    /// out to be closed when it is used.
    pub fn is_closed(&self) -> bool {
        self.link.is_closed()
    }

    /// The value of a run-time parameter that the server reports by itself, such as
    /// `server_version` or `TimeZone` (manual, "Asynchronous Operations").
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.link.session.parameter(name)
    }

    /// The server process that serves this connection, as `pg_backend_pid()` says.
    pub fn process_id(&self) -> i32 {
        self.cancel_token.process_id()
    }

    /// A token that cancels from elsewhere what this connection is running.
    pub fn cancel_token(&self) -> CancelToken {
        self.cancel_token.clone()
    }

    /// Calls `handler` for each notice and warning of the server.
    ///
    /// It is called while replies are read, and must not block.
    pub fn on_notice(
        &mut self,
        handler: impl Fn(&crate::error::ServerError) + Send + Sync + 'static,
    ) {
        self.link.session.handlers.notice = Some(Arc::new(handler));
    }

    /// Calls `handler` for each notification of a channel that this session listens to.
    ///
    /// It is called while replies are read, and must not block.
    pub fn on_notification(&mut self, handler: impl Fn(Notification) + Send + Sync + 'static) {
        self.link.session.handlers.notification = Some(Arc::new(handler));
    }

    /// The time that an operation may take where it is not given a timeout of its own.
    pub fn set_default_timeout(&mut self, timeout: impl Into<Option<Duration>>) {
        self.default_limit = Limit::after(timeout.into());
    }

    /// How many statements are kept prepared.
    pub fn cached_statements(&self) -> usize {
        self.statements.count()
    }

    /// How much memory the buffers hold now, in bytes.
    pub fn buffered_bytes(&self) -> usize {
        self.link.buffered()
    }

    /// Closes the connection: says Terminate, and waits until it is written, for the default
    /// timeout at most.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the socket at once.
    pub async fn close(mut self) {
        self.link.set_limit(match self.default_limit {
            Limit::None => Limit::After(CLOSE_TIMEOUT),
            limit => limit,
        });
        self.link.start_terminate();
        std::future::poll_fn(|cx| self.link.poll_shutdown(cx)).await;
    }

    fn new(
        stream: Stream,
        input: ReadBuffer,
        core: Core,
        session: Session,
        cancel_token: CancelToken,
        config: &ResolvedConfig,
    ) -> Result<Self> {
        Ok(Self {
            link: Box::new(Link::new(stream, input, core, session)),
            statements: Box::new(StatementCache::new(config.statement_cache_capacity())),
            catalog: Catalog::default(),
            #[cfg(any(feature = "tracing", feature = "metrics"))]
            place: Arc::default(),
            unshared: Vec::new(),
            id: next_id(),
            queued: Vec::new(),
            queue_generation: 0,
            undo: Vec::new(),
            undoing: None,
            interrupted: false,
            cancelling: None,
            hygiene: Hygiene::default(),
            advisory: Advisory::default(),
            rows_in: RowsIn::default(),
            is_pooled: config.pooler() == Pooler::Transaction,
            is_unfit: false,
            has_refused_to_write: false,
            chosen: Chosen::default(),
            cancel_token,
            names: Names::new()?,
            default_limit: Limit::after(config.query_timeout()),
            configured_timeout: config.query_timeout(),
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // What a transaction has altered may be committed, though nobody has seen it.
        self.catalog.settle();
        // The server is told where that costs no wait; it notices the closed socket anyhow.
        if self.link.is_quiet() {
            self.link.start_terminate();
            self.link.try_write();
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("process_id", &self.process_id())
            .field("transaction_status", &self.transaction_status())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl Names {
    fn new() -> Result<Self> {
        let random = getrandom::u32().map_err(|error| {
            crate::error::Error::io("no random number for names", std::io::Error::other(error))
        })?;
        Ok(Self { random, next: 0 })
    }

    fn next(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}{:08x}_{}", self.random, self.next)
    }
}

/// How long closing waits where there is no default timeout.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
