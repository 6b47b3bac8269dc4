//! Where servers listen, and streams to them of either kind.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// On a TCP port.
    Tcp(SocketAddr),
    /// On a Unix socket, named as PostgreSQL names it.
    Unix {
        /// The directory of the socket, which stands for the host.
        directory: PathBuf,
        /// The number in its name.
        port: u16,
    },
}

/// Whom to connect as, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where the server listens.
    pub address: Address,
    /// The user.
    pub user: String,
    /// The password, where one is needed.
    pub password: Option<String>,
    /// The database.
    pub database: String,
}

impl Address {
    /// The path of the Unix socket.
    pub fn socket_path(&self) -> Option<PathBuf> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix { directory, port } => Some(directory.join(format!(".s.PGSQL.{port}"))),
        }
    }

    /// What a connection string has for the host.
    pub fn host(&self) -> String {
        match self {
            Self::Tcp(address) => address.ip().to_string(),
            Self::Unix { directory, .. } => directory.display().to_string(),
        }
    }

    /// What a connection string has for the port.
    pub fn port(&self) -> u16 {
        match self {
            Self::Tcp(address) => address.port(),
            Self::Unix { port, .. } => *port,
        }
    }

    /// The URL of a connection to here.
    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        let port = self.port();
        match self {
            Self::Tcp(address) => format!(
                "postgres://{user}:{password}@{}:{port}/{database}",
                address.ip()
            ),
            Self::Unix { directory, .. } => format!(
                "postgres://{user}:{password}@/{database}?host={}&port={port}",
                directory.display()
            ),
        }
    }

    /// Connects, with buffers of `buffer_size` in the socket if any is given.
    pub async fn connect(&self, buffer_size: Option<u32>) -> io::Result<Stream> {
        match self {
            Self::Tcp(address) => {
                let socket = match address {
                    SocketAddr::V4(_) => TcpSocket::new_v4()?,
                    SocketAddr::V6(_) => TcpSocket::new_v6()?,
                };
                if let Some(size) = buffer_size {
                    socket.set_recv_buffer_size(size)?;
                    socket.set_send_buffer_size(size)?;
                }
                let stream = socket.connect(*address).await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix { .. } => {
                let path = self.socket_path().expect("a Unix socket has a path");
                let stream = Stream::Unix(UnixStream::connect(path).await?);
                stream.set_buffer_size(buffer_size)?;
                Ok(stream)
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.socket_path() {
            Some(path) => path.display().fmt(f),
            None => write!(f, "{}:{}", self.host(), self.port()),
        }
    }
}

impl Target {
    /// Reads a URL of the kind that the project's test servers have: `postgres://user:password@
    /// host:port/database`, or with an empty host and `?host=…&port=…`. Nothing in it is
    /// percent-encoded, and a host is an IP address, `localhost` or a directory.
    ///
    /// # Panics
    ///
    /// If it is another kind of URL.
    pub fn from_url(url: &str) -> Self {
        Self::parse(url).unwrap_or_else(|| panic!("the tests cannot read the URL {url}"))
    }

    fn parse(url: &str) -> Option<Self> {
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, place) = place.rsplit_once('@')?;
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (login, None),
        };
        let (mut host, mut port) = place.rsplit_once(':').unwrap_or((place, ""));
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match key {
                "host" => host = value,
                "port" => port = value,
                _ => {}
            }
        }
        let port = if port.is_empty() {
            5432
        } else {
            port.parse().ok()?
        };
        let address = if host.starts_with('/') {
            Address::Unix {
                directory: PathBuf::from(host),
                port,
            }
        } else {
            let host = if host == "localhost" {
                "127.0.0.1"
            } else {
                host.trim_matches(['[', ']'])
            };
            Address::Tcp(SocketAddr::new(host.parse().ok()?, port))
        };
        Some(Self {
            address,
            user: user.to_owned(),
            password: password.map(str::to_owned),
            database: if database.is_empty() { user } else { database }.to_owned(),
        })
    }

    /// The same login at another address: at a proxy before the server.
    pub fn at(&self, address: &Address) -> Self {
        Self {
            address: address.clone(),
            ..self.clone()
        }
    }

    /// The URL of this.
    pub fn url(&self) -> String {
        let password = self.password.as_deref().unwrap_or_default();
        self.address.url(&self.user, password, &self.database)
    }
}

/// A stream of either kind.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

impl Stream {
    /// Waits until there may be something to read.
    pub async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.readable().await,
            Self::Unix(stream) => stream.readable().await,
        }
    }

    /// Waits until there may be room to write.
    pub async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.writable().await,
            Self::Unix(stream) => stream.writable().await,
        }
    }

    /// Reads what is there.
    pub fn try_read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read(bytes),
            Self::Unix(stream) => stream.try_read(bytes),
        }
    }

    /// Writes as much as there is room for.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
        }
    }

    /// Sends a FIN: the peer reads the end, and may still write.
    pub fn end_writing(&self) -> io::Result<()> {
        let socket = match self {
            Self::Tcp(stream) => socket2::SockRef::from(stream),
            Self::Unix(stream) => socket2::SockRef::from(stream),
        };
        socket.shutdown(std::net::Shutdown::Write)
    }

    /// Makes the close that follows send an RST. A Unix socket has none: its peer reads the
    /// end, or ECONNRESET if it had written what was not read.
    pub fn reset_on_close(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_zero_linger(),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Sets both buffers of the socket; Linux doubles what it is told.
    pub fn set_buffer_size(&self, size: Option<u32>) -> io::Result<()> {
        let Some(size) = size.map(|size| size as usize) else {
            return Ok(());
        };
        let socket = match self {
            Self::Tcp(stream) => socket2::SockRef::from(stream),
            Self::Unix(stream) => socket2::SockRef::from(stream),
        };
        socket.set_recv_buffer_size(size)?;
        socket.set_send_buffer_size(size)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, out),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, out),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// A listener of either kind.
#[derive(Debug)]
pub enum Listener {
    /// On a TCP port.
    Tcp(TcpListener),
    /// On a Unix socket.
    Unix(UnixListener),
}

impl Listener {
    /// The next connection.
    pub async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

/// A TCP port of this machine that others cannot take, whether or not anybody listens there.
///
/// While nobody does, a connection to it is refused.
#[derive(Debug)]
pub struct ReservedPort {
    socket: TcpSocket,
    address: SocketAddr,
    buffer_size: Option<u32>,
}

impl ReservedPort {
    /// Reserves a free port of 127.0.0.1. The buffers of accepted sockets will have
    /// `buffer_size`, if it is given.
    pub fn new(buffer_size: Option<u32>) -> io::Result<Self> {
        Self::reserve("127.0.0.1:0".parse().expect("an address"), buffer_size)
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens. The port stays reserved by the socket that is returned beside the listener,
    /// after the listener is dropped.
    pub fn listen(self, backlog: u32) -> io::Result<(TcpListener, Self)> {
        let next = Self::reserve(self.address, self.buffer_size)?;
        Ok((self.socket.listen(backlog)?, next))
    }

    fn reserve(address: SocketAddr, buffer_size: Option<u32>) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseport(true)?;
        if let Some(size) = buffer_size {
            // Accepted sockets inherit both, and the window follows from the first.
            socket.set_recv_buffer_size(size)?;
            socket.set_send_buffer_size(size)?;
        }
        socket.bind(address)?;
        Ok(Self {
            address: socket.local_addr()?,
            socket,
            buffer_size,
        })
    }
}

/// A port at which a connection attempt gets no answer at all: its queue is full, and nobody
/// takes from it. Only Linux drops the packets of further attempts.
#[derive(Debug)]
pub struct SilentPort {
    address: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl SilentPort {
    /// Fills the queue of a listener of its own.
    pub async fn new() -> io::Result<Self> {
        let (listener, reserved) = ReservedPort::new(None)?.listen(0)?;
        let address = reserved.address();
        let mut queued = Vec::new();
        // A queue of length 0 takes one; the first attempt that stays unanswered shows
        // that it is full.
        while let Ok(stream) = tokio::time::timeout(UNANSWERED, TcpStream::connect(address)).await {
            queued.push(stream?);
        }
        Ok(Self {
            address,
            _listener: listener,
            _queued: queued,
        })
    }

    /// Where it is.
    pub fn address(&self) -> Address {
        Address::Tcp(self.address)
    }
}

/// After how long an attempt over loopback counts as unanswered.
const UNANSWERED: std::time::Duration = std::time::Duration::from_millis(300);
