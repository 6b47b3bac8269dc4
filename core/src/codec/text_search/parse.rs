//! The text forms (`tsvectorin` and `gettoken_tsvector` in `tsvector.c` and
//! `tsvector_parser.c`, `parse_tsquery` in `tsquery.c`).

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::query::{MAX_DISTANCE, TsQuery, TsQueryItem};
use super::vector::{Lexeme, LexemePosition, LexemeWeight, MAX_INDEX, TsVector};
use crate::codec::quote::is_space;

/// A text is no `tsvector` or `tsquery`.
///
/// # Example
///
/// ```
/// use kornak::codec::TsQuery;
///
/// let error = "fat & ".parse::<TsQuery>().unwrap_err();
/// assert_eq!(error.to_string(), "a word is missing at byte 6");
/// assert_eq!(error.place(), 6);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseTextSearchError {
    place: usize,
    problem: &'static str,
}

impl ParseTextSearchError {
    /// Where in the text it went wrong, in bytes from its beginning.
    #[inline]
    pub fn place(&self) -> usize {
        self.place
    }
}

impl fmt::Display for ParseTextSearchError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.problem, self.place)
    }
}

impl std::error::Error for ParseTextSearchError {}

/// A lexeme has fewer bytes than this, `MAXSTRLEN` in `ts_type.h`.
const MAX_WORD: usize = (1 << 11) - 1;

/// All lexemes together have at most so many bytes, `MAXSTRPOS` in `ts_type.h`.
const MAX_TEXTS: usize = 1 << 20;

/// A lexeme has fewer positions than this, `MAXNUMPOS` in `ts_type.h`.
const MAX_POSITIONS: usize = 256;

/// Reads what the server reads, and makes of it what the server does: lexemes are sorted, and
/// those that come more than once have the positions of all. Positions are sorted, those beyond
/// 16,383 become that, and of equal ones the highest weight is kept.
impl FromStr for TsVector {
    type Err = ParseTextSearchError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, ParseTextSearchError> {
        let mut parser = Parser::new(text);
        let mut lexemes: Vec<(String, Vec<LexemePosition>)> = Vec::new();
        let mut length = 0;
        while let Some(word) = parser.word(Grammar::Vector)? {
            length += word.len();
            let positions = parser.positions()?;
            if length > MAX_TEXTS {
                return Err(parser.error(TOO_LONG));
            }
            lexemes.push((word, positions));
        }
        lexemes.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut vector = Self::default();
        let mut size = 0;
        let mut lexemes = lexemes.into_iter().peekable();
        while let Some((word, mut positions)) = lexemes.next() {
            while let Some((_, more)) = lexemes.next_if(|(next, _)| *next == word) {
                positions.extend(more);
            }
            let positions = &unique(positions);
            let text = &word;
            vector.push(Lexeme { text, positions });
            size += word.len();
            if !positions.is_empty() {
                // A count and the positions, two bytes each, at an even place.
                size = size.next_multiple_of(2) + 2 + 2 * positions.len();
            }
        }
        if size > MAX_TEXTS {
            return Err(parser.error(TOO_LONG));
        }
        Ok(vector)
    }
}

const TOO_LONG: &str = "it has more lexemes than the server's limit of 1 MiB";

/// The positions that the server keeps, `uniquePos`.
#[inline]
fn unique(mut positions: Vec<LexemePosition>) -> Vec<LexemePosition> {
    positions.sort_by_key(|position| position.index);
    let mut kept: Vec<LexemePosition> = Vec::new();
    for position in positions {
        match kept.last_mut() {
            Some(last) if last.index == position.index => {
                last.weight = last.weight.max(position.weight);
            }
            _ => {
                kept.push(position);
                let is_last = position.index == MAX_INDEX && kept.len() > 1;
                if is_last || kept.len() == MAX_POSITIONS {
                    break;
                }
            }
        }
    }
    kept
}

/// Reads what the server reads.
impl FromStr for TsQuery {
    type Err = ParseTextSearchError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, ParseTextSearchError> {
        QueryParser::new(text).query()
    }
}

/// Where words stand, and what ends those without quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Grammar {
    Vector,
    /// Operators end a word.
    Query,
}

/// A cursor over the text.
#[derive(Clone, Copy)]
struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Parser<'a> {
    #[inline]
    fn new(text: &'a str) -> Self {
        Self { text, rest: text }
    }

    #[inline]
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    #[inline]
    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next();
        self.rest = characters.as_str();
        next
    }

    /// Takes the character away if it comes next.
    #[inline]
    fn takes(&mut self, character: char) -> bool {
        match self.rest.strip_prefix(character) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    #[inline]
    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches(is_space);
    }

    /// The number that comes next, or the largest there is; `None` if there is no digit.
    #[inline]
    fn number(&mut self) -> Option<u32> {
        let end = self
            .rest
            .find(|character: char| !character.is_ascii_digit());
        let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        // Only too many digits are no number.
        (!digits.is_empty()).then(|| digits.parse().unwrap_or(u32::MAX))
    }

    #[cold]
    fn error(&self, problem: &'static str) -> ParseTextSearchError {
        ParseTextSearchError {
            place: self.text.len() - self.rest.len(),
            problem,
        }
    }

    /// Reads a word; `None` at the end of the text.
    #[inline]
    fn word(&mut self, grammar: Grammar) -> Result<Option<String>, ParseTextSearchError> {
        self.skip_spaces();
        let start = *self;
        let word = match self.peek() {
            None => return Ok(None),
            Some('\'') => self.quoted_word()?,
            Some(character) if grammar == Grammar::Query && is_operator(character) => {
                return Err(self.error(NO_WORD));
            }
            Some(_) => self.bare_word(grammar)?,
        };
        match word.len() {
            0 => Err(start.error("a word is empty")),
            1..MAX_WORD => Ok(Some(word)),
            _ => Err(start.error("a word has more than the server's limit of 2,046 bytes")),
        }
    }

    #[inline]
    fn quoted_word(&mut self) -> Result<String, ParseTextSearchError> {
        let start = *self;
        self.next();
        let mut word = String::new();
        while let Some(character) = self.next() {
            match character {
                '\'' if !self.takes('\'') => return Ok(word),
                '\\' => word.push(self.escaped()?),
                character => word.push(character),
            }
        }
        Err(start.error("the quote is not closed"))
    }

    /// Reads a word of at least one character, whichever that is.
    #[inline]
    fn bare_word(&mut self, grammar: Grammar) -> Result<String, ParseTextSearchError> {
        let ends = |character| {
            character == ':'
                || is_space(character)
                || grammar == Grammar::Query && is_operator(character)
        };
        let mut word = String::new();
        while let Some(character) = self.peek() {
            if !word.is_empty() && ends(character) {
                break;
            }
            self.next();
            word.push(match character {
                '\\' => self.escaped()?,
                character => character,
            });
        }
        Ok(word)
    }

    /// Reads what is behind a backslash.
    #[inline]
    fn escaped(&mut self) -> Result<char, ParseTextSearchError> {
        self.next()
            .ok_or_else(|| self.error("the character behind the backslash is missing"))
    }

    /// Reads the positions behind a word, if there are any.
    #[inline]
    fn positions(&mut self) -> Result<Vec<LexemePosition>, ParseTextSearchError> {
        let mut positions = Vec::new();
        if !self.takes(':') {
            return Ok(positions);
        }
        loop {
            let start = *self;
            let index = match self.number() {
                Some(0) => return Err(start.error("a position is 0")),
                Some(index) => u16::try_from(index).unwrap_or(MAX_INDEX).min(MAX_INDEX),
                None => return Err(start.error("a position is missing")),
            };
            let weight = self.weight()?;
            positions.push(LexemePosition { index, weight });
            match self.peek() {
                Some(',') => self.next(),
                None => return Ok(positions),
                Some(character) if is_space(character) => return Ok(positions),
                Some(_) => return Err(self.error("a position has something behind it")),
            };
        }
    }

    /// Reads the weight of a position. As for the server, digits may follow it, and a D is
    /// none yet.
    #[inline]
    fn weight(&mut self) -> Result<LexemeWeight, ParseTextSearchError> {
        let mut weight = LexemeWeight::D;
        loop {
            let next = match self.peek() {
                Some('A' | 'a' | '*') => LexemeWeight::A,
                Some('B' | 'b') => LexemeWeight::B,
                Some('C' | 'c') => LexemeWeight::C,
                Some('D' | 'd') => LexemeWeight::D,
                Some('0'..='9') => {
                    self.next();
                    continue;
                }
                _ => return Ok(weight),
            };
            if weight != LexemeWeight::D {
                return Err(self.error("a position has a second weight"));
            }
            self.next();
            weight = next;
        }
    }

    /// Reads the weights behind a word of a query, and whether it stands for all that begin so.
    #[inline]
    fn modifiers(&mut self) -> (u8, bool) {
        let (mut weights, mut is_prefix) = (0, false);
        if self.takes(':') {
            while let Some(character) = self.peek() {
                match character {
                    'A' | 'a' => weights |= 1 << 3,
                    'B' | 'b' => weights |= 1 << 2,
                    'C' | 'c' => weights |= 1 << 1,
                    'D' | 'd' => weights |= 1,
                    '*' => is_prefix = true,
                    _ => break,
                }
                self.next();
            }
        }
        (weights, is_prefix)
    }
}

const NO_WORD: &str = "a word is missing";

/// `ISOPERATOR` in `ts_utils.h`.
#[inline]
fn is_operator(character: char) -> bool {
    matches!(character, '!' | '&' | '|' | '(' | ')' | '<')
}

/// What a query has been read into so far.
struct QueryParser<'a> {
    parser: Parser<'a>,
    /// The words, one behind the other.
    words: String,
    /// Operators behind their operands, which is the order of the wire from its end.
    items: Vec<Parsed>,
    /// The operators whose right operand isn't complete, and the parentheses around them.
    pending: Vec<Pending>,
}

/// A lexeme, or an operator.
enum Parsed {
    Lexeme {
        /// Where it is among the words.
        word: Range<usize>,
        weights: u8,
        is_prefix: bool,
    },
    Operator(TsQueryItem<'static>),
}

/// What waits for what is behind it.
enum Pending {
    Parenthesis,
    Operator(TsQueryItem<'static>),
}

impl<'a> QueryParser<'a> {
    #[inline]
    fn new(text: &'a str) -> Self {
        Self {
            parser: Parser::new(text),
            words: String::new(),
            items: Vec::new(),
            pending: Vec::new(),
        }
    }

    #[inline]
    fn query(mut self) -> Result<TsQuery, ParseTextSearchError> {
        self.parser.skip_spaces();
        if self.parser.peek().is_none() {
            return Ok(TsQuery::default());
        }
        loop {
            self.operand()?;
            if !self.operator()? {
                break;
            }
        }
        let mut query = TsQuery::default();
        for item in self.items.into_iter().rev() {
            query.push(match item {
                Parsed::Operator(operator) => operator,
                Parsed::Lexeme {
                    word,
                    weights,
                    is_prefix,
                } => TsQueryItem::Lexeme {
                    text: &self.words[word],
                    weights,
                    is_prefix,
                },
            });
        }
        Ok(query)
    }

    /// Reads a word, and what stands in front of an operand.
    #[inline]
    fn operand(&mut self) -> Result<(), ParseTextSearchError> {
        loop {
            self.parser.skip_spaces();
            if self.parser.takes('!') {
                self.complete(TsQueryItem::Not);
                self.pending.push(Pending::Operator(TsQueryItem::Not));
            } else if self.parser.takes('(') {
                self.pending.push(Pending::Parenthesis);
            } else {
                break;
            }
        }
        if self.parser.peek() == Some(':') {
            return Err(self.parser.error(NO_WORD));
        }
        let Some(word) = self.parser.word(Grammar::Query)? else {
            return Err(self.parser.error(NO_WORD));
        };
        let start = self.words.len();
        self.words.push_str(&word);
        if self.words.len() > MAX_TEXTS {
            return Err(self.parser.error(TOO_LONG));
        }
        let (weights, is_prefix) = self.parser.modifiers();
        self.items.push(Parsed::Lexeme {
            word: start..self.words.len(),
            weights,
            is_prefix,
        });
        Ok(())
    }

    /// Reads what stands behind an operand up to the operator that another one follows; false if
    /// the text ends there.
    #[inline]
    fn operator(&mut self) -> Result<bool, ParseTextSearchError> {
        loop {
            self.parser.skip_spaces();
            let start = self.parser;
            if !self.parser.takes(')') {
                break;
            }
            self.close();
            if self.pending.pop().is_none() {
                return Err(start.error("a parenthesis is closed that was not opened"));
            }
        }
        let operator = match self.parser.peek() {
            None => {
                self.close();
                return match self.pending.pop() {
                    None => Ok(false),
                    Some(_) => Err(self.parser.error("a parenthesis is not closed")),
                };
            }
            Some('&') => TsQueryItem::And,
            Some('|') => TsQueryItem::Or,
            Some('<') => TsQueryItem::FollowedBy(self.distance()?),
            Some(_) => return Err(self.parser.error(NO_OPERATOR)),
        };
        // What is left of it: the one character, or the end of a distance.
        self.parser.next();
        self.complete(operator);
        self.pending.push(Pending::Operator(operator));
        Ok(true)
    }

    /// Reads `<-` or `<N`; what closes it is next.
    #[inline]
    fn distance(&mut self) -> Result<u16, ParseTextSearchError> {
        let start = self.parser;
        self.parser.next();
        let distance = match self.parser.takes('-') {
            true => Some(1),
            false => self.parser.number(),
        };
        match (distance, self.parser.peek()) {
            (Some(distance), Some('>')) => u16::try_from(distance)
                .ok()
                .filter(|distance| *distance <= MAX_DISTANCE)
                .ok_or_else(|| start.error("a distance is not between 0 and 16,384")),
            _ => Err(start.error(NO_OPERATOR)),
        }
    }

    /// Completes the operators that `next` does not bind tighter than.
    #[inline]
    fn complete(&mut self, next: TsQueryItem<'static>) {
        while let Some(Pending::Operator(last)) = self.pending.last() {
            let waits = match next {
                // What is negated again belongs to the first one.
                TsQueryItem::Not => next.priority() >= last.priority(),
                _ => next.priority() > last.priority(),
            };
            if waits {
                break;
            }
            self.items.push(Parsed::Operator(*last));
            self.pending.pop();
        }
    }

    /// Completes all operators up to the parenthesis around them.
    #[inline]
    fn close(&mut self) {
        while let Some(Pending::Operator(last)) = self.pending.last() {
            self.items.push(Parsed::Operator(*last));
            self.pending.pop();
        }
    }
}

const NO_OPERATOR: &str = "an operator is missing";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_as_the_server_reads_them() {
        for (text, shown) in [
            ("", ""),
            (" \t\n", ""),
            ("b a", "'a' 'b'"),
            ("a:3,1B,3A b:2 a:2c", "'a':1B,2C,3A 'b':2"),
            (
                r"'it''s' back\\slash 'q\'q'",
                r"'back\\slash' 'it''s' 'q''q'",
            ),
            ("'a'b'c':1", "'a' 'b''c''':1"),
            (":1 ::2 a&b", "':':2 ':1' 'a&b'"),
            ("a:20000 b:99999999999", "'a':16383 'b':16383"),
            ("a:1*,2d,3A4,05", "'a':1A,2,3A,5"),
            ("naïve 'Z z'", "'Z z' 'naïve'"),
            ("a a:1 a", "'a':1"),
        ] {
            let vector: TsVector = text
                .parse()
                .unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(vector.to_string(), shown, "{text}");
            assert_eq!(shown.parse(), Ok(vector));
        }
        let many: String = (1..=300).map(|index| format!(",{index}")).collect();
        let vector: TsVector = format!("a:{}", &many[1..]).parse().unwrap();
        let lexeme = vector.lexemes().next().unwrap();
        assert_eq!(lexeme.positions.len(), MAX_POSITIONS);
    }

    #[test]
    fn errors_name_the_place() {
        let long = format!("b '{}'", "x".repeat(MAX_WORD));
        let words: String = (0..1200).map(|index| format!("{index:01000} ")).collect();
        for (text, message) in [
            ("a '", "the quote is not closed at byte 2"),
            ("a '' b", "a word is empty at byte 2"),
            (
                r"a b\",
                "the character behind the backslash is missing at byte 4",
            ),
            ("a:", "a position is missing at byte 2"),
            ("a:1,x", "a position is missing at byte 4"),
            ("a:0", "a position is 0 at byte 2"),
            ("a:1AB", "a position has a second weight at byte 4"),
            ("a:1x", "a position has something behind it at byte 3"),
            (
                &long,
                "a word has more than the server's limit of 2,046 bytes at byte 2",
            ),
            (
                &words,
                "it has more lexemes than the server's limit of 1 MiB at byte",
            ),
        ] {
            let error = text.parse::<TsVector>().unwrap_err();
            assert!(
                error.to_string().starts_with(message),
                "{text:.20}: {error}"
            );
        }
        for (text, message) in [
            ("a &", "a word is missing at byte 3"),
            ("()", "a word is missing at byte 1"),
            ("& a", "a word is missing at byte 0"),
            ("a & :b", "a word is missing at byte 4"),
            ("!", "a word is missing at byte 1"),
            ("a b", "an operator is missing at byte 2"),
            ("a <2", "an operator is missing at byte 2"),
            ("a <x> b", "an operator is missing at byte 2"),
            (
                "a <16385> b",
                "a distance is not between 0 and 16,384 at byte 2",
            ),
            ("(a", "a parenthesis is not closed at byte 2"),
            (
                "a)",
                "a parenthesis is closed that was not opened at byte 1",
            ),
            ("a & 'b", "the quote is not closed at byte 4"),
        ] {
            let error = text.parse::<TsQuery>().unwrap_err();
            assert_eq!(error.to_string(), message, "{text}");
        }
    }

    #[test]
    fn queries_are_read_as_the_server_reads_them() {
        for (text, shown) in [
            ("", ""),
            ("  ", ""),
            ("a", "'a'"),
            ("a&b|c", "'a' & 'b' | 'c'"),
            ("a|b&!c", "'a' | 'b' & !'c'"),
            ("(a|b)&c", "( 'a' | 'b' ) & 'c'"),
            ("!!a", "!!'a'"),
            ("!a <-> b", "!'a' <-> 'b'"),
            ("!(a <-> b)", "!( 'a' <-> 'b' )"),
            ("a <-> b <2> c", "'a' <-> 'b' <2> 'c'"),
            ("a <-> (b <2> c)", "'a' <-> ( 'b' <2> 'c' )"),
            ("a & b & c", "'a' & 'b' & 'c'"),
            ("a:*AB & b:c & c:", "'a':*AB & 'b':C & 'c'"),
            (
                r"'it''s' & x\&y & a<->b\<c",
                r"'it''s' & 'x&y' & 'a' <-> 'b<c'",
            ),
            ("((a))", "'a'"),
            ("a <0> b <16384> c", "'a' <0> 'b' <16384> 'c'"),
        ] {
            let query: TsQuery = text
                .parse()
                .unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(query.to_string(), shown, "{text}");
            assert_eq!(shown.parse(), Ok(query));
        }
        // Neither reading nor showing is recursive.
        let deep = format!("{}a{}", "!( ".repeat(100_000), " )".repeat(100_000));
        let query: TsQuery = deep.parse().unwrap();
        assert_eq!(query.items().len(), 100_001);
        assert!(query.to_string().starts_with("!!!"));
    }

    #[test]
    fn s27_texts_of_any_kind_are_read_or_refused() {
        let mut state = 27_u64;
        let mut next = move |end: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % end
        };
        let parts = [
            "a", "b", "é", "'", "''", "\\", " ", ":", ",", "1", "0", "16383", "A", "*", "D", "(",
            ")", "!", "&", "|", "<", "-", ">", "<->", " <7> ", " & ", " | ", "'x'",
        ];
        let (mut vectors, mut queries) = (0, 0);
        for _ in 0..100_000 {
            let text: String = (0..next(9)).map(|_| parts[next(parts.len())]).collect();
            if let Ok(vector) = text.parse::<TsVector>() {
                assert_eq!(vector.to_string().parse(), Ok(vector), "{text}");
                vectors += 1;
            }
            if let Ok(query) = text.parse::<TsQuery>() {
                assert_eq!(query.to_string().parse(), Ok(query), "{text}");
                queries += 1;
            }
        }
        assert!(vectors > 10_000 && queries > 1_000, "{vectors}, {queries}");
    }
}
