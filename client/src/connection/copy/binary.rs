//! The binary format of COPY (manual, "COPY", "Binary Format").

use std::ops::ControlFlow;

use crate::connection::sinks::Collector;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::RowBytes;

/// What every file begins with.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// Signature, flags, and the length of a header extension.
pub(super) const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What stands in place of a row's count of values behind the last row.
pub(super) const TRAILER: i16 = -1;

/// The length of a NULL, −1.
const NULL: u32 = u32::MAX;

/// Splits the data of a COPY TO STDOUT into rows, wherever the server cuts it.
#[derive(Debug, Default)]
pub(super) struct Parser {
    state: State,
    /// What has come and isn't used yet: a part of a row, or rows that nobody wanted yet.
    carry: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Header,
    Rows,
    End,
}

impl Parser {
    /// Whether the trailer has come.
    pub(super) fn is_at_end(&self) -> bool {
        self.state == State::End
    }

    /// Gives the rows in `data` to `collector`, until it has enough.
    ///
    /// # Errors
    ///
    /// If the data is malformed, or the collector's.
    #[inline]
    pub(super) fn feed(
        &mut self,
        data: &[u8],
        collector: &mut impl Collector,
    ) -> Result<ControlFlow<()>> {
        if !self.carry.is_empty() {
            self.carry.extend_from_slice(data);
            return self.feed_carry(collector);
        }
        let (used, flow) = parse(&mut self.state, data, collector)?;
        if used < data.len() {
            self.carry.extend_from_slice(&data[used..]);
        }
        Ok(flow)
    }

    /// The same with what has come before.
    ///
    /// # Errors
    ///
    /// As [`feed`](Self::feed).
    pub(super) fn feed_carry(&mut self, collector: &mut impl Collector) -> Result<ControlFlow<()>> {
        let (used, flow) = parse(&mut self.state, &self.carry, collector)?;
        self.carry.drain(..used);
        Ok(flow)
    }
}

/// Reads whole rows, and returns how many bytes they took.
#[inline]
fn parse(
    state: &mut State,
    data: &[u8],
    collector: &mut impl Collector,
) -> Result<(usize, ControlFlow<()>)> {
    let mut rest = data;
    if *state == State::Header {
        match header(rest)? {
            None => return Ok((0, ControlFlow::Continue(()))),
            Some(behind) => rest = behind,
        }
        *state = State::Rows;
    }
    while *state == State::Rows {
        let Some((row, behind)) = row(rest)? else {
            break;
        };
        rest = behind;
        match row {
            None => *state = State::End,
            Some(row) => {
                if collector.row(RowBytes::borrowed(row))?.is_break() {
                    return Ok((data.len() - rest.len(), ControlFlow::Break(())));
                }
            }
        }
    }
    if *state == State::End && !rest.is_empty() {
        return Err(malformed("there is data behind its end"));
    }
    Ok((data.len() - rest.len(), ControlFlow::Continue(())))
}

/// What follows the header, if it is all there.
fn header(data: &[u8]) -> Result<Option<&[u8]>> {
    let Some((fixed, rest)) = data.split_first_chunk::<{ HEADER.len() }>() else {
        return Ok(None);
    };
    let (signature, [f0, f1, f2, f3, l0, l1, l2, l3]) = (&fixed[..11], fixed_tail(fixed));
    if signature != SIGNATURE {
        return Err(malformed("its signature is wrong"));
    }
    // The upper half is what a reader must understand.
    if u32::from_be_bytes([f0, f1, f2, f3]) >> 16 != 0 {
        return Err(malformed("it has flags that this driver doesn't know"));
    }
    let length = usize::try_from(i32::from_be_bytes([l0, l1, l2, l3]))
        .map_err(|_| malformed("the length of its header is negative"))?;
    Ok(rest.get(length..))
}

fn fixed_tail(fixed: &[u8; HEADER.len()]) -> [u8; 8] {
    let mut tail = [0; 8];
    tail.copy_from_slice(&fixed[11..]);
    tail
}

/// The next row, or `None` for the trailer; and what follows, if it is all there. A row has
/// the form of a DataRow's body.
#[inline]
#[expect(
    clippy::type_complexity,
    reason = "a name would say less than the sentence above"
)]
fn row(data: &[u8]) -> Result<Option<(Option<&[u8]>, &[u8])>> {
    let Some((count, rest)) = data.split_first_chunk::<2>() else {
        return Ok(None);
    };
    let count = i16::from_be_bytes(*count);
    if count == TRAILER {
        return Ok(Some((None, rest)));
    }
    if count < 0 {
        return Err(malformed("the count of a row's values is negative"));
    }
    let mut behind = rest;
    for _ in 0..count {
        let Some((length, values)) = behind.split_first_chunk::<4>() else {
            return Ok(None);
        };
        behind = match u32::from_be_bytes(*length) {
            NULL => values,
            length if length > i32::MAX as u32 => {
                return Err(malformed("the length of a value is negative"));
            }
            length => match values.get(length as usize..) {
                Some(behind) => behind,
                None => return Ok(None),
            },
        };
    }
    let row = &data[..data.len() - behind.len()];
    Ok(Some((Some(row), behind)))
}

#[cold]
pub(super) fn malformed(why: &str) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!("the binary data of the COPY is malformed: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Columns, Plans};

    #[derive(Default)]
    struct Kept {
        rows: Vec<Vec<u8>>,
        stops_at: usize,
    }

    impl Collector for Kept {
        fn begin(&mut self, _: &Columns, _: &mut Plans) -> Result<()> {
            Ok(())
        }

        fn row(&mut self, row: RowBytes<'_>) -> Result<ControlFlow<()>> {
            self.rows.push(row.body().to_vec());
            Ok(if self.rows.len() == self.stops_at {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        }
    }

    fn rows() -> Vec<Vec<u8>> {
        vec![
            b"\0\x02\0\0\0\x01a\xff\xff\xff\xff".to_vec(),
            b"\0\0".to_vec(),
            b"\0\x01\0\0\0\0".to_vec(),
        ]
    }

    fn file(extension: &[u8]) -> Vec<u8> {
        let mut file = HEADER[..15].to_vec();
        file.extend_from_slice(&(extension.len() as u32).to_be_bytes());
        file.extend_from_slice(extension);
        file.extend(rows().concat());
        file.extend_from_slice(&TRAILER.to_be_bytes());
        file
    }

    #[test]
    fn rows_are_found_wherever_the_data_is_cut() {
        let file = file(b"more");
        for first in 0..=file.len() {
            for second in first..=file.len() {
                let (mut parser, mut kept) = (Parser::default(), Kept::default());
                for piece in [&file[..first], &file[first..second], &file[second..]] {
                    assert!(parser.feed(piece, &mut kept).unwrap().is_continue());
                }
                assert!(parser.is_at_end());
                assert_eq!(kept.rows, rows());
            }
        }
    }

    #[test]
    fn rows_that_are_not_wanted_yet_are_kept() {
        let (mut parser, mut kept) = (
            Parser::default(),
            Kept {
                stops_at: 1,
                ..Kept::default()
            },
        );
        assert!(parser.feed(&file(b""), &mut kept).unwrap().is_break());
        kept.stops_at = 2;
        assert!(parser.feed_carry(&mut kept).unwrap().is_break());
        assert!(!parser.is_at_end());
        kept.stops_at = 0;
        assert!(parser.feed_carry(&mut kept).unwrap().is_continue());
        assert!(parser.is_at_end());
        assert_eq!(kept.rows, rows());
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let mut flags = file(b"");
        flags[12] = 1;
        let mut negative = file(b"");
        negative[15] = 0x80;
        for data in [
            flags,
            negative,
            b"PGCOPY\n\xff\r\n\x01\0\0\0\0\0\0\0\0".to_vec(),
            [&file(b"")[..], b"x"].concat(),
            [&HEADER[..], b"\xff\xfe"].concat(),
            [&HEADER[..], b"\0\x01\xff\xff\xff\xfe"].concat(),
        ] {
            let (mut parser, mut kept) = (Parser::default(), Kept::default());
            parser.feed(&data, &mut kept).unwrap_err();
        }
    }
}
