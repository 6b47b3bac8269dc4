//! From the configuration's TLS options, which name files, to the transport's, which hold
//! their contents.

use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use crate::config::{self, RootCertificates, SslCertMode};
use crate::error::{Error, ErrorKind, Result};
use crate::transport::{Roots, TlsIdentity, TlsOptions, TlsVersion, Trust, Verification};

/// # Errors
///
/// If a file can't be read, or only one of certificate and key is given.
pub(super) fn tls_options(options: &config::TlsOptions) -> Result<TlsOptions> {
    let verification = match options.verification() {
        config::Verification::Authority => Verification::Authority(trust(options)?),
        config::Verification::AuthorityAndName => Verification::Full(trust(options)?),
        config::Verification::Nothing => Verification::None,
        other => return Err(unknown("verification", &other)),
    };
    Ok(TlsOptions {
        verification,
        identity: identity(options)?,
        server_name_indication: options.server_name_indication(),
        min_version: version(options.min_version())?,
        max_version: options
            .max_version()
            .map_or(Ok(TlsVersion::Tls13), version)?,
    })
}

fn trust(options: &config::TlsOptions) -> Result<Trust> {
    let roots = match options.root_certificates() {
        None | Some(RootCertificates::System) => Roots::System,
        Some(RootCertificates::File(path)) => Roots::Pem(read("root certificates", path)?),
        Some(other) => return Err(unknown("root certificates", other)),
    };
    let mut revocation_lists = Vec::new();
    if let Some(path) = options.revocation_list() {
        revocation_lists = read("certificate revocation list", path)?;
    }
    if let Some(folder) = options.revocation_directory() {
        let entries = std::fs::read_dir(folder)
            .map_err(|error| unreadable("folder of revocation lists", folder, error))?;
        for entry in entries {
            let path = entry
                .map_err(|error| unreadable("folder of revocation lists", folder, error))?
                .path();
            if path.is_file() {
                revocation_lists.extend(read("certificate revocation list", &path)?);
            }
        }
    }
    Ok(Trust {
        roots,
        revocation_lists,
    })
}

fn identity(options: &config::TlsOptions) -> Result<Option<TlsIdentity>> {
    if options.certificate_mode() == SslCertMode::Disable {
        return Ok(None);
    }
    match (options.certificate(), options.key()) {
        (Some(certificate), Some(key)) => Ok(Some(TlsIdentity {
            certificates: read("client certificate", certificate)?,
            key: read_key(key)?,
        })),
        (None, None) if options.certificate_mode() == SslCertMode::Require => Err(Error::new(
            ErrorKind::Config,
            "sslcertmode=require needs sslcert and sslkey",
        )),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Error::new(
            ErrorKind::Config,
            "sslcert is given, but no sslkey",
        )),
        (None, Some(_)) => Err(Error::new(
            ErrorKind::Config,
            "sslkey is given, but no sslcert",
        )),
    }
}

fn version(version: config::TlsVersion) -> Result<TlsVersion> {
    match version {
        config::TlsVersion::Tls12 => Ok(TlsVersion::Tls12),
        config::TlsVersion::Tls13 => Ok(TlsVersion::Tls13),
        other => Err(unknown("version of TLS", &other)),
    }
}

/// What the configuration may name and this does not implement must not be taken for something
/// weaker.
fn unknown(what: &str, value: &dyn fmt::Debug) -> Error {
    Error::new(
        ErrorKind::Config,
        format!("the {what} {value:?} is not implemented"),
    )
}

fn read(what: &str, path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| unreadable(what, path, error))
}

/// Reads the private key, whose file nobody else may read (libpq's `initialize_SSL`). A file
/// of root's may be read by its group, so that the keys of a system can be shared by group.
fn read_key(path: &Path) -> Result<Vec<u8>> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let what = "client key";
        let found = std::fs::metadata(path).map_err(|error| unreadable(what, path, error))?;
        if !found.is_file() {
            return Err(Error::new(
                ErrorKind::Config,
                format!("the {what} {} is not a regular file", path.display()),
            ));
        }
        let forbidden = if found.uid() == 0 { 0o037 } else { 0o077 };
        if found.mode() & forbidden != 0 {
            return Err(Error::new(
                ErrorKind::Config,
                format!(
                    "the {what} {} can be read by others; its permissions must be u=rw (0600) \
                     or less, or u=rw,g=r (0640) or less where root owns it",
                    path.display()
                ),
            ));
        }
    }
    read("client key", path)
}

/// The files that the options name, each with what changes when it is replaced.
pub(super) fn stamps(options: &config::TlsOptions) -> Vec<Option<(SystemTime, u64)>> {
    let roots = match options.root_certificates() {
        Some(RootCertificates::File(path)) => Some(path.as_path()),
        _ => None,
    };
    [
        roots,
        options.certificate(),
        options.key(),
        options.revocation_list(),
        options.revocation_directory(),
    ]
    .into_iter()
    .map(|path| {
        let found = std::fs::metadata(path?).ok()?;
        Some((found.modified().ok()?, found.len()))
    })
    .collect()
}

fn unreadable(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Config,
        format!("can't read the {what} {}", path.display()),
    )
    .with_source(error)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    #[test]
    fn the_key_of_a_client_must_be_its_own() {
        let name = format!("kornak-key-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, "key").unwrap();
        let is_roots = fs::metadata(&path).unwrap().uid() == 0;
        for (mode, allowed) in [
            (0o600, true),
            (0o400, true),
            (0o640, is_roots),
            (0o660, false),
            (0o610, false),
            (0o604, false),
            (0o602, false),
            (0o601, false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let result = read_key(&path);
            assert_eq!(result.is_ok(), allowed, "{mode:o}: {result:?}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(read_key(&path).unwrap_err().kind(), ErrorKind::Config);
        assert_eq!(
            read_key(&std::env::temp_dir()).unwrap_err().kind(),
            ErrorKind::Config
        );
    }
}
