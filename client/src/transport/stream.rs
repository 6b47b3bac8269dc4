//! [`Stream`]: one connection, whatever it runs over.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future as _, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::task::coop::unconstrained;

use super::connect_error;
use super::tls::{TlsConnector, TlsSession, TlsStart};
use crate::error::{Error, Result};

/// A connection: over TCP or a Unix socket, encrypted or not.
///
/// All of it is polled. Reading and writing are independent: a task may poll both and is
/// woken for either.
pub struct Stream {
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Plain(Socket),
    Tls(Box<dyn TlsSession>),
}

/// What carries the bytes.
pub enum Socket {
    /// A connection over TCP.
    Tcp(TcpStream),
    /// A connection over a Unix socket.
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Stream {
    /// Reads into the spare capacity of `buffer`, and returns how many bytes have been
    /// appended. None means that the peer has closed the connection, under TLS with a proper
    /// end. The caller makes room; without any, a little is made here.
    ///
    /// Spare capacity left after a read means that nothing more was there.
    ///
    /// Under TLS this also sends what [`poll_write`](Self::poll_write) has taken, as far as
    /// the socket allows.
    ///
    /// # Errors
    ///
    /// The operating system's, and under TLS those that
    /// [`connect_error`](Self::connect_error) explains; of kind
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the connection ended without TLS
    /// saying so.
    #[inline]
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        match &mut self.kind {
            Kind::Plain(socket) => pin!(socket.read_buf(buffer)).poll(cx),
            Kind::Tls(session) => session.poll_read(cx, buffer),
        }
    }

    /// Writes some of `bytes`, and returns how many were taken.
    ///
    /// Under TLS some of what was taken may wait to be sent, at most 64 KiB:
    /// [`poll_flush`](Self::poll_flush) and [`poll_read`](Self::poll_read) send it, and
    /// [`has_unsent`](Self::has_unsent) tells.
    ///
    /// # Errors
    ///
    /// The operating system's.
    #[inline]
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.kind {
            Kind::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Kind::Tls(session) => session.poll_write(cx, bytes),
        }
    }

    /// Sends what was taken before. Without TLS nothing ever waits.
    ///
    /// # Errors
    ///
    /// The operating system's.
    #[inline]
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.kind {
            Kind::Plain(_) => {
                let _ = cx;
                Poll::Ready(Ok(()))
            }
            Kind::Tls(session) => session.poll_flush(cx),
        }
    }

    /// Whether some of what was taken waits to be sent. Always false without TLS.
    #[inline]
    pub fn has_unsent(&self) -> bool {
        match &self.kind {
            Kind::Plain(_) => false,
            Kind::Tls(session) => session.has_unsent(),
        }
    }

    /// Tells the peer that nothing more is coming: sends what waits, under TLS its end, and
    /// closes the writing side. The caller bounds the time that this may take.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.kind {
            Kind::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Kind::Tls(session) => session.poll_shutdown(cx),
        }
    }

    /// As [`poll_read`](Self::poll_read), but nobody is woken if there is nothing now, and
    /// the task's budget doesn't count: for a look before a connection is used again. A task
    /// that waits to read is not woken any more either.
    ///
    /// # Errors
    ///
    /// As [`poll_read`](Self::poll_read).
    pub fn try_read(&mut self, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
        poll_once(|cx| self.poll_read(cx, buffer))
    }

    /// Whether reading may find anything, an end or an error, as far as the runtime has heard:
    /// where it hasn't, [`try_read`](Self::try_read) would find nothing, which costs ten times
    /// as much. True where only reading can tell: under TLS, some of what has come may have been
    /// read. While a runtime ends it hears of nothing, and only reading fails.
    #[inline]
    pub fn may_have_input(&self) -> bool {
        match &self.kind {
            Kind::Plain(socket) => socket.is_heard_of(),
            Kind::Tls(_) => true,
        }
    }

    /// As [`poll_write`](Self::poll_write) and then [`poll_flush`](Self::poll_flush), but
    /// nobody is woken if the socket takes nothing now, and the task's budget doesn't count:
    /// for a `Drop`. A task that waits to write is not woken any more either.
    ///
    /// # Errors
    ///
    /// As [`poll_write`](Self::poll_write).
    pub fn try_write(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // TLS has tried to send by then; a second try would meet the same full socket.
        poll_once(|cx| self.poll_write(cx, bytes))
    }

    /// As [`poll_shutdown`](Self::poll_shutdown), once, and nobody is woken if it can't be
    /// done now: for a `Drop`.
    ///
    /// # Errors
    ///
    /// As [`poll_shutdown`](Self::poll_shutdown).
    pub fn try_shutdown(&mut self) -> Poll<io::Result<()>> {
        poll_once(|cx| self.poll_shutdown(cx))
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        !matches!(self.kind, Kind::Plain(_))
    }

    /// Whether the connection is over a Unix socket.
    pub fn is_unix(&self) -> bool {
        #[cfg(unix)]
        if let Kind::Plain(Socket::Unix(_)) = self.kind {
            return true;
        }
        false
    }

    /// The hash of the server's certificate that SCRAM binds its proof to
    /// (`tls-server-end-point`, RFC 5929). `None` without TLS, and for a certificate for
    /// whose signature the RFC defines no hash: then channel binding is not possible.
    pub fn tls_end_point(&self) -> Option<Vec<u8>> {
        match &self.kind {
            Kind::Plain(_) => None,
            Kind::Tls(session) => session.end_point(),
        }
    }

    /// Begins TLS. `host` is the name or address that the user asked for.
    ///
    /// # Errors
    ///
    /// Those of [`TlsConnector::connect`].
    ///
    /// # Cancel safety
    ///
    /// The connection is closed when the future is dropped.
    pub async fn encrypt(
        self,
        connector: &dyn TlsConnector,
        host: &str,
        start: TlsStart,
    ) -> Result<Self> {
        let Kind::Plain(socket) = self.kind else {
            return Err(Error::usage("the connection uses TLS already"));
        };
        let session = connector.connect(socket, host, start).await?;
        Ok(Self {
            kind: Kind::Tls(session),
        })
    }

    /// As [`connect_error`](super::connect_error), and of kind
    /// [`Tls`](crate::error::ErrorKind::Tls) where TLS failed.
    ///
    /// The first read after the handshake belongs here too: in TLS 1.3 only it tells that the
    /// server refuses the client's certificate.
    pub fn connect_error(&self, doing: impl Into<Cow<'static, str>>, error: io::Error) -> Error {
        let explained = match &self.kind {
            Kind::Plain(_) => None,
            Kind::Tls(session) => session.explain(&error),
        };
        explained.unwrap_or_else(|| connect_error(doing, error))
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self {
            kind: Kind::Plain(Socket::Tcp(stream)),
        }
    }
}

#[cfg(unix)]
impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self {
            kind: Kind::Plain(Socket::Unix(stream)),
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("is_tls", &self.is_tls())
            .finish_non_exhaustive()
    }
}

impl Socket {
    /// Whether the runtime has been told of bytes, an end or an error that were not read since.
    #[inline]
    fn is_heard_of(&self) -> bool {
        // What is to be tried is tried only then.
        let tried = match self {
            Self::Tcp(stream) => stream.try_io(Interest::READABLE, || Ok(())),
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_io(Interest::READABLE, || Ok(())),
        };
        tried.is_ok()
    }
}

macro_rules! delegate {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Tcp(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            #[cfg(unix)]
            Self::Unix(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
        }
    };
}

impl AsyncRead for Socket {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        delegate!(self, stream => stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Socket {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, stream => stream.poll_write(cx, bytes))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, stream => stream.poll_write_vectored(cx, slices))
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => stream.poll_shutdown(cx))
    }
}

/// Polls once, with nobody to wake. Tokio's budget, which may be used up in the task that
/// happens to run, would turn a socket that is ready into one that isn't.
fn poll_once<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    let future = unconstrained(poll_fn(|cx| poll(cx)));
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}
