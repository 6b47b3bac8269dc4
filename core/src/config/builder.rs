//! [`Config`]: what a program says of a connection.

use std::fmt;
use std::str::FromStr;

use super::HIDDEN;
use super::complete;
use super::connection_string::{self, malformed, quoted};
use super::environment::Environment;
use super::options::{self, Options};
use super::resolution::{Resolution, Witness};
use super::resolved::ResolvedConfig;
use crate::error::{Error, ErrorKind, Result};

/// What a program says of a connection: hosts, user, password, TLS and the rest.
///
/// It is made from a connection string, from nothing, or from the environment, and changed
/// by setters, each named as the option is and taking the place of what was said before.
/// Making one reads no file and no environment variable, so that it is cheap and can't
/// depend on where it runs. What it leaves open is filled in by
/// [`resolve`](Self::resolve), which the driver calls when it connects: from the service
/// file, then from the environment, then from the defaults, as libpq does it. The table in
/// the [module's documentation](super) lists all options.
///
/// `Debug` and `Display` never show a password or a key.
///
/// ```
/// use kornak::config::{Config, SslMode};
///
/// let config: Config = "postgres://app@db.example.com/shop".parse()?;
/// let config = config.password("sesame").sslmode(SslMode::VerifyFull);
/// assert_eq!(
///     config.to_string(),
///     "user=app password=[redacted] dbname=shop host=db.example.com sslmode=verify-full",
/// );
/// # Ok::<(), kornak::Error>(())
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct Config {
    pub(super) options: Options,
    pub(super) settings: Vec<(String, String)>,
    pub(super) environment: Environment,
    /// Whether any value can be a piece of a password that was not escaped.
    pub(super) is_suspect: bool,
}

impl Config {
    /// Nothing said: all is left to the environment and the defaults.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().host("db.example.com").port(5433).user("app");
    /// assert_eq!(config.to_string(), "user=app host=db.example.com port=5433");
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// What the environment says, read now: variables that change later don't count.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] where a variable or the service file says what can't be.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::from_env()?;
    /// assert!(!config.resolve()?.user().is_empty());
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn from_env() -> Result<Self> {
        let config = Self::new().environment(Environment::snapshot());
        config.resolve()?;
        Ok(config)
    }

    /// Sets an option by its name in connection strings, from its text there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] where there is no such option or the text is none of its
    /// values, [`ErrorKind::Unsupported`] where libpq knows the value and this driver does
    /// not.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().option("sslmode", "require")?;
    /// assert_eq!(config.to_string(), "sslmode=require");
    /// let error = config.option("ssl_mode", "require").unwrap_err();
    /// assert!(error.to_string().contains("did you mean sslmode?"));
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn option(mut self, name: &str, text: &str) -> Result<Self> {
        let Some(keyword) = options::keyword(name.as_bytes()) else {
            let mut message = format!("there is no option {name:?}");
            if let Some(advice) = options::advice(name.as_bytes()) {
                message += &format!("; {advice}");
            }
            return Err(Error::new(ErrorKind::Config, message));
        };
        self.options
            .set(keyword.name, text.as_bytes())
            .map_err(|invalid| invalid.of(keyword.name))?;
        Ok(self)
    }

    /// Sets a setting of the server that the session begins with, such as `search_path`.
    /// The last value of a name wins.
    ///
    /// Behind a pooler of transactions ([`pooler`](Self::pooler)) only those that PgBouncer
    /// keeps track of can be set: `datestyle`, `timezone` and
    /// `standard_conforming_strings`.
    ///
    /// ```
    /// use kornak::config::{Config, Environment};
    ///
    /// # let environment = Environment::empty().user("app");
    /// let config = Config::new().setting("search_path", "shop, public");
    /// # let config = config.environment(environment);
    /// let resolved = config.resolve()?;
    /// assert!(
    ///     resolved
    ///         .startup_parameters()
    ///         .any(|parameter| parameter == ("search_path", "shop, public"))
    /// );
    /// # Ok::<(), kornak::Error>(())
    /// ```
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.settings
            .retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
        self.settings.push((name, value.into()));
        self
    }

    /// Sets what the configuration is completed from, in the place of the process's own
    /// variables, files and user.
    ///
    /// ```
    /// use kornak::config::{Config, Environment};
    ///
    /// let config = Config::new().user("app").environment(Environment::empty());
    /// assert_eq!(config.resolve()?.hosts()[0].port(), 5432);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// Completes the configuration: what it leaves open comes from the service file, the
    /// environment variables and the defaults, in this order, and the password of each
    /// host from the password file.
    ///
    /// It reads these files with blocking calls; they are small and local. The driver
    /// calls it when it connects. A pool looks again for each new connection whether one of
    /// the files has changed, so that a new password file counts; the environment variables
    /// are those that it was made with.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] where a source says what can't be, or two options contradict
    /// each other; [`ErrorKind::Unsupported`] where they ask for what this driver lacks.
    ///
    /// ```
    /// use kornak::config::{Config, Environment, SslMode};
    ///
    /// let config: Config = "host=one,two port=5433".parse()?;
    /// let resolved = config.environment(Environment::empty().user("app")).resolve()?;
    /// assert_eq!(resolved.hosts()[1].host().to_string(), "two");
    /// assert_eq!(resolved.hosts()[1].port(), 5433);
    /// assert_eq!(resolved.dbname(), "app");
    /// # Ok::<(), kornak::Error>(())
    /// ```
    pub fn resolve(&self) -> Result<ResolvedConfig> {
        complete::complete(self, &mut Witness::default())
    }

    /// As [`resolve`](Self::resolve), to be kept as long as it would come out the same.
    #[doc(hidden)]
    pub fn resolution(&self) -> Result<Resolution> {
        let mut witness = Witness::default();
        let resolved = complete::complete(self, &mut witness)?;
        Ok(Resolution::new(resolved, witness))
    }

    /// The same, with the process's environment variables as they are now.
    #[doc(hidden)]
    pub fn with_variables_of_now(&self) -> Self {
        let mut config = self.clone();
        config.environment = self.environment.as_of_now();
        config
    }
}

/// Reads a connection string in either of libpq's forms, a URI or `name=value` pairs, with
/// libpq's grammar (the manual's section "Connection Strings"). Nothing else is read.
///
/// Errors name the byte at which the string goes wrong and show nothing of it that could
/// be a piece of the password.
///
/// ```
/// use kornak::config::Config;
///
/// let uri: Config = "postgresql://app@[::1]:5433/shop?connect_timeout=10".parse()?;
/// let pairs: Config = "user=app host=::1 port=5433 dbname='shop' connect_timeout = 10".parse()?;
/// assert_eq!(uri, pairs);
///
/// let error = "postgres://app:pass/word@db/shop".parse::<Config>().unwrap_err();
/// assert!(error.to_string().contains("at byte 15"));
/// assert!(!error.to_string().contains("word@"));
/// # Ok::<(), kornak::Error>(())
/// ```
impl FromStr for Config {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut config = Self::new();
        config.is_suspect = connection_string::is_suspect(text);
        for pair in connection_string::parse(text)? {
            let keyword = pair.keyword();
            config
                .options
                .set(keyword, pair.value())
                .map_err(|invalid| {
                    let message = format!("{keyword}: {}", invalid.expected);
                    match invalid.kind {
                        ErrorKind::Unsupported => Error::new(invalid.kind, message),
                        _ => malformed(pair.at(), message),
                    }
                })?;
        }
        Ok(config)
    }
}

/// What a connection can be configured by: a [`Config`] or a connection string.
///
/// ```
/// use kornak::config::{Config, IntoConfig};
///
/// assert_eq!("user=app".into_config()?, Config::new().user("app"));
/// assert_eq!(Config::new().into_config()?, Config::new());
/// # Ok::<(), kornak::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no configuration",
    note = "give a `Config` or a connection string"
)]
pub trait IntoConfig {
    /// Turns it into a configuration.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] or [`ErrorKind::Unsupported`] where a string is none, as with
    /// [`str::parse`].
    fn into_config(self) -> Result<Config>;
}

impl IntoConfig for Config {
    fn into_config(self) -> Result<Config> {
        Ok(self)
    }
}

impl IntoConfig for &Config {
    fn into_config(self) -> Result<Config> {
        Ok(self.clone())
    }
}

impl IntoConfig for &str {
    fn into_config(self) -> Result<Config> {
        self.parse()
    }
}

impl IntoConfig for &String {
    fn into_config(self) -> Result<Config> {
        self.parse()
    }
}

impl IntoConfig for String {
    fn into_config(self) -> Result<Config> {
        self.parse()
    }
}

/// A connection string in `name=value` form, with `[redacted]` for each secret.
///
/// All values are hidden where they come from a URI with an `@` that ends no user's part:
/// there an unescaped `/` or `@` may have made the password's end another part.
///
/// ```
/// use kornak::config::Config;
///
/// let config = Config::new().host("db").dbname("my shop").password("sesame");
/// assert_eq!(config.to_string(), "password=[redacted] dbname='my shop' host=db");
/// ```
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, text) in self.shown() {
            write!(f, "{separator}{name}={}", quoted(&text))?;
            separator = " ";
        }
        Ok(())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Config");
        for (name, text) in self.shown() {
            debug.field(name, &text);
        }
        // The values of settings are the application's data.
        let settings: Vec<_> = self.settings.iter().map(|(name, _)| name).collect();
        debug
            .field("settings", &settings)
            .field("environment", &self.environment)
            .finish()
    }
}

impl Config {
    /// Each option that is set, as it may be shown.
    fn shown(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.options.texts().into_iter().map(|(keyword, text)| {
            let text = if keyword.is_secret {
                "[redacted]".to_owned()
            } else if self.is_suspect {
                HIDDEN.to_owned()
            } else {
                text
            };
            (keyword.name, text)
        })
    }
}
