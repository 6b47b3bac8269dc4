//! COPY in the text format, for drivers that pass bytes on and leave their making to the
//! caller: rows as lines, the way that their users write them with chrono.

use std::fmt::Write;

use chrono::{DateTime, Utc};

use crate::Result;
use crate::work::{self, Event, Seen};

/// W9 from lines.
pub const COPY_IN: &str = "copy kornak_bench.event_sink (id, name, moment) from stdin";
/// W9 as lines.
pub const COPY_OUT: &str = "copy (select id, name, moment from kornak_bench.event) to stdout";

/// How many bytes of lines are handed over at a time.
pub const CHUNK: usize = 64 * 1024;

/// Appends a row. The names here have nothing that would have to be escaped.
///
/// # Errors
///
/// If the moment is none.
pub fn write_line(event: &Event, out: &mut String) -> Result<()> {
    let moment = DateTime::<Utc>::from_timestamp_micros(event.moment_us + work::EPOCH_US)
        .ok_or("no such moment")?;
    writeln!(out, "{}\t{}\t{moment}", event.id, event.name)?;
    Ok(())
}

/// Takes note of the rows whose lines have come as a whole; the rest stays for later.
///
/// # Errors
///
/// If a line is none of ours.
pub fn read_lines(pending: &mut Vec<u8>, bytes: &[u8], seen: &mut Seen) -> Result<()> {
    pending.extend_from_slice(bytes);
    let Some(end) = pending.iter().rposition(|&byte| byte == b'\n') else {
        return Ok(());
    };
    for line in std::str::from_utf8(&pending[..end])?.split('\n') {
        let mut columns = line.split('\t');
        let mut next = || columns.next().ok_or("a line without three columns");
        let (id, name, moment) = (next()?.parse()?, next()?.to_owned(), next()?);
        let moment = DateTime::parse_from_str(moment, "%Y-%m-%d %H:%M:%S%.f%#z")?;
        seen.event(id, &name, moment.timestamp_micros() - work::EPOCH_US);
    }
    pending.drain(..=end);
    Ok(())
}
