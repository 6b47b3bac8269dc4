//! Starting PgBouncer.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use kornak::config::{Config, Environment, Pooler};
use xtask::process::{Account, command_as, wait_until};
use xtask::server::{PASSWORD, Server};

use super::support::deadline::GENEROUS;
use super::support::temporary::TemporaryDirectory;

/// A running PgBouncer before the shared cluster.
pub(crate) struct PgBouncer {
    port: u16,
    process: Child,
    _directory: TemporaryDirectory,
}

/// How many servers it has for each database and user.
const SERVERS: usize = 2;

impl PgBouncer {
    /// In this `pool_mode`.
    pub(crate) fn start(mode: &str) -> Self {
        Self::run(&Self::program().program, mode, "")
    }

    /// In transaction mode, keeping track of the statements that clients prepare. `None`, and
    /// a word about it, where this machine has no version that does.
    pub(crate) fn start_with_named_statements() -> Option<Self> {
        let found = Self::program();
        if !found.knows_statements() {
            println!("not shown with {found}, but with a script alone: it is too old");
            return None;
        }
        Some(Self::run(
            &found.program,
            "transaction",
            "max_prepared_statements = 20\n",
        ))
    }

    fn program() -> xtask::pgbouncer::PgBouncer {
        xtask::pgbouncer::PgBouncer::find().unwrap_or_else(|failure| panic!("{failure}"))
    }

    fn run(program: &Path, mode: &str, settings: &str) -> Self {
        let more = settings;
        let account = Account::for_servers().expect("an account");
        let directory = TemporaryDirectory::new();
        let server = Server::cluster_for_tests();
        // The first free port; whoever takes it in between makes the start fail, loudly.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a port")
            .port();
        let path = directory.path();
        let users = path.join("users.txt");
        let settings = path.join("pgbouncer.ini");
        fs::write(&users, format!("\"kornak\" \"{PASSWORD}\"\n")).expect("a file");
        fs::write(
            &settings,
            format!(
                "[databases]\n\
                 kornak = host=127.0.0.1 port={} dbname=kornak\n\
                 [pgbouncer]\n\
                 listen_addr = 127.0.0.1\n\
                 listen_port = {port}\n\
                 unix_socket_dir =\n\
                 auth_type = scram-sha-256\n\
                 auth_file = {}\n\
                 pool_mode = {mode}\n\
                 default_pool_size = {SERVERS}\n\
                 max_client_conn = 100\n\
                 {more}\
                 logfile = {}\n",
                server.port(),
                users.display(),
                path.join("log").display(),
            ),
        )
        .expect("a file");
        if let Some(account) = account {
            for path in [path, &users, &settings] {
                account.own(path).expect("chown");
            }
        }
        let process = command_as(account, path, program)
            .arg("--quiet")
            .arg(&settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pgbouncer starts");
        let this = Self {
            port,
            process,
            _directory: directory,
        };
        let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        assert!(
            wait_until(GENEROUS, listens),
            "pgbouncer does not listen: {}",
            fs::read_to_string(this._directory.path().join("log")).unwrap_or_default()
        );
        this
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// As for a server.
    pub(crate) fn config(&self) -> Config {
        Config::new()
            .host("127.0.0.1")
            .port(self.port)
            .user("kornak")
            .password(PASSWORD)
            .dbname("kornak")
            .environment(Environment::empty())
    }

    /// As for a pooler of transactions.
    pub(crate) fn pooled(&self) -> Config {
        self.config().pooler(Pooler::Transaction)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
