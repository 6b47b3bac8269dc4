//! Which SASL mechanism, and what it is bound to (manual, "SASL Authentication"; libpq's
//! `pg_SASL_init`).

use crate::error::{Error, ErrorKind, Result};

/// What the client says about channel binding (the gs2 header of RFC 5802, section 6).
///
/// Binding makes the proof worthless on any other TLS connection, so that nobody who sits
/// in between can pass it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelBinding {
    /// The client doesn't do it: `n`.
    None,
    /// The client could, but the server offers nothing for it: `y`. A server that does
    /// offer it notices that someone removed the offer.
    Unused,
    /// The proof is bound to the server's certificate: `p=tls-server-end-point`, with the
    /// hash of the certificate (RFC 5929).
    EndPoint(Vec<u8>),
}

/// How much the application wants channel binding: libpq's `channel_binding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BindingPolicy {
    /// Never.
    Disable,
    /// Where the server and its certificate allow it.
    #[default]
    Prefer,
    /// Or no connection.
    Require,
}

/// What the transport has that a proof can be bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndPoint {
    /// No TLS.
    Plain,
    /// TLS, with a certificate that determines no hash (RFC 5929, section 4.1), as those
    /// that are signed by Ed25519.
    Unbindable,
    /// TLS, and the hash of the server's certificate.
    Hash(Vec<u8>),
}

impl ChannelBinding {
    /// Chooses among the mechanisms that the server offers.
    ///
    /// # Errors
    ///
    /// Of kind [`Unsupported`](ErrorKind::Unsupported) if the server offers nothing that is
    /// known here; of kind [`Authentication`](ErrorKind::Authentication) if the policy can't
    /// be kept, or if the server offers channel binding on a connection without TLS.
    pub fn choose<'a>(
        offered: impl IntoIterator<Item = &'a [u8]>,
        policy: BindingPolicy,
        end_point: EndPoint,
    ) -> Result<Self> {
        let (mut plain, mut plus) = (false, false);
        let mut names = Vec::new();
        for name in offered {
            plain |= name == SCRAM_SHA_256.as_bytes();
            plus |= name == SCRAM_SHA_256_PLUS.as_bytes();
            if names.len() < SHOWN_NAMES {
                names.push(printable(name));
            }
        }
        if !plain && !plus {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "the server offers the SASL mechanisms {}; supported are \
                     {SCRAM_SHA_256} and {SCRAM_SHA_256_PLUS}",
                    names.join(", ")
                ),
            ));
        }
        if plus && end_point == EndPoint::Plain {
            // Someone else encrypts on the way to the server. libpq refuses this too.
            return Err(refused(
                "the server offers channel binding on a connection without TLS",
            ));
        }
        match (policy, end_point) {
            (BindingPolicy::Prefer | BindingPolicy::Require, EndPoint::Hash(hash)) if plus => {
                Ok(Self::EndPoint(hash))
            }
            (BindingPolicy::Require, EndPoint::Plain) => Err(refused(
                "channel binding is required, but the connection doesn't use TLS",
            )),
            (BindingPolicy::Require, EndPoint::Unbindable) => Err(refused(
                "channel binding is required, but the server's certificate is signed by an \
                 algorithm for which it is not defined",
            )),
            (BindingPolicy::Require, EndPoint::Hash(_)) => Err(refused(
                "channel binding is required, but the server doesn't offer it",
            )),
            _ if !plain => Err(refused(
                "the server insists on channel binding, which is not possible here",
            )),
            (BindingPolicy::Prefer, EndPoint::Hash(_)) => Ok(Self::Unused),
            _ => Ok(Self::None),
        }
    }

    /// The name of the mechanism, for SASLInitialResponse.
    pub fn mechanism(&self) -> &'static str {
        match self {
            Self::EndPoint(_) => SCRAM_SHA_256_PLUS,
            Self::None | Self::Unused => SCRAM_SHA_256,
        }
    }

    /// The gs2 header, without an authorization identity.
    pub(super) fn header(&self) -> &'static str {
        match self {
            Self::None => "n,,",
            Self::Unused => "y,,",
            Self::EndPoint(_) => "p=tls-server-end-point,,",
        }
    }

    /// What the proof is bound to.
    pub(super) fn data(&self) -> &[u8] {
        match self {
            Self::EndPoint(hash) => hash,
            Self::None | Self::Unused => &[],
        }
    }
}

fn refused(why: &'static str) -> Error {
    Error::new(ErrorKind::Authentication, why)
}

/// A name from a peer that has proved nothing yet.
fn printable(name: &[u8]) -> String {
    name.iter()
        .take(SHOWN_LENGTH)
        .map(|&byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte),
            _ => '?',
        })
        .collect()
}

const SCRAM_SHA_256: &str = "SCRAM-SHA-256";
const SCRAM_SHA_256_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// How many unknown mechanisms an error names.
const SHOWN_NAMES: usize = 8;

/// How much of each name it shows, in bytes. The standard allows 20.
const SHOWN_LENGTH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[&str] = &[SCRAM_SHA_256_PLUS, SCRAM_SHA_256];
    const PLAIN: &[&str] = &[SCRAM_SHA_256];
    const PLUS: &[&str] = &[SCRAM_SHA_256_PLUS];

    fn choose(
        offered: &[&str],
        policy: BindingPolicy,
        end_point: &EndPoint,
    ) -> Result<ChannelBinding> {
        ChannelBinding::choose(
            offered.iter().map(|name| name.as_bytes()),
            policy,
            end_point.clone(),
        )
    }

    #[test]
    fn the_choice_is_libpqs() {
        use BindingPolicy::{Disable, Prefer, Require};
        let hash = &EndPoint::Hash(vec![1; 32]);
        let (plain, unbindable) = (&EndPoint::Plain, &EndPoint::Unbindable);
        let bound = || Some(ChannelBinding::EndPoint(vec![1; 32]));
        let (none, unused) = (
            || Some(ChannelBinding::None),
            || Some(ChannelBinding::Unused),
        );
        for (offered, policy, end_point, expected) in [
            (BOTH, Disable, hash, none()),
            (BOTH, Prefer, hash, bound()),
            (BOTH, Require, hash, bound()),
            (BOTH, Disable, unbindable, none()),
            (BOTH, Prefer, unbindable, none()),
            (BOTH, Require, unbindable, None),
            (BOTH, Disable, plain, None),
            (BOTH, Prefer, plain, None),
            (BOTH, Require, plain, None),
            (PLAIN, Disable, hash, none()),
            (PLAIN, Prefer, hash, unused()),
            (PLAIN, Require, hash, None),
            (PLAIN, Disable, unbindable, none()),
            (PLAIN, Prefer, unbindable, none()),
            (PLAIN, Require, unbindable, None),
            (PLAIN, Disable, plain, none()),
            (PLAIN, Prefer, plain, none()),
            (PLAIN, Require, plain, None),
            (PLUS, Disable, hash, None),
            (PLUS, Prefer, hash, bound()),
            (PLUS, Require, hash, bound()),
            (PLUS, Prefer, unbindable, None),
            (PLUS, Prefer, plain, None),
        ] {
            let chosen = choose(offered, policy, end_point);
            if let Err(error) = &chosen {
                assert_eq!(error.kind(), ErrorKind::Authentication);
            }
            assert_eq!(
                chosen.ok(),
                expected,
                "{offered:?} {policy:?} {end_point:?}"
            );
        }
    }

    #[test]
    fn s12_unknown_mechanisms_are_refused_and_named() {
        for policy in [
            BindingPolicy::Disable,
            BindingPolicy::Prefer,
            BindingPolicy::Require,
        ] {
            for offered in [
                &["OAUTHBEARER", "SCRAM-SHA-1"][..],
                &["scram-sha-256"],
                &["SCRAM-SHA-256 "],
                &["SCRAM-SHA-256-PLUS-"],
                &[""],
                &[],
            ] {
                let error = choose(offered, policy, &EndPoint::Hash(vec![1; 32])).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unsupported);
            }
        }
        let hostile = "\u{1b}[31mpassword:".repeat(1000);
        let many = vec![hostile.as_str(); 1000];
        let error = choose(&many, BindingPolicy::Prefer, &EndPoint::Plain).unwrap_err();
        let text = error.to_string();
        assert!(text.len() < 500 && !text.contains('\u{1b}'), "{text}");
        let error = choose(&["OAUTHBEARER"], BindingPolicy::Prefer, &EndPoint::Plain);
        assert!(error.unwrap_err().to_string().contains("OAUTHBEARER"));
    }
}
