//! Connection strings, environment and files compared with the libpq of this machine.
//!
//! It is the one that came with the server of the tests, or else the system's. Another libpq is
//! compared with by `KORNAK_LIBPQ=/path/to/libpq.so.5 cargo test --test
//! config_libpq`.

mod connect;
mod generator;
mod libpq;

use std::collections::BTreeMap;

use generator::Random;
use kornak::internals::connection_string;
use libpq::{Answer, Answers, Request};

/// Why this driver and libpq may disagree on a connection string. All else must agree:
/// whether it is accepted, and the options that it sets, to the byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// libpq is older than an option that the string names, or the option is this driver's
    /// own: libpq refuses the string for just that.
    OptionUnknownToLibpq,
    /// PostgreSQL 18 drops the blanks around a part of a URI and refuses those within;
    /// libpq before that keeps both, so that `postgres:// host` asks for a host whose name
    /// begins with a blank.
    BlankInUriBeforeLibpq18,
}

#[test]
fn s32_connection_strings_agree_with_libpq() {
    let mut random = Random::new(0x4B6F_726E_616B);
    let mut texts: Vec<String> = REGRESSIONS.iter().map(|text| (*text).to_owned()).collect();
    while texts.len() < STRINGS {
        texts.push(generator::connection_string(&mut random, KEYWORDS));
    }
    let requests: Vec<_> = texts.iter().cloned().map(Request::Parse).collect();
    let Some(libpq) = libpq::ask(&requests) else {
        return;
    };

    let mut agreed = 0;
    let mut accepted = 0;
    let mut differences: BTreeMap<Difference, usize> = BTreeMap::new();
    let mut failures = Vec::new();
    for (text, theirs) in texts.iter().zip(&libpq.answers) {
        let ours = connection_string::parse(text).map(|pairs| {
            let pairs = pairs.iter();
            pairs
                .map(|pair| (pair.keyword().to_owned(), pair.value().to_vec()))
                .collect::<BTreeMap<_, _>>()
        });
        let agrees = match &ours {
            Ok(options) => theirs.accepts && *options == theirs.options,
            Err(_) => !theirs.accepts,
        };
        if agrees {
            agreed += 1;
            accepted += usize::from(theirs.accepts);
        } else if let Some(difference) = argued(text, ours.is_ok(), theirs, &libpq) {
            *differences.entry(difference).or_default() += 1;
        } else {
            failures.push(format!(
                "{text:?}\n  ours:   {}\n  theirs: {} {}",
                match &ours {
                    Ok(options) => shown(options),
                    Err(error) => error.to_string(),
                },
                theirs.message.trim_end(),
                shown(&theirs.options),
            ));
        }
    }
    println!(
        "libpq {}: {agreed} agree, {accepted} of them accepted; {differences:?}",
        libpq.version
    );
    let some = &failures[..failures.len().min(20)];
    assert!(
        failures.is_empty(),
        "{}: {}",
        failures.len(),
        some.join("\n")
    );
    assert!(agreed >= 100_000, "only {agreed} strings were compared");
    assert!(accepted >= 25_000, "only {accepted} strings were accepted");
}

/// The table in the documentation has a row for each option that libpq knows
/// (`PQconndefaults`), with its variable.
#[test]
fn the_documentation_tells_of_every_option_of_libpq() {
    let documentation = include_str!("../../core/src/config/mod.rs");
    let Some(libpq) = libpq::ask(&[Request::Parse(String::new())]) else {
        return;
    };
    assert!(libpq.keywords.len() > 30, "{:?}", libpq.keywords);
    for (keyword, variable) in &libpq.keywords {
        let has_row = documentation.lines().any(|line| {
            line.starts_with(&format!("//! | `{keyword}` |")) && line.contains(variable)
        });
        assert!(has_row, "libpq {}: {keyword} {variable}", libpq.version);
    }
}

/// The difference of the table that explains a disagreement, if one does.
fn argued(text: &str, we_accept: bool, theirs: &Answer, libpq: &Answers) -> Option<Difference> {
    if we_accept && !theirs.accepts {
        let named = theirs.message.split('"').nth(1)?;
        let is_unknown = KEYWORDS.contains(&named) && !libpq.keywords.contains_key(named);
        let is_for_that = theirs.message.starts_with("invalid connection option")
            || theirs.message.starts_with("invalid URI query parameter");
        if is_unknown && is_for_that {
            return Some(Difference::OptionUnknownToLibpq);
        }
    }
    let is_uri = text.starts_with("postgres://") || text.starts_with("postgresql://");
    if is_uri && text.contains(' ') && libpq.version < 180_000 {
        return Some(Difference::BlankInUriBeforeLibpq18);
    }
    None
}

fn shown(options: &BTreeMap<String, Vec<u8>>) -> String {
    let mut text = String::new();
    for (name, value) in options {
        text += &format!("{name}={:?} ", String::from_utf8_lossy(value));
    }
    text
}

const STRINGS: usize = 150_000;

/// What libpq's own tests look at (`001_uri.pl`), written anew, and what went wrong once.
const REGRESSIONS: &[&str] = &[
    "",
    " ",
    "postgres://",
    "postgresql:///",
    "postgresql://@",
    "postgresql://:@",
    "postgresql://u:p@h:1/d",
    "postgresql://u:p@/d?host=/tmp",
    "postgresql://h?u%73er=x",
    "postgresql://h?u%7aer=x",
    "postgresql://h?",
    "postgresql://h?x",
    "postgresql://h?user=",
    "postgresql://h?user=a&",
    "postgresql://h?user=a&&port=1",
    "postgresql://h?user=a=b",
    "postgresql://h?%",
    "postgresql://h?user=%",
    "postgresql://h?user=%4",
    "postgresql://[::1]",
    "postgresql://[::1",
    "postgresql://[]",
    "postgresql://[::1]x",
    "postgresql://[::1]:1,[::2]:2/d",
    "postgresql://a,b,c:1",
    "postgresql://,",
    "postgresql://a:1,:2,",
    "postgresql://u%00@h",
    "postgresql://u@h/d?ssl=true",
    "postgresql://u@h/d?ssl=false",
    "postgresql://u@h/d?requiressl=1",
    "postgresql://u@@h",
    "postgresql://u:p:q@h",
    "postgresql://u/p@h",
    "postgresql:// h",
    "postgresql://h ",
    "postgresql://a b",
    "postgresql://h/? user = x & port = 1 ",
    "postgresql://h?user=a%20b",
    "requiressl=1",
    "requiressl=",
    "user=a user=b",
    "user",
    "user=",
    "user='",
    "user=''",
    "user='a'host='b'",
    "user=a\\",
    "user='a\\",
    "user=a\\ b",
    "user = a host\t=\nb",
    "=",
    "user==",
    "dbname=postgres://h",
];

/// All options of libpq 18 and 19 and this driver's own.
const KEYWORDS: &[&str] = &[
    "service",
    "servicefile",
    "user",
    "password",
    "passfile",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "port",
    "client_encoding",
    "options",
    "application_name",
    "fallback_application_name",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "sslmode",
    "sslnegotiation",
    "sslcompression",
    "sslcert",
    "sslkey",
    "sslcertmode",
    "sslpassword",
    "sslrootcert",
    "sslcrl",
    "sslcrldir",
    "sslsni",
    "requirepeer",
    "require_auth",
    "min_protocol_version",
    "max_protocol_version",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "gssencmode",
    "krbsrvname",
    "gsslib",
    "gssdelegation",
    "replication",
    "target_session_attrs",
    "load_balance_hosts",
    "scram_client_key",
    "scram_server_key",
    "oauth_issuer",
    "oauth_client_id",
    "oauth_client_secret",
    "oauth_scope",
    "sslkeylogfile",
    "pooler",
    "statement_cache_capacity",
    "send_buffer_size",
    "receive_buffer_size",
    "query_timeout",
    "allow_cleartext_password",
    "allow_md5_password",
    "scram_min_iterations",
    "scram_max_iterations",
];
