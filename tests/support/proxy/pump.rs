//! The two pumps of a connection, one for each way.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::link::{Link, Severed};
use super::{Fault, Way};
use crate::support::address::Stream;

/// Passes bytes on between `client` and `server` until both ways have ended, or the
/// connection is severed.
pub(super) async fn run(link: &Link, client: Stream, server: Stream, buffer_size: Option<u32>) {
    let chunk = buffer_size.map_or(CHUNK, |size| size as usize);
    tokio::join!(
        Pump::new(link, Way::ToServer, &client, &server, chunk).run(),
        Pump::new(link, Way::ToClient, &server, &client, chunk).run(),
    );
    let severed = link.state().severed;
    match severed {
        None => {}
        Some(Severed::Reset) => {
            // Where there is no connection any more, none needs a reset.
            let _ = client.reset_on_close();
            let _ = server.reset_on_close();
        }
        Some(Severed::Cut) => {
            tokio::join!(finish(client), finish(server));
        }
    }
}

/// What is read at once without a size of buffers.
const CHUNK: usize = 64 * 1024;

/// What a way with a delay has under way at most.
const UNDER_WAY: usize = 4 * 1024 * 1024;

/// Ends a stream and reads what its peer still sends: a close with bytes unread would be a
/// reset.
async fn finish(mut stream: Stream) {
    // The peer may have gone already.
    let _ = stream.end_writing();
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

struct Pump<'a> {
    link: &'a Link,
    way: Way,
    source: &'a Stream,
    sink: &'a Stream,
    chunk: usize,
    queue: VecDeque<Item>,
    queued_bytes: usize,
    source_open: bool,
    half_closed: bool,
    next_write: Instant,
}

/// Something that is under way.
struct Item {
    due: Instant,
    what: What,
}

enum What {
    Bytes(Vec<u8>),
    End,
    Reset,
}

/// What a pump does next.
enum Turn {
    /// It is done.
    Over,
    /// It goes on at once.
    Again,
    /// It waits for whichever comes first; for a change of the link in any case.
    Wait {
        read: bool,
        write: bool,
        until: Option<Instant>,
    },
}

impl<'a> Pump<'a> {
    fn new(link: &'a Link, way: Way, source: &'a Stream, sink: &'a Stream, chunk: usize) -> Self {
        Self {
            link,
            way,
            source,
            sink,
            chunk,
            queue: VecDeque::new(),
            queued_bytes: 0,
            source_open: true,
            half_closed: false,
            next_write: Instant::now(),
        }
    }

    async fn run(mut self) {
        let mut changes = self.link.changes();
        loop {
            changes.mark_unchanged();
            match self.turn() {
                Turn::Over => return,
                // The other pumps of this thread get their turn too.
                Turn::Again => tokio::task::yield_now().await,
                Turn::Wait { read, write, until } => tokio::select! {
                    _ = changes.changed() => {}
                    _ = self.source.readable(), if read => self.read(),
                    _ = self.sink.writable(), if write => {}
                    () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
                },
            }
        }
    }

    fn turn(&mut self) -> Turn {
        let mut state = self.link.state();
        let sprung = state.traps_sprung;
        // Faults wait for the first packet: it may be a cancel request, which has its own.
        let in_packet = state.opening.is_in_packet();
        if !in_packet {
            state.spring(self.way);
        }
        if state.severed.is_some() || state.traps_sprung != sprung {
            let is_over = state.severed.is_some();
            drop(state);
            // The other pump has to know.
            self.link.change(|_| {});
            return if is_over { Turn::Over } else { Turn::Again };
        }
        if state.way(self.way).half_closed {
            drop(state);
            return self.discard();
        }
        if state.way(self.way).stalled {
            return Turn::Wait {
                read: false,
                write: false,
                until: None,
            };
        }
        let room = match state.way(self.way).pace.delay {
            Duration::ZERO => self.chunk,
            _ => UNDER_WAY,
        };
        let is_held = in_packet && self.way == Way::ToServer;
        let read = self.source_open && (is_held || self.queued_bytes < room);
        let wait = |write, until| Turn::Wait { read, write, until };
        if is_held || state.until_trap(self.way) == 0 {
            return wait(false, None);
        }
        let Some(item) = self.queue.front_mut() else {
            return if self.source_open {
                wait(false, None)
            } else {
                Turn::Over
            };
        };
        let due = item.due.max(self.next_write);
        if due > Instant::now() {
            return wait(false, Some(due));
        }
        match &mut item.what {
            What::End => {
                // The reader may have gone already.
                let _ = self.sink.end_writing();
                Turn::Over
            }
            What::Reset => {
                state.apply(self.way, Fault::Reset);
                drop(state);
                self.link.change(|_| {});
                Turn::Over
            }
            What::Bytes(bytes) => {
                let pace = state.way(self.way).pace;
                let most = state.until_trap(self.way);
                let most = usize::try_from(most).unwrap_or(usize::MAX);
                let size = bytes
                    .len()
                    .min(pace.write_size.unwrap_or(usize::MAX))
                    .min(most);
                // The state stays locked, so that nobody who has read these bytes finds them
                // uncounted.
                match self.sink.try_write(&bytes[..size]) {
                    Ok(written) => {
                        state.count(self.way, &bytes[..written]);
                        // Under the same lock: whoever sees the bytes finds the fault there.
                        state.spring(self.way);
                        drop(state);
                        bytes.drain(..written);
                        if bytes.is_empty() {
                            self.queue.pop_front();
                        }
                        self.queued_bytes -= written;
                        self.next_write = Instant::now() + pace.pause;
                        self.link.change(|_| {});
                        Turn::Again
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(true, None),
                    // The reader is gone; what it wrote before may still be under way to
                    // the other side.
                    Err(_) => Turn::Over,
                }
            }
        }
    }

    /// The reader has read the end: what the writer writes is lost.
    fn discard(&mut self) -> Turn {
        if !std::mem::replace(&mut self.half_closed, true) {
            // The reader may have gone already.
            let _ = self.sink.end_writing();
        }
        self.queue.clear();
        self.queued_bytes = 0;
        if self.source_open {
            Turn::Wait {
                read: true,
                write: false,
                until: None,
            }
        } else {
            Turn::Over
        }
    }

    fn read(&mut self) {
        let mut bytes = vec![0; self.chunk];
        let what = match self.source.try_read(&mut bytes) {
            Ok(0) => What::End,
            Ok(count) => {
                bytes.truncate(count);
                What::Bytes(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => What::Reset,
        };
        let mut state = self.link.state();
        let was_held = self.way == Way::ToServer && state.opening.is_in_packet();
        let kind = match (&what, self.way) {
            (What::Bytes(bytes), Way::ToServer) => state.opening.client_sent(bytes),
            (What::Bytes(bytes), Way::ToClient) => state.opening.server_sent(bytes),
            (_, Way::ToServer) => {
                state.opening.client_ended();
                None
            }
            (_, Way::ToClient) => None,
        };
        let is_news = kind.is_some();
        if let Some(kind) = kind {
            state.set_kind(kind);
        }
        let due = Instant::now() + state.way(self.way).pace.delay;
        drop(state);
        if was_held {
            // None of it has gone on yet, and it goes on together.
            self.queue.iter_mut().for_each(|item| item.due = due);
        }
        match &what {
            What::Bytes(bytes) => self.queued_bytes += bytes.len(),
            What::End | What::Reset => self.source_open = false,
        }
        // Bytes don't overtake each other when a delay has become shorter.
        let due = self.queue.back().map_or(due, |last| last.due.max(due));
        self.queue.push_back(Item { due, what });
        if is_news {
            self.link.tell_news();
        }
        self.link.change(|_| {});
    }
}
