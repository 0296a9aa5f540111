//! Whoever uses the server: messages to it go out in order and whole.

use crate::jsonrpc::Message;

/// The host's side of a session.
pub trait Host {
    /// Queues a message; never waits.
    fn send(&self, message: Message);
}
