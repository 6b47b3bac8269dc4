//! A model of tasks around [`Slots`], walked through all the states that it can reach.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use super::*;
use crate::error::ErrorKind;

/// What a task may do, or what may befall the pool.
#[derive(Clone, Copy, Debug)]
enum Action {
    Acquire(usize),
    Poll(usize),
    /// The future is dropped.
    Cancel(usize),
    GiveBack(usize),
    /// The connection is closed by its borrower.
    Lose(usize),
    /// The connection failed its check, and another one takes its place in the same turn.
    Replace(usize),
    /// As `Replace`, but the task stands back for a while, and may go away meanwhile.
    StandBack(usize),
    Enter(usize),
    Connected,
    /// A connect fails in a way that may pass.
    Failed,
    /// A connect fails for good.
    Refused,
    TakeIdle,
    ConnectAhead,
    Resize(usize),
    Close,
}

/// What one task is at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Task {
    #[default]
    Away,
    /// It has come back to the line, and not polled yet.
    Waiting(u64),
    /// Its waker is known in the line: it may only be moved by that.
    Asleep(u64),
    StandingBack(u64),
    Holding(u64, u32),
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<T> Slots<T> {
    /// What holds after each change.
    pub(in crate::pool) fn assert_sound(&self) {
        let counts = self.counts();
        assert!(
            counts.idle == 0 || counts.waiting == 0,
            "nobody waits beside an idle connection"
        );
        assert!(
            counts.waiting == 0 || counts.open >= counts.max || counts.connecting > 0,
            "whoever waits is served by a lent connection or by a connect"
        );
        assert!(
            !self.is_closed || counts.waiting == 0 && counts.idle == 0,
            "a closed pool keeps nobody and nothing"
        );
        assert!(
            counts.idle + counts.connecting <= counts.open,
            "what is idle or connecting has a place"
        );
        let queue = self.queue.iter().map(|(ticket, _)| ticket);
        assert!(queue.is_sorted(), "the line is in order");
        let granted = self.granted.iter().map(|(ticket, _)| ticket);
        assert!(granted.is_sorted(), "what is granted is found");
    }

    /// Whether nobody is passed over: true where nobody comes back to the line.
    pub(in crate::pool) fn is_served_in_order(&self) -> bool {
        let first_waiting = self.queue.iter().map(|(ticket, _)| ticket).next();
        let last_granted = self.granted.iter().map(|(ticket, _)| ticket).last();
        first_waiting.is_none_or(|first| last_granted.is_none_or(|last| last < first))
    }
}

/// The world around [`Slots`].
struct World {
    slots: Slots<u32>,
    tasks: Vec<Task>,
    flags: Vec<Arc<Flag>>,
    /// Connects that were started and have not ended.
    connects: usize,
    next_connection: u32,
    /// Connections that exist: idle, granted or held.
    alive: Vec<u32>,
}

impl World {
    fn new(max: usize, tasks: usize) -> Self {
        let flag = || Arc::new(Flag(AtomicBool::new(false)));
        Self {
            slots: Slots::new(max),
            tasks: vec![Task::Away; tasks],
            flags: (0..tasks).map(|_| flag()).collect(),
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
        if let Some(waker) = effects.wake {
            waker.wake();
        }
    }

    fn kill(&mut self, connection: u32) {
        let before = self.alive.len();
        self.alive.retain(|alive| *alive != connection);
        assert_eq!(self.alive.len() + 1, before, "a connection is closed once");
    }

    fn entered(&mut self, task: usize, ticket: u64, acquired: Acquired<u32>) {
        self.flags[task].0.store(false, Ordering::Relaxed);
        self.tasks[task] = match acquired {
            Acquired::Now(connection) => Task::Holding(ticket, connection),
            Acquired::Later => Task::Waiting(ticket),
            Acquired::Closed => Task::Away,
        };
    }

    /// Takes what is held, if something is.
    fn take(&mut self, task: usize) -> Option<(u64, u32)> {
        let Task::Holding(ticket, connection) = self.tasks[task] else {
            return None;
        };
        self.tasks[task] = Task::Away;
        Some((ticket, connection))
    }

    fn act(&mut self, action: Action) {
        self.apply(action);
        self.check();
    }

    fn apply(&mut self, action: Action) {
        match action {
            Action::Acquire(task) if self.tasks[task] == Task::Away => {
                let waker = Waker::from(Arc::clone(&self.flags[task]));
                let (ticket, acquired, effects) = self.slots.acquire(&waker, None);
                self.entered(task, ticket, acquired);
                if self.tasks[task] == Task::Waiting(ticket) {
                    self.tasks[task] = Task::Asleep(ticket);
                }
                self.settle(effects);
            }
            Action::Poll(task) => {
                let (Task::Waiting(ticket) | Task::Asleep(ticket)) = self.tasks[task] else {
                    return;
                };
                let waker = Waker::from(Arc::clone(&self.flags[task]));
                self.tasks[task] = match self.slots.poll(ticket, &waker) {
                    None => Task::Asleep(ticket),
                    Some(Grant::Connection(connection)) => Task::Holding(ticket, connection),
                    Some(_) => Task::Away,
                };
            }
            Action::Cancel(task) => match std::mem::take(&mut self.tasks[task]) {
                Task::Waiting(ticket) | Task::Asleep(ticket) => {
                    let effects = self.slots.cancel(ticket);
                    self.settle(effects);
                }
                Task::StandingBack(_) => {}
                other => self.tasks[task] = other,
            },
            Action::GiveBack(task) => {
                if let Some((_, connection)) = self.take(task) {
                    let effects = self.slots.give_back(connection);
                    self.settle(effects);
                }
            }
            Action::Lose(task) => {
                if let Some((_, connection)) = self.take(task) {
                    self.kill(connection);
                    let effects = self.slots.lose();
                    self.settle(effects);
                }
            }
            Action::Replace(task) => {
                if let Some((ticket, connection)) = self.take(task) {
                    self.kill(connection);
                    let (acquired, effects) = self.slots.replace(ticket);
                    self.entered(task, ticket, acquired);
                    self.settle(effects);
                }
            }
            Action::StandBack(task) => {
                if let Some((ticket, connection)) = self.take(task) {
                    self.kill(connection);
                    self.tasks[task] = Task::StandingBack(ticket);
                    let effects = self.slots.lose();
                    self.settle(effects);
                }
            }
            Action::Enter(task) => {
                if let Task::StandingBack(ticket) = self.tasks[task] {
                    let (acquired, effects) = self.slots.enter(ticket);
                    self.entered(task, ticket, acquired);
                    self.settle(effects);
                }
            }
            Action::Connected if self.connects > 0 => {
                self.connects -= 1;
                let connection = self.next_connection;
                self.next_connection += 1;
                self.alive.push(connection);
                let effects = self.slots.connected(connection);
                self.settle(effects);
            }
            Action::Failed if self.connects > 0 => self.connect_failed(),
            Action::Refused if self.connects > 0 => {
                let error = Arc::new(Error::new(ErrorKind::Authentication, "refused"));
                self.slots
                    .fail_all(&error)
                    .into_iter()
                    .for_each(Waker::wake);
                assert_eq!(self.slots.counts().waiting, 0);
                self.connect_failed();
            }
            Action::TakeIdle => {
                for connection in self.slots.take_idle(|_| true) {
                    self.kill(connection);
                }
            }
            Action::ConnectAhead => self.connects += self.slots.connect_ahead(1),
            Action::Resize(max) => {
                let (surplus, effects) = self.slots.resize(max);
                surplus
                    .into_iter()
                    .for_each(|connection| self.kill(connection));
                self.settle(effects);
            }
            Action::Close => {
                let (idle, wakers) = self.slots.close();
                idle.into_iter()
                    .for_each(|connection| self.kill(connection));
                wakers.into_iter().for_each(Waker::wake);
            }
            Action::Acquire(_) | Action::Connected | Action::Failed | Action::Refused => {}
        }
    }

    fn connect_failed(&mut self) {
        if !self.slots.connect_failed() {
            self.connects -= 1;
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
        self.slots.assert_sound();
        let tickets: Vec<u64> = self.slots.queue.iter().map(|(ticket, _)| ticket).collect();
        let mut owned: Vec<u32> = self.slots.idle.clone();
        for (task, flag) in self.tasks.iter().zip(&self.flags) {
            match task {
                Task::Holding(_, connection) => owned.push(*connection),
                Task::Waiting(ticket) | Task::Asleep(ticket) => {
                    let grant = self.grant_of(*ticket);
                    if let Some(Grant::Connection(connection)) = grant {
                        owned.push(*connection);
                    }
                    assert_ne!(
                        grant.is_some(),
                        tickets.contains(ticket),
                        "whoever waits is in line or served"
                    );
                    assert!(
                        !matches!(task, Task::Asleep(_))
                            || grant.is_none()
                            || flag.0.load(Ordering::Relaxed),
                        "whoever is served is woken"
                    );
                }
                Task::Away | Task::StandingBack(_) => {}
            }
        }
        owned.sort_unstable();
        let mut alive = self.alive.clone();
        alive.sort_unstable();
        assert_eq!(owned, alive, "each connection has one owner");
        let waiting = |task: &&Task| matches!(task, Task::Waiting(_) | Task::Asleep(_));
        assert_eq!(
            self.slots.queue.len() + self.slots.granted.len(),
            self.tasks.iter().filter(waiting).count()
        );
    }

    fn grant_of(&self, ticket: u64) -> Option<&Grant<u32>> {
        let mut granted = self.slots.granted.iter();
        granted.find_map(|(other, grant)| (other == ticket).then_some(grant))
    }

    /// The state but for the numbers of connections and tickets, of which only the order of the
    /// latter matters. Tasks differ in nothing else than what they are at, and stand in the
    /// order of their tickets.
    fn state(&self) -> String {
        let counts = self.slots.counts();
        let mut tasks: Vec<(u64, String)> = self
            .tasks
            .iter()
            .map(|task| match task {
                Task::Away => (u64::MAX, "away".to_owned()),
                Task::StandingBack(ticket) => (*ticket, "back".to_owned()),
                Task::Holding(ticket, _) => (*ticket, "holding".to_owned()),
                Task::Waiting(ticket) | Task::Asleep(ticket) => {
                    let grant = match self.grant_of(*ticket) {
                        None => "none",
                        Some(Grant::Connection(_)) => "connection",
                        Some(Grant::Failure(_)) => "failure",
                        Some(Grant::Closed) => "closed",
                        Some(Grant::TooLate) => "too late",
                    };
                    let is_asleep = matches!(task, Task::Asleep(_));
                    (*ticket, format!("{grant} {is_asleep}"))
                }
            })
            .collect();
        tasks.sort();
        let tasks: Vec<String> = tasks.into_iter().map(|(_, task)| task).collect();
        format!(
            "{tasks:?} {counts:?} {} {}",
            self.slots.is_failing, self.slots.is_closed
        )
    }
}

/// Takes three tasks, and everything that may befall the pool, through each state that they
/// can reach in whatever order things happen, and takes each action from each state. All that
/// a pool does to its slots is one of these actions, under its lock: what happens between two
/// of them on several threads is one of these orders. Returns how many states there are.
fn walk(max: usize) -> usize {
    const TASKS: usize = 3;
    let per_task = (0..TASKS).flat_map(|task| {
        [
            Action::Acquire(task),
            Action::Poll(task),
            Action::Cancel(task),
            Action::GiveBack(task),
            Action::Lose(task),
            Action::Replace(task),
            Action::StandBack(task),
            Action::Enter(task),
        ]
    });
    let actions: Vec<Action> = per_task
        .chain([
            Action::Connected,
            Action::Failed,
            Action::Refused,
            Action::TakeIdle,
            Action::ConnectAhead,
            Action::Resize(1),
            Action::Resize(max),
            Action::Close,
        ])
        .collect();
    let at = |path: &[Action]| {
        let mut world = World::new(max, TASKS);
        path.iter().for_each(|action| world.apply(*action));
        world.check();
        world
    };
    let mut seen = HashSet::from([at(&[]).state()]);
    let mut ahead = VecDeque::from([Vec::new()]);
    while let Some(path) = ahead.pop_front() {
        for action in &actions {
            let mut next = path.clone();
            next.push(*action);
            if seen.insert(at(&next).state()) {
                ahead.push_back(next);
            }
        }
    }
    seen.len()
}

#[test]
fn r51_each_state_that_three_tasks_can_reach_conserves_places_turns_and_connections() {
    for max in 1..=3 {
        let states = walk(max);
        assert!(states > 500, "{states} states with {max} places");
    }
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
            let task = next(6);
            world.act(match next(10) {
                0 => Action::Connected,
                1 => Action::Failed,
                2 => Action::Refused,
                3 => Action::Poll(task),
                4 => Action::Cancel(task),
                5 => Action::GiveBack(task),
                6 => Action::Lose(task),
                7 => Action::Replace(task),
                _ => Action::Acquire(task),
            });
        }
        // Let everybody finish: nobody is left waiting.
        for _ in 0..100 {
            world.act(Action::Connected);
            for task in 0..6 {
                world.act(Action::Poll(task));
                world.act(Action::GiveBack(task));
            }
        }
        assert_eq!(world.slots.counts().waiting, 0);
    }
}

#[test]
fn r52_waiters_are_served_in_their_order() {
    let mut slots = Slots::new(1);
    let (first, acquired, effects) = acquire(&mut slots);
    assert_eq!((acquired, effects.connect), (Acquired::Later, 1));
    let tickets: Vec<_> = (0..10_000)
        .map(|_| match acquire(&mut slots) {
            (ticket, Acquired::Later, effects) if effects.connect == 0 => ticket,
            other => panic!("{other:?}"),
        })
        .collect();
    let _ = slots.connected(7);
    let mut granted = |ticket| {
        let polled = slots.poll(ticket, Waker::noop());
        assert!(is_served(&polled), "{polled:?}");
        let _ = slots.give_back(7);
    };
    granted(first);
    tickets.into_iter().for_each(&mut granted);
}

#[test]
fn r52_whose_connection_is_unfit_stays_first_in_line() {
    let mut slots = Slots::new(1);
    let (first, ..) = acquire(&mut slots);
    let (second, ..) = acquire(&mut slots);
    let _ = slots.connected(7);
    assert!(is_served(&slots.poll(first, Waker::noop())));
    let (acquired, effects) = slots.replace(first);
    assert_eq!((acquired, effects.connect), (Acquired::Later, 1));
    let _ = slots.connected(8);
    assert!(!is_served(&slots.poll(second, Waker::noop())));
    assert!(is_served(&slots.poll(first, Waker::noop())));
}

fn acquire<T>(slots: &mut Slots<T>) -> (u64, Acquired<T>, Effects<T>) {
    slots.acquire(Waker::noop(), None)
}

fn is_served<T>(polled: &Option<Grant<T>>) -> bool {
    matches!(polled, Some(Grant::Connection(_)))
}

#[test]
fn r35_while_connects_fail_one_at_a_time_is_tried() {
    let mut slots = Slots::<u32>::new(10);
    let mut connects = 0;
    for _ in 0..10 {
        connects += acquire(&mut slots).2.connect;
    }
    assert_eq!(connects, 10);
    let going_on = (0..10).filter(|_| slots.connect_failed()).count();
    assert_eq!((going_on, slots.counts().connecting), (1, 1));
    assert_eq!(acquire(&mut slots).2.connect, 0);
    assert_eq!(slots.connect_ahead(5), 0);
    // The server is back: the others follow.
    assert_eq!(slots.connected(7).connect, 9);
}

#[test]
fn what_lies_idle_is_taken_last_in_first_out() {
    let mut slots = Slots::new(3);
    assert_eq!(slots.connect_ahead(5), 3);
    for connection in 0..3 {
        let _ = slots.connected(connection);
    }
    assert_eq!(acquire(&mut slots).1, Acquired::Now(2));
    let (closed, _) = slots.resize(1);
    assert_eq!(closed, [0, 1]);
    let effects = slots.give_back(2);
    assert_eq!((effects.close, slots.counts().idle), (None, 1));
}
