//! The layers of `kornak` that do no I/O: errors, buffers, messages, the dialogue, types and their
//! codecs, rows, parameters, statements and configuration.
//!
//! Depend on `kornak`, which shows what of it is for applications. This crate is a part of that, of
//! exactly the same version, and nothing here is covered by semantic versioning: it stands by
//! itself so that it is compiled while the TLS library is, and so that none of it can come to
//! depend on a runtime.

#[doc(hidden)]
pub mod buffer;
pub mod codec;
pub mod config;
pub mod error;
#[doc(hidden)]
pub mod params;
#[doc(hidden)]
pub mod protocol;
pub mod row;
#[doc(hidden)]
pub mod statement;
pub mod types;
#[doc(hidden)]
pub mod wire;
