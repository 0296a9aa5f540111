//! Which program started this one, as far as the system tells.

use std::path::PathBuf;

/// The file of the parent process; its short name where the file is not shown to us.
#[cfg(target_os = "linux")]
pub fn program() -> Option<PathBuf> {
    let parent = rustix::process::getppid()?.as_raw_nonzero();
    let file = std::fs::read_link(format!("/proc/{parent}/exe"));
    file.ok().or_else(|| {
        let name = std::fs::read_to_string(format!("/proc/{parent}/comm")).ok()?;
        Some(PathBuf::from(name.trim_end()))
    })
}

#[cfg(not(target_os = "linux"))]
pub fn program() -> Option<PathBuf> {
    None // there is no plain way to ask
}
