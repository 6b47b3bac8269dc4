//! The text forms of shapes, as `Display` prints them.

use std::fmt;
use std::str::FromStr;

use super::{Circle, Line, LineSegment, Path, Point, Polygon, Rectangle};
use crate::codec::float_text;
use crate::codec::quote::is_space;

/// A text is no shape of the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseShapeError;

impl fmt::Display for ParseShapeError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a shape is written as the server prints it: (1,2) is a point")
    }
}

impl std::error::Error for ParseShapeError {}

/// The texts of a type, which `$read` takes from the [`Rest`] up to the end.
macro_rules! parse {
    ($name:ident, $read:expr) => {
        /// Reads what `Display` prints, with spaces anywhere between.
        impl FromStr for $name {
            type Err = ParseShapeError;

            #[inline]
            fn from_str(text: &str) -> Result<Self, ParseShapeError> {
                let read: fn(&mut Rest<'_>) -> Option<Self> = $read;
                let mut rest = Rest(text);
                let shape = read(&mut rest).ok_or(ParseShapeError)?;
                if rest.skip_spaces().is_empty() {
                    Ok(shape)
                } else {
                    Err(ParseShapeError)
                }
            }
        }
    };
}

parse!(Point, |rest| rest.point());
parse!(Line, |rest| {
    rest.expect('{')?;
    let a = rest.number()?;
    rest.expect(',')?;
    let b = rest.number()?;
    rest.expect(',')?;
    let c = rest.number()?;
    rest.expect('}')?;
    Some(Self { a, b, c })
});
parse!(LineSegment, |rest| {
    rest.expect('[')?;
    let start = rest.point()?;
    rest.expect(',')?;
    let end = rest.point()?;
    rest.expect(']')?;
    Some(Self { start, end })
});
parse!(Rectangle, |rest| {
    let high = rest.point()?;
    rest.expect(',')?;
    let low = rest.point()?;
    Some(Self { high, low })
});
parse!(Path, |rest| {
    let is_closed = rest.expect('(').is_some();
    if !is_closed {
        rest.expect('[')?;
    }
    let points = rest.points(if is_closed { ')' } else { ']' })?;
    Some(Self { is_closed, points })
});
parse!(Polygon, |rest| {
    rest.expect('(')?;
    let points = rest.points(')')?;
    Some(Self { points })
});
parse!(Circle, |rest| {
    rest.expect('<')?;
    let center = rest.point()?;
    rest.expect(',')?;
    let radius = rest.number()?;
    rest.expect('>')?;
    Some(Self { center, radius })
});

/// What is not read yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    #[inline]
    fn skip_spaces(&mut self) -> &'a str {
        self.0 = self.0.trim_start_matches(is_space);
        self.0
    }

    #[inline]
    fn expect(&mut self, character: char) -> Option<()> {
        self.0 = self.skip_spaces().strip_prefix(character)?;
        Some(())
    }

    #[inline]
    fn number(&mut self) -> Option<f64> {
        let text = self.skip_spaces();
        let ends = |character| is_space(character) || ",()[]{}<>".contains(character);
        let end = text.find(ends).unwrap_or(text.len());
        let (number, rest) = text.split_at(end);
        self.0 = rest;
        float_text::parse(number)
    }

    #[inline]
    fn point(&mut self) -> Option<Point> {
        self.expect('(')?;
        let x = self.number()?;
        self.expect(',')?;
        let y = self.number()?;
        self.expect(')')?;
        Some(Point { x, y })
    }

    /// The points up to the bracket that closes them.
    #[inline]
    fn points(&mut self, close: char) -> Option<Vec<Point>> {
        let mut points = Vec::new();
        if self.expect(close).is_some() {
            return Some(points);
        }
        loop {
            points.push(self.point()?);
            if self.expect(close).is_some() {
                return Some(points);
            }
            self.expect(',')?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;

    #[track_caller]
    fn check<T: FromStr + fmt::Display + Debug>(texts: &[&str], others: &[&str])
    where
        T::Err: Debug,
    {
        for text in texts {
            let shape: T = text.parse().unwrap();
            assert_eq!(shape.to_string(), *text);
            let mut spaced = " ".to_owned();
            for character in text.chars() {
                match character {
                    '(' | ')' | ',' | '[' | ']' | '<' | '>' | '{' | '}' => {
                        spaced.extend([' ', character, '\t']);
                    }
                    _ => spaced.push(character),
                }
            }
            assert_eq!(spaced.parse::<T>().unwrap().to_string(), *text, "{spaced}");
        }
        for text in others {
            assert!(text.parse::<T>().is_err(), "{text}");
        }
    }

    #[test]
    fn r57_what_is_shown_is_read() {
        check::<Point>(
            &[
                "(1,2)",
                "(-0,1e+20)",
                "(Infinity,-Infinity)",
                "(NaN,5e-324)",
            ],
            &[
                "",
                "1,2",
                "(1)",
                "(1,2",
                "(1,2)x",
                "(1,2),",
                "(1e400,0)",
                "(0,1e-400)",
                "(,)",
            ],
        );
        check::<Line>(&["{1,-1,0.5}"], &["{1,2}", "{1,2,3,4}", "[(0,0),(1,1)]"]);
        check::<LineSegment>(&["[(1,2),(3,4)]"], &["[(1,2)]", "(1,2),(3,4)"]);
        check::<Rectangle>(&["(3,4),(1,2)"], &["(1,2)", "[(1,2),(3,4)]"]);
        check::<Path>(
            &["((1,2),(3,4))", "[(1,2)]", "[]", "()"],
            &["((1,2)]", "[(1,2))", "[(1,2),]", "(1,2)"],
        );
        check::<Polygon>(&["((1,2),(3,4),(5,6))"], &["[(1,2)]", "((1,2)"]);
        check::<Circle>(&["<(1,2),2.5>"], &["<(1,2)>", "((1,2),3)"]);
    }
}
