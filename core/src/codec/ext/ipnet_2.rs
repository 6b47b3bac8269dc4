//! The networks of `ipnet`, version 2, which keep the bits behind their prefix as `inet` does.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::through::{NoCounterpart, through};
use crate::codec::Inet;

through!(
    /// `inet`, and `cidr` where there are no bits behind the prefix.
    IpNet, Inet, [INET, CIDR],
    |net| to_inet(net.addr(), net.prefix_len()),
    from_inet
);
through!(
    /// `inet`, and `cidr` where there are no bits behind the prefix.
    Ipv4Net, Inet, [INET, CIDR],
    |net| to_inet(net.addr().into(), net.prefix_len()),
    |inet| match from_inet(inet)? {
        IpNet::V4(net) => Ok(net),
        IpNet::V6(net) => Err(NoCounterpart::new(format!("{net} is not of IPv4"))),
    }
);
through!(
    /// `inet`, and `cidr` where there are no bits behind the prefix.
    Ipv6Net, Inet, [INET, CIDR],
    |net| to_inet(net.addr().into(), net.prefix_len()),
    |inet| match from_inet(inet)? {
        IpNet::V4(net) => Err(NoCounterpart::new(format!("{net} is not of IPv6"))),
        IpNet::V6(net) => Ok(net),
    }
);

#[inline]
fn to_inet(address: IpAddr, prefix: u8) -> Result<Inet, NoCounterpart> {
    Inet::new(address, prefix)
        .ok_or_else(|| NoCounterpart::new(format!("the prefix of {address}/{prefix} is too long")))
}

#[inline]
fn from_inet(inet: Inet) -> Result<IpNet, NoCounterpart> {
    IpNet::new(inet.address(), inet.prefix())
        .map_err(|_| NoCounterpart::new(format!("the prefix of {inet} is too long")))
}
