use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::coop;

use super::stream::{Kind, Socket};
use super::*;
use crate::error::ErrorKind;

/// Long enough for any machine; only reached when something stalls.
const DEADLINE: Duration = Duration::from_secs(60);

async fn bounded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .expect("nothing may stall")
}

async fn tcp_pair(options: &TcpOptions) -> (Stream, tokio::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, server) = tokio::join!(connect_tcp(address, options), listener.accept());
    (client.unwrap(), server.unwrap().0)
}

fn tcp(stream: &Stream) -> SockRef<'_> {
    match &stream.kind {
        Kind::Plain(Socket::Tcp(stream)) => SockRef::from(stream),
        _ => panic!("{stream:?}"),
    }
}

#[tokio::test]
async fn bytes_go_both_ways() {
    let (mut client, mut server) = tcp_pair(&TcpOptions::default()).await;
    assert!(!client.is_tls() && !client.is_unix());
    let sent = bounded(poll_fn(|cx| client.poll_write(cx, b"hello"))).await;
    assert_eq!(sent.unwrap(), 5);
    assert!(!client.has_unsent());
    bounded(poll_fn(|cx| client.poll_flush(cx))).await.unwrap();
    let mut bytes = [0; 5];
    bounded(server.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(&bytes, b"hello");

    server.write_all(b"hello yourself").await.unwrap();
    let mut buffer = BytesMut::with_capacity(64);
    buffer.extend_from_slice(b"> ");
    let count = bounded(poll_fn(|cx| client.poll_read(cx, &mut buffer))).await;
    assert_eq!(count.unwrap(), 14);
    assert_eq!(buffer, &b"> hello yourself"[..]);

    bounded(poll_fn(|cx| client.poll_shutdown(cx)))
        .await
        .unwrap();
    assert_eq!(bounded(server.read(&mut bytes)).await.unwrap(), 0);
    drop(server);
    let count = bounded(poll_fn(|cx| client.poll_read(cx, &mut buffer))).await;
    assert_eq!(count.unwrap(), 0);
}

#[tokio::test]
async fn a_dead_peer_is_noticed_by_default() {
    let (client, _server) = tcp_pair(&TcpOptions::default()).await;
    let socket = tcp(&client);
    assert!(socket.tcp_nodelay().unwrap());
    assert!(socket.keepalive().unwrap());
    #[cfg(target_os = "linux")]
    {
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_COUNT);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(DEAD_PEER_AFTER));
    }
}

#[tokio::test]
async fn tcp_options_are_taken_one_by_one() {
    let none = TcpOptions {
        keepalive: None,
        user_timeout: None,
        buffers: SocketBuffers::default(),
    };
    let (client, _server) = tcp_pair(&none).await;
    assert!(tcp(&client).tcp_nodelay().unwrap());
    assert!(!tcp(&client).keepalive().unwrap());
    #[cfg(target_os = "linux")]
    {
        let system = (
            tcp(&client).tcp_keepalive_time().unwrap(),
            tcp(&client).tcp_keepalive_retries().unwrap(),
        );
        assert_eq!(tcp(&client).tcp_user_timeout().unwrap(), None);
        let some = TcpOptions {
            keepalive: Some(Keepalive {
                interval: Some(Duration::from_secs(7)),
                ..Keepalive::default()
            }),
            user_timeout: Some(Duration::from_millis(12_345)),
            buffers: SocketBuffers::default(),
        };
        let (client, _server) = tcp_pair(&some).await;
        let socket = tcp(&client);
        assert!(socket.keepalive().unwrap());
        assert_eq!(
            socket.tcp_keepalive_interval().unwrap(),
            Duration::from_secs(7)
        );
        assert_eq!(
            (
                socket.tcp_keepalive_time().unwrap(),
                socket.tcp_keepalive_retries().unwrap()
            ),
            system
        );
        assert_eq!(socket.tcp_user_timeout().unwrap(), some.user_timeout);
    }
}

/// Linux doubles what it is told (socket(7)).
#[cfg(target_os = "linux")]
#[tokio::test]
async fn buffers_have_the_size_that_was_set() {
    let buffers = SocketBuffers {
        send: Some(8 * 1024),
        receive: Some(12 * 1024),
    };
    let options = TcpOptions {
        buffers,
        ..TcpOptions::default()
    };
    let (client, _server) = tcp_pair(&options).await;
    assert_eq!(tcp(&client).send_buffer_size().unwrap(), 16 * 1024);
    assert_eq!(tcp(&client).recv_buffer_size().unwrap(), 24 * 1024);
    let (client, _server) = tcp_pair(&TcpOptions::default()).await;
    assert_ne!(tcp(&client).send_buffer_size().unwrap(), 16 * 1024);

    let path = std::env::temp_dir().join(format!("kornak-buffers-{}", std::process::id()));
    let _listener = tokio::net::UnixListener::bind(&path).unwrap();
    let options = UnixOptions {
        buffers,
        ..UnixOptions::default()
    };
    let client = connect_unix(&path, &options).await;
    std::fs::remove_file(&path).unwrap();
    let client = client.unwrap();
    let Kind::Plain(Socket::Unix(stream)) = &client.kind else {
        panic!("{client:?}");
    };
    assert_eq!(SockRef::from(stream).send_buffer_size().unwrap(), 16 * 1024);
    assert_eq!(SockRef::from(stream).recv_buffer_size().unwrap(), 24 * 1024);
}

#[tokio::test]
async fn a_refused_connection_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    drop(listener);
    let error = bounded(connect_tcp(address, &TcpOptions::default()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(error.outcome(), Outcome::NotRun);
    assert!(error.to_string().contains("refused"), "{error}");
}

/// Uses up what tokio allows a task to do before it must yield: every socket then claims not
/// to be ready.
fn use_up_budget(cx: &mut std::task::Context<'_>) {
    while coop::has_budget_remaining() {
        let _ = pin!(coop::consume_budget()).poll(cx);
    }
}

#[tokio::test]
async fn r8_an_attempt_succeeds_in_a_task_whose_budget_is_used_up() {
    let (mut client, mut server) = tcp_pair(&TcpOptions::default()).await;
    server.write_all(b"news").await.unwrap();
    // The readiness of the socket has reached the runtime when a read of it would not wait.
    let mut buffer = BytesMut::with_capacity(1);
    let count = bounded(poll_fn(|cx| client.poll_read(cx, &mut buffer))).await;
    assert_eq!(count.unwrap(), 1);
    poll_fn(|cx| {
        use_up_budget(cx);
        assert!(client.poll_write(cx, b"lost").is_pending());
        assert!(matches!(client.try_write(b"abort"), Poll::Ready(Ok(5))));
        let mut buffer = BytesMut::with_capacity(64);
        assert!(matches!(client.try_read(&mut buffer), Poll::Ready(Ok(3))));
        assert_eq!(buffer, &b"ews"[..]);
        assert!(client.try_read(&mut buffer).is_pending());
        Poll::Ready(())
    })
    .await;
    let mut bytes = [0; 5];
    bounded(server.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(&bytes, b"abort");
    assert!(matches!(client.try_shutdown(), Poll::Ready(Ok(()))));
    assert_eq!(bounded(server.read(&mut bytes)).await.unwrap(), 0);
}

#[tokio::test]
async fn what_the_runtime_has_heard_of_is_known_without_reading() {
    let (mut client, mut server) = tcp_pair(&TcpOptions::default()).await;
    let mut buffer = BytesMut::with_capacity(64);
    assert!(client.try_read(&mut buffer).is_pending());
    assert!(!client.may_have_input());
    server.write_all(b"news").await.unwrap();
    bounded(until_it_may_have_input(&client)).await;
    assert!(client.may_have_input(), "asking takes nothing away");
    assert!(matches!(client.try_read(&mut buffer), Poll::Ready(Ok(4))));
    assert!(!client.may_have_input());
    drop(server);
    bounded(until_it_may_have_input(&client)).await;
    assert!(matches!(client.try_read(&mut buffer), Poll::Ready(Ok(0))));
    assert!(client.may_have_input(), "an end stays");
}

async fn until_it_may_have_input(stream: &Stream) {
    while !stream.may_have_input() {
        // Lets the runtime see what the socket has to say.
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_attempt_on_a_full_socket_takes_nothing() {
    let (mut client, mut server) = tcp_pair(&TcpOptions::default()).await;
    let chunk = [7; 65_536];
    let mut sent = 0;
    while let Poll::Ready(count) = client.try_write(&chunk) {
        sent += count.unwrap();
        // Lets the runtime see what the socket has to say.
        tokio::task::yield_now().await;
    }
    assert!(client.try_write(&chunk).is_pending());
    let mut bytes = vec![0; sent];
    bounded(server.read_exact(&mut bytes)).await.unwrap();
    assert!(bytes.iter().all(|&byte| byte == 7));
    let count = bounded(poll_fn(|cx| client.poll_write(cx, b"x"))).await;
    assert_eq!(count.unwrap(), 1);
}

#[cfg(unix)]
mod unix {
    use std::path::{Path, PathBuf};

    use tokio::net::UnixListener;

    use super::*;

    fn socket_path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("kornak-{name}-{}", std::process::id()))
    }

    async fn connect(path: &Path, required_peer: Option<&str>) -> crate::error::Result<Stream> {
        let options = UnixOptions {
            required_peer: required_peer.map(str::to_owned),
            ..UnixOptions::default()
        };
        bounded(connect_unix(path, &options)).await
    }

    #[tokio::test]
    async fn unix_sockets_are_connected_by_path() {
        let path = socket_path("path");
        let error = connect(&path, None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains("No such file"), "{error}");

        let listener = UnixListener::bind(&path).unwrap();
        let mut stream = connect(&path, None).await.unwrap();
        assert!(stream.is_unix() && !stream.is_tls());
        let (mut server, _) = bounded(listener.accept()).await.unwrap();
        server.write_all(b"x").await.unwrap();
        let mut buffer = BytesMut::with_capacity(8);
        let count = bounded(poll_fn(|cx| stream.poll_read(cx, &mut buffer))).await;
        assert_eq!(count.unwrap(), 1);
        std::fs::remove_file(path).unwrap();
    }

    /// A TCP connection to a server that is slow to accept waits by itself.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_socket_with_many_who_wait_is_waited_for() {
        use socket2::{Domain, SockAddr, Socket, Type};

        let path = socket_path("full");
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let mut waiting = Vec::new();
        let refused = loop {
            match tokio::net::UnixStream::connect(&path).await {
                Ok(stream) => waiting.push(stream),
                Err(error) => break error,
            }
        };
        assert_eq!(refused.kind(), std::io::ErrorKind::WouldBlock);
        let mut connecting = pin!(connect(&path, None));
        let first = poll_fn(|cx| Poll::Ready(connecting.as_mut().poll(cx).is_pending()));
        assert!(first.await, "it waits for its turn");
        for _ in 0..waiting.len() {
            listener.accept().unwrap();
        }
        connecting.await.unwrap();
        std::fs::remove_file(&path).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn abstract_sockets_are_connected_by_name() {
        let name = format!("kornak-abstract-{}", std::process::id());
        let _listener = UnixListener::bind(format!("\0{name}")).unwrap();
        assert!(connect(Path::new(&format!("@{name}")), None).await.is_ok());
    }

    #[tokio::test]
    async fn the_peer_must_be_the_required_user() {
        let path = socket_path("peer");
        let _listener = UnixListener::bind(&path).unwrap();
        let (left, _right) = tokio::net::UnixStream::pair().unwrap();
        let own = left.peer_cred().unwrap().uid();
        assert!(connect(&path, Some(&own.to_string())).await.is_ok());
        for other in [(own + 1).to_string(), "no-such-user".to_owned()] {
            let error = connect(&path, Some(&other)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
        }
        std::fs::remove_file(path).unwrap();
    }
}
