//! The sinks of the verbs: what becomes of a statement's replies.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::catalog::KnownTypes;
use crate::error::{Error, ErrorKind, Outcome, Result, ServerError};
use crate::protocol::{At, Part, RowBytes, Sink};
use crate::row::{Column, Columns, FromRow, Plans, Reading, RowRef, VisitPlans};
use crate::wire::backend::{
    CommandComplete, FieldDescription, ParameterDescription, RowDescription,
};

/// What a verb makes of the rows.
pub trait Collector {
    /// Whether large rows are worth lifting out of the read buffer.
    const SHARES_ROWS: bool = false;

    /// Whether a row that can't be read pauses the exchange. Else the rest is passed over,
    /// so that the connection is at rest when the error is told.
    const STOPS_AT_FAILURE: bool = false;

    /// Whether the number in the command tag is asked for, in a pipeline.
    const COUNTS_ROWS: bool = false;

    /// Whether the rows matter at all.
    const WANTS_ROWS: bool = true;

    /// The columns are known: types are checked here, once.
    ///
    /// # Errors
    ///
    /// If the rows can't be read as the verb wants them.
    fn begin(&mut self, columns: &Columns, plans: &mut Plans) -> Result<()>;

    /// As [`begin`](Self::begin), for the statement that `other` was begun for. Returns whether
    /// that could be done.
    #[inline]
    fn begin_as(&mut self, other: &Self) -> bool {
        let _ = other;
        false
    }

    /// A row. `Break` pauses the exchange.
    ///
    /// # Errors
    ///
    /// If the row can't be read. No further row is offered.
    fn row(&mut self, row: RowBytes<'_>) -> Result<ControlFlow<()>>;
}

/// Hears the replies of a statement whose columns are known.
pub(crate) struct WarmSink<'a, C> {
    pub(crate) collector: &'a mut C,
    pub(crate) reply: Reply,
    /// What the statement returned when it was described; it may be described again.
    pub(crate) expected: Option<&'a Columns>,
}

/// Hears the replies of a statement that is described with this exchange.
pub(crate) struct ColdSink<'a, C> {
    warm: WarmSink<'a, C>,
    types: &'a KnownTypes,
    learnt: Learnt,
    may_hold: bool,
}

/// What the server answered to one statement.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// The first error, and the part of the flight it belongs to.
    pub(crate) error: Option<Box<(Part, ServerError)>>,
    /// What this side could not do with the rows.
    pub(crate) failure: Option<Error>,
    pub(crate) parsed: bool,
    pub(crate) bound: bool,
    pub(crate) suspended: bool,
    /// The result is another one than when the statement was described.
    pub(crate) changed: bool,
    /// The number in the command tag.
    pub(crate) rows: u64,
    /// Whether the command was COMMIT or ROLLBACK, as it was answered.
    pub(crate) command: Command,
}

/// The commands whose answer matters to the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Command {
    #[default]
    Other,
    Commit,
    Rollback,
}

/// What the server says of a statement when it is prepared.
#[derive(Debug, Default)]
pub(crate) struct Learnt {
    pub(crate) parameters: Vec<u32>,
    pub(crate) columns: Option<Columns>,
    /// The rows of a result with types that aren't known yet, each behind its length.
    pub(crate) held: Option<Vec<u8>>,
}

impl<'a, C> WarmSink<'a, C> {
    #[inline]
    pub(crate) fn new(collector: &'a mut C) -> Self {
        Self {
            collector,
            reply: Reply::default(),
            expected: None,
        }
    }

    /// Takes no rows but of these columns, where the statement is described again.
    #[inline]
    pub(crate) fn expecting(mut self, columns: &'a Columns) -> Self {
        self.expected = Some(columns);
        self
    }
}

impl<'a, C> ColdSink<'a, C> {
    pub(crate) fn new(collector: &'a mut C, types: &'a KnownTypes) -> Self {
        Self {
            warm: WarmSink::new(collector),
            types,
            learnt: Learnt::default(),
            may_hold: true,
        }
    }

    /// Has rows with types that aren't known refused, instead of held back until they are.
    pub(crate) fn without_holding(mut self) -> Self {
        self.may_hold = false;
        self
    }

    /// Whether the server has bound the statement's parameters.
    pub(crate) fn is_bound(&self) -> bool {
        self.warm.reply.bound
    }

    /// What the server answered, and what it said of the statement, if it said all.
    pub(crate) fn into_parts(self) -> (Reply, Option<Learnt>) {
        let is_whole = self.learnt.columns.is_some();
        (self.warm.reply, is_whole.then_some(self.learnt))
    }
}

impl<C: Collector> Sink for WarmSink<'_, C> {
    #[inline]
    fn shares_rows(&self) -> bool {
        C::SHARES_ROWS
    }

    fn on_row_description(&mut self, _: At, fields: Option<RowDescription<'_>>) {
        if let Some(expected) = self.expected {
            self.reply.compare(expected, fields);
        }
    }

    #[inline]
    fn on_bind_complete(&mut self, _: At) {
        self.reply.bound = true;
    }

    #[inline(always)]
    fn on_row(&mut self, _: At, row: RowBytes<'_>) -> ControlFlow<()> {
        if self.reply.failure.is_some() {
            return ControlFlow::Continue(());
        }
        match self.collector.row(row) {
            Ok(flow) => flow,
            Err(error) => self.reply.fail_locally(error, C::STOPS_AT_FAILURE),
        }
    }

    #[inline]
    fn on_complete(&mut self, _: At, command: CommandComplete<'_>) {
        self.reply.complete(command);
    }

    fn on_suspended(&mut self, _: At) {
        self.reply.suspended = true;
    }

    fn on_error(&mut self, at: At, error: ServerError) {
        self.reply.fail(at.part, error);
    }
}

impl<C: Collector> Sink for ColdSink<'_, C> {
    #[inline]
    fn shares_rows(&self) -> bool {
        C::SHARES_ROWS
    }

    fn on_parse_complete(&mut self, _: At) {
        self.warm.reply.parsed = true;
    }

    fn on_bind_complete(&mut self, at: At) {
        self.warm.on_bind_complete(at);
    }

    fn on_parameter_description(&mut self, _: At, parameters: ParameterDescription<'_>) {
        self.learnt.parameters = parameters.oids().collect();
    }

    fn on_row_description(&mut self, _: At, fields: Option<RowDescription<'_>>) {
        let columns = columns_of(self.types, fields);
        if columns
            .iter()
            .any(|column| !self.types.knows(column.ty().oid()))
        {
            if self.may_hold {
                self.learnt.held = Some(Vec::new());
            } else {
                self.warm.reply.change();
            }
        } else {
            let asked = columns.asked_in_binary();
            let begun = self.warm.collector.begin(&asked, &mut Plans::default());
            self.warm.reply.failure = begun.err();
        }
        self.learnt.columns = Some(columns);
    }

    fn on_row(&mut self, at: At, row: RowBytes<'_>) -> ControlFlow<()> {
        let Some(held) = &mut self.learnt.held else {
            return self.warm.on_row(at, row);
        };
        // A body is shorter than the protocol's limit of 2³¹ bytes.
        held.extend_from_slice(&(row.body().len() as u32).to_be_bytes());
        held.extend_from_slice(row.body());
        ControlFlow::Continue(())
    }

    fn on_complete(&mut self, at: At, command: CommandComplete<'_>) {
        self.warm.on_complete(at, command);
    }

    fn on_suspended(&mut self, at: At) {
        self.warm.on_suspended(at);
    }

    fn on_error(&mut self, at: At, error: ServerError) {
        self.warm.on_error(at, error);
    }
}

impl Reply {
    /// A row can't be read: the rest is passed over, unless `stops`.
    #[cold]
    pub(crate) fn fail_locally(&mut self, error: Error, stops: bool) -> ControlFlow<()> {
        // After a malformed row nothing that follows can be trusted.
        let stops = stops || error.kind() == ErrorKind::Protocol;
        self.failure = Some(error);
        if stops {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    #[inline]
    pub(crate) fn complete(&mut self, command: CommandComplete<'_>) {
        self.rows = command.rows();
        if command.is("COMMIT") {
            self.command = Command::Commit;
        } else if command.is("ROLLBACK") {
            self.command = Command::Rollback;
        }
    }

    /// Compares the result with what it was when the statement was described.
    #[cold]
    pub(crate) fn compare(&mut self, expected: &Columns, fields: Option<RowDescription<'_>>) {
        let fields = fields.map(|fields| fields.fields());
        let found = fields
            .into_iter()
            .flatten()
            .map(|field| (field.type_oid, String::from_utf8_lossy(field.name)));
        let known = expected
            .iter()
            .map(|column| (column.ty().oid(), column.name().into()));
        let is_same = found.eq(known);
        if !is_same {
            self.change();
        }
    }

    /// The result is another than the one that was described.
    #[cold]
    fn change(&mut self) {
        self.changed = true;
        self.failure = Some(result_changed());
    }

    pub(crate) fn fail(&mut self, part: Part, error: ServerError) {
        if self.error.is_none() {
            self.error = Some(Box::new((part, error)));
        }
    }

    /// The reply of a statement that went well.
    ///
    /// # Errors
    ///
    /// The server's error before this side's own.
    #[inline]
    pub(crate) fn check(self) -> Result<Self> {
        match self {
            Self {
                error: Some(error), ..
            } => Err(server_error(*error)),
            Self {
                failure: Some(failure),
                ..
            } => Err(failure),
            fine => Ok(fine),
        }
    }
}

#[cold]
pub(crate) fn result_changed() -> Error {
    Error::new(
        ErrorKind::Decode,
        "the result of the statement has changed since it was described, by another \
         session's command or because the pooler chose another server; nothing of it \
         was read, and it is described anew the next time",
    )
}

/// The error of a part of a flight.
pub(crate) fn server_error((part, error): (Part, ServerError)) -> Error {
    let error = Error::server(error);
    match part {
        Part::Prefix(_) => error
            .with_context("the transaction could not be begun")
            .with_outcome(Outcome::NotRun),
        Part::Statement(_) | Part::Sync => error,
    }
}

/// The columns of a RowDescription, as binary; a type that was not looked up stays unknown.
pub(crate) fn columns_of(types: &KnownTypes, fields: Option<RowDescription<'_>>) -> Columns {
    let fields = fields.map(|fields| fields.fields());
    let column = |field: FieldDescription<'_>| {
        let name = String::from_utf8_lossy(field.name);
        let ty = types.ty(field.type_oid);
        Column::new(
            &name,
            ty,
            field.table_oid,
            field.column_id,
            field.type_size,
            field.type_modifier,
        )
    };
    Columns::new(fields.into_iter().flatten().map(column).collect())
}

/// Wants no rows: what comes belongs to nobody.
pub(crate) struct Nothing;

impl Sink for Nothing {
    fn on_row(&mut self, _: At, _: RowBytes<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn on_error(&mut self, _: At, _: ServerError) {}
}

/// Passes over the rows: `execute`.
pub struct Ignore;

impl Collector for Ignore {
    const COUNTS_ROWS: bool = true;
    const WANTS_ROWS: bool = false;

    fn begin(&mut self, _: &Columns, _: &mut Plans) -> Result<()> {
        Ok(())
    }

    #[inline]
    fn begin_as(&mut self, _: &Self) -> bool {
        true
    }

    #[inline(always)]
    fn row(&mut self, _: RowBytes<'_>) -> Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }
}

/// Keeps all rows: `fetch_all`.
pub struct All<T> {
    reading: Option<Arc<Reading>>,
    pub(crate) rows: Vec<T>,
}

impl<T> All<T> {
    pub(crate) fn new() -> Self {
        Self {
            reading: None,
            rows: Vec::new(),
        }
    }
}

impl<T: for<'r> FromRow<'r>> Collector for All<T> {
    const SHARES_ROWS: bool = <T as FromRow<'static>>::SHARES_ROWS;

    fn begin(&mut self, columns: &Columns, plans: &mut Plans) -> Result<()> {
        self.reading = Some(plans.reading::<T>(columns)?);
        Ok(())
    }

    #[inline]
    fn begin_as(&mut self, other: &Self) -> bool {
        self.reading.clone_from(&other.reading);
        self.reading.is_some()
    }

    #[inline(always)]
    fn row(&mut self, row: RowBytes<'_>) -> Result<ControlFlow<()>> {
        let Some(reading) = &self.reading else {
            return Err(row_without_columns());
        };
        self.rows.push(reading.read(row)?);
        Ok(ControlFlow::Continue(()))
    }
}

/// Keeps one row, and knows of a second: `fetch_one`, `fetch_optional`.
pub struct One<T> {
    reading: Option<Arc<Reading>>,
    row: Option<T>,
    more: bool,
}

impl<T> One<T> {
    pub(crate) fn new() -> Self {
        Self {
            reading: None,
            row: None,
            more: false,
        }
    }

    /// # Errors
    ///
    /// If there was more than one row.
    #[inline]
    pub(crate) fn take_optional(&mut self) -> Result<Option<T>> {
        if self.more {
            return Err(too_many_rows());
        }
        Ok(self.row.take())
    }

    /// # Errors
    ///
    /// If there was no row, or more than one.
    #[inline]
    pub(crate) fn take_one(&mut self) -> Result<T> {
        match self.row.take() {
            Some(row) if !self.more => Ok(row),
            Some(_) => Err(too_many_rows()),
            None => Err(no_row()),
        }
    }
}

#[cold]
fn too_many_rows() -> Error {
    Error::new(
        ErrorKind::TooManyRows,
        "the query returned more than one row",
    )
}

#[cold]
fn no_row() -> Error {
    Error::new(ErrorKind::NoRows, "the query returned no row")
}

impl<T: for<'r> FromRow<'r>> Collector for One<T> {
    const SHARES_ROWS: bool = <T as FromRow<'static>>::SHARES_ROWS;

    fn begin(&mut self, columns: &Columns, plans: &mut Plans) -> Result<()> {
        self.reading = Some(plans.reading::<T>(columns)?);
        Ok(())
    }

    #[inline]
    fn begin_as(&mut self, other: &Self) -> bool {
        self.reading.clone_from(&other.reading);
        self.reading.is_some()
    }

    #[inline(always)]
    fn row(&mut self, row: RowBytes<'_>) -> Result<ControlFlow<()>> {
        let Some(reading) = &self.reading else {
            return Err(row_without_columns());
        };
        if self.row.is_some() {
            self.more = true;
        } else {
            self.row = Some(reading.read(row)?);
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Hands out rows a few at a time: `fetch`.
pub(crate) struct Batch<T> {
    reading: Option<Arc<Reading>>,
    pub(crate) rows: VecDeque<T>,
}

/// How many rows a stream reads ahead, of those that have arrived.
const BATCH: usize = 32;

impl<T> Batch<T> {
    pub(crate) fn new() -> Self {
        Self {
            reading: None,
            rows: VecDeque::new(),
        }
    }
}

impl<T: for<'r> FromRow<'r>> Collector for Batch<T> {
    const SHARES_ROWS: bool = <T as FromRow<'static>>::SHARES_ROWS;
    const STOPS_AT_FAILURE: bool = true;

    fn begin(&mut self, columns: &Columns, plans: &mut Plans) -> Result<()> {
        self.reading = Some(plans.reading::<T>(columns)?);
        Ok(())
    }

    #[inline(always)]
    fn row(&mut self, row: RowBytes<'_>) -> Result<ControlFlow<()>> {
        let Some(reading) = &self.reading else {
            return Err(row_without_columns());
        };
        self.rows.push_back(reading.read(row)?);
        Ok(if self.rows.len() < BATCH {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    }
}

/// Shows each row to a closure, where it lies: `for_each`. The closure returns in two registers
/// what is to be done: to stop, with or without an error.
pub(crate) struct Visit<F> {
    columns: Option<Columns>,
    plans: VisitPlans,
    visitor: F,
}

impl<F> Visit<F> {
    pub(crate) fn new(visitor: F) -> Self {
        Self {
            columns: None,
            plans: VisitPlans::default(),
            visitor,
        }
    }

    /// The plans that the visit worked out or was lent, and the columns that they are for.
    pub(crate) fn into_plans(self) -> Option<(Columns, Plans)> {
        Some((self.columns?, self.plans.into_plans()))
    }
}

impl<F: FnMut(RowRef<'_>) -> ControlFlow<Option<Error>>> Collector for Visit<F> {
    /// Which types rows are read into is not known before the visitor reads them: it gets all
    /// plans of the statement, which come back when the visit is over.
    fn begin(&mut self, columns: &Columns, plans: &mut Plans) -> Result<()> {
        self.columns = Some(columns.clone());
        self.plans = VisitPlans::new(std::mem::take(plans));
        Ok(())
    }

    #[inline(always)]
    fn row(&mut self, row: RowBytes<'_>) -> Result<ControlFlow<()>> {
        let Some(columns) = &self.columns else {
            return Err(row_without_columns());
        };
        match (self.visitor)(RowRef::new(columns, row)?.with_plans(&self.plans)) {
            ControlFlow::Continue(()) => Ok(ControlFlow::Continue(())),
            ControlFlow::Break(None) => Ok(ControlFlow::Break(())),
            ControlFlow::Break(Some(error)) => Err(error),
        }
    }
}

#[cold]
fn row_without_columns() -> Error {
    Error::protocol("the server sent a row for a statement without columns")
}

/// Hears a script: only what goes wrong counts.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) reply: Reply,
}

impl Sink for Script {
    fn on_row(&mut self, _: At, _: RowBytes<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn on_complete(&mut self, _: At, command: CommandComplete<'_>) {
        self.reply.complete(command);
    }

    fn on_error(&mut self, at: At, error: ServerError) {
        self.reply.fail(at.part, error);
    }
}
