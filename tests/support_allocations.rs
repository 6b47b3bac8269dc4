//! The counting allocator. This binary has one test: what another thread allocates counts.

use std::alloc::System;
use std::hint::black_box;

use support::allocations::{INSTRUMENTED_SYSTEM, StatsAlloc, counted, counted_async};

mod support;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn allocations_are_counted_exactly() {
    let ((), nothing) = counted(|| {
        black_box([0_u8; 64]);
    });
    assert_eq!((nothing.count, nothing.freed, nothing.retained), (0, 0, 0));

    let (kept, one) = counted(|| black_box(vec![0_u8; 1000]));
    assert_eq!((one.count, one.freed, one.retained), (1, 0, 1000));
    let ((), freed) = counted(|| drop(kept));
    assert_eq!((freed.count, freed.freed, freed.retained), (0, 1, -1000));

    let mut grown = Vec::with_capacity(16);
    let ((), growth) = counted(|| {
        grown.extend(black_box([0_u8; 16]));
        grown.reserve_exact(black_box(48));
    });
    assert_eq!((growth.count, growth.freed, growth.retained), (1, 0, 48));

    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let boxed = async || {
        drop(black_box(Box::new(1_u64)));
        tokio::task::yield_now().await;
        drop(black_box(Box::new(2_u64)));
    };
    let ((), boxes) = runtime.block_on(async {
        // The runtime allocates at the first yield.
        boxed().await;
        counted_async(boxed()).await
    });
    assert_eq!((boxes.count, boxes.freed, boxes.retained), (2, 2, 0));
}
