//! What a modern server wants to know before it goes on (MCP 2026-07-28, patterns/mrtr), asked of a host with
//! a handshake as requests.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::jsonrpc::{Id, Members, Message};
use crate::mcp::{Failure, LEGACY, Sink};

/// The host, as one that can be asked.
pub struct Inputs {
    sink: Sink,
    version: String,
    /// In the modern form.
    capabilities: Value,
    asked: RefCell<HashMap<Id, oneshot::Sender<Message>>>,
    count: Cell<u64>,
}

/// The answers to the questions of one request.
#[derive(Default)]
pub struct Answers {
    /// `inputResponses`.
    pub responses: Members<'static>,
    /// Elicitations whose link the person has seen.
    pub links: Vec<String>,
}

impl Inputs {
    pub fn new(sink: Sink, version: String, capabilities: Value) -> Self {
        let (asked, count) = (RefCell::default(), Cell::default());
        Self { sink, version, capabilities, asked, count }
    }

    /// Asks everything at once, and waits for all answers.
    pub async fn gather(&self, requests: &Members<'_>) -> Result<Answers, Failure> {
        let mut waiting = Vec::new();
        for (name, request) in requests.iter() {
            waiting.push((name, self.ask(&Members::read(request).unwrap_or_default())?));
        }
        let mut answers = Answers::default();
        for (name, question) in waiting {
            let (response, link) = question.answer().await?;
            answers.responses.set(name, response);
            answers.links.extend(link);
        }
        Ok(answers)
    }

    fn ask(&self, request: &Members<'_>) -> Result<Question<'_>, Failure> {
        let method: String = request.value_of("method").unwrap_or_default();
        let mut params = request.object("params");
        let wants_url = params.value_of::<String>("mode").as_deref() == Some("url");
        let kind = match method.as_str() {
            "elicitation/create" if wants_url => Wanted::Link,
            "elicitation/create" => Wanted::Form,
            "roots/list" => Wanted::Roots,
            "sampling/createMessage" => Wanted::Sampling,
            _ => return Err(unanswerable(&method)),
        };
        if !kind.is_offered(&self.capabilities) {
            let decline = kind.without_host().ok_or_else(|| unanswerable(&method))?;
            return Ok(Question::Settled(decline));
        }
        self.count.set(self.count.get() + 1);
        let name = format!("authctl-input-{}", self.count.get());
        if kind == Wanted::Link {
            params.set_value("elicitationId", &json!(name));
        } else if self.version != LEGACY {
            params.remove("mode");
        }
        Ok(Question::Open(self.send(kind, &name, &method, &params)))
    }

    fn send(&self, kind: Wanted, name: &str, method: &str, params: &Members<'_>) -> Open<'_> {
        let id = Id::of(&json!(name)).unwrap_or_else(|| Id::number(self.count.get()));
        let (reply, answer) = oneshot::channel();
        self.asked.borrow_mut().insert(id.clone(), reply);
        let params = serde_json::from_str(&params.to_string()).unwrap_or_default();
        (self.sink)(Message::request(&id, method, &params));
        Open { inputs: self, id, name: name.to_owned(), kind, answer }
    }

    /// Takes a response of the host; false if it answers nothing of ours.
    pub fn take(&self, response: &Message) -> bool {
        let asked = response.id().and_then(|id| self.asked.borrow_mut().remove(id));
        asked.is_some_and(|reply| reply.send(response.clone()).is_ok())
    }

    /// What the links led to is over.
    pub fn links_done(&self, links: &[String]) {
        for link in links {
            let params = json!({"elicitationId": link});
            (self.sink)(Message::notification("notifications/elicitation/complete", Some(&params)));
        }
    }
}

/// What a server can ask for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Form,
    Link,
    Roots,
    Sampling,
}

impl Wanted {
    fn is_offered(self, capabilities: &Value) -> bool {
        match self {
            Wanted::Form => capabilities["elicitation"]["form"].is_object(),
            Wanted::Link => capabilities["elicitation"]["url"].is_object(),
            Wanted::Roots => capabilities["roots"].is_object(),
            Wanted::Sampling => capabilities["sampling"].is_object(),
        }
    }

    /// The answer of a host that does not have it, if there is one.
    fn without_host(self) -> Option<Value> {
        match self {
            Wanted::Form | Wanted::Link => Some(json!({"action": "decline"})),
            Wanted::Roots => Some(json!({"roots": []})),
            Wanted::Sampling => None,
        }
    }
}

enum Question<'a> {
    Settled(Value),
    Open(Open<'a>),
}

/// A request to the host that has no response yet. Dropped, it is cancelled.
struct Open<'a> {
    inputs: &'a Inputs,
    id: Id,
    name: String,
    kind: Wanted,
    answer: oneshot::Receiver<Message>,
}

impl Question<'_> {
    /// The answer's JSON text; and the elicitation's id, if the person was shown a link.
    async fn answer(self) -> Result<(String, Option<String>), Failure> {
        let mut open = match self {
            Question::Settled(answer) => return Ok((answer.to_string(), None)),
            Question::Open(open) => open,
        };
        let Ok(response) = (&mut open.answer).await else {
            return Err(Failure::failed("the host did not answer"));
        };
        if response.is_error() {
            let is_elicitation = matches!(open.kind, Wanted::Form | Wanted::Link);
            let instead = match open.kind.without_host() {
                Some(_) if is_elicitation => json!({"action": "cancel"}),
                Some(instead) => instead,
                None => return Err(Failure::Error(response)),
            };
            return Ok((instead.to_string(), None));
        }
        let result = Members::of(&response).text_of("result").unwrap_or("{}").to_owned();
        let accepted = response.member("result")["action"] == "accept";
        let link = (open.kind == Wanted::Link && accepted).then(|| open.name.clone());
        Ok((result, link))
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if self.inputs.asked.borrow_mut().remove(&self.id).is_some() {
            let params = json!({"requestId": self.id.to_value()});
            let cancelled = Message::notification("notifications/cancelled", Some(&params));
            (self.inputs.sink)(cancelled);
        }
    }
}

fn unanswerable(method: &str) -> Failure {
    Failure::failed(format!("the server asks for {method}, which this host does not have"))
}
