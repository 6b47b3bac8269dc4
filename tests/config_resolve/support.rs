//! What each test needs: a check, surroundings, and views of what comes out.

use std::path::{Path, PathBuf};

use kornak::config::{Config, Environment, ResolvedConfig};

/// `view` of what `text` comes to in `environment` is `expected`; an error is shown as
/// `error: …`, and `expected` is then the end of it.
#[track_caller]
pub(crate) fn check(
    text: &str,
    environment: &Environment,
    view: fn(&ResolvedConfig) -> String,
    expected: &str,
) {
    check_config(text.parse().expect(text), environment, view, expected);
}

#[track_caller]
pub(crate) fn check_config(
    config: Config,
    environment: &Environment,
    view: fn(&ResolvedConfig) -> String,
    expected: &str,
) {
    let shown = config.to_string();
    match config.environment(environment.clone()).resolve() {
        Ok(resolved) => assert_eq!(view(&resolved), expected, "{shown}"),
        Err(error) => {
            let error = format!("error: {error}");
            assert!(
                expected.starts_with("error: ") && error.contains(&expected["error: ".len()..]),
                "{shown}\n{error}\n{expected}"
            );
        }
    }
}

/// A directory that is gone at the end.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("kornak-resolve-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).expect("scratch space is writable");
        Self(directory)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        let parent = path.parent().expect("it is below the directory");
        std::fs::create_dir_all(parent).expect("scratch space is writable");
        std::fs::write(&path, text).expect("scratch space is writable");
        permit(&path, 0o600);
        path
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(unix)]
pub(crate) fn permit(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .expect("the file is ours");
}

#[cfg(not(unix))]
pub(crate) fn permit(_: &Path, _: u32) {}

pub(crate) fn nobody() -> Environment {
    Environment::empty()
}

pub(crate) fn app() -> Environment {
    Environment::empty().user("app")
}

pub(crate) fn hosts(resolved: &ResolvedConfig) -> String {
    let hosts: Vec<_> = resolved.hosts().iter().map(ToString::to_string).collect();
    hosts.join("; ")
}

pub(crate) fn who(resolved: &ResolvedConfig) -> String {
    format!("{} {}", resolved.user(), resolved.dbname())
}

pub(crate) fn name(resolved: &ResolvedConfig) -> String {
    format!("{:?}", resolved.application_name())
}

pub(crate) fn parameters(resolved: &ResolvedConfig) -> String {
    let parameters: Vec<_> = resolved
        .startup_parameters()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    parameters.join(" ")
}

pub(crate) fn warnings(resolved: &ResolvedConfig) -> String {
    resolved.warnings().join("; ")
}

pub(crate) fn passwords(resolved: &ResolvedConfig) -> String {
    let passwords: Vec<_> = resolved
        .hosts()
        .iter()
        .map(|host| {
            let password = host.password().map_or(&b"-"[..], |secret| secret.expose());
            let origin = if host.is_password_from_file() {
                "*"
            } else {
                ""
            };
            format!("{}{origin}", String::from_utf8_lossy(password))
        })
        .collect();
    passwords.join(" ")
}
