//! PostgreSQL's programs on this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{run, search_path};

/// The oldest major that the driver supports.
const OLDEST: u32 = 14;

/// Where distributions and installers put a folder per major.
const PARENTS: [(&str, &str); 4] = [
    ("/usr/lib/postgresql", "bin"),
    ("/usr/local", "bin"),
    ("/opt/homebrew/opt", "bin"),
    ("/usr", "bin"),
];

/// The folder with `postgres`, `initdb` and `pg_ctl` of one major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    dir: PathBuf,
    major: u32,
}

impl Binaries {
    /// The binaries of `major` on this machine, or of the newest major.
    pub fn find(major: Option<u32>) -> Option<Self> {
        let hidden = std::env::var_os("KORNAK_PG_BIN");
        let dirs = match &hidden {
            Some(dirs) => std::env::split_paths(dirs).collect(),
            None => usual_dirs(),
        };
        Self::choose(dirs, major)
    }

    /// As [`find`](Self::find), where the system's packages put them, hidden or not.
    pub(super) fn installed(major: Option<u32>) -> Option<Self> {
        Self::choose(usual_dirs(), major)
    }

    /// The binaries in `dir`, if they are all there and run.
    pub fn at(dir: &Path) -> Option<Self> {
        let complete = ["postgres", "initdb", "pg_ctl"]
            .iter()
            .all(|program| dir.join(program).is_file());
        if !complete {
            return None;
        }
        let version = run(Command::new(dir.join("postgres")).arg("--version")).ok()?;
        Some(Self {
            dir: dir.to_path_buf(),
            major: parse_major(&version)?,
        })
    }

    fn choose(dirs: Vec<PathBuf>, major: Option<u32>) -> Option<Self> {
        dirs.iter()
            .filter_map(|dir| Self::at(dir))
            .filter(|found| match major {
                Some(major) => found.major == major,
                None => found.major >= OLDEST,
            })
            .max_by_key(|found| found.major)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The major version.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The path of one program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The folder of the server's data files, with `errcodes.txt` among them.
    pub fn share_dir(&self) -> Option<PathBuf> {
        let major = self.major;
        [
            format!("/usr/share/postgresql/{major}"),
            self.dir
                .join("../share/postgresql")
                .to_string_lossy()
                .into_owned(),
            self.dir.join("../share").to_string_lossy().into_owned(),
        ]
        .into_iter()
        .map(PathBuf::from)
        .find(|dir| dir.join("errcodes.txt").is_file())
    }
}

fn usual_dirs() -> Vec<PathBuf> {
    let mut dirs = search_path();
    for (parent, bin) in PARENTS {
        let Ok(entries) = fs::read_dir(parent) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // `/usr/lib/postgresql/15`, `/usr/pgsql-15`, `…/postgresql@15`.
            if name.starts_with(|c: char| c.is_ascii_digit())
                || name.starts_with("pgsql")
                || name.starts_with("postgresql@")
            {
                dirs.push(entry.path().join(bin));
            }
        }
    }
    dirs
}

/// The major in `postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)`; betas read `19beta1`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.split("(PostgreSQL)").nth(1)?.trim_start();
    let end = number.find(|c: char| !c.is_ascii_digit());
    number[..end.unwrap_or(number.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        for (text, major) in [
            (
                "postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)\n",
                Some(15),
            ),
            ("postgres (PostgreSQL) 18.4\n", Some(18)),
            ("postgres (PostgreSQL) 19beta1\n", Some(19)),
            ("postgres (PostgreSQL) 17", Some(17)),
            ("something else 15", None),
        ] {
            assert_eq!(parse_major(text), major, "{text}");
        }
    }
}
