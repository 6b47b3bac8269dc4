//! The setters that say who connects, and how that is proved.

use std::path::PathBuf;

use crate::config::builder::Config;
use crate::config::choice::ChannelBinding;
use crate::config::require_auth::RequireAuth;
use crate::config::secret::Secret;
use crate::config::value::{SCRAM_KEY_BYTES, ScramKey, Switch};

/// # Who
impl Config {
    /// Sets the user. The default is the operating system's. `PGUSER` sets it too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// assert_eq!(Config::new().user("app").to_string(), "user=app");
    /// ```
    #[must_use]
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.options.user = Some(name.into());
        self
    }

    /// Sets the password. The default is the password file's. `PGPASSWORD` sets it too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// assert_eq!(Config::new().password("sesame").to_string(), "password=[redacted]");
    /// ```
    #[must_use]
    pub fn password(mut self, password: impl Into<Secret>) -> Self {
        self.options.password = Some(password.into());
        self
    }

    /// Sets the password file. The default is `~/.pgpass`. It is ignored where others than
    /// its owner may use it. `PGPASSFILE` sets it too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// assert_eq!(Config::new().passfile("/run/pw").to_string(), "passfile=/run/pw");
    /// ```
    #[must_use]
    pub fn passfile(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.passfile = Some(path.into());
        self
    }

    /// Sets which ways of authentication are accepted. The default is all that can't give
    /// the password away. `PGREQUIREAUTH` sets it too.
    ///
    /// ```
    /// use kornak::config::{AuthMethod, Config, RequireAuth};
    ///
    /// let config = Config::new().require_auth(RequireAuth::only([AuthMethod::ScramSha256]));
    /// assert_eq!(config.to_string(), "require_auth=scram-sha-256");
    /// ```
    #[must_use]
    pub fn require_auth(mut self, methods: RequireAuth) -> Self {
        self.options.require_auth = Some(methods);
        self
    }

    /// Sets whether SCRAM is tied to the TLS connection. The default is where the server
    /// can. `PGCHANNELBINDING` sets it too.
    ///
    /// ```
    /// use kornak::config::{ChannelBinding, Config};
    ///
    /// let config = Config::new().channel_binding(ChannelBinding::Require);
    /// assert_eq!(config.to_string(), "channel_binding=require");
    /// ```
    #[must_use]
    pub fn channel_binding(mut self, binding: ChannelBinding) -> Self {
        self.options.channel_binding = Some(binding);
        self
    }

    /// Allows a server to ask for the password as it is, over any connection. Without this
    /// only a server over a Unix socket, or one whose certificate was checked, may.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().allow_cleartext_password(true);
    /// assert_eq!(config.to_string(), "allow_cleartext_password=on");
    /// ```
    #[must_use]
    pub fn allow_cleartext_password(mut self, allow: bool) -> Self {
        self.options.allow_cleartext_password = Some(Switch(allow));
        self
    }

    /// Allows a server to ask for an MD5 of the password, over any connection. Without this
    /// only a server over a Unix socket, or one whose certificate was checked, may.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().allow_md5_password(true);
    /// assert_eq!(config.to_string(), "allow_md5_password=on");
    /// ```
    #[must_use]
    pub fn allow_md5_password(mut self, allow: bool) -> Self {
        self.options.allow_md5_password = Some(Switch(allow));
        self
    }

    /// Sets the fewest iterations of SCRAM that a server may ask for. The default is
    /// [`DEFAULT_SCRAM_MIN_ITERATIONS`](crate::config::DEFAULT_SCRAM_MIN_ITERATIONS).
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().scram_min_iterations(1);
    /// assert_eq!(config.to_string(), "scram_min_iterations=1");
    /// ```
    #[must_use]
    pub fn scram_min_iterations(mut self, count: u32) -> Self {
        self.options.scram_min_iterations = Some(count);
        self
    }

    /// Sets the most iterations of SCRAM that a server may ask for. The default is
    /// [`DEFAULT_SCRAM_MAX_ITERATIONS`](crate::config::DEFAULT_SCRAM_MAX_ITERATIONS).
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().scram_max_iterations(5_000_000);
    /// assert_eq!(config.to_string(), "scram_max_iterations=5000000");
    /// ```
    #[must_use]
    pub fn scram_max_iterations(mut self, count: u32) -> Self {
        self.options.scram_max_iterations = Some(count);
        self
    }

    /// Sets SCRAM's keys, client's and server's, which stand in for the password.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().scram_keys([1; 32], [2; 32]);
    /// assert_eq!(
    ///     config.to_string(),
    ///     "scram_client_key=[redacted] scram_server_key=[redacted]",
    /// );
    /// ```
    #[must_use]
    pub fn scram_keys(
        mut self,
        client: [u8; SCRAM_KEY_BYTES],
        server: [u8; SCRAM_KEY_BYTES],
    ) -> Self {
        self.options.scram_client_key = Some(ScramKey(client.as_slice().into()));
        self.options.scram_server_key = Some(ScramKey(server.as_slice().into()));
        self
    }

    /// Sets the operating system's user that the server must run as, over a Unix socket.
    /// `PGREQUIREPEER` sets it too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().requirepeer("postgres");
    /// assert_eq!(config.to_string(), "requirepeer=postgres");
    /// ```
    #[must_use]
    pub fn requirepeer(mut self, user: impl Into<String>) -> Self {
        self.options.requirepeer = Some(user.into());
        self
    }
}
