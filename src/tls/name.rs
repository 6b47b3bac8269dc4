//! Whether a certificate is for a host (manual, "Client Verification of Server
//! Certificates"; libpq's `fe-secure-common.c` and `fe-secure-openssl.c`).
//!
//! `webpki` knows no common names, which most certificates made for PostgreSQL by hand
//! consist of.

use std::net::IpAddr;

use tokio_rustls::rustls::pki_types::ServerName;

use super::certificate::{AlternativeName, Certificate};

/// What was looked at, when nothing matched: for the error.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    pub(super) presented: Vec<String>,
}

/// Whether `certificate` is for `host`.
///
/// The common name counts where the certificate has no alternative name of the host's kind:
/// no DNS name for a DNS name, no address for an address. It doesn't if `constrained`: an
/// authority above may only issue certain names, and those rules reach alternative names
/// alone.
pub(super) fn verify(
    certificate: &Certificate<'_>,
    host: &ServerName<'_>,
    constrained: bool,
) -> Result<(), Mismatch> {
    let Some(names) = certificate.alternative_names() else {
        return Err(Mismatch {
            presented: Vec::new(),
        });
    };
    let common_name = certificate
        .common_name()
        .filter(|_| !constrained && !names.iter().any(|name| is_same_kind(name, host)));
    let found = match host {
        ServerName::DnsName(host) => {
            let host = host.as_ref().as_bytes();
            names.iter().any(|name| match name {
                AlternativeName::Dns(name) => matches_dns_name(name, host),
                _ => false,
            }) || common_name.is_some_and(|name| matches_dns_name(name, host))
        }
        ServerName::IpAddress(host) => {
            let host = IpAddr::from(*host);
            names.iter().any(|name| match name {
                AlternativeName::Address(address) => parse_address(address) == Some(host),
                AlternativeName::Dns(name) => is_text_of(name, host),
                AlternativeName::Other => false,
            }) || common_name.is_some_and(|name| is_text_of(name, host))
        }
        _ => false,
    };
    if found {
        return Ok(());
    }
    let presented = names
        .iter()
        .filter_map(|name| match name {
            AlternativeName::Dns(name) => Some(String::from_utf8_lossy(name).into_owned()),
            AlternativeName::Address(address) => Some(parse_address(address)?.to_string()),
            AlternativeName::Other => None,
        })
        .chain(common_name.map(|name| String::from_utf8_lossy(name).into_owned()))
        .collect();
    Err(Mismatch { presented })
}

fn is_same_kind(name: &AlternativeName<'_>, host: &ServerName<'_>) -> bool {
    matches!(
        (name, host),
        (AlternativeName::Dns(_), ServerName::DnsName(_))
            | (AlternativeName::Address(_), ServerName::IpAddress(_))
    )
}

/// An asterisk as the first label stands for one label, whatever it is.
fn matches_dns_name(pattern: &[u8], host: &[u8]) -> bool {
    if pattern.eq_ignore_ascii_case(host) {
        return true;
    }
    let Some(suffix) = pattern.strip_prefix(b"*") else {
        return false;
    };
    let Some(dot) = host.iter().position(|&byte| byte == b'.') else {
        return false;
    };
    suffix.len() > 1 && dot > 0 && suffix.eq_ignore_ascii_case(&host[dot..])
}

fn parse_address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

fn is_text_of(name: &[u8], address: IpAddr) -> bool {
    std::str::from_utf8(name).is_ok_and(|name| name.parse() == Ok(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::fixtures;

    #[track_caller]
    fn check(names: &[&str], common_name: Option<&str>, hosts: &[(&str, bool)]) {
        let bytes = fixtures::certificate(names, common_name);
        let certificate = Certificate::parse(&bytes).unwrap();
        for (host, expected) in hosts {
            let host = ServerName::try_from(*host).unwrap();
            let found = verify(&certificate, &host, false).is_ok();
            assert_eq!(found, *expected, "{names:?} {common_name:?} {host:?}");
        }
    }

    #[test]
    fn s19_dns_names() {
        check(
            &["db.example.com", "OTHER.example.org"],
            None,
            &[
                ("db.example.com", true),
                ("DB.Example.COM", true),
                ("other.example.org", true),
                ("example.com", false),
                ("adb.example.com", false),
                ("db.example.com.evil.org", false),
                ("db.example.co", false),
                ("192.0.2.7", false),
            ],
        );
    }

    #[test]
    fn s19_wildcards_stand_for_one_label() {
        check(
            &["*.example.com"],
            None,
            &[
                ("db.example.com", true),
                ("DB.EXAMPLE.com", true),
                ("example.com", false),
                ("a.b.example.com", false),
                ("dbexample.com", false),
            ],
        );
        check(
            &["*"],
            None,
            &[("localhost", false), ("db.example.com", false)],
        );
        check(
            &["d*.example.com", "db.*.com"],
            None,
            &[("db.example.com", false)],
        );
        check(&["*.0.2.7"], None, &[("192.0.2.7", false)]);
    }

    #[test]
    fn s19_addresses() {
        check(
            &["192.0.2.7", "2001:db8::7", "db.example.com"],
            None,
            &[
                ("192.0.2.7", true),
                ("2001:db8::7", true),
                ("2001:0DB8:0::7", true),
                ("192.0.2.8", false),
                ("::ffff:192.0.2.7", false),
                ("db.example.com", true),
            ],
        );
    }

    #[test]
    fn s19_common_names_count_without_alternative_names_of_the_kind() {
        check(
            &[],
            Some("db.example.com"),
            &[("db.example.com", true), ("x.example.com", false)],
        );
        check(&[], Some("*.example.com"), &[("db.example.com", true)]);
        check(
            &[],
            Some("192.0.2.7"),
            &[("192.0.2.7", true), ("192.0.2.8", false)],
        );
        check(
            &["a.example.com"],
            Some("b.example.com"),
            &[("b.example.com", false)],
        );
        check(&["192.0.2.7"], Some("192.0.2.8"), &[("192.0.2.8", false)]);
        check(
            &["192.0.2.7"],
            Some("db.example.com"),
            &[("db.example.com", true)],
        );
        check(
            &["db.example.com"],
            Some("192.0.2.7"),
            &[("192.0.2.7", true)],
        );
        check(&[], None, &[("db.example.com", false)]);
        check(
            &[],
            Some("db.example.com\0.evil.org"),
            &[("db.example.com", false)],
        );
    }

    #[test]
    fn common_names_do_not_count_under_constraints() {
        let bytes = fixtures::certificate(&[], Some("db.example.com"));
        let certificate = Certificate::parse(&bytes).unwrap();
        let host = ServerName::try_from("db.example.com").unwrap();
        assert_eq!(verify(&certificate, &host, false), Ok(()));
        assert!(verify(&certificate, &host, true).is_err());
    }

    #[test]
    fn malformed_alternative_names_match_nothing() {
        let mut bytes = fixtures::certificate(&["a.example.com"], Some("db"));
        let at = bytes.windows(13).position(|name| name == b"a.example.com");
        bytes[at.unwrap() - 1] += 1;
        let certificate = Certificate::parse(&bytes).unwrap();
        for host in ["db", "a.example.com"] {
            let host = ServerName::try_from(host).unwrap();
            assert!(verify(&certificate, &host, false).is_err());
        }
    }

    #[test]
    fn a_mismatch_tells_what_the_certificate_is_for() {
        let bytes = fixtures::certificate(&["a.example.com", "192.0.2.7"], Some("b"));
        let certificate = Certificate::parse(&bytes).unwrap();
        let host = ServerName::try_from("db").unwrap();
        let mismatch = verify(&certificate, &host, false).unwrap_err();
        assert_eq!(mismatch.presented, ["a.example.com", "192.0.2.7"]);
    }
}
