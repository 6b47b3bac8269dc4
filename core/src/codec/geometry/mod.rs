//! `point`, `line`, `lseg`, `box`, `path`, `polygon` and `circle`: `float8` coordinates
//! (`geo_ops.c`).

mod parse;

use std::fmt;

use super::fixed::encode_fixed;
use super::float_text::FloatText;
use super::{ArrayElements, Decode, Encode, IsNull, ParamWriter, RawValue, Reader};
use super::{array, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Type, oid};

pub use self::parse::ParseShapeError;

/// A `point`.
///
/// # Example
///
/// ```
/// use kornak::codec::Point;
///
/// let place = Point::new(1.5, -2.0);
/// assert_eq!(place.to_string(), "(1.5,-2)");
/// assert_eq!("(1.5, -2)".parse(), Ok(place));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Point {
    /// The horizontal coordinate.
    pub x: f64,
    /// The vertical coordinate.
    pub y: f64,
}

/// A `line`: the points where `a`·x + `b`·y + `c` = 0. The server refuses `a` and `b` of 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Line {
    /// The factor of x.
    pub a: f64,
    /// The factor of y.
    pub b: f64,
    /// The constant.
    pub c: f64,
}

/// An `lseg`: a line segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct LineSegment {
    /// One end.
    pub start: Point,
    /// The other end.
    pub end: Point,
}

/// A `box`, by two opposite corners. The server keeps the upper right one as the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Rectangle {
    /// The upper right corner.
    pub high: Point,
    /// The lower left corner.
    pub low: Point,
}

/// A `path`: points that are joined one after the other.
///
/// # Example
///
/// ```
/// use kornak::codec::{Path, Point};
///
/// let corner = Path {
///     is_closed: false,
///     points: vec![Point::new(0.0, 1.0), Point::new(0.0, 0.0), Point::new(1.0, 0.0)],
/// };
/// assert_eq!(corner.to_string(), "[(0,1),(0,0),(1,0)]");
/// ```
#[derive(Clone, Debug, Default, PartialEq, PartialOrd)]
pub struct Path {
    /// Whether the last point is joined to the first.
    pub is_closed: bool,
    /// The points. The server refuses a path without any.
    pub points: Vec<Point>,
}

/// A `polygon`: the area within a closed path.
#[derive(Clone, Debug, Default, PartialEq, PartialOrd)]
pub struct Polygon {
    /// The corners. The server refuses a polygon without any.
    pub points: Vec<Point>,
}

/// A `circle`.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Circle {
    /// The center.
    pub center: Point,
    /// The radius, which the server wants not to be negative.
    pub radius: f64,
}

/// How many bytes a point takes.
const POINT_SIZE: usize = 16;

impl Point {
    /// The point at these coordinates.
    #[inline]
    pub const fn new(x: f64, y: f64) -> Self {
        Self { x, y }
    }

    #[inline]
    fn bytes(&self) -> [u8; POINT_SIZE] {
        in_network_order([self.x, self.y])
    }

    #[inline]
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            x: reader.f64()?,
            y: reader.f64()?,
        })
    }

    #[inline]
    fn from_bytes(bytes: [u8; POINT_SIZE]) -> Self {
        let number = u128::from_be_bytes(bytes);
        Self {
            x: f64::from_bits((number >> 64) as u64),
            y: f64::from_bits(number as u64),
        }
    }
}

impl From<(f64, f64)> for Point {
    #[inline]
    fn from((x, y): (f64, f64)) -> Self {
        Self { x, y }
    }
}

/// As the server prints it, like all of this module.
impl fmt::Display for Point {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{})", FloatText(self.x), FloatText(self.y))
    }
}

impl fmt::Display for Line {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = [self.a, self.b, self.c].map(FloatText);
        write!(f, "{{{a},{b},{c}}}")
    }
}

impl fmt::Display for LineSegment {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{},{}]", self.start, self.end)
    }
}

impl fmt::Display for Rectangle {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.high, self.low)
    }
}

impl fmt::Display for Path {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.is_closed {
            ('(', ')')
        } else {
            ('[', ']')
        };
        write!(f, "{open}")?;
        write_points(f, &self.points)?;
        write!(f, "{close}")
    }
}

impl fmt::Display for Polygon {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        write_points(f, &self.points)?;
        f.write_str(")")
    }
}

impl fmt::Display for Circle {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{},{}>", self.center, FloatText(self.radius))
    }
}

#[inline]
fn write_points(f: &mut fmt::Formatter<'_>, points: &[Point]) -> fmt::Result {
    for (index, point) in points.iter().enumerate() {
        let separator = if index == 0 { "" } else { "," };
        write!(f, "{separator}{point}")?;
    }
    Ok(())
}

/// The bytes of these numbers, of which there are an eighth as many.
#[inline]
fn in_network_order<const N: usize, const SIZE: usize>(numbers: [f64; N]) -> [u8; SIZE] {
    const { assert!(SIZE == N * size_of::<f64>()) };
    let mut bytes = [0; SIZE];
    for (place, number) in bytes.chunks_exact_mut(size_of::<f64>()).zip(numbers) {
        place.copy_from_slice(&number.to_be_bytes());
    }
    bytes
}

#[inline]
fn read_points(reader: &mut Reader<'_>) -> Result<Vec<Point>, DecodeError> {
    let count = reader.count(POINT_SIZE)?;
    (0..count).map(|_| Point::read(reader)).collect()
}

/// How a type is read whose parts come one after the other.
macro_rules! decode {
    ($name:ident, $oid:ident, |$reader:ident| $read:expr) => {
        impl<'r> Decode<'r> for $name {
            #[inline]
            fn accepts(ty: &Type) -> bool {
                ty.oid() == oid::$oid
            }

            #[inline]
            fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
                let mut reader = value.reader();
                let $reader = &mut reader;
                let this = $read;
                reader.finish()?;
                Ok(this)
            }
        }
    };
}

/// How a type is written that is so many numbers.
macro_rules! encode_numbers {
    ($name:ident, $oid:ident, $size:literal, |$this:ident| $numbers:expr) => {
        encode_fixed!($name, $oid, Described, $name::bytes);

        impl $name {
            #[inline]
            fn bytes(&self) -> [u8; $size] {
                let $this = self;
                in_network_order($numbers)
            }
        }
    };
}

encode_numbers!(Line, LINE, 24, |this| [this.a, this.b, this.c]);
encode_numbers!(LineSegment, LSEG, 32, |this| {
    [this.start.x, this.start.y, this.end.x, this.end.y]
});
encode_numbers!(Rectangle, BOX, 32, |this| {
    [this.high.x, this.high.y, this.low.x, this.low.y]
});
encode_numbers!(Circle, CIRCLE, 24, |this| {
    [this.center.x, this.center.y, this.radius]
});

decode!(Line, LINE, |reader| Self {
    a: reader.f64()?,
    b: reader.f64()?,
    c: reader.f64()?,
});
decode!(LineSegment, LSEG, |reader| Self {
    start: Point::read(reader)?,
    end: Point::read(reader)?,
});
decode!(Rectangle, BOX, |reader| Self {
    high: Point::read(reader)?,
    low: Point::read(reader)?,
});
decode!(Circle, CIRCLE, |reader| Self {
    center: Point::read(reader)?,
    radius: reader.f64()?,
});
decode!(Path, PATH, |reader| Self {
    is_closed: reader.u8()? != 0,
    points: read_points(reader)?,
});
decode!(Polygon, POLYGON, |reader| Self {
    points: read_points(reader)?,
});

impl Encode for Path {
    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if ty.oid() != oid::PATH {
            return Err(wrong_encode_type::<Self>(ty));
        }
        out.put_u8(u8::from(self.is_closed));
        write_all::<Self>(&self.points, ty, out)
    }
}

impl Encode for Polygon {
    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if ty.oid() != oid::POLYGON {
            return Err(wrong_encode_type::<Self>(ty));
        }
        write_all::<Self>(&self.points, ty, out)
    }
}

fn write_all<T>(
    points: &[Point],
    ty: &Type,
    out: &mut ParamWriter<'_>,
) -> Result<IsNull, EncodeError> {
    out.put_count::<T>(points.len(), ty)?;
    for point in points {
        out.put_slice(&point.bytes());
    }
    Ok(IsNull::No)
}

encode_fixed!(Point, POINT, Described, Point::bytes);

impl<'r> Decode<'r> for Point {
    const USUAL_LENGTH: Option<usize> = Some(POINT_SIZE);

    #[inline]
    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::POINT
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        Ok(Self::from_bytes(value.fixed::<Self, POINT_SIZE>()?))
    }

    #[inline]
    fn decode_elements(elements: &mut ArrayElements<'r, '_>) -> Result<Vec<Self>, DecodeError> {
        array::decode_fixed(elements, Self::from_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::{check, refuses_to_read};
    use std::fmt::{Debug, Display};

    #[track_caller]
    fn case<T>(ty: &Type, value: T, text: &str, hex: &str)
    where
        T: Encode + for<'r> Decode<'r> + PartialEq + Debug + Display,
    {
        assert_eq!(value.to_string(), text);
        check(ty, value, hex);
    }

    #[test]
    fn shapes_have_the_servers_bytes_and_text() {
        let (a, b, c) = (
            Point::new(1.0, 2.0),
            Point::new(-1.5, 0.0),
            Point::new(4.0, 1e20),
        );
        case(&Type::POINT, a, "(1,2)", "3ff00000000000004000000000000000");
        case(
            &Type::POINT,
            Point::new(f64::INFINITY, -0.0),
            "(Infinity,-0)",
            "7ff00000000000008000000000000000",
        );
        case(
            &Type::LINE,
            Line {
                a: 1.0,
                b: -1.0,
                c: 0.5,
            },
            "{1,-1,0.5}",
            "3ff0000000000000bff00000000000003fe0000000000000",
        );
        case(
            &Type::LSEG,
            LineSegment { start: a, end: b },
            "[(1,2),(-1.5,0)]",
            "3ff00000000000004000000000000000bff80000000000000000000000000000",
        );
        case(
            &Type::BOX,
            Rectangle { high: a, low: b },
            "(1,2),(-1.5,0)",
            "3ff00000000000004000000000000000bff80000000000000000000000000000",
        );
        case(
            &Type::PATH,
            Path {
                is_closed: true,
                points: vec![a, b, c],
            },
            "((1,2),(-1.5,0),(4,1e+20))",
            "01000000033ff00000000000004000000000000000bff8000000000000000000000000000040100000000000004415af1d78b58c40",
        );
        case(
            &Type::PATH,
            Path {
                is_closed: false,
                points: vec![a],
            },
            "[(1,2)]",
            "00000000013ff00000000000004000000000000000",
        );
        case(
            &Type::POLYGON,
            Polygon {
                points: vec![a, b, c],
            },
            "((1,2),(-1.5,0),(4,1e+20))",
            "000000033ff00000000000004000000000000000bff8000000000000000000000000000040100000000000004415af1d78b58c40",
        );
        case(
            &Type::CIRCLE,
            Circle {
                center: b,
                radius: 2.5,
            },
            "<(-1.5,0),2.5>",
            "bff800000000000000000000000000004004000000000000",
        );
        check(
            &Type::POINT_ARRAY,
            vec![a, b],
            "0000000100000000000002580000000200000001000000103ff0000000000000400000000000000000000010bff80000000000000000000000000000",
        );
        assert_eq!(Path::default().to_string(), "[]");
    }

    #[test]
    fn s25_shapes_that_lie() {
        for count in ["00000002", "7fffffff", "ffffffff"] {
            let point = "3ff00000000000004000000000000000";
            refuses_to_read::<Polygon>(&Type::POLYGON, &format!("{count}{point}"), "parts");
            refuses_to_read::<Path>(&Type::PATH, &format!("01{count}{point}"), "parts");
        }
        refuses_to_read::<Polygon>(&Type::POLYGON, "0000000000", "1 bytes follow");
        refuses_to_read::<Point>(&Type::POINT, "00", "1 bytes instead of 16");
        refuses_to_read::<Circle>(&Type::CIRCLE, "00", "ends early");
    }
}
