//! The hash of the server's certificate that SCRAM binds its proof to
//! (`tls-server-end-point`, RFC 5929, section 4; the server's `be_tls_get_certificate_hash`).

use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};

use super::certificate::Certificate;
use super::der::{self, Der};

/// The hash of the `certificate` by the hash function that it is signed with. `None` where
/// the RFC defines none: for signatures without a separate hash function (Ed25519, and those
/// that resist quantum computers), with several, and with one that isn't known here.
pub(super) fn hash(certificate: &[u8]) -> Option<Vec<u8>> {
    let algorithm = Certificate::parse(certificate)?.signature_algorithm;
    Some(match signature_hash(algorithm)? {
        // MD5 and SHA-1 are replaced by SHA-256.
        Hash::Md5 | Hash::Sha1 | Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha224 => Sha224::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// The hash function of an AlgorithmIdentifier for signatures.
fn signature_hash(algorithm: &[u8]) -> Option<Hash> {
    let mut algorithm = Der::new(algorithm);
    let identifier = algorithm.expect(der::OBJECT_IDENTIFIER)?;
    if identifier == RSA_PSS {
        return pss_hash(Der::new(algorithm.expect(der::SEQUENCE)?));
    }
    find(SIGNATURES, identifier)
}

/// The hash function of RSASSA-PSS, from its parameters (RFC 4055, section 3.1), if the mask
/// is generated with the same one.
fn pss_hash(mut parameters: Der<'_>) -> Option<Hash> {
    let hash = match parameters.optional(der::structure(0))? {
        Some(algorithm) => hash_function(algorithm)?,
        None => Hash::Sha1,
    };
    let mask = match parameters.optional(der::structure(1))? {
        Some(algorithm) => {
            let mut algorithm = Der::new(Der::new(algorithm).expect(der::SEQUENCE)?);
            if algorithm.expect(der::OBJECT_IDENTIFIER)? != MGF1 {
                return None;
            }
            hash_function(algorithm.expect_whole(der::SEQUENCE)?)?
        }
        None => Hash::Sha1,
    };
    (hash == mask).then_some(hash)
}

/// The hash function of an AlgorithmIdentifier, its tag included.
fn hash_function(algorithm: &[u8]) -> Option<Hash> {
    let algorithm = Der::new(algorithm).expect(der::SEQUENCE)?;
    find(HASHES, Der::new(algorithm).expect(der::OBJECT_IDENTIFIER)?)
}

fn find(table: &[(&[u8], Hash)], identifier: &[u8]) -> Option<Hash> {
    let (_, hash) = table.iter().find(|(known, _)| *known == identifier)?;
    Some(*hash)
}

/// 1.2.840.113549.1.1.10
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];

/// 1.2.840.113549.1.1.8
const MGF1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08];

/// RSA (1.2.840.113549.1.1), ECDSA (1.2.840.10045.4) and DSA (1.2.840.10040.4 and
/// 2.16.840.1.101.3.4.3).
const SIGNATURES: &[(&[u8], Hash)] = &[
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04", Hash::Md5),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", Hash::Sha1),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", Hash::Sha256),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", Hash::Sha384),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", Hash::Sha512),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0e", Hash::Sha224),
    (b"\x2a\x86\x48\xce\x3d\x04\x01", Hash::Sha1),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x01", Hash::Sha224),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x02", Hash::Sha256),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x03", Hash::Sha384),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x04", Hash::Sha512),
    (b"\x2a\x86\x48\xce\x38\x04\x03", Hash::Sha1),
    (b"\x60\x86\x48\x01\x65\x03\x04\x03\x01", Hash::Sha224),
    (b"\x60\x86\x48\x01\x65\x03\x04\x03\x02", Hash::Sha256),
    (b"\x60\x86\x48\x01\x65\x03\x04\x03\x03", Hash::Sha384),
    (b"\x60\x86\x48\x01\x65\x03\x04\x03\x04", Hash::Sha512),
];

/// 1.3.14.3.2.26 and 2.16.840.1.101.3.4.2
const HASHES: &[(&[u8], Hash)] = &[
    (b"\x2b\x0e\x03\x02\x1a", Hash::Sha1),
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x01", Hash::Sha256),
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x02", Hash::Sha384),
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x03", Hash::Sha512),
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x04", Hash::Sha224),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::fixtures;

    #[test]
    fn the_hash_is_the_one_of_the_signature() {
        let p256 = fixtures::signed_by(&rcgen::PKCS_ECDSA_P256_SHA256);
        assert_eq!(hash(&p256), Some(Sha256::digest(&p256).to_vec()));
        let p384 = fixtures::signed_by(&rcgen::PKCS_ECDSA_P384_SHA384);
        assert_eq!(hash(&p384), Some(Sha384::digest(&p384).to_vec()));
        // The same certificate as if it were signed otherwise.
        let with = |identifier: &[u8], length: usize| {
            let other = fixtures::with_signature_algorithm(&p256, identifier);
            let hash = hash(&other).unwrap();
            assert_eq!(hash.len(), length, "{identifier:x?}");
            (hash, other)
        };
        for (identifier, function) in SIGNATURES {
            match function {
                Hash::Md5 | Hash::Sha1 | Hash::Sha256 => {
                    let (hash, other) = with(identifier, 32);
                    assert_eq!(hash, Sha256::digest(other).to_vec());
                }
                Hash::Sha224 => _ = with(identifier, 28),
                Hash::Sha384 => _ = with(identifier, 48),
                Hash::Sha512 => _ = with(identifier, 64),
            }
        }
    }

    #[test]
    fn s14_certificates_without_a_hash_have_none() {
        assert_eq!(hash(&fixtures::signed_by(&rcgen::PKCS_ED25519)), None);
        let p256 = fixtures::signed_by(&rcgen::PKCS_ECDSA_P256_SHA256);
        for unknown in [
            // Ed448, ML-DSA-65, SHA3-256 with RSA, MD2 with RSA, RSA without a hash.
            &b"\x2b\x65\x71"[..],
            b"\x60\x86\x48\x01\x65\x03\x04\x03\x12",
            b"\x60\x86\x48\x01\x65\x03\x04\x03\x0e",
            b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x02",
            b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01",
            b"",
        ] {
            let other = fixtures::with_signature_algorithm(&p256, unknown);
            assert_eq!(hash(&other), None, "{unknown:x?}");
        }
        assert_eq!(hash(b""), None);
        assert_eq!(hash(b"certificate"), None);
    }

    #[test]
    fn the_parameters_of_pss_tell_its_hash() {
        // As `openssl x509` writes them, for SHA-256, 384 and 512 with salts as long.
        let check = |parameters: &[u8], expected| {
            let algorithm = [&[der::OBJECT_IDENTIFIER, 9], RSA_PSS, parameters].concat();
            assert_eq!(signature_hash(&algorithm), expected, "{parameters:x?}");
        };
        let parameters = |hash: u8, mask: u8, salt: u8| {
            let mut bytes = b"\x30\x34\
                \xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x00\x05\x00\
                \xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\
                \x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x00\x05\x00\
                \xa2\x03\x02\x01\x00"
                .to_vec();
            (bytes[16], bytes[46], bytes[53]) = (hash, mask, salt);
            bytes
        };
        check(&parameters(1, 1, 32), Some(Hash::Sha256));
        check(&parameters(2, 2, 48), Some(Hash::Sha384));
        check(&parameters(3, 3, 64), Some(Hash::Sha512));
        // Two hash functions, and unknown ones.
        check(&parameters(1, 2, 32), None);
        check(&parameters(8, 8, 32), None);
        // Everything by default is SHA-1.
        check(b"\x30\x00", Some(Hash::Sha1));
        check(b"", None);
        check(b"\x30\x04\xa0\x02\x30\x00", None);
        check(b"\x30\x05\xa1\x03\x30\x01\x00", None);
    }
}
