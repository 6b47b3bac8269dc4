//! `cube`: how many dimensions, and one corner or two (`cube_send` in
//! `contrib/cube/cube.c`).

use std::fmt;
use std::str::FromStr;

use super::float_text::{self, FloatText};
use super::quote::is_space;
use super::{Decode, Encode, IsNull, ParamWriter, RawValue};
use super::{out_of_range, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Extension, Type};

/// A `cube`: a point, or a box between two opposite corners, in any number of dimensions up
/// to the server's limit of 100.
///
/// # Example
///
/// ```
/// use kornak::codec::Cube;
///
/// let cube = Cube::between(&[0.0, 0.0], &[1.0, 2.5]).expect("two dimensions each");
/// assert_eq!(cube.to_string(), "(0, 0),(1, 2.5)");
/// assert_eq!(cube.corners(), (&[0.0, 0.0][..], &[1.0, 2.5][..]));
/// assert_eq!(Cube::point(vec![1.0, 2.0]).to_string(), "(1, 2)");
/// assert_eq!("[(0, 0), (1, 2.5)]".parse(), Ok(cube));
/// ```
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub struct Cube {
    /// Whether there is one corner only. A cube that has two can be a point, too.
    is_point: bool,
    /// The coordinates of the first corner, then those of the second. Invariant: an even
    /// number if there are two corners.
    coordinates: Vec<f64>,
}

/// Says that there is one corner only.
const POINT: u32 = 0x8000_0000;

const COORDINATE_SIZE: usize = 8;

impl Cube {
    /// The point at these coordinates.
    #[inline]
    pub fn point(coordinates: Vec<f64>) -> Self {
        Self {
            is_point: true,
            coordinates,
        }
    }

    /// The cube between two opposite corners; `None` if they don't have equally many
    /// dimensions.
    #[inline]
    pub fn between(first: &[f64], second: &[f64]) -> Option<Self> {
        (first.len() == second.len()).then(|| Self {
            is_point: false,
            coordinates: [first, second].concat(),
        })
    }

    /// How many dimensions it has.
    #[inline]
    pub fn dimensions(&self) -> usize {
        match self.is_point {
            true => self.coordinates.len(),
            false => self.coordinates.len() / 2,
        }
    }

    /// Two opposite corners, in the order that the server keeps. A point has the same one
    /// twice.
    #[inline]
    pub fn corners(&self) -> (&[f64], &[f64]) {
        match self.is_point {
            true => (&self.coordinates, &self.coordinates),
            false => self.coordinates.split_at(self.coordinates.len() / 2),
        }
    }
}

/// As the server prints it.
impl fmt::Display for Cube {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.corners();
        write_corner(f, first)?;
        // Not a number isn't equal to itself.
        if !self.is_point && first != second {
            f.write_str(",")?;
            write_corner(f, second)?;
        }
        Ok(())
    }
}

#[inline]
fn write_corner(f: &mut fmt::Formatter<'_>, corner: &[f64]) -> fmt::Result {
    f.write_str("(")?;
    for (index, coordinate) in corner.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        write!(f, "{separator}{}", FloatText(*coordinate))?;
    }
    f.write_str(")")
}

/// A text is no `cube`.
///
/// # Example
///
/// ```
/// use kornak::codec::Cube;
///
/// let error = "(0, 0),(1)".parse::<Cube>().unwrap_err();
/// assert_eq!(error.to_string(), "the corners differ in their dimensions at byte 7");
/// assert_eq!(error.place(), 7);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseCubeError {
    place: usize,
    problem: &'static str,
}

impl ParseCubeError {
    /// Where in the text it went wrong, in bytes from its beginning.
    #[inline]
    pub fn place(&self) -> usize {
        self.place
    }
}

impl fmt::Display for ParseCubeError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.problem, self.place)
    }
}

impl std::error::Error for ParseCubeError {}

/// Reads what the server reads (`cubescan.l` and `cubeparse.y`): one corner or two, in
/// parentheses, brackets around both, or the coordinates of a point alone. As on the server, two
/// corners that are equal are a point.
impl FromStr for Cube {
    type Err = ParseCubeError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, ParseCubeError> {
        let mut parser = Parser { text, rest: text };
        let is_bracketed = parser.takes('[');
        let first = match parser.peek() {
            Some('(') => parser.corner()?,
            _ if is_bracketed => return Err(parser.error(NO_CORNER)),
            _ => parser.coordinates()?,
        };
        let second = match parser.takes(',') {
            true => {
                let start = parser;
                let second = parser.corner()?;
                if first.len() != second.len() {
                    return Err(start.error("the corners differ in their dimensions"));
                }
                Some(second)
            }
            false => None,
        };
        if is_bracketed && second.is_none() {
            return Err(parser.error(NO_CORNER));
        }
        if is_bracketed && !parser.takes(']') {
            return Err(parser.error("a bracket is not closed"));
        }
        if parser.peek().is_some() {
            return Err(parser.error("something follows the cube"));
        }
        Ok(match second {
            Some(second) if first != second => Self {
                is_point: false,
                coordinates: [first, second].concat(),
            },
            _ => Self::point(first),
        })
    }
}

const NO_CORNER: &str = "a corner is missing";

/// The most dimensions, `CUBE_MAX_DIM` in `contrib/cube/cubedata.h`.
const MAX_DIMENSIONS: usize = 100;

/// A cursor over a text, between whose parts may be spaces.
#[derive(Clone, Copy)]
struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl Parser<'_> {
    #[inline]
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start_matches(is_space);
        self.rest.chars().next()
    }

    /// Takes the character away if it comes next.
    #[inline]
    fn takes(&mut self, character: char) -> bool {
        let is_next = self.peek() == Some(character);
        if is_next {
            self.rest = &self.rest[character.len_utf8()..];
        }
        is_next
    }

    #[cold]
    fn error(mut self, problem: &'static str) -> ParseCubeError {
        self.peek();
        ParseCubeError {
            place: self.text.len() - self.rest.len(),
            problem,
        }
    }

    /// The coordinates in a pair of parentheses, of which there may be none.
    #[inline]
    fn corner(&mut self) -> Result<Vec<f64>, ParseCubeError> {
        if !self.takes('(') {
            return Err(self.error(NO_CORNER));
        }
        if self.takes(')') {
            return Ok(Vec::new());
        }
        let coordinates = self.coordinates()?;
        match self.takes(')') {
            true => Ok(coordinates),
            false => Err(self.error("a parenthesis is not closed")),
        }
    }

    #[inline]
    fn coordinates(&mut self) -> Result<Vec<f64>, ParseCubeError> {
        let mut coordinates = vec![self.number()?];
        while self.takes(',') {
            if coordinates.len() == MAX_DIMENSIONS {
                return Err(self.error("it has more than 100 dimensions"));
            }
            coordinates.push(self.number()?);
        }
        Ok(coordinates)
    }

    #[inline]
    fn number(&mut self) -> Result<f64, ParseCubeError> {
        self.peek();
        let ends = |character| is_space(character) || ",()[]".contains(character);
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        let number = float_text::parse(text);
        // Only what is a number may have a sign there.
        let Some(number) =
            number.filter(|number| !number.is_nan() || !text.starts_with(['+', '-']))
        else {
            return Err(self.error("a number is missing"));
        };
        self.rest = rest;
        Ok(number)
    }
}

impl Encode for Cube {
    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if ty.extension() != Extension::Cube {
            return Err(wrong_encode_type::<Self>(ty));
        }
        let dimensions = match u32::try_from(self.dimensions()) {
            Ok(dimensions) if dimensions < POINT => dimensions,
            _ => {
                return Err(out_of_range::<Self>(
                    ty,
                    format_args!("{} dimensions", self.dimensions()),
                ));
            }
        };
        out.put_u32(if self.is_point { POINT } else { 0 } | dimensions);
        for &coordinate in &self.coordinates {
            out.put_f64(coordinate);
        }
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r> for Cube {
    #[inline]
    fn accepts(ty: &Type) -> bool {
        ty.extension() == Extension::Cube
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let mut reader = value.reader();
        let header = reader.u32()?;
        let is_point = header & POINT != 0;
        let dimensions = (header & !POINT) as usize;
        let corners = if is_point { 1 } else { 2 };
        let wanted = dimensions.saturating_mul(corners * COORDINATE_SIZE);
        let bytes = reader.bytes(wanted)?;
        reader.finish()?;
        let coordinates = bytes
            .chunks_exact(COORDINATE_SIZE)
            .filter_map(|chunk| chunk.try_into().ok().map(f64::from_be_bytes))
            .collect();
        Ok(Self {
            is_point,
            coordinates,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::{check, refuses_to_read, refuses_to_write};
    use crate::types::Kind;

    fn cube() -> Type {
        Type::custom(70000, "public", "cube", Kind::Simple, true, true).unwrap()
    }

    #[test]
    fn cubes_have_the_servers_bytes_and_text() {
        let between = |first: &[f64], second: &[f64]| Cube::between(first, second).unwrap();
        for (cube_value, text, hex) in [
            (Cube::point(vec![]), "()", "80000000"),
            (Cube::point(vec![1.0]), "(1)", "800000013ff0000000000000"),
            (
                between(&[1.0, -0.0], &[f64::INFINITY, 1e-7]),
                "(1, -0),(Infinity, 1e-07)",
                "000000023ff000000000000080000000000000007ff00000000000003e7ad7f29abcaf48",
            ),
            // The server keeps such a one as a point, and shows it as one.
            (
                between(&[1.0], &[1.0]),
                "(1)",
                "000000013ff00000000000003ff0000000000000",
            ),
        ] {
            assert_eq!(cube_value.to_string(), text);
            check(&cube(), cube_value, hex);
        }
        assert_eq!(Cube::between(&[1.0], &[]), None);
        assert_eq!(between(&[1.0, 2.0], &[3.0, 4.0]).dimensions(), 2);
        assert_eq!(Cube::point(vec![1.0, 2.0]).dimensions(), 2);
        refuses_to_write(&Type::POINT, &Cube::point(vec![]), "the types don't match");
    }

    #[test]
    fn cubes_are_read_as_the_server_reads_them() {
        for (text, shown) in [
            ("()", "()"),
            (" ( 1 , -2.5 ) ", "(1, -2.5)"),
            ("1", "(1)"),
            ("1, 2,\t3", "(1, 2, 3)"),
            ("(1),(2)", "(1),(2)"),
            ("[ (1, 2) , (3, 4) ]", "(1, 2),(3, 4)"),
            ("[(),()]", "()"),
            ("(1),(1)", "(1)"),
            ("(NaN),(NaN)", "(NaN),(NaN)"),
            (
                "(+.5, 1., 1e+20, -inf, Infinity)",
                "(0.5, 1, 1e+20, -Infinity, Infinity)",
            ),
        ] {
            let cube: Cube = text
                .parse()
                .unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(cube.to_string(), shown, "{text}");
            let again: Cube = shown.parse().unwrap();
            assert_eq!(again.to_string(), shown);
        }
        let most = format!("({}1)", "1,".repeat(99));
        assert_eq!(most.parse::<Cube>().unwrap().dimensions(), 100);
        let more = format!("({}1)", "1,".repeat(100));
        for (text, message) in [
            ("", "a number is missing at byte 0"),
            ("(1", "a parenthesis is not closed at byte 2"),
            ("(1,)", "a number is missing at byte 3"),
            ("1,", "a number is missing at byte 2"),
            ("1,(2)", "a number is missing at byte 2"),
            ("(1),2", "a corner is missing at byte 4"),
            ("(1),(2),(3)", "something follows the cube at byte 7"),
            ("[(1)]", "a corner is missing at byte 4"),
            ("[1]", "a corner is missing at byte 1"),
            ("[(1),(2)", "a bracket is not closed at byte 8"),
            ("(1),(2)]", "something follows the cube at byte 7"),
            (
                "(1,2), (3)",
                "the corners differ in their dimensions at byte 7",
            ),
            ("(1e400)", "a number is missing at byte 1"),
            ("(-NaN)", "a number is missing at byte 1"),
            ("(1 2)", "a parenthesis is not closed at byte 3"),
            ("(1)x", "something follows the cube at byte 3"),
            (&more, "it has more than 100 dimensions at byte 201"),
        ] {
            let error = text.parse::<Cube>().unwrap_err();
            assert_eq!(error.to_string(), message, "{text}");
        }
    }

    #[test]
    fn s25_cubes_that_lie() {
        for (hex, message) in [
            ("", "ends early"),
            ("80000001", "ends early"),
            ("000000013ff0000000000000", "ends early"),
            ("7fffffff3ff0000000000000", "ends early"),
            ("ffffffff3ff0000000000000", "ends early"),
            ("800000013ff000000000000000", "1 bytes follow"),
        ] {
            refuses_to_read::<Cube>(&cube(), hex, message);
        }
    }
}
