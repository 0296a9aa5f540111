//! Why a request got no response of its own, and what the host is told instead.

use std::rc::Rc;

use serde_json::{Value, json};

use crate::forward::{self, Refusal};
use crate::http;
use crate::jsonrpc::{Flaw, Id, Kind, Message, renamed};
use crate::text::clean;

/// The variants are what the session can do about it.
#[derive(Debug, Clone)]
pub enum Failure {
    /// 401 or 403.
    Refused(Rc<Refusal>),
    /// The server cannot be used at all before somebody has signed in.
    SignedOut,
    /// The server has forgotten the session (404); and its error, where it has words for that.
    SessionGone(Option<Message>),
    /// The server answered with an error of its own in place of a response: it is passed on.
    Error(Message),
    /// The credential cannot be had, and a sign-in would not mend that; in words for a person.
    Trouble(String),
    /// Nothing was sent, or nothing of use came back; in words for a person.
    Failed(String),
}

/// In the range that JSON-RPC leaves to servers, and below the part that MCP keeps for itself.
const UPSTREAM_FAILED: i64 = -32_010;

impl Failure {
    pub fn failed(what: impl Into<String>) -> Self {
        Failure::Failed(what.into())
    }

    /// Whether it says nothing about the server but that it wants a credential.
    pub fn is_of_credential(&self) -> bool {
        matches!(self, Failure::Refused(_) | Failure::Trouble(_))
    }

    /// The error that the host gets for its request.
    pub fn message(&self, id: &Id) -> Message {
        match self {
            Failure::Error(message) => renamed(message, id),
            other => other.own_word(id).unwrap_or_else(|| {
                Message::error(Some(id), UPSTREAM_FAILED, &other.text(), other.data().as_ref())
            }),
        }
    }

    /// What a refusal says in JSON-RPC itself: the response to `id`, or an error whomever it names.
    pub fn own_word(&self, id: &Id) -> Option<Message> {
        let Failure::Refused(refusal) = self else { return None };
        let body = std::str::from_utf8(&refusal.answer.body).ok()?;
        let said = Message::read(body).ok()?;
        match said.kind() {
            Kind::Response { is_error: true, .. } => Some(renamed(&said, id)),
            Kind::Response { id: own, .. } if own.as_ref() == Some(id) => Some(said),
            _ => None,
        }
    }

    pub fn text(&self) -> String {
        match self {
            Failure::Refused(refusal) => format!(
                "{} refused the request (HTTP {})",
                refusal.answer.host(),
                refusal.answer.status
            ),
            Failure::SignedOut => "nobody is signed in".to_owned(),
            Failure::SessionGone(_) => "the server has forgotten this session".to_owned(),
            Failure::Error(_) => "the server answered with an error".to_owned(),
            Failure::Trouble(what) | Failure::Failed(what) => clean(what),
        }
    }

    fn data(&self) -> Option<Value> {
        match self {
            Failure::Refused(refusal) => Some(json!({"httpStatus": refusal.answer.status})),
            _ => None,
        }
    }
}

impl From<forward::Failure> for Failure {
    fn from(failure: forward::Failure) -> Self {
        match failure {
            forward::Failure::Refused(refusal) => Failure::Refused(refusal),
            forward::Failure::Credential(trouble) => Failure::Trouble(trouble.0),
            other => Failure::Failed(other.to_string()),
        }
    }
}

impl From<http::Error> for Failure {
    fn from(error: http::Error) -> Self {
        Failure::Failed(error.to_string())
    }
}

/// For a request whose id another one has that is not answered yet: its response could not be told apart.
pub fn in_use(id: &Id) -> String {
    format!("id {id} is in use")
}

/// For a response of an invalid form, which strict hosts drop without a word: what is wrong with it.
pub fn malformed(flaw: Flaw, response: &Message, title: &str) -> Failure {
    let said = response.member("error");
    let said = said.as_str().map_or(String::new(), |said| format!(": {}", clean(said)));
    Failure::failed(format!("the answer of {title} is no valid response: {flaw}{said}"))
}
