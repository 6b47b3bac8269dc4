//! `rust_decimal::Decimal`, version 1 of the crate.

use rust_decimal::Decimal;

use super::through::{NoCounterpart, through};
use crate::codec::Numeric;

through!(
    /// A `numeric` of at most 96 bits without its point, and at most 28 digits behind it. The
    /// scale is kept.
    Decimal, Numeric, [NUMERIC], to_numeric, from_numeric
);

#[inline]
fn to_numeric(decimal: &Decimal) -> Result<Numeric, NoCounterpart> {
    let coefficient = decimal.mantissa().unsigned_abs();
    Numeric::from_parts(decimal.is_sign_negative(), coefficient, decimal.scale())
        .map_err(|_| NoCounterpart::new(format!("{decimal} has more digits than numeric")))
}

#[inline]
fn from_numeric(numeric: Numeric) -> Result<Decimal, NoCounterpart> {
    let Some((is_negative, coefficient, scale)) = numeric.to_parts() else {
        return Err(outside(&numeric));
    };
    let signed = i128::try_from(coefficient).map(|number| match is_negative {
        true => -number,
        false => number,
    });
    match signed.map(|number| Decimal::try_from_i128_with_scale(number, scale)) {
        Ok(Ok(decimal)) => Ok(decimal),
        _ => Err(outside(&numeric)),
    }
}

#[cold]
fn outside(numeric: &Numeric) -> NoCounterpart {
    // Few digits on the wire can stand for many zeros.
    let is_short = numeric.weight().unsigned_abs() < 16 && numeric.scale() < 64;
    let shown = match is_short {
        true => numeric.to_string(),
        false => "the number".to_owned(),
    };
    NoCounterpart::new(format!(
        "{shown} is no rust_decimal::Decimal, which has at most {} digits behind the point and \
         is at most {} without it",
        Decimal::MAX_SCALE,
        Decimal::MAX
    ))
}
