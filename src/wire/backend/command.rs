//! How a command ends, and how a COPY begins.

use crate::error::{Error, Result};
use crate::wire::reader::{Reader, ends_early, invalid, left_over};

/// A command is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandComplete<'a> {
    /// ASCII without NUL.
    tag: &'a [u8],
}

impl<'a> CommandComplete<'a> {
    /// Reads the body.
    ///
    /// # Errors
    ///
    /// A body that ends early or goes on, or a tag that isn't ASCII: the server makes tags of
    /// ASCII words and digits (`cmdtaglist.h`), in every encoding.
    #[inline]
    pub fn parse(body: &'a [u8]) -> Result<Self> {
        match body.split_last() {
            // Of NUL and of what isn't ASCII, one less or the byte itself has the highest bit.
            Some((0, tag))
                if tag
                    .iter()
                    .fold(0, |seen, byte| seen | byte | byte.wrapping_sub(1))
                    < 0x80 =>
            {
                Ok(Self { tag })
            }
            _ => Err(malformed(body)),
        }
    }

    /// What was done: `SELECT 5`, `INSERT 0 1`, `CREATE TABLE`.
    pub fn tag(&self) -> &'a str {
        std::str::from_utf8(self.tag).unwrap_or_default()
    }

    /// Whether the tag is `tag`.
    #[inline]
    pub fn is(&self, tag: &str) -> bool {
        self.tag == tag.as_bytes()
    }

    /// The first byte of the tag; 0 where it is empty.
    #[inline]
    pub fn initial(&self) -> u8 {
        self.tag.first().copied().unwrap_or_default()
    }

    /// The first word of the tag: `SELECT`, `INSERT`, `CREATE`.
    pub fn command(&self) -> &'a str {
        let tag = self.tag();
        tag.split(' ').next().unwrap_or(tag)
    }

    /// How many rows the command returned, changed, moved over or copied: the number behind
    /// the tag's last space; 0 for the commands that don't say.
    #[inline]
    pub fn rows(&self) -> u64 {
        let digits = self
            .tag
            .iter()
            .rev()
            .take_while(|byte| byte.is_ascii_digit());
        let (words, number) = self.tag.split_at(self.tag.len() - digits.count());
        if words.last() != Some(&b' ') || !COUNTING.iter().any(|word| words.starts_with(word)) {
            return 0;
        }
        let digit = |byte: &u8| u64::from(byte - b'0');
        if number.len() < MAX_DIGITS {
            number.iter().fold(0, |rows, byte| rows * 10 + digit(byte))
        } else {
            let exact = number.iter().try_fold(0_u64, |rows, byte| {
                rows.checked_mul(10)?.checked_add(digit(byte))
            });
            exact.unwrap_or(0)
        }
    }
}

/// How many digits the largest `u64` has: fewer always fit.
const MAX_DIGITS: usize = 20;

/// The commands that say how many rows they touched, each with the space behind it
/// (`display_rowcount` in the server's `cmdtaglist.h`).
const COUNTING: &[&[u8]] = &[
    b"SELECT ", b"INSERT ", b"UPDATE ", b"DELETE ", b"MERGE ", b"FETCH ", b"MOVE ", b"COPY ",
];

#[cold]
fn malformed(body: &[u8]) -> Error {
    const MESSAGE: &str = "CommandComplete";
    match body.iter().position(|&byte| byte == 0) {
        None => ends_early(MESSAGE, "the command tag"),
        Some(end) if end + 1 < body.len() => left_over(MESSAGE, body.len() - end - 1),
        Some(_) => invalid(MESSAGE, "the command tag", "other than ASCII"),
    }
}

/// A COPY begins: CopyInResponse, CopyOutResponse or CopyBothResponse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyResponse<'a> {
    /// The format of the whole: 0 is text (or CSV), 1 is binary.
    pub format: i8,
    columns: &'a [u8],
}

impl<'a> CopyResponse<'a> {
    /// Reads the body.
    ///
    /// # Errors
    ///
    /// A body that ends early or goes on, or a format other than 0 and 1.
    pub fn parse(body: &'a [u8]) -> Result<Self> {
        const MESSAGE: &str = "CopyResponse";
        let mut reader = Reader::new(body);
        let format = reader
            .i8()
            .ok_or_else(|| ends_early(MESSAGE, "the format"))?;
        if !matches!(format, 0 | 1) {
            return Err(invalid(MESSAGE, "the format", format));
        }
        let count = reader
            .u16()
            .ok_or_else(|| ends_early(MESSAGE, "the number of columns"))?;
        let columns = reader
            .take(usize::from(count) * 2)
            .ok_or_else(|| ends_early(MESSAGE, "the list of column formats"))?;
        reader.finish(MESSAGE)?;
        let this = Self { format, columns };
        match this
            .column_formats()
            .find(|format| !matches!(format, 0 | 1))
        {
            Some(other) => Err(invalid(MESSAGE, "the format of a column", other)),
            None => Ok(this),
        }
    }

    /// The format of each column: 0 is text, 1 is binary.
    pub fn column_formats(&self) -> impl ExactSizeIterator<Item = i16> + use<'a> {
        self.columns
            .chunks_exact(2)
            .map(|format| i16::from_be_bytes([format[0], format[1]]))
    }
}
