//! How the cost of Kornak grows: with columns, rows, parameters, cached statements, the size
//! of values, tasks and connections.
//!
//! A line is straight where its last column stays the same: what each further unit costs the
//! client's processor, from one point to the next.

use std::time::Instant;

use kornak::config::Config;
use kornak::{Connection, Pool, RowRef};

use crate::Result;
use crate::live::cpu_time;

/// How far the lines go, and how long each point is measured.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// The largest number of rows.
    pub rows: u64,
    /// The largest value, in bytes.
    pub value: u64,
    /// The largest number of tasks.
    pub tasks: u64,
    /// How long a point is measured, in seconds.
    pub seconds: f64,
}

impl Range {
    /// Everything that the project promises.
    pub const FULL: Self = Self {
        rows: 10_000_000,
        value: 256 << 20,
        tasks: 10_000,
        seconds: 0.5,
    };

    /// A tenth of it, or less.
    pub const QUICK: Self = Self {
        rows: 1_000_000,
        value: 16 << 20,
        tasks: 1_000,
        seconds: 0.2,
    };
}

/// What was measured at one point.
struct Point {
    units: u64,
    wall_us: f64,
    cpu_us: f64,
}

/// Measures against the server of `url`, and prints a table for each line.
///
/// # Errors
///
/// What Kornak reports.
pub async fn run(url: &str, range: Range) -> Result<()> {
    columns(url, range).await?;
    rows(url, range).await?;
    parameters(url, range).await?;
    statements(url, range).await?;
    values(url, range).await?;
    for size in [1, 10, 100] {
        tasks(url, size, range).await?;
    }
    Ok(())
}

async fn columns(url: &str, range: Range) -> Result<()> {
    let mut connection = Connection::connect(url).await?;
    let mut points = Vec::new();
    for units in [1, 3, 10, 30, 100, 300, 1000] {
        let list = vec!["n"; units].join(", ");
        let sql = format!("select {list} from generate_series(1, 100) n");
        let read = async |connection: &mut Connection| {
            let mut sum = 0;
            let visit = |row: RowRef<'_>| {
                let mut cursor = row.cursor();
                for _ in 0..row.len() {
                    sum += i64::from(cursor.read_checked::<i32>()?);
                }
                kornak::Result::Ok(())
            };
            connection.for_each(&sql, (), visit).await?;
            same(sum, 5050 * units as i64)
        };
        points.push(measure(&mut connection, units as u64, range, read).await?);
    }
    print("columns, 100 rows each", "column", &points);
    Ok(())
}

async fn rows(url: &str, range: Range) -> Result<()> {
    let mut connection = Connection::connect(url).await?;
    let mut points = Vec::new();
    for units in decades(range.rows) {
        let sql = "select n from generate_series(1, $1::int8) n";
        let read = async |connection: &mut Connection| {
            let mut seen = 0;
            let visit = |row: RowRef<'_>| {
                let n: i64 = row.read()?;
                seen = n;
                kornak::Result::Ok(())
            };
            connection.for_each(sql, (units as i64,), visit).await?;
            same(seen, units as i64)
        };
        points.push(measure(&mut connection, units, range, read).await?);
    }
    print("rows of one int8, visited", "row", &points);
    Ok(())
}

async fn parameters(url: &str, range: Range) -> Result<()> {
    let mut connection = Connection::connect(url).await?;
    let mut points = Vec::new();
    for units in [0_usize, 1, 10, 100, 1000, 10_000, 65_535] {
        let list: Vec<String> = (1..=units).map(|n| format!("(${n})")).collect();
        let sql = match units {
            0 => "select 0::int8".to_owned(),
            _ => format!("select count(*) from (values {}) v", list.join(",")),
        };
        let values = vec![7; units];
        let read = async |connection: &mut Connection| {
            let count: i64 = connection.fetch_one(&sql, &values[..]).await?;
            same(count, units as i64)
        };
        points.push(measure(&mut connection, units as u64, range, read).await?);
    }
    print(
        "parameters of one statement (above some 7,000 its SQL is too long for the cache, so that \
         it is prepared each time)",
        "parameter",
        &points,
    );
    Ok(())
}

async fn statements(url: &str, range: Range) -> Result<()> {
    let mut points = Vec::new();
    for units in decades(10_000) {
        let config: Config = url.parse()?;
        let mut connection =
            Connection::connect(config.statement_cache_capacity(units as usize)).await?;
        let sqls: Vec<String> = (0..units).map(|n| format!("select {n}::int8")).collect();
        for (n, sql) in sqls.iter().enumerate() {
            let found: i64 = connection.fetch_one(sql, ()).await?;
            same(found, n as i64)?;
        }
        let mut next = 0;
        let read = async |connection: &mut Connection| {
            for _ in 0..100 {
                next = (next + 7919) % sqls.len();
                let found: i64 = connection.fetch_one(&sqls[next], ()).await?;
                same(found, next as i64)?;
            }
            Ok(())
        };
        points.push(measure(&mut connection, units, range, read).await?);
    }
    print(
        "cached statements, 100 of which are run (a hash table: flat but for the caches of the \
         processors, the client's and the server's)",
        "statement",
        &points,
    );
    Ok(())
}

async fn values(url: &str, range: Range) -> Result<()> {
    let mut connection = Connection::connect(url).await?;
    let sizes: Vec<u64> = (0..=28)
        .step_by(4)
        .map(|power| 1 << power)
        .filter(|size| *size <= range.value)
        .collect();
    let mut fetched = Vec::new();
    let mut sent = Vec::new();
    for &size in &sizes {
        let fetch = async |connection: &mut Connection| {
            let sql = "select repeat('x', $1)";
            let text: String = connection.fetch_one(sql, (size as i32,)).await?;
            same(text.len() as i64, size as i64)
        };
        fetched.push(measure(&mut connection, size, range, fetch).await?);
        let value = vec![7_u8; size as usize];
        let send = async |connection: &mut Connection| {
            let sql = "select octet_length($1::bytea)";
            let length: i32 = connection.fetch_one(sql, (&value[..],)).await?;
            same(i64::from(length), size as i64)
        };
        sent.push(measure(&mut connection, size, range, send).await?);
    }
    print("size of a String that is fetched", "byte", &fetched);
    print("size of a bytea that is sent", "byte", &sent);
    Ok(())
}

async fn tasks(url: &str, size: usize, range: Range) -> Result<()> {
    let mut points = Vec::new();
    for units in decades(range.tasks) {
        let pool = Pool::builder().max_size(size).connect(url).await?;
        let round = async |turns: u64| {
            let tasks: Vec<_> = (0..units)
                .map(|task| {
                    let pool = pool.clone();
                    tokio::spawn(async move {
                        for turn in 0..turns {
                            let asked = (task * turns + turn) as i64;
                            let found: i64 = pool.fetch_one("select $1::int8", (asked,)).await?;
                            same(found, asked)?;
                        }
                        Result::<()>::Ok(())
                    })
                })
                .collect();
            for task in tasks {
                task.await??;
            }
            Result::<()>::Ok(())
        };
        // As many queries at each point.
        let turns = (10_000 / units).max(1);
        round(turns.div_ceil(4)).await?;
        let (begun, cpu) = (Instant::now(), cpu_time()?);
        round(turns).await?;
        let queries = (units * turns) as f64;
        points.push(Point {
            units,
            wall_us: begun.elapsed().as_secs_f64() * 1e6 / queries,
            cpu_us: (cpu_time()? - cpu).as_secs_f64() * 1e6 / queries,
        });
    }
    print(
        &format!("tasks on a pool of {size}, each query (flat, but for the caches)"),
        "task",
        &points,
    );
    Ok(())
}

/// Does `once` again and again, after it has been done once.
async fn measure(
    connection: &mut Connection,
    units: u64,
    range: Range,
    mut once: impl AsyncFnMut(&mut Connection) -> Result<()>,
) -> Result<Point> {
    once(connection).await?;
    let (begun, cpu) = (Instant::now(), cpu_time()?);
    let mut times = 0.0;
    while times == 0.0 || begun.elapsed().as_secs_f64() < range.seconds {
        once(connection).await?;
        times += 1.0;
    }
    Ok(Point {
        units,
        wall_us: begun.elapsed().as_secs_f64() * 1e6 / times,
        cpu_us: (cpu_time()? - cpu).as_secs_f64() * 1e6 / times,
    })
}

/// 1, 10, 100, … to `most`.
fn decades(most: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(1), |last| Some(last * 10)).take_while(move |units| *units <= most)
}

fn same(found: i64, wanted: i64) -> Result<()> {
    if found == wanted {
        Ok(())
    } else {
        Err(format!("{found} was read, not {wanted}").into())
    }
}

fn print(line: &str, unit: &str, points: &[Point]) {
    println!(
        "\n{line}\n\n| {unit}s | µs | client CPU µs | each further {unit}: client CPU ns |\n\
         | ---: | ---: | ---: | ---: |"
    );
    let mut before: Option<&Point> = None;
    for point in points {
        let further = before.map_or(String::new(), |before| {
            let units = (point.units - before.units) as f64;
            format!("{:.2}", (point.cpu_us - before.cpu_us) * 1e3 / units)
        });
        println!(
            "| {} | {:.1} | {:.1} | {further} |",
            point.units, point.wall_us, point.cpu_us
        );
        before = Some(point);
    }
}
