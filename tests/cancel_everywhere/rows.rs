//! The functions, and how each is called.

#![expect(
    clippy::type_complexity,
    reason = "a name for a function's type would say less"
)]

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use kornak::{Connection, Listener, Pool, RetryPolicy, RowRef, Type, all, exec, one, optional};

use crate::pool_support::{Tested, config_over};
use crate::support::server;

/// Where the functions are called.
pub(crate) struct Place {
    pub(crate) tested: Tested,
    /// A table of an int8 and a text.
    pub(crate) table: String,
    /// A lock that nobody else wants.
    pub(crate) lock: i64,
}

/// Functions that are called together.
pub(crate) struct Row {
    pub(crate) functions: &'static [&'static str],
    pub(crate) contexts: Contexts,
    /// At how many polls they are dropped at least.
    pub(crate) least: usize,
    pub(crate) operation: Operation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contexts {
    All,
    /// They open connections of their own.
    Plain,
}

#[derive(Clone, Copy)]
pub(crate) enum Operation {
    OnConnection(
        for<'a> fn(&'a mut Connection, &'a Place) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
    ),
    OnPool(for<'a> fn(&'a Place) -> Pin<Box<dyn Future<Output = ()> + 'a>>),
}

const FEW: &str = "select 'row ' || a from generate_series(1, $1) a";

fn on_connection(
    functions: &'static [&'static str],
    operation: for<'a> fn(&'a mut Connection, &'a Place) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
) -> Row {
    Row {
        functions,
        contexts: Contexts::All,
        least: 1,
        operation: Operation::OnConnection(operation),
    }
}

fn on_pool(
    functions: &'static [&'static str],
    operation: for<'a> fn(&'a Place) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
) -> Row {
    Row {
        functions,
        contexts: Contexts::All,
        least: 1,
        operation: Operation::OnPool(operation),
    }
}

/// As [`on_pool`], for what leaves the pool's own connection alone.
fn apart(
    functions: &'static [&'static str],
    operation: for<'a> fn(&'a Place) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
) -> Row {
    Row {
        contexts: Contexts::Plain,
        ..on_pool(functions, operation)
    }
}

impl Place {
    fn config(&self) -> kornak::Config {
        config_over(&server::target().address, &self.tested.application)
    }

    async fn another_connection(&self) -> Connection {
        Connection::connect(self.config()).await.unwrap()
    }

    fn copy_in(&self) -> String {
        format!("copy {} from stdin", self.table)
    }

    fn insert(&self) -> String {
        format!(
            "insert into {} values ($1, 'many') returning id",
            self.table
        )
    }
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = verbs();
    rows.extend(transactions());
    rows.extend(bulk());
    rows.extend(copies());
    rows.extend(pool_verbs());
    rows.extend(pool_bulk());
    rows.extend(connections());
    rows
}

fn verbs() -> Vec<Row> {
    vec![
        on_connection(&["Connection::fetch_one"], |connection, _| {
            Box::pin(async {
                let sql = "select $1 + 1";
                for _ in 0..2 {
                    assert_eq!(connection.fetch_one::<i32>(sql, (1,)).await.unwrap(), 2);
                }
            })
        }),
        on_connection(&["Connection::fetch_optional"], |connection, _| {
            Box::pin(async {
                let row: Option<String> = connection.fetch_optional(FEW, (1,)).await.unwrap();
                assert_eq!(row.as_deref(), Some("row 1"));
            })
        }),
        on_connection(&["Connection::fetch_all"], |connection, _| {
            Box::pin(async {
                let rows: Vec<String> = connection.fetch_all(FEW, (1000,)).await.unwrap();
                assert_eq!(rows.len(), 1000);
            })
        }),
        on_connection(
            &["Connection::fetch", "RowStream::next"],
            |connection, _| {
                Box::pin(async {
                    let mut rows = connection.fetch::<String>(FEW, (1000,)).await.unwrap();
                    let mut count = 0;
                    while rows.next().await.unwrap().is_some() {
                        count += 1;
                    }
                    assert_eq!(count, 1000);
                })
            },
        ),
        on_connection(&["Connection::for_each"], |connection, _| {
            Box::pin(async {
                let visit = |row: RowRef<'_>| row.get::<&str>(0).map(drop);
                assert_eq!(connection.for_each(FEW, (100,), visit).await.unwrap(), 100);
            })
        }),
        on_connection(&["Connection::execute"], |connection, _| {
            Box::pin(async {
                assert_eq!(connection.execute(FEW, (7,)).await.unwrap(), 7);
            })
        }),
        on_connection(&["Connection::batch_execute"], |connection, _| {
            Box::pin(async {
                let script = "select 1; select 2; set local work_mem = '1MB'";
                connection.batch_execute(script).await.unwrap();
            })
        }),
        on_connection(&["Connection::describe"], |connection, _| {
            Box::pin(async {
                let described = connection.describe("select $1::date").await.unwrap();
                assert_eq!(described.columns().len(), 1);
            })
        }),
        on_connection(
            &[
                "Query::fetch_one",
                "Query::fetch_optional",
                "Query::fetch_all",
                "Query::execute",
            ],
            |connection, _| {
                Box::pin(async {
                    let one = connection.query(FEW).bind((1,)).fetch_one::<String>();
                    assert_eq!(one.await.unwrap(), "row 1");
                    let none = connection.query(FEW).bind((0,));
                    assert_eq!(none.fetch_optional::<String>().await.unwrap(), None);
                    let two = connection.query(FEW).bind((2,)).fetch_all::<String>();
                    assert_eq!(two.await.unwrap().len(), 2);
                    assert_eq!(connection.query(FEW).bind((3,)).execute().await.unwrap(), 3);
                })
            },
        ),
        on_connection(&["Query::fetch", "Query::for_each"], |connection, _| {
            Box::pin(async {
                let mut rows = connection
                    .query(FEW)
                    .bind((2,))
                    .timeout(Duration::from_secs(30))
                    .fetch::<String>()
                    .await
                    .unwrap();
                while rows.next().await.unwrap().is_some() {}
                let visit = |_: RowRef<'_>| ();
                let visited = connection.query(FEW).bind((2,)).for_each(visit);
                assert_eq!(visited.await.unwrap(), 2);
            })
        }),
    ]
}

fn transactions() -> Vec<Row> {
    vec![
        on_connection(
            &["Connection::begin", "Transaction::commit"],
            |connection, _| {
                Box::pin(async {
                    let mut transaction = connection.begin().await.unwrap();
                    transaction.execute(FEW, (1,)).await.unwrap();
                    transaction.commit().await.unwrap();
                })
            },
        ),
        on_connection(
            &["TransactionBuilder::begin", "Transaction::rollback"],
            |connection, _| {
                Box::pin(async {
                    let mut transaction = connection.transaction().begin().await.unwrap();
                    transaction.execute(FEW, (1,)).await.unwrap();
                    let mut savepoint = transaction.begin().await.unwrap();
                    savepoint.execute(FEW, (1,)).await.unwrap();
                    savepoint.rollback().await.unwrap();
                    transaction.rollback().await.unwrap();
                })
            },
        ),
        on_connection(&["Attempts::next", "Attempt::finish"], |connection, _| {
            Box::pin(async {
                let mut attempts = connection.retry(RetryPolicy::default());
                while let Some(mut attempt) = attempts.next().await.unwrap() {
                    let result = attempt.execute(FEW, (1,)).await;
                    attempt.finish(result).await.unwrap();
                }
            })
        }),
        on_connection(
            &[
                "AdvisoryLockRequest::lock",
                "AdvisoryLockRequest::try_lock",
                "AdvisoryLockRequest::lock_in_transaction",
                "AdvisoryLockRequest::try_lock_in_transaction",
                "AdvisoryLock::release",
            ],
            |connection, place| {
                Box::pin(async {
                    let lock = connection.advisory_lock(place.lock);
                    lock.lock().await.unwrap().release().await.unwrap();
                    let lock = connection.advisory_lock(place.lock).try_lock();
                    lock.await.unwrap().unwrap().release().await.unwrap();
                    let mut transaction = connection.begin().await.unwrap();
                    let lock = transaction.advisory_lock(place.lock);
                    lock.lock_in_transaction().await.unwrap();
                    let lock = transaction.advisory_lock(place.lock);
                    assert!(lock.try_lock_in_transaction().await.unwrap());
                    transaction.commit().await.unwrap();
                })
            },
        ),
        on_connection(
            &[
                "Connection::portal",
                "Portal::fetch",
                "Portal::fetch_rest",
                "Portal::close",
            ],
            |connection, _| {
                Box::pin(async {
                    let mut transaction = connection.begin().await.unwrap();
                    let mut portal = transaction.portal::<String>(FEW, (100,)).await.unwrap();
                    let some = portal.fetch(&mut transaction, 10).await.unwrap();
                    let rest = portal.fetch_rest(&mut transaction).await.unwrap();
                    assert_eq!((some.len(), rest.len()), (10, 90));
                    portal.close(&mut transaction).await.unwrap();
                    transaction.commit().await.unwrap();
                })
            },
        ),
    ]
}

fn bulk() -> Vec<Row> {
    vec![
        on_connection(&["Connection::pipeline"], |connection, _| {
            Box::pin(async {
                let (first, second, third, fourth) = connection
                    .pipeline((
                        one::<i32>("select $1 + 1", (1,)),
                        optional::<String>(FEW, (0,)),
                        all::<String>(FEW, (100,)),
                        exec(FEW, (3,)),
                    ))
                    .await
                    .unwrap();
                assert_eq!((first, second, third.len(), fourth), (2, None, 100, 3));
            })
        }),
        on_connection(&["Connection::pipeline_each"], |connection, _| {
            Box::pin(async {
                let (first, second) = connection
                    .pipeline_each((one::<i32>("select $1 + 1", (1,)), exec(FEW, (3,))))
                    .await
                    .unwrap();
                assert_eq!((first.unwrap(), second.unwrap()), (2, 3));
            })
        }),
        on_connection(&["Connection::execute_many"], |connection, place| {
            Box::pin(async {
                let items = (0..500_i64).map(|id| (id,));
                let done = connection.execute_many(&place.insert(), items).await;
                assert_eq!(done.unwrap(), 500);
            })
        }),
        on_connection(&["Connection::fetch_many"], |connection, place| {
            Box::pin(async {
                let items = (0..500_i64).map(|id| (id,));
                let sql = place.insert();
                let ids = connection.fetch_many::<i64, _>(&sql, items).await.unwrap();
                assert_eq!(ids.len(), 500);
            })
        }),
        on_connection(
            &["Connection::stream_many", "ManyRows::next"],
            |connection, place| {
                Box::pin(async {
                    let items = (0..500_i64).map(|id| (id,));
                    let sql = place.insert();
                    let mut ids = connection.stream_many::<i64, _>(&sql, items).await.unwrap();
                    for id in 0..500 {
                        assert_eq!(ids.next().await.unwrap(), Some(id));
                    }
                    assert_eq!(ids.next().await.unwrap(), None);
                })
            },
        ),
    ]
}

fn copies() -> Vec<Row> {
    vec![
        on_connection(
            &[
                "Connection::copy_in",
                "CopyIn::send",
                "CopyIn::send_from",
                "CopyIn::flush",
                "CopyIn::finish",
            ],
            |connection, place| {
                Box::pin(async {
                    let mut copy = connection.copy_in(&place.copy_in()).await.unwrap();
                    copy.send(b"1\tone\n").await.unwrap();
                    copy.flush().await.unwrap();
                    copy.send_from(&mut &b"2\ttwo\n"[..]).await.unwrap();
                    assert_eq!(copy.finish().await.unwrap(), 2);
                })
            },
        ),
        on_connection(&["CopyIn::abort"], |connection, place| {
            Box::pin(async {
                let mut transaction = connection.begin().await.unwrap();
                let mut copy = transaction.copy_in(&place.copy_in()).await.unwrap();
                copy.send(b"1\tone\n").await.unwrap();
                copy.abort("enough").await.unwrap();
                transaction.rollback().await.unwrap();
            })
        }),
        on_connection(
            &[
                "Connection::copy_in_rows",
                "CopyInRows::send",
                "CopyInRows::send_all",
                "CopyInRows::finish",
            ],
            |connection, place| {
                Box::pin(async {
                    let mut copy = connection
                        .copy_in_rows(&*place.table, &["id", "name"])
                        .await
                        .unwrap();
                    copy.send((1_i64, "one")).await.unwrap();
                    let rows = (0..3000_i64).map(|id| (id, "a row of so and so many bytes"));
                    copy.send_all(rows).await.unwrap();
                    assert_eq!(copy.finish().await.unwrap(), 3001);
                })
            },
        ),
        on_connection(&["Connection::copy_in_typed"], |connection, place| {
            Box::pin(async {
                let sql = format!("{} (format binary)", place.copy_in());
                let types = [Type::INT8, Type::TEXT];
                let mut copy = connection.copy_in_typed(&sql, &types).await.unwrap();
                copy.send((1_i64, "one")).await.unwrap();
                assert_eq!(copy.finish().await.unwrap(), 1);
            })
        }),
        on_connection(&["CopyInRows::abort"], |connection, place| {
            Box::pin(async {
                let mut transaction = connection.begin().await.unwrap();
                let mut copy = transaction
                    .copy_in_rows(&*place.table, &["id", "name"])
                    .await
                    .unwrap();
                copy.send((1_i64, "one")).await.unwrap();
                copy.abort("enough").await.unwrap();
                transaction.rollback().await.unwrap();
            })
        }),
        on_connection(
            &["Connection::copy_out", "CopyOut::next", "CopyOut::write_to"],
            |connection, _| {
                Box::pin(async {
                    let sql = "copy (select generate_series(1, 3000)) to stdout";
                    let mut copy = connection.copy_out(sql).await.unwrap();
                    let mut bytes = 0;
                    while let Some(chunk) = copy.next().await.unwrap() {
                        bytes += chunk.len();
                    }
                    let mut copy = connection.copy_out(sql).await.unwrap();
                    let mut written = Vec::new();
                    copy.write_to(&mut written).await.unwrap();
                    assert_eq!(written.len(), bytes);
                })
            },
        ),
        on_connection(
            &["Connection::copy_out_rows", "CopyOutRows::next"],
            |connection, _| {
                Box::pin(async {
                    let sql = "select a, 'row ' || a from generate_series(1, 1000) a";
                    let mut rows = connection
                        .copy_out_rows::<(i32, String)>(sql)
                        .await
                        .unwrap();
                    let mut count = 0;
                    while rows.next().await.unwrap().is_some() {
                        count += 1;
                    }
                    assert_eq!(count, 1000);
                })
            },
        ),
    ]
}

fn pool_verbs() -> Vec<Row> {
    vec![
        on_pool(
            &[
                "Pool::fetch_one",
                "Pool::fetch_optional",
                "Pool::fetch_all",
                "Pool::for_each",
                "Pool::execute",
                "Pool::batch_execute",
            ],
            |place| {
                Box::pin(async {
                    let pool = &place.tested.pool;
                    let sql = "select $1 + 1";
                    assert_eq!(pool.fetch_one::<i32>(sql, (1,)).await.unwrap(), 2);
                    let none: Option<String> = pool.fetch_optional(FEW, (0,)).await.unwrap();
                    assert_eq!(none, None);
                    let rows: Vec<String> = pool.fetch_all(FEW, (100,)).await.unwrap();
                    assert_eq!(rows.len(), 100);
                    let visit = |_: RowRef<'_>| ();
                    assert_eq!(pool.for_each(FEW, (3,), visit).await.unwrap(), 3);
                    assert_eq!(pool.execute(FEW, (3,)).await.unwrap(), 3);
                    pool.batch_execute("select 1; select 2").await.unwrap();
                })
            },
        ),
        on_pool(
            &[
                "PoolQuery::fetch_one",
                "PoolQuery::fetch_optional",
                "PoolQuery::fetch_all",
                "PoolQuery::for_each",
                "PoolQuery::execute",
            ],
            |place| {
                Box::pin(async {
                    let pool = &place.tested.pool;
                    let query = || pool.query(FEW).timeout(Duration::from_secs(30));
                    let row: String = query().bind((1,)).fetch_one().await.unwrap();
                    assert_eq!(row, "row 1");
                    let none: Option<String> = query().bind((0,)).fetch_optional().await.unwrap();
                    assert_eq!(none, None);
                    let rows: Vec<String> = query().bind((100,)).fetch_all().await.unwrap();
                    assert_eq!(rows.len(), 100);
                    let visit = |_: RowRef<'_>| ();
                    assert_eq!(query().bind((3,)).for_each(visit).await.unwrap(), 3);
                    assert_eq!(query().bind((3,)).execute().await.unwrap(), 3);
                })
            },
        ),
        on_pool(&["PoolQuery::fetch"], |place| {
            Box::pin(async {
                let query = place.tested.pool.query(FEW);
                let query = query.timeout(Duration::from_secs(30)).bind((3,));
                let mut rows = query.fetch::<String>().await.unwrap();
                while rows.next().await.unwrap().is_some() {}
            })
        }),
        on_pool(&["Pool::acquire"], |place| {
            Box::pin(async {
                let mut connection = place.tested.pool.acquire().await.unwrap();
                assert_eq!(connection.execute(FEW, (1,)).await.unwrap(), 1);
            })
        }),
        on_pool(&["PoolAttempts::next"], |place| {
            Box::pin(async {
                let mut attempts = place.tested.pool.retry(RetryPolicy::default());
                while let Some(mut attempt) = attempts.next().await.unwrap() {
                    let result = attempt.execute(FEW, (1,)).await;
                    attempt.finish(result).await.unwrap();
                }
            })
        }),
    ]
}

fn pool_bulk() -> Vec<Row> {
    vec![
        on_pool(&["Pool::fetch"], |place| {
            Box::pin(async {
                let pool = &place.tested.pool;
                let mut rows = pool.fetch::<String>(FEW, (1000,)).await.unwrap();
                let mut count = 0;
                while rows.next().await.unwrap().is_some() {
                    count += 1;
                }
                assert_eq!(count, 1000);
            })
        }),
        on_pool(&["Pool::pipeline", "Pool::pipeline_each"], |place| {
            Box::pin(async {
                let pool = &place.tested.pool;
                let both = || (one::<i32>("select $1 + 1", (1,)), exec(FEW, (3,)));
                assert_eq!(pool.pipeline(both()).await.unwrap(), (2, 3));
                let (first, second) = pool.pipeline_each(both()).await.unwrap();
                assert_eq!((first.unwrap(), second.unwrap()), (2, 3));
            })
        }),
        on_pool(
            &[
                "Pool::execute_many",
                "Pool::fetch_many",
                "Pool::stream_many",
            ],
            |place| {
                Box::pin(async {
                    let (pool, sql) = (&place.tested.pool, place.insert());
                    let items = || (0..100_i64).map(|id| (id,));
                    assert_eq!(pool.execute_many(&sql, items()).await.unwrap(), 100);
                    let ids = pool.fetch_many::<i64, _>(&sql, items()).await.unwrap();
                    assert_eq!(ids.len(), 100);
                    let mut ids = pool.stream_many::<i64, _>(&sql, items()).await.unwrap();
                    for id in 0..100 {
                        assert_eq!(ids.next().await.unwrap(), Some(id));
                    }
                    assert_eq!(ids.next().await.unwrap(), None);
                })
            },
        ),
        on_pool(&["Pool::copy_in", "Pool::copy_in_rows"], |place| {
            Box::pin(async {
                let pool = &place.tested.pool;
                let mut copy = pool.copy_in(&place.copy_in()).await.unwrap();
                copy.send(b"1\tone\n").await.unwrap();
                assert_eq!(copy.finish().await.unwrap(), 1);
                let columns = ["id", "name"];
                let mut copy = pool.copy_in_rows(&*place.table, &columns).await.unwrap();
                copy.send((1_i64, "one")).await.unwrap();
                assert_eq!(copy.finish().await.unwrap(), 1);
            })
        }),
        on_pool(&["Pool::copy_out", "Pool::copy_out_rows"], |place| {
            Box::pin(async {
                let pool = &place.tested.pool;
                let sql = "select a from generate_series(1, 1000) a";
                let statement = format!("copy ({sql}) to stdout");
                let mut copy = pool.copy_out(&statement).await.unwrap();
                while copy.next().await.unwrap().is_some() {}
                drop(copy);
                let mut rows = pool.copy_out_rows::<i32>(sql).await.unwrap();
                while rows.next().await.unwrap().is_some() {}
            })
        }),
    ]
}

fn connections() -> Vec<Row> {
    vec![
        apart(&["Connection::connect", "Connection::close"], |place| {
            Box::pin(async {
                let connection = place.another_connection().await;
                connection.close().await;
            })
        }),
        apart(&["CancelToken::cancel"], |place| {
            Box::pin(async {
                let mut connection = place.another_connection().await;
                connection.cancel_token().cancel().await.unwrap();
                // It may be what is cancelled.
                let _ = connection.execute(FEW, (1,)).await;
            })
        }),
        apart(
            &[
                "Listener::connect",
                "Listener::listen",
                "Listener::unlisten",
                "Listener::next",
                "Connection::notify",
            ],
            |place| {
                Box::pin(async {
                    let mut listener = Listener::connect(place.config()).await.unwrap();
                    listener.listen(&place.table).await.unwrap();
                    let mut connection = place.another_connection().await;
                    connection.notify(&place.table, "news").await.unwrap();
                    listener.next().await.unwrap();
                    listener.unlisten(&place.table).await.unwrap();
                })
            },
        ),
        apart(
            &["Pool::connect", "Pool::warm_up", "Pool::close"],
            |place| {
                Box::pin(async {
                    let pool = Pool::connect(place.config()).await.unwrap();
                    pool.warm_up(2).await.unwrap();
                    pool.close(Duration::from_secs(10)).await;
                })
            },
        ),
        apart(&["Pool::subscribe", "Subscription::next"], |place| {
            Box::pin(async {
                let pool = Pool::builder().max_size(2).build(place.config()).unwrap();
                let mut news = pool.subscribe([&place.table]).await.unwrap();
                let mut connection = pool.acquire().await.unwrap();
                connection.notify(&place.table, "news").await.unwrap();
                news.next().await.unwrap();
            })
        }),
        apart(&["PoolBuilder::connect"], |place| {
            Box::pin(async {
                let builder = Pool::builder().max_size(1);
                let pool = builder.connect(place.config()).await.unwrap();
                assert_eq!(pool.execute(FEW, (1,)).await.unwrap(), 1);
            })
        }),
    ]
}
