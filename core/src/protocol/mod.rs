//! The protocol without I/O and clocks, from the first ReadyForQuery on: the state machine.
//!
//! [`Core`] holds the queue of owed replies. Commands (`start_*`) append messages to a write
//! buffer and say what the server will owe for them; [`Core::handle_input`] takes what
//! arrived, checks each message against the transition table, and calls the [`Sink`].

mod core;
mod course;
mod queue;
mod sink;
mod transition;
mod unit;

pub use self::core::{Core, Progress, SHARED_ROW_THRESHOLD};
pub use self::sink::{At, CopyInReply, Part, RowBytes, Sink};
pub use self::unit::{BindTemplate, Unit};
