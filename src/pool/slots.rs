//! [`Slots`]: who gets which connection, as pure state without I/O, clock or lock.

use std::collections::{HashMap, VecDeque};
use std::task::Waker;

/// The connections of a pool and those who wait for one.
///
/// A *place* is the right to have a connection open. Invariants: `open <= max`, but for
/// places given out before `max` was lowered; each open place is idle, connecting, or out;
/// nobody waits while a connection is idle; `connecting` never exceeds `open`.
///
/// Waiters are served in their order, and connections that lie idle are taken last in, first
/// out, so that those that aren't needed grow old.
#[derive(Debug)]
pub(super) struct Slots<T> {
    idle: Vec<T>,
    queue: VecDeque<u64>,
    waiters: HashMap<u64, Waiter<T>>,
    next_ticket: u64,
    open: usize,
    connecting: usize,
    max: usize,
    is_closed: bool,
}

#[derive(Debug)]
struct Waiter<T> {
    waker: Option<Waker>,
    grant: Option<Grant<T>>,
}

/// What a waiter gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Grant<T> {
    /// A connection.
    Connection(T),
    /// Nothing: no connection can be made, and the pool says why.
    Failure,
    /// The pool is closed.
    Closed,
}

/// The answer to whoever wants a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Acquired<T> {
    /// Here it is.
    Now(T),
    /// Wait with this ticket.
    Later(u64),
    /// The pool is closed.
    Closed,
}

/// What is to be done after a change, outside of the lock.
#[derive(Debug)]
#[must_use = "wakers must be woken and connections closed, outside of the lock"]
pub(super) struct Effects<T> {
    pub(super) wake: Option<Waker>,
    /// A connection that nobody has use for.
    pub(super) close: Option<T>,
    /// How many connects to start; their places are taken.
    pub(super) connect: usize,
}

/// The numbers of a pool at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) open: usize,
    pub(super) idle: usize,
    pub(super) connecting: usize,
    pub(super) waiting: usize,
    pub(super) max: usize,
}

impl<T> Slots<T> {
    pub(super) fn new(max: usize) -> Self {
        Self {
            idle: Vec::new(),
            queue: VecDeque::new(),
            waiters: HashMap::new(),
            next_ticket: 0,
            open: 0,
            connecting: 0,
            max,
            is_closed: false,
        }
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            open: self.open,
            idle: self.idle.len(),
            connecting: self.connecting,
            waiting: self.queue.len(),
            max: self.max,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Somebody wants a connection.
    pub(super) fn acquire(&mut self) -> (Acquired<T>, Effects<T>) {
        if self.is_closed {
            return (Acquired::Closed, Effects::none());
        }
        // Those who wait come first; they wait only while nothing is idle.
        if let Some(connection) = self.idle.pop() {
            return (Acquired::Now(connection), Effects::none());
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.queue.push_back(ticket);
        self.waiters.insert(
            ticket,
            Waiter {
                waker: None,
                grant: None,
            },
        );
        (Acquired::Later(ticket), self.connect_for_waiters())
    }

    /// What the ticket was granted, if anything by now; else `waker` is woken when it is.
    pub(super) fn poll(&mut self, ticket: u64, waker: &Waker) -> Option<Grant<T>> {
        let waiter = self.waiters.get_mut(&ticket)?;
        if waiter.grant.is_some() {
            return self.waiters.remove(&ticket)?.grant;
        }
        match &mut waiter.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        None
    }

    /// Somebody gives up waiting; what was granted meanwhile goes to the next.
    pub(super) fn cancel(&mut self, ticket: u64) -> Effects<T> {
        let Some(waiter) = self.waiters.remove(&ticket) else {
            return Effects::none();
        };
        // Tickets are in their order in the queue.
        if let Ok(place) = self.queue.binary_search(&ticket) {
            self.queue.remove(place);
        }
        match waiter.grant {
            Some(Grant::Connection(connection)) => self.give_back(connection),
            _ => Effects::none(),
        }
    }

    /// A connection comes back, fit for the next one.
    pub(super) fn give_back(&mut self, connection: T) -> Effects<T> {
        if self.is_closed || self.open > self.max {
            return self.lose().with_close(connection);
        }
        match self.grant(Grant::Connection(connection)) {
            Ok(effects) => effects,
            Err(Grant::Connection(connection)) => {
                self.idle.push(connection);
                Effects::none()
            }
            Err(_) => Effects::none(),
        }
    }

    /// A connection that was out is gone: its place is free.
    pub(super) fn lose(&mut self) -> Effects<T> {
        self.open -= 1;
        self.connect_for_waiters()
    }

    /// A connect that was started has made a connection.
    pub(super) fn connected(&mut self, connection: T) -> Effects<T> {
        self.connecting -= 1;
        self.give_back(connection)
    }

    /// A connect that was started has failed. Returns whether it should be tried again, for
    /// those who still wait; else its place is free.
    pub(super) fn connect_failed(&mut self) -> bool {
        let goes_on = !self.is_closed && self.connecting <= self.queue.len();
        if !goes_on {
            self.connecting -= 1;
            self.open -= 1;
        }
        goes_on
    }

    /// The first one in the queue is told that no connection can be made.
    pub(super) fn fail_one(&mut self) -> Effects<T> {
        self.grant(Grant::Failure)
            .unwrap_or_else(|_| Effects::none())
    }

    /// Takes the places that `count` more connections need, as far as there are any.
    pub(super) fn connect_ahead(&mut self, count: usize) -> usize {
        let count = if self.is_closed {
            0
        } else {
            count.min(self.max.saturating_sub(self.open))
        };
        self.open += count;
        self.connecting += count;
        count
    }

    /// Takes those out of the idle ones for which `is_unwanted` holds, and gives up their
    /// places.
    pub(super) fn take_idle(&mut self, mut is_unwanted: impl FnMut(&mut T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for mut connection in std::mem::take(&mut self.idle) {
            let place = if is_unwanted(&mut connection) {
                &mut taken
            } else {
                &mut self.idle
            };
            place.push(connection);
        }
        self.open -= taken.len();
        taken
    }

    /// Changes how many connections may be open, and returns the idle ones that are too many.
    pub(super) fn resize(&mut self, max: usize) -> (Vec<T>, Effects<T>) {
        self.max = max;
        let surplus = self.open.saturating_sub(max).min(self.idle.len());
        let closed: Vec<T> = self.idle.drain(..surplus).collect();
        self.open -= closed.len();
        (closed, self.connect_for_waiters())
    }

    /// Nobody gets a connection any more. Returns the idle ones and the wakers of all who
    /// wait.
    pub(super) fn close(&mut self) -> (Vec<T>, Vec<Waker>) {
        self.is_closed = true;
        let idle = std::mem::take(&mut self.idle);
        self.open -= idle.len();
        let mut wakers = Vec::new();
        for ticket in std::mem::take(&mut self.queue) {
            if let Some(waiter) = self.waiters.get_mut(&ticket) {
                waiter.grant = Some(Grant::Closed);
                wakers.extend(waiter.waker.take());
            }
        }
        (idle, wakers)
    }

    /// Hands `grant` to the first one in the queue, or back if there is none.
    fn grant(&mut self, grant: Grant<T>) -> Result<Effects<T>, Grant<T>> {
        let Some(ticket) = self.queue.pop_front() else {
            return Err(grant);
        };
        let Some(waiter) = self.waiters.get_mut(&ticket) else {
            return Err(grant);
        };
        waiter.grant = Some(grant);
        Ok(Effects {
            wake: waiter.waker.take(),
            ..Effects::none()
        })
    }

    /// Starts as many connects as there are waiters without one, and places.
    fn connect_for_waiters(&mut self) -> Effects<T> {
        let lacking = self.queue.len().saturating_sub(self.connecting);
        Effects {
            connect: self.connect_ahead(lacking),
            ..Effects::none()
        }
    }
}

impl<T> Effects<T> {
    fn none() -> Self {
        Self {
            wake: None,
            close: None,
            connect: 0,
        }
    }

    fn with_close(mut self, connection: T) -> Self {
        self.close = Some(connection);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task of the model: it acquires, perhaps gives up, and gives back or loses.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Acquire,
        Poll,
        Cancel,
        GiveBack,
        Lose,
    }

    /// What one task holds.
    #[derive(Clone, Debug, Default)]
    struct Task {
        ticket: Option<u64>,
        held: Option<u32>,
        is_closed: bool,
    }

    /// The world around [`Slots`], for an exhaustive walk.
    struct World {
        slots: Slots<u32>,
        tasks: Vec<Task>,
        /// Connects that were started and have not ended.
        connects: usize,
        next_connection: u32,
        /// Connections that exist: idle, granted or held.
        alive: Vec<u32>,
    }

    impl World {
        fn new(max: usize, tasks: usize) -> Self {
            Self {
                slots: Slots::new(max),
                tasks: vec![Task::default(); tasks],
                connects: 0,
                next_connection: 0,
                alive: Vec::new(),
            }
        }

        fn settle(&mut self, effects: Effects<u32>) {
            self.connects += effects.connect;
            if let Some(connection) = effects.close {
                self.kill(connection);
            }
        }

        fn kill(&mut self, connection: u32) {
            let before = self.alive.len();
            self.alive.retain(|alive| *alive != connection);
            assert_eq!(self.alive.len() + 1, before, "a connection is closed once");
        }

        fn step(&mut self, task: usize, step: Step) {
            match step {
                Step::Acquire
                    if self.tasks[task].ticket.is_none() && self.tasks[task].held.is_none() =>
                {
                    let (acquired, effects) = self.slots.acquire();
                    match acquired {
                        Acquired::Now(connection) => self.tasks[task].held = Some(connection),
                        Acquired::Later(ticket) => self.tasks[task].ticket = Some(ticket),
                        Acquired::Closed => self.tasks[task].is_closed = true,
                    }
                    self.settle(effects);
                }
                Step::Poll => {
                    let Some(ticket) = self.tasks[task].ticket else {
                        return;
                    };
                    if let Some(grant) = self.slots.poll(ticket, Waker::noop()) {
                        self.tasks[task].ticket = None;
                        match grant {
                            Grant::Connection(connection) => {
                                self.tasks[task].held = Some(connection)
                            }
                            Grant::Failure => {}
                            Grant::Closed => self.tasks[task].is_closed = true,
                        }
                    }
                }
                Step::Cancel => {
                    let Some(ticket) = self.tasks[task].ticket.take() else {
                        return;
                    };
                    let effects = self.slots.cancel(ticket);
                    self.settle(effects);
                }
                Step::GiveBack => {
                    let Some(connection) = self.tasks[task].held.take() else {
                        return;
                    };
                    let effects = self.slots.give_back(connection);
                    self.settle(effects);
                }
                Step::Lose => {
                    let Some(connection) = self.tasks[task].held.take() else {
                        return;
                    };
                    self.kill(connection);
                    let effects = self.slots.lose();
                    self.settle(effects);
                }
                Step::Acquire => {}
            }
        }

        fn connect(&mut self, succeeds: bool) {
            if self.connects == 0 {
                return;
            }
            if succeeds {
                self.connects -= 1;
                let connection = self.next_connection;
                self.next_connection += 1;
                self.alive.push(connection);
                let effects = self.slots.connected(connection);
                self.settle(effects);
            } else {
                let effects = self.slots.fail_one();
                self.settle(effects);
                if !self.slots.connect_failed() {
                    self.connects -= 1;
                }
            }
        }

        fn check(&self) {
            let counts = self.slots.counts();
            assert_eq!(counts.connecting, self.connects);
            assert_eq!(
                counts.open,
                self.alive.len() + self.connects,
                "places are conserved"
            );
            assert!(counts.open <= counts.max);
            assert!(
                counts.idle == 0 || counts.waiting == 0,
                "nobody waits beside an idle connection"
            );
            let held: Vec<u32> = self.tasks.iter().filter_map(|task| task.held).collect();
            assert!(
                held.iter()
                    .all(|connection| self.alive.contains(connection))
            );
            assert!(
                held.iter()
                    .enumerate()
                    .all(|(i, connection)| !held[..i].contains(connection))
            );
        }
    }

    /// Every sequence of `depth` actions of three tasks and the connects, by depth-first
    /// search over replayed prefixes.
    fn walk(max: usize, depth: usize, with_close: bool) -> usize {
        const TASKS: usize = 3;
        const STEPS: [Step; 5] = [
            Step::Acquire,
            Step::Poll,
            Step::Cancel,
            Step::GiveBack,
            Step::Lose,
        ];
        let actions = TASKS * STEPS.len() + 2 + usize::from(with_close);
        let mut path = vec![0; depth];
        let mut walked = 0;
        loop {
            let mut world = World::new(max, TASKS);
            for &action in &path {
                match action {
                    action if action < TASKS * STEPS.len() => {
                        world.step(action / STEPS.len(), STEPS[action % STEPS.len()]);
                    }
                    action if action == TASKS * STEPS.len() => world.connect(true),
                    action if action == TASKS * STEPS.len() + 1 => world.connect(false),
                    _ => {
                        let (idle, _) = world.slots.close();
                        for connection in idle {
                            world.kill(connection);
                        }
                    }
                }
                world.check();
            }
            walked += 1;
            let Some(at) = path.iter().rposition(|action| action + 1 < actions) else {
                return walked;
            };
            path[at] += 1;
            path[at + 1..].fill(0);
        }
    }

    #[test]
    fn r51_every_interleaving_of_three_tasks_conserves_places_and_connections() {
        assert_eq!(walk(1, 5, false), 17_usize.pow(5));
        assert_eq!(walk(2, 4, true), 18_usize.pow(4));
    }

    #[test]
    fn r51_long_random_runs_conserve_places_and_serve_everybody() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random % below as u64).unwrap()
        };
        for _ in 0..200 {
            let mut world = World::new(1 + next(4), 6);
            for _ in 0..2_000 {
                let steps = [
                    Step::Acquire,
                    Step::Poll,
                    Step::Cancel,
                    Step::GiveBack,
                    Step::Lose,
                ];
                match next(8) {
                    0 => world.connect(true),
                    1 => world.connect(false),
                    _ => world.step(next(6), steps[next(5)]),
                }
                world.check();
            }
            // Let everybody finish: nobody is left waiting.
            for _ in 0..100 {
                world.connect(true);
                for task in 0..6 {
                    world.step(task, Step::Poll);
                    world.step(task, Step::GiveBack);
                }
            }
            assert_eq!(world.slots.counts().waiting, 0);
            world.check();
        }
    }

    #[test]
    fn r52_waiters_are_served_in_their_order() {
        let mut slots = Slots::new(1);
        let (first, effects) = slots.acquire();
        assert_eq!((first, effects.connect), (Acquired::Later(0), 1));
        let tickets: Vec<_> = (0..10_000)
            .map(|_| match slots.acquire() {
                (Acquired::Later(ticket), effects) if effects.connect == 0 => ticket,
                other => panic!("{other:?}"),
            })
            .collect();
        let _ = slots.connected(7);
        assert_eq!(slots.poll(0, Waker::noop()), Some(Grant::Connection(7)));
        for ticket in tickets {
            let _ = slots.give_back(7);
            assert_eq!(
                slots.poll(ticket, Waker::noop()),
                Some(Grant::Connection(7))
            );
        }
    }

    #[test]
    fn what_lies_idle_is_taken_last_in_first_out() {
        let mut slots = Slots::new(3);
        assert_eq!(slots.connect_ahead(5), 3);
        for connection in 0..3 {
            let _ = slots.connected(connection);
        }
        assert_eq!(slots.acquire().0, Acquired::Now(2));
        let (closed, _) = slots.resize(1);
        assert_eq!(closed, [0, 1]);
        let effects = slots.give_back(2);
        assert_eq!((effects.close, slots.counts().idle), (None, 1));
    }
}
