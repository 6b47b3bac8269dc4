//! Poolers that know the statements that clients prepare: PgBouncer from 1.21 on with
//! `max_prepared_statements`. They need no `pooler = transaction`.

use std::collections::HashSet;

use support::dialogue::backend;
use support::scripted::{ScriptError, ScriptedServer, Session};

use super::*;

/// What such a pooler documents ("max_prepared_statements"): it knows the statements of each
/// client by the messages Parse, Bind, Describe and Close, and prepares them on whichever server
/// it lends. Statements that are made or dropped by SQL are none of its business.
async fn pooler(mut session: Session) -> Result<(), ScriptError> {
    session.startup_trust().await?;
    let mut known: HashSet<String> = HashSet::new();
    loop {
        let Some(message) = session.receive_or_end().await? else {
            return Ok(());
        };
        let answers = match message.name() {
            "Parse" => {
                let sql = message.text(1);
                if ["prepare", "deallocate", "discard"]
                    .iter()
                    .any(|word| sql.starts_with(word))
                {
                    return Err(ScriptError(format!("{sql}: it would not know of it")));
                }
                if !known.insert(message.text(0).to_owned()) && !message.text(0).is_empty() {
                    return Err(ScriptError(format!("{message} is prepared already")));
                }
                vec!["ParseComplete"]
            }
            "Describe" => vec![
                "ParameterDescription [int4]",
                "RowDescription [(\"a\" 0 0 int4 4 -1 0)]",
            ],
            "Bind" if known.contains(message.text(1)) => vec!["BindComplete"],
            "Execute" => vec!["DataRow [x00000007]", "CommandComplete \"SELECT 1\""],
            "Close" if known.remove(message.text(1)) => vec!["CloseComplete"],
            "Sync" => vec!["ReadyForQuery I"],
            "Terminate" => return Ok(()),
            _ => return Err(ScriptError(format!("{message} is out of place"))),
        };
        for answer in answers {
            session.send(&backend::line(answer)).await?;
        }
    }
}

#[tokio::test]
async fn r45_a_pooler_that_knows_statements_is_told_of_each() {
    let mut server = ScriptedServer::start(Listen::Tcp, async |acceptor| {
        pooler(acceptor.accept().await?).await
    });
    let config: Config = server.url().parse().expect("a URL");
    let config = config.statement_cache_capacity(2);
    let mut connection = connect(config).await;
    for round in 0..3 {
        for number in 0..4 {
            let sql = format!("select $1::int4 + {number}");
            let value: i32 = connection.fetch_one(&sql, (round,)).await.expect("a row");
            assert_eq!(value, 7);
        }
    }
    connection.close().await;
    server.finish().await;
}

/// More clients than servers, and fewer statements kept on the servers than there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r45_named_statements_are_found_on_every_server() {
    let Some(bouncer) = PgBouncer::start_with_named_statements() else {
        return;
    };
    let tasks: Vec<_> = (0..8_i32)
        .map(|task| {
            let config = bouncer.config();
            tokio::spawn(async move {
                let mut connection = connect(config).await;
                for number in 0..120_i32 {
                    let columns = vec!["$1::int4 + $2::int4"; 1 + (number % 30) as usize];
                    let sql = format!("select {}, $3::text", columns.join(" + "));
                    let text = format!("{task}.{number}");
                    let (sum, echo): (i32, String) = connection
                        .fetch_one(&sql, (task, number, &*text))
                        .await
                        .expect("it answers");
                    assert_eq!(sum, (task + number) * (1 + number % 30));
                    assert_eq!(echo, text);
                }
                assert_eq!(connection.cached_statements(), 30);
            })
        })
        .collect();
    for task in tasks {
        within(GENEROUS * 2, "the queries", task)
            .await
            .expect("no panic");
    }
}

#[tokio::test]
async fn r45_named_statements_are_sent_once() {
    let Some(bouncer) = PgBouncer::start_with_named_statements() else {
        return;
    };
    let upstream = Address::Tcp(([127, 0, 0, 1], bouncer.port()).into());
    let proxy = Proxy::recording(Listen::Tcp, upstream);
    let config = bouncer.config().port(proxy.address().port());
    let mut connection = connect(config.statement_cache_capacity(2)).await;
    let link = proxy.session(0).await;
    let flights = || {
        let transcript = link.transcript();
        let count = |name: &str| transcript.matches(name).count();
        (count("F Sync"), count("F Parse"), count("F Close"))
    };
    for number in 1..=5_i64 {
        let row: (i64, String) = connection
            .fetch_one("select $1::int8, 'x'::text", (number,))
            .await
            .expect("a row");
        assert_eq!(row, (number, "x".to_owned()));
        assert_eq!(flights(), (number as usize, 1, 0));
    }
    // What falls out of the cache is closed with the next flight.
    for sql in ["select 1", "select 2", "select 3"] {
        let _: i32 = connection.fetch_one(sql, ()).await.expect("a row");
    }
    assert_eq!(flights(), (8, 4, 2));
}

/// PgBouncer knows statements by their text, and keeps the server's plan for one when a client
/// closes it: a result that has changed is refused until PgBouncer has new connections to the
/// server. It is an error then, and no wrong row.
#[tokio::test]
async fn r45_a_named_statement_whose_result_has_changed_is_an_error() {
    let Some(bouncer) = PgBouncer::start_with_named_statements() else {
        return;
    };
    let mut connection = connect(bouncer.config()).await;
    let table = unique();
    let mut admin = admin();
    admin.execute(&format!(
        "create table \"{table}\" (a int4); insert into \"{table}\" values (7)"
    ));
    let select = format!("select * from \"{table}\"");
    for _ in 0..2 {
        let row: i32 = connection.fetch_one(&select, ()).await.expect("a row");
        assert_eq!(row, 7);
    }
    admin.execute(&format!("alter table \"{table}\" alter a type int8"));
    for _ in 0..2 {
        let error = connection.fetch_one::<i64>(&select, ()).await;
        let error = error.expect_err("PgBouncer has the old plan");
        assert_eq!(error.sqlstate(), Some(SqlState::FEATURE_NOT_SUPPORTED));
        let one: i32 = connection.fetch_one("select 1", ()).await.expect("a row");
        assert_eq!(one, 1, "it is in step");
    }
    // As for a pooler of transactions, nothing is prepared that could be out of date.
    let mut unnamed = connect(bouncer.pooled()).await;
    let row: i64 = unnamed.fetch_one(&select, ()).await.expect("a row");
    assert_eq!(row, 7);
    admin.execute(&format!("drop table \"{table}\""));
}

/// Everything that keeps to one transaction works as with a server.
#[tokio::test]
async fn r45_named_statements_have_the_verbs() {
    let Some(bouncer) = PgBouncer::start_with_named_statements() else {
        return;
    };
    let mut connection = connect(bouncer.config()).await;
    let table = unique();
    let script = format!("create table \"{table}\" (id int primary key, price numeric)");
    connection.execute(&script, ()).await.expect("a table");
    let insert = format!("insert into \"{table}\" values ($1, $2::text::numeric)");
    let many: Vec<_> = (1..50).map(|id| (id, "7.5")).collect();
    let done = connection.execute_many(&insert, many).await.expect("rows");
    assert_eq!(done, 49);
    let count = format!("select count(*) from \"{table}\"");
    let (rows, done) = connection
        .pipeline((one::<i64>(&count, ()), exec(&insert, (50, "0"))))
        .await
        .expect("a pipeline");
    assert_eq!((rows, done), (49, 1));

    let mut transaction = connection.begin().await.expect("it begins");
    {
        let mut savepoint = transaction.begin().await.expect("a savepoint");
        let error = savepoint.execute(&insert, (1, "0")).await;
        let error = error.expect_err("there is one");
        assert_eq!(error.sqlstate(), Some(SqlState::UNIQUE_VIOLATION));
        savepoint.rollback().await.expect("it rolls back");
    }
    transaction
        .execute(&insert, (51, "0"))
        .await
        .expect("a row");
    transaction.commit().await.expect("it commits");

    // A stream and a transaction that are dropped leave the next statement in step.
    let mut rows = connection
        .fetch::<i64>("select generate_series(1, 1000000)", ())
        .await
        .expect("a stream");
    rows.next().await.expect("a row");
    drop(rows);
    let mut transaction = connection.begin().await.expect("it begins");
    transaction
        .execute(&insert, (52, "0"))
        .await
        .expect("a row");
    drop(transaction);
    let rows: i64 = connection.fetch_one(&count, ()).await.expect("a row");
    assert_eq!(rows, 51);

    let token = connection.cancel_token();
    let cancelled = tokio::select! {
        result = connection.execute("select pg_sleep(600)", ()) => result,
        () = async {
            loop {
                token.cancel().await.expect("it is sent");
                tokio::task::yield_now().await;
            }
        } => unreachable!("it has no end"),
    };
    let error = cancelled.expect_err("it is cancelled");
    assert_eq!(error.sqlstate(), Some(SqlState::QUERY_CANCELED));
    admin().execute(&format!("drop table \"{table}\""));
}

/// The driver's own pool before it: what a borrower leaves behind is reset with the next one's
/// first statement, in one transaction and so on one server.
#[tokio::test]
async fn r45_named_statements_work_from_a_pool() {
    let Some(bouncer) = PgBouncer::start_with_named_statements() else {
        return;
    };
    let pool = Pool::builder()
        .max_size(2)
        .connect(bouncer.config())
        .await
        .expect("a pool");
    for number in 0..20_i32 {
        let sql = "select set_config('kornak.number', $1::text, true), $1::text";
        let text = number.to_string();
        let row: (String, String) = pool.fetch_one(sql, (&*text,)).await.expect("a row");
        assert_eq!(row.1, text);
        let sum: i32 = pool
            .fetch_one("select $1::int4 + 1", (number,))
            .await
            .expect("a row");
        assert_eq!(sum, number + 1);
    }
}
