//! [`Inet`] and [`Cidr`]: family, prefix length, whether it is a `cidr`, and the address
//! (`network_send` in `network.c`).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::ParseNetworkError;
use crate::codec::{Decode, Encode, IsNull, ParamWriter, RawValue};
use crate::codec::{rust_name, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Type, oid};

/// An `inet`: an address of a host, and maybe the prefix of its network.
///
/// `std::net::IpAddr`, `Ipv4Addr` and `Ipv6Addr` can be used for addresses without a
/// network.
///
/// # Example
///
/// ```
/// use kornak::codec::Inet;
///
/// let host: Inet = "192.168.0.5/24".parse()?;
/// assert_eq!(host.address().to_string(), "192.168.0.5");
/// assert_eq!(host.prefix(), 24);
/// assert_eq!("::1".parse::<Inet>()?.prefix(), 128);
/// # Ok::<(), kornak::codec::ParseNetworkError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Inet {
    address: IpAddr,
    prefix: u8,
}

/// A `cidr`: the address of a network, without bits behind its prefix.
///
/// # Example
///
/// ```
/// use kornak::codec::Cidr;
///
/// let network: Cidr = "192.168.0.0/24".parse()?;
/// assert_eq!(network.prefix(), 24);
/// assert!("192.168.0.5/24".parse::<Cidr>().is_err());
/// # Ok::<(), kornak::codec::ParseNetworkError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr(Inet);

/// `PGSQL_AF_INET` and `PGSQL_AF_INET6` in `inet.h`.
const IPV4: u8 = 2;
const IPV6: u8 = 3;

impl Inet {
    /// An address with a prefix of at most 32 bits for IPv4, 128 for IPv6.
    #[inline]
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        (prefix <= width(address)).then_some(Self { address, prefix })
    }

    /// The address.
    #[inline]
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// How many bits of the address are the network's.
    #[inline]
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether the address is a single host's, without a network.
    #[inline]
    pub fn is_host(self) -> bool {
        self.prefix == width(self.address)
    }
}

impl Cidr {
    /// A network; `None` if the prefix is too long or the address has bits behind it.
    #[inline]
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let inet = Inet::new(address, prefix)?;
        let host_bits = match address {
            IpAddr::V4(address) => u32::from(address).checked_shl(prefix.into()).unwrap_or(0) != 0,
            IpAddr::V6(address) => u128::from(address).checked_shl(prefix.into()).unwrap_or(0) != 0,
        };
        (!host_bits).then_some(Self(inet))
    }

    /// The address, whose bits behind the prefix are 0.
    #[inline]
    pub fn address(self) -> IpAddr {
        self.0.address
    }

    /// How many bits the network's address has.
    #[inline]
    pub fn prefix(self) -> u8 {
        self.0.prefix
    }
}

#[inline]
fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl From<IpAddr> for Inet {
    #[inline]
    fn from(address: IpAddr) -> Self {
        Self {
            address,
            prefix: width(address),
        }
    }
}

impl From<Cidr> for Inet {
    #[inline]
    fn from(network: Cidr) -> Self {
        network.0
    }
}

/// As the server prints it: without the prefix where that is the whole address.
impl fmt::Display for Inet {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_address(f, self.address)?;
        if self.is_host() {
            return Ok(());
        }
        write!(f, "/{}", self.prefix)
    }
}

/// As the server prints it: always with the prefix.
impl fmt::Display for Cidr {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_address(f, self.0.address)?;
        write!(f, "/{}", self.0.prefix)
    }
}

/// As `pg_inet_net_ntop` does (`src/port/inet_net_ntop.c`), which shows some IPv6 addresses
/// with an IPv4 address in them that the standard library doesn't.
#[inline]
fn write_address(f: &mut fmt::Formatter<'_>, address: IpAddr) -> fmt::Result {
    match address {
        IpAddr::V4(address) => write!(f, "{address}"),
        IpAddr::V6(address) => match address.segments() {
            [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
                write!(
                    f,
                    "::{}",
                    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
                )
            }
            _ => write!(f, "{address}"),
        },
    }
}

impl fmt::Debug for Inet {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inet({self})")
    }
}

impl fmt::Debug for Cidr {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cidr({self})")
    }
}

/// Reads an address, and maybe a prefix behind a slash.
impl FromStr for Inet {
    type Err = ParseNetworkError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, ParseNetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| ParseNetworkError)?;
        let prefix = match prefix {
            None => width(address),
            Some(prefix) if prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
                prefix.parse().map_err(|_| ParseNetworkError)?
            }
            Some(_) => return Err(ParseNetworkError),
        };
        Self::new(address, prefix).ok_or(ParseNetworkError)
    }
}

/// Reads a network's address, and maybe a prefix behind a slash.
impl FromStr for Cidr {
    type Err = ParseNetworkError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, ParseNetworkError> {
        let inet: Inet = text.parse()?;
        Self::new(inet.address, inet.prefix).ok_or(ParseNetworkError)
    }
}

/// Writes an `inet` or a `cidr`.
#[inline]
fn write_network(inet: Inet, is_cidr: bool, out: &mut ParamWriter<'_>) {
    let family = match inet.address {
        IpAddr::V4(_) => IPV4,
        IpAddr::V6(_) => IPV6,
    };
    out.put_slice(&[family, inet.prefix, u8::from(is_cidr)]);
    match inet.address {
        IpAddr::V4(address) => {
            out.put_u8(4);
            out.put_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            out.put_u8(16);
            out.put_slice(&address.octets());
        }
    }
}

/// Reads an `inet` or a `cidr` on the way into a `T`.
fn read_network<T>(value: RawValue<'_, '_>) -> Result<Inet, DecodeError> {
    let mut reader = value.reader();
    let [family, prefix, _is_cidr, size] = reader.array()?;
    let address = match (family, size) {
        (IPV4, 4) => IpAddr::from(reader.array::<4>()?),
        (IPV6, 16) => IpAddr::from(reader.array::<16>()?),
        _ => return Err(value.error::<T>("its family and length don't fit together")),
    };
    reader.finish()?;
    Inet::new(address, prefix).ok_or_else(|| value.error::<T>("its prefix is too long"))
}

/// An `inet`, or a `cidr` if there are no bits behind its prefix.
impl Encode for Inet {
    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        match ty.oid() {
            oid::INET => write_network(*self, false, out),
            oid::CIDR if Cidr::new(self.address, self.prefix).is_some() => {
                write_network(*self, true, out);
            }
            oid::CIDR => {
                let message = format!("{self} has bits behind its prefix");
                return Err(EncodeError::new(message).with_types(ty, rust_name::<Self>()));
            }
            _ => return Err(wrong_encode_type::<Self>(ty)),
        }
        Ok(IsNull::No)
    }
}

/// Reads `inet` and `cidr`.
impl<'r> Decode<'r> for Inet {
    #[inline]
    fn accepts(ty: &Type) -> bool {
        matches!(ty.oid(), oid::INET | oid::CIDR)
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        read_network::<Self>(value)
    }
}

impl Encode for Cidr {
    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        match ty.oid() {
            oid::CIDR => write_network(self.0, true, out),
            oid::INET => write_network(self.0, false, out),
            _ => return Err(wrong_encode_type::<Self>(ty)),
        }
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r> for Cidr {
    #[inline]
    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::CIDR
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let inet = read_network::<Self>(value)?;
        Self::new(inet.address, inet.prefix)
            .ok_or_else(|| value.error::<Self>("it has bits behind its prefix"))
    }
}

macro_rules! host_address {
    ($address:ty, $read:expr) => {
        /// An `inet` without a network.
        impl Encode for $address {
            #[inline]
            fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
                if !matches!(ty.oid(), oid::INET | oid::CIDR) {
                    return Err(wrong_encode_type::<Self>(ty));
                }
                Inet::from(IpAddr::from(*self)).encode(ty, out)
            }
        }

        /// An `inet` without a network.
        impl<'r> Decode<'r> for $address {
            #[inline]
            fn accepts(ty: &Type) -> bool {
                Inet::accepts(ty)
            }

            #[inline]
            fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
                let inet = read_network::<Self>(value)?;
                let read: fn(IpAddr) -> Option<Self> = $read;
                match read(inet.address) {
                    Some(address) if inet.is_host() => Ok(address),
                    _ => Err(value
                        .error::<Self>(format!("{inet} is not such an address of a single host"))
                        .with_hint("kornak::codec::Inet takes networks and both families")),
                }
            }
        }
    };
}

host_address!(IpAddr, Some);
host_address!(Ipv4Addr, |address| match address {
    IpAddr::V4(address) => Some(address),
    IpAddr::V6(_) => None,
});
host_address!(Ipv6Addr, |address| match address {
    IpAddr::V6(address) => Some(address),
    IpAddr::V4(_) => None,
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::{check, reads, refuses_to_read, refuses_to_write, writes};

    #[test]
    fn addresses_have_the_servers_bytes_and_text() {
        for (text, hex) in [
            ("1.2.3.4", "0220000401020304"),
            ("0.0.0.0/0", "0200000400000000"),
            ("192.168.0.5/24", "02180004c0a80005"),
            ("255.255.255.255", "02200004ffffffff"),
            ("::1", "0380001000000000000000000000000000000001"),
            ("::", "0380001000000000000000000000000000000000"),
            ("::/0", "0300001000000000000000000000000000000000"),
            (
                "2001:db8::8:800:200c:417a/64",
                "0340001020010db80000000000080800200c417a",
            ),
            ("::ffff:1.2.3.4", "0380001000000000000000000000ffff01020304"),
            ("::1.2.3.4", "0380001000000000000000000000000001020304"),
            ("::0.1.0.2", "0380001000000000000000000000000000010002"),
            ("1::2:0:0:3", "0380001000010000000000000002000000000003"),
            ("1:0:0:2::3", "0380001000010000000000020000000000000003"),
            (
                "1:0:2:3:4:5:6:7",
                "0380001000010000000200030004000500060007",
            ),
            ("fe80::1/10", "030a0010fe800000000000000000000000000001"),
            ("::2", "0380001000000000000000000000000000000002"),
            ("::ffff", "038000100000000000000000000000000000ffff"),
            ("::1:2:3", "0380001000000000000000000000000100020003"),
            ("::fffe:102:304", "0380001000000000000000000000fffe01020304"),
            ("::ffff:0.0.0.0", "0380001000000000000000000000ffff00000000"),
            ("::1:0:0", "0380001000000000000000000000000100000000"),
        ] {
            let inet: Inet = text.parse().unwrap();
            assert_eq!(inet.to_string(), text);
            check(&Type::INET, inet, hex);
        }
        for (text, hex) in [
            ("1.2.3.4/32", "0220010401020304"),
            ("0.0.0.0/0", "0200010400000000"),
            ("192.168.0.0/24", "02180104c0a80000"),
            ("::1/128", "0380011000000000000000000000000000000001"),
            ("::/0", "0300011000000000000000000000000000000000"),
            ("2001:db8::/32", "0320011020010db8000000000000000000000000"),
        ] {
            let cidr: Cidr = text.parse().unwrap();
            assert_eq!(cidr.to_string(), text);
            check(&Type::CIDR, cidr, hex);
            check(&Type::CIDR, Inet::from(cidr), hex);
        }
        for text in [
            "",
            "1.2.3",
            "1.2.3.4/33",
            "::1/129",
            "1.2.3.4/",
            "1.2.3.4/+1",
            "/1",
        ] {
            assert_eq!(text.parse::<Inet>(), Err(ParseNetworkError), "{text}");
        }
        for text in ["1.2.3.4/24", "::1/64", "0.0.0.1/0"] {
            assert_eq!(text.parse::<Cidr>(), Err(ParseNetworkError), "{text}");
        }
    }

    #[test]
    fn hosts_are_addresses_of_the_standard_library() {
        check(&Type::INET, Ipv4Addr::new(1, 2, 3, 4), "0220000401020304");
        check(&Type::INET, IpAddr::from([1, 2, 3, 4]), "0220000401020304");
        check(
            &Type::INET,
            Ipv6Addr::LOCALHOST,
            "0380001000000000000000000000000000000001",
        );
        writes(&Type::CIDR, &Ipv4Addr::new(1, 2, 3, 4), "0220010401020304");
        reads(&Type::CIDR, "0220010401020304", Ipv4Addr::new(1, 2, 3, 4));
        refuses_to_read::<IpAddr>(&Type::INET, "0218000401020304", "1.2.3.4/24 is not");
        refuses_to_read::<Ipv6Addr>(&Type::INET, "0220000401020304", "1.2.3.4 is not");
        refuses_to_write::<Inet>(
            &Type::CIDR,
            &"1.2.3.4/24".parse().unwrap(),
            "behind its prefix",
        );
    }

    #[test]
    fn s27_addresses_that_lie() {
        for (hex, message) in [
            ("0221000401020304", "prefix"),
            ("0220000301020304", "family"),
            ("0120000401020304", "family"),
            ("0320001001020304", "ends early"),
            ("022000040102030405", "1 bytes follow"),
        ] {
            refuses_to_read::<Inet>(&Type::INET, hex, message);
        }
        refuses_to_read::<Cidr>(&Type::CIDR, "0218010401020304", "behind its prefix");
    }
}
