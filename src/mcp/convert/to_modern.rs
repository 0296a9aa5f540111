//! A server without a handshake for a host with one: each request gets what the handshake said, and what the
//! server would send by itself is asked for.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::handshake;
use super::inputs::Inputs;
use super::listening::Listening;
use crate::jsonrpc::{self, Id, Kind, Members, Message, renamed, rewritten};
use crate::mcp::meta::{Client, LOG_LEVEL};
use crate::mcp::{Failure, Pending, Server, Sink};

/// How often a server may ask before it gives a result.
const ROUNDS: usize = 16;

pub struct ToModern {
    server: Rc<dyn Server>,
    /// The result of `server/discover`.
    discovered: Value,
    client: Client,
    log_level: RefCell<Option<String>>,
    inputs: Inputs,
    listening: Rc<Listening>,
    count: Cell<u64>,
}

impl ToModern {
    pub fn new(
        server: Rc<dyn Server>,
        initialize: &Message,
        discovered: Value,
        sink: Sink,
    ) -> Rc<Self> {
        let client = handshake::client_of(initialize);
        let version = handshake::version_of(initialize);
        let capabilities = discovered["capabilities"].clone();
        Rc::new(Self {
            inputs: Inputs::new(sink.clone(), version, client.capabilities.clone()),
            listening: Listening::new(server.clone(), sink, client.clone(), capabilities),
            server,
            discovered,
            client,
            log_level: RefCell::default(),
            count: Cell::default(),
        })
    }

    /// The response to `initialize`.
    pub fn greeting(&self, initialize: &Message) -> Option<Message> {
        let version = handshake::version_of(initialize);
        let result = handshake::initialized(&self.discovered, &version);
        initialize.id().map(|id| Message::result(id, &result))
    }

    async fn answer(&self, request: &Message, aside: &dyn Fn(Message)) -> Result<Message, Failure> {
        let id = request.id().ok_or_else(|| Failure::failed("this is no request"))?;
        let done = Ok(Message::result(id, &json!({})));
        match request.method().unwrap_or_default() {
            "initialize" => Ok(self.greeting(request).unwrap_or_else(|| request.clone())),
            "ping" => done,
            "logging/setLevel" if self.discovered["capabilities"]["logging"].is_object() => {
                let level = request.member("params")["level"].as_str().map(str::to_owned);
                *self.log_level.borrow_mut() = level;
                done
            }
            "resources/subscribe" => Ok(self.subscribe(id, request, true).await),
            "resources/unsubscribe" => Ok(self.subscribe(id, request, false).await),
            "logging/setLevel" => Ok(unknown(id, request)),
            _ => self.ask(id, request, aside).await,
        }
    }

    async fn subscribe(&self, id: &Id, request: &Message, wanted: bool) -> Message {
        if self.discovered["capabilities"]["resources"]["subscribe"] != true {
            return unknown(id, request);
        }
        let params = request.member("params");
        let uri = params["uri"].as_str().unwrap_or_default();
        if self.listening.subscribe(uri, wanted).await {
            return Message::result(id, &json!({}));
        }
        let what = "the server takes no subscription to this resource";
        Message::error(Some(id), jsonrpc::INVALID_PARAMS, what, Some(&json!({"uri": uri})))
    }

    /// The final response to a request; what the server wants to know first is asked of the host.
    async fn ask(
        &self,
        id: &Id,
        request: &Message,
        aside: &dyn Fn(Message),
    ) -> Result<Message, Failure> {
        let mut request = self.stamped(request);
        let mut links = Vec::new();
        for _ in 0..=ROUNDS {
            let response = self.server.request(&request, aside).await?;
            let peek = Peek::of(&response);
            if let Stage::Final = peek.stage()? {
                self.inputs.links_done(&links);
                let is_odd = peek.is_odd();
                let response = as_legacy(&request, response, is_odd);
                let is_first = response.id() == Some(id);
                return Ok(if is_first { response } else { renamed(&response, id) });
            }
            let result = Members::of(&response).object("result");
            let answers = self.inputs.gather(&result.object("inputRequests")).await?;
            links.extend(answers.links);
            request = self.repeated(&request, &result, &answers.responses);
        }
        Err(Failure::failed("the server asks for input without end"))
    }

    fn stamped(&self, request: &Message) -> Message {
        rewritten(request, |request| {
            request.edit("params", |params| {
                self.client.stamp(params);
                if let Some(level) = &*self.log_level.borrow() {
                    params.edit("_meta", |meta| meta.set_value(LOG_LEVEL, &json!(level)));
                }
            });
        })
    }

    /// The same request once more, with answers, and the server's state as it gave it.
    fn repeated(&self, request: &Message, result: &Members<'_>, answers: &Members<'_>) -> Message {
        self.count.set(self.count.get() + 1);
        let id = json!(format!("authctl-again-{}", self.count.get()));
        rewritten(request, |request| {
            request.set_value("id", &id);
            request.edit("params", |params| {
                params.remove("inputResponses");
                params.remove("requestState");
                if result.text_of("inputRequests").is_some() {
                    params.set("inputResponses", answers.to_string());
                }
                if let Some(state) = result.text_of("requestState") {
                    params.set("requestState", state.to_owned());
                }
            });
        })
    }
}

impl Server for ToModern {
    fn request<'a>(
        &'a self,
        request: &'a Message,
        aside: &'a dyn Fn(Message),
    ) -> Pending<'a, Result<Message, Failure>> {
        Box::pin(self.answer(request, aside))
    }

    /// Of what a host with a handshake tells, a modern server wants to hear nothing.
    fn tell<'a>(&'a self, message: &'a Message) -> Pending<'a, Result<(), Failure>> {
        if message.method() == Some("notifications/initialized") {
            self.listening.begin();
        }
        if let Kind::Response { .. } = message.kind() {
            self.inputs.take(message);
        }
        Box::pin(async { Ok(()) })
    }

    fn close(&self) -> Pending<'_, ()> {
        self.listening.end();
        self.server.close()
    }
}

impl Drop for ToModern {
    fn drop(&mut self) {
        self.listening.end();
    }
}

/// What has to be looked at in a response.
#[derive(Deserialize, Default)]
struct Peek<'a> {
    #[serde(default, borrow)]
    result: Option<PeekResult<'a>>,
}

#[derive(Deserialize, Default)]
struct PeekResult<'a> {
    #[serde(default, borrow, rename = "resultType")]
    kind: Option<&'a RawValue>,
    #[serde(default, borrow, rename = "structuredContent")]
    structured: Option<&'a RawValue>,
}

enum Stage {
    Final,
    InputRequired,
}

impl<'a> Peek<'a> {
    fn of(response: &'a Message) -> Self {
        serde_json::from_str(response.text()).unwrap_or_default()
    }

    /// Whether it has structured content that older schemas forbid.
    fn is_odd(&self) -> bool {
        let structured = self.result.as_ref().and_then(|result| result.structured);
        structured.is_some_and(|structured| !structured.get().starts_with('{'))
    }

    /// MCP 2026-07-28, schema, `Result`: none is as good as `complete`, an unknown one is invalid.
    fn stage(&self) -> Result<Stage, Failure> {
        let kind = self.result.as_ref().and_then(|result| result.kind).map(RawValue::get);
        let kind: Option<Value> = kind.and_then(|kind| serde_json::from_str(kind).ok());
        match kind.as_ref().map(Value::as_str) {
            None | Some(Some("complete")) => Ok(Stage::Final),
            Some(Some("input_required")) => Ok(Stage::InputRequired),
            Some(_) => Err(Failure::failed("the server answered with a result of an unknown type")),
        }
    }
}

/// A result without what older schemas forbid: structured content, and schemas of it, other than objects.
/// Further members are allowed by all of them.
fn as_legacy(request: &Message, response: Message, is_odd: bool) -> Message {
    match request.method() {
        Some("tools/call") if is_odd => rewritten(&response, |response| {
            response.edit("result", |result| result.remove("structuredContent"));
        }),
        Some("tools/list") if response.text().contains("outputSchema") => {
            with_object_schemas(response)
        }
        _ => response,
    }
}

fn with_object_schemas(response: Message) -> Message {
    let result = Members::of(&response).object("result");
    let Some(tools) = result.value_of::<Vec<Box<RawValue>>>("tools") else { return response };
    let is_object = |tool: &Members<'_>| {
        let schema = tool.object("outputSchema");
        tool.text_of("outputSchema").is_none()
            || schema.value_of::<String>("type").as_deref() == Some("object")
    };
    let tools: Vec<_> = tools.iter().filter_map(|tool| Members::read(tool.get())).collect();
    if tools.iter().all(is_object) {
        return response;
    }
    let texts = tools.into_iter().map(|mut tool| {
        if !is_object(&tool) {
            tool.remove("outputSchema");
        }
        tool.to_string()
    });
    let tools = format!("[{}]", texts.collect::<Vec<_>>().join(","));
    rewritten(&response, |response| response.edit("result", |result| result.set("tools", tools)))
}

fn unknown(id: &Id, request: &Message) -> Message {
    let method = request.method().unwrap_or_default();
    let what = format!("Method not found: {method}");
    Message::error(Some(id), jsonrpc::METHOD_NOT_FOUND, &what, None)
}
