//! [`Array`]: an array with the shape that the server gives it, up to six dimensions of any
//! lower bound (`array_send` and `array_recv` in `arrayfuncs.c`).

use std::fmt;
use std::slice;

use super::array::{ArrayElements, ArrayHeader, array_element, check_array, wrong_element};
use super::array_writer::{declared_array, put_header};
use super::{ArrayWriter, DeclaredType, Decode, Encode, IsNull, ParamWriter, RawValue};
use super::{MAX_DIMENSIONS, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Format, Kind, Type};

/// An array of any number of dimensions, with their lower bounds.
///
/// `Vec<T>` and `Vec<Vec<T>>` are simpler where the number of dimensions is known and all
/// subscripts begin at 1. An array whose elements may be NULL is an `Array<Option<T>>`.
///
/// # Example
///
/// ```
/// use kornak::codec::{Array, Dimension};
///
/// // '[0:1][1:3]={{1,2,3},{4,5,6}}'
/// let dimensions = [Dimension::new(2).starting_at(0), Dimension::new(3)];
/// let array = Array::new(dimensions, vec![1, 2, 3, 4, 5, 6])?;
/// assert_eq!(array.get(&[1, 3]), Some(&6));
/// assert_eq!(array.get(&[2, 3]), None);
///
/// let flat = Array::from(vec!["a", "b"]);
/// assert_eq!(flat.get(&[1]), Some(&"a"));
/// assert_eq!(flat.into_elements(), ["a", "b"]);
/// # Ok::<(), kornak::codec::ArrayShapeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Array<T> {
    /// Invariant: at most [`MAX_DIMENSIONS`]; the product of their lengths is the number of
    /// elements; none at all if there are no elements.
    dimensions: Box<[Dimension]>,
    elements: Vec<T>,
}

/// One dimension of an [`Array`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dimension {
    length: usize,
    lower_bound: i32,
}

/// Elements can't be arranged in the dimensions that were given for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArrayShapeError {
    /// There are more than [`MAX_DIMENSIONS`].
    TooManyDimensions,
    /// The lengths' product is not the number of elements.
    WrongCount,
    /// The last subscript of a dimension is no 32-bit number any more.
    SubscriptOverflow,
}

impl Dimension {
    /// A dimension whose subscripts begin at 1.
    #[inline]
    pub const fn new(length: usize) -> Self {
        Self {
            length,
            lower_bound: 1,
        }
    }

    /// The same dimension with other subscripts.
    #[must_use]
    #[inline]
    pub const fn starting_at(self, lower_bound: i32) -> Self {
        Self {
            lower_bound,
            ..self
        }
    }

    /// How many rows, or elements, it has.
    #[inline]
    pub const fn length(self) -> usize {
        self.length
    }

    /// The first subscript.
    #[inline]
    pub const fn lower_bound(self) -> i32 {
        self.lower_bound
    }

    /// The last subscript; that before the first if there is none.
    #[inline]
    pub const fn upper_bound(self) -> i64 {
        self.lower_bound as i64 + self.length as i64 - 1
    }
}

impl<T> Array<T> {
    /// The elements in the order of their subscripts, the last of which counts fastest. An
    /// array without elements has no dimensions, whatever is given.
    ///
    /// # Errors
    ///
    /// If the elements can't be arranged so.
    pub fn new(
        dimensions: impl Into<Vec<Dimension>>,
        elements: Vec<T>,
    ) -> Result<Self, ArrayShapeError> {
        let dimensions = dimensions.into();
        if dimensions.len() > MAX_DIMENSIONS {
            return Err(ArrayShapeError::TooManyDimensions);
        }
        let count = match dimensions.as_slice() {
            [] => Some(0),
            some => some
                .iter()
                .try_fold(1_usize, |count, one| count.checked_mul(one.length)),
        };
        if count != Some(elements.len()) {
            return Err(ArrayShapeError::WrongCount);
        }
        let overflows = |one: &Dimension| one.upper_bound() > i64::from(i32::MAX);
        if dimensions.iter().any(overflows) {
            return Err(ArrayShapeError::SubscriptOverflow);
        }
        Ok(Self::shaped(dimensions, elements))
    }

    /// The dimensions, the outermost first; none if there are no elements.
    pub fn dimensions(&self) -> &[Dimension] {
        &self.dimensions
    }

    /// The elements in the order of their subscripts.
    pub fn elements(&self) -> &[T] {
        &self.elements
    }

    /// The elements in the order of their subscripts, without their shape.
    pub fn into_elements(self) -> Vec<T> {
        self.elements
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// The element at these subscripts, one for each dimension, as in SQL.
    pub fn get(&self, subscripts: &[i32]) -> Option<&T> {
        if subscripts.len() != self.dimensions.len() || subscripts.is_empty() {
            return None;
        }
        let mut index = 0;
        for (&subscript, dimension) in subscripts.iter().zip(&self.dimensions) {
            let place = i64::from(subscript) - i64::from(dimension.lower_bound);
            let place = usize::try_from(place).ok()?;
            if place >= dimension.length {
                return None;
            }
            index = index * dimension.length + place;
        }
        self.elements.get(index)
    }

    /// The elements in the order of their subscripts.
    pub fn iter(&self) -> slice::Iter<'_, T> {
        self.elements.iter()
    }

    /// An array of the same shape with other elements.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Array<U> {
        Array {
            dimensions: self.dimensions,
            elements: self.elements.into_iter().map(convert).collect(),
        }
    }

    /// The elements that came behind `header`.
    pub(super) fn from_header(header: &ArrayHeader, elements: Vec<T>) -> Self {
        let dimensions = header.shape().map(|(length, lower_bound)| Dimension {
            length,
            lower_bound,
        });
        Self::shaped(dimensions.collect(), elements)
    }

    fn shaped(dimensions: Vec<Dimension>, elements: Vec<T>) -> Self {
        let dimensions = if elements.is_empty() {
            Box::default()
        } else {
            dimensions.into()
        };
        Self {
            dimensions,
            elements,
        }
    }
}

/// No elements.
impl<T> Default for Array<T> {
    fn default() -> Self {
        Self::from(Vec::new())
    }
}

/// One dimension whose subscripts begin at 1.
impl<T> From<Vec<T>> for Array<T> {
    fn from(elements: Vec<T>) -> Self {
        Self::shaped(vec![Dimension::new(elements.len())], elements)
    }
}

impl<T> FromIterator<T> for Array<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        Self::from(Vec::from_iter(elements))
    }
}

impl<'a, T> IntoIterator for &'a Array<T> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ArrayShapeError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyDimensions => {
                write!(f, "an array has at most {MAX_DIMENSIONS} dimensions")
            }
            Self::WrongCount => f.write_str(
                "the product of the lengths of an array's dimensions is the number of its elements",
            ),
            Self::SubscriptOverflow => f.write_str("an array's subscripts are 32-bit numbers"),
        }
    }
}

impl std::error::Error for ArrayShapeError {}

impl<T: Encode> Encode for Array<T> {
    const DECLARED: DeclaredType = match T::DIMENSIONS {
        0 => declared_array::<T>(),
        // The elements are arrays themselves, as those of `int2vector[]`.
        _ => DeclaredType::Described,
    };

    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        match ty.kind() {
            Kind::Array(element) => self.encode_elements(ty, element, out),
            _ => Err(wrong_encode_type::<Self>(ty)),
        }
    }
}

impl<T: Encode> Array<T> {
    /// Writes the array as a `ty`, whose elements are of the type `element`.
    pub(super) fn encode_elements(
        &self,
        ty: &Type,
        element: &Type,
        out: &mut ParamWriter<'_>,
    ) -> Result<IsNull, EncodeError> {
        if out.format() == Format::Text {
            self.encode_text(element, out)?;
            return Ok(IsNull::No);
        }
        let shape = self.dimensions.iter();
        let shape = shape.map(|one| (one.length, one.lower_bound));
        let flags = put_header(ty, element, shape, out)?;
        let mut array = ArrayWriter::flat(element.base(), out);
        for (index, value) in self.elements.iter().enumerate() {
            array
                .element(value)
                .map_err(|error| error.at(format_args!("element {index}")))?;
        }
        if array.has_null() {
            out.patch_i32(flags, 0, 1);
        }
        Ok(IsNull::No)
    }

    /// Writes the text form of the array.
    #[cold]
    fn encode_text(&self, element: &Type, out: &mut ParamWriter<'_>) -> Result<(), EncodeError> {
        if self.dimensions.iter().any(|one| one.lower_bound != 1) {
            for one in &self.dimensions {
                let bounds = format!("[{}:{}]", one.lower_bound, one.upper_bound());
                out.put_slice(bounds.as_bytes());
            }
            out.put_u8(b'=');
        }
        if self.elements.is_empty() {
            out.put_slice(b"{}");
        }
        for (index, value) in self.elements.iter().enumerate() {
            if index > 0 {
                out.put_u8(element.delimiter());
            }
            out.put_slice(&b"{{{{{{"[..self.rows_at(index)]);
            ArrayWriter::flat(element.base(), out)
                .element(value)
                .map_err(|error| error.at(format_args!("element {index}")))?;
            out.put_slice(&b"}}}}}}"[..self.rows_at(index + 1)]);
        }
        Ok(())
    }

    /// How many rows begin with the element at `index`; as many end before it.
    fn rows_at(&self, index: usize) -> usize {
        let mut size = 1;
        let inner = self.dimensions.iter().rev();
        inner
            .take_while(|one| {
                size *= one.length;
                index % size == 0
            })
            .count()
    }
}

impl<'r, T: Decode<'r>> Decode<'r> for Array<T> {
    fn accepts(ty: &Type) -> bool {
        array_element(ty).is_some_and(T::accepts)
    }

    fn accepts_text(ty: &Type) -> bool {
        array_element(ty).is_some_and(T::accepts_text)
    }

    fn check_type(ty: &Type) -> Result<(), DecodeError> {
        check_array::<T, Self>(ty, Self::accepts(ty))
    }

    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let Kind::Array(element) = value.ty().kind() else {
            return Err(super::wrong_decode_type::<Self>(value.ty()));
        };
        let (header, reader) = ArrayHeader::of(value, element)?;
        if header.element_oid != element.oid() {
            return Err(wrong_element::<Self>(value.ty(), header.element_oid));
        }
        let count = [header.total];
        let elements = ArrayElements::flat(reader, element.base(), &count);
        let elements = match value.format() {
            Format::Binary => elements,
            Format::Text => elements.in_text(),
        };
        Self::decode_flat(&header, elements)
    }
}

impl<'r, T: Decode<'r>> Array<T> {
    /// Reads the elements behind `header`, all of them in one row.
    fn decode_flat(
        header: &ArrayHeader,
        mut elements: ArrayElements<'r, '_>,
    ) -> Result<Self, DecodeError> {
        let values = if header.total == 0 {
            Vec::new()
        } else if T::DIMENSIONS == 0 {
            T::decode_elements(&mut elements)?
        } else {
            elements.decode_each()?
        };
        elements.finish()?;
        Ok(Self::from_header(header, values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::{check, reads, refuses_to_read, refuses_to_write, writes};

    #[test]
    fn r60_arrays_keep_their_shape() {
        let bounds = "000000010000000100000017000000020000000000000004\
                      00000001ffffffff";
        let array = Array::new([Dimension::new(2).starting_at(0)], vec![Some(1), None]).unwrap();
        check(&Type::INT4_ARRAY, array, bounds);
        refuses_to_read::<Array<i32>>(&Type::INT4_ARRAY, bounds, "element 1");
        let square = [Dimension::new(2).starting_at(-1), Dimension::new(2)];
        check(
            &Type::INT2_ARRAY,
            Array::new(square, vec![1_i16, 2, 3, 4]).unwrap(),
            "00000002000000000000001500000002ffffffff0000000200000001\
             000000020001000000020002000000020003000000020004",
        );
        let deep = Array::new([Dimension::new(1); 6], vec![7_i16]).unwrap();
        let counts = "0000000100000001".repeat(6);
        let hex = format!("000000060000000000000015{counts}000000020007");
        check(&Type::INT2_ARRAY, deep, &hex);
        check(
            &Type::INT4_ARRAY,
            Array::<i32>::default(),
            "000000000000000000000017",
        );
        // The server makes no array of three rows without elements, but may send one.
        reads(
            &Type::INT4_ARRAY,
            "00000002000000000000001700000003000000010000000000000001",
            Array::<i32>::default(),
        );
    }

    #[test]
    fn vectors_of_the_catalogue_are_elements_too() {
        let array: Array<Vec<i16>> = vec![vec![1, 2], vec![]].into();
        let hex = "00000001000000000000001600000002000000010000002000000001\
                   00000000000000150000000200000000000000020001000000020002\
                   00000014000000010000000000000015000000000000000";
        check(&Type::INT2VECTOR_ARRAY, array, &format!("{hex}0"));
        let nested: Array<Array<i16>> = vec![Array::default()].into();
        writes(
            &Type::INT2VECTOR_ARRAY,
            &nested,
            "00000001000000000000001600000001000000010000001400000001\
             00000000000000150000000000000000",
        );
    }

    #[test]
    fn elements_have_subscripts() {
        let dimensions = [Dimension::new(2).starting_at(-1), Dimension::new(3)];
        let array = Array::new(dimensions, (0..6).collect()).unwrap();
        let found: Vec<i32> = (-1..=0)
            .flat_map(|row| (1..=3).map(move |column| [row, column]))
            .map(|subscripts| *array.get(&subscripts).unwrap())
            .collect();
        assert_eq!(found, [0, 1, 2, 3, 4, 5]);
        for outside in [
            &[-2, 1][..],
            &[1, 1],
            &[0, 0],
            &[0, 4],
            &[0],
            &[],
            &[0, 1, 1],
        ] {
            assert_eq!(array.get(outside), None, "{outside:?}");
        }
        assert_eq!(array.get(&[i32::MIN, i32::MAX]), None);
        assert_eq!(Array::<i32>::default().get(&[]), None);
        assert_eq!(array.clone().map(|one| one * 2).elements()[5], 10);
        assert_eq!(array.iter().sum::<i32>(), 15);
    }

    #[test]
    fn shapes_that_cannot_be_are_refused() {
        use ArrayShapeError::{SubscriptOverflow, TooManyDimensions, WrongCount};
        let shape = |dimensions: &[Dimension], count| {
            Array::new(dimensions, vec![0_i16; count]).map(|array| array.dimensions().len())
        };
        let one = Dimension::new(1);
        assert_eq!(shape(&[], 0), Ok(0));
        assert_eq!(shape(&[], 1), Err(WrongCount));
        assert_eq!(shape(&[one; 6], 1), Ok(6));
        assert_eq!(shape(&[one; 7], 1), Err(TooManyDimensions));
        assert_eq!(shape(&[Dimension::new(2); 3], 8), Ok(3));
        assert_eq!(shape(&[Dimension::new(2); 3], 7), Err(WrongCount));
        assert_eq!(shape(&[one, Dimension::new(0)], 0), Ok(0));
        let huge = Dimension::new(usize::MAX);
        assert_eq!(shape(&[huge, Dimension::new(2)], 0), Err(WrongCount));
        assert_eq!(shape(&[one.starting_at(i32::MAX)], 1), Ok(1));
        let last = Dimension::new(2).starting_at(i32::MAX);
        assert_eq!(shape(&[last], 2), Err(SubscriptOverflow));
        refuses_to_write(&Type::INT4, &Array::from(vec![1]), "the types don't match");
        refuses_to_write(&Type::INT4_ARRAY, &Array::from(vec!["a"]), "element 0");
    }
}
