//! `execute_many`: one statement for many items, pipelined.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Connection;
use super::execute::End;
use super::link::Until;
use super::pipeline::PipelineError;
use super::sinks::{All, Collector, Command, Ignore, Reply, server_error};
use super::timer::Limit;
use crate::error::{Error, ErrorKind, Outcome, Result, ServerError};
use crate::params::Params;
use crate::protocol::{At, Part, Progress, RowBytes, Sink, Unit};
use crate::row::{Columns, FromRow};
use crate::statement::Prepared;
use crate::wire::backend::{CommandComplete, RowDescription};

/// How much is written ahead before the socket is waited for, in bytes.
const FLUSH_AT: usize = 128 * 1024;

/// How much may still be unwritten when the next items are encoded, in bytes.
const FLUSHED_TO: usize = 32 * 1024;

/// The number of COMMIT among the statements of the unit; all items have 0.
const COMMIT: u32 = 1;

/// The number of BEGIN among what goes before the statements: none of a reset's.
const BEGIN: u32 = u32::MAX;

impl Connection {
    /// Runs one statement for each item, pipelined, and returns how many rows were affected
    /// in total. It is one transaction: outside of one it begins and commits its own.
    ///
    /// Items are taken from the iterator as the server takes the statements, so that memory
    /// stays flat, whatever their number.
    ///
    /// # Errors
    ///
    /// The first failure, and the index of its item; then nothing of it stays, unless a
    /// transaction was open before: that one then holds the items before an item that this
    /// side could not write, and is failed by the server's own errors.
    /// [`ErrorKind::CommitOutcomeUnknown`] if the answer to the COMMIT did not come.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: what was begun is rolled back by the next operation, unless COMMIT was
    /// sent already. In a transaction that was open before, the items sent so far may have
    /// run.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(connection: &mut kornak::Connection) -> kornak::Result<()> {
    /// let squares = (0..100_000_i64).map(|n| (n, n * n));
    /// connection
    ///     .execute_many("insert into squares values ($1, $2)", squares)
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn execute_many<'c, I>(
        &'c mut self,
        sql: &'c str,
        items: I,
    ) -> impl Future<Output = Result<u64, PipelineError>> + Send + use<'c, I>
    where
        I: IntoIterator<Item: Params + Send + Sync, IntoIter: Send>,
    {
        let items = items.into_iter();
        async move { self.run_many(sql, items, &mut Ignore).await }
    }

    /// As [`execute_many`](Self::execute_many), and keeps the rows that the statements
    /// return, in the order of the items: `insert … returning id`, for example.
    ///
    /// # Errors
    ///
    /// As there; and a row that can't be read. The server has completed all items then.
    ///
    /// # Cancel safety
    ///
    /// As there.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(connection: &mut kornak::Connection) -> kornak::Result<()> {
    /// let names = ["Ada", "Grace"];
    /// let ids: Vec<i32> = connection
    ///     .fetch_many("insert into users (name) values ($1) returning id", names.map(|n| (n,)))
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn fetch_many<'c, T, I>(
        &'c mut self,
        sql: &'c str,
        items: I,
    ) -> impl Future<Output = Result<Vec<T>, PipelineError>> + Send + use<'c, T, I>
    where
        T: for<'r> FromRow<'r> + Send,
        I: IntoIterator<Item: Params + Send + Sync, IntoIter: Send>,
    {
        let items = items.into_iter();
        async move {
            let mut all = All::new();
            self.run_many(sql, items, &mut all).await?;
            Ok(all.rows)
        }
    }

    async fn run_many<P: Params, C: Collector>(
        &mut self,
        sql: &str,
        mut items: impl Iterator<Item = P>,
        collector: &mut C,
    ) -> Result<u64, PipelineError> {
        let limit = self.default_limit();
        // That the futures are `Send` is promised by the verbs' signatures: what the compiler
        // infers by itself fails for iterators that borrow what they map.
        let Some(first) = items.next() else {
            return Ok(0);
        };
        let prepared = self.begin_many(sql, &first, collector, limit).await;
        let prepared = prepared.map_err(|error| error.with_sql(sql))?;
        let mut sink = ManySink {
            collector,
            completed: 0,
            rows: 0,
            is_committed: Command::Other,
            reply: Reply::default(),
            expected: prepared.description().columns().clone(),
        };
        let owns = !self.is_in_transaction();
        let result = self
            .send_many(&prepared, first, &mut items, owns, &mut sink)
            .await;
        let failed = match result {
            Ok(()) if sink.reply.error.is_none() && sink.reply.failure.is_none() => {
                self.undo.clear();
                return Ok(sink.rows);
            }
            Ok(()) => sink.failure(sql),
            Err(Stop::Item(index, error)) => {
                let error = PipelineError::at(Some(index), error.with_sql(sql));
                self.stop_at_item(error, &mut sink, sql).await
            }
            Err(Stop::Whole(error)) => PipelineError::at(None, error),
            Err(Stop::Commit(error)) => PipelineError::at(None, commit_unknown(error)),
        };
        if !self.link.is_closed() && !failed.error().is_timeout() {
            // What was begun is rolled back before the error is told. Should that fail, the
            // connection is closed, or the next operation does it.
            let _ = Box::pin(self.recover()).await;
        }
        Err(failed)
    }

    /// Everything before the first item: the statement is prepared, and the collector ready.
    async fn begin_many<P: Params, C: Collector>(
        &mut self,
        sql: &str,
        first: &P,
        collector: &mut C,
        limit: Limit,
    ) -> Result<Arc<Prepared>> {
        self.begin_operation(Some(sql), limit).await?;
        let prepared = self.prepared(sql, first).await?;
        self.begin_rows(sql, first, &prepared, collector)?;
        Ok(prepared)
    }

    async fn send_many<P: Params, C: Collector>(
        &mut self,
        prepared: &Prepared,
        first: P,
        items: &mut impl Iterator<Item = P>,
        owns: bool,
        sink: &mut ManySink<'_, C>,
    ) -> Result<(), Stop> {
        let types = prepared.description().parameters();
        let declared = super::execute::declared(&first);
        let write = |unit: &mut Unit<'_>, item: &P| {
            if !item.are_declared(&declared) {
                return Err(other_types());
            }
            unit.execute(0, prepared.template(), |out| item.encode(types, out))
        };
        let started = self.start_unit_with(
            |unit| {
                if owns {
                    unit.prefix(BEGIN, "begin")?;
                }
                write(unit, &first)
            },
            End::Open,
        );
        started.map_err(|error| Stop::Item(0, error))?;
        self.hygiene.note(prepared.is_plain());
        if owns {
            // Whoever uses the connection next rolls back, unless this gets to its end.
            self.undo.push("rollback".into());
        }
        drop(first);
        for (index, item) in (1..).zip(items) {
            let link = &mut *self.link;
            let mut unit = link
                .core
                .resume_unit(&mut link.output)
                .map_err(Stop::Whole)?;
            write(&mut unit, &item).map_err(|error| Stop::Item(index, error))?;
            unit.keep_open();
            if link.output.len() >= FLUSH_AT {
                let progress =
                    poll_fn(|cx| link.poll_exchange(cx, sink, Until::Written(FLUSHED_TO)));
                match progress.await {
                    Ok(Progress::Paused) => return Err(self.stop_malformed(sink)),
                    Ok(_) if self.link.core.has_open_failed() => break,
                    Ok(_) => {}
                    Err(error) => return Err(Stop::lost(error, owns)),
                }
            }
        }
        self.finish_many(owns, sink).await
    }

    /// COMMIT and Sync, and the rest of the replies.
    async fn finish_many<C: Collector>(
        &mut self,
        owns: bool,
        sink: &mut ManySink<'_, C>,
    ) -> Result<(), Stop> {
        let link = &mut *self.link;
        let mut commits = false;
        if link.core.has_open_failed() {
            // The error is known; only the ReadyForQuery is still to come.
            link.core.abandon(&mut link.output).map_err(Stop::Whole)?;
        } else {
            let resumed = link.core.resume_unit(&mut link.output);
            let mut unit = resumed.map_err(Stop::Whole)?;
            if owns {
                unit.execute_unprepared(COMMIT, "commit")
                    .map_err(Stop::Whole)?;
                commits = true;
            }
            unit.finish();
        }
        let progress = poll_fn(|cx| link.poll_exchange(cx, sink, Until::Idle)).await;
        match progress {
            Ok(Progress::Paused) => Err(self.stop_malformed(sink)),
            Ok(progress) => {
                let reply = std::mem::take(&mut sink.reply);
                sink.reply = self.end_exchange(progress, reply).map_err(Stop::Whole)?;
                if commits && sink.reply.error.is_none() && sink.is_committed == Command::Rollback {
                    return Err(Stop::Whole(
                        Error::new(ErrorKind::RolledBack, "the transaction was rolled back")
                            .with_outcome(Outcome::RolledBack),
                    ));
                }
                Ok(())
            }
            Err(error) if commits && sink.is_committed == Command::Other => {
                match sink.reply.error.take() {
                    // The server had refused an item: there was nothing to commit.
                    Some(refused) => Err(Stop::Whole(server_error(*refused))),
                    None => Err(Stop::Commit(error)),
                }
            }
            Err(error) => Err(Stop::lost(error, owns)),
        }
    }

    /// An item can't be written. An item before it may turn out to have failed first.
    #[cold]
    async fn stop_at_item<C: Collector>(
        &mut self,
        error: PipelineError,
        sink: &mut ManySink<'_, C>,
        sql: &str,
    ) -> PipelineError {
        let link = &mut *self.link;
        if link.core.is_idle() {
            return error;
        }
        match link.core.resume_unit(&mut link.output) {
            Ok(unit) => unit.finish(),
            Err(_) => return sink.failure(sql),
        };
        let progress = poll_fn(|cx| link.poll_exchange(cx, sink, Until::Idle)).await;
        match progress {
            Ok(Progress::Paused) => match self.stop_malformed(sink) {
                Stop::Item(_, error) | Stop::Whole(error) | Stop::Commit(error) => {
                    PipelineError::at(None, error)
                }
            },
            Ok(_) if sink.reply.error.is_some() => sink.failure(sql),
            Ok(_) => error,
            Err(lost) => PipelineError::at(None, lost),
        }
    }

    /// A malformed row: nothing that follows can be trusted.
    #[cold]
    fn stop_malformed<C>(&mut self, sink: &mut ManySink<'_, C>) -> Stop {
        let failure = sink.reply.failure.take();
        let error = failure.unwrap_or_else(|| Error::protocol("the exchange stopped early"));
        Stop::Whole(self.link.close(error))
    }
}

/// Why the sending came to an early end.
enum Stop {
    /// This item can't be written.
    Item(u64, Error),
    /// Nothing more can be sent or heard.
    Whole(Error),
    /// COMMIT was sent, and its answer didn't come.
    Commit(Error),
}

impl Stop {
    /// The link is lost, or the deadline has passed. A transaction of its own is then rolled
    /// back, by the server or by the next operation.
    #[cold]
    fn lost(error: Error, owns: bool) -> Self {
        Self::Whole(if owns {
            error.with_outcome(Outcome::RolledBack)
        } else {
            error
        })
    }
}

/// Hears the replies of all items.
struct ManySink<'a, C> {
    collector: &'a mut C,
    /// How many items the server has completed.
    completed: u64,
    rows: u64,
    is_committed: Command,
    reply: Reply,
    /// What the statement returned when it was described.
    expected: Columns,
}

impl<C> ManySink<'_, C> {
    /// The error that ended it all, or what this side could not read.
    #[cold]
    fn failure(&mut self, sql: &str) -> PipelineError {
        let index = Some(self.completed);
        match (self.reply.error.take(), self.reply.failure.take()) {
            (Some(error), _) => match error.0 {
                Part::Statement(COMMIT) | Part::Prefix(_) | Part::Sync => {
                    PipelineError::at(None, server_error(*error))
                }
                Part::Statement(_) => PipelineError::at(index, server_error(*error).with_sql(sql)),
            },
            (None, Some(failure)) => {
                let error = failure.with_outcome(Outcome::Completed).with_sql(sql);
                PipelineError::at(None, error)
            }
            (None, None) => PipelineError::at(index, Error::protocol("nothing has failed")),
        }
    }
}

impl<C: Collector> Sink for ManySink<'_, C> {
    const SHARES_ROWS: bool = C::SHARES_ROWS;

    fn on_row_description(&mut self, _: At, fields: Option<RowDescription<'_>>) {
        if self.reply.failure.is_none() {
            self.reply.compare(&self.expected, fields);
        }
    }

    #[inline(always)]
    fn on_row(&mut self, _: At, row: RowBytes<'_>) -> ControlFlow<()> {
        if self.reply.failure.is_some() {
            return ControlFlow::Continue(());
        }
        match self.collector.row(row) {
            Ok(flow) => flow,
            Err(error) => self.reply.fail_locally(error, false),
        }
    }

    #[inline]
    fn on_complete(&mut self, at: At, command: CommandComplete<'_>) {
        if at.part == Part::Statement(0) {
            self.completed += 1;
            self.rows += command.rows();
        } else {
            let mut reply = Reply::default();
            reply.complete(command);
            self.is_committed = reply.command;
        }
    }

    fn on_empty_query(&mut self, _: At) {
        self.completed += 1;
    }

    fn on_error(&mut self, at: At, error: ServerError) {
        self.reply.fail(at.part, error);
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
