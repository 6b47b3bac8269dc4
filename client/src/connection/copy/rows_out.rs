//! [`CopyOutRows`]: typed rows of COPY TO STDOUT, in its binary format.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::ops::{ControlFlow, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::binary::{Parser, malformed};
use crate::connection::Connection;
use crate::connection::link::Until;
use crate::connection::observe::Observation;
use crate::connection::sinks::{Batch, Collector, Reply};
use crate::error::{Error, ErrorKind, Result, ServerError};
use crate::protocol::{At, Progress, RowBytes, Sink};
use crate::row::{Columns, FromRow, Plans};
use crate::wire::backend::CommandComplete;

/// The rows of a binary COPY TO STDOUT, made by [`Connection::copy_out_rows`].
///
/// A few rows and a read buffer at most are held at any time: a slow reader makes the server
/// wait. Dropped before its end, it leaves the rest to the next operation, which cancels it.
///
/// `C` is what gives the connection: a borrow of it, or the guard of a pool's, which the
/// stream then keeps.
///
/// # Example
///
/// ```no_run
/// # async fn example(connection: &mut kornak::Connection) -> kornak::Result<()> {
/// let mut rows = connection.copy_out_rows::<(i32, String)>("select id, name from users").await?;
/// while let Some((id, name)) = rows.next().await? {
///     println!("{id}: {name}");
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a COPY does nothing until it is read"]
pub struct CopyOutRows<'c, T, C = &'c mut Connection> {
    connection: C,
    borrowed: PhantomData<&'c mut Connection>,
    sql: Box<str>,
    columns: Columns,
    sink: RowsSink<T>,
    taken: u64,
    is_over: bool,
    observation: Observation,
}

impl Connection {
    /// Runs a query as a COPY of typed rows: less work for server and client than
    /// [`fetch`](Self::fetch) where rows are many. It takes no parameters.
    ///
    /// The deadline covers the whole COPY, the reader's own pauses included.
    ///
    /// # Errors
    ///
    /// If the query can't be sent, or its columns can't be read into `T`. What goes wrong
    /// later is an item.
    ///
    /// # Cancel safety
    ///
    /// May be dropped, as may the result.
    pub async fn copy_out_rows<T: for<'r> FromRow<'r>>(
        &mut self,
        query: &str,
    ) -> Result<CopyOutRows<'_, T>> {
        CopyOutRows::open(self, query).await
    }
}

impl<T, C> CopyOutRows<'_, T, C>
where
    T: for<'r> FromRow<'r>,
    C: DerefMut<Target = Connection>,
{
    pub(crate) async fn open(mut connection: C, query: &str) -> Result<Self> {
        let description = connection.describe(query).await?;
        let columns = description.columns().clone();
        let mut batch = Batch::new();
        let begun = batch.begin(&columns, &mut Plans::default());
        begun.map_err(|error| error.with_sql(query))?;
        // The query may end in a comment.
        let sql = format!("copy ({query}\n) to stdout (format binary)");
        let observation = Observation::start(&connection, &sql);
        connection.start_unit(|unit| unit.execute_unprepared(0, &sql))?;
        connection.hygiene.note(crate::statement::is_plain(query));
        Ok(Self {
            connection,
            borrowed: PhantomData,
            sql: sql.into(),
            columns,
            sink: RowsSink {
                batch,
                parser: Parser::default(),
                reply: Reply::default(),
                bytes: 0,
            },
            taken: 0,
            is_over: false,
            observation,
        })
    }
}

impl<T, C> CopyOutRows<'_, T, C>
where
    T: for<'r> FromRow<'r>,
    C: DerefMut<Target = Connection>,
{
    /// The next row, or `None` at the end.
    ///
    /// # Errors
    ///
    /// The server's error, after the rows before it; a row that can't be read; the deadline.
    /// It is over after an error.
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

    /// How many rows were handed out so far.
    pub fn rows(&self) -> u64 {
        self.taken
    }

    /// How many bytes have come so far.
    pub fn bytes(&self) -> u64 {
        self.sink.bytes
    }

    #[inline]
    fn poll_row(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        match self.sink.batch.rows.pop_front() {
            Some(row) => {
                self.taken += 1;
                Poll::Ready(Some(Ok(row)))
            }
            None => self.poll_batch(cx),
        }
    }

    /// The same where no row is left. It is a function of its own, so that the rows of a batch
    /// are handed out without a call.
    #[inline(never)]
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        loop {
            if let Some(row) = self.sink.batch.rows.pop_front() {
                self.taken += 1;
                return Poll::Ready(Some(Ok(row)));
            }
            if self.is_over {
                return Poll::Ready(self.take_error());
            }
            if let Some(error) = self.sink.reply.failure.take() {
                // The rest is for the next operation to read or cancel, if it is in order.
                self.is_over = true;
                self.sink.reply.failure = Some(match error.kind() {
                    ErrorKind::Protocol => self.connection.link.close(error),
                    _ => error,
                });
                self.note_end();
                continue;
            }
            match self.sink.parser.feed_carry(&mut self.sink.batch) {
                Ok(ControlFlow::Break(())) => continue,
                Ok(ControlFlow::Continue(())) if self.sink.batch.rows.is_empty() => {}
                Ok(ControlFlow::Continue(())) => continue,
                Err(error) => {
                    self.sink.reply.failure = Some(error);
                    continue;
                }
            }
            let link = &mut *self.connection.link;
            match link.poll_exchange(cx, &mut self.sink, Until::Idle) {
                Poll::Pending if self.sink.batch.rows.is_empty() => return Poll::Pending,
                Poll::Pending | Poll::Ready(Ok(Progress::Paused)) => {}
                Poll::Ready(Ok(progress)) => self.finish(progress),
                Poll::Ready(Err(error)) => {
                    self.is_over = true;
                    self.sink.reply.failure = Some(error);
                    self.note_end();
                }
            }
        }
    }

    /// It is over: tells whoever watches.
    fn note_end(&mut self) {
        let reply = &self.sink.reply;
        match (&reply.error, &reply.failure) {
            (Some(error), _) => self.observation.end(Err(&Error::server(error.1.clone()))),
            (None, Some(failure)) => self.observation.end(Err(failure)),
            (None, None) => self.observation.end(Ok(Some(reply.rows))),
        }
    }

    /// The replies are in.
    fn finish(&mut self, progress: Progress) {
        self.is_over = true;
        let reply = std::mem::take(&mut self.sink.reply);
        match self.connection.end_exchange(progress, reply) {
            Ok(reply) => self.sink.reply = reply,
            Err(error) => self.sink.reply.failure = Some(error),
        }
        let reply = &mut self.sink.reply;
        if reply.error.is_none() && reply.failure.is_none() && !self.sink.parser.is_at_end() {
            let error = malformed("it has no end");
            reply.failure = Some(self.connection.link.close(error));
        }
        self.note_end();
    }

    fn take_error(&mut self) -> Option<Result<T>> {
        let reply = Reply {
            error: self.sink.reply.error.take(),
            failure: self.sink.reply.failure.take(),
            ..Reply::default()
        };
        let error: Error = reply.check().err()?;
        Some(Err(error.with_sql(&self.sql)))
    }
}

impl<T, C> Stream for CopyOutRows<'_, T, C>
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
impl<T, C> Unpin for CopyOutRows<'_, T, C> {}

impl<T, C> fmt::Debug for CopyOutRows<'_, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyOutRows")
            .field("columns", &self.columns)
            .field("rows", &self.taken)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}

/// Reads the rows out of the data.
struct RowsSink<T> {
    batch: Batch<T>,
    parser: Parser,
    reply: Reply,
    bytes: u64,
}

impl<T: for<'r> FromRow<'r>> Sink for RowsSink<T> {
    fn on_row(&mut self, _: At, _: RowBytes<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn on_complete(&mut self, _: At, command: CommandComplete<'_>) {
        self.reply.complete(command);
    }

    fn on_error(&mut self, at: At, error: ServerError) {
        self.reply.fail(at.part, error);
    }

    #[inline]
    fn on_copy_data(&mut self, _: At, data: &[u8]) -> ControlFlow<()> {
        self.bytes += data.len() as u64;
        match self.parser.feed(data, &mut self.batch) {
            Ok(flow) => flow,
            Err(error) => self.reply.fail_locally(error, true),
        }
    }
}
