//! The messages to the server: one function each, which appends the whole message.
//!
//! A message that can't be written leaves the buffer as it was. What can be wrong with one
//! is a NUL in a string, which would end it early and turn its rest into other fields; a
//! count above 65,535; and a length above the server's limit.
//!
//! FunctionCall has no function: the manual calls it a legacy feature, a prepared
//! `select f($1)` does the same, and without it a FunctionCallResponse is always a broken
//! promise of the peer.

mod bind;
#[cfg(test)]
mod tests;

pub use self::bind::{BindMark, abandon_bind, begin_bind, end_bind};

use crate::buffer::{Mark, WriteBuffer};
use crate::error::{Error, Result};
use crate::wire::limits::{
    MAX_COUNT, MAX_FRONTEND_MESSAGE, MAX_SECRET_KEY, MAX_STARTUP, MIN_SECRET_KEY,
};
use crate::wire::tag::frontend as tag;

/// StartupMessage: asks for protocol `version` (the major version in the upper 16 bits)
/// with these parameters.
///
/// # Errors
///
/// A NUL, a parameter without a name (which would end the list), or more than the 10,000
/// bytes that the server accepts.
pub fn startup<'p>(
    out: &mut WriteBuffer,
    version: i32,
    parameters: impl IntoIterator<Item = (&'p str, &'p str)>,
) -> Result<()> {
    let start = out.mark();
    let written = write_startup(out, version, parameters);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

fn write_startup<'p>(
    out: &mut WriteBuffer,
    version: i32,
    parameters: impl IntoIterator<Item = (&'p str, &'p str)>,
) -> Result<()> {
    const MESSAGE: &str = "StartupMessage";
    let length = out.mark();
    out.put_i32(0);
    out.put_i32(version);
    for (name, value) in parameters {
        if name.is_empty() {
            return Err(Error::usage(format!("{MESSAGE}: a parameter has no name")));
        }
        refuse_nul(MESSAGE, "a parameter's name", name.as_bytes())?;
        refuse_nul(MESSAGE, name, value.as_bytes())?;
        put_string(out, name);
        put_string(out, value);
    }
    out.put_u8(0);
    patch_length(out, length, MESSAGE, MAX_STARTUP)
}

/// SSLRequest: asks for TLS before anything else.
pub fn ssl_request(out: &mut WriteBuffer) {
    out.put_i32(8);
    out.put_i32(SSL_REQUEST);
}

/// GSSENCRequest: asks for GSSAPI encryption before anything else.
pub fn gssenc_request(out: &mut WriteBuffer) {
    out.put_i32(8);
    out.put_i32(GSSENC_REQUEST);
}

/// CancelRequest: on a connection of its own, asks to cancel what the session of
/// BackendKeyData runs.
///
/// # Errors
///
/// A key of less than 4 or more than 256 bytes.
pub fn cancel_request(out: &mut WriteBuffer, process_id: i32, secret_key: &[u8]) -> Result<()> {
    const MESSAGE: &str = "CancelRequest";
    if !(MIN_SECRET_KEY..=MAX_SECRET_KEY).contains(&secret_key.len()) {
        return Err(Error::usage(format!(
            "{MESSAGE}: the secret key has {} bytes, it must have from {MIN_SECRET_KEY} to \
             {MAX_SECRET_KEY}",
            secret_key.len()
        )));
    }
    let length = out.mark();
    out.put_i32(0);
    out.put_i32(CANCEL_REQUEST);
    out.put_i32(process_id);
    out.put_slice(secret_key);
    patch_length(out, length, MESSAGE, MAX_STARTUP)
}

/// PasswordMessage: the password, or its MD5 hash.
///
/// # Errors
///
/// A NUL, or a length above the server's limit.
pub fn password(out: &mut WriteBuffer, password: &[u8]) -> Result<()> {
    const MESSAGE: &str = "PasswordMessage";
    refuse_nul(MESSAGE, "the password", password)?;
    begin(
        out,
        MESSAGE,
        tag::PASSWORD,
        password.len().saturating_add(1),
    )?;
    out.put_slice(password);
    out.put_u8(0);
    Ok(())
}

/// SASLInitialResponse: the mechanism of the client's choice, and its first message.
///
/// # Errors
///
/// A NUL in the mechanism, or a length above the server's limit.
pub fn sasl_initial_response(out: &mut WriteBuffer, mechanism: &str, data: &[u8]) -> Result<()> {
    const MESSAGE: &str = "SASLInitialResponse";
    refuse_nul(MESSAGE, "the mechanism", mechanism.as_bytes())?;
    let length = total(&[mechanism.len(), 1, 4, data.len()]);
    begin(out, MESSAGE, tag::PASSWORD, length)?;
    put_string(out, mechanism);
    out.put_i32(within(MESSAGE, data.len(), MAX_FRONTEND_MESSAGE)?);
    out.put_slice(data);
    Ok(())
}

/// SASLResponse: a further message of the mechanism.
///
/// # Errors
///
/// A length above the server's limit.
pub fn sasl_response(out: &mut WriteBuffer, data: &[u8]) -> Result<()> {
    begin(out, "SASLResponse", tag::PASSWORD, data.len())?;
    out.put_slice(data);
    Ok(())
}

/// GSSResponse: a message of GSSAPI or SSPI.
///
/// # Errors
///
/// A length above the server's limit.
pub fn gss_response(out: &mut WriteBuffer, data: &[u8]) -> Result<()> {
    begin(out, "GSSResponse", tag::PASSWORD, data.len())?;
    out.put_slice(data);
    Ok(())
}

/// Query: runs one or several statements by the simple protocol.
///
/// # Errors
///
/// A NUL, or a length above the server's limit.
pub fn query(out: &mut WriteBuffer, sql: &str) -> Result<()> {
    const MESSAGE: &str = "Query";
    refuse_nul(MESSAGE, "the SQL", sql.as_bytes())?;
    begin(out, MESSAGE, tag::QUERY, sql.len().saturating_add(1))?;
    put_string(out, sql);
    Ok(())
}

/// Parse: prepares `sql` as the statement `name`, with the types of its first parameters (0
/// for those that the server is to infer).
///
/// # Errors
///
/// A NUL, more than 65,535 types, or a length above the server's limit.
pub fn parse(out: &mut WriteBuffer, name: &str, sql: &str, parameter_oids: &[u32]) -> Result<()> {
    const MESSAGE: &str = "Parse";
    refuse_nul(MESSAGE, "the statement's name", name.as_bytes())?;
    refuse_nul(MESSAGE, "the SQL", sql.as_bytes())?;
    let count = count(MESSAGE, "parameter types", parameter_oids.len())?;
    let oids = parameter_oids.len() * 4;
    let length = total(&[name.len(), 1, sql.len(), 1, 2, oids]);
    begin(out, MESSAGE, tag::PARSE, length)?;
    put_string(out, name);
    put_string(out, sql);
    put_count(out, count);
    for &oid in parameter_oids {
        out.put_u32(oid);
    }
    Ok(())
}

/// Describe of a statement: asks for the types of its parameters and the shape of its rows.
///
/// # Errors
///
/// A NUL, or a length above the server's limit.
pub fn describe_statement(out: &mut WriteBuffer, name: &str) -> Result<()> {
    statement_or_portal(out, "Describe", tag::DESCRIBE, STATEMENT, name)
}

/// Describe of a portal: asks for the shape of its rows.
///
/// # Errors
///
/// A NUL, or a length above the server's limit.
pub fn describe_portal(out: &mut WriteBuffer, name: &str) -> Result<()> {
    statement_or_portal(out, "Describe", tag::DESCRIBE, PORTAL, name)
}

/// Close of a statement. That there is none of this name is no error to the server.
///
/// # Errors
///
/// A NUL, or a length above the server's limit.
pub fn close_statement(out: &mut WriteBuffer, name: &str) -> Result<()> {
    statement_or_portal(out, "Close", tag::CLOSE, STATEMENT, name)
}

/// Close of a portal. That there is none of this name is no error to the server.
///
/// # Errors
///
/// A NUL, or a length above the server's limit.
pub fn close_portal(out: &mut WriteBuffer, name: &str) -> Result<()> {
    statement_or_portal(out, "Close", tag::CLOSE, PORTAL, name)
}

/// Execute: runs a portal until it is complete or has returned `max_rows` rows; 0 is no
/// limit.
///
/// # Errors
///
/// A NUL, or a length above the server's limit.
pub fn execute(out: &mut WriteBuffer, portal: &str, max_rows: i32) -> Result<()> {
    const MESSAGE: &str = "Execute";
    refuse_nul(MESSAGE, "the portal's name", portal.as_bytes())?;
    begin(out, MESSAGE, tag::EXECUTE, total(&[portal.len(), 1, 4]))?;
    put_string(out, portal);
    out.put_i32(max_rows);
    Ok(())
}

/// Sync: ends a unit of the extended protocol. The server answers ReadyForQuery.
#[inline]
pub fn sync(out: &mut WriteBuffer) {
    empty(out, tag::SYNC);
}

/// Flush: asks the server to send what it holds back until Sync.
pub fn flush(out: &mut WriteBuffer) {
    empty(out, tag::FLUSH);
}

/// Terminate: says goodbye.
pub fn terminate(out: &mut WriteBuffer) {
    empty(out, tag::TERMINATE);
}

/// CopyData: a piece of a COPY; the server joins the pieces, wherever they are cut.
///
/// # Errors
///
/// A length above the server's limit.
pub fn copy_data(out: &mut WriteBuffer, data: &[u8]) -> Result<()> {
    begin(out, COPY_DATA, tag::COPY_DATA, data.len())?;
    out.put_slice(data);
    Ok(())
}

/// A CopyData that data is appended to, bit by bit.
#[derive(Clone, Copy, Debug)]
pub struct CopyDataMark {
    length: Mark,
}

/// Begins a CopyData without data. The caller appends some and calls [`extend_copy_data`]: in
/// between the message is whole, so that whatever comes next may follow.
pub fn begin_copy_data(out: &mut WriteBuffer) -> CopyDataMark {
    out.put_u8(tag::COPY_DATA);
    let length = out.mark();
    out.put_i32(4);
    CopyDataMark { length }
}

/// Takes all that was written behind the CopyData begun at `mark` into it.
///
/// # Errors
///
/// A length above the server's limit. The caller takes back what it has appended.
#[inline]
pub fn extend_copy_data(out: &mut WriteBuffer, mark: CopyDataMark) -> Result<()> {
    patch_length(out, mark.length, COPY_DATA, MAX_FRONTEND_MESSAGE)
}

/// CopyDone: the COPY is complete.
pub fn copy_done(out: &mut WriteBuffer) {
    empty(out, tag::COPY_DONE);
}

/// CopyFail: the COPY is given up, and the server answers an error that quotes `message`.
///
/// # Errors
///
/// A NUL, or a length above the server's limit.
pub fn copy_fail(out: &mut WriteBuffer, message: &str) -> Result<()> {
    const MESSAGE: &str = "CopyFail";
    refuse_nul(MESSAGE, "the message", message.as_bytes())?;
    begin(
        out,
        MESSAGE,
        tag::COPY_FAIL,
        message.len().saturating_add(1),
    )?;
    put_string(out, message);
    Ok(())
}

fn statement_or_portal(
    out: &mut WriteBuffer,
    message: &'static str,
    tag: u8,
    kind: u8,
    name: &str,
) -> Result<()> {
    refuse_nul(message, "the name", name.as_bytes())?;
    begin(out, message, tag, total(&[1, name.len(), 1]))?;
    out.put_u8(kind);
    put_string(out, name);
    Ok(())
}

#[inline]
fn empty(out: &mut WriteBuffer, tag: u8) {
    let [a, b, c, d] = 4_i32.to_be_bytes();
    out.put_slice(&[tag, a, b, c, d]);
}

/// Writes tag and length of a message whose body has `body` bytes. It comes after every
/// check of the message, and writes nothing where it fails.
#[inline]
fn begin(out: &mut WriteBuffer, message: &'static str, tag: u8, body: usize) -> Result<()> {
    let length = total(&[LENGTH_FIELD, body]);
    let checked = within(message, length, MAX_FRONTEND_MESSAGE)?;
    out.reserve(length + 1);
    out.put_u8(tag);
    out.put_i32(checked);
    Ok(())
}

/// Fills in the length at `mark`, which counts itself and all that follows.
#[inline]
fn patch_length(
    out: &mut WriteBuffer,
    mark: Mark,
    message: &'static str,
    most: usize,
) -> Result<()> {
    let length = within(message, out.since(mark).len(), most)?;
    out.patch_i32(mark, length);
    Ok(())
}

/// `length` as the protocol writes it, if it is at most `most`, which an `i32` can hold.
#[inline]
fn within(message: &'static str, length: usize, most: usize) -> Result<i32> {
    match i32::try_from(length) {
        Ok(checked) if length <= most => Ok(checked),
        _ => Err(too_long(message, length, most)),
    }
}

#[cold]
fn too_long(message: &'static str, length: usize, most: usize) -> Error {
    Error::usage(format!(
        "{message}: {length} bytes are more than the {most} that the server accepts"
    ))
}

/// The sum, which no overflow can make look small.
#[inline]
fn total(lengths: &[usize]) -> usize {
    lengths
        .iter()
        .fold(0, |sum, &length| sum.saturating_add(length))
}

/// A count as the protocol writes it.
#[inline]
fn count(message: &'static str, of: &'static str, count: usize) -> Result<u16> {
    u16::try_from(count).map_err(|_| too_many(message, of, count))
}

#[cold]
fn too_many(message: &'static str, of: &'static str, count: usize) -> Error {
    Error::usage(format!(
        "{message}: {count} {of} are more than the protocol's limit of {MAX_COUNT}"
    ))
}

#[inline]
fn put_count(out: &mut WriteBuffer, count: u16) {
    out.put_slice(&count.to_be_bytes());
}

#[inline]
fn put_string(out: &mut WriteBuffer, string: &str) {
    out.put_slice(string.as_bytes());
    out.put_u8(0);
}

#[inline]
fn refuse_nul(message: &'static str, field: &str, bytes: &[u8]) -> Result<()> {
    if bytes.contains(&0) {
        return Err(has_nul(message, field));
    }
    Ok(())
}

#[cold]
fn has_nul(message: &'static str, field: &str) -> Error {
    Error::usage(format!("{message}: {field} contains a NUL"))
}

/// The major version 1234, which no protocol has, and the request in the lower half.
const CANCEL_REQUEST: i32 = 1234 << 16 | 5678;
const SSL_REQUEST: i32 = 1234 << 16 | 5679;
const GSSENC_REQUEST: i32 = 1234 << 16 | 5680;

const LENGTH_FIELD: usize = 4;
const STATEMENT: u8 = b'S';
const PORTAL: u8 = b'P';
const COPY_DATA: &str = "CopyData";
