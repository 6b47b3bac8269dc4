//! [`Plan`]: how the columns of one statement become one Rust type, worked out once.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::column::Columns;
use super::cursor::{RowRef, check_type, no_such_column};
use super::fields::Fields;
use super::from_row::FromRow;
use crate::codec::Decode;
use crate::error::{DecodeError, Error, Result};
use crate::protocol::RowBytes;

/// Which column each field is read from, with all types checked.
///
/// Kept by the connection for each pair of statement and Rust type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The column of each field, or `None` where the fields are the columns in their order.
    sources: Option<Box<[u16]>>,
}

/// The plans of one statement, by Rust type.
///
/// A type is known by the address of its [`FromRow::plan`](super::FromRow::plan): types that
/// borrow have no `TypeId`, and lifetimes don't change an address. Where the compiler merges
/// two such functions, they are the same code and make the same plan; where it makes one of them
/// in two places, each has a plan of its own.
#[derive(Debug, Default)]
#[doc(hidden)]
pub struct Plans(Vec<(usize, Arc<Reading>)>);

/// How the rows of one result are read into one Rust type.
#[derive(Debug)]
#[doc(hidden)]
pub struct Reading {
    pub(crate) columns: Columns,
    pub(crate) plan: Plan,
}

/// The plans of one statement while its rows are visited.
///
/// Nearly every visit reads all rows as one type, whose fields are the columns in their order.
/// That type is known by one comparison, without a look at the others.
#[derive(Debug, Default)]
#[doc(hidden)]
pub struct VisitPlans {
    plans: RefCell<Plans>,
    /// The address of the last type that was read whose fields are the columns in their order,
    /// or 0, which no function has.
    in_order: Cell<usize>,
}

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

/// The plan of all types whose fields are the columns in their order.
static IN_ORDER: Plan = Plan::in_order();

/// How many Rust types one statement keeps plans for.
const MAX_PLANS: usize = 16;

/// Stands for a field that has no column and gets its default.
pub(super) const NO_COLUMN: u16 = u16::MAX;

impl Plan {
    pub(crate) const fn in_order() -> Self {
        Self { sources: None }
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
        self.sources.as_deref()
    }
}

impl Plans {
    /// How rows of `columns` are read into `T`, worked out when it is first asked for.
    ///
    /// # Errors
    ///
    /// If a column is missing or has another type.
    #[inline]
    #[doc(hidden)]
    pub fn reading<'r, T: FromRow<'r>>(&mut self, columns: &Columns) -> Result<Arc<Reading>> {
        let address = address::<T>();
        let mut known = self.0.iter();
        match known.find(|(known, reading)| *known == address && reading.columns.is(columns)) {
            Some((_, reading)) => Ok(Arc::clone(reading)),
            None => self.work_out::<T>(columns, address),
        }
    }

    /// `address` is the one that the caller looked for: the compiler may have made the function
    /// more than once, so that it has another one here.
    #[cold]
    fn work_out<'r, T: FromRow<'r>>(
        &mut self,
        columns: &Columns,
        address: usize,
    ) -> Result<Arc<Reading>> {
        let reading = Arc::new(Reading {
            columns: columns.clone(),
            plan: T::plan(columns)?,
        });
        self.0.retain(|(known, _)| *known != address);
        if self.0.len() == MAX_PLANS {
            self.0.remove(0);
        }
        self.0.push((address, Arc::clone(&reading)));
        Ok(reading)
    }
}

impl Reading {
    /// Reads a row.
    ///
    /// # Errors
    ///
    /// If it hasn't as many columns as were described, or a value can't be read.
    #[inline(always)]
    #[doc(hidden)]
    pub fn read<T: for<'r> FromRow<'r>>(&self, row: RowBytes<'_>) -> Result<T> {
        T::from_row(RowRef::new(&self.columns, row)?, &self.plan)
    }
}

impl VisitPlans {
    #[doc(hidden)]
    pub fn new(plans: Plans) -> Self {
        Self {
            plans: RefCell::new(plans),
            in_order: Cell::new(0),
        }
    }

    #[doc(hidden)]
    pub fn into_plans(self) -> Plans {
        self.plans.into_inner()
    }

    /// Reads a row of these columns, always the same for a visit, into `T`.
    ///
    /// # Errors
    ///
    /// If a column is missing, has another type, or its value can't be read.
    #[inline(always)]
    pub(super) fn read<'r, T: FromRow<'r>>(&self, row: &RowRef<'r>) -> Result<T> {
        let address = address::<T>();
        if self.in_order.get() == address {
            return T::from_row(*row, &IN_ORDER);
        }
        self.read_planned(row, address)
    }

    /// `address` is the one that the caller compares with, as in [`Plans`].
    #[inline(never)]
    fn read_planned<'r, T: FromRow<'r>>(&self, row: &RowRef<'r>, address: usize) -> Result<T> {
        // A decoder of the caller's own may read rows while the plans are lent to the row that
        // it belongs to; then nothing is kept.
        let Ok(mut plans) = self.plans.try_borrow_mut() else {
            return T::from_row(*row, &T::plan(row.columns())?);
        };
        let reading = plans.reading::<T>(row.columns())?;
        drop(plans);
        if reading.plan.sources().is_none() {
            self.in_order.set(address);
        }
        T::from_row(*row, &reading.plan)
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
            sources: (!in_order).then(|| self.sources.into()),
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

#[cfg(test)]
mod tests {
    use super::super::internals::{columns, row};
    use super::*;
    use crate::types::Type;

    /// Its fields come in another order than the columns.
    #[derive(Debug, PartialEq)]
    struct Turned<'r> {
        name: &'r str,
        id: i32,
    }

    impl<'r> FromRow<'r> for Turned<'r> {
        fn plan(columns: &Columns) -> Result<Plan> {
            let mut plan = PlanBuilder::new(columns);
            plan.named::<&str>("name")?;
            plan.named::<i32>("id")?;
            Ok(plan.finish())
        }

        fn from_row(row: RowRef<'r>, plan: &Plan) -> Result<Self> {
            let mut fields = plan.fields(row)?;
            let (name, id) = (fields.read()?, fields.read()?);
            fields.finish()?;
            Ok(Self { name, id })
        }
    }

    fn id_and_name() -> Columns {
        columns(&[("id", Type::INT4), ("name", Type::TEXT)])
    }

    const BODY: &[u8] = b"\0\x02\0\0\0\x04\0\0\0\x07\0\0\0\x03abc";

    #[test]
    fn a_visit_may_read_its_rows_as_several_types() {
        let columns = id_and_name();
        let plans = VisitPlans::default();
        for _ in 0..3 {
            let row = row(&columns, BODY).unwrap().with_plans(&plans);
            assert_eq!(row.read::<(i32, &str)>().unwrap(), (7, "abc"));
            let turned = Turned { name: "abc", id: 7 };
            assert_eq!(row.read::<Turned<'_>>().unwrap(), turned);
            assert_eq!(row.read::<(i32, &str)>().unwrap(), (7, "abc"));
            assert_eq!(row.read::<(i64, String)>().unwrap(), (7, "abc".to_owned()));
            assert!(row.read::<(&str, i32)>().is_err());
            assert!(row.read::<i32>().is_err(), "there are two columns");
        }
    }

    #[test]
    fn a_plan_is_one_of_the_columns_that_it_was_made_for() {
        let (one, other) = (id_and_name(), id_and_name());
        let mut plans = Plans::default();
        let first = plans.reading::<(i32, &str)>(&one).unwrap();
        assert!(Arc::ptr_eq(
            &first,
            &plans.reading::<(i32, &str)>(&one).unwrap()
        ));
        let second = plans.reading::<(i32, &str)>(&other).unwrap();
        assert!(second.columns.is(&other));
        assert_eq!(
            plans.0.len(),
            1,
            "what was known of the former columns is forgotten"
        );
    }
}
