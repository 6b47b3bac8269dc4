//! The named limits of every length and count on the wire.
//!
//! A limit on a message counts what its length field counts: the four bytes of the length
//! itself and the body, not the tag. What a real server sends stays far below; a peer that
//! announces more is broken or hostile, and is refused before the body arrives.

use super::tag;

/// The length of a message without a body.
pub const EMPTY_MESSAGE: u32 = 4;

/// Messages that carry one value of the application or a row of them: what the signed
/// length field can say. A row of many large values may exceed the server's 1 GiB for one
/// value, so nothing lower would be right.
pub const MAX_DATA: u32 = i32::MAX as u32;

/// Authentication requests. libpq accepts 2,000 bytes; this leaves room for mechanisms with
/// longer challenges.
pub const MAX_AUTHENTICATION: u32 = 8 * 1024;

/// Protocol negotiation: the names of those options of ours that the server doesn't know.
/// libpq accepts 2,000 bytes.
pub const MAX_NEGOTIATION: u32 = 8 * 1024;

/// The shortest cancel key of protocol 3.2, which is also the only length of 3.0, in bytes.
pub const MIN_SECRET_KEY: usize = 4;

/// The longest cancel key of protocol 3.2, in bytes.
pub const MAX_SECRET_KEY: usize = 256;

/// Command tags. The server's buffer for one has 64 bytes (`COMPLETION_TAG_BUFSIZE`); other
/// servers that speak the protocol get some room.
pub const MAX_COMMAND_TAG: u32 = 1024;

/// Errors and notices. They may quote a whole statement (field `q`), which may be megabytes
/// of generated SQL; nothing else in them is large.
pub const MAX_REPORT: u32 = 16 * 1024 * 1024;

/// Notifications. A payload is shorter than the server's page, at most 32 KiB, which grows
/// at most fourfold when it is converted to the client's encoding
/// (`MAX_CONVERSION_GROWTH`).
pub const MAX_NOTIFICATION: u32 = 256 * 1024;

/// Reported parameters. The longest is `search_path`, reported since PostgreSQL 18: this
/// has room for a thousand schemas.
pub const MAX_PARAMETER_STATUS: u32 = 64 * 1024;

/// Row descriptions. The server has at most 1,664 columns with names of 63 bytes, some 500
/// KiB after conversion; other servers have longer names.
pub const MAX_ROW_DESCRIPTION: u32 = 8 * 1024 * 1024;

/// How many parameters, columns or format codes a 16-bit count can say.
pub const MAX_COUNT: usize = u16::MAX as usize;

/// The longest startup message that the server accepts, in bytes, its length included
/// (`MAX_STARTUP_PACKET_LENGTH`).
pub const MAX_STARTUP: usize = 10_000;

/// The longest message that the server accepts, in bytes, its length included
/// (`PQ_LARGE_MESSAGE_LIMIT`). A longer one would be answered with a FATAL error.
pub const MAX_FRONTEND_MESSAGE: usize = 0x3fff_fffe;

/// The lengths that a backend message may have: `least..least + count`.
///
/// Kept so that one subtraction and one comparison refuse what is too short, too long and
/// unknown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lengths {
    pub(super) least: u32,
    /// 0 for a tag that no message has.
    pub(super) count: u32,
}

/// The lengths by tag.
pub(super) static LENGTHS: [Lengths; 256] = {
    let mut table = [Lengths { least: 0, count: 0 }; 256];
    let mut index = 0;
    while index < KNOWN.len() {
        let (tag, least, most) = KNOWN[index];
        assert!(4 <= least && least <= most);
        table[tag as usize] = Lengths {
            least,
            count: most - least + 1,
        };
        index += 1;
    }
    table
};

/// Tag, least and greatest length.
const KNOWN: [(u8, u32, u32); 23] = [
    (tag::AUTHENTICATION, 8, MAX_AUTHENTICATION),
    (
        tag::BACKEND_KEY_DATA,
        8 + MIN_SECRET_KEY as u32,
        8 + MAX_SECRET_KEY as u32,
    ),
    (tag::BIND_COMPLETE, EMPTY_MESSAGE, EMPTY_MESSAGE),
    (tag::CLOSE_COMPLETE, EMPTY_MESSAGE, EMPTY_MESSAGE),
    (tag::COMMAND_COMPLETE, 5, MAX_COMMAND_TAG),
    (tag::COPY_BOTH_RESPONSE, 7, 7 + 2 * MAX_COUNT as u32),
    (tag::COPY_DATA, EMPTY_MESSAGE, MAX_DATA),
    (tag::COPY_DONE, EMPTY_MESSAGE, EMPTY_MESSAGE),
    (tag::COPY_IN_RESPONSE, 7, 7 + 2 * MAX_COUNT as u32),
    (tag::COPY_OUT_RESPONSE, 7, 7 + 2 * MAX_COUNT as u32),
    (tag::DATA_ROW, 6, MAX_DATA),
    (tag::EMPTY_QUERY_RESPONSE, EMPTY_MESSAGE, EMPTY_MESSAGE),
    (tag::ERROR_RESPONSE, 5, MAX_REPORT),
    (tag::NEGOTIATE_PROTOCOL_VERSION, 12, MAX_NEGOTIATION),
    (tag::NO_DATA, EMPTY_MESSAGE, EMPTY_MESSAGE),
    (tag::NOTICE_RESPONSE, 5, MAX_REPORT),
    (tag::NOTIFICATION_RESPONSE, 10, MAX_NOTIFICATION),
    (tag::PARAMETER_DESCRIPTION, 6, 6 + 4 * MAX_COUNT as u32),
    (tag::PARAMETER_STATUS, 6, MAX_PARAMETER_STATUS),
    (tag::PARSE_COMPLETE, EMPTY_MESSAGE, EMPTY_MESSAGE),
    (tag::PORTAL_SUSPENDED, EMPTY_MESSAGE, EMPTY_MESSAGE),
    (tag::READY_FOR_QUERY, 5, 5),
    (tag::ROW_DESCRIPTION, 6, MAX_ROW_DESCRIPTION),
];
