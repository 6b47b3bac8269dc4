//! Kornak: an asynchronous PostgreSQL driver that speaks the binary protocol.

mod buffer;
pub mod config;
pub mod error;
mod protocol;
mod transport;
mod wire;

/// The layers below the API, for the project's own benchmarks, fuzzers and tests. Nothing
/// here is covered by semantic versioning.
#[doc(hidden)]
pub mod internals {
    pub mod buffer {
        pub use crate::buffer::*;
    }
    pub mod connection_string {
        pub use crate::config::connection_string::{Pair, parse};
    }
    pub mod protocol {
        pub use crate::protocol::*;
    }
    pub mod transport {
        pub use crate::transport::*;
    }
    pub mod wire {
        pub use crate::wire::*;
    }
}

pub use self::config::Config;
pub use self::error::{Error, Result};
