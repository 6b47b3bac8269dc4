//! [`RowStream`]: the rows of a query, as they are asked for.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::ops::DerefMut;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::Connection;
use super::link::Until;
use super::observe::Observation;
use super::sinks::{Batch, ColdSink, Reply, WarmSink};
use super::timer::Limit;
use crate::error::{Error, ErrorKind, Result};
use crate::params::Params;
use crate::protocol::Progress;
use crate::row::{Columns, FromRow};

/// The rows of a query, read from the server as they are asked for.
///
/// A few rows and a read buffer at most are held at any time: a slow reader makes the server
/// wait. Dropped before its end, it leaves the rest to the next operation, which reads a
/// short rest and cancels a long one.
///
/// `C` is what gives the connection: a borrow of it, or the guard of a pool's, which the
/// stream then keeps.
///
/// A deadline of the query covers the whole stream, the reader's own pauses included.
///
/// # Example
///
/// ```no_run
/// # async fn example(connection: &mut kornak::Connection) -> kornak::Result<()> {
/// let mut rows = connection.fetch::<(i32, String)>("select id, name from users", ()).await?;
/// while let Some((id, name)) = rows.next().await? {
///     println!("{id}: {name}");
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a stream does nothing until it is read"]
pub struct RowStream<'c, T, C = &'c mut Connection> {
    connection: C,
    borrowed: PhantomData<&'c mut Connection>,
    sql: Box<str>,
    columns: Columns,
    batch: Batch<T>,
    reply: Reply,
    /// True when a decoder panicked: the reply was out of place then, and a row is missing.
    is_polling: bool,
    is_over: bool,
    observation: Observation,
}

impl<T, C> RowStream<'_, T, C>
where
    T: for<'r> FromRow<'r>,
    C: DerefMut<Target = Connection>,
{
    pub(crate) async fn start<P: Params>(
        mut connection: C,
        sql: &str,
        params: &P,
        limit: Limit,
    ) -> Result<Self> {
        let mut observation = Observation::start(&connection, sql);
        let mut batch = Batch::new();
        match begin(&mut connection, sql, params, &mut batch, limit).await {
            Ok((columns, reply, is_over)) => {
                let mut stream = Self {
                    is_over: is_over || reply.failure.is_some(),
                    connection,
                    borrowed: PhantomData,
                    sql: sql.into(),
                    columns,
                    batch,
                    reply,
                    is_polling: false,
                    observation,
                };
                stream.note_end();
                Ok(stream)
            }
            Err(error) => {
                observation.end(Err(&error));
                Err(error.with_sql(sql))
            }
        }
    }

    /// The next row, or `None` at the end.
    ///
    /// # Errors
    ///
    /// The server's error, after the rows before it; a row that can't be read; the deadline.
    /// The stream is over after an error.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: no row is lost.
    pub async fn next(&mut self) -> Result<Option<T>> {
        poll_fn(|cx| self.poll_row(cx)).await.transpose()
    }

    /// The columns of the result.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The number in the command tag, once the stream is at its end.
    pub fn rows_affected(&self) -> Option<u64> {
        self.is_over.then_some(self.reply.rows)
    }

    #[inline]
    fn poll_row(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        match self.batch.rows.pop_front() {
            Some(row) => Poll::Ready(Some(Ok(row))),
            None => self.poll_batch(cx),
        }
    }

    /// The same where no row is left. It is a function of its own, so that the rows of a batch
    /// are handed out without a call.
    #[inline(never)]
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        loop {
            if let Some(row) = self.batch.rows.pop_front() {
                return Poll::Ready(Some(Ok(row)));
            }
            if self.is_over {
                return Poll::Ready(self.take_error().map(Err));
            }
            if std::mem::replace(&mut self.is_polling, true) {
                self.is_over = true;
                let message = "the stream ended when a row was read: its decoder panicked";
                return Poll::Ready(Some(Err(Error::usage(message).with_sql(&self.sql))));
            }
            let reply = std::mem::take(&mut self.reply);
            let mut sink = WarmSink {
                collector: &mut self.batch,
                reply,
                expected: None,
            };
            let polled = self
                .connection
                .link
                .poll_exchange(cx, &mut sink, Until::Idle);
            self.reply = sink.reply;
            self.is_polling = false;
            match polled {
                Poll::Pending if self.batch.rows.is_empty() => return Poll::Pending,
                Poll::Pending => {}
                // The batch is full, unless a row could not be read.
                Poll::Ready(Ok(Progress::Paused)) if self.reply.failure.is_none() => {}
                Poll::Ready(Ok(progress)) => self.finish(progress),
                Poll::Ready(Err(error)) => {
                    self.reply.failure = Some(error);
                    self.is_over = true;
                    self.note_end();
                }
            }
            // The rows before an error are handed out first.
            if self.is_over && self.batch.rows.is_empty() {
                return Poll::Ready(self.take_error().map(Err));
            }
        }
    }

    /// The replies are in, or a row could not be read.
    fn finish(&mut self, progress: Progress) {
        self.is_over = true;
        let reply = std::mem::take(&mut self.reply);
        match self.connection.end_exchange(progress, reply) {
            Ok(reply) => self.reply = reply,
            Err(error) => self.reply.failure = Some(error),
        }
        self.note_end();
    }

    /// Tells whoever watches, if the stream is over.
    fn note_end(&mut self) {
        if !self.is_over {
            return;
        }
        let reply = &self.reply;
        match (&reply.error, &reply.failure) {
            (Some(error), _) => self.observation.end(Err(&Error::server(error.1.clone()))),
            (None, Some(failure)) => self.observation.end(Err(failure)),
            (None, None) => self.observation.end(Ok(Some(reply.rows))),
        }
    }

    fn take_error(&mut self) -> Option<Error> {
        let reply = Reply {
            error: self.reply.error.take(),
            failure: self.reply.failure.take(),
            ..Reply::default()
        };
        reply.check().err().map(|error| error.with_sql(&self.sql))
    }
}

/// Sends the query and waits until the server has taken it, which it tells with the first
/// rows: up to there a statement that has become stale can be prepared anew. Returns whether
/// all has come, too.
async fn begin<T: for<'r> FromRow<'r>, P: Params>(
    connection: &mut Connection,
    sql: &str,
    params: &P,
    batch: &mut Batch<T>,
    limit: Limit,
) -> Result<(Columns, Reply, bool)> {
    connection.begin_operation(Some(sql), limit).await?;
    if let Some(begun) = begin_shared(connection, sql, params, batch).await? {
        return Ok(begun);
    }
    let mut retried = false;
    loop {
        let in_transaction = connection.is_in_transaction();
        // A result of any size must not wait in memory for its types to be known: a statement
        // that is new to this connection is described before it runs.
        let is_known = connection.statements.lookup(sql, params).is_some();
        let prepared = connection.prepared_for(sql, params, batch).await?;
        match connection.start_execute(&prepared, params) {
            Err(error) if is_known && !retried && connection.is_misfit(&prepared, &error) => {
                retried = true;
                continue;
            }
            started => started?,
        }
        let mut sink = WarmSink::new(batch).expecting(prepared.description().columns());
        let link = &mut *connection.link;
        let progress = poll_fn(|cx| match link.poll_exchange(cx, &mut sink, Until::Idle) {
            Poll::Pending if sink.reply.bound => Poll::Ready(Ok(Progress::Paused)),
            polled => polled,
        })
        .await?;
        let reply = connection.end_exchange(progress, sink.reply)?;
        let is_stale = connection.is_stale(&prepared, &reply);
        if is_stale && !retried && !in_transaction {
            retried = true;
            continue;
        }
        let reply = if reply.bound { reply } else { reply.check()? };
        let columns = prepared.description().columns().clone();
        return Ok((columns, reply, progress == Progress::Idle));
    }
}

/// [`begin`] for a statement that is new to this connection and known to another, in one round
/// trip. `None` if there is nothing known, or it doesn't fit: then the statement did not run.
async fn begin_shared<T: for<'r> FromRow<'r>, P: Params>(
    connection: &mut Connection,
    sql: &str,
    params: &P,
    batch: &mut Batch<T>,
) -> Result<Option<(Columns, Reply, bool)>> {
    let Some(known) = connection.shared_description(sql, params) else {
        return Ok(None);
    };
    let in_transaction = connection.is_in_transaction();
    let cold = match connection.start_cold(sql, params, Some(&known)) {
        Err(error) if error.kind() == ErrorKind::Encode => {
            connection.forget_shared(sql, params);
            return Ok(None);
        }
        cold => cold?,
    };
    // Nothing is held back: the types of the columns are known, unless they are others by now.
    let mut sink = ColdSink::new(batch, &cold.types).without_holding();
    let link = &mut *connection.link;
    let progress = poll_fn(
        |cx| match link.poll_exchange_dyn(cx, &mut sink, Until::Idle) {
            Poll::Pending if sink.is_bound() => Poll::Ready(Ok(Progress::Paused)),
            polled => polled,
        },
    )
    .await?;
    let (reply, learnt) = sink.into_parts();
    let reply = connection.end_exchange(progress, reply)?;
    if reply.was_refused() || reply.lacks_binary_form() {
        connection.settle(cold.name(), &reply);
        connection.forget_shared(sql, params);
        if !in_transaction {
            return Ok(None);
        }
    }
    let is_whole = reply.bound && reply.failure.is_none();
    let Some(learnt) = learnt.filter(|_| is_whole) else {
        // The statement is not kept: the next flight closes it.
        connection.misread_shared(sql, params, &known);
        reply.check()?;
        return Err(Error::protocol("the server did not describe the statement"));
    };
    // All types are known, so that nothing is asked while rows are still to come.
    let (prepared, _) = connection.keep_cold(sql, &cold, learnt).await?;
    let columns = prepared.description().columns().asked_in_binary();
    Ok(Some((columns, reply, progress == Progress::Idle)))
}

impl<T, C> Stream for RowStream<'_, T, C>
where
    T: for<'r> FromRow<'r>,
    C: DerefMut<Target = Connection>,
{
    type Item = Result<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_row(cx)
    }
}

// Nothing in it is ever pinned.
impl<T, C> Unpin for RowStream<'_, T, C> {}

impl<T, C> fmt::Debug for RowStream<'_, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowStream")
            .field("columns", &self.columns)
            .field("is_over", &self.is_over)
            .finish()
    }
}
