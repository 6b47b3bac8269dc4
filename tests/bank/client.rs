//! What a client of the bank does, and what it makes of the answers.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use kornak::error::Outcome;
use kornak::{Connection, Error, ErrorKind, Pool, Result, RetryPolicy, SqlState, exec, one};

use crate::support::raw::unique;
use crate::{ACCOUNTS, Belief, Beliefs};

/// One of those who transfer.
pub(crate) struct Client {
    pool: Pool,
    beliefs: Arc<Beliefs>,
    random: Random,
}

/// A generator of numbers that needs no more than to differ from seed to seed.
pub(crate) struct Random(u64);

/// A transfer that is asked for.
struct Transfer {
    token: String,
    source: i64,
    target: i64,
    amount: i64,
    /// Whether a commit may be under way.
    is_asked: AtomicBool,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

impl Client {
    pub(crate) fn new(pool: Pool, beliefs: Arc<Beliefs>, random: Random) -> Self {
        Self {
            pool,
            beliefs,
            random,
        }
    }

    /// Transfers until the round is over.
    pub(crate) async fn run(mut self) {
        while !self.beliefs.is_over() {
            let transfer = Transfer {
                token: unique(),
                source: self.random.below(ACCOUNTS) as i64,
                target: self.random.below(ACCOUNTS) as i64,
                amount: self.random.below(300) as i64,
                is_asked: AtomicBool::new(false),
            };
            // Some don't wait for the answer.
            let mut polls = match self.random.below(8) {
                0 => self.random.below(10),
                _ => u64::MAX,
            };
            let way = self.random.below(4);
            let mut working = Box::pin(transfer.make(&self.pool, way));
            let answer = poll_fn(|cx| {
                if polls == 0 {
                    return Poll::Ready(None);
                }
                polls -= 1;
                working.as_mut().poll(cx).map(Some)
            })
            .await;
            drop(working);
            let belief = match answer {
                Some(belief) => belief,
                None if transfer.is_asked() => Belief::Unheard,
                None => Belief::Undone,
            };
            self.beliefs.note(transfer.token, belief);
        }
    }
}

impl Transfer {
    /// Makes the transfer in one of the ways that there are.
    async fn make(&self, pool: &Pool, way: u64) -> Belief {
        match way {
            0 => self.in_a_transaction(pool).await,
            1 => self.retried(pool).await,
            2 => self.in_one_statement(pool).await,
            _ => self.pipelined(pool).await,
        }
    }

    fn ask(&self, is_asked: bool) {
        self.is_asked.store(is_asked, Ordering::Relaxed);
    }

    fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Relaxed)
    }

    async fn in_a_transaction(&self, pool: &Pool) -> Belief {
        let transaction = async {
            let mut connection = pool.acquire().await?;
            let mut transaction = connection.begin().await?;
            self.steps(&mut transaction).await?;
            // From here on a commit may be under way.
            self.ask(true);
            transaction.commit().await
        };
        let result = transaction.await;
        self.judge(result)
    }

    async fn retried(&self, pool: &Pool) -> Belief {
        let attempts = async {
            let mut connection = pool.acquire().await?;
            let mut attempts = connection.retry(RetryPolicy::default());
            while let Some(mut attempt) = attempts.next().await? {
                self.ask(false);
                let result = self.steps(&mut attempt).await;
                if result.is_ok() {
                    self.ask(true);
                }
                attempt.finish(result).await?;
            }
            Ok(())
        };
        let result = attempts.await;
        self.judge(result)
    }

    async fn in_one_statement(&self, pool: &Pool) -> Belief {
        const SQL: &str = "\
            with debit as (update accounts set balance = balance - $3 where id = $1 returning id), \
            credit as (update accounts set balance = balance + $3 where id = $2 and $1 <> $2 \
                returning id), \
            note as (insert into transfers values ($4, $1, $2, $3) returning token) \
            select token from note";
        if self.source == self.target {
            return Belief::Undone;
        }
        self.ask(true);
        let parameters = (self.source, self.target, self.amount, &*self.token);
        let result = pool.fetch_one::<String>(SQL, parameters).await;
        let result = result.map(|token| assert_eq!(token, self.token, "an answer to another"));
        self.judge(result)
    }

    async fn pipelined(&self, pool: &Pool) -> Belief {
        self.ask(true);
        let statements = async {
            let mut connection = pool.acquire().await?;
            let (_, _, token) = connection
                .pipeline((
                    exec(DEBIT, (self.amount, self.source, "")),
                    exec(CREDIT, (self.amount, self.target, "")),
                    one::<String>(NOTE, (&*self.token, self.source, self.target, self.amount)),
                ))
                .await?;
            assert_eq!(token, self.token, "an answer to another");
            Ok(())
        };
        let result = statements.await;
        self.judge(result)
    }

    /// The statements of a transfer, each of which answers with its token.
    async fn steps(&self, connection: &mut Connection) -> Result<()> {
        let token = &*self.token;
        for (sql, account) in [(DEBIT, self.source), (CREDIT, self.target)] {
            let got: String = connection
                .fetch_one(sql, (self.amount, account, token))
                .await?;
            assert_eq!(got, token, "an answer to another");
        }
        let parameters = (token, self.source, self.target, self.amount);
        let got: String = connection.fetch_one(NOTE, parameters).await?;
        assert_eq!(got, token, "an answer to another");
        Ok(())
    }

    /// What the client is to believe after this answer.
    fn judge(&self, result: Result<()>) -> Belief {
        let error = match result {
            Ok(()) => return Belief::Done,
            Err(error) => error,
        };
        check_error(&error);
        if !self.is_asked() {
            // No commit was asked for.
            assert_ne!(error.kind(), ErrorKind::CommitOutcomeUnknown, "{error:#}");
            return Belief::Undone;
        }
        match error.outcome() {
            Outcome::NotRun | Outcome::RolledBack => Belief::Undone,
            Outcome::Completed => Belief::Done,
            _ => Belief::Unknown,
        }
    }
}

const DEBIT: &str = "update accounts set balance = balance - $1 where id = $2 returning $3::text";
const CREDIT: &str = "update accounts set balance = balance + $1 where id = $2 returning $3::text";
const NOTE: &str = "insert into transfers values ($1, $2, $3, $4) returning token";

/// Whether it is an error that the faults, the other clients, or an empty account explain.
fn check_error(error: &Error) {
    const EXPLAINED: &[SqlState] = &[
        SqlState::CHECK_VIOLATION,
        SqlState::DEADLOCK_DETECTED,
        SqlState::QUERY_CANCELED,
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
    ];
    let is_explained = match error.kind() {
        ErrorKind::Server => error
            .sqlstate()
            .is_some_and(|state| EXPLAINED.contains(&state)),
        ErrorKind::Io
        | ErrorKind::Closed
        | ErrorKind::Timeout
        | ErrorKind::PoolTimeout
        | ErrorKind::CommitOutcomeUnknown => true,
        _ => false,
    };
    assert!(is_explained, "{:?}: {error:#}", error.kind());
}
