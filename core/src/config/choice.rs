//! The options whose value is one of a few words.

use std::fmt;
use std::str::FromStr;

use super::suggest;
use super::value::{InvalidValue, Value};
use crate::error::{Error, ErrorKind};

/// Declares an option's type: each variant with the word that libpq uses for it.
macro_rules! choice {
    (
        $(#[$attribute:meta])*
        $name:ident, $keyword:literal {
            $($(#[$variant_attribute:meta])* $variant:ident = $word:literal $(| $alias:literal)*,)+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_attribute])* $variant,)+
        }

        impl $name {
            const WORDS: &[&str] = &[$($word),+];

            /// The word that stands for it in a connection string.
            ///
            /// ```
            #[doc = concat!("use kornak::config::", stringify!($name), ";")]
            ///
            #[doc = concat!("let value = ", stringify!($name), "::default();")]
            /// assert_eq!(value.as_str().parse().ok(), Some(value));
            /// ```
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl Value for $name {
            fn parse(text: &str) -> Result<Self, InvalidValue> {
                match text {
                    $($word $(| $alias)* => Ok(Self::$variant),)+
                    _ => Err(not_a_choice(text, Self::WORDS)),
                }
            }

            fn text(&self) -> String {
                self.as_str().to_owned()
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                Value::parse(text).map_err(|invalid| invalid.of($keyword))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

choice! {
    /// How much TLS a connection over TCP must have (`sslmode`). Connections over a Unix
    /// socket never use TLS.
    ///
    /// Only `VerifyFull` is safe against someone who can redirect the connection; the
    /// manual's section "Protection Provided in Different Modes" compares them.
    ///
    /// ```
    /// use kornak::config::SslMode;
    ///
    /// assert_eq!("verify-full".parse::<SslMode>()?, SslMode::VerifyFull);
    /// assert_eq!(SslMode::default().to_string(), "prefer");
    /// # Ok::<(), kornak::Error>(())
    /// ```
    SslMode, "sslmode" {
        /// Never TLS.
        Disable = "disable",
        /// TLS only where the server refuses a connection without it.
        Allow = "allow",
        /// TLS where the server has it, else none. The default, as it is libpq's.
        #[default]
        Prefer = "prefer",
        /// TLS, whoever answers; where a root certificate is configured, the server's
        /// certificate must come from it, as with `VerifyCa`.
        Require = "require",
        /// TLS with a certificate that a trusted authority signed.
        VerifyCa = "verify-ca",
        /// TLS with a certificate that a trusted authority signed for the host's name.
        VerifyFull = "verify-full",
    }
}

choice! {
    /// How TLS is begun (`sslnegotiation`).
    ///
    /// ```
    /// use kornak::config::SslNegotiation;
    ///
    /// assert_eq!("direct".parse::<SslNegotiation>()?, SslNegotiation::Direct);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    SslNegotiation, "sslnegotiation" {
        /// The server is asked first, in PostgreSQL's own protocol.
        #[default]
        Postgres = "postgres",
        /// The TLS handshake is the first thing sent, which saves a round trip. It needs
        /// PostgreSQL 17 and an `sslmode` of `require` or more.
        Direct = "direct",
    }
}

choice! {
    /// Whether the client's certificate is sent (`sslcertmode`).
    ///
    /// ```
    /// use kornak::config::SslCertMode;
    ///
    /// assert_eq!("require".parse::<SslCertMode>()?, SslCertMode::Require);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    SslCertMode, "sslcertmode" {
        /// Never, even where one is configured.
        Disable = "disable",
        /// Where the server asks and one is configured.
        #[default]
        Allow = "allow",
        /// The server must ask for it.
        Require = "require",
    }
}

choice! {
    /// Whether SCRAM is tied to the TLS connection (`channel_binding`), so that nobody in
    /// between can pass the authentication on.
    ///
    /// ```
    /// use kornak::config::ChannelBinding;
    ///
    /// assert_eq!("require".parse::<ChannelBinding>()?, ChannelBinding::Require);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    ChannelBinding, "channel_binding" {
        /// Never.
        Disable = "disable",
        /// Where the server offers it.
        #[default]
        Prefer = "prefer",
        /// The connection fails without it.
        Require = "require",
    }
}

choice! {
    /// What kind of server is wanted (`target_session_attrs`).
    ///
    /// ```
    /// use kornak::config::TargetSessionAttrs;
    ///
    /// assert_eq!(
    ///     "prefer-standby".parse::<TargetSessionAttrs>()?,
    ///     TargetSessionAttrs::PreferStandby,
    /// );
    /// # Ok::<(), kornak::Error>(())
    /// ```
    TargetSessionAttrs, "target_session_attrs" {
        /// Any server that lets us in.
        #[default]
        Any = "any",
        /// Transactions there can write by default.
        ReadWrite = "read-write",
        /// Transactions there can't write by default.
        ReadOnly = "read-only",
        /// The server is not in hot standby.
        Primary = "primary",
        /// The server is in hot standby.
        Standby = "standby",
        /// A server in hot standby if one of the hosts is, else any.
        PreferStandby = "prefer-standby",
    }
}

choice! {
    /// In which order several hosts and addresses are tried (`load_balance_hosts`).
    ///
    /// ```
    /// use kornak::config::LoadBalanceHosts;
    ///
    /// assert_eq!("random".parse::<LoadBalanceHosts>()?, LoadBalanceHosts::Random);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    LoadBalanceHosts, "load_balance_hosts" {
        /// As they are written.
        #[default]
        Disable = "disable",
        /// At random, anew for each connection.
        Random = "random",
    }
}

choice! {
    /// What stands between this driver and PostgreSQL (`pooler`).
    ///
    /// ```
    /// use kornak::config::Pooler;
    ///
    /// assert_eq!("transaction".parse::<Pooler>()?, Pooler::Transaction);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    Pooler, "pooler" {
        /// Nothing, or a pooler that keeps one server connection for a whole session.
        #[default]
        Session = "session",
        /// A pooler that hands out a server connection for one transaction at a time.
        /// Prepared statements stay unnamed, and nothing of a session is used.
        Transaction = "transaction",
    }
}

choice! {
    /// A version of the wire protocol (`min_protocol_version`, `max_protocol_version`).
    ///
    /// The word `latest` reads as the newest one.
    ///
    /// ```
    /// use kornak::config::ProtocolVersion;
    ///
    /// assert_eq!("latest".parse::<ProtocolVersion>()?, ProtocolVersion::V3_2);
    /// assert!(ProtocolVersion::V3_0 < ProtocolVersion::V3_2);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    #[derive(PartialOrd, Ord)]
    ProtocolVersion, "max_protocol_version" {
        /// Every server since PostgreSQL 7.4.
        #[default]
        V3_0 = "3.0",
        /// PostgreSQL 18 and later: cancel keys of up to 256 bytes.
        V3_2 = "3.2" | "latest",
    }
}

choice! {
    /// A version of TLS (`ssl_min_protocol_version`, `ssl_max_protocol_version`).
    ///
    /// ```
    /// use kornak::config::TlsVersion;
    ///
    /// assert_eq!("TLSv1.3".parse::<TlsVersion>()?, TlsVersion::Tls13);
    /// assert!(TlsVersion::Tls12 < TlsVersion::Tls13);
    /// # Ok::<(), kornak::Error>(())
    /// ```
    #[derive(PartialOrd, Ord)]
    TlsVersion, "ssl_min_protocol_version" {
        /// TLS 1.2 (RFC 5246).
        #[default]
        Tls12 = "TLSv1.2",
        /// TLS 1.3 (RFC 8446).
        Tls13 = "TLSv1.3",
    }
}

/// `ssl_min_protocol_version`: a floor below TLS 1.2 is met by TLS 1.2, the oldest version
/// that rustls has, and nothing is no floor but that one.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct TlsFloor(pub(super) TlsVersion);

/// `ssl_max_protocol_version`: nothing is no ceiling.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct TlsCeiling(pub(super) Option<TlsVersion>);

impl Value for TlsFloor {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        if text.is_empty() || is_old_tls(text) {
            return Ok(Self(TlsVersion::Tls12));
        }
        tls_version(text).map(Self)
    }

    fn text(&self) -> String {
        self.0.to_string()
    }
}

impl Value for TlsCeiling {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        if is_old_tls(text) {
            return Err(InvalidValue::unsupported(
                "TLS before 1.2 is not supported, because it is broken (RFC 8996); expected \
                 TLSv1.2 or TLSv1.3",
            ));
        }
        tls_version(text).map(|version| Self(Some(version)))
    }

    fn text(&self) -> String {
        self.0.map(TlsVersion::as_str).unwrap_or_default().into()
    }
}

fn is_old_tls(text: &str) -> bool {
    text.eq_ignore_ascii_case("TLSv1") || text.eq_ignore_ascii_case("TLSv1.1")
}

/// Upper and lower case are the same here, as in `sslVerifyProtocolVersion` of
/// fe-connect.c.
fn tls_version(text: &str) -> Result<TlsVersion, InvalidValue> {
    [TlsVersion::Tls12, TlsVersion::Tls13]
        .into_iter()
        .find(|version| version.as_str().eq_ignore_ascii_case(text))
        .ok_or_else(|| not_a_choice(text, TlsVersion::WORDS))
}

/// `gssencmode`: encryption by GSSAPI is not built in, which is what libpq's `disable` and,
/// without credentials, its `prefer` come to.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum GssEncMode {
    Disable,
    Prefer,
}

impl Value for GssEncMode {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "disable" => Ok(Self::Disable),
            "prefer" => Ok(Self::Prefer),
            "require" => Err(InvalidValue::unsupported(
                "encryption by GSSAPI is not supported; use TLS (sslmode)",
            )),
            _ => Err(not_a_choice(text, &["disable", "prefer"])),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Disable => "disable".into(),
            Self::Prefer => "prefer".into(),
        }
    }
}

/// `gsslib`, which on Unix has one meaning only.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct GssLib;

impl Value for GssLib {
    fn parse(_: &str) -> Result<Self, InvalidValue> {
        Ok(Self)
    }

    fn text(&self) -> String {
        "gssapi".into()
    }
}

/// `client_encoding`: this driver speaks UTF-8, because Rust's strings are UTF-8.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Utf8;

impl Value for Utf8 {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        // PostgreSQL compares the letters and digits of an encoding's name, case-folded
        // (`clean_encoding_name` in encnames.c), and knows UTF8 as `unicode` too.
        let letters: String = text
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .collect();
        match letters.as_str() {
            "utf8" | "unicode" | "auto" => Ok(Self),
            _ if text.is_empty() => Ok(Self),
            _ => Err(InvalidValue::unsupported(
                "only UTF8 is supported, because Rust's strings are UTF-8; the server \
                 converts from the database's own encoding",
            )),
        }
    }

    fn text(&self) -> String {
        "UTF8".into()
    }
}

/// `sslcompression`, which libpq has accepted and ignored since PostgreSQL 14.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Compression(pub(super) bool);

impl Value for Compression {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        Ok(Self(text.starts_with('1')))
    }

    fn text(&self) -> String {
        if self.0 { "1".into() } else { "0".into() }
    }
}

/// Options that would promise what this driver does not do. Empty is not set.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Unsupported<const WHY: usize>;

impl<const WHY: usize> Value for Unsupported<WHY> {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        if text.is_empty() {
            return Ok(Self);
        }
        Err(InvalidValue::unsupported(REASONS[WHY]))
    }

    fn text(&self) -> String {
        String::new()
    }
}

/// Indices into [`REASONS`].
pub(super) const ENCRYPTED_KEY: usize = 0;
pub(super) const KEY_LOG: usize = 1;

const REASONS: [&str; 2] = [
    "keys that are encrypted with a password are not supported; decrypt the key file \
     (openssl pkey) and protect it by its permissions",
    "writing the session's keys to a file is not supported",
];

/// `replication`, in the words that the server's `parse_bool` takes, and `database`.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct NoReplication;

impl Value for NoReplication {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        let word = text.to_ascii_lowercase();
        match word.as_str() {
            "" | "false" | "off" | "no" | "0" => Ok(Self),
            "true" | "on" | "yes" | "1" | "database" => Err(InvalidValue::unsupported(
                "replication connections are not supported yet",
            )),
            _ => Err(not_a_choice(text, &["false", "off", "no", "0"])),
        }
    }

    fn text(&self) -> String {
        "false".into()
    }
}

impl InvalidValue {
    /// The error for a value that stood in no connection string.
    pub(super) fn of(self, keyword: &str) -> Error {
        let Self { kind, expected } = self;
        match kind {
            ErrorKind::Unsupported => Error::new(kind, format!("{keyword}: {expected}")),
            _ => Error::new(kind, format!("invalid {keyword}: {expected}")),
        }
    }
}

pub(super) fn not_a_choice(text: &str, words: &[&'static str]) -> InvalidValue {
    let mut expected = format!("expected one of {}", words.join(", "));
    if let Some(word) = suggest::nearest(text, words.iter().copied()) {
        expected += &format!("; did you mean {word}?");
    }
    InvalidValue::new(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: Value>(text: &str, expected: Result<&str, &str>) {
        let found = match T::parse(text) {
            Ok(value) => Ok(value.text()),
            Err(invalid) => Err(invalid.of("it").to_string()),
        };
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text:?}"),
            (Err(found), Err(expected)) => {
                assert!(found.contains(expected), "{text:?}: {found}");
            }
            (found, _) => panic!("{text:?}: {found:?}"),
        }
    }

    #[test]
    fn words_are_exact() {
        for word in SslMode::WORDS {
            check::<SslMode>(word, Ok(word));
        }
        for word in TargetSessionAttrs::WORDS {
            check::<TargetSessionAttrs>(word, Ok(word));
        }
        check::<SslMode>("Require", Err("did you mean require?"));
        check::<SslMode>("verify_full", Err("did you mean verify-full?"));
        check::<SslMode>("", Err("expected one of disable, allow"));
        check::<SslMode>("sekret", Err("verify-full"));
        check::<TargetSessionAttrs>("master", Err("expected one of any"));
        check::<ProtocolVersion>("latest", Ok("3.2"));
        check::<ProtocolVersion>("3.0", Ok("3.0"));
        check::<ProtocolVersion>("3.1", Err("3.0, 3.2"));
        check::<ProtocolVersion>("3", Err("3.0, 3.2"));
    }

    #[test]
    fn tls_versions_below_1_2_raise_a_floor_and_break_a_ceiling() {
        check::<TlsFloor>("", Ok("TLSv1.2"));
        check::<TlsFloor>("TLSv1", Ok("TLSv1.2"));
        check::<TlsFloor>("tlsv1.1", Ok("TLSv1.2"));
        check::<TlsFloor>("TLSV1.3", Ok("TLSv1.3"));
        check::<TlsFloor>("SSLv3", Err("expected one of TLSv1.2"));
        check::<TlsCeiling>("", Ok(""));
        check::<TlsCeiling>("TLSv1.2", Ok("TLSv1.2"));
        check::<TlsCeiling>("TLSv1.1", Err("TLS before 1.2"));
    }

    #[test]
    fn what_is_not_supported_says_why() {
        check::<GssEncMode>("prefer", Ok("prefer"));
        check::<GssEncMode>("require", Err("use TLS"));
        check::<GssEncMode>("", Err("expected one of"));
        for utf8 in ["utf8", "UTF-8", "unicode", "auto", ""] {
            check::<Utf8>(utf8, Ok("UTF8"));
        }
        check::<Utf8>("LATIN1", Err("only UTF8"));
        check::<Unsupported<ENCRYPTED_KEY>>("", Ok(""));
        check::<Unsupported<ENCRYPTED_KEY>>("x", Err("decrypt the key file"));
        check::<Unsupported<KEY_LOG>>("x", Err("session's keys"));
        check::<NoReplication>("OFF", Ok("false"));
        check::<NoReplication>("database", Err("not supported yet"));
        check::<NoReplication>("maybe", Err("expected one of"));
        check::<Compression>("1", Ok("1"));
        check::<Compression>("maybe", Ok("0"));
    }
}
