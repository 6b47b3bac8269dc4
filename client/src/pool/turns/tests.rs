//! Tasks that wait for connections, in every order that the steps of their threads can take.
//!
//! The code of [`Turns`], [`Lease`] and [`Waiting`] runs as it does in a pool, around a lock and
//! wakers of loom, which tries each order of what the threads do to these. A task that is never
//! woken is a deadlock, which loom reports, as it does a waker that is never dropped.

use std::future::poll_fn;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::sync::PoisonError;
use std::task::Wake;
use std::time::Duration;

use loom::model::Builder;
use loom::sync::{Mutex, MutexGuard, Notify};
use loom::thread::{self, JoinHandle, ThreadId};

use super::*;
use crate::pool::slots::Counts;

/// A pool without connections.
#[derive(Clone)]
struct World(Arc<State>);

struct State {
    slots: Mutex<Slots<Token>>,
    clock: Mutex<Clock>,
    begun: Instant,
    seen: Arc<Seen>,
}

/// The time, which passes when the model says so.
#[derive(Default)]
struct Clock {
    seconds: u64,
    sleeping: Vec<Waker>,
}

/// Sleeps by the clock of the model.
struct Nap {
    world: World,
    deadline: Instant,
}

/// What the model sees that the code doesn't: no steps of it, so that it costs no orders.
struct Seen(std::sync::Mutex<Sight>);

#[derive(Default)]
struct Sight {
    /// Who has the lock of the slots.
    locker: Option<ThreadId>,
    /// How connects that have not begun come out, the next one last.
    connects: Vec<Connect>,
    /// Tasks of the pool's runtime.
    running: Vec<JoinHandle<()>>,
    /// Connections that exist.
    alive: usize,
    /// Somebody has come back to the line.
    is_out_of_order: bool,
    /// Tasks are run by another runtime than the pool's.
    is_elsewhere: bool,
}

/// A connection.
struct Token(Arc<Seen>);

/// A thread that waits to be woken.
struct Parked {
    woken: Notify,
    seen: Arc<Seen>,
}

/// How a pool begins.
#[derive(Clone, Copy)]
struct Start {
    max: usize,
    idle: usize,
    /// How the first connects come out; all others succeed.
    connects: &'static [Connect],
    /// A task has use for a further connection, because one is fit for nobody.
    loses: bool,
}

/// What becomes of a connect.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Connect {
    Succeeds,
    /// In a way that may pass.
    Fails,
    /// For good.
    IsRefused,
}

impl World {
    fn new(start: Start) -> Self {
        let sight = Sight {
            connects: start.connects.iter().rev().copied().collect(),
            ..Sight::default()
        };
        let world = Self(Arc::new(State {
            slots: Mutex::new(Slots::new(start.max)),
            clock: Mutex::default(),
            begun: Instant::now(),
            seen: Arc::new(Seen(std::sync::Mutex::new(sight))),
        }));
        for _ in 0..world.change(|slots| slots.connect_ahead(start.idle)) {
            world.connected(Token::new(&world.0.seen));
        }
        world
    }

    /// Waits for all tasks of the runtime. Then every place is free or has an idle connection.
    fn end(&self) -> Counts {
        while let Some(running) = self.0.seen.look(|sight| sight.running.pop()) {
            running.join().unwrap();
        }
        let counts = self.counts();
        assert_eq!(
            (counts.waiting, counts.connecting),
            (0, 0),
            "all that was begun has ended"
        );
        assert_eq!(counts.open, counts.idle, "all places are accounted for");
        let alive = self.0.seen.look(|sight| sight.alive);
        assert_eq!(alive, counts.idle, "no connection is lost or kept");
        counts
    }

    fn counts(&self) -> Counts {
        self.change(|slots| slots.counts())
    }

    fn acquire(&self) -> Result<Lease<Self>> {
        self.acquire_until(None).1.map_err(Unserved::into_error)
    }

    /// As a pool does it. Whoever turns down what they get comes back with the ticket.
    fn acquire_until(&self, deadline: Option<Instant>) -> (u64, Result<Lease<Self>, Unserved>) {
        self.block_on(async {
            let watched = deadline.filter(|_| self.is_on_runtime());
            let (ticket, acquired) =
                poll_fn(|cx| Poll::Ready(self.take_turn(cx.waker(), watched))).await;
            let lease = match acquired {
                Acquired::Now(lease) => Ok(lease),
                Acquired::Later => {
                    Waiting::entered(self, ticket, deadline, watched.is_some()).await
                }
                Acquired::Closed => Err(Unserved::Error(closed())),
            };
            (ticket, lease)
        })
    }

    /// As a pool does it for whoever comes back to the line.
    fn wait_again(&self, ticket: u64, acquired: Acquired<Lease<Self>>) -> Result<Lease<Self>> {
        match acquired {
            Acquired::Now(lease) => Ok(lease),
            Acquired::Later => self
                .block_on(Waiting::again(self, ticket))
                .map_err(Unserved::into_error),
            Acquired::Closed => Err(closed()),
        }
    }

    /// So many seconds after the beginning.
    fn at(&self, seconds: u64) -> Instant {
        self.0.begun + Duration::from_secs(seconds)
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.0.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is so late now.
    fn strike(&self, seconds: u64) {
        let mut clock = self.clock();
        clock.seconds = seconds;
        let sleeping = std::mem::take(&mut clock.sleeping);
        drop(clock);
        // Who is woken too early goes on sleeping.
        sleeping.into_iter().for_each(Waker::wake);
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let parked = Arc::new(Parked {
            woken: Notify::new(),
            seen: Arc::clone(&self.0.seen),
        });
        let waker = Waker::from(Arc::clone(&parked));
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => parked.woken.wait(),
            }
        }
    }

    /// Runs a task in a thread of its own.
    fn spawn(&self, task: impl FnOnce(&Self) + Send + 'static) -> JoinHandle<()> {
        let world = self.clone();
        thread::spawn(move || task(&world))
    }

    /// Runs a task that [`end`](Self::end) waits for.
    fn start(&self, task: impl FnOnce(&Self) + Send + 'static) {
        let running = self.spawn(task);
        self.0.seen.look(|sight| sight.running.push(running));
    }

    /// As a pool does it in a task.
    fn connect(&self) {
        loop {
            let connect = self.0.seen.look(|sight| sight.connects.pop());
            let refusal = match connect.unwrap_or(Connect::Succeeds) {
                Connect::Succeeds => return self.connected(Token::new(&self.0.seen)),
                Connect::Fails => None,
                Connect::IsRefused => Some(Arc::new(Error::new(ErrorKind::Usage, "refused"))),
            };
            if !self.connect_failed(refusal.as_ref()) {
                return;
            }
        }
    }
}

impl Unserved {
    fn into_error(self) -> Error {
        match self {
            Self::Error(error) => error,
            Self::TooLate => panic!("there is no deadline"),
        }
    }
}

impl Turns for World {
    type Member = Token;
    type Sleep = Nap;

    fn change<R>(&self, change: impl FnOnce(&mut Slots<Token>) -> R) -> R {
        let mut slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
        self.0
            .seen
            .look(|sight| sight.locker = Some(thread::current().id()));
        let result = change(&mut slots);
        slots.assert_sound();
        self.0.seen.look(|sight| {
            sight.locker = None;
            assert!(
                sight.is_out_of_order || slots.is_served_in_order(),
                "whoever came first is served first"
            );
        });
        result
    }

    fn start_connects(&self, count: usize) {
        self.0.seen.assert_unlocked();
        for _ in 0..count {
            self.start(Self::connect);
        }
    }

    fn start_watch(&self) {
        self.0.seen.assert_unlocked();
        self.start(|world| world.block_on(Watchman::new(world)));
    }

    fn is_on_runtime(&self) -> bool {
        self.0.seen.look(|sight| !sight.is_elsewhere)
    }

    fn now(&self) -> Instant {
        self.at(self.clock().seconds)
    }

    fn sleep_until(&self, deadline: Instant) -> Nap {
        Nap {
            world: self.clone(),
            deadline,
        }
    }

    fn count(&self) {
        self.0.seen.assert_unlocked();
    }

    fn note_change(&self) {
        self.0.seen.assert_unlocked();
    }
}

impl Seen {
    fn look<R>(&self, look: impl FnOnce(&mut Sight) -> R) -> R {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The code of others may take its time, or come back to the pool.
    fn assert_unlocked(&self) {
        let locker = self.look(|sight| sight.locker);
        assert_ne!(
            locker,
            Some(thread::current().id()),
            "code of others runs outside of the lock"
        );
    }
}

impl Token {
    fn new(seen: &Arc<Seen>) -> Self {
        seen.look(|sight| sight.alive += 1);
        Self(Arc::clone(seen))
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.assert_unlocked();
        self.0.look(|sight| sight.alive -= 1);
    }
}

impl Future for Nap {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut clock = self.world.clock();
        if self.world.at(clock.seconds) >= self.deadline {
            return Poll::Ready(());
        }
        clock.sleeping.push(cx.waker().clone());
        Poll::Pending
    }
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.seen.assert_unlocked();
        self.woken.notify();
    }
}

/// Runs `tasks` in threads of their own around a pool of `max` places, in every order, with
/// connects of which the first ones come out as said and all others succeed. Then every place is
/// free or has an idle connection, and so many are `open`.
fn check_all(start: Start, tasks: &'static [fn(&World)], open: RangeInclusive<usize>) {
    let mut builder = Builder::new();
    // Where a thread is made for a connect, or three wait, the orders would be millions.
    let is_small = tasks.len() == 2 && start.idle == start.max && !start.loses;
    builder.preemption_bound = match (is_small, start.connects.is_empty()) {
        (true, _) => None,
        (false, true) => Some(PREEMPTIONS),
        (false, false) => Some(FEW_PREEMPTIONS),
    };
    builder.check(move || {
        let world = World::new(start);
        let (last, others) = tasks.split_last().unwrap();
        for task in others {
            world.start(task);
        }
        last(&world);
        let counts = world.end();
        assert!(open.contains(&counts.open), "{} are open", counts.open);
    });
}

/// Tries the orders of steps with so many interruptions at most.
fn check_bounded(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// Borrows a connection, and gives it back.
fn borrow(world: &World) {
    world.acquire().unwrap().give_back();
}

/// Borrows a connection, if there is one to be had.
fn try_to_borrow(world: &World) {
    if let Ok(lease) = world.acquire() {
        lease.give_back();
    }
}

/// Borrows a connection, which breaks.
fn lose(world: &World) {
    drop(world.acquire().unwrap());
}

/// Borrows a connection; it moves from one task to another while it waits.
fn move_and_borrow(world: &World) {
    let (ticket, acquired) = world.take_turn(Waker::noop(), None);
    let lease = match acquired {
        Acquired::Now(lease) => lease,
        Acquired::Later => {
            let mut waiting = pin!(Waiting::entered(world, ticket, None, false));
            let polled = poll_once(waiting.as_mut());
            assert!(polled.is_pending(), "the line was entered in this poll");
            world
                .block_on(waiting)
                .map_err(Unserved::into_error)
                .unwrap()
        }
        Acquired::Closed => panic!("the pool is open"),
    };
    lease.give_back();
}

/// Stands in line, looks once whether it is served, and leaves the line or what it was given.
fn leave(world: &World) {
    let (ticket, acquired) = world.take_turn(Waker::noop(), None);
    let lease = match acquired {
        Acquired::Now(lease) => lease,
        Acquired::Later => {
            let mut waiting = pin!(Waiting::entered(world, ticket, None, false));
            let polled = poll_once(waiting.as_mut());
            assert!(polled.is_pending(), "the line was entered in this poll");
            match poll_once(waiting) {
                Poll::Ready(lease) => lease.map_err(Unserved::into_error).unwrap(),
                Poll::Pending => return,
            }
        }
        Acquired::Closed => panic!("the pool is open"),
    };
    lease.give_back();
}

/// Polls a future once; nobody is woken.
fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Borrows a connection, finds it unfit, and borrows the next one in the same turn.
fn exchange(world: &World) {
    world.0.seen.look(|sight| sight.is_out_of_order = true);
    let (ticket, unfit) = world.acquire_until(None);
    let unfit = unfit.map_err(Unserved::into_error).unwrap();
    let acquired = world.exchange(ticket, unfit);
    world.wait_again(ticket, acquired).unwrap().give_back();
}

/// As [`exchange`], and lets others pass meanwhile.
fn stand_back(world: &World) {
    world.0.seen.look(|sight| sight.is_out_of_order = true);
    let (ticket, unfit) = world.acquire_until(None);
    drop(unfit.map_err(Unserved::into_error).unwrap());
    let acquired = world.take_turn_again(ticket);
    world.wait_again(ticket, acquired).unwrap().give_back();
}

/// Waits in line for so many seconds in all, and gives back what it got, if anything.
fn wait_for(world: &World, seconds: u64) -> Result<(), Unserved> {
    let (_, lease) = world.acquire_until(Some(world.at(seconds)));
    lease.map(Lease::give_back)
}

fn wait_in_vain(world: &World, seconds: u64) {
    assert!(matches!(wait_for(world, seconds), Err(Unserved::TooLate)));
}

fn close(world: &World) {
    drop(world.shut());
}

#[test]
fn r51_a_connection_goes_from_hand_to_hand() {
    check_all(LENDS_ONE, &[borrow, borrow], 1..=1);
    check_all(LENDS_ONE, &[borrow, borrow, borrow], 1..=1);
    check_all(CONNECTS, &[borrow, borrow], 1..=1);
}

#[test]
fn r51_whoever_leaves_the_line_hands_on_what_they_were_given() {
    check_all(LENDS_ONE, &[borrow, leave], 1..=1);
    check_all(LENDS_ONE, &[borrow, leave, borrow], 1..=1);
    check_all(CONNECTS, &[leave, borrow], 1..=1);
}

#[test]
fn r51_whoever_waits_may_move_to_another_task() {
    check_all(LENDS_ONE, &[borrow, move_and_borrow], 1..=1);
    check_all(LENDS_ONE, &[borrow, leave, move_and_borrow], 1..=1);
}

#[test]
fn r51_a_connection_that_breaks_is_replaced_for_those_who_wait() {
    check_all(LENDS_ONE, &[lose, borrow], 0..=1);
    check_all(LENDS_ONE, &[lose, borrow, leave], 0..=1);
}

#[test]
fn r51_an_unfit_connection_costs_nobody_their_turn() {
    check_all(LOSES_ONE, &[exchange, borrow], 1..=1);
    check_all(LOSES_ONE, &[stand_back, borrow], 1..=1);
}

#[test]
fn r51_connects_that_fail_leave_their_places() {
    const FAILS: &[Connect] = &[Connect::Fails, Connect::Fails];
    let fails = Start {
        connects: FAILS,
        ..CONNECTS
    };
    check_all(fails, &[borrow, leave], 0..=1);
    let fails = Start { max: 2, ..fails };
    check_all(fails, &[borrow, leave], 0..=2);
}

#[test]
fn r51_a_refusal_reaches_all_who_wait() {
    const REFUSED: &[Connect] = &[Connect::IsRefused];
    let refused = Start {
        connects: REFUSED,
        ..CONNECTS
    };
    check_all(refused, &[try_to_borrow, try_to_borrow], 0..=1);
}

#[test]
fn r51_closing_reaches_all_who_wait() {
    check_all(LENDS_ONE, &[try_to_borrow, try_to_borrow, close], 0..=0);
    check_all(CONNECTS, &[try_to_borrow, close], 0..=0);
}

#[test]
fn r51_a_pool_grows_and_shrinks_under_those_who_wait() {
    check_all(LENDS_ONE, &[borrow, borrow, |world| world.resize(2)], 1..=2);
    let lends_two = Start {
        max: 2,
        idle: 2,
        ..LENDS_ONE
    };
    check_all(lends_two, &[borrow, borrow, |world| world.resize(1)], 1..=1);
}

#[test]
fn r51_each_deadline_of_those_who_wait_is_kept() {
    for is_elsewhere in [false, true] {
        check_bounded(FEW_PREEMPTIONS, move || {
            let world = World::new(LENDS_ONE);
            world.0.seen.look(|sight| sight.is_elsewhere = is_elsewhere);
            let lent = world.acquire().unwrap();
            let waiting = world.spawn(|world| wait_in_vain(world, 1));
            world.strike(1);
            waiting.join().unwrap();
            lent.give_back();
            world.end();
        });
        // With four threads the orders are many even so.
        check_bounded(1, move || {
            let world = World::new(LENDS_ONE);
            world.0.seen.look(|sight| sight.is_elsewhere = is_elsewhere);
            let lent = world.acquire().unwrap();
            let [longer, shorter] =
                [2, 1].map(|seconds| world.spawn(move |world| wait_in_vain(world, seconds)));
            // The shorter one does not sleep until the longer one is due, whoever was first.
            world.strike(1);
            shorter.join().unwrap();
            world.strike(2);
            longer.join().unwrap();
            lent.give_back();
            world.end();
        });
    }
}

#[test]
fn r51_whoever_is_served_or_leaves_is_not_watched() {
    check_bounded(FEW_PREEMPTIONS, || {
        let world = World::new(LENDS_ONE);
        let lent = world.acquire().unwrap();
        let waiting = world.spawn(|world| {
            // In time or too late.
            let served = wait_for(world, 1);
            assert!(!matches!(served, Err(Unserved::Error(_))));
        });
        // Served while the watch goes off.
        world.strike(1);
        lent.give_back();
        waiting.join().unwrap();
        // The watch has ended, or has to be told of the next one.
        let lent = world.acquire().unwrap();
        let waiting = world.spawn(|world| wait_in_vain(world, 2));
        world.strike(2);
        waiting.join().unwrap();
        lent.give_back();
        world.end();
    });
}

#[test]
fn r54_closing_ends_the_watch_and_the_end_of_its_runtime_the_pool() {
    check_bounded(FEW_PREEMPTIONS, || {
        let world = World::new(LENDS_ONE);
        let lent = world.acquire().unwrap();
        let waiting = world.spawn(|world| {
            assert!(matches!(wait_for(world, 1), Err(Unserved::Error(_))));
        });
        close(&world);
        waiting.join().unwrap();
        drop(lent);
        // Nobody moves the clock: a watch that went on would be a deadlock.
        world.end();
    });
    check_bounded(FEW_PREEMPTIONS, || {
        let world = World::new(LENDS_ONE);
        let lent = world.acquire().unwrap();
        let ending = world.spawn(|world| drop(Watchman::new(world)));
        assert!(matches!(wait_for(&world, 1), Err(Unserved::Error(_))));
        ending.join().unwrap();
        drop(lent);
        world.end();
    });
}

/// How often a thread is interrupted between two of its steps, where not every order is tried:
/// what goes wrong at all does so with two or three interruptions.
const PREEMPTIONS: usize = 3;

/// The same where threads have many steps.
const FEW_PREEMPTIONS: usize = 2;

/// The only connection lies idle.
const LENDS_ONE: Start = Start {
    max: 1,
    idle: 1,
    connects: &[],
    loses: false,
};

/// The only connection is yet to be made.
const CONNECTS: Start = Start {
    max: 1,
    idle: 0,
    connects: &[],
    loses: false,
};

/// The only connection lies idle, and does not last.
const LOSES_ONE: Start = Start {
    loses: true,
    ..LENDS_ONE
};
