//! The bodies of answers: streams of servers, and the proxy's own words.

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::Response;
use hyper::body::Incoming;

use super::Refusal;

pub type Answer = Either<Incoming, Full<Bytes>>;

pub fn local(refusal: &Refusal) -> Response<Answer> {
    refusal.response().map(Either::Right)
}

pub fn remote(response: Response<Incoming>) -> Response<Answer> {
    response.map(Either::Left)
}

/// The answer to CONNECT: from here on the bytes are the client's.
pub fn connected() -> Response<Answer> {
    Response::new(Either::Right(Full::default()))
}
