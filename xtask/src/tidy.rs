//! `cargo xtask tidy`: what the compiler and its lints can't see. The layers of
//! ARCHITECTURE.md above all.

mod layers;
mod manifests;

use std::process::ExitCode;

use xtask::{Failure, Result};

use crate::source::{SourceFile, code_of, without_tests, words};

/// Modules that hold no I/O, no clock and no lock: they run the same in a test, a fuzzer
/// and a thread of one's own.
const PURE: [&str; 6] = ["buffer", "wire", "protocol", "startup", "types", "codec"];

/// Modules beside those that know nothing of the runtime.
const WITHOUT_RUNTIME: [&str; 5] = ["error", "config", "row", "params", "statement"];

/// Modules that read what a peer sends and must find a value or an error in any of it.
const TOTAL: [&str; 5] = ["wire", "protocol", "startup", "types", "codec"];

/// Modules that may start tasks.
const SPAWNING: [&str; 3] = ["pool", "replication", "blocking"];

/// What pure modules must not name.
const IMPURE_WORDS: [&str; 17] = [
    "async",
    "await",
    "tokio",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "ToSocketAddrs",
    "Instant",
    "Mutex",
    "RwLock",
    "Condvar",
    "thread",
    "sleep",
    "File",
    "fs",
];

/// Marks of unfinished work, put together here so that this file holds none.
const UNFINISHED: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];

/// The most lines of a file, and from how many on a warning asks to split it.
const MOST_LINES: usize = 1_000;
const MANY_LINES: usize = 700;

/// One thing that is wrong.
pub(crate) struct Finding {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl Finding {
    pub(crate) fn new(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            text: text.into(),
        }
    }
}

/// Runs the check; it fails where anything was found.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    if !arguments.is_empty() {
        return Err(Failure::new("tidy takes no arguments"));
    }
    let files = SourceFile::all()?;
    let mut findings = layers::check(&files);
    findings.extend(manifests::check(&files));
    for file in &files {
        findings.extend(check_file(file));
    }
    for finding in &findings {
        println!("{}:{}: {}", finding.path, finding.line, finding.text);
    }
    for file in files.iter().filter(|file| file.is_rust()) {
        let lines = file.text.lines().count();
        if (MANY_LINES + 1..=MOST_LINES).contains(&lines) {
            println!(
                "{}: warning: {lines} lines, think of splitting it",
                file.path
            );
        }
    }
    if findings.is_empty() {
        println!("tidy: {} files are in order", files.len());
        Ok(ExitCode::SUCCESS)
    } else {
        Err(Failure::new(format!(
            "tidy found {} faults",
            findings.len()
        )))
    }
}

fn check_file(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_source = [".rs", ".md", ".toml", ".sh", ".yml"]
        .iter()
        .any(|end| file.path.ends_with(end))
        || file.path.starts_with(".ci/");
    if is_source {
        for (line, word) in words(&file.text) {
            if UNFINISHED.contains(&word) {
                findings.push(Finding::new(
                    &file.path,
                    line,
                    format!("{word}: finish it, or open an issue"),
                ));
            }
        }
    }
    if file.is_rust() {
        findings.extend(check_rust(file));
    }
    findings
}

fn check_rust(file: &SourceFile) -> Vec<Finding> {
    let path = &file.path;
    let mut findings = Vec::new();
    let lines = file.text.lines().count();
    if lines > MOST_LINES {
        findings.push(Finding::new(
            path,
            lines,
            format!("{lines} lines; {MOST_LINES} are the most"),
        ));
    }
    let code = code_of(&file.text);
    for (line, word) in words(&code) {
        if word == "unsafe" {
            findings.push(Finding::new(path, line, "unsafe code"));
        }
    }
    for (index, line) in code.lines().enumerate() {
        for (macro_name, why) in [
            (concat!("todo", "!"), "finish it"),
            (concat!("unimplemented", "!"), "finish it"),
            (concat!("dbg", "!"), "left over from debugging"),
            (
                concat!("#[ig", "nore"),
                "a test that doesn't run proves nothing",
            ),
        ] {
            if line.contains(macro_name) {
                let text = format!("`{macro_name}`: {why}");
                findings.push(Finding::new(path, index + 1, text));
            }
        }
    }
    findings.extend(check_age(path, &code));
    findings.extend(check_purity(path, &code));
    findings
}

/// What the `rust-version` of the manifest doesn't compile, and neither compiler nor lint says: a
/// newer compiler takes it, and the lint knows of functions alone.
fn check_age(path: &str, code: &str) -> Vec<Finding> {
    let lines = code.lines().enumerate();
    let findings = lines.filter_map(|(index, line)| {
        let text = if line.contains("&& let ") {
            "a chain of `let`, which Rust has from 1.88 on"
        } else if line.contains("let ") && line.contains("= format_args!") {
            "arguments that outlive their statement, which Rust has from 1.89 on"
        } else {
            return None;
        };
        Some(Finding::new(path, index + 1, text))
    });
    findings.collect()
}

/// Invariant 1 of the design, for what is not test code.
fn check_purity(path: &str, code: &str) -> Vec<Finding> {
    let Some(module) = layers::module_of(path) else {
        return Vec::new();
    };
    if path.contains("/tests/") || path.ends_with("/tests.rs") {
        return Vec::new();
    }
    let banned: &[&str] = if PURE.contains(&module) {
        &IMPURE_WORDS
    } else if WITHOUT_RUNTIME.contains(&module) {
        &["tokio", "async", "await"]
    } else {
        &[]
    };
    let code = without_tests(code);
    let mut findings: Vec<Finding> = words(&code)
        .filter(|(_, word)| banned.contains(word))
        .map(|(line, word)| {
            Finding::new(
                path,
                line,
                format!("`{word}` in `{module}`, which must not know it"),
            )
        })
        .collect();
    for (index, line) in code.lines().enumerate() {
        let mut report = |text: &str| findings.push(Finding::new(path, index + 1, text));
        if PURE.contains(&module) && line.contains("::now()") {
            report("a clock, in a module that must not know the time");
        }
        // `expect` stays: its text says why it can't fail.
        if TOTAL.contains(&module) {
            for call in [".unwrap()", "panic!", "unreachable!"] {
                if line.contains(call) {
                    report(&format!(
                        "`{call}`, in a module where any bytes give an error"
                    ));
                }
            }
        }
        if line.contains("std::time") && words(line).any(|(_, word)| word == "Instant") {
            report("std's clock: tests can't stop it as they can tokio's");
        }
        if !SPAWNING.contains(&module) && words(line).any(|(_, word)| word == "spawn") {
            report("a task: only the pool spawns, on the runtime that it was built on");
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn found(path: &str, text: &str) -> Vec<String> {
        let file = SourceFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        check_file(&file)
            .into_iter()
            .map(|finding| format!("{}: {}", finding.line, finding.text))
            .collect()
    }

    #[test]
    fn pure_modules_have_no_io() {
        for text in [
            "async fn f() {}",
            "use tokio::time;",
            "use std::net::TcpStream;",
            "fn f() { Instant::now(); }",
            "static A: Mutex<u8> = Mutex::new(0);",
            "fn f() { SystemTime::now(); }",
        ] {
            assert!(!found("core/src/wire/mod.rs", text).is_empty(), "{text}");
            assert!(
                found("client/src/connection/mod.rs", text).is_empty(),
                "{text}"
            );
            let in_test = format!("#[cfg(test)]\nmod tests {{ {text} }}");
            assert!(found("core/src/wire/mod.rs", &in_test).is_empty(), "{text}");
        }
        assert!(
            found(
                "core/src/wire/mod.rs",
                "// tokio\nfn f() -> &str { \"async\" }"
            )
            .is_empty()
        );
        assert!(!found("core/src/statement/cache.rs", "use tokio::time;").is_empty());
        assert!(found("core/src/statement/cache.rs", "use std::sync::Mutex;").is_empty());
    }

    #[test]
    fn decoders_do_not_give_up_and_only_the_pool_spawns() {
        for (text, good, bad) in [
            (
                "fn f() { a.unwrap() }",
                "client/src/connection/a.rs",
                "core/src/codec/a.rs",
            ),
            (
                "fn f() { panic!(\"a\") }",
                "core/src/buffer/a.rs",
                "core/src/wire/a.rs",
            ),
            (
                "use std::time::{Duration, Instant};",
                "tests/a.rs",
                "client/src/connection/a.rs",
            ),
            (
                "fn f() { tokio::spawn(g()); }",
                "client/src/pool/a.rs",
                "client/src/connection/a.rs",
            ),
        ] {
            assert!(found(good, text).is_empty(), "{text}");
            assert_eq!(found(bad, text).len(), 1, "{text}");
            let in_test = format!("#[cfg(test)]\nmod tests {{ {text} }}");
            assert!(found(bad, &in_test).is_empty(), "{text}");
        }
        let patient = "fn f() { a.expect(\"never fails\") }";
        assert!(found("core/src/codec/a.rs", patient).is_empty());
    }

    #[test]
    fn what_an_older_compiler_refuses_is_found() {
        for text in [
            "fn f() { if a && let Some(b) = c {} }",
            "fn f() {\n    let a = format_args!(\"{b}\");\n}",
        ] {
            assert_eq!(found("src/lib.rs", text).len(), 1, "{text}");
        }
        assert!(found("src/lib.rs", "fn f() { g(format_args!(\"{b}\")) }").is_empty());
    }

    #[test]
    fn unfinished_unsafe_and_long_files_are_found() {
        assert_eq!(
            found("README.md", &format!("a\n{}: b", UNFINISHED[0])).len(),
            1
        );
        assert_eq!(found("src/lib.rs", "fn f() { unsafe { g() } }").len(), 1);
        assert_eq!(found("src/lib.rs", "#![forbid(unsafe_code)]").len(), 0);
        assert_eq!(found("src/lib.rs", "// unsafe").len(), 0);
        let ignored = format!("#[test]\n{}]\nfn f() {{}}", concat!("#[ig", "nore"));
        assert_eq!(found("tests/a.rs", &ignored).len(), 1);
        assert_eq!(found("src/lib.rs", &"\n".repeat(1_000)).len(), 0);
        assert_eq!(found("src/lib.rs", &"\n".repeat(1_001)).len(), 1);
    }
}
