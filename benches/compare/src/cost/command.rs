//! `cost`: what each workload costs the client, beside raw and tokio-postgres, and whether
//! the gates of `benches/targets.toml` hold.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::coding;
use super::gates::Gates;
use super::measure::{Bench, cores};
use super::table::{self, Measured};
use super::{DRIVERS, Figures, Row, rows};
use crate::Result;

const HELP: &str = "\
cost [--gates] [--only <part of a workload's name>] [--targets <targets.toml>]";

/// Measures, prints the table, and says whether all gates hold. With `--gates` nothing is measured
/// that no gate asks for.
///
/// # Errors
///
/// If something can't be measured.
pub fn run(arguments: &[String]) -> Result<bool> {
    let mut only = String::new();
    let mut targets = "benches/targets.toml".to_owned();
    let mut only_gates = false;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--gates" => only_gates = true,
            "--only" => only.clone_from(arguments.next().ok_or(HELP)?),
            "--targets" => targets.clone_from(arguments.next().ok_or(HELP)?),
            _ => return Err(HELP.into()),
        }
    }
    let text = std::fs::read_to_string(&targets).map_err(|error| format!("{targets}: {error}"))?;
    let gates = Gates::parse(&text)?;
    let benches: Vec<Bench> = cores()
        .into_iter()
        .map(Bench::start)
        .collect::<Result<_>>()?;
    let rows: Vec<Row> = rows()
        .into_iter()
        .filter(|row| row.work.name().contains(&only))
        .collect();
    let mut jobs = Vec::new();
    for (row, Row { work, .. }) in rows.iter().enumerate() {
        for (driver, name) in DRIVERS.into_iter().enumerate() {
            if !only_gates || gates.want(work.name(), name) {
                jobs.push((row, driver));
            }
        }
    }
    let measured = measure(&benches, &rows, &jobs)?;
    if !measured.is_empty() {
        println!("{}", table::render(&measured, &gates));
    }
    let coded =
        coding::figures(|row| row.contains(&only) && (!only_gates || gates.want_value(row)))?;
    println!("{}", coding::render(&coded));
    let mut failures = gates.dearer(&coded);
    for (row, [kornak, _, _, peer]) in &measured {
        if let Some(kornak) = kornak {
            failures.extend(gates.failures(row.work.name(), kornak, peer.as_ref()));
        }
    }
    if only.is_empty() {
        println!("| memory of Kornak | bytes | target | |\n| --- | ---: | ---: | --- |");
        let names = ["connected", "idle-again", "cached-statement"];
        for (name, bytes) in names.into_iter().zip(benches[0].memory()?) {
            let gate = gates
                .gate("memory", name)
                .ok_or_else(|| format!("{targets} has no memory.{name}"))?;
            let missed = gate.is_missed(bytes);
            println!(
                "| {name} | {bytes:.0} | {:.0} | {} |",
                gate.target,
                gate.verdict(bytes)
            );
            if missed {
                failures.push(format!(
                    "memory.{name} is {bytes:.0}, its gate {:.0}",
                    gate.limit()
                ));
            }
        }
    }
    println!();
    for failure in &failures {
        println!("missed: {failure}");
    }
    Ok(failures.is_empty())
}

/// Drivers at rows, by their places, on each processor one at a time: instructions and calls don't
/// depend on what else runs.
fn measure(benches: &[Bench], rows: &[Row], jobs: &[(usize, usize)]) -> Result<Vec<Measured>> {
    type Done = (usize, usize, Result<Option<Figures>>);
    let done = Mutex::new(Vec::<Done>::new());
    let next = AtomicUsize::new(0);
    let (done, next) = (&done, &next);
    std::thread::scope(|scope| {
        for bench in benches {
            scope.spawn(move || {
                loop {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    let Some(&(row, driver)) = jobs.get(job) else {
                        break;
                    };
                    let figures = bench.figures(DRIVERS[driver], &rows[row]);
                    let (work, name) = (rows[row].work, DRIVERS[driver]);
                    eprintln!("{}/{} {work} {name}", job + 1, jobs.len());
                    if let Ok(mut done) = done.lock() {
                        done.push((row, driver, figures));
                    }
                }
            });
        }
    });
    let mut measured: Vec<Measured> = rows
        .iter()
        .map(|row| (*row, [None, None, None, None]))
        .collect();
    let done = done.lock().map(|mut done| std::mem::take(&mut *done));
    for (row, driver, figures) in done.unwrap_or_default() {
        measured[row].1[driver] = figures?;
    }
    Ok(measured)
}
