use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use xtask::server::{PASSWORD, Role, Server};

use super::*;
use crate::config::Environment;
use crate::connection::login::slices;
use crate::startup::scram::ROUNDS_PER_SLICE;
use crate::transport::{Handshake, Socket, TlsConnector, TlsOptions, TlsStart};

fn scram_config() -> Config {
    let server = Server::cluster_for_tests();
    Config::new()
        .host("127.0.0.1")
        .port(server.port())
        .user(Role::Scram.name())
        .password(PASSWORD)
        .dbname("kornak")
        .environment(Environment::empty())
}

#[tokio::test]
async fn keys_are_kept_for_the_password_that_made_them() {
    let connector = Connector::new(&scram_config(), None);
    let host = scram_config().resolve().unwrap().hosts()[0].to_string();
    let user = Role::Scram.name();
    let found = |password: &str| {
        connector
            .keys
            .of(&host)
            .find(user, &password.into())
            .is_some()
    };
    assert!(!found(PASSWORD));
    for _ in 0..2 {
        connector.connect(None).await.unwrap();
        assert!(found(PASSWORD) && !found("another"));
        assert_eq!(lock(&connector.keys.kept).len(), 1);
    }
    // They don't open the door for another password, which leaves them as they are.
    let error = connector.connect(Some("another".into())).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::INVALID_PASSWORD));
    assert!(found(PASSWORD));
    assert!(!format!("{connector:?}").contains(PASSWORD));
}

#[test]
fn a_configuration_is_resolved_once_for_each_user_and_password() {
    let connector = Connector::new(&scram_config(), None);
    let resolve = |user: Option<&str>, password: Option<&str>| {
        let resolved = connector.resolve(user.map(Into::into), password.map(Into::into));
        resolved.unwrap()
    };
    let own = resolve(None, None);
    assert!(Arc::ptr_eq(&own, &resolve(None, None)));
    for (user, password) in [
        (None, Some("first")),
        (None, Some("second")),
        (Some("u"), None),
    ] {
        let other = resolve(user, password);
        assert!(Arc::ptr_eq(&other, &resolve(user, password)));
        assert_eq!(other.user(), user.unwrap_or(own.user()));
        let expected = password.unwrap_or(PASSWORD);
        let found = other.hosts()[0].password().unwrap();
        assert_eq!(found.expose(), expected.as_bytes());
    }
    assert_eq!(resolve(None, None), own);
}

/// TLS that is set up and never begun.
struct Unbegun;

impl TlsProvider for Unbegun {
    fn connector(&self, _: &TlsOptions) -> Result<Arc<dyn TlsConnector>> {
        Ok(Arc::new(Self))
    }
}

impl TlsConnector for Unbegun {
    fn connect<'a>(&'a self, _: Socket, _: &'a str, _: TlsStart) -> Handshake<'a> {
        unreachable!("nothing is connected")
    }
}

#[test]
fn s20_tls_is_set_up_once_and_anew_when_a_file_is_replaced() {
    let name = format!("kornak-connector-{}.crt", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, "a certificate").unwrap();
    let config = scram_config()
        .sslmode(config::SslMode::VerifyCa)
        .sslrootcert(path.clone());
    let connector = Connector::new(&config, Some(&Unbegun));
    let resolved = config.resolve().unwrap();
    let first = connector.tls_setup(&resolved).unwrap();
    assert!(first.is_same(&connector.tls_setup(&resolved).unwrap()));

    std::fs::write(&path, "a longer certificate").unwrap();
    let second = connector.tls_setup(&resolved).unwrap();
    assert!(!first.is_same(&second));
    assert!(second.is_same(&connector.tls_setup(&resolved).unwrap()));

    std::fs::remove_file(&path).unwrap();
    let error = connector.tls_setup(&resolved).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Config);
}

/// A name of the tests; what it leads to is said by each.
const NAME: &str = "elephants.test";

/// Limits what should never be reached.
const GENEROUS: Duration = Duration::from_secs(60);

/// Connects to `NAME` and `hosts`, where the name leads to these addresses, or to silence.
fn connector(
    hosts: &[&str],
    timeout: Duration,
    addresses: Option<&'static [Ipv4Addr]>,
) -> Connector {
    let config = scram_config().hosts([&[NAME], hosts].concat());
    Connector {
        resolver: Resolver::scripted(move |name| match name {
            NAME => addresses.map(|found| found.iter().copied().map(IpAddr::V4).collect()),
            name => Some(vec![name.parse().expect("an address")]),
        }),
        ..Connector::new(&config.connect_timeout(timeout), None)
    }
}

/// Where the server of the tests listens.
const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Where nothing listens on the server's port.
const NOWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// An address that takes connections on the server's port, and says nothing.
fn silent(last: u8) -> (TcpListener, Ipv4Addr) {
    let address = Ipv4Addr::new(127, 0, 0, last);
    let port = Server::cluster_for_tests().port();
    let listener = TcpListener::bind((address, port)).expect("nobody else has it");
    (listener, address)
}

#[tokio::test]
async fn r36_a_silent_name_server_costs_no_more_than_its_share() {
    let short = Duration::from_millis(300);
    let error = connector(&[], short, None).connect(None).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(error.outcome(), Outcome::NotRun);
    let text = error.to_string();
    assert!(
        text.contains(NAME) && text.contains("address was not found"),
        "{text}"
    );
    // The rest of the time is the next host's.
    let patient = connector(&["127.0.0.1"], Duration::from_secs(4), None);
    patient.connect(None).await.unwrap();
}

#[tokio::test]
async fn r36_the_addresses_of_a_name_are_tried_one_after_the_other() {
    let patient = connector(&[], GENEROUS, Some(&[NOWHERE, HERE]));
    patient.connect(None).await.unwrap();
    // The one that refused comes last from now on.
    let order = patient.hosts.order(
        vec![NOWHERE, HERE],
        config::LoadBalanceHosts::Disable,
        |address| format!("{address}:{}", Server::cluster_for_tests().port()),
    );
    assert_eq!(order.unwrap(), [HERE, NOWHERE]);

    // One that takes connections and is silent leaves the next its share.
    let (_listener, _) = silent(3);
    const SILENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
    let patient = connector(&[], Duration::from_secs(4), Some(&[SILENT, HERE]));
    patient.connect(None).await.unwrap();

    // Together they have no more time than the whole, and the error names each.
    let limit = Duration::from_millis(500);
    let hasty = connector(&["127.0.0.3"], limit, Some(&[SILENT, NOWHERE, SILENT]));
    let begun = Instant::now();
    let error = hasty.connect(None).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert!(begun.elapsed() >= limit && begun.elapsed() < GENEROUS);
    let text = error.to_string();
    assert_eq!(text.matches("within connect_timeout").count(), 3, "{text}");
    assert_eq!(text.matches("127.0.0.2").count(), 1, "{text}");
    assert_eq!(text.matches(NAME).count(), 3, "{text}");
}

/// A name may lead elsewhere by then, where the key would be a stranger's to see.
#[tokio::test]
async fn s20_a_cancel_goes_to_the_address_of_its_session() {
    let lookups = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = lookups.clone();
    let connector = Connector {
        resolver: Resolver::scripted(move |_| {
            Some(match counted.fetch_add(1, Ordering::Relaxed) {
                0 => vec![IpAddr::V4(HERE)],
                _ => vec![IpAddr::V4(NOWHERE)],
            })
        }),
        ..connector(&[], GENEROUS, None)
    };
    let mut connection = connector.connect(None).await.unwrap();
    let token = connection.cancel_token();
    let sleep = connection.execute("select pg_sleep(600)", ());
    let cancel = async {
        // Until the query runs a cancel hits nothing.
        loop {
            token.cancel().await.expect("it is sent");
            tokio::task::yield_now().await;
        }
    };
    let result = tokio::select! {
        result = tokio::time::timeout(GENEROUS, sleep) => result.expect("it is cancelled"),
        () = cancel => unreachable!("it has no end"),
    };
    let error = result.unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::QUERY_CANCELED), "{error}");
    assert_eq!(lookups.load(Ordering::Relaxed), 1);
}

/// A server that is silent to a cancel request keeps nobody longer than `connect_timeout`.
#[tokio::test]
async fn r36_a_cancel_has_a_deadline_too() {
    let (_listener, address) = silent(5);
    let config = scram_config().resolve().unwrap();
    let port = Server::cluster_for_tests().port();
    let endpoint = Endpoint::new(
        Address::tcp((address, port).into(), &config),
        super::super::endpoint::Encryption::Plain,
    );
    let key = crate::startup::CancelKey {
        process_id: 1,
        secret: [0; 4].into(),
    };
    let limit = Some(Duration::from_millis(200));
    let token = crate::connection::CancelToken::new(endpoint, limit, Some(key));
    let error = tokio::time::timeout(GENEROUS, token.cancel())
        .await
        .expect("it gives up")
        .unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert!(error.to_string().contains("127.0.0.5"), "{error}");
}

#[tokio::test]
async fn the_keys_of_scram_are_derived_once_for_a_password_and_a_salt() {
    let admin = scram_config().user(Role::Kornak.name());
    let mut admin = Connector::new(&admin, None).connect(None).await.unwrap();
    let role = format!("keys_{}_{}", std::process::id(), admin.process_id());
    let set = async |admin: &mut Connection, verb: &str, password: &str| {
        let sql = format!("{verb} role {role} login password '{password}'");
        admin.execute(&sql, ()).await.unwrap();
    };
    set(&mut admin, "create", "first").await;
    let connector = Connector::new(&scram_config().user(&*role).password("first"), None);
    let _ = slices::take();
    connector.connect(None).await.unwrap();
    let derivation = slices::take();
    assert_eq!(derivation, (4096 - 1) / ROUNDS_PER_SLICE);
    for _ in 0..3 {
        connector.connect(None).await.unwrap();
        assert_eq!(slices::take(), 0);
    }
    // The same password, with another salt.
    set(&mut admin, "alter", "first").await;
    connector.connect(None).await.unwrap();
    assert_eq!(slices::take(), derivation);
    // The password is changed: the old keys open no door.
    set(&mut admin, "alter", "second").await;
    let error = connector.connect(None).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::INVALID_PASSWORD));
    assert_eq!(slices::take(), derivation);
    // Whoever provides passwords has the new one, which takes the old one's place.
    for count in [derivation, 0, 0] {
        connector.connect(Some("second".into())).await.unwrap();
        assert_eq!(slices::take(), count);
    }
    {
        let kept = lock(&connector.keys.kept);
        assert_eq!(kept.len(), 1);
        assert!(kept[0].password == "second".into());
    }
    admin
        .execute(&format!("drop role {role}"), ())
        .await
        .unwrap();
}
