//! The table of all options: name, type, environment variable.

use std::net::IpAddr;
use std::path::PathBuf;

use super::choice::{
    ChannelBinding, Compression, ENCRYPTED_KEY, GssEncMode, GssLib, KEY_LOG, LoadBalanceHosts,
    NoReplication, Pooler, ProtocolVersion, SslCertMode, SslMode, SslNegotiation,
    TargetSessionAttrs, TlsCeiling, TlsFloor, Unsupported, Utf8,
};
use super::host::{Host, RootCertificates};
use super::require_auth::RequireAuth;
use super::secret::Secret;
use super::suggest;
use super::value::{
    Flag, InvalidValue, List, Milliseconds, NonZero, ScramKey, Seconds, Span, Switch, Value,
};

/// What the table says of an option, its type aside.
pub(super) struct Keyword {
    pub(super) name: &'static str,
    /// The environment variable that stands in for it.
    pub(super) variable: Option<&'static str>,
    pub(super) is_secret: bool,
}

/// Declares [`Options`] and [`KEYWORDS`].
macro_rules! options {
    ($($name:ident: $type:ty, $variable:expr;)+) => {
        /// The options that one source sets: a program, a service file, the environment.
        #[derive(Clone, Default, PartialEq)]
        pub(super) struct Options {
            $(pub(super) $name: Option<$type>,)+
        }

        /// Every option that a connection string can set.
        pub(super) const KEYWORDS: &[Keyword] = &[
            $(Keyword {
                name: stringify!($name),
                variable: $variable,
                is_secret: <$type as Value>::IS_SECRET,
            },)+
        ];

        impl Options {
            /// Sets a known option from its text, in the place of an earlier value.
            pub(super) fn set(&mut self, keyword: &str, text: &[u8]) -> Result<(), InvalidValue> {
                if text.contains(&0) {
                    return Err(InvalidValue::new("it contains a zero byte"));
                }
                match keyword {
                    $(stringify!($name) => {
                        self.$name = Some(<$type as Value>::parse_bytes(text)?);
                        Ok(())
                    })+
                    _ => Err(InvalidValue::new("there is no such option")),
                }
            }

            pub(super) fn is_set(&self, keyword: &str) -> bool {
                match keyword {
                    $(stringify!($name) => self.$name.is_some(),)+
                    _ => false,
                }
            }

            /// Each option that is set, with its text. The text of a secret is not for
            /// showing.
            pub(super) fn texts(&self) -> Vec<(&'static Keyword, String)> {
                let mut texts = KEYWORDS.iter();
                let mut set = Vec::new();
                $(
                    if let (Some(keyword), Some(value)) = (texts.next(), &self.$name) {
                        set.push((keyword, value.text()));
                    }
                )+
                set
            }
        }
    };
}

options! {
    // libpq's, in the order of `PQconninfoOptions` in fe-connect.c of PostgreSQL 18;
    // `servicefile` is PostgreSQL 19's.
    service: String, Some("PGSERVICE");
    servicefile: PathBuf, Some("PGSERVICEFILE");
    user: String, Some("PGUSER");
    password: Secret, Some("PGPASSWORD");
    passfile: PathBuf, Some("PGPASSFILE");
    channel_binding: ChannelBinding, Some("PGCHANNELBINDING");
    connect_timeout: Seconds, Some("PGCONNECT_TIMEOUT");
    dbname: String, Some("PGDATABASE");
    host: List<Host>, Some("PGHOST");
    hostaddr: List<IpAddr>, Some("PGHOSTADDR");
    port: List<u16>, Some("PGPORT");
    client_encoding: Utf8, Some("PGCLIENTENCODING");
    options: String, Some("PGOPTIONS");
    application_name: String, Some("PGAPPNAME");
    fallback_application_name: String, None;
    keepalives: NonZero, None;
    keepalives_idle: Seconds, None;
    keepalives_interval: Seconds, None;
    keepalives_count: u32, None;
    tcp_user_timeout: Milliseconds, None;
    sslmode: SslMode, Some("PGSSLMODE");
    sslnegotiation: SslNegotiation, Some("PGSSLNEGOTIATION");
    sslcompression: Compression, Some("PGSSLCOMPRESSION");
    sslcert: PathBuf, Some("PGSSLCERT");
    sslkey: PathBuf, Some("PGSSLKEY");
    sslcertmode: SslCertMode, Some("PGSSLCERTMODE");
    sslpassword: Unsupported<ENCRYPTED_KEY>, None;
    sslrootcert: RootCertificates, Some("PGSSLROOTCERT");
    sslcrl: PathBuf, Some("PGSSLCRL");
    sslcrldir: PathBuf, Some("PGSSLCRLDIR");
    sslsni: Flag, Some("PGSSLSNI");
    requirepeer: String, Some("PGREQUIREPEER");
    require_auth: RequireAuth, Some("PGREQUIREAUTH");
    min_protocol_version: ProtocolVersion, Some("PGMINPROTOCOLVERSION");
    max_protocol_version: ProtocolVersion, Some("PGMAXPROTOCOLVERSION");
    ssl_min_protocol_version: TlsFloor, Some("PGSSLMINPROTOCOLVERSION");
    ssl_max_protocol_version: TlsCeiling, Some("PGSSLMAXPROTOCOLVERSION");
    gssencmode: GssEncMode, Some("PGGSSENCMODE");
    krbsrvname: String, Some("PGKRBSRVNAME");
    gsslib: GssLib, Some("PGGSSLIB");
    gssdelegation: String, Some("PGGSSDELEGATION");
    replication: NoReplication, None;
    target_session_attrs: TargetSessionAttrs, Some("PGTARGETSESSIONATTRS");
    load_balance_hosts: LoadBalanceHosts, Some("PGLOADBALANCEHOSTS");
    scram_client_key: ScramKey, None;
    scram_server_key: ScramKey, None;
    oauth_issuer: String, None;
    oauth_client_id: String, None;
    oauth_client_secret: Secret, None;
    oauth_scope: String, None;
    sslkeylogfile: Unsupported<KEY_LOG>, None;
    // This driver's own.
    pooler: Pooler, None;
    statement_cache_capacity: usize, None;
    query_timeout: Span, None;
    send_buffer_size: u32, None;
    receive_buffer_size: u32, None;
    allow_cleartext_password: Switch, None;
    allow_md5_password: Switch, None;
    scram_min_iterations: u32, None;
    scram_max_iterations: u32, None;
}

/// The option of this name, spelled exactly.
pub(super) fn keyword(name: &[u8]) -> Option<&'static Keyword> {
    KEYWORDS
        .iter()
        .find(|keyword| keyword.name.as_bytes() == name)
}

/// What to say of a name that no option has: the option that it probably means.
pub(super) fn advice(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    if SERVER_SETTINGS.contains(&name) {
        return Some("a setting of the server goes into options, as -c name=value".into());
    }
    let lower = name.to_ascii_lowercase();
    let meant = match ALIASES.iter().find(|(alias, _)| *alias == lower) {
        Some((_, meant)) => meant,
        None => suggest::nearest(name, KEYWORDS.iter().map(|keyword| keyword.name))?,
    };
    Some(format!("did you mean {meant}?"))
}

/// What other drivers call an option.
const ALIASES: &[(&str, &str)] = &[
    ("application", "application_name"),
    ("database", "dbname"),
    ("db", "dbname"),
    ("hostname", "host"),
    ("login", "user"),
    ("pass", "password"),
    ("passwd", "password"),
    ("pwd", "password"),
    ("server", "host"),
    ("socket", "host"),
    ("ssl", "sslmode"),
    ("statement_cache_size", "statement_cache_capacity"),
    ("timeout", "connect_timeout"),
    ("username", "user"),
];

/// Settings of the server that other drivers take in a connection string.
const SERVER_SETTINGS: &[&str] = &[
    "datestyle",
    "idle_in_transaction_session_timeout",
    "lock_timeout",
    "role",
    "search_path",
    "statement_timeout",
    "timezone",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_met_with_the_near_one() {
        for (name, expected) in [
            ("hots", Some("did you mean host?")),
            ("ssl_mode", Some("did you mean sslmode?")),
            ("SSLMODE", Some("did you mean sslmode?")),
            ("database", Some("did you mean dbname?")),
            ("UserName", Some("did you mean user?")),
            (
                "target_session_attr",
                Some("did you mean target_session_attrs?"),
            ),
            (
                "search_path",
                Some("a setting of the server goes into options, as -c name=value"),
            ),
            ("xyzzy", None),
        ] {
            assert_eq!(advice(name.as_bytes()).as_deref(), expected, "{name}");
        }
        assert_eq!(advice(b"\xFF"), None);
    }

    #[test]
    fn the_table_is_whole() {
        let mut names: Vec<_> = KEYWORDS.iter().map(|keyword| keyword.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KEYWORDS.len());
        for (_, meant) in ALIASES {
            assert!(keyword(meant.as_bytes()).is_some(), "{meant}");
        }
        let secrets: Vec<_> = KEYWORDS
            .iter()
            .filter(|keyword| keyword.is_secret)
            .map(|keyword| keyword.name)
            .collect();
        assert_eq!(
            secrets,
            [
                "password",
                "scram_client_key",
                "scram_server_key",
                "oauth_client_secret"
            ]
        );
    }
}
