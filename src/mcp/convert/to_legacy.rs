//! A server with a handshake for a host without one: the handshake is made here, and what the server sends by
//! itself comes where the host asks for it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::calls::{self, Call, Calls, Event, Hosts, INPUT, Paused, Underway};
use super::handshake;
use super::held::Held;
use super::subscriptions::{self, Filter, Subscriptions};
use crate::jsonrpc::{self, Id, Kind, Members, Message, renamed, rewritten};
use crate::mcp::meta::{self, Client};
use crate::mcp::{Failure, MODERN, Pending, Server, Sink};

const UNSUPPORTED_VERSION: i64 = -32_022;
/// MCP 2025-11-25, client/elicitation: the person has to visit links first.
const LINKS_REQUIRED: i64 = -32_042;

/// What the newer revision has no more.
const REMOVED: [&str; 5] =
    ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"];
/// What may be answered by a question.
pub const ASKING: [&str; 3] = ["tools/call", "prompts/get", "resources/read"];
/// Results that say how long they may be kept.
const CACHEABLE: [&str; 5] =
    ["tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read"];

/// How long a server may take to notice that a call was dropped.
const NOTICE: Duration = Duration::from_secs(30);

pub struct ToLegacy {
    hosts: Hosts,
    server: Rc<dyn Server>,
    /// The result of `initialize`.
    initialized: Value,
    /// What the host can be asked, as the server was told.
    capabilities: Value,
    sink: Sink,
    calls: Rc<Calls>,
    held: Rc<Held>,
    subscriptions: Subscriptions,
    log_level: RefCell<Option<String>>,
    /// Messages to the server that nobody waits for.
    words: mpsc::UnboundedSender<Message>,
    tasks: RefCell<Vec<AbortHandle>>,
    count: Cell<u64>,
}

impl ToLegacy {
    /// Shakes hands in the host's name; `open` sends the `initialize` that it is given, and what the server says
    /// by itself to the sink.
    pub async fn open(
        client: &Client,
        hosts: Hosts,
        sink: Sink,
        open: impl AsyncFnOnce(Message, Sink) -> Result<(Rc<dyn Server>, Message), Failure>,
    ) -> Result<Rc<Self>, Failure> {
        let id = Id::of(&json!("authctl-initialize")).unwrap_or_else(|| Id::number(0));
        let initialize = Message::request(&id, "initialize", &handshake::initialize(client));
        let (hear, heard) = mpsc::unbounded_channel();
        let hearing = move |message| drop(hear.send(message));
        let (server, greeting) = open(initialize, Rc::new(hearing)).await?;
        if greeting.is_error() {
            return Err(Failure::Error(greeting));
        }
        let initialized = Message::notification("notifications/initialized", None);
        server.tell(&initialized).await?;
        let (words, said) = mpsc::unbounded_channel();
        let this = Rc::new(Self {
            hosts,
            server,
            initialized: greeting.member("result"),
            capabilities: client.capabilities.clone(),
            sink,
            calls: Calls::new(hosts, words.clone()),
            held: Rc::default(),
            subscriptions: Subscriptions::default(),
            log_level: RefCell::default(),
            words,
            tasks: RefCell::default(),
            count: Cell::default(),
        });
        this.attend(heard, said);
        Ok(this)
    }

    /// Hears what the server says by itself, and tells it what nobody waits for.
    fn attend(
        self: &Rc<Self>,
        mut heard: mpsc::UnboundedReceiver<Message>,
        mut said: mpsc::UnboundedReceiver<Message>,
    ) {
        let this = Rc::downgrade(self);
        let hearing = tokio::task::spawn_local(async move {
            while let Some(message) = heard.recv().await {
                let Some(this) = this.upgrade() else { return };
                this.hear(&message);
            }
        });
        let (server, calls) = (self.server.clone(), self.calls.clone());
        let telling = tokio::task::spawn_local(async move {
            while let Some(message) = said.recv().await {
                let _ = match message.kind() {
                    Kind::Request { .. } => server.request(&message, &|_| {}).await.map(drop),
                    _ => server.tell(&message).await,
                };
                let dropped = Id::of(&message.member("params")["requestId"]);
                if let Some(id) = dropped.filter(|id| calls.is_lost(id)) {
                    tokio::task::spawn_local(notice(server.clone(), calls.clone(), id));
                }
            }
        });
        *self.tasks.borrow_mut() = vec![hearing.abort_handle(), telling.abort_handle()];
    }

    fn hear(&self, message: &Message) {
        match message.kind() {
            Kind::Request { method, .. } if method == "ping" => self.refuse(message),
            Kind::Request { .. } if self.calls.ask(message) => {}
            Kind::Request { .. } if self.hosts == Hosts::Many => {
                let _ = unrelated(message).map(|answer| self.words.send(answer));
            }
            Kind::Request { .. } if self.hold(message) => {}
            Kind::Request { .. } => self.refuse(message),
            Kind::Notification { method } if method == "notifications/cancelled" => {
                self.held.forget(Id::of(&message.member("params")["requestId"]).as_ref());
            }
            Kind::Notification { .. } => {
                let hears_logs = self.log_level.borrow().is_some();
                self.pass(message.clone(), hears_logs, &|message| (self.sink)(message));
            }
            Kind::Response { .. } => {}
        }
    }

    /// Keeps a question that the host can answer for its next call.
    fn hold(&self, question: &Message) -> bool {
        let words = self.words.clone();
        calls::is_answerable(question, &self.capabilities)
            && self.held.keep(question, move |late| {
                let _ = refusal(late).map(|answer| words.send(answer));
            })
    }

    /// Passes a notification to where a modern host expects it.
    fn pass(&self, message: Message, hears_logs: bool, aside: &dyn Fn(Message)) {
        match message.method() {
            _ if subscriptions::is_change(&message) => self.subscriptions.tell(&message),
            Some("notifications/message") if !hears_logs => {}
            // Of a question to the host, which has none open; and of an id that it never saw.
            Some("notifications/cancelled" | "notifications/elicitation/complete") => {}
            _ => aside(message),
        }
    }

    /// Answers a question for which there is nobody.
    fn refuse(&self, question: &Message) {
        let _ = refusal(question).map(|answer| self.words.send(answer));
    }

    fn own_request(&self, method: &str, params: &Value) -> Message {
        self.count.set(self.count.get() + 1);
        // The requests of hosts that share the server are called authctl-1 and so on.
        let id = Id::name(&format!("authctl-own-{}", self.count.get()));
        Message::request(&id, method, params)
    }

    async fn answer(&self, request: &Message, aside: &dyn Fn(Message)) -> Result<Message, Failure> {
        let id = request.id().ok_or_else(|| Failure::failed("this is no request"))?;
        let client = Client::of(request);
        if client.version != MODERN {
            let data = json!({"supported": [MODERN], "requested": client.version});
            let what = "Unsupported protocol version";
            return Ok(Message::error(Some(id), UNSUPPORTED_VERSION, what, Some(&data)));
        }
        match request.method().unwrap_or_default() {
            "server/discover" => Ok(Message::result(id, &handshake::discovered(&self.initialized))),
            "subscriptions/listen" => self.listen(id, request, aside).await,
            method if REMOVED.contains(&method) => Ok(unknown(id, request)),
            method if ASKING.contains(&method) => self.call(id, request, &client, aside).await,
            _ => self.forward(id, request, aside).await,
        }
    }

    /// A request that the server cannot ask anything about.
    async fn forward(
        &self,
        id: &Id,
        request: &Message,
        aside: &dyn Fn(Message),
    ) -> Result<Message, Failure> {
        let hears_logs = self.set_log_level(request).await?;
        let aside = |message: Message| match message.kind() {
            Kind::Request { .. } => self.refuse(&message),
            _ => self.pass(message, hears_logs, aside),
        };
        let mut underway = Underway::new(id.clone(), self.words.clone());
        let response = self.server.request(&as_legacy(request), &aside).await;
        underway.over();
        Ok(as_modern(request, &response?))
    }

    /// Tells the server from which level on this request wants to hear of; whether it wants to at all.
    async fn set_log_level(&self, request: &Message) -> Result<bool, Failure> {
        let Some(level) = meta::log_level(request) else { return Ok(false) };
        let is_new = self.log_level.borrow().as_ref() != Some(&level);
        if is_new && self.initialized["capabilities"]["logging"].is_object() {
            let set = self.own_request("logging/setLevel", &json!({"level": level}));
            self.server.request(&set, &|_| {}).await?;
        }
        *self.log_level.borrow_mut() = Some(level);
        Ok(true)
    }

    /// A request about which the server may ask.
    async fn call(
        &self,
        id: &Id,
        request: &Message,
        client: &Client,
        aside: &dyn Fn(Message),
    ) -> Result<Message, Failure> {
        let hears_logs = self.set_log_level(request).await?;
        let params = Members::of(request).object("params");
        let handle = params.value_of::<String>("requestState");
        let paused = match &handle {
            None => Paused::Again,
            Some(handle) => match self.calls.resume(request, handle) {
                Some(paused) => paused,
                None => return Ok(invalid(id, "nothing waits for this requestState any more")),
            },
        };
        let answers = params.object("inputResponses");
        let begin = || self.calls.begin(self.server.clone(), as_legacy(request), self.held.take());
        let mut call = match paused {
            Paused::Asked(call, question) => match answers.text_of(INPUT) {
                Some(answer) => {
                    self.server.tell(&answered(&question, answer)).await?;
                    call
                }
                None => return self.pause(id, request, call, question),
            },
            Paused::Again if !are_accepted(&answers) => {
                return Ok(invalid(id, "the links that the server named were not opened"));
            }
            Paused::Again | Paused::Failed => {
                begin().ok_or_else(|| Failure::failed("this is no request"))?
            }
        };
        loop {
            match call.next().await {
                Event::Said(message) => self.pass(message, hears_logs, aside),
                Event::Asked(question) if calls::is_answerable(&question, &client.capabilities) => {
                    return self.pause(id, request, call, question);
                }
                Event::Asked(question) => self.refuse(&question),
                Event::Done(response) => {
                    if let Some(handle) = handle.filter(|_| has_failed(&response)) {
                        self.calls.keep(&handle, request, Paused::Failed);
                    }
                    let response = renamed(&as_modern(request, &response?), id);
                    return self.with_links(id, request, client, response);
                }
            }
        }
    }

    /// The host is asked; its next request goes on.
    fn pause(
        &self,
        id: &Id,
        request: &Message,
        call: Call,
        question: Message,
    ) -> Result<Message, Failure> {
        let requests = json!({INPUT: calls::input_request(&question)});
        let handle = self.calls.pause(request, Paused::Asked(call, question))?;
        Ok(calls::input_required(id, &requests, &handle))
    }

    /// A response; links that it names for the person become questions.
    fn with_links(
        &self,
        id: &Id,
        request: &Message,
        client: &Client,
        response: Message,
    ) -> Result<Message, Failure> {
        if !response.is_error() {
            return Ok(response);
        }
        let error = response.member("error");
        if error["code"].as_i64() != Some(LINKS_REQUIRED) {
            return Ok(response);
        }
        let links = error["data"]["elicitations"].as_array().cloned().unwrap_or_default();
        let is_shown = client.capabilities["elicitation"]["url"].is_object() && !links.is_empty();
        if !is_shown {
            // The code means nothing in this revision.
            let what = error["message"].as_str().unwrap_or("the server wants a link to be opened");
            let data = error["data"].clone();
            return Ok(Message::error(Some(id), jsonrpc::INTERNAL_ERROR, what, Some(&data)));
        }
        let mut requests = json!({});
        for (index, link) in links.iter().enumerate() {
            let params = json!({"mode": "url", "message": link["message"], "url": link["url"]});
            requests[format!("link-{index}")] =
                json!({"method": "elicitation/create", "params": params});
        }
        let handle = self.calls.pause(request, Paused::Again)?;
        Ok(calls::input_required(id, &requests, &handle))
    }

    /// A stream of changes, until the host or the server has enough of it.
    async fn listen(
        &self,
        id: &Id,
        request: &Message,
        aside: &dyn Fn(Message),
    ) -> Result<Message, Failure> {
        let mut filter = Filter::of(request, &self.initialized["capabilities"]);
        let mut refused = Vec::new();
        for uri in filter.resources.iter().filter(|uri| !self.subscriptions.has(uri)) {
            let subscribe = self.own_request("resources/subscribe", &json!({"uri": uri}));
            let response = self.server.request(&subscribe, &|_| {}).await?;
            if response.is_error() {
                refused.push(uri.clone());
            }
        }
        filter.resources.retain(|uri| !refused.contains(uri));
        let mut stream = self.subscriptions.open(id, filter);
        let _end = Listened { of: self, id };
        while let Some(message) = stream.recv().await {
            aside(message);
        }
        Err(Failure::failed("the stream has ended"))
    }
}

impl Server for ToLegacy {
    fn request<'a>(
        &'a self,
        request: &'a Message,
        aside: &'a dyn Fn(Message),
    ) -> Pending<'a, Result<Message, Failure>> {
        Box::pin(self.answer(request, aside))
    }

    /// A modern host cancels, which its dropped request has done already, and tells nothing else.
    fn tell<'a>(&'a self, _: &'a Message) -> Pending<'a, Result<(), Failure>> {
        Box::pin(async { Ok(()) })
    }

    fn close(&self) -> Pending<'_, ()> {
        self.server.close()
    }
}

impl Drop for ToLegacy {
    fn drop(&mut self) {
        self.tasks.borrow().iter().for_each(AbortHandle::abort);
    }
}

/// Ends a stream of changes when the host does not wait for it any more.
struct Listened<'a> {
    of: &'a ToLegacy,
    id: &'a Id,
}

impl Drop for Listened<'_> {
    fn drop(&mut self) {
        for uri in self.of.subscriptions.end(self.id) {
            let unsubscribe = self.of.own_request("resources/unsubscribe", &json!({"uri": uri}));
            let _ = self.of.words.send(unsubscribe);
        }
    }
}

/// A request without what only the newer revision has.
fn as_legacy(request: &Message) -> Message {
    rewritten(request, |request| {
        request.edit("params", |params| {
            meta::strip(params);
            params.remove("inputResponses");
            params.remove("requestState");
        });
    })
}

/// A response with what the newer revision wants in each result.
fn as_modern(request: &Message, response: &Message) -> Message {
    if !matches!(response.kind(), Kind::Response { is_error: false, .. }) {
        return response.clone();
    }
    let is_cacheable = request.method().is_some_and(|method| CACHEABLE.contains(&method));
    rewritten(response, |response| {
        response.edit("result", |result| {
            result.set("resultType", r#""complete""#);
            if is_cacheable {
                result.set("ttlMs", "0");
                result.set("cacheScope", r#""private""#);
            }
        });
    })
}

/// Whether the person went along with everything.
fn are_accepted(answers: &Members<'_>) -> bool {
    let accepts = |answer: &str| {
        let action = Members::read(answer).and_then(|it| it.value_of::<String>("action"));
        action.as_deref() == Some("accept")
    };
    answers.iter().all(|(_, answer)| accepts(answer))
}

/// The host's answer as the response to the server's question.
fn answered(question: &Message, answer: &str) -> Message {
    let id = question.id().map_or_else(|| "null".to_owned(), Id::to_string);
    let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{answer}}}"#);
    Message::read(text).unwrap_or_else(|_| question.clone())
}

/// Whether a call has not done what it was to do.
fn has_failed(response: &Result<Message, Failure>) -> bool {
    match response {
        Ok(response) => response.is_error() || response.member("result")["isError"] == true,
        Err(_) => true,
    }
}

/// Waits until the server has read that a call was dropped: it answers in the order of what it reads.
async fn notice(server: Rc<dyn Server>, calls: Rc<Calls>, dropped: Id) {
    let name = dropped.to_string();
    let id = Id::name(&format!("authctl-after-{}", name.trim_matches('"')));
    let ping = Message::request(&id, "ping", &json!({}));
    let _ = timeout(NOTICE, server.request(&ping, &|_| {})).await;
    calls.forget(&dropped);
}

/// The answer to a question that could be about the calls of several hosts, or of none.
fn unrelated(question: &Message) -> Option<Message> {
    let what = "nobody can be asked: which client's call this is about is not known";
    Some(Message::error(Some(question.id()?), jsonrpc::INTERNAL_ERROR, what, None))
}

/// The answer to a question for which there is nobody.
fn refusal(question: &Message) -> Option<Message> {
    let id = question.id()?;
    Some(match question.method().unwrap_or_default() {
        "ping" => Message::result(id, &json!({})),
        "elicitation/create" => Message::result(id, &json!({"action": "decline"})),
        _ => unknown(id, question),
    })
}

fn unknown(id: &Id, request: &Message) -> Message {
    let method = request.method().unwrap_or_default();
    let what = format!("Method not found: {method}");
    Message::error(Some(id), jsonrpc::METHOD_NOT_FOUND, &what, None)
}

fn invalid(id: &Id, what: &str) -> Message {
    Message::error(Some(id), jsonrpc::INVALID_PARAMS, what, None)
}
