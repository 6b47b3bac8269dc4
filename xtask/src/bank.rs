//! `cargo xtask bank`: money is transferred while everything breaks, and counted in the end.

use std::process::{Command, ExitCode};

use xtask::{Context, Failure, Result, project_root};

const USAGE: &str = "bank wants [--faults N] [--version 15|18]";

/// Runs `tests/bank` with so many faults, and shows its figures.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let mut command = Command::new("cargo");
    command
        .current_dir(project_root())
        .args(["test", "--quiet", "--locked", "--all-features"])
        .args(["--test", "bank", "--", "--nocapture"]);
    for (name, value) in environment(arguments)? {
        command.env(name, value);
    }
    let status = command.status().context("running the bank")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What the options say, as the test reads it.
fn environment(arguments: &[String]) -> Result<Vec<(&'static str, String)>> {
    let mut environment = Vec::new();
    let mut rest = arguments.iter();
    while let Some(option) = rest.next() {
        let name = match option.as_str() {
            "--faults" => "KORNAK_BANK_FAULTS",
            "--version" => "KORNAK_TEST_MAJOR",
            _ => return Err(Failure::new(USAGE)),
        };
        let value = rest.next().ok_or_else(|| Failure::new(USAGE))?;
        if value.parse::<u64>().is_err() {
            return Err(Failure::new(USAGE));
        }
        environment.push((name, value.clone()));
    }
    Ok(environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_the_environment_of_the_test() {
        let parse = |text: &str| {
            let arguments: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            environment(&arguments).ok()
        };
        let expected = [
            ("KORNAK_BANK_FAULTS", "20000".to_owned()),
            ("KORNAK_TEST_MAJOR", "18".to_owned()),
        ];
        assert_eq!(parse("--faults 20000 --version 18").unwrap(), expected);
        assert_eq!(parse(""), Some(Vec::new()));
        for wrong in ["--faults", "--faults many", "600"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
