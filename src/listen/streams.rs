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
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use super::framing::Ambiguity;
use super::framing::{Arrived, Watched};
use super::peer::{Peer, UnderWay};
use super::service::Open;
use super::{ACCEPT_PAUSE, Sockets, accept};

/// Longest request head, in bytes. Beyond it the answer is 431.
const HEAD: usize = 64 * 1024;
/// Time for a whole head to arrive, from the end of the request before.
const HEAD_TIME: Duration = Duration::from_mins(2);
/// Most connections held at a time. One more, and the oldest is cut of which nobody is known.
const CONNECTIONS: usize = 1024;
/// File descriptors for everything but connections.
#[cfg(unix)]
const RESERVE: usize = 16;
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

/// The body of a request, and what is known of how it came.
#[derive(Debug)]
pub struct Streams {
    body: Incoming,
    /// Whoever has the connection.
    pub peer: Peer,
    /// The request is not to be taken.
    pub ambiguity: Option<Ambiguity>,
}

impl Body for Streams {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Answers every request on `sockets` by `answer`, until dropped. To be called on one thread, which runs the
/// answers too. A request that is not to be taken says so in its body.
pub async fn serve_streams<A, F, B>(sockets: Sockets, answer: A) -> io::Result<Infallible>
where
    A: Fn(Request<Streams>) -> F + Clone + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body + Unpin + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>> + Unpin,
{
    let sockets: Vec<TcpListener> = super::listening(sockets)?;
    let (mut connections, mut open) = (JoinSet::new(), Open::default());
    let most = affordable();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            stream = accept(&sockets) => match stream {
                Ok(stream) if open.make_room(most) => {
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
                Err(_) => {
                    // Out of file descriptors: the oldest stranger gives back one.
                    open.make_room(0);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// How many connections the process has file descriptors for: each needs another one to its server.
fn affordable() -> usize {
    #[cfg(unix)]
    if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        return (limit.saturating_sub(RESERVE) / 2).clamp(1, CONNECTIONS);
    }
    CONNECTIONS
}

/// Answers the requests of one connection to its end.
pub async fn serve_stream<S, A, F, B>(stream: S, peer: Peer, answer: A)
where
    S: Read + Write + Unpin + Send + 'static,
    A: Fn(Request<Streams>) -> F + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body + Unpin + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>> + Unpin,
{
    let arrived = Arrived::default();
    let watched = Watched::new(stream, arrived.clone()).with_head_time(HEAD_TIME, peer.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let is_connect = request.method() == Method::CONNECT;
        let under_way = peer.begins();
        let answered = answer(looked_at(request, &arrived, peer.clone()));
        let (arrived, peer) = (arrived.clone(), peer.clone());
        async move {
            let response = answered.await;
            let is_tunnel = is_connect && response.status().is_success();
            let is_joined = is_tunnel || response.status() == StatusCode::SWITCHING_PROTOCOLS;
            arrived.decide(is_joined);
            if is_joined {
                peer.joins(true);
            }
            let answering = |body| Answering { body, failed: None, under_way: Some(under_way) };
            Ok::<_, Infallible>(response.map(answering))
        }
    });
    let mut builder = auto::Builder::new(Here);
    builder
        .http1()
        .header_read_timeout(None)
        .max_buf_size(HEAD)
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(65_536)
        .max_concurrent_streams(STREAMS)
        .adaptive_window(true);
    // Failures are the client's own and concern nobody else.
    let _ = builder.serve_connection_with_upgrades(watched, service).await;
}

/// The body of an answer. With its end the request is over.
struct Answering<B: Body> {
    body: B,
    /// Why it breaks off; said once what came before has gone out.
    failed: Option<B::Error>,
    under_way: Option<UnderWay>,
}

impl<B: Body + Unpin> Body for Answering<B>
where
    B::Error: Unpin,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Err(error))) => {
                self.failed = Some(error);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            frame => {
                if matches!(frame, Poll::Ready(None)) {
                    self.under_way = None;
                }
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn looked_at(request: Request<Incoming>, arrived: &Arrived, peer: Peer) -> Request<Streams> {
    let is_one = request.version() < Version::HTTP_2;
    let ambiguity = if is_one { arrived.verdict() } else { None };
    request.map(|body| Streams { body, peer, ambiguity })
}
