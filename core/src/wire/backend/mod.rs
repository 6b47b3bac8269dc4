//! The messages of the server, as views over their bodies.
//!
//! Each view has a `parse` that checks the whole body once; only a [`DataRow`], which is on
//! the hot path and walked by its decoder anyway, is checked while it is walked.
//!
//! The messages without a body (BindComplete, CloseComplete, CopyDone, EmptyQueryResponse,
//! NoData, ParseComplete, PortalSuspended) need no view, because [`split`](super::split)
//! lets only the empty body through; neither does CopyData, which is its body.
//!
//! Text stays bytes: a server may send any encoding before `client_encoding` is settled,
//! and an SQL_ASCII database may at any time.

mod authentication;
mod command;
mod description;
mod report;
mod row;
mod session;
#[cfg(test)]
mod tests;

pub use self::authentication::{Authentication, SaslMechanisms};
pub use self::command::{CommandComplete, CopyResponse};
pub use self::description::{
    FieldDescription, FieldDescriptions, ParameterDescription, RowDescription,
};
pub use self::report::{ErrorFields, to_server_error};
pub use self::row::{DataRow, Values};
pub use self::session::{
    BackendKeyData, NegotiateProtocolVersion, NotificationResponse, ParameterStatus, ReadyForQuery,
    TransactionStatus,
};
