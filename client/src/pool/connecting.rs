//! [`Connecting`]: the task that makes one connection of a pool.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::options::{BoxError, Options};
use super::shared::{Member, Shared};
use super::turns::Turns;
use crate::connection::{Connection, is_final};
use crate::error::{Error, ErrorKind, Result, SqlState};

/// A connect under way. Dropped before its end, because its runtime has ended, it closes the
/// pool: nobody else would ever serve those who wait. A hook of the application's that
/// panics fails only those who wait now.
pub(super) struct Connecting {
    shared: Option<Arc<Shared>>,
}

/// How connecting went of late.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// Why the last connect failed, if it did.
    pub(super) last: Option<Arc<Error>>,
    /// How many failed one after the other, those that ran beside each other counted once.
    in_a_row: u32,
    /// When the next one may be tried.
    retry_at: Option<Instant>,
}

/// A connect that failed.
struct Failed {
    error: Error,
    /// Whether trying again can't help.
    is_permanent: bool,
}

impl Connecting {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Some(Arc::clone(shared)),
        }
    }

    pub(super) async fn run(mut self) {
        let Some(shared) = self.shared.clone() else {
            return;
        };
        loop {
            let attempt = async {
                pause(&shared).await;
                connect(&shared).await
            };
            match unless(attempt, shared.until_closed()).await {
                Some(Ok(member)) => {
                    self.shared = None;
                    *shared.failures() = Failures::default();
                    shared.connected(member);
                    return;
                }
                Some(Err(failed)) => {
                    if !connect_failed(&shared, failed) {
                        self.shared = None;
                        return;
                    }
                }
                // The pool is closed: nobody waits for this connection.
                None => {
                    self.shared = None;
                    shared.give_up_connect();
                    return;
                }
            }
        }
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        let Some(shared) = self.shared.take() else {
            return;
        };
        if std::thread::panicking() {
            let error = Error::usage("the application's code panicked when a connection was made");
            if connect_failed(&shared, Failed::for_good(error)) {
                shared.start_connects(1);
            }
        } else {
            drop(shared.close());
            shared.give_up_connect();
        }
    }
}

impl Failures {
    /// Another connect has failed.
    fn note(&mut self, error: Arc<Error>, options: &Options) {
        self.last = Some(error);
        let now = Instant::now();
        // Connects that ran beside the one that failed first say nothing new.
        if self.retry_at.is_none_or(|retry_at| now >= retry_at) {
            let (first, longest) = options.connect_backoff;
            let doublings = self.in_a_row.min(16);
            let pause = first.saturating_mul(1 << doublings).min(longest);
            self.in_a_row += 1;
            self.retry_at = now.checked_add(with_jitter(pause, PAUSE_JITTER));
        }
    }

    /// What failed was another server, or is mended: the next connect need not wait.
    pub(super) fn forgive(&mut self) {
        self.in_a_row = 0;
        self.retry_at = None;
    }
}

impl Failed {
    fn new(error: Error) -> Self {
        Self {
            is_permanent: is_final(&error) || error.kind() == ErrorKind::Usage,
            error,
        }
    }

    fn for_good(error: Error) -> Self {
        Self {
            error,
            is_permanent: true,
        }
    }

    /// What the application's hook says: the driver's own errors are judged as ever, and with
    /// one of its own the application has decided.
    fn of_hook(error: BoxError) -> Self {
        const NOTE: &str = "it came from the pool's after_connect";
        match error.downcast::<Error>() {
            Ok(error) => Self::new(error.with_note(NOTE)),
            Err(error) => Self::for_good(
                Error::new(ErrorKind::Usage, "the pool's after_connect failed").with_source(error),
            ),
        }
    }
}

/// Waits as long as the failures before ask for.
async fn pause(shared: &Shared) {
    loop {
        let retry_at = shared.failures().retry_at;
        match retry_at {
            Some(retry_at) if retry_at > Instant::now() => {
                tokio::time::sleep_until(retry_at).await;
            }
            _ => return,
        }
    }
}

/// Makes a connection as a borrower finds it. One deadline covers the credential, the
/// connect and the hook.
async fn connect(shared: &Shared) -> Result<Box<Member>, Failed> {
    let options = &shared.options;
    let begun = Instant::now();
    let generation = shared.generation();
    let deadline = options
        .connect_timeout
        .and_then(|timeout| begun.checked_add(timeout));
    let mut connection = log_in(shared, deadline).await?;
    connection.forget_borrower(options.query_timeout);
    if let Some(hook) = &options.after_connect {
        let hooked = async {
            (hook.0)(&mut connection).await.map_err(Failed::of_hook)?;
            connection.recover_for_next().await.map_err(Failed::new)
        };
        within(deadline, "after_connect", hooked).await?;
        // What the hook sets is part of a fresh session.
        connection.forget_borrower(options.query_timeout);
        connection.forget_what_was_done();
    }
    let lifetime = options
        .max_lifetime
        .map(|lifetime| with_jitter(lifetime, LIFETIME_JITTER));
    let now = Instant::now();
    shared.watch.created(now.saturating_duration_since(begun));
    let expires = lifetime.and_then(|lifetime| now.checked_add(lifetime));
    Ok(Member::new(connection, generation, expires, now))
}

/// Makes a connection that is none of the pool's members: to listen on.
pub(super) async fn dial(shared: &Shared) -> Result<Connection> {
    let timeout = shared.options.connect_timeout;
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    log_in(shared, deadline).await.map_err(|failed| {
        if failed.is_permanent || failed.error.kind() != ErrorKind::Authentication {
            return failed.error;
        }
        // Whoever listens tries again, as the pool does.
        let message = "no connection to listen on could be made";
        Error::new(ErrorKind::Closed, message).with_source(failed.error)
    })
}

async fn log_in(shared: &Shared, deadline: Option<Instant>) -> Result<Connection, Failed> {
    let Some(credentials) = &shared.credentials else {
        let connecting = async {
            let connected = shared.connector.connect(None).await;
            connected.map_err(|error| Failed::new(with_origin(error, "the pool's configuration")))
        };
        return within(deadline, "connecting", connecting).await;
    };
    loop {
        let asking = async { credentials.current().await.map_err(Failed::of_provider) };
        let (credential, is_fresh) = within(deadline, "the credential provider", asking).await?;
        let connecting = async {
            let (user, password) = (credential.user.clone(), credential.password.clone());
            let connected = shared.connector.connect_as(user, Some(password)).await;
            Ok::<_, Failed>(connected)
        };
        match within(deadline, "connecting", connecting).await? {
            // It was changed before it expired.
            Err(error) if !is_fresh && is_refused(&error) => credentials.forget(&credential).await,
            connected => {
                let origin = "the pool's credential_provider, which has just been asked";
                return connected.map_err(|error| Failed::new(with_origin(error, origin)));
            }
        }
    }
}

impl Failed {
    /// A provider that can't tell now may be able to later.
    fn of_provider(error: BoxError) -> Self {
        let message = "the pool's credential provider failed";
        Self {
            error: Error::new(ErrorKind::Authentication, message).with_source(error),
            is_permanent: false,
        }
    }
}

fn is_refused(error: &Error) -> bool {
    matches!(
        error.sqlstate(),
        Some(SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
    )
}

/// A refusal says where the password came from, which the server doesn't know.
fn with_origin(error: Error, origin: &str) -> Error {
    if error.sqlstate() == Some(SqlState::INVALID_PASSWORD) {
        error.with_note(format!("the password is that of {origin}"))
    } else {
        error
    }
}

/// What `future` gives, if it does so before the deadline.
async fn within<T>(
    deadline: Option<Instant>,
    doing: &str,
    future: impl Future<Output = Result<T, Failed>>,
) -> Result<T, Failed> {
    let Some(deadline) = deadline else {
        return future.await;
    };
    match tokio::time::timeout_at(deadline, future).await {
        Ok(result) => result,
        Err(_) => Err(Failed::new(Error::new(
            ErrorKind::Timeout,
            format!(
                "no connection was made within the pool's connect_timeout: {doing} took too long"
            ),
        ))),
    }
}

/// A connect has failed. Returns whether it should be tried again, for those who wait.
fn connect_failed(shared: &Arc<Shared>, failed: Failed) -> bool {
    let error = Arc::new(failed.error);
    shared.failures().note(Arc::clone(&error), &shared.options);
    shared.connect_failed(failed.is_permanent.then_some(&error))
}

/// What `future` comes to, or `None` if `stop` comes to its end before.
pub(super) async fn unless<F: Future>(
    future: F,
    stop: impl Future<Output = ()>,
) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut stop = pin!(stop);
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        stop.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// `span`, shortened or lengthened at random by `share` of it at most.
pub(super) fn with_jitter(span: Duration, share: f64) -> Duration {
    let random = f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX);
    span.mul_f64(1.0 + share * (random * 2.0 - 1.0))
}

/// The share by which pauses between two attempts to connect differ.
pub(super) const PAUSE_JITTER: f64 = 0.5;

/// The share by which lifetimes differ, so that connections don't all end together.
const LIFETIME_JITTER: f64 = 0.1;
