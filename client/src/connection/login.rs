//! The startup dialogue on a connection that is open and encrypted as it must be.

use std::future::poll_fn;

use super::cancel::write_all;
use super::connect::HostKeys;
use super::endpoint::{Endpoint, end_point_of};
use super::session::{Handlers, Observed, Session};
use super::sinks::Nothing;
use super::{CancelToken, Connection};
use crate::buffer::{ReadBuffer, WriteBuffer};
use crate::config::{self, AuthMethod, ChannelBinding, ProtocolVersion, ResolvedConfig, Secret};
use crate::error::{Error, ErrorKind, Outcome, Result, SqlState};
use crate::protocol::Core;
use crate::startup::scram::{BindingPolicy, GivenKeys, ScramLimits};
use crate::startup::{
    AuthenticationPolicy, Credentials, Methods, Startup, StartupProgress, Versions,
};
use crate::transport::Stream;

/// Logs in.
///
/// # Errors
///
/// The server's refusal, a request that the configuration forbids, or a lost connection.
///
/// # Cancel safety
///
/// Dropping the future closes the socket.
pub(super) async fn log_in(
    config: &ResolvedConfig,
    keys: HostKeys<'_>,
    host: &config::Endpoint,
    endpoint: Endpoint,
    stream: Stream,
) -> Result<Connection> {
    let result = start_session(config, keys, host, endpoint, stream).await;
    result.map_err(|error| explain(error.with_outcome(Outcome::NotRun), config, host))
}

async fn start_session(
    config: &ResolvedConfig,
    keys: HostKeys<'_>,
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
        scram_keys: host
            .password()
            .and_then(|password| keys.find(config.user(), password)),
        given_keys: given_keys(config)?,
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
    let (mut input, mut out) = (ReadBuffer::new(), WriteBuffer::with_capacity(STARTUP_ROOM));
    let mut session = Session::new(Handlers::default());
    let mut startup = Startup::start(&mut out, credentials, policy, versions, &parameters)?;
    let mut write_error = None;
    let mut reads = 0_u32;
    loop {
        if let Err(error) = write_all(&mut stream, &mut out).await {
            // The server may have hung up, and still have given its reason before.
            out.clear();
            write_error = Some(error);
        }
        let mut observed = Observed {
            session: &mut session,
            sink: &mut Nothing,
        };
        let needed = match startup.handle_input(&mut input, &mut out, &mut observed)? {
            StartupProgress::NeedInput { needed } => needed,
            // SCRAM's work is done in slices, so that no other task waits for long.
            StartupProgress::Working => {
                #[cfg(test)]
                slices::add();
                tokio::task::yield_now().await;
                continue;
            }
            StartupProgress::Ready(status) => {
                if let (Some(password), Some(made)) = (host.password(), startup.take_scram_keys()) {
                    keys.keep(config.user(), password, made);
                }
                let limit = config.connect_timeout();
                let token = CancelToken::new(endpoint, limit, startup.take_cancel_key());
                let core = Core::new(status);
                let connection = Connection::new(stream, input, core, session, token, config);
                #[cfg(any(feature = "tracing", feature = "metrics"))]
                let connection = connection.map(|mut connection| {
                    connection.place = super::observe::Place::new(host, config).into();
                    connection
                });
                return connection;
            }
        };
        if !out.is_empty() {
            continue;
        }
        reads = reads.wrapping_add(1);
        if reads % READS_PER_TURN == 0 {
            // A server that always has more to say must not keep the deadline's timer waiting.
            tokio::task::yield_now().await;
        }
        let read = poll_fn(|cx| input.fill(needed, |memory| stream.poll_read(cx, memory))).await;
        // In TLS 1.3 only here the server tells that it refuses the client's certificate.
        let lost = |error| stream.connect_error("the connection was lost during startup", error);
        if read.map_err(lost)? == 0 {
            return Err(match write_error {
                Some(error) => lost(error),
                None => Error::new(
                    ErrorKind::Io,
                    "the server closed the connection during startup",
                ),
            });
        }
    }
}

/// Room for an ordinary StartupMessage, in bytes.
const STARTUP_ROOM: usize = 256;

/// After how many reads others have their turn, the timer among them.
const READS_PER_TURN: u32 = 64;

/// # Errors
///
/// If only one of the two is given: libpq's server key alone proves nothing, and its client
/// key alone would leave the server unchecked.
fn given_keys(config: &ResolvedConfig) -> Result<Option<GivenKeys>> {
    let key = |secret: &Secret| {
        <[u8; 32]>::try_from(secret.expose())
            .map_err(|_| Error::new(ErrorKind::Config, "a SCRAM key has 32 bytes"))
    };
    match (config.scram_client_key(), config.scram_server_key()) {
        (None, None) => Ok(None),
        (Some(client), Some(server)) => Ok(Some(GivenKeys {
            client_key: key(client)?,
            server_key: key(server)?,
        })),
        _ => Err(Error::new(
            ErrorKind::Config,
            "scram_client_key and scram_server_key are only of use together",
        )),
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
            min_iterations: config.scram_min_iterations(),
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

/// Says beside a failed authentication where the password came from, and what was left out
/// on the way to it (libpq's `pgpassfileWarning`).
fn explain(mut error: Error, config: &ResolvedConfig, host: &config::Endpoint) -> Error {
    let is_refused = error.sqlstate().is_some_and(|state| {
        matches!(
            state,
            SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION
        )
    });
    let is_ours = matches!(
        error.kind(),
        ErrorKind::Authentication | ErrorKind::Config | ErrorKind::Unsupported
    );
    if !is_refused && !is_ours {
        return error;
    }
    if error.sqlstate() == Some(SqlState::INVALID_PASSWORD) && host.is_password_from_file() {
        error = error.with_note("the password came from the password file");
    }
    for warning in config.warnings() {
        error = error.with_note(warning.as_str());
    }
    error
}

/// Counts the slices of SCRAM's work that this thread has done, so that tests see what keys spare.
#[cfg(test)]
pub(super) mod slices {
    use std::cell::Cell;

    thread_local! {
        static COUNT: Cell<u32> = const { Cell::new(0) };
    }

    pub(super) fn add() {
        COUNT.set(COUNT.get() + 1);
    }

    /// The slices since the last call.
    pub(in crate::connection) fn take() -> u32 {
        COUNT.take()
    }
}
