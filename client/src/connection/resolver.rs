//! [`Resolver`]: from a host's name to its addresses.

use std::net::SocketAddr;

use crate::error::{Error, ErrorKind, Outcome, Result};

/// Looks names up as the system does (`getaddrinfo`), which knows of `/etc/hosts` and the
/// rest of the machine's configuration.
///
/// The system call blocks, so tokio makes it in a thread of its own. A future that is dropped
/// doesn't end that call, but it no longer waits for it either: a name server that is silent
/// costs a thread for a while and no deadline. Only a runtime that is dropped meanwhile waits
/// for its threads.
#[derive(Default)]
pub(super) struct Resolver {
    #[cfg(test)]
    scripted: Option<scripted::Answers>,
}

impl Resolver {
    /// The addresses of a host, in the order that the system prefers (RFC 6724).
    ///
    /// # Errors
    ///
    /// If there is no such host, or it has no address.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(super) async fn addresses(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>> {
        #[cfg(test)]
        if let Some(scripted) = &self.scripted {
            return Ok(scripted.addresses(name, port).await);
        }
        let found = tokio::net::lookup_host((name, port)).await;
        let found: Vec<_> = found
            .map_err(|error| {
                Error::io(
                    format!("can't find the address of the host \"{name}\""),
                    error,
                )
                .with_outcome(Outcome::NotRun)
            })?
            .collect();
        if found.is_empty() {
            return Err(
                Error::new(ErrorKind::Io, format!("the host \"{name}\" has no address"))
                    .with_outcome(Outcome::NotRun),
            );
        }
        Ok(found)
    }
}

/// Answers that a test gives, because what the machine's names lead to is none of its business.
#[cfg(test)]
mod scripted {
    use std::net::{IpAddr, SocketAddr};

    use super::Resolver;

    /// The addresses of a name, or `None` for an answer that never comes.
    #[expect(
        clippy::type_complexity,
        reason = "a name for a closure's type would say less"
    )]
    pub(super) struct Answers(Box<dyn Fn(&str) -> Option<Vec<IpAddr>> + Send + Sync>);

    impl Resolver {
        pub(crate) fn scripted(
            answers: impl Fn(&str) -> Option<Vec<IpAddr>> + Send + Sync + 'static,
        ) -> Self {
            Self {
                scripted: Some(Answers(Box::new(answers))),
            }
        }
    }

    impl Answers {
        pub(super) async fn addresses(&self, name: &str, port: u16) -> Vec<SocketAddr> {
            match (self.0)(name) {
                Some(found) => found.into_iter().map(|ip| (ip, port).into()).collect(),
                None => std::future::pending().await,
            }
        }
    }
}
