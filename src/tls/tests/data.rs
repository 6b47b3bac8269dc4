//! What goes over an encrypted connection, and its end.

use super::*;

#[tokio::test]
async fn r25_what_is_decrypted_already_is_read_while_the_socket_is_silent() {
    let identity = Identity::new(&parameters(&["localhost"]), None);
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let (mut client, mut server) = pair(
            identity.server_with(&[version], None),
            &TlsOptions::default(),
        )
        .await;
        let sent: Vec<u8> = (0..40_000_u32).map(|i| (i % 251) as u8).collect();
        server.write_all(&sent).await.unwrap();
        server.flush().await.unwrap();
        let mut seen = Vec::new();
        while seen.len() < sent.len() {
            let mut buffer = BytesMut::with_capacity(100);
            let count = bounded(poll_fn(|cx| client.poll_read(cx, &mut buffer)))
                .await
                .unwrap();
            assert!(count == buffer.len() && count > 0);
            seen.extend_from_slice(&buffer);
        }
        assert_eq!(seen, sent);
    }
}

/// Passes bytes on one at a time, in both directions.
async fn trickle(left: UnixStream, right: UnixStream) {
    let (mut left_in, mut left_out) = left.into_split();
    let (mut right_in, mut right_out) = right.into_split();
    let one_way = async |input: &mut tokio::net::unix::OwnedReadHalf,
                         output: &mut tokio::net::unix::OwnedWriteHalf| {
        let mut byte = [0];
        while let Ok(1) = input.read(&mut byte).await {
            if output.write_all(&byte).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(
        one_way(&mut left_in, &mut right_out),
        one_way(&mut right_in, &mut left_out)
    );
}

#[tokio::test]
async fn r25_what_a_full_socket_left_over_is_sent_while_reading() {
    let (client, client_relay) = UnixStream::pair().unwrap();
    let (server_relay, server) = UnixStream::pair().unwrap();
    socket2::SockRef::from(&client)
        .set_send_buffer_size(1)
        .unwrap();
    let relay = tokio::spawn(trickle(client_relay, server_relay));
    let identity = Identity::new(&parameters(&["localhost"]), None);
    const LENGTH: usize = 50_000;
    let serve = tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(identity.server()));
        let mut server = acceptor.accept(server).await.unwrap();
        let mut bytes = vec![0; LENGTH];
        server.read_exact(&mut bytes).await.unwrap();
        server.write_all(b"thanks").await.unwrap();
        server.flush().await.unwrap();
        bytes
    });
    let connector = Connector::new(&TlsOptions::default()).unwrap();
    let mut client =
        bounded(Stream::from(client).encrypt(&connector, "localhost", TlsStart::Requested))
            .await
            .unwrap();
    let sent: Vec<u8> = (0..LENGTH).map(|i| (i % 251) as u8).collect();
    let mut taken = 0;
    while taken < sent.len() {
        taken += bounded(poll_fn(|cx| client.poll_write(cx, &sent[taken..])))
            .await
            .unwrap();
    }
    assert!(client.has_unsent(), "the socket is full");
    assert_eq!(bounded(read(&mut client)).await.unwrap(), &b"thanks"[..]);
    assert!(!client.has_unsent());
    assert!(serve.await.unwrap() == sent);
    drop(client);
    bounded(relay).await.unwrap();
}

#[tokio::test]
async fn flushing_sends_what_a_full_socket_left_over() {
    let (client, client_relay) = UnixStream::pair().unwrap();
    let (server_relay, server) = UnixStream::pair().unwrap();
    socket2::SockRef::from(&client)
        .set_send_buffer_size(1)
        .unwrap();
    let relay = tokio::spawn(trickle(client_relay, server_relay));
    let identity = Identity::new(&parameters(&["localhost"]), None);
    let serve = tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(identity.server()));
        let mut bytes = Vec::new();
        let mut server = acceptor.accept(server).await.unwrap();
        server.read_to_end(&mut bytes).await.map(|_| bytes)
    });
    let connector = Connector::new(&TlsOptions::default()).unwrap();
    let mut client =
        bounded(Stream::from(client).encrypt(&connector, "localhost", TlsStart::Requested))
            .await
            .unwrap();
    let taken = bounded(poll_fn(|cx| client.poll_write(cx, &[7; 30_000])))
        .await
        .unwrap();
    assert!(client.has_unsent());
    bounded(poll_fn(|cx| client.poll_flush(cx))).await.unwrap();
    assert!(!client.has_unsent());
    bounded(poll_fn(|cx| client.poll_shutdown(cx)))
        .await
        .unwrap();
    // A proper end: without it the server would see an error.
    assert_eq!(serve.await.unwrap().unwrap(), vec![7; taken]);
    drop(client);
    bounded(relay).await.unwrap();
}

#[tokio::test]
async fn r38_an_end_without_close_notify_is_an_error() {
    let identity = Identity::new(&parameters(&["localhost"]), None);
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        for proper in [true, false] {
            let config = identity.server_with(&[version], None);
            let (mut client, mut server) = pair(config, &TlsOptions::default()).await;
            server.write_all(b"last words").await.unwrap();
            server.flush().await.unwrap();
            if proper {
                server.shutdown().await.unwrap();
            }
            drop(server);
            assert_eq!(
                bounded(read(&mut client)).await.unwrap(),
                &b"last words"[..]
            );
            let end = bounded(read(&mut client)).await;
            match proper {
                true => assert!(end.unwrap().is_empty()),
                false => assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof),
            }
        }
    }
}
