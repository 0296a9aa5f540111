//! Requests with bodies, answered by one function: the loopback side of a protocol over HTTP. Heads, bodies,
//! times and connections are bounded; whose a request is and what it means is for the function.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{ACCEPT_PAUSE, Sockets, accept};

/// Longest request head, in bytes. Beyond it the answer is 431.
const HEAD: usize = 32 * 1024;

/// Time for a whole head to arrive, from the end of the request before.
const HEAD_TIME: Duration = Duration::from_mins(1);

/// Time for a whole body.
const BODY_TIME: Duration = Duration::from_secs(30);

/// Connections held at a time; one more is closed at once.
const CONNECTIONS: usize = 256;

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    TooLong,
    TooSlow,
    Broken,
}

/// Answers every request on `sockets` by `answer`, until dropped. To be called on one thread, which runs the
/// answers too.
pub async fn serve<A, F, B>(sockets: Sockets, answer: A) -> io::Result<Infallible>
where
    A: Fn(Request<Incoming>) -> F + Clone + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Error = Infallible> + 'static,
    B::Data: 'static,
{
    let sockets: Vec<TcpListener> = super::listening(sockets)?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            stream = accept(&sockets) => match stream {
                Ok(_) if connections.len() >= CONNECTIONS => {}
                Ok(stream) => {
                    connections.spawn_local(converse(stream, answer.clone()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

async fn converse<A, F, B>(stream: TcpStream, answer: A)
where
    A: Fn(Request<Incoming>) -> F + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Error = Infallible> + 'static,
    B::Data: 'static,
{
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let answered = answer(request);
        async { Ok::<_, Infallible>(answered.await) }
    });
    // Failures are the client's own and concern nobody else.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// The whole body of a request.
pub async fn body(incoming: Incoming, most: usize) -> Result<Vec<u8>, Unread> {
    match timeout(BODY_TIME, Limited::new(incoming, most).collect()).await {
        Err(_) => Err(Unread::TooSlow),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Unread::TooLong),
        Ok(Err(_)) => Err(Unread::Broken),
        Ok(Ok(body)) => Ok(body.to_bytes().into()),
    }
}
