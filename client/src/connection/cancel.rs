//! [`CancelToken`]: asks the server to stop what a session runs.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::endpoint::Endpoint;
use crate::buffer::WriteBuffer;
use crate::error::{Error, ErrorKind, Result};
use crate::startup::CancelKey;
use crate::transport::Stream;
use crate::wire::frontend;

/// Cancels what a connection is running, from anywhere.
///
/// The server acts on whatever the session runs when the request arrives, so that a late
/// one hits the next statement: send it while the operation is known to be running, and
/// give that operation a timeout where you can, which has no such race.
#[derive(Clone)]
pub struct CancelToken {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: Endpoint,
    /// How long it may take: `connect_timeout`, as for any other connection.
    limit: Option<Duration>,
    /// Some poolers give none.
    key: Option<CancelKey>,
}

/// A cancel that is under way, or over. Kept by the connection, so that no dropped future
/// loses sight of it.
pub(super) struct Cancelling(Option<Pin<Box<dyn Future<Output = Result<()>> + Send>>>);

impl CancelToken {
    pub(super) fn new(endpoint: Endpoint, limit: Option<Duration>, key: Option<CancelKey>) -> Self {
        let inner = Inner {
            endpoint,
            limit,
            key,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Sends the request over a connection of its own, to the address and with the TLS policy
    /// of the one that it is for, and waits until the server has taken note of it, for the
    /// configuration's `connect_timeout` at most.
    ///
    /// That the server has taken note doesn't mean that anything was cancelled: the
    /// operation itself then fails with SQLSTATE 57014 (`query_canceled`), or was over.
    ///
    /// # Errors
    ///
    /// If the server can't be reached in time, or gave no key.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may or may not cancel.
    pub async fn cancel(&self) -> Result<()> {
        let Some(key) = &self.inner.key else {
            return Err(no_key());
        };
        let request = self.request(key);
        let result = match self.inner.limit {
            None => request.await,
            Some(limit) => tokio::time::timeout(limit, request)
                .await
                .unwrap_or_else(|_| {
                    let late = "the cancel request was not answered within connect_timeout";
                    Err(Error::new(ErrorKind::Timeout, late))
                }),
        };
        result.map_err(|error| error.with_place(self.inner.endpoint.address()))
    }

    async fn request(&self, key: &CancelKey) -> Result<()> {
        let stream = self.inner.endpoint.open().await;
        let mut stream = stream.map_err(|unopened| unopened.error)?;
        let mut out = WriteBuffer::default();
        frontend::cancel_request(&mut out, key.process_id, &key.secret)?;
        write_all(&mut stream, &mut out).await.map_err(|error| {
            stream.connect_error("the connection for the cancel request was lost", error)
        })?;
        // The server closes the connection when it has sent the signal (ProcessCancelRequest
        // in its postmaster): until then the request may still hit what runs next.
        let mut rest = bytes::BytesMut::with_capacity(ANSWER_CAPACITY);
        for _ in 0..MAX_ANSWERS {
            let read = poll_fn(|cx| stream.poll_read(cx, &mut rest)).await;
            if !read.is_ok_and(|count| count > 0) {
                return Ok(());
            }
            rest.clear();
        }
        Err(Error::protocol(
            "the server answers the cancel request without end",
        ))
    }

    pub(super) fn process_id(&self) -> i32 {
        self.inner.key.as_ref().map_or(0, |key| key.process_id)
    }

    pub(super) fn start(&self) -> Cancelling {
        let token = self.clone();
        // Whoever waits for it has a budget of its own.
        Cancelling(Some(Box::pin(async move {
            match &token.inner.key {
                Some(key) => token.request(key).await,
                None => Err(no_key()),
            }
        })))
    }
}

impl Future for Cancelling {
    type Output = Result<()>;

    /// Stays ready once the request has been taken note of.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(cancel) = &mut self.0 else {
            return Poll::Ready(Ok(()));
        };
        let result = ready!(cancel.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(result)
    }
}

/// How much of an answer to a cancel request is read at once, in bytes. PostgreSQL gives none.
const ANSWER_CAPACITY: usize = 1024;

/// How often more of an answer to a cancel request is read: room for a pooler's words.
const MAX_ANSWERS: usize = 16;

fn no_key() -> Error {
    Error::usage("the server gave no key to cancel with")
}

/// Writes all that is pending.
pub(super) async fn write_all(stream: &mut Stream, out: &mut WriteBuffer) -> io::Result<()> {
    while !out.is_empty() {
        match poll_fn(|cx| stream.poll_write(cx, out.pending())).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => out.advance(count),
        }
    }
    poll_fn(|cx| stream.poll_flush(cx)).await
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken")
            .field("process_id", &self.process_id())
            .finish_non_exhaustive()
    }
}
