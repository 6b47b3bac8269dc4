//! How TLS begins.

use super::*;

#[tokio::test]
async fn versions_are_limited_as_asked() {
    use TlsVersion::{Tls12, Tls13};
    let identity = Identity::new(&parameters(&["localhost"]), None);
    for (server, min_version, max_version, expected) in [
        (
            &[Tls12, Tls13][..],
            Tls12,
            Tls13,
            Some(ProtocolVersion::TLSv1_3),
        ),
        (
            &[Tls12, Tls13],
            Tls12,
            Tls12,
            Some(ProtocolVersion::TLSv1_2),
        ),
        (&[Tls12], Tls12, Tls13, Some(ProtocolVersion::TLSv1_2)),
        (&[Tls12], Tls13, Tls13, None),
        (&[Tls13], Tls12, Tls12, None),
    ] {
        let options = TlsOptions {
            min_version,
            max_version,
            ..TlsOptions::default()
        };
        let server = identity.server_with(server, None);
        let (client, server) =
            shake_hands(server, &options, "localhost", TlsStart::Requested).await;
        match (client, expected) {
            (Ok(stream), Some(expected)) => {
                assert!(stream.is_tls());
                let found = server.unwrap().get_ref().1.protocol_version();
                assert_eq!(found, Some(expected));
            }
            (Err(error), None) => assert_eq!(error.kind(), ErrorKind::Tls),
            (result, expected) => panic!("{result:?}, not {expected:?}"),
        }
    }
}

#[tokio::test]
async fn direct_tls_needs_the_servers_agreement() {
    let identity = Identity::new(&parameters(&["localhost"]), None);
    let postgresql = &b"postgresql"[..];
    for (protocols, start, expected) in [
        (&[postgresql][..], TlsStart::Direct, true),
        (&[postgresql], TlsStart::Requested, true),
        (&[b"h2", postgresql], TlsStart::Direct, true),
        (&[], TlsStart::Requested, true),
        (&[], TlsStart::Direct, false),
        (&[b"h2"], TlsStart::Direct, false),
        (&[b"h2"], TlsStart::Requested, false),
    ] {
        let mut server = identity.server();
        server.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let (result, _) = shake_hands(server, &TlsOptions::default(), "localhost", start).await;
        match result {
            Ok(_) => assert!(expected, "{protocols:?} {start:?}"),
            Err(error) => {
                assert_eq!((error.kind(), expected), (ErrorKind::Tls, false));
            }
        }
    }
}

#[tokio::test]
async fn the_hosts_name_is_sent_if_it_is_wanted_and_a_name() {
    let identity = Identity::new(&parameters(&["localhost"]), None);
    for (server_name_indication, host, expected) in [
        (true, "db.example.com", Some("db.example.com")),
        (false, "db.example.com", None),
        (true, "192.0.2.7", None),
        (true, "no name", None),
    ] {
        let options = TlsOptions {
            server_name_indication,
            ..TlsOptions::default()
        };
        let (_, server) = shake_hands(identity.server(), &options, host, TlsStart::Requested).await;
        assert_eq!(
            server.unwrap().get_ref().1.server_name(),
            expected,
            "{host}"
        );
    }
}

#[tokio::test]
async fn client_certificates_prove_the_client() {
    let authority = fixtures::authority("Clients");
    let server = Identity::new(&parameters(&["localhost"]), None);
    let with = |identity: Option<Identity>| TlsOptions {
        identity: identity.map(|identity| TlsIdentity {
            certificates: identity.pem.into_bytes(),
            key: identity.key_pem.into_bytes(),
        }),
        ..TlsOptions::default()
    };
    let client = |authority| {
        let mut parameters = fixtures::parameters(&[], Some("app"));
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Identity::new(&parameters, authority)
    };
    let stranger = fixtures::authority("Strangers");
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        for (options, expected) in [
            (with(Some(client(Some(&authority)))), None),
            (with(None), Some("the server demands a client certificate")),
            (
                with(Some(client(Some(&stranger)))),
                Some("the server refused the client certificate"),
            ),
        ] {
            let server = server.server_with(&[version], Some(&authority));
            let (client, server) =
                shake_hands(server, &options, "localhost", TlsStart::Requested).await;
            if let Ok(mut server) = server {
                assert!(server.get_ref().1.peer_certificates().is_some());
                server.write_all(b"welcome").await.unwrap();
                server.flush().await.unwrap();
            }
            // In TLS 1.3 the client learns of the refusal with the first read.
            let result = match client {
                Ok(mut stream) => bounded(read(&mut stream))
                    .await
                    .map_err(|error| stream.connect_error("lost", error)),
                Err(error) => Err(error),
            };
            match (result, expected) {
                (Ok(bytes), None) => assert_eq!(bytes, &b"welcome"[..]),
                (Err(error), Some(expected)) => {
                    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
                    assert!(error.to_string().contains(expected), "{version:?}: {error}");
                }
                (result, expected) => panic!("{version:?}: {result:?}, not {expected:?}"),
            }
        }
    }
}

#[test]
fn options_that_can_not_work_are_refused_early() {
    let good = Identity::new(&parameters(&["localhost"]), None);
    let other = Identity::new(&parameters(&["localhost"]), None);
    let identity = |certificates: &str, key: &str| TlsOptions {
        identity: Some(TlsIdentity {
            certificates: certificates.into(),
            key: key.into(),
        }),
        ..TlsOptions::default()
    };
    let lists = |lists: &str| {
        options(Verification::Authority(Trust {
            revocation_lists: lists.into(),
            ..trust(good.pem.clone())
        }))
    };
    let begin = "-----BEGIN CERTIFICATE-----\n";
    let end = "-----END CERTIFICATE-----\n";
    for (options, expected) in [
        (
            options(Verification::Full(trust(""))),
            "no root certificate",
        ),
        (
            options(Verification::Full(trust("text"))),
            "no root certificate",
        ),
        (options(Verification::Full(trust(begin))), "not valid PEM"),
        (
            options(Verification::Full(trust(format!("{begin}?\n{end}")))),
            "not valid PEM",
        ),
        (lists("text"), "no certificate revocation list"),
        (
            lists("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"),
            "list is invalid",
        ),
        (identity("", &good.key_pem), "no client certificate"),
        (identity(begin, &good.key_pem), "not valid PEM"),
        (identity(&good.pem, ""), "private key is not valid PEM"),
        (
            identity(&good.pem, &good.pem),
            "private key is not valid PEM",
        ),
        (identity(&good.pem, &other.key_pem), "does not belong"),
        (
            identity(&good.pem, "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"),
            "is encrypted",
        ),
        (
            TlsOptions {
                min_version: TlsVersion::Tls13,
                max_version: TlsVersion::Tls12,
                ..TlsOptions::default()
            },
            "version",
        ),
    ] {
        let error = Connector::new(&options).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(
            error.to_string().contains(expected),
            "{error}, not {expected}"
        );
        let shown = format!("{options:?} {error:#} {error:?}");
        let secret = good.key_pem.lines().nth(1).unwrap();
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(Connector::new(&identity(&good.pem, &good.key_pem)).is_ok());
}

/// The server's answer, and what the client makes of it.
async fn ask(answer: &[u8], close: bool) -> (Result<TlsAnswer>, Option<UnixStream>, Stream) {
    let (client, mut server) = UnixStream::pair().unwrap();
    let mut client = Stream::from(client);
    // Sent before the client looks, so that all of it arrives at once.
    server.write_all(answer).await.unwrap();
    let mut server = Some(server);
    if close {
        server.as_mut().unwrap().shutdown().await.unwrap();
    }
    let result = bounded(request_tls(&mut client)).await;
    let mut request = [0; 8];
    bounded(server.as_mut().unwrap().read_exact(&mut request))
        .await
        .unwrap();
    assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47]);
    (result, server, client)
}

#[tokio::test]
async fn s16_plaintext_behind_the_answer_is_refused() {
    assert_eq!(ask(b"S", false).await.0.unwrap(), TlsAnswer::Willing);
    assert_eq!(ask(b"N", false).await.0.unwrap(), TlsAnswer::Unwilling);
    for answer in [
        &b"SZ"[..],
        b"SS",
        b"S\x16\x03\x03\0\x05",
        b"NR\0\0\0\x08\0\0\0\0",
        b"NN",
    ] {
        let error = ask(answer, false).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{answer:?}");
    }
    // What comes a moment later is taken for TLS, which it isn't.
    let (result, server, stream) = ask(b"S", false).await;
    assert_eq!(result.unwrap(), TlsAnswer::Willing);
    let mut server = server.unwrap();
    server
        .write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I")
        .await
        .unwrap();
    let connector = Connector::new(&TlsOptions::default()).unwrap();
    let connect = stream.encrypt(&connector, "localhost", TlsStart::Requested);
    assert_eq!(bounded(connect).await.unwrap_err().kind(), ErrorKind::Tls);
}

#[tokio::test]
async fn s17_an_error_before_tls_is_not_shown() {
    let answer = b"E\0\0\0\x20SFATAL\0C28000\0Mtype your password\0\0";
    let error = ask(answer, false).await.0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(!format!("{error:#} {error:?}").contains("your password"));
    assert!(error.as_server().is_none());
}

#[tokio::test]
async fn s19_other_answers_and_none_are_refused() {
    for answer in [
        &b"G"[..],
        b"\0",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"s",
        b"\x15\x03\x01\0\x02\x02\x46",
    ] {
        let error = ask(answer, false).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{answer:?}");
    }
    let error = ask(b"", true).await.0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
}
