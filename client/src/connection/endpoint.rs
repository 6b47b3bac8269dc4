//! [`Endpoint`]: one address of a server, and how it is spoken to.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::tls_options::{stamps, tls_options};
use crate::config::{self, ResolvedConfig, SslMode, SslNegotiation, TlsOptions, Verification};
use crate::error::{Error, ErrorKind, Result};
use crate::startup::scram::EndPoint;
use crate::transport::{
    Keepalive, SocketBuffers, Stream, TcpOptions, TlsAnswer, TlsConnector, TlsProvider, TlsStart,
    UnixOptions, connect_tcp, connect_unix, request_tls,
};

/// An address, and everything needed to open a connection to it again under the same policy:
/// a cancel request goes where its session went, and as well protected.
#[derive(Clone)]
pub(super) struct Endpoint {
    address: Address,
    encryption: Encryption,
}

/// Why no connection was opened.
pub(super) struct Unopened {
    pub(super) error: Error,
    /// The server answers, but TLS failed: there may be a way without.
    pub(super) is_about_tls: bool,
}

/// Where a server listens.
#[derive(Clone, Debug)]
pub(super) enum Address {
    Tcp {
        address: SocketAddr,
        options: TcpOptions,
    },
    Unix {
        path: PathBuf,
        options: UnixOptions,
    },
}

/// What encrypts a connection.
#[derive(Clone)]
pub(super) enum Encryption {
    /// Nothing.
    Plain,
    /// TLS where the server has it.
    Offered(Tls),
    /// TLS, or no connection.
    Tls(Tls),
}

/// How TLS is begun with one host.
#[derive(Clone)]
pub(super) struct Tls {
    connector: Arc<dyn TlsConnector>,
    host: Box<str>,
    is_direct: bool,
    /// The server's certificate is checked.
    is_verified: bool,
}

impl Endpoint {
    pub(super) fn new(address: Address, encryption: Encryption) -> Self {
        Self {
            address,
            encryption,
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Opens a connection, up to where the first message of PostgreSQL's own protocol goes.
    ///
    /// # Errors
    ///
    /// If nobody answers, or the connection can't be encrypted as it must be.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the socket.
    pub(super) async fn open(&self) -> Result<Stream, Unopened> {
        let stream = match &self.address {
            Address::Tcp { address, options } => connect_tcp(*address, options).await?,
            Address::Unix { path, options } => connect_unix(path, options).await?,
        };
        match &self.encryption {
            Encryption::Plain => Ok(stream),
            Encryption::Offered(tls) => tls.encrypt(stream, false).await,
            Encryption::Tls(tls) => tls.encrypt(stream, true).await,
        }
    }

    /// The same endpoint, which from now on demands what `stream` has.
    pub(super) fn settled(self, stream: &Stream) -> Self {
        let encryption = match self.encryption {
            Encryption::Offered(tls) if stream.is_tls() => Encryption::Tls(tls),
            Encryption::Offered(_) => Encryption::Plain,
            encryption => encryption,
        };
        Self { encryption, ..self }
    }

    /// Whether nobody in between can read what is sent: a Unix socket, or TLS with a server
    /// whose certificate was checked.
    pub(super) fn is_private(&self, stream: &Stream) -> bool {
        match &self.encryption {
            Encryption::Offered(tls) | Encryption::Tls(tls) if stream.is_tls() => tls.is_verified,
            _ => stream.is_unix(),
        }
    }
}

impl From<Error> for Unopened {
    fn from(error: Error) -> Self {
        Self {
            is_about_tls: error.kind() == ErrorKind::Tls,
            error,
        }
    }
}

impl Address {
    pub(super) fn tcp(address: SocketAddr, config: &ResolvedConfig) -> Self {
        let keepalive = config.keepalives().map(|keepalives| Keepalive {
            idle: keepalives.idle,
            interval: keepalives.interval,
            count: keepalives.count,
        });
        Self::Tcp {
            address,
            options: TcpOptions {
                keepalive,
                user_timeout: config.tcp_user_timeout(),
                buffers: buffers(config),
            },
        }
    }

    pub(super) fn unix(path: PathBuf, config: &ResolvedConfig) -> Self {
        Self::Unix {
            path,
            options: UnixOptions {
                required_peer: config.requirepeer().map(Into::into),
                buffers: buffers(config),
            },
        }
    }
}

fn buffers(config: &ResolvedConfig) -> SocketBuffers {
    SocketBuffers {
        send: config.send_buffer_size(),
        receive: config.receive_buffer_size(),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { address, .. } => write!(f, "{address}"),
            Self::Unix { path, .. } => write!(f, "{}", path.display()),
        }
    }
}

/// What a proof can be bound to.
pub(super) fn end_point_of(stream: &Stream) -> EndPoint {
    if !stream.is_tls() {
        return EndPoint::Plain;
    }
    match stream.tls_end_point() {
        Some(hash) => EndPoint::Hash(hash),
        None => EndPoint::Unbindable,
    }
}

/// Makes the TLS that a configuration asks for, once for all its connections.
#[derive(Clone)]
pub(super) struct TlsSetup {
    connector: Option<Arc<dyn TlsConnector>>,
    /// What it was made of.
    options: TlsOptions,
    stamps: Vec<Option<(SystemTime, u64)>>,
}

impl TlsSetup {
    /// # Errors
    ///
    /// If a certificate can't be read, or the mode needs TLS and there is none.
    pub(super) fn new(config: &ResolvedConfig, provider: Option<&dyn TlsProvider>) -> Result<Self> {
        let options = config.tls().clone();
        let mode = options.mode();
        let (connector, stamps) = match provider {
            _ if !needs_tls(config) => (None, Vec::new()),
            Some(provider) => {
                // Looked at before they are read: what is replaced meanwhile is read again.
                let stamps = stamps(&options);
                let connector = provider.connector(&tls_options(&options)?)?;
                (Some(connector), stamps)
            }
            None if matches!(mode, SslMode::Allow | SslMode::Prefer) => (None, Vec::new()),
            None => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!(
                        "sslmode={} needs the feature `tls` of kornak",
                        mode.as_str()
                    ),
                ));
            }
        };
        Ok(Self {
            connector,
            options,
            stamps,
        })
    }

    /// Whether making it anew would give the same.
    pub(super) fn is_current(
        &self,
        config: &ResolvedConfig,
        provider: Option<&dyn TlsProvider>,
    ) -> bool {
        let is_set_up = provider.is_some() && needs_tls(config);
        self.options == *config.tls()
            && is_set_up == self.connector.is_some()
            && (!is_set_up || self.stamps == stamps(&self.options))
    }

    #[cfg(test)]
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (&self.connector, &other.connector) {
            (Some(this), Some(other)) => Arc::ptr_eq(this, other),
            _ => false,
        }
    }

    /// The ways to try a host, one after the other: libpq's meaning of `sslmode`.
    pub(super) fn attempts(&self, host: &config::Endpoint) -> Vec<Encryption> {
        let connector = match &self.connector {
            Some(connector) if !host.is_unix() => Arc::clone(connector),
            _ => return vec![Encryption::Plain],
        };
        let tls = Tls {
            connector,
            host: host.host().to_string().into(),
            is_direct: self.options.negotiation() == SslNegotiation::Direct,
            is_verified: self.options.verification() != Verification::Nothing,
        };
        match self.options.mode() {
            SslMode::Disable => vec![Encryption::Plain],
            SslMode::Allow => vec![Encryption::Plain, Encryption::Tls(tls)],
            SslMode::Prefer => vec![Encryption::Offered(tls), Encryption::Plain],
            _ => vec![Encryption::Tls(tls)],
        }
    }
}

/// Whether TLS may come to pass: it is not switched off, and a host is reached otherwise than by a
/// Unix socket, on which there is none.
fn needs_tls(config: &ResolvedConfig) -> bool {
    config.tls().mode() != SslMode::Disable && config.hosts().iter().any(|host| !host.is_unix())
}

impl Tls {
    async fn encrypt(&self, mut stream: Stream, is_required: bool) -> Result<Stream, Unopened> {
        if self.is_direct {
            return self.shake_hands(stream, TlsStart::Direct).await;
        }
        match request_tls(&mut stream).await? {
            TlsAnswer::Willing => self.shake_hands(stream, TlsStart::Requested).await,
            TlsAnswer::Unwilling if is_required => Err(Error::new(
                ErrorKind::Tls,
                "the server doesn't support TLS, which sslmode demands",
            )
            .into()),
            TlsAnswer::Unwilling => Ok(stream),
        }
    }

    /// A server that hangs up in the middle of the handshake is about TLS too.
    async fn shake_hands(&self, stream: Stream, start: TlsStart) -> Result<Stream, Unopened> {
        let stream = stream.encrypt(&*self.connector, &self.host, start).await;
        stream.map_err(|error| Unopened {
            is_about_tls: matches!(error.kind(), ErrorKind::Tls | ErrorKind::Io),
            error,
        })
    }
}
