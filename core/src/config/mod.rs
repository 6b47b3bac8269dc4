//! Configuration: hosts, user, TLS and the rest, as libpq has them.
//!
//! A [`Config`] is what a program says of a connection, by a connection string in either of
//! libpq's forms, by setters, or both. What it leaves open is filled in when a connection is
//! made, from the first of these that says it:
//!
//! 1. the service in `pg_service.conf` that `service` or `PGSERVICE` names;
//! 2. the environment variables, such as `PGHOST`;
//! 3. the defaults; for the password, the password file `~/.pgpass`.
//!
//! [`Config::resolve`] does this and returns the [`ResolvedConfig`] that a connection is
//! made from. All surroundings come from an [`Environment`], which a program can replace;
//! with [`Environment::empty`] the configuration alone counts.
//!
//! ```
//! use std::time::Duration;
//!
//! use kornak::config::{Config, Environment, SslMode};
//!
//! let config: Config = "postgres://app@db.example.com/shop?sslrootcert=system".parse()?;
//! let config = config.password("sesame").connect_timeout(Duration::from_secs(10));
//!
//! let resolved = config.environment(Environment::empty()).resolve()?;
//! assert_eq!(resolved.hosts()[0].to_string(), "db.example.com, port 5432");
//! assert_eq!(resolved.tls().mode(), SslMode::VerifyFull);
//! # Ok::<(), kornak::Error>(())
//! ```
//!
//! # Connection strings
//!
//! The grammar is that of PostgreSQL 18's libpq, to the byte: the manual's section
//! "Connection Strings". A string that begins with `postgres://` or `postgresql://` is a
//! URI; all else is `name=value` pairs.
//!
//! ```text
//! postgresql://user:password@host:port,host:port/dbname?name=value&name=value
//! host=one,two port=5432 user=app password='it\'s' dbname=shop
//! ```
//!
//! - In a URI, `%` and two hexadecimal digits stand for any byte but zero, in each part. A
//!   `/`, `@`, `:`, `?`, `#`, `&`, `=` or blank in a password should be written so. Each
//!   part can be left out. An IPv6 address stands in brackets. A directory of a Unix socket
//!   is written `postgres://%2Fvar%2Frun%2Fpostgresql/dbname` or
//!   `postgres:///dbname?host=/var/run/postgresql`.
//! - In pairs, a value with blanks, or an empty one, stands in single quotes. A backslash
//!   makes the byte behind it ordinary, with quotes and without.
//! - The last value of an option wins.
//! - `ssl=true` in a URI is `sslmode=require`, and `requiressl=1` is that anywhere.
//!
//! # Options
//!
//! All of libpq's, by the manual's "Parameter Key Words", and this driver's own. *Same*
//! means that it is libpq's, to the setter's name; each setter's documentation has the unit
//! and the default.
//!
//! | option | variable | here |
//! | --- | --- | --- |
//! | `host` | `PGHOST` | same; [`Config::hosts`] for several. The default is the first of `/var/run/postgresql` and `/tmp` with a server's socket in it, then those directories, then `localhost` |
//! | `hostaddr` | `PGHOSTADDR` | same; [`Config::hostaddrs`] for several. No zone (`%eth0`): write such an address as `host` |
//! | `port` | `PGPORT` | same; [`Config::ports`] for several. All are checked at once, not each when its turn comes |
//! | `dbname` | `PGDATABASE` | same; never taken for a connection string |
//! | `user` | `PGUSER` | same |
//! | `password` | `PGPASSWORD` | same |
//! | `passfile` | `PGPASSFILE` | same; why a file is ignored is in [`ResolvedConfig::warnings`], not on standard error |
//! | `require_auth` | `PGREQUIREAUTH` | same. Besides, cleartext and MD5 passwords need a verified connection, see below |
//! | `channel_binding` | `PGCHANNELBINDING` | same |
//! | `connect_timeout` | `PGCONNECT_TIMEOUT` | whole seconds as in libpq, or with a unit (`1500ms`); it limits all hosts and addresses together, where libpq begins anew for each |
//! | `client_encoding` | `PGCLIENTENCODING` | UTF-8 only, because Rust's strings are UTF-8: `UTF8` and `auto` are accepted, others refused; the variable is ignored |
//! | `options` | `PGOPTIONS` | same; not with `pooler=transaction` |
//! | `application_name` | `PGAPPNAME` | same |
//! | `fallback_application_name` | | same; the default is the program's file name |
//! | `keepalives` | | same |
//! | `keepalives_idle` | | same; the default is [`DEFAULT_KEEPALIVES_IDLE`], and 0 the operating system's |
//! | `keepalives_interval` | | same; the default is [`DEFAULT_KEEPALIVES_INTERVAL`], and 0 the operating system's |
//! | `keepalives_count` | | same; the default is [`DEFAULT_KEEPALIVES_COUNT`], and 0 the operating system's |
//! | `tcp_user_timeout` | | same; the default is [`DEFAULT_TCP_USER_TIMEOUT`], and 0 the operating system's |
//! | `replication` | | only off: replication connections are not supported yet |
//! | `gssencmode` | `PGGSSENCMODE` | `disable`; `prefer` comes to the same; `require` is refused: encryption by GSSAPI is not supported |
//! | `sslmode` | `PGSSLMODE`, `PGREQUIRESSL` | same. Without the feature `tls`, `allow` and `prefer` come to `disable` and the rest is refused |
//! | `requiressl` | `PGREQUIRESSL` | same: the old form of `sslmode` |
//! | `sslnegotiation` | `PGSSLNEGOTIATION` | same |
//! | `sslcompression` | `PGSSLCOMPRESSION` | same: it has had no effect for long |
//! | `sslcert` | `PGSSLCERT` | same |
//! | `sslkey` | `PGSSLKEY` | PEM files; no engine |
//! | `sslkeylogfile` | | refused: the keys of sessions are not written anywhere |
//! | `sslpassword` | | refused: keys that are encrypted with a password are not supported |
//! | `sslcertmode` | `PGSSLCERTMODE` | same |
//! | `sslrootcert` | `PGSSLROOTCERT` | same; but a file that is named must exist in every `sslmode` with TLS |
//! | `sslcrl` | `PGSSLCRL` | same |
//! | `sslcrldir` | `PGSSLCRLDIR` | same |
//! | `sslsni` | `PGSSLSNI` | same; other values than 1 and 0 are refused, where libpq takes them for 0 |
//! | `requirepeer` | `PGREQUIREPEER` | same |
//! | `ssl_min_protocol_version` | `PGSSLMINPROTOCOLVERSION` | same; `TLSv1` and `TLSv1.1` come to 1.2, the oldest that is supported |
//! | `ssl_max_protocol_version` | `PGSSLMAXPROTOCOLVERSION` | same; `TLSv1` and `TLSv1.1` are refused |
//! | `min_protocol_version` | `PGMINPROTOCOLVERSION` | same |
//! | `max_protocol_version` | `PGMAXPROTOCOLVERSION` | same |
//! | `krbsrvname` | `PGKRBSRVNAME` | accepted without effect: authentication by GSSAPI is not supported, and a server that asks for it is told so |
//! | `gsslib` | `PGGSSLIB` | as `krbsrvname` |
//! | `gssdelegation` | `PGGSSDELEGATION` | as `krbsrvname` |
//! | `scram_client_key` | | [`Config::scram_keys`] |
//! | `scram_server_key` | | [`Config::scram_keys`] |
//! | `service` | `PGSERVICE` | same; no LDAP |
//! | `servicefile` | `PGSERVICEFILE` | same (PostgreSQL 19's). The machine's own file is sought in `PGSYSCONFDIR`, else in `/etc/postgresql-common`, `/etc/sysconfig/pgsql` and `/usr/local/pgsql/etc` |
//! | `target_session_attrs` | `PGTARGETSESSIONATTRS` | same |
//! | `load_balance_hosts` | `PGLOADBALANCEHOSTS` | same |
//! | `oauth_issuer` | | accepted without effect: authentication by OAuth is not supported, and a server that asks for it is told so |
//! | `oauth_client_id` | | as `oauth_issuer` |
//! | `oauth_client_secret` | | as `oauth_issuer` |
//! | `oauth_scope` | | as `oauth_issuer` |
//! | | `PGDATESTYLE`, `PGTZ`, `PGGEQO` | same: settings of the session |
//! | | `PGSYSCONFDIR` | same |
//! | | `PGLOCALEDIR` | none: messages are in English |
//! | `pooler` | | this driver's: `session` or `transaction` |
//! | `send_buffer_size` | | this driver's: how many bytes the operating system keeps, see [`Config::send_buffer_size`] |
//! | `receive_buffer_size` | | this driver's, see [`Config::receive_buffer_size`] |
//! | `statement_cache_capacity` | | this driver's |
//! | `query_timeout` | | this driver's; with a unit (`30s`) |
//! | `allow_cleartext_password` | | this driver's: `on` or `off` |
//! | `allow_md5_password` | | this driver's: `on` or `off` |
//! | `scram_min_iterations` | | this driver's |
//! | `scram_max_iterations` | | this driver's |
//! | [`Config::setting`] | | this driver's, by the setter only; in a string, `options=-c name=value` |
//!
//! # Secrets
//!
//! `Debug` and `Display` of all types here show no password and no key, and neither does an
//! error. An error about a connection string names the byte at which it goes wrong, and
//! shows a piece of the string only where no password can be.
//!
//! By default a password goes out as it is, or as an MD5, only to a server over a Unix
//! socket or one whose certificate was checked ([`Verification`]);
//! [`Config::allow_cleartext_password`] and [`Config::allow_md5_password`] lift that. SCRAM
//! gives nothing away and needs no permission.

mod builder;
mod choice;
mod complete;
#[doc(hidden)]
pub mod connection_string;
mod endpoint;
mod environment;
mod host;
mod options;
mod passfile;
mod require_auth;
mod resolution;
mod resolved;
mod secret;
mod service_file;
mod setters;
mod suggest;
mod tls;
mod value;

use std::time::Duration;

pub use self::builder::{Config, IntoConfig};
pub use self::choice::{
    ChannelBinding, LoadBalanceHosts, Pooler, ProtocolVersion, SslCertMode, SslMode,
    SslNegotiation, TargetSessionAttrs, TlsVersion,
};
pub use self::endpoint::{Endpoint, Keepalives};
pub use self::environment::Environment;
pub use self::host::{Host, RootCertificates};
pub use self::require_auth::{AuthMethod, RequireAuth};
pub use self::resolution::Resolution;
pub use self::resolved::ResolvedConfig;
pub use self::secret::Secret;
pub use self::tls::{TlsOptions, Verification};

/// The port where none is given.
pub const DEFAULT_PORT: u16 = 5432;

/// How many prepared statements a connection keeps.
pub const DEFAULT_STATEMENT_CACHE_CAPACITY: usize = 256;

/// The fewest iterations of SCRAM that a server may ask for: what PostgreSQL asks for, and
/// RFC 7677 demands.
pub const DEFAULT_SCRAM_MIN_ITERATIONS: u32 = 4096;

/// The most iterations of SCRAM that a server may ask for: more would only make the client
/// compute for seconds.
pub const DEFAULT_SCRAM_MAX_ITERATIONS: u32 = 1_000_000;

/// How long a connection is idle before it is asked for a sign of life. The operating
/// systems' own two hours notice a dead peer too late.
pub const DEFAULT_KEEPALIVES_IDLE: Duration = Duration::from_secs(30);

/// The time between two such questions.
pub const DEFAULT_KEEPALIVES_INTERVAL: Duration = Duration::from_secs(10);

/// How many such questions stay unanswered before the connection is given up: together a
/// minute.
pub const DEFAULT_KEEPALIVES_COUNT: u32 = 3;

/// How long what was sent may stay unacknowledged before the connection is given up.
pub const DEFAULT_TCP_USER_TIMEOUT: Duration = Duration::from_secs(60);

/// Stands for a value that can be a piece of a password.
const HIDDEN: &str = "[hidden]";

#[cfg(test)]
mod tests {
    /// The table above is the list that users read; an option must not be missing there.
    #[test]
    fn the_documentation_has_a_row_for_each_option() {
        let documentation = include_str!("mod.rs");
        for keyword in super::options::KEYWORDS {
            let variable = keyword.variable.unwrap_or_default();
            let has_row = documentation.lines().any(|line| {
                line.starts_with(&format!("//! | `{}` |", keyword.name)) && line.contains(variable)
            });
            assert!(has_row, "{} {variable}", keyword.name);
        }
    }
}
