//! A crowd of borrowers that do this or that at random, and look whether each answer is the
//! own one.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use kornak::{Pool, SqlState, exec, one};

use crate::support::deadline::{GENEROUS, within};
use crate::support::raw::unique;

/// What a crowd has done.
#[derive(Debug, Default)]
pub struct Tally {
    /// How often a connection was borrowed.
    pub borrowings: AtomicU64,
    /// How many statements were answered, with rows or an error.
    pub answers: AtomicU64,
    /// How many borrowers were dropped at one of their polls.
    pub drops: AtomicU64,
    /// How many backends were killed.
    pub kills: AtomicU64,
}

/// A generator of numbers that needs no more than to differ from seed to seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// How much a crowd is to do: the variable of the environment, or a slice of it.
pub fn wanted(variable: &str, slice: u64) -> u64 {
    std::env::var(variable).map_or(slice, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is a number"))
    })
}

/// Lets so many tasks borrow until `is_enough`, and drops some of them at some poll.
pub async fn borrow(
    pool: &Pool,
    tasks: u64,
    may_kill: bool,
    is_enough: fn(&Tally, u64) -> bool,
    wanted: u64,
) -> Arc<Tally> {
    run(pool, (tasks, may_kill, false), is_enough, wanted).await
}

/// As [`borrow`], with statements that may stand behind those of others, and now and then one
/// that may not.
pub async fn share(
    pool: &Pool,
    tasks: u64,
    may_kill: bool,
    is_enough: fn(&Tally, u64) -> bool,
    wanted: u64,
) -> Arc<Tally> {
    run(pool, (tasks, may_kill, true), is_enough, wanted).await
}

async fn run(
    pool: &Pool,
    (tasks, may_kill, shares): (u64, bool, bool),
    is_enough: fn(&Tally, u64) -> bool,
    wanted: u64,
) -> Arc<Tally> {
    let tally = Arc::new(Tally::default());
    let tasks: Vec<_> = (1..=tasks)
        .map(|seed| {
            let (pool, tally) = (pool.clone(), Arc::clone(&tally));
            let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            tokio::spawn(async move {
                while !is_enough(&tally, wanted) {
                    tally.borrowings.fetch_add(1, Ordering::Relaxed);
                    let mut left = match random.below(3) {
                        0 => random.below(8),
                        _ => u64::MAX,
                    };
                    let mut one: Pin<Box<dyn Future<Output = ()> + Send>> = if shares {
                        Box::pin(share_once(&pool, &mut random, may_kill, &tally))
                    } else {
                        Box::pin(borrow_once(&pool, &mut random, may_kill, &tally))
                    };
                    // It is dropped at a poll that it was woken for, or before it is.
                    let is_hasty = shares && left < u64::MAX;
                    poll_fn(|cx| {
                        if left == 0 {
                            tally.drops.fetch_add(1, Ordering::Relaxed);
                            return Poll::Ready(());
                        }
                        left -= 1;
                        if is_hasty {
                            cx.waker().wake_by_ref();
                        }
                        one.as_mut().poll(cx)
                    })
                    .await;
                }
            })
        })
        .collect();
    // A thousand in a second are few, even for a machine under load.
    let limit = GENEROUS * (2 + u32::try_from(wanted / 30_000).unwrap_or(u32::MAX / 4));
    for task in tasks {
        within(limit, "a task", task).await.unwrap();
    }
    tally
}

/// One statement: it gets exactly its own answer, or where somebody kills backends the loss of
/// its connection. It may be dropped at any time.
async fn share_once(pool: &Pool, random: &mut Random, may_kill: bool, tally: &Tally) {
    let token = unique();
    let sent = token.as_str();
    let is_lost = |error: &kornak::Error| {
        let is_lost = error.is_closed() || error.kind() == kornak::ErrorKind::Io;
        assert!(may_kill && is_lost, "{error:#}");
    };
    match random.below(40) {
        0 if may_kill => {
            tally.kills.fetch_add(1, Ordering::Relaxed);
            let kill = "select pg_terminate_backend(pg_backend_pid())";
            let error = pool.execute(kill, ()).await.unwrap_err();
            assert_eq!(error.sqlstate(), Some(SqlState::ADMIN_SHUTDOWN));
        }
        0 => borrow_once(pool, random, false, tally).await,
        1..10 => match pool.execute("select 1 / $1::int", (0,)).await {
            Ok(rows) => panic!("{rows} quotients"),
            Err(error) if error.sqlstate() == Some(SqlState::DIVISION_BY_ZERO) => {}
            Err(error) => is_lost(&error),
        },
        10..20 => {
            let rows = random.below(20) as i32;
            let sql = "select $1::text || g from generate_series(1, $2::int4) g";
            match pool.fetch_all::<String>(sql, (sent, rows)).await {
                Ok(got) => {
                    let expected: Vec<_> = (1..=rows).map(|row| format!("{token}{row}")).collect();
                    assert_eq!(got, expected);
                }
                Err(error) => is_lost(&error),
            }
        }
        20..30 => {
            let sql = "select $1::text where $2::bool";
            let is_there = random.below(2) == 0;
            match pool.fetch_optional::<String>(sql, (sent, is_there)).await {
                Ok(got) => assert_eq!(got, is_there.then_some(token)),
                Err(error) => is_lost(&error),
            }
        }
        _ => match pool.fetch_one::<String>("select $1::text", (sent,)).await {
            Ok(got) => assert_eq!(got, token),
            Err(error) => is_lost(&error),
        },
    }
    tally.answers.fetch_add(1, Ordering::Relaxed);
}

/// One borrower: whatever it does, it gets exactly its own answers. It may be dropped at any
/// time.
async fn borrow_once(pool: &Pool, random: &mut Random, may_kill: bool, tally: &Tally) {
    let token = unique();
    let sent = token.as_str();
    let answered = |count| {
        tally.answers.fetch_add(count, Ordering::Relaxed);
    };
    match random.below(if may_kill { 10 } else { 9 }) {
        0 => {
            let error = pool.execute("select 1 / $1::int", (0,)).await.unwrap_err();
            answered(1);
            assert_eq!(
                error.sqlstate(),
                Some(SqlState::DIVISION_BY_ZERO),
                "{error:#}"
            );
        }
        1 => {
            let mut connection = pool.acquire().await.unwrap();
            let mut transaction = connection.begin().await.unwrap();
            let got: String = transaction
                .fetch_one("select $1::text", (sent,))
                .await
                .unwrap();
            answered(1);
            assert_eq!(got, token);
            if random.below(2) == 0 {
                transaction.commit().await.unwrap();
                answered(1);
            }
        }
        2 => {
            let mut connection = pool.acquire().await.unwrap();
            let sql = "select $1::text || a from generate_series(1, 100) a";
            let mut rows = connection.fetch::<String>(sql, (sent,)).await.unwrap();
            for row in 1..=random.below(5) {
                let got = rows.next().await.unwrap().unwrap();
                assert_eq!(got, format!("{token}{row}"));
            }
            answered(1);
        }
        3 => {
            let mut connection = pool.acquire().await.unwrap();
            let statement = || one::<String>("select $1::text", (sent,));
            let (first, second) = connection
                .pipeline((statement(), statement()))
                .await
                .unwrap();
            answered(2);
            assert_eq!((first.as_str(), second.as_str()), (sent, sent));
        }
        4 => {
            let set = "select set_config('kornak.token', $1, false)";
            let got: String = pool.fetch_one(set, (sent,)).await.unwrap();
            answered(1);
            assert_eq!(got, token);
        }
        5 => {
            // An error in the middle has the statements on both sides of it untouched.
            let mut connection = pool.acquire().await.unwrap();
            let (first, failed, second) = connection
                .pipeline_each((
                    one::<String>("select $1::text", (sent,)),
                    exec("select 1 / $1::int", (0,)),
                    one::<String>("select $1 || '!'::text", (sent,)),
                ))
                .await
                .unwrap();
            answered(3);
            assert_eq!(first.unwrap(), token);
            assert_eq!(
                failed.unwrap_err().sqlstate(),
                Some(SqlState::DIVISION_BY_ZERO)
            );
            assert_eq!(second.unwrap(), format!("{token}!"));
        }
        6 => {
            let mut connection = pool.acquire().await.unwrap();
            let (mut count, times) = (0, 1 + random.below(8));
            for time in 0..times {
                let sql = "select $1::text, $2::int8";
                let got: (String, i64) = connection
                    .fetch_one(sql, (sent, time as i64))
                    .await
                    .unwrap();
                assert_eq!(got, (token.clone(), time as i64));
                count += 1;
            }
            answered(count);
        }
        7 | 8 => {
            let got: Vec<String> = pool
                .fetch_all("select $1::text from generate_series(1, 3)", (sent,))
                .await
                .unwrap();
            answered(1);
            assert_eq!(got, [sent, sent, sent]);
        }
        _ => {
            let kill = "select pg_terminate_backend(pg_backend_pid())";
            let error = pool.execute(kill, ()).await.unwrap_err();
            answered(1);
            tally.kills.fetch_add(1, Ordering::Relaxed);
            assert_eq!(
                error.sqlstate(),
                Some(SqlState::ADMIN_SHUTDOWN),
                "{error:#}"
            );
        }
    }
}
