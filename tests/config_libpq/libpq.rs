//! The libpq of this machine, asked through `helper.py`: Python's ctypes needs neither a
//! compiler nor libpq's headers.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use xtask::server::Server;

/// What libpq is asked.
pub(crate) enum Request {
    /// `PQconninfoParse`.
    Parse(String),
    /// `PQconnectdb` with these environment variables and no others.
    Connect(Vec<(String, String)>, String),
}

/// What libpq makes of one request.
pub(crate) struct Answer {
    pub(crate) accepts: bool,
    pub(crate) message: String,
    /// The options that have a value.
    pub(crate) options: BTreeMap<String, Vec<u8>>,
    /// The password for the last host, of a connection only.
    pub(crate) password: Vec<u8>,
}

/// What libpq is, and its answers in the order of the requests.
pub(crate) struct Answers {
    /// 150004 is 15.4.
    pub(crate) version: u32,
    /// Each option's environment variable, or an empty string.
    pub(crate) keywords: BTreeMap<String, String>,
    pub(crate) answers: Vec<Answer>,
}

/// Asks libpq, all of one kind. `None`, and a loud notice, where the machine has none.
///
/// # Panics
///
/// Where the machine has libpq, but it can't be asked: then nothing is skipped.
pub(crate) fn ask(requests: &[Request]) -> Option<Answers> {
    for library in candidates() {
        if let Some(answers) = ask_library(&library, requests) {
            return Some(answers);
        }
    }
    // Past the test harness, which hides what `eprintln!` writes.
    let notice = "\n*** NOT COMPARED WITH LIBPQ: this machine has no libpq.so.5. Install libpq5, \
                  or name the library in KORNAK_LIBPQ. ***\n";
    std::io::stderr()
        .write_all(notice.as_bytes())
        .expect("standard error is open");
    None
}

/// The one that came with the server of the tests, the name that the loader knows, then the
/// places where it may not look.
fn candidates() -> Vec<PathBuf> {
    let named = std::env::var_os("KORNAK_LIBPQ").filter(|path| !path.is_empty());
    if let Some(path) = named {
        return vec![path.into()];
    }
    let programs = Server::cluster_for_tests().bin_dir();
    let beside = programs.join("../lib/libpq.so.5");
    let mut candidates: Vec<_> = Some(beside)
        .into_iter()
        .filter(|path| path.exists())
        .collect();
    candidates.extend([
        PathBuf::from("libpq.so.5"),
        PathBuf::from("libpq.5.dylib"),
        PathBuf::from("/usr/lib64/libpq.so.5"),
        PathBuf::from("/usr/local/lib/libpq.so.5"),
        PathBuf::from("/opt/homebrew/opt/libpq/lib/libpq.5.dylib"),
    ]);
    let directories = std::fs::read_dir("/usr/lib").into_iter().flatten();
    let below = directories
        .flatten()
        .map(|entry| entry.path().join("libpq.so.5"));
    candidates.extend(below.filter(|path| path.exists()));
    candidates
}

/// `None` where the library can't be loaded.
fn ask_library(library: &PathBuf, requests: &[Request]) -> Option<Answers> {
    let mode = match requests[0] {
        Request::Parse(_) => "parse",
        Request::Connect(..) => "connect",
    };
    let mut child = Command::new("python3")
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/config_libpq/helper.py"
        ))
        .arg(library)
        .arg(mode)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed to ask libpq");
    let mut input = child.stdin.take().expect("it is piped");
    let mut output = Vec::new();
    std::thread::scope(|scope| {
        // Where the library is missing the helper is gone before it has read anything.
        scope.spawn(move || input.write_all(&encode(requests)).ok());
        let mut stdout = child.stdout.take().expect("it is piped");
        stdout.read_to_end(&mut output).expect("the helper answers");
    });
    let status = child.wait().expect("the helper ends");
    if status.code() == Some(NO_LIBRARY) {
        return None;
    }
    assert!(status.success(), "the helper failed: {status}");
    let mut reader = Reader(&output);
    let version = reader.number();
    let keywords = (0..reader.number())
        .map(|_| (reader.text(), reader.text()))
        .collect();
    let answers: Vec<_> = requests
        .iter()
        .map(|request| reader.answer(request))
        .collect();
    assert!(reader.0.is_empty(), "the helper answers what was asked");
    Some(Answers {
        version,
        keywords,
        answers,
    })
}

fn encode(requests: &[Request]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let number = |bytes: &mut Vec<u8>, number: usize| {
        let number = u32::try_from(number).expect("requests are small");
        bytes.extend(number.to_le_bytes());
    };
    let string = |bytes: &mut Vec<u8>, text: &str| {
        number(bytes, text.len());
        bytes.extend(text.as_bytes());
    };
    for request in requests {
        match request {
            Request::Parse(text) => string(&mut bytes, text),
            Request::Connect(variables, text) => {
                number(&mut bytes, variables.len());
                for (name, value) in variables {
                    string(&mut bytes, name);
                    string(&mut bytes, value);
                }
                string(&mut bytes, text);
            }
        }
    }
    bytes
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn number(&mut self) -> u32 {
        let (number, rest) = self.0.split_first_chunk().expect("an answer is whole");
        self.0 = rest;
        u32::from_le_bytes(*number)
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.number() as usize;
        let (bytes, rest) = self.0.split_at_checked(length).expect("an answer is whole");
        self.0 = rest;
        bytes.to_vec()
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    fn answer(&mut self, request: &Request) -> Answer {
        Answer {
            accepts: self.number() == 1,
            message: self.text(),
            options: (0..self.number())
                .map(|_| (self.text(), self.bytes()))
                .collect(),
            password: match request {
                Request::Parse(_) => Vec::new(),
                Request::Connect(..) => self.bytes(),
            },
        }
    }
}

/// The helper's exit status where the library can't be loaded.
const NO_LIBRARY: i32 = 77;
