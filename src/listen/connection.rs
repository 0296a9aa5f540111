//! One connection: one request head within limits, checked, handed on, answered, closed.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderMap, ORIGIN, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Answer, Get, page};
use crate::secret::Secret;

/// Longest request head, in bytes. Beyond it the answer is 431.
const HEAD: usize = 16 * 1024;

/// Time for the whole head to arrive.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// Time for the whole connection: a client that does not take its answer is cut.
const CONNECTION_TIME: Duration = Duration::from_secs(10);

/// Serves `stream` to its end. Failures are the client's own and concern nobody else.
pub(super) async fn serve(stream: TcpStream, port: u16, arrive: mpsc::Sender<Get>) {
    let (_open, connection) = watch::channel(());
    let service = service_fn(move |request| {
        let (arrive, connection) = (arrive.clone(), connection.clone());
        async move {
            Ok::<_, std::convert::Infallible>(answer(&request, port, arrive, connection).await)
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let _ = tokio::time::timeout(CONNECTION_TIME, served).await;
}

async fn answer(
    request: &Request<Incoming>,
    port: u16,
    arrive: mpsc::Sender<Get>,
    connection: watch::Receiver<()>,
) -> Response<Full<Bytes>> {
    if let Err(status) = check(request, port) {
        return page::plain(status);
    }
    let (reply, replied) = oneshot::channel();
    let get = Get {
        path: request.uri().path().to_owned(),
        query: request.uri().query().map(Secret::new),
        reply,
        connection,
    };
    let _ = arrive.send(get).await;
    match replied.await {
        Ok(Answer::Page(page)) => page.response(),
        Ok(Answer::SeeOther(path)) => page::see_other(path),
        Ok(Answer::NotFound) => page::plain(StatusCode::NOT_FOUND),
        Err(_) => page::plain(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// Refuses what hyper lets through and no browser sends: old versions, ambiguous framing, any body, a
/// missing or foreign Host (DNS rebinding), absolute targets.
fn check<B>(request: &Request<B>, port: u16) -> Result<(), StatusCode> {
    let headers = request.headers();
    if request.version() != Version::HTTP_11 {
        return Err(StatusCode::HTTP_VERSION_NOT_SUPPORTED);
    }
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(StatusCode::BAD_REQUEST);
    };
    if !is_ours(host.as_bytes(), port) {
        return Err(StatusCode::MISDIRECTED_REQUEST);
    }
    if request.method() != Method::GET {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    let has_body = headers.contains_key(TRANSFER_ENCODING)
        || headers.get_all(CONTENT_LENGTH).iter().any(|length| length != "0");
    if has_body || request.uri().authority().is_some() {
        return Err(StatusCode::BAD_REQUEST);
    }
    Ok(())
}

/// Whether a Host value names this listener, as browsers write it: port 80 may be left out.
pub fn is_ours(host: &[u8], port: u16) -> bool {
    let (name, number) = match host.iter().rposition(|byte| *byte == b':') {
        Some(colon) if !host.ends_with(b"]") => (&host[..colon], &host[colon + 1..]),
        _ => (host, &b"80"[..]),
    };
    // Read the other way round, a number would have several forms.
    let is_port = std::str::from_utf8(number)
        .is_ok_and(|text| !text.starts_with(['0', '+']) && text.parse() == Ok(port));
    let is_named = |own: &&str| name.eq_ignore_ascii_case(own.as_bytes());
    is_port && ["127.0.0.1", "[::1]", "localhost"].iter().any(is_named)
}

/// Whether a request comes from a program, which sends no origin, or from a page of this listener's own.
pub fn is_origin_ours(headers: &HeaderMap, port: u16) -> bool {
    let is_own =
        |origin: &[u8]| origin.strip_prefix(b"http://").is_some_and(|host| is_ours(host, port));
    let mut sites = headers.get_all("sec-fetch-site").iter();
    sites.all(|site| site == "same-origin" || site == "none")
        && headers.get_all(ORIGIN).iter().all(|origin| is_own(origin.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_with_our_port_are_ours() {
        for host in ["127.0.0.1:8123", "localhost:8123", "LocalHost:8123", "[::1]:8123"] {
            assert!(is_ours(host.as_bytes(), 8123), "{host}");
        }
        let foreign = [
            "",
            "127.0.0.1",
            "127.0.0.1:8124",
            "127.0.0.1:",
            "evil.example:8123",
            "evil.example",
            "127.0.0.1.evil.example:8123",
            "localhost.evil.example:8123",
            "user@127.0.0.1:8123",
            "127.0.0.1:8123@evil.example",
            "2130706433:8123",
            "127.1:8123",
            "0.0.0.0:8123",
            "[::]:8123",
            "[::ffff:127.0.0.1]:8123",
            "::1:8123",
            "localhost.:8123",
            "127.0.0.1:08123",
            "127.0.0.1:8123/x",
            "127.0.0.1:8123 ",
            "127.0.0.1:18123",
            "\u{fe}:8123",
        ];
        for host in foreign {
            assert!(!is_ours(host.as_bytes(), 8123), "{host}");
        }
        assert!(is_ours(b"localhost", 80) && is_ours(b"[::1]", 80));
        assert!(!is_ours(b"localhost:", 80) && !is_ours(b"[::1", 80) && !is_ours(b":80", 80));
    }
}
