//! Runs a pipeline with statements that are new to the connection and known to others in one
//! round trip.
//!
//! Each of them is parsed and described where it is run, and not before all others: what is
//! parsed has its locks and its snapshot from there on, and `set transaction` or `lock table`
//! before it would come too late.
//!
//! What is known may be outdated. Where the server refuses the very first statement, nothing has
//! run, and outside a transaction the pipeline is described and sent once more. If it refuses a
//! later one, it has undone those before it, unless one of them was a COMMIT: the pipeline fails,
//! as it does where a prepared statement is out of date, and the next one describes it anew.
//!
//! With a Sync each, those behind a statement that is refused run all the same, and it must not
//! run behind them: it has failed. Only where nothing behind it has run, as where all are one
//! statement or it is the last, are it and those behind it described and sent once more.

use std::sync::Arc;

use super::error::PipelineError;
use super::item::{Item, Slot, State};
use super::sink::PipelineSink;
use super::tuple::{Pipeline, Slots, Visitor};
use super::{Fate, Write, WriteEach};
use crate::buffer::WriteBuffer;
use crate::connection::Connection;
use crate::connection::cold::Cold;
use crate::connection::sinks::{Collector, Reply};
use crate::error::{ErrorKind, Result, SqlState};
use crate::params::Params;
use crate::protocol::{Part, Unit};
use crate::row::Plans;
use crate::statement::Description;

/// A statement that is prepared in the flight, and where in it.
struct Known<'q> {
    index: u32,
    sql: &'q str,
    description: Description,
    cold: Cold,
}

impl Connection {
    /// Runs a pipeline in which all that is missing is known to another connection. Returns
    /// whether it ran; else nothing of it has, and what is missing is to be prepared.
    pub(super) async fn run_shared<S: Pipeline>(
        &mut self,
        statements: &S,
        slots: &mut S::Slots,
    ) -> Result<bool, PipelineError> {
        let Some(known) = self.find_shared(statements, slots) else {
            start_anew(slots);
            return Ok(false);
        };
        let in_transaction = self.is_in_transaction();
        if let Err((index, error)) = self.start_shared(&known, statements, slots) {
            let missing = known_at(&known, index, slots);
            if let (Some(missing), ErrorKind::Encode) = (missing, error.kind()) {
                self.forget_known(missing.sql, &missing.cold.declared);
                start_anew(slots);
                return Ok(false);
            }
            return Err(PipelineError::new(index, error));
        }
        let mut sink = PipelineSink::new(slots, Fate::Shared);
        let progress = self.exchange(&mut sink).await?;
        let reply = sink.into_reply();
        let reply = if self.ends_well(progress, &reply) {
            reply
        } else {
            self.end_pipeline(progress, reply, slots)?
        };
        let failed = reply.error.as_ref().and_then(|error| match error.0 {
            Part::Statement(index) => Some(index),
            Part::Prefix(_) | Part::Sync => None,
        });
        let refused = failed.filter(|_| reply.was_refused());
        let outdated = known_at(&known, failed, slots);
        if let Some(outdated) = outdated.filter(|_| refused.is_some() || reply.lacks_binary_form())
        {
            self.forget_known(outdated.sql, &outdated.cold.declared);
        }
        if refused == Some(0) && outdated.is_some() && !in_transaction {
            start_anew(slots);
            return Ok(false);
        }
        self.keep_known(&known, slots).await?;
        match reply.error {
            None => Ok(true),
            Some(error) => Err(self.pipeline_failed(*error, statements, slots)),
        }
    }

    /// As [`run_shared`](Self::run_shared), with a Sync behind each statement. Returns how many of
    /// the first have their results; those behind them have not run, and what is missing of them
    /// is to be prepared.
    pub(super) async fn run_each_shared<S: Pipeline>(
        &mut self,
        statements: &S,
        slots: &mut S::Slots,
    ) -> Result<u32> {
        let Some(known) = self.find_shared(statements, slots) else {
            start_anew(slots);
            return Ok(0);
        };
        let mut fit = Fit {
            scratch: WriteBuffer::default(),
        };
        if let Err((index, _)) = statements.visit(slots, &mut fit) {
            if let Some(outdated) = known_at(&known, Some(index), slots) {
                self.forget_known(outdated.sql, &outdated.cold.declared);
            }
            start_anew(slots);
            return Ok(0);
        }
        if self.statements.has_closable() {
            // What has left the cache is closed by a flight of its own.
            self.start_unit(|_| Ok(()))?;
        }
        self.interrupted = true;
        let link = &mut *self.link;
        let mut write = WriteEachShared {
            write: WriteEach {
                unit: link.core.start_unit(&mut link.output)?,
                hygiene: &mut self.hygiene,
            },
            known: &known,
        };
        let written = statements.visit(slots, &mut write);
        drop(write);
        for known in &known {
            self.statements.begin_parse(known.cold.name());
        }
        written.map_err(|(_, error)| error)?;
        let mut sink = PipelineSink::new(slots, Fate::Own);
        let progress = self.exchange(&mut sink).await?;
        let reply = sink.into_reply();
        if !self.ends_well(progress, &reply) {
            self.end_pipeline(progress, reply, slots)?;
        }
        for known in &known {
            self.note_refusal(known, slots);
        }
        let done = match self.is_in_transaction() {
            true => slots.count(),
            false => before_refused(slots),
        };
        self.keep_known(&known, slots).await?;
        self.note_each(slots);
        for index in 0..slots.count() {
            let Some(state) = slots.state(index) else {
                continue;
            };
            // What has its result is neither read nor written again.
            state.prepared = None;
            state.learning = None;
            if index >= done {
                state.reply = Reply::default();
            }
        }
        Ok(done)
    }

    /// Where the server has refused a known statement, others must not rely on what was known of
    /// it, and whoever comes behind it in the flight fails for the same reason.
    fn note_refusal<S: Slots>(&mut self, known: &Known<'_>, slots: &mut S) {
        let Some(first) = slots.state(known.index) else {
            return;
        };
        let is_outdated = first.reply.was_refused() && !is_in_failed_transaction(&first.reply);
        if is_outdated || first.reply.lacks_binary_form() {
            self.forget_known(known.sql, &known.cold.declared);
        }
        let Some(error) = first.reply.error.clone().filter(|_| is_outdated) else {
            return;
        };
        for index in known.index + 1..slots.count() {
            let Some(state) = slots.state(index) else {
                continue;
            };
            let is_same = |prepared| Arc::ptr_eq(&known.cold.prepared, prepared);
            if state.prepared.as_ref().is_some_and(is_same) && state.reply.was_refused() {
                state.reply.error = Some(error.clone());
            }
        }
    }

    /// What others know of the statements that aren't prepared, if they know them all and their
    /// rows can be read.
    fn find_shared<'q, S: Pipeline>(
        &mut self,
        statements: &'q S,
        slots: &mut S::Slots,
    ) -> Option<Vec<Known<'q>>> {
        let mut find = FindShared {
            connection: self,
            known: Some(Vec::new()),
        };
        let visited = statements.visit(slots, &mut find);
        find.known.filter(|_| visited.is_ok())
    }

    /// What another connection knows of a statement, ready to be sent.
    fn known<'q, P: Params>(&mut self, index: u32, sql: &'q str, params: &P) -> Option<Known<'q>> {
        let description = self.shared_description(sql, params)?;
        let name = self.statement_name_in_pipeline(sql);
        let cold = self.cold(&name, sql, params, Some(&description)).ok()?;
        Some(Known {
            index,
            sql,
            description,
            cold,
        })
    }

    /// Appends the flight.
    fn start_shared<S: Pipeline>(
        &mut self,
        known: &[Known<'_>],
        statements: &S,
        slots: &mut S::Slots,
    ) -> Result<(), (Option<u32>, crate::error::Error)> {
        let (mut failed, mut is_plain) = (None, true);
        let started = self.start_unit(|unit| {
            let mut write = WriteShared {
                write: Write {
                    unit,
                    is_plain: true,
                },
                known,
            };
            let written = statements.visit(slots, &mut write);
            is_plain = write.write.is_plain;
            written.map_err(|(index, error)| {
                failed = Some(index);
                error
            })
        });
        started.map_err(|error| (failed, error))?;
        for known in known {
            self.statements.begin_parse(known.cold.name());
        }
        self.hygiene.note(is_plain);
        Ok(())
    }

    /// Keeps the statements as the server has described them, whatever became of the pipeline.
    async fn keep_known<S: Slots>(&mut self, known: &[Known<'_>], slots: &mut S) -> Result<()> {
        for known in known {
            let Some(state) = slots.state(known.index) else {
                continue;
            };
            let failure = state.reply.failure.as_ref();
            let is_misread = failure.is_some_and(|failure| failure.kind() == ErrorKind::Decode);
            if let Some(learning) = state.learning.take() {
                self.keep_learning(known.sql, &known.cold, *learning)
                    .await?;
            }
            if is_misread {
                self.misread_known(known.sql, &known.cold.declared, &known.description);
            }
        }
        Ok(())
    }
}

/// How many statements there are before those at the end that were refused without having run.
fn before_refused<S: Slots>(slots: &mut S) -> u32 {
    let count = slots.count();
    let has_run = |index: &u32| {
        let state = slots.state(*index);
        state.is_none_or(|state| state.learning.is_none() || !state.reply.was_refused())
    };
    let last = (0..count).rev().find(has_run);
    last.map_or(0, |index| index + 1)
}

/// Whether it is a failed transaction that a statement was refused in.
fn is_in_failed_transaction(reply: &Reply) -> bool {
    let error = reply.error.as_deref();
    error.is_some_and(|(_, error)| error.sqlstate() == SqlState::IN_FAILED_SQL_TRANSACTION)
}

/// The statement at this index, if it is prepared in the flight.
fn known_at<'k, 'q, S: Slots>(
    known: &'k [Known<'q>],
    index: Option<u32>,
    slots: &mut S,
) -> Option<&'k Known<'q>> {
    let prepared = slots.state(index?)?.prepared.as_ref()?;
    known
        .iter()
        .find(|known| Arc::ptr_eq(&known.cold.prepared, prepared))
}

/// Nothing has come of what was sent, if anything was.
fn start_anew<S: Slots>(slots: &mut S) {
    for index in 0..slots.count() {
        let Some(state) = slots.state(index) else {
            continue;
        };
        state.reply = Reply::default();
        if state.learning.take().is_some() {
            state.prepared = None;
        }
    }
}

/// Looks what is missing up in what others know.
struct FindShared<'c, 'q> {
    connection: &'c mut Connection,
    /// None once something is missing there, too.
    known: Option<Vec<Known<'q>>>,
}

impl<'q> Visitor<'q> for FindShared<'_, 'q> {
    fn visit<I: Item>(
        &mut self,
        index: u32,
        item: &'q I,
        slot: &mut Slot<I::Collector>,
        _: Option<(&'q I, &Slot<I::Collector>)>,
    ) -> Result<()> {
        if slot.state.prepared.is_some() {
            return Ok(());
        }
        self.known = self.known.take().and_then(|mut known| {
            let (sql, params) = (item.sql(), item.params());
            let is_same =
                |known: &Known<'_>| known.sql == sql && params.are_declared(&known.cold.declared);
            let place = match known.iter().position(is_same) {
                Some(place) => place,
                None => {
                    let found = self.connection.known(index, sql, &params)?;
                    known.push(found);
                    known.len() - 1
                }
            };
            let Known {
                cold, description, ..
            } = &known[place];
            let columns = description.columns();
            slot.collector.begin(columns, &mut Plans::default()).ok()?;
            slot.state.prepared = Some(Arc::clone(&cold.prepared));
            slot.state.learning = Some(cold.learning());
            Some(known)
        });
        Ok(())
    }
}

/// Writes the statements into one unit; what is missing is parsed and described before it is run.
struct WriteShared<'u, 'c, 'k, 'q> {
    write: Write<'u, 'c>,
    known: &'k [Known<'q>],
}

impl<'v> Visitor<'v> for WriteShared<'_, '_, '_, '_> {
    fn visit<I: Item>(
        &mut self,
        index: u32,
        item: &'v I,
        slot: &mut Slot<I::Collector>,
        before: Option<(&'v I, &Slot<I::Collector>)>,
    ) -> Result<()> {
        describe_new(self.write.unit, self.known, index, &slot.state)?;
        self.write.visit(index, item, slot, before)
    }
}

/// As [`WriteShared`], with a Sync behind each.
struct WriteEachShared<'c, 'k, 'q> {
    write: WriteEach<'c>,
    known: &'k [Known<'q>],
}

impl<'v> Visitor<'v> for WriteEachShared<'_, '_, '_> {
    fn visit<I: Item>(
        &mut self,
        index: u32,
        item: &'v I,
        slot: &mut Slot<I::Collector>,
        before: Option<(&'v I, &Slot<I::Collector>)>,
    ) -> Result<()> {
        describe_new(&mut self.write.unit, self.known, index, &slot.state)?;
        self.write.visit(index, item, slot, before)
    }
}

/// Parses what is new to the connection where it is first run, and describes it each time: its
/// rows are read as it is described.
fn describe_new(unit: &mut Unit<'_>, known: &[Known<'_>], index: u32, state: &State) -> Result<()> {
    if state.learning.is_none() {
        return Ok(());
    }
    let first = known.iter().find(|known| known.index == index);
    match (first, &state.prepared) {
        (Some(known), _) => known.cold.prepare(unit, index, known.sql),
        (None, Some(prepared)) => unit.describe(index, prepared.name()),
        (None, None) => Ok(()),
    }
}

/// Whether the values of what is new can be written as it is known. Where each statement has a
/// Sync, those before one that can't would be on their way.
struct Fit {
    scratch: WriteBuffer,
}

impl<'v> Visitor<'v> for Fit {
    fn visit<I: Item>(
        &mut self,
        _: u32,
        item: &'v I,
        slot: &mut Slot<I::Collector>,
        _: Option<(&'v I, &Slot<I::Collector>)>,
    ) -> Result<()> {
        let State {
            prepared: Some(prepared),
            learning: Some(_),
            ..
        } = &slot.state
        else {
            return Ok(());
        };
        self.scratch.clear();
        let types = prepared.description().parameters();
        item.params().encode(types, &mut self.scratch)
    }
}
