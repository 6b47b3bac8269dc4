//! Derived types against a real server.

#![cfg(feature = "derive")]

use kornak::{Connection, Decode, Encode, ErrorKind, FromRow, Params, Result, SqlState};
use xtask::server::Server;

/// A connection after `setup`, which makes its types in `pg_temp`: they are found without a
/// schema and go with the connection.
async fn connect(setup: &str) -> Connection {
    let mut connection = Connection::connect(&Server::for_tests().url())
        .await
        .unwrap();
    connection.batch_execute(setup).await.unwrap();
    connection
}

#[track_caller]
fn check_error<T: std::fmt::Debug>(result: Result<T>, expected: &str) {
    let error = result.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Decode | ErrorKind::Encode),
        "{error}"
    );
    assert!(error.to_string().contains(expected), "{error}");
}

#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
#[kornak(rename_all = "kebab-case")]
enum Mood {
    Happy,
    SoSo,
}

const CREATE_MOOD: &str = "create type pg_temp.mood as enum ('happy', 'so-so')";

#[tokio::test]
async fn an_enum_is_a_parameter_a_column_and_a_row() {
    let mut db = connect(CREATE_MOOD).await;
    for _ in 0..2 {
        let mood: Mood = db
            .fetch_one("select $1::pg_temp.mood", (Mood::SoSo,))
            .await
            .unwrap();
        assert_eq!(mood, Mood::SoSo);
    }
    let none: Option<Mood> = db.fetch_one("select null::pg_temp.mood", ()).await.unwrap();
    assert_eq!(none, None);
    // A string is a label too, and the other way round.
    let same: bool = db
        .fetch_one(
            "select $1 = 'so-so'::mood and $2 = $1",
            (Mood::SoSo, "so-so"),
        )
        .await
        .unwrap();
    assert!(same);
    let label: String = db.fetch_one("select 'happy'::mood", ()).await.unwrap();
    assert_eq!(label, "happy");
    let moods = vec![Mood::Happy, Mood::SoSo];
    let read: Vec<Mood> = db.fetch_one("select $1::mood[]", (&moods,)).await.unwrap();
    assert_eq!(read, moods);
    let read: Vec<Mood> = db
        .fetch_all("select unnest(enum_range(null::mood))", ())
        .await
        .unwrap();
    assert_eq!(read, moods);
    let read: (Vec<Option<Mood>>, i32) = db
        .fetch_one("select array['happy', null]::mood[], 1", ())
        .await
        .unwrap();
    assert_eq!(read, (vec![Some(Mood::Happy), None], 1));
    check_error(
        db.execute("select $1::text", (Mood::Happy,)).await,
        "parameter $1: can't write a Rust Mood as PostgreSQL text",
    );
    check_error(
        db.fetch_one::<Mood>("select 'happy' as m", ()).await,
        "column \"m\": can't read PostgreSQL text into a Rust Mood",
    );
}

#[derive(Debug, PartialEq, Encode, Decode)]
#[kornak(name = "information_schema.Mood")]
enum Elsewhere {
    Happy,
}

#[tokio::test]
async fn a_type_may_be_named_with_its_schema() {
    let schema = format!("kornak derive.{}", std::process::id());
    let mut db = connect(&format!(
        "drop schema if exists \"{schema}\" cascade;
         create schema \"{schema}\";
         create type \"{schema}\".mood as enum ('happy', 'so-so');
         create type \"{schema}\".\"Mood\" as enum ('Happy')"
    ))
    .await;
    let sql = format!("select $1::\"{schema}\".mood, array[$1]");
    let (mood, moods): (Mood, Vec<Mood>) = db.fetch_one(&sql, (Mood::SoSo,)).await.unwrap();
    assert_eq!((mood, moods), (Mood::SoSo, vec![Mood::SoSo]));
    let sql = format!("select 'Happy'::\"{schema}\".\"Mood\"");
    check_error(
        db.fetch_one::<Elsewhere>(&sql, ()).await,
        "Elsewhere stands for information_schema.Mood",
    );
    // The tests' types lie in information_schema only for a moment: nobody else sees them.
    let mut tx = db.begin().await.unwrap();
    tx.batch_execute("create type information_schema.\"Mood\" as enum ('Happy')")
        .await
        .unwrap();
    let sql = "select $1::information_schema.\"Mood\"";
    let mood: Elsewhere = tx.fetch_one(sql, (Elsewhere::Happy,)).await.unwrap();
    assert_eq!(mood, Elsewhere::Happy);
    tx.rollback().await.unwrap();
    db.batch_execute(&format!("drop schema \"{schema}\" cascade"))
        .await
        .unwrap();
}

#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
#[kornak(name = "mood", rename_all = "kebab-case")]
enum NewMood {
    Happy,
    SoSo,
    Elated,
}

#[tokio::test]
async fn r46_a_label_may_be_added_while_a_statement_is_prepared() {
    let mut db = connect(CREATE_MOOD).await;
    let sql = "select $1::mood";
    assert_eq!(
        db.fetch_one::<NewMood>(sql, (NewMood::Happy,))
            .await
            .unwrap(),
        NewMood::Happy
    );
    let error = db
        .fetch_one::<NewMood>(sql, (NewMood::Elated,))
        .await
        .unwrap_err();
    assert_eq!(
        error.sqlstate(),
        Some(SqlState::INVALID_TEXT_REPRESENTATION)
    );
    db.execute("alter type mood add value 'elated'", ())
        .await
        .unwrap();
    assert_eq!(
        db.fetch_one::<NewMood>(sql, (NewMood::Elated,))
            .await
            .unwrap(),
        NewMood::Elated
    );
    check_error(
        db.fetch_one::<Mood>(sql, (NewMood::Elated,)).await,
        "Mood has no variant for the label \"elated\", only for \"happy\", \"so-so\"",
    );
    assert_eq!(
        db.fetch_one::<Mood>(sql, (NewMood::SoSo,)).await.unwrap(),
        Mood::SoSo
    );
    db.execute("alter type mood rename value 'happy' to 'glad'", ())
        .await
        .unwrap();
    check_error(
        db.fetch_one::<Mood>("select 'glad'::mood", ()).await,
        "no variant for the label \"glad\"",
    );
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Address {
    // The server has them in another order.
    mood: Option<Mood>,
    street: String,
    #[kornak(rename = "Zip")]
    zip: Option<Zip>,
}

#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
#[kornak(transparent)]
struct Zip(i32);

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[kornak(transparent)]
struct Name(String);

#[derive(Clone, Debug, PartialEq, Encode, Decode, FromRow, Params)]
struct Person {
    id: i64,
    name: Name,
    home: Address,
    others: Vec<Option<Address>>,
    tags: Vec<Name>,
}

const CREATE_PERSON: &str = "
    create type pg_temp.mood as enum ('happy', 'so-so');
    create domain pg_temp.zip as int4 check (value between 0 and 99999);
    create domain pg_temp.name_ as text;
    create type pg_temp.address as (street varchar, \"Zip\" pg_temp.zip, mood pg_temp.mood);
    create temp table person (
        id int8, gone int, name name_, others address[], home address, tags name_[]
    );
    alter table person drop column gone";

fn address(zip: Option<i32>, mood: Option<Mood>) -> Address {
    Address {
        mood,
        street: "Long \"Street\", (1)".into(),
        zip: zip.map(Zip),
    }
}

fn person() -> Person {
    Person {
        id: 7,
        name: Name("Asha".into()),
        home: address(Some(12345), Some(Mood::SoSo)),
        others: vec![
            None,
            Some(address(None, None)),
            Some(address(Some(0), Some(Mood::Happy))),
        ],
        tags: vec![Name("a".into()), Name(String::new())],
    }
}

const INSERT: &str =
    "insert into person (id, name, home, others, tags) values ($1, $2, $3, $4, $5)";

#[tokio::test]
async fn composites_domains_and_arrays_of_them_go_both_ways() {
    let mut db = connect(CREATE_PERSON).await;
    let person = person();
    assert_eq!(db.execute(INSERT, &person).await.unwrap(), 1);
    // The server reads the same out of it.
    let seen: String = db
        .fetch_one("select (home, others, tags, name)::text from person", ())
        .await
        .unwrap();
    let mut expected: String = db
        .fetch_one(
            "select (
                row('Long \"Street\", (1)', 12345, 'so-so')::address,
                array[null, row('Long \"Street\", (1)', null, null),
                      row('Long \"Street\", (1)', 0, 'happy')]::address[],
                array['a', '']::name_[],
                'Asha'
             )::text",
            (),
        )
        .await
        .unwrap();
    assert_eq!(seen, std::mem::take(&mut expected));
    for _ in 0..2 {
        let row: Person = db.fetch_one("select * from person", ()).await.unwrap();
        assert_eq!(row, person);
        // A table is a composite type too; its dropped column doesn't travel.
        let (value,): (Person,) = db.fetch_one("select person from person", ()).await.unwrap();
        assert_eq!(value, person);
    }
    let (back,): (Vec<Person>,) = db
        .fetch_one("select $1::person[]", (vec![&person, &person],))
        .await
        .unwrap();
    assert_eq!(back, [person.clone(), person.clone()]);
    let zip: Zip = db
        .fetch_one("select ((home).\"Zip\") from person", ())
        .await
        .unwrap();
    assert_eq!(zip, Zip(12345));
    let error = db
        .execute(
            "update person set home = $1",
            (address(Some(100_000), None),),
        )
        .await
        .unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::CHECK_VIOLATION));
    check_error(
        db.fetch_one::<(Person,)>("select row(null, 'x', null, null, null)::person as p", ())
            .await,
        "column \"p\", field \"id\": can't read PostgreSQL int8 into a Rust i64: the value is NULL",
    );
}

#[tokio::test]
async fn domains_over_enums_and_composites_are_looked_through() {
    let mut db = connect(
        "create type pg_temp.mood as enum ('happy', 'so-so');
         create domain pg_temp.good_mood as pg_temp.mood check (value = 'happy');
         create domain pg_temp.zip as int4;
         create domain pg_temp.zip_too as pg_temp.zip;
         create type pg_temp.address as
            (street text, \"Zip\" pg_temp.zip_too, mood pg_temp.good_mood);
         create domain pg_temp.place as pg_temp.address check ((value).street <> '')",
    )
    .await;
    let place = address(Some(5), Some(Mood::Happy));
    let (mood, read, all): (Mood, Address, Vec<Address>) = db
        .fetch_one(
            "select $1::good_mood, $2::place, array[$2::place, $2::place]",
            (Mood::Happy, &place),
        )
        .await
        .unwrap();
    assert_eq!(mood, Mood::Happy);
    assert_eq!(read, place);
    assert_eq!(all, [place.clone(), place]);
    let error = db
        .fetch_one::<Mood>("select $1::good_mood", (Mood::SoSo,))
        .await
        .unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::CHECK_VIOLATION));
}

#[derive(Debug, PartialEq, Decode)]
#[kornak(name = "point_")]
struct Point {
    x: i32,
    y: i32,
    #[kornak(default)]
    z: Option<i32>,
}

#[derive(Debug, PartialEq, Encode)]
#[kornak(name = "point_")]
struct FlatPoint {
    x: i32,
    y: i32,
}

#[tokio::test]
async fn a_composite_that_differs_is_told() {
    let mut db = connect("create type pg_temp.point_ as (x int, y int)").await;
    let sql = "select $1::point_";
    let (point,): (Point,) = db
        .fetch_one(sql, (FlatPoint { x: 1, y: 2 },))
        .await
        .unwrap();
    assert_eq!(
        point,
        Point {
            x: 1,
            y: 2,
            z: None
        }
    );
    let mut other = connect(
        "create type pg_temp.point_ as (x int, y text, z int);
         create type pg_temp.address as (street text)",
    )
    .await;
    check_error(
        other
            .fetch_one::<(Point,)>("select row(1, 2, 3)::point_ as p", ())
            .await,
        "column \"p\", field \"y\": can't read PostgreSQL text into a Rust i32",
    );
    check_error(
        other
            .fetch_one::<(Vec<Address>,)>("select null::address[] as a", ())
            .await,
        ".address has no field \"mood\"; it has \"street\"",
    );
    check_error(
        other.execute(sql, (FlatPoint { x: 1, y: 2 },)).await,
        ".point_ has a field \"z\", which FlatPoint lacks",
    );
    // Nothing of it has hurt the connection.
    assert_eq!(other.fetch_one::<i32>("select 1", ()).await.unwrap(), 1);
}

#[derive(Debug, PartialEq, FromRow)]
struct Visit<'a> {
    #[kornak(flatten, prefix = "guest_")]
    guest: Option<Guest<'a>>,
    mood: Mood,
    place: BorrowedAddress<'a>,
}

#[derive(Debug, PartialEq, FromRow)]
struct Guest<'a> {
    name: &'a str,
}

#[derive(Debug, PartialEq, Decode)]
#[kornak(name = "address")]
struct BorrowedAddress<'a> {
    street: &'a str,
}

#[tokio::test]
async fn rows_are_read_in_place_with_all_that_is_in_them() {
    let mut db = connect(CREATE_PERSON).await;
    let mut streets = Vec::new();
    db.for_each(
        "select row('Street ' || n, n, null)::address as place, 'happy'::mood as mood,
                case when n > 1 then 'Guest ' || n end as guest_name
         from generate_series(1, 3) n",
        (),
        |row| {
            let visit: Visit<'_> = row.read()?;
            assert_eq!(visit.mood, Mood::Happy);
            let guest = visit.guest.map_or("nobody", |guest| guest.name);
            streets.push(format!("{guest} at {}", visit.place.street));
            kornak::Result::Ok(())
        },
    )
    .await
    .unwrap();
    assert_eq!(
        streets,
        [
            "nobody at Street 1",
            "Guest 2 at Street 2",
            "Guest 3 at Street 3"
        ]
    );
}

#[tokio::test]
async fn a_type_without_a_derive_is_told_of_it() {
    let mut db = connect(CREATE_PERSON).await;
    check_error(
        db.fetch_one::<String>("select row(null, null, null)::address", ())
            .await,
        ".address is a struct that derives kornak::Encode and kornak::Decode",
    );
    check_error(
        db.fetch_one::<i32>("select 'happy'::mood", ()).await,
        ".mood is String, or an enum that derives kornak::Encode and kornak::Decode",
    );
}
