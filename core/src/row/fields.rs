//! [`Fields`]: reads the fields of a row by a plan.

use super::cursor::RowCursor;
use super::plan::NO_COLUMN;
use crate::codec::Decode;
use crate::error::{DecodeError, Error, Result};

/// Reads the fields of a plan out of a row, in the plan's order.
#[derive(Clone, Debug)]
pub struct Fields<'r, 'p>(Way<'r, 'p>);

#[derive(Clone, Debug)]
enum Way<'r, 'p> {
    InOrder(RowCursor<'r>),
    Routed(Route<'r, 'p>),
}

/// What reads fields one after the other.
///
/// The derive macros' code is generic over it, so that rows whose columns come in the order
/// of the fields are read without asking for each field where it is.
#[doc(hidden)]
pub trait ReadFields<'r> {
    /// Reads the next field, which has a column.
    ///
    /// # Errors
    ///
    /// If the value can't be read into `T`, or the row is malformed.
    fn read<T: Decode<'r>>(&mut self) -> Result<T>;

    /// Reads the next field, or `default` where the result has no such column.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    fn read_or_default<T: Decode<'r>>(&mut self, default: impl FnOnce() -> T) -> Result<T>;

    /// Whether the next `count` fields are all NULL or without a column; passes over them if
    /// so.
    ///
    /// # Errors
    ///
    /// If the row is malformed.
    fn skip_nulls(&mut self, count: usize) -> Result<bool>;
}

/// The way through a row whose columns come in another order than the fields. It begins with
/// a walk over the whole row, which finds where the columns begin.
#[derive(Clone, Debug)]
pub(super) struct Route<'r, 'p> {
    start: RowCursor<'r>,
    /// The columns of the fields that are still to be read.
    sources: std::slice::Iter<'p, u16>,
    /// How far behind `start` the first columns lie.
    places: [u32; PLACES],
}

/// How many columns the places are remembered of; those behind are walked to from the last.
const PLACES: usize = 32;

impl<'r, 'p> Fields<'r, 'p> {
    #[inline]
    pub(super) fn new(sources: Option<&'p [u16]>, cursor: RowCursor<'r>) -> Result<Self> {
        Ok(Self(match sources {
            None => Way::InOrder(cursor),
            Some(sources) => Way::Routed(Route::new(sources, cursor)?),
        }))
    }

    /// Reads the next field. To be used without [`read_or_default`](Self::read_or_default)
    /// for fields that the plan requires.
    ///
    /// # Errors
    ///
    /// If the value can't be read into `T`, or the row is malformed.
    #[inline]
    pub fn read<T: Decode<'r>>(&mut self) -> Result<T> {
        match &mut self.0 {
            Way::InOrder(cursor) => cursor.read(),
            Way::Routed(route) => route.read(),
        }
    }

    /// Reads the next field, or `default` where the result has no such column.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    #[inline]
    pub fn read_or_default<T: Decode<'r>>(&mut self, default: impl FnOnce() -> T) -> Result<T> {
        match &mut self.0 {
            Way::InOrder(cursor) => cursor.read(),
            Way::Routed(route) => route.read_or_default(default),
        }
    }

    /// Checks that the row ends where its columns end.
    ///
    /// # Errors
    ///
    /// If it doesn't.
    #[inline]
    pub fn finish(self) -> Result<()> {
        match self.0 {
            Way::InOrder(cursor) => cursor.finish(),
            // The row was walked to its end when the route was made.
            Way::Routed(_) => Ok(()),
        }
    }
}

impl<'r> ReadFields<'r> for RowCursor<'r> {
    #[inline(always)]
    fn read<T: Decode<'r>>(&mut self) -> Result<T> {
        self.read()
    }

    #[inline(always)]
    fn read_or_default<T: Decode<'r>>(&mut self, _: impl FnOnce() -> T) -> Result<T> {
        self.read()
    }

    #[inline]
    fn skip_nulls(&mut self, count: usize) -> Result<bool> {
        let mut ahead = self.clone();
        for _ in 0..count {
            if ahead.take()?.1.is_some() {
                return Ok(false);
            }
        }
        *self = ahead;
        Ok(true)
    }
}

impl<'r> ReadFields<'r> for Route<'r, '_> {
    #[inline]
    fn read<T: Decode<'r>>(&mut self) -> Result<T> {
        match self.next()? {
            Some(mut cursor) => cursor.read(),
            None => Err(no_column()),
        }
    }

    #[inline]
    fn read_or_default<T: Decode<'r>>(&mut self, default: impl FnOnce() -> T) -> Result<T> {
        match self.next()? {
            Some(mut cursor) => cursor.read(),
            None => Ok(default()),
        }
    }

    fn skip_nulls(&mut self, count: usize) -> Result<bool> {
        let sources = self.sources.clone();
        for _ in 0..count {
            if let Some(mut cursor) = self.next()? {
                if cursor.take()?.1.is_some() {
                    self.sources = sources;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

impl<'r, 'p> Route<'r, 'p> {
    /// # Errors
    ///
    /// If the row is malformed, anywhere.
    #[inline]
    pub(super) fn new(sources: &'p [u16], start: RowCursor<'r>) -> Result<Self> {
        let mut places = [0; PLACES];
        let mut cursor = start.clone();
        for place in &mut places {
            if cursor.remaining() == 0 {
                break;
            }
            *place = start.distance(&cursor);
            cursor.skip()?;
        }
        cursor.finish()?;
        Ok(Self {
            start,
            sources: sources.iter(),
            places,
        })
    }

    /// A cursor that stands before the column of the next field, if that has one.
    #[inline(always)]
    fn next(&mut self) -> Result<Option<RowCursor<'r>>> {
        let source = match self.sources.next() {
            Some(&source) if source != NO_COLUMN => usize::from(source),
            _ => return Ok(None),
        };
        match self.places.get(source) {
            Some(&place) => Ok(Some(self.start.at(source, place))),
            None => self.walk_to(source).map(Some),
        }
    }

    #[inline(never)]
    fn walk_to(&self, source: usize) -> Result<RowCursor<'r>> {
        let mut cursor = self.start.at(PLACES - 1, self.places[PLACES - 1]);
        for _ in PLACES - 1..source {
            cursor.skip()?;
        }
        Ok(cursor)
    }
}

#[cold]
fn no_column() -> Error {
    DecodeError::new("a field of the row has no column").into()
}
