//! The one private cluster of each major that all processes share.
//!
//! Everything happens under the lock of the major's folder. Who uses the cluster leaves a
//! file `users/<pid>`; a watchdog, started with the cluster, looks for files whose process
//! lives, and stops the cluster when there was none for a while. A file `pinned` makes it
//! stay.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Stdio;

use super::cluster::{Folder, Root, StopMode};
use super::{Binaries, Server};
use crate::process::{self, FileLock, command_as, is_alive};
use crate::{Context, Failure, Result};

/// How long a cluster outlives its last user, in seconds.
const IDLE_SECONDS: u32 = 60;

/// The watchdog: `$1` is the major's folder, `$2` pg_ctl, `$3` the seconds to wait.
///
/// It is a shell script and not a program because a test that starts a cluster has no
/// program of ours at hand that it could leave behind.
const WATCHDOG: &str = r#"
cd -- "$1" || exit 1
alive() {
    if [ -d /proc/self ]; then
        grep -q '^State:[[:space:]]*[^ZX]' "/proc/$1/status" 2>/dev/null
    else
        ps -p "$1" >/dev/null 2>&1
    fi
}
# While the lock is held: nobody may take the one that leaves for one that watches.
leave() {
    rm -f watchdog.pid
    exit 0
}
idle=0
while sleep 2; do
    exec 9<lock
    flock 9
    if [ -e pinned ] || [ ! -e data/postmaster.pid ]; then leave; fi
    idle=$((idle + 2))
    for user in users/*; do
        [ -e "$user" ] || continue
        idle=0
        alive "${user##*/}" || rm -f -- "$user"
    done
    if [ "$idle" -ge "$3" ]; then
        "$2" --pgdata data --silent --wait --mode fast stop
        leave
    fi
    exec 9<&-
done
"#;

/// Uses the cluster of `binaries` for the life of this process.
pub(super) fn join(binaries: &Binaries) -> Result<Server> {
    let place = Shared::open(binaries.major())?;
    let _lock = place.lock()?;
    let users = place.dir.join("users");
    fs::create_dir_all(&users).context(format_args!("creating {}", users.display()))?;
    place.root.give_away(&users)?;
    let user = users.join(std::process::id().to_string());
    fs::write(&user, "").context(format_args!("writing {}", user.display()))?;
    let pinned = place.dir.join("pinned");
    if place.live_binaries()?.is_none() {
        // It was pinned before the machine restarted, say; that wish went with it.
        let _ = fs::remove_file(&pinned);
    }
    let server = place.ensure_running(binaries)?;
    if !pinned.exists() {
        place.ensure_watched(binaries)?;
    }
    Ok(server)
}

/// Starts the cluster of `binaries`, to stay.
pub(super) fn pin(binaries: &Binaries) -> Result<Server> {
    let place = Shared::open(binaries.major())?;
    let _lock = place.lock()?;
    let pinned = place.dir.join("pinned");
    fs::write(&pinned, "").context(format_args!("writing {}", pinned.display()))?;
    place.ensure_running(binaries)
}

/// Ends this process's use of the cluster of `major`, which stops where nobody else uses it
/// and nobody wants it to stay.
pub(super) fn leave(major: u32) -> Result<()> {
    let place = Shared::open(major)?;
    let _lock = place.lock()?;
    let users = place.dir.join("users");
    // Where this process did not join there is nothing to remove.
    let _ = fs::remove_file(users.join(std::process::id().to_string()));
    let is_used = fs::read_dir(&users).is_ok_and(|entries| {
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .any(is_alive)
    });
    if is_used || place.dir.join("pinned").exists() {
        return Ok(());
    }
    match place.live_binaries()? {
        Some(binaries) => place.folder().stop(&binaries, StopMode::Fast),
        None => Ok(()),
    }
}

/// Stops the cluster of `major`.
pub(super) fn stop(major: u32) -> Result<bool> {
    let place = Shared::open(major)?;
    let _lock = place.lock()?;
    // Where it was not pinned there is nothing to remove.
    let _ = fs::remove_file(place.dir.join("pinned"));
    let Some(binaries) = place.live_binaries()? else {
        return Ok(false);
    };
    place.folder().stop(&binaries, StopMode::Fast)?;
    Ok(true)
}

/// The cluster of `major`, if it runs.
pub(super) fn running(major: u32) -> Result<Option<Server>> {
    let place = Shared::open(major)?;
    let _lock = place.lock()?;
    place
        .live_binaries()?
        .map(|binaries| place.folder().read_address(&binaries).map(Server::at))
        .transpose()
}

struct Shared {
    root: Root,
    dir: PathBuf,
}

impl Shared {
    fn open(major: u32) -> Result<Self> {
        let root = Root::open()?;
        let dir = root.major_dir(major)?;
        Ok(Self { root, dir })
    }

    fn lock(&self) -> Result<FileLock> {
        FileLock::acquire(&self.dir.join("lock"))
    }

    fn folder(&self) -> Folder {
        Folder {
            path: self.dir.clone(),
            account: self.root.account,
        }
    }

    /// The binaries that the running cluster was started with, if one runs.
    fn live_binaries(&self) -> Result<Option<Binaries>> {
        let data = self.dir.join("data");
        let Ok(text) = fs::read_to_string(data.join("postmaster.pid")) else {
            return Ok(None);
        };
        let first = text
            .lines()
            .next()
            .and_then(|line| line.trim().parse().ok());
        let Some(pid) = first.filter(|&pid| is_alive(pid)) else {
            return Ok(None);
        };
        // After a crash of the machine the number may be another process's.
        let title = process::title_of(pid);
        if !title.is_empty() && !title.contains(&*data.to_string_lossy()) {
            return Ok(None);
        }
        let options = fs::read_to_string(data.join("postmaster.opts"))
            .context("reading the running server's options")?;
        let program = options.split_whitespace().next().unwrap_or_default();
        let dir = PathBuf::from(program.trim_matches('"'));
        dir.parent()
            .and_then(Binaries::at)
            .map(Some)
            .ok_or_else(|| {
                Failure::new(format!(
                    "a server of unknown binaries ({program}) runs as process {pid}: stop it"
                ))
            })
    }

    fn ensure_running(&self, binaries: &Binaries) -> Result<Server> {
        let folder = self.folder();
        if let Some(live) = self.live_binaries()? {
            return folder.read_address(&live).map(Server::at);
        }
        let template = self.root.template(binaries)?;
        folder.create(&template)?;
        folder.start(binaries, &[]).map(Server::at)
    }

    /// Starts a watchdog where none runs.
    fn ensure_watched(&self, binaries: &Binaries) -> Result<()> {
        let pid_path = self.dir.join("watchdog.pid");
        let known = fs::read_to_string(&pid_path)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        if known.is_some_and(|pid| is_alive(pid) && process::title_of(pid).contains(NAME)) {
            return Ok(());
        }
        let idle = std::env::var("KORNAK_PG_IDLE_SECONDS")
            .ok()
            .and_then(|text| text.parse::<u32>().ok())
            .unwrap_or(IDLE_SECONDS);
        let child = command_as(self.root.account, &self.dir, "sh")
            .args(["-c", WATCHDOG, NAME])
            .arg(&self.dir)
            .arg(binaries.program("pg_ctl"))
            .arg(idle.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("starting the watchdog of the shared cluster")?;
        fs::write(&pid_path, child.id().to_string())
            .context(format_args!("writing {}", pid_path.display()))
    }
}

/// The name under which the watchdog shows in a list of processes.
const NAME: &str = "kornak-watchdog";
