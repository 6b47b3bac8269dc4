//! [`Timer`]: the one deadline of the operation under way.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// The deadline of an operation, and one boxed `Sleep` that is kept for all of them.
///
/// The sleep is never re-armed to a later time: when it fires before the deadline, because an
/// earlier operation armed it, it is armed anew then. So an operation that ends in time
/// touches the runtime's timers not at all or once.
#[derive(Debug, Default)]
pub(super) struct Timer {
    limit: Limit,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// How long an operation may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Without end.
    #[default]
    None,
    /// From the first wait on. The clock is read then, and not by operations that don't wait.
    After(Duration),
    /// Until a point in time.
    At(Instant),
}

impl Limit {
    /// A limit of `timeout`, where there is one.
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        timeout.map_or(Self::None, Self::After)
    }

    /// The same limit as a point in time.
    pub(crate) fn deadline(self) -> Option<Instant> {
        match self {
            Self::None => None,
            // A limit beyond what the clock can express is none.
            Self::After(timeout) => Instant::now().checked_add(timeout),
            Self::At(deadline) => Some(deadline),
        }
    }
}

impl Timer {
    /// An operation starts.
    #[inline]
    pub(super) fn set(&mut self, limit: Limit) {
        self.limit = limit;
    }

    /// A point in time once something has waited.
    pub(super) fn limit(&self) -> Limit {
        self.limit
    }

    /// Ready when the deadline has passed. To be polled when everything else is pending.
    pub(super) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = match self.limit {
            Limit::None => return Poll::Pending,
            Limit::At(deadline) => deadline,
            Limit::After(_) => {
                let Some(deadline) = self.limit.deadline() else {
                    self.limit = Limit::None;
                    return Poll::Pending;
                };
                self.limit = Limit::At(deadline);
                deadline
            }
        };
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() > deadline || sleep.is_elapsed() {
            sleep.as_mut().reset(deadline);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= deadline || Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    /// Whether the deadline has passed, by the clock: for loops that are always ready, in
    /// which the runtime lets no timer fire.
    pub(super) fn has_expired(&self) -> bool {
        matches!(self.limit, Limit::At(deadline) if Instant::now() >= deadline)
    }

    /// Turns a limit that counts from the first wait into a deadline now.
    pub(super) fn start(&mut self) {
        if let Some(deadline) = self.limit.deadline() {
            self.limit = Limit::At(deadline);
        }
    }
}
