//! The errors of codecs, off the fast path, and what they advise.

use std::any::type_name;
use std::fmt::Display;

use super::integer::is_oid_like;
use crate::buffer::TooLong;
use crate::error::{DecodeError, EncodeError};
use crate::types::{Extension, Kind, Type, oid};

/// What is said where neither side takes the other's type.
const MISMATCH: &str = "the types don't match";

/// A `T` can't be written as a `ty`.
#[cold]
pub fn wrong_encode_type<T: ?Sized>(ty: &Type) -> EncodeError {
    mismatched_value(ty, type_name::<T>())
}

/// A `ty` can't be read into a `T`.
#[cold]
pub fn wrong_decode_type<T: ?Sized>(ty: &Type) -> DecodeError {
    mismatched_target(ty, type_name::<T>())
}

/// This `T` has no place in a `ty`.
#[cold]
pub fn out_of_range<T: ?Sized>(ty: &Type, value: impl Display) -> EncodeError {
    excessive_value(ty, type_name::<T>(), &value)
}

/// A `ty` goes as text only, and a `T` has no text form.
#[cold]
pub fn missing_binary_form<T: ?Sized>(ty: &Type) -> EncodeError {
    EncodeError::new("the type has no binary form on the server")
        .with_types(ty, rust_name::<T>())
        .with_hint("use a string, which is sent as text")
}

/// A text in an array's text form isn't there as it is meant, and a `T` borrows.
#[cold]
pub(super) fn not_borrowable<T: ?Sized>(ty: &Type) -> DecodeError {
    quoted_text(ty, type_name::<T>())
}

/// What goes wrong with the value inside of a `T`, which is written like it.
#[cold]
#[doc(hidden)]
pub fn written_as<T: ?Sized>(error: EncodeError) -> EncodeError {
    error.with_rust_type(rust_name::<T>())
}

/// What goes wrong with the value inside of a `T`, which is read like it.
#[cold]
#[doc(hidden)]
pub fn read_as<T: ?Sized>(error: DecodeError) -> DecodeError {
    error.with_rust_type(rust_name::<T>())
}

/// A value has another length than its type has.
#[cold]
pub(super) fn wrong_length<T: ?Sized>(ty: &Type, wanted: usize, length: usize) -> DecodeError {
    other_length(ty, type_name::<T>(), wanted, length)
}

/// The protocol's lengths are 32-bit integers with a sign.
#[cold]
pub(super) fn too_long(error: TooLong) -> EncodeError {
    EncodeError::new(error.to_string())
}

/// The name of a Rust type without the paths of modules: `Option<String>`.
pub fn rust_name<T: ?Sized>() -> String {
    without_paths(type_name::<T>())
}

// What these functions have in common for all types is compiled once.

fn mismatched_value(ty: &Type, full: &str) -> EncodeError {
    EncodeError::new(MISMATCH)
        .with_types(ty, without_paths(full))
        .with_hint(advice(ty))
}

fn mismatched_target(ty: &Type, full: &str) -> DecodeError {
    DecodeError::new(MISMATCH)
        .with_types(ty, without_paths(full))
        .with_hint(advice(ty))
}

fn excessive_value(ty: &Type, full: &str, value: &dyn Display) -> EncodeError {
    EncodeError::new(format!("{value} is out of range")).with_types(ty, without_paths(full))
}

fn quoted_text(ty: &Type, full: &str) -> DecodeError {
    DecodeError::new("its text has quotes or backslashes in it, and can't be borrowed")
        .with_types(ty, without_paths(full))
        .with_hint("read it into a String")
}

fn other_length(ty: &Type, full: &str, wanted: usize, length: usize) -> DecodeError {
    DecodeError::new(format!("it has {length} bytes instead of {wanted}"))
        .with_types(ty, without_paths(full))
}

fn without_paths(full: &str) -> String {
    let mut short = String::with_capacity(full.len());
    let mut word = 0;
    for character in full.chars() {
        match character {
            ':' => short.truncate(word),
            _ => {
                short.push(character);
                if !(character.is_alphanumeric() || character == '_') {
                    word = short.len();
                }
            }
        }
    }
    short
}

/// The Rust type to read a PostgreSQL type into, and to write it from.
pub fn type_hint(ty: &Type) -> &'static str {
    let ty = ty.base();
    match ty.oid() {
        oid::BOOL => "bool",
        oid::CHAR => "i8",
        oid::INT2 => "i16",
        oid::INT4 => "i32",
        oid::INT8 => "i64",
        oid::FLOAT4 => "f32",
        oid::FLOAT8 => "f64",
        oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME | oid::UNKNOWN | oid::XML => "String",
        oid::BYTEA => "Vec<u8>",
        oid::NUMERIC => "kornak::Numeric",
        oid::MONEY => "kornak::codec::Money",
        oid::DATE => "kornak::Date",
        oid::TIME => "kornak::Time",
        oid::TIMETZ => "kornak::TimeTz",
        oid::INTERVAL => "kornak::Interval",
        oid::TIMESTAMP => "kornak::Timestamp",
        oid::TIMESTAMPTZ => "kornak::TimestampTz or std::time::SystemTime",
        oid::UUID => "kornak::Uuid, or uuid::Uuid with the feature with-uuid-1",
        oid::BIT | oid::VARBIT => "kornak::codec::BitString",
        oid::INET => "kornak::codec::Inet, or std::net::IpAddr for single hosts",
        oid::CIDR => "kornak::codec::Cidr",
        oid::MACADDR => "kornak::codec::MacAddr",
        oid::MACADDR8 => "kornak::codec::MacAddr8",
        oid::POINT => "kornak::codec::Point",
        oid::LINE => "kornak::codec::Line",
        oid::LSEG => "kornak::codec::LineSegment",
        oid::BOX => "kornak::codec::Rectangle",
        oid::PATH => "kornak::codec::Path",
        oid::POLYGON => "kornak::codec::Polygon",
        oid::CIRCLE => "kornak::codec::Circle",
        oid::TSVECTOR => "kornak::codec::TsVector",
        oid::TSQUERY => "kornak::codec::TsQuery",
        oid::PG_LSN => "kornak::codec::Lsn",
        oid::TID => "kornak::codec::Tid",
        oid::XID8 => "u64",
        oid::XID => "kornak::codec::Xid",
        oid::CID => "kornak::codec::Cid",
        oid::INT2VECTOR => "kornak::codec::Int2Vector",
        oid::OIDVECTOR => "kornak::codec::OidVector",
        oid::PG_SNAPSHOT | oid::TXID_SNAPSHOT => "kornak::codec::Snapshot",
        oid::VOID => "()",
        oid::RECORD => "a tuple of its fields, or kornak::Value",
        oid::JSON | oid::JSONB => {
            "kornak::RawJson<String>, or kornak::Json<T> with the feature with-serde_json-1"
        }
        oid::JSONPATH | oid::REFCURSOR | oid::CSTRING | oid::PG_NODE_TREE => "String",
        _ if is_oid_like(ty) => "u32",
        _ => match ty.kind() {
            Kind::Enum(_) => "String, or an enum that derives kornak::Encode and kornak::Decode",
            Kind::Composite(_) => {
                "a struct that derives kornak::Encode and kornak::Decode, or a tuple of its fields"
            }
            Kind::Array(element) => array_hint(element),
            Kind::Range(subtype) => range_hint(subtype),
            Kind::Multirange(range) => match range.element() {
                Some(subtype) => multirange_hint(subtype),
                None => "kornak::codec::Multirange",
            },
            _ => extension_hint(ty),
        },
    }
}

fn extension_hint(ty: &Type) -> &'static str {
    match ty.extension() {
        Extension::Citext | Extension::Ltree | Extension::Lquery | Extension::Ltxtquery => "String",
        Extension::Hstore => "kornak::codec::Hstore",
        Extension::Cube => "kornak::codec::Cube",
        Extension::Vector => "kornak::codec::Vector",
        Extension::Halfvec => "kornak::codec::HalfVector",
        Extension::Sparsevec => "kornak::codec::SparseVector",
        Extension::None if !ty.has_binary_output() => "String",
        Extension::None => "String, with the column cast to text",
    }
}

fn array_hint(element: &Type) -> &'static str {
    match element.base().oid() {
        oid::BOOL => "Vec<bool>",
        oid::INT2 => "Vec<i16>",
        oid::INT4 => "Vec<i32>",
        oid::INT8 => "Vec<i64>",
        oid::FLOAT4 => "Vec<f32>",
        oid::FLOAT8 => "Vec<f64>",
        oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME => "Vec<String>",
        oid::BYTEA => "Vec<Vec<u8>>",
        oid::UUID => "Vec<kornak::Uuid>",
        _ if !element.has_binary_output() => "Vec<String>",
        _ => "a Vec of the Rust type of its elements",
    }
}

fn range_hint(subtype: &Type) -> &'static str {
    match subtype.base().oid() {
        oid::INT4 => "kornak::codec::Range<i32>",
        oid::INT8 => "kornak::codec::Range<i64>",
        oid::NUMERIC => "kornak::codec::Range<kornak::Numeric>",
        oid::DATE => "kornak::codec::Range<kornak::Date>",
        oid::TIMESTAMP => "kornak::codec::Range<kornak::Timestamp>",
        oid::TIMESTAMPTZ => "kornak::codec::Range<kornak::TimestampTz>",
        _ => "a kornak::codec::Range of the Rust type of its bounds",
    }
}

fn multirange_hint(subtype: &Type) -> &'static str {
    match subtype.base().oid() {
        oid::INT4 => "kornak::codec::Multirange<i32>",
        oid::INT8 => "kornak::codec::Multirange<i64>",
        oid::NUMERIC => "kornak::codec::Multirange<kornak::Numeric>",
        oid::DATE => "kornak::codec::Multirange<kornak::Date>",
        oid::TIMESTAMP => "kornak::codec::Multirange<kornak::Timestamp>",
        oid::TIMESTAMPTZ => "kornak::codec::Multirange<kornak::TimestampTz>",
        _ => "a kornak::codec::Multirange of the Rust type of its bounds",
    }
}

fn advice(ty: &Type) -> String {
    format!("the Rust type for {ty} is {}", type_hint(ty))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn rust_names_have_no_paths() {
        assert_eq!(rust_name::<i32>(), "i32");
        assert_eq!(rust_name::<Option<Vec<String>>>(), "Option<Vec<String>>");
        assert_eq!(
            rust_name::<HashMap<&str, [std::sync::Arc<str>; 3]>>(),
            "HashMap<&str, [Arc<str>; 3]>"
        );
    }

    #[test]
    fn errors_name_both_types_and_advise() {
        assert_eq!(
            wrong_encode_type::<Vec<String>>(&Type::INT4).to_string(),
            "can't write a Rust Vec<String> as PostgreSQL int4: the types don't match\n\
             HINT: the Rust type for int4 is i32"
        );
        assert_eq!(
            wrong_decode_type::<i32>(&Type::INT8_ARRAY).to_string(),
            "can't read PostgreSQL int8[] into a Rust i32: the types don't match\n\
             HINT: the Rust type for int8[] is Vec<i64>"
        );
    }
}
