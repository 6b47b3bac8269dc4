//! The proleptic Gregorian calendar, in which the server counts.

use std::fmt;

/// Days from 2000-01-01 to 2000-03-01, where the computations let a year begin so that the
/// leap day is its last.
const MARCH: i64 = 60;

const DAYS_PER_400_YEARS: i64 = 146_097;

/// Year (0 is 1 BC), month and day of a day counted from 2000-01-01.
#[inline]
pub(super) fn from_days(days: i64) -> (i64, u8, u8) {
    let days = days - MARCH;
    let cycle = days.div_euclid(DAYS_PER_400_YEARS);
    let day_of_cycle = days.rem_euclid(DAYS_PER_400_YEARS);
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    // Months from March on have 31, 30, 31, 30, 31 days, 153 in all, again and again.
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let (month, next_year) = if shifted_month < 10 {
        (shifted_month + 3, 0)
    } else {
        (shifted_month - 9, 1)
    };
    let year = 2000 + cycle * 400 + year_of_cycle + next_year;
    (year, month as u8, day as u8)
}

/// The day counted from 2000-01-01, where there is such a date.
#[inline]
pub(super) fn to_days(year: i64, month: u8, day: u8) -> Option<i64> {
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let (shifted_month, year) = if month > 2 {
        (i64::from(month) - 3, year)
    } else {
        (i64::from(month) + 9, year - 1)
    };
    let cycle = (year - 2000).div_euclid(400);
    let year_of_cycle = (year - 2000).rem_euclid(400);
    let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(day) - 1;
    let day_of_cycle = 365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
    Some(cycle * DAYS_PER_400_YEARS + day_of_cycle + MARCH)
}

#[inline]
fn days_in_month(year: i64, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Prints the date of a day without its era, and says whether that is BC.
pub(super) fn write_date(f: &mut impl fmt::Write, days: i64) -> Result<bool, fmt::Error> {
    let (year, month, day) = from_days(days);
    let is_bc = year <= 0;
    let shown = if is_bc { 1 - year } else { year };
    write!(f, "{shown:04}-{month:02}-{day:02}")?;
    Ok(is_bc)
}

/// Prints the time that many microseconds after midnight.
pub(super) fn write_time(f: &mut impl fmt::Write, microseconds: i64) -> fmt::Result {
    let seconds = microseconds / 1_000_000;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    write!(f, "{hour:02}:{minute:02}:{second:02}")?;
    write_fraction(f, microseconds % 1_000_000)
}

/// Prints the digits behind the second, without trailing zeros.
pub(super) fn write_fraction(f: &mut impl fmt::Write, microsecond: i64) -> fmt::Result {
    if microsecond == 0 {
        return Ok(());
    }
    let (mut digits, mut width) = (microsecond, 6);
    while digits % 10 == 0 {
        digits /= 10;
        width -= 1;
    }
    write!(f, ".{digits:0width$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_inverse() {
        for days in (-3_000_000_000_i64..3_000_000_000).step_by(999_331) {
            let (year, month, day) = from_days(days);
            assert_eq!(to_days(year, month, day), Some(days));
        }
        let mut previous = from_days(-800_000);
        for days in -799_999..800_000 {
            let date = from_days(days);
            assert!(date > previous, "{date:?} follows {previous:?}");
            assert_eq!(to_days(date.0, date.1, date.2), Some(days));
            previous = date;
        }
    }

    #[test]
    fn impossible_dates_are_refused() {
        for (year, month, day) in [
            (2024, 0, 1),
            (2024, 13, 1),
            (2024, 1, 0),
            (2024, 1, 32),
            (2024, 4, 31),
            (2023, 2, 29),
            (1900, 2, 29),
            (-1, 2, 29),
        ] {
            assert_eq!(to_days(year, month, day), None, "{year}-{month}-{day}");
        }
        for year in [2000, 2024, 0, -4, -400] {
            assert!(to_days(year, 2, 29).is_some(), "{year}");
        }
    }
}
