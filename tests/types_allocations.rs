//! What decoders allocate, whatever bytes they are given.
//!
//! The decoders are those of the crate's own tests, which show that none is missing in the
//! list. What other threads allocate is counted too, so that what counts has a process of
//! its own.

use std::alloc::System;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::Command;

use kornak::codec::{Opaque, RecordField, Value, rust_name};
use kornak::{RawJson, codec, types};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use types::{Format, Type};

/// Where the list of decoders looks for the crate's modules.
mod buffer {
    pub(crate) use kornak::internals::buffer::WriteBuffer;
}

#[path = "../core/src/codec/tests/registry.rs"]
#[allow(dead_code, reason = "the crate's own tests use all of it")]
mod registry;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How many bytes a decoder may allocate for each byte of its input.
const PER_BYTE: usize = 4;

/// How many it may allocate besides, which is for an error and its texts.
const ROOM: usize = 1024;

/// The most decimal digits of a `numeric`, before the point and behind it. A few bytes can stand
/// for it, because the zeros at the end of a number are not sent.
const MOST_DIGITS: usize = 131_072 + 16_383;

/// What a binary number of so many digits is made of: bytes of two digits each, and the number
/// itself, whose digits take less than half a byte, twice over.
const LONGEST_NUMBER: usize = MOST_DIGITS / 2 + 2 * (MOST_DIGITS / 2);

/// The fewest bytes that an element of an array takes: the length of a NULL or of nothing.
const ELEMENT: usize = 4;

/// The fewest bytes that an element of an array in text form takes.
const TEXT_ELEMENT: usize = 2;

/// The fewest bytes that a field of a record takes: its type and its length.
const FIELD: usize = 8;

/// What `larger_in_rust` knows a decoder by: its Rust type, but for those that share its name.
fn key(decoder: &registry::Decoder) -> &str {
    match decoder.name.starts_with("ext/serde_json") {
        true => decoder.name,
        false => &decoder.rust,
    }
}

/// The decoders whose values take more memory than [`PER_BYTE`] times their bytes, because a part
/// of them is larger in Rust than it can be there: how many bytes a byte of such a part takes.
/// What the driver makes lists of has room for just the parts there are.
fn larger_in_rust() -> BTreeMap<String, usize> {
    // An element, what it points to, and what that has of its own, which came with it.
    macro_rules! arrays {
        ($($element:ty $(=> $inner:ty)?),+) => {
            [$((
                rust_name::<Vec<$element>>(),
                (size_of::<$element>() $(+ size_of::<$inner>())?).div_ceil(ELEMENT) + 1,
            )),+]
        };
    }
    let mut larger = BTreeMap::from(arrays! {
        String, Vec<u8>, RawJson, bytes::Bytes, Vec<i32>, Box<Vec<i32>> => Vec<i32>, Box<[i32]>,
        Value => Opaque
    });
    #[cfg(feature = "with-smol_str-0_3")]
    larger.extend(arrays! { smol_str::SmolStr });
    #[cfg(feature = "with-compact_str-0_10")]
    larger.extend(arrays! { compact_str::CompactString });
    // Each row may have one element, and is a `Vec` in a `Vec`, five times over.
    larger.insert(
        rust_name::<Vec<Vec<Vec<Vec<Vec<Vec<Option<i16>>>>>>>>(),
        (5 * size_of::<Vec<()>>() + size_of::<Option<i16>>()).div_ceil(ELEMENT),
    );
    // Fields of a record without a name, empty, each of a type of its own that nobody knows.
    let unknown_type = allocated(|| Type::unknown(u32::MAX));
    larger.insert(
        rust_name::<Value>(),
        (size_of::<RecordField>() + unknown_type + size_of::<Opaque>()).div_ceil(FIELD),
    );
    #[cfg(feature = "with-serde_json-1")]
    {
        // What serde makes lists of grows by doubling, and an element may be a digit and a comma.
        let number = 2 * size_of::<Option<f64>>();
        larger.insert("ext/serde_json_1: Json<T>".to_owned(), number.div_ceil(2));
        // A map is a tree whose nodes have room for eleven entries beside their own place in it.
        let value = size_of::<serde_json::Value>();
        let node = 11 * (size_of::<String>() + value) + 2 * size_of::<usize>();
        larger.insert(
            "ext/serde_json_1: Value".to_owned(),
            (node + 2 * value).div_ceil("{\"\":0},".len()),
        );
    }
    larger
}

/// The length of a long input.
const LONG: usize = 2_048;

/// Says that this process is the one that counts.
const COUNTS: &str = "KORNAK_TEST_COUNTS_ALLOCATIONS";

#[test]
fn s25_s27_no_decoder_allocates_out_of_proportion() {
    if std::env::var_os(COUNTS).is_some() {
        return count();
    }
    let name = "s25_s27_no_decoder_allocates_out_of_proportion";
    let status = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(COUNTS, "1")
        .status()
        .expect("this program again");
    assert!(status.success(), "see above");
}

fn count() {
    let mut random = Random(25);
    let decoders = registry::decoders();
    let larger = larger_in_rust();
    for name in larger.keys() {
        assert!(decoders.iter().any(|one| key(one) == name), "{name}");
    }
    let mut most: BTreeMap<&str, usize> = BTreeMap::new();
    // How many inputs each Rust type was given.
    let mut tried: BTreeMap<&str, usize> = BTreeMap::new();
    for ty in registry::types() {
        let inputs = inputs(&ty, &mut random);
        for decoder in &decoders {
            let per_byte = larger.get(key(decoder)).copied().unwrap_or(PER_BYTE);
            let room = match decoder.rust.contains("BigDecimal") {
                true => ROOM + LONGEST_NUMBER,
                false => ROOM,
            };
            let most = most.entry(key(decoder)).or_default();
            let count = tried.entry(&decoder.rust).or_default();
            for format in [Format::Text, Format::Binary] {
                if !(decoder.accepts)(&ty, format) {
                    continue;
                }
                // In an array's text, an element is a character and a comma.
                let per_byte = match (format, ty.element()) {
                    (Format::Text, Some(_)) => per_byte * ELEMENT / TEXT_ELEMENT,
                    _ => per_byte,
                };
                for input in &inputs {
                    let bytes = allocated(|| (decoder.decode)(input, &ty, format));
                    *most = (*most).max(bytes.saturating_sub(room).div_ceil(input.len().max(1)));
                    assert!(
                        bytes <= per_byte * input.len() + room,
                        "{} allocates {bytes} bytes for {} of {ty}, {:02x?}…",
                        decoder.rust,
                        input.len(),
                        &input[..input.len().min(40)]
                    );
                }
                *count += inputs.len();
            }
        }
    }
    let untried: Vec<_> = tried.iter().filter(|(_, count)| **count == 0).collect();
    assert!(untried.is_empty(), "{untried:?}");
    // A limit above what the others have must be needed.
    let idle: Vec<_> = larger
        .keys()
        .filter(|name| most[name.as_str()] <= PER_BYTE)
        .collect();
    assert!(idle.is_empty(), "{idle:?}");
}

/// Makes a value and counts the bytes that are asked for: what is there at the end, and what was
/// given back before.
fn allocated<T>(make: impl FnOnce() -> T) -> usize {
    let before = INSTRUMENTED_SYSTEM.stats();
    let made = black_box(make());
    let after = INSTRUMENTED_SYSTEM.stats();
    drop(made);
    (after - before).bytes_allocated
}

/// Numbers that are the same each time (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 56) as u8).collect()
    }
}

/// Inputs for values of a type: bytes of any kind, values of the server's that were changed,
/// and values that promise much for their length.
fn inputs(ty: &Type, random: &mut Random) -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    for length in (0..=24).chain([100, 1_000, LONG]) {
        for byte in [0, 1, 0xff, b'[', b'0', b'9', b'(', b'"'] {
            inputs.push(vec![byte; length]);
        }
        inputs.push(random.bytes(length));
    }
    for seed in registry::seeds(ty) {
        distort(&from_hex(seed), random, &mut inputs);
    }
    promising(ty, &mut inputs);
    inputs
}

/// The same bytes with a byte or a word changed, and repeated to a great length.
fn distort(seed: &[u8], random: &mut Random, inputs: &mut Vec<Vec<u8>>) {
    inputs.push(seed.to_vec());
    inputs.push(seed.repeat(LONG / seed.len()));
    for index in 0..seed.len() {
        for change in [0, 1, 0x7f, 0x80, 0xff, random.next() as u8] {
            let mut bytes = seed.to_vec();
            bytes[index] = change;
            inputs.push(bytes);
        }
        for change in [u32::MAX, i32::MAX as u32, 0x0100_0000, 0x0001_0000] {
            if let Some(word) = seed.get(index..index + 4) {
                let mut bytes = seed.to_vec();
                bytes[index..index + word.len()].copy_from_slice(&change.to_be_bytes());
                inputs.push(bytes.clone());
                // The same, and bytes enough that some of it is true.
                bytes.resize(LONG, 0);
                inputs.push(bytes);
            }
        }
    }
}

/// Values that take many times their bytes if they are believed.
fn promising(ty: &Type, inputs: &mut Vec<Vec<u8>>) {
    // Counts in front of parts of any size.
    let fitting = (1..=24).map(|size| LONG as u32 / size - 2);
    for count in fitting.chain([i32::MAX as u32, u32::MAX]) {
        for byte in [0, 1, 0xff] {
            let mut bytes = count.to_be_bytes().to_vec();
            bytes.resize(LONG, byte);
            inputs.push(bytes.clone());
            bytes.insert(0, 1);
            inputs.push(bytes);
        }
    }
    // Numbers of one group with all the zeros that there can be.
    for scale in [0_u16, 0x3fff] {
        for weight in [i16::MIN, -4096, 0, i16::MAX] {
            let mut bytes = vec![0, 1];
            bytes.extend(weight.to_be_bytes());
            bytes.extend([0, 0]);
            bytes.extend(scale.to_be_bytes());
            bytes.extend([0, 1]);
            inputs.push(bytes);
        }
    }
    // Texts that a parser takes to pieces, in an array or not.
    for part in [
        "[",
        "[[],",
        "1,",
        "[1],",
        "{\"\":0},",
        "{\"\":",
        "\\u0000",
        "é",
    ] {
        let text = part.repeat(LONG / part.len());
        for (start, end) in [("", ""), ("[", "0]"), ("\"", "\""), ("[", "")] {
            let text = format!("{start}{text}{end}");
            inputs.push(format!("\u{1}{text}").into_bytes());
            inputs.push(text.into_bytes());
        }
    }
    // Arrays of NULLs, of empty elements, and of elements of each size.
    let Some(element) = ty.element() else {
        return;
    };
    for one in ["a", "NULL", "\"\"", "\"\\\\\"", "{a}", "{{{{{a}}}}}"] {
        let elements = vec![one; LONG / (one.len() + 1)].join(",");
        inputs.push(format!("{{{elements}}}").into_bytes());
        inputs.push(format!("{{{elements},").into_bytes());
    }
    for dimensions in [1_u32, 2, 6] {
        for (length, size) in [
            (-1, 0),
            (0, 0),
            (1, 1),
            (2, 2),
            (4, 4),
            (8, 8),
            (12, 12),
            (16, 16),
        ] {
            let one = [i32::to_be_bytes(length).as_slice(), &vec![0; size]].concat();
            let true_count = LONG / one.len();
            for count in [
                true_count,
                true_count / 2,
                true_count * 2,
                i32::MAX as usize,
            ] {
                let mut bytes = dimensions.to_be_bytes().to_vec();
                bytes.extend([0, 0, 0, 1]);
                bytes.extend(element.oid().to_be_bytes());
                for dimension in 0..dimensions {
                    let count = if dimension == 0 { count } else { 1 };
                    bytes.extend((count as u32).to_be_bytes());
                    bytes.extend([0, 0, 0, 1]);
                }
                bytes.extend(one.repeat(true_count));
                inputs.push(bytes.clone());
                // The last one lies.
                bytes.truncate(bytes.len() - 1);
                inputs.push(bytes);
            }
        }
    }
}

fn from_hex(hex: &str) -> Vec<u8> {
    let digits = |start| u8::from_str_radix(&hex[start..start + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(digits).collect()
}
