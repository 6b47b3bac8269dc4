//! [`Attempts`]: a transaction that is run again when the server asks for it.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use tokio::time::Instant;

use super::{Connection, Transaction};
use crate::error::{Error, Result};

/// How often and how long a transaction is tried again.
///
/// # Example
///
/// ```
/// use std::time::Duration;
///
/// let policy = kornak::RetryPolicy::default().max_attempts(3).budget(Duration::from_secs(1));
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a policy is given to `retry`"]
pub struct RetryPolicy {
    max_attempts: u32,
    budget: Duration,
    first_pause: Duration,
}

/// The attempts at one transaction, made by [`Connection::retry`].
///
/// The server may undo a transaction because of others that ran beside it (serialization
/// failures, 40001, and deadlocks, 40P01) and expects it to be run again from its beginning.
///
/// # Example
///
/// ```no_run
/// # async fn example(connection: &mut kornak::Connection) -> kornak::Result<()> {
/// async fn transfer(transaction: &mut kornak::Connection) -> kornak::Result<i64> {
///     transaction.execute("update accounts set balance = balance - 100 where id = 1", ()).await?;
///     transaction.fetch_one("select balance from accounts where id = 1", ()).await
/// }
///
/// let mut attempts = connection.retry(kornak::RetryPolicy::default());
/// while let Some(mut attempt) = attempts.next().await? {
///     let result = transfer(&mut attempt).await;
///     if let Some(balance) = attempt.finish(result).await? {
///         println!("{balance} left");
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is attempted until `next` is called"]
pub struct Attempts<'c> {
    connection: &'c mut Connection,
    course: Course,
}

/// One attempt: a transaction that must be brought to its end by [`finish`](Self::finish).
#[must_use = "an attempt that is dropped is rolled back, and not tried again"]
pub struct Attempt<'a> {
    transaction: Transaction<'a>,
    course: &'a mut Course,
}

/// How the attempts at one transaction have gone, on whichever connections.
#[derive(Debug)]
pub(crate) struct Course {
    policy: RetryPolicy,
    attempts: u32,
    begun: Option<Instant>,
    last: Option<Error>,
    is_over: bool,
}

impl Connection {
    /// Runs a transaction again while the server undoes it because of others that run beside
    /// it, within the policy. See [`Attempts`].
    pub fn retry(&mut self, policy: RetryPolicy) -> Attempts<'_> {
        Attempts {
            connection: self,
            course: Course::new(policy),
        }
    }
}

impl RetryPolicy {
    /// How many attempts are made at most; at least 1. 10 by default.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// How long after the first attempt the last one may begin. 10 s by default.
    pub fn budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// About how long to wait before the second attempt; the wait doubles with each, and is
    /// between half and all of that, at random. 5 ms by default.
    pub fn first_pause(mut self, pause: Duration) -> Self {
        self.first_pause = pause;
        self
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 10,
            budget: Duration::from_secs(10),
            first_pause: Duration::from_millis(5),
        }
    }
}

impl Attempts<'_> {
    /// The next attempt, in a fresh transaction; `None` when one has succeeded.
    ///
    /// # Errors
    ///
    /// The last attempt's error when the policy allows no more; and if no transaction can be
    /// begun.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: nothing stays open.
    pub async fn next(&mut self) -> Result<Option<Attempt<'_>>> {
        if !self.course.goes_on().await? {
            return Ok(None);
        }
        self.course.attempt(self.connection).await.map(Some)
    }
}

impl Course {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            attempts: 0,
            begun: None,
            last: None,
            is_over: false,
        }
    }

    /// Whether there is to be another attempt, once the pause before it is over.
    ///
    /// # Errors
    ///
    /// The last attempt's error when the policy allows no more.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: the attempt is as due as before.
    pub(crate) async fn goes_on(&mut self) -> Result<bool> {
        if self.is_over {
            return Ok(false);
        }
        let begun = *self.begun.get_or_insert_with(Instant::now);
        if self.last.is_none() {
            // An attempt that was dropped was not asked to be followed by another.
            self.is_over = self.attempts > 0;
            return Ok(!self.is_over);
        }
        let pause = self.pause();
        let is_late = begun.elapsed().saturating_add(pause) > self.policy.budget;
        if self.attempts >= self.policy.max_attempts || is_late {
            self.is_over = true;
            return self.last.take().map_or(Ok(false), Err);
        }
        tokio::time::sleep(pause).await;
        Ok(true)
    }

    /// Begins an attempt.
    ///
    /// # Errors
    ///
    /// If no transaction can be begun.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: nothing stays open.
    pub(crate) async fn attempt<'a>(
        &'a mut self,
        connection: &'a mut Connection,
    ) -> Result<Attempt<'a>> {
        let transaction = connection.begin().await?;
        self.last = None;
        self.attempts += 1;
        Ok(Attempt {
            transaction,
            course: self,
        })
    }

    fn pause(&self) -> Duration {
        let doublings = self.attempts.saturating_sub(1).min(10);
        let longest = self.policy.first_pause.saturating_mul(1 << doublings);
        let random = f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX);
        longest.mul_f64(0.5 + random / 2.0)
    }
}

impl Attempt<'_> {
    /// Ends the attempt with what its statements have come to: commits `Ok`, and rolls back
    /// `Err`. Returns `None` if the server wants it to be tried again; then
    /// [`Attempts::next`] has the next attempt.
    ///
    /// # Errors
    ///
    /// What can't be mended by trying again, of the statements or of the commit.
    ///
    /// # Cancel safety
    ///
    /// As [`Transaction::commit`].
    pub async fn finish<T>(self, result: Result<T>) -> Result<Option<T>> {
        let Self {
            transaction,
            course,
        } = self;
        let result = match result {
            Ok(value) => transaction.commit().await.map(|()| value),
            Err(error) => {
                // The transaction is over whether or not the server hears of it.
                let rolled_back = transaction.rollback().await;
                if error.is_retryable() {
                    rolled_back.and(Err(error))
                } else {
                    Err(error)
                }
            }
        };
        match result {
            Ok(value) => {
                course.is_over = true;
                Ok(Some(value))
            }
            Err(error) if error.is_retryable() => {
                course.last = Some(error);
                Ok(None)
            }
            Err(error) => {
                course.is_over = true;
                Err(error)
            }
        }
    }
}

impl Deref for Attempt<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.transaction
    }
}

impl DerefMut for Attempt<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.transaction
    }
}

impl fmt::Debug for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempts")
            .field("course", &self.course)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Attempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("number", &self.course.attempts)
            .finish_non_exhaustive()
    }
}
