//! System calls of a test, counted by `strace`.
//!
//! The test runs a second time, alone, in a traced process of its own:
//!
//! ```text
//! #[test]
//! fn one_send_and_one_receive() {
//!     let Some(trace) = syscalls::traced("one_send_and_one_receive", || {
//!         … warm up …
//!         syscalls::mark("begin");
//!         … what is counted …
//!         syscalls::mark("end");
//!     }) else {
//!         return;
//!     };
//!     let calls = trace.between("begin", "end");
//!     assert_eq!((calls.sends(), calls.receives()), (1, 1), "{calls}");
//! }
//! ```

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::{env, fmt, fs};

use super::temporary::TemporaryDirectory;

/// What the traced process did.
#[derive(Clone, Debug)]
pub struct Trace {
    calls: Vec<SystemCall>,
}

/// A part of a [`Trace`], of one thread.
#[derive(Clone, Debug)]
pub struct Calls(Vec<SystemCall>);

/// One system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemCall {
    /// The thread that made it.
    pub thread: u32,
    /// Its name.
    pub name: String,
    /// Its arguments and its result, as strace writes them.
    pub text: String,
}

/// Runs `work` in a traced process: in the test's own process this starts it and returns the
/// trace; in the traced one it does the work and returns nothing.
///
/// `test` is the whole name of the test that calls this, modules included.
///
/// # Panics
///
/// If strace is missing, or if the test fails in the traced process.
pub fn traced(test: &str, work: impl FnOnce()) -> Option<Trace> {
    if is_traced() {
        work();
        return None;
    }
    let directory = TemporaryDirectory::new();
    let log = directory.path().join("trace");
    let output = Command::new("strace")
        // All threads, what file descriptors are, no signals, no lines of its own.
        .args(["-f", "-y", "-qq", "-e", "signal=none", "-o"])
        .arg(&log)
        .arg(env::current_exe().expect("a test knows its binary"))
        .args([test, "--exact", "--test-threads=1", "--nocapture"])
        .env(TRACED, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("install strace: {error}"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{test} in the traced process:\n{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let log = fs::read_to_string(&log).expect("strace wrote its log");
    Some(Trace::parse(&log))
}

/// Whether this is the traced process.
pub fn is_traced() -> bool {
    env::var_os(TRACED).is_some()
}

/// Sets a mark in the trace, for [`Trace::between`].
pub fn mark(name: &str) {
    // The file isn't there; that it is asked for is what shows.
    let _ = fs::metadata(format!("{MARK}{name}"));
}

impl Trace {
    /// The calls of the thread that set both marks, after the first and before the second.
    ///
    /// # Panics
    ///
    /// If a mark was not set just once, or not by the same thread.
    pub fn between(&self, begin: &str, end: &str) -> Calls {
        let [begin, end] = [begin, end].map(|name| {
            let mark = format!("\"{MARK}{name}\"");
            let mut marks = self
                .calls
                .iter()
                .enumerate()
                .filter(|(_, call)| call.text.contains(&mark));
            let (position, call) = marks
                .next()
                .unwrap_or_else(|| panic!("the mark {name} was not set"));
            assert!(marks.next().is_none(), "the mark {name} was set twice");
            (position, call.thread)
        });
        assert_eq!(begin.1, end.1, "the marks are of one thread");
        let part = self.calls.get(begin.0 + 1..end.0);
        let part = part.expect("the first mark comes first").iter();
        Calls(
            part.filter(|call| call.thread == begin.1)
                .cloned()
                .collect(),
        )
    }

    fn parse(log: &str) -> Self {
        let mut calls: Vec<SystemCall> = Vec::new();
        // Of each thread, the call that it has not come back from.
        let mut unfinished: HashMap<u32, usize> = HashMap::new();
        for line in log.lines() {
            let Some((thread, text)) = line.split_once(' ') else {
                continue;
            };
            let Ok(thread) = thread.parse() else {
                continue;
            };
            let text = text.trim_start();
            if let Some(resumed) = text.strip_prefix("<... ") {
                if let Some(position) = unfinished.remove(&thread) {
                    let (_, rest) = resumed.split_once("resumed>").unwrap_or(("", resumed));
                    calls[position].text.push_str(rest);
                }
                continue;
            }
            let Some((name, _)) = text.split_once('(') else {
                continue;
            };
            let begun = text.strip_suffix(" <unfinished ...>");
            if begun.is_some() {
                unfinished.insert(thread, calls.len());
            }
            calls.push(SystemCall {
                thread,
                name: name.to_owned(),
                text: begun.unwrap_or(text).to_owned(),
            });
        }
        Self { calls }
    }
}

impl Calls {
    /// Every call.
    pub fn all(&self) -> &[SystemCall] {
        &self.0
    }

    /// How many calls write to a socket, those that did not succeed included.
    pub fn sends(&self) -> usize {
        self.on_sockets(&["sendto", "sendmsg", "sendmmsg", "write", "writev"])
    }

    /// How many calls read from a socket, those that found nothing included.
    pub fn receives(&self) -> usize {
        self.on_sockets(&["recvfrom", "recvmsg", "recvmmsg", "read", "readv"])
    }

    /// How many calls wait for events.
    pub fn waits(&self) -> usize {
        let names = ["epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll"];
        self.count(|call| names.contains(&&*call.name))
    }

    /// How many calls are so.
    pub fn count(&self, fits: impl Fn(&SystemCall) -> bool) -> usize {
        self.0.iter().filter(|call| fits(call)).count()
    }

    fn on_sockets(&self, names: &[&str]) -> usize {
        self.count(|call| names.contains(&&*call.name) && call.is_on_socket())
    }
}

impl SystemCall {
    /// Whether its first argument is a socket.
    fn is_on_socket(&self) -> bool {
        let arguments = self.text.split_once('(').map_or("", |(_, rest)| rest);
        let first = arguments.split(',').next().unwrap_or_default();
        // With -y a descriptor is followed by what it is: 5<socket:[123]>, 5<UNIX-STREAM:…>.
        ["<socket:", "<TCP", "<UNIX"]
            .iter()
            .any(|kind| first.contains(kind))
    }
}

/// The calls, a line each.
impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|call| writeln!(f, "{}", call.text))
    }
}

/// Set in the traced process.
const TRACED: &str = "KORNAK_TEST_TRACED";

/// How the paths of marks begin.
const MARK: &str = "/kornak-test-mark/";
