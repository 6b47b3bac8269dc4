//! `cargo xtask cost`: instructions, allocations and system calls, and their gates.
//!
//! The work is done by a program of `benches/compare/`, which has dependencies: this one
//! builds and runs it.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use xtask::{Context, Failure, Result, project_root};

/// Runs `cost [--gates] [--only <part of a workload's name>]`.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    build_comparison(&["--no-default-features"])?;
    let status = Command::new(comparison())
        .current_dir(project_root())
        .arg("cost")
        .args(arguments)
        .status()
        .context("running the measurement")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Builds the programs of `benches/compare/`, whose lock file is checked in.
pub(crate) fn build_comparison(options: &[&str]) -> Result<()> {
    let manifest = project_root().join("benches/compare/Cargo.toml");
    let status = Command::new("cargo")
        .args(["build", "--release", "--manifest-path"])
        .arg(&manifest)
        .arg("--target-dir")
        .arg(comparison_target())
        .args(options)
        .status()
        .context("running cargo")?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new("the programs of benches/compare don't build"))
    }
}

/// The program of `benches/compare/`.
pub(crate) fn comparison() -> PathBuf {
    comparison_target().join("release/compare")
}

fn comparison_target() -> PathBuf {
    xtask::target_dir().join("compare")
}
