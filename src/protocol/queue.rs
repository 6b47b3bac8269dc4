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
            Some(entry) if !entry.awaits.ends_flight() => {
                entry.awaits = entry.awaits.with(Stage::Sync)
            }
            _ => self.push(Entry {
                awaits: Stages::NONE.with(Stage::Sync),
                role: Role::Statement,
                statement: 0,
                copy: CopyIn::Unexpected,
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
            next_flight: self.next_flight,
        }
    }

    /// Forgets what was added after `mark`; nothing may have been served since.
    pub(super) fn truncate(&mut self, mark: QueueMark) {
        self.entries.truncate(self.served + mark.entries);
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

/// What a prepared statement awaits.
const USUAL: Stages = Stages::NONE
    .with(Stage::Bind)
    .with(Stage::Execute)
    .with(Stage::Sync);

/// How many entries an idle queue keeps room for.
const KEPT_ENTRIES: usize = 256;
