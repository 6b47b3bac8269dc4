//! What a session must not keep from one borrower of its connection to the next.

use super::Connection;
use super::sinks::Reply;
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::protocol::Part;

/// What is undone between two borrowers, as `DISCARD ALL` would, which is refused in a
/// transaction block (manual, "DISCARD"). Prepared statements stay: they are the driver's own.
///
/// They go before the next borrower's first statement, in one unit with it: a step that
/// fails makes the server skip the rest, that statement included.
pub(crate) const RESET: &[&str] = &[
    "begin",
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

    /// The reset is written.
    #[inline]
    pub(super) fn start(&mut self) {
        self.is_due = false;
        self.is_under_way = true;
        self.is_dirty_after = false;
    }

    /// What became of the reset nobody saw: it is due again.
    pub(super) fn interrupt(&mut self) {
        if self.is_under_way {
            *self = Self {
                is_dirty: true,
                is_due: true,
                ..Self::default()
            };
        }
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
