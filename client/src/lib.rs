//! The layers of `kornak` that do I/O, all but the TLS library: sockets, connections and the pool; and
//! the dialogue that starts a session.
//!
//! Depend on `kornak`, which shows what of it is for applications. This crate is a part of that, of
//! exactly the same version, and nothing here is covered by semantic versioning: it stands by
//! itself so that it is compiled while the TLS library is.

pub mod connection;
pub mod pool;
#[doc(hidden)]
pub mod startup;
#[doc(hidden)]
pub mod transport;

use kornak_core::{buffer, codec, config, error, params, protocol, row, statement, types, wire};
