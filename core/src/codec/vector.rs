//! The types of the extension pgvector: `vector`, `halfvec` and `sparsevec`.
//!
//! Their binary forms are those of its send functions (`vector_send` in `src/vector.c`,
//! `halfvec_send` in `src/halfvec.c`, `sparsevec_send` in `src/sparsevec.c`, from version
//! 0.7 on).

use std::fmt;
use std::str::FromStr;

use super::float_text::FloatText;
use super::quote::is_space;
use super::{Decode, Encode, IsNull, ParamWriter, RawValue, Reader};
use super::{out_of_range, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Extension, Type};

/// A `vector` of pgvector: single-precision numbers.
///
/// # Example
///
/// ```
/// use kornak::codec::Vector;
///
/// let embedding = Vector(vec![1.0, -0.5, 0.25]);
/// assert_eq!(embedding.to_string(), "[1,-0.5,0.25]");
/// assert_eq!("[1, -0.5, 0.25]".parse(), Ok(embedding));
/// ```
#[derive(Clone, Debug, Default, PartialEq, PartialOrd)]
pub struct Vector(pub Vec<f32>);

/// A `halfvec` of pgvector: numbers of 16 bits, in the format binary16 of IEEE 754.
///
/// # Example
///
/// ```
/// use kornak::codec::HalfVector;
///
/// let embedding: HalfVector = [1.0, -0.5, 0.1].into_iter().collect();
/// assert_eq!(embedding.bits(), [0x3c00, 0xb800, 0x2e66]);
/// assert_eq!(embedding.iter().collect::<Vec<f32>>(), [1.0, -0.5, 0.099975586]);
/// assert_eq!(embedding.to_string(), "[1,-0.5,0.099975586]");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HalfVector {
    bits: Vec<u16>,
}

/// A `sparsevec` of pgvector: the elements that are not zero.
///
/// # Example
///
/// ```
/// use kornak::codec::SparseVector;
///
/// let vector = SparseVector { dimensions: 5, elements: vec![(0, 1.5), (4, -2.0)] };
/// // The text counts from 1.
/// assert_eq!(vector.to_string(), "{1:1.5,5:-2}/5");
/// assert_eq!("{1:1.5, 5:-2}/5".parse(), Ok(vector));
/// ```
#[derive(Clone, Debug, Default, PartialEq, PartialOrd)]
pub struct SparseVector {
    /// How many dimensions there are.
    pub dimensions: u32,
    /// The elements that are not zero: the dimension from 0, and the number. Their
    /// dimensions ascend.
    pub elements: Vec<(u32, f32)>,
}

/// A text is no vector of the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseVectorError;

impl From<Vec<f32>> for Vector {
    #[inline]
    fn from(numbers: Vec<f32>) -> Self {
        Self(numbers)
    }
}

impl HalfVector {
    /// The vector of numbers in the format binary16.
    #[inline]
    pub fn from_bits(bits: Vec<u16>) -> Self {
        Self { bits }
    }

    /// The numbers in the format binary16.
    #[inline]
    pub fn bits(&self) -> &[u16] {
        &self.bits
    }

    /// The numbers.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = f32> + '_ {
        self.bits.iter().map(|&bits| half_to_single(bits))
    }
}

/// Takes the nearest numbers there are, of two equally near ones the even one. What is
/// beyond 65,504 becomes infinite, which pgvector refuses.
impl FromIterator<f32> for HalfVector {
    fn from_iter<I: IntoIterator<Item = f32>>(numbers: I) -> Self {
        Self {
            bits: numbers.into_iter().map(single_to_half).collect(),
        }
    }
}

const HALF_SIGN: u16 = 0x8000;
const HALF_INFINITY: u16 = 0x7c00;
const HALF_NAN: u16 = 0x7e00;

/// The bits of a fraction: of a single-precision number, of a half one, and the difference.
const SINGLE_FRACTION_BITS: u32 = 23;
const HALF_FRACTION_BITS: u32 = 10;
const LOST_BITS: u32 = SINGLE_FRACTION_BITS - HALF_FRACTION_BITS;

#[inline]
fn half_to_single(bits: u16) -> f32 {
    let fraction = bits & ((1 << HALF_FRACTION_BITS) - 1);
    let magnitude = match (bits & HALF_INFINITY) >> HALF_FRACTION_BITS {
        0 => f32::from(fraction) * 2_f32.powi(-24),
        31 if fraction == 0 => f32::INFINITY,
        31 => f32::from_bits(f32::INFINITY.to_bits() | u32::from(fraction) << LOST_BITS),
        exponent => {
            f32::from(fraction | 1 << HALF_FRACTION_BITS) * 2_f32.powi(exponent as i32 - 25)
        }
    };
    match bits & HALF_SIGN {
        0 => magnitude,
        _ => -magnitude,
    }
}

#[inline]
fn single_to_half(number: f32) -> u16 {
    let bits = number.to_bits();
    let sign = (bits >> 16) as u16 & HALF_SIGN;
    let magnitude = bits & !(1 << 31);
    let exponent = magnitude >> SINGLE_FRACTION_BITS;
    sign | match exponent {
        _ if number.is_nan() => HALF_NAN,
        // From 2^16 on; what is rounded up to it gets the same bits by the carry.
        143.. => HALF_INFINITY,
        // From 2^-14 on: the same fraction, in fewer bits, with another bias.
        113.. => round(magnitude - (112 << SINGLE_FRACTION_BITS), LOST_BITS),
        // Multiples of 2^-24 that are shown without the implicit bit.
        102.. => {
            let fraction = magnitude & ((1 << SINGLE_FRACTION_BITS) - 1);
            round(fraction | 1 << SINGLE_FRACTION_BITS, 126 - exponent)
        }
        _ => 0,
    }
}

/// Drops the last `shift` bits, rounding to the nearest, or the even one.
#[inline]
fn round(number: u32, shift: u32) -> u16 {
    let half = (1 << (shift - 1)) - 1 + (number >> shift & 1);
    ((number + half) >> shift) as u16
}

/// As pgvector prints it.
impl fmt::Display for Vector {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_numbers(f, self.0.iter().copied())
    }
}

/// As pgvector prints it: with the digits of single-precision numbers.
impl fmt::Display for HalfVector {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_numbers(f, self.iter())
    }
}

fn write_numbers(f: &mut fmt::Formatter<'_>, numbers: impl Iterator<Item = f32>) -> fmt::Result {
    f.write_str("[")?;
    for (index, number) in numbers.enumerate() {
        let separator = if index == 0 { "" } else { "," };
        write!(f, "{separator}{}", FloatText(number))?;
    }
    f.write_str("]")
}

/// As pgvector prints it.
impl fmt::Display for SparseVector {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (dimension, number)) in self.elements.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            let dimension = u64::from(*dimension) + 1;
            write!(f, "{separator}{dimension}:{}", FloatText(*number))?;
        }
        write!(f, "}}/{}", self.dimensions)
    }
}

impl fmt::Display for ParseVectorError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vector is written like [1,2.5], a sparse one like {1:2.5}/2")
    }
}

impl std::error::Error for ParseVectorError {}

/// Reads finite decimal numbers in brackets, of which there is at least one.
impl FromStr for Vector {
    type Err = ParseVectorError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, ParseVectorError> {
        let numbers = list(text.trim_matches(is_space), '[', ']')?;
        let numbers: Vec<f32> = numbers.map(number).collect::<Result<_, _>>()?;
        match numbers.is_empty() {
            true => Err(ParseVectorError),
            false => Ok(Self(numbers)),
        }
    }
}

/// Reads as [`Vector`] does. What is beyond 65,504 becomes infinite.
impl FromStr for HalfVector {
    type Err = ParseVectorError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, ParseVectorError> {
        let Vector(numbers) = text.parse()?;
        Ok(numbers.into_iter().collect())
    }
}

/// Reads the elements in braces in any order, each dimension once, then the number of
/// dimensions. Zeros are left out.
impl FromStr for SparseVector {
    type Err = ParseVectorError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, ParseVectorError> {
        let (elements, dimensions) = text.split_once('/').ok_or(ParseVectorError)?;
        let integer = |text: &str| {
            text.trim_matches(is_space)
                .parse()
                .map_err(|_| ParseVectorError)
        };
        let dimensions = match integer(dimensions)? {
            dimensions @ 1..=MOST_DIMENSIONS => dimensions,
            _ => return Err(ParseVectorError),
        };
        let element = |text: &str| {
            let (dimension, value) = text.split_once(':').ok_or(ParseVectorError)?;
            match integer(dimension)? {
                dimension @ 1.. if dimension <= dimensions => Ok((dimension - 1, number(value)?)),
                _ => Err(ParseVectorError),
            }
        };
        let elements = list(elements.trim_matches(is_space), '{', '}')?;
        let mut elements: Vec<_> = elements.map(element).collect::<Result<_, _>>()?;
        elements.sort_by_key(|(dimension, _)| *dimension);
        if !elements.is_sorted_by(|one, next| one.0 < next.0) {
            return Err(ParseVectorError);
        }
        elements.retain(|(_, number)| *number != 0.0);
        Ok(Self {
            dimensions,
            elements,
        })
    }
}

/// The most dimensions of a sparse vector (`SPARSEVEC_MAX_DIM` in `src/sparsevec.h`).
const MOST_DIMENSIONS: u32 = 1_000_000_000;

/// The parts between commas within a pair of brackets.
#[inline]
fn list(
    text: &str,
    open: char,
    close: char,
) -> Result<impl Iterator<Item = &str>, ParseVectorError> {
    let inside = text
        .strip_prefix(open)
        .and_then(|text| text.strip_suffix(close));
    let inside = inside.ok_or(ParseVectorError)?;
    let is_empty = inside.trim_matches(is_space).is_empty();
    Ok(inside.split(',').filter(move |_| !is_empty))
}

/// A number as pgvector takes it, which is finite.
#[inline]
fn number(text: &str) -> Result<f32, ParseVectorError> {
    match text.trim_matches(is_space).parse() {
        Ok(number) if f32::is_finite(number) => Ok(number),
        _ => Err(ParseVectorError),
    }
}

/// Writes the head of a dense vector: its dimensions as 16 bits, and as many that are 0.
fn put_head<T>(count: usize, ty: &Type, out: &mut ParamWriter<'_>) -> Result<(), EncodeError> {
    match i16::try_from(count) {
        Ok(dimensions) => {
            out.put_i16(dimensions);
            out.put_i16(0);
            Ok(())
        }
        Err(_) => Err(out_of_range::<T>(ty, format_args!("{count} dimensions"))),
    }
}

/// Reads the head of a dense vector, and the numbers of `N` bytes behind it.
fn read_dense<'r, T, const N: usize>(
    value: RawValue<'r, '_>,
) -> Result<impl Iterator<Item = [u8; N]> + use<'r, T, N>, DecodeError> {
    let mut reader = value.reader();
    let count = reader.i16()?;
    if reader.i16()? != 0 {
        return Err(unknown_version::<T>(value));
    }
    let Ok(count) = usize::try_from(count) else {
        return Err(value.error::<T>("it has a negative number of dimensions"));
    };
    let numbers = read_numbers(&mut reader, count)?;
    reader.finish()?;
    Ok(numbers)
}

/// Reads `count` numbers of `N` bytes each.
fn read_numbers<'r, const N: usize>(
    reader: &mut Reader<'r>,
    count: usize,
) -> Result<impl Iterator<Item = [u8; N]> + use<'r, N>, DecodeError> {
    let bytes = reader.bytes(count.saturating_mul(N))?;
    let numbers = bytes.chunks_exact(N);
    Ok(numbers.filter_map(|number| number.try_into().ok()))
}

/// What is 0 in the forms that are known may tell others from them.
#[cold]
fn unknown_version<T>(value: RawValue<'_, '_>) -> DecodeError {
    value.error::<T>("it has a form that is unknown")
}

impl Encode for Vector {
    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if ty.extension() != Extension::Vector {
            return Err(wrong_encode_type::<Self>(ty));
        }
        put_head::<Self>(self.0.len(), ty, out)?;
        for &number in &self.0 {
            out.put_f32(number);
        }
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r> for Vector {
    #[inline]
    fn accepts(ty: &Type) -> bool {
        ty.extension() == Extension::Vector
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let numbers = read_dense::<Self, 4>(value)?;
        Ok(Self(numbers.map(f32::from_be_bytes).collect()))
    }
}

impl Encode for HalfVector {
    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if ty.extension() != Extension::Halfvec {
            return Err(wrong_encode_type::<Self>(ty));
        }
        put_head::<Self>(self.bits.len(), ty, out)?;
        for &bits in &self.bits {
            out.put_u16(bits);
        }
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r> for HalfVector {
    #[inline]
    fn accepts(ty: &Type) -> bool {
        ty.extension() == Extension::Halfvec
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let numbers = read_dense::<Self, 2>(value)?;
        Ok(Self {
            bits: numbers.map(u16::from_be_bytes).collect(),
        })
    }
}

impl Encode for SparseVector {
    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if ty.extension() != Extension::Sparsevec {
            return Err(wrong_encode_type::<Self>(ty));
        }
        let Ok(dimensions) = i32::try_from(self.dimensions) else {
            return Err(out_of_range::<Self>(
                ty,
                format_args!("{} dimensions", self.dimensions),
            ));
        };
        out.put_i32(dimensions);
        out.put_count::<Self>(self.elements.len(), ty)?;
        out.put_i32(0);
        for &(dimension, _) in &self.elements {
            if dimension >= self.dimensions {
                return Err(out_of_range::<Self>(
                    ty,
                    format_args!("the dimension {dimension}"),
                ));
            }
            out.put_u32(dimension);
        }
        for &(_, number) in &self.elements {
            out.put_f32(number);
        }
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r> for SparseVector {
    #[inline]
    fn accepts(ty: &Type) -> bool {
        ty.extension() == Extension::Sparsevec
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let mut reader = value.reader();
        let (Ok(dimensions), Ok(count)) =
            (u32::try_from(reader.i32()?), usize::try_from(reader.i32()?))
        else {
            return Err(value.error::<Self>("one of its counts is negative"));
        };
        if reader.i32()? != 0 {
            return Err(unknown_version::<Self>(value));
        }
        let indices = read_numbers(&mut reader, count)?.map(u32::from_be_bytes);
        let numbers = read_numbers(&mut reader, count)?.map(f32::from_be_bytes);
        reader.finish()?;
        let elements: Vec<_> = indices.zip(numbers).collect();
        if elements
            .iter()
            .any(|&(dimension, _)| dimension >= dimensions)
        {
            return Err(value.error::<Self>("it has an element beyond its dimensions"));
        }
        Ok(Self {
            dimensions,
            elements,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::{check, refuses_to_read, refuses_to_write};
    use crate::types::Kind;

    fn ty(name: &str) -> Type {
        Type::custom(70000, "public", name, Kind::Simple, true, true).unwrap()
    }

    #[test]
    fn vectors_have_the_documented_bytes_and_text() {
        let vector = Vector(vec![1.0, -0.5, 3.4028235e38, 0.1]);
        assert_eq!(vector.to_string(), "[1,-0.5,3.4028235e+38,0.1]");
        check(
            &ty("vector"),
            vector,
            "000400003f800000bf0000007f7fffff3dcccccd",
        );
        let half = HalfVector::from_bits(vec![0x3c00, 0xb800, 0x0001, 0x7bff]);
        assert_eq!(half.to_string(), "[1,-0.5,5.9604645e-08,65504]");
        check(&ty("halfvec"), half, "000400003c00b80000017bff");
        let sparse = SparseVector {
            dimensions: 1_000_000,
            elements: vec![(0, 1.5), (999_999, -2.0)],
        };
        assert_eq!(sparse.to_string(), "{1:1.5,1000000:-2}/1000000");
        check(
            &ty("sparsevec"),
            sparse,
            "000f4240000000020000000000000000000f423f3fc00000c0000000",
        );
        let empty = SparseVector {
            dimensions: 3,
            elements: vec![],
        };
        assert_eq!(empty.to_string(), "{}/3");
        check(&ty("sparsevec"), empty, "000000030000000000000000");
    }

    #[test]
    fn halves_are_the_nearest_ones() {
        for bits in 0..=u16::MAX {
            let number = half_to_single(bits);
            let back = single_to_half(number);
            if number.is_nan() {
                assert!(half_to_single(back).is_nan());
                continue;
            }
            assert_eq!(back, bits, "{number}");
            // Halfway to the next one the even one is taken; infinity's lower neighbour
            // has its halfway point where the next power of two would be.
            let next = half_to_single(bits + 1);
            if bits & !HALF_SIGN < HALF_INFINITY - 1 {
                let halfway = (number + next) / 2.0;
                let even = bits + (bits & 1);
                assert_eq!(single_to_half(halfway), even, "{halfway}");
                let step = |by| f32::from_bits(halfway.to_bits().wrapping_add_signed(by));
                assert_eq!(single_to_half(step(-1)), bits);
                assert_eq!(single_to_half(step(1)), bits + 1);
            }
        }
        for (number, bits) in [
            (65_519.996, 0x7bff),
            (65_520.0, 0x7c00),
            (f32::MAX, 0x7c00),
            (-1e10, 0xfc00),
            (f32::MIN_POSITIVE, 0),
            (1e-45, 0),
            (0.333_333_34, 0x3555),
        ] {
            assert_eq!(single_to_half(number), bits, "{number}");
        }
    }

    #[test]
    fn texts_are_read() {
        assert_eq!(" [ 1 ,2e0, 3]".parse(), Ok(Vector(vec![1.0, 2.0, 3.0])));
        let half = "[1,65504]".parse::<HalfVector>();
        assert_eq!(
            half.map(|half| half.to_string()).as_deref(),
            Ok("[1,65504]")
        );
        let sparse = "{3:1, 1:0.5}/ 3".parse::<SparseVector>();
        assert_eq!(
            sparse.map(|sparse| sparse.to_string()).as_deref(),
            Ok("{1:0.5,3:1}/3")
        );
        for text in [
            "", "[", "1,2", "[1,]", "[a]", "[1]x", "{1:1}/1", "[]", "[1e39]", "[nan]",
        ] {
            assert!(text.parse::<Vector>().is_err(), "{text}");
        }
        for text in [
            "",
            "{}",
            "{}/",
            "{0:1}/2",
            "{3:1}/2",
            "{1}/2",
            "{1:}/2",
            "[1:1]/2",
            "{}/-1",
            "{}/0",
            "{1:1,1:1}/2",
            "{}/1000000001",
            "{1:inf}/2",
        ] {
            assert!(text.parse::<SparseVector>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_the_wire_has_no_room_for_is_refused() {
        let long = Vector(vec![0.0; 32_768]);
        refuses_to_write(&ty("vector"), &long, "32768 dimensions");
        let half: HalfVector = long.0.into_iter().collect();
        refuses_to_write(&ty("halfvec"), &half, "32768 dimensions");
        let sparse = |dimensions, dimension| SparseVector {
            dimensions,
            elements: vec![(dimension, 1.0)],
        };
        refuses_to_write(
            &ty("sparsevec"),
            &sparse(1 << 31, 0),
            "2147483648 dimensions",
        );
        refuses_to_write(&ty("sparsevec"), &sparse(2, 2), "the dimension 2");
        refuses_to_write(&ty("vector"), &sparse(2, 1), "the types don't match");
    }

    #[test]
    fn s25_vectors_that_lie() {
        for (name, hex, message) in [
            ("vector", "000200003f800000", "ends early"),
            ("vector", "7fff00003f800000", "ends early"),
            ("vector", "ffff0000", "negative"),
            ("vector", "000000013f800000", "unknown"),
            ("vector", "000100003f80000000", "1 bytes follow"),
        ] {
            refuses_to_read::<Vector>(&ty(name), hex, message);
        }
        for (name, hex, message) in [
            ("halfvec", "000200003c00", "ends early"),
            ("halfvec", "8000", "ends early"),
            ("halfvec", "00000001", "unknown"),
        ] {
            refuses_to_read::<HalfVector>(&ty(name), hex, message);
        }
        for (name, hex, message) in [
            (
                "sparsevec",
                "00000003000000010000000000000000",
                "ends early",
            ),
            (
                "sparsevec",
                "000000037fffffff0000000000000000",
                "ends early",
            ),
            ("sparsevec", "00000003ffffffff00000000", "negative"),
            ("sparsevec", "ffffffff0000000000000000", "negative"),
            ("sparsevec", "000000030000000000000001", "unknown"),
            (
                "sparsevec",
                "000000030000000100000000000000033f800000",
                "beyond",
            ),
            (
                "sparsevec",
                "00000003000000010000000000000002ffffffff00",
                "1 bytes follow",
            ),
        ] {
            refuses_to_read::<SparseVector>(&ty(name), hex, message);
        }
    }
}
