//! What a server says on streams of its own: a response goes to whoever waits for it, once, and everything
//! else to the host.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tokio::sync::mpsc;

use super::Sink;
use crate::jsonrpc::{Id, Kind, Message};

pub struct Inbox {
    waiting: RefCell<HashMap<Id, mpsc::UnboundedSender<Message>>>,
    sink: Sink,
}

impl Inbox {
    pub fn new(sink: Sink) -> Rc<Self> {
        Rc::new(Self { waiting: RefCell::default(), sink })
    }

    /// Takes a message. A response that nobody waits for, or not any more, is dropped.
    pub fn take(&self, message: Message) {
        match message.kind() {
            Kind::Response { id, .. } => {
                let waiting = id.as_ref().and_then(|id| self.waiting.borrow_mut().remove(id));
                if let Some(waiting) = waiting {
                    let _ = waiting.send(message);
                }
            }
            Kind::Request { .. } | Kind::Notification { .. } => (self.sink)(message),
        }
    }

    /// Takes all messages of an event. What is no message is nobody's.
    pub fn take_event(&self, data: String) {
        if !data.is_empty() {
            Message::read_all(data).into_iter().flatten().for_each(|message| self.take(message));
        }
    }

    /// Makes a place for the response to `id`.
    pub fn expect(self: &Rc<Self>, id: &Id) -> Expected {
        let (sender, arriving) = mpsc::unbounded_channel();
        self.waiting.borrow_mut().insert(id.clone(), sender);
        Expected { inbox: self.clone(), id: id.clone(), arriving }
    }

    /// The stream is over that would have brought the responses.
    pub fn give_up(&self) {
        self.waiting.borrow_mut().clear();
    }
}

/// A place for one response; given up when dropped.
pub struct Expected {
    inbox: Rc<Inbox>,
    id: Id,
    arriving: mpsc::UnboundedReceiver<Message>,
}

impl Expected {
    /// `None`: it cannot come any more.
    pub async fn arrival(&mut self) -> Option<Message> {
        self.arriving.recv().await
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.arriving.close();
        let mut waiting = self.inbox.waiting.borrow_mut();
        // A host may have used the id again.
        if waiting.get(&self.id).is_some_and(mpsc::UnboundedSender::is_closed) {
            waiting.remove(&self.id);
        }
    }
}
