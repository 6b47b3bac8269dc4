//! [`Startup`]: from StartupMessage to the first ReadyForQuery, and what authentication computes,
//! without I/O and clocks.
//!
//! Source: manual, "Message Flow", Start-up; libpq's `PQconnectPoll` and `pg_fe_sendauth`.

pub mod md5;
pub mod saslprep;
pub mod scram;

use std::fmt;

use self::md5::md5_password;
use self::scram::{
    BindingPolicy, ChannelBinding, EndPoint, GivenKeys, ROUNDS_PER_SLICE, Scram, ScramKeys,
    ScramLimits,
};
use crate::buffer::{ReadBuffer, WriteBuffer};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::Sink;
use crate::wire::backend::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, NotificationResponse,
    ParameterStatus, ReadyForQuery, SaslMechanisms, to_server_error,
};
use crate::wire::{Frame, Split, TransactionStatus, frontend, split, tag};

/// The dialogue that starts a session.
pub struct Startup {
    state: State,
    credentials: Credentials,
    policy: AuthenticationPolicy,
    versions: Versions,
    version: i32,
    key: Option<CancelKey>,
    scram_keys: Option<ScramKeys>,
}

/// Who logs in.
pub struct Credentials {
    /// The role's name.
    pub user: String,
    /// The password, if there is one.
    pub password: Option<Vec<u8>>,
    /// Fresh random bytes for SCRAM.
    pub nonce: [u8; 18],
    /// The keys of an earlier SCRAM exchange of the same role and password.
    pub scram_keys: Option<ScramKeys>,
    /// Keys that stand in for the password in SCRAM.
    pub given_keys: Option<GivenKeys>,
}

/// What the client agrees to. Nothing weaker is ever sent.
#[derive(Clone, Debug)]
pub struct AuthenticationPolicy {
    /// The methods that the server may ask for.
    pub methods: Methods,
    /// Whether nobody in between can read what is sent: verified TLS, or a Unix socket.
    pub is_private: bool,
    /// Sends the password itself even where somebody may read it.
    pub allow_cleartext: bool,
    /// Sends an MD5 hash of the password even where somebody may read it.
    pub allow_md5: bool,
    /// Channel binding.
    pub binding: BindingPolicy,
    /// What there is to bind to.
    pub end_point: EndPoint,
    /// The limits on SCRAM's iterations.
    pub scram: ScramLimits,
}

/// Authentication methods, as in libpq's `require_auth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Methods {
    /// None at all: the server trusts the client.
    pub none: bool,
    /// The password itself.
    pub password: bool,
    /// An MD5 hash.
    pub md5: bool,
    /// SCRAM.
    pub scram: bool,
}

/// The protocol versions to ask for and to accept: the major version in the upper 16 bits,
/// the minor version in the lower ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The oldest that is accepted.
    pub min: i32,
    /// The one that is asked for.
    pub max: i32,
}

/// What a cancel request for the session must say.
#[derive(Clone)]
pub struct CancelKey {
    /// The server process.
    pub process_id: i32,
    /// The secret.
    pub secret: Box<[u8]>,
}

/// What [`Startup`] waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartupProgress {
    /// More bytes; `needed` as in [`Progress`](crate::protocol::Progress).
    NeedInput {
        /// The message's length, in bytes.
        needed: usize,
    },
    /// Nothing but time: a slice of SCRAM's work is done, and the next is to be called for
    /// after others had their turn.
    Working,
    /// The session is ready.
    Ready(TransactionStatus),
}

enum State {
    /// The startup message is out.
    Requested,
    /// A password or hash is out.
    PasswordSent,
    /// SCRAM's first message is out.
    ScramFirst(Box<Scram>),
    /// SCRAM's proof is being computed.
    ScramWorking(Box<Scram>),
    /// SCRAM's proof is out.
    ScramFinal(Box<Scram>),
    /// The server has proved itself.
    ScramDone,
    /// AuthenticationOk has come.
    Authenticated,
    Failed,
}

impl Versions {
    /// 3.0, which every server and pooler speaks.
    pub const V3_0: i32 = 3 << 16;
    /// 3.2, of PostgreSQL 18, with longer cancel keys.
    pub const V3_2: i32 = (3 << 16) | 2;
}

impl Startup {
    /// Appends the startup message with these parameters, besides `user`.
    ///
    /// # Errors
    ///
    /// If a parameter contains NUL, or they are too long for a server.
    pub fn start(
        out: &mut WriteBuffer,
        credentials: Credentials,
        policy: AuthenticationPolicy,
        versions: Versions,
        parameters: &[(String, String)],
    ) -> Result<Self> {
        let parameters = parameters.iter().map(|(name, value)| (&**name, &**value));
        frontend::startup(
            out,
            versions.max,
            std::iter::once(("user", &*credentials.user)).chain(parameters),
        )?;
        let version = versions.max;
        Ok(Self {
            state: State::Requested,
            credentials,
            policy,
            versions,
            version,
            key: None,
            scram_keys: None,
        })
    }

    /// Handles all whole messages of `input` and appends the answers to `out`. What comes
    /// unasked goes to `sink`.
    ///
    /// # Errors
    ///
    /// The server's refusal, a request that the policy forbids, or a breach of the protocol.
    pub fn handle_input<S: Sink>(
        &mut self,
        input: &mut ReadBuffer,
        out: &mut WriteBuffer,
        sink: &mut S,
    ) -> Result<StartupProgress> {
        loop {
            if let State::ScramWorking(_) = &self.state {
                if !self.work(out)? {
                    return Ok(StartupProgress::Working);
                }
            }
            let frame = match split(input.filled())? {
                Split::Frame(frame) => frame,
                Split::Incomplete { needed } => return Ok(StartupProgress::NeedInput { needed }),
            };
            let length = frame.total_len();
            let ready = self.handle_frame(frame, out, sink)?;
            input.consume(length);
            if let Some(status) = ready {
                return Ok(StartupProgress::Ready(status));
            }
        }
    }

    /// What a cancel request must say. Some poolers give no key.
    pub fn take_cancel_key(&mut self) -> Option<CancelKey> {
        self.key.take()
    }

    /// The keys of the SCRAM exchange, which spare the next one its work.
    pub fn take_scram_keys(&mut self) -> Option<ScramKeys> {
        self.scram_keys.take()
    }

    /// The protocol version that was agreed on.
    pub fn version(&self) -> i32 {
        self.version
    }

    /// Does a slice of SCRAM's work. Returns whether it is done and the proof written.
    fn work(&mut self, out: &mut WriteBuffer) -> Result<bool> {
        let State::ScramWorking(mut scram) = std::mem::replace(&mut self.state, State::Failed)
        else {
            return Ok(true);
        };
        let progress = scram.step(ROUNDS_PER_SLICE);
        self.scram_worked(scram, progress, out)
    }

    fn scram_worked(
        &mut self,
        scram: Box<Scram>,
        progress: scram::Progress,
        out: &mut WriteBuffer,
    ) -> Result<bool> {
        match progress {
            scram::Progress::Working => {
                self.state = State::ScramWorking(scram);
                Ok(false)
            }
            scram::Progress::Ready => {
                frontend::sasl_response(out, scram.client_final()?)?;
                self.state = State::ScramFinal(scram);
                Ok(true)
            }
        }
    }

    fn handle_frame<S: Sink>(
        &mut self,
        frame: Frame<'_>,
        out: &mut WriteBuffer,
        sink: &mut S,
    ) -> Result<Option<TransactionStatus>> {
        match (frame.tag, &self.state) {
            (tag::ERROR_RESPONSE, _) => return Err(Error::server(to_server_error(frame.body)?)),
            (tag::NOTICE_RESPONSE, _) => sink.on_notice(to_server_error(frame.body)?),
            (tag::NEGOTIATE_PROTOCOL_VERSION, State::Requested) => {
                self.negotiate(NegotiateProtocolVersion::parse(frame.body)?)?;
            }
            (tag::AUTHENTICATION, _) => {
                self.authenticate(Authentication::parse(frame.body)?, out)?
            }
            (tag::PARAMETER_STATUS, State::Authenticated) => {
                sink.on_parameter_status(ParameterStatus::parse(frame.body)?);
            }
            (tag::NOTIFICATION_RESPONSE, State::Authenticated) => {
                sink.on_notification(NotificationResponse::parse(frame.body)?);
            }
            (tag::BACKEND_KEY_DATA, State::Authenticated) if self.key.is_none() => {
                let key = BackendKeyData::parse(frame.body)?;
                self.key = Some(CancelKey {
                    process_id: key.process_id,
                    secret: key.secret_key.into(),
                });
            }
            (tag::READY_FOR_QUERY, State::Authenticated) => {
                return Ok(Some(ReadyForQuery::parse(frame.body)?.status));
            }
            (unexpected, _) => {
                return Err(Error::protocol(format!(
                    "the server sent {} during startup",
                    tag::name(unexpected)
                )));
            }
        }
        Ok(None)
    }

    fn negotiate(&mut self, offer: NegotiateProtocolVersion<'_>) -> Result<()> {
        // Older servers send the minor version alone.
        let version = if offer.version >> 16 == 0 {
            Versions::V3_0 | offer.version
        } else {
            offer.version
        };
        if let Some(option) = offer.unrecognized_options().next() {
            return Err(Error::protocol(format!(
                "the server refuses the protocol option \"{}\", which was not asked for",
                option.escape_ascii()
            )));
        }
        if version >= self.version || version < Versions::V3_0 {
            return Err(Error::protocol(
                "the server answers the wish for a protocol version with no lower one",
            ));
        }
        if version < self.versions.min {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "the server speaks protocol {}, the configuration wants {} at least",
                    display(version),
                    display(self.versions.min)
                ),
            ));
        }
        self.version = version;
        Ok(())
    }

    fn authenticate(&mut self, request: Authentication<'_>, out: &mut WriteBuffer) -> Result<()> {
        // Until the next state is known there is none: an error leaves nothing to go on with.
        let state = std::mem::replace(&mut self.state, State::Failed);
        self.state = match (request, state) {
            (Authentication::Ok, State::Requested) => {
                self.check_method("no authentication", self.policy.methods.none)?;
                self.check_binding("no authentication")?;
                State::Authenticated
            }
            (Authentication::Ok, State::PasswordSent | State::ScramDone) => State::Authenticated,
            (Authentication::CleartextPassword, State::Requested) => {
                self.check_method("the password itself", self.policy.methods.password)?;
                self.check_binding("the password itself")?;
                if !self.policy.is_private && !self.policy.allow_cleartext {
                    return Err(unsafe_request(
                        "the password itself",
                        "allow_cleartext_password",
                    ));
                }
                frontend::password(out, self.password()?)?;
                State::PasswordSent
            }
            (Authentication::Md5Password { salt }, State::Requested) => {
                self.check_method("an MD5 hash of the password", self.policy.methods.md5)?;
                self.check_binding("an MD5 hash of the password")?;
                if !self.policy.is_private && !self.policy.allow_md5 {
                    return Err(unsafe_request(
                        "an MD5 hash of the password",
                        "allow_md5_password",
                    ));
                }
                let hash = md5_password(self.credentials.user.as_bytes(), self.password()?, salt);
                frontend::password(out, hash.as_bytes())?;
                State::PasswordSent
            }
            (Authentication::Sasl(mechanisms), State::Requested) => {
                self.start_scram(mechanisms, out)?
            }
            (Authentication::SaslContinue(message), State::ScramFirst(mut scram)) => {
                let progress = scram.handle_server_first(message)?;
                self.scram_worked(scram, progress, out)?;
                return Ok(());
            }
            (Authentication::SaslFinal(message), State::ScramFinal(mut scram)) => {
                scram.handle_server_final(message)?;
                self.scram_keys = scram.keys().cloned();
                State::ScramDone
            }
            (Authentication::KerberosV5, State::Requested) => {
                return Err(unsupported("Kerberos V5"));
            }
            (Authentication::Gss, State::Requested) => return Err(unsupported("GSSAPI")),
            (Authentication::Sspi, State::Requested) => return Err(unsupported("SSPI")),
            (Authentication::Unknown(method), State::Requested) => {
                return Err(unsupported(&format!("the method number {method}")));
            }
            (
                Authentication::Ok,
                State::ScramFirst(_) | State::ScramWorking(_) | State::ScramFinal(_),
            ) => {
                return Err(Error::new(
                    ErrorKind::Authentication,
                    "the server let the client in without proving that it knows the password",
                ));
            }
            _ => {
                return Err(Error::protocol(
                    "the server sent an authentication request out of order",
                ));
            }
        };
        Ok(())
    }

    fn start_scram(
        &mut self,
        mechanisms: SaslMechanisms<'_>,
        out: &mut WriteBuffer,
    ) -> Result<State> {
        if mechanisms.iter().any(|name| name == b"OAUTHBEARER")
            && !mechanisms.iter().any(|name| name.starts_with(b"SCRAM-"))
        {
            return Err(unsupported("OAuth (OAUTHBEARER)"));
        }
        self.check_method("SCRAM", self.policy.methods.scram)?;
        let end_point = self.policy.end_point.clone();
        let binding = ChannelBinding::choose(mechanisms.iter(), self.policy.binding, end_point)?;
        let given = self.credentials.given_keys.take();
        let password = match given {
            Some(_) => &[],
            None => self.password()?,
        };
        let nonce = self.credentials.nonce;
        let mut scram = Scram::new(password, nonce, binding, self.policy.scram);
        if let Some(keys) = given {
            scram = scram.with_given_keys(keys);
        } else if let Some(keys) = self.credentials.scram_keys.take() {
            scram = scram.with_keys(keys);
        }
        frontend::sasl_initial_response(out, scram.mechanism(), scram.initial_response())?;
        Ok(State::ScramFirst(Box::new(scram)))
    }

    /// The password. An empty one is none, as for libpq (`pg_fe_sendauth`).
    fn password(&self) -> Result<&[u8]> {
        let password = self.credentials.password.as_deref();
        password
            .filter(|password| !password.is_empty())
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Config,
                    "the server asks for a password, and none is configured: it can stand in the \
                     connection string, in PGPASSWORD, or in a password file",
                )
            })
    }

    fn check_method(&self, asked: &str, allowed: bool) -> Result<()> {
        if allowed {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Authentication,
            format!("the server asks for {asked}, which require_auth rules out"),
        ))
    }

    /// Only SCRAM can bind to the channel.
    fn check_binding(&self, asked: &str) -> Result<()> {
        if self.policy.binding != BindingPolicy::Require {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Authentication,
            format!(
                "the server asks for {asked}, but channel_binding=require needs SCRAM over TLS"
            ),
        ))
    }
}

impl fmt::Debug for Startup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Startup")
            .field("policy", &self.policy)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelKey")
            .field("process_id", &self.process_id)
            .finish_non_exhaustive()
    }
}

fn display(version: i32) -> String {
    format!("{}.{}", version >> 16, version & 0xffff)
}

fn unsafe_request(asked: &str, option: &str) -> Error {
    Error::new(
        ErrorKind::Authentication,
        format!(
            "the server asks for {asked}, which anybody on the way could read: \
             use sslmode=verify-full, or allow it by {option}"
        ),
    )
}

fn unsupported(method: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!(
            "the server asks for authentication by {method}; supported are SCRAM-SHA-256, MD5 and cleartext passwords"
        ),
    )
}
