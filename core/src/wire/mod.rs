//! The messages of PostgreSQL's frontend/backend protocol, versions 3.0 to 3.2
//! (manual, "Frontend/Backend Protocol", "Message Formats").
//!
//! [`split`] cuts what has arrived into frames, the views of [`backend`] read their bodies
//! where they lie, and the functions of [`frontend`] append whole messages to a
//! [`WriteBuffer`](crate::buffer::WriteBuffer). Nothing here knows which message may follow
//! which.
//!
//! Whatever the server sends gives a value or an error: every parser checks each count and
//! length against the bytes that are there, treats bytes left over as an error, and sizes
//! nothing by a number that it was told.

pub mod backend;
mod frame;
pub mod frontend;
pub mod limits;
mod reader;
pub mod tag;

pub use self::backend::TransactionStatus;
pub use self::frame::{Frame, Split, split, split_known};
