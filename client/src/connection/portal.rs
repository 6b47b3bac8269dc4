//! [`Portal`]: a cursor, read a given number of rows at a time.

use std::fmt;
use std::sync::Arc;

use super::Connection;
use super::observe::Observation;
use super::sinks::{All, ColdSink, Collector, Ignore, WarmSink};
use super::timer::Limit;
use crate::error::{Error, ErrorKind, Result};
use crate::params::Params;
use crate::protocol::Progress;
use crate::row::{Columns, FromRow, Plans};
use crate::statement::{Prepared, declared_oids, parameter_formats};
use crate::wire::TransactionStatus;

/// A query that has begun and gives its rows a few at a time, made by
/// [`Connection::portal`]. Between two fetches the server does nothing for it.
///
/// It lives in the transaction that it was made in, and ends with it. It doesn't borrow the
/// connection, so that other statements run between two fetches, and other portals beside it.
///
/// # Example
///
/// ```no_run
/// # async fn example(connection: &mut kornak::Connection) -> kornak::Result<()> {
/// let mut transaction = connection.begin().await?;
/// let mut portal = transaction.portal::<(i32, String)>("select id, name from users", ()).await?;
/// while !portal.is_over() {
///     for (id, name) in portal.fetch(&mut transaction, 100).await? {
///         transaction.execute("insert into copies values ($1, $2)", (id, name)).await?;
///     }
/// }
/// portal.close(&mut transaction).await?;
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a portal gives rows when it is fetched from"]
pub struct Portal<T> {
    /// The connection that it was made on: safe code can bring another.
    connection_id: u64,
    name: String,
    sql: Box<str>,
    prepared: Arc<Prepared>,
    rows: All<T>,
    is_over: bool,
    /// A fetch was dropped: how far the portal has come is not known.
    is_torn: bool,
}

impl Connection {
    /// Opens a portal over a query, whose rows are then fetched a few at a time. Only within
    /// a transaction: outside, a portal would end with its first answer.
    ///
    /// # Errors
    ///
    /// If no transaction is open; the server's error; a value that can't be written; columns
    /// that can't be read into `T`; the deadline.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: the portal is left to the end of the transaction.
    pub async fn portal<T: for<'r> FromRow<'r>>(
        &mut self,
        sql: &str,
        params: impl Params,
    ) -> Result<Portal<T>> {
        let limit = self.default_limit();
        let observation = Observation::start_as(self, Some("DECLARE"), sql);
        let opening = self.open_portal(sql, &params, limit);
        let opened = observation.watch(opening, |_| None, |error| error).await;
        opened.map_err(|error| error.with_sql(sql))
    }

    async fn open_portal<T: for<'r> FromRow<'r>, P: Params>(
        &mut self,
        sql: &str,
        params: &P,
        limit: Limit,
    ) -> Result<Portal<T>> {
        self.begin_operation(Some(sql), limit).await?;
        if !self.is_in_transaction() {
            return Err(Error::usage("a portal needs a transaction to live in"));
        }
        let name = self.names.next("c");
        let mut rows = All::new();
        let shared = self.open_shared_portal(&name, sql, params, &mut rows);
        let prepared = match shared.await? {
            Some(prepared) => prepared,
            None => {
                self.open_prepared_portal(&name, sql, params, &mut rows)
                    .await?
            }
        };
        Ok(Portal {
            connection_id: self.id,
            name,
            sql: sql.into(),
            prepared,
            rows,
            is_over: false,
            is_torn: false,
        })
    }

    /// Opens the portal of a statement that this connection has prepared, or prepares first.
    async fn open_prepared_portal<P: Params, C: Collector>(
        &mut self,
        portal: &str,
        sql: &str,
        params: &P,
        rows: &mut C,
    ) -> Result<Arc<Prepared>> {
        let is_known = self.statements.lookup(sql, params).is_some();
        let mut prepared = self.prepared_for(sql, params, rows).await?;
        match self.start_portal(portal, sql, params, &prepared) {
            // Nothing was sent: what the statement takes may be something else by now.
            Err(error) if is_known && self.is_misfit(&prepared, &error) => {
                prepared = self.prepared_for(sql, params, rows).await?;
                self.start_portal(portal, sql, params, &prepared)?;
            }
            started => started?,
        }
        self.hygiene.note(prepared.is_plain());
        let mut ignore = Ignore;
        let mut sink = WarmSink::new(&mut ignore);
        let progress = self.exchange_dyn(&mut sink).await?;
        let reply = self.end_exchange(progress, sink.reply)?;
        // Within a transaction it can't be tried again.
        self.is_stale(&prepared, &reply);
        reply.check()?;
        Ok(prepared)
    }

    /// Appends what opens the portal of a prepared statement.
    fn start_portal<P: Params>(
        &mut self,
        portal: &str,
        sql: &str,
        params: &P,
        prepared: &Prepared,
    ) -> Result<()> {
        let description = prepared.description();
        let declared = super::execute::declared(params);
        let results = description.result_formats();
        let types = description.parameters();
        let formats = parameter_formats(&declared, types);
        self.start_unit(|unit| {
            if prepared.name().is_empty() {
                // The unnamed statement may be another one by now.
                unit.prepare(0, "", sql, &declared_oids(&declared))?;
            }
            unit.open_portal(
                0,
                portal,
                prepared.name(),
                (&formats, &results),
                types.len(),
                |out| params.encode(types, out),
            )
        })
    }

    /// Opens the portal of a statement that is new to this connection and known to another, in
    /// one round trip. `None` if there is nothing known, or a value doesn't fit it: then
    /// nothing was sent.
    async fn open_shared_portal<P: Params, C: Collector>(
        &mut self,
        portal: &str,
        sql: &str,
        params: &P,
        rows: &mut C,
    ) -> Result<Option<Arc<Prepared>>> {
        let Some(known) = self.shared_description(sql, params) else {
            return Ok(None);
        };
        let statement = self.statement_name(sql);
        let cold = self.cold(&statement, sql, params, Some(&known))?;
        let description = cold.prepared.description();
        let results = description.result_formats();
        let types = description.parameters();
        let formats = parameter_formats(&cold.declared, types);
        let started = self.start_unit(|unit| {
            cold.prepare(unit, 0, sql)?;
            unit.open_portal(
                0,
                portal,
                &statement,
                (&formats, &results),
                types.len(),
                |out| params.encode(types, out),
            )
        });
        match started {
            Err(error) if error.kind() == ErrorKind::Encode => {
                self.forget_shared(sql, params);
                return Ok(None);
            }
            started => started?,
        }
        self.statements.begin_parse(&statement);
        self.hygiene.note(cold.prepared.is_plain());
        let mut ignore = Ignore;
        let mut sink = ColdSink::new(&mut ignore, &cold.types);
        let progress = self.exchange_dyn(&mut sink).await?;
        let (reply, learnt) = sink.into_parts();
        let reply = self.end_exchange(progress, reply)?;
        if reply.was_refused() {
            // Within a transaction it can't be tried again.
            self.settle(&statement, &reply);
            self.forget_shared(sql, params);
        }
        reply.check()?;
        let Some(learnt) = learnt else {
            return Err(Error::protocol("the server did not describe the statement"));
        };
        let (prepared, _) = self.keep_cold(sql, &cold, learnt).await?;
        let columns = prepared.description().columns().asked_in_binary();
        let begun = rows.begin(&columns, &mut Plans::default());
        begun.inspect_err(|_| self.misread_shared(sql, params, &known))?;
        Ok(Some(prepared))
    }
}

impl<T: for<'r> FromRow<'r>> Portal<T> {
    /// The next rows, at most `max_rows`; fewer, or none, at the end. `connection` is the one
    /// that the portal was opened on, or its transaction.
    ///
    /// # Errors
    ///
    /// The server's error, as when the transaction has ended; a row that can't be read;
    /// `max_rows` that is 0 or above 2³¹−1; the deadline.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the rows under way are lost, and the portal can only be closed.
    pub async fn fetch(&mut self, connection: &mut Connection, max_rows: u32) -> Result<Vec<T>> {
        match i32::try_from(max_rows) {
            Ok(max_rows) if max_rows > 0 => self.fetch_up_to(connection, max_rows).await,
            _ => Err(Error::usage("a fetch takes from 1 to 2147483647 rows")),
        }
    }

    /// All rows that are left.
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch).
    ///
    /// # Cancel safety
    ///
    /// As [`fetch`](Self::fetch).
    pub async fn fetch_rest(&mut self, connection: &mut Connection) -> Result<Vec<T>> {
        self.fetch_up_to(connection, 0).await
    }

    /// Closes it before its transaction ends.
    ///
    /// # Errors
    ///
    /// If the connection is lost, or is another one; the deadline.
    ///
    /// # Cancel safety
    ///
    /// May be dropped.
    pub async fn close(self, connection: &mut Connection) -> Result<()> {
        self.check_connection(connection)?;
        let observation = Observation::start_as(connection, Some("CLOSE"), &self.sql);
        let closing = async {
            let limit = connection.default_limit();
            connection.begin_operation(None, limit).await?;
            connection.start_unit(|unit| unit.close_portal(&self.name))?;
            connection.finish_unprepared().await
        };
        let closed = observation.watch(closing, |_| None, |error| error).await;
        closed.map(|_| ())
    }

    /// Whether all rows have been fetched.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The columns of the result.
    pub fn columns(&self) -> &Columns {
        self.prepared.description().columns()
    }

    async fn fetch_up_to(&mut self, connection: &mut Connection, max_rows: i32) -> Result<Vec<T>> {
        self.check_connection(connection)?;
        if self.is_over {
            return Ok(Vec::new());
        }
        let observation = Observation::start_as(connection, Some("FETCH"), &self.sql);
        let fetching = self.try_fetch(connection, max_rows);
        let count = |rows: &Vec<T>| Some(rows.len() as u64);
        let fetched = observation.watch(fetching, count, |error| error).await;
        fetched.map_err(|error| error.with_sql(&self.sql))
    }

    async fn try_fetch(&mut self, connection: &mut Connection, max_rows: i32) -> Result<Vec<T>> {
        if self.is_torn {
            return Err(Error::usage(
                "rows of the portal were lost when a fetch was dropped or failed",
            ));
        }
        let limit = connection.default_limit();
        connection.begin_operation(Some(&self.sql), limit).await?;
        if connection.transaction_status() == TransactionStatus::Idle {
            return Err(Error::usage("the transaction of the portal has ended"));
        }
        connection.start_unit(|unit| unit.fetch_portal(0, &self.name, max_rows))?;
        connection.hygiene.note(self.prepared.is_plain());
        self.is_torn = true;
        self.rows.rows.clear();
        let mut sink = WarmSink::new(&mut self.rows);
        let progress: Progress = connection.exchange(&mut sink).await?;
        let reply = connection.end_exchange(progress, sink.reply)?.check()?;
        self.is_torn = false;
        self.is_over = !reply.suspended;
        Ok(std::mem::take(&mut self.rows.rows))
    }

    fn check_connection(&self, connection: &Connection) -> Result<()> {
        if connection.id == self.connection_id {
            return Ok(());
        }
        Err(Error::usage("the portal was opened on another connection"))
    }
}

impl<T> fmt::Debug for Portal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Portal")
            .field("name", &self.name)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}
