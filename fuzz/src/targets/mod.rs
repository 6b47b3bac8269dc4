//! What is fuzzed.

mod decoders;
mod dialogue;
mod frames;
mod scram;

use std::io;
use std::path::Path;

use crate::mutate::Shape;
use crate::outcome::Features;

/// Something that takes any bytes.
pub struct Target {
    pub name: &'static str,
    pub shape: Shape,
    pub memory: Memory,
    /// Notes what happens, and panics when something happens that must not.
    pub execute: fn(&[u8], &mut Features),
}

/// How much memory an execution may take at its peak, in bytes.
pub struct Memory {
    pub per_byte: usize,
    pub fixed: usize,
}

pub static TARGETS: [&Target; 4] = [
    &frames::TARGET,
    &scram::TARGET,
    &decoders::TARGET,
    &dialogue::TARGET,
];

/// Records the corpora that a real server can give, from the one whose Unix socket is in
/// `directory`.
pub fn record(directory: &Path) -> io::Result<()> {
    dialogue::record(directory)?;
    decoders::record(directory)
}
