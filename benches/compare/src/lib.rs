//! Kornak measured beside other drivers of PostgreSQL: the workloads, one trait that every
//! driver does them by, and one file per driver.

pub mod bench;
pub mod client;
pub mod cost;
pub mod delay;
pub mod driver;
pub mod live;
pub mod repeat;
pub mod replay;
pub mod scaling;
#[cfg(feature = "tls")]
pub mod tls;
pub mod work;

/// The result of everything here that can fail.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;
