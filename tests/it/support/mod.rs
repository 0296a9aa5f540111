//! What the tests stand on: a home of their own, servers on loopback, a browser, a terminal.

pub mod authorization_server;
pub mod browser;
pub mod hostile;
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
