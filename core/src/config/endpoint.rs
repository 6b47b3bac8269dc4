//! [`Endpoint`] and [`Keepalives`]: where a connection goes, and how it is watched.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::host::Host;
use super::secret::Secret;

/// One of the hosts: where it is, and the password for it.
///
/// ```
/// use kornak::config::{Config, Environment};
///
/// let config: Config = "host=db hostaddr=192.0.2.1 port=5433 user=app".parse()?;
/// let resolved = config.environment(Environment::empty()).resolve()?;
/// assert_eq!(resolved.hosts()[0].to_string(), "db (192.0.2.1), port 5433");
/// # Ok::<(), kornak::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    pub(super) host: Host,
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
    pub(super) password: Option<Secret>,
    pub(super) is_from_file: bool,
    /// What `Display` shows: every connection asks for it.
    name: Box<str>,
}

impl Endpoint {
    /// One without a password.
    pub(super) fn new(host: Host, address: Option<IpAddr>, port: u16) -> Self {
        let name = match host.socket_path(port) {
            Some(path) if address.is_none() => Path::new(&path).display().to_string(),
            _ => {
                let name = host.to_string();
                match address {
                    Some(address) if address.to_string() != name => {
                        format!("{name} ({address}), port {port}")
                    }
                    _ => format!("{name}, port {port}"),
                }
            }
        };
        Self {
            host,
            address,
            port,
            password: None,
            is_from_file: false,
            name: name.into(),
        }
    }

    /// As an error about a connection names it.
    #[doc(hidden)]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host as it is written: its name counts for TLS. Where only an address is given,
    /// it is that.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment, Host};
    /// # let config: Config = "host=db user=app".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.hosts()[0].host(), &Host::from("db"));
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The address to connect to, where the configuration says it: the host is then not
    /// looked up, and is reached over TCP even if it looks like a Unix socket.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "hostaddr=::1 user=app".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert!(resolved.hosts()[0].address().unwrap().is_loopback());
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Whether it is reached over a Unix socket.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "host=/tmp user=app".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert!(resolved.hosts()[0].is_unix());
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn is_unix(&self) -> bool {
        self.address.is_none() && self.host.is_unix()
    }

    /// The port; for a Unix socket a part of its name.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "host=db user=app".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.hosts()[0].port(), 5432);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The password for this host, never empty.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "host=db user=app password=sesame".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.hosts()[0].password().unwrap().expose(), b"sesame");
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// Whether the password comes from the password file, which an error about a wrong
    /// password should say.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "host=db user=app password=sesame".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert!(!resolved.hosts()[0].is_password_from_file());
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn is_password_from_file(&self) -> bool {
        self.is_from_file
    }
}

/// As an error about a connection names it.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// How the operating system asks an idle TCP connection for signs of life. `None` is its
/// own setting.
///
/// ```
/// use kornak::config::{Config, DEFAULT_KEEPALIVES_IDLE, Environment};
///
/// let config: Config = "user=app keepalives_interval=0".parse()?;
/// let resolved = config.environment(Environment::empty()).resolve()?;
/// let keepalives = resolved.keepalives().unwrap();
/// assert_eq!(keepalives.idle, Some(DEFAULT_KEEPALIVES_IDLE));
/// assert_eq!(keepalives.interval, None);
/// # Ok::<(), kornak::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keepalives {
    /// How long the connection is idle before the first question.
    pub idle: Option<Duration>,
    /// The time between two questions.
    pub interval: Option<Duration>,
    /// How many questions stay unanswered before the connection is given up.
    pub count: Option<u32>,
}
