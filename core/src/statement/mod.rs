//! Prepared statements: what is known of one ([`Description`]), what one connection holds of
//! it ([`Prepared`]), the cache of the ones that it keeps, and what connections tell each other
//! ([`Knowledge`]).

mod cache;
mod description;
mod knowledge;
mod lexer;
mod plain;
mod quote;
mod session_command;

pub use self::cache::StatementCache;
pub use self::description::Description;
pub use self::description::{Prepared, declared_oids, parameter_formats, parameters_to_declare};
pub use self::knowledge::{Knowledge, MAX_TYPES, Presence, next_epoch};
pub use self::lexer::{ends_transaction, is_copy, rolls_back};
pub use self::plain::is_plain;
pub use self::quote::push_identifier;
pub use self::quote::{quote_identifier, quote_literal};
pub use self::session_command::session_command;
