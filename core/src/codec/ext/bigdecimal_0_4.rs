//! `bigdecimal::BigDecimal`, version 0.4 of the crate.

use std::borrow::Cow;

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::{BigInt, BigUint, Sign};

use super::through::{NoCounterpart, through};
use crate::codec::Numeric;

/// What a group of a [`Numeric`] counts to, in digits and as two digits of base 100.
const DIGITS_PER_GROUP: i64 = 4;

through!(
    /// Every `numeric` but `NaN` and the infinities. The scale is kept; a negative one, which
    /// the server doesn't have, is written out as zeros.
    BigDecimal, Numeric, [NUMERIC], to_numeric, from_numeric
);

#[inline]
fn to_numeric(decimal: &BigDecimal) -> Result<Numeric, NoCounterpart> {
    let out_of_range = || {
        NoCounterpart::new(
            "the number has more than the 131,072 digits before the point, or the 16,383 behind \
             it, that a numeric has",
        )
    };
    let (coefficient, scale) = decimal.as_bigint_and_scale();
    // Groups lie at powers of 10,000: some zeros take the last digit to the end of one.
    let zeros = scale.rem_euclid(DIGITS_PER_GROUP);
    let zeros = (DIGITS_PER_GROUP - zeros) % DIGITS_PER_GROUP;
    let aligned: Cow<'_, BigUint> = match zeros {
        0 => Cow::Borrowed(coefficient.magnitude()),
        zeros => Cow::Owned(coefficient.magnitude() * 10_u32.pow(zeros as u32)),
    };
    let mut pairs = aligned.to_radix_le(100);
    pairs.resize(pairs.len().next_multiple_of(2), 0);
    let groups: Vec<u16> = pairs
        .rchunks_exact(2)
        .map(|pair| u16::from(pair[1]) * 100 + u16::from(pair[0]))
        .collect();
    // The power of 10,000 of the last group, and so of the first.
    let last = scale.saturating_add(zeros).saturating_neg() / DIGITS_PER_GROUP;
    let weight = last.saturating_add(groups.len() as i64 - 1);
    let weight = match coefficient.sign() {
        Sign::NoSign => 0,
        _ => i16::try_from(weight).map_err(|_| out_of_range())?,
    };
    let scale = u16::try_from(scale.max(0)).map_err(|_| out_of_range())?;
    Numeric::from_groups(coefficient.sign() == Sign::Minus, weight, scale, groups)
        .map_err(|_| out_of_range())
}

#[inline]
fn from_numeric(numeric: Numeric) -> Result<BigDecimal, NoCounterpart> {
    if !numeric.is_finite() {
        return Err(NoCounterpart::new(format!(
            "{numeric} is no bigdecimal::BigDecimal, which is always a finite number"
        )));
    }
    let scale = i64::from(numeric.scale());
    let groups = numeric.groups();
    // How many groups there are down to the one that the scale ends in.
    let behind = usize::from(numeric.scale()).div_ceil(DIGITS_PER_GROUP as usize);
    let count = usize::try_from(i64::from(numeric.weight()) + 1 + behind as i64).unwrap_or(0);
    let count = if groups.is_empty() { 0 } else { count };
    let pairs: Vec<u8> = groups
        .iter()
        .copied()
        .chain(std::iter::repeat(0))
        .take(count)
        .flat_map(|group| [(group / 100) as u8, (group % 100) as u8])
        .collect();
    // No digit is as large as the base.
    let magnitude = BigUint::from_radix_be(&pairs, 100).unwrap_or_default();
    let too_many = (DIGITS_PER_GROUP - scale % DIGITS_PER_GROUP) % DIGITS_PER_GROUP;
    let magnitude = magnitude / 10_u32.pow(too_many as u32);
    let sign = match numeric.is_negative() {
        true => Sign::Minus,
        false => Sign::Plus,
    };
    Ok(BigDecimal::new(
        BigInt::from_biguint(sign, magnitude),
        scale,
    ))
}
