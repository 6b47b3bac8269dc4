//! What is read of a certificate here (RFC 5280, section 4.1). Chains are built and checked
//! by `webpki`, which neither shows the signature's algorithm nor reads version 1.

use super::der::{self, Der};

/// The fields of a certificate, where they lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Certificate<'a> {
    /// What is signed, with its tag.
    pub(super) signed: &'a [u8],
    /// Whether it is of version 1, which has no extensions.
    pub(super) is_version_1: bool,
    /// The contents of the issuer's name.
    pub(super) issuer: &'a [u8],
    /// The first and the last second in which it is valid, counted from 1970.
    pub(super) validity: (i64, i64),
    /// The contents of the owner's name.
    pub(super) subject: &'a [u8],
    /// SubjectPublicKeyInfo, with its tag.
    pub(super) public_key: &'a [u8],
    extensions: &'a [u8],
    /// How it is signed: the contents of the AlgorithmIdentifier.
    pub(super) signature_algorithm: &'a [u8],
    /// The contents of the signature.
    pub(super) signature: &'a [u8],
}

/// A name that the certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AlternativeName<'a> {
    Dns(&'a [u8]),
    /// Four or sixteen bytes.
    Address(&'a [u8]),
    Other,
}

impl<'a> Certificate<'a> {
    /// `None` if it is malformed.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut outer = Der::new(bytes);
        let mut certificate = Der::new(outer.expect(der::SEQUENCE)?);
        let whole = certificate.expect_whole(der::SEQUENCE)?;
        let signature_algorithm = certificate.expect(der::SEQUENCE)?;
        // The count of bits that don't belong to the last byte comes first: none.
        let signature = certificate.expect(der::BIT_STRING)?.strip_prefix(&[0])?;

        let mut signed = Der::new(Der::new(whole).expect(der::SEQUENCE)?);
        let version = signed.optional(der::structure(0))?;
        signed.expect(der::INTEGER)?;
        if signed.expect(der::SEQUENCE)? != signature_algorithm {
            return None;
        }
        let issuer = signed.expect(der::SEQUENCE)?;
        let mut validity = Der::new(signed.expect(der::SEQUENCE)?);
        let validity = (time(&mut validity)?, time(&mut validity)?);
        let subject = signed.expect(der::SEQUENCE)?;
        let public_key = signed.expect_whole(der::SEQUENCE)?;
        signed.optional(der::value(1))?;
        signed.optional(der::value(2))?;
        let extensions = match signed.optional(der::structure(3))? {
            Some(extensions) => Der::new(extensions).expect(der::SEQUENCE)?,
            None => &[],
        };
        let is_version_1 = version.is_none();
        if is_version_1 && !extensions.is_empty() {
            return None;
        }
        let complete = outer.is_empty() && certificate.is_empty() && signed.is_empty();
        complete.then_some(Self {
            signed: whole,
            is_version_1,
            issuer,
            validity,
            subject,
            public_key,
            extensions,
            signature_algorithm,
            signature,
        })
    }

    /// The value of the extension 2.5.29.`number`. `None` if the extensions are malformed.
    pub(super) fn extension(&self, number: u8) -> Option<Option<&'a [u8]>> {
        let mut extensions = Der::new(self.extensions);
        while !extensions.is_empty() {
            let mut extension = Der::new(extensions.expect(der::SEQUENCE)?);
            let identifier = extension.expect(der::OBJECT_IDENTIFIER)?;
            extension.optional(der::BOOLEAN)?;
            let value = extension.expect(der::OCTET_STRING)?;
            if identifier == [0x55, 0x1d, number] {
                return Some(Some(value));
            }
        }
        Some(None)
    }

    /// Whether it may sign others, by OpenSSL's rules (`check_ca`). A server's own
    /// certificate that is trusted must not make it an authority for other names.
    pub(super) fn is_authority(&self) -> bool {
        let (Some(usage), Some(constraints)) =
            (self.extension(KEY_USAGE), self.extension(BASIC_CONSTRAINTS))
        else {
            return false;
        };
        let signs_others = usage.map(|usage| {
            let bits = Der::new(usage).expect(der::BIT_STRING);
            matches!(bits, Some([_, first, ..]) if first & KEY_CERT_SIGN != 0)
        });
        let is_authority = constraints.map(|constraints| {
            let fields = Der::new(constraints).expect(der::SEQUENCE);
            fields.and_then(|fields| Der::new(fields).expect(der::BOOLEAN)) == Some(&[0xff])
        });
        match (signs_others, is_authority) {
            (Some(false), _) => false,
            (_, Some(is_authority)) => is_authority,
            (Some(true), None) => true,
            (None, None) => self.is_version_1 && self.subject == self.issuer,
        }
    }

    /// The names of the extension subjectAltName. `None` if it is malformed.
    pub(super) fn alternative_names(&self) -> Option<Vec<AlternativeName<'a>>> {
        let Some(extension) = self.extension(SUBJECT_ALTERNATIVE_NAME)? else {
            return Some(Vec::new());
        };
        let mut names = Der::new(Der::new(extension).expect(der::SEQUENCE)?);
        let mut list = Vec::new();
        while !names.is_empty() {
            list.push(match names.next()? {
                (DNS_NAME, name) => AlternativeName::Dns(name),
                (IP_ADDRESS, address) => AlternativeName::Address(address),
                _ => AlternativeName::Other,
            });
        }
        Some(list)
    }

    /// The first common name of the owner, if it is in a character set that extends ASCII.
    pub(super) fn common_name(&self) -> Option<&'a [u8]> {
        let mut subject = Der::new(self.subject);
        while let Some(set) = subject.expect(der::SET) {
            let mut set = Der::new(set);
            while let Some(attribute) = set.expect(der::SEQUENCE) {
                let mut attribute = Der::new(attribute);
                if attribute.expect(der::OBJECT_IDENTIFIER)? == COMMON_NAME {
                    return match attribute.next()? {
                        (
                            der::UTF8_STRING
                            | der::PRINTABLE_STRING
                            | der::TELETEX_STRING
                            | der::IA5_STRING,
                            name,
                        ) => Some(name),
                        _ => None,
                    };
                }
            }
        }
        None
    }
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`, the only forms that RFC 5280 allows, as seconds
/// from 1970.
fn time(der: &mut Der<'_>) -> Option<i64> {
    let (tag, text) = der.next()?;
    let (digits, [b'Z']) = text.split_at_checked(text.len().checked_sub(1)?)? else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_i64, |number, digit| {
            let digit = digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
            Some(10 * number + digit)
        })
    };
    let (year, rest) = match (tag, digits.len()) {
        (der::UTC_TIME, 12) => {
            let year = number(&digits[..2])?;
            (if year < 50 { 2000 } else { 1900 } + year, &digits[2..])
        }
        (der::GENERALIZED_TIME, 14) => (number(&digits[..4])?, &digits[4..]),
        _ => return None,
    };
    let mut fields = [0; 5];
    for (field, digits) in fields.iter_mut().zip(rest.chunks_exact(2)) {
        *field = number(digits)?;
    }
    let [month, day, hour, minute, second] = fields;
    let valid = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    valid.then(|| ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days from 1970-01-01 in the Gregorian calendar. Years are counted from March, so that
/// the leap day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let months_from_march = (month + 9) % 12;
    let day_of_year = (153 * months_from_march + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + day_of_year - 719_468
}

/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// 2.5.29.15
const KEY_USAGE: u8 = 15;

/// The bit keyCertSign in the first byte of the key usage.
const KEY_CERT_SIGN: u8 = 0x04;

/// 2.5.29.19
const BASIC_CONSTRAINTS: u8 = 19;

/// 2.5.29.17
const SUBJECT_ALTERNATIVE_NAME: u8 = 17;

/// 2.5.29.30
pub(super) const NAME_CONSTRAINTS: u8 = 30;

const DNS_NAME: u8 = der::value(2);
const IP_ADDRESS: u8 = der::value(7);

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, IsCa, KeyPair, KeyUsagePurpose};

    use super::*;
    use crate::tls::fixtures;

    #[test]
    fn times_are_seconds_from_1970() {
        let check = |tag, text: &str, expected| {
            let bytes = [&[tag, text.len() as u8][..], text.as_bytes()].concat();
            assert_eq!(time(&mut Der::new(&bytes)), expected, "{text}");
        };
        check(der::UTC_TIME, "700101000000Z", Some(0));
        check(der::UTC_TIME, "691231235959Z", Some(-1));
        check(der::UTC_TIME, "500101000000Z", Some(-631_152_000));
        check(der::UTC_TIME, "491231235959Z", Some(2_524_607_999));
        check(der::UTC_TIME, "000229120000Z", Some(951_825_600));
        check(
            der::GENERALIZED_TIME,
            "20241231235959Z",
            Some(1_735_689_599),
        );
        check(
            der::GENERALIZED_TIME,
            "21000301000000Z",
            Some(4_107_542_400),
        );
        check(
            der::GENERALIZED_TIME,
            "99991231235959Z",
            Some(253_402_300_799),
        );
        check(
            der::GENERALIZED_TIME,
            "00000101000000Z",
            Some(-62_167_219_200),
        );
        for text in [
            "",
            "Z",
            "700101000000",
            "7001010000Z",
            "70010100000aZ",
            "701301000000Z",
            "700132000000Z",
            "700100000000Z",
            "700101240000Z",
            "700101006000Z",
            "700101000060Z",
            "700101000000+0000",
            "20241231235959Z",
        ] {
            check(der::UTC_TIME, text, None);
        }
    }

    #[test]
    fn fields_are_found() {
        let bytes = fixtures::certificate(&["db.example.com", "192.0.2.7"], Some("Straße"));
        let certificate = Certificate::parse(&bytes).unwrap();
        assert_eq!(certificate.common_name(), Some("Straße".as_bytes()));
        assert_eq!(
            certificate.alternative_names().unwrap(),
            [
                AlternativeName::Dns(b"db.example.com"),
                AlternativeName::Address(&[192, 0, 2, 7])
            ]
        );
        assert!(certificate.validity.0 < certificate.validity.1);
        assert_eq!(certificate.extension(NAME_CONSTRAINTS), Some(None));
        let bytes = fixtures::certificate(&[], None);
        let certificate = Certificate::parse(&bytes).unwrap();
        assert_eq!(certificate.common_name(), None);
        assert_eq!(certificate.alternative_names(), Some(Vec::new()));
    }

    #[test]
    fn authorities_are_told_from_servers() {
        use rcgen::KeyUsagePurpose::{CrlSign, DigitalSignature, KeyCertSign};
        let check = |is_ca: IsCa, usages: &[KeyUsagePurpose], expected| {
            let mut parameters = fixtures::parameters(&["db"], None);
            parameters.is_ca = is_ca;
            parameters.key_usages = usages.to_vec();
            let certificate = parameters
                .self_signed(&KeyPair::generate().unwrap())
                .unwrap();
            let certificate = Certificate::parse(certificate.der()).unwrap();
            assert_eq!(certificate.is_authority(), expected, "{parameters:?}");
        };
        let authority = || IsCa::Ca(BasicConstraints::Unconstrained);
        check(authority(), &[], true);
        check(
            IsCa::Ca(BasicConstraints::Constrained(0)),
            &[KeyCertSign],
            true,
        );
        check(authority(), &[DigitalSignature, CrlSign], false);
        check(IsCa::ExplicitNoCa, &[], false);
        check(IsCa::ExplicitNoCa, &[KeyCertSign], false);
        check(IsCa::NoCa, &[], false);
        check(IsCa::NoCa, &[DigitalSignature], false);
        check(IsCa::NoCa, &[DigitalSignature, KeyCertSign], true);
        let version_1 = fixtures::version_1(&fixtures::certificate(&[], Some("db")));
        assert!(Certificate::parse(&version_1).unwrap().is_authority());
    }

    /// Any prefix, and any byte replaced: fields or `None`, and everything that is asked of
    /// them too.
    #[test]
    fn it_is_total() {
        let bytes = fixtures::certificate(&["db.example.com", "192.0.2.7"], Some("db"));
        let visit = |bytes: &[u8]| {
            if let Some(certificate) = Certificate::parse(bytes) {
                let _ = certificate.alternative_names();
                let _ = certificate.common_name();
                let _ = certificate.is_authority();
                let _ = certificate.extension(NAME_CONSTRAINTS);
                let _ = super::super::end_point::hash(bytes);
                return true;
            }
            false
        };
        let mut parsed = 0;
        for at in 0..bytes.len() {
            assert!(!visit(&bytes[..at]), "cut at {at}");
            let mut changed = bytes.clone();
            for byte in [0, 1, 0x7f, 0x80, 0x81, 0x84, 0xff, bytes[at] ^ 1] {
                changed[at] = byte;
                parsed += usize::from(visit(&changed));
            }
        }
        assert!(parsed > 100, "some of the changes are behind the parser");
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(!visit(&longer));
    }
}
