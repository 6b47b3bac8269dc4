//! [`Plan`]: how the columns of one statement become one Rust type, worked out once.

use std::sync::Arc;

use super::column::Columns;
use super::cursor::{RowRef, check_type, no_such_column};
use super::fields::Fields;
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

/// How many Rust types one statement keeps plans for.
const MAX_PLANS: usize = 16;

/// Stands for a field that has no column and gets its default.
pub(super) const NO_COLUMN: u16 = u16::MAX;

impl Plan {
    pub(crate) fn in_order() -> Self {
        Self {
            sources: Box::default(),
        }
    }

    /// The reader of one row.
    ///
    /// # Errors
    ///
    /// If the row is malformed.
    #[inline]
    pub fn fields<'r>(&self, row: RowRef<'r>) -> Result<Fields<'r, '_>> {
        Fields::new(self.sources(), row.cursor())
    }

    /// The column of each field, or `None` where the fields are the columns in their order.
    #[inline(always)]
    pub(super) fn sources(&self) -> Option<&[u16]> {
        if self.sources.is_empty() {
            None
        } else {
            Some(&self.sources)
        }
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
        if let Some(plan) = self.known::<T>() {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(T::plan(columns)?);
        if self.0.len() == MAX_PLANS {
            self.0.remove(0);
        }
        self.0.push((address::<T>(), Arc::clone(&plan)));
        Ok(plan)
    }

    /// The plan of `T`, if it has been worked out.
    #[inline]
    pub(super) fn known<'r, T: FromRow<'r>>(&self) -> Option<&Arc<Plan>> {
        let address = address::<T>();
        let mut plans = self.0.iter();
        plans
            .find(|(known, _)| *known == address)
            .map(|(_, plan)| plan)
    }
}

/// What a type is known by.
#[inline]
fn address<'r, T: FromRow<'r>>() -> usize {
    T::plan as fn(&Columns) -> Result<Plan> as usize
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
    let noun = if columns == 1 { "column" } else { "columns" };
    let are = if fields == 1 { "is" } else { "are" };
    DecodeError::new(format!(
        "the result has {columns} {noun}, but {fields} {are} read by position"
    ))
    .with_hint(
        "name just the columns that you read in the query, or derive FromRow to read by name",
    )
    .into()
}
