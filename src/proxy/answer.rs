//! The bodies of answers: streams of servers, as they come or looked through, and the proxy's own words.

use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_ENCODING;
use hyper::{HeaderMap, Response};

use super::Refusal;
use super::reflection::{Secrets, Starred};

pub type Answer = Either<Either<Incoming, Starred>, Full<Bytes>>;

pub fn local(refusal: &Refusal) -> Response<Answer> {
    refusal.response().map(Either::Right)
}

pub fn remote(response: Response<Incoming>) -> Response<Answer> {
    response.map(|body| Either::Left(Either::Left(body)))
}

/// An answer to whoever must not learn `secrets`.
pub fn starred(mut response: Response<Incoming>, secrets: Rc<Secrets>) -> Response<Answer> {
    secrets.star_headers(response.headers_mut());
    if is_encoded(response.headers()) {
        return remote(response);
    }
    response.map(|body| Either::Left(Either::Right(Starred::new(body, secrets))))
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The answer to CONNECT: from here on the bytes are the client's.
pub fn connected() -> Response<Answer> {
    Response::new(Either::Right(Full::default()))
}
