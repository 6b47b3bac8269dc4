//! `cargo xtask bite`: shows that the tests notice what they are there for.
//!
//! Each `tests/mutants/<id>.patch` breaks the mechanism that a scenario guards. In a copy of
//! the project the tests of the id must pass without it and fail with it. The copy and its
//! build stay under `target/bite`, so that each mutant costs one incremental build.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use xtask::process::{run as run_command, signal_group, wait_until};
use xtask::server::Server;
use xtask::{Context, Failure, Result, project_root, target_dir};

use crate::ledger::{Id, Test, find_tests};
use crate::source::{SourceFile, project_files};

const MUTANTS: &str = "tests/mutants";

/// The mutants that every run of the tests includes, and where those of their tests are that have to
/// notice it: few binaries, because it is building them that takes time. The rest is for whoever
/// touches their mechanisms, and for a release.
const CI: [(&str, &str); 6] = [
    ("S1", "src/"),
    ("S11", "src/"),
    ("S23", "src/"),
    ("S35", "src/"),
    ("R1", "tests/live_cancel.rs"),
    ("R3", "tests/live_cancel.rs"),
];

/// How long the tests of one id may take. A test that hangs with its mutant does not fail:
/// it lacks a deadline.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs all mutants, those of `--ci`, or those of `--only <id>`.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let mut only = None;
    let mut is_slice = false;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut add = |text: &str| -> Result<()> {
            let id = Id::parse(text)
                .ok_or_else(|| Failure::new(format!("{text:?} is no id of a scenario")))?;
            only.get_or_insert_with(BTreeSet::new).insert(id);
            Ok(())
        };
        match argument.as_str() {
            "--only" => add(rest.next().map(String::as_str).unwrap_or_default())?,
            "--ci" => {
                CI.iter().try_for_each(|(id, _)| add(id))?;
                is_slice = true;
            }
            other => return Err(Failure::new(format!("bite does not know `{other}`"))),
        }
    }
    // A mutant of the CI's list may not be there yet; one that is asked for must be.
    let mut mutants = mutants()?;
    if let Some(only) = &only {
        if let Some(missing) = only.iter().find(|id| !mutants.contains_key(id)) {
            if arguments.iter().any(|argument| argument == "--only") {
                return Err(Failure::new(format!(
                    "there is no {MUTANTS}/{missing}.patch"
                )));
            }
        }
        mutants.retain(|id, _| only.contains(id));
    }
    let failed = check(&mutants, is_slice)?;
    println!("bite: {} passed, {failed} failed", mutants.len() - failed);
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs the mutants and says how many the tests let live, or could not be tried.
fn check(mutants: &BTreeMap<Id, PathBuf>, is_slice: bool) -> Result<usize> {
    let (mut tests, _) = find_tests(&SourceFile::all()?);
    if is_slice {
        tests.retain(is_in_slice);
    }
    let copy = Copy::make()?;
    // Held for as long as this runs, so that not every test starts a server anew.
    let server = Server::for_tests();
    if server.is_cluster() {
        println!("with PostgreSQL {}", server.major().unwrap_or_default());
    }
    let mut failed = 0;
    // The whole build first: what is wrong with it is not the mutants' fault.
    copy.restore()?;
    let every: Vec<&Test> = tests
        .iter()
        .filter(|test| mutants.contains_key(&test.id))
        .collect();
    copy.build(&every)?;
    for id in mutants.keys() {
        let own = of_id(&tests, *id);
        if let Err(failure) = copy.expect_pass(*id, &own) {
            failed += 1;
            println!("failed {id}: without the patch: {failure}");
        }
    }
    if failed > 0 {
        return Ok(failed);
    }
    for (id, patch) in mutants {
        let started = Instant::now();
        let result = copy
            .restore()
            .and_then(|()| copy.apply(patch))
            .and_then(|()| copy.expect_failure(*id, &of_id(&tests, *id)));
        let seconds = started.elapsed().as_secs_f32();
        match result {
            Ok(noticed) => println!("ok     {id} ({seconds:.1} s): {noticed}"),
            Err(failure) => {
                failed += 1;
                println!("failed {id} ({seconds:.1} s): {failure}");
            }
        }
    }
    copy.restore()?;
    Ok(failed)
}

/// The patches by their ids.
fn mutants() -> Result<BTreeMap<Id, PathBuf>> {
    let dir = project_root().join(MUTANTS);
    let mut mutants = BTreeMap::new();
    for entry in fs::read_dir(&dir).context(format_args!("reading {MUTANTS}"))? {
        let path = entry.context(format_args!("reading {MUTANTS}"))?.path();
        if path
            .extension()
            .is_none_or(|extension| extension != "patch")
        {
            continue;
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let id = Id::parse(&stem)
            .ok_or_else(|| Failure::new(format!("{MUTANTS}/{stem}.patch has no scenario's id")))?;
        mutants.insert(id, path);
    }
    if mutants.is_empty() {
        return Err(Failure::new(format!("{MUTANTS} holds no patch")));
    }
    Ok(mutants)
}

/// Whether it is one of those tests that `--ci` leaves the noticing to.
fn is_in_slice(test: &Test) -> bool {
    CI.iter()
        .any(|(id, place)| Id::parse(id) == Some(test.id) && test.path.contains(place))
}

fn of_id(tests: &[Test], id: Id) -> Vec<&Test> {
    tests.iter().filter(|test| test.id == id).collect()
}

/// The copy of the project that is mutated.
struct Copy {
    tree: PathBuf,
    build: PathBuf,
}

impl Copy {
    fn make() -> Result<Self> {
        let dir = target_dir().join("bite");
        let this = Self {
            tree: dir.join("tree"),
            build: dir.join("build"),
        };
        fs::create_dir_all(&this.tree).context(format_args!("creating {}", this.tree.display()))?;
        Ok(this)
    }

    /// Makes the copy like the project. Files that are so already keep their times, so that
    /// only what a mutant touched is built anew.
    fn restore(&self) -> Result<()> {
        let root = project_root();
        let wanted: BTreeSet<String> = project_files(&root)?.into_iter().collect();
        for path in files_in(&self.tree)? {
            if !wanted.contains(&path) {
                fs::remove_file(self.tree.join(&path)).context(format_args!("removing {path}"))?;
            }
        }
        for path in &wanted {
            let (from, to) = (root.join(path), self.tree.join(path));
            let bytes = fs::read(&from).context(format_args!("reading {path}"))?;
            if fs::read(&to).is_ok_and(|had| had == bytes) {
                continue;
            }
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent).context(format_args!("creating a folder for {path}"))?;
            }
            fs::write(&to, bytes).context(format_args!("copying {path}"))?;
        }
        Ok(())
    }

    fn apply(&self, patch: &Path) -> Result<()> {
        run_command(
            Command::new("git")
                .current_dir(&self.tree)
                // The copy lies within the project's own repository, to which the paths
                // would be taken to belong.
                .env("GIT_CEILING_DIRECTORIES", target_dir())
                .args(["apply", "--whitespace=nowarn"])
                .arg(patch),
        )
        .map(drop)
        .context("the patch does not apply")
    }

    fn build(&self, tests: &[&Test]) -> Result<()> {
        let mut command = self.cargo(tests);
        command.arg("--no-run");
        let output = command.output().context("running cargo")?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr);
        Err(Failure::new(format!("it does not build:\n{text}")))
    }

    fn expect_pass(&self, id: Id, tests: &[&Test]) -> Result<()> {
        let outcome = self.execute(id, tests)?;
        if outcome.passed == 0 {
            return Err(Failure::new(format!("no test of {id} was run")));
        }
        if outcome.failed > 0 || !outcome.success {
            return Err(Failure::new(format!("the tests fail:\n{}", outcome.output)));
        }
        Ok(())
    }

    fn expect_failure(&self, id: Id, tests: &[&Test]) -> Result<String> {
        self.build(tests)?;
        let outcome = self.execute(id, tests)?;
        if outcome.failed == 0 {
            return Err(Failure::new(if outcome.success {
                format!("no test notices: {} pass", outcome.passed)
            } else {
                format!("the tests ended without a verdict:\n{}", outcome.output)
            }));
        }
        Ok(format!(
            "{} of {} tests notice",
            outcome.failed,
            outcome.failed + outcome.passed
        ))
    }

    /// Runs the tests of `id`.
    fn execute(&self, id: Id, tests: &[&Test]) -> Result<Outcome> {
        let log_path = self.build.join(format!("{id}.log"));
        let log = fs::File::create(&log_path).context("creating a log")?;
        let mut command = self.cargo(tests);
        command
            .args(["--no-fail-fast", "--", &id.prefix()])
            .stdin(Stdio::null())
            // Its tests can so be ended with it.
            .process_group(0)
            .stdout(log.try_clone().context("sharing a log")?)
            .stderr(log);
        let mut child = command.spawn().context("running cargo")?;
        let mut status = None;
        let ended = wait_until(LIMIT, || {
            status = child.try_wait().ok().flatten();
            status.is_some()
        });
        if !ended {
            signal_group(child.id(), "KILL")?;
            child.wait().context("ending the tests")?;
        }
        let output = fs::read(&log_path).context("reading a log")?;
        let output = String::from_utf8_lossy(&output).into_owned();
        if !ended {
            return Err(Failure::new(format!(
                "a test hangs, and should have a deadline:\n{output}"
            )));
        }
        let (passed, failed) = crate::count::tests(&output);
        Ok(Outcome {
            success: status.is_some_and(|status| status.success()),
            passed,
            failed,
            output,
        })
    }

    /// `cargo test` of the binaries that hold `tests`.
    fn cargo(&self, tests: &[&Test]) -> Command {
        let mut command = Command::new("cargo");
        command
            .current_dir(&self.tree)
            .args(["test", "--quiet", "--locked", "--all-features"])
            .env("CARGO_TARGET_DIR", &self.build)
            .env("CARGO_TERM_COLOR", "never")
            // A mutant may leave things unused.
            .env("RUSTFLAGS", "--allow=warnings")
            .env("RUST_BACKTRACE", "0")
            // Each mutant changes a line; where a test panics is said without debug information.
            .env("CARGO_INCREMENTAL", "1")
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env(
                "KORNAK_PG_DIR",
                std::env::var_os("KORNAK_PG_DIR")
                    .map_or_else(|| target_dir().join("pg"), PathBuf::from),
            );
        let targets: BTreeSet<String> = tests
            .iter()
            .filter_map(|test| target(test))
            .flatten()
            .collect();
        command.args(targets);
        command
    }
}

struct Outcome {
    success: bool,
    passed: usize,
    failed: usize,
    output: String,
}

/// The arguments of cargo that choose the binary of a test: the own tests of one of the driver's
/// crates, or a file of `tests/`.
fn target(test: &Test) -> Option<[String; 2]> {
    let of = |package: &str, target: String| Some([format!("--package={package}"), target]);
    if test.path.starts_with("core/src/") {
        return of("kornak-core", "--lib".to_owned());
    }
    if test.path.starts_with("client/src/") {
        return of("kornak-client", "--lib".to_owned());
    }
    if test.path.starts_with("src/") {
        return of("kornak", "--lib".to_owned());
    }
    let rest = test.path.strip_prefix("tests/")?;
    let name = match rest.split_once('/') {
        // `tests/live/main.rs` and the files beside it make the test `live`.
        Some((dir, _))
            if project_root()
                .join("tests")
                .join(dir)
                .join("main.rs")
                .exists() =>
        {
            dir
        }
        Some(_) => return None,
        None => rest.strip_suffix(".rs")?,
    };
    of("kornak", format!("--test={name}"))
}

/// The files under `dir`, by their paths from it.
fn files_in(dir: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).context(format_args!("reading {}", folder.display()))? {
            let path = entry.context("reading a folder")?.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(inside) = path.strip_prefix(dir) {
                found.push(inside.to_string_lossy().into_owned());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_of_a_test_is_known() {
        let target_of = |path: &str| {
            let test = Test {
                id: Id::parse("S1").unwrap(),
                path: path.to_owned(),
                name: "s1_a".to_owned(),
            };
            target(&test).map(|arguments| arguments.join(" "))
        };
        assert_eq!(
            target_of("core/src/wire/frame.rs").as_deref(),
            Some("--package=kornak-core --lib")
        );
        assert_eq!(
            target_of("client/src/pool/mod.rs").as_deref(),
            Some("--package=kornak-client --lib")
        );
        assert_eq!(
            target_of("src/tls/mod.rs").as_deref(),
            Some("--package=kornak --lib")
        );
        assert_eq!(
            target_of("tests/live.rs").as_deref(),
            Some("--package=kornak --test=live")
        );
        assert_eq!(target_of("tests/nowhere/a.rs"), None);
        assert_eq!(target_of("xtask/src/audit.rs"), None);
    }

    #[test]
    fn the_slice_has_tests_of_each_of_its_mutants() {
        let (tests, _) = find_tests(&SourceFile::all().unwrap());
        for (id, _) in CI {
            let id = Id::parse(id).unwrap();
            assert!(
                of_id(&tests, id).into_iter().any(is_in_slice),
                "no test of {id} is where the slice looks"
            );
        }
    }
}
