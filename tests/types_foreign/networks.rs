//! Addresses and networks.

use cidr::{IpCidr, IpInet, Ipv4Cidr, Ipv4Inet, Ipv6Cidr, Ipv6Inet};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use mac_address::MacAddress;

use crate::live::connect;
use crate::{check, on, refuses_to_read, refuses_to_write};

const INET: crate::On<'_> = on("inet", "inet_send");
const CIDR: crate::On<'_> = on("cidr", "cidr_send");

const V4: [&str; 5] = [
    "0.0.0.0/0",
    "192.168.0.5/24",
    "10.0.0.0/8",
    "127.0.0.1/32",
    "255.255.255.255/31",
];
const V6: [&str; 5] = [
    "::/0",
    "2001:db8::5/64",
    "::ffff:10.0.0.1/128",
    "fe80::/10",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/127",
];
const V4_NETWORKS: [&str; 4] = ["0.0.0.0/0", "192.168.0.0/24", "10.0.0.0/8", "127.0.0.1/32"];
const V6_NETWORKS: [&str; 3] = ["::/0", "2001:db8::/64", "::1/128"];

/// The texts, each with what it is parsed as.
fn parsed<'a, T: std::str::FromStr>(texts: &[&'a str]) -> Vec<(&'a str, T)>
where
    T::Err: std::fmt::Debug,
{
    texts
        .iter()
        .map(|text| (*text, text.parse().unwrap()))
        .collect()
}

#[tokio::test]
async fn r57_networks_that_keep_their_host_are_exact() {
    let mut db = connect().await;
    let all = [V4, V6].concat();
    let networks = [&V4_NETWORKS[..], &V6_NETWORKS[..]].concat();
    macro_rules! checked {
        ($any:ty, $v4:ty, $v6:ty) => {
            check::<$any>(&mut db, INET, &parsed(&all)).await;
            check::<$any>(&mut db, CIDR, &parsed(&networks)).await;
            check::<$v4>(&mut db, INET, &parsed(&V4)).await;
            check::<$v4>(&mut db, CIDR, &parsed(&V4_NETWORKS)).await;
            check::<$v6>(&mut db, INET, &parsed(&V6)).await;
            check::<$v6>(&mut db, CIDR, &parsed(&V6_NETWORKS)).await;
            refuses_to_read::<$v4>(&mut db, "inet", &[("::1/64", "::1/64 is not of IPv4")]).await;
            refuses_to_read::<$v6>(
                &mut db,
                "cidr",
                &[("10.0.0.0/8", "10.0.0.0/8 is not of IPv6")],
            )
            .await;
            let host: $any = "10.0.0.1/8".parse().unwrap();
            refuses_to_write(
                &mut db,
                "cidr",
                &[(host, "10.0.0.1/8 has bits behind its prefix")],
            )
            .await;
            refuses_to_write(&mut db, "text", &[(host, "the types don't match")]).await;
        };
    }
    checked!(IpNet, Ipv4Net, Ipv6Net);
    checked!(IpNetwork, Ipv4Network, Ipv6Network);
    checked!(IpInet, Ipv4Inet, Ipv6Inet);
}

#[tokio::test]
async fn r57_networks_without_a_host_are_exact() {
    let mut db = connect().await;
    let networks = [&V4_NETWORKS[..], &V6_NETWORKS[..]].concat();
    check::<IpCidr>(&mut db, CIDR, &parsed(&networks)).await;
    check::<Ipv4Cidr>(&mut db, CIDR, &parsed(&V4_NETWORKS)).await;
    check::<Ipv6Cidr>(&mut db, CIDR, &parsed(&V6_NETWORKS)).await;
    refuses_to_read::<Ipv4Cidr>(&mut db, "cidr", &[("::/64", "::/64 is not of IPv4")]).await;
    refuses_to_read::<Ipv6Cidr>(
        &mut db,
        "cidr",
        &[("10.0.0.0/8", "10.0.0.0/8 is not of IPv6")],
    )
    .await;
    // An inet may have bits behind its prefix, so that it isn't one, but it can be compared.
    refuses_to_read::<IpCidr>(&mut db, "inet", &[("10.0.0.0/8", "the types don't match")]).await;
    let network: IpCidr = "10.0.0.0/8".parse().unwrap();
    let is_within: bool = db
        .fetch_one("select inet '10.1.2.3' << $1", (network,))
        .await
        .unwrap();
    assert!(is_within);
}

#[tokio::test]
async fn r57_hardware_addresses_are_exact() {
    let mut db = connect().await;
    let cases: Vec<(&str, MacAddress)> = parsed(&[
        "00:00:00:00:00:00",
        "08:00:2b:01:02:03",
        "ff:ff:ff:ff:ff:ff",
    ]);
    check(&mut db, on("macaddr", "macaddr_send"), &cases).await;
    refuses_to_read::<MacAddress>(
        &mut db,
        "macaddr8",
        &[("08:00:2b:01:02:03:04:05", "the types don't match")],
    )
    .await;
}
