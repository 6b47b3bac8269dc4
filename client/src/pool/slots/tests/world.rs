//! [`World`]: the model of what is around [`Slots`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, ErrorKind};
use crate::pool::slots::{Acquired, Effects, Grant, Patience, Slots, Watch};

/// What a task may do, or what may befall the pool.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    Acquire(usize),
    /// Waits for so many seconds at most.
    AcquireWithin(usize, u64),
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
    /// A second passes, and the watch looks if it is woken or if it is time.
    Tick,
    /// The watch looks.
    Look,
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
        for (_, waiter) in self.queue.iter() {
            if let Patience::Until(deadline) = waiter.patience {
                let is_watched = |watch: &Watch| watch.until <= deadline;
                assert!(
                    self.watch.as_ref().is_some_and(is_watched),
                    "the watch looks after whoever has a deadline"
                );
            }
        }
    }

    /// Whether nobody is passed over: true where nobody comes back to the line.
    pub(in crate::pool) fn is_served_in_order(&self) -> bool {
        let first_waiting = self.queue.iter().map(|(ticket, _)| ticket).next();
        let last_granted = self.granted.iter().map(|(ticket, _)| ticket).next_back();
        first_waiting.is_none_or(|first| last_granted.is_none_or(|last| last < first))
    }
}

/// The world around [`Slots`].
pub(super) struct World {
    pub(super) slots: Slots<u32>,
    tasks: Vec<Task>,
    flags: Vec<Arc<Flag>>,
    /// Connects that were started and have not ended.
    connects: usize,
    next_connection: u32,
    /// Connections that exist: idle, granted or held.
    alive: Vec<u32>,
    now: Instant,
    /// The watch, if it was begun and has not ended: whether it is woken, and when it looks again.
    watch: Option<(Arc<Flag>, Instant)>,
}

impl World {
    pub(super) fn new(max: usize, tasks: usize) -> Self {
        let flag = || Arc::new(Flag(AtomicBool::new(false)));
        Self {
            slots: Slots::new(max),
            tasks: vec![Task::Away; tasks],
            flags: (0..tasks).map(|_| flag()).collect(),
            connects: 0,
            next_connection: 0,
            alive: Vec::new(),
            now: Instant::now(),
            watch: None,
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
        if effects.begins_watch {
            assert!(self.watch.is_none(), "there is one watch");
            let looks_first = Arc::new(Flag(AtomicBool::new(true)));
            self.watch = Some((looks_first, self.now));
        }
    }

    fn look(&mut self) {
        let Some((flag, _)) = self.watch.take() else {
            return;
        };
        flag.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&flag));
        let (overdue, next) = self.slots.look_after(self.now, &waker);
        overdue.into_iter().for_each(Waker::wake);
        self.watch = next.map(|next| (flag, next));
        for (_, waiter) in self.slots.queue.iter() {
            let is_due = matches!(waiter.patience, Patience::Until(until) if until <= self.now);
            assert!(!is_due, "whoever's time is over is told");
        }
    }

    /// Enters the line, or takes what there is.
    fn acquire(&mut self, task: usize, deadline: Option<Instant>) {
        let waker = Waker::from(Arc::clone(&self.flags[task]));
        let (ticket, acquired, effects) = self.slots.acquire(&waker, deadline);
        self.entered(task, ticket, acquired);
        if self.tasks[task] == Task::Waiting(ticket) {
            self.tasks[task] = Task::Asleep(ticket);
        }
        self.settle(effects);
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

    pub(super) fn act(&mut self, action: Action) {
        self.apply(action);
        self.check();
    }

    pub(super) fn apply(&mut self, action: Action) {
        match action {
            Action::Acquire(task) if self.tasks[task] == Task::Away => {
                self.acquire(task, None);
            }
            Action::AcquireWithin(task, seconds) if self.tasks[task] == Task::Away => {
                self.acquire(task, Some(self.now + Duration::from_secs(seconds)));
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
            Action::Tick => {
                self.now += Duration::from_secs(1);
                let is_due = |(flag, next): &(Arc<Flag>, Instant)| {
                    flag.0.load(Ordering::Relaxed) || *next <= self.now
                };
                if self.watch.as_ref().is_some_and(is_due) {
                    self.look();
                }
            }
            Action::Look => self.look(),
            Action::Acquire(_)
            | Action::AcquireWithin(..)
            | Action::Connected
            | Action::Failed
            | Action::Refused => {}
        }
    }

    fn connect_failed(&mut self) {
        if !self.slots.connect_failed() {
            self.connects -= 1;
        }
    }

    pub(super) fn check(&self) {
        let counts = self.slots.counts();
        assert_eq!(counts.connecting, self.connects);
        assert_eq!(
            counts.open,
            self.alive.len() + self.connects,
            "places are conserved"
        );
        self.slots.assert_sound();
        self.check_watch();
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
                            || grant.is_none() && !self.is_told(*ticket)
                            || flag.0.load(Ordering::Relaxed),
                        "whoever is served, or told, is woken"
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

    /// Whether the ticket's time is over, and the watch has said so.
    fn is_told(&self, ticket: u64) -> bool {
        let waiter = self.slots.queue.iter().find(|(other, _)| *other == ticket);
        waiter.is_some_and(|(_, waiter)| matches!(waiter.patience, Patience::Over))
    }

    fn check_watch(&self) {
        match (&self.slots.watch, &self.watch) {
            (Some(wanted), Some((flag, next))) => assert!(
                wanted.until == *next || flag.0.load(Ordering::Relaxed),
                "the watch knows when to look"
            ),
            (Some(_), None) => panic!("the watch is there until nobody needs it"),
            (None, Some(_)) => assert!(self.slots.is_closed, "the watch ends"),
            (None, None) => {}
        }
    }

    /// How many seconds there are until then, or have been since.
    fn seconds_to(&self, instant: Instant) -> String {
        let ahead = instant.saturating_duration_since(self.now).as_secs();
        let past = self.now.saturating_duration_since(instant).as_secs();
        format!("{ahead}-{past}")
    }

    /// How long the ticket waits, and whether the watch has seen that.
    fn patience_of(&self, ticket: u64) -> String {
        let patience = match self.slots.queue.iter().find(|(other, _)| *other == ticket) {
            Some((_, waiter)) => match waiter.patience {
                Patience::Endless => "endless".to_owned(),
                Patience::Until(deadline) => self.seconds_to(deadline),
                Patience::Over => "over".to_owned(),
            },
            None => "none".to_owned(),
        };
        let is_seen = self
            .slots
            .deadlines
            .iter()
            .any(|(_, other)| other == ticket);
        format!("{patience} {is_seen}")
    }

    /// What the watch has to do, and what it remembers of those who are gone.
    fn watch_state(&self) -> String {
        let wanted = self.slots.watch.as_ref();
        let wanted = wanted.map(|watch| self.seconds_to(watch.until));
        let watch = self.watch.as_ref().map(|(flag, next)| {
            let is_woken = flag.0.load(Ordering::Relaxed);
            format!("{is_woken} {}", self.seconds_to(*next))
        });
        let is_waited_for = |ticket| self.slots.queue.iter().any(|(other, _)| other == ticket);
        let gone = self.slots.deadlines.iter();
        let gone = gone.filter(|(_, ticket)| !is_waited_for(*ticket));
        let mut gone: Vec<String> = gone.map(|(until, _)| self.seconds_to(until)).collect();
        gone.sort();
        format!("{wanted:?} {watch:?} {gone:?}")
    }

    fn grant_of(&self, ticket: u64) -> Option<&Grant<u32>> {
        let mut granted = self.slots.granted.iter();
        granted.find_map(|(other, grant)| (other == ticket).then_some(grant))
    }

    /// The state but for the numbers of connections and tickets, of which only the order of the
    /// latter matters. Tasks differ in nothing else than what they are at, and stand in the
    /// order of their tickets.
    pub(super) fn state(&self) -> String {
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
                        None => self.patience_of(*ticket),
                        Some(Grant::Connection(_)) => "connection".to_owned(),
                        Some(Grant::Failure(_)) => "failure".to_owned(),
                        Some(Grant::Closed) => "closed".to_owned(),
                        Some(Grant::TooLate) => "too late".to_owned(),
                    };
                    let is_asleep = matches!(task, Task::Asleep(_));
                    (*ticket, format!("{grant} {is_asleep}"))
                }
            })
            .collect();
        tasks.sort();
        let tasks: Vec<String> = tasks.into_iter().map(|(_, task)| task).collect();
        format!(
            "{tasks:?} {counts:?} {} {} {}",
            self.slots.is_failing,
            self.slots.is_closed,
            self.watch_state()
        )
    }
}
