//! TLS over a connection that is already made, as far as it has to be known here (manual, "SSL
//! Support"): how it is asked for, and what whoever implements it has to do.

mod options;
mod request;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;

pub use self::options::{
    Roots, TlsIdentity, TlsOptions, TlsStart, TlsVersion, Trust, Verification,
};
pub use self::request::{TlsAnswer, request_tls};
use super::stream::Socket;
use crate::error::{Error, Result};

/// An implementation of TLS. It is brought in from outside, by
/// [`UsesTls`](crate::connection::UsesTls), so that nothing here has to be compiled after it.
pub trait TlsProvider: Send + Sync {
    /// Sets up TLS, once for many connections.
    ///
    /// # Errors
    ///
    /// Of kind [`Config`](crate::error::ErrorKind::Config) if a certificate, key or list is
    /// missing or invalid, if key and certificate don't belong together, or if no version is
    /// allowed.
    fn connector(&self, options: &TlsOptions) -> Result<Arc<dyn TlsConnector>>;
}

/// Makes TLS connections of one kind.
pub trait TlsConnector: Send + Sync {
    /// Begins TLS over `socket`. `host` is the name or address that the user asked for.
    ///
    /// # Errors
    ///
    /// Of kind [`Tls`](crate::error::ErrorKind::Tls) if the handshake fails or the server's
    /// certificate is refused, of kind [`Io`](crate::error::ErrorKind::Io) if the connection is
    /// lost.
    ///
    /// # Cancel safety
    ///
    /// The connection is closed when the future is dropped.
    fn connect<'a>(&'a self, socket: Socket, host: &'a str, start: TlsStart) -> Handshake<'a>;
}

/// A handshake under way.
pub type Handshake<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn TlsSession>>> + Send + 'a>>;

/// An encrypted connection, of which [`Stream`](super::Stream) demands what it promises itself:
/// its methods of the same names tell what these do.
pub trait TlsSession: Send + Sync {
    /// Reads what the peer said, and also sends what was taken, as far as the socket allows.
    ///
    /// # Errors
    ///
    /// The operating system's, and those that [`explain`](Self::explain) knows; of kind
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the connection ended without TLS
    /// saying so.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut BytesMut)
    -> Poll<io::Result<usize>>;

    /// Takes some of `bytes`, and sends what the socket takes.
    ///
    /// # Errors
    ///
    /// The operating system's.
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Sends what was taken.
    ///
    /// # Errors
    ///
    /// The operating system's.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Sends what was taken and the end of TLS, and closes the writing side.
    ///
    /// # Errors
    ///
    /// The operating system's.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Whether some of what was taken waits to be sent.
    fn has_unsent(&self) -> bool;

    /// The hash of the server's certificate for SCRAM's channel binding
    /// (`tls-server-end-point`, RFC 5929), `None` where the RFC defines none.
    fn end_point(&self) -> Option<Vec<u8>>;

    /// What the user should know of a failure to read or write, if it is one of TLS.
    fn explain(&self, error: &io::Error) -> Option<Error>;
}
