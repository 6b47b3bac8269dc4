//! The two buffers of a connection. They know nothing of the protocol.

mod read;
mod write;

pub use self::read::ReadBuffer;
pub use self::write::{LengthMark, Mark, TooLong, WriteBuffer};
