//! TLS over real sockets, with a server in the same process.

mod data;
mod negotiation;
mod verification;

use std::future::{Future, poll_fn};
use std::io;
use std::time::Duration;

use bytes::BytesMut;
use rcgen::{
    CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair,
    NameConstraints, date_time_ymd,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ProtocolVersion, ServerConfig};
use tokio_rustls::server::TlsStream as ServerStream;

use super::fixtures::{self, Identity};
use super::*;
use crate::transport::{Roots, Stream, TcpOptions, TlsAnswer, Trust, connect_tcp, request_tls};

/// Long enough for any machine; only reached when something stalls.
const DEADLINE: Duration = Duration::from_secs(60);

async fn bounded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .expect("nothing may stall")
}

/// A TLS connection over the loopback interface, as both sides see it.
async fn shake_hands(
    server: ServerConfig,
    options: &TlsOptions,
    host: &str,
    start: TlsStart,
) -> (Result<Stream>, io::Result<ServerStream<TcpStream>>) {
    let connector = Connector::new(options).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accept = async {
        let (stream, _) = listener.accept().await?;
        TlsAcceptor::from(Arc::new(server)).accept(stream).await
    };
    let connect = async {
        let stream = connect_tcp(address, &TcpOptions::default()).await?;
        stream.encrypt(&connector, host, start).await
    };
    bounded(async { tokio::join!(connect, accept) }).await
}

async fn connect(server: ServerConfig, options: &TlsOptions, host: &str) -> Result<Stream> {
    shake_hands(server, options, host, TlsStart::Requested)
        .await
        .0
}

/// Both sides of a connection that stands.
async fn pair(server: ServerConfig, options: &TlsOptions) -> (Stream, ServerStream<TcpStream>) {
    let (client, server) = shake_hands(server, options, "localhost", TlsStart::Requested).await;
    (client.unwrap(), server.unwrap())
}

async fn read(stream: &mut Stream) -> io::Result<BytesMut> {
    let mut buffer = BytesMut::with_capacity(1024);
    poll_fn(|cx| stream.poll_read(cx, &mut buffer)).await?;
    Ok(buffer)
}

fn trust(pem: impl Into<Vec<u8>>) -> Trust {
    Trust {
        roots: Roots::Pem(pem.into()),
        revocation_lists: Vec::new(),
    }
}

fn options(verification: Verification) -> TlsOptions {
    TlsOptions {
        verification,
        ..TlsOptions::default()
    }
}

fn parameters(names: &[&str]) -> CertificateParams {
    fixtures::parameters(names, None)
}
