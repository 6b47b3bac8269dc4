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

/// Builds everything `rounds` times, and prints the medians.
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
    println!("| clean build | crates | dev: s | processor s | release: s | processor s |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for (index, candidate) in candidates.iter().enumerate() {
        print!("| {} | {} |", candidate.name, crates[index]);
        for place in 0..PROFILES.len() {
            let builds = &builds[index * PROFILES.len() + place];
            let wall = median(builds.iter().map(|build| build.wall).collect());
            let processor = median(builds.iter().map(|build| build.processor).collect());
            print!(" {wall:.1} | {processor:.1} |");
        }
        println!();
    }
    Ok(ExitCode::SUCCESS)
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
                .arg(&target),
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
