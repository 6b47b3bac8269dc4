//! Advisory locks as guards (manual, "Advisory Locks").

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::Connection;
use super::observe::Observation;
use super::recover::start_undo;
use super::sinks::{Ignore, One};
use crate::error::{Error, ErrorKind, Result};
use crate::wire::TransactionStatus;

/// What an advisory lock is of: a number of 64 bits, or two of 32. The two kinds are apart
/// from each other, and what a key means is the application's affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LockKey(Key);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    One(i64),
    Two(i32, i32),
}

/// An advisory lock that is asked for, made by [`Connection::advisory_lock`].
#[derive(Debug)]
#[must_use = "nothing is locked until `lock` or one of its kin is called"]
pub struct AdvisoryLockRequest<'c> {
    connection: &'c mut Connection,
    lock: Lock,
    timeout: Option<Duration>,
}

/// An advisory lock of the session, held until it is released or dropped.
///
/// It dereferences to [`Connection`], for the work that is done under the lock. Dropped, it
/// is unlocked: on an idle connection at once, else by the next operation, and in a
/// transaction that has failed when that one ends. What a pool lends loses all locks when it
/// is reset, those that were never released included.
///
/// # Example
///
/// ```no_run
/// # async fn example(connection: &mut kornak::Connection) -> kornak::Result<()> {
/// let mut lock = connection.advisory_lock(42_i64).lock().await?;
/// lock.execute("refresh materialized view report", ()).await?;
/// lock.release().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a lock that is dropped is unlocked at once"]
pub struct AdvisoryLock<'c> {
    connection: &'c mut Connection,
    /// The connection that it was taken on: safe code can swap another into its place.
    connection_id: u64,
    lock: Lock,
    is_over: bool,
}

/// A key and the mode in which it is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lock {
    key: Key,
    is_shared: bool,
}

/// The advisory locks of a connection.
#[derive(Debug, Default)]
pub(super) struct Advisory {
    /// How many guards there are of each lock. The server is asked for the first of them.
    held: Vec<(Lock, u32)>,
    /// What unlocks the locks whose guards are gone.
    owed: Vec<Cow<'static, str>>,
}

/// How a lock is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Manner {
    /// Without a wait.
    tries: bool,
    /// Until the end of the transaction.
    in_transaction: bool,
}

impl From<i64> for LockKey {
    fn from(key: i64) -> Self {
        Self(Key::One(key))
    }
}

impl From<(i32, i32)> for LockKey {
    fn from((first, second): (i32, i32)) -> Self {
        Self(Key::Two(first, second))
    }
}

impl Connection {
    /// An advisory lock: of the session, as a guard, or of the transaction that is open.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(connection: &mut kornak::Connection) -> kornak::Result<()> {
    /// use std::time::Duration;
    ///
    /// // Whoever comes second does something else.
    /// if let Some(mut leader) = connection.advisory_lock((1, 7)).try_lock().await? {
    ///     leader.execute("delete from sessions where expires < now()", ()).await?;
    /// }
    ///
    /// let mut transaction = connection.begin().await?;
    /// let request = transaction.advisory_lock(42_i64).shared().timeout(Duration::from_secs(1));
    /// request.lock_in_transaction().await?;
    /// // … unlocked by its end.
    /// transaction.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn advisory_lock(&mut self, key: impl Into<LockKey>) -> AdvisoryLockRequest<'_> {
        AdvisoryLockRequest {
            connection: self,
            lock: Lock {
                key: key.into().0,
                is_shared: false,
            },
            timeout: None,
        }
    }

    /// A guard is gone: unlocks, if it was the last one.
    fn drop_guard(&mut self, lock: Lock) {
        if self.advisory.leave(lock) {
            self.advisory.owed.push(lock.unlock().into());
            self.send_unlocks();
        }
    }

    /// Sends what unlocks, if nothing else is under way.
    pub(super) fn send_unlocks(&mut self) {
        let is_free = self.link.is_quiet() && self.undo.is_empty() && self.cancelling.is_none();
        if !is_free || !self.owes_unlocks() {
            return;
        }
        if start_undo(&mut self.link, &self.advisory.owed).is_ok() {
            self.advisory.owed.clear();
            self.link.core.discard_all();
            self.link.try_write();
        }
    }

    /// Whether something is to be unlocked, and can be: a failed transaction takes no
    /// statement but its end.
    #[inline]
    pub(super) fn owes_unlocks(&self) -> bool {
        !self.advisory.owed.is_empty()
            && self.link.core.transaction_status() != TransactionStatus::Failed
    }

    /// What unlocks, for whoever sends it now.
    pub(super) fn take_unlocks(&mut self) -> Vec<Cow<'static, str>> {
        std::mem::take(&mut self.advisory.owed)
    }

    /// No guard is left, even if some were never dropped.
    pub(super) fn forget_locks(&mut self) {
        self.advisory.held.clear();
    }
}

impl<'c> AdvisoryLockRequest<'c> {
    /// Shares the lock with others that share it.
    pub fn shared(mut self) -> Self {
        self.lock.is_shared = true;
        self
    }

    /// How long the server waits for whoever holds it, in steps of a millisecond. Without it
    /// the session's `lock_timeout` holds, and the connection's default timeout in any case.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Waits for the lock. The session then holds it, across transactions, until the guard
    /// is released or dropped. What this connection holds already by a guard costs no round
    /// trip.
    ///
    /// # Errors
    ///
    /// The server's: 55P03 (`SqlState::LOCK_NOT_AVAILABLE`) after the timeout, which leaves a
    /// transaction that is open in order; 40P01 if it would wait forever. The deadline.
    /// [`ErrorKind::Unsupported`] behind a pooler of transactions.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: the next operation stops the wait, and unlocks if it had ended. In a
    /// transaction this aborts it.
    pub async fn lock(self) -> Result<AdvisoryLock<'c>> {
        let manner = Manner {
            tries: false,
            in_transaction: false,
        };
        match self.guard(manner).await? {
            Some(guard) => Ok(guard),
            None => Err(Error::protocol("a lock was waited for and not given")),
        }
    }

    /// The lock as [`lock`](Self::lock) gives it, or `None` if somebody else holds it now.
    ///
    /// # Errors
    ///
    /// The server's; the deadline. [`ErrorKind::Unsupported`] behind a pooler of
    /// transactions.
    ///
    /// # Cancel safety
    ///
    /// As [`lock`](Self::lock).
    pub async fn try_lock(self) -> Result<Option<AdvisoryLock<'c>>> {
        let manner = Manner {
            tries: true,
            in_transaction: false,
        };
        self.guard(manner).await
    }

    /// Waits for the lock. The transaction that is open then holds it until its end, or until
    /// a savepoint before it is rolled back to: the transaction is the guard.
    ///
    /// # Errors
    ///
    /// If no transaction is open; else as [`lock`](Self::lock).
    ///
    /// # Cancel safety
    ///
    /// May be dropped: the next operation stops the wait, which aborts the transaction.
    pub async fn lock_in_transaction(self) -> Result<()> {
        self.check_transaction()?;
        let manner = Manner {
            tries: false,
            in_transaction: true,
        };
        self.connection
            .ask_lock(self.lock, manner, self.timeout)
            .await?;
        Ok(())
    }

    /// Has the transaction that is open hold the lock, as
    /// [`lock_in_transaction`](Self::lock_in_transaction) does; `false` if somebody else
    /// holds it now.
    ///
    /// # Errors
    ///
    /// If no transaction is open; the server's; the deadline.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: whether the lock was taken is then unknown.
    pub async fn try_lock_in_transaction(self) -> Result<bool> {
        self.check_transaction()?;
        let manner = Manner {
            tries: true,
            in_transaction: true,
        };
        self.connection.ask_lock(self.lock, manner, None).await
    }

    fn check_transaction(&self) -> Result<()> {
        if self.connection.is_in_transaction() {
            return Ok(());
        }
        Err(Error::usage("no transaction is open to hold the lock"))
    }

    async fn guard(self, manner: Manner) -> Result<Option<AdvisoryLock<'c>>> {
        let Self {
            connection,
            lock,
            timeout,
        } = self;
        if connection.is_pooled {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a lock of the session needs a session of its own, which there is none of with \
                 pooler=transaction; one of the transaction does not",
            ));
        }
        if !connection.advisory.join(lock) {
            let mut asking = Asking {
                connection: &mut *connection,
                lock,
                is_unknown: true,
            };
            let asked = asking.connection.ask_lock(lock, manner, timeout).await;
            // What the server itself refuses it has not given.
            asking.is_unknown = matches!(&asked, Err(error) if error.kind() != ErrorKind::Server);
            drop(asking);
            if !asked? {
                return Ok(None);
            }
            connection.advisory.held.push((lock, 1));
        }
        Ok(Some(AdvisoryLock {
            connection_id: connection.id,
            connection,
            lock,
            is_over: false,
        }))
    }
}

impl AdvisoryLock<'_> {
    /// Unlocks, and waits until that is done. In a transaction that has failed it is done
    /// when that one ends.
    ///
    /// # Errors
    ///
    /// If the session does not hold the lock any more, because a statement has unlocked it;
    /// if the connection is lost; the deadline.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: it is unlocked all the same.
    pub async fn release(mut self) -> Result<()> {
        self.check_connection()?;
        self.is_over = true;
        let lock = self.lock;
        let connection = &mut *self.connection;
        if !connection.advisory.leave(lock) {
            return Ok(());
        }
        if connection.transaction_status() == TransactionStatus::Failed {
            connection.advisory.owed.push(lock.unlock().into());
            return Ok(());
        }
        let mut asking = Asking {
            connection,
            lock,
            is_unknown: true,
        };
        let limit = asking.connection.default_limit();
        let sql = lock.function("pg_advisory_unlock", lock.placeholders());
        let unlocked = asking.connection.ask_bool(&sql, lock, limit).await;
        asking.is_unknown = unlocked.is_err();
        match unlocked? {
            true => Ok(()),
            false => Err(Error::usage(
                "the session did not hold the lock any more: a statement had unlocked it",
            )),
        }
    }

    fn check_connection(&mut self) -> Result<()> {
        if self.connection.id == self.connection_id {
            return Ok(());
        }
        self.is_over = true;
        let message = "the connection was swapped for another under an advisory lock";
        Err(self.connection.link.close(Error::usage(message)))
    }
}

impl Drop for AdvisoryLock<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.check_connection().is_ok() {
            self.connection.drop_guard(self.lock);
        }
    }
}

impl Deref for AdvisoryLock<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl DerefMut for AdvisoryLock<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection
    }
}

impl fmt::Debug for AdvisoryLock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdvisoryLock")
            .field("lock", &self.lock)
            .finish_non_exhaustive()
    }
}

/// A question whose answer says whether the session holds a lock. If nobody hears it, the
/// next operation unlocks.
struct Asking<'c> {
    connection: &'c mut Connection,
    lock: Lock,
    is_unknown: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if self.is_unknown {
            let sql = self.lock.unlock_if_held();
            self.connection.advisory.owed.push(sql.into());
        }
    }
}

impl Connection {
    /// Asks the server for a lock, and returns whether it was given.
    async fn ask_lock(
        &mut self,
        lock: Lock,
        manner: Manner,
        timeout: Option<Duration>,
    ) -> Result<bool> {
        let function = lock.function_name(manner);
        let limit = self.default_limit();
        match timeout {
            Some(timeout) if !manner.tries => {
                self.begin_operation(Some("select"), limit).await?;
                let sql = lock.function(&function, lock.literals());
                let observation = Observation::start(self, &sql);
                let asked = self.ask_within(&sql, manner, timeout);
                observation.watch(asked, |()| None, |error| error).await?;
                Ok(true)
            }
            _ => {
                let sql = lock.function(&function, lock.placeholders());
                if manner.tries {
                    return self.ask_bool(&sql, lock, limit).await;
                }
                let ignore = &mut Ignore;
                match lock.key {
                    Key::One(key) => self.run_watched(&sql, &(key,), ignore, limit).await?,
                    Key::Two(first, second) => {
                        self.run_watched(&sql, &(first, second), ignore, limit)
                            .await?
                    }
                };
                Ok(true)
            }
        }
    }

    async fn ask_bool(&mut self, sql: &str, lock: Lock, limit: super::Limit) -> Result<bool> {
        let mut one = One::new();
        match lock.key {
            Key::One(key) => self.run_watched(sql, &(key,), &mut one, limit).await?,
            Key::Two(first, second) => {
                self.run_watched(sql, &(first, second), &mut one, limit)
                    .await?
            }
        };
        Ok(one.take_optional()? == Some(true))
    }

    /// Has the server wait for so long at most: `lock_timeout` is set for this statement
    /// alone, and an open transaction goes on after the timeout.
    async fn ask_within(&mut self, ask: &str, manner: Manner, timeout: Duration) -> Result<()> {
        let millis = timeout.as_millis().clamp(1, i32::MAX as u128);
        self.hygiene.note(false);
        let set = ["set local lock_timeout = ", &millis.to_string()].concat();
        if !self.is_in_transaction() {
            // A lock of the session outlives the transaction.
            self.start_unprepared(&["begin", &set, ask, "commit"])?;
            self.undo.push("rollback".into());
            let answer = self.finish_unprepared().await;
            return self.end_ask(answer.map(drop)).await;
        }
        let name = self.names.next("s");
        let savepoint = format!("savepoint {name}");
        let back = format!("rollback to savepoint {name}");
        let release = format!("release savepoint {name}");
        if manner.in_transaction {
            // Rolling back would unlock: the setting is put back by hand.
            let statements = [
                &savepoint,
                KEEP_TIMEOUT,
                &set,
                ask,
                RESTORE_TIMEOUT,
                &release,
            ];
            self.start_unprepared(&statements)?;
        } else {
            // Rolling back puts the setting back, and leaves the session its lock.
            self.start_unprepared(&[&savepoint, &set, ask, &back, &release])?;
        }
        let answer = self.finish_unprepared().await;
        if matches!(&answer, Err(error) if error.kind() == ErrorKind::Server) {
            self.undo.extend([back.into(), release.into()]);
        }
        self.end_ask(answer.map(drop)).await
    }

    async fn end_ask(&mut self, answer: Result<()>) -> Result<()> {
        match &answer {
            Ok(()) => self.undo.clear(),
            Err(error) if error.kind() == ErrorKind::Server => self.recover().await?,
            // What became of it is not known: the next operation rolls back.
            Err(_) => {}
        }
        answer
    }
}

/// Keeps `lock_timeout` under another name until the lock is there.
const KEEP_TIMEOUT: &str = "select pg_catalog.set_config('kornak.lock_timeout', pg_catalog.current_setting('lock_timeout'), true)";

/// Puts it back.
const RESTORE_TIMEOUT: &str = "select pg_catalog.set_config('lock_timeout', pg_catalog.current_setting('kornak.lock_timeout'), true)";

impl Advisory {
    #[inline]
    pub(super) fn owes_nothing(&self) -> bool {
        self.owed.is_empty()
    }

    /// One more guard of a lock that is held; false if it isn't.
    fn join(&mut self, lock: Lock) -> bool {
        let held = self.held.iter_mut().find(|(held, _)| *held == lock);
        held.map(|(_, guards)| *guards += 1).is_some()
    }

    /// One guard less; true if it was the last.
    fn leave(&mut self, lock: Lock) -> bool {
        let Some(place) = self.held.iter().position(|(held, _)| *held == lock) else {
            return false;
        };
        self.held[place].1 -= 1;
        let is_last = self.held[place].1 == 0;
        if is_last {
            self.held.swap_remove(place);
        }
        is_last
    }
}

impl Lock {
    fn function_name(self, manner: Manner) -> String {
        let tries = if manner.tries { "pg_try_" } else { "pg_" };
        let scope = if manner.in_transaction {
            "advisory_xact_lock"
        } else {
            "advisory_lock"
        };
        [tries, scope].concat()
    }

    /// The call of a function of the family.
    fn function(self, name: &str, arguments: String) -> String {
        let mode = if self.is_shared { "_shared" } else { "" };
        ["select pg_catalog.", name, mode, "(", &arguments, ")"].concat()
    }

    fn placeholders(self) -> String {
        match self.key {
            Key::One(_) => "$1".into(),
            Key::Two(..) => "$1, $2".into(),
        }
    }

    /// The key as SQL, for statements that can't be prepared.
    fn literals(self) -> String {
        match self.key {
            // A number below zero is an expression, which the cast must not split.
            Key::One(key) => format!("({key})::int8"),
            Key::Two(first, second) => format!("({first})::int4, ({second})::int4"),
        }
    }

    fn unlock(self) -> String {
        self.function("pg_advisory_unlock", self.literals())
    }

    /// Unlocks only what is held: the server warns of anything else.
    fn unlock_if_held(self) -> String {
        let (class, object, kind) = match self.key {
            Key::One(key) => ((key >> 32) as u32, key as u32, 1),
            Key::Two(first, second) => (first as u32, second as u32, 2),
        };
        let mode = if self.is_shared {
            "ShareLock"
        } else {
            "ExclusiveLock"
        };
        [
            &self.unlock(),
            " where exists (select from pg_catalog.pg_locks where locktype = 'advisory' and granted \
             and pid = pg_catalog.pg_backend_pid() and database = (select oid from \
             pg_catalog.pg_database where datname = pg_catalog.current_database()) and mode = '",
            mode,
            &format!("' and (classid::int8, objid::int8, objsubid) = ({class}, {object}, {kind}))"),
        ]
        .concat()
    }
}
