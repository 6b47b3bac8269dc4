//! The verbs of [`Connection`] on the pool itself, and the builder [`PoolQuery`] for where
//! options are needed.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::lanes::{Course, Lanes, Statement};
use super::{Pool, PoolConnection};
use crate::connection::queued::{All, Collector, Ignore, One};
use crate::connection::{Connection, Limit, Query, RowStream, Visited};
use crate::error::{Error, Outcome, Result};
use crate::params::Params;
use crate::row::{FromRow, RowRef};

/// A query with options on a connection of the pool, made by [`Pool::query`].
///
/// # Example
///
/// ```no_run
/// # async fn example(pool: &kornak::Pool) -> kornak::Result<()> {
/// use std::time::Duration;
///
/// let names: Vec<String> = pool
///     .query("select name from users where id < $1")
///     .bind((100,))
///     .timeout(Duration::from_millis(250))
///     .fetch_all()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a query does nothing until one of its verbs is called"]
pub struct PoolQuery<'p, 'q, P = ()> {
    pool: &'p Pool,
    sql: &'q str,
    params: P,
    deadline: Option<Instant>,
}

/// How a statement was run, and what came of it.
enum Ran<T> {
    /// Behind others: its rows are the collector's, and this is the number in its command tag.
    Queued(u64),
    /// On a connection of its own.
    Alone(T),
}

impl Pool {
    /// A query with options on a connection of the pool: a timeout, for example, that covers
    /// everything from the wait for a connection to the last row.
    pub fn query<'p, 'q>(&'p self, sql: &'q str) -> PoolQuery<'p, 'q> {
        PoolQuery {
            pool: self,
            sql,
            params: (),
            deadline: self.default_deadline(),
        }
    }

    /// Runs a query that returns exactly one row, on a connection of the pool.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire) and of [`Connection::fetch_one`].
    ///
    /// # Cancel safety
    ///
    /// May be dropped; the pool brings the connection to rest.
    pub async fn fetch_one<T: for<'r> FromRow<'r>>(
        &self,
        sql: &str,
        params: impl Params,
    ) -> Result<T> {
        self.query(sql).bind(params).fetch_one().await
    }

    /// Runs a query that returns one row or none, on a connection of the pool.
    ///
    /// # Errors
    ///
    /// As [`fetch_one`](Self::fetch_one), without `NoRows`.
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_one`](Self::fetch_one).
    pub async fn fetch_optional<T: for<'r> FromRow<'r>>(
        &self,
        sql: &str,
        params: impl Params,
    ) -> Result<Option<T>> {
        self.query(sql).bind(params).fetch_optional().await
    }

    /// Runs a query and keeps all its rows, on a connection of the pool.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire) and of [`Connection::fetch_all`].
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_one`](Self::fetch_one).
    pub async fn fetch_all<T: for<'r> FromRow<'r>>(
        &self,
        sql: &str,
        params: impl Params,
    ) -> Result<Vec<T>> {
        self.query(sql).bind(params).fetch_all().await
    }

    /// Runs a query and shows each row to `visitor` where it lies, on a connection of the
    /// pool. Returns how many rows the server sent.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire) and of [`Connection::for_each`].
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_one`](Self::fetch_one).
    pub async fn for_each<V: Visited>(
        &self,
        sql: &str,
        params: impl Params,
        visitor: impl FnMut(RowRef<'_>) -> V,
    ) -> Result<u64> {
        self.query(sql).bind(params).for_each(visitor).await
    }

    /// Runs a statement, on a connection of the pool, and returns how many rows it affected.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire) and of [`Connection::execute`].
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_one`](Self::fetch_one).
    pub async fn execute(&self, sql: &str, params: impl Params) -> Result<u64> {
        self.query(sql).bind(params).execute().await
    }

    /// Runs a script, on a connection of the pool: any number of statements separated by
    /// semicolons, without parameters. Rows that they return are passed over.
    ///
    /// What it sets for its session is reset before the next borrower's first statement.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire) and of
    /// [`Connection::batch_execute`](crate::connection::Connection::batch_execute).
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_one`](Self::fetch_one): the statements may have taken effect.
    pub async fn batch_execute(&self, sql: &str) -> Result<()> {
        let deadline = self.default_deadline();
        let run =
            |mut connection: PoolConnection| async move { connection.batch_execute(sql).await };
        with_reset(|| self.acquire_until(deadline), run, |error| error).await
    }

    /// When a verb of the pool that begins now must have ended, where it isn't told.
    pub(super) fn default_deadline(&self) -> Option<Instant> {
        let timeout = self.shared.options.query_timeout;
        timeout.and_then(|timeout| Instant::now().checked_add(timeout))
    }

    /// A connection on which everything ends by `deadline`, as the wait for it does.
    pub(super) async fn acquire_until(&self, deadline: Option<Instant>) -> Result<PoolConnection> {
        let mut connection = self.acquire_before(deadline).await?;
        if let Some(deadline) = deadline {
            connection.set_default_deadline(deadline);
        }
        Ok(connection)
    }
}

impl<'p, 'q, P: Params> PoolQuery<'p, 'q, P> {
    /// The parameters: a tuple, a slice.
    pub fn bind<Q: Params>(self, params: Q) -> PoolQuery<'p, 'q, Q> {
        PoolQuery {
            pool: self.pool,
            sql: self.sql,
            params,
            deadline: self.deadline,
        }
    }

    /// How long all of it may take from now on, the wait for a connection included. That wait
    /// ends with the pool's acquire timeout at the latest.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self {
            deadline: Instant::now().checked_add(timeout),
            ..self
        }
    }

    /// When all of it must have ended: for several operations under one deadline.
    pub fn deadline(self, deadline: Instant) -> Self {
        Self {
            deadline: Some(deadline),
            ..self
        }
    }

    /// See [`Pool::fetch_one`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn fetch_one<T: for<'r> FromRow<'r>>(self) -> Result<T> {
        if let Some(lanes) = &self.pool.shared.lanes {
            return apart(pin!(self.queued_one(lanes))).await;
        }
        let query = &self;
        let run = |mut connection: PoolConnection| async move {
            query.on(&mut connection).fetch_one().await
        };
        self.with_reset(run).await
    }

    /// See [`Pool::fetch_optional`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn fetch_optional<T: for<'r> FromRow<'r>>(self) -> Result<Option<T>> {
        if let Some(lanes) = &self.pool.shared.lanes {
            return apart(pin!(self.queued_optional(lanes))).await;
        }
        let query = &self;
        let run = |mut connection: PoolConnection| async move {
            query.on(&mut connection).fetch_optional().await
        };
        self.with_reset(run).await
    }

    /// See [`Pool::fetch_all`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn fetch_all<T: for<'r> FromRow<'r>>(self) -> Result<Vec<T>> {
        if let Some(lanes) = &self.pool.shared.lanes {
            return apart(pin!(self.queued_all(lanes))).await;
        }
        let query = &self;
        let run = |mut connection: PoolConnection| async move {
            query.on(&mut connection).fetch_all().await
        };
        self.with_reset(run).await
    }

    /// See [`Pool::fetch`]. The timeout covers the whole stream, the reader's own pauses
    /// included.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn fetch<T: for<'r> FromRow<'r>>(
        self,
    ) -> Result<RowStream<'static, T, PoolConnection>> {
        let query = &self;
        let start = |connection: PoolConnection| async move {
            let limit = match query.deadline {
                Some(deadline) => Limit::At(deadline),
                None => connection.default_limit(),
            };
            RowStream::start(connection, query.sql, &query.params, limit).await
        };
        self.with_reset(start).await
    }

    /// See [`Pool::for_each`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn for_each<V: Visited>(
        self,
        mut visitor: impl FnMut(RowRef<'_>) -> V,
    ) -> Result<u64> {
        let mut connection = self.acquire().await?;
        // A future that lends the visitor can't be made by a closure and be `Send`.
        match self.on(&mut connection).for_each(&mut visitor).await {
            Err(error) if is_unreset(&error) => {
                drop(connection);
                self.on(&mut *self.acquire().await?).for_each(visitor).await
            }
            result => result,
        }
    }

    /// See [`Pool::execute`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn execute(self) -> Result<u64> {
        if let Some(lanes) = &self.pool.shared.lanes {
            return apart(pin!(self.queued_execute(lanes))).await;
        }
        let query = &self;
        let run = |mut connection: PoolConnection| async move {
            query.on(&mut connection).execute().await
        };
        self.with_reset(run).await
    }

    async fn acquire(&self) -> Result<PoolConnection> {
        self.pool.acquire_before(self.deadline).await
    }

    async fn queued_one<T: for<'r> FromRow<'r>>(&self, lanes: &Lanes) -> Result<T> {
        let mut one = One::new();
        let run = |mut connection: PoolConnection| async move {
            self.on(&mut connection).fetch_one().await
        };
        // Whether there is a second is all that matters of it.
        match self.queued(lanes, &mut one, 2, run).await? {
            Ran::Queued(_) => one.take_one().map_err(|error| error.with_sql(self.sql)),
            Ran::Alone(row) => Ok(row),
        }
    }

    async fn queued_optional<T: for<'r> FromRow<'r>>(&self, lanes: &Lanes) -> Result<Option<T>> {
        let mut one = One::new();
        let run = |mut connection: PoolConnection| async move {
            self.on(&mut connection).fetch_optional().await
        };
        match self.queued(lanes, &mut one, 2, run).await? {
            Ran::Queued(_) => one
                .take_optional()
                .map_err(|error| error.with_sql(self.sql)),
            Ran::Alone(row) => Ok(row),
        }
    }

    async fn queued_all<T: for<'r> FromRow<'r>>(&self, lanes: &Lanes) -> Result<Vec<T>> {
        let mut all = All::new();
        let run = |mut connection: PoolConnection| async move {
            self.on(&mut connection).fetch_all().await
        };
        match self.queued(lanes, &mut all, usize::MAX, run).await? {
            Ran::Queued(_) => Ok(all.rows),
            Ran::Alone(rows) => Ok(rows),
        }
    }

    async fn queued_execute(&self, lanes: &Lanes) -> Result<u64> {
        let run = |mut connection: PoolConnection| async move {
            self.on(&mut connection).execute().await
        };
        match self.queued(lanes, &mut Ignore, 0, run).await? {
            Ran::Queued(rows) | Ran::Alone(rows) => Ok(rows),
        }
    }

    /// Runs the statement behind those of others on a connection, where `collector` is given at
    /// most so many of its rows; or by `run` on a connection of its own.
    async fn queued<T, C: Collector, F: Future<Output = Result<T>>>(
        &self,
        lanes: &Lanes,
        collector: &mut C,
        most_rows: usize,
        run: impl Fn(PoolConnection) -> F,
    ) -> Result<Ran<T>> {
        let statement = Statement {
            sql: self.sql,
            params: &self.params,
            deadline: self.deadline,
            most_rows,
        };
        let mut lent = match lanes.run(self.pool, statement, collector).await? {
            Course::Queued(rows) => return Ok(Ran::Queued(rows)),
            Course::Alone(lent) => lent,
        };
        // On the heap, so that those stay small who share; and as in `with_reset`, which is left
        // to those who never do.
        let alone = Box::pin(async {
            let mut is_again = false;
            loop {
                let connection = match lent.take() {
                    Some(lent) => lent,
                    None => self.acquire().await?,
                };
                match run(connection).await {
                    Err(failed) if !is_again && is_unreset(&failed) => is_again = true,
                    result => return result,
                }
            }
        });
        alone.await.map(Ran::Alone)
    }

    /// See [`with_reset`].
    #[inline]
    async fn with_reset<T, F: Future<Output = Result<T>>>(
        &self,
        run: impl Fn(PoolConnection) -> F,
    ) -> Result<T> {
        with_reset(|| self.acquire(), run, |error| error).await
    }

    /// The same query on a connection, until the same deadline.
    fn on<'c>(&self, connection: &'c mut Connection) -> Query<'c, 'q, &P> {
        let query = connection.query(self.sql).bind(&self.params);
        match self.deadline {
            Some(deadline) => query.deadline(deadline),
            None => query,
        }
    }
}

/// What `run` comes to on a connection that is acquired for it. If the session can't be reset, the
/// server has skipped what came behind the reset, and the connection is closed: it goes once to
/// another connection, for which the closed one has to make room first.
#[inline]
pub(super) async fn with_reset<T, E, A, F>(
    acquire: impl Fn() -> A,
    run: impl Fn(PoolConnection) -> F,
    error: impl Fn(&E) -> &Error,
) -> Result<T, E>
where
    E: From<Error>,
    A: Future<Output = Result<PoolConnection>>,
    F: Future<Output = Result<T, E>>,
{
    match run(acquire().await?).await {
        Err(failed) if is_unreset(error(&failed)) => run(acquire().await?).await,
        result => result,
    }
}

/// Polls in a function of its own what most pools never do, so that what all do is not the more
/// to carry along.
fn apart<F: Future>(future: Pin<&mut F>) -> Apart<'_, F> {
    Apart(future)
}

struct Apart<'f, F>(Pin<&'f mut F>);

impl<F: Future> Future for Apart<'_, F> {
    type Output = F::Output;

    #[inline(never)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.0.as_mut().poll(cx)
    }
}

fn is_unreset(error: &Error) -> bool {
    error.is_closed() && error.outcome() == Outcome::NotRun
}
