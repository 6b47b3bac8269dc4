//! What little the driver needs to know of SQL text.

/// Whether the statement can end a failed transaction: the server takes no other in one
/// (`IsTransactionExitStmt` in its `tcop/postgres.c`).
pub fn ends_transaction(sql: &str) -> bool {
    let word = first_keyword(sql);
    ["rollback", "abort", "commit", "end", "prepare"]
        .iter()
        .any(|keyword| word.eq_ignore_ascii_case(keyword))
}

/// Whether the statement asks for a rollback. Every other one that is answered with ROLLBACK
/// asked for something else: COMMIT of a failed transaction (`EndTransactionBlock` and
/// `PrepareTransactionBlock` in the server's `xact.c`).
pub fn rolls_back(sql: &str) -> bool {
    let word = first_keyword(sql);
    ["rollback", "abort"]
        .iter()
        .any(|keyword| word.eq_ignore_ascii_case(keyword))
}

/// Whether the statement begins or ends a transaction, or a part of one.
pub(super) fn controls_transaction(sql: &str) -> bool {
    let word = first_keyword(sql);
    let keywords = [
        "begin",
        "start",
        "commit",
        "end",
        "rollback",
        "abort",
        "savepoint",
        "release",
        "prepare",
    ];
    keywords
        .iter()
        .any(|keyword| word.eq_ignore_ascii_case(keyword))
}

/// Whether the statement is a COPY.
pub fn is_copy(sql: &str) -> bool {
    first_keyword(sql).eq_ignore_ascii_case("copy")
}

/// The first word, behind white space and comments.
fn first_keyword(sql: &str) -> &str {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c', ';', '(']);
        rest = match rest.get(..2) {
            Some("--") => rest.split_once(['\n', '\r']).map_or("", |(_, rest)| rest),
            Some("/*") => skip_comment(rest),
            _ => break,
        };
    }
    let end = rest
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(rest.len());
    &rest[..end]
}

/// What follows a block comment, which may contain others.
pub(super) fn skip_comment(sql: &str) -> &str {
    let mut depth = 0;
    let mut rest = sql;
    loop {
        match (rest.find("/*"), rest.find("*/")) {
            (Some(open), Some(close)) if open < close => {
                depth += 1;
                rest = &rest[open + 2..];
            }
            (_, Some(close)) => {
                depth -= 1;
                rest = &rest[close + 2..];
                if depth == 0 {
                    return rest;
                }
            }
            (_, None) => return "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_found_behind_comments() {
        for (sql, word) in [
            ("rollback", "rollback"),
            ("  \n\tROLLBACK to x", "ROLLBACK"),
            ("-- why\nselect 1", "select"),
            ("/* a /* b */ c */commit", "commit"),
            ("/* a */ -- b\r\n;end;", "end"),
            ("/* open", ""),
            ("--", ""),
            ("", ""),
            ("(select 1)", "select"),
            ("/é", ""),
            ("é", ""),
        ] {
            assert_eq!(first_keyword(sql), word, "{sql:?}");
        }
    }

    #[test]
    fn what_controls_a_transaction_is_told() {
        for sql in [
            "BEGIN",
            "start transaction",
            "commit",
            "rollback to s",
            "savepoint s",
            "/* x */ release s",
        ] {
            assert!(controls_transaction(sql), "{sql}");
        }
        for sql in ["select 1", "with x as (select 1) select * from x", ""] {
            assert!(!controls_transaction(sql), "{sql}");
        }
    }

    #[test]
    fn only_what_ends_a_transaction_passes() {
        for sql in [
            "rollback",
            "Rollback to savepoint s",
            "COMMIT",
            "end",
            "abort",
            "prepare transaction 'x'",
        ] {
            assert!(ends_transaction(sql), "{sql}");
        }
        for sql in [
            "select 1",
            "begin",
            "rollbackish",
            "savepoint s",
            "release s",
            "",
        ] {
            assert!(!ends_transaction(sql), "{sql}");
        }
    }
}
