//! Requests with bodies, answered by one function: the loopback side of a protocol over HTTP. Heads, bodies,
//! times and connections are bounded; whose a request is and what it means is for the function.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::framing::{Ambiguity, Arrived, Watched};
use super::peer::Peer;
use super::{ACCEPT_PAUSE, Sockets, accept};

/// Longest request head, in bytes. Beyond it the answer is 431.
const HEAD: usize = 32 * 1024;

/// Time for a whole head to arrive, from the end of the request before.
const HEAD_TIME: Duration = Duration::from_mins(1);

/// Time for a whole body.
const BODY_TIME: Duration = Duration::from_secs(30);

/// Connections held at a time. One more, and the oldest is cut of which nobody is known, or whose body is still
/// on its way; if there is none, the new one is closed.
const CONNECTIONS: usize = 256;

/// The open connections, oldest first.
#[derive(Default)]
pub(super) struct Open(VecDeque<(AbortHandle, Peer)>);

impl Open {
    /// Whether there is room for one more, perhaps in place of a stranger, of one that waits between two requests,
    /// or of one that still brings a body.
    pub(super) fn make_room(&mut self, most: usize) -> bool {
        if self.0.len() < most {
            return true;
        }
        self.0.retain(|(task, _)| !task.is_finished());
        if self.0.len() < most {
            return true;
        }
        let first = |is_one: fn(&Peer) -> bool| self.0.iter().position(|(_, peer)| is_one(peer));
        let oldest = first(|peer| !peer.is_known());
        let oldest = oldest.or_else(|| first(Peer::is_idle)).or_else(|| first(Peer::is_bringing));
        let oldest = oldest.and_then(|index| self.0.remove(index));
        oldest.inspect(|(task, _)| task.abort()).is_some()
    }

    pub(super) fn add(&mut self, task: AbortHandle, peer: Peer) {
        self.0.push_back((task, peer));
    }
}

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    TooLong,
    TooSlow,
    Broken,
}

/// Answers every request on `sockets` by `answer`, until dropped. To be called on one thread, which runs the
/// answers too. A request with a head that has two readings is refused here.
pub async fn serve<A, F, B>(sockets: Sockets, answer: A) -> io::Result<Infallible>
where
    A: Fn(Request<Incoming>) -> F + Clone + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes, Error = Infallible> + 'static,
{
    let sockets: Vec<TcpListener> = super::listening(sockets)?;
    let (mut connections, mut open) = (JoinSet::new(), Open::default());
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            stream = accept(&sockets) => match stream {
                Ok(stream) if open.make_room(CONNECTIONS) => {
                    let peer = Peer::default();
                    let served = converse(stream, peer.clone(), answer.clone());
                    open.add(connections.spawn_local(served), peer);
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

async fn converse<A, F, B>(stream: TcpStream, peer: Peer, answer: A)
where
    A: Fn(Request<Incoming>) -> F + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes, Error = Infallible> + 'static,
{
    let _ = stream.set_nodelay(true);
    let stranger = peer.clone();
    let arrived = Arrived::default();
    let watched = Watched::new(TokioIo::new(stream), arrived.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        let refused = arrived.verdict().map(ambiguous);
        request.extensions_mut().insert(peer.clone());
        let answered = refused.is_none().then(|| answer(request));
        let arrived = arrived.clone();
        async move {
            let response = match answered {
                Some(answered) => answered.await.map(Either::Left),
                None => refused.unwrap_or_default().map(Either::Right),
            };
            arrived.decide(false);
            Ok::<_, Infallible>(response)
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD)
        .serve_connection(watched, service);
    // Failures are the client's own and concern nobody else.
    tokio::select! {
        _ = served => {}
        () = stranger.stays_unknown() => {}
    }
}

/// Refuses a head that two programs may read differently, and whatever comes behind it.
fn ambiguous(what: Ambiguity) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{}\n", what.as_str())));
    let excess = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    *response.status_mut() = if what.is_excess() { excess } else { StatusCode::BAD_REQUEST };
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The whole body of a request.
pub async fn body(request: Request<Incoming>, most: usize) -> Result<Vec<u8>, Unread> {
    let (head, incoming) = request.into_parts();
    let peer = head.extensions.get::<Peer>().cloned().unwrap_or_default();
    peer.brings(true);
    let read = timeout(BODY_TIME, Limited::new(incoming, most).collect()).await;
    peer.brings(false);
    match read {
        Err(_) => Err(Unread::TooSlow),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Unread::TooLong),
        Ok(Err(_)) => Err(Unread::Broken),
        Ok(Ok(body)) => Ok(body.to_bytes().into()),
    }
}
