//! [`Shared`]: the state behind all handles of a pool: who borrows, and what comes back.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};

use super::connecting::{Connecting, Failures, PAUSE_JITTER, with_jitter};
use super::credential::Credentials;
use super::hub::Hub;
use super::lanes::Lanes;
use super::options::{BoxError, Options};
use super::slots::{Acquired, Counts, Slots};
use super::turns::{Lease, Turns, Unserved, Waiting, Watchman, closed};
use super::watch::Watch;
use crate::connection::{Connection, Connector};
use crate::error::{Error, ErrorKind, Result};

/// What all handles, guards and tasks of a pool share.
pub(super) struct Shared {
    slots: Mutex<Slots<Box<Member>>>,
    pub(super) options: Options,
    pub(super) connector: Connector,
    pub(super) credentials: Option<Credentials>,
    pub(super) watch: Watch,
    /// The runtime on which the pool was built: what outlives a call runs there.
    pub(super) runtime: Handle,
    /// Connections of an older generation are closed instead of being handed out.
    generation: AtomicU64,
    failures: Mutex<Failures>,
    /// Told when a place becomes free, when a connection is made, and when the pool is closed.
    changed: Notify,
    /// Hears notifications for all who subscribe to them.
    pub(super) hub: Hub,
    /// Connections that several tasks use at once, where that is wanted.
    pub(super) lanes: Option<Lanes>,
}

/// What those see of the pool who don't want a connection for themselves.
pub(super) struct Outlook {
    pub(super) idle: usize,
    pub(super) waiting: usize,
    pub(super) is_closed: bool,
}

/// A connection of the pool. It is boxed, because it is large and moves often.
pub(super) struct Member {
    connection: Connection,
    generation: u64,
    expires: Option<Instant>,
    /// Since when it is idle, or else lent.
    since: Instant,
    uses: u64,
}

/// What can be said of a connection without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Fit,
    Unfit,
    /// The server or a hook has to be asked.
    Unknown,
}

impl Shared {
    pub(super) fn new(connector: Connector, options: Options, runtime: Handle) -> Arc<Self> {
        Arc::new(Self {
            slots: Mutex::new(Slots::new(options.max_size)),
            watch: Watch::new(&options.name),
            credentials: options.provider.clone().map(Credentials::new),
            lanes: options.queued_statements.and_then(Lanes::new),
            options,
            connector,
            runtime,
            generation: AtomicU64::new(0),
            failures: Mutex::default(),
            changed: Notify::new(),
            hub: Hub::default(),
        })
    }

    /// Runs a task of the pool's own, boxed: tokio's part of a task is compiled once for all.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let task: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(task);
        drop(self.runtime.spawn(task));
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().counts()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed()
    }

    pub(super) fn outlook(&self) -> Outlook {
        let slots = self.lock();
        let Counts { idle, waiting, .. } = slots.counts();
        Outlook {
            idle,
            waiting,
            is_closed: slots.is_closed(),
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// A connection for the caller, checked and, where that is due, about to be reset.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PoolTimeout`] at the deadline, [`ErrorKind::PoolClosed`], or why no
    /// connection can be made.
    pub(super) async fn acquire(
        self: &Arc<Self>,
        now: Instant,
        deadline: Option<Instant>,
    ) -> Result<Lease> {
        let is_on_runtime = self.is_on_runtime();
        let watched = deadline.filter(|deadline| is_on_runtime && *deadline > now);
        let (ticket, acquired) =
            poll_fn(|cx| Poll::Ready(self.take_turn(cx.waker(), watched))).await;
        let acquired = match acquired {
            Acquired::Now(mut lease) => {
                if self.look_over(&mut lease, now, is_on_runtime) == Look::Fit {
                    self.watch.waited(Duration::ZERO);
                    self.lend(&mut lease, now);
                    return Ok(lease);
                }
                Acquired::Now(lease)
            }
            other => other,
        };
        let standing = self.stand_in_line(ticket, acquired, now, deadline, watched.is_some());
        let (mut lease, now) = self.watch.waiting(standing).await?;
        self.lend(&mut lease, now);
        Ok(lease)
    }

    fn lend(&self, lease: &mut Lease, now: Instant) {
        let member = lease.member_mut();
        member.since = now;
        self.watch.lent(&member.connection, now);
    }

    /// Waits for a connection that is fit, from `begun` on. Returns the time, too. To be polled
    /// in the poll of the task in which the turn was taken.
    async fn stand_in_line(
        self: &Arc<Self>,
        ticket: u64,
        mut acquired: Acquired<Lease>,
        begun: Instant,
        deadline: Option<Instant>,
        is_watched: bool,
    ) -> Result<(Lease, Instant)> {
        // What the next in line is handed is nearly always fit.
        if matches!(acquired, Acquired::Later) {
            let waiting = Waiting::entered(self, ticket, deadline, is_watched);
            let waited = if deadline.is_some_and(|deadline| deadline <= begun) {
                drop(waiting);
                Err(Unserved::TooLate)
            } else {
                waiting.await
            };
            let mut lease = match waited {
                Ok(lease) => lease,
                Err(Unserved::TooLate) => return Err(self.none_in_time(begun)),
                Err(Unserved::Error(error)) => return Err(error),
            };
            let now = Instant::now();
            if self.look_over(&mut lease, now, self.is_on_runtime()) == Look::Fit {
                return Ok((lease, now));
            }
            acquired = Acquired::Now(lease);
        }
        let Acquired::Now(lease) = acquired else {
            return Err(closed());
        };
        // Erased, as `Connection::recover` is.
        let searching: Pin<Box<dyn Future<Output = Result<Lease>> + Send>> =
            Box::pin(self.search(ticket, lease, begun, deadline));
        Ok((searching.await?, Instant::now()))
    }

    /// Looks at connections, at this one first, until one is fit, and keeps its place in the line
    /// while there is none.
    async fn search(
        self: &Arc<Self>,
        ticket: u64,
        lease: Lease,
        begun: Instant,
        deadline: Option<Instant>,
    ) -> Result<Lease> {
        let is_in_hook = AtomicBool::new(false);
        let searching = async {
            let mut pause = FIRST_REFUSAL_PAUSE;
            let mut acquired = Acquired::Now(lease);
            loop {
                let mut lease = match acquired {
                    Acquired::Now(lease) => lease,
                    // The deadline is that of all of this.
                    Acquired::Later => match Waiting::again(self, ticket).await {
                        Ok(lease) => lease,
                        Err(Unserved::Error(error)) => return Err(error),
                        Err(Unserved::TooLate) => return Err(self.none_in_time(begun)),
                    },
                    Acquired::Closed => return Err(closed()),
                };
                if self.check_out(&mut lease, &is_in_hook).await {
                    return Ok(lease);
                }
                acquired = if lease.is_new() {
                    // That a new connection is refused may happen to the next one, too.
                    drop(lease);
                    tokio::time::sleep(with_jitter(pause, PAUSE_JITTER)).await;
                    pause = (pause * 2).min(LAST_REFUSAL_PAUSE);
                    self.take_turn_again(ticket)
                } else {
                    self.exchange(ticket, lease)
                };
            }
        };
        let Some(deadline) = deadline else {
            return searching.await;
        };
        match tokio::time::timeout_at(deadline, searching).await {
            Ok(result) => result,
            Err(_) if is_in_hook.load(Ordering::Relaxed) => {
                Err(self.timed_out("before_acquire did not end", begun))
            }
            Err(_) => Err(self.none_in_time(begun)),
        }
    }

    /// Looks a connection over before it is handed out, as far as that takes no time.
    #[inline]
    fn look_over(&self, lease: &mut Lease, now: Instant, is_on_runtime: bool) -> Look {
        let member = lease.member_mut();
        // The pool's runtime is that of its connections: if it runs the caller, it runs.
        if self.is_expired(member, now) || !member.connection.is_silent(is_on_runtime) {
            return Look::Unfit;
        }
        if self.is_ping_due(member, now) || self.options.before_acquire.is_some() {
            return Look::Unknown;
        }
        self.options.reset.prepare(&mut member.connection);
        Look::Fit
    }

    /// Looks a connection over before it is handed out. Whether it is fit.
    async fn check_out(&self, lease: &mut Lease, is_in_hook: &AtomicBool) -> bool {
        let now = Instant::now();
        // The task may be run by another runtime by now.
        match self.look_over(lease, now, false) {
            Look::Fit => return true,
            Look::Unfit => return false,
            Look::Unknown => {}
        }
        let member = lease.member_mut();
        if self.is_ping_due(member, now) {
            let ping = tokio::time::timeout(PING_TIMEOUT, member.connection.ping());
            if !matches!(ping.await, Ok(Ok(()))) {
                return false;
            }
        }
        self.options.reset.prepare(&mut member.connection);
        let Some(hook) = &self.options.before_acquire else {
            return true;
        };
        is_in_hook.store(true, Ordering::Relaxed);
        let is_fit = (hook.0)(&mut member.connection).await;
        is_in_hook.store(false, Ordering::Relaxed);
        self.judge(is_fit, "it came from the pool's before_acquire") && !member.is_unusable()
    }

    /// What a hook says of a connection. Its error is kept for whoever asks why they wait.
    fn judge(&self, is_fit: Result<bool, BoxError>, note: &'static str) -> bool {
        is_fit.unwrap_or_else(|error| {
            let error = match error.downcast::<Error>() {
                Ok(error) => *error,
                Err(error) => {
                    Error::new(ErrorKind::Usage, "a hook of the pool failed").with_source(error)
                }
            };
            self.failures().last = Some(Arc::new(error.with_note(note)));
            false
        })
    }

    fn is_ping_due(&self, member: &Member, now: Instant) -> bool {
        self.options.ping_after.is_some_and(|after| {
            member
                .since
                .checked_add(after)
                .is_some_and(|due| now >= due)
        })
    }

    fn is_expired(&self, member: &Member, now: Instant) -> bool {
        member.generation != self.generation()
            || member.expires.is_some_and(|expires| now >= expires)
    }

    /// Brings a connection to rest and lets the hook look at it. Whether it is fit for another.
    async fn recover(&self, member: &mut Member) -> bool {
        if member.connection.recover_for_next().await.is_err() || member.is_unusable() {
            return false;
        }
        let Some(hook) = &self.options.after_release else {
            return true;
        };
        let is_fit = (hook.0)(&mut member.connection).await;
        if !self.judge(is_fit, "it came from the pool's after_release") || member.is_unusable() {
            return false;
        }
        member
            .connection
            .forget_borrower(self.options.query_timeout);
        member.connection.recover_for_next().await.is_ok() && !member.is_unusable()
    }

    /// Closes what is idle and tells all who wait; what is out is closed when it comes back.
    pub(super) fn close(self: &Arc<Self>) -> Vec<Connection> {
        self.shut()
            .into_iter()
            .map(|member| member.connection)
            .collect()
    }

    /// Waits until every place is free.
    pub(super) async fn emptied(&self) {
        self.until(|counts| counts.open == 0).await;
    }

    /// Waits until the pool is closed.
    pub(super) async fn until_closed(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_closed() {
                return;
            }
            changed.await;
        }
    }

    async fn until(&self, mut is_so: impl FnMut(Counts) -> bool) {
        loop {
            let changed = self.changed.notified();
            if is_so(self.counts()) {
                return;
            }
            changed.await;
        }
    }

    /// No connection that is open now is handed out again.
    pub(super) fn expire_all(self: &Arc<Self>) {
        self.generation.fetch_add(1, Ordering::Relaxed);
        self.failures().forgive();
        self.close_idle(|_| true);
    }

    /// Opens connections until there are `count`, as far as the pool may.
    pub(super) fn start_warm_up(self: &Arc<Self>, count: usize) {
        let connects = {
            let mut slots = self.lock();
            let open = slots.counts().open;
            slots.connect_ahead(count.saturating_sub(open))
        };
        self.start_connects(connects);
    }

    /// Opens connections until there are `count`, as far as the pool may, and waits for them.
    ///
    /// # Errors
    ///
    /// Why one can't be opened.
    pub(super) async fn warm_up(self: &Arc<Self>, count: usize) -> Result<()> {
        let mut failure = None;
        let begun = Instant::now();
        self.start_warm_up(count);
        let opened = self.until(|counts| {
            if counts.open - counts.connecting >= count.min(counts.max) || self.is_closed() {
                return true;
            }
            // A connect that nobody waits for is not tried again.
            if counts.connecting == 0 {
                failure = self.last_error();
            }
            failure.is_some() || {
                self.start_warm_up(count);
                false
            }
        });
        match self.options.acquire_timeout {
            None => opened.await,
            Some(timeout) => {
                let timely = tokio::time::timeout(timeout, opened).await;
                timely.map_err(|_| self.timed_out("not all connections were opened", begun))?;
            }
        }
        match failure {
            Some(error) => Err(error),
            None if self.is_closed() => Err(closed()),
            None => Ok(()),
        }
    }

    /// Looks after the idle connections: closes the old ones, and opens what is missing.
    pub(super) fn maintain(self: &Arc<Self>) {
        let now = Instant::now();
        let mut spare = self.counts().open.saturating_sub(self.options.min_size);
        self.close_idle(|member| {
            let is_long_idle = self
                .options
                .idle_timeout
                .is_some_and(|timeout| now.saturating_duration_since(member.since) >= timeout);
            let is_unwanted = self.is_expired(member, now) || is_long_idle && spare > 0;
            spare -= usize::from(is_unwanted && spare > 0);
            is_unwanted
        });
        self.start_warm_up(self.options.min_size);
    }

    fn close_idle(self: &Arc<Self>, mut is_unwanted: impl FnMut(&mut Member) -> bool) {
        let closed = self.lock().take_idle(|member| is_unwanted(member));
        if !closed.is_empty() {
            drop(closed);
            self.note_change();
        }
    }

    /// A connect ends because the pool is closed.
    pub(super) fn give_up_connect(self: &Arc<Self>) {
        let _ = self.lock().connect_failed();
        self.note_change();
    }

    /// Nobody gave a connection back in time, or none could be made.
    #[cold]
    fn none_in_time(&self, begun: Instant) -> Error {
        let Counts {
            open, connecting, ..
        } = self.counts();
        let has_none = open == connecting;
        self.timed_out(if has_none { NONE_MADE } else { NONE_FREE }, begun)
    }

    /// Why there is no connection: what the pool was doing, and what went wrong last.
    #[cold]
    fn timed_out(&self, what: &str, begun: Instant) -> Error {
        self.watch.timed_out();
        let Counts {
            open,
            idle,
            connecting,
            waiting,
            max,
        } = self.counts();
        let busy = open - idle - connecting;
        let longest = match self.watch.longest_holder() {
            Some((time, Some(activity))) => {
                format!(", the longest for {time:.1?} with \"{activity}\"")
            }
            Some((time, None)) => format!(", the longest for {time:.1?}"),
            None => String::new(),
        };
        let message = format!(
            "{what} within {:.1?}: {busy} of {max} are busy{longest}, {connecting} connecting, \
             {waiting} others wait in line",
            begun.elapsed()
        );
        match self.last_error() {
            Some(error) => Error::new(
                ErrorKind::PoolTimeout,
                format!("{message}; the last attempt to connect failed"),
            )
            .with_source(error),
            None if busy >= max => Error::new(ErrorKind::PoolTimeout, message).with_note(
                "all connections are lent: is one held for too long, or max_size too small?",
            ),
            None => Error::new(ErrorKind::PoolTimeout, message),
        }
    }

    pub(super) fn last_error(&self) -> Option<Error> {
        self.failures().last.as_deref().map(Error::duplicate)
    }

    pub(super) fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing panics under the lock but for a bug in `slots`, whose state is then no worse.
    fn lock(&self) -> MutexGuard<'_, Slots<Box<Member>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns for Arc<Shared> {
    type Member = Box<Member>;
    type Sleep = Pin<Box<Sleep>>;

    #[inline]
    fn change<R>(&self, change: impl FnOnce(&mut Slots<Box<Member>>) -> R) -> R {
        change(&mut self.lock())
    }

    fn start_connects(&self, count: usize) {
        for _ in 0..count {
            self.spawn(Connecting::new(self).run());
        }
    }

    fn start_watch(&self) {
        self.spawn(Watchman::new(self));
    }

    #[inline]
    fn is_on_runtime(&self) -> bool {
        Handle::try_current().is_ok_and(|current| current.id() == self.runtime.id())
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<Sleep>> {
        Box::pin(tokio::time::sleep_until(deadline))
    }

    #[inline]
    fn count(&self) {
        self.watch.count(|| self.counts());
    }

    fn note_change(&self) {
        self.count();
        self.changed.notify_waiters();
    }
}

impl Lease {
    pub(super) fn connection(&self) -> &Connection {
        &self.member().connection
    }

    pub(super) fn connection_mut(&mut self) -> &mut Connection {
        &mut self.member_mut().connection
    }

    /// So many uses of the connection are one loan, which its return counts as one.
    pub(super) fn note_uses(&mut self, uses: u64) {
        self.member_mut().uses += uses.saturating_sub(1);
    }

    /// Whether nobody has used the connection yet.
    fn is_new(&self) -> bool {
        self.member().uses == 0
    }

    /// The connection comes back: at once if it is at rest, else when it has been brought there.
    pub(super) fn release(mut self) {
        let now = Instant::now();
        let (shared, member) = self.parts_mut();
        shared
            .watch
            .returned(member.connection.id(), member.since, now);
        member.uses += 1;
        let worn_out = shared
            .options
            .max_uses
            .is_some_and(|max| member.uses >= max);
        if worn_out || member.is_unusable() || shared.is_expired(member, now) {
            return;
        }
        member
            .connection
            .forget_borrower(shared.options.query_timeout);
        if shared.options.after_release.is_none() && member.connection.is_returnable() {
            member.since = now;
            self.give_back();
            return;
        }
        // The next borrower must not wait for what the last one left behind. On a runtime that
        // has ended the task is dropped, and with it the lease.
        let shared = Arc::clone(shared);
        let spawner = Arc::clone(&shared);
        let recovery = async move {
            let recovered = shared.recover(self.member_mut());
            if let Ok(true) = tokio::time::timeout(RECOVERY_BUDGET, recovered).await {
                self.member_mut().since = Instant::now();
                self.give_back();
            }
        };
        spawner.spawn(recovery);
    }
}

impl Member {
    pub(super) fn new(
        connection: Connection,
        generation: u64,
        expires: Option<Instant>,
        now: Instant,
    ) -> Box<Self> {
        Box::new(Self {
            connection,
            generation,
            expires,
            since: now,
            uses: 0,
        })
    }

    fn is_unusable(&mut self) -> bool {
        self.connection.is_unusable()
    }
}

/// What is said to those who have waited in vain while others have connections.
const NONE_FREE: &str = "no connection became free";

/// What is said to those who have waited in vain while nobody has one.
const NONE_MADE: &str = "no connection could be made";

/// How long a connection that lay idle may take to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a returned connection may take to come to rest before it is closed.
const RECOVERY_BUDGET: Duration = Duration::from_secs(15);

/// The pause after a new connection was found unfit; it doubles with each.
const FIRST_REFUSAL_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause of this kind.
const LAST_REFUSAL_PAUSE: Duration = Duration::from_secs(1);
