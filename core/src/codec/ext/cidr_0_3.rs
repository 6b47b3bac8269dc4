//! The networks of `cidr`, version 0.3: `IpCidr` is the server's `cidr`, `IpInet` its `inet`.

use std::net::IpAddr;

use cidr::{IpCidr, IpInet, Ipv4Cidr, Ipv4Inet, Ipv6Cidr, Ipv6Inet};

use super::through::{NoCounterpart, through};
use crate::codec::{Cidr, Inet};

through!(
    /// `cidr`; written as `inet`, too.
    IpCidr, Cidr, [CIDR, INET],
    |network| to_cidr(network.first_address(), network.network_length()),
    from_cidr
);
through!(
    /// `cidr`; written as `inet`, too.
    Ipv4Cidr, Cidr, [CIDR, INET],
    |network| to_cidr(network.first_address().into(), network.network_length()),
    |network| match from_cidr(network)? {
        IpCidr::V4(network) => Ok(network),
        IpCidr::V6(network) => Err(wrong_family(&network, "IPv4")),
    }
);
through!(
    /// `cidr`; written as `inet`, too.
    Ipv6Cidr, Cidr, [CIDR, INET],
    |network| to_cidr(network.first_address().into(), network.network_length()),
    |network| match from_cidr(network)? {
        IpCidr::V4(network) => Err(wrong_family(&network, "IPv6")),
        IpCidr::V6(network) => Ok(network),
    }
);
through!(
    /// `inet`, and `cidr` where there are no bits behind the prefix.
    IpInet, Inet, [INET, CIDR],
    |inet| to_inet(inet.address(), inet.network_length()),
    from_inet
);
through!(
    /// `inet`, and `cidr` where there are no bits behind the prefix.
    Ipv4Inet, Inet, [INET, CIDR],
    |inet| to_inet(inet.address().into(), inet.network_length()),
    |inet| match from_inet(inet)? {
        IpInet::V4(inet) => Ok(inet),
        IpInet::V6(inet) => Err(wrong_family(&inet, "IPv4")),
    }
);
through!(
    /// `inet`, and `cidr` where there are no bits behind the prefix.
    Ipv6Inet, Inet, [INET, CIDR],
    |inet| to_inet(inet.address().into(), inet.network_length()),
    |inet| match from_inet(inet)? {
        IpInet::V4(inet) => Err(wrong_family(&inet, "IPv6")),
        IpInet::V6(inet) => Ok(inet),
    }
);

#[inline]
fn to_cidr(address: IpAddr, prefix: u8) -> Result<Cidr, NoCounterpart> {
    Cidr::new(address, prefix).ok_or_else(|| not_a_network(&address, prefix))
}

#[inline]
fn from_cidr(network: Cidr) -> Result<IpCidr, NoCounterpart> {
    IpCidr::new(network.address(), network.prefix())
        .map_err(|_| not_a_network(&network.address(), network.prefix()))
}

#[inline]
fn to_inet(address: IpAddr, prefix: u8) -> Result<Inet, NoCounterpart> {
    Inet::new(address, prefix).ok_or_else(|| not_a_network(&address, prefix))
}

#[inline]
fn from_inet(inet: Inet) -> Result<IpInet, NoCounterpart> {
    IpInet::new(inet.address(), inet.prefix())
        .map_err(|_| not_a_network(&inet.address(), inet.prefix()))
}

#[inline]
fn not_a_network(address: &IpAddr, prefix: u8) -> NoCounterpart {
    NoCounterpart::new(format!("{address}/{prefix} is not a network"))
}

#[inline]
fn wrong_family(network: &dyn std::fmt::Display, wanted: &str) -> NoCounterpart {
    NoCounterpart::new(format!("{network} is not of {wanted}"))
}
