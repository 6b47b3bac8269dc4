//! [`CancelToken`]: asks the server to stop what a session runs.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::endpoint::Endpoint;
use crate::buffer::WriteBuffer;
use crate::error::{Error, Result};
use crate::protocol::CancelKey;
use crate::transport::{Stream, connect_error};
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
    /// Some poolers give none.
    key: Option<CancelKey>,
}

/// A cancel that is under way, or over. Kept by the connection, so that no dropped future
/// loses sight of it.
pub(super) struct Cancelling(Option<Pin<Box<dyn Future<Output = Result<()>> + Send>>>);

impl CancelToken {
    pub(super) fn new(endpoint: Endpoint, key: Option<CancelKey>) -> Self {
        Self {
            inner: Arc::new(Inner { endpoint, key }),
        }
    }

    /// Sends the request over a connection of its own, with the TLS policy of the one that
    /// it is for, and waits until the server has taken note of it.
    ///
    /// That the server has taken note doesn't mean that anything was cancelled: the
    /// operation itself then fails with SQLSTATE 57014 (`query_canceled`), or was over.
    ///
    /// # Errors
    ///
    /// If the server can't be reached, or gave no key.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may or may not cancel.
    pub async fn cancel(&self) -> Result<()> {
        let Some(key) = &self.inner.key else {
            return Err(Error::usage("the server gave no key to cancel with"));
        };
        let mut stream = self.inner.endpoint.open().await?;
        let mut out = WriteBuffer::default();
        frontend::cancel_request(&mut out, key.process_id, &key.secret)?;
        write_all(&mut stream, &mut out).await.map_err(|error| {
            connect_error("the connection for the cancel request was lost", error)
        })?;
        // The server closes the connection when it has sent the signal (ProcessCancelRequest
        // in its postmaster): until then the request may still hit what runs next.
        let mut rest = bytes::BytesMut::with_capacity(64);
        while poll_fn(|cx| stream.poll_read(cx, &mut rest))
            .await
            .is_ok_and(|count| count > 0)
        {
            rest.clear();
        }
        Ok(())
    }

    pub(super) fn process_id(&self) -> i32 {
        self.inner.key.as_ref().map_or(0, |key| key.process_id)
    }

    pub(super) fn start(&self) -> Cancelling {
        let token = self.clone();
        Cancelling(Some(Box::pin(async move { token.cancel().await })))
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
