//! The protocol core against recorded dialogues (`tests/dialogues/core/`), offline.
//!
//! Scenario D1: each dialogue is replayed split at each byte, one byte at a time, cut at each
//! offset, and with each bit of each byte changed. The first two must come to the same; the
//! others must do no harm.
//!
//! What the lines of a dialogue mean here:
//!
//! | line | does |
//! | --- | --- |
//! | `A startup user="u" password="p" allow_md5="yes"` | starts a session |
//! | `A query "sql"` | a simple query |
//! | `A unit [(prefix "begin"), (close "k1"), (prepare 0 "k1" "sql"), (execute 0 "k1" [x00]), (run 0 "sql")]` | one flight, Sync included |
//! | `A copy_in "sql"`, `copy_data "…"`, `copy_done`, `copy_fail "why"` | COPY FROM STDIN |
//! | `A open [(execute …)]`, `A close` | a flight that is left open, and its Sync |
//! | `A discard`, `A abandon` | nobody waits any more |
//! | `A pause 2` | the sink breaks after so many rows, once |
//! | `O row 0 x0000002a null` … | the next thing that the sink heard |

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::Path;

use kornak::error::ServerError;
use kornak::internals::buffer::{ReadBuffer, WriteBuffer};
use kornak::internals::protocol::{
    At, BindTemplate, CopyInReply, Core, Part, Progress, RowBytes, Sink, Unit,
};
use kornak::internals::startup::scram::{BindingPolicy, EndPoint, ScramLimits};
use kornak::internals::startup::{
    AuthenticationPolicy, Credentials, Methods, Startup, StartupProgress, Versions,
};
use kornak::internals::wire::TransactionStatus;
use kornak::internals::wire::backend::{
    CommandComplete, CopyResponse, DataRow, NotificationResponse, ParameterDescription,
    ParameterStatus, RowDescription,
};

mod support;

use support::dialogue::{
    Arrival, Dialogue, Directive, Mutation, Piece, Replay, Term, Turn, parse_hexadecimal,
};

#[test]
fn d1_dialogues_come_to_the_same_however_their_bytes_arrive() {
    for dialogue in dialogues() {
        let reference = play(&dialogue, Mutation::None);
        let total = reference.backend_bytes;
        let pieces = [1, 2, 3, 7].map(Mutation::Pieces);
        for mutation in pieces.into_iter().chain(Mutation::splits(total)) {
            let run = play(&dialogue, mutation);
            assert_eq!(
                run.events, reference.events,
                "{}: {mutation:?}",
                dialogue.name
            );
            assert_eq!(
                run.broken, reference.broken,
                "{}: {mutation:?}",
                dialogue.name
            );
        }
    }
}

#[test]
fn d1_dialogues_that_are_cut_end_in_an_error_and_never_in_success() {
    for dialogue in dialogues() {
        let reference = play(&dialogue, Mutation::None);
        for mutation in Mutation::cuts(reference.backend_bytes) {
            let run = play(&dialogue, mutation);
            assert!(
                reference.events.starts_with(&run.events),
                "{}: {mutation:?}",
                dialogue.name
            );
            assert!(
                run.broken.is_some(),
                "{}: {mutation:?}: the end went unnoticed",
                dialogue.name
            );
        }
    }
}

#[test]
fn d1_dialogues_with_a_changed_byte_do_no_harm() {
    for dialogue in dialogues() {
        let reference = play(&dialogue, Mutation::None);
        let readies = |events: &[String]| {
            events
                .iter()
                .filter(|event| event.starts_with("ready"))
                .count()
        };
        for mutation in Mutation::flips(reference.backend_bytes) {
            // `play` checks what is heard, and how much memory is taken.
            let run = play(&dialogue, mutation);
            assert!(
                readies(&run.events) <= readies(&reference.events),
                "{}: {mutation:?}",
                dialogue.name
            );
        }
    }
}

/// R17, R22 and the other scenarios that dialogues are named after: each file passes, and
/// the names say what they cover.
#[test]
fn r17_messages_out_of_order_break_the_connection() {
    let dialogues: Vec<_> = dialogues()
        .into_iter()
        .filter(|dialogue| dialogue.name.contains("r17_"))
        .collect();
    assert!(dialogues.len() >= 6, "{}", dialogues.len());
    for dialogue in dialogues {
        let run = play(&dialogue, Mutation::None);
        let broken = run
            .broken
            .unwrap_or_else(|| panic!("{} went unnoticed", dialogue.name));
        assert!(
            broken.contains("the server sent"),
            "{}: {broken}",
            dialogue.name
        );
    }
}

/// Between each two messages of every dialogue come a notice, a changed parameter and a
/// notification: nothing else changes.
#[test]
fn r22_asynchronous_messages_may_come_between_any_two() {
    let noise = [
        "B NoticeResponse S=NOTICE V=NOTICE C=00000 M=\"by the way\"",
        "B ParameterStatus \"TimeZone\" \"UTC\"",
        "B NotificationResponse 7 \"news\" \"\"",
    ];
    let mut tried = 0;
    for path in paths() {
        let text = std::fs::read_to_string(&path).expect("a readable file");
        // A breach of the protocol is one with or without noise, and is told differently.
        if text.contains("O broken") || text.contains("A startup") {
            continue;
        }
        let mut noisy = String::new();
        let mut heard = 0;
        for line in text.lines() {
            if line.starts_with("B ") {
                noisy.push_str(noise[heard % noise.len()]);
                noisy.push('\n');
                heard += 1;
            }
            noisy.push_str(line);
            noisy.push('\n');
        }
        let name = path.display().to_string();
        let plain = play(
            &Dialogue::parse(&name, &text).expect("a dialogue"),
            Mutation::None,
        );
        let noisy = Dialogue::parse(&format!("{name} with noise"), &noisy).expect("a dialogue");
        for mutation in [Mutation::None, Mutation::Pieces(1)] {
            let run = play_silently(&noisy, mutation);
            assert_eq!(run.noise, heard, "{name}");
            assert_eq!(run.events, plain.events, "{name}: {mutation:?}");
        }
        tried += 1;
    }
    assert!(tried >= 10, "{tried}");
}

/// What came of a dialogue.
struct Run {
    events: Vec<String>,
    /// Why the connection can't go on.
    broken: Option<String>,
    /// How many asynchronous messages were heard.
    noise: usize,
    backend_bytes: usize,
}

fn dialogues() -> Vec<Dialogue> {
    let dialogues: Vec<_> = paths()
        .iter()
        .map(|path| Dialogue::load(path).expect("a dialogue"))
        .collect();
    assert!(dialogues.len() >= 20, "{}", dialogues.len());
    dialogues
}

fn paths() -> Vec<std::path::PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues/core");
    let entries = std::fs::read_dir(directory).expect("the dialogues");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
}

fn play(dialogue: &Dialogue, mutation: Mutation) -> Run {
    Player::new(dialogue.starts_up()).play(dialogue, mutation, true)
}

/// Does not compare with the dialogue's `O` lines.
fn play_silently(dialogue: &Dialogue, mutation: Mutation) -> Run {
    Player::new(dialogue.starts_up()).play(dialogue, mutation, false)
}

/// The client: the core, its buffers, and what its sink has heard.
struct Player {
    startup: Option<Startup>,
    core: Core,
    input: ReadBuffer,
    out: WriteBuffer,
    heard: Heard,
    broken: Option<String>,
    arrived: usize,
}

impl Player {
    fn new(starts_up: bool) -> Self {
        let core = Core::new(TransactionStatus::Idle);
        let heard = Heard {
            is_started: !starts_up,
            ..Heard::default()
        };
        Self {
            startup: None,
            core,
            input: ReadBuffer::new(),
            out: WriteBuffer::default(),
            heard,
            broken: None,
            arrived: 0,
        }
    }

    fn play(mut self, dialogue: &Dialogue, mutation: Mutation, checks: bool) -> Run {
        let is_same = mutation.keeps_the_bytes();
        let mut replay = Replay::new(dialogue, mutation);
        let mut expected = VecDeque::new();
        while let Some(turn) = replay.next_turn().expect("nothing unbound") {
            match turn {
                Turn::Application(directive) => self.ask(directive),
                Turn::Frontend => {
                    let sent = self.out.pending().to_vec();
                    self.out.advance(sent.len());
                    if is_same {
                        replay
                            .frontend_sent(&sent)
                            .unwrap_or_else(|mismatch| panic!("{mismatch}"));
                    } else {
                        replay.skip_frontend();
                    }
                }
                Turn::Backend(arrivals) => arrivals.iter().for_each(|arrival| self.arrive(arrival)),
                Turn::Outcome(directive) => {
                    expected.push_back((directive.number, written(directive)))
                }
            }
        }
        if let Some(reason) = &self.broken {
            if reason != END {
                self.heard.events.push("broken".to_owned());
            }
        }
        if is_same && checks {
            let outcome: Vec<_> = expected.iter().map(|(_, text)| text.clone()).collect();
            assert_eq!(self.heard.events, outcome, "{}", dialogue.name);
        }
        self.heard.events.retain(|event| event != "broken");
        Run {
            events: self.heard.events,
            broken: self.broken,
            noise: self.heard.noise,
            backend_bytes: replay.backend_bytes(),
        }
    }

    fn arrive(&mut self, arrival: &Arrival) {
        match arrival {
            Arrival::End => {
                self.core.handle_disconnect();
                self.broken.get_or_insert_with(|| END.to_owned());
            }
            Arrival::Bytes(bytes) => {
                let mut rest = bytes.as_slice();
                while !rest.is_empty() && self.broken.is_none() {
                    let needed = self.handle();
                    let taken = self.input.fill(needed, |memory| {
                        let taken = rest.len().min(memory.capacity() - memory.len());
                        memory.extend_from_slice(&rest[..taken]);
                        taken
                    });
                    rest = &rest[taken..];
                    self.arrived += taken;
                    assert!(
                        self.input.capacity() <= 2 * self.arrived + 64 * 1024,
                        "memory out of proportion"
                    );
                }
                self.handle();
            }
        }
    }

    /// Lets the core handle what is there; returns how much it wants.
    fn handle(&mut self) -> usize {
        if self.broken.is_some() {
            return 0;
        }
        if let Some(startup) = &mut self.startup {
            match startup.handle_input(&mut self.input, &mut self.out, &mut self.heard) {
                Ok(StartupProgress::NeedInput { needed }) => return needed,
                Ok(StartupProgress::Working) => return self.handle(),
                Ok(StartupProgress::Ready(status)) => {
                    self.heard.events.push(format!("started {status:?}"));
                    self.startup = None;
                    self.heard.is_started = true;
                    self.core = Core::new(status);
                }
                Err(error) => return self.fail(&error),
            }
        }
        if !self.heard.is_started {
            return 0;
        }
        loop {
            match self.core.handle_input(&mut self.input, &mut self.heard) {
                Ok(Progress::NeedInput { needed }) => {
                    self.core.start_refusal(&mut self.out).expect("a message");
                    return needed;
                }
                Ok(Progress::Idle) => return 0,
                // The sink breaks where a dialogue says so, and at COPY; what has arrived
                // behind that is handled as if the caller went on at once.
                Ok(Progress::Paused) => {}
                Err(error) => return self.fail(&error),
            }
        }
    }

    fn fail(&mut self, error: &kornak::Error) -> usize {
        self.broken = Some(error.to_string());
        let heard = self.heard.events.len();
        assert!(
            self.core
                .handle_input(&mut self.input, &mut self.heard)
                .is_err()
                || self.startup.is_some()
        );
        assert_eq!(
            self.heard.events.len(),
            heard,
            "something was heard after the end"
        );
        0
    }

    fn ask(&mut self, directive: &Directive) {
        if self.broken.is_some() {
            return;
        }
        let arguments = &directive.arguments;
        let text = || string(&arguments[0]);
        let (core, out) = (&mut self.core, &mut self.out);
        let asked = match directive.name.as_str() {
            "startup" => return self.start(arguments),
            "query" => core.start_query(out, &text()).map(|_| ()),
            "unit" => unit(core.start_unit(out).expect("a unit"), &arguments[0]).map(|unit| {
                unit.finish();
            }),
            "open" => {
                let started = if core.flights() > 0 {
                    core.resume_unit(out)
                } else {
                    core.start_unit(out)
                };
                unit(started.expect("a unit"), &arguments[0]).map(|unit| {
                    unit.keep_open();
                })
            }
            "close" | "abandon_open" => core.resume_unit(out).map(|unit| {
                unit.finish();
            }),
            "copy_in" => core.start_unit(out).and_then(|mut unit| {
                unit.execute_unprepared(0, &text())?;
                unit.keep_open_for_copy();
                Ok(())
            }),
            "copy_data" => {
                // After a changed byte the server may not have asked for it.
                if core.is_copying_in() {
                    kornak::internals::wire::frontend::copy_data(out, &bytes(&arguments[0]))
                } else {
                    core.resume_unit(out).map(drop)
                }
            }
            "copy_done" => core.start_copy_done(out),
            "copy_fail" => core.start_copy_fail(out, &text()),
            "abandon" => core.abandon(out),
            "discard" => {
                core.discard_all();
                Ok(())
            }
            "pause" => {
                self.heard.patience = Some(string(&arguments[0]).parse().expect("a number"));
                Ok(())
            }
            other => panic!("line {}: nothing is called {other}", directive.number),
        };
        // After a changed byte the core may refuse what the dialogue goes on to ask.
        if asked.is_err() {
            self.broken = Some(END.to_owned());
        }
    }

    fn start(&mut self, arguments: &[Term]) {
        let option = |name: &str| {
            arguments.iter().find_map(|term| match term {
                Term::Pair(key, value) if key.as_literal() == Some(name.as_bytes()) => {
                    Some(string(value))
                }
                _ => None,
            })
        };
        let credentials = Credentials {
            user: option("user").unwrap_or_default(),
            password: option("password").map(String::into_bytes),
            nonce: [7; 18],
            given_keys: None,
            scram_keys: None,
        };
        let policy = AuthenticationPolicy {
            methods: Methods {
                none: true,
                password: true,
                md5: true,
                scram: true,
            },
            is_private: false,
            allow_cleartext: option("allow_cleartext").is_some(),
            allow_md5: option("allow_md5").is_some(),
            binding: BindingPolicy::Prefer,
            end_point: EndPoint::Plain,
            scram: ScramLimits::default(),
        };
        let versions = Versions {
            min: Versions::V3_0,
            max: Versions::V3_0,
        };
        let startup = Startup::start(&mut self.out, credentials, policy, versions, &[]);
        self.startup = Some(startup.expect("a startup message"));
    }
}

/// Writes the statements of a flight.
fn unit<'a>(mut unit: Unit<'a>, statements: &Term) -> kornak::Result<Unit<'a>> {
    for statement in list(statements) {
        let terms = list(statement);
        let text = |index: usize| string(&terms[index]);
        let number = |index: usize| text(index).parse().expect("a number");
        match text(0).as_str() {
            "prefix" => unit.prefix(0, &text(1))?,
            "close" => unit.close_statement(&text(1))?,
            "prepare" => unit.prepare(number(1), &text(2), &text(3), &[])?,
            "run" => unit.execute_unprepared(number(1), &text(2))?,
            "execute" => {
                let values: Vec<_> = list(&terms[3]).iter().map(bytes).collect();
                let formats = values.iter().map(|_| 1).take(1);
                let formats: Vec<i16> = formats.collect();
                let template = BindTemplate::new(
                    &text(2),
                    formats.into_iter(),
                    values.len(),
                    [1].into_iter(),
                )?;
                unit.execute(number(1), &template, |out| {
                    for value in &values {
                        out.put_i32(value.len().try_into().expect("a short value"));
                        out.put_slice(value);
                    }
                    Ok(())
                })?;
            }
            other => panic!("no statement is called {other}"),
        }
    }
    Ok(unit)
}

/// What the sink has heard, a line each.
#[derive(Default)]
struct Heard {
    events: Vec<String>,
    noise: usize,
    is_started: bool,
    patience: Option<u32>,
}

impl Heard {
    fn hear(&mut self, what: &str, at: At, rest: &str) {
        let part = match at.part {
            Part::Prefix(number) => format!("prefix{number}"),
            Part::Statement(number) => number.to_string(),
            Part::Sync => "sync".to_owned(),
        };
        let space = if rest.is_empty() { "" } else { " " };
        self.events.push(format!("{what} {part}{space}{rest}"));
    }
}

impl Sink for Heard {
    fn on_parse_complete(&mut self, at: At) {
        self.hear("parsed", at, "");
    }

    fn on_bind_complete(&mut self, at: At) {
        self.hear("bound", at, "");
    }

    fn on_parameter_description(&mut self, at: At, parameters: ParameterDescription<'_>) {
        let oids: Vec<_> = parameters.oids().map(|oid| oid.to_string()).collect();
        self.hear("parameters", at, &oids.join(" "));
    }

    fn on_row_description(&mut self, at: At, fields: Option<RowDescription<'_>>) {
        let names: Vec<_> = fields
            .iter()
            .flat_map(RowDescription::fields)
            .map(|field| shown(field.name))
            .collect();
        self.hear("columns", at, &names.join(" "));
    }

    fn on_row(&mut self, at: At, row: RowBytes<'_>) -> ControlFlow<()> {
        let values: Vec<_> = match DataRow::parse(row.body()) {
            Ok(row) => row
                .iter()
                .map(|value| {
                    value.map_or("malformed".into(), |value| {
                        value.map_or("null".into(), shown)
                    })
                })
                .collect(),
            Err(_) => vec!["malformed".to_owned()],
        };
        self.hear("row", at, &values.join(" "));
        match &mut self.patience {
            Some(0) => ControlFlow::Break(()),
            Some(patience) => {
                *patience -= 1;
                ControlFlow::Continue(())
            }
            None => ControlFlow::Continue(()),
        }
    }

    fn on_complete(&mut self, at: At, command: CommandComplete<'_>) {
        self.hear("complete", at, &shown(command.tag().as_bytes()));
    }

    fn on_empty_query(&mut self, at: At) {
        self.hear("empty", at, "");
    }

    fn on_suspended(&mut self, at: At) {
        self.hear("suspended", at, "");
    }

    fn on_error(&mut self, at: At, error: ServerError) {
        self.hear("error", at, error.sqlstate().code());
    }

    fn on_ready(&mut self, flight: u64, status: TransactionStatus) {
        self.events.push(format!("ready {flight} {status:?}"));
    }

    fn on_copy_in(&mut self, at: At, _: CopyResponse<'_>) -> CopyInReply {
        self.hear("copy_in", at, "");
        CopyInReply::Accept
    }

    fn on_copy_out(&mut self, at: At, _: CopyResponse<'_>) {
        self.hear("copy_out", at, "");
    }

    fn on_copy_data(&mut self, at: At, data: &[u8]) -> ControlFlow<()> {
        self.hear("data", at, &shown(data));
        ControlFlow::Continue(())
    }

    fn on_prefix_complete(&mut self, at: At) {
        self.hear("done", at, "");
    }

    fn on_notice(&mut self, _: ServerError) {
        self.noise += 1;
    }

    fn on_notification(&mut self, _: NotificationResponse<'_>) {
        self.noise += 1;
    }

    fn on_parameter_status(&mut self, _: ParameterStatus<'_>) {
        self.noise += 1;
    }
}

/// Stands for an end that is no breach of the protocol.
const END: &str = "the stream ended";

/// An `O` line as [`Heard`] writes it.
fn written(directive: &Directive) -> String {
    let arguments = directive.arguments.iter().map(|term| match term {
        Term::Bare(word) => word.clone(),
        other => shown(&bytes(other)),
    });
    std::iter::once(directive.name.clone())
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}

fn shown(bytes: &[u8]) -> String {
    let is_text = !bytes.is_empty() && bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
    match std::str::from_utf8(bytes) {
        Ok(text) if is_text => format!("\"{text}\""),
        _ => bytes
            .iter()
            .fold(String::from("x"), |hex, byte| format!("{hex}{byte:02x}")),
    }
}

fn list(term: &Term) -> &[Term] {
    match term {
        Term::List(terms) | Term::Tuple(terms) => terms,
        other => panic!("{other:?} is no list"),
    }
}

fn bytes(term: &Term) -> Vec<u8> {
    match term {
        Term::Bare(word) => match word.strip_prefix('x').and_then(parse_hexadecimal) {
            Some(bytes) => bytes,
            None => word.clone().into_bytes(),
        },
        Term::Quoted(pieces) => pieces
            .0
            .iter()
            .flat_map(|piece| match piece {
                Piece::Literal(bytes) => bytes.clone(),
                Piece::Capture(name) => panic!("nothing is bound to {name} here"),
            })
            .collect(),
        other => panic!("{other:?} is no text"),
    }
}

fn string(term: &Term) -> String {
    String::from_utf8(bytes(term)).expect("UTF-8")
}
