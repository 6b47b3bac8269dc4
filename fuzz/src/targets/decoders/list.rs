//! The Rust types that values are read into, and the types that no server has by itself.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use kornak::codec::{self, decode_value};
use kornak::types::Kind;
use kornak::{Date, Json, RawJson, Time, Timestamp, TimestampTz, Type, Uuid};

use super::Decoder;
use super::checks::{elements, owned, show, shown};

/// A Rust type that borrows from the row.
macro_rules! borrowed {
    ($ty:ty) => {
        Decoder {
            accepts: codec::accepts::<$ty>,
            check: |bytes, ty, format| {
                let value = decode_value::<$ty>(Some(bytes), ty, format);
                show(&value);
                value.is_ok()
            },
        }
    };
}

/// All decoders.
pub(super) fn decoders() -> &'static [Decoder] {
    DECODERS
}

static DECODERS: &[Decoder] = &[
    owned::<bool>(),
    owned::<i8>(),
    owned::<i16>(),
    owned::<i32>(),
    owned::<i64>(),
    owned::<u32>(),
    owned::<f32>(),
    owned::<f64>(),
    owned::<char>(),
    owned::<String>(),
    owned::<Rc<str>>(),
    borrowed!(&str),
    borrowed!(Cow<'_, str>),
    owned::<Vec<u8>>(),
    owned::<[u8; 4]>(),
    borrowed!(&[u8]),
    borrowed!(&[u8; 16]),
    shown::<Uuid>(),
    shown::<Date>(),
    shown::<Time>(),
    shown::<Timestamp>(),
    shown::<TimestampTz>(),
    owned::<SystemTime>(),
    owned::<RawJson>(),
    borrowed!(RawJson<&str>),
    // Types of other crates.
    owned::<uuid::Uuid>(),
    owned::<Json<Vec<Option<f64>>>>(),
    owned::<serde_json::Value>(),
    owned::<chrono::NaiveDate>(),
    owned::<chrono::NaiveTime>(),
    owned::<chrono::NaiveDateTime>(),
    owned::<chrono::DateTime<chrono::Utc>>(),
    owned::<chrono::DateTime<chrono::FixedOffset>>(),
    // Containers.
    owned::<Option<Box<i32>>>(),
    elements::<bool>(),
    elements::<i16>(),
    elements::<i32>(),
    elements::<i64>(),
    elements::<u32>(),
    elements::<f32>(),
    elements::<f64>(),
    elements::<String>(),
    elements::<Vec<u8>>(),
    elements::<Uuid>(),
    elements::<Date>(),
    elements::<Time>(),
    elements::<TimestampTz>(),
    elements::<RawJson>(),
    borrowed!(Vec<&str>),
    owned::<Arc<[Option<i64>]>>(),
    owned::<[i32; 3]>(),
    owned::<Vec<Vec<i32>>>(),
    owned::<Vec<[Option<i32>; 2]>>(),
    owned::<Vec<Vec<Vec<Option<String>>>>>(),
    owned::<Vec<Vec<Vec<Vec<Vec<Vec<i16>>>>>>>(),
];

/// Types that a database adds. Their OIDs are made up, above those of the built-in ones.
pub(super) fn custom_types() -> Vec<Type> {
    let custom = |oid, name: &str, kind| {
        Type::custom(oid, "public", name, kind, true, true).expect("a shallow type")
    };
    let labels = ["red", "green"].map(Box::from).into();
    let color = custom(COLOR, "color", Kind::Enum(labels));
    let colors = custom(COLORS, "_color", Kind::Array(color.clone()));
    let positive = custom(POSITIVE, "positive", Kind::Domain(Type::INT4));
    vec![
        color,
        colors,
        custom(POSITIVES, "_positive", Kind::Array(positive)),
        custom(CITEXT, "citext", Kind::Simple),
        custom(LTREE, "ltree", Kind::Simple),
    ]
}

pub(super) const COLOR: u32 = 60_000;
pub(super) const COLORS: u32 = 60_001;
pub(super) const POSITIVE: u32 = 60_002;
pub(super) const POSITIVES: u32 = 60_003;
pub(super) const CITEXT: u32 = 60_004;
pub(super) const LTREE: u32 = 60_005;
