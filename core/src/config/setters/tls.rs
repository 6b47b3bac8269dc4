//! The setters of TLS.

use std::path::PathBuf;

use crate::config::builder::Config;
use crate::config::choice::{
    SslCertMode, SslMode, SslNegotiation, TlsCeiling, TlsFloor, TlsVersion,
};
use crate::config::host::RootCertificates;
use crate::config::value::Flag;

/// # TLS
impl Config {
    /// Sets how much TLS there must be. The default is [`SslMode::Prefer`], and
    /// [`SslMode::VerifyFull`] with the system's root certificates. `PGSSLMODE` sets it
    /// too.
    ///
    /// ```
    /// use kornak::config::{Config, SslMode};
    ///
    /// let config = Config::new().sslmode(SslMode::VerifyFull);
    /// assert_eq!(config.to_string(), "sslmode=verify-full");
    /// ```
    #[must_use]
    pub fn sslmode(mut self, mode: SslMode) -> Self {
        self.options.sslmode = Some(mode);
        self
    }

    /// Sets how TLS is begun. `PGSSLNEGOTIATION` sets it too.
    ///
    /// ```
    /// use kornak::config::{Config, SslNegotiation};
    ///
    /// let config = Config::new().sslnegotiation(SslNegotiation::Direct);
    /// assert_eq!(config.to_string(), "sslnegotiation=direct");
    /// ```
    #[must_use]
    pub fn sslnegotiation(mut self, negotiation: SslNegotiation) -> Self {
        self.options.sslnegotiation = Some(negotiation);
        self
    }

    /// Sets the certificates that the server's may come from: a PEM file, or `system`. The
    /// default is `~/.postgresql/root.crt` where it exists. `PGSSLROOTCERT` sets it too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().sslrootcert("system");
    /// assert_eq!(config.to_string(), "sslrootcert=system");
    /// ```
    #[must_use]
    pub fn sslrootcert(mut self, certificates: impl Into<RootCertificates>) -> Self {
        self.options.sslrootcert = Some(certificates.into());
        self
    }

    /// Sets the PEM file of the client's certificate. The default is
    /// `~/.postgresql/postgresql.crt` where it exists. `PGSSLCERT` sets it too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// assert_eq!(Config::new().sslcert("app.crt").to_string(), "sslcert=app.crt");
    /// ```
    #[must_use]
    pub fn sslcert(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.sslcert = Some(path.into());
        self
    }

    /// Sets the PEM file of the key of the client's certificate. The default is
    /// `~/.postgresql/postgresql.key`. `PGSSLKEY` sets it too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// assert_eq!(Config::new().sslkey("app.key").to_string(), "sslkey=app.key");
    /// ```
    #[must_use]
    pub fn sslkey(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.sslkey = Some(path.into());
        self
    }

    /// Sets whether the client's certificate is sent. `PGSSLCERTMODE` sets it too.
    ///
    /// ```
    /// use kornak::config::{Config, SslCertMode};
    ///
    /// let config = Config::new().sslcertmode(SslCertMode::Disable);
    /// assert_eq!(config.to_string(), "sslcertmode=disable");
    /// ```
    #[must_use]
    pub fn sslcertmode(mut self, mode: SslCertMode) -> Self {
        self.options.sslcertmode = Some(mode);
        self
    }

    /// Sets the PEM file of revoked certificates. The default is `~/.postgresql/root.crl`
    /// where it exists. `PGSSLCRL` sets it too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// assert_eq!(Config::new().sslcrl("ca.crl").to_string(), "sslcrl=ca.crl");
    /// ```
    #[must_use]
    pub fn sslcrl(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.sslcrl = Some(path.into());
        self
    }

    /// Sets a directory of PEM files of revoked certificates. `PGSSLCRLDIR` sets it too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// assert_eq!(Config::new().sslcrldir("/etc/crl").to_string(), "sslcrldir=/etc/crl");
    /// ```
    #[must_use]
    pub fn sslcrldir(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.sslcrldir = Some(path.into());
        self
    }

    /// Sets whether the TLS handshake tells the host's name, in the clear. The default is
    /// that it does. `PGSSLSNI` sets it too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// assert_eq!(Config::new().sslsni(false).to_string(), "sslsni=0");
    /// ```
    #[must_use]
    pub fn sslsni(mut self, tell: bool) -> Self {
        self.options.sslsni = Some(Flag(tell));
        self
    }

    /// Sets the oldest version of TLS. The default is 1.2. `PGSSLMINPROTOCOLVERSION` sets
    /// it too.
    ///
    /// ```
    /// use kornak::config::{Config, TlsVersion};
    ///
    /// let config = Config::new().ssl_min_protocol_version(TlsVersion::Tls13);
    /// assert_eq!(config.to_string(), "ssl_min_protocol_version=TLSv1.3");
    /// ```
    #[must_use]
    pub fn ssl_min_protocol_version(mut self, version: TlsVersion) -> Self {
        self.options.ssl_min_protocol_version = Some(TlsFloor(version));
        self
    }

    /// Sets the newest version of TLS. The default is the newest there is.
    /// `PGSSLMAXPROTOCOLVERSION` sets it too.
    ///
    /// ```
    /// use kornak::config::{Config, TlsVersion};
    ///
    /// let config = Config::new().ssl_max_protocol_version(TlsVersion::Tls12);
    /// assert_eq!(config.to_string(), "ssl_max_protocol_version=TLSv1.2");
    /// ```
    #[must_use]
    pub fn ssl_max_protocol_version(mut self, version: TlsVersion) -> Self {
        self.options.ssl_max_protocol_version = Some(TlsCeiling(Some(version)));
        self
    }
}
