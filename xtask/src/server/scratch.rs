//! Putting a server that is fetched as an archive where it belongs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cluster::remove_dir;
use crate::process::run;
use crate::{Context, Failure, Result};

/// A folder for the archive and what is in it: the target itself is whole or not there.
#[derive(Debug)]
pub(super) struct Scratch<'t> {
    pub(super) path: PathBuf,
    target: &'t Path,
}

impl<'t> Scratch<'t> {
    /// An empty folder beside `target`.
    pub(super) fn beside(target: &'t Path) -> Result<Self> {
        let path = target.with_extension("new");
        remove_dir(&path)?;
        fs::create_dir_all(&path).context(format_args!("creating {}", path.display()))?;
        Ok(Self { path, target })
    }

    /// The archive that a package manager has put here, by the end of its name.
    pub(super) fn archive(&self, ending: &str) -> Result<PathBuf> {
        fs::read_dir(&self.path)
            .context("looking for the archive")?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| {
                path.extension()
                    .is_some_and(|extension| extension == ending)
            })
            .ok_or_else(|| Failure::new(format!("there is no archive .{ending}")))
    }

    /// Makes `unpacked` the target, which is this folder or one within it, and has the server's
    /// programs in `bin`.
    pub(super) fn put_in_place(self, unpacked: &Path, bin: &Path) -> Result<()> {
        // The server's user must be able to read all of it, whatever our umask is.
        run(Command::new("chmod")
            .args(["-R", "a+rX,u+x"])
            .arg(&self.path))?;
        run(Command::new("chmod").args(["-R", "a+x"]).arg(bin))?;
        remove_dir(self.target)?;
        fs::rename(unpacked, self.target).context("putting the unpacked server in place")?;
        remove_dir(&self.path)
    }
}
