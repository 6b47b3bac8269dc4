//! A faulty proxy before a real server.
//!
//! It passes bytes on unchanged, and breaks what a network breaks: it cuts, resets,
//! half-closes, stalls, delays and throttles, at any byte offset of either direction or on
//! command. It tells cancel requests from sessions and treats them by their own policy.
//!
//! It runs in a thread of its own, so that it works beside a test that blocks or spins.

mod link;
mod opening;
mod pump;
mod sent;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::address::{Address, Listener, ReservedPort, Stream};
use super::deadline::{GENEROUS, within};
use super::temporary::TemporaryDirectory;

pub use self::link::{Link, Passed};
pub use self::opening::Kind;
pub use self::sent::Sent;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// What goes wrong with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Both sides read the end of the stream.
    Cut,
    /// Both sides get an RST. Over a Unix socket, which has none, they read the end.
    Reset,
    /// The reader of this way reads the end; what its writer writes is lost. The other way
    /// works.
    HalfClose,
    /// Nothing moves this way any more, nor does the end of the stream. The writer is held
    /// up once the buffers of the sockets are full.
    Stall,
    /// Nothing moves either way: a black hole. To the kernel the peer is still there: it
    /// acknowledges.
    BlackHole,
}

/// How a way passes bytes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Each byte arrives so much later than it was sent; the bandwidth stays.
    pub delay: Duration,
    /// At most so many bytes go into a write, if it is given.
    pub write_size: Option<usize>,
    /// The pause after each write.
    pub pause: Duration,
}

/// A fault that waits for its byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trap {
    /// The way whose bytes are counted. [`Fault::HalfClose`] and [`Fault::Stall`] are of
    /// this way.
    pub way: Way,
    /// It happens after so many bytes of this way have been passed on, and before the next;
    /// no sooner than the client's first packet is complete, since it may be a cancel request.
    pub offset: u64,
    /// What happens.
    pub fault: Fault,
}

/// What happens to a connection that carries a CancelRequest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CancelPolicy {
    /// It is passed on.
    #[default]
    Forward,
    /// It is passed on so much later, even if its client has gone by then.
    Delay(Duration),
    /// It gets nowhere, and its client waits.
    BlackHole,
    /// It is reset.
    Reset,
    /// It is closed without having been passed on.
    Close,
}

/// What new connections get.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// How bytes to the server pass.
    pub to_server: Pace,
    /// How bytes to the client pass.
    pub to_client: Pace,
    /// Faults of connections that aren't cancel requests.
    pub traps: Vec<Trap>,
    /// What cancel requests get.
    pub cancel: CancelPolicy,
    /// Whether what passes is kept, for [`Link::transcript`].
    pub record: bool,
}

/// Where a proxy listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// On a free TCP port of 127.0.0.1.
    Tcp,
    /// On a Unix socket in a directory of its own.
    Unix,
}

/// How many connections there have been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Taken and passed on, of whatever kind.
    pub accepted: u64,
    /// Reset at once by [`Proxy::refuse_next`].
    pub refused: u64,
    /// Of the accepted: those that carried a CancelRequest.
    pub cancels: u64,
    /// Of the accepted: those that still exist.
    pub open: u64,
}

/// A proxy. Dropping it resets whatever connections it has.
#[derive(Debug)]
pub struct Proxy {
    address: Address,
    shared: Arc<Shared>,
    commands: Option<Sender<Command>>,
    thread: Option<JoinHandle<()>>,
    _directory: Option<TemporaryDirectory>,
}

/// What the thread of the proxy and its handles share.
#[derive(Debug)]
struct Shared {
    upstream: Address,
    buffer_size: Option<u32>,
    state: Mutex<State>,
    refused: AtomicU64,
    /// Changes with each new connection, and when the kind of one is known.
    news: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    plan: Plan,
    refuse_next: u64,
    links: Vec<Link>,
}

/// What a handle asks of the thread.
#[derive(Debug)]
enum Command {
    Listen(bool, mpsc::SyncSender<io::Result<()>>),
}

impl Proxy {
    /// Starts a proxy before `upstream`.
    pub fn start(listen: Listen, upstream: Address) -> Self {
        Self::with_buffers(listen, upstream, None)
    }

    /// As [`start`](Self::start), and keeps what it passes on.
    pub fn recording(listen: Listen, upstream: Address) -> Self {
        let proxy = Self::start(listen, upstream);
        proxy.plan(|plan| plan.record = true);
        proxy
    }

    /// As [`start`](Self::start), with buffers of this size in the sockets of both sides, if
    /// one is given. Linux doubles it and has a least size of some 2 to 4 KiB.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    pub fn with_buffers(listen: Listen, upstream: Address, buffer_size: Option<u32>) -> Self {
        let shared = Arc::new(Shared {
            upstream,
            buffer_size,
            state: Mutex::default(),
            refused: AtomicU64::new(0),
            news: watch::Sender::new(()),
        });
        let directory = match listen {
            Listen::Tcp => None,
            Listen::Unix => Some(TemporaryDirectory::new()),
        };
        let path = directory.as_ref().map(|it| it.path().to_owned());
        let (commands, received) = tokio::sync::mpsc::channel(1);
        let (started, address) = mpsc::sync_channel(1);
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let front = match path {
                    None => Front::tcp(of_thread.buffer_size),
                    Some(directory) => Ok(Front::Unix(Address::Unix {
                        directory,
                        port: 5432,
                    })),
                };
                let mut front = front.expect("a port to listen at");
                let listener = front.listen().expect("listening");
                started
                    .send(front.address())
                    .expect("whoever starts a proxy waits for its address");
                serve(front, listener, received, of_thread).await;
            });
        });
        let address = address.recv().expect("the proxy started");
        Self {
            address,
            shared,
            commands: Some(commands),
            thread: Some(thread),
            _directory: directory,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Sets what connections get from now on.
    pub fn set_plan(&self, plan: Plan) {
        self.shared.state().plan = plan;
    }

    /// Changes what connections get from now on.
    pub fn plan(&self, change: impl FnOnce(&mut Plan)) {
        change(&mut self.shared.state().plan);
    }

    /// Refuses every connection until [`accept_again`](Self::accept_again): nobody listens.
    pub fn refuse_all(&self) {
        self.command(|done| Command::Listen(false, done));
    }

    /// Listens again.
    pub fn accept_again(&self) {
        self.command(|done| Command::Listen(true, done));
    }

    /// Resets the next `count` connections as soon as they are made.
    pub fn refuse_next(&self, count: u64) {
        self.shared.state().refuse_next = count;
    }

    /// How many connections there have been.
    pub fn connections(&self) -> Connections {
        let links = self.links();
        Connections {
            accepted: links.len() as u64,
            refused: self.shared.refused.load(Ordering::Relaxed),
            cancels: links.iter().filter(|link| link.is_cancel()).count() as u64,
            open: links.iter().filter(|link| link.is_open()).count() as u64,
        }
    }

    /// How many bytes have been passed on this way, over all connections.
    pub fn bytes(&self, way: Way) -> u64 {
        self.links().iter().map(|link| link.bytes(way)).sum()
    }

    /// The connections of any kind, in the order in which they were made.
    pub fn links(&self) -> Vec<Link> {
        self.shared.state().links.clone()
    }

    /// The connection of this number, from 0, that is a session; waits until there is one.
    pub async fn session(&self, number: usize) -> Link {
        self.nth(number, "session", Link::is_session).await
    }

    /// The connection of this number, from 0, that carries a CancelRequest; waits until there
    /// is one.
    pub async fn cancel(&self, number: usize) -> Link {
        self.nth(number, "cancel request", Link::is_cancel).await
    }

    /// Waits until no connection is open.
    pub async fn all_closed(&self) {
        for link in self.links() {
            link.closed().await;
        }
    }

    /// Waits until the number of connections that exist is as it should be.
    pub async fn until_open(&self, is_right: impl Fn(u64) -> bool) {
        self.until("connections", || {
            is_right(self.connections().open).then_some(())
        })
        .await;
    }

    async fn nth(&self, number: usize, what: &str, fits: impl Fn(&Link) -> bool) -> Link {
        self.until(&format!("{what} {number}"), || {
            self.links()
                .into_iter()
                .filter(|link| fits(link))
                .nth(number)
        })
        .await
    }

    async fn until<T>(&self, what: &str, find: impl Fn() -> Option<T>) -> T {
        let mut news = self.shared.news.subscribe();
        let search = async {
            loop {
                if let Some(found) = find() {
                    return found;
                }
                news.changed().await.expect("the proxy runs");
            }
        };
        within(GENEROUS, &format!("waiting for {what}"), search).await
    }

    /// Blocks until the thread of the proxy has done it, which is at once.
    fn command(&self, command: impl FnOnce(mpsc::SyncSender<io::Result<()>>) -> Command) {
        let (done, answer) = mpsc::sync_channel(1);
        let commands = self.commands.as_ref().expect("it is dropped once");
        commands
            .try_send(command(done))
            .expect("the proxy runs, and has done what was asked before");
        let answer = answer.recv_timeout(GENEROUS).expect("the proxy runs");
        answer.expect("the proxy can listen");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Its end is the sign for the thread to stop.
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("the proxy did not panic");
            }
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panics elsewhere has its own message.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a proxy listens, whether or not it does so now.
enum Front {
    Tcp(Option<ReservedPort>),
    Unix(Address),
}

impl Front {
    fn tcp(buffer_size: Option<u32>) -> io::Result<Self> {
        Ok(Self::Tcp(Some(ReservedPort::new(buffer_size)?)))
    }

    fn address(&self) -> Address {
        match self {
            Self::Tcp(port) => {
                Address::Tcp(port.as_ref().expect("the port stays reserved").address())
            }
            Self::Unix(address) => address.clone(),
        }
    }

    fn listen(&mut self) -> io::Result<Listener> {
        match self {
            Self::Tcp(port) => {
                let reserved = port.take().expect("the port stays reserved");
                let (listener, next) = reserved.listen(1024)?;
                *port = Some(next);
                Ok(Listener::Tcp(listener))
            }
            Self::Unix(address) => {
                let path = address.socket_path().expect("a Unix socket has a path");
                // The socket of the last listener, at which nobody answers.
                let _ = std::fs::remove_file(&path);
                Ok(Listener::Unix(UnixListener::bind(path)?))
            }
        }
    }
}

async fn serve(
    mut front: Front,
    listener: Listener,
    mut commands: Receiver<Command>,
    shared: Arc<Shared>,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // What a test has asked for counts before the connections that it makes next.
            biased;
            command = commands.recv() => match command {
                // The handle is gone: dropping the set drops every connection.
                None => return,
                Some(Command::Listen(wanted, done)) => {
                    let result = match (wanted, &listener) {
                        (true, None) => front.listen().map(|it| listener = Some(it)),
                        (true, Some(_)) => Ok(()),
                        (false, _) => {
                            listener = None;
                            Ok(())
                        }
                    };
                    // Who asked may have been dropped.
                    let _ = done.send(result);
                }
            },
            accepted = accept(listener.as_ref()) => {
                let client = accepted.expect("a connection");
                take(client, &shared, &mut connections);
            }
            Some(ended) = connections.join_next() => ended.expect("a connection does not panic"),
        }
    }
}

async fn accept(listener: Option<&Listener>) -> io::Result<Stream> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

fn take(client: Stream, shared: &Arc<Shared>, connections: &mut JoinSet<()>) {
    client
        .set_buffer_size(shared.buffer_size)
        .expect("the size of a buffer can be set");
    let mut state = shared.state();
    if state.refuse_next > 0 {
        state.refuse_next -= 1;
        shared.refused.fetch_add(1, Ordering::Relaxed);
        // A reset that fails is a close.
        let _ = client.reset_on_close();
        return;
    }
    let link = Link::new(&state.plan, shared.news.clone());
    state.links.push(link.clone());
    drop(state);
    shared.news.send_replace(());
    let shared = Arc::clone(shared);
    connections.spawn(async move {
        match shared.upstream.connect(shared.buffer_size).await {
            Ok(server) => pump::run(&link, client, server, shared.buffer_size).await,
            // The client sees what it would see of a server that isn't there any more.
            Err(_) => {
                let _ = client.reset_on_close();
            }
        }
        link.close();
    });
}
