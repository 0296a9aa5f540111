//! One client of revisions with sessions (2025-03-26 to 2025-11-25): its own server, its open requests, and the
//! stream for what the server says by itself.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use hyper::Response;
use hyper::StatusCode;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::events::{Events, From, read_id};
use super::reply::{self, Reply};
use crate::jsonrpc::{Id, Kind, Message};
use crate::launch::Ending;
use crate::mcp::host::Host;
use crate::mcp::session::Session;
use crate::mcp::{Child, LEGACY, Settings, Shared};

/// How long an answer may take before the stream that will bring it is begun.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a server may take to answer `initialize`.
const GREETING: Duration = Duration::from_mins(1);

/// Streams of requests that are kept for a client that was cut off.
const KEPT_STREAMS: usize = 8;

/// The name of the stream that belongs to no request.
const OWN: u64 = 0;

/// A session over HTTP.
pub struct Client {
    pub id: String,
    session: Rc<Session>,
    child: Rc<Child>,
    outlet: Rc<Outlet>,
    /// Of the greeting.
    version: RefCell<String>,
    used: Cell<Instant>,
    closed: Notify,
}

/// An open request.
struct Post {
    id: Id,
    progress_token: Value,
    events: Rc<Events>,
}

/// Where what the server says goes.
struct Outlet {
    own: Rc<Events>,
    posts: RefCell<Vec<Post>>,
    cut: RefCell<VecDeque<Rc<Events>>>,
    streams: Cell<u64>,
    is_greeted: Cell<bool>,
}

impl Host for Outlet {
    fn send(&self, message: Message) {
        if let Kind::Response { id, .. } = message.kind() {
            let mut posts = self.posts.borrow_mut();
            let Some(index) = posts.iter().position(|post| Some(&post.id) == id.as_ref()) else {
                return;
            };
            let post = posts.remove(index);
            post.events.push(message);
            post.events.finish();
            return;
        }
        self.stream_for(&message).push(message);
    }
}

impl Outlet {
    /// On stdio nothing tells which request a message belongs to, except progress.
    fn stream_for(&self, message: &Message) -> Rc<Events> {
        let posts = self.posts.borrow();
        // Before the client knows its session, it can answer nothing, and reads one message.
        if !self.is_greeted.get() {
            return self.own.clone();
        }
        if message.method() == Some("notifications/progress") {
            let token = message.member("params")["progressToken"].take();
            let post = posts.iter().find(|post| post.progress_token == token);
            return post.map_or_else(|| self.own.clone(), |post| post.events.clone());
        }
        let is_of_nobody = message
            .method()
            .is_some_and(|name| name.ends_with("/list_changed") || name.ends_with("/updated"));
        match &posts[..] {
            _ if is_of_nobody => self.own.clone(),
            [only] => only.events.clone(),
            [.., newest] if !self.own.is_read() => newest.events.clone(),
            _ => self.own.clone(),
        }
    }

    fn open(&self, request: &Message, id: &Id) -> Rc<Events> {
        self.streams.set(self.streams.get() + 1);
        let events = Events::new(Some(self.streams.get()));
        let progress_token = request.member("params")["_meta"]["progressToken"].take();
        let post = Post { id: id.clone(), progress_token, events: events.clone() };
        let mut posts = self.posts.borrow_mut();
        // What was cancelled gets no answer, and its id may come again.
        posts.retain(|post| post.id != *id);
        posts.push(post);
        events
    }

    /// Keeps a stream that a client may want to go on with.
    fn keep(&self, events: &Rc<Events>) {
        let mut cut = self.cut.borrow_mut();
        cut.push_back(events.clone());
        if cut.len() > KEPT_STREAMS {
            cut.pop_front();
        }
    }

    fn named(&self, name: u64) -> Option<Rc<Events>> {
        if name == OWN {
            return Some(self.own.clone());
        }
        self.cut.borrow().iter().find(|events| events.name() == Some(name)).cloned()
    }

    fn finish(&self) {
        self.own.finish();
        self.posts.borrow().iter().for_each(|post| post.events.finish());
    }
}

impl Client {
    pub fn new(id: String, child: Rc<Child>, settings: Settings) -> Rc<Self> {
        let outlet = Rc::new(Outlet {
            own: Events::new(Some(OWN)),
            posts: RefCell::default(),
            cut: RefCell::default(),
            streams: Cell::new(OWN),
            is_greeted: Cell::default(),
        });
        let link = Rc::new(Shared(child.clone()));
        let session = Session::new(outlet.clone(), link, settings);
        Rc::new(Self {
            id,
            session,
            child,
            outlet,
            version: RefCell::new(LEGACY.to_owned()),
            used: Cell::new(Instant::now()),
            closed: Notify::new(),
        })
    }

    /// Passes `initialize` on; `None` if the server did not agree, with what it answered.
    pub async fn greet(&self, hello: Message, id: &Id) -> (Response<Reply>, bool) {
        let events = self.outlet.open(&hello, id);
        self.session.take(hello);
        let _held = events.hold();
        let _ = timeout(GREETING, events.begun()).await;
        self.outlet.is_greeted.set(true);
        let Some(greeting) = events.single() else {
            let what = "the server did not answer";
            let status = StatusCode::BAD_GATEWAY;
            return (reply::error(status, Some(id), crate::jsonrpc::INTERNAL_ERROR, what), false);
        };
        let is_agreed = !matches!(greeting.kind(), Kind::Response { is_error: true, .. });
        if let Some(version) = greeting.member("result")["protocolVersion"].as_str() {
            version.clone_into(&mut self.version.borrow_mut());
        }
        (reply::message(StatusCode::OK, greeting), is_agreed)
    }

    /// The answer to a request, as JSON if it comes soon and alone.
    pub async fn answer(&self, request: Message, id: &Id) -> Response<Reply> {
        self.touch();
        let events = self.outlet.open(&request, id);
        self.session.take(request);
        let held = events.hold();
        let _ = timeout(PATIENCE, events.begun()).await;
        self.touch();
        if let Some(response) = events.single() {
            return reply::message(StatusCode::OK, response);
        }
        self.outlet.keep(&events);
        drop(held);
        reply::events(events.body(From::Undelivered, self.primes(), None))
    }

    /// Clients of older revisions read every event as a message.
    fn primes(&self) -> bool {
        self.version.borrow().as_str() >= LEGACY
    }

    /// Waits until the client may say more.
    pub async fn room(&self) {
        self.touch();
        self.session.room().await;
    }

    pub fn tell(&self, message: Message) {
        self.touch();
        self.session.take(message);
    }

    /// The server's own stream, or one that was cut, from the event after `last_id` on.
    pub fn listen(&self, last_id: Option<&str>) -> Response<Reply> {
        self.touch();
        let resumed = last_id
            .and_then(read_id)
            .and_then(|(name, number)| Some((self.outlet.named(name)?, From::After(number))));
        let (events, from) = resumed.unwrap_or((self.outlet.own.clone(), From::Undelivered));
        reply::events(events.body(from, self.primes(), None))
    }

    fn touch(&self) {
        self.used.set(Instant::now());
    }

    /// A client that waits for an answer is there; an open stream alone says nothing.
    fn is_waiting(&self) -> bool {
        self.outlet.posts.borrow().iter().any(|post| post.events.is_read())
    }

    /// Nobody waits for anything here.
    pub fn is_abandoned(&self) -> bool {
        !self.is_waiting() && !self.outlet.own.is_read()
    }

    /// When it was used last.
    pub fn used(&self) -> Instant {
        self.used.get()
    }

    /// Whether a request of this id has no response yet.
    pub fn has_open(&self, id: &Id) -> bool {
        self.session.has_open(id)
    }

    pub fn close(&self) {
        self.closed.notify_one();
    }

    /// Comes back when the session is over: closed, idle, or left by its server.
    pub async fn over(&self, idle: Duration) {
        loop {
            tokio::select! {
                _ = self.child.exited() => return,
                () = self.closed.notified() => return,
                () = sleep_until(self.used.get() + idle) => {}
            }
            if self.is_waiting() {
                self.touch();
            } else if self.used.get().elapsed() >= idle {
                return;
            }
        }
    }

    /// Ends the server, and with it whatever is open.
    pub async fn end(&self, how: Ending) {
        self.child.end(how).await;
        // The answers to what was open are on their way.
        tokio::task::yield_now().await;
        self.outlet.finish();
    }
}
