//! [`Deadlines`]: until when those in line wait, in the order in which their time is over.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tokio::time::Instant;

use super::line::Line;
use super::{Patience, Waiter};

/// The deadlines and tickets of those who wait, the earliest first, as of when they were last
/// [gathered](Self::gather). Nearly everybody is served long before their time is over, so that
/// entering the line and leaving it leave this alone: who came since is missing, and who is gone
/// is still here.
///
/// Everybody is taken in once, and out once, at a cost that grows with the logarithm of their
/// number.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    order: BinaryHeap<Reverse<(Instant, u64)>>,
    /// The first ticket that may be missing.
    next_ticket: u64,
}

impl Deadlines {
    /// Takes in those who came to the line since the last time. Those who are gone are dropped
    /// when they are most.
    pub(super) fn gather(&mut self, line: &Line<Waiter>) {
        if self.order.len() / 2 > line.len() {
            *self = Self::default();
        }
        let missing = self.next_ticket;
        for (ticket, waiter) in line
            .iter()
            .rev()
            .take_while(|(ticket, _)| *ticket >= missing)
        {
            self.next_ticket = self.next_ticket.max(ticket + 1);
            if let Patience::Until(deadline) = waiter.patience {
                self.order.push(Reverse((deadline, ticket)));
            }
        }
    }

    /// The earliest deadline, and whose it is or was.
    pub(super) fn first(&self) -> Option<(Instant, u64)> {
        self.order.peek().map(|Reverse(first)| *first)
    }

    /// Drops the earliest.
    pub(super) fn drop_first(&mut self) {
        self.order.pop();
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (Instant, u64)> {
        self.order.iter().map(|Reverse(one)| *one)
    }
}
