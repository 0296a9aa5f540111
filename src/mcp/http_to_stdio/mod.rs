//! A server on stdio for clients over Streamable HTTP: of 2025-03-26 to 2025-11-25, a server for each session,
//! and of 2026-07-28, one for all, as far as the server speaks these. Sessions that nobody uses end.

mod client;
mod events;
mod guard;
mod headers;
mod reply;
mod stateless;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::Mutex;
use tokio::task::spawn_local;

use client::Client;
pub use guard::Guard;
use headers::{accepts, is_json, is_modern, text};
use reply::Reply;
use stateless::Stateless;

use super::failure::in_use;
use super::{Child, Outfitter, Settings};
use crate::jsonrpc::{self, Id, Kind, Message};
use crate::launch::Ending;
use crate::listen::{self, Peer, Sockets, Unread};
use crate::secret::Secret;

/// The path of the one endpoint.
pub const PATH: &str = "/mcp";

/// Sessions at a time, each with a process of its own.
const SESSIONS: usize = 32;

/// Most bytes of a posted message.
const BODY: usize = 16 << 20;

const SESSION: &str = "mcp-session-id";

/// What JSON-RPC leaves to servers; the official SDKs answer so for an unknown session.
const NO_SESSION: i64 = -32_001;

/// How a server is made reachable.
pub struct Front {
    pub guard: Guard,
    pub outfitter: Rc<dyn Outfitter>,
    pub settings: Settings,
    /// After this time without a request, a session ends.
    pub idle: Duration,
}

struct State {
    front: Front,
    clients: RefCell<HashMap<String, Rc<Client>>>,
    stateless: Mutex<Option<Rc<Stateless>>>,
    /// The server knows nothing newer than sessions.
    is_legacy: Cell<bool>,
}

/// Serves until a signal comes; then no server is left.
pub async fn serve(front: Front, sockets: Sockets) -> io::Result<()> {
    let state = Rc::new(State {
        front,
        clients: RefCell::default(),
        stateless: Mutex::default(),
        is_legacy: Cell::default(),
    });
    let answering = state.clone();
    let served = listen::serve(sockets, move |request| answering.clone().answer(request));
    let ended: io::Result<Infallible> = tokio::select! {
        ended = served => ended,
        _ = crate::signals::asked_to_end() => {
            state.end().await;
            return Ok(());
        }
    };
    ended.map(|never| match never {})
}

type Outcome = Result<Response<Reply>, Response<Reply>>;

impl State {
    async fn answer(self: Rc<Self>, request: Request<Incoming>) -> Response<Reply> {
        if let Err(status) = self.front.guard.check(&request) {
            return match status {
                StatusCode::UNAUTHORIZED => reply::unauthorized(),
                status => reply::plain(status),
            };
        }
        if let Some(peer) = request.extensions().get::<Peer>() {
            peer.let_in();
        }
        if request.uri().path() != PATH {
            return reply::plain(StatusCode::NOT_FOUND);
        }
        let outcome = match *request.method() {
            Method::POST => self.post(request).await,
            Method::GET => self.get(request.headers()),
            Method::DELETE => self.delete(request.headers()),
            _ => Err(reply::method_not_allowed("GET, POST, DELETE")),
        };
        outcome.unwrap_or_else(|refused| refused)
    }

    async fn post(self: &Rc<Self>, request: Request<Incoming>) -> Outcome {
        let headers = request.headers().clone();
        if !accepts(&headers, &["application/json", "text/event-stream"]) {
            return Err(reply::plain(StatusCode::NOT_ACCEPTABLE));
        }
        if !is_json(&headers) {
            return Err(reply::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let message = read(request).await?;
        if is_modern(&headers, &message) {
            return self.post_modern(&headers, message).await;
        }
        if !headers::is_legacy_version(&headers) {
            let what = "MCP-Protocol-Version is not supported";
            return Err(bad(message.id(), what));
        }
        match (message.kind().clone(), text(&headers, SESSION)) {
            (Kind::Request { id, method }, None) if method == "initialize" => {
                self.open(message, &id).await
            }
            (kind, _) => {
                let client = self.client(&headers, message.id())?;
                if let Kind::Request { id, .. } = kind {
                    if client.has_open(&id) {
                        return Err(bad(Some(&id), &in_use(&id)));
                    }
                    return Ok(client.answer(message, &id).await);
                }
                client.tell(message);
                Ok(reply::empty(StatusCode::ACCEPTED))
            }
        }
    }

    // ------------------------------------------------------------------------------------ sessions

    async fn open(self: &Rc<Self>, hello: Message, id: &Id) -> Outcome {
        if !self.make_room() {
            let what = format!("{SESSIONS} sessions are in use; they end after --idle");
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Err(reply::error(status, Some(id), jsonrpc::INTERNAL_ERROR, &what));
        }
        let name = Secret::random().expose().to_owned();
        let child = Child::new(self.front.outfitter.clone());
        let client = Client::new(name.clone(), child, self.front.settings.clone());
        self.clients.borrow_mut().insert(name.clone(), client.clone());
        let opening = Opening(client.clone());
        spawn_local(self.clone().tend(client.clone()));
        let (greeting, is_agreed) = client.greet(hello, id).await;
        if !is_agreed {
            return Err(greeting);
        }
        std::mem::forget(opening);
        Ok(reply::with(greeting, hyper::header::HeaderName::from_static(SESSION), &name))
    }

    /// Whether one more session may begin; the one that nobody has used for the longest time gives way.
    fn make_room(&self) -> bool {
        let mut clients = self.clients.borrow_mut();
        if clients.len() < SESSIONS {
            return true;
        }
        let abandoned = clients.values().filter(|client| client.is_abandoned());
        let oldest = abandoned.min_by_key(|client| client.used()).cloned();
        oldest
            .inspect(|client| client.close())
            .and_then(|client| clients.remove(&client.id))
            .is_some()
    }

    /// Stays with a session to its end, and sees to it that its server ends too.
    async fn tend(self: Rc<Self>, client: Rc<Client>) {
        client.over(self.front.idle).await;
        client.end(Ending::Closed).await;
        self.clients.borrow_mut().remove(&client.id);
    }

    fn client(&self, headers: &HeaderMap, id: Option<&Id>) -> Result<Rc<Client>, Response<Reply>> {
        let Some(name) = text(headers, SESSION) else {
            return Err(bad(id, "Mcp-Session-Id is missing; begin with initialize"));
        };
        self.clients.borrow().get(name).cloned().ok_or_else(|| {
            reply::error(StatusCode::NOT_FOUND, id, NO_SESSION, "there is no such session")
        })
    }

    fn get(&self, headers: &HeaderMap) -> Outcome {
        if !headers.contains_key(SESSION) && !headers::is_legacy_version(headers) {
            return Err(reply::method_not_allowed("POST"));
        }
        if !accepts(headers, &["text/event-stream"]) {
            return Err(reply::plain(StatusCode::NOT_ACCEPTABLE));
        }
        if !headers::is_legacy_version(headers) {
            return Err(bad(None, "MCP-Protocol-Version is not supported"));
        }
        let client = self.client(headers, None)?;
        Ok(client.listen(text(headers, "last-event-id")))
    }

    fn delete(&self, headers: &HeaderMap) -> Outcome {
        if !headers.contains_key(SESSION) && !headers::is_legacy_version(headers) {
            return Err(reply::method_not_allowed("POST"));
        }
        let client = self.client(headers, None)?;
        self.clients.borrow_mut().remove(&client.id);
        client.close();
        Ok(reply::empty(StatusCode::NO_CONTENT))
    }

    // ------------------------------------------------------------------------------------ 2026-07-28

    async fn post_modern(self: &Rc<Self>, headers: &HeaderMap, message: Message) -> Outcome {
        headers::check_modern(headers, &message)?;
        let Some(server) = self.stateless().await else {
            return Err(headers::too_new(&message));
        };
        if let Kind::Request { id, .. } = message.kind() {
            return Ok(server.answer(&message, id).await);
        }
        server.tell(message);
        Ok(reply::empty(StatusCode::ACCEPTED))
    }

    /// The server for all who need no session, if it can be that.
    async fn stateless(self: &Rc<Self>) -> Option<Rc<Stateless>> {
        let mut known = self.stateless.lock().await;
        if known.is_some() || self.is_legacy.get() {
            return known.clone();
        }
        let child = Child::new(self.front.outfitter.clone());
        let server = Stateless::start(child, self.front.settings.clone()).await;
        self.is_legacy.set(server.is_none());
        known.clone_from(&server);
        if let Some(server) = server {
            spawn_local(self.clone().tend_stateless(server));
        }
        known.clone()
    }

    async fn tend_stateless(self: Rc<Self>, server: Rc<Stateless>) {
        server.over(self.front.idle).await;
        self.stateless.lock().await.take();
        server.end(Ending::Closed).await;
    }

    /// Ends every server at once.
    async fn end(&self) {
        let clients: Vec<_> = self.clients.borrow_mut().drain().map(|(_, client)| client).collect();
        let mut ending = tokio::task::JoinSet::new();
        for client in clients {
            ending.spawn_local(async move { client.end(Ending::Terminated).await });
        }
        if let Some(server) = self.stateless.lock().await.take() {
            server.end(Ending::Terminated).await;
        }
        while ending.join_next().await.is_some() {}
    }
}

/// A session that does not come about ends, also where its client is gone before the greeting.
struct Opening(Rc<Client>);

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn bad(id: Option<&Id>, what: &str) -> Response<Reply> {
    reply::error(StatusCode::BAD_REQUEST, id, jsonrpc::INVALID_REQUEST, what)
}

/// The message in a body.
async fn read(request: Request<Incoming>) -> Result<Message, Response<Reply>> {
    let body = listen::body(request, BODY).await.map_err(|unread| {
        reply::plain(match unread {
            Unread::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Unread::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Unread::Broken => StatusCode::BAD_REQUEST,
        })
    })?;
    let text = std::str::from_utf8(&body).map_err(|_| jsonrpc::Error::NotJson);
    text.and_then(Message::read).map_err(|error| {
        reply::message(StatusCode::BAD_REQUEST, super::failure::unreadable(&error, &body))
    })
}
