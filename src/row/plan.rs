//! [`Plan`]: how the columns of one statement become one Rust type, worked out once.

use std::sync::Arc;

use super::column::Columns;
use super::cursor::{RowCursor, RowRef, check_type, no_such_column};
use super::from_row::FromRow;
use crate::codec::Decode;
use crate::error::{DecodeError, Error, Result};

/// Which column each field is read from, with all types checked.
///
/// Kept by the connection for each pair of statement and Rust type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The column of each field; empty where the fields are the columns in their order.
    sources: Box<[u16]>,
}

/// The plans of one statement, by Rust type.
///
/// A type is known by the address of its [`FromRow::plan`](super::FromRow::plan): types that
/// borrow have no `TypeId`, and lifetimes don't change an address. Where the compiler merges
/// two such functions, they are the same code and make the same plan.
#[derive(Debug, Default)]
pub struct Plans(Vec<(usize, Arc<Plan>)>);

/// Builds a [`Plan`] field by field, in the order in which the fields will be read.
///
/// For code that implements [`FromRow`](super::FromRow), above all the derive macro's.
#[derive(Debug)]
pub struct PlanBuilder<'c> {
    columns: &'c Columns,
    sources: Vec<u16>,
    /// What stands in front of the names that are asked for.
    prefix: String,
}

/// Reads the fields of a plan out of a row, in the plan's order.
#[derive(Clone, Debug)]
pub struct Fields<'r, 'p> {
    cursor: RowCursor<'r>,
    /// `None` where the fields are the columns in their order.
    route: Option<Route<'r, 'p>>,
}

/// The way through a row whose columns come in another order than the fields.
#[derive(Clone, Debug)]
struct Route<'r, 'p> {
    /// The columns of the fields that are still to be read.
    sources: std::slice::Iter<'p, u16>,
    start: RowCursor<'r>,
    /// The column that the cursor stands before.
    position: usize,
    /// Where columns begin, as far as they have been passed: what lies behind is not walked
    /// to again.
    places: [u32; PLACES],
    /// How many of `places` are in use.
    known: usize,
}

/// How many Rust types one statement keeps plans for.
const MAX_PLANS: usize = 16;

/// How many columns a row remembers the places of; those behind are walked to from the last.
const PLACES: usize = 32;

/// Stands for a field that has no column and gets its default.
const NO_COLUMN: u16 = u16::MAX;

impl Plan {
    pub(crate) fn in_order() -> Self {
        Self {
            sources: Box::default(),
        }
    }

    /// The reader of one row.
    #[inline]
    pub fn fields<'r>(&self, row: RowRef<'r>) -> Fields<'r, '_> {
        let cursor = row.cursor();
        let route = if self.sources.is_empty() {
            None
        } else {
            Some(Route::new(&self.sources, cursor.clone()))
        };
        Fields { cursor, route }
    }
}

impl Plans {
    /// The plan of `T`, worked out when it is first asked for.
    ///
    /// # Errors
    ///
    /// If a column is missing or has another type.
    #[inline]
    pub(crate) fn plan<'r, T: FromRow<'r>>(&mut self, columns: &Columns) -> Result<Arc<Plan>> {
        let address = T::plan as fn(&Columns) -> Result<Plan> as usize;
        if let Some((_, plan)) = self.0.iter().find(|(known, _)| *known == address) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(T::plan(columns)?);
        if self.0.len() == MAX_PLANS {
            self.0.remove(0);
        }
        self.0.push((address, Arc::clone(&plan)));
        Ok(plan)
    }
}

impl<'c> PlanBuilder<'c> {
    /// A plan over `columns`.
    pub fn new(columns: &'c Columns) -> Self {
        Self {
            columns,
            sources: Vec::new(),
            prefix: String::new(),
        }
    }

    /// The next field is read from the column `name`.
    ///
    /// # Errors
    ///
    /// If there is no such column, several have the name, or `T` doesn't read its type.
    pub fn named<'r, T: Decode<'r>>(&mut self, name: &str) -> Result<()> {
        if !self.named_or_default::<T>(name)? {
            return Err(no_such_column(
                &format_args!("\"{}{}\"", self.prefix.escape_debug(), name.escape_debug()),
                self.columns,
            ));
        }
        Ok(())
    }

    /// As [`named`](Self::named), but a column that is missing leaves the field to its
    /// default. Returns whether there is one.
    ///
    /// # Errors
    ///
    /// If several columns have the name, or `T` doesn't read its type.
    pub fn named_or_default<'r, T: Decode<'r>>(&mut self, name: &str) -> Result<bool> {
        let mut positions = self
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| column.name.strip_prefix(&*self.prefix) == Some(name));
        let Some((position, column)) = positions.next() else {
            self.sources.push(NO_COLUMN);
            return Ok(false);
        };
        if positions.next().is_some() {
            return Err(ambiguous(&column.name));
        }
        check_type::<T>(column)?;
        self.push(position)?;
        Ok(true)
    }

    /// The names that `plan` asks for are those of columns without `prefix` in front.
    ///
    /// # Errors
    ///
    /// Those of `plan`.
    pub fn prefixed(
        &mut self,
        prefix: &str,
        plan: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let length = self.prefix.len();
        self.prefix.push_str(prefix);
        let planned = plan(self);
        self.prefix.truncate(length);
        planned
    }

    /// The next field is read from the column at the next position, whatever its name.
    ///
    /// # Errors
    ///
    /// If there is none, or `T` doesn't read its type.
    pub fn positional<'r, T: Decode<'r>>(&mut self) -> Result<()> {
        let position = self.sources.len();
        let Some(column) = self.columns.get(position) else {
            return Err(wrong_width(self.columns.len(), position + 1));
        };
        check_type::<T>(column)?;
        self.push(position)
    }

    /// Ends a plan of fields by position, which must name all columns.
    ///
    /// # Errors
    ///
    /// If there are more columns than fields.
    pub fn finish_positional(self) -> Result<Plan> {
        if self.sources.len() != self.columns.len() {
            return Err(wrong_width(self.columns.len(), self.sources.len()));
        }
        Ok(self.finish())
    }

    /// Ends a plan of fields by name.
    pub fn finish(self) -> Plan {
        let in_order = self
            .sources
            .iter()
            .enumerate()
            .all(|(index, &source)| index == usize::from(source));
        Plan {
            sources: if in_order {
                Box::default()
            } else {
                self.sources.into()
            },
        }
    }

    fn push(&mut self, position: usize) -> Result<()> {
        // The protocol counts columns in 16 bits, the server allows 1,664.
        let source = u16::try_from(position)
            .ok()
            .filter(|&source| source != NO_COLUMN);
        self.sources
            .push(source.ok_or_else(|| Error::usage("a row has too many columns"))?);
        Ok(())
    }
}

impl<'r> Fields<'r, '_> {
    /// Reads the next field. To be used without [`read_or_default`](Self::read_or_default)
    /// for fields that the plan requires.
    ///
    /// # Errors
    ///
    /// If the value can't be read into `T`, or the row is malformed.
    #[inline]
    pub fn read<T: Decode<'r>>(&mut self) -> Result<T> {
        match &mut self.route {
            None => self.cursor.read(),
            Some(route) => {
                if route.next(&mut self.cursor)? {
                    self.cursor.read()
                } else {
                    Err(no_column())
                }
            }
        }
    }

    /// Reads the next field, or `default` where the result has no such column.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    #[inline]
    pub fn read_or_default<T: Decode<'r>>(&mut self, default: impl FnOnce() -> T) -> Result<T> {
        match &mut self.route {
            None => self.cursor.read(),
            Some(route) => {
                if route.next(&mut self.cursor)? {
                    self.cursor.read()
                } else {
                    Ok(default())
                }
            }
        }
    }

    /// Whether the next `count` fields are all NULL or without a column; passes over them if
    /// so.
    ///
    /// # Errors
    ///
    /// If the row is malformed.
    pub fn skip_nulls(&mut self, count: usize) -> Result<bool> {
        let mut ahead = self.clone();
        for _ in 0..count {
            let has_column = match &mut ahead.route {
                None => true,
                Some(route) => route.next(&mut ahead.cursor)?,
            };
            if has_column && ahead.cursor.take()?.1.is_some() {
                return Ok(false);
            }
        }
        *self = ahead;
        Ok(true)
    }

    /// Checks that the row ends where its columns end.
    ///
    /// # Errors
    ///
    /// If it doesn't.
    #[inline]
    pub fn finish(self) -> Result<()> {
        self.cursor.finish()
    }
}

impl<'r, 'p> Route<'r, 'p> {
    fn new(sources: &'p [u16], start: RowCursor<'r>) -> Self {
        Self {
            sources: sources.iter(),
            start,
            position: 0,
            places: [0; PLACES],
            known: 1,
        }
    }

    /// Takes `cursor` to the column of the next field, which the caller then reads. `false`
    /// if the field has no column.
    fn next(&mut self, cursor: &mut RowCursor<'r>) -> Result<bool> {
        let source = match self.sources.next() {
            Some(&source) if source != NO_COLUMN => usize::from(source),
            _ => return Ok(false),
        };
        self.note(cursor);
        let nearest = source.min(self.known - 1);
        if source < self.position || nearest > self.position {
            *cursor = self.start.at(nearest, self.places[nearest]);
            self.position = nearest;
        }
        while self.position < source {
            cursor.skip()?;
            self.position += 1;
            self.note(cursor);
        }
        self.position += 1;
        Ok(true)
    }

    /// Remembers the place of the column at `position`.
    fn note(&mut self, cursor: &RowCursor<'r>) {
        if self.position == self.known && self.known < PLACES {
            self.places[self.known] = self.start.distance(cursor);
            self.known += 1;
        }
    }
}

#[cold]
fn ambiguous(name: &str) -> Error {
    DecodeError::new(format!(
        "several columns are named \"{}\"",
        name.escape_debug()
    ))
    .with_hint("give them names of their own with AS")
    .into()
}

#[cold]
fn wrong_width(columns: usize, fields: usize) -> Error {
    let are = if columns == 1 {
        "column is"
    } else {
        "columns are"
    };
    DecodeError::new(format!(
        "the result has {columns} columns, but {fields} {are} read by position"
    ))
    .with_hint(
        "name just the columns that you read in the query, or derive FromRow to read by name",
    )
    .into()
}

#[cold]
fn no_column() -> Error {
    DecodeError::new("a field of the row has no column").into()
}
