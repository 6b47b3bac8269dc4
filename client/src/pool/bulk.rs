//! The verbs for heavy work on the pool itself: streams, pipelines, many items, COPY.

use std::pin::Pin;

use super::Pool;
use super::query::with_reset;
use crate::connection::many::{self, ManyRows};
use crate::connection::pipeline::{Pipeline, PipelineError};
use crate::connection::{
    CopyIn, CopyInRows, CopyOut, CopyOutRows, Held, Items, RowStream, TableName,
};
use crate::error::Result;
use crate::params::Params;
use crate::pool::PoolConnection;
use crate::row::FromRow;

impl Pool {
    /// Runs a query and streams its rows, on a connection of the pool that the stream keeps
    /// until it is dropped.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire) and of
    /// [`Connection::fetch`](crate::connection::Connection::fetch).
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_one`](Self::fetch_one). The stream itself may be dropped at any row.
    pub async fn fetch<T: for<'r> FromRow<'r>>(
        &self,
        sql: &str,
        params: impl Params,
    ) -> Result<RowStream<'static, T, PoolConnection>> {
        self.query(sql).bind(params).fetch().await
    }

    /// Runs several statements in one round trip, all or nothing, on a connection of the
    /// pool.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire) and of
    /// [`Connection::pipeline`](crate::connection::Connection::pipeline).
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_one`](Self::fetch_one): the statements may have taken effect, all or none.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(pool: kornak::Pool) -> kornak::Result<()> {
    /// use kornak::{exec, one};
    ///
    /// let (count, _) = pool
    ///     .pipeline((
    ///         one::<i64>("select count(*) from users", ()),
    ///         exec("update visits set n = n + 1", ()),
    ///     ))
    ///     .await?;
    /// println!("{count} users");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn pipeline<S: Pipeline>(&self, statements: S) -> Result<S::Output, PipelineError> {
        let deadline = self.default_deadline();
        let statements = &statements;
        let run =
            |mut connection: PoolConnection| async move { connection.pipeline(statements).await };
        with_reset(|| self.acquire_until(deadline), run, PipelineError::error).await
    }

    /// Runs several statements in one round trip, each on its own, on a connection of the
    /// pool.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire) and of
    /// [`Connection::pipeline_each`](crate::connection::Connection::pipeline_each).
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_one`](Self::fetch_one), for each statement.
    pub async fn pipeline_each<S: Pipeline>(&self, statements: S) -> Result<S::Each> {
        let deadline = self.default_deadline();
        let statements = &statements;
        let run = |mut connection: PoolConnection| async move {
            connection.pipeline_each(statements).await
        };
        with_reset(|| self.acquire_until(deadline), run, |error| error).await
    }

    /// Runs one statement for each item, pipelined, as one transaction on a connection of the
    /// pool. Returns how many rows were affected in total.
    ///
    /// A session that has to be reset first is, in a round trip of its own: the items can't
    /// be taken twice.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire) and of
    /// [`Connection::execute_many`](crate::connection::Connection::execute_many).
    ///
    /// # Cancel safety
    ///
    /// May be dropped: what was begun is rolled back, unless COMMIT was sent already.
    pub fn execute_many<'c, I: Items>(
        &'c self,
        sql: &'c str,
        items: I,
    ) -> impl Future<Output = Result<u64, PipelineError>> + Send + use<'c, I>
    where
        I::Source: 'c,
    {
        many::execute(self.acquire_reset(), sql, items.into_source())
    }

    /// As [`execute_many`](Self::execute_many), and keeps the rows that the statements
    /// return, in the order of the items.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire) and of
    /// [`Connection::fetch_many`](crate::connection::Connection::fetch_many).
    ///
    /// # Cancel safety
    ///
    /// As [`execute_many`](Self::execute_many).
    pub fn fetch_many<'c, T, I>(
        &'c self,
        sql: &'c str,
        items: I,
    ) -> impl Future<Output = Result<Vec<T>, PipelineError>> + Send + use<'c, T, I>
    where
        T: for<'r> FromRow<'r> + Send,
        I: Items,
        I::Source: 'c,
    {
        many::fetch(self.acquire_reset(), sql, items.into_source())
    }

    /// As [`fetch_many`](Self::fetch_many), and streams the rows back while items are still
    /// sent, on a connection of the pool that the stream keeps until it is dropped.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire) and of
    /// [`Connection::stream_many`](crate::connection::Connection::stream_many).
    ///
    /// # Cancel safety
    ///
    /// As [`execute_many`](Self::execute_many).
    pub fn stream_many<T, I>(
        &self,
        sql: &str,
        items: I,
    ) -> impl Future<Output = Result<ManyRows<'static, T, I>, PipelineError>> + Send
    where
        T: for<'r> FromRow<'r> + Send,
        I: Items,
    {
        ManyRows::open(self.acquire_reset(), sql, items.into_source())
    }

    /// Starts a `COPY … FROM STDIN` of any format, on a connection of the pool that the COPY
    /// keeps until it is dropped.
    ///
    /// The pool's timeout covers the wait for a connection and the start; each call on the
    /// result has one of its own.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire) and of
    /// [`Connection::copy_in`](crate::connection::Connection::copy_in).
    ///
    /// # Cancel safety
    ///
    /// May be dropped: the COPY is then aborted.
    pub async fn copy_in(&self, sql: &str) -> Result<CopyIn<'static>> {
        let deadline = self.default_deadline();
        let open = |connection| async move {
            let mut copy = CopyIn::open(Held::from(connection), sql).await?;
            copy.set_default_timeout(self.shared.options.query_timeout);
            Ok(copy)
        };
        with_reset(|| self.acquire_until(deadline), open, |error| error).await
    }

    /// Starts a COPY of typed rows into a table, on a connection of the pool that the COPY
    /// keeps until it is dropped. Its timeouts are those of [`copy_in`](Self::copy_in).
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire) and of
    /// [`Connection::copy_in_rows`](crate::connection::Connection::copy_in_rows).
    ///
    /// # Cancel safety
    ///
    /// May be dropped: the COPY is then aborted.
    pub async fn copy_in_rows<'n>(
        &self,
        table: impl Into<TableName<'n>>,
        columns: &[&str],
    ) -> Result<CopyInRows<'static>> {
        let table = table.into();
        let deadline = self.default_deadline();
        let open = |connection| async move {
            let mut copy = CopyInRows::open(Held::from(connection), table, columns).await?;
            copy.set_default_timeout(self.shared.options.query_timeout);
            Ok(copy)
        };
        with_reset(|| self.acquire_until(deadline), open, |error| error).await
    }

    /// Starts a `COPY … TO STDOUT` of any format, on a connection of the pool that the COPY
    /// keeps until it is dropped.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire) and of
    /// [`Connection::copy_out`](crate::connection::Connection::copy_out).
    ///
    /// # Cancel safety
    ///
    /// May be dropped, as may the result.
    pub async fn copy_out(&self, sql: &str) -> Result<CopyOut<'static, PoolConnection>> {
        let deadline = self.default_deadline();
        let open = |connection| CopyOut::open(connection, sql);
        with_reset(|| self.acquire_until(deadline), open, |error| error).await
    }

    /// Runs a query as a COPY of typed rows, on a connection of the pool that the COPY keeps
    /// until it is dropped.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire) and of
    /// [`Connection::copy_out_rows`](crate::connection::Connection::copy_out_rows).
    ///
    /// # Cancel safety
    ///
    /// May be dropped, as may the result.
    pub async fn copy_out_rows<T: for<'r> FromRow<'r>>(
        &self,
        query: &str,
    ) -> Result<CopyOutRows<'static, T, PoolConnection>> {
        let deadline = self.default_deadline();
        let open = |connection| CopyOutRows::open(connection, query);
        with_reset(|| self.acquire_until(deadline), open, |error| error).await
    }

    /// A connection whose session has been reset, where that was due. The pool's timeout, which
    /// counts from the wait for it, holds for all that follows.
    fn acquire_reset(&self) -> Pin<Box<dyn Future<Output = Result<Held<'static>>> + Send + '_>> {
        // Erased, as `Connection::recover` is.
        Box::pin(async {
            let deadline = self.default_deadline();
            let settle = |mut connection: PoolConnection| async move {
                connection.settle_reset().await?;
                Ok(connection.into())
            };
            with_reset(|| self.acquire_until(deadline), settle, |error| error).await
        })
    }
}
