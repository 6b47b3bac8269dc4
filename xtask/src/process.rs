//! Running programs, and knowing about processes.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Context, Failure, Result};

/// The user that a server runs as where the caller may not: PostgreSQL refuses to be run
/// by root (`src/backend/main/main.c`, `check_root`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user's number.
    pub uid: u32,
    /// The number of the user's own group.
    pub gid: u32,
}

impl Account {
    /// The account for servers: `postgres` or `nobody` where this process runs as root,
    /// nothing where it can run them itself.
    pub fn for_servers() -> Result<Option<Self>> {
        if own_uid()? != 0 {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
        let named = |name: &str| {
            users.lines().find_map(|line| {
                let mut fields = line.split(':');
                let (uid, gid) = (fields.next() == Some(name))
                    .then(|| Some((fields.nth(1)?, fields.next()?)))??;
                Some(Self {
                    uid: uid.parse().ok()?,
                    gid: gid.parse().ok()?,
                })
            })
        };
        named("postgres")
            .or_else(|| named("nobody"))
            .filter(|account| account.uid != 0)
            .map(Some)
            .ok_or_else(|| {
                Failure::new(
                    "PostgreSQL can't be run as root, and there is no user `postgres` or \
                     `nobody` to run it as: run this command as an ordinary user",
                )
            })
    }

    /// Gives `path` to this user.
    pub fn own(self, path: &Path) -> Result<()> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid)).context(format_args!(
            "giving {} to the server's user",
            path.display()
        ))
    }
}

/// A command that runs in `dir` as `account`, with nothing of the caller's environment but
/// the search path: a stray `PGPORT` or locale must not change what a server does.
pub fn command_as(account: Option<Account>, dir: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LC_ALL", "C")
        .env("TZ", "UTC");
    if let Some(account) = account {
        // The standard library drops root's supplementary groups along with its uid.
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Runs `command` to its end and returns what it printed; its failure shows that too.
pub fn run(command: &mut Command) -> Result<String> {
    let name = describe(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .context(format_args!("can't run {name}"))?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Err(Failure::new(format!(
        "{name} failed ({}):\n{}",
        output.status,
        text.trim_end()
    )))
}

/// The command as one would type it.
pub fn describe(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

/// The folders of the search path.
pub fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default()
}

/// Where the search path has `program`.
pub fn find_program(program: &str) -> Option<PathBuf> {
    search_path()
        .into_iter()
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

/// The user of this process.
pub fn own_uid() -> Result<u32> {
    if let Ok(me) = fs::metadata("/proc/self") {
        return Ok(me.uid());
    }
    run(Command::new("id").arg("-u"))?
        .trim()
        .parse()
        .context("`id -u` printed no number")
}

/// Whether the process runs. A zombie, which only waits for its parent, does not.
pub fn is_alive(pid: u32) -> bool {
    if Path::new("/proc/self/stat").exists() {
        return status_of(pid).is_some_and(|(state, _)| state != 'Z' && state != 'X');
    }
    run(Command::new("ps").args(["-p", &pid.to_string()])).is_ok()
}

/// The processes whose parent is `pid`, with their titles (Linux only; empty elsewhere).
pub fn children_of(pid: u32) -> Vec<(u32, String)> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&child| {
            status_of(child).is_some_and(|(state, parent)| parent == pid && state != 'Z')
        })
        .map(|child| (child, title_of(child)))
        .collect()
}

/// The command line of a process, its parts separated by spaces.
pub fn title_of(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line)
        .replace('\0', " ")
        .trim_end()
        .to_owned()
}

/// Sends the signal `name` (`TERM`, `STOP`, …) to a process.
pub fn signal(pid: u32, name: &str) -> Result<()> {
    kill(name, &pid.to_string())
}

/// Sends the signal `name` to every process of the group that `leader` leads.
pub fn signal_group(leader: u32, name: &str) -> Result<()> {
    kill(name, &format!("-{leader}"))
}

/// Asks `done` again and again until it says yes, or `limit` is over.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing tells when the processes of others change"
)]
pub fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !done() {
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// An exclusive lock on a file, against all processes of the machine.
///
/// A child process holds it for us and ends when its input does: however this process
/// dies, the lock goes with it. (`File::lock` is newer than the crate's `rust-version`.)
#[derive(Debug)]
pub struct FileLock {
    holder: Child,
}

impl FileLock {
    /// Waits for the lock on `path`, which is created where it is missing.
    pub fn acquire(path: &Path) -> Result<Self> {
        let mut holder = Command::new("flock")
            .arg(path)
            .args(["sh", "-c", "echo locked; exec cat >/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound => {
                    Failure::new("install `flock` (package util-linux), which guards the server")
                }
                _ => Failure::new(format!("can't run flock: {error}")),
            })?;
        let mut line = String::new();
        if let Some(output) = holder.stdout.take() {
            BufReader::new(output)
                .read_line(&mut line)
                .context("waiting for flock")?;
        }
        if line.trim() == "locked" {
            return Ok(Self { holder });
        }
        // A lock nobody holds would let two processes start the same server.
        let status = holder.wait().context("waiting for flock")?;
        Err(Failure::new(format!(
            "can't lock {} ({status})",
            path.display()
        )))
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // Nothing is left to do about a holder that can't be waited for.
        let _ = self.holder.wait();
    }
}

fn kill(name: &str, target: &str) -> Result<()> {
    // `kill` is a builtin of the shell, so it needs no package.
    run(Command::new("sh").args(["-c", "kill -s \"$1\" -- \"$2\"", "sh", name, target])).map(drop)
}

/// The state and the parent of a process, from `/proc/<pid>/stat` (proc(5)).
fn status_of(pid: u32) -> Option<(char, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may itself hold spaces and parentheses.
    let mut fields = text[text.rfind(')')? + 1..].split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_an_ended_one_is_not() {
        assert!(is_alive(std::process::id()));
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id();
        // A zombie until it is waited for: it must count as gone already then.
        assert!(wait_until(Duration::from_secs(10), || !is_alive(pid)));
        child.wait().unwrap();
        assert!(!is_alive(pid));
    }

    #[test]
    fn a_failed_command_shows_what_it_printed() {
        let failure = run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]));
        let text = failure.unwrap_err().to_string();
        assert!(
            text.contains("out") && text.contains("err") && text.contains('3'),
            "{text}"
        );
    }

    #[test]
    fn a_lock_excludes_and_is_released_on_drop() {
        let path = std::env::temp_dir().join(format!("kornak-lock-{}", std::process::id()));
        let lock = FileLock::acquire(&path).unwrap();
        let busy = |path: &Path| {
            !Command::new("flock")
                .arg("--nonblock")
                .arg(path)
                .arg("true")
                .status()
                .unwrap()
                .success()
        };
        assert!(busy(&path));
        drop(lock);
        assert!(!busy(&path));
        fs::remove_file(path).unwrap();
    }
}
