//! The two buffers of a connection. They know nothing of the protocol.

mod read;
mod write;

pub use self::read::ReadBuffer;
pub(crate) use self::write::checked_length;
pub use self::write::{LengthMark, Mark, TooLong, WriteBuffer};
