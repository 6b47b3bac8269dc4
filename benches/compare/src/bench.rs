//! The live comparison: every driver at every workload, in processes of their own, round by
//! round, against a real server.

mod report;
mod server;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Serialize;

use self::report::Circumstances;
use self::server::Place;
use crate::Result;
use crate::cost::coding;
use crate::cost::measure::has_tool;
use crate::delay::Delay;
use crate::driver::{Target, external};
use crate::live::{Crowd, Order, Outcome};
use crate::scaling::{self, Range};
use crate::work::{self, POOL_SIZE, Work};

/// What is compared, and how long.
#[derive(Debug)]
struct Plan {
    rounds: usize,
    seconds: f64,
    stream_rows: i64,
    settings: Vec<Setting>,
    drivers: Vec<&'static str>,
    only: String,
    json: String,
}

/// The circumstances of a part of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Setting {
    transport: Transport,
    multi_thread: bool,
    /// Client and server share one processor.
    one_core: bool,
}

/// How the server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
enum Transport {
    Unix,
    Tcp,
    Tls,
}

/// A line of the table: a workload, and who does it.
type Line = (Work, Crowd);

/// All rounds of one driver at one line under one setting.
#[derive(Debug, Serialize)]
struct Measured {
    setting: Setting,
    work: &'static str,
    crowd: Crowd,
    driver: &'static str,
    rounds: Vec<Outcome>,
}

/// The drivers that this program was built with, in the order of the tables.
pub const DRIVERS: &[&str] = &[
    "raw",
    "raw-decode",
    "kornak",
    "kornak-queued",
    "tokio-postgres",
    #[cfg(feature = "sqlx")]
    "sqlx",
    #[cfg(feature = "xitca")]
    "xitca-postgres",
    #[cfg(feature = "wtx")]
    "wtx",
    #[cfg(feature = "diesel-async")]
    "diesel-async",
    #[cfg(feature = "libpq")]
    "libpq",
    #[cfg(feature = "asyncpg")]
    "asyncpg",
];

/// How many tasks share the pool in the lines of W2.
const CROWDS: [usize; 3] = [10, 64, 256];

const HELP: &str = "\
bench [--quick] [--only <part of a workload's name>] [--setting <part of a setting's name>]
      [--drivers <names, separated by commas>] [--rounds <n>] [--seconds <n>] [--json <file>]
bench --scaling [--quick]";

/// Measures and prints the tables.
///
/// # Errors
///
/// If there is no server, or a driver fails or reads values wrongly.
pub fn run(arguments: &[String]) -> Result<()> {
    if let Some(rest) = arguments.strip_prefix(&["--scaling".to_owned()]) {
        return scale(rest);
    }
    let plan = Plan::parse(arguments)?;
    let begun = Instant::now();
    let place = Place::find()?;
    let (version, settings) = place.set_up(plan.stream_rows)?;
    let mut all = Vec::new();
    let mut left_out = Vec::new();
    for &setting in &plan.settings {
        let Some((url, root)) = place.reach(setting.transport) else {
            left_out.push(format!("{}: the server isn't reached so", setting.name()));
            continue;
        };
        if !place.pin(setting.one_core)? {
            left_out.push(format!(
                "{}: the server isn't ours to pin to a core",
                setting.name()
            ));
            continue;
        }
        all.extend(plan.measure(setting, &place, (&url, root.as_deref()), begun)?);
    }
    let coded = if has_tool("valgrind") {
        coding::figures(|row| row.contains(&plan.only))?
    } else {
        left_out
            .push("what reading and writing a value costs: valgrind isn't installed".to_owned());
        Vec::new()
    };
    let circumstances = Circumstances {
        server: version,
        settings,
        versions: report::versions(),
        machine: report::machine(),
        left_out,
    };
    println!("{}", report::render(&plan, &all, &coded, &circumstances));
    let text = serde_json::to_string_pretty(&serde_json::json!({
        "circumstances": circumstances,
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "stream_rows": plan.stream_rows,
        "measured": all,
        "coded": coded,
    }))?;
    std::fs::write(&plan.json, text)?;
    eprintln!(
        "done in {:.0} s; all rounds are in {}",
        begun.elapsed().as_secs_f64(),
        plan.json
    );
    Ok(())
}

/// `--scaling`: how Kornak's cost grows.
fn scale(arguments: &[String]) -> Result<()> {
    let range = match arguments {
        [] => Range::FULL,
        [quick] if quick == "--quick" => Range::QUICK,
        _ => return Err(HELP.into()),
    };
    let place = Place::find()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let url = place
        .reach(Transport::Unix)
        .or_else(|| place.reach(Transport::Tcp))
        .map(|(url, _)| url)
        .ok_or("the server can't be reached")?;
    runtime.block_on(scaling::run(&Target::parse(&url)?.url(), range))
}

impl Plan {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut plan = Self {
            rounds: 5,
            seconds: 0.5,
            stream_rows: 1_000_000,
            settings: Vec::new(),
            drivers: DRIVERS.to_vec(),
            only: String::new(),
            json: xtask::target_dir().join("bench.json").display().to_string(),
        };
        for transport in [Transport::Unix, Transport::Tcp, Transport::Tls] {
            for multi_thread in [false, true] {
                for one_core in [true, false] {
                    plan.settings.push(Setting {
                        transport,
                        multi_thread,
                        one_core,
                    });
                }
            }
        }
        let mut wanted = None;
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(HELP);
            match argument.as_str() {
                "--quick" => {
                    plan.rounds = 3;
                    plan.seconds = 0.2;
                    wanted.get_or_insert("Unix socket, current-thread".to_owned());
                }
                "--only" => plan.only.clone_from(value()?),
                "--setting" => wanted = Some(value()?.clone()),
                "--rounds" => plan.rounds = value()?.parse()?,
                "--seconds" => plan.seconds = value()?.parse()?,
                "--json" => plan.json.clone_from(value()?),
                "--drivers" => {
                    let names: Vec<&str> = value()?.split(',').collect();
                    if let Some(unknown) = names.iter().find(|name| !DRIVERS.contains(name)) {
                        return Err(format!("no driver {unknown}; there are {DRIVERS:?}").into());
                    }
                    plan.drivers.retain(|driver| names.contains(driver));
                }
                _ => return Err(HELP.into()),
            }
        }
        let wanted = wanted.unwrap_or_default();
        plan.settings
            .retain(|setting| setting.name().contains(&wanted));
        if plan.settings.is_empty() || plan.rounds == 0 {
            return Err("nothing is to be measured".into());
        }
        Ok(plan)
    }

    fn lines(&self) -> Vec<Line> {
        // What asks the server nothing is counted in instructions alone, and a live server
        // always wants SCRAM.
        let alone = Work::ALL
            .into_iter()
            .filter(|work| {
                !matches!(work, Work::Checkout | Work::ConnectScram) && work.tasks().is_none()
            })
            .map(|work| (work, Crowd::Alone));
        let crowds = CROWDS.map(|tasks| (Work::Lookup, Crowd::Pool(tasks)));
        alone
            .chain([(Work::Lookup, Crowd::Exclusive)])
            .chain(crowds)
            .filter(|&line| name(line).contains(&self.only))
            .collect()
    }

    /// All lines, driver after driver in each round, so that what disturbs the machine for a
    /// while disturbs them all.
    fn measure(
        &self,
        setting: Setting,
        place: &Place,
        (url, root): (&str, Option<&str>),
        begun: Instant,
    ) -> Result<Vec<Measured>> {
        let mut measured = Vec::new();
        let lines = self.lines();
        for (index, &line) in lines.iter().enumerate() {
            eprintln!(
                "{:4.0} s  {}, {} of {}: {}",
                begun.elapsed().as_secs_f64(),
                setting.name(),
                index + 1,
                lines.len(),
                name(line)
            );
            let mut order = Order {
                driver: String::new(),
                work: line.0.name().to_owned(),
                crowd: line.1,
                multi_thread: setting.multi_thread,
                seconds: self.seconds,
                checks: true,
                stream_rows: self.stream_rows,
                url: url.to_owned(),
                root: root.map(str::to_owned),
            };
            let delay = match line.0.is_far() {
                true => Some(Delay::start(
                    &order.target()?,
                    Duration::from_millis(work::ROUND_TRIP_MS),
                )?),
                false => None,
            };
            if let Some(delay) = &delay {
                order.url = delay.target.url();
            }
            let mut rounds: BTreeMap<usize, Vec<Outcome>> = BTreeMap::new();
            for round in 0..self.rounds {
                for (index, driver) in self.drivers.iter().enumerate() {
                    if round > 0 && !rounds.contains_key(&index) {
                        continue;
                    }
                    order.driver = (*driver).to_owned();
                    order.checks = round == 0;
                    if line.0.writes() {
                        place.empty_sinks()?;
                    }
                    if let Some(outcome) = dispatch(&order, setting.one_core)? {
                        rounds.entry(index).or_default().push(outcome);
                    }
                }
            }
            measured.extend(rounds.into_iter().map(|(index, rounds)| Measured {
                setting,
                work: line.0.name(),
                crowd: line.1,
                driver: self.drivers[index],
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
            match self.transport {
                Transport::Unix => "Unix socket",
                Transport::Tcp => "TCP",
                Transport::Tls => "TLS",
            },
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

fn name((work, crowd): Line) -> String {
    match crowd {
        Crowd::Alone => work.name().to_owned(),
        Crowd::Exclusive => format!("{work}, {POOL_SIZE} tasks, {POOL_SIZE} connections, no pool"),
        Crowd::Pool(tasks) => format!("{work}, {tasks} tasks, a pool of {POOL_SIZE}"),
    }
}

/// Runs an order in a process of its own.
fn dispatch(order: &Order, one_core: bool) -> Result<Option<Outcome>> {
    let client = match external::command(order)? {
        Some(command) => command,
        None => {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("live").arg(serde_json::to_string(order)?);
            command
        }
    };
    let mut command = if one_core {
        let mut command = Command::new("taskset");
        command
            .args(["--cpu-list", server::THE_CORE])
            .arg(client.get_program())
            .args(client.get_args());
        command
    } else {
        client
    };
    let output = command.output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} at {}: {text}", order.driver, order.work).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
