//! [`CopyOut`]: the bytes of COPY TO STDOUT.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::marker::PhantomData;
use std::ops::{ControlFlow, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_core::Stream;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::{check_is_copy, wrong_direction};
use crate::connection::Connection;
use crate::connection::link::Until;
use crate::connection::observe::Observation;
use crate::connection::sinks::Reply;
use crate::error::{Error, ErrorKind, Result, ServerError};
use crate::protocol::{At, Progress, RowBytes, Sink};
use crate::statement::is_plain;
use crate::wire::backend::{CommandComplete, CopyResponse};

/// How much is put together to one chunk, in bytes.
const CHUNK: usize = 64 * 1024;

/// The data of a COPY TO STDOUT, made by [`Connection::copy_out`].
///
/// One chunk and a read buffer at most are held at any time: a slow reader makes the server
/// wait. Dropped before its end, it leaves the rest to the next operation, which cancels it.
///
/// `C` is what gives the connection: a borrow of it, or the guard of a pool's, which the
/// stream then keeps.
///
/// # Example
///
/// ```no_run
/// # async fn example(connection: &mut kornak::Connection) -> kornak::Result<()> {
/// let mut copy = connection.copy_out("copy users to stdout (format csv)").await?;
/// while let Some(chunk) = copy.next().await? {
///     print!("{}", String::from_utf8_lossy(&chunk));
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a COPY does nothing until it is read"]
pub struct CopyOut<'c, C = &'c mut Connection> {
    connection: C,
    borrowed: PhantomData<&'c mut Connection>,
    sink: OutputSink,
    bytes: u64,
    /// What `poll_read` has not handed out yet.
    rest: Bytes,
    is_over: bool,
    observation: Option<Observation>,
}

impl Connection {
    /// Starts a `COPY … TO STDOUT` of any format.
    ///
    /// The deadline covers the whole COPY, the reader's own pauses included.
    ///
    /// # Errors
    ///
    /// The server's error; a statement that isn't COPY TO STDOUT; the deadline.
    ///
    /// # Cancel safety
    ///
    /// May be dropped, as may the result.
    pub async fn copy_out(&mut self, sql: &str) -> Result<CopyOut<'_>> {
        CopyOut::open(self, sql).await
    }
}

impl<C: DerefMut<Target = Connection>> CopyOut<'_, C> {
    pub(crate) async fn open(connection: C, sql: &str) -> Result<Self> {
        check_is_copy(sql)?;
        let observation = Observation::start(&connection, sql);
        let starting = Self::start(connection, sql);
        let keep = |started: &mut Self, observation| started.observation = Some(observation);
        let started = observation.open(starting, keep, |error| error).await;
        let mut started = started.map_err(|error| error.with_sql(sql))?;
        started.note_end();
        Ok(started)
    }

    async fn start(mut connection: C, sql: &str) -> Result<Self> {
        let limit = connection.default_limit();
        connection.begin_operation(Some(sql), limit).await?;
        connection.start_unit(|unit| unit.execute_unprepared(0, sql))?;
        connection.hygiene.note(is_plain(sql));
        let mut sink = OutputSink::default();
        let link = &mut *connection.link;
        let progress = poll_fn(|cx| match link.poll_exchange(cx, &mut sink, Until::Idle) {
            Poll::Pending if sink.is_started => Poll::Ready(Ok(Progress::Paused)),
            polled => polled,
        });
        let progress = progress.await?;
        let mut this = Self {
            connection,
            borrowed: PhantomData,
            sink,
            bytes: 0,
            rest: Bytes::new(),
            is_over: false,
            observation: None,
        };
        if progress == Progress::Idle {
            let is_started = this.sink.is_started;
            match this.finish(progress) {
                // What came before the error is handed out first.
                Err(error) if is_started => this.sink.reply.failure = Some(error),
                finished => finished?,
            }
        }
        Ok(this)
    }

    /// The next chunk, or `None` at the end. Where it is cut means nothing.
    ///
    /// # Errors
    ///
    /// The server's error, after the data before it; the deadline. It is over after an error.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: no byte is lost.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        poll_fn(|cx| self.poll_chunk(cx)).await.transpose()
    }

    /// Writes all that comes to `writer`, flushes it, and returns how many bytes that were.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next); and the writer's own.
    ///
    /// # Cancel safety
    ///
    /// A part may have been written.
    pub async fn write_to(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> Result<u64> {
        let mut total = 0;
        while let Some(chunk) = self.next().await? {
            writer.write_all(&chunk).await.map_err(writer_failed)?;
            total += chunk.len() as u64;
        }
        writer.flush().await.map_err(writer_failed)?;
        Ok(total)
    }

    /// How many bytes were handed out so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The number of rows, once it is at its end.
    pub fn rows(&self) -> Option<u64> {
        self.is_over.then_some(self.sink.reply.rows)
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.rest))));
        }
        loop {
            if self.sink.chunk.len() >= CHUNK || self.is_over {
                return Poll::Ready(self.take_chunk());
            }
            let link = &mut *self.connection.link;
            match link.poll_exchange(cx, &mut self.sink, Until::Idle) {
                Poll::Pending if self.sink.chunk.is_empty() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(self.take_chunk()),
                Poll::Ready(Ok(Progress::Paused)) => {}
                Poll::Ready(Ok(progress)) => {
                    if let Err(error) = self.finish(progress) {
                        self.sink.reply.failure = Some(error);
                    }
                    self.note_end();
                }
                Poll::Ready(Err(error)) => {
                    self.is_over = true;
                    self.sink.reply.failure = Some(error);
                    self.note_end();
                }
            }
        }
    }

    /// What has come; at the end the error, if there is one.
    fn take_chunk(&mut self) -> Option<Result<Bytes>> {
        if self.sink.chunk.is_empty() {
            return self.sink.reply.failure.take().map(Err);
        }
        self.bytes += self.sink.chunk.len() as u64;
        Some(Ok(self.sink.chunk.split().freeze()))
    }

    /// Tells whoever watches, if it is over.
    fn note_end(&mut self) {
        let reply = &self.sink.reply;
        if let (Some(observation), true) = (&mut self.observation, self.is_over) {
            observation.end(reply.failure.as_ref().map_or(Ok(Some(reply.rows)), Err));
        }
    }

    /// The replies are in.
    fn finish(&mut self, progress: Progress) -> Result<()> {
        self.is_over = true;
        let reply = std::mem::take(&mut self.sink.reply);
        let reply = self.connection.end_exchange(progress, reply)?;
        if self.sink.is_input || (reply.error.is_none() && !self.sink.is_started) {
            return Err(wrong_direction("COPY TO STDOUT"));
        }
        self.sink.reply = reply.check()?;
        Ok(())
    }
}

impl<C: DerefMut<Target = Connection>> Stream for CopyOut<'_, C> {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_chunk(cx)
    }
}

/// Errors of the COPY are in the `io::Error`.
impl<C: DerefMut<Target = Connection>> AsyncRead for CopyOut<'_, C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            match ready!(this.poll_chunk(cx)) {
                Some(Ok(chunk)) => this.rest = chunk,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = this.rest.len().min(out.remaining());
        out.put_slice(&this.rest[..count]);
        this.rest.advance(count);
        Poll::Ready(Ok(()))
    }
}

// Nothing in it is ever pinned.
impl<C> Unpin for CopyOut<'_, C> {}

impl<C> fmt::Debug for CopyOut<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyOut")
            .field("bytes", &self.bytes)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}

/// Collects the data of a COPY TO STDOUT.
#[derive(Default)]
struct OutputSink {
    reply: Reply,
    chunk: BytesMut,
    is_started: bool,
    /// It is a COPY FROM STDIN, which the core has refused.
    is_input: bool,
}

impl Sink for OutputSink {
    fn on_row(&mut self, _: At, _: RowBytes<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn on_complete(&mut self, _: At, command: CommandComplete<'_>) {
        self.reply.complete(command);
    }

    fn on_error(&mut self, at: At, error: ServerError) {
        self.reply.fail(at.part, error);
    }

    fn on_copy_in(&mut self, _: At, _: CopyResponse<'_>) -> crate::protocol::CopyInReply {
        self.is_input = true;
        crate::protocol::CopyInReply::Refuse
    }

    fn on_copy_out(&mut self, _: At, _: CopyResponse<'_>) {
        self.is_started = true;
    }

    fn on_copy_data(&mut self, _: At, data: &[u8]) -> ControlFlow<()> {
        self.chunk.extend_from_slice(data);
        if self.chunk.len() < CHUNK {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }
}

#[cold]
fn writer_failed(error: io::Error) -> Error {
    Error::new(ErrorKind::Usage, "the writer of the COPY's data failed").with_source(error)
}
