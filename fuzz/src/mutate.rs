//! Changes to an input: blind ones, and ones that know where messages begin and end.

use std::ops::Range;

use crate::random::Random;

/// What a mutation may know of its target's input.
pub struct Shape {
    /// Where messages of tag, length and body begin, if the input has any.
    pub frames_at: Option<usize>,
    /// Pieces that such inputs are made of.
    pub dictionary: &'static [&'static [u8]],
}

/// The longest input, in bytes.
const MAX_INPUT: usize = 8 * 1024;

/// The longest piece that is moved, inserted or removed at once, in bytes.
const MAX_PIECE: usize = 64;

/// Numbers at which counts and lengths go wrong.
const INTERESTING: [i64; 22] = [
    0,
    1,
    2,
    3,
    4,
    5,
    -1,
    -2,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x7fff_fffb,
    0x8000_0000,
    0xffff_fffb,
    0xffff_ffff,
    0x4000_0000,
];

/// Changes `input` in one to eight ways; `other` is another input to take pieces of.
pub fn mutate(random: &mut Random, shape: &Shape, input: &mut Vec<u8>, other: &[u8]) {
    // Mostly few changes: many at once rarely get past the first check.
    let changes = 1 << random.below(4);
    for _ in 0..1 + random.below(changes) {
        match shape.frames_at {
            Some(start) if random.below(2) == 0 => change_frame(random, start, input, other),
            _ => change_bytes(random, shape, input, other),
        }
    }
    input.truncate(MAX_INPUT);
}

fn change_bytes(random: &mut Random, shape: &Shape, input: &mut Vec<u8>, other: &[u8]) {
    let at = random.below(input.len());
    match random.below(13) {
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = random.byte();
            }
        }
        2 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = byte.wrapping_add([1, 0xff, 16, 0xf0][random.below(4)]);
            }
        }
        3 | 4 => overwrite_number(random, input, at),
        5 => {
            let piece: Vec<u8> = match random.below(2) {
                0 => vec![random.byte(); 1 + random.below(8)],
                _ => (0..1 + random.below(8)).map(|_| random.byte()).collect(),
            };
            insert(input, at, &piece);
        }
        6 => {
            let piece = piece(random, input.len());
            input.drain(piece);
        }
        7 => {
            let piece = input[piece(random, input.len())].to_vec();
            insert(input, at, &piece);
        }
        8 => {
            let piece = &other[piece(random, other.len())];
            insert(input, at, piece);
        }
        9 => {
            let piece = &other[piece(random, other.len())];
            for (to, from) in input[at..].iter_mut().zip(piece) {
                *to = *from;
            }
        }
        10 => {
            input.truncate(at);
            input.extend_from_slice(&other[random.below(other.len())..]);
        }
        11 => input.truncate(at),
        _ => {
            if let Some(token) = random.pick(shape.dictionary) {
                insert(input, at, token);
            }
        }
    }
}

/// Changes one message as a whole, or its body and then its length with it.
fn change_frame(random: &mut Random, start: usize, input: &mut Vec<u8>, other: &[u8]) {
    let frames = frames(input, start);
    let Some(frame) = random.pick(&frames).cloned() else {
        return;
    };
    match random.below(9) {
        // The length, while the body stays.
        0 => {
            let length = interesting(random) as u32;
            input[frame.start + 1..frame.start + 5].copy_from_slice(&length.to_be_bytes());
        }
        1 => {
            let length = (frame.len() as u32 - 1).wrapping_add_signed(random.below(9) as i32 - 4);
            input[frame.start + 1..frame.start + 5].copy_from_slice(&length.to_be_bytes());
        }
        // The body, while the length is right.
        2 | 3 => {
            let mut body = input[frame.start + 5..frame.end].to_vec();
            let blind = Shape {
                frames_at: None,
                dictionary: &[],
            };
            change_bytes(random, &blind, &mut body, other);
            let length = body.len() as u32 + 4;
            input[frame.start + 1..frame.start + 5].copy_from_slice(&length.to_be_bytes());
            input.splice(frame.start + 5..frame.end, body);
        }
        4 => {
            input.drain(frame);
        }
        5 => {
            let copy = input[frame.clone()].to_vec();
            insert(input, frame.start, &copy);
        }
        6 => {
            // To another place.
            let moved: Vec<u8> = input.drain(frame).collect();
            let rest = crate::mutate::frames(input, start);
            let at = random.pick(&rest).map_or(input.len(), |to| to.start);
            insert(input, at, &moved);
        }
        7 => {
            let others = crate::mutate::frames(other, start);
            if let Some(foreign) = random.pick(&others) {
                insert(input, frame.start, &other[foreign.clone()]);
            }
        }
        // Another message with this body.
        _ => {
            let tag = *b"RK23CWdcGHDIENvnAtS1sZTV"
                .get(random.below(24))
                .unwrap_or(&0);
            input[frame.start] = tag;
        }
    }
}

/// The whole messages of `input` from `start` on.
fn frames(input: &[u8], start: usize) -> Vec<Range<usize>> {
    let mut frames = Vec::new();
    let mut at = start;
    while let Some(header) = input.get(at..at + 5) {
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        let end = at + 1 + length;
        if length < 4 || end > input.len() {
            break;
        }
        frames.push(at..end);
        at = end;
    }
    frames
}

fn overwrite_number(random: &mut Random, input: &mut [u8], at: usize) {
    let width = [1, 2, 2, 4, 4, 8][random.below(6)];
    let Some(field) = input.get_mut(at..at + width) else {
        return;
    };
    let number = if random.below(2) == 0 {
        interesting(random)
    } else {
        // A little more or less than what is there.
        let there = field
            .iter()
            .fold(0_i64, |number, &byte| number << 8 | i64::from(byte));
        there.wrapping_add(random.below(33) as i64 - 16)
    };
    field.copy_from_slice(&number.to_be_bytes()[8 - width..]);
}

fn interesting(random: &mut Random) -> i64 {
    random.pick(&INTERESTING).copied().unwrap_or(0)
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    input.splice(at..at, piece.iter().copied());
}

/// A random piece of something of this length.
fn piece(random: &mut Random, length: usize) -> Range<usize> {
    let start = random.below(length);
    start..(start + 1 + random.below(MAX_PIECE)).min(length)
}
