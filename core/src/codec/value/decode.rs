//! How any value is read.

use std::sync::Arc;

use super::{Opaque, Record, RecordField, Value};
use crate::codec::array::{ArrayElements, ArrayHeader};
use crate::codec::record::{FieldReader, at_field};
use crate::codec::text::TextForm;
use crate::codec::{Array, Decode, Multirange, Range, RawValue};
use crate::error::DecodeError;
use crate::types::{Extension, Format, Kind, Type, oid};

/// How deep arrays and records may lie within one another: an anonymous record says itself what
/// is in it, and the text of a value takes twice the quotes for each level.
const MAX_NESTING: usize = 16;

/// Reads every type, in both forms. NULL is [`Value::Null`].
impl<'r> Decode<'r> for Value {
    #[inline]
    fn accepts(_ty: &Type) -> bool {
        true
    }

    #[inline]
    fn accepts_text(_ty: &Type) -> bool {
        true
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        decode(value, 0)
    }

    #[inline]
    fn decode_null(_ty: &Type) -> Result<Self, DecodeError> {
        Ok(Self::Null)
    }

    #[inline]
    fn decode_text(text: String, ty: &Type) -> Result<Self, DecodeError> {
        let value = RawValue::new(text.as_bytes(), ty, Format::Text);
        Ok(opaque(value))
    }
}

#[inline]
fn decode(value: RawValue<'_, '_>, depth: usize) -> Result<Value, DecodeError> {
    if value.format() == Format::Text {
        return Ok(opaque(value));
    }
    Ok(match value.ty().oid() {
        oid::BOOL => Value::Bool(Decode::decode(value)?),
        oid::CHAR => Value::Char(Decode::decode(value)?),
        oid::INT2 => Value::Int2(Decode::decode(value)?),
        oid::INT4 => Value::Int4(Decode::decode(value)?),
        oid::INT8 => Value::Int8(Decode::decode(value)?),
        oid::XID8 => Value::Xid8(Decode::decode(value)?),
        oid::FLOAT4 => Value::Float4(Decode::decode(value)?),
        oid::FLOAT8 => Value::Float8(Decode::decode(value)?),
        oid::NUMERIC => Value::Numeric(Decode::decode(value)?),
        oid::MONEY => Value::Money(Decode::decode(value)?),
        oid::BYTEA => Value::Bytea(Decode::decode(value)?),
        oid::JSON | oid::JSONB => Value::Json(Decode::decode(value)?),
        oid::UUID => Value::Uuid(Decode::decode(value)?),
        oid::DATE => Value::Date(Decode::decode(value)?),
        oid::TIME => Value::Time(Decode::decode(value)?),
        oid::TIMETZ => Value::TimeTz(Decode::decode(value)?),
        oid::TIMESTAMP => Value::Timestamp(Decode::decode(value)?),
        oid::TIMESTAMPTZ => Value::TimestampTz(Decode::decode(value)?),
        oid::INTERVAL => Value::Interval(Decode::decode(value)?),
        oid::BIT | oid::VARBIT => Value::BitString(Decode::decode(value)?),
        oid::INET => Value::Inet(Decode::decode(value)?),
        oid::CIDR => Value::Cidr(Decode::decode(value)?),
        oid::MACADDR => Value::MacAddr(Decode::decode(value)?),
        oid::MACADDR8 => Value::MacAddr8(Decode::decode(value)?),
        oid::POINT => Value::Point(Decode::decode(value)?),
        oid::LINE => Value::Line(Decode::decode(value)?),
        oid::LSEG => Value::LineSegment(Decode::decode(value)?),
        oid::BOX => Value::Rectangle(Decode::decode(value)?),
        oid::PATH => Value::Path(Decode::decode(value)?),
        oid::POLYGON => Value::Polygon(Decode::decode(value)?),
        oid::CIRCLE => Value::Circle(Decode::decode(value)?),
        oid::TSVECTOR => Value::TsVector(Decode::decode(value)?),
        oid::TSQUERY => Value::TsQuery(Decode::decode(value)?),
        oid::PG_LSN => Value::Lsn(Decode::decode(value)?),
        oid::TID => Value::Tid(Decode::decode(value)?),
        oid::PG_SNAPSHOT | oid::TXID_SNAPSHOT => Value::Snapshot(Decode::decode(value)?),
        oid::INT2VECTOR => Value::Int2Vector(Decode::decode(value)?),
        oid::OIDVECTOR => Value::OidVector(Decode::decode(value)?),
        oid::VOID => {
            <()>::decode(value)?;
            Value::Void
        }
        oid::RECORD => record(value, depth)?,
        oid::ANYARRAY | oid::ANYCOMPATIBLEARRAY => any_array(value, depth)?,
        _ if u32::accepts(value.ty()) => Value::Oid(Decode::decode(value)?),
        _ => of_kind(value, depth)?,
    })
}

/// Reads a value of a type whose OID says nothing.
#[inline]
fn of_kind(value: RawValue<'_, '_>, depth: usize) -> Result<Value, DecodeError> {
    Ok(match value.ty().kind() {
        Kind::Array(element) => array(value, element, depth)?,
        Kind::Range(_) => Value::Range(Box::new(Range::decode(value)?)),
        Kind::Multirange(_) => Value::Multirange(Multirange::decode(value)?),
        Kind::Composite(_) => record(value, depth)?,
        Kind::Enum(_) => Value::Enum(Decode::decode(value)?),
        Kind::Domain(inner) => decode(
            RawValue::new(value.bytes(), inner.base(), value.format()),
            depth,
        )?,
        _ => of_extension(value)?,
    })
}

/// Reads a value of a type without parts, known by its name if at all.
#[inline]
fn of_extension(value: RawValue<'_, '_>) -> Result<Value, DecodeError> {
    Ok(match value.ty().extension() {
        Extension::Hstore => Value::Hstore(Decode::decode(value)?),
        Extension::Cube => Value::Cube(Decode::decode(value)?),
        Extension::Vector => Value::Vector(Decode::decode(value)?),
        Extension::Halfvec => Value::HalfVector(Decode::decode(value)?),
        Extension::Sparsevec => Value::SparseVector(Decode::decode(value)?),
        _ if TextForm::of(value.ty()) != TextForm::Other => Value::Text(Decode::decode(value)?),
        _ => opaque(value),
    })
}

#[inline]
fn opaque(value: RawValue<'_, '_>) -> Value {
    Value::Opaque(Box::new(Opaque::new(
        value.ty().clone(),
        value.format(),
        value.bytes(),
    )))
}

#[inline]
fn array(value: RawValue<'_, '_>, element: &Type, depth: usize) -> Result<Value, DecodeError> {
    let depth = deeper(value, depth)?;
    let mut reader = value.reader();
    let header = ArrayHeader::read(&mut reader)?;
    if header.element_oid != element.oid() {
        return Err(crate::codec::array::wrong_element::<Value>(
            value.ty(),
            header.element_oid,
        ));
    }
    elements(
        &header,
        ArrayElements::flat(reader, element.base(), &[header.total]),
        depth,
    )
}

/// Reads an array whose column doesn't tell the type of the elements, as in `pg_statistic`:
/// the array does. What isn't built in is left as it is.
#[inline]
fn any_array(value: RawValue<'_, '_>, depth: usize) -> Result<Value, DecodeError> {
    let depth = deeper(value, depth)?;
    let mut reader = value.reader();
    let header = ArrayHeader::read(&mut reader)?;
    match Type::from_oid(header.element_oid) {
        Some(element) => elements(
            &header,
            ArrayElements::flat(reader, &element, &[header.total]),
            depth,
        ),
        None => Ok(opaque(value)),
    }
}

#[inline]
fn elements(
    header: &ArrayHeader,
    mut elements: ArrayElements<'_, '_>,
    depth: usize,
) -> Result<Value, DecodeError> {
    let ty = elements.ty().clone();
    let values = elements.decode_with(|bytes, ty| match bytes {
        Some(bytes) => decode(RawValue::new(bytes, ty, Format::Binary), depth),
        None => Ok(Value::Null),
    })?;
    elements.finish()?;
    Ok(Value::Array(
        ty,
        Box::new(Array::from_header(header, values)),
    ))
}

#[inline]
fn record(value: RawValue<'_, '_>, depth: usize) -> Result<Value, DecodeError> {
    let depth = deeper(value, depth)?;
    let mut reader = FieldReader::new::<Value>(value)?;
    let mut fields = Vec::new();
    for place in 1..=reader.count() {
        reader.make_room(&mut fields);
        let field = reader.next()?;
        let ty = field.ty.base();
        let read = match field.bytes {
            Some(bytes) => decode(RawValue::new(bytes, ty, Format::Binary), depth)
                .map_err(|error| at_field(error, &field, place))?,
            None => Value::Null,
        };
        let name = field.name;
        let read = RecordField::new(field.ty.into_owned(), read);
        fields.push(match name {
            Some(name) => read.named(Arc::clone(name)),
            None => read,
        });
    }
    reader.finish()?;
    Ok(Record::new(fields).into())
}

#[inline]
fn deeper(value: RawValue<'_, '_>, depth: usize) -> Result<usize, DecodeError> {
    if depth == MAX_NESTING {
        return Err(too_deep(value));
    }
    Ok(depth + 1)
}

#[cold]
fn too_deep(value: RawValue<'_, '_>) -> DecodeError {
    value.error::<Value>(format!("it nests deeper than {MAX_NESTING} levels"))
}
