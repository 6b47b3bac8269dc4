//! How a statement is run: warm, or described first. What is cold is in `cold`.

use std::borrow::Cow;
use std::future::poll_fn;
use std::sync::Arc;

use super::Connection;
use super::link::Until;
use super::sinks::{ColdSink, Collector, Command, Ignore, Learnt, Reply, WarmSink};
use super::timer::Limit;
use super::transaction::rolled_back;
use crate::codec::DeclaredType;
use crate::error::{Error, ErrorKind, Result, ServerError, SqlState};
use crate::params::{Params, check_count};
use crate::protocol::{Part, Progress, Sink, Unit};
use crate::row::{Columns, Plans};
use crate::statement::{Description, Prepared, StatementCache, declared_oids, rolls_back};
use crate::types::Type;
use crate::wire::TransactionStatus;

/// How a unit that is started ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With Sync.
    Sync,
    /// It stays open for more statements.
    Open,
    /// It stays open for the data of a COPY.
    Copy,
}

impl Connection {
    /// Runs one statement, gives its rows to `collector`, and returns the number in its command
    /// tag.
    ///
    /// What a connection at rest does with a statement that it has prepared is all here;
    /// everything else has a future of its own on the heap, so that this one stays small.
    ///
    /// # Errors
    ///
    /// The server's error, or what this side could not do; both name the statement.
    #[inline]
    pub(super) async fn run<P: Params, C: Collector>(
        &mut self,
        sql: &str,
        params: &P,
        collector: &mut C,
        limit: Limit,
    ) -> Result<u64> {
        let mut is_retry = false;
        if self.is_at_rest() {
            self.link.set_limit(limit);
            if let Some(prepared) = self.find(sql, params, collector) {
                let in_transaction = self.is_in_transaction();
                let executed = match self.start_execute(&prepared, params) {
                    Ok(()) => {
                        let columns = prepared.description().columns();
                        let mut sink = WarmSink::new(collector).expecting(columns);
                        match self.exchange(&mut sink).await {
                            Ok(progress) if self.ends_well(progress, &sink.reply) => {
                                return Ok(sink.reply.rows);
                            }
                            Ok(progress) => self.end_exchange(progress, sink.reply),
                            Err(error) => Err(error),
                        }
                    }
                    Err(error) => Err(error),
                };
                match executed {
                    Ok(reply) if !self.is_stale(&prepared, &reply) || in_transaction => {
                        let reply = reply.check_for(sql).map_err(|error| error.with_sql(sql))?;
                        return Ok(reply.rows);
                    }
                    Ok(_) => {}
                    Err(error) if self.is_misfit(&prepared, &error) => {}
                    Err(error) => return Err(error.with_sql(sql)),
                }
                is_retry = true;
            }
        }
        let ran = Box::pin(self.run_unready(sql, params, collector, limit, is_retry)).await;
        match ran {
            Ok(reply) => Ok(reply.rows),
            Err(error) => Err(error.with_sql(sql)),
        }
    }

    /// [`run`](Self::run) for a connection that has to be brought to rest, or a statement
    /// that has to be prepared. On a retry the statement has been refused once before it ran.
    async fn run_unready<P: Params, C: Collector>(
        &mut self,
        sql: &str,
        params: &P,
        collector: &mut C,
        limit: Limit,
        mut is_retry: bool,
    ) -> Result<Reply> {
        if !is_retry {
            self.begin_operation(Some(sql), limit).await?;
        }
        loop {
            let in_transaction = self.is_in_transaction();
            let is_known = self.statements.lookup(sql, params).is_some();
            let (prepared, reply) = if !is_known && !in_transaction && is_declared(params) {
                let executed = self.execute_cold(sql, params, collector, None).await?;
                (executed.prepared, executed.reply)
            } else if let Some(executed) = self.execute_shared(sql, params, collector).await? {
                (executed.prepared, executed.reply)
            } else {
                let prepared = self.prepared_for(sql, params, collector).await?;
                match self.execute_prepared(&prepared, params, collector).await {
                    Ok(reply) => (Some(prepared), reply),
                    Err(error) if is_known && !is_retry && self.is_misfit(&prepared, &error) => {
                        is_retry = true;
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            };
            let is_stale = prepared.is_some_and(|prepared| self.is_stale(&prepared, &reply));
            if !is_stale || is_retry || in_transaction {
                return reply.check_for(sql);
            }
            is_retry = true;
        }
    }

    /// Whether the server no longer has the statement as it was prepared; then it is given up.
    /// Outside a transaction it may be prepared and run once more: the server refused it at
    /// Bind, before it ran, so that nothing is done twice. Within one it has failed the
    /// transaction too.
    pub(super) fn is_stale(&mut self, prepared: &Arc<Prepared>, reply: &Reply) -> bool {
        let is_stale = reply.is_stale();
        if is_stale || reply.is_invalid() || self.is_pooled && !reply.fits() {
            self.statements.evict(prepared);
        }
        if reply.error.is_some() || reply.failure.is_some() {
            self.doubt_types(prepared, reply);
        }
        is_stale
    }

    /// The statement, prepared on this connection; it may be already.
    pub(super) async fn prepared<P: Params>(
        &mut self,
        sql: &str,
        params: &P,
    ) -> Result<Arc<Prepared>> {
        self.prepared_for(sql, params, &mut Ignore).await
    }

    /// The statement, prepared on this connection, and the collector ready for its rows.
    ///
    /// A description that doesn't fit what the rows are to be read into may be one of
    /// yesterday: before that is an error, the server is asked again.
    ///
    /// # Errors
    ///
    /// The server's error, or rows that can't be read as the collector wants them.
    pub(super) async fn prepared_for<P: Params, C: Collector>(
        &mut self,
        sql: &str,
        params: &P,
        collector: &mut C,
    ) -> Result<Arc<Prepared>> {
        if let Some(prepared) = self.find(sql, params, collector) {
            return Ok(prepared);
        }
        if let Some(entry) = self.statements.lookup(sql, params) {
            let outdated = Arc::clone(&entry.prepared);
            self.statements.evict(&outdated);
            let epoch = outdated.description().epoch();
            if epoch != 0 && self.catalog.is_current(epoch) {
                self.catalog.doubt();
            }
        }
        let prepared = self.prepare(sql, params).await?;
        self.begin_rows(sql, params, &prepared, collector)?;
        Ok(prepared)
    }

    /// The statement as this connection has it prepared, and the collector ready for its rows,
    /// if they can be read as it wants them.
    #[inline]
    pub(super) fn find<P: Params, C: Collector>(
        &mut self,
        sql: &str,
        params: &P,
        collector: &mut C,
    ) -> Option<Arc<Prepared>> {
        let entry = self.statements.lookup(sql, params)?;
        let description = entry.prepared.description();
        if !self.catalog.is_current(description.epoch()) {
            return None;
        }
        let columns = description.columns();
        collector.begin(columns, &mut entry.plans).ok()?;
        Some(Arc::clone(&entry.prepared))
    }

    /// Makes the collector ready for a statement that has just been prepared.
    pub(super) fn begin_rows<P: Params, C: Collector>(
        &mut self,
        sql: &str,
        params: &P,
        prepared: &Prepared,
        collector: &mut C,
    ) -> Result<()> {
        let columns = prepared.description().columns();
        match self.statements.lookup(sql, params) {
            Some(entry) => collector.begin(columns, &mut entry.plans),
            None => collector.begin(columns, &mut Plans::default()),
        }
    }

    /// Bind, Execute, Sync: the warm path.
    #[inline]
    pub(super) async fn execute_prepared<P: Params, C: Collector>(
        &mut self,
        prepared: &Prepared,
        params: &P,
        collector: &mut C,
    ) -> Result<Reply> {
        self.start_execute(prepared, params)?;
        let mut sink = WarmSink::new(collector).expecting(prepared.description().columns());
        let progress = self.exchange(&mut sink).await?;
        self.end_exchange(progress, sink.reply)
    }

    /// Appends Bind, Execute and Sync.
    #[inline]
    pub(super) fn start_execute<P: Params>(
        &mut self,
        prepared: &Prepared,
        params: &P,
    ) -> Result<()> {
        let types = prepared.description().parameters();
        self.start_unit(|unit| {
            unit.execute(0, prepared.template(), |out| params.encode(types, out))
        })?;
        self.hygiene.note(prepared.is_plain());
        Ok(())
    }

    /// Parse, Describe, Sync: prepares a statement and learns what it takes and returns.
    pub(super) async fn prepare<P: Params>(
        &mut self,
        sql: &str,
        params: &P,
    ) -> Result<Arc<Prepared>> {
        let declared = declared(params);
        let oids = declared_oids(&declared);
        let known_types = self.known_types();
        let is_pristine = self.hygiene.is_pristine();
        let name = self.statement_name(sql);
        self.start_unit(|unit| unit.prepare(0, &name, sql, &oids))?;
        self.statements.begin_parse(&name);
        let mut ignore = Ignore;
        let mut sink = ColdSink::new(&mut ignore, &known_types);
        let progress = self.exchange_dyn(&mut sink).await?;
        let (reply, learnt) = sink.into_parts();
        let reply = self.end_exchange(progress, reply)?;
        self.settle(&name, &reply);
        let reply = reply.check()?;
        let Some(learnt) = learnt else {
            return Err(Error::protocol(format!(
                "the server did not describe the statement, but completed it: {reply:?}"
            )));
        };
        check_count(declared.len(), learnt.parameters.len())?;
        self.keep(
            sql,
            &declared,
            &name,
            learnt.parameters,
            learnt.columns.unwrap_or_default(),
            is_pristine,
        )
        .await
    }

    /// Describes a statement that isn't kept.
    pub(super) async fn describe_unnamed(&mut self, sql: &str) -> Result<Description> {
        let known_types = self.known_types();
        self.start_unit(|unit| unit.prepare(0, "", sql, &[]))?;
        let mut ignore = Ignore;
        let mut sink = ColdSink::new(&mut ignore, &known_types);
        let progress = self.exchange_dyn(&mut sink).await?;
        let (reply, learnt) = sink.into_parts();
        let reply = self.end_exchange(progress, reply)?;
        reply.check()?;
        let Learnt {
            parameters,
            columns,
            ..
        } = learnt.unwrap_or_default();
        let columns = columns.unwrap_or_default();
        let (parameters, columns) = self.resolve(&parameters, columns, |_| true).await?;
        Ok(Description::new(parameters, columns))
    }

    /// Runs statements of the driver's own that return no rows, without preparing them.
    pub(super) async fn execute_unprepared(&mut self, statements: &[&str]) -> Result<Reply> {
        self.start_unprepared(statements)?;
        self.finish_unprepared().await
    }

    /// Appends statements of the driver's own as one unit. From here on they will be run,
    /// whether or not somebody waits for it.
    pub(super) fn start_unprepared(&mut self, statements: &[&str]) -> Result<()> {
        self.start_unit(|unit| {
            for (index, sql) in (0..).zip(statements) {
                unit.execute_unprepared(index, sql)?;
            }
            Ok(())
        })
    }

    /// Waits for what [`start_unprepared`](Self::start_unprepared) has begun.
    pub(super) async fn finish_unprepared(&mut self) -> Result<Reply> {
        let mut ignore = Ignore;
        let mut sink = WarmSink::new(&mut ignore);
        let progress = self.exchange_dyn(&mut sink).await?;
        self.end_exchange(progress, sink.reply)?.check()
    }

    /// Whether something goes before the next statement, in one unit with it.
    #[inline]
    pub(super) fn has_queued(&self) -> bool {
        !self.queued.is_empty() || self.hygiene.is_due
    }

    /// Sends what is queued before the next statement now, for an operation that can't go in
    /// one unit with it.
    pub(super) async fn flush_queued(&mut self) -> Result<()> {
        if !self.has_queued() {
            return Ok(());
        }
        self.execute_unprepared(&[]).await.map(|_| ())
    }

    /// Makes a prepared statement of what was learnt, and keeps it in the cache; others hear
    /// of it if the session was as a new one when the statement was described.
    pub(super) async fn keep(
        &mut self,
        sql: &str,
        declared: &[DeclaredType],
        name: &str,
        parameters: Vec<u32>,
        columns: Columns,
        is_pristine: bool,
    ) -> Result<Arc<Prepared>> {
        let description = self.learn(declared, parameters, columns).await?;
        if is_pristine {
            self.share_description(sql, declared, &description);
        }
        let prepared = Prepared::new(name, sql, declared, description, self.is_pooled)?;
        Ok(self.keep_prepared(sql, declared, prepared))
    }

    /// Makes a description of what was learnt, with the types that it is made of.
    pub(super) async fn learn(
        &mut self,
        declared: &[DeclaredType],
        parameters: Vec<u32>,
        columns: Columns,
    ) -> Result<Description> {
        // The type of a parameter that goes as text or as it was declared needs no look-up.
        let is_asked = |index: usize| declared.get(index) == Some(&DeclaredType::Described);
        let (parameters, columns) = self.resolve(&parameters, columns, is_asked).await?;
        let asked = parameters.iter().enumerate();
        let asked = asked.filter(|(index, _)| is_asked(*index));
        let mut types = asked
            .map(|(_, ty)| ty)
            .chain(columns.iter().map(|column| column.ty()));
        let epoch = match types.all(|ty| Type::from_oid(ty.oid()).is_some()) {
            true => 0,
            false => self.catalog.epoch(),
        };
        Ok(Description::new(parameters, columns).of_epoch(epoch))
    }

    /// Keeps a statement that the server has prepared.
    pub(super) fn keep_prepared(
        &mut self,
        sql: &str,
        declared: &[DeclaredType],
        prepared: Prepared,
    ) -> Arc<Prepared> {
        let prepared = Arc::new(prepared);
        self.statements.settle(prepared.name());
        if self.statements.keeps(sql) {
            self.statements.insert(sql, declared, Arc::clone(&prepared));
        } else if !prepared.name().is_empty() {
            self.statements.release(Arc::clone(&prepared));
        }
        prepared
    }

    /// The types of the parameters that are asked for, and of the columns, looked up where
    /// they aren't known.
    async fn resolve(
        &mut self,
        parameters: &[u32],
        columns: Columns,
        is_asked: impl Fn(usize) -> bool,
    ) -> Result<(Vec<Type>, Columns)> {
        let asked = parameters
            .iter()
            .enumerate()
            .filter(|(index, _)| is_asked(*index))
            .map(|(_, oid)| *oid);
        let wanted = asked.chain(columns.iter().map(|column| column.ty().oid()));
        let types = self.catalog.types();
        let unknown: Vec<u32> = wanted.filter(|oid| !types.knows(*oid)).collect();
        if unknown.is_empty() {
            return Ok((
                parameters.iter().map(|&oid| types.ty(oid)).collect(),
                columns,
            ));
        }
        self.load_types(&unknown).await?;
        let types = self.catalog.types();
        let parameters = parameters.iter().map(|&oid| types.ty(oid)).collect();
        Ok((parameters, columns.with_types(|oid| types.ty(oid))))
    }

    /// Starts a flight of the caller's messages, behind what is queued before them.
    #[inline]
    pub(super) fn start_unit(
        &mut self,
        write: impl FnOnce(&mut Unit<'_>) -> Result<()>,
    ) -> Result<()> {
        self.start_unit_with(write, End::Sync)
    }

    /// As [`start_unit`](Self::start_unit), with another end.
    #[inline]
    pub(super) fn start_unit_with(
        &mut self,
        write: impl FnOnce(&mut Unit<'_>) -> Result<()>,
        end: End,
    ) -> Result<()> {
        let has_prelude = self.has_queued() || self.statements.has_closable();
        let link = &mut *self.link;
        let status = link.core.transaction_status();
        let mut unit = link.core.start_unit(&mut link.output)?;
        let mut resets = false;
        if has_prelude {
            resets = self.hygiene.is_wanted(status);
            let reset = if resets { self.hygiene.steps() } else { &[] };
            write_prelude(&mut unit, &mut self.statements, reset, &self.queued)?;
        }
        // Until it is finished, the unit takes itself back: what it closes is still to be
        // closed, and what is queued stays queued.
        write(&mut unit)?;
        match end {
            End::Sync => unit.finish(),
            End::Open => unit.keep_open(),
            End::Copy => unit.keep_open_for_copy(),
        };
        if has_prelude {
            self.end_prelude(resets);
        }
        self.interrupted = true;
        Ok(())
    }

    /// What goes before a statement has been written with it.
    #[cold]
    fn end_prelude(&mut self, resets: bool) {
        self.statements.end_closing();
        if resets {
            self.hygiene.start();
        }
        if !self.queued.is_empty() {
            self.queued.clear();
            self.queue_generation += 1;
        }
    }

    /// Waits until the replies are in, or the sink pauses.
    #[inline]
    pub(super) async fn exchange<S: Sink>(&mut self, sink: &mut S) -> Result<Progress> {
        let link = &mut *self.link;
        poll_fn(|cx| link.poll_exchange(cx, sink, Until::Idle)).await
    }

    /// As [`exchange`](Self::exchange), by [`poll_exchange_dyn`](super::link::Link::poll_exchange_dyn).
    pub(super) async fn exchange_dyn<S: Sink>(&mut self, sink: &mut S) -> Result<Progress> {
        let link = &mut *self.link;
        poll_fn(|cx| link.poll_exchange_dyn(cx, sink, Until::Idle)).await
    }

    /// Whether the replies are in, and nothing in them needs a second look: what nearly every
    /// exchange comes to. Else [`end_exchange`](Self::end_exchange) has the last word.
    #[inline]
    pub(super) fn ends_well(&mut self, progress: Progress, reply: &Reply) -> bool {
        let is_well = progress == Progress::Idle
            && reply.is_well()
            && !self.hygiene.is_under_way()
            && !self.link.session.commands.are_notable;
        if is_well {
            self.interrupted = false;
        }
        is_well
    }

    /// The replies are in, or the sink paused for good.
    pub(super) fn end_exchange(&mut self, progress: Progress, reply: Reply) -> Result<Reply> {
        if progress == Progress::Idle {
            self.interrupted = false;
            self.check_reset(&reply)?;
            if self.link.session.commands.are_notable {
                self.note_commands();
            }
            if reply.error.is_some() {
                self.note_error(&reply);
            }
            return Ok(reply);
        }
        match reply.failure {
            Some(error) if error.kind() == ErrorKind::Protocol => Err(self.link.close(error)),
            _ => Ok(reply),
        }
    }

    /// A server that refuses to write (25006) may have been demoted, or not be the one that is
    /// wanted.
    #[cold]
    pub(super) fn note_error(&mut self, reply: &Reply) {
        let sqlstate = reply.error.as_deref().map(|(_, error)| error.sqlstate());
        self.has_refused_to_write |= sqlstate == Some(SqlState::READ_ONLY_SQL_TRANSACTION);
    }

    /// Whether the next statement runs within a transaction block.
    #[inline]
    pub(super) fn is_in_transaction(&self) -> bool {
        !self.queued.is_empty() || self.link.core.transaction_status() != TransactionStatus::Idle
    }

    /// A name for a statement that will be kept, for which room is made, or the unnamed one
    /// for one that won't.
    pub(super) fn statement_name(&mut self, sql: &str) -> String {
        self.hygiene.note_text(sql);
        // Behind a pooler the server that keeps a name may be another's next time.
        if self.statements.keeps(sql) && !self.is_pooled {
            self.statements.make_room(sql);
            self.names.next("k")
        } else {
            String::new()
        }
    }

    /// A name for a statement that others follow before it is executed: never the unnamed
    /// one, which each Parse replaces, unless each execution repeats its own Parse.
    pub(super) fn statement_name_in_pipeline(&mut self, sql: &str) -> String {
        let name = self.statement_name(sql);
        if name.is_empty() && !self.is_pooled {
            self.names.next("p")
        } else {
            name
        }
    }

    /// Notes what became of a Parse that was refused.
    pub(super) fn settle(&mut self, name: &str, reply: &Reply) {
        if !reply.parsed && reply.error.is_some() {
            self.statements.settle(name);
        }
    }
}

impl Reply {
    /// Whether there is nothing to be said of it.
    #[inline]
    fn is_well(&self) -> bool {
        self.error.is_none()
            && self.failure.is_none()
            && !self.changed
            && self.command != Command::Rollback
    }

    /// The reply of a statement of the caller that went well.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check); and if something else than a rollback was asked for and
    /// answered with one, as COMMIT is in a failed transaction.
    pub(super) fn check_for(self, sql: &str) -> Result<Self> {
        let reply = self.check()?;
        if reply.command == Command::Rollback && !rolls_back(sql) {
            return Err(rolled_back());
        }
        Ok(reply)
    }

    /// Whether the server no longer has the statement as it was prepared, and said so before
    /// it ran: it doesn't know the name (26000, `FetchPreparedStatement`), or its result has
    /// changed (0A000, `RevalidateCachedQuery` in the server's `plancache.c`).
    fn is_stale(&self) -> bool {
        match &self.error {
            Some(error) if !self.bound && matches!(error.0, Part::Statement(_)) => {
                is_stale(&error.1)
            }
            _ => false,
        }
    }

    /// Whether the server refused to parse the caller's statement or to bind its parameters:
    /// it did not run.
    pub(super) fn was_refused(&self) -> bool {
        let is_its_own = |error: &(Part, ServerError)| matches!(error.0, Part::Statement(_));
        !self.bound && self.error.as_deref().is_some_and(is_its_own)
    }

    /// Whether the server, planning the statement anew, finds that it makes no sense any more
    /// (class 42): the types that it gave the parameters may be the reason, and another Parse
    /// would infer others.
    fn is_invalid(&self) -> bool {
        self.error.as_deref().is_some_and(|(part, error)| {
            !self.bound && matches!(part, Part::Statement(_)) && error.sqlstate().class() == "42"
        })
    }

    /// Whether the statement is what it was when it was described, as far as is known.
    fn fits(&self) -> bool {
        !self.changed && (self.bound || self.error.is_none())
    }

    /// Whether a type without a send function kept the server from answering in binary
    /// (`getTypeBinaryOutputInfo` in `lsyscache.c`; `array_send` for elements).
    pub(super) fn lacks_binary_form(&self) -> bool {
        self.error.as_deref().is_some_and(|(part, error)| {
            matches!(part, Part::Statement(_))
                && error.sqlstate() == SqlState::UNDEFINED_FUNCTION
                && error.routine().is_some_and(|routine| {
                    routine == "getTypeBinaryOutputInfo" || routine.ends_with("_send")
                })
        })
    }
}

/// Writes what goes before a statement: closes what has left the cache, resets the session,
/// begins the transaction.
#[cold]
fn write_prelude(
    unit: &mut Unit<'_>,
    statements: &mut StatementCache,
    reset: &[&str],
    queued: &[Cow<'static, str>],
) -> Result<()> {
    for name in statements.begin_closing() {
        unit.close_statement(name)?;
    }
    let queued = queued.iter().map(|sql| &**sql);
    for (index, sql) in (0..).zip(reset.iter().copied().chain(queued)) {
        unit.prefix(index, sql)?;
    }
    Ok(())
}

pub(super) fn is_stale(error: &ServerError) -> bool {
    match error.sqlstate() {
        SqlState::INVALID_SQL_STATEMENT_NAME => true,
        SqlState::FEATURE_NOT_SUPPORTED => error.routine() == Some("RevalidateCachedQuery"),
        _ => false,
    }
}

/// Whether the types of all parameters are known without asking the server.
fn is_declared<P: Params>(params: &P) -> bool {
    (0..params.count()).all(|index| params.declared(index) != DeclaredType::Described)
}

pub(super) fn declared<P: Params>(params: &P) -> Vec<DeclaredType> {
    (0..params.count())
        .map(|index| params.declared(index))
        .collect()
}
