//! [`Session`]: an encrypted connection, and what its failures mean.

use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{self, AlertDescription, CertificateError, OtherError};

use super::end_point;
use crate::error::{Error, ErrorKind};
use crate::transport::{Socket, TlsSession};

/// An encrypted connection.
pub(super) struct Session {
    stream: TlsStream<Socket>,
}

impl Session {
    pub(super) fn new(stream: TlsStream<Socket>) -> Self {
        Self { stream }
    }
}

impl TlsSession for Session {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        if self.has_unsent() {
            // If this fails, reading does too, or still has what the peer said last.
            let _ = self.poll_flush(cx);
        }
        pin!(self.stream.read_buf(buffer)).poll(cx)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn has_unsent(&self) -> bool {
        self.stream.get_ref().1.wants_write()
    }

    fn end_point(&self) -> Option<Vec<u8>> {
        let certificates = self.stream.get_ref().1.peer_certificates()?;
        end_point::hash(certificates.first()?)
    }

    fn explain(&self, error: &io::Error) -> Option<Error> {
        explain(error)
    }
}

/// What the user should know of a failure of TLS. `None` where something else has failed.
pub(super) fn explain(error: &io::Error) -> Option<Error> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(explain_inner(inner))
}

fn explain_inner(error: &rustls::Error) -> Error {
    let explained = |message: String| Error::new(ErrorKind::Tls, message);
    let certificate = |what: &str| explained(format!("the server's certificate {what}"));
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::Expired => certificate("has expired"),
            CertificateError::NotValidYet => certificate("is not valid yet"),
            CertificateError::Revoked => certificate("is revoked"),
            CertificateError::UnknownIssuer => {
                certificate("is not signed by an authority that is trusted here")
            }
            CertificateError::UnknownRevocationStatus => {
                certificate("is of an authority without a certificate revocation list")
            }
            CertificateError::NotValidForNameContext {
                expected,
                presented,
            } => certificate(&format!(
                "is for {}, not for {:?}",
                match &presented[..] {
                    [] => "no host".to_owned(),
                    names => format!("{:?}", &names[..names.len().min(SHOWN_NAMES)]),
                },
                expected.to_str()
            )),
            CertificateError::Other(OtherError(other)) => {
                certificate(match other.downcast_ref::<webpki::Error>() {
                    Some(webpki::Error::CaUsedAsEndEntity) => {
                        "is an authority's; it is only trusted if it is itself among the root \
                         certificates"
                    }
                    Some(webpki::Error::UnsupportedCertVersion) => {
                        "is of the old version 1; without revocation lists it is trusted if it \
                         is itself among the root certificates, or the one that signed it"
                    }
                    _ => return certificate(&format!("is refused: {other}")),
                })
            }
            error => certificate(&format!("is refused: {error}")),
        },
        rustls::Error::AlertReceived(alert) => explained(match alert {
            AlertDescription::CertificateRequired => {
                "the server demands a client certificate".to_owned()
            }
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied => {
                format!("the server refused the client certificate ({alert:?})")
            }
            alert => format!("the server refused the TLS handshake ({alert:?})"),
        }),
        error => Error::new(ErrorKind::Tls, "TLS failed").with_source(error.clone()),
    }
}

/// How many names of a certificate an error shows.
const SHOWN_NAMES: usize = 8;
