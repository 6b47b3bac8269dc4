//! asyncpg, in a Python of its own with uvloop.

use std::process::Command;

use super::external;
use crate::Result;

/// What is installed, by exact version.
pub const PACKAGES: [&str; 2] = ["asyncpg==0.32.0", "uvloop==0.23.0"];

/// The command that does an order's work.
///
/// # Errors
///
/// If there is no Python, or the packages can't be installed.
pub fn command() -> Result<Command> {
    let folder = xtask::target_dir().join("compare/asyncpg");
    let python = folder.join("bin/python");
    let installed = folder.join("installed");
    if std::fs::read_to_string(&installed).unwrap_or_default() != PACKAGES.join(" ") {
        external::output(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        external::output(
            Command::new(&python)
                .args(["-m", "pip", "install", "--quiet"])
                .args(PACKAGES),
        )?;
        std::fs::write(&installed, PACKAGES.join(" "))?;
    }
    let mut command = Command::new(python);
    command.arg(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/driver/run_asyncpg.py"
    ));
    Ok(command)
}
