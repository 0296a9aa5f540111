//! Headers that concern one connection only and are not passed on (RFC 9110 §7.6.1), and those in which a
//! client proves who it is.

use bytes::BytesMut;
use hyper::HeaderMap;
use hyper::header::{
    AUTHORIZATION, CONNECTION, EXPECT, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};

/// Headers in which clients send what proves who they are. None of them is passed on as it came. The first one
/// is for clients that put something of their own into the others.
pub static AUTHENTICATION: [HeaderName; 7] = [
    HeaderName::from_static("x-authctl-key"),
    AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-adcp-auth"),
    HeaderName::from_static("dpop"),
];

/// Headers of a connection.
static OWN: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];
/// What `Connection` says that names no header.
const KEEPING: [&str; 2] = ["keep-alive", "close"];
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// Tells clients not to send the same again (the SDKs of Anthropic and OpenAI heed it, and Claude Code, which would
/// repeat what got 401 for minutes).
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Marks an answer that would be the same again, unless its server has said what it thinks of that.
pub fn discourage(headers: &mut HeaderMap) {
    headers.entry(SHOULD_RETRY).or_insert(HeaderValue::from_static("false"));
}

/// The protocol that a client or a server wants to change to (RFC 9110 §7.8).
pub fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let is_wanted = options(headers).any(|option| option.eq_ignore_ascii_case("upgrade"));
    headers.get(UPGRADE).filter(|_| is_wanted).cloned()
}

/// Takes out of a request what concerns its own connection, and what the next one states anew.
pub fn strip_request(headers: &mut HeaderMap) {
    let takes_trailers = headers.get_all(TE).iter().any(|value| {
        let mut codings = value.to_str().unwrap_or_default().split(',');
        codings.any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
    });
    strip(headers, &[HOST, EXPECT, PROXY_AUTHORIZATION]);
    if takes_trailers {
        headers.insert(TE, TRAILERS);
    }
}

/// The same for an answer.
pub fn strip_answer(headers: &mut HeaderMap) {
    strip(headers, &[PROXY_AUTHENTICATE]);
}

/// Copies the values out of the buffer that the request was read into, which can then take the next one.
pub fn detach(headers: &mut HeaderMap) {
    let length = headers.values().map(HeaderValue::len).sum();
    let mut all = BytesMut::with_capacity(length);
    for value in headers.values() {
        all.extend_from_slice(value.as_bytes());
    }
    for value in headers.values_mut() {
        let copy = HeaderValue::from_maybe_shared(all.split_to(value.len()).freeze());
        // What was one before is one again.
        if let Ok(copy) = copy {
            *value = copy;
        }
    }
}

/// Takes out the headers that are `unwanted`. Most are not there: only what is has to be looked up.
pub fn remove(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let found: Vec<HeaderName> = headers.keys().filter(|name| unwanted(name)).cloned().collect();
    for name in found {
        headers.remove(name);
    }
}

fn strip(headers: &mut HeaderMap, further: &[HeaderName]) {
    if headers.contains_key(CONNECTION) {
        let named = options(headers).filter(|option| !KEEPING.contains(option));
        let named: Vec<HeaderName> = named.filter_map(|name| name.parse().ok()).collect();
        for name in named {
            headers.remove(name);
        }
    }
    remove(headers, |name| OWN.contains(name) || further.contains(name));
}

/// What the `Connection` headers list.
fn options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|option| !option.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let parsed = all
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        parsed.collect()
    }

    #[test]
    fn what_concerns_one_connection_goes_no_further() {
        let mut request = headers(&[
            ("connection", "keep-alive, X-Mine"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic eA=="),
            ("te", "gzip, trailers"),
            ("transfer-encoding", "chunked"),
            ("expect", "100-continue"),
            ("host", "127.0.0.1:1"),
            ("accept", "*/*"),
        ]);
        strip_request(&mut request);
        assert_eq!(request, headers(&[("accept", "*/*"), ("te", "trailers")]));
        let mut answer = headers(&[
            ("connection", "close"),
            ("upgrade", "h2c"),
            ("proxy-authenticate", "Basic"),
            ("etag", "x"),
        ]);
        strip_answer(&mut answer);
        assert_eq!(answer, headers(&[("etag", "x")]));
    }

    #[test]
    fn copies_say_the_same() {
        let mut request =
            headers(&[("accept", "*/*"), ("x-empty", ""), ("cookie", "a=b; c=\"d\"")]);
        let before = request.clone();
        detach(&mut request);
        assert_eq!(request, before);
        detach(&mut HeaderMap::new());
    }

    #[test]
    fn an_upgrade_needs_both_headers() {
        let both = headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
        assert_eq!(upgrade(&both).unwrap(), "websocket");
        assert!(upgrade(&headers(&[("upgrade", "websocket")])).is_none());
        assert!(upgrade(&headers(&[("connection", "upgrade")])).is_none());
    }
}
