//! [`Lanes`]: connections of a pool that several tasks use at once.

mod lane;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use tokio::sync::Notify;
use tokio::time::Instant;

use self::lane::{Driver, Lane, Refusal, Rider};
use super::shared::Outlook;
use super::turns::Turns;
use super::{Pool, PoolConnection};
use crate::connection::Limit;
use crate::connection::queued::{Collector, Terms};
use crate::error::Result;
use crate::params::Params;

/// The connections on which statements of several tasks stand, each in a [`Lane`].
///
/// A lane is a loan: it has its connection as any borrower has it, for as long as statements
/// stand on it, and for a while at most. So whatever a pool does with connections, it does with
/// these between two loans.
pub(super) struct Lanes {
    /// How many statements may stand on one.
    limit: usize,
    open: Mutex<Vec<Arc<Lane>>>,
    /// Told when a lane has room, for those who stand in the pool's line for want of it.
    room: Notify,
    /// How many those are. All others in line want a connection for themselves.
    standing: AtomicUsize,
    /// How many lanes are about to give their connections back.
    leaving: AtomicUsize,
}

/// A statement and what is wanted of it.
pub(super) struct Statement<'q, P> {
    pub(super) sql: &'q str,
    pub(super) params: &'q P,
    pub(super) deadline: Option<Instant>,
    pub(super) most_rows: usize,
}

/// How a statement has been run, or is to be.
pub(super) enum Course {
    /// Behind others, with this number in its command tag.
    Queued(u64),
    /// On a connection of its own: on this one, where it has been lent already.
    Alone(Option<PoolConnection>),
}

/// How somebody goes on.
enum Step {
    Ride(Rider),
    Alone(Option<PoolConnection>),
}

/// Somebody in the pool's line who would as soon have room on a lane.
struct Standing<'l> {
    lanes: &'l Lanes,
}

impl Lanes {
    /// With so many statements on one connection at most. With one each there is nothing to share.
    pub(super) fn new(limit: usize) -> Option<Self> {
        (limit > 1).then(|| Self {
            limit,
            open: Mutex::default(),
            room: Notify::new(),
            standing: AtomicUsize::new(0),
            leaving: AtomicUsize::new(0),
        })
    }

    /// Runs a statement behind those of others, if it is one that may, and if there is no
    /// connection that nobody uses: that is quicker, and has nothing before it.
    ///
    /// # Errors
    ///
    /// Those of [`Pool::acquire`] and of the verb, but for what the collector alone can tell.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: the reply is read and dropped.
    #[inline]
    pub(super) async fn run<P: Params, C: Collector>(
        &self,
        pool: &Pool,
        statement: Statement<'_, P>,
        collector: &mut C,
    ) -> Result<Course> {
        let shared = &pool.shared;
        // The driver of a lane runs there, and with it the deadlines of those on it.
        if !shared.is_on_runtime() {
            return Ok(Course::Alone(None));
        }
        let outlook = shared.outlook();
        let step = match self.choose() {
            _ if outlook.is_closed => Step::Alone(None),
            None if outlook.idle > 0 => Step::Alone(None),
            None => self.wait(pool, &statement, collector, true).await?,
            Some((lane, fewest)) if fewest == 0 || self.is_best(&outlook) => {
                let boarded = poll_fn(|cx| {
                    Poll::Ready(lane.board(self.limit, &statement, collector, cx.waker()))
                });
                match boarded.await {
                    Ok(rider) => Step::Ride(rider),
                    Err(_) => self.board_another(pool, &statement, collector).await?,
                }
            }
            // Nobody gets before those who wait, and a connection that lies idle becomes a lane.
            Some(_) => self.wait(pool, &statement, collector, true).await?,
        };
        let rider = match step {
            Step::Ride(rider) => rider,
            Step::Alone(lent) => return Ok(Course::Alone(lent)),
        };
        Ok(match rider.run(statement.sql, collector).await? {
            Some(count) => Course::Queued(count),
            None => Course::Alone(None),
        })
    }

    /// Whether to share is the best that there is: no connection lies idle, and nobody waits for
    /// room.
    #[inline]
    fn is_best(&self, outlook: &Outlook) -> bool {
        outlook.idle == 0 && self.standing.load(Ordering::SeqCst) == 0
    }

    /// The lane to board, and how many statements stand on the one with the fewest.
    ///
    /// That is the one, unless another is about to send and has no more than its share: who was
    /// woken together goes on together, and one call sends all.
    #[inline]
    fn choose(&self) -> Option<(Arc<Lane>, usize)> {
        let open = self.lock();
        let (mut least, mut loading) = (None, None);
        let mut total = 0;
        for lane in &*open {
            let load = lane.load();
            total += load;
            let is_less =
                |known: Option<(&Arc<Lane>, usize)>| known.is_none_or(|(_, known)| load < known);
            if is_less(least) {
                least = Some((lane, load));
            }
            if lane.is_loading() && is_less(loading) {
                loading = Some((lane, load));
            }
        }
        let (lane, fewest) = least?;
        let share = total / open.len() + 1;
        let lane = match loading {
            Some((loading, load)) if load < share => loading,
            _ => lane,
        };
        Some((Arc::clone(lane), fewest))
    }

    /// The best lane can't take the statement: tries all others, and waits.
    #[cold]
    async fn board_another<P: Params, C: Collector>(
        &self,
        pool: &Pool,
        statement: &Statement<'_, P>,
        collector: &mut C,
    ) -> Result<Step> {
        match self.board_any(statement, collector).await {
            Ok(rider) => Ok(Step::Ride(rider)),
            Err(refusal) => {
                let may_share = refusal == Refusal::Full;
                self.wait(pool, statement, collector, may_share).await
            }
        }
    }

    /// A place on any lane. `Full` if one has no room that might have it otherwise.
    async fn board_any<P: Params, C: Collector>(
        &self,
        statement: &Statement<'_, P>,
        collector: &mut C,
    ) -> Result<Rider, Refusal> {
        let mut lanes = self.lock().clone();
        lanes.sort_by_key(|lane| lane.load());
        // One that is closed by now gives its connection back, to somebody who may open another.
        let mut refusal = if lanes.is_empty() {
            Refusal::Full
        } else {
            Refusal::Unfit
        };
        for lane in lanes {
            let boarded =
                poll_fn(|cx| Poll::Ready(lane.board(self.limit, statement, collector, cx.waker())));
            match boarded.await {
                Ok(rider) => return Ok(rider),
                Err(Refusal::Full) => refusal = Refusal::Full,
                Err(Refusal::Unfit) => {}
            }
        }
        Err(refusal)
    }

    /// Waits in the pool's line, as anybody, and for room on a lane meanwhile, if the statement
    /// `may_share` as far as is known.
    ///
    /// The future is on the heap, so that those stay small who don't wait.
    fn wait<'s, P: Params, C: Collector>(
        &'s self,
        pool: &'s Pool,
        statement: &'s Statement<'_, P>,
        collector: &'s mut C,
        may_share: bool,
    ) -> Pin<Box<impl Future<Output = Result<Step>> + use<'s, P, C>>> {
        Box::pin(async move {
            // Dropped behind the place in line: nobody is to be taken for one who won't share.
            let mut standing = may_share.then(|| Standing::enter(self));
            let mut acquiring = pin!(pool.acquire_before(statement.deadline));
            let lent = loop {
                if standing.is_none() {
                    break acquiring.await?;
                }
                let mut room = pin!(self.room.notified());
                // From here on what is told is not missed.
                room.as_mut().enable();
                let acquired = poll_fn(|cx| match acquiring.as_mut().poll(cx) {
                    Poll::Ready(acquired) => Poll::Ready(Some(acquired)),
                    Poll::Pending => room.as_mut().poll(cx).map(|()| None),
                });
                if let Some(acquired) = acquired.await {
                    break acquired?;
                }
                match self.board_any(statement, collector).await {
                    Ok(rider) => return Ok(Step::Ride(rider)),
                    Err(Refusal::Full) => {}
                    Err(Refusal::Unfit) => {
                        // The room is somebody else's.
                        standing = None;
                        self.room.notify_one();
                    }
                }
            };
            Ok(self.open(pool, lent, statement, collector).await)
        })
    }

    /// Opens a lane on the connection, for this statement first, if it may share.
    async fn open<P: Params, C: Collector>(
        &self,
        pool: &Pool,
        mut lent: PoolConnection,
        statement: &Statement<'_, P>,
        collector: &mut C,
    ) -> Step {
        if !lent.may_begin_queue() {
            return Step::Alone(Some(lent));
        }
        let opened = poll_fn(|cx| {
            let lent = &mut *lent;
            Poll::Ready(Lane::begin(lent, statement, collector, cx.waker()))
        });
        let Some((queued, ticket)) = opened.await else {
            return Step::Alone(Some(lent));
        };
        let lane = Lane::new(lent, queued);
        self.lock().push(Arc::clone(&lane));
        self.tell_of_room(self.limit - 1);
        let rider = Rider::new(&lane, ticket);
        let shared = &pool.shared;
        shared.spawn(Driver::new(shared, lane));
        Step::Ride(rider)
    }

    /// Wakes those who stand in line, as many as have room.
    fn tell_of_room(&self, count: usize) {
        for _ in 0..count.min(self.standing.load(Ordering::SeqCst)) {
            self.room.notify_one();
        }
    }

    /// Whether somebody waits in line who wants a connection for themselves, and whom no lane
    /// has made way for yet.
    fn is_in_the_way(&self, outlook: &Outlook) -> bool {
        let standing = self.standing.load(Ordering::SeqCst);
        let leaving = self.leaving.load(Ordering::SeqCst);
        outlook.waiting > standing + leaving
    }

    /// A lane takes nobody any more: what stands on it is the last.
    fn begin_leaving(&self, lane: &Arc<Lane>) {
        self.leaving.fetch_add(1, Ordering::SeqCst);
        self.lock().retain(|open| !Arc::ptr_eq(open, lane));
    }

    fn end_leaving(&self) {
        self.leaving.fetch_sub(1, Ordering::SeqCst);
    }

    /// Nothing panics under the lock but for a lack of memory.
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Lane>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P> Statement<'_, P> {
    #[inline]
    fn terms(&self, default: Limit) -> Terms {
        Terms {
            deadline: self.deadline.or_else(|| default.deadline()),
            most_rows: self.most_rows,
        }
    }
}

impl<'l> Standing<'l> {
    fn enter(lanes: &'l Lanes) -> Self {
        lanes.standing.fetch_add(1, Ordering::SeqCst);
        Self { lanes }
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        self.lanes.standing.fetch_sub(1, Ordering::SeqCst);
    }
}
