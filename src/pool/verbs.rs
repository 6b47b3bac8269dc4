//! The verbs of [`Connection`](crate::Connection) on the pool itself.

use super::Pool;
use crate::connection::Visited;
use crate::error::{Outcome, Result};
use crate::params::Params;
use crate::row::{FromRow, RowRef};

impl Pool {
    /// Runs a query that returns exactly one row, on a connection of the pool.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire) and of
    /// [`Connection::fetch_one`](crate::Connection::fetch_one).
    ///
    /// # Cancel safety
    ///
    /// May be dropped; the pool brings the connection to rest.
    pub async fn fetch_one<T: for<'r> FromRow<'r>>(
        &self,
        sql: &str,
        params: impl Params,
    ) -> Result<T> {
        let mut connection = self.acquire().await?;
        match connection.fetch_one(sql, &params).await {
            Err(error) if is_unreset(&error) => {
                drop(connection);
                self.acquire().await?.fetch_one(sql, &params).await
            }
            result => result,
        }
    }

    /// Runs a query that returns one row or none, on a connection of the pool.
    ///
    /// # Errors
    ///
    /// As [`fetch_one`](Self::fetch_one), without `NoRows`.
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_one`](Self::fetch_one).
    pub async fn fetch_optional<T: for<'r> FromRow<'r>>(
        &self,
        sql: &str,
        params: impl Params,
    ) -> Result<Option<T>> {
        let mut connection = self.acquire().await?;
        match connection.fetch_optional(sql, &params).await {
            Err(error) if is_unreset(&error) => {
                drop(connection);
                self.acquire().await?.fetch_optional(sql, &params).await
            }
            result => result,
        }
    }

    /// Runs a query and keeps all its rows, on a connection of the pool.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire) and of
    /// [`Connection::fetch_all`](crate::Connection::fetch_all).
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_one`](Self::fetch_one).
    pub async fn fetch_all<T: for<'r> FromRow<'r>>(
        &self,
        sql: &str,
        params: impl Params,
    ) -> Result<Vec<T>> {
        let mut connection = self.acquire().await?;
        match connection.fetch_all(sql, &params).await {
            Err(error) if is_unreset(&error) => {
                drop(connection);
                self.acquire().await?.fetch_all(sql, &params).await
            }
            result => result,
        }
    }

    /// Runs a query and shows each row to `visitor` where it lies, on a connection of the
    /// pool. Returns how many rows the server sent.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire) and of
    /// [`Connection::for_each`](crate::Connection::for_each).
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_one`](Self::fetch_one).
    pub async fn for_each<V: Visited>(
        &self,
        sql: &str,
        params: impl Params,
        mut visitor: impl FnMut(RowRef<'_>) -> V,
    ) -> Result<u64> {
        let mut connection = self.acquire().await?;
        match connection.for_each(sql, &params, &mut visitor).await {
            Err(error) if is_unreset(&error) => {
                drop(connection);
                self.acquire().await?.for_each(sql, &params, visitor).await
            }
            result => result,
        }
    }

    /// Runs a statement, on a connection of the pool, and returns how many rows it affected.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire) and of
    /// [`Connection::execute`](crate::Connection::execute).
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_one`](Self::fetch_one).
    pub async fn execute(&self, sql: &str, params: impl Params) -> Result<u64> {
        let mut connection = self.acquire().await?;
        match connection.execute(sql, &params).await {
            Err(error) if is_unreset(&error) => {
                drop(connection);
                self.acquire().await?.execute(sql, &params).await
            }
            result => result,
        }
    }
}

/// Whether the statement was skipped by the server behind a reset that failed: it goes once
/// to another connection, for which the closed one has to make room first.
pub(super) fn is_unreset(error: &crate::Error) -> bool {
    error.is_closed() && error.outcome() == Outcome::NotRun
}
