//! How a command ends, and how a COPY begins.

use crate::error::Result;
use crate::wire::reader::{Reader, ends_early, invalid};

/// A command is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandComplete<'a> {
    /// What was done: `SELECT 5`, `INSERT 0 1`, `CREATE TABLE`.
    pub tag: &'a str,
}

impl<'a> CommandComplete<'a> {
    /// Reads the body.
    ///
    /// # Errors
    ///
    /// A body that ends early or goes on, or a tag that isn't UTF-8: the server makes tags
    /// of ASCII words and digits (`cmdtaglist.h`), in every encoding.
    pub fn parse(body: &'a [u8]) -> Result<Self> {
        const MESSAGE: &str = "CommandComplete";
        let mut reader = Reader::new(body);
        let tag = reader
            .string()
            .ok_or_else(|| ends_early(MESSAGE, "the command tag"))?;
        let tag = std::str::from_utf8(tag).map_err(|error| {
            invalid(MESSAGE, "the command tag", "other than ASCII").with_source(error)
        })?;
        reader.finish(MESSAGE)?;
        Ok(Self { tag })
    }

    /// The first word of the tag: `SELECT`, `INSERT`, `CREATE`.
    pub fn command(&self) -> &'a str {
        self.tag.split(' ').next().unwrap_or(self.tag)
    }

    /// How many rows the command returned, changed, moved over or copied, for those commands
    /// that say so; 0 for the others.
    pub fn rows(&self) -> u64 {
        match self.command() {
            "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "FETCH" | "MOVE" | "COPY" => {
                trailing_number(self.tag).unwrap_or(0)
            }
            _ => 0,
        }
    }
}

/// The number behind the last space.
fn trailing_number(tag: &str) -> Option<u64> {
    let (_, number) = tag.rsplit_once(' ')?;
    // `parse` would take a sign.
    number
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| number.parse().ok())?
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
