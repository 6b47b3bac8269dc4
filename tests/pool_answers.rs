//! A crowd on a small pool: everyone gets the own answers and nobody else's.

mod live;
mod pool_support;
mod support;

use std::sync::atomic::Ordering;

use pool_support::{Tested, crowd};

/// How many statements are answered where nobody says otherwise.
const SLICE: u64 = 20_000;

/// `KORNAK_R19_QUERIES` sets how many: a million for the whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r19_sixty_four_tasks_each_get_their_own_answers() {
    let wanted = crowd::wanted("KORNAK_R19_QUERIES", SLICE);
    let tested = Tested::of(8, |builder| builder);
    let is_enough = |tally: &crowd::Tally, wanted| tally.answers.load(Ordering::Relaxed) >= wanted;
    let tally = crowd::borrow(&tested.pool, 64, false, is_enough, wanted).await;
    println!("{tally:?}");
    assert!(tally.drops.load(Ordering::Relaxed) > wanted / 100);
    tested.at_rest().await;
    tested.check_token().await;
}
