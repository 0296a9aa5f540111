//! Whoever uses the server: messages to it go out in order and whole.

use crate::jsonrpc::Message;
use crate::stdio::Stdout;

/// The host's side of a session.
pub trait Host {
    /// Queues a message; never waits.
    fn send(&self, message: Message);
}

impl Host for Stdout {
    fn send(&self, message: Message) {
        Stdout::send(self, message);
    }
}
