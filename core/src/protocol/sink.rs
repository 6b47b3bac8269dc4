//! [`Sink`]: the callbacks through which the core hands on what the server says.

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::error::ServerError;
use crate::wire::TransactionStatus;
use crate::wire::backend::{
    CommandComplete, CopyResponse, NotificationResponse, ParameterDescription, ParameterStatus,
    RowDescription,
};

/// Where in the dialogue a callback belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The flight: everything up to one ReadyForQuery. Flights are numbered in the order
    /// in which they were started.
    pub flight: u64,
    /// The part of the flight.
    pub part: Part,
}

/// A part of a flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A statement that the driver put before the caller's own, counted from 0.
    Prefix(u32),
    /// A statement of the caller, counted from 0.
    Statement(u32),
    /// The Sync at the end, where a deferred constraint may still fail.
    Sync,
}

/// The body of a DataRow: the 16-bit count of columns and the values.
#[derive(Clone, Copy, Debug)]
pub struct RowBytes<'a> {
    body: &'a [u8],
    shared: Option<&'a Bytes>,
}

impl<'a> RowBytes<'a> {
    /// A row that lies in the read buffer.
    #[inline]
    pub fn borrowed(body: &'a [u8]) -> Self {
        Self { body, shared: None }
    }

    /// A row in memory of its own.
    pub fn shared(body: &'a Bytes) -> Self {
        Self {
            body,
            shared: Some(body),
        }
    }

    /// The bytes, valid until the callback returns.
    #[inline]
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The bytes in memory of their own: copied, or shared where they already are.
    pub fn to_bytes(&self) -> Bytes {
        self.shared
            .cloned()
            .unwrap_or_else(|| Bytes::copy_from_slice(self.body))
    }
}

/// What to do with a COPY FROM STDIN that the server has started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyInReply {
    /// The sink sends the data: input pauses here.
    Accept,
    /// Nobody expected it: the core has it fail.
    Refuse,
}

/// Receives what the server says, in the order in which it says it.
///
/// The reply callbacks serve the flight at the front of the queue; a flight that is
/// discarded gets none. The last three may come at any time and belong to no flight.
/// `ControlFlow::Break` pauses: the message is consumed, and nothing further is read until
/// [`Core::handle_input`](super::Core::handle_input) is called again.
pub trait Sink {
    /// Whether a large row is lifted out of the read buffer without a copy, for a sink that
    /// keeps it. Each sink always says the same.
    #[inline]
    fn shares_rows(&self) -> bool {
        false
    }

    /// ParseComplete.
    fn on_parse_complete(&mut self, at: At) {
        let _ = at;
    }

    /// BindComplete: from here on the statement may run.
    fn on_bind_complete(&mut self, at: At) {
        let _ = at;
    }

    /// ParameterDescription.
    fn on_parameter_description(&mut self, at: At, parameters: ParameterDescription<'_>) {
        let _ = (at, parameters);
    }

    /// RowDescription, or `None` for NoData.
    fn on_row_description(&mut self, at: At, fields: Option<RowDescription<'_>>) {
        let _ = (at, fields);
    }

    /// DataRow.
    fn on_row(&mut self, at: At, row: RowBytes<'_>) -> ControlFlow<()>;

    /// CommandComplete.
    fn on_complete(&mut self, at: At, command: CommandComplete<'_>) {
        let _ = (at, command);
    }

    /// BindComplete and CommandComplete, so many times more, each the same as the one before.
    fn on_complete_again(&mut self, at: At, command: CommandComplete<'_>, times: u32) {
        for _ in 0..times {
            self.on_bind_complete(at);
            self.on_complete(at, command);
        }
    }

    /// EmptyQueryResponse, which stands in for CommandComplete.
    fn on_empty_query(&mut self, at: At) {
        let _ = at;
    }

    /// PortalSuspended: the row limit of Execute was reached.
    fn on_suspended(&mut self, at: At) {
        let _ = at;
    }

    /// ErrorResponse. The rest of the flight is skipped by the server.
    fn on_error(&mut self, at: At, error: ServerError);

    /// ReadyForQuery: the flight is over.
    fn on_ready(&mut self, flight: u64, status: TransactionStatus) {
        let _ = (flight, status);
    }

    /// CopyInResponse.
    fn on_copy_in(&mut self, at: At, response: CopyResponse<'_>) -> CopyInReply {
        let _ = (at, response);
        CopyInReply::Refuse
    }

    /// CopyOutResponse.
    fn on_copy_out(&mut self, at: At, response: CopyResponse<'_>) {
        let _ = (at, response);
    }

    /// CopyData.
    fn on_copy_data(&mut self, at: At, data: &[u8]) -> ControlFlow<()> {
        let _ = (at, data);
        ControlFlow::Continue(())
    }

    /// A statement of the driver's own, put before the caller's, has completed.
    fn on_prefix_complete(&mut self, at: At) {
        let _ = at;
    }

    /// NoticeResponse.
    fn on_notice(&mut self, notice: ServerError) {
        let _ = notice;
    }

    /// NotificationResponse.
    fn on_notification(&mut self, notification: NotificationResponse<'_>) {
        let _ = notification;
    }

    /// ParameterStatus.
    fn on_parameter_status(&mut self, parameter: ParameterStatus<'_>) {
        let _ = parameter;
    }
}
