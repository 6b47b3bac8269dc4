//! The text of a dialogue as terms, before any message gives them a meaning.

use std::fmt::{self, Write as _};
use std::iter::Peekable;
use std::str::CharIndices;

/// One argument of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// A word or number without quotes; the field that it fills says what it means.
    Bare(String),
    /// `"text"` or `x"00 ff"`.
    Quoted(Pieces),
    /// `$name`.
    Capture(String),
    /// `[a, b]`.
    List(Vec<Term>),
    /// `(a b)`.
    Tuple(Vec<Term>),
    /// `key=value`.
    Pair(Pieces, Box<Term>),
}

/// Bytes, parts of which may be captures: `"r=${nonce},s=abc"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pieces(pub Vec<Piece>);

/// A part of [`Pieces`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// These bytes.
    Literal(Vec<u8>),
    /// Whatever is, or gets, bound to this name.
    Capture(String),
}

impl Pieces {
    /// Bytes without captures.
    pub fn literal(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            Self::default()
        } else {
            Self(vec![Piece::Literal(bytes.to_vec())])
        }
    }

    /// The bytes, if there is no capture among them.
    pub fn as_literal(&self) -> Option<&[u8]> {
        match self.0.as_slice() {
            [] => Some(&[]),
            [Piece::Literal(bytes)] => Some(bytes),
            _ => None,
        }
    }

    /// Whether any literal part holds `byte`.
    pub fn contains(&self, byte: u8) -> bool {
        self.0
            .iter()
            .any(|piece| matches!(piece, Piece::Literal(bytes) if bytes.contains(&byte)))
    }

    fn push(&mut self, byte: u8) {
        if let Some(Piece::Literal(bytes)) = self.0.last_mut() {
            bytes.push(byte);
        } else {
            self.0.push(Piece::Literal(vec![byte]));
        }
    }

    fn push_capture(&mut self, name: String) -> Result<(), String> {
        if let Some(Piece::Capture(before)) = self.0.last() {
            return Err(format!(
                "nothing stands between ${{{before}}} and ${{{name}}}, so where one ends is unknown"
            ));
        }
        self.0.push(Piece::Capture(name));
        Ok(())
    }
}

/// Text where it reads as text, hexadecimal digits elsewhere; captures always in quotes.
impl fmt::Display for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(bytes) = self.as_literal() {
            return match std::str::from_utf8(bytes) {
                Ok(text) if !text.chars().any(is_odd) => {
                    f.write_char('"')?;
                    write_escaped(f, text)?;
                    f.write_char('"')
                }
                _ => {
                    f.write_char('x')?;
                    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
                }
            };
        }
        f.write_char('"')?;
        for piece in &self.0 {
            match piece {
                Piece::Capture(name) => write!(f, "${{{name}}}")?,
                Piece::Literal(bytes) => {
                    for chunk in bytes.utf8_chunks() {
                        write_escaped(f, chunk.valid())?;
                        for byte in chunk.invalid() {
                            write!(f, "\\x{byte:02x}")?;
                        }
                    }
                }
            }
        }
        f.write_char('"')
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bare(word) => f.write_str(word),
            Self::Quoted(pieces) => pieces.fmt(f),
            Self::Capture(name) => write!(f, "${name}"),
            Self::List(items) => write_items(f, '[', items, ", ", ']'),
            Self::Tuple(items) => write_items(f, '(', items, " ", ')'),
            Self::Pair(key, value) => write!(f, "{}={value}", Key(key)),
        }
    }
}

/// A key of a pair: bare where it can be.
pub struct Key<'a>(pub &'a Pieces);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_literal().map(std::str::from_utf8) {
            Some(Ok(word)) if is_bare_text(word) => f.write_str(word),
            _ => self.0.fmt(f),
        }
    }
}

/// Whether `word` can stand without quotes and still be read as text.
pub fn is_bare_text(word: &str) -> bool {
    !word.is_empty() && word.chars().all(is_bare)
}

/// Writes `items` between brackets.
pub fn write_items<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    open: char,
    items: &[T],
    separator: &str,
    close: char,
) -> fmt::Result {
    f.write_char(open)?;
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            f.write_str(separator)?;
        }
        item.fmt(f)?;
    }
    f.write_char(close)
}

/// The line without the comment at its end: what follows a `#` outside quotes.
pub fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let mut chars = line.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '#' if !quoted => return &line[..at],
            '"' => quoted = !quoted,
            '\\' if quoted => {
                chars.next();
            }
            _ => {}
        }
    }
    line
}

/// Reads the terms of one line.
pub fn parse_terms(text: &str) -> Result<Vec<Term>, String> {
    let mut reader = Reader {
        text,
        chars: text.char_indices().peekable(),
    };
    let terms = reader.terms(None)?;
    Ok(terms)
}

/// Reads an even number of hexadecimal digits; spaces between them are passed over.
pub fn parse_hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = digits
        .chars()
        .filter(|c| *c != ' ')
        .map(|c| c.to_digit(16))
        .collect::<Option<_>>()?;
    if digits.len() % 2 != 0 {
        return None;
    }
    let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).expect("two digits");
    Some(digits.chunks_exact(2).map(byte).collect())
}

struct Reader<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
}

impl<'a> Reader<'a> {
    /// Terms up to `close`, or to the end of the line.
    fn terms(&mut self, close: Option<char>) -> Result<Vec<Term>, String> {
        let mut terms = Vec::new();
        loop {
            match self.peek() {
                None => {
                    return match close {
                        None => Ok(terms),
                        Some(close) => Err(format!("a {close:?} is missing at the end")),
                    };
                }
                Some(c) if Some(c) == close => {
                    self.chars.next();
                    return Ok(terms);
                }
                Some(' ' | '\t') => {
                    self.chars.next();
                }
                Some(',') if close == Some(']') && !terms.is_empty() => {
                    self.chars.next();
                }
                Some(_) => terms.push(self.term()?),
            }
        }
    }

    fn term(&mut self) -> Result<Term, String> {
        let term = match self.peek() {
            Some('[') => {
                self.chars.next();
                return Ok(Term::List(self.terms(Some(']'))?));
            }
            Some('(') => {
                self.chars.next();
                return Ok(Term::Tuple(self.terms(Some(')'))?));
            }
            Some('$') => {
                self.chars.next();
                return Ok(Term::Capture(self.name()?));
            }
            Some('"') => Term::Quoted(self.quoted()?),
            Some(c) if is_bare(c) => {
                let word = self.bare();
                if word == "x" && self.peek() == Some('"') {
                    Term::Quoted(self.hexadecimal()?)
                } else {
                    Term::Bare(word.to_owned())
                }
            }
            Some(c) => return Err(format!("{c:?} starts nothing known")),
            None => return Err("the line ends too early".to_owned()),
        };
        if self.peek() != Some('=') {
            return Ok(term);
        }
        self.chars.next();
        let key = match term {
            Term::Bare(word) => Pieces::literal(word.as_bytes()),
            Term::Quoted(pieces) => pieces,
            _ => return Err("only a word or a text can be a key".to_owned()),
        };
        Ok(Term::Pair(key, Box::new(self.term()?)))
    }

    fn bare(&mut self) -> &'a str {
        let start = self.position();
        while self.peek().is_some_and(is_bare) {
            self.chars.next();
        }
        let end = self.position();
        &self.text[start..end]
    }

    fn name(&mut self) -> Result<String, String> {
        let name = self.bare();
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || !name.chars().all(fits) {
            return Err(format!(
                "{name:?} is no name of a capture: lower-case letters, digits and _ are"
            ));
        }
        Ok(name.to_owned())
    }

    fn quoted(&mut self) -> Result<Pieces, String> {
        self.chars.next();
        let mut pieces = Pieces::default();
        loop {
            let c = self.next_quoted()?;
            match c {
                '"' => return Ok(pieces),
                '$' if self.peek() == Some('{') => {
                    self.chars.next();
                    pieces.push_capture(self.name()?)?;
                    if self.next_quoted()? != '}' {
                        return Err("a capture inside a text ends with }".to_owned());
                    }
                }
                '\\' => match self.next_quoted()? {
                    'n' => pieces.push(b'\n'),
                    'r' => pieces.push(b'\r'),
                    't' => pieces.push(b'\t'),
                    'x' => {
                        let digits = [self.next_quoted()?, self.next_quoted()?];
                        let digits: String = digits.iter().collect();
                        let byte = parse_hexadecimal(&digits)
                            .and_then(|bytes| bytes.first().copied())
                            .ok_or_else(|| format!("\\x{digits} is no byte"))?;
                        pieces.push(byte);
                    }
                    same @ ('"' | '\\' | '$') => pieces.push(same as u8),
                    other => return Err(format!("\\{other} is no escape")),
                },
                c => {
                    let mut encoded = [0; 4];
                    c.encode_utf8(&mut encoded)
                        .bytes()
                        .for_each(|byte| pieces.push(byte));
                }
            }
        }
    }

    fn hexadecimal(&mut self) -> Result<Pieces, String> {
        self.chars.next();
        let start = self.position();
        while self.next_quoted()? != '"' {}
        let digits = &self.text[start..self.position() - 1];
        let bytes = parse_hexadecimal(digits)
            .ok_or_else(|| format!("x{digits:?} is no even number of hexadecimal digits"))?;
        Ok(Pieces::literal(&bytes))
    }

    fn next_quoted(&mut self) -> Result<char, String> {
        match self.chars.next() {
            Some((_, c)) => Ok(c),
            None => Err("a closing quote is missing".to_owned()),
        }
    }

    fn peek(&mut self) -> Option<char> {
        self.chars.peek().map(|(_, c)| *c)
    }

    fn position(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |(at, _)| *at)
    }
}

fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '+' | '-' | '*' | '/' | ':')
}

/// A character that says nothing on paper.
fn is_odd(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\r' | '\t')
}

fn write_escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '$' if chars.peek() == Some(&'{') => f.write_str("\\$")?,
            c if is_odd(c) => {
                let mut encoded = [0; 4];
                for byte in c.encode_utf8(&mut encoded).bytes() {
                    write!(f, "\\x{byte:02x}")?;
                }
            }
            c => f.write_char(c)?,
        }
    }
    Ok(())
}
