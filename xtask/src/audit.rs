//! `cargo xtask audit`: what the project depends on is what was agreed to in `deny.toml`.
//!
//! Where `cargo-deny` is installed it is run too, with its database of known
//! vulnerabilities where that can be reached. The checks here need neither: every crate is
//! on the list, under a licence of the list, from crates.io, with its digest, in one
//! version.

mod json;
mod licence;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, ExitCode};

use xtask::process::{find_program, run as run_command};
use xtask::{Context, Failure, Result, project_root};

use self::json::Json;

/// The source of every crate that isn't the project's own.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The workspaces, each with a lock file of its own. What is measured against in
/// `benches/compare` never reaches a user and is not audited.
const WORKSPACES: [&str; 2] = [".", "fuzz"];

/// Runs the audit.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    if !arguments.is_empty() {
        return Err(Failure::new("audit takes no arguments"));
    }
    let root = project_root();
    let text = fs::read_to_string(root.join("deny.toml")).context("reading deny.toml")?;
    let policy = Policy::parse(&text)?;
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    for workspace in WORKSPACES {
        let dir = root.join(workspace);
        let lock = fs::read_to_string(dir.join("Cargo.lock"))
            .context(format_args!("reading {workspace}/Cargo.lock"))?;
        let packages = parse_lock(&lock);
        if packages.is_empty() {
            return Err(Failure::new(format!(
                "{workspace}/Cargo.lock lists nothing"
            )));
        }
        let metadata = run_command(Command::new("cargo").current_dir(&dir).args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--all-features",
        ]))?;
        let licences = licences(&metadata)?;
        for fault in policy.check(&packages, &licences) {
            faults.push(format!("{workspace}/Cargo.lock: {fault}"));
        }
        used.extend(packages.into_iter().map(|package| package.name));
    }
    for name in policy.crates.difference(&used) {
        faults.push(format!("deny.toml allows `{name}`, which nothing uses"));
    }
    if !faults.is_empty() {
        return Err(Failure::new(faults.join("\n")));
    }
    println!("audit: {} crates are on the list of deny.toml", used.len());
    run_cargo_deny()
}

/// Runs `cargo deny`, where it is installed.
fn run_cargo_deny() -> Result<ExitCode> {
    if find_program("cargo-deny").is_none() {
        println!("audit: cargo-deny is not installed, known vulnerabilities were not looked up");
        return Ok(ExitCode::SUCCESS);
    }
    let root = project_root();
    let deny = |checks: &[&str]| {
        run_command(
            Command::new("cargo")
                .current_dir(&root)
                .args(["deny", "--all-features", "check"])
                .args(checks),
        )
    };
    deny(&["bans", "licenses", "sources"])?;
    let fetched = run_command(
        Command::new("cargo")
            .current_dir(&root)
            .args(["deny", "fetch", "db"]),
    );
    match fetched {
        Ok(_) => {
            deny(&["--disable-fetch", "advisories"])?;
            println!("audit: cargo-deny knows of no vulnerability");
        }
        Err(_) => println!("audit: the database of vulnerabilities is out of reach"),
    }
    Ok(ExitCode::SUCCESS)
}

/// What `deny.toml` allows.
#[derive(Debug, Default)]
struct Policy {
    crates: BTreeSet<String>,
    /// Versions that may be there beside another one: `syn@2`.
    besides: BTreeSet<String>,
    licences: BTreeSet<String>,
}

/// A crate of a lock file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Package {
    name: String,
    version: String,
    /// None for the project's own.
    source: Option<String>,
    checksum: Option<String>,
}

impl Policy {
    /// Reads the lists `allow` of `[bans]` and `[licenses]`, and `skip` of `[bans]`. Their
    /// items are written a line, as `"serde"` or `{ crate = "serde", reason = "…" }`.
    fn parse(text: &str) -> Result<Self> {
        let mut policy = Self::default();
        let mut section = "";
        let mut list = "";
        for line in text.lines().map(str::trim) {
            if line.starts_with('#') {
                continue;
            } else if let Some(name) = line
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                section = name;
                list = "";
            } else if let Some((key, value)) = line.split_once('=').filter(|_| list.is_empty()) {
                if value.trim() == "[" {
                    list = key.trim();
                }
            } else if line.starts_with(']') {
                list = "";
            } else if let Some(item) = line.split('"').nth(1) {
                let item = item.to_owned();
                match (section, list) {
                    ("bans", "allow") => policy.crates.insert(item),
                    ("bans", "skip") => policy.besides.insert(item),
                    ("licenses", "allow") => policy.licences.insert(item),
                    _ => continue,
                };
            }
        }
        if policy.crates.is_empty() || policy.licences.is_empty() {
            return Err(Failure::new(
                "deny.toml allows no crates or no licences: are its lists an item a line?",
            ));
        }
        Ok(policy)
    }

    /// What is wrong with the packages of a lock file. `licences` has those of the registry.
    fn check(&self, packages: &[Package], licences: &BTreeMap<String, String>) -> Vec<String> {
        let mut faults = Vec::new();
        let mut versions: BTreeMap<&str, u32> = BTreeMap::new();
        for package in packages {
            let version = &package.version;
            let may_be_beside = self.besides.iter().any(|item| {
                item.split_once('@').is_some_and(|(name, wanted)| {
                    let rest = version.strip_prefix(wanted);
                    name == package.name && rest.is_some_and(|r| r.is_empty() || r.starts_with('.'))
                })
            });
            if !may_be_beside {
                *versions.entry(&package.name).or_default() += 1;
            }
            let name = format!("{} {}", package.name, package.version);
            if !self.crates.contains(&package.name) {
                faults.push(format!("{name} is not on the list of crates in deny.toml"));
            }
            let Some(source) = &package.source else {
                continue;
            };
            if source != REGISTRY {
                faults.push(format!("{name} comes from {source}"));
            } else if package.checksum.is_none() {
                faults.push(format!("{name} has no checksum"));
            }
            match licences.get(&name) {
                Some(expression) if licence::is_satisfied(expression, &self.licences) => {}
                Some(expression) => faults.push(format!("the licence of {name} is {expression}")),
                None => faults.push(format!("{name} states no licence")),
            }
        }
        for (name, count) in versions {
            if count > 1 {
                faults.push(format!("{name} is there in {count} versions"));
            }
        }
        faults
    }
}

fn parse_lock(text: &str) -> Vec<Package> {
    text.split("[[package]]")
        .skip(1)
        .filter_map(|package| {
            let value = |key: &str| {
                package
                    .lines()
                    .find_map(|line| line.strip_prefix(key)?.trim().strip_prefix('='))
                    .map(|value| value.trim().trim_matches('"').to_owned())
            };
            Some(Package {
                name: value("name")?,
                version: value("version")?,
                source: value("source"),
                checksum: value("checksum"),
            })
        })
        .collect()
}

/// The licence expressions by name and version, from the output of `cargo metadata`.
fn licences(metadata: &str) -> Result<BTreeMap<String, String>> {
    let json = Json::parse(metadata)?;
    let packages = json
        .field("packages")
        .and_then(Json::items)
        .ok_or_else(|| Failure::new("cargo metadata lists no packages"))?;
    Ok(packages
        .iter()
        .filter_map(|package| {
            let text = |key| package.field(key).and_then(Json::text);
            let name = format!("{} {}", text("name")?, text("version")?);
            Some((name, text("license")?.to_owned()))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "\
[licenses]
allow = [
    \"MIT\",
]

[bans]
# A comment with a \"word\".
multiple-versions = \"deny\"
allow = [
    \"ours\",
    { crate = \"theirs\", reason = \"because\" },
    \"twice\",
]
skip = [
    \"twice@2\",
]
";

    const LOCK: &str = "\
version = 4

[[package]]
name = \"ours\"
version = \"0.1.0\"
dependencies = [
 \"theirs\",
]

[[package]]
name = \"theirs\"
version = \"1.0.0\"
source = \"registry+https://github.com/rust-lang/crates.io-index\"
checksum = \"00\"
";

    #[track_caller]
    fn faults(lock: &str, licence: &str) -> Vec<String> {
        let licences = parse_lock(lock)
            .iter()
            .map(|package| {
                (
                    format!("{} {}", package.name, package.version),
                    licence.to_owned(),
                )
            })
            .collect();
        Policy::parse(POLICY)
            .unwrap()
            .check(&parse_lock(lock), &licences)
    }

    #[test]
    fn s36_what_is_not_agreed_to_is_refused() {
        assert_eq!(faults(LOCK, "MIT OR GPL-3.0"), [""; 0]);
        let other = LOCK.replace("theirs", "twice");
        let twice = |version: &str| format!("{other}\n{}", other.replace("1.0.0", version));
        let twice = |version: &str| twice(version).replacen("\"ours\"", "\"theirs\"", 1);
        assert_eq!(faults(&twice("2.0.0"), "MIT"), [""; 0]);
        assert_eq!(faults(&twice("2"), "MIT"), [""; 0]);
        assert_eq!(faults(&twice("20.0.0"), "MIT").len(), 1);
        for (what, lock, licence) in [
            ("not on the list", LOCK.replace("theirs", "others"), "MIT"),
            ("licence", LOCK.to_owned(), "GPL-3.0"),
            (
                "comes from git",
                LOCK.replace(
                    "registry+https://github.com/rust-lang/crates.io-index",
                    "git+x",
                ),
                "MIT",
            ),
            ("no checksum", LOCK.replace("checksum", "other"), "MIT"),
            (
                "2 versions",
                format!(
                    "{LOCK}\n{}",
                    LOCK.replace("1.0.0", "2.0.0").replace("ours", "twice")
                ),
                "MIT",
            ),
        ] {
            let found = faults(&lock, licence);
            assert_eq!(found.len(), 1, "{what}: {found:?}");
            assert!(found[0].contains(what), "{what}: {found:?}");
        }
    }

    #[test]
    fn s36_the_lock_files_are_in_order() {
        run(&[]).unwrap();
    }

    #[test]
    fn a_policy_without_lists_is_refused() {
        assert!(Policy::parse("[bans]\nallow = [\"a\"]\n").is_err());
        assert!(Policy::parse("").is_err());
    }
}
