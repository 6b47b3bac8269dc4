//! The limit: precomputed bytes go out, the replies are framed and not read.

mod scram;
mod socket;

use std::io;
use std::sync::{Arc, Mutex};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

pub(crate) use self::scram::{salted, sign};
use self::socket::Socket;
use super::{Driver, PoolDriver, Target};
use crate::Result;
use crate::work::{self, Event, Seen, Wide, World};

/// A connection that only frames what it is sent.
pub struct Raw {
    wire: Wire,
}

/// The loop under both raw drivers: a socket, a read buffer, and requests made beforehand.
pub(super) struct Wire {
    socket: Socket,
    input: BytesMut,
    one: Vec<u8>,
    lookup: Vec<u8>,
    wide: Vec<u8>,
    integers: Vec<u8>,
    blobs: Vec<u8>,
    arrays: Vec<u8>,
    stream: Vec<u8>,
    scratch: Vec<u8>,
}

/// The statements, by the names that they are prepared under.
const STATEMENTS: [(&str, &str); 8] = [
    ("one", work::SELECT_ONE),
    ("lookup", work::LOOKUP),
    ("wide", work::WIDE),
    ("integers", work::INTEGERS),
    ("blobs", work::BLOBS_SQL),
    ("arrays", work::ARRAYS_SQL),
    ("stream", work::STREAM),
    ("insert", work::INSERT),
];

/// The OIDs of int4, int8, text and float8.
const INT4: u32 = 23;
const INT8: u32 = 20;
const TEXT: u32 = 25;
const FLOAT8: u32 = 701;

impl Wire {
    /// Connects and prepares every statement.
    pub(super) async fn connect(target: &Target) -> Result<Self> {
        let mut wire = Self::open(target).await?;
        wire.prepare(&STATEMENTS).await?;
        Ok(wire)
    }

    /// W11: nothing is prepared but what is asked.
    pub(super) async fn connect_and_ask(target: &Target, row: impl FnMut(u8, &[u8])) -> Result<()> {
        let mut wire = Self::open(target).await?;
        wire.prepare(&STATEMENTS[..1]).await?;
        wire.one(row).await?;
        wire.close().await
    }

    async fn open(target: &Target) -> Result<Self> {
        let socket = Socket::connect(target).await?;
        let mut wire = Self {
            socket,
            input: BytesMut::with_capacity(16 * 1024),
            one: execution("one", &[]),
            lookup: execution("lookup", &[&0i32.to_be_bytes()]),
            wide: execution("wide", &[]),
            integers: execution("integers", &[]),
            blobs: execution("blobs", &[]),
            arrays: execution("arrays", &[]),
            stream: execution("stream", &[&0i64.to_be_bytes()]),
            scratch: Vec::new(),
        };
        let mut startup = Vec::new();
        message(&mut startup, None, |out| {
            out.extend_from_slice(&(3u32 << 16).to_be_bytes());
            for text in ["user", &target.user, "database", &target.database, ""] {
                string(out, text);
            }
        });
        wire.socket.write_all(&startup).await?;
        wire.log_in(target).await?;
        Ok(wire)
    }

    /// Answers what the server asks for, until it is ready.
    async fn log_in(&mut self, target: &Target) -> Result<()> {
        let mut login = scram::Login::new(&target.password);
        loop {
            let mut answer = Ok(Vec::new());
            let ready = frames(&mut self.input, &mut |tag, body| {
                if tag == b'R' {
                    answer = login.answer(body);
                }
            })?;
            let answer = answer?;
            if ready > 0 {
                return Ok(());
            }
            if !answer.is_empty() {
                self.socket.write_all(&answer).await?;
            }
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> Result<()> {
        if self.socket.read_buf(&mut self.input).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(())
    }

    async fn prepare(&mut self, statements: &[(&str, &str)]) -> Result<()> {
        let mut prepare = Vec::new();
        for &(name, sql) in statements {
            let oids: &[u32] = match name {
                "lookup" => &[INT4],
                "stream" => &[INT8],
                "insert" => &[INT8, TEXT, FLOAT8],
                _ => &[],
            };
            message(&mut prepare, Some(b'P'), |out| {
                string(out, name);
                string(out, sql);
                out.extend_from_slice(&(oids.len() as u16).to_be_bytes());
                for oid in oids {
                    out.extend_from_slice(&oid.to_be_bytes());
                }
            });
        }
        sync(&mut prepare);
        self.socket.write_all(&prepare).await?;
        self.replies(1, |_, _| {}).await
    }

    pub(super) async fn close(mut self) -> Result<()> {
        let mut terminate = Vec::new();
        message(&mut terminate, Some(b'X'), |_| {});
        self.socket.write_all(&terminate).await?;
        Ok(())
    }

    pub(super) async fn one(&mut self, row: impl FnMut(u8, &[u8])) -> Result<()> {
        self.socket.write_all(&self.one).await?;
        self.replies(1, row).await
    }

    pub(super) async fn lookup(&mut self, id: i32, row: impl FnMut(u8, &[u8])) -> Result<()> {
        patch(&mut self.lookup, &id.to_be_bytes());
        self.socket.write_all(&self.lookup).await?;
        self.replies(1, row).await
    }

    pub(super) async fn wide(&mut self, row: impl FnMut(u8, &[u8])) -> Result<()> {
        self.socket.write_all(&self.wide).await?;
        self.replies(1, row).await
    }

    pub(super) async fn integers(&mut self, row: impl FnMut(u8, &[u8])) -> Result<()> {
        self.socket.write_all(&self.integers).await?;
        self.replies(1, row).await
    }

    pub(super) async fn blobs(&mut self, row: impl FnMut(u8, &[u8])) -> Result<()> {
        self.socket.write_all(&self.blobs).await?;
        self.replies(1, row).await
    }

    pub(super) async fn arrays(&mut self, row: impl FnMut(u8, &[u8])) -> Result<()> {
        self.socket.write_all(&self.arrays).await?;
        self.replies(1, row).await
    }

    pub(super) async fn stream(&mut self, rows: i64, row: impl FnMut(u8, &[u8])) -> Result<()> {
        patch(&mut self.stream, &rows.to_be_bytes());
        self.socket.write_all(&self.stream).await?;
        self.replies(1, row).await
    }

    pub(super) async fn pipeline(
        &mut self,
        ids: &[i32],
        each: bool,
        row: impl FnMut(u8, &[u8]),
    ) -> Result<()> {
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        for id in ids {
            patch(&mut self.lookup, &id.to_be_bytes());
            let whole = self.lookup.len();
            out.extend_from_slice(&self.lookup[..if each { whole } else { whole - SYNC }]);
        }
        if !each {
            sync(&mut out);
        }
        let written = self.socket.write_all(&out).await;
        self.scratch = out;
        written?;
        self.replies(if each { ids.len() } else { 1 }, row).await
    }

    pub(super) async fn inserts(&mut self, rows: &[(i64, String, f64)]) -> Result<u64> {
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        for (id, name, value) in rows {
            bind(
                &mut out,
                "insert",
                &[&id.to_be_bytes(), name.as_bytes(), &value.to_be_bytes()],
            );
        }
        sync(&mut out);
        let done = self.both_ways(&out).await;
        self.scratch = out;
        done
    }

    pub(super) async fn copy_in(&mut self, events: &[Event]) -> Result<u64> {
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        message(&mut out, Some(b'Q'), |out| string(out, work::COPY_IN));
        message(&mut out, Some(b'd'), |out| {
            out.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
        });
        // The server takes a message when it is whole: long ones would keep it waiting.
        for events in events.chunks(COPIED_AT_A_TIME) {
            message(&mut out, Some(b'd'), |out| {
                for event in events {
                    out.extend_from_slice(&3u16.to_be_bytes());
                    field(out, &event.id.to_be_bytes());
                    field(out, event.name.as_bytes());
                    field(out, &event.moment_us.to_be_bytes());
                }
            });
        }
        message(&mut out, Some(b'd'), |out| {
            out.extend_from_slice(&(-1i16).to_be_bytes());
        });
        message(&mut out, Some(b'c'), |_| {});
        let done = self.both_ways(&out).await;
        self.scratch = out;
        done
    }

    pub(super) async fn copy_out(&mut self, row: impl FnMut(u8, &[u8])) -> Result<()> {
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        message(&mut out, Some(b'Q'), |out| string(out, work::COPY_OUT));
        let written = self.socket.write_all(&out).await;
        self.scratch = out;
        written?;
        self.replies(1, row).await
    }

    /// Writes a long flight while its replies are read, and counts what completes.
    async fn both_ways(&mut self, out: &[u8]) -> Result<u64> {
        let mut done = 0;
        let mut count = |tag: u8, body: &[u8]| {
            if tag == b'C' {
                let text = std::str::from_utf8(&body[..body.len() - 1]).unwrap_or_default();
                done += text
                    .rsplit(' ')
                    .next()
                    .and_then(|rows| rows.parse::<u64>().ok())
                    .unwrap_or_default();
            }
        };
        let mut left = out;
        while !left.is_empty() {
            let Self { socket, input, .. } = self;
            let read = socket.write_and_read(&mut left, input).await?;
            if read {
                frames(input, &mut count)?;
            }
        }
        self.socket.flush().await?;
        self.replies(1, count).await?;
        Ok(done)
    }

    /// Reads until `ready` ReadyForQuery messages have come, and shows each other message.
    #[inline]
    async fn replies(&mut self, ready: usize, mut each: impl FnMut(u8, &[u8])) -> Result<()> {
        let mut seen = 0;
        loop {
            seen += frames(&mut self.input, &mut each)?;
            if seen == ready {
                return Ok(());
            }
            self.read_more().await?;
        }
    }
}

/// Passes over the whole messages in `input`, and returns how many were ReadyForQuery.
#[inline]
fn frames(input: &mut BytesMut, each: &mut impl FnMut(u8, &[u8])) -> Result<usize> {
    let mut ready = 0;
    let mut at = 0;
    while let Some((header, rest)) = input[at..].split_first_chunk::<5>() {
        let [tag, length @ ..] = *header;
        let length = u32::from_be_bytes(length) as usize - 4;
        let Some(body) = rest.get(..length) else {
            input.advance(at);
            input.reserve((length + 5).max(16 * 1024));
            return Ok(ready);
        };
        at += length + 5;
        match tag {
            b'Z' => ready += 1,
            b'E' => return Err(String::from_utf8_lossy(body).into_owned().into()),
            _ => each(tag, body),
        }
    }
    input.advance(at);
    input.reserve(16 * 1024);
    Ok(ready)
}

/// The rows of a CopyData: some 60 KiB.
const COPIED_AT_A_TIME: usize = 1_500;

/// How many bytes a Sync has.
const SYNC: usize = 5;

/// Bind, Execute and Sync, with binary parameters and results.
fn execution(statement: &str, parameters: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    bind(&mut out, statement, parameters);
    sync(&mut out);
    out
}

/// Where the last parameter of an execution ends, counted from its end: the count and the
/// format of the results, Execute and Sync.
const BEHIND_PARAMETERS: usize = 4 + 10 + SYNC;

/// Puts another value of the same length in place of the last parameter of an execution.
fn patch(execution: &mut [u8], value: &[u8]) {
    let end = execution.len() - BEHIND_PARAMETERS;
    execution[end - value.len()..end].copy_from_slice(value);
}

/// Bind and Execute.
fn bind(out: &mut Vec<u8>, statement: &str, parameters: &[&[u8]]) {
    message(out, Some(b'B'), |out| {
        string(out, "");
        string(out, statement);
        out.extend_from_slice(&[0, 1, 0, 1]);
        out.extend_from_slice(&(parameters.len() as u16).to_be_bytes());
        for parameter in parameters {
            field(out, parameter);
        }
        out.extend_from_slice(&[0, 1, 0, 1]);
    });
    message(out, Some(b'E'), |out| out.extend_from_slice(&[0; 5]));
}

fn sync(out: &mut Vec<u8>) {
    message(out, Some(b'S'), |_| {});
}

fn field(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(&(value.len() as u32).to_be_bytes());
    out.extend_from_slice(value);
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

fn message(out: &mut Vec<u8>, tag: Option<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    out.extend(tag);
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

impl Driver for Raw {
    const NAME: &'static str = "raw";
    const DECODES: bool = false;

    async fn connect(target: &Target) -> Result<Self> {
        let wire = Wire::connect(target).await?;
        Ok(Self { wire })
    }

    async fn close(self) -> Result<()> {
        self.wire.close().await
    }

    async fn connect_and_ask(&mut self, target: &Target) -> Result<i32> {
        Wire::connect_and_ask(target, |_, _| {}).await?;
        Ok(0)
    }

    async fn select_one(&mut self) -> Result<i32> {
        self.wire.one(|_, _| {}).await?;
        Ok(0)
    }

    async fn lookup(&mut self, id: i32) -> Result<World> {
        self.wire.lookup(id, |_, _| {}).await?;
        Ok(World {
            id,
            random_number: 0,
        })
    }

    async fn wide(&mut self) -> Result<Vec<Wide>> {
        self.wire.wide(|_, _| {}).await?;
        Ok(Vec::new())
    }

    async fn integers(&mut self) -> Result<Vec<i32>> {
        self.wire.integers(|_, _| {}).await?;
        Ok(Vec::new())
    }

    async fn blobs_borrowed(&mut self) -> Result<u64> {
        self.wire.blobs(|_, _| {}).await?;
        Ok(0)
    }

    async fn blobs_owned(&mut self) -> Result<Vec<Vec<u8>>> {
        self.wire.blobs(|_, _| {}).await?;
        Ok(Vec::new())
    }

    async fn arrays(&mut self) -> Result<Vec<Vec<i32>>> {
        self.wire.arrays(|_, _| {}).await?;
        Ok(Vec::new())
    }

    async fn pipeline_each(&mut self, ids: &[i32]) -> Result<i64> {
        self.wire.pipeline(ids, true, |_, _| {}).await?;
        Ok(0)
    }

    async fn pipeline_one(&mut self, ids: &[i32]) -> Result<i64> {
        self.wire.pipeline(ids, false, |_, _| {}).await?;
        Ok(0)
    }

    async fn far(&mut self, ids: &[i32]) -> Result<i64> {
        self.pipeline_one(ids).await
    }

    async fn inserts(&mut self, rows: &[(i64, String, f64)]) -> Result<u64> {
        self.wire.inserts(rows).await
    }

    async fn copy_in(&mut self, events: &[Event]) -> Result<u64> {
        self.wire.copy_in(events).await
    }

    async fn copy_out(&mut self) -> Result<Seen> {
        self.wire.copy_out(|_, _| {}).await?;
        Ok(Seen::default())
    }

    async fn stream(&mut self, rows: i64) -> Result<Seen> {
        self.wire.stream(rows, |_, _| {}).await?;
        Ok(Seen::default())
    }
}

/// Raw connections, each used by one task at a time.
#[derive(Clone)]
pub struct RawPool {
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Raw>>>,
}

impl PoolDriver for RawPool {
    const NAME: &'static str = "raw";

    async fn open(target: &Target, size: usize) -> Result<Self> {
        let mut idle = Vec::new();
        for _ in 0..size {
            idle.push(Raw::connect(target).await?);
        }
        Ok(Self {
            permits: Arc::new(Semaphore::new(size)),
            idle: Arc::new(Mutex::new(idle)),
        })
    }

    async fn lookup(&self, id: i32) -> Result<World> {
        let _permit = self.permits.acquire().await?;
        let taken = self.idle.lock().map_err(|_| "a task panicked")?.pop();
        let mut raw = taken.ok_or("more permits than connections")?;
        let world = raw.lookup(id).await;
        self.idle.lock().map_err(|_| "a task panicked")?.push(raw);
        world
    }
}
