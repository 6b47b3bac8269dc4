//! Recorded bytes as the text of a dialogue.

use std::fmt::Write as _;

use super::{Decoder, Message, Side};

/// The dialogue of a connection, from its first byte on, of which `chunks` are the bytes in
/// the order in which they passed.
///
/// A message stands where its last byte passed; what never became a whole one is `raw`.
pub fn transcribe<'b>(chunks: impl IntoIterator<Item = (Side, &'b [u8])>) -> String {
    let decoders = (Decoder::new(Side::Frontend), Decoder::new(Side::Backend));
    write(chunks, decoders)
}

/// As [`transcribe`], of a connection that had started up before the first chunk.
pub fn transcribe_started<'b>(chunks: impl IntoIterator<Item = (Side, &'b [u8])>) -> String {
    let decoders = (
        Decoder::started(Side::Frontend),
        Decoder::started(Side::Backend),
    );
    write(chunks, decoders)
}

fn write<'b>(
    chunks: impl IntoIterator<Item = (Side, &'b [u8])>,
    (mut frontend, mut backend): (Decoder, Decoder),
) -> String {
    let mut text = String::new();
    for (side, bytes) in chunks {
        let (own, other) = match side {
            Side::Frontend => (&mut frontend, &mut backend),
            Side::Backend => (&mut backend, &mut frontend),
        };
        own.feed(bytes);
        while let Some(message) = own.next_message() {
            other.note(&message);
            add_line(&mut text, side, &message);
        }
    }
    for (side, decoder) in [(Side::Frontend, frontend), (Side::Backend, backend)] {
        if !decoder.rest().is_empty() {
            add_line(&mut text, side, &super::backend::raw(decoder.rest()));
        }
    }
    text
}

fn add_line(text: &mut String, side: Side, message: &Message) {
    writeln!(text, "{} {message}", side.letter()).expect("a string takes every write");
}
