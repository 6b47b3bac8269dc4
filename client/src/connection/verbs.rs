//! The verbs: `fetch_one`, `fetch_all`, `execute` and their kin, and the builder [`Query`]
//! for where options are needed.

use std::ops::ControlFlow;
use std::time::Duration;

use tokio::time::Instant;

use super::Connection;
use super::link::Until;
use super::observe::Observation;
use super::sinks::{All, Ignore, One, Script, Visit};
use super::stream::RowStream;
use super::timer::Limit;
use crate::error::Result;
use crate::params::Params;
use crate::row::{FromRow, RowRef};
use crate::statement::Description;

/// What a visitor of rows may return: nothing, a `Result`, or a `ControlFlow` to stop early.
///
/// The trait is sealed.
pub trait Visited: sealed::Sealed {
    #[doc(hidden)]
    fn into_flow(self) -> Result<ControlFlow<()>>;
}

/// A query with options, made by [`Connection::query`].
///
/// # Example
///
/// ```no_run
/// # async fn example(connection: &mut kornak::Connection) -> kornak::Result<()> {
/// use std::time::Duration;
///
/// let n: i64 = connection
///     .query("select count(*) from world where id < $1")
///     .bind((100,))
///     .timeout(Duration::from_millis(250))
///     .fetch_one()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a query does nothing until one of its verbs is called"]
pub struct Query<'c, 'q, P = ()> {
    connection: &'c mut Connection,
    sql: &'q str,
    params: P,
    limit: Option<Limit>,
}

impl Connection {
    /// Runs a query that returns exactly one row.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoRows`](crate::error::ErrorKind::NoRows) or
    /// [`ErrorKind::TooManyRows`](crate::error::ErrorKind::TooManyRows) if it returns none or several;
    /// the server's error; a value that can't be written or read; the deadline.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: the next operation cancels what still runs. Whether a dropped
    /// statement took effect is unknown.
    pub async fn fetch_one<T: for<'r> FromRow<'r>>(
        &mut self,
        sql: &str,
        params: impl Params,
    ) -> Result<T> {
        let limit = self.default_limit();
        fetch_one(self, sql, &params, limit).await
    }

    /// Runs a query that returns one row or none.
    ///
    /// # Errors
    ///
    /// As [`fetch_one`](Self::fetch_one), without `NoRows`.
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_one`](Self::fetch_one).
    pub async fn fetch_optional<T: for<'r> FromRow<'r>>(
        &mut self,
        sql: &str,
        params: impl Params,
    ) -> Result<Option<T>> {
        let limit = self.default_limit();
        fetch_optional(self, sql, &params, limit).await
    }

    /// Runs a query and keeps all its rows.
    ///
    /// # Errors
    ///
    /// The server's error; a value that can't be written or read; the deadline.
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_one`](Self::fetch_one).
    pub async fn fetch_all<T: for<'r> FromRow<'r>>(
        &mut self,
        sql: &str,
        params: impl Params,
    ) -> Result<Vec<T>> {
        let limit = self.default_limit();
        fetch_all(self, sql, &params, limit).await
    }

    /// Runs a query and streams its rows: what isn't read stays on the server.
    ///
    /// # Errors
    ///
    /// If the query can't be sent, or the server refuses to run it. What goes wrong later is
    /// an item of the stream.
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_one`](Self::fetch_one). The stream itself may be dropped at any row.
    pub async fn fetch<T: for<'r> FromRow<'r>>(
        &mut self,
        sql: &str,
        params: impl Params,
    ) -> Result<RowStream<'_, T>> {
        let limit = self.default_limit();
        RowStream::start(self, sql, &params, limit).await
    }

    /// Runs a query and shows each row to `visitor` where it lies in the read buffer: rows
    /// may be read into structs that borrow, and nothing is allocated. Returns how many rows
    /// the server sent.
    ///
    /// The visitor returns nothing, a [`Result`], or a [`ControlFlow`] to stop early.
    ///
    /// # Errors
    ///
    /// As [`fetch_all`](Self::fetch_all), and the visitor's own error, after which it is not
    /// called any more.
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_one`](Self::fetch_one).
    pub async fn for_each<V: Visited>(
        &mut self,
        sql: &str,
        params: impl Params,
        visitor: impl FnMut(RowRef<'_>) -> V,
    ) -> Result<u64> {
        let limit = self.default_limit();
        for_each(self, sql, &params, visitor, limit).await
    }

    /// Runs a statement and returns the number of rows that it affected, as in its command
    /// tag; 0 for statements that don't count rows. Rows that it returns are passed over.
    ///
    /// # Errors
    ///
    /// The server's error; a value that can't be written; the deadline.
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_one`](Self::fetch_one).
    pub async fn execute(&mut self, sql: &str, params: impl Params) -> Result<u64> {
        let limit = self.default_limit();
        self.run_watched(sql, &params, &mut Ignore, limit).await
    }

    /// Runs a script: any number of statements separated by semicolons, without parameters
    /// (the simple query protocol). They are one transaction unless they contain their own
    /// BEGIN and COMMIT. Rows that they return are passed over.
    ///
    /// # Errors
    ///
    /// The server's first error; the deadline.
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_one`](Self::fetch_one).
    pub async fn batch_execute(&mut self, sql: &str) -> Result<()> {
        let limit = self.default_limit();
        let observation = Observation::start(self, sql);
        let ran = observation.watch(script(self, sql, limit), |()| None, |error| error);
        match ran.await {
            Ok(()) => Ok(()),
            Err(error) => Err(error.with_sql(sql)),
        }
    }

    /// Asks the server what a statement takes and returns, without running it. The types of
    /// the parameters are those that the server infers.
    ///
    /// # Errors
    ///
    /// The server's error; the deadline.
    ///
    /// # Cancel safety
    ///
    /// May be dropped.
    pub async fn describe(&mut self, sql: &str) -> Result<Description> {
        let limit = self.default_limit();
        let observation = Observation::start_as(self, Some("DESCRIBE"), sql);
        let described = observation.watch(
            async {
                self.begin_operation(Some(sql), limit).await?;
                self.describe_unnamed(sql).await
            },
            |_| None,
            |error| error,
        );
        described.await.map_err(|error| error.with_sql(sql))
    }

    /// A query with options: a timeout, for example.
    pub fn query<'c, 'q>(&'c mut self, sql: &'q str) -> Query<'c, 'q> {
        Query {
            connection: self,
            sql,
            params: (),
            limit: None,
        }
    }

    /// The limit of an operation that is not given one.
    #[inline]
    pub(crate) fn default_limit(&self) -> Limit {
        self.default_limit
    }
}

impl<'c, 'q, P: Params> Query<'c, 'q, P> {
    /// The parameters: a tuple, a slice.
    pub fn bind<Q: Params>(self, params: Q) -> Query<'c, 'q, Q> {
        Query {
            connection: self.connection,
            sql: self.sql,
            params,
            limit: self.limit,
        }
    }

    /// How long the operation may take, from its first wait to its last byte. Without it the
    /// connection's default holds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limit = Some(Limit::After(timeout));
        self
    }

    /// When the operation must have ended: for several operations under one deadline.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.limit = Some(Limit::At(deadline));
        self
    }

    /// See [`Connection::fetch_one`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn fetch_one<T: for<'r> FromRow<'r>>(self) -> Result<T> {
        let limit = self.limit();
        fetch_one(self.connection, self.sql, &self.params, limit).await
    }

    /// See [`Connection::fetch_optional`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn fetch_optional<T: for<'r> FromRow<'r>>(self) -> Result<Option<T>> {
        let limit = self.limit();
        fetch_optional(self.connection, self.sql, &self.params, limit).await
    }

    /// See [`Connection::fetch_all`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn fetch_all<T: for<'r> FromRow<'r>>(self) -> Result<Vec<T>> {
        let limit = self.limit();
        fetch_all(self.connection, self.sql, &self.params, limit).await
    }

    /// See [`Connection::fetch`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn fetch<T: for<'r> FromRow<'r>>(self) -> Result<RowStream<'c, T>> {
        let limit = self.limit();
        RowStream::start(self.connection, self.sql, &self.params, limit).await
    }

    /// See [`Connection::for_each`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn for_each<V: Visited>(self, visitor: impl FnMut(RowRef<'_>) -> V) -> Result<u64> {
        let limit = self.limit();
        for_each(self.connection, self.sql, &self.params, visitor, limit).await
    }

    /// See [`Connection::execute`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn execute(self) -> Result<u64> {
        let limit = self.limit();
        self.connection
            .run_watched(self.sql, &self.params, &mut Ignore, limit)
            .await
    }

    fn limit(&self) -> Limit {
        self.limit
            .unwrap_or_else(|| self.connection.default_limit())
    }
}

async fn fetch_one<T: for<'r> FromRow<'r>>(
    connection: &mut Connection,
    sql: &str,
    params: &impl Params,
    limit: Limit,
) -> Result<T> {
    let mut one = One::new();
    connection.run_watched(sql, params, &mut one, limit).await?;
    one.take_one().map_err(|error| error.with_sql(sql))
}

async fn fetch_optional<T: for<'r> FromRow<'r>>(
    connection: &mut Connection,
    sql: &str,
    params: &impl Params,
    limit: Limit,
) -> Result<Option<T>> {
    let mut one = One::new();
    connection.run_watched(sql, params, &mut one, limit).await?;
    one.take_optional().map_err(|error| error.with_sql(sql))
}

async fn fetch_all<T: for<'r> FromRow<'r>>(
    connection: &mut Connection,
    sql: &str,
    params: &impl Params,
    limit: Limit,
) -> Result<Vec<T>> {
    let mut all = All::new();
    connection.run_watched(sql, params, &mut all, limit).await?;
    Ok(all.rows)
}

async fn for_each<V: Visited>(
    connection: &mut Connection,
    sql: &str,
    params: &impl Params,
    mut visitor: impl FnMut(RowRef<'_>) -> V,
    limit: Limit,
) -> Result<u64> {
    let mut visit = Visit::new(|row: RowRef<'_>| match visitor(row).into_flow() {
        Ok(ControlFlow::Continue(())) => ControlFlow::Continue(()),
        Ok(ControlFlow::Break(())) => ControlFlow::Break(None),
        Err(error) => ControlFlow::Break(Some(error)),
    });
    let rows = connection.run_watched(sql, params, &mut visit, limit).await;
    if let (Some((columns, plans)), Some(entry)) = (
        visit.into_plans(),
        connection.statements.lookup(sql, params),
    ) {
        // It may have been described anew, or run for the first time.
        if entry.prepared.description().columns().is(&columns) {
            entry.plans = plans;
        }
    }
    rows
}

async fn script(connection: &mut Connection, sql: &str, limit: Limit) -> Result<()> {
    connection.begin_operation(Some(sql), limit).await?;
    connection.flush_queued().await?;
    let link = &mut *connection.link;
    link.core.start_query(&mut link.output, sql)?;
    connection.hygiene.note(false);
    connection.hygiene.note_text(sql);
    connection.interrupted = true;
    let mut sink = Script::default();
    let link = &mut *connection.link;
    let progress =
        std::future::poll_fn(|cx| link.poll_exchange_dyn(cx, &mut sink, Until::Idle)).await?;
    connection.end_exchange(progress, sink.reply)?.check()?;
    Ok(())
}

impl Visited for () {
    #[inline]
    fn into_flow(self) -> Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }
}

impl Visited for ControlFlow<()> {
    #[inline]
    fn into_flow(self) -> Result<ControlFlow<()>> {
        Ok(self)
    }
}

impl<V: Visited> Visited for Result<V> {
    #[inline]
    fn into_flow(self) -> Result<ControlFlow<()>> {
        self.and_then(V::into_flow)
    }
}

mod sealed {
    use std::ops::ControlFlow;

    #[expect(unnameable_types, reason = "that is what seals the trait")]
    pub trait Sealed {}
    impl Sealed for () {}
    impl Sealed for ControlFlow<()> {}
    impl<V: Sealed> Sealed for crate::error::Result<V> {}
}
