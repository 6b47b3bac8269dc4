//! [`CopyInRows`]: typed rows for COPY FROM STDIN, in its binary format.

use std::fmt;
use std::time::Duration;

use super::binary::{HEADER, TRAILER};
use super::{CopyIn, TableName, column_list};
use crate::buffer::WriteBuffer;
use crate::codec::{DeclaredType, is_text_in_binary};
use crate::connection::execute::declared;
use crate::connection::{Connection, Held};
use crate::error::{EncodeError, Error, Result};
use crate::params::{Params, check_count};
use crate::types::Type;

/// How much is put together to one message, in bytes.
const CHUNK: usize = 32 * 1024;

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
    types: Box<[Type]>,
    /// What the values of the rows declare themselves as, once there was one.
    declared: Option<Vec<DeclaredType>>,
    /// Whole rows that have not been handed to `copy` yet.
    pending: WriteBuffer,
    rows: u64,
}

impl Connection {
    /// Starts a COPY of typed rows into a table: the fastest way to store many. The columns'
    /// types are asked from the server.
    ///
    /// Rows are tuples, slices or derived [`Params`], with the values in the order of
    /// `columns`.
    ///
    /// Each call on the result has the connection's default timeout of its own.
    ///
    /// # Errors
    ///
    /// If there is no such table or column, or a column's type has no binary form; the
    /// server's error; the deadline.
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
        Ok(CopyInRows::new(copy, types.into()))
    }
}

impl<'c> CopyInRows<'c> {
    pub(crate) async fn open(
        connection: impl Into<Held<'c>>,
        table: TableName<'_>,
        columns: &[&str],
    ) -> Result<Self> {
        let mut connection = connection.into();
        let (table, columns) = (table.to_sql()?, column_list(columns)?);
        let ask = format!("select {columns} from {table} limit 0");
        let description = connection.describe(&ask).await?;
        let types: Box<[Type]> = description
            .columns()
            .iter()
            .map(|column| {
                if column.ty().has_binary_input() {
                    Ok(column.ty().clone())
                } else {
                    Err(no_binary_form(format_args!(
                        "column \"{}\" is of type {}, which",
                        column.name().escape_debug(),
                        column.ty().name()
                    )))
                }
            })
            .collect::<Result<_>>()?;
        let sql = format!("copy {table} ({columns}) from stdin (format binary)");
        let copy = CopyIn::start(connection, &sql, true).await;
        let copy = copy.map_err(|error| error.with_sql(&sql))?;
        Ok(Self::new(copy, types))
    }

    fn new(copy: CopyIn<'c>, types: Box<[Type]>) -> Self {
        let mut pending = WriteBuffer::with_capacity(CHUNK + CHUNK / 4);
        pending.put_slice(HEADER);
        Self {
            copy,
            types,
            declared: None,
            pending,
            rows: 0,
        }
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
        if self.pending.len() >= CHUNK {
            self.pass_on().await?;
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
        let rows = rows.into_iter();
        async move {
            let before = self.rows;
            for row in rows {
                self.append(&row)?;
                drop(row);
                if self.pending.len() >= CHUNK {
                    self.pass_on().await?;
                }
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
        self.pass_on().await?;
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
        self.copy.bytes() + self.pending.len() as u64
    }

    /// The types of the columns.
    pub fn types(&self) -> &[Type] {
        &self.types
    }

    /// What each of the calls that follow may take.
    pub(crate) fn set_default_timeout(&mut self, timeout: Option<Duration>) {
        self.copy.set_default_timeout(timeout);
    }

    /// Hands what is pending to the COPY, which may have to wait; then nothing is lost.
    async fn pass_on(&mut self) -> Result<()> {
        if self.copy.must_flush() {
            self.copy.make_room().await?;
        }
        self.copy.take(self.pending.pending())?;
        self.pending.clear();
        Ok(())
    }

    #[inline]
    fn append<P: Params>(&mut self, row: &P) -> Result<()> {
        if !matches!(&self.declared, Some(declared) if row.are_declared(declared)) {
            self.check(row)?;
        }
        let mark = self.pending.mark();
        // The types are as many as fit into the count of a statement's columns.
        self.pending.put_i16(self.types.len() as i16);
        match row.encode(&self.types, &mut self.pending) {
            Ok(()) => {
                self.rows += 1;
                Ok(())
            }
            Err(error) => {
                self.pending.truncate(mark);
                Err(error)
            }
        }
    }

    /// Checks a row of types that have not been met before.
    #[cold]
    fn check<P: Params>(&mut self, row: &P) -> Result<()> {
        check_count(row.count(), self.types.len())?;
        let declared = declared(row);
        for (index, (declared, ty)) in declared.iter().zip(&self.types).enumerate() {
            // Strings are written as they are, which is binary only for what is text.
            if *declared == DeclaredType::Text && !is_text_in_binary(ty.base()) {
                return Err(EncodeError::new("a string can't be written in binary form")
                    .with_types(ty.name(), "string")
                    .at(format_args!("parameter ${}", index + 1))
                    .into());
            }
        }
        self.declared = Some(declared);
        Ok(())
    }
}

impl fmt::Debug for CopyInRows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyInRows")
            .field("types", &self.types)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

#[cold]
fn no_binary_form(what: fmt::Arguments<'_>) -> Error {
    Error::new(
        crate::ErrorKind::Unsupported,
        format!("{what} has no binary form: use `copy_in` with the text format"),
    )
}
