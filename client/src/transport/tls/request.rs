//! The request for TLS before the startup message (manual, "SSL Session Encryption").

use std::future::poll_fn;
use std::io;

use bytes::BytesMut;

use crate::buffer::WriteBuffer;
use crate::error::{Error, ErrorKind, Result};
use crate::transport::{Stream, connect_error};
use crate::wire::frontend;

/// The server's answer to the request for TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a server that is unwilling goes on without encryption"]
pub enum TlsAnswer {
    /// The handshake can begin.
    Willing,
    /// The server has no TLS to offer. The connection can go on without.
    Unwilling,
}

/// Asks the server for TLS, on a connection on which nothing has been sent yet.
///
/// # Errors
///
/// Of kind [`Protocol`](ErrorKind::Protocol) for any other answer, and for bytes behind the
/// answer: someone on the way may have put them there, to be taken later for what the server
/// said under encryption (CVE-2021-23222). Of kind [`Tls`](ErrorKind::Tls) if the server
/// answers with an error: its text isn't shown, because anyone could have sent it
/// (CVE-2024-10977). Of kind [`Io`](ErrorKind::Io) if the connection is lost.
///
/// # Cancel safety
///
/// Not cancel-safe: the connection must be dropped with the future.
pub async fn request_tls(stream: &mut Stream) -> Result<TlsAnswer> {
    let mut request = WriteBuffer::default();
    frontend::ssl_request(&mut request);
    while !request.is_empty() {
        let sent = poll_fn(|cx| stream.poll_write(cx, request.pending()))
            .await
            .map_err(lost)?;
        if sent == 0 {
            return Err(lost(io::ErrorKind::WriteZero.into()));
        }
        request.advance(sent);
    }
    let mut answer = BytesMut::with_capacity(ANSWER_CAPACITY);
    poll_fn(|cx| stream.poll_read(cx, &mut answer))
        .await
        .map_err(lost)?;
    match answer[..] {
        [] => Err(lost(io::ErrorKind::UnexpectedEof.into())),
        [b'S'] => Ok(TlsAnswer::Willing),
        [b'N'] => Ok(TlsAnswer::Unwilling),
        [b'S' | b'N', ..] => Err(Error::protocol(
            "the server's answer to the request for TLS is followed by unencrypted data",
        )),
        [b'E', ..] => Err(Error::new(
            ErrorKind::Tls,
            "the server answered the request for TLS with an error, whose text is not shown \
             because it could be anyone's",
        )),
        _ => Err(Error::protocol(
            "the server's answer to the request for TLS is not one of PostgreSQL",
        )),
    }
}

fn lost(error: io::Error) -> Error {
    connect_error("the connection was lost while asking for TLS", error)
}

/// More than one byte, so that it is seen if more has arrived.
const ANSWER_CAPACITY: usize = 64;
