//! `.pgpass`: passwords by host, port, database and user (the manual's section "The
//! Password File"; `passwordFromFile` and `pwdfMatchesString` in fe-connect.c).

use std::path::Path;

use super::secret::Secret;

/// A password file that may be used, or why there is none.
pub(super) enum Passfile {
    Usable(Secret),
    /// There is none.
    Missing,
    /// It is ignored, for the reason given.
    Ignored(String),
}

/// What a password is looked up by.
pub(super) struct Key<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) dbname: &'a str,
    pub(super) user: &'a str,
}

impl Passfile {
    /// Reads the file if nobody else can.
    pub(super) fn read(path: &Path) -> Self {
        let shown = path.display();
        let ignored = |why: &str| Self::Ignored(format!("the password file {shown} {why}"));
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Self::Missing,
            Err(error) => return ignored(&format!("is ignored: {error}")),
        };
        if cfg!(unix) && !metadata.is_file() {
            return ignored("is ignored: it is not a plain file");
        }
        if is_open_to_others(&metadata) {
            return ignored(
                "is ignored: group or others may use it; its permissions must be 0600 or less",
            );
        }
        match std::fs::read(path) {
            Ok(text) => Self::Usable(text.into()),
            Err(error) => ignored(&format!("is ignored: {error}")),
        }
    }

    /// The password of the first line that fits.
    pub(super) fn password(&self, key: &Key<'_>) -> Option<Secret> {
        let Self::Usable(text) = self else {
            return None;
        };
        text.expose()
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.starts_with(b"#"))
            .find_map(|line| password_of_line(line, key))
    }
}

#[cfg(unix)]
fn is_open_to_others(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o077 != 0
}

/// Windows protects the directory.
#[cfg(not(unix))]
fn is_open_to_others(_: &std::fs::Metadata) -> bool {
    false
}

fn password_of_line(line: &[u8], key: &Key<'_>) -> Option<Secret> {
    // `pg_strip_crlf` takes any number of both off the end.
    let end = line.iter().rposition(|byte| *byte != b'\r')? + 1;
    let port = key.port.to_string();
    let mut rest = &line[..end];
    for wanted in [key.host, &port, key.dbname, key.user] {
        rest = matched(rest, wanted.as_bytes())?;
    }
    let mut password = Vec::new();
    let mut bytes = rest.iter().copied().peekable();
    while let Some(byte) = bytes.next().filter(|byte| *byte != b':') {
        match (byte, bytes.peek()) {
            (b'\\', Some(_)) => password.extend(bytes.next()),
            _ => password.push(byte),
        }
    }
    Some(password.into())
}

/// What follows the first field of `line`, if that field is a star or says `wanted`.
fn matched<'a>(line: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    if let Some(rest) = line.strip_prefix(b"*:") {
        return Some(rest);
    }
    let mut rest = line;
    let mut wanted = wanted.iter();
    loop {
        let (is_escaped, byte) = match rest {
            [b'\\', byte, ..] => (true, *byte),
            [byte, ..] => (false, *byte),
            [] => return None,
        };
        rest = &rest[1 + usize::from(is_escaped)..];
        match wanted.next() {
            None if byte == b':' && !is_escaped => return Some(rest),
            Some(expected) if *expected == byte => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key<'a>() -> Key<'a> {
        Key {
            host: "db",
            port: 5432,
            dbname: "app",
            user: "me:\\",
        }
    }

    #[test]
    fn lines_match_as_libpq_matches_them() {
        for (line, expected) in [
            (r"db:5432:app:me\:\\:sesame", Some("sesame")),
            (r"*:*:*:*:sesame", Some("sesame")),
            (r"*:*:*:*:sesame:more", Some("sesame")),
            (r"*:*:*:*:a\:b\\c\d", Some(r"a:b\cd")),
            (r"*:*:*:*:end\", Some(r"end\")),
            ("*:*:*:*:cr\r\r", Some("cr")),
            (r"*:*:*:*:", Some("")),
            (r"*:*:*:*", None),
            (r"d\b:5432:*:*:x", Some("x")),
            (r"DB:*:*:*:x", None),
            (r"db:5433:*:*:x", None),
            (r"d*:*:*:*:x", None),
            (r"\*:*:*:*:x", None),
            (r"db:*:app2:*:x", None),
            (r"db:*:ap:*:x", None),
            (r"db:*:*:me:x", None),
            (r"*:*:*:me\:\\\:x", None),
            (" db:*:*:*:x", None),
            ("", None),
            ("\r", None),
            ("#*:*:*:*:x", None),
        ] {
            let file = Passfile::Usable(line.into());
            let found = file.password(&key());
            assert_eq!(
                found.as_ref().map(Secret::expose),
                expected.map(str::as_bytes),
                "{line:?}"
            );
        }
    }

    #[test]
    fn the_first_line_that_fits_wins() {
        let file = Passfile::Usable("other:*:*:*:1\ndb:*:*:*:2\n*:*:*:*:3\n".into());
        assert_eq!(file.password(&key()), Some("2".into()));
    }
}
