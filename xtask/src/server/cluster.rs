//! Private clusters: the template they are copied from, and starting and stopping one.

use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::TcpListener;
use std::ops::Deref;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{Address, Binaries, DATABASE, PASSWORD, Role, Server};
use crate::process::{self, Account, FileLock, children_of, command_as, is_alive, run, wait_until};
use crate::{Context, Failure, Result, target_dir};

/// How a cluster is stopped (manual, "Shutting Down the Server").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Sessions are told (57P01), their transactions rolled back.
    Fast,
    /// Sessions are told (57P02) and the server is gone, to recover at its next start.
    Immediate,
}

/// A cluster of one's own, which goes with this value, or with its process. It derefs to
/// its [`Server`].
#[derive(Debug)]
pub struct Private {
    server: Server,
    pub(super) folder: Folder,
    /// Ends when its input does, and then stops the server: so nothing is left behind
    /// however this process dies.
    guardian: Child,
}

/// The folder of one cluster: `data`, `server.log`, and perhaps `run` for the socket.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) account: Option<Account>,
}

/// Lines of `postgresql.conf` for every cluster. What is lost in a crash of the machine
/// does not matter here.
const SETTINGS: &str = "\
fsync = off
synchronous_commit = off
full_page_writes = off
max_connections = 200
max_prepared_transactions = 10
wal_level = logical
shared_buffers = 32MB
max_wal_size = 256MB
listen_addresses = '127.0.0.1'
unix_socket_permissions = 0777
password_encryption = 'scram-sha-256'
ssl = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %u '
log_statement = 'none'
autovacuum_naptime = 10min
";

/// How often another port is tried when somebody was faster.
const PORT_ATTEMPTS: u32 = 8;

/// How long a server may take to start or stop, on a machine under load.
const START_LIMIT: Duration = Duration::from_secs(120);

impl Private {
    pub(super) fn start(binaries: &Binaries, name: &str, settings: &[&str]) -> Result<Self> {
        let template = Root::open()?.template(binaries)?;
        Self::start_from(binaries, name, settings, |folder| folder.create(&template))
    }

    /// Starts a cluster whose data `fill` provides.
    pub(super) fn start_from(
        binaries: &Binaries,
        name: &str,
        settings: &[&str],
        fill: impl FnOnce(&Folder) -> Result<()>,
    ) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let root = Root::open()?;
        let folder = Folder {
            path: root.major_dir(binaries.major())?.join(format!(
                "private-{name}-{}-{}",
                std::process::id(),
                COUNT.fetch_add(1, Ordering::Relaxed)
            )),
            account: root.account,
        };
        fill(&folder)?;
        // The guardian comes first: a start that is cut short leaves nothing behind either.
        let guardian = folder.spawn_guardian(binaries)?;
        let mut this = Self {
            server: Server::external(String::new()),
            folder,
            guardian,
        };
        this.server = Server::at(this.folder.start(binaries, settings)?);
        Ok(this)
    }

    /// Stops the server and waits until it is down.
    ///
    /// # Errors
    ///
    /// Fails where it does not run, or does not stop.
    pub fn stop(&mut self, mode: StopMode) -> Result<()> {
        self.folder.stop(&self.address().binaries, mode)
    }

    /// Starts the server again, on the same port and with its data, and waits until it
    /// takes connections.
    ///
    /// # Errors
    ///
    /// Fails where it runs already, or does not start.
    pub fn start_again(&mut self) -> Result<()> {
        let address = self.address();
        self.folder.launch(&address.binaries)?;
        let address = self.folder.read_address(&address.binaries)?;
        self.server = Server::at(address);
        Ok(())
    }

    /// Stops and starts.
    ///
    /// # Errors
    ///
    /// As [`stop`](Self::stop) and [`start_again`](Self::start_again).
    pub fn restart(&mut self, mode: StopMode) -> Result<()> {
        self.stop(mode)?;
        self.start_again()
    }

    /// Kills every process of the server at once, as a power cut would: no session is told
    /// anything, their sockets just close.
    ///
    /// # Errors
    ///
    /// Fails where the processes stay.
    pub fn kill(&mut self) -> Result<()> {
        let postmaster = self.postmaster();
        // Stopped, it starts no children that we don't know of; killed last, it leaves none
        // alive that would tell their clients of its death.
        process::signal(postmaster, "STOP")?;
        let children = children_of(postmaster);
        for (child, _) in &children {
            // It may have ended meanwhile.
            let _ = process::signal(*child, "KILL");
        }
        process::signal(postmaster, "KILL")?;
        let gone = || !is_alive(postmaster) && children.iter().all(|(child, _)| !is_alive(*child));
        if !wait_until(START_LIMIT, gone) {
            return Err(Failure::new("the server's processes survive SIGKILL"));
        }
        // Until somebody reaps it the postmaster is a zombie, which the next one, by
        // kill(2), would take for alive and for the owner of these files.
        let lock = format!(".s.PGSQL.{}.lock", self.port());
        for path in [
            self.folder.path.join("data/postmaster.pid"),
            self.socket_dir().join(lock),
        ] {
            fs::remove_file(&path).context(format_args!("removing {}", path.display()))?;
        }
        Ok(())
    }
}

impl Deref for Private {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        // The guardian reports nothing that one could act upon here.
        let _ = self.guardian.wait();
    }
}

/// The processes of `postmaster` that serve clients. Their titles end in the client's
/// address and what they do: `postgres: kornak kornak [local] idle`
/// (`src/backend/utils/misc/ps_status.c`).
pub(super) fn backends_of(postmaster: u32) -> Vec<u32> {
    children_of(postmaster)
        .into_iter()
        .filter(|(_, title)| {
            title.starts_with("postgres: ")
                && (title.contains(" [local]") || title.contains(" 127.0.0.1("))
        })
        .map(|(pid, _)| pid)
        .collect()
}

/// The folder of all clusters: `target/pg`, or one in /tmp where the server's user can't
/// reach that.
#[derive(Clone, Debug)]
pub(super) struct Root {
    pub(super) path: PathBuf,
    pub(super) account: Option<Account>,
}

impl Root {
    pub(super) fn open() -> Result<Self> {
        let account = Account::for_servers()?;
        let wanted = match std::env::var_os("KORNAK_PG_DIR") {
            Some(dir) => PathBuf::from(dir),
            None => target_dir().join("pg"),
        };
        let this = Self {
            path: wanted,
            account,
        };
        fs::create_dir_all(&this.path).context(format_args!("creating {}", this.path.display()))?;
        this.give_away(&this.path)?;
        if this.is_reachable() {
            return Ok(this);
        }
        let mut hasher = DefaultHasher::new();
        this.path.hash(&mut hasher);
        let fallback = Self {
            path: PathBuf::from(format!("/tmp/kornak-pg-{:08x}", hasher.finish() as u32)),
            account,
        };
        fallback.create_in_tmp(0o755)?;
        Ok(fallback)
    }

    /// The folder of one major.
    pub(super) fn major_dir(&self, major: u32) -> Result<PathBuf> {
        let dir = self.path.join(major.to_string());
        fs::create_dir_all(&dir).context(format_args!("creating {}", dir.display()))?;
        self.give_away(&dir)?;
        Ok(dir)
    }

    /// The data folder that each cluster of these binaries starts as, made where it is
    /// missing or not made by this recipe. `initdb` takes a second; a copy takes none.
    pub(super) fn template(&self, binaries: &Binaries) -> Result<PathBuf> {
        let dir = self.major_dir(binaries.major())?;
        let _lock = FileLock::acquire(&dir.join("template.lock"))?;
        let recipe = self.recipe(binaries);
        let template = dir.join("template");
        let recipe_path = dir.join("template.recipe");
        if template.is_dir() && fs::read_to_string(&recipe_path).is_ok_and(|had| had == recipe) {
            return Ok(template);
        }
        let unfinished = dir.join("template.new");
        for old in [&template, &unfinished] {
            remove_dir(old)?;
        }
        self.initialize(binaries, &unfinished)?;
        fs::rename(&unfinished, &template).context("putting the new cluster in place")?;
        fs::write(&recipe_path, recipe)
            .context(format_args!("writing {}", recipe_path.display()))?;
        Ok(template)
    }

    pub(super) fn initialize(&self, binaries: &Binaries, data: &Path) -> Result<()> {
        run(self
            .command(binaries.program("initdb"))
            .arg("--pgdata")
            .arg(data)
            .args(["--username", "postgres", "--encoding", "UTF8"])
            .args(["--locale", "C", "--auth", "trust", "--no-sync"]))?;
        for (name, text) in [
            ("pg_hba.conf", hba()),
            (
                "postgresql.conf",
                format!("{SETTINGS}include 'kornak.conf'\n"),
            ),
            ("kornak.conf", String::new()),
        ] {
            let path = data.join(name);
            fs::write(&path, text).context(format_args!("writing {}", path.display()))?;
            self.give_away(&path)?;
        }
        // A server of one session, which needs neither client nor port: each line is a
        // command (manual, "postgres", "Single-User Mode").
        let script = data.with_extension("sql");
        fs::write(&script, setup()).context(format_args!("writing {}", script.display()))?;
        let input = fs::File::open(&script).context("opening the setup script")?;
        let output = self
            .command(binaries.program("postgres"))
            .args(["--single", "-F", "-D"])
            .arg(data)
            .arg("postgres")
            .stdin(input)
            .output()
            .context("running postgres --single")?;
        // It carries on after an error, and exits with success.
        let text = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() || ["ERROR:", "FATAL:"].iter().any(|bad| text.contains(bad)) {
            return Err(Failure::new(format!(
                "setting the roles of the cluster up failed:\n{text}"
            )));
        }
        fs::remove_file(&script).context("removing the setup script")
    }

    /// All that a template depends on.
    fn recipe(&self, binaries: &Binaries) -> String {
        let program = binaries.program("postgres");
        let built = fs::metadata(&program).map_or((0, 0), |file| (file.len(), file.mtime()));
        format!(
            "{}\n{built:?}\n{:?}\n{SETTINGS}\n{}\n{}",
            program.display(),
            self.account,
            hba(),
            setup()
        )
    }

    /// A command that runs as the server's user.
    fn command(&self, program: PathBuf) -> Command {
        command_as(self.account, &self.path, program)
    }

    pub(super) fn give_away(&self, path: &Path) -> Result<()> {
        self.account.map_or(Ok(()), |account| account.own(path))
    }

    /// Whether the server's user can work here, and the socket's path is short and plain
    /// enough.
    fn is_reachable(&self) -> bool {
        let works = command_as(self.account, Path::new("/"), "sh")
            .args(["-c", "cd -- \"$1\" && test -w .", "sh"])
            .arg(&self.path)
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        works && self.path.is_absolute()
    }

    /// Makes a folder in /tmp, or takes one that is ours already: another user's, put
    /// there under the name we were going to use, is refused.
    fn create_in_tmp(&self, mode: u32) -> Result<()> {
        create_in_tmp(&self.path, self.account, mode)
    }
}

impl Folder {
    /// Fills the folder with a fresh copy of `template`.
    pub(super) fn create(&self, template: &Path) -> Result<()> {
        self.make()?;
        let data = self.path.join("data");
        remove_dir(&data)?;
        run(self.command("cp").arg("-a").arg(template).arg(&data))?;
        // A log of earlier days would only mislead.
        match fs::remove_file(self.log_path()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::new(format!("removing the old log: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Makes the folder, empty and the server's own.
    pub(super) fn make(&self) -> Result<()> {
        fs::create_dir_all(&self.path).context(format_args!("creating {}", self.path.display()))?;
        self.account
            .map_or(Ok(()), |account| account.own(&self.path))
    }

    /// Configures and starts the server on a free port.
    pub(super) fn start(&self, binaries: &Binaries, settings: &[&str]) -> Result<Address> {
        let socket_dir = self.socket_dir()?;
        let mut attempt = 1;
        loop {
            let port = free_port(attempt)?;
            let mut conf = format!(
                "port = {port}\nunix_socket_directories = '{}'\n",
                socket_dir.display()
            );
            for line in settings {
                writeln!(conf, "{line}").context("writing settings")?;
            }
            let path = self.path.join("data/kornak.conf");
            fs::write(&path, conf).context(format_args!("writing {}", path.display()))?;
            match self.launch(binaries) {
                Ok(()) => return self.read_address(binaries),
                // Between finding a port and using it, anybody may have taken it.
                Err(_) if attempt < PORT_ATTEMPTS && self.log_tail().contains("could not bind") => {
                    attempt += 1;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Starts the server and waits until it takes connections.
    fn launch(&self, binaries: &Binaries) -> Result<()> {
        let mut command = self.pg_ctl(binaries);
        command
            .arg("--log")
            .arg(self.log_path())
            .args(["--wait", "--silent", "start"]);
        run(&mut command)
            .map(drop)
            .map_err(|failure| Failure::new(format!("{failure}\n{}", self.log_tail().trim_end())))
    }

    /// Stops the server and waits until it is down.
    pub(super) fn stop(&self, binaries: &Binaries, mode: StopMode) -> Result<()> {
        let mode = match mode {
            StopMode::Fast => "fast",
            StopMode::Immediate => "immediate",
        };
        run(self
            .pg_ctl(binaries)
            .args(["--wait", "--silent", "--mode", mode, "stop"]))
        .map(drop)
    }

    /// Reads the address of the server from its `postmaster.pid`
    /// (`src/include/utils/pidfile.h`).
    pub(super) fn read_address(&self, binaries: &Binaries) -> Result<Address> {
        let path = self.path.join("data/postmaster.pid");
        let text = fs::read_to_string(&path).context(format_args!("reading {}", path.display()))?;
        let line = |number: usize| text.lines().nth(number - 1).unwrap_or_default().trim();
        let number =
            |at: usize| -> Result<u32> { line(at).parse().context(format_args!("line {at}")) };
        Ok(Address {
            binaries: binaries.clone(),
            socket_dir: PathBuf::from(line(5)),
            port: u16::try_from(number(4)?).context("the port")?,
            log_path: self.log_path(),
            postmaster: number(1)?,
        })
    }

    pub(super) fn log_path(&self) -> PathBuf {
        self.path.join("server.log")
    }

    /// The folder of the socket, made where it is missing: `run` in the cluster's own
    /// folder or, where a path in it is no socket's, one in /tmp.
    fn socket_dir(&self) -> Result<PathBuf> {
        let own = self.path.join("run");
        if is_fit_for_socket(&own) {
            fs::create_dir_all(&own).context(format_args!("creating {}", own.display()))?;
            // Whoever reaches the socket is trusted with everything: the server's user and
            // root may, others on the machine not.
            fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).context("chmod")?;
            if let Some(account) = self.account {
                account.own(&own)?;
            }
            return Ok(own);
        }
        let dir = self.socket_dir_in_tmp();
        create_in_tmp(&dir, self.account, 0o700)?;
        Ok(dir)
    }

    fn socket_dir_in_tmp(&self) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        self.path.hash(&mut hasher);
        PathBuf::from(format!("/tmp/kornak-run-{:016x}", hasher.finish()))
    }

    /// Waits, in a process of its own, for this one to end, then stops the server and
    /// removes the folder.
    fn spawn_guardian(&self, binaries: &Binaries) -> Result<Child> {
        const SCRIPT: &str = "cat >/dev/null; \
            \"$1\" --pgdata \"$2/data\" --silent --mode immediate stop; \
            rm -rf -- \"$2\" \"$3\"";
        self.command("sh")
            .args(["-c", SCRIPT, "kornak-guardian"])
            .arg(binaries.program("pg_ctl"))
            .arg(&self.path)
            .arg(self.socket_dir_in_tmp())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C reaches the whole group of the terminal; this one must outlive it.
            .process_group(0)
            .spawn()
            .context("starting the guardian of a private cluster")
    }

    pub(super) fn pg_ctl(&self, binaries: &Binaries) -> Command {
        let mut command = self.command(binaries.program("pg_ctl"));
        command
            .arg("--pgdata")
            .arg(self.path.join("data"))
            .args(["--timeout", &START_LIMIT.as_secs().to_string()]);
        command
    }

    pub(super) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        command_as(self.account, &self.path, program)
    }

    /// The end of the log, for failures.
    fn log_tail(&self) -> String {
        let text = fs::read(self.log_path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

/// Whether `dir` can hold a socket: `sun_path` has 108 bytes with its NUL (unix(7)), of
/// which `/.s.PGSQL.65535` takes 15; and the name needs no quoting, neither in the list
/// `unix_socket_directories` nor in a URL.
fn is_fit_for_socket(dir: &Path) -> bool {
    let text = dir.to_string_lossy();
    text.len() <= 108 - 1 - 15
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte))
}

fn create_in_tmp(path: &Path, account: Option<Account>, mode: u32) -> Result<()> {
    let created = fs::DirBuilder::new().mode(mode).create(path);
    match created {
        Ok(()) => {
            if let Some(account) = account {
                account.own(path)?;
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).context(format_args!("creating {}", path.display())),
    }
    let found =
        fs::symlink_metadata(path).context(format_args!("looking at {}", path.display()))?;
    let owner = match account {
        Some(account) => account.uid,
        None => process::own_uid()?,
    };
    if found.is_dir() && found.uid() == owner {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "{} belongs to somebody else: remove it, or set KORNAK_PG_DIR",
            path.display()
        )))
    }
}

pub(super) fn remove_dir(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context(format_args!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// A free TCP port below the range that the kernel hands out to outgoing connections, so
/// that a server that restarts finds its port still free.
fn free_port(attempt: u32) -> Result<u16> {
    const FIRST: u64 = 20_000;
    const COUNT: u64 = 12_000;
    let mut hasher = DefaultHasher::new();
    (std::process::id(), attempt, std::time::SystemTime::now()).hash(&mut hasher);
    let start = hasher.finish() % COUNT;
    (0..COUNT)
        .filter_map(|step| u16::try_from(FIRST + (start + step) % COUNT).ok())
        .find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        .ok_or_else(|| Failure::new("no TCP port is free on 127.0.0.1"))
}

/// Who may come in and how (manual, "The pg_hba.conf File"): the first line that fits is
/// the one that counts.
fn hba() -> String {
    let mut text = String::new();
    for role in Role::ALL {
        if let Some(method) = role.method() {
            let user = role.name();
            text += &format!("local all {user} {method}\n");
            text += &format!("host all {user} 127.0.0.1/32 {method}\n");
        }
    }
    text += "local all,replication all trust\n";
    text += "host all,replication all 127.0.0.1/32 scram-sha-256\n";
    text
}

/// The SQL that makes the roles and the database, a command a line.
fn setup() -> String {
    let mut text = format!("ALTER ROLE postgres PASSWORD '{PASSWORD}'\n");
    for role in Role::ALL {
        let user = role.name();
        let options = match role {
            Role::Postgres => continue,
            Role::Kornak => "SUPERUSER LOGIN",
            _ => "LOGIN",
        };
        let encryption = if role == Role::Md5 {
            "md5"
        } else {
            "scram-sha-256"
        };
        text += &format!("SET password_encryption = '{encryption}'\n");
        text += &format!("CREATE ROLE {user} {options} PASSWORD '{PASSWORD}'\n");
    }
    text += &format!("CREATE DATABASE {DATABASE} OWNER kornak TEMPLATE template0\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_paths_are_short_and_plain() {
        for (dir, fit) in [
            ("/work/target/pg/15/run".to_owned(), true),
            ("/home/a b/target/pg/15/run".to_owned(), false),
            ("/home/a,b/run".to_owned(), false),
            (format!("/{}", "x".repeat(91)), true),
            (format!("/{}", "x".repeat(92)), false),
        ] {
            assert_eq!(is_fit_for_socket(Path::new(&dir)), fit, "{dir}");
        }
    }
}
