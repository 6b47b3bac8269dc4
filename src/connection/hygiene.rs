//! What a session must not keep from one borrower of its connection to the next.

use super::Connection;
use super::sinks::Reply;
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::protocol::Part;
use crate::wire::TransactionStatus;

/// What is undone between two borrowers, as `DISCARD ALL` would, which is refused in a
/// transaction block (manual, "DISCARD"). Prepared statements stay: they are the driver's own.
///
/// They go before the next borrower's first statement, in one unit with it: a step that
/// fails makes the server skip the rest, that statement included. The isolation level is
/// named, because the last borrower's default may be one that makes the server wait for
/// others (`default_transaction_deferrable`).
pub(crate) const RESET: &[&str] = &[
    "begin isolation level read committed",
    "close all",
    "set session authorization default",
    "reset role",
    "reset all",
    "unlisten *",
    "select pg_catalog.pg_advisory_unlock_all()",
    "discard temp",
    "discard sequences",
    "commit",
];

/// Whether the session is as it was when it began.
#[derive(Debug, Default)]
pub(super) struct Hygiene {
    /// Something may have been left behind since the last reset.
    is_dirty: bool,
    /// The reset goes with the next unit.
    pub(super) is_due: bool,
    /// The reset is sent, and not known to be complete.
    is_under_way: bool,
    /// What came behind the reset may have left something behind.
    is_dirty_after: bool,
}

impl Hygiene {
    /// A statement is sent.
    #[inline]
    pub(super) fn note(&mut self, is_plain: bool) {
        if self.is_under_way {
            self.is_dirty_after |= !is_plain;
        } else {
            self.is_dirty |= !is_plain;
        }
    }

    /// Whether the next statement finds the session as a new one has it, as far as is known:
    /// it means the same then to each connection of a pool.
    pub(super) fn is_pristine(&self) -> bool {
        if self.is_under_way {
            !self.is_dirty_after
        } else {
            self.is_due || !self.is_dirty
        }
    }

    /// The reset is written.
    #[inline]
    pub(super) fn start(&mut self) {
        self.is_due = false;
        self.is_under_way = true;
        self.is_dirty_after = false;
    }

    /// What became of the reset nobody saw: it is due again, unless the transaction status
    /// tells.
    pub(super) fn interrupt(&mut self) {
        if self.is_under_way {
            *self = Self {
                is_dirty: true,
                is_due: true,
                ..Self::default()
            };
        }
    }

    /// Whether the reset is to be written now, before a statement.
    ///
    /// Never into an open transaction, which its COMMIT would commit: one that is in order
    /// was begun behind a reset, which has then been completed. In a failed one it may be the
    /// reset that has failed; what comes next can only roll it back.
    #[inline]
    pub(super) fn is_wanted(&mut self, status: TransactionStatus) -> bool {
        if self.is_due && status == TransactionStatus::InTransaction {
            self.is_due = false;
        }
        self.is_due && status == TransactionStatus::Idle
    }
}

impl Connection {
    /// Whether anything may have been left behind in the session since it was last reset.
    pub(crate) fn is_dirty(&self) -> bool {
        // Behind a pooler of transactions there is no session to reset.
        !self.is_pooled
            && (self.hygiene.is_dirty || self.hygiene.is_under_way || self.hygiene.is_due)
    }

    /// Has the session reset before the next statement.
    pub(crate) fn reset_before_next(&mut self) {
        self.hygiene.is_due = !self.is_pooled;
    }

    /// The replies of a unit are in: looks after the reset that went before it.
    ///
    /// # Errors
    ///
    /// If the reset failed: the connection is closed, and the statement behind it did not run.
    #[inline]
    pub(super) fn check_reset(&mut self, reply: &Reply) -> Result<()> {
        if !self.hygiene.is_under_way {
            return Ok(());
        }
        if let Some((Part::Prefix(step), error)) = reply.error.as_deref() {
            if let Some(sql) = RESET.get(*step as usize) {
                let message =
                    format!("the session could not be reset for its next use (\"{sql}\"): {error}");
                let error = Error::new(ErrorKind::Closed, message).with_outcome(Outcome::NotRun);
                return Err(self.link.close(error));
            }
        }
        self.hygiene = Hygiene {
            is_dirty: self.hygiene.is_dirty_after,
            ..Hygiene::default()
        };
        Ok(())
    }
}
