//! The setters of what a session begins with.

use std::time::Duration;

use crate::config::builder::Config;
use crate::config::choice::ProtocolVersion;
use crate::config::value::{Milliseconds, NonZero, Seconds, Span};

/// # The session
impl Config {
    /// Sets the name that `pg_stat_activity` shows. The default is
    /// [`fallback_application_name`](Self::fallback_application_name). `PGAPPNAME` sets it
    /// too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().application_name("shop");
    /// assert_eq!(config.to_string(), "application_name=shop");
    /// ```
    #[must_use]
    pub fn application_name(mut self, name: impl Into<String>) -> Self {
        self.options.application_name = Some(name.into());
        self
    }

    /// Sets the name that `pg_stat_activity` shows where neither the configuration nor
    /// `PGAPPNAME` says one. The default is the program's file name; nothing is sent for
    /// an empty one.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().fallback_application_name("shop");
    /// assert_eq!(config.to_string(), "fallback_application_name=shop");
    /// ```
    #[must_use]
    pub fn fallback_application_name(mut self, name: impl Into<String>) -> Self {
        self.options.fallback_application_name = Some(name.into());
        self
    }

    /// Sets command-line options of the server, such as `-c geqo=off`. `PGOPTIONS` sets
    /// them too.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().options("-c geqo=off");
    /// assert_eq!(config.to_string(), "options='-c geqo=off'");
    /// ```
    #[must_use]
    pub fn options(mut self, options: impl Into<String>) -> Self {
        self.options.options = Some(options.into());
        self
    }

    /// Sets the oldest version of the wire protocol. The default is 3.0.
    /// `PGMINPROTOCOLVERSION` sets it too.
    ///
    /// ```
    /// use kornak::config::{Config, ProtocolVersion};
    ///
    /// let config = Config::new().min_protocol_version(ProtocolVersion::V3_2);
    /// assert_eq!(config.to_string(), "min_protocol_version=3.2");
    /// ```
    #[must_use]
    pub fn min_protocol_version(mut self, version: ProtocolVersion) -> Self {
        self.options.min_protocol_version = Some(version);
        self
    }

    /// Sets the newest version of the wire protocol. The default is 3.0, which every
    /// server and pooler understands, or the newest one where the oldest is set higher.
    /// `PGMAXPROTOCOLVERSION` sets it too.
    ///
    /// ```
    /// use kornak::config::{Config, ProtocolVersion};
    ///
    /// let config = Config::new().max_protocol_version(ProtocolVersion::V3_2);
    /// assert_eq!(config.to_string(), "max_protocol_version=3.2");
    /// ```
    #[must_use]
    pub fn max_protocol_version(mut self, version: ProtocolVersion) -> Self {
        self.options.max_protocol_version = Some(version);
        self
    }

    /// Sets how many prepared statements a connection keeps; 0 keeps none. The default is
    /// [`DEFAULT_STATEMENT_CACHE_CAPACITY`](crate::config::DEFAULT_STATEMENT_CACHE_CAPACITY).
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().statement_cache_capacity(0);
    /// assert_eq!(config.to_string(), "statement_cache_capacity=0");
    /// ```
    #[must_use]
    pub fn statement_cache_capacity(mut self, count: usize) -> Self {
        self.options.statement_cache_capacity = Some(count);
        self
    }
}

/// # Time
impl Config {
    /// Sets how long connecting may take in all: every host and address, TLS and
    /// authentication together. With several hosts or addresses each has an equal share of
    /// what is left, so that a dead one leaves time for the next. A request to cancel has as
    /// long again. The default, and zero, is no limit. In text it is whole seconds, or has a
    /// unit (`1500ms`). `PGCONNECT_TIMEOUT` sets it too.
    ///
    /// A name server that is silent is waited for no longer either; but the system goes on
    /// asking it, in a thread that a runtime waits for when it is dropped.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().connect_timeout(Duration::from_secs(10));
    /// assert_eq!(config.to_string(), "connect_timeout=10");
    /// ```
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.options.connect_timeout = Some(Seconds(limit));
        self
    }

    /// Sets how long a query may take where it says nothing of its own. The default, and
    /// zero, is no limit. In text it has its unit.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().query_timeout(Duration::from_millis(1500));
    /// assert_eq!(config.to_string(), "query_timeout=1500ms");
    /// ```
    #[must_use]
    pub fn query_timeout(mut self, limit: Duration) -> Self {
        self.options.query_timeout = Some(Span(limit));
        self
    }

    /// Sets whether the operating system asks an idle connection for signs of life, over
    /// TCP. The default is that it does.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// assert_eq!(Config::new().keepalives(false).to_string(), "keepalives=0");
    /// ```
    #[must_use]
    pub fn keepalives(mut self, on: bool) -> Self {
        self.options.keepalives = Some(NonZero(on));
        self
    }

    /// Sets how long a connection is idle before it is asked for a sign of life. The
    /// default is [`DEFAULT_KEEPALIVES_IDLE`](crate::config::DEFAULT_KEEPALIVES_IDLE); zero is the
    /// operating system's. In text it is whole seconds.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().keepalives_idle(Duration::from_secs(20));
    /// assert_eq!(config.to_string(), "keepalives_idle=20");
    /// ```
    #[must_use]
    pub fn keepalives_idle(mut self, span: Duration) -> Self {
        self.options.keepalives_idle = Some(Seconds(span));
        self
    }

    /// Sets the time between two such questions. The default is
    /// [`DEFAULT_KEEPALIVES_INTERVAL`](crate::config::DEFAULT_KEEPALIVES_INTERVAL); zero is the
    /// operating system's. In text it is whole seconds.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().keepalives_interval(Duration::from_secs(5));
    /// assert_eq!(config.to_string(), "keepalives_interval=5");
    /// ```
    #[must_use]
    pub fn keepalives_interval(mut self, span: Duration) -> Self {
        self.options.keepalives_interval = Some(Seconds(span));
        self
    }

    /// Sets how many such questions stay unanswered before the connection is given up. The
    /// default is [`DEFAULT_KEEPALIVES_COUNT`](crate::config::DEFAULT_KEEPALIVES_COUNT); zero is
    /// the operating system's.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// assert_eq!(Config::new().keepalives_count(5).to_string(), "keepalives_count=5");
    /// ```
    #[must_use]
    pub fn keepalives_count(mut self, count: u32) -> Self {
        self.options.keepalives_count = Some(count);
        self
    }

    /// Sets how long what was sent may stay unacknowledged before the connection is given
    /// up, where the operating system can tell (Linux). The default is
    /// [`DEFAULT_TCP_USER_TIMEOUT`](crate::config::DEFAULT_TCP_USER_TIMEOUT); zero is the operating
    /// system's. In text it is whole milliseconds.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().tcp_user_timeout(Duration::from_secs(5));
    /// assert_eq!(config.to_string(), "tcp_user_timeout=5000");
    /// ```
    #[must_use]
    pub fn tcp_user_timeout(mut self, limit: Duration) -> Self {
        self.options.tcp_user_timeout = Some(Milliseconds(limit));
        self
    }

    /// Sets how many bytes the operating system keeps of what was sent and not acknowledged yet
    /// (`SO_SNDBUF`). Zero, the default, leaves it to the system, which fits the size to the link;
    /// systems have limits of their own, and Linux doubles what it is told.
    ///
    /// Set it where memory is scarcer than bandwidth: with so many connections that their buffers
    /// count. No size makes an operation wait forever, and the driver's own buffers are apart.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().send_buffer_size(65_536);
    /// assert_eq!(config.to_string(), "send_buffer_size=65536");
    /// ```
    #[must_use]
    pub fn send_buffer_size(mut self, bytes: u32) -> Self {
        self.options.send_buffer_size = Some(bytes);
        self
    }

    /// Sets how many bytes the operating system keeps of what has come and was not read yet
    /// (`SO_RCVBUF`), as [`send_buffer_size`](Self::send_buffer_size) does for the other
    /// direction. Over a Unix socket on Linux it has no effect: what was sent lies in the buffer
    /// of the sender.
    ///
    /// ```
    /// use kornak::config::Config;
    ///
    /// let config = Config::new().receive_buffer_size(65_536);
    /// assert_eq!(config.to_string(), "receive_buffer_size=65536");
    /// ```
    #[must_use]
    pub fn receive_buffer_size(mut self, bytes: u32) -> Self {
        self.options.receive_buffer_size = Some(bytes);
        self
    }
}
