//! All decoders, by the text of their impl, so that none can be forgotten: the sources are
//! searched for impls that are not listed.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use crate::buffer::WriteBuffer;
use crate::codec::*;
use crate::types::{Format, Kind, Type};

/// A decoder without its type.
pub(super) struct Decoder {
    /// The type as the impl has it, or the macro that makes the impl.
    pub(super) name: &'static str,
    /// The type itself.
    pub(super) rust: String,
    pub(super) accepts: fn(&Type, Format) -> bool,
    /// Reads a value, shows it, and says whether it was one.
    pub(super) run: fn(&[u8], &Type, Format) -> bool,
    /// Reads a value and no more, and says the same.
    pub(super) decode: fn(&[u8], &Type, Format) -> bool,
}

macro_rules! decoder {
    ($name:literal, $ty:ty) => {
        Decoder {
            name: $name,
            rust: rust_name::<$ty>(),
            accepts: accepts::<$ty>,
            run: |bytes, ty, format| {
                let value = decode_value::<$ty>(Some(bytes), ty, format);
                let text = format!("{value:?}");
                assert!(!text.is_empty());
                if let Ok(value) = &value {
                    written(value, ty);
                }
                value.is_ok()
            },
            decode: |bytes, ty, format| decode_value::<$ty>(Some(bytes), ty, format).is_ok(),
        }
    };
}

/// Each name with types that the impl stands for.
macro_rules! registry {
    ($($(#[$attribute:meta])* $name:literal: $($ty:ty),+;)*) => {
        pub(super) fn decoders() -> Vec<Decoder> {
            let mut list = Vec::new();
            $(
                $(#[$attribute])*
                {
                    list.extend([$(decoder!($name, $ty)),+]);
                }
            )*
            list
        }
    };
}

registry! {
    "bool": bool;
    "i8": i8;
    "i16": i16;
    "i32": i32;
    "i64": i64;
    "u32": u32;
    "f32": f32;
    "f64": f64;
    "char": char;
    "&'r str": &str;
    "String": String;
    "Box<str>": Box<str>;
    "Arc<str>": Arc<str>;
    "Rc<str>": Rc<str>;
    "Cow<'r, str>": Cow<'_, str>;
    "&'r [u8]": &[u8];
    "[u8; N]": [u8; 0], [u8; 3];
    "&'r [u8; N]": &[u8; 16];
    "Vec<u8>": Vec<u8>;
    "Box<[u8]>": Box<[u8]>;
    "Cow<'r, [u8]>": Cow<'_, [u8]>;
    "Date": Date;
    "Time": Time;
    "Timestamp": Timestamp;
    "TimestampTz": TimestampTz;
    "TimeTz": TimeTz;
    "Interval": Interval;
    "SystemTime": SystemTime;
    "Numeric": Numeric;
    "Money": Money;
    "BitString": BitString;
    "Inet": Inet;
    "Cidr": Cidr;
    "IpAddr": IpAddr;
    "Ipv4Addr": Ipv4Addr;
    "Ipv6Addr": Ipv6Addr;
    "MacAddr": MacAddr;
    "MacAddr8": MacAddr8;
    "Lsn": Lsn;
    "u64": u64;
    "Tid": Tid;
    "Snapshot": Snapshot;
    "()": ();
    "Point": Point, Vec<Point>;
    "Line": Line;
    "LineSegment": LineSegment;
    "Rectangle": Rectangle;
    "Path": Path;
    "Polygon": Polygon;
    "Circle": Circle;
    "TsVector": TsVector;
    "TsQuery": TsQuery;
    "Range<T>": Range<i32>, Range<i64>, Range<Numeric>, Range<Date>, Range<Timestamp>,
        Range<TimestampTz>, Range<Option<i32>>, Range<&str>, Vec<Range<i32>>;
    "Multirange<T>": Multirange<i32>, Multirange<i64>, Multirange<Numeric>, Multirange<Date>,
        Multirange<Timestamp>, Multirange<TimestampTz>, Multirange<&str>;
    "Xid": Xid;
    "Cid": Cid;
    "Int2Vector": Int2Vector;
    "OidVector": OidVector;
    "Hstore": Hstore;
    "Cube": Cube;
    "Vector": Vector;
    "HalfVector": HalfVector;
    "SparseVector": SparseVector;
    "Uuid": Uuid;
    "RawJson<S>": RawJson, RawJson<&str>;
    "Option<T>": Option<i32>, Option<&str>;
    "Box<T>": Box<i64>, Vec<Box<Vec<i32>>>;
    "Vec<T>": Vec<bool>, Vec<i8>, Vec<i16>, Vec<i32>, Vec<i64>, Vec<u32>, Vec<f32>, Vec<f64>,
        Vec<String>, Vec<&str>, Vec<Vec<u8>>, Vec<Uuid>, Vec<Date>, Vec<Time>, Vec<TimestampTz>,
        Vec<RawJson>, Vec<Option<i32>>, Vec<Option<&str>>, Vec<Vec<i32>>,
        Vec<Vec<Vec<Vec<Vec<Vec<Option<i16>>>>>>>;
    "[T; N]": [i32; 2], [[i16; 2]; 2], Vec<[Option<i32>; 0]>;
    "Box<[T]>": Box<[i32]>, Vec<Box<[i32]>>;
    "Arc<[T]>": Arc<[Option<i32>]>;
    "($($name,)+)": (i32,), (i32, Option<String>), Vec<(Option<i64>, (bool,))>;
    "Value": Value, Vec<Value>, Range<Value>;
    "Array<T>": Array<i32>, Array<Option<&str>>, Array<Vec<i16>>, Vec<Array<u32>>;
    #[cfg(feature = "with-uuid-1")]
    "ext/uuid_1: Uuid": uuid::Uuid, Vec<uuid::Uuid>;
    #[cfg(feature = "with-serde_json-1")]
    "ext/serde_json_1: Json<T>": crate::codec::Json<Vec<Option<f64>>>;
    #[cfg(feature = "with-serde_json-1")]
    "ext/serde_json_1: Value": serde_json::Value;
    #[cfg(feature = "with-chrono-0_4")]
    "ext/chrono_0_4: NaiveDate": chrono::NaiveDate;
    #[cfg(feature = "with-chrono-0_4")]
    "ext/chrono_0_4: NaiveTime": chrono::NaiveTime;
    #[cfg(feature = "with-chrono-0_4")]
    "ext/chrono_0_4: NaiveDateTime": chrono::NaiveDateTime;
    #[cfg(feature = "with-chrono-0_4")]
    "ext/chrono_0_4: DateTime<Utc>": chrono::DateTime<chrono::Utc>;
    #[cfg(feature = "with-chrono-0_4")]
    "ext/chrono_0_4: DateTime<FixedOffset>": chrono::DateTime<chrono::FixedOffset>;
    #[cfg(feature = "with-chrono-0_4")]
    "ext/chrono_0_4: TimeDelta": chrono::TimeDelta;
    "ext/bytes_1: Bytes": bytes::Bytes, Vec<bytes::Bytes>;
    #[cfg(feature = "with-time-0_3")]
    "ext/time_0_3: time::Date": time::Date;
    #[cfg(feature = "with-time-0_3")]
    "ext/time_0_3: time::Time": time::Time;
    #[cfg(feature = "with-time-0_3")]
    "ext/time_0_3: PrimitiveDateTime": time::PrimitiveDateTime;
    #[cfg(feature = "with-time-0_3")]
    "ext/time_0_3: UtcDateTime": time::UtcDateTime;
    #[cfg(feature = "with-time-0_3")]
    "ext/time_0_3: OffsetDateTime": time::OffsetDateTime, Vec<time::OffsetDateTime>;
    #[cfg(feature = "with-time-0_3")]
    "ext/time_0_3: Duration": time::Duration;
    #[cfg(feature = "with-jiff-0_2")]
    "ext/jiff_0_2: jiff::civil::Date": jiff::civil::Date;
    #[cfg(feature = "with-jiff-0_2")]
    "ext/jiff_0_2: jiff::civil::Time": jiff::civil::Time;
    #[cfg(feature = "with-jiff-0_2")]
    "ext/jiff_0_2: jiff::civil::DateTime": jiff::civil::DateTime;
    #[cfg(feature = "with-jiff-0_2")]
    "ext/jiff_0_2: jiff::Timestamp": jiff::Timestamp;
    #[cfg(feature = "with-jiff-0_2")]
    "ext/jiff_0_2: jiff::Span": jiff::Span, Vec<jiff::Span>;
    #[cfg(feature = "with-jiff-0_2")]
    "ext/jiff_0_2: jiff::SignedDuration": jiff::SignedDuration;
    #[cfg(feature = "with-rust_decimal-1")]
    "ext/rust_decimal_1: Decimal": rust_decimal::Decimal, Vec<rust_decimal::Decimal>;
    #[cfg(feature = "with-bigdecimal-0_4")]
    "ext/bigdecimal_0_4: BigDecimal": bigdecimal::BigDecimal, Vec<bigdecimal::BigDecimal>;
    #[cfg(feature = "with-ipnet-2")]
    "ext/ipnet_2: IpNet": ipnet::IpNet;
    #[cfg(feature = "with-ipnet-2")]
    "ext/ipnet_2: Ipv4Net": ipnet::Ipv4Net;
    #[cfg(feature = "with-ipnet-2")]
    "ext/ipnet_2: Ipv6Net": ipnet::Ipv6Net;
    #[cfg(feature = "with-ipnetwork-0_21")]
    "ext/ipnetwork_0_21: IpNetwork": ipnetwork::IpNetwork;
    #[cfg(feature = "with-ipnetwork-0_21")]
    "ext/ipnetwork_0_21: Ipv4Network": ipnetwork::Ipv4Network;
    #[cfg(feature = "with-ipnetwork-0_21")]
    "ext/ipnetwork_0_21: Ipv6Network": ipnetwork::Ipv6Network;
    #[cfg(feature = "with-cidr-0_3")]
    "ext/cidr_0_3: IpCidr": cidr::IpCidr;
    #[cfg(feature = "with-cidr-0_3")]
    "ext/cidr_0_3: Ipv4Cidr": cidr::Ipv4Cidr;
    #[cfg(feature = "with-cidr-0_3")]
    "ext/cidr_0_3: Ipv6Cidr": cidr::Ipv6Cidr;
    #[cfg(feature = "with-cidr-0_3")]
    "ext/cidr_0_3: IpInet": cidr::IpInet;
    #[cfg(feature = "with-cidr-0_3")]
    "ext/cidr_0_3: Ipv4Inet": cidr::Ipv4Inet;
    #[cfg(feature = "with-cidr-0_3")]
    "ext/cidr_0_3: Ipv6Inet": cidr::Ipv6Inet;
    #[cfg(feature = "with-mac_address-1")]
    "ext/mac_address_1: MacAddress": mac_address::MacAddress;
    #[cfg(feature = "with-bit-vec-0_10")]
    "ext/bit_vec_0_10: BitVec": bit_vec::BitVec;
    #[cfg(feature = "with-geo-types-0_7")]
    "ext/geo_types_0_7: geo_types::Point": geo_types::Point;
    #[cfg(feature = "with-geo-types-0_7")]
    "ext/geo_types_0_7: Coord": geo_types::Coord;
    #[cfg(feature = "with-geo-types-0_7")]
    "ext/geo_types_0_7: geo_types::Line": geo_types::Line;
    #[cfg(feature = "with-geo-types-0_7")]
    "ext/geo_types_0_7: Rect": geo_types::Rect;
    #[cfg(feature = "with-geo-types-0_7")]
    "ext/geo_types_0_7: LineString": geo_types::LineString;
    #[cfg(feature = "with-geo-types-0_7")]
    "ext/geo_types_0_7: geo_types::Polygon": geo_types::Polygon;
    #[cfg(feature = "with-smol_str-0_3")]
    "ext/smol_str_0_3: SmolStr": smol_str::SmolStr, Vec<smol_str::SmolStr>;
    #[cfg(feature = "with-compact_str-0_10")]
    "ext/compact_str_0_10: CompactString": compact_str::CompactString, Vec<compact_str::CompactString>;
}

/// What was read can be written, unless it has a NUL in it.
fn written<T: Encode + Debug>(value: &T, ty: &Type) {
    let mut out = WriteBuffer::default();
    if encode_value(value, ty, Format::Binary, &mut out).is_ok() {
        let length = out.pending().first_chunk().expect("a length");
        assert_eq!(
            usize::try_from(i32::from_be_bytes(*length)),
            Ok(out.len() - 4),
            "{value:?}"
        );
    }
}

/// All types that values can have, with some that a database adds.
pub(super) fn types() -> Vec<Type> {
    let custom = |oid, name: &str, kind| {
        Type::custom(oid, "public", name, kind, true, true).expect("a shallow type")
    };
    let labels = vec!["red".into(), "green".into()];
    let color = custom(70000, "color", Kind::Enum(labels));
    let positive = custom(70001, "positive", Kind::Domain(Type::INT4));
    let texts = custom(70006, "textrange", Kind::Range(Type::TEXT));
    let mut types = Type::BUILTIN.to_vec();
    types.extend([
        custom(70002, "_color", Kind::Array(color.clone())),
        custom(70003, "_positive", Kind::Array(positive)),
        custom(70004, "citext", Kind::Simple),
        custom(70005, "ltree", Kind::Simple),
        custom(70008, "hstore", Kind::Simple),
        custom(70009, "cube", Kind::Simple),
        custom(70010, "vector", Kind::Simple),
        custom(70011, "halfvec", Kind::Simple),
        custom(70012, "sparsevec", Kind::Simple),
        custom(70007, "textmultirange", Kind::Multirange(texts.clone())),
        texts,
        color,
    ]);
    types
}

/// Values that the server has sent, to be distorted.
pub(super) fn seeds(ty: &Type) -> Vec<&'static str> {
    SEEDS
        .iter()
        .filter(|(name, _)| *name == ty.name())
        .map(|(_, hex)| *hex)
        .collect()
}

const SEEDS: &[(&str, &str)] = &[
    ("path", "01000000013ff00000000000004000000000000000"),
    ("polygon", "000000013ff00000000000004000000000000000"),
    ("tsvector", "0000000261000004c00180024003000462000000"),
    ("tsquery", "00000003020201000f0162000100006100"),
    ("hstore", "0000000200000001610000000131000000016200000000"),
    ("hstore", "000000010000000161ffffffff"),
    ("cube", "000000013ff00000000000004000000000000000"),
    ("cube", "800000013ff0000000000000"),
    ("vector", "000200003f800000bf000000"),
    ("halfvec", "000200003c00b800"),
    ("sparsevec", "00000005000000010000000000000002bf800000"),
    ("int4range", "020000000400000001000000040000000a"),
    ("textrange", "06000000016100000001f0"),
    ("textmultirange", "00000002000000010100000006100000000161"),
    (
        "int8multirange",
        "0000000200000019020000000800000000000000010000000800000000000000030000000d\
         12000000080000000000000007",
    ),
    (
        "numeric",
        "000800040000000904d2162e23340d801ed204d2162e2328",
    ),
    ("interval", "000000036c97ca88000000030000000e"),
    ("timetz", "0000000a8bda1c00ffffb2a8"),
    ("varbit", "00000009ff00"),
    ("inet", "0340001020010db80000000000080800200c417a"),
    ("cidr", "02180104c0a80000"),
    (
        "pg_snapshot",
        "00000001000000000000000a0000000000000014000000000000000e",
    ),
    ("int4", "00000001"),
    ("text", "6e61c3af7665"),
    ("uuid", "a0eebc999c0b4ef8bb6d6bb9bd380a11"),
    ("json", "7b2261223a20317d"),
    ("jsonb", "017b2261223a20317d"),
    ("time", "000000141dd76000"),
    ("timestamptz", "fffffffe52d116e0"),
    (
        "_int4",
        "00000001000000010000001700000003000000010000000400000001ffffffff0000000400000003",
    ),
    (
        "_int4",
        "000000020000000000000017000000010000000100000002000000010000000400000001\
         0000000400000003",
    ),
    (
        "_int2",
        "00000002000000000000001500000002000000010000000200000001\
         000000020001000000020002000000020003000000020004",
    ),
    ("_aclitem", "7b22615c2262222c4e554c4c2c637d"),
    (
        "_aclitem",
        "5b303a315d5b313a315d3d7b7b617d2c7b22622063227d7d",
    ),
    (
        "_text",
        "0000000100000000000000190000000200000001000000016100000000",
    ),
    (
        "_bool",
        "000000010000000000000010000000020000000000000001010000000100",
    ),
    (
        "_color",
        "000000010000000000011170000000010000000100000003726564",
    ),
    (
        "_positive",
        "00000001000000000001117100000001000000010000000400000005",
    ),
    (
        "int2vector",
        "0000000100000000000000150000000200000000000000020001000000020002",
    ),
];

#[test]
fn s27_no_decoder_is_forgotten() {
    // From the crate of the codecs itself, or from the driver's tests.
    let folders = ["src/codec", "core/src/codec"];
    let root = folders
        .map(|folder| path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
        .into_iter()
        .find(|folder| folder.is_dir())
        .expect("the sources");
    let mut found = BTreeSet::new();
    search(&root, &root, &mut found);
    let decoders = decoders();
    let listed: BTreeSet<&str> = decoders.iter().map(|decoder| decoder.name).collect();
    // Of `ext/` only what is compiled in.
    let compiled = |name: &str| match name.split_once(": ") {
        Some((file, _)) => listed.iter().any(|name| name.starts_with(file)),
        None => true,
    };
    let found: BTreeSet<&str> = found
        .iter()
        .map(String::as_str)
        .filter(|name| compiled(name))
        .collect();
    assert_eq!(
        found, listed,
        "each impl of Decode must be in the registry, and no other"
    );
}

/// Collects the types that implement `Decode` in the files below `directory`.
fn search(root: &path::Path, directory: &path::Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).expect("the sources") {
        let path = entry.expect("the sources").path();
        if path.ends_with("tests") {
            continue;
        } else if path.is_dir() {
            search(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).expect("the sources");
            let file = path
                .strip_prefix(root)
                .expect("below the root")
                .with_extension("");
            let prefix = match file.strip_prefix("ext") {
                Ok(_) => format!("{}: ", file.display()),
                Err(_) => String::new(),
            };
            let impls = implementations(&source);
            found.extend(impls.into_iter().map(|name| format!("{prefix}{name}")));
        }
    }
}

/// The types that implement `Decode` in a source: those of impls, and the arguments of
/// macros that make impls. Such a macro is invoked with one impl in parentheses, the type
/// first, or with a list of types in braces.
fn implementations(source: &str) -> Vec<String> {
    // Documentation has examples with impls, and tests have impls of their own.
    let code: Vec<&str> = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let code = code.join("\n");
    let code = code.split("#[cfg(test)]").next().unwrap_or_default();
    let mut names = Vec::new();
    for (start, pattern) in code.match_indices("Decode<'r> for ") {
        let rest = &code[start + pattern.len()..];
        let name = rest.split(" {").next().unwrap_or_default();
        match name.strip_prefix('$') {
            Some(_) => names.extend(invocations(code, &code[..start])),
            None => names.push(name.to_owned()),
        }
    }
    // The one macro that is used in other files than its own.
    names.extend(arguments(code, "through"));
    names
}

/// The types that the macro whose definition `before` ends in is invoked with.
fn invocations(code: &str, before: &str) -> Vec<String> {
    let (_, definition) = before.rsplit_once("macro_rules! ").expect("a macro");
    let name = definition.split(' ').next().unwrap_or_default();
    arguments(code, name)
}

/// The types that the macro of this name is invoked with.
fn arguments(code: &str, name: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (start, pattern) in code.match_indices(&format!("\n{name}!")) {
        let rest = code[start + pattern.len()..].trim_start();
        let list = if rest.starts_with('{') {
            split(inside(rest), |character| character.is_whitespace())
        } else {
            let arguments = split(inside(rest), |character| character == ',');
            vec![arguments.into_iter().next().expect("an argument")]
        };
        names.extend(list);
    }
    names
}

/// What is between the bracket that `text` begins with and its counterpart.
fn inside(text: &str) -> &str {
    let mut depth = 0;
    for (index, character) in text.char_indices() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[1..index];
        }
    }
    panic!("a bracket that isn't closed: {text}");
}

/// The parts between separators that are not inside of brackets.
fn split(text: &str, is_separator: impl Fn(char) -> bool) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for character in text.trim().chars() {
        match character {
            '<' | '[' | '(' => depth += 1,
            '>' | ']' | ')' => depth -= 1,
            _ => {}
        }
        match parts.last_mut() {
            Some(part) if depth > 0 || !is_separator(character) => part.push(character),
            _ => parts.push(String::new()),
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

#[test]
fn impls_are_found_in_sources() {
    let source = "
/// impl<'r> Decode<'r> for Documented {
impl<'r> Decode<'r> for Plain {
impl<'r, T: Decode<'r>> Decode<'r> for Generic<T> {
macro_rules! many {
    ($($ty:ty)*) => { impl<'r> Decode<'r> for $ty { } };
}
many! { A B<'r, C> [T; N] }
macro_rules! one {
    ($ty:ty, $oid:ident) => { impl<'r> Decode<'r> for $ty { } };
}
one!(D<E, F>, X);
one!(
    /// documented
    G, X
);
through!(H::I, X, [Y]);
#[cfg(test)]
impl<'r> Decode<'r> for Tested {
";
    assert_eq!(
        implementations(source),
        [
            "Plain",
            "Generic<T>",
            "A",
            "B<'r, C>",
            "[T; N]",
            "D<E, F>",
            "G",
            "H::I"
        ]
    );
}
