//! Servers that never come to an end: the deadline holds, and memory stays what it was.
//!
//! A binary of its own with one test at a time, because it looks at the memory of its process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kornak::config::{Config, Environment};
use kornak::{Connection, ErrorKind};
use support::deadline::{GENEROUS, within};
use support::dialogue::backend;
use support::memory::{forget_peak, peak_resident, resident};
use support::scripted::{Listen, ScriptError, ScriptedServer, Session};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

mod support;

/// How long an operation may take here. A flood ends by nothing else.
const LIMIT: Duration = Duration::from_millis(400);

/// How much more memory than before an endless flood may take, in bytes, of both its ends and of
/// the buffers of the sockets' tasks.
const FLAT: usize = 8 * 1024 * 1024;

/// How much more an error of the greatest length may take: what has arrived, twice while the
/// buffer grows.
const HUGE: usize = 3 * 16 * 1024 * 1024;

fn config(server: &ScriptedServer) -> Config {
    Config::new()
        .host(server.address().host())
        .port(server.address().port())
        .user("kornak")
        .password("secret")
        .sslmode(kornak::config::SslMode::Disable)
        .environment(Environment::empty())
}

/// Only one test at a time may measure.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What comes over and over.
#[derive(Clone, Copy, Debug)]
enum Flood {
    Notices,
    LargeNotices,
    Parameters,
    NewParameters,
    Notifications,
}

impl Flood {
    async fn send(self, session: &mut Session) -> Result<(), ScriptError> {
        let text = "elephant ".repeat(4000);
        let notice =
            |text: &str| backend::notice_response(&[('S', "NOTICE"), ('C', "00000"), ('M', text)]);
        let same = match self {
            Self::Notices => notice("wait"),
            Self::LargeNotices => notice(&text.repeat(20)),
            Self::Parameters => backend::parameter_status("application_name", &text),
            Self::Notifications => backend::notification_response(1, "channel", &text),
            // More of them than are kept. What is sent so is not recorded.
            Self::NewParameters => {
                let messages = (0..1000).flat_map(|number| {
                    let name = format!("name_{number}");
                    backend::parameter_status(&name, &text[..1000]).to_bytes()
                });
                backend::raw(&messages.collect::<Vec<_>>())
            }
        };
        session.send_endlessly(&same).await.map(drop)
    }
}

/// Runs `work`, which must end by a timeout or a breach of the protocol, and in little memory.
///
/// Unconstrained, a task is never made to wait by the runtime, so that no timer fires for one
/// that doesn't by itself.
async fn check(
    what: &str,
    limit: usize,
    is_unconstrained: bool,
    work: impl Future<Output = kornak::Result<()>>,
) {
    let before = resident();
    forget_peak();
    let result = if is_unconstrained {
        within(GENEROUS, what, tokio::task::unconstrained(work)).await
    } else {
        within(GENEROUS, what, work).await
    };
    let error = result.expect_err(what);
    let grown = peak_resident().saturating_sub(before);
    assert!(error.is_timeout(), "{what}: {error}");
    assert!(grown < limit, "{what}: {grown} bytes more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::await_holding_lock,
    reason = "nothing else runs meanwhile, as is meant"
)]
async fn s30_a_flood_before_the_session_stands_ends_by_the_deadline() {
    let _alone = alone();
    for (flood, is_in) in [
        (Flood::Notices, false),
        (Flood::LargeNotices, false),
        (Flood::Notices, true),
        (Flood::LargeNotices, true),
        (Flood::Parameters, true),
        (Flood::NewParameters, true),
        (Flood::Notifications, true),
    ] {
        let server = ScriptedServer::serve(Listen::Tcp, async move |mut session: Session| {
            session.startup().await?;
            if is_in {
                session.send(&backend::authentication_ok()).await?;
            }
            flood.send(&mut session).await
        });
        let config = config(&server).connect_timeout(LIMIT);
        for is_unconstrained in [false, true] {
            let what = format!("{flood:?}, let in: {is_in}, unconstrained: {is_unconstrained}");
            let connect = async { Connection::connect(config.clone()).await.map(drop) };
            check(&what, FLAT, is_unconstrained, connect).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::await_holding_lock,
    reason = "nothing else runs meanwhile, as is meant"
)]
async fn s30_a_flood_in_place_of_an_answer_ends_by_the_deadline() {
    let _alone = alone();
    for flood in [
        Flood::Notices,
        Flood::LargeNotices,
        Flood::Parameters,
        Flood::NewParameters,
        Flood::Notifications,
    ] {
        for is_unconstrained in [false, true] {
            let server = ScriptedServer::serve(Listen::Tcp, async move |mut session: Session| {
                session.startup_trust().await?;
                session.receive().await?;
                flood.send(&mut session).await
            });
            let mut connection = Connection::connect(config(&server)).await.expect("in");
            connection.set_default_timeout(Some(LIMIT));
            let what = format!("{flood:?}, unconstrained: {is_unconstrained}");
            let query = async { connection.execute("select 1", ()).await.map(drop) };
            check(&what, FLAT, is_unconstrained, query).await;
        }
    }
}

/// The error is as long as one may be, and its end never comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::await_holding_lock,
    reason = "nothing else runs meanwhile, as is meant"
)]
async fn s30_an_error_without_end_ends_by_the_deadline_or_its_length() {
    const MOST: i32 = 16 * 1024 * 1024;

    let _alone = alone();
    let part = |length: i32, sent: usize| {
        let text = [&b"SERROR\0C42601\0M"[..], &vec![b'x'; sent]].concat();
        backend::framed(b'E', length, &text).to_bytes()
    };
    // What is too long is refused before it has come, whatever more it announces.
    for length in [MOST + 1, i32::MAX, -1, 3] {
        let (_server, mut connection) = answered(part(length, 100)).await;
        let error = connection.execute("select 1", ()).await;
        let error = error.expect_err("it has no such length");
        assert_eq!(error.kind(), ErrorKind::Protocol, "{length}: {error}");
    }
    // An announcement alone takes no memory, and the rest as much as there is.
    for (sent, limit) in [(100, FLAT), (MOST as usize - 100, HUGE)] {
        let (_server, mut connection) = answered(part(MOST, sent)).await;
        let query = async { connection.execute("select 1", ()).await.map(drop) };
        check("an error", limit, false, query).await;
    }
    // A whole one is the error that it is, and its text is cut for nobody.
    let text = "x".repeat(MOST as usize / 2);
    let whole = [
        backend::error("42601", &text).to_bytes(),
        backend::ready_for_query('I').to_bytes(),
    ];
    let (_server, mut connection) = answered(whole.concat()).await;
    connection.set_default_timeout(None);
    let query = within(GENEROUS, "the error", connection.execute("select 1", ()));
    let error = query.await.expect_err("it is one");
    assert_eq!(error.sqlstate(), Some(kornak::SqlState::SYNTAX_ERROR));
    assert!(error.as_server().expect("the server's").message() == text);
}

/// A server, and a connection to it whose first query is answered with these bytes and no more.
async fn answered(bytes: Vec<u8>) -> (ScriptedServer, Connection) {
    let bytes: Arc<[u8]> = bytes.into();
    let server = ScriptedServer::serve(Listen::Tcp, move |mut session: Session| {
        let bytes = bytes.clone();
        async move {
            session.startup_trust().await?;
            session.receive().await?;
            // By the stream itself, which keeps no record.
            let mut stream = session.into_stream();
            stream.write_all(&bytes).await?;
            // Until the client hangs up.
            let _ = stream.read(&mut [0; 16]).await;
            Ok(())
        }
    });
    let mut connection = Connection::connect(config(&server)).await.expect("in");
    connection.set_default_timeout(Some(LIMIT));
    (server, connection)
}
