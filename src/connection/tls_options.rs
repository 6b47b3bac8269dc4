//! From the configuration's TLS options, which name files, to the transport's, which hold
//! their contents.

use std::path::Path;

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
        _ => Verification::None,
    };
    Ok(TlsOptions {
        verification,
        identity: identity(options)?,
        server_name_indication: options.server_name_indication(),
        min_version: version(options.min_version()),
        max_version: options.max_version().map_or(TlsVersion::Tls13, version),
    })
}

fn trust(options: &config::TlsOptions) -> Result<Trust> {
    let roots = match options.root_certificates() {
        None | Some(RootCertificates::System) => Roots::System,
        Some(RootCertificates::File(path)) => Roots::Pem(read("root certificates", path)?),
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
            key: read("client key", key)?,
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

fn version(version: config::TlsVersion) -> TlsVersion {
    match version {
        config::TlsVersion::Tls12 => TlsVersion::Tls12,
        config::TlsVersion::Tls13 => TlsVersion::Tls13,
    }
}

fn read(what: &str, path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| unreadable(what, path, error))
}

fn unreadable(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Config,
        format!("can't read the {what} {}", path.display()),
    )
    .with_source(error)
}
