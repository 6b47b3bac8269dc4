//! The setters that say where to connect.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::config::builder::Config;
use crate::config::choice::{LoadBalanceHosts, Pooler, TargetSessionAttrs};
use crate::config::host::Host;
use crate::config::value::List;

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
    /// Every address of every host is tried until one is of this kind. Hosts that failed, or
    /// were of another kind, within the last ten seconds are tried after the others by a pool.
    /// If there is none of this kind, the error is of kind
    /// [`NoSuitableServer`](crate::error::ErrorKind::NoSuitableServer).
    ///
    /// A pool doesn't lend a connection again whose server has reported, from PostgreSQL 14 on,
    /// that it is less of this kind than it was.
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
    /// Behind a pooler that lends a server for a transaction at a time, as PgBouncer does with
    /// `pool_mode=transaction`, statements have no names and are parsed and described with each
    /// execution, which costs no round trip. If what one returns has changed since it was first
    /// described, that is an error once, and nothing is read. Commands that need a session of
    /// their own (LISTEN, SET without LOCAL, PREPARE and their like) are refused, and a
    /// [`Pool`](../pool/struct.Pool.html) resets nothing. What functions do can't be seen: `set_config`
    /// without its `is_local`, advisory locks of a session and temporary tables are met by
    /// whoever comes next.
    ///
    /// PgBouncer from 1.21 on knows prepared statements (`max_prepared_statements`) and can be
    /// used without this too: statements are then prepared once, but nothing keeps you from
    /// commands that need a session, and after a change to a table PgBouncer goes on with the
    /// old plan of a statement, which the server refuses (0A000), until it reconnects.
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
