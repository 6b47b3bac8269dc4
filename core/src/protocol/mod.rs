//! The protocol without I/O and clocks: the state machine, and what authentication computes.
//!
//! [`Core`] holds the queue of owed replies. Commands (`start_*`) append messages to a write
//! buffer and say what the server will owe for them; [`Core::handle_input`] takes what
//! arrived, checks each message against the transition table, and calls the [`Sink`].
//! [`Startup`] is the dialogue before it.

mod core;
mod course;
pub mod md5;
mod queue;
pub mod saslprep;
pub mod scram;
mod sink;
mod startup;
mod transition;
mod unit;

pub use self::core::{Core, Progress, SHARED_ROW_THRESHOLD};
pub use self::sink::{At, CopyInReply, Part, RowBytes, Sink};
pub use self::startup::{
    AuthenticationPolicy, CancelKey, Credentials, Methods, Startup, StartupProgress, Versions,
};
pub use self::unit::{BindTemplate, Unit};
