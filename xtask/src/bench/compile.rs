//! `cargo xtask bench --compile`: how long a clean build of Kornak takes beside its peers.
//!
//! Each is the dependency of a program that does nothing, with what Kornak has by default: TLS,
//! a pool, a cache of statements, and rows as structs. Builds are interleaved, each into an
//! empty folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use xtask::process::run as run_command;
use xtask::{Context, Failure, Result, project_root, target_dir};

/// What is compiled: a name, and the dependencies in the manifest.
struct Candidate {
    name: &'static str,
    dependencies: String,
}

/// One build: in seconds.
#[derive(Clone, Copy)]
struct Build {
    wall: f64,
    /// Processor time of all compilers: what a busy machine changes least.
    processor: f64,
}

const PROFILES: [&str; 2] = ["dev", "release"];

/// By how much a gate may be missed, in parts of it: what the same build takes differs by this
/// on a shared machine.
const TOLERANCE: f64 = 0.1;

/// Builds everything `rounds` times, prints the medians, and fails if a gate is missed.
pub(super) fn run(arguments: &[String]) -> Result<ExitCode> {
    let rounds = match arguments {
        [] => 3,
        [flag, rounds] if flag == "--rounds" => {
            rounds.parse().context("reading the number of rounds")?
        }
        _ => return Err(Failure::new("bench --compile [--rounds <n>]")),
    };
    let folder = target_dir().join("compile-time");
    let candidates = candidates();
    let mut crates = Vec::new();
    for candidate in &candidates {
        crates.push(candidate.write(&folder)?);
    }
    let mut builds: Vec<Vec<Build>> = vec![Vec::new(); candidates.len() * PROFILES.len()];
    for round in 0..rounds {
        for (index, candidate) in candidates.iter().enumerate() {
            for (place, profile) in PROFILES.iter().enumerate() {
                let build = candidate.build(&folder, profile)?;
                eprintln!(
                    "round {} of {rounds}: {} {profile}: {:.1} s",
                    round + 1,
                    candidate.name,
                    build.wall
                );
                builds[index * PROFILES.len() + place].push(build);
            }
        }
    }
    let medians: Vec<Build> = builds.iter().map(|builds| Build::median(builds)).collect();
    println!("| clean build | crates | dev: s | processor s | release: s | processor s |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for (index, candidate) in candidates.iter().enumerate() {
        print!("| {} | {} |", candidate.name, crates[index]);
        for place in 0..PROFILES.len() {
            let build = medians[index * PROFILES.len() + place];
            print!(" {:.1} | {:.1} |", build.wall, build.processor);
        }
        println!();
    }
    let held = compare_with_peer(&medians)?;
    Ok(if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints what Kornak's builds take of the second candidate's, and whether the gates under
/// `[compile]` in `benches/targets.toml` hold.
fn compare_with_peer(medians: &[Build]) -> Result<bool> {
    let targets = fs::read_to_string(project_root().join("benches/targets.toml"))
        .context("reading benches/targets.toml")?;
    println!("\n| beside the second | ratio | target | gate |\n| --- | ---: | ---: | ---: |");
    let mut held = true;
    for (place, profile) in PROFILES.iter().enumerate() {
        let (own, peer) = (medians[place], medians[PROFILES.len() + place]);
        for (what, ratio) in [
            ("wall", own.wall / peer.wall),
            ("processor", own.processor / peer.processor),
        ] {
            let name = format!("{what}-{profile}");
            let Some((target, gate)) = gate(&targets, &name) else {
                return Err(Failure::new(format!(
                    "benches/targets.toml has no compile.{name}"
                )));
            };
            println!("| {name} | {ratio:.2} | {target:.2} | {gate:.2} |");
            if ratio > gate * (1.0 + TOLERANCE) {
                println!("missed: compile.{name} is {ratio:.2}, its gate {gate:.2}");
                held = false;
            }
        }
    }
    Ok(held)
}

/// The target of a line under `[compile]`, and its gate: what has been reached, or else the
/// target.
fn gate(targets: &str, name: &str) -> Option<(f64, f64)> {
    let line = targets
        .lines()
        .skip_while(|line| *line != "[compile]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='))?;
    let number = |key: &str| -> Option<f64> {
        let rest = line.split_once(key)?.1.trim_start().strip_prefix('=')?;
        rest.split([',', '}']).next()?.trim().parse().ok()
    };
    let target = number("target")?;
    Some((target, number("reached").unwrap_or(target)))
}

fn candidates() -> [Candidate; 3] {
    let root = project_root().display().to_string();
    [
        Candidate {
            name: "kornak",
            dependencies: format!("kornak = {{ path = {root:?} }}"),
        },
        Candidate {
            name: "tokio-postgres, deadpool, rustls",
            dependencies: "tokio-postgres = \"0.7\"\n\
                 deadpool-postgres = \"0.14\"\n\
                 tokio-postgres-rustls = \"0.13\"\n\
                 rustls = { version = \"0.23\", default-features = false, features = [\"ring\", \
                 \"tls12\", \"std\"] }"
                .to_owned(),
        },
        Candidate {
            name: "sqlx",
            dependencies: "sqlx = { version = \"0.8\", default-features = false, features = \
                 [\"postgres\", \"runtime-tokio\", \"tls-rustls-ring\", \"derive\"] }"
                .to_owned(),
        },
    ]
}

impl Build {
    fn median(builds: &[Self]) -> Self {
        Self {
            wall: median(builds.iter().map(|build| build.wall).collect()),
            processor: median(builds.iter().map(|build| build.processor).collect()),
        }
    }
}

impl Candidate {
    /// Writes the program, and says how many crates it takes. The versions are those that
    /// everything else here is measured with.
    fn write(&self, folder: &Path) -> Result<usize> {
        let folder = self.folder(folder);
        fs::create_dir_all(folder.join("src")).context("creating a folder")?;
        let manifest = format!(
            "[workspace]\n\n[package]\nname = \"program\"\nversion = \"0.1.0\"\n\
             edition = \"2024\"\n\n[dependencies]\n{}\n",
            self.dependencies
        );
        let lock = project_root().join("benches/compare/Cargo.lock");
        fs::copy(lock, folder.join("Cargo.lock")).context("copying the lock file")?;
        fs::write(folder.join("Cargo.toml"), manifest).context("writing a manifest")?;
        fs::write(folder.join("src/main.rs"), "fn main() {}\n").context("writing a program")?;
        run_command(Command::new("cargo").current_dir(&folder).arg("fetch"))?;
        let tree = run_command(Command::new("cargo").current_dir(&folder).args([
            "tree",
            "--edges=normal,build",
            "--prefix=none",
            "--no-dedupe",
        ]))?;
        let mut names: Vec<&str> = tree.lines().collect();
        names.sort_unstable();
        names.dedup();
        // The program itself is none of them.
        Ok(names.len() - 1)
    }

    fn build(&self, folder: &Path, profile: &str) -> Result<Build> {
        let folder = self.folder(folder);
        let target = folder.join("target");
        if target.exists() {
            fs::remove_dir_all(&target).context("removing the last build")?;
        }
        let (begun, before) = (Instant::now(), children_time()?);
        run_command(
            Command::new("cargo")
                .current_dir(&folder)
                .args(["build", "--quiet", "--profile", profile, "--target-dir"])
                .arg(&target)
                // Cargo builds what comes from a registry without, as the peers do, and what
                // comes from a path, as Kornak does here, with it: that would be for rebuilding
                // the driver, which its users don't.
                .env("CARGO_INCREMENTAL", "0"),
        )?;
        let build = Build {
            wall: begun.elapsed().as_secs_f64(),
            processor: children_time()? - before,
        };
        fs::remove_dir_all(&target).context("removing a build")?;
        Ok(build)
    }

    fn folder(&self, folder: &Path) -> PathBuf {
        let name: String = self.name.chars().take_while(|c| *c != ',').collect();
        folder.join(name)
    }
}

/// The processor time of all children that have ended, in seconds: fields 16 and 17 of
/// `/proc/self/stat`, counted in hundredths.
fn children_time() -> Result<f64> {
    let text = fs::read_to_string("/proc/self/stat").context("reading /proc/self/stat")?;
    // The name of the program, in parentheses, may hold anything.
    let behind = text.rsplit(')').next().unwrap_or_default();
    let fields: Vec<f64> = behind
        .split_whitespace()
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse().ok())
        .collect();
    Ok(fields.iter().sum::<f64>() / 100.0)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_read_of_their_own_section() {
        let targets = "[w]\nwall-dev = { target = 9 }\n[compile]\n# Why.\n\
                       wall-dev = { target = 1.0, reached = 1.45, why = \"a = 3, b\" }\n\
                       processor-dev = { target = 1.0 }\n[next]\nlate = { target = 2 }\n";
        assert_eq!(gate(targets, "wall-dev"), Some((1.0, 1.45)));
        assert_eq!(gate(targets, "processor-dev"), Some((1.0, 1.0)));
        assert_eq!(gate(targets, "wall"), None);
        assert_eq!(gate(targets, "late"), None);
    }
}
