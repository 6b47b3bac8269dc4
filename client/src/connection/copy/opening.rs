//! How a COPY of typed rows is begun: what types the columns have, and that they have them
//! still.

use std::future::poll_fn;
use std::sync::Arc;

use super::input::{COLUMNS, COPY, InputSink};
use super::{TableName, push_columns};
use crate::connection::Connection;
use crate::connection::execute::is_stale;
use crate::connection::link::Until;
use crate::connection::sinks::{Ignore, Nothing, Reply};
use crate::error::{Error, ErrorKind, Result};
use crate::row::{Column, Columns};
use crate::statement::{Description, Prepared};
use crate::types::Type;

/// What a COPY of typed rows needs. It stays with the connection, so that the next one finds
/// its memory.
#[derive(Debug, Default)]
pub(in crate::connection) struct RowsIn {
    /// The statement whose description tells the columns' types. It is never executed.
    ask: String,
    /// The COPY itself.
    pub(super) sql: String,
    pub(super) types: Vec<Type>,
}

/// The length of statements that memory is kept for, in bytes.
const KEPT: usize = 4 * 1024;

/// How the types of the columns are known.
enum Known {
    /// The statement has just been described on this connection.
    Now(Arc<Prepared>),
    /// This connection has it prepared: the server says whether it still is what it was.
    Prepared(Arc<Prepared>),
    /// Another connection has described it: the server describes it again.
    Shared(Description),
}

impl RowsIn {
    pub(super) fn write(&mut self, table: TableName<'_>, columns: &[&str]) -> Result<()> {
        self.ask.clear();
        self.sql.clear();
        self.ask.push_str("select ");
        push_columns(&mut self.ask, columns)?;
        self.ask.push_str(" from ");
        table.push_to(&mut self.ask)?;
        self.ask.push_str(" limit 0");
        self.sql.push_str("copy ");
        table.push_to(&mut self.sql)?;
        self.sql.push_str(" (");
        push_columns(&mut self.sql, columns)?;
        self.sql.push_str(") from stdin (format binary)");
        Ok(())
    }

    /// Takes the types of the columns.
    ///
    /// # Errors
    ///
    /// If one has no binary form.
    fn take_types(&mut self, columns: &Columns) -> Result<()> {
        self.types.clear();
        for column in columns.iter() {
            if !column.ty().has_binary_input() {
                return Err(column_without_binary_form(column));
            }
            self.types.push(column.ty().clone());
        }
        Ok(())
    }

    /// What is worth keeping.
    pub(super) fn kept(mut self) -> Self {
        for text in [&mut self.ask, &mut self.sql] {
            if text.capacity() > KEPT {
                *text = String::new();
            }
        }
        self
    }
}

impl Known {
    fn columns(&self) -> &Columns {
        match self {
            Self::Now(prepared) | Self::Prepared(prepared) => prepared.description().columns(),
            Self::Shared(description) => description.columns(),
        }
    }
}

impl Connection {
    /// Begins the COPY of `rows`, and learns the types of its columns.
    ///
    /// Columns that are known go in one round trip: the server describes them again in the
    /// flight that begins the COPY, before it, and so that nobody can alter them in between.
    ///
    /// What is known may be outdated. Outside a transaction, the COPY that the server has then
    /// passed over, or that was given up without a row, is begun once more. Within one that has
    /// altered the schema itself, nothing known is relied on.
    pub(super) async fn begin_rows_in(&mut self, rows: &mut RowsIn) -> Result<InputSink> {
        let limit = self.default_limit();
        self.begin_operation(Some(&rows.sql), limit).await?;
        let mut is_retry = false;
        loop {
            let in_transaction = self.is_in_transaction();
            let known = self.known_columns(rows).await?;
            rows.take_types(known.columns())?;
            let mut sink = InputSink::default();
            let error = match self.try_rows_in(rows, &known, &mut sink).await {
                Ok(true) => return Ok(sink),
                Ok(false) => {
                    self.forget_columns(rows, &known);
                    changed()
                }
                Err(error) => {
                    let is_stale = error.as_server().is_some_and(is_stale);
                    if !sink.is_refused || !is_stale && matches!(known, Known::Prepared(_)) {
                        return Err(error);
                    }
                    self.forget_columns(rows, &known);
                    error
                }
            };
            if is_retry || in_transaction || matches!(known, Known::Now(_)) {
                return Err(error);
            }
            is_retry = true;
        }
    }

    async fn known_columns(&mut self, rows: &RowsIn) -> Result<Known> {
        let found = self.find(&rows.ask, &(), &mut Ignore);
        if self.catalog.is_private() {
            found.inspect(|outdated| self.statements.evict(outdated));
        } else if let Some(prepared) = found {
            return Ok(Known::Prepared(prepared));
        } else if let Some(description) = self.shared_description(&rows.ask, &()) {
            return Ok(Known::Shared(description));
        }
        Ok(Known::Now(self.prepared(&rows.ask, &()).await?))
    }

    /// Begins the COPY. False if the columns have other types than were known: it is given up
    /// then.
    async fn try_rows_in(
        &mut self,
        rows: &mut RowsIn,
        known: &Known,
        sink: &mut InputSink,
    ) -> Result<bool> {
        let RowsIn { ask, sql, .. } = rows;
        match known {
            Known::Now(_) => {
                let copy =
                    self.begin_copy_in(sink, true, "", |unit| unit.execute_unprepared(COPY, sql));
                copy.await?;
                Ok(true)
            }
            Known::Prepared(prepared) => {
                sink.expected = Some(prepared.description().columns().clone());
                let copy = self.begin_copy_in(sink, true, "", |unit| {
                    match prepared.name() {
                        // Behind a pooler the server that keeps a name may be another's.
                        "" => unit.prepare(COLUMNS, "", ask, &[])?,
                        name => unit.describe(COLUMNS, name)?,
                    }
                    unit.execute_unprepared(COPY, sql)
                });
                copy.await?;
                if sink.reply.failure.is_some() {
                    self.give_up_copy().await?;
                    return Ok(false);
                }
                Ok(true)
            }
            Known::Shared(_) => {
                let is_pristine = self.hygiene.is_pristine();
                let types = self.known_types();
                sink.types = Some(types.clone());
                let name = self.statement_name(ask);
                // Whatever becomes of it, the next flight closes it unless it is kept.
                let copy = self.begin_copy_in(sink, true, &name, |unit| {
                    unit.prepare(COLUMNS, &name, ask, &[])?;
                    unit.execute_unprepared(COPY, sql)
                });
                copy.await?;
                let columns = sink.columns.take().unwrap_or_default();
                let is_known = |column: &Column| types.knows(column.ty().oid());
                if !columns.iter().all(is_known) || rows.take_types(&columns).is_err() {
                    self.give_up_copy().await?;
                    return Ok(false);
                }
                // All types are known, so that nothing is asked while the COPY is open.
                self.keep(&rows.ask, &[], &name, Vec::new(), columns, is_pristine)
                    .await?;
                Ok(true)
            }
        }
    }

    /// What was known of the columns is not so.
    #[cold]
    fn forget_columns(&mut self, rows: &RowsIn, known: &Known) {
        if let Known::Now(prepared) | Known::Prepared(prepared) = known {
            self.statements.evict(prepared);
        }
        // What others know is as old, or will be.
        self.forget_shared(&rows.ask, &());
    }

    /// Ends a COPY that nothing was sent to.
    #[cold]
    async fn give_up_copy(&mut self) -> Result<()> {
        let link = &mut *self.link;
        link.core.abandon(&mut link.output)?;
        let progress = poll_fn(|cx| link.poll_exchange_dyn(cx, &mut Nothing, Until::Idle)).await?;
        self.end_exchange(progress, Reply::default()).map(|_| ())
    }
}

#[cold]
fn changed() -> Error {
    Error::usage("the columns of the table have other types than when they were described last")
}

#[cold]
fn column_without_binary_form(column: &Column) -> Error {
    no_binary_form(format_args!(
        "column \"{}\" is of type {}, which",
        column.name().escape_debug(),
        column.ty().name()
    ))
}

#[cold]
pub(super) fn no_binary_form(what: std::fmt::Arguments<'_>) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("{what} has no binary form: use `copy_in` with the text format"),
    )
}
