//! [`Resolution`]: a resolved configuration, and whether resolving it again would give the same.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::resolved::ResolvedConfig;

/// A resolved configuration, with what was looked at on the way to it.
///
/// Resolving asks for some fifty variables and half a dozen files: more work than all else
/// that a client does for a connection over a Unix socket. Whoever makes many connections of
/// one configuration, whose variables don't change, so looks whether the files are as they
/// were.
#[derive(Debug)]
#[doc(hidden)]
pub struct Resolution {
    config: Arc<ResolvedConfig>,
    /// The files, and how each was found; `None` where the result can't be kept.
    seen: Option<Vec<(PathBuf, Option<Stamp>)>>,
}

/// Takes note of what a configuration is resolved from.
#[derive(Debug)]
pub(super) struct Witness {
    seen: Option<Vec<(PathBuf, Option<Stamp>)>>,
}

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    /// Device, inode, permissions, and when any of that changed last.
    #[cfg(unix)]
    node: (u64, u64, u32, i64, i64),
}

/// The clocks of file systems tick a hundred times a second or, on some, every two seconds: a
/// file that was changed so lately may change again and look the same.
const TICK: Duration = Duration::from_secs(2);

impl Resolution {
    pub(super) fn new(config: ResolvedConfig, witness: Witness) -> Self {
        Self {
            config: Arc::new(config),
            seen: witness.seen,
        }
    }

    #[doc(hidden)]
    pub fn config(&self) -> &Arc<ResolvedConfig> {
        &self.config
    }

    /// Whether every file that was looked at is as it was, or still missing.
    #[doc(hidden)]
    pub fn is_current(&self) -> bool {
        let Some(seen) = &self.seen else {
            return false;
        };
        seen.iter().all(|(path, stamp)| *stamp == Stamp::of(path))
    }
}

impl Default for Witness {
    fn default() -> Self {
        Self {
            seen: Some(Vec::new()),
        }
    }
}

impl Witness {
    /// A file is about to be looked at.
    pub(super) fn file(&mut self, path: &Path) {
        if let Some(seen) = &mut self.seen {
            let stamp = Stamp::of(path);
            seen.push((path.to_owned(), stamp));
            // What changed just now could change once more behind this very look.
            if stamp.is_some_and(Stamp::is_fresh) {
                self.seen = None;
            }
        }
    }

    /// Something else counts, which nobody takes note of.
    pub(super) fn something_else(&mut self) {
        self.seen = None;
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt as _;
        Some(Self {
            modified: found.modified().ok(),
            length: found.len(),
            #[cfg(unix)]
            node: (
                found.dev(),
                found.ino(),
                found.mode(),
                found.ctime(),
                found.ctime_nsec(),
            ),
        })
    }

    /// Whether it changed so lately that a further change might not show. A time in the future
    /// is another clock's, and says nothing.
    fn is_fresh(self) -> bool {
        let age = self.modified.map(|modified| modified.elapsed());
        !matches!(age, Some(Ok(age)) if age > TICK)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::super::{Config, Environment};
    use super::*;

    /// A home directory, which goes with it.
    struct Home(PathBuf);

    impl Home {
        fn new(name: &str) -> Self {
            let name = format!("kornak-resolution-{name}-{}", std::process::id());
            let home = Self(std::env::temp_dir().join(name));
            fs::create_dir_all(&home.0).unwrap();
            home
        }

        fn config(&self) -> Config {
            let environment = Environment::empty().variable("HOME", &self.0);
            Config::new()
                .host("db")
                .user("app")
                .environment(environment)
        }

        /// Writes a password file as if so long ago.
        fn write(&self, password: &str, age: Duration) {
            let path = self.0.join(".pgpass");
            // Another file of that name, as editors leave it.
            let _ = fs::remove_file(&path);
            fs::write(&path, format!("*:*:*:*:{password}\n")).unwrap();
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            }
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn password(resolution: &Resolution) -> Option<&[u8]> {
        let password = resolution.config().hosts()[0].password();
        password.map(super::super::Secret::expose)
    }

    const LONG_AGO: Duration = Duration::from_secs(3600);

    #[test]
    fn it_is_kept_until_a_file_changes() {
        let home = Home::new("kept");
        let config = home.config();
        let none = config.resolution().unwrap();
        assert_eq!(password(&none), None);
        assert!(none.is_current(), "there is still no file");

        home.write("first", LONG_AGO);
        assert!(!none.is_current(), "there is a file now");
        let first = config.resolution().unwrap();
        assert_eq!(password(&first), Some(&b"first"[..]));
        assert!(first.is_current());

        // As long as the one before, and of the same time.
        home.write("other", LONG_AGO);
        if cfg!(unix) {
            assert!(!first.is_current());
        }
        let other = config.resolution().unwrap();
        assert_eq!(password(&other), Some(&b"other"[..]));
        assert!(other.is_current());

        fs::remove_file(home.0.join(".pgpass")).unwrap();
        assert!(!other.is_current());
        assert_eq!(password(&config.resolution().unwrap()), None);
    }

    #[test]
    fn the_files_of_tls_count_where_they_appear() {
        let home = Home::new("tls");
        let config = home.config().password("sesame");
        let without = config.resolution().unwrap();
        assert!(without.is_current());
        fs::create_dir_all(home.0.join(".postgresql")).unwrap();
        assert!(without.is_current());
        fs::write(home.0.join(".postgresql/root.crt"), "a certificate").unwrap();
        assert!(!without.is_current());
        let tls = config.resolution().unwrap();
        assert!(tls.config().tls().root_certificates().is_some());
    }

    #[test]
    fn what_changed_just_now_is_looked_at_again() {
        let home = Home::new("fresh");
        home.write("first", Duration::ZERO);
        let resolution = home.config().resolution().unwrap();
        assert_eq!(password(&resolution), Some(&b"first"[..]));
        assert!(!resolution.is_current());
        // So it is with a time that has not come yet.
        home.write("first", LONG_AGO);
        let file = File::options()
            .write(true)
            .open(home.0.join(".pgpass"))
            .unwrap();
        file.set_modified(SystemTime::now() + LONG_AGO).unwrap();
        assert!(!home.config().resolution().unwrap().is_current());
    }

    #[test]
    fn what_comes_from_elsewhere_is_not_kept() {
        let home = Home::new("elsewhere");
        let path = home.0.join("service.conf");
        fs::write(&path, "[shop]\nhost=db\n").unwrap();
        let service = home
            .config()
            .option("servicefile", path.to_str().unwrap())
            .and_then(|config| config.option("service", "shop"))
            .unwrap();
        assert!(!service.resolution().unwrap().is_current());
        // Where no host is given, the one whose socket is there counts.
        let environment = Environment::empty()
            .variable("HOME", &home.0)
            .socket_directories([&home.0]);
        let anywhere = Config::new().user("app").environment(environment);
        assert!(!anywhere.resolution().unwrap().is_current());
        // A home that no variable tells.
        let homeless = Config::new().user("app").host("db").environment(
            Environment::process()
                .variable("HOME", "")
                .variable("APPDATA", ""),
        );
        assert!(!homeless.resolution().unwrap().is_current());
    }
}
