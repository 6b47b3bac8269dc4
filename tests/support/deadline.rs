//! Limits in time: no test may hang, however wrong the code under test is.

use std::future::Future;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
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

/// Ends the process if it still exists after its limit.
///
/// A timer of the runtime cannot fire while a future spins inside one poll, nor while
/// blocking code waits; this thread can. It is the last resort: the test harness prints
/// nothing more after it.
#[must_use = "the watch ends when this is dropped"]
#[derive(Debug)]
pub struct Watchdog {
    _alive: Sender<()>,
}

impl Watchdog {
    /// Starts the watch over what `what` names.
    pub fn start(limit: Duration, what: &str) -> Self {
        let (alive, watched) = channel::<()>();
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
