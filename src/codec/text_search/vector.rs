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
/// The server keeps them sorted without duplicates, and sorts what it gets.
///
/// # Example
///
/// ```
/// use kornak::codec::{Lexeme, LexemePosition, LexemeWeight, TsVector};
///
/// let title = LexemePosition { index: 1, weight: LexemeWeight::A };
/// let vector = TsVector {
///     lexemes: vec![Lexeme { text: "cat".into(), positions: vec![title] }],
/// };
/// assert_eq!(vector.to_string(), "'cat':1A");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TsVector {
    /// The lexemes.
    pub lexemes: Vec<Lexeme>,
}

/// A lexeme of a [`TsVector`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lexeme {
    /// The word in its normal form.
    pub text: String,
    /// Where it occurs, in ascending order; may be empty.
    pub positions: Vec<LexemePosition>,
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

/// The largest index, `MAXENTRYPOS` − 1 in `ts_type.h`.
const MAX_INDEX: u16 = 0x3fff;

/// The fewest bytes that a lexeme takes: an empty text and its NUL, and a count of 0.
const SMALLEST_LEXEME: usize = 3;

impl LexemeWeight {
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
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, lexeme) in self.lexemes.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { " " })?;
            write_quoted(f, &lexeme.text)?;
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
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if ty.oid() != oid::TSVECTOR {
            return Err(wrong_encode_type::<Self>(ty));
        }
        out.put_count::<Self>(self.lexemes.len(), ty)?;
        for lexeme in &self.lexemes {
            if lexeme.text.as_bytes().contains(&0) {
                return Err(contains_nul::<Self>(ty));
            }
            out.put_slice(lexeme.text.as_bytes());
            out.put_u8(0);
            let Ok(count) = u16::try_from(lexeme.positions.len()) else {
                let count = format_args!("{} positions", lexeme.positions.len());
                return Err(out_of_range::<Self>(ty, count));
            };
            out.put_u16(count);
            for position in &lexeme.positions {
                if position.index > MAX_INDEX {
                    let index = format_args!("the position {}", position.index);
                    return Err(out_of_range::<Self>(ty, index));
                }
                out.put_u16((position.weight as u16) << 14 | position.index);
            }
        }
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r> for TsVector {
    fn accepts(ty: &Type) -> bool {
        ty.oid() == oid::TSVECTOR
    }

    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let mut reader = value.reader();
        let count = reader.count(SMALLEST_LEXEME)?;
        let mut lexemes = Vec::new();
        for _ in 0..count {
            let text = utf8::<Self>(reader.c_string()?, value)?.to_owned();
            let count = reader.u16()?;
            let positions = reader.bytes(usize::from(count) * 2)?;
            let positions = positions.chunks_exact(2).map(|position| {
                let position = u16::from_be_bytes([position[0], position[1]]);
                LexemePosition {
                    index: position & MAX_INDEX,
                    weight: LexemeWeight::from_bits(position >> 14),
                }
            });
            lexemes.push(Lexeme {
                text,
                positions: positions.collect(),
            });
        }
        reader.finish()?;
        Ok(Self { lexemes })
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
        let vector = |text: &str, index, count| TsVector {
            lexemes: vec![Lexeme {
                text: text.into(),
                positions: vec![
                    LexemePosition {
                        index,
                        weight: LexemeWeight::A
                    };
                    count
                ],
            }],
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
