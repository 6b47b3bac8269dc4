//! [`TsQuery`]: a count, then operators and lexemes in prefix order, the right operand
//! before the left one.

use std::fmt;
use std::ops::{BitAnd, BitOr, Not};

use super::write_quoted;
use crate::codec::text::{contains_nul, utf8};
use crate::codec::{Decode, Encode, IsNull, ParamWriter, RawValue};
use crate::codec::{out_of_range, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Type, oid};

/// A `tsquery`: lexemes that are searched for, joined by operators.
///
/// A query may be empty, but the server only sends such: its receive function refuses it.
/// `''::tsquery` in the SQL is one.
///
/// # Example
///
/// ```
/// use kornak::codec::TsQuery;
///
/// let query = TsQuery::lexeme("fat") & (TsQuery::prefix("rat") | !TsQuery::lexeme("cat"));
/// assert_eq!(query.to_string(), "'fat' & ( 'rat':* | !'cat' )");
/// assert_eq!("fat & (rat:* | !cat)".parse(), Ok(query));
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct TsQuery {
    /// The texts of all lexemes, one behind the other.
    texts: String,
    /// Invariant: one complete tree in the order of the wire, or nothing.
    nodes: Vec<Node>,
}

/// An operator or a lexeme of a [`TsQuery`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TsQueryItem<'a> {
    /// A lexeme.
    Lexeme {
        /// The word in its normal form.
        text: &'a str,
        /// The weights that it may have, D being bit 0 and A bit 3; any if there is none.
        weights: u8,
        /// Whether it stands for all lexemes that begin so.
        is_prefix: bool,
    },
    /// Not the operand.
    Not,
    /// Both operands.
    And,
    /// One of the operands.
    Or,
    /// The right operand that many positions behind the left one.
    FollowedBy(u16),
}

/// An item. Eight bytes, of which an operator has two on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Node {
    Lexeme {
        /// Where its text ends, which begins where that of the lexeme before ends.
        end: u32,
        weights: u8,
        is_prefix: bool,
    },
    Not,
    And,
    Or,
    FollowedBy(u16),
}

const LEXEME: u8 = 1;
const OPERATOR: u8 = 2;
const NOT: u8 = 1;
const AND: u8 = 2;
const OR: u8 = 3;
const PHRASE: u8 = 4;

const ALL_WEIGHTS: u8 = 0xf;

/// The texts of queries that are joined are one text.
const TOO_LONG: &str = "the lexemes of a tsquery have at most 4 GiB";

/// The fewest bytes that an item takes: an operator.
const SMALLEST_ITEM: usize = 2;

/// The longest distance, `MAXENTRYPOS` in `ts_type.h`. The receive function doesn't check it
/// and keeps 16 bits with a sign.
pub(super) const MAX_DISTANCE: u16 = 0x4000;

impl TsQuery {
    /// Searches for a lexeme of any weight.
    ///
    /// # Panics
    ///
    /// If it is longer than 4 GiB. The server's limit is 2,046 bytes.
    pub fn lexeme(text: impl AsRef<str>) -> Self {
        Self::weighted(text, 0, false)
    }

    /// Searches for all lexemes that begin with `text`.
    ///
    /// # Panics
    ///
    /// Those of [`lexeme`](Self::lexeme).
    pub fn prefix(text: impl AsRef<str>) -> Self {
        Self::weighted(text, 0, true)
    }

    /// Searches for a lexeme, or all that begin with `text`, of certain weights, D being
    /// bit 0 and A bit 3; of any weight if no bit is set.
    ///
    /// # Panics
    ///
    /// Those of [`lexeme`](Self::lexeme).
    pub fn weighted(text: impl AsRef<str>, weights: u8, is_prefix: bool) -> Self {
        let mut query = Self::default();
        query.push(TsQueryItem::Lexeme {
            text: text.as_ref(),
            weights,
            is_prefix,
        });
        query
    }

    /// Searches for `next` that many positions behind this, at most 16,384.
    #[must_use]
    #[inline]
    pub fn followed_by(self, next: Self, distance: u16) -> Self {
        self.join(next, Node::FollowedBy(distance))
    }

    /// The operators and lexemes in prefix order, the right operand before the left one.
    #[inline]
    pub fn items(&self) -> impl ExactSizeIterator<Item = TsQueryItem<'_>> + Clone {
        let mut start = 0;
        self.nodes.iter().map(move |node| match *node {
            Node::Lexeme {
                end,
                weights,
                is_prefix,
            } => {
                let text = &self.texts[start..end as usize];
                start = end as usize;
                TsQueryItem::Lexeme {
                    text,
                    weights,
                    is_prefix,
                }
            }
            Node::Not => TsQueryItem::Not,
            Node::And => TsQueryItem::And,
            Node::Or => TsQueryItem::Or,
            Node::FollowedBy(distance) => TsQueryItem::FollowedBy(distance),
        })
    }

    /// Adds an item behind the others.
    #[inline]
    pub(super) fn push(&mut self, item: TsQueryItem<'_>) {
        let node = match item {
            TsQueryItem::Lexeme {
                text,
                weights,
                is_prefix,
            } => {
                self.texts.push_str(text);
                Node::Lexeme {
                    end: u32::try_from(self.texts.len()).expect(TOO_LONG),
                    weights: weights & ALL_WEIGHTS,
                    is_prefix,
                }
            }
            TsQueryItem::Not => Node::Not,
            TsQueryItem::And => Node::And,
            TsQueryItem::Or => Node::Or,
            TsQueryItem::FollowedBy(distance) => Node::FollowedBy(distance),
        };
        self.nodes.push(node);
    }

    /// Joins two queries; what is empty drops out, as on the server.
    #[inline]
    fn join(mut self, mut right: Self, operator: Node) -> Self {
        if right.nodes.is_empty() {
            return self;
        }
        if self.nodes.is_empty() {
            return right;
        }
        let shift = u32::try_from(right.texts.len()).expect(TOO_LONG);
        let mut nodes = Vec::with_capacity(1 + right.nodes.len() + self.nodes.len());
        nodes.push(operator);
        nodes.append(&mut right.nodes);
        for node in &mut self.nodes {
            if let Node::Lexeme { end, .. } = node {
                *end = end.checked_add(shift).expect(TOO_LONG);
            }
        }
        nodes.append(&mut self.nodes);
        right.texts.push_str(&self.texts);
        Self {
            texts: right.texts,
            nodes,
        }
    }
}

/// How many items the tree that begins at each item has.
#[inline]
fn sizes(items: &[TsQueryItem<'_>]) -> Vec<usize> {
    let mut sizes = vec![1; items.len()];
    for index in (0..sizes.len()).rev() {
        let mut next = index + 1;
        for _ in 0..items[index].operands() {
            let size = sizes.get(next).copied().unwrap_or(0);
            sizes[index] += size;
            next += size;
        }
    }
    sizes
}

impl TsQueryItem<'_> {
    #[inline]
    fn operands(self) -> usize {
        match self {
            Self::Lexeme { .. } => 0,
            Self::Not => 1,
            Self::And | Self::Or | Self::FollowedBy(_) => 2,
        }
    }

    /// How tightly it binds, `tsearch_op_priority` in `tsquery.c`.
    #[inline]
    pub(super) fn priority(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::FollowedBy(_) => 3,
            Self::Not | Self::Lexeme { .. } => 4,
        }
    }
}

impl Not for TsQuery {
    type Output = Self;

    #[inline]
    fn not(mut self) -> Self {
        if !self.nodes.is_empty() {
            self.nodes.insert(0, Node::Not);
        }
        self
    }
}

impl BitAnd for TsQuery {
    type Output = Self;

    #[inline]
    fn bitand(self, right: Self) -> Self {
        self.join(right, Node::And)
    }
}

impl BitOr for TsQuery {
    type Output = Self;

    #[inline]
    fn bitor(self, right: Self) -> Self {
        self.join(right, Node::Or)
    }
}

impl fmt::Debug for TsQuery {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.items()).finish()
    }
}

/// What is still to be printed.
enum Pending {
    Node {
        index: usize,
        parent_priority: u8,
        is_right_of_phrase: bool,
    },
    Operator(usize),
    Close,
}

/// As the server prints it (`infix` in `tsquery.c`), without recursion: a query can be as
/// deep as it is long.
impl fmt::Display for TsQuery {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items: Vec<_> = self.items().collect();
        let sizes = sizes(&items);
        let node = |index, parent_priority, is_right_of_phrase| Pending::Node {
            index,
            parent_priority,
            is_right_of_phrase,
        };
        let mut pending = Vec::new();
        if !items.is_empty() {
            pending.push(node(0, 0, false));
        }
        while let Some(next) = pending.pop() {
            let (index, parent_priority, is_right_of_phrase) = match next {
                Pending::Close => {
                    f.write_str(" )")?;
                    continue;
                }
                Pending::Operator(index) => {
                    match items[index] {
                        TsQueryItem::And => f.write_str(" & ")?,
                        TsQueryItem::FollowedBy(1) => f.write_str(" <-> ")?,
                        TsQueryItem::FollowedBy(distance) => write!(f, " <{distance}> ")?,
                        _ => f.write_str(" | ")?,
                    }
                    continue;
                }
                Pending::Node {
                    index,
                    parent_priority,
                    is_right_of_phrase,
                } => (index, parent_priority, is_right_of_phrase),
            };
            let item = items[index];
            let priority = item.priority();
            let is_phrase = matches!(item, TsQueryItem::FollowedBy(_));
            // A phrase depends on its order, so that it needs them on the right of another.
            let in_parentheses = priority < parent_priority || is_phrase && is_right_of_phrase;
            match item {
                TsQueryItem::Lexeme {
                    text,
                    weights,
                    is_prefix,
                } => {
                    write_lexeme(f, text, weights, is_prefix)?;
                    continue;
                }
                _ if in_parentheses => {
                    f.write_str("( ")?;
                    pending.push(Pending::Close);
                }
                _ => {}
            }
            let right = index + 1;
            if let TsQueryItem::Not = item {
                f.write_str("!")?;
                pending.push(node(right, priority, false));
            } else {
                pending.push(node(right, priority, is_phrase));
                pending.push(Pending::Operator(index));
                pending.push(node(right + sizes[right], priority, false));
            }
        }
        Ok(())
    }
}

#[inline]
fn write_lexeme(
    f: &mut fmt::Formatter<'_>,
    text: &str,
    weights: u8,
    is_prefix: bool,
) -> fmt::Result {
    write_quoted(f, text)?;
    if weights != 0 || is_prefix {
        f.write_str(":")?;
    }
    if is_prefix {
        f.write_str("*")?;
    }
    for (bit, letter) in [(3, "A"), (2, "B"), (1, "C"), (0, "D")] {
        if weights >> bit & 1 == 1 {
            f.write_str(letter)?;
        }
    }
    Ok(())
}

impl Encode for TsQuery {
    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if ty.oid() != oid::TSQUERY {
            return Err(wrong_encode_type::<Self>(ty));
        }
        if self.texts.as_bytes().contains(&0) {
            return Err(contains_nul::<Self>(ty));
        }
        out.put_count::<Self>(self.nodes.len(), ty)?;
        for item in self.items() {
            match item {
                TsQueryItem::Lexeme {
                    text,
                    weights,
                    is_prefix,
                } => {
                    out.put_slice(&[LEXEME, weights, u8::from(is_prefix)]);
                    out.put_slice(text.as_bytes());
                    out.put_u8(0);
                }
                TsQueryItem::Not => out.put_slice(&[OPERATOR, NOT]),
                TsQueryItem::And => out.put_slice(&[OPERATOR, AND]),
                TsQueryItem::Or => out.put_slice(&[OPERATOR, OR]),
                TsQueryItem::FollowedBy(distance) => {
                    if distance > MAX_DISTANCE {
                        return Err(out_of_range::<Self>(
                            ty,
                            format_args!("the distance {distance}"),
                        ));
                    }
                    out.put_slice(&[OPERATOR, PHRASE]);
                    out.put_u16(distance);
                }
            }
        }
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r> for TsQuery {
    #[inline]
    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::TSQUERY
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let mut reader = value.reader();
        let count = reader.count(SMALLEST_ITEM)?;
        let mut query = Self {
            nodes: Vec::with_capacity(count),
            ..Self::default()
        };
        // How many trees are still to come: one, or none in an empty query.
        let mut wanted = usize::from(count > 0);
        for _ in 0..count {
            let item = match reader.u8()? {
                LEXEME => {
                    let [weights, is_prefix] = reader.array()?;
                    TsQueryItem::Lexeme {
                        text: utf8::<Self>(reader.c_string()?, value)?,
                        weights,
                        is_prefix: is_prefix != 0,
                    }
                }
                OPERATOR => match reader.u8()? {
                    NOT => TsQueryItem::Not,
                    AND => TsQueryItem::And,
                    OR => TsQueryItem::Or,
                    PHRASE => TsQueryItem::FollowedBy(reader.u16()?),
                    _ => return Err(value.error::<Self>("it has an unknown operator")),
                },
                _ => return Err(value.error::<Self>("it has an unknown item")),
            };
            if wanted == 0 {
                return Err(value.error::<Self>("it has more operands than operators take"));
            }
            wanted = wanted - 1 + item.operands();
            // A value is shorter than the protocol's limit of 2³¹ bytes.
            query.push(item);
        }
        if wanted > 0 {
            return Err(value.error::<Self>("an operator lacks an operand"));
        }
        reader.finish()?;
        Ok(query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::{check, decoded, from_hex, refuses_to_read, refuses_to_write};

    #[test]
    fn queries_have_the_servers_bytes_and_text() {
        for (text, hex) in [
            ("", "00000000"),
            ("'a'", "000000010100006100"),
            ("'a' & 'b'", "00000003020201000062000100006100"),
            (
                "'a':*AB & !'b' | 'c' <-> 'd'",
                "0000000802030204000101000064000100006300020202010100006200010c016100",
            ),
            (
                "( 'a' | 'b' ) & 'c'",
                "0000000502020100006300020301000062000100006100",
            ),
            (
                "'a' <2> ( 'b' <-> 'c' )",
                "000000050204000202040001010000630001000062000100006100",
            ),
            (
                "'a' <2> 'b' <-> 'c'",
                "000000050204000101000063000204000201000062000100006100",
            ),
            ("!( 'a' & 'b' )", "000000040201020201000062000100006100"),
            ("'a' <-> !'b'", "0000000402040001020101000062000100006100"),
            (
                "'a' <-> ( 'b' | 'c' )",
                "00000005020400010203010000630001000062000100006100",
            ),
            ("'it''s'", "000000010100006974277300"),
            (
                "'a' & 'b' & 'c' & 'd'",
                "000000070202010000640002020100006300020201000062000100006100",
            ),
            ("!!'a'", "00000003020102010100006100"),
            (
                "'a' | 'b' & 'c'",
                "0000000502030202010000630001000062000100006100",
            ),
            (
                "( 'a' | 'b' ) <-> ( 'c' & 'd' )",
                "0000000702040001020201000064000100006300020301000062000100006100",
            ),
        ] {
            let query: TsQuery = decoded(&from_hex(hex), &Type::TSQUERY).unwrap();
            assert_eq!(query.to_string(), text);
            check(&Type::TSQUERY, query, hex);
        }
    }

    #[test]
    fn queries_are_put_together() {
        let word = TsQuery::lexeme;
        let empty = TsQuery::default;
        for (query, text) in [
            (word("a") & word("b") | word("c"), "'a' & 'b' | 'c'"),
            (word("a") & (word("b") | word("c")), "'a' & ( 'b' | 'c' )"),
            (!(word("a") & word("b")), "!( 'a' & 'b' )"),
            (!!word("a"), "!!'a'"),
            (word("a").followed_by(word("b"), 1), "'a' <-> 'b'"),
            (
                word("a").followed_by(word("b").followed_by(word("c"), 2), 3),
                "'a' <3> ( 'b' <2> 'c' )",
            ),
            (TsQuery::weighted("a", 0b1001, false), "'a':AD"),
            (TsQuery::weighted("a", 0b0110, true), "'a':*BC"),
            (empty() & word("a") | empty(), "'a'"),
            (!empty(), ""),
        ] {
            assert_eq!(query.to_string(), text);
        }
        refuses_to_write(&Type::TSQUERY, &word("\0"), "NUL");
        let far = word("a").followed_by(word("b"), MAX_DISTANCE + 1);
        refuses_to_write(&Type::TSQUERY, &far, "the distance 16385");
    }

    #[test]
    fn s29_a_query_may_be_as_deep_as_it_is_long() {
        const DEPTH: usize = 100_000;
        let mut bytes = (DEPTH as u32 + 1).to_be_bytes().to_vec();
        bytes.extend([OPERATOR, NOT].repeat(DEPTH));
        bytes.extend([LEXEME, 0, 0, b'a', 0]);
        let query: TsQuery = decoded(&bytes, &Type::TSQUERY).unwrap();
        assert_eq!(query.to_string(), format!("{}'a'", "!".repeat(DEPTH)));
    }

    #[test]
    fn s25_queries_that_lie() {
        for (hex, message) in [
            ("000000020100006100", "ends early"),
            ("7fffffff0100006100", "parts"),
            ("0000000201000061000100006100", "more operands"),
            ("0000000202020100006100", "lacks an operand"),
            ("000000010201", "lacks an operand"),
            ("000000010300", "unknown item"),
            ("000000010205", "unknown operator"),
            ("00000001010000ff00", "not UTF-8"),
            ("0000000001", "1 bytes follow"),
        ] {
            refuses_to_read::<TsQuery>(&Type::TSQUERY, &hex.replace(' ', ""), message);
        }
    }
}
