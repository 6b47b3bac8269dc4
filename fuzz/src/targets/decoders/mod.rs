//! Every decoder over values that have been tampered with.
//!
//! An input is the OID of a type (16 bits), a format (0 is text, 1 is binary) and the bytes
//! of a value. All decoders that accept the type get them. What is read is written back,
//! read again and written again: the second time must give the same bytes.
//!
//! None is left out: behind those of the list here come all of the driver's own tests.

mod checks;
mod list;
mod record;
#[path = "../../../../core/src/codec/tests/registry.rs"]
#[allow(dead_code, reason = "the driver's own tests use all of it")]
mod registry;

use std::collections::HashMap;
use std::sync::OnceLock;

use kornak::Type;
use kornak::types::Format;

use self::list::decoders;
pub use self::record::record;
use super::{Memory, Target};
use crate::mutate::Shape;
use crate::outcome::Features;

pub static TARGET: Target = Target {
    name: "decoders",
    shape: Shape {
        frames_at: None,
        dictionary: &[
            b"\xff\xff\xff\xff",
            b"\0\0\0\x01",
            b"\0\0\0\x04",
            b"\x7f\xff\xff\xff",
            b"\x80\0\0\0",
            b"\x01{\"a\":[1,null]}",
            b"[[[[[[[[",
            b"infinity",
            b"-infinity",
            b" BC",
            b"+15:59:59",
            b"24:00:00",
            b"294276-12-31",
            b"\xf0\x9f\x90\x98",
        ],
    },
    memory: Memory {
        // The worst is JSON: a map with one short entry takes hundreds of bytes.
        per_byte: 256,
        fixed: 8 * 1024,
    },
    execute,
};

/// OID and format.
const HEADER: usize = 3;

/// One Rust type that values can be read into.
#[derive(Clone, Copy)]
pub struct Decoder {
    pub accepts: fn(&Type, Format) -> bool,
    /// Decodes the bytes and returns whether they were a value; panics if the value is not
    /// what it should be.
    pub check: fn(&[u8], &Type, Format) -> bool,
}

/// A type, and the decoders that accept its values in each format.
struct Accepted {
    ty: Type,
    text: Vec<(u64, &'static Decoder)>,
    binary: Vec<(u64, &'static Decoder)>,
}

fn execute(input: &[u8], features: &mut Features) {
    let Some((&[high, low, format], value)) = input.split_first_chunk::<HEADER>() else {
        return;
    };
    let oid = u16::from_be_bytes([high, low]);
    let types = types();
    let accepted = types.by_oid.get(&oid).copied().unwrap_or(usize::from(oid)) % types.all.len();
    let accepted = &types.all[accepted];
    let (format, decoders) = match format % 2 {
        0 => (Format::Text, &accepted.text),
        _ => (Format::Binary, &accepted.binary),
    };
    for (index, decoder) in decoders {
        let is_value = (decoder.check)(value, &accepted.ty, format);
        let oid = u64::from(accepted.ty.oid());
        features.add(oid << 32 | index << 1 | u64::from(is_value));
    }
}

/// The types that any decoder accepts.
struct Types {
    all: Vec<Accepted>,
    by_oid: HashMap<u16, usize>,
}

fn types() -> &'static Types {
    static TYPES: OnceLock<Types> = OnceLock::new();
    TYPES.get_or_init(|| {
        let known = registry::types().into_iter().chain(list::custom_types());
        let all: Vec<_> = known
            .map(|ty| {
                let decoders = |format| {
                    let all = (0..).zip(decoders());
                    let accepting = all.filter(|(_, decoder)| (decoder.accepts)(&ty, format));
                    accepting.collect()
                };
                Accepted {
                    text: decoders(Format::Text),
                    binary: decoders(Format::Binary),
                    ty,
                }
            })
            .filter(|accepted| !accepted.binary.is_empty())
            .collect();
        let by_oid = all
            .iter()
            .enumerate()
            .map(|(index, accepted)| (accepted.ty.oid() as u16, index))
            .collect();
        Types { all, by_oid }
    })
}
