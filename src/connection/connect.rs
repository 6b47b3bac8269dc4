//! How a session is made: hosts, addresses, encryption, startup, under one deadline.

use std::future::poll_fn;
use std::net::SocketAddr;

use tokio::time::Instant;

use super::cancel::write_all;
use super::endpoint::{Address, Endpoint, TlsSetup, end_point_of};
use super::session::{Handlers, Observed, Session};
use super::sinks::Nothing;
use super::{CancelToken, Connection};
use crate::buffer::{ReadBuffer, WriteBuffer};
use crate::config::{self, AuthMethod, ChannelBinding, Config, ProtocolVersion, ResolvedConfig};
use crate::error::{Error, ErrorKind, Result, SqlState};
use crate::protocol::scram::{BindingPolicy, MIN_ITERATIONS, ScramLimits};
use crate::protocol::{
    AuthenticationPolicy, Core, Credentials, Methods, Startup, StartupProgress, Versions,
};
use crate::transport::Stream;

/// Connects as `config` says. One deadline covers names, addresses, hosts, encryption and
/// authentication together.
pub(super) async fn connect(config: &Config, handlers: Handlers) -> Result<Connection> {
    let config = config.resolve()?;
    let deadline = config
        .connect_timeout()
        .and_then(|timeout| Instant::now().checked_add(timeout));
    match deadline {
        None => connect_any(&config, &handlers).await,
        Some(deadline) => {
            match tokio::time::timeout_at(deadline, connect_any(&config, &handlers)).await {
                Ok(result) => result,
                Err(_) => Err(Error::new(
                    ErrorKind::Timeout,
                    "no connection was made within connect_timeout",
                )),
            }
        }
    }
}

/// The first host and address that lets us in.
async fn connect_any(config: &ResolvedConfig, handlers: &Handlers) -> Result<Connection> {
    let tls = TlsSetup::new(config)?;
    let mut last = None;
    for host in config.hosts() {
        let addresses = match addresses(host, config).await {
            Ok(addresses) => addresses,
            Err(error) => {
                last = Some(error);
                continue;
            }
        };
        for address in addresses {
            match connect_address(config, handlers, host, &address, &tls).await {
                Ok(connection) => return Ok(connection),
                // Another host would refuse the same password and database, or worse, not.
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => last = Some(error),
            }
        }
    }
    Err(last.unwrap_or_else(|| Error::new(ErrorKind::Config, "no host is configured")))
}

/// The addresses of a host, in the order of the resolver.
async fn addresses(host: &config::Endpoint, config: &ResolvedConfig) -> Result<Vec<Address>> {
    if let Some(path) = host.host().socket_path(host.port()) {
        return Ok(vec![Address::unix(path.into(), config)]);
    }
    let found: Vec<SocketAddr> = match host.address() {
        Some(address) => vec![(address, host.port()).into()],
        None => {
            let name = host.host().to_string();
            let found = tokio::net::lookup_host((name.as_str(), host.port())).await;
            found
                .map_err(|error| {
                    Error::io(
                        format!("can't find the address of the host \"{name}\""),
                        error,
                    )
                })?
                .collect()
        }
    };
    Ok(found
        .into_iter()
        .map(|address| Address::tcp(address, config))
        .collect())
}

/// One address, with or without TLS as `sslmode` allows.
async fn connect_address(
    config: &ResolvedConfig,
    handlers: &Handlers,
    host: &config::Endpoint,
    address: &Address,
    tls: &TlsSetup,
) -> Result<Connection> {
    let mut attempts = tls
        .attempts(&host.host().to_string(), host.is_unix())
        .into_iter()
        .peekable();
    loop {
        let Some(encryption) = attempts.next() else {
            return Err(Error::new(
                ErrorKind::Config,
                "sslmode leaves no way to connect",
            ));
        };
        let endpoint = Endpoint::new(address.clone(), encryption);
        match connect_endpoint(config, handlers, host, endpoint).await {
            Ok(connection) => return Ok(connection),
            Err(error) if attempts.peek().is_some() && is_about_encryption(&error) => {}
            Err(error) => return Err(error.with_place(address)),
        }
    }
}

async fn connect_endpoint(
    config: &ResolvedConfig,
    handlers: &Handlers,
    host: &config::Endpoint,
    endpoint: Endpoint,
) -> Result<Connection> {
    let stream = endpoint.open().await?;
    let endpoint = endpoint.settled(&stream);
    start_session(config, handlers, host, endpoint, stream).await
}

/// The startup dialogue.
async fn start_session(
    config: &ResolvedConfig,
    handlers: &Handlers,
    host: &config::Endpoint,
    endpoint: Endpoint,
    mut stream: Stream,
) -> Result<Connection> {
    let mut nonce = [0; 18];
    getrandom::fill(&mut nonce)
        .map_err(|error| Error::io("no random numbers", std::io::Error::other(error)))?;
    let credentials = Credentials {
        user: config.user().to_owned(),
        password: host.password().map(|password| password.expose().to_vec()),
        nonce,
        scram_keys: None,
    };
    let policy = policy(config, &endpoint, &stream);
    let versions = Versions {
        min: version(config.min_protocol_version()),
        max: version(config.max_protocol_version()),
    };
    let parameters: Vec<_> = config
        .startup_parameters()
        .filter(|(name, _)| *name != "user")
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let (mut input, mut out) = (ReadBuffer::new(), WriteBuffer::default());
    let mut session = Session::new(handlers.clone());
    let mut startup = Startup::start(&mut out, credentials, policy, versions, &parameters)?;
    loop {
        write_all(&mut stream, &mut out).await?;
        let mut observed = Observed {
            session: &mut session,
            sink: &mut Nothing,
        };
        let needed = match startup.handle_input(&mut input, &mut out, &mut observed)? {
            StartupProgress::NeedInput { needed } => needed,
            // SCRAM's work is done in slices, so that no other task waits for long.
            StartupProgress::Working => {
                tokio::task::yield_now().await;
                continue;
            }
            StartupProgress::Ready(status) => {
                let token = CancelToken::new(endpoint, startup.take_cancel_key());
                return Connection::new(stream, input, Core::new(status), session, token, config);
            }
        };
        if !out.is_empty() {
            continue;
        }
        let read = poll_fn(|cx| input.fill(needed, |memory| stream.poll_read(cx, memory))).await;
        if read.map_err(|error| Error::io("the connection was lost during startup", error))? == 0 {
            return Err(Error::new(
                ErrorKind::Io,
                "the server closed the connection during startup",
            ));
        }
    }
}

fn policy(config: &ResolvedConfig, endpoint: &Endpoint, stream: &Stream) -> AuthenticationPolicy {
    let allowed = config.require_auth();
    AuthenticationPolicy {
        methods: Methods {
            none: allowed.allows(AuthMethod::None),
            password: allowed.allows(AuthMethod::Password),
            md5: allowed.allows(AuthMethod::Md5),
            scram: allowed.allows(AuthMethod::ScramSha256),
        },
        is_private: endpoint.is_private(stream),
        allow_cleartext: config.allow_cleartext_password(),
        allow_md5: config.allow_md5_password(),
        binding: match config.channel_binding() {
            ChannelBinding::Disable => BindingPolicy::Disable,
            ChannelBinding::Require => BindingPolicy::Require,
            _ => BindingPolicy::Prefer,
        },
        end_point: end_point_of(stream),
        scram: ScramLimits {
            allow_weak: config.scram_min_iterations() < MIN_ITERATIONS,
            max_iterations: config.scram_max_iterations(),
        },
    }
}

fn version(version: ProtocolVersion) -> i32 {
    match version {
        ProtocolVersion::V3_2 => Versions::V3_2,
        _ => Versions::V3_0,
    }
}

/// Whether trying another address would be wrong or pointless: the server knows us and
/// refuses, or the configuration can't be right.
fn is_final(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Server => !matches!(
            error.sqlstate(),
            Some(
                SqlState::CANNOT_CONNECT_NOW
                    | SqlState::TOO_MANY_CONNECTIONS
                    | SqlState::ADMIN_SHUTDOWN
            )
        ),
        ErrorKind::Config | ErrorKind::Authentication | ErrorKind::Unsupported => true,
        _ => false,
    }
}

/// Whether the other choice of encryption may do better: the handshake failed, or the server
/// has no pg_hba.conf entry for this one (28000). A wrong password (28P01) stays one.
fn is_about_encryption(error: &Error) -> bool {
    error.kind() == ErrorKind::Tls
        || error.sqlstate() == Some(SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}
