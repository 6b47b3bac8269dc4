//! What reading and writing one value costs, in instructions, without a connection around it.
//!
//! `cost` runs `compare code <row> <times>` under callgrind at two lengths; the difference, less
//! that of a loop that does neither, is the figure.

use std::hint::black_box;
use std::process::Command;

use kornak::codec::{Encode, Point, decode_value, encode_value};
use kornak::error::{DecodeError, EncodeError};
use kornak::internals::buffer::WriteBuffer;
use kornak::types::{Field, Format, Kind};
use kornak::{Numeric, RawJson, TimestampTz, Type, Uuid};
use serde::Serialize;

use super::by_hand::{Name, Photo, Pieces, Place};
use super::measure::callgrind;
use crate::Result;

/// How often a value is decoded in the two runs.
const LENGTHS: (u64, u64) = (2_000, 22_000);

/// Reads or writes one value so many times.
type Run = fn(u64) -> Result<()>;

/// `"name": Rust type, PostgreSQL type, value;`: what is decoded.
macro_rules! values {
    ($($name:literal: $rust:ty, $ty:expr, $value:expr;)*) => {
        const VALUES: &[(&str, Run)] = &[
            $((
                concat!("decode-", $name),
                |times| decode(&$ty, &$value, times, |bytes, ty| {
                    black_box(decode_value::<$rust>(Some(bytes), ty, Format::Binary)?);
                    Ok(())
                }),
            )),*
        ];
    };
}

values! {
    "int4": i32, Type::INT4, 42_i32;
    "int8": i64, Type::INT8, 42_i64;
    "float8": f64, Type::FLOAT8, 1.5_f64;
    "text-borrowed": &str, Type::TEXT, TEXT;
    "text": String, Type::TEXT, TEXT;
    "text-borrowed-by-hand": Name<&str>, Type::TEXT, TEXT;
    "text-by-hand": Name<String>, Type::TEXT, TEXT;
    "bytea-borrowed": &[u8], Type::BYTEA, TEXT.as_bytes();
    "bytea": Vec<u8>, Type::BYTEA, TEXT.as_bytes();
    "bytea-borrowed-by-hand": Photo<&[u8]>, Type::BYTEA, TEXT.as_bytes();
    "bytea-by-hand": Photo<Vec<u8>>, Type::BYTEA, TEXT.as_bytes();
    "timestamptz": TimestampTz, Type::TIMESTAMPTZ, TimestampTz::from_microseconds(762_525_296);
    "numeric": Numeric, Type::NUMERIC, "12345.6789".parse::<Numeric>()?;
    "uuid": Uuid, Type::UUID, Uuid([7; 16]);
    "jsonb-borrowed": RawJson<&str>, Type::JSONB, RawJson(JSON);
    "jsonb": RawJson, Type::JSONB, RawJson(JSON);
    "int4-array-100": Vec<i32>, Type::INT4_ARRAY, vec![42_i32; 100];
    "composite-5": Visit, visit()?, VISIT;
    "point": Point, Type::POINT, Point::new(1.5, 2.5);
    "point-by-hand": Place, Type::POINT, Point::new(1.5, 2.5);
    "int4-newtype": Metres, Type::INT4, 42_i32;
    "int4-by-hand": Pieces, Type::INT4, 42_i32;
}

const TEXT: &str = "Asha drives the elephant Rani.";
const JSON: &str = r#"{"name": "Rani", "weight": 3105.5, "moods": ["calm"]}"#;

/// What is written, beside what by hand or as a newtype must cost no more.
const WRITTEN: &[(&str, Run)] = &[
    ("encode-int4", |times| encode(&Type::INT4, &42_i32, times)),
    ("encode-int4-newtype", |times| {
        encode(&Type::INT4, &Metres(42), times)
    }),
    ("encode-int4-by-hand", |times| {
        encode(&Type::INT4, &Pieces(42), times)
    }),
    ("encode-point", |times| {
        encode(&Type::POINT, &Point::new(1.5, 2.5), times)
    }),
    ("encode-point-by-hand", |times| {
        let place = Place {
            longitude: 1.5,
            latitude: 2.5,
        };
        encode(&Type::POINT, &place, times)
    }),
    ("encode-text", |times| encode(&Type::TEXT, &TEXT, times)),
    ("encode-text-by-hand", |times| {
        encode(&Type::TEXT, &Name(TEXT), times)
    }),
    ("encode-bytea", |times| {
        encode(&Type::BYTEA, &TEXT.as_bytes(), times)
    }),
    ("encode-bytea-by-hand", |times| {
        encode(&Type::BYTEA, &Photo(TEXT.as_bytes()), times)
    }),
];

/// What reading or writing one value costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Coded {
    /// The row's name, `decode-` or `encode-` and the value's.
    pub row: &'static str,
    /// User instructions per value.
    pub instructions: f64,
}

/// What the rows cost whose names are wanted.
///
/// # Errors
///
/// If a run fails.
pub fn figures(is_wanted: impl Fn(&str) -> bool) -> Result<Vec<Coded>> {
    let mut figures = Vec::new();
    for (rows, nothing) in [(VALUES, DECODE_NOTHING), (WRITTEN, ENCODE_NOTHING)] {
        let rows: Vec<_> = rows.iter().filter(|(row, _)| is_wanted(row)).collect();
        let nothing = match rows.is_empty() {
            true => continue,
            false => count(nothing)?,
        };
        for (row, _) in rows {
            figures.push(Coded {
                row,
                instructions: count(row)? - nothing,
            });
        }
    }
    Ok(figures)
}

/// The table of what was counted; nothing where nothing was.
pub fn render(figures: &[Coded]) -> String {
    let mut out = String::new();
    if !figures.is_empty() {
        out.push_str("| value | instructions |\n| --- | ---: |\n");
    }
    for Coded { row, instructions } in figures {
        out.push_str(&format!("| {row} | {instructions:.0} |\n"));
    }
    out
}

/// Whether there is a row of this name.
pub fn is_row(name: &str) -> bool {
    VALUES.iter().chain(WRITTEN).any(|(row, _)| *row == name)
}

/// Reads or writes the value of this row so many times: what callgrind looks at.
///
/// # Errors
///
/// If there is no such row.
pub fn code(row: &str, times: u64) -> Result<()> {
    match row {
        DECODE_NOTHING => decode(&Type::INT4, &42_i32, times, |bytes, _| {
            black_box(bytes);
            Ok(())
        }),
        ENCODE_NOTHING => encode_by(&Type::INT4, &42_i32, times, |value, _, _| {
            black_box(value);
            Ok(())
        }),
        _ => {
            let mut rows = VALUES.iter().chain(WRITTEN);
            let (_, run) = rows
                .find(|(known, _)| *known == row)
                .ok_or_else(|| format!("there is no row {row}"))?;
            run(times)
        }
    }
}

/// The loops themselves.
const DECODE_NOTHING: &str = "decode-nothing";
const ENCODE_NOTHING: &str = "encode-nothing";

/// The instructions of one turn of the loop over this row's value.
fn count(row: &str) -> Result<f64> {
    let run = |times: u64| {
        let mut command = Command::new(std::env::current_exe()?);
        callgrind(command.arg("code").arg(row).arg(times.to_string()))
    };
    let (short, long) = LENGTHS;
    Ok((run(long)? - run(short)?) / (long - short) as f64)
}

/// Writes `value` as a `ty`, and decodes it again and again.
fn decode<V: Encode + ?Sized>(
    ty: &Type,
    value: &V,
    times: u64,
    decode: impl Fn(&[u8], &Type) -> Result<(), DecodeError>,
) -> Result<()> {
    let mut out = WriteBuffer::default();
    encode_value(value, ty, Format::Binary, &mut out)?;
    let bytes = out.pending().get(4..).ok_or("a value without a length")?;
    for _ in 0..times {
        decode(black_box(bytes), black_box(ty))?;
    }
    Ok(())
}

/// Writes `value` as a `ty` again and again.
fn encode<V: Encode>(ty: &Type, value: &V, times: u64) -> Result<()> {
    encode_by(ty, value, times, |value, ty, out| {
        encode_value(value, ty, Format::Binary, out)
    })
}

fn encode_by<V>(
    ty: &Type,
    value: &V,
    times: u64,
    write: impl Fn(&V, &Type, &mut WriteBuffer) -> Result<(), EncodeError>,
) -> Result<()> {
    let mut out = WriteBuffer::default();
    let start = out.mark();
    for _ in 0..times {
        write(black_box(value), black_box(ty), &mut out)?;
        black_box(&mut out).truncate(start);
    }
    Ok(())
}

/// A composite of five, which borrows its text.
#[derive(Debug, kornak::Encode, kornak::Decode)]
struct Visit<'r> {
    id: i32,
    name: &'r str,
    weight: f64,
    at: TimestampTz,
    fed: bool,
}

const VISIT: Visit<'static> = Visit {
    id: 7,
    name: "Rani",
    weight: 3105.5,
    at: TimestampTz::from_microseconds(762_525_296),
    fed: true,
};

fn visit() -> Result<Type> {
    let field = |name: &str, ty| Field {
        name: name.into(),
        ty,
    };
    let fields = vec![
        field("id", Type::INT4),
        field("name", Type::TEXT),
        field("weight", Type::FLOAT8),
        field("at", Type::TIMESTAMPTZ),
        field("fed", Type::BOOL),
    ];
    Ok(Type::custom(
        70_000,
        "public",
        "visit",
        Kind::Composite(fields),
        true,
        true,
    )?)
}

/// A newtype that goes by a built-in codec.
#[derive(Debug, kornak::Encode, kornak::Decode)]
#[kornak(transparent)]
pub struct Metres(pub i32);
