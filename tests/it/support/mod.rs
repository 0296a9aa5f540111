//! What the tests stand on: a home of their own, servers on loopback, a browser, a terminal.

#[cfg(unix)]
pub mod acp_agent;
pub mod authorization_server;
pub mod browser;
pub mod demo;
pub mod dpop;
#[cfg(unix)]
pub mod fault_proxy;
pub mod flows;
pub mod hostile;
pub mod http;
#[cfg(target_os = "linux")]
pub mod inside;
#[cfg(unix)]
pub mod launcher;
#[cfg(unix)]
pub mod lending;
#[cfg(unix)]
pub mod mcp_clients;
pub mod mcp_guard;
pub mod mcp_host;
pub mod mcp_scene;
pub mod mcp_server;
pub mod mcp_wire;
pub mod modern;
pub mod origin;
#[cfg(unix)]
pub mod others_files;
#[cfg(unix)]
pub mod own_network;
pub mod protected_resource;
#[cfg(unix)]
pub mod pty;
pub mod sandbox;
pub mod sealed;
pub mod signed_in;
#[cfg(unix)]
pub mod stdio_host;

use std::time::{Duration, Instant};

/// How long a test waits for something that should come soon. Long, since a busy machine is slow; a
/// passing test does not wait.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Whether `tests/run --long` asked for the full figures.
pub fn is_long() -> bool {
    std::env::var_os("AUTHCTL_TEST_ROUNDS").is_some_and(|rounds| rounds == "full")
}

/// How many rounds: `full` under `tests/run --long`, otherwise `quick`.
pub fn rounds(quick: usize, full: usize) -> usize {
    if is_long() { full } else { quick }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A random number below `limit`.
pub fn random_below(limit: usize) -> usize {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    usize::try_from(u64::from_le_bytes(bytes) % limit as u64).unwrap()
}

/// Looks again and again until there is something; panics with `what` when it never comes.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, look)
}

pub fn eventually_within<T>(
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "never seen: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
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
