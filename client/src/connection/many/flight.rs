//! [`Flight`]: the items on their way to the server, and the replies on theirs back.

mod shared;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::vec::IntoIter;

use super::items::sealed::Source;
use super::{Held, PipelineError};
use crate::connection::ahead::Ahead;
use crate::connection::cold::Learning;
use crate::connection::execute::End;
use crate::connection::link::Until;
use crate::connection::recover::{UndoOutcome, start_undo};
use crate::connection::sinks::{Collector, Command, Reply, server_error};
use crate::connection::transaction::rolled_back;
use crate::error::{Error, ErrorKind, Outcome, Result, ServerError};
use crate::params::{Declaration, Params};
use crate::protocol::{At, Part, Progress, RowBytes, Sink, Unit};
use crate::row::{Columns, Plans};
use crate::statement::{Prepared, declared_oids};
use crate::wire::TransactionStatus;
use crate::wire::backend::{CommandComplete, ParameterDescription, RowDescription};
use crate::wire::frontend;

/// The number of COMMIT among the statements of the unit; all items have 0.
const COMMIT: u32 = 1;

/// The number of BEGIN among what goes before the statements: none of a reset's.
const BEGIN: u32 = u32::MAX;

/// The statements of all items, in one unit that stays open until the last of them.
///
/// Dropped before its end, it brings the unit to its Sync and has the server roll back.
pub(super) struct Flight<'c, C, S: Source> {
    connection: Held<'c>,
    prepared: Arc<Prepared>,
    /// What the first item's parameters declare themselves as.
    declared: Declaration,
    source: S,
    /// What was taken from the source, and goes before the rest of it.
    taken: IntoIter<S::Item>,
    /// Holds what was written, as long as it may have to be written again.
    kept: Option<Vec<S::Item>>,
    sink: ManySink<C>,
    state: State,
    ahead: Ahead,
    /// How many items were written.
    written: u64,
    /// Whether some were written since the server was last asked for its replies.
    is_unflushed: bool,
    /// The transaction is its own.
    owns: bool,
}

/// What [`Flight::poll`] has come to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// The collector has enough for now.
    Paused,
    /// All is done: so many rows were affected.
    Done(u64),
}

/// What [`Flight::take_items`] has come to.
enum Taken {
    /// Enough to be sent.
    Enough,
    /// The source has no more for now.
    AllThereIs,
    /// There is no more, and the unit is at its end.
    Last,
}

enum State {
    /// Items are written.
    Sending,
    /// The Sync is written, behind a COMMIT or not.
    Closing {
        commits: bool,
    },
    /// The failure is known, and ROLLBACK is written.
    Undoing(PipelineError, UndoOutcome),
    Over,
}

impl<'c, C: Collector, S: Source<Item: Params>> Flight<'c, C, S> {
    /// A flight of the items of `source`, of which `first` was taken, and nothing is written
    /// yet.
    pub(super) fn new(
        connection: Held<'c>,
        prepared: Arc<Prepared>,
        first: &S::Item,
        source: S,
        collector: C,
    ) -> Self {
        Self {
            owns: !connection.is_in_transaction(),
            sink: ManySink::new(collector, &prepared),
            declared: Declaration::of(first),
            connection,
            prepared,
            source,
            taken: Vec::new().into_iter(),
            kept: None,
            state: State::Over,
            ahead: Ahead::new(),
            written: 0,
            is_unflushed: true,
        }
    }

    /// Writes BEGIN, where no transaction is open, and the first item.
    ///
    /// # Errors
    ///
    /// If the item can't be written; nothing is sent then.
    pub(super) fn start(&mut self, sql: &str, first: &S::Item) -> Result<()> {
        let is_unnamed = self.prepared.name().is_empty() && !self.connection.is_pooled;
        if !is_unnamed {
            return self.start_with(first, |_| Ok(()));
        }
        // The Parse of BEGIN has replaced the unnamed statement.
        let oids = declared_oids(self.declared.as_slice());
        self.start_with(first, |unit| unit.prepare(0, "", sql, &oids))
    }

    /// [`start`](Self::start), with what `prepare` appends before the item.
    fn start_with(
        &mut self,
        first: &S::Item,
        prepare: impl FnOnce(&mut Unit<'_>) -> Result<()>,
    ) -> Result<()> {
        let (owns, prepared) = (self.owns, &self.prepared);
        let types = prepared.description().parameters();
        let connection = &mut *self.connection;
        connection.start_unit_with(
            |unit| {
                if owns {
                    unit.prefix(BEGIN, "begin")?;
                }
                prepare(unit)?;
                unit.execute(0, prepared.template(), |out| first.encode(types, out))
            },
            End::Open,
        )?;
        connection.hygiene.note(prepared.is_plain());
        if owns {
            // Whoever uses the connection next rolls back, unless this gets to its end.
            connection.undo.push("rollback".into());
        }
        self.state = State::Sending;
        self.written = 1;
        Ok(())
    }

    /// How many items were written so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Whether the first item did not fit what is known of the statement, which may be another
    /// by now.
    pub(super) fn is_misfit(&mut self, error: &Error) -> bool {
        self.connection.is_misfit(&self.prepared, error)
    }

    pub(super) fn collector(&mut self) -> &mut C {
        &mut self.sink.collector
    }

    /// Sends and hears as much as goes without a wait. All progress is in the flight and its
    /// connection.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step, PipelineError>> {
        loop {
            let until = match &mut self.state {
                State::Sending => match self.take_items(cx) {
                    Taken::Enough => Until::Written(self.ahead.flushed_to()),
                    Taken::AllThereIs => Until::Idle,
                    Taken::Last => continue,
                },
                State::Closing { .. } => Until::Idle,
                State::Undoing(..) => return self.poll_undoing(cx),
                State::Over => return Poll::Ready(Ok(Step::Done(self.sink.rows))),
            };
            let link = &mut *self.connection.link;
            let polled = link.poll_exchange(cx, &mut self.sink, until);
            let is_lost = matches!(polled, Poll::Ready(Err(_)));
            if !is_lost && link.core.has_open_failed() {
                if let Err(error) = self.end_failed() {
                    return Poll::Ready(Err(error));
                }
                continue;
            }
            match polled {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Progress::Paused)) => {
                    return Poll::Ready(self.pause().map(|()| Step::Paused));
                }
                Poll::Ready(Ok(progress)) => {
                    let State::Closing { commits } = self.state else {
                        self.ahead.widen(&mut link.output);
                        continue;
                    };
                    match self.end(progress, commits) {
                        Ok(()) => continue,
                        Err(error) => {
                            if let Some(error) = self.start_undoing(error) {
                                return Poll::Ready(Err(error));
                            }
                        }
                    }
                }
                Poll::Ready(Err(error)) => {
                    let error = self.lost(error);
                    return Poll::Ready(Err(self.fail(error)));
                }
            }
        }
    }

    /// The collector has enough for now, unless a row was malformed.
    fn pause(&mut self) -> Result<(), PipelineError> {
        match self.sink.malformed() {
            None => Ok(()),
            Some(error) => {
                let error = self.connection.link.close(error);
                Err(self.fail(error.into()))
            }
        }
    }

    /// The server passes over the rest of the unit: it is brought to its end.
    #[cold]
    fn end_failed(&mut self) -> Result<(), PipelineError> {
        let link = &mut *self.connection.link;
        if let Err(error) = link.core.abandon(&mut link.output) {
            return Err(self.fail(error.into()));
        }
        self.state = State::Closing { commits: false };
        Ok(())
    }

    /// Writes items until there is enough to send or no more.
    fn take_items(&mut self, cx: &mut Context<'_>) -> Taken {
        let taken = self.encode_items(cx).unwrap_or_else(|error| {
            // An item before it may turn out to have failed first.
            self.sink.local = Some((self.written, error));
            Taken::Last
        });
        match taken {
            Taken::Last => self.finish_sending(),
            Taken::AllThereIs if std::mem::take(&mut self.is_unflushed) => {
                // Otherwise the server keeps its replies until there are more.
                frontend::flush(&mut self.connection.link.output);
            }
            Taken::AllThereIs | Taken::Enough => {}
        }
        taken
    }

    /// Appends items.
    ///
    /// # Errors
    ///
    /// If one can't be written. Those before it are.
    #[inline]
    fn encode_items(&mut self, cx: &mut Context<'_>) -> Result<Taken> {
        let link = &mut *self.connection.link;
        let types = self.prepared.description().parameters();
        let template = self.prepared.template();
        let mut unit = link.core.resume_unit(&mut link.output)?;
        let mut executions = unit.executions(0, template);
        let flush_at = self.ahead.flush_at();
        let mut written = 0;
        // Whether all items are declared as the first one, because their type says so.
        let mut is_known = false;
        let ended = loop {
            if executions.pending() >= flush_at {
                break Ok(Taken::Enough);
            }
            let item = match self.taken.next() {
                Some(item) => item,
                None => match self.source.poll_item(cx) {
                    Poll::Ready(Some(item)) => item,
                    Poll::Ready(None) => break Ok(Taken::Last),
                    Poll::Pending => break Ok(Taken::AllThereIs),
                },
            };
            if !is_known {
                if !self.declared.is_of(&item) {
                    break Err(other_types());
                }
                is_known = item.declaration().is_some();
            }
            if let Err(error) = executions.add(|out| item.encode(types, out)) {
                break Err(error);
            }
            written += 1;
            if let Some(kept) = &mut self.kept {
                kept.push(item);
            }
        };
        drop(executions);
        unit.keep_open();
        self.written += written;
        self.is_unflushed |= written > 0;
        ended
    }

    /// Writes the Sync; before it COMMIT, if the transaction is its own and all is well.
    fn finish_sending(&mut self) {
        let commits = self.owns && self.sink.local.is_none();
        let link = &mut *self.connection.link;
        let finished = link
            .core
            .resume_unit(&mut link.output)
            .and_then(|mut unit| {
                if commits {
                    unit.execute_unprepared(COMMIT, "commit")?;
                }
                unit.finish();
                Ok(())
            });
        if let Err(error) = finished {
            // No text of its own can be refused.
            drop(link.close(error));
        }
        self.state = State::Closing { commits };
    }

    /// The replies are in.
    fn end(&mut self, progress: Progress, commits: bool) -> Result<(), PipelineError> {
        let reply = std::mem::take(&mut self.sink.reply);
        let reply = self.connection.end_exchange(progress, reply)?;
        // The next call prepares it anew.
        self.connection.is_stale(&self.prepared, &reply);
        let sink = &mut self.sink;
        if let Some(error) = reply.error {
            let index = match error.0 {
                Part::Statement(0) => Some(sink.completed),
                _ => None,
            };
            return Err(PipelineError::at(index, server_error(*error)));
        }
        if let Some((index, error)) = sink.local.take() {
            return Err(PipelineError::at(Some(index), error));
        }
        if commits && sink.is_committed == Command::Rollback {
            return Err(rolled_back().into());
        }
        let failed_at = sink.failed_at;
        self.finish_undo();
        self.state = State::Over;
        match reply.failure {
            None => Ok(()),
            Some(failure) => {
                let failure = failure.with_outcome(Outcome::Completed);
                Err(PipelineError::at(failed_at, failure))
            }
        }
    }

    /// Has the server roll back before the failure is told, if there is something to.
    #[cold]
    fn start_undoing(&mut self, error: PipelineError) -> Option<PipelineError> {
        let connection = &mut *self.connection;
        let is_open = connection.transaction_status() != TransactionStatus::Idle;
        if self.owns && is_open && start_undo(&mut connection.link, &["rollback".into()]).is_ok() {
            self.state = State::Undoing(error, UndoOutcome::default());
            return None;
        }
        self.finish_undo();
        self.state = State::Over;
        Some(error)
    }

    fn poll_undoing(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step, PipelineError>> {
        let State::Undoing(_, outcome) = &mut self.state else {
            return Poll::Pending;
        };
        let link = &mut *self.connection.link;
        let Poll::Ready(result) = link.poll_exchange_dyn(cx, outcome, Until::Idle) else {
            return Poll::Pending;
        };
        match std::mem::replace(&mut self.state, State::Over) {
            State::Undoing(error, outcome) => {
                // Should it not have gone well, the next operation does it.
                if result.is_ok() && outcome.is_fine() {
                    self.finish_undo();
                }
                Poll::Ready(Err(error))
            }
            _ => Poll::Pending,
        }
    }

    /// Nothing of it is left to be undone.
    fn finish_undo(&mut self) {
        if self.owns {
            self.connection.undo.clear();
        }
    }

    /// Nothing more can be heard, at least not in time.
    #[cold]
    fn fail(&mut self, error: PipelineError) -> PipelineError {
        if self.connection.is_closed() {
            self.state = State::Over;
        }
        error
    }

    /// The link is lost, or the deadline has passed. A transaction of its own is then rolled
    /// back, by the server or by the drop, unless COMMIT is on its way.
    #[cold]
    fn lost(&mut self, error: Error) -> PipelineError {
        let sink = &mut self.sink;
        match self.state {
            State::Closing { commits: true } if sink.is_committed == Command::Other => {
                match sink.reply.error.take() {
                    // The server had refused an item: there was nothing to commit.
                    Some(refused) => server_error(*refused).into(),
                    None => commit_unknown(error).into(),
                }
            }
            _ if self.owns => error.with_outcome(Outcome::RolledBack).into(),
            _ => error.into(),
        }
    }
}

impl<C, S: Source> Drop for Flight<'_, C, S> {
    fn drop(&mut self) {
        let commits = match self.state {
            State::Sending => false,
            State::Closing { commits } => commits,
            State::Undoing(..) | State::Over => return,
        };
        let link = &mut *self.connection.link;
        if link.is_closed() || link.core.abandon(&mut link.output).is_err() {
            return;
        }
        // Should it not fit into the socket, or a cancel hit it, the next operation does the
        // same.
        if self.owns && !commits && start_undo(link, &["rollback".into()]).is_ok() {
            link.core.discard_all();
        }
        link.try_write();
    }
}

/// Hears the replies of all items.
struct ManySink<C> {
    collector: C,
    /// How many items the server has completed.
    completed: u64,
    rows: u64,
    is_committed: Command,
    reply: Reply,
    /// What the statement returned when it was described.
    expected: Columns,
    /// What it is described as in the flight itself.
    learning: Option<Box<Learning>>,
    /// The item that could not be written.
    local: Option<(u64, Error)>,
    /// The item whose row could not be read.
    failed_at: Option<u64>,
}

impl<C> ManySink<C> {
    fn new(collector: C, prepared: &Prepared) -> Self {
        Self {
            collector,
            completed: 0,
            rows: 0,
            is_committed: Command::Other,
            reply: Reply::default(),
            expected: prepared.description().columns().clone(),
            learning: None,
            local: None,
            failed_at: None,
        }
    }

    /// What was wrong with a row after which nothing can be trusted.
    fn malformed(&mut self) -> Option<Error> {
        let is_malformed = |failure: &mut Error| failure.kind() == ErrorKind::Protocol;
        self.reply.failure.take_if(is_malformed)
    }
}

impl<C: Collector> Sink for ManySink<C> {
    #[inline]
    fn shares_rows(&self) -> bool {
        C::SHARES_ROWS
    }

    fn on_parse_complete(&mut self, _: At) {
        self.reply.parsed = true;
    }

    fn on_parameter_description(&mut self, _: At, parameters: ParameterDescription<'_>) {
        if let Some(learning) = &mut self.learning {
            learning.learn_parameters(parameters);
        }
    }

    fn on_row_description(&mut self, _: At, fields: Option<RowDescription<'_>>) {
        if let Some(learning) = &mut self.learning {
            let begun = learning.learn_columns(fields, &mut self.collector);
            self.reply.failure = begun.err();
        } else if self.reply.failure.is_none() {
            self.reply.compare(&self.expected, fields);
        }
    }

    #[inline]
    fn on_bind_complete(&mut self, _: At) {
        self.reply.bound = true;
    }

    #[inline(always)]
    fn on_row(&mut self, _: At, row: RowBytes<'_>) -> ControlFlow<()> {
        if self.reply.failure.is_some() {
            return ControlFlow::Continue(());
        }
        match self.collector.row(row) {
            Ok(flow) => flow,
            Err(error) => {
                self.failed_at = Some(self.completed);
                self.reply.fail_locally(error, false)
            }
        }
    }

    #[inline]
    fn on_complete(&mut self, at: At, command: CommandComplete<'_>) {
        if at.part == Part::Statement(0) {
            self.completed += 1;
            self.rows += command.rows();
            // Of the next item, that is.
            self.reply.bound = false;
        } else {
            let mut reply = Reply::default();
            reply.complete(command);
            self.is_committed = reply.command;
        }
    }

    #[inline]
    fn on_complete_again(&mut self, _: At, command: CommandComplete<'_>, times: u32) {
        // Only items have the number of another statement.
        self.completed += u64::from(times);
        self.rows += command.rows().saturating_mul(u64::from(times));
    }

    fn on_empty_query(&mut self, _: At) {
        self.completed += 1;
        self.reply.bound = false;
    }

    fn on_error(&mut self, at: At, error: ServerError) {
        self.reply.fail(at.part, error);
    }
}

/// So that the collector of a verb stays with the verb.
impl<C: Collector> Collector for &mut C {
    const SHARES_ROWS: bool = C::SHARES_ROWS;
    const STOPS_AT_FAILURE: bool = C::STOPS_AT_FAILURE;
    const WANTS_ROWS: bool = C::WANTS_ROWS;

    fn begin(&mut self, columns: &Columns, plans: &mut Plans) -> Result<()> {
        C::begin(self, columns, plans)
    }

    #[inline(always)]
    fn row(&mut self, row: RowBytes<'_>) -> Result<ControlFlow<()>> {
        C::row(self, row)
    }
}

#[cold]
fn other_types() -> Error {
    Error::usage("an item's parameters are of other types than those of the first item")
}

#[cold]
fn commit_unknown(error: Error) -> Error {
    Error::new(
        ErrorKind::CommitOutcomeUnknown,
        "COMMIT was sent, but its answer did not come: whether it took effect is unknown",
    )
    .with_source(error)
}
