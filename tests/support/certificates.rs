//! Certificates made for a test, and private clusters that have them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ED25519,
    date_time_ymd,
};
use xtask::process::Account;
use xtask::server::{Private, Server};

use super::scram::base64_encode;
use super::temporary::TemporaryDirectory;

/// An authority, and a directory for the files of what it signs.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TemporaryDirectory,
}

/// What is special about a server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing: it is for `localhost`, 127.0.0.1 and `*.kornak.test`.
    None,
    /// It has signed itself.
    SelfSigned,
    /// It is for another host.
    OtherHost,
    /// It has expired.
    Expired,
    /// Its signature is by Ed25519, for which no channel binding is defined.
    Unbindable,
}

impl Authority {
    /// A new one, which nobody knows.
    pub fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters
            .distinguished_name
            .push(DnType::CommonName, "the authority of a test");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(parameters, key).expect("a certificate");
        let this = Self {
            issuer,
            directory: TemporaryDirectory::new(),
        };
        fs::write(this.root_file(), this.issuer.pem()).expect("a file");
        this
    }

    /// The file with its own certificate.
    pub fn root_file(&self) -> PathBuf {
        self.directory.path().join("root.crt")
    }

    /// Starts a cluster of this major with a certificate with this flaw.
    pub fn cluster(&self, major: u32, flaw: Flaw) -> Private {
        let settings = self.settings(flaw);
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        Server::private_of(major, "tls", &settings)
            .unwrap_or_else(|error| panic!("a cluster of {major} with TLS: {error}"))
    }

    /// Makes a certificate for clients, and returns its file and that of its key.
    pub fn client(&self, user: &str) -> (PathBuf, PathBuf) {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, user);
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters
            .signed_by(&key, &self.issuer)
            .expect("a certificate");
        let files = (
            self.directory.path().join(format!("{user}.crt")),
            self.directory.path().join(format!("{user}.key")),
        );
        fs::write(&files.0, certificate.pem()).expect("a file");
        fs::write(&files.1, key.serialize_pem()).expect("a file");
        fs::set_permissions(&files.1, fs::Permissions::from_mode(0o600)).expect("chmod");
        files
    }

    fn settings(&self, flaw: Flaw) -> Vec<String> {
        let mut parameters = CertificateParams::new(match flaw {
            Flaw::OtherHost => vec!["elsewhere.test".to_owned()],
            _ => ["localhost", "127.0.0.1", "*.kornak.test"]
                .map(str::to_owned)
                .to_vec(),
        })
        .expect("names");
        if flaw == Flaw::Expired {
            parameters.not_before = date_time_ymd(2001, 1, 1);
            parameters.not_after = date_time_ymd(2002, 1, 1);
        }
        let key = match flaw {
            Flaw::Unbindable => KeyPair::generate_for(&PKCS_ED25519),
            _ => KeyPair::generate(),
        }
        .expect("a key");
        let certificate = match flaw {
            // The signature's algorithm is that of the signer's key.
            Flaw::SelfSigned | Flaw::Unbindable => parameters.self_signed(&key),
            _ => parameters.signed_by(&key, &self.issuer),
        }
        .expect("a certificate");
        let file = |name: &str, text: String| {
            let path = self.directory.path().join(format!("{flaw:?}.{name}"));
            fs::write(&path, text).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
            if let Some(account) = Account::for_servers().expect("an account") {
                account.own(&path).expect("chown");
            }
            path.display().to_string()
        };
        let root = self.root_file().display().to_string();
        vec![
            "ssl = on".to_owned(),
            format!("ssl_cert_file = '{}'", file("crt", certificate.pem())),
            format!("ssl_key_file = '{}'", file("key", key_pem(&key, flaw))),
            format!("ssl_ca_file = '{root}'"),
        ]
    }
}

/// The private key. OpenSSL doesn't read an Ed25519 key that its public key follows, as they
/// are made here, but one of the old form (RFC 8410, section 7).
fn key_pem(key: &KeyPair, flaw: Flaw) -> String {
    if flaw != Flaw::Unbindable {
        return key.serialize_pem();
    }
    const HEAD: &[u8] = b"\x30\x2e\x02\x01\0\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    let long = key.serialize_der();
    // The heads differ in a length and in the version alone.
    let old = [HEAD, &long[HEAD.len()..HEAD.len() + 32]].concat();
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        base64_encode(&old)
    )
}
