//! [`PipelineSink`]: gives each statement of a pipeline its replies.

use std::ops::ControlFlow;

use super::Fate;
use super::tuple::Slots;
use crate::connection::sinks::Reply;
use crate::error::ServerError;
use crate::protocol::{At, Part, RowBytes, Sink};
use crate::wire::backend::{CommandComplete, ParameterDescription, RowDescription};

/// Hears the replies of all statements of a pipeline.
pub(super) struct PipelineSink<'a, S> {
    slots: &'a mut S,
    fate: Fate,
    /// The statement that was bound last: what fails at its Sync is its own.
    bound: Option<u32>,
    has_failed: bool,
    /// The first error, where the statements share their fate.
    reply: Reply,
}

impl<'a, S: Slots> PipelineSink<'a, S> {
    pub(super) fn new(slots: &'a mut S, fate: Fate) -> Self {
        Self {
            slots,
            fate,
            bound: None,
            has_failed: false,
            reply: Reply::default(),
        }
    }

    /// Whether the server has refused a statement.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    pub(super) fn into_reply(self) -> Reply {
        self.reply
    }
}

impl<S: Slots> Sink for PipelineSink<'_, S> {
    #[inline]
    fn shares_rows(&self) -> bool {
        S::SHARES_ROWS
    }

    fn on_row_description(&mut self, at: At, fields: Option<RowDescription<'_>>) {
        if let Part::Statement(index) = at.part {
            self.slots.describe(index, fields);
        }
    }

    fn on_parameter_description(&mut self, at: At, parameters: ParameterDescription<'_>) {
        let Part::Statement(index) = at.part else {
            return;
        };
        let state = self.slots.state(index);
        if let Some(learning) = state.and_then(|state| state.learning.as_mut()) {
            learning.learn_parameters(parameters);
        }
    }

    #[inline]
    fn on_bind_complete(&mut self, at: At) {
        if let Part::Statement(index) = at.part {
            self.bound = Some(index);
        }
    }

    #[inline(always)]
    fn on_row(&mut self, at: At, row: RowBytes<'_>) -> ControlFlow<()> {
        match at.part {
            Part::Statement(index) => self.slots.row(index, row),
            Part::Prefix(_) | Part::Sync => ControlFlow::Continue(()),
        }
    }

    #[inline(always)]
    fn on_complete(&mut self, at: At, command: CommandComplete<'_>) {
        if let Part::Statement(index) = at.part {
            self.slots.complete(index, command);
        }
    }

    fn on_error(&mut self, at: At, error: ServerError) {
        self.has_failed = true;
        let index = match at.part {
            Part::Statement(index) => index,
            Part::Prefix(_) | Part::Sync => self.bound.unwrap_or_default(),
        };
        let state = self.slots.state(index);
        let reply = match (self.fate, state) {
            (Fate::Own, None) => return,
            (Fate::Own, Some(state)) => &mut state.reply,
            (Fate::Shared, None) => &mut self.reply,
            (Fate::Shared, Some(state)) => {
                state.reply.bound = self.bound == Some(index);
                &mut self.reply
            }
        };
        reply.fail(at.part, error);
        reply.bound = self.bound == Some(index);
    }
}
