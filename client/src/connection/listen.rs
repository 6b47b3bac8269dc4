//! [`Listener`]: LISTEN on a connection of its own, which is made anew when it breaks.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::connect::Connector;
use super::timer::Limit;
use super::tls::UsesTls;
use super::{Connection, Notification};
use crate::config::IntoConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::statement::quote_identifier;

/// Hears the notifications of any number of channels, on a connection of its own.
///
/// When the connection breaks, it is made anew and listens again; what was sent meanwhile is
/// lost, as the server keeps no notifications for those who are away (manual, "NOTIFY"). An
/// event says so: [`ListenEvent::Gap`].
///
/// A connection that is silent is asked from time to time whether it lives.
///
/// # Example
///
/// ```no_run
/// # async fn example() -> kornak::Result<()> {
/// use kornak::{ListenEvent, Listener};
///
/// let mut listener = Listener::connect("postgres://localhost/app").await?;
/// listener.listen("orders").await?;
/// loop {
///     match listener.next().await? {
///         ListenEvent::Notification(notification) => println!("{}", notification.payload),
///         ListenEvent::Gap => println!("something may have been missed: look at the table"),
///         _ => {}
///     }
/// }
/// # }
/// ```
pub struct Listener {
    dial: Dial,
    connection: Option<Connection>,
    /// What the connection has brought.
    inbox: Inbox,
    /// The channels that are wanted.
    channels: HashSet<String>,
    /// The channels that the session is known to listen to.
    heard: HashSet<String>,
    /// How many attempts to connect have failed in a row.
    failures: u32,
    /// There was a connection once: the next one comes with a gap.
    was_connected: bool,
    patience: Duration,
}

/// What a [`Listener`] hears.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenEvent {
    /// A notification.
    Notification(Notification),
    /// The connection was lost and is back, and the channels are listened to again.
    /// Notifications that were sent in between are lost.
    Gap,
    /// So many notifications were dropped, because the queue of a
    /// [`Subscription`](crate::pool::Subscription) was full.
    Overflow {
        /// How many.
        missed: u64,
    },
}

/// Makes the connections of a listener.
pub(crate) type Dial =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Connection>> + Send>> + Send + Sync>;

/// What has arrived and was not handed out yet.
#[derive(Clone, Default)]
struct Inbox(Arc<Mutex<VecDeque<ListenEvent>>>);

impl Inbox {
    fn events(&self) -> MutexGuard<'_, VecDeque<ListenEvent>> {
        // Nothing that holds the lock can panic halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The longest name, in bytes (NAMEDATALEN in the server's `pg_config_manual.h`, less one).
const LONGEST_NAME: usize = 63;

/// How long a connection may be silent before it is asked whether it lives, where nothing
/// else was said.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the answer may take, and each LISTEN.
const ANSWER: Duration = Duration::from_secs(10);

/// The pause after the first failed attempt to connect; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause between attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

impl Listener {
    /// Connects, as [`Connection::connect`] does.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the socket.
    pub async fn connect<T>(config: impl IntoConfig) -> Result<Self>
    where
        Connection: UsesTls<T>,
    {
        let connector = Connector::new(&config.into_config()?, Connection::provider());
        Self::connect_by(Arc::new(connector)).await
    }

    async fn connect_by(connector: Arc<Connector>) -> Result<Self> {
        let mut listener = Self::over(Arc::new(move || {
            let connector = Arc::clone(&connector);
            Box::pin(async move { connector.connect(None).await })
        }));
        let connection = open(&listener.dial, &listener.inbox).await?;
        listener.connection = Some(connection);
        listener.was_connected = true;
        Ok(listener)
    }

    /// A listener that has no connection yet.
    pub(crate) fn over(dial: Dial) -> Self {
        Self {
            dial,
            connection: None,
            inbox: Inbox::default(),
            channels: HashSet::new(),
            heard: HashSet::new(),
            failures: 0,
            was_connected: false,
            patience: PATIENCE,
        }
    }

    /// Waits until there is a connection that listens to all channels.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    ///
    /// # Cancel safety
    ///
    /// May be dropped.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        while !self.is_settled() {
            if self.connection.is_none() {
                self.reconnect().await?;
            } else {
                self.apply_to_connection().await?;
            }
        }
        Ok(())
    }

    /// Whether a connection listens to all channels, as far as is known.
    pub(crate) fn is_settled(&self) -> bool {
        let is_open = self.connection.as_ref().is_some_and(|it| !it.is_closed());
        is_open && self.heard == self.channels
    }

    /// How long the connection may be silent before it is asked whether it lives: a minute
    /// unless told. An answer that doesn't come in 10 seconds counts as a loss.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Listens to one more channel. The name is taken as it is, case and all.
    ///
    /// # Errors
    ///
    /// A name that is empty, longer than 63 bytes or contains NUL; the server's error. A connection that breaks meanwhile
    /// is no error: the next one listens to the channel.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the channel will be listened to from the next call of
    /// [`next`](Self::next) on.
    pub async fn listen(&mut self, channel: &str) -> Result<()> {
        check_channel(channel)?;
        self.channels.insert(channel.to_owned());
        let applied = self.apply_to_connection().await;
        if applied.is_err() {
            self.channels.remove(channel);
        }
        applied
    }

    /// Listens to a channel no longer. Notifications that have arrived are still handed out.
    ///
    /// # Errors
    ///
    /// The server's error.
    ///
    /// # Cancel safety
    ///
    /// As [`listen`](Self::listen).
    pub async fn unlisten(&mut self, channel: &str) -> Result<()> {
        self.channels.remove(channel);
        self.apply_to_connection().await
    }

    /// The channels that are listened to.
    pub fn channels(&self) -> impl Iterator<Item = &str> {
        self.channels.iter().map(String::as_str)
    }

    /// The next event. Waits as long as it takes, and through losses of the connection.
    ///
    /// # Errors
    ///
    /// What no further attempt would mend by itself: a refused password or certificate, a
    /// configuration that has become wrong. A later call tries again.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: no event is lost.
    pub async fn next(&mut self) -> Result<ListenEvent> {
        loop {
            if let Some(event) = self.inbox.events().pop_front() {
                return Ok(event);
            }
            if self.connection.is_none() {
                self.reconnect().await?;
                continue;
            }
            self.apply_to_connection().await?;
            let has_news = !self.inbox.events().is_empty();
            if let (Some(connection), false) = (&mut self.connection, has_news) {
                if wait(connection, self.patience).await.is_err() {
                    self.lose();
                }
            }
        }
    }

    /// The connection is of no use any more.
    fn lose(&mut self) {
        self.connection = None;
        self.heard.clear();
    }

    async fn reconnect(&mut self) -> Result<()> {
        if self.failures > 0 {
            tokio::time::sleep(pause(self.failures)).await;
        }
        // Counted before the attempt, so that one that is dropped is no reason to hurry.
        self.failures = self.failures.saturating_add(1);
        let inbox = Inbox::default();
        if self.was_connected {
            inbox.events().push_back(ListenEvent::Gap);
        }
        let mut heard = HashSet::new();
        let attempt = async {
            let mut connection = open(&self.dial, &inbox).await?;
            apply(&mut connection, &self.channels, &mut heard).await?;
            Ok(connection)
        };
        match attempt.await {
            Ok(connection) => {
                self.connection = Some(connection);
                self.inbox = inbox;
                self.heard = heard;
                self.failures = 0;
                self.was_connected = true;
                Ok(())
            }
            Err(error) if is_passing(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Has the session listen to what is wanted.
    async fn apply_to_connection(&mut self) -> Result<()> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        if self.heard == self.channels && !connection.is_closed() {
            return Ok(());
        }
        match apply(connection, &self.channels, &mut self.heard).await {
            Err(error) if is_passing(&error) => {
                self.lose();
                Ok(())
            }
            applied => applied,
        }
    }
}

impl Connection {
    /// Sends a notification to all sessions that listen to `channel`, when the transaction is
    /// committed (manual, "NOTIFY").
    ///
    /// # Errors
    ///
    /// The server's error: a payload of 8000 bytes or more, a name longer than 63 bytes; the
    /// deadline.
    ///
    /// # Cancel safety
    ///
    /// As [`execute`](Self::execute).
    pub async fn notify(&mut self, channel: &str, payload: &str) -> Result<()> {
        let sql = "select pg_catalog.pg_notify($1, $2)";
        self.execute(sql, (channel, payload)).await.map(|_| ())
    }
}

/// A connection whose notifications go into `inbox`.
async fn open(dial: &Dial, inbox: &Inbox) -> Result<Connection> {
    let mut connection = dial().await?;
    connection.set_default_timeout(Some(ANSWER));
    let inbox = inbox.clone();
    connection.on_notification(move |notification| {
        let event = ListenEvent::Notification(notification);
        inbox.events().push_back(event);
    });
    Ok(connection)
}

/// Refuses a name that no channel can have: the server would cut a long one off, and tell its
/// notifications under what is left.
pub(crate) fn check_channel(channel: &str) -> Result<()> {
    quote_identifier(channel)?;
    if channel.len() > LONGEST_NAME {
        return Err(Error::usage(format!(
            "the name of a channel has at most {LONGEST_NAME} bytes, this one has {}",
            channel.len()
        )));
    }
    Ok(())
}

/// Has the session listen to `channels`, of which it listens to `heard` already.
async fn apply(
    connection: &mut Connection,
    channels: &HashSet<String>,
    heard: &mut HashSet<String>,
) -> Result<()> {
    let unwanted: Vec<String> = heard.difference(channels).cloned().collect();
    for channel in unwanted {
        let sql = format!("unlisten {}", quote_identifier(&channel)?);
        connection.batch_execute(&sql).await?;
        heard.remove(&channel);
    }
    let missing: Vec<String> = channels.difference(heard).cloned().collect();
    for channel in missing {
        let sql = format!("listen {}", quote_identifier(&channel)?);
        connection.batch_execute(&sql).await?;
        heard.insert(channel);
    }
    Ok(())
}

/// Waits until something arrives; a connection that is silent for long is asked whether it
/// lives.
async fn wait(connection: &mut Connection, patience: Duration) -> Result<()> {
    // A question whose asker was dropped.
    connection
        .begin_operation(None, Limit::After(ANSWER))
        .await?;
    connection.link.set_limit(Limit::After(patience));
    match poll_fn(|cx| connection.link.poll_arrival(cx)).await {
        Err(error) if error.is_timeout() => {
            connection.link.set_limit(Limit::After(ANSWER));
            connection.execute_unprepared(&[]).await.map(|_| ())
        }
        arrived => arrived,
    }
}

/// Whether another attempt may go better by itself.
fn is_passing(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Authentication
        | ErrorKind::Config
        | ErrorKind::Tls
        | ErrorKind::Unsupported
        | ErrorKind::Usage => false,
        // Classes 28 and 3D: the role or the database is refused.
        ErrorKind::Server | ErrorKind::Closed => {
            error.sqlstate().is_none_or(|state| {
                !state.code().starts_with("28") && !state.code().starts_with("3D")
            }) && (error.kind() == ErrorKind::Closed || error.is_closed())
        }
        _ => true,
    }
}

/// How long to wait after so many failures: between half of it and all, so that many clients
/// don't come back at once.
fn pause(failures: u32) -> Duration {
    let full = FIRST_PAUSE
        .saturating_mul(2_u32.saturating_pow(failures - 1))
        .min(LONGEST_PAUSE);
    let share = getrandom::u32().unwrap_or(u32::MAX);
    full / 2 + (full / 2).mul_f64(f64::from(share) / f64::from(u32::MAX))
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("channels", &self.channels)
            .field("is_connected", &self.connection.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        for failures in 1..100 {
            let full = FIRST_PAUSE * 2_u32.saturating_pow(failures.min(7) - 1);
            let full = full.min(LONGEST_PAUSE);
            let pause = pause(failures);
            if failures <= 7 {
                assert!(full / 2 <= pause && pause <= full, "{failures}: {pause:?}");
            }
            assert!(pause <= LONGEST_PAUSE);
        }
    }
}
