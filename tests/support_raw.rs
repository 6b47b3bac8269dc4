//! The plain client, against a real server.

use support::deadline::GENEROUS;
use support::raw::{RawClient, RawError};
use support::{scram, server};
use xtask::server::Role;

mod support;

#[test]
fn each_method_of_authentication_lets_it_in() {
    for role in [
        Role::Kornak,
        Role::Trust,
        Role::Md5,
        Role::Cleartext,
        Role::Scram,
    ] {
        for target in [server::role_target(role), server::role_tcp_target(role)] {
            let mut client = RawClient::connect(&target)
                .unwrap_or_else(|error| panic!("{role:?} at {}: {error}", target.address));
            assert_eq!(client.value("select current_user"), role.name());
        }
    }
}

#[test]
fn a_wrong_password_is_refused() {
    for role in [Role::Md5, Role::Cleartext, Role::Scram] {
        let mut target = server::role_tcp_target(role);
        target.password = Some("not it".to_owned());
        let error = RawClient::connect(&target).expect_err("the password is wrong");
        assert_eq!(error.code(), Some("28P01"), "{role:?}: {error}");
    }
    let error = RawClient::connect(&server::role_target(Role::Reject)).expect_err("refused");
    assert_eq!(error.code(), Some("28000"), "{error}");
}

#[test]
fn rows_and_errors_are_what_the_server_says() {
    let mut client = RawClient::of_tests();
    let rows = client
        .query("select n, nullif(n, 2) from generate_series(1, 3) n")
        .expect("rows");
    let expected = [("1", Some("1")), ("2", None), ("3", Some("3"))]
        .map(|(first, second)| vec![Some(first.to_owned()), second.map(str::to_owned)]);
    assert_eq!(rows, expected);
    assert_eq!(client.column("select 1; select 2"), ["2"]);
    assert_eq!(client.column("select 1 where false"), [""; 0]);
    assert_eq!(client.column("-- nothing"), [""; 0]);

    let error = client.query("select 1; select 1/0").expect_err("an error");
    assert_eq!(error.code(), Some("22012"), "{error}");
    assert_eq!(client.status(), 'I');
    client.execute("begin");
    assert_eq!(client.status(), 'T');
    client.query("select x").expect_err("no such column");
    assert_eq!(client.status(), 'E');
    client.execute("rollback");
    assert_eq!(client.value("select $$it works$$"), "it works");

    client.execute("set timezone = 'Asia/Kolkata'");
    assert_eq!(client.parameter("TimeZone"), Some("Asia/Kolkata"));
}

#[test]
fn a_session_ends_when_it_is_told_to() {
    let mut observer = RawClient::of_tests();
    let mut victim = RawClient::of_tests();
    let process = victim.process();
    let sessions = format!("select count(*) from pg_stat_activity where pid = {process}");
    assert_eq!(observer.value(&sessions), "1");
    observer.terminate(process);
    assert_eq!(observer.value(&sessions), "0");
    match victim.query("select 1") {
        Err(RawError::Server { severity, code, .. }) => {
            assert_eq!((&*severity, &*code), ("FATAL", "57P01"));
        }
        other => panic!("it is gone: {other:?}"),
    }
}

#[test]
fn a_cancel_request_ends_the_statement() {
    let mut client = RawClient::of_tests();
    let cancel = client.cancel_token();
    let process = client.process();
    let canceller = std::thread::spawn(move || {
        let mut observer = RawClient::of_tests();
        observer.wait_for(&format!(
            "exists (select from pg_stat_activity where pid = {process} and state = 'active' \
             and query like 'select pg_sleep%')"
        ));
        cancel().expect("the server takes it");
    });
    let error = client
        .query(&format!("select pg_sleep({})", GENEROUS.as_secs()))
        .expect_err("it is cancelled");
    assert_eq!(error.code(), Some("57014"), "{error}");
    canceller.join().expect("it did not panic");
}

/// RFC 7677, section 3, and the manual's `md5`.
#[test]
fn the_digests_are_those_of_the_standards() {
    let salt = scram::base64_decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
    let keys = scram::Keys::derive("pencil", &salt, 4096);
    let auth_message = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
        r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
        c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
        .as_bytes();
    let proof = keys.client_proof(auth_message);
    assert_eq!(
        scram::base64_encode(&proof),
        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    );
    assert_eq!(
        scram::base64_encode(&keys.server_signature(auth_message)),
        "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    );
    assert!(keys.proves(&proof, auth_message));
    assert!(!keys.proves(&proof, b"another message"));
    assert!(!keys.proves(&proof[1..], auth_message));

    for (bytes, text) in [
        (&b""[..], ""),
        (b"f", "Zg=="),
        (b"fo", "Zm8="),
        (b"foo", "Zm9v"),
        (b"foobar", "Zm9vYmFy"),
    ] {
        assert_eq!(scram::base64_encode(bytes), text);
        assert_eq!(scram::base64_decode(text).as_deref(), Some(bytes));
    }
    for wrong in ["Zg", "Zg=", "Zh==", "Z", "Zm9v!", "=Zg="] {
        assert_eq!(scram::base64_decode(wrong), None, "{wrong}");
    }
    let mut client = RawClient::of_tests();
    let server = client.value(r"select 'md5' || md5(md5('pwme')::bytea || '\x01020304'::bytea)");
    assert_eq!(scram::md5_password("me", "pw", [1, 2, 3, 4]), server);
}
