//! [`Core`]: the state of one connection's dialogue after startup.

use std::ops::ControlFlow;

use super::course::show_rows;
use super::queue::{CopyIn, Queue};
use super::sink::{At, CopyInReply, Part, RowBytes, Sink};
use super::transition::{Edge, Stage, edge};
use super::unit::Unit;
use crate::buffer::{ReadBuffer, WriteBuffer};
use crate::error::{Error, ErrorKind, Result, ServerError, Severity};
use crate::wire::{Frame, Split, TransactionStatus, backend, frontend, split, split_known, tag};

/// The size from which a row is lifted out of the read buffer, for a sink that keeps rows,
/// instead of being copied, in bytes.
pub const SHARED_ROW_THRESHOLD: usize = 4 * 1024;

/// The protocol's state machine, without I/O, clock or allocation in steady state.
///
/// `start_*` is what the application asks, appended to a [`WriteBuffer`] that the caller
/// sends; [`handle_input`](Self::handle_input) is what the network says. The queue of owed
/// replies says to whom an answer belongs.
#[derive(Debug)]
pub struct Core {
    pub(super) queue: Queue,
    pub(super) status: TransactionStatus,
    /// The last flight has no Sync yet.
    pub(super) open: Option<OpenUnit>,
    /// What the core itself has to say, because the sink refused a COPY.
    refusal: Option<Refusal>,
    /// How many bytes at the front of the input have been handled but not given up: if a sink
    /// panics, they are not handled again. Rows, which change no state, are added when the
    /// last of them has been shown.
    pub(super) handled: usize,
    broken: bool,
}

/// What is in a flight whose Sync has not been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpenUnit {
    /// Statements.
    Statements,
    /// A COPY FROM STDIN, whose data may be under way.
    CopyIn,
    /// The server reported an error and ignores everything up to the Sync.
    Failed,
}

/// The answer to a CopyInResponse that nobody wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// The server took the Sync for one within COPY and ignored it: it needs another.
    CopyFailAndSync,
    /// The simple query protocol has no Sync.
    CopyFail,
}

/// The edge that a message has taken: whose it was, from which stage, and what is done about
/// a COPY.
struct Taken {
    at: At,
    stage: Stage,
    copy: CopyIn,
}

/// Where a run of messages ends.
#[derive(Debug)]
pub(super) enum Stop {
    Progress(Progress),
    /// At a large row, for a sink that keeps rows: so long as a whole, and its body.
    SharedRow {
        length: usize,
        body: usize,
    },
}

/// What [`Core::handle_input`] is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes. The message at the front has `needed` as a whole, 0 while unknown.
    NeedInput {
        /// The message's length, in bytes.
        needed: usize,
    },
    /// The sink said `Break`.
    Paused,
    /// Nothing is owed. `needed` as above, for a message that nobody asked for.
    Idle,
}

impl Core {
    /// The state after the ReadyForQuery that ends startup.
    pub fn new(status: TransactionStatus) -> Self {
        Self {
            queue: Queue::default(),
            status,
            open: None,
            refusal: None,
            handled: 0,
            broken: false,
        }
    }

    /// The transaction status of the last ReadyForQuery.
    #[inline]
    pub fn transaction_status(&self) -> TransactionStatus {
        self.status
    }

    /// Whether nothing is owed by the server and nothing is left open by the client.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && !self.broken
    }

    /// Whether the dialogue can't go on.
    #[inline]
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether the server owes something, so that without input nothing is to be done but to
    /// wait for it.
    #[inline]
    pub fn is_waiting(&self) -> bool {
        !self.queue.is_empty() && !self.broken
    }

    /// How many flights are not over.
    pub fn flights(&self) -> u64 {
        self.queue.flights()
    }

    /// Starts a flight. It becomes part of the dialogue when it is finished; dropped before,
    /// it leaves no trace.
    ///
    /// # Errors
    ///
    /// If the dialogue is broken or the last flight is still open.
    #[inline]
    pub fn start_unit<'a>(&'a mut self, out: &'a mut WriteBuffer) -> Result<Unit<'a>> {
        if self.broken || self.open.is_some() {
            return Err(self.refuse_start());
        }
        Ok(Unit::begin(self, out))
    }

    /// Starts a simple query of any number of statements.
    ///
    /// # Errors
    ///
    /// As [`start_unit`](Self::start_unit); or the text contains NUL or is too long.
    pub fn start_query(&mut self, out: &mut WriteBuffer, sql: &str) -> Result<u64> {
        self.start_unit(out)?.query(sql)
    }

    /// Nobody waits for `flight` any more: its replies are read and dropped.
    pub fn discard(&mut self, flight: u64) {
        self.queue.discard(flight);
    }

    /// Nobody waits for anything that is owed so far.
    pub fn discard_all(&mut self) {
        self.queue.discard_all();
    }

    /// Nobody waits for anything that is owed any more. An open flight is brought to its
    /// Sync in `out`, a COPY within it fails.
    ///
    /// # Errors
    ///
    /// If the message can't be written.
    pub fn abandon(&mut self, out: &mut WriteBuffer) -> Result<()> {
        self.queue.discard_all();
        if self.broken {
            return Ok(());
        }
        if self.open == Some(OpenUnit::CopyIn) {
            // Without a COPY under way the server ignores it (PostgresMain, case 'f').
            frontend::copy_fail(out, "the client gave up")?;
            self.queue.set_copy(CopyIn::Failed);
        }
        if self.open.is_some() {
            self.start_sync(out);
        }
        Ok(())
    }

    /// Ends the data of a COPY FROM STDIN and its flight.
    ///
    /// # Errors
    ///
    /// If none is open.
    pub fn start_copy_done(&mut self, out: &mut WriteBuffer) -> Result<()> {
        self.check_copy_in()?;
        frontend::copy_done(out);
        if self.open == Some(OpenUnit::CopyIn) {
            self.queue.set_copy(CopyIn::Done);
        }
        self.start_sync(out);
        Ok(())
    }

    /// Makes a COPY FROM STDIN fail with `reason`, and ends its flight.
    ///
    /// # Errors
    ///
    /// If none is open, or `reason` contains NUL.
    pub fn start_copy_fail(&mut self, out: &mut WriteBuffer, reason: &str) -> Result<()> {
        self.check_copy_in()?;
        frontend::copy_fail(out, reason)?;
        if self.open == Some(OpenUnit::CopyIn) {
            self.queue.set_copy(CopyIn::Failed);
        }
        self.start_sync(out);
        Ok(())
    }

    /// Whether the server waits for the data of a COPY FROM STDIN.
    pub fn is_copying_in(&self) -> bool {
        self.open == Some(OpenUnit::CopyIn)
            && self
                .queue
                .front()
                .is_some_and(|entry| entry.awaits.first() == Some(Stage::CopyIn))
    }

    /// Whether the server has reported an error within the open flight: it ignores all that
    /// comes before the Sync, so that nothing more may be added.
    pub fn has_open_failed(&self) -> bool {
        self.open == Some(OpenUnit::Failed)
    }

    /// Adds to the open flight.
    ///
    /// # Errors
    ///
    /// If none is open, or it has failed.
    pub fn resume_unit<'a>(&'a mut self, out: &'a mut WriteBuffer) -> Result<Unit<'a>> {
        if self.broken || self.open != Some(OpenUnit::Statements) {
            return Err(self.refuse_start());
        }
        Ok(Unit::resume(self, out))
    }

    /// Handles all whole messages of `input`, until one is missing bytes, the sink pauses,
    /// or nothing is owed any more and no message is left.
    ///
    /// The dialogue stays in step when the sink panics; rows that it had been shown may be
    /// shown to it again, if the flight is not discarded then.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol, or the server ended the session with a FATAL error. The
    /// dialogue is over; every later call is an error.
    #[inline]
    pub fn handle_input<S: Sink>(
        &mut self,
        input: &mut ReadBuffer,
        sink: &mut S,
    ) -> Result<Progress> {
        if self.broken {
            return Err(closed());
        }
        let result = self.handle_messages(input, sink);
        if result.is_err() {
            self.broken = true;
        }
        result
    }

    /// Appends what the core itself has to say, and returns whether that was anything. To be
    /// called after [`handle_input`](Self::handle_input).
    ///
    /// # Errors
    ///
    /// If the message can't be written.
    #[inline]
    pub fn start_refusal(&mut self, out: &mut WriteBuffer) -> Result<bool> {
        match self.refusal.take() {
            None => Ok(false),
            Some(refusal) => {
                frontend::copy_fail(out, "this call can't send the data of COPY FROM STDIN")?;
                if refusal == Refusal::CopyFailAndSync {
                    frontend::sync(out);
                }
                Ok(true)
            }
        }
    }

    /// The connection is lost: nothing that is owed will come.
    pub fn handle_disconnect(&mut self) {
        self.broken = true;
    }

    /// Gives memory back after unusually long pipelines.
    pub fn shrink(&mut self) {
        self.queue.shrink();
    }

    fn handle_messages<S: Sink>(
        &mut self,
        input: &mut ReadBuffer,
        sink: &mut S,
    ) -> Result<Progress> {
        input.consume(std::mem::take(&mut self.handled));
        loop {
            let stop = self.handle_run(input.filled(), sink);
            input.consume(std::mem::take(&mut self.handled));
            match stop? {
                Stop::Progress(progress) => return Ok(progress),
                Stop::SharedRow { length, body } => {
                    if self
                        .handle_shared_row(input, (length, body), sink)?
                        .is_break()
                    {
                        return Ok(Progress::Paused);
                    }
                }
            }
        }
    }

    /// Handles the whole messages at the front of `filled`, counted in `self.handled`.
    #[inline]
    fn handle_run<S: Sink>(&mut self, filled: &[u8], sink: &mut S) -> Result<Stop> {
        let mut rest = filled;
        loop {
            if self.handle_course(filled.len(), &mut rest, sink).is_break() {
                return Ok(Stop::Progress(Progress::Paused));
            }
            if rest.is_empty() && self.queue.is_empty() {
                return Ok(Stop::Progress(Progress::Idle));
            }
            if let Some(stop) = self.handle_next(filled.len(), &mut rest, sink)? {
                return Ok(stop);
            }
        }
    }

    /// Handles the rows at the front of `rest`, the end of `length` bytes, and the message
    /// behind them, by the transition table.
    #[inline]
    pub(super) fn handle_next<S: Sink>(
        &mut self,
        length: usize,
        rest: &mut &[u8],
        sink: &mut S,
    ) -> Result<Option<Stop>> {
        if let Some(at) = self.place_of_rows() {
            let flow = self.handle_rows(at, rest, sink);
            self.handled = length - rest.len();
            if flow.is_break() {
                return Ok(Some(Stop::Progress(Progress::Paused)));
            }
        }
        if let Some(at) = self.place_of_copy_data() {
            if self.handle_copy_data(at, length, rest, sink).is_break() {
                return Ok(Some(Stop::Progress(Progress::Paused)));
            }
        }
        let frame = match split(rest)? {
            Split::Frame(frame) => frame,
            Split::Incomplete { .. } if self.queue.is_empty() => {
                return Ok(Some(Stop::Progress(Progress::Idle)));
            }
            Split::Incomplete { needed } => {
                return Ok(Some(Stop::Progress(Progress::NeedInput { needed })));
            }
        };
        let (whole, body) = (frame.total_len(), frame.body.len());
        if sink.shares_rows() && frame.tag == tag::DATA_ROW && body >= SHARED_ROW_THRESHOLD {
            return Ok(Some(Stop::SharedRow {
                length: whole,
                body,
            }));
        }
        *rest = &rest[whole..];
        self.handled = length - rest.len();
        let flow = self.handle_frame(frame, sink)?;
        Ok(flow.is_break().then_some(Stop::Progress(Progress::Paused)))
    }

    /// Where the next messages belong if they may be rows.
    #[inline]
    fn place_of_rows(&self) -> Option<At> {
        let entry = self.queue.front()?;
        match entry.awaits.first()? {
            stage @ (Stage::Execute | Stage::QueryRows) => {
                Some(entry.at(self.queue.front_flight(), stage))
            }
            _ => None,
        }
    }

    /// Shows the rows at the front of `rest`, or passes over those that nobody wants.
    #[inline]
    fn handle_rows<S: Sink>(&self, at: At, rest: &mut &[u8], sink: &mut S) -> ControlFlow<()> {
        if !self.queue.is_front_discarded() && !matches!(at.part, Part::Prefix(_)) {
            return show_rows(at, rest, sink);
        }
        while let Some((row, behind)) = split_known::<{ tag::DATA_ROW }>(rest) {
            if sink.shares_rows() && row.len() >= SHARED_ROW_THRESHOLD {
                break;
            }
            *rest = behind;
        }
        ControlFlow::Continue(())
    }

    /// Where the next messages belong if they may be data of COPY TO STDOUT.
    #[inline]
    fn place_of_copy_data(&self) -> Option<At> {
        let entry = self.queue.front()?;
        let stage = entry.awaits.first()?;
        matches!(stage, Stage::CopyOut).then(|| entry.at(self.queue.front_flight(), stage))
    }

    /// The same loop over the data of a COPY, none of which is shown twice: where it is cut means
    /// nothing, so that what had come before could not be told from what comes again.
    #[inline]
    fn handle_copy_data<S: Sink>(
        &mut self,
        at: At,
        length: usize,
        rest: &mut &[u8],
        sink: &mut S,
    ) -> ControlFlow<()> {
        let wanted = !self.queue.is_front_discarded() && !matches!(at.part, Part::Prefix(_));
        while let Some((data, behind)) = split_known::<{ tag::COPY_DATA }>(rest) {
            *rest = behind;
            self.handled = length - rest.len();
            if wanted && sink.on_copy_data(at, data).is_break() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    /// A large row for a sink that keeps rows: it gets the memory itself.
    fn handle_shared_row(
        &mut self,
        input: &mut ReadBuffer,
        (length, body): (usize, usize),
        sink: &mut dyn Sink,
    ) -> Result<ControlFlow<()>> {
        self.advance(tag::DATA_ROW)?;
        let row = input.take_shared(length).slice(length - body..);
        let Some(entry) = self.queue.front() else {
            return Err(unexpected(tag::DATA_ROW));
        };
        let at = self.queue.at(entry);
        if self.queue.is_front_discarded() || matches!(at.part, Part::Prefix(_)) {
            return Ok(ControlFlow::Continue(()));
        }
        Ok(sink.on_row(at, RowBytes::shared(&row)))
    }

    fn handle_frame(&mut self, frame: Frame<'_>, sink: &mut dyn Sink) -> Result<ControlFlow<()>> {
        match frame.tag {
            tag::NOTICE_RESPONSE => sink.on_notice(backend::to_server_error(frame.body)?),
            tag::NOTIFICATION_RESPONSE => {
                sink.on_notification(backend::NotificationResponse::parse(frame.body)?)
            }
            tag::PARAMETER_STATUS => {
                sink.on_parameter_status(backend::ParameterStatus::parse(frame.body)?)
            }
            tag::ERROR_RESPONSE => {
                self.handle_error(backend::to_server_error(frame.body)?, sink)?
            }
            _ => return self.handle_reply(frame, sink),
        }
        Ok(ControlFlow::Continue(()))
    }

    /// A reply to the front of the queue.
    fn handle_reply(&mut self, frame: Frame<'_>, sink: &mut dyn Sink) -> Result<ControlFlow<()>> {
        let wanted = !self.queue.is_front_discarded();
        let Taken { at, stage, copy } = self.advance(frame.tag)?;
        let caller = wanted && !matches!(at.part, Part::Prefix(_));
        // What nobody hears is parsed all the same: a malformed message is never passed over.
        match frame.tag {
            tag::PARSE_COMPLETE
            | tag::BIND_COMPLETE
            | tag::CLOSE_COMPLETE
            | tag::NO_DATA
            | tag::COPY_DONE
            | tag::EMPTY_QUERY_RESPONSE
            | tag::PORTAL_SUSPENDED => {
                if caller {
                    match frame.tag {
                        tag::PARSE_COMPLETE => sink.on_parse_complete(at),
                        tag::BIND_COMPLETE => sink.on_bind_complete(at),
                        tag::NO_DATA => sink.on_row_description(at, None),
                        tag::EMPTY_QUERY_RESPONSE => sink.on_empty_query(at),
                        tag::PORTAL_SUSPENDED => sink.on_suspended(at),
                        _ => {}
                    }
                }
            }
            tag::PARAMETER_DESCRIPTION => {
                let parameters = backend::ParameterDescription::parse(frame.body)?;
                if caller {
                    sink.on_parameter_description(at, parameters);
                }
            }
            tag::ROW_DESCRIPTION => {
                let fields = backend::RowDescription::parse(frame.body)?;
                if caller {
                    sink.on_row_description(at, Some(fields));
                }
            }
            tag::COMMAND_COMPLETE => {
                if stage == Stage::CopyIn && copy != CopyIn::Done {
                    return Err(unexpected(frame.tag));
                }
                let command = backend::CommandComplete::parse(frame.body)?;
                if caller {
                    sink.on_complete(at, command);
                } else if wanted {
                    sink.on_prefix_complete(at);
                }
            }
            tag::COPY_DATA => {
                if caller {
                    return Ok(sink.on_copy_data(at, frame.body));
                }
            }
            tag::COPY_OUT_RESPONSE => {
                let response = backend::CopyResponse::parse(frame.body)?;
                if caller {
                    sink.on_copy_out(at, response);
                }
            }
            tag::COPY_IN_RESPONSE => {
                let response = backend::CopyResponse::parse(frame.body)?;
                return self.handle_copy_in(at, response, copy, caller, sink);
            }
            tag::READY_FOR_QUERY => {
                let ready = backend::ReadyForQuery::parse(frame.body)?;
                self.status = ready.status;
                let flight = self.queue.front_flight();
                self.queue.finish_flight();
                if wanted {
                    sink.on_ready(flight, ready.status);
                }
            }
            _ => return Err(unexpected(frame.tag)),
        }
        Ok(ControlFlow::Continue(()))
    }

    fn handle_copy_in(
        &mut self,
        at: At,
        response: backend::CopyResponse<'_>,
        copy: CopyIn,
        caller: bool,
        sink: &mut dyn Sink,
    ) -> Result<ControlFlow<()>> {
        let reply = if caller {
            sink.on_copy_in(at, response)
        } else {
            CopyInReply::Refuse
        };
        if copy != CopyIn::Unexpected {
            // Whoever opened it ends it, or has done so already.
            return Ok(match reply {
                CopyInReply::Accept => ControlFlow::Break(()),
                CopyInReply::Refuse => ControlFlow::Continue(()),
            });
        }
        let Some(entry) = self.queue.front() else {
            return Err(unexpected(tag::COPY_IN_RESPONSE));
        };
        if entry.awaits.has(Stage::QueryCopyIn) {
            if self.queue.flights() > 1 {
                return Err(misplaced_copy());
            }
            self.refusal = Some(Refusal::CopyFail);
        } else if self.queue.flights() > 1 || self.open.is_some() {
            // The server takes the messages behind it for a part of the COPY, and which Sync
            // it answers next can't be told from here.
            return Err(misplaced_copy());
        } else if entry.awaits.has(Stage::Sync) {
            self.refusal = Some(Refusal::CopyFailAndSync);
        }
        // Otherwise another statement of the flight follows: the server itself refuses it as
        // an unexpected message within COPY and skips to the Sync (copyfromparse.c).
        Ok(ControlFlow::Continue(()))
    }

    fn handle_error(&mut self, error: ServerError, sink: &mut dyn Sink) -> Result<()> {
        if matches!(error.severity(), Severity::Fatal | Severity::Panic) {
            return Err(Error::server(error));
        }
        let Some(entry) = self.queue.front_mut() else {
            return Err(Error::protocol(format!(
                "the server sent an error that nothing asked for: {error}"
            )));
        };
        let entry = {
            let before = *entry;
            match before.awaits.first() {
                Some(Stage::QueryFailed) => return Err(unexpected(tag::ERROR_RESPONSE)),
                Some(
                    stage @ (Stage::Query
                    | Stage::QueryRows
                    | Stage::QueryCopyIn
                    | Stage::QueryCopyOut
                    | Stage::QueryCopyOutEnd
                    | Stage::QueryMore),
                ) => {
                    entry.awaits = before.awaits.without(stage).with(Stage::QueryFailed);
                }
                _ => {
                    if !self.queue.skip_to_sync() {
                        self.open = Some(OpenUnit::Failed);
                    }
                }
            }
            before
        };
        let at = self.queue.at(&entry);
        if !self.queue.is_front_discarded() {
            sink.on_error(at, error);
        }
        Ok(())
    }

    /// Takes the edge that the message `tag` has in the front entry's stage.
    #[inline(always)]
    fn advance(&mut self, tag: u8) -> Result<Taken> {
        let flight = self.queue.front_flight();
        let Some(entry) = self.queue.front_mut() else {
            return Err(unexpected(tag));
        };
        let Some(stage) = entry.awaits.first() else {
            return Err(unexpected(tag));
        };
        let taken = Taken {
            at: entry.at(flight, stage),
            stage,
            copy: entry.copy,
        };
        match edge(stage, tag) {
            Edge::Stay => {}
            Edge::Done => {
                entry.awaits = entry.awaits.without(stage);
                if entry.awaits.is_empty() {
                    self.queue.end_statement();
                }
            }
            Edge::Become(next) => entry.awaits = entry.awaits.without(stage).with(next),
            Edge::Illegal => return Err(out_of_order(stage, tag)),
        }
        Ok(taken)
    }

    /// Appends the Sync of the open flight.
    #[inline]
    pub(super) fn start_sync(&mut self, out: &mut WriteBuffer) {
        frontend::sync(out);
        self.queue.push_sync();
        self.open = None;
    }

    fn check_copy_in(&self) -> Result<()> {
        if self.broken {
            return Err(closed());
        }
        match self.open {
            Some(OpenUnit::CopyIn | OpenUnit::Failed) => Ok(()),
            _ => Err(Error::usage("no COPY FROM STDIN is under way")),
        }
    }

    #[cold]
    fn refuse_start(&self) -> Error {
        if self.broken {
            return closed();
        }
        match self.open {
            Some(_) => {
                Error::usage("another operation on this connection has not been brought to its end")
            }
            None => Error::usage("no operation is open on this connection"),
        }
    }
}

#[cold]
fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the connection is closed")
}

#[cold]
fn unexpected(tag: u8) -> Error {
    Error::protocol(format!(
        "the server sent {}, which nothing asked for",
        tag::name(tag)
    ))
}

#[cold]
fn out_of_order(stage: Stage, tag: u8) -> Error {
    Error::protocol(format!(
        "the server sent {} out of order, in the stage {stage:?}",
        tag::name(tag)
    ))
}

#[cold]
fn misplaced_copy() -> Error {
    Error::protocol("a COPY FROM STDIN was started within a pipeline")
}
