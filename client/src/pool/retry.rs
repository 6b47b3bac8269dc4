//! [`PoolAttempts`]: a transaction that is run again, each time on whichever connection is free.

use std::fmt;

use super::{Pool, PoolConnection};
use crate::connection::{Attempt, Course, RetryPolicy};
use crate::error::Result;

/// The attempts at one transaction on connections of a pool, made by [`Pool::retry`].
///
/// As those on a connection ([`Attempts`](crate::connection::Attempts)); between two attempts
/// the connection is lent to others.
///
/// # Example
///
/// ```no_run
/// # async fn example(pool: &kornak::Pool) -> kornak::Result<()> {
/// async fn transfer(transaction: &mut kornak::Connection) -> kornak::Result<i64> {
///     transaction.execute("update accounts set balance = balance - 100 where id = 1", ()).await?;
///     transaction.fetch_one("select balance from accounts where id = 1", ()).await
/// }
///
/// let mut attempts = pool.retry(kornak::RetryPolicy::default());
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
pub struct PoolAttempts {
    pool: Pool,
    /// That of the attempt under way, or of the last one.
    connection: Option<PoolConnection>,
    course: Course,
}

impl Pool {
    /// Runs a transaction again while the server undoes it because of others that run beside
    /// it (serialization failures, 40001, and deadlocks, 40P01), within the policy. See
    /// [`PoolAttempts`].
    pub fn retry(&self, policy: RetryPolicy) -> PoolAttempts {
        PoolAttempts {
            pool: self.clone(),
            connection: None,
            course: Course::new(policy),
        }
    }
}

impl PoolAttempts {
    /// The next attempt, in a fresh transaction on a connection of the pool; `None` when one
    /// has succeeded.
    ///
    /// # Errors
    ///
    /// The last attempt's error when the policy allows no more; those of [`Pool::acquire`]; and
    /// if no transaction can be begun.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: nothing stays open, and the attempt is as due as before.
    pub async fn next(&mut self) -> Result<Option<Attempt<'_>>> {
        self.connection = None;
        if !self.course.goes_on().await? {
            return Ok(None);
        }
        let connection = self.connection.insert(self.pool.acquire().await?);
        self.course.attempt(connection).await.map(Some)
    }
}

impl fmt::Debug for PoolAttempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolAttempts")
            .field("course", &self.course)
            .finish_non_exhaustive()
    }
}
