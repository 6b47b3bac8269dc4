//! `compare`: the measurements and the processes that they are made of.

use std::process::ExitCode;

use compare::client::Client;
use compare::live::Order;
use compare::{Result, bench, cost, replay};

const HELP: &str = "\
compare cost [--gates] [--only <part of a workload's name>] [--targets <targets.toml>]
compare bench [--quick] [--only <part of a name>] [--json <file>]
compare live <order as JSON>
compare code <row> <times>
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
        ("bench", rest) => bench::run(rest).map(|()| true),
        ("live", [order]) => {
            let order: Order = serde_json::from_str(order)?;
            println!("{}", serde_json::to_string(&order.run()?)?);
            Ok(true)
        }
        ("code", [row, times]) => cost::coding::code(row, times.parse()?).map(|()| true),
        ("client", rest) => Client::from_arguments(rest)?.run(|_| {}).map(|()| true),
        ("replay", [folder, port]) => replay::serve(folder.as_ref(), port.parse()?).map(|()| true),
        _ => Err(HELP.into()),
    }
}
