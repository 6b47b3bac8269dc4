//! The instrument for wire dialogues: what is written is what is sent, and what was sent is
//! read back.

use std::path::Path;

use support::dialogue::{
    Arrival, Bindings, Decoder, Delivery, Dialogue, Message, Mutation, Replay, Side, Step, Turn,
    backend, frontend, matches, transcribe, transcribe_started,
};

mod support;

/// Each message as a line and as the bytes that the manual gives it.
#[test]
fn lines_become_the_bytes_of_the_manual() {
    let check = |side: Side, line: &str, bytes: &[u8]| {
        let message = Message::parse(side, line).unwrap_or_else(|why| panic!("{line}: {why}"));
        assert_eq!(message.to_bytes(), bytes, "{line}");
        assert_eq!(message.to_string(), line, "it is written as it was read");
    };
    use Side::{Backend as B, Frontend as F};

    check(F, "Sync", b"S\0\0\0\x04");
    check(F, "Flush", b"H\0\0\0\x04");
    check(F, "Terminate", b"X\0\0\0\x04");
    check(F, r#"Query "select 1""#, b"Q\0\0\0\x0dselect 1\0");
    check(
        F,
        r#"Parse "k1" "select $1" [int4, 70000]"#,
        b"P\0\0\0\x1bk1\0select $1\0\0\x02\0\0\0\x17\0\x01\x11\x70",
    );
    check(
        F,
        r#"Bind "" "k1" [1] [x0000002a, null, "text", ""] [1, 0]"#,
        b"B\0\0\0\x2c\0k1\0\0\x01\0\x01\0\x04\0\0\0\x04\0\0\0\x2a\xff\xff\xff\xff\0\0\0\x04text\
          \0\0\0\0\0\x02\0\x01\0\0",
    );
    check(F, r#"Describe S "k1""#, b"D\0\0\0\x08Sk1\0");
    check(F, r#"Close P """#, b"C\0\0\0\x06P\0");
    check(F, r#"Execute "" 0"#, b"E\0\0\0\x09\0\0\0\0\0");
    check(F, "CopyData x0102", b"d\0\0\0\x06\x01\x02");
    check(F, "CopyDone", b"c\0\0\0\x04");
    check(F, r#"CopyFail "no""#, b"f\0\0\0\x07no\0");
    check(
        F,
        "FunctionCall 1598 [] [null] 1",
        b"F\0\0\0\x12\0\0\x06\x3e\0\0\0\x01\xff\xff\xff\xff\0\x01",
    );
    check(F, "SSLRequest", b"\0\0\0\x08\x04\xd2\x16\x2f");
    check(F, "GSSENCRequest", b"\0\0\0\x08\x04\xd2\x16\x30");
    check(
        F,
        "CancelRequest 7 x0a0b0c0d",
        b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x07\x0a\x0b\x0c\x0d",
    );
    check(
        F,
        r#"StartupMessage 3.2 user="me""#,
        b"\0\0\0\x11\0\x03\0\x02user\0me\0\0",
    );
    check(F, r#"PasswordMessage "pw""#, b"p\0\0\0\x07pw\0");
    check(
        F,
        r#"SASLInitialResponse "S" "n,,""#,
        b"p\0\0\0\x0dS\0\0\0\0\x03n,,",
    );
    check(
        F,
        r#"SASLInitialResponse "S" null"#,
        b"p\0\0\0\x0aS\0\xff\xff\xff\xff",
    );
    check(F, r#"SASLResponse "c=biws""#, b"p\0\0\0\x0ac=biws");
    check(F, "GSSResponse xff00", b"p\0\0\0\x06\xff\0");

    check(B, "AuthenticationOk", b"R\0\0\0\x08\0\0\0\0");
    check(B, "AuthenticationKerberosV5", b"R\0\0\0\x08\0\0\0\x02");
    check(
        B,
        "AuthenticationCleartextPassword",
        b"R\0\0\0\x08\0\0\0\x03",
    );
    check(
        B,
        "AuthenticationMD5Password x01020304",
        b"R\0\0\0\x0c\0\0\0\x05\x01\x02\x03\x04",
    );
    check(B, "AuthenticationGSS", b"R\0\0\0\x08\0\0\0\x07");
    check(
        B,
        "AuthenticationGSSContinue xff",
        b"R\0\0\0\x09\0\0\0\x08\xff",
    );
    check(B, "AuthenticationSSPI", b"R\0\0\0\x08\0\0\0\x09");
    check(
        B,
        r#"AuthenticationSASL ["A-PLUS", "A"]"#,
        b"R\0\0\0\x12\0\0\0\x0aA-PLUS\0A\0\0",
    );
    check(
        B,
        r#"AuthenticationSASLContinue "r=x""#,
        b"R\0\0\0\x0b\0\0\0\x0br=x",
    );
    check(
        B,
        r#"AuthenticationSASLFinal "v=x""#,
        b"R\0\0\0\x0b\0\0\0\x0cv=x",
    );
    check(
        B,
        "BackendKeyData 258 x01020304",
        b"K\0\0\0\x0c\0\0\x01\x02\x01\x02\x03\x04",
    );
    check(B, "BindComplete", b"2\0\0\0\x04");
    check(B, "CloseComplete", b"3\0\0\0\x04");
    check(B, r#"CommandComplete "SELECT 1""#, b"C\0\0\0\x0dSELECT 1\0");
    check(B, r#"CopyData "ab""#, b"d\0\0\0\x06ab");
    check(B, "CopyDone", b"c\0\0\0\x04");
    check(
        B,
        "CopyInResponse 1 [1, 1]",
        b"G\0\0\0\x0b\x01\0\x02\0\x01\0\x01",
    );
    check(B, "CopyOutResponse 0 []", b"H\0\0\0\x07\0\0\0");
    check(B, "CopyBothResponse 0 [0]", b"W\0\0\0\x09\0\0\x01\0\0");
    check(
        B,
        r#"DataRow [x0000002a, null, "text"]"#,
        b"D\0\0\0\x1a\0\x03\0\0\0\x04\0\0\0\x2a\xff\xff\xff\xff\0\0\0\x04text",
    );
    check(B, "EmptyQueryResponse", b"I\0\0\0\x04");
    check(
        B,
        r#"ErrorResponse S=ERROR C=42601 M="a \"b\"""#,
        b"E\0\0\0\x1aSERROR\0C42601\0Ma \"b\"\0\0",
    );
    check(B, r#"NoticeResponse M="""#, b"N\0\0\0\x07M\0\0");
    check(
        B,
        "FunctionCallResponse null",
        b"V\0\0\0\x08\xff\xff\xff\xff",
    );
    check(
        B,
        r#"NegotiateProtocolVersion 196608 ["_pq_.x"]"#,
        b"v\0\0\0\x13\0\x03\0\0\0\0\0\x01_pq_.x\0",
    );
    check(B, "NoData", b"n\0\0\0\x04");
    check(
        B,
        r#"NotificationResponse 7 "c" "p""#,
        b"A\0\0\0\x0c\0\0\0\x07c\0p\0",
    );
    check(
        B,
        "ParameterDescription [int4]",
        b"t\0\0\0\x0a\0\x01\0\0\0\x17",
    );
    check(
        B,
        r#"ParameterStatus "TimeZone" "UTC""#,
        b"S\0\0\0\x11TimeZone\0UTC\0",
    );
    check(B, "ParseComplete", b"1\0\0\0\x04");
    check(B, "PortalSuspended", b"s\0\0\0\x04");
    check(B, "ReadyForQuery I", b"Z\0\0\0\x05I");
    check(
        B,
        r#"RowDescription [("id" 0 0 int4 4 -1 1)]"#,
        b"T\0\0\0\x1b\0\x01id\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\x01",
    );
    check(B, "SSLResponse N", b"N");
    check(B, "raw x00ff", b"\0\xff");
    check(B, "message D x0001", b"D\0\0\0\x06\0\x01");
    check(B, "framed D 3 x00", b"D\0\0\0\x03\0");
    check(B, "eof", b"");
}

/// What decodes encodes to the same bytes again, and where a layout does not fit, nothing is
/// lost either.
#[test]
fn decoding_loses_nothing() {
    let broken = [
        "message D x0002ffffffff",
        "message Q \"no NUL\"",
        "message 9 \"an unknown tag\"",
        "message Z x",
        "message R x00000063",
        "framed D 3 x0000",
        "framed D -5 x0000",
    ];
    for line in broken {
        for side in [Side::Frontend, Side::Backend] {
            let bytes = Message::parse(side, line).expect(line).to_bytes();
            let mut decoder = Decoder::started(side);
            decoder.feed(&bytes);
            let mut again = Vec::new();
            while let Some(message) = decoder.next_message() {
                again.extend(message.to_bytes());
            }
            again.extend(decoder.rest());
            assert_eq!(again, bytes, "{line} as sent by the {side:?}");
        }
    }
    let mut decoder = Decoder::started(Side::Backend);
    decoder.feed(&backend::line("message D x0002ffffffff").to_bytes());
    let message = decoder.next_message().expect("a whole message");
    assert_eq!(message.to_string(), "message D x0002ffffffff");
}

/// Every file in tests/dialogues can be read, and is what its own bytes are read back as.
#[test]
fn every_dialogue_is_read_back_from_its_bytes() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues");
    let dialogues = Dialogue::load_all(&directory).unwrap_or_else(|error| panic!("{error}"));
    assert!(!dialogues.is_empty());
    for dialogue in dialogues {
        let again = Dialogue::parse(&dialogue.name, &dialogue.to_string()).expect("written well");
        assert_eq!(again.to_string(), dialogue.to_string());
        read_back(&dialogue);
    }
}

/// Sends both sides' bytes through the decoders; what has captures has no bytes yet.
fn read_back(dialogue: &Dialogue) {
    let none = Bindings::default();
    let sides = [Side::Frontend, Side::Backend];
    let [Ok(frontend), Ok(backend)] = sides.map(|side| dialogue.bytes(side, &none)) else {
        return;
    };
    let mut chunks = Vec::new();
    for step in &dialogue.steps {
        let (side, lines) = match step {
            Step::Expect(lines) => (Side::Frontend, lines),
            Step::Deliver(lines) => (Side::Backend, lines),
            Step::Application(_) | Step::Outcome(_) => continue,
        };
        chunks.extend(lines.iter().map(|line| (side, line.message.to_bytes())));
    }
    let chunks = chunks.iter().map(|(side, bytes)| (*side, bytes.as_slice()));
    let text = if dialogue.starts_up() {
        transcribe(chunks)
    } else {
        transcribe_started(chunks)
    };
    let again = Dialogue::parse(&dialogue.name, &text).expect("a transcript can be read");
    assert_eq!(again.bytes(Side::Frontend, &none), Ok(frontend), "{text}");
    assert_eq!(again.bytes(Side::Backend, &none), Ok(backend), "{text}");
}

const LOOKUP: &str = r##"
# A lookup on a connection that has started up.
A fetch_one "select $1::int4" [42]
F Parse "k${serial}_0" "select $1::int4" [int4]     # declared
F Bind "" $whole [1] [x0000002a] [1]
F Sync
B ParseComplete
B BindComplete
B RowDescription [("int4" 0 0 int4 4 -1 1),
    ("text" 0 0 text -1 -1 1)]
B DataRow [x0000002a, "# ${serial} \"#\""]
B ReadyForQuery I
O row 42
F Terminate
F eof
B eof
"##;

/// What a driver would send for [`LOOKUP`].
fn lookup_request() -> Vec<u8> {
    [
        r#"Parse "k77_0" "select $1::int4" [23]"#,
        r#"Bind "" "k77_0" [1] [x"00 00 00 2a"] [1]"#,
        "Sync",
    ]
    .iter()
    .flat_map(|line| frontend::line(line).to_bytes())
    .collect()
}

#[test]
fn a_replay_gives_each_turn_and_binds_what_it_sees() {
    let dialogue = Dialogue::parse("lookup.txt", LOOKUP).expect("a dialogue");
    let mut replay = Replay::new(&dialogue, Mutation::None);
    let mut turns = Vec::new();
    while let Some(turn) = replay.next_turn().expect("everything is bound") {
        match turn {
            Turn::Application(directive) => turns.push(format!("A {directive}")),
            Turn::Outcome(directive) => turns.push(format!("O {directive}")),
            Turn::Frontend if replay.frontend_ends() => {
                let terminate = frontend::terminate().to_bytes();
                replay.frontend_sent(&terminate).expect("a match");
                turns.push("the frontend ends".to_owned());
            }
            Turn::Frontend => {
                replay.frontend_sent(&lookup_request()).expect("a match");
                turns.push("the frontend asks".to_owned());
            }
            Turn::Backend(arrivals) => turns.push(match arrivals.as_slice() {
                [Arrival::Bytes(bytes)] => transcribe_started([(Side::Backend, bytes.as_slice())]),
                other => format!("{other:?}"),
            }),
        }
    }
    let reply = r##"B ParseComplete
B BindComplete
B RowDescription [("int4" 0 0 int4 4 -1 1), ("text" 0 0 text -1 -1 1)]
B DataRow [x0000002a, "# 77 \"#\""]
B ReadyForQuery I
"##;
    assert_eq!(
        turns,
        [
            r#"A fetch_one "select $1::int4" [42]"#,
            "the frontend asks",
            reply,
            "O row 42",
            "the frontend ends",
            "[End]",
        ]
    );
    assert_eq!(replay.bindings().bytes("serial"), Some(&b"77"[..]));
    assert_eq!(replay.bindings().bytes("whole"), Some(&b"k77_0"[..]));
}

#[test]
fn a_mismatch_shows_what_was_expected_beside_what_came() {
    let dialogue = Dialogue::parse("lookup.txt", LOOKUP).expect("a dialogue");
    let mut replay = Replay::new(&dialogue, Mutation::None);
    while !matches!(replay.next_turn().expect("a turn"), Some(Turn::Frontend)) {}
    let sent: Vec<u8> = [
        r#"Parse "k77_0" "select $1::int4" [23]"#,
        r#"Bind "" "k77_0" [1] [x"00 00 00 2b"] [1]"#,
        "Sync",
        "Sync",
    ]
    .iter()
    .flat_map(|line| frontend::line(line).to_bytes())
    .chain(*b"Q\0")
    .collect();
    let mismatch = replay.frontend_sent(&sent).expect_err("it is not the same");
    assert_eq!(
        mismatch.to_string(),
        r#"lookup.txt:4: the frontend sent something else
    F Parse "k77_0" "select $1::int4" [int4]
  - F Bind "" $whole [1] [x0000002a] [1]
  + F Bind "" "k77_0" [1] [x0000002b] [1]
    F Sync
  + F Sync
  + F raw x5100"#
    );
}

#[test]
fn a_capture_is_the_same_wherever_it_stands() {
    let check = |expected: [&str; 2], received: [&str; 2], same: bool| {
        let mut bindings = Bindings::default();
        let all = expected.iter().zip(received).all(|(expected, received)| {
            matches(
                &frontend::line(expected),
                &frontend::line(received),
                &mut bindings,
            )
        });
        assert_eq!(all, same, "{expected:?} against {received:?}");
    };
    let describe = [r#"Describe S "a""#, r#"Close S "a""#];
    check(["Describe S $name", "Close S $name"], describe, true);
    check(
        ["Describe $kind $name", "Close $kind $name"],
        describe,
        true,
    );
    check(["Describe S $name", r#"Close S "a""#], describe, true);
    check(["Describe S $name", r#"Close S "${name}""#], describe, true);
    check(
        ["Describe S $name", r#"Close S "${name}b""#],
        describe,
        false,
    );
    let other = [r#"Describe S "a""#, r#"Close S "b""#];
    check(["Describe S $name", "Close S $name"], other, false);
    check(["Describe S $_", "Close S $_"], other, true);
    check([r#"Describe S "${x}a""#, r#"Close S "b${x}""#], other, true);
    let parts = [r#"Query "n,,n=,r=abc""#, r#"Query "c=biws,r=abcdef,p=xyz""#];
    check(
        [
            r#"Query "n,,n=,r=${r}""#,
            r#"Query "c=biws,r=${r}def,p=${p}""#,
        ],
        parts,
        true,
    );
    check(
        [
            r#"Query "n,,n=,r=${r}""#,
            r#"Query "c=biws,r=${r}df,p=${p}""#,
        ],
        parts,
        false,
    );
}

#[test]
fn an_error_names_the_file_and_the_line() {
    let check = |text: &str, message: &str| {
        let error = Dialogue::parse("d.txt", text).expect_err(text);
        assert_eq!(error.to_string(), message, "{text}");
    };
    check(
        "\n# c\nX Sync",
        "d.txt:3: a line starts with F, B, A or O, not \"X\"",
    );
    check(
        "F Sync\nF Nope",
        "d.txt:2: \"Nope\" is no message of the Frontend",
    );
    check("B Sync", "d.txt:1: \"Sync\" is no message of the Backend");
    check("F Query", "d.txt:1: Query needs 1 arguments");
    check(
        "F Sync 1",
        "d.txt:1: Sync takes no further argument such as 1",
    );
    check("F Query \"a", "d.txt:1: a closing quote is missing");
    check(
        "F Execute \"\" many",
        "d.txt:1: argument 2 of Execute: many is no number",
    );
    check(
        "F Execute \"\" 4294967296",
        "d.txt:1: argument 2 of Execute: 4294967296 is not within -2147483648 and 4294967295",
    );
    check(
        "F Query \"a\\x00\"",
        "d.txt:1: argument 1 of Query: a NUL ends a text; spell the message with `message`",
    );
    check(
        "F Query \"${a}${b}\"",
        "d.txt:1: nothing stands between ${a} and ${b}, so where one ends is unknown",
    );
    check(
        "B DataRow [x123]",
        "d.txt:1: argument 1 of DataRow: x123 needs quotes, or is no even number of digits after x",
    );
    check("B DataRow [x12", "d.txt:1: a ']' is missing at the end");
    check(
        "B RowDescription [(\"a\" 1)]",
        "d.txt:1: argument 1 of RowDescription: (\"a\" 1) is not (7 fields)",
    );
    check(
        "B ErrorResponse CODE=1",
        "d.txt:1: argument 1 of ErrorResponse: CODE is no key here",
    );
    check("O \"row\"", "d.txt:1: a line of A or O starts with a word");
}

#[test]
fn an_unbound_capture_of_the_backend_is_an_error() {
    let dialogue = Dialogue::parse("d.txt", "B CommandComplete $tag").expect("a dialogue");
    let error = Replay::new(&dialogue, Mutation::None)
        .next_turn()
        .expect_err("nothing is bound");
    assert_eq!(error.to_string(), "nothing is bound to $tag");
}

/// The bytes that arrive under a mutation, joined where the frontend sees no difference.
fn arrived(mutation: Mutation, steps: &[&[u8]]) -> (Vec<u8>, Vec<usize>, bool) {
    let mut delivery = Delivery::new(mutation);
    let (mut bytes, mut sizes, mut ended) = (Vec::new(), Vec::new(), false);
    for step in steps {
        for arrival in delivery.deliver(step) {
            assert!(!ended, "nothing arrives after the end");
            match arrival {
                Arrival::Bytes(part) => {
                    sizes.push(part.len());
                    bytes.extend(part);
                }
                Arrival::End => ended = true,
            }
        }
    }
    (bytes, sizes, ended)
}

#[test]
fn each_mutation_does_what_it_says() {
    let steps: [&[u8]; 2] = [b"abcd", b"efg"];
    let check = |mutation, bytes: &[u8], sizes: &[usize], ended| {
        assert_eq!(
            arrived(mutation, &steps),
            (bytes.to_vec(), sizes.to_vec(), ended),
            "{mutation:?}"
        );
    };
    check(Mutation::None, b"abcdefg", &[4, 3], false);
    check(Mutation::SplitAt(1), b"abcdefg", &[1, 3, 3], false);
    check(Mutation::SplitAt(4), b"abcdefg", &[4, 3], false);
    check(Mutation::SplitAt(6), b"abcdefg", &[4, 2, 1], false);
    check(Mutation::Pieces(1), b"abcdefg", &[1; 7], false);
    check(Mutation::Pieces(3), b"abcdefg", &[3, 1, 3], false);
    check(Mutation::CutAt(0), b"", &[], true);
    check(Mutation::CutAt(4), b"abcd", &[4], true);
    check(Mutation::CutAt(6), b"abcdef", &[4, 2], true);
    let flip = Mutation::Flip {
        offset: 5,
        mask: 0x20,
    };
    check(flip, b"abcdeFg", &[4, 3], false);

    let all: Vec<Mutation> = Mutation::all(7).collect();
    assert_eq!(all.len(), 2 + 6 + 7 + 7 * 9);
    for mutation in all {
        let (bytes, _, ended) = arrived(mutation, &steps);
        let same = bytes == b"abcdefg" && !ended;
        assert_eq!(same, mutation.keeps_the_bytes(), "{mutation:?}");
    }
}

/// A whole startup with TLS refused and SCRAM, recorded in awkward chunks.
#[test]
fn recorded_bytes_become_a_dialogue() {
    let text = r#"F SSLRequest
B SSLResponse N
F StartupMessage 3.0 user="me" database="app"
B AuthenticationSASL ["SCRAM-SHA-256"]
F SASLInitialResponse "SCRAM-SHA-256" "n,,n=,r=abc"
B AuthenticationSASLContinue "r=abcdef,s=c2FsdA==,i=4096"
F SASLResponse "c=biws,r=abcdef,p=cHJvb2Y="
B AuthenticationSASLFinal "v=c2ln"
B AuthenticationOk
B BackendKeyData 7 x00000001
B ReadyForQuery I
F Query "select ''"
B RowDescription [("?column?" 0 0 text -1 -1 0)]
B DataRow [""]
B CommandComplete "SELECT 1"
B ReadyForQuery I
F Terminate
"#;
    let dialogue = Dialogue::parse("recorded", text).expect("a dialogue");
    let mut chunks: Vec<(Side, Vec<u8>)> = Vec::new();
    for step in text.lines() {
        let (side, line) = step.split_once(' ').expect("a side");
        let (side, bytes) = match side {
            "F" => (Side::Frontend, frontend::line(line).to_bytes()),
            _ => (Side::Backend, backend::line(line).to_bytes()),
        };
        chunks.extend(bytes.chunks(7).map(|chunk| (side, chunk.to_vec())));
    }
    let recorded = transcribe(chunks.iter().map(|(side, bytes)| (*side, bytes.as_slice())));
    assert_eq!(recorded, text);
    assert_eq!(dialogue.to_string(), text);
    let none = Bindings::default();
    let sent: Vec<u8> = chunks
        .iter()
        .filter(|(side, _)| *side == Side::Backend)
        .flat_map(|(_, bytes)| bytes.clone())
        .collect();
    assert_eq!(dialogue.bytes(Side::Backend, &none), Ok(sent));
}
