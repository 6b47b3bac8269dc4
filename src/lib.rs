//! Kornak: an asynchronous PostgreSQL driver that speaks the binary protocol.

#[cfg(feature = "tls")]
mod tls;

use kornak_client::connection::UsesTls;
use kornak_client::transport::{self, TlsProvider};
#[doc(inline)]
pub use kornak_client::{connection, pool};
use kornak_core::{buffer, params, protocol, statement, wire};
#[doc(inline)]
pub use kornak_core::{codec, config, error, row, types};

/// The layers below the API, for the project's own benchmarks, fuzzers and tests. Nothing
/// here is covered by semantic versioning.
#[doc(hidden)]
pub mod internals {
    pub mod buffer {
        pub use crate::buffer::*;
    }
    pub mod connection_string {
        pub use crate::config::connection_string::{Pair, parse};
    }
    pub mod protocol {
        pub use crate::protocol::*;
    }
    pub mod row {
        pub use crate::row::internals::*;
    }
    pub mod startup {
        pub use kornak_client::startup::*;
    }
    pub mod transport {
        pub use crate::transport::*;
    }
    pub mod wire {
        pub use crate::wire::*;
    }
}

/// What the derive macros' code calls. Nothing here is covered by semantic versioning.
#[doc(hidden)]
pub mod derive_support {
    #[doc(no_inline)]
    pub use crate::buffer::WriteBuffer;
    #[doc(no_inline)]
    pub use crate::codec::{
        ArrayElements, ArrayWriter, CompositeFields, CompositeReader, DeclaredType, Decode,
        DecodeField, EncodeField, IsNull, ParamWriter, RawValue, TypeName, ValueWriter, Written,
        check_enum, encode_composite, encode_label, read_as, unknown_label, written_as,
    };
    #[doc(no_inline)]
    pub use crate::error::Result;
    #[doc(no_inline)]
    pub use crate::error::{DecodeError, EncodeError};
    #[doc(no_inline)]
    pub use crate::params::sealed::Sealed as SealedParams;
    #[doc(no_inline)]
    pub use crate::params::{ParamFields, ParamType, encode_fields, fields_are_declared};
    #[doc(no_inline)]
    pub use crate::row::{
        ColumnType, Columns, FromColumns, Plan, PlanBuilder, ReadFields, RowRef, Scalar, begin_row,
        finish_row, plan_row, read_row,
    };
    #[doc(no_inline)]
    pub use crate::types::{Format, Type};
    pub use std::string::String;
    pub use std::vec::Vec;
}

#[cfg(feature = "derive")]
pub use kornak_derive::{Decode, Encode, FromRow, Params};

#[cfg(feature = "with-serde_json-1")]
#[doc(no_inline)]
pub use self::codec::Json;
#[doc(no_inline)]
pub use self::codec::{
    Date, Decode, Encode, Interval, Numeric, RawJson, Time, TimeTz, Timestamp, TimestampTz, Uuid,
    Value,
};
#[doc(no_inline)]
pub use self::config::Config;
#[doc(no_inline)]
pub use self::connection::pipeline::{PipelineError, all, exec, one, optional};
#[doc(no_inline)]
pub use self::connection::{
    CancelToken, Connection, IsolationLevel, ListenEvent, Listener, RetryPolicy, RowStream,
    Transaction, TransactionStatus, from_stream,
};
#[doc(no_inline)]
pub use self::error::{Error, ErrorKind, Result, SqlState};
pub use self::params::Params;
#[doc(no_inline)]
pub use self::pool::{Pool, PoolConnection};
#[doc(no_inline)]
pub use self::row::{FromRow, Row, RowRef};
pub use self::statement::{quote_identifier, quote_literal};
#[doc(no_inline)]
pub use self::types::Type;

/// The TLS of this crate, where it has any.
#[doc(hidden)]
#[derive(Debug)]
pub enum Tls {}

impl UsesTls<Tls> for Connection {
    fn provider() -> Option<&'static dyn TlsProvider> {
        #[cfg(feature = "tls")]
        return Some(&tls::Rustls);
        #[cfg(not(feature = "tls"))]
        None
    }
}
