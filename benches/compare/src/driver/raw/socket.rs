//! The socket of the raw drivers.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::Result;
use crate::driver::{Place, Target};

/// A stream to the server.
pub(super) enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Socket {
    /// Connects, and encrypts if the target says so.
    pub(super) async fn connect(target: &Target) -> Result<Self> {
        Ok(match &target.place {
            Place::Socket(folder) => Self::Unix(
                UnixStream::connect(folder.join(format!(".s.PGSQL.{}", target.port))).await?,
            ),
            Place::Tcp(host) => Self::Tcp(tcp(host, target.port).await?),
            #[cfg(feature = "tls")]
            Place::Tls(host, root) => {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let mut stream = tcp(host, target.port).await?;
                // SSLRequest (manual, "Message Formats").
                stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await?;
                if stream.read_u8().await? != b'S' {
                    return Err("the server has no TLS".into());
                }
                let connector: tokio_rustls::TlsConnector = crate::tls::client(root)?.into();
                let name = host.clone().try_into()?;
                Self::Tls(Box::new(connector.connect(name, stream).await?))
            }
            #[cfg(not(feature = "tls"))]
            Place::Tls(..) => return Err("built without TLS".into()),
        })
    }

    /// Waits until some of `left` is written or something has been read; says whether
    /// something has.
    pub(super) async fn write_and_read(
        &mut self,
        left: &mut &[u8],
        input: &mut BytesMut,
    ) -> io::Result<bool> {
        let mut chunk = [0; 16 * 1024];
        poll_fn(|cx| {
            let mut written = false;
            while !left.is_empty() {
                match Pin::new(&mut *self).poll_write(cx, left) {
                    Poll::Ready(count) => {
                        *left = &left[count?..];
                        written = true;
                    }
                    Poll::Pending => break,
                }
            }
            if left.is_empty() {
                return Poll::Ready(Ok(false));
            }
            let mut memory = ReadBuf::new(&mut chunk);
            match Pin::new(&mut *self).poll_read(cx, &mut memory) {
                Poll::Ready(Ok(())) if memory.filled().is_empty() => {
                    Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
                }
                Poll::Ready(Ok(())) => {
                    input.extend_from_slice(memory.filled());
                    Poll::Ready(Ok(true))
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending if written => Poll::Ready(Ok(false)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl AsyncRead for Socket {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        memory: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, memory),
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, memory),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, memory),
        }
    }
}

impl AsyncWrite for Socket {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
