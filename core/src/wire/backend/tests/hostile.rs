//! Each parser over messages that were cut or changed, and over anything.

use super::{VALID, read};
use crate::wire::{Split, split, tag};

/// What must hold whatever the bytes are: the parsers return. `read` asserts the rest.
fn read_anything(tag: u8, body: &[u8]) {
    if !matches!(tag, b'2' | b'3' | b'c' | b'd' | b'I' | b'n' | b'1' | b's') {
        let _ = read(tag, body);
    }
}

#[test]
fn s18_messages_cut_at_each_offset_are_errors() {
    for &(tag, body, _) in VALID {
        for end in 0..body.len() {
            let cut = &body[..end];
            // Some bodies take any bytes behind their first four, and cancel keys any length.
            let request = &body[..body.len().min(4)];
            let open = tag == b'R' && matches!(request, [0, 0, 0, 6 | 8 | 11 | 12]) && end >= 4;
            if open {
                read_anything(tag, cut);
            } else {
                assert!(read(tag, cut).is_err(), "{} {end}", tag::name(tag));
            }
        }
    }
}

#[test]
fn s18_messages_with_each_byte_changed_are_read_or_refused() {
    for &(tag, body, _) in VALID {
        let mut changed = body.to_vec();
        for index in 0..body.len() {
            for value in 0..=u8::MAX {
                changed[index] = value;
                read_anything(tag, &changed);
            }
            changed[index] = body[index];
        }
    }
}

#[test]
fn s18_arbitrary_bytes_are_read_or_refused() {
    let mut random = Random(0x6b6f_726e_616b_0001);
    let tags: Vec<u8> = VALID.iter().map(|&(tag, ..)| tag).collect();
    for _ in 0..50_000 {
        let length = (random.next() % 64) as usize;
        // Few different bytes make counts and terminators likely.
        let few = random.next() % 2 == 0;
        let body: Vec<u8> = (0..length)
            .map(|_| match random.next() {
                next if few => [0, 0, 0, 1, 2, 4, b'a', 0xff][(next % 8) as usize],
                next => next as u8,
            })
            .collect();
        for &tag in &tags {
            read_anything(tag, &body);
        }
        let mut rest = &body[..];
        while let Ok(Split::Frame(frame)) = split(rest) {
            read_anything(frame.tag, frame.body);
            rest = &rest[frame.total_len()..];
        }
    }
}

/// A small generator (SplitMix64), so that each run sees the same bytes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
