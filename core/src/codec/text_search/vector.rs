//! [`TsVector`]: a count, then each lexeme with a NUL behind it and its positions.

use std::fmt;

use super::write_quoted;
use crate::codec::text::{contains_nul, utf8};
use crate::codec::{Decode, Encode, IsNull, ParamWriter, RawValue};
use crate::codec::{out_of_range, wrong_encode_type};
use crate::error::{DecodeError, EncodeError};
use crate::types::{Type, oid};

/// A `tsvector`: the lexemes of a document and where they occur in it.
///
/// The server keeps them sorted without duplicates, and sorts what it gets. Documents have many
/// short lexemes, so that all their texts are kept in one string and all positions in one list.
///
/// # Example
///
/// ```
/// use kornak::codec::{Lexeme, LexemePosition, LexemeWeight, TsVector};
///
/// let title = LexemePosition { index: 1, weight: LexemeWeight::A };
/// let vector = TsVector::from_iter([
///     Lexeme { text: "cat", positions: &[title] },
///     Lexeme { text: "mat", positions: &[] },
/// ]);
/// assert_eq!(vector.to_string(), "'cat':1A 'mat'");
/// assert_eq!("mat cat:1A".parse(), Ok(vector.clone()));
///
/// let texts: Vec<&str> = vector.lexemes().map(|lexeme| lexeme.text).collect();
/// assert_eq!(texts, ["cat", "mat"]);
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct TsVector {
    /// The texts of all lexemes, one behind the other.
    texts: String,
    /// The positions of all lexemes.
    positions: Vec<LexemePosition>,
    /// Where each lexeme ends in the two. Invariant: ascending, the last one at their ends, and
    /// each between two characters.
    ends: Vec<End>,
}

/// A lexeme of a [`TsVector`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lexeme<'a> {
    /// The word in its normal form.
    pub text: &'a str,
    /// Where it occurs, in ascending order; may be empty.
    pub positions: &'a [LexemePosition],
}

/// Where a lexeme occurs in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LexemePosition {
    /// The position among the words, from 1 to 16,383.
    pub index: u16,
    /// The weight.
    pub weight: LexemeWeight,
}

/// The weight of a lexeme at a position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LexemeWeight {
    /// The lowest one, which isn't shown.
    #[default]
    D,
    /// The third.
    C,
    /// The second.
    B,
    /// The highest one.
    A,
}

/// Where the text and the positions of a lexeme end.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct End {
    text: u32,
    positions: u32,
}

/// The largest index, `MAXENTRYPOS` − 1 in `ts_type.h`.
pub(super) const MAX_INDEX: u16 = 0x3fff;

/// The fewest bytes that a lexeme takes: an empty text and its NUL, and a count of 0.
const SMALLEST_LEXEME: usize = 3;

impl TsVector {
    /// The lexemes, in their order.
    #[inline]
    pub fn lexemes(&self) -> impl ExactSizeIterator<Item = Lexeme<'_>> + Clone {
        let mut start = End::default();
        self.ends.iter().map(move |end| {
            let lexeme = Lexeme {
                text: &self.texts[start.text as usize..end.text as usize],
                positions: &self.positions[start.positions as usize..end.positions as usize],
            };
            start = *end;
            lexeme
        })
    }

    /// How many lexemes there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds a lexeme behind the others.
    ///
    /// # Panics
    ///
    /// If the texts become longer than 4 GiB, or the positions more than 2³². The server's limit
    /// is 1 MiB for both together.
    #[inline]
    pub fn push(&mut self, lexeme: Lexeme<'_>) {
        self.texts.push_str(lexeme.text);
        self.positions.extend_from_slice(lexeme.positions);
        self.end_lexeme();
    }

    /// Ends a lexeme whose text and positions have been added.
    #[inline]
    fn end_lexeme(&mut self) {
        let end = |length: usize| u32::try_from(length).expect("a tsvector of at most 4 GiB");
        self.ends.push(End {
            text: end(self.texts.len()),
            positions: end(self.positions.len()),
        });
    }
}

impl<'a> FromIterator<Lexeme<'a>> for TsVector {
    fn from_iter<I: IntoIterator<Item = Lexeme<'a>>>(lexemes: I) -> Self {
        let mut vector = Self::default();
        lexemes.into_iter().for_each(|lexeme| vector.push(lexeme));
        vector
    }
}

impl fmt::Debug for TsVector {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lexemes()).finish()
    }
}

impl LexemeWeight {
    #[inline]
    fn from_bits(bits: u16) -> Self {
        match bits & 3 {
            0 => Self::D,
            1 => Self::C,
            2 => Self::B,
            _ => Self::A,
        }
    }
}

/// As the server prints it.
impl fmt::Display for TsVector {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, lexeme) in self.lexemes().enumerate() {
            f.write_str(if index == 0 { "" } else { " " })?;
            write_quoted(f, lexeme.text)?;
            for (index, position) in lexeme.positions.iter().enumerate() {
                let separator = if index == 0 { ':' } else { ',' };
                let weight = match position.weight {
                    LexemeWeight::D => "",
                    LexemeWeight::C => "C",
                    LexemeWeight::B => "B",
                    LexemeWeight::A => "A",
                };
                write!(f, "{separator}{}{weight}", position.index)?;
            }
        }
        Ok(())
    }
}

impl Encode for TsVector {
    #[inline]
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if ty.oid() != oid::TSVECTOR {
            return Err(wrong_encode_type::<Self>(ty));
        }
        if self.texts.as_bytes().contains(&0) {
            return Err(contains_nul::<Self>(ty));
        }
        out.put_count::<Self>(self.len(), ty)?;
        for lexeme in self.lexemes() {
            out.put_slice(lexeme.text.as_bytes());
            out.put_u8(0);
            let Ok(count) = u16::try_from(lexeme.positions.len()) else {
                return Err(out_of_range::<Self>(
                    ty,
                    format_args!("{} positions", lexeme.positions.len()),
                ));
            };
            out.put_u16(count);
            for position in lexeme.positions {
                if position.index > MAX_INDEX {
                    return Err(out_of_range::<Self>(
                        ty,
                        format_args!("the position {}", position.index),
                    ));
                }
                out.put_u16((position.weight as u16) << 14 | position.index);
            }
        }
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r> for TsVector {
    #[inline]
    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::TSVECTOR
    }

    #[inline]
    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let mut reader = value.reader();
        let count = reader.count(SMALLEST_LEXEME)?;
        let mut vector = Self {
            ends: Vec::with_capacity(count),
            ..Self::default()
        };
        for _ in 0..count {
            vector
                .texts
                .push_str(utf8::<Self>(reader.c_string()?, value)?);
            let count = reader.u16()?;
            let positions = reader.bytes(usize::from(count) * 2)?;
            let positions = positions.chunks_exact(2).map(|position| {
                let position = u16::from_be_bytes([position[0], position[1]]);
                LexemePosition {
                    index: position & MAX_INDEX,
                    weight: LexemeWeight::from_bits(position >> 14),
                }
            });
            vector.positions.extend(positions);
            // A value is shorter than the protocol's limit of 2³¹ bytes.
            vector.end_lexeme();
        }
        reader.finish()?;
        Ok(vector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::{check, decoded, from_hex, refuses_to_read, refuses_to_write};

    #[test]
    fn vectors_have_the_servers_bytes_and_text() {
        for (text, hex) in [
            ("", "00000000"),
            (
                "'a':1A,2B,3C,4 'b'",
                "0000000261000004c00180024003000462000000",
            ),
            (
                "'back\\\\slash' 'it''s':16383 'naïve'",
                "000000036261636b5c736c617368000000697427730000013fff6e61c3af7665000000",
            ),
            (
                "'cat':2 'mat':6 'on':4 'sat':3 'the':1,5",
                "0000000563617400000100026d617400000100066f6e0000010004736174000001000374686500000200010005",
            ),
        ] {
            let vector: TsVector = decoded(&from_hex(hex), &Type::TSVECTOR).unwrap();
            assert_eq!(vector.to_string(), text);
            check(&Type::TSVECTOR, vector, hex);
        }
    }

    #[test]
    fn what_the_wire_has_no_room_for_is_refused() {
        let vector = |text: &str, index, count| {
            let weight = LexemeWeight::A;
            let positions = vec![LexemePosition { index, weight }; count];
            let positions = &positions;
            TsVector::from_iter([Lexeme { text, positions }])
        };
        refuses_to_write(&Type::TSVECTOR, &vector("a\0b", 1, 1), "NUL");
        refuses_to_write(
            &Type::TSVECTOR,
            &vector("a", 16_384, 1),
            "the position 16384",
        );
        refuses_to_write(&Type::TSVECTOR, &vector("a", 1, 65_536), "65536 positions");
    }

    #[test]
    fn s25_vectors_that_lie() {
        for hex in [
            "00000002610000",
            "7fffffff61000000",
            "ffffffff61000000",
            "0000000161",
            "0000000161000002c001",
            "000000016100ffffc001",
        ] {
            refuses_to_read::<TsVector>(&Type::TSVECTOR, hex, "");
        }
        refuses_to_read::<TsVector>(&Type::TSVECTOR, "0000000000", "1 bytes follow");
        refuses_to_read::<TsVector>(&Type::TSVECTOR, "00000001ff000000", "not UTF-8");
    }
}
