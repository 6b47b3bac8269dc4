//! [`Turns`]: how connections change hands, from [`Slots`] behind their lock to those who wait.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

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

    /// Makes a change under the lock.
    fn change<R>(&self, change: impl FnOnce(&mut Slots<Self::Member>) -> R) -> R;

    /// Starts so many connects, whose places are taken.
    fn start_connects(&self, count: usize);

    /// The numbers have changed.
    fn count(&self);

    /// Tells those who wait for places to become free or for connections to be made.
    fn note_change(&self);

    /// A connection, or a ticket with which to wait for one.
    fn take_turn(&self) -> (u64, Acquired<Lease<Self>>) {
        let (ticket, acquired, effects) = self.change(Slots::acquire);
        self.settle(effects);
        (ticket, acquired.map(|member| Lease::new(self, member)))
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

    fn settle(&self, effects: Effects<Self::Member>) {
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
            self.note_change();
        } else {
            self.count();
        }
        self.start_connects(connect);
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

    pub(super) fn turns(&self) -> &T {
        &self.turns
    }

    pub(super) fn member(&self) -> &T::Member {
        match &self.member {
            Some(member) => member,
            None => unreachable!("a lease has its connection until it is given back or dropped"),
        }
    }

    pub(super) fn member_mut(&mut self) -> &mut T::Member {
        match &mut self.member {
            Some(member) => member,
            None => unreachable!("a lease has its connection until it is given back or dropped"),
        }
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
pub(super) struct Waiting<'p, T: Turns> {
    turns: &'p T,
    ticket: Option<u64>,
}

impl<'p, T: Turns> Waiting<'p, T> {
    pub(super) fn new(turns: &'p T, ticket: u64) -> Self {
        Self {
            turns,
            ticket: Some(ticket),
        }
    }
}

impl<T: Turns> Future for Waiting<'_, T> {
    type Output = Result<Lease<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(ticket) = self.ticket else {
            return Poll::Ready(Err(closed()));
        };
        let granted = self.turns.change(|slots| slots.poll(ticket, cx.waker()));
        let Some(grant) = granted else {
            return Poll::Pending;
        };
        self.ticket = None;
        Poll::Ready(match grant {
            Grant::Connection(member) => Ok(Lease::new(self.turns, member)),
            Grant::Closed => Err(closed()),
            Grant::Failure(error) => Err(error.duplicate()),
        })
    }
}

impl<T: Turns> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let effects = self.turns.change(|slots| slots.cancel(ticket));
            self.turns.settle(effects);
        }
    }
}

pub(super) fn closed() -> Error {
    Error::new(ErrorKind::PoolClosed, "the pool is closed")
}

#[cfg(test)]
mod tests;
