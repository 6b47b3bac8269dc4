//! A server that has another role by now than the one for which it was chosen
//! (`target_session_attrs`) loses its connections to the pool.

mod live;
mod pool_support;
mod support;

use std::time::Duration;

use kornak::config::{Config, Environment, TargetSessionAttrs};
use kornak::pool::PoolBuilder;
use kornak::{ErrorKind, Pool, PoolConnection, SqlState, exec};
use live::eventually;
use pool_support::{acquire, at_rest};
use support::deadline::{GENEROUS, blocking, within};
use support::dialogue::backend;
use support::scripted::{Listen, ScriptedServer, Session};
use tokio::sync::mpsc;
use xtask::server::{PASSWORD, Private, Server};

const A_SHORT_WHILE: Duration = Duration::from_millis(50);

fn real(servers: &[&Server], wish: TargetSessionAttrs) -> Config {
    Config::new()
        .hosts(servers.iter().map(|_| "127.0.0.1"))
        .ports(servers.iter().map(|server| server.port()))
        .user("kornak")
        .password(PASSWORD)
        .dbname("kornak")
        .target_session_attrs(wish)
        .environment(Environment::empty())
}

fn pair(name: &str) -> (Private, Private) {
    let primary = Server::private(name, &["max_wal_senders = 4"]).expect("a primary");
    let standby = primary
        .standby(name, &["hot_standby = on"])
        .expect("a standby");
    (primary, standby)
}

fn of_one() -> PoolBuilder {
    Pool::builder().max_size(1)
}

/// Lent once and given back: which session it was, and on which server.
async fn lend(pool: &Pool) -> (i32, u16) {
    let mut connection = acquire(pool).await;
    let port: String = connection
        .fetch_one("select current_setting('port')", ())
        .await
        .expect("it answers");
    let process = connection.process_id();
    drop(connection);
    at_rest(pool).await;
    (process, port.parse().expect("a number"))
}

/// Nobody gets a connection, because no server is of the kind that is wanted.
async fn is_unserved(pool: &Pool) {
    let query = pool.query("select 1").timeout(A_SHORT_WHILE * 4);
    let error = within(GENEROUS, "a query", query.execute()).await;
    let error = error.expect_err("no server is suitable");
    assert_eq!(error.kind(), ErrorKind::PoolTimeout, "{error}");
    let refused = async || {
        let last = pool.status().last_connect_error;
        last.is_some_and(|error| error.kind() == ErrorKind::NoSuitableServer)
    };
    eventually("the reason is told", refused).await;
}

#[tokio::test]
async fn r37_a_promoted_standby_loses_those_who_asked_for_a_standby() {
    use TargetSessionAttrs::{Any, PreferStandby, ReadOnly, Standby};

    let (primary, standby) = pair("roles");
    let both = [&*standby, &*primary];
    let mut pools = Vec::new();
    for wish in [Standby, ReadOnly, PreferStandby, Any] {
        // One that lies idle meanwhile, and one that is in use.
        let idle = of_one().build(real(&both, wish)).expect("a pool");
        let used = of_one().build(real(&both, wish)).expect("a pool");
        let (process, port) = lend(&idle).await;
        assert_eq!(port, standby.port(), "{wish}");
        let mut connection = acquire(&used).await;
        connection.execute("begin", ()).await.expect("a block");
        pools.push((wish, idle, process, used, connection));
    }
    let standby = blocking(move || {
        standby.promote().expect("it is promoted");
        standby
    })
    .await;
    for (wish, idle, process, used, mut connection) in pools {
        // The first statement is told with its answer.
        let (same, port) = lend(&idle).await;
        assert_eq!((same, port), (process, standby.port()), "{wish}");
        let used_process = connection.process_id();
        connection.execute("commit", ()).await.expect("it goes on");
        drop(connection);
        at_rest(&used).await;
        match wish {
            Any => {
                assert_eq!(lend(&idle).await.0, process);
                assert_eq!(lend(&used).await.0, used_process);
            }
            Standby | ReadOnly => {
                for pool in [idle, used] {
                    assert_eq!(pool.status().size, 0, "{wish}");
                    is_unserved(&pool).await;
                }
            }
            // A primary will do where there is nothing better, and the same one goes on doing.
            _ => {
                for (pool, process) in [(idle, process), (used, used_process)] {
                    let (next, _) = lend(&pool).await;
                    assert_ne!(next, process);
                    assert_eq!(lend(&pool).await.0, next);
                }
            }
        }
    }
}

#[tokio::test]
async fn r37_sessions_that_become_read_only_are_left_and_a_borrowers_own_are_not() {
    use TargetSessionAttrs::{Primary, ReadWrite};

    let server = Server::private("read-only", &[]).expect("a server");
    let [writers, primaries] = [ReadWrite, Primary].map(|wish| {
        let config = real(&[&server], wish);
        of_one().build(config).expect("a pool")
    });
    let (process, _) = lend(&writers).await;
    let (of_primary, _) = lend(&primaries).await;

    // What a borrower sets is undone for the next one.
    let mut connection = acquire(&writers).await;
    let set = "set default_transaction_read_only = on";
    connection.execute(set, ()).await.expect("anybody may");
    let is_on = |connection: &PoolConnection| {
        connection.parameter("default_transaction_read_only") == Some("on")
    };
    assert!(is_on(&connection));
    drop(connection);
    let mut connection = acquire(&writers).await;
    assert_eq!(connection.process_id(), process);
    connection.execute("select 1", ()).await.expect("it runs");
    assert!(!is_on(&connection), "it is reset");
    drop(connection);

    // What the administrator sets is not.
    let mut connection = acquire(&writers).await;
    assert_eq!(connection.process_id(), process);
    let mut admin =
        support::raw::RawClient::connect(&support::address::Target::from_url(&server.url_tcp()))
            .expect("the superuser");
    admin.execute("alter system set default_transaction_read_only = on");
    admin.execute("select pg_reload_conf()");
    let told = async {
        while !is_on(&connection) {
            connection.execute("select 1", ()).await.expect("it runs");
        }
    };
    within(GENEROUS, "the reload", told).await;
    drop(connection);
    assert_eq!(writers.status().size, 0);
    is_unserved(&writers).await;
    assert_eq!(
        lend(&primaries).await.0,
        of_primary,
        "it is a primary still"
    );
}

/// That a server refuses to write says nothing of the next borrower where the last one had asked
/// to read only.
#[tokio::test]
async fn r37_a_borrowers_own_wish_to_read_only_is_no_reason_to_leave_a_server() {
    let server = Server::private("own-wish", &[]).expect("a server");
    let config = real(&[&server], TargetSessionAttrs::Any);
    let pool = of_one().build(config).expect("a pool");
    let (process, _) = lend(&pool).await;
    let refused = async |connection: &mut PoolConnection| {
        let create = exec("create table kornak_never (a int)", ());
        let (created,) = connection.pipeline_each((create,)).await.expect("it goes");
        let error = created.expect_err("it may only read");
        assert_eq!(error.sqlstate(), Some(SqlState::READ_ONLY_SQL_TRANSACTION));
    };
    for own in [
        "begin read only",
        "begin; set transaction read only",
        "set default_transaction_read_only = on",
        "set session characteristics as transaction read only",
    ] {
        let mut connection = acquire(&pool).await;
        connection.batch_execute(own).await.expect("anybody may");
        refused(&mut connection).await;
        drop(connection);
        at_rest(&pool).await;
        let mut next = acquire(&pool).await;
        assert_eq!(next.process_id(), process, "{own}");
        let create = "create temp table written (a int)";
        next.execute(create, ()).await.expect("it may write");
        drop(next);
    }
    // What the administrator sets is a reason.
    let mut connection = acquire(&pool).await;
    let mut admin =
        support::raw::RawClient::connect(&support::address::Target::from_url(&server.url_tcp()))
            .expect("the superuser");
    admin.execute("alter system set default_transaction_read_only = on");
    admin.execute("select pg_reload_conf()");
    let told = async {
        let sql = "select current_setting('default_transaction_read_only')";
        while connection
            .fetch_one::<String>(sql, ())
            .await
            .expect("it runs")
            != "on"
        {}
    };
    within(GENEROUS, "the reload", told).await;
    refused(&mut connection).await;
    drop(connection);
    at_rest(&pool).await;
    assert_eq!(pool.status().size, 0, "it is closed at once");
    let mut next = acquire(&pool).await;
    assert_ne!(next.process_id(), process);
    // A session that begins so is no worse than the next one will be.
    let second = next.process_id();
    refused(&mut next).await;
    drop(next);
    assert_eq!(lend(&pool).await.0, second);
}

/// What has come while a connection lay idle is read before it is lent: from a pooler that
/// changes its server, for example.
#[tokio::test]
async fn r37_a_change_of_role_that_is_told_to_an_idle_connection_is_heeded() {
    for (name, value, stays) in [
        ("in_hot_standby", "on", false),
        ("in_hot_standby", "off", true),
        ("default_transaction_read_only", "on", true),
        ("application_name", "in_hot_standby", true),
    ] {
        let (order, mut ordered) = mpsc::channel::<()>(1);
        let (tell, mut told) = mpsc::channel::<()>(1);
        let mut server = ScriptedServer::start(Listen::Unix, async move |acceptor| {
            let mut number = 0;
            let mut open: Vec<Session> = Vec::new();
            loop {
                number += 1;
                let mut session = acceptor.accept().await?;
                session.set_key_data(number, &[0; 4]);
                session.startup_trust().await?;
                if number == 1 {
                    ordered.recv().await;
                    session
                        .send(&backend::parameter_status(name, value))
                        .await?;
                    let _ = tell.send(()).await;
                }
                open.push(session);
            }
        });
        let config: Config = server.url().parse().expect("a configuration");
        let config = config
            .target_session_attrs(TargetSessionAttrs::Primary)
            .environment(Environment::empty());
        let pool = of_one().build(config).expect("a pool");
        // It ends with the test's runtime.
        tokio::spawn(async move { server.finish().await });
        drop(acquire(&pool).await);
        order.send(()).await.expect("the server lives");
        within(GENEROUS, "the change", told.recv()).await;
        // The runtime hears of the bytes before it resumes a task that yields.
        tokio::task::yield_now().await;
        let next = acquire(&pool).await;
        assert_eq!(next.process_id() == 1, stays, "{name} {value}");
    }
}
