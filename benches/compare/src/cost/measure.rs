//! Running the client under callgrind and strace, and with the counting allocator.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::{COPIED, Figures, Row, STREAM_ROWS};
use crate::Result;
use crate::client::UNSUPPORTED;
use crate::repeat::Input;

/// The programs, and the replay that answers them, on one processor.
///
/// Were they on two, the kernel would wake the client twice for an answer, when the replay has taken
/// the query and when it has written, or only once if that is late: as other processes would have
/// it, for up to 450 instructions more. On one, the replay has done both before the client runs.
#[derive(Debug)]
pub struct Bench {
    programs: PathBuf,
    folder: PathBuf,
    replay: Child,
    core: usize,
}

const PORT: &str = "5432";

impl Bench {
    /// Starts the replay on a processor. The programs lie beside this one.
    ///
    /// # Errors
    ///
    /// If it can't be started, or valgrind, strace, taskset or chrt is missing.
    pub fn start(core: usize) -> Result<Self> {
        for tool in ["valgrind", "strace", "taskset", "chrt"] {
            if !has_tool(tool) {
                return Err(format!(
                    "install {tool}: instructions and system calls are counted by it"
                )
                .into());
            }
        }
        let programs = std::env::current_exe()?
            .parent()
            .map(Path::to_path_buf)
            .ok_or("this program has no folder")?;
        let folder =
            std::env::temp_dir().join(format!("kornak-cost-{}-{core}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let replay = on_core(core, &programs.join("compare"))
            .arg("replay")
            .arg(&folder)
            .arg(PORT)
            .stdin(Stdio::null())
            .spawn()?;
        let bench = Self {
            programs,
            folder,
            replay,
            core,
        };
        let socket = bench.folder.join(format!(".s.PGSQL.{PORT}"));
        let begun = Instant::now();
        while !socket.exists() {
            if begun.elapsed() > Duration::from_secs(30) {
                return Err("the replay doesn't listen".into());
            }
            std::thread::yield_now();
        }
        Ok(bench)
    }

    /// What `driver` pays for `row`; nothing where it has no such verb.
    ///
    /// # Errors
    ///
    /// If a run fails, or a tool prints what isn't understood.
    pub fn figures(&self, driver: &str, row: &Row) -> Result<Option<Figures>> {
        let Some([allocations, bytes]) = self.allocations(driver, row)? else {
            return Ok(None);
        };
        let (short, long) = row.lengths;
        let runs = (long - short) as f64;
        let units = runs * Input::new(STREAM_ROWS, COPIED).units(row.work) as f64;
        let instructions =
            self.instructions(driver, row, long)? - self.instructions(driver, row, short)?;
        let before = self.system_calls(driver, row, short)?;
        let after = self.system_calls(driver, row, long)?;
        let mut figures = Figures {
            instructions: instructions / units,
            allocations,
            bytes,
            ..Figures::default()
        };
        for (call, count) in after {
            let more = (count - before.get(&call).copied().unwrap_or_default()) / runs;
            match call.as_str() {
                "write" | "writev" | "sendto" | "sendmsg" => figures.sends += more,
                "read" | "readv" | "recvfrom" | "recvmsg" => figures.receives += more,
                _ => figures.other_calls += more,
            }
        }
        Ok(Some(figures))
    }

    /// What a connection of Kornak and its cached statements hold.
    ///
    /// # Errors
    ///
    /// If the run fails.
    pub fn memory(&self) -> Result<[f64; 3]> {
        let mut command = Command::new(self.programs.join("counting"));
        command.arg("memory").arg(&self.folder).arg(PORT);
        numbers(&checked(&mut command)?)
    }

    fn allocations(&self, driver: &str, row: &Row) -> Result<Option<[f64; 2]>> {
        let mut command = Command::new(self.programs.join("counting"));
        command.arg("run");
        self.arguments(&mut command, driver, row, row.lengths.1);
        let output = command.output()?;
        if output.status.code() == Some(UNSUPPORTED) {
            return Ok(None);
        }
        let output = succeeded(&command, output)?;
        numbers(&output).map(Some)
    }

    fn instructions(&self, driver: &str, row: &Row, times: u64) -> Result<f64> {
        let mut command = on_core(self.core, Path::new("valgrind"));
        command.args(CALLGRIND).arg(self.programs.join("compare"));
        command.arg("client");
        self.arguments(&mut command, driver, row, times);
        collected(&mut command)
    }

    /// Counted in a batch process, which doesn't take the processor from the replay while that
    /// writes: where other processes want it too, an answer would be read in more pieces.
    fn system_calls(&self, driver: &str, row: &Row, times: u64) -> Result<BTreeMap<String, f64>> {
        let mut command = on_core(self.core, Path::new("chrt"));
        command
            .args(["--batch", "0", "strace", "-c", "-f"])
            .arg(self.programs.join("compare"))
            .arg("client");
        self.arguments(&mut command, driver, row, times);
        let output = checked(&mut command)?;
        // % time, seconds, usecs/call, calls, (errors,) syscall
        let counts = String::from_utf8_lossy(&output.stderr)
            .lines()
            .filter_map(|line| {
                let fields: Vec<&str> = line.split_whitespace().collect();
                let [_, _, _, calls, .., name] = fields.as_slice() else {
                    return None;
                };
                Some(((*name).to_owned(), calls.parse().ok()?))
            })
            .filter(|(name, _)| name != "total")
            .collect::<BTreeMap<_, _>>();
        if counts.is_empty() {
            return Err("strace counted nothing".into());
        }
        Ok(counts)
    }

    fn arguments(&self, command: &mut Command, driver: &str, row: &Row, times: u64) {
        command
            .arg(driver)
            .arg(row.work.name())
            .arg(times.to_string())
            .arg(STREAM_ROWS.to_string())
            .arg(&self.folder)
            .arg(PORT);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // What can't be ended or removed has gone already.
        let _ = self.replay.kill();
        let _ = self.replay.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A command that runs the program on one processor.
fn on_core(core: usize, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string()]).arg(program);
    command
}

/// The processors that this process may use.
pub fn cores() -> Vec<usize> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    parse_cores(list.unwrap_or("0")).unwrap_or_else(|| vec![0])
}

/// `0-2,5`.
fn parse_cores(list: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cores.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(cores)
}

/// Whether this program is installed.
pub fn has_tool(name: &str) -> bool {
    let found = Command::new(name).arg("--version").output();
    found.is_ok_and(|output| output.status.success())
}

/// The instructions of a whole process.
///
/// # Errors
///
/// If it fails, or callgrind prints what isn't understood.
pub fn callgrind(command: &Command) -> Result<f64> {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(CALLGRIND)
        .arg(command.get_program())
        .args(command.get_args());
    collected(&mut valgrind)
}

const CALLGRIND: [&str; 2] = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];

/// Keeps the C library from copying and filling by `rep movsb` and `rep stosb`, of which callgrind
/// counts every byte as an instruction, and which are chosen by addresses: a longer path of the
/// program would move the heap, and have a `Vec` that grows cost 14,000 more.
const WITHOUT_REPEATS: &str = "glibc.cpu.x86_rep_movsb_threshold=0x40000000:\
                               glibc.cpu.x86_rep_stosb_threshold=0x40000000";

/// What callgrind says that it has counted.
fn collected(valgrind: &mut Command) -> Result<f64> {
    let output = checked(valgrind.env("GLIBC_TUNABLES", WITHOUT_REPEATS))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text
        .lines()
        .find_map(|line| line.split("Collected :").nth(1));
    let count = collected.and_then(|count| count.trim().parse().ok());
    count.ok_or_else(|| format!("callgrind counted nothing:\n{text}").into())
}

fn checked(command: &mut Command) -> Result<Output> {
    let output = command.output()?;
    succeeded(command, output)
}

fn succeeded(command: &Command, output: Output) -> Result<Output> {
    if output.status.success() {
        return Ok(output);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}\n{text}", output.status).into())
}

/// The numbers of the only line.
fn numbers<const N: usize>(output: &Output) -> Result<[f64; N]> {
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    numbers
        .try_into()
        .map_err(|numbers| format!("{N} numbers were expected, not {numbers:?}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_read() {
        assert_eq!(parse_cores("\t0-2,5\n"), Some(vec![0, 1, 2, 5]));
        assert_eq!(parse_cores("3"), Some(vec![3]));
        assert_eq!(parse_cores(""), None);
        assert!(!cores().is_empty());
    }
}
