//! PgBouncer, which the tests stand before a server.
//!
//! `KORNAK_PGBOUNCER` names the program; else it is the system's package, which is installed
//! where that is allowed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{FileLock, find_program, run};
use crate::{Context, Failure, Result};

/// A program of PgBouncer, and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgBouncer {
    /// The program.
    pub program: PathBuf,
    /// The major and minor version.
    pub version: (u32, u32),
}

/// The first version that keeps track of the statements that clients prepare
/// (`max_prepared_statements`).
const NAMED_STATEMENTS: (u32, u32) = (1, 21);

impl PgBouncer {
    /// The one of this machine.
    ///
    /// # Errors
    ///
    /// If there is none and none can be installed, or it doesn't run.
    pub fn find() -> Result<Self> {
        let named = std::env::var_os("KORNAK_PGBOUNCER").filter(|path| !path.is_empty());
        if let Some(named) = named {
            return Self::at(Path::new(&named));
        }
        let _lock = FileLock::acquire(&std::env::temp_dir().join("kornak-pgbouncer.lock"))?;
        if let Some(found) = installed() {
            return Self::at(&found);
        }
        let install = run(Command::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["install", "--yes", "--no-install-recommends", "pgbouncer"]));
        match (installed(), install) {
            (Some(found), _) => Self::at(&found),
            (None, Err(failure)) => Err(Failure::new(format!(
                "install PgBouncer (package `pgbouncer`), or name its program by \
                 KORNAK_PGBOUNCER ({failure})"
            ))),
            (None, Ok(_)) => Err(Failure::new(
                "the package pgbouncer is installed, but its program is missing",
            )),
        }
    }

    fn at(program: &Path) -> Result<Self> {
        let text = run(Command::new(program).arg("--version"))
            .context(format_args!("asking {} for its version", program.display()))?;
        let version = parse_version(&text).ok_or_else(|| {
            Failure::new(format!("{} is no PgBouncer: {text}", program.display()))
        })?;
        Ok(Self {
            program: program.to_owned(),
            version,
        })
    }

    /// Whether it can keep track of the statements that clients prepare.
    pub fn knows_statements(&self) -> bool {
        self.version >= NAMED_STATEMENTS
    }
}

impl fmt::Display for PgBouncer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.version;
        write!(f, "PgBouncer {major}.{minor} ({})", self.program.display())
    }
}

fn installed() -> Option<PathBuf> {
    [
        "/usr/sbin/pgbouncer",
        "/usr/bin/pgbouncer",
        "/usr/local/bin/pgbouncer",
    ]
    .iter()
    .map(PathBuf::from)
    .chain(find_program("pgbouncer"))
    .find(|path| path.is_file())
}

/// The version in `PgBouncer 1.24.1`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let numbers = text.strip_prefix("PgBouncer ")?.split_whitespace().next()?;
    let (major, rest) = numbers.split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        for (text, version) in [
            ("PgBouncer 1.24.1\nlibevent 2.1.12-stable\n", Some((1, 24))),
            ("PgBouncer 1.18.0", Some((1, 18))),
            ("PgBouncer 1.26dev\n", Some((1, 26))),
            ("pgcat 1.1", None),
            ("", None),
        ] {
            assert_eq!(parse_version(text), version, "{text}");
        }
    }
}
