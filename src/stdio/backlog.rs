//! What waits for a host that is slow to read. Servers wait with it, so that memory does not grow; the host's own
//! messages, and the end, wait for nothing.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Bytes that the host has not read yet; a process has one stdout.
static BYTES: AtomicUsize = AtomicUsize::new(0);
static SHRUNK: Notify = Notify::const_new();

/// From so many on, nothing more is read from servers.
const FULL: usize = 1 << 20;

pub fn grow(bytes: usize) {
    BYTES.fetch_add(bytes, Ordering::SeqCst);
}

pub fn shrink(bytes: usize) {
    BYTES.fetch_sub(bytes, Ordering::SeqCst);
    SHRUNK.notify_waiters();
}

pub fn bytes() -> usize {
    BYTES.load(Ordering::SeqCst)
}

/// Waits until there is room for more that a server says.
pub async fn room() {
    until(|backlog| backlog < FULL).await;
}

/// Waits until so much is read that `is_enough`.
pub async fn until(is_enough: impl Fn(usize) -> bool) {
    loop {
        let mut shrunk = pin!(SHRUNK.notified());
        // From here on, no news is missed.
        shrunk.as_mut().enable();
        if is_enough(bytes()) {
            return;
        }
        shrunk.await;
    }
}
