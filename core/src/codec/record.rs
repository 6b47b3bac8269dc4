//! Records: the fields of composite types and of anonymous records by their position, as
//! tuples (`record_send` and `record_recv` in `rowtypes.c`).
//!
//! An anonymous record (`row(1, 'a')`) names the types of its fields by OID in each value;
//! those that aren't built in can't be looked up while a row is read. The server sends
//! such records, but takes none.

use std::borrow::Cow;
use std::slice;
use std::sync::Arc;

use super::composite::{wrong_count, wrong_field};
use super::{Decode, Encode, IsNull, ParamWriter, RawValue, Reader};
use super::{decode_value, missing_binary_form, wrong_decode_type, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Field, Format, Kind, Type, oid};

/// The fewest bytes that a field takes: its type and the length of a NULL.
const SMALLEST_FIELD: usize = 8;

/// Reads the fields of a value of a composite type or of an anonymous record, in order.
pub(super) struct FieldReader<'r, 't> {
    reader: Reader<'r>,
    /// The fields of a composite type that are left.
    known: Option<slice::Iter<'t, Field>>,
    count: usize,
    /// How many have been read.
    index: usize,
}

/// A field on its way in.
pub(super) struct RawField<'r, 't> {
    pub(super) name: Option<&'t Arc<str>>,
    pub(super) ty: Cow<'t, Type>,
    pub(super) bytes: Option<&'r [u8]>,
}

impl<'r, 't> FieldReader<'r, 't> {
    /// Begins with the fields of `value`, for the Rust type `T`.
    pub(super) fn new<T>(value: RawValue<'r, 't>) -> Result<Self, DecodeError> {
        let mut reader = value.reader();
        let count = reader.count(SMALLEST_FIELD)?;
        let known = match value.ty().kind() {
            Kind::Composite(fields) if fields.len() == count => Some(fields.iter()),
            Kind::Composite(fields) => return Err(wrong_count::<T>(value, count, fields.len())),
            _ if value.ty().oid() == oid::RECORD => None,
            _ => return Err(wrong_decode_type::<T>(value.ty())),
        };
        Ok(Self {
            reader,
            known,
            count,
            index: 0,
        })
    }

    /// How many fields the value has.
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Makes room for the next field.
    pub(super) fn make_room<T>(&self, fields: &mut Vec<T>) {
        self.reader.make_room(fields, self.count - self.index);
    }

    /// The next field.
    #[inline]
    pub(super) fn next(&mut self) -> Result<RawField<'r, 't>, DecodeError> {
        let oid = self.reader.u32()?;
        self.index += 1;
        let known = self.known.as_mut().and_then(Iterator::next);
        let ty = match known {
            Some(field) if field.ty.oid() == oid => Cow::Borrowed(&field.ty),
            Some(field) => return Err(wrong_field(field, oid)),
            None => Cow::Owned(Type::from_oid(oid).unwrap_or_else(|| Type::unknown(oid))),
        };
        Ok(RawField {
            name: known.map(|field| &field.name),
            ty,
            bytes: self.reader.value()?,
        })
    }

    /// Nothing must follow the last field.
    #[inline]
    pub(super) fn finish(&self) -> Result<(), DecodeError> {
        self.reader.finish()
    }

    /// Reads the next field into an `F`.
    fn read<F: Decode<'r>>(&mut self) -> Result<F, DecodeError> {
        let field = self.next()?;
        let ty = field.ty.base();
        let value = match field.name {
            Some(_) => Ok(()),
            // The fields of a composite type have been checked with it.
            None => F::check_type(ty),
        }
        .and_then(|()| decode_value(field.bytes, ty, Format::Binary));
        value.map_err(|error| at_field(error, &field, self.index))
    }
}

/// Names the field in which an error lies: the one at `place`, from 1.
#[cold]
pub(super) fn at_field(error: DecodeError, field: &RawField<'_, '_>, place: usize) -> DecodeError {
    match field.name {
        Some(name) => error.at(format_args!("field \"{}\"", name.escape_debug())),
        None if Type::from_oid(field.ty.oid()).is_none() => {
            error.at(format_args!("field {place}")).with_hint(
                "an anonymous record tells no more of a type than its OID; cast the record to \
                 a composite type, or the field to a built-in type",
            )
        }
        None => error.at(format_args!("field {place}")),
    }
}

#[cold]
fn wrong_width<T>(ty: &Type, fields: usize, wanted: usize) -> DecodeError {
    DecodeError::new(format!("it has {fields} fields instead of {wanted}"))
        .with_types(ty, super::rust_name::<T>())
}

macro_rules! tuples {
    ($(($count:literal: $($name:ident $index:tt)+))*) => {$(
        /// The fields of a composite type or of an anonymous record, by their position.
        impl<'r, $($name: Decode<'r>),+> Decode<'r> for ($($name,)+) {
            fn accepts(ty: &Type) -> bool {
                match ty.kind() {
                    Kind::Composite(fields) => match fields.as_slice() {
                        [$($name),+] => true $(&& <$name as Decode<'r>>::accepts($name.ty.base()))+,
                        _ => false,
                    },
                    _ => ty.oid() == oid::RECORD,
                }
            }

            fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
                let mut fields = FieldReader::new::<Self>(value)?;
                if fields.count() != $count {
                    return Err(wrong_width::<Self>(value.ty(), fields.count(), $count));
                }
                let values = ($(fields.read::<$name>()?,)+);
                fields.finish()?;
                Ok(values)
            }
        }

        /// A value of a composite type with as many fields, by their position.
        impl<$($name: Encode),+> Encode for ($($name,)+) {
            fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
                let fields = begin_record::<Self>($count, ty, out)?;
                $(write_field(&fields[$index], &self.$index, out)?;)+
                Ok(IsNull::No)
            }
        }
    )*};
}

#[allow(
    non_snake_case,
    reason = "a type parameter's name also names its field"
)]
mod tuples {
    use super::*;

    tuples! {
        (1: A 0)
        (2: A 0 B 1)
        (3: A 0 B 1 C 2)
        (4: A 0 B 1 C 2 D 3)
        (5: A 0 B 1 C 2 D 3 E 4)
        (6: A 0 B 1 C 2 D 3 E 4 F 5)
        (7: A 0 B 1 C 2 D 3 E 4 F 5 G 6)
        (8: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7)
        (9: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8)
        (10: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9)
        (11: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10)
        (12: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11)
        (13: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12)
        (14: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13)
        (15: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13 O 14)
        (16: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13 O 14 P 15)
    }
}

/// Writes what stands in front of the fields of a value of a composite type, and returns
/// them: `count` fields of the Rust type `T`.
pub(super) fn begin_record<'t, T>(
    count: usize,
    ty: &'t Type,
    out: &mut ParamWriter<'_>,
) -> Result<&'t [Field], EncodeError> {
    let Kind::Composite(fields) = ty.kind() else {
        return Err(wrong_encode_type::<T>(ty));
    };
    if out.format() == Format::Text {
        return Err(missing_binary_form::<T>(ty));
    }
    if fields.len() != count {
        return Err(EncodeError::new(format!(
            "the type has {} fields, the value {count}",
            fields.len()
        ))
        .with_types(ty, super::rust_name::<T>()));
    }
    out.put_count::<T>(count, ty)?;
    Ok(fields)
}

/// Writes one field with its type.
pub(super) fn write_field<F: Encode + ?Sized>(
    field: &Field,
    value: &F,
    out: &mut ParamWriter<'_>,
) -> Result<(), EncodeError> {
    out.put_u32(field.ty.oid());
    out.value(&field.ty, value)
        .map_err(|error| error.at(format_args!("field \"{}\"", field.name.escape_debug())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::{check, reads, refuses_to_read, refuses_to_write};

    /// `create type pair as (n int4, word text)`.
    fn pair() -> Type {
        let field = |name: &str, ty| Field {
            name: name.into(),
            ty,
        };
        let fields = vec![field("n", Type::INT4), field("word", Type::TEXT)];
        Type::custom(70000, "public", "pair", Kind::Composite(fields), true, true).unwrap()
    }

    const PAIR: &str = "00000002000000170000000400000007000000190000000161";
    const WITH_NULL: &str = "000000020000001700000004000000070000001\
                             9ffffffff";

    #[test]
    fn r60_tuples_are_records() {
        check(&pair(), (7, "a".to_owned()), PAIR);
        check(&pair(), (Some(7), None::<String>), WITH_NULL);
        reads(&Type::RECORD, PAIR, (7_i64, "a".to_owned()));
        reads(&Type::RECORD, WITH_NULL, (7, None::<String>));
        refuses_to_read::<(i32, String)>(&pair(), WITH_NULL, "field \"word\"");
        refuses_to_read::<(i32, String)>(&Type::RECORD, WITH_NULL, "field 2");
        refuses_to_read::<(i32, bool)>(&Type::RECORD, PAIR, "field 2");
        refuses_to_read::<(i32,)>(&Type::RECORD, PAIR, "2 fields instead of 1");
        refuses_to_write(&pair(), &(7,), "has 2 fields, the value 1");
        refuses_to_write(&pair(), &(7, 8), "field \"word\"");
        refuses_to_write(&Type::RECORD, &(7, "a"), "the types don't match");
        assert!(!<(i32, bool)>::accepts(&pair()));
        assert!(!<(i32,)>::accepts(&pair()));
    }

    #[test]
    fn anonymous_records_nest() {
        let nested = format!("00000001000008c9{:08x}{PAIR}", PAIR.len() / 2);
        reads(&Type::RECORD, &nested, ((7, "a".to_owned()),));
        let array = format!(
            "0000000100000000000008c90000000100000001{:08x}{PAIR}",
            PAIR.len() / 2
        );
        reads(&Type::RECORD_ARRAY, &array, vec![(7, "a".to_owned())]);
        // A type that isn't built in.
        let custom = PAIR.replace("00000019", "00011170");
        refuses_to_read::<(i32, String)>(&Type::RECORD, &custom, "cast the record");
    }

    #[test]
    fn s25_records_that_lie() {
        for (hex, message) in [
            ("", "ends early"),
            ("00000002", "parts"),
            ("7fffffff0000001700000004", "parts"),
            ("ffffffff", "parts"),
            ("000000010000001700000004000000", "ends early"),
            ("0000000100000017fffffffe", "length -2"),
            ("0000000100000017000000040000000700", "1 bytes follow"),
        ] {
            refuses_to_read::<(i32,)>(&Type::RECORD, hex, message);
        }
        let other = PAIR.replace("00000017", "00000014");
        refuses_to_read::<(i32, String)>(&pair(), &other, "OID 20");
    }
}
