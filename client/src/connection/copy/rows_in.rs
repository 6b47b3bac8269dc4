//! [`CopyInRows`]: typed rows for COPY FROM STDIN, in its binary format.

use std::fmt;
use std::time::Duration;

use super::binary::{HEADER, TRAILER};
use super::opening::{RowsIn, no_binary_form};
use super::{CopyIn, TableName};
use crate::buffer::{Mark, WriteBuffer};
use crate::codec::{DeclaredType, is_text_in_binary};
use crate::connection::observe::Observation;
use crate::connection::{Connection, Held};
use crate::error::{EncodeError, Error, Result};
use crate::params::{Declaration, Params, check_count};
use crate::types::Type;
use crate::wire::frontend::{self, CopyDataMark};

/// The rows of a binary COPY FROM STDIN, made by [`Connection::copy_in_rows`].
///
/// What is sent takes effect with [`finish`](Self::finish), all or nothing. Dropped before,
/// the COPY fails on the server and nothing of it stays; the connection is usable.
///
/// # Example
///
/// ```no_run
/// # async fn example(connection: &mut kornak::Connection) -> kornak::Result<()> {
/// let mut copy = connection.copy_in_rows("users", &["id", "name"]).await?;
/// for (id, name) in [(1, "Ada"), (2, "Grace")] {
///     copy.send((id, name)).await?;
/// }
/// assert_eq!(copy.finish().await?, 2);
/// # Ok(())
/// # }
/// ```
#[must_use = "a COPY that is dropped without `finish` is aborted"]
pub struct CopyInRows<'c> {
    copy: CopyIn<'c>,
    /// What the values of the rows declare themselves as, once there was one.
    declared: Option<Declaration>,
    /// The message at the end of the connection's write buffer, which takes the next rows. It
    /// is whole after those of each call: whatever the connection sends next may follow.
    message: Option<CopyDataMark>,
    rows: u64,
}

impl Connection {
    /// Starts a COPY of typed rows into a table: the fastest way to store many. The columns'
    /// types are asked from the server, in the same round trip where they are known from
    /// before, on this connection or another of its pool: they are those of now in any case.
    ///
    /// Rows are tuples, slices or derived [`Params`], with the values in the order of
    /// `columns`.
    ///
    /// Each call on the result has the connection's default timeout of its own.
    ///
    /// # Errors
    ///
    /// If there is no such table or column, or a column's type has no binary form; the
    /// server's error; the deadline. Within a transaction also if another session has altered
    /// the columns since they were described last; outside of one they are described anew.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: the COPY is then aborted by the next operation.
    pub async fn copy_in_rows<'n>(
        &mut self,
        table: impl Into<TableName<'n>>,
        columns: &[&str],
    ) -> Result<CopyInRows<'_>> {
        CopyInRows::open(self, table.into(), columns).await
    }

    /// Starts a COPY of typed rows by a statement of one's own, which must say
    /// `from stdin (format binary)`: for its other options, for example. The server does not
    /// tell the columns' types of a COPY, so that `types` has to.
    ///
    /// # Errors
    ///
    /// If the statement isn't COPY FROM STDIN in binary of as many columns as there are types,
    /// or a type has no binary form; the server's error; the deadline.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: the COPY is then aborted.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(connection: &mut kornak::Connection) -> kornak::Result<()> {
    /// use kornak::Type;
    ///
    /// let sql = "copy users (id, name) from stdin (format binary, freeze)";
    /// let mut copy = connection.copy_in_typed(sql, &[Type::INT4, Type::TEXT]).await?;
    /// copy.send((1, "Ada")).await?;
    /// copy.finish().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn copy_in_typed(&mut self, sql: &str, types: &[Type]) -> Result<CopyInRows<'_>> {
        if let Some(ty) = types.iter().find(|ty| !ty.has_binary_input()) {
            return Err(no_binary_form(format_args!("the type {}", ty.name())));
        }
        let copy = CopyIn::open(self, sql).await?;
        if copy.binary_columns() != Some(types.len()) {
            let wanted =
                "the statement is not a COPY in binary of as many columns as there are types";
            copy.abort("the columns are others than those that were told")
                .await?;
            return Err(Error::usage(wanted).with_sql(sql));
        }
        CopyInRows::new(copy, |rows| rows.types = types.into())
    }
}

impl<'c> CopyInRows<'c> {
    pub(crate) async fn open(
        connection: impl Into<Held<'c>>,
        table: TableName<'_>,
        columns: &[&str],
    ) -> Result<Self> {
        let mut connection = connection.into();
        let mut rows = std::mem::take(&mut connection.rows_in);
        rows.write(table, columns)?;
        let observation = Observation::start(&connection, &rows.sql);
        let beginning = async {
            let begun = connection.begin_rows_in(&mut rows).await;
            let sink = begun.map_err(|error| error.with_sql(&rows.sql))?;
            Ok(CopyIn::new(connection, sink))
        };
        let copy = CopyIn::watched(observation, beginning).await?;
        Self::new(copy, |kept| *kept = rows.kept())
    }

    fn new(mut copy: CopyIn<'c>, take: impl FnOnce(&mut RowsIn)) -> Result<Self> {
        let (connection, bytes) = copy.data()?;
        take(&mut connection.rows_in);
        let out = &mut connection.link.output;
        let message = frontend::begin_copy_data(out);
        out.put_slice(HEADER);
        frontend::extend_copy_data(out, message)?;
        *bytes += HEADER.len() as u64;
        Ok(Self {
            copy,
            declared: None,
            message: Some(message),
            rows: 0,
        })
    }
}

impl CopyInRows<'_> {
    /// Takes a row. It is written when enough have come together; waits where the server
    /// doesn't keep up.
    ///
    /// # Errors
    ///
    /// If a value can't be written as its column's type: the row is then not taken, and
    /// others may follow. The server's error, which may be about rows sent earlier; the
    /// deadline.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the row was not taken.
    #[inline]
    pub async fn send(&mut self, row: impl Params) -> Result<()> {
        if self.copy.must_flush() {
            self.flush().await?;
        }
        self.append(&row)
    }

    /// Takes all rows of an iterator, and returns how many those were.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send). The rows before the one that failed are taken.
    ///
    /// # Cancel safety
    ///
    /// Dropped, some of the rows were taken; [`rows`](Self::rows) says how many.
    pub fn send_all<I>(&mut self, rows: I) -> impl Future<Output = Result<u64>> + Send
    where
        I: IntoIterator<Item: Params + Send, IntoIter: Send>,
    {
        let mut rows = rows.into_iter();
        async move {
            let before = self.rows;
            while !self.append_all(&mut rows)? {
                self.flush().await?;
            }
            Ok(self.rows - before)
        }
    }

    /// Ends the rows and waits until the server has stored them. Returns their number.
    ///
    /// # Errors
    ///
    /// The server's error: then nothing of it stays; the deadline.
    ///
    /// # Cancel safety
    ///
    /// Dropped, whether the COPY took effect is unknown.
    pub async fn finish(mut self) -> Result<u64> {
        self.copy.take(&TRAILER.to_be_bytes())?;
        self.copy.finish().await
    }

    /// Gives it up: the server's log says why.
    ///
    /// # Errors
    ///
    /// If the reason contains NUL; the deadline; the connection is lost.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: it is given up all the same.
    pub async fn abort(self, reason: &str) -> Result<()> {
        self.copy.abort(reason).await
    }

    /// How many rows were taken so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How many bytes they made so far.
    pub fn bytes(&self) -> u64 {
        self.copy.bytes()
    }

    /// The types of the columns.
    pub fn types(&self) -> &[Type] {
        &self.copy.connection().rows_in.types
    }

    /// What each of the calls that follow may take.
    pub(crate) fn set_default_timeout(&mut self, timeout: Option<Duration>) {
        self.copy.set_default_timeout(timeout);
    }

    /// Waits until the server has taken enough. No row is lost where that is given up.
    async fn flush(&mut self) -> Result<()> {
        // What is sent can't be added to.
        self.message = None;
        self.copy.make_room().await
    }

    fn append<P: Params>(&mut self, row: &P) -> Result<()> {
        self.append_all(&mut std::iter::once(row)).map(|_| ())
    }

    /// Appends rows, at least one, until the socket should be waited for. True if there are no
    /// more.
    ///
    /// # Errors
    ///
    /// If one can't be written: nothing of it is. Those before it are.
    #[inline]
    fn append_all(&mut self, rows: &mut impl Iterator<Item: Params>) -> Result<bool> {
        let Self {
            copy,
            declared,
            message,
            rows: count,
        } = self;
        let flush_at = copy.flush_at();
        let (connection, bytes) = copy.data()?;
        let types = connection.rows_in.types.as_slice();
        // The types are as many as fit into the count of a statement's columns.
        let count_of_values = (types.len() as i16).to_be_bytes();
        let mut batch = Batch::new(&mut connection.link.output, message, count, bytes);
        // Whether all rows of this type are declared as they have to be.
        let mut is_known = false;
        for row in rows {
            if !is_known {
                if !declared.as_mut().is_some_and(|known| known.is_of(&row)) {
                    *declared = Some(check(&row, types)?);
                }
                is_known = row.declaration().is_some();
            }
            row.encode_behind(count_of_values, types, batch.out)?;
            if batch.out.len() >= flush_at {
                batch.check_length()?;
                batch.keep_row();
                return Ok(false);
            }
            batch.keep_row();
        }
        Ok(true)
    }
}

/// Rows on their way into a message. Whatever ends it, a row that can't be written or a panic,
/// the message is whole then, has the rows that were kept, and no others are counted.
struct Batch<'a> {
    out: &'a mut WriteBuffer,
    message: CopyDataMark,
    begin: Mark,
    /// The end of the last row that was kept.
    end: Mark,
    /// How many were.
    kept: u64,
    count: &'a mut u64,
    bytes: &'a mut u64,
}

impl<'a> Batch<'a> {
    fn new(
        out: &'a mut WriteBuffer,
        message: &mut Option<CopyDataMark>,
        count: &'a mut u64,
        bytes: &'a mut u64,
    ) -> Self {
        let message = *message.get_or_insert_with(|| frontend::begin_copy_data(out));
        let end = out.mark();
        Self {
            out,
            message,
            begin: end,
            end,
            kept: 0,
            count,
            bytes,
        }
    }

    /// What was written since is a row.
    #[inline]
    fn keep_row(&mut self) {
        self.end = self.out.mark();
        self.kept += 1;
    }

    /// Whether the message may have what was written. Asked where there is enough for a flush:
    /// below that no message is too long.
    ///
    /// # Errors
    ///
    /// If the server would not take it.
    #[cold]
    fn check_length(&mut self) -> Result<()> {
        frontend::extend_copy_data(self.out, self.message)
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.out.truncate(self.end);
        *self.count += self.kept;
        *self.bytes += self.out.since(self.begin).len() as u64;
        // All of it was short enough.
        let extended = frontend::extend_copy_data(self.out, self.message);
        debug_assert!(extended.is_ok(), "a row too many was kept");
    }
}

/// Checks a row of types that have not been met before, and returns what it declares itself as.
#[cold]
fn check<P: Params>(row: &P, types: &[Type]) -> Result<Declaration> {
    check_count(row.count(), types.len())?;
    let declared = Declaration::of(row);
    for (index, (declared, ty)) in declared.as_slice().iter().zip(types).enumerate() {
        // Strings are written as they are, which is binary only for what is text.
        if *declared == DeclaredType::Text && !is_text_in_binary(ty.base()) {
            return Err(EncodeError::new("a string can't be written in binary form")
                .with_types(ty.name(), "string")
                .at(format_args!("parameter ${}", index + 1))
                .into());
        }
    }
    Ok(declared)
}

impl fmt::Debug for CopyInRows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyInRows")
            .field("types", &self.types())
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}
