//! The networks of `ipnetwork`, version 0.21, which keep the bits behind their prefix as `inet` does.

use std::net::IpAddr;

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};

use super::through::{NoCounterpart, through};
use crate::codec::Inet;

through!(
    /// `inet`, and `cidr` where there are no bits behind the prefix.
    IpNetwork, Inet, [INET, CIDR],
    |network| to_inet(network.ip(), network.prefix()),
    from_inet
);
through!(
    /// `inet`, and `cidr` where there are no bits behind the prefix.
    Ipv4Network, Inet, [INET, CIDR],
    |network| to_inet(network.ip().into(), network.prefix()),
    |inet| match from_inet(inet)? {
        IpNetwork::V4(network) => Ok(network),
        IpNetwork::V6(network) => Err(NoCounterpart::new(format!("{network} is not of IPv4"))),
    }
);
through!(
    /// `inet`, and `cidr` where there are no bits behind the prefix.
    Ipv6Network, Inet, [INET, CIDR],
    |network| to_inet(network.ip().into(), network.prefix()),
    |inet| match from_inet(inet)? {
        IpNetwork::V4(network) => Err(NoCounterpart::new(format!("{network} is not of IPv6"))),
        IpNetwork::V6(network) => Ok(network),
    }
);

#[inline]
fn to_inet(address: IpAddr, prefix: u8) -> Result<Inet, NoCounterpart> {
    Inet::new(address, prefix)
        .ok_or_else(|| NoCounterpart::new(format!("the prefix of {address}/{prefix} is too long")))
}

#[inline]
fn from_inet(inet: Inet) -> Result<IpNetwork, NoCounterpart> {
    IpNetwork::new(inet.address(), inet.prefix())
        .map_err(|_| NoCounterpart::new(format!("the prefix of {inet} is too long")))
}
