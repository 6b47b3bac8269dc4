//! The queue of owed replies: the truth about where in the dialogue a connection is.

use super::sink::{At, Part};
use super::transition::{Stage, Stages};

/// What the server still owes, in the order in which it will answer.
///
/// Invariants: the flights' entries lie one behind the other, the front flight's first; each
/// flight but an open last one ends in exactly one entry that awaits a ReadyForQuery; a
/// flight counts while any of its entries is owed or while it is open.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Those before `served` are over, and are given up when all are or room is needed.
    entries: Vec<Entry>,
    served: usize,
    /// The number of the front flight, or of the next one where there is none.
    front_flight: u64,
    /// The number that the next flight gets.
    next_flight: u64,
    /// Nobody waits for the flights below this number.
    discarded_below: u64,
    /// Nor for these, among the flights above it.
    discarded: Vec<u64>,
}

/// The replies to the messages of one statement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) awaits: Stages,
    pub(super) role: Role,
    /// The statement's number in its flight, by role.
    pub(super) statement: u32,
    pub(super) copy: CopyIn,
    /// How often the statement is bound and executed again, in the same place. Where it is, the
    /// entry awaits no ReadyForQuery.
    pub(super) again: u32,
}

impl Entry {
    /// Where the entry belongs, which is the front one of `flight` and in `stage`.
    #[inline]
    pub(super) fn at(&self, flight: u64, stage: Stage) -> At {
        At {
            flight,
            part: self.part(stage == Stage::Sync),
        }
    }

    /// Whether the replies that are owed are those of a statement of the caller in its usual
    /// course: BindComplete may be among them, and is not the last.
    #[inline]
    pub(super) fn is_usual(&self) -> bool {
        self.role == Role::Statement
            && self.awaits.is_within(USUAL)
            && !self.awaits.without(Stage::Bind).is_empty()
    }

    #[inline]
    fn part(&self, is_sync: bool) -> Part {
        match self.role {
            _ if is_sync => Part::Sync,
            Role::Prefix => Part::Prefix(self.statement),
            Role::Statement => Part::Statement(self.statement),
        }
    }
}

/// What this side does about a COPY FROM STDIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CopyIn {
    /// Nobody expects one.
    Unexpected,
    /// The data is being sent.
    Open,
    /// CopyDone was sent: only now may the server be through.
    Done,
    /// CopyFail was sent: the server can only report an error.
    Failed,
}

/// Whose an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The driver's own, before the caller's.
    Prefix,
    /// The caller's.
    Statement,
}

/// A place in the queue to go back to.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueMark {
    entries: usize,
    /// [`Entry::again`] of the last.
    again: u32,
    next_flight: u64,
}

impl Queue {
    /// Whether nothing is owed.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.front_flight == self.next_flight
    }

    /// How many flights are not over.
    pub(super) fn flights(&self) -> u64 {
        self.next_flight - self.front_flight
    }

    /// Starts a flight and returns its number.
    #[inline]
    pub(super) fn begin_flight(&mut self) -> u64 {
        let flight = self.next_flight;
        self.next_flight += 1;
        flight
    }

    /// Adds an entry to the last flight.
    #[inline]
    pub(super) fn push(&mut self, entry: Entry) {
        if self.entries.len() == self.entries.capacity() {
            self.make_room();
        }
        self.entries.push(entry);
    }

    /// Adds so many executions of one of the caller's statements to the last flight: to the last
    /// entry, where that is of the same statement, so that any number of them takes no more
    /// memory than one.
    pub(super) fn push_executions(&mut self, statement: u32, count: u64) {
        let mut left = count;
        if let Some(last) = self.last_mut() {
            let is_same = last.role == Role::Statement && last.statement == statement;
            if is_same && !last.awaits.ends_flight() {
                let room = u32::MAX - last.again;
                let more = u32::try_from(left).unwrap_or(room).min(room);
                last.again += more;
                left -= u64::from(more);
            }
        }
        while let Some(others) = left.checked_sub(1) {
            let again = u32::try_from(others).unwrap_or(u32::MAX);
            self.push(Entry {
                awaits: EXECUTION,
                role: Role::Statement,
                statement,
                copy: CopyIn::Unexpected,
                again,
            });
            left -= u64::from(again) + 1;
        }
    }

    /// A queue that is never empty doesn't grow by what is over. More is given up than moved.
    #[cold]
    fn make_room(&mut self) {
        if self.served > self.entries.len() / 2 {
            self.entries.drain(..self.served);
            self.served = 0;
        }
    }

    /// The last flight awaits its ReadyForQuery: in its last entry, where one is still owed.
    #[inline]
    pub(super) fn push_sync(&mut self) {
        match self.last_mut() {
            // An entry that awaits a ReadyForQuery already belongs to the flight before.
            Some(entry) if !entry.awaits.ends_flight() && entry.again == 0 => {
                entry.awaits = entry.awaits.with(Stage::Sync)
            }
            _ => self.push(Entry {
                awaits: Stages::NONE.with(Stage::Sync),
                role: Role::Statement,
                statement: 0,
                copy: CopyIn::Unexpected,
                again: 0,
            }),
        }
    }

    /// Says how the COPY of the last entry goes on, unless it has failed already.
    pub(super) fn set_copy(&mut self, copy: CopyIn) {
        if let Some(entry) = self.last_mut() {
            entry.copy = copy;
        }
    }

    #[inline]
    fn last_mut(&mut self) -> Option<&mut Entry> {
        self.entries[self.served..].last_mut()
    }

    /// The entry that is served next.
    #[inline]
    pub(super) fn front(&self) -> Option<&Entry> {
        self.entries.get(self.served)
    }

    #[inline]
    pub(super) fn front_mut(&mut self) -> Option<&mut Entry> {
        self.entries.get_mut(self.served)
    }

    /// Whether the caller of the front flight has gone.
    #[inline]
    pub(super) fn is_front_discarded(&self) -> bool {
        self.front_flight < self.discarded_below
            || (!self.discarded.is_empty() && self.discarded.contains(&self.front_flight))
    }

    /// Where the front entry belongs.
    #[inline]
    pub(super) fn at(&self, entry: &Entry) -> At {
        let part = entry.part(entry.awaits.first() == Some(Stage::Sync));
        At {
            flight: self.front_flight,
            part,
        }
    }

    /// The front entry's statement is through: another execution of it is next, or the entry
    /// behind it.
    #[inline]
    pub(super) fn end_statement(&mut self) {
        match self.front_mut() {
            Some(entry) if entry.again > 0 => {
                entry.again -= 1;
                entry.awaits = EXECUTION;
            }
            _ => self.pop(),
        }
    }

    /// Nothing of the front entry is owed any more.
    #[inline]
    pub(super) fn pop(&mut self) {
        self.served += 1;
        if self.served >= self.entries.len() {
            self.entries.clear();
            self.served = 0;
        }
    }

    /// Drops all that the server skips after an error: everything before the next Sync.
    /// Returns whether that Sync has been sent.
    pub(super) fn skip_to_sync(&mut self) -> bool {
        while let Some(entry) = self.front_mut() {
            if entry.awaits.has(Stage::Sync) {
                entry.awaits = Stages::NONE.with(Stage::Sync);
                return true;
            }
            self.pop();
        }
        false
    }

    /// The front flight is over.
    #[inline]
    pub(super) fn finish_flight(&mut self) {
        if self.front_flight < self.next_flight {
            if !self.discarded.is_empty() {
                self.discarded.retain(|flight| *flight != self.front_flight);
            }
            self.front_flight += 1;
        }
    }

    /// The number of the front flight.
    #[inline]
    pub(super) fn front_flight(&self) -> u64 {
        self.front_flight
    }

    /// Nobody waits for any of the flights any more.
    pub(super) fn discard_all(&mut self) {
        self.discarded_below = self.next_flight;
        self.discarded.clear();
    }

    /// Nobody waits for this flight any more.
    pub(super) fn discard(&mut self, flight: u64) {
        if (self.front_flight..self.next_flight).contains(&flight) {
            self.discarded.push(flight);
        }
    }

    #[inline]
    pub(super) fn mark(&self) -> QueueMark {
        QueueMark {
            entries: self.entries.len() - self.served,
            again: self.entries[self.served..]
                .last()
                .map_or(0, |entry| entry.again),
            next_flight: self.next_flight,
        }
    }

    /// Forgets what was added after `mark`; nothing may have been served since.
    pub(super) fn truncate(&mut self, mark: QueueMark) {
        self.entries.truncate(self.served + mark.entries);
        if let Some(last) = self.last_mut() {
            last.again = mark.again;
        }
        self.next_flight = mark.next_flight;
        self.discarded.retain(|flight| *flight < mark.next_flight);
    }

    /// Gives memory back that an unusually long pipeline took.
    pub(super) fn shrink(&mut self) {
        if self.entries.is_empty() && self.entries.capacity() > KEPT_ENTRIES {
            self.entries.shrink_to(KEPT_ENTRIES);
        }
    }
}

/// What an execution of a prepared statement awaits.
const EXECUTION: Stages = Stages::NONE.with(Stage::Bind).with(Stage::Execute);

/// The same, where it is the last of its flight.
const USUAL: Stages = EXECUTION.with(Stage::Sync);

/// How many entries an idle queue keeps room for.
const KEPT_ENTRIES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(queue: &mut Queue) -> Vec<Part> {
        let mut parts = Vec::new();
        while let Some(entry) = queue.front() {
            parts.push(queue.at(entry).part);
            queue.end_statement();
        }
        parts
    }

    #[test]
    fn executions_of_one_statement_take_one_entry() {
        let mut queue = Queue::default();
        queue.begin_flight();
        queue.push_executions(0, 1);
        queue.push_executions(0, 0);
        queue.push_executions(0, 999);
        assert_eq!(queue.entries.len(), 1);
        queue.push_executions(1, 1);
        queue.push_sync();
        // An entry that awaits a ReadyForQuery is never gone through again.
        queue.push_executions(1, 2);
        queue.push_sync();
        let mut expected = vec![Part::Statement(0); 1_000];
        expected.extend([
            Part::Statement(1),
            Part::Statement(1),
            Part::Statement(1),
            Part::Sync,
        ]);
        assert_eq!(parts(&mut queue), expected);
    }

    #[test]
    fn more_executions_than_an_entry_can_count_take_another() {
        let mut queue = Queue::default();
        queue.begin_flight();
        queue.push_executions(0, u64::from(u32::MAX));
        queue.push_executions(0, 3);
        queue.push_executions(0, 2 << 32);
        let counts = queue.entries.iter().map(|entry| u64::from(entry.again) + 1);
        assert_eq!(counts.clone().count(), 4);
        assert_eq!(counts.sum::<u64>(), (2 << 32) + u64::from(u32::MAX) + 3);
    }

    #[test]
    fn executions_that_are_taken_back_are_not_owed() {
        let mut queue = Queue::default();
        queue.begin_flight();
        queue.push_executions(0, 2);
        let mark = queue.mark();
        queue.push_executions(0, 1);
        queue.push_executions(1, 1);
        queue.truncate(mark);
        assert_eq!(parts(&mut queue), [Part::Statement(0); 2]);
    }

    #[test]
    fn an_error_skips_all_executions_before_the_sync() {
        let mut queue = Queue::default();
        queue.begin_flight();
        queue.push_executions(0, 2);
        assert!(!queue.skip_to_sync());
        queue.push_executions(0, 2);
        queue.push_sync();
        assert!(queue.skip_to_sync());
        assert_eq!(parts(&mut queue), [Part::Sync]);
    }
}
