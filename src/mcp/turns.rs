//! How many requests of a host are under way at once: the others wait their turn, so that neither sockets nor
//! memory run out, however many a host sends.

use std::cell::Cell;

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::jsonrpc::Message;

/// Requests under way: a quarter of the descriptors that a process usually has.
const AT_ONCE: usize = 256;
/// Bytes of waiting requests at which nothing more is read.
const WAITING: usize = 32 << 20;

pub struct Turns {
    free: Semaphore,
    /// Bytes of the requests that wait.
    waiting: Cell<usize>,
    fewer: Notify,
}

impl Default for Turns {
    fn default() -> Self {
        Self { free: Semaphore::new(AT_ONCE), waiting: Cell::default(), fewer: Notify::new() }
    }
}

/// Its end gives the turn to the next one.
pub struct Turn<'a>(
    #[expect(dead_code, reason = "held, and never read")] Option<SemaphorePermit<'a>>,
);

/// Counts a request among those that wait, until it is dropped.
struct Waiting<'a>(&'a Turns, usize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - self.1);
        self.0.fewer.notify_waiters();
    }
}

impl Turns {
    /// Waits for the turn of a request. What is answered at once, or goes on as long as the session, needs none.
    pub async fn next(&self, request: &Message) -> Turn<'_> {
        if has_none(request) {
            return Turn(None);
        }
        let length = request.text().len();
        self.waiting.set(self.waiting.get() + length);
        let waiting = Waiting(self, length);
        // It is never closed.
        let permit = self.free.acquire().await.ok();
        drop(waiting);
        Turn(permit)
    }

    /// Waits until there is room for more requests to wait.
    pub async fn room(&self) {
        while self.waiting.get() > WAITING {
            self.fewer.notified().await;
        }
    }
}

fn has_none(request: &Message) -> bool {
    matches!(
        request.method(),
        Some(
            "initialize" | "ping" | "server/discover" | "logging/setLevel" | "subscriptions/listen"
        )
    )
}
