//! Connections over TCP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpSocket;

use super::{SocketBuffers, Stream, connect_error};
use crate::error::Result;

/// How the system watches over a TCP connection. Nagle's algorithm is always off: a message
/// never waits for the answer to the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpOptions {
    /// Whether, and how, a silent peer is asked for a sign of life.
    pub keepalive: Option<Keepalive>,
    /// How long what was sent may go unacknowledged before the connection counts as dead
    /// (`TCP_USER_TIMEOUT`, in whole milliseconds; only Linux has it). `None` leaves it to
    /// the system, which tries for some fifteen minutes.
    pub user_timeout: Option<Duration>,
    /// How much the system keeps of what is on its way.
    pub buffers: SocketBuffers,
}

/// When a silent peer is asked for a sign of life, in whole seconds. `None` leaves it to the
/// system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keepalive {
    /// How long the peer must be silent before it is asked.
    pub idle: Option<Duration>,
    /// How long it has to answer before it is asked again.
    pub interval: Option<Duration>,
    /// After how many questions without an answer the connection is dead.
    pub count: Option<u32>,
}

impl Default for TcpOptions {
    /// A peer that is gone is noticed within [`DEAD_PEER_AFTER`].
    fn default() -> Self {
        Self {
            keepalive: Some(Keepalive {
                idle: Some(KEEPALIVE_IDLE),
                interval: Some(KEEPALIVE_INTERVAL),
                count: Some(KEEPALIVE_COUNT),
            }),
            user_timeout: Some(DEAD_PEER_AFTER),
            buffers: SocketBuffers::default(),
        }
    }
}

/// How long a peer is silent before it is asked for a sign of life, by default.
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);

/// How long it has to answer before it is asked again, by default.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// How often it is asked, by default.
pub const KEEPALIVE_COUNT: u32 = 3;

/// When a peer counts as dead, by default: the last of the questions above has then gone
/// unanswered, or sent data has been unacknowledged for as long.
pub const DEAD_PEER_AFTER: Duration = Duration::from_secs(60);

/// Connects to `address`.
///
/// # Errors
///
/// Of kind [`Io`](crate::error::ErrorKind::Io).
///
/// # Cancel safety
///
/// The connection is given up when the future is dropped.
pub async fn connect_tcp(address: SocketAddr, options: &TcpOptions) -> Result<Stream> {
    let connect = async {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // Before it is connected, so that the connecting itself is watched over too, and the
        // server hears how much may be on its way.
        options.apply(SockRef::from(&socket))?;
        socket.connect(address).await
    };
    match connect.await {
        Ok(stream) => Ok(stream.into()),
        // Whoever connects says where to.
        Err(error) => Err(connect_error("", error)),
    }
}

impl TcpOptions {
    fn apply(&self, socket: SockRef<'_>) -> io::Result<()> {
        self.buffers.apply(&socket)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(keepalive) = self.keepalive {
            socket.set_tcp_keepalive(&keepalive.to_system())?;
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if self.user_timeout.is_some() {
            socket.set_tcp_user_timeout(self.user_timeout)?;
        }
        Ok(())
    }
}

impl Keepalive {
    /// What of it the system knows. Not every one lets more than the idle time be set.
    fn to_system(self) -> TcpKeepalive {
        let mut system = TcpKeepalive::new();
        if let Some(idle) = self.idle {
            system = system.with_time(idle);
        }
        #[cfg(any(
            target_os = "linux",
            target_os = "android",
            target_os = "freebsd",
            target_os = "macos",
            target_os = "windows"
        ))]
        {
            if let Some(interval) = self.interval {
                system = system.with_interval(interval);
            }
            if let Some(count) = self.count {
                system = system.with_retries(count);
            }
        }
        system
    }
}
