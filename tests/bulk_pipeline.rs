//! Pipelines against a real server: one round trip, all or nothing or each on its own.

mod live;
mod support;

use kornak::connection::pipeline::Statements;
use kornak::error::Outcome;
use kornak::{Connection, ErrorKind, FromRow, Row, SqlState, all, exec, one, optional};
use live::{check_token, connect_as, connect_over, connect_small as connect, count, small_buffers};
use support::deadline::{GENEROUS, within};
use support::drops::{Case, DropAtEachPoll};
use support::proxy::{Listen, Proxy, Way};
use support::raw::RawClient;
use support::server;

async fn table(connection: &mut Connection, definition: &str) {
    let script = format!("create temp table t ({definition})");
    connection.batch_execute(&script).await.unwrap();
}

#[tokio::test]
async fn each_kind_of_statement_has_its_result() {
    let mut connection = connect().await;
    table(&mut connection, "id int4 primary key, name text").await;
    for _ in 0..3 {
        let (n, name, ids, none, gone) = connection
            .pipeline((
                exec("insert into t values ($1, $2), (2, 'b')", (1, "a")),
                one::<String>("select name from t where id = $1", (1,)),
                all::<(i32,)>("select id from t order by id", ()),
                optional::<i32>("select id from t where id = $1", (3,)),
                exec("delete from t", ()),
            ))
            .await
            .unwrap();
        assert_eq!((n, name.as_str(), none, gone), (2, "a", None, 2));
        assert_eq!(ids, [(1,), (2,)]);
    }
    check_token(&mut connection).await;
}

#[tokio::test]
async fn a_number_known_only_at_run_time_is_a_list() {
    let mut connection = connect().await;
    for n in [0_i32, 1, 100] {
        let items: Vec<_> = (0..n).map(|i| one::<i32>("select $1 * 2", (i,))).collect();
        let doubled = connection.pipeline(items).await.unwrap();
        assert_eq!(doubled, (0..n).map(|i| i * 2).collect::<Vec<_>>());
    }
    assert_eq!(connection.cached_statements(), 1);
    let each = connection
        .pipeline_each([4, 0, 2].map(|i| one::<i32>("select 8 / $1", (i,))))
        .await
        .unwrap();
    assert_eq!(*each[0].as_ref().unwrap(), 2);
    let error = each[1].as_ref().unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::DIVISION_BY_ZERO));
    assert_eq!(*each[2].as_ref().unwrap(), 4);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn s35_one_text_with_other_types_is_another_statement_of_a_list() {
    let mut connection = connect().await;
    let sql = "select pg_typeof($1)::text";
    let values: [&(dyn kornak::codec::DynEncode + Sync); 5] =
        [&1_i32, &2_i32, &3_i64, &true, &4_i32];
    let lists: Vec<_> = values.iter().map(std::slice::from_ref).collect();
    for _ in 0..2 {
        let items: Vec<_> = lists.iter().map(|list| one::<String>(sql, *list)).collect();
        let types = connection.pipeline(items).await.unwrap();
        assert_eq!(
            types,
            ["integer", "integer", "bigint", "boolean", "integer"]
        );
        assert_eq!(connection.cached_statements(), 3);
    }
}

#[tokio::test]
async fn statements_that_are_not_kept_go_in_a_pipeline_too() {
    for capacity in [0, 1] {
        let mut connection = connect_as(|config| config.statement_cache_capacity(capacity)).await;
        for _ in 0..2 {
            let (a, b, c) = connection
                .pipeline((
                    one::<i32>("select 1", ()),
                    one::<i32>("select 2", ()),
                    one::<i32>("select 3", ()),
                ))
                .await
                .unwrap();
            assert_eq!((a, b, c), (1, 2, 3));
        }
        let kept: i64 = connection
            .fetch_one("select count(*) from pg_prepared_statements", ())
            .await
            .unwrap();
        assert!(kept <= 2, "{kept} statements were left behind");
        check_token(&mut connection).await;
    }
}

#[tokio::test]
async fn r16_the_root_error_undoes_a_pipeline_with_one_sync() {
    let mut connection = connect().await;
    table(&mut connection, "id int4 primary key").await;
    for _ in 0..2 {
        let error = connection
            .pipeline((
                exec("insert into t values (1)", ()),
                exec("insert into t values ($1)", (1,)),
                exec("insert into t values (3)", ()),
            ))
            .await
            .unwrap_err();
        assert_eq!(error.index(), Some(1));
        assert_eq!(error.error().sqlstate(), Some(SqlState::UNIQUE_VIOLATION));
        assert_eq!(error.error().outcome(), Outcome::RolledBack);
        assert_eq!(error.error().sql(), Some("insert into t values ($1)"));
        assert_eq!(count(&mut connection).await, 0);
    }
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r16_a_sync_each_keeps_what_came_before_and_after_an_error() {
    let mut connection = connect().await;
    table(&mut connection, "id int4 primary key").await;
    let (first, again, next, wrong, last) = connection
        .pipeline_each((
            exec("insert into t values (1)", ()),
            exec("insert into t values ($1)", (1,)),
            exec("insert into t values (3)", ()),
            exec("insert into nowhere values (3)", ()),
            one::<i64>("select count(*) from t", ()),
        ))
        .await
        .unwrap();
    assert_eq!(first.unwrap(), 1);
    assert_eq!(
        again.unwrap_err().sqlstate(),
        Some(SqlState::UNIQUE_VIOLATION)
    );
    assert_eq!(next.unwrap(), 1);
    assert_eq!(
        wrong.unwrap_err().sqlstate(),
        Some(SqlState::UNDEFINED_TABLE)
    );
    assert_eq!(last.unwrap(), 2);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r16_an_error_at_the_sync_belongs_to_its_statement_or_to_all() {
    let mut connection = connect().await;
    table(
        &mut connection,
        "id int4 unique deferrable initially deferred",
    )
    .await;
    let insert = "insert into t values (1)";
    let error = connection
        .pipeline((exec(insert, ()), exec(insert, ()), exec(insert, ())))
        .await
        .unwrap_err();
    assert_eq!(error.index(), None);
    assert_eq!(error.error().sqlstate(), Some(SqlState::UNIQUE_VIOLATION));
    assert_eq!(count(&mut connection).await, 0);
    let results = connection
        .pipeline_each([(); 3].map(|()| exec(insert, ())))
        .await
        .unwrap();
    let went_well: Vec<_> = results.iter().map(Result::is_ok).collect();
    assert_eq!(went_well, [true, false, false]);
    assert_eq!(count(&mut connection).await, 1);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r15_an_error_after_some_rows_leaves_its_successor_exactly_its_own() {
    let mut connection = connect().await;
    let failing = "select 100 / (50 - i) from generate_series(1, $1::int4) i";
    for _ in 0..2 {
        let (before, broken, after, last) = connection
            .pipeline_each((
                all::<i32>("select i from generate_series(1, 10) i", ()),
                all::<i32>(failing, (60,)),
                all::<i32>("select i from generate_series(11, 5000) i", ()),
                one::<String>("select 'last'", ()),
            ))
            .await
            .unwrap();
        assert_eq!(before.unwrap(), (1..=10).collect::<Vec<_>>());
        assert_eq!(
            broken.unwrap_err().sqlstate(),
            Some(SqlState::DIVISION_BY_ZERO)
        );
        assert_eq!(after.unwrap(), (11..=5000).collect::<Vec<_>>());
        assert_eq!(last.unwrap(), "last");
    }
    check_token(&mut connection).await;
}

#[tokio::test]
async fn failures_of_this_side_come_after_the_commit_and_say_so() {
    let mut connection = connect().await;
    table(&mut connection, "id int4 primary key").await;
    let error = connection
        .pipeline((
            exec("insert into t values (1)", ()),
            one::<i32>("select id from t where id = 2", ()),
        ))
        .await
        .unwrap_err();
    assert_eq!(error.index(), Some(1));
    assert_eq!(error.error().kind(), ErrorKind::NoRows);
    assert_eq!(error.error().outcome(), Outcome::Completed);
    assert_eq!(count(&mut connection).await, 1);
    let error = connection
        .pipeline((
            exec("insert into t values (2)", ()),
            one::<i32>("select null::int4", ()),
            one::<i32>("select id from t", ()),
        ))
        .await
        .unwrap_err();
    assert_eq!(error.index(), Some(1));
    assert_eq!(error.error().kind(), ErrorKind::Decode);
    assert_eq!(error.error().outcome(), Outcome::Completed);
    assert_eq!(count(&mut connection).await, 2);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn what_can_not_be_sent_or_read_is_known_before_anything_runs() {
    let mut connection = connect().await;
    table(&mut connection, "id int4 primary key").await;
    for _ in 0..2 {
        let wrong_type = connection
            .pipeline((
                exec("insert into t values (1)", ()),
                one::<i32>("select 'text'", ()),
            ))
            .await
            .unwrap_err();
        assert_eq!(wrong_type.index(), Some(1));
        assert_eq!(wrong_type.error().kind(), ErrorKind::Decode);
        assert_eq!(wrong_type.error().outcome(), Outcome::NotRun);
        let nul = connection
            .pipeline((
                exec("insert into t values (1)", ()),
                one::<String>("select $1::text", ("a\0b",)),
            ))
            .await
            .unwrap_err();
        assert_eq!(nul.index(), Some(1));
        assert_eq!(nul.error().kind(), ErrorKind::Encode);
        assert_eq!(count(&mut connection).await, 0);
        let (fine, wrong_type, nul, count) = connection
            .pipeline_each((
                one::<i32>("select 7", ()),
                one::<i32>("select 'text'", ()),
                one::<String>("select $1::text", ("a\0b",)),
                one::<i32>("select $1 + $2", (1,)),
            ))
            .await
            .unwrap();
        assert_eq!(fine.unwrap(), 7);
        assert_eq!(wrong_type.unwrap_err().outcome(), Outcome::NotRun);
        assert_eq!(nul.unwrap_err().outcome(), Outcome::NotRun);
        count.unwrap_err();
    }
    check_token(&mut connection).await;
}

#[tokio::test]
async fn in_a_transaction_it_is_a_part_of_it() {
    let mut connection = connect().await;
    table(&mut connection, "id int4 primary key").await;
    for each in [false, true] {
        let mut transaction = connection.begin().await.unwrap();
        if each {
            let (a, b) = transaction
                .pipeline_each((
                    exec("insert into t values (1)", ()),
                    exec("insert into t values (2)", ()),
                ))
                .await
                .unwrap();
            assert_eq!((a.unwrap(), b.unwrap()), (1, 1));
        } else {
            transaction
                .pipeline((
                    exec("insert into t values (1)", ()),
                    exec("insert into t values (2)", ()),
                ))
                .await
                .unwrap();
        }
        assert_eq!(count(&mut transaction).await, 2);
        transaction.rollback().await.unwrap();
        assert_eq!(count(&mut connection).await, 0);
    }
    let mut transaction = connection.begin().await.unwrap();
    let error = transaction
        .pipeline((
            exec("insert into t values (1)", ()),
            exec("select 1 / 0", ()),
        ))
        .await
        .unwrap_err();
    assert_eq!(error.index(), Some(1));
    let refused = transaction
        .pipeline((one::<i32>("select 1", ()),))
        .await
        .unwrap_err();
    assert_eq!(
        refused.error().sqlstate(),
        Some(SqlState::IN_FAILED_SQL_TRANSACTION)
    );
    drop(transaction);
    assert_eq!(count(&mut connection).await, 0);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn a_statement_that_is_out_of_date_is_an_error_once() {
    let mut connection = connect().await;
    table(&mut connection, "id int4").await;
    let sql = "select * from t";
    for _ in 0..2 {
        connection.pipeline((all::<Row>(sql, ()),)).await.unwrap();
    }
    connection
        .execute("alter table t add column name text", ())
        .await
        .unwrap();
    let error = connection
        .pipeline((exec("select 1", ()), all::<Row>(sql, ())))
        .await
        .unwrap_err();
    assert_eq!(error.index(), Some(1));
    assert_eq!(
        error.error().sqlstate(),
        Some(SqlState::FEATURE_NOT_SUPPORTED)
    );
    connection.pipeline((all::<Row>(sql, ()),)).await.unwrap();
    connection.execute("deallocate all", ()).await.unwrap();
    let (stale,) = connection
        .pipeline_each((all::<Row>(sql, ()),))
        .await
        .unwrap();
    assert_eq!(
        stale.unwrap_err().sqlstate(),
        Some(SqlState::INVALID_SQL_STATEMENT_NAME)
    );
    let (fresh,) = connection
        .pipeline_each((all::<Row>(sql, ()),))
        .await
        .unwrap();
    assert_eq!(fresh.unwrap().len(), 0);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r24_a_pipeline_larger_than_all_buffers_both_ways_comes_through() {
    let proxy = Proxy::with_buffers(Listen::Tcp, server::tcp_target().address, Some(8 * 1024));
    let mut connection = connect_over(proxy.address(), small_buffers).await;
    let text = "x".repeat(100_000);
    for _ in 0..2 {
        let items = [(); 64].map(|()| one::<String>("select $1::text", (text.as_str(),)));
        let echoed = within(GENEROUS, "the pipeline", connection.pipeline(items)).await;
        assert!(echoed.unwrap().iter().all(|echo| *echo == text));
        let items = [(); 64].map(|()| one::<String>("select $1::text", (text.as_str(),)));
        let echoed = within(GENEROUS, "the pipeline", connection.pipeline_each(items)).await;
        assert!(
            echoed
                .unwrap()
                .into_iter()
                .all(|echo| echo.unwrap() == text)
        );
    }
    check_token(&mut connection).await;
}

#[tokio::test]
async fn a_warm_pipeline_takes_one_flight_and_a_cold_one_two() {
    let proxy = Proxy::recording(Listen::Tcp, server::tcp_target().address);
    let mut connection = connect_over(proxy.address(), small_buffers).await;
    let link = proxy.session(0).await;
    for expected in [2, 1, 1] {
        let sent = link.sent_from_now();
        connection
            .pipeline((
                one::<i32>("select 1", ()),
                one::<i64>("select 2::int8", ()),
                exec("select 3", ()),
            ))
            .await
            .unwrap();
        assert_eq!(sent.flights().len(), expected);
    }
    for expected in [2, 1, 1] {
        let sent = link.sent_from_now();
        let (a, b) = connection
            .pipeline_each((one::<i32>("select 4", ()), one::<i64>("select 5::int8", ())))
            .await
            .unwrap();
        assert_eq!((a.unwrap(), b.unwrap()), (4, 5));
        assert_eq!(sent.flights().len(), expected);
    }
}

#[tokio::test]
async fn r15_dropped_at_any_poll_the_connection_is_in_step() {
    let table = format!("\"{}\"", support::raw::unique());
    RawClient::of_tests().execute(&format!("create table {table} (id int4)"));
    let insert = format!("insert into {table} values ($1)");
    for own in [false, true] {
        DropAtEachPoll::new("a pipeline")
            .spurious_polls(2)
            .run(
                async || connect().await,
                async |connection| {
                    let [one, two, three] = [1, 2, 3].map(|i| exec(&insert, (i,)));
                    // The last one takes so long that the answers must be waited for.
                    let items = (one, two, three, exec("select pg_sleep(0.02)", ()));
                    if own {
                        let (one, two, three, slept) =
                            connection.pipeline_each(items).await.unwrap();
                        for answer in [one, two, three, slept] {
                            answer.unwrap();
                        }
                    } else {
                        connection.pipeline(items).await.unwrap();
                    }
                },
                async |mut connection, case| {
                    check_token(&mut connection).await;
                    let rows: i64 = connection
                        .fetch_one(&format!("select count(*) from {table}"), ())
                        .await
                        .unwrap();
                    if !own {
                        assert_eq!(rows % 3, 0, "a part of a pipeline: {case:?}");
                    }
                    if matches!(case, Case::Completed(_)) {
                        assert!(rows >= 3);
                    }
                    let emptied = connection
                        .execute(&format!("delete from {table}"), ())
                        .await;
                    emptied.unwrap();
                },
            )
            .await;
    }
    RawClient::of_tests().execute(&format!("drop table {table}"));
}

#[tokio::test]
async fn r26_a_link_that_dies_mid_pipeline_fails_all_of_it_once() {
    let proxy = Proxy::with_buffers(Listen::Tcp, server::tcp_target().address, Some(8 * 1024));
    for offset in [0, 5_000, 200_000] {
        let mut connection = connect_over(proxy.address(), small_buffers).await;
        let link = proxy.session(proxy.links().len() - 1).await;
        let text = "x".repeat(100_000);
        connection
            .fetch_one::<String>("select $1::text", ("warm",))
            .await
            .unwrap();
        link.arm(Way::ToClient, offset, support::proxy::Fault::Reset);
        let items = [(); 16].map(|()| one::<String>("select $1::text", (text.as_str(),)));
        let error = within(GENEROUS, "the pipeline", connection.pipeline_each(items)).await;
        assert!(error.unwrap_err().is_closed());
        let again = connection.fetch_one::<i32>("select 1", ()).await;
        assert!(again.unwrap_err().is_closed());
    }
}

#[tokio::test]
async fn its_futures_go_to_other_threads() {
    #[derive(Debug)]
    struct Service {
        connection: tokio::sync::Mutex<Connection>,
    }
    impl Service {
        async fn ask(&self, text: &str) -> i64 {
            let mut connection = self.connection.lock().await;
            let (n, _) = connection
                .pipeline((
                    one::<i64>("select length($1)::int8", (text,)),
                    all::<(i32,)>("select 1", ()),
                ))
                .await
                .unwrap();
            let (each,) = connection
                .pipeline_each((one::<i64>("select length($1)::int8", (text,)),))
                .await
                .unwrap();
            n + each.unwrap()
        }
    }
    fn spawn<F: Future<Output = i64> + Send + 'static>(f: F) -> tokio::task::JoinHandle<i64> {
        tokio::spawn(f)
    }
    let connection = tokio::sync::Mutex::new(connect().await);
    let service = std::sync::Arc::new(Service { connection });
    let asked = spawn(async move { service.ask("four").await });
    assert_eq!(asked.await.unwrap(), 8);
}

/// That rows of one's own types are read, not only scalars and tuples.
fn _reads<T: for<'r> FromRow<'r>>() -> impl kornak::connection::pipeline::Item {
    all::<T>("select 1", ())
}

#[tokio::test]
async fn several_kinds_of_a_number_known_at_run_time() {
    let mut connection = connect().await;
    table(&mut connection, "id int4 primary key, name text").await;
    for count in [1, 20, 100] {
        let names: Vec<String> = (0..count).map(|i| format!("name {i}")).collect();
        let mut statements = Statements::new();
        assert!(statements.is_empty());
        let (mut inserted, mut read) = (Vec::new(), Vec::new());
        for (id, name) in (0..).zip(&names) {
            inserted.push(statements.add(exec("insert into t values ($1, $2)", (id, name))));
            read.push(statements.add(one::<User>("select * from t where id = $1", (id,))));
        }
        let users = statements.add(all::<Row>("select * from t", ()));
        let none = statements.add(optional::<i64>("select 1::int8 where false", ()));
        let gone = statements.add(exec("delete from t", ()));
        assert_eq!(statements.len(), 2 * names.len() + 3);
        assert_eq!(users.index(), 2 * names.len() as u64);
        let mut results = connection.pipeline(statements).await.unwrap();
        for ticket in inserted {
            assert_eq!(results.take(ticket).unwrap(), 1);
        }
        for (ticket, name) in read.into_iter().zip(&names) {
            assert_eq!(results.take(ticket).unwrap().name, *name);
        }
        assert_eq!(results.take(users).unwrap().len(), names.len());
        assert_eq!(results.take(none).unwrap(), None);
        assert_eq!(results.take(gone).unwrap(), names.len() as u64);
    }
    let mut statements = Statements::new();
    let fine = statements.add(one::<i32>("select 1", ()));
    let broken = statements.add(exec("select 1 / 0", ()));
    let missing = statements.add(one::<String>("select 'x' where false", ()));
    let foreign = Statements::new().add(one::<i32>("select 1", ()));
    let mut results = connection.pipeline_each(&statements).await.unwrap();
    assert_eq!(results.take(fine).unwrap(), 1);
    let error = results.take(broken).unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::DIVISION_BY_ZERO));
    let error = results.take(missing).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRows);
    let error = results.take(foreign).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    let error = connection.pipeline(&statements).await.unwrap_err();
    assert_eq!(error.index(), Some(1));
    let mut results = connection.pipeline(Statements::new()).await.unwrap();
    let foreign = Statements::new().add(one::<i32>("select 1", ()));
    results.take(foreign).unwrap_err();
    check_token(&mut connection).await;
}

#[derive(Debug, FromRow)]
struct User {
    #[expect(dead_code, reason = "the columns are what is read")]
    id: i32,
    name: String,
}
