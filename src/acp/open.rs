//! The editor's requests that the agent has not answered: each is answered once, whatever becomes of the agent.

use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::pin;

use tokio::sync::Notify;

use crate::jsonrpc::{Id, Message};

/// A request on its way.
#[derive(Debug, Clone)]
pub struct Open {
    pub method: String,
    /// Kept where it may have to be sent again, or its answer is looked at.
    pub request: Option<Message>,
    /// How often it was sent.
    pub sent: u8,
    /// What the agent had been given when it was sent.
    pub epoch: u64,
}

#[derive(Debug, Default)]
pub struct Requests {
    open: RefCell<HashMap<Id, Open>>,
    removed: Notify,
}

impl Requests {
    pub fn insert(&self, id: Id, open: Open) {
        self.open.borrow_mut().insert(id, open);
    }

    pub fn remove(&self, id: &Id) -> Option<Open> {
        let open = self.open.borrow_mut().remove(id);
        self.removed.notify_waiters();
        open
    }

    pub fn drain(&self) -> Vec<Id> {
        self.open.borrow_mut().drain().map(|(id, _)| id).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.open.borrow().is_empty()
    }

    /// Waits until all are answered.
    pub async fn emptied(&self) {
        loop {
            let mut removed = pin!(self.removed.notified());
            removed.as_mut().enable();
            if self.is_empty() {
                return;
            }
            removed.await;
        }
    }
}
