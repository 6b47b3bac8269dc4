//! How a connection gets back to where an operation can start: what a dropped future left
//! behind is read to its end, cancelled where it is long, and undone.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use super::Connection;
use super::link::Until;
use super::sinks::{Nothing, server_error};
use super::timer::Limit;
use crate::error::{Error, ErrorKind, Result, ServerError, SqlState};
use crate::protocol::{At, Part, RowBytes, Sink};
use crate::statement::{ends_transaction, session_command};
use crate::wire::TransactionStatus;

/// How long the rest of an operation that was dropped is simply read before the server is
/// asked to cancel it.
pub(super) const DRAIN_PATIENCE: Duration = Duration::from_millis(20);

/// How long a cancel and the rest of what it cancels may take before the connection is
/// closed.
pub(super) const CANCEL_BUDGET: Duration = Duration::from_secs(5);

impl Connection {
    /// Makes ready for an operation, which runs `sql` where that is known already.
    ///
    /// # Errors
    ///
    /// If the connection is closed, can't be brought to rest within the limit, or is in a
    /// failed transaction in which the server would refuse the statement.
    pub(super) async fn begin_operation(&mut self, sql: Option<&str>, limit: Limit) -> Result<()> {
        self.link.set_limit(limit);
        if !self.link.is_quiet()
            || !self.undo.is_empty()
            || self.cancelling.is_some()
            || self.owes_unlocks()
        {
            self.link.start_clock();
            self.recover().await?;
        }
        if let Some(sql) = sql {
            self.check_session_command(sql)?;
        }
        if self.link.core.transaction_status() == TransactionStatus::Failed {
            return self.check_failed(sql);
        }
        Ok(())
    }

    /// Behind a pooler of transactions no statement may ask for a session of its own.
    ///
    /// # Errors
    ///
    /// If it does.
    pub(super) fn check_session_command(&self, sql: &str) -> Result<()> {
        if !self.is_pooled {
            return Ok(());
        }
        match session_command(sql) {
            None => Ok(()),
            Some(command) => Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{command} needs a session of its own, which there is none of with \
                     pooler=transaction; SET LOCAL lasts for a transaction"
                ),
            )),
        }
    }

    /// Whether a statement can be sent as things are.
    #[inline]
    pub(super) fn is_at_rest(&self) -> bool {
        self.link.is_quiet()
            && self.undo.is_empty()
            && self.advisory.owes_nothing()
            && self.cancelling.is_none()
            && self.link.core.transaction_status() != TransactionStatus::Failed
    }

    /// Brings the connection to rest: nothing owed, nothing half sent, nothing left to undo.
    ///
    /// # Errors
    ///
    /// If it is closed, or can't be brought to rest within the limit or the budget.
    ///
    /// # Cancel safety
    ///
    /// May be dropped; the next call goes on where this one was.
    pub(crate) fn recover(&mut self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        // Erased, so that nobody who proves a verb's future `Send` looks in here again, which
        // would take the compiler longer than all else of the verb.
        Box::pin(self.bring_to_rest())
    }

    async fn bring_to_rest(&mut self) -> Result<()> {
        let link = &mut *self.link;
        if link.is_closed() {
            return Err(link.closed_error());
        }
        if self.undoing.is_none() {
            link.core.abandon(&mut link.output)?;
            if !self.drain(self.interrupted).await? {
                self.cancel_and_drain().await?;
            }
            self.interrupted = false;
            self.hygiene.interrupt();
        }
        self.undo_all().await?;
        if self.link.session.commands.are_notable {
            self.note_commands();
        }
        self.link.shrink();
        Ok(())
    }

    /// Reads what is owed, for a short while only if it is worth a cancel. Returns whether all
    /// has come.
    async fn drain(&mut self, is_worth_a_cancel: bool) -> Result<bool> {
        if self.cancelling.is_some() {
            return Ok(false);
        }
        let link = &mut *self.link;
        let rest = poll_fn(|cx| link.poll_exchange_dyn(cx, &mut Nothing, Until::Idle));
        if !is_worth_a_cancel {
            rest.await?;
            return Ok(true);
        }
        match tokio::time::timeout(DRAIN_PATIENCE, rest).await {
            Ok(result) => result.map(|_| true),
            Err(_) => Ok(false),
        }
    }

    /// Cancels what runs and reads the rest. The connection is at rest only when the cancel's
    /// own connection has reached its end too: until then the server may still act on it.
    async fn cancel_and_drain(&mut self) -> Result<()> {
        let Self {
            link,
            cancelling,
            cancel_token,
            ..
        } = self;
        let cancel = cancelling.get_or_insert_with(|| cancel_token.start());
        let mut is_drained = false;
        let both = poll_fn(|cx| {
            let is_sent = match Pin::new(&mut *cancel).poll(cx) {
                // Of a kind that is never taken for a timeout of the operation, after which the
                // next one would go on as if the request had come to its end.
                Poll::Ready(result) => result.map(|()| true).map_err(|error| {
                    Error::new(ErrorKind::Closed, "the cancel request failed").with_source(error)
                })?,
                Poll::Pending => false,
            };
            if !is_drained {
                is_drained = match link.poll_exchange_dyn(cx, &mut Nothing, Until::Idle) {
                    Poll::Ready(result) => result.map(|_| true)?,
                    Poll::Pending => false,
                };
            }
            if is_sent && is_drained {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            }
        });
        let result = match tokio::time::timeout(CANCEL_BUDGET, both).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(ErrorKind::Closed, "the cancel took too long")),
        };
        match result {
            Ok(()) => self.cancelling = None,
            // The operation's own limit: the next one goes on where this one was.
            Err(error) if error.kind() == ErrorKind::Timeout => return Err(error),
            // A cancel whose end is not known may hit whatever runs next.
            Err(error) => {
                self.cancelling = None;
                let message = "the rest of an abandoned operation could not be brought to its end";
                return Err(self
                    .link
                    .close(Error::new(ErrorKind::Closed, message).with_source(error)));
            }
        }
        Ok(())
    }

    /// Undoes what dropped guards have left. A savepoint can't be undone twice: how far it has
    /// come stands in the connection, and the outcome is awaited by whoever comes next.
    async fn undo_all(&mut self) -> Result<()> {
        loop {
            if let Some(outcome) = &mut self.undoing {
                let link = &mut *self.link;
                poll_fn(|cx| link.poll_exchange_dyn(cx, outcome, Until::Idle)).await?;
                if let Some(error) = outcome.error.take() {
                    let error = server_error(*error)
                        .with_context("an abandoned transaction could not be rolled back");
                    return Err(self.link.close(error));
                }
                self.undoing = None;
            }
            if self.link.core.transaction_status() == TransactionStatus::Idle {
                self.undo.clear();
            }
            if self.undo.is_empty() {
                if !self.owes_unlocks() {
                    return Ok(());
                }
                self.undo = self.take_unlocks();
            }
            start_undo(&mut self.link, &self.undo)?;
            self.undo.clear();
            self.undoing = Some(UndoOutcome::default());
        }
    }

    /// A guard is dropped: what undoes it is sent at once where nothing else is under way,
    /// and else by whoever uses the connection next. What undoes everything takes the place
    /// of what undoes parts of it.
    pub(super) fn undo(&mut self, mut statements: Vec<Cow<'static, str>>, undoes_everything: bool) {
        if self.link.is_closed() {
            return;
        }
        if self.link.is_quiet() && self.undo.is_empty() && self.cancelling.is_none() {
            // A BEGIN that failed, or a transaction that a statement has ended.
            if self.link.core.transaction_status() == TransactionStatus::Idle {
                return;
            }
            if undoes_everything {
                // What a failed transaction did not take.
                statements.append(&mut self.take_unlocks());
            }
            if start_undo(&mut self.link, &statements).is_ok() {
                self.link.core.discard_all();
                self.link.try_write();
            }
        } else {
            if undoes_everything {
                self.undo.clear();
            }
            self.undo.extend(statements);
        }
    }

    /// In a failed transaction only statements that end it are sent; the server refuses all
    /// others, and so does the client, in its words.
    #[cold]
    fn check_failed(&self, sql: Option<&str>) -> Result<()> {
        match sql {
            Some(sql) if !ends_transaction(sql) => Err(Error::server(ServerError::new(
                SqlState::IN_FAILED_SQL_TRANSACTION,
                "current transaction is aborted, commands ignored until end of transaction block",
            ))
            .with_outcome(crate::error::Outcome::NotRun)),
            _ => Ok(()),
        }
    }
}

/// Appends the statements as a unit of their own.
pub(super) fn start_undo(link: &mut super::Link, statements: &[Cow<'static, str>]) -> Result<()> {
    let mut unit = link.core.start_unit(&mut link.output)?;
    for (index, sql) in (0..).zip(statements) {
        unit.prefix(index, sql)?;
    }
    unit.finish();
    Ok(())
}

/// Whether the undoing went well.
#[derive(Default)]
pub(super) struct UndoOutcome {
    error: Option<Box<(Part, ServerError)>>,
}

impl UndoOutcome {
    pub(super) fn is_fine(&self) -> bool {
        self.error.is_none()
    }
}

impl Sink for UndoOutcome {
    fn on_row(&mut self, _: At, _: RowBytes<'_>) -> std::ops::ControlFlow<()> {
        std::ops::ControlFlow::Continue(())
    }

    fn on_error(&mut self, at: At, error: ServerError) {
        self.error = Some(Box::new((at.part, error)));
    }
}
