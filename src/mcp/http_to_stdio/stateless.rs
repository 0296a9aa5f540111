//! Clients of 2026-07-28: each request stands alone, so one server is there for all of them. They choose their
//! ids without knowing of each other, so the server sees ids of our own.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout};

use super::events::{Events, From};
use super::reply::{self, Reply};
use crate::jsonrpc::{self, Id, Kind, Message};
use crate::launch::Ending;
use crate::mcp::host::Host;
use crate::mcp::session::Session;
use crate::mcp::{Child, Settings, Shared, meta};

/// How long an answer may take before the stream that will bring it is begun.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a server may take to say whether it speaks this revision.
const PROBE: Duration = Duration::from_secs(30);

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// The server that all clients share.
pub struct Stateless {
    session: Rc<Session>,
    child: Rc<Child>,
    outlet: Rc<Outlet>,
    used: Cell<Instant>,
}

/// An open request, and how its client calls it.
struct Post {
    id: Value,
    progress_token: Option<Value>,
    is_stream: bool,
    events: Rc<Events>,
}

#[derive(Default)]
struct Outlet {
    /// By our own number, which is the id and the progress token that the server sees.
    posts: RefCell<BTreeMap<u64, Post>>,
    count: Cell<u64>,
}

impl Host for Outlet {
    fn send(&self, message: Message) {
        let mut value = message.to_value();
        if let Kind::Response { .. } = message.kind() {
            let Some(post) =
                number(&value["id"]).and_then(|id| self.posts.borrow_mut().remove(&id))
            else {
                return;
            };
            value["id"] = post.id;
            post.events.push(read(&value, message));
            post.events.finish();
            return;
        }
        let posts = self.posts.borrow();
        let params = &mut value["params"];
        if let Some(post) = number(&params["_meta"][SUBSCRIPTION]).and_then(|id| posts.get(&id)) {
            params["_meta"][SUBSCRIPTION] = post.id.clone();
            post.events.push(read(&value, message));
        } else if let Some(post) = number(&params["progressToken"]).and_then(|id| posts.get(&id)) {
            params["progressToken"] = post.progress_token.clone().unwrap_or_default();
            post.events.push(read(&value, message));
        } else {
            // What belongs to a request that nothing names: with one open request it is that one's.
            let mut calls = posts.values().filter(|post| !post.is_stream);
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
        let post = Post {
            id: id.to_value(),
            progress_token,
            is_stream: request.method() == Some("subscriptions/listen"),
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
    /// Starts the server and asks it; `None` if it speaks earlier revisions only.
    pub async fn start(child: Rc<Child>, settings: Settings) -> Option<Rc<Self>> {
        let outlet = Rc::new(Outlet::default());
        let link = Rc::new(Shared(child.clone()));
        let session = Session::new(outlet.clone(), link, settings);
        let used = Cell::new(Instant::now());
        let server = Rc::new(Self { session, child, outlet, used });
        if server.is_modern().await {
            return Some(server);
        }
        server.child.end(Ending::Closed).await;
        None
    }

    async fn is_modern(&self) -> bool {
        let id = Id::number(0);
        let discover = Message::request(&id, "server/discover", &meta::Client::own().params());
        let (_, discover, events) = self.outlet.open(&discover, &id);
        self.session.take(discover);
        let _ = timeout(PROBE, events.begun()).await;
        let found = events.single().map(|answer| answer.member("result"));
        found.is_some_and(|result| result["supportedVersions"].is_array())
    }

    pub async fn answer(self: &Rc<Self>, request: &Message, id: &Id) -> Response<Reply> {
        self.used.set(Instant::now());
        let (number, request, events) = self.outlet.open(request, id);
        let wanted = Wanted { server: self.clone(), number };
        self.session.take(request);
        let _ = timeout(PATIENCE, events.begun()).await;
        if let Some(response) = events.single() {
            return reply::message(status(&response), response);
        }
        reply::events(events.body(From::Undelivered, false, Some(Box::new(wanted))))
    }

    /// Closing its request is how a client cancels; it knows no other id of it.
    pub fn tell(&self, message: Message) {
        self.used.set(Instant::now());
        if message.method() != Some("notifications/cancelled") {
            self.session.take(message);
        }
    }

    /// Comes back when the server has left, or nobody has wanted anything of it for `idle`.
    pub async fn over(&self, idle: Duration) {
        loop {
            tokio::select! {
                _ = self.child.exited() => return,
                () = sleep_until(self.used.get() + idle) => {}
            }
            if !self.outlet.posts.borrow().is_empty() {
                self.used.set(Instant::now());
            } else if self.used.get().elapsed() >= idle {
                return;
            }
        }
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
