//! What somebody reads whose first connection fails: where it was tried, what went wrong, and
//! what to do about it.

use kornak::Connection;
use kornak::config::{Config, Environment};
use support::address::ReservedPort;
use support::deadline::{GENEROUS, within};
use support::server::role_tcp_target;
use xtask::server::{PASSWORD, Role};

mod support;

async fn check(url: &str, expected: &str) {
    let connect = async {
        let config: Config = url.parse()?;
        Connection::connect(config.environment(Environment::empty())).await
    };
    let result = within(GENEROUS, "connecting", connect).await;
    let error = result.expect_err("it can't work");
    let text = error.to_string();
    assert_eq!(text, expected, "{url}");
    // A `main` that returns it prints the same.
    assert!(format!("{error:?}").starts_with(&text));
    assert!(!format!("{error:?} {error:#?} {error:#}").contains(PASSWORD));
}

#[tokio::test]
async fn r39_an_error_says_where_and_what_and_what_to_do() {
    let there = role_tcp_target(Role::Scram).address;
    let there = format!("{}:{}", there.host(), there.port());
    let closed = ReservedPort::new(None).expect("a port");
    let closed = closed.address();
    let login = format!("kornak_scram:{PASSWORD}");
    let nothing_listens = "NOTE: nothing listens there: is the server running, is this its port, \
                           and do its listen_addresses include this one?";
    let is_refused = "Connection refused (os error 111)";

    // The password, the user and the database are wrong.
    check(
        &format!("postgres://kornak_scram:wrong@{there}/kornak"),
        &format!(
            "can't connect to {there}: FATAL 28P01: password authentication failed for user \
             \"kornak_scram\""
        ),
    )
    .await;
    check(
        &format!("postgres://kornak_scram@{there}/kornak"),
        &format!(
            "can't connect to {there}: the server asks for a password, and none is configured: \
             it can stand in the connection string, in PGPASSWORD, or in a password file"
        ),
    )
    .await;
    check(
        &format!("postgres://kornak_cleartext:{PASSWORD}@{there}/kornak"),
        &format!(
            "can't connect to {there}: the server asks for the password itself, which anybody \
             on the way could read: use sslmode=verify-full, or allow it by \
             allow_cleartext_password"
        ),
    )
    .await;
    check(
        &format!("postgres://{login}@{there}/nowhere"),
        &format!("can't connect to {there}: FATAL 3D000: database \"nowhere\" does not exist"),
    )
    .await;
    check(
        &format!("postgres://{login}@{there}"),
        &format!(
            "can't connect to {there}: FATAL 3D000: database \"kornak_scram\" does not exist\n\
             NOTE: where dbname is not given, the database is called as the user"
        ),
    )
    .await;

    // The place is wrong.
    check(
        &format!("postgres://{login}@{closed}/kornak"),
        &format!("can't connect to {closed}: {is_refused}\n{nothing_listens}"),
    )
    .await;
    check(
        &format!("postgres://{login}@127.0.0.1,{there}/nowhere?port={}", {
            let (_, port) = there.split_once(':').expect("a port");
            format!("{},{port}", closed.port())
        }),
        &format!(
            "can't connect to {there}: FATAL 3D000: database \"nowhere\" does not exist\n\
             NOTE: before that: can't connect to {closed}: {is_refused}"
        ),
    )
    .await;
    check(
        &format!(
            "postgres://{login}@/kornak?host=/nowhere,127.0.0.1&port=1,{}",
            closed.port()
        ),
        &format!(
            "can't connect to {closed}: {is_refused}\n\
             NOTE: before that: can't connect to /nowhere/.s.PGSQL.1: No such file or directory \
             (os error 2)\n{nothing_listens}"
        ),
    )
    .await;
    check(
        "postgres://app@/shop?host=/nowhere",
        "can't connect to /nowhere/.s.PGSQL.5432: No such file or directory (os error 2)\n\
         NOTE: there is no such socket: is the server running on this machine, is this its \
         port, and do its unix_socket_directories include this one?",
    )
    .await;
    check(
        &format!("postgres://{login}@{there}/kornak?target_session_attrs=standby"),
        &format!(
            "can't connect to {there}: target_session_attrs=standby rules the server out: it is \
             not a standby"
        ),
    )
    .await;

    // TLS is not to be had.
    check(
        &format!("postgres://{login}@{there}/kornak?sslmode=require"),
        &format!("can't connect to {there}: the server doesn't support TLS, which sslmode demands"),
    )
    .await;
    check(
        &format!("postgres://{login}@{there}/kornak?sslrootcert=/nowhere/root.crt"),
        "can't read the root certificates /nowhere/root.crt: No such file or directory (os \
         error 2)",
    )
    .await;

    // The connection string is wrong.
    check(
        "postgres://app@db/shop?ssl_mode=require",
        "invalid connection string at byte 23: there is no such option as \"ssl_mode\"; did you \
         mean sslmode?",
    )
    .await;
    check(
        "postgres://app@db/shop?sslmode=required",
        "invalid connection string at byte 31: sslmode: expected one of disable, allow, prefer, \
         require, verify-ca, verify-full; did you mean require?",
    )
    .await;
    check(
        "mysql://db/shop",
        "invalid connection string at byte 0: a URI begins with postgres:// or postgresql://",
    )
    .await;
    check(
        "localhost",
        "invalid connection string at byte 0: expected postgres://… or an option's name and = \
         (a value with blanks in it is quoted: name='a value')",
    )
    .await;
}

#[tokio::test]
async fn a_host_that_does_not_exist_is_named() {
    // RFC 6761 keeps `invalid` free of hosts; the words behind are the system's.
    let error = Connection::connect("postgres://app@no-such-host.invalid/shop")
        .await
        .expect_err("there is none");
    let expected = "can't find the address of the host \"no-such-host.invalid\": ";
    assert!(error.to_string().starts_with(expected), "{error}");
}
