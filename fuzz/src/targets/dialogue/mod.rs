//! The protocol core, fed with a server's side of a dialogue that has been tampered with.
//!
//! An input is a header of three bytes and what the server says: which [`Script`] the
//! client follows, how the stream is cut, and after how many rows the client gives up. Each
//! input is played twice, at once and in pieces, and must come out the same.

mod client;
mod record;
mod trace;

use kornak::Error;
use kornak::internals::buffer::ReadBuffer;

pub use self::client::start;
use self::client::{Client, Handled, SCRIPTS};
pub use self::record::{connect, record, write};
use self::trace::Trace;
use super::{Memory, Target};
use crate::mutate::Shape;
use crate::outcome::{Digest, Features};
use crate::random::Random;

pub static TARGET: Target = Target {
    name: "dialogue",
    shape: Shape {
        frames_at: Some(HEADER),
        dictionary: &[
            b"Z\0\0\0\x05I",
            b"Z\0\0\0\x05T",
            b"1\0\0\0\x04",
            b"2\0\0\0\x04",
            b"n\0\0\0\x04",
            b"s\0\0\0\x04",
            b"c\0\0\0\x04",
            b"C\0\0\0\x0dSELECT 1\0",
            b"E\0\0\0\x14VERROR\0C22012\0\0",
            b"E\0\0\0\x14VFATAL\0C57P01\0\0",
            b"G\0\0\0\x07\0\0\0",
            b"H\0\0\0\x07\0\0\0",
            b"D\0\0\0\x0a\0\x01\xff\xff\xff\xff",
        ],
    },
    memory: Memory {
        // What has arrived is held in a buffer that doubles, and while it grows twice.
        per_byte: 8,
        // The read buffer's first memory, its allowance for an announced length, and what
        // the client sends.
        fixed: (16 + 64 + 32) * 1024,
    },
    execute,
};

/// Script, cut, patience.
const HEADER: usize = 3;

fn execute(input: &[u8], features: &mut Features) {
    let Some((&[script, cut, patience], stream)) = input.split_first_chunk::<HEADER>() else {
        return;
    };
    let index = usize::from(script) % SCRIPTS.len();
    let script = &SCRIPTS[index];
    features.follow(1000 + index as u64);
    let longest = usize::from(cut % 16);
    let whole = play::<false>(Client::new(script), patience, stream, usize::MAX, features);
    let pieces = play::<true>(Client::new(script), patience, stream, longest, features);
    if !(whole.depends_on_time || pieces.depends_on_time) {
        assert_eq!(whole.end, pieces.end, "the end depends on the cuts");
        assert_eq!(whole.events, pieces.events, "the events depend on the cuts");
        // An error ends the client before it answers what came just before.
        if whole.end.is_none() && whole.answers_in_step && pieces.answers_in_step {
            assert_eq!(whole.sent, pieces.sent, "what is sent depends on the cuts");
        }
    }
}

/// What came of a dialogue.
struct Played {
    /// All that the sink heard.
    events: Digest,
    /// All that the client has written.
    sent: Digest,
    /// The error that ended it.
    end: Option<String>,
    depends_on_time: bool,
    answers_in_step: bool,
}

/// Plays a dialogue in pieces of at most `longest` bytes.
fn play<const SHARES: bool>(
    mut client: Client,
    patience: u8,
    stream: &[u8],
    longest: usize,
    features: &mut Features,
) -> Played {
    let mut trace = Trace::<SHARES>::new(patience, features);
    let mut input = ReadBuffer::new();
    let mut random = Random::new(longest as u64);
    let mut rest = stream;
    let end = loop {
        let needed = match client.handle(&mut input, &mut trace) {
            Ok(Handled::Needs(needed)) => needed,
            Ok(Handled::Again) => continue,
            Err(error) => break Some(error),
        };
        assert!(needed == 0 || needed > input.len(), "it needs what it has");
        if rest.is_empty() {
            break None;
        }
        let piece = match longest {
            0 => 1,
            usize::MAX => rest.len(),
            _ => 1 + random.below(longest),
        };
        let taken = arrive(&mut input, needed, &rest[..piece.min(rest.len())]);
        rest = &rest[taken..];
    };
    if let Some(error) = &end {
        trace.features.add_error(error);
        client.check_ended(&mut input, &mut trace);
    }
    let mut sent = Digest::default();
    sent.add_bytes(client.sent());
    Played {
        events: trace.events,
        sent,
        end: end.as_ref().map(Error::to_string),
        depends_on_time: client.depends_on_time(),
        answers_in_step: client.answers_in_step(),
    }
}

/// Bytes come from the network: as many as there is room for.
pub fn arrive(input: &mut ReadBuffer, needed: usize, bytes: &[u8]) -> usize {
    input.fill(needed, |memory| {
        let room = memory.capacity() - memory.len();
        let taken = room.min(bytes.len());
        assert!(taken > 0, "no room was made");
        memory.extend_from_slice(&bytes[..taken]);
        taken
    })
}
