//! Kornak against hostile input: `kornak-fuzz help` says how to run it.
//!
//! A corpus of real inputs is changed over and over, and each result executed. An input
//! that does something new is kept and built upon, so that a run gets further than one
//! change at a time would. A run is named by its seed: the same seed does the same.

mod mutate;
mod outcome;
mod random;
mod runner;
mod targets;

// What the list of the driver's decoders finds at the root of the driver.
use kornak::{Json, codec, types};

mod buffer {
    pub(crate) use kornak::internals::buffer::WriteBuffer;
}

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use self::runner::Until;
use self::targets::{TARGETS, Target};

const USAGE: &str = "\
kornak-fuzz <target|all> (--seconds N | --executions N) [--seed N]
    Fuzzes for that long per target. Stops at the first failure of a target, writes its
    input to fuzz/artifacts/ and exits with 1.
kornak-fuzz <target> --input FILE
    Executes one input.
kornak-fuzz record DIRECTORY
    Plays the dialogues with the server whose Unix socket is in DIRECTORY, as user postgres,
    and writes what it says to fuzz/corpus/.
Targets: ";

/// What the command line asks for.
struct Arguments {
    targets: Vec<&'static Target>,
    until: Option<Until>,
    input: Option<PathBuf>,
    seed: u64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match &arguments[..] {
        [record, directory] if record == "record" => targets::record(directory.as_ref())
            .map(|()| true)
            .map_err(|error| error.to_string()),
        _ => Arguments::parse(&arguments).and_then(|arguments| arguments.run()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

impl Arguments {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let (name, options) = arguments.split_first().ok_or_else(usage)?;
        let targets: Vec<_> = TARGETS
            .into_iter()
            .filter(|target| name == "all" || name == target.name)
            .collect();
        if targets.is_empty() || options.len() % 2 != 0 {
            return Err(usage());
        }
        let mut this = Self {
            targets,
            until: None,
            input: None,
            seed: 0,
        };
        for option in options.chunks_exact(2) {
            let value = &option[1];
            let number = || value.parse::<u64>().map_err(|_| usage());
            match &*option[0] {
                "--seconds" => this.until = Some(Until::Elapsed(Duration::from_secs(number()?))),
                "--executions" => this.until = Some(Until::Executions(number()?)),
                "--seed" => this.seed = number()?,
                "--input" => this.input = Some(value.into()),
                _ => return Err(usage()),
            }
        }
        Ok(this)
    }

    fn run(&self) -> Result<bool, String> {
        let mut well = true;
        for target in &self.targets {
            let result = match (&self.input, self.until) {
                (Some(path), None) => runner::replay(target, path),
                (None, Some(until)) => runner::run(target, until, self.seed),
                _ => return Err(usage()),
            };
            well &= result.map_err(|error| format!("{}: {error}", target.name))?;
        }
        Ok(well)
    }
}

fn usage() -> String {
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    format!("{USAGE}{}", names.join(", "))
}
