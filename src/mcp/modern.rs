//! Streamable HTTP of 2026-07-28: each request stands alone, and its headers say again what is in its body.

use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::answer::{self, Answer};
use super::endpoint::{Endpoint, Headers};
use super::{Failure, Pending, Server};
use crate::jsonrpc::{Kind, Message};

pub struct Modern {
    endpoint: Rc<Endpoint>,
}

impl Modern {
    pub fn new(endpoint: Rc<Endpoint>) -> Self {
        Self { endpoint }
    }
}

impl Server for Modern {
    fn request<'a>(
        &'a self,
        request: &'a Message,
        aside: &'a dyn Fn(Message),
    ) -> Pending<'a, Result<Message, Failure>> {
        Box::pin(async move {
            let Kind::Request { id, .. } = request.kind() else {
                return Err(Failure::failed("this is no request"));
            };
            let exchange = self.endpoint.post(&headers(request), request.text()).await?;
            match answer::read(exchange, id, &self.endpoint, aside).await? {
                Answer::Response(message) => Ok(message),
                Answer::Status { status, .. } => {
                    Err(Failure::failed(format!("{} answered HTTP {status}", self.endpoint.host())))
                }
                Answer::Cut(_) => Err(Failure::failed(format!(
                    "the connection to {} broke before the response",
                    self.endpoint.host()
                ))),
            }
        })
    }

    fn tell<'a>(&'a self, message: &'a Message) -> Pending<'a, Result<(), Failure>> {
        Box::pin(async move {
            self.endpoint.post(&headers(message), message.text()).await?;
            Ok(())
        })
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {})
    }
}

/// `Mcp-Method` and `Mcp-Name` (MCP 2026-07-28, Streamable HTTP, standard headers).
pub fn headers(message: &Message) -> Headers {
    let mut headers = Headers::modern();
    let Some(method) = message.method() else { return headers };
    headers.named.push(("Mcp-Method".to_owned(), method.to_owned()));
    let member = match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        _ => return headers,
    };
    if let Value::String(name) = &message.member("params")[member] {
        headers.named.push(("Mcp-Name".to_owned(), encoded(name)));
    }
    headers
}

/// A value as a header can carry it: itself where it is visible ASCII, else in Base64.
pub fn encoded(value: &str) -> String {
    let plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && value.trim() == value
        && !(value.starts_with("=?base64?") && value.ends_with("?="));
    if plain { value.to_owned() } else { format!("=?base64?{}?=", STANDARD.encode(value)) }
}

/// Whether a request is of that revision: its `_meta` says so.
pub fn is_modern(request: &Message) -> bool {
    let meta = &request.member("params")["_meta"];
    meta["io.modelcontextprotocol/protocolVersion"].is_string()
}
