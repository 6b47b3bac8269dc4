//! Which certificates are accepted.

use super::*;

/// What each of libpq's three modes says to one certificate: part of the error, or nothing.
struct Case {
    what: &'static str,
    identity: Identity,
    host: &'static str,
    roots: String,
    authority: Option<&'static str>,
    full: Option<&'static str>,
}

fn cases() -> Vec<Case> {
    let good = fixtures::authority("Good");
    let other = fixtures::authority("Other");
    let host = "db.example.com";
    let issued = |what, parameters: &CertificateParams, authority, full| Case {
        what,
        identity: Identity::new(parameters, Some(&good)),
        host,
        roots: good.pem(),
        authority,
        full,
    };
    let with = |change: fn(&mut CertificateParams)| {
        let mut parameters = parameters(&["db.example.com"]);
        change(&mut parameters);
        parameters
    };
    let self_signed = Identity::new(&parameters(&[host]), None);
    let intermediate = intermediate(&good, None);
    let chained = Identity::new(&parameters(&[host]), Some(&intermediate));
    let wrong = Some(r#"is for ["other.example.com"], not for "db.example.com""#);
    let expired = Some("has expired");
    let unknown = Some("not signed by an authority that is trusted here");
    vec![
        issued("good", &parameters(&[host]), None, None),
        issued(
            "wrong host",
            &parameters(&["other.example.com"]),
            None,
            wrong,
        ),
        issued(
            "expired",
            &with(|p| p.not_after = date_time_ymd(2020, 1, 1)),
            expired,
            expired,
        ),
        issued(
            "not valid yet",
            &with(|p| p.not_before = date_time_ymd(2999, 1, 1)),
            Some("is not valid yet"),
            Some("is not valid yet"),
        ),
        issued(
            "for clients only",
            &with(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
            Some("is refused"),
            Some("is refused"),
        ),
        issued("wildcard", &parameters(&["*.example.com"]), None, None),
        issued(
            "common name",
            &fixtures::parameters(&[], Some(host)),
            None,
            None,
        ),
        issued("no name", &parameters(&[]), None, Some("is for no host")),
        Case {
            host: "192.0.2.7",
            ..issued("address", &parameters(&["192.0.2.7"]), None, None)
        },
        Case {
            host: "192.0.2.8",
            ..issued(
                "other address",
                &parameters(&["192.0.2.7"]),
                None,
                Some(r#"is for ["192.0.2.7"], not for "192.0.2.8""#),
            )
        },
        Case {
            what: "self-signed",
            identity: self_signed.clone(),
            host,
            roots: good.pem(),
            authority: unknown,
            full: unknown,
        },
        Case {
            what: "self-signed and trusted",
            roots: good.pem() + &self_signed.pem,
            identity: self_signed,
            host,
            authority: None,
            full: None,
        },
        Case {
            what: "of another authority",
            identity: Identity::new(&parameters(&[host]), Some(&other)),
            host,
            roots: good.pem(),
            authority: unknown,
            full: unknown,
        },
        Case {
            what: "chained",
            identity: chained.clone().with_chain(&intermediate),
            host,
            roots: good.pem(),
            authority: None,
            full: None,
        },
        Case {
            what: "chained, but the chain is missing",
            identity: chained,
            host,
            roots: good.pem(),
            authority: unknown,
            full: unknown,
        },
        self_signed_authority(host),
        Case {
            what: "not the trusted self-signed one",
            identity: Identity::new(&with(|p| p.is_ca = IsCa::ExplicitNoCa), None),
            roots: Identity::new(&parameters(&[host]), None).pem,
            host,
            authority: unknown,
            full: unknown,
        },
    ]
}

fn intermediate(
    root: &CertifiedIssuer<'static, KeyPair>,
    name_constraints: Option<NameConstraints>,
) -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = fixtures::parameters(&[], Some("Intermediate"));
    parameters.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    parameters.name_constraints = name_constraints;
    CertifiedIssuer::signed_by(parameters, KeyPair::generate().unwrap(), root).unwrap()
}

/// What `openssl req -x509` makes, and the manual recommends: an authority's certificate,
/// with a common name only, used by the server itself.
fn self_signed_authority(host: &'static str) -> Case {
    let identity = Identity::of_authority(&fixtures::authority(host));
    Case {
        what: "self-signed authority, trusted",
        roots: identity.pem.clone(),
        identity,
        host,
        authority: None,
        full: None,
    }
}

#[tokio::test]
async fn s19_each_mode_accepts_what_libpqs_does() {
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        for case in cases() {
            let modes = [
                (Verification::None, None),
                (
                    Verification::Authority(trust(case.roots.clone())),
                    case.authority,
                ),
                (Verification::Full(trust(case.roots.clone())), case.full),
            ];
            for (verification, expected) in modes {
                let options = options(verification);
                let server = case.identity.server_with(&[version], None);
                let result = connect(server, &options, case.host).await;
                let context = format!("{} {version:?} {options:?}", case.what);
                match (result, expected) {
                    (Ok(stream), None) => {
                        assert!(stream.is_tls());
                        assert!(stream.tls_end_point().is_some(), "{context}");
                    }
                    (Err(error), Some(expected)) => {
                        assert_eq!(error.kind(), ErrorKind::Tls, "{context}");
                        let text = error.to_string();
                        assert!(text.contains(expected), "{context}: {text}");
                    }
                    (result, expected) => panic!("{context}: {result:?}, not {expected:?}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn s19_names_that_no_certificate_can_be_for() {
    let authority = fixtures::authority("Good");
    let identity = Identity::new(&parameters(&["*.example.com"]), Some(&authority));
    for host in [
        "",
        "*.example.com",
        "my host",
        "a..b",
        "fe80::1%eth0",
        "b\0.example.com",
    ] {
        let full = options(Verification::Full(trust(authority.pem())));
        // The client doesn't even begin.
        let (client, _server) = UnixStream::pair().unwrap();
        let connector = Connector::new(&full).unwrap();
        let result =
            bounded(Stream::from(client).encrypt(&connector, host, TlsStart::Requested)).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Tls, "{host:?}");
        let authority = options(Verification::Authority(trust(authority.pem())));
        let result = connect(identity.server(), &authority, host).await;
        assert!(result.is_ok(), "{host:?}");
    }
}

/// Also where the certificate isn't looked at: it is what SCRAM binds its proof to.
#[tokio::test]
async fn the_handshake_must_be_signed_by_the_key_of_the_certificate() {
    let identity = Identity::new(&parameters(&["localhost"]), None);
    let others = fixtures::certificate(&["localhost"], None);
    let impostor = identity.clone().with_certificate(others.clone());
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let none = TlsOptions::default();
        assert!(
            connect(identity.careless_server(version), &none, "localhost")
                .await
                .is_ok()
        );
        for verification in [
            Verification::None,
            Verification::Authority(trust(fixtures::pem(&others))),
            Verification::Full(trust(fixtures::pem(&others))),
        ] {
            let server = impostor.careless_server(version);
            let result = connect(server, &options(verification), "localhost").await;
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Tls, "{version:?}");
        }
    }
}

#[tokio::test]
async fn certificates_of_version_1_are_trusted_as_they_are_or_from_their_authority() {
    let good = fixtures::authority("Good");
    let namesake = fixtures::authority("Good");
    let other = fixtures::authority("Other");
    let constrained = fixtures::authority_with("Constrained", |parameters| {
        parameters.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("example.com".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    });
    let server = fixtures::authority_with("Server", |parameters| parameters.is_ca = IsCa::NoCa);
    let mut parameters = fixtures::parameters(&[], Some("localhost"));
    let make = |parameters: &CertificateParams, authority: &CertifiedIssuer<'static, KeyPair>| {
        let key = KeyPair::generate().unwrap();
        let version_3 = parameters.signed_by(&key, authority).unwrap();
        let certificate = fixtures::signed_anew(&fixtures::version_1(version_3.der()), authority);
        let pem = fixtures::pem(&certificate);
        let identity = Identity::of_key(parameters, None, key).with_certificate(certificate);
        (identity, pem)
    };
    let (identity, pem) = make(&parameters, &good);
    let (of_constrained, _) = make(&parameters, &constrained);
    let (of_server, _) = make(&parameters, &server);
    let list = fixtures::revocation_list(&good, &[], 2999);
    parameters.not_after = date_time_ymd(2020, 1, 1);
    let (expired, _) = make(&parameters, &good);
    let with_list = Trust {
        revocation_lists: list.into_bytes(),
        ..trust(good.pem())
    };
    for (identity, verification, host, expected) in [
        (&identity, Verification::None, "localhost", None),
        (&identity, Verification::Full(trust(pem)), "localhost", None),
        (
            &identity,
            Verification::Full(trust(good.pem())),
            "localhost",
            None,
        ),
        (
            &identity,
            Verification::Full(trust(good.pem())),
            "db",
            Some("is for"),
        ),
        (
            &identity,
            Verification::Authority(trust(good.pem())),
            "db",
            None,
        ),
        (
            &identity,
            Verification::Authority(trust(other.pem())),
            "db",
            Some("version 1"),
        ),
        (
            &identity,
            Verification::Authority(trust(namesake.pem())),
            "db",
            Some("version 1"),
        ),
        (
            &identity,
            Verification::Authority(with_list),
            "db",
            Some("version 1"),
        ),
        (
            &of_constrained,
            Verification::Full(trust(constrained.pem())),
            "localhost",
            Some("is for no host"),
        ),
        (
            &of_server,
            Verification::Authority(trust(server.pem())),
            "localhost",
            Some("version 1"),
        ),
        (
            &expired,
            Verification::Authority(trust(good.pem())),
            "db",
            Some("has expired"),
        ),
    ] {
        for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
            let server = identity.careless_server(version);
            let options = options(verification.clone());
            let result = connect(server, &options, host).await;
            match expected {
                None => assert!(result.is_ok(), "{result:?}"),
                Some(expected) => {
                    let text = result.unwrap_err().to_string();
                    assert!(text.contains(expected), "{text}");
                }
            }
        }
    }
}

/// That a server's certificate is trusted doesn't make the server an authority.
#[tokio::test]
async fn a_trusted_server_can_not_vouch_for_others() {
    let trusted = fixtures::authority_with("db", |parameters| parameters.is_ca = IsCa::NoCa);
    let roots = trust(trusted.pem());
    let own = Identity::of_authority(&trusted);
    let full = options(Verification::Full(roots));
    assert!(connect(own.server(), &full, "db").await.is_ok());
    let others = Identity::new(&parameters(&["other"]), Some(&trusted));
    let error = connect(others.server(), &full, "other").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
}

#[tokio::test]
async fn constraints_of_an_authority_are_not_evaded_by_a_common_name() {
    let constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("example.com".to_owned())],
        excluded_subtrees: Vec::new(),
    });
    let root = fixtures::authority("Root");
    let intermediate = intermediate(&root, constraints.clone());
    let constrained_root = fixtures::authority_with("Constrained", |parameters| {
        parameters.name_constraints = constraints;
    });
    for (authority, root) in [
        (&constrained_root, &constrained_root),
        (&intermediate, &root),
    ] {
        let full = options(Verification::Full(trust(root.pem())));
        let check = async |parameters, host| {
            let identity = Identity::new(&parameters, Some(authority)).with_chain(authority);
            connect(identity.server(), &full, host).await.is_ok()
        };
        assert!(check(parameters(&["db.example.com"]), "db.example.com").await);
        assert!(!check(parameters(&["db.example.org"]), "db.example.org").await);
        let common_name = |name| fixtures::parameters(&[], Some(name));
        assert!(!check(common_name("db.example.org"), "db.example.org").await);
    }
}

#[tokio::test]
async fn revocation_lists_are_heeded() {
    let authority = fixtures::authority("Good");
    let other = fixtures::authority("Other");
    let issued = Identity::new(&parameters(&["localhost"]), Some(&authority));
    let own_authority = fixtures::authority("localhost");
    let own = Identity::of_authority(&own_authority);
    let own_list = |serials: &[u64]| fixtures::revocation_list(&own_authority, serials, 2999);
    let list = |serials: &[u64], until| fixtures::revocation_list(&authority, serials, until);
    let others = fixtures::revocation_list(&other, &[], 2999);
    let cases = [
        (&issued, list(&[1, 2], 2999), None),
        (&issued, others.clone() + &list(&[], 2999), None),
        (&issued, list(&[fixtures::SERIAL], 2999), Some("is revoked")),
        (
            &issued,
            others.clone(),
            Some("without a certificate revocation list"),
        ),
        (&issued, list(&[], 2021), Some("is refused")),
        // Nobody but the server says anything about its own certificate.
        (&own, own_list(&[]), Some("is an authority's")),
        (&own, others, Some("is an authority's")),
    ];
    for (identity, revocation_lists, expected) in cases {
        let trust = Trust {
            revocation_lists: revocation_lists.into_bytes(),
            ..trust(authority.pem() + &own.pem)
        };
        for verification in [
            Verification::Authority(trust.clone()),
            Verification::Full(trust),
        ] {
            let result = connect(identity.server(), &options(verification), "localhost").await;
            match expected {
                None => assert!(result.is_ok(), "{result:?}"),
                Some(expected) => {
                    let text = result.unwrap_err().to_string();
                    assert!(text.contains(expected), "{text}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_trusted_certificate_of_the_servers_own_must_be_valid() {
    let mut parameters = parameters(&["localhost"]);
    let pinned = |parameters: &CertificateParams| {
        let identity = Identity::new(parameters, None);
        let options = options(Verification::Authority(trust(identity.pem.clone())));
        async move { connect(identity.server(), &options, "localhost").await }
    };
    assert!(pinned(&parameters).await.is_ok());
    parameters.not_after = date_time_ymd(2020, 1, 1);
    let text = pinned(&parameters).await.unwrap_err().to_string();
    assert!(text.contains("has expired"), "{text}");
    parameters.not_before = date_time_ymd(2998, 1, 1);
    parameters.not_after = date_time_ymd(2999, 1, 1);
    let text = pinned(&parameters).await.unwrap_err().to_string();
    assert!(text.contains("is not valid yet"), "{text}");
}

#[tokio::test]
async fn s14_a_certificate_without_a_hash_gives_nothing_to_bind_to() {
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let identity = Identity::of_key(&parameters(&["localhost"]), None, key);
    let (stream, _) = pair(identity.server(), &TlsOptions::default()).await;
    assert!(stream.is_tls());
    assert_eq!(stream.tls_end_point(), None);
}
