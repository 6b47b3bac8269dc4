//! [`Value`]: a value of any type, for programs that learn the types when they run.

mod decode;
mod display;
mod encode;
mod record;
#[cfg(test)]
mod tests;

pub use self::record::{Opaque, Record, RecordField};

use super::{
    Array, BitString, Cidr, Circle, Cube, Date, HalfVector, Hstore, Inet, Interval, Line,
    LineSegment, Lsn, MacAddr, MacAddr8, Money, Multirange, Numeric, Path, Point, Polygon, Range,
    RawJson, Rectangle, Snapshot, SparseVector, Tid, Time, TimeTz, Timestamp, TimestampTz, TsQuery,
    TsVector, Uuid, Vector,
};
use crate::types::Type;

/// A value of any type.
///
/// Every column can be read into a `Value`, and every parameter can be one. As a parameter it
/// is written as the type that the server wants there, by the rules of the Rust type in the
/// variant: an `Int4` can be an `int8`, and a `Text` whatever is text. A domain's value is one
/// of the type beneath. What lies more than 16 arrays and records deep is an error.
///
/// # Text
///
/// `Display` prints what the server's output function prints, with the settings `DateStyle`
/// ISO, `TimeZone` UTC, `IntervalStyle` postgres, `bytea_output` hex, `extra_float_digits` 1 and
/// `lc_monetary` C. What can't be known here is printed otherwise: the names of objects
/// (`regclass` and its kin) as their OIDs, and what is [`Opaque`] in hexadecimal. A NULL,
/// which has no text, is `NULL`.
///
/// # Example
///
/// ```
/// use kornak::codec::{Array, Value};
/// use kornak::types::Type;
///
/// let words = vec![Value::from("a b"), Value::Null, Value::from("null")];
/// let array = Value::Array(Type::TEXT, Box::new(Array::from(words)));
/// assert_eq!(array.to_string(), r#"{"a b",NULL,"null"}"#);
/// assert_eq!(Value::from(1e-7).to_string(), "1e-07");
/// assert_eq!(Value::from(true).to_string(), "t");
/// ```
///
/// ```no_run
/// # async fn dump(connection: &mut kornak::Connection) -> kornak::Result<()> {
/// use kornak::{Row, codec::Value};
///
/// let parameters = vec![Value::from("pg_catalog"), Value::from(10_i64)];
/// let sql = "select * from pg_tables where schemaname = $1::text limit $2";
/// for row in connection.fetch_all::<Row>(sql, parameters).await? {
///     for index in 0..row.len() {
///         print!("{}\t", row.get::<Value>(index)?);
///     }
///     println!();
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// NULL, of whatever type.
    #[default]
    Null,
    /// `bool`.
    Bool(bool),
    /// `"char"`, one byte.
    Char(i8),
    /// `int2`.
    Int2(i16),
    /// `int4`.
    Int4(i32),
    /// `int8`.
    Int8(i64),
    /// `oid`, `xid`, `cid`, and what is kept as the OID of an object: `regclass` and its kin.
    Oid(u32),
    /// `xid8`.
    Xid8(u64),
    /// `float4`.
    Float4(f32),
    /// `float8`.
    Float8(f64),
    /// `numeric`.
    Numeric(Numeric),
    /// `money`.
    Money(Money),
    /// `text`, `varchar`, `bpchar`, `name`, `xml`, `jsonpath`, `citext`, `ltree` and all else
    /// that is text.
    Text(String),
    /// `bytea`.
    Bytea(Vec<u8>),
    /// `json`, `jsonb`.
    Json(RawJson<String>),
    /// `uuid`.
    Uuid(Uuid),
    /// `date`.
    Date(Date),
    /// `time`.
    Time(Time),
    /// `timetz`.
    TimeTz(TimeTz),
    /// `timestamp`.
    Timestamp(Timestamp),
    /// `timestamptz`.
    TimestampTz(TimestampTz),
    /// `interval`.
    Interval(Interval),
    /// `bit`, `varbit`.
    BitString(BitString),
    /// `inet`.
    Inet(Inet),
    /// `cidr`.
    Cidr(Cidr),
    /// `macaddr`.
    MacAddr(MacAddr),
    /// `macaddr8`.
    MacAddr8(MacAddr8),
    /// `point`.
    Point(Point),
    /// `line`.
    Line(Line),
    /// `lseg`.
    LineSegment(LineSegment),
    /// `box`.
    Rectangle(Rectangle),
    /// `path`.
    Path(Path),
    /// `polygon`.
    Polygon(Polygon),
    /// `circle`.
    Circle(Circle),
    /// `tsvector`.
    TsVector(Box<TsVector>),
    /// `tsquery`.
    TsQuery(Box<TsQuery>),
    /// `pg_lsn`.
    Lsn(Lsn),
    /// `tid`.
    Tid(Tid),
    /// `pg_snapshot`, `txid_snapshot`.
    Snapshot(Box<Snapshot>),
    /// `int2vector`, whose text differs from that of an array.
    Int2Vector(Vec<i16>),
    /// `oidvector`, whose text differs from that of an array.
    OidVector(Vec<u32>),
    /// `hstore`.
    Hstore(Box<Hstore>),
    /// `cube`.
    Cube(Box<Cube>),
    /// pgvector's `vector`.
    Vector(Vector),
    /// pgvector's `halfvec`.
    HalfVector(HalfVector),
    /// pgvector's `sparsevec`.
    SparseVector(Box<SparseVector>),
    /// `void`, the result of a function that returns nothing.
    Void,
    /// The label of an enum.
    Enum(String),
    /// An array, and the type of its elements.
    Array(Type, Box<Array<Value>>),
    /// A value of a composite type, or an anonymous record.
    Record(Box<Record>),
    /// A range of any type.
    Range(Box<Range<Value>>),
    /// A multirange of any type.
    Multirange(Multirange<Value>),
    /// A value whose parts the driver doesn't know, as the server sent it.
    Opaque(Box<Opaque>),
}

impl Value {
    /// Whether it is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

macro_rules! from {
    ($($ty:ty => $variant:ident)*) => {
        $(
            impl From<$ty> for Value {
                fn from(value: $ty) -> Self {
                    Self::$variant(value)
                }
            }
        )*
    };
}

from! {
    bool => Bool
    i16 => Int2
    i32 => Int4
    i64 => Int8
    u32 => Oid
    f32 => Float4
    f64 => Float8
    Numeric => Numeric
    Money => Money
    String => Text
    Vec<u8> => Bytea
    RawJson<String> => Json
    Uuid => Uuid
    Date => Date
    Time => Time
    TimeTz => TimeTz
    Timestamp => Timestamp
    TimestampTz => TimestampTz
    Interval => Interval
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

/// `None` is NULL.
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<Record> for Value {
    fn from(record: Record) -> Self {
        Self::Record(Box::new(record))
    }
}
