//! `cargo xtask test`: everything that must hold before a change is taken.
//!
//! What is quick comes first. The rest is in two lines that go on beside each other, because
//! neither keeps all processors busy: one builds in the project's own folder and runs the tests, the
//! other has folders of its own, or cargo would have one wait for the other. Nothing of it is
//! measured in time.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use xtask::pgbouncer::PgBouncer;
use xtask::process::find_program;
use xtask::server::{MAJORS, Server};
use xtask::{Context, Failure, Result, project_root, target_dir};

use crate::count;

/// How long the fuzzer runs, over all its targets.
const FUZZ_SECONDS: &str = "60";

/// Something that must succeed: commands one after the other.
struct Step {
    name: String,
    commands: Vec<Command>,
    /// Whether the commands run tests, so that those are what is counted.
    runs_tests: bool,
}

/// What has come of the steps so far, wherever they run.
#[derive(Default)]
struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    passed: usize,
    failed: usize,
    failed_steps: Vec<String>,
}

/// Runs all steps, or those whose names contain one of the arguments.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    if let Some(flag) = arguments.iter().find(|text| text.starts_with('-')) {
        return Err(Failure::new(format!(
            "test does not know {flag}; it takes parts of the names of its steps"
        )));
    }
    let begun = Instant::now();
    let is_wanted =
        |name: &str| arguments.is_empty() || arguments.iter().any(|part| name.contains(&**part));
    let tally = Tally::default();
    for step in quick_steps()? {
        if is_wanted(&step.name) {
            tally.add(step)?;
        }
    }
    let (built, apart) = thread::scope(|scope| {
        let apart = scope.spawn(|| run_apart(&tally, is_wanted));
        (run_built(&tally, is_wanted), apart.join())
    });
    let mut notes = built?;
    notes.extend(apart.map_err(|_| Failure::new("the second line of steps panicked"))??);
    let tally = tally.lock()?;
    if tally.passed + tally.failed == 0 && notes.is_empty() {
        return Err(Failure::new("no step has such a name"));
    }
    println!();
    for note in notes {
        println!("note: {note}");
    }
    for name in &tally.failed_steps {
        println!("failed: {name}");
    }
    println!("took {} s", begun.elapsed().as_secs());
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(if tally.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What the names of the steps that need a server begin with.
const LIVE: &str = "tests";

/// The step that holds the gates of `benches/targets.toml`.
const COST: &str = "cost";

/// What needs next to nothing built.
fn quick_steps() -> Result<Vec<Step>> {
    Ok(vec![
        Step::check(
            "format",
            vec![
                cargo(&["fmt", "--all", "--check"]),
                cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]),
            ],
        ),
        Step::check("tidy", vec![own("tidy", &[])?]),
        Step::check("ledger", vec![own("ledger", &[])?]),
        Step::check("audit", vec![own("audit", &[])?]),
    ])
}

/// The steps that build in the project's own folder; says what was left out.
fn run_built(tally: &Tally, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let clippy = cargo(&[
        "clippy",
        "--quiet",
        "--locked",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "--deny",
        "warnings",
    ]);
    let mut docs = cargo(&["doc", "--quiet", "--locked", "--workspace", "--no-deps"]);
    docs.arg("--all-features")
        .env("RUSTDOCFLAGS", "--deny warnings");
    for step in [
        Step::check("clippy", vec![clippy]),
        Step::check("docs", vec![docs]),
    ] {
        if is_wanted(&step.name) {
            tally.add(step)?;
        }
    }
    if is_wanted(LIVE) {
        run_live(tally)
    } else {
        Ok(Vec::new())
    }
}

/// The steps that build in folders of their own; says what was left out.
fn run_apart(tally: &Tally, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    let mut steps = vec![Step::check("features", features()?)];
    match ["valgrind", "strace"]
        .into_iter()
        .find(|tool| find_program(tool).is_none())
    {
        None => steps.push(Step::check(COST, vec![own(COST, &["--gates"])?])),
        Some(tool) if is_wanted(COST) => notes.push(format!(
            "the cost of the workloads was not measured: {tool} is not installed"
        )),
        Some(_) => {}
    }
    steps.push(Step::check(
        "fuzz",
        vec![own("fuzz", &["--seconds", FUZZ_SECONDS])?],
    ));
    steps.push(Step::check("bite", vec![own("bite", &["--ci"])?]));
    for step in steps {
        if is_wanted(&step.name) {
            tally.add(step)?;
        }
    }
    Ok(notes)
}

/// The library with each choice of features. Clippy has seen what belongs to a feature with all
/// of them, and sees what stands in for one with none; the compiler's own warnings are what is
/// left to the others.
fn features() -> Result<Vec<Command>> {
    let choices = feature_choices()?;
    let commands = choices.iter().map(|choice| {
        let tool = if choice.is_empty() { "clippy" } else { "check" };
        let mut command = cargo(&[tool, "--quiet", "--locked", "--lib"]);
        command
            .args(["--no-default-features", "--features", choice])
            .arg("--target-dir")
            .arg(target_dir().join("features"))
            .env("RUSTFLAGS", "--deny=warnings");
        command
    });
    Ok(commands.collect())
}

/// The tests, with each major that can be had; says which can't.
fn run_live(tally: &Tally) -> Result<Vec<String>> {
    if std::env::var_os("DATABASE_URL").is_some_and(|url| !url.is_empty()) {
        for step in tests("DATABASE_URL", &[], true) {
            tally.add(step)?;
        }
        return Ok(Vec::new());
    }
    let mut notes = Vec::new();
    let mut servers = Vec::new();
    for major in MAJORS {
        let server = match Server::find(Some(major)) {
            Ok(server) => server,
            Err(failure) => {
                notes.push(format!("not tested with PostgreSQL {major}: {failure}"));
                continue;
            }
        };
        let name = format!("PostgreSQL {major}");
        // Tests that start servers of their own go by the major; the example only knows URLs.
        let mut environment = vec![("DATABASE_URL", server.url())];
        if server.is_cluster() {
            environment.push(("KORNAK_TEST_MAJOR", major.to_string()));
        }
        // What doesn't talk to a server need not be run twice.
        let is_first = servers.is_empty();
        servers.push(server);
        for step in tests(&name, &environment, is_first) {
            tally.add(step)?;
        }
        if is_first {
            tally.add(Step::check("codegen", vec![own("codegen", &["--check"])?]))?;
        }
    }
    // Where there is none at all the tests fail, and say so.
    if let Ok(found) = PgBouncer::find() {
        if !found.knows_statements() {
            notes.push(format!(
                "not tested with a PgBouncer that knows prepared statements, 1.21 or later, but \
                 with a script of one: here is {found}; KORNAK_PGBOUNCER may name another"
            ));
        }
    }
    // One major is enough for a developer's machine; the project's own tests want all.
    if servers.is_empty() || (servers.len() < MAJORS.len() && std::env::var_os("CI").is_some()) {
        tally.fail(LIVE)?;
    }
    for server in servers {
        server.leave()?;
    }
    Ok(notes)
}

/// The steps that run the tests against one server.
fn tests(server: &str, environment: &[(&str, String)], all: bool) -> Vec<Step> {
    let has_nextest = find_program("cargo-nextest").is_some();
    let mut units = if has_nextest {
        cargo(&[
            "nextest",
            "run",
            "--no-fail-fast",
            "--status-level=fail",
            "--final-status-level=fail",
            "--locked",
            "--all-features",
        ])
    } else {
        cargo(&["test", "--no-fail-fast", "--locked", "--all-features"])
    };
    if all {
        units.arg("--workspace");
        if !has_nextest {
            units.arg("--all-targets");
        }
    } else {
        units.args(["--package", "kornak", "--package", "xtask", "--test", "*"]);
    }
    let mut commands = vec![units];
    if all {
        // nextest does not run them.
        commands.push(cargo(&[
            "test",
            "--doc",
            "--workspace",
            "--no-fail-fast",
            "--locked",
            "--all-features",
        ]));
    }
    commands.push(cargo(&[
        "run",
        "--quiet",
        "--locked",
        "--all-features",
        "--example",
        "quickstart",
    ]));
    for command in &mut commands {
        command.envs(environment.iter().map(|(name, value)| (name, value)));
    }
    vec![Step {
        name: format!("{LIVE}, {server}"),
        commands,
        runs_tests: true,
    }]
}

/// The values of `--features` that the library is built with, beside all of them.
fn feature_choices() -> Result<Vec<String>> {
    let manifest =
        fs::read_to_string(project_root().join("Cargo.toml")).context("reading Cargo.toml")?;
    let features: Vec<&str> = manifest
        .split("\n[")
        .find_map(|section| section.strip_prefix("features]"))
        .unwrap_or_default()
        .lines()
        .filter(|line| !line.starts_with(['#', ' ', ']']))
        .filter_map(|line| Some(line.split_once('=')?.0.trim()))
        .filter(|name| *name != "default")
        .collect();
    if features.is_empty() {
        return Err(Failure::new("Cargo.toml lists no features"));
    }
    Ok(choices_of(&features))
}

/// None of `features`, each of the driver's own alone, and a few choices among which each feature
/// is to be found without each other. Those that begin with `with-` are not built alone: they only
/// add impls for one foreign crate, in a file of its own, which might at most lean on another one.
fn choices_of(features: &[&str]) -> Vec<String> {
    let mut choices = vec![String::new()];
    let own = features.iter().filter(|name| !name.starts_with("with-"));
    choices.extend(own.map(|&name| name.to_owned()));
    // Of two numbers with as many digits set, each has one that the other lacks: a choice for
    // each digit, of the features whose numbers have it. Half of the digits make the most numbers.
    let numbers = |digits: u32| {
        (0..1_u64 << digits).filter(move |number| number.count_ones() == digits.div_ceil(2))
    };
    let digits = (0..)
        .find(|&digits| numbers(digits).count() >= features.len())
        .unwrap_or_default();
    for digit in 0..digits {
        let numbered = features.iter().zip(numbers(digits));
        let chosen: Vec<&str> = numbered
            .filter(|(_, number)| number >> digit & 1 == 1)
            .map(|(name, _)| *name)
            .collect();
        choices.push(chosen.join(","));
    }
    choices.sort();
    choices.dedup();
    choices
}

impl Step {
    fn check(name: &str, commands: Vec<Command>) -> Self {
        Self {
            name: name.to_owned(),
            commands,
            runs_tests: false,
        }
    }
}

impl Tally {
    /// Runs a step, and shows its output if it fails.
    fn add(&self, step: Step) -> Result<()> {
        let begun = Instant::now();
        let log_path = log_path(&step.name)?;
        let log =
            fs::File::create(&log_path).context(format_args!("creating {}", log_path.display()))?;
        let mut success = true;
        for mut command in step.commands {
            let status = command
                .stdin(Stdio::null())
                .stdout(log.try_clone().context("sharing a log")?)
                .stderr(log.try_clone().context("sharing a log")?)
                .status()
                .context(format_args!(
                    "running {}",
                    xtask::process::describe(&command)
                ))?;
            if !status.success() {
                success = false;
                let text = format!("\n{} ({status})\n", xtask::process::describe(&command));
                (&log).write_all(text.as_bytes()).context("writing a log")?;
                // More of the same would only bury it; other tests still tell something.
                if !step.runs_tests {
                    break;
                }
            }
        }
        let output = fs::read(&log_path).context("reading a log")?;
        let output = String::from_utf8_lossy(&output);
        let (passed, failed) = if step.runs_tests {
            count::tests(&output)
        } else {
            (usize::from(success), 0)
        };
        // A failure that no test is to blame for counts as one, too.
        let failed = if success { failed } else { failed.max(1) };
        let mut counts = self.lock()?;
        counts.passed += passed;
        counts.failed += failed;
        let mut line = if success { "ok" } else { "FAILED" }.to_owned();
        if step.runs_tests {
            let _ = write!(line, ", {passed} passed, {failed} failed");
        }
        // The lock keeps what two steps have to say apart.
        println!("{:<28}{line} ({} s)", step.name, begun.elapsed().as_secs());
        if !success {
            println!("{}", output.trim_end());
            counts.failed_steps.push(step.name);
        }
        Ok(())
    }

    fn fail(&self, name: &str) -> Result<()> {
        let mut counts = self.lock()?;
        counts.failed += 1;
        counts.failed_steps.push(name.to_owned());
        Ok(())
    }

    fn lock(&self) -> Result<MutexGuard<'_, Counts>> {
        self.0.lock().context("sharing the tally")
    }
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command
        .current_dir(project_root())
        .args(arguments)
        .env("CARGO_TERM_COLOR", "never");
    command
}

/// This program again, for one of its other commands.
fn own(name: &str, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("finding this program")?);
    command
        .current_dir(project_root())
        .arg(name)
        .args(arguments);
    Ok(command)
}

fn log_path(step: &str) -> Result<PathBuf> {
    let dir = target_dir().join("test-logs");
    fs::create_dir_all(&dir).context(format_args!("creating {}", dir.display()))?;
    let name: String = step
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '-' })
        .collect();
    Ok(dir.join(format!("{name}.log")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_s_own_features_are_built_alone() {
        let choices = feature_choices().unwrap();
        for wanted in ["", "tls", "derive", "tracing", "metrics"] {
            assert!(choices.iter().any(|choice| choice == wanted), "{wanted}");
        }
        assert!(choices.iter().any(|choice| choice.contains("with-uuid-1")));
        assert!(!choices.iter().any(|choice| choice.contains("default")));
    }

    #[test]
    fn each_feature_is_built_without_each_other() {
        for count in [1, 2, 3, 8, 17, 21] {
            let names: Vec<String> = (0..count).map(|number| format!("with-{number}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let choices = choices_of(&names);
            let has = |choice: &String, name: &str| choice.split(',').any(|one| one == name);
            for one in &names {
                for other in &names {
                    let is_apart = |choice| has(choice, one) && !has(choice, other);
                    assert!(
                        one == other || choices.iter().any(is_apart),
                        "{one} {other}"
                    );
                }
            }
        }
        assert_eq!(choices_of(&["with-1", "with-2"]), ["", "with-1", "with-2"]);
        assert_eq!(choices_of(&["own"]), ["", "own"]);
    }
}
