//! What goes back to a client over HTTP.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::events::EventBody;
use super::guard::Stranger;
use crate::jsonrpc::{INVALID_REQUEST, Id, Message};

/// A body that is whole, or comes as it happens.
pub enum Reply {
    Whole(Full<Bytes>),
    Events(EventBody),
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Reply::Whole(body) => Pin::new(body).poll_frame(context),
            Reply::Events(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Reply::Whole(body) if body.is_end_stream())
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Reply::Whole(body) => body.size_hint(),
            Reply::Events(_) => hyper::body::SizeHint::default(),
        }
    }
}

fn response(status: StatusCode, kind: &'static str, body: Reply) -> Response<Reply> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let fixed = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A request that is not let through, and why: a JSON-RPC error that answers none.
pub fn refused(status: StatusCode, what: &str) -> Response<Reply> {
    error(status, None, INVALID_REQUEST, what)
}

/// Somebody who is not let in.
pub fn stranger(stranger: Stranger) -> Response<Reply> {
    let response = refused(stranger.status(), &stranger.to_string());
    match stranger.status() {
        StatusCode::UNAUTHORIZED => {
            with(response, header::WWW_AUTHENTICATE, "Bearer realm=\"authctl\"")
        }
        _ => response,
    }
}

pub fn empty(status: StatusCode) -> Response<Reply> {
    let mut response = Response::new(Reply::Whole(Full::default()));
    *response.status_mut() = status;
    response
}

pub fn method_not_allowed(allowed: &'static str) -> Response<Reply> {
    let what = format!("only {allowed} is answered here");
    with(refused(StatusCode::METHOD_NOT_ALLOWED, &what), header::ALLOW, allowed)
}

pub fn message(status: StatusCode, message: Message) -> Response<Reply> {
    response(status, "application/json", Reply::Whole(Full::from(message.into_text())))
}

pub fn error(status: StatusCode, id: Option<&Id>, code: i64, what: &str) -> Response<Reply> {
    message(status, Message::error(id, code, what, None))
}

/// No proxy may hold it back.
pub fn events(body: EventBody) -> Response<Reply> {
    let response = response(StatusCode::OK, "text/event-stream", Reply::Events(body));
    with(response, HeaderName::from_static("x-accel-buffering"), "no")
}

pub fn with(mut response: Response<Reply>, name: HeaderName, value: &str) -> Response<Reply> {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}
