//! The live comparison: every driver at every workload, in processes of their own, round by
//! round, against a real server.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;
use std::time::Instant;

use serde::Serialize;

use crate::Result;
use crate::driver::Target;
use crate::live::{Order, Outcome, POOL_SIZE};
use crate::work::{self, Work};

/// What is compared, and how long.
#[derive(Debug)]
struct Plan {
    rounds: usize,
    seconds: f64,
    stream_rows: i64,
    settings: Vec<Setting>,
    only: String,
    json: Option<String>,
}

/// The circumstances of a part of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Setting {
    tcp: bool,
    multi_thread: bool,
    /// Client and server share one processor.
    one_core: bool,
}

/// A line of the table: a workload, and how many tasks share a pool.
type Line = (Work, usize);

/// All rounds of one driver at one line under one setting.
#[derive(Debug, Serialize)]
struct Measured {
    setting: Setting,
    work: &'static str,
    tasks: usize,
    driver: &'static str,
    rounds: Vec<Outcome>,
}

#[cfg(feature = "sqlx")]
const DRIVERS: &[&str] = &["raw", "raw-decode", "kornak", "tokio-postgres", "sqlx"];
#[cfg(not(feature = "sqlx"))]
const DRIVERS: &[&str] = &["raw", "raw-decode", "kornak", "tokio-postgres"];

/// How many tasks share the pool in the lines of W2.
const CROWDS: [usize; 3] = [10, 64, 256];

const HELP: &str = "bench [--quick] [--only <part of a name>] [--json <file>]";

/// Measures and prints the tables.
///
/// # Errors
///
/// If there is no server, or a driver fails or reads values wrongly.
pub fn run(arguments: &[String]) -> Result<()> {
    let plan = Plan::parse(arguments)?;
    let begun = Instant::now();
    let external = std::env::var("DATABASE_URL")
        .ok()
        .filter(|url| !url.is_empty());
    let private = match &external {
        Some(_) => None,
        None => Some(xtask::server::Server::private(
            "bench",
            &["max_connections = 300", "shared_buffers = 256MB"],
        )?),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let urls = match (&external, &private) {
        (Some(url), _) => [url.clone(), url.clone()],
        (None, Some(server)) => {
            use xtask::server::Role;
            [
                server.role_url_socket(Role::Trust),
                server.role_url(Role::Trust),
            ]
        }
        (None, None) => return Err("no server".into()),
    };
    let owner = private
        .as_ref()
        .map_or_else(|| urls[0].clone(), |server| server.url());
    let version = runtime.block_on(set_up(&owner, plan.stream_rows))?;
    let mut all = Vec::new();
    for &setting in &plan.settings {
        let postmaster = private.as_ref().map(|server| server.postmaster());
        if let Some(postmaster) = postmaster {
            let cores = if setting.one_core { "0" } else { "0-1023" };
            pin(postmaster, cores)?;
        } else if setting.one_core {
            eprintln!("one core: skipped, the server isn't ours to pin");
            continue;
        }
        let url = &urls[usize::from(setting.tcp)];
        all.extend(plan.measure(setting, url, begun)?);
    }
    println!("{}", report(&plan, &all, &version));
    if let Some(path) = &plan.json {
        let text = serde_json::to_string_pretty(&serde_json::json!({
            "server": version,
            "versions": versions(),
            "rounds": plan.rounds,
            "seconds": plan.seconds,
            "stream_rows": plan.stream_rows,
            "measured": all,
        }))?;
        std::fs::write(path, text)?;
    }
    eprintln!("done in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}

impl Plan {
    fn parse(arguments: &[String]) -> Result<Self> {
        let unix = Setting {
            tcp: false,
            multi_thread: false,
            one_core: true,
        };
        let free = Setting {
            one_core: false,
            ..unix
        };
        let mut plan = Self {
            rounds: 7,
            seconds: 1.0,
            stream_rows: 1_000_000,
            settings: Vec::new(),
            only: String::new(),
            json: None,
        };
        for tcp in [false, true] {
            for multi_thread in [false, true] {
                plan.settings.push(Setting {
                    tcp,
                    multi_thread,
                    ..unix
                });
                plan.settings.push(Setting {
                    tcp,
                    multi_thread,
                    ..free
                });
            }
        }
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => {
                    plan.rounds = 3;
                    plan.seconds = 0.3;
                    plan.stream_rows = 100_000;
                    plan.settings = vec![unix, free];
                }
                "--only" => plan.only.clone_from(arguments.next().ok_or(HELP)?),
                "--json" => plan.json = Some(arguments.next().ok_or(HELP)?.clone()),
                _ => return Err(HELP.into()),
            }
        }
        Ok(plan)
    }

    fn lines(&self) -> Vec<Line> {
        let alone = Work::ALL.into_iter().map(|work| (work, 0));
        let crowds = CROWDS.map(|tasks| (Work::Lookup, tasks));
        alone
            .chain(crowds)
            .filter(|&line| name(line).contains(&self.only))
            .collect()
    }

    /// All lines, driver after driver in each round, so that what disturbs the machine for a
    /// while disturbs them all.
    fn measure(&self, setting: Setting, url: &str, begun: Instant) -> Result<Vec<Measured>> {
        let mut measured = Vec::new();
        for line in self.lines() {
            let mut rounds: BTreeMap<usize, Vec<Outcome>> = BTreeMap::new();
            for round in 0..self.rounds {
                for (index, driver) in DRIVERS.iter().enumerate() {
                    if round > 0 && !rounds.contains_key(&index) {
                        continue;
                    }
                    let order = Order {
                        driver: (*driver).to_owned(),
                        work: line.0.name().to_owned(),
                        tasks: line.1,
                        multi_thread: setting.multi_thread,
                        seconds: self.seconds,
                        stream_rows: self.stream_rows,
                        url: url.to_owned(),
                    };
                    if let Some(outcome) = dispatch(&order, setting.one_core)? {
                        rounds.entry(index).or_default().push(outcome);
                    }
                }
            }
            eprintln!(
                "{:4.0} s  {}  {}",
                begun.elapsed().as_secs_f64(),
                setting.name(),
                name(line)
            );
            measured.extend(rounds.into_iter().map(|(index, rounds)| Measured {
                setting,
                work: line.0.name(),
                tasks: line.1,
                driver: DRIVERS[index],
                rounds,
            }));
        }
        Ok(measured)
    }
}

impl Setting {
    fn name(self) -> String {
        format!(
            "{}, {}, {}",
            if self.tcp { "TCP" } else { "Unix socket" },
            if self.multi_thread {
                "multi-thread"
            } else {
                "current-thread"
            },
            if self.one_core {
                "one core"
            } else {
                "cores free"
            }
        )
    }
}

fn name((work, tasks): Line) -> String {
    match tasks {
        0 => work.name().to_owned(),
        tasks => format!("{work}, {tasks} tasks on {POOL_SIZE}"),
    }
}

/// Runs an order in a process of its own.
fn dispatch(order: &Order, one_core: bool) -> Result<Option<Outcome>> {
    let program = std::env::current_exe()?;
    let mut command = if one_core {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", "0"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    let output = command
        .arg("live")
        .arg(serde_json::to_string(order)?)
        .output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} at {}: {text}", order.driver, order.work).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Moves a process, and so all that it will start, to these processors.
fn pin(process: u32, cores: &str) -> Result<()> {
    let output = Command::new("taskset")
        .args([
            "--all-tasks",
            "--cpu-list",
            "--pid",
            cores,
            &process.to_string(),
        ])
        .output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
    }
}

/// Makes the tables, and asks for the server's version.
async fn set_up(url: &str, rows: i64) -> Result<String> {
    let target = Target::parse(url)?;
    let (client, connection) =
        tokio_postgres::connect(&target.url(), tokio_postgres::NoTls).await?;
    let task = tokio::spawn(connection);
    client.batch_execute(&work::setup(rows)).await?;
    let grant = "grant usage on schema kornak_bench to public; \
         grant all on all tables in schema kornak_bench to public";
    client.batch_execute(grant).await?;
    let version = client
        .query_one("select version()", &[])
        .await?
        .try_get(0)?;
    drop(client);
    task.await??;
    Ok(version)
}

/// The locked versions of the drivers.
fn versions() -> BTreeMap<String, String> {
    let lock = include_str!("../Cargo.lock");
    let names = [
        "kornak",
        "tokio",
        "tokio-postgres",
        "deadpool-postgres",
        "sqlx",
    ];
    let mut versions = BTreeMap::new();
    for package in lock.split("[[package]]") {
        let field = |name: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim_matches([' ', '=', '"']).to_owned())
        };
        if let (Some(name), Some(version)) = (field("name"), field("version")) {
            if names.contains(&name.as_str()) {
                versions.insert(name, version);
            }
        }
    }
    versions
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(plan: &Plan, all: &[Measured], server: &str) -> String {
    let mut out = format!(
        "{server}\n{}\n{} rounds of {} s each, interleaved; medians; W10 of {} rows; release \
         build with thin LTO. A ratio is to raw in the same rounds; ± is half the spread of the \
         rounds. raw doesn't read rows.\n",
        versions()
            .iter()
            .map(|(name, version)| format!("{name} {version}"))
            .collect::<Vec<_>>()
            .join(", "),
        plan.rounds,
        plan.seconds,
        plan.stream_rows
    );
    let mut losses = Vec::new();
    for &setting in &plan.settings {
        let _ = writeln!(
            out,
            "\n## {}\n\n| workload | driver | per second | ± % | to raw | p50 µs | p99 µs | client CPU µs | peak MiB |\n\
             | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            setting.name()
        );
        for line in plan.lines() {
            let of_line: Vec<&Measured> = all
                .iter()
                .filter(|one| {
                    one.setting == setting && (one.work, one.tasks) == (line.0.name(), line.1)
                })
                .collect();
            let rate =
                |one: &Measured| median(one.rounds.iter().map(|round| round.per_second).collect());
            let raw = of_line
                .iter()
                .find(|one| one.driver == "raw")
                .map(|raw| rate(raw));
            let kornak = of_line
                .iter()
                .find(|one| one.driver == "kornak")
                .map(|one| rate(one));
            for one in &of_line {
                let middle =
                    |figure: fn(&Outcome) -> f64| median(one.rounds.iter().map(figure).collect());
                let rates = one.rounds.iter().map(|round| round.per_second);
                let (low, high) = rates.fold((f64::MAX, 0.0_f64), |(low, high), rate| {
                    (low.min(rate), high.max(rate))
                });
                let ratio = raw.map_or(String::new(), |raw| format!("{:.2}", rate(one) / raw));
                let _ = writeln!(
                    out,
                    "| {} | {} | {:.0} | {:.0} | {ratio} | {:.1} | {:.1} | {:.1} | {:.1} |",
                    name(line),
                    one.driver,
                    rate(one),
                    (high - low) / rate(one) * 50.0,
                    middle(|round| round.p50_us),
                    middle(|round| round.p99_us),
                    middle(|round| round.cpu_us),
                    middle(|round| round.peak_kib as f64 / 1024.0),
                );
                let is_peer = !matches!(one.driver, "raw" | "raw-decode" | "kornak");
                match kornak {
                    Some(kornak) if is_peer && rate(one) > kornak * 1.08 => losses.push(format!(
                        "{}, {}: {} does {:.2} × as many",
                        setting.name(),
                        name(line),
                        one.driver,
                        rate(one) / kornak
                    )),
                    None if is_peer => losses.push(format!(
                        "{}: Kornak has no verb for it yet, {} does",
                        name(line),
                        one.driver
                    )),
                    _ => {}
                }
            }
        }
    }
    losses.dedup();
    out.push_str("\n## Where Kornak loses (by more than 8 %)\n\n");
    if losses.is_empty() {
        out.push_str("Nowhere in this run.\n");
    }
    for loss in losses {
        let _ = writeln!(out, "- {loss}");
    }
    out
}
