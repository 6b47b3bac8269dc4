//! Streaming standbys of private clusters.

use super::cluster::Private;
use crate::process::run;
use crate::{Failure, Result};

impl Private {
    /// Starts a streaming standby of this cluster (manual, "Streaming Replication"), which
    /// answers queries. It goes with the value, as every private cluster does; the primary
    /// should outlive it.
    ///
    /// # Errors
    ///
    /// If the major comes without `pg_basebackup`, or the server doesn't start.
    pub fn standby(&self, name: &str, settings: &[&str]) -> Result<Self> {
        let binaries = &self.address().binaries;
        let backup = binaries.program("pg_basebackup");
        if !backup.is_file() {
            return Err(Failure::new(format!(
                "there is no {}, which makes the copy for a standby",
                backup.display()
            )));
        }
        Self::start_from(binaries, name, settings, |folder| {
            folder.make()?;
            run(folder
                .command(&backup)
                .args(["--checkpoint=fast", "--wal-method=stream", "--no-sync"])
                .arg("--write-recovery-conf")
                .arg("--pgdata")
                .arg(folder.path.join("data"))
                .arg("--host")
                .arg(self.socket_dir())
                .args(["--port", &self.port().to_string()])
                .args(["--username", self.superuser(), "--no-password"]))
            .map(drop)
        })
    }

    /// Makes a primary of a standby, and waits until it is one.
    ///
    /// # Errors
    ///
    /// If it is none, or the promotion takes too long.
    pub fn promote(&self) -> Result<()> {
        run(self
            .folder
            .pg_ctl(&self.address().binaries)
            .args(["--wait", "--silent", "promote"]))
        .map(drop)
    }
}
