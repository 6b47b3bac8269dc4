//! The setters of [`Config`], in the order of the table in the module's documentation.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::builder::Config;
use super::choice::{
    ChannelBinding, LoadBalanceHosts, Pooler, ProtocolVersion, SslCertMode, SslMode,
    SslNegotiation, TargetSessionAttrs, TlsCeiling, TlsFloor, TlsVersion,
};
use super::host::{Host, RootCertificates};
use super::require_auth::RequireAuth;
use super::secret::Secret;
use super::value::{Flag, List, Milliseconds, NonZero, SCRAM_KEY_BYTES, ScramKey, Seconds};
use super::value::{Span, Switch};

/// # Where to
impl Config {
    /// Sets the one host. The default is the Unix socket in `/var/run/postgresql` or
    /// `/tmp`, or `localhost` where there are no such directories. `PGHOST` sets it too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// assert_eq!(Config::new().host("db").to_string(), "host=db");
    /// assert_eq!(Config::new().host("/run/pg").to_string(), "host=/run/pg");
    /// ```
    #[must_use]
    pub fn host(self, host: impl Into<Host>) -> Self {
        self.hosts([host])
    }

    /// Sets several hosts, of which the first that answers as
    /// [`target_session_attrs`](Self::target_session_attrs) demands is taken.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().hosts(["one", "two"]).ports([5432, 5433]);
    /// assert_eq!(config.to_string(), "host=one,two port=5432,5433");
    /// ```
    #[must_use]
    pub fn hosts<H: Into<Host>>(mut self, hosts: impl IntoIterator<Item = H>) -> Self {
        let hosts = hosts.into_iter().map(|host| Some(host.into())).collect();
        self.options.host = Some(List(hosts));
        self
    }

    /// Sets the address of the one host, which is then not looked up; its name still
    /// counts for TLS and the password file. `PGHOSTADDR` sets it too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().host("db").hostaddr([192, 0, 2, 1]);
    /// assert_eq!(config.to_string(), "host=db hostaddr=192.0.2.1");
    /// ```
    #[must_use]
    pub fn hostaddr(self, address: impl Into<IpAddr>) -> Self {
        self.hostaddrs([address])
    }

    /// Sets the addresses of the hosts, one for each.
    ///
    /// ```
    /// use std::net::Ipv4Addr;
    ///
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().hostaddrs([Ipv4Addr::LOCALHOST, Ipv4Addr::new(192, 0, 2, 1)]);
    /// assert_eq!(config.to_string(), "hostaddr=127.0.0.1,192.0.2.1");
    /// ```
    #[must_use]
    pub fn hostaddrs<A: Into<IpAddr>>(mut self, addresses: impl IntoIterator<Item = A>) -> Self {
        let addresses = addresses.into_iter().map(|a| Some(a.into())).collect();
        self.options.hostaddr = Some(List(addresses));
        self
    }

    /// Sets the port of all hosts. The default is 5432. `PGPORT` sets it too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// assert_eq!(Config::new().port(5433).to_string(), "port=5433");
    /// ```
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        self.ports([port])
    }

    /// Sets the ports of the hosts, one for each.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// assert_eq!(Config::new().ports([1, 2]).to_string(), "port=1,2");
    /// ```
    #[must_use]
    pub fn ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.options.port = Some(List(ports.into_iter().map(Some).collect()));
        self
    }

    /// Sets the database. The default is the user's name. `PGDATABASE` sets it too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// assert_eq!(Config::new().dbname("shop").to_string(), "dbname=shop");
    /// ```
    #[must_use]
    pub fn dbname(mut self, name: impl Into<String>) -> Self {
        self.options.dbname = Some(name.into());
        self
    }

    /// Sets what kind of server is wanted. The default is any. `PGTARGETSESSIONATTRS` sets
    /// it too.
    ///
    /// ```
    /// use kornak::config::{Config, TargetSessionAttrs};
    ///
    /// let config = Config::new().target_session_attrs(TargetSessionAttrs::Primary);
    /// assert_eq!(config.to_string(), "target_session_attrs=primary");
    /// ```
    #[must_use]
    pub fn target_session_attrs(mut self, kind: TargetSessionAttrs) -> Self {
        self.options.target_session_attrs = Some(kind);
        self
    }

    /// Sets the order in which hosts and addresses are tried. The default is as they are
    /// written. `PGLOADBALANCEHOSTS` sets it too.
    ///
    /// ```
    /// use kornak::config::{Config, LoadBalanceHosts};
    ///
    /// let config = Config::new().load_balance_hosts(LoadBalanceHosts::Random);
    /// assert_eq!(config.to_string(), "load_balance_hosts=random");
    /// ```
    #[must_use]
    pub fn load_balance_hosts(mut self, order: LoadBalanceHosts) -> Self {
        self.options.load_balance_hosts = Some(order);
        self
    }

    /// Sets what stands between this driver and PostgreSQL. The default is
    /// [`Pooler::Session`].
    ///
    /// ```
    /// use kornak::config::{Config, Pooler};
    ///
    /// let config = Config::new().pooler(Pooler::Transaction);
    /// assert_eq!(config.to_string(), "pooler=transaction");
    /// ```
    #[must_use]
    pub fn pooler(mut self, pooler: Pooler) -> Self {
        self.options.pooler = Some(pooler);
        self
    }

    /// Sets the service whose options in `pg_service.conf` count where nothing else is
    /// said. `PGSERVICE` sets it too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// assert_eq!(Config::new().service("shop").to_string(), "service=shop");
    /// ```
    #[must_use]
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.options.service = Some(name.into());
        self
    }

    /// Sets the file in which the service is looked for. The default is
    /// `~/.pg_service.conf`, then the machine's own. `PGSERVICEFILE` sets it too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().servicefile("/etc/services");
    /// assert_eq!(config.to_string(), "servicefile=/etc/services");
    /// ```
    #[must_use]
    pub fn servicefile(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.servicefile = Some(path.into());
        self
    }
}

/// # Who
impl Config {
    /// Sets the user. The default is the operating system's. `PGUSER` sets it too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// assert_eq!(Config::new().user("app").to_string(), "user=app");
    /// ```
    #[must_use]
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.options.user = Some(name.into());
        self
    }

    /// Sets the password. The default is the password file's. `PGPASSWORD` sets it too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// assert_eq!(Config::new().password("sesame").to_string(), "password=[redacted]");
    /// ```
    #[must_use]
    pub fn password(mut self, password: impl Into<Secret>) -> Self {
        self.options.password = Some(password.into());
        self
    }

    /// Sets the password file. The default is `~/.pgpass`. It is ignored where others than
    /// its owner may use it. `PGPASSFILE` sets it too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// assert_eq!(Config::new().passfile("/run/pw").to_string(), "passfile=/run/pw");
    /// ```
    #[must_use]
    pub fn passfile(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.passfile = Some(path.into());
        self
    }

    /// Sets which ways of authentication are accepted. The default is all that can't give
    /// the password away. `PGREQUIREAUTH` sets it too.
    ///
    /// ```
    /// use kornak::config::{AuthMethod, Config, RequireAuth};
    ///
    /// let config = Config::new().require_auth(RequireAuth::only([AuthMethod::ScramSha256]));
    /// assert_eq!(config.to_string(), "require_auth=scram-sha-256");
    /// ```
    #[must_use]
    pub fn require_auth(mut self, methods: RequireAuth) -> Self {
        self.options.require_auth = Some(methods);
        self
    }

    /// Sets whether SCRAM is tied to the TLS connection. The default is where the server
    /// can. `PGCHANNELBINDING` sets it too.
    ///
    /// ```
    /// use kornak::config::{ChannelBinding, Config};
    ///
    /// let config = Config::new().channel_binding(ChannelBinding::Require);
    /// assert_eq!(config.to_string(), "channel_binding=require");
    /// ```
    #[must_use]
    pub fn channel_binding(mut self, binding: ChannelBinding) -> Self {
        self.options.channel_binding = Some(binding);
        self
    }

    /// Allows a server to ask for the password as it is, over any connection. Without this
    /// only a server over a Unix socket, or one whose certificate was checked, may.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().allow_cleartext_password(true);
    /// assert_eq!(config.to_string(), "allow_cleartext_password=on");
    /// ```
    #[must_use]
    pub fn allow_cleartext_password(mut self, allow: bool) -> Self {
        self.options.allow_cleartext_password = Some(Switch(allow));
        self
    }

    /// Allows a server to ask for an MD5 of the password, over any connection. Without this
    /// only a server over a Unix socket, or one whose certificate was checked, may.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().allow_md5_password(true);
    /// assert_eq!(config.to_string(), "allow_md5_password=on");
    /// ```
    #[must_use]
    pub fn allow_md5_password(mut self, allow: bool) -> Self {
        self.options.allow_md5_password = Some(Switch(allow));
        self
    }

    /// Sets the fewest iterations of SCRAM that a server may ask for. The default is
    /// [`DEFAULT_SCRAM_MIN_ITERATIONS`](super::DEFAULT_SCRAM_MIN_ITERATIONS).
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().scram_min_iterations(1);
    /// assert_eq!(config.to_string(), "scram_min_iterations=1");
    /// ```
    #[must_use]
    pub fn scram_min_iterations(mut self, count: u32) -> Self {
        self.options.scram_min_iterations = Some(count);
        self
    }

    /// Sets the most iterations of SCRAM that a server may ask for. The default is
    /// [`DEFAULT_SCRAM_MAX_ITERATIONS`](super::DEFAULT_SCRAM_MAX_ITERATIONS).
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().scram_max_iterations(5_000_000);
    /// assert_eq!(config.to_string(), "scram_max_iterations=5000000");
    /// ```
    #[must_use]
    pub fn scram_max_iterations(mut self, count: u32) -> Self {
        self.options.scram_max_iterations = Some(count);
        self
    }

    /// Sets SCRAM's keys, client's and server's, which stand in for the password.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().scram_keys([1; 32], [2; 32]);
    /// assert_eq!(
    ///     config.to_string(),
    ///     "scram_client_key=[redacted] scram_server_key=[redacted]",
    /// );
    /// ```
    #[must_use]
    pub fn scram_keys(
        mut self,
        client: [u8; SCRAM_KEY_BYTES],
        server: [u8; SCRAM_KEY_BYTES],
    ) -> Self {
        self.options.scram_client_key = Some(ScramKey(client.as_slice().into()));
        self.options.scram_server_key = Some(ScramKey(server.as_slice().into()));
        self
    }

    /// Sets the operating system's user that the server must run as, over a Unix socket.
    /// `PGREQUIREPEER` sets it too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().requirepeer("postgres");
    /// assert_eq!(config.to_string(), "requirepeer=postgres");
    /// ```
    #[must_use]
    pub fn requirepeer(mut self, user: impl Into<String>) -> Self {
        self.options.requirepeer = Some(user.into());
        self
    }
}

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

/// # The session
impl Config {
    /// Sets the name that `pg_stat_activity` shows. The default is
    /// [`fallback_application_name`](Self::fallback_application_name). `PGAPPNAME` sets it
    /// too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().application_name("shop");
    /// assert_eq!(config.to_string(), "application_name=shop");
    /// ```
    #[must_use]
    pub fn application_name(mut self, name: impl Into<String>) -> Self {
        self.options.application_name = Some(name.into());
        self
    }

    /// Sets the name that `pg_stat_activity` shows where neither the configuration nor
    /// `PGAPPNAME` says one. The default is the program's file name; nothing is sent for
    /// an empty one.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().fallback_application_name("shop");
    /// assert_eq!(config.to_string(), "fallback_application_name=shop");
    /// ```
    #[must_use]
    pub fn fallback_application_name(mut self, name: impl Into<String>) -> Self {
        self.options.fallback_application_name = Some(name.into());
        self
    }

    /// Sets command-line options of the server, such as `-c geqo=off`. `PGOPTIONS` sets
    /// them too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().options("-c geqo=off");
    /// assert_eq!(config.to_string(), "options='-c geqo=off'");
    /// ```
    #[must_use]
    pub fn options(mut self, options: impl Into<String>) -> Self {
        self.options.options = Some(options.into());
        self
    }

    /// Sets the oldest version of the wire protocol. The default is 3.0.
    /// `PGMINPROTOCOLVERSION` sets it too.
    ///
    /// ```
    /// use kornak::config::{Config, ProtocolVersion};
    ///
    /// let config = Config::new().min_protocol_version(ProtocolVersion::V3_2);
    /// assert_eq!(config.to_string(), "min_protocol_version=3.2");
    /// ```
    #[must_use]
    pub fn min_protocol_version(mut self, version: ProtocolVersion) -> Self {
        self.options.min_protocol_version = Some(version);
        self
    }

    /// Sets the newest version of the wire protocol. The default is 3.0, which every
    /// server and pooler understands, or the newest one where the oldest is set higher.
    /// `PGMAXPROTOCOLVERSION` sets it too.
    ///
    /// ```
    /// use kornak::config::{Config, ProtocolVersion};
    ///
    /// let config = Config::new().max_protocol_version(ProtocolVersion::V3_2);
    /// assert_eq!(config.to_string(), "max_protocol_version=3.2");
    /// ```
    #[must_use]
    pub fn max_protocol_version(mut self, version: ProtocolVersion) -> Self {
        self.options.max_protocol_version = Some(version);
        self
    }

    /// Sets how many prepared statements a connection keeps; 0 keeps none. The default is
    /// [`DEFAULT_STATEMENT_CACHE_CAPACITY`](super::DEFAULT_STATEMENT_CACHE_CAPACITY).
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().statement_cache_capacity(0);
    /// assert_eq!(config.to_string(), "statement_cache_capacity=0");
    /// ```
    #[must_use]
    pub fn statement_cache_capacity(mut self, count: usize) -> Self {
        self.options.statement_cache_capacity = Some(count);
        self
    }
}

/// # Time
impl Config {
    /// Sets how long connecting may take in all: every host and address, TLS and
    /// authentication together. The default, and zero, is no limit. In text it is whole
    /// seconds. `PGCONNECT_TIMEOUT` sets it too.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().connect_timeout(Duration::from_secs(10));
    /// assert_eq!(config.to_string(), "connect_timeout=10");
    /// ```
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.options.connect_timeout = Some(Seconds(limit));
        self
    }

    /// Sets how long a query may take where it says nothing of its own. The default, and
    /// zero, is no limit. In text it has its unit.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().query_timeout(Duration::from_millis(1500));
    /// assert_eq!(config.to_string(), "query_timeout=1500ms");
    /// ```
    #[must_use]
    pub fn query_timeout(mut self, limit: Duration) -> Self {
        self.options.query_timeout = Some(Span(limit));
        self
    }

    /// Sets whether the operating system asks an idle connection for signs of life, over
    /// TCP. The default is that it does.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// assert_eq!(Config::new().keepalives(false).to_string(), "keepalives=0");
    /// ```
    #[must_use]
    pub fn keepalives(mut self, on: bool) -> Self {
        self.options.keepalives = Some(NonZero(on));
        self
    }

    /// Sets how long a connection is idle before it is asked for a sign of life. The
    /// default is [`DEFAULT_KEEPALIVES_IDLE`](super::DEFAULT_KEEPALIVES_IDLE); zero is the
    /// operating system's. In text it is whole seconds.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().keepalives_idle(Duration::from_secs(20));
    /// assert_eq!(config.to_string(), "keepalives_idle=20");
    /// ```
    #[must_use]
    pub fn keepalives_idle(mut self, span: Duration) -> Self {
        self.options.keepalives_idle = Some(Seconds(span));
        self
    }

    /// Sets the time between two such questions. The default is
    /// [`DEFAULT_KEEPALIVES_INTERVAL`](super::DEFAULT_KEEPALIVES_INTERVAL); zero is the
    /// operating system's. In text it is whole seconds.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().keepalives_interval(Duration::from_secs(5));
    /// assert_eq!(config.to_string(), "keepalives_interval=5");
    /// ```
    #[must_use]
    pub fn keepalives_interval(mut self, span: Duration) -> Self {
        self.options.keepalives_interval = Some(Seconds(span));
        self
    }

    /// Sets how many such questions stay unanswered before the connection is given up. The
    /// default is [`DEFAULT_KEEPALIVES_COUNT`](super::DEFAULT_KEEPALIVES_COUNT); zero is
    /// the operating system's.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// assert_eq!(Config::new().keepalives_count(5).to_string(), "keepalives_count=5");
    /// ```
    #[must_use]
    pub fn keepalives_count(mut self, count: u32) -> Self {
        self.options.keepalives_count = Some(count);
        self
    }

    /// Sets how long what was sent may stay unacknowledged before the connection is given
    /// up, where the operating system can tell (Linux). The default is
    /// [`DEFAULT_TCP_USER_TIMEOUT`](super::DEFAULT_TCP_USER_TIMEOUT); zero is the operating
    /// system's. In text it is whole milliseconds.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().tcp_user_timeout(Duration::from_secs(5));
    /// assert_eq!(config.to_string(), "tcp_user_timeout=5000");
    /// ```
    #[must_use]
    pub fn tcp_user_timeout(mut self, limit: Duration) -> Self {
        self.options.tcp_user_timeout = Some(Milliseconds(limit));
        self
    }
}
