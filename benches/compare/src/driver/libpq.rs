//! libpq, in a small C program that is compiled when it is first asked for.

use std::path::PathBuf;
use std::process::Command;

use super::external;
use crate::Result;

/// The command that does an order's work.
///
/// # Errors
///
/// If there is no C compiler, or libpq's headers are missing.
pub fn command() -> Result<Command> {
    let program = xtask::target_dir().join("compare/libpq");
    let source = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/driver/libpq.c"));
    if external::is_older(&program, &source) {
        let include = external::output(Command::new("pg_config").arg("--includedir"))?;
        let libraries = external::output(Command::new("pg_config").arg("--libdir"))?;
        external::output(
            Command::new("cc")
                .args(["-O2", "-I", include.trim(), "-L", libraries.trim()])
                .arg(&source)
                .args(["-lpq", "-o"])
                .arg(&program),
        )?;
    }
    Ok(Command::new(program))
}

/// The version of the library's headers.
///
/// # Errors
///
/// If they are missing.
pub fn version() -> Result<String> {
    Ok(
        external::output(Command::new("pg_config").arg("--version"))?
            .trim()
            .trim_start_matches("PostgreSQL ")
            .to_owned(),
    )
}
