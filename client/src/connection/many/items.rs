//! [`Items`]: what one statement is run for, from an iterator or a stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::params::Params;

/// The items that a statement is run for: whatever iterates over [`Params`], or a stream of
/// them by [`from_stream`].
///
/// The trait is sealed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be the items of a statement",
    note = "pass an iterator of parameters (tuples, for example), or `kornak::from_stream` of a stream of them",
    note = "items go to the connection from any thread: they must be `Send` and `Sync`, the iterator `Send`"
)]
pub trait Items: sealed::Items {}

impl<I: sealed::Items> Items for I {}

/// A stream as [`Items`], made by [`from_stream`].
#[derive(Clone, Debug)]
pub struct FromStream<S>(S);

/// Lets a statement be run for the items of a stream, as they come: see
/// [`Connection::execute_many`](super::super::Connection::execute_many).
///
/// # Example
///
/// ```no_run
/// # async fn example(
/// #     connection: &mut kornak::Connection,
/// #     readings: impl futures_core::Stream<Item = (i64, f64)> + Send,
/// # ) -> kornak::Result<()> {
/// let sql = "insert into readings (sensor, value) values ($1, $2)";
/// connection.execute_many(sql, kornak::from_stream(readings)).await?;
/// # Ok(())
/// # }
/// ```
pub fn from_stream<S: Stream>(stream: S) -> FromStream<S> {
    FromStream(stream)
}

impl<I> sealed::Items for I
where
    I: IntoIterator<Item: Params + Send + Sync, IntoIter: Send>,
{
    type Item = I::Item;
    type Source = Iterating<I::IntoIter>;

    fn into_source(self) -> Self::Source {
        Iterating(self.into_iter())
    }
}

impl<S> sealed::Items for FromStream<S>
where
    S: Stream<Item: Params + Send + Sync> + Send,
{
    type Item = S::Item;
    type Source = Streaming<S>;

    fn into_source(self) -> Self::Source {
        Streaming(Box::pin(self.0))
    }
}

/// The items of an iterator, which are always there.
pub struct Iterating<I>(I);

impl<I: Iterator> sealed::Source for Iterating<I> {
    type Item = I::Item;

    #[inline]
    fn poll_item(&mut self, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }
}

/// The items of a stream.
pub struct Streaming<S>(Pin<Box<S>>);

impl<S: Stream> sealed::Source for Streaming<S> {
    type Item = S::Item;

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

pub(super) mod sealed {
    use std::task::{Context, Poll};

    use crate::params::Params;

    #[expect(unnameable_types, reason = "that is what seals the trait")]
    pub trait Items {
        type Item: Params + Send + Sync;
        type Source: Source<Item = Self::Item> + Send;

        fn into_source(self) -> Self::Source;
    }

    #[expect(unnameable_types, reason = "as above")]
    pub trait Source {
        type Item;

        fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::Item>>;
    }
}
