//! The bodies of answers: streams of servers, as they come or looked through, and the proxy's own words.

use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::header::CONTENT_ENCODING;
use hyper::{HeaderMap, Response};

use super::Refusal;
use super::reflection::{Secrets, Starred};
use super::signals::{Ear, Overheard, Witness};
use crate::http::Inbound;

pub type Answer = Either<Either<Overheard, Starred>, Full<Bytes>>;

pub fn local(refusal: &Refusal) -> Response<Answer> {
    refusal.response().map(Either::Right)
}

/// An answer as it came.
pub fn untouched(response: Response<Inbound>) -> Response<Answer> {
    response.map(|body| Either::Left(Either::Left(Overheard::new(body, None, None))))
}

/// An answer that `ear` hears, to whoever must not learn `secrets`.
pub fn remote(
    mut response: Response<Inbound>,
    ear: Option<Ear>,
    secrets: Option<Rc<Secrets>>,
    witness: Witness,
) -> Response<Answer> {
    if let Some(secrets) = &secrets {
        secrets.star_headers(response.headers_mut());
    }
    let secrets = secrets.filter(|_| !is_encoded(response.headers()));
    response.map(|body| {
        let body = Overheard::new(body, ear, Some(witness));
        Either::Left(match secrets {
            Some(secrets) => Either::Right(Starred::new(body, secrets)),
            None => Either::Left(body),
        })
    })
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The answer to CONNECT: from here on the bytes are the client's.
pub fn connected() -> Response<Answer> {
    Response::new(Either::Right(Full::default()))
}
