//! [`Queued`]: statements of several tasks on one connection, one behind the other and each with
//! a Sync of its own, so that what befalls one befalls no other.
//!
//! Source: manual, "Message Flow", "Pipelining".

use std::collections::VecDeque;
use std::mem::take;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use super::Connection;
use super::cold::read_held;
use super::link::{Until, timed_out};
use super::sinks::Reply;
pub(crate) use super::sinks::{All, Collector, Ignore, One};
use super::timer::Limit;
use crate::error::{Error, ErrorKind, Outcome, Result, ServerError};
use crate::params::Params;
use crate::protocol::{At, Progress, RowBytes, Sink};
use crate::statement::Prepared;
use crate::wire::TransactionStatus;
use crate::wire::backend::CommandComplete;

/// The statements that stand on a connection, what has been answered to them, and whom to wake
/// for it.
///
/// Invariants: `owed` has the flights of the connection's own queue of owed replies, in the same
/// order; a flight names a slot as long as somebody waits for its reply, and `waited_for` counts
/// those; a slot is given up by whoever has its ticket, and by nobody else.
#[derive(Debug, Default)]
pub(crate) struct Queued {
    owed: VecDeque<Owed>,
    waited_for: usize,
    slots: Vec<Option<Slot>>,
    /// The slots that nobody has.
    free: Vec<Ticket>,
    /// The earliest deadline there has been since the last one passed: never later than that of
    /// anybody who waits.
    deadline: Option<Instant>,
    /// Memory for rows that nobody uses.
    spare: Vec<Vec<u8>>,
    /// Those whose reply has come, to be woken when the lock is released.
    woken: Vec<Waker>,
    /// The slots whose statement the server has refused in this poll.
    refused: Vec<Ticket>,
    /// A reply has come that is not the next one.
    is_astray: bool,
    /// How many statements there have been.
    count: u64,
}

/// Who has a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(usize);

/// A statement whose reply has not come.
#[derive(Clone, Copy, Debug)]
struct Owed {
    flight: u64,
    /// Who waits for it, if anybody does.
    ticket: Option<Ticket>,
}

/// Somebody's statement.
#[derive(Debug)]
struct Slot {
    flight: u64,
    waker: Waker,
    terms: Terms,
    prepared: Arc<Prepared>,
    reply: Reply,
    /// The rows that are kept, each behind its length.
    rows: Vec<u8>,
    kept: usize,
    end: Option<End>,
}

/// What somebody wants of a statement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Until when they wait.
    pub(crate) deadline: Option<Instant>,
    /// How many rows they look at.
    pub(crate) most_rows: usize,
}

/// How a statement has ended.
#[derive(Debug)]
enum End {
    Answered,
    Stale,
    TooLate,
    Lost(Error),
}

/// What has become of a statement.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The server has answered.
    Reply { reply: Reply, rows: Vec<u8> },
    /// The server no longer has the statement as it was prepared, and has not run it.
    Stale,
    /// No answer has come.
    Error(Error),
}

impl Queued {
    /// How many replies are owed.
    pub(crate) fn owed(&self) -> usize {
        self.owed.len()
    }

    /// How many of them somebody waits for.
    pub(crate) fn waited_for(&self) -> usize {
        self.waited_for
    }

    /// How many statements there have been.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Those who are to be woken, for `others` who were and whose memory is used again.
    pub(crate) fn swap_woken(&mut self, others: &mut Vec<Waker>) {
        std::mem::swap(&mut self.woken, others);
    }

    /// Memory that has been handed out with rows, to be used again.
    #[inline]
    pub(crate) fn take_back(&mut self, mut rows: Vec<u8>) {
        if self.spare.len() < self.slots.len() {
            rows.clear();
            self.spare.push(rows);
        }
    }

    /// What has become of the statement. With the answer the ticket is given up; else `waker` is
    /// woken when there is one, and no longer the one that is left in `replaced`. To drop it may
    /// run code of others, which is done when the lock is released.
    pub(crate) fn poll_answer(
        &mut self,
        ticket: Ticket,
        waker: &Waker,
        replaced: &mut Option<Waker>,
    ) -> Poll<Answer> {
        let Some(slot) = self.slot_mut(ticket) else {
            return Poll::Ready(Answer::Error(nobody()));
        };
        let Some(end) = slot.end.take() else {
            if !slot.waker.will_wake(waker) {
                *replaced = Some(std::mem::replace(&mut slot.waker, waker.clone()));
            }
            return Poll::Pending;
        };
        let answer = match end {
            End::Answered => Answer::Reply {
                reply: take(&mut slot.reply),
                rows: take(&mut slot.rows),
            },
            End::Stale => Answer::Stale,
            End::TooLate => Answer::Error(timed_out()),
            End::Lost(error) => Answer::Error(error),
        };
        // Its waker has been used up.
        drop(self.give_up(ticket));
        Poll::Ready(answer)
    }

    /// Whoever has the ticket has gone: what still comes for it is read and dropped. The
    /// waker is to be dropped when the lock is released.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        let flight = match self.slot_mut(ticket) {
            Some(Slot {
                end: None, flight, ..
            }) => Some(*flight),
            _ => None,
        };
        if let Some(flight) = flight {
            self.abandon(flight);
        }
        self.give_up(ticket).map(|slot| slot.waker)
    }

    /// No more replies come, for this reason. What was owed may have run.
    pub(crate) fn fail_all(&mut self, error: &Error) {
        for Owed { ticket, .. } in take(&mut self.owed) {
            if let Some(ticket) = ticket {
                let error = match error.outcome() {
                    Outcome::NotRun => error.duplicate().with_outcome(Outcome::Unknown),
                    _ => error.duplicate(),
                };
                self.end(ticket, End::Lost(error));
            }
        }
        self.waited_for = 0;
    }

    /// A statement is on its way.
    fn add(&mut self, flight: u64, prepared: Arc<Prepared>, terms: Terms, waker: &Waker) -> Ticket {
        let slot = Slot {
            flight,
            waker: waker.clone(),
            terms,
            prepared,
            reply: Reply::default(),
            rows: match terms.most_rows {
                0 => Vec::new(),
                _ => self.spare.pop().unwrap_or_default(),
            },
            kept: 0,
            end: None,
        };
        let ticket = match self.free.pop() {
            Some(ticket) => ticket,
            None => {
                self.slots.push(None);
                Ticket(self.slots.len() - 1)
            }
        };
        self.slots[ticket.0] = Some(slot);
        self.owed.push_back(Owed {
            flight,
            ticket: Some(ticket),
        });
        self.waited_for += 1;
        self.count += 1;
        self.deadline = match (self.deadline, terms.deadline) {
            (Some(known), Some(new)) => Some(known.min(new)),
            (known, new) => known.or(new),
        };
        ticket
    }

    #[inline]
    fn slot_mut(&mut self, ticket: Ticket) -> Option<&mut Slot> {
        self.slots.get_mut(ticket.0)?.as_mut()
    }

    fn give_up(&mut self, ticket: Ticket) -> Option<Slot> {
        let slot = self.slots.get_mut(ticket.0)?.take()?;
        self.free.push(ticket);
        Some(slot)
    }

    /// Nobody waits for the reply of this flight any more.
    fn abandon(&mut self, flight: u64) {
        let owed = self.owed.iter_mut().find(|owed| owed.flight == flight);
        if owed.and_then(|owed| owed.ticket.take()).is_some() {
            self.waited_for -= 1;
        }
    }

    fn end(&mut self, ticket: Ticket, end: End) {
        if let Some(slot) = self.slot_mut(ticket) {
            slot.end = Some(end);
            let waker = std::mem::replace(&mut slot.waker, Waker::noop().clone());
            self.woken.push(waker);
        }
    }

    /// The time of those is over whose deadline has passed; their replies are dropped when they
    /// come.
    #[cold]
    fn expire(&mut self, now: Instant) {
        let mut next = None;
        for index in 0..self.owed.len() {
            let Owed { flight, ticket } = self.owed[index];
            let Some(ticket) = ticket else {
                continue;
            };
            let deadline = self.slot_mut(ticket).and_then(|slot| slot.terms.deadline);
            if deadline.is_some_and(|deadline| deadline <= now) {
                self.abandon(flight);
                self.end(ticket, End::TooLate);
            } else {
                next = next.into_iter().chain(deadline).min();
            }
        }
        self.deadline = next;
    }

    /// The slot that a reply is for, if anybody waits for it. A reply for another flight than
    /// the next is for nobody.
    #[inline]
    fn addressee(&mut self, flight: u64) -> Option<&mut Slot> {
        match self.owed.front() {
            Some(owed) if owed.flight == flight => {
                let ticket = owed.ticket?;
                self.slot_mut(ticket)
            }
            _ => {
                self.is_astray = true;
                None
            }
        }
    }
}

impl Connection {
    /// Whether statements of several tasks may begin to stand on the connection: it is at rest,
    /// and nothing has to go before the next statement. A reset that failed would have the server
    /// skip that statement, and run those behind its Sync.
    pub(crate) fn may_begin_queue(&mut self) -> bool {
        self.is_at_rest()
            && !self.is_pooled
            && !self.has_queued()
            && !self.hygiene.is_under_way()
            && self.may_queue_more()
    }

    /// Whether further statements may stand on it: nothing has come that the pool has to look
    /// after first.
    pub(crate) fn may_queue_more(&mut self) -> bool {
        !self.is_unusable()
            && self.link.core.transaction_status() == TransactionStatus::Idle
            && !self.has_refused_to_write
            && !self.link.session.commands.are_notable
    }

    /// How many bytes wait to be sent.
    pub(crate) fn unsent(&self) -> usize {
        self.link.output.len()
    }

    /// Appends a statement of somebody's, whom `waker` wakes when something has become of it.
    ///
    /// `None` where it has to have a connection for itself, and nothing was sent: it is not
    /// prepared on this one, leaves something behind in the session, begins or ends a
    /// transaction, has values of types that aren't built in, or values that can't be written.
    pub(crate) fn queue<P: Params, C: Collector>(
        &mut self,
        queued: &mut Queued,
        (sql, params): (&str, &P),
        collector: &mut C,
        terms: Terms,
        waker: &Waker,
    ) -> Option<Ticket> {
        let prepared = self.find(sql, params, collector)?;
        let description = prepared.description();
        if !prepared.stands_alone() || description.epoch() != 0 {
            return None;
        }
        let link = &mut *self.link;
        let mut unit = link.core.start_unit(&mut link.output).ok()?;
        let flight = unit.flight();
        let types = description.parameters();
        // A unit that isn't finished takes itself back, also if a codec of the caller panics.
        unit.execute(0, prepared.template(), |out| params.encode(types, out))
            .ok()?;
        unit.finish();
        self.interrupted = true;
        Some(queued.add(flight, prepared, terms, waker))
    }

    /// Sends what is appended and handles what comes. Ready when no reply is owed any more.
    ///
    /// Who waits has their own error; what is left of the connection's is whether it is closed.
    pub(crate) fn poll_queued(&mut self, cx: &mut Context<'_>, queued: &mut Queued) -> Poll<()> {
        loop {
            let limit = queued.deadline.map_or(Limit::None, Limit::At);
            self.link.set_limit(limit);
            let mut sink = Dispatch { queued };
            let polled = self.link.poll_exchange(cx, &mut sink, Until::Idle);
            self.note_refused(queued);
            let error = match polled {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Progress::Idle)) if queued.owed.is_empty() && !queued.is_astray => {
                    self.interrupted = false;
                    return Poll::Ready(());
                }
                Poll::Ready(Ok(_)) => {
                    let error = Error::protocol("a reply came that was not the next one");
                    self.link.close(error)
                }
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Timeout => {
                    queued.expire(Instant::now());
                    continue;
                }
                Poll::Ready(Err(error)) => error,
            };
            queued.fail_all(&error);
            return Poll::Ready(());
        }
    }

    /// Looks after the statements that the server has refused.
    fn note_refused(&mut self, queued: &mut Queued) {
        while let Some(ticket) = queued.refused.pop() {
            let Some(slot) = queued.slot_mut(ticket) else {
                continue;
            };
            self.note_error(&slot.reply);
            if self.is_stale(&slot.prepared, &slot.reply) {
                slot.end = Some(End::Stale);
            }
        }
    }
}

impl Answer {
    /// Has the rows read, and returns the number in the command tag; `None` for a statement that
    /// has to be prepared anew. With it comes memory that is worth using again, if any is.
    ///
    /// # Errors
    ///
    /// The server's; what the collector can't read; that no answer has come.
    #[inline]
    pub(crate) fn read<C: Collector>(
        self,
        sql: &str,
        collector: &mut C,
    ) -> (Result<Option<u64>>, Option<Vec<u8>>) {
        let (read, rows) = match self {
            Self::Stale => return (Ok(None), None),
            Self::Error(error) => (Err(error), None),
            Self::Reply { reply, rows } => {
                let read = reply
                    .check_for(sql)
                    .and_then(|reply| read_held(&rows, collector).map(|()| Some(reply.rows)));
                let is_worth_it = (1..=MOST_SPARE).contains(&rows.capacity());
                (read, is_worth_it.then_some(rows))
            }
        };
        (read.map_err(|error| error.with_sql(sql)), rows)
    }
}

/// Gives each who waits their reply.
struct Dispatch<'a> {
    queued: &'a mut Queued,
}

impl Sink for Dispatch<'_> {
    #[inline]
    fn on_bind_complete(&mut self, at: At) {
        if let Some(slot) = self.queued.addressee(at.flight) {
            slot.reply.bound = true;
        }
    }

    #[inline]
    fn on_row(&mut self, at: At, row: RowBytes<'_>) -> ControlFlow<()> {
        if let Some(slot) = self.queued.addressee(at.flight) {
            if slot.kept < slot.terms.most_rows {
                slot.kept += 1;
                let body = row.body();
                slot.rows.reserve(size_of::<u32>() + body.len());
                // A body is shorter than the protocol's limit of 2³¹ bytes.
                slot.rows
                    .extend_from_slice(&(body.len() as u32).to_be_bytes());
                slot.rows.extend_from_slice(body);
            }
        }
        match self.queued.is_astray {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    #[inline]
    fn on_complete(&mut self, at: At, command: CommandComplete<'_>) {
        if let Some(slot) = self.queued.addressee(at.flight) {
            slot.reply.complete(command);
        }
    }

    fn on_error(&mut self, at: At, error: ServerError) {
        if let Some(slot) = self.queued.addressee(at.flight) {
            slot.reply.fail(at.part, error);
        }
    }

    #[inline]
    fn on_ready(&mut self, flight: u64, _: TransactionStatus) {
        let slot = self.queued.addressee(flight);
        let has_failed = slot.is_some_and(|slot| slot.reply.error.is_some());
        if self.queued.is_astray {
            return;
        }
        let ended = self.queued.owed.pop_front();
        if let Some(ticket) = ended.and_then(|owed| owed.ticket) {
            self.queued.waited_for -= 1;
            self.queued.end(ticket, End::Answered);
            if has_failed {
                self.queued.refused.push(ticket);
            }
        }
    }
}

/// The most memory that is kept for the rows of one later statement, in bytes.
const MOST_SPARE: usize = 1024;

#[cold]
fn nobody() -> Error {
    Error::usage("a statement was waited for after its end")
}
