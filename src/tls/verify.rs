//! The verifier of server certificates: libpq's `require`, `verify-ca` and `verify-full`
//! (manual, "Client Verification of Server Certificates").

use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key,
};
use tokio_rustls::rustls::pki_types::{
    CertificateDer, ServerName, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer, UnixTime,
};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, PeerMisbehaved, SignatureScheme,
};
use webpki::{
    EndEntityCert, ExpirationPolicy, KeyUsage, RawPublicKeyEntity, RevocationOptionsBuilder,
};

use super::certificate::{Certificate, NAME_CONSTRAINTS};
use super::name::{self, Mismatch};
use super::roots::TrustStore;

/// What is demanded of the server's certificate.
///
/// In every case the handshake is signed by the key of the certificate: otherwise the hash
/// that SCRAM binds its proof to would prove nothing.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    /// `None` accepts any certificate.
    pub(super) trust: Option<TrustStore>,
    pub(super) check_name: bool,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = parse(end_entity)?;
        let Some(trust) = &self.trust else {
            return Ok(ServerCertVerified::assertion());
        };
        let is_simple = trust.revocation_lists.is_empty();
        let constrained = if is_simple && trust.chosen.contains(end_entity) {
            verify_validity(&certificate, now)?;
            false
        } else if is_simple && certificate.is_version_1 {
            verify_validity(&certificate, now)?;
            self.verify_version_1(trust, &certificate)?
        } else {
            self.verify_chain(trust, end_entity, intermediates, now)?
        };
        if self.check_name {
            name::verify(&certificate, server_name, constrained).map_err(
                |Mismatch { presented }| CertificateError::NotValidForNameContext {
                    expected: server_name.to_owned(),
                    presented,
                },
            )?;
        }
        Ok(ServerCertVerified::assertion())
    }

    /// Several algorithms share one scheme here: the one counts that fits the key (RFC 5246,
    /// section 7.4.1.4.1).
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let (_, algorithms) = self
            .algorithms
            .mapping
            .iter()
            .find(|(scheme, _)| *scheme == signed.scheme)
            .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        let key = parse(certificate)?.public_key;
        if is_signed(key, algorithms.iter().copied(), message, signed.signature()) {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(parse(certificate)?.public_key);
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl Verifier {
    /// Builds and checks the chain to an anchor. Tells whether an authority in it, or in
    /// what the server sent, is limited to certain names.
    fn verify_chain(
        &self,
        trust: &TrustStore,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<bool, Error> {
        let lists: Vec<_> = trust.revocation_lists.iter().collect();
        // As OpenSSL does for libpq: the whole chain, and nothing whose status is unknown.
        let revocation = RevocationOptionsBuilder::new(&lists)
            .map(|builder| {
                builder
                    .with_expiration_policy(ExpirationPolicy::Enforce)
                    .build()
            })
            .ok();
        let certificate = EndEntityCert::try_from(end_entity).map_err(refused)?;
        let path = certificate
            .verify_for_usage(
                self.algorithms.all,
                &trust.anchors,
                intermediates,
                now,
                KeyUsage::server_auth(),
                revocation,
                None,
            )
            .map_err(refused)?;
        let is_constrained = |certificate: &CertificateDer<'_>| {
            Certificate::parse(certificate).is_none_or(|authority| is_constrained(&authority))
        };
        Ok(path.anchor().name_constraints.is_some() || intermediates.iter().any(is_constrained))
    }

    /// A certificate of version 1, which `webpki` doesn't read, but which the commands of
    /// the manual ("Creating Certificates") make with OpenSSL 3.0. An authority that the user
    /// chose must have signed it, without others in between. Tells whether that authority is
    /// limited to certain names.
    fn verify_version_1(
        &self,
        trust: &TrustStore,
        certificate: &Certificate<'_>,
    ) -> Result<bool, Error> {
        let algorithms = || {
            self.algorithms.all.iter().copied().filter(|algorithm| {
                *algorithm.signature_alg_id() == *certificate.signature_algorithm
            })
        };
        let (signed, signature) = (certificate.signed, certificate.signature);
        trust
            .chosen
            .iter()
            .filter_map(|authority| Certificate::parse(authority))
            .filter(|authority| authority.is_authority())
            .filter(|authority| authority.subject == certificate.issuer)
            .find(|authority| is_signed(authority.public_key, algorithms(), signed, signature))
            .map(|authority| is_constrained(&authority))
            .ok_or_else(|| refused(webpki::Error::UnsupportedCertVersion))
    }
}

/// What is to be checked of a certificate that `webpki` doesn't check.
fn verify_validity(certificate: &Certificate<'_>, now: UnixTime) -> Result<(), Error> {
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let (not_before, not_after) = certificate.validity;
    if seconds < not_before {
        Err(CertificateError::NotValidYet.into())
    } else if seconds > not_after {
        Err(CertificateError::Expired.into())
    } else {
        Ok(())
    }
}

/// Whether an authority may only issue certain names.
fn is_constrained(authority: &Certificate<'_>) -> bool {
    authority.extension(NAME_CONSTRAINTS) != Some(None)
}

/// Whether the key, a SubjectPublicKeyInfo, has signed the message by one of the algorithms.
/// None verifies anything with a key that isn't of its kind.
fn is_signed(
    key: &[u8],
    algorithms: impl IntoIterator<Item = &'static dyn SignatureVerificationAlgorithm>,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let key = key.into();
    let Ok(key) = RawPublicKeyEntity::try_from(&key) else {
        return false;
    };
    algorithms
        .into_iter()
        .any(|algorithm| key.verify_signature(algorithm, message, signature).is_ok())
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<Certificate<'a>, Error> {
    Certificate::parse(certificate).ok_or_else(|| CertificateError::BadEncoding.into())
}

/// A chain that can't be trusted, as the error for which rustls sends the alert that fits.
fn refused(error: webpki::Error) -> Error {
    match error {
        webpki::Error::BadDer | webpki::Error::BadDerTime | webpki::Error::TrailingData(_) => {
            CertificateError::BadEncoding
        }
        webpki::Error::CertNotValidYet { .. } => CertificateError::NotValidYet,
        webpki::Error::CertExpired { .. } | webpki::Error::InvalidCertValidity => {
            CertificateError::Expired
        }
        webpki::Error::CertRevoked => CertificateError::Revoked,
        webpki::Error::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        webpki::Error::CrlExpired { .. } => CertificateError::ExpiredRevocationList,
        // An authority of the right name, but with another key, is another authority.
        webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
            CertificateError::UnknownIssuer
        }
        other => CertificateError::Other(OtherError(std::sync::Arc::new(other))),
    }
    .into()
}
