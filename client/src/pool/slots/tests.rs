//! A model of tasks around [`Slots`], walked through all the states that it can reach.

mod world;

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use self::world::{Action, World};
use super::*;

/// Takes three tasks, and everything that may befall the pool, through each state that they
/// can reach in whatever order things happen, and takes each action from each state. All that
/// a pool does to its slots is one of these actions, under its lock: what happens between two
/// of them on several threads is one of these orders. Returns how many states there are.
fn walk(max: usize) -> usize {
    const TASKS: usize = 3;
    let per_task = per_task(TASKS);
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
    reach_all(max, TASKS, &actions)
}

/// As [`walk`], for two tasks around one place whose time may be over, and the watch over them.
fn walk_watched() -> usize {
    const TASKS: usize = 2;
    let within = |task| (0..=2).map(move |seconds| Action::AcquireWithin(task, seconds));
    let actions: Vec<Action> = per_task(TASKS)
        .chain((0..TASKS).flat_map(within))
        .chain([
            Action::Tick,
            Action::Look,
            Action::Connected,
            Action::Failed,
            Action::Refused,
            Action::Close,
        ])
        .collect();
    reach_all(1, TASKS, &actions)
}

fn per_task(tasks: usize) -> impl Iterator<Item = Action> {
    (0..tasks).flat_map(|task| {
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
    })
}

/// Takes each of the actions from each state that they lead to. Returns how many there are.
fn reach_all(max: usize, tasks: usize, actions: &[Action]) -> usize {
    let at = |path: &[Action]| {
        let mut world = World::new(max, tasks);
        path.iter().for_each(|action| world.apply(*action));
        world.check();
        world
    };
    let mut seen = HashSet::from([at(&[]).state()]);
    let mut ahead = VecDeque::from([Vec::new()]);
    while let Some(path) = ahead.pop_front() {
        for action in actions {
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
fn r51_each_state_of_two_tasks_with_deadlines_tells_them_in_time() {
    let states = walk_watched();
    assert!(states > 5_000, "{states} states");
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

/// Were all who wait looked at whenever somebody's time is over, it would take minutes.
#[test]
fn r52_each_of_very_many_is_told_at_their_own_deadline() {
    const WAITERS: u64 = 200_000;
    let begun = Instant::now();
    let at = |second| begun + Duration::from_secs(second);
    let mut slots = Slots::<u32>::new(1);
    let first = slots.next_ticket;
    for waiter in 0..WAITERS {
        let _ = slots.acquire(Waker::noop(), Some(at(waiter + 1)));
    }
    for second in 1..=WAITERS {
        let (overdue, next) = slots.look_after(at(second), Waker::noop());
        assert_eq!(overdue.len(), 1);
        assert_eq!(next, (second < WAITERS).then(|| at(second + 1)));
        let told = slots.poll(first + second - 1, Waker::noop());
        assert!(matches!(told, Some(Grant::TooLate)), "{told:?}");
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{second} are told"
        );
    }
    assert_eq!(slots.counts().waiting, 0);
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
