//! Requests that are passed on elsewhere: HTTP/1.1 and HTTP/2 (with prior knowledge, or settled by TLS), bodies
//! that stream both ways, upgrades. Heads, times and connections are bounded; bodies and answers are not.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::rt::{Executor, Read, Write};
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use super::framing::Ambiguity;
use super::framing::{Arrived, Watched};
use super::service::{Open, Peer};
use super::{ACCEPT_PAUSE, Sockets, accept};

/// Longest request head, in bytes. Beyond it the answer is 431.
const HEAD: usize = 64 * 1024;
/// Time for a whole head to arrive, from the end of the request before.
const HEAD_TIME: Duration = Duration::from_mins(2);
/// Connections held at a time. One more, and the oldest is cut of which nobody is known.
const CONNECTIONS: usize = 1024;
/// Streams of one HTTP/2 connection at a time.
const STREAMS: u32 = 256;

/// Runs what a connection spawns on the thread that serves it.
#[derive(Debug, Clone, Copy)]
struct Here;

impl<F: Future + 'static> Executor<F> for Here {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// The body of a request, which tells when the next head may come.
pub struct Streams {
    incoming: Incoming,
    arrived: Option<Arrived>,
}

impl Streams {
    fn new(incoming: Incoming, arrived: Option<Arrived>) -> Self {
        let mut body = Self { incoming, arrived };
        if body.incoming.is_end_stream() {
            body.ended();
        }
        body
    }

    fn ended(&mut self) {
        if let Some(arrived) = self.arrived.take() {
            arrived.expect_head();
        }
    }
}

impl Body for Streams {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.incoming).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) || self.incoming.is_end_stream() {
            self.ended();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.ended();
    }
}

/// Answers every request on `sockets` by `answer`, until dropped. To be called on one thread, which runs the
/// answers too. A request with a head that has two readings carries an [`Ambiguity`] as its extension.
pub async fn serve_streams<A, F, B>(sockets: Sockets, answer: A) -> io::Result<Infallible>
where
    A: Fn(Request<Streams>) -> F + Clone + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let sockets: Vec<TcpListener> = super::listening(sockets)?;
    let (mut connections, mut open) = (JoinSet::new(), Open::default());
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            stream = accept(&sockets) => match stream {
                Ok(stream) if open.make_room(CONNECTIONS) => {
                    let _ = stream.set_nodelay(true);
                    let peer = Peer::default();
                    let (known, answer) = (peer.clone(), answer.clone());
                    let served = async move {
                        tokio::select! {
                            () = serve_stream(TokioIo::new(stream), known.clone(), answer) => {}
                            () = known.stays_unknown() => {}
                        }
                    };
                    open.add(connections.spawn_local(served), peer);
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

/// Answers the requests of one connection to its end.
pub async fn serve_stream<S, A, F, B>(stream: S, peer: Peer, answer: A)
where
    S: Read + Write + Unpin + Send + 'static,
    A: Fn(Request<Streams>) -> F + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let arrived = Arrived::default();
    let watched = Watched { stream, arrived: arrived.clone() };
    let service = service_fn(move |request: Request<Incoming>| {
        let request = looked_at(request, &arrived, peer.clone());
        let answered = answer(request);
        async { Ok::<_, Infallible>(answered.await) }
    });
    let mut builder = auto::Builder::new(Here);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD)
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(65_536)
        .max_concurrent_streams(STREAMS)
        .adaptive_window(true);
    // Failures are the client's own and concern nobody else.
    let _ = builder.serve_connection_with_upgrades(watched, service).await;
}

fn looked_at(request: Request<Incoming>, arrived: &Arrived, peer: Peer) -> Request<Streams> {
    let is_one = request.version() < Version::HTTP_2;
    let found = if is_one { arrived.take() } else { None };
    let (mut head, incoming) = request.into_parts();
    head.extensions.insert(peer);
    if let Some(found) = found {
        head.extensions.insert(found);
    }
    Request::from_parts(head, Streams::new(incoming, is_one.then(|| arrived.clone())))
}
