//! JSON (RFC 8259), as far as the output of cargo needs it.

use xtask::{Failure, Result};

/// A value. Numbers are kept as they are written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// How deep values may lie within each other.
const MAX_DEPTH: u32 = 100;

impl Json {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut parser = Parser { text, at: 0 };
        let value = parser.value(0)?;
        parser.skip_space();
        if parser.at < text.len() {
            return Err(parser.unexpected());
        }
        Ok(value)
    }

    /// The value of an object's field.
    pub(super) fn field(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    pub(super) fn items(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn value(&mut self, depth: u32) -> Result<Json> {
        self.skip_space();
        if depth > MAX_DEPTH {
            return Err(self.unexpected());
        }
        for (word, value) in [
            ("null", Json::Null),
            ("true", Json::Bool(true)),
            ("false", Json::Bool(false)),
        ] {
            if self.takes(word) {
                return Ok(value);
            }
        }
        if self.rest().starts_with('"') {
            return self.string().map(Json::Text);
        }
        if self.takes("[") {
            let mut items = Vec::new();
            self.list(']', |parser| {
                items.push(parser.value(depth + 1)?);
                Ok(())
            })?;
            return Ok(Json::List(items));
        }
        if self.takes("{") {
            let mut fields = Vec::new();
            self.list('}', |parser| {
                let key = parser.string()?;
                parser.skip_space();
                if !parser.takes(":") {
                    return Err(parser.unexpected());
                }
                fields.push((key, parser.value(depth + 1)?));
                Ok(())
            })?;
            return Ok(Json::Object(fields));
        }
        let is_numeric = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
        let length = self
            .rest()
            .find(|c| !is_numeric(c))
            .unwrap_or(self.rest().len());
        if length == 0 {
            return Err(self.unexpected());
        }
        let number = self.rest()[..length].to_owned();
        self.at += length;
        Ok(Json::Number(number))
    }

    /// Items with commas between them, up to `close`.
    fn list(&mut self, close: char, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.skip_space();
        if self.takes(close.encode_utf8(&mut [0; 4])) {
            return Ok(());
        }
        loop {
            self.skip_space();
            item(self)?;
            self.skip_space();
            if self.takes(close.encode_utf8(&mut [0; 4])) {
                return Ok(());
            }
            if !self.takes(",") {
                return Err(self.unexpected());
            }
        }
    }

    fn string(&mut self) -> Result<String> {
        if !self.takes("\"") {
            return Err(self.unexpected());
        }
        let mut text = String::new();
        loop {
            let c = self.next()?;
            match c {
                '"' => return Ok(text),
                '\\' => match self.next()? {
                    'b' => text.push('\u{8}'),
                    'f' => text.push('\u{c}'),
                    'n' => text.push('\n'),
                    'r' => text.push('\r'),
                    't' => text.push('\t'),
                    'u' => text.push(self.unit()?),
                    c @ ('"' | '\\' | '/') => text.push(c),
                    _ => return Err(self.unexpected()),
                },
                _ => text.push(c),
            }
        }
    }

    /// The four digits behind `\u`. Halves of a surrogate pair, which cargo does not write,
    /// are replaced.
    fn unit(&mut self) -> Result<char> {
        let digits = self.rest().get(..4).ok_or_else(|| self.unexpected())?;
        let code = u32::from_str_radix(digits, 16).map_err(|_| self.unexpected())?;
        self.at += 4;
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn next(&mut self) -> Result<char> {
        let c = self
            .rest()
            .chars()
            .next()
            .ok_or_else(|| self.unexpected())?;
        self.at += c.len_utf8();
        Ok(c)
    }

    fn takes(&mut self, word: &str) -> bool {
        let is_there = self.rest().starts_with(word);
        if is_there {
            self.at += word.len();
        }
        is_there
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn unexpected(&self) -> Failure {
        Failure::new(format!("JSON that can't be read, at byte {}", self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read() {
        let json = Json::parse(
            r#" {"a": [1, -2.5e3, true, null], "b": {"c": "x\n\"\u00e9\\"}, "d": {}, "e": []} "#,
        )
        .unwrap();
        assert_eq!(json.field("a").and_then(Json::items).unwrap().len(), 4);
        let text = json
            .field("b")
            .and_then(|b| b.field("c"))
            .and_then(Json::text);
        assert_eq!(text, Some("x\n\"é\\"));
        assert_eq!(json.field("e"), Some(&Json::List(Vec::new())));
        assert_eq!(json.field("f"), None);
    }

    #[test]
    fn what_is_broken_is_an_error() {
        for text in [
            "",
            "[1,",
            "{\"a\" 1}",
            "\"a",
            "[] []",
            "{a:1}",
            "\"\\u12\"",
            "\"\\x\"",
        ] {
            assert!(Json::parse(text).is_err(), "{text}");
        }
        assert!(Json::parse(&"[".repeat(10_000)).is_err());
    }
}
