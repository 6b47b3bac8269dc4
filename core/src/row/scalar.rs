//! Which types stand for a whole row of one column.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use super::from_row::Scalar;
use crate::codec::{
    BitString, Cid, Cidr, Circle, Cube, Date, HalfVector, Hstore, Inet, Int2Vector, Interval, Line,
    LineSegment, Lsn, MacAddr, MacAddr8, Money, Multirange, Numeric, OidVector, Path, Point,
    Polygon, Range, RawJson, Rectangle, Snapshot, SparseVector, Tid, Time, TimeTz, Timestamp,
    TimestampTz, TsQuery, TsVector, Uuid, Vector, Xid,
};

macro_rules! scalars {
    ($($type:ty),* $(,)?) => {
        $(impl Scalar for $type {})*
    };
}

scalars! {
    bool, i8, i16, i32, i64, u32, u64, f32, f64, Numeric, Money,
    String, str, Vec<u8>, [u8], bytes::Bytes,
    std::time::SystemTime, Date, Time, Timestamp, TimestampTz,
    TimeTz, Interval, Uuid, BitString,
    Inet, Cidr, MacAddr, MacAddr8, std::net::IpAddr, std::net::Ipv4Addr, std::net::Ipv6Addr,
    Lsn, Tid, Snapshot, Xid, Cid, Int2Vector, OidVector,
    Point, Line, LineSegment, Rectangle, Path, Polygon, Circle,
    TsVector, TsQuery,
    Hstore, Cube, Vector, HalfVector, SparseVector,
}

impl<S> Scalar for RawJson<S> {}

scalars! { crate::codec::Value }
impl<T> Scalar for Range<T> {}
impl<T> Scalar for Multirange<T> {}

#[cfg(feature = "with-uuid-1")]
scalars! { uuid::Uuid }

#[cfg(feature = "with-serde_json-1")]
scalars! { serde_json::Value }

#[cfg(feature = "with-serde_json-1")]
impl<T> Scalar for crate::codec::Json<T> {}

#[cfg(feature = "with-chrono-0_4")]
scalars! {
    chrono::NaiveDate, chrono::NaiveTime, chrono::NaiveDateTime,
    chrono::DateTime<chrono::Utc>, chrono::DateTime<chrono::FixedOffset>, chrono::TimeDelta,
}

#[cfg(feature = "with-time-0_3")]
scalars! {
    time::Date, time::Time, time::PrimitiveDateTime, time::UtcDateTime, time::OffsetDateTime,
    time::Duration,
}

#[cfg(feature = "with-jiff-0_2")]
scalars! {
    jiff::civil::Date, jiff::civil::Time, jiff::civil::DateTime, jiff::Timestamp, jiff::Span,
    jiff::SignedDuration,
}

#[cfg(feature = "with-rust_decimal-1")]
scalars! { rust_decimal::Decimal }

#[cfg(feature = "with-bigdecimal-0_4")]
scalars! { bigdecimal::BigDecimal }

#[cfg(feature = "with-ipnet-2")]
scalars! { ipnet::IpNet, ipnet::Ipv4Net, ipnet::Ipv6Net }

#[cfg(feature = "with-ipnetwork-0_21")]
scalars! { ipnetwork::IpNetwork, ipnetwork::Ipv4Network, ipnetwork::Ipv6Network }

#[cfg(feature = "with-cidr-0_3")]
scalars! {
    cidr::IpCidr, cidr::Ipv4Cidr, cidr::Ipv6Cidr, cidr::IpInet, cidr::Ipv4Inet, cidr::Ipv6Inet,
}

#[cfg(feature = "with-mac_address-1")]
scalars! { mac_address::MacAddress }

#[cfg(feature = "with-bit-vec-0_10")]
scalars! { bit_vec::BitVec }

#[cfg(feature = "with-geo-types-0_7")]
scalars! {
    geo_types::Point, geo_types::Coord, geo_types::Line, geo_types::Rect, geo_types::LineString,
    geo_types::Polygon,
}

#[cfg(feature = "with-smol_str-0_3")]
scalars! { smol_str::SmolStr }

#[cfg(feature = "with-compact_str-0_10")]
scalars! { compact_str::CompactString }

macro_rules! wrappers {
    ($($type:ty),* $(,)?) => {
        $(impl<T: Scalar + ?Sized> Scalar for $type {})*
    };
}

wrappers! { &T, Box<T>, Rc<T>, Arc<T> }

impl<T: Scalar + ToOwned + ?Sized> Scalar for Cow<'_, T> {}
impl<T: Scalar> Scalar for Option<T> {}
impl<T: Scalar> Scalar for Vec<T> {}
impl<T: Scalar> Scalar for crate::codec::Array<T> {}
impl<T: Scalar, const N: usize> Scalar for [T; N] {}
