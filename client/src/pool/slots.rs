//! [`Slots`]: who gets which connection, as pure state without I/O, clock or lock.

mod deadlines;
mod line;

use std::sync::Arc;
use std::task::Waker;

use tokio::time::Instant;

use self::deadlines::Deadlines;
use self::line::Line;
use crate::error::Error;

/// The connections of a pool and those who wait for one.
///
/// A *place* is the right to have a connection open. Invariants: `open <= max`, but for
/// places given out before `max` was lowered; each open place is idle, connecting, or out;
/// nobody waits while a connection is idle; `connecting` never exceeds `open`; while a place is
/// free for those who wait, a connect is under way.
///
/// Waiters are served in the order of their tickets, and connections that lie idle are taken
/// last in, first out, so that those that aren't needed grow old. While connects fail, one at a
/// time is tried, so that a server that comes back is not met by all places at once.
#[derive(Debug)]
pub(super) struct Slots<T> {
    idle: Vec<T>,
    /// Those who wait.
    queue: Line<Waiter>,
    /// What was granted to those who left the queue for it and have not come for it yet.
    granted: Line<Grant<T>>,
    next_ticket: u64,
    open: usize,
    connecting: usize,
    max: usize,
    /// The last connect has failed.
    is_failing: bool,
    is_closed: bool,
    /// What tells those whose time is over, while somebody may need it.
    watch: Option<Watch>,
    /// Whose time is over next, as far as the watch has looked.
    deadlines: Deadlines,
}

/// Somebody in line.
#[derive(Debug)]
struct Waiter {
    /// Whom to wake: known when they have polled.
    waker: Option<Waker>,
    patience: Patience,
}

/// How long somebody waits.
#[derive(Clone, Copy, Debug)]
enum Patience {
    /// For all that the pool has to do about it.
    Endless,
    /// Until the watch tells them.
    Until(Instant),
    /// No longer: the watch has told them.
    Over,
}

/// The one timer for all who wait. It is never set to a later time, but looks again when it
/// goes off.
#[derive(Debug)]
struct Watch {
    until: Instant,
    /// Whom to wake when it has to go off earlier: known when it has begun.
    waker: Option<Waker>,
}

/// What a waiter gets.
#[derive(Debug)]
pub(super) enum Grant<T> {
    /// A connection.
    Connection(T),
    /// Nothing: no connection can be made, and trying again can't help.
    Failure(Arc<Error>),
    /// The pool is closed.
    Closed,
    /// Nothing in time. The line is left.
    TooLate,
}

/// The answer to whoever wants a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Acquired<T> {
    /// Here it is.
    Now(T),
    /// Wait with the ticket.
    Later,
    /// The pool is closed.
    Closed,
}

impl<T> Acquired<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Acquired<U> {
        match self {
            Self::Now(connection) => Acquired::Now(change(connection)),
            Self::Later => Acquired::Later,
            Self::Closed => Acquired::Closed,
        }
    }
}

/// What is to be done after a change, outside of the lock.
#[derive(Debug)]
#[must_use = "wakers must be woken and connections closed, outside of the lock"]
pub(super) struct Effects<T> {
    /// Somebody who was granted something, or the watch, which has to go off earlier.
    pub(super) wake: Option<Waker>,
    /// A connection that nobody has use for.
    pub(super) close: Option<T>,
    /// How many connects to start; their places are taken.
    pub(super) connect: usize,
    /// The watch has to be begun.
    pub(super) begins_watch: bool,
}

/// The numbers of a pool at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) open: usize,
    pub(super) idle: usize,
    pub(super) connecting: usize,
    pub(super) waiting: usize,
    pub(super) max: usize,
}

impl<T> Slots<T> {
    pub(super) fn new(max: usize) -> Self {
        Self {
            idle: Vec::new(),
            queue: Line::new(),
            granted: Line::new(),
            next_ticket: 0,
            open: 0,
            connecting: 0,
            max,
            is_failing: false,
            is_closed: false,
            watch: None,
            deadlines: Deadlines::default(),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            open: self.open,
            idle: self.idle.len(),
            connecting: self.connecting,
            waiting: self.queue.len(),
            max: self.max,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Somebody wants a connection. The ticket says where in the line they stand, whether they
    /// have to wait or not. If they have to, `waker` is woken when something is granted, and by
    /// the watch at the deadline, if there is one.
    #[inline]
    pub(super) fn acquire(
        &mut self,
        waker: &Waker,
        deadline: Option<Instant>,
    ) -> (u64, Acquired<T>, Effects<T>) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        if let Some(acquired) = self.acquire_now() {
            return (ticket, acquired, Effects::none());
        }
        let waiter = Waiter {
            waker: Some(waker.clone()),
            patience: deadline.map_or(Patience::Endless, Patience::Until),
        };
        self.queue.insert(ticket, waiter);
        let mut effects = self.connect_for_waiters();
        if let Some(deadline) = deadline {
            self.watch_until(deadline, &mut effects);
        }
        (ticket, Acquired::Later, effects)
    }

    /// What there is without waiting.
    #[inline]
    fn acquire_now(&mut self) -> Option<Acquired<T>> {
        if self.is_closed {
            return Some(Acquired::Closed);
        }
        // Those who wait come first; they wait only while nothing is idle.
        self.idle.pop().map(Acquired::Now)
    }

    /// What the ticket was given turned out to be fit for nobody, and is gone: its place is
    /// free, and whoever has the ticket stands where they stood before.
    pub(super) fn replace(&mut self, ticket: u64) -> (Acquired<T>, Effects<T>) {
        self.open -= 1;
        self.enter(ticket)
    }

    /// Takes whoever has the ticket back to where they stood. Whom to wake is not known until
    /// they poll.
    pub(super) fn enter(&mut self, ticket: u64) -> (Acquired<T>, Effects<T>) {
        if let Some(acquired) = self.acquire_now() {
            return (acquired, Effects::none());
        }
        let waiter = Waiter {
            waker: None,
            patience: Patience::Endless,
        };
        self.queue.insert(ticket, waiter);
        (Acquired::Later, self.connect_for_waiters())
    }

    /// What the ticket was granted, if anything by now; else `waker` is woken when it is.
    pub(super) fn poll(&mut self, ticket: u64, waker: &Waker) -> Option<Grant<T>> {
        if let Some(grant) = self.granted.remove(ticket) {
            return Some(grant);
        }
        let waiter = self.queue.get_mut(ticket)?;
        if let Patience::Over = waiter.patience {
            self.queue.remove(ticket);
            return Some(Grant::TooLate);
        }
        match &mut waiter.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        None
    }

    /// Has the watch go off at the deadline or earlier.
    fn watch_until(&mut self, deadline: Instant, effects: &mut Effects<T>) {
        match &mut self.watch {
            Some(watch) if watch.until <= deadline => {}
            Some(watch) => {
                watch.until = deadline;
                // One that has not begun looks first.
                effects.wake = watch.waker.clone();
            }
            None => {
                self.watch = Some(Watch {
                    until: deadline,
                    waker: None,
                });
                effects.begins_watch = true;
            }
        }
    }

    /// The watch looks after those who wait. Returns whom to wake because their time is over,
    /// and when it has to look again: it is woken if that is to be earlier. With nobody left to look after it
    /// ends.
    pub(super) fn look_after(
        &mut self,
        now: Instant,
        waker: &Waker,
    ) -> (Vec<Waker>, Option<Instant>) {
        let mut overdue = Vec::new();
        let mut next = self.watch.as_ref().map(|watch| watch.until);
        if self.queue.is_empty() {
            self.deadlines = Deadlines::default();
            next = None;
        } else if next.is_none_or(|until| until <= now) {
            self.deadlines.gather(&self.queue);
            next = self.end_patience(now, &mut overdue);
        }
        self.watch = next.map(|until| Watch {
            until,
            waker: Some(waker.clone()),
        });
        (overdue, next)
    }

    /// Finds out whose time is over. Returns when that of the next one is.
    fn end_patience(&mut self, now: Instant, overdue: &mut Vec<Waker>) -> Option<Instant> {
        while let Some((deadline, ticket)) = self.deadlines.first() {
            // Whoever came back to the line, or was told, is not waited for.
            if let Some(waiter) = self.queue.get_mut(ticket) {
                if let Patience::Until(_) = waiter.patience {
                    if deadline > now {
                        return Some(deadline);
                    }
                    waiter.patience = Patience::Over;
                    overdue.extend(waiter.waker.take());
                }
            }
            self.deadlines.drop_first();
        }
        None
    }

    /// Somebody gives up waiting; what was granted meanwhile goes to the next.
    pub(super) fn cancel(&mut self, ticket: u64) -> Effects<T> {
        self.queue.remove(ticket);
        match self.granted.remove(ticket) {
            Some(Grant::Connection(connection)) => self.give_back(connection),
            _ => Effects::none(),
        }
    }

    /// A connection comes back, fit for the next one.
    pub(super) fn give_back(&mut self, connection: T) -> Effects<T> {
        if self.is_closed || self.open > self.max {
            return self.lose().with_close(connection);
        }
        match self.grant(Grant::Connection(connection)) {
            Ok(effects) => effects,
            Err(Grant::Connection(connection)) => {
                self.idle.push(connection);
                Effects::none()
            }
            Err(_) => Effects::none(),
        }
    }

    /// A connection that was out is gone: its place is free.
    pub(super) fn lose(&mut self) -> Effects<T> {
        self.open -= 1;
        self.connect_for_waiters()
    }

    /// A connect that was started has made a connection.
    pub(super) fn connected(&mut self, connection: T) -> Effects<T> {
        self.connecting -= 1;
        self.is_failing = false;
        let effects = self.give_back(connection);
        let connect = effects.connect + self.connect_for_waiters().connect;
        Effects { connect, ..effects }
    }

    /// A connect that was started has failed. Returns whether it should be tried again, for
    /// those who still wait; else its place is free.
    pub(super) fn connect_failed(&mut self) -> bool {
        self.is_failing = true;
        let goes_on = !self.is_closed && self.connecting == 1 && !self.queue.is_empty();
        if !goes_on {
            self.connecting -= 1;
            self.open -= 1;
        }
        goes_on
    }

    /// All who wait are told that no connection can be made. Returns their wakers.
    pub(super) fn fail_all(&mut self, error: &Arc<Error>) -> Vec<Waker> {
        self.grant_all(|| Grant::Failure(Arc::clone(error)))
    }

    /// Takes the places that `count` more connections need, as far as there are any, and no more
    /// than one while connects fail.
    pub(super) fn connect_ahead(&mut self, count: usize) -> usize {
        let wanted = match (self.is_closed, self.is_failing) {
            (true, _) => 0,
            (false, true) => count.min(1_usize.saturating_sub(self.connecting)),
            (false, false) => count,
        };
        let count = wanted.min(self.max.saturating_sub(self.open));
        self.open += count;
        self.connecting += count;
        count
    }

    /// Takes those out of the idle ones for which `is_unwanted` holds, and gives up their
    /// places.
    pub(super) fn take_idle(&mut self, mut is_unwanted: impl FnMut(&mut T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for mut connection in std::mem::take(&mut self.idle) {
            let place = if is_unwanted(&mut connection) {
                &mut taken
            } else {
                &mut self.idle
            };
            place.push(connection);
        }
        self.open -= taken.len();
        taken
    }

    /// Changes how many connections may be open, and returns the idle ones that are too many.
    pub(super) fn resize(&mut self, max: usize) -> (Vec<T>, Effects<T>) {
        self.max = max;
        let surplus = self.open.saturating_sub(max).min(self.idle.len());
        let closed: Vec<T> = self.idle.drain(..surplus).collect();
        self.open -= closed.len();
        (closed, self.connect_for_waiters())
    }

    /// Nobody gets a connection any more. Returns the idle ones and the wakers of all who
    /// wait, and of the watch.
    pub(super) fn close(&mut self) -> (Vec<T>, Vec<Waker>) {
        self.is_closed = true;
        let idle = std::mem::take(&mut self.idle);
        self.open -= idle.len();
        self.deadlines = Deadlines::default();
        let mut wakers = self.grant_all(|| Grant::Closed);
        wakers.extend(self.watch.take().and_then(|watch| watch.waker));
        (idle, wakers)
    }

    fn grant_all(&mut self, grant: impl Fn() -> Grant<T>) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while let Ok(effects) = self.grant(grant()) {
            wakers.extend(effects.wake);
        }
        wakers
    }

    /// Hands `grant` to the first one in the queue, or back if there is none.
    fn grant(&mut self, grant: Grant<T>) -> Result<Effects<T>, Grant<T>> {
        let Some((ticket, waiter)) = self.queue.pop_front() else {
            return Err(grant);
        };
        self.granted.insert(ticket, grant);
        Ok(Effects {
            wake: waiter.waker,
            ..Effects::none()
        })
    }

    /// Starts as many connects as there are waiters without one, and places.
    fn connect_for_waiters(&mut self) -> Effects<T> {
        let lacking = self.queue.len().saturating_sub(self.connecting);
        Effects {
            connect: self.connect_ahead(lacking),
            ..Effects::none()
        }
    }
}

impl<T> Effects<T> {
    fn none() -> Self {
        Self {
            wake: None,
            close: None,
            connect: 0,
            begins_watch: false,
        }
    }

    fn with_close(mut self, connection: T) -> Self {
        self.close = Some(connection);
        self
    }
}

#[cfg(test)]
mod tests;
