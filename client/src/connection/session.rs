//! [`Session`]: what the server tells of itself, apart from its replies.

use std::borrow::Cow;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::roles::{DEFAULT_TRANSACTION_READ_ONLY, IN_HOT_STANDBY};
use crate::error::ServerError;
use crate::protocol::{At, CopyInReply, Part, RowBytes, Sink};
use crate::wire::TransactionStatus;
use crate::wire::backend::{
    CommandComplete, CopyResponse, NotificationResponse, ParameterDescription, ParameterStatus,
    RowDescription,
};
use crate::wire::limits::MAX_PARAMETER_STATUS;

/// How many run-time parameters of a server are kept.
const MAX_PARAMETERS: usize = 256;

/// How long they may be together, names and values, in bytes: room for four of the longest.
const MAX_PARAMETER_BYTES: usize = 4 * MAX_PARAMETER_STATUS as usize;

/// Those that PostgreSQL 18 reports (manual, "Asynchronous Operations"): their names need no
/// memory of each connection.
const REPORTED: [&str; 16] = [
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "application_name",
    "client_encoding",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "is_superuser",
    "scram_iterations",
    "search_path",
    "server_encoding",
    "server_version",
    "session_authorization",
    "standard_conforming_strings",
    "transaction_read_only",
];

/// The parameter that says how text is encoded between client and server.
pub(super) const CLIENT_ENCODING: &str = "client_encoding";

/// A notification of LISTEN/NOTIFY (manual, "NOTIFY").
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notification {
    /// The process of the session that sent it.
    pub process_id: i32,
    /// The channel.
    pub channel: String,
    /// The payload, empty where none was given.
    pub payload: String,
}

/// What is called for messages that belong to no operation.
#[derive(Clone, Default)]
#[expect(
    clippy::type_complexity,
    reason = "a name for a closure's type would say less"
)]
pub(crate) struct Handlers {
    pub(crate) notice: Option<Arc<dyn Fn(&ServerError) + Send + Sync>>,
    pub(crate) notification: Option<Arc<dyn Fn(Notification) + Send + Sync>>,
}

/// The server's run-time parameters, and the handlers of its asynchronous messages.
#[derive(Debug, Default)]
pub(crate) struct Session {
    parameters: Vec<(Cow<'static, str>, Box<str>)>,
    /// The length of all of them, names and values, in bytes.
    parameter_bytes: usize,
    /// The server sends text in another encoding than UTF-8 from here on.
    is_foreign: bool,
    pub(crate) handlers: Handlers,
    pub(super) commands: Commands,
    /// One of the parameters has come that tell the server's role.
    pub(super) has_changed_role: bool,
    /// Notifications are somebody else's until this statement before the caller's is completed.
    muted_until: Option<u32>,
}

/// What was done that may change what is known of the schema.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Commands {
    /// Whether there is any.
    pub(super) are_notable: bool,
    pub(super) altered: bool,
    pub(super) committed: bool,
    /// All of a transaction, or a part of it.
    pub(super) rolled_back: bool,
}

impl Commands {
    /// Looks at the tag of a command that was completed (`cmdtaglist.h`). Most begin with
    /// another letter.
    #[inline]
    fn note(&mut self, command: CommandComplete<'_>) {
        if matches!(command.initial(), b'A' | b'C' | b'R') {
            self.look_at(command);
        }
    }

    #[cold]
    fn look_at(&mut self, command: CommandComplete<'_>) {
        match command.command() {
            "ALTER" => self.altered = true,
            "COMMIT" => self.committed = true,
            "ROLLBACK" => self.rolled_back = true,
            _ => return,
        }
        self.are_notable = true;
    }
}

impl Session {
    pub(crate) fn new(handlers: Handlers) -> Self {
        Self {
            parameters: Vec::new(),
            parameter_bytes: 0,
            is_foreign: false,
            handlers,
            commands: Commands::default(),
            has_changed_role: false,
            muted_until: None,
        }
    }

    /// Passes notifications over until the statement of this number, of those that the driver
    /// puts before the caller's, is completed.
    pub(super) fn mute_until_prefix(&mut self, index: usize) {
        self.muted_until = u32::try_from(index).ok();
    }

    /// The value of a run-time parameter that the server reports.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| **known == *name)
            .map(|(_, value)| &**value)
    }

    /// Whether text is no longer exchanged in UTF-8, the only encoding that the driver reads:
    /// bytes of another may look like it and mean something else.
    #[inline]
    pub(crate) fn is_foreign(&self) -> bool {
        self.is_foreign
    }

    pub(crate) fn set_parameter(&mut self, parameter: ParameterStatus<'_>) {
        let usual = REPORTED
            .into_iter()
            .find(|usual| usual.as_bytes() == parameter.name);
        let name = match usual {
            Some(usual) => Cow::Borrowed(usual),
            None => Cow::Owned(String::from_utf8_lossy(parameter.name).into_owned()),
        };
        let value = String::from_utf8_lossy(parameter.value);
        if name == CLIENT_ENCODING {
            // Redshift and old servers call it by its other name (manual, "Character Set
            // Support").
            self.is_foreign = !["UTF8", "UTF-8", "UNICODE"].contains(&&*value);
        }
        self.has_changed_role |= [IN_HOT_STANDBY, DEFAULT_TRANSACTION_READ_ONLY].contains(&&*name);
        let known = self.parameters.iter().position(|(known, _)| *known == name);
        if let Some(index) = known {
            let (name, value) = self.parameters.remove(index);
            self.parameter_bytes -= name.len() + value.len();
        }
        // A server that makes names up, or long values, doesn't get to fill the memory.
        let bytes = self.parameter_bytes + name.len() + value.len();
        if self.parameters.len() < MAX_PARAMETERS && bytes <= MAX_PARAMETER_BYTES {
            if self.parameters.capacity() == 0 {
                self.parameters.reserve(REPORTED.len());
            }
            self.parameters.push((name, value.into()));
            self.parameter_bytes = bytes;
        }
    }

    fn notify(&self, notification: NotificationResponse<'_>) {
        if self.muted_until.is_some() {
            return;
        }
        if let Some(handler) = &self.handlers.notification {
            handler(Notification {
                process_id: notification.process_id,
                channel: String::from_utf8_lossy(notification.channel).into_owned(),
                payload: String::from_utf8_lossy(notification.payload).into_owned(),
            });
        }
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handlers")
            .field("notice", &self.notice.is_some())
            .field("notification", &self.notification.is_some())
            .finish()
    }
}

/// Gives the session what belongs to no operation, and the sink everything else.
pub(super) struct Observed<'a, S: ?Sized> {
    pub(super) session: &'a mut Session,
    pub(super) sink: &'a mut S,
}

impl<S: Sink + ?Sized> Sink for Observed<'_, S> {
    #[inline]
    fn shares_rows(&self) -> bool {
        self.sink.shares_rows()
    }

    fn on_parse_complete(&mut self, at: At) {
        self.sink.on_parse_complete(at);
    }

    #[inline]
    fn on_bind_complete(&mut self, at: At) {
        self.sink.on_bind_complete(at);
    }

    fn on_parameter_description(&mut self, at: At, parameters: ParameterDescription<'_>) {
        self.sink.on_parameter_description(at, parameters);
    }

    fn on_row_description(&mut self, at: At, fields: Option<RowDescription<'_>>) {
        self.sink.on_row_description(at, fields);
    }

    #[inline(always)]
    fn on_row(&mut self, at: At, row: RowBytes<'_>) -> ControlFlow<()> {
        self.sink.on_row(at, row)
    }

    #[inline]
    fn on_complete(&mut self, at: At, command: CommandComplete<'_>) {
        self.session.commands.note(command);
        self.sink.on_complete(at, command);
    }

    #[inline]
    fn on_complete_again(&mut self, at: At, command: CommandComplete<'_>, times: u32) {
        // It was noted the first time.
        self.sink.on_complete_again(at, command, times);
    }

    fn on_empty_query(&mut self, at: At) {
        self.sink.on_empty_query(at);
    }

    fn on_suspended(&mut self, at: At) {
        self.sink.on_suspended(at);
    }

    fn on_error(&mut self, at: At, error: ServerError) {
        self.sink.on_error(at, error);
    }

    #[inline]
    fn on_ready(&mut self, flight: u64, status: TransactionStatus) {
        self.sink.on_ready(flight, status);
    }

    fn on_copy_in(&mut self, at: At, response: CopyResponse<'_>) -> CopyInReply {
        self.sink.on_copy_in(at, response)
    }

    fn on_copy_out(&mut self, at: At, response: CopyResponse<'_>) {
        self.sink.on_copy_out(at, response);
    }

    #[inline]
    fn on_copy_data(&mut self, at: At, data: &[u8]) -> ControlFlow<()> {
        self.sink.on_copy_data(at, data)
    }

    fn on_prefix_complete(&mut self, at: At) {
        let muted_until = self.session.muted_until;
        if muted_until.is_some_and(|index| at.part == Part::Prefix(index)) {
            self.session.muted_until = None;
        }
        self.sink.on_prefix_complete(at);
    }

    fn on_notice(&mut self, notice: ServerError) {
        #[cfg(feature = "tracing")]
        super::observe::notice(&notice);
        if let Some(handler) = &self.session.handlers.notice {
            handler(&notice);
        }
    }

    fn on_notification(&mut self, notification: NotificationResponse<'_>) {
        self.session.notify(notification);
    }

    fn on_parameter_status(&mut self, parameter: ParameterStatus<'_>) {
        self.session.set_parameter(parameter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s30_parameters_are_kept_up_to_a_number_and_a_length() {
        let mut session = Session::default();
        let mut set = |name: &str, value: &[u8]| {
            let name = name.as_bytes();
            session.set_parameter(ParameterStatus { name, value });
            let kept = session.parameters.iter();
            kept.fold((0, 0), |(count, bytes), (name, value)| {
                (count + 1, bytes + name.len() + value.len())
            })
        };
        assert_eq!(set("a", b"1"), (1, 2));
        assert_eq!(
            set("a", b"23"),
            (1, 3),
            "the new value takes the old one's place"
        );
        let long = vec![b'x'; MAX_PARAMETER_STATUS as usize - 16];
        for number in 0..10 {
            let (count, bytes) = set(&format!("long_{number}"), &long);
            assert!(count <= 5 && bytes <= MAX_PARAMETER_BYTES);
        }
        // A value that has become too long to keep is unknown, and not the old one.
        for name in ["long_0", "a"] {
            set(name, &vec![b'x'; MAX_PARAMETER_BYTES]);
        }
        assert_eq!(set("a", b"4"), (4, 3 * (long.len() + 6) + 2));
        for number in 0..1000 {
            let (count, _) = set(&format!("short_{number}"), b"");
            assert!(count <= MAX_PARAMETERS);
        }
        assert_eq!(session.parameter("a"), Some("4"));
        assert_eq!(session.parameter("short_999"), None);
    }
}
