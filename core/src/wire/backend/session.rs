//! What the server says about the session: keys, settings, transaction status,
//! notifications.

use std::fmt;

use crate::error::Result;
use crate::wire::limits::{MAX_SECRET_KEY, MIN_SECRET_KEY};
use crate::wire::reader::{Reader, ends_early, invalid};

/// What a CancelRequest for this session must say.
///
/// `Debug` leaves the key out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BackendKeyData<'a> {
    /// The server process of the session.
    pub process_id: i32,
    /// The secret: 4 bytes in protocol 3.0, 4 to 256 in 3.2.
    pub secret_key: &'a [u8],
}

impl<'a> BackendKeyData<'a> {
    /// Reads the body.
    ///
    /// # Errors
    ///
    /// A key of less than 4 or more than 256 bytes.
    pub fn parse(body: &'a [u8]) -> Result<Self> {
        const MESSAGE: &str = "BackendKeyData";
        let mut reader = Reader::new(body);
        let process_id = reader
            .i32()
            .ok_or_else(|| ends_early(MESSAGE, "the process ID"))?;
        let secret_key = reader.rest();
        if !(MIN_SECRET_KEY..=MAX_SECRET_KEY).contains(&secret_key.len()) {
            return Err(invalid(
                MESSAGE,
                "the secret key",
                format_args!("{} bytes long", secret_key.len()),
            ));
        }
        Ok(Self {
            process_id,
            secret_key,
        })
    }
}

impl fmt::Debug for BackendKeyData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendKeyData")
            .field("process_id", &self.process_id)
            .finish_non_exhaustive()
    }
}

/// The server speaks an older minor version, or doesn't know some protocol options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NegotiateProtocolVersion<'a> {
    /// The newest version that the server speaks: the major version in the upper 16 bits,
    /// the minor version in the lower ones. (The manual speaks of the minor version alone;
    /// the server's `SendNegotiateProtocolVersion` sends both.)
    pub version: i32,
    names: &'a [u8],
}

impl<'a> NegotiateProtocolVersion<'a> {
    /// Reads the body.
    ///
    /// # Errors
    ///
    /// A body that ends early or goes on, or a negative count.
    pub fn parse(body: &'a [u8]) -> Result<Self> {
        const MESSAGE: &str = "NegotiateProtocolVersion";
        let mut reader = Reader::new(body);
        let version = reader
            .i32()
            .ok_or_else(|| ends_early(MESSAGE, "the version"))?;
        let count = reader
            .i32()
            .ok_or_else(|| ends_early(MESSAGE, "the number of options"))?;
        if count < 0 {
            return Err(invalid(MESSAGE, "the number of options", count));
        }
        let names = reader.rest();
        for index in 1..=count {
            reader
                .string()
                .ok_or_else(|| ends_early(MESSAGE, format_args!("option {index}")))?;
        }
        reader.finish(MESSAGE)?;
        Ok(Self { version, names })
    }

    /// The names of the options that the server doesn't know.
    pub fn unrecognized_options(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut reader = Reader::new(self.names);
        std::iter::from_fn(move || reader.string())
    }
}

/// A message of NOTIFY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotificationResponse<'a> {
    /// The server process that sent it.
    pub process_id: i32,
    /// The channel.
    pub channel: &'a [u8],
    /// The payload, which may be empty.
    pub payload: &'a [u8],
}

impl<'a> NotificationResponse<'a> {
    /// Reads the body.
    ///
    /// # Errors
    ///
    /// A body that ends early or goes on.
    pub fn parse(body: &'a [u8]) -> Result<Self> {
        const MESSAGE: &str = "NotificationResponse";
        let mut reader = Reader::new(body);
        let this = Self {
            process_id: reader
                .i32()
                .ok_or_else(|| ends_early(MESSAGE, "the process ID"))?,
            channel: reader
                .string()
                .ok_or_else(|| ends_early(MESSAGE, "the channel"))?,
            payload: reader
                .string()
                .ok_or_else(|| ends_early(MESSAGE, "the payload"))?,
        };
        reader.finish(MESSAGE)?;
        Ok(this)
    }
}

/// The value of a setting that the server reports, at startup and at each change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterStatus<'a> {
    /// The setting.
    pub name: &'a [u8],
    /// Its value now.
    pub value: &'a [u8],
}

impl<'a> ParameterStatus<'a> {
    /// Reads the body.
    ///
    /// # Errors
    ///
    /// A body that ends early or goes on.
    pub fn parse(body: &'a [u8]) -> Result<Self> {
        const MESSAGE: &str = "ParameterStatus";
        let mut reader = Reader::new(body);
        let this = Self {
            name: reader
                .string()
                .ok_or_else(|| ends_early(MESSAGE, "the name"))?,
            value: reader
                .string()
                .ok_or_else(|| ends_early(MESSAGE, "the value"))?,
        };
        reader.finish(MESSAGE)?;
        Ok(this)
    }
}

/// The server has answered all up to a Sync, and waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadyForQuery {
    /// Whether it waits inside a transaction block.
    pub status: TransactionStatus,
}

impl ReadyForQuery {
    /// Reads the body.
    ///
    /// # Errors
    ///
    /// A body that isn't one byte `I`, `T` or `E`.
    #[inline]
    pub fn parse(body: &[u8]) -> Result<Self> {
        const MESSAGE: &str = "ReadyForQuery";
        let mut reader = Reader::new(body);
        let status = match reader.u8() {
            Some(b'I') => TransactionStatus::Idle,
            Some(b'T') => TransactionStatus::InTransaction,
            Some(b'E') => TransactionStatus::Failed,
            Some(other) => {
                return Err(invalid(
                    MESSAGE,
                    "the transaction status",
                    format_args!("0x{other:02x}"),
                ));
            }
            None => return Err(ends_early(MESSAGE, "the transaction status")),
        };
        reader.finish(MESSAGE)?;
        Ok(Self { status })
    }
}

/// What a session is in, by the server's own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransactionStatus {
    /// No transaction block (`I`).
    Idle,
    /// A transaction block (`T`).
    InTransaction,
    /// A transaction block that failed and takes only its end (`E`).
    Failed,
}
