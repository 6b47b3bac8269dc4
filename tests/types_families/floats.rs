//! Floating-point numbers as the server prints them, by way of the types that show them.

use kornak::codec::Point;

use super::live::connect;

/// How the server shows the numbers.
const SHOWN: &str = "select (point(x, 0))[0]::text from unnest($1::float8[]) with ordinality \
                     as numbers(x, place) order by place";

#[tokio::test]
async fn r57_numbers_of_all_sizes_are_shown_as_the_server_shows_them() {
    let mut connection = connect().await;
    let mut numbers = vec![0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    // The neighbours of a power of two are not equally far away.
    for exponent in 0..2047_u64 {
        let power = exponent << 52;
        numbers.extend([power, power + 1, power.wrapping_sub(1)].map(f64::from_bits));
    }
    numbers.extend((0..64).map(|bit| f64::from_bits(1 << bit)));
    // Short decimals may lie halfway between two numbers.
    for exponent in -30..60 {
        for coefficient in 1..100 {
            numbers.push(format!("{coefficient}e{exponent}").parse().unwrap());
        }
    }
    for shift in 0..12 {
        let halves = (1_u64 << 53..).step_by(7919).take(200);
        numbers.extend(halves.map(|whole| (whole << shift) as f64 * 0.125));
    }
    // Numbers of any size, the same each time (a linear congruential generator).
    let mut bits = 57_u64;
    for _ in 0..20_000 {
        bits = bits
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        numbers.push(f64::from_bits(bits ^ bits >> 29));
    }
    numbers.retain(|number| number.is_finite() || number.is_infinite());
    let shown: Vec<String> = connection.fetch_all(SHOWN, (&numbers,)).await.unwrap();
    assert_eq!(shown.len(), numbers.len());
    for (number, shown) in numbers.iter().zip(&shown) {
        let point = Point::new(*number, 0.0).to_string();
        assert_eq!(point, format!("({shown},0)"), "{:#x}", number.to_bits());
    }
}
