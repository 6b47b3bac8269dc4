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
            Some((0, tag)) if is_text(tag) => Ok(Self { tag }),
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
        let (mut words, mut rows, mut unit) = (self.tag, 0, 1);
        while let Some((digit @ b'0'..=b'9', before)) = words.split_last() {
            if self.tag.len() - words.len() == MAX_DIGITS {
                return self.many_rows();
            }
            rows += u64::from(digit - b'0') * unit;
            unit = unit.wrapping_mul(10);
            words = before;
        }
        if words.last() == Some(&b' ') && self.counts_rows() {
            rows
        } else {
            0
        }
    }

    /// [`rows`](Self::rows) where there are more digits than are sure to fit.
    #[cold]
    fn many_rows(&self) -> u64 {
        let mut words = self.tag.rsplit(|byte| *byte == b' ');
        let number = words.next().unwrap_or_default();
        let rows = number.iter().try_fold(0_u64, |rows, byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            rows.checked_mul(10)?.checked_add(digit)
        });
        rows.filter(|_| self.counts_rows()).unwrap_or(0)
    }

    /// Whether the command is one that says how many rows it touched.
    #[inline]
    fn counts_rows(&self) -> bool {
        let is_usual = self.tag.first_chunk().is_some_and(|first| {
            let word = u64::from_be_bytes(*first) & !0xff;
            USUAL.contains(&word)
        });
        is_usual || self.is_other_counting()
    }

    #[cold]
    fn is_other_counting(&self) -> bool {
        COUNTING.iter().any(|word| self.tag.starts_with(word))
    }
}

/// Whether a tag is ASCII without NUL.
#[inline]
fn is_text(tag: &[u8]) -> bool {
    match tag.last_chunk() {
        // The last word may begin within the one before.
        Some(last) => {
            let mut words = tag.chunks_exact(size_of::<u64>());
            is_word_text(last) && words.all(|word| word.try_into().is_ok_and(is_word_text))
        }
        None => tag.iter().all(|byte| matches!(byte, 1..0x80)),
    }
}

/// Of NUL and of what isn't ASCII, one less or the byte itself has the highest bit; it is
/// borrowed from a byte only behind a NUL.
#[inline]
fn is_word_text(word: &[u8; 8]) -> bool {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let word = u64::from_le_bytes(*word);
    (word | word.wrapping_sub(ONES)) & (ONES << 7) == 0
}

/// How many digits always fit into a `u64`.
const MAX_DIGITS: usize = 19;

/// The commands that say how many rows they touched, each with the space behind it
/// (`display_rowcount` in the server's `cmdtaglist.h`).
const COUNTING: &[&[u8]] = &[
    b"SELECT ", b"INSERT ", b"UPDATE ", b"DELETE ", b"MERGE ", b"FETCH ", b"MOVE ", b"COPY ",
];

/// The first of them, as the first eight bytes of a tag without the last.
const USUAL: [u64; 4] = [
    u64::from_be_bytes(*b"SELECT \0"),
    u64::from_be_bytes(*b"INSERT \0"),
    u64::from_be_bytes(*b"UPDATE \0"),
    u64::from_be_bytes(*b"DELETE \0"),
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
