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

/// How a server fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fitness {
    /// It is of the kind that is wanted.
    Fit,
    /// It will do if there is no better one.
    Spare,
    /// It is not of the kind that is wanted; this one it is.
    Unfit(&'static str),
}

impl Connection {
    /// How the server fits the wish. PostgreSQL 14 and later report what is needed when the
    /// session starts; others, and those behind a pooler, are asked.
    ///
    /// # Errors
    ///
    /// If the server doesn't answer the question.
    pub(super) async fn fitness(&mut self, wish: TargetSessionAttrs) -> Result<Fitness> {
        Ok(match wish {
            TargetSessionAttrs::Any => Fitness::Fit,
            TargetSessionAttrs::ReadWrite if self.is_read_only().await? => {
                Fitness::Unfit("its sessions are read-only")
            }
            TargetSessionAttrs::ReadOnly if !self.is_read_only().await? => {
                Fitness::Unfit("its sessions are not read-only")
            }
            TargetSessionAttrs::Primary if self.is_standby().await? => {
                Fitness::Unfit("it is a standby")
            }
            TargetSessionAttrs::Standby if !self.is_standby().await? => {
                Fitness::Unfit("it is not a standby")
            }
            TargetSessionAttrs::PreferStandby if !self.is_standby().await? => Fitness::Spare,
            _ => Fitness::Fit,
        })
    }

    async fn is_read_only(&mut self) -> Result<bool> {
        let reported = self
            .reported("default_transaction_read_only")
            .zip(self.reported("in_hot_standby"));
        match reported {
            Some((is_default, is_standby)) => Ok(is_default || is_standby),
            None => Ok(self.ask("show transaction_read_only").await? == "on"),
        }
    }

    async fn is_standby(&mut self) -> Result<bool> {
        match self.reported("in_hot_standby") {
            Some(is_standby) => Ok(is_standby),
            None => Ok(self.ask("select pg_catalog.pg_is_in_recovery()").await? == "t"),
        }
    }

    fn reported(&self, parameter: &str) -> Option<bool> {
        match self.parameter(parameter)? {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        }
    }

    /// The answer to a question of one value, in text.
    async fn ask(&mut self, question: &str) -> Result<String> {
        self.start_unit(|unit| unit.execute_unprepared(0, question))?;
        let mut answer = Answer::default();
        let mut sink = WarmSink::new(&mut answer);
        let progress = self.exchange(&mut sink).await?;
        let reply = sink.reply;
        self.end_exchange(progress, reply)?.check()?;
        Ok(answer.text)
    }
}

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
