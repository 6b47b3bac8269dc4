//! What decoding one value costs, in instructions, without a connection around it.
//!
//! `cost` runs `compare decode <value> <times>` under callgrind at two lengths; the
//! difference, less that of a loop without a decoder, is the figure.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::Command;

use kornak::codec::{Decode, Encode, Point, RawValue, decode_value, encode_value};
use kornak::error::DecodeError;
use kornak::internals::buffer::WriteBuffer;
use kornak::types::{Field, Format, Kind};
use kornak::{Numeric, RawJson, TimestampTz, Type, Uuid};

use super::gates::TOLERANCE;
use super::measure::callgrind;
use crate::Result;

/// How often a value is decoded in the two runs.
const LENGTHS: (u64, u64) = (2_000, 22_000);

/// Decodes one value so many times.
type Run = fn(u64) -> Result<()>;

/// `"name": Rust type, PostgreSQL type, value;`: what is decoded.
macro_rules! values {
    ($($name:literal: $rust:ty, $ty:expr, $value:expr;)*) => {
        const VALUES: &[(&str, Run)] = &[
            $((
                $name,
                |times| run(&$ty, &$value, times, |bytes, ty| {
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
}

const TEXT: &str = "Asha drives the elephant Rani.";
const JSON: &str = r#"{"name": "Rani", "weight": 3105.5, "moods": ["calm"]}"#;

/// What a codec by hand and a newtype may cost: what the built-in codec costs.
const EQUALS: [(&str, &str); 2] = [("point-by-hand", "point"), ("int4-newtype", "int4")];

/// Prints the table of the values whose names contain `only`, and returns what is wrong with
/// it.
///
/// # Errors
///
/// If a run fails.
pub fn print(only: &str) -> Result<Vec<String>> {
    let mut figures = BTreeMap::new();
    let mut nothing = None;
    for (name, _) in VALUES {
        let row = format!("decode-{name}");
        if !row.contains(only) {
            continue;
        }
        if nothing.is_none() {
            println!("| decoded value | instructions |\n| --- | ---: |");
            nothing = Some(instructions(NOTHING)?);
        }
        let figure = instructions(name)? - nothing.unwrap_or_default();
        println!("| {row} | {figure:.0} |");
        figures.insert(*name, figure);
    }
    let mut failures = Vec::new();
    for (own, built_in) in EQUALS {
        if let (Some(&own_figure), Some(&figure)) = (figures.get(own), figures.get(built_in)) {
            // A branch more or less is what the compiler makes of it.
            if own_figure > figure * (1.0 + TOLERANCE) + 1.0 {
                failures.push(format!(
                    "decode-{own} is {own_figure:.0}, decode-{built_in} {figure:.0}"
                ));
            }
        }
    }
    Ok(failures)
}

/// Decodes the value of this name so many times: what callgrind looks at.
///
/// # Errors
///
/// If there is no such value.
pub fn decode(name: &str, times: u64) -> Result<()> {
    if name == NOTHING {
        return run(&Type::INT4, &42_i32, times, |bytes, _| {
            black_box(bytes);
            Ok(())
        });
    }
    let (_, run) = VALUES
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| format!("there is no value {name}"))?;
    run(times)
}

/// The loop itself.
const NOTHING: &str = "nothing";

fn instructions(name: &str) -> Result<f64> {
    let run = |times: u64| {
        let mut command = Command::new(std::env::current_exe()?);
        callgrind(command.arg("decode").arg(name).arg(times.to_string()))
    };
    let (short, long) = LENGTHS;
    Ok((run(long)? - run(short)?) / (long - short) as f64)
}

/// Writes `value` as a `ty`, and decodes it again and again.
fn run<V: Encode + ?Sized>(
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

/// What the documentation shows as a codec of one's own.
#[derive(Debug)]
pub struct Place {
    /// The first coordinate.
    pub longitude: f64,
    /// The second one.
    pub latitude: f64,
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

/// A newtype that goes by a built-in decoder.
#[derive(Debug, kornak::Decode)]
#[kornak(transparent)]
pub struct Metres(pub i32);
