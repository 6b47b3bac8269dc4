//! One statement for many items, pipelined: `execute_many`, `fetch_many`, `stream_many`.

mod flight;
mod items;
mod rows;

use std::future::{poll_fn, ready};
use std::sync::Arc;
use std::task::Poll;

pub use self::items::{FromStream, Items, from_stream};
pub use self::rows::ManyRows;

use self::flight::{Flight, Step};
use self::items::sealed::Source;
use super::cold::Cold;
use super::observe::Observation;
use super::pipeline::PipelineError;
use super::sinks::{All, Collector, Ignore};
use super::timer::Limit;
use super::{Connection, Held};
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::params::Params;
use crate::row::{FromRow, Plans};
use crate::statement::Prepared;

impl Connection {
    /// Runs one statement for each item, pipelined, and returns how many rows were affected
    /// in total. It is one transaction: outside of one it begins and commits its own.
    ///
    /// Items are taken from the iterator, or [from the stream](from_stream), as the
    /// server takes the statements, so that memory stays flat, whatever their number.
    ///
    /// # Errors
    ///
    /// The first failure, and the index of its item; then nothing of it stays, unless a
    /// transaction was open before: that one then holds the items before an item that this
    /// side could not write, and is failed by the server's own errors.
    /// [`ErrorKind::CommitOutcomeUnknown`] if the
    /// answer to the COMMIT did not come. The deadline, which covers a stream's own pauses,
    /// too.
    ///
    /// A statement that this connection has prepared, and that the server has lost or whose
    /// result has changed since, is an error of the first item, and prepared anew by the next
    /// call.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: what was begun is rolled back, which the server is told at once where
    /// the socket takes it, unless COMMIT was sent already. In a transaction that was open
    /// before, the items sent so far may have run.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(connection: &mut kornak::Connection) -> kornak::Result<()> {
    /// let squares = (0..100_000_i64).map(|n| (n, n * n));
    /// connection
    ///     .execute_many("insert into squares values ($1, $2)", squares)
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn execute_many<'c, I: Items>(
        &'c mut self,
        sql: &'c str,
        items: I,
    ) -> impl Future<Output = Result<u64, PipelineError>> + Send + use<'c, I>
    where
        I::Source: 'c,
    {
        // That the futures are `Send` is promised by the verbs' signatures: what the compiler
        // infers by itself fails for iterators that borrow what they map.
        execute(ready(Ok(self.into())), sql, items.into_source())
    }

    /// As [`execute_many`](Self::execute_many), and keeps the rows that the statements
    /// return, in the order of the items: `insert … returning id`, for example.
    ///
    /// # Errors
    ///
    /// As there; and a row that can't be read. The server has completed all items then.
    ///
    /// # Cancel safety
    ///
    /// As there.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(connection: &mut kornak::Connection) -> kornak::Result<()> {
    /// let names = ["Ada", "Grace"];
    /// let ids: Vec<i32> = connection
    ///     .fetch_many("insert into users (name) values ($1) returning id", names.map(|n| (n,)))
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn fetch_many<'c, T, I>(
        &'c mut self,
        sql: &'c str,
        items: I,
    ) -> impl Future<Output = Result<Vec<T>, PipelineError>> + Send + use<'c, T, I>
    where
        T: for<'r> FromRow<'r> + Send,
        I: Items,
        I::Source: 'c,
    {
        fetch(ready(Ok(self.into())), sql, items.into_source())
    }

    /// As [`fetch_many`](Self::fetch_many), and streams the rows back while items are still
    /// sent: both may be of any number.
    ///
    /// The rows are those of a transaction that is still open: outside of one, its COMMIT is
    /// sent behind the last item, and the stream's end says that it went well.
    ///
    /// # Errors
    ///
    /// If the first item can't be written, or the statement not be prepared. What goes wrong
    /// later is an item of the stream, as [`execute_many`](Self::execute_many) would tell it.
    ///
    /// # Cancel safety
    ///
    /// As [`execute_many`](Self::execute_many). The stream may be dropped at any row: what
    /// was begun is then rolled back, unless all items and the COMMIT were sent already.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(connection: &mut kornak::Connection) -> kornak::Result<()> {
    /// let sql = "insert into squares values ($1, $2) returning id";
    /// let squares = (0..100_000_i64).map(|n| (n, n * n));
    /// let mut ids = connection.stream_many::<i64, _>(sql, squares).await?;
    /// while let Some(id) = ids.next().await? {
    ///     println!("{id}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream_many<'c, T, I>(
        &'c mut self,
        sql: &str,
        items: I,
    ) -> impl Future<Output = Result<ManyRows<'c, T, I>, PipelineError>> + Send
    where
        T: for<'r> FromRow<'r> + Send,
        I: Items,
        I::Source: 'c,
    {
        ManyRows::open(ready(Ok(self.into())), sql, items.into_source())
    }

    /// Brings the connection to rest. A statement that is new to it and known to another, with
    /// rows that `collector` can read, need not be prepared before the items.
    async fn begin_shared_many<P: Params, C: Collector>(
        &mut self,
        sql: &str,
        first: &P,
        collector: &mut C,
        limit: Limit,
    ) -> Result<Option<Cold>> {
        self.begin_operation(Some(sql), limit).await?;
        let Some(known) = self.shared_description(sql, first) else {
            return Ok(None);
        };
        let is_readable = collector.begin(known.columns(), &mut Plans::default());
        if is_readable.is_err() {
            return Ok(None);
        }
        // The next Parse of the flight, that of COMMIT, would replace the unnamed one.
        let name = self.statement_name_in_pipeline(sql);
        self.cold(&name, sql, first, Some(&known)).map(Some)
    }

    /// The statement, prepared, and the collector ready.
    async fn prepare_many<P: Params, C: Collector>(
        &mut self,
        sql: &str,
        first: &P,
        collector: &mut C,
    ) -> Result<Arc<Prepared>> {
        let prepared = self.prepared(sql, first).await?;
        self.begin_rows(sql, first, &prepared, collector)?;
        Ok(prepared)
    }
}

/// [`Connection::execute_many`], on a connection that is still to come.
//
// That the future is `Send` is said here, so that the compiler proves it once for the verbs of a
// connection and of the pool.
#[expect(clippy::manual_async_fn, reason = "an `async fn` cannot say `Send`")]
pub(crate) fn execute<'c, S>(
    connection: impl Future<Output = Result<Held<'c>>> + Send,
    sql: &str,
    source: S,
) -> impl Future<Output = Result<u64, PipelineError>> + Send
where
    S: Source<Item: Params + Send + Sync> + Send,
{
    async move { run(connection.await?, sql, source, &mut Ignore).await }
}

/// [`Connection::fetch_many`], on a connection that is still to come.
#[expect(clippy::manual_async_fn, reason = "as above")]
pub(crate) fn fetch<'c, T, S>(
    connection: impl Future<Output = Result<Held<'c>>> + Send,
    sql: &str,
    source: S,
) -> impl Future<Output = Result<Vec<T>, PipelineError>> + Send
where
    T: for<'r> FromRow<'r> + Send,
    S: Source<Item: Params + Send + Sync> + Send,
{
    async move {
        let mut all = All::new();
        run(connection.await?, sql, source, &mut all).await?;
        Ok(all.rows)
    }
}

/// Runs `sql` for all items, and returns how many rows were affected.
#[expect(clippy::manual_async_fn, reason = "as above")]
fn run<S, C>(
    connection: Held<'_>,
    sql: &str,
    source: S,
    collector: &mut C,
) -> impl Future<Output = Result<u64, PipelineError>> + Send
where
    S: Source<Item: Params + Send + Sync> + Send,
    C: Collector + Send,
{
    async move {
        let mut observation = Observation::start_batch(&connection, sql);
        let mut written = 0;
        let running = async {
            let Some(mut flight) = begin(connection, sql, source, collector).await? else {
                return Ok(0);
            };
            loop {
                let step = poll_fn(|cx| flight.poll(cx)).await;
                written = flight.written();
                match step.map_err(|error| error.with_sql(sql))? {
                    Step::Done(rows) => return Ok(rows),
                    Step::Paused => {}
                }
            }
        };
        let ran: Result<u64, PipelineError> = observation.within(running).await;
        observation.note_batch(written);
        observation.end(match &ran {
            Ok(_) => Ok(None),
            Err(error) => Err(error.error()),
        });
        ran
    }
}

/// Prepares `sql` and sends the first item; `None` if there is none.
#[expect(clippy::manual_async_fn, reason = "as above")]
fn begin<'c, S, C>(
    mut connection: Held<'c>,
    sql: &str,
    mut source: S,
    mut collector: C,
) -> impl Future<Output = Result<Option<Flight<'c, C, S>>, PipelineError>> + Send
where
    S: Source<Item: Params + Send + Sync> + Send,
    C: Collector + Send,
{
    async move {
        let limit = connection.default_limit();
        let link = &mut *connection.link;
        link.set_limit(limit);
        let first = poll_fn(|cx| match source.poll_item(cx) {
            Poll::Pending => link.poll_expired(cx).map(|()| Err(no_first_item())),
            Poll::Ready(item) => Poll::Ready(Ok(item)),
        });
        let Some(first) = first.await? else {
            return Ok(None);
        };
        // What is left of it, where there was a wait.
        let limit = link.limit();
        let first_failed = |error| PipelineError::at(Some(0), error).with_sql(sql);
        let shared = connection
            .begin_shared_many(sql, &first, &mut collector, limit)
            .await
            .map_err(|error| error.with_sql(sql))?;
        if let Some(cold) = shared {
            let prepared = Arc::clone(&cold.prepared);
            let mut flight = Flight::new(connection, prepared, &first, source, collector);
            let refused = flight.start_shared(sql, cold, first).await;
            if let Some(first) = refused.map_err(|error| error.with_sql(sql))? {
                flight
                    .start_described(sql, &first)
                    .await
                    .map_err(first_failed)?;
            }
            return Ok(Some(flight));
        }
        let is_known = connection.statements.lookup(sql, &first).is_some();
        let prepared = connection
            .prepare_many(sql, &first, &mut collector)
            .await
            .map_err(|error| error.with_sql(sql))?;
        let mut flight = Flight::new(connection, prepared, &first, source, collector);
        match flight.start(sql, &first) {
            // Nothing was sent: what the statement takes may be something else by now.
            Err(error) if is_known && flight.is_misfit(&error) => flight
                .start_described(sql, &first)
                .await
                .map_err(first_failed)?,
            started => started.map_err(first_failed)?,
        }
        Ok(Some(flight))
    }
}

#[cold]
fn no_first_item() -> Error {
    Error::new(
        ErrorKind::Timeout,
        "the first item did not come before the operation's deadline",
    )
    .with_outcome(Outcome::NotRun)
}
