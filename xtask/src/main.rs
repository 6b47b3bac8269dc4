//! The project's own commands: `cargo xtask help` lists them.

mod audit;
mod bank;
mod bench;
mod bite;
mod codegen;
mod cost;
mod count;
mod demo;
mod fuzz;
mod ledger;
mod pg;
mod source;
mod test;
mod tidy;
mod types;

use std::process::ExitCode;

use xtask::{Failure, Result};

const HELP: &str = "\
cargo xtask <command>

  demo                   the quickstart, against a real server
  test [part of a name]… all that must hold before a change is taken, or some steps of it
  pg start|stop|url|psql [--version 15|18]
                         a private PostgreSQL for development: data fresh at each start,
                         a Unix socket and a free port on 127.0.0.1
  fuzz [target|all] [--seconds N | --executions N] [--seed N]
                         the fuzzers; 60 seconds over all targets by default
  bank [--faults N] [--version 15|18]
                         clients transfer money while the network, the backends and the server
                         fail so often, and the books are compared with what they were told
  bite [--only ID] [--ci]
                         shows that the tests fail when tests/mutants/<id>.patch breaks the
                         driver; with --ci a few of the patches, and those of their tests
                         that are built soonest
  cost [--gates] [--only part]
                         instructions, allocations and system calls of each workload, beside
                         raw and tokio-postgres, and the gates of benches/targets.toml, or
                         only what these ask for; instructions per decoded value
                         (`--only decode-` for these alone)
  bench [--quick] [--peers] [--only part] [--setting part] [--drivers names] [--rounds n]
        [--seconds n] [--json file]
                         every driver at every workload against a real server; the rounds
                         go to target/bench.json; see benches/README.md
  bench --scaling [--quick]
                         how the cost grows with columns, rows, parameters, statements…
  bench --compile [--rounds n]
                         clean builds beside tokio-postgres with deadpool, and sqlx
  types [--version 15|18]
                         sends every type's values, and all rows of the system's relations,
                         there and back, and has the server compare them
  tidy                   checks the layers of the modules, and what lints can't see
  ledger [--write]       checks, or writes, the table of scenarios in tests/LEDGER.md
  audit                  checks the dependencies against deny.toml
  codegen [--check]      writes core/src/error/conditions.rs from the servers' lists of errors
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
        "audit" => audit::run(rest),
        "bank" => bank::run(rest),
        "bench" => bench::run(rest),
        "bite" => bite::run(rest),
        "codegen" => codegen::run(rest),
        "cost" => cost::run(rest),
        "demo" => demo::run(rest),
        "fuzz" => fuzz::run(rest),
        "ledger" => ledger::run(rest),
        "pg" => pg::run(rest),
        "test" => test::run(rest),
        "tidy" => tidy::run(rest),
        "types" => types::run(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        other => Err(Failure::new(format!(
            "there is no command `{other}`\n\n{HELP}"
        ))),
    }
}
