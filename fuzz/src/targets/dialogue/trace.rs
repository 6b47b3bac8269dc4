//! [`Trace`]: a sink that writes down what it hears, and checks that it may.

use std::ops::ControlFlow;

use kornak::error::ServerError;
use kornak::internals::protocol::{At, CopyInReply, Part, RowBytes, Sink};
use kornak::internals::wire::TransactionStatus;
use kornak::internals::wire::backend::{
    CommandComplete, CopyResponse, NotificationResponse, ParameterDescription, ParameterStatus,
    RowDescription,
};

use crate::outcome::{Digest, Features};

pub(super) struct Trace<'a, const SHARES: bool> {
    /// All that was heard.
    pub(super) events: Digest,
    /// What kinds of things were heard.
    pub(super) features: &'a mut Features,
    /// How many more rows the sink takes before it breaks; 0 means all.
    patience: u8,
    /// Whether the last row was one too many.
    pub(super) is_fed_up: bool,
    /// Whether a COPY FROM STDIN is accepted, and whether one was.
    pub(super) accepts_copy: bool,
    pub(super) has_accepted_copy: bool,
    /// The flights that were started.
    pub(super) started: u64,
    /// The flights that were discarded, as bits.
    pub(super) discarded: u64,
    /// No callback of an earlier flight may come any more.
    flight: u64,
    /// The statement that was served last in it.
    statement: u32,
    /// Whether an error has ended its statements.
    has_failed: bool,
}

impl<'a, const SHARES: bool> Trace<'a, SHARES> {
    pub(super) fn new(patience: u8, features: &'a mut Features) -> Self {
        Self {
            events: Digest::default(),
            features,
            patience,
            is_fed_up: false,
            accepts_copy: false,
            has_accepted_copy: false,
            started: 0,
            discarded: 0,
            flight: 0,
            statement: 0,
            has_failed: false,
        }
    }

    fn hear(&mut self, kind: u64) {
        self.events.add(kind);
        self.features.follow(kind);
    }

    /// A reply, and to what.
    fn reply(&mut self, kind: u64, at: At) {
        self.hear(kind);
        self.enter(at.flight);
        let (part, number) = match at.part {
            Part::Prefix(number) => (1, number),
            Part::Statement(number) => {
                assert!(number >= self.statement, "statements in disorder");
                self.statement = number;
                (2, number)
            }
            Part::Sync => (3, 0),
        };
        self.events
            .add(at.flight << 40 | part << 32 | u64::from(number));
    }

    /// A reply that says that something was done.
    fn success(&mut self, kind: u64, at: At) {
        self.reply(kind, at);
        assert!(!self.has_failed, "success after an error");
    }

    fn enter(&mut self, flight: u64) {
        assert!(flight < self.started, "a flight that was never started");
        assert!(flight >= self.flight, "a flight that is over");
        assert!(
            self.discarded & 1 << flight == 0,
            "a flight nobody waits for"
        );
        if flight > self.flight {
            self.flight = flight;
            self.statement = 0;
            self.has_failed = false;
        }
    }

    /// Whether to go on after a row.
    fn bear(&mut self) -> ControlFlow<()> {
        match self.patience {
            0 => return ControlFlow::Continue(()),
            1 => self.is_fed_up = true,
            _ => {}
        }
        self.patience -= 1;
        if self.is_fed_up {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

impl<const SHARES: bool> Sink for Trace<'_, SHARES> {
    fn shares_rows(&self) -> bool {
        SHARES
    }

    fn on_parse_complete(&mut self, at: At) {
        self.success(1, at);
    }

    fn on_bind_complete(&mut self, at: At) {
        self.success(2, at);
    }

    fn on_parameter_description(&mut self, at: At, parameters: ParameterDescription<'_>) {
        self.success(3, at);
        for oid in parameters.oids() {
            self.events.add(u64::from(oid));
        }
    }

    fn on_row_description(&mut self, at: At, fields: Option<RowDescription<'_>>) {
        self.success(4, at);
        for field in fields.iter().flat_map(RowDescription::fields) {
            self.events.add_bytes(field.name);
            self.events.add(u64::from(field.type_oid));
        }
    }

    fn on_row(&mut self, at: At, row: RowBytes<'_>) -> ControlFlow<()> {
        self.success(5, at);
        if SHARES {
            self.events.add_bytes(&row.to_bytes());
        } else {
            self.events.add_bytes(row.body());
        }
        self.bear()
    }

    fn on_complete(&mut self, at: At, command: CommandComplete<'_>) {
        self.success(6, at);
        self.events.add_bytes(command.tag().as_bytes());
        self.events.add(command.rows());
    }

    fn on_empty_query(&mut self, at: At) {
        self.success(7, at);
    }

    fn on_suspended(&mut self, at: At) {
        self.success(8, at);
    }

    fn on_error(&mut self, at: At, error: ServerError) {
        self.reply(9, at);
        self.has_failed = true;
        self.events.add_bytes(error.message().as_bytes());
        self.events
            .add_bytes(error.sqlstate().to_string().as_bytes());
    }

    fn on_ready(&mut self, flight: u64, status: TransactionStatus) {
        self.hear(10 + status as u64);
        self.enter(flight);
        self.flight = flight + 1;
        self.statement = 0;
        self.has_failed = false;
        self.events.add(flight);
    }

    fn on_copy_in(&mut self, at: At, response: CopyResponse<'_>) -> CopyInReply {
        self.success(14, at);
        self.events.add(response.column_formats().len() as u64);
        if self.accepts_copy {
            self.has_accepted_copy = true;
            CopyInReply::Accept
        } else {
            CopyInReply::Refuse
        }
    }

    fn on_copy_out(&mut self, at: At, response: CopyResponse<'_>) {
        self.success(15, at);
        self.events.add(response.column_formats().len() as u64);
    }

    fn on_copy_data(&mut self, at: At, data: &[u8]) -> ControlFlow<()> {
        self.success(16, at);
        self.events.add_bytes(data);
        self.bear()
    }

    fn on_prefix_complete(&mut self, at: At) {
        self.success(17, at);
        assert!(matches!(at.part, Part::Prefix(_)));
    }

    fn on_notice(&mut self, notice: ServerError) {
        self.hear(18);
        self.events.add_bytes(notice.message().as_bytes());
    }

    fn on_notification(&mut self, notification: NotificationResponse<'_>) {
        self.hear(19);
        self.events.add_bytes(notification.channel);
        self.events.add_bytes(notification.payload);
    }

    fn on_parameter_status(&mut self, parameter: ParameterStatus<'_>) {
        self.hear(20);
        self.events.add_bytes(parameter.name);
        self.events.add_bytes(parameter.value);
    }
}
