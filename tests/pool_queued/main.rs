//! Statements of many tasks on one connection of the pool: each gets its own answer and its own
//! error, whatever befalls the others.

#[path = "../live/mod.rs"]
mod live;
mod load;
#[path = "../pool_support/mod.rs"]
mod pool_support;
#[path = "../support/mod.rs"]
mod support;

use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use kornak::error::Outcome;
use kornak::pool::PoolBuilder;
use kornak::{Connection, ErrorKind, Pool, Result, SqlState};
use live::{connect, eventually, poll_once, until_server};
use load::Load;
use pool_support::{Tested, at_rest, crowd};
use support::deadline::{GENEROUS, within};
use support::drops::DropAtEachPoll;
use support::raw::unique;
use tokio::task::JoinHandle;

/// How many statements are answered where nobody says otherwise.
const SLICE: u64 = 20_000;

const ECHO: &str = "select $1::int4";

const SHORT: Duration = Duration::from_millis(100);

/// How often is looked whether something has happened that must not.
const LOOKS: usize = 100;

/// A pool of one, on whose connection statements of many tasks stand behind one that waits for a
/// lock.
struct Stage {
    tested: Tested,
    /// Has the row locked.
    locker: Connection,
    /// The statement that waits for it.
    update: String,
    table: String,
}

impl Stage {
    async fn set(change: impl FnOnce(PoolBuilder) -> PoolBuilder) -> Self {
        let table = format!("queued_{}", unique().replace('-', "_"));
        let mut locker = connect().await;
        let script = format!(
            "create unlogged table {table} (id int4, n int4); insert into {table} values (1, 0)"
        );
        locker.batch_execute(&script).await.unwrap();
        let lock = format!("begin; select from {table} where id = 1 for update");
        locker.batch_execute(&lock).await.unwrap();
        let tested = Tested::of(1, |builder| change(builder.queue_statements(8)));
        let update = format!("update {table} set n = n + 1 where id = $1");
        // What the connection has prepared may be shared.
        assert_eq!(tested.pool.execute(&update, (2,)).await.unwrap(), 0);
        assert_eq!(echo(&tested.pool, 1).await.unwrap(), 1);
        Self {
            tested,
            locker,
            update,
            table,
        }
    }

    /// The statement that waits for the lock goes first, on a connection that is then shared.
    async fn front(&self) -> JoinHandle<Result<u64>> {
        let held = self.tested.acquire().await;
        let (pool, update) = (self.tested.pool.clone(), self.update.clone());
        let front = tokio::spawn(async move { pool.execute(&update, (1,)).await });
        self.until_waiting(1).await;
        drop(held);
        until_server(self.is_blocked()).await;
        front
    }

    /// A statement behind it.
    fn behind(&self, number: i32) -> JoinHandle<Result<i32>> {
        let pool = self.tested.pool.clone();
        tokio::spawn(async move { echo(&pool, number).await })
    }

    async fn until_waiting(&self, count: usize) {
        eventually("so many waiting in line", async || {
            self.tested.pool.status().waiting == count
        })
        .await;
    }

    /// That the server has a session of the pool wait for the lock.
    fn is_blocked(&self) -> String {
        format!(
            "exists (select from pg_stat_activity where wait_event_type = 'Lock' \
             and application_name = '{}')",
            self.tested.application
        )
    }

    async fn unlock(&mut self) {
        self.locker.batch_execute("rollback").await.unwrap();
    }

    /// How often the update has been done.
    async fn updates(&mut self) -> i32 {
        let sql = format!("select n from {} where id = 1", self.table);
        self.locker.fetch_one(&sql, ()).await.unwrap()
    }

    async fn end(mut self) {
        self.tested.at_rest().await;
        self.tested.check_token().await;
        let script = format!("rollback; drop table {}", self.table);
        self.locker.batch_execute(&script).await.unwrap();
    }
}

async fn echo(pool: &Pool, number: i32) -> Result<i32> {
    pool.fetch_one(ECHO, (number,)).await
}

async fn ended<T>(task: JoinHandle<T>) -> T {
    within(GENEROUS, "a task", task).await.unwrap()
}

/// Has so many tasks do what a crowd does, on shared connections.
async fn crowded(variable: &str, may_kill: bool) {
    let wanted = crowd::wanted(variable, SLICE);
    let tested = Tested::of(6, |builder| builder.queue_statements(16));
    let is_enough = |tally: &crowd::Tally, wanted| tally.answers.load(Ordering::Relaxed) >= wanted;
    let tally = crowd::share(&tested.pool, 64, may_kill, is_enough, wanted).await;
    println!("{tally:?}");
    assert!(tally.drops.load(Ordering::Relaxed) > wanted / 100);
    tested.at_rest().await;
    tested.check_token().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r19_tasks_that_share_connections_each_get_their_own_answers() {
    crowded("KORNAK_R19_QUERIES", false).await;
}

#[tokio::test]
async fn r19_tasks_of_one_thread_that_share_connections_each_get_their_own_answers() {
    crowded("KORNAK_R19_QUERIES", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r19_borrowers_and_tasks_that_share_get_their_own_answers() {
    let wanted = crowd::wanted("KORNAK_R19_QUERIES", SLICE);
    let tested = Tested::of(4, |builder| builder.queue_statements(16));
    let is_enough = |tally: &crowd::Tally, wanted| tally.answers.load(Ordering::Relaxed) >= wanted;
    let (one, other) = tokio::join!(
        crowd::borrow(&tested.pool, 24, false, is_enough, wanted / 2),
        crowd::share(&tested.pool, 48, false, is_enough, wanted)
    );
    println!("{one:?} {other:?}");
    tested.at_rest().await;
    tested.check_token().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r53_a_crowd_that_shares_conserves_places_when_backends_are_killed() {
    crowded("KORNAK_R53_QUERIES", true).await;
}

#[tokio::test]
async fn statements_stand_behind_one_that_is_slow_and_wait_for_no_connection() {
    let mut stage = Stage::set(|builder| builder).await;
    let front = stage.front().await;
    let behind: Vec<_> = (0..7).map(|number| stage.behind(number)).collect();
    // More than stand on a connection wait in line, as ever.
    let surplus = stage.behind(7);
    stage.until_waiting(1).await;
    assert!(!front.is_finished() && behind.iter().all(|task| !task.is_finished()));
    let status = stage.tested.pool.status();
    assert_eq!((status.size, status.busy), (1, 1), "{status:?}");
    stage.unlock().await;
    assert_eq!(ended(front).await.unwrap(), 1);
    for (number, task) in (0..).zip(behind) {
        assert_eq!(ended(task).await.unwrap(), number);
    }
    assert_eq!(ended(surplus).await.unwrap(), 7);
    assert_eq!(stage.updates().await, 1);
    stage.end().await;
}

#[tokio::test]
async fn a_pool_without_the_option_shares_nothing() {
    for per_connection in [None, Some(1)] {
        let mut stage = Stage::set(|builder| builder.queue_statements(per_connection)).await;
        let front = stage.front().await;
        let behind = stage.behind(5);
        stage.until_waiting(1).await;
        stage.unlock().await;
        assert_eq!(ended(front).await.unwrap(), 1);
        assert_eq!(ended(behind).await.unwrap(), 5);
        stage.end().await;
    }
}

#[tokio::test]
async fn r5_a_statement_that_is_given_up_is_not_cancelled_while_others_stand_behind_it() {
    let mut stage = Stage::set(|builder| builder).await;
    let front = stage.front().await;
    let behind = stage.behind(5);
    let dropped = stage.behind(6);
    tokio::task::yield_now().await;
    front.abort();
    dropped.abort();
    assert!(front.await.unwrap_err().is_cancelled());
    // Nothing makes the server give the statement up, however often it is looked at.
    for _ in 0..LOOKS {
        until_server(stage.is_blocked()).await;
    }
    stage.unlock().await;
    assert_eq!(ended(behind).await.unwrap(), 5);
    assert_eq!(stage.updates().await, 1, "it was cancelled");
    stage.end().await;
}

#[tokio::test]
async fn r5_a_connection_on_which_nobody_waits_any_more_is_cancelled_and_comes_back() {
    let mut stage = Stage::set(|builder| builder).await;
    let front = stage.front().await;
    let behind = stage.behind(5);
    tokio::task::yield_now().await;
    behind.abort();
    front.abort();
    // The lock is still held.
    stage.tested.at_rest().await;
    stage.tested.check_token().await;
    stage.unlock().await;
    assert_eq!(stage.updates().await, 0, "it was not cancelled");
    stage.end().await;
}

#[tokio::test]
async fn r53_the_reply_to_who_has_left_goes_to_nobody_who_comes_after() {
    let mut stage = Stage::set(|builder| builder).await;
    let front = stage.front().await;
    let kept = stage.behind(1);
    let left: Vec<_> = (100..103).map(|number| stage.behind(number)).collect();
    tokio::task::yield_now().await;
    for task in left {
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
    let behind: Vec<_> = (2..5).map(|number| stage.behind(number)).collect();
    tokio::task::yield_now().await;
    stage.unlock().await;
    assert_eq!(ended(front).await.unwrap(), 1);
    assert_eq!(ended(kept).await.unwrap(), 1);
    for (number, task) in (2..).zip(behind) {
        assert_eq!(ended(task).await.unwrap(), number);
    }
    stage.end().await;
}

#[tokio::test]
async fn a_deadline_ends_the_wait_behind_a_slow_statement_and_nothing_else() {
    let mut stage = Stage::set(|builder| builder).await;
    let front = stage.front().await;
    let patient = stage.behind(5);
    for round in 0..3 {
        let pool = stage.tested.pool.clone();
        let hasty = pool.query(ECHO).bind((round,)).timeout(SHORT);
        let error = within(GENEROUS, "a deadline", hasty.fetch_one::<i32>())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error:#}");
        assert_eq!(error.outcome(), Outcome::Unknown);
        assert_eq!(error.sql(), Some(ECHO));
    }
    assert!(!front.is_finished() && !patient.is_finished());
    stage.unlock().await;
    assert_eq!(ended(front).await.unwrap(), 1);
    assert_eq!(ended(patient).await.unwrap(), 5);
    stage.end().await;
}

#[tokio::test]
async fn a_deadline_of_all_ends_a_slow_statement_in_front() {
    let mut stage = Stage::set(|builder| builder.query_timeout(SHORT)).await;
    let front = stage.front().await;
    let behind = stage.behind(5);
    for error in [
        ended(front).await.unwrap_err(),
        ended(behind).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error:#}");
    }
    // The lock is still held, so that only a cancel brings the connection back.
    stage.tested.at_rest().await;
    stage.unlock().await;
    assert_eq!(stage.updates().await, 0);
    stage.end().await;
}

#[tokio::test]
async fn r26_each_who_shares_a_connection_learns_of_its_loss() {
    let stage = Stage::set(|builder| builder).await;
    let front = stage.front().await;
    let behind: Vec<_> = (0..7).map(|number| stage.behind(number)).collect();
    tokio::task::yield_now().await;
    let mut observer = stage.tested.observer().await;
    let sessions = observer.sessions().await;
    assert_eq!(sessions.len(), 1);
    observer.terminate(sessions[0].process).await;
    let mut errors = vec![ended(front).await.unwrap_err()];
    for task in behind {
        errors.push(ended(task).await.unwrap_err());
    }
    for error in errors {
        assert!(error.is_closed(), "{error:#}");
        assert_eq!(error.sqlstate(), Some(SqlState::ADMIN_SHUTDOWN));
        assert_eq!(error.outcome(), Outcome::Unknown, "{error:#}");
    }
    stage.end().await;
}

#[tokio::test]
async fn who_is_never_polled_again_keeps_nobody_waiting() {
    let mut stage = Stage::set(|builder| builder).await;
    let front = stage.front().await;
    let pool = stage.tested.pool.clone();
    let mut lazy = Box::pin(echo(&pool, 4));
    assert!(poll_once(&mut lazy).is_pending());
    let behind = stage.behind(5);
    tokio::task::yield_now().await;
    stage.unlock().await;
    assert_eq!(ended(front).await.unwrap(), 1);
    assert_eq!(ended(behind).await.unwrap(), 5);
    // The connection has come back, too.
    stage.tested.at_rest().await;
    stage.tested.check_token().await;
    assert_eq!(within(GENEROUS, "its answer", lazy).await.unwrap(), 4);
    stage.end().await;
}

#[tokio::test]
async fn r15_an_error_befalls_none_but_its_own() {
    let divide = "select $1::int4 / $2::int4";
    let mut stage = Stage::set(|builder| builder).await;
    let warm: i32 = stage.tested.pool.fetch_one(divide, (4, 2)).await.unwrap();
    assert_eq!(warm, 2);
    let front = stage.front().await;
    let mut tasks = Vec::new();
    for number in 0..6 {
        let pool = stage.tested.pool.clone();
        let run = async move { pool.fetch_one::<i32>(divide, (number, number % 2)).await };
        tasks.push(tokio::spawn(run));
    }
    tokio::task::yield_now().await;
    stage.until_waiting(0).await;
    stage.unlock().await;
    assert_eq!(ended(front).await.unwrap(), 1);
    for (number, task) in (0..).zip(tasks) {
        match ended(task).await {
            Ok(quotient) => assert_eq!((quotient, number % 2), (number, 1)),
            Err(error) => {
                assert_eq!(number % 2, 0);
                assert_eq!(error.sqlstate(), Some(SqlState::DIVISION_BY_ZERO));
                assert_eq!(error.outcome(), Outcome::RolledBack);
                assert_eq!(error.sql(), Some(divide));
            }
        }
    }
    stage.end().await;
}

#[tokio::test]
async fn each_verb_has_its_own_of_the_rows() {
    let several = "select g from generate_series(1, $1::int4) g";
    let mut stage = Stage::set(|builder| builder).await;
    let pool = stage.tested.pool.clone();
    assert_eq!(pool.execute(several, (2,)).await.unwrap(), 2);
    let front = stage.front().await;
    let all = async || pool.fetch_all::<i32>(several, (3,)).await;
    let none = async || pool.fetch_optional::<i32>(several, (0,)).await;
    let first = async || pool.fetch_optional::<i32>(several, (1,)).await;
    let many = async || pool.fetch_one::<i32>(several, (9,)).await;
    let no = async || pool.fetch_one::<i32>(several, (0,)).await;
    let count = async || pool.execute(several, (5,)).await;
    let lazily = async {
        tokio::task::yield_now().await;
        stage.until_waiting(0).await;
        stage.unlock().await;
    };
    let (all, none, first, many, no, count, ()) =
        tokio::join!(all(), none(), first(), many(), no(), count(), lazily);
    assert_eq!(all.unwrap(), [1, 2, 3]);
    assert_eq!(none.unwrap(), None);
    assert_eq!(first.unwrap(), Some(1));
    assert_eq!(many.unwrap_err().kind(), ErrorKind::TooManyRows);
    assert_eq!(no.unwrap_err().kind(), ErrorKind::NoRows);
    assert_eq!(count.unwrap(), 5);
    assert_eq!(ended(front).await.unwrap(), 1);
    stage.end().await;
}

#[tokio::test]
async fn r50_what_changes_a_session_or_a_transaction_has_a_connection_for_itself() {
    for alone in [
        "select set_config('kornak.queued', 'x', false)",
        "set kornak.queued = 'x'",
        "begin",
        "savepoint s",
        "select pg_advisory_lock_shared(77)",
    ] {
        let mut stage = Stage::set(|builder| builder).await;
        let pool = stage.tested.pool.clone();
        // A savepoint is refused outside of a transaction.
        let _ = pool.execute(alone, ()).await;
        stage.tested.at_rest().await;
        let front = stage.front().await;
        let task = {
            let pool = pool.clone();
            tokio::spawn(async move { pool.execute(alone, ()).await })
        };
        stage.until_waiting(1).await;
        let behind = stage.behind(5);
        stage.unlock().await;
        assert_eq!(ended(front).await.unwrap(), 1);
        let _ = ended(task).await;
        assert_eq!(ended(behind).await.unwrap(), 5);
        let setting = "select current_setting('kornak.queued', true)";
        let seen: Option<String> = pool.fetch_one(setting, ()).await.unwrap();
        assert_eq!(seen.unwrap_or_default(), "", "{alone}");
        stage.end().await;
    }
}

/// A table with a row, which gets a second column from another session.
struct Altered {
    session: Connection,
    table: String,
}

impl Altered {
    async fn create() -> Self {
        let table = format!("altered_{}", unique().replace('-', "_"));
        let mut session = connect().await;
        let script = format!("create table {table} (a int4); insert into {table} values (1)");
        session.batch_execute(&script).await.unwrap();
        Self { session, table }
    }

    fn select(&self) -> String {
        format!("select * from {} where a = $1", self.table)
    }

    async fn add_column(&mut self) {
        let script = format!("alter table {} add b int4 default 7", self.table);
        self.session.batch_execute(&script).await.unwrap();
    }

    async fn drop(mut self) {
        let script = format!("drop table {}", self.table);
        self.session.batch_execute(&script).await.unwrap();
    }
}

#[tokio::test]
async fn r41_a_statement_whose_table_was_altered_runs_once_on_a_connection_of_its_own() {
    let mut stage = Stage::set(|builder| builder).await;
    let mut altered = Altered::create().await;
    let sql = altered.select();
    let pool = stage.tested.pool.clone();
    let row: (i32,) = pool.fetch_one(&sql, (1,)).await.unwrap();
    assert_eq!(row, (1,));
    altered.add_column().await;
    let front = stage.front().await;
    let task = tokio::spawn(async move { pool.fetch_one::<(i32, i32)>(&sql, (1,)).await });
    // That the connection has the statement for one column is seen before it is sent, or it is
    // refused there: either way it is described anew.
    let behind = stage.behind(5);
    tokio::task::yield_now().await;
    stage.unlock().await;
    assert_eq!(ended(front).await.unwrap(), 1);
    assert_eq!(ended(behind).await.unwrap(), 5);
    assert_eq!(ended(task).await.unwrap(), (1, 7));
    altered.drop().await;
    stage.end().await;
}

#[tokio::test]
async fn r41_a_statement_that_the_server_refuses_at_its_turn_is_prepared_anew() {
    let mut stage = Stage::set(|builder| builder).await;
    let mut altered = Altered::create().await;
    let sql = altered.select();
    let pool = stage.tested.pool.clone();
    assert_eq!(pool.execute(&sql, (1,)).await.unwrap(), 1);
    let front = stage.front().await;
    let tasks = [(); 3].map(|()| {
        let (pool, sql) = (pool.clone(), sql.clone());
        tokio::spawn(async move { pool.execute(&sql, (1,)).await })
    });
    let behind = stage.behind(5);
    stage.until_waiting(0).await;
    tokio::task::yield_now().await;
    altered.add_column().await;
    stage.unlock().await;
    assert_eq!(ended(front).await.unwrap(), 1);
    for task in tasks {
        assert_eq!(ended(task).await.unwrap(), 1);
    }
    assert_eq!(ended(behind).await.unwrap(), 5);
    altered.drop().await;
    stage.end().await;
}

#[tokio::test]
async fn r54_a_pool_is_closed_when_what_stands_on_its_connections_has_been_answered() {
    let mut stage = Stage::set(|builder| builder).await;
    let front = stage.front().await;
    let behind = stage.behind(5);
    tokio::task::yield_now().await;
    let pool = stage.tested.pool.clone();
    let closing = tokio::spawn(async move { pool.close(GENEROUS).await });
    eventually("the pool closing", async || stage.tested.pool.is_closed()).await;
    let error = echo(&stage.tested.pool, 6).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PoolClosed, "{error:#}");
    stage.unlock().await;
    assert_eq!(ended(front).await.unwrap(), 1);
    assert_eq!(ended(behind).await.unwrap(), 5);
    ended(closing).await;
    assert_eq!(stage.tested.pool.status().size, 0);
    let script = format!("drop table {}", stage.table);
    stage.locker.batch_execute(&script).await.unwrap();
}

#[tokio::test]
async fn r3_a_statement_on_a_shared_connection_dropped_at_each_poll_leaves_the_others_theirs() {
    let mut stage = Stage::set(|builder| builder).await;
    stage.unlock().await;
    let load = Load::start(&stage.tested.pool, 4);
    load.until_more(100).await;
    let operate = async |(): &mut ()| {
        let many = "select g from generate_series(1, 300) g where g <> $1::int4";
        let rows: Vec<i32> = stage.tested.pool.fetch_all(many, (150,)).await.unwrap();
        assert_eq!(rows.len(), 299);
    };
    let check = async |(), _| load.until_more(5).await;
    for drops in [
        DropAtEachPoll::new("a shared statement")
            .at_least(1)
            .spurious_polls(1),
        DropAtEachPoll::new("a shared statement")
            .at_least(1)
            .once_woken(),
    ] {
        drops.run(async || (), operate, check).await;
    }
    load.end().await;
    stage.end().await;
}

#[tokio::test]
async fn r24_large_values_and_results_of_all_at_once_block_nobody() {
    let tested = Tested::of(2, |builder| builder.queue_statements(16));
    let sql = "select $1::text from generate_series(1, $2::int4)";
    let few: Vec<String> = tested.pool.fetch_all(sql, ("", 1)).await.unwrap();
    assert_eq!(few, [""]);
    let tasks: Vec<_> = (0..32)
        .map(|task: usize| {
            let pool = tested.pool.clone();
            tokio::spawn(async move {
                for round in 0..3 {
                    let text = format!("{task}-{round}-").repeat(20_000 + task);
                    let rows: Vec<String> = pool.fetch_all(sql, (&*text, 3)).await.unwrap();
                    assert!(rows.len() == 3 && rows.iter().all(|row| *row == text));
                }
            })
        })
        .collect();
    for task in tasks {
        within(GENEROUS * 4, "a task", task).await.unwrap();
    }
    at_rest(&tested.pool).await;
}

/// A runtime of its own can only end outside of another.
#[test]
fn who_shares_learns_of_the_end_of_the_pools_runtime() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    };
    let (ours, theirs) = (runtime(), runtime());
    let (mut rider, pool) = theirs.block_on(async {
        let stage = Stage::set(|builder| builder).await;
        let front = stage.front().await;
        let pool = stage.tested.pool.clone();
        let rider = {
            let pool = pool.clone();
            Box::pin(async move { echo(&pool, 5).await })
        };
        // The lock ends with the runtime.
        tokio::spawn(async move {
            let _stage = stage;
            front.await
        });
        (rider, pool)
    });
    theirs.block_on(poll_fn(|cx| {
        assert!(rider.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    }));
    theirs.shutdown_timeout(GENEROUS);
    let error = ours
        .block_on(within(GENEROUS, "the end", rider))
        .unwrap_err();
    assert!(error.is_closed() || error.kind() == ErrorKind::PoolClosed);
    assert_eq!(error.outcome(), Outcome::Unknown, "{error:#}");
    assert!(pool.is_closed());
}
