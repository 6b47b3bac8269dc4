//! `cargo xtask ledger`: `tests/LEDGER.md` says which scenario is shown by which tests, and
//! this keeps it true.
//!
//! A test that shows a scenario carries its id: the function `s24_…`, or the file
//! `tests/dialogues/r17_….txt`. The ledger has a line that begins with `Promised:` and
//! names the ids that must have a test, and a table of all tests that carry an id, which
//! `--write` makes.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::process::ExitCode;

use xtask::{Context, Failure, Result, project_root};

use crate::source::{SourceFile, code_of, line_at};

const LEDGER: &str = "tests/LEDGER.md";
const PROMISE: &str = "Promised:";
const TABLE: &str = "| id | test | where |\n| --- | --- | --- |\n";

/// Folders whose files are tests, by their names.
const CASES: [&str; 2] = ["tests/dialogues/", "derive/tests/ui/"];

/// The id of a scenario: `S24`, `R8`, `D1`. In the order of scenarios, not of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    group: Group,
    number: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Security,
    Robustness,
    Dialogue,
}

/// A test that carries an id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Test {
    pub(crate) id: Id,
    pub(crate) path: String,
    pub(crate) name: String,
}

impl Id {
    /// Reads `S24` or `s24`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut chars = text.chars();
        let group = match chars.next()?.to_ascii_uppercase() {
            'S' => Group::Security,
            'R' => Group::Robustness,
            'D' => Group::Dialogue,
            _ => return None,
        };
        let digits = chars.as_str();
        let canonical =
            digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
        Some(Self {
            group,
            number: canonical.then(|| digits.parse().ok())??,
        })
    }

    /// The id that a name begins with, as `s24_lengths…`.
    fn of_name(name: &str) -> Option<Self> {
        let (id, _) = name.split_once('_')?;
        (id == id.to_ascii_lowercase()).then(|| Self::parse(id))?
    }

    /// What the names of its tests begin with.
    pub(crate) fn prefix(self) -> String {
        format!("{}_", self.to_string().to_lowercase())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = match self.group {
            Group::Security => 'S',
            Group::Robustness => 'R',
            Group::Dialogue => 'D',
        };
        write!(f, "{group}{}", self.number)
    }
}

/// Checks the ledger, or writes its table.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let write = match arguments {
        [] => false,
        [flag] if flag == "--write" => true,
        _ => return Err(Failure::new("ledger knows only --write")),
    };
    let path = project_root().join(LEDGER);
    let ledger = fs::read_to_string(&path).context(format_args!("reading {LEDGER}"))?;
    let (tests, mut faults) = find_tests(&SourceFile::all()?);
    let wanted = with_table(&ledger, &tests)?;
    if write {
        fs::write(&path, &wanted).context(format_args!("writing {LEDGER}"))?;
    } else if wanted != ledger {
        faults.push(format!(
            "{LEDGER} is not what the tests' names say: run `cargo xtask ledger --write`\n{}",
            difference(&ledger, &wanted)
        ));
    }
    let promised = promised(&ledger)?;
    let covered: BTreeSet<Id> = tests.iter().map(|test| test.id).collect();
    for id in promised.difference(&covered) {
        faults.push(format!("{id} is promised, and no test has its name"));
    }
    if !faults.is_empty() {
        return Err(Failure::new(faults.join("\n")));
    }
    println!(
        "ledger: {} scenarios, {} of them promised, are shown by {} tests",
        covered.len(),
        promised.len(),
        tests.len()
    );
    Ok(ExitCode::SUCCESS)
}

/// The tests that carry an id, and what is wrong with some of them.
pub(crate) fn find_tests(files: &[SourceFile]) -> (Vec<Test>, Vec<String>) {
    let mut tests = Vec::new();
    let mut faults = Vec::new();
    for file in files {
        if file.is_rust() {
            let code = code_of(&file.text);
            for (at, mark) in code.match_indices("fn ") {
                let rest = &code[at + mark.len()..];
                let end = rest
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(rest.len());
                let name = &rest[..end];
                let Some(id) = Id::of_name(name) else {
                    continue;
                };
                if !is_marked_as_test(&code[..at]) {
                    faults.push(format!(
                        "{}:{}: `{name}` is named like a test and is none",
                        file.path,
                        line_at(&code, at)
                    ));
                }
                tests.push(Test {
                    id,
                    path: file.path.clone(),
                    name: name.to_owned(),
                });
            }
        }
        if let Some(case) = CASES.iter().find_map(|dir| file.path.strip_prefix(dir)) {
            let stem = case.split('.').next().unwrap_or(case);
            if let Some(id) = Id::of_name(stem) {
                tests.push(Test {
                    id,
                    path: file.path.clone(),
                    name: stem.to_owned(),
                });
            }
        }
    }
    tests.sort();
    // A compile test and its expected output are one case.
    tests.dedup_by(|a, b| a.id == b.id && a.name == b.name && stem(&a.path) == stem(&b.path));
    (tests, faults)
}

/// Whether the attributes just before a function, at the end of `before`, make it a test.
fn is_marked_as_test(before: &str) -> bool {
    let start = before.rfind([';', '}', '{']).map_or(0, |at| at + 1);
    let attributes = &before[start..];
    attributes.split("#[").skip(1).any(|attribute| {
        let path = attribute.split(['(', ']']).next().unwrap_or_default();
        path.trim().rsplit("::").next() == Some("test")
    })
}

fn stem(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(stem, _)| stem)
}

/// The ids of the line `Promised: …`, with ranges such as `S1–S3`.
fn promised(ledger: &str) -> Result<BTreeSet<Id>> {
    let line = ledger
        .lines()
        .find_map(|line| line.strip_prefix(PROMISE))
        .ok_or_else(|| Failure::new(format!("{LEDGER} has no line `{PROMISE} …`")))?;
    let mut ids = BTreeSet::new();
    for item in line.trim().trim_end_matches('.').split(',') {
        let item = item.trim();
        let unknown = || Failure::new(format!("{LEDGER} promises {item:?}, which is no id"));
        let (first, last) = item.split_once('–').unwrap_or((item, item));
        let first = Id::parse(first).ok_or_else(unknown)?;
        let last = Id::parse(last).ok_or_else(unknown)?;
        if first.group != last.group || first.number > last.number {
            return Err(unknown());
        }
        for number in first.number..=last.number {
            ids.insert(Id { number, ..first });
        }
    }
    Ok(ids)
}

/// The ledger with its table replaced by one of `tests`.
fn with_table(ledger: &str, tests: &[Test]) -> Result<String> {
    let (before, rest) = ledger
        .split_once(TABLE)
        .ok_or_else(|| Failure::new(format!("{LEDGER} has no table | id | test | where |")))?;
    let after: String = rest
        .lines()
        .skip_while(|line| line.starts_with('|'))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut text = format!("{before}{TABLE}");
    for test in tests {
        text += &format!("| {} | `{}` | `{}` |\n", test.id, test.name, test.path);
    }
    Ok(text + &after)
}

/// The lines that only one of two texts has.
fn difference(old: &str, new: &str) -> String {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (old, new) = (lines(old), lines(new));
    let gone = old.difference(&new).map(|line| format!("- {line}"));
    let come = new.difference(&old).map(|line| format!("+ {line}"));
    gone.chain(come).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rust(path: &str, text: &str) -> SourceFile {
        SourceFile {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn ids_are_read_from_names() {
        for (name, id) in [
            ("s24_lengths", Some("S24")),
            ("r8_x", Some("R8")),
            ("d1_x", Some("D1")),
            ("S24_x", None),
            ("s24", None),
            ("s_x", None),
            ("s024_x", None),
            ("x24_x", None),
            ("s2x_x", None),
        ] {
            assert_eq!(
                Id::of_name(name).map(|id| id.to_string()).as_deref(),
                id,
                "{name}"
            );
        }
    }

    #[test]
    fn tests_are_found_with_and_without_runtime() {
        let (tests, faults) = find_tests(&[
            rust(
                "tests/a.rs",
                "#[test]\nfn r8_a() {}\n#[tokio::test(flavor = \"x\")]\nasync fn s1_b() {}\n\
                 #[test]\n#[should_panic]\nfn other() {}\nfn helper() {}\n// fn s2_c() {}\n",
            ),
            rust("tests/dialogues/r17_lost.txt", ""),
            rust("derive/tests/ui/s3_sql.rs", "fn main() {}"),
            rust("derive/tests/ui/s3_sql.stderr", ""),
        ]);
        let names: Vec<String> = tests
            .iter()
            .map(|test| format!("{} {}", test.id, test.name))
            .collect();
        assert_eq!(names, ["S1 s1_b", "S3 s3_sql", "R8 r8_a", "R17 r17_lost"]);
        assert!(faults.is_empty(), "{faults:?}");
    }

    #[test]
    fn a_function_that_only_looks_like_a_test_is_a_fault() {
        for text in [
            "fn s1_a() {}",
            "#[test]\nfn other() {}\nfn s1_a() {}",
            "#[cfg(test)]\nfn s1_a() {}",
        ] {
            assert_eq!(find_tests(&[rust("a.rs", text)]).1.len(), 1, "{text}");
        }
    }

    #[test]
    fn promises_are_lists_with_ranges() {
        let ids = |line: &str| {
            promised(&format!("# Ledger\n\n{PROMISE} {line}\n"))
                .map(|ids| ids.iter().map(Id::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(ids("S1–S3, R8, D1.").unwrap(), "S1 S2 S3 R8 D1");
        for wrong in ["S1-S3", "S3–S1", "S1–R3", "Q1", ""] {
            assert!(ids(wrong).is_err(), "{wrong}");
        }
        assert!(promised("nothing").is_err());
    }

    #[test]
    fn the_table_is_replaced_and_the_prose_kept() {
        let test = Test {
            id: Id::parse("S1").unwrap(),
            path: "tests/a.rs".to_owned(),
            name: "s1_a".to_owned(),
        };
        let old = format!("# Head\n\n{TABLE}| S9 | `gone` | `b.rs` |\n\nTail.\n");
        let new = with_table(&old, &[test]).unwrap();
        assert_eq!(
            new,
            format!("# Head\n\n{TABLE}| S1 | `s1_a` | `tests/a.rs` |\n\nTail.\n")
        );
        assert!(difference(&old, &new).contains("- | S9 "));
        assert!(with_table("no table", &[]).is_err());
    }
}
