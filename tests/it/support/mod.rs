//! What the tests stand on: a home of their own, servers on loopback, a browser, a terminal.

pub mod authorization_server;
pub mod browser;
pub mod flows;
pub mod http;
pub mod protected_resource;
#[cfg(unix)]
pub mod pty;
pub mod sandbox;

use std::time::{Duration, Instant};

/// How long a test waits for something that should come soon. Long, since a busy machine is slow; a
/// passing test does not wait.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Looks again and again until there is something; panics with `what` when it never comes.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "never seen: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether `tests/run --long` asked for the full figures.
pub fn is_long() -> bool {
    std::env::var_os("AUTHCTL_TEST_ROUNDS").is_some()
}

/// Whether these programs are installed. A test that lacks one is skipped, aloud, but never in CI.
pub fn present(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_missing =
        |name: &&&str| !std::env::split_paths(&path).any(|place| place.join(name).is_file());
    let Some(missing) = programs.iter().find(is_missing) else { return true };
    assert!(std::env::var_os("CI").is_none(), "{missing} is not installed");
    println!("skipped: {missing} is not installed");
    false
}

/// A user other than root and than whoever runs the tests.
#[cfg(unix)]
pub const NOBODY: u32 = 65534;

/// Hands the sandbox to a user who is not root, and says how to start programs as that user: not at
/// all where the tests themselves run as one.
#[cfg(unix)]
pub fn hand_to_nobody(sandbox: &sandbox::Sandbox) -> Vec<std::ffi::OsString> {
    if !rustix::process::geteuid().is_root() {
        return Vec::new();
    }
    let mut places = vec![sandbox.path("")];
    while let Some(place) = places.pop() {
        std::os::unix::fs::lchown(&place, Some(NOBODY), Some(NOBODY)).unwrap();
        if place.is_dir() && !place.is_symlink() {
            let inside = std::fs::read_dir(&place).unwrap();
            places.extend(inside.map(|entry| entry.unwrap().path()));
        }
    }
    as_user(NOBODY)
}

/// The words before a program that is to run as another user; only root can.
#[cfg(unix)]
pub fn as_user(uid: u32) -> Vec<std::ffi::OsString> {
    let uid = uid.to_string();
    ["setpriv", "--reuid", &uid, "--regid", &uid, "--clear-groups"].map(Into::into).into()
}
