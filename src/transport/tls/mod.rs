//! TLS by rustls over a connection that is already made (manual, "SSL Support").

mod certificate;
mod der;
mod end_point;
mod name;
mod request;
mod roots;
mod verify;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls;
use tokio_rustls::rustls::client::{ClientConfig, Resumption};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{AlertDescription, CertificateError, OtherError, ProtocolVersion};

pub use self::request::{TlsAnswer, request_tls};
use self::roots::TrustStore;
use self::verify::Verifier;
use super::stream::{Kind, Socket};
use super::{Stream, connect_error};
use crate::error::{Error, ErrorKind, Result};

/// How to encrypt, and whom to trust.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    /// What is demanded of the server's certificate.
    pub verification: Verification,
    /// What the client proves its own identity with, if the server asks.
    pub identity: Option<TlsIdentity>,
    /// Whether the host's name is sent in the clear, so that a proxy can tell which server
    /// is meant (libpq's `sslsni`).
    pub server_name_indication: bool,
    /// The oldest version that is accepted.
    pub min_version: TlsVersion,
    /// The newest version that is accepted.
    pub max_version: TlsVersion,
}

/// What is demanded of the server's certificate.
#[derive(Clone, Debug)]
pub enum Verification {
    /// Nothing: whoever sits in between can read and change everything. Only who merely
    /// listens can't. libpq's `require` without a root certificate.
    None,
    /// That someone who is trusted has signed it, for whatever name: libpq's `verify-ca`.
    Authority(Trust),
    /// That, and that it is for the host that was asked for: libpq's `verify-full`.
    Full(Trust),
}

/// Whom to trust.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The authorities.
    pub roots: Roots,
    /// Certificate revocation lists in PEM, one after the other. If there are any, each
    /// authority that the server's certificate goes back to must have a valid one, and a
    /// certificate that the server has signed itself is refused.
    pub revocation_lists: Vec<u8>,
}

/// The certificate authorities that are trusted.
#[derive(Clone)]
pub enum Roots {
    /// Those that the system trusts: libpq's `sslrootcert=system`. As OpenSSL does, it heeds
    /// the environment variables `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    System,
    /// These, in PEM, one after the other. A certificate among them that the server itself
    /// presents is trusted too, as it is where a server has signed its own.
    Pem(Vec<u8>),
}

/// A client certificate.
#[derive(Clone)]
pub struct TlsIdentity {
    /// The certificate in PEM, and behind it those of the authorities up to one that the
    /// server trusts.
    pub certificates: Vec<u8>,
    /// Its private key in PEM, not encrypted.
    pub key: Vec<u8>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// How the two sides agree to begin TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsStart {
    /// The server has said that it is willing: [`request_tls`].
    Requested,
    /// The connection begins with TLS (libpq's `sslnegotiation=direct`, PostgreSQL 17 and
    /// later). The server must then say by ALPN that it takes this for PostgreSQL.
    Direct,
}

/// Makes TLS connections. Built once: it reads certificates. A clone is a reference.
#[derive(Clone)]
pub struct TlsConnector {
    inner: tokio_rustls::TlsConnector,
    check_name: bool,
}

impl Default for TlsOptions {
    /// libpq's `require`: encrypted, but not verified; with TLS 1.2 or later.
    fn default() -> Self {
        Self {
            verification: Verification::None,
            identity: None,
            server_name_indication: true,
            min_version: TlsVersion::Tls12,
            max_version: TlsVersion::Tls13,
        }
    }
}

impl TlsConnector {
    /// Reads the certificates. With [`Roots::System`] this reads files, for a millisecond
    /// or a few.
    ///
    /// # Errors
    ///
    /// Of kind [`Config`](ErrorKind::Config) if a certificate, key or list is missing or
    /// invalid, if key and certificate don't belong together, or if no version is allowed.
    pub fn new(options: &TlsOptions) -> Result<Self> {
        let versions: Vec<_> = [
            (TlsVersion::Tls12, &rustls::version::TLS12),
            (TlsVersion::Tls13, &rustls::version::TLS13),
        ]
        .into_iter()
        .filter(|(version, _)| (options.min_version..=options.max_version).contains(version))
        .map(|(_, version)| version)
        .collect();
        if versions.is_empty() {
            return Err(invalid("the least TLS version is above the greatest"));
        }
        let (trust, check_name) = match &options.verification {
            Verification::None => (None, false),
            Verification::Authority(trust) => (Some(TrustStore::new(trust)?), false),
            Verification::Full(trust) => (Some(TrustStore::new(trust)?), true),
        };
        let provider = ring::default_provider();
        let verifier = Verifier {
            algorithms: provider.signature_verification_algorithms,
            trust,
            check_name,
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&versions)
            .map_err(|error| invalid("TLS can't be set up").with_source(error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &options.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder
                .with_client_auth_cert(identity.parse_certificates()?, identity.parse_key()?)
                .map_err(|error| match error {
                    rustls::Error::InconsistentKeys(_) => {
                        invalid("the client's private key does not belong to its certificate")
                    }
                    error => invalid("the client certificate can't be used").with_source(error),
                })?,
        };
        config.enable_sni = options.server_name_indication;
        // libpq sends it always, so that a server never takes the connection for another
        // protocol's.
        config.alpn_protocols = vec![ALPN.to_vec()];
        // PostgreSQL never resumes a session, and so each one is verified.
        config.resumption = Resumption::disabled();
        Ok(Self {
            inner: Arc::new(config).into(),
            check_name,
        })
    }

    /// Begins TLS on a connection. `host` is the name or address that the user asked for.
    ///
    /// # Errors
    ///
    /// Of kind [`Tls`](ErrorKind::Tls) if the handshake fails or the server's certificate is
    /// refused, of kind [`Io`](ErrorKind::Io) if the connection is lost.
    ///
    /// # Cancel safety
    ///
    /// The connection is closed when the future is dropped.
    pub async fn connect(&self, stream: Stream, host: &str, start: TlsStart) -> Result<Stream> {
        let Kind::Plain(socket) = stream.kind else {
            return Err(Error::usage("the connection uses TLS already"));
        };
        let name = self.server_name(host)?;
        let session = self.inner.connect(name, socket).await.map_err(|error| {
            connect_error("the connection was lost in the TLS handshake", error)
        })?;
        let protocol = session.get_ref().1.alpn_protocol();
        if start == TlsStart::Direct && protocol != Some(ALPN) {
            return Err(Error::new(
                ErrorKind::Tls,
                "the server began TLS without agreeing by ALPN that it speaks PostgreSQL",
            ));
        }
        Ok(Stream {
            kind: Kind::Tls(Box::new(session)),
        })
    }

    fn server_name(&self, host: &str) -> Result<ServerName<'static>> {
        match ServerName::try_from(host.to_owned()) {
            Ok(name) => Ok(name),
            Err(_) if self.check_name => Err(Error::new(
                ErrorKind::Tls,
                format!("no certificate can be for the host {host:?}, which is not a valid name"),
            )),
            // An address is neither sent nor, here, compared with anything.
            Err(_) => Ok(ServerName::IpAddress(
                IpAddr::V4(Ipv4Addr::UNSPECIFIED).into(),
            )),
        }
    }
}

impl TlsIdentity {
    fn parse_certificates(&self) -> Result<Vec<CertificateDer<'static>>> {
        let certificates: Vec<_> = roots::sections(&self.certificates)
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| {
                invalid("the client certificate is not valid PEM").with_source(error)
            })?;
        if certificates.is_empty() {
            return Err(invalid(
                "there is no client certificate where one should be",
            ));
        }
        Ok(certificates)
    }

    fn parse_key(&self) -> Result<PrivateKeyDer<'static>> {
        if self
            .key
            .windows(ENCRYPTED.len())
            .any(|text| text == ENCRYPTED)
        {
            return Err(invalid(
                "the client's private key is encrypted, which is not supported",
            ));
        }
        PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| {
            invalid("the client's private key is not valid PEM").with_source(error)
        })
    }
}

/// The hash of the server's certificate, for SCRAM's channel binding.
pub(super) fn end_point(session: &TlsStream<Socket>) -> Option<Vec<u8>> {
    end_point::hash(session.get_ref().1.peer_certificates()?.first()?)
}

/// The version that the two sides have agreed on.
pub(super) fn version(session: &TlsStream<Socket>) -> Option<TlsVersion> {
    match session.get_ref().1.protocol_version()? {
        ProtocolVersion::TLSv1_2 => Some(TlsVersion::Tls12),
        ProtocolVersion::TLSv1_3 => Some(TlsVersion::Tls13),
        _ => None,
    }
}

/// What the user should know of a failure of TLS.
pub(super) fn explain(error: &rustls::Error) -> Error {
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

fn invalid(why: &'static str) -> Error {
    Error::new(ErrorKind::Config, why)
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector")
            .field("check_name", &self.check_name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Pem(_) => "Pem(..)",
        })
    }
}

impl fmt::Debug for TlsIdentity {
    /// Not the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity").finish_non_exhaustive()
    }
}

/// The name of the protocol (the server's `PG_ALPN_PROTOCOL`).
const ALPN: &[u8] = b"postgresql";

/// In the first line of every encrypted private key, or in the second.
const ENCRYPTED: &[u8] = b"ENCRYPTED";

/// How many names of a certificate an error shows.
const SHOWN_NAMES: usize = 8;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
