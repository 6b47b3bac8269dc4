//! Several hosts: which one is taken, which is passed over, and how long it may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kornak::config::{Config, Environment, TargetSessionAttrs};
use kornak::{Connection, ErrorKind, Pool, SqlState};
use support::address::{Address, ReservedPort, SilentPort};
use support::deadline::{GENEROUS, within};
use support::dialogue::backend;
use support::raw::RawClient;
use support::scripted::{Listen, ScriptError, ScriptedServer, Session};
use support::server::role_tcp_target;
use xtask::server::{PASSWORD, Private, Role, Server, StopMode};

mod support;

/// A configuration for these servers, in this order.
fn config(addresses: &[&Address]) -> Config {
    Config::new()
        .hosts(addresses.iter().map(|address| address.host()))
        .ports(addresses.iter().map(|address| address.port()))
        .user("kornak")
        .password("secret")
        .dbname("kornak")
        .environment(Environment::empty())
}

async fn connect(config: Config) -> kornak::Result<Connection> {
    within(GENEROUS, "connecting", Connection::connect(config)).await
}

/// Configured for these servers, over TCP.
fn real(servers: &[&Server]) -> Config {
    Config::new()
        .hosts(servers.iter().map(|_| "127.0.0.1"))
        .ports(servers.iter().map(|server| server.port()))
        .user("kornak")
        .password(PASSWORD)
        .dbname("kornak")
        .environment(Environment::empty())
}

async fn port_of(mut connection: Connection) -> u16 {
    let port: String = connection
        .fetch_one("select current_setting('port')", ())
        .await
        .expect("it answers");
    port.parse().expect("a number")
}

/// A primary and a standby of it, of the major that the run is for.
fn pair(name: &str) -> (Private, Private) {
    let primary = Server::private(name, &["max_wal_senders = 4"]).expect("a primary");
    let standby = primary
        .standby(name, &["hot_standby = on"])
        .expect("a standby");
    (primary, standby)
}

/// Takes sessions and answers no question about itself.
async fn welcome(mut session: Session) -> Result<(), ScriptError> {
    session.startup_trust().await?;
    session.hold().await.map(|_| ())
}

/// Refuses with this code.
fn refusing(code: &'static str) -> ScriptedServer {
    ScriptedServer::serve(Listen::Tcp, async move |mut session: Session| {
        session.startup().await?;
        session.send(&backend::fatal(code, "not now")).await
    })
}

#[tokio::test]
async fn r37_each_target_session_attrs_finds_its_server() {
    use TargetSessionAttrs::{Any, PreferStandby, Primary, ReadOnly, ReadWrite, Standby};

    let (primary, standby) = pair("attrs");
    let (p, s) = (primary.port(), standby.port());
    for (wish, first_primary, first_standby, primary_alone, standby_alone) in [
        (Any, p, s, Some(p), Some(s)),
        (ReadWrite, p, p, Some(p), None),
        (ReadOnly, s, s, None, Some(s)),
        (Primary, p, p, Some(p), None),
        (Standby, s, s, None, Some(s)),
        (PreferStandby, s, s, Some(p), Some(s)),
    ] {
        for (servers, expected) in [
            (&[&*primary, &*standby][..], Some(first_primary)),
            (&[&*standby, &*primary], Some(first_standby)),
            (&[&*primary], primary_alone),
            (&[&*standby], standby_alone),
        ] {
            let result = connect(real(servers).target_session_attrs(wish)).await;
            match (result, expected) {
                (Ok(connection), Some(port)) => {
                    assert_eq!(port_of(connection).await, port, "{wish}");
                }
                (Err(error), None) => {
                    assert_eq!(error.kind(), ErrorKind::NoSuitableServer, "{wish}: {error}");
                }
                (result, _) => panic!("{wish}: {result:?}, expected was {expected:?}"),
            }
        }
    }
    // A primary whose sessions are read-only by default is none to write to.
    let mut admin = connect(real(&[&primary])).await.expect("the primary");
    let sql = "alter role kornak_trust set default_transaction_read_only = on";
    admin.execute(sql, ()).await.expect("a superuser may");
    for (wish, is_fit) in [(ReadWrite, false), (ReadOnly, true), (Primary, true)] {
        let config = real(&[&primary])
            .user("kornak_trust")
            .target_session_attrs(wish);
        let result = connect(config).await;
        assert_eq!(result.is_ok(), is_fit, "{wish}: {result:?}");
    }
}

/// What is read and written while the primary goes and the standby takes its place, for each
/// `target_session_attrs`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r37_a_standby_is_promoted_under_load() {
    use TargetSessionAttrs::{Any, PreferStandby, Primary, ReadOnly, ReadWrite, Standby};

    let (mut primary, standby) = pair("promote");
    let pool = async |wish: TargetSessionAttrs, servers: &[&Server]| {
        let config = real(servers)
            .target_session_attrs(wish)
            .connect_timeout(GENEROUS);
        let pool = Pool::builder().max_size(2).connect(config).await;
        pool.unwrap_or_else(|error| panic!("{wish}: {error}"))
    };
    let first = (*primary).clone();
    let both = [&first, &*standby];
    let writers = [
        pool(ReadWrite, &both).await,
        pool(Primary, &both).await,
        pool(Any, &both).await,
        // Until its server is promoted each of its connections is left behind (25006).
        pool(Any, &[&standby]).await,
    ];
    let readers = [
        pool(Standby, &both).await,
        pool(ReadOnly, &both).await,
        pool(PreferStandby, &both).await,
    ];
    writers[0]
        .execute("create table written (port text, task int, number int)", ())
        .await
        .expect("a table");
    // The standby must know the table before the primary is gone.
    let mut reader = RawClient::connect(&target_of(&standby)).expect("the standby");
    while reader.value("select to_regclass('written') is not null") != "t" {
        tokio::task::yield_now().await;
    }

    let new_port = standby.port().to_string();
    let is_over = Arc::new(AtomicBool::new(false));
    let reading = readers.clone().map(|pool| {
        let (is_over, new_port) = (is_over.clone(), new_port.clone());
        tokio::spawn(async move {
            let mut count = 0;
            loop {
                let sql = "select current_setting('port')";
                match pool.fetch_one::<String>(sql, ()).await {
                    Ok(port) => assert_eq!(port, new_port),
                    // Who asks for a standby waits for one when the last has been promoted.
                    Err(error) if is_over.load(Ordering::Relaxed) => {
                        assert_eq!(error.kind(), ErrorKind::PoolClosed, "{error}");
                        return count;
                    }
                    Err(error) => panic!("a standby goes on serving until then: {error}"),
                }
                count += 1;
            }
        })
    });
    let writing: Vec<_> = (0..8)
        .map(|task: i32| {
            let (pool, new_port) = (writers[task as usize / 2].clone(), new_port.clone());
            tokio::spawn(async move {
                let mut kept = Vec::new();
                let mut read_only = 0;
                for number in 0.. {
                    let sql = "insert into written values (current_setting('port'), $1, $2) \
                               returning port";
                    // What fails meanwhile is tried again with the next number.
                    match pool.fetch_one::<String>(sql, (task, number)).await {
                        Ok(port) if port == new_port => kept.push(number),
                        Ok(_) => {}
                        Err(error) => {
                            let refused = Some(SqlState::READ_ONLY_SQL_TRANSACTION);
                            read_only += usize::from(error.sqlstate() == refused);
                        }
                    }
                    if kept.len() == 20 {
                        break;
                    }
                }
                (kept, read_only)
            })
        })
        .collect();
    // The tasks go on in the other threads.
    primary.stop(StopMode::Immediate).expect("it stops");
    standby.promote().expect("it is promoted");
    let mut reader = RawClient::connect(&target_of(&standby)).expect("the new primary");
    for (number, task) in writing.into_iter().enumerate() {
        let kept = within(GENEROUS * 2, "writing to the new primary", task).await;
        let (kept, read_only) = kept.expect("no panic");
        let written = reader.column(&format!(
            "select number from written where task = {number} and port = '{new_port}' order by 1"
        ));
        let kept: Vec<_> = kept.iter().map(ToString::to_string).collect();
        assert_eq!(written, kept, "what was acknowledged is there, once");
        // Who asks for a server to write to is given no other.
        assert!(number >= 4 || read_only == 0, "{number}: {read_only}");
    }
    is_over.store(true, Ordering::Relaxed);
    for pool in readers {
        pool.close(Duration::ZERO).await;
    }
    for task in reading {
        let count = within(GENEROUS, "reading from the standby", task).await;
        assert!(count.expect("no panic") > 0);
    }
    // From now on there is no standby to be had.
    for (wish, is_in) in [
        (Standby, false),
        (ReadOnly, false),
        (PreferStandby, true),
        (Primary, true),
        (ReadWrite, true),
        (Any, true),
    ] {
        let result = connect(real(&both).target_session_attrs(wish)).await;
        match result {
            Ok(connection) => {
                assert!(is_in, "{wish}");
                assert_eq!(port_of(connection).await, standby.port());
            }
            // The last that was tried is the one that lives.
            Err(error) => assert!(
                !is_in && error.kind() == ErrorKind::NoSuitableServer,
                "{wish}: {error}"
            ),
        }
    }
}

fn target_of(server: &Server) -> support::address::Target {
    support::address::Target::from_url(&server.url_tcp())
}

/// A connection to a server that turns out not to take writes is not lent again.
#[tokio::test]
async fn r37_a_server_that_refuses_to_write_is_left() {
    let (primary, standby) = pair("evict");
    let pool = Pool::builder()
        .max_size(1)
        .connect(real(&[&standby, &primary]))
        .await
        .expect("the standby");
    let mut connection = pool.acquire().await.expect("a connection");
    let process = connection.process_id();
    let error = connection
        .execute("create table refused ()", ())
        .await
        .expect_err("it is a standby");
    assert_eq!(error.sqlstate(), Some(SqlState::READ_ONLY_SQL_TRANSACTION));
    drop(connection);
    let connection = pool.acquire().await.expect("another connection");
    assert_ne!(connection.process_id(), process);
}

/// Before PostgreSQL 14, and behind poolers, a server has to be asked.
#[tokio::test]
async fn r37_a_server_that_does_not_tell_is_asked() {
    use TargetSessionAttrs::{Primary, ReadOnly, ReadWrite, Standby};

    for (wish, question, answer, is_fit) in [
        (ReadWrite, "show transaction_read_only", "off", true),
        (ReadWrite, "show transaction_read_only", "on", false),
        (ReadOnly, "show transaction_read_only", "on", true),
        (Primary, "select pg_catalog.pg_is_in_recovery()", "f", true),
        (Primary, "select pg_catalog.pg_is_in_recovery()", "t", false),
        (Standby, "select pg_catalog.pg_is_in_recovery()", "t", true),
    ] {
        let server = ScriptedServer::serve(Listen::Tcp, async move |mut session: Session| {
            session.startup().await?;
            session
                .say("AuthenticationOk\nBackendKeyData 1 \"abcd\"\nReadyForQuery I")
                .await?;
            let parse = session.receive().await?;
            if !parse.to_string().contains(question) {
                return Err(ScriptError(format!("{parse} is another question")));
            }
            for name in ["Bind", "Execute", "Sync"] {
                let message = session.receive().await?;
                if message.name() != name {
                    return Err(ScriptError(format!("{message} came for {name}")));
                }
            }
            session
                .say(&format!(
                    "ParseComplete\nBindComplete\nDataRow [\"{answer}\"]\n\
                     CommandComplete \"SELECT 1\"\nReadyForQuery I"
                ))
                .await?;
            session.expect_end().await
        });
        let result = connect(config(&[server.address()]).target_session_attrs(wish)).await;
        match result {
            Ok(_) => assert!(is_fit, "{wish} {answer}"),
            Err(error) => {
                assert!(!is_fit, "{wish} {answer}: {error}");
                assert_eq!(error.kind(), ErrorKind::NoSuitableServer, "{error}");
            }
        }
    }
}

#[tokio::test]
async fn r36_the_deadline_holds_in_each_phase() {
    let limit = Duration::from_millis(500);
    let silent = SilentPort::new().await.expect("a port");
    let mute = |answers: &'static str| {
        ScriptedServer::serve(Listen::Tcp, async move |mut session: Session| {
            match answers {
                "" => {}
                "S" => {
                    session.set_ssl_answer(b"S");
                    session.startup().await?;
                }
                lines => {
                    session.startup().await?;
                    session.say(lines).await?;
                }
            }
            session.hold().await.map(|_| ())
        })
    };
    let scram = "AuthenticationSASL [\"SCRAM-SHA-256\"]";
    let phases = [mute(""), mute("S"), mute("AuthenticationOk"), mute(scram)];
    // Notices without end come from a server that means to keep us.
    let chatty = ScriptedServer::serve(Listen::Tcp, async |mut session: Session| {
        session.startup().await?;
        session.say("AuthenticationOk").await?;
        let notice = backend::notice_response(&[('S', "NOTICE"), ('C', "00000"), ('M', "wait")]);
        while session.send(&notice).await.is_ok() {}
        Ok(())
    });
    // The question about its role is part of connecting.
    let secretive = mute("AuthenticationOk\nBackendKeyData 1 \"abcd\"\nReadyForQuery I");
    let asked = config(&[secretive.address()]).target_session_attrs(TargetSessionAttrs::Primary);
    let mut servers: Vec<Config> = phases
        .iter()
        .map(|phase| config(&[phase.address()]))
        .collect();
    servers.push(config(&[&silent.address()]));
    servers.push(config(&[chatty.address()]));
    servers.push(asked);
    for config in servers {
        let error = connect(config.connect_timeout(limit))
            .await
            .expect_err("nobody answers");
        assert!(error.is_timeout(), "{error}");
    }
    // Together they have no more time than one.
    let limit = Duration::from_secs(2);
    let silent = silent.address();
    let all: Vec<_> = phases
        .iter()
        .map(ScriptedServer::address)
        .chain([&silent])
        .collect();
    let started = std::time::Instant::now();
    let error = connect(config(&all).connect_timeout(limit))
        .await
        .expect_err("no one");
    assert!(error.is_timeout(), "{error}");
    assert!(
        started.elapsed() >= limit,
        "the last one has all that is left"
    );
    assert!(
        started.elapsed() < limit * all.len() as u32,
        "it is one deadline"
    );
}

#[tokio::test]
async fn r36_a_dead_host_leaves_time_for_the_next() {
    let silent = SilentPort::new().await.expect("a port");
    let server = ScriptedServer::serve(Listen::Tcp, welcome);
    let config = config(&[&silent.address(), server.address()]);
    connect(config.connect_timeout(Duration::from_secs(4)))
        .await
        .expect("the second one lives");
}

#[tokio::test]
async fn r39_a_full_or_starting_server_is_passed_over() {
    let port = ReservedPort::new(None).expect("a port");
    let closed = Address::Tcp(port.address());
    let next = ScriptedServer::serve(Listen::Tcp, welcome);
    for code in ["53300", "57P03", "57P01", "57P02", "53200", "08006"] {
        let server = refusing(code);
        connect(config(&[&closed, server.address(), next.address()]))
            .await
            .unwrap_or_else(|error| panic!("{code}: {error}"));
        assert_eq!(server.connections(), 1, "{code}");
    }
    // Where there is no other, the error is the server's, and tells of those before it.
    let server = refusing("57P03");
    let error = connect(config(&[&closed, server.address()]))
        .await
        .expect_err("no one");
    assert_eq!(error.sqlstate(), Some(SqlState::CANNOT_CONNECT_NOW));
    let text = error.to_string();
    assert!(text.contains(&port.address().to_string()), "{text}");
}

#[tokio::test]
async fn r39_a_refusal_is_not_taken_elsewhere() {
    let next = ScriptedServer::serve(Listen::Tcp, welcome);
    for code in ["28P01", "28000", "3D000", "42501", "57P04"] {
        let server = refusing(code);
        let error = connect(config(&[server.address(), next.address()]))
            .await
            .expect_err("it is refused");
        assert_eq!(error.sqlstate().as_ref().map(SqlState::code), Some(code));
    }
    assert_eq!(next.connections(), 0);
}

#[tokio::test]
async fn r39_a_real_server_refuses_in_its_own_words() {
    let target = role_tcp_target(Role::Scram);
    let base = Config::new()
        .host(target.address.host())
        .port(target.address.port())
        .environment(Environment::empty());
    let mut admin = RawClient::connect(&role_tcp_target(Role::Kornak)).expect("the superuser");
    let role = support::raw::unique();
    admin.execute(&format!(
        "create role \"{role}\" login connection limit 0 password '{PASSWORD}'"
    ));
    for (user, password, dbname, expected) in [
        (
            "kornak_scram",
            "wrong",
            "kornak",
            SqlState::INVALID_PASSWORD,
        ),
        (
            "kornak_scram",
            PASSWORD,
            "nowhere",
            SqlState::INVALID_CATALOG_NAME,
        ),
        (
            "kornak_reject",
            PASSWORD,
            "kornak",
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        ),
        (&*role, PASSWORD, "kornak", SqlState::TOO_MANY_CONNECTIONS),
    ] {
        let config = base.clone().user(user).password(password).dbname(dbname);
        let error = connect(config).await.expect_err("it is refused");
        assert_eq!(error.sqlstate(), Some(expected), "{user}: {error}");
    }
    admin.execute(&format!("drop role \"{role}\""));
}

#[tokio::test]
async fn random_order_uses_all_hosts() {
    let servers = [(); 2].map(|()| ScriptedServer::serve(Listen::Tcp, welcome));
    let config = config(&[servers[0].address(), servers[1].address()])
        .load_balance_hosts(kornak::config::LoadBalanceHosts::Random);
    // That the other is never the first of 100 has a probability below 10⁻³⁰.
    for _ in 0..100 {
        connect(config.clone()).await.expect("both let us in");
        if servers.iter().all(|server| server.connections() > 0) {
            return;
        }
    }
    panic!("only one of the hosts was used");
}

/// A pool asks a host that has just failed after the others.
#[tokio::test]
async fn a_host_that_failed_is_asked_last() {
    let bad = refusing("57P03");
    let good = ScriptedServer::serve(Listen::Tcp, welcome);
    let pool = Pool::builder()
        .max_size(3)
        .connect(config(&[bad.address(), good.address()]))
        .await
        .expect("the second lets us in");
    let mut lent = Vec::new();
    for _ in 0..3 {
        lent.push(
            within(GENEROUS, "a connection", pool.acquire())
                .await
                .expect("one"),
        );
    }
    assert_eq!(good.connections(), 3);
    assert_eq!(bad.connections(), 1);
}

/// A host that is a directory and has an address is spoken to over TCP, as by libpq.
#[tokio::test]
async fn an_address_wins_over_a_socket() {
    let server = ScriptedServer::serve(Listen::Tcp, welcome);
    let config = Config::new()
        .host("/nowhere")
        .hostaddr(std::net::Ipv4Addr::LOCALHOST)
        .port(server.address().port())
        .user("kornak")
        .environment(Environment::empty());
    connect(config).await.expect("the address counts");
}
