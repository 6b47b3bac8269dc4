//! `inet`, `cidr`, `macaddr` and `macaddr8` (`network.c`, `mac.c`, `mac8.c`).

mod inet;
mod mac;

use std::fmt;

pub use self::inet::{Cidr, Inet};
pub use self::mac::{MacAddr, MacAddr8};

/// A text is not a network address, or not one of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseNetworkError;

impl fmt::Display for ParseNetworkError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is not an address of this kind")
    }
}

impl std::error::Error for ParseNetworkError {}
