//! The server's two messages (RFC 5802, section 7), parsed as strictly as libpq does and
//! in places stricter: what PostgreSQL's `auth-scram.c` writes passes, nothing else needs to.

use super::base64;
use crate::error::{Error, Result};

/// `r=…,s=…,i=…`
#[derive(Debug)]
pub(super) struct ServerFirst<'a> {
    /// The client's nonce and the server's addition.
    pub(super) nonce: &'a [u8],
    pub(super) salt: Vec<u8>,
    /// The largest number for what is larger.
    pub(super) iterations: u32,
}

impl<'a> ServerFirst<'a> {
    pub(super) fn parse(message: &'a [u8], client_nonce: &[u8]) -> Result<Self> {
        let mut rest = message;
        if rest.starts_with(b"m=") {
            return Err(malformed("it demands an extension that doesn't exist"));
        }
        let nonce = attribute(&mut rest, b'r')?;
        let addition = nonce.strip_prefix(client_nonce).unwrap_or_default();
        if addition.is_empty() {
            return Err(malformed("its nonce does not extend the client's"));
        }
        if !addition.iter().all(u8::is_ascii_graphic) {
            return Err(malformed("its nonce has characters that aren't allowed"));
        }
        let salt = base64::decode(attribute(&mut rest, b's')?)
            .ok_or_else(|| malformed("its salt is not valid Base64"))?;
        if salt.is_empty() {
            return Err(malformed("its salt is empty"));
        }
        let iterations = number(attribute(&mut rest, b'i')?)?;
        end(rest)?;
        Ok(Self {
            nonce,
            salt,
            iterations,
        })
    }
}

/// `v=…` or `e=…`
#[derive(Debug)]
pub(super) enum ServerFinal<'a> {
    /// The server's proof.
    Signature([u8; 32]),
    /// The server's reason to refuse.
    Refused(&'a str),
}

impl<'a> ServerFinal<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self> {
        let mut rest = message;
        if rest.starts_with(b"e=") {
            let reason = attribute(&mut rest, b'e')?;
            // The reasons of the RFC are words; nothing else is shown.
            let is_word = matches!(reason.len(), 1..=MAX_REASON)
                && reason
                    .iter()
                    .all(|&byte| byte.is_ascii_lowercase() || byte == b'-');
            return match std::str::from_utf8(reason) {
                Ok(reason) if is_word => Ok(Self::Refused(reason)),
                _ => Err(malformed("its error is not one of the standard's")),
            };
        }
        let signature = base64::decode(attribute(&mut rest, b'v')?)
            .and_then(|signature| <[u8; 32]>::try_from(signature).ok())
            .ok_or_else(|| malformed("its signature is not Base64 of 32 bytes"))?;
        end(rest)?;
        Ok(Self::Signature(signature))
    }
}

/// Takes the attribute `name=value` from the front, and the comma behind it.
fn attribute<'a>(rest: &mut &'a [u8], name: u8) -> Result<&'a [u8]> {
    let Some((value, after)) = (match **rest {
        [first, b'=', ref value @ ..] if first == name => Some(value),
        _ => None,
    })
    .map(|text| match text.iter().position(|&byte| byte == b',') {
        // A comma with nothing behind it is left over, and refused as such.
        Some(comma) if comma + 1 < text.len() => (&text[..comma], &text[comma + 1..]),
        Some(comma) => (&text[..comma], &text[comma..]),
        None => (text, &[][..]),
    }) else {
        return Err(malformed(match name {
            b'r' => "it does not begin with a nonce",
            b's' => "there is no salt where it belongs",
            b'i' => "there is no number of iterations where it belongs",
            _ => "it does not begin with a signature",
        }));
    };
    *rest = after;
    Ok(value)
}

/// Refuses what is left. The RFC lets optional extensions follow; there are none, and libpq
/// refuses them too.
fn end(rest: &[u8]) -> Result<()> {
    if rest.is_empty() {
        Ok(())
    } else {
        Err(malformed("there is more behind its last attribute"))
    }
}

/// A positive decimal number without sign, spaces and leading zeros.
fn number(digits: &[u8]) -> Result<u32> {
    let canonical = matches!(digits, [b'1'..=b'9', ..]) && digits.iter().all(u8::is_ascii_digit);
    if !canonical {
        return Err(malformed("its number of iterations is not a number"));
    }
    Ok(digits.iter().fold(0_u32, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u32::from(digit - b'0'))
    }))
}

fn malformed(why: &str) -> Error {
    Error::protocol(format!("the server's SCRAM message is malformed: {why}"))
}

/// The longest reason to refuse, in bytes. The longest of the RFC has 37.
const MAX_REASON: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    const NONCE: &[u8] = b"client";

    #[test]
    fn s12_malformed_first_messages_are_refused() {
        let good = "r=clientserver,s=c2FsdA==,i=4096";
        let parsed = ServerFirst::parse(good.as_bytes(), NONCE).unwrap();
        assert_eq!(
            (parsed.nonce, &parsed.salt[..], parsed.iterations),
            (&b"clientserver"[..], &b"salt"[..], 4096)
        );
        for message in [
            "",
            "r",
            "r=",
            ",",
            "r=client,s=c2FsdA==,i=4096",
            "r=clien,s=c2FsdA==,i=4096",
            "r=,s=c2FsdA==,i=4096",
            "r=Clientserver,s=c2FsdA==,i=4096",
            "r=serverclient,s=c2FsdA==,i=4096",
            "r=clientser ver,s=c2FsdA==,i=4096",
            "r=clientser\0ver,s=c2FsdA==,i=4096",
            "r=clientser\u{e4}ver,s=c2FsdA==,i=4096",
            "r=clientserver",
            "r=clientserver,",
            "r=clientserver,s=c2FsdA==",
            "r=clientserver,s=c2FsdA==,",
            "r=clientserver,i=4096,s=c2FsdA==",
            "s=c2FsdA==,r=clientserver,i=4096",
            "r=clientserver,r=clientserver,s=c2FsdA==,i=4096",
            "r=clientserver,s=,i=4096",
            "r=clientserver,s=c2FsdA,i=4096",
            "r=clientserver,s=c2FsdA=,i=4096",
            "r=clientserver,s=c2F sdA==,i=4096",
            "r=clientserver,s=c2FsdB==,i=4096",
            "r=clientserver,s=c2FsdA==,i=",
            "r=clientserver,s=c2FsdA==,i=0",
            "r=clientserver,s=c2FsdA==,i=-4096",
            "r=clientserver,s=c2FsdA==,i=+4096",
            "r=clientserver,s=c2FsdA==,i= 4096",
            "r=clientserver,s=c2FsdA==,i=4096 ",
            "r=clientserver,s=c2FsdA==,i=04096",
            "r=clientserver,s=c2FsdA==,i=0x1000",
            "r=clientserver,s=c2FsdA==,i=4096.0",
            "r=clientserver,s=c2FsdA==,i=4096\0",
            "r=clientserver,s=c2FsdA==,i=4096,",
            "r=clientserver,s=c2FsdA==,i=4096,i=4096",
            "r=clientserver,s=c2FsdA==,i=4096,x=y",
            "r=clientserver,,s=c2FsdA==,i=4096",
            "m=ext,r=clientserver,s=c2FsdA==,i=4096",
            "r=clientserver,m=ext,s=c2FsdA==,i=4096",
            " r=clientserver,s=c2FsdA==,i=4096",
            "R=clientserver,S=c2FsdA==,I=4096",
            "r:clientserver,s=c2FsdA==,i=4096",
            "e=other-error",
            "v=c2FsdA==",
        ] {
            let error = ServerFirst::parse(message.as_bytes(), NONCE).expect_err(message);
            assert_eq!(error.kind(), ErrorKind::Protocol, "{message}");
        }
    }

    #[test]
    fn s12_malformed_final_messages_are_refused() {
        let good = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert!(matches!(
            ServerFinal::parse(good.as_bytes()),
            Ok(ServerFinal::Signature(_))
        ));
        assert!(matches!(
            ServerFinal::parse(b"e=channel-bindings-dont-match"),
            Ok(ServerFinal::Refused("channel-bindings-dont-match"))
        ));
        for message in [
            "",
            "v",
            "v=",
            "V=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95A==",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4A",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=,",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=,x=y",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=\0",
            "m=x,v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            "r=clientserver,s=c2FsdA==,i=4096",
            "e=",
            "e=\u{1b}[2J",
            "e=Your password has expired, type it here",
        ] {
            let error = ServerFinal::parse(message.as_bytes()).expect_err(message);
            assert_eq!(error.kind(), ErrorKind::Protocol, "{message}");
        }
    }

    #[test]
    fn huge_numbers_of_iterations_saturate() {
        assert_eq!(number(b"4294967295").unwrap(), u32::MAX);
        assert_eq!(number(b"4294967296").unwrap(), u32::MAX);
        assert_eq!(number(&[b'9'; 4096]).unwrap(), u32::MAX);
    }
}
