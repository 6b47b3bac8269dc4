//! What decoding one value costs, in instructions, without a connection around it.
//!
//! `cost` runs `compare decode <value> <times>` under callgrind at two lengths; the
//! difference, less that of a loop without a decoder, is the figure.

use std::hint::black_box;
use std::process::Command;

use kornak::codec::{Decode, Encode, Point, RawValue, decode_value, encode_value};
use kornak::error::DecodeError;
use kornak::internals::buffer::WriteBuffer;
use kornak::types::{Field, Format, Kind};
use kornak::{Numeric, RawJson, TimestampTz, Type, Uuid};
use serde::Serialize;

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

/// What decoding one value costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decoded {
    /// The row's name, `decode-` and the value's.
    pub row: String,
    /// User instructions per value.
    pub instructions: f64,
}

/// What the values cost whose rows' names contain `only`.
///
/// # Errors
///
/// If a run fails.
pub fn figures(only: &str) -> Result<Vec<Decoded>> {
    let mut figures = Vec::new();
    let mut nothing = None;
    for (name, _) in VALUES {
        let row = row(name);
        if !row.contains(only) {
            continue;
        }
        let nothing = match nothing {
            Some(nothing) => nothing,
            None => *nothing.insert(count(NOTHING)?),
        };
        let instructions = count(name)? - nothing;
        figures.push(Decoded { row, instructions });
    }
    Ok(figures)
}

/// The table of what was counted; nothing where nothing was.
pub fn render(figures: &[Decoded]) -> String {
    let mut out = String::new();
    if !figures.is_empty() {
        out.push_str("| decoded value | instructions |\n| --- | ---: |\n");
    }
    for Decoded { row, instructions } in figures {
        out.push_str(&format!("| {row} | {instructions:.0} |\n"));
    }
    out
}

/// Which codecs cost more than what they are to cost no more than.
pub fn failures(figures: &[Decoded]) -> Vec<String> {
    let figure = |name| {
        let row = row(name);
        let found = figures.iter().find(|one| one.row == row);
        found.map(|one| one.instructions)
    };
    let mut failures = Vec::new();
    for (own, built_in) in EQUALS {
        if let (Some(own_figure), Some(figure)) = (figure(own), figure(built_in)) {
            // A branch more or less is what the compiler makes of it.
            if own_figure > figure * (1.0 + TOLERANCE) + 1.0 {
                failures.push(format!(
                    "{} is {own_figure:.0}, {} {figure:.0}",
                    row(own),
                    row(built_in)
                ));
            }
        }
    }
    failures
}

fn row(name: &str) -> String {
    format!("decode-{name}")
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

/// The instructions of one turn of the loop over this value.
fn count(name: &str) -> Result<f64> {
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
