//! The one error type of the crate.
//!
//! [`Error`] is one word wide and opaque. [`Error::kind`] says what went wrong, in the
//! order of blame (server, caller, peer, network, time); [`Error::outcome`] says what is
//! known of the work that was asked for.

mod conditions;
mod server;
mod sqlstate;
mod value;

use std::borrow::Cow;
use std::fmt;

pub use self::server::{ServerError, Severity};
pub use self::sqlstate::SqlState;
pub use self::value::{DecodeError, EncodeError};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, and what is known of the work that was asked for.
///
/// `Display` prints the message, the SQL with a caret under the place the server points
/// at, the hint, and notes of what may have to do with it. `{:#}` adds what may carry the
/// application's data: DETAIL and WHERE. `Debug` prints the same as `Display`, with the kind
/// and the outcome, so that a `main` that returns the error ends in words.
///
/// ```
/// let error = "postgres://db.example.com/shop?sslmod=require"
///     .parse::<kornak::config::Config>()
///     .unwrap_err();
/// assert_eq!(
///     format!("{error:?}"),
///     "invalid connection string at byte 31: there is no such option as \"sslmod\"; \
///      did you mean sslmode?\n(Config, NotRun)",
/// );
/// ```
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    outcome: Outcome,
    message: Cow<'static, str>,
    sql: Option<Box<str>>,
    notes: Vec<Box<str>>,
    cause: Option<Cause>,
}

enum Cause {
    Server(Box<ServerError>),
    Encode(EncodeError),
    Decode(DecodeError),
    Other(Box<dyn std::error::Error + Send + Sync>),
}

/// The kinds of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The server answered with an error: [`Error::as_server`] has it.
    Server,
    /// COMMIT was sent, and the connection was lost before its answer came.
    CommitOutcomeUnknown,
    /// COMMIT was asked for, but a statement of the transaction had failed: the server
    /// rolled it back.
    RolledBack,
    /// A connection string, an option or a builder's value is wrong.
    Config,
    /// The call can't be made in this state or with these arguments.
    Usage,
    /// A parameter can't be written as the type that the server wants.
    Encode,
    /// A value can't be read into the Rust type that was asked for.
    Decode,
    /// The query returned no row where one was asked for.
    NoRows,
    /// The query returned more than one row where one was asked for.
    TooManyRows,
    /// The server or this driver does not support what was asked for.
    Unsupported,
    /// The server's authentication request was refused, or its proof is wrong.
    Authentication,
    /// TLS could not be set up as the configuration demands.
    Tls,
    /// The servers were reached, but none is of the kind that `target_session_attrs` asks for.
    NoSuitableServer,
    /// The peer broke the protocol. The connection is closed.
    Protocol,
    /// The connection is closed.
    Closed,
    /// The network or the operating system failed. The connection is closed.
    Io,
    /// The deadline of the operation passed.
    Timeout,
    /// No connection of the pool became free in time.
    PoolTimeout,
    /// The pool is closed, or the runtime it was built on has ended.
    PoolClosed,
}

/// What is known of the work that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing of it was sent, or the server refused it before it ran.
    NotRun,
    /// The server undid it: nothing of it stays.
    RolledBack,
    /// The server completed it, and committed it unless a transaction block is open. Only
    /// this side could not use its answer.
    Completed,
    /// It may have run, wholly or in part.
    Unknown,
}

impl Error {
    /// A new error of `kind`. The outcome is the most careful one for the kind.
    #[doc(hidden)]
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let outcome = match kind {
            ErrorKind::Server
            | ErrorKind::Io
            | ErrorKind::Closed
            | ErrorKind::Protocol
            | ErrorKind::Timeout
            | ErrorKind::Decode
            | ErrorKind::NoRows
            | ErrorKind::TooManyRows
            | ErrorKind::CommitOutcomeUnknown => Outcome::Unknown,
            _ => Outcome::NotRun,
        };
        Self {
            inner: Box::new(Inner {
                kind,
                outcome,
                message: message.into(),
                sql: None,
                notes: Vec::new(),
                cause: None,
            }),
        }
    }

    /// The peer broke the protocol.
    #[doc(hidden)]
    pub fn protocol(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Protocol, message)
    }

    /// The caller asked for something that can't be done in this state.
    #[doc(hidden)]
    pub fn usage(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// The server's own error. An ordinary ERROR undoes its statement.
    #[doc(hidden)]
    pub fn server(error: ServerError) -> Self {
        let outcome = if error.severity() == Severity::Error {
            Outcome::RolledBack
        } else {
            Outcome::Unknown
        };
        let mut this = Self::new(ErrorKind::Server, "");
        if error.sqlstate() == SqlState::INDETERMINATE_DATATYPE {
            this = this.with_note("say its type in the statement, as in $1::text");
        }
        this.inner.outcome = outcome;
        this.inner.cause = Some(Cause::Server(Box::new(error)));
        this
    }

    /// The connection is closed, because the server said so.
    #[doc(hidden)]
    pub fn closed_by_server(error: ServerError) -> Self {
        let mut this = Self::new(ErrorKind::Closed, "the connection was closed by the server");
        this.inner.cause = Some(Cause::Server(Box::new(error)));
        this
    }

    /// A failure of the operating system while doing what `doing` says.
    #[doc(hidden)]
    pub fn io(doing: impl Into<Cow<'static, str>>, error: std::io::Error) -> Self {
        Self::new(ErrorKind::Io, doing).with_source(error)
    }

    /// The same error for somebody else: what went wrong for all of them.
    #[doc(hidden)]
    pub fn duplicate(&self) -> Self {
        let mut this = Self::new(self.inner.kind, self.inner.message.clone());
        this.inner.outcome = self.inner.outcome;
        this.inner.notes.clone_from(&self.inner.notes);
        this.inner.cause = match &self.inner.cause {
            Some(Cause::Server(error)) => Some(Cause::Server(error.clone())),
            Some(Cause::Other(cause)) => Some(Cause::Other(cause.to_string().into())),
            Some(Cause::Encode(_) | Cause::Decode(_)) | None => None,
        };
        match &self.inner.cause {
            Some(Cause::Encode(error)) => this.inner.message = error.to_string().into(),
            Some(Cause::Decode(error)) => this.inner.message = error.to_string().into(),
            _ => {}
        }
        this.inner.sql.clone_from(&self.inner.sql);
        this.inner.notes.clone_from(&self.inner.notes);
        this
    }

    #[doc(hidden)]
    pub fn with_source(
        mut self,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.inner.cause = Some(Cause::Other(cause.into()));
        self
    }

    /// Attaches the statement's text, so that the message can point into it.
    #[doc(hidden)]
    pub fn with_sql(mut self, sql: &str) -> Self {
        if self.inner.sql.is_none() {
            self.inner.sql = Some(sql.into());
        }
        self
    }

    /// Says what was being done, before the server's message.
    #[doc(hidden)]
    pub fn with_context(mut self, context: impl Into<Cow<'static, str>>) -> Self {
        self.inner.message = context.into();
        self
    }

    /// Says before all else where it was that connecting failed.
    #[doc(hidden)]
    pub fn with_place(mut self, place: impl fmt::Display) -> Self {
        self.inner.message = match &*self.inner.message {
            "" => format!("can't connect to {place}").into(),
            message => format!("can't connect to {place}: {message}").into(),
        };
        self
    }

    /// Adds a line of what may have to do with it.
    #[doc(hidden)]
    pub fn with_note(mut self, note: impl Into<Box<str>>) -> Self {
        self.inner.notes.push(note.into());
        self
    }

    #[doc(hidden)]
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.inner.outcome = outcome;
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// What is known of the work that was asked for.
    pub fn outcome(&self) -> Outcome {
        self.inner.outcome
    }

    /// The server's error, where it answered with one.
    pub fn as_server(&self) -> Option<&ServerError> {
        match &self.inner.cause {
            Some(Cause::Server(error)) => Some(error),
            _ => None,
        }
    }

    /// The SQLSTATE of the server's error.
    pub fn sqlstate(&self) -> Option<SqlState> {
        self.as_server().map(ServerError::sqlstate)
    }

    /// The text of the statement that failed.
    pub fn sql(&self) -> Option<&str> {
        self.inner.sql.as_deref()
    }

    /// Whether a deadline passed: the operation's own, or the pool's.
    pub fn is_timeout(&self) -> bool {
        matches!(self.inner.kind, ErrorKind::Timeout | ErrorKind::PoolTimeout)
    }

    /// Whether the connection can't be used any more.
    pub fn is_closed(&self) -> bool {
        match self.inner.kind {
            ErrorKind::Io | ErrorKind::Closed | ErrorKind::Protocol | ErrorKind::PoolClosed => true,
            ErrorKind::Server => self
                .as_server()
                .is_some_and(|e| e.severity() != Severity::Error),
            _ => false,
        }
    }

    /// Whether the whole transaction can succeed when it is run again: serialization
    /// failures (40001) and deadlocks (40P01).
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.sqlstate(),
            Some(SqlState::SERIALIZATION_FAILURE | SqlState::DEADLOCK_DETECTED)
        )
    }
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        let mut this = Self::new(ErrorKind::Encode, "");
        this.inner.cause = Some(Cause::Encode(error));
        this
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        let mut this = Self::new(ErrorKind::Decode, "");
        this.inner.cause = Some(Cause::Decode(error));
        this
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.inner;
        let mut position = None;
        match &inner.cause {
            Some(Cause::Server(error)) => {
                if !inner.message.is_empty() {
                    write!(f, "{}: ", inner.message)?;
                }
                if let Some(number) = error.parameter() {
                    write!(f, "parameter ${number}: ")?;
                }
                fmt::Display::fmt(&**error, f)?;
                position = error.position();
            }
            Some(Cause::Encode(error)) => fmt::Display::fmt(error, f)?,
            Some(Cause::Decode(error)) => fmt::Display::fmt(error, f)?,
            Some(Cause::Other(cause)) if inner.message.is_empty() => write!(f, "{cause}")?,
            Some(Cause::Other(cause)) => write!(f, "{}: {cause}", inner.message)?,
            None => f.write_str(&inner.message)?,
        }
        if let Some(sql) = &inner.sql {
            server::write_excerpt(f, sql, position)?;
        }
        if let Some(hint) = self.as_server().and_then(ServerError::hint) {
            write!(f, "\nHINT: {hint}")?;
        }
        for note in &inner.notes {
            write!(f, "\nNOTE: {note}")?;
        }
        if f.alternate() {
            if let Some(error) = self.as_server() {
                error.write_private(f)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    /// As people read it, because this is what a program prints whose `main` returns the
    /// error, and what `unwrap` does; `{:#?}` is structured. Neither shows more than
    /// `Display`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, outcome, .. } = &*self.inner;
        if !f.alternate() {
            return write!(f, "{self}\n({kind:?}, {outcome:?})");
        }
        f.debug_struct("Error")
            .field("kind", kind)
            .field("outcome", outcome)
            .field("message", &format_args!("{self}"))
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.inner.cause {
            Some(Cause::Other(cause)) => Some(&**cause),
            _ => None,
        }
    }
}
