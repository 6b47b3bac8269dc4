//! One connection through the proxy, as a test sees and disturbs it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::opening::Opening;
use super::{CancelPolicy, Fault, Kind, Pace, Plan, Trap, Way};
use crate::support::deadline::{GENEROUS, within};
use crate::support::dialogue::{Side, transcribe};

/// A connection through the proxy. Clones are of the same connection.
///
/// What a method does has happened when it returns: no byte is passed on after a
/// [`cut`](Self::cut), and [`bytes`](Self::bytes) counts all that a peer can have read.
#[derive(Clone, Debug)]
pub struct Link {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<LinkState>,
    /// Changes with everything that the pumps have to know.
    changed: watch::Sender<()>,
    /// Of the proxy: changes when the kind of this connection is known, and with its end.
    news: watch::Sender<()>,
}

/// A part of what passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Who sent it.
    pub side: Side,
    /// What it is.
    pub bytes: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct LinkState {
    pub(super) kind: Kind,
    pub(super) opening: Opening,
    cancel: CancelPolicy,
    to_server: WayState,
    to_client: WayState,
    /// What ends the connection, once something does.
    pub(super) severed: Option<Severed>,
    open: bool,
    pub(super) traps_sprung: usize,
    record: Option<Vec<Passed>>,
}

#[derive(Debug, Default)]
pub(super) struct WayState {
    pub(super) passed: u64,
    pub(super) pace: Pace,
    pub(super) stalled: bool,
    pub(super) half_closed: bool,
    /// Faults, and after how many bytes they come.
    traps: Vec<(u64, Fault)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severed {
    Cut,
    Reset,
}

impl Link {
    pub(super) fn new(plan: &Plan, news: watch::Sender<()>) -> Self {
        let way = |way: Way, pace: Pace| WayState {
            pace,
            traps: plan
                .traps
                .iter()
                .filter(|trap| trap.way == way)
                .map(|trap| (trap.offset, trap.fault))
                .collect(),
            ..WayState::default()
        };
        let state = LinkState {
            kind: Kind::Unknown,
            opening: Opening::new(),
            cancel: plan.cancel,
            to_server: way(Way::ToServer, plan.to_server),
            to_client: way(Way::ToClient, plan.to_client),
            severed: None,
            open: true,
            traps_sprung: 0,
            record: plan.record.then(Vec::new),
        };
        Self {
            inner: Arc::new(Inner {
                state: Mutex::new(state),
                changed: watch::Sender::new(()),
                news,
            }),
        }
    }

    /// What the connection is for.
    pub fn kind(&self) -> Kind {
        self.state().kind.clone()
    }

    /// Whether it is a session as far as the proxy can tell: TLS hides what is inside.
    pub fn is_session(&self) -> bool {
        matches!(self.state().kind, Kind::Session(_) | Kind::Encrypted)
    }

    /// Whether it carries a CancelRequest.
    pub fn is_cancel(&self) -> bool {
        matches!(self.state().kind, Kind::Cancel { .. })
    }

    /// Whether it still exists, on either side.
    pub fn is_open(&self) -> bool {
        self.state().open
    }

    /// Waits until it does not exist any more.
    pub async fn closed(&self) {
        self.until("the connection to be closed", |state| !state.open)
            .await;
    }

    /// How many bytes have been passed on this way.
    pub fn bytes(&self, way: Way) -> u64 {
        self.state().way(way).passed
    }

    /// Waits until so many bytes in all have been passed on this way.
    pub async fn passed(&self, way: Way, bytes: u64) {
        self.until(&format!("{bytes} bytes to be passed on"), |state| {
            state.way(way).passed >= bytes
        })
        .await;
    }

    /// Lets a fault happen once `more` further bytes have been passed on this way, and before
    /// the next; with 0 it happens now.
    pub fn arm(&self, way: Way, more: u64, fault: Fault) {
        self.change(|state| {
            let offset = state.way(way).passed + more;
            state.way_mut(way).traps.push((offset, fault));
            state.spring(way);
        });
    }

    /// Waits until so many faults have happened by themselves, at their offset.
    pub async fn sprung(&self, count: usize) {
        self.until("a fault", |state| state.traps_sprung >= count)
            .await;
    }

    /// How many faults have happened by themselves, at their offset.
    pub fn sprung_so_far(&self) -> usize {
        self.state().traps_sprung
    }

    /// Ends the stream to both sides.
    pub fn cut(&self) {
        self.change(|state| state.apply(Way::ToServer, Fault::Cut));
    }

    /// Resets the connection to both sides.
    pub fn reset(&self) {
        self.change(|state| state.apply(Way::ToServer, Fault::Reset));
    }

    /// Ends the stream to the reader of this way.
    pub fn half_close(&self, way: Way) {
        self.change(|state| state.apply(way, Fault::HalfClose));
    }

    /// Passes nothing on this way until [`resume`](Self::resume).
    pub fn stall(&self, way: Way) {
        self.change(|state| state.apply(way, Fault::Stall));
    }

    /// Passes nothing on either way until [`resume`](Self::resume).
    pub fn black_hole(&self) {
        self.change(|state| state.apply(Way::ToServer, Fault::BlackHole));
    }

    /// Ends every stall.
    pub fn resume(&self) {
        self.change(|state| {
            state.to_server.stalled = false;
            state.to_client.stalled = false;
        });
    }

    /// Sets how this way passes on what it reads from now on.
    pub fn set_pace(&self, way: Way, pace: Pace) {
        self.change(|state| state.way_mut(way).pace = pace);
    }

    /// What has been passed on, if the plan said to keep it.
    pub fn recorded(&self) -> Vec<Passed> {
        self.state().record.clone().unwrap_or_default()
    }

    /// What has been passed on, as the text of a dialogue.
    pub fn transcript(&self) -> String {
        let recorded = self.recorded();
        transcribe(recorded.iter().map(|it| (it.side, it.bytes.as_slice())))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, LinkState> {
        // A test that panics elsewhere has its own message.
        let state = self.inner.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.inner.changed.subscribe()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut LinkState)) {
        change(&mut self.state());
        self.inner.changed.send_replace(());
    }

    pub(super) fn tell_news(&self) {
        self.inner.news.send_replace(());
    }

    pub(super) fn close(&self) {
        self.change(|state| state.open = false);
        self.tell_news();
    }

    async fn until(&self, what: &str, reached: impl Fn(&LinkState) -> bool) {
        let mut changes = self.changes();
        let wait = async {
            while !reached(&self.state()) {
                changes.changed().await.expect("this link has the sender");
            }
        };
        within(GENEROUS, &format!("waiting for {what}"), wait).await;
    }
}

impl LinkState {
    pub(super) fn way(&self, way: Way) -> &WayState {
        match way {
            Way::ToServer => &self.to_server,
            Way::ToClient => &self.to_client,
        }
    }

    pub(super) fn way_mut(&mut self, way: Way) -> &mut WayState {
        match way {
            Way::ToServer => &mut self.to_server,
            Way::ToClient => &mut self.to_client,
        }
    }

    /// Lets the faults happen whose offset is reached.
    pub(super) fn spring(&mut self, way: Way) {
        let passed = self.way(way).passed;
        let traps = std::mem::take(&mut self.way_mut(way).traps);
        for (offset, fault) in traps {
            if offset <= passed {
                self.traps_sprung += 1;
                self.apply(way, fault);
            } else {
                self.way_mut(way).traps.push((offset, fault));
            }
        }
    }

    /// How many bytes may be passed on this way before the next fault.
    pub(super) fn until_trap(&self, way: Way) -> u64 {
        let way = self.way(way);
        let next = way.traps.iter().map(|(offset, _)| *offset).min();
        next.map_or(u64::MAX, |offset| offset.saturating_sub(way.passed))
    }

    pub(super) fn apply(&mut self, way: Way, fault: Fault) {
        match fault {
            Fault::Cut => {
                self.severed.get_or_insert(Severed::Cut);
            }
            Fault::Reset => self.severed = Some(Severed::Reset),
            Fault::HalfClose => self.way_mut(way).half_closed = true,
            Fault::Stall => self.way_mut(way).stalled = true,
            Fault::BlackHole => {
                self.to_server.stalled = true;
                self.to_client.stalled = true;
            }
        }
    }

    /// The kind of the connection is known: a cancel request gets its own treatment.
    pub(super) fn set_kind(&mut self, kind: Kind) {
        if let Kind::Cancel { .. } = kind {
            self.to_server.traps.clear();
            self.to_client.traps.clear();
            match self.cancel {
                CancelPolicy::Forward => {}
                CancelPolicy::Delay(delay) => self.to_server.pace.delay = delay,
                CancelPolicy::BlackHole => self.apply(Way::ToServer, Fault::BlackHole),
                CancelPolicy::Reset => self.apply(Way::ToServer, Fault::Reset),
                CancelPolicy::Close => self.apply(Way::ToServer, Fault::Cut),
            }
        }
        self.kind = kind;
    }

    pub(super) fn count(&mut self, way: Way, bytes: &[u8]) {
        self.way_mut(way).passed += bytes.len() as u64;
        if let Some(record) = &mut self.record {
            let side = match way {
                Way::ToServer => Side::Frontend,
                Way::ToClient => Side::Backend,
            };
            record.push(Passed {
                side,
                bytes: bytes.to_vec(),
            });
        }
    }
}
