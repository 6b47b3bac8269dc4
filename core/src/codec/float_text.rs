//! Floating-point numbers as the server prints them (`float8out` in `float.c`, `d2s.c`).
//!
//! Both print the fewest digits that stand for the number, but the server takes those for
//! it that lie strictly between the halfway points to its neighbours, where the standard
//! library takes the halfway points too if the number's last bit is 0: 1e23 is
//! 9.999999999999999e+22 for the server. And where two numbers of as many digits are equally
//! near, the server takes the even one.

use std::fmt;

/// A number as the server prints it.
#[derive(Clone, Copy, Debug)]
pub(super) struct FloatText<F>(pub(super) F);

/// From this many digits before the point on, the server shows an exponent (`DBL_DIG`).
const FLOAT8_DIGITS: i32 = 15;
const FLOAT4_DIGITS: i32 = 6;

/// A finite number other than 0: `mantissa` × 2^`exponent`.
#[derive(Clone, Copy)]
struct Parts {
    mantissa: u64,
    exponent: i32,
    /// Whether the neighbour towards 0 is only half as far away as the other.
    is_power_of_two: bool,
}

macro_rules! float_text {
    ($float:ident, $digits:expr, $most:literal, $mantissa_bits:literal, $bias:literal) => {
        impl fmt::Display for FloatText<$float> {
            #[inline]
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let number = self.0;
                if number.is_nan() {
                    return f.write_str("NaN");
                }
                if number.is_infinite() {
                    return f.write_str(if number > 0.0 {
                        "Infinity"
                    } else {
                        "-Infinity"
                    });
                }
                let bits = u64::from(number.to_bits());
                let fraction = bits & ((1 << $mantissa_bits) - 1);
                let biased = (bits >> $mantissa_bits) as i32 & (2 * $bias + 1);
                let parts = Parts {
                    mantissa: if biased == 0 {
                        fraction
                    } else {
                        fraction | 1 << $mantissa_bits
                    },
                    exponent: biased.max(1) - $bias - $mantissa_bits,
                    is_power_of_two: fraction == 0 && biased > 1,
                };
                let mut text = format!("{number:e}");
                let shortest = text.split('e').next().unwrap_or_default();
                let digits = shortest.bytes().filter(u8::is_ascii_digit).count();
                // Of two equally near ones the server takes the even one.
                let even = format!("{number:.0$e}", digits - 1);
                if even.parse() == Ok(number) {
                    text = even;
                }
                if number != 0.0 && parts.has_halfway(&text) {
                    // The server then needs more digits; with the most it is always unique.
                    // As many digits behind the point as there were in all are one more.
                    for count in digits..=$most {
                        text = format!("{number:.count$e}");
                        if text.parse() == Ok(number) && !parts.has_halfway(&text) {
                            break;
                        }
                    }
                }
                write_like_server(f, &text, $digits)
            }
        }
    };
}

float_text!(f64, FLOAT8_DIGITS, 16, 52, 1023);
float_text!(f32, FLOAT4_DIGITS, 8, 23, 127);

impl Parts {
    /// Whether the number that `text` has in scientific form lies exactly halfway between
    /// this one and a neighbour.
    #[inline]
    fn has_halfway(self, text: &str) -> bool {
        let Some((coefficient, power)) = decimal(text) else {
            return false;
        };
        // Halfway points have one bit more than the number, or two. In decimal they are a
        // multiple of a power of 5 that fits into as many.
        let (mut odd, mut shift) = match u32::try_from(power) {
            Ok(power) => match 5_u128
                .checked_pow(power)
                .and_then(|p| p.checked_mul(coefficient))
            {
                Some(product) => (product, 0),
                None => return false,
            },
            Err(_) => match 5_u128.checked_pow(power.unsigned_abs()) {
                Some(divisor) if coefficient % divisor == 0 => (coefficient / divisor, 0),
                _ => return false,
            },
        };
        shift += power;
        if odd == 0 {
            return false;
        }
        shift += odd.trailing_zeros() as i32;
        odd >>= odd.trailing_zeros();
        let mantissa = u128::from(self.mantissa);
        let is = |halfway: u128, exponent: i32| odd == halfway && shift == exponent;
        let below = if self.is_power_of_two {
            is(4 * mantissa - 1, self.exponent - 2)
        } else {
            is(2 * mantissa - 1, self.exponent - 1)
        };
        below || is(2 * mantissa + 1, self.exponent - 1)
    }
}

/// The coefficient and the power of ten of a number like `1.25e-7`, without its sign.
#[inline]
fn decimal(text: &str) -> Option<(u128, i32)> {
    let (mantissa, exponent) = text.trim_start_matches('-').split_once('e')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let exponent = exponent.parse::<i32>().ok()? - fraction.len() as i32;
    Some((digits.parse().ok()?, exponent))
}

/// Prints a number like `1.25e-7` with an exponent only where the server does.
#[inline]
fn write_like_server(f: &mut fmt::Formatter<'_>, text: &str, digits: i32) -> fmt::Result {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => ("-", mantissa),
        None => ("", mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let significant = match all.trim_end_matches('0') {
        "" => "0",
        significant => significant,
    };
    f.write_str(sign)?;
    if exponent < -4 || exponent >= digits {
        let (first, rest) = significant.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(
            f,
            "{first}{point}{rest}e{sign}{:02}",
            exponent.unsigned_abs()
        )
    } else if exponent < 0 {
        let zeros = exponent.unsigned_abs() as usize - 1;
        write!(f, "0.{:0>1$}", significant, zeros + significant.len())
    } else {
        let before = exponent as usize + 1;
        if significant.len() <= before {
            write!(f, "{significant:0<before$}")
        } else {
            let (whole, fraction) = significant.split_at(before);
            write!(f, "{whole}.{fraction}")
        }
    }
}

/// A number that has a place among the floats: as for the server, one that is too large is
/// not infinite, and one that is too small not zero.
#[inline]
pub(super) fn parse(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    let is_digit = |character: char| character.is_ascii_digit();
    let coefficient = text.split(['e', 'E']).next().unwrap_or_default();
    let overflows = number.is_infinite() && text.contains(is_digit);
    let underflows = number == 0.0 && coefficient.contains(|c| is_digit(c) && c != '0');
    (!overflows && !underflows).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r57_floats_are_printed_as_the_server_prints_them() {
        for (text, bits) in [
            ("9.999999999999999e+22", 0x44b5_2d02_c7e1_4af6),
            ("9e+22", 0x44b3_0ee8_e717_9044),
            ("1e+22", 0x4480_f0cf_064d_d592),
            ("9.007199254740992e+15", 0x4340_0000_0000_0000),
            ("5e-324", 0x0000_0000_0000_0001),
            ("1.7976931348623157e+308", 0x7fef_ffff_ffff_ffff),
            ("2.2250738585072014e-308", 0x0010_0000_0000_0000),
            ("1e+15", 0x430c_6bf5_2634_0000),
            ("100000000000000", 0x42d6_bcc4_1e90_0000),
            ("123456789012345", 0x42dc_1221_8377_de40),
            ("1.234567890123456e+15", 0x4311_8b54_f22a_eb00),
            ("0.0001", 0x3f1a_36e2_eb1c_432d),
            ("1e-05", 0x3ee4_f8b5_88e3_68f1),
            ("-0", 0x8000_0000_0000_0000),
            ("0.1", 0x3fb9_9999_9999_999a),
            ("100", 0x4059_0000_0000_0000),
            ("1.5", 0x3ff8_0000_0000_0000),
            ("-123.456", 0xc05e_dd2f_1a9f_be77),
            ("4.35", 0x4011_6666_6666_6666),
            ("8.409999999999999e+21", 0x447c_7e83_209e_90b2),
            ("2e-44", 0x36dc_8b82_1885_4567),
            ("9.5367431640625e-07", 0x3eb0_0000_0000_0000),
            ("5.764607523034235e+17", 0x43a0_0000_0000_0000),
            ("4.503599627370496e+15", 0x4330_0000_0000_0000),
            ("1.1754943508222875e-38", 0x3810_0000_0000_0000),
            ("Infinity", 0x7ff0_0000_0000_0000),
            ("-Infinity", 0xfff0_0000_0000_0000),
            ("NaN", 0x7ff8_0000_0000_0000),
            ("2000", 0x409f_4000_0000_0000),
            ("0.00031", 0x3f34_50ef_dc9c_4da9),
            ("4294967296", 0x41f0_0000_0000_0000),
            ("1.8446744073709552e+19", 0x43f0_0000_0000_0000),
            ("9.007199254740992e+15", 0x4340_0000_0000_0000),
            ("6.63123685e-316", 0x0000_0000_0800_0000),
            ("8.98846567431158e+307", 0x7fe0_0000_0000_0000),
            ("2.9802322387695312e-08", 0x3e60_0000_0000_0000),
        ] {
            assert_eq!(FloatText(f64::from_bits(bits)).to_string(), text);
        }
        for (text, bits) in [
            ("1e+23", 0x65a9_6816),
            ("1e+06", 0x4974_2400),
            ("100000", 0x47c3_5000),
            ("123456", 0x47f1_2000),
            ("1.234567e+06", 0x4996_b438),
            ("0.0001", 0x38d1_b717),
            ("1e-05", 0x3727_c5ac),
            ("3.4028235e+38", 0x7f7f_ffff),
            ("1.1754944e-38", 0x0080_0000),
            ("1e-45", 0x0000_0001),
            ("1.6777216e+07", 0x4b80_0000),
            ("3.3554432e+07", 0x4c00_0000),
            ("-0", 0x8000_0000),
            ("0.1", 0x3dcc_cccd),
            ("8.388608e+06", 0x4b00_0000),
            ("9.536743e-07", 0x3580_0000),
            ("2e-44", 0x0000_000e),
            ("Infinity", 0x7f80_0000),
            ("NaN", 0x7fc0_0000),
            ("4.5e-05", 0x383c_be62),
            ("2.097152e+06", 0x4a00_0000),
            ("1.0485758e+06", 0x497f_fffd),
            ("6e-45", 0x0000_0004),
        ] {
            assert_eq!(FloatText(f32::from_bits(bits)).to_string(), text);
        }
    }
}
