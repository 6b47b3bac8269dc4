//! The server's side of SCRAM-SHA-256 (RFC 5802), as far as a client pays for it.

use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::{Session, message};
use crate::Result;
use crate::driver::raw::{salted, sign};

/// The user who has to prove a password; all others are let in without one.
pub const SCRAM_USER: &str = "kornak_scram";
/// The password of [`replay_target`](crate::client::replay_target).
pub const PASSWORD: &str = "elephant-goad";
const SCRAM_SALT: &[u8] = b"sixteen bytes it";
/// As PostgreSQL asks for.
const SCRAM_ITERATIONS: u32 = 4096;
/// What the server adds to the client's.
const SCRAM_NONCE: &str = "pFcMCcVCcXqAkGBWZQKa";
static SERVER_KEY: LazyLock<[u8; 32]> = LazyLock::new(|| {
    let salted = salted(PASSWORD, SCRAM_SALT, SCRAM_ITERATIONS);
    sign(&salted, &[b"Server Key"])
});

impl Session {
    /// Lets the client in whatever it proves: it pays the same.
    pub(super) fn authenticate(&mut self, input: &mut Vec<u8>) -> Result<()> {
        message(&mut self.output, b'R', |out| {
            out.extend_from_slice(b"\0\0\0\x0aSCRAM-SHA-256\0\0");
        });
        let initial = self.password_message(input)?;
        // Behind the mechanism and a length: no channel binding, no other identity; then the
        // user, who is not named again, and the nonce, which may hold all but a comma.
        let (_, first) = initial.split_once(",,").ok_or("no client-first-message")?;
        let (_, client_nonce) = first.split_once(",r=").ok_or("no nonce")?;
        let server_first = format!(
            "r={client_nonce}{SCRAM_NONCE},s={},i={SCRAM_ITERATIONS}",
            BASE64_STANDARD.encode(SCRAM_SALT)
        );
        message(&mut self.output, b'R', |out| {
            out.extend_from_slice(&11u32.to_be_bytes());
            out.extend_from_slice(server_first.as_bytes());
        });
        let last = self.password_message(input)?;
        let without_proof = last.rsplit_once(",p=").map_or("", |(before, _)| before);
        let signed = format!("{first},{server_first},{without_proof}");
        let signature = sign(&*SERVER_KEY, &[signed.as_bytes()]);
        message(&mut self.output, b'R', |out| {
            out.extend_from_slice(&12u32.to_be_bytes());
            out.extend_from_slice(format!("v={}", BASE64_STANDARD.encode(signature)).as_bytes());
        });
        Ok(())
    }

    /// The text of a SASLInitialResponse or SASLResponse.
    fn password_message(&mut self, input: &mut Vec<u8>) -> Result<String> {
        loop {
            if let Some((header, rest)) = input.split_first_chunk::<5>() {
                let [_, length @ ..] = *header;
                let length = u32::from_be_bytes(length) as usize - 4;
                if let Some(body) = rest.get(..length) {
                    let text = String::from_utf8_lossy(body).into_owned();
                    input.drain(..5 + length);
                    return Ok(text);
                }
            }
            if !self.read(input)? {
                return Err("the client went away".into());
            }
        }
    }
}
