//! Arrays as they are read: a header with the dimensions, then each element with its length
//! (`array_send` in `arrayfuncs.c`).
//!
//! `Vec<T>` and its like have one dimension, `Vec<Vec<T>>` has two. Lower bounds are dropped;
//! [`Array`](super::Array) keeps them.
//!
//! Where the elements have no binary form, the array comes as text, and its elements are what can
//! be read from text.

use std::sync::Arc;

use super::text_array::{TextElement, unescape};
use super::{Decode, RawValue, Reader};
use super::{check, rust_name};
use crate::error::DecodeError;
use crate::types::{Format, Kind, Type};

/// How many dimensions the server's arrays can have, `MAXDIM` in `array.h`.
pub const MAX_DIMENSIONS: usize = 6;

/// The fewest bytes that an element takes: the length of a NULL.
const SMALLEST_ELEMENT: usize = 4;

/// What stands in front of an array's elements.
pub(super) struct ArrayHeader {
    /// How many of `counts` and `lower_bounds` are in use. 0 for an empty array.
    pub(super) dimensions: usize,
    pub(super) counts: [usize; MAX_DIMENSIONS],
    pub(super) lower_bounds: [i32; MAX_DIMENSIONS],
    pub(super) element_oid: u32,
    /// How many elements follow; they fit in the value.
    pub(super) total: usize,
}

impl ArrayHeader {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let dimensions = reader.u32()? as usize;
        let has_null = reader.u32()?;
        let element_oid = reader.u32()?;
        if dimensions > MAX_DIMENSIONS || has_null > 1 {
            return Err(malformed());
        }
        let mut this = Self {
            dimensions,
            counts: [0; MAX_DIMENSIONS],
            lower_bounds: [1; MAX_DIMENSIONS],
            element_oid,
            total: 0,
        };
        let mut total = usize::from(dimensions > 0);
        for index in 0..dimensions {
            let count = reader.u32()? as usize;
            this.counts[index] = count;
            this.lower_bounds[index] = reader.i32()?;
            total = total.checked_mul(count).ok_or_else(malformed)?;
        }
        if total > reader.remaining() / SMALLEST_ELEMENT {
            return Err(malformed());
        }
        if total == 0 {
            this.dimensions = 0;
        }
        this.total = total;
        Ok(this)
    }

    /// The header of an array in either form, and a reader before its first element.
    pub(super) fn of<'r>(
        value: RawValue<'r, '_>,
        element: &Type,
    ) -> Result<(Self, Reader<'r>), DecodeError> {
        if value.format() == Format::Text {
            return Self::read_text(value.bytes(), element);
        }
        let mut reader = value.reader();
        let header = Self::read(&mut reader)?;
        if header.dimensions == 0 {
            reader.finish()?;
        }
        Ok((header, reader))
    }

    /// The length and lower bound of each dimension.
    pub(super) fn shape(&self) -> impl Iterator<Item = (usize, i32)> {
        let counts = self.counts.iter().copied();
        counts.zip(self.lower_bounds).take(self.dimensions)
    }
}

/// The elements that one row of an array's last dimensions still has.
#[derive(Debug)]
pub struct ArrayElements<'r, 't> {
    reader: Reader<'r>,
    /// The element type, looked through domains.
    ty: &'t Type,
    /// The counts of the row's dimensions, the outer one first; never empty.
    counts: &'t [usize],
    format: Format,
}

impl<'r, 't> ArrayElements<'r, 't> {
    /// All elements of an array, whatever its dimensions: `count` of them.
    pub(super) fn flat(reader: Reader<'r>, ty: &'t Type, count: &'t [usize; 1]) -> Self {
        Self {
            reader,
            ty,
            counts: count,
            format: Format::Binary,
        }
    }

    /// The same elements in text form.
    pub(super) fn in_text(self) -> Self {
        Self {
            format: Format::Text,
            ..self
        }
    }

    /// The type of the elements.
    pub(super) fn ty(&self) -> &'t Type {
        self.ty
    }

    /// Reads the elements of a row one by one, each by `read`, which gets no bytes for NULL.
    pub(super) fn decode_with<T>(
        &mut self,
        read: impl Fn(Option<&'r [u8]>, &'t Type) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let mut values = Vec::new();
        let count = self.counts[0];
        for index in 0..count {
            self.reader.make_room(&mut values, count - index);
            let value = read(self.reader.value()?, self.ty);
            values.push(value.map_err(|error| at_element(error, index))?);
        }
        Ok(values)
    }

    /// Nothing must follow the elements that were read.
    pub(super) fn finish(&self) -> Result<(), DecodeError> {
        match self.format {
            Format::Binary => self.reader.finish(),
            Format::Text => TextElement::finish(&self.reader),
        }
    }

    /// Reads the elements of a row one by one.
    pub(super) fn decode_each<T: Decode<'r>>(&mut self) -> Result<Vec<T>, DecodeError> {
        if self.format == Format::Text {
            return self.decode_texts();
        }
        self.decode_with(|bytes, ty| match bytes {
            Some(bytes) => T::decode(RawValue::new(bytes, ty, Format::Binary)),
            None => T::decode_null(ty),
        })
    }

    /// Reads the elements of a row in text form.
    #[cold]
    fn decode_texts<T: Decode<'r>>(&mut self) -> Result<Vec<T>, DecodeError> {
        // The header was made from the elements: they are all there.
        let count = self.counts[0];
        let delimiter = self.ty.delimiter();
        let mut values = Vec::with_capacity(count);
        for index in 0..count {
            let value = match TextElement::next(&mut self.reader, delimiter)? {
                TextElement::Null => T::decode_null(self.ty),
                TextElement::Plain(text) => T::decode(RawValue::new(text, self.ty, Format::Text)),
                TextElement::Escaped(text) => {
                    unescape(text).and_then(|text| T::decode_text(text, self.ty))
                }
            };
            values.push(value.map_err(|error| at_element(error, index))?);
        }
        Ok(values)
    }

    /// Reads the rows of a row, each by `read`.
    fn decode_rows<T>(
        &mut self,
        read: impl Fn(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let (&count, inner) = self.counts.split_first().ok_or_else(malformed)?;
        let outer = std::mem::replace(&mut self.counts, inner);
        let mut rows = Vec::new();
        for index in 0..count {
            self.reader.make_room(&mut rows, count - index);
            rows.push(read(self)?);
        }
        self.counts = outer;
        Ok(rows)
    }
}

/// Reads a row of elements that all have `N` bytes, without looking at them one by one; a
/// NULL or another length sends it the long way round.
#[inline]
pub(super) fn decode_fixed<'r, T: Decode<'r>, const N: usize>(
    elements: &mut ArrayElements<'r, '_>,
    read: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>, DecodeError> {
    let wanted = elements.counts[0].saturating_mul(SMALLEST_ELEMENT + N);
    let mut reader = elements.reader;
    if let Ok(bytes) = reader.bytes(wanted) {
        // Two loops: one gathers the lengths without a branch that could stop it, and they are
        // looked at once; the other reads. An iterator that is collected would become a
        // function of its own, which doesn't know how long a chunk is.
        let wanted_length = (N as u32).to_be();
        let mut mismatch = 0;
        for chunk in bytes.chunks_exact(SMALLEST_ELEMENT + N) {
            let mut length = [0; SMALLEST_ELEMENT];
            length.copy_from_slice(&chunk[..SMALLEST_ELEMENT]);
            mismatch |= u32::from_ne_bytes(length) ^ wanted_length;
        }
        if mismatch == 0 {
            elements.reader = reader;
            let mut values = Vec::with_capacity(elements.counts[0]);
            for chunk in bytes.chunks_exact(SMALLEST_ELEMENT + N) {
                // Never so; but then `push` need not be able to grow.
                if values.len() == values.capacity() {
                    break;
                }
                let mut value = [0; N];
                value.copy_from_slice(&chunk[SMALLEST_ELEMENT..]);
                values.push(read(value));
            }
            return Ok(values);
        }
    }
    elements.decode_each()
}

fn accepts_array<'r, T: Decode<'r>>(ty: &Type) -> bool {
    array_element(ty).is_some_and(T::accepts_element)
}

fn accepts_text_array<'r, T: Decode<'r>>(ty: &Type) -> bool {
    array_element(ty).is_some_and(T::accepts_text_element)
}

/// The type of the elements of arrays of type `ty`, looked through domains.
pub(super) fn array_element(ty: &Type) -> Option<&Type> {
    match ty.kind() {
        Kind::Array(element) => Some(element.base()),
        _ => None,
    }
}

/// Says why an array isn't accepted. Elements with parts of their own know best.
pub(super) fn check_array<'r, T: Decode<'r>, C>(
    ty: &Type,
    is_accepted: bool,
) -> Result<(), DecodeError> {
    match array_element(ty) {
        Some(element)
            if T::DIMENSIONS == 0
                && matches!(element.kind(), Kind::Enum(_) | Kind::Composite(_)) =>
        {
            T::check_type(element).map_err(|error| error.at("element"))
        }
        _ if is_accepted => Ok(()),
        _ => Err(check::wrong_decode_type::<C>(ty)),
    }
}

/// Reads a whole array whose elements are `T`, for the container `C`.
fn decode_array<'r, T: Decode<'r>, C>(value: RawValue<'r, '_>) -> Result<Vec<T>, DecodeError> {
    let Kind::Array(element) = value.ty().kind() else {
        return Err(check::wrong_decode_type::<C>(value.ty()));
    };
    if T::DIMENSIONS == 0 && value.format() == Format::Binary {
        if let Some((count, reader)) = one_dimension(value.bytes(), element.oid()) {
            let mut elements = ArrayElements::flat(reader, element.base(), &count);
            let values = T::decode_elements(&mut elements)?;
            elements.finish()?;
            return Ok(values);
        }
    }
    let (header, reader) = ArrayHeader::of(value, element)?;
    if header.element_oid != element.oid() {
        return Err(wrong_element::<C>(value.ty(), header.element_oid));
    }
    if header.dimensions == 0 {
        return Ok(Vec::new());
    }
    if header.dimensions != T::DIMENSIONS + 1 {
        return Err(wrong_dimensions::<C>(value.ty(), header.dimensions));
    }
    let mut elements = ArrayElements {
        reader,
        ty: element.base(),
        counts: &header.counts[..header.dimensions],
        format: value.format(),
    };
    let values = T::decode_elements(&mut elements)?;
    elements.finish()?;
    Ok(values)
}

/// How many elements an array has, and a reader before the first, if it is as most are: of one
/// dimension, not empty, and with nothing to complain about.
#[inline]
fn one_dimension(bytes: &[u8], element_oid: u32) -> Option<([usize; 1], Reader<'_>)> {
    let (header, rest) = bytes.split_first_chunk::<20>()?;
    let [
        d0,
        d1,
        d2,
        d3,
        f0,
        f1,
        f2,
        f3,
        o0,
        o1,
        o2,
        o3,
        c0,
        c1,
        c2,
        c3,
        ..,
    ] = *header;
    let count = u32::from_be_bytes([c0, c1, c2, c3]) as usize;
    let is_plain = u32::from_be_bytes([d0, d1, d2, d3]) == 1
        && u32::from_be_bytes([f0, f1, f2, f3]) <= 1
        && u32::from_be_bytes([o0, o1, o2, o3]) == element_oid
        && count > 0
        && count <= rest.len() / SMALLEST_ELEMENT;
    is_plain.then(|| ([count], Reader::new(rest)))
}

/// A one-dimensional array. NULL elements need `Vec<Option<T>>`, more dimensions
/// `Vec<Vec<T>>`. Lower bounds are dropped.
impl<'r, T: Decode<'r>> Decode<'r> for Vec<T> {
    const DIMENSIONS: usize = T::DIMENSIONS + 1;

    fn accepts(ty: &Type) -> bool {
        accepts_array::<T>(ty)
    }

    fn accepts_text(ty: &Type) -> bool {
        accepts_text_array::<T>(ty)
    }

    fn check_type(ty: &Type) -> Result<(), DecodeError> {
        check_array::<T, Self>(ty, Self::accepts(ty))
    }

    fn accepts_element(ty: &Type) -> bool {
        T::accepts_element(ty)
    }

    fn accepts_text_element(ty: &Type) -> bool {
        T::accepts_text_element(ty)
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        decode_array::<T, Self>(value)
    }

    fn decode_elements(elements: &mut ArrayElements<'r, '_>) -> Result<Vec<Self>, DecodeError> {
        elements.decode_rows(T::decode_elements)
    }
}

/// An array of exactly `N` elements.
impl<'r, T: Decode<'r>, const N: usize> Decode<'r> for [T; N] {
    const DIMENSIONS: usize = T::DIMENSIONS + 1;

    fn accepts(ty: &Type) -> bool {
        accepts_array::<T>(ty)
    }

    fn accepts_text(ty: &Type) -> bool {
        accepts_text_array::<T>(ty)
    }

    fn check_type(ty: &Type) -> Result<(), DecodeError> {
        check_array::<T, Self>(ty, Self::accepts(ty))
    }

    fn accepts_element(ty: &Type) -> bool {
        T::accepts_element(ty)
    }

    fn accepts_text_element(ty: &Type) -> bool {
        T::accepts_text_element(ty)
    }

    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        exactly(decode_array::<T, Self>(value)?)
    }

    fn decode_elements(elements: &mut ArrayElements<'r, '_>) -> Result<Vec<Self>, DecodeError> {
        elements.decode_rows(|row| exactly(T::decode_elements(row)?))
    }
}

macro_rules! decode_into {
    ($($container:ty)*) => {
        $(
            impl<'r, T: Decode<'r>> Decode<'r> for $container {
                const DIMENSIONS: usize = T::DIMENSIONS + 1;

                fn accepts(ty: &Type) -> bool {
                    accepts_array::<T>(ty)
                }

                fn accepts_text(ty: &Type) -> bool {
                    accepts_text_array::<T>(ty)
                }

                fn check_type(ty: &Type) -> Result<(), DecodeError> {
                    check_array::<T, Self>(ty, Self::accepts(ty))
                }

                fn accepts_element(ty: &Type) -> bool {
                    T::accepts_element(ty)
                }

                fn accepts_text_element(ty: &Type) -> bool {
                    T::accepts_text_element(ty)
                }

                fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
                    decode_array::<T, Self>(value).map(Self::from)
                }

                fn decode_elements(
                    elements: &mut ArrayElements<'r, '_>,
                ) -> Result<Vec<Self>, DecodeError> {
                    elements.decode_rows(|row| T::decode_elements(row).map(Self::from))
                }
            }
        )*
    };
}

decode_into! { Box<[T]> Arc<[T]> }

fn exactly<T, const N: usize>(values: Vec<T>) -> Result<[T; N], DecodeError> {
    values
        .try_into()
        .map_err(|values: Vec<T>| wrong_count(values.len(), N))
}

#[cold]
fn malformed() -> DecodeError {
    DecodeError::new("the array's header doesn't fit its contents")
}

#[cold]
fn at_element(error: DecodeError, index: usize) -> DecodeError {
    let is_null = error.is_null();
    let error = error.at(format_args!("element {index}"));
    if is_null {
        error.with_hint("read the array into a Vec of Options")
    } else {
        error
    }
}

#[cold]
pub(super) fn wrong_element<C>(ty: &Type, oid: u32) -> DecodeError {
    DecodeError::new(format!("the elements have the type with OID {oid}"))
        .with_types(ty, rust_name::<C>())
}

#[cold]
fn wrong_dimensions<C>(ty: &Type, dimensions: usize) -> DecodeError {
    DecodeError::new(format!("the array has {dimensions} dimensions"))
        .with_types(ty, rust_name::<C>())
        .with_hint("a Vec of Vecs has two dimensions, and so on; a kornak::codec::Array has any")
}

#[cold]
fn wrong_count(count: usize, wanted: usize) -> DecodeError {
    DecodeError::new(format!(
        "the array has {count} elements instead of {wanted}"
    ))
}
