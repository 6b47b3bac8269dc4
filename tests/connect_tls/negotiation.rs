//! What comes before TLS, and the versions of the protocol, from servers that say what they
//! like.

use kornak::config::ProtocolVersion;
use support::dialogue::backend;
use support::scripted::{Listen, ScriptError, ScriptedServer, Session};

use super::*;

fn config_of(server: &ScriptedServer) -> Config {
    Config::new()
        .host(server.address().host())
        .port(server.address().port())
        .user("kornak")
        .password("secret")
        .dbname("kornak")
        .environment(Environment::empty())
}

/// A server that answers the request for TLS with these bytes, and hangs up.
fn answering(answer: &'static [u8]) -> ScriptedServer {
    ScriptedServer::serve(Listen::Tcp, async move |mut session: Session| {
        session.set_ssl_answer(answer);
        let message = session.startup().await?;
        match message.name() {
            "SSLRequest" => session.close().await,
            _ => {
                session
                    .say("AuthenticationOk\nBackendKeyData 1 \"abcd\"\nReadyForQuery I")
                    .await
            }
        }
    })
}

#[tokio::test]
async fn s16_plaintext_behind_the_answer_is_refused_in_each_mode() {
    for mode in [SslMode::Prefer, SslMode::Require, SslMode::VerifyCa] {
        let authority = Authority::new();
        let server = answering(b"S\x16\x03\x03\0\x01\0");
        let config = config_of(&server)
            .sslmode(mode)
            .sslrootcert(authority.root_file());
        let error = connect(config).await.expect_err("somebody has added bytes");
        assert_eq!(error.kind(), ErrorKind::Protocol, "{mode}: {error}");
        assert_eq!(
            server.connections(),
            1,
            "{mode}: and it is not tried again without TLS"
        );
    }
}

#[tokio::test]
async fn s29_an_answer_without_end_is_refused_at_once() {
    for byte in [b'S', b'N', b'E', b'x'] {
        let server = ScriptedServer::serve(Listen::Tcp, async move |mut session: Session| {
            session.receive().await?;
            // Until the client hangs up.
            while session.send_bytes(&[byte; 4096]).await.is_ok() {}
            Ok(())
        });
        let error = connect(config_of(&server).sslmode(SslMode::Require))
            .await
            .expect_err("it is no answer");
        let kind = if byte == b'E' {
            ErrorKind::Tls
        } else {
            ErrorKind::Protocol
        };
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().len() < 500);
    }
}

#[tokio::test]
async fn s17_an_error_before_tls_is_not_shown_in_any_mode() {
    const LIE: &[u8] = b"E\0\0\0\x21SFATAL\0C28P01\0Mtype rm -rf /\0\0";
    for (mode, connections) in [(SslMode::Prefer, 2), (SslMode::Require, 1)] {
        let server = answering(LIE);
        match connect(config_of(&server).sslmode(mode)).await {
            Ok(_) => assert_eq!(mode, SslMode::Prefer, "it may go on without TLS"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
                assert!(
                    !format!("{error:#} {error:?}").contains("rm -rf"),
                    "{error}"
                );
                assert_eq!(error.sqlstate(), None);
            }
        }
        assert_eq!(server.connections(), connections, "{mode}");
    }
}

#[tokio::test]
async fn s19_other_answers_lead_to_nothing_weaker() {
    for (answer, kinds) in [
        (&b"N"[..], &[ErrorKind::Tls][..]),
        (b"X", &[ErrorKind::Protocol]),
        (b"HTTP/1.1 400 Bad Request\r\n", &[ErrorKind::Protocol]),
        (b"S", &[ErrorKind::Io, ErrorKind::Tls]),
        (b"", &[ErrorKind::Io]),
    ] {
        for mode in [SslMode::Require, SslMode::VerifyCa, SslMode::VerifyFull] {
            let authority = Authority::new();
            let server = ScriptedServer::serve(Listen::Tcp, async move |mut session: Session| {
                let request = session.receive().await?;
                session.send_bytes(answer).await?;
                if answer != b"N" {
                    return session.close().await;
                }
                match session.receive_or_end().await? {
                    None => Ok(()),
                    Some(message) => Err(ScriptError(format!("{message} after {request}"))),
                }
            });
            let config = config_of(&server)
                .sslmode(mode)
                .sslrootcert(authority.root_file());
            let error = connect(config).await.expect_err("no TLS");
            assert!(
                kinds.contains(&error.kind()),
                "{answer:?} {mode}: {error:?}"
            );
            assert_eq!(server.connections(), 1, "{answer:?} {mode}");
            assert!(!server.transcript().contains("StartupMessage"));
        }
    }
}

/// The weak modes go on without TLS where the server has none, and where an answer is no
/// PostgreSQL's they don't.
#[tokio::test]
async fn s19_other_answers_to_the_weak_modes() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Answer {
        Unwilling,
        Garbage,
        End,
        Reset,
    }

    for answer in [
        Answer::Unwilling,
        Answer::Garbage,
        Answer::End,
        Answer::Reset,
    ] {
        for (mode, expected) in [
            (SslMode::Disable, None),
            (SslMode::Allow, None),
            (
                SslMode::Prefer,
                match answer {
                    Answer::Unwilling => None,
                    Answer::Garbage => Some(ErrorKind::Protocol),
                    Answer::End | Answer::Reset => Some(ErrorKind::Io),
                },
            ),
        ] {
            let server = ScriptedServer::serve(Listen::Tcp, async move |mut session: Session| {
                let mut message = session.receive().await?;
                if message.name() == "SSLRequest" {
                    match answer {
                        Answer::Unwilling => session.send_bytes(b"N").await?,
                        Answer::Garbage => return session.send_bytes(b"SSH-2.0-x").await,
                        Answer::End => return session.close().await,
                        Answer::Reset => {
                            session.reset();
                            return Ok(());
                        }
                    }
                    message = session.receive().await?;
                }
                if message.name() != "StartupMessage" {
                    return Err(ScriptError(format!("{message} is out of place")));
                }
                session.say("AuthenticationOk").await?;
                session.welcome().await
            });
            let result = connect(config_of(&server).sslmode(mode)).await;
            let kind = result.as_ref().err().map(kornak::Error::kind);
            assert_eq!(kind, expected, "{answer:?} {mode}: {result:?}");
            assert_eq!(server.connections(), 1, "{answer:?} {mode}");
            let asked = server.transcript().contains("SSLRequest");
            assert_eq!(asked, mode == SslMode::Prefer, "{answer:?} {mode}");
        }
    }
}

/// `prefer` goes on without TLS after a failed handshake, and `allow` with it after a refusal
/// for want of an entry in pg_hba.conf; a wrong password stays wrong.
#[tokio::test]
async fn s19_prefer_and_allow_try_again_as_libpq_does() {
    let hangs_up = answering(b"S");
    connect(config_of(&hangs_up).sslmode(SslMode::Prefer))
        .await
        .expect("without TLS");
    assert_eq!(hangs_up.connections(), 2);

    for (code, connections) in [("28000", 2), ("28P01", 1), ("3D000", 1)] {
        for mode in [SslMode::Allow, SslMode::Prefer] {
            let server = ScriptedServer::serve(Listen::Tcp, async move |mut session: Session| {
                session.startup().await?;
                session.send(&backend::fatal(code, "no")).await
            });
            let error = connect(config_of(&server).sslmode(mode))
                .await
                .expect_err("refused");
            assert!(
                error.sqlstate().is_some() || mode == SslMode::Allow,
                "{error}"
            );
            assert_eq!(server.connections(), connections, "{mode} {code}: {error}");
        }
    }
}

#[tokio::test]
async fn s22_cancel_keys_of_every_length() {
    for (length, is_fine) in [
        (0, false),
        (3, false),
        (4, true),
        (32, true),
        (256, true),
        (257, false),
    ] {
        let key: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
        let sent = key.clone();
        let mut server = ScriptedServer::start(Listen::Tcp, async move |acceptor| {
            let mut session = acceptor.accept().await?;
            session.set_key_data(77, &sent);
            session.startup_trust().await?;
            if !is_fine {
                return session.expect_end().await;
            }
            let mut cancel = acceptor.accept().await?;
            let message = cancel.startup().await?;
            if message.name() != "CancelRequest" {
                return Err(ScriptError(format!("{message} is no CancelRequest")));
            }
            cancel.close().await
        });
        let config = config_of(&server).sslmode(SslMode::Disable);
        let config = config.max_protocol_version(ProtocolVersion::V3_2);
        match connect(config).await {
            Ok(connection) => {
                assert!(is_fine, "a key of {length} bytes was taken");
                connection
                    .cancel_token()
                    .cancel()
                    .await
                    .expect("it is sent");
                let request = server.received(1);
                assert_eq!(request[12..], key, "{length}");
            }
            Err(error) => {
                assert!(!is_fine, "{length}: {error}");
                assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
            }
        }
        server.finish().await;
    }
}

#[tokio::test]
async fn s22_negotiation_of_the_version() {
    use ProtocolVersion::{V3_0, V3_2};

    for (offer, min, max, expected) in [
        ("NegotiateProtocolVersion 196608 []", V3_0, V3_2, None),
        (
            "NegotiateProtocolVersion 196608 []",
            V3_2,
            V3_2,
            Some(ErrorKind::Unsupported),
        ),
        // Nothing was asked for that could be lowered.
        (
            "NegotiateProtocolVersion 196608 []",
            V3_0,
            V3_0,
            Some(ErrorKind::Protocol),
        ),
        // Not lower than what was asked for.
        (
            "NegotiateProtocolVersion 196610 []",
            V3_0,
            V3_2,
            Some(ErrorKind::Protocol),
        ),
        (
            "NegotiateProtocolVersion 262144 []",
            V3_0,
            V3_2,
            Some(ErrorKind::Protocol),
        ),
        (
            "NegotiateProtocolVersion 131072 []",
            V3_0,
            V3_2,
            Some(ErrorKind::Protocol),
        ),
        // An option that was not asked for.
        (
            "NegotiateProtocolVersion 196608 [\"_pq_.x\"]",
            V3_0,
            V3_2,
            Some(ErrorKind::Protocol),
        ),
    ] {
        let server = ScriptedServer::serve(Listen::Tcp, async move |mut session: Session| {
            session.startup().await?;
            session.say(offer).await?;
            session.say("AuthenticationOk").await?;
            session.welcome().await
        });
        let config = config_of(&server)
            .sslmode(SslMode::Disable)
            .min_protocol_version(min)
            .max_protocol_version(max);
        let result = connect(config).await;
        let kind = result.as_ref().err().map(kornak::Error::kind);
        assert_eq!(kind, expected, "{offer} {min} {max}: {result:?}");
    }
}

/// 3.2 is asked for by name; 18 speaks it, 15 lowers it.
#[tokio::test]
async fn s22_real_servers_negotiate() {
    use ProtocolVersion::{V3_0, V3_2};

    for (major, min, max, is_in) in [
        (15, V3_0, V3_0, true),
        (15, V3_0, V3_2, true),
        (15, V3_2, V3_2, false),
        (18, V3_0, V3_0, true),
        (18, V3_0, V3_2, true),
        (18, V3_2, V3_2, true),
    ] {
        let server = Server::shared(major).expect("a server");
        let config = config(server.port())
            .min_protocol_version(min)
            .max_protocol_version(max);
        let mut connection = match connect(config).await {
            Ok(connection) => connection,
            Err(error) => {
                assert!(!is_in, "{major} {min} {max}: {error}");
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
                continue;
            }
        };
        assert!(is_in, "{major} {min} {max}");
        let token = connection.cancel_token();
        let sleep = connection.execute("select pg_sleep(600)", ());
        let cancel = async {
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
    }
}

#[tokio::test]
async fn r38_a_graceful_close_says_terminate() {
    let mut server = ScriptedServer::start(Listen::Tcp, async |acceptor| {
        let mut session = acceptor.accept().await?;
        session.startup_trust().await?;
        let message = session.receive().await?;
        if message.name() != "Terminate" {
            return Err(ScriptError(format!("{message} is no Terminate")));
        }
        session.expect_end().await
    });
    let connection = connect(config_of(&server).sslmode(SslMode::Disable))
        .await
        .expect("in");
    connection.close().await;
    server.finish().await;
}

#[tokio::test]
async fn r38_an_end_within_a_message_is_an_error() {
    let whole = backend::data_row([Some(&b"42"[..])]).to_bytes();
    for cut in 0..whole.len() {
        let part = whole[..cut].to_vec();
        let server = ScriptedServer::serve(Listen::Tcp, async move |mut session: Session| {
            session.startup_trust().await?;
            loop {
                let message = session.receive().await?;
                if message.name() == "Sync" {
                    break;
                }
            }
            session
                .say(
                    "ParseComplete\nParameterDescription []\n\
                     RowDescription [(\"a\" 0 0 int4 4 -1 0)]\nBindComplete",
                )
                .await?;
            session.send_bytes(&part).await?;
            session.close().await
        });
        let config = config_of(&server).sslmode(SslMode::Disable);
        let mut connection = connect(config).await.expect("it is let in");
        let error = connection
            .fetch_one::<i32>("select 42", ())
            .await
            .expect_err("it is cut");
        assert!(error.is_closed(), "{cut}: {error:?}");
        assert!(connection.is_closed(), "{cut}");
    }
}
