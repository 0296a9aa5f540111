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

/// Whether a process was started by this one, or by one that was. True where the system does not tell.
#[cfg(target_os = "linux")]
pub fn is_below_this(pid: i32) -> bool {
    let own = std::process::id();
    let mut current = u32::try_from(pid).unwrap_or_default();
    // A process that ends meanwhile gives its children away: there is an end in any case.
    for _ in 0..1_000 {
        match parent_of(current) {
            Some(parent) if parent == own => return true,
            Some(parent) if parent > 1 => current = parent,
            _ => return false,
        }
    }
    false
}

#[cfg(all(unix, not(target_os = "linux")))]
pub fn is_below_this(_pid: i32) -> bool {
    true
}

/// proc_pid_stat(5): the state and the parent follow the name, which may have blanks and parentheses.
#[cfg(target_os = "linux")]
fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn children_are_below_and_parents_are_not() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(is_below_this(i32::try_from(child.id()).unwrap()));
        child.kill().unwrap();
        child.wait().unwrap();
        let parent = rustix::process::getppid().unwrap().as_raw_nonzero().get();
        assert!(!is_below_this(parent));
        assert!(!is_below_this(1));
        assert!(!is_below_this(0));
    }
}
