//! Arrays as they are written: a header with the dimensions, then each element with its length
//! (`array_recv` in `arrayfuncs.c`).
//!
//! The shape of nested lists is known when their elements are written, so the header's lengths go
//! in last. Lower bounds are 1; [`Array`](super::Array) has its own.
//!
//! Where the elements have no binary form, the array goes as text, and its elements are what can
//! be written as such.

use super::array::MAX_DIMENSIONS;
use super::text_array::quote;
use super::{DeclaredType, Encode, IsNull, ParamWriter};
use super::{check, wrong_encode_type};
use crate::buffer::{Mark, checked_length};
use crate::error::EncodeError;
use crate::types::{Format, Kind, Type, array_oid, oid};

/// How far behind the flags of an array's header the lengths of its dimensions begin.
const COUNTS: usize = 8;

/// Where an array's elements are written, with the shape that they turn out to have.
#[derive(Debug)]
pub struct ArrayWriter<'w, 'a, 't> {
    out: &'w mut ParamWriter<'a>,
    /// The element type, looked through domains.
    ty: &'t Type,
    /// The dimension that is being written, the outer one being 0.
    level: usize,
    /// The counts of the dimensions whose first row is written.
    counts: [Option<usize>; MAX_DIMENSIONS],
    has_null: bool,
}

impl<'w, 'a, 't> ArrayWriter<'w, 'a, 't> {
    /// Writes the elements of an array whose dimensions are written already.
    pub(super) fn flat(ty: &'t Type, out: &'w mut ParamWriter<'a>) -> Self {
        Self {
            out,
            ty,
            level: 0,
            counts: [None; MAX_DIMENSIONS],
            has_null: false,
        }
    }

    /// Whether one of the elements was NULL.
    pub(super) fn has_null(&self) -> bool {
        self.has_null
    }

    /// Writes one element with its length.
    #[inline]
    pub(super) fn element<T: Encode + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        if self.out.format() == Format::Text {
            return self.text_element(value);
        }
        if let Some(is_null) = self.out.put_short(self.ty, value) {
            self.has_null |= is_null == IsNull::Yes;
            return Ok(());
        }
        let length = self.out.begin_part();
        match value.encode(self.ty, self.out)? {
            IsNull::No => self.out.end_part(length),
            IsNull::Yes => {
                self.out.end_null_part(length);
                self.has_null = true;
                Ok(())
            }
        }
    }

    /// Writes one element in text form.
    #[cold]
    fn text_element<T: Encode + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        let start = self.out.mark();
        match value.encode(self.ty, self.out)? {
            IsNull::No => {
                let quoted = quote(self.out.since(start));
                self.out.truncate(start);
                self.out.put_slice(&quoted);
            }
            IsNull::Yes => {
                self.out.truncate(start);
                self.out.put_slice(b"NULL");
            }
        }
        Ok(())
    }

    /// Writes the elements of one row, or its rows.
    #[inline]
    pub(super) fn row<T: Encode>(&mut self, values: &[T]) -> Result<(), EncodeError> {
        match self.counts[self.level] {
            None => self.counts[self.level] = Some(values.len()),
            Some(count) if count == values.len() => {}
            Some(count) => return Err(ragged(count, values.len())),
        }
        let is_text = self.out.format() == Format::Text;
        self.level += 1;
        for (index, value) in values.iter().enumerate() {
            if is_text {
                let between = self.ty.delimiter();
                self.out.put_u8(if index == 0 { b'{' } else { between });
            }
            value
                .encode_element(self)
                .map_err(|error| error.at(format_args!("element {index}")))?;
        }
        self.level -= 1;
        if is_text {
            self.out.put_u8(b'}');
        }
        Ok(())
    }
}

impl<T: Encode> Encode for [T] {
    const DECLARED: DeclaredType = declared_array::<T>();
    const DIMENSIONS: usize = T::DIMENSIONS + 1;

    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        let Kind::Array(element) = ty.kind() else {
            return Err(wrong_encode_type::<Self>(ty));
        };
        let dimensions = Self::DIMENSIONS;
        if dimensions > MAX_DIMENSIONS {
            return Err(wrong_encode_type::<Self>(ty));
        }
        let start = out.mark();
        let is_text = out.format() == Format::Text;
        // The lengths are known when the elements are written. A text doesn't begin with them.
        let flags = match is_text {
            true => start,
            false => put_header(ty, element, (0..dimensions).map(|_| (0, 1)), out)?,
        };
        let mut array = ArrayWriter::flat(element.base(), out);
        array.row(self)?;
        let ArrayWriter {
            counts: written,
            has_null,
            ..
        } = array;
        let written = &written[..dimensions];
        if written.iter().any(|count| count.unwrap_or(0) == 0) {
            out.truncate(start);
            match is_text {
                true => out.put_slice(b"{}"),
                false => {
                    put_header(ty, element, std::iter::empty(), out)?;
                }
            }
            return Ok(IsNull::No);
        }
        if is_text {
            return Ok(IsNull::No);
        }
        out.patch_i32(flags, 0, i32::from(has_null));
        for (index, count) in written.iter().enumerate() {
            let count = checked_length(count.unwrap_or(0)).map_err(check::too_long)?;
            out.patch_i32(flags, COUNTS + index * 8, count);
        }
        Ok(IsNull::No)
    }

    #[inline]
    fn encode_element(&self, array: &mut ArrayWriter<'_, '_, '_>) -> Result<(), EncodeError> {
        array.row(self)
    }
}

macro_rules! encode_as_slice {
    ($($container:ty $(, const $n:ident)?;)*) => {
        $(
            impl<T: Encode $(, const $n: usize)?> Encode for $container {
                const DECLARED: DeclaredType = <[T]>::DECLARED;
                const DIMENSIONS: usize = <[T]>::DIMENSIONS;

                #[inline]
                fn encode(
                    &self,
                    ty: &Type,
                    out: &mut ParamWriter<'_>,
                ) -> Result<IsNull, EncodeError> {
                    self.as_slice().encode(ty, out)
                }

                #[inline]
                fn encode_element(
                    &self,
                    array: &mut ArrayWriter<'_, '_, '_>,
                ) -> Result<(), EncodeError> {
                    array.row(self)
                }
            }
        )*
    };
}

encode_as_slice! { Vec<T>; [T; N], const N; }

/// Writes what stands in front of an array's elements: `shape` has the length and lower bound
/// of each dimension, none for an empty array. Returns the place of the flags, which tell
/// whether an element is NULL.
pub(super) fn put_header(
    ty: &Type,
    element: &Type,
    shape: impl Iterator<Item = (usize, i32)>,
    out: &mut ParamWriter<'_>,
) -> Result<Mark, EncodeError> {
    let start = out.mark();
    out.put_i32(0);
    let flags = out.mark();
    out.put_i32(0);
    out.put_u32(element.oid());
    // These two have a lower bound of 0 and a dimension even when they are empty.
    let is_vector = matches!(ty.oid(), oid::INT2VECTOR | oid::OIDVECTOR);
    let mut dimensions = 0;
    for (length, lower_bound) in shape {
        out.put_i32(checked_length(length).map_err(check::too_long)?);
        out.put_i32(if is_vector { 0 } else { lower_bound });
        dimensions += 1;
    }
    if is_vector && dimensions == 0 {
        out.put_i32(0);
        out.put_i32(0);
        dimensions = 1;
    }
    out.patch_i32(start, 0, dimensions);
    Ok(flags)
}

/// What an array of `T` declares: the array type over what `T` declares by OID.
pub(super) const fn declared_array<T: Encode>() -> DeclaredType {
    match T::DECLARED {
        // A dimension more doesn't change the type.
        declared if T::DIMENSIONS > 0 => declared,
        DeclaredType::Oid(element) => match array_oid(element) {
            Some(array) => DeclaredType::Oid(array),
            None => DeclaredType::Described,
        },
        // The text form of an array would pass as a plain string where one is wanted.
        DeclaredType::Text | DeclaredType::Described => DeclaredType::Described,
    }
}

#[cold]
fn ragged(first: usize, other: usize) -> EncodeError {
    EncodeError::new(format!(
        "a row of {other} elements follows one of {first}; an array's rows are equally long"
    ))
}
