//! Streaming standbys of private clusters.

use std::fs;

use super::cluster::{Private, Root};
use crate::process::run;
use crate::{Context, Result};

impl Private {
    /// Starts a streaming standby of this cluster (manual, "Streaming Replication"), which
    /// answers queries. It goes with the value, as every private cluster does; the primary
    /// should outlive it.
    ///
    /// Both begin as copies of the same template, which was shut down cleanly: a backup of the
    /// file system, as the manual's "File System Level Backup" has it, of the moment before
    /// the primary's first start. From there on everything is streamed, so the primary must
    /// still have all its WAL: it should be young. This needs no `pg_basebackup`, which not
    /// every package has.
    ///
    /// # Errors
    ///
    /// If the server doesn't start.
    pub fn standby(&self, name: &str, settings: &[&str]) -> Result<Self> {
        let source = format!(
            "primary_conninfo = 'host={} port={} user={}'",
            self.socket_dir().display(),
            self.port(),
            self.superuser()
        );
        let settings = [settings, &[&*source]].concat();
        let binaries = &self.address().binaries;
        let root = Root::open()?;
        let template = root.template(binaries)?;
        Self::start_from(binaries, name, &settings, |folder| {
            folder.create(&template)?;
            let signal = folder.path.join("data/standby.signal");
            fs::write(&signal, "").context(format_args!("writing {}", signal.display()))?;
            root.give_away(&signal)
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
