//! The project's own commands: `cargo xtask help` lists them.

mod bite;
mod codegen;
mod count;
mod ledger;
mod pg;
mod source;
mod tidy;

use std::process::ExitCode;

use xtask::{Failure, Result};

const HELP: &str = "\
cargo xtask <command>

  pg start|stop|url|psql [--version 15|18]
                         a private PostgreSQL for development: data fresh at each start,
                         a Unix socket and a free port on 127.0.0.1
  codegen [--check]      writes src/error/conditions.rs from the servers' lists of errors
  tidy                   checks the layers of the modules, and what lints can't see
  ledger [--write]       checks, or writes, the table of scenarios in tests/LEDGER.md
  bite [--only ID] [--ci]
                         shows that the tests fail when tests/mutants/<id>.patch breaks the
                         driver
  help                   this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<ExitCode> {
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", arguments),
    };
    match command {
        "bite" => bite::run(rest),
        "codegen" => codegen::run(rest),
        "pg" => pg::run(rest),
        "ledger" => ledger::run(rest),
        "tidy" => tidy::run(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        other => Err(Failure::new(format!(
            "there is no command `{other}`\n\n{HELP}"
        ))),
    }
}
