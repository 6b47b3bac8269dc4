//! Types that are looked up: strange ones of a real server, and made up ones of a server that
//! lies.

mod live;
mod support;

use std::fmt::Write as _;

use kornak::config::Environment;
use kornak::{Config, Connection, ErrorKind, Row};
use live::{check_token, connect};
use support::deadline::{GENEROUS, within};
use support::scripted::{Listen, ScriptError, ScriptedServer, Session};

/// A server that answers a cold `select` with a column of the type 70000, and the question for
/// that type with these rows.
fn server_with(types: String) -> ScriptedServer {
    ScriptedServer::start(Listen::Unix, async move |acceptor| {
        let mut session = acceptor.accept().await?;
        session.startup_trust().await?;
        flight(&mut session).await?;
        session
            .say(
                r#"ParseComplete
                ParameterDescription []
                RowDescription [("a" 0 0 70000 4 -1 0)]
                BindComplete
                DataRow [x00000000]
                CommandComplete "SELECT 1"
                ReadyForQuery I"#,
            )
            .await?;
        flight(&mut session).await?;
        let count = types.lines().count();
        session
            .say(&format!(
                r#"ParseComplete
                BindComplete
                DataRow [""]
                CommandComplete "SELECT 1"
                CloseComplete
                ParseComplete
                ParameterDescription [1028]
                RowDescription [("" 0 0 oid 4 -1 0)]
                BindComplete
                {types}
                CommandComplete "SELECT {count}"
                CloseComplete
                ReadyForQuery I"#
            ))
            .await?;
        session.expect_end().await
    })
}

async fn flight(session: &mut Session) -> Result<(), ScriptError> {
    while session.receive().await?.name() != "Sync" {}
    Ok(())
}

/// A row of the look-up: a type of this class, made of `parts`.
fn row(oid: u32, class: &str, part: u32, fields: &[u32]) -> String {
    let array = |element: u32, values: &[Vec<u8>]| {
        if values.is_empty() {
            return format!("x0000000000000000{element:08x}");
        }
        let mut text = format!("x0000000100000000{element:08x}{:08x}00000001", values.len());
        for value in values {
            let _ = write!(text, "{:08x}", value.len());
            for byte in value {
                let _ = write!(text, "{byte:02x}");
            }
        }
        text
    };
    let names: Vec<_> = fields.iter().map(|_| b"f".to_vec()).collect();
    let types: Vec<_> = fields
        .iter()
        .map(|oid| oid.to_be_bytes().to_vec())
        .collect();
    format!(
        r#"DataRow [x{oid:08x}, "public", "t{oid}", "{class}", x01, x01, x{part:08x}, {}, {}, {}, ","]"#,
        array(25, &[]),
        array(25, &names),
        array(26, &types)
    )
}

async fn fetch_from(types: String) -> kornak::Result<Row> {
    let mut server = server_with(types);
    let config: Config = server.url().parse().unwrap();
    let config = config.environment(Environment::empty());
    let connected = within(GENEROUS, "connecting", Connection::connect(config)).await;
    let mut connection = connected.unwrap();
    let row = connection.fetch_one::<Row>("select a", ());
    let result = within(GENEROUS, "the row", row).await;
    drop(connection);
    server.finish().await;
    result
}

#[tokio::test]
async fn s29_types_that_nest_ten_thousand_deep_or_in_a_circle_are_an_error() {
    const DEEP: u32 = 10_000;
    let chain = |class: &'static str, is_field: bool| {
        let link = move |index| {
            let next = 70_000 + index + 1;
            if is_field {
                row(next - 1, class, 0, &[23, next])
            } else {
                row(next - 1, class, next, &[])
            }
        };
        (0..DEEP).map(link).collect::<Vec<_>>().join("\n")
    };
    let cases = [
        chain("d", false),
        chain("b", false),
        chain("c", true),
        // One that is itself, one that has itself as a part, and two that have each other.
        row(70_000, "d", 70_000, &[]),
        row(70_000, "c", 0, &[23, 70_000, 70_000]),
        [
            row(70_000, "c", 0, &[70_001, 70_001]),
            row(70_001, "b", 70_000, &[]),
        ]
        .join("\n"),
    ];
    for types in cases {
        let error = fetch_from(types).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("64 levels"), "{error}");
    }
    // Wide is not deep: each is built once, however often it is used.
    let mut wide = String::new();
    for index in 0..60 {
        let next = 70_001 + index;
        let _ = writeln!(wide, "{}", row(next - 1, "c", 0, &[next; 40]));
    }
    wide += &row(70_060, "d", 25, &[]);
    let row = fetch_from(wide).await.unwrap();
    assert_eq!(row.columns()[0].ty().name(), "t70000");
}

#[tokio::test]
async fn s29_a_type_of_a_real_server_that_nests_too_deep_is_an_error() {
    let mut connection = connect().await;
    let mut script = "create domain pg_temp.d0 as int4;".to_owned();
    for depth in 1..100 {
        let _ = write!(
            script,
            "create type pg_temp.d{depth} as (d pg_temp.d{});",
            depth - 1
        );
    }
    connection.batch_execute(&script).await.unwrap();
    for (depth, fits) in [(1, true), (60, true), (62, true), (64, false), (99, false)] {
        let sql = format!("select null::pg_temp.d{depth}");
        for _ in 0..2 {
            let result = connection.fetch_one::<Row>(&sql, ()).await;
            match result {
                Ok(row) => {
                    assert!(fits, "{depth}");
                    assert_eq!(row.columns()[0].ty().name(), format!("d{depth}"));
                }
                Err(error) => {
                    assert!(!fits, "{depth}: {error}");
                    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
                }
            }
            check_token(&mut connection).await;
        }
    }
}

#[tokio::test]
async fn r47_oids_above_the_signed_range_on_a_real_server() {
    let mut connection = connect().await;
    let oid = 3_000_000_000 + std::process::id();
    // The catalogues are tables, whose rows may be given any OID; nobody else sees it.
    let mut transaction = connection.begin().await.unwrap();
    transaction
        .batch_execute(&format!(
            "set local allow_system_table_mods = on; \
             create type pg_temp.mood as enum ('glum', 'gay'); \
             create temp table ids as select oid, typarray from pg_type \
                 where oid = 'pg_temp.mood'::regtype; \
             delete from pg_depend where objid in (select oid from ids) \
                 or refobjid in (select oid from ids); \
             update pg_enum set enumtypid = {oid} where enumtypid in (select oid from ids); \
             update pg_type set typelem = {oid} where oid in (select typarray from ids); \
             update pg_type set oid = {oid} where oid in (select oid from ids)"
        ))
        .await
        .unwrap();
    let sql = "select 'gay'::pg_temp.mood, array['gay', 'glum']::pg_temp.mood[]";
    for _ in 0..2 {
        let row: Row = transaction.fetch_one(sql, ()).await.unwrap();
        let columns = row.columns();
        assert_eq!(columns[0].ty().oid(), oid);
        assert_eq!(columns[0].ty().name(), "mood");
        assert_eq!(columns[1].ty().element().unwrap().oid(), oid);
        assert_eq!(row.get::<String>(0).unwrap(), "gay");
        assert_eq!(row.get::<Vec<String>>(1).unwrap(), ["gay", "glum"]);
    }
    // As a parameter's type that the server infers.
    let same: bool = transaction
        .fetch_one("select $1 = 'gay'::pg_temp.mood", ("gay",))
        .await
        .unwrap();
    assert!(same);
    transaction.rollback().await.unwrap();
    check_token(&mut connection).await;
}
