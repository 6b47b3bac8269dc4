//! How TLS is to be set up: plain values, with certificates as the bytes of their files.

use std::fmt;

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
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// How the two sides agree to begin TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsStart {
    /// The server has said that it is willing: [`request_tls`](super::request_tls).
    Requested,
    /// The connection begins with TLS (libpq's `sslnegotiation=direct`, PostgreSQL 17 and
    /// later). The server must then say by ALPN that it takes this for PostgreSQL.
    Direct,
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
