//! Drivers of other languages: programs that print what `compare live` prints.

use std::path::Path;
use std::process::Command;

use super::Place;
use crate::Result;
use crate::live::{Crowd, Order};
use crate::work;

/// The program for an order, if its driver is one of another language.
///
/// # Errors
///
/// If it can't be built.
pub fn command(order: &Order) -> Result<Option<Command>> {
    let Some(mut command) = program(&order.driver)? else {
        return Ok(None);
    };
    let target = order.target()?;
    let (host, root) = match &target.place {
        Place::Socket(folder) => (folder.display().to_string(), "-".to_owned()),
        Place::Tcp(host) => (host.clone(), "-".to_owned()),
        Place::Tls(host, root) => (host.clone(), root.display().to_string()),
    };
    let crowd = match order.crowd {
        Crowd::Alone => "0".to_owned(),
        Crowd::Exclusive => "exclusive".to_owned(),
        Crowd::Pool(tasks) => tasks.to_string(),
    };
    command.args([
        &host,
        &target.port.to_string(),
        &target.user,
        &target.password,
        &target.database,
        &root,
        &order.work,
        &crowd,
        &order.seconds.to_string(),
        &order.stream_rows.to_string(),
        &work::COPIED.to_string(),
    ]);
    Ok(Some(command))
}

fn program(driver: &str) -> Result<Option<Command>> {
    match driver {
        #[cfg(feature = "libpq")]
        "libpq" => super::libpq::command().map(Some),
        #[cfg(feature = "asyncpg")]
        "asyncpg" => super::asyncpg::command().map(Some),
        _ => Ok(None),
    }
}

/// What a command prints.
///
/// # Errors
///
/// If it fails: what it says.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}\n{text}", output.status).into())
}

/// Whether a file is missing or older than what it is made from.
pub fn is_older(made: &Path, source: &Path) -> bool {
    let time = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    time(made) < time(source)
}
