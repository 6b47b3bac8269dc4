//! `mac_address::MacAddress`, version 1 of the crate.

use mac_address::MacAddress;

use super::through::{NoCounterpart, through};
use crate::codec::MacAddr;

through!(
    /// `macaddr`.
    MacAddress, MacAddr, [MACADDR],
    |address| Ok(MacAddr(address.bytes())),
    |address| Ok(Self::new(address.0))
);
