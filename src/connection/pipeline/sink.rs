//! [`PipelineSink`]: gives each statement of a pipeline its replies.

use std::ops::ControlFlow;

use super::Fate;
use super::tuple::Slots;
use crate::connection::sinks::Reply;
use crate::error::ServerError;
use crate::protocol::{At, Part, RowBytes, Sink};
use crate::wire::backend::{CommandComplete, RowDescription};

/// Hears the replies of all statements of a pipeline.
pub(super) struct PipelineSink<'a, S> {
    slots: &'a mut S,
    fate: Fate,
    /// The statement that was heard of last: what fails at its Sync is its own.
    current: u32,
    /// The first error, where the statements share their fate.
    reply: Reply,
}

impl<'a, S: Slots> PipelineSink<'a, S> {
    pub(super) fn new(slots: &'a mut S, fate: Fate) -> Self {
        Self {
            slots,
            fate,
            current: 0,
            reply: Reply::default(),
        }
    }

    pub(super) fn into_reply(self) -> Reply {
        self.reply
    }
}

impl<S: Slots> Sink for PipelineSink<'_, S> {
    const SHARES_ROWS: bool = S::SHARES_ROWS;

    fn on_row_description(&mut self, at: At, fields: Option<RowDescription<'_>>) {
        let Part::Statement(index) = at.part else {
            return;
        };
        if let Some(state) = self.slots.state(index) {
            if let Some(prepared) = &state.prepared {
                let expected = prepared.description().columns();
                state.reply.compare(expected, fields);
            }
        }
    }

    #[inline]
    fn on_bind_complete(&mut self, at: At) {
        if let Part::Statement(index) = at.part {
            self.current = index;
            if let Some(state) = self.slots.state(index) {
                state.reply.bound = true;
            }
        }
    }

    #[inline(always)]
    fn on_row(&mut self, at: At, row: RowBytes<'_>) -> ControlFlow<()> {
        match at.part {
            Part::Statement(index) => self.slots.row(index, row),
            Part::Prefix(_) | Part::Sync => ControlFlow::Continue(()),
        }
    }

    #[inline]
    fn on_complete(&mut self, at: At, command: CommandComplete<'_>) {
        if let Part::Statement(index) = at.part {
            if let Some(state) = self.slots.state(index) {
                state.reply.complete(command);
            }
        }
    }

    fn on_error(&mut self, at: At, error: ServerError) {
        match (self.fate, at.part) {
            (Fate::Shared, part) => self.reply.fail(part, error),
            (Fate::Own, part) => {
                let index = match part {
                    Part::Statement(index) => index,
                    Part::Prefix(_) | Part::Sync => self.current,
                };
                if let Some(state) = self.slots.state(index) {
                    state.reply.fail(part, error);
                }
            }
        }
    }
}
