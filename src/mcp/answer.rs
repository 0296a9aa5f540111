//! The answer to a posted request: JSON, or a stream of events that ends with the response.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Failure;
use super::endpoint::Endpoint;
use crate::http::{EventStream, Exchange};
use crate::jsonrpc::{Id, Kind, Message, renamed};
use crate::stdio::{self, LONGEST};
use crate::text::clean;

/// Most bytes of an answer that is no message.
const OTHER: usize = 1 << 20;

/// What a server made of a request.
pub enum Answer {
    Response(Message),
    /// The stream ended before the response; what is known to go on from there.
    Cut(EventStream),
    /// Not JSON-RPC: an answer that is not 2xx, or one that says that the response comes another way (202).
    Status {
        status: u16,
        body: String,
    },
}

/// Reads the answer to request `id`; what comes before the response goes to `aside`.
pub async fn read(
    exchange: Exchange,
    id: &Id,
    endpoint: &Endpoint,
    aside: &dyn Fn(Message),
) -> Result<Answer, Failure> {
    if let Some(coding) = coding(&exchange) {
        let what = format!("it is compressed ({}), which was not asked for", clean(coding));
        return Err(broken(endpoint, &what));
    }
    if exchange.is_event_stream() {
        let patience = (endpoint.patience, endpoint.patience);
        return follow(exchange, EventStream::new(LONGEST), id, endpoint, patience, aside).await;
    }
    let status = exchange.status;
    let again = come_again(&exchange);
    if (300..400).contains(&status) {
        return Err(moved(&exchange, endpoint));
    }
    let media_type = exchange.media_type();
    // Once the host has room for it.
    stdio::room().await;
    let body = read_body(exchange, endpoint).await?;
    // The start of it, where it may have to be shown.
    let shown = if status == 200 { String::new() } else { clean(&body) };
    let shown = format!("{shown} {again}").trim().to_owned();
    let is_empty = body.trim_ascii().is_empty();
    match Message::read_all(body) {
        Ok(messages) => match pick(messages, id, status, aside) {
            Some(response) => Ok(Answer::Response(response)),
            None if status == 202 => Ok(Answer::Status { status, body: shown }),
            None => Err(broken(endpoint, "the response to this request is not in it")),
        },
        Err(_) if status != 200 => Ok(Answer::Status { status, body: shown }),
        Err(_) if is_empty => Err(broken(endpoint, "it is empty")),
        Err(_) if media_type != "application/json" => {
            Err(broken(endpoint, &format!("it is not JSON, but {}", clean(&media_type))))
        }
        Err(error) => Err(broken(endpoint, &error.to_string())),
    }
}

/// Reads a body that is no stream.
pub async fn read_body(exchange: Exchange, endpoint: &Endpoint) -> Result<String, Failure> {
    let is_message = exchange.status == 200 && exchange.media_type() == "application/json";
    let limit = if is_message { LONGEST } else { OTHER };
    let whole = timeout(endpoint.patience, exchange.read(limit)).await;
    let mut answer = whole.map_err(|_| endpoint.silent())??;
    let mut body = std::mem::take(&mut answer.body);
    // A byte order mark is not to be sent, and may be ignored (RFC 8259 §8.1).
    if body.starts_with(b"\xef\xbb\xbf") {
        body.drain(..3);
    }
    String::from_utf8(body).map_err(|_| broken(endpoint, "it is not UTF-8"))
}

/// The coding of a body that is not as it is (RFC 9110 §8.4).
fn coding(exchange: &Exchange) -> Option<&str> {
    exchange
        .header("content-encoding")
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
}

/// When a server that has too much to do wants to be asked again (RFC 9110 §10.2.3).
fn come_again(exchange: &Exchange) -> String {
    match exchange.header("retry-after").filter(|_| matches!(exchange.status, 429 | 503)) {
        Some(seconds) if seconds.parse::<u32>().is_ok() => {
            format!("(it can be asked again in {seconds} s)")
        }
        Some(date) => format!("(it can be asked again after {})", clean(date)),
        None => String::new(),
    }
}

/// Reads on where an answer was cut, which has been silent so long that only `left` is left of the patience.
pub async fn rest(
    exchange: Exchange,
    stream: EventStream,
    id: &Id,
    endpoint: &Endpoint,
    left: Duration,
    aside: &dyn Fn(Message),
) -> Result<Answer, Failure> {
    follow(exchange, stream, id, endpoint, (left, endpoint.patience), aside).await
}

/// The same for a stream that may be silent for as long as nothing happens.
pub async fn news(
    exchange: Exchange,
    id: &Id,
    endpoint: &Endpoint,
    aside: &dyn Fn(Message),
) -> Result<Answer, Failure> {
    let patience = (Duration::MAX, Duration::MAX);
    follow(exchange, EventStream::new(LONGEST), id, endpoint, patience, aside).await
}

/// Reads events until the response is there. Each silence may be as long as `patience`, the first one as `left`.
async fn follow(
    mut exchange: Exchange,
    mut stream: EventStream,
    id: &Id,
    endpoint: &Endpoint,
    (mut left, patience): (Duration, Duration),
    aside: &dyn Fn(Message),
) -> Result<Answer, Failure> {
    loop {
        stdio::room().await;
        let asked = Instant::now();
        let piece = timeout(left, exchange.chunk()).await;
        let events = match piece.map_err(|_| endpoint.silent())? {
            Ok(Some(piece)) => stream.push(&piece),
            Ok(None) => return Ok(at_end(stream, id)),
            Err(_) => return Ok(Answer::Cut(stream)),
        };
        let events = events.map_err(|error| broken(endpoint, &error.to_string()))?;
        left = left.saturating_sub(asked.elapsed());
        // Comments keep a connection alive, and say nothing of the request.
        if !events.is_empty() || stream.has_data() {
            left = patience;
        }
        if left.is_zero() {
            return Err(endpoint.silent());
        }
        for event in events {
            // An event without data primes a stream that can be resumed.
            if event.event != "message" || event.data.is_empty() {
                continue;
            }
            let messages = Message::read_all(event.data)
                .map_err(|error| broken(endpoint, &error.to_string()))?;
            if let Some(response) = pick(messages, id, 200, aside) {
                return Ok(Answer::Response(response));
            }
        }
    }
}

/// Some servers leave out the blank line that ends their last event: a whole response is one all the same.
fn at_end(stream: EventStream, id: &Id) -> Answer {
    let last = stream.unfinished().filter(|event| event.event == "message");
    match last.map(|event| Message::read(event.data)) {
        Some(Ok(message))
            if matches!(message.kind(), Kind::Response { .. }) && message.id() == Some(id) =>
        {
            Answer::Response(message)
        }
        _ => Answer::Cut(stream),
    }
}

/// The response to `id` among the messages; the others go aside, but answers to nobody's question.
fn pick(messages: Vec<Message>, id: &Id, status: u16, aside: &dyn Fn(Message)) -> Option<Message> {
    let mut response = None;
    for message in messages {
        match message.kind() {
            Kind::Response { id: Some(other), .. } if other == id => {
                response = response.or(Some(message));
            }
            // An error about a message whose id the server could not read can only be about this one; and
            // so can one that is the whole of a refusal, whatever its id.
            Kind::Response { id: other, is_error: true } if other.is_none() || status >= 400 => {
                response = response.or_else(|| Some(renamed(&message, id)));
            }
            Kind::Response { .. } => {}
            Kind::Request { .. } | Kind::Notification { .. } => aside(message),
        }
    }
    response
}

/// A refusal in the server's own words, where it has some.
pub fn refused(endpoint: &Endpoint, status: u16, body: &str) -> Failure {
    let said = if body.is_empty() { String::new() } else { format!(": {body}") };
    Failure::failed(format!("{} answered HTTP {status}{said}", endpoint.host()))
}

/// Redirects are not followed: a credential goes to the address that it is for.
fn moved(exchange: &Exchange, endpoint: &Endpoint) -> Failure {
    let target = exchange.header("location").and_then(|to| endpoint.url.join(to).ok());
    let Some(mut target) = target else {
        return Failure::failed(format!("{} answered HTTP {}", endpoint.host(), exchange.status));
    };
    target.set_query(None);
    target.set_fragment(None);
    Failure::failed(format!(
        "{} redirects to {}, which is not followed: use that address, if it is the server's",
        endpoint.host(),
        clean(target.as_str())
    ))
}

pub fn broken(endpoint: &Endpoint, why: &str) -> Failure {
    Failure::failed(format!("the answer of {} cannot be read: {why}", endpoint.host()))
}
