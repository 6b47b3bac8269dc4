//! Connections that are shared without end: who wants one alone, and what ends a connection's life.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kornak::Pool;
use tokio::task::JoinHandle;

use super::{ECHO, echo, ended};
use crate::live::eventually;
use crate::pool_support::Tested;

/// Has so many tasks echo on a pool until it is dropped.
pub(super) struct Load {
    ends: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    pub(super) fn start(pool: &Pool, tasks: i32) -> Self {
        let (ends, answers) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let tasks = (0..tasks)
            .map(|task| {
                let (pool, ends) = (pool.clone(), Arc::clone(&ends));
                let answers = Arc::clone(&answers);
                tokio::spawn(async move {
                    while !ends.load(Ordering::Relaxed) {
                        assert_eq!(echo(&pool, task).await.unwrap(), task);
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        Self {
            ends,
            answers,
            tasks,
        }
    }

    pub(super) async fn until_more(&self, count: u64) {
        let wanted = self.answers.load(Ordering::Relaxed) + count;
        eventually("more answers", async || {
            self.answers.load(Ordering::Relaxed) >= wanted
        })
        .await;
    }

    pub(super) async fn end(self) {
        self.ends.store(true, Ordering::Relaxed);
        for task in self.tasks {
            ended(task).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_wants_a_connection_for_themselves_is_not_kept_waiting_by_those_who_share() {
    let tested = Tested::of(2, |builder| builder.queue_statements(64));
    let load = Load::start(&tested.pool, 48);
    load.until_more(1_000).await;
    for _ in 0..50 {
        let mut connection = tested.acquire().await;
        let mut transaction = connection.begin().await.unwrap();
        let answer: i32 = transaction.fetch_one(ECHO, (42,)).await.unwrap();
        assert_eq!(answer, 42);
        transaction.commit().await.unwrap();
    }
    load.until_more(1_000).await;
    load.end().await;
    tested.at_rest().await;
    tested.check_token().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_under_a_load_without_end_are_replaced_when_they_are_to_be() {
    let tested = Tested::of(2, |builder| builder.queue_statements(64));
    let load = Load::start(&tested.pool, 32);
    load.until_more(1_000).await;
    let mut observer = tested.observer().await;
    let mut processes = async || -> BTreeSet<i32> {
        let sessions = observer.sessions().await;
        sessions.iter().map(|session| session.process).collect()
    };
    let before = processes().await;
    tested.pool.expire_all();
    eventually("other connections", async || {
        processes().await.is_disjoint(&before)
    })
    .await;
    load.until_more(1_000).await;
    load.end().await;
    tested.at_rest().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_statement_is_a_use_of_its_connection() {
    let tested = Tested::of(1, |builder| builder.queue_statements(64).max_uses(100));
    let mut observer = tested.observer().await;
    let mut seen = BTreeSet::new();
    let load = Load::start(&tested.pool, 32);
    eventually("several connections, one after the other", async || {
        let sessions = observer.sessions().await;
        seen.extend(sessions.iter().map(|session| session.process));
        seen.len() > 2
    })
    .await;
    load.end().await;
    tested.at_rest().await;
}
