//! Pipelines: several statements in one round trip.
//!
//! Source: manual, "Message Flow", "Pipelining": the server runs what it is sent in order,
//! and after an error skips everything up to the next Sync.

mod dynamic;
mod error;
mod item;
mod prepare;
mod shared;
mod sink;
mod tuple;

pub use self::dynamic::{Results, Statements, Ticket};
pub use self::error::PipelineError;
pub use self::item::{All, Exec, Item, One, Optional, all, exec, one, optional};
pub use self::tuple::Pipeline;

use self::error::at;
use self::item::Slot;
use self::prepare::Missing;
use self::sink::PipelineSink;
use self::tuple::{Slots, Visitor};
use super::Connection;
use super::execute::is_stale;
use super::hygiene::Hygiene;
use super::observe::{Observation, PIPELINE};
use super::sinks::{Collector, Reply};
use super::timer::Limit;
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::params::Params;
use crate::protocol::{Part, Progress, Unit};

/// Whether the statements stand and fall together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// One Sync behind all of them.
    Shared,
    /// A Sync behind each.
    Own,
}

impl Connection {
    /// Runs several statements in one round trip, all or nothing: outside a transaction they
    /// are one, and a failure undoes them all.
    ///
    /// The statements are made by [`one`], [`optional`], [`all`] and [`exec`], and come as a
    /// tuple of up to 16, as a `Vec`, a slice or an array of one kind, or as [`Statements`] of
    /// any number and several kinds. Those that this connection hasn't prepared yet cost a
    /// further round trip, all of them together; none where other connections of its pool know
    /// them all.
    ///
    /// # Errors
    ///
    /// The first failure, and the index of its statement. The outcome says what is known of
    /// the work: [`Outcome::RolledBack`] where the server refused a statement;
    /// [`Outcome::Completed`] where the server completed all of them and only an answer was
    /// not what was asked for, as a missing row or a value that can't be read.
    ///
    /// A prepared statement that the server has lost, or whose result has changed, is an
    /// error here, and prepared anew by the next call; and so is one that another connection
    /// knew as what it no longer is, unless it is the first.
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_one`](Self::fetch_one): the statements may have taken effect, all or none.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(connection: &mut kornak::Connection) -> kornak::Result<()> {
    /// use kornak::{all, exec, one};
    ///
    /// let (name, posts, seen) = connection
    ///     .pipeline((
    ///         one::<String>("select name from users where id = $1", (7,)),
    ///         all::<(i32, String)>("select id, title from posts where author = $1", (7,)),
    ///         exec("update users set seen = now() where id = $1", (7,)),
    ///     ))
    ///     .await?;
    /// # let (_, _, _): (String, Vec<(i32, String)>, u64) = (name, posts, seen);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn pipeline<S: Pipeline>(
        &mut self,
        statements: S,
    ) -> Result<S::Output, PipelineError> {
        let limit = self.default_limit();
        let mut slots = statements.slots();
        let first = statements.first_sql().unwrap_or_default();
        let mut observation = Observation::start_as(self, Some(PIPELINE), first);
        observation.note_batch(slots.count().into());
        let ran = self.run_pipeline(&statements, &mut slots, limit);
        observation
            .watch(ran, |()| None, PipelineError::error)
            .await?;
        statements.finish(slots)
    }

    /// Runs several statements in one round trip, each on its own: outside a transaction the
    /// failure of one doesn't touch the rest. Within a transaction it fails the transaction,
    /// as ever. Those that this connection hasn't prepared yet cost a further round trip, all of
    /// them together; none where other connections of its pool know them all.
    ///
    /// # Errors
    ///
    /// Those of each statement are in its own result. The error of the whole is what befell
    /// all of them: the connection was lost, or the deadline passed. What took effect then is
    /// unknown.
    ///
    /// A prepared statement that the server has lost, or whose result has changed, is an
    /// error here, and prepared anew by the next call; and so is one that another connection
    /// knew as what it no longer is, unless none behind it has run.
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_one`](Self::fetch_one), for each statement.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(connection: &mut kornak::Connection) -> kornak::Result<()> {
    /// use kornak::{exec, one};
    ///
    /// let (count, deleted) = connection
    ///     .pipeline_each((
    ///         one::<i64>("select count(*) from users", ()),
    ///         exec("delete from sessions where user_id = $1", (7,)),
    ///     ))
    ///     .await?;
    /// println!("{}", count?);
    /// deleted?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn pipeline_each<S: Pipeline>(&mut self, statements: S) -> Result<S::Each> {
        let limit = self.default_limit();
        let mut slots = statements.slots();
        let first = statements.first_sql().unwrap_or_default();
        let mut observation = Observation::start_as(self, Some(PIPELINE), first);
        observation.note_batch(slots.count().into());
        let ran = self.run_each(&statements, &mut slots, limit);
        observation.watch(ran, |()| None, |error| error).await?;
        Ok(statements.finish_each(slots))
    }

    async fn run_pipeline<S: Pipeline>(
        &mut self,
        statements: &S,
        slots: &mut S::Slots,
        limit: Limit,
    ) -> Result<(), PipelineError> {
        let Some(first) = statements.first_sql() else {
            return Ok(());
        };
        self.begin_pipeline(first, limit).await?;
        let missing = self.find_from(0, statements, slots)?;
        if !missing.is_empty() {
            if Box::pin(self.run_shared(statements, slots)).await? {
                return Ok(());
            }
            self.prepare_all(missing, statements, slots, Fate::Shared)
                .await?;
        }
        let (mut failed, mut is_plain) = (None, true);
        let started = self.start_unit(|unit| {
            let mut write = Write {
                unit,
                is_plain: true,
            };
            let written = statements.visit(slots, &mut write);
            is_plain = write.is_plain;
            written.map_err(|(index, error)| {
                failed = Some(index);
                error
            })
        });
        started.map_err(|error| PipelineError::new(failed, error))?;
        self.hygiene.note(is_plain);
        let mut sink = PipelineSink::new(slots, Fate::Shared);
        let progress = self.exchange(&mut sink).await?;
        let reply = sink.into_reply();
        if self.ends_well(progress, &reply) {
            return Ok(());
        }
        let reply = self.end_pipeline(progress, reply, slots)?;
        match reply.error {
            None => Ok(()),
            Some(error) => Err(self.pipeline_failed(*error, statements, slots)),
        }
    }

    async fn run_each<S: Pipeline>(
        &mut self,
        statements: &S,
        slots: &mut S::Slots,
        limit: Limit,
    ) -> Result<()> {
        let Some(first) = statements.first_sql() else {
            return Ok(());
        };
        self.begin_pipeline(first, limit).await?;
        // A BEGIN or a reset that fails must not let the statements behind its Sync run
        // without it.
        if self.has_queued() {
            Box::pin(self.flush_queued()).await?;
        }
        let mut missing = self
            .find_from(0, statements, slots)
            .map_err(PipelineError::into_error)?;
        let was_cold = !missing.is_empty();
        if was_cold {
            let done = Box::pin(self.run_each_shared(statements, slots)).await?;
            if done == slots.count() {
                return Ok(());
            }
            if done > 0 {
                missing = self
                    .find_from(done, statements, slots)
                    .map_err(PipelineError::into_error)?;
            }
            self.prepare_all(missing, statements, slots, Fate::Own)
                .await
                .map_err(PipelineError::into_error)?;
        }
        if self.statements.has_closable() {
            // What has left the cache is closed by a flight of its own.
            self.start_unit(|_| Ok(()))?;
        }
        self.interrupted = true;
        let link = &mut *self.link;
        let mut write = WriteEach {
            unit: link.core.start_unit(&mut link.output)?,
            hygiene: &mut self.hygiene,
        };
        let written = statements.visit(slots, &mut write);
        drop(write);
        written.map_err(|(_, error)| error)?;
        let mut sink = PipelineSink::new(slots, Fate::Own);
        let progress = self.exchange(&mut sink).await?;
        let has_failed = sink.has_failed();
        let reply = sink.into_reply();
        if !self.ends_well(progress, &reply) {
            self.end_pipeline(progress, reply, slots)?;
        }
        if has_failed || was_cold {
            self.note_each(slots);
        }
        Ok(())
    }

    /// Has the failures of statements with a Sync each looked after.
    #[cold]
    fn note_each<S: Slots>(&mut self, slots: &mut S) {
        for index in 0..slots.count() {
            let Some(state) = slots.state(index) else {
                continue;
            };
            if state.reply.error.is_some() {
                self.note_error(&state.reply);
            }
            if let (Some(error), Some(prepared), false) =
                (&state.reply.error, &state.prepared, state.reply.bound)
            {
                if matches!(error.0, Part::Statement(_)) && is_stale(&error.1) {
                    self.statements.evict(prepared);
                }
            }
        }
    }

    async fn begin_pipeline(&mut self, first: &str, limit: Limit) -> Result<()> {
        if self.is_at_rest() {
            self.link.set_limit(limit);
            return Ok(());
        }
        Box::pin(self.begin_operation(Some(first), limit))
            .await
            .map_err(|error| error.with_sql(first))
    }

    /// Finds the statements from `from` on that are prepared, has their rows' readers made
    /// ready, and returns the others.
    fn find_from<'q, S: Pipeline>(
        &mut self,
        from: u32,
        statements: &'q S,
        slots: &mut S::Slots,
    ) -> Result<Vec<Missing<'q>>, PipelineError> {
        let mut find = Find {
            from,
            connection: self,
            missing: Vec::new(),
        };
        let found = statements.visit(slots, &mut find);
        let missing = find.missing;
        found.map(|()| missing).map_err(at)
    }

    /// Has what is missing prepared, and their rows' readers made ready.
    async fn prepare_all<S: Pipeline>(
        &mut self,
        missing: Vec<Missing<'_>>,
        statements: &S,
        slots: &mut S::Slots,
        fate: Fate,
    ) -> Result<(), PipelineError> {
        Box::pin(self.prepare_missing(missing, slots, fate)).await?;
        let mut begin = BeginRows {
            connection: self,
            fate,
        };
        statements.visit(slots, &mut begin).map_err(at)
    }

    /// The replies are in, or a malformed row has stopped the exchange for good.
    fn end_pipeline<S: Slots>(
        &mut self,
        progress: Progress,
        mut reply: Reply,
        slots: &mut S,
    ) -> Result<Reply> {
        if progress != Progress::Idle {
            let failure = (0..slots.count())
                .filter_map(|index| slots.state(index)?.reply.failure.take())
                .find(|failure| failure.kind() == ErrorKind::Protocol);
            reply.failure =
                failure.or_else(|| Some(Error::protocol("a pipeline stopped before its end")));
        }
        self.end_exchange(progress, reply)
    }

    /// The server has refused a statement, or the commit behind them all.
    #[cold]
    fn pipeline_failed<S: Pipeline>(
        &mut self,
        error: (Part, crate::error::ServerError),
        statements: &S,
        slots: &mut S::Slots,
    ) -> PipelineError {
        let index = match error.0 {
            Part::Statement(index) => Some(index),
            Part::Prefix(_) | Part::Sync => None,
        };
        let stale = index.and_then(|index| {
            let state = slots.state(index)?;
            let prepared = state.prepared.as_ref()?;
            (!state.reply.bound && is_stale(&error.1)).then_some(prepared)
        });
        let is_stale = stale.is_some();
        if let Some(prepared) = stale {
            self.statements.evict(prepared);
        }
        let mut error = super::sinks::server_error(error);
        if is_stale {
            error = error.with_context(STALE);
        }
        if let Some(sql) = index.and_then(|index| statements.sql(index)) {
            error = error.with_sql(sql);
        }
        PipelineError::new(index, error)
    }
}

/// What is said of a statement that the server had forgotten.
const STALE: &str = "a prepared statement was out of date, and is prepared anew by the next call";

/// Looks the statements up in the cache.
struct Find<'c, 'q> {
    /// Those before it are passed over.
    from: u32,
    connection: &'c mut Connection,
    missing: Vec<Missing<'q>>,
}

impl<'q> Visitor<'q> for Find<'_, 'q> {
    #[inline]
    fn visit<I: Item>(
        &mut self,
        index: u32,
        item: &'q I,
        slot: &mut Slot<I::Collector>,
        before: Option<(&'q I, &Slot<I::Collector>)>,
    ) -> Result<()> {
        if index < self.from {
            return Ok(());
        }
        if let Some((previous, known)) = before {
            if is_same(item, previous)
                && known.state.prepared.is_some()
                && slot.collector.begin_as(&known.collector)
            {
                slot.state.prepared.clone_from(&known.state.prepared);
                return Ok(());
            }
        }
        let found = self
            .connection
            .find(item.sql(), &item.params(), &mut slot.collector);
        match found {
            Some(prepared) => slot.state.prepared = Some(prepared),
            None => Missing::add(&mut self.missing, index, item.sql(), &item.params()),
        }
        Ok(())
    }
}

/// Whether two statements of a pipeline are one and the same: their texts are lent at the same
/// time, so that those at one place are one.
#[inline]
fn is_same<I: Item>(one: &I, other: &I) -> bool {
    let (ours, theirs) = (one.params(), other.params());
    std::ptr::eq(one.sql(), other.sql())
        && ours.count() == theirs.count()
        && (0..ours.count()).all(|index| ours.declared(index) == theirs.declared(index))
}

/// Makes the readers of the rows ready where the statement has just been prepared.
struct BeginRows<'c> {
    connection: &'c mut Connection,
    fate: Fate,
}

impl<'q> Visitor<'q> for BeginRows<'_> {
    fn visit<I: Item>(
        &mut self,
        _: u32,
        item: &'q I,
        slot: &mut Slot<I::Collector>,
        _: Option<(&'q I, &Slot<I::Collector>)>,
    ) -> Result<()> {
        let Some(prepared) = &slot.state.prepared else {
            return Ok(());
        };
        let (sql, params) = (item.sql(), item.params());
        match self
            .connection
            .begin_rows(sql, &params, prepared, &mut slot.collector)
        {
            Ok(()) => Ok(()),
            Err(error) => not_sent(self.fate, error, item, slot),
        }
    }
}

/// Writes the statements into one unit.
struct Write<'u, 'c> {
    unit: &'u mut Unit<'c>,
    is_plain: bool,
}

impl<'q> Visitor<'q> for Write<'_, '_> {
    #[inline]
    fn visit<I: Item>(
        &mut self,
        index: u32,
        item: &'q I,
        slot: &mut Slot<I::Collector>,
        _: Option<(&'q I, &Slot<I::Collector>)>,
    ) -> Result<()> {
        let Some(prepared) = &slot.state.prepared else {
            return Err(unprepared());
        };
        self.is_plain &= prepared.is_plain();
        let types = prepared.description().parameters();
        self.unit
            .execute(index, prepared.template(), |out| {
                item.params().encode(types, out)
            })
            .map_err(|error| error.with_sql(item.sql()))
    }
}

/// Writes each statement into a flight of its own; nothing is left in the last.
struct WriteEach<'c> {
    unit: Unit<'c>,
    hygiene: &'c mut Hygiene,
}

impl<'q> Visitor<'q> for WriteEach<'_> {
    #[inline]
    fn visit<I: Item>(
        &mut self,
        index: u32,
        item: &'q I,
        slot: &mut Slot<I::Collector>,
        _: Option<(&'q I, &Slot<I::Collector>)>,
    ) -> Result<()> {
        let Some(prepared) = &slot.state.prepared else {
            return Ok(());
        };
        let types = prepared.description().parameters();
        let template = prepared.template();
        let written = self
            .unit
            .execute_and_start_next(index, template, |out| item.params().encode(types, out));
        match written {
            Ok(()) => {
                self.hygiene.note(prepared.is_plain());
                Ok(())
            }
            Err(error) => {
                self.unit.take_back();
                not_sent(Fate::Own, error, item, slot)
            }
        }
    }
}

/// A statement can't be sent: alone, or none of them.
#[cold]
fn not_sent<I: Item>(
    fate: Fate,
    error: Error,
    item: &I,
    slot: &mut Slot<I::Collector>,
) -> Result<()> {
    let error = error.with_outcome(Outcome::NotRun).with_sql(item.sql());
    match fate {
        Fate::Shared => Err(error),
        Fate::Own => {
            slot.state.prepared = None;
            slot.state.reply.failure = Some(error);
            Ok(())
        }
    }
}

#[cold]
fn unprepared() -> Error {
    Error::usage("a statement of the pipeline could not be prepared")
}
