//! `cargo xtask fuzz`: runs the targets of `fuzz/`.

use std::process::{Command, ExitCode};

use xtask::{Context, Failure, Result, project_root};

/// How long a run without a wish takes, over all targets.
const USUAL_SECONDS: u32 = 60;

const USAGE: &str = "fuzz wants [<target>|all] [--seconds N | --executions N] [--seed N]";

/// Runs a target or all: `--seconds` is for all of them together, `--executions` for each.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let wish = Wish::parse(arguments)?;
    let targets = match &wish.target {
        Some(target) => vec![target.clone()],
        None => targets()?,
    };
    let share = (wish.seconds / u32::try_from(targets.len()).context("the targets")?).max(1);
    let mut failed = Vec::new();
    for target in &targets {
        let mut command = fuzzer();
        command.arg(target);
        match &wish.executions {
            Some(count) => command.args(["--executions", count]),
            None => command.args(["--seconds", &share.to_string()]),
        };
        if let Some(seed) = &wish.seed {
            command.args(["--seed", seed]);
        }
        if !command.status().context("running the fuzzer")?.success() {
            failed.push(target.as_str());
        }
    }
    println!(
        "fuzz: {} passed, {} failed",
        targets.len() - failed.len(),
        failed.len()
    );
    if failed.is_empty() {
        Ok(ExitCode::SUCCESS)
    } else {
        Err(Failure::new(format!(
            "failing inputs of {} are in fuzz/artifacts/",
            failed.join(", ")
        )))
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Wish {
    target: Option<String>,
    seconds: u32,
    executions: Option<String>,
    seed: Option<String>,
}

impl Wish {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut wish = Self {
            target: None,
            seconds: USUAL_SECONDS,
            executions: None,
            seed: None,
        };
        let mut rest = arguments.iter();
        let is_number = |text: &&String| text.parse::<u64>().is_ok();
        while let Some(argument) = rest.next() {
            let mut value = || {
                rest.next()
                    .filter(is_number)
                    .cloned()
                    .ok_or_else(|| Failure::new(format!("{argument} wants a number; {USAGE}")))
            };
            match argument.as_str() {
                "--seconds" => wish.seconds = value()?.parse().context(USAGE)?,
                "--executions" => wish.executions = Some(value()?),
                "--seed" => wish.seed = Some(value()?),
                "all" => wish.target = None,
                name if !name.starts_with('-') && wish.target.is_none() => {
                    wish.target = Some(name.to_owned());
                }
                other => return Err(Failure::new(format!("no {other} here: {USAGE}"))),
            }
        }
        Ok(wish)
    }
}

/// The names of all targets, which the fuzzer's help ends with.
fn targets() -> Result<Vec<String>> {
    // Help is what it prints to the error output for a command line that it can't use.
    let output = fuzzer()
        .arg("help")
        .output()
        .context("running the fuzzer")?;
    let help = String::from_utf8_lossy(&output.stderr);
    let names: Vec<String> = help
        .lines()
        .find_map(|line| line.strip_prefix("Targets: "))
        .unwrap_or_default()
        .split(", ")
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        return Err(Failure::new(format!(
            "the fuzzer names no targets:\n{help}"
        )));
    }
    Ok(names)
}

fn fuzzer() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(project_root()).args([
        "run",
        "--quiet",
        "--release",
        "--locked",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--",
    ]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Wish> {
        let arguments: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Wish::parse(&arguments)
    }

    #[test]
    fn wishes_are_read() {
        let usual = parse("").unwrap();
        assert_eq!((usual.target.as_deref(), usual.seconds), (None, 60));
        assert_eq!(parse("all").unwrap(), usual);
        let frames = parse("frames --executions 1000 --seed 7").unwrap();
        assert_eq!(frames.target.as_deref(), Some("frames"));
        assert_eq!(frames.executions.as_deref(), Some("1000"));
        assert_eq!(frames.seed.as_deref(), Some("7"));
        assert_eq!(parse("--seconds 9").unwrap().seconds, 9);
        for wrong in ["--seconds", "--seconds x", "--what", "frames scram"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
