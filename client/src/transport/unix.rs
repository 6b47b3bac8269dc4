//! Connections over Unix sockets.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use socket2::SockRef;
use tokio::net::UnixStream;

use super::{SocketBuffers, Stream, connect_error};
use crate::error::{Error, ErrorKind, Result};

/// What is demanded of the server behind a Unix socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnixOptions {
    /// The system user that the server must run as: its name or number (libpq's
    /// `requirepeer`). Whoever may write to the folder of the socket could listen there.
    pub required_peer: Option<String>,
    /// How much the system keeps of what is on its way.
    pub buffers: SocketBuffers,
}

/// Connects to the socket at `path`. On Linux, a path that begins with `@` is in the
/// abstract namespace.
///
/// # Errors
///
/// Of kind [`Io`](ErrorKind::Io); of kind [`Authentication`](ErrorKind::Authentication) if
/// the server runs as another user, or if it can't be told.
///
/// # Cancel safety
///
/// The connection is given up when the future is dropped.
pub async fn connect_unix(path: &Path, options: &UnixOptions) -> Result<Stream> {
    let stream = connect_or_wait(&address(path))
        .await
        // Whoever connects says where to.
        .map_err(|error| connect_error("", error))?;
    options
        .buffers
        .apply(&SockRef::from(&stream))
        .map_err(|error| connect_error("can't set the sizes of the socket's buffers", error))?;
    if let Some(user) = &options.required_peer {
        let peer = stream
            .peer_cred()
            .map_err(|error| connect_error("can't tell whom the server runs as", error))?;
        check_peer(user, peer.uid())?;
    }
    Ok(stream.into())
}

/// Where as many wait as the server lets wait, the system says so at once (EAGAIN, unix(7)),
/// instead of waiting as it does over TCP: then it is tried again for a while.
async fn connect_or_wait(address: &Path) -> io::Result<UnixStream> {
    let mut pause = FIRST_PAUSE;
    for _ in 0..RETRIES {
        match UnixStream::connect(address).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
    UnixStream::connect(address).await
}

/// How often a socket is tried again at which too many wait: for some eight seconds.
const RETRIES: u32 = 128;

/// The first pause in between. Each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// The longest pause in between.
const LAST_PAUSE: Duration = Duration::from_millis(64);

/// The address of the socket: in the abstract namespace names begin with a NUL.
fn address(path: &Path) -> PathBuf {
    match path.as_os_str().as_bytes() {
        [b'@', name @ ..] if cfg!(any(target_os = "linux", target_os = "android")) => {
            OsString::from_vec([b"\0", name].concat()).into()
        }
        _ => path.to_owned(),
    }
}

fn check_peer(user: &str, uid: u32) -> Result<()> {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let required = number_of(user, &users).ok_or_else(|| {
        Error::new(
            ErrorKind::Authentication,
            format!(
                "the required peer {user:?} is not in /etc/passwd; a user who is known \
                 elsewhere can be given by number"
            ),
        )
    })?;
    if required == uid {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Authentication,
        format!("the server runs as the user number {uid}, not as the required peer {user:?}"),
    ))
}

/// The number of a user: as in `users`, which is in the form of passwd(5), or as it is given.
/// Asking the system's other directories needs functions that aren't safe.
fn number_of(user: &str, users: &str) -> Option<u32> {
    let listed = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(user)).then(|| fields.nth(1))
    });
    match listed {
        Some(number) => number?.parse().ok(),
        None => user.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_by_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\npostgres:x:104:110::/var:/bin/sh\n\
                     broken\n5:x:6:6::/:/bin/sh\n";
        for (user, number) in [
            ("root", Some(0)),
            ("postgres", Some(104)),
            ("1000", Some(1000)),
            ("5", Some(6)),
            ("broken", None),
            ("nobody", None),
            ("", None),
            ("x", None),
            ("-1", None),
        ] {
            assert_eq!(number_of(user, users), number, "{user}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn abstract_sockets_begin_with_nul() {
        assert_eq!(address(Path::new("@pg")).as_os_str().as_bytes(), b"\0pg");
        assert_eq!(address(Path::new("/tmp/@pg")), Path::new("/tmp/@pg"));
    }
}
