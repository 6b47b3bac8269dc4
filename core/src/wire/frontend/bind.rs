//! Bind, in parts, because parameters are encoded straight into the buffer.

use super::{count, patch_length, put_count, put_string, refuse_nul};
use crate::buffer::{Mark, WriteBuffer};
use crate::error::{Error, Result};
use crate::wire::limits::MAX_FRONTEND_MESSAGE;
use crate::wire::tag::frontend as tag;

/// A Bind that is being written.
#[derive(Debug)]
#[must_use = "a Bind that is begun must be ended or abandoned"]
pub struct BindMark {
    start: Mark,
    length: Mark,
    values: Mark,
    parameter_count: u16,
}

/// Begins a Bind of `statement` as `portal`. The caller appends `parameter_count` values,
/// each behind its length, and calls [`end_bind`], or [`abandon_bind`] if that fails.
///
/// There is no format for parameters that are all text, one for all, or one for each.
///
/// # Errors
///
/// A NUL, more than 65,535 parameters, or another number of formats. Nothing is then
/// written.
#[inline]
pub fn begin_bind(
    out: &mut WriteBuffer,
    portal: &str,
    statement: &str,
    parameter_formats: impl ExactSizeIterator<Item = i16>,
    parameter_count: usize,
) -> Result<BindMark> {
    refuse_nul(MESSAGE, "the portal's name", portal.as_bytes())?;
    refuse_nul(MESSAGE, "the statement's name", statement.as_bytes())?;
    let parameters = count(MESSAGE, "parameters", parameter_count)?;
    let formats = parameter_formats.len();
    if formats > 1 && formats != parameter_count {
        return Err(mismatch(formats, parameter_count));
    }
    let format_count = count(MESSAGE, "parameter formats", formats)?;
    let start = out.mark();
    out.put_u8(tag::BIND);
    let length = out.mark();
    out.put_i32(0);
    put_string(out, portal);
    put_string(out, statement);
    put_count(out, format_count);
    for format in parameter_formats {
        out.put_i16(format);
    }
    put_count(out, parameters);
    Ok(BindMark {
        start,
        length,
        values: out.mark(),
        parameter_count: parameters,
    })
}

/// Ends the Bind begun at `mark`: there is no format for rows that are all text, one for
/// all columns, or one for each.
///
/// # Errors
///
/// More than 65,535 formats, or a length above the server's limit. The message is then
/// taken back, values and all.
#[inline]
pub fn end_bind(
    out: &mut WriteBuffer,
    mark: BindMark,
    result_formats: impl ExactSizeIterator<Item = i16>,
) -> Result<()> {
    debug_assert!(
        are_values(out.since(mark.values), mark.parameter_count),
        "the values of a Bind must be as many as it announces, each behind its length"
    );
    let ended = write_end(out, &mark, result_formats);
    if ended.is_err() {
        out.truncate(mark.start);
    }
    ended
}

/// Takes back the Bind begun at `mark`, values and all.
pub fn abandon_bind(out: &mut WriteBuffer, mark: BindMark) {
    out.truncate(mark.start);
}

#[inline]
fn write_end(
    out: &mut WriteBuffer,
    mark: &BindMark,
    result_formats: impl ExactSizeIterator<Item = i16>,
) -> Result<()> {
    put_count(out, count(MESSAGE, "result formats", result_formats.len())?);
    for format in result_formats {
        out.put_i16(format);
    }
    patch_length(out, mark.length, MESSAGE, MAX_FRONTEND_MESSAGE)
}

#[cold]
fn mismatch(formats: usize, parameters: usize) -> Error {
    Error::usage(format!(
        "{MESSAGE}: {formats} formats don't fit {parameters} parameters"
    ))
}

/// Whether `bytes` are `count` values and nothing else.
fn are_values(mut bytes: &[u8], count: u16) -> bool {
    for _ in 0..count {
        let Some((length, rest)) = bytes.split_first_chunk() else {
            return false;
        };
        // Only −1, a NULL, is negative.
        let length = match i32::from_be_bytes(*length) {
            -1 => 0,
            length => usize::try_from(length).unwrap_or(usize::MAX),
        };
        let Some((_, rest)) = rest.split_at_checked(length) else {
            return false;
        };
        bytes = rest;
    }
    bytes.is_empty()
}

const MESSAGE: &str = "Bind";
