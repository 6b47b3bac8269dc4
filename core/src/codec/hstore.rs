//! `hstore`: a count, then keys and values that may be NULL, each with its length in front
//! (`hstore_send` in `contrib/hstore/hstore_io.c`).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::str::FromStr;

use super::quote::is_space;
use super::text::{contains_nul, utf8};
use super::{Decode, Encode, IsNull, ParamWriter, RawValue, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Extension, Type};

/// An `hstore`: keys, and values that may be NULL.
///
/// # Example
///
/// ```
/// use kornak::codec::Hstore;
///
/// let store: Hstore = [("size", Some("9")), ("note", None)].into_iter().collect();
/// assert_eq!(store.to_string(), r#""note"=>NULL, "size"=>"9""#);
/// assert_eq!("size=>9, note=>NULL".parse(), Ok(store));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hstore(pub BTreeMap<String, Option<String>>);

/// A text is no `hstore`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseHstoreError;

/// The fewest bytes that a key and its value take: two lengths.
const SMALLEST_PAIR: usize = 8;

impl<K: Into<String>, V: Into<String>> FromIterator<(K, Option<V>)> for Hstore {
    fn from_iter<I: IntoIterator<Item = (K, Option<V>)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter();
        Self(
            pairs
                .map(|(key, value)| (key.into(), value.map(Into::into)))
                .collect(),
        )
    }
}

/// As the server prints it: short keys first.
impl fmt::Display for Hstore {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pairs: Vec<_> = self.0.iter().collect();
        // The map's own order stays where lengths are equal.
        pairs.sort_by_key(|(key, _)| key.len());
        for (index, (key, value)) in pairs.into_iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            write_quoted(f, key)?;
            f.write_str("=>")?;
            match value {
                Some(value) => write_quoted(f, value)?,
                None => f.write_str("NULL")?,
            }
        }
        Ok(())
    }
}

#[inline]
fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for part in text.split_inclusive(['"', '\\']) {
        match part.char_indices().next_back() {
            Some((end, special @ ('"' | '\\'))) => write!(f, "{}\\{special}", &part[..end])?,
            _ => f.write_str(part)?,
        }
    }
    f.write_str("\"")
}

impl fmt::Display for ParseHstoreError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an hstore is written like \"key\"=>\"value\", \"other\"=>NULL")
    }
}

impl std::error::Error for ParseHstoreError {}

/// Reads what the server reads (`parse_hstore`). Of equal keys the first one is kept.
impl FromStr for Hstore {
    type Err = ParseHstoreError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, ParseHstoreError> {
        let mut pairs = BTreeMap::new();
        let mut rest = text;
        while let Some(key) = read_word(&mut rest, Place::Key)? {
            skip_spaces(&mut rest);
            rest = rest.strip_prefix("=>").ok_or(ParseHstoreError)?;
            let value = read_word(&mut rest, Place::Value)?.ok_or(ParseHstoreError)?;
            pairs.entry(key.text).or_insert(match value.is_null {
                true => None,
                false => Some(value.text),
            });
            skip_spaces(&mut rest);
            match rest.strip_prefix(',') {
                Some(next) => rest = next,
                None if rest.is_empty() => break,
                None => return Err(ParseHstoreError),
            }
        }
        Ok(Self(pairs))
    }
}

/// A key or a value.
struct Word {
    text: String,
    /// Whether it is NULL if it is a value.
    is_null: bool,
}

/// What a word without quotes is ended by, spaces apart.
#[derive(Clone, Copy)]
enum Place {
    Key,
    Value,
}

/// Reads a word; `None` at the end of the text.
#[inline]
fn read_word(rest: &mut &str, place: Place) -> Result<Option<Word>, ParseHstoreError> {
    skip_spaces(rest);
    let quoted = rest.strip_prefix('"');
    let mut characters = quoted.unwrap_or(rest).chars();
    let mut text = String::new();
    loop {
        let before = characters.as_str();
        match (characters.next(), quoted) {
            (None, Some(_)) => return Err(ParseHstoreError),
            (None, None) => {
                *rest = before;
                break;
            }
            (Some('\\'), _) => text.push(characters.next().ok_or(ParseHstoreError)?),
            (Some('"'), Some(_)) => {
                *rest = characters.as_str();
                break;
            }
            (Some(character), None) if ends_word(character, place) => {
                *rest = before;
                break;
            }
            (Some(character), _) => text.push(character),
        }
    }
    match (quoted, text.is_empty(), rest.is_empty()) {
        (None, true, true) => Ok(None),
        (None, true, false) => Err(ParseHstoreError),
        _ => Ok(Some(Word {
            is_null: quoted.is_none() && text.eq_ignore_ascii_case("null"),
            text,
        })),
    }
}

#[inline]
fn ends_word(character: char, place: Place) -> bool {
    let end = match place {
        Place::Key => '=',
        Place::Value => ',',
    };
    character == end || is_space(character)
}

#[inline]
fn skip_spaces(rest: &mut &str) {
    *rest = rest.trim_start_matches(is_space);
}

impl Encode for Hstore {
    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if ty.extension() != Extension::Hstore {
            return Err(wrong_encode_type::<Self>(ty));
        }
        out.put_count::<Self>(self.0.len(), ty)?;
        for (key, value) in &self.0 {
            for text in [Some(key), value.as_ref()] {
                let length = out.begin_part();
                match text {
                    Some(text) if text.as_bytes().contains(&0) => {
                        return Err(contains_nul::<Self>(ty));
                    }
                    Some(text) => {
                        out.put_slice(text.as_bytes());
                        out.end_part(length)?;
                    }
                    None => out.end_null_part(length),
                }
            }
        }
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r> for Hstore {
    #[inline]
    fn accepts(ty: &Type) -> bool {
        ty.extension() == Extension::Hstore
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let mut reader = value.reader();
        let count = reader.count(SMALLEST_PAIR)?;
        let mut pairs = BTreeMap::new();
        for _ in 0..count {
            let Some(key) = reader.value()? else {
                return Err(value.error::<Self>("one of its keys is NULL"));
            };
            let key = utf8::<Self>(key, value)?.to_owned();
            let text = match reader.value()? {
                Some(text) => Some(utf8::<Self>(text, value)?.to_owned()),
                None => None,
            };
            match pairs.entry(key) {
                Entry::Vacant(place) => place.insert(text),
                Entry::Occupied(_) => return Err(value.error::<Self>("a key comes twice")),
            };
        }
        reader.finish()?;
        Ok(Self(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::{check, refuses_to_read, refuses_to_write};
    use crate::types::Kind;

    fn hstore() -> Type {
        Type::custom(70000, "public", "hstore", Kind::Simple, true, true).unwrap()
    }

    #[test]
    fn stores_have_the_servers_bytes_and_text() {
        let store: Hstore = [("a", Some("1")), ("b", None), ("", Some(""))]
            .into_iter()
            .collect();
        let hex = "000000030000000000000000\
                   00000001610000000131\
                   0000000162ffffffff";
        assert_eq!(store.to_string(), r#"""=>"", "a"=>"1", "b"=>NULL"#);
        check(&hstore(), store, hex);
        check(&hstore(), Hstore::default(), "00000000");
        let escaped: Hstore = [
            ("long \"key\"", Some("back\\slash")),
            ("NULL", Some("null")),
        ]
        .into_iter()
        .collect();
        let shown = r#""NULL"=>"null", "long \"key\""=>"back\\slash""#;
        assert_eq!(escaped.to_string(), shown);
        assert_eq!(shown.parse(), Ok(escaped));
        let nul: Hstore = [("a", Some("\0"))].into_iter().collect();
        refuses_to_write(&hstore(), &nul, "NUL");
        refuses_to_write(&Type::TEXT, &nul, "the types don't match");
    }

    #[test]
    fn what_the_server_reads_is_read() {
        for (text, wanted) in [
            ("", ""),
            ("  ", ""),
            ("a=>1", r#""a"=>"1""#),
            (" a => 1 , b=>2", r#""a"=>"1", "b"=>"2""#),
            ("a=>1,", r#""a"=>"1""#),
            ("a=>1,a=>2", r#""a"=>"1""#),
            ("a=>nUlL, b=>\"null\"", r#""a"=>NULL, "b"=>"null""#),
            ("null=>x", r#""null"=>"x""#),
            (r"a\ b=>\,", r#""a b"=>",""#),
            ("a=>b=c", r#""a"=>"b=c""#),
            ("a,b=>c", r#""a,b"=>"c""#),
            ("\"\"=>\"\"", r#"""=>"""#),
        ] {
            let store: Result<Hstore, _> = text.parse();
            assert_eq!(
                store.map(|store| store.to_string()).as_deref(),
                Ok(wanted),
                "{text}"
            );
        }
        for text in [
            "a",
            "a=",
            "a=>",
            "=>b",
            "a=>,",
            "a=>1 b=>2",
            "a=b",
            "\"a=>b",
            "a=>\"b",
            "a\\",
            "a=>b,,",
            "a = > b",
            "\"a\"b=>c",
        ] {
            assert!(text.parse::<Hstore>().is_err(), "{text}");
        }
    }

    #[test]
    fn s25_stores_that_lie() {
        for (hex, message) in [
            ("", "ends early"),
            ("0000000200000001610000000131", "parts"),
            ("00000002000000016100000001310000000162000000", "ends early"),
            ("7fffffff00000001610000000131", "parts"),
            ("ffffffff", "parts"),
            ("00000001ffffffff0000000131", "keys is NULL"),
            ("00000001fffffffe0000000131", "length -2"),
            ("00000001000000016100000001", "ends early"),
            ("0000000200000001610000000131000000016100000000", "twice"),
            ("0000000100000001ff00000000", "not UTF-8"),
            ("0000000000", "1 bytes follow"),
        ] {
            refuses_to_read::<Hstore>(&hstore(), hex, message);
        }
    }
}
