//! [`Shared`]: the state behind all handles of a pool, and the tasks that serve it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::options::Options;
use super::slots::{Acquired, Counts, Effects, Grant, Slots};
use crate::config::Config;
use crate::connection::{Connection, Connector};
use crate::error::{Error, ErrorKind, Result};

/// What all handles, guards and tasks of a pool share.
pub(super) struct Shared {
    slots: Mutex<Slots<Member>>,
    pub(super) options: Options,
    connector: Connector,
    /// The runtime on which the pool was built: what outlives a call runs there.
    runtime: Handle,
    /// Connections of an older generation are closed instead of being handed out.
    generation: AtomicU64,
    last_error: Mutex<Option<Error>>,
    /// Told when a place becomes free, and when the pool is closed.
    changed: Notify,
}

/// A connection of the pool.
pub(super) struct Member {
    pub(super) connection: Connection,
    generation: u64,
    expires: Option<Instant>,
    idle_since: Instant,
    uses: u64,
}

/// A place in the pool and the connection in it. Dropped with its connection, it gives the
/// place up, so that no place is lost whatever happens to its holder.
pub(super) struct Lease {
    shared: Arc<Shared>,
    member: Option<Member>,
}

impl Shared {
    pub(super) fn new(config: Config, options: Options, runtime: Handle) -> Arc<Self> {
        Arc::new(Self {
            slots: Mutex::new(Slots::new(options.max_size)),
            options,
            connector: Connector::new(&config),
            runtime,
            generation: AtomicU64::new(0),
            last_error: Mutex::new(None),
            changed: Notify::new(),
        })
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().counts()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed()
    }

    /// A connection for the caller, checked and, where that is due, about to be reset.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PoolTimeout`] at the deadline, [`ErrorKind::PoolClosed`], or why no
    /// connection can be made.
    pub(super) async fn acquire(self: &Arc<Self>, deadline: Option<Instant>) -> Result<Lease> {
        let acquired = async {
            loop {
                let lease = self.wait().await?;
                if let Some(lease) = self.check_out(lease).await {
                    return Ok(lease);
                }
            }
        };
        match deadline {
            None => acquired.await,
            Some(deadline) => match tokio::time::timeout_at(deadline, acquired).await {
                Ok(result) => result,
                Err(_) => Err(self.timed_out()),
            },
        }
    }

    /// A connection comes back: at once if it is at rest, else when it has been brought there.
    pub(super) fn release(self: &Arc<Self>, mut lease: Lease) {
        let Some(member) = &mut lease.member else {
            return;
        };
        member.uses += 1;
        let worn_out = self.options.max_uses.is_some_and(|max| member.uses >= max);
        if worn_out || member.connection.is_unusable() || self.is_expired(member) {
            return;
        }
        member
            .connection
            .forget_borrower(self.options.query_timeout);
        if member.connection.is_returnable() {
            lease.give_back();
            return;
        }
        // The next borrower must not wait for what the last one left behind.
        let recovery = async move {
            if let Some(member) = &mut lease.member {
                let recovered =
                    tokio::time::timeout(RECOVERY_BUDGET, member.connection.recover_for_next());
                if matches!(recovered.await, Ok(Ok(()))) {
                    lease.give_back();
                }
            }
        };
        // On a runtime that has ended the task is dropped, and with it the lease.
        drop(self.runtime.spawn(recovery));
    }

    /// Closes what is idle and tells all who wait; what is out is closed when it comes back.
    pub(super) fn close(&self) -> Vec<Connection> {
        let (idle, wakers) = self.lock().close();
        wakers.into_iter().for_each(std::task::Waker::wake);
        self.changed.notify_waiters();
        idle.into_iter().map(|member| member.connection).collect()
    }

    /// Waits until every place is free.
    pub(super) async fn emptied(&self) {
        loop {
            let changed = self.changed.notified();
            if self.counts().open == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Waits until the pool is closed.
    async fn until_closed(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_closed() {
                return;
            }
            changed.await;
        }
    }

    /// No connection that is open now is handed out again.
    pub(super) fn expire_all(self: &Arc<Self>) {
        self.generation.fetch_add(1, Ordering::Relaxed);
        self.close_idle(|_| true);
    }

    pub(super) fn resize(self: &Arc<Self>, max: usize) {
        let (surplus, effects) = self.lock().resize(max);
        drop(surplus);
        self.settle(effects);
    }

    /// Opens connections until there are `count`, as far as the pool may.
    pub(super) fn warm_up(self: &Arc<Self>, count: usize) {
        let connects = {
            let mut slots = self.lock();
            let open = slots.counts().open;
            slots.connect_ahead(count.saturating_sub(open))
        };
        self.start_connects(connects);
    }

    /// Looks after the idle connections: closes the old ones, and opens what is missing.
    pub(super) fn maintain(self: &Arc<Self>) {
        let now = Instant::now();
        let mut spare = self.counts().open.saturating_sub(self.options.min_size);
        self.close_idle(|member| {
            let is_long_idle = self
                .options
                .idle_timeout
                .is_some_and(|timeout| now.saturating_duration_since(member.idle_since) >= timeout);
            let is_unwanted = self.is_expired(member) || is_long_idle && spare > 0;
            spare -= usize::from(is_unwanted && spare > 0);
            is_unwanted
        });
        self.warm_up(self.options.min_size);
    }

    fn close_idle(self: &Arc<Self>, is_unwanted: impl FnMut(&mut Member) -> bool) {
        let closed = self.lock().take_idle(is_unwanted);
        if !closed.is_empty() {
            drop(closed);
            self.changed.notify_waiters();
        }
    }

    /// Waits for a connection, in line.
    async fn wait(self: &Arc<Self>) -> Result<Lease> {
        let (acquired, effects) = self.lock().acquire();
        self.settle(effects);
        match acquired {
            Acquired::Now(member) => Ok(Lease::new(self, member)),
            Acquired::Later(ticket) => {
                Waiting {
                    shared: self,
                    ticket: Some(ticket),
                }
                .await
            }
            Acquired::Closed => Err(closed()),
        }
    }

    /// Looks a connection over before it is handed out. `None` if it is fit for nobody.
    async fn check_out(self: &Arc<Self>, mut lease: Lease) -> Option<Lease> {
        let member = lease.member.as_mut()?;
        if self.is_expired(member) || !member.connection.is_silent() {
            return None;
        }
        let idle = member.idle_since.elapsed();
        if self.options.ping_after.is_some_and(|after| idle >= after) {
            let ping = tokio::time::timeout(PING_TIMEOUT, member.connection.ping());
            if !matches!(ping.await, Ok(Ok(()))) {
                return None;
            }
        }
        if self
            .options
            .before_acquire
            .as_ref()
            .is_some_and(|hook| !hook.0(&member.connection))
        {
            return None;
        }
        self.options.reset.prepare(&mut member.connection);
        Some(lease)
    }

    fn is_expired(&self, member: &Member) -> bool {
        member.generation != self.generation.load(Ordering::Relaxed)
            || member
                .expires
                .is_some_and(|expires| Instant::now() >= expires)
    }

    fn settle(self: &Arc<Self>, effects: Effects<Member>) {
        let Effects {
            wake,
            close,
            connect,
        } = effects;
        if let Some(waker) = wake {
            waker.wake();
        }
        if close.is_some() {
            drop(close);
            self.changed.notify_waiters();
        }
        self.start_connects(connect);
    }

    fn start_connects(self: &Arc<Self>, count: usize) {
        for _ in 0..count {
            drop(
                self.runtime.spawn(
                    Connecting {
                        shared: Some(Arc::clone(self)),
                    }
                    .run(),
                ),
            );
        }
    }

    async fn connect_one(&self) -> Result<Member> {
        let generation = self.generation.load(Ordering::Relaxed);
        let password = match &self.options.password {
            Some(provider) => Some((provider.0)().await?),
            None => None,
        };
        let mut connection = self.connector.connect(password).await?;
        connection.forget_borrower(self.options.query_timeout);
        if let Some(hook) = &self.options.after_connect {
            (hook.0)(&mut connection).await?;
            // What the hook sets is part of a fresh session.
            connection.recover_for_next().await?;
            connection.forget_what_was_done();
        }
        let lifetime = self
            .options
            .max_lifetime
            .map(|lifetime| with_jitter(lifetime, LIFETIME_JITTER));
        let now = Instant::now();
        let expires = lifetime.and_then(|lifetime| now.checked_add(lifetime));
        Ok(Member {
            connection,
            generation,
            expires,
            idle_since: now,
            uses: 0,
        })
    }

    /// A connect has failed. Returns whether it should be tried again, for those who wait.
    fn connect_failed(self: &Arc<Self>, error: Error) -> bool {
        let is_permanent = is_permanent(&error);
        self.set_last_error(Some(error));
        let (effects, goes_on) = {
            let mut slots = self.lock();
            let effects = is_permanent.then(|| slots.fail_one());
            (effects, slots.connect_failed())
        };
        if let Some(effects) = effects {
            self.settle(effects);
        }
        if !goes_on {
            self.changed.notify_waiters();
        }
        goes_on
    }

    /// A connect ends because the pool is closed.
    fn give_up_connect(&self) {
        let _ = self.lock().connect_failed();
        self.changed.notify_waiters();
    }

    fn lose(self: &Arc<Self>) {
        let effects = self.lock().lose();
        self.settle(effects);
        self.changed.notify_waiters();
    }

    /// Why there is no connection: what the pool was doing, and what went wrong last.
    #[cold]
    fn timed_out(&self) -> Error {
        let Counts {
            open,
            idle,
            connecting,
            waiting,
            max,
        } = self.counts();
        let busy = open - idle - connecting;
        let message = format!(
            "no connection became free in time: {busy} of {max} are busy, {connecting} connecting, \
             {waiting} others wait in line"
        );
        match self.last_error() {
            Some(error) => Error::new(
                ErrorKind::PoolTimeout,
                format!("{message}; the last attempt to connect failed"),
            )
            .with_source(error),
            None => Error::new(ErrorKind::PoolTimeout, message),
        }
    }

    pub(super) fn last_error(&self) -> Option<Error> {
        self.last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .map(Error::duplicate)
    }

    fn set_last_error(&self, error: Option<Error>) {
        *self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// Nothing panics under the lock but for a bug in `slots`, whose state is then no worse.
    fn lock(&self) -> MutexGuard<'_, Slots<Member>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    fn new(shared: &Arc<Shared>, member: Member) -> Self {
        Self {
            shared: Arc::clone(shared),
            member: Some(member),
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        match &self.member {
            Some(member) => &member.connection,
            None => unreachable!("a lease has its connection until it is given back or dropped"),
        }
    }

    pub(super) fn connection_mut(&mut self) -> &mut Connection {
        match &mut self.member {
            Some(member) => &mut member.connection,
            None => unreachable!("a lease has its connection until it is given back or dropped"),
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// To the next in line, or among the idle ones.
    fn give_back(&mut self) {
        // The lease keeps its place while the hook looks: it may panic.
        let after_release = self.shared.options.after_release.as_ref();
        if after_release.is_some_and(|hook| !hook.0(self.connection())) {
            return;
        }
        if let Some(mut member) = self.member.take() {
            member.idle_since = Instant::now();
            let effects = self.shared.lock().give_back(member);
            self.shared.settle(effects);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(member) = self.member.take() {
            drop(member);
            self.shared.lose();
        }
    }
}

/// Waits in line. Dropped, it leaves the line, and what it was granted goes to the next.
struct Waiting<'p> {
    shared: &'p Arc<Shared>,
    ticket: Option<u64>,
}

impl Future for Waiting<'_> {
    type Output = Result<Lease>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(ticket) = self.ticket else {
            return Poll::Ready(Err(closed()));
        };
        let granted = self.shared.lock().poll(ticket, cx.waker());
        let Some(grant) = granted else {
            return Poll::Pending;
        };
        self.ticket = None;
        Poll::Ready(match grant {
            Grant::Connection(member) => Ok(Lease::new(self.shared, member)),
            Grant::Closed => Err(closed()),
            Grant::Failure => Err(self.shared.last_error().unwrap_or_else(no_connection)),
        })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let effects = self.shared.lock().cancel(ticket);
            self.shared.settle(effects);
        }
    }
}

/// A connect under way. Dropped before its end, because its runtime has ended, it closes the
/// pool: nobody else would ever serve those who wait. A hook of the application's that
/// panics fails only the first of them.
struct Connecting {
    shared: Option<Arc<Shared>>,
}

impl Connecting {
    async fn run(mut self) {
        let Some(shared) = self.shared.clone() else {
            return;
        };
        let mut pause = FIRST_PAUSE;
        loop {
            match unless(shared.connect_one(), shared.until_closed()).await {
                Some(Ok(member)) => {
                    self.shared = None;
                    shared.set_last_error(None);
                    let effects = shared.lock().connected(member);
                    shared.settle(effects);
                    return;
                }
                Some(Err(error)) => {
                    if !shared.connect_failed(error) {
                        self.shared = None;
                        return;
                    }
                    let pausing = tokio::time::sleep(with_jitter(pause, 0.5));
                    if unless(pausing, shared.until_closed()).await.is_some() {
                        pause = (pause * 2).min(LAST_PAUSE);
                        continue;
                    }
                }
                None => {}
            }
            // The pool is closed: nobody waits for this connection.
            self.shared = None;
            shared.give_up_connect();
            return;
        }
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        let Some(shared) = self.shared.take() else {
            return;
        };
        if std::thread::panicking() {
            let message = "the application's code panicked when a connection was made";
            if shared.connect_failed(Error::usage(message)) {
                shared.start_connects(1);
            }
        } else {
            drop(shared.close());
            shared.give_up_connect();
        }
    }
}

/// What `future` comes to, or `None` if `stop` comes to its end before.
async fn unless<F: Future>(future: F, stop: impl Future<Output = ()>) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut stop = pin!(stop);
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        stop.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// Whether trying again can't help: the server knows us and refuses, or the configuration is
/// wrong.
fn is_permanent(error: &Error) -> bool {
    use crate::error::SqlState;
    match error.kind() {
        ErrorKind::Config
        | ErrorKind::Authentication
        | ErrorKind::Unsupported
        | ErrorKind::Usage => true,
        ErrorKind::Server => !matches!(
            error.sqlstate(),
            Some(
                SqlState::CANNOT_CONNECT_NOW
                    | SqlState::TOO_MANY_CONNECTIONS
                    | SqlState::ADMIN_SHUTDOWN
                    | SqlState::CRASH_SHUTDOWN
            )
        ),
        _ => false,
    }
}

/// `span`, shortened or lengthened at random by `share` of it at most.
fn with_jitter(span: Duration, share: f64) -> Duration {
    let random = f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX);
    span.mul_f64(1.0 + share * (random * 2.0 - 1.0))
}

/// Another connect has gone well since, and its connection to somebody else.
fn no_connection() -> Error {
    Error::new(ErrorKind::PoolTimeout, "no connection could be made")
}

fn closed() -> Error {
    Error::new(ErrorKind::PoolClosed, "the pool is closed")
}

/// The pause after the first failure to connect; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause between two attempts to connect.
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// The share by which lifetimes differ, so that connections don't all end together.
const LIFETIME_JITTER: f64 = 0.1;

/// How long a connection that lay idle may take to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a returned connection may take to come to rest before it is closed.
const RECOVERY_BUDGET: Duration = Duration::from_secs(15);
