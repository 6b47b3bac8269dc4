//! How much memory this process has (Linux only).

use std::fs;

/// The memory that is resident now, in bytes.
pub fn resident() -> usize {
    status("VmRSS:")
}

/// The most memory that was resident since the start or the last
/// [`forget_peak`], in bytes.
pub fn peak_resident() -> usize {
    status("VmHWM:")
}

/// Lets [`peak_resident`] begin anew from what is resident now.
pub fn forget_peak() {
    // Source: proc(5), /proc/pid/clear_refs.
    fs::write("/proc/self/clear_refs", "5").expect("Linux has /proc/self/clear_refs");
}

fn status(key: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has /proc/self/status");
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kibibytes = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    let kibibytes: usize = kibibytes
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or_else(|| panic!("/proc/self/status has no {key}"));
    kibibytes * 1024
}
