//! Which statements need a session of their own.

use super::plain::{Token, Tokens};

/// The first command of a statement or script that changes a session, or wants one to itself:
/// behind a pooler of transactions whoever comes next would meet what it leaves behind
/// (PgBouncer's documentation, "SQL feature map for pooling modes").
///
/// As with [`is_plain`](super::is_plain), what functions do can't be seen from here.
pub fn session_command(sql: &str) -> Option<&'static str> {
    let mut tokens = Tokens { rest: sql };
    let mut is_first = true;
    loop {
        match tokens.next() {
            Token::End | Token::Doubt => return None,
            Token::Semicolon => is_first = true,
            Token::Word(word) if is_first => {
                is_first = false;
                let command = COMMANDS
                    .iter()
                    .find(|command| word.eq_ignore_ascii_case(command));
                if let Some(command) = command {
                    let next = match tokens.next() {
                        Token::Word(next) => next,
                        _ => "",
                    };
                    let is_local = LOCAL.iter().any(|(first, second)| {
                        first.eq_ignore_ascii_case(command) && second.eq_ignore_ascii_case(next)
                    });
                    if !is_local {
                        return Some(command);
                    }
                }
            }
            _ => is_first = false,
        }
    }
}

/// The commands whose effects outlive their transaction.
const COMMANDS: &[&str] = &[
    "DEALLOCATE",
    "DISCARD",
    "LISTEN",
    "LOAD",
    "PREPARE",
    "RESET",
    "SET",
    "UNLISTEN",
];

/// Their forms whose effects don't, or that belong to no session.
const LOCAL: &[(&str, &str)] = &[
    ("SET", "LOCAL"),
    ("SET", "TRANSACTION"),
    ("SET", "CONSTRAINTS"),
    ("PREPARE", "TRANSACTION"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r45_commands_of_a_session_are_found() {
        for (sql, command) in [
            ("listen news", Some("LISTEN")),
            ("/* a */ Unlisten *", Some("UNLISTEN")),
            ("set search_path = x", Some("SET")),
            (
                "set session characteristics as transaction read only",
                Some("SET"),
            ),
            ("set \"local\" = 1", Some("SET")),
            ("reset all", Some("RESET")),
            ("discard all", Some("DISCARD")),
            ("prepare p as select 1", Some("PREPARE")),
            ("deallocate p", Some("DEALLOCATE")),
            ("load 'x'", Some("LOAD")),
            ("select 1; set role x", Some("SET")),
            ("set local role x; listen x", Some("LISTEN")),
            ("set local search_path = x", None),
            ("set transaction read only", None),
            ("SET CONSTRAINTS all deferred", None),
            ("prepare transaction 'x'", None),
            ("update t set a = 1", None),
            ("select 'listen x; set x'", None),
            ("begin", None),
            ("settle", None),
            ("", None),
        ] {
            assert_eq!(session_command(sql), command, "{sql:?}");
        }
    }
}
