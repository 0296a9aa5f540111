//! Which revision a server speaks, found out by asking, and the server in the words of the host's revision.

use std::rc::Rc;

use serde_json::{Value, json};

use super::answer::{self, Answer};
use super::endpoint::Endpoint;
use super::legacy::Legacy;
use super::modern::{self, Modern};
use super::{Era, Failure, LEGACY, MODERN, Server, Sink};
use crate::jsonrpc::{Id, Message};

/// What a host began with.
#[derive(Clone)]
pub enum Hello {
    /// Its `initialize`.
    Legacy(Message),
    Modern,
}

/// A server that can be used, and its response to the host's `initialize`, if that was one.
pub struct Connected {
    pub server: Rc<dyn Server>,
    pub greeting: Option<Message>,
}

/// Finds out how the server at `endpoint` speaks, and speaks so to it.
pub async fn connect(
    endpoint: Rc<Endpoint>,
    hello: &Hello,
    sink: Sink,
) -> Result<Connected, Failure> {
    let found = probe(&endpoint).await?;
    match (hello, found) {
        (Hello::Legacy(hello), Found::Legacy) => {
            let (server, greeting) = Legacy::open(endpoint, hello, sink).await?;
            Ok(Connected { server, greeting: Some(greeting) })
        }
        (Hello::Modern, Found::Modern(_)) => {
            Ok(Connected { server: Rc::new(Modern::new(endpoint)), greeting: None })
        }
        _ => Err(Failure::failed("the server speaks another revision of MCP than the host")),
    }
}

enum Found {
    Legacy,
    /// The result of `server/discover`.
    Modern(Value),
}

/// A modern request: a server of that era answers it, or says with a code of that era why not. 401 and 403
/// say nothing of the era, and are failures.
async fn probe(endpoint: &Rc<Endpoint>) -> Result<Found, Failure> {
    let id = Id::of(&json!("authctl-discover"));
    let Some(id) = id else { return Ok(Found::Legacy) };
    let discover = Message::request(&id, "server/discover", &json!({"_meta": meta()}));
    let exchange = endpoint.post(&modern::headers(&discover), discover.text()).await?;
    match answer::read(exchange, &id, endpoint, &|_| {}).await {
        Ok(Answer::Response(response)) => Ok(judge(&response)),
        _ => Ok(Found::Legacy),
    }
}

fn judge(response: &Message) -> Found {
    let response = response.to_value();
    if response["result"]["supportedVersions"].is_array() {
        return Found::Modern(response["result"].clone());
    }
    match response["error"]["code"].as_i64() {
        Some(-32_022..=-32_020) => Found::Modern(Value::Null),
        _ => Found::Legacy,
    }
}

/// What every modern request carries.
pub fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "authctl", "version": env!("CARGO_PKG_VERSION")},
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

/// The era of a host, by its first message.
pub fn of_host(message: &Message) -> Era {
    if message.method() == Some("initialize") { Era::Legacy } else { Era::Modern }
}

/// The revision that a host asks for.
pub fn asked_version(hello: &Message) -> String {
    hello.member("params")["protocolVersion"].as_str().unwrap_or(LEGACY).to_owned()
}
