//! What decoders allocate for values that are all parts, as small as a family has them, under
//! counts that are true or lie: in proportion to the bytes that came, whatever the counts.
//!
//! This binary has one test: what another thread allocates counts.

mod support;

use std::alloc::System;
use std::hint::black_box;
use std::mem::size_of;

use kornak::Date;
use kornak::codec::{
    Cube, Decode, HalfVector, Hstore, Multirange, Numeric, Path, Point, Polygon, Range, Snapshot,
    SparseVector, TsQuery, TsVector, Vector, decode_value,
};
use kornak::types::{Format, Kind, Type};
use support::allocations::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How many bytes a decoder may allocate in all for each byte of its input, unless a part is
/// larger in memory than that.
const PER_BYTE: usize = 4;

/// How many bytes it may allocate beside: an error with its message, the first places of a
/// list or a map.
const FIXED: usize = 2048;

/// Lengths of the inputs that are all parts.
const LENGTHS: [usize; 5] = [0, 1, 100, 1_000, 100_000];

/// A decoder, and how much it may allocate for each byte.
struct Family {
    ty: Type,
    decode: fn(&[u8], &Type) -> bool,
    per_byte: usize,
    /// The beginning of a value whose count is left out.
    before: &'static [u8],
    /// As small a part as there is.
    part: &'static [u8],
    /// The end of a value.
    after: &'static [u8],
}

fn decodes<T: for<'r> Decode<'r>>(bytes: &[u8], ty: &Type) -> bool {
    black_box(decode_value::<T>(Some(bytes), ty, Format::Binary)).is_ok()
}

/// A family whose parts of `smallest` bytes become a `Part`.
fn family<T: for<'r> Decode<'r>, Part>(
    ty: Type,
    before: &'static [u8],
    part: &'static [u8],
) -> Family {
    Family {
        ty,
        decode: decodes::<T>,
        // A part, in a list that has room for just its parts, and what came with it.
        per_byte: PER_BYTE.max(size_of::<Part>().div_ceil(part.len()) + 1),
        before,
        part,
        after: b"",
    }
}

fn custom(name: &str, kind: Kind) -> Type {
    Type::custom(70_000, "public", name, kind, true, true).expect("a shallow type")
}

/// A range without bounds, with its length.
const RANGE: &[u8] = b"\0\0\0\x01\x18";
const KEY: &[u8] = b"KEY";
const NULL: &[u8] = b"\xff\xff\xff\xff";
const INT4_ARRAY: &[u8] = b"\0\0\0\x01\0\0\0\0\0\0\0\x17";
const TEXT_ARRAY: &[u8] = b"\0\0\0\x01\0\0\0\0\0\0\0\x19";
const EMPTY_TEXT: &[u8] = b"\0\0\0\0";

fn families() -> Vec<Family> {
    let extension = |name| custom(name, Kind::Simple);
    let texts = custom("texts", Kind::Range(Type::TEXT));
    vec![
        family::<Path, Point>(Type::PATH, b"\x01", &[0; 16]),
        family::<Polygon, Point>(Type::POLYGON, b"", &[0; 16]),
        family::<TsVector, u64>(Type::TSVECTOR, b"", b"\0\0\0"),
        family::<TsVector, u64>(Type::TSVECTOR, b"", b"a\0\0\x01\0\x01"),
        Family {
            // What all the operators are for.
            after: b"\x01\0\0\0",
            ..family::<TsQuery, u32>(Type::TSQUERY, b"", b"\x02\x01")
        },
        family::<Snapshot, u64>(Type::PG_SNAPSHOT, b"", &[0; 8]),
        family::<Numeric, u16>(Type::NUMERIC, b"", b"\0\x01"),
        family::<Multirange<i32>, Range<i32>>(Type::INT4MULTIRANGE, b"", RANGE),
        family::<Multirange<Date>, Range<Date>>(Type::DATEMULTIRANGE, b"", RANGE),
        family::<Multirange<Numeric>, Range<Numeric>>(Type::NUMMULTIRANGE, b"", RANGE),
        family::<Multirange<String>, Range<String>>(
            custom("textses", Kind::Multirange(texts)),
            b"",
            RANGE,
        ),
        // A node of the map has room for eleven, and may be half empty.
        family::<Hstore, [(String, Option<String>); 2]>(
            extension("hstore"),
            b"",
            b"\0\0\0\x03KEY\xff\xff\xff\xff",
        ),
        family::<Cube, [f64; 2]>(extension("cube"), b"", &[0; 16]),
        family::<Vector, f32>(extension("vector"), b"", &[0; 4]),
        family::<HalfVector, u16>(extension("halfvec"), b"", &[0; 2]),
        family::<SparseVector, (u32, f32)>(extension("sparsevec"), b"\0\x10\0\0", &[0; 8]),
        family::<Vec<Option<i32>>, Option<i32>>(Type::INT4_ARRAY, INT4_ARRAY, NULL),
        family::<Vec<String>, String>(Type::TEXT_ARRAY, TEXT_ARRAY, EMPTY_TEXT),
        family::<Vec<Option<String>>, Option<String>>(Type::TEXT_ARRAY, TEXT_ARRAY, NULL),
    ]
}

impl Family {
    /// Decodes, and checks what that allocated in all.
    fn check(&self, input: &[u8]) -> bool {
        let before = INSTRUMENTED_SYSTEM.stats();
        let is_value = (self.decode)(input, &self.ty);
        let allocated = (INSTRUMENTED_SYSTEM.stats() - before).bytes_allocated;
        let allowed = self.per_byte * input.len() + FIXED;
        assert!(
            allocated <= allowed,
            "{}: {allocated} bytes for {} of input, of which {allowed} are allowed: {:02x?}",
            self.ty,
            input.len(),
            &input[..input.len().min(64)]
        );
        is_value
    }

    /// The part, where it has a key with one of its own.
    fn numbered(&self, index: usize) -> Vec<u8> {
        let mut part = self.part.to_vec();
        if let Some(key) = part.windows(KEY.len()).position(|window| window == KEY) {
            for (place, byte) in part[key..key + KEY.len()].iter_mut().enumerate() {
                *byte = b'a' + (index / 26_usize.pow(place as u32) % 26) as u8;
            }
        }
        part
    }

    /// Many parts under counts of all widths that are true, or lie. Returns the length of the
    /// longest value.
    fn check_counts(&self) -> usize {
        let mut longest = 0;
        for length in LENGTHS {
            let count = length / self.part.len();
            let parts: Vec<u8> = (0..count).flat_map(|index| self.numbered(index)).collect();
            for announced in [
                count,
                count + 1,
                count.saturating_sub(1),
                0x7fff_ffff,
                0xffff_ffff,
            ] {
                let wide = (announced as u32).to_be_bytes();
                let narrow = (announced as u16).to_be_bytes();
                for count in [&wide[..], &narrow, &[narrow[0], narrow[1], 0, 0]] {
                    // Some forms have more behind the count, which may be zeros.
                    for behind in [&b""[..], &[0; 4], &[0; 6], &[0; 16]] {
                        let input = [self.before, count, behind, &parts, self.after].concat();
                        if self.check(&input) {
                            longest = longest.max(input.len());
                        }
                    }
                }
            }
        }
        longest
    }
}

#[test]
fn s25_the_smallest_parts_take_memory_in_proportion_whatever_the_counts() {
    // Is anything counted at all?
    let before = INSTRUMENTED_SYSTEM.stats();
    drop(black_box(vec![0_u8; 1000]));
    assert!((INSTRUMENTED_SYSTEM.stats() - before).bytes_allocated >= 1000);
    for family in families() {
        let longest = family.check_counts();
        // Errors alone would show nothing of what values take.
        assert!(
            longest >= 1_000,
            "{}: {longest} bytes were a value",
            family.ty
        );
    }
}
