//! [`ResolvedConfig`]: a configuration with nothing left open.

use std::fmt;
use std::time::Duration;

use super::choice::{
    ChannelBinding, LoadBalanceHosts, Pooler, ProtocolVersion, TargetSessionAttrs,
};
use super::endpoint::{Endpoint, Keepalives};
use super::require_auth::RequireAuth;
use super::secret::Secret;
use super::tls::TlsOptions;

/// A configuration with nothing left open: what [`Config::resolve`](super::Config::resolve)
/// makes of what the program, the service file, the environment and the defaults say.
///
/// A connection is made from one, and so are its cancel requests and the ones that replace
/// it, so that none is weaker than the first.
///
/// ```
/// use kornak::config::{Config, Environment};
///
/// let config: Config = "postgres://app:sesame@db/shop?options=-c%20geqo%3Doff".parse()?;
/// let resolved = config.environment(Environment::empty()).resolve()?;
/// assert_eq!(resolved.user(), "app");
/// assert_eq!(resolved.hosts()[0].password().unwrap().expose(), b"sesame");
/// assert!(!format!("{resolved:?}").contains("sesame"));
/// # Ok::<(), kornak::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct ResolvedConfig {
    pub(super) hosts: Vec<Endpoint>,
    pub(super) user: String,
    pub(super) dbname: String,
    pub(super) options: String,
    pub(super) application_name: Option<String>,
    pub(super) settings: Vec<(String, String)>,
    pub(super) target_session_attrs: TargetSessionAttrs,
    pub(super) load_balance_hosts: LoadBalanceHosts,
    pub(super) pooler: Pooler,
    pub(super) require_auth: RequireAuth,
    pub(super) channel_binding: ChannelBinding,
    pub(super) allow_cleartext_password: bool,
    pub(super) allow_md5_password: bool,
    pub(super) scram_min_iterations: u32,
    pub(super) scram_max_iterations: u32,
    pub(super) scram_client_key: Option<Secret>,
    pub(super) scram_server_key: Option<Secret>,
    pub(super) requirepeer: Option<String>,
    pub(super) tls: TlsOptions,
    pub(super) min_protocol_version: ProtocolVersion,
    pub(super) max_protocol_version: ProtocolVersion,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) query_timeout: Option<Duration>,
    pub(super) keepalives: Option<Keepalives>,
    pub(super) tcp_user_timeout: Option<Duration>,
    pub(super) send_buffer_size: Option<u32>,
    pub(super) receive_buffer_size: Option<u32>,
    pub(super) statement_cache_capacity: usize,
    pub(super) warnings: Vec<String>,
    /// As in [`Config`](super::Config).
    pub(super) is_suspect: bool,
}

impl ResolvedConfig {
    /// The hosts, in the order in which they are written; there is at least one.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "host=one,two user=app".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.hosts().len(), 2);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn hosts(&self) -> &[Endpoint] {
        &self.hosts
    }

    /// The user, never empty.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "user=app".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.user(), "app");
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The database, never empty.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "user=app".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.dbname(), "app");
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn dbname(&self) -> &str {
        &self.dbname
    }

    /// The name for `pg_stat_activity`, never empty.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "user=app fallback_application_name=shop".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.application_name(), Some("shop"));
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn application_name(&self) -> Option<&str> {
        self.application_name.as_deref()
    }

    /// The names and values of the startup message (the manual's `StartupMessage` under
    /// "Message Formats"), all but `replication`.
    ///
    /// Behind a pooler of transactions only those that PgBouncer knows are among them.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "user=app dbname=shop".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(
    ///     resolved.startup_parameters().collect::<Vec<_>>(),
    ///     [("user", "app"), ("database", "shop"), ("client_encoding", "UTF8")],
    /// );
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn startup_parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let named = [
            Some(("user", self.user.as_str())),
            Some(("database", self.dbname.as_str())),
            Some(("client_encoding", "UTF8")),
            self.application_name()
                .map(|name| ("application_name", name)),
            (!self.options.is_empty()).then_some(("options", self.options.as_str())),
        ];
        let settings = self.settings.iter();
        named
            .into_iter()
            .flatten()
            .chain(settings.map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// What kind of server is wanted.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment, TargetSessionAttrs};
    /// # let config: Config = "user=app".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.target_session_attrs(), TargetSessionAttrs::Any);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn target_session_attrs(&self) -> TargetSessionAttrs {
        self.target_session_attrs
    }

    /// In which order hosts and addresses are tried.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment, LoadBalanceHosts};
    /// # let config: Config = "user=app".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.load_balance_hosts(), LoadBalanceHosts::Disable);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn load_balance_hosts(&self) -> LoadBalanceHosts {
        self.load_balance_hosts
    }

    /// What stands between this driver and PostgreSQL.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment, Pooler};
    /// # let config: Config = "user=app".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.pooler(), Pooler::Session);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn pooler(&self) -> Pooler {
        self.pooler
    }

    /// Which ways of authentication are accepted.
    ///
    /// ```
    /// # use kornak::config::{AuthMethod, Config, Environment};
    /// # let config: Config = "user=app require_auth=scram-sha-256".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert!(!resolved.require_auth().allows(AuthMethod::Password));
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn require_auth(&self) -> RequireAuth {
        self.require_auth
    }

    /// Whether SCRAM is tied to the TLS connection.
    ///
    /// ```
    /// # use kornak::config::{ChannelBinding, Config, Environment};
    /// # let config: Config = "user=app channel_binding=require".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.channel_binding(), ChannelBinding::Require);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn channel_binding(&self) -> ChannelBinding {
        self.channel_binding
    }

    /// Whether the password may go as it is over a connection that is neither a Unix
    /// socket nor has a certificate that was checked.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "user=app".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert!(!resolved.allow_cleartext_password());
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn allow_cleartext_password(&self) -> bool {
        self.allow_cleartext_password
    }

    /// Whether an MD5 of the password may go over a connection that is neither a Unix
    /// socket nor has a certificate that was checked.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "user=app".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert!(!resolved.allow_md5_password());
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn allow_md5_password(&self) -> bool {
        self.allow_md5_password
    }

    /// The fewest iterations of SCRAM that a server may ask for.
    ///
    /// ```
    /// # use kornak::config::{Config, DEFAULT_SCRAM_MIN_ITERATIONS, Environment};
    /// # let config: Config = "user=app".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.scram_min_iterations(), DEFAULT_SCRAM_MIN_ITERATIONS);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn scram_min_iterations(&self) -> u32 {
        self.scram_min_iterations
    }

    /// The most iterations of SCRAM that a server may ask for.
    ///
    /// ```
    /// # use kornak::config::{Config, DEFAULT_SCRAM_MAX_ITERATIONS, Environment};
    /// # let config: Config = "user=app".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.scram_max_iterations(), DEFAULT_SCRAM_MAX_ITERATIONS);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn scram_max_iterations(&self) -> u32 {
        self.scram_max_iterations
    }

    /// SCRAM's client key, 32 bytes, which stands in for the password.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config = Config::new().user("app").scram_keys([1; 32], [2; 32]);
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.scram_client_key().unwrap().expose(), [1; 32]);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn scram_client_key(&self) -> Option<&Secret> {
        self.scram_client_key.as_ref()
    }

    /// SCRAM's server key, 32 bytes, by which the server's proof is checked.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config = Config::new().user("app").scram_keys([1; 32], [2; 32]);
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.scram_server_key().unwrap().expose(), [2; 32]);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn scram_server_key(&self) -> Option<&Secret> {
        self.scram_server_key.as_ref()
    }

    /// The operating system's user that the server must run as, over a Unix socket.
    /// [`Environment::user_name`](super::Environment::user_name) finds the name of the
    /// peer.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "user=app requirepeer=postgres".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.requirepeer(), Some("postgres"));
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn requirepeer(&self) -> Option<&str> {
        self.requirepeer.as_deref()
    }

    /// How TLS is used over TCP.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment, SslMode};
    /// # let config: Config = "user=app sslmode=disable".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.tls().mode(), SslMode::Disable);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn tls(&self) -> &TlsOptions {
        &self.tls
    }

    /// The oldest version of the wire protocol that will do.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment, ProtocolVersion};
    /// # let config: Config = "user=app".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.min_protocol_version(), ProtocolVersion::V3_0);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn min_protocol_version(&self) -> ProtocolVersion {
        self.min_protocol_version
    }

    /// The version of the wire protocol to ask for.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment, ProtocolVersion};
    /// # let config: Config = "user=app min_protocol_version=3.2".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.max_protocol_version(), ProtocolVersion::V3_2);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn max_protocol_version(&self) -> ProtocolVersion {
        self.max_protocol_version
    }

    /// How long connecting may take in all; `None` is no limit.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "user=app connect_timeout=10".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.connect_timeout().unwrap().as_secs(), 10);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn connect_timeout(&self) -> Option<Duration> {
        self.connect_timeout
    }

    /// How long a query may take that says nothing of its own; `None` is no limit.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "user=app query_timeout=2s".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.query_timeout().unwrap().as_secs(), 2);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn query_timeout(&self) -> Option<Duration> {
        self.query_timeout
    }

    /// How the operating system asks for signs of life, over TCP; `None` where it does
    /// not.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "user=app keepalives=0".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.keepalives(), None);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn keepalives(&self) -> Option<Keepalives> {
        self.keepalives
    }

    /// How long what was sent may stay unacknowledged; `None` is the operating system's
    /// limit.
    ///
    /// ```
    /// # use kornak::config::{Config, DEFAULT_TCP_USER_TIMEOUT, Environment};
    /// # let config: Config = "user=app".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.tcp_user_timeout(), Some(DEFAULT_TCP_USER_TIMEOUT));
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn tcp_user_timeout(&self) -> Option<Duration> {
        self.tcp_user_timeout
    }

    /// How many bytes that the server hasn't taken yet the operating system keeps; `None` leaves
    /// it to the system.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "user=app send_buffer_size=65536".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.send_buffer_size(), Some(65_536));
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn send_buffer_size(&self) -> Option<u32> {
        self.send_buffer_size
    }

    /// How many bytes that the program hasn't read yet the operating system keeps; `None` leaves
    /// it to the system.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "user=app receive_buffer_size=0".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.receive_buffer_size(), None);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn receive_buffer_size(&self) -> Option<u32> {
        self.receive_buffer_size
    }

    /// How many prepared statements a connection keeps.
    ///
    /// ```
    /// # use kornak::config::{Config, DEFAULT_STATEMENT_CACHE_CAPACITY, Environment};
    /// # let config: Config = "user=app".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert_eq!(resolved.statement_cache_capacity(), DEFAULT_STATEMENT_CACHE_CAPACITY);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn statement_cache_capacity(&self) -> usize {
        self.statement_cache_capacity
    }

    /// What was left out for a reason that its owner should know, such as a password file
    /// that others can read: one sentence each. They belong into the error of a failed
    /// authentication.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// # let config: Config = "user=app passfile=/nowhere/pw".parse()?;
    /// # let resolved = config.environment(Environment::empty()).resolve()?;
    /// assert!(resolved.warnings()[0].contains("/nowhere/pw"));
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl fmt::Debug for ResolvedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_suspect {
            return f.debug_struct("ResolvedConfig").finish_non_exhaustive();
        }
        f.debug_struct("ResolvedConfig")
            .field("hosts", &self.hosts)
            .field("user", &self.user)
            .field("dbname", &self.dbname)
            .field("application_name", &self.application_name)
            .field("pooler", &self.pooler)
            .field("require_auth", &self.require_auth)
            .field("channel_binding", &self.channel_binding)
            .field("tls", &self.tls)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}
