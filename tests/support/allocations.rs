//! Counting allocations.
//!
//! The binary of such a test installs the counting allocator, and has this one test alone or
//! runs its tests in one thread: what other threads allocate is counted too.
//!
//! ```text
//! #[global_allocator]
//! static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;
//! ```

use std::future::Future;

use stats_alloc::Stats;

pub use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// What a piece of work allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocations {
    /// How often it asked for memory: allocations, and reallocations of what there was.
    pub count: usize,
    /// How often it gave memory back.
    pub freed: usize,
    /// How many bytes more are held after it than before it.
    pub retained: isize,
}

/// Does the work and counts what it allocates.
///
/// # Panics
///
/// If the binary does not have the counting allocator.
pub fn counted<T>(work: impl FnOnce() -> T) -> (T, Allocations) {
    assert_installed();
    let before = INSTRUMENTED_SYSTEM.stats();
    let result = work();
    (result, since(before))
}

/// As [`counted`], for a future.
pub async fn counted_async<F: Future>(work: F) -> (F::Output, Allocations) {
    assert_installed();
    let before = INSTRUMENTED_SYSTEM.stats();
    let result = work.await;
    (result, since(before))
}

fn since(before: Stats) -> Allocations {
    let change = INSTRUMENTED_SYSTEM.stats() - before;
    // Reallocations count in the bytes of the others as well.
    let held = change.bytes_allocated as isize - change.bytes_deallocated as isize;
    Allocations {
        count: change.allocations + change.reallocations,
        freed: change.deallocations,
        retained: held,
    }
}

fn assert_installed() {
    let before = INSTRUMENTED_SYSTEM.stats();
    drop(std::hint::black_box(Box::new(0_u64)));
    let change = INSTRUMENTED_SYSTEM.stats() - before;
    assert!(
        change.allocations >= 1,
        "this binary lacks the counting allocator: see support::allocations"
    );
}
