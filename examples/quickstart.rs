//! The main job in one program: connect, load rows, read them back typed, a transaction, a
//! timeout, an error that says what is wrong; pipelines, COPY, a pool, notifications.
//!
//! `cargo xtask demo` runs it against a server that it finds or starts. By hand:
//! `DATABASE_URL=postgres://… cargo run --example quickstart`.

use std::time::{Duration, Instant};

use kornak::{Connection, FromRow, ListenEvent, Pool, all, exec, one};

#[derive(Debug, FromRow)]
struct City {
    id: i32,
    name: String,
    population: i64,
    founded: kornak::Date,
    motto: Option<String>,
}

/// How many rows the demo loads.
const CITIES: i32 = 10_000;

#[tokio::main]
async fn main() -> kornak::Result<()> {
    let url = std::env::var("DATABASE_URL").unwrap_or_else(|_| "postgres://localhost".to_owned());

    let clock = Instant::now();
    let mut connection = Connection::connect(&url).await?;
    let version = connection
        .parameter("server_version")
        .unwrap_or("unknown")
        .to_owned();
    report(clock, format_args!("connected to PostgreSQL {version}"));

    let clock = Instant::now();
    connection
        .batch_execute(
            "create temporary table city (
                 id int primary key,
                 name text not null,
                 population int8 not null check (population >= 0),
                 founded date not null,
                 motto text
             )",
        )
        .await?;
    let loaded = connection
        .execute(
            "insert into city
             select i, 'City ' || i, i::int8 * 1000, date '1000-01-01' + i, case when i % 3 = 0 then 'Onwards' end
             from generate_series(1, $1) i",
            (CITIES,),
        )
        .await?;
    report(
        clock,
        format_args!("created a table and loaded {loaded} rows"),
    );

    let clock = Instant::now();
    let cities: Vec<City> = connection
        .fetch_all("select * from city order by id", ())
        .await?;
    let last = cities.last().expect("the table is not empty");
    report(
        clock,
        format_args!("read {} rows back into a struct", cities.len()),
    );
    println!("             the last: {last:?}");
    assert_eq!(last.founded.to_string(), "1027-05-20");
    assert_eq!(
        (last.id, last.name.as_str(), last.motto.as_deref()),
        (CITIES, "City 10000", None)
    );

    let clock = Instant::now();
    let people: i64 = connection
        .fetch_one(
            "select sum(population)::int8 from city where id <= $1",
            (100,),
        )
        .await?;
    report(
        clock,
        format_args!("asked one question: {people} people in the first hundred cities"),
    );
    assert_eq!(
        people,
        cities
            .iter()
            .take(100)
            .map(|city| city.population)
            .sum::<i64>()
    );

    let clock = Instant::now();
    let mut longest = String::new();
    connection
        .for_each("select name, founded from city", (), |row| {
            let (name, _): (&str, kornak::Date) = row.read()?;
            if name.len() > longest.len() {
                longest = name.to_owned();
            }
            Ok::<_, kornak::Error>(())
        })
        .await?;
    report(
        clock,
        format_args!("visited all rows in place, without copying: the longest name is {longest:?}"),
    );

    let clock = Instant::now();
    let mut transaction = connection.begin().await?;
    let moved = 500_i64;
    transaction
        .execute(
            "update city set population = population - $1 where id = $2",
            (moved, 1),
        )
        .await?;
    transaction
        .execute(
            "update city set population = population + $1 where id = $2",
            (moved, 2),
        )
        .await?;
    {
        let mut attempt = transaction.begin().await?;
        attempt.execute("delete from city", ()).await?;
        // Dropped without a commit: only what was done since the inner `begin` is undone.
    }
    transaction.commit().await?;
    let both: (i64, i64) = connection
        .fetch_one(
            "select (select population from city where id = 1), (select population from city where id = 2)",
            (),
        )
        .await?;
    report(
        clock,
        format_args!("committed a transaction, with a savepoint rolled back: {both:?}"),
    );
    assert_eq!(both, (500, 2500));

    let clock = Instant::now();
    let (count, big, grown) = connection
        .pipeline((
            one::<i64>("select count(*) from city", ()),
            all::<String>("select name from city where population > $1", (9_999_000,)),
            exec("update city set population = population + 1", ()),
        ))
        .await?;
    report(
        clock,
        format_args!(
            "ran three statements in one round trip: {} of {count} cities are big, {grown} grew",
            big.len()
        ),
    );
    assert_eq!((count, grown, big.len()), (CITIES.into(), 10_000, 1));

    let clock = Instant::now();
    let new = (1..=1_000).map(|i| (CITIES + i, format!("New City {i}")));
    let founded = connection
        .execute_many(
            "insert into city values ($1, $2, 1, current_date, null)",
            new,
        )
        .await?;
    report(
        clock,
        format_args!("founded {founded} cities, one statement each, as one transaction"),
    );
    assert_eq!(founded, 1_000);

    let clock = Instant::now();
    let mut copy = connection
        .copy_in_rows("city", &["id", "name", "population", "founded"])
        .await?;
    let today = kornak::Date::new(2026, 1, 1).expect("a day");
    for i in 1..=CITIES {
        let name = format!("Copied City {i}");
        copy.send((100_000 + i, name, 1_i64, today)).await?;
    }
    let copied = copy.finish().await?;
    let mut csv = Vec::new();
    let bytes = connection
        .copy_out("copy city to stdout (format csv)")
        .await?
        .write_to(&mut csv)
        .await?;
    report(
        clock,
        format_args!("copied {copied} typed rows in, and {bytes} bytes of CSV out"),
    );
    let lines = csv.split(|byte| *byte == b'\n').count();
    assert_eq!(lines, 21_001, "10,000 and 1,000 and 10,000 cities");

    let clock = Instant::now();
    let timeout = Duration::from_millis(100);
    let error = connection
        .query("select pg_sleep(60)")
        .timeout(timeout)
        .execute()
        .await
        .unwrap_err();
    assert!(error.is_timeout());
    let n: i64 = connection
        .fetch_one("select count(*) from city", ())
        .await?;
    report(
        clock,
        format_args!(
            "gave up a query after {timeout:?}; the connection went on and counted {n} cities"
        ),
    );

    let error = connection
        .execute("select name from city where popluation > $1", (1,))
        .await
        .unwrap_err();
    println!("\nAn error says where and why:\n\n{error}\n");

    connection.close().await;

    let clock = Instant::now();
    let pool = Pool::builder().max_size(4).connect(&url).await?;
    let mut tasks = Vec::new();
    for task in 0..32_i64 {
        let pool = pool.clone();
        tasks.push(tokio::spawn(async move {
            let mut sum = 0;
            for n in 0..100_i64 {
                sum += pool.fetch_one::<i64>("select $1 * $2", (task, n)).await?;
            }
            Ok::<_, kornak::Error>(sum)
        }));
    }
    let mut sum = 0;
    for task in tasks {
        sum += task.await.expect("no task panics")?;
    }
    assert_eq!(sum, (0..32).sum::<i64>() * (0..100).sum::<i64>());
    report(
        clock,
        format_args!(
            "32 tasks asked 3200 questions over a pool of {}",
            pool.status().size
        ),
    );

    let clock = Instant::now();
    let mut first = pool.subscribe(["city_founded"]).await?;
    let mut second = pool.subscribe(["city_founded"]).await?;
    let mut sender = pool.acquire().await?;
    sender.notify("city_founded", "Kornakville").await?;
    for subscription in [&mut first, &mut second] {
        match subscription.next().await? {
            ListenEvent::Notification(news) => assert_eq!(news.payload, "Kornakville"),
            other => panic!("{other:?}"),
        }
    }
    report(
        clock,
        format_args!("two subscribers heard of a new city over one connection"),
    );
    drop((first, second, sender));
    pool.close(Duration::from_secs(1)).await;
    Ok(())
}

fn report(since: Instant, what: std::fmt::Arguments<'_>) {
    println!("{:>9.2} ms  {what}", since.elapsed().as_secs_f64() * 1000.0);
}
