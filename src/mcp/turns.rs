//! How many requests of a host are under way at once: the others wait their turn, so that sockets do not run
//! out, however many a host sends.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::jsonrpc::Message;

/// Requests under way: a quarter of the descriptors that a process usually has.
const AT_ONCE: usize = 256;

pub struct Turns(Semaphore);

impl Default for Turns {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }
}

/// Its end gives the turn to the next one.
pub struct Turn<'a>(
    #[expect(dead_code, reason = "held, and never read")] Option<SemaphorePermit<'a>>,
);

impl Turns {
    /// Waits for the turn of a request. What is answered at once, or goes on as long as the session, needs none.
    pub async fn next(&self, request: &Message) -> Turn<'_> {
        if has_none(request) {
            return Turn(None);
        }
        // It is never closed.
        Turn(self.0.acquire().await.ok())
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
