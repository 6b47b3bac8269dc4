//! The token check: whatever happened to the last borrower, the next one sends a unique value
//! and gets exactly it, within a bounded time, and no transaction is left open.

use std::fmt::Display;
use std::time::Duration;

use super::address::Target;
use super::deadline::{GENEROUS, within};
use super::observer::{Observer, Scope};
use super::raw::unique;

/// How the check gets at what is tested: a pool of one, or a connection.
pub trait TokenProbe {
    /// What is borrowed; dropping it gives it back.
    type Borrowed;
    /// Why something did not work.
    type Error: Display;

    /// Borrows.
    async fn borrow(&self) -> Result<Self::Borrowed, Self::Error>;

    /// Sends `token` to the server as a parameter or a literal, and returns what comes back.
    async fn echo(&self, borrowed: &mut Self::Borrowed, token: &str)
    -> Result<String, Self::Error>;
}

/// The check, with what it needs of its own.
#[derive(Debug)]
pub struct TokenCheck {
    observer: Observer,
    limit: Duration,
}

impl TokenCheck {
    /// A check of the sessions in `scope` at the server of `target`.
    pub async fn new(target: &Target, scope: Scope) -> Self {
        Self {
            observer: Observer::new(target, scope).await,
            limit: GENEROUS,
        }
    }

    /// How long borrowing, sending and looking may each take.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Who looks at the sessions.
    pub fn observer(&mut self) -> &mut Observer {
        &mut self.observer
    }

    /// Checks.
    ///
    /// # Panics
    ///
    /// If borrowing or sending fails or takes too long, if another value comes back, or if a
    /// transaction stays open.
    pub async fn check(&mut self, probe: &impl TokenProbe) {
        let borrowed = within(self.limit, "borrowing for the token check", probe.borrow()).await;
        let mut borrowed = borrowed.unwrap_or_else(|error| panic!("the next borrower: {error}"));
        // A reply that belongs to somebody else may come first, or second.
        for _ in 0..2 {
            let token = format!("token-{}", unique());
            let echo = probe.echo(&mut borrowed, &token);
            let echoed = within(self.limit, "the echo of the token", echo).await;
            match echoed {
                Ok(echoed) => assert_eq!(echoed, token, "the next borrower got another reply"),
                Err(error) => panic!("the next borrower's token: {error}"),
            }
        }
        self.observer.until_idle(self.limit).await;
        drop(borrowed);
    }
}
