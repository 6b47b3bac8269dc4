//! A server that says what a test tells it to.
//!
//! ```text
//! let mut server = ScriptedServer::start(Listen::Tcp, async |acceptor| {
//!     let mut session = acceptor.accept().await?;
//!     session.startup_trust().await?;
//!     session.expect_query("select 1").await?;
//!     session.say("RowDescription [(\"a\" 0 0 int4 4 -1 0)]\nDataRow [\"1\"]").await?;
//!     session.say("CommandComplete \"SELECT 1\"\nReadyForQuery I").await?;
//!     session.expect_end().await
//! });
//! … connect to server.url() …
//! server.finish().await;
//! ```
//!
//! The script runs in a thread of its own, so that it works beside a test that blocks or
//! spins. Each wait in it has a limit: no script can hang.

mod authentication;
mod session;

use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use super::address::{Address, Listener};
use super::deadline::{GENEROUS, within};
use super::dialogue::{Mismatch, Side, transcribe};
use super::temporary::TemporaryDirectory;

pub use self::authentication::{ChannelBinding, ScramFault, ScramReport, ScramServer, Stage};
pub use self::session::Session;
pub use super::proxy::Listen;

/// A running script, as the test sees it.
#[derive(Debug)]
#[must_use = "the script ends when this is dropped; `finish` waits for it"]
pub struct ScriptedServer {
    address: Address,
    records: Records,
    /// Dropping it tells the thread to stop.
    stop: Option<oneshot::Sender<()>>,
    ended: Option<oneshot::Receiver<Result<(), ScriptError>>>,
    thread: Option<JoinHandle<()>>,
    _directory: Option<TemporaryDirectory>,
}

/// What a script takes connections from.
#[derive(Debug)]
pub struct Acceptor {
    listener: Listener,
    records: Records,
    limit: Duration,
}

/// Why a script went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError(pub String);

/// What passed over one connection, in order.
type Record = Arc<Mutex<Vec<(Side, Vec<u8>)>>>;

/// Of each connection, in the order in which they were accepted.
type Records = Arc<Mutex<Vec<Record>>>;

impl ScriptedServer {
    /// Starts to run `script`.
    pub fn start<S>(listen: Listen, script: S) -> Self
    where
        S: AsyncFnOnce(Acceptor) -> Result<(), ScriptError> + Send + 'static,
    {
        let directory = match listen {
            Listen::Tcp => None,
            Listen::Unix => Some(TemporaryDirectory::new()),
        };
        let address = directory.as_ref().map(|directory| Address::Unix {
            directory: directory.path().to_owned(),
            port: 5432,
        });
        let records = Records::default();
        let (stop, stopped) = oneshot::channel();
        let (tell_end, ended) = oneshot::channel();
        let (tell_address, started) = mpsc::sync_channel(1);
        let records_of_thread = Arc::clone(&records);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            // `serve` spawns a task for each connection, which need not be Send.
            LocalSet::new().block_on(&runtime, async move {
                let (listener, address) = bind(address).await.expect("an address to listen at");
                tell_address
                    .send(address)
                    .expect("whoever starts a script waits for its address");
                let acceptor = Acceptor {
                    listener,
                    records: records_of_thread,
                    limit: GENEROUS,
                };
                let script = pin!(script(acceptor));
                tokio::select! {
                    ended = script => {
                        // Nobody may wait for it.
                        let _ = tell_end.send(ended);
                    }
                    _ = stopped => {}
                }
            });
        });
        Self {
            address: started.recv().expect("the script started"),
            records,
            stop: Some(stop),
            ended: Some(ended),
            thread: Some(thread),
            _directory: directory,
        }
    }

    /// Starts a server that runs `script` for each connection, all at the same time, until
    /// this is dropped or a script goes wrong; [`finish`](Self::finish) does not return
    /// before.
    pub fn serve<S>(listen: Listen, script: S) -> Self
    where
        S: AsyncFn(Session) -> Result<(), ScriptError> + Send + 'static,
    {
        Self::start(listen, async move |acceptor: Acceptor| {
            let script = std::rc::Rc::new(script);
            let mut sessions = tokio::task::JoinSet::new();
            loop {
                tokio::select! {
                    accepted = acceptor.accept_whenever() => {
                        let (script, session) = (std::rc::Rc::clone(&script), accepted?);
                        sessions.spawn_local(async move { script(session).await });
                    }
                    Some(ended) = sessions.join_next() => {
                        ended.map_err(|error| ScriptError(error.to_string()))??;
                    }
                }
            }
        })
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The URL of a connection to it, for the user and database `kornak`.
    pub fn url(&self) -> String {
        self.address.url("kornak", "secret", "kornak")
    }

    /// Waits until the script has come to its end.
    ///
    /// # Panics
    ///
    /// If it went wrong; what was said until then is shown.
    pub async fn finish(&mut self) {
        let ended = self.ended.take().expect("it is finished once");
        // A little longer than a step of the script may take, so that the script tells.
        let result = within(GENEROUS * 2, "the script", ended).await;
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => panic!("the script: {error}\n{}", self.transcript()),
            Err(_) => panic!("the script panicked\n{}", self.transcript()),
        }
    }

    /// What the frontend sent over the connection of this number, from 0.
    ///
    /// # Panics
    ///
    /// If there has been none of this number.
    pub fn received(&self, connection: usize) -> Vec<u8> {
        let records = lock(&self.records);
        let record = lock(&records[connection]);
        let frontend = record.iter().filter(|(side, _)| *side == Side::Frontend);
        frontend.flat_map(|(_, bytes)| bytes.clone()).collect()
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        lock(&self.records).len()
    }

    /// What was said, one connection after the other.
    pub fn transcript(&self) -> String {
        let mut text = String::new();
        for (number, record) in lock(&self.records).iter().enumerate() {
            let record = lock(record);
            let chunks = record.iter().map(|(side, bytes)| (*side, bytes.as_slice()));
            text.push_str(&format!("# Connection {number}\n{}", transcribe(chunks)));
        }
        text
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the script is told by `finish`; without it nobody wants to know.
            let _ = thread.join();
        }
    }
}

impl Acceptor {
    /// The next connection.
    pub async fn accept(&self) -> Result<Session, ScriptError> {
        match tokio::time::timeout(self.limit, self.accept_whenever()).await {
            Ok(accepted) => accepted,
            Err(_) => Err(ScriptError("nobody connects".to_owned())),
        }
    }

    /// Sets how long each wait may take, here and in the sessions that are accepted from now
    /// on.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    async fn accept_whenever(&self) -> Result<Session, ScriptError> {
        let stream = self.listener.accept().await?;
        let session = Session::over_socket(stream, self.limit);
        lock(&self.records).push(session.record());
        Ok(session)
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ScriptError {}

impl From<io::Error> for ScriptError {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<Box<Mismatch>> for ScriptError {
    fn from(mismatch: Box<Mismatch>) -> Self {
        Self(mismatch.to_string())
    }
}

async fn bind(address: Option<Address>) -> io::Result<(Listener, Address)> {
    match address {
        None => {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = Address::Tcp(listener.local_addr()?);
            Ok((Listener::Tcp(listener), address))
        }
        Some(address) => {
            let path = address.socket_path().expect("a Unix socket has a path");
            Ok((Listener::Unix(UnixListener::bind(path)?), address))
        }
    }
}

/// A test that panics elsewhere has its own message.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
