//! What the host has said and its server has not taken yet. Where that is much, the host is read no further, so
//! that memory does not grow; where nothing moves for long it is read again and refused, for otherwise nobody
//! would notice its end.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::jsonrpc::Message;

/// From so many bytes on, nothing more is read from the host.
const FULL: usize = 8 << 20;
/// What a message takes besides its text.
const BESIDES: usize = 512;
/// How long the host waits while nothing moves.
pub const STALLED: Duration = Duration::from_secs(20);

pub struct Unsent {
    bytes: Cell<usize>,
    /// When something was taken last, or it became full.
    moved: Cell<Instant>,
    fewer: Notify,
}

/// A message of it, until it is dropped.
pub struct Part {
    of: Rc<Unsent>,
    bytes: usize,
}

impl Unsent {
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            bytes: Cell::default(),
            moved: Cell::new(Instant::now()),
            fewer: Notify::new(),
        })
    }

    pub fn add(self: &Rc<Self>, message: &Message) -> Part {
        let bytes = message.text().len() + BESIDES;
        let before = self.bytes.get();
        self.bytes.set(before + bytes);
        if before < FULL && self.is_full() {
            self.moved();
        }
        Part { of: Rc::clone(self), bytes }
    }

    /// The server has taken something, if not a whole message.
    pub fn moved(&self) {
        self.moved.set(Instant::now());
    }

    /// Waits until there is room for more, or nothing has moved for long.
    pub async fn room(&self) {
        while self.is_full() && !self.is_stalled() {
            let _ = timeout_at(self.moved.get() + STALLED, self.fewer.notified()).await;
        }
    }

    /// Whether there is no room, and has been none for long.
    pub fn is_stalled(&self) -> bool {
        self.is_full() && self.moved.get().elapsed() >= STALLED
    }

    fn is_full(&self) -> bool {
        self.bytes.get() >= FULL
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.of.bytes.set(self.of.bytes.get() - self.bytes);
        self.of.moved();
        self.of.fewer.notify_waiters();
    }
}
