//! What the client agrees to when it logs in, against a server that says what it likes.

use std::sync::mpsc::sync_channel;

use kornak::config::{Config, Environment};
use kornak::{Connection, ErrorKind, SqlState};
use support::deadline::{GENEROUS, within};
use support::dialogue::backend;
use support::raw::RawClient;
use support::scripted::{
    Listen, ScramFault, ScramServer, ScriptError, ScriptedServer, Session, Stage,
};
use support::server::role_tcp_target;
use xtask::server::Role;

mod support;

/// A configuration of nothing but `url` and `options`.
fn config(url: &str, options: &str) -> Config {
    let separator = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{separator}{options}");
    let config: Config = url.parse().expect("a connection string");
    config.environment(Environment::empty())
}

async fn connect(url: &str, options: &str) -> kornak::Result<Connection> {
    let config = config(url, options);
    within(GENEROUS, "connecting", Connection::connect(config)).await
}

/// What a client does that is asked for `request`, and how the connection ends.
async fn answer(request: &'static str, options: &str) -> (Option<String>, kornak::Error) {
    let (tell, told) = sync_channel(1);
    let mut server = ScriptedServer::start(Listen::Tcp, async move |acceptor| {
        let mut session = acceptor.accept().await?;
        session.startup().await?;
        session.say(request).await?;
        let answer = session.receive_or_end().await?;
        tell.send(answer.map(|message| message.name().to_owned()))
            .expect("the test waits");
        Ok(())
    });
    let error = connect(&server.url(), options).await;
    server.finish().await;
    (
        told.recv().expect("an answer"),
        error.expect_err("nobody lets it in"),
    )
}

#[tokio::test]
async fn s11_a_server_that_skips_doubles_or_reorders_steps_is_refused() {
    let faults = [
        ScramFault::SkipContinue,
        ScramFault::FinalForContinue,
        ScramFault::SkipFinal,
        ScramFault::SkipOk,
        ScramFault::OkBeforeFinal,
        ScramFault::RequestAgain,
        ScramFault::AskCleartext,
        ScramFault::DoubledContinue,
        ScramFault::DoubledFinal,
        ScramFault::DoubledOk,
        ScramFault::WrongSignature,
        ScramFault::ErrorForSignature,
        ScramFault::ForeignNonce,
        ScramFault::BareNonce,
    ];
    for fault in faults {
        let scram = ScramServer::new("secret").with_fault(fault.clone());
        let server = ScriptedServer::serve(Listen::Tcp, async move |mut session: Session| {
            // Whatever the client makes of it.
            let _ = session.startup_scram(&scram).await;
            Ok(())
        });
        let result = connect(&server.url(), "sslmode=disable").await;
        let error = result
            .err()
            .unwrap_or_else(|| panic!("{fault:?} was accepted"));
        assert!(
            matches!(
                error.kind(),
                ErrorKind::Authentication | ErrorKind::Protocol
            ),
            "{fault:?}: {error:?}"
        );
        assert_eq!(server.connections(), 1, "{fault:?}: it was tried once");
    }
    // The same server without a fault lets it in.
    let server = ScriptedServer::serve(Listen::Tcp, async |mut session: Session| {
        let report = session.startup_scram(&ScramServer::new("secret")).await?;
        assert_eq!(report.stage, Stage::Done);
        session.expect_end().await
    });
    connect(&server.url(), "sslmode=disable")
        .await
        .expect("it is right");
}

#[tokio::test]
async fn s11_require_auth_holds_where_the_server_asks_for_nothing() {
    let (answer, error) = answer("AuthenticationOk", "require_auth=scram-sha-256").await;
    assert_eq!(answer, None);
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
}

#[tokio::test]
async fn s13_required_channel_binding_refuses_all_without_it() {
    for request in [
        "AuthenticationOk",
        "AuthenticationCleartextPassword",
        "AuthenticationMD5Password x01020304",
        "AuthenticationSASL [\"SCRAM-SHA-256\"]",
        "AuthenticationSASL [\"SCRAM-SHA-256-PLUS\" \"SCRAM-SHA-256\"]",
    ] {
        let options = "sslmode=disable&channel_binding=require&allow_cleartext_password=on\
                       &allow_md5_password=on";
        let (answer, error) = answer(request, options).await;
        assert_eq!(answer, None, "{request}: nothing may go out");
        assert_eq!(
            error.kind(),
            ErrorKind::Authentication,
            "{request}: {error}"
        );
    }
}

#[tokio::test]
async fn s15_passwords_go_over_no_unverified_connection_unless_allowed() {
    let cleartext = "AuthenticationCleartextPassword";
    let md5 = "AuthenticationMD5Password x01020304";
    let sent = Some("PasswordMessage".to_owned());
    for (request, options, expected) in [
        (cleartext, "", None),
        (md5, "", None),
        (cleartext, "allow_md5_password=on", None),
        (md5, "allow_cleartext_password=on", None),
        (cleartext, "allow_cleartext_password=on", sent.clone()),
        (md5, "allow_md5_password=on", sent),
        (
            cleartext,
            "allow_cleartext_password=on&require_auth=!password",
            None,
        ),
        (
            md5,
            "allow_md5_password=on&require_auth=scram-sha-256",
            None,
        ),
    ] {
        let (answer, error) = answer(request, options).await;
        assert_eq!(answer, expected, "{request} {options}: {error}");
        if expected.is_none() {
            assert_eq!(
                error.kind(),
                ErrorKind::Authentication,
                "{request} {options}"
            );
        }
    }
}

#[tokio::test]
async fn s10_the_floor_of_iterations_is_what_is_configured() {
    for (iterations, options, is_in) in [
        (4095, "", false),
        (4095, "scram_min_iterations=4095", true),
        (4096, "", true),
        (4096, "scram_min_iterations=10000", false),
    ] {
        let server = ScriptedServer::serve(Listen::Tcp, async move |mut session: Session| {
            let scram = ScramServer {
                iterations,
                ..ScramServer::new("secret")
            };
            session.startup_scram(&scram).await.map(|_| ())
        });
        let result = connect(&server.url(), options).await;
        assert_eq!(result.is_ok(), is_in, "{iterations} {options}: {result:?}");
    }
}

/// What the server asks for that this driver doesn't have is named, with what it has.
#[tokio::test]
async fn unsupported_methods_are_named() {
    for (request, name) in [
        ("AuthenticationGSS", "GSSAPI"),
        ("AuthenticationSSPI", "SSPI"),
        ("AuthenticationKerberosV5", "Kerberos"),
        ("AuthenticationSASL [\"OAUTHBEARER\"]", "OAUTHBEARER"),
    ] {
        let (answer, error) = answer(request, "").await;
        assert_eq!(answer, None, "{request}");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{request}: {error}");
        let text = error.to_string();
        assert!(
            text.contains(name) && text.contains("SCRAM-SHA-256"),
            "{text}"
        );
    }
}

/// As libpq has it, an empty password is none.
#[tokio::test]
async fn an_empty_password_is_none() {
    for request in [
        "AuthenticationCleartextPassword",
        "AuthenticationMD5Password x01020304",
        "AuthenticationSASL [\"SCRAM-SHA-256\"]",
    ] {
        let server = ScriptedServer::serve(Listen::Unix, async move |mut session: Session| {
            session.startup().await?;
            session.say(request).await?;
            match session.receive_or_end().await? {
                None => Ok(()),
                Some(message) => Err(ScriptError(format!("{message} was sent"))),
            }
        });
        let target = support::address::Target::from_url(&server.url());
        let config = Config::new()
            .host(target.address.host())
            .port(target.address.port())
            .user("kornak")
            .password("")
            .environment(Environment::empty());
        let error = Connection::connect(config).await.expect_err("no password");
        assert_eq!(error.kind(), ErrorKind::Config, "{request}: {error}");
    }
}

#[tokio::test]
async fn keys_stand_in_for_the_password() {
    let mut admin = RawClient::connect(&role_tcp_target(Role::Kornak)).expect("the superuser");
    let verifier = admin.value("select rolpassword from pg_authid where rolname = 'kornak_scram'");
    let salted = verifier.split('$').nth(1).expect("iterations and salt");
    let (iterations, salt) = salted.split_once(':').expect("iterations and salt");
    let salt = support::scram::base64_decode(salt).expect("a salt");
    let iterations = iterations.parse().expect("a number");
    let keys = support::scram::Keys::derive(xtask::server::PASSWORD, &salt, iterations);

    let target = role_tcp_target(Role::Scram);
    let base = Config::new()
        .host(target.address.host())
        .port(target.address.port())
        .user("kornak_scram")
        .dbname("kornak")
        .environment(Environment::empty());
    let config = base.clone().scram_keys(keys.client, keys.server);
    let mut connection = Connection::connect(config)
        .await
        .expect("the keys are right");
    let user: String = connection
        .fetch_one("select current_user::text", ())
        .await
        .unwrap();
    assert_eq!(user, "kornak_scram");

    let config = base.clone().scram_keys([7; 32], keys.server);
    let error = Connection::connect(config)
        .await
        .expect_err("a wrong client key");
    assert_eq!(
        error.sqlstate(),
        Some(SqlState::INVALID_PASSWORD),
        "{error}"
    );
    let config = base.scram_keys(keys.client, [7; 32]);
    let error = Connection::connect(config)
        .await
        .expect_err("a wrong server key");
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
}

#[tokio::test]
async fn r39_the_error_of_a_wrong_password_says_where_it_came_from() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = support::temporary::TemporaryDirectory::new();
    let path = folder.path().join("pgpass");
    std::fs::write(&path, "*:*:*:*:not-the-password\n").expect("a file");
    let target = role_tcp_target(Role::Scram);
    let url = format!(
        "postgres://kornak_scram@{}:{}/kornak",
        target.address.host(),
        target.address.port()
    );
    let options = format!("passfile={}", path.display());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    let error = connect(&url, &options).await.expect_err("a wrong password");
    assert_eq!(error.sqlstate(), Some(SqlState::INVALID_PASSWORD));
    assert!(error.to_string().contains("password file"), "{error}");
    assert!(!error.to_string().contains("not-the-password"), "{error}");

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    let error = connect(&url, &options).await.expect_err("no password");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.to_string().contains(&*path.to_string_lossy()),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_hangs_up_gives_its_reason() {
    let server = ScriptedServer::serve(Listen::Tcp, async |mut session: Session| {
        session.startup().await?;
        session
            .send(&backend::fatal("53300", "sorry, too many clients already"))
            .await
    });
    let error = connect(&server.url(), "").await.expect_err("it is full");
    assert_eq!(
        error.sqlstate(),
        Some(SqlState::TOO_MANY_CONNECTIONS),
        "{error}"
    );
    assert_eq!(error.outcome(), kornak::error::Outcome::NotRun);
}
