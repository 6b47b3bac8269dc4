//! What a session must not keep from one borrower of its connection to the next.

use super::Connection;
use super::sinks::Reply;
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::protocol::Part;
use crate::wire::TransactionStatus;

/// What is undone between two borrowers, as `DISCARD ALL` would, which is refused in a
/// transaction block (manual, "DISCARD"). Prepared statements stay: they are the driver's own,
/// unless the borrower has prepared some by SQL ([`RESET_WITH_STATEMENTS`]).
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

/// [`RESET`] of a session with statements that the borrower has prepared by SQL. The server has
/// no command that deallocates those alone: what the driver has prepared goes with them, and
/// is prepared again when it is next used.
const RESET_WITH_STATEMENTS: &[&str] = &[
    "begin isolation level read committed",
    "close all",
    "set session authorization default",
    "reset role",
    "reset all",
    "deallocate all",
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
    /// A text that may have prepared statements by SQL was sent since the reset became due.
    may_have_prepared: bool,
    /// The reset that is due or under way deallocates statements.
    deallocates: bool,
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

    /// Whether the reset is sent, and not known to be complete.
    #[inline]
    pub(super) fn is_under_way(&self) -> bool {
        self.is_under_way
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

    /// A text is sent that this connection hasn't prepared. One that it has is known to do
    /// nothing of the kind since: the cache is emptied when the statements are deallocated.
    pub(super) fn note_text(&mut self, sql: &str) {
        self.may_have_prepared = self.may_have_prepared || mentions_prepare(sql);
    }

    /// The steps of the reset.
    pub(super) fn steps(&self) -> &'static [&'static str] {
        if self.deallocates {
            RESET_WITH_STATEMENTS
        } else {
            RESET
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
                deallocates: self.deallocates,
                may_have_prepared: self.may_have_prepared,
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
        if self.is_pooled {
            return;
        }
        let hygiene = &mut self.hygiene;
        let is_pending = hygiene.deallocates && (hygiene.is_due || hygiene.is_under_way);
        hygiene.deallocates = std::mem::take(&mut hygiene.may_have_prepared) || is_pending;
        hygiene.is_due = true;
        if hygiene.deallocates {
            self.statements.forget_all();
        }
        // What arrives before the session listens to nothing any more is the last borrower's.
        self.link
            .session
            .mute_until_prefix(self.hygiene.steps().len() - 1);
    }

    /// The replies of a unit are in: looks after the reset that went before it.
    ///
    /// # Errors
    ///
    /// If the reset failed: the connection is closed, and the statement behind it did not run.
    pub(super) fn check_reset(&mut self, reply: &Reply) -> Result<()> {
        if !self.hygiene.is_under_way {
            return Ok(());
        }
        if let Some((Part::Prefix(step), error)) = reply.error.as_deref() {
            if let Some(sql) = self.hygiene.steps().get(*step as usize) {
                let message =
                    format!("the session could not be reset for its next use (\"{sql}\"): {error}");
                let error = Error::new(ErrorKind::Closed, message).with_outcome(Outcome::NotRun);
                return Err(self.link.close(error));
            }
        }
        self.hygiene = Hygiene {
            is_dirty: self.hygiene.is_dirty_after,
            may_have_prepared: self.hygiene.may_have_prepared,
            ..Hygiene::default()
        };
        Ok(())
    }
}

/// Whether the word PREPARE is in the text, wherever it stands: in a script, behind EXPLAIN, in
/// the body of a DO block.
fn mentions_prepare(sql: &str) -> bool {
    const WORD: &[u8] = b"prepare";
    sql.as_bytes()
        .windows(WORD.len())
        .any(|window| window.eq_ignore_ascii_case(WORD))
}
