//! The protocol without I/O and clocks.

pub mod md5;
pub mod saslprep;
pub mod scram;
