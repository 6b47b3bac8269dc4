//! [`Link`]: the socket, the buffers and the core, and the exchange between them.

use std::io;
use std::task::{Context, Poll, Waker};

use super::session::{CLIENT_ENCODING, Observed, Session};
use super::sinks::Nothing;
use super::timer::{Limit, Timer};
use crate::buffer::{ReadBuffer, WriteBuffer};
use crate::error::{Error, ErrorKind, Outcome, Result, ServerError};
use crate::protocol::{Core, Progress, Sink};
use crate::transport::Stream;
use crate::wire::frontend;

/// Everything that an exchange with the server makes progress in. Nothing of it lives in a
/// future: a future that is dropped leaves the dialogue where it is.
pub(crate) struct Link {
    stream: Stream,
    input: ReadBuffer,
    pub(super) output: WriteBuffer,
    pub(super) core: Core,
    pub(super) session: Session,
    timer: Timer,
    /// What was written has left the stream's own buffers, too.
    is_flushed: bool,
    /// The socket takes no more, but may still have the server's reason to give.
    write_error: Option<io::Error>,
    closed: Option<Closed>,
}

/// Why a connection is closed.
#[derive(Clone, Debug)]
struct Closed {
    message: String,
    server: Option<ServerError>,
}

/// What ends one call of [`Link::poll_exchange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// All that is owed has come.
    Idle,
    /// All has been written but for this many bytes; what comes meanwhile is handled.
    Written(usize),
}

/// The capacity of the write buffer that an idle connection keeps, in bytes.
pub(super) const OUTPUT_CAPACITY: usize = 4 * 1024;

/// The capacity above which an idle connection's write buffer is given back, in bytes.
const OUTPUT_KEPT: usize = 16 * 1024;

/// What the buffers may hold when an operation has ended, in bytes: what steady reading
/// needs, and no message that was larger.
const BUFFERS_KEPT: usize = 64 * 1024;

/// After how many reads without a wait the clock is asked: a peer that never lets us wait
/// must not outlive the deadline.
const READS_PER_CLOCK: u32 = 64;

impl Link {
    pub(super) fn new(stream: Stream, input: ReadBuffer, core: Core, session: Session) -> Self {
        Self {
            stream,
            input,
            output: WriteBuffer::with_capacity(OUTPUT_CAPACITY),
            core,
            session,
            timer: Timer::default(),
            is_flushed: true,
            write_error: None,
            closed: None,
        }
    }

    /// Sets the time that the operation that now starts may take.
    #[inline]
    pub(super) fn set_limit(&mut self, limit: Limit) {
        self.timer.set(limit);
    }

    /// Fixes the deadline of an operation of several exchanges now.
    pub(super) fn start_clock(&mut self) {
        self.timer.start();
    }

    /// The time that the operation may take: a point in time once it has waited.
    pub(super) fn limit(&self) -> Limit {
        self.timer.limit()
    }

    /// Ready when the operation's time is over, for what waits for something else than the
    /// server.
    pub(super) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.poll_expired(cx)
    }

    /// Writes what is pending and handles what comes, until all is there that `until` names
    /// or the sink pauses. Reading and writing are polled together, so that neither side can
    /// block the other, whatever the sizes of the sockets' buffers.
    ///
    /// # Errors
    ///
    /// A timeout leaves the dialogue as it is. Every other error has closed the connection.
    pub(super) fn poll_exchange<S: Sink + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut S,
        until: Until,
    ) -> Poll<Result<Progress>> {
        if self.closed.is_some() {
            return Poll::Ready(Err(self.closed_error()));
        }
        let mut reads = 0;
        loop {
            if !self.is_flushed || !self.output.is_empty() {
                self.poll_write(cx);
            }
            let is_quick = until == Until::Idle && self.input.is_empty() && self.core.is_waiting();
            let progress = if is_quick {
                Progress::NeedInput { needed: 0 }
            } else {
                match self.handle_input(sink) {
                    Ok(Some(progress)) => progress,
                    Ok(None) => continue,
                    Err(error) => return Poll::Ready(Err(self.close(error))),
                }
            };
            let needed = match (progress, until) {
                (Progress::Paused, _) => return Poll::Ready(Ok(Progress::Paused)),
                (Progress::Idle, Until::Idle) if self.output.is_empty() => {
                    if self.input.settle() {
                        self.shrink();
                    } else if self.buffered() > BUFFERS_KEPT {
                        self.give_back();
                    }
                    return Poll::Ready(Ok(Progress::Idle));
                }
                (_, Until::Written(left)) if self.output.len() <= left => {
                    return Poll::Ready(Ok(progress));
                }
                (Progress::Idle, _) => 0,
                (Progress::NeedInput { needed }, _) => needed,
            };
            match self.poll_read(cx, needed) {
                Poll::Ready(Ok(())) => {
                    reads += 1;
                    if reads % READS_PER_CLOCK == 0 {
                        self.timer.start();
                        if self.timer.has_expired() {
                            return Poll::Ready(Err(timed_out()));
                        }
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return self.timer.poll_expired(cx).map(|()| Err(timed_out())),
            }
        }
    }

    /// As [`poll_exchange`](Self::poll_exchange), for a sink that is not worth code of its own:
    /// one that hears a statement's first execution, or the driver's own.
    pub(super) fn poll_exchange_dyn(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut dyn Sink,
        until: Until,
    ) -> Poll<Result<Progress>> {
        self.poll_exchange(cx, sink, until)
    }

    /// Handles what has come; nothing where the core itself has something to say to it first.
    ///
    /// # Errors
    ///
    /// What breaks the dialogue.
    #[inline]
    fn handle_input<S: Sink + ?Sized>(&mut self, sink: &mut S) -> Result<Option<Progress>> {
        let mut observed = Observed {
            session: &mut self.session,
            sink,
        };
        let was_owed = self.core.flights() > 0;
        let progress = match self.core.handle_input(&mut self.input, &mut observed) {
            Ok(progress) => progress,
            // All has come that was owed, and behind it what breaks the dialogue: a FATAL
            // error, for example. It befalls the next operation, not this one.
            Err(error) if was_owed && self.core.flights() == 0 => {
                self.close(error);
                return Ok(Some(Progress::Idle));
            }
            Err(error) => return Err(error),
        };
        if self.session.is_foreign() {
            return Err(self.foreign());
        }
        let refuses = self.core.start_refusal(&mut self.output)?;
        Ok((!refuses).then_some(progress))
    }

    /// Writes as much of what is pending as the socket takes at once, without waiting.
    pub(super) fn try_write(&mut self) {
        self.poll_write(&mut Context::from_waker(Waker::noop()));
    }

    /// Whether a byte or the end of the stream waits to be read: at a checkout, nothing may.
    /// Asynchronous messages are handled and are not counted.
    ///
    /// # Errors
    ///
    /// If the connection is closed, by FATAL for example.
    pub(super) fn check_silent(&mut self) -> Result<bool> {
        if self.closed.is_some() {
            return Err(self.closed_error());
        }
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..READS_PER_CLOCK {
            let read = self.poll_read(&mut cx, 0);
            self.handle_unasked()?;
            match read {
                Poll::Pending => return Ok(self.input.is_empty() && self.core.is_idle()),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Whether [`check_silent`](Self::check_silent) would find nothing, by what the runtime has
    /// heard of the socket, which must not have ended. False where that has to be looked at.
    #[inline]
    pub(super) fn hears_nothing(&self) -> bool {
        self.closed.is_none()
            && !self.stream.may_have_input()
            && self.input.is_empty()
            && self.core.is_idle()
    }

    /// Waits until something has arrived that nobody asked for, and handles it.
    ///
    /// # Errors
    ///
    /// As [`poll_exchange`](Self::poll_exchange).
    pub(super) fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.closed.is_some() {
            return Poll::Ready(Err(self.closed_error()));
        }
        match self.poll_read(cx, 0) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return self.timer.poll_expired(cx).map(|()| Err(timed_out())),
        }
        Poll::Ready(self.handle_unasked())
    }

    /// Handles what has come and nobody asked for.
    fn handle_unasked(&mut self) -> Result<()> {
        let mut observed = Observed::<dyn Sink> {
            session: &mut self.session,
            sink: &mut Nothing,
        };
        match self.core.handle_input(&mut self.input, &mut observed) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.close(error)),
        }
    }

    /// Whether nothing is owed, nothing is to be written, and the connection is open.
    #[inline]
    pub(super) fn is_quiet(&self) -> bool {
        self.closed.is_none() && self.core.is_idle() && self.output.is_empty()
    }

    /// Whether the connection can't be used any more.
    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Nothing is under way: large buffers are given back.
    #[cold]
    pub(super) fn shrink(&mut self) {
        self.input.shrink();
        self.shrink_output();
        self.core.shrink();
    }

    /// An operation has ended that has made the buffers larger than may be kept. What it needed
    /// for reading stays, if that alone is not too much: the next one may be like it.
    #[cold]
    fn give_back(&mut self) {
        self.shrink_output();
        if self.buffered() > BUFFERS_KEPT {
            self.input.shrink();
        }
    }

    fn shrink_output(&mut self) {
        if self.output.is_empty() && self.output.capacity() > OUTPUT_KEPT {
            self.output.shrink_to(OUTPUT_CAPACITY);
        }
    }

    /// How much memory the buffers hold, in bytes.
    pub(super) fn buffered(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }

    /// The connection ends with `error`, which is handed back.
    #[cold]
    pub(super) fn close(&mut self, error: Error) -> Error {
        self.core.handle_disconnect();
        self.output.clear();
        if self.closed.is_none() {
            self.closed = Some(Closed {
                message: error.to_string(),
                server: error.as_server().cloned(),
            });
        }
        error
    }

    /// Says Terminate and closes the socket; waits for neither longer than the limit.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.output.is_empty() && self.write_error.is_none() {
            let before = self.output.len();
            self.poll_write(cx);
            if self.output.len() == before {
                return self.timer.poll_expired(cx);
            }
        }
        match self.stream.poll_shutdown(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => self.timer.poll_expired(cx),
        }
    }

    /// Appends Terminate, if the dialogue is at a place where the server reads it.
    pub(super) fn start_terminate(&mut self) {
        if self.closed.is_none() {
            frontend::terminate(&mut self.output);
        }
    }

    #[cold]
    pub(super) fn closed_error(&self) -> Error {
        let Some(closed) = &self.closed else {
            return Error::new(ErrorKind::Closed, "the connection is closed");
        };
        match &closed.server {
            Some(server) => Error::closed_by_server(server.clone()),
            None => Error::new(
                ErrorKind::Closed,
                format!("the connection is closed: {}", closed.message),
            ),
        }
        .with_outcome(Outcome::NotRun)
    }

    #[cold]
    fn foreign(&self) -> Error {
        let encoding = self.session.parameter(CLIENT_ENCODING).unwrap_or_default();
        Error::new(
            ErrorKind::Closed,
            format!(
                "client_encoding was set to {encoding}, but text is only read and written as \
                 UTF8: the connection is closed"
            ),
        )
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) {
        while !self.output.is_empty() && self.write_error.is_none() {
            match self.stream.poll_write(cx, self.output.pending()) {
                Poll::Ready(Ok(0)) => self.write_error = Some(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.output.advance(count);
                    self.is_flushed = false;
                }
                Poll::Ready(Err(error)) => self.write_error = Some(error),
                Poll::Pending => return,
            }
        }
        if !self.is_flushed {
            match self.stream.poll_flush(cx) {
                Poll::Ready(Ok(())) => self.is_flushed = true,
                Poll::Ready(Err(error)) => self.write_error = Some(error),
                Poll::Pending => {}
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, needed: usize) -> Poll<Result<()>> {
        let Self { stream, input, .. } = self;
        match input.fill(needed, |memory| stream.poll_read(cx, memory)) {
            Poll::Ready(Ok(0)) => {
                let error = match self.write_error.take() {
                    Some(error) => lost().with_source(error),
                    None => lost(),
                };
                Poll::Ready(Err(self.close(error)))
            }
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => {
                Poll::Ready(Err(self.close(Error::io("the connection is lost", error))))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cold]
fn lost() -> Error {
    Error::new(
        ErrorKind::Io,
        "the server closed the connection unexpectedly",
    )
}

#[cold]
pub(super) fn timed_out() -> Error {
    Error::new(
        ErrorKind::Timeout,
        "the operation did not end before its deadline",
    )
}
