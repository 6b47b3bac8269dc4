//! `cargo xtask types`: every type of the server, there and back.
//!
//! The work is done by the test `live_types`, which is told to leave no row out.

use std::process::{Command, ExitCode};

use xtask::server::MAJORS;
use xtask::{Context, Failure, Result, project_root};

/// Runs `types [--version <major>]`, over all majors if none is named.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let majors = match arguments {
        [] => MAJORS.to_vec(),
        [flag, major] if flag == "--version" => {
            vec![major.parse().context("the major after --version")?]
        }
        _ => return Err(Failure::new("types takes `--version <major>` alone")),
    };
    let mut failed = false;
    for major in majors {
        println!("PostgreSQL {major}");
        let status = Command::new("cargo")
            .current_dir(project_root())
            .args(["test", "--quiet", "--locked", "--all-features"])
            .args([
                "--test",
                "live_types",
                "--",
                "--nocapture",
                "--test-threads=1",
            ])
            .env("KORNAK_TEST_MAJOR", major.to_string())
            .env("KORNAK_TYPES_ALL", "1")
            .status()
            .context("running cargo")?;
        failed |= !status.success();
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
