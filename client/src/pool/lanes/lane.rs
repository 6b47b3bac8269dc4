//! [`Lane`]: one connection on which statements of several tasks stand, the [`Driver`] that sends
//! them and reads what comes, and the [`Rider`] whose statement one of them is.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use super::Statement;
use crate::connection::Connection;
use crate::connection::observe::{Observation, Vantage};
use crate::connection::queued::{Answer, Collector, Queued, Ticket};
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::params::Params;
use crate::pool::PoolConnection;
use crate::pool::shared::Shared;

/// A connection on which statements of several tasks stand.
///
/// Its driver is a task of its own: whoever rides may be dropped, or lie about and never be
/// polled again, and neither keeps the others from their replies. Riders append their statements
/// and find their replies under the lock; what they make of the replies they do without it.
pub(super) struct Lane {
    /// How many statements stand on it, for those who choose.
    load: AtomicUsize,
    /// Whether some of them have yet to be sent: the next goes with them.
    is_loading: AtomicBool,
    vantage: Vantage,
    state: Mutex<State>,
}

struct State {
    /// Until the lane gives it back.
    lent: Option<PoolConnection>,
    queued: Queued,
    /// Wakes the driver; gone when that has been done.
    driver: Option<Waker>,
    /// Something was appended that the driver hasn't seen.
    is_fresh: bool,
    /// Whether somebody may still append.
    is_open: bool,
}

/// Why a lane doesn't take a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It has no room for any, or takes no more.
    Full,
    /// The statement is none for this connection.
    Unfit,
}

/// Drives a lane: ends when the connection is given back.
pub(super) struct Driver {
    shared: Arc<Shared>,
    lane: Arc<Lane>,
    opened: Instant,
    /// It has let others append since something was.
    has_stepped_back: bool,
    /// How often it has found nothing on the lane, in a row.
    pauses: u32,
    is_leaving: bool,
    /// Memory for those to be woken.
    woken: Vec<Waker>,
}

/// Somebody whose statement stands on a lane. Dropped, they leave it there.
pub(super) struct Rider {
    lane: Arc<Lane>,
    ticket: Option<Ticket>,
    /// The waker of the first poll is known: it is that with which the lane was boarded.
    is_entered: bool,
}

impl Lane {
    /// Appends the first statement, if it may share the connection.
    pub(super) fn begin<P: Params, C: Collector>(
        connection: &mut Connection,
        statement: &Statement<'_, P>,
        collector: &mut C,
        waker: &Waker,
    ) -> Option<(Queued, Ticket)> {
        let mut queued = Queued::default();
        let ticket = append(connection, &mut queued, statement, collector, waker)?;
        Some((queued, ticket))
    }

    /// With a connection on which the first statement stands.
    pub(super) fn new(lent: PoolConnection, queued: Queued) -> Arc<Self> {
        Arc::new(Self {
            load: AtomicUsize::new(queued.owed()),
            is_loading: AtomicBool::new(true),
            vantage: Vantage::of(&lent),
            state: Mutex::new(State {
                lent: Some(lent),
                queued,
                // It is polled when it is spawned.
                driver: None,
                is_fresh: true,
                is_open: true,
            }),
        })
    }

    pub(super) fn load(&self) -> usize {
        self.load.load(Ordering::SeqCst)
    }

    pub(super) fn is_loading(&self) -> bool {
        self.is_loading.load(Ordering::Relaxed)
    }

    /// Appends a statement, where fewer than `limit` stand. The rider is to be polled first in
    /// the same poll of the task, with the same waker.
    #[inline]
    pub(super) fn board<P: Params, C: Collector>(
        self: &Arc<Self>,
        limit: usize,
        statement: &Statement<'_, P>,
        collector: &mut C,
        waker: &Waker,
    ) -> Result<Rider, Refusal> {
        let mut state = self.lock();
        let State {
            lent: Some(lent),
            queued,
            driver,
            is_fresh,
            is_open: true,
        } = &mut *state
        else {
            return Err(Refusal::Full);
        };
        if queued.owed() >= limit || lent.unsent() > MAX_UNSENT {
            return Err(Refusal::Full);
        }
        let Some(ticket) = append(lent, queued, statement, collector, waker) else {
            return Err(Refusal::Unfit);
        };
        *is_fresh = true;
        self.is_loading.store(true, Ordering::Relaxed);
        self.load.store(queued.owed(), Ordering::SeqCst);
        let driver = driver.take();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        Ok(Rider::new(self, ticket))
    }

    /// What came on the connection can't be trusted.
    #[cold]
    fn break_off(&self) {
        let mut state = self.lock();
        if let Some(lent) = &mut state.lent {
            lent.poison("a row was malformed");
        }
        let driver = state.driver.take();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// A rider has gone: the driver looks whether anybody is left.
    fn leave(&self, ticket: Ticket) {
        let mut state = self.lock();
        let waker = state.queued.leave(ticket);
        let driver = match state.queued.waited_for() {
            0 => state.driver.take(),
            _ => None,
        };
        drop(state);
        drop(waker);
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// A codec of the caller's may panic under the lock, and has changed nothing then.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[inline]
fn append<P: Params, C: Collector>(
    connection: &mut Connection,
    queued: &mut Queued,
    statement: &Statement<'_, P>,
    collector: &mut C,
    waker: &Waker,
) -> Option<Ticket> {
    let terms = statement.terms(connection.default_limit());
    let text = (statement.sql, statement.params);
    connection.queue(queued, text, collector, terms, waker)
}

impl Driver {
    pub(super) fn new(shared: &Arc<Shared>, lane: Arc<Lane>) -> Self {
        Self {
            shared: Arc::clone(shared),
            lane,
            opened: Instant::now(),
            has_stepped_back: false,
            pauses: 0,
            is_leaving: false,
            woken: Vec::new(),
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self {
            shared,
            lane,
            opened,
            has_stepped_back,
            pauses,
            is_leaving,
            woken,
        } = &mut *self;
        let Some(lanes) = &shared.lanes else {
            return Poll::Ready(());
        };
        let outlook = shared.outlook();
        let mut state = lane.lock();
        let State {
            lent,
            queued,
            driver,
            is_fresh,
            is_open,
        } = &mut *state;
        let Some(connection) = lent else {
            return Poll::Ready(());
        };
        if *is_fresh && !*has_stepped_back {
            // Others are about to append, too: those who were woken together. One call sends all.
            *has_stepped_back = true;
            drop(state);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        *has_stepped_back = false;
        *is_fresh = false;
        lane.is_loading.store(false, Ordering::Relaxed);
        *driver = Some(cx.waker().clone());
        // Who waits is told of their own errors, and a connection that is closed takes no more.
        let _ = connection.poll_queued(cx, queued);
        queued.swap_woken(woken);
        // All of it, and not what has just been left: else whoever stands in line stays there.
        let room = lanes.limit.saturating_sub(queued.owed());
        lane.load.store(queued.owed(), Ordering::SeqCst);
        let makes_way = outlook.is_closed
            || lanes.is_in_the_way(&outlook)
            || opened.elapsed() >= LONGEST_LOAN
            || !connection.may_queue_more();
        let is_empty = queued.waited_for() == 0;
        // What nobody waits for is the pool's to bring to its end.
        let is_over =
            is_empty && (makes_way || !*is_open || queued.owed() > 0 || *pauses >= MOST_PAUSES);
        let begins_to_leave = *is_open && (makes_way || is_over);
        let mut ended = None;
        if begins_to_leave {
            *is_open = false;
        }
        if is_over {
            connection.note_uses(queued.count());
            ended = lent.take();
        }
        drop(state);
        if begins_to_leave {
            *is_leaving = true;
            lanes.begin_leaving(lane);
        }
        woken.drain(..).for_each(Waker::wake);
        if !*is_leaving {
            lanes.tell_of_room(room);
        }
        if is_over {
            drop(ended);
            return Poll::Ready(());
        }
        if is_empty {
            // Those who were just woken may be about to come back.
            *pauses += 1;
            *has_stepped_back = true;
            cx.waker().wake_by_ref();
        } else {
            *pauses = 0;
        }
        Poll::Pending
    }
}

/// It has come to its end, or its runtime has: then nobody would read what comes.
impl Drop for Driver {
    fn drop(&mut self) {
        let Some(lanes) = &self.shared.lanes else {
            return;
        };
        let mut state = self.lane.lock();
        let lent = state.lent.take();
        state.is_open = false;
        if lent.is_some() {
            state.queued.fail_all(&ended());
            state.queued.swap_woken(&mut self.woken);
        }
        drop(state);
        if !self.is_leaving {
            lanes.begin_leaving(&self.lane);
        }
        lanes.end_leaving();
        drop(lent);
        self.woken.drain(..).for_each(Waker::wake);
    }
}

impl Rider {
    pub(super) fn new(lane: &Arc<Lane>, ticket: Ticket) -> Self {
        Self {
            lane: Arc::clone(lane),
            ticket: Some(ticket),
            is_entered: true,
        }
    }

    /// Waits for the answer and has its rows read; `None` if the statement has to be prepared
    /// anew.
    ///
    /// # Errors
    ///
    /// The server's; what the collector can't read; that no answer has come, or not in time.
    #[inline]
    pub(super) async fn run<C: Collector>(
        mut self,
        sql: &str,
        collector: &mut C,
    ) -> Result<Option<u64>> {
        let observation = Observation::start_from(&self.lane.vantage, sql);
        let running = async {
            let answer = (&mut self).await;
            let (read, rows) = answer.read(sql, collector);
            if let Some(rows) = rows {
                self.lane.lock().queued.take_back(rows);
            }
            if matches!(&read, Err(error) if error.kind() == ErrorKind::Protocol) {
                self.lane.break_off();
            }
            read
        };
        observation
            .watch(running, |count| *count, |error| error)
            .await
    }
}

impl Future for Rider {
    type Output = Answer;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        if std::mem::take(&mut self.is_entered) {
            return Poll::Pending;
        }
        let Some(ticket) = self.ticket else {
            return Poll::Ready(Answer::Error(ended()));
        };
        let mut replaced = None;
        let mut state = self.lane.lock();
        let polled = state.queued.poll_answer(ticket, cx.waker(), &mut replaced);
        drop(state);
        if polled.is_ready() {
            self.ticket = None;
        }
        polled
    }
}

impl Drop for Rider {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.lane.leave(ticket);
        }
    }
}

/// Nobody drives the lane any more.
#[cold]
fn ended() -> Error {
    Error::new(
        ErrorKind::PoolClosed,
        "the runtime of the pool has ended while the statement was under way",
    )
    .with_outcome(Outcome::Unknown)
}

/// How long a lane keeps its connection at most, statements that stand on it then aside: what the
/// pool does between two loans, as closing a connection that is too old, is done so often.
const LONGEST_LOAN: Duration = Duration::from_secs(1);

/// How often the driver looks for new statements when none is left on the lane, each time when
/// all others who are ready to run have had their turn, before it gives the connection back.
const MOST_PAUSES: u32 = 2;

/// How many bytes may wait to be sent before a lane takes no more statements.
const MAX_UNSENT: usize = 64 * 1024;
