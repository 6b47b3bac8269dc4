//! `cargo xtask bench`: the live comparison with other drivers, by `benches/compare/`.

use std::process::{Command, ExitCode};

use xtask::{Context, Result, project_root};

use crate::cost::{build_comparison, comparison};

/// Runs `bench`; the comparison reads the arguments.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    build_comparison(&[])?;
    let status = Command::new(comparison())
        .current_dir(project_root())
        .arg("bench")
        .args(arguments)
        .status()
        .context("running the comparison")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
