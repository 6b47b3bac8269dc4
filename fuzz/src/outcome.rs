//! What happened in an execution.

use kornak::Error;
use kornak::error::ErrorKind;

/// The features of an execution, as numbers. An input that has a feature which no input had
/// before is worth building upon.
#[derive(Default)]
pub struct Features {
    numbers: Vec<u64>,
    last: u64,
}

impl Features {
    pub fn clear(&mut self) {
        self.numbers.clear();
        self.last = 0;
    }

    pub fn numbers(&self) -> &[u64] {
        &self.numbers
    }

    /// Something that happened, whatever was before it.
    pub fn add(&mut self, feature: u64) {
        let mut digest = Digest::default();
        digest.add(feature);
        self.numbers.push(digest.value());
    }

    /// Something that happened next: what counts is the pair with what was before it.
    pub fn follow(&mut self, feature: u64) {
        self.add(self.last << 32 | feature);
        self.last = feature;
    }

    /// An error, by its kind and by what of its text isn't the peer's: digits and what is
    /// quoted are left out.
    pub fn add_error(&mut self, error: &Error) {
        let mut digest = Digest::default();
        digest.add(1 + error.kind() as u64);
        if error.kind() == ErrorKind::Protocol {
            let text = error.to_string();
            let own = text
                .bytes()
                .take_while(|byte| !matches!(byte, b'"' | b'\''));
            for byte in own.filter(|byte| !byte.is_ascii_digit()).take(MAX_TEXT) {
                digest.add(u64::from(byte));
            }
        }
        self.numbers.push(digest.value());
    }
}

/// How much of an error's text counts, in bytes. Behind it may come the peer's own.
const MAX_TEXT: usize = 48;

/// A number for a sequence of things: the same sequence has the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    pub fn value(self) -> u64 {
        self.0
    }

    pub fn add(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    pub fn add_bytes(&mut self, bytes: &[u8]) {
        self.add(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
    }
}
