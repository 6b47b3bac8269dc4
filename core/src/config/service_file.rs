//! `pg_service.conf`: options under the name of a service (the manual's section "The
//! Connection Service File"; `parseServiceInfo` and `parseServiceFile` in fe-connect.c).

use std::path::{Path, PathBuf};

use super::HIDDEN;
use super::environment::Environment;
use super::options::{self, Options};
use super::value::is_blank;
use crate::error::{Error, ErrorKind};

/// Adds to `options` what the service that they or the environment name says, where they
/// say nothing themselves. With `hides`, errors show no name and no path.
pub(super) fn apply(
    options: &mut Options,
    environment: &Environment,
    hides: bool,
) -> Result<(), Error> {
    let service = match &options.service {
        Some(service) => service.clone(),
        None => match environment.get("PGSERVICE") {
            Some(service) => service
                .into_string()
                .map_err(|_| config("PGSERVICE must be valid UTF-8"))?,
            None => return Ok(()),
        },
    };
    let named = options
        .servicefile
        .clone()
        .or_else(|| environment.get("PGSERVICEFILE").map(PathBuf::from));
    let own = named.or_else(|| {
        environment
            .home_file(".pg_service.conf", "pg_service.conf")
            .filter(|path| path.exists())
    });
    if let Some(path) = own {
        if apply_file(options, &path, &service, hides)? {
            return Ok(());
        }
    }
    let shared = environment
        .system_configuration()
        .map(|directory| directory.join("pg_service.conf"))
        .filter(|path| path.exists());
    if let Some(path) = shared {
        if apply_file(options, &path, &service, hides)? {
            return Ok(());
        }
    }
    let shown = if hides { HIDDEN } else { &service };
    Err(config(format!("no service file defines {shown:?}")))
}

/// Whether the file defines the service.
fn apply_file(
    options: &mut Options,
    path: &Path,
    service: &str,
    hides: bool,
) -> Result<bool, Error> {
    let shown = if hides {
        HIDDEN.to_owned()
    } else {
        path.display().to_string()
    };
    let text = std::fs::read(path).map_err(|error| {
        config(format!("can't read the service file {shown}")).with_source(error)
    })?;
    let mut is_found = false;
    for (index, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        let fault =
            |message: &str| config(format!("service file {shown}, line {number}: {message}"));
        if line.len() > LONGEST_LINE {
            return Err(fault("the line is too long"));
        }
        let line = trim(line);
        match line.first() {
            None | Some(b'#') => {}
            Some(b'[') if is_found => return Ok(true),
            Some(b'[') => {
                let rest = line[1..].strip_prefix(service.as_bytes());
                is_found = rest.is_some_and(|rest| rest.starts_with(b"]"));
            }
            Some(_) if !is_found => {}
            Some(_) => apply_line(options, line, &fault)?,
        }
    }
    Ok(is_found)
}

fn apply_line(
    options: &mut Options,
    line: &[u8],
    fault: &dyn Fn(&str) -> Error,
) -> Result<(), Error> {
    if line.starts_with(b"ldap") {
        return Err(Error::new(
            ErrorKind::Unsupported,
            fault("looking options up by LDAP is not supported").to_string(),
        ));
    }
    let Some(separator) = line.iter().position(|byte| *byte == b'=') else {
        return Err(fault("expected name=value"));
    };
    let (name, value) = (&line[..separator], &line[separator + 1..]);
    if matches!(name, b"service" | b"servicefile") {
        return Err(fault("a service can't name another service or file"));
    }
    let Some(keyword) = options::keyword(name) else {
        // The name is not shown: the line may be the rest of one that holds a password.
        let advice = options::advice(name).map_or_else(String::new, |advice| format!("; {advice}"));
        return Err(fault(&format!(
            "there is no such option, or there are blanks around the ={advice}"
        )));
    };
    if options.is_set(keyword.name) {
        return Ok(());
    }
    options.set(keyword.name, value).map_err(|invalid| {
        Error::new(
            invalid.kind,
            fault(&format!("{}: {}", keyword.name, invalid.expected)).to_string(),
        )
    })
}

fn trim(line: &[u8]) -> &[u8] {
    let blank = |byte: &u8| is_blank(char::from(*byte));
    let start = line.iter().position(|byte| !blank(byte));
    let end = line.iter().rposition(|byte| !blank(byte));
    match (start, end) {
        (Some(start), Some(end)) => &line[start..=end],
        _ => &[],
    }
}

fn config(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Config, message)
}

/// In bytes, with the line's end: libpq reads a line and a zero into 1,024 bytes and wants
/// one to spare.
const LONGEST_LINE: usize = 1022;
