//! [`Turns`]: how connections change hands, from [`Slots`] behind their lock to those who wait.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use super::shared::Shared;
use super::slots::{Acquired, Effects, Grant, Slots};
use crate::error::{Error, ErrorKind, Result};

/// The slots of a pool, and what follows from each change of them: done by whoever made the
/// change, and with the lock released, because wakers, connections and tasks run code of others.
///
/// A pool has its slots behind a lock of the standard library, and the model check has them behind
/// one whose every order of steps is tried. All else is the code here, for either.
pub(super) trait Turns: Clone {
    /// A connection.
    type Member;

    /// Ready at a point in time.
    type Sleep: Future<Output = ()> + Unpin;

    /// Makes a change under the lock.
    fn change<R>(&self, change: impl FnOnce(&mut Slots<Self::Member>) -> R) -> R;

    /// Starts so many connects, whose places are taken.
    fn start_connects(&self, count: usize);

    /// Starts a [`Watchman`] on the pool's runtime.
    fn start_watch(&self);

    /// Whether the caller is run by the pool's runtime: if not, that may stand still while the
    /// caller waits.
    fn is_on_runtime(&self) -> bool;

    fn now(&self) -> Instant;

    fn sleep_until(&self, deadline: Instant) -> Self::Sleep;

    /// The numbers have changed.
    fn count(&self);

    /// Tells those who wait for places to become free or for connections to be made.
    fn note_change(&self);

    /// A connection, or a place in line: then `waker` is known there, and the watch tells of the
    /// deadline that is `watched`. With the ticket [`Waiting::entered`] is to be polled in the
    /// same poll of the task, which leaves the line when it is dropped.
    #[inline]
    fn take_turn(&self, waker: &Waker, watched: Option<Instant>) -> (u64, Acquired<Lease<Self>>) {
        let (ticket, acquired, effects) = self.change(|slots| slots.acquire(waker, watched));
        let acquired = acquired.map(|member| Lease::new(self, member));
        self.settle(effects);
        (ticket, acquired)
    }

    /// Back to where the ticket stood, after a pause without a place.
    fn take_turn_again(&self, ticket: u64) -> Acquired<Lease<Self>> {
        self.take_up(|slots| slots.enter(ticket))
    }

    /// Closes a connection that is fit for nobody. Whoever has the ticket, with which it was got,
    /// stands where they stood.
    fn exchange(&self, ticket: u64, mut lease: Lease<Self>) -> Acquired<Lease<Self>> {
        // Its place is taken until the next one is found.
        drop(lease.member.take());
        self.take_up(|slots| slots.replace(ticket))
    }

    fn take_up(
        &self,
        enter: impl FnOnce(&mut Slots<Self::Member>) -> (Acquired<Self::Member>, Effects<Self::Member>),
    ) -> Acquired<Lease<Self>> {
        let (acquired, effects) = self.change(enter);
        self.settle(effects);
        self.note_change();
        acquired.map(|member| Lease::new(self, member))
    }

    /// A connect has made a connection.
    fn connected(&self, member: Self::Member) {
        let effects = self.change(|slots| slots.connected(member));
        self.settle(effects);
        self.note_change();
    }

    /// A connect has failed; all who wait are told of a `permanent` error. Returns whether it
    /// should be tried again, for those who wait.
    fn connect_failed(&self, permanent: Option<&Arc<Error>>) -> bool {
        let (wakers, goes_on) = self.change(|slots| {
            let wakers = permanent.map(|error| slots.fail_all(error));
            (wakers, slots.connect_failed())
        });
        wakers.into_iter().flatten().for_each(Waker::wake);
        if !goes_on {
            self.note_change();
        }
        goes_on
    }

    /// Changes how many connections may be open.
    fn resize(&self, max: usize) {
        let (surplus, effects) = self.change(|slots| slots.resize(max));
        drop(surplus);
        self.settle(effects);
        self.note_change();
    }

    /// Tells all who wait that nobody gets a connection any more. Returns the idle ones.
    fn shut(&self) -> Vec<Self::Member> {
        let (idle, wakers) = self.change(Slots::close);
        wakers.into_iter().for_each(Waker::wake);
        self.note_change();
        idle
    }

    /// Tells those whose time is over. Returns when to look again, if somebody is left.
    fn look_after(&self, waker: &Waker) -> Option<Instant> {
        let now = self.now();
        let (overdue, next) = self.change(|slots| slots.look_after(now, waker));
        overdue.into_iter().for_each(Waker::wake);
        next
    }

    #[inline]
    fn settle(&self, effects: Effects<Self::Member>) {
        let Effects {
            wake,
            close,
            connect,
            begins_watch,
        } = effects;
        if let Some(waker) = wake {
            waker.wake();
        }
        if close.is_some() {
            drop(close);
            self.note_change();
        } else {
            self.count();
        }
        if connect > 0 {
            self.start_connects(connect);
        }
        if begins_watch {
            self.start_watch();
        }
    }
}

/// A place in the pool and the connection in it. Dropped with its connection, it gives the
/// place up, so that no place is lost whatever happens to its holder.
pub(super) struct Lease<T: Turns = Arc<Shared>> {
    turns: T,
    member: Option<T::Member>,
}

impl<T: Turns> Lease<T> {
    fn new(turns: &T, member: T::Member) -> Self {
        Self {
            turns: turns.clone(),
            member: Some(member),
        }
    }

    /// The pool, and its connection.
    pub(super) fn parts_mut(&mut self) -> (&T, &mut T::Member) {
        match &mut self.member {
            Some(member) => (&self.turns, member),
            None => unreachable!("a lease has its connection until it is given back or dropped"),
        }
    }

    pub(super) fn member(&self) -> &T::Member {
        match &self.member {
            Some(member) => member,
            None => unreachable!("a lease has its connection until it is given back or dropped"),
        }
    }

    pub(super) fn member_mut(&mut self) -> &mut T::Member {
        self.parts_mut().1
    }

    /// To the next in line, or among the idle ones.
    pub(super) fn give_back(mut self) {
        if let Some(member) = self.member.take() {
            let effects = self.turns.change(|slots| slots.give_back(member));
            self.turns.settle(effects);
        }
    }
}

impl<T: Turns> Drop for Lease<T> {
    fn drop(&mut self) {
        if let Some(member) = self.member.take() {
            drop(member);
            let effects = self.turns.change(Slots::lose);
            self.turns.settle(effects);
            self.turns.note_change();
        }
    }
}

/// Waits in line. Dropped, it leaves the line, and what it was granted goes to the next.
///
/// Whoever is run by the pool's runtime is told of their deadline by the pool's [`Watchman`],
/// anybody else has a timer of their own.
pub(super) struct Waiting<'p, T: Turns> {
    turns: &'p T,
    ticket: Option<u64>,
    deadline: Option<Instant>,
    /// Who takes the first poll is known in the line, and has been since earlier in that poll.
    entered: Option<Entered>,
    timer: Option<T::Sleep>,
}

/// How somebody has entered the line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entered {
    /// The watch tells them of their deadline.
    Watched,
    /// Nobody does, or they have none.
    Unwatched,
}

/// Why somebody who has waited has no connection.
pub(super) enum Unserved {
    TooLate,
    Error(Error),
}

impl<'p, T: Turns> Waiting<'p, T> {
    /// After the line was entered with a waker, which that of the first poll has to be.
    /// `is_watched` says whether the deadline was named then.
    #[inline]
    pub(super) fn entered(
        turns: &'p T,
        ticket: u64,
        deadline: Option<Instant>,
        is_watched: bool,
    ) -> Self {
        let entered = match is_watched {
            true => Entered::Watched,
            false => Entered::Unwatched,
        };
        Self {
            turns,
            ticket: Some(ticket),
            deadline,
            entered: Some(entered),
            timer: None,
        }
    }

    /// After the line was entered by somebody who has a ticket, without a deadline.
    pub(super) fn again(turns: &'p T, ticket: u64) -> Self {
        Self {
            turns,
            ticket: Some(ticket),
            deadline: None,
            entered: None,
            timer: None,
        }
    }

    /// Ready at the deadline, where the watch doesn't tell. To be polled when nothing is granted.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        if self.timer.is_none() && self.turns.is_on_runtime() {
            return Poll::Pending;
        }
        let turns = self.turns;
        let timer = self
            .timer
            .get_or_insert_with(|| turns.sleep_until(deadline));
        Pin::new(timer).poll(cx)
    }

    #[inline]
    fn leave(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let effects = self.turns.change(|slots| slots.cancel(ticket));
            self.turns.settle(effects);
        }
    }
}

impl<T: Turns> Future for Waiting<'_, T> {
    type Output = Result<Lease<T>, Unserved>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(ticket) = this.ticket else {
            return Poll::Ready(Err(Unserved::Error(closed())));
        };
        let granted = match this.entered.take() {
            Some(Entered::Watched) => return Poll::Pending,
            Some(Entered::Unwatched) => None,
            None => this.turns.change(|slots| slots.poll(ticket, cx.waker())),
        };
        let Some(grant) = granted else {
            if this.poll_timer(cx).is_pending() {
                return Poll::Pending;
            }
            this.leave();
            return Poll::Ready(Err(Unserved::TooLate));
        };
        this.ticket = None;
        Poll::Ready(match grant {
            Grant::Connection(member) => Ok(Lease::new(this.turns, member)),
            Grant::Closed => Err(Unserved::Error(closed())),
            Grant::Failure(error) => Err(Unserved::Error(error.duplicate())),
            Grant::TooLate => {
                // The line has one less; of other grants whoever made them has told.
                this.turns.count();
                Err(Unserved::TooLate)
            }
        })
    }
}

impl<T: Turns> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The task that tells those who wait in line that their time is over: one timer for all of
/// them, which is left alone when somebody is served. It ends when it goes off and nobody waits.
/// Dropped before its end, because its runtime has ended, it closes the pool: nobody would
/// tell those who wait.
pub(super) struct Watchman<T: Turns> {
    turns: Option<T>,
    timer: Option<T::Sleep>,
}

impl<T: Turns> Watchman<T> {
    pub(super) fn new(turns: &T) -> Self {
        Self {
            turns: Some(turns.clone()),
            timer: None,
        }
    }
}

impl<T: Turns + Unpin> Future for Watchman<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(turns) = &self.turns {
            // It goes off, has to do so earlier, or begins: each is rare.
            let Some(next) = turns.look_after(cx.waker()) else {
                self.turns = None;
                break;
            };
            let mut timer = turns.sleep_until(next);
            if Pin::new(&mut timer).poll(cx).is_pending() {
                self.timer = Some(timer);
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }
}

impl<T: Turns> Drop for Watchman<T> {
    fn drop(&mut self) {
        if let Some(turns) = self.turns.take() {
            drop(turns.shut());
        }
    }
}

pub(super) fn closed() -> Error {
    Error::new(ErrorKind::PoolClosed, "the pool is closed")
}

#[cfg(test)]
mod tests;
