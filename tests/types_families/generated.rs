//! Values that are made up here, many of each family: the server shows them as they are
//! shown here, and sends back what it was sent.

use std::cmp::Ordering;
use std::fmt::{Debug, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Bound;
use std::str::FromStr;

use kornak::codec::{
    BitString, Cidr, Circle, Decode, Encode, Inet, Lexeme, LexemePosition, LexemeWeight,
    LineSegment, Lsn, MacAddr, MacAddr8, Money, Multirange, Numeric, Path, Point, Polygon, Range,
    Rectangle, Tid, TsQuery, TsVector, Value,
};
use kornak::{Connection, Date, Interval, Time, Timestamp, TimestampTz};

use super::live::connect;

/// How many values of each family.
const COUNT: usize = 400;

/// Numbers that are the same each time (xorshift64*).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A number of any size: small ones are as frequent as large ones.
    pub(super) fn sized(&mut self) -> u64 {
        let shift = self.below(64);
        self.next() >> shift
    }

    pub(super) fn between(&mut self, first: i64, last: i64) -> i64 {
        let span = i128::from(last) - i128::from(first) + 1;
        let sign = if self.below(2) == 0 { 1 } else { -1 };
        let number = sign * i128::from(self.sized());
        let within = (number - i128::from(first)).rem_euclid(span) + i128::from(first);
        i64::try_from(within).expect("between two of them")
    }

    fn float(&mut self) -> f64 {
        match self.below(8) {
            0 => self.between(-1000, 1000) as f64 / 4.0,
            1 => [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, 1e23][self.below(5) as usize],
            _ => f64::from_bits(self.next()),
        }
    }

    /// A float that is equal to itself.
    pub(super) fn comparable(&mut self) -> f64 {
        loop {
            let float = self.float();
            if !float.is_nan() {
                return float;
            }
        }
    }

    fn point(&mut self) -> Point {
        Point::new(self.comparable(), self.comparable())
    }

    fn points(&mut self) -> Vec<Point> {
        (0..=self.below(5)).map(|_| self.point()).collect()
    }

    pub(super) fn word(&mut self) -> String {
        const CHARACTERS: [char; 12] = [
            'a',
            'b',
            'Z',
            '0',
            ' ',
            '\'',
            '\\',
            '"',
            ',',
            'é',
            '\u{1f418}',
            ':',
        ];
        let length = 1 + self.below(6);
        (0..length)
            .map(|_| CHARACTERS[self.below(12) as usize])
            .collect()
    }

    fn digits(&mut self, most: u64) -> String {
        let count = self.below(most + 1);
        (0..count)
            .map(|_| char::from(b'0' + self.below(10) as u8))
            .collect()
    }

    pub(super) fn numeric(&mut self) -> Numeric {
        let sign = if self.below(2) == 0 { "" } else { "-" };
        let most = [3, 10, 60][self.below(3) as usize];
        let (whole, fraction) = (self.digits(most), self.digits(most));
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{sign}0{whole}{point}{fraction}").parse().unwrap()
    }

    /// A range as the server keeps it: with room in it, and in the form `[lower,upper)`.
    pub(super) fn discrete(&mut self) -> Range<i64> {
        let lower = self.between(-1 << 62, 1 << 62);
        let upper = lower + 1 + (self.sized() >> 2) as i64;
        match self.below(8) {
            0 => Range::Empty,
            1 => Range::from(lower..),
            2 => Range::from(..upper),
            3 => Range::from(..),
            _ => Range::from(lower..upper),
        }
    }

    fn query(&mut self, depth: u32) -> TsQuery {
        match self.below(if depth == 0 { 1 } else { 6 }) {
            0 | 1 => TsQuery::weighted(self.word(), self.below(16) as u8, self.below(2) == 0),
            2 => !self.query(depth - 1),
            3 => self.query(depth - 1) & self.query(depth - 1),
            4 => self.query(depth - 1) | self.query(depth - 1),
            _ => {
                let distance = self.below(16_385) as u16;
                self.query(depth - 1)
                    .followed_by(self.query(depth - 1), distance)
            }
        }
    }

    fn document(&mut self) -> TsVector {
        let mut words: Vec<_> = (0..self.below(6)).map(|_| self.word()).collect();
        words.sort();
        words.dedup();
        let mut vector = TsVector::default();
        for text in &words {
            let mut indices: Vec<_> = (0..self.below(5))
                .map(|_| 1 + self.below(16_383) as u16)
                .collect();
            indices.sort_unstable();
            indices.dedup();
            let weights = [
                LexemeWeight::A,
                LexemeWeight::B,
                LexemeWeight::C,
                LexemeWeight::D,
            ];
            let positions = indices.into_iter().map(|index| LexemePosition {
                index,
                weight: weights[self.below(4) as usize],
            });
            let positions: Vec<_> = positions.collect();
            let positions = &positions;
            vector.push(Lexeme { text, positions });
        }
        vector
    }
}

/// Sends the values in one array and gets them back, with what the server shows, which is read
/// as the same value.
pub(super) async fn check_generated<T>(
    connection: &mut Connection,
    ty: &str,
    make: impl FnMut(&mut Random) -> T,
) where
    T: Encode + for<'r> Decode<'r> + Debug + Display + PartialEq + FromStr,
    T::Err: Debug + PartialEq,
{
    for value in check_shown(connection, ty, make).await {
        assert_eq!(value.to_string().parse().as_ref(), Ok(&value), "{ty}");
    }
}

/// Sends the values in one array and gets them back, with what the server shows.
pub(super) async fn check_shown<T>(
    connection: &mut Connection,
    ty: &str,
    make: impl FnMut(&mut Random) -> T,
) -> Vec<T>
where
    T: Encode + for<'r> Decode<'r> + Debug + Display + PartialEq,
{
    let (values, shown) = check_back(connection, ty, make).await;
    for (value, shown) in values.iter().zip(shown) {
        assert_eq!(value.to_string(), shown, "{ty}");
    }
    values
}

/// Sends the values in one array and gets them back, as their Rust type and as [`Value`]s, which
/// are shown as the server shows them and are sent as the same bytes.
pub(super) async fn check_back<T>(
    connection: &mut Connection,
    ty: &str,
    mut make: impl FnMut(&mut Random) -> T,
) -> (Vec<T>, Vec<String>)
where
    T: Encode + for<'r> Decode<'r> + Debug + PartialEq,
{
    let mut random = Random(0x6b6f_726e_616b);
    let values: Vec<T> = (0..COUNT).map(|_| make(&mut random)).collect();
    let sql = format!(
        "select ($1::{ty}[])[place], ($1::{ty}[])[place], format('%s', ($1::{ty}[])[place])
         from generate_subscripts($1::{ty}[], 1) place order by place"
    );
    let back: Vec<(T, Value, String)> = connection
        .fetch_all(&sql, (&values,))
        .await
        .unwrap_or_else(|error| panic!("{ty}: {error:#}"));
    assert_eq!(back.len(), COUNT, "{ty}");
    let mut texts = Vec::with_capacity(COUNT);
    for (value, (back, dynamic, shown)) in values.iter().zip(back) {
        assert_eq!(*value, back, "{ty}");
        assert_eq!(dynamic.to_string(), shown, "{ty} as a Value");
        texts.push(shown);
    }
    let sql = format!("select $1::{ty}[]");
    let array: Value = connection.fetch_one(&sql, (&values,)).await.unwrap();
    let sql = format!("select array_send($1::{ty}[]) = array_send($2::{ty}[])");
    let is_same: bool = connection.fetch_one(&sql, (&values, array)).await.unwrap();
    assert!(is_same, "{ty} as a Value");
    (values, texts)
}

#[tokio::test]
async fn numbers_and_times_come_back() {
    let mut connection = connect().await;
    let connection = &mut connection;
    connection
        .batch_execute("set datestyle to iso; set timezone to 'UTC'; set lc_monetary to 'C'")
        .await
        .unwrap();
    check_generated(connection, "numeric", Random::numeric).await;
    check_shown(connection, "money", |random| Money(random.next() as i64)).await;
    check_generated(connection, "interval", |random| {
        let months = random.between(i32::MIN.into(), (i32::MAX - 1).into()) as i32;
        let days = random.between(i32::MIN.into(), (i32::MAX - 1).into()) as i32;
        Interval::new(months, days, random.between(-1 << 62, 1 << 62))
    })
    .await;
    check_generated(connection, "date", |random| {
        Date::from_days(random.between(Date::MIN.days().into(), Date::MAX.days().into()) as i32)
    })
    .await;
    let (first, last) = (Timestamp::MIN.microseconds(), Timestamp::MAX.microseconds());
    check_generated(connection, "timestamp", |random| {
        Timestamp::from_microseconds(random.between(first, last))
    })
    .await;
    check_generated(connection, "timestamptz", |random| {
        TimestampTz::from_microseconds(random.between(first, last))
    })
    .await;
    check_generated(connection, "time", |random| {
        let day = Time::MAX.microseconds();
        Time::from_microseconds(random.between(0, day)).unwrap()
    })
    .await;
    check_generated(connection, "int8range", Random::discrete).await;
    check_generated(connection, "numrange", |random| {
        let (one, other) = (random.numeric(), random.numeric());
        let (lower, upper) = if one < other {
            (one, other)
        } else {
            (other, one)
        };
        match random.below(4) {
            0 => Range::Between(Bound::Excluded(lower), Bound::Unbounded),
            1 => Range::Between(Bound::Unbounded, Bound::Included(upper)),
            _ if lower == upper => {
                Range::Between(Bound::Included(lower.clone()), Bound::Included(lower))
            }
            _ => Range::Between(Bound::Excluded(lower), Bound::Included(upper)),
        }
    })
    .await;
    // Floats are no subtype that a server knows ranges of by itself.
    connection
        .batch_execute("create type pg_temp.doubles as range (subtype = float8)")
        .await
        .unwrap();
    check_generated(connection, "pg_temp.doubles", |random| {
        let (one, other) = (random.comparable(), random.comparable());
        match one.partial_cmp(&other) {
            Some(Ordering::Less) => Range::from(one..other),
            Some(Ordering::Greater) => Range::from(other..=one),
            _ => Range::from(one..),
        }
    })
    .await;
    check_generated(connection, "int8multirange", |random| {
        let mut end = random.between(-1 << 60, 0);
        let ranges = (0..random.below(5)).map(|_| {
            let start = end + 1 + (random.sized() >> 6) as i64;
            end = start + 1 + (random.sized() >> 6) as i64;
            Range::from(start..end)
        });
        ranges.collect::<Multirange<i64>>()
    })
    .await;
}

#[tokio::test]
async fn shapes_and_documents_come_back() {
    let mut connection = connect().await;
    let connection = &mut connection;
    check_generated(connection, "point", Random::point).await;
    check_generated(connection, "lseg", |random| LineSegment {
        start: random.point(),
        end: random.point(),
    })
    .await;
    check_generated(connection, "box", |random| {
        // The server keeps the upper right corner first.
        let (one, other) = (random.point(), random.point());
        Rectangle {
            high: Point::new(one.x.max(other.x), one.y.max(other.y)),
            low: Point::new(one.x.min(other.x), one.y.min(other.y)),
        }
    })
    .await;
    check_generated(connection, "path", |random| Path {
        is_closed: random.below(2) == 0,
        points: random.points(),
    })
    .await;
    check_generated(connection, "polygon", |random| Polygon {
        points: random.points(),
    })
    .await;
    check_generated(connection, "circle", |random| Circle {
        center: random.point(),
        radius: random.comparable().abs(),
    })
    .await;
    check_generated(connection, "tsvector", Random::document).await;
    for query in check_shown(connection, "tsquery", |random| random.query(4)).await {
        // How operators of one kind were nested isn't shown.
        let again: TsQuery = query.to_string().parse().unwrap();
        assert_eq!(again.to_string(), query.to_string());
    }
}

#[tokio::test]
async fn addresses_and_bits_come_back() {
    let mut connection = connect().await;
    let connection = &mut connection;
    let address = |random: &mut Random| match random.below(2) {
        0 => IpAddr::from(Ipv4Addr::from_bits(random.sized() as u32)),
        _ => {
            // Runs of zeros are where an address is abbreviated.
            let groups = [0; 8].map(|_: u16| match random.below(2) {
                0 => 0,
                _ => random.sized() as u16,
            });
            IpAddr::from(Ipv6Addr::from(groups))
        }
    };
    check_generated(connection, "inet", |random| {
        let address = address(random);
        let most = if address.is_ipv4() { 32 } else { 128 };
        format!("{address}/{}", random.below(most + 1))
            .parse::<Inet>()
            .unwrap()
    })
    .await;
    check_generated(connection, "cidr", |random| {
        match address(random) {
            IpAddr::V4(address) => {
                let prefix = random.below(33) as u32;
                let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
                format!("{}/{prefix}", Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let prefix = random.below(129) as u32;
                let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
                format!("{}/{prefix}", Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        }
        .parse::<Cidr>()
        .unwrap()
    })
    .await;
    check_generated(connection, "macaddr", |random| {
        let [_, _, bytes @ ..] = random.next().to_be_bytes();
        MacAddr(bytes)
    })
    .await;
    check_generated(connection, "macaddr8", |random| {
        MacAddr8(random.next().to_be_bytes())
    })
    .await;
    check_generated(connection, "varbit", |random| {
        (0..random.below(40))
            .map(|_| random.below(2) == 0)
            .collect::<BitString>()
    })
    .await;
    check_generated(connection, "pg_lsn", |random| Lsn(random.sized())).await;
    check_generated(connection, "tid", |random| Tid {
        block: random.sized() as u32,
        offset: random.sized() as u16,
    })
    .await;
}
