//! The verifier of server certificates: libpq's `require`, `verify-ca` and `verify-full`
//! (manual, "Client Verification of Server Certificates").

use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key,
};
use tokio_rustls::rustls::pki_types::{
    CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
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
        let constrained = if trust.pinned.contains(end_entity) {
            trust.verify_pinned(&certificate, now)?;
            false
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
    /// section 7.4.1.4.1), and none verifies with a key that isn't its own.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = parse(certificate)?.public_key.into();
        let key = RawPublicKeyEntity::try_from(&key).map_err(|_| CertificateError::BadEncoding)?;
        let (_, algorithms) = self
            .algorithms
            .mapping
            .iter()
            .find(|(scheme, _)| *scheme == signed.scheme)
            .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        let is_signed = algorithms.iter().any(|&algorithm| {
            key.verify_signature(algorithm, message, signed.signature())
                .is_ok()
        });
        if is_signed {
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
            Certificate::parse(certificate)
                .is_none_or(|authority| authority.extension(NAME_CONSTRAINTS) != Some(None))
        };
        Ok(path.anchor().name_constraints.is_some() || intermediates.iter().any(is_constrained))
    }
}

impl TrustStore {
    /// What is to be checked of a certificate that is trusted as it is.
    fn verify_pinned(&self, certificate: &Certificate<'_>, now: UnixTime) -> Result<(), Error> {
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let (not_before, not_after) = certificate.validity;
        if seconds < not_before {
            return Err(CertificateError::NotValidYet.into());
        }
        if seconds > not_after {
            return Err(CertificateError::Expired.into());
        }
        if self.revocation_lists.is_empty() {
            return Ok(());
        }
        let mut lists = self
            .revocation_lists
            .iter()
            .filter(|list| list.issuer() == certificate.issuer)
            .peekable();
        if lists.peek().is_none() {
            return Err(CertificateError::UnknownRevocationStatus.into());
        }
        for list in lists {
            if list
                .find_serial(certificate.serial)
                .map_err(refused)?
                .is_some()
            {
                return Err(CertificateError::Revoked.into());
            }
        }
        Ok(())
    }
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
