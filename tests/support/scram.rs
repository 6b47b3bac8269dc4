//! SCRAM-SHA-256 (RFC 5802, RFC 7677) and what it is made of, for both sides of a test.
//!
//! This is not the driver's: a mistake there must not find its like here.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// A digest.
pub type Digest = [u8; 32];

/// The keys that a password gives with a salt and a number of iterations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// ClientKey.
    pub client: Digest,
    /// StoredKey.
    pub stored: Digest,
    /// ServerKey.
    pub server: Digest,
}

impl Keys {
    /// Derives the keys; the password is prepared by SASLprep, or taken as it is where that
    /// refuses it, as PostgreSQL does.
    pub fn derive(password: &str, salt: &[u8], iterations: u32) -> Self {
        let prepared = stringprep::saslprep(password);
        let password = prepared.as_deref().unwrap_or(password);
        let salted = pbkdf2(password.as_bytes(), salt, iterations);
        let client = hmac(&salted, &[b"Client Key"]);
        Self {
            client,
            stored: sha256(&client),
            server: hmac(&salted, &[b"Server Key"]),
        }
    }

    /// ClientProof.
    pub fn client_proof(&self, auth_message: &[u8]) -> Digest {
        xor(self.client, hmac(&self.stored, &[auth_message]))
    }

    /// ServerSignature.
    pub fn server_signature(&self, auth_message: &[u8]) -> Digest {
        hmac(&self.server, &[auth_message])
    }

    /// Whether `proof` shows the password to a server, which knows the stored key alone.
    pub fn proves(&self, proof: &[u8], auth_message: &[u8]) -> bool {
        let Ok(proof) = Digest::try_from(proof) else {
            return false;
        };
        let client = xor(proof, hmac(&self.stored, &[auth_message]));
        sha256(&client) == self.stored
    }
}

/// The value of an attribute such as `r` in a message of SCRAM.
pub fn attribute(message: &str, name: char) -> Option<&str> {
    message.split(',').find_map(|part| {
        let rest = part.strip_prefix(name)?;
        rest.strip_prefix('=')
    })
}

/// What a client answers to AuthenticationMD5Password (manual, "Message Flow").
pub fn md5_password(user: &str, password: &str, salt: [u8; 4]) -> String {
    let inner = md5_hex(&[password.as_bytes(), user.as_bytes()]);
    format!("md5{}", md5_hex(&[inner.as_bytes(), &salt]))
}

/// Base64 with padding (RFC 4648, section 4).
pub fn base64_encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .chain([&0; 3])
            .take(3)
            .fold(0, |group, byte| group << 8 | u32::from(*byte));
        for position in 0..4 {
            let digit = group >> (18 - 6 * position) & 63;
            text.push(if position > chunk.len() {
                '='
            } else {
                char::from(BASE64[digit as usize])
            });
        }
    }
    text
}

/// The bytes that encode to `text`; nothing else is accepted.
pub fn base64_decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::new();
    let (mut group, mut bits) = (0_u32, 0);
    for digit in digits.bytes() {
        let value = BASE64.iter().position(|known| *known == digit)?;
        group = group << 6 | u32::try_from(value).expect("one of 64");
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((group >> bits & 0xff) as u8);
        }
    }
    // The one encoding of these bytes, with its padding.
    (base64_encode(&bytes) == text).then_some(bytes)
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// One block of PBKDF2 (RFC 8018), which is Hi of RFC 5802.
fn pbkdf2(password: &[u8], salt: &[u8], iterations: u32) -> Digest {
    let mut last = hmac(password, &[salt, &1_u32.to_be_bytes()]);
    let mut sum = last;
    for _ in 1..iterations {
        last = hmac(password, &[&last]);
        sum = xor(sum, last);
    }
    sum
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Digest {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn sha256(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

fn md5_hex(parts: &[&[u8]]) -> String {
    let mut digest = md5::Md5::default();
    parts
        .iter()
        .for_each(|part| md5::Digest::update(&mut digest, part));
    md5::Digest::finalize(digest)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn xor(mut one: Digest, other: Digest) -> Digest {
    one.iter_mut()
        .zip(other)
        .for_each(|(one, other)| *one ^= other);
    one
}
