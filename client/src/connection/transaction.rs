//! [`Transaction`]: a guard over a transaction block or a savepoint.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, DerefMut};

use super::Connection;
use super::observe::Observation;
use super::sinks::Command;
use crate::error::{Error, ErrorKind, Outcome, Result, Severity};
use crate::wire::TransactionStatus;

/// A transaction: everything that runs through it is committed together or not at all.
///
/// It dereferences to [`Connection`], so that all verbs work on it, and a function that
/// takes `&mut Connection` takes it too. [`begin`](Connection::begin) on it nests, as a
/// savepoint.
///
/// Dropped without [`commit`](Self::commit), it is rolled back: on an idle connection the
/// ROLLBACK is sent at once, else the next operation sees to it first.
///
/// # Example
///
/// ```no_run
/// # async fn example(connection: &mut kornak::Connection) -> kornak::Result<()> {
/// let mut transaction = connection.begin().await?;
/// transaction.execute("update accounts set balance = balance - $1 where id = $2", (100_i64, 1)).await?;
/// transaction.execute("update accounts set balance = balance + $1 where id = $2", (100_i64, 2)).await?;
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a transaction that is dropped is rolled back"]
pub struct Transaction<'c> {
    connection: &'c mut Connection,
    /// The connection that it was begun on: safe code can swap another into its place.
    connection_id: u64,
    scope: Scope,
    /// The queue's generation when BEGIN or SAVEPOINT was put into it, and its place there.
    queued: (u64, usize),
    is_over: bool,
}

/// What the guard is over: chosen at the beginning, by the server's status byte.
#[derive(Debug)]
enum Scope {
    Block,
    Savepoint(String),
}

/// How a transaction is isolated from others (manual, "Transaction Isolation").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IsolationLevel {
    /// Each statement sees what was committed before it began.
    ReadCommitted,
    /// All statements see what was committed before the first of them began.
    RepeatableRead,
    /// As if transactions ran one after the other.
    Serializable,
}

/// A transaction with options, made by [`Connection::transaction`].
///
/// # Example
///
/// ```no_run
/// # async fn example(connection: &mut kornak::Connection) -> kornak::Result<()> {
/// use kornak::IsolationLevel;
///
/// let mut report = connection
///     .transaction()
///     .isolation_level(IsolationLevel::Serializable)
///     .read_only(true)
///     .deferrable(true)
///     .begin()
///     .await?;
/// let total: i64 = report.fetch_one("select sum(balance)::int8 from accounts", ()).await?;
/// report.commit().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is begun until `begin` is called"]
pub struct TransactionBuilder<'c> {
    connection: &'c mut Connection,
    isolation_level: Option<IsolationLevel>,
    read_only: Option<bool>,
    deferrable: Option<bool>,
}

impl Connection {
    /// Begins a transaction; within one, a savepoint.
    ///
    /// BEGIN costs no round trip: it goes with the first statement.
    ///
    /// # Errors
    ///
    /// If the connection is closed, or the transaction around it has failed.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time: nothing stays open.
    pub async fn begin(&mut self) -> Result<Transaction<'_>> {
        self.transaction().begin().await
    }

    /// A transaction with options: isolation level, read only, deferrable.
    pub fn transaction(&mut self) -> TransactionBuilder<'_> {
        TransactionBuilder {
            connection: self,
            isolation_level: None,
            read_only: None,
            deferrable: None,
        }
    }
}

impl Connection {
    /// Waits for the replies to what was sent, which whoever watches is shown as `sql`.
    async fn finish_watched(&mut self, sql: &str) -> Result<()> {
        let observation = Observation::start(self, sql);
        let finished = self.finish_unprepared();
        let reply = observation.watch(finished, |_| None, |error| error).await;
        reply.map(|_| ())
    }
}

impl<'c> TransactionBuilder<'c> {
    /// The isolation level. Without it the session's default holds.
    pub fn isolation_level(mut self, level: IsolationLevel) -> Self {
        self.isolation_level = Some(level);
        self
    }

    /// Whether nothing may be written. Without it the session's default holds.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = Some(read_only);
        self
    }

    /// Whether a serializable, read-only transaction waits at its beginning until it can run
    /// without being able to fail.
    pub fn deferrable(mut self, deferrable: bool) -> Self {
        self.deferrable = Some(deferrable);
        self
    }

    /// Begins it, as [`Connection::begin`].
    ///
    /// # Errors
    ///
    /// As there; and within a transaction if options are given, because a savepoint has none.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time: nothing stays open.
    pub async fn begin(self) -> Result<Transaction<'c>> {
        let connection = self.connection;
        let limit = connection.default_limit();
        connection.begin_operation(None, limit).await?;
        let status = connection.link.core.transaction_status();
        let place = connection.queued.len();
        let (scope, sql) = if status == TransactionStatus::Failed {
            return Err(Error::usage(
                "the transaction has failed: it can only be rolled back",
            ));
        } else if status == TransactionStatus::Idle && place == 0 {
            (
                Scope::Block,
                begin_statement(self.isolation_level, self.read_only, self.deferrable),
            )
        } else if self.isolation_level.is_some()
            || self.read_only.is_some()
            || self.deferrable.is_some()
        {
            return Err(Error::usage(
                "a transaction within a transaction is a savepoint, which has no options",
            ));
        } else {
            let name = connection.names.next("s");
            let sql = format!("savepoint {name}");
            (Scope::Savepoint(name), sql.into())
        };
        connection.queued.push(sql);
        let queued = (connection.queue_generation, place);
        Ok(Transaction {
            connection_id: connection.id,
            connection,
            scope,
            queued,
            is_over: false,
        })
    }
}

impl Transaction<'_> {
    /// Commits; on a savepoint, keeps what was done since.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CommitOutcomeUnknown`] if COMMIT was sent and its answer did not come:
    /// whether the transaction took effect can't be told from here. Every other error says
    /// that it was rolled back: the server's own, or [`ErrorKind::RolledBack`] if a statement
    /// had failed before.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its end, the outcome is unknown; the connection comes back clean.
    pub async fn commit(mut self) -> Result<()> {
        self.check_connection()?;
        if self.take_from_queue() {
            return Ok(());
        }
        let limit = self.connection.default_limit();
        let connection = &mut *self.connection;
        connection.begin_operation(Some("commit"), limit).await?;
        if connection.transaction_status() == TransactionStatus::Idle {
            // COMMIT would go well, with a mere warning that there is nothing to commit.
            self.is_over = true;
            return Err(not_open());
        }
        match &self.scope {
            Scope::Savepoint(name) => {
                let release = format!("release savepoint {name}");
                if connection.transaction_status() == TransactionStatus::Failed {
                    let back = format!("rollback to savepoint {name}");
                    connection.start_unprepared(&[&back, &release])?;
                    self.is_over = true;
                    connection.finish_watched(ROLLBACK_TO).await?;
                    return Err(rolled_back());
                }
                connection.start_unprepared(&[&release])?;
                // A savepoint can't be undone once RELEASE is on its way, even if nobody
                // waits for its answer.
                self.is_over = true;
                connection.finish_watched(RELEASE).await
            }
            Scope::Block => {
                let observation = Observation::start(connection, "commit");
                let committed = connection.execute_unprepared(&["commit"]);
                let result = observation.watch(committed, |_| None, |error| error).await;
                let is_idle = connection.link.is_quiet();
                self.is_over = is_idle || connection.is_closed();
                connection.send_unlocks();
                match result {
                    Ok(reply) if reply.command == Command::Rollback => Err(rolled_back()),
                    Ok(_) => Ok(()),
                    Err(error) if is_outcome_known(&error) => Err(error),
                    Err(error) => Err(Error::new(
                        ErrorKind::CommitOutcomeUnknown,
                        "COMMIT was sent, but its answer did not come: whether it took effect is unknown",
                    )
                    .with_source(error)),
                }
            }
        }
    }

    /// Rolls back; on a savepoint, undoes what was done since.
    ///
    /// # Errors
    ///
    /// If the connection is lost: the server then rolls back by itself.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: it is rolled back all the same.
    pub async fn rollback(mut self) -> Result<()> {
        self.check_connection()?;
        if self.take_from_queue() {
            return Ok(());
        }
        let limit = self.connection.default_limit();
        self.connection
            .begin_operation(Some("rollback"), limit)
            .await?;
        if self.connection.transaction_status() != TransactionStatus::Idle {
            let statements = self.scope.undo();
            let statements: Vec<&str> = statements.iter().map(|sql| &**sql).collect();
            self.connection.start_unprepared(&statements)?;
            self.is_over = true;
            let shown = match self.scope {
                Scope::Block => "rollback",
                Scope::Savepoint(_) => ROLLBACK_TO,
            };
            self.connection.finish_watched(shown).await?;
            self.connection.send_unlocks();
        }
        self.is_over = true;
        Ok(())
    }

    /// Takes the BEGIN or SAVEPOINT back, if it hasn't been sent: then nothing has happened.
    fn take_from_queue(&mut self) -> bool {
        let (generation, place) = self.queued;
        let is_queued = generation == self.connection.queue_generation;
        if is_queued {
            self.connection.queued.truncate(place);
            self.is_over = true;
        }
        is_queued
    }

    fn check_connection(&mut self) -> Result<()> {
        if self.connection.id == self.connection_id {
            return Ok(());
        }
        self.is_over = true;
        let message = "the connection was swapped for another within a transaction";
        Err(self.connection.link.close(Error::usage(message)))
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.is_over || self.check_connection().is_err() || self.take_from_queue() {
            return;
        }
        self.connection
            .undo(self.scope.undo(), matches!(self.scope, Scope::Block));
    }
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

impl Scope {
    /// What undoes all that was done within it.
    fn undo(&self) -> Vec<Cow<'static, str>> {
        match self {
            Self::Block => vec!["rollback".into()],
            Self::Savepoint(name) => {
                vec![
                    format!("rollback to savepoint {name}").into(),
                    format!("release savepoint {name}").into(),
                ]
            }
        }
    }
}

/// What is shown of a savepoint, whose name is the driver's own.
const RELEASE: &str = "release savepoint";

/// As [`RELEASE`], where it is undone.
const ROLLBACK_TO: &str = "rollback to savepoint";

fn begin_statement(
    isolation_level: Option<IsolationLevel>,
    read_only: Option<bool>,
    deferrable: Option<bool>,
) -> Cow<'static, str> {
    let mut sql = Cow::Borrowed("begin");
    if let Some(level) = isolation_level {
        sql += match level {
            IsolationLevel::ReadCommitted => " isolation level read committed",
            IsolationLevel::RepeatableRead => " isolation level repeatable read",
            IsolationLevel::Serializable => " isolation level serializable",
        };
    }
    if let Some(read_only) = read_only {
        sql += if read_only {
            " read only"
        } else {
            " read write"
        };
    }
    if let Some(deferrable) = deferrable {
        sql += if deferrable {
            " deferrable"
        } else {
            " not deferrable"
        };
    }
    sql
}

/// Whether the server itself has told what became of a COMMIT.
fn is_outcome_known(error: &Error) -> bool {
    error.kind() == ErrorKind::Server
        && error
            .as_server()
            .is_some_and(|error| error.severity() == Severity::Error)
}

fn not_open() -> Error {
    Error::usage(
        "no transaction is open any more: its BEGIN failed, or a statement within it ended it",
    )
    .with_outcome(Outcome::Unknown)
}

#[cold]
pub(super) fn rolled_back() -> Error {
    Error::new(
        ErrorKind::RolledBack,
        "the transaction was rolled back, because a statement in it had failed",
    )
    .with_outcome(Outcome::RolledBack)
}
