//! `cargo xtask demo`: the quickstart against a real server, with nothing set up before.

use std::process::{Command, ExitCode};

use xtask::server::Server;
use xtask::{Context, Failure, Result, project_root};

/// Finds a server and runs `examples/quickstart.rs` with it.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    if !arguments.is_empty() {
        return Err(Failure::new("demo takes no arguments"));
    }
    let server = Server::find(None)?;
    match server.major() {
        Some(major) => eprintln!("PostgreSQL {major}, private, at {}", server.url()),
        // Its URL may hold a password that is not ours to show.
        None => eprintln!("the server of DATABASE_URL or of Docker Compose"),
    }
    let status = Command::new("cargo")
        .current_dir(project_root())
        .args([
            "run",
            "--quiet",
            "--release",
            "--locked",
            "--example",
            "quickstart",
        ])
        .env("DATABASE_URL", server.url())
        .status()
        .context("running cargo")?;
    server.leave()?;
    if status.success() {
        Ok(ExitCode::SUCCESS)
    } else {
        Err(Failure::new(format!("the quickstart failed ({status})")))
    }
}
