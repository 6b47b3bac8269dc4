//! How the text of one option becomes its value, and back.

use std::borrow::Cow;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::secret::Secret;
use crate::error::ErrorKind;

/// The text of an option is not one of its values. It never holds that text, which may be
/// a piece of a password in a malformed connection string.
pub(super) struct InvalidValue {
    pub(super) kind: ErrorKind,
    /// What would be right, as it follows a colon.
    pub(super) expected: Cow<'static, str>,
}

impl InvalidValue {
    pub(super) fn new(expected: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind: ErrorKind::Config,
            expected: expected.into(),
        }
    }

    /// libpq knows the value; this driver does not.
    pub(super) fn unsupported(why: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind: ErrorKind::Unsupported,
            expected: why.into(),
        }
    }
}

/// The type of an option.
pub(super) trait Value: Sized {
    /// Whether the value must never be shown.
    const IS_SECRET: bool = false;

    fn parse(text: &str) -> Result<Self, InvalidValue>;

    fn parse_bytes(bytes: &[u8]) -> Result<Self, InvalidValue> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::parse(text),
            Err(_) => Err(InvalidValue::new("it must be valid UTF-8")),
        }
    }

    /// The text that [`parse`](Self::parse) reads back as this value.
    fn text(&self) -> String;
}

impl Value for String {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        Ok(text.to_owned())
    }

    fn text(&self) -> String {
        self.clone()
    }
}

impl Value for Secret {
    const IS_SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, InvalidValue> {
        Ok(text.into())
    }

    fn parse_bytes(bytes: &[u8]) -> Result<Self, InvalidValue> {
        Ok(bytes.into())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(self.expose()).into_owned()
    }
}

impl Value for PathBuf {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        Ok(text.into())
    }

    #[cfg(unix)]
    fn parse_bytes(bytes: &[u8]) -> Result<Self, InvalidValue> {
        use std::os::unix::ffi::OsStrExt;
        Ok(std::ffi::OsStr::from_bytes(bytes).into())
    }

    fn text(&self) -> String {
        self.to_string_lossy().into_owned()
    }
}

/// A span of time whose bare numbers are whole seconds. Zero and less turn it off.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Seconds(pub(super) Duration);

/// A span of time whose bare numbers are whole milliseconds. Zero and less turn it off.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Milliseconds(pub(super) Duration);

/// A span of time that must name its unit, because no older program fixed one.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Span(pub(super) Duration);

impl Value for Seconds {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        if let Some(number) = integer(text) {
            return Ok(Self(Duration::from_secs(
                number.max(0).unsigned_abs().into(),
            )));
        }
        span(text).map(Self).ok_or_else(|| {
            InvalidValue::new(
                "expected a whole number of seconds, or a number with ms, s, min or h",
            )
        })
    }

    fn text(&self) -> String {
        match self.0.subsec_nanos() {
            0 => self.0.as_secs().to_string(),
            _ => span_text(self.0),
        }
    }
}

impl Value for Milliseconds {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        if let Some(number) = integer(text) {
            return Ok(Self(Duration::from_millis(
                number.max(0).unsigned_abs().into(),
            )));
        }
        span(text).map(Self).ok_or_else(|| {
            InvalidValue::new(
                "expected a whole number of milliseconds, or a number with ms, s, min or h",
            )
        })
    }

    fn text(&self) -> String {
        match self.0.subsec_nanos() % 1_000_000 {
            0 => self.0.as_millis().to_string(),
            _ => span_text(self.0),
        }
    }
}

impl Value for Span {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        span(text).map(Self).ok_or_else(|| {
            InvalidValue::new("expected a number with its unit, ms, s, min or h: 500ms, 30s")
        })
    }

    fn text(&self) -> String {
        span_text(self.0)
    }
}

/// `keepalives`: any whole number, and 0 turns them off (`useKeepalives` in fe-connect.c).
#[derive(Clone, Copy, PartialEq)]
pub(super) struct NonZero(pub(super) bool);

impl Value for NonZero {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        integer(text)
            .map(|number| Self(number != 0))
            .ok_or_else(|| InvalidValue::new("expected 1 (on) or 0 (off)"))
    }

    fn text(&self) -> String {
        flag_text(self.0)
    }
}

/// `sslsni` and its like: libpq looks for a leading 1 and takes all else for 0, so that
/// `true` turns the option off. Here anything but 1, 0 and nothing is an error.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Flag(pub(super) bool);

impl Value for Flag {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "1" => Ok(Self(true)),
            "0" | "" => Ok(Self(false)),
            _ => Err(InvalidValue::new("expected 1 (on) or 0 (off)")),
        }
    }

    fn text(&self) -> String {
        flag_text(self.0)
    }
}

/// A boolean of this driver's own options, in the words of PostgreSQL's settings.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Switch(pub(super) bool);

impl Value for Switch {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "on" | "true" | "yes" | "1" => Ok(Self(true)),
            "off" | "false" | "no" | "0" => Ok(Self(false)),
            _ => Err(InvalidValue::new("expected on or off")),
        }
    }

    fn text(&self) -> String {
        if self.0 { "on".into() } else { "off".into() }
    }
}

/// A number that libpq reads into an `int`, where less than zero counts as zero.
impl Value for u32 {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        integer(text)
            .map(|number| number.max(0).unsigned_abs())
            .ok_or_else(|| InvalidValue::new("expected a whole number"))
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Value for usize {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        text.parse()
            .map_err(|_| InvalidValue::new("expected a whole number, 0 or more"))
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

/// One of SCRAM's two keys, in base64 (`scram_client_key` in the manual's "Parameter Key
/// Words").
#[derive(Clone, PartialEq)]
pub(super) struct ScramKey(pub(super) Secret);

impl Value for ScramKey {
    const IS_SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, InvalidValue> {
        match base64(text) {
            Some(key) if key.len() == SCRAM_KEY_BYTES => Ok(Self(key.into())),
            _ => Err(InvalidValue::new("expected 32 bytes in base64")),
        }
    }

    fn text(&self) -> String {
        String::new()
    }
}

/// A list with a comma between its elements, an empty element standing for the default
/// (`parse_comma_separated_list` in fe-connect.c).
#[derive(Clone, PartialEq)]
pub(super) struct List<T>(pub(super) Vec<Option<T>>);

impl<T> List<T> {
    /// libpq takes an empty text for an option that is not set.
    pub(super) fn is_unset(&self) -> bool {
        matches!(self.0.as_slice(), [] | [None])
    }
}

impl<T: Value> Value for List<T> {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        text.split(',')
            .map(|element| match element {
                "" => Ok(None),
                element => T::parse(element).map(Some),
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn text(&self) -> String {
        let elements: Vec<String> = self
            .0
            .iter()
            .map(|element| element.as_ref().map_or_else(String::new, T::text))
            .collect();
        elements.join(",")
    }
}

/// A port number.
impl Value for u16 {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        integer(text)
            .and_then(|number| u16::try_from(number).ok())
            .filter(|port| *port != 0)
            .ok_or_else(|| {
                InvalidValue::new(
                    "expected a number from 1 to 65535 (in a URI, a / in the password is \
                     written %2F and a : in the user name %3A)",
                )
            })
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Value for IpAddr {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        text.parse().map_err(|_| {
            InvalidValue::new(
                "expected a numeric IPv4 or IPv6 address (a name, or an address with a zone, \
                 goes into host)",
            )
        })
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

/// What libpq takes for an integer (`pqParseIntParam`): blanks around it, a sign, and the
/// range of an `int`.
fn integer(text: &str) -> Option<i32> {
    text.trim_matches(is_blank).parse().ok()
}

fn span(text: &str) -> Option<Duration> {
    let text = text.trim_matches(is_blank);
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let milliseconds = match text[digits..].trim_start_matches(is_blank) {
        "us" => return Some(Duration::from_micros(number)),
        "ms" => 1,
        "s" => 1000,
        "min" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

fn span_text(span: Duration) -> String {
    if span.subsec_nanos() == 0 {
        format!("{}s", span.as_secs())
    } else if span.subsec_nanos() % 1_000_000 == 0 {
        format!("{}ms", span.as_millis())
    } else {
        format!("{}us", span.as_micros())
    }
}

fn flag_text(on: bool) -> String {
    if on { "1".into() } else { "0".into() }
}

/// C's `isspace` in the C locale, which has the vertical tab that Rust's ASCII blanks lack.
pub(super) fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\x0B' | '\x0C' | '\r')
}

/// Padded base64 with the standard alphabet (RFC 4648, section 4).
fn base64(text: &str) -> Option<Vec<u8>> {
    let body = text.trim_end_matches('=');
    if text.len() % 4 != 0 || text.len() - body.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let mut bits: u32 = 0;
    let mut count = 0;
    for character in body.bytes() {
        let six = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    // Bits that belong to no byte must be zero, so that a key has one spelling.
    (bits == 0).then_some(bytes)
}

/// The length of SCRAM-SHA-256's keys, in bytes.
pub(super) const SCRAM_KEY_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: Value>(text: &str, expected: Option<&str>) {
        let found = T::parse(text).ok().map(|value| value.text());
        assert_eq!(found.as_deref(), expected, "{text:?}");
        if let Some(found) = found {
            let again = T::parse(&found).ok().map(|value| value.text());
            assert_eq!(again, Some(found), "what is written reads back: {text:?}");
        }
    }

    #[test]
    fn numbers_are_read_as_libpq_reads_them() {
        check::<Seconds>("10", Some("10"));
        check::<Seconds>(" +10\t", Some("10"));
        check::<Seconds>("-1", Some("0"));
        check::<Seconds>("2147483647", Some("2147483647"));
        check::<Seconds>("2147483648", None);
        check::<Seconds>("", None);
        check::<Seconds>("1 2", None);
        check::<Seconds>("1.5", None);
        check::<Seconds>("1500ms", Some("1500ms"));
        check::<Seconds>("2min", Some("120"));
        check::<Milliseconds>("1500", Some("1500"));
        check::<Milliseconds>("2s", Some("2000"));
        check::<Span>("1500", None);
        check::<Span>("1500 ms", Some("1500ms"));
        check::<Span>("7us", Some("7us"));
        check::<Span>("18446744073709551615h", None);
        check::<Span>("s", None);
        check::<u16>("5432", Some("5432"));
        check::<u16>(" 5432 ", Some("5432"));
        check::<u16>("0", None);
        check::<u16>("65535", Some("65535"));
        check::<u16>("65536", None);
        check::<u16>("-1", None);
        check::<u32>("-5", Some("0"));
        check::<usize>("-5", None);
    }

    #[test]
    fn switches_are_strict_where_libpq_guesses() {
        check::<Flag>("1", Some("1"));
        check::<Flag>("", Some("0"));
        check::<Flag>("true", None);
        check::<NonZero>("7", Some("1"));
        check::<NonZero>("0", Some("0"));
        check::<NonZero>("", None);
        check::<NonZero>("yes", None);
        check::<Switch>("yes", Some("on"));
        check::<Switch>("false", Some("off"));
        check::<Switch>("", None);
    }

    #[test]
    fn lists_keep_their_empty_places() {
        check::<List<u16>>("", Some(""));
        check::<List<u16>>("1,,2,", Some("1,,2,"));
        check::<List<u16>>("1,x", None);
        check::<List<IpAddr>>("127.0.0.1,::1", Some("127.0.0.1,::1"));
        check::<List<IpAddr>>("localhost", None);
        assert!(List::<u16>::parse("").is_ok_and(|list| list.is_unset()));
        assert!(List::<u16>::parse(",").is_ok_and(|list| !list.is_unset()));
    }

    #[test]
    fn base64_has_one_spelling() {
        for (text, expected) in [
            ("", Some(&b""[..])),
            ("TQ==", Some(b"M")),
            ("TWE=", Some(b"Ma")),
            ("TWFu", Some(b"Man")),
            ("+/+/", Some(&[0xFB, 0xFF, 0xBF])),
            ("TR==", None),
            ("TQ=", None),
            ("TQ", None),
            ("T===", None),
            ("T\u{e9}==", None),
            ("=TQ=", None),
        ] {
            assert_eq!(base64(text).as_deref(), expected, "{text:?}");
        }
    }
}
