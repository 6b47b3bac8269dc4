//! Limits in time: no test may hang, however wrong the code under test is.

use std::future::Future;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// How long one step of a test may take. It is generous: it only ends what hangs.
pub const GENEROUS: Duration = Duration::from_secs(30);

/// Runs `future` to its end.
///
/// # Panics
///
/// If it takes longer than `limit`; `what` says what hung.
pub async fn within<F: Future>(limit: Duration, what: &str, future: F) -> F::Output {
    match tokio::time::timeout(limit, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what} took longer than {limit:?}"),
    }
}

/// Runs what blocks in a thread of its own, so that the runtime of the test goes on.
///
/// # Panics
///
/// If it panics, or takes longer than [`GENEROUS`] twice.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = tokio::sync::oneshot::channel();
    let thread = thread::spawn(move || {
        // Who waits may have been dropped.
        let _ = done.send(work());
    });
    match within(GENEROUS * 2, "what blocks", result).await {
        Ok(result) => result,
        // The sender was dropped by a panic: it goes on here.
        Err(_) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("it ended without a result"),
        },
    }
}

/// Ends the process if it still exists after its limit.
///
/// A timer of the runtime cannot fire while a future spins inside one poll, nor while
/// blocking code waits; this thread can. It is the last resort: the test harness prints
/// nothing more after it.
#[must_use = "the watch ends when this is dropped"]
#[derive(Debug)]
pub struct Watchdog {
    _alive: SyncSender<()>,
}

impl Watchdog {
    /// Starts the watch over what `what` names.
    pub fn start(limit: Duration, what: &str) -> Self {
        let (alive, watched) = sync_channel::<()>(1);
        let what = what.to_owned();
        thread::spawn(move || {
            // Nothing is ever sent: the channel only closes when the guard is dropped.
            if let Err(RecvTimeoutError::Timeout) = watched.recv_timeout(limit) {
                eprintln!("watchdog: {what} took longer than {limit:?}");
                std::process::abort();
            }
        });
        Self { _alive: alive }
    }
}
