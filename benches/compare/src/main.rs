//! `compare`: the measurements and the processes that they are made of.

use std::process::ExitCode;

use compare::client::Client;
use compare::{Result, cost, replay};

const HELP: &str = "\
compare cost [--only <part of a workload's name>] [--targets <targets.toml>]
compare client <driver> <workload> <times> <rows of W10> <folder> <port>
compare replay <folder> <port>";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a command; says whether all is as it should be.
fn run(arguments: &[String]) -> Result<bool> {
    let (command, rest) = arguments.split_first().ok_or(HELP)?;
    match (command.as_str(), rest) {
        ("cost", rest) => cost::command::run(rest),
        ("client", rest) => Client::from_arguments(rest)?.run(|_| {}).map(|()| true),
        ("replay", [folder, port]) => replay::serve(folder.as_ref(), port.parse()?).map(|()| true),
        _ => Err(HELP.into()),
    }
}
