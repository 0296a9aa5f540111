//! Connections to servers, kept for the next request. One of HTTP/1 is moved along by whoever waits for the answer
//! that comes on it, so that no task has to be woken for a request; one of HTTP/2 is shared.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper::client::conn::{TrySendError, http2};
use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::Connection as _;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::task::{coop::unconstrained, spawn_local};
use tokio::time::sleep;

use super::dial::{BoxError, Line, Versions};

/// How long a connection may wait for its next request: less than what servers commonly grant.
const IDLE: Duration = Duration::from_secs(55);
/// Longest head of an answer, and most bytes read at once.
const HEAD: usize = 64 * 1024;

/// The body of a request on its way out.
pub type Outbound = UnsyncBoxBody<Bytes, BoxError>;

/// A request that did not get its answer; with the request where nothing of it was sent.
pub(super) type Unanswered = TrySendError<Request<Outbound>>;

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    scheme: Scheme,
    authority: Authority,
}

impl Place {
    /// `None` for an address that is not absolute.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        Some(Self { scheme: uri.scheme()?.clone(), authority: uri.authority()?.clone() })
    }

    /// What the header `Host` says (RFC 9110 §7.2): no port where it goes without saying.
    fn host(&self) -> HeaderValue {
        let usual = if self.scheme == Scheme::HTTPS { 443 } else { 80 };
        let authority = &self.authority;
        let is_usual = authority.port_u16().is_none_or(|port| port == usual);
        let text = if is_usual { authority.host() } else { authority.as_str() };
        // A host consists of what can stand in a header (RFC 3986 §3.2.2).
        HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

/// One of HTTP/2.
type Sender = http2::SendRequest<Outbound>;

/// Connections of HTTP/1 to a server that wait for a request, and since when.
struct Idle {
    place: Place,
    singles: Vec<(Instant, Box<Single>)>,
}

/// A connection of HTTP/2, and when it was used last.
struct Shared {
    place: Place,
    versions: Versions,
    used: Instant,
    sender: Sender,
}

/// The open connections that wait for a request, or take more than one. Servers are few: to look through them takes
/// less time than to hash their names.
#[derive(Default)]
pub(super) struct Pool {
    idle: RefCell<Vec<Idle>>,
    shared: RefCell<Vec<Shared>>,
    is_watched: Cell<bool>,
}

/// A connection that can take a request.
pub(super) enum Open {
    One(Box<Single>),
    Two(Sender),
}

impl Pool {
    /// The connection that was used last, if it still is one.
    pub(super) fn find(&self, place: &Place, versions: Versions) -> Option<Open> {
        if let Some(sender) = self.shared(place, versions) {
            return Some(Open::Two(sender));
        }
        let mut idle = self.idle.borrow_mut();
        let at_place = idle.iter_mut().find(|idle| idle.place == *place);
        let singles = &mut at_place.filter(|_| versions != Versions::Two)?.singles;
        while let Some((since, mut single)) = singles.pop() {
            if since.elapsed() < IDLE && single.is_still_free() {
                return Some(Open::One(single));
            }
        }
        None
    }

    fn shared(&self, place: &Place, versions: Versions) -> Option<Sender> {
        let mut shared = self.shared.borrow_mut();
        let mut open = shared.iter_mut().filter(|shared| !shared.sender.is_closed());
        let found = open.find(|it| it.place == *place && it.versions == versions)?;
        found.used = Instant::now();
        Some(found.sender.clone())
    }

    /// Makes a connection one that takes requests.
    pub(super) async fn open(
        self: &Rc<Self>,
        stream: MaybeHttpsStream<Line>,
        place: Place,
        versions: Versions,
    ) -> Result<Open, hyper::Error> {
        let connected = stream.connected();
        if versions != Versions::Two && !connected.is_negotiated_h2() {
            let handshake = http1::Builder::new().max_buf_size(HEAD).handshake(stream);
            let (sender, connection) = handshake.await?;
            let (host, is_proxied) = (place.host(), connected.is_proxied());
            let connection: Moving = Box::pin(connection.with_upgrades());
            return Ok(Open::One(Box::new(Single {
                place,
                host,
                is_proxied,
                sender,
                withheld: None,
                connection: Some(connection),
            })));
        }
        // Of several that come about at a time, one is enough.
        if let Some(sender) = self.shared(&place, versions) {
            return Ok(Open::Two(sender));
        }
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .adaptive_window(true)
            .max_header_list_size(65_536)
            .handshake(stream)
            .await?;
        // What ends it is told to the requests on it.
        spawn_local(async move { drop(connection.await) });
        let (used, kept) = (Instant::now(), sender.clone());
        self.shared.borrow_mut().push(Shared { place, versions, used, sender: kept });
        self.watch();
        Ok(Open::Two(sender))
    }

    fn put(self: &Rc<Self>, single: Box<Single>) {
        let mut idle = self.idle.borrow_mut();
        let now = Instant::now();
        match idle.iter_mut().find(|idle| idle.place == single.place) {
            Some(idle) => idle.singles.push((now, single)),
            None => idle.push(Idle { place: single.place.clone(), singles: vec![(now, single)] }),
        }
        self.watch();
    }

    /// Sees to it that what waits too long, or was closed, goes.
    fn watch(self: &Rc<Self>) {
        if self.is_watched.replace(true) {
            return;
        }
        let pool = Rc::downgrade(self);
        spawn_local(async move {
            loop {
                sleep(IDLE / 4).await;
                let Some(pool) = pool.upgrade() else { return };
                if pool.sweep() {
                    pool.is_watched.set(false);
                    return;
                }
            }
        });
    }

    /// Whether nothing is left.
    fn sweep(&self) -> bool {
        let is_young = |since: &Instant| since.elapsed() < IDLE;
        let (mut idle, mut shared) = (self.idle.borrow_mut(), self.shared.borrow_mut());
        for idle in &mut *idle {
            idle.singles.retain_mut(|(since, it)| is_young(since) && it.is_still_free());
        }
        idle.retain(|idle| !idle.singles.is_empty());
        shared.retain(|it| is_young(&it.used) && !it.sender.is_closed());
        idle.is_empty() && shared.is_empty()
    }
}

impl Open {
    /// Sends a request with an absolute address.
    pub(super) fn send(self, request: Request<Outbound>, pool: &Rc<Pool>) -> Sending {
        match self {
            Open::One(single) => single.send(request, pool.clone()),
            Open::Two(mut sender) => {
                let answer = Box::pin(sender.try_send_request(request));
                Sending { answer, on: None }
            }
        }
    }
}

/// A request on its way, until the head of its answer is there. Dropped before, it is cancelled.
pub(super) struct Sending {
    answer: Pin<Box<dyn Future<Output = Result<Response<Incoming>, Unanswered>>>>,
    on: Option<(Box<Single>, Rc<Pool>)>,
}

impl Future for Sending {
    type Output = Result<Response<Inbound>, Unanswered>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let answer = this.answer.as_mut();
        let response = ready!(match &mut this.on {
            Some((single, _)) => {
                single.advance(context);
                answer.poll(&mut untold())
            }
            None => answer.poll(context),
        })?;
        let mut on = this.on.take();
        if let Some((single, _)) = &mut on
            && !response.body().is_end_stream()
        {
            // It waits for whoever reads the body, and would wake this task when that begins.
            single.advance(&mut untold());
        }
        let is_switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        Poll::Ready(Ok(response.map(|body| match on {
            Some((single, _)) if is_switched => {
                single.leave();
                Inbound { body, on: None }
            }
            on => Inbound::on(body, on),
        })))
    }
}

/// For what only the connection brings that was moved along just now: to be told of it would wake the same task once
/// more.
fn untold() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Moves the bytes of a connection when it is polled, until it ends.
type Moving = Pin<Box<dyn Future<Output = hyper::Result<()>>>>;

/// Whether the body of a request waits to be asked for by the server (RFC 9110 §10.1.1); an extension of it.
#[derive(Debug, Clone)]
pub struct Withheld(Arc<AtomicBool>);

impl Default for Withheld {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Withheld {
    /// From here on, the body is sent.
    pub fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    pub fn is_so(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection of HTTP/1: one request at a time.
pub(super) struct Single {
    place: Place,
    host: HeaderValue,
    /// A proxy reads what is sent on it.
    is_proxied: bool,
    sender: http1::SendRequest<Outbound>,
    /// Of the request that is on it.
    withheld: Option<Withheld>,
    /// `None`: it has ended.
    connection: Option<Moving>,
}

impl Single {
    fn advance(&mut self, context: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && connection.as_mut().poll(context).is_ready()
        {
            // Dropped, it tells whoever waits.
            self.connection = None;
        }
    }

    /// Whether it takes another request, or has ended.
    fn poll_settled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.advance(context);
        let is_settled = self.is_ready() || self.connection.is_none();
        if is_settled { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether it takes another request after a while, in which its server may have closed it.
    fn is_still_free(&mut self) -> bool {
        self.advance(&mut untold());
        self.is_ready()
    }

    fn is_ready(&self) -> bool {
        self.connection.is_some() && self.sender.is_ready()
    }

    /// From here on, it carries another protocol.
    fn leave(self) {
        if let Some(connection) = self.connection {
            spawn_local(connection);
        }
    }

    fn send(mut self: Box<Self>, mut request: Request<Outbound>, pool: Rc<Pool>) -> Sending {
        self.withheld = request.extensions().get().cloned();
        request.headers_mut().entry(HOST).or_insert_with(|| self.host.clone());
        if !self.is_proxied || self.place.scheme != Scheme::HTTP {
            let path = request.uri().path_and_query().cloned();
            let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
            *request.uri_mut() = path.into();
        }
        let answer = Box::pin(unconstrained(self.sender.try_send_request(request)));
        Sending { answer, on: Some((self, pool)) }
    }
}

/// The body of an answer, which moves the connection along that it comes on. Dropped before its end, it ends the
/// connection; else that waits for its next request.
pub struct Inbound {
    body: Incoming,
    on: Option<(Box<Single>, Rc<Pool>)>,
}

impl Inbound {
    fn on(body: Incoming, on: Option<(Box<Single>, Rc<Pool>)>) -> Self {
        let mut inbound = Self { body, on };
        if inbound.body.is_end_stream() {
            inbound.give_back();
        }
        inbound
    }

    /// A server may answer before it has read the whole request (RFC 9112 §9.5): the rest is still sent, unless it
    /// was withheld. Then nothing else can come on this connection.
    fn give_back(&mut self) {
        let Some((mut single, pool)) = self.on.take() else { return };
        if single.is_ready() {
            return pool.put(single);
        }
        if single.withheld.as_ref().is_some_and(Withheld::is_so) {
            return;
        }
        spawn_local(async move {
            poll_fn(|context| single.poll_settled(context)).await;
            if single.is_ready() {
                pool.put(single);
            }
        });
    }
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let body = Pin::new(&mut this.body);
        let Some((single, _)) = &mut this.on else { return body.poll_frame(context) };
        let mut frame = body.poll_frame(&mut untold());
        if frame.is_pending() {
            single.advance(context);
            frame = Pin::new(&mut this.body).poll_frame(&mut untold());
        }
        if matches!(frame, Poll::Ready(None)) || this.body.is_end_stream() {
            if !single.is_ready() {
                single.advance(context);
            }
            this.give_back();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
