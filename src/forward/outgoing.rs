//! The body of a request on its way: kept, where it is short and may have to be sent twice; else passed on as it
//! comes, and not before the server wants it (RFC 9110 §10.1.1).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{EXPECT, HeaderValue};
use hyper::{HeaderMap, Request, StatusCode};
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

use super::Broken;
use crate::http::{BoxError, Outbound, Withheld};
use crate::listen::Streams;

/// Longest body that is kept, in bytes.
const KEPT: u64 = 64 * 1024;
/// How long a server is given to ask for a body (RFC 9110 §10.1.1: it may never).
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) enum Outgoing {
    Kept(Bytes),
    /// `None`: it has been sent. One that is short is to be kept, once it is here.
    Stream {
        body: Option<Streams>,
        is_short: bool,
    },
}

impl Outgoing {
    /// A body is kept if it `may_repeat` and says itself that it is short.
    pub(super) fn of(body: Streams, may_repeat: bool) -> Self {
        if body.is_end_stream() {
            return Outgoing::Kept(Bytes::new());
        }
        let is_short = body.size_hint().upper().is_some_and(|length| length <= KEPT);
        Outgoing::Stream { body: Some(body), is_short: may_repeat && is_short }
    }

    /// Whether there is something to wait for.
    pub(super) fn is_short(&self) -> bool {
        matches!(self, Outgoing::Stream { is_short: true, .. })
    }

    /// Waits for what is to be kept.
    pub(super) async fn arrive(&mut self) -> Result<(), Broken> {
        if let Outgoing::Stream { body: Some(body), is_short: true } = self {
            // There are no trailers: they come with chunks, whose length nobody says before.
            let whole = body.collect().await.map_err(|_| Broken::Request)?;
            *self = Outgoing::Kept(whole.to_bytes());
        }
        Ok(())
    }

    /// Whether it can be sent once more.
    pub(super) fn may_repeat(&self) -> bool {
        !matches!(self, Outgoing::Stream { is_short: false, .. })
    }

    /// Whether it can be sent now.
    pub(super) fn is_left(&self) -> bool {
        !matches!(self, Outgoing::Stream { body: None, .. })
    }

    /// The request with this body.
    pub(super) fn put(
        &mut self,
        head: hyper::http::request::Parts,
        waits: Option<&Answered>,
    ) -> Request<Outbound> {
        match self {
            Outgoing::Kept(bytes) if bytes.is_empty() => Request::from_parts(
                head,
                Outbound::new(Empty::new().map_err(|never| match never {})),
            ),
            Outgoing::Kept(bytes) => {
                let whole = Full::new(bytes.clone()).map_err(|never| match never {});
                Request::from_parts(head, Outbound::new(whole))
            }
            Outgoing::Stream { body, .. } => match (body.take(), waits) {
                (Some(body), Some(answered)) => waiting(head, body, answered.clone()),
                (Some(body), None) => {
                    Request::from_parts(head, Outbound::new(body.map_err(BoxError::from)))
                }
                (None, _) => Request::from_parts(head, Outbound::default()),
            },
        }
    }
}

/// A request whose body is not asked for from the client until the server wants it.
fn waiting(
    mut head: hyper::http::request::Parts,
    stream: Streams,
    answered: Answered,
) -> Request<Outbound> {
    let (wanted, asked) = oneshot::channel();
    head.headers.insert(EXPECT, HeaderValue::from_static("100-continue"));
    let (stream, asked, patience) = (Some(stream), Some(asked), Box::pin(sleep(PATIENCE)));
    let withheld = Withheld::default();
    head.extensions.insert(withheld.clone());
    let body = Waiting { stream, withheld, asked, answered, patience };
    let mut request = Request::from_parts(head, Outbound::new(body));
    let wanted = std::sync::Mutex::new(Some(wanted));
    hyper::ext::on_informational(&mut request, move |answer| {
        if answer.status() == StatusCode::CONTINUE
            && let Ok(mut wanted) = wanted.lock()
            && let Some(wanted) = wanted.take()
        {
            let _ = wanted.send(());
        }
    });
    request
}

/// Whether the server has answered: then it does not want the body any more.
#[derive(Debug, Clone, Default)]
pub(super) struct Answered(Arc<AtomicBool>);

impl Answered {
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_noted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct Waiting {
    /// `None`: it is not wanted, and not asked for.
    stream: Option<Streams>,
    withheld: Withheld,
    asked: Option<oneshot::Receiver<()>>,
    answered: Answered,
    patience: Pin<Box<Sleep>>,
}

impl Body for Waiting {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.withheld.is_so() {
            let asked = self.asked.as_mut().map(|asked| Pin::new(asked).poll(context));
            if !matches!(asked, Some(Poll::Ready(Ok(())))) {
                if asked.is_some_and(|asked| asked.is_ready()) {
                    // Nobody will ask: the server has answered, or speaks HTTP/2, where only time tells.
                    self.asked = None;
                }
                ready!(self.patience.as_mut().poll(context));
                if self.answered.is_noted() {
                    self.stream = None;
                    // The end of the answer ends the request.
                    return Poll::Pending;
                }
            }
            self.withheld.end();
        }
        match &mut self.stream {
            Some(stream) => Pin::new(stream).poll_frame(context).map_err(BoxError::from),
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.stream.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.stream.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

/// Whether the client waits for an invitation before it sends its body.
pub(super) fn waits(headers: &HeaderMap) -> Option<Answered> {
    let waits = headers
        .get(hyper::header::EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    waits.then(Answered::default)
}
