//! TLS and what hangs on it, on real servers with certificates made here.

use kornak::config::{Config, Environment, SslMode};
use kornak::{Connection, ErrorKind, Pool, SqlState};
use support::address::Address;
use support::certificates::{Authority, Flaw};
use support::deadline::{GENEROUS, within};
use support::drops::DropAtEachPoll;
use support::proxy::{self, Proxy, Way};
use xtask::server::{MAJORS, PASSWORD, Server};

#[path = "../support/mod.rs"]
mod support;

mod negotiation;
mod options;

/// The major that the run is for.
fn major() -> u32 {
    let server = Server::cluster_for_tests();
    server.major().expect("it is a cluster")
}

/// A configuration for the server that asks for nothing about TLS yet.
fn config(port: u16) -> Config {
    Config::new()
        .host("localhost")
        .hostaddr(std::net::Ipv4Addr::LOCALHOST)
        .port(port)
        .user("kornak")
        .password(PASSWORD)
        .dbname("kornak")
        .environment(Environment::empty())
}

async fn connect(config: Config) -> kornak::Result<Connection> {
    within(GENEROUS, "connecting", Connection::connect(config)).await
}

/// Whether the server says that the session is encrypted.
async fn is_encrypted(connection: &mut Connection) -> bool {
    let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    connection.fetch_one(sql, ()).await.expect("it answers")
}

const MODES: [SslMode; 6] = [
    SslMode::Disable,
    SslMode::Allow,
    SslMode::Prefer,
    SslMode::Require,
    SslMode::VerifyCa,
    SslMode::VerifyFull,
];

/// What each mode of `MODES` comes to: `p`lain, `t`ls, or `-` for no connection.
async fn check_s19(port: u16, authority: &Authority, roots: bool, expected: &str, what: &str) {
    for (mode, expected) in MODES.into_iter().zip(expected.chars()) {
        let mut config = config(port).sslmode(mode);
        if roots || matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull) {
            config = config.sslrootcert(authority.root_file());
        }
        let what = format!("{what}, {mode}, roots: {roots}");
        match connect(config).await {
            Ok(mut connection) => {
                let found = if is_encrypted(&mut connection).await {
                    't'
                } else {
                    'p'
                };
                assert_eq!(found, expected, "{what}");
            }
            Err(error) => {
                assert_eq!('-', expected, "{what}: {error}");
                assert_eq!(error.kind(), ErrorKind::Tls, "{what}: {error}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s19_each_mode_with_each_server() {
    let authority = Authority::new();
    for major in MAJORS {
        let plain = Server::shared(major).expect("a server without TLS");
        check_s19(plain.port(), &authority, false, "ppp---", "no TLS").await;
        // With roots at hand, weak modes check the chain too (manual, "SSL Support"), and
        // prefer then goes on without TLS.
        for (flaw, without_roots, with_roots) in [
            (Flaw::None, "pptttt", "pptttt"),
            (Flaw::SelfSigned, "pptt--", "ppp---"),
            (Flaw::OtherHost, "ppttt-", "ppttt-"),
            (Flaw::Expired, "pptt--", "ppp---"),
        ] {
            let server = authority.cluster(major, flaw);
            let what = format!("{major} {flaw:?}");
            check_s19(server.port(), &authority, false, without_roots, &what).await;
            check_s19(server.port(), &authority, true, with_roots, &what).await;
        }
    }
}

#[tokio::test]
async fn s19_names_with_wildcards_and_addresses() {
    let authority = Authority::new();
    let server = authority.cluster(major(), Flaw::None);
    for (host, is_right) in [
        ("localhost", true),
        ("127.0.0.1", true),
        ("db.kornak.test", true),
        ("DB.kornak.test", true),
        ("a.b.kornak.test", false),
        ("kornak.test", false),
        ("127.0.0.2", false),
        ("elsewhere.test", false),
    ] {
        let config = config(server.port())
            .host(host)
            .hostaddr(std::net::Ipv4Addr::LOCALHOST)
            .sslmode(SslMode::VerifyFull)
            .sslrootcert(authority.root_file());
        let result = connect(config).await;
        assert_eq!(result.is_ok(), is_right, "{host}: {result:?}");
    }
}

#[tokio::test]
async fn s13_required_channel_binding_over_tls() {
    use kornak::config::ChannelBinding::{Disable, Prefer, Require};

    let authority = Authority::new();
    for major in MAJORS {
        let server = authority.cluster(major, Flaw::None);
        for (user, binding, is_in) in [
            ("kornak_scram", Require, true),
            ("kornak_scram", Prefer, true),
            ("kornak_scram", Disable, true),
            ("kornak_cleartext", Require, false),
            ("kornak_md5", Require, false),
            ("kornak_trust", Require, false),
            ("kornak_trust", Prefer, true),
        ] {
            let config = config(server.port())
                .user(user)
                .sslmode(SslMode::VerifyFull)
                .sslrootcert(authority.root_file())
                .channel_binding(binding);
            match connect(config).await {
                Ok(_) => assert!(is_in, "{major} {user} {binding}"),
                Err(error) => {
                    assert!(!is_in, "{major} {user} {binding}: {error}");
                    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
                }
            }
        }
        // Without TLS there is nothing to bind to.
        for mode in [SslMode::Disable, SslMode::Allow] {
            let config = config(server.port())
                .user("kornak_scram")
                .sslmode(mode)
                .channel_binding(Require);
            let error = connect(config).await.expect_err("nothing to bind to");
            assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
        }
    }
}

/// Both sides must hash the certificate by what has signed it (RFC 5929, section 4.1), or one
/// proof is wrong for the other; for Ed25519 nobody has said how.
#[tokio::test]
async fn s14_a_certificate_without_a_hash_fails_closed() {
    use kornak::config::ChannelBinding::{Prefer, Require};

    let authority = Authority::new();
    for (flaw, is_bindable) in [
        (Flaw::SelfSigned, true),
        (Flaw::Ecdsa384, true),
        (Flaw::Rsa256, true),
        (Flaw::Rsa384, true),
        (Flaw::Rsa512, true),
        (Flaw::Unbindable, false),
    ] {
        let server = authority.cluster(major(), flaw);
        for (binding, is_in) in [(Prefer, true), (Require, is_bindable)] {
            let config = config(server.port())
                .user("kornak_scram")
                .sslmode(SslMode::Require)
                .channel_binding(binding);
            match connect(config).await {
                Ok(_) => assert!(is_in, "{flaw:?} {binding}"),
                Err(error) => {
                    assert!(!is_in, "{flaw:?} {binding}: {error}");
                    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
                }
            }
        }
    }
}

#[tokio::test]
async fn s15_passwords_go_over_verified_tls_alone() {
    let authority = Authority::new();
    let server = authority.cluster(major(), Flaw::None);
    for user in ["kornak_cleartext", "kornak_md5"] {
        for (mode, is_in) in [
            (SslMode::Disable, false),
            (SslMode::Prefer, false),
            (SslMode::Require, false),
            (SslMode::VerifyCa, true),
            (SslMode::VerifyFull, true),
        ] {
            let mut config = config(server.port()).user(user).sslmode(mode);
            if is_in {
                config = config.sslrootcert(authority.root_file());
            }
            let result = connect(config.clone()).await;
            assert_eq!(result.is_ok(), is_in, "{user} {mode}: {result:?}");
            let allowed = config
                .allow_cleartext_password(true)
                .allow_md5_password(true);
            connect(allowed).await.expect("it is allowed by name");
        }
    }
}

/// TLS without asking first (`sslnegotiation=direct`), which PostgreSQL 17 and later take.
#[tokio::test]
async fn direct_tls_needs_a_server_that_knows_it() {
    use kornak::config::SslNegotiation;

    let authority = Authority::new();
    for (major, is_in) in [(15, false), (18, true)] {
        let server = authority.cluster(major, Flaw::None);
        let config = config(server.port())
            .sslmode(SslMode::VerifyFull)
            .sslrootcert(authority.root_file())
            .sslnegotiation(SslNegotiation::Direct);
        match connect(config).await {
            Ok(mut connection) => {
                assert!(is_in, "{major}");
                assert!(is_encrypted(&mut connection).await);
            }
            Err(error) => {
                assert!(!is_in, "{major}: {error}");
                assert!(
                    matches!(error.kind(), ErrorKind::Io | ErrorKind::Tls),
                    "{error}"
                );
            }
        }
    }
}

#[tokio::test]
async fn s20_the_next_host_is_under_the_same_policy() {
    let authority = Authority::new();
    let good = authority.cluster(major(), Flaw::None);
    let expired = authority.cluster(major(), Flaw::Expired);
    let plain = Server::shared(major()).expect("a server without TLS");
    let strict = |servers: &[&Server]| {
        config(0)
            .hosts(servers.iter().map(|_| "localhost"))
            .hostaddrs(servers.iter().map(|_| std::net::Ipv4Addr::LOCALHOST))
            .ports(servers.iter().map(|server| server.port()))
            .sslmode(SslMode::VerifyFull)
            .sslrootcert(authority.root_file())
    };
    let mut connection = connect(strict(&[&plain, &expired, &good]))
        .await
        .expect("the last");
    assert!(is_encrypted(&mut connection).await);
    let error = connect(strict(&[&plain, &expired]))
        .await
        .expect_err("neither");
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
}

#[tokio::test]
async fn s21_a_cancel_goes_over_tls() {
    let authority = Authority::new();
    for major in MAJORS {
        let server = authority.cluster(major, Flaw::None);
        for mode in [SslMode::Prefer, SslMode::VerifyFull] {
            let upstream = Address::Tcp(([127, 0, 0, 1], server.port()).into());
            let proxy = Proxy::recording(proxy::Listen::Tcp, upstream);
            let mut config = config(proxy.address().port()).sslmode(mode);
            if mode == SslMode::VerifyFull {
                config = config.sslrootcert(authority.root_file());
            }
            let mut connection = connect(config).await.expect("it is let in");
            let token = connection.cancel_token();
            let sleep = connection.execute("select pg_sleep(600)", ());
            let cancel = async {
                // Until the query runs a cancel hits nothing: it is sent again and again.
                loop {
                    token.cancel().await.expect("it is sent");
                    tokio::task::yield_now().await;
                }
            };
            let result = tokio::select! {
                result = within(GENEROUS, "the cancelled query", sleep) => result,
                () = cancel => unreachable!("it has no end"),
            };
            let error = result.expect_err("it is cancelled");
            assert_eq!(error.sqlstate(), Some(SqlState::QUERY_CANCELED), "{error}");
            let links = proxy.links();
            assert!(links.len() > 1);
            for link in links {
                let sent: Vec<u8> = link
                    .recorded()
                    .into_iter()
                    .filter(|passed| passed.side == support::dialogue::Side::Frontend)
                    .flat_map(|passed| passed.bytes)
                    .collect();
                // The last ones may have been dropped on their way.
                if sent.len() > 8 {
                    assert_eq!(
                        sent[..9],
                        *b"\0\0\0\x08\x04\xd2\x16\x2f\x16",
                        "then a ClientHello"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn r12_a_dropped_connect_leaves_no_backend() {
    let authority = Authority::new();
    let server = authority.cluster(major(), Flaw::None);
    for mode in [SslMode::Disable, SslMode::VerifyFull] {
        let polls = DropAtEachPoll::new("connecting")
            .at_least(4)
            .run(
                async || (),
                async |()| {
                    // The name is looked up, and may have an address where nobody listens.
                    let config = Config::new()
                        .host("localhost")
                        .port(server.port())
                        .password(PASSWORD)
                        .dbname("kornak")
                        .environment(Environment::empty())
                        .user("kornak_scram")
                        .sslmode(mode)
                        .sslrootcert(authority.root_file());
                    drop(Connection::connect(config).await.expect("it is let in"));
                },
                async |(), case| {
                    let gone = || server.backends().is_empty();
                    assert!(
                        xtask::process::wait_until(GENEROUS, gone),
                        "{case:?} leaves {:?}",
                        server.backends()
                    );
                },
            )
            .await;
        assert!(polls >= 4);
    }
}

#[tokio::test]
async fn r25_large_values_pass_through_small_windows_over_tls() {
    let authority = Authority::new();
    let server = authority.cluster(major(), Flaw::None);
    let upstream = Address::Tcp(([127, 0, 0, 1], server.port()).into());
    let proxy = Proxy::with_buffers(proxy::Listen::Tcp, upstream, Some(4096));
    let config = config(proxy.address().port())
        .sslmode(SslMode::VerifyFull)
        .sslrootcert(authority.root_file());
    let mut connection = connect(config).await.expect("it is let in");
    let value = "elephant".repeat(128 * 1024);
    let echo = connection.fetch_one("select $1::text", (&*value,));
    let echoed: String = within(GENEROUS * 2, "the echo", echo)
        .await
        .expect("it answers");
    assert!(echoed == value);
}

#[tokio::test]
async fn r19_tasks_that_share_tls_connections_each_get_their_own_answers() {
    let authority = Authority::new();
    let server = authority.cluster(major(), Flaw::None);
    let config = config(server.port())
        .sslmode(SslMode::VerifyFull)
        .sslrootcert(authority.root_file());
    let builder = Pool::builder().max_size(2).queue_statements(16);
    let pool = builder.connect(config).await.expect("it is let in");
    let is_encrypted: bool = pool
        .fetch_one(
            "select ssl from pg_stat_ssl where pid = pg_backend_pid()",
            (),
        )
        .await
        .expect("it answers");
    assert!(is_encrypted);
    let tasks: Vec<_> = (0..48_i32)
        .map(|task| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for turn in 0..50_i32 {
                    let number = 100 * task + turn;
                    // Some replies are longer than a record of TLS.
                    let text = "elephant".repeat(number as usize % 7 * 500);
                    let echo = pool.fetch_one("select $1::int4, $2::text", (number, &*text));
                    let echoed: (i32, String) = echo.await.expect("it answers");
                    assert!(echoed == (number, text), "{number}");
                }
            })
        })
        .collect();
    for task in tasks {
        within(GENEROUS * 2, "a task", task).await.expect("it ends");
    }
}

#[tokio::test]
async fn r38_a_tls_connection_that_is_cut_is_an_error() {
    let authority = Authority::new();
    let server = authority.cluster(major(), Flaw::None);
    let upstream = Address::Tcp(([127, 0, 0, 1], server.port()).into());
    let proxy = Proxy::start(proxy::Listen::Tcp, upstream);
    let config = config(proxy.address().port()).sslmode(SslMode::Require);
    for bytes in [1, 5, 100, 10_000] {
        let mut connection = connect(config.clone()).await.expect("it is let in");
        let links = proxy.links();
        let link = links.last().expect("a link");
        link.arm(Way::ToClient, bytes, proxy::Fault::Cut);
        let rows = connection.fetch_all::<i32>("select generate_series(1, 100000)", ());
        let error = within(GENEROUS, "the query", rows)
            .await
            .expect_err("it is cut");
        assert!(
            matches!(error.kind(), ErrorKind::Io | ErrorKind::Tls),
            "{bytes}: {error:?}"
        );
        assert!(connection.is_closed());
    }
}
