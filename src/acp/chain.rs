//! The agent of a chain of proxies: a conductor passes on what is said to it, and what it says, as
//! `proxy/successor` (ACP, RFD "Agent Extensions via ACP Proxies"). It runs the agent, so that nothing can be given
//! to it at a start.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use crate::jsonrpc::{Id, Kind, Members, Message, renamed, rewritten};

const SUCCESSOR: &str = "proxy/successor";
const INITIALIZE: &str = "proxy/initialize";

/// The way to it.
pub struct Successor {
    send: Box<dyn Fn(Message)>,
    /// By the id under which the conductor has it: the id of the request.
    asked: RefCell<HashMap<Id, Id>>,
    count: Cell<u64>,
}

impl Successor {
    pub fn new(send: Box<dyn Fn(Message)>) -> Self {
        Self { send, asked: RefCell::default(), count: Cell::default() }
    }

    pub fn tell(&self, message: &Message) {
        (self.send)(match message.kind() {
            Kind::Request { id, method } => {
                self.count.set(self.count.get() + 1);
                let outer = Id::name(&format!("authctl-successor-{}", self.count.get()));
                self.asked.borrow_mut().insert(outer.clone(), id.clone());
                wrapped(Some(&outer), method, message)
            }
            Kind::Notification { method } => wrapped(None, method, message),
            Kind::Response { .. } => message.clone(),
        });
    }

    /// What the agent says, where the conductor passes that on; else the message of the conductor's own.
    pub fn heard(&self, message: Message) -> Result<Message, Message> {
        match message.kind() {
            Kind::Response { id: Some(id), .. } => match self.asked.borrow_mut().remove(id) {
                Some(inner) => Ok(renamed(&message, &inner)),
                None => Err(message),
            },
            Kind::Request { method, .. } | Kind::Notification { method } => match method.as_str() {
                SUCCESSOR => unwrapped(&message).ok_or(message),
                INITIALIZE => Err(rewritten(&message, |it| it.set("method", r#""initialize""#))),
                _ => Err(message),
            },
            Kind::Response { id: None, .. } => Err(message),
        }
    }
}

fn wrapped(id: Option<&Id>, method: &str, message: &Message) -> Message {
    let members = Members::of(message);
    let mut params = Members::default();
    params.set_value("method", &method.into());
    if let Some(inner) = members.text_of("params") {
        params.set("params", inner);
    }
    let mut outer = Members::default();
    outer.set("jsonrpc", r#""2.0""#);
    if let Some(id) = id {
        outer.set("id", id.to_string());
    }
    outer.set_value("method", &SUCCESSOR.into());
    outer.set("params", params.to_string());
    Message::read(outer.to_string()).unwrap_or_else(|_| message.clone())
}

fn unwrapped(message: &Message) -> Option<Message> {
    let members = Members::of(message);
    let params = members.object("params");
    let mut inner = Members::default();
    inner.set("jsonrpc", r#""2.0""#);
    if let Some(id) = message.id() {
        inner.set("id", id.to_string());
    }
    inner.set("method", params.text_of("method")?);
    if let Some(text) = params.text_of("params") {
        inner.set("params", text);
    }
    Message::read(inner.to_string()).ok()
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn what_passes_through_a_conductor_is_what_was_said() {
        let sent: Rc<RefCell<Vec<String>>> = Rc::default();
        let out = sent.clone();
        let successor =
            Successor::new(Box::new(move |message| out.borrow_mut().push(message.into_text())));
        let said = r#"{"jsonrpc":"2.0","id":7,"method":"session/new","params":{"n":1.50}}"#;
        successor.tell(&Message::read(said).unwrap());
        let outer = r#"{"jsonrpc":"2.0","id":"authctl-successor-1","method":"proxy/successor","params":{"method":"session/new","params":{"n":1.50}}}"#;
        assert_eq!(sent.borrow()[0], outer);
        let answer = r#"{"jsonrpc":"2.0","id":"authctl-successor-1","result":{}}"#;
        let heard = successor.heard(Message::read(answer).unwrap()).unwrap();
        assert_eq!(heard.id(), Some(&Id::number(7)));
        let back = outer.replace("authctl-successor-1", "x");
        let heard = successor.heard(Message::read(back).unwrap()).unwrap();
        assert_eq!(heard.text(), said.replace("\"id\":7", "\"id\":\"x\""));
        let hello = said.replace("session/new", INITIALIZE);
        let heard = successor.heard(Message::read(hello).unwrap()).unwrap_err();
        assert_eq!(heard.method(), Some("initialize"));
    }
}
