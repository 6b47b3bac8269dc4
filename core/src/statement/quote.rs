//! Names and literals as SQL.

use crate::error::{Error, Result};

/// The name as a quoted identifier, which the server reads back as exactly this name:
/// `my"table` becomes `"my""table"`. It is always quoted, as by libpq's
/// `PQescapeIdentifier`, so that no keyword needs to be known.
///
/// The server truncates names longer than 63 bytes (manual, "Identifiers and Key Words").
///
/// # Errors
///
/// If the name is empty, which no identifier may be, or contains NUL.
///
/// # Example
///
/// ```
/// let table = kornak::quote_identifier("my\"table")?;
/// assert_eq!(format!("select * from {table}"), "select * from \"my\"\"table\"");
/// # Ok::<(), kornak::Error>(())
/// ```
pub fn quote_identifier(name: &str) -> Result<String> {
    let mut quoted = String::with_capacity(name.len() + 2);
    push_identifier(&mut quoted, name)?;
    Ok(quoted)
}

/// [`quote_identifier`] at the end of `sql`.
pub fn push_identifier(sql: &mut String, name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::usage("an identifier can't be empty"));
    }
    refuse_nul(name, "an identifier")?;
    sql.push('"');
    for (index, part) in name.split('"').enumerate() {
        if index > 0 {
            sql.push_str("\"\"");
        }
        sql.push_str(part);
    }
    sql.push('"');
    Ok(())
}

/// The text as a string literal, as the server's function `quote_literal` does it: with a
/// backslash in it, it is written in the escape syntax, which doesn't depend on
/// `standard_conforming_strings`.
///
/// Parameters are better: this is for statements that take none, such as `CREATE USER`.
///
/// # Errors
///
/// If the text contains NUL.
///
/// # Example
///
/// ```
/// let password = kornak::quote_literal("it's")?;
/// assert_eq!(format!("alter user me password {password}"), "alter user me password 'it''s'");
/// # Ok::<(), kornak::Error>(())
/// ```
pub fn quote_literal(text: &str) -> Result<String> {
    refuse_nul(text, "a literal")?;
    let quoted = text.replace('\'', "''");
    Ok(if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    })
}

fn refuse_nul(text: &str, what: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::usage(format!("{what} can't contain NUL")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_nul_is_refused() {
        for text in ["\0", "a\0", "\0a", "a\0b"] {
            quote_identifier(text).unwrap_err();
            quote_literal(text).unwrap_err();
        }
        quote_identifier("").unwrap_err();
        assert_eq!(quote_literal("").unwrap(), "''");
    }

    #[test]
    fn s5_quotes_and_backslashes_are_doubled() {
        assert_eq!(quote_identifier("a\"b\\").unwrap(), "\"a\"\"b\\\"");
        assert_eq!(quote_literal("a'b\"c").unwrap(), "'a''b\"c'");
        assert_eq!(quote_literal("\\'").unwrap(), "E'\\\\'''");
    }
}
