//! The faulty proxy, before a real server and before a peer in this process.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use support::address::{Address, SilentPort, Stream, Target};
use support::deadline::{GENEROUS, within};
use support::dialogue::Dialogue;
use support::proxy::{CancelPolicy, Fault, Kind, Listen, Pace, Plan, Proxy, Trap, Way};
use support::raw::RawClient;
use support::server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

mod support;

/// A proxy between a client and a server that are both in the test's hands.
struct Between {
    proxy: Proxy,
    listener: TcpListener,
}

impl Between {
    async fn start(listen: Listen, plan: Plan) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let upstream = Address::Tcp(listener.local_addr().expect("an address"));
        let proxy = Proxy::start(listen, upstream);
        proxy.set_plan(plan);
        Self { proxy, listener }
    }

    /// A connection through the proxy that has started up: the client's end and the server's.
    async fn session(&self) -> (Stream, Stream) {
        let (mut client, mut server) = self.connection().await;
        client.write_all(STARTUP).await.expect("it is open");
        let mut startup = [0; STARTUP.len()];
        server.read_exact(&mut startup).await.expect("the startup");
        assert_eq!(startup, *STARTUP);
        (client, server)
    }

    async fn connection(&self) -> (Stream, Stream) {
        let address = self.proxy.address();
        let client = within(GENEROUS, "connecting", address.connect(None));
        let client = client.await.expect("the proxy takes it");
        let accepted = within(GENEROUS, "accepting", self.listener.accept()).await;
        (client, Stream::Tcp(accepted.expect("a connection").0))
    }
}

const STARTUP: &[u8] = b"\0\0\0\x11\0\x03\0\0user\0me\0\0";
const CANCEL: &[u8] = b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x07\x0a\x0b\x0c\x0d";

/// All that arrives until the stream ends or breaks.
async fn rest(stream: &mut Stream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut bytes = Vec::new();
    let ended = within(GENEROUS, "the end", stream.read_to_end(&mut bytes)).await;
    (bytes, ended.err().map(|error| error.kind()))
}

/// How a connection ends that nobody serves; the RST may come before the connect has returned.
async fn fate(address: &Address) -> Option<ErrorKind> {
    match address.connect(None).await {
        Ok(mut stream) => {
            let (bytes, error) = rest(&mut stream).await;
            assert_eq!(bytes, [0; 0]);
            error
        }
        Err(error) => Some(error.kind()),
    }
}

async fn read(stream: &mut Stream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let all = within(GENEROUS, "bytes", stream.read_exact(&mut bytes));
    all.await.expect("so many bytes");
    bytes
}

fn trap(way: Way, offset: usize, fault: Fault) -> Plan {
    Plan {
        traps: vec![Trap {
            way,
            offset: offset as u64,
            fault,
        }],
        ..Plan::default()
    }
}

#[tokio::test]
async fn a_real_session_passes_unchanged() {
    for target in [server::target(), server::tcp_target()] {
        for listen in [Listen::Tcp, Listen::Unix] {
            let proxy = Proxy::recording(listen, target.address.clone());
            let mut client = RawClient::connect(&target.at(proxy.address())).expect("it gets in");
            let long = "select repeat('x', 1000000)";
            assert_eq!(client.value(long).len(), 1_000_000);
            let link = proxy.session(0).await;
            let Kind::Session(parameters) = link.kind() else {
                panic!("it is a session: {:?}", link.kind());
            };
            let user = ("user".to_owned(), target.user.clone());
            assert!(parameters.contains(&user), "{parameters:?}");
            assert!(link.bytes(Way::ToClient) > 1_000_000);
            assert!(link.bytes(Way::ToServer) < 1_000);
            drop(client);
            link.closed().await;
            let connections = proxy.connections();
            assert_eq!((connections.accepted, connections.open), (1, 0));

            let recorded = Dialogue::parse("recorded", &link.transcript()).expect("a dialogue");
            let lines = recorded.to_string();
            assert!(
                lines.starts_with("F StartupMessage 3.0 user="),
                "{lines:.200}"
            );
            assert!(lines.contains("\nF Query \"select repeat"), "{lines:.2000}");
            assert!(lines.ends_with("\nF Terminate\n"));
        }
    }
}

#[tokio::test]
async fn every_offset_to_the_client_can_be_the_last() {
    let reply = b"0123456789";
    for listen in [Listen::Tcp, Listen::Unix] {
        for offset in 0..=reply.len() {
            for fault in [Fault::Cut, Fault::Reset] {
                let plan = trap(Way::ToClient, offset, fault);
                let between = Between::start(listen, plan).await;
                let (mut client, mut server) = between.connection().await;
                client.write_all(STARTUP).await.expect("it is open");
                // With nothing to pass the fault comes before the startup does.
                if offset > 0 {
                    read(&mut server, STARTUP.len()).await;
                    server.write_all(reply).await.expect("it is open");
                }
                let (bytes, error) = rest(&mut client).await;
                let is_reset = fault == Fault::Reset && listen == Listen::Tcp;
                if is_reset {
                    // An RST may overtake bytes that were passed on and not read.
                    assert!(reply[..offset].starts_with(&bytes), "{bytes:?} at {offset}");
                    assert_eq!(error, Some(ErrorKind::ConnectionReset), "at {offset}");
                } else {
                    assert_eq!(bytes, reply[..offset], "{fault:?} at {offset}");
                    assert_eq!(error, None, "{fault:?} at {offset}");
                }
                let link = &between.proxy.links()[0];
                assert_eq!(link.bytes(Way::ToClient), offset as u64);
                assert_eq!(link.sprung_so_far(), 1);
                let (_, error) = rest(&mut server).await;
                let expected = (fault == Fault::Reset).then_some(ErrorKind::ConnectionReset);
                assert_eq!(error, expected, "{fault:?} at {offset}");
            }
        }
    }
}

#[tokio::test]
async fn every_offset_to_the_server_can_be_the_last() {
    for offset in 0..=STARTUP.len() {
        let between = Between::start(Listen::Tcp, trap(Way::ToServer, offset, Fault::Cut)).await;
        let (mut client, mut server) = between.connection().await;
        client.write_all(STARTUP).await.expect("it is open");
        let expected = (STARTUP[..offset].to_vec(), None);
        assert_eq!(rest(&mut server).await, expected, "at {offset}");
        assert_eq!(rest(&mut client).await, (vec![], None), "at {offset}");
    }
}

#[tokio::test]
async fn a_fault_can_be_armed_from_where_the_session_is() {
    let between = Between::start(Listen::Tcp, Plan::default()).await;
    let (mut client, mut server) = between.session().await;
    server.write_all(b"ready").await.expect("it is open");
    read(&mut client, 5).await;
    let link = between.proxy.session(0).await;
    assert_eq!(link.bytes(Way::ToClient), 5);
    link.arm(Way::ToClient, 3, Fault::Cut);
    server.write_all(b"answer").await.expect("it is open");
    assert_eq!(rest(&mut client).await, (b"ans".to_vec(), None));
    link.sprung(1).await;

    let (mut client, mut server) = between.session().await;
    between
        .proxy
        .session(1)
        .await
        .arm(Way::ToServer, 0, Fault::Cut);
    assert_eq!(rest(&mut client).await, (vec![], None));
    assert_eq!(rest(&mut server).await, (vec![], None));
}

#[tokio::test]
async fn commands_cut_and_reset_at_once() {
    let between = Between::start(Listen::Tcp, Plan::default()).await;
    let (mut client, mut server) = between.session().await;
    between.proxy.session(0).await.cut();
    // What is written after the cut reaches nobody, and its writer still reads the end.
    server.write_all(b"late").await.expect("it is open");
    assert_eq!(rest(&mut client).await, (vec![], None));
    assert_eq!(rest(&mut server).await, (vec![], None));

    let (mut client, mut server) = between.session().await;
    between.proxy.session(1).await.reset();
    let reset = (vec![], Some(ErrorKind::ConnectionReset));
    assert_eq!(rest(&mut client).await, reset);
    assert_eq!(rest(&mut server).await, reset);
}

#[tokio::test]
async fn half_closing_leaves_the_other_way() {
    let between = Between::start(Listen::Tcp, Plan::default()).await;
    let (mut client, mut server) = between.session().await;
    let link = between.proxy.session(0).await;
    link.half_close(Way::ToClient);
    assert_eq!(rest(&mut client).await, (vec![], None));
    server.write_all(b"lost").await.expect("it is open");
    client.write_all(b"heard").await.expect("it is open");
    assert_eq!(read(&mut server, 5).await, b"heard");
    drop(client);
    assert_eq!(rest(&mut server).await, (vec![], None));
    drop(server);
    link.closed().await;
    assert_eq!(link.bytes(Way::ToClient), 0);
}

#[tokio::test]
async fn a_stall_ends_when_it_is_told_to() {
    let between = Between::start(Listen::Tcp, Plan::default()).await;
    let (mut client, mut server) = between.session().await;
    let link = between.proxy.session(0).await;
    link.arm(Way::ToClient, 2, Fault::Stall);
    server.write_all(b"answer").await.expect("it is open");
    assert_eq!(read(&mut client, 2).await, b"an");
    // The other way works, and what comes back over it shows that time has passed.
    client.write_all(b"?").await.expect("it is open");
    assert_eq!(read(&mut server, 1).await, b"?");
    let mut byte = [0];
    let nothing = client.try_read(&mut byte).expect_err("it is stalled");
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    assert_eq!(link.bytes(Way::ToClient), 2);
    link.resume();
    assert_eq!(read(&mut client, 4).await, b"swer");
}

#[tokio::test]
async fn a_black_hole_takes_everything_and_gives_nothing() {
    let between = Between::start(Listen::Tcp, Plan::default()).await;
    let (mut client, mut server) = between.session().await;
    let link = between.proxy.session(0).await;
    link.black_hole();
    client
        .write_all(b"hello?")
        .await
        .expect("the kernel takes it");
    server
        .write_all(b"anyone?")
        .await
        .expect("the kernel takes it");
    drop(client);
    assert!(link.is_open(), "the end does not get through either");
    let before = STARTUP.len() as u64;
    assert_eq!(link.bytes(Way::ToServer), before);
    assert_eq!(link.bytes(Way::ToClient), 0);
    link.resume();
    assert_eq!(read(&mut server, 6).await, b"hello?");
}

#[tokio::test]
async fn a_stalled_reader_holds_its_writer_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let upstream = Address::Tcp(listener.local_addr().expect("an address"));
    let small = Proxy::with_buffers(Listen::Tcp, upstream, Some(8 * 1024));
    let address = small.address().clone();
    let mut client = address.connect(Some(8 * 1024)).await.expect("a connection");
    let (mut server, _) = listener.accept().await.expect("a connection");
    client.write_all(STARTUP).await.expect("it is open");
    small.session(0).await.stall(Way::ToServer);
    // Into the buffers of two sockets of 8 KiB, doubled by the kernel, and then no more.
    let (held, taken) = fill(&client).await;
    assert!(taken < 256 * 1024, "{taken} bytes were taken");
    small.session(0).await.resume();
    let expected = STARTUP.len() + taken;
    let mut received = vec![0; expected];
    let all = within(GENEROUS, "the bytes", server.read_exact(&mut received));
    all.await.expect("every byte arrives");
    assert_eq!(received[STARTUP.len()..], held);
}

/// Writes until the socket takes no more.
async fn fill(stream: &Stream) -> (Vec<u8>, usize) {
    let mut written = Vec::new();
    loop {
        let chunk: Vec<u8> = (0..1024_usize)
            .map(|at| (written.len() + at) as u8)
            .collect();
        match stream.try_write(&chunk) {
            Ok(count) => written.extend(&chunk[..count]),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                let room = tokio::time::timeout(Duration::from_millis(200), stream.writable());
                if room.await.is_err() {
                    let count = written.len();
                    return (written, count);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_delay_is_that_of_a_line_not_of_a_queue() {
    let delay = Duration::from_millis(40);
    let pace = Pace {
        delay,
        ..Pace::default()
    };
    let plan = Plan {
        to_client: pace,
        ..Plan::default()
    };
    let between = Between::start(Listen::Tcp, plan).await;
    let (mut client, mut server) = between.session().await;
    let started = Instant::now();
    // A hundred writes under way at the same time: one delay for all, not one for each.
    for byte in 0..100 {
        server.write_all(&[byte]).await.expect("it is open");
        tokio::task::yield_now().await;
    }
    let all_written = Instant::now();
    let bytes = read(&mut client, 100).await;
    assert!(bytes.iter().copied().eq(0..100));
    assert!(started.elapsed() >= delay);
    let after = all_written.elapsed();
    assert!(after < delay * 50, "the last byte came {after:?} later");
}

#[tokio::test]
async fn a_throttle_sets_the_size_of_each_write() {
    let plan = Plan {
        to_client: Pace {
            write_size: Some(3),
            pause: Duration::from_millis(2),
            ..Pace::default()
        },
        record: true,
        ..Plan::default()
    };
    let between = Between::start(Listen::Unix, plan).await;
    let (mut client, mut server) = between.session().await;
    server.write_all(b"0123456789").await.expect("it is open");
    assert_eq!(read(&mut client, 10).await, b"0123456789");
    let link = between.proxy.session(0).await;
    let recorded = link.recorded();
    let sizes: Vec<usize> = recorded[1..].iter().map(|it| it.bytes.len()).collect();
    assert_eq!(sizes, [3, 3, 3, 1]);
}

#[tokio::test]
async fn connections_are_refused_for_a_while_or_by_number() {
    for listen in [Listen::Tcp, Listen::Unix] {
        let between = Between::start(listen, Plan::default()).await;
        let address = between.proxy.address().clone();
        for _ in 0..3 {
            between.proxy.refuse_all();
            let error = address.connect(None).await.expect_err("nobody listens");
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{listen:?}");
            between.proxy.accept_again();
            between.session().await;
        }
        between.proxy.refuse_next(2);
        for _ in 0..2 {
            let expected = (listen == Listen::Tcp).then_some(ErrorKind::ConnectionReset);
            assert_eq!(fate(&address).await, expected);
        }
        between.session().await;
        let connections = between.proxy.connections();
        assert_eq!((connections.accepted, connections.refused), (4, 2));
    }
}

#[tokio::test]
async fn a_dead_server_looks_dead_through_the_proxy() {
    let between = Between::start(Listen::Tcp, Plan::default()).await;
    let Between { proxy, listener } = between;
    drop(listener);
    let fate = fate(proxy.address()).await;
    assert_eq!(fate, Some(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_reset_of_one_side_reaches_the_other() {
    let between = Between::start(Listen::Tcp, Plan::default()).await;
    let (client, mut server) = between.session().await;
    client.reset_on_close().expect("a TCP socket");
    drop(client);
    let (_, error) = rest(&mut server).await;
    assert_eq!(error, Some(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn cancel_requests_have_their_own_policy() {
    let key = vec![0x0a, 0x0b, 0x0c, 0x0d];
    let between = Between::start(Listen::Tcp, Plan::default()).await;
    // Traps are not for cancel requests.
    between.proxy.set_plan(trap(Way::ToServer, 4, Fault::Cut));
    let cancel = |policy| between.proxy.plan(|plan| plan.cancel = policy);

    let (mut client, mut server) = between.connection().await;
    client.write_all(CANCEL).await.expect("it is open");
    assert_eq!(read(&mut server, CANCEL.len()).await, CANCEL);
    let link = between.proxy.cancel(0).await;
    assert_eq!(link.kind(), Kind::Cancel { process: 7, key });
    drop(server);
    assert_eq!(rest(&mut client).await, (vec![], None));

    cancel(CancelPolicy::Close);
    let (mut client, mut server) = between.connection().await;
    client.write_all(CANCEL).await.expect("it is open");
    assert_eq!(rest(&mut client).await, (vec![], None));
    assert_eq!(rest(&mut server).await, (vec![], None));

    cancel(CancelPolicy::Reset);
    let (mut client, mut server) = between.connection().await;
    client.write_all(CANCEL).await.expect("it is open");
    let reset = (vec![], Some(ErrorKind::ConnectionReset));
    assert_eq!(rest(&mut client).await, reset);
    assert_eq!(rest(&mut server).await, reset);

    cancel(CancelPolicy::BlackHole);
    let (mut client, server) = between.connection().await;
    client.write_all(CANCEL).await.expect("it is open");
    let link = between.proxy.cancel(3).await;
    assert_eq!(link.bytes(Way::ToServer), 0);
    assert!(link.is_open());
    drop(server);

    let connections = between.proxy.connections();
    assert_eq!((connections.accepted, connections.cancels), (4, 4));
}

#[tokio::test]
async fn a_late_cancel_arrives_though_its_client_has_gone() {
    let delay = Duration::from_millis(60);
    let plan = Plan {
        cancel: CancelPolicy::Delay(delay),
        ..Plan::default()
    };
    let between = Between::start(Listen::Tcp, plan).await;
    let (mut session, mut its_server) = between.session().await;
    let started = Instant::now();
    let (mut client, mut server) = between.connection().await;
    // In two parts, so that the first waits for the second.
    client.write_all(&CANCEL[..5]).await.expect("it is open");
    tokio::task::yield_now().await;
    client.write_all(&CANCEL[5..]).await.expect("it is open");
    drop(client);
    // The session itself is not delayed.
    session.write_all(b"x").await.expect("it is open");
    assert_eq!(read(&mut its_server, 1).await, b"x");
    assert_eq!(rest(&mut server).await, (CANCEL.to_vec(), None));
    assert!(started.elapsed() >= delay);
}

#[tokio::test]
async fn a_cancel_request_behind_a_refused_ssl_request_is_known() {
    const SSL_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";
    let between = Between::start(Listen::Tcp, Plan::default()).await;
    let (mut client, mut server) = between.connection().await;
    client.write_all(SSL_REQUEST).await.expect("it is open");
    assert_eq!(read(&mut server, SSL_REQUEST.len()).await, SSL_REQUEST);
    server.write_all(b"N").await.expect("it is open");
    assert_eq!(read(&mut client, 1).await, b"N");
    client.write_all(CANCEL).await.expect("it is open");
    between.proxy.cancel(0).await;

    let (mut client, mut server) = between.connection().await;
    client.write_all(SSL_REQUEST).await.expect("it is open");
    read(&mut server, SSL_REQUEST.len()).await;
    server.write_all(b"S").await.expect("it is open");
    assert_eq!(read(&mut client, 1).await, b"S");
    assert_eq!(between.proxy.session(0).await.kind(), Kind::Encrypted);
}

#[tokio::test]
async fn a_real_cancel_request_is_seen() {
    let target = server::target();
    let proxy = Proxy::start(Listen::Unix, target.address.clone());
    let client = RawClient::connect(&target.at(proxy.address())).expect("it gets in");
    client.cancel_token()().expect("the server takes it");
    let Kind::Cancel { process, .. } = proxy.cancel(0).await.kind() else {
        panic!("it is a cancel request");
    };
    assert_eq!(process, client.process());
}

#[tokio::test]
async fn dropping_the_proxy_drops_what_it_carries() {
    let between = Between::start(Listen::Unix, Plan::default()).await;
    let (mut client, mut server) = between.session().await;
    let link = between.proxy.session(0).await;
    link.black_hole();
    let Address::Unix { directory, .. } = between.proxy.address().clone() else {
        panic!("it listens on a Unix socket");
    };
    assert!(directory.exists());
    drop(between);
    rest(&mut client).await;
    rest(&mut server).await;
    assert!(!directory.exists());
}

#[tokio::test]
async fn a_silent_port_does_not_answer() {
    let silent = SilentPort::new().await.expect("a full queue");
    let address = silent.address();
    let attempt = tokio::time::timeout(Duration::from_millis(300), address.connect(None));
    attempt.await.expect_err("nothing comes back");
}

#[test]
fn urls_name_what_they_name() {
    let check = |url: &str, host: &str, port: u16, user: &str, database: &str| {
        let target = Target::from_url(url);
        assert_eq!(target.address.host(), host, "{url}");
        assert_eq!(target.address.port(), port, "{url}");
        assert_eq!(
            (&*target.user, &*target.database),
            (user, database),
            "{url}"
        );
        assert_eq!(Target::from_url(&target.url()), target, "{url}");
    };
    check(
        "postgres://u:p@127.0.0.1:1234/d",
        "127.0.0.1",
        1234,
        "u",
        "d",
    );
    check("postgresql://u:p@localhost/d", "127.0.0.1", 5432, "u", "d");
    check(
        "postgres://u:p@/d?host=/tmp/x&port=9",
        "/tmp/x",
        9,
        "u",
        "d",
    );
    check("postgres://u:p@127.0.0.1", "127.0.0.1", 5432, "u", "u");
}
