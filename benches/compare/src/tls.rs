//! TLS for the live comparison: a certificate made for it, and what a client trusts.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use xtask::process::Account;

use crate::Result;

/// The files of a certificate for 127.0.0.1 that signs itself, in a folder that goes with
/// this value.
#[derive(Debug)]
pub struct Certificate {
    folder: PathBuf,
}

impl Certificate {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// If files can't be written.
    pub fn make() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("kornak-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let this = Self { folder };
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(["127.0.0.1".to_owned()])?.self_signed(&key)?;
        for (path, text) in [
            (this.file("crt"), certificate.pem()),
            (this.file("key"), key.serialize_pem()),
        ] {
            std::fs::write(&path, text)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
            if let Some(account) = Account::for_servers()? {
                account.own(&path)?;
            }
        }
        Ok(this)
    }

    /// What a client trusts.
    pub fn root(&self) -> PathBuf {
        self.file("crt")
    }

    /// The lines of `postgresql.conf` for it.
    pub fn settings(&self) -> Vec<String> {
        vec![
            "ssl = on".to_owned(),
            format!("ssl_cert_file = '{}'", self.file("crt").display()),
            format!("ssl_key_file = '{}'", self.file("key").display()),
        ]
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("server.{ending}"))
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        // What can't be removed has gone already.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A client that trusts this certificate alone.
///
/// # Errors
///
/// If it can't be read.
pub fn client(root: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(root)?)?;
    Ok(Arc::new(
        ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth(),
    ))
}
