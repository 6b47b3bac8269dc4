//! Configuration: [`Config`], connection strings, environment.

mod builder;
mod choice;
mod complete;
pub(crate) mod connection_string;
mod endpoint;
mod environment;
mod host;
mod options;
mod passfile;
mod require_auth;
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
