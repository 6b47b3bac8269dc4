//! Composite types: a count, then each field with the OID of its type and its length
//! (`record_send` and `record_recv` in `rowtypes.c`).
//!
//! The fields come in the server's order and are known by their names, which are compared in
//! order first: most often the two orders are the same.

use super::custom::{TypeName, wrong_decode, wrong_encode};
use super::{Decode, Encode, IsNull, ParamWriter, RawValue, Reader};
use super::{decode_value, missing_binary_form, rust_name};
use crate::buffer::checked_length;
use crate::error::{DecodeError, EncodeError};
use crate::types::{Field, Format, Kind, Type};

/// The fields that a Rust type is checked against, once for a statement.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct CompositeFields<'t> {
    ty: &'t Type,
    fields: &'t [Field],
}

/// Reads the fields of one value by their names.
#[derive(Debug)]
#[doc(hidden)]
pub struct CompositeReader<'r, 't> {
    fields: &'t [Field],
    /// Stands before the first field.
    start: Reader<'r>,
    /// Stands before the field at `index`.
    reader: Reader<'r>,
    index: usize,
}

impl<'t> CompositeFields<'t> {
    /// The fields of `ty`, for a Rust type that stands for the composite type of this name.
    ///
    /// # Errors
    ///
    /// If `ty` is another type.
    pub fn of<T>(name: TypeName, ty: &'t Type) -> Result<Self, DecodeError> {
        match ty.kind() {
            Kind::Composite(fields) if name.is(ty) => Ok(Self { ty, fields }),
            _ => Err(wrong_decode::<T>(name, ty)),
        }
    }

    /// Checks that `F` reads the field `name`.
    ///
    /// # Errors
    ///
    /// If it doesn't, or there is no such field.
    pub fn check<'r, F: Decode<'r>>(&self, name: &str) -> Result<(), DecodeError> {
        if !self.has(name) {
            return Err(no_such_field(name, self.ty, self.fields));
        }
        self.check_or_default::<F>(name)
    }

    /// Checks that `F` reads the field `name` if there is one.
    ///
    /// # Errors
    ///
    /// If it doesn't.
    pub fn check_or_default<'r, F: Decode<'r>>(&self, name: &str) -> Result<(), DecodeError> {
        match self.fields.iter().find(|field| *field.name == *name) {
            Some(field) => F::check_type(field.ty.base()).map_err(|error| at(error, name)),
            None => Ok(()),
        }
    }

    #[inline]
    fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|field| *field.name == *name)
    }
}

impl<'r, 't> CompositeReader<'r, 't> {
    /// The reader of one value, which is to become a `T`.
    ///
    /// # Errors
    ///
    /// If it isn't a value of a composite type, or has another number of fields.
    #[inline]
    pub fn new<T>(value: RawValue<'r, 't>) -> Result<Self, DecodeError> {
        let Kind::Composite(fields) = value.ty().kind() else {
            return Err(value.error::<T>("it is not of a composite type"));
        };
        let mut reader = value.reader();
        let count = reader.u32()? as usize;
        if count != fields.len() {
            return Err(wrong_count::<T>(value, count, fields.len()));
        }
        Ok(Self {
            fields,
            start: reader,
            reader,
            index: 0,
        })
    }

    /// Reads the field `name`.
    ///
    /// # Errors
    ///
    /// If there is none, or its value can't be read.
    #[inline(always)]
    pub fn read<F: Decode<'r>>(&mut self, name: &str) -> Result<F, DecodeError> {
        match self.find(name)? {
            Some(field) => self.decode(field),
            None => Err(missing(name)),
        }
    }

    /// Reads the field `name`, or `default` where the type has none.
    ///
    /// # Errors
    ///
    /// If its value can't be read.
    #[inline(always)]
    pub fn read_or_default<F: Decode<'r>>(
        &mut self,
        name: &str,
        default: impl FnOnce() -> F,
    ) -> Result<F, DecodeError> {
        match self.find(name)? {
            Some(field) => self.decode(field),
            None => Ok(default()),
        }
    }

    /// Checks what comes behind the field that was read last, up to the end of the value.
    ///
    /// # Errors
    ///
    /// If the value is malformed.
    #[inline]
    pub fn finish(mut self) -> Result<(), DecodeError> {
        while let Some(field) = self.fields.get(self.index) {
            self.take(field)?;
        }
        self.reader.finish()
    }

    /// Goes to the field `name`, if there is one.
    #[inline(always)]
    fn find(&mut self, name: &str) -> Result<Option<&'t Field>, DecodeError> {
        match self.fields.get(self.index) {
            Some(field) if *field.name == *name => Ok(Some(field)),
            _ => self.seek(name),
        }
    }

    #[inline(never)]
    fn seek(&mut self, name: &str) -> Result<Option<&'t Field>, DecodeError> {
        let named = |field: &Field| *field.name == *name;
        let Some(index) = self.fields.iter().position(named) else {
            return Ok(None);
        };
        if index < self.index {
            self.reader = self.start;
            self.index = 0;
        }
        while self.index < index {
            self.take(&self.fields[self.index])?;
        }
        Ok(self.fields.get(index))
    }

    #[inline(always)]
    fn decode<F: Decode<'r>>(&mut self, field: &Field) -> Result<F, DecodeError> {
        let bytes = self.take(field)?;
        decode_value(bytes, field.ty.base(), Format::Binary).map_err(|error| at(error, &field.name))
    }

    /// The bytes of `field`, which is the next one.
    #[inline(always)]
    fn take(&mut self, field: &Field) -> Result<Option<&'r [u8]>, DecodeError> {
        let oid = self.reader.u32()?;
        if oid != field.ty.oid() {
            return Err(wrong_field(field, oid));
        }
        self.index += 1;
        self.reader.value()
    }
}

/// Writes a value of a composite type. `names` are those of the Rust type's fields; `write`
/// writes one of them by its index, as the type that the server has for it.
///
/// # Errors
///
/// If `ty` is another type or doesn't have the same fields, or one can't be written.
#[inline]
#[doc(hidden)]
pub fn encode_composite<T>(
    name: TypeName,
    names: &[&'static str],
    ty: &Type,
    out: &mut ParamWriter<'_>,
    write: impl Fn(usize, &Type, &mut ParamWriter<'_>) -> Result<(), EncodeError>,
) -> Result<IsNull, EncodeError> {
    let fields = match ty.kind() {
        Kind::Composite(fields) if name.is(ty) => fields,
        _ => return Err(wrong_encode::<T>(name, ty)),
    };
    if out.format() == Format::Text {
        return Err(missing_binary_form::<T>(ty));
    }
    if fields.len() != names.len() {
        return Err(other_fields::<T>(names, ty, fields));
    }
    out.put_i32(checked_length(fields.len()).map_err(super::check::too_long)?);
    for (place, field) in fields.iter().enumerate() {
        let index = if *names[place] == *field.name {
            place
        } else {
            // All names differ and there are as many on both sides: whatever the order, each
            // is written once if each is found.
            match names.iter().position(|name| *name == &*field.name) {
                Some(index) => index,
                None => return Err(other_fields::<T>(names, ty, fields)),
            }
        };
        out.put_u32(field.ty.oid());
        write(index, &field.ty, out)
            .map_err(|error| error.at(format_args!("field \"{}\"", field.name.escape_debug())))?;
    }
    Ok(IsNull::No)
}

/// Every [`Encode`] and [`Decode`], for fields of composite types under one message each.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a field of a composite type's value",
    label = "not an `Encode`",
    note = "derive `kornak::Encode` for enums, composites and newtypes of your own"
)]
#[doc(hidden)]
pub trait EncodeField {
    /// Writes the value with its length.
    ///
    /// # Errors
    ///
    /// If it can't be written as a `ty`.
    fn encode_field(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<(), EncodeError>;
}

#[diagnostic::do_not_recommend]
impl<T: Encode> EncodeField for T {
    #[inline]
    fn encode_field(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<(), EncodeError> {
        out.value(ty, self)
    }
}

/// Every [`Decode`], for fields of composite types, under a message that speaks of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be read from a field of a composite type",
    label = "not a `Decode`",
    note = "derive `kornak::Decode` for enums, composites and newtypes of your own"
)]
#[doc(hidden)]
pub trait DecodeField<'r>: Sized {
    /// [`CompositeFields::check`].
    ///
    /// # Errors
    ///
    /// As there.
    fn check(fields: &CompositeFields<'_>, name: &str) -> Result<(), DecodeError>;

    /// [`CompositeFields::check_or_default`].
    ///
    /// # Errors
    ///
    /// As there.
    fn check_or_default(fields: &CompositeFields<'_>, name: &str) -> Result<(), DecodeError>;

    /// [`CompositeReader::read`].
    ///
    /// # Errors
    ///
    /// As there.
    fn read(reader: &mut CompositeReader<'r, '_>, name: &str) -> Result<Self, DecodeError>;

    /// [`CompositeReader::read_or_default`].
    ///
    /// # Errors
    ///
    /// As there.
    fn read_or_default(
        reader: &mut CompositeReader<'r, '_>,
        name: &str,
        default: impl FnOnce() -> Self,
    ) -> Result<Self, DecodeError>;
}

#[diagnostic::do_not_recommend]
impl<'r, T: Decode<'r>> DecodeField<'r> for T {
    fn check(fields: &CompositeFields<'_>, name: &str) -> Result<(), DecodeError> {
        fields.check::<T>(name)
    }

    fn check_or_default(fields: &CompositeFields<'_>, name: &str) -> Result<(), DecodeError> {
        fields.check_or_default::<T>(name)
    }

    #[inline]
    fn read(reader: &mut CompositeReader<'r, '_>, name: &str) -> Result<Self, DecodeError> {
        reader.read(name)
    }

    #[inline]
    fn read_or_default(
        reader: &mut CompositeReader<'r, '_>,
        name: &str,
        default: impl FnOnce() -> Self,
    ) -> Result<Self, DecodeError> {
        reader.read_or_default(name, default)
    }
}

#[cold]
fn at(error: DecodeError, name: &str) -> DecodeError {
    error.at(format_args!("field \"{}\"", name.escape_debug()))
}

#[cold]
fn no_such_field(name: &str, ty: &Type, fields: &[Field]) -> DecodeError {
    DecodeError::new(format!(
        "{ty} has no field \"{}\"; it has {}",
        name.escape_debug(),
        list(fields.iter().map(|field| &*field.name))
    ))
}

#[cold]
fn missing(name: &str) -> DecodeError {
    DecodeError::new(format!("there is no field \"{}\"", name.escape_debug()))
}

#[cold]
pub(super) fn wrong_count<T>(value: RawValue<'_, '_>, count: usize, wanted: usize) -> DecodeError {
    value.error::<T>(format!(
        "it has {count} fields, where the type had {wanted} when it was looked up"
    ))
}

#[cold]
pub(super) fn wrong_field(field: &Field, oid: u32) -> DecodeError {
    at(
        DecodeError::new(format!(
            "it has the type with OID {oid}, where it was {} when the composite type was \
             looked up",
            field.ty
        )),
        &field.name,
    )
}

#[cold]
fn other_fields<T>(names: &[&str], ty: &Type, fields: &[Field]) -> EncodeError {
    let rust = rust_name::<T>();
    let server = || fields.iter().map(|field| &*field.name);
    let lacking = server().find(|name| !names.contains(name));
    let message = match lacking {
        Some(name) => format!(
            "{ty} has a field \"{}\", which {rust} lacks",
            name.escape_debug()
        ),
        None => format!(
            "{ty} has only the fields {}, {rust} has {}",
            list(server()),
            list(names.iter().copied())
        ),
    };
    EncodeError::new(message).with_types(ty, rust)
}

fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names
        .map(|name| format!("\"{}\"", name.escape_debug()))
        .collect::<Vec<_>>()
        .join(", ")
}
