//! Values that are made up here, of the families that take few words: integers, floats, texts,
//! bytes, JSON, the catalogue's own; and of types that are made of others.

use kornak::codec::{
    BitString, Cid, Int2Vector, Line, Multirange, OidVector, Range, RawJson, Snapshot, TimeTz, Xid,
};
use kornak::{Connection, Time, Uuid};

use super::generated::{Random, check_back, check_generated};
use super::live::connect;

impl Random {
    /// JSON as `jsonb` prints it.
    fn json(&mut self, depth: u32) -> String {
        match self.below(if depth == 0 { 5 } else { 7 }) {
            0 => "null".to_owned(),
            1 => "true".to_owned(),
            2 => self.numeric().to_string(),
            3 | 4 => self.json_text(),
            5 => {
                let elements = (0..self.below(4)).map(|_| self.json(depth - 1));
                format!("[{}]", elements.collect::<Vec<_>>().join(", "))
            }
            _ => format!("{{{}: {}}}", self.json_text(), self.json(depth - 1)),
        }
    }

    fn json_text(&mut self) -> String {
        let word = self.word().replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{word}\"")
    }

    fn snapshot(&mut self) -> Snapshot {
        let xmin = 1 + (self.sized() >> 2);
        let mut in_progress: Vec<u64> = (0..self.below(4))
            .map(|_| xmin + (self.sized() >> 3))
            .collect();
        in_progress.sort_unstable();
        in_progress.dedup();
        let last = in_progress.last().copied().unwrap_or(xmin);
        Snapshot {
            xmin,
            xmax: last + 1 + self.below(3),
            in_progress,
        }
    }

    fn ranges(&mut self) -> Multirange<f64> {
        let mut ends: Vec<f64> = (0..2 * self.below(4)).map(|_| self.comparable()).collect();
        ends.sort_by(f64::total_cmp);
        // Zeros of either sign are one to the server.
        ends.dedup_by(|a, b| a == b);
        ends.chunks_exact(2)
            .map(|ends| Range::from(ends[0]..ends[1]))
            .collect()
    }
}

#[tokio::test]
async fn everyday_values_come_back() {
    let mut connection = connect().await;
    let connection = &mut connection;
    check_back(connection, "bool", |random| random.below(2) == 0).await;
    check_generated(connection, "int2", |random| random.sized() as i16).await;
    check_generated(connection, "int4", |random| random.sized() as i32).await;
    check_generated(connection, "int8", |random| random.sized() as i64).await;
    check_back(connection, "\"char\"", |random| 1 + random.below(127) as i8).await;
    check_back(connection, "float8", Random::comparable).await;
    check_back(connection, "float4", |random| {
        let float = f32::from_bits(random.next() as u32);
        if float.is_nan() { -0.0 } else { float }
    })
    .await;
    for ty in ["text", "varchar", "bpchar", "xml"] {
        // A server may be built without XML; its values are texts that aren't markup here.
        if ty != "xml" || has_xml(connection).await {
            check_generated(connection, ty, Random::word).await;
        }
    }
    check_generated(connection, "name", |random| random.word()).await;
    check_generated(connection, "refcursor", Random::word).await;
    check_back(connection, "bytea", |random| {
        (0..random.below(40))
            .map(|_| random.next() as u8)
            .collect::<Vec<u8>>()
    })
    .await;
    check_generated(connection, "uuid", |random| {
        Uuid(std::array::from_fn(|_| random.next() as u8))
    })
    .await;
    for ty in ["json", "jsonb"] {
        check_back(connection, ty, |random| RawJson(random.json(3))).await;
    }
    check_generated(connection, "timetz", |random| {
        let time = random.between(0, Time::MAX.microseconds());
        let time = Time::from_microseconds(time).unwrap();
        TimeTz::new(time, random.between(-57_599, 57_599) as i32).unwrap()
    })
    .await;
    check_generated(connection, "bit(17)", |random| {
        (0..17).map(|_| random.below(2) == 0).collect::<BitString>()
    })
    .await;
    check_generated(connection, "line", |random| Line {
        // The server refuses a line whose first two numbers are 0.
        a: 1.0 + random.comparable().abs(),
        b: random.comparable(),
        c: random.comparable(),
    })
    .await;
}

async fn has_xml(connection: &mut Connection) -> bool {
    let made = connection.fetch_one::<String>("select 'a'::xml", ()).await;
    made.is_ok()
}

#[tokio::test]
async fn values_of_the_catalogue_come_back() {
    let mut connection = connect().await;
    let connection = &mut connection;
    check_generated(connection, "oid", |random| random.sized() as u32).await;
    check_generated(connection, "xid", |random| Xid(random.sized() as u32)).await;
    check_generated(connection, "cid", |random| Cid(random.sized() as u32)).await;
    check_generated(connection, "xid8", Random::sized).await;
    for ty in ["pg_snapshot", "txid_snapshot"] {
        check_generated(connection, ty, Random::snapshot).await;
    }
    check_generated(connection, "int2vector", |random| {
        Int2Vector(
            (0..=random.below(4))
                .map(|_| random.sized() as i16)
                .collect(),
        )
    })
    .await;
    check_generated(connection, "oidvector", |random| {
        OidVector(
            (0..=random.below(4))
                .map(|_| random.sized() as u32)
                .collect(),
        )
    })
    .await;
}

/// A row of a composite type, with one in it.
type Sample = (
    Option<i32>,
    Option<String>,
    Option<Vec<Option<String>>>,
    (Option<Range<i64>>, Option<kornak::Numeric>),
);

#[tokio::test]
async fn values_of_custom_types_come_back() {
    let mut connection = connect().await;
    let connection = &mut connection;
    let labels = ["glum", "gay", "it's \"fine\"", "a,b"];
    connection
        .batch_execute(
            "create type pg_temp.mood as enum ('glum', 'gay', 'it''s \"fine\"', 'a,b');
             create domain pg_temp.positive as int8 check (value > 0);
             create type pg_temp.doubles as range (subtype = float8);
             create type pg_temp.part as (span int8range, price numeric);
             create type pg_temp.sample as
                 (number int4, word text, moods pg_temp.mood[], part pg_temp.part)",
        )
        .await
        .unwrap();
    check_generated(connection, "pg_temp.mood", |random| {
        labels[random.below(4) as usize].to_owned()
    })
    .await;
    check_generated(connection, "pg_temp.positive", |random| {
        1 + (random.sized() >> 1) as i64
    })
    .await;
    check_generated(connection, "pg_temp.doubles_multirange", Random::ranges).await;
    check_back::<Sample>(connection, "pg_temp.sample", |random| {
        let is_some = [(); 5].map(|()| random.below(4) != 0);
        let moods = (0..random.below(4)).map(|_| {
            let label = random.below(5) as usize;
            labels.get(label).map(|&label| label.to_owned())
        });
        let moods = moods.collect();
        (
            is_some[0].then(|| random.sized() as i32),
            is_some[1].then(|| random.word()),
            is_some[2].then_some(moods),
            (
                is_some[3].then(|| random.discrete()),
                is_some[4].then(|| random.numeric()),
            ),
        )
    })
    .await;
}
