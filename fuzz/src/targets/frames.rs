//! Messages: cutting the stream, every parser over anything, every message to the server.
//!
//! What a parser accepts is written back, and must give the same bytes: nothing of a
//! message is passed over, and nothing is made up.

use kornak::Result;
use kornak::internals::buffer::WriteBuffer;
use kornak::internals::wire::backend::{
    Authentication, BackendKeyData, CommandComplete, CopyResponse, DataRow, ErrorFields,
    NegotiateProtocolVersion, NotificationResponse, ParameterDescription, ParameterStatus,
    ReadyForQuery, RowDescription, TransactionStatus, to_server_error,
};
use kornak::internals::wire::{Split, frontend, split, tag};

use super::{Memory, Target};
use crate::mutate::Shape;
use crate::outcome::Features;

pub static TARGET: Target = Target {
    name: "frames",
    shape: Shape {
        frames_at: Some(0),
        dictionary: &[
            b"SCRAM-SHA-256\0",
            b"SFATAL\0",
            b"\0\0\0\0",
            b"\xff\xff\xff\xff",
        ],
    },
    memory: Memory {
        // Replacement characters have three bytes, and the messages written hold a text
        // several times.
        per_byte: 16,
        fixed: 8 * 1024,
    },
    execute,
};

/// A tag for each parser.
const TAGS: [u8; 12] = [
    tag::AUTHENTICATION,
    tag::BACKEND_KEY_DATA,
    tag::COMMAND_COMPLETE,
    tag::COPY_IN_RESPONSE,
    tag::DATA_ROW,
    tag::ERROR_RESPONSE,
    tag::NEGOTIATE_PROTOCOL_VERSION,
    tag::NOTIFICATION_RESPONSE,
    tag::PARAMETER_DESCRIPTION,
    tag::PARAMETER_STATUS,
    tag::READY_FOR_QUERY,
    tag::ROW_DESCRIPTION,
];

fn execute(input: &[u8], features: &mut Features) {
    cut(input, features);
    let mut accepted = 0;
    for (index, tag) in TAGS.into_iter().enumerate() {
        accepted |= u64::from(read(tag, input).is_ok()) << index;
    }
    features.add(accepted);
    write(input);
}

/// The input as a stream.
fn cut(input: &[u8], features: &mut Features) {
    let mut rest = input;
    loop {
        match split(rest) {
            Ok(Split::Frame(frame)) => {
                let length = frame.total_len();
                assert_eq!(rest[0], frame.tag);
                assert_eq!(&rest[5..length], frame.body);
                // Without its last byte it is the same message, not yet whole.
                let needed = if length == 5 { 0 } else { length };
                let incomplete = split(&rest[..length - 1]).expect("the beginning of a message");
                assert_eq!(incomplete, Split::Incomplete { needed });
                features.follow(u64::from(frame.tag));
                if let Err(error) = read(frame.tag, frame.body) {
                    features.add_error(&error);
                }
                rest = &rest[length..];
            }
            Ok(Split::Incomplete { needed }) => {
                assert!(needed > rest.len() || needed == 0 && rest.len() < 5);
                features.follow(1 + u64::from(needed > 0));
                return;
            }
            Err(error) => {
                features.add_error(&error);
                return;
            }
        }
    }
}

/// Parses `body`, walks all of it, and writes it back.
fn read(tag: u8, body: &[u8]) -> Result<()> {
    let mut out = Vec::with_capacity(body.len());
    match tag {
        tag::AUTHENTICATION => authentication(Authentication::parse(body)?, body, &mut out),
        tag::BACKEND_KEY_DATA => {
            let it = BackendKeyData::parse(body)?;
            out.extend(it.process_id.to_be_bytes());
            out.extend(it.secret_key);
        }
        tag::COMMAND_COMPLETE => {
            let it = CommandComplete::parse(body)?;
            assert!(it.tag().starts_with(it.command()));
            assert!(it.rows() == 0 || it.tag().ends_with(|c: char| c.is_ascii_digit()));
            put_string(&mut out, it.tag().as_bytes());
        }
        tag::COPY_IN_RESPONSE | tag::COPY_OUT_RESPONSE | tag::COPY_BOTH_RESPONSE => {
            let it = CopyResponse::parse(body)?;
            out.extend(it.format.to_be_bytes());
            put_count(&mut out, it.column_formats().len());
            out.extend(it.column_formats().flat_map(i16::to_be_bytes));
        }
        tag::DATA_ROW => {
            let it = DataRow::parse(body)?;
            out.extend(it.columns.to_be_bytes());
            for value in it {
                let value = value?;
                let length = value.map_or(-1, |value| value.len() as i32);
                out.extend(length.to_be_bytes());
                out.extend(value.unwrap_or_default());
            }
        }
        tag::ERROR_RESPONSE | tag::NOTICE_RESPONSE => {
            for (code, text) in ErrorFields::parse(body)? {
                out.push(code);
                put_string(&mut out, text);
            }
            out.push(0);
            to_server_error(body)?;
        }
        tag::NEGOTIATE_PROTOCOL_VERSION => {
            let it = NegotiateProtocolVersion::parse(body)?;
            out.extend(it.version.to_be_bytes());
            let count = it.unrecognized_options().count() as u32;
            out.extend(count.to_be_bytes());
            it.unrecognized_options()
                .for_each(|name| put_string(&mut out, name));
        }
        tag::NOTIFICATION_RESPONSE => {
            let it = NotificationResponse::parse(body)?;
            out.extend(it.process_id.to_be_bytes());
            put_string(&mut out, it.channel);
            put_string(&mut out, it.payload);
        }
        tag::PARAMETER_DESCRIPTION => {
            let it = ParameterDescription::parse(body)?;
            put_count(&mut out, it.len());
            out.extend(it.oids().flat_map(u32::to_be_bytes));
        }
        tag::PARAMETER_STATUS => {
            let it = ParameterStatus::parse(body)?;
            put_string(&mut out, it.name);
            put_string(&mut out, it.value);
        }
        tag::READY_FOR_QUERY => out.push(match ReadyForQuery::parse(body)?.status {
            TransactionStatus::Idle => b'I',
            TransactionStatus::InTransaction => b'T',
            TransactionStatus::Failed => b'E',
        }),
        tag::ROW_DESCRIPTION => {
            let it = RowDescription::parse(body)?;
            put_count(&mut out, it.fields().len());
            for field in it.fields() {
                put_string(&mut out, field.name);
                out.extend(field.table_oid.to_be_bytes());
                out.extend(field.column_id.to_be_bytes());
                out.extend(field.type_oid.to_be_bytes());
                out.extend(field.type_size.to_be_bytes());
                out.extend(field.type_modifier.to_be_bytes());
                out.extend(field.format.to_be_bytes());
            }
        }
        tag::COPY_DATA => out.extend(body),
        _ => {}
    }
    assert_eq!(out, body, "{} is not what it was read as", tag::name(tag));
    Ok(())
}

fn authentication(request: Authentication<'_>, body: &[u8], out: &mut Vec<u8>) {
    out.extend(&body[..4]);
    match request {
        Authentication::Md5Password { salt } => out.extend(salt),
        Authentication::GssContinue(data)
        | Authentication::SaslContinue(data)
        | Authentication::SaslFinal(data) => out.extend(data),
        Authentication::Sasl(mechanisms) => {
            mechanisms.iter().for_each(|name| put_string(out, name));
            out.push(0);
        }
        // Nothing is known of the rest.
        Authentication::Unknown(_) => out.extend(&body[4..]),
        _ => {}
    }
}

/// Every message that takes a text, with the input as the text: either all of it is written
/// as one whole message, or nothing.
fn write(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let has_nul = text.contains('\0');
    let (head, tail) = text.split_at(floor_boundary(&text, text.len() / 2));
    let mut out = WriteBuffer::with_capacity(5 * text.len() + 64);
    let out = &mut out;
    check(out, has_nul, |out| frontend::query(out, &text));
    check(out, has_nul, |out| frontend::parse(out, head, tail, &[23]));
    check(out, has_nul, |out| frontend::describe_statement(out, &text));
    check(out, has_nul, |out| frontend::close_portal(out, &text));
    check(out, has_nul, |out| frontend::execute(out, &text, 0));
    check(out, has_nul, |out| frontend::copy_fail(out, &text));
    check(out, input.contains(&0), |out| {
        frontend::password(out, input)
    });
    check(out, false, |out| frontend::copy_data(out, input));
    check(out, has_nul, |out| {
        let bind = frontend::begin_bind(out, head, tail, [1].into_iter(), 1)?;
        let value = out.begin_length();
        out.put_slice(input);
        out.end_value(value).expect("a short value");
        frontend::end_bind(out, bind, [1].into_iter())
    });
    let startup = frontend::startup(out, 3 << 16, [("user", head), ("options", tail)]);
    assert!(startup.is_err() || !has_nul);
    // A startup message has no tag, and must end in the NUL that ends its list.
    assert_eq!(out.is_empty(), startup.is_err());
    assert!(out.is_empty() || out.pending().ends_with(b"\0\0"));
}

fn check(out: &mut WriteBuffer, refused: bool, write: impl FnOnce(&mut WriteBuffer) -> Result<()>) {
    assert_eq!(write(out).is_err(), refused);
    match out.pending() {
        [] => assert!(refused),
        [_, a, b, c, d, body @ ..] => {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            assert!(!refused && length == body.len() + 4);
        }
        _ => panic!("a message without a length"),
    }
    out.clear();
}

fn floor_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(bytes);
    out.push(0);
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend((count as u16).to_be_bytes());
}
