//! Streamable HTTP of 2026-07-28: each request stands alone, its headers say again what is in its body, and
//! closing the stream of its answer cancels it.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::answer::{self, Answer};
use super::endpoint::{Endpoint, Headers};
use super::meta::PROTOCOL_VERSION;
use super::params::{Tools, encoded};
use super::{Failure, Pending, Server};
use crate::jsonrpc::{Id, Kind, METHOD_NOT_FOUND, Members, Message};

/// A header that is missing, malformed or different from the body.
pub const HEADER_MISMATCH: i64 = -32_020;
pub const UNSUPPORTED_VERSION: i64 = -32_022;

/// Most pages of a list that are read to find a tool.
pub const PAGES: usize = 100;

pub struct Modern {
    endpoint: Rc<Endpoint>,
    tools: Tools,
    /// Held by the one who lists.
    listing: Mutex<()>,
}

impl Modern {
    pub fn new(endpoint: Rc<Endpoint>) -> Self {
        Self { endpoint, tools: Tools::default(), listing: Mutex::default() }
    }

    /// Sends a request with all its headers; again, where the server found fault with the first one.
    pub async fn ask(&self, request: &Message, aside: &dyn Fn(Message)) -> Result<Answer, Failure> {
        let sent = Sent::read(request);
        if sent.tool().is_some_and(|tool| self.tools.is_unknown(&tool)) {
            self.list(request, false).await?;
        }
        let first = self.send(request, &sent, aside).await?;
        match refusal(&first) {
            Some((HEADER_MISMATCH, _)) if sent.tool().is_some() => {
                self.list(request, true).await?;
            }
            // Nothing is wrong with a version that the server names itself.
            Some((UNSUPPORTED_VERSION, data)) if names(&data, &sent.version()) => {}
            _ => return Ok(first),
        }
        self.send(request, &sent, aside).await
    }

    async fn send(
        &self,
        request: &Message,
        sent: &Sent<'_>,
        aside: &dyn Fn(Message),
    ) -> Result<Answer, Failure> {
        let Some(id) = request.id() else { return Err(Failure::failed("this is no request")) };
        let mut headers = sent.headers(request);
        if let Some(tool) = sent.tool() {
            headers.named.extend(self.tools.headers(&tool, sent.arguments()));
        }
        let exchange = self.endpoint.post(&headers, request.text()).await?;
        let aside = |message: Message| {
            if message.method() == Some("notifications/tools/list_changed") {
                self.tools.forget();
            }
            match message.kind() {
                Kind::Request { id, .. } => self.refuse(id, &headers),
                _ => aside(message),
            }
        };
        if request.method() == Some("subscriptions/listen") && exchange.is_event_stream() {
            return answer::news(exchange, id, &self.endpoint, &aside).await;
        }
        answer::read(exchange, id, &self.endpoint, &aside).await
    }

    /// Answers a request of the server, which has none in this revision: a host could not answer it.
    fn refuse(&self, id: &Id, headers: &Headers) {
        let what = "a server of this revision sends no requests";
        let error = Message::error(Some(id), METHOD_NOT_FOUND, what, None);
        let (endpoint, version) = (self.endpoint.clone(), headers.version.clone());
        tokio::task::spawn_local(async move {
            let headers = Headers { version, ..Headers::default() };
            let _ = endpoint.post(&headers, error.text()).await;
        });
    }

    /// Reads the whole list of tools for its annotations; once for all calls that wait for it.
    async fn list(&self, call: &Message, is_outdated: bool) -> Result<(), Failure> {
        let _turn = self.listing.lock().await;
        let is_there = Sent::read(call).tool().is_none_or(|tool| !self.tools.is_unknown(&tool));
        if is_there && !is_outdated {
            return Ok(());
        }
        let mut cursor = None;
        for _ in 0..PAGES {
            let request = list_request(call, cursor.as_deref());
            let answer = self.send(&request, &Sent::read(&request), &|_| {}).await?;
            // A server that does not list its tools says itself what is wrong with the call.
            let Answer::Response(response) = answer else { return Ok(()) };
            cursor = self.tools.learn(cursor.is_none(), &response).next;
            if cursor.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A response as the host may see it.
    fn passed(&self, request: &Message, response: Message) -> Message {
        if request.method() != Some("tools/list") {
            return response;
        }
        let is_first = request.member("params")["cursor"].is_null();
        self.tools.learn(is_first, &response).rewritten.unwrap_or(response)
    }
}

impl Server for Modern {
    fn request<'a>(
        &'a self,
        request: &'a Message,
        aside: &'a dyn Fn(Message),
    ) -> Pending<'a, Result<Message, Failure>> {
        Box::pin(async move {
            let answer = self.ask(request, aside).await?;
            Ok(self.passed(request, response(answer, &self.endpoint)?))
        })
    }

    /// This revision knows no notifications of clients, and no responses; cancelling is done by closing.
    fn tell<'a>(&'a self, message: &'a Message) -> Pending<'a, Result<(), Failure>> {
        Box::pin(async move {
            if matches!(message.kind(), Kind::Response { .. })
                || message.method() == Some("notifications/cancelled")
            {
                return Ok(());
            }
            let headers = Sent::read(message).headers(message);
            match self.endpoint.post(&headers, message.text()).await?.status {
                200..300 => Ok(()),
                status => Err(answer::refused(&self.endpoint, status, "")),
            }
        })
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {})
    }
}

/// The response in an answer. A stream of this revision that was cut cannot be resumed.
pub fn response(answer: Answer, endpoint: &Endpoint) -> Result<Message, Failure> {
    match answer {
        Answer::Response(message) => Ok(message),
        Answer::Status { status, body } => Err(answer::refused(endpoint, status, &body)),
        Answer::Cut(_) => Err(Failure::failed(format!(
            "the connection to {} broke before the response",
            endpoint.host()
        ))),
    }
}

/// Code and data of an error.
fn refusal(answer: &Answer) -> Option<(i64, Value)> {
    let Answer::Response(response) = answer else { return None };
    if !response.is_error() {
        return None;
    }
    let mut error = response.member("error");
    Some((error["code"].as_i64()?, error["data"].take()))
}

fn names(data: &Value, version: &str) -> bool {
    data["supported"].as_array().is_some_and(|versions| versions.iter().any(|v| v == version))
}

/// A request for a page of tools, in the name of whoever makes the call.
pub fn list_request(call: &Message, cursor: Option<&str>) -> Message {
    let id = Id::of(&json!("authctl-tools")).unwrap_or_else(|| Id::number(0));
    let mut params = Members::default();
    let mut meta = Members::of(call).object("params").object("_meta");
    meta.remove("progressToken");
    params.set("_meta", meta.to_string());
    if let Some(cursor) = cursor {
        params.set_value("cursor", &json!(cursor));
    }
    let params = serde_json::from_str(&params.to_string()).unwrap_or_default();
    Message::request(&id, "tools/list", &params)
}

/// What the headers repeat of a message.
#[derive(Deserialize, Default)]
struct Sent<'a> {
    #[serde(default, borrow)]
    method: Option<&'a RawValue>,
    #[serde(default, borrow)]
    params: Option<SentParams<'a>>,
}

#[derive(Deserialize, Default)]
struct SentParams<'a> {
    #[serde(default, borrow)]
    name: Option<&'a RawValue>,
    #[serde(default, borrow)]
    uri: Option<&'a RawValue>,
    #[serde(default, borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(default, borrow, rename = "_meta")]
    meta: Option<&'a RawValue>,
}

impl<'a> Sent<'a> {
    fn read(message: &'a Message) -> Self {
        serde_json::from_str(message.text()).unwrap_or_default()
    }

    /// The tool that a call names.
    fn tool(&self) -> Option<String> {
        let method = self.method.and_then(string);
        self.params
            .as_ref()?
            .name
            .and_then(string)
            .filter(|_| method.as_deref() == Some("tools/call"))
    }

    fn arguments(&self) -> &'a str {
        let arguments = self.params.as_ref().and_then(|params| params.arguments);
        arguments.map_or("{}", RawValue::get)
    }

    /// The revision that the body names.
    fn version(&self) -> String {
        let meta = self.params.as_ref().and_then(|params| params.meta);
        let meta = meta.and_then(|meta| Members::read(meta.get())).unwrap_or_default();
        meta.value_of(PROTOCOL_VERSION).unwrap_or_else(|| super::MODERN.to_owned())
    }

    /// `Mcp-Method` and `Mcp-Name` (MCP 2026-07-28, Streamable HTTP, standard request headers).
    fn headers(&self, message: &Message) -> Headers {
        let mut headers = Headers { version: Some(self.version()), ..Headers::default() };
        let Some(method) = message.method() else { return headers };
        headers.named.push(("Mcp-Method".to_owned(), encoded(method)));
        let Some(params) = &self.params else { return headers };
        let name = match method {
            "tools/call" | "prompts/get" => params.name,
            "resources/read" => params.uri,
            _ => None,
        };
        let name = name.and_then(string);
        headers.named.extend(name.map(|name| ("Mcp-Name".to_owned(), encoded(&name))));
        headers
    }
}

fn string(text: &RawValue) -> Option<String> {
    serde_json::from_str(text.get()).ok()
}

/// Whether a request is of that revision: its `_meta` says so.
pub fn is_modern(request: &Message) -> bool {
    let meta = &request.member("params")["_meta"];
    meta["io.modelcontextprotocol/protocolVersion"].is_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(text: &str) -> (Option<String>, Vec<(String, String)>) {
        let message = Message::read(text).unwrap();
        let headers = Sent::read(&message).headers(&message);
        (headers.version, headers.named)
    }

    #[test]
    fn headers_say_what_the_body_says() {
        let (version, named) = headers(
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"caf\u00e9",
            "_meta":{"io.modelcontextprotocol/protocolVersion":"2027-01-01"}}}"#,
        );
        assert_eq!(version.as_deref(), Some("2027-01-01"));
        let expected = [("Mcp-Method", "tools/call"), ("Mcp-Name", "=?base64?Y2Fmw6k=?=")];
        assert_eq!(named, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let (version, named) =
            headers(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[1]}"#);
        assert_eq!((version.as_deref(), named.len()), (Some(super::super::MODERN), 1));
    }
}
