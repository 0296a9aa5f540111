//! The answer to a posted request: JSON, or a stream of events that ends with the response.

use super::Failure;
use super::endpoint::Endpoint;
use crate::http::{EventStream, Exchange};
use crate::jsonrpc::{Id, Message};
use crate::text::clean;

/// Most bytes of one message.
pub const LONGEST: usize = 64 << 20;
/// Most bytes of an answer that is no message.
const OTHER: usize = 1 << 20;

/// What a server made of a request.
pub enum Answer {
    Response(Message),
    /// The stream ended before the response; what is known to go on from there.
    Cut(EventStream),
    /// An answer that is not 2xx, and not JSON-RPC.
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
    let status = exchange.status;
    if exchange.media_type() == "text/event-stream" && status == 200 {
        return events(exchange, EventStream::new(LONGEST), id, endpoint, aside).await;
    }
    let is_json = exchange.media_type() == "application/json";
    let limit = if is_json && status == 200 { LONGEST } else { OTHER };
    let mut answer = exchange.read(limit).await?;
    let body = String::from_utf8(std::mem::take(&mut answer.body))
        .map_err(|_| broken(endpoint, "it is not UTF-8"))?;
    match Message::read_all(body.as_str()) {
        Ok(messages) => pick(messages, id, aside)
            .map(|response| settle(status, response))
            .ok_or_else(|| broken(endpoint, "the response to this request is not in it")),
        Err(error) if (200..300).contains(&status) => Err(broken(endpoint, &error.to_string())),
        Err(_) => Ok(Answer::Status { status, body: clean(&body) }),
    }
}

/// An error with the server's id, or with none, under a status that says the same.
fn settle(_status: u16, response: Message) -> Answer {
    Answer::Response(response)
}

/// Reads events until the response is there.
pub async fn events(
    mut exchange: Exchange,
    mut stream: EventStream,
    id: &Id,
    endpoint: &Endpoint,
    aside: &dyn Fn(Message),
) -> Result<Answer, Failure> {
    loop {
        let Ok(Some(piece)) = exchange.chunk().await else { return Ok(Answer::Cut(stream)) };
        for event in stream.push(&piece).map_err(|error| broken(endpoint, &error.to_string()))? {
            // An event without data primes a stream that can be resumed.
            if event.event != "message" || event.data.is_empty() {
                continue;
            }
            let messages = Message::read_all(event.data)
                .map_err(|error| broken(endpoint, &error.to_string()))?;
            if let Some(response) = pick(messages, id, aside) {
                return Ok(Answer::Response(response));
            }
        }
    }
}

/// The response to `id` among the messages; the others go aside.
fn pick(messages: Vec<Message>, id: &Id, aside: &dyn Fn(Message)) -> Option<Message> {
    let mut response = None;
    for message in messages {
        match message.kind() {
            crate::jsonrpc::Kind::Response { id: Some(other), .. } if other == id => {
                response = response.or(Some(message));
            }
            // An error about a message whose id the server could not read can only be about this one.
            crate::jsonrpc::Kind::Response { id: None, .. } => {
                response = response.or_else(|| Some(named(&message, id)));
            }
            // An answer to nobody's question.
            crate::jsonrpc::Kind::Response { .. } => {}
            _ => aside(message),
        }
    }
    response
}

/// An error without an id, as the answer that it must be.
fn named(message: &Message, id: &Id) -> Message {
    let mut value = message.to_value();
    value["id"] = id.to_value();
    Message::read(value.to_string()).unwrap_or_else(|_| message.clone())
}

fn broken(endpoint: &Endpoint, why: &str) -> Failure {
    Failure::failed(format!("the answer of {} cannot be read: {why}", endpoint.host()))
}
