//! What one connection of a pool has learnt, pipelines use on another.

use kornak::connection::pipeline::{Exec, Statements};
use kornak::error::Outcome;
use kornak::{
    Connection, ErrorKind, Numeric, Params, PoolConnection, Row, SqlState, all, exec, one,
};

use super::{INSERT, TABLE, count};
use crate::live::check_token;
use crate::pool_support::sharing::{COLD, Mood, Shared, check_learnt};
use crate::support::drops::DropAtEachPoll;

const NOTE: &str = "select note from t where m = $1 and n = $2";

/// A statement of which all that is known is outdated by [`ANOTHER_MOOD`].
fn moody() -> Exec<'static, impl Params> {
    exec("insert into t (id, m) values (1, $1)", (Mood::Gay,))
}

/// A statement that nothing outdates here.
fn plain() -> Exec<'static, impl Params> {
    exec("insert into t (id, n) values (2, $1)", (Numeric::from(2),))
}

fn pair() -> (Exec<'static, impl Params>, Exec<'static, impl Params>) {
    (moody(), plain())
}

const ANOTHER_MOOD: &str = "alter table t drop column m; drop type mood cascade; \
    create type mood as enum ('gay'); alter table t add column m mood; truncate t";

/// The statements of a pipeline that are new to a connection, each where it is run.
const COLD_PAIR: [&str; 9] = [
    "Parse", "Describe", "Bind", "Execute", "Parse", "Describe", "Bind", "Execute", "Sync",
];

#[tokio::test]
async fn a_fresh_connection_runs_a_known_pipeline_in_one_round_trip() {
    let shared = Shared::new(TABLE);
    let mut used = Vec::new();
    for number in 0..3 {
        let (mut connection, link) = shared.fresh().await;
        let run = async |connection: &mut PoolConnection, id: i32| {
            let item = (id, Numeric::from(id), Mood::Gay, "a note");
            let both = (
                one::<(i32, Mood)>(INSERT, item),
                one::<String>(NOTE, (Mood::Gay, Numeric::from(id))),
            );
            let (inserted, note) = connection.pipeline(both).await.unwrap();
            assert_eq!((inserted, &*note), ((id, Mood::Gay), "a note"));
        };
        let sent = link.sent_from_now();
        run(&mut connection, number).await;
        check_learnt(number, &sent, &COLD_PAIR);
        let sent = link.sent_from_now();
        run(&mut connection, 10 + number).await;
        let warm = ["Bind", "Execute", "Bind", "Execute", "Sync"];
        assert_eq!(sent.flights(), [warm]);
        // One that is prepared, one that is known, the same once more, and one that nobody knows.
        let sent = link.sent_from_now();
        let days = "select n from t where n = $1 and id >= 0";
        let zero = || all::<Numeric>(days, (Numeric::from(0),));
        let first = all::<String>(NOTE, (Mood::Gay, Numeric::from(0)));
        let (first, second, third) = connection.pipeline((first, zero(), zero())).await.unwrap();
        assert_eq!((first.len(), second.len(), third.len()), (1, 1, 1));
        let sent = sent.flights();
        let mixed = [
            "Bind", "Execute", "Parse", "Describe", "Bind", "Execute", "Describe", "Bind",
            "Execute", "Sync",
        ];
        match number {
            0 => assert_eq!(sent.len(), 2, "{sent:?}"),
            _ => assert_eq!(sent, [mixed]),
        }
        let sent = link.sent_from_now();
        let unknown = format!("select {number}, $1::numeric");
        let both = (zero(), one::<(i32, Numeric)>(&unknown, (Numeric::from(1),)));
        connection.pipeline(both).await.unwrap();
        assert_eq!(sent.flights().len(), 2);
        check_token(&mut connection).await;
        used.push(connection);
    }
}

#[tokio::test]
async fn a_known_pipeline_goes_with_its_begin_and_parses_no_statement_before_its_turn() {
    let shared = Shared::new(TABLE);
    let mut all = Vec::new();
    for number in 0..2 {
        let (mut connection, link) = shared.fresh().await;
        // What is parsed has a snapshot, behind which the level can't be set any more.
        let both = (
            exec("set transaction isolation level serializable", ()),
            one::<String>("select current_setting('transaction_isolation')", ()),
        );
        let sent = link.sent_from_now();
        let (_, level) = connection.pipeline(both).await.unwrap();
        assert_eq!(level, "serializable");
        let sent = sent.flights().len();
        assert_eq!(sent, if number == 0 { 2 } else { 1 });
        all.push(connection);
        let (mut connection, link) = shared.fresh().await;
        let sent = link.sent_from_now();
        let mut transaction = connection.begin().await.unwrap();
        let one = one::<i32>(
            "select a from generate_series(1, 1) a where $1::numeric = 1",
            (Numeric::from(1),),
        );
        transaction.pipeline((one,)).await.unwrap();
        let sent = sent.flights();
        transaction.commit().await.unwrap();
        if number == 1 {
            let begin = ["Parse", "Bind", "Execute"];
            assert_eq!(sent, [[&begin[..], &COLD[..]].concat()]);
        }
        all.push(connection);
    }
}

/// The outcome of a pipeline of a fresh connection after something was altered, in which what is
/// known of the first statement, or of the second, is outdated.
#[tokio::test]
async fn r41_a_known_pipeline_of_before_an_alteration_runs_as_a_whole_or_not_at_all() {
    for is_first in [true, false] {
        let mut shared = Shared::new(TABLE);
        let run = async |connection: &mut PoolConnection| {
            if is_first {
                connection.pipeline((moody(), plain())).await
            } else {
                connection.pipeline((plain(), moody())).await
            }
        };
        let (mut first, _) = shared.fresh().await;
        run(&mut first).await.unwrap();
        shared.alter(ANOTHER_MOOD);
        let (mut second, _) = shared.fresh().await;
        let ran = run(&mut second).await;
        if is_first {
            // Nothing of it had run: it is described, and runs once.
            ran.unwrap();
            assert_eq!(count(&mut second).await, 2);
        } else {
            let error = ran.unwrap_err();
            assert_eq!(error.index(), Some(1), "{error}");
            assert_eq!(error.error().outcome(), Outcome::RolledBack);
            assert_eq!(count(&mut second).await, 0, "nothing of it stays");
            run(&mut second).await.unwrap();
            assert_eq!(count(&mut second).await, 2);
        }
        check_token(&mut second).await;
        // In a transaction that is open it fails it, in either case.
        let (mut third, _) = shared.fresh().await;
        run(&mut third).await.unwrap();
        shared.alter(ANOTHER_MOOD);
        let (mut fourth, _) = shared.fresh().await;
        let mut transaction = fourth.begin().await.unwrap();
        transaction.pipeline((moody(),)).await.unwrap_err();
        transaction.rollback().await.unwrap();
        run(&mut fourth).await.unwrap();
        assert_eq!(count(&mut fourth).await, 2);
        check_token(&mut fourth).await;
    }
}

#[tokio::test]
async fn a_fresh_connection_runs_each_of_a_known_pipeline_in_one_round_trip() {
    let shared = Shared::new(TABLE);
    let mut used = Vec::new();
    for number in 0..3 {
        let (mut connection, link) = shared.fresh().await;
        let run = async |connection: &mut PoolConnection, id: i32| {
            let item = (id, Numeric::from(id), Mood::Gay, "a note");
            let three = (
                one::<(i32, Mood)>(INSERT, item),
                one::<String>(NOTE, (Mood::Gay, Numeric::from(id))),
                all::<String>(NOTE, (Mood::Glum, Numeric::from(id))),
            );
            let (inserted, note, none) = connection.pipeline_each(three).await.unwrap();
            assert_eq!(inserted.unwrap(), (id, Mood::Gay));
            assert_eq!(note.unwrap(), "a note");
            assert!(none.unwrap().is_empty());
        };
        let sent = link.sent_from_now();
        run(&mut connection, number).await;
        check_learnt(number, &sent, &[&COLD[..], &COLD, &COLD[1..]].concat());
        let sent = link.sent_from_now();
        run(&mut connection, 10 + number).await;
        let warm = ["Bind", "Execute", "Sync"].repeat(3);
        assert_eq!(sent.flights(), [warm]);
        check_token(&mut connection).await;
        used.push(connection);
    }
}

#[tokio::test]
async fn each_of_a_known_pipeline_has_its_own_outcome() {
    let shared = Shared::new(TABLE);
    let divide = "select id / $1::int4 from t where n = $2";
    let mut used = Vec::new();
    for number in 0..2 {
        let (mut connection, link) = shared.fresh().await;
        let insert = "insert into t (id, n) values ($1, $2)";
        connection
            .execute(insert, (7, Numeric::from(number)))
            .await
            .unwrap();
        let divide = |by: i32| one::<i32>(divide, (by, Numeric::from(number)));
        let sent = link.sent_from_now();
        let results = connection
            .pipeline_each([7, 0, 1].map(divide))
            .await
            .unwrap();
        let [seven, zero, one] = <[_; 3]>::try_from(results).unwrap();
        assert_eq!((seven.unwrap(), one.unwrap()), (1, 7));
        let zero = zero.unwrap_err();
        assert_eq!(zero.sqlstate(), Some(SqlState::DIVISION_BY_ZERO), "{zero}");
        let sent = sent.flights();
        if number > 0 {
            let again = &COLD[1..];
            assert_eq!(sent, [[&COLD[..], again, again].concat()]);
        }
        // Within a transaction the first failure is that of the rest, too.
        let mut transaction = connection.begin().await.unwrap();
        let results = transaction
            .pipeline_each([1, 0, 1].map(divide))
            .await
            .unwrap();
        let codes: Vec<_> = results
            .iter()
            .map(|result| result.as_ref().err().and_then(kornak::Error::sqlstate))
            .collect();
        let failed = Some(SqlState::IN_FAILED_SQL_TRANSACTION);
        assert_eq!(codes, [None, Some(SqlState::DIVISION_BY_ZERO), failed]);
        transaction.rollback().await.unwrap();
        check_token(&mut connection).await;
        used.push(connection);
    }
}

/// What another connection knows is outdated: of all statements, of the last, of the first.
#[tokio::test]
async fn r41_each_of_a_known_pipeline_of_before_an_alteration_runs_in_its_turn_or_not_at_all() {
    for outdated in [&[0, 1, 2][..], &[2], &[0], &[0, 2]] {
        let mut shared = Shared::new(TABLE);
        let statements = || {
            let mut statements = Statements::new();
            let tickets: Vec<_> = (0..3)
                .map(|index| match outdated.contains(&index) {
                    true => statements.add(moody()),
                    false => statements.add(plain()),
                })
                .collect();
            (statements, tickets)
        };
        let run = async |connection: &mut Connection| {
            let (statements, tickets) = statements();
            let mut results = connection.pipeline_each(statements).await.unwrap();
            let results = tickets.into_iter().map(|ticket| results.take(ticket));
            results.collect::<Vec<_>>()
        };
        let (mut first, _) = shared.fresh().await;
        assert!(run(&mut first).await.iter().all(Result::is_ok));
        shared.alter(ANOTHER_MOOD);
        let (mut second, _) = shared.fresh().await;
        let results = run(&mut second).await;
        let mut failed = 0;
        for (index, result) in results.iter().enumerate() {
            // Nothing that has run may have run before what is run now.
            let is_in_turn = (index..3).all(|index| outdated.contains(&index));
            if outdated.contains(&index) && !is_in_turn {
                let error = result.as_ref().unwrap_err();
                assert_eq!(error.outcome(), Outcome::RolledBack);
                failed += 1;
            } else {
                assert_eq!(result.as_ref().unwrap(), &1, "{outdated:?} {index}");
            }
        }
        assert_eq!(count(&mut second).await, 3 - failed, "{outdated:?}");
        assert!(run(&mut second).await.iter().all(Result::is_ok));
        assert_eq!(count(&mut second).await, 6 - failed);
        check_token(&mut second).await;
        // In a transaction that is open it fails it.
        let (mut third, _) = shared.fresh().await;
        run(&mut third).await;
        shared.alter(ANOTHER_MOOD);
        let (mut fourth, _) = shared.fresh().await;
        let mut transaction = fourth.begin().await.unwrap();
        let results = run(&mut transaction).await;
        let refused = results[outdated[0]].as_ref().unwrap_err();
        assert_eq!(refused.outcome(), Outcome::RolledBack, "{refused}");
        assert!(results[outdated[0]..].iter().all(Result::is_err));
        transaction.rollback().await.unwrap();
        assert!(run(&mut fourth).await.iter().all(Result::is_ok));
        assert_eq!(count(&mut fourth).await, 3);
        check_token(&mut fourth).await;
    }
}

#[tokio::test]
async fn r41_a_transaction_within_a_known_pipeline_is_not_run_in_part() {
    let mut shared = Shared::new(TABLE);
    let four = || {
        (
            exec("begin", ()),
            exec("insert into t (id) values (3)", ()),
            moody(),
            moody(),
        )
    };
    let (mut first, _) = shared.fresh().await;
    let (begun, plain, one, two) = first.pipeline_each(four()).await.unwrap();
    for result in [begun, plain, one, two] {
        result.unwrap();
    }
    first.execute("commit", ()).await.unwrap();
    shared.alter(ANOTHER_MOOD);
    let (mut second, _) = shared.fresh().await;
    let (begun, plain, one, two) = second.pipeline_each(four()).await.unwrap();
    begun.unwrap();
    plain.unwrap();
    one.unwrap_err();
    two.unwrap_err();
    second.execute("rollback", ()).await.unwrap();
    assert_eq!(count(&mut second).await, 0);
    check_token(&mut second).await;
}

#[tokio::test]
async fn r3_each_of_a_known_pipeline_dropped_at_each_poll_runs_once_or_never() {
    let shared = Shared::new(TABLE);
    let (mut first, _) = shared.fresh().await;
    let (one, two) = first.pipeline_each(pair()).await.unwrap();
    assert_eq!((one.unwrap(), two.unwrap()), (1, 1));
    drop(first);
    DropAtEachPoll::new("each of a known pipeline")
        .at_least(1)
        .spurious_polls(1)
        .run(
            async || {
                shared.tested.pool.expire_all();
                shared.tested.at_rest().await;
                let mut connection = shared.tested.acquire().await;
                connection.execute("truncate t", ()).await.unwrap();
                shared.tested.pool.expire_all();
                drop(connection);
                shared.tested.at_rest().await;
                shared.tested.acquire().await
            },
            async |connection| {
                let (one, two) = connection.pipeline_each(pair()).await.unwrap();
                assert_eq!((one.unwrap(), two.unwrap()), (1, 1));
            },
            async |mut connection, case| {
                check_token(&mut connection).await;
                let ids = "select id from t order by id";
                let ids: Vec<i32> = connection.fetch_all(ids, ()).await.unwrap();
                assert!([1, 2].starts_with(&ids), "{ids:?}: {case:?}");
            },
        )
        .await;
}

#[tokio::test]
async fn r41_rows_of_a_known_pipeline_are_read_as_it_describes_them() {
    let mut shared = Shared::new(TABLE);
    shared.alter("insert into t values (1, 7, 'gay', '7')");
    let sql = "select note, id from t where n = $1";
    let two = || [(); 2].map(|()| all::<Row>(sql, (Numeric::from(7),)));
    let (mut first, _) = shared.fresh().await;
    first.pipeline(two()).await.unwrap();
    shared.alter(
        "alter table t alter note type int8 using note::int8; alter table t alter id type text",
    );
    let (mut second, link) = shared.fresh().await;
    let sent = link.sent_from_now();
    for rows in second.pipeline(two()).await.unwrap() {
        assert_eq!(rows[0].get::<i64>("note").unwrap(), 7);
        assert_eq!(rows[0].get::<String>("id").unwrap(), "1");
    }
    assert_eq!(sent.flights().len(), 1);
    // What can't be read as before is an error, and the next connection is told before it runs.
    let typed = || (all::<(i64, String)>(sql, (Numeric::from(7),)),);
    let (mut third, _) = shared.fresh().await;
    third.pipeline(typed()).await.unwrap();
    shared.alter("alter table t alter id type int4 using id::int4");
    let (mut fourth, _) = shared.fresh().await;
    let error = fourth.pipeline(typed()).await.unwrap_err();
    assert_eq!(error.error().kind(), ErrorKind::Decode, "{error}");
    check_token(&mut fourth).await;
    let (mut fifth, _) = shared.fresh().await;
    let error = fifth.pipeline(typed()).await.unwrap_err();
    assert_eq!(error.error().outcome(), Outcome::NotRun, "{error}");
}

#[tokio::test]
async fn r3_a_known_pipeline_dropped_at_each_poll_leaves_all_of_it_or_nothing() {
    let shared = Shared::new(TABLE);
    let (mut first, _) = shared.fresh().await;
    first.pipeline(pair()).await.unwrap();
    drop(first);
    DropAtEachPoll::new("a known pipeline")
        .at_least(1)
        .spurious_polls(1)
        .run(
            async || {
                shared.tested.pool.expire_all();
                shared.tested.at_rest().await;
                shared.tested.acquire().await
            },
            async |connection| {
                connection.pipeline(pair()).await.unwrap();
            },
            async |mut connection, case| {
                check_token(&mut connection).await;
                assert_eq!(
                    count(&mut connection).await % 2,
                    0,
                    "a part of it: {case:?}"
                );
                connection.pipeline(pair()).await.unwrap();
            },
        )
        .await;
}
