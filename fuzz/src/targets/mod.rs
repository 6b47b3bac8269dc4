//! What is fuzzed.

mod dialogue;
mod frames;
mod scram;

pub use self::dialogue::record;

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

pub static TARGETS: [&Target; 3] = [&frames::TARGET, &scram::TARGET, &dialogue::TARGET];
