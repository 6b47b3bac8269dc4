//! [`split`]: where one message ends and the next begins.

use super::limits::LENGTHS;
use super::tag;
use crate::error::{Error, Result};

/// One whole message of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Which message it is: a constant of [`tag`].
    pub tag: u8,
    /// What follows tag and length.
    pub body: &'a [u8],
}

impl Frame<'_> {
    /// How many bytes it took on the wire.
    #[inline]
    pub fn total_len(&self) -> usize {
        HEADER + self.body.len()
    }
}

/// What [`split`] found at the front of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split<'a> {
    /// A whole message.
    Frame(Frame<'a>),
    /// The beginning of one.
    Incomplete {
        /// How many bytes the whole message has, or 0 until its header has arrived.
        needed: usize,
    },
}

/// Finds the message at the front of `input`.
///
/// # Errors
///
/// A tag that no message has is refused as soon as it arrives, and a length outside the
/// tag's limits (see [`limits`](super::limits)) before the body does.
#[inline]
pub fn split(input: &[u8]) -> Result<Split<'_>> {
    let Some((&[tag, a, b, c, d], rest)) = input.split_first_chunk::<HEADER>() else {
        return incomplete_header(input);
    };
    let length = u32::from_be_bytes([a, b, c, d]);
    let allowed = LENGTHS[usize::from(tag)];
    if length.wrapping_sub(allowed.least) >= allowed.count {
        return Err(refused(tag, length));
    }
    // At least 4, as every entry of the table is.
    let body_length = length as usize - LENGTH_FIELD;
    match rest.get(..body_length) {
        Some(body) => Ok(Split::Frame(Frame { tag, body })),
        None => Ok(Split::Incomplete {
            needed: HEADER + body_length,
        }),
    }
}

/// The body of the message at the front of `input`, and what is behind it, if that is a whole
/// one that begins with `TAG`.
///
/// For loops that know what comes: [`split`] says the rest.
#[inline(always)]
pub fn split_known<const TAG: u8>(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[tag, a, b, c, d], rest) = input.split_first_chunk::<HEADER>()?;
    let length = u32::from_be_bytes([a, b, c, d]);
    let allowed = LENGTHS[usize::from(TAG)];
    if tag != TAG || length.wrapping_sub(allowed.least) >= allowed.count {
        return None;
    }
    rest.split_at_checked(length as usize - LENGTH_FIELD)
}

#[cold]
fn incomplete_header(input: &[u8]) -> Result<Split<'_>> {
    match input.first() {
        Some(&tag) if LENGTHS[usize::from(tag)].count == 0 => Err(unknown(tag)),
        _ => Ok(Split::Incomplete { needed: 0 }),
    }
}

#[cold]
fn refused(tag: u8, length: u32) -> Error {
    let allowed = LENGTHS[usize::from(tag)];
    if allowed.count == 0 {
        return unknown(tag);
    }
    let (name, least) = (tag::name(tag), allowed.least);
    let most = least + (allowed.count - 1);
    // A negative length is shown as the server meant it.
    let length = length as i32;
    Error::protocol(if least == most {
        format!("{name}: the length is {length}, it must be {least}")
    } else {
        format!("{name}: the length is {length}, it must be from {least} to {most}")
    })
}

#[cold]
fn unknown(tag: u8) -> Error {
    Error::protocol(if tag == tag::FUNCTION_CALL_RESPONSE {
        "FunctionCallResponse: no function was called".to_owned()
    } else {
        format!("no message begins with the byte 0x{tag:02x}")
    })
}

const HEADER: usize = 1 + LENGTH_FIELD;
const LENGTH_FIELD: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::limits;

    fn header(tag: u8, length: u32) -> [u8; 5] {
        let [a, b, c, d] = length.to_be_bytes();
        [tag, a, b, c, d]
    }

    fn check(input: &[u8], expected: std::result::Result<Split<'_>, &str>) {
        match (split(input), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{input:?}"),
            (Err(found), Err(expected)) => assert_eq!(found.to_string(), expected, "{input:?}"),
            (found, expected) => panic!("{input:?}: {found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn whole_messages_are_found_and_what_follows_is_left() {
        let frame = |tag, body| Ok(Split::Frame(Frame { tag, body }));
        check(b"Z\0\0\0\x05I", frame(b'Z', b"I"));
        check(b"Z\0\0\0\x05IZ\0\0\0\x05T", frame(b'Z', b"I"));
        check(b"1\0\0\0\x04", frame(b'1', b""));
        check(b"D\0\0\0\x06\0\0", frame(b'D', b"\0\0"));
        let Ok(Split::Frame(found)) = split(b"C\0\0\0\x0dSELECT 1\0Z") else {
            panic!("not a frame");
        };
        assert_eq!(found.total_len(), 14);
    }

    #[test]
    fn r20_the_beginning_of_a_message_says_what_is_needed() {
        let incomplete = |needed| Ok(Split::Incomplete { needed });
        check(b"", incomplete(0));
        let message = b"C\0\0\0\x0dSELECT 1\0";
        for end in 1..message.len() {
            check(&message[..end], incomplete(if end < 5 { 0 } else { 14 }));
        }
        check(&header(b'd', limits::MAX_DATA), incomplete(1 << 31));
    }

    #[test]
    fn s24_lengths_are_checked_against_the_tags_limits_before_the_body_arrives() {
        let mut known = 0;
        for tag in 0..=u8::MAX {
            let allowed = LENGTHS[usize::from(tag)];
            let accepted = |length| split(&header(tag, length)).is_ok();
            for length in 0..4 {
                assert!(!accepted(length), "{tag} {length}");
            }
            for far in [1 << 31, (1 << 31) + 1, u32::MAX - 1, u32::MAX] {
                assert!(!accepted(far), "{tag} {far}");
            }
            if allowed.count == 0 {
                assert!(!accepted(4) && !accepted(100));
                assert!(split(&[tag]).is_err(), "unknown tags are refused at once");
                continue;
            }
            known += 1;
            let most = allowed.least + (allowed.count - 1);
            assert!(!accepted(allowed.least - 1) && accepted(allowed.least));
            assert!(accepted(most) && !accepted(most + 1));
        }
        // Every backend message but FunctionCallResponse.
        assert_eq!(known, 23);
    }

    #[test]
    fn s24_the_errors_name_message_and_length() {
        check(
            b"Z\0\0\0\x06",
            Err("ReadyForQuery: the length is 6, it must be 5"),
        );
        check(
            b"D\xff\xff\xff\xff",
            Err("DataRow: the length is -1, it must be from 6 to 2147483647"),
        );
        check(
            b"HTTP/",
            Err("CopyOutResponse: the length is 1414811695, it must be from 7 to 131077"),
        );
        check(b"q", Err("no message begins with the byte 0x71"));
        check(b"V", Err("FunctionCallResponse: no function was called"));
    }
}
