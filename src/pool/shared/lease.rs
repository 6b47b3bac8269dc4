//! [`Lease`], a place in the pool with its connection, and [`Waiting`] for one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::{Member, Shared, closed};
use crate::connection::Connection;
use crate::error::Result;
use crate::pool::slots::Grant;

/// A place in the pool and the connection in it. Dropped with its connection, it gives the
/// place up, so that no place is lost whatever happens to its holder.
pub(in crate::pool) struct Lease {
    shared: Arc<Shared>,
    member: Option<Box<Member>>,
}

impl Lease {
    pub(super) fn new(shared: &Arc<Shared>, member: Box<Member>) -> Self {
        Self {
            shared: Arc::clone(shared),
            member: Some(member),
        }
    }

    pub(in crate::pool) fn connection(&self) -> &Connection {
        match &self.member {
            Some(member) => &member.connection,
            None => unreachable!("a lease has its connection until it is given back or dropped"),
        }
    }

    pub(in crate::pool) fn connection_mut(&mut self) -> &mut Connection {
        &mut self.member_mut().connection
    }

    pub(super) fn member_mut(&mut self) -> &mut Member {
        match &mut self.member {
            Some(member) => member,
            None => unreachable!("a lease has its connection until it is given back or dropped"),
        }
    }

    pub(in crate::pool) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Whether nobody has used the connection yet.
    pub(super) fn is_new(&self) -> bool {
        self.member.as_ref().is_some_and(|member| member.uses == 0)
    }

    /// To the next in line, or among the idle ones.
    pub(super) fn give_back(&mut self, now: Instant) {
        if let Some(mut member) = self.member.take() {
            member.since = now;
            let effects = self.shared.lock().give_back(member);
            self.shared.settle(effects);
        }
    }

    /// Closes the connection, whose place is still taken: whoever calls has use for it.
    pub(super) fn close(mut self) {
        drop(self.member.take());
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
pub(super) struct Waiting<'p> {
    shared: &'p Arc<Shared>,
    ticket: Option<u64>,
}

impl<'p> Waiting<'p> {
    pub(super) fn new(shared: &'p Arc<Shared>, ticket: u64) -> Self {
        Self {
            shared,
            ticket: Some(ticket),
        }
    }
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
            Grant::Failure(error) => Err(error.duplicate()),
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
