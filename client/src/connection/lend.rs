//! What a pool needs to know and do between two borrowers of a connection.

use std::time::Duration;

use tokio::time::Instant;

use super::Connection;
use super::hygiene::Hygiene;
use super::session::Handlers;
use super::timer::Limit;
use crate::error::{Error, Result};
use crate::wire::TransactionStatus;

impl Connection {
    /// Tells connections apart.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Whether nobody has use for the connection any more.
    pub(crate) fn is_unusable(&mut self) -> bool {
        self.link.is_closed() || self.has_lost_its_role()
    }

    /// The next borrower gets a connection without the handlers, the timeout and the
    /// unsent BEGIN of the last one.
    pub(crate) fn forget_borrower(&mut self, default_timeout: Option<Duration>) {
        self.link.session.handlers = Handlers::default();
        self.forget_locks();
        self.default_limit = Limit::after(default_timeout.or(self.configured_timeout));
        if !self.queued.is_empty() {
            self.queued.clear();
            self.queue_generation += 1;
        }
    }

    /// Has everything end by `deadline` that is given no limit of its own: a verb of the pool
    /// has waited for the connection already, and may be several operations.
    pub(crate) fn set_default_deadline(&mut self, deadline: Instant) {
        self.default_limit = Limit::At(deadline);
    }

    /// Whether the connection is at rest, outside of a transaction, with nothing to undo.
    pub(crate) fn is_returnable(&mut self) -> bool {
        let is_returnable = self.is_at_rest()
            && self.link.core.transaction_status() == TransactionStatus::Idle
            && !self.has_refused_to_write;
        if is_returnable {
            self.link.shrink();
        }
        is_returnable
    }

    /// Brings the connection to rest, and rolls an open transaction back. A server that has
    /// refused to write is asked whether it is [of use](Self::is_unusable) to anybody.
    ///
    /// # Errors
    ///
    /// If it is closed, or can't be brought to rest.
    ///
    /// # Cancel safety
    ///
    /// May be dropped; the next call goes on where this one was.
    pub(crate) async fn recover_for_next(&mut self) -> Result<()> {
        self.link.set_limit(Limit::None);
        self.recover().await?;
        if self.link.core.transaction_status() != TransactionStatus::Idle {
            self.undo = vec!["rollback".into()];
            self.recover().await?;
        }
        if self.has_refused_to_write {
            self.judge_refusal().await?;
        }
        Ok(())
    }

    /// Whether nothing has arrived that nobody asked for: a byte out of turn, a FATAL error,
    /// the end, or that the server has another role by now. Reads what is there without waiting,
    /// or takes the word of the connection's runtime, if that runs, that nothing is.
    #[inline]
    pub(crate) fn is_silent(&mut self, runtime_runs: bool) -> bool {
        let is_silent =
            runtime_runs && self.link.hears_nothing() || self.link.check_silent().unwrap_or(false);
        is_silent && !self.has_lost_its_role()
    }

    /// Asks the server whether it lives: a Sync alone, in one round trip.
    ///
    /// # Errors
    ///
    /// If it doesn't.
    ///
    /// # Cancel safety
    ///
    /// May be dropped.
    pub(crate) async fn ping(&mut self) -> Result<()> {
        self.link.set_limit(Limit::None);
        self.execute_unprepared(&[]).await.map(|_| ())
    }

    /// Resets the session now, if that is due, and not with the next statement.
    ///
    /// # Errors
    ///
    /// If it can't be reset: the connection is closed then.
    ///
    /// # Cancel safety
    ///
    /// May be dropped.
    pub(crate) async fn settle_reset(&mut self) -> Result<()> {
        let limit = self.default_limit();
        self.begin_operation(None, limit).await?;
        self.flush_queued().await
    }

    /// The session as it is now is what a borrower is to find.
    pub(crate) fn forget_what_was_done(&mut self) {
        self.hygiene = Hygiene::default();
        self.settle_role();
    }

    /// The connection can't be trusted any more.
    pub(crate) fn poison(&mut self, why: &'static str) {
        self.link.close(Error::usage(why));
    }
}
