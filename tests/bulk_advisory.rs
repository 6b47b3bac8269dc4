//! Advisory locks as guards.

mod live;
mod pool_support;
mod support;

use std::time::Duration;

use kornak::connection::LockKey;
use kornak::{Connection, ErrorKind, SqlState, TransactionStatus};
use live::{check_token, connect, connect_over, until_server};
use pool_support::Tested;
use support::deadline::{GENEROUS, within};
use support::drops::DropAtEachPoll;
use support::proxy::{Listen, Proxy, Way};
use support::raw::RawClient;
use support::server;

/// A key that no other test has.
fn key() -> i64 {
    let name = support::raw::unique();
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    hash as i64
}

/// The locks that are held or waited for, as the server sees it.
fn locks(process: i32) -> String {
    RawClient::of_tests().value(&asking_for_locks(process))
}

fn asking_for_locks(process: i32) -> String {
    format!(
        "select coalesce(string_agg(mode || ' ' || granted, ',' order by mode), '') from pg_locks where locktype = 'advisory' and pid = {process}"
    )
}

async fn until_locks(process: i32, locks: &str) {
    until_server(format!("({}) = '{locks}'", asking_for_locks(process))).await;
}

async fn unlocked(process: i32) {
    until_locks(process, "").await;
}

#[tokio::test]
async fn a_lock_keeps_others_out_until_it_is_released_or_dropped() {
    let (mut one, mut two) = (connect().await, connect().await);
    let process = one.process_id();
    let number = key();
    let keys: [LockKey; 4] = [
        number.into(),
        (number | i64::MIN).into(),
        (number as i32, -7).into(),
        i64::from(number as i32 as u32 as i32).into(),
    ];
    for key in keys {
        for dropped in [false, true] {
            let mut lock = one.advisory_lock(key).lock().await.unwrap();
            assert_eq!(lock.fetch_one::<i32>("select 1", ()).await.unwrap(), 1);
            assert_eq!(locks(process), "ExclusiveLock true");
            assert!(two.advisory_lock(key).try_lock().await.unwrap().is_none());
            let shared = two.advisory_lock(key).shared();
            assert!(shared.try_lock().await.unwrap().is_none());
            let limited = two.advisory_lock(key).timeout(Duration::from_millis(20));
            let error = limited.lock().await.unwrap_err();
            assert_eq!(error.sqlstate(), Some(SqlState::LOCK_NOT_AVAILABLE));
            assert_eq!(two.transaction_status(), TransactionStatus::Idle);
            if dropped {
                drop(lock);
                // Nobody uses the connection: it is unlocked all the same.
                unlocked(process).await;
            } else {
                lock.release().await.unwrap();
                assert_eq!(locks(process), "");
            }
            let lock = two.advisory_lock(key).timeout(Duration::from_secs(60));
            let lock = lock.lock().await.unwrap();
            lock.release().await.unwrap();
        }
    }
    let shared = one.advisory_lock(number).shared().lock().await.unwrap();
    let other = two.advisory_lock(number).shared().try_lock().await.unwrap();
    assert_eq!(locks(process), "ShareLock true");
    drop((shared, other));
    for connection in [&mut one, &mut two] {
        check_token(connection).await;
        unlocked(connection.process_id()).await;
    }
}

#[tokio::test]
async fn a_lock_that_is_waited_for_comes_when_it_is_free() {
    let (mut one, mut two) = (connect().await, connect().await);
    let (number, waiter) = (key(), two.process_id());
    let lock = one.advisory_lock(number).lock().await.unwrap();
    let waiting = tokio::spawn(async move {
        let lock = two.advisory_lock(number).lock().await.unwrap();
        lock.release().await.unwrap();
        two
    });
    until_locks(waiter, "ExclusiveLock false").await;
    lock.release().await.unwrap();
    let mut two = within(GENEROUS, "the lock", waiting).await.unwrap();
    check_token(&mut two).await;
}

#[tokio::test]
async fn a_lock_within_a_lock_is_one() {
    let mut connection = connect().await;
    let (number, process) = (key(), connection.process_id());
    let mut outer = connection.advisory_lock(number).lock().await.unwrap();
    let mut inner = outer
        .advisory_lock(number)
        .try_lock()
        .await
        .unwrap()
        .unwrap();
    let innermost = inner.advisory_lock(number).lock().await.unwrap();
    innermost.release().await.unwrap();
    drop(inner);
    assert_eq!(locks(process), "ExclusiveLock true");
    let both = outer.advisory_lock(number).shared().lock().await.unwrap();
    assert_eq!(locks(process), "ExclusiveLock true,ShareLock true");
    both.release().await.unwrap();
    outer
        .execute("select pg_advisory_unlock_all()", ())
        .await
        .unwrap();
    let error = outer.release().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn a_transaction_holds_its_locks_to_its_end() {
    let (mut one, mut two) = (connect().await, connect().await);
    let (number, process) = (key(), one.process_id());
    let error = one.advisory_lock(number).lock_in_transaction().await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Usage);
    let error = one.advisory_lock(number).try_lock_in_transaction().await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Usage);
    for timeout in [None, Some(Duration::from_secs(60))] {
        for commits in [false, true] {
            let mut transaction = one.begin().await.unwrap();
            let mut request = transaction.advisory_lock(number);
            if let Some(timeout) = timeout {
                request = request.timeout(timeout);
            }
            request.lock_in_transaction().await.unwrap();
            assert_eq!(locks(process), "ExclusiveLock true");
            let mut other = two.begin().await.unwrap();
            let taken = other.advisory_lock(number).try_lock_in_transaction();
            assert!(!taken.await.unwrap());
            // The timeout leaves the transaction in order, and its settings as they were.
            let limited = other
                .advisory_lock(number)
                .timeout(Duration::from_millis(20));
            let error = limited.lock_in_transaction().await.unwrap_err();
            assert_eq!(error.sqlstate(), Some(SqlState::LOCK_NOT_AVAILABLE));
            let limited = other
                .advisory_lock(number)
                .timeout(Duration::from_millis(20));
            limited.lock().await.unwrap_err();
            let free = other
                .advisory_lock(number ^ 1)
                .timeout(Duration::from_millis(20));
            free.lock_in_transaction().await.unwrap();
            let free = other
                .advisory_lock(number ^ 2)
                .timeout(Duration::from_millis(20));
            free.lock().await.unwrap().release().await.unwrap();
            let setting: String = other
                .fetch_one("select current_setting('lock_timeout')", ())
                .await
                .unwrap();
            assert_eq!(setting, "0");
            other.commit().await.unwrap();
            if commits {
                transaction.commit().await.unwrap();
            } else {
                transaction.rollback().await.unwrap();
            }
            assert_eq!(locks(process), "");
            assert_eq!(locks(two.process_id()), "");
        }
    }
    check_token(&mut one).await;
    check_token(&mut two).await;
}

/// A failed transaction takes no statement: the lock is given back when it ends.
#[tokio::test]
async fn a_lock_that_is_dropped_in_a_failed_transaction_is_given_back_at_its_end() {
    let mut connection = connect().await;
    let (number, process) = (key(), connection.process_id());
    for released in [false, true] {
        for end in 0..3 {
            let mut transaction = connection.begin().await.unwrap();
            let mut lock = transaction.advisory_lock(number).lock().await.unwrap();
            lock.execute("select 1 / 0", ()).await.unwrap_err();
            if released {
                lock.release().await.unwrap();
            } else {
                drop(lock);
            }
            assert_eq!(locks(process), "ExclusiveLock true");
            match end {
                0 => transaction.rollback().await.unwrap(),
                1 => drop(transaction.commit().await.unwrap_err()),
                _ => drop(transaction),
            }
            unlocked(process).await;
            check_token(&mut connection).await;
        }
    }
    // A savepoint that is rolled back to makes it possible again.
    let mut transaction = connection.begin().await.unwrap();
    transaction.execute("select 1", ()).await.unwrap();
    let mut savepoint = transaction.begin().await.unwrap();
    let mut lock = savepoint.advisory_lock(number).lock().await.unwrap();
    lock.execute("select 1 / 0", ()).await.unwrap_err();
    drop(lock);
    savepoint.rollback().await.unwrap();
    unlocked(process).await;
    transaction.commit().await.unwrap();
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r3_a_lock_dropped_at_each_poll_is_held_by_nobody() {
    for way in 0..4 {
        let number = key();
        DropAtEachPoll::new("a lock")
            .at_least(if way < 2 { 1 } else { 2 })
            .spurious_polls(2)
            .run(
                async || {
                    let mut connection = connect().await;
                    connection.execute("select 1", ()).await.unwrap();
                    connection
                },
                async |connection| match way {
                    0 => drop(connection.advisory_lock(number).lock().await.unwrap()),
                    1 => drop(connection.advisory_lock(number).try_lock().await.unwrap()),
                    2 => {
                        let lock = connection.advisory_lock(number).lock().await.unwrap();
                        lock.release().await.unwrap();
                    }
                    _ => {
                        let request = connection.advisory_lock(number);
                        let limited = request.timeout(Duration::from_secs(60));
                        limited.lock().await.unwrap().release().await.unwrap();
                    }
                },
                async |mut connection, _| {
                    check_token(&mut connection).await;
                    unlocked(connection.process_id()).await;
                },
            )
            .await;
    }
}

/// The wait is given up while another holds the lock, and the answer is there when nobody
/// looks.
#[tokio::test]
async fn r3_a_wait_that_is_given_up_takes_no_lock() {
    let proxy = Proxy::start(Listen::Tcp, server::tcp_target().address);
    let mut holder = connect().await;
    let mut connection = connect_over(proxy.address(), |config| config).await;
    let (number, process) = (key(), connection.process_id());
    for granted in [false, true] {
        let lock = holder.advisory_lock(number).lock().await.unwrap();
        {
            let mut waiting = Box::pin(connection.advisory_lock(number).lock());
            tokio::select! {
                lock = &mut waiting => panic!("{lock:?}"),
                () = until_locks(process, "ExclusiveLock false") => {}
            }
            if granted {
                // It is given now, and the answer is held up.
                proxy.session(0).await.stall(Way::ToClient);
                lock.release().await.unwrap();
                until_locks(process, "ExclusiveLock true").await;
            }
        }
        proxy.session(0).await.resume();
        check_token(&mut connection).await;
        unlocked(process).await;
    }
}

#[tokio::test]
async fn r50_a_pool_s_next_borrower_finds_no_lock() {
    let tested = Tested::of(1, |builder| builder);
    let number = key();
    let mut connection = tested.acquire().await;
    let process = connection.process_id();
    let lock = connection.advisory_lock(number).lock().await.unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "that nothing undoes it is the point"
    )]
    std::mem::forget(lock);
    drop(connection);
    tested.at_rest().await;
    tested.check_token().await;
    let mut connection = tested.acquire().await;
    assert_eq!(connection.process_id(), process);
    // It is asked for anew, and not believed to be held.
    let mut other = connect().await;
    let elsewhere = other.advisory_lock(number).try_lock().await.unwrap();
    let elsewhere = elsewhere.expect("the reset has unlocked it");
    let taken = connection.advisory_lock(number).try_lock().await.unwrap();
    assert!(taken.is_none());
    drop(taken);
    elsewhere.release().await.unwrap();
    let lock = connection.advisory_lock(number).lock().await.unwrap();
    drop(lock);
    drop(connection);
    tested.at_rest().await;
    unlocked(process).await;
}

#[tokio::test]
async fn a_connection_swapped_under_its_lock_is_closed() {
    let (mut one, mut two) = (connect().await, connect().await);
    let mut lock = one.advisory_lock(key()).lock().await.unwrap();
    std::mem::swap::<Connection>(&mut lock, &mut two);
    drop(lock);
    assert!(one.is_closed());
    check_token(&mut two).await;
}

#[tokio::test]
async fn behind_a_pooler_only_transactions_hold_locks() {
    let mut connection =
        live::connect_as(|config| config.pooler(kornak::config::Pooler::Transaction)).await;
    let error = connection.advisory_lock(key()).lock().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let mut transaction = connection.begin().await.unwrap();
    let request = transaction.advisory_lock(key());
    request.lock_in_transaction().await.unwrap();
    transaction.commit().await.unwrap();
    check_token(&mut connection).await;
}
