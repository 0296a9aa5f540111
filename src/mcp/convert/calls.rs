//! Calls to a server with a handshake that asks before it answers: the host gets the question as its result,
//! and its next request goes on with the call, which waits meanwhile (MCP 2026-07-28, patterns/mrtr).

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::{Rc, Weak};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::jsonrpc::{Id, Kind, Members, Message};
use crate::mcp::{Failure, Server};

/// How long a call waits for the host to come back with an answer.
const PAUSE: Duration = Duration::from_mins(10);
/// The key of the question in `inputRequests`; there is one at a time.
pub const INPUT: &str = "input";

/// Who makes the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosts {
    One,
    /// They cannot be told apart, and must not get each other's questions.
    Many,
}

/// What becomes of a call.
pub enum Event {
    /// The server said something on the way.
    Said(Message),
    /// It wants to know something.
    Asked(Message),
    Done(Result<Message, Failure>),
}

/// A request that is at the server. Dropped before it is over, it is cancelled there: a server with a
/// handshake wants to be told.
pub struct Underway {
    /// Its id at the server.
    id: Id,
    last_words: mpsc::UnboundedSender<Message>,
    is_over: bool,
}

impl Underway {
    /// What has to be told in the end goes to `last_words`.
    pub fn new(id: Id, last_words: mpsc::UnboundedSender<Message>) -> Self {
        Self { id, last_words, is_over: false }
    }

    pub fn over(&mut self) {
        self.is_over = true;
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        if !self.is_over {
            let params = json!({"requestId": self.id.to_value()});
            let cancelled = Message::notification("notifications/cancelled", Some(&params));
            let _ = self.last_words.send(cancelled);
        }
    }
}

/// A request that goes on whoever waits for it.
pub struct Call {
    events: mpsc::UnboundedReceiver<Event>,
    task: AbortHandle,
    underway: Underway,
    of: Weak<Calls>,
}

impl Call {
    pub async fn next(&mut self) -> Event {
        let gone = || Event::Done(Err(Failure::failed("the call was lost")));
        let event = self.events.recv().await.unwrap_or_else(gone);
        if matches!(event, Event::Done(_)) {
            self.underway.over();
        }
        event
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.task.abort();
        let calls = self.of.upgrade().filter(|calls| calls.hosts == Hosts::Many);
        if let Some(calls) = calls.filter(|_| !self.underway.is_over) {
            calls.lost.borrow_mut().insert(self.underway.id.clone());
        }
    }
}

/// A call that waits for the host.
pub enum Paused {
    /// For the answer to this question of the server.
    Asked(Call, Message),
    /// For the person, after which it is made anew: the server ended it and named links (-32042).
    Again,
    /// For nothing: it went on, and failed. Whoever mends why (a sign-in) makes it anew.
    Failed,
}

struct Waiting {
    /// Method and name: no other request may go on with it.
    of: (String, String),
    paused: Paused,
}

/// All calls that may be asked about something.
pub struct Calls {
    paused: RefCell<HashMap<String, Waiting>>,
    running: RefCell<Vec<mpsc::WeakUnboundedSender<Event>>>,
    /// Calls that were dropped, and of which the server may not know that yet.
    lost: RefCell<BTreeSet<Id>>,
    hosts: Hosts,
    last_words: mpsc::UnboundedSender<Message>,
}

impl Calls {
    pub fn new(hosts: Hosts, last_words: mpsc::UnboundedSender<Message>) -> Rc<Self> {
        let (paused, running, lost) = Default::default();
        Rc::new(Self { paused, running, lost, hosts, last_words })
    }

    /// Sends a request; the host is asked `questions` in it first.
    pub fn begin(
        self: &Rc<Self>,
        server: Rc<dyn Server>,
        request: Message,
        questions: Vec<Message>,
    ) -> Option<Call> {
        let id = request.id()?.clone();
        let (sender, events) = mpsc::unbounded_channel();
        for question in questions {
            let _ = sender.send(Event::Asked(question));
        }
        self.running.borrow_mut().push(sender.downgrade());
        let task = tokio::task::spawn_local(async move {
            let aside = |message: Message| {
                let is_question = matches!(message.kind(), Kind::Request { .. });
                let event = if is_question { Event::Asked } else { Event::Said };
                let _ = sender.send(event(message));
            };
            let outcome = server.request(&request, &aside).await;
            let _ = sender.send(Event::Done(outcome));
        });
        let underway = Underway::new(id, self.last_words.clone());
        Some(Call { events, task: task.abort_handle(), underway, of: Rc::downgrade(self) })
    }

    /// Gives a question that came by itself to the newest call of the host, or to the one call that it can be
    /// about; false if there is none.
    pub fn ask(&self, question: &Message) -> bool {
        let mut running = self.running.borrow_mut();
        running.retain(|call| call.upgrade().is_some());
        let asked = match (self.hosts, &running[..]) {
            (Hosts::One, [.., newest]) => newest,
            (Hosts::Many, [only]) if self.lost.borrow().is_empty() => only,
            _ => return false,
        };
        asked.upgrade().is_some_and(|call| call.send(Event::Asked(question.clone())).is_ok())
    }

    pub fn is_lost(&self, id: &Id) -> bool {
        self.lost.borrow().contains(id)
    }

    /// The server knows that a call was dropped.
    pub fn forget(&self, id: &Id) {
        self.lost.borrow_mut().remove(id);
    }

    /// Lets a call wait for the host; gives the handle with which it comes back, which nobody can guess.
    pub fn pause(self: &Rc<Self>, request: &Message, paused: Paused) -> Result<String, Failure> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| Failure::failed(error.to_string()))?;
        let handle = format!("{:032x}", u128::from_ne_bytes(random));
        self.keep(&handle, request, paused);
        Ok(handle)
    }

    /// The same under a handle that there is.
    pub fn keep(self: &Rc<Self>, handle: &str, request: &Message, paused: Paused) {
        let waiting = Waiting { of: target(request), paused };
        self.paused.borrow_mut().insert(handle.to_owned(), waiting);
        let (late, calls) = (handle.to_owned(), Rc::downgrade(self));
        tokio::task::spawn_local(async move {
            tokio::time::sleep(PAUSE).await;
            if let Some(calls) = calls.upgrade() {
                let late = calls.paused.borrow_mut().remove(&late);
                drop(late);
            }
        });
    }

    /// The call that `request` goes on with.
    pub fn resume(&self, request: &Message, handle: &str) -> Option<Paused> {
        let mut paused = self.paused.borrow_mut();
        if paused.get(handle)?.of != target(request) {
            return None;
        }
        paused.remove(handle).map(|waiting| waiting.paused)
    }
}

fn target(request: &Message) -> (String, String) {
    let params = Members::of(request).object("params");
    let name = params.text_of("name").or(params.text_of("uri")).unwrap_or_default();
    (request.method().unwrap_or_default().to_owned(), name.to_owned())
}

/// The result that asks the host.
pub fn input_required(id: &Id, requests: &Value, handle: &str) -> Message {
    let result = json!({
        "resultType": "input_required",
        "inputRequests": requests,
        "requestState": handle,
    });
    Message::result(id, &result)
}

/// A question of a server as the host gets it: an elicitation's id is not known there.
pub fn input_request(question: &Message) -> Value {
    let mut params = Members::of(question).object("params");
    params.remove("elicitationId");
    let params: Value = serde_json::from_str(&params.to_string()).unwrap_or_default();
    let mut request = json!({"method": question.method(), "params": params});
    if params.as_object().is_some_and(serde_json::Map::is_empty) {
        request = json!({"method": question.method()});
    }
    request
}

/// Whether a host has what a question is for.
pub fn is_answerable(question: &Message, capabilities: &Value) -> bool {
    match question.method() {
        Some("roots/list") => capabilities["roots"].is_object(),
        Some("sampling/createMessage") => capabilities["sampling"].is_object(),
        Some("elicitation/create") => {
            let elicitation = &capabilities["elicitation"];
            if question.member("params")["mode"] == "url" {
                elicitation["url"].is_object()
            } else {
                elicitation["form"].is_object()
                    || elicitation.as_object().is_some_and(serde_json::Map::is_empty)
            }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;

    use super::*;
    use crate::mcp::Pending;

    /// A server that answers nothing.
    struct Silent;

    impl Server for Silent {
        fn request<'a>(
            &'a self,
            _: &'a Message,
            _: &'a dyn Fn(Message),
        ) -> Pending<'a, Result<Message, Failure>> {
            Box::pin(std::future::pending())
        }

        fn tell<'a>(&'a self, _: &'a Message) -> Pending<'a, Result<(), Failure>> {
            Box::pin(async { Ok(()) })
        }

        fn close(&self) -> Pending<'_, ()> {
            Box::pin(async {})
        }
    }

    /// Lets what was dropped come to its end.
    async fn settle() {
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
    }

    async fn asked_as_they_go(hosts: Hosts) -> [bool; 5] {
        let (words, _heard) = mpsc::unbounded_channel();
        let calls = Calls::new(hosts, words);
        let begin = |id| {
            let request = Message::request(&Id::number(id), "tools/call", &json!({"name": "t"}));
            calls.begin(Rc::new(Silent), request, Vec::new()).unwrap()
        };
        let ask = || calls.ask(&Message::request(&Id::number(9), "roots/list", &json!({})));
        let none = ask();
        let (one, other) = (begin(1), begin(2));
        settle().await;
        let of_two = ask();
        drop(one);
        settle().await;
        let of_one_and_a_lost = ask();
        calls.forget(&Id::number(1));
        let of_one = ask();
        drop(other);
        settle().await;
        [none, of_two, of_one_and_a_lost, of_one, ask()]
    }

    #[test]
    fn a_question_goes_where_it_certainly_belongs() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let asked = |hosts| runtime.block_on(LocalSet::new().run_until(asked_as_they_go(hosts)));
        assert_eq!(asked(Hosts::One), [false, true, true, true, false]);
        assert_eq!(asked(Hosts::Many), [false, false, false, true, false]);
    }
}
