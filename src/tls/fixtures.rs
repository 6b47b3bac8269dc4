//! Certificates and servers for the tests of this folder.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, RevokedCertParams, SanType, SerialNumber, SignatureAlgorithm,
    SigningKey as _, date_time_ymd,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{WantsServerCert, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{ConfigBuilder, RootCertStore, ServerConfig};

use super::der::{self, Der};
use super::*;

/// The parameters of a certificate for `names` (addresses are recognised as such) and for
/// `common_name`.
pub(super) fn parameters(names: &[&str], common_name: Option<&str>) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.remove(DnType::CommonName);
    if let Some(name) = common_name {
        parameters.distinguished_name.push(DnType::CommonName, name);
    }
    for name in names {
        parameters.subject_alt_names.push(match name.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName((*name).try_into().unwrap()),
        });
    }
    parameters.serial_number = Some(SerialNumber::from(SERIAL));
    parameters
}

/// A self-signed certificate.
pub(super) fn certificate(names: &[&str], common_name: Option<&str>) -> Vec<u8> {
    let key = KeyPair::generate().unwrap();
    let certificate = parameters(names, common_name).self_signed(&key).unwrap();
    certificate.der().to_vec()
}

/// A certificate that is signed by `algorithm`.
pub(super) fn signed_by(algorithm: &'static SignatureAlgorithm) -> Vec<u8> {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let certificate = parameters(&["localhost"], None).self_signed(&key).unwrap();
    certificate.der().to_vec()
}

/// The certificate as if it were signed by the algorithm with another object identifier.
pub(super) fn with_signature_algorithm(certificate: &[u8], identifier: &[u8]) -> Vec<u8> {
    let mut outer = Der::new(Der::new(certificate).expect(der::SEQUENCE).unwrap());
    let mut signed = Der::new(outer.expect(der::SEQUENCE).unwrap());
    outer.expect(der::SEQUENCE).unwrap();
    let signature = outer.expect_whole(der::BIT_STRING).unwrap();
    let algorithm = element(
        der::SEQUENCE,
        &[&element(der::OBJECT_IDENTIFIER, &[identifier])],
    );
    let version = signed.expect_whole(der::structure(0)).unwrap();
    let serial = signed.expect_whole(der::INTEGER).unwrap();
    signed.expect(der::SEQUENCE).unwrap();
    let rest = signed.rest();
    let signed = element(der::SEQUENCE, &[version, serial, &algorithm, rest]);
    element(der::SEQUENCE, &[&signed, &algorithm, signature])
}

/// The certificate in version 1, which has no extensions. Its signature is then wrong.
pub(super) fn version_1(certificate: &[u8]) -> Vec<u8> {
    let mut outer = Der::new(Der::new(certificate).expect(der::SEQUENCE).unwrap());
    let mut signed = Der::new(outer.expect(der::SEQUENCE).unwrap());
    signed.expect(der::structure(0)).unwrap();
    let mut fields = vec![signed.expect_whole(der::INTEGER).unwrap()];
    for _ in ["algorithm", "issuer", "validity", "subject", "key"] {
        fields.push(signed.expect_whole(der::SEQUENCE).unwrap());
    }
    let algorithm = outer.expect_whole(der::SEQUENCE).unwrap();
    let signature = outer.expect_whole(der::BIT_STRING).unwrap();
    let signed = element(der::SEQUENCE, &fields);
    element(der::SEQUENCE, &[&signed, algorithm, signature])
}

/// The certificate with a signature of the authority's.
pub(super) fn signed_anew(
    certificate: &[u8],
    authority: &CertifiedIssuer<'static, KeyPair>,
) -> Vec<u8> {
    let mut outer = Der::new(Der::new(certificate).expect(der::SEQUENCE).unwrap());
    let signed = outer.expect_whole(der::SEQUENCE).unwrap();
    let algorithm = outer.expect_whole(der::SEQUENCE).unwrap();
    let signature = authority.key().sign(signed).unwrap();
    let signature = element(der::BIT_STRING, &[&[0], &signature]);
    element(der::SEQUENCE, &[signed, algorithm, &signature])
}

/// A certificate in PEM.
pub(super) fn pem(certificate: &[u8]) -> String {
    let mut text = Vec::new();
    for chunk in certificate.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let [a, b, c] = group.map(u32::from);
        for place in 0..4 {
            let digit = (a << 16 | b << 8 | c) >> (18 - 6 * place) & 63;
            text.push(match digit as u8 {
                _ if place > chunk.len() => b'=',
                digit @ 0..26 => b'A' + digit,
                digit @ 26..52 => b'a' + digit - 26,
                digit @ 52..62 => b'0' + digit - 52,
                62 => b'+',
                _ => b'/',
            });
        }
    }
    let lines: Vec<_> = text.chunks(64).map(String::from_utf8_lossy).collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}

/// An element of DER.
pub(super) fn element(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let contents = contents.concat();
    let [.., high, low] = contents.len().to_be_bytes();
    let header = match contents.len() {
        0..0x80 => vec![tag, low],
        0x80..0x100 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [header, contents].concat()
}

/// A certificate authority.
pub(super) fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    authority_with(name, |_| ())
}

/// A certificate authority with changed parameters.
pub(super) fn authority_with(
    name: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = parameters(&[], Some(name));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut parameters);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) pem: String,
    pub(super) key_pem: String,
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

impl Identity {
    /// A certificate that `authority` has signed, or its own key.
    pub(super) fn new(
        parameters: &CertificateParams,
        authority: Option<&CertifiedIssuer<'static, KeyPair>>,
    ) -> Self {
        Self::of_key(parameters, authority, KeyPair::generate().unwrap())
    }

    pub(super) fn of_key(
        parameters: &CertificateParams,
        authority: Option<&CertifiedIssuer<'static, KeyPair>>,
        key: KeyPair,
    ) -> Self {
        let certificate = match authority {
            Some(authority) => parameters.signed_by(&key, authority),
            None => parameters.self_signed(&key),
        }
        .unwrap();
        Self {
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            chain: vec![certificate.der().clone()],
            key: Arc::new(PrivateKeyDer::try_from(key.serialize_der()).unwrap()),
        }
    }

    /// What an authority uses for a server of its own.
    pub(super) fn of_authority(authority: &CertifiedIssuer<'static, KeyPair>) -> Self {
        Self {
            pem: authority.pem(),
            key_pem: authority.key().serialize_pem(),
            chain: vec![authority.der().clone()],
            key: Arc::new(PrivateKeyDer::try_from(authority.key().serialize_der()).unwrap()),
        }
    }

    /// The same with another certificate behind its own.
    pub(super) fn with_chain(mut self, authority: &CertifiedIssuer<'static, KeyPair>) -> Self {
        self.chain.push(authority.der().clone());
        self
    }

    /// Another certificate, with which this one's key may have nothing to do.
    pub(super) fn with_certificate(mut self, certificate: Vec<u8>) -> Self {
        self.chain = vec![certificate.into()];
        self
    }

    /// The configuration of a server that never checks that certificate and key fit.
    pub(super) fn careless_server(&self, version: TlsVersion) -> ServerConfig {
        self.server_of(&[version], None, |builder| {
            let key = ring::sign::any_supported_type(&self.key).unwrap();
            let certified = CertifiedKey::new(self.chain.clone(), key);
            builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
        })
    }

    /// The configuration of a server with this certificate.
    pub(super) fn server(&self) -> ServerConfig {
        self.server_with(&[TlsVersion::Tls12, TlsVersion::Tls13], None)
    }

    /// The configuration of a server that speaks `versions` and, with `clients`, demands
    /// client certificates that this authority has signed.
    pub(super) fn server_with(
        &self,
        versions: &[TlsVersion],
        clients: Option<&CertifiedIssuer<'static, KeyPair>>,
    ) -> ServerConfig {
        self.server_of(versions, clients, |builder| {
            builder
                .with_single_cert(self.chain.clone(), self.key.clone_key())
                .unwrap()
        })
    }

    fn server_of(
        &self,
        versions: &[TlsVersion],
        clients: Option<&CertifiedIssuer<'static, KeyPair>>,
        finish: impl FnOnce(ConfigBuilder<ServerConfig, WantsServerCert>) -> ServerConfig,
    ) -> ServerConfig {
        let provider = Arc::new(ring::default_provider());
        let versions: Vec<_> = versions
            .iter()
            .map(|version| match version {
                TlsVersion::Tls12 => &rustls::version::TLS12,
                TlsVersion::Tls13 => &rustls::version::TLS13,
            })
            .collect();
        let clients = match clients {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.der().clone()).unwrap();
                let verifier: Arc<dyn ClientCertVerifier> =
                    WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
                        .build()
                        .unwrap();
                verifier
            }
        };
        finish(
            ServerConfig::builder_with_provider(provider)
                .with_protocol_versions(&versions)
                .unwrap()
                .with_client_cert_verifier(clients),
        )
    }
}

/// A revocation list of `authority` for certificates with these serial numbers, valid until
/// the beginning of `until`.
pub(super) fn revocation_list(
    authority: &CertifiedIssuer<'static, KeyPair>,
    serials: &[u64],
    until: i32,
) -> String {
    CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        next_update: date_time_ymd(until, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: serials
            .iter()
            .map(|&serial| RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: date_time_ymd(2020, 1, 1),
                reason_code: None,
                invalidity_date: None,
            })
            .collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    }
    .signed_by(authority)
    .unwrap()
    .pem()
    .unwrap()
}

/// The serial number of every certificate made here.
pub(super) const SERIAL: u64 = 4711;
