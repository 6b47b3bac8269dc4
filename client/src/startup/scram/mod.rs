//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, the client's side (RFC 5802, 7677 and 5929; manual,
//! "SASL Authentication"; the server's `auth-scram.c`).
//!
//! ```text
//! client  SASLInitialResponse  mechanism, initial_response()
//! server  SASLContinue         handle_server_first(..), then step(..) while there is work
//! client  SASLResponse         client_final()
//! server  SASLFinal            handle_server_final(..)
//! server  AuthenticationOk     accepted only if is_finished()
//! ```

mod base64;
mod derivation;
mod mechanism;
mod message;

use std::fmt;

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

pub use self::derivation::ScramKeys;
use self::derivation::{Derivation, begin_hmac, hmac};
pub use self::mechanism::{BindingPolicy, ChannelBinding, EndPoint};
use self::message::{ServerFinal, ServerFirst};
use super::saslprep;
use crate::error::{Error, ErrorKind, Result};

/// The client's side of one SCRAM exchange.
///
/// A message that is wrong, unexpected or against the limits ends the exchange: whatever
/// comes after it is refused too.
pub struct Scram {
    binding: ChannelBinding,
    limits: ScramLimits,
    /// What the client sends in this state.
    response: Vec<u8>,
    state: State,
}

/// How many iterations a server may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScramLimits {
    /// The fewest that the client accepts. The fewer there are, the faster can whoever sees
    /// the exchange guess passwords.
    pub min_iterations: u32,
    /// The most iterations that the client works off.
    pub max_iterations: u32,
}

/// What is to be done before the client can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the answer may not be ready yet"]
pub enum Progress {
    /// Call [`Scram::step`] again.
    Working,
    /// [`Scram::client_final`] is the answer.
    Ready,
}

/// The least number of iterations that a server may ask for by default: RFC 7677, section 4,
/// and PostgreSQL's own default.
pub const MIN_ITERATIONS: u32 = 4096;

/// The most iterations that a server may ask for by default: some tenths of a second of
/// work on slow machines.
pub const MAX_ITERATIONS: u32 = 600_000;

/// How many rounds to do at a time, so that a task never holds its thread for a
/// millisecond.
pub const ROUNDS_PER_SLICE: u32 = 512;

enum State {
    /// The client's first message is out.
    First {
        password: Vec<u8>,
        nonce: Vec<u8>,
        known_keys: KnownKeys,
    },
    /// The server's first message is in.
    Deriving(Deriving),
    /// The client's proof is out.
    Proven {
        server_signature: Hmac<Sha256>,
        keys: ScramKeys,
    },
    /// The server has proved that it knows the password too.
    Finished(ScramKeys),
    /// A message was refused.
    Failed,
}

/// What may spare the derivation.
enum KnownKeys {
    None,
    /// Of an earlier exchange: good for its salt and iterations.
    Derived(ScramKeys),
    /// In place of a password: good for whatever the server says.
    Given(GivenKeys),
}

/// Keys that stand in for a password (libpq's `scram_client_key` and `scram_server_key`),
/// as a proxy has them that passes its client's authentication on.
#[derive(Clone)]
pub struct GivenKeys {
    /// Proves the client's identity.
    pub client_key: [u8; 32],
    /// Checks the server's proof.
    pub server_key: [u8; 32],
}

struct Deriving {
    derivation: Derivation,
    /// The client's last message without its proof.
    unproven: Vec<u8>,
    /// What both sides prove to have seen: all messages, without the proofs.
    transcript: Vec<u8>,
}

impl Scram {
    /// Begins an exchange. `password` is as the user gave it, and `nonce` must be random and
    /// new.
    pub fn new(
        password: &[u8],
        nonce: [u8; 18],
        binding: ChannelBinding,
        limits: ScramLimits,
    ) -> Self {
        let mut text = Vec::with_capacity(24);
        base64::encode(&nonce, &mut text);
        // The server takes the name of the user from the startup message.
        Self::begin(password, "", text, binding, limits)
    }

    fn begin(
        password: &[u8],
        user: &str,
        nonce: Vec<u8>,
        binding: ChannelBinding,
        limits: ScramLimits,
    ) -> Self {
        let mut response = format!("{}n={user},r=", binding.header()).into_bytes();
        response.extend_from_slice(&nonce);
        Self {
            response,
            binding,
            limits,
            state: State::First {
                password: saslprep::prepare(password).into_owned(),
                nonce,
                known_keys: KnownKeys::None,
            },
        }
    }

    /// Offers the keys of an earlier exchange, which spare the derivation if the server has
    /// not changed its salt and iterations since and the password is the same.
    #[must_use]
    pub fn with_keys(mut self, keys: ScramKeys) -> Self {
        if let State::First { known_keys, .. } = &mut self.state {
            *known_keys = KnownKeys::Derived(keys);
        }
        self
    }

    /// Uses these keys, and no password.
    #[must_use]
    pub fn with_given_keys(mut self, keys: GivenKeys) -> Self {
        if let State::First { known_keys, .. } = &mut self.state {
            *known_keys = KnownKeys::Given(keys);
        }
        self
    }

    /// The name of the mechanism, for SASLInitialResponse.
    pub fn mechanism(&self) -> &'static str {
        self.binding.mechanism()
    }

    /// The client's first message, for SASLInitialResponse. Empty later.
    pub fn initial_response(&self) -> &[u8] {
        match self.state {
            State::First { .. } => &self.response,
            _ => &[],
        }
    }

    /// The server's first message, from SASLContinue.
    ///
    /// # Errors
    ///
    /// Of kind [`Protocol`](ErrorKind::Protocol) if the message is malformed or out of order,
    /// of kind [`Authentication`](ErrorKind::Authentication) if it asks for more or fewer
    /// iterations than the limits allow. Nothing has then been computed from the password.
    pub fn handle_server_first(&mut self, message: &[u8]) -> Result<Progress> {
        let State::First {
            password,
            nonce,
            known_keys,
        } = std::mem::replace(&mut self.state, State::Failed)
        else {
            return Err(out_of_order());
        };
        let first = ServerFirst::parse(message, &nonce)?;
        self.limits.check(first.iterations)?;

        let bare = &self.response[self.binding.header().len()..];
        let mut unproven = b"c=".to_vec();
        let bound = [self.binding.header().as_bytes(), self.binding.data()].concat();
        base64::encode(&bound, &mut unproven);
        unproven.extend_from_slice(b",r=");
        unproven.extend_from_slice(first.nonce);
        let transcript = [bare, message, &unproven].join(&b","[..]);

        let deriving = Deriving {
            derivation: Derivation::new(&password, &first.salt, first.iterations),
            unproven,
            transcript,
        };
        match known_keys {
            KnownKeys::Derived(keys) if deriving.derivation.matches(&keys) => {
                self.prove(deriving, keys);
            }
            KnownKeys::Given(given) => {
                let keys = deriving.derivation.with_given(given);
                self.prove(deriving, keys);
            }
            _ => self.state = State::Deriving(deriving),
        }
        Ok(self.step(0))
    }

    /// Goes at most `rounds` rounds further towards the proof. In any state but after
    /// [`handle_server_first`](Self::handle_server_first) there is nothing to do.
    pub fn step(&mut self, rounds: u32) -> Progress {
        let State::Deriving(deriving) = &mut self.state else {
            return Progress::Ready;
        };
        let Some(keys) = deriving.derivation.step(rounds) else {
            return Progress::Working;
        };
        if let State::Deriving(deriving) = std::mem::replace(&mut self.state, State::Failed) {
            self.prove(deriving, keys);
        }
        Progress::Ready
    }

    /// Computes both proofs (RFC 5802, section 3).
    fn prove(&mut self, deriving: Deriving, keys: ScramKeys) {
        let stored_key = Sha256::digest(keys.client_key);
        let client_signature = hmac(&stored_key, &[&deriving.transcript]);
        let mut proof = keys.client_key;
        for (byte, signature) in proof.iter_mut().zip(client_signature) {
            *byte ^= signature;
        }
        self.response = deriving.unproven;
        self.response.extend_from_slice(b",p=");
        base64::encode(&proof, &mut self.response);
        self.state = State::Proven {
            server_signature: begin_hmac(&keys.server_key, &[&deriving.transcript]),
            keys,
        };
    }

    /// The client's last message, for SASLResponse.
    ///
    /// # Errors
    ///
    /// Of kind [`Protocol`](ErrorKind::Protocol) before the proof is ready, and once the
    /// server has answered it.
    pub fn client_final(&self) -> Result<&[u8]> {
        match self.state {
            State::Proven { .. } => Ok(&self.response),
            _ => Err(out_of_order()),
        }
    }

    /// The server's last message, from SASLFinal.
    ///
    /// # Errors
    ///
    /// Of kind [`Protocol`](ErrorKind::Protocol) if the message is malformed or out of order,
    /// of kind [`Authentication`](ErrorKind::Authentication) if the server refuses, or if its
    /// proof is wrong: then it doesn't know the password.
    pub fn handle_server_final(&mut self, message: &[u8]) -> Result<()> {
        let State::Proven {
            server_signature,
            keys,
        } = std::mem::replace(&mut self.state, State::Failed)
        else {
            return Err(out_of_order());
        };
        match ServerFinal::parse(message)? {
            // Compares in constant time.
            ServerFinal::Signature(signature) => server_signature
                .verify_slice(&signature)
                .map_err(|_| refused("the server could not prove that it knows the password"))?,
            ServerFinal::Refused(reason) => {
                return Err(refused(format!(
                    "the server refused the SCRAM exchange: {reason}"
                )));
            }
        }
        self.state = State::Finished(keys);
        Ok(())
    }

    /// Whether the server has proved that it knows the password. AuthenticationOk must be
    /// refused before.
    pub fn is_finished(&self) -> bool {
        matches!(self.state, State::Finished(_))
    }

    /// The keys, once the exchange is finished: for [`with_keys`](Self::with_keys) of a later
    /// one.
    pub fn keys(&self) -> Option<&ScramKeys> {
        match &self.state {
            State::Finished(keys) => Some(keys),
            _ => None,
        }
    }
}

impl fmt::Debug for Scram {
    /// Neither password, nor keys, nor proofs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::First { .. } => "First",
            State::Deriving(_) => "Deriving",
            State::Proven { .. } => "Proven",
            State::Finished(_) => "Finished",
            State::Failed => "Failed",
        };
        f.debug_struct("Scram")
            .field("binding", &self.binding)
            .field("limits", &self.limits)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for GivenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GivenKeys").finish_non_exhaustive()
    }
}

impl ScramLimits {
    fn check(self, iterations: u32) -> Result<()> {
        if iterations > self.max_iterations {
            return Err(refused(format!(
                "the server asks for {} SCRAM iterations; allowed are at most {}",
                match iterations {
                    u32::MAX => "over four billion".to_owned(),
                    iterations => iterations.to_string(),
                },
                self.max_iterations
            )));
        }
        if iterations < self.min_iterations {
            return Err(refused(format!(
                "the server asks for {iterations} SCRAM iterations, which protect the \
                 password too little; allowed are at least {}",
                self.min_iterations
            )));
        }
        Ok(())
    }
}

impl Default for ScramLimits {
    fn default() -> Self {
        Self {
            min_iterations: MIN_ITERATIONS,
            max_iterations: MAX_ITERATIONS,
        }
    }
}

fn out_of_order() -> Error {
    Error::protocol("a SCRAM message came out of order")
}

fn refused(why: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Authentication, why)
}

#[cfg(test)]
mod tests;
