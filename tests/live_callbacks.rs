//! R13: the caller's own code, run in the middle of a row, may fail or panic as it likes.

mod live;
mod support;

use std::future::Future;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use kornak::codec::{DeclaredType, Decode, Encode, IsNull, ParamWriter, RawValue};
use kornak::error::{DecodeError, EncodeError};
use kornak::row::{Columns, Plan, PlanBuilder, RowRef};
use kornak::types::Type;
use kornak::{Connection, ErrorKind, FromRow, Row, TransactionStatus};
use live::{check_token, connect, connect_as};

/// Rows enough for several reads, the bad one far from the first.
const ROWS: &str = "select i, repeat('x', 100) from generate_series(1, 5000) i";
const BAD: i32 = 3_210;

/// A number that can't be read where it is [`BAD`].
#[derive(Debug)]
struct Failing(#[expect(dead_code)] i32);

impl<'r> Decode<'r> for Failing {
    fn accepts(ty: &Type) -> bool {
        *ty == Type::INT4
    }

    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        match i32::decode(value)? {
            BAD => Err(DecodeError::new("this one is bad")),
            fine => Ok(Self(fine)),
        }
    }
}

/// A number whose decoder panics where it is [`BAD`].
#[derive(Debug, PartialEq)]
struct Panicking(i32);

impl<'r> Decode<'r> for Panicking {
    fn accepts(ty: &Type) -> bool {
        *ty == Type::INT4
    }

    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let number = i32::decode(value)?;
        assert_ne!(number, BAD, "on purpose");
        Ok(Self(number))
    }
}

/// A row whose plan panics while it is set.
struct PanickingPlan;

static PLAN_PANICS: AtomicBool = AtomicBool::new(true);

impl<'r> FromRow<'r> for PanickingPlan {
    fn plan(columns: &Columns) -> kornak::Result<Plan> {
        assert!(!PLAN_PANICS.load(Ordering::Relaxed), "on purpose");
        Ok(PlanBuilder::new(columns).finish())
    }

    fn from_row(_: RowRef<'r>, _: &Plan) -> kornak::Result<Self> {
        Ok(Self)
    }
}

/// A parameter that can't be written, or panics.
struct BadParameter {
    panics: bool,
}

impl Encode for BadParameter {
    const DECLARED: DeclaredType = DeclaredType::Oid(25);

    fn encode(&self, _: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        out.put_slice(b"half of a value");
        assert!(!self.panics, "on purpose");
        Err(EncodeError::new("this can't be written"))
    }
}

/// Runs a future to its end or to its panic; returns whether it panicked.
async fn panics<F: Future>(future: F) -> bool {
    let mut future = pin!(future);
    std::future::poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(_)) => Poll::Ready(false),
            Err(_) => Poll::Ready(true),
        },
    )
    .await
}

/// The same connection cold, warm, and within a transaction.
async fn each_way(check: impl AsyncFn(&mut Connection)) {
    let mut connection = connect().await;
    for _ in 0..3 {
        check(&mut connection).await;
        check_token(&mut connection).await;
    }
    let mut attempts = 0..PATIENCE;
    while !stays_in_transaction(&mut connection, &check).await {
        assert!(attempts.next().is_some(), "the transaction always fails");
    }
    check_token(&mut connection).await;
    let mut connection = connect_as(|config| config.statement_cache_capacity(0)).await;
    check(&mut connection).await;
    check_token(&mut connection).await;
}

/// Whether a transaction is still the same one after the check. What is left of a statement is
/// cancelled where it takes long, as on a busy machine, and the transaction has failed then.
async fn stays_in_transaction(
    connection: &mut Connection,
    check: &impl AsyncFn(&mut Connection),
) -> bool {
    let mut transaction = connection.begin().await.unwrap();
    let sql = "select now()::text";
    let before: String = transaction.fetch_one(sql, ()).await.unwrap();
    let checked = async {
        for _ in 0..2 {
            check(&mut transaction).await;
        }
        let after: String = transaction.fetch_one(sql, ()).await.unwrap();
        assert_eq!(before, after, "it is the same transaction");
    };
    if panics(checked).await {
        let status = transaction.transaction_status();
        assert_eq!(status, TransactionStatus::Failed, "see above");
        transaction.rollback().await.unwrap();
        return false;
    }
    transaction.commit().await.unwrap();
    true
}

/// How many transactions may fail in a row because the machine is busy.
const PATIENCE: u32 = 20;

#[tokio::test]
async fn r13_a_decoder_that_fails_leaves_the_connection_in_step() {
    each_way(async |connection| {
        let error = connection
            .fetch_all::<(Failing, String)>(ROWS, ())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert!(error.to_string().contains("this one is bad"), "{error}");
        let error = connection
            .for_each(ROWS, (), |row| row.get::<Failing>(0).map(drop))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        let mut rows = connection
            .fetch::<(Failing, String)>(ROWS, ())
            .await
            .unwrap();
        let mut count = 0;
        let error = loop {
            match rows.next().await {
                Ok(Some(_)) => count += 1,
                Ok(None) => panic!("no row was bad"),
                Err(error) => break error,
            }
        };
        assert_eq!((error.kind(), count), (ErrorKind::Decode, BAD - 1));
        assert!(
            rows.next().await.unwrap().is_none(),
            "it is over after an error"
        );
        drop(rows);
        let sql = format!("select {BAD}");
        let error = connection
            .fetch_one::<(Failing,)>(&sql, ())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        let error = connection
            .fetch_optional::<(Failing,)>(&sql, ())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
    })
    .await;
}

#[tokio::test]
async fn r13_a_decoder_that_panics_leaves_the_connection_in_step() {
    each_way(async |connection| {
        assert!(panics(connection.fetch_all::<(Panicking, String)>(ROWS, ())).await);
        let visited = connection.for_each(ROWS, (), |row| row.get::<Panicking>(0).map(drop));
        assert!(panics(visited).await);
        let sql = format!("select {BAD}");
        assert!(panics(connection.fetch_one::<(Panicking,)>(&sql, ())).await);
        assert!(panics(connection.fetch_optional::<(Panicking,)>(&sql, ())).await);
    })
    .await;
}

#[tokio::test]
async fn r13_a_stream_whose_decoder_panics_skips_no_row() {
    each_way(async |connection| {
        let mut rows = connection
            .fetch::<(Panicking, String)>(ROWS, ())
            .await
            .unwrap();
        let mut expected = 1;
        let mut panicked = false;
        let error = loop {
            let mut next = None;
            panicked |= panics(async { next = Some(rows.next().await) }).await;
            match next {
                Some(Ok(Some((row, _)))) => {
                    assert_eq!(row, Panicking(expected));
                    expected += 1;
                }
                Some(Ok(None)) => panic!("the rows behind the panic are missing"),
                Some(Err(error)) => break error,
                None => {}
            }
        };
        assert_eq!(
            (error.kind(), expected, panicked),
            (ErrorKind::Usage, BAD, true)
        );
        assert!(rows.next().await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn r13_a_plan_that_panics_leaves_the_connection_in_step() {
    each_way(async |connection| {
        assert!(panics(connection.fetch_all::<PanickingPlan>(ROWS, ())).await);
        assert!(panics(connection.fetch_one::<PanickingPlan>("select 1", ())).await);
        assert!(panics(connection.fetch::<PanickingPlan>(ROWS, ())).await);
        let visited = connection.for_each(ROWS, (), |row| row.read::<PanickingPlan>().map(drop));
        assert!(panics(visited).await);
    })
    .await;
}

#[tokio::test]
async fn r13_a_visitor_that_panics_or_stops_leaves_the_connection_in_step() {
    each_way(async |connection| {
        let mut count = 0;
        let visited = connection.for_each(ROWS, (), |_| {
            count += 1;
            assert_ne!(count, BAD, "on purpose");
        });
        assert!(panics(visited).await);
        assert_eq!(count, BAD, "it is not called again");
        let mut count = 0;
        let stopped = connection.for_each(ROWS, (), |_| {
            count += 1;
            if count == BAD {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        stopped.await.unwrap();
        assert_eq!(count, BAD);
    })
    .await;
}

#[tokio::test]
async fn r13_a_parameter_that_fails_or_panics_sends_nothing() {
    each_way(async |connection| {
        for panics_ in [false, true] {
            let sql = "select $1 || $2";
            let bad = BadParameter { panics: panics_ };
            let asked = connection.fetch_all::<Row>(sql, ("fine", bad));
            if panics_ {
                assert!(panics(asked).await);
            } else {
                let error = asked.await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Encode);
                assert!(error.to_string().contains("$2"), "{error}");
            }
            // Now it is warm.
            let text: String = connection.fetch_one(sql, ("a", "b")).await.unwrap();
            assert_eq!(text, "ab");
        }
    })
    .await;
}

#[tokio::test]
async fn r13_a_notice_handler_that_panics_is_called_once_for_each_notice() {
    let mut connection = connect().await;
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = seen.clone();
    connection.on_notice(move |notice| {
        kept.lock()
            .unwrap_or_else(|e| e.into_inner())
            .push(notice.message().to_owned());
        panic!("on purpose");
    });
    for expected in 1..=3 {
        let sql = format!("do $$ begin raise notice 'number {expected}'; end $$");
        assert!(panics(connection.execute(&sql, ())).await);
        check_token(&mut connection).await;
        let seen = seen.lock().unwrap_or_else(|e| e.into_inner());
        assert_eq!(seen.len(), expected);
        assert_eq!(seen[expected - 1], format!("number {expected}"));
    }
}

#[tokio::test]
async fn r13_r43_a_parameter_that_fails_or_panics_leaves_no_statement_behind() {
    let mut connection = connect_as(|config| config.statement_cache_capacity(1)).await;
    let sql = "select $1 || $2";
    for i in 0..5 {
        let _: String = connection.fetch_one(sql, ("a", "b")).await.unwrap();
        // It leaves for another one, and would be closed by the flight that isn't sent.
        connection
            .execute(&format!("select {i}"), ())
            .await
            .unwrap();
        let bad = BadParameter { panics: i % 2 == 0 };
        panics(connection.execute("select $1", (bad,))).await;
        let held = "select count(*) from pg_prepared_statements";
        assert_eq!(connection.fetch_one::<i64>(held, ()).await.unwrap(), 1);
    }
    check_token(&mut connection).await;
}
