//! Directories that go with their test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, process};

/// A new directory, removed with all that is in it when this is dropped.
#[derive(Debug)]
pub struct TemporaryDirectory {
    path: PathBuf,
}

impl TemporaryDirectory {
    /// Makes one. Its path is short: that of a Unix socket has room for 107 bytes.
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("kornak-{}-{number}", process::id()));
        fs::create_dir(&path).unwrap_or_else(|error| panic!("making {}: {error}", path.display()));
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        // What the test left open there is gone with the process at the latest.
        let _ = fs::remove_dir_all(&self.path);
    }
}
