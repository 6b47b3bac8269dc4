//! `cargo xtask pg`: the server that tests use, for a developer.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use xtask::process::find_program;
use xtask::server::{MAJORS, Server};
use xtask::{Failure, Result};

/// Runs `pg <verb> [--version <major>] [-- <arguments of psql>]`.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let (verb, rest) = arguments
        .split_first()
        .ok_or_else(|| Failure::new("pg wants one of start, stop, url, psql"))?;
    let mut major = None;
    let mut rest = rest.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--version" => {
                let text = rest.next().map(String::as_str).unwrap_or_default();
                major = Some(text.parse().map_err(|_| {
                    Failure::new(format!(
                        "--version wants a major version such as 18, not {text:?}"
                    ))
                })?);
            }
            "--" if verb == "psql" => break,
            other => {
                return Err(Failure::new(format!("pg {verb} does not know `{other}`")));
            }
        }
    }
    match verb.as_str() {
        "start" => {
            let server = Server::start(major)?;
            println!("{}\n{}", server.url(), server.url_tcp());
        }
        "stop" => {
            let majors = major.map_or(MAJORS.to_vec(), |major| vec![major]);
            for major in majors {
                if Server::stop(major)? {
                    println!("stopped PostgreSQL {major}");
                }
            }
        }
        "url" => println!("{}", running_or_started(major)?.url()),
        "psql" => {
            let server = running_or_started(major)?;
            let beside = server.bin_dir().join("psql");
            let psql = Some(beside)
                .filter(|path| path.is_file())
                .or_else(|| find_program("psql"))
                .ok_or_else(|| Failure::new("install psql (package postgresql-client)"))?;
            let error = Command::new(psql).arg(server.url()).args(rest).exec();
            return Err(Failure::new(format!("can't run psql: {error}")));
        }
        other => {
            return Err(Failure::new(format!(
                "pg does not know `{other}`: it wants one of start, stop, url, psql"
            )));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The cluster that runs, of `major` or else of any; where none does, one is started.
fn running_or_started(major: Option<u32>) -> Result<Server> {
    let candidates = major.map_or(MAJORS.to_vec(), |major| vec![major]);
    for major in candidates {
        if let Some(server) = Server::running(major)? {
            return Ok(server);
        }
    }
    Server::start(major)
}
