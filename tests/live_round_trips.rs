//! What a query costs on the wire: system calls and round trips.

mod live;
mod support;

use kornak::types::Kind;
use kornak::{Connection, Date, Row};
use live::{config, connect_over, open};
use support::proxy::{Link, Listen, Proxy};
use support::{server, syscalls};

#[test]
fn a_warm_fetch_one_is_one_send_and_one_receive() {
    let name = "a_warm_fetch_one_is_one_send_and_one_receive";
    let Some(trace) = syscalls::traced(name, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            for (place, target) in [("socket", server::target()), ("tcp", server::tcp_target())] {
                let mut connection = open(config(&target)).await;
                for i in 0..20 {
                    if i == 10 {
                        syscalls::mark(&format!("{place} begins"));
                    }
                    let answer: i32 = connection.fetch_one("select $1 + 1", (i,)).await.unwrap();
                    assert_eq!(answer, i + 1);
                }
                syscalls::mark(&format!("{place} ends"));
            }
        });
    }) else {
        return;
    };
    for place in ["socket", "tcp"] {
        let calls = trace.between(&format!("{place} begins"), &format!("{place} ends"));
        assert_eq!((calls.sends(), calls.receives()), (10, 10), "{calls}");
        // And nothing else but the runtime's own waits.
        assert_eq!(calls.all().len(), 20 + calls.waits(), "{calls}");
    }
}

/// A session whose dialogue is recorded.
async fn recorded() -> (Proxy, Link, Connection) {
    let proxy = Proxy::recording(Listen::Unix, server::target().address);
    let connection = connect_over(proxy.address(), |config| config).await;
    let link = proxy.session(0).await;
    (proxy, link, connection)
}

#[tokio::test]
async fn a_cold_query_takes_one_round_trip_where_its_parameters_are_declared_or_text() {
    let (_proxy, link, mut connection) = recorded().await;
    let cold = ["Parse", "Describe", "Bind", "Execute", "Sync"];
    let warm = ["Bind", "Execute", "Sync"];
    for expected in [&cold[..], &warm[..]] {
        let sent = link.sent_from_now();
        let row: (i32, i64, bool, String, f64) = connection
            .fetch_one(
                "select $1 + 1, $2::int8, $3::bool, $4::text, $5::float8",
                (1, 2_i64, true, "three", 4.0),
            )
            .await
            .unwrap();
        assert_eq!(row, (2, 2, true, "three".into(), 4.0));
        assert_eq!(sent.flights(), [expected]);
    }
    // Without parameters; and text that the server infers to be something else.
    for expected in [&cold[..], &warm[..]] {
        let sent = link.sent_from_now();
        let day: Date = connection
            .fetch_one("select date '2024-02-29'", ())
            .await
            .unwrap();
        let same: Date = connection
            .fetch_one("select $1::date", ("2024-02-29",))
            .await
            .unwrap();
        assert_eq!(day, same);
        assert_eq!(sent.flights(), [expected, expected]);
    }
}

#[tokio::test]
async fn a_cold_query_takes_two_round_trips_where_a_parameter_is_described() {
    let (_proxy, link, mut connection) = recorded().await;
    let day = Date::new(2024, 2, 29).unwrap();
    for expected in [2, 1] {
        let sent = link.sent_from_now();
        let same: Date = connection
            .fetch_one("select $1::date", (day,))
            .await
            .unwrap();
        assert_eq!(day, same);
        assert_eq!(sent.flights().len(), expected);
    }
}

#[tokio::test]
async fn begin_and_rollback_cost_no_round_trip_of_their_own() {
    let (_proxy, link, mut connection) = recorded().await;
    let sql = "select $1 + 1";
    let _: i32 = connection.fetch_one(sql, (1,)).await.unwrap();
    let sent = link.sent_from_now();
    let mut transaction = connection.begin().await.unwrap();
    let _: i32 = transaction.fetch_one(sql, (1,)).await.unwrap();
    assert_eq!(sent.flights().len(), 1);
    transaction.commit().await.unwrap();
    assert_eq!(sent.flights().len(), 2);
    // Nothing is sent for a transaction in which nothing was done.
    let sent = link.sent_from_now();
    let transaction = connection.begin().await.unwrap();
    transaction.commit().await.unwrap();
    let transaction = connection.begin().await.unwrap();
    drop(transaction);
    let _: i32 = connection.fetch_one(sql, (1,)).await.unwrap();
    assert_eq!(sent.flights(), [["Bind", "Execute", "Sync"]]);
}

#[tokio::test]
async fn unknown_types_are_looked_up_in_one_round_trip_however_many_there_are() {
    let (_proxy, link, mut connection) = recorded().await;
    connection
        .batch_execute(
            "create type pg_temp.mood as enum ('glum', 'gay');
             create domain pg_temp.weight as numeric check (value > 0);
             create type pg_temp.doubles as range (subtype = float8);
             create type pg_temp.part as (moods pg_temp.mood[], weight pg_temp.weight);
             create type pg_temp.whole as (parts pg_temp.part[], spans pg_temp.doubles_multirange);
             create type pg_temp.other as enum ('a');
             set jit = on",
        )
        .await
        .unwrap();
    let sql = "select null::pg_temp.whole[], 'glum'::pg_temp.mood, '[1,2]'::pg_temp.doubles,
        7::pg_temp.weight as weight";
    let asked = ["Parse", "Describe", "Bind", "Execute", "Sync"];
    let jit = ["Parse", "Bind", "Execute", "Close"];
    let look_up = ["Parse", "Describe", "Bind", "Execute", "Close", "Sync"];
    let look_up = [&jit[..], &look_up[..]].concat();
    let sent = link.sent_from_now();
    let row: Row = connection.fetch_one(sql, ()).await.unwrap();
    assert_eq!(sent.flights(), [&asked[..], &look_up[..]]);
    let parsed = sent.parsed();
    assert!(
        parsed[1].contains("set_config('jit', 'off', true)"),
        "{parsed:?}"
    );
    assert!(parsed[2].contains("with recursive"), "{parsed:?}");
    // All that they are made of is known with them.
    let Kind::Array(whole) = row.columns()[0].ty().kind() else {
        panic!("{:?}", row.columns()[0]);
    };
    let Kind::Composite(fields) = whole.kind() else {
        panic!("{whole:?}");
    };
    assert_eq!(fields[1].ty.element().unwrap().name(), "doubles");
    let part = fields[0].ty.element().unwrap();
    assert_eq!(part.name(), "part");
    // And the setting was the look-up's alone.
    let jit: String = connection.fetch_one("show jit", ()).await.unwrap();
    assert_eq!(jit, "on");
    // Each of them alone is known by now.
    let sent = link.sent_from_now();
    let _: Row = connection
        .fetch_one("select null::pg_temp.part, null::pg_temp.mood[]", ())
        .await
        .unwrap();
    assert_eq!(sent.flights(), [asked]);
    // In a transaction a setting would outlive the look-up.
    let mut transaction = connection.begin().await.unwrap();
    let sent = link.sent_from_now();
    let label: String = transaction
        .fetch_one("select 'a'::pg_temp.other", ())
        .await
        .unwrap();
    assert_eq!(label, "a");
    let parsed = sent.parsed();
    assert!(!parsed.iter().any(|sql| sql.contains("jit")), "{parsed:?}");
    assert!(
        parsed.iter().any(|sql| sql.contains("recursive")),
        "{parsed:?}"
    );
    let jit: String = transaction.fetch_one("show jit", ()).await.unwrap();
    assert_eq!(jit, "on");
    transaction.commit().await.unwrap();
}
