//! What the tests of the pool share.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test binary compiles this module and uses a part of it"
)]

pub mod crowd;
pub mod sharing;
#[cfg(all(feature = "tracing", feature = "metrics"))]
pub mod watching;

use kornak::pool::PoolBuilder;
use kornak::{Config, Pool, PoolConnection};

use crate::live::{config, eventually, small_buffers};
use crate::support::address::Address;
use crate::support::deadline::{GENEROUS, within};
use crate::support::observer::{Observer, Scope};
use crate::support::raw::unique;
use crate::support::server;
use crate::support::token::{TokenCheck, TokenProbe};

/// A pool on the server of the tests, whose sessions can be told from those of others.
pub struct Tested {
    pub pool: Pool,
    pub application: String,
}

/// How a token gets through a pool.
pub struct Probe<'p>(pub &'p Pool);

impl Tested {
    /// A pool of so many, without a connection yet.
    pub fn of(size: usize, change: impl FnOnce(PoolBuilder) -> PoolBuilder) -> Self {
        Self::over(&server::target().address, size, change)
    }

    /// A pool of so many that reaches the server over `address`.
    pub fn over(
        address: &Address,
        size: usize,
        change: impl FnOnce(PoolBuilder) -> PoolBuilder,
    ) -> Self {
        let application = format!("pool-{}", unique());
        let builder = change(Pool::builder().max_size(size));
        let pool = builder.build(config_over(address, &application));
        Self {
            pool: pool.unwrap_or_else(|error| panic!("making a pool: {error}")),
            application,
        }
    }

    pub fn scope(&self) -> Scope {
        Scope::Application(self.application.clone())
    }

    pub async fn observer(&self) -> Observer {
        Observer::new(&server::target(), self.scope()).await
    }

    /// Whoever borrows next gets exactly the own answers, and no transaction is open.
    pub async fn check_token(&self) {
        let mut check = TokenCheck::new(&server::target(), self.scope()).await;
        check.check(&Probe(&self.pool)).await;
    }

    pub async fn acquire(&self) -> PoolConnection {
        acquire(&self.pool).await
    }

    /// Waits until nothing is lent, recovered, opened or waited for.
    pub async fn at_rest(&self) {
        at_rest(&self.pool).await;
    }
}

pub fn config_over(address: &Address, application: &str) -> Config {
    small_buffers(config(&server::target().at(address))).application_name(application)
}

pub async fn acquire(pool: &Pool) -> PoolConnection {
    let acquired = within(GENEROUS * 2, "acquiring", pool.acquire()).await;
    acquired.unwrap_or_else(|error| panic!("acquiring: {error:#}"))
}

/// Waits until nothing is lent, recovered, opened or waited for.
pub async fn at_rest(pool: &Pool) {
    let is_at_rest = async || {
        let status = pool.status();
        let rests = status.busy == 0 && status.connecting == 0 && status.waiting == 0;
        assert!(!rests || status.size == status.idle, "{status:?}");
        rests
    };
    eventually("the pool coming to rest", is_at_rest).await;
}

impl TokenProbe for Probe<'_> {
    type Borrowed = PoolConnection;
    type Error = kornak::Error;

    async fn borrow(&self) -> Result<PoolConnection, kornak::Error> {
        self.0.acquire().await
    }

    async fn echo(
        &self,
        borrowed: &mut PoolConnection,
        token: &str,
    ) -> Result<String, kornak::Error> {
        borrowed.fetch_one("select $1::text", (token,)).await
    }
}
