//! Ranges and multiranges: flags, then the bounds there are (`range_send` in
//! `rangetypes.c`, `multirange_send` in `multirangetypes.c`).

mod codec;
mod parse;

use std::fmt;
use std::ops::{self, Bound, RangeBounds};

use super::{Encode, quote};

pub use self::parse::ParseRangeError;

/// A range over values of type `T`, of whatever range type has `T` as its subtype: those
/// that every server has, and those that a database adds.
///
/// The ranges of the standard library can be parameters too: `1..10`, `1..=10`, `1..`.
///
/// What is read is what the server keeps. It brings ranges over discrete types into the form
/// `[lower,upper)`, ranges without room between their bounds become [`Range::Empty`], and
/// it refuses those whose lower bound is above the upper one.
///
/// # Example
///
/// ```
/// use std::ops::Bound;
/// use kornak::codec::Range;
///
/// let range = Range::from(1..10);
/// assert_eq!(range.to_string(), "[1,10)");
/// assert_eq!("[1,10)".parse(), Ok(range));
/// assert!(range.contains(&1) && !range.contains(&10));
///
/// let open = Range::Between(Bound::Excluded(1.5), Bound::Unbounded);
/// assert_eq!(open.to_string(), "(1.5,)");
/// assert_eq!(Range::<i32>::Empty.to_string(), "empty");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Range<T> {
    /// Contains nothing.
    Empty,
    /// Contains what is between a lower and an upper bound.
    Between(Bound<T>, Bound<T>),
}

/// A set of ranges.
///
/// What is read is what the server keeps: sorted, without empty ranges, and without ranges
/// that overlap or touch.
///
/// # Example
///
/// ```
/// use kornak::codec::{Multirange, Range};
///
/// let set = Multirange(vec![Range::from(1..3), Range::from(7..)]);
/// assert_eq!(set.to_string(), "{[1,3),[7,)}");
/// assert_eq!("{[1,3), [7,)}".parse(), Ok(set));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Multirange<T>(pub Vec<Range<T>>);

impl<T> Range<T> {
    /// The range of a range of the standard library.
    ///
    /// # Example
    ///
    /// ```
    /// use std::ops::Bound;
    /// use kornak::codec::Range;
    ///
    /// let bounds = (Bound::Excluded(1), Bound::Included(5));
    /// assert_eq!(Range::from_bounds(bounds).to_string(), "(1,5]");
    /// ```
    pub fn from_bounds(bounds: impl RangeBounds<T>) -> Self
    where
        T: Clone,
    {
        Self::Between(bounds.start_bound().cloned(), bounds.end_bound().cloned())
    }

    /// Whether it is [`Range::Empty`]. Bounds without room between them are not looked at.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// The lower bound, unless it is empty.
    pub fn lower(&self) -> Option<Bound<&T>> {
        match self {
            Self::Empty => None,
            Self::Between(lower, _) => Some(lower.as_ref()),
        }
    }

    /// The upper bound, unless it is empty.
    pub fn upper(&self) -> Option<Bound<&T>> {
        match self {
            Self::Empty => None,
            Self::Between(_, upper) => Some(upper.as_ref()),
        }
    }

    /// Whether `value` lies in it.
    pub fn contains(&self, value: &T) -> bool
    where
        T: PartialOrd,
    {
        match self {
            Self::Empty => false,
            Self::Between(lower, upper) => (lower.as_ref(), upper.as_ref()).contains(value),
        }
    }

    /// The same range over other values.
    pub fn map<U>(self, mut convert: impl FnMut(T) -> U) -> Range<U> {
        match self {
            Self::Empty => Range::Empty,
            Self::Between(lower, upper) => {
                Range::Between(lower.map(&mut convert), upper.map(&mut convert))
            }
        }
    }
}

impl<T> From<ops::Range<T>> for Range<T> {
    fn from(range: ops::Range<T>) -> Self {
        Self::Between(Bound::Included(range.start), Bound::Excluded(range.end))
    }
}

impl<T> From<ops::RangeInclusive<T>> for Range<T> {
    fn from(range: ops::RangeInclusive<T>) -> Self {
        let (start, end) = range.into_inner();
        Self::Between(Bound::Included(start), Bound::Included(end))
    }
}

impl<T> From<ops::RangeFrom<T>> for Range<T> {
    fn from(range: ops::RangeFrom<T>) -> Self {
        Self::Between(Bound::Included(range.start), Bound::Unbounded)
    }
}

impl<T> From<ops::RangeTo<T>> for Range<T> {
    fn from(range: ops::RangeTo<T>) -> Self {
        Self::Between(Bound::Unbounded, Bound::Excluded(range.end))
    }
}

impl<T> From<ops::RangeToInclusive<T>> for Range<T> {
    fn from(range: ops::RangeToInclusive<T>) -> Self {
        Self::Between(Bound::Unbounded, Bound::Included(range.end))
    }
}

impl<T> From<ops::RangeFull> for Range<T> {
    fn from(_: ops::RangeFull) -> Self {
        Self::Between(Bound::Unbounded, Bound::Unbounded)
    }
}

impl<T> FromIterator<Range<T>> for Multirange<T> {
    fn from_iter<I: IntoIterator<Item = Range<T>>>(ranges: I) -> Self {
        Self(ranges.into_iter().collect())
    }
}

/// As the server prints it, if the bounds are shown as the server prints them. Floats are.
impl<T: fmt::Display + Encode> fmt::Display for Range<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Between(lower, upper) = self else {
            return f.write_str("empty");
        };
        match lower {
            Bound::Included(value) => write!(f, "[{}", Quoted(value))?,
            Bound::Excluded(value) => write!(f, "({}", Quoted(value))?,
            Bound::Unbounded => f.write_str("(")?,
        }
        f.write_str(",")?;
        match upper {
            Bound::Included(value) => write!(f, "{}]", Quoted(value)),
            Bound::Excluded(value) => write!(f, "{})", Quoted(value)),
            Bound::Unbounded => f.write_str(")"),
        }
    }
}

/// As the server prints it, if the bounds are shown as the server prints them. Floats are.
impl<T: fmt::Display + Encode> fmt::Display for Multirange<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, range) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{range}")?;
        }
        f.write_str("}")
    }
}

/// A bound as the server prints it.
struct AsServer<'a, T>(&'a T);

impl<T: fmt::Display + Encode> fmt::Display for AsServer<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_as_server(f)
    }
}

/// A bound, in quotes where its text would be misread (`range_bound_escape`).
struct Quoted<'a, T>(&'a T);

impl<T: fmt::Display + Encode> fmt::Display for Quoted<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        quote::write_quoted(f, &AsServer(self.0).to_string(), |character| {
            matches!(character, '"' | '\\' | '(' | ')' | '[' | ']' | ',')
                || quote::is_space(character)
        })
    }
}
