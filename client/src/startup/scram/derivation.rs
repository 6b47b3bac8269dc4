//! From the password to the keys (RFC 5802, section 3): PBKDF2 in slices.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::block_api::compress256;
use sha2::{Digest as _, Sha256};

use super::GivenKeys;

/// The keys that prove both sides' knowledge of a password, good for one salt and number
/// of iterations.
///
/// A pool that keeps them connects without the derivation. They prove the client's
/// identity as the password does, so keep them as secret; `Debug` doesn't show them.
#[derive(Clone)]
pub struct ScramKeys {
    pub(super) client_key: [u8; 32],
    pub(super) server_key: [u8; 32],
    /// The derivation's first round, which depends on the password and the salt.
    first_round: [u32; 8],
    iterations: u32,
}

/// The derivation under way (Hi of RFC 5802, which is PBKDF2 of RFC 8018 with one block).
///
/// A round is HMAC-SHA-256 of 32 bytes. The two states that the key alone determines are
/// computed once, so that a round costs two compressions instead of four.
pub(super) struct Derivation {
    inner: [u32; 8],
    outer: [u32; 8],
    first_round: [u32; 8],
    last_round: [u32; 8],
    /// The exclusive or of all rounds so far.
    sum: [u32; 8],
    iterations: u32,
    left: u32,
}

impl Derivation {
    /// Begins, with the first round done.
    pub(super) fn new(password: &[u8], salt: &[u8], iterations: u32) -> Self {
        let first_round = words(hmac(password, &[salt, &1_u32.to_be_bytes()]));
        let mut key = [0; 64];
        if password.len() <= key.len() {
            key[..password.len()].copy_from_slice(password);
        } else {
            key[..32].copy_from_slice(&Sha256::digest(password));
        }
        Self {
            inner: keyed(&key, 0x36),
            outer: keyed(&key, 0x5c),
            first_round,
            last_round: first_round,
            sum: first_round,
            iterations,
            left: iterations.saturating_sub(1),
        }
    }

    /// Whether `keys` are what this derivation would give.
    pub(super) fn matches(&self, keys: &ScramKeys) -> bool {
        self.first_round == keys.first_round && self.iterations == keys.iterations
    }

    /// The keys that were given, as those of this derivation.
    pub(super) fn with_given(&self, given: GivenKeys) -> ScramKeys {
        ScramKeys {
            client_key: given.client_key,
            server_key: given.server_key,
            first_round: self.first_round,
            iterations: self.iterations,
        }
    }

    /// Goes at most `rounds` rounds further, and returns the keys after the last one.
    pub(super) fn step(&mut self, rounds: u32) -> Option<ScramKeys> {
        let rounds = rounds.min(self.left);
        let mut block = [0; 64];
        // What SHA-256 appends to 32 bytes that follow a block of 64.
        block[32] = 0x80;
        block[56..].copy_from_slice(&(8 * (64 + 32_u64)).to_be_bytes());
        for _ in 0..rounds {
            for state in [self.inner, self.outer] {
                for (bytes, word) in block.chunks_exact_mut(4).zip(self.last_round) {
                    bytes.copy_from_slice(&word.to_be_bytes());
                }
                self.last_round = state;
                compress256(&mut self.last_round, std::slice::from_ref(&block));
            }
            for (sum, word) in self.sum.iter_mut().zip(self.last_round) {
                *sum ^= word;
            }
        }
        self.left -= rounds;
        (self.left == 0).then(|| self.keys())
    }

    fn keys(&self) -> ScramKeys {
        let mut salted_password = [0; 32];
        for (bytes, word) in salted_password.chunks_exact_mut(4).zip(self.sum) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        ScramKeys {
            client_key: hmac(&salted_password, &[b"Client Key"]),
            server_key: hmac(&salted_password, &[b"Server Key"]),
            first_round: self.first_round,
            iterations: self.iterations,
        }
    }
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeys")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// HMAC-SHA-256 of the `parts`, one after the other.
pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    begin_hmac(key, parts).finalize().into_bytes().into()
}

/// As [`hmac`], before the result is taken or compared.
pub(super) fn begin_hmac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

/// The state of SHA-256 after the key's block (RFC 2104).
fn keyed(key: &[u8; 64], pad: u8) -> [u32; 8] {
    let mut state = INITIAL;
    compress256(&mut state, &[key.map(|byte| byte ^ pad)]);
    state
}

fn words(bytes: [u8; 32]) -> [u32; 8] {
    std::array::from_fn(|i| {
        let [a, b, c, d] = [0, 1, 2, 3].map(|j| bytes[4 * i + j]);
        u32::from_be_bytes([a, b, c, d])
    })
}

/// The initial state of SHA-256 (FIPS 180-4, section 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// PBKDF2 as the RFC writes it, one whole HMAC a round.
    fn salted_password(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
        let mut last = hmac(password, &[salt, &[0, 0, 0, 1]]);
        let mut sum = last;
        for _ in 1..iterations {
            last = hmac(password, &[&last]);
            sum.iter_mut().zip(last).for_each(|(a, b)| *a ^= b);
        }
        sum
    }

    fn check(password: &[u8], iterations: u32, slice: u32) {
        let salt = b"\x00salt\xff";
        let mut derivation = Derivation::new(password, salt, iterations);
        let mut keys = derivation.step(0);
        while keys.is_none() {
            let before = derivation.left;
            keys = derivation.step(slice);
            assert_eq!(derivation.left, before - slice.min(before));
        }
        let keys = keys.unwrap();
        let expected = salted_password(password, salt, iterations);
        assert_eq!(keys.client_key, hmac(&expected, &[b"Client Key"]));
        assert_eq!(keys.server_key, hmac(&expected, &[b"Server Key"]));
    }

    #[test]
    fn s9_slices_add_up_to_the_whole() {
        let long: Vec<u8> = (0..200).collect();
        for length in [0, 1, 63, 64, 65, 200] {
            check(&long[..length], 70, 7);
        }
        for (iterations, slice) in [(1, 1), (2, 1), (3, 5), (512, 512), (513, 512), (1024, 511)] {
            check(b"secret", iterations, slice);
        }
    }

    #[test]
    fn keys_match_only_their_password_salt_and_iterations() {
        let keys = Derivation::new(b"a", b"salt", 5).step(5).unwrap();
        assert!(Derivation::new(b"a", b"salt", 5).matches(&keys));
        assert!(!Derivation::new(b"b", b"salt", 5).matches(&keys));
        assert!(!Derivation::new(b"a", b"pepper", 5).matches(&keys));
        assert!(!Derivation::new(b"a", b"salt", 6).matches(&keys));
    }
}
