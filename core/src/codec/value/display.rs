//! How any value is printed: as the type's output function does (`array_out` in
//! `arrayfuncs.c`, `record_out` in `rowtypes.c`, `charout` in `char.c`).

use std::fmt::{self, Write as _};

use super::{Opaque, Record, Value};
use crate::codec::Array;
use crate::codec::float_text::FloatText;
use crate::codec::quote::{is_space, write_quoted};
use crate::types::{Format, Type};

impl fmt::Display for Value {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value: &dyn fmt::Display = match self {
            Self::Null => return f.write_str("NULL"),
            Self::Bool(value) => return f.write_str(if *value { "t" } else { "f" }),
            Self::Char(value) => return write_char(*value, f),
            Self::Int2(value) => value,
            Self::Int4(value) => value,
            Self::Int8(value) => value,
            Self::Oid(value) => value,
            Self::Xid8(value) => value,
            Self::Float4(value) => return write!(f, "{}", FloatText(*value)),
            Self::Float8(value) => return write!(f, "{}", FloatText(*value)),
            Self::Numeric(value) => value,
            Self::Money(value) => value,
            Self::Text(value) | Self::Enum(value) => return f.write_str(value),
            Self::Bytea(value) => return write_hex(value, f),
            Self::Json(value) => return f.write_str(&value.0),
            Self::Uuid(value) => value,
            Self::Date(value) => value,
            Self::Time(value) => value,
            Self::TimeTz(value) => value,
            Self::Timestamp(value) => value,
            Self::TimestampTz(value) => value,
            Self::Interval(value) => value,
            Self::BitString(value) => value,
            Self::Inet(value) => value,
            Self::Cidr(value) => value,
            Self::MacAddr(value) => value,
            Self::MacAddr8(value) => value,
            Self::Point(value) => value,
            Self::Line(value) => value,
            Self::LineSegment(value) => value,
            Self::Rectangle(value) => value,
            Self::Path(value) => value,
            Self::Polygon(value) => value,
            Self::Circle(value) => value,
            Self::TsVector(value) => value,
            Self::TsQuery(value) => value,
            Self::Lsn(value) => value,
            Self::Tid(value) => value,
            Self::Snapshot(value) => value,
            Self::Int2Vector(values) => return write_vector(values, f),
            Self::OidVector(values) => return write_vector(values, f),
            Self::Hstore(value) => value,
            Self::Cube(value) => value,
            Self::Vector(value) => value,
            Self::HalfVector(value) => value,
            Self::SparseVector(value) => value,
            Self::Void => return Ok(()),
            Self::Array(element, value) => return write_array(element, value, f),
            Self::Record(value) => value,
            Self::Range(value) => value,
            Self::Multirange(value) => value,
            Self::Opaque(value) => value,
        };
        write!(f, "{value}")
    }
}

/// As the server prints it.
impl fmt::Display for Record {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('(')?;
        for (index, field) in self.fields().iter().enumerate() {
            if index > 0 {
                f.write_char(',')?;
            }
            if !field.value().is_null() {
                write_quoted(f, &field.value().to_string(), |character| {
                    matches!(character, '"' | '\\' | '(' | ')' | ',') || is_space(character)
                })?;
            }
        }
        f.write_char(')')
    }
}

/// Text as it is, all else in hexadecimal.
impl fmt::Display for Opaque {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.format() {
            Format::Text => f.write_str(&String::from_utf8_lossy(self.bytes())),
            Format::Binary => write_hex(self.bytes(), f),
        }
    }
}

#[inline]
fn write_array(element: &Type, array: &Array<Value>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let delimiter = char::from(element.delimiter());
    let dimensions = array.dimensions();
    if dimensions.is_empty() {
        return f.write_str("{}");
    }
    if dimensions.iter().any(|one| one.lower_bound() != 1) {
        for one in dimensions {
            write!(f, "[{}:{}]", one.lower_bound(), one.upper_bound())?;
        }
        f.write_char('=')?;
    }
    let ends_row = |index: usize| {
        // How many dimensions' rows begin, or end, at this element.
        let mut size = 1;
        let mut rows = 0;
        for one in dimensions.iter().rev() {
            size *= one.length();
            if index % size != 0 {
                break;
            }
            rows += 1;
        }
        rows
    };
    for (index, value) in array.iter().enumerate() {
        if index > 0 {
            f.write_char(delimiter)?;
        }
        for _ in 0..ends_row(index) {
            f.write_char('{')?;
        }
        match value {
            Value::Null => f.write_str("NULL")?,
            value => write_element(&value.to_string(), delimiter, f)?,
        }
        for _ in 0..ends_row(index + 1) {
            f.write_char('}')?;
        }
    }
    Ok(())
}

/// Prints an element: in quotes if it is empty, looks like NULL, or has a special character;
/// quotes and backslashes have a backslash in front.
#[inline]
fn write_element(text: &str, delimiter: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let is_special = |character| {
        matches!(character, '"' | '\\' | '{' | '}') || character == delimiter || is_space(character)
    };
    if !text.is_empty() && !text.eq_ignore_ascii_case("null") && !text.contains(is_special) {
        return f.write_str(text);
    }
    f.write_char('"')?;
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(character)?;
    }
    f.write_char('"')
}

fn write_vector<T: fmt::Display>(values: &[T], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, value) in values.iter().enumerate() {
        let space = if index == 0 { "" } else { " " };
        write!(f, "{space}{value}")?;
    }
    Ok(())
}

#[inline]
fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\\x")?;
    for byte in bytes {
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

/// A byte of 0 is the empty string; one that is no ASCII has its octal digits.
#[inline]
fn write_char(value: i8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value as u8 {
        0 => Ok(()),
        byte @ 128.. => write!(f, "\\{byte:03o}"),
        byte => f.write_char(char::from(byte)),
    }
}
