//! What of a statement's text may be shown to whoever reads traces: all but its literals.

use std::borrow::Cow;

/// The longest text that is shown, in bytes.
const MAX_TEXT: usize = 4096;

/// The commands that are named (OpenTelemetry's `db.operation.name`). In alphabetical order.
const OPERATIONS: &[&str] = &[
    "ALTER",
    "ANALYZE",
    "BEGIN",
    "CALL",
    "CLUSTER",
    "COMMIT",
    "COPY",
    "CREATE",
    "DELETE",
    "DO",
    "DROP",
    "EXPLAIN",
    "GRANT",
    "INSERT",
    "LISTEN",
    "LOCK",
    "MERGE",
    "NOTIFY",
    "REFRESH",
    "REINDEX",
    "RELEASE",
    "RESET",
    "REVOKE",
    "ROLLBACK",
    "SAVEPOINT",
    "SELECT",
    "SET",
    "SHOW",
    "TABLE",
    "TRUNCATE",
    "UNLISTEN",
    "UPDATE",
    "VACUUM",
    "VALUES",
];

/// The command that a text begins with, where it is a known one.
pub(super) fn operation(sql: &str) -> Option<&'static str> {
    let sql = sql.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '(');
    let end = sql
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(sql.len());
    OPERATIONS
        .iter()
        .find(|operation| operation.eq_ignore_ascii_case(&sql[..end]))
        .copied()
}

/// What it is called where the text is run for many items, in OpenTelemetry's words.
pub(super) fn batch(sql: &str) -> &'static str {
    match operation(sql) {
        Some("CALL") => "BATCH CALL",
        Some("DELETE") => "BATCH DELETE",
        Some("INSERT") => "BATCH INSERT",
        Some("MERGE") => "BATCH MERGE",
        Some("SELECT") => "BATCH SELECT",
        Some("UPDATE") => "BATCH UPDATE",
        _ => "BATCH",
    }
}

/// The text with `?` for each literal: what an application writes into its SQL may be anybody's
/// name or password. Comments go, too. From where the text can be read in more than one way on,
/// nothing is shown.
pub(super) fn sanitized(sql: &str) -> Cow<'_, str> {
    let bytes = sql.as_bytes();
    let mut shown = String::with_capacity(sql.len().min(MAX_TEXT));
    let mut at = 0;
    while at < bytes.len() && shown.len() < MAX_TEXT {
        let rest = &sql[at..];
        let length = match bytes[at] {
            b'\'' => match end_of_string(&bytes[at..]) {
                Some(length) => {
                    shown.push('?');
                    length
                }
                None => return in_doubt(shown),
            },
            b'"' => match bytes[at + 1..].iter().position(|byte| *byte == b'"') {
                Some(end) => {
                    shown.push_str(&rest[..end + 2]);
                    end + 2
                }
                None => return in_doubt(shown),
            },
            b'$' if bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => {
                let length = 1 + digits(&bytes[at + 1..]);
                shown.push_str(&rest[..length]);
                length
            }
            b'$' => match end_of_dollars(rest) {
                Some(length) => {
                    shown.push('?');
                    length
                }
                None => return in_doubt(shown),
            },
            b'-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with("/*") => match rest[2..].find(['/', '*']) {
                // A comment within a comment is rare, and not worth a second reading.
                Some(_) => match rest.find("*/") {
                    Some(end) if !rest[2..end].contains("/*") => end + 2,
                    _ => return in_doubt(shown),
                },
                None => return in_doubt(shown),
            },
            b'0'..=b'9' => {
                shown.push('?');
                bytes[at..]
                    .iter()
                    .position(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'.' | b'_'))
                    .unwrap_or(rest.len())
            }
            byte if is_word(byte) => {
                let length = bytes[at..]
                    .iter()
                    .position(|byte| !is_word(*byte) && !byte.is_ascii_digit() && *byte != b'$')
                    .unwrap_or(rest.len());
                // E'…', B'…', X'…', N'…': the letter belongs to the literal.
                let is_prefix = length <= 2 && bytes.get(at + length) == Some(&b'\'');
                if !is_prefix {
                    shown.push_str(&rest[..length]);
                }
                length
            }
            _ => {
                shown.push_str(&rest[..1]);
                1
            }
        };
        at += length;
    }
    if at < bytes.len() {
        return in_doubt(shown);
    }
    shown.into()
}

/// The length of a string in quotes. Whether a backslash escapes depends on settings.
fn end_of_string(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match (bytes.get(at)?, bytes.get(at + 1)) {
            (b'\\', _) => return None,
            (b'\'', Some(b'\'')) => at += 2,
            (b'\'', _) => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// The length of a string in dollars.
fn end_of_dollars(rest: &str) -> Option<usize> {
    let tag = rest[1..].find('$')? + 2;
    let is_tag = rest[1..tag - 1]
        .bytes()
        .all(|byte| is_word(byte) || byte.is_ascii_digit());
    if !is_tag {
        return None;
    }
    let body = rest[tag..].find(&rest[..tag])?;
    Some(tag + body + tag)
}

fn digits(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(bytes.len())
}

/// Whether the byte may begin a word.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | 0x80..)
}

fn in_doubt(mut shown: String) -> Cow<'static, str> {
    shown.push('…');
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s31_literals_are_not_shown() {
        for (sql, shown) in [
            ("select 1", "select ?"),
            ("select $1, $23::int", "select $1, $23::int"),
            (
                "select a1 from t_2 where b = 'x''y' and c=3.5e2",
                "select a1 from t_2 where b = ? and c=?",
            ),
            ("alter role x password 'secret'", "alter role x password ?"),
            (
                "select E'secret', n'secret' from \"t 1\"",
                "select ?, ? from \"t 1\"",
            ),
            ("select e'\\'secret' , 1", "select …"),
            ("select 'secret", "select …"),
            ("do $$ secret $$", "do ?"),
            ("do $a$ secret $$ $a$; x", "do ?; x"),
            ("do $a secret", "do …"),
            ("select /* secret */ 1 -- secret\n+ 2", "select  ? \n+ ?"),
            ("select /* a /* secret */ secret */ 1", "select …"),
            ("select 'ä', ä from é", "select ?, ä from é"),
            ("select 0x1f_f, .5, 1_000", "select ?, .?, ?"),
            ("", ""),
        ] {
            assert_eq!(sanitized(sql), shown, "{sql:?}");
        }
        let long = "x, ".repeat(10_000);
        let shown = sanitized(&long);
        assert!(shown.len() < MAX_TEXT + 10 && shown.ends_with('…'));
    }

    #[test]
    fn operations_are_the_first_word() {
        assert!(OPERATIONS.is_sorted());
        for (sql, found) in [
            ("select 1", Some("SELECT")),
            ("\n (Select 1)", Some("SELECT")),
            ("insert into t", Some("INSERT")),
            ("with a as (select 1) delete from t", None),
            ("selected", None),
            ("", None),
        ] {
            assert_eq!(operation(sql), found, "{sql:?}");
        }
        for operation in OPERATIONS {
            let batch = batch(operation);
            assert!(batch == "BATCH" || batch.strip_prefix("BATCH ") == Some(operation));
        }
    }
}
