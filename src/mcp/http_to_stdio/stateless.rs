//! One server for clients of 2026-07-28, whose requests stand alone. They choose their ids without knowing of
//! each other, so the server sees ids of our own.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use hyper::header::HeaderMap;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, sleep_until, timeout};

use super::events::{Events, From};
use super::headers::{self, check_params};
use super::reply::{self, Reply};
use crate::jsonrpc::{self, Id, Kind, Message};
use crate::launch::Ending;
use crate::mcp::era::own_discover;
use crate::mcp::host::Host;
use crate::mcp::meta::{Client, SUBSCRIPTION_ID, log_level};
use crate::mcp::modern::{PAGES, list_request};
use crate::mcp::params::Tools;
use crate::mcp::session::Session;
use crate::mcp::{Child, Settings, Shared};

/// How long an answer may take before the stream that will bring it is begun.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a server may take to answer what no client has asked.
const OWN_WAIT: Duration = Duration::from_secs(30);

/// The server that clients share.
pub struct Stateless {
    session: Rc<Session>,
    child: Rc<Child>,
    outlet: Rc<Outlet>,
    used: Cell<Instant>,
    closed: Notify,
    /// Held by the one who lists the tools.
    listing: Mutex<()>,
}

/// An open request, and how its client calls it.
struct Post {
    id: Value,
    progress_token: Option<Value>,
    is_stream: bool,
    hears_logs: bool,
    /// A page of the tools; whether it is the first one.
    page: Option<bool>,
    events: Rc<Events>,
}

#[derive(Default)]
struct Outlet {
    /// By our own number, which is the id and the progress token that the server sees.
    posts: RefCell<BTreeMap<u64, Post>>,
    count: Cell<u64>,
    /// Which arguments are repeated in headers.
    tools: Tools,
}

impl Host for Outlet {
    fn send(&self, message: Message) {
        let mut value = message.to_value();
        match message.kind() {
            Kind::Response { .. } => {
                let post = number(&value["id"]).and_then(|id| self.posts.borrow_mut().remove(&id));
                let Some(post) = post else { return };
                if let Some(is_first) = post.page {
                    self.tools.learn(is_first, &message);
                }
                value["id"] = post.id;
                post.events.push(read(&value, message));
                post.events.finish();
            }
            Kind::Notification { .. } => self.tell(value, message),
            // In this revision a server asks nothing by itself.
            Kind::Request { .. } => {}
        }
    }
}

impl Outlet {
    /// Gives a notification to the request that it belongs to.
    fn tell(&self, mut value: Value, message: Message) {
        if message.method() == Some("notifications/tools/list_changed") {
            self.tools.forget();
        }
        let posts = self.posts.borrow();
        let params = &mut value["params"];
        if let Some(post) = number(&params["_meta"][SUBSCRIPTION_ID]).and_then(|id| posts.get(&id))
        {
            params["_meta"][SUBSCRIPTION_ID] = post.id.clone();
            post.events.push(read(&value, message));
        } else if let Some(post) = number(&params["progressToken"]).and_then(|id| posts.get(&id)) {
            params["progressToken"] = post.progress_token.clone().unwrap_or_default();
            post.events.push(read(&value, message));
        } else if message.method() == Some("notifications/message") {
            // Nothing names its request: with one open request that wants to hear, it is that one's.
            let mut calls = posts.values().filter(|post| !post.is_stream && post.hears_logs);
            if let (Some(only), None) = (calls.next(), calls.next()) {
                only.events.push(message);
            }
        }
    }
}

fn number(id: &Value) -> Option<u64> {
    id.as_str()?.strip_prefix("authctl-")?.parse().ok()
}

fn own(number: u64) -> Value {
    json!(format!("authctl-{number}"))
}

fn read(value: &Value, otherwise: Message) -> Message {
    Message::read(value.to_string()).unwrap_or(otherwise)
}

impl Outlet {
    /// Takes a request in; as the server sees it, and where its answer comes.
    fn open(&self, request: &Message, id: &Id) -> (u64, Message, Rc<Events>) {
        let number = self.count.get() + 1;
        self.count.set(number);
        let mut value = request.to_value();
        value["id"] = own(number);
        let token = value["params"]["_meta"].get_mut("progressToken");
        let progress_token = token.map(|token| std::mem::replace(token, own(number)));
        let events = Events::new(None);
        let is_page = request.method() == Some("tools/list");
        let post = Post {
            id: id.to_value(),
            progress_token,
            is_stream: request.method() == Some("subscriptions/listen"),
            hears_logs: log_level(request).is_some(),
            page: is_page.then(|| value["params"]["cursor"].is_null()),
            events: events.clone(),
        };
        self.posts.borrow_mut().insert(number, post);
        (number, read(&value, request.clone()), events)
    }
}

/// A request whose client is there. With the client goes the request.
struct Wanted {
    server: Rc<Stateless>,
    number: u64,
}

impl Drop for Wanted {
    fn drop(&mut self) {
        if self.server.outlet.posts.borrow_mut().remove(&self.number).is_some() {
            let params = json!({"requestId": own(self.number)});
            let cancelled = Message::notification("notifications/cancelled", Some(&params));
            self.server.session.take(cancelled);
        }
    }
}

impl Stateless {
    /// Starts the server in the name of a client.
    pub async fn start(child: Rc<Child>, settings: Settings, client: &Client) -> Rc<Self> {
        let outlet = Rc::new(Outlet::default());
        let link = Rc::new(Shared(child.clone()));
        let session = Session::new(outlet.clone(), link, settings);
        let server = Rc::new(Self {
            session,
            child,
            outlet,
            used: Cell::new(Instant::now()),
            closed: Notify::new(),
            listing: Mutex::default(),
        });
        // What is wrong with it, the first request will tell.
        server.ask(&own_discover(client)).await;
        server
    }

    /// Asks what no client has asked.
    async fn ask(self: &Rc<Self>, request: &Message) -> Option<Message> {
        let (wanted, events) = self.take(request, request.id()?);
        let _ = timeout(OWN_WAIT, events.begun()).await;
        drop(wanted);
        events.single()
    }

    fn take(self: &Rc<Self>, request: &Message, id: &Id) -> (Wanted, Rc<Events>) {
        let (number, request, events) = self.outlet.open(request, id);
        self.session.take(request);
        (Wanted { server: self.clone(), number }, events)
    }

    pub async fn answer(
        self: &Rc<Self>,
        headers: &HeaderMap,
        request: &Message,
        id: &Id,
    ) -> Response<Reply> {
        self.used.set(Instant::now());
        if let Err(what) = self.check_params(headers, request).await {
            return headers::mismatch(request, &what);
        }
        self.session.room().await;
        let (wanted, events) = self.take(request, id);
        let _ = timeout(PATIENCE, events.begun()).await;
        if let Some(response) = events.single() {
            return reply::message(status(&response), response);
        }
        reply::events(events.body(From::Undelivered, false, Some(Box::new(wanted))))
    }

    /// What headers of a call have to repeat stands in the list of tools, which is read where nobody has yet,
    /// and again where it may be outdated.
    async fn check_params(
        self: &Rc<Self>,
        headers: &HeaderMap,
        request: &Message,
    ) -> Result<(), String> {
        if request.method() != Some("tools/call") {
            return Ok(());
        }
        let params = request.member("params");
        let tool = params["name"].as_str().unwrap_or_default();
        let checked =
            || check_params(headers, &self.outlet.tools.mirrored(tool, &params["arguments"]));
        if self.outlet.tools.is_unknown(tool) {
            self.list(request, tool, false).await;
        } else if checked().is_err() {
            self.list(request, tool, true).await;
        }
        checked()
    }

    /// Reads the whole list; once for all calls that wait for it.
    async fn list(self: &Rc<Self>, call: &Message, tool: &str, is_outdated: bool) {
        let _turn = self.listing.lock().await;
        if !is_outdated && !self.outlet.tools.is_unknown(tool) {
            return;
        }
        let mut cursor = None;
        for _ in 0..PAGES {
            let page = self.ask(&list_request(call, cursor.as_deref())).await;
            let page = page.map_or(Value::Null, |page| page.member("result"));
            cursor = page["nextCursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                // A server without a list has no tools that want anything.
                return self.outlet.tools.complete();
            }
        }
    }

    /// Closing its request is how a client cancels; it knows no other id of it.
    pub async fn tell(&self, message: Message) {
        self.used.set(Instant::now());
        if message.method() != Some("notifications/cancelled") {
            self.session.room().await;
            self.session.take(message);
        }
    }

    /// Comes back when the server has left, or nobody has wanted anything of it for `idle`.
    pub async fn over(&self, idle: Duration) {
        loop {
            tokio::select! {
                _ = self.child.exited() => return,
                () = self.closed.notified() => return,
                () = sleep_until(self.used.get() + idle) => {}
            }
            if !self.is_idle() {
                self.used.set(Instant::now());
            } else if self.used.get().elapsed() >= idle {
                return;
            }
        }
    }

    /// Nobody waits for anything here.
    pub fn is_idle(&self) -> bool {
        self.outlet.posts.borrow().is_empty()
    }

    /// When it was used last.
    pub fn used(&self) -> Instant {
        self.used.get()
    }

    pub fn close(&self) {
        self.closed.notify_one();
    }

    pub async fn end(&self, how: Ending) {
        self.child.end(how).await;
        tokio::task::yield_now().await;
        self.outlet.posts.borrow().values().for_each(|post| post.events.finish());
    }
}

/// The status that says the same as an error (MCP 2026-07-28, Streamable HTTP).
fn status(response: &Message) -> StatusCode {
    if !matches!(response.kind(), Kind::Response { is_error: true, .. }) {
        return StatusCode::OK;
    }
    match response.member("error")["code"].as_i64() {
        Some(jsonrpc::METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
        Some(jsonrpc::INVALID_PARAMS | -32_022..=-32_020) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}
