//! Real conversations, recorded through the proxy: every message of a real server is known by
//! name, and what is written down is what was said.
//!
//! With `KORNAK_RECORD` set, the conversations are also written to `tests/dialogues/`.

use std::path::Path;

use support::address::Target;
use support::dialogue::{
    Bindings, Dialogue, Message, Side, frontend, transcribe, transcribe_started,
};
use support::proxy::{Link, Listen, Passed, Proxy};
use support::raw::{RawClient, RawError};
use support::server;
use xtask::server::{Role, Server};

mod support;

/// What a frontend sends: parts between which it waits for the server.
const CONVERSATIONS: &[(&str, &[&str])] = &[
    (
        "simple_query",
        &[
            r#"Query "select 1 as one; select 'a', null where false; create temp table t (a int); ;""#,
        ],
    ),
    ("simple_empty", &[r#"Query """#]),
    (
        "simple_error",
        &[r#"Query "select 1; select 1/0; select 2""#],
    ),
    (
        "transaction",
        &[
            r#"Query "begin""#,
            r#"Query "select nowhere""#,
            r#"Query "commit""#,
        ],
    ),
    (
        "extended_select",
        &[
            r#"Parse "k1_0" "select $1::int4 + 1 as next, $2::text as word" []
               Describe S "k1_0"
               Sync"#,
            r#"Bind "" "k1_0" [1] [x00000029, "word"] [1]
               Execute "" 0
               Sync"#,
            r#"Bind "" "k1_0" [1] [null, null] [1]
               Execute "" 0
               Sync"#,
            r#"Close S "k1_0"
               Sync"#,
        ],
    ),
    (
        "extended_cold",
        &[
            r#"Parse "k1_0" "select n, n * n from generate_series(1, $1) n" [int4]
             Describe S "k1_0"
             Bind "" "k1_0" [1] [x00000003] [1]
             Execute "" 0
             Sync"#,
        ],
    ),
    (
        "extended_without_rows",
        &[
            r#"Parse "" "set application_name = 'dialogue'" []
               Describe S ""
               Bind "" "" [] [] []
               Describe P ""
               Execute "" 0
               Sync"#,
            r#"Parse "" "" []
               Bind "" "" [] [] []
               Execute "" 0
               Sync"#,
        ],
    ),
    (
        "portal",
        &[
            r#"Query "begin""#,
            r#"Parse "" "select generate_series(1, 5)" []
             Bind "p" "" [] [] [1]
             Describe P "p"
             Execute "p" 2
             Sync"#,
            r#"Execute "p" 2
             Sync"#,
            r#"Execute "p" 2
             Close P "p"
             Sync"#,
            r#"Query "commit""#,
        ],
    ),
    (
        "pipeline_error",
        &[r#"Parse "" "select 1" []
             Bind "" "" [] [] [1]
             Execute "" 0
             Sync
             Parse "" "select 1 / $1" [int4]
             Bind "" "" [1] [x00000000] [1]
             Execute "" 0
             Parse "" "select 2" []
             Bind "" "" [] [] [1]
             Execute "" 0
             Sync
             Parse "" "select 3" []
             Bind "" "" [] [] [1]
             Execute "" 0
             Sync"#],
    ),
    (
        "copy_in",
        &[
            r#"Query "create temp table t (a int, b text)""#,
            r#"Query "copy t from stdin""#,
            r#"CopyData "1\tone\n2\ttwo\n"
               CopyData "3\t\\N\n"
               CopyDone"#,
            r#"Query "copy t from stdin""#,
            r#"CopyData "4\tfour\n"
               CopyFail "enough""#,
            r#"Query "copy t from stdin""#,
            r#"CopyData "five\n"
               CopyDone"#,
        ],
    ),
    (
        "copy_in_extended",
        &[
            r#"Query "create temp table t (a int)""#,
            r#"Parse "" "copy t from stdin (format binary)" []
               Bind "" "" [] [] []
               Execute "" 0
               Sync"#,
            r#"CopyData x"5047434f50590aff0d0a00 00000000 00000000"
               CopyData x"0001 00000004 0000002a"
               CopyData x"ffff"
               CopyDone
               Sync"#,
        ],
    ),
    (
        "copy_out",
        &[
            r#"Query "copy (select 1, 'one' union all select 2, null) to stdout""#,
            r#"Query "copy (select 1 / (3 - n) from generate_series(1, 4) n) to stdout""#,
        ],
    ),
    (
        "unasked",
        &[
            r#"Query "set timezone = 'Asia/Kolkata'""#,
            r#"Query "listen dialogue; notify dialogue, 'payload'""#,
            r#"Query "do $$begin raise notice 'told' using detail = 'd', hint = 'h'; end$$""#,
        ],
    ),
    // `abs(int4)` by its OID (src/include/catalog/pg_proc.dat), and one that isn't there.
    (
        "function_call",
        &[
            "FunctionCall 1397 [1] [xfffffff9] 1",
            "FunctionCall 1 [] [] 0",
        ],
    ),
];

#[test]
fn real_conversations_are_read_back() {
    for (name, parts) in CONVERSATIONS {
        let Recorded {
            client,
            link,
            _proxy,
        } = connect(Role::Trust, |_| {});
        let mut client = client.expect("it gets in");
        let startup = link.recorded().len();
        for part in *parts {
            let lines = part.lines().map(frontend::line);
            let bytes: Vec<u8> = lines.flat_map(|message| message.to_bytes()).collect();
            client.send(&frontend::raw(&bytes)).expect("it is open");
            wait_for_turn(&mut client, part.matches("Sync").count().max(1));
        }
        let said = &link.recorded()[startup..];
        let text = transcribe_started(chunks(said));
        check(name, said, &text);
    }
}

#[test]
fn real_startups_are_read_back() {
    let startups = [
        ("startup_trust", Role::Trust),
        ("startup_md5", Role::Md5),
        ("startup_cleartext", Role::Cleartext),
        ("startup_scram", Role::Scram),
    ];
    for (name, role) in startups {
        let recorded = connect(role, |_| {});
        check_startup(name, &recorded.link);
        recorded.client.expect("it gets in");
    }
    let recorded = connect(Role::Scram, |target| {
        target.password = Some("not it".to_owned());
    });
    check_startup("startup_wrong_password", &recorded.link);
    recorded.client.expect_err("the password is wrong");
    let recorded = connect(Role::Trust, |target| {
        "nowhere".clone_into(&mut target.database)
    });
    check_startup("startup_wrong_database", &recorded.link);
    recorded.client.expect_err("there is no such database");
}

/// A session through a recording proxy.
struct Recorded {
    client: Result<RawClient, RawError>,
    link: Link,
    _proxy: Proxy,
}

fn connect(role: Role, change: impl FnOnce(&mut Target)) -> Recorded {
    let mut target = server::role_target(role);
    change(&mut target);
    let proxy = Proxy::recording(Listen::Unix, target.address.clone());
    let client = RawClient::connect_with(&target.at(proxy.address()), &[]);
    Recorded {
        client,
        link: proxy.links()[0].clone(),
        _proxy: proxy,
    }
}

/// Reads until the server is ready so many times, or waits for rows of a COPY.
fn wait_for_turn(client: &mut RawClient, times: usize) {
    let mut ready = 0;
    while ready < times {
        match client.receive().as_ref().map(Message::name) {
            Ok("ReadyForQuery") => ready += 1,
            Ok("CopyInResponse") => return,
            Ok(_) => {}
            Err(RawError::Server { severity, .. }) if severity == "ERROR" => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// What was said must be in `text`, all of it and each message by its name.
fn check(name: &str, said: &[Passed], text: &str) {
    let dialogue = Dialogue::parse(name, text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    for side in [Side::Frontend, Side::Backend] {
        let own = said.iter().filter(|part| part.side == side);
        let bytes: Vec<u8> = own.flat_map(|part| part.bytes.clone()).collect();
        assert!(!bytes.is_empty(), "{name}: the {side:?} said nothing");
        let written = dialogue.bytes(side, &Bindings::default());
        assert_eq!(written, Ok(bytes), "{text}");
        for message in dialogue.messages(side) {
            assert!(
                !matches!(message.name(), "raw" | "message" | "framed"),
                "{name} has what no layout fits: {message}"
            );
        }
    }
    if std::env::var_os("KORNAK_RECORD").is_some() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues");
        let path = directory.join(format!("{name}.txt"));
        let major = Server::cluster_for_tests().major().expect("a cluster's");
        let text = format!("# Recorded from PostgreSQL {major}.\n{text}");
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

fn check_startup(name: &str, link: &Link) {
    let said = link.recorded();
    check(name, &said, &transcribe(chunks(&said)));
}

fn chunks(said: &[Passed]) -> impl Iterator<Item = (Side, &[u8])> {
    said.iter().map(|part| (part.side, part.bytes.as_slice()))
}
