//! What the frontend sent, against what a dialogue expects.

use std::fmt;

use super::message::{Bindings, Message, Value};
use super::syntax::{Piece, Pieces};

/// Whether `received` is what `expected` says. What its captures matched is added to
/// `bindings`, unless the answer is no.
pub fn matches(expected: &Message, received: &Message, bindings: &mut Bindings) -> bool {
    if expected.name() != received.name() {
        return false;
    }
    let mut tried = bindings.clone();
    let matched = all_match(expected.values(), received.values(), &mut tried);
    if matched {
        *bindings = tried;
    }
    matched
}

/// The frontend sent something else than the dialogue says.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// Where the expectation stands: the file and its line.
    pub place: String,
    /// Each expected message, with what came in its place if that is another.
    pub lines: Vec<Compared>,
}

/// A line of a [`Mismatch`].
#[derive(Clone, Debug)]
pub enum Compared {
    /// The message that was expected came.
    Same(String),
    /// This was expected.
    Missing(String),
    /// This came.
    Unexpected(String),
}

impl Mismatch {
    /// Sets what was expected beside what came.
    pub fn compare(
        place: String,
        expected: &[Message],
        received: &[Message],
        bindings: &Bindings,
    ) -> Self {
        let mut tried = bindings.clone();
        let mut lines = Vec::new();
        for position in 0..expected.len().max(received.len()) {
            let (expected, received) = (expected.get(position), received.get(position));
            match (expected, received) {
                (Some(expected), Some(received)) if matches(expected, received, &mut tried) => {
                    lines.push(Compared::Same(received.to_string()));
                }
                _ => {
                    lines.extend(expected.map(|it| Compared::Missing(it.to_string())));
                    lines.extend(received.map(|it| Compared::Unexpected(it.to_string())));
                }
            }
        }
        Self { place, lines }
    }
}

/// Lines that start with `-` were expected, lines that start with `+` came.
impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: the frontend sent something else", self.place)?;
        for line in &self.lines {
            match line {
                Compared::Same(line) => write!(f, "\n    F {line}")?,
                Compared::Missing(line) => write!(f, "\n  - F {line}")?,
                Compared::Unexpected(line) => write!(f, "\n  + F {line}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Mismatch {}

fn all_match(expected: &[Value], received: &[Value], bindings: &mut Bindings) -> bool {
    expected.len() == received.len()
        && expected
            .iter()
            .zip(received)
            .all(|(expected, received)| value_matches(expected, received, bindings))
}

fn value_matches(expected: &Value, received: &Value, bindings: &mut Bindings) -> bool {
    match (expected, received) {
        (Value::Capture(name), received) => match bindings.value(name) {
            Some(bound) => bound == received,
            None => {
                bindings.bind(name, received.clone());
                true
            }
        },
        (Value::Bytes(pattern), Value::Bytes(bytes)) => {
            let bytes = bytes.as_literal().expect("what arrives has no captures");
            pieces_match(pattern, bytes, bindings)
        }
        (Value::List(expected), Value::List(received))
        | (Value::Tuple(expected), Value::Tuple(received)) => {
            all_match(expected, received, bindings)
        }
        (Value::Pair(key, expected), Value::Pair(found, received)) => {
            key == found && value_matches(expected, received, bindings)
        }
        (expected, received) => expected == received,
    }
}

/// A capture ends before the first place where the literal after it stands, and the last one
/// takes all that is left.
fn pieces_match(pattern: &Pieces, bytes: &[u8], bindings: &mut Bindings) -> bool {
    let mut rest = bytes;
    let mut pieces = pattern.0.iter().peekable();
    while let Some(piece) = pieces.next() {
        let skipped = match piece {
            Piece::Literal(literal) => rest.strip_prefix(literal.as_slice()),
            Piece::Capture(name) => {
                if let Some(bound) = bindings.bytes(name) {
                    rest.strip_prefix(bound)
                } else {
                    let end = match pieces.peek() {
                        Some(Piece::Literal(next)) => position(rest, next),
                        _ => Some(rest.len()),
                    };
                    end.map(|end| {
                        bindings.bind(name, Value::bytes(&rest[..end]));
                        &rest[end..]
                    })
                }
            }
        };
        match skipped {
            Some(left) => rest = left,
            None => return false,
        }
    }
    rest.is_empty()
}

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
