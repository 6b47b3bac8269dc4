//! Kornak: an asynchronous PostgreSQL driver that speaks the binary protocol.

mod buffer;
pub mod error;
mod protocol;
mod wire;

/// The layers below the API, for the project's own benchmarks, fuzzers and tests. Nothing
/// here is covered by semantic versioning.
#[doc(hidden)]
pub mod internals {
    pub mod buffer {
        pub use crate::buffer::*;
    }
    pub mod protocol {
        pub use crate::protocol::*;
    }
    pub mod wire {
        pub use crate::wire::*;
    }
}

pub use self::error::{Error, Result};
