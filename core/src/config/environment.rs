//! [`Environment`]: what a configuration is completed from.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What a [`Config`](super::Config) is completed from: environment variables, the home
/// directory, the operating system's user, the directories of Unix sockets.
///
/// The default is the process's own. Tests and programs that must not depend on their
/// surroundings give another one to
/// [`Config::environment`](super::Config::environment).
///
/// ```
/// use kornak::config::{Config, Environment};
///
/// let surroundings = Environment::empty()
///     .variable("PGHOST", "db.example.com")
///     .user("app");
/// let resolved = Config::new().environment(surroundings).resolve()?;
/// assert_eq!(resolved.hosts()[0].host().to_string(), "db.example.com");
/// assert_eq!(resolved.user(), "app");
/// # Ok::<(), kornak::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Environment {
    /// Whether the process's variables count, under those below.
    inherits: bool,
    /// By name, in its order.
    variables: Vec<(OsString, OsString)>,
    /// Whether what is not given below is asked of the operating system.
    asks_system: bool,
    user: Option<String>,
    program: Option<String>,
    socket_directories: Option<Vec<PathBuf>>,
}

impl Environment {
    /// The process's own, as it is whenever a configuration is resolved. A pool reads the
    /// variables once, when it is made.
    ///
    /// ```
    /// # use kornak::config::Environment;
    /// assert_eq!(Environment::process(), Environment::default());
    /// ```
    pub fn process() -> Self {
        Self {
            inherits: true,
            asks_system: true,
            ..Self::empty()
        }
    }

    /// The process's own as it is now: variables that change later don't count.
    ///
    /// ```
    /// # use kornak::config::Environment;
    /// assert_ne!(Environment::snapshot(), Environment::process());
    /// ```
    pub fn snapshot() -> Self {
        Self::process().as_of_now()
    }

    /// The same, without the process's variables that are set or changed later.
    pub(super) fn as_of_now(&self) -> Self {
        let mut this = self.clone();
        if this.inherits {
            this.inherits = false;
            let own = std::env::vars_os().filter(|(name, _)| {
                let name = name.as_encoded_bytes();
                name.starts_with(b"PG") || HOME_VARIABLES.iter().any(|v| v.as_bytes() == name)
            });
            for (name, value) in own {
                if let Err(place) = this.place(&name) {
                    this.variables.insert(place, (name, value));
                }
            }
        }
        this
    }

    /// Nothing: no variable, no file, no user. Only what the configuration says counts.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// let config = Config::new().user("app").environment(Environment::empty());
    /// assert_eq!(config.resolve()?.hosts()[0].host().to_string(), "localhost");
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn empty() -> Self {
        Self {
            inherits: false,
            variables: Vec::new(),
            asks_system: false,
            user: None,
            program: None,
            socket_directories: None,
        }
    }

    /// Sets an environment variable, for this value alone.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// let environment = Environment::empty().variable("PGUSER", "app");
    /// assert_eq!(Config::new().environment(environment).resolve()?.user(), "app");
    /// # Ok::<(), kornak::Error>(())
    /// ```
    #[must_use]
    pub fn variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        let variable = (name.into(), value.into());
        match self.place(&variable.0) {
            Ok(place) => self.variables[place] = variable,
            Err(place) => self.variables.insert(place, variable),
        }
        self
    }

    /// Sets the name of the operating system's user, the default of `user`.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// let environment = Environment::empty().user("app");
    /// assert_eq!(Config::new().environment(environment).resolve()?.dbname(), "app");
    /// # Ok::<(), kornak::Error>(())
    /// ```
    #[must_use]
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.user = Some(name.into());
        self
    }

    /// Sets the program's name, which `application_name` falls back to.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// let environment = Environment::empty().user("app").program("billing");
    /// let resolved = Config::new().environment(environment).resolve()?;
    /// assert_eq!(resolved.application_name(), Some("billing"));
    /// # Ok::<(), kornak::Error>(())
    /// ```
    #[must_use]
    pub fn program(mut self, name: impl Into<String>) -> Self {
        self.program = Some(name.into());
        self
    }

    /// Sets the directories in which a server's Unix socket is looked for where no host is
    /// given. Where there are none, `localhost` is the default host.
    ///
    /// ```
    /// # use kornak::config::{Config, Environment};
    /// let environment = Environment::empty().user("app").socket_directories([std::env::temp_dir()]);
    /// let resolved = Config::new().environment(environment).resolve()?;
    /// assert!(resolved.hosts()[0].host().is_unix());
    /// # Ok::<(), kornak::Error>(())
    /// ```
    #[must_use]
    pub fn socket_directories<P: Into<PathBuf>>(
        mut self,
        directories: impl IntoIterator<Item = P>,
    ) -> Self {
        self.socket_directories = Some(directories.into_iter().map(Into::into).collect());
        self
    }

    /// The name of the operating system's user with this id, for `requirepeer`. `None`
    /// where there is none, or on a system without such ids.
    ///
    /// ```
    /// # use kornak::config::Environment;
    /// # if cfg!(unix) {
    /// assert_eq!(Environment::user_name(0).as_deref(), Some("root"));
    /// # }
    /// ```
    pub fn user_name(id: u32) -> Option<String> {
        if !cfg!(unix) {
            return None;
        }
        Account::with_id(id)
            .map(|account| account.name)
            .or_else(|| identity(&["-un", &id.to_string()]))
    }

    pub(super) fn get(&self, name: &str) -> Option<OsString> {
        match self.place(OsStr::new(name)) {
            Ok(place) => Some(self.variables[place].1.clone()),
            Err(_) if self.inherits => std::env::var_os(name),
            Err(_) => None,
        }
    }

    /// Where a variable is, or else where it belongs.
    fn place(&self, name: &OsStr) -> Result<usize, usize> {
        self.variables
            .binary_search_by(|(known, _)| known.as_os_str().cmp(name))
    }

    /// The directory of `.pgpass`, `.pg_service.conf` and `.postgresql`
    /// (`pqGetHomeDirectory` in fe-connect.c).
    pub(super) fn home(&self) -> Option<PathBuf> {
        match self.home_variable() {
            Some(home) => Some(home.into()),
            None if self.asks_system => Account::own().map(|account| account.home),
            None => None,
        }
    }

    /// Whether the system's accounts say it, because no variable does.
    pub(super) fn asks_for_home(&self) -> bool {
        self.asks_system && self.home_variable().is_none()
    }

    fn home_variable(&self) -> Option<OsString> {
        let home = self.get(HOME_VARIABLES[usize::from(cfg!(windows))])?;
        Some(home).filter(|home| !home.is_empty())
    }

    /// A file that libpq keeps in the home directory: `.pgpass` on Unix,
    /// `postgresql\pgpass.conf` under Windows' application data.
    pub(super) fn home_file(&self, unix: &str, windows: &str) -> Option<PathBuf> {
        let home = self.home()?;
        Some(if cfg!(windows) {
            home.join("postgresql").join(windows)
        } else {
            home.join(unix)
        })
    }

    /// The name of the user on whose behalf this runs (`pg_fe_getauthname` in fe-auth.c).
    pub(super) fn user_of_system(&self) -> Option<String> {
        if self.user.is_some() || !self.asks_system {
            return self.user.clone();
        }
        static USER: OnceLock<Option<String>> = OnceLock::new();
        USER.get_or_init(own_user_name).clone()
    }

    pub(super) fn program_name(&self) -> Option<String> {
        if self.program.is_some() || !self.asks_system {
            return self.program.clone();
        }
        let path = PathBuf::from(std::env::args_os().next()?);
        Some(path.file_stem()?.to_str()?.to_owned())
    }

    pub(super) fn default_socket_directories(&self) -> Vec<PathBuf> {
        match &self.socket_directories {
            Some(directories) => directories.clone(),
            None if self.asks_system && cfg!(unix) => {
                SOCKET_DIRECTORIES.iter().map(PathBuf::from).collect()
            }
            None => Vec::new(),
        }
    }

    /// The directory of the machine's own `pg_service.conf`.
    pub(super) fn system_configuration(&self) -> Option<PathBuf> {
        match self.get("PGSYSCONFDIR") {
            Some(directory) => Some(directory.into()),
            None if self.asks_system => SYSTEM_CONFIGURATION
                .iter()
                .map(PathBuf::from)
                .find(|directory| directory.is_dir()),
            None => None,
        }
    }
}

impl Default for Environment {
    fn default() -> Self {
        Self::process()
    }
}

/// Shows the names of variables only: `PGPASSWORD` is one of them.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.variables.iter().map(|(name, _)| name).collect();
        f.debug_struct("Environment")
            .field("inherits", &self.inherits)
            .field("variables", &names)
            .field("asks_system", &self.asks_system)
            .field("user", &self.user)
            .field("program", &self.program)
            .field("socket_directories", &self.socket_directories)
            .finish()
    }
}

/// A line of `/etc/passwd`.
struct Account {
    name: String,
    home: PathBuf,
}

impl Account {
    /// The account of the process's effective user.
    fn own() -> Option<Self> {
        Self::with_id(effective_user()?)
    }

    fn with_id(id: u32) -> Option<Self> {
        let accounts = std::fs::read(Path::new("/etc/passwd")).ok()?;
        let accounts = String::from_utf8_lossy(&accounts);
        accounts.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let (_password, user) = (fields.next()?, fields.next()?);
            let (_group, _comment, home) = (fields.next()?, fields.next()?, fields.next()?);
            (user.parse() == Ok(id)).then(|| Self {
                name: name.to_owned(),
                home: home.into(),
            })
        })
    }
}

/// The effective user's id, without a call that Rust's library lacks: Linux writes it into
/// the second column of this line (proc(5)).
fn effective_user() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    ids.split_whitespace().nth(1)?.parse().ok()
}

/// Accounts that are not in `/etc/passwd` (a directory service's, macOS') are asked of
/// POSIX's `id`; the variables come last, because anyone can set them.
fn own_user_name() -> Option<String> {
    if let Some(account) = Account::own() {
        return Some(account.name);
    }
    if cfg!(unix) {
        if let Some(name) = identity(&["-un"]) {
            return Some(name);
        }
    }
    USER_VARIABLES
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
}

fn identity(arguments: &[&str]) -> Option<String> {
    let output = std::process::Command::new("id")
        .args(arguments)
        .stderr(std::process::Stdio::null())
        .output()
        .ok()?;
    let name = String::from_utf8(output.stdout).ok()?;
    let name = name.trim();
    (output.status.success() && !name.is_empty()).then(|| name.to_owned())
}

/// On Unix, and on Windows.
const HOME_VARIABLES: [&str; 2] = ["HOME", "APPDATA"];

const USER_VARIABLES: [&str; 3] = ["USER", "LOGNAME", "USERNAME"];

/// `DEFAULT_PGSOCKET_DIR` of the packages of the distributions, and of PostgreSQL itself.
const SOCKET_DIRECTORIES: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// `SYSCONFDIR` of Debian's packages, of the RPMs, and of PostgreSQL itself.
const SYSTEM_CONFIGURATION: [&str; 3] = [
    "/etc/postgresql-common",
    "/etc/sysconfig/pgsql",
    "/usr/local/pgsql/etc",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_its_own_win_over_the_process() {
        let environment = Environment::process().variable("PATH", "mine");
        assert_eq!(environment.get("PATH"), Some("mine".into()));
        assert!(Environment::process().get("PATH").is_some());
        assert!(Environment::snapshot().get("PATH").is_none());
        assert!(Environment::empty().get("PATH").is_none());
    }

    #[test]
    fn an_empty_environment_knows_nothing() {
        let environment = Environment::empty();
        assert_eq!(environment.home(), None);
        assert_eq!(environment.user_of_system(), None);
        assert_eq!(environment.program_name(), None);
        assert_eq!(environment.system_configuration(), None);
        assert!(environment.default_socket_directories().is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_user_is_the_one_that_id_names() {
        let user = Environment::process().user_of_system();
        assert_eq!(user, identity(&["-un"]));
        assert!(user.is_some());
        let homeless = Environment::process().variable("HOME", "");
        assert!(homeless.home().is_some_and(|home| home.is_absolute()));
    }

    #[test]
    fn s31_debug_shows_no_variable_s_value() {
        let environment = Environment::empty().variable("PGPASSWORD", "sesame");
        assert!(!format!("{environment:?}").contains("sesame"));
    }
}
