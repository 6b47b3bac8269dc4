//! SCRAM-SHA-256 without channel binding (RFC 5802, RFC 7677), the keys kept for the next
//! connection: the limit of what logging in costs. What the server says is not verified.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::{message, string};
use crate::Result;

/// One login.
pub(super) struct Login<'p> {
    password: &'p str,
    first: String,
}

type Key = [u8; 32];

/// The client keys that were derived.
static KEYS: LazyLock<Mutex<HashMap<Origin, Key>>> = LazyLock::new(Mutex::default);

/// What a key is derived from.
#[derive(PartialEq, Eq, Hash)]
struct Origin {
    password: String,
    salt: String,
    iterations: u32,
}

impl<'p> Login<'p> {
    pub(super) fn new(password: &'p str) -> Self {
        Self {
            password,
            // A nonce need not be random where nobody listens.
            first: "n=,r=rOprNGfwEbeRWgbNEkqO".to_owned(),
        }
    }

    /// What is sent in answer to the body of an Authentication message, if anything.
    pub(super) fn answer(&mut self, body: &[u8]) -> Result<Vec<u8>> {
        let (code, rest) = body.split_first_chunk().ok_or("no code")?;
        let mut out = Vec::new();
        match u32::from_be_bytes(*code) {
            // AuthenticationOk, AuthenticationSASLFinal
            0 | 12 => {}
            // AuthenticationSASL
            10 => message(&mut out, Some(b'p'), |out| {
                let first = format!("n,,{}", self.first);
                string(out, "SCRAM-SHA-256");
                out.extend_from_slice(&(first.len() as u32).to_be_bytes());
                out.extend_from_slice(first.as_bytes());
            }),
            // AuthenticationSASLContinue
            11 => {
                let last = self.last(std::str::from_utf8(rest)?)?;
                message(&mut out, Some(b'p'), |out| out.extend(last.as_bytes()));
            }
            code => return Err(format!("raw can't answer authentication request {code}").into()),
        }
        Ok(out)
    }

    fn last(&self, server_first: &str) -> Result<String> {
        let field = |name: &str| {
            let mut fields = server_first.split(',');
            fields
                .find_map(|field| field.strip_prefix(name))
                .ok_or("a field is missing")
        };
        let (nonce, salt) = (field("r=")?, field("s=")?);
        let iterations: u32 = field("i=")?.parse()?;
        let origin = Origin {
            password: self.password.to_owned(),
            salt: salt.to_owned(),
            iterations,
        };
        let mut keys = KEYS.lock().map_err(|_| "a thread panicked")?;
        let client_key = match keys.get(&origin) {
            Some(key) => *key,
            None => {
                let salted = salted(self.password, &BASE64_STANDARD.decode(salt)?, iterations);
                let key = sign(&salted, &[b"Client Key"]);
                keys.insert(origin, key);
                key
            }
        };
        drop(keys);
        let without_proof = format!("c=biws,r={nonce}");
        let signed = format!("{},{server_first},{without_proof}", self.first);
        let stored_key: Key = Sha256::digest(client_key).into();
        let mut proof = sign(&stored_key, &[signed.as_bytes()]);
        for (byte, key) in proof.iter_mut().zip(client_key) {
            *byte ^= key;
        }
        Ok(format!(
            "{without_proof},p={}",
            BASE64_STANDARD.encode(proof)
        ))
    }
}

/// `SaltedPassword` of RFC 5802, of a password that SASLprep leaves as it is.
pub(crate) fn salted(password: &str, salt: &[u8], iterations: u32) -> Key {
    let mut last = sign(password.as_bytes(), &[salt, &[0, 0, 0, 1]]);
    let mut result = last;
    for _ in 1..iterations {
        last = sign(password.as_bytes(), &[&last]);
        for (byte, other) in result.iter_mut().zip(last) {
            *byte ^= other;
        }
    }
    result
}

/// HMAC-SHA-256.
pub(crate) fn sign(key: &[u8], parts: &[&[u8]]) -> Key {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
