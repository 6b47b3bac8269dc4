//! The items of a statement that is new to this connection and known to another: it is
//! prepared in the flight of its items.
//!
//! What is known may be outdated. Until the server has bound the first item's parameters, the
//! items that were written are kept, a batch at most, and no more are taken. If it refuses
//! them, nothing has run: where the transaction is the flight's own, the statement is then
//! described and the items go once more.

use std::future::poll_fn;
use std::task::{Context, Poll};

use super::{Flight, ManySink, PipelineError, Source, Taken};
use crate::connection::cold::Cold;
use crate::connection::link::Until;
use crate::connection::sinks::Collector;
use crate::error::{ErrorKind, Result};
use crate::params::Params;
use crate::protocol::Progress;
use crate::row::Columns;
use crate::wire::frontend;

impl<C: Collector, S: Source<Item: Params>> Flight<'_, C, S> {
    /// Starts a flight that prepares its own statement, and waits until the server has taken
    /// it. Where it has not, and the items may go once more, returns the first of them:
    /// nothing has run then, and nothing is under way.
    ///
    /// # Errors
    ///
    /// The server's; an item that can't be written.
    pub(in crate::connection::many) async fn start_shared(
        &mut self,
        sql: &str,
        cold: Cold,
        first: S::Item,
    ) -> Result<Option<S::Item>, PipelineError> {
        match self.start_with(&first, |unit| cold.prepare(unit, 0, sql)) {
            Err(error) if error.kind() == ErrorKind::Encode => {
                self.connection.forget_shared(sql, &first);
                return Ok(Some(first));
            }
            started => started.map_err(|error| PipelineError::at(Some(0), error))?,
        }
        self.connection.statements.begin_parse(cold.name());
        self.sink.learning = Some(cold.learning());
        self.kept = Some(vec![first]);
        let mut is_written = false;
        poll_fn(|cx| self.poll_bound(cx, &mut is_written)).await?;
        let mut kept = self.kept.take().unwrap_or_default().into_iter();
        let is_refused = self.sink.completed == 0 && self.sink.reply.was_refused();
        if is_refused || self.sink.reply.lacks_binary_form() {
            self.connection.settle(cold.name(), &self.sink.reply);
            kept.as_slice()
                .first()
                .inspect(|first| self.connection.forget_shared(sql, *first));
        }
        if !is_refused || !self.owns {
            if let Some(learning) = self.sink.learning.take() {
                self.connection.keep_learning(sql, &cold, *learning).await?;
            }
            return Ok(None);
        }
        // Only to be rolled back; if that fails, the connection is closed.
        let ended = poll_fn(|cx| self.poll(cx)).await;
        match (ended, kept.next()) {
            (_, Some(first)) if !self.connection.is_closed() => {
                self.taken = kept;
                Ok(Some(first))
            }
            (ended, _) => ended.map(|_| None),
        }
    }

    /// Describes the statement, and starts anew with what it is then.
    ///
    /// # Errors
    ///
    /// The server's; rows that can't be read; an item that can't be written.
    pub(in crate::connection::many) async fn start_described(
        &mut self,
        sql: &str,
        first: &S::Item,
    ) -> Result<()> {
        let connection = &mut *self.connection;
        let prepared = connection.prepared(sql, first).await?;
        let Self { sink, .. } = self;
        connection.begin_rows(sql, first, &prepared, &mut sink.collector)?;
        sink.start_anew(prepared.description().columns());
        self.prepared = prepared;
        self.start(sql, first)
    }

    /// Sends a batch, and waits until it is heard what becomes of the first item.
    fn poll_bound(
        &mut self,
        cx: &mut Context<'_>,
        is_written: &mut bool,
    ) -> Poll<Result<(), PipelineError>> {
        if !std::mem::replace(is_written, true) {
            if let Taken::Enough = self.take_items(cx) {
                // Otherwise the server keeps its replies until there are more.
                frontend::flush(&mut self.connection.link.output);
            }
        }
        let link = &mut *self.connection.link;
        match link.poll_exchange(cx, &mut self.sink, Until::Idle) {
            Poll::Ready(Err(error)) => {
                let error = self.lost(error);
                Poll::Ready(Err(self.fail(error)))
            }
            _ if link.core.has_open_failed() => Poll::Ready(self.end_failed()),
            Poll::Ready(Ok(Progress::Paused)) => Poll::Ready(self.pause()),
            Poll::Pending if !self.sink.reply.bound && self.sink.completed == 0 => Poll::Pending,
            Poll::Pending | Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
        }
    }
}

impl<C> ManySink<C> {
    /// Nothing has come of what was sent.
    fn start_anew(&mut self, expected: &Columns) {
        self.completed = 0;
        self.rows = 0;
        self.reply = Default::default();
        self.expected = expected.clone();
        self.learning = None;
        self.local = None;
        self.failed_at = None;
    }
}
