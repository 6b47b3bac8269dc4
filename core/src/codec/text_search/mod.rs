//! `tsvector` and `tsquery` (`tsvector.c` and `tsquery.c`).

mod parse;
mod query;
mod vector;

use std::fmt;

pub use self::parse::ParseTextSearchError;
pub use self::query::{TsQuery, TsQueryItem};
pub use self::vector::{Lexeme, LexemePosition, LexemeWeight, TsVector};

/// A lexeme in quotes, as both types print it.
#[inline]
fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("'")?;
    for part in text.split_inclusive(['\'', '\\']) {
        f.write_str(part)?;
        if let Some(special) = part.chars().last().filter(|c| matches!(c, '\'' | '\\')) {
            write!(f, "{special}")?;
        }
    }
    f.write_str("'")
}
