//! The grammar of connection strings, libpq's to the byte: what `PQconninfoParse` of
//! PostgreSQL 18 makes of a string (`conninfo_parse`, `conninfo_uri_parse_options`,
//! `conninfo_uri_parse_params` and `conninfo_uri_decode` in fe-connect.c).
//!
//! An error never shows a piece of the string that could be a piece of a password, which
//! in a malformed string can be nearly any piece.

use super::options::{self, Keyword};
use super::value::is_blank;
use crate::error::{Error, ErrorKind};

/// One option of a connection string, its value decoded but not yet understood.
pub struct Pair {
    keyword: &'static Keyword,
    value: Vec<u8>,
    at: usize,
}

impl Pair {
    /// The option's name.
    pub fn keyword(&self) -> &'static str {
        self.keyword.name
    }

    /// The value, which a URI can make of any bytes but zero.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// Where the value begins in the connection string, in bytes.
    pub fn at(&self) -> usize {
        self.at
    }
}

/// Splits a connection string into the options that it sets, each once: the last one wins.
///
/// # Errors
///
/// [`ErrorKind::Config`] with the place, where the string is none of the two forms or
/// names an option that does not exist.
pub fn parse(text: &str) -> Result<Vec<Pair>, Error> {
    // C's strings end there; ours must not say more than libpq would see.
    if let Some(at) = text.find('\0') {
        return Err(malformed(at, "it contains a zero byte"));
    }
    let mut pairs = Pairs(Vec::new());
    match URI_PREFIXES
        .iter()
        .find(|prefix| text.starts_with(**prefix))
    {
        Some(prefix) => parse_uri(text.as_bytes(), prefix.len(), &mut pairs)?,
        None => parse_keywords(text.as_bytes(), &mut pairs)?,
    }
    Ok(pairs.0)
}

/// Whether a URI has an `@` that ends no user's part. It can be the true end of one whose
/// password has an unescaped `/` or `@`, and then any part of the URI can be a piece of the
/// password.
pub(super) fn is_suspect(text: &str) -> bool {
    let Some(rest) = URI_PREFIXES
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix))
    else {
        return false;
    };
    match rest.split_once(['@', '/']) {
        Some((user, behind)) if rest[user.len()..].starts_with('@') => behind.contains('@'),
        _ => rest.contains('@'),
    }
}

/// The error for the place `at` of a connection string.
pub(super) fn malformed(at: usize, message: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Config,
        format!("invalid connection string at byte {at}: {message}"),
    )
}

/// `value` as a keyword/value string spells it: quoted where it must be.
pub(super) fn quoted(value: &str) -> String {
    if !value.is_empty() && !value.contains(|c| is_blank(c) || c == '\'' || c == '\\') {
        return value.to_owned();
    }
    let mut quoted = String::from("'");
    for character in value.chars() {
        if matches!(character, '\'' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('\'');
    quoted
}

struct Pairs(Vec<Pair>);

impl Pairs {
    fn store(&mut self, keyword: &'static Keyword, value: Vec<u8>, at: usize) {
        self.0.retain(|pair| pair.keyword.name != keyword.name);
        self.0.push(Pair { keyword, value, at });
    }

    /// Stores the option called `name`, if there is one (`conninfo_storeval`).
    fn store_named(&mut self, name: &[u8], value: Vec<u8>, at: usize) -> Option<()> {
        if name == b"requiressl" {
            // Before `sslmode` there was `requiressl`.
            let mode = if value.starts_with(b"1") {
                "require"
            } else {
                "prefer"
            };
            return self.store_named(b"sslmode", mode.into(), at);
        }
        self.store(options::keyword(name)?, value, at);
        Some(())
    }

    /// As [`store_named`](Self::store_named), for the names that the URI's own parts have.
    fn store_part(&mut self, name: &str, value: Vec<u8>, at: usize) {
        let stored = self.store_named(name.as_bytes(), value, at);
        debug_assert!(stored.is_some(), "{name} is in the table");
    }

    fn has_secret(&self) -> bool {
        self.0.iter().any(|pair| pair.keyword.is_secret)
    }
}

/// `name = value name='va\'lue'`
fn parse_keywords(text: &[u8], pairs: &mut Pairs) -> Result<(), Error> {
    let mut at = skip_blanks(text, 0);
    while at < text.len() {
        let name_at = at;
        while at < text.len() && text[at] != b'=' && !is_blank(char::from(text[at])) {
            at += 1;
        }
        let name = &text[name_at..at];
        at = skip_blanks(text, at);
        if text.get(at) != Some(&b'=') {
            let is_first = pairs.0.is_empty();
            return Err(malformed(
                name_at,
                if is_first && text.windows(3).any(|window| window == b"://") {
                    "a URI begins with postgres:// or postgresql://"
                } else if is_first {
                    "expected postgres://… or an option's name and = (a value with blanks in it \
                     is quoted: name='a value')"
                } else {
                    "expected an option's name and = (a value with blanks in it is quoted: \
                     name='a value')"
                },
            ));
        }
        at = skip_blanks(text, at + 1);
        let value_at = at;
        let value = if text.get(at) == Some(&b'\'') {
            quoted_value(text, &mut at)?
        } else {
            bare_value(text, &mut at)
        };
        // Where a secret went before, what looks like a name can be its second word.
        let may_show = !pairs.has_secret();
        if pairs.store_named(name, value, value_at).is_none() {
            return Err(unknown(name, name_at, may_show));
        }
        at = skip_blanks(text, at);
    }
    Ok(())
}

fn bare_value(text: &[u8], at: &mut usize) -> Vec<u8> {
    let mut value = Vec::new();
    while let Some(&byte) = text.get(*at) {
        if is_blank(char::from(byte)) {
            break;
        }
        *at += 1;
        if byte != b'\\' {
            value.push(byte);
        } else if let Some(&escaped) = text.get(*at) {
            value.push(escaped);
            *at += 1;
        }
    }
    value
}

fn quoted_value(text: &[u8], at: &mut usize) -> Result<Vec<u8>, Error> {
    let opened_at = *at;
    *at += 1;
    let mut value = Vec::new();
    loop {
        match text.get(*at) {
            None => {
                return Err(malformed(
                    opened_at,
                    "the quote that opens here never closes",
                ));
            }
            Some(b'\'') => {
                *at += 1;
                return Ok(value);
            }
            Some(b'\\') => {
                *at += 1;
                if let Some(&escaped) = text.get(*at) {
                    value.push(escaped);
                    *at += 1;
                }
            }
            Some(&byte) => {
                value.push(byte);
                *at += 1;
            }
        }
    }
}

fn skip_blanks(text: &[u8], mut at: usize) -> usize {
    while at < text.len() && is_blank(char::from(text[at])) {
        at += 1;
    }
    at
}

/// `postgresql://user:password@host:port,host:port/dbname?name=value&name=value`
fn parse_uri(text: &[u8], start: usize, pairs: &mut Pairs) -> Result<(), Error> {
    let mut at = start;
    // The first @ ends the user's part, unless a / comes before it.
    let end = find(text, at, b"@/");
    if text.get(end) == Some(&b'@') {
        let user_end = find(text, at, b":@");
        if user_end > at {
            let user = decode(text, at..user_end)?;
            pairs.store_part("user", user, at);
        }
        if user_end + 1 < end {
            let password = decode(text, user_end + 1..end)?;
            pairs.store_part("password", password, user_end + 1);
        }
        at = end + 1;
    }
    let at = parse_hosts(text, at, pairs)?;
    let mut query = at;
    if text.get(at) == Some(&b'/') {
        query = find(text, at + 1, b"?");
        // An empty name is not stored, so that PGDATABASE still counts.
        if query > at + 1 {
            let name = decode(text, at + 1..query)?;
            pairs.store_part("dbname", name, at + 1);
        }
    }
    if query < text.len() {
        parse_parameters(text, query + 1, pairs)?;
    }
    Ok(())
}

/// The hosts and ports, which become one list each, and the place behind them.
fn parse_hosts(text: &[u8], start: usize, pairs: &mut Pairs) -> Result<usize, Error> {
    let mut at = start;
    // The places of the bytes of both lists: they are decoded as a whole.
    let mut hosts: Vec<usize> = Vec::new();
    let mut ports: Vec<usize> = Vec::new();
    loop {
        if text.get(at) == Some(&b'[') {
            let end = find(text, at, b"]");
            if end == text.len() {
                return Err(malformed(at, "the bracket that opens here never closes"));
            }
            if end == at + 1 {
                return Err(malformed(at, "there is no address in the brackets"));
            }
            hosts.extend(at + 1..end);
            at = end + 1;
            if !matches!(text.get(at), None | Some(b':' | b'/' | b'?' | b',')) {
                return Err(malformed(
                    at,
                    "expected a colon, a slash, a comma, a question mark or the end behind \
                     the brackets",
                ));
            }
        } else {
            let end = find(text, at, b":/?,");
            hosts.extend(at..end);
            at = end;
        }
        if text.get(at) == Some(&b':') {
            let end = find(text, at + 1, b"/?,");
            ports.extend(at + 1..end);
            at = end;
        }
        if text.get(at) != Some(&b',') {
            break;
        }
        hosts.push(at);
        ports.push(at);
        at += 1;
    }
    for (name, places) in [("host", hosts), ("port", ports)] {
        if let Some(&first) = places.first() {
            let value = decode(text, places)?;
            pairs.store_part(name, value, first);
        }
    }
    Ok(at)
}

fn parse_parameters(text: &[u8], start: usize, pairs: &mut Pairs) -> Result<(), Error> {
    let mut at = start;
    while at < text.len() {
        let end = find(text, at, b"&");
        let separator = find(text, at, b"=&");
        if separator >= end {
            return Err(malformed(at, "expected name=value"));
        }
        let extra = find(text, separator + 1, b"=&");
        if extra < end {
            return Err(malformed(
                extra,
                "a second = in one parameter; inside a value it is written %3D",
            ));
        }
        let mut name = decode(text, at..separator)?;
        let mut value = decode(text, separator + 1..end)?;
        if name == b"ssl" && value == b"true" {
            // For the sake of JDBC's URLs.
            name = b"sslmode".to_vec();
            value = b"require".to_vec();
        }
        if pairs.store_named(&name, value, separator + 1).is_none() {
            // An @ that follows can be the true end of the user's part: then all before
            // it is the password, of which an unescaped / or ? made a parameter.
            let may_show = !text[at..].contains(&b'@');
            return Err(unknown(&name, at, may_show));
        }
        at = end + 1;
    }
    Ok(())
}

fn unknown(name: &[u8], at: usize, may_show: bool) -> Error {
    let mut message = String::from("there is no such option");
    if may_show && name.len() <= LONGEST_SHOWN && name.iter().all(u8::is_ascii_graphic) {
        message += &format!(" as \"{}\"", String::from_utf8_lossy(name));
    }
    if let Some(advice) = options::advice(name) {
        message += &format!("; {advice}");
    }
    malformed(at, message)
}

/// Decodes percent signs. Blanks around the text are dropped, and blanks within are
/// refused, since PostgreSQL 18 (`conninfo_uri_decode`).
fn decode(text: &[u8], places: impl IntoIterator<Item = usize>) -> Result<Vec<u8>, Error> {
    let mut places = places.into_iter().skip_while(|at| text[*at] == b' ');
    let mut value = Vec::new();
    let mut blank_at = None;
    while let Some(at) = places.next() {
        let byte = text[at];
        if byte == b' ' {
            blank_at.get_or_insert(at);
            continue;
        }
        if let Some(at) = blank_at {
            return Err(malformed(at, "a blank inside of a URI is written %20"));
        }
        if byte != b'%' {
            value.push(byte);
            continue;
        }
        let mut digit = || {
            places
                .next()
                .and_then(|at| char::from(text[at]).to_digit(16))
        };
        match (digit(), digit()) {
            (Some(0), Some(0)) => return Err(malformed(at, "%00 is not allowed")),
            (Some(high), Some(low)) => value.push((high << 4 | low) as u8),
            _ => {
                return Err(malformed(
                    at,
                    "expected two hexadecimal digits behind %; a percent sign itself is \
                     written %25",
                ));
            }
        }
    }
    Ok(value)
}

/// The place of the first of `wanted` from `at` on, or the end.
fn find(text: &[u8], at: usize, wanted: &[u8]) -> usize {
    text[at..]
        .iter()
        .position(|byte| wanted.contains(byte))
        .map_or(text.len(), |found| at + found)
}

const URI_PREFIXES: [&str; 2] = ["postgresql://", "postgres://"];

/// An unknown name longer than this, in bytes, is not shown.
const LONGEST_SHOWN: usize = 63;
