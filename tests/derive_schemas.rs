//! Derived types that have namesakes in other schemas, and that lie deep in one another.

#![cfg(feature = "derive")]

use kornak::{Connection, Decode, Encode, FromRow, Params, SqlState};
use xtask::server::Server;

/// Both schemas have a type of each of these names. They are made for a moment, in a
/// transaction that is never committed, so that their names can be fixed in the types below.
const CREATE: &str = "
    create schema kornak_zoo;
    create schema kornak_shop;
    create type kornak_zoo.state as enum ('asleep', 'wide-awake');
    create type kornak_shop.state as enum ('ordered', 'sent-out');
    create type kornak_zoo.item as (name text, state kornak_zoo.state);
    create type kornak_shop.item as (price numeric, state kornak_shop.state, amount int4);
    create domain kornak_shop.items as kornak_shop.item[]
        check (array_length(value, 1) < 4);
    create domain kornak_zoo.calm as kornak_zoo.state check (value = 'asleep');
    create type kornak_zoo.cage as (
        items kornak_zoo.item[], calm kornak_zoo.calm, owed kornak_shop.items
    );
    create type kornak_zoo.house as (cages kornak_zoo.cage[], best kornak_zoo.cage)";

#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
#[kornak(name = "kornak_zoo.state", rename_all = "kebab-case")]
enum Awake {
    Asleep,
    WideAwake,
}

#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
#[kornak(name = "kornak_shop.state", rename_all = "kebab-case")]
enum Delivery {
    Ordered,
    SentOut,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[kornak(name = "kornak_zoo.item")]
struct Animal {
    name: String,
    state: Awake,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[kornak(name = "kornak_shop.item")]
struct Ware {
    amount: Option<i32>,
    price: kornak::Numeric,
    state: Delivery,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[kornak(transparent)]
struct Wares(Vec<Ware>);

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[kornak(name = "cage")]
struct Cage {
    owed: Wares,
    items: Vec<Option<Animal>>,
    calm: Option<Awake>,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[kornak(name = "kornak_zoo.house")]
struct House {
    best: Option<Cage>,
    cages: Vec<Cage>,
}

/// The name without a schema is that of both.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[kornak(name = "state", rename_all = "kebab-case")]
enum Anywhere {
    Asleep,
    WideAwake,
    Ordered,
}

fn ware(price: &str, amount: Option<i32>) -> Ware {
    Ware {
        amount,
        price: price.parse().unwrap(),
        state: Delivery::SentOut,
    }
}

fn cage(calm: Option<Awake>) -> Cage {
    let animal = |name: &str, state| {
        Some(Animal {
            name: name.into(),
            state,
        })
    };
    Cage {
        owed: Wares(vec![ware("19.90", Some(2)), ware("0.00", None)]),
        items: vec![
            animal("Rani, \"the great\"", Awake::WideAwake),
            None,
            animal("", Awake::Asleep),
        ],
        calm,
    }
}

async fn connect() -> Connection {
    Connection::connect(&Server::for_tests().url())
        .await
        .unwrap()
}

#[tokio::test]
async fn namesakes_are_told_apart_by_their_schemas() {
    let mut db = connect().await;
    let mut tx = db.begin().await.unwrap();
    tx.batch_execute(CREATE).await.unwrap();
    // Whatever the search path says.
    for path in [
        "kornak_zoo, kornak_shop",
        "kornak_shop, kornak_zoo",
        "public",
    ] {
        tx.execute(&format!("set local search_path to {path}"), ())
            .await
            .unwrap();
        let sql = "select $1::kornak_zoo.state, $2::kornak_shop.state, \
            array[$1, null]::kornak_zoo.state[], array[$2]::kornak_shop.state[], \
            $1::text || ' ' || $2";
        let read: (Awake, Delivery, Vec<Option<Awake>>, Vec<Delivery>, String) = tx
            .fetch_one(sql, (Awake::WideAwake, Delivery::Ordered))
            .await
            .unwrap();
        let expected = (
            Awake::WideAwake,
            Delivery::Ordered,
            vec![Some(Awake::WideAwake), None],
            vec![Delivery::Ordered],
            "wide-awake ordered".to_owned(),
        );
        assert_eq!(read, expected);
        let both: (Anywhere, Anywhere) = tx
            .fetch_one(
                "select $1::kornak_zoo.state, $2::kornak_shop.state",
                (Anywhere::Asleep, Anywhere::Ordered),
            )
            .await
            .unwrap();
        assert_eq!(both, (Anywhere::Asleep, Anywhere::Ordered));
    }
    // The namesake is refused, and nothing was sent.
    let error = tx
        .execute("select $1::kornak_shop.state", (Awake::Asleep,))
        .await
        .unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("can't write a Rust Awake as PostgreSQL kornak_shop.state")
            && said.contains("Awake stands for kornak_zoo.state"),
        "{said}"
    );
    let error = tx
        .fetch_one::<(Vec<Animal>,)>("select array[null::kornak_shop.item] as i", ())
        .await
        .unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains(
            "column \"i\", element: can't read PostgreSQL kornak_shop.item into a Rust Animal"
        ) && said.contains("Animal stands for kornak_zoo.item"),
        "{said}"
    );
    assert_eq!(tx.fetch_one::<i32>("select 1", ()).await.unwrap(), 1);
    tx.rollback().await.unwrap();
}

#[tokio::test]
async fn composites_in_arrays_in_composites_go_both_ways() {
    let mut db = connect().await;
    let mut tx = db.begin().await.unwrap();
    tx.batch_execute(CREATE).await.unwrap();
    let house = House {
        best: Some(cage(None)),
        cages: vec![cage(Some(Awake::Asleep)), cage(None)],
    };
    // What the server makes of it is what it makes of its own text.
    let cage_text = "row(
        array[row('Rani, \"the great\"', 'wide-awake'), null, row('', 'asleep')]::kornak_zoo.item[],
        null,
        array[row(19.90, 'sent-out', 2), row(0.00, 'sent-out', null)]::kornak_shop.item[]
    )::kornak_zoo.cage";
    let house_text = format!(
        "row(array[{}, {cage_text}], {cage_text})::kornak_zoo.house",
        cage_text.replace("\n        null,", "\n        'asleep',")
    );
    let sql = format!(
        "select $1::kornak_zoo.house, {house_text}, record_send($1) = record_send({house_text})"
    );
    for _ in 0..2 {
        let (there, made, is_same): (House, House, bool) =
            tx.fetch_one(&sql, (&house,)).await.unwrap();
        assert_eq!(there, house);
        assert_eq!(made, house);
        assert!(is_same);
    }
    // Of two dimensions, and of none.
    let square = vec![vec![cage(None), cage(None)], vec![cage(None), cage(None)]];
    let sql = "select $1::kornak_zoo.cage[], ($1::kornak_zoo.cage[])[2][1], array_dims($1), \
        '{}'::kornak_zoo.cage[]";
    let (there, one, dimensions, none): (Vec<Vec<Cage>>, _, String, Vec<Cage>) =
        tx.fetch_one(sql, (&square,)).await.unwrap();
    assert_eq!(there, square);
    let one: Option<Cage> = one;
    assert_eq!(one, Some(cage(None)));
    assert_eq!(dimensions, "[1:2][1:2]");
    assert_eq!(none, []);
    // An error is told with all the places that it lies in.
    let sql = "select row(array[row(null, null, \
        array[row(1, null, 1)]::kornak_shop.item[])]::kornak_zoo.cage[], null)::kornak_zoo.house as h";
    let error = tx.fetch_one::<(House,)>(sql, ()).await.unwrap_err();
    let said = error.to_string();
    let place = "column \"h\", field \"cages\", element 0, field ";
    assert!(said.starts_with(place), "{said}");
    // The domain's condition is the server's to check, behind all that is around it.
    let mut full = cage(None);
    full.owed = Wares(vec![ware("1", None); 4]);
    let error = tx
        .execute("select $1::kornak_zoo.cage[]", (vec![full],))
        .await
        .unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::CHECK_VIOLATION));
    tx.rollback().await.unwrap();
}

#[derive(Debug, PartialEq, FromRow)]
struct Page<T, K> {
    total: i64,
    #[kornak(flatten)]
    entry: T,
    #[kornak(flatten, prefix = "key_")]
    key: Option<Key<K>>,
}

#[derive(Debug, PartialEq, FromRow)]
struct Key<K> {
    id: K,
    #[kornak(default)]
    note: Vec<K>,
}

#[derive(Debug, PartialEq, FromRow, Params)]
struct Entry {
    title: String,
    cages: Vec<Cage>,
}

#[tokio::test]
async fn generic_rows_are_read_with_all_that_is_in_them() {
    let mut db = connect().await;
    let mut tx = db.begin().await.unwrap();
    tx.batch_execute(CREATE).await.unwrap();
    tx.batch_execute("create temp table entry (title text, cages kornak_zoo.cage[])")
        .await
        .unwrap();
    let entry = Entry {
        title: "Elephants".into(),
        cages: vec![cage(None)],
    };
    tx.execute("insert into entry values ($1, $2)", &entry)
        .await
        .unwrap();
    let page: Page<Entry, String> = tx
        .fetch_one(
            "select 'a' as key_id, array['b'] as key_note, cages, 1::int8 as total, title from entry",
            (),
        )
        .await
        .unwrap();
    let key = Key {
        id: "a".to_owned(),
        note: vec!["b".to_owned()],
    };
    let expected = Page {
        total: 1,
        entry,
        key: Some(key),
    };
    assert_eq!(page, expected);
    let page: Page<Entry, i32> = tx
        .fetch_one(
            "select *, 2::int8 as total, null::int4 as key_id from entry",
            (),
        )
        .await
        .unwrap();
    assert_eq!((page.total, page.key), (2, None));
    tx.rollback().await.unwrap();
}

#[cfg(all(
    feature = "with-chrono-0_4",
    feature = "with-uuid-1",
    feature = "with-rust_decimal-1",
    feature = "with-serde_json-1"
))]
mod foreign {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Encode, Decode)]
    #[kornak(name = "event")]
    struct Event {
        id: uuid::Uuid,
        at: chrono::DateTime<chrono::Utc>,
        prices: Vec<rust_decimal::Decimal>,
        more: Option<kornak::Json<Vec<i32>>>,
    }

    #[tokio::test]
    async fn types_of_other_crates_are_fields_of_composites() {
        let mut db = connect().await;
        db.batch_execute(
            "create domain pg_temp.price as numeric(8, 2);
             create type pg_temp.event as
                (at timestamptz, prices pg_temp.price[], more jsonb, id uuid)",
        )
        .await
        .unwrap();
        let event = Event {
            id: uuid::Uuid::from_u128(7),
            at: chrono::DateTime::from_timestamp(1_709_210_096, 500_000_000).unwrap(),
            prices: vec!["19.90".parse().unwrap(), "-0.01".parse().unwrap()],
            more: Some(kornak::Json(vec![1, 2])),
        };
        let (back, text): (Vec<Event>, String) = db
            .fetch_one(
                "select array[$1, $1]::event[], ($1::event).prices::text",
                (&event,),
            )
            .await
            .unwrap();
        assert_eq!(back, [event.clone(), event]);
        assert_eq!(text, "{19.90,-0.01}");
        let error = db
            .fetch_one::<(Event,)>(
                "select row('infinity', '{}', null, gen_random_uuid())::event as e",
                (),
            )
            .await
            .unwrap_err();
        let said = error.to_string();
        assert!(
            said.starts_with("column \"e\", field \"at\": can't read PostgreSQL timestamptz"),
            "{said}"
        );
    }
}
