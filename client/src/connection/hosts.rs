//! In which order hosts and addresses are tried, and what is remembered of them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::LoadBalanceHosts;
use crate::error::{Error, Result};

/// How long a host that failed, or had another role than the one that is wanted, is tried
/// behind the others. It is never left out.
pub(super) const MEMORY: Duration = Duration::from_secs(10);

/// What was last seen of hosts and addresses, for all connections that are made by one
/// configuration.
#[derive(Debug, Default)]
pub(super) struct HostMemory {
    seen: Mutex<HashMap<Box<str>, (Standing, Instant)>>,
}

/// How a host or address stands, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// Nothing is held against it.
    Good,
    /// It was there, in another role than the one that is wanted.
    Unsuitable,
    /// It could not be connected to.
    Bad,
}

impl HostMemory {
    /// Remembers how `place` was found just now.
    pub(super) fn note(&self, place: &str, standing: Standing) {
        let mut seen = self.lock();
        if standing == Standing::Good && seen.is_empty() {
            return;
        }
        let now = Instant::now();
        // Names may lead to ever new addresses: what doesn't count any more is forgotten.
        seen.retain(|_, (_, at)| now < *at + MEMORY);
        if standing == Standing::Good {
            seen.remove(place);
        } else {
            seen.insert(place.into(), (standing, now));
        }
    }

    /// The order in which to try `places`: as they are given or at random, and those that
    /// failed of late behind the others.
    ///
    /// # Errors
    ///
    /// If the system has no random numbers.
    pub(super) fn order<T>(
        &self,
        mut places: Vec<T>,
        balance: LoadBalanceHosts,
        name: impl Fn(&T) -> String,
    ) -> Result<Vec<T>> {
        if balance == LoadBalanceHosts::Random {
            shuffle(&mut places)?;
        }
        if places.len() < 2 {
            return Ok(places);
        }
        let now = Instant::now();
        let seen = self.lock();
        let standing = |place| match seen.get(&*name(place)) {
            Some((standing, at)) if now < *at + MEMORY => *standing,
            _ => Standing::Good,
        };
        // By index, too: nothing changes among equals.
        let places_by_index = places.iter().enumerate();
        let mut order: Vec<(Standing, usize)> = places_by_index
            .map(|(index, place)| (standing(place), index))
            .collect();
        order.sort_unstable();
        let mut places: Vec<Option<T>> = places.into_iter().map(Some).collect();
        let places = order.iter().filter_map(|(_, index)| places[*index].take());
        Ok(places.collect())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, (Standing, Instant)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the first of `left` hosts or addresses must have answered: each has an equal share of
/// the time, so that one that is dead leaves some to the others.
pub(super) fn share(deadline: Option<Instant>, left: usize) -> Option<Instant> {
    let deadline = deadline?;
    let now = Instant::now();
    let divisor = u32::try_from(left.max(1)).unwrap_or(u32::MAX);
    Some(match left {
        0 | 1 => deadline,
        _ => now + deadline.saturating_duration_since(now) / divisor,
    })
}

/// A random order (Fisher and Yates).
fn shuffle<T>(places: &mut [T]) -> Result<()> {
    for last in (1..places.len()).rev() {
        let random = getrandom::u64().map_err(|error| {
            Error::io(
                "no random numbers for load_balance_hosts",
                std::io::Error::other(error),
            )
        })?;
        // The bias of the remainder is one in 2⁶⁴ divided by the number of hosts.
        let other = random % (last as u64 + 1);
        places.swap(last, other as usize);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(memory: &HostMemory, places: &str) -> String {
        let places = places.chars().collect();
        memory
            .order(places, LoadBalanceHosts::Disable, char::to_string)
            .unwrap()
            .into_iter()
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_of_late_comes_last_and_is_forgotten() {
        let memory = HostMemory::default();
        assert_eq!(order(&memory, "abcd"), "abcd");
        memory.note("a", Standing::Bad);
        memory.note("b", Standing::Unsuitable);
        assert_eq!(order(&memory, "abcd"), "cdba");
        tokio::time::advance(MEMORY / 2).await;
        memory.note("c", Standing::Bad);
        assert_eq!(order(&memory, "abcd"), "dbac");
        tokio::time::advance(MEMORY / 2).await;
        assert_eq!(order(&memory, "abcd"), "abdc");
        memory.note("c", Standing::Good);
        assert_eq!(order(&memory, "abcd"), "abcd");
        memory.note("a", Standing::Bad);
        tokio::time::advance(MEMORY).await;
        memory.note("b", Standing::Bad);
        assert_eq!(memory.lock().len(), 1, "what is past is not kept");
    }

    #[test]
    fn a_random_order_puts_each_place_first_and_loses_none() {
        let memory = HostMemory::default();
        let mut firsts = std::collections::HashSet::new();
        for _ in 0..1000 {
            let mut order = memory
                .order(vec![0, 1, 2, 3], LoadBalanceHosts::Random, i32::to_string)
                .unwrap();
            firsts.insert(order[0]);
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3]);
        }
        // That one of them never came first has a probability below 10⁻¹²⁰.
        assert_eq!(firsts.len(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn r36_each_has_its_share_and_the_last_one_the_rest() {
        let deadline = Instant::now() + Duration::from_secs(9);
        assert_eq!(share(None, 3), None);
        assert_eq!(share(Some(deadline), 1), Some(deadline));
        let first = share(Some(deadline), 3).unwrap();
        assert_eq!(first, Instant::now() + Duration::from_secs(3));
        tokio::time::advance(Duration::from_secs(1)).await;
        // What the first has not used is left to the others.
        let second = share(Some(deadline), 2).unwrap();
        assert_eq!(second, Instant::now() + Duration::from_secs(4));
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(share(Some(deadline), 2), Some(Instant::now()));
    }
}
