//! What of TLS can be chosen: whom to trust, versions, names in the clear, and what the client
//! shows of itself.

use std::path::Path;
use std::process::Command;

use kornak::config::{SslCertMode, TlsVersion};

use super::*;

/// What the server says of the connection's TLS.
async fn tls_of(connection: &mut Connection) -> (Option<String>, Option<String>) {
    let sql = "select version, client_dn from pg_stat_ssl where pid = pg_backend_pid()";
    connection.fetch_one(sql, ()).await.expect("it answers")
}

/// Whether it connects; if not, TLS is the reason.
async fn is_in(config: Config, what: &str) -> bool {
    match connect(config).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Tls, "{what}: {error}");
            false
        }
    }
}

#[tokio::test]
async fn a_revoked_certificate_is_refused() {
    let authority = Authority::new();
    let server = authority.cluster(major(), Flaw::None);
    for is_revoked in [false, true] {
        let list = authority.revocation_list(is_revoked);
        let directory = list.parent().expect("a directory");
        for mode in [SslMode::VerifyCa, SslMode::VerifyFull] {
            let config = config(server.port())
                .sslmode(mode)
                .sslrootcert(authority.root_file());
            let what = format!("{mode}, revoked: {is_revoked}");
            let by_file = config.clone().sslcrl(&*list);
            assert_eq!(is_in(by_file, &what).await, !is_revoked, "{what}");
            let by_directory = config.clone().sslcrldir(directory);
            assert_eq!(is_in(by_directory, &what).await, !is_revoked, "{what}");
            assert!(is_in(config, &what).await, "{what}, and nobody looks");
        }
    }
}

#[tokio::test]
async fn versions_are_those_that_are_allowed() {
    use TlsVersion::{Tls12, Tls13};

    let authority = Authority::new();
    let old = ["ssl_max_protocol_version = 'TLSv1.2'"];
    for (settings, newest) in [(&[][..], Tls13), (&old[..], Tls12)] {
        let server = authority.cluster_with(major(), Flaw::None, settings);
        for (min, max) in [(Tls12, Tls12), (Tls12, Tls13), (Tls13, Tls13)] {
            let config = config(server.port())
                .sslmode(SslMode::Require)
                .ssl_min_protocol_version(min)
                .ssl_max_protocol_version(max);
            let what = format!("{min} to {max}, {newest}");
            match connect(config).await {
                Ok(mut connection) => {
                    let (version, _) = tls_of(&mut connection).await;
                    let expected = max.min(newest).to_string();
                    assert_eq!(version, Some(expected), "{what}");
                }
                Err(error) => {
                    assert!(min > newest, "{what}: {error}");
                    assert_eq!(error.kind(), ErrorKind::Tls, "{what}: {error}");
                }
            }
        }
    }
}

/// Only names go out in the clear (RFC 6066, section 3), and only where that is wanted.
#[tokio::test]
async fn names_are_told_where_that_is_wanted() {
    let authority = Authority::new();
    let server = authority.cluster(major(), Flaw::None);
    let upstream = Address::Tcp(([127, 0, 0, 1], server.port()).into());
    for (host, is_wanted, is_told) in [
        ("db.kornak.test", true, true),
        ("db.kornak.test", false, false),
        ("127.0.0.1", true, false),
    ] {
        let proxy = Proxy::recording(proxy::Listen::Tcp, upstream.clone());
        let config = config(proxy.address().port())
            .host(host)
            .hostaddr(std::net::Ipv4Addr::LOCALHOST)
            .sslmode(SslMode::VerifyFull)
            .sslrootcert(authority.root_file())
            .sslsni(is_wanted);
        connect(config).await.expect("the certificate is for both");
        let sent = proxy.session(0).await.recorded();
        let sent = sent.into_iter().flat_map(|passed| passed.bytes);
        let sent: Vec<u8> = sent.take(2000).collect();
        let found = sent.windows(host.len()).any(|part| part == host.as_bytes());
        assert_eq!(found, is_told, "{host} {is_wanted}");
    }
}

/// The roots of the system are those of OpenSSL, which its variables can change. A process of
/// its own has other variables.
#[tokio::test]
async fn the_system_s_roots_count_where_they_are_asked_for() {
    const CHILD: &str = "KORNAK_TEST_SYSTEM_ROOTS";

    let system = |port| config(port).sslrootcert("system");
    if let Ok(task) = std::env::var(CHILD) {
        let (port, expected) = task.split_once(' ').expect("a task");
        let config = system(port.parse().expect("a port"));
        let found = is_in(config, "the system's roots").await;
        assert_eq!(found.to_string(), expected);
        return;
    }
    let authority = Authority::new();
    let stranger = Authority::new();
    for (flaw, trusted, expected) in [
        (Flaw::None, &authority, true),
        (Flaw::None, &stranger, false),
        // It comes to verify-full.
        (Flaw::OtherHost, &authority, false),
    ] {
        let server = authority.cluster(major(), flaw);
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args([
                "--exact",
                "options::the_system_s_roots_count_where_they_are_asked_for",
            ])
            .env(CHILD, format!("{} {expected}", server.port()))
            .env("SSL_CERT_FILE", trusted.root_file())
            .env("SSL_CERT_DIR", "/nowhere")
            .output()
            .expect("it runs");
        let text = String::from_utf8_lossy(&child.stdout);
        assert!(
            child.status.success() && text.contains("1 passed"),
            "{flaw:?}: {text}"
        );
    }
}

/// The server takes the certificate of the client for its password, or in addition to it.
#[tokio::test]
async fn a_client_shows_its_certificate() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let rules = authority.file(
        "hba",
        "local all all trust\n\
         hostssl all kornak_trust 127.0.0.1/32 cert\n\
         hostssl all kornak_scram 127.0.0.1/32 scram-sha-256 clientcert=verify-full\n\
         hostssl all all 127.0.0.1/32 scram-sha-256\n",
    );
    let rules = format!("hba_file = '{}'", rules.display());
    let server = authority.cluster_with(major(), Flaw::None, &[&*rules]);
    let base = |user: &str| {
        config(server.port())
            .user(user)
            .sslmode(SslMode::VerifyFull)
            .sslrootcert(authority.root_file())
    };
    let with = |user: &str, authority: &Authority, name: &str| {
        let (certificate, key): (_, std::path::PathBuf) = authority.client(name);
        base(user).sslcert(certificate).sslkey(key)
    };
    let refused = [
        Some(SqlState::INVALID_AUTHORIZATION_SPECIFICATION),
        // After SCRAM the server says only this of a certificate for somebody else.
        Some(SqlState::INVALID_PASSWORD),
    ];
    for user in ["kornak_trust", "kornak_scram"] {
        let mut connection = connect(with(user, &authority, user)).await.expect(user);
        let (_, name) = tls_of(&mut connection).await;
        assert!(name.is_some_and(|name| name.contains(user)), "{user}");

        // Somebody else's, none at all, one that may not be shown, and a stranger's.
        for config in [
            with(user, &authority, "somebody"),
            base(user),
            with(user, &authority, user).sslcertmode(SslCertMode::Disable),
        ] {
            let error = connect(config).await.expect_err(user);
            assert!(refused.contains(&error.sqlstate()), "{user}: {error}");
        }
        let error = connect(with(user, &stranger, user)).await.expect_err(user);
        assert_eq!(error.kind(), ErrorKind::Tls, "{user}: {error}");
    }
    // The one is of no use without the password.
    let config = with("kornak_scram", &authority, "kornak_scram").password("wrong");
    let error = connect(config).await.expect_err("a wrong password");
    assert_eq!(
        error.sqlstate(),
        Some(SqlState::INVALID_PASSWORD),
        "{error}"
    );
    // Whoever isn't asked for a certificate may show one.
    let config = with("kornak", &authority, "kornak");
    let mut connection = connect(config).await.expect("it is let in");
    let (_, name) = tls_of(&mut connection).await;
    assert!(name.is_some_and(|name| name.contains("kornak")));

    let missing = base("kornak")
        .sslcert(Path::new("/nowhere/client.crt"))
        .sslkey(Path::new("/nowhere/client.key"));
    let error = connect(missing).await.expect_err("there is no such file");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
}
