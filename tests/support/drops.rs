//! Dropping a future at each of its polls.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::deadline::{GENEROUS, within};

/// Runs an operation again and again and drops it after its first, its second, … poll that
/// was pending, until a run gets to its end; after each, a check looks at what is left.
///
/// It works on real sockets: a future is polled as the runtime wakes it, and dropped inside
/// the very poll that ends its turn.
#[derive(Clone, Debug)]
pub struct DropAtEachPoll {
    what: String,
    least: usize,
    limit: Duration,
    spurious: usize,
    moment: Moment,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// It was dropped after so many pending polls; after 0 it had never been polled.
    DroppedAfter(usize),
    /// It got to its end, after so many pending polls.
    Completed(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// Right after the poll.
    Pending,
    /// When it is woken after the poll: what it waits for is there, and it has not seen it.
    Woken,
}

impl DropAtEachPoll {
    /// A harness for what `what` names in messages.
    pub fn new(what: &str) -> Self {
        Self {
            what: what.to_owned(),
            least: 3,
            limit: GENEROUS,
            spurious: 0,
            moment: Moment::Pending,
        }
    }

    /// At how many polls it must have been dropped, not counting the drop before the first;
    /// three unless told.
    pub fn at_least(mut self, polls: usize) -> Self {
        self.least = polls;
        self
    }

    /// How long each of making, operating and checking may take in one case.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Polls `count` times more after each poll that was pending, though nothing has
    /// happened. Each of them is a further place to drop at.
    pub fn spurious_polls(mut self, count: usize) -> Self {
        self.spurious = count;
        self
    }

    /// Drops when the future is next woken, instead of right after the poll: what it waited
    /// for has arrived and was not taken.
    pub fn once_woken(mut self) -> Self {
        self.moment = Moment::Woken;
        self
    }

    /// Runs every case: `make` builds a fresh environment, `operate` makes the future that is
    /// dropped, and `check` gets the environment and how the run ended. It returns at how many
    /// polls the future was dropped.
    ///
    /// # Panics
    ///
    /// If there were fewer of them than [`at_least`](Self::at_least), if a case takes longer
    /// than its limit, if the number of polls has no end, or if `check` panics.
    pub async fn run<E>(
        &self,
        make: impl AsyncFn() -> E,
        operate: impl AsyncFn(&mut E),
        check: impl AsyncFn(E, Case),
    ) -> usize {
        let Case::Completed(usual) = self.case(usize::MAX, &make, &operate, &check).await else {
            unreachable!("nothing has so many polls");
        };
        let mut hit = 0;
        for polls in 0..MOST_POLLS {
            match self.retried_case(polls, &make, &operate, &check).await {
                Case::DroppedAfter(0) => {}
                Case::DroppedAfter(_) => hit += 1,
                // A run may be quicker than usual: what it waits for is already there.
                Case::Completed(_) if polls < usual => {}
                Case::Completed(_) => {
                    assert!(
                        hit >= self.least,
                        "{} was dropped at {hit} polls, which proves less than {} would",
                        self.what,
                        self.least
                    );
                    return hit;
                }
            }
        }
        panic!("{} is still pending after {MOST_POLLS} polls", self.what);
    }

    /// A case that is tried again where it ended before the poll at which to drop it.
    async fn retried_case<E>(
        &self,
        polls: usize,
        make: &impl AsyncFn() -> E,
        operate: &impl AsyncFn(&mut E),
        check: &impl AsyncFn(E, Case),
    ) -> Case {
        let mut case = self.case(polls, make, operate, check).await;
        let tries = if polls <= self.least {
            TRIES_OF_THE_LEAST
        } else {
            TRIES
        };
        for _ in 1..tries {
            if let Case::DroppedAfter(_) = case {
                break;
            }
            case = self.case(polls, make, operate, check).await;
        }
        case
    }

    async fn case<E>(
        &self,
        polls: usize,
        make: &impl AsyncFn() -> E,
        operate: &impl AsyncFn(&mut E),
        check: &impl AsyncFn(E, Case),
    ) -> Case {
        let case = match polls {
            usize::MAX => format!("{}, not dropped", self.what),
            polls => format!("{}, dropped after {polls} polls", self.what),
        };
        let _named = NamedOnPanic(&case);
        let mut environment = within(self.limit, &format!("making {case}"), make()).await;
        let operation = Polled {
            future: Some(Box::pin(operate(&mut environment))),
            drop_after: polls,
            moment: self.moment,
            spurious: self.spurious,
            spurious_left: self.spurious,
            polls: 0,
        };
        let ended = within(self.limit, &case, operation).await;
        within(
            self.limit,
            &format!("the check of {case}"),
            check(environment, ended),
        )
        .await;
        ended
    }
}

/// No operation under test has so many polls.
const MOST_POLLS: usize = 20_000;

/// How often a case is tried that ended too early to be dropped.
const TRIES: usize = 3;

/// The same of the cases without which the test proves too little. On a busy machine all that an
/// operation waits for is often there at once.
const TRIES_OF_THE_LEAST: usize = 200;

/// A future that is dropped inside its own poll.
struct Polled<F> {
    future: Option<Pin<Box<F>>>,
    drop_after: usize,
    moment: Moment,
    spurious: usize,
    spurious_left: usize,
    polls: usize,
}

impl<F: Future> Future for Polled<F> {
    type Output = Case;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Case> {
        let this = &mut *self;
        let is_due = this.polls == this.drop_after;
        // Woken is the moment of this very poll; before the first, both moments are one.
        if is_due && (this.moment == Moment::Woken || this.polls == 0) {
            this.future = None;
            return Poll::Ready(Case::DroppedAfter(this.polls));
        }
        let future = this
            .future
            .as_mut()
            .expect("it is polled until it is ready");
        if future.as_mut().poll(cx).is_ready() {
            this.future = None;
            return Poll::Ready(Case::Completed(this.polls));
        }
        this.polls += 1;
        if this.polls == this.drop_after && this.moment == Moment::Pending {
            this.future = None;
            return Poll::Ready(Case::DroppedAfter(this.polls));
        }
        if this.spurious_left > 0 {
            this.spurious_left -= 1;
            cx.waker().wake_by_ref();
        } else {
            this.spurious_left = this.spurious;
        }
        Poll::Pending
    }
}

/// Says which case it was when a check panics.
struct NamedOnPanic<'a>(&'a str);

impl Drop for NamedOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was the case: {}", self.0);
        }
    }
}
