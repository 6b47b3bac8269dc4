//! The sinks of the verbs: what becomes of a statement's replies.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::catalog::Catalog;
use crate::error::{Error, ErrorKind, Outcome, Result, ServerError};
use crate::protocol::{At, Part, RowBytes, Sink};
use crate::row::{Column, Columns, FromRow, Plan, Plans, RowRef};
use crate::wire::backend::{
    CommandComplete, FieldDescription, ParameterDescription, RowDescription,
};

/// What a verb makes of the rows.
pub(crate) trait Collector {
    /// Whether large rows are worth lifting out of the read buffer.
    const SHARES_ROWS: bool = false;

    /// Whether a row that can't be read pauses the exchange. Else the rest is passed over,
    /// so that the connection is at rest when the error is told.
    const STOPS_AT_FAILURE: bool = false;

    /// The columns are known: types are checked here, once.
    ///
    /// # Errors
    ///
    /// If the rows can't be read as the verb wants them.
    fn begin(&mut self, columns: &Columns, plans: &mut Plans) -> Result<()>;

    /// A row. `Break` pauses the exchange.
    ///
    /// # Errors
    ///
    /// If the row can't be read. No further row is offered.
    fn row(&mut self, row: RowBytes<'_>) -> Result<ControlFlow<()>>;
}

/// Hears one statement's replies.
pub(crate) struct StatementSink<'a, C> {
    collector: &'a mut C,
    reply: Reply,
    /// Given for a statement whose columns are learnt with its rows.
    cold: Option<(&'a Catalog, Learnt)>,
}

/// What the server answered to one statement.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// The first error, and the part of the flight it belongs to.
    pub(crate) error: Option<(Part, ServerError)>,
    /// What this side could not do with the rows.
    pub(crate) failure: Option<Error>,
    pub(crate) parsed: bool,
    pub(crate) bound: bool,
    pub(crate) suspended: bool,
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

impl Learnt {
    /// Whether both descriptions have come.
    pub(crate) fn is_whole(&self) -> bool {
        self.columns.is_some()
    }
}

impl<'a, C: Collector> StatementSink<'a, C> {
    /// For a statement whose columns are known.
    #[inline]
    pub(crate) fn warm(collector: &'a mut C) -> Self {
        Self {
            collector,
            reply: Reply::default(),
            cold: None,
        }
    }

    /// For a statement whose replies have begun to come.
    #[inline]
    pub(crate) fn resume(collector: &'a mut C, reply: Reply) -> Self {
        Self {
            collector,
            reply,
            cold: None,
        }
    }

    /// For a statement that is described with this exchange.
    pub(crate) fn cold(collector: &'a mut C, catalog: &'a Catalog) -> Self {
        Self {
            collector,
            reply: Reply::default(),
            cold: Some((catalog, Learnt::default())),
        }
    }

    pub(crate) fn into_parts(self) -> (Reply, Option<Learnt>) {
        (self.reply, self.cold.map(|(_, learnt)| learnt))
    }
}

impl<C: Collector> Sink for StatementSink<'_, C> {
    const SHARES_ROWS: bool = C::SHARES_ROWS;

    fn on_parse_complete(&mut self, _: At) {
        self.reply.parsed = true;
    }

    #[inline]
    fn on_bind_complete(&mut self, _: At) {
        self.reply.bound = true;
    }

    fn on_parameter_description(&mut self, _: At, parameters: ParameterDescription<'_>) {
        if let Some((_, learnt)) = &mut self.cold {
            learnt.parameters = parameters.oids().collect();
        }
    }

    fn on_row_description(&mut self, _: At, fields: Option<RowDescription<'_>>) {
        let Some((catalog, learnt)) = &mut self.cold else {
            return;
        };
        let columns = columns_of(catalog, fields);
        if columns
            .iter()
            .any(|column| !catalog.knows(column.ty().oid()))
        {
            learnt.held = Some(Vec::new());
        } else if let Err(error) = self.collector.begin(&columns, &mut Plans::default()) {
            self.reply.failure = Some(error);
        }
        learnt.columns = Some(columns);
    }

    #[inline]
    fn on_row(&mut self, _: At, row: RowBytes<'_>) -> ControlFlow<()> {
        if self.reply.failure.is_some() {
            return ControlFlow::Continue(());
        }
        if let Some((
            _,
            Learnt {
                held: Some(held), ..
            },
        )) = &mut self.cold
        {
            // A body is shorter than the protocol's limit of 2³¹ bytes.
            held.extend_from_slice(&(row.body().len() as u32).to_be_bytes());
            held.extend_from_slice(row.body());
            return ControlFlow::Continue(());
        }
        match self.collector.row(row) {
            Ok(flow) => flow,
            Err(error) => {
                // After a malformed row nothing that follows can be trusted.
                let stops = C::STOPS_AT_FAILURE || error.kind() == ErrorKind::Protocol;
                self.reply.failure = Some(error);
                if stops {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            }
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

impl Reply {
    #[inline]
    pub(crate) fn complete(&mut self, command: CommandComplete<'_>) {
        self.rows = command.rows();
        self.command = match command.tag {
            "COMMIT" => Command::Commit,
            "ROLLBACK" => Command::Rollback,
            _ => Command::Other,
        };
    }

    pub(crate) fn fail(&mut self, part: Part, error: ServerError) {
        if self.error.is_none() {
            self.error = Some((part, error));
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
                error: Some((part, error)),
                ..
            } => Err(server_error(part, error)),
            Self {
                failure: Some(failure),
                ..
            } => Err(failure),
            fine => Ok(fine),
        }
    }
}

/// The error of a part of a flight.
pub(crate) fn server_error(part: Part, error: ServerError) -> Error {
    let error = Error::server(error);
    match part {
        Part::Prefix(_) => error
            .with_context("the transaction could not be begun")
            .with_outcome(Outcome::NotRun),
        Part::Statement(_) | Part::Sync => error,
    }
}

/// The columns of a RowDescription, as binary; a type that the catalogue doesn't know stays
/// unknown.
pub(crate) fn columns_of(catalog: &Catalog, fields: Option<RowDescription<'_>>) -> Columns {
    let fields = fields.map(|fields| fields.fields());
    let column = |field: FieldDescription<'_>| {
        let name = String::from_utf8_lossy(field.name);
        let ty = catalog.ty(field.type_oid);
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
pub(crate) struct Ignore;

impl Collector for Ignore {
    fn begin(&mut self, _: &Columns, _: &mut Plans) -> Result<()> {
        Ok(())
    }

    #[inline]
    fn row(&mut self, _: RowBytes<'_>) -> Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }
}

/// How the rows of one result are read as `T`.
struct Reading {
    columns: Columns,
    plan: Arc<Plan>,
}

impl Reading {
    fn new<T: for<'r> FromRow<'r>>(columns: &Columns, plans: &mut Plans) -> Result<Self> {
        Ok(Self {
            plan: plans.plan::<T>(columns)?,
            columns: columns.clone(),
        })
    }

    #[inline]
    fn read<T: for<'r> FromRow<'r>>(&self, row: RowBytes<'_>) -> Result<T> {
        T::from_row(RowRef::new(&self.columns, row)?, &self.plan)
    }
}

/// Keeps all rows: `fetch_all`.
pub(crate) struct All<T> {
    reading: Option<Reading>,
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
        self.reading = Some(Reading::new::<T>(columns, plans)?);
        Ok(())
    }

    #[inline]
    fn row(&mut self, row: RowBytes<'_>) -> Result<ControlFlow<()>> {
        let Some(reading) = &self.reading else {
            return Err(row_without_columns());
        };
        self.rows.push(reading.read(row)?);
        Ok(ControlFlow::Continue(()))
    }
}

/// Keeps one row, and knows of a second: `fetch_one`, `fetch_optional`.
pub(crate) struct One<T> {
    reading: Option<Reading>,
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
    pub(crate) fn into_optional(self) -> Result<Option<T>> {
        if self.more {
            return Err(Error::new(
                ErrorKind::TooManyRows,
                "the query returned more than one row",
            ));
        }
        Ok(self.row)
    }
}

impl<T: for<'r> FromRow<'r>> Collector for One<T> {
    const SHARES_ROWS: bool = <T as FromRow<'static>>::SHARES_ROWS;

    fn begin(&mut self, columns: &Columns, plans: &mut Plans) -> Result<()> {
        self.reading = Some(Reading::new::<T>(columns, plans)?);
        Ok(())
    }

    #[inline]
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
    reading: Option<Reading>,
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
        self.reading = Some(Reading::new::<T>(columns, plans)?);
        Ok(())
    }

    #[inline]
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

/// Shows each row to a closure, where it lies: `for_each`.
pub(crate) struct Visit<F> {
    columns: Option<Columns>,
    plans: std::cell::RefCell<Plans>,
    visitor: F,
    pub(crate) stopped: bool,
}

impl<F> Visit<F> {
    pub(crate) fn new(visitor: F) -> Self {
        Self {
            columns: None,
            plans: std::cell::RefCell::default(),
            visitor,
            stopped: false,
        }
    }
}

impl<F: FnMut(RowRef<'_>) -> Result<ControlFlow<()>>> Collector for Visit<F> {
    fn begin(&mut self, columns: &Columns, _: &mut Plans) -> Result<()> {
        self.columns = Some(columns.clone());
        Ok(())
    }

    #[inline]
    fn row(&mut self, row: RowBytes<'_>) -> Result<ControlFlow<()>> {
        let Some(columns) = &self.columns else {
            return Err(row_without_columns());
        };
        let flow = (self.visitor)(RowRef::new(columns, row)?.with_plans(&self.plans))?;
        self.stopped = flow.is_break();
        Ok(flow)
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
