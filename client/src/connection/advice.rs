//! What is worth trying after a connection could not be made.

use std::error::Error as _;
use std::io;

use crate::config::ResolvedConfig;
use crate::error::{Error, ErrorKind, SqlState};

/// The error that the user sees, with a note on what most often lies behind it.
pub(super) fn advise(error: Error, config: &ResolvedConfig) -> Error {
    match note(&error, config) {
        Some(note) => error.with_note(note),
        None => error,
    }
}

fn note(error: &Error, config: &ResolvedConfig) -> Option<&'static str> {
    if error.sqlstate() == Some(SqlState::INVALID_CATALOG_NAME) && config.dbname() == config.user()
    {
        return Some("where dbname is not given, the database is called as the user");
    }
    match (error.kind(), system_error(error)?) {
        (ErrorKind::Io, io::ErrorKind::ConnectionRefused) => Some(
            "nothing listens there: is the server running, is this its port, and do its \
             listen_addresses include this one?",
        ),
        (ErrorKind::Io, io::ErrorKind::NotFound) => Some(
            "there is no such socket: is the server running on this machine, is this its port, \
             and do its unix_socket_directories include this one?",
        ),
        (ErrorKind::Io, io::ErrorKind::WouldBlock) => {
            Some("as many wait to be let in as the server lets wait: is it stopped or overloaded?")
        }
        _ => None,
    }
}

/// The failure of the operating system behind the error, if there is one.
fn system_error(error: &Error) -> Option<io::ErrorKind> {
    let source = error.source()?;
    source.downcast_ref::<io::Error>().map(io::Error::kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment};

    fn check(error: Error, dbname: &str, expected: Option<&str>) {
        let config = Config::new().user("app").dbname(dbname);
        let config = config.environment(Environment::empty()).resolve().unwrap();
        let plain = error.to_string();
        let text = advise(error, &config).to_string();
        match expected {
            None => assert_eq!(text, plain),
            Some(part) => assert!(text.contains(part) && text != plain, "{text}"),
        }
    }

    #[test]
    fn only_what_is_likely_is_said() {
        let system = |kind: io::ErrorKind| Error::io("no", kind.into());
        check(
            system(io::ErrorKind::ConnectionRefused),
            "shop",
            Some("listen_addresses"),
        );
        check(
            system(io::ErrorKind::NotFound),
            "shop",
            Some("unix_socket_directories"),
        );
        check(system(io::ErrorKind::ConnectionReset), "shop", None);
        check(Error::protocol("no"), "app", None);
    }
}
