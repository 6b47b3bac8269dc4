//! Each parser over what the manual allows and over what it doesn't.

mod hostile;

use std::fmt::Write as _;

use super::*;
use crate::error::Result;
use crate::wire::tag;

/// Reads everything that a message says into text, as bytes of Latin text where it is text.
fn read(tag: u8, body: &[u8]) -> Result<String> {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let mut out = String::new();
    match tag {
        tag::AUTHENTICATION => match Authentication::parse(body)? {
            Authentication::Sasl(mechanisms) => {
                out.push_str("Sasl");
                for name in mechanisms.iter() {
                    write!(out, " {}", text(name)).unwrap();
                }
            }
            Authentication::SaslContinue(data) => {
                write!(out, "SaslContinue {}", text(data)).unwrap()
            }
            Authentication::SaslFinal(data) => write!(out, "SaslFinal {}", text(data)).unwrap(),
            Authentication::GssContinue(data) => write!(out, "GssContinue {}", text(data)).unwrap(),
            other => write!(out, "{other:?}").unwrap(),
        },
        tag::BACKEND_KEY_DATA => {
            let data = BackendKeyData::parse(body)?;
            write!(out, "{} {}", data.process_id, text(data.secret_key)).unwrap();
        }
        tag::COMMAND_COMPLETE => {
            let complete = CommandComplete::parse(body)?;
            write!(
                out,
                "{} {} {}",
                complete.tag(),
                complete.command(),
                complete.rows()
            )
            .unwrap();
        }
        tag::COPY_IN_RESPONSE | tag::COPY_OUT_RESPONSE | tag::COPY_BOTH_RESPONSE => {
            let response = CopyResponse::parse(body)?;
            let formats: Vec<_> = response.column_formats().collect();
            assert_eq!(formats.len(), response.column_formats().len());
            write!(out, "{} {formats:?}", response.format).unwrap();
        }
        tag::DATA_ROW => {
            let row = DataRow::parse(body)?;
            let mut values = row.iter();
            for value in values.by_ref() {
                match value? {
                    Some(value) => write!(out, "[{}]", text(value)).unwrap(),
                    None => out.push_str("NULL"),
                }
            }
            values.finish()?;
        }
        tag::ERROR_RESPONSE | tag::NOTICE_RESPONSE => {
            for (code, field) in ErrorFields::parse(body)? {
                write!(out, "{}={} ", code.escape_ascii(), text(field)).unwrap();
            }
            to_server_error(body)?;
        }
        tag::NEGOTIATE_PROTOCOL_VERSION => {
            let negotiate = NegotiateProtocolVersion::parse(body)?;
            write!(out, "{:#x}", negotiate.version).unwrap();
            for name in negotiate.unrecognized_options() {
                write!(out, " {}", text(name)).unwrap();
            }
        }
        tag::NOTIFICATION_RESPONSE => {
            let it = NotificationResponse::parse(body)?;
            let (channel, payload) = (text(it.channel), text(it.payload));
            write!(out, "{} {channel} {payload}", it.process_id).unwrap();
        }
        tag::PARAMETER_DESCRIPTION => {
            let description = ParameterDescription::parse(body)?;
            let oids: Vec<_> = description.oids().collect();
            assert_eq!(oids.len(), description.len());
            assert_eq!(oids.is_empty(), description.is_empty());
            write!(out, "{oids:?}").unwrap();
        }
        tag::PARAMETER_STATUS => {
            let status = ParameterStatus::parse(body)?;
            write!(out, "{}={}", text(status.name), text(status.value)).unwrap();
        }
        tag::READY_FOR_QUERY => write!(out, "{:?}", ReadyForQuery::parse(body)?.status).unwrap(),
        tag::ROW_DESCRIPTION => {
            let description = RowDescription::parse(body)?;
            let mut fields = description.fields();
            // Names take a byte at least, the rest of a field 18.
            assert!(fields.len() <= body.len() / 19);
            assert_eq!(description.len(), fields.len());
            assert_eq!(description.is_empty(), fields.len() == 0);
            for field in fields.by_ref() {
                write!(
                    out,
                    "{} {} {} {} {} {} {};",
                    text(field.name),
                    field.table_oid,
                    field.column_id,
                    field.type_oid,
                    field.type_size,
                    field.type_modifier,
                    field.format
                )
                .unwrap();
            }
            assert_eq!(fields.len(), 0);
        }
        _ => assert!(
            body.is_empty(),
            "a message without a body: {}",
            tag::name(tag)
        ),
    }
    Ok(out)
}

/// Reads `body` and compares what it says, or the error after `Err: `.
#[track_caller]
fn check(tag: u8, body: &[u8], expected: &str) {
    let found = read(tag, body).unwrap_or_else(|error| {
        assert_eq!(error.kind(), crate::error::ErrorKind::Protocol);
        format!("Err: {error}")
    });
    assert_eq!(
        found,
        expected,
        "{} {}",
        tag::name(tag),
        body.escape_ascii()
    );
}

/// One message of each kind and shape, all of them right.
const VALID: &[(u8, &[u8], &str)] = &[
    (b'R', b"\0\0\0\0", "Ok"),
    (b'R', b"\0\0\0\x02", "KerberosV5"),
    (b'R', b"\0\0\0\x03", "CleartextPassword"),
    (
        b'R',
        b"\0\0\0\x05salt",
        "Md5Password { salt: [115, 97, 108, 116] }",
    ),
    (b'R', b"\0\0\0\x07", "Gss"),
    (b'R', b"\0\0\0\x08token\0", "GssContinue token\\x00"),
    (b'R', b"\0\0\0\x08", "GssContinue "),
    (b'R', b"\0\0\0\x09", "Sspi"),
    (b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0", "Sasl SCRAM-SHA-256"),
    (
        b'R',
        b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0",
        "Sasl SCRAM-SHA-256-PLUS SCRAM-SHA-256",
    ),
    (
        b'R',
        b"\0\0\0\x0br=n,s=cw==,i=4096",
        "SaslContinue r=n,s=cw==,i=4096",
    ),
    (b'R', b"\0\0\0\x0cv=cHJvb2Y=", "SaslFinal v=cHJvb2Y="),
    (b'R', b"\0\0\0\x06anything", "Unknown(6)"),
    (b'R', b"\xff\xff\xff\xff", "Unknown(-1)"),
    (b'K', b"\0\x01\0\0key!", "65536 key!"),
    (b'2', b"", ""),
    (b'3', b"", ""),
    (b'C', b"SELECT 5\0", "SELECT 5 SELECT 5"),
    (b'W', b"\0\0\0", "0 []"),
    (b'd', b"", ""),
    (b'c', b"", ""),
    (b'G', b"\0\0\x02\0\0\0\0", "0 [0, 0]"),
    (b'H', b"\x01\0\x03\0\x01\0\x01\0\x01", "1 [1, 1, 1]"),
    (b'D', b"\0\0", ""),
    (b'D', b"\0\x01\0\0\0\0", "[]"),
    (
        b'D',
        b"\0\x03\0\0\0\x01a\xff\xff\xff\xff\0\0\0\x02\0\xff",
        "[a]NULL[\\x00\\xff]",
    ),
    (b'I', b"", ""),
    (b'E', b"\0", ""),
    (
        b'E',
        b"SFEHLER\0VERROR\0C42P01\0Mno table\0P15\0\0",
        "S=FEHLER V=ERROR C=42P01 M=no table P=15 ",
    ),
    (b'N', b"VNOTICE\0M\0\0", "V=NOTICE M= "),
    (b'v', b"\0\x03\0\0\0\0\0\0", "0x30000"),
    (
        b'v',
        b"\0\x03\0\x02\0\0\0\x02_pq_.a\0_pq_.b\0",
        "0x30002 _pq_.a _pq_.b",
    ),
    (b'n', b"", ""),
    (b'A', b"\0\0\x04\xd2chat\0hello\0", "1234 chat hello"),
    (b'A', b"\0\0\0\x01\0\0", "1  "),
    (b't', b"\0\0", "[]"),
    (
        b't',
        b"\0\x02\0\0\0\x17\xff\xff\xff\xff",
        "[23, 4294967295]",
    ),
    (b'S', b"TimeZone\0UTC\0", "TimeZone=UTC"),
    (b'S', b"\0\0", "="),
    (b'1', b"", ""),
    (b's', b"", ""),
    (b'Z', b"I", "Idle"),
    (b'Z', b"T", "InTransaction"),
    (b'Z', b"E", "Failed"),
    (b'T', b"\0\0", ""),
    (
        b'T',
        b"\0\x02id\0\x80\0\0\x01\0\x01\0\0\0\x17\0\x04\xff\xff\xff\xff\0\x01\
          \0\0\0\0\0\0\0\0\0\0\x19\xff\xff\0\0\0\x0e\0\0",
        "id 2147483649 1 23 4 -1 1; 0 0 25 -1 14 0;",
    ),
];

#[test]
fn every_message_is_read() {
    for &(tag, body, expected) in VALID {
        check(tag, body, expected);
    }
}

#[test]
fn r47_oids_above_the_signed_range_and_long_descriptions() {
    let mut body = vec![0x06, 0x80];
    for index in 0..1664_u32 {
        body.extend_from_slice(format!("a_column_of_some_length_{index}\0").as_bytes());
        body.extend_from_slice(&(0xffff_0000 + index).to_be_bytes());
        body.extend_from_slice(&[0, 1]);
        body.extend_from_slice(&(0x8000_0000 + index).to_be_bytes());
        body.extend_from_slice(&[0, 4, 0xff, 0xff, 0xff, 0xff, 0, 0]);
    }
    assert!(body.len() > 30_000);
    let description = RowDescription::parse(&body).unwrap();
    assert_eq!(description.len(), 1664);
    for (index, field) in (0..).zip(description.fields()) {
        assert_eq!(field.table_oid, 0xffff_0000 + index);
        assert_eq!(field.type_oid, 0x8000_0000 + index);
    }
}

#[test]
fn s8_names_are_opaque_bytes() {
    let rest = b"\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0";
    let long = vec![b'x'; 64 * 1024];
    let odd: &[&[u8]] = &[
        b"",
        b"twice",
        b"twice",
        b"\"; drop table t; --",
        b"\xff\xfe\x80",
        b"\r\n\x1b[2J",
        "привет".as_bytes(),
        &long,
    ];
    let mut body = vec![0, odd.len() as u8];
    for name in odd {
        body.extend_from_slice(name);
        body.push(0);
        body.extend_from_slice(rest);
    }
    let description = RowDescription::parse(&body).unwrap();
    let names: Vec<_> = description.fields().map(|field| field.name).collect();
    assert_eq!(names, odd);
}

#[test]
fn s22_cancel_keys_have_4_to_256_bytes() {
    for (length, right) in [
        (0, false),
        (3, false),
        (4, true),
        (32, true),
        (256, true),
        (257, false),
    ] {
        let mut body = vec![0, 0, 0, 1];
        body.resize(4 + length, b'k');
        if right {
            check(b'K', &body, &format!("1 {}", "k".repeat(length)));
        } else {
            let error = format!("Err: BackendKeyData: the secret key can't be {length} bytes long");
            check(b'K', &body, &error);
        }
    }
    check(
        b'K',
        b"\0\0\0",
        "Err: BackendKeyData: the process ID ends early",
    );
}

#[test]
fn s31_the_cancel_key_is_not_shown() {
    let data = BackendKeyData::parse(b"\0\0\0\x07hush").unwrap();
    assert_eq!(format!("{data:?}"), "BackendKeyData { process_id: 7, .. }");
}

#[test]
fn s22_malformed_negotiation() {
    for (body, error) in [
        (&b""[..], "the version ends early"),
        (b"\0\x03\0", "the version ends early"),
        (b"\0\x03\0\0\0\0\0", "the number of options ends early"),
        (
            b"\0\x03\0\0\xff\xff\xff\xff",
            "the number of options can't be -1",
        ),
        (b"\0\x03\0\0\0\0\0\x01", "option 1 ends early"),
        (b"\0\x03\0\0\0\0\0\x02a\0b", "option 2 ends early"),
        (b"\0\x03\0\0\x7f\xff\xff\xff_pq_.a\0", "option 2 ends early"),
        (b"\0\x03\0\0\0\0\0\0x", "1 bytes are left over"),
        (b"\0\x03\0\0\0\0\0\x01a\0b\0", "2 bytes are left over"),
    ] {
        check(
            b'v',
            body,
            &format!("Err: NegotiateProtocolVersion: {error}"),
        );
    }
}

#[test]
fn s23_rows_that_lie() {
    for (body, error) in [
        (&b""[..], "the number of columns ends early"),
        (b"\0", "the number of columns ends early"),
        (b"\0\x01", "column 1 ends early"),
        (b"\xff\xff", "column 1 ends early"),
        (b"\0\x02\0\0\0\0", "column 2 ends early"),
        (b"\0\x02\0\0\0\0\0\0\0", "column 2 ends early"),
        (b"\0\x01\0\0\0\x02a", "column 1 ends early"),
        (b"\0\x01\x7f\xff\xff\xffa", "column 1 ends early"),
        (
            b"\0\x01\xff\xff\xff\xfe",
            "the length of column 1 can't be -2",
        ),
        (
            b"\0\x01\x80\0\0\0a",
            "the length of column 1 can't be -2147483648",
        ),
        (b"\0\0\0", "1 bytes are left over"),
        (b"\0\x01\0\0\0\x01ab", "1 bytes are left over"),
        (b"\0\x01\xff\xff\xff\xff\0\0\0\0", "4 bytes are left over"),
    ] {
        check(b'D', body, &format!("Err: DataRow: {error}"));
    }
}

#[test]
fn s23_a_row_that_is_not_read_to_its_end_is_an_error() {
    let row = DataRow::parse(b"\0\x02\0\0\0\x01a\0\0\0\x01b").unwrap();
    let mut values = row.iter();
    assert!(values.clone().finish().is_err());
    values.next();
    let error = values.clone().finish().unwrap_err();
    let expected = "DataRow: there are 2 columns, 1 were expected";
    assert_eq!(error.to_string(), expected);
    values.next();
    values.clone().finish().unwrap();
    assert!(values.next().is_none());
    // An error ends the walk, and can't be walked around.
    for body in [&b"\0\x02\0\0\0\x05a"[..], b"\0\0x"] {
        let mut values = DataRow::parse(body).unwrap().into_iter();
        assert!(values.next().unwrap().is_err());
        assert!(values.next().is_none());
        assert!(values.finish().is_err());
    }
}

#[test]
fn malformed_bodies_are_named() {
    for (tag, body, error) in [
        (
            b'R',
            &b"\0\0\0"[..],
            "Authentication: the request ends early",
        ),
        (b'R', b"\0\0\0\0x", "Authentication: 1 bytes are left over"),
        (
            b'R',
            b"\0\0\0\x05sal",
            "Authentication: the salt ends early",
        ),
        (
            b'R',
            b"\0\0\0\x05salty",
            "Authentication: 1 bytes are left over",
        ),
        (
            b'R',
            b"\0\0\0\x0a",
            "Authentication: the list of SASL mechanisms ends early",
        ),
        (
            b'R',
            b"\0\0\0\x0a\0",
            "Authentication: the list of SASL mechanisms can't be empty",
        ),
        (
            b'R',
            b"\0\0\0\x0aA\0",
            "Authentication: the list of SASL mechanisms ends early",
        ),
        (
            b'R',
            b"\0\0\0\x0aA\0\0B",
            "Authentication: 1 bytes are left over",
        ),
        (
            b'C',
            b"SELECT 1",
            "CommandComplete: the command tag ends early",
        ),
        (
            b'C',
            b"SELECT 1\0\0",
            "CommandComplete: 1 bytes are left over",
        ),
        (b'G', b"", "CopyResponse: the format ends early"),
        (b'G', b"\x02\0\0", "CopyResponse: the format can't be 2"),
        (
            b'G',
            b"\0\0",
            "CopyResponse: the number of columns ends early",
        ),
        (
            b'H',
            b"\0\xff\xff\0\0",
            "CopyResponse: the list of column formats ends early",
        ),
        (
            b'W',
            b"\0\0\x01\0\0\0",
            "CopyResponse: 1 bytes are left over",
        ),
        (
            b'W',
            b"\0\0\x01\0\x02",
            "CopyResponse: the format of a column can't be 2",
        ),
        (b'E', b"", "ErrorResponse: the list of fields ends early"),
        (
            b'E',
            b"Mtext\0",
            "ErrorResponse: the list of fields ends early",
        ),
        (b'E', b"Mtext", "ErrorResponse: the field 'M' ends early"),
        (b'N', b"Mtext\0\0\0", "ErrorResponse: 1 bytes are left over"),
        (
            b'A',
            b"\0\0\0",
            "NotificationResponse: the process ID ends early",
        ),
        (
            b'A',
            b"\0\0\0\x01a",
            "NotificationResponse: the channel ends early",
        ),
        (
            b'A',
            b"\0\0\0\x01a\0b",
            "NotificationResponse: the payload ends early",
        ),
        (
            b'A',
            b"\0\0\0\x01a\0b\0c",
            "NotificationResponse: 1 bytes are left over",
        ),
        (
            b't',
            b"\0",
            "ParameterDescription: the number of parameters ends early",
        ),
        (
            b't',
            b"\xff\xff\0\0\0\0",
            "ParameterDescription: the list of types ends early",
        ),
        (
            b't',
            b"\0\x01\0\0\0\0\0",
            "ParameterDescription: 1 bytes are left over",
        ),
        (b'S', b"name", "ParameterStatus: the name ends early"),
        (b'S', b"name\0", "ParameterStatus: the value ends early"),
        (
            b'S',
            b"name\0value\0\0",
            "ParameterStatus: 1 bytes are left over",
        ),
        (
            b'Z',
            b"",
            "ReadyForQuery: the transaction status ends early",
        ),
        (
            b'Z',
            b"i",
            "ReadyForQuery: the transaction status can't be 0x69",
        ),
        (b'Z', b"II", "ReadyForQuery: 1 bytes are left over"),
        (b'T', b"", "RowDescription: the number of fields ends early"),
        (b'T', b"\xff\xff", "RowDescription: field 1 ends early"),
        (
            b'T',
            b"\0\x02\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\0\0\0\x0e\0\0n\0",
            "RowDescription: field 2 ends early",
        ),
        (
            b'T',
            b"\0\x01\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\0\0\0\x0e\0\x07",
            "RowDescription: the format of field 1 can't be 7",
        ),
        (b'T', b"\0\0\0", "RowDescription: 1 bytes are left over"),
    ] {
        check(tag, body, &format!("Err: {error}"));
    }
}

#[test]
fn command_tags_say_how_many_rows() {
    for (tag, command, rows) in [
        ("SELECT 5", "SELECT", 5),
        ("SELECT 0", "SELECT", 0),
        ("INSERT 0 42", "INSERT", 42),
        ("INSERT 16384 1", "INSERT", 1),
        ("UPDATE 18446744073709551615", "UPDATE", u64::MAX),
        ("DELETE 7", "DELETE", 7),
        ("MERGE 8", "MERGE", 8),
        ("FETCH 9", "FETCH", 9),
        ("MOVE 10", "MOVE", 10),
        ("COPY 11", "COPY", 11),
        ("CREATE TABLE", "CREATE", 0),
        ("BEGIN", "BEGIN", 0),
        ("ROLLBACK PREPARED", "ROLLBACK", 0),
        ("", "", 0),
        // Not what a server sends; not a number of rows either.
        ("SELECT", "SELECT", 0),
        ("SELECT ", "SELECT", 0),
        ("SELECT x", "SELECT", 0),
        ("SELECT +5", "SELECT", 0),
        ("SELECT -5", "SELECT", 0),
        ("SELECT 18446744073709551616", "SELECT", 0),
        (
            "SELECT 9999999999999999999",
            "SELECT",
            9_999_999_999_999_999_999,
        ),
        ("SELECT 00000000000000000000000007", "SELECT", 7),
        ("SELECT x0000000000000000000000007", "SELECT", 0),
        ("VACUUM 18446744073709551615", "VACUUM", 0),
        ("SELECTED 5", "SELECTED", 0),
        ("VACUUM 5", "VACUUM", 0),
    ] {
        let body = [tag.as_bytes(), b"\0"].concat();
        let complete = CommandComplete::parse(&body).unwrap();
        assert_eq!(
            (complete.command(), complete.rows()),
            (command, rows),
            "{tag}"
        );
    }
}

#[test]
fn a_byte_that_is_not_ascii_is_found_wherever_it_is_in_a_tag() {
    for length in 0..40 {
        for place in 0..length {
            for byte in 0..=u8::MAX {
                let mut body = vec![b'\x01'; length + 1];
                (body[place], body[length]) = (byte, 0);
                let is_text = (1..0x80).contains(&byte);
                assert_eq!(CommandComplete::parse(&body).is_ok(), is_text, "{body:?}");
            }
        }
    }
}

#[test]
fn every_field_of_an_error_is_kept() {
    let error = to_server_error(
        b"SFEHLER\0VFATAL\0C42P01\0Mmessage\0Ddetail\0Hhint\0P15\0p4\0qinternal\0Wcontext\0\
          sschema\0ttable\0ccolumn\0dtype\0nconstraint\0Ffile.c\0L1234\0Rroutine\0Znew\0\xffodd\0\0",
    )
    .unwrap();
    assert_eq!(error.severity().to_string(), "FATAL");
    assert_eq!(error.sqlstate().to_string(), "42P01");
    assert_eq!(error.message(), "message");
    assert_eq!(error.position(), Some(15));
    assert_eq!(error.internal_position(), Some(4));
    assert_eq!(error.line(), Some(1234));
    for (found, expected) in [
        (error.detail(), "detail"),
        (error.hint(), "hint"),
        (error.internal_query(), "internal"),
        (error.context(), "context"),
        (error.schema(), "schema"),
        (error.table(), "table"),
        (error.column(), "column"),
        (error.data_type(), "type"),
        (error.constraint(), "constraint"),
        (error.file(), "file.c"),
        (error.routine(), "routine"),
    ] {
        assert_eq!(found, Some(expected));
    }
}

#[test]
fn r59_an_error_in_any_encoding_is_kept() {
    let error = to_server_error(b"SERROR\0C22021\0Mfalsch: \xe4\0Hn\xc3\xa4mlich\0\0").unwrap();
    assert_eq!(error.message(), "falsch: \u{fffd}");
    assert_eq!(error.hint(), Some("n\u{e4}mlich"));
}

#[test]
fn severity_and_code_are_found_leniently() {
    for (body, expected) in [
        (&b"SFEHLER\0VPANIC\0C58030\0\0"[..], "PANIC 58030"),
        (b"SFATAL\0C57P01\0\0", "FATAL 57P01"),
        (b"SFATAL\0VNEW\0C57P01\0\0", "FATAL 57P01"),
        (b"SFEHLER\0C22012\0\0", "ERROR 22012"),
        (b"VLOG\0C00000\0\0", "LOG 00000"),
        (b"VDEBUG\0\0", "DEBUG 00000"),
        (b"VINFO\0C01\0\0", "INFO 00000"),
        (b"VWARNING\0C01000\0\0", "WARNING 01000"),
        (b"\0", "ERROR XX000"),
        (b"VERROR\0C4200\0\0", "ERROR XX000"),
        (b"VERROR\0C42\xff01\0\0", "ERROR XX000"),
        (b"VERROR\0C4 p01\0\0", "ERROR XX000"),
        (b"VERROR\0C22012\0C40001\0\0", "ERROR 40001"),
    ] {
        let error = to_server_error(body).unwrap();
        let found = format!("{} {}", error.severity(), error.sqlstate());
        assert_eq!(found, expected, "{}", body.escape_ascii());
    }
    for number in ["", "x", "-1", "4294967296", "1.5"] {
        let body = format!("P{number}\0p{number}\0L{number}\0\0");
        let error = to_server_error(body.as_bytes()).unwrap();
        let numbers = (error.position(), error.internal_position(), error.line());
        assert_eq!(numbers, (None, None, None), "{number:?}");
    }
}
