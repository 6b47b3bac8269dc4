//! [`Line`]: a queue in which everybody can be found by their ticket.

use std::collections::VecDeque;

/// Values in the order of their tickets. Nearly always they enter at the end and leave at the
/// front, and are looked for at either.
#[derive(Debug)]
pub(super) struct Line<V>(VecDeque<(u64, V)>);

impl<V> Line<V> {
    pub(super) fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lets somebody in, where their ticket says. No two have the same.
    pub(super) fn insert(&mut self, ticket: u64, value: V) {
        if self.0.back().is_none_or(|(last, _)| *last < ticket) {
            self.0.push_back((ticket, value));
            return;
        }
        let (Ok(place) | Err(place)) = self.place(ticket);
        self.0.insert(place, (ticket, value));
    }

    pub(super) fn get_mut(&mut self, ticket: u64) -> Option<&mut V> {
        let place = self.place(ticket).ok()?;
        self.0.get_mut(place).map(|(_, value)| value)
    }

    #[inline]
    pub(super) fn remove(&mut self, ticket: u64) -> Option<V> {
        let (first, _) = self.0.front()?;
        let removed = if *first == ticket {
            self.0.pop_front()
        } else {
            let place = self.place(ticket).ok()?;
            self.0.remove(place)
        };
        removed.map(|(_, value)| value)
    }

    pub(super) fn pop_front(&mut self) -> Option<(u64, V)> {
        self.0.pop_front()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &V)> {
        self.0.iter().map(|(ticket, value)| (*ticket, value))
    }

    /// Where the ticket is, or where it belongs.
    fn place(&self, ticket: u64) -> Result<usize, usize> {
        let (Some((first, _)), Some((last, _))) = (self.0.front(), self.0.back()) else {
            return Err(0);
        };
        if *last < ticket {
            Err(self.0.len())
        } else if *last == ticket {
            Ok(self.0.len() - 1)
        } else if *first == ticket {
            Ok(0)
        } else {
            self.0.binary_search_by_key(&ticket, |(other, _)| *other)
        }
    }
}
