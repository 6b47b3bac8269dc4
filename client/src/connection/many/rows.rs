//! [`ManyRows`]: what the statements of many items return, as it is asked for.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::flight::{Flight, Step};
use super::items::Items;
use super::{Held, PipelineError};
use crate::connection::observe::Observation;
use crate::connection::sinks::Batch;
use crate::error::{Error, Result};
use crate::row::FromRow;

/// The rows that one statement returns for many items, made by
/// [`Connection::stream_many`](super::super::Connection::stream_many), in the order of the items.
///
/// Items are sent while rows are read; a slow reader makes both the server and the source of
/// the items wait. Dropped before its end, what was begun is rolled back, unless all items
/// and the COMMIT were sent already.
#[must_use = "the items are sent while the rows are read"]
pub struct ManyRows<'c, T, I: Items> {
    /// None where there were no items.
    flight: Option<Flight<'c, Batch<T>, I::Source>>,
    sql: Box<str>,
    /// How many rows were affected, once that is known.
    affected: Option<u64>,
    /// Told when the rows before it are handed out.
    failure: Option<PipelineError>,
    is_over: bool,
    observation: Option<Observation>,
}

impl<'c, T: for<'r> FromRow<'r> + Send, I: Items> ManyRows<'c, T, I> {
    /// On a connection that is still to come.
    #[expect(clippy::manual_async_fn, reason = "an `async fn` cannot say `Send`")]
    pub(crate) fn open(
        connection: impl Future<Output = Result<Held<'c>>> + Send,
        sql: &str,
        source: I::Source,
    ) -> impl Future<Output = Result<Self, PipelineError>> + Send {
        async move {
            let connection = connection.await?;
            let observation = Observation::start_batch(&connection, sql);
            let opening = async {
                let flight = super::begin(connection, sql, source, Batch::new()).await?;
                Ok(Self {
                    is_over: flight.is_none(),
                    affected: flight.is_none().then_some(0),
                    flight,
                    sql: sql.into(),
                    failure: None,
                    observation: None,
                })
            };
            let keep = |opened: &mut Self, observation| opened.observation = Some(observation);
            let mut opened = observation
                .open(opening, keep, PipelineError::error)
                .await?;
            if opened.is_over {
                note_end(&mut opened.observation, 0, None);
            }
            Ok(opened)
        }
    }
}

impl<T: for<'r> FromRow<'r>, I: Items> ManyRows<'_, T, I> {
    /// The next row, or `None` at the end, when all items are done and, where the
    /// transaction is its own, committed.
    ///
    /// # Errors
    ///
    /// As [`execute_many`](super::super::Connection::execute_many), after the rows before it; a row
    /// that can't be read. It is over after an error.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: no row is lost.
    pub async fn next(&mut self) -> Result<Option<T>, PipelineError> {
        poll_fn(|cx| self.poll_row(cx)).await.transpose()
    }

    /// How many rows were affected in total, once it is at its end.
    pub fn rows_affected(&self) -> Option<u64> {
        self.affected
    }

    fn poll_row(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, PipelineError>>> {
        let Some(flight) = &mut self.flight else {
            return Poll::Ready(None);
        };
        loop {
            if let Some(row) = flight.collector().rows.pop_front() {
                return Poll::Ready(Some(Ok(row)));
            }
            if self.is_over {
                return Poll::Ready(self.failure.take().map(Err));
            }
            match flight.poll(cx) {
                Poll::Pending if flight.collector().rows.is_empty() => return Poll::Pending,
                Poll::Pending | Poll::Ready(Ok(Step::Paused)) => {}
                Poll::Ready(Ok(Step::Done(rows))) => {
                    self.is_over = true;
                    self.affected = Some(rows);
                    note_end(&mut self.observation, flight.written(), None);
                }
                Poll::Ready(Err(error)) => {
                    self.is_over = true;
                    note_end(&mut self.observation, flight.written(), Some(error.error()));
                    self.failure = Some(error.with_sql(&self.sql));
                }
            }
        }
    }
}

/// Tells whoever watches that it is over.
fn note_end(observation: &mut Option<Observation>, items: u64, failure: Option<&Error>) {
    if let Some(observation) = observation {
        observation.note_batch(items);
        observation.end(failure.map_or(Ok(None), Err));
    }
}

impl<T: for<'r> FromRow<'r>, I: Items> Stream for ManyRows<'_, T, I> {
    type Item = Result<T, PipelineError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_row(cx)
    }
}

// Nothing in it is ever pinned.
impl<T, I: Items> Unpin for ManyRows<'_, T, I> {}

impl<T, I: Items> fmt::Debug for ManyRows<'_, T, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManyRows")
            .field("sql", &self.sql)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}
