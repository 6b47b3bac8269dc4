//! [`CopyIn`]: bytes for COPY FROM STDIN.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use super::{check_is_copy, wrong_direction};
use crate::connection::ahead::Ahead;
use crate::connection::catalog::KnownTypes;
use crate::connection::execute::End;
use crate::connection::link::Until;
use crate::connection::observe::Observation;
use crate::connection::sinks::{Nothing, Reply, columns_of};
use crate::connection::{Connection, Held};
use crate::error::{Error, Result, ServerError, SqlState};
use crate::protocol::{At, CopyInReply, Part, Progress, RowBytes, Sink, Unit};
use crate::row::Columns;
use crate::statement::is_plain;
use crate::wire::backend::{CommandComplete, CopyResponse, RowDescription};
use crate::wire::frontend;

/// The largest CopyData that is written, in bytes.
const PIECE: usize = 128 * 1024;

/// The number of the COPY among the statements of its unit.
pub(super) const COPY: u32 = 0;

/// The number of the statement before it, if there is one, that tells the columns' types.
pub(super) const COLUMNS: u32 = 1;

/// The data of a COPY FROM STDIN, made by [`Connection::copy_in`].
///
/// What is sent takes effect with [`finish`](Self::finish), all or nothing. Dropped before,
/// the COPY fails on the server and nothing of it stays; the connection is usable.
///
/// # Example
///
/// ```no_run
/// # async fn example(connection: &mut kornak::Connection) -> kornak::Result<()> {
/// let mut copy = connection.copy_in("copy users (id, name) from stdin (format csv)").await?;
/// copy.send(b"1,Ada\n").await?;
/// copy.send(b"2,Grace\n").await?;
/// assert_eq!(copy.finish().await?, 2);
/// # Ok(())
/// # }
/// ```
#[must_use = "a COPY that is dropped without `finish` is aborted"]
pub struct CopyIn<'c> {
    connection: Held<'c>,
    sink: InputSink,
    ahead: Ahead,
    bytes: u64,
    /// A large piece of data was taken in part.
    is_torn: bool,
    is_over: bool,
    observation: Option<Observation>,
}

impl Connection {
    /// Starts a `COPY … FROM STDIN` of any format, and returns when the server is ready for
    /// its data.
    ///
    /// Each call on the result has the connection's default timeout of its own.
    ///
    /// # Errors
    ///
    /// The server's error; a statement that isn't COPY FROM STDIN; the deadline.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: the COPY is then aborted by the next operation.
    pub async fn copy_in(&mut self, sql: &str) -> Result<CopyIn<'_>> {
        CopyIn::open(self, sql).await
    }
}

impl Connection {
    /// Sends what `write` appends, whose last statement is a COPY FROM STDIN, and waits until
    /// the server is ready for its data. `name` is that of a statement that it prepares.
    ///
    /// # Errors
    ///
    /// The server's, after which it is at rest; another statement than COPY FROM STDIN.
    pub(super) async fn begin_copy_in(
        &mut self,
        sink: &mut InputSink,
        is_plain: bool,
        name: &str,
        write: impl FnOnce(&mut Unit<'_>) -> Result<()>,
    ) -> Result<()> {
        self.start_unit_with(write, End::Copy)?;
        self.statements.begin_parse(name);
        self.hygiene.note(is_plain);
        let link = &mut *self.link;
        let progress = poll_fn(|cx| match link.poll_exchange_dyn(cx, sink, Until::Idle) {
            // An error, or the end of another statement: nothing follows by itself.
            Poll::Pending if sink.is_settled() => Poll::Ready(Ok(Progress::Paused)),
            polled => polled,
        });
        progress.await?;
        if self.link.core.is_copying_in() {
            return Ok(());
        }
        Err(self.end_failed_copy(sink).await)
    }

    /// The COPY has failed, or never was one: the flight is brought to its end.
    #[cold]
    async fn end_failed_copy(&mut self, sink: &mut InputSink) -> Error {
        let link = &mut *self.link;
        if let Err(error) = link.core.abandon(&mut link.output) {
            return error;
        }
        if sink.is_output {
            // Its data may go on for long.
            return match self.recover().await {
                Ok(()) => wrong_direction("COPY FROM STDIN"),
                Err(error) => error,
            };
        }
        match poll_fn(|cx| link.poll_exchange_dyn(cx, &mut Nothing, Until::Idle)).await {
            Ok(progress) => {
                let reply = std::mem::take(&mut sink.reply);
                let ended = self.end_exchange(progress, reply);
                match ended.and_then(Reply::check) {
                    Ok(_) => wrong_direction("COPY FROM STDIN"),
                    Err(error) => error,
                }
            }
            Err(error) => error,
        }
    }
}

impl<'c> CopyIn<'c> {
    pub(crate) async fn open(connection: impl Into<Held<'c>>, sql: &str) -> Result<Self> {
        check_is_copy(sql)?;
        let connection = connection.into();
        let observation = Observation::start(&connection, sql);
        let begun = Self::watched(observation, Self::begin(connection, sql)).await;
        begun.map_err(|error| error.with_sql(sql))
    }

    /// What `beginning` begins, watched to its end.
    pub(super) async fn watched(
        observation: Observation,
        beginning: impl Future<Output = Result<Self>>,
    ) -> Result<Self> {
        let keep = |begun: &mut Self, observation| begun.observation = Some(observation);
        observation.open(beginning, keep, |error| error).await
    }

    async fn begin(mut connection: Held<'c>, sql: &str) -> Result<Self> {
        let limit = connection.default_limit();
        connection.begin_operation(Some(sql), limit).await?;
        let mut sink = InputSink::default();
        connection
            .begin_copy_in(&mut sink, is_plain(sql), "", |unit| {
                unit.execute_unprepared(COPY, sql)
            })
            .await?;
        Ok(Self::new(connection, sink))
    }

    /// The COPY that `connection` is in.
    pub(super) fn new(connection: Held<'c>, sink: InputSink) -> Self {
        Self {
            connection,
            sink,
            ahead: Ahead::new(),
            bytes: 0,
            is_torn: false,
            is_over: false,
            observation: None,
        }
    }

    /// Takes `data`, wherever rows begin and end in it. It is written when enough has come
    /// together; waits where the server doesn't keep up.
    ///
    /// # Errors
    ///
    /// The server's error, which may be about data sent earlier; the deadline.
    ///
    /// # Cancel safety
    ///
    /// Up to 128 KiB are taken as a whole or, if the future is dropped, not at all. Of more a
    /// part may have been taken; the COPY can then only be aborted.
    pub async fn send(&mut self, data: &[u8]) -> Result<()> {
        self.begin_call()?;
        self.is_torn = data.len() > PIECE;
        for piece in data.chunks(PIECE) {
            if self.must_flush() {
                self.flush_some().await?;
            }
            frontend::copy_data(&mut self.connection.link.output, piece)?;
            self.bytes += piece.len() as u64;
        }
        self.is_torn = false;
        Ok(())
    }

    /// Takes all that `reader` has, and returns how many bytes that were.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); and the reader's own, after which the COPY should be dropped.
    ///
    /// # Cancel safety
    ///
    /// What was read may be lost; drop the COPY then.
    pub async fn send_from(&mut self, reader: &mut (impl AsyncRead + Unpin)) -> Result<u64> {
        let mut buffer = Vec::with_capacity(PIECE);
        let mut total = 0;
        loop {
            buffer.clear();
            let mut limited = (&mut *reader).take(PIECE as u64);
            let count = limited.read_buf(&mut buffer).await.map_err(|error| {
                Error::new(
                    crate::error::ErrorKind::Usage,
                    "the reader of the COPY's data failed",
                )
                .with_source(error)
            })?;
            if count == 0 {
                return Ok(total);
            }
            total += count as u64;
            self.send(&buffer).await?;
        }
    }

    /// Writes all that was taken.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// May be dropped.
    pub async fn flush(&mut self) -> Result<()> {
        self.begin_call()?;
        self.flush_to(0).await
    }

    /// Ends the data and waits until the server has stored it. Returns the number of rows.
    ///
    /// # Errors
    ///
    /// The server's error: then nothing of it stays; the deadline.
    ///
    /// # Cancel safety
    ///
    /// Dropped, whether the COPY took effect is unknown.
    pub async fn finish(mut self) -> Result<u64> {
        self.begin_call()?;
        if self.connection.link.core.has_open_failed() {
            return Err(self.end_failed().await);
        }
        let link = &mut *self.connection.link;
        link.core.start_copy_done(&mut link.output)?;
        let ended = self.end().await.and_then(Reply::check);
        self.note_end(ended.as_ref().err());
        ended.map(|reply| reply.rows)
    }

    /// Gives it up: the server's log says why.
    ///
    /// # Errors
    ///
    /// If the reason contains NUL; the deadline; the connection is lost.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: it is given up all the same.
    pub async fn abort(mut self, reason: &str) -> Result<()> {
        self.set_limit();
        let link = &mut *self.connection.link;
        link.core.start_copy_fail(&mut link.output, reason)?;
        let ended = self.end().await.and_then(Reply::check);
        self.note_end(ended.as_ref().err());
        match ended {
            Ok(_) => Ok(()),
            // What CopyFail makes of the COPY (CopyGetData in the server's copyfromparse.c).
            Err(error) if error.sqlstate() == Some(SqlState::QUERY_CANCELED) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// How many bytes were taken so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What each of the calls that follow may take.
    pub(crate) fn set_default_timeout(&mut self, timeout: Option<Duration>) {
        self.connection.set_default_timeout(timeout);
    }

    /// How many columns the server wants, if it wants them in binary.
    pub(super) fn binary_columns(&self) -> Option<usize> {
        self.sink.binary_columns
    }

    /// Whether the socket should be waited for before more is taken.
    pub(super) fn must_flush(&self) -> bool {
        self.connection.link.output.len() >= self.ahead.flush_at()
    }

    /// How much is taken before that, in bytes.
    #[inline]
    pub(super) fn flush_at(&self) -> usize {
        self.ahead.flush_at()
    }

    /// Writes what was taken, but for as much as may be left when more is.
    pub(super) async fn make_room(&mut self) -> Result<()> {
        self.begin_call()?;
        self.flush_some().await
    }

    async fn flush_some(&mut self) -> Result<()> {
        self.flush_to(self.ahead.flushed_to()).await?;
        self.ahead.widen(&mut self.connection.link.output);
        Ok(())
    }

    /// The connection, whose write buffer data may be appended to, and how many bytes of it
    /// were so far; unless the COPY is over.
    #[inline]
    pub(super) fn data(&mut self) -> Result<(&mut Connection, &mut u64)> {
        if self.is_over {
            return Err(over());
        }
        Ok((&mut self.connection, &mut self.bytes))
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Takes `data` at once, without a wait.
    #[inline]
    pub(super) fn take(&mut self, data: &[u8]) -> Result<()> {
        self.bytes += data.len() as u64;
        frontend::copy_data(&mut self.connection.link.output, data)
    }

    fn set_limit(&mut self) {
        let limit = self.connection.default_limit();
        self.connection.link.set_limit(limit);
    }

    fn begin_call(&mut self) -> Result<()> {
        self.set_limit();
        if self.is_over {
            return Err(over());
        }
        if self.is_torn {
            return Err(Error::usage(
                "a part of the data was taken when its future was dropped: the COPY can only be aborted",
            ));
        }
        Ok(())
    }

    async fn flush_to(&mut self, left: usize) -> Result<()> {
        let Self {
            connection, sink, ..
        } = self;
        let link = &mut *connection.link;
        poll_fn(|cx| link.poll_exchange_dyn(cx, sink, Until::Written(left))).await?;
        if connection.link.core.has_open_failed() {
            return Err(self.end_failed().await);
        }
        Ok(())
    }

    fn poll_flush_to(&mut self, cx: &mut Context<'_>, left: usize) -> Poll<io::Result<()>> {
        let Self {
            connection, sink, ..
        } = self;
        let link = &mut *connection.link;
        let polled = link.poll_exchange_dyn(cx, sink, Until::Written(left));
        match ready!(polled) {
            Err(error) => Poll::Ready(Err(io::Error::other(error))),
            Ok(_) if link.core.has_open_failed() => {
                let message = "the server has refused the data: `finish` tells why";
                Poll::Ready(Err(io::Error::other(message)))
            }
            Ok(_) => Poll::Ready(Ok(())),
        }
    }

    /// Tells whoever watches how it has ended.
    fn note_end(&mut self, error: Option<&Error>) {
        if let Some(observation) = &mut self.observation {
            observation.end(error.map_or(Ok(None), Err));
        }
    }

    /// The COPY has failed: the flight is brought to its end.
    #[cold]
    async fn end_failed(&mut self) -> Error {
        let error = self.connection.end_failed_copy(&mut self.sink).await;
        let link = &self.connection.link;
        self.is_over = link.is_closed() || link.core.is_idle();
        self.note_end(Some(&error));
        error
    }

    /// The data is over: waits for the server's answer.
    async fn end(&mut self) -> Result<Reply> {
        let Self {
            connection, sink, ..
        } = self;
        let link = &mut *connection.link;
        let progress = poll_fn(|cx| link.poll_exchange_dyn(cx, sink, Until::Idle)).await?;
        self.is_over = true;
        let reply = std::mem::take(&mut self.sink.reply);
        self.connection.end_exchange(progress, reply)
    }
}

impl Drop for CopyIn<'_> {
    fn drop(&mut self) {
        if self.is_over || self.connection.link.is_closed() {
            return;
        }
        let link = &mut *self.connection.link;
        // Should it not fit, the next operation does the same.
        if link.core.abandon(&mut link.output).is_ok() {
            link.try_write();
        }
    }
}

/// What is written is taken as by [`send`](CopyIn::send). Shutting it down only flushes:
/// [`finish`](CopyIn::finish) ends the COPY, and tells what went wrong. Errors of the COPY
/// are in the `io::Error`.
impl AsyncWrite for CopyIn<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.begin_call().map_err(io::Error::other)?;
        if this.must_flush() || this.connection.link.core.has_open_failed() {
            ready!(this.poll_flush_to(cx, this.ahead.flushed_to()))?;
            this.ahead.widen(&mut this.connection.link.output);
        }
        let taken = data.len().min(PIECE);
        this.take(&data[..taken]).map_err(io::Error::other)?;
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.begin_call().map_err(io::Error::other)?;
        this.poll_flush_to(cx, 0)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

// Nothing in it is ever pinned.
impl Unpin for CopyIn<'_> {}

impl fmt::Debug for CopyIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyIn")
            .field("bytes", &self.bytes)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}

#[cold]
fn over() -> Error {
    Error::usage("the COPY is over")
}

/// Hears the server's side of a COPY FROM STDIN.
#[derive(Default)]
pub(super) struct InputSink {
    pub(super) reply: Reply,
    is_complete: bool,
    /// It is a COPY TO STDOUT.
    is_output: bool,
    /// How many columns the server wants, if it wants them in binary.
    binary_columns: Option<usize>,
    /// What the statement before it was described as earlier.
    pub(super) expected: Option<Columns>,
    /// What it is described as, where nothing is expected, with these types that are known.
    pub(super) columns: Option<Columns>,
    pub(super) types: Option<KnownTypes>,
    /// The server has refused the statement before it: the COPY was passed over.
    pub(super) is_refused: bool,
}

impl InputSink {
    /// Whether no data is wanted, nor ever will be.
    fn is_settled(&self) -> bool {
        self.reply.error.is_some() || self.is_complete || self.is_output
    }
}

impl Sink for InputSink {
    fn on_row(&mut self, _: At, _: RowBytes<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn on_complete(&mut self, _: At, command: CommandComplete<'_>) {
        self.reply.complete(command);
        self.is_complete = true;
    }

    fn on_empty_query(&mut self, _: At) {
        self.is_complete = true;
    }

    fn on_error(&mut self, at: At, error: ServerError) {
        self.is_refused = at.part == Part::Statement(COLUMNS);
        self.reply.fail(at.part, error);
    }

    fn on_parse_complete(&mut self, at: At) {
        self.reply.parsed |= at.part == Part::Statement(COLUMNS);
    }

    fn on_row_description(&mut self, _: At, fields: Option<RowDescription<'_>>) {
        if let Some(expected) = &self.expected {
            self.reply.compare(expected, fields);
        } else if let Some(types) = &self.types {
            self.columns = Some(columns_of(types, fields));
        }
    }

    fn on_copy_in(&mut self, _: At, response: CopyResponse<'_>) -> CopyInReply {
        self.binary_columns = (response.format == 1).then(|| response.column_formats().len());
        CopyInReply::Accept
    }

    fn on_copy_out(&mut self, _: At, _: CopyResponse<'_>) {
        self.is_output = true;
    }

    fn on_copy_data(&mut self, _: At, _: &[u8]) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}
