//! The Rust types that values are read into, and the types that no server has by itself.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use kornak::codec::{self, decode_value};
use kornak::codec::{
    BitString, Cid, Cidr, Circle, Cube, HalfVector, Hstore, Inet, Int2Vector, Line, LineSegment,
    Lsn, MacAddr, MacAddr8, Money, Multirange, OidVector, Path, Point, Polygon, Range, Rectangle,
    Snapshot, SparseVector, Tid, TsQuery, TsVector, Vector, Xid,
};
use kornak::types::Kind;
use kornak::{
    Date, Interval, Json, Numeric, RawJson, Time, TimeTz, Timestamp, TimestampTz, Type, Uuid,
};

use super::checks::{displayed, elements, owned, show, shown};
use super::{Decoder, registry};

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
    static ALL: OnceLock<Vec<Decoder>> = OnceLock::new();
    ALL.get_or_init(|| {
        let others = registry::decoders().into_iter();
        let others = others.filter(|decoder| !decoder.rust.contains("BigDecimal"));
        let plain = others.map(|decoder| Decoder {
            accepts: decoder.accepts,
            check: decoder.decode,
        });
        CHECKED.iter().copied().chain(plain).collect()
    })
}

/// A few bytes can stand for a number of 147,455 digits. It may take the memory that it needs,
/// but then the limit of memory would have to have room for it always.
const BIG_DECIMAL: Decoder = Decoder {
    check: |bytes, ty, format| {
        let is_short = |number: Numeric| number.weight() < 64 && number.scale() < 256;
        decode_value(Some(bytes), ty, format).is_ok_and(is_short)
            && (owned::<bigdecimal::BigDecimal>().check)(bytes, ty, format)
    },
    ..owned::<bigdecimal::BigDecimal>()
};

/// Those of which more is checked than that they end.
static CHECKED: &[Decoder] = &[
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
    owned::<chrono::TimeDelta>(),
    owned::<time::Date>(),
    owned::<time::Time>(),
    owned::<time::PrimitiveDateTime>(),
    owned::<time::OffsetDateTime>(),
    owned::<time::UtcDateTime>(),
    owned::<time::Duration>(),
    owned::<jiff::civil::Date>(),
    owned::<jiff::civil::Time>(),
    owned::<jiff::civil::DateTime>(),
    owned::<jiff::Timestamp>(),
    owned::<jiff::SignedDuration>(),
    owned::<jiff::Span>(),
    owned::<rust_decimal::Decimal>(),
    BIG_DECIMAL,
    owned::<ipnet::IpNet>(),
    owned::<ipnetwork::IpNetwork>(),
    owned::<cidr::IpCidr>(),
    owned::<cidr::IpInet>(),
    owned::<mac_address::MacAddress>(),
    owned::<bit_vec::BitVec>(),
    owned::<geo_types::Point>(),
    owned::<geo_types::Line>(),
    owned::<geo_types::Rect>(),
    owned::<geo_types::LineString>(),
    owned::<geo_types::Polygon>(),
    owned::<smol_str::SmolStr>(),
    owned::<compact_str::CompactString>(),
    owned::<bytes::Bytes>(),
    // The driver's own, beyond those that can be shown and parsed.
    owned::<Numeric>(),
    owned::<Interval>(),
    owned::<TimeTz>(),
    owned::<BitString>(),
    owned::<Inet>(),
    owned::<Cidr>(),
    displayed::<MacAddr>(),
    displayed::<MacAddr8>(),
    displayed::<Money>(),
    displayed::<Point>(),
    displayed::<Line>(),
    displayed::<LineSegment>(),
    displayed::<Rectangle>(),
    displayed::<Path>(),
    displayed::<Polygon>(),
    displayed::<Circle>(),
    displayed::<TsVector>(),
    displayed::<TsQuery>(),
    shown::<Lsn>(),
    shown::<Tid>(),
    shown::<Snapshot>(),
    shown::<Xid>(),
    shown::<Cid>(),
    shown::<Int2Vector>(),
    shown::<OidVector>(),
    shown::<Range<i32>>(),
    shown::<Range<i64>>(),
    shown::<Range<String>>(),
    // A few bytes can stand for a number of 147,455 digits, whose text takes more memory.
    owned::<Range<Numeric>>(),
    displayed::<Range<Date>>(),
    displayed::<Range<TimestampTz>>(),
    shown::<Multirange<i32>>(),
    shown::<Multirange<i64>>(),
    shown::<Multirange<String>>(),
    owned::<Multirange<Numeric>>(),
    shown::<Hstore>(),
    displayed::<Cube>(),
    displayed::<Vector>(),
    displayed::<HalfVector>(),
    displayed::<SparseVector>(),
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
    let texts = custom(TEXTRANGE, "textrange", Kind::Range(Type::TEXT));
    let sets = custom(
        TEXTMULTIRANGE,
        "textmultirange",
        Kind::Multirange(texts.clone()),
    );
    vec![
        color,
        colors,
        custom(POSITIVES, "_positive", Kind::Array(positive)),
        custom(CITEXT, "citext", Kind::Simple),
        custom(LTREE, "ltree", Kind::Simple),
        texts,
        sets,
        custom(HSTORE, "hstore", Kind::Simple),
        custom(CUBE, "cube", Kind::Simple),
        custom(VECTOR, "vector", Kind::Simple),
        custom(HALFVEC, "halfvec", Kind::Simple),
        custom(SPARSEVEC, "sparsevec", Kind::Simple),
    ]
}

pub(super) const COLOR: u32 = 60_000;
pub(super) const COLORS: u32 = 60_001;
pub(super) const POSITIVE: u32 = 60_002;
pub(super) const POSITIVES: u32 = 60_003;
pub(super) const CITEXT: u32 = 60_004;
pub(super) const LTREE: u32 = 60_005;
pub(super) const TEXTRANGE: u32 = 60_006;
pub(super) const TEXTMULTIRANGE: u32 = 60_007;
pub(super) const HSTORE: u32 = 60_008;
pub(super) const CUBE: u32 = 60_009;
pub(super) const VECTOR: u32 = 60_010;
pub(super) const HALFVEC: u32 = 60_011;
pub(super) const SPARSEVEC: u32 = 60_012;
