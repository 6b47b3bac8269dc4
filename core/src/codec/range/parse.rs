//! The text forms (`range_parse` in `rangetypes.c`, `multirange_in` in
//! `multirangetypes.c`).

use std::fmt;
use std::ops::Bound;
use std::str::FromStr;

use super::{Multirange, Range};
use crate::codec::quote::is_space;

/// A text is no range or multirange, or one of its bounds is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseRangeError;

impl fmt::Display for ParseRangeError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a range is empty or two bounds like [1,10), a multirange like {[1,3),[7,)}")
    }
}

impl std::error::Error for ParseRangeError {}

/// Reads what the server reads. Bounds without room between them are kept as they are.
impl<T: FromStr> FromStr for Range<T> {
    type Err = ParseRangeError;

    fn from_str(text: &str) -> Result<Self, ParseRangeError> {
        let mut rest = Rest(text);
        let range = rest.range()?;
        rest.end()?;
        Ok(range)
    }
}

/// Reads what the server reads. The ranges are kept as they are.
impl<T: FromStr> FromStr for Multirange<T> {
    type Err = ParseRangeError;

    fn from_str(text: &str) -> Result<Self, ParseRangeError> {
        let mut rest = Rest(text);
        let mut ranges = Vec::new();
        rest.skip_spaces();
        rest.expect('{')?;
        rest.skip_spaces();
        if rest.expect('}').is_err() {
            loop {
                ranges.push(rest.range()?);
                rest.skip_spaces();
                match rest.next() {
                    Some(',') => {}
                    Some('}') => break,
                    _ => return Err(ParseRangeError),
                }
            }
        }
        rest.end()?;
        Ok(Self(ranges))
    }
}

/// What is not read yet.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn range<T: FromStr>(&mut self) -> Result<Range<T>, ParseRangeError> {
        self.skip_spaces();
        if let Some((word, rest)) = self.0.split_at_checked(EMPTY.len()) {
            if word.eq_ignore_ascii_case(EMPTY) {
                self.0 = rest;
                return Ok(Range::Empty);
            }
        }
        let lower_is_inclusive = match self.next() {
            Some('[') => true,
            Some('(') => false,
            _ => return Err(ParseRangeError),
        };
        let lower = self.bound()?;
        self.expect(',')?;
        let upper = self.bound()?;
        let upper_is_inclusive = match self.next() {
            Some(']') => true,
            Some(')') => false,
            _ => return Err(ParseRangeError),
        };
        Ok(Range::Between(
            bound(lower, lower_is_inclusive),
            bound(upper, upper_is_inclusive),
        ))
    }

    /// The value of a bound up to what ends it, or `None` for infinity. Quotes may begin and
    /// end anywhere in it.
    fn bound<T: FromStr>(&mut self) -> Result<Option<T>, ParseRangeError> {
        let ends = |character| matches!(character, ',' | ')' | ']');
        if self.0.starts_with(ends) {
            return Ok(None);
        }
        let mut text = String::new();
        let mut is_quoted = false;
        while is_quoted || !self.0.starts_with(ends) {
            match self.next().ok_or(ParseRangeError)? {
                '\\' => text.push(self.next().ok_or(ParseRangeError)?),
                '"' if is_quoted && self.expect('"').is_ok() => text.push('"'),
                '"' => is_quoted = !is_quoted,
                character => text.push(character),
            }
        }
        text.parse().map(Some).map_err(|_| ParseRangeError)
    }

    #[inline]
    fn next(&mut self) -> Option<char> {
        let mut characters = self.0.chars();
        let next = characters.next();
        self.0 = characters.as_str();
        next
    }

    #[inline]
    fn expect(&mut self, character: char) -> Result<(), ParseRangeError> {
        self.0 = self.0.strip_prefix(character).ok_or(ParseRangeError)?;
        Ok(())
    }

    #[inline]
    fn skip_spaces(&mut self) {
        self.0 = self.0.trim_start_matches(is_space);
    }

    #[inline]
    fn end(mut self) -> Result<(), ParseRangeError> {
        self.skip_spaces();
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(ParseRangeError)
        }
    }
}

const EMPTY: &str = "empty";

fn bound<T>(value: Option<T>, is_inclusive: bool) -> Bound<T> {
    match value {
        None => Bound::Unbounded,
        Some(value) if is_inclusive => Bound::Included(value),
        Some(value) => Bound::Excluded(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read() {
        for text in [
            "", " ", "plain", "a b", "a,b", "(", "[)", "a\"b", "a\\b", "\"", "\"\"", "naïve",
        ] {
            for range in [
                Range::from(text.to_owned()..),
                Range::from(..=text.to_owned()),
                Range::from(text.to_owned()..text.to_owned()),
                Range::Empty,
                Range::from(..),
            ] {
                assert_eq!(range.to_string().parse(), Ok(range.clone()));
                let set = Multirange(vec![range.clone(), range]);
                assert_eq!(set.to_string().parse(), Ok(set));
            }
        }
        assert_eq!("{}".parse(), Ok(Multirange::<i32>::default()));
    }

    #[test]
    fn what_the_server_reads_is_read() {
        for (text, range) in [
            (" [1,10) ", Range::from("1".to_owned().."10".to_owned())),
            ("\t(,]\n", Range::from(..)),
            (" EmPty ", Range::Empty),
            ("[ a, b]", Range::from(" a".to_owned()..=" b".to_owned())),
            ("[a\\,\"b]\"\"\"c,)", Range::from("a,b]\"c".to_owned()..)),
        ] {
            assert_eq!(text.parse(), Ok(range), "{text}");
        }
        let set = " { empty , [1,2],(3,) } ".parse::<Multirange<i32>>();
        assert_eq!(
            set.map(|set| set.to_string()).as_deref(),
            Ok("{empty,[1,2],(3,)}")
        );
        for text in [
            "", "[", "[1", "[1,", "[1,2", "1,2", "[1,2)x", "[1,2,3)", "[1)", "[\"1,2)", "[1,2\\",
            "[x,2)", "empty2", "{}", "[1,\"\")",
        ] {
            assert!(text.parse::<Range<i32>>().is_err(), "{text}");
        }
        for text in [
            "",
            "{",
            "{[1,2)",
            "{[1,2),}",
            "{,}",
            "{}{}",
            "[1,2)",
            "{[1,2) [3,4)}",
        ] {
            assert!(text.parse::<Multirange<i32>>().is_err(), "{text}");
        }
    }
}
