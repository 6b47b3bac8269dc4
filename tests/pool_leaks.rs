//! Whatever becomes of borrowers, nothing is lost and nothing is left: places, sockets,
//! backends. A binary of its own, because it counts what is open in the process.

mod live;
mod pool_support;
mod support;

use std::fs;
use std::sync::atomic::Ordering;
use std::time::Duration;

use live::eventually;
use pool_support::{Tested, crowd};
use support::deadline::GENEROUS;
use support::proxy::{Listen, Proxy};
use support::server;

/// How many borrowings there are where nobody says otherwise.
const SLICE: u64 = 4_000;

const SIZE: usize = 4;

/// The sockets of this process (proc(5), `/proc/pid/fd`).
fn sockets() -> usize {
    let open = fs::read_dir("/proc/self/fd").expect("Linux has /proc/self/fd");
    let targets = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    targets
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

/// `KORNAK_R53_BORROWINGS` sets how many: a hundred thousand for the whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r53_random_ends_conserve_places_sockets_and_backends() {
    let wanted = crowd::wanted("KORNAK_R53_BORROWINGS", SLICE);
    let target = server::target();
    let at_first = sockets();
    let proxy = Proxy::start(Listen::Unix, target.address.clone());
    let tested = Tested::over(proxy.address(), SIZE, |builder| builder);
    let is_enough =
        |tally: &crowd::Tally, wanted| tally.borrowings.load(Ordering::Relaxed) >= wanted;
    let tally = crowd::borrow(&tested.pool, 16, true, is_enough, wanted).await;
    println!("{tally:?}, {:?}", proxy.connections());
    assert!(tally.kills.load(Ordering::Relaxed) > wanted / 100);
    tested.at_rest().await;
    let size = tested.pool.status().size;
    assert!(size <= SIZE);
    proxy.until_open(|open| open == size as u64).await;
    let mut observer = tested.observer().await;
    observer
        .until(GENEROUS, "as many backends", |found| found.len() == size)
        .await;
    observer.until_idle(GENEROUS).await;
    // Each place can still be had, all at once.
    let mut all = Vec::new();
    for _ in 0..SIZE {
        all.push(tested.acquire().await);
    }
    assert_eq!(tested.pool.status().busy, SIZE);
    drop(all);
    tested.check_token().await;
    // When all is closed, it is as it was before.
    tested.pool.close(Duration::from_secs(10)).await;
    assert_eq!(tested.pool.status().size, 0);
    observer
        .until(GENEROUS, "no backend", |found| found.is_empty())
        .await;
    drop((observer, tested, proxy));
    eventually("no socket", async || sockets() <= at_first).await;
    assert_eq!(sockets(), at_first);
}
