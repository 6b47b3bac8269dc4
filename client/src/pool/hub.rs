//! [`Subscription`]: one connection of a pool listens for all who subscribe.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use tokio::sync::Notify;

use super::Pool;
use super::connecting::{dial, unless};
use super::shared::Shared;
use crate::connection::{Dial, ListenEvent, Listener, check_channel};
use crate::error::{Error, ErrorKind, Result};

/// How many events wait for a subscriber where nothing else is said.
pub const DEFAULT_CAPACITY: usize = 1024;

/// The notifications of some channels, made by [`Pool::subscribe`].
///
/// All subscriptions of a pool share one connection, which is none of those that are lent:
/// it is opened for the first of them and closed behind the last. When it breaks it is made
/// anew, and each subscription has a [`ListenEvent::Gap`].
///
/// Each has a queue of its own. While that is full, what comes is dropped, and counted by a
/// [`ListenEvent::Overflow`] at the place where it is missing: a slow subscriber holds up
/// nobody, and takes no more memory.
#[must_use = "a subscription that is dropped hears nothing"]
pub struct Subscription {
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
}

/// What hears notifications for all subscribers of a pool.
#[derive(Default)]
pub(super) struct Hub {
    state: Mutex<State>,
    /// Told when somebody subscribes or leaves.
    changed: Notify,
}

#[derive(Default)]
struct State {
    subscribers: Vec<Arc<Inbox>>,
    /// Whether a task listens for them.
    is_running: bool,
}

/// One subscriber's side.
struct Inbox {
    channels: HashSet<String>,
    queue: Mutex<Queue>,
}

struct Queue {
    events: VecDeque<ListenEvent>,
    capacity: usize,
    phase: Phase,
    waker: Option<Waker>,
}

#[derive(Debug)]
enum Phase {
    /// The channels are not all listened to yet.
    Waiting,
    Active,
    /// Nothing more will come.
    Failed(Error),
    /// The error was told.
    Over,
}

impl Pool {
    /// Subscribes to the notifications of some channels, whose names are taken as they are,
    /// case and all. When it returns, the server listens to them.
    ///
    /// # Errors
    ///
    /// No channel, a name that is empty, longer than 63 bytes or contains NUL; the server's refusal;
    /// [`ErrorKind::PoolTimeout`] where no connection can be made for as long as
    /// [`acquire`](Self::acquire) would wait; [`ErrorKind::PoolClosed`];
    /// [`ErrorKind::Unsupported`] behind a pooler of transactions.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: nothing is subscribed to then.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(pool: kornak::Pool) -> kornak::Result<()> {
    /// use kornak::ListenEvent;
    ///
    /// let mut orders = pool.subscribe(["orders", "refunds"]).await?;
    /// loop {
    ///     match orders.next().await? {
    ///         ListenEvent::Notification(notification) => println!("{}", notification.payload),
    ///         ListenEvent::Gap => println!("something may be missing: look at the table"),
    ///         ListenEvent::Overflow { missed } => println!("{missed} were too many"),
    ///         _ => {}
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn subscribe<C: AsRef<str>>(
        &self,
        channels: impl IntoIterator<Item = C>,
    ) -> Result<Subscription> {
        let channels: HashSet<String> = channels
            .into_iter()
            .map(|channel| {
                check_channel(channel.as_ref())?;
                Ok(channel.as_ref().to_owned())
            })
            .collect::<Result<_>>()?;
        if channels.is_empty() {
            return Err(Error::usage("a subscription to no channel"));
        }
        let mut subscription = self.shared.enlist(channels)?;
        let active = poll_fn(|cx| subscription.poll_active(cx));
        match self.shared.options.acquire_timeout {
            None => active.await?,
            Some(timeout) => match tokio::time::timeout(timeout, active).await {
                Ok(active) => active?,
                Err(_) => {
                    let message = "the channels were not listened to in time";
                    return Err(Error::new(ErrorKind::PoolTimeout, message));
                }
            },
        }
        Ok(subscription)
    }
}

impl Subscription {
    /// The next event. Waits as long as it takes, and through losses of the connection.
    ///
    /// # Errors
    ///
    /// What ended it for good: the pool was closed, or the server refuses to be connected to
    /// or to listen.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: no event is lost.
    pub async fn next(&mut self) -> Result<ListenEvent> {
        match poll_fn(|cx| self.poll_event(cx)).await {
            Some(event) => event,
            None => Err(Error::usage("the subscription is over")),
        }
    }

    /// How many events may wait; at least 1. [`DEFAULT_CAPACITY`] unless told.
    pub fn set_capacity(&mut self, capacity: usize) {
        self.inbox.queue().capacity = capacity.max(1);
    }

    /// How many events wait now.
    pub fn waiting(&self) -> usize {
        self.inbox.queue().events.len()
    }

    /// The channels.
    pub fn channels(&self) -> impl Iterator<Item = &str> {
        self.inbox.channels.iter().map(String::as_str)
    }

    fn poll_active(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut queue = self.inbox.queue();
        match &queue.phase {
            Phase::Active => Poll::Ready(Ok(())),
            Phase::Failed(error) => Poll::Ready(Err(error.duplicate())),
            Phase::Waiting | Phase::Over => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ListenEvent>>> {
        let mut queue = self.inbox.queue();
        if let Some(event) = queue.events.pop_front() {
            return Poll::Ready(Some(Ok(event)));
        }
        match std::mem::replace(&mut queue.phase, Phase::Over) {
            Phase::Failed(error) => Poll::Ready(Some(Err(error))),
            Phase::Over => Poll::Ready(None),
            live => {
                queue.phase = live;
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Stream for Subscription {
    type Item = Result<ListenEvent>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_event(cx)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let hub = &self.shared.hub;
        hub.state()
            .subscribers
            .retain(|inbox| !Arc::ptr_eq(inbox, &self.inbox));
        hub.changed.notify_one();
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("channels", &self.inbox.channels)
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// A new subscriber, and a task that listens for it where there is none.
    fn enlist(self: &Arc<Self>, channels: HashSet<String>) -> Result<Subscription> {
        if self.is_closed() {
            return Err(closed());
        }
        let inbox = Arc::new(Inbox {
            channels,
            queue: Mutex::new(Queue {
                events: VecDeque::new(),
                capacity: DEFAULT_CAPACITY,
                phase: Phase::Waiting,
                waker: None,
            }),
        });
        let must_run = {
            let mut state = self.hub.state();
            state.subscribers.push(Arc::clone(&inbox));
            !std::mem::replace(&mut state.is_running, true)
        };
        let subscription = Subscription {
            shared: Arc::clone(self),
            inbox,
        };
        if must_run {
            let running = Running {
                shared: Arc::clone(self),
                is_over: false,
            };
            self.spawn(running.run());
        } else {
            self.hub.changed.notify_one();
        }
        Ok(subscription)
    }
}

/// The task that listens. Dropped before its end, with its runtime, it ends all
/// subscriptions.
struct Running {
    shared: Arc<Shared>,
    is_over: bool,
}

impl Running {
    async fn run(mut self) {
        let dialling = Arc::clone(&self.shared);
        let dialling: Dial = Arc::new(move || {
            let shared = Arc::clone(&dialling);
            Box::pin(async move { dial(&shared).await })
        });
        let listener = Listener::over(dialling);
        let hub = &self.shared.hub;
        match unless(listen(hub, listener), self.shared.until_closed()).await {
            Some(Ok(())) => {}
            Some(Err(error)) => hub.fail_all(&error),
            None => hub.fail_all(&closed()),
        }
        self.is_over = true;
    }
}

/// Listens until nobody subscribes any more.
async fn listen(hub: &Hub, mut listener: Listener) -> Result<()> {
    while let Some(wanted) = hub.wanted() {
        let known: HashSet<String> = listener.channels().map(str::to_owned).collect();
        listener.settle().await?;
        for channel in known.difference(&wanted) {
            listener.unlisten(channel).await?;
        }
        for channel in wanted.difference(&known) {
            if let Err(error) = listener.listen(channel).await {
                hub.refuse(channel, &error);
            }
        }
        if !listener.is_settled() {
            continue;
        }
        hub.activate(|channel| listener.channels().any(|known| known == channel));
        while let Some(event) = unless(listener.next(), hub.changed.notified()).await {
            hub.deliver(&event?);
        }
    }
    Ok(())
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            self.shared.hub.fail_all(&closed());
        }
    }
}

impl Hub {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channels that anybody wants; `None` when nobody wants any, after which no task
    /// runs.
    fn wanted(&self) -> Option<HashSet<String>> {
        let mut state = self.state();
        let subscribers = state.subscribers.iter();
        let wanted: HashSet<String> = subscribers
            .filter(|inbox| inbox.is_live())
            .flat_map(|inbox| inbox.channels.iter().cloned())
            .collect();
        if wanted.is_empty() {
            state.is_running = false;
            return None;
        }
        Some(wanted)
    }

    /// Those whose channels are all listened to are told so.
    fn activate(&self, is_heard: impl Fn(&str) -> bool) {
        for inbox in &self.state().subscribers {
            let mut queue = inbox.queue();
            if matches!(queue.phase, Phase::Waiting)
                && inbox.channels.iter().all(|channel| is_heard(channel))
            {
                queue.phase = Phase::Active;
                queue.wake();
            }
        }
    }

    fn deliver(&self, event: &ListenEvent) {
        for inbox in &self.state().subscribers {
            let is_meant = match event {
                ListenEvent::Notification(notification) => {
                    inbox.channels.contains(&notification.channel)
                }
                _ => true,
            };
            let mut queue = inbox.queue();
            if is_meant && matches!(queue.phase, Phase::Active) {
                queue.push(event);
                queue.wake();
            }
        }
    }

    /// The server refuses to listen to a channel.
    fn refuse(&self, channel: &str, error: &Error) {
        fail(&self.state(), error, |inbox| {
            inbox.channels.contains(channel)
        });
    }

    /// Nobody listens any more.
    fn fail_all(&self, error: &Error) {
        let mut state = self.state();
        fail(&state, error, |_| true);
        state.is_running = false;
    }
}

fn fail(state: &State, error: &Error, is_meant: impl Fn(&Inbox) -> bool) {
    for inbox in &state.subscribers {
        if inbox.is_live() && is_meant(inbox) {
            let mut queue = inbox.queue();
            queue.phase = Phase::Failed(error.duplicate());
            queue.wake();
        }
    }
}

impl Inbox {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_live(&self) -> bool {
        matches!(self.queue().phase, Phase::Waiting | Phase::Active)
    }
}

impl Queue {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Takes an event; beyond the capacity only one of each kind that tells of a loss.
    fn push(&mut self, event: &ListenEvent) {
        if self.events.len() < self.capacity {
            self.events.push_back(event.clone());
            return;
        }
        let mut excess = self.events.range_mut(self.capacity..);
        match event {
            ListenEvent::Gap => {
                if !excess.any(|event| *event == ListenEvent::Gap) {
                    self.events.push_back(ListenEvent::Gap);
                }
            }
            _ => {
                let overflow = excess.find_map(|event| match event {
                    ListenEvent::Overflow { missed } => Some(missed),
                    _ => None,
                });
                match overflow {
                    Some(missed) => *missed += 1,
                    None => self.events.push_back(ListenEvent::Overflow { missed: 1 }),
                }
            }
        }
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::PoolClosed, "the pool is closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(capacity: usize) -> Queue {
        Queue {
            events: VecDeque::new(),
            capacity,
            phase: Phase::Active,
            waker: None,
        }
    }

    #[test]
    fn a_full_queue_counts_what_it_drops_and_keeps_its_place() {
        let other = ListenEvent::Overflow { missed: 0 };
        let mut queue = queue(2);
        for _ in 0..5 {
            queue.push(&other);
        }
        assert_eq!(queue.events.len(), 3);
        assert_eq!(queue.events[2], ListenEvent::Overflow { missed: 3 });
        for _ in 0..3 {
            queue.push(&ListenEvent::Gap);
            queue.push(&other);
        }
        assert_eq!(queue.events.len(), 4);
        assert_eq!(queue.events[2], ListenEvent::Overflow { missed: 6 });
        assert_eq!(queue.events[3], ListenEvent::Gap);
        queue.events.drain(..3);
        queue.push(&other);
        assert_eq!(queue.events, [ListenEvent::Gap, other]);
    }
}
