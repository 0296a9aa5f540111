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
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::crew::{Crew, Handed, Place};
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
/// answers too; what is too much for it goes to the `crew`. A request that is not to be taken says so in its body.
pub async fn serve_streams<A, F, B>(
    sockets: Sockets,
    mut crew: Crew,
    answer: A,
) -> io::Result<Infallible>
where
    A: Fn(Request<Streams>) -> F + Clone + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body + Unpin + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>> + Unpin,
{
    let sockets: Vec<TcpListener> = super::listening(sockets)?;
    let mut counter = Counter::new(crew.size());
    loop {
        tokio::select! {
            Some(_) = counter.connections.join_next() => {}
            stream = accept(&sockets) => {
                let Ok(stream) = stream else {
                    // Out of file descriptors: the oldest stranger gives back one.
                    counter.open.make_room(0);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                };
                if let Some(stream) = crew.take(stream, counter.connections.len()) {
                    counter.serve(stream, None, answer.clone());
                }
            }
        }
    }
}

/// Answers what comes on connections that another thread took, until that one ends.
pub async fn serve_handed<A, F, B>(mut handed: Handed, answer: A)
where
    A: Fn(Request<Streams>) -> F + Clone + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body + Unpin + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>> + Unpin,
{
    let mut counter = Counter::new(handed.size);
    loop {
        tokio::select! {
            Some(_) = counter.connections.join_next() => {}
            next = handed.queue.recv() => {
                let Some((stream, place)) = next else { return };
                // One that has broken off meanwhile is none.
                if let Ok(stream) = TcpStream::from_std(stream) {
                    counter.serve(stream, Some(place), answer.clone());
                }
            }
        }
    }
}

/// The connections of one thread.
struct Counter {
    connections: JoinSet<()>,
    open: Open,
    most: usize,
}

impl Counter {
    /// `size`: how many threads share what the process can have.
    fn new(size: usize) -> Self {
        let most = (affordable() / size).max(1);
        Self { connections: JoinSet::new(), open: Open::default(), most }
    }

    fn serve<A, F, B>(&mut self, stream: TcpStream, place: Option<Place>, answer: A)
    where
        A: Fn(Request<Streams>) -> F + 'static,
        F: Future<Output = Response<B>> + 'static,
        B: Body + Unpin + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>> + Unpin,
    {
        if !self.open.make_room(self.most) {
            return;
        }
        let _ = stream.set_nodelay(true);
        let peer = Peer::default();
        let known = peer.clone();
        let served = async move {
            let _place = place;
            tokio::select! {
                biased;
                () = serve_stream(TokioIo::new(stream), known.clone(), answer) => {}
                () = known.stays_unknown() => {}
            }
        };
        self.open.add(self.connections.spawn_local(served), peer);
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
        let is_one = request.version() < Version::HTTP_2;
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
            let line = is_one.then_some(arrived);
            let answering =
                |body| Answering { body, failed: None, line, under_way: Some(under_way) };
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
    /// Of HTTP/1: there the connection writes all that came before, and then nothing.
    line: Option<Arrived>,
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
        if self.failed.is_some() {
            return match &self.line {
                Some(line) if line.is_awaited() => Poll::Pending,
                _ => Poll::Ready(self.failed.take().map(Err)),
            };
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Err(error))) => {
                self.failed = Some(error);
                match &self.line {
                    Some(line) => line.await_end(context),
                    None => context.waker().wake_by_ref(),
                }
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A body of one piece that then breaks off.
    struct Breaking {
        piece: Option<Bytes>,
        broke: Option<tokio::sync::oneshot::Sender<()>>,
    }

    impl Body for Breaking {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
            if let Some(piece) = self.piece.take() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if let Some(broke) = self.broke.take() {
                let _ = broke.send(());
            }
            Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
        }
    }

    #[tokio::test]
    async fn what_came_before_a_break_goes_out_to_a_client_that_is_slow_to_read() {
        const LENGTH: usize = 50_000;
        let (mut client, far) = tokio::io::duplex(1_000);
        let (broke, broken) = tokio::sync::oneshot::channel();
        let broke = std::rc::Rc::new(std::cell::Cell::new(Some(broke)));
        let answer = move |_| {
            let piece = Some(Bytes::from(vec![b'x'; LENGTH]));
            let body = Breaking { piece, broke: broke.take() };
            async { Response::new(body) }
        };
        let local = tokio::task::LocalSet::new();
        let served = serve_stream(TokioIo::new(far), Peer::default(), answer);
        local.spawn_local(served);
        let read = local.run_until(async {
            client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            broken.await.unwrap();
            let mut said = Vec::new();
            client.read_to_end(&mut said).await.unwrap();
            said.iter().filter(|byte| **byte == b'x').count()
        });
        assert_eq!(read.await, LENGTH);
    }
}
