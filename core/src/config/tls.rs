//! [`TlsOptions`]: how TLS is used.

use std::path::{Path, PathBuf};

use super::choice::{SslCertMode, SslMode, SslNegotiation, TlsVersion};
use super::host::RootCertificates;

/// How TLS is used over TCP: the `ssl…` options together.
///
/// ```
/// use kornak::config::{Config, Environment, Verification};
///
/// let config: Config = "user=app sslrootcert=system".parse()?;
/// let resolved = config.environment(Environment::empty()).resolve()?;
/// assert_eq!(resolved.tls().verification(), Verification::AuthorityAndName);
/// # Ok::<(), kornak::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    pub(super) mode: SslMode,
    pub(super) negotiation: SslNegotiation,
    pub(super) root_certificates: Option<RootCertificates>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) certificate_mode: SslCertMode,
    pub(super) revocation_list: Option<PathBuf>,
    pub(super) revocation_directory: Option<PathBuf>,
    pub(super) server_name_indication: bool,
    pub(super) min_version: TlsVersion,
    pub(super) max_version: Option<TlsVersion>,
}

/// What is checked of the server's certificate.
///
/// ```
/// use kornak::config::{Config, Environment, Verification};
///
/// let config: Config = "user=app sslmode=require".parse()?;
/// let resolved = config.environment(Environment::empty()).resolve()?;
/// assert_eq!(resolved.tls().verification(), Verification::Nothing);
/// # Ok::<(), kornak::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verification {
    /// Whoever answers is taken for the server.
    Nothing,
    /// A trusted authority signed it.
    Authority,
    /// A trusted authority signed it, for the host's name.
    AuthorityAndName,
}

impl TlsOptions {
    /// How much TLS there must be (`sslmode`).
    ///
    /// ```
    /// # use kornak::config::{Config, Environment, SslMode};
    /// # let config: Config = "user=app sslmode=require".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.tls().mode(), SslMode::Require);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn mode(&self) -> SslMode {
        self.mode
    }

    /// What is checked of the server's certificate. As in libpq, the modes below
    /// `verify-ca` check the authority too where there are root certificates.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment, Verification};
    /// # let config: Config = "user=app sslmode=require sslrootcert=ca.pem".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.tls().verification(), Verification::Authority);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn verification(&self) -> Verification {
        match self.mode {
            SslMode::VerifyFull => Verification::AuthorityAndName,
            SslMode::VerifyCa => Verification::Authority,
            _ if self.root_certificates.is_some() => Verification::Authority,
            _ => Verification::Nothing,
        }
    }

    /// How TLS is begun (`sslnegotiation`).
    ///
    /// ```
    /// # use kornak::config::{Config, Environment, SslNegotiation};
    /// # let config: Config = "user=app".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.tls().negotiation(), SslNegotiation::Postgres);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn negotiation(&self) -> SslNegotiation {
        self.negotiation
    }

    /// The certificates that the server's may come from (`sslrootcert`). A file that was
    /// named may not exist; one that was found by default does.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment, RootCertificates};
    /// # let config: Config = "user=app sslrootcert=system".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.tls().root_certificates(), Some(&RootCertificates::System));
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn root_certificates(&self) -> Option<&RootCertificates> {
        self.root_certificates.as_ref()
    }

    /// The PEM file of the client's certificate (`sslcert`), unless it is not to be sent.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "user=app sslcert=app.crt sslcertmode=disable".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.tls().certificate(), None);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn certificate(&self) -> Option<&Path> {
        self.certificate.as_deref()
    }

    /// The PEM file of the key of that certificate (`sslkey`).
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "user=app sslcert=app.crt sslkey=app.key".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.tls().key().unwrap().to_str(), Some("app.key"));
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn key(&self) -> Option<&Path> {
        self.key.as_deref()
    }

    /// Whether the client's certificate is sent (`sslcertmode`).
    ///
    /// ```
    /// # use kornak::config::{Config, Environment, SslCertMode};
    /// # let config: Config = "user=app".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.tls().certificate_mode(), SslCertMode::Allow);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn certificate_mode(&self) -> SslCertMode {
        self.certificate_mode
    }

    /// The PEM file of revoked certificates (`sslcrl`).
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "user=app sslcrl=ca.crl".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.tls().revocation_list().unwrap().to_str(), Some("ca.crl"));
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn revocation_list(&self) -> Option<&Path> {
        self.revocation_list.as_deref()
    }

    /// The directory of PEM files of revoked certificates (`sslcrldir`).
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "user=app sslcrldir=/etc/crl".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert!(resolved.tls().revocation_directory().is_some());
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn revocation_directory(&self) -> Option<&Path> {
        self.revocation_directory.as_deref()
    }

    /// Whether the handshake tells the host's name (`sslsni`).
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "user=app".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert!(resolved.tls().server_name_indication());
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn server_name_indication(&self) -> bool {
        self.server_name_indication
    }

    /// The oldest version of TLS (`ssl_min_protocol_version`).
    ///
    /// ```
    /// # use kornak::config::{Config, Environment, TlsVersion};
    /// # let config: Config = "user=app".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.tls().min_version(), TlsVersion::Tls12);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn min_version(&self) -> TlsVersion {
        self.min_version
    }

    /// The newest version of TLS (`ssl_max_protocol_version`); `None` is the newest there
    /// is.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "user=app".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.tls().max_version(), None);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn max_version(&self) -> Option<TlsVersion> {
        self.max_version
    }
}
