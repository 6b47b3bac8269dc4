//! What the live comparison prints: the circumstances, a table for each setting, and where
//! Kornak loses.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Line, Measured, Plan, Setting, name};
use crate::cost::coding::{self, Coded};
use crate::live::{Crowd, Outcome};
use crate::work::{COPIED, ROUND_TRIP_MS, Work};

/// What is said of a run beside its figures.
#[derive(Debug, serde::Serialize)]
pub(super) struct Circumstances {
    /// What the server says it is.
    pub(super) server: String,
    /// Its settings that matter.
    pub(super) settings: Vec<(String, String)>,
    /// The locked versions of the drivers.
    pub(super) versions: BTreeMap<String, String>,
    /// The machine.
    pub(super) machine: String,
    /// What was left out, and why.
    pub(super) left_out: Vec<String>,
}

/// The versions of the crates that are compared.
pub(super) fn versions() -> BTreeMap<String, String> {
    let lock = include_str!("../../Cargo.lock");
    let names = [
        "kornak",
        "tokio",
        "tokio-postgres",
        "deadpool-postgres",
        "sqlx",
        "rustls",
        "xitca-postgres",
        "wtx",
        "diesel-async",
    ];
    let mut versions = BTreeMap::new();
    for package in lock.split("[[package]]") {
        let field = |name: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim_matches([' ', '=', '"']).to_owned())
        };
        if let (Some(name), Some(version)) = (field("name"), field("version"))
            && names.contains(&name.as_str())
        {
            versions.insert(name, version);
        }
    }
    #[cfg(feature = "libpq")]
    if let Ok(version) = crate::driver::libpq::version() {
        versions.insert("libpq".to_owned(), version);
    }
    #[cfg(feature = "asyncpg")]
    for package in crate::driver::asyncpg::PACKAGES {
        if let Some((name, version)) = package.split_once("==") {
            versions.insert(name.to_owned(), version.to_owned());
        }
    }
    versions
}

/// The processor, how many, and the system.
pub(super) fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let information = read("/proc/cpuinfo");
    let model = information
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |model| {
            model.trim_matches([' ', '\t', ':'])
        });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{cores} × {model}, Linux {}",
        read("/proc/sys/kernel/osrelease").trim()
    )
}

/// Renders everything.
pub(super) fn render(
    plan: &Plan,
    all: &[Measured],
    coded: &[Coded],
    circumstances: &Circumstances,
) -> String {
    let mut out = format!(
        "{}\n{}\n{}\n{}\n{} rounds of {} s each, interleaved; medians; W9 of {COPIED} rows, W10 of \
         {}, W12 over a round trip of {ROUND_TRIP_MS} ms; release build with thin LTO. A ratio is to raw in \
         the same rounds; ± is half the spread of the rounds. raw doesn't read rows. Grown: by \
         how much the peak lies over what the connected client held. Not available: its API has \
         no such thing, or none that is set up here.\n",
        circumstances.server,
        pairs(circumstances.settings.iter().map(|(a, b)| (a, b)), " = "),
        pairs(circumstances.versions.iter(), " "),
        circumstances.machine,
        plan.rounds,
        plan.seconds,
        plan.stream_rows
    );
    for what in &circumstances.left_out {
        let _ = writeln!(out, "Left out: {what}");
    }
    let mut losses = Vec::new();
    for &setting in &plan.settings {
        if all.iter().any(|one| one.setting == setting) {
            table(&mut out, plan, all, setting, &mut losses);
        }
    }
    if !coded.is_empty() {
        let _ = write!(
            out,
            "\n## What Kornak pays for a value\n\nInstructions by callgrind, without a \
             connection around them.\n\n{}",
            coding::render(coded)
        );
    }
    out.push_str("\n## Where Kornak loses (by more than 8 %)\n\n");
    if losses.is_empty() {
        out.push_str("Nowhere in this run.\n");
    }
    for loss in losses {
        let _ = writeln!(out, "- {loss}");
    }
    out
}

fn pairs<'a>(pairs: impl Iterator<Item = (&'a String, &'a String)>, between: &str) -> String {
    let texts: Vec<String> = pairs
        .map(|(name, value)| format!("{name}{between}{value}"))
        .collect();
    texts.join(", ")
}

fn table(
    out: &mut String,
    plan: &Plan,
    all: &[Measured],
    setting: Setting,
    losses: &mut Vec<String>,
) {
    let _ = writeln!(
        out,
        "\n## {}\n\n| workload | driver | per second | ± % | to raw | p50 µs | p99 µs | client CPU µs | waits | peak MiB | grown MiB |\n\
         | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        setting.name()
    );
    let of_setting: Vec<&Measured> = all.iter().filter(|one| one.setting == setting).collect();
    for line in plan.lines() {
        let (raw, kornak) = (
            rate_of(&of_setting, line, "raw"),
            rate_of(&of_setting, line, "kornak"),
        );
        for driver in &plan.drivers {
            let Some(one) = of_setting.iter().find(|one| one.is(line, driver)) else {
                // Without a pool it is no other than Kornak.
                if *driver != "kornak-queued" {
                    let _ = writeln!(out, "| {} | {driver} | not available |", name(line));
                }
                continue;
            };
            let ratio = raw.map_or(String::new(), |raw| format!("{:.2}", one.rate() / raw));
            let _ = writeln!(
                out,
                "| {} | {} | {:.0} | {:.0} | {ratio} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
                name(line),
                one.driver,
                one.rate(),
                one.spread() * 50.0,
                one.middle(|round| round.p50_us),
                one.middle(|round| round.p99_us),
                one.middle(|round| round.cpu_us),
                one.middle(|round| round.waits),
                one.middle(|round| round.peak_kib as f64 / 1024.0),
                one.middle(|round| round.grown_kib as f64 / 1024.0),
            );
            losses.extend(loss(setting, line, one, kornak));
        }
    }
    ratios(out, plan, &of_setting);
}

/// Two lines that are of interest beside each other: what it is called when the first is so
/// many times as fast as the second.
const RATIOS: [(&str, Line, Line); 4] = [
    (
        "W2: 10 tasks on a pool of 10 : as many connections without a pool",
        (Work::Lookup, Crowd::Pool(10)),
        (Work::Lookup, Crowd::Exclusive),
    ),
    (
        "W2: 64 tasks on a pool of 10 : as many connections without a pool",
        (Work::Lookup, Crowd::Pool(64)),
        (Work::Lookup, Crowd::Exclusive),
    ),
    (
        "W2: 256 tasks on a pool of 10 : as many connections without a pool",
        (Work::Lookup, Crowd::Pool(256)),
        (Work::Lookup, Crowd::Exclusive),
    ),
    (
        "W12: 20 lookups pipelined : one after the other",
        (Work::Far, Crowd::Alone),
        (Work::FarOneByOne, Crowd::Alone),
    ),
];

/// How the lines that belong together compare, each driver with itself.
fn ratios(out: &mut String, plan: &Plan, of_setting: &[&Measured]) {
    let mut lines = String::new();
    for (what, first, second) in RATIOS {
        let each: Vec<String> = plan
            .drivers
            .iter()
            .filter_map(|driver| {
                let first = rate_of(of_setting, first, driver)?;
                let second = rate_of(of_setting, second, driver)?;
                Some(format!("{driver} {:.2}", first / second))
            })
            .collect();
        if !each.is_empty() {
            let _ = writeln!(lines, "- {what}: {}", each.join(", "));
        }
    }
    if !lines.is_empty() {
        let _ = write!(out, "\nHow many times as many a second:\n\n{lines}");
    }
}

fn rate_of(of_setting: &[&Measured], line: Line, driver: &str) -> Option<f64> {
    let found = of_setting.iter().find(|one| one.is(line, driver));
    found.map(|one| one.rate())
}

/// In what a peer beats Kornak, if it does.
fn loss(setting: Setting, line: Line, one: &Measured, kornak: Option<f64>) -> Option<String> {
    if matches!(
        one.driver,
        "raw" | "raw-decode" | "kornak" | "kornak-queued"
    ) {
        return None;
    }
    match kornak {
        Some(kornak) if one.rate() > kornak * 1.08 => Some(format!(
            "{}, {}: {} does {:.2} × as many",
            setting.name(),
            name(line),
            one.driver,
            one.rate() / kornak
        )),
        Some(_) => None,
        None => Some(format!(
            "{}: Kornak has no verb for it, {} does",
            name(line),
            one.driver
        )),
    }
}

impl Measured {
    fn is(&self, line: Line, driver: &str) -> bool {
        (self.work, self.crowd) == (line.0.name(), line.1) && self.driver == driver
    }

    fn rate(&self) -> f64 {
        self.middle(|round| round.per_second)
    }

    /// The distance between the fastest and the slowest round, in parts of the median.
    fn spread(&self) -> f64 {
        let rates = self.rounds.iter().map(|round| round.per_second);
        let (low, high) = rates.fold((f64::MAX, 0.0_f64), |(low, high), rate| {
            (low.min(rate), high.max(rate))
        });
        (high - low) / self.rate()
    }

    fn middle(&self, figure: fn(&Outcome) -> f64) -> f64 {
        let mut figures: Vec<f64> = self.rounds.iter().map(figure).collect();
        figures.sort_unstable_by(f64::total_cmp);
        figures[figures.len() / 2]
    }
}
