//! A line of a given length between client and server: every byte arrives half a round trip
//! after it was sent.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::driver::{Place, Target};

/// A proxy that delays; it serves until the process ends.
#[derive(Debug)]
pub struct Delay {
    /// Where it listens: as the target it stands before, but farther away.
    pub target: Target,
    folder: Option<PathBuf>,
}

/// Both kinds of stream.
trait Stream: Read + Write + Send + Sized + 'static {
    fn another(&self) -> io::Result<Self>;
    fn end(&self);
}

impl Delay {
    /// Listens before `target`, on a socket of the same kind.
    ///
    /// # Errors
    ///
    /// If it can't.
    pub fn start(target: &Target, round_trip: Duration) -> Result<Self> {
        let mut far = target.clone();
        let mut folder = None;
        match &target.place {
            Place::Socket(near) => {
                let near = socket_file(near, target.port);
                let path = std::env::temp_dir().join(format!("kornak-far-{}", std::process::id()));
                std::fs::create_dir_all(&path)?;
                let file = socket_file(&path, target.port);
                // A file of an earlier part of this run.
                let _ = std::fs::remove_file(&file);
                let listener = UnixListener::bind(file)?;
                thread::spawn(move || {
                    for client in listener.incoming().flatten() {
                        match UnixStream::connect(&near) {
                            Ok(server) => join(client, server, round_trip),
                            Err(error) => eprintln!("the far server can't be reached: {error}"),
                        }
                    }
                });
                far.place = Place::Socket(path.clone());
                folder = Some(path);
            }
            Place::Tcp(host) | Place::Tls(host, _) => {
                let near = (host.clone(), target.port);
                let listener = TcpListener::bind("127.0.0.1:0")?;
                far.port = listener.local_addr()?.port();
                far.place = match &target.place {
                    Place::Tls(_, root) => Place::Tls("127.0.0.1".to_owned(), root.clone()),
                    _ => Place::Tcp("127.0.0.1".to_owned()),
                };
                thread::spawn(move || {
                    for client in listener.incoming().flatten() {
                        match TcpStream::connect((near.0.as_str(), near.1)) {
                            Ok(server) => {
                                // Without it, small pieces would wait for each other.
                                let _ = client.set_nodelay(true);
                                let _ = server.set_nodelay(true);
                                join(client, server, round_trip);
                            }
                            Err(error) => eprintln!("the far server can't be reached: {error}"),
                        }
                    }
                });
            }
        }
        Ok(Self {
            target: far,
            folder,
        })
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            // What can't be removed has gone already.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

fn socket_file(folder: &Path, port: u16) -> PathBuf {
    folder.join(format!(".s.PGSQL.{port}"))
}

fn join<S: Stream>(client: S, server: S, round_trip: Duration) {
    let (Ok(client_writer), Ok(server_writer)) = (client.another(), server.another()) else {
        return;
    };
    one_way(client, server_writer, round_trip / 2);
    one_way(server, client_writer, round_trip / 2);
}

/// How many pieces may be on their way at a time.
const PIECES: usize = 1024;

/// Carries what `from` says to `to`, so much later. One thread reads, so that what comes
/// behind starts on its way meanwhile; another one waits and writes.
fn one_way<S: Stream>(mut from: S, mut to: S, delay: Duration) {
    let (sender, receiver) = mpsc::sync_channel::<(Instant, Vec<u8>)>(PIECES);
    thread::spawn(move || {
        let mut chunk = [0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            let piece = (Instant::now() + delay, chunk[..count].to_vec());
            if sender.send(piece).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (due, piece) in receiver {
            loop {
                let left = due.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                thread::park_timeout(left);
            }
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        to.end();
    });
}

impl Stream for UnixStream {
    fn another(&self) -> io::Result<Self> {
        self.try_clone()
    }

    fn end(&self) {
        // The other side may have ended it.
        let _ = self.shutdown(Shutdown::Both);
    }
}

impl Stream for TcpStream {
    fn another(&self) -> io::Result<Self> {
        self.try_clone()
    }

    fn end(&self) {
        // The other side may have ended it.
        let _ = self.shutdown(Shutdown::Both);
    }
}
