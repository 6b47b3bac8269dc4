//! TLS by rustls over a connection that is already made (manual, "SSL Support").

mod certificate;
mod der;
mod end_point;
mod name;
mod roots;
mod session;
mod verify;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tokio_rustls::rustls;
use tokio_rustls::rustls::client::{ClientConfig, Resumption};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use self::roots::TrustStore;
use self::session::{Session, explain};
use self::verify::Verifier;
use crate::error::{Error, ErrorKind, Result};
use crate::transport::{
    Handshake, Socket, TlsConnector, TlsIdentity, TlsOptions, TlsProvider, TlsSession, TlsStart,
    TlsVersion, Verification, connect_error,
};

/// TLS by rustls.
pub(crate) struct Rustls;

/// Makes TLS connections. Built once: it reads certificates.
struct Connector {
    inner: tokio_rustls::TlsConnector,
    check_name: bool,
}

impl TlsProvider for Rustls {
    fn connector(&self, options: &TlsOptions) -> Result<Arc<dyn TlsConnector>> {
        Ok(Arc::new(Connector::new(options)?))
    }
}

impl TlsConnector for Connector {
    fn connect<'a>(&'a self, socket: Socket, host: &'a str, start: TlsStart) -> Handshake<'a> {
        Box::pin(async move {
            let session = self.shake_hands(socket, host, start).await?;
            Ok(Box::new(session) as Box<dyn TlsSession>)
        })
    }
}

impl Connector {
    /// Reads the certificates. With [`Roots::System`](crate::transport::Roots::System) this
    /// reads files, for a millisecond or a few.
    fn new(options: &TlsOptions) -> Result<Self> {
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
                .with_client_auth_cert(certificates(identity)?, key(identity)?)
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

    async fn shake_hands(&self, socket: Socket, host: &str, start: TlsStart) -> Result<Session> {
        let name = self.server_name(host)?;
        let session = self.inner.connect(name, socket).await.map_err(|error| {
            explain(&error).unwrap_or_else(|| {
                connect_error("the connection was lost in the TLS handshake", error)
            })
        })?;
        let protocol = session.get_ref().1.alpn_protocol();
        if start == TlsStart::Direct && protocol != Some(ALPN) {
            return Err(Error::new(
                ErrorKind::Tls,
                "the server began TLS without agreeing by ALPN that it speaks PostgreSQL",
            ));
        }
        Ok(Session::new(session))
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

fn certificates(identity: &TlsIdentity) -> Result<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> = roots::sections(&identity.certificates)
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| invalid("the client certificate is not valid PEM").with_source(error))?;
    if certificates.is_empty() {
        return Err(invalid(
            "there is no client certificate where one should be",
        ));
    }
    Ok(certificates)
}

fn key(identity: &TlsIdentity) -> Result<PrivateKeyDer<'static>> {
    if identity
        .key
        .windows(ENCRYPTED.len())
        .any(|text| text == ENCRYPTED)
    {
        return Err(invalid(
            "the client's private key is encrypted, which is not supported",
        ));
    }
    PrivateKeyDer::from_pem_slice(&identity.key)
        .map_err(|error| invalid("the client's private key is not valid PEM").with_source(error))
}
fn invalid(why: &'static str) -> Error {
    Error::new(ErrorKind::Config, why)
}

/// The name of the protocol (the server's `PG_ALPN_PROTOCOL`).
const ALPN: &[u8] = b"postgresql";

/// In the first line of every encrypted private key, or in the second.
const ENCRYPTED: &[u8] = b"ENCRYPTED";

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
