//! Whether a server is the one that `target_session_attrs` asks for
//! (manual, "Parameter Key Words"; libpq's `PQconnectPoll`).

use std::ops::ControlFlow;

use super::Connection;
use super::sinks::{Collector, WarmSink};
use crate::config::TargetSessionAttrs;
use crate::error::Result;
use crate::protocol::RowBytes;
use crate::row::{Columns, Plans};
use crate::wire::backend::DataRow;

/// How a server fits, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fitness {
    /// It is of the kind that is wanted.
    Fit,
    /// It will do if there is no better one.
    Spare,
    /// It is not of the kind that is wanted; this one it is.
    Unfit(&'static str),
}

/// The wish that a connection was made with, and what the server reported of its role then.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chosen {
    wish: TargetSessionAttrs,
    first: Reported,
}

/// What a server reports of its role by itself.
#[derive(Clone, Copy, Debug, Default)]
struct Reported {
    is_standby: Option<bool>,
    /// `default_transaction_read_only`, which sessions may change, too.
    is_read_only: Option<bool>,
}

impl Connection {
    /// How the server fits the wish. PostgreSQL 14 and later report what is needed when the
    /// session starts; others, and those behind a pooler, are asked.
    ///
    /// # Errors
    ///
    /// If the server doesn't answer the question.
    pub(super) async fn fitness(&mut self, wish: TargetSessionAttrs) -> Result<Fitness> {
        let first = self.reported();
        self.chosen = Chosen { wish, first };
        self.link.session.has_changed_role = false;
        if let Some(fitness) = first.fitness(wish) {
            return Ok(fitness);
        }
        let is_so = if is_about_writing(wish) {
            self.ask("show transaction_read_only").await? == "on"
        } else {
            self.ask("select pg_catalog.pg_is_in_recovery()").await? == "t"
        };
        Ok(judge(wish, is_so))
    }

    /// Whether the server fits less than it did when it was chosen, as far as is known: it was
    /// promoted, for example. It tells with the answer to the next statement
    /// (`ReportChangedGUCOptions` in the server's guc.c).
    #[inline]
    pub(super) fn has_lost_its_role(&mut self) -> bool {
        if self.link.session.has_changed_role {
            self.judge_change();
        }
        self.is_unfit
    }

    #[cold]
    fn judge_change(&mut self) {
        let Chosen { wish, first } = self.chosen;
        let mut now = self.reported();
        if self.is_dirty() {
            // It may be the borrower's own SET. What is so behind the reset is reported then.
            now.is_read_only = first.is_read_only;
        } else {
            self.link.session.has_changed_role = false;
        }
        let fitness = now.fitness(wish).zip(first.fitness(wish));
        self.is_unfit |= fitness.is_some_and(|(now, first)| now > first);
    }

    /// The server has refused to write: asks whether it would refuse the next borrower too, or
    /// whether it was the transaction or the session that could only read, as its borrower had
    /// asked.
    ///
    /// The session need not be reset yet: of a setting the server tells what a reset makes of it
    /// (`pg_settings`). Of sessions that began as read-only ones, as the configuration or the
    /// role asks, the next is no better.
    ///
    /// # Errors
    ///
    /// If the server doesn't answer.
    pub(super) async fn judge_refusal(&mut self) -> Result<()> {
        let standby = self.ask("select pg_catalog.pg_is_in_recovery()").await?;
        let setting = self
            .ask(
                "select reset_val from pg_catalog.pg_settings \
                 where name operator(pg_catalog.=) 'default_transaction_read_only'",
            )
            .await?;
        let has_become_read_only = setting == "on" && self.chosen.first.is_read_only != Some(true);
        self.is_unfit |= standby == "t" || has_become_read_only;
        self.has_refused_to_write = false;
        Ok(())
    }

    /// What the session has set is its own, and no change of the server.
    pub(super) fn settle_role(&mut self) {
        self.chosen.first.is_read_only = self.reported().is_read_only;
    }

    fn reported(&self) -> Reported {
        let is_on = |parameter| match self.parameter(parameter)? {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        };
        Reported {
            is_standby: is_on(IN_HOT_STANDBY),
            is_read_only: is_on(DEFAULT_TRANSACTION_READ_ONLY),
        }
    }

    /// The answer to a question of one value, in text.
    async fn ask(&mut self, question: &str) -> Result<String> {
        self.start_unit(|unit| unit.execute_unprepared(0, question))?;
        let mut answer = Answer::default();
        let mut sink = WarmSink::new(&mut answer);
        let progress = self.exchange_dyn(&mut sink).await?;
        let reply = sink.reply;
        self.end_exchange(progress, reply)?.check()?;
        Ok(answer.text)
    }
}

impl Reported {
    /// How a server that reports this fits; `None` if that doesn't tell.
    fn fitness(self, wish: TargetSessionAttrs) -> Option<Fitness> {
        if wish == TargetSessionAttrs::Any {
            return Some(Fitness::Fit);
        }
        let is_standby = self.is_standby?;
        Some(if is_about_writing(wish) {
            judge(wish, is_standby || self.is_read_only?)
        } else {
            judge(wish, is_standby)
        })
    }
}

/// Whether the wish is that sessions can, or can't, write; else it is about standbys.
fn is_about_writing(wish: TargetSessionAttrs) -> bool {
    matches!(
        wish,
        TargetSessionAttrs::ReadWrite | TargetSessionAttrs::ReadOnly
    )
}

/// How a server fits of which `is_so` says whether it is read-only or a standby, whichever the
/// wish is about.
fn judge(wish: TargetSessionAttrs, is_so: bool) -> Fitness {
    match (wish, is_so) {
        (TargetSessionAttrs::ReadWrite, true) => Fitness::Unfit("its sessions are read-only"),
        (TargetSessionAttrs::ReadOnly, false) => Fitness::Unfit("its sessions are not read-only"),
        (TargetSessionAttrs::Primary, true) => Fitness::Unfit("it is a standby"),
        (TargetSessionAttrs::Standby, false) => Fitness::Unfit("it is not a standby"),
        (TargetSessionAttrs::PreferStandby, false) => Fitness::Spare,
        _ => Fitness::Fit,
    }
}

/// The parameter that says whether the server is a standby.
pub(super) const IN_HOT_STANDBY: &str = "in_hot_standby";

/// The parameter that says whether transactions can't write unless they ask to.
pub(super) const DEFAULT_TRANSACTION_READ_ONLY: &str = "default_transaction_read_only";

/// The text of the first value.
#[derive(Default)]
struct Answer {
    text: String,
}

impl Collector for Answer {
    fn begin(&mut self, _: &Columns, _: &mut Plans) -> Result<()> {
        Ok(())
    }

    fn row(&mut self, row: RowBytes<'_>) -> Result<ControlFlow<()>> {
        let first = DataRow::parse(row.body())?.iter().next().transpose()?;
        if let Some(Some(value)) = first {
            self.text = String::from_utf8_lossy(value).into_owned();
        }
        Ok(ControlFlow::Continue(()))
    }
}
