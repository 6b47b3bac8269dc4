//! [`Host`]: where a server is asked for.

use std::fmt;
use std::path::{Path, PathBuf};

use super::value::{InvalidValue, Value};

/// Where a server is asked for: a name or an address in the network, or the directory of
/// its Unix socket.
///
/// A text that begins with `/` is a directory, one that begins with `@` an abstract
/// socket's (Linux), all else a name (the manual's `host` under "Parameter Key Words").
///
/// ```
/// use kornak::config::Host;
///
/// assert_eq!(Host::from("db.example.com"), Host::Tcp("db.example.com".into()));
/// assert_eq!(
///     Host::from("/var/run/postgresql").socket_path(5432).unwrap(),
///     "/var/run/postgresql/.s.PGSQL.5432",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Host {
    /// A DNS name, or an IPv4 or IPv6 address.
    Tcp(String),
    /// The directory of a Unix socket.
    Unix(PathBuf),
    /// A Unix socket in Linux's abstract namespace, without the `@` in front.
    Abstract(String),
}

impl Host {
    /// The path of the Unix socket for `port`; for an abstract one it begins with `@`.
    /// `None` for a host in the network.
    ///
    /// ```
    /// # use kornak::config::Host;
    /// assert_eq!(Host::from("@pg").socket_path(1).unwrap(), "@pg/.s.PGSQL.1");
    /// assert_eq!(Host::from("db").socket_path(1), None);
    /// ```
    pub fn socket_path(&self, port: u16) -> Option<std::ffi::OsString> {
        // `UNIXSOCK_PATH` in the server's pqcomm.h.
        let name = format!(".s.PGSQL.{port}");
        match self {
            Self::Tcp(_) => None,
            Self::Unix(directory) => Some(directory.join(name).into_os_string()),
            Self::Abstract(directory) => Some(format!("@{directory}/{name}").into()),
        }
    }

    /// Whether it is a Unix socket, abstract or not.
    ///
    /// ```
    /// # use kornak::config::Host;
    /// assert!(Host::from("/tmp").is_unix());
    /// assert!(!Host::from("::1").is_unix());
    /// ```
    pub fn is_unix(&self) -> bool {
        !matches!(self, Self::Tcp(_))
    }

    /// What is wrong with it, if anything: shared by the builder and the parsers.
    pub(super) fn fault(&self) -> Option<&'static str> {
        match self {
            Self::Tcp(name) if name.contains('@') => Some(
                "a host name can't contain @ (in a URI, an @ in the user name or password is \
                 written %40)",
            ),
            Self::Tcp(name) if name.contains(',') => {
                Some("a host name can't contain a comma; several hosts go into `hosts`")
            }
            Self::Tcp(name) if name.is_empty() => Some("a host name can't be empty"),
            Self::Tcp(name) | Self::Abstract(name) if name.contains('\0') => Some(ZERO_BYTE),
            Self::Unix(path) if path.as_os_str().as_encoded_bytes().contains(&0) => Some(ZERO_BYTE),
            _ => None,
        }
    }
}

const ZERO_BYTE: &str = "it contains a zero byte";

impl From<&str> for Host {
    fn from(text: &str) -> Self {
        if let Some(name) = text.strip_prefix('@') {
            Self::Abstract(name.to_owned())
        } else if text.starts_with('/') || Path::new(text).is_absolute() {
            Self::Unix(text.into())
        } else {
            Self::Tcp(text.to_owned())
        }
    }
}

impl From<String> for Host {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&String> for Host {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&Path> for Host {
    fn from(directory: &Path) -> Self {
        Self::Unix(directory.to_owned())
    }
}

impl From<PathBuf> for Host {
    fn from(directory: PathBuf) -> Self {
        Self::Unix(directory)
    }
}

impl From<std::net::IpAddr> for Host {
    fn from(address: std::net::IpAddr) -> Self {
        Self::Tcp(address.to_string())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(name) => f.write_str(name),
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

impl Value for Host {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        let host = Self::from(text);
        match host.fault() {
            Some(fault) => Err(InvalidValue::new(fault)),
            None => Ok(host),
        }
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

/// The certificates that the server's certificate may come from (`sslrootcert`).
///
/// ```
/// use kornak::config::RootCertificates;
///
/// assert_eq!(RootCertificates::from("system"), RootCertificates::System);
/// assert_eq!(
///     RootCertificates::from("/etc/ca.pem"),
///     RootCertificates::File("/etc/ca.pem".into()),
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RootCertificates {
    /// Those that the operating system trusts. `sslmode` is then `verify-full`.
    System,
    /// Those in this PEM file.
    File(PathBuf),
}

impl From<&str> for RootCertificates {
    /// `system`, or a file's path; a file of that name is written `./system`.
    fn from(text: &str) -> Self {
        match text {
            "system" => Self::System,
            path => Self::File(path.into()),
        }
    }
}

impl From<PathBuf> for RootCertificates {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&Path> for RootCertificates {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl Value for RootCertificates {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        Ok(text.into())
    }

    fn parse_bytes(bytes: &[u8]) -> Result<Self, InvalidValue> {
        match bytes {
            b"system" => Ok(Self::System),
            _ => PathBuf::parse_bytes(bytes).map(Self::File),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::System => "system".into(),
            Self::File(path) => path.text(),
        }
    }
}
