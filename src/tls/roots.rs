//! From PEM to what the verifier needs (manual, "Client Verification of Server Certificates";
//! libpq's `sslrootcert` and `sslcrl`).

use std::path::PathBuf;
use std::{env, fs};

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor};
use webpki::{CertRevocationList, OwnedCertRevocationList, anchor_from_trusted_cert};

use super::certificate::Certificate;
use crate::error::{Error, ErrorKind, Result};
use crate::transport::{Roots, Trust};

/// Whom to trust, in the form that the verifier needs.
#[derive(Debug)]
pub(super) struct TrustStore {
    pub(super) anchors: Vec<TrustAnchor<'static>>,
    /// The certificates that the user chose. They are also trusted when the server itself
    /// presents them, as it does where it has signed its own.
    pub(super) chosen: Vec<CertificateDer<'static>>,
    pub(super) revocation_lists: Vec<CertRevocationList<'static>>,
}

impl TrustStore {
    pub(super) fn new(trust: &Trust) -> Result<Self> {
        let mut store = match &trust.roots {
            Roots::Pem(pem) => Self::from_pem(pem)?,
            Roots::System => Self::from_system()?,
        };
        for list in sections::<CertificateRevocationListDer<'_>>(&trust.revocation_lists) {
            let list = list
                .map_err(|error| invalid("the certificate revocation list is not valid PEM", error))
                .and_then(|list| {
                    OwnedCertRevocationList::from_der(&list).map_err(|error| {
                        invalid("the certificate revocation list is invalid", error)
                    })
                })?;
            store.revocation_lists.push(list.into());
        }
        if store.revocation_lists.is_empty() && !trust.revocation_lists.is_empty() {
            return Err(Error::new(
                ErrorKind::Config,
                "there is no certificate revocation list where one should be",
            ));
        }
        Ok(store)
    }

    /// The certificates that the user chose. One that isn't an authority's is still trusted
    /// as the server's own.
    fn from_pem(pem: &[u8]) -> Result<Self> {
        let mut chosen = Vec::new();
        for certificate in sections::<CertificateDer<'_>>(pem) {
            chosen.push(
                certificate
                    .map_err(|error| invalid("the root certificates are not valid PEM", error))?,
            );
        }
        if chosen.is_empty() {
            return Err(Error::new(
                ErrorKind::Config,
                "there is no root certificate where one should be",
            ));
        }
        Ok(Self {
            anchors: anchors(&chosen),
            chosen,
            revocation_lists: Vec::new(),
        })
    }

    /// The authorities that the system trusts: of the places that OpenSSL's environment
    /// variables name, or else of the bundle that the distribution maintains.
    fn from_system() -> Result<Self> {
        let file = env::var_os("SSL_CERT_FILE");
        let folders = env::var_os("SSL_CERT_DIR");
        let files: Vec<PathBuf> = if file.is_some() || folders.is_some() {
            let folders = folders.as_deref().map(env::split_paths);
            let in_folders = folders.into_iter().flatten().flat_map(files_in);
            file.map(PathBuf::from)
                .into_iter()
                .chain(in_folders)
                .collect()
        } else {
            let bundles = BUNDLES.iter().map(PathBuf::from);
            bundles.filter(|path| path.is_file()).take(1).collect()
        };
        Self::from_files(&files)
    }

    /// The anchors in files of the system's, which may hold what can't be read here.
    fn from_files(files: &[PathBuf]) -> Result<Self> {
        let mut store = Self {
            anchors: Vec::new(),
            chosen: Vec::new(),
            revocation_lists: Vec::new(),
        };
        for pem in files.iter().filter_map(|file| fs::read(file).ok()) {
            let certificates: Vec<_> = sections(&pem).filter_map(std::result::Result::ok).collect();
            store.anchors.extend(anchors(&certificates));
        }
        if store.anchors.is_empty() {
            return Err(Error::new(
                ErrorKind::Config,
                "the system has no root certificates in the usual places; SSL_CERT_FILE can \
                 name others",
            ));
        }
        Ok(store)
    }
}

/// The sections of one kind. Others between them, and text, are passed over.
pub(super) fn sections<T: PemObject>(
    pem: &[u8],
) -> impl Iterator<Item = std::result::Result<T, impl std::error::Error + Send + Sync + use<T>>> {
    T::pem_slice_iter(pem)
}

/// The files of a folder. Links to other files are what it usually consists of.
fn files_in(folder: PathBuf) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.is_file())
        .collect()
}

fn anchors(certificates: &[CertificateDer<'_>]) -> Vec<TrustAnchor<'static>> {
    certificates
        .iter()
        .filter(|certificate| {
            Certificate::parse(certificate).is_some_and(|certificate| certificate.is_authority())
        })
        .filter_map(|certificate| anchor_from_trusted_cert(certificate).ok())
        .map(|anchor| anchor.to_owned())
        .collect()
}

fn invalid(what: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Config, what).with_source(error)
}

/// Where distributions keep their bundle: Debian, Ubuntu, Arch, Gentoo; Fedora, RHEL; SUSE;
/// Alpine, macOS, OpenBSD; FreeBSD; NetBSD; NixOS.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
    "/etc/openssl/certs/ca-certificates.crt",
    "/etc/ssl/certs/ca-bundle.crt",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::fixtures;

    #[test]
    fn the_systems_roots_are_found_in_files_and_folders() {
        let folder = env::temp_dir().join(format!("kornak-roots-{}", std::process::id()));
        fs::create_dir_all(folder.join("folder")).unwrap();
        let bundle = folder.join("bundle.pem");
        let [a, b, c] = ["a", "b", "c"].map(|name| fixtures::authority(name).pem());
        fs::write(&bundle, format!("# a comment\n{a}\n{b}")).unwrap();
        fs::write(folder.join("folder/c.pem"), c).unwrap();
        fs::write(
            folder.join("folder/broken.pem"),
            "-----BEGIN CERTIFICATE-----\n?",
        )
        .unwrap();
        let in_folder = files_in(folder.join("folder"));
        let anchors = |files: &[PathBuf]| TrustStore::from_files(files).map(|s| s.anchors.len());
        assert_eq!(anchors(std::slice::from_ref(&bundle)).unwrap(), 2);
        assert_eq!(anchors(&in_folder).unwrap(), 1);
        assert_eq!(anchors(&[vec![bundle], in_folder].concat()).unwrap(), 3);
        for files in [vec![], vec![folder.join("missing")]] {
            assert_eq!(anchors(&files).unwrap_err().kind(), ErrorKind::Config);
        }
        assert!(files_in(folder.join("missing")).is_empty());
        fs::remove_dir_all(folder).unwrap();
    }
}
