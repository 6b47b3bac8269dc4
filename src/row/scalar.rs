//! Which types stand for a whole row of one column.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use super::from_row::Scalar;
use crate::codec::{
    BitString, Cidr, Circle, Date, Inet, Interval, Line, LineSegment, Lsn, MacAddr, MacAddr8,
    Money, Multirange, Numeric, Path, Point, Polygon, Range, RawJson, Rectangle, Snapshot, Tid,
    Time, TimeTz, Timestamp, TimestampTz, TsQuery, TsVector, Uuid,
};

macro_rules! scalars {
    ($($type:ty),* $(,)?) => {
        $(impl Scalar for $type {})*
    };
}

scalars! {
    bool, i8, i16, i32, i64, u32, u64, f32, f64, Numeric, Money,
    String, str, Vec<u8>, [u8],
    std::time::SystemTime, Date, Time, Timestamp, TimestampTz,
    TimeTz, Interval, Uuid, BitString,
    Inet, Cidr, MacAddr, MacAddr8, std::net::IpAddr, std::net::Ipv4Addr, std::net::Ipv6Addr,
    Lsn, Tid, Snapshot,
    Point, Line, LineSegment, Rectangle, Path, Polygon, Circle,
    TsVector, TsQuery,
}

impl<S> Scalar for RawJson<S> {}
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
    chrono::DateTime<chrono::Utc>, chrono::DateTime<chrono::FixedOffset>,
}

macro_rules! wrappers {
    ($($type:ty),* $(,)?) => {
        $(impl<T: Scalar + ?Sized> Scalar for $type {})*
    };
}

wrappers! { &T, Box<T>, Rc<T>, Arc<T> }

impl<T: Scalar + ToOwned + ?Sized> Scalar for Cow<'_, T> {}
impl<T: Scalar> Scalar for Option<T> {}
impl<T: Scalar> Scalar for Vec<T> {}
impl<T: Scalar, const N: usize> Scalar for [T; N] {}
