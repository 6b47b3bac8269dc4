//! How any value is written.

use super::{Opaque, Record, Value};
use crate::codec::record::{begin_record, write_field};
use crate::codec::text::TextForm;
use crate::codec::{Encode, IsNull, ParamWriter, wrong_encode_type};
use crate::error::EncodeError;
use crate::types::{Format, Kind, Type, oid};

/// Written as whatever type the server wants, if that takes the Rust type in the variant. The
/// server is asked for the type.
impl Encode for Value {
    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if out.format() == Format::Text && !self.is_null() {
            // The type has no other form.
            return match (self, ty.kind()) {
                // What lies between the elements is the type's, not the value's.
                (Self::Array(_, value), Kind::Array(_)) => value.encode(ty, out),
                _ => self.to_string().encode(ty, out),
            };
        }
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Bool(value) => value.encode(ty, out),
            Self::Char(value) => value.encode(ty, out),
            Self::Int2(value) => value.encode(ty, out),
            Self::Int4(value) => value.encode(ty, out),
            Self::Int8(value) => value.encode(ty, out),
            Self::Oid(value) => value.encode(ty, out),
            Self::Xid8(value) => value.encode(ty, out),
            Self::Float4(value) => value.encode(ty, out),
            Self::Float8(value) => value.encode(ty, out),
            Self::Numeric(value) => value.encode(ty, out),
            Self::Money(value) => value.encode(ty, out),
            Self::Text(value) | Self::Enum(value) => value.encode(ty, out),
            Self::Bytea(value) => value.encode(ty, out),
            Self::Json(value) => value.encode(ty, out),
            Self::Uuid(value) => value.encode(ty, out),
            Self::Date(value) => value.encode(ty, out),
            Self::Time(value) => value.encode(ty, out),
            Self::TimeTz(value) => value.encode(ty, out),
            Self::Timestamp(value) => value.encode(ty, out),
            Self::TimestampTz(value) => value.encode(ty, out),
            Self::Interval(value) => value.encode(ty, out),
            Self::BitString(value) => value.encode(ty, out),
            Self::Inet(value) => value.encode(ty, out),
            Self::Cidr(value) => value.encode(ty, out),
            Self::MacAddr(value) => value.encode(ty, out),
            Self::MacAddr8(value) => value.encode(ty, out),
            Self::Point(value) => value.encode(ty, out),
            Self::Line(value) => value.encode(ty, out),
            Self::LineSegment(value) => value.encode(ty, out),
            Self::Rectangle(value) => value.encode(ty, out),
            Self::Path(value) => value.encode(ty, out),
            Self::Polygon(value) => value.encode(ty, out),
            Self::Circle(value) => value.encode(ty, out),
            Self::TsVector(value) => value.encode(ty, out),
            Self::TsQuery(value) => value.encode(ty, out),
            Self::Lsn(value) => value.encode(ty, out),
            Self::Tid(value) => value.encode(ty, out),
            Self::Snapshot(value) => value.encode(ty, out),
            Self::Int2Vector(value) => value.encode(ty, out),
            Self::OidVector(value) => value.encode(ty, out),
            Self::Hstore(value) => value.encode(ty, out),
            Self::Cube(value) => value.encode(ty, out),
            Self::Vector(value) => value.encode(ty, out),
            Self::HalfVector(value) => value.encode(ty, out),
            Self::SparseVector(value) => value.encode(ty, out),
            Self::Void => ().encode(ty, out),
            Self::Array(element, value) if ty.oid() == oid::ANYARRAY => {
                // The server says itself that it takes none.
                value.encode_elements(ty, element, out)
            }
            Self::Array(_, value) => value.encode(ty, out),
            Self::Record(value) => value.encode(ty, out),
            Self::Range(value) => value.encode(ty, out),
            Self::Multirange(value) => value.encode(ty, out),
            Self::Opaque(value) => value.encode(ty, out),
        }
    }
}

/// A value of a composite type with as many fields, by their position.
impl Encode for Record {
    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if ty.oid() == oid::RECORD {
            // The server says itself that it takes none.
            out.put_count::<Self>(self.fields().len(), ty)?;
            for field in self.fields() {
                out.put_u32(field.ty().oid());
                out.value(field.ty(), field.value())?;
            }
            return Ok(IsNull::No);
        }
        let fields = begin_record::<Self>(self.fields().len(), ty, out)?;
        for (field, own) in fields.iter().zip(self.fields()) {
            write_field(field, own.value(), out)?;
        }
        Ok(IsNull::No)
    }
}

/// Written as the type that it came as; a text as whatever is text, too.
impl Encode for Opaque {
    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if self.format() == out.format() && self.ty().oid() == ty.oid() {
            out.put_slice(self.bytes());
            return Ok(IsNull::No);
        }
        match self.as_text() {
            Some(text) if TextForm::of(ty) != TextForm::Other => text.encode(ty, out),
            _ => Err(wrong_encode_type::<Self>(ty)),
        }
    }
}
