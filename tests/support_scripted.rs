//! The scripted server, against clients that are known to be right: the server's own `psql`
//! and the plain client of these tests.

use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

use support::address::Target;
use support::deadline::{GENEROUS, blocking, within};
use support::dialogue::{Dialogue, backend, frontend};
use support::raw::{RawClient, RawError};
use support::scripted::{
    ChannelBinding, Listen, ScramFault, ScramServer, ScriptError, ScriptedServer, Session, Stage,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use xtask::server::Server;

mod support;

/// Runs `psql` over `sql`.
async fn psql(server: &ScriptedServer, sql: &str, options: &str) -> Output {
    let beside = Server::cluster_for_tests().bin_dir().join("psql");
    let program = if beside.is_file() {
        beside
    } else {
        PathBuf::from("psql")
    };
    let address = server.address();
    let connection = format!(
        "host={} port={} user=kornak password=secret dbname=kornak gssencmode=disable {options}",
        address.host(),
        address.port()
    );
    let mut command = Command::new(program);
    command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql, &connection]);
    // No PGHOST, no password file and the like.
    command.env_clear().env("HOME", "/nonexistent");
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let ended = within(GENEROUS, "psql", command.output()).await;
    ended.expect("psql runs")
}

fn output(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The plain client, which blocks, beside a script.
async fn connect_raw(server: &ScriptedServer) -> Result<RawClient, RawError> {
    let target = Target::from_url(&server.url());
    blocking(move || RawClient::connect(&target)).await
}

async fn answer_one(session: &mut Session) -> Result<(), ScriptError> {
    session.expect_query("select 1").await?;
    session
        .say(
            r#"RowDescription [("a" 0 0 int4 4 -1 0)]
               DataRow ["1"]
               CommandComplete "SELECT 1"
               ReadyForQuery I"#,
        )
        .await?;
    session.expect_end().await
}

#[tokio::test]
async fn psql_takes_it_for_a_server() {
    for listen in [Listen::Tcp, Listen::Unix] {
        let mut server = ScriptedServer::start(listen, async |acceptor| {
            let mut session = acceptor.accept().await?;
            let startup = session.startup_trust().await?;
            assert_eq!(startup.pair("user"), Some(&b"kornak"[..]));
            answer_one(&mut session).await
        });
        let ended = psql(&server, "select 1", "sslmode=prefer").await;
        assert_eq!(output(&ended), "1\n", "{}", complaint(&ended));
        assert_eq!(server.connections(), 1);
        let transcript = server.transcript();
        assert!(
            transcript.contains("F Query \"select 1\"\n"),
            "{transcript}"
        );
        server.finish().await;
        assert!(
            server
                .received(0)
                .ends_with(&frontend::terminate().to_bytes())
        );
    }
}

#[tokio::test]
async fn every_way_of_sending_is_understood() {
    for size in [1, 2, 7] {
        let mut server = ScriptedServer::start(Listen::Tcp, async move |acceptor| {
            let mut session = acceptor.accept().await?;
            session.set_write_size(size);
            session.startup_trust().await?;
            answer_one(&mut session).await
        });
        let ended = psql(&server, "select 1", "").await;
        assert_eq!(output(&ended), "1\n", "{}", complaint(&ended));
        server.finish().await;
    }
}

#[tokio::test]
async fn right_passwords_get_in() {
    for method in ["cleartext", "md5", "scram"] {
        let start = || {
            ScriptedServer::start(Listen::Tcp, async move |acceptor| {
                let mut session = acceptor.accept().await?;
                match method {
                    "cleartext" => session.startup_cleartext("secret").await.map(|_| ())?,
                    "md5" => session
                        .startup_md5("secret", [1, 2, 3, 4])
                        .await
                        .map(|_| ())?,
                    _ => {
                        let report = session.startup_scram(&ScramServer::new("secret")).await?;
                        assert_eq!(report.stage, Stage::Done);
                        assert_eq!(report.mechanism.as_deref(), Some("SCRAM-SHA-256"));
                        assert_eq!(report.header.as_deref(), Some("n,,"));
                    }
                }
                answer_one(&mut session).await
            })
        };
        let mut server = start();
        let ended = psql(&server, "select 1", "sslmode=disable").await;
        assert_eq!(output(&ended), "1\n", "{method}: {}", complaint(&ended));
        server.finish().await;

        let mut server = start();
        let mut client = connect_raw(&server).await.expect(method);
        let one = blocking(move || client.value("select 1")).await;
        assert_eq!(one, "1", "{method}");
        server.finish().await;
    }
}

#[tokio::test]
async fn wrong_passwords_do_not() {
    let mut server = ScriptedServer::start(Listen::Tcp, async |acceptor| {
        let mut errors = Vec::new();
        let mut session = acceptor.accept().await?;
        errors.push(session.startup_cleartext("other").await.map(|_| ()));
        let mut session = acceptor.accept().await?;
        errors.push(session.startup_md5("other", [9; 4]).await.map(|_| ()));
        let mut session = acceptor.accept().await?;
        let scram = ScramServer::new("other");
        errors.push(session.startup_scram(&scram).await.map(|_| ()));
        for error in errors {
            let ScriptError(why) = error.expect_err("the password is wrong");
            assert!(why.starts_with("a wrong password: "), "{why}");
        }
        Ok(())
    });
    for _ in 0..3 {
        let error = connect_raw(&server)
            .await
            .expect_err("the password is wrong");
        assert_eq!(error.code(), Some("28P01"), "{error}");
    }
    server.finish().await;
}

/// libpq refuses each of these, and how far it went along shows that the fault was there.
/// What it lets pass depends on its version: being let in without the server's proof.
#[tokio::test]
async fn libpq_refuses_what_no_server_should_do() {
    let text = |text: &str| text.to_owned();
    let cases = [
        (ScramFault::FinalForContinue, Stage::First),
        (ScramFault::ForeignNonce, Stage::First),
        (ScramFault::First(text("r={nonce},i=4096")), Stage::First),
        (
            ScramFault::First(text("r={nonce},s=!,i=4096")),
            Stage::First,
        ),
        (
            ScramFault::First(text("r={nonce},s=c2FsdA==,i=0")),
            Stage::First,
        ),
        (ScramFault::First(text("")), Stage::First),
        (ScramFault::WrongSignature, Stage::Proof),
        (ScramFault::ErrorForSignature, Stage::Proof),
        (ScramFault::Final(text("v=")), Stage::Proof),
        (ScramFault::Final(text("{signature}")), Stage::Proof),
    ];
    for (fault, stage) in cases {
        let scram = ScramServer::new("secret").with_fault(fault.clone());
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let mut server = ScriptedServer::start(Listen::Tcp, async move |acceptor| {
            let mut session = acceptor.accept().await?;
            let report = session.startup_scram(&scram).await?;
            tell.send(report).expect("the test waits");
            session.expect_end().await
        });
        let ended = psql(&server, "select 1", "").await;
        let complaint = complaint(&ended);
        assert!(!ended.status.success(), "{fault:?} was accepted");
        assert!(!complaint.is_empty());
        server.finish().await;
        let report = told.recv().expect("a report");
        // Whether the server was done before the client left is a race.
        assert_eq!(
            report.stage.min(Stage::Proof),
            stage,
            "{fault:?}: {complaint}"
        );
    }
}

/// The faults that libpq lets pass are there all the same: the bytes show them.
#[tokio::test]
async fn every_fault_is_on_the_wire() {
    let cases = [
        (ScramFault::SkipAll, "StartupMessage\nAuthenticationOk\n"),
        (
            ScramFault::DoubledContinue,
            "SASLInitialResponse\nAuthenticationSASLContinue\nAuthenticationSASLContinue\n",
        ),
        (
            ScramFault::DoubledFinal,
            "AuthenticationSASLFinal\nAuthenticationSASLFinal\nAuthenticationOk\nParameterStatus\n",
        ),
        (
            ScramFault::DoubledOk,
            "AuthenticationSASLFinal\nAuthenticationOk\nAuthenticationOk\nParameterStatus\n",
        ),
        (
            ScramFault::SkipOk,
            "SASLResponse\nAuthenticationSASLFinal\nParameterStatus\n",
        ),
        (
            ScramFault::SkipFinal,
            "SASLResponse\nAuthenticationOk\nParameterStatus\n",
        ),
        (
            ScramFault::OkBeforeFinal,
            "SASLResponse\nAuthenticationOk\nAuthenticationSASLFinal\nParameterStatus\n",
        ),
        (
            ScramFault::RequestAgain,
            "SASLInitialResponse\nAuthenticationSASL\n",
        ),
        (
            ScramFault::AskCleartext,
            "SASLInitialResponse\nAuthenticationCleartextPassword\n",
        ),
        (
            ScramFault::SkipContinue,
            "SASLInitialResponse\nAuthenticationOk\nParameterStatus\n",
        ),
        (
            ScramFault::FinalForContinue,
            "SASLInitialResponse\nAuthenticationSASLFinal\nAuthenticationOk\nParameterStatus\n",
        ),
    ];
    for (fault, part) in cases {
        let scram = ScramServer::new("secret").with_fault(fault.clone());
        let mut server = ScriptedServer::start(Listen::Tcp, async move |acceptor| {
            let mut session = acceptor.accept().await?;
            // Whatever the client makes of it.
            let _ = session.startup_scram(&scram).await;
            Ok(())
        });
        // Whatever comes of it.
        let _ = connect_raw(&server).await;
        server.finish().await;
        let transcript = server.transcript();
        let names: String = transcript
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .map(|name| format!("{name}\n"))
            .collect();
        assert!(names.contains(part), "{fault:?}:\n{transcript}");
    }
    let scram = ScramServer::new("secret").with_fault(ScramFault::BareNonce);
    let server = ScriptedServer::start(Listen::Tcp, async move |acceptor| {
        let mut session = acceptor.accept().await?;
        session.startup_scram(&scram).await.map(|_| ())
    });
    connect_raw(&server)
        .await
        .expect("the plain client does not look");
    let transcript = server.transcript();
    let nonce = |after: &str| {
        let (_, rest) = transcript.split_once(after).expect("a nonce");
        rest.split([',', '"']).next().expect("a nonce").to_owned()
    };
    assert_eq!(nonce("n,,n=,r="), nonce("AuthenticationSASLContinue \"r="));
}

/// A client that binds to the channel, with the right and with other data (RFC 5802,
/// section 6); it is written out here, as no other client can do it without TLS.
#[tokio::test]
async fn channel_binding_is_checked() {
    use support::scram::{Keys, attribute, base64_decode, base64_encode};

    for (data, is_right) in [(&b"channel"[..], true), (b"another", false)] {
        let scram = ScramServer {
            mechanisms: vec!["SCRAM-SHA-256-PLUS".to_owned()],
            channel_binding: Some(ChannelBinding {
                kind: "tls-server-end-point".to_owned(),
                data: b"channel".to_vec(),
            }),
            ..ScramServer::new("secret")
        };
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let server = ScriptedServer::start(Listen::Tcp, async move |acceptor| {
            let mut session = acceptor.accept().await?;
            tell.send(session.startup_scram(&scram).await)
                .expect("the test waits");
            Ok(())
        });
        let mut stream = server.address().connect(None).await.expect("it listens");
        let mut exchange = async |message: support::dialogue::Message, answer: &str| {
            stream
                .write_all(&message.to_bytes())
                .await
                .expect("it is open");
            let mut decoder = support::dialogue::Decoder::started(support::dialogue::Side::Backend);
            loop {
                if let Some(message) = decoder.next_message() {
                    assert_eq!(message.name(), answer);
                    return message;
                }
                let mut byte = [0];
                stream.read_exact(&mut byte).await.expect("an answer");
                decoder.feed(&byte);
            }
        };
        exchange(
            frontend::startup(&[("user", "kornak")]),
            "AuthenticationSASL",
        )
        .await;
        let header = "p=tls-server-end-point,,";
        let first = frontend::sasl_initial_response(
            "SCRAM-SHA-256-PLUS",
            format!("{header}n=,r=abc").as_bytes(),
        );
        let server_first = exchange(first, "AuthenticationSASLContinue").await;
        let server_first = server_first.text(0);
        let bound = [header.as_bytes(), data].concat();
        let nonce = attribute(server_first, 'r').expect("a nonce");
        let without_proof = format!("c={},r={nonce}", base64_encode(&bound));
        let salt = attribute(server_first, 's').and_then(base64_decode);
        let keys = Keys::derive("secret", &salt.expect("a salt"), 4096);
        let auth_message = format!("n=,r=abc,{server_first},{without_proof}");
        let proof = base64_encode(&keys.client_proof(auth_message.as_bytes()));
        let last = frontend::sasl_response(format!("{without_proof},p={proof}").as_bytes());
        if is_right {
            exchange(last, "AuthenticationSASLFinal").await;
            let report = told.recv().expect("a report").expect("it is right");
            assert_eq!(report.header.as_deref(), Some(header));
            assert_eq!(report.stage, Stage::Done);
        } else {
            stream
                .write_all(&last.to_bytes())
                .await
                .expect("it is open");
            let ScriptError(why) = told.recv().expect("a report").expect_err("it is wrong");
            assert!(why.starts_with("the channel binding is another"), "{why}");
        }
    }
}

#[tokio::test]
async fn an_ssl_request_gets_the_answer_that_was_set() {
    for answer in [&b"S\x15\x03garbage"[..], b"X", b"E\0\0\0\x09Mno\0\0"] {
        let mut server = ScriptedServer::start(Listen::Tcp, async move |acceptor| {
            let mut session = acceptor.accept().await?;
            session.set_ssl_answer(answer);
            let request = session.startup().await?;
            assert_eq!(request.name(), "SSLRequest");
            session.close().await?;
            session.hold().await.map(|_| ())
        });
        let ended = psql(&server, "select 1", "sslmode=require").await;
        assert!(!ended.status.success());
        server.finish().await;
    }
}

#[tokio::test]
async fn a_dialogue_is_played() {
    let dialogue = Dialogue::parse(
        "played.txt",
        r#"
            F StartupMessage 3.0 user="kornak" database="kornak" application_name=$application
            B AuthenticationOk
            B ReadyForQuery I
            F Query "select ${what}"
            B RowDescription [("a" 0 0 text -1 -1 0)]
            B DataRow [$what]
            B DataRow [$application]
            B CommandComplete "SELECT 2"
            B ReadyForQuery I
            F Terminate
            F eof
            B eof
        "#
        .replace("            ", "")
        .as_str(),
    )
    .expect("a dialogue");
    let mut server = ScriptedServer::start(Listen::Unix, async move |acceptor| {
        acceptor.accept().await?.play(&dialogue).await
    });
    let mut client = connect_raw(&server).await.expect("it is let in");
    let rows = blocking(move || client.column("select 42")).await;
    assert_eq!(rows, ["42", "kornak-tests-observer"]);
    server.finish().await;
}

#[tokio::test]
#[should_panic = "the script: played.txt:3: the frontend sent something else\n  - F Query \
                  \"select 1\"\n  + F Query \"select 2\""]
async fn a_dialogue_that_goes_otherwise_is_told() {
    let dialogue = Dialogue::parse(
        "played.txt",
        "F StartupMessage $_ user=$_ database=$_ application_name=$_\n\
         B AuthenticationOk\nB ReadyForQuery I\nF Query \"select 1\"",
    );
    // The numbers of lines count from where the text begins.
    let mut dialogue = dialogue.expect("a dialogue");
    if let Some(support::dialogue::Step::Expect(lines)) = dialogue.steps.last_mut() {
        lines[0].number = 3;
    }
    let mut server = ScriptedServer::start(Listen::Tcp, async move |acceptor| {
        acceptor.accept().await?.play(&dialogue).await
    });
    let mut client = connect_raw(&server).await.expect("it is let in");
    let query = blocking(move || client.query("select 2").map(|_| ())).await;
    query.expect_err("no answer");
    server.finish().await;
}

#[tokio::test]
#[should_panic = "the script: Query \"select 1\" was expected: Query \"select 2\""]
async fn another_query_is_told() {
    let mut server = ScriptedServer::start(Listen::Tcp, async |acceptor| {
        let mut session = acceptor.accept().await?;
        session.startup_trust().await?;
        session.expect_query("select 1").await
    });
    let mut client = connect_raw(&server).await.expect("it is let in");
    let query = blocking(move || client.query("select 2").map(|_| ())).await;
    query.expect_err("no answer");
    server.finish().await;
}

#[tokio::test]
#[should_panic = "the script: waited 20ms for a message of the frontend"]
async fn a_script_that_waits_in_vain_ends() {
    let mut server = ScriptedServer::start(Listen::Tcp, async |acceptor| {
        let mut session = acceptor.accept().await?;
        session.set_limit(Duration::from_millis(20));
        session.startup().await.map(|_| ())
    });
    let stream = server.address().connect(None).await.expect("it listens");
    server.finish().await;
    drop(stream);
}

#[tokio::test]
#[should_panic = "the script panicked"]
async fn a_script_that_panics_is_told() {
    let mut server = ScriptedServer::start(Listen::Tcp, async |acceptor| {
        acceptor.accept().await?;
        panic!("on purpose");
    });
    let stream = server.address().connect(None).await.expect("it listens");
    server.finish().await;
    drop(stream);
}

#[tokio::test]
async fn endless_messages_end_when_the_client_leaves() {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let mut server = ScriptedServer::start(Listen::Tcp, async move |acceptor| {
        let mut session = acceptor.accept().await?;
        session.startup().await?;
        let notice = backend::notice_response(&[('M', "again")]);
        let sent = session.send_endlessly(&notice).await?;
        tell.send(sent).expect("the test waits");
        Ok(())
    });
    let mut stream = server.address().connect(None).await.expect("it listens");
    let startup = frontend::startup(&[("user", "kornak")]).to_bytes();
    stream.write_all(&startup).await.expect("it is open");
    // Whatever the size of a read and of a write is, the messages stay whole.
    let notice = backend::notice_response(&[('M', "again")]).to_bytes();
    let mut bytes = vec![0; notice.len() * 100_000];
    let read = within(GENEROUS, "notices", stream.read_exact(&mut bytes));
    read.await.expect("so many of them");
    assert!(bytes.chunks(notice.len()).all(|chunk| chunk == notice));
    drop(stream);
    assert!(told.recv().expect("a number") >= bytes.len());
    server.finish().await;
}

#[tokio::test]
async fn many_connections_are_served_at_the_same_time() {
    let server = ScriptedServer::serve(Listen::Unix, async |mut session: Session| {
        session.startup_trust().await?;
        answer_one(&mut session).await
    });
    // All are open before the first asks.
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(connect_raw(&server).await.expect("it is let in"));
    }
    for mut client in clients {
        let one = blocking(move || client.value("select 1")).await;
        assert_eq!(one, "1");
    }
    assert_eq!(server.connections(), 8);
}

#[tokio::test]
async fn a_session_can_end_in_each_way() {
    let mut server = ScriptedServer::start(Listen::Tcp, async |acceptor| {
        let mut session = acceptor.accept().await?;
        session.send_bytes(b"bye").await?;
        session.close().await?;
        session.expect_end().await?;
        acceptor.accept().await?.reset();
        let mut session = acceptor.accept().await?;
        assert_eq!(session.hold().await?, 5);
        Ok(())
    });
    let mut bytes = Vec::new();
    let mut stream = server.address().connect(None).await.expect("it listens");
    stream
        .read_to_end(&mut bytes)
        .await
        .expect("an orderly end");
    assert_eq!(bytes, b"bye");
    drop(stream);

    let reset = match server.address().connect(None).await {
        Ok(mut stream) => stream.read_u8().await.expect_err("it is reset"),
        Err(error) => error,
    };
    assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);

    let mut stream = server.address().connect(None).await.expect("it listens");
    stream.write_all(b"hello").await.expect("it is open");
    drop(stream);
    server.finish().await;
}

#[tokio::test]
async fn dropping_the_server_ends_its_script() {
    let server = ScriptedServer::start(Listen::Tcp, async |acceptor| {
        let mut session = acceptor.accept().await?;
        session.hold().await.map(|_| ())
    });
    let mut stream = server.address().connect(None).await.expect("it listens");
    let started = Instant::now();
    drop(server);
    let mut bytes = Vec::new();
    // An end or a reset: it is gone.
    let _ = within(GENEROUS, "the end", stream.read_to_end(&mut bytes)).await;
    assert!(started.elapsed() < GENEROUS);
}
