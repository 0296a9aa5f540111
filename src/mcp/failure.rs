//! Why a request got no response of its own, and what the host is told instead.

use std::rc::Rc;

use serde_json::{Value, json};

use crate::forward::{self, Refusal};
use crate::http;
use crate::jsonrpc::{self, Id, Message};
use crate::text::clean;

/// The variants are what the session can do about it.
#[derive(Debug, Clone)]
pub enum Failure {
    /// 401 or 403.
    Refused(Rc<Refusal>),
    /// The server has forgotten the session (404).
    SessionGone,
    /// The server answered with an error of its own in place of a response: it is passed on.
    Error(Message),
    /// Nothing was sent, or nothing of use came back; in words for a person.
    Failed(String),
}

/// In the range that JSON-RPC leaves to servers, and below the part that MCP keeps for itself.
const UPSTREAM_FAILED: i64 = -32_010;

impl Failure {
    pub fn failed(what: impl Into<String>) -> Self {
        Failure::Failed(what.into())
    }

    /// The error that the host gets for its request.
    pub fn message(&self, id: &Id) -> Message {
        match self {
            Failure::Error(message) => message.renamed(id),
            other => {
                Message::error(Some(id), UPSTREAM_FAILED, &other.text(), other.data().as_ref())
            }
        }
    }

    pub fn text(&self) -> String {
        match self {
            Failure::Refused(refusal) => format!(
                "{} refused the request (HTTP {})",
                refusal.answer.host(),
                refusal.answer.status
            ),
            Failure::SessionGone => "the server has forgotten this session".to_owned(),
            Failure::Error(_) => "the server answered with an error".to_owned(),
            Failure::Failed(what) => clean(what),
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
            other => Failure::Failed(other.to_string()),
        }
    }
}

impl From<http::Error> for Failure {
    fn from(error: http::Error) -> Self {
        Failure::Failed(error.to_string())
    }
}

/// For a line that is no message: the host has to be told, and there is no id to tell it by.
pub fn unreadable(error: &jsonrpc::Error) -> Message {
    let code = match error {
        jsonrpc::Error::NotJson => jsonrpc::PARSE_ERROR,
        jsonrpc::Error::NoMessage => jsonrpc::INVALID_REQUEST,
    };
    Message::error(None, code, &format!("cannot read this line: {error}"), None)
}
