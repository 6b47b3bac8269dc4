//! Connections as streams of bytes: TCP, Unix sockets, and TLS over either.
//!
//! Of the protocol only the request for TLS is known here, of the configuration only plain
//! options. Nothing here waits but for the network, and nothing has a timeout of its own:
//! the caller bounds the future as a whole.

mod stream;
mod tcp;
mod tls;
#[cfg(unix)]
mod unix;

use std::borrow::Cow;
use std::io;

use socket2::SockRef;

pub use self::stream::{Socket, Stream};
pub use self::tcp::{
    DEAD_PEER_AFTER, KEEPALIVE_COUNT, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, Keepalive, TcpOptions,
    connect_tcp,
};
pub use self::tls::{
    Handshake, Roots, TlsAnswer, TlsConnector, TlsIdentity, TlsOptions, TlsProvider, TlsSession,
    TlsStart, TlsVersion, Trust, Verification, request_tls,
};
#[cfg(unix)]
pub use self::unix::{UnixOptions, connect_unix};
use crate::error::{Error, Outcome};

/// How many bytes the system keeps of what is on its way (`SO_SNDBUF` and `SO_RCVBUF`, socket(7)).
/// `None` leaves it to the system, which fits the sizes to the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketBuffers {
    /// Of what was sent and not acknowledged yet.
    pub send: Option<u32>,
    /// Of what has come and was not read yet.
    pub receive: Option<u32>,
}

impl SocketBuffers {
    fn apply(self, socket: &SockRef<'_>) -> io::Result<()> {
        if let Some(size) = self.send {
            socket.set_send_buffer_size(size as usize)?;
        }
        if let Some(size) = self.receive {
            socket.set_recv_buffer_size(size as usize)?;
        }
        Ok(())
    }
}

/// The error for a failure of `doing` before the session stands, when nothing of the user's
/// has been sent, of kind [`Io`](crate::error::ErrorKind::Io). Under TLS
/// [`Stream::connect_error`] knows more.
pub fn connect_error(doing: impl Into<Cow<'static, str>>, error: io::Error) -> Error {
    Error::io(doing, error).with_outcome(Outcome::NotRun)
}

#[cfg(test)]
mod tests;
