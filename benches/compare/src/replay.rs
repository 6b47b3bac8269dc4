//! A process that answers as a PostgreSQL server would, without a database behind it: each
//! statement of the workloads has its reply made beforehand.
//!
//! The bytes are those that a PostgreSQL 15 server sends; made here and not kept in files
//! because the rows are known by a rule. The client so
//! measured finds its reply whole in the socket, the same in each run.

mod scram;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

pub use self::scram::{PASSWORD, SCRAM_USER};
use crate::Result;
use crate::cost::COPIED;
use crate::work;

/// Answers clients on the Unix socket of `folder` and `port`, until the process is ended.
///
/// # Errors
///
/// If the socket can't be had.
pub fn serve(folder: &Path, port: u16) -> Result<()> {
    let listener = UnixListener::bind(folder.join(format!(".s.PGSQL.{port}")))?;
    let replies = Arc::new(replies());
    for socket in listener.incoming() {
        let socket = socket?;
        let replies = Arc::clone(&replies);
        std::thread::spawn(move || {
            // A client that goes away without a goodbye is no concern of this process.
            let _ = Session::new(socket, replies).run();
        });
    }
    Ok(())
}

/// What a server sends for one statement.
#[derive(Clone, Debug)]
pub struct Reply {
    /// ParameterDescription.
    pub parameters: Vec<u8>,
    /// RowDescription or NoData, with the formats 0 of a statement that isn't bound.
    pub description: Vec<u8>,
    /// What follows Execute.
    pub result: Produced,
}

/// What follows Execute.
#[derive(Clone, Debug)]
pub enum Produced {
    /// The same DataRows and CommandComplete each time.
    Fixed(Vec<u8>),
    /// One row of `world`, whose key is the parameter.
    World,
    /// The rows of W10 up to the parameter.
    Stream,
    /// CommandComplete of an insert.
    Insert,
    /// CopyInResponse.
    CopyIn,
    /// CopyOutResponse, the rows of W9, CopyDone and CommandComplete.
    CopyOut(Vec<u8>),
}

const BOOL: u32 = 16;
const BYTEA: u32 = 17;
const CHAR: u32 = 18;
const NAME: u32 = 19;
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;
const TEXT: u32 = 25;
const OID: u32 = 26;
const FLOAT8: u32 = 701;
const TIMESTAMPTZ: u32 = 1184;
const INT4_ARRAY: u32 = 1007;

/// The columns of W9.
const EVENT_COLUMNS: [(&str, u32); 3] = [("id", INT4), ("name", TEXT), ("moment", TIMESTAMPTZ)];

/// The replies to all statements of the workloads, by their text.
pub fn replies() -> HashMap<&'static str, Reply> {
    HashMap::from([
        (
            work::SELECT_ONE,
            Reply::new(
                &[],
                &[("?column?", INT4)],
                Produced::Fixed(rows([vec![Some(1i32.to_be_bytes().to_vec())]])),
            ),
        ),
        (
            work::LOOKUP,
            Reply::new(
                &[INT4],
                &[("id", INT4), ("random_number", INT4)],
                Produced::World,
            ),
        ),
        (
            work::WIDE,
            Reply::new(
                &[],
                &[
                    ("typname", NAME),
                    ("typnamespace", OID),
                    ("typowner", OID),
                    ("typlen", INT2),
                    ("typbyval", BOOL),
                    ("typcategory", CHAR),
                    ("typispreferred", BOOL),
                    ("typisdefined", BOOL),
                    ("typdelim", CHAR),
                    ("typrelid", OID),
                    ("typelem", OID),
                    ("typarray", OID),
                ],
                Produced::Fixed(rows((1..=work::WIDE_ROWS as u32).map(wide))),
            ),
        ),
        (
            work::INTEGERS,
            Reply::new(
                &[],
                &[("n", INT4)],
                Produced::Fixed(rows(
                    (1..=work::INTEGER_ROWS as i32).map(|n| vec![Some(n.to_be_bytes().to_vec())]),
                )),
            ),
        ),
        (
            work::BLOBS_SQL,
            Reply::new(
                &[],
                &[("body", BYTEA)],
                Produced::Fixed(rows((0..work::BLOBS).map(|_| vec![Some(work::blob())]))),
            ),
        ),
        (
            work::ARRAYS_SQL,
            Reply::new(
                &[],
                &[("body", INT4_ARRAY)],
                Produced::Fixed(rows(
                    (1..=work::ARRAYS as i32).map(|id| vec![Some(array(id))]),
                )),
            ),
        ),
        (
            work::INSERT,
            Reply::new(&[INT8, TEXT, FLOAT8], &[], Produced::Insert),
        ),
        (
            work::COPY_TYPES,
            Reply::new(&[], &EVENT_COLUMNS, Produced::Fixed(rows([]))),
        ),
        (work::COPY_IN, Reply::new(&[], &[], Produced::CopyIn)),
        (
            work::EVENTS,
            Reply::new(&[], &EVENT_COLUMNS, Produced::Fixed(rows([]))),
        ),
        (
            work::COPY_OUT,
            Reply::new(&[], &[], Produced::CopyOut(copied_out())),
        ),
        (
            work::STREAM,
            Reply::new(
                &[INT8],
                &[("id", INT8), ("name", TEXT), ("value", FLOAT8)],
                Produced::Stream,
            ),
        ),
    ])
}

impl Reply {
    fn new(parameters: &[u32], columns: &[(&str, u32)], result: Produced) -> Self {
        let mut parameter_bytes = Vec::new();
        message(&mut parameter_bytes, b't', |out| {
            out.extend_from_slice(&(parameters.len() as u16).to_be_bytes());
            for oid in parameters {
                out.extend_from_slice(&oid.to_be_bytes());
            }
        });
        let mut description = Vec::new();
        if columns.is_empty() {
            message(&mut description, b'n', |_| {});
        } else {
            message(&mut description, b'T', |out| {
                out.extend_from_slice(&(columns.len() as u16).to_be_bytes());
                for (name, oid) in columns {
                    out.extend_from_slice(name.as_bytes());
                    // No table and no column of one; the type's modifier is -1.
                    out.extend_from_slice(&[0; 7]);
                    out.extend_from_slice(&oid.to_be_bytes());
                    out.extend_from_slice(&size_of(*oid).to_be_bytes());
                    out.extend_from_slice(&(-1i32).to_be_bytes());
                    out.extend_from_slice(&[0, 0]);
                }
            });
        }
        Self {
            parameters: parameter_bytes,
            description,
            result,
        }
    }
}

/// `pg_type.typlen`.
fn size_of(oid: u32) -> i16 {
    match oid {
        BOOL | CHAR => 1,
        INT2 => 2,
        INT4 | OID => 4,
        NAME => 64,
        INT8 | FLOAT8 | TIMESTAMPTZ => 8,
        _ => -1,
    }
}

type Row = Vec<Option<Vec<u8>>>;

fn wide(number: u32) -> Row {
    let row = work::wide(number);
    vec![
        Some(row.typname.into_bytes()),
        Some(row.typnamespace.to_be_bytes().to_vec()),
        Some(row.typowner.to_be_bytes().to_vec()),
        Some(row.typlen.to_be_bytes().to_vec()),
        Some(vec![u8::from(row.typbyval)]),
        Some(row.typcategory.to_be_bytes().to_vec()),
        Some(vec![u8::from(row.typispreferred)]),
        Some(vec![u8::from(row.typisdefined)]),
        Some(row.typdelim.to_be_bytes().to_vec()),
        Some(row.typrelid.to_be_bytes().to_vec()),
        Some(row.typelem.to_be_bytes().to_vec()),
        Some(row.typarray.to_be_bytes().to_vec()),
    ]
}

fn triple(id: i64) -> Row {
    let (id, name, value) = work::triple(id);
    vec![
        Some(id.to_be_bytes().to_vec()),
        Some(name.into_bytes()),
        Some(value.to_be_bytes().to_vec()),
    ]
}

/// What follows Execute of a COPY out (the server's `copyto.c`): one CopyData for each row, the
/// header in the first one, the end in one of its own.
fn copied_out() -> Vec<u8> {
    let mut out = Vec::new();
    message(&mut out, b'H', |out| {
        out.extend_from_slice(&[1, 0, 3, 0, 1, 0, 1, 0, 1]);
    });
    for id in 1..=COPIED as i32 {
        let event = work::event(id);
        message(&mut out, b'd', |out| {
            if id == 1 {
                out.extend_from_slice(COPY_SIGNATURE);
                out.extend_from_slice(&[0; 8]);
            }
            out.extend_from_slice(&[0, 3]);
            for value in [
                &event.id.to_be_bytes()[..],
                event.name.as_bytes(),
                &event.moment_us.to_be_bytes(),
            ] {
                out.extend_from_slice(&(value.len() as u32).to_be_bytes());
                out.extend_from_slice(value);
            }
        });
    }
    message(&mut out, b'd', |out| out.extend_from_slice(&[0xff, 0xff]));
    message(&mut out, b'c', |_| {});
    complete(&mut out, &format!("COPY {COPIED}"));
    out
}

/// What a COPY in binary begins with.
const COPY_SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// `array_send` (the server's `arrayfuncs.c`): one dimension, no NULL.
fn array(id: i32) -> Vec<u8> {
    let elements = work::array(id);
    let mut out = Vec::new();
    for word in [1, 0, INT4, elements.len() as u32, 1] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    for element in elements {
        out.extend_from_slice(&4u32.to_be_bytes());
        out.extend_from_slice(&element.to_be_bytes());
    }
    out
}

/// DataRows, and the CommandComplete of a SELECT.
fn rows(rows: impl IntoIterator<Item = Row>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut count = 0;
    for row in rows {
        count += 1;
        message(&mut out, b'D', |out| {
            out.extend_from_slice(&(row.len() as u16).to_be_bytes());
            for value in &row {
                match value {
                    Some(value) => {
                        out.extend_from_slice(&(value.len() as u32).to_be_bytes());
                        out.extend_from_slice(value);
                    }
                    None => out.extend_from_slice(&(-1i32).to_be_bytes()),
                }
            }
        });
    }
    complete(&mut out, &format!("SELECT {count}"));
    out
}

fn complete(out: &mut Vec<u8>, tag: &str) {
    message(out, b'C', |out| {
        out.extend_from_slice(tag.as_bytes());
        out.push(0);
    });
}

fn message(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// The statement that a client has prepared under a name.
type Statement = Option<&'static str>;

/// One client.
struct Session {
    socket: UnixStream,
    replies: Arc<HashMap<&'static str, Reply>>,
    statements: HashMap<Vec<u8>, Statement>,
    bound: Statement,
    parameter: Vec<u8>,
    copying: bool,
    /// The copy was begun by a simple query, which has no Sync behind it.
    simple: bool,
    copied: u64,
    streams: HashMap<i64, Vec<u8>>,
    in_transaction: bool,
    output: Vec<u8>,
}

impl Session {
    fn new(socket: UnixStream, replies: Arc<HashMap<&'static str, Reply>>) -> Self {
        Self {
            socket,
            replies,
            statements: HashMap::new(),
            bound: None,
            parameter: Vec::new(),
            copying: false,
            simple: false,
            copied: 0,
            streams: HashMap::new(),
            in_transaction: false,
            output: Vec::new(),
        }
    }

    fn run(mut self) -> Result<()> {
        let mut input = Vec::new();
        self.startup(&mut input)?;
        loop {
            let mut at = 0;
            while let Some((header, rest)) = input[at..].split_first_chunk::<5>() {
                let [tag, length @ ..] = *header;
                let length = u32::from_be_bytes(length) as usize - 4;
                let Some(body) = rest.get(..length) else {
                    break;
                };
                if tag == b'X' {
                    return Ok(());
                }
                self.answer(tag, body)?;
                at += 5 + length;
            }
            input.drain(..at);
            if !self.read(&mut input)? {
                return Ok(());
            }
        }
    }

    fn startup(&mut self, input: &mut Vec<u8>) -> Result<()> {
        let mut is_scram;
        loop {
            while input.len() < 8 {
                if !self.read(input)? {
                    return Ok(());
                }
            }
            let length = u32::from_be_bytes([input[0], input[1], input[2], input[3]]) as usize;
            let code = u32::from_be_bytes([input[4], input[5], input[6], input[7]]);
            while input.len() < length {
                if !self.read(input)? {
                    return Ok(());
                }
            }
            let name = [b"user\0", SCRAM_USER.as_bytes(), b"\0"].concat();
            is_scram = input[..length].windows(name.len()).any(|part| part == name);
            input.drain(..length);
            // SSLRequest and GSSENCRequest: no.
            if matches!(code, 80_877_103 | 80_877_104) {
                self.socket.write_all(b"N")?;
                continue;
            }
            if code & 0xffff != 0 {
                message(&mut self.output, b'v', |out| out.extend_from_slice(&[0; 8]));
            }
            break;
        }
        if is_scram {
            self.authenticate(input)?;
        }
        message(&mut self.output, b'R', |out| out.extend_from_slice(&[0; 4]));
        for (name, value) in [
            ("client_encoding", "UTF8"),
            ("DateStyle", "ISO, MDY"),
            ("integer_datetimes", "on"),
            ("server_encoding", "UTF8"),
            ("server_version", "15.0"),
            ("standard_conforming_strings", "on"),
            ("TimeZone", "UTC"),
        ] {
            message(&mut self.output, b'S', |out| {
                out.extend_from_slice(name.as_bytes());
                out.push(0);
                out.extend_from_slice(value.as_bytes());
                out.push(0);
            });
        }
        message(&mut self.output, b'K', |out| {
            out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 2]);
        });
        self.ready();
        Ok(())
    }

    /// Reads more. What there is to say to all that had come before is said first, at once: a
    /// server says it at each Sync, and how often the client then has to read is for the
    /// scheduler to say, and another time in each run.
    fn read(&mut self, input: &mut Vec<u8>) -> Result<bool> {
        self.flush()?;
        let mut chunk = [0; 64 * 1024];
        let count = self.socket.read(&mut chunk)?;
        input.extend_from_slice(&chunk[..count]);
        Ok(count > 0)
    }

    fn answer(&mut self, tag: u8, body: &[u8]) -> Result<()> {
        match tag {
            b'P' => {
                let (name, rest) = string(body);
                let (sql, _) = string(rest);
                let text = plain(sql);
                let known = self.replies.keys().find(|key| **key == text);
                let text = text.to_lowercase();
                let is_command = text.starts_with("begin") || text.starts_with("commit");
                if known.is_none() && !is_command {
                    return Err(format!("no reply was made for {text:?}").into());
                }
                if is_command {
                    self.in_transaction = text.starts_with("begin");
                }
                self.statements.insert(name.to_vec(), known.copied());
                message(&mut self.output, b'1', |_| {});
            }
            b'D' => {
                let (name, _) = string(&body[1..]);
                let statement = self.statements.get(name).copied().flatten();
                let reply = statement.and_then(|sql| self.replies.get(sql));
                match (reply, body[0]) {
                    (Some(reply), b'S') => {
                        self.output.extend_from_slice(&reply.parameters);
                        self.output.extend_from_slice(&reply.description);
                    }
                    _ => message(&mut self.output, b'n', |_| {}),
                }
            }
            b'B' => {
                let (_, rest) = string(body);
                let (name, rest) = string(rest);
                self.bound = self.statements.get(name).copied().flatten();
                if matches!(
                    self.bound.map(|sql| &self.replies[sql].result),
                    Some(Produced::World | Produced::Stream)
                ) {
                    first_parameter(rest, &mut self.parameter);
                }
                message(&mut self.output, b'2', |_| {});
            }
            b'E' => self.execute(),
            b'C' => message(&mut self.output, b'3', |_| {}),
            // While rows are copied in, both are passed over (manual, "COPY Operations").
            b'S' | b'H' if self.copying => {}
            b'S' => self.ready(),
            b'H' => {}
            b'Q' => {
                let (sql, _) = string(body);
                let text = plain(sql);
                if text == work::COPY_IN {
                    self.bound = Some(work::COPY_IN);
                    self.simple = true;
                    self.execute();
                    return Ok(());
                }
                if text == work::COPY_OUT {
                    self.bound = Some(work::COPY_OUT);
                    self.execute();
                    self.ready();
                    return Ok(());
                }
                self.in_transaction = text.to_lowercase().contains("begin")
                    || text.to_lowercase().contains("start transaction");
                complete(
                    &mut self.output,
                    if self.in_transaction {
                        "BEGIN"
                    } else {
                        "COMMIT"
                    },
                );
                self.ready();
            }
            b'd' => self.copied += copied_rows(body),
            b'c' => {
                let copied = std::mem::take(&mut self.copied);
                complete(&mut self.output, &format!("COPY {copied}"));
                self.copying = false;
                if std::mem::take(&mut self.simple) {
                    self.ready();
                }
            }
            other => return Err(format!("a message of type {other} is not understood").into()),
        }
        Ok(())
    }

    fn execute(&mut self) {
        let Some(sql) = self.bound else {
            complete(
                &mut self.output,
                if self.in_transaction {
                    "BEGIN"
                } else {
                    "COMMIT"
                },
            );
            return;
        };
        match &self.replies[sql].result {
            Produced::Fixed(bytes) => self.output.extend_from_slice(bytes),
            Produced::World => {
                let id = self.parameter.as_slice().try_into().unwrap_or_default();
                let world = work::world(i32::from_be_bytes(id));
                let row = [world.id, world.random_number];
                let row = row.map(|value| Some(value.to_be_bytes().to_vec()));
                self.output.extend_from_slice(&rows([row.to_vec()]));
            }
            Produced::Stream => {
                let count =
                    i64::from_be_bytes(self.parameter.as_slice().try_into().unwrap_or_default());
                let made = self
                    .streams
                    .entry(count)
                    .or_insert_with(|| rows((1..=count).map(triple)));
                self.output.extend_from_slice(made);
            }
            Produced::CopyOut(bytes) => self.output.extend_from_slice(bytes),
            Produced::Insert => complete(&mut self.output, "INSERT 0 1"),
            Produced::CopyIn => {
                self.copying = true;
                message(&mut self.output, b'G', |out| {
                    out.extend_from_slice(&[1, 0, 3, 0, 1, 0, 1, 0, 1]);
                });
            }
        }
    }

    fn ready(&mut self) {
        let status = if self.in_transaction { b'T' } else { b'I' };
        message(&mut self.output, b'Z', |out| out.push(status));
    }

    fn flush(&mut self) -> Result<()> {
        self.socket.write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }
}

/// The statement that a text stands for: each driver quotes and words it in its own way, and
/// a comment at the end makes another one with the same reply.
fn plain(sql: &[u8]) -> String {
    let text = String::from_utf8_lossy(sql).replace('"', "");
    if text.starts_with("copy kornak_bench.event_sink") {
        return work::COPY_IN.to_owned();
    }
    if text.starts_with("copy (select") {
        return work::COPY_OUT.to_owned();
    }
    text.split(" /*").next().unwrap_or_default().to_owned()
}

/// A string and what is behind it.
fn string(body: &[u8]) -> (&[u8], &[u8]) {
    let end = body
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(body.len());
    (&body[..end], body.get(end + 1..).unwrap_or_default())
}

/// The first parameter of a Bind, whose body begins with the formats here.
fn first_parameter(body: &[u8], parameter: &mut Vec<u8>) {
    let formats = usize::from(u16::from_be_bytes([body[0], body[1]]));
    let value = &body[2 + 2 * formats + 2..];
    let length = u32::from_be_bytes([value[0], value[1], value[2], value[3]]) as usize;
    parameter.clear();
    parameter.extend_from_slice(&value[4..4 + length]);
}

/// How many rows of three columns the bytes of a binary COPY hold, if they are whole ones.
fn copied_rows(mut body: &[u8]) -> u64 {
    if body.starts_with(COPY_SIGNATURE) {
        body = &body[COPY_SIGNATURE.len() + 8..];
    }
    let mut rows = 0;
    while let [0, 3, rest @ ..] = body {
        body = rest;
        for _ in 0..3 {
            let Some((length, rest)) = body.split_first_chunk::<4>() else {
                return rows;
            };
            body = rest
                .get(u32::from_be_bytes(*length) as usize..)
                .unwrap_or_default();
        }
        rows += 1;
    }
    rows
}
