//! `cargo xtask test`: everything that must hold before a change is taken.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
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

/// What has come of the steps so far.
#[derive(Default)]
struct Tally {
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
    let mut tally = Tally::default();
    let mut steps = checks()?;
    steps.retain(|step| is_wanted(&step.name));
    for step in steps {
        tally.add(step)?;
    }
    let mut notes = Vec::new();
    if is_wanted(LIVE) {
        notes = run_live(&mut tally)?;
    }
    if is_wanted(COST) {
        match ["valgrind", "strace"]
            .into_iter()
            .find(|tool| find_program(tool).is_none())
        {
            None => tally.add(Step::check(COST, vec![own(COST, &[])?]))?,
            Some(tool) => notes.push(format!(
                "the cost of the workloads was not measured: {tool} is not installed"
            )),
        }
    }
    let mut steps = long_steps()?;
    steps.retain(|step| is_wanted(&step.name));
    for step in steps {
        tally.add(step)?;
    }
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

/// What is quick, and says much about what is slow.
fn checks() -> Result<Vec<Step>> {
    let mut features = Vec::new();
    for choice in feature_choices()? {
        let mut command = cargo(&[
            "clippy",
            "--quiet",
            "--locked",
            "--lib",
            "--no-default-features",
        ]);
        command.args(["--features", &choice, "--", "--deny", "warnings"]);
        features.push(command);
    }
    let mut docs = cargo(&["doc", "--quiet", "--locked", "--workspace", "--no-deps"]);
    docs.arg("--all-features")
        .env("RUSTDOCFLAGS", "--deny warnings");
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
        Step::check(
            "clippy",
            vec![cargo(&[
                "clippy",
                "--quiet",
                "--locked",
                "--workspace",
                "--all-targets",
                "--all-features",
                "--",
                "--deny",
                "warnings",
            ])],
        ),
        Step::check("features", features),
        Step::check("docs", vec![docs]),
    ])
}

/// The tests, with each major that can be had; says which can't.
fn run_live(tally: &mut Tally) -> Result<Vec<String>> {
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
        tally.fail(LIVE);
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

/// What takes its time.
fn long_steps() -> Result<Vec<Step>> {
    Ok(vec![
        Step::check("fuzz", vec![own("fuzz", &["--seconds", FUZZ_SECONDS])?]),
        Step::check("bite", vec![own("bite", &["--ci"])?]),
    ])
}

/// The values of `--features` that the library is built with: none, each alone, and all but
/// one. (`clippy` sees it with all.)
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

/// Those among `features`. Of those that begin with `with-` each is built without each other, but
/// not alone: they only add impls for one foreign crate, in a file of its own, which might at most
/// lean on another one.
fn choices_of(features: &[&str]) -> Vec<String> {
    let (foreign, own): (Vec<&str>, Vec<&str>) = features
        .iter()
        .partition(|feature| feature.starts_with("with-"));
    let mut choices = vec![String::new()];
    for feature in own {
        choices.push(feature.to_owned());
        let others: Vec<&str> = features
            .iter()
            .copied()
            .filter(|name| *name != feature)
            .collect();
        choices.push(others.join(","));
    }
    // Two of them differ in a binary digit of their places: a choice for each digit and value.
    for digit in 0..usize::BITS - foreign.len().saturating_sub(1).leading_zeros() {
        for value in 0..2 {
            let chosen = foreign.iter().enumerate();
            let chosen: Vec<&str> = chosen
                .filter(|(place, _)| place >> digit & 1 == value)
                .map(|(_, name)| *name)
                .collect();
            choices.push(chosen.join(","));
        }
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
    fn add(&mut self, step: Step) -> Result<()> {
        let begun = Instant::now();
        print!("{:<28}", step.name);
        std::io::stdout()
            .flush()
            .context("writing to the terminal")?;
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
        self.passed += passed;
        self.failed += failed;
        let mut line = if success { "ok" } else { "FAILED" }.to_owned();
        if step.runs_tests {
            let _ = write!(line, ", {passed} passed, {failed} failed");
        }
        println!("{line} ({} s)", begun.elapsed().as_secs());
        if !success {
            println!("{}", output.trim_end());
            self.failed_steps.push(step.name);
        }
        Ok(())
    }

    fn fail(&mut self, name: &str) {
        self.failed += 1;
        self.failed_steps.push(name.to_owned());
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
    fn each_feature_is_built_alone_and_left_out() {
        let choices = feature_choices().unwrap();
        for wanted in ["", "tls", "derive"] {
            assert!(choices.iter().any(|choice| choice == wanted), "{wanted}");
        }
        assert!(
            choices
                .iter()
                .any(|choice| choice.contains("derive,") && !choice.contains("tls"))
        );
        assert!(!choices.iter().any(|choice| choice.contains("default")));
    }

    #[test]
    fn each_foreign_crate_is_built_without_each_other() {
        for count in [1, 2, 3, 8, 17] {
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
    }
}
