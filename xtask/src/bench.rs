//! `cargo xtask bench`: the live comparison with other drivers, by `benches/compare/`.

mod compile;

use std::process::{Command, ExitCode};

use xtask::{Context, Result, project_root};

use crate::cost::{build_comparison, comparison};

/// Runs `bench`. `--compile` measures compilers and needs no server; `--peers` builds the peers in that are left out by default; the rest of the
/// arguments is read by the comparison.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    if let Some(rest) = arguments.strip_prefix(&["--compile".to_owned()]) {
        return compile::run(rest);
    }
    let (peers, rest): (Vec<&String>, Vec<&String>) = arguments
        .iter()
        .partition(|argument| *argument == "--peers");
    let features: &[&str] = if peers.is_empty() {
        &[]
    } else {
        &["--features", "peers"]
    };
    build_comparison(features)?;
    let status = Command::new(comparison())
        .current_dir(project_root())
        .arg("bench")
        .args(rest)
        .status()
        .context("running the comparison")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
