//! A server on stdio for clients over Streamable HTTP, whichever revision it speaks itself: clients of 2025-03-26
//! to 2025-11-25 have a server for each session, those of 2026-07-28 share some. What nobody uses ends.

mod client;
mod events;
mod guard;
mod headers;
mod kinds;
mod reply;
mod stateless;

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Method, Request, Response, StatusCode};
use tokio::task::spawn_local;

use client::Client;
pub use guard::Guard;
use headers::{accepts, is_json, is_modern, text};
use kinds::Kinds;
use reply::Reply;

use super::failure::in_use;
use super::{Child, Hosts, Outfitter, Settings};
use crate::jsonrpc::{self, Id, Kind, Message};
use crate::launch::Ending;
use crate::listen::{self, Peer, Sockets, Unread};
use crate::secret::Secret;
use crate::stdio;

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
    kinds: Rc<Kinds>,
}

/// Serves until a signal comes; then no server is left.
pub async fn serve(front: Front, sockets: Sockets) -> io::Result<()> {
    let kinds = Kinds::new(front.outfitter.clone(), front.settings.clone(), front.idle);
    let state = Rc::new(State { front, clients: RefCell::default(), kinds });
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
        if let Err(stranger) = self.front.guard.check(&request) {
            return reply::stranger(stranger);
        }
        if let Some(peer) = request.extensions().get::<Peer>() {
            peer.let_in();
        }
        if request.uri().path() != PATH {
            return reply::refused(StatusCode::NOT_FOUND, "the server is at /mcp");
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
            let what = "Accept has to name application/json and text/event-stream";
            return Err(reply::refused(StatusCode::NOT_ACCEPTABLE, what));
        }
        if !is_json(&headers) {
            let what = "Content-Type has to be application/json";
            return Err(reply::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, what));
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
                client.room().await;
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
            return Err(busy(Some(id), &what));
        }
        let name = Secret::random().expose().to_owned();
        let child = Child::new(self.front.outfitter.clone(), Hosts::One);
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
            let what = "Accept has to name text/event-stream";
            return Err(reply::refused(StatusCode::NOT_ACCEPTABLE, what));
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
        let Some(server) = self.kinds.server(&message).await else {
            return Err(busy(message.id(), "all servers are in use; they end after --idle"));
        };
        if let Kind::Request { id, .. } = message.kind() {
            return Ok(server.answer(headers, &message, id).await);
        }
        server.tell(message).await;
        Ok(reply::empty(StatusCode::ACCEPTED))
    }

    /// Ends every server at once.
    async fn end(&self) {
        let clients: Vec<_> = self.clients.borrow_mut().drain().map(|(_, client)| client).collect();
        let mut ending = tokio::task::JoinSet::new();
        for client in clients {
            ending.spawn_local(async move { client.end(Ending::Terminated).await });
        }
        self.kinds.end().await;
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

fn busy(id: Option<&Id>, what: &str) -> Response<Reply> {
    reply::error(StatusCode::SERVICE_UNAVAILABLE, id, jsonrpc::INTERNAL_ERROR, what)
}

/// The message in a body.
async fn read(request: Request<Incoming>) -> Result<Message, Response<Reply>> {
    let body = listen::body(request, BODY).await.map_err(|unread| match unread {
        Unread::TooLong => {
            let what = format!("a message has at most {} MiB here", BODY >> 20);
            reply::refused(StatusCode::PAYLOAD_TOO_LARGE, &what)
        }
        Unread::TooSlow => reply::refused(StatusCode::REQUEST_TIMEOUT, "the body came too slowly"),
        Unread::Broken => reply::refused(StatusCode::BAD_REQUEST, "the body broke off"),
    })?;
    let text = std::str::from_utf8(&body).map_err(|_| jsonrpc::Error::NotJson);
    text.and_then(Message::read)
        .map_err(|error| reply::message(StatusCode::BAD_REQUEST, stdio::unreadable(&error, &body)))
}
