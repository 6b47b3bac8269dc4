//! Certificates made for a test, and private clusters that have them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256,
    PKCS_RSA_SHA384, PKCS_RSA_SHA512, RevokedCertParams, SerialNumber, date_time_ymd,
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
    /// It has signed itself by RSA with SHA-256.
    Rsa256,
    /// As `Rsa256`, with SHA-384.
    Rsa384,
    /// As `Rsa256`, with SHA-512.
    Rsa512,
    /// It has signed itself by ECDSA with SHA-384.
    Ecdsa384,
}

/// The serial number of the certificates of servers.
const SERIAL: u64 = 77;

/// A key of RSA, because those can't be made here. It opens nothing but the servers of tests.
const RSA_KEY: &str = include_str!("rsa-2048.pem");

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
        self.cluster_with(major, flaw, &[])
    }

    /// As [`cluster`](Self::cluster), with more settings.
    pub fn cluster_with(&self, major: u32, flaw: Flaw, more: &[&str]) -> Private {
        let settings = self.settings(flaw);
        let mut settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        settings.extend(more);
        Server::private_of(major, "tls", &settings)
            .unwrap_or_else(|error| panic!("a cluster of {major} with TLS: {error}"))
    }

    /// Makes a revocation list, empty or with the certificates of the servers on it, and returns
    /// its file.
    pub fn revocation_list(&self, revokes_servers: bool) -> PathBuf {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(SERIAL),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2999, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: if revokes_servers {
                vec![revoked]
            } else {
                Vec::new()
            },
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).expect("a list");
        // A directory of its own, which can be given as one of lists.
        let directory = self
            .directory
            .path()
            .join(format!("lists-{revokes_servers}"));
        fs::create_dir_all(&directory).expect("a directory");
        let path = directory.join("list.crl");
        fs::write(&path, list.pem().expect("PEM")).expect("a file");
        path
    }

    /// Writes a file that a server of this authority can read, and returns its path.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
        if let Some(account) = Account::for_servers().expect("an account") {
            account.own(&path).expect("chown");
        }
        path
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
        parameters.serial_number = Some(SerialNumber::from(SERIAL));
        let rsa = |algorithm| KeyPair::from_pem_and_sign_algo(RSA_KEY, algorithm);
        let key = match flaw {
            Flaw::Unbindable => KeyPair::generate_for(&PKCS_ED25519),
            Flaw::Ecdsa384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
            Flaw::Rsa256 => rsa(&PKCS_RSA_SHA256),
            Flaw::Rsa384 => rsa(&PKCS_RSA_SHA384),
            Flaw::Rsa512 => rsa(&PKCS_RSA_SHA512),
            _ => KeyPair::generate(),
        }
        .expect("a key");
        let certificate = match flaw {
            // The signature's algorithm is that of the signer's key.
            Flaw::None | Flaw::OtherHost | Flaw::Expired => {
                parameters.signed_by(&key, &self.issuer)
            }
            _ => parameters.self_signed(&key),
        }
        .expect("a certificate");
        let file = |name: &str, text: String| {
            let path = self.file(&format!("{flaw:?}.{name}"), &text);
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
