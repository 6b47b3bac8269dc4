//! A codec that is written by hand works wherever a built-in one does.

#![cfg(feature = "derive")]

mod live;
mod support;

use kornak::codec::{DynEncode, IsNull, ParamWriter, RawValue, wrong_encode_type};
use kornak::error::{DecodeError, EncodeError};
use kornak::row::Scalar;
use kornak::{Decode, Encode, ErrorKind, FromRow, Params, Row, Type, exec, one};
use live::{check_token, connect};

/// A `point`, read and written by hand.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    longitude: f64,
    latitude: f64,
}

impl Encode for Place {
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if *ty != Type::POINT {
            return Err(wrong_encode_type::<Self>(ty));
        }
        out.put_f64(self.longitude);
        out.put_f64(self.latitude);
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r> for Place {
    fn accepts(ty: &Type) -> bool {
        *ty == Type::POINT
    }

    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let mut reader = value.reader();
        let place = Self {
            longitude: reader.f64()?,
            latitude: reader.f64()?,
        };
        reader.finish()?;
        Ok(place)
    }
}

impl Scalar for Place {}

/// A newtype that reads and writes a `text` in another way than a `String` does.
#[derive(Clone, Debug, PartialEq)]
struct Words(Vec<String>);

impl Encode for Words {
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        match self.0.is_empty() {
            true => Ok(IsNull::Yes),
            false => self.0.join(" ").encode(ty, out),
        }
    }
}

impl<'r> Decode<'r> for Words {
    fn accepts(ty: &Type) -> bool {
        <&str>::accepts(ty)
    }

    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        let text = <&str>::decode(value)?;
        Ok(Self(text.split(' ').map(str::to_owned).collect()))
    }

    fn decode_null(_: &Type) -> Result<Self, DecodeError> {
        Ok(Self(Vec::new()))
    }
}

impl Scalar for Words {}

/// A type of the database's own, known by its name.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Level(u8);

impl Encode for Level {
    fn encode(&self, ty: &Type, out: &mut ParamWriter<'_>) -> Result<IsNull, EncodeError> {
        if ty.name() != "level" {
            return Err(wrong_encode_type::<Self>(ty));
        }
        out.put_slice(format!("level {}", self.0).as_bytes());
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r> for Level {
    fn accepts(ty: &Type) -> bool {
        ty.name() == "level"
    }

    fn decode(value: RawValue<'r, '_>) -> Result<Self, DecodeError> {
        std::str::from_utf8(value.bytes())
            .ok()
            .and_then(|label| label.strip_prefix("level ")?.parse().ok())
            .map(Self)
            .ok_or_else(|| value.error::<Self>("its label is no level"))
    }
}

impl Scalar for Level {}

#[derive(Debug, PartialEq, FromRow, Params, Encode, Decode)]
struct Trip {
    id: i32,
    start: Place,
    stops: Vec<Option<Place>>,
    words: Words,
    level: Level,
}

const CREATE: &str = "
    create type pg_temp.level as enum ('level 1', 'level 2');
    create type pg_temp.trip as
        (id int4, start point, stops point[], words text, level pg_temp.level);
    create temp table trips of pg_temp.trip";

fn place(longitude: f64, latitude: f64) -> Place {
    Place {
        longitude,
        latitude,
    }
}

fn trip(id: i32) -> Trip {
    Trip {
        id,
        start: place(1.5, -2.5),
        stops: vec![Some(place(0.0, 0.1)), None],
        words: Words(vec!["far".into(), "away".into()]),
        level: Level(2),
    }
}

#[tokio::test]
async fn a_codec_by_hand_is_a_row_a_parameter_an_element_and_a_field() {
    let mut db = connect().await;
    db.batch_execute(CREATE).await.unwrap();
    let home = place(76.95, 8.5);
    let there: Place = db.fetch_one("select $1::point", (home,)).await.unwrap();
    assert_eq!(there, home);
    let text: String = db
        .fetch_one("select ($1::point)::text", (home,))
        .await
        .unwrap();
    assert_eq!(text, "(76.95,8.5)");
    let square = [[home, home], [home, place(1.0, 2.0)]];
    let sql = "select $1::point[], array_dims($1), $2::point, null::point";
    let read: (Vec<Vec<Place>>, String, Place, Option<Place>) = db
        .fetch_one(sql, (&square, Some(Box::new(home))))
        .await
        .unwrap();
    assert_eq!(read.0, square);
    assert_eq!(read.1, "[1:2][1:2]");
    assert_eq!((read.2, read.3), (home, None));
    // The fields of a struct are the columns of a row, or those of a composite type.
    let insert = "insert into trips values ($1, $2, $3, $4, $5)";
    db.execute(insert, &trip(1)).await.unwrap();
    let row: Trip = db.fetch_one("select * from trips", ()).await.unwrap();
    assert_eq!(row, trip(1));
    let (values,): (Vec<Trip>,) = db
        .fetch_one("select array[$1, $1]::trip[]", (&trip(1),))
        .await
        .unwrap();
    assert_eq!(values, [trip(1), trip(1)]);
    // Dynamic rows and parameters.
    let row: Row = db.fetch_one("select * from trips", ()).await.unwrap();
    assert_eq!(row.get::<Level>("level").unwrap(), Level(2));
    let dynamic: [&(dyn DynEncode + Sync); 2] = [&home, &Level(1)];
    let read: (Place, Level) = db
        .fetch_one("select $1::point, $2::level", &dynamic)
        .await
        .unwrap();
    assert_eq!(read, (home, Level(1)));
    // Pipelines, and many at once.
    db.execute_many(insert, [trip(2), trip(3)]).await.unwrap();
    let (all, deleted) = db
        .pipeline((
            one::<Vec<Place>>("select array_agg(start) from trips", ()),
            exec("delete from trips where start ~= $1", (place(1.5, -2.5),)),
        ))
        .await
        .unwrap();
    assert_eq!(all, [trip(1).start; 3]);
    assert_eq!(deleted, 3);
    // NULL, where the codec has a value for it.
    let words: (Words, Words, bool) = db
        .fetch_one(
            "select null::text, 'a b', $1::text is null",
            (Words(Vec::new()),),
        )
        .await
        .unwrap();
    let (none, two, is_null) = words;
    assert_eq!(none, Words(Vec::new()));
    assert_eq!(two, Words(vec!["a".into(), "b".into()]));
    assert!(is_null);
}

#[tokio::test]
async fn a_codec_by_hand_copies_rows() {
    let mut db = connect().await;
    db.batch_execute("create temp table places (id int4, place point)")
        .await
        .unwrap();
    let rows: Vec<(i32, Option<Place>)> = vec![(1, Some(place(1.0, 2.0))), (2, None)];
    let mut copy = db.copy_in_rows("places", &["id", "place"]).await.unwrap();
    for row in &rows {
        copy.send(*row).await.unwrap();
    }
    assert_eq!(copy.finish().await.unwrap(), 2);
    let read: Vec<(i32, Option<Place>)> = db
        .fetch_all("select * from places order by id", ())
        .await
        .unwrap();
    assert_eq!(read, rows);
}

#[tokio::test]
async fn a_codec_by_hand_is_told_of_by_name() {
    let mut db = connect().await;
    db.batch_execute(CREATE).await.unwrap();
    for (error, kind, message) in [
        (
            db.execute("select $1::text", (place(0.0, 0.0),))
                .await
                .err(),
            ErrorKind::Encode,
            "parameter $1: can't write a Rust Place as PostgreSQL text: the types don't match",
        ),
        (
            db.fetch_one::<Place>("select 1 as a", ()).await.err(),
            ErrorKind::Decode,
            "column \"a\": can't read PostgreSQL int4 into a Rust Place: the types don't match",
        ),
        (
            db.fetch_one::<Place>("select null::point as a", ())
                .await
                .err(),
            ErrorKind::Decode,
            "column \"a\": can't read PostgreSQL point into a Rust Place: the value is NULL",
        ),
    ] {
        let error = error.expect(message);
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(message), "{error}");
    }
    check_token(&mut db).await;
}
