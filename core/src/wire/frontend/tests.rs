//! Each message against its bytes, and what is refused.

use super::*;
use crate::error::ErrorKind;
use crate::wire::limits;

/// Appends messages to a buffer that isn't empty, and compares what they added.
#[track_caller]
fn check(write: impl FnOnce(&mut WriteBuffer) -> Result<()>, expected: &[u8]) {
    let mut out = WriteBuffer::default();
    out.put_slice(b"before");
    let start = out.mark();
    write(&mut out).unwrap();
    let written = out.since(start);
    assert_eq!(
        written.escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
}

/// The same for a message that nothing can be wrong with.
#[track_caller]
fn check_plain(write: fn(&mut WriteBuffer), expected: &[u8]) {
    check(
        |out| {
            write(out);
            Ok(())
        },
        expected,
    );
}

/// The same for a message that is refused: its error, and that nothing stays of it.
#[track_caller]
fn check_refused(write: impl FnOnce(&mut WriteBuffer) -> Result<()>, expected: &str) {
    let mut out = WriteBuffer::default();
    out.put_slice(b"before");
    let error = write(&mut out).unwrap_err();
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(out.pending(), b"before");
}

fn none() -> std::iter::Empty<i16> {
    std::iter::empty()
}

/// A Bind without formats, with these values.
fn bind(
    out: &mut WriteBuffer,
    portal: &str,
    statement: &str,
    values: &[Option<&[u8]>],
) -> Result<()> {
    let mark = begin_bind(out, portal, statement, none(), values.len())?;
    for value in values {
        let length = out.begin_length();
        match value {
            Some(value) => {
                out.put_slice(value);
                out.end_value(length).unwrap();
            }
            None => out.end_null(length),
        }
    }
    end_bind(out, mark, none())
}

#[test]
fn messages_before_the_session() {
    check(
        |out| startup(out, 3 << 16, [("user", "ada"), ("database", "")]),
        b"\0\0\0\x1c\0\x03\0\0user\0ada\0database\0\0\0",
    );
    check(
        |out| startup(out, 3 << 16 | 2, []),
        b"\0\0\0\x09\0\x03\0\x02\0",
    );
    check_plain(ssl_request, b"\0\0\0\x08\x04\xd2\x16\x2f");
    check_plain(gssenc_request, b"\0\0\0\x08\x04\xd2\x16\x30");
    check(
        |out| cancel_request(out, 0x0102_0304, b"key!"),
        b"\0\0\0\x10\x04\xd2\x16\x2e\x01\x02\x03\x04key!",
    );
    check(
        |out| cancel_request(out, -1, &[7; 256]),
        &[
            &b"\0\0\x01\x0c\x04\xd2\x16\x2e\xff\xff\xff\xff"[..],
            &[7; 256],
        ]
        .concat(),
    );
    check(|out| password(out, b"secret"), b"p\0\0\0\x0bsecret\0");
    check(
        |out| sasl_initial_response(out, "SCRAM-SHA-256", b"n,,n=,r=x"),
        b"p\0\0\0\x1fSCRAM-SHA-256\0\0\0\0\x09n,,n=,r=x",
    );
    check(|out| sasl_response(out, b"c=biws"), b"p\0\0\0\x0ac=biws");
    check(
        |out| gss_response(out, b"\0token\0"),
        b"p\0\0\0\x0b\0token\0",
    );
}

#[test]
fn messages_of_the_simple_protocol_and_of_copy() {
    check(|out| query(out, "select 1"), b"Q\0\0\0\x0dselect 1\0");
    check(|out| copy_data(out, b"1\t2\n"), b"d\0\0\0\x081\t2\n");
    check(
        |out| {
            let mark = begin_copy_data(out);
            assert!(out.pending().ends_with(b"d\0\0\0\x04"));
            out.put_slice(b"1\t2\n");
            extend_copy_data(out, mark)?;
            out.put_slice(b"3");
            extend_copy_data(out, mark)
        },
        b"d\0\0\0\x091\t2\n3",
    );
    check_plain(copy_done, b"c\0\0\0\x04");
    check(|out| copy_fail(out, "enough"), b"f\0\0\0\x0benough\0");
    check_plain(terminate, b"X\0\0\0\x04");
}

#[test]
fn messages_of_the_extended_protocol() {
    check(
        |out| parse(out, "k1", "select $1", &[23, 0xffff_ffff]),
        b"P\0\0\0\x1bk1\0select $1\0\0\x02\0\0\0\x17\xff\xff\xff\xff",
    );
    check(|out| parse(out, "", "", &[]), b"P\0\0\0\x08\0\0\0\0");
    check(
        |out| {
            let mark = begin_bind(out, "p", "k1", [1, 0, 1].into_iter(), 3)?;
            out.put_slice(b"\0\0\0\x01a\xff\xff\xff\xff\0\0\0\0");
            end_bind(out, mark, [1].into_iter())
        },
        b"B\0\0\0\x24p\0k1\0\0\x03\0\x01\0\0\0\x01\0\x03\0\0\0\x01a\xff\xff\xff\xff\0\0\0\0\0\x01\0\x01",
    );
    check(|out| bind(out, "", "", &[]), b"B\0\0\0\x0c\0\0\0\0\0\0\0\0");
    check(|out| describe_statement(out, "k1"), b"D\0\0\0\x08Sk1\0");
    check(|out| describe_portal(out, ""), b"D\0\0\0\x06P\0");
    check(|out| execute(out, "p", 100), b"E\0\0\0\x0ap\0\0\0\0\x64");
    check(|out| close_statement(out, "k1"), b"C\0\0\0\x08Sk1\0");
    check(|out| close_portal(out, "p"), b"C\0\0\0\x07Pp\0");
    check_plain(sync, b"S\0\0\0\x04");
    check_plain(flush, b"H\0\0\0\x04");
}

#[test]
fn s18_empty_strings_and_strings_without_nul_are_written_whole() {
    check(|out| query(out, ""), b"Q\0\0\0\x05\0");
    check(|out| password(out, b""), b"p\0\0\0\x05\0");
    check(|out| sasl_response(out, b""), b"p\0\0\0\x04");
    check(|out| copy_data(out, b""), b"d\0\0\0\x04");
    check(|out| copy_fail(out, ""), b"f\0\0\0\x05\0");
    check(
        |out| sasl_initial_response(out, "", b""),
        b"p\0\0\0\x09\0\0\0\0\0",
    );
}

#[test]
fn s7_a_nul_in_any_string_is_refused_and_nothing_is_written() {
    for nul in ["\0", "\0x", "x\0", "x\0y"] {
        let refused = |write: &dyn Fn(&mut WriteBuffer) -> Result<()>, field: &str| {
            check_refused(write, &format!("{field} contains a NUL"));
        };
        let good = ("user", "ada");
        refused(
            &|out| startup(out, 3 << 16, [good, (nul, "x")]),
            "StartupMessage: a parameter's name",
        );
        refused(
            &|out| startup(out, 3 << 16, [good, ("name", nul)]),
            "StartupMessage: name",
        );
        refused(
            &|out| password(out, nul.as_bytes()),
            "PasswordMessage: the password",
        );
        refused(
            &|out| sasl_initial_response(out, nul, b"x"),
            "SASLInitialResponse: the mechanism",
        );
        refused(&|out| query(out, nul), "Query: the SQL");
        refused(
            &|out| parse(out, nul, "x", &[1]),
            "Parse: the statement's name",
        );
        refused(&|out| parse(out, "x", nul, &[1]), "Parse: the SQL");
        refused(&|out| bind(out, nul, "x", &[]), "Bind: the portal's name");
        refused(
            &|out| bind(out, "x", nul, &[]),
            "Bind: the statement's name",
        );
        refused(&|out| describe_statement(out, nul), "Describe: the name");
        refused(&|out| describe_portal(out, nul), "Describe: the name");
        refused(&|out| close_statement(out, nul), "Close: the name");
        refused(&|out| close_portal(out, nul), "Close: the name");
        refused(&|out| execute(out, nul, 0), "Execute: the portal's name");
        refused(&|out| copy_fail(out, nul), "CopyFail: the message");
    }
}

#[test]
fn s31_a_refused_password_is_not_shown() {
    let mut out = WriteBuffer::default();
    let error = password(&mut out, b"hush\0hush").unwrap_err();
    assert!(!format!("{error:#} {error:?}").contains("hush"));
}

#[test]
fn startup_parameters_that_the_server_would_misread_are_refused() {
    check_refused(
        |out| startup(out, 3 << 16, [("user", "ada"), ("", "x"), ("b", "y")]),
        "StartupMessage: a parameter has no name",
    );
    let fits = "x".repeat(limits::MAX_STARTUP - 15);
    let mut out = WriteBuffer::default();
    startup(&mut out, 3 << 16, [("user", &*fits)]).unwrap();
    assert_eq!(out.len(), limits::MAX_STARTUP);
    check_refused(
        |out| startup(out, 3 << 16, [("user", &*format!("{fits}x"))]),
        "StartupMessage: 10001 bytes are more than the 10000 that the server accepts",
    );
}

#[test]
fn s22_cancel_requests_take_keys_of_4_to_256_bytes() {
    for length in [0, 3, 257] {
        check_refused(
            |out| cancel_request(out, 1, &vec![1; length]),
            &format!(
                "CancelRequest: the secret key has {length} bytes, it must have from 4 to 256"
            ),
        );
    }
    for length in [4, 32, 256] {
        let mut out = WriteBuffer::default();
        cancel_request(&mut out, 1, &vec![1; length]).unwrap();
        assert_eq!(out.len(), 12 + length);
    }
}

/// Every message takes its length through `begin` or `patch_length`, and both through
/// `within`, so that lengths can be tried that no machine has the memory for.
#[test]
fn s1_lengths_at_the_edges_are_refused_before_a_byte_is_written() {
    const EDGES: [usize; 7] = [
        (1 << 31) - 1,
        1 << 31,
        (1 << 31) + 1,
        (1 << 32) - 1,
        1 << 32,
        (1 << 32) + 1,
        usize::MAX,
    ];
    let most = limits::MAX_FRONTEND_MESSAGE;
    for length in EDGES {
        assert!(within("Bind", length, most).is_err(), "{length}");
        // As a body, with four bytes of length before it, and as one field of several.
        let total = total(&[3, length, 1]);
        for body in [length, length.wrapping_sub(4), total] {
            let mut out = WriteBuffer::default();
            assert!(begin(&mut out, "Query", b'Q', body).is_err(), "{body}");
            assert!(out.is_empty() && out.capacity() == 0);
        }
    }
    assert_eq!(within("Bind", most, most).unwrap(), 0x3fff_fffe);
    assert_eq!(
        within("Bind", most + 1, most).unwrap_err().to_string(),
        "Bind: 1073741823 bytes are more than the 1073741822 that the server accepts"
    );
}

#[test]
fn s1_a_message_written_in_parts_is_taken_back_when_it_is_too_long() {
    let mut out = WriteBuffer::default();
    out.put_slice(b"before");
    let mark = out.mark();
    out.put_slice(b"123456");
    assert!(patch_length(&mut out, mark, "Bind", 5).is_err());
    patch_length(&mut out, mark, "Bind", 6).unwrap();
    assert_eq!(out.pending(), b"before\0\0\0\x0656");
}

#[test]
fn s2_counts_up_to_65535_are_written_and_more_are_refused() {
    for count in [0, 1, 32_767, 32_768, 65_535] {
        let mut out = WriteBuffer::default();
        bind(&mut out, "", "", &vec![None; count]).unwrap();
        let [high, low] = u16::try_from(count).unwrap().to_be_bytes();
        assert_eq!(out.pending()[9..11], [high, low]);
        assert_eq!(out.len(), 1 + 12 + 4 * count);
        let mut out = WriteBuffer::default();
        parse(&mut out, "", "", &vec![23; count]).unwrap();
        assert_eq!(out.pending()[7..9], [high, low]);
    }
    check_refused(
        |out| bind(out, "", "", &vec![None; 65_536]),
        "Bind: 65536 parameters are more than the protocol's limit of 65535",
    );
    check_refused(
        |out| parse(out, "", "", &vec![23; 65_536]),
        "Parse: 65536 parameter types are more than the protocol's limit of 65535",
    );
    check_refused(
        |out| {
            let mark = begin_bind(out, "", "", none(), 1)?;
            out.put_slice(b"\0\0\0\x01a");
            end_bind(out, mark, vec![1; 65_536].into_iter())
        },
        "Bind: 65536 result formats are more than the protocol's limit of 65535",
    );
}

#[test]
fn formats_that_do_not_fit_the_parameters_are_refused() {
    check_refused(
        |out| begin_bind(out, "", "", [1, 1].into_iter(), 3).map(|_| ()),
        "Bind: 2 formats don't fit 3 parameters",
    );
}

#[test]
fn an_abandoned_bind_leaves_nothing() {
    check(
        |out| {
            let mark = begin_bind(out, "", "k1", none(), 2)?;
            out.put_slice(b"\0\0\0\x09half");
            abandon_bind(out, mark);
            sync(out);
            Ok(())
        },
        b"S\0\0\0\x04",
    );
}

#[test]
#[cfg(debug_assertions)]
fn values_that_do_not_match_their_count_are_noticed() {
    for values in [&b""[..], b"\0\0\0\x02a", b"\xff\xff\xff\xfe", b"\0\0\0\0x"] {
        let written = std::panic::catch_unwind(|| {
            let mut out = WriteBuffer::default();
            let mark = begin_bind(&mut out, "", "", none(), 1).unwrap();
            out.put_slice(values);
            let _ = end_bind(&mut out, mark, none());
        });
        assert!(written.is_err(), "{values:?}");
    }
}
